"""Optimisers with their numbers folded: the same steps as the equations say, in fewer passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.emit.optimizers import fast, numbered
from symgrad.library import optimizer

NET = "x: data[n, 3]; t: data[n, 2]; loss = mse(dense(tanh(dense(x, 4)), 2), t)"
OPTIMIZERS = {
    "sgd": "sgd",
    "momentum": "momentum",
    "adam": "adam",
    "rms": "def rms(w, g, lr=0.01, rho=0.9, eps=1e-8):\n v = rho*v + (1 - rho)*g**2\n w = w - lr*g/(sqrt(v) + eps)",
    "decay": """def decay(w, g, lr=0.001, beta1=0.9, beta2=0.99, eps=1e-8, decay=0.01):
        m = beta1*m + (1 - beta1)*g
        v = beta2*v + (1 - beta2)*g**2
        a = m/(1 - beta1**t)
        b = v/(1 - beta2**t)
        w = w - lr*(a/(sqrt(b) + eps) + decay*w)""",
    "nesterov": "def nesterov(w, g, lr=0.01, mu=0.9):\n v = mu*v + g\n w = w - lr*(g + mu*v)",
    "signs": "def signs(w, g, lr=0.01, b=0.9):\n m = b*m + (1 - b)*g\n u = sign(b*m + (1 - b)*g)\n w = w - lr*u",
    "lion": "def lion(w, g, lr=0.01, b=0.9):\n u = sign(b*m + (1 - b)*g)\n m = b*m + (1 - b)*g\n w = w - lr*u",
    "swapped": "def swapped(w, g, lr=0.1):\n o = 2*m\n m = m/2 + g\n w = w - lr*(o + v)\n v = v/2 + o\n w = w - v",
    "old": "def old(w, g, lr=0.1):\n o = m\n m = m/2 + g\n v = v/2 + o*g\n w = w - lr*(m - o/3 + v)",
    "slower": "def slower(w, g, lr=0.1):\n rate = lr/sqrt(t)\n w = w - rate*g",
    "half": "def half(w, g, lr=0.1):\n v = v/2 + g/2\n w = w - lr*v",
    "least": "def least(w, g, lr=0.1, most=2):\n rate = minimum(lr, most/t)\n w = w - rate*g",
    "zero": "def zero(w, g, lr=0.1, a=0.0, b=0.5):\n u = a*g + b*w\n w = w - lr*u",
}


def made(optimizer: str, style: str) -> dict[str, Any]:
    return emit.load(sg.Model(NET).source("net", optimizer=optimizer, style=style), "net")


def batch(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((5, 3)), rng.standard_normal((5, 2))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_the_equations(name: str, tmp_path: Path) -> None:
    """Through a change of the options, files written by either style, and vectors taken in parts."""
    nets = {style: made(OPTIMIZERS[name], style) for style in ("readable", "fast")}
    nets["fast"]["CHUNK"] = 7
    models = [net["Model"](dtype=np.float64) for net in nets.values()]
    for k in range(6):
        if k == 3:
            for model in models:
                model.options.update(
                    dict.fromkeys(["beta1", "beta2", "rho", "b"] & model.options.keys(), 0.7)
                )
        if k == 5:  # each goes on from the other's file
            for model, style in zip(models, nets, strict=True):
                model.save(tmp_path / f"{style}.npz")
            for model, style in zip(models, reversed(nets), strict=True):
                model.load(tmp_path / f"{style}.npz")
        losses = [model.step(*batch(k)) for model in models]
        assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    for w in models[0].weights:
        np.testing.assert_allclose(models[1].weights[w], models[0].weights[w], rtol=1e-11, atol=1e-13)


def test_passes() -> None:
    """Adam reads and writes its vectors in ten passes, and no number is in the way."""
    steps = [line for line in fast(optimizer("adam"))[0].steps if not line.startswith("#")]
    assert len(steps) == 10
    assert {name: str(e) for name, e in numbered(optimizer("adam")).scales.items()} == {
        "m": "1 - beta1",
        "v": "1 - beta2",
    }


def test_numbers_that_can_be_zero_are_no_divisors() -> None:
    folded = numbered(optimizer(OPTIMIZERS["zero"]))
    assert [str(e) for _, e in folded.equations] == ["factor1*g + factor2*w", "w - factor3*u"]


def test_a_scale_of_zero_is_refused() -> None:
    net = made("adam", "fast")
    with pytest.raises(net["Problem"], match="divides by 1 - beta1 and 1 - beta2, which must not be 0"):
        net["Model"](beta2=1.0).step(*batch(0))


def test_a_number_that_does_not_exist_is_a_sentence() -> None:
    net = made("adam", "fast")
    model = net["Model"](beta2=-1.0)
    model.step(*batch(0))
    with pytest.raises(
        net["Problem"], match=r"adam cannot be computed at step 2 with lr = 0.001, .*, beta2 = -1"
    ):
        model.step(*batch(1))


def test_parts_share_scratch_memory() -> None:
    net = made("adam", "fast")
    net["CHUNK"] = 7
    model = net["Model"]()
    assert len(model._updates) == 4  # of 26 entries
    held = [dict(zip(run.__code__.co_freevars, run.__closure__, strict=True)) for _, run in model._updates]
    scratch = [cells["part1"].cell_contents for cells in held]
    assert [a.size for a in scratch] == [7, 7, 7, 5]
    assert len({a.__array_interface__["data"][0] for a in scratch}) == 1


def test_names_of_an_update_are_the_users() -> None:
    """A state may be called as what the module calls its scratch memory."""
    text = "def kept(w, g, lr=0.1):\n rooms = rooms/2 + sqrt(1 + g**2)\n w = w - lr*rooms"
    losses = []
    for style in ("readable", "fast"):
        model = made(text, style)["Model"](dtype=np.float64)
        losses.append([model.step(*batch(k)) for k in range(3)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
