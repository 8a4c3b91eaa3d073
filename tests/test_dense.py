"""The passes that make steps of dense networks short: each does its part, and changes no value."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.emit import fast
from symgrad.emit.improve import IMPROVEMENTS
from symgrad.emit.improve.flats import flats
from symgrad.emit.improve.gathers import gathers
from symgrad.emit.improve.maxima import maxima
from symgrad.emit.improve.onehots import onehots
from symgrad.emit.improve.ones import ones
from symgrad.emit.improve.orientation import orientation
from symgrad.emit.improve.outer import outer
from symgrad.emit.improve.shifts import shifts
from symgrad.emit.improve.sums import sums
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes
from symgrad.language.trace import Derived


@cache
def derived(text: str) -> Derived:
    return sg.derive(text).derived


def lines(text: str) -> list[str]:
    """What the fast form of loss and gradients does in a step, without comments."""
    source = emit.function_source(derived(text), style="fast")
    steps = [
        line.strip()
        for line in str(source).partition("def _run():")[2].partition("return loss")[0].splitlines()
    ]
    return [line for line in steps if line and not line.startswith("#")]


def agrees(text: str) -> None:
    """The fast form gives what the reference gives, twice over the same buffers."""
    d = derived(text)
    sizes = small_sizes(d.source)
    f = emit.load(emit.function_source(d, style="fast"), "f")["loss_and_grad"]
    for seed in (0, 1):
        given = inputs(d.source, sizes, np.random.default_rng(seed))
        wanted = run(d.program, sizes, given)
        loss, gradients = f(*given.values())
        np.testing.assert_allclose(loss, wanted[d.program.target], rtol=1e-12)
        for weight, adjoint in d.gradients.items():
            np.testing.assert_allclose(gradients[weight], wanted[adjoint], rtol=1e-10, atol=1e-13)


CLASSIFIER = """
    x: data[n, 7]
    t: label[n] < 5
    z = dense(relu(dense(x, 9)), 5)
    loss = softmax_cross_entropy(z, t)
"""

# a pass, a network that it is for, and part of a line that is there with the pass and only with it
CASES: list[tuple[Callable[..., Any], str, str]] = [
    (sums, "x: weight[n, m]; y: data[n, m]; loss = sum((x - y)**2)", ".dot("),
    (
        outer,
        "u: weight[n]; v: weight[m]; A: data[n, m]; loss = sum(n, m, sin(u[n]*v[m])*A[n, m])",
        "u_column.dot(v_spread, part1)",
    ),
    (
        maxima,
        "x: weight[n, m]; w: data[m]; loss = sum(n, m, sin(relu(x[n, m]*w[m])))",
        "maximum(part1, const1, out=part1)",
    ),
    (gathers, "z: weight[n, k]; t: label[n] < k; loss = sum(n, z[n, t[n]]**2)", ".take("),
    (
        gathers,
        "z: weight[n, k, h, d]; t: label[n] < k; u: label[n] < h; loss = sum(n, d, z[n, t[n], u[n], d]**3)",
        ".take(",
    ),
    (flats, "w: weight[n, 1]; t: data[n, 1]; loss = mean((w - t)**2)", "part1_flat.dot(part1_flat)"),
    (
        flats,
        "z: weight[n, k]; t: label[n] < k; u: data[k]; loss = cross_entropy(z, t, u)",
        "multiply(1 / loss_9, ",
    ),
    (orientation, CLASSIFIER, "maximum.reduce(z, 0,"),
    (onehots, CLASSIFIER, ".put("),
    (shifts, CLASSIFIER, "exp(part1, part2)"),
    (onehots, CLASSIFIER, "multiply(const6, loss_2, "),
    (onehots, "z: weight[n, m, 5]; t: label[n, m] < 5; loss = sum(softmax_cross_entropy(z, t))", ".put("),
]


@pytest.mark.parametrize("change, text, part", CASES)
def test_a_pass_does_its_part(
    change: Callable[..., Any], text: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agrees(text)
    assert any(part in line for line in lines(text))
    monkeypatch.setattr(fast, "IMPROVEMENTS", tuple(p for p in IMPROVEMENTS if p is not change))
    assert not any(part in line for line in lines(text))
    agrees(text)


ENTRIES = {  # what a step reads and writes by positions, by conditions, by slices, by reductions
    "classes": """
        x: data[n, 64]
        t: label[n] < 200
        loss = softmax_cross_entropy(dense(relu(dense(x, 150)), 200), t)
    """,
    "gathers": "E: weight[300, 64]; t: label[n] < 300; w: weight[64]; loss = mean(n, sum(i, sin(E[t[n], i])*w[i]))",
    "diagonals": "A: weight[300, 300]; b: data[300]; loss = sum(i, sin(A[i, i])*b[i]) + sum((A @ A)**2)",
    "largest": "x: data[n, 300]; W: weight[300, 128]; loss = sum(n, max(i, sum(k, x[n, k]*W[k, i])))",
    "conditions": """
        x: data[n, 300]
        w: weight[300]
        loss = mean(n, i, [x[n, i] > 0]*log(x[n, i] + exp(w[i])) + relu(w[i]*x[n, i]))
    """,
    "wide": "x: data[n, 64]; t: data[n, 1]; loss = mse(dense(tanh(dense(x, 256)), 1), t)",
}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_step_makes_no_array(name: str) -> None:
    """Every matrix is larger than what NumPy itself needs to convert numbers, at most 8192 at a time."""
    d = derived(ENTRIES[name])
    namespace = emit.load(emit.function_source(d, style="fast"), "f")
    sizes = dict.fromkeys(small_sizes(d.source), 1024)
    given = inputs(d.source, sizes, np.random.default_rng(0))
    namespace["loss_and_grad"](*given.values())
    (plan,) = namespace["_PLANS"].values()
    tracemalloc.start()
    for _ in range(3):
        plan[2]()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150_000


def test_a_bias_is_a_row_of_its_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sum and no gradient of its own, in a module, where weights lie one behind the other; values are the same."""
    text = "x: data[n, 2]; t: data[n, 1]; loss = mse(dense(tanh(dense(x, 6)), 1), t) + sum(W1**2)"
    found = []
    for passes in (IMPROVEMENTS, tuple(p for p in IMPROVEMENTS if p is not ones)):
        monkeypatch.setattr(fast, "IMPROVEMENTS", passes)
        source = sg.Model(text).source(style="fast")
        model = emit.load(source, "m")["Model"](dtype=np.float64)
        rng = np.random.default_rng(0)
        losses = [model.step(rng.standard_normal((9, 2)), rng.standard_normal((9, 1))) for _ in range(3)]
        found.append((losses, model.get_weights()))
        assert (".dot(W2_b2, " in source, ", dW2_db2)" in source) == (passes is IMPROVEMENTS,) * 2
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    for name, w in found[0][1].items():
        np.testing.assert_allclose(w, found[1][1][name], rtol=1e-9, atol=1e-12)
