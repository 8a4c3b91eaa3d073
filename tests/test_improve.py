"""Passes over lowered values: every program computes the same, and the code is what the pass is for."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.emit.graph import improved, lowered
from symgrad.emit.improve import IMPROVEMENTS
from symgrad.emit.lower import Lowering
from symgrad.emit.values import python
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes

ATTENTION = """
    x: data[n, 33, 8]; W: weight[8, 24]; t: data[n, 33, 8]
    h = x @ W
    s[n, a, j, k] = sum(d < 4, h[n, j, d + 4*a]*h[n, k, d + 4*a + 8])/sqrt(4), a < 2
    p = softmax(s)
    o[n, j, d + 4*a] = sum(k, p[n, a, j, k]*h[n, k, d + 4*a + 16]), d < 4
    loss = mean((o - t)**2)
"""
PROGRAMS = {
    "attention": ATTENTION,
    "sums first": "x: weight[n, 3, 4]; y: weight[4]; z[k] = sum(n, j, exp(x[n, j, k])); loss = sum(z**2*y)",
    "sums last": "x: weight[n, 3, 4]; z[n] = sum(j, k, exp(x[n, j, k]))/7; loss = sum(z**3)",
    "sums between": "x: weight[n, 3, 4]; z[n, k] = sum(j, exp(x[n, j, k]))/7; loss = sum(z**3)",
    "sums of all": "x: weight[n, 3, 4]; y: weight[n, 3, 4]; loss = sum(sin(x)*cos(y)) + sum(exp(x)**2)",
    "small terms": "x: weight[n, 3, 4]; a: weight[4]; b: weight[3, 4]; c: weight; loss = sum((sin(x) + a + b + c)**3)",
    "parts": "x: weight[n, 6]; a[n, i] = x[n, i]*x[n, i + 3], i < 3; loss = sum(sin(a)) + sum(a**2)",
    "overlapping parts": "x: weight[n, 6]; a[n, i] = x[n, i]*x[n, i + 2], i < 4; loss = sum(sin(a)) + sum(a**2)",
    "turned": "x: weight[n, 3]; y: weight[3, 4]; z = x @ y; w = 2*z.T; loss = sum(tanh(w)) + sum(z**3)",
    "scaled": "x: weight[n, 3]; y: weight[3, 40]; z = (x @ y)/7; loss = sum(z**3) + sum(sin(z))",
    "heads": "x: data[n, 2, 40, 3]; y: weight[n, 2, 40, 3]; z[n, a, i, j] = 3*sum(k, x[n, a, i, k]*y[n, a, j, k])\n"
    "loss = sum(sin(z))",
}


def steps(source: str) -> str:
    """The lines that compute, of the loss and its gradients."""
    return source.split("def _run():")[1].split("return loss", maxsplit=1)[0]


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_are_kept(name: str) -> None:
    derived = sg.derive(PROGRAMS[name]).derived
    sizes = small_sizes(derived.source)
    fast = emit.load(emit.function_source(derived, style="fast"), "f")["loss_and_grad"]
    for seed in (0, 1):
        given = inputs(derived.source, sizes, np.random.default_rng(seed))
        wanted = run(derived.program, sizes, given)
        loss, gradients = fast(*given.values())
        np.testing.assert_allclose(loss, wanted[derived.program.target], rtol=1e-12)
        for weight, adjoint in derived.gradients.items():
            np.testing.assert_allclose(gradients[weight], wanted[adjoint], rtol=1e-11, atol=1e-13)


def code(name: str) -> str:
    return steps(emit.function_source(sg.derive(PROGRAMS[name]).derived, style="fast"))


def test_nothing_is_copied_but_transposed_right_factors() -> None:
    text = code("attention")
    assert len(re.findall(r"copyto\(", text)) == 1  # the other one is multiplied by a number on the way
    assert ".fill(" not in text
    assert "add.reduce" not in text


def test_parts_that_overlap_are_added() -> None:
    assert ".fill(0)" in code("overlapping parts")
    assert ".fill(0)" not in code("parts")


def test_a_number_goes_to_the_smaller_factor() -> None:
    assert "divide" in code("scaled").split(".dot(")[0]


SCALED = {
    # a number behind a product and what is linear in it goes to the product's smaller factor
    "through sums": "x: weight[n, 5]; A: weight[5, 40]; B: weight[5, 40]; s: data[n, 40]\n"
    "z = 3*(s*(x @ A) + x @ B); loss = sum(z**3)",
    "both ways": "x: data[n, 9, 5]; y: weight[n, 9, 5]; u: data[n, 9, 9]; z[n, i, j] = sum(k, x[n, i, k]*y[n, j, k])\n"
    "w = z*u; p[n, i, k] = 7*sum(j, w[n, i, j]*x[n, j, k]); q[n, j, k] = 7*sum(i, w[n, i, j]*x[n, i, k])\n"
    "loss = sum(sin(p)) + sum(q**2)",
    "read unscaled too": "x: weight[n, 5]; A: weight[5, 40]; z = x @ A; loss = sum(exp(3*z)) + sum(sin(z))",
    "two numbers": "x: weight[n, 5]; A: weight[5, 40]; z = x @ A; loss = sum(sin(3*z)) + sum(exp(z/7))",
    "a square": "x: weight[n, 5]; A: weight[5, 40]; z = x @ A; loss = sum(sin(3*z**2))",
    "quotients": "x: weight[n, 5]; A: weight[5, 40]; s: data[n, 40]; z = (x @ A)/(2 + s**2)/7; loss = sum(sin(z))",
    "of a divisor": "x: weight[n, 5]; A: weight[5, 40]; z = 3/(9 + x @ A); loss = sum(sin(z))",
}


@pytest.mark.parametrize("name", SCALED)
def test_numbers_that_move_keep_values(name: str) -> None:
    derived = sg.derive(SCALED[name]).derived
    sizes = small_sizes(derived.source)
    given = inputs(derived.source, sizes, np.random.default_rng(0))
    wanted = run(derived.program, sizes, given)
    loss, gradients = emit.load(emit.function_source(derived, style="fast"), "f")["loss_and_grad"](
        *given.values()
    )
    np.testing.assert_allclose(loss, wanted[derived.program.target], rtol=1e-12)
    for weight, adjoint in derived.gradients.items():
        np.testing.assert_allclose(gradients[weight], wanted[adjoint], rtol=1e-11, atol=1e-13)


def multiplied(name: str) -> list[str]:
    """The shapes of what is multiplied by a number."""
    derived = sg.derive(SCALED[name]).derived
    lowering = Lowering(derived.program, calls=False, products=True)
    graph = lowered(lowering, derived.program.statements, [derived.program.target])
    graph = improved(graph, IMPROVEMENTS)
    return [
        ", ".join(map(str, v.shape)) for v in graph.order
        if v.op == "ufunc" and v.info in ("multiply", "divide") and v.shape and any(map(python, v.args))
    ]  # fmt: skip


def test_where_numbers_go() -> None:
    assert multiplied("both ways") == ["n, 9, 5"]  # a factor, in place of two results
    assert multiplied("read unscaled too") == ["n, 40"]
    assert multiplied("two numbers") == ["n, 40", "n, 40"]
    assert multiplied("a square") == ["n, 40"]
