"""Loops of the fast style: what each pass makes of a loop, and that every tensor keeps its value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from programs.realised import dirty_memory

import symgrad as sg
from symgrad.emit.blank import blanks
from symgrad.emit.function import function_name, function_source
from symgrad.emit.load import load
from symgrad.language import expr as ex
from symgrad.language.program import Program, show
from symgrad.language.reader import read
from symgrad.language.reference import run
from symgrad.language.samples import inputs
from symgrad.passes.arrange import arranged
from symgrad.passes.arrangements.gates import gates
from symgrad.passes.derive import derive, prepare
from symgrad.passes.orders import ordered
from symgrad.passes.recurrent import lightened
from symgrad.passes.recurrent.layout import steps_first

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
    "two that are stacked": GATES.replace("lstm(x, m)", "rnn(x, m) + lstm(rnn(x, m), m)"),
    "start": "a: weight[n, m]\nb: weight[n, m]" + GATES.replace("lstm(x, m)", "lstm(x, m, h0=a, c0=b)"),
    "last": GATES.replace("y: data[n, T, m]", "y: data[n, m]").replace("mse(h, y)", "mse(h[:, T - 1], y)"),
    "sums before the loop": """
x: data[n, T, i]
y: data[n, T, m]
W: weight[i, m]
U: weight[m, m]
b: weight[m]
G[i, j] = sum(n, t, y[n, t, j]*x[n, t, i])
B[j] = sum(n, t, y[n, t, j])
h[n, t, j] = tanh(sum(i, x[n, t, i]*W[i, j]) + sum(k, h[n, t - 1, k]*U[k, j]) + b[j])
h[n, -1, j] = 0
H[k, j] = sum(n, t, y[n, t, j]*h[n, t - 1, k])
loss = mean(G**2) + mean(H**2) + mean(B**3)
""",
    "a state that is a sigmoid": """
x: data[n, T, i]
y: data[n, T, m]
W: weight[i, m]
U: weight[m, m]
b: weight[m]
h[n, t, j] = sigmoid(sum(i, x[n, t, i]*W[i, j]) + sum(k, h[n, t - 1, k]*U[k, j]))
h[n, -1, j] = b[j]
loss = mean(h*y)
""",
    "states that feed each other": """
x: data[n, T, i]
y: data[n, T, m]
U: weight[m, m]
W: weight[i, m]
V: weight[i, m]
b: weight[m]
a[n, t, j] = softplus(y[n, t, j]*a[n, t - 1, j]/3 + y[n, t, j]*s[n, t - 1, j]/3)
s[n, t, j] = sum(i, x[n, t, i]*W[i, j]) + sum(k, s[n, t - 1, k]*U[k, j]) + 0.5*h[n, t - 1, j] + b[j]
z[n, t, j] = sum(i, x[n, t, i]*V[i, j]) + 0.5*s[n, t - 1, j]
h[n, t, j] = z[n, t, j]**2
a[n, -1, j] = 0
s[n, -1, j] = 0
h[n, -1, j] = 0
K[k, j] = sum(n, t, a[n, t, j]*a[n, t - 1, k])
loss = mean(K**2)
""",
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


def test_a_step_forward_is_one_product_and_one_tanh() -> None:
    """The gates' sigmoids come from the tanh of all of them; what is added to the product with the state joins it."""
    d = arranged(derive(sg.Model(GATES, sizes={"i": 2, "m": 4, "T": 5}).program))
    program, statements, _ = lightened(
        d.program, d.program.statements, [d.program.target, *d.gradients.values()]
    )
    loop = [s for s in statements if s.scan is not None and not s.scan.backward]
    calls = [e.name for s in loop for e in ex.walk(s.body) if isinstance(e, ex.Call)]
    assert calls == ["tanh", "tanh"]
    assert [len(s.reduced) for s in loop if s.reduced] == [1]
    assert program["h_row"].shape[-1].number == 4 + 2 + 1
    gradients = [s for s in statements if s.scan is None and len(s.reduced) == 2]
    assert [s.out for s in gradients if s.out.endswith("_products")] == [gradients[-1].out]


def test_sigmoids_that_need_small_values_stay() -> None:
    """Half of 1 and a tanh has nothing left of a small sigmoid, so its logarithm is not taken."""
    text = CELL.replace("s[n, t, 3*m + j]*tanh(c[n, t, j])", "log(s[n, t, 3*m + j])*tanh(c[n, t, j])")
    program = prepare(sg.Model(text).program, ["W"])[0]
    assert not [s for s in gates(program)[0].statements if s.out.endswith("_by_tanh")]


@pytest.mark.parametrize("name", TEXTS)
def test_arranged_loops_keep_their_values(name: str) -> None:
    """Loss and gradients from the arranged program, with lightened and reordered loops, are those of the derivation."""
    numbers = {"i": 2, "m": 4, "T": 5}
    plain = derive(sg.Model(TEXTS[name], sizes=numbers if name != "two apart" else {"T": 5}).program)
    d = arranged(plain)
    kept = [d.program.target, *d.gradients.values()]
    program, statements, _ = lightened(d.program, d.program.statements, kept)
    program, statements = ordered(program, statements, kept)
    given = inputs(plain.program, {"n": 3}, np.random.default_rng(4))
    one = run(plain.program, {"n": 3}, given)
    other = run(replace(program, statements=statements), {"n": 3}, given)
    for a, b in zip([plain.program.target, *plain.gradients.values()], kept, strict=True):
        np.testing.assert_allclose(other[b], one[a], rtol=1e-12, atol=1e-13, err_msg=a)


def test_steps_come_first_and_slices_before_the_rest() -> None:
    """What loops write is stored step by step; where slices are taken the axis that they are taken of comes next."""
    _, after = _lightened(CELL)
    orders = steps_first(after, after.statements, ())
    assert orders["c"] == orders["s"] == (1, 2, 0)
    whole = "x: data[n, T, m]; U: weight[m, m]; h[n, -1, j] = 0; loss = sum(h**2)\n"
    _, after = _lightened(whole + "h[n, t, j] = tanh(x[n, t, j] + sum(k, h[n, t - 1, k]*U[k, j]))")
    assert steps_first(after, after.statements, ())["h"] == (1, 0, 2)


# shrunk from random programs
ODD = {
    "a sum of parts of an adjoint of each step": """
w: weight
grid: constant[n, k]
a[-1, k] = w, k < n
b[i, -1] = 2, i < n
c[-1, k] = w, k < n
a[p, k] = b[k, p - 1], p < k
b[k, p] = a[p, n - 1]*a[p - 1, k] + c[p - 1, k]
d[p, k] = min(r, b[k, p], ties="first"), r < 3
e[p, k] = min(r, c[p - 1, r], ties="first"), p < k, k < n, r < n
c[p, k] = tanh(b[k, p - 1] + a[p - 1, k] + d[p, k] + e[p, k])
loss = sum(j, i, e[j, i])
""",
    "a leaf that is kept and does not recur": """
u: weight[n]
v: weight[k]
w: weight[k]
a[p, -1] = u[0], p < 1
b[p, -1] = v[p], p < 1
a[p, k] = b[p, k - 1], k < 1
b[p, k] = tanh(w[k + 1])*a[p, k - 1] + a[p, k - 1], k < 1
c = sum(q, b[q, q])
d[k] = c**4, k < n
loss = sum(j, 2*d[j])
""",
    "a loop of one step whose adjoints are zero": """
w: weight
v: weight
x: data
y: data
grid: constant[n, k]
a[n, -1] = x, n < 2*k
b[n, -1] = y, n < 2*k
c[-1, n] = x, n < 2*k
a[n, j] = b[n, j - 1], j < 1
d[j, n] = sum(r, w/(2*k)), j < 1, n < 2*k, r < 2*k
b[n, j] = tanh(a[2*k - n - 1, j - 1] + d[j, n] + c[j - 1, n])
e[j] = sum(r, a[0, j]/k), r < k
c[j, n] = e[j]
loss += v
loss += sum(q, e[0]/(k + 1)), q < 4
""",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_loops(name: str) -> None:
    d = derive(read(ODD[name]))
    sizes = {"n": 2, "k": 3}
    given = inputs(d.source, sizes, np.random.default_rng(0))
    exact = run(d.program, sizes, given)
    with dirty_memory():
        loss, gradients = load(function_source(d, style="fast", sizes=sizes), "f")["loss_and_grad"](**given)
    np.testing.assert_allclose(loss, exact["loss"], rtol=1e-12)
    for w, result in d.gradients.items():
        np.testing.assert_allclose(gradients[w], exact[result], rtol=1e-12)


def test_a_prediction_has_no_early_rows() -> None:
    """What stands before the first step is no part of what `forward` gives, in either style."""
    m = sg.Model(
        TEXTS["two apart"].replace("loss = sum(n, t, y[n, t]**2)", "goal: data[n, T]\nloss = mse(y, goal)")
    )
    x, found = np.random.default_rng(5).normal(size=(3, 5)), []
    for style in ("readable", "fast"):
        model = load(m.source("net", style=style), "net")["Model"](dtype=np.float64)
        model.set_weights({"a": [0.3, 0.5]})
        found.append(model.forward(x))
    assert found[0].shape == found[1].shape == (3, 5)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize(
    "name", ["plain", "cell", "layers", "sums before the loop", "states that feed each other", "two apart"]
)
def test_second_derivatives_of_the_fast_style(name: str, steps: int) -> None:
    """The Hessian times vectors, with several loops, as the reference has it; also when the buffers are used again."""
    if name == "two apart":
        steps += 1
    d = sg.hvp(TEXTS[name], sizes={"T": steps}).derived
    sizes = {s: {**SIZES, "T": steps}[s] for s in d.program.sizes}
    compute = load(function_source(d, style="fast", sizes=sizes), "hvp")[function_name(d)]
    for seed in (1, 2):
        given = inputs(d.source, sizes, np.random.default_rng(seed))
        exact, (loss, products) = run(d.program, sizes, given), compute(**given)
        np.testing.assert_allclose(loss, exact[d.program.target], rtol=1e-12)
        for w, result in d.gradients.items():
            scale = np.abs(exact[result]).max(initial=1)
            np.testing.assert_allclose(products[w], exact[result], rtol=0, atol=1e-12 * scale)
