"""Layers that repeat are told once: each folded equation, with a number for its letter, is the equation of that
number."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from functools import cache

import numpy as np
import pytest

import symgrad
from symgrad import explain
from symgrad.explain.beside import shown
from symgrad.explain.formula import Entry, Symbol, walk
from symgrad.explain.parts import Passage, spans
from symgrad.explain.scripts import TEXT


@cache
def mlp(layers, out=3, width=20, leaf="tanh"):
    lines = ["X: data[n, 10]", f"y: data[n, {out}]"]
    lines += [f"h{k} = {leaf}(dense({f'h{k - 1}' if k > 1 else 'X'}, {width}))" for k in range(1, layers + 1)]
    return symgrad.derive("\n".join([*lines, f"loss = mse_loss(dense(h{layers}, {out}), y)"]))


@cache
def residual(layers):
    lines = ["h0: data[n, 8]", "y: data[n, 8]"]
    lines += [f"U{k}: weight[8, 12]; V{k}: weight[12, 8]" for k in range(1, layers + 1)]
    lines += [f"h{k} = h{k - 1} + relu(h{k - 1} @ U{k}) @ V{k}" for k in range(1, layers + 1)]
    return symgrad.derive("\n".join([*lines, f"loss = sum((h{layers} - y)**2)"]))


@cache
def blocks(layers):
    lines = ["h0: data[n, 5, 8]", "y: data[n, 5, 8]"]
    for k in range(1, layers + 1):
        lines += [f"Q{k}: weight[8, 8]; A{k}: weight[8, 12]; B{k}: weight[12, 8]"]
        lines += [f"a{k} = layer_norm(h{k - 1} + attention(h{k - 1} @ Q{k}, h{k - 1}, h{k - 1}))"]
        lines += [f"h{k} = layer_norm(a{k} + relu(a{k} @ A{k}) @ B{k})"]
    return symgrad.derive("\n".join([*lines, f"loss = sum((h{layers} - y)**2)"]))


RUN = re.compile(r"for ([a-zℓ]) = (\d+), (?:\.\.\.|\d+), (\d+)", re.IGNORECASE)


def at_number(f, letter, at):
    """A formula without what only programs read, with a number for the letter in names."""

    def put(m):
        return str(int(m[1] or 1) * at + int((m[2] or "0").replace("−", "-")))

    if type(f) is Symbol:
        text, latex = f.text, f.latex
        if letter:
            text = re.sub(rf"\((\d*){letter}([+−]\d+)?\)", put, text)
            latex = re.sub(rf"(?<=[({{])(\d*){letter}([+-]\d+)?(?=[)}}])", put, latex)
        return Symbol("", text, re.sub(r"([_^])\{(\d)\}", r"\1\2", latex))
    if isinstance(f, tuple):
        return tuple(at_number(x, letter, at) for x in f)
    if is_dataclass(f) and not isinstance(f, Symbol):
        parts = [x.name for x in fields(f)]
        return type(f)(*("" if x == "code" else at_number(getattr(f, x), letter, at) for x in parts))
    return f


def equations(passages):
    """What each equation says, layer by layer, by form."""
    found = []
    for p in passages:
        heading = "".join(x if isinstance(x, str) else TEXT.line(x) for x in p.heading)
        run = RUN.search(heading)
        letter, numbers = "", [0]
        if run:
            letter, start, stop = run[1], int(run[2]), int(run[3])
            numbers = list(range(start, stop + 1) if start < stop else range(start, stop - 1, -1))
            assert len(numbers) >= 3
        for form, told in shown(p):
            for e in told:
                assert len(e.numbers) % len(numbers) == 0
                each = len(e.numbers) // len(numbers)
                for k, at in enumerate(numbers):
                    sides = at_number((e.left, e.right), letter, at)
                    found.append((form, *map(repr, sides), e.numbers[k * each : k * each + each]))
    return sorted(found)


@pytest.mark.parametrize(
    "make, layers, at_most",
    [(mlp, 6, 0.7), (lambda k: mlp(k, out=20, leaf="relu"), 5, 0.8), (residual, 6, 0.6), (blocks, 5, 0.85)],
)
@pytest.mark.parametrize("form", ["matrix", "index", ("matrix", "index")])
def test_folded_equations_are_those_of_their_numbers(make, layers, at_most, form):
    derived = make(layers).derived
    for detail in ("steps",) if make is blocks else ("steps", "result"):
        short = explain.document(derived, form, detail)
        full = explain.document(derived, form, detail, fold=False)
        for story, whole in ((short.plain, full.plain), (short.story, full.story)):
            told = [p for p in story.passages if isinstance(p, Passage)]
            every = [p for p in whole.passages if isinstance(p, Passage)]
            count = [sum(len(p.equations) for p in passages) for passages in (told, every)]
            assert count[0] < at_most * count[1]
            assert equations(told) == equations(every)


def test_a_network_of_six_layers_is_told_once_for_alike_layers():
    text = mlp(6).text()
    assert "Forward, for l = 2, ..., 6\n(3, 5, ..., 11)  z(l) = h(l−1) @ W(l) + b(l)\n" in text
    assert "(4, 6, ..., 12)  h(l) = tanh(z(l))" in text
    # W7 has another size: layer 6 is shown by itself
    assert "\nLayer 6: " in text
    assert "Layer l: δ(l) = ∂L/∂z(l), for l = 5, ..., 2\n" in text
    assert "(21, 24, 27, 30)  δ(l) = (δ(l+1) @ W(l+1)ᵀ)·(1 − h(l)²)\n" in text
    assert "∂L/∂W(l) = h(l−1)ᵀ @ δ(l)\n" in text
    assert "z(l) is read by h(l) in (10, 8, 6, 4)" in text
    assert "\nLayer 5: " not in text
    latex = mlp(6).latex()
    assert r"\delta^{(l)} &= (\delta^{(l+1)} W^{(l+1)\top}) \odot (1 - (h^{(l)})^{\odot 2})" in latex
    assert r"$l = 5, \ldots, 2$" in latex


def test_the_number_of_every_step_is_found():
    d = mlp(7)
    told = [p for p in d.document().plain.passages if isinstance(p, Passage)]
    cited = {n for n in explain.numbers(d.derived).values() if n.isdigit()}
    assert cited == {n for p in told for e in p.equations for n in e.numbers}


def test_other_sizes_other_functions_and_two_alike_are_not_folded():
    assert "(l)" not in mlp(3).text()
    sizes = "\n".join(f"h{k} = tanh(dense({f'h{k - 1}' if k > 1 else 'X'}, {20 + k}))" for k in range(1, 7))
    assert "(l)" not in symgrad.derive(f"X: data[n, 9]\n{sizes}\nloss = sum(h6**2)").text()
    leaves = ["tanh", "sigmoid"] * 3
    mixed = "\n".join(
        f"h{k} = {leaf}(dense({f'h{k - 1}' if k > 1 else 'X'}, 20))" for k, leaf in enumerate(leaves, 1)
    )
    assert "(l)" not in symgrad.derive(f"X: data[n, 9]\n{mixed}\nloss = sum(h6**2)").text()


def test_everything_scalars_and_numbers_show_all():
    d = mlp(6, width=2)
    worked = d.worked(X=np.arange(20.0).reshape(2, 10) / 20, y=np.ones((2, 3)), seed=1)
    for told in (d.text(detail="everything"), d.document(fold=False).text(), worked.text()):
        assert "h5" in told
        assert "(l)" not in told
    assert "(l)" in d.text()
    assert "(l)" not in d.text(form="scalar", sizes={"n": 1})


def test_the_letter_is_free():
    lines = [f"l{k} = tanh({f'l{k - 1}' if k > 1 else 'X'} @ W{k})" for k in range(1, 7)]
    weights = "; ".join(f"W{k}: weight[4, 4]" for k in range(1, 7))
    text = symgrad.derive(f"X: data[k, 4]; {weights}\n" + "\n".join(lines) + "\nloss = sum(l6**2)").text()
    assert "for m = " in text
    assert "l(m) = tanh(" in text


def test_a_hundred_layers_are_short():
    text = mlp(100).text()
    assert len(text.splitlines()) < 90
    assert "Layer l: δ(l) = ∂L/∂z(l), for l = 99, ..., 2\n(209, 212, ..., 500)  δ(l) = " in text


def test_spans_of_what_repeats():
    assert spans(["1", "4", "7", "10"], "-") == ["1", "4", "7", "10"]
    assert spans(["1", "4", "7", "10", "13", "15"], "-") == ["1", "4", "...", "13", "15"]
    assert spans([str(n) for n in range(1, 41) if n % 8 > 3], "–") == ["4–7", "12–15", "...", "36–39"]
    assert spans(["1a", "1", "3a", "3", "5a", "5", "7a", "7", "9a", "9"], "-") == [
        "1a", "1", "3a", "3", "5a", "5", "7a", "7", "9a", "9",
    ]  # fmt: skip


# recurrences

RNN = """
x: data[n, T, i]; y: data[n, k]; W: weight[i, k]; U: weight[k, k]; b: weight[k]
h[n, t, k] = tanh(sum(i, x[n, t, i]*W[i, k]) + sum(j, h[n, t - 1, j]*U[j, k]) + b[k])
h[n, -1, k] = 0
loss = sum((h[:, T - 1] - y)**2)
"""
LSTM = "x: data[n, 6, 2]; y: data[n]; w: weight[4]\nh = lstm(x, 4)\nloss = mse(h[:, 5] @ w, y)"
STACKED = "x: data[n, 6, 2]; y: data[n, 3]\nh = lstm(x, 4)\ng = gru(h, 3)\nloss = mse(g[:, 5], y)"
LEARNT_START = """
x: data[n, T, k]; s: weight[k]
h[n, t, k] = tanh(x[n, t, k] + h[n, t - 1, k])
h[n, -1, k] = s[k]
loss = sum(h[:, T - 1]**2)
"""


def heading(p):
    return "".join(x if isinstance(x, str) else TEXT.line(x) for x in p.heading)


def test_a_recurrence_reads_as_a_recursion_in_t():
    told = [heading(p) for p in symgrad.derive(RNN).document().plain.passages]
    assert told == [
        "Forward",
        "Forward, for t = 0, ..., T − 1",
        "Forward, after that",
        "Backward through time, for t = T − 1, ..., 0: error signals of h and u",
        "Gradients by W, U and b",
    ]
    told = [heading(p) for p in symgrad.derive(STACKED).document().story.passages]
    loops = [h for h in told if "for t = " in h]
    assert [h.partition(":")[0] for h in loops] == [
        "Forward, for t = 0, ..., 5", "Forward, for t = 0, ..., 5",
        "Backward through time, for t = 5, ..., 0", "Backward through time, for t = 5, ..., 0",
    ]  # fmt: skip


@pytest.mark.parametrize("text", [RNN, LSTM, STACKED, LEARNT_START])
def test_each_step_back_reads_only_what_is_known(text):
    """In the order in which they are told: of the same step what was told before, else of later steps."""
    d = symgrad.derive(text)
    met = 0
    for p in d.document(form="index").plain.passages:
        if not heading(p).startswith("Backward through time"):
            continue
        t = Symbol("t", "t", "t")
        own = {s.out for e in p.equations for s in e.statements}
        known = set()
        for e in p.equations:
            bar = e.statements[0].out
            for f in walk(e.right):
                if isinstance(f, Entry) and isinstance(f.base, Symbol) and f.base.code in own:
                    now = t in f.index
                    assert f.base.code in known if now else "t + 1" in TEXT.line(f)
                    met += 1
            known.add(bar)
    assert met >= (1 if text is LEARNT_START else 2)


def test_the_ends_of_a_recursion_are_said():
    text = " ".join(symgrad.derive(RNN).text(200).split())
    assert "at the last t nothing comes from a step after it, as the condition says" in text
    text = " ".join(symgrad.derive(LEARNT_START).text(200).split())
    assert "δ is found in the same way for the places before the first step" in text


# several statements that add to one tensor

ADDED = """
x: weight[n, 3]; u: weight[n, 5]; y: zeros[n, 7]
y[n, 2*h] += x[n, h]**2
y[n, h + 1] += u[n, h]*3
y[n, h] += x[n, h]*u[n, h]
loss = sum(y**2)
"""


def test_what_several_statements_add_is_one_sum():
    d = symgrad.derive(ADDED)
    first = d.document().plain.passages[0].equations[0]
    assert first.numbers == ("1", "2", "3")
    assert len(first.statements) == 3
    scalar = d.text(form="scalar", sizes={"n": 1})
    assert "(1-3)  y₁₁ = x₁₁² + x₁₁·u₁₁\n" in scalar
    assert "y₁₃ = x₁₂² + 3·u₁₂ + x₁₃·u₁₃\n" in scalar
    worked = d.worked(x=np.array([[1.0, 2.0, 3.0]]), u=np.array([[1.0, 1.0, 2.0, 0.0, 5.0]]), form="index")
    shown = " ".join(worked.text().split())
    assert re.search(r"2\D+5\D+13\D+6\D+9\D+15\D+0", shown)


def test_rules_are_named_in_words():
    assert "y is read by L in (4) by the power rule;" in " ".join(symgrad.derive(ADDED).text(200).split())


def test_a_loop_says_its_steps_with_the_letter_of_its_equations() -> None:
    text = (
        "x: data[n, t, i]\nW: weight[i, k]\nU: weight[k, k]\nh[n, -1, k] = 0\n"
        "h[n, t, k] = tanh(sum(i, x[n, t, i]*W[i, k]) + sum(j, h[n, t - 1, j]*U[j, k]))\nloss = sum(h**2)/2"
    )
    d = symgrad.derive(text)
    heading, equation = re.search(r"through time, for \$(\w) = .*\n.*\n(.*)&=", d.latex()).groups()
    assert re.search(rf"_{{\w {heading} \w}}", equation), equation
    assert "for t from the first to the last" in d.text()
