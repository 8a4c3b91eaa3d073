"""Update equations behind a derivation: those of the rule, with the weight's own gradient."""

from __future__ import annotations

import re

import pytest
from commands import symgrad as command

import symgrad as sg

LINE = "X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)"
NET = "x: data[n, 3]; t: data[n, 2]; loss = mse(dense(tanh(dense(x, 4)), 2), t)"


def told(text: str, **rule: object) -> list[str]:
    """The equations of the update, in text."""
    part = sg.derive(text).text(detail="result", width=200, **rule).rpartition("Update by ")[2]
    return [
        line.strip() for line in part.splitlines() if re.match(r" +[^:]*? [←=] ", line) and ": " not in line
    ]


def test_one_weight_has_its_name() -> None:
    assert told(LINE, optimizer="sgd") == ["w ← w − η·∂L/∂w"]
    assert told(LINE, optimizer="momentum") == ["v ← β·v + ∂L/∂w", "w ← w − η·v"]


def test_weights_have_a_line_each_or_one_letter() -> None:
    assert told(NET, optimizer="sgd") == [f"{w} ← {w} − η·∂L/∂{w}" for w in ("W1", "b1", "W2", "b2")]
    assert told(NET, optimizer="momentum") == ["v ← β·v + ∂L/∂w", "w ← w − η·v"]
    text = sg.derive(NET).text(optimizer="momentum", width=200)
    assert "Update by momentum, for each weight w of W1, b1, W2 and b2, entry by entry" in text


def test_what_precedes_and_the_schedule_are_told_in_order() -> None:
    assert told(LINE, optimizer="sgd", clip_value=1, l2=0.1, schedule="lr/sqrt(t)") == [
        "η = η₀/sqrt(t)",
        "g = ∂L/∂w",
        "g ← minimum(maximum(g, −clip_value), clip_value)",
        "g ← g + λ2·w",
        "w ← w − η·g",
    ]


def test_an_optimiser_of_the_users_own() -> None:
    mine = "def mine(w, g, lr=0.1, beta1=0.5):\n    m = beta1*m + g\n    w = w - lr*m"
    assert told(LINE, optimizer=mine) == ["m ← β1·m + ∂L/∂w", "w ← w − η·m"]
    latex = sg.derive(LINE).latex(optimizer=mine)
    assert r"\beta_{1} m + \frac{\partial L}{\partial w}" in latex


def test_names_of_the_derivation_are_not_taken() -> None:
    text = "x: data[t]; v: weight[t]; loss = sum((x - v)**2)"
    assert told(text, optimizer="momentum") == ["v′ ← β·v′ + ∂L/∂v", "v ← v − η·v′"]


def test_wrong_requests() -> None:
    with pytest.raises(sg.SymgradError, match="did you mean 'adam'"):
        sg.derive(LINE).text(optimizer="adm")
    with pytest.raises(sg.SymgradError, match="gradient of a loss"):
        sg.hessian(LINE).text(optimizer="sgd")
    with pytest.raises(sg.SymgradError, match="clip"):
        sg.derive(LINE).text(optimizer="sgd", clip=1)


def test_the_command(tmp_path) -> None:
    done = command("derive", LINE, "--optimizer", "sgd", "--clip-norm", "1", cwd=tmp_path)
    assert done.returncode == 0 and "‖∇L‖" in done.stdout
    done = command("derive", LINE, "--clip-norm", "1", cwd=tmp_path)
    assert done.returncode == 2 and "--optimizer" in done.stderr
