"""Loops of the fast style: what each pass makes of a loop, and that every tensor keeps its value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import symgrad as sg
from symgrad.emit.blank import blanks
from symgrad.language.program import Program, show
from symgrad.language.reference import run
from symgrad.language.samples import inputs
from symgrad.passes.derive import derive
from symgrad.passes.recurrent import lightened

GATES = """
x: data[n, T, i]
y: data[n, T, m]
h = lstm(x, m)
loss = mse(h, y)
"""
CELL = """
x: data[n, T, i]
y: data[n, T, m]
W: weight[i, 4*m]
U: weight[m, 4*m]
a[n, t, g] = sum(i, x[n, t, i]*W[i, g]) + sum(k, h[n, t - 1, k]*U[k, g])
s[n, t, g] = sigmoid(a[n, t, g])
c[n, t, j] = s[n, t, m + j]*c[n, t - 1, j] + s[n, t, j]*tanh(a[n, t, 2*m + j]), j < m
h[n, t, j] = s[n, t, 3*m + j]*tanh(c[n, t, j])
h[n, -1, j] = 0
c[n, -1, j] = 0
loss = mse(h, y)
"""
TEXTS = {
    "cell": CELL,
    "gates": GATES,
    "reset": GATES.replace("lstm", "gru"),
    "plain": GATES.replace("lstm", "rnn"),
    "layers": GATES.replace("lstm(x, m)", "lstm(gru(x, m), m)"),
    "start": "a: weight[n, m]\nb: weight[n, m]" + GATES.replace("lstm(x, m)", "lstm(x, m, h0=a, c0=b)"),
    "last": GATES.replace("y: data[n, T, m]", "y: data[n, m]").replace("mse(h, y)", "mse(h[:, T - 1], y)"),
    "two apart": """
x: data[n, T]
a: weight[2]
y[n, t] = a[0]*y[n, t - 1]*x[n, t] + tanh(a[1]*y[n, t - 2])
y[n, -1] = 1
y[n, -2] = 0
loss = sum(n, t, y[n, t]**2)
""",
}
SIZES = {"n": 3, "T": 5, "i": 2, "m": 4}


def _lightened(text: str) -> tuple[Program, Program]:
    """The joint program of loss and gradients, as derived and with lightened loops."""
    d = derive(sg.Model(text).program)
    program, statements, _ = lightened(
        d.program, d.program.statements, [d.program.target, *d.gradients.values()]
    )
    return d.program, replace(program, statements=statements)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("steps", [1, 5])
def test_values_stay(name: str, steps: int) -> None:
    """Every tensor that both programs have is the same to rounding."""
    before, after = _lightened(TEXTS[name])
    sizes = {s: steps if s == "T" else SIZES[s] for s in before.sizes}
    if name == "two apart":
        sizes["T"] = steps + 1
    given = inputs(before, sizes, np.random.default_rng(3))
    one, other = run(before, sizes, given), run(after, sizes, given)
    for s in before.statements:
        if s.out in other:
            np.testing.assert_allclose(other[s.out], one[s.out], rtol=1e-12, atol=1e-13, err_msg=s.out)


def test_a_loop_backwards_multiplies_what_it_carries() -> None:
    """Of the adjoint of an LSTM only products with what is carried are left in the loop."""
    _, after = _lightened(CELL)
    loop = [show(s, after) for s in after.statements if s.scan is not None and s.scan.backward]
    assert loop == [
        "dc[n, t, j] += dh[n, t, j]*dc_factor[n, t, j]",
        "da[n, t, m*q + j] += dc[n, t, j]*da_factor[n, t, m*q + j], q < 3",
        "da[n, t, 3*m + j] += dh[n, t, j]*da_factor[n, t, 3*m + j]",
        "dh[n, t - 1, k] += sum(g, da[n, t, g]*U[k, g])",
        "dc[n, t - 1, j] += dc[n, t, j]*s[n, t, m + j]",
    ]


def test_first_writers_set() -> None:
    """What is carried backwards starts at zero in the last row alone; the other rows are set by the step before."""
    _, after = _lightened(CELL)
    found = blanks(after, after.statements)
    assert [tuple(map(str, slab)) for slab in found["dc"].slabs or ()] == [("1", "T", "1")]
    assert [show(s, after) for s in found["dc"].sets] == ["dc[n, t - 1, j] += dc[n, t, j]*s[n, t, m + j]"]
