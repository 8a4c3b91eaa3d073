"""Finite gradients that are the right limits, and no warnings, where numbers are hard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import symgrad as sg
from symgrad.check.numeric import check
from symgrad.leaves import LEAVES
from tests.extremes import OPERATIONS, operation, outcomes

SOME = (
    "bce of sigmoid", "focal 0.5", "length", "one over cosh", "root of relu", "quotient of exponentials", "tanh", "std",
    "softmax by hand", "normalize", "bce", "log of sum of exp",
)  # fmt: skip


@pytest.mark.parametrize("name", SOME)
def test_hard_numbers(name: str) -> None:
    found = operation(name, entries=2)
    assert not [o for o in found if not o.ok]
    assert [o for o in found if o.found == "agrees"]


@pytest.mark.long
@pytest.mark.parametrize("name", OPERATIONS)
def test_hard_numbers_of_every_operation(name: str) -> None:
    assert not [o for o in operation(name) if not o.ok]


def test_a_wrong_limit_and_a_warning_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    d = sg.derive("x: weight[n]\nloss = sum(x/sinh(x))")  # 0 where sinh overflows, which no form of it avoids
    assert {o.found[:5] for o in outcomes("", d) if o.point == "1000"} == {"warns"}
    wrong = replace(LEAVES["logcosh"], derivative=("tanh(x)*[x < 999]",))
    monkeypatch.setitem(LEAVES, "logcosh", wrong)
    from symgrad import scalars

    scalars._function.cache_clear()
    scalars.differentiate.cache_clear()
    try:
        found = outcomes("", sg.derive("x: weight[n]\nloss = sum(logcosh(x))"))
    finally:
        scalars._function.cache_clear()
        scalars.differentiate.cache_clear()
    assert {o.point for o in found if not o.ok} >= {"1000"}
    assert not [o for o in found if o.point == "-1000" and not o.ok]


def test_the_length_of_nothing_has_slope_0() -> None:
    d = sg.derive("x: weight[n, k]\nloss = sum(n, sqrt(sum(k, x[n, k]**2)))")
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(d.function()(x)[1]["x"], [[0, 0], [0.6, 0.8]], rtol=1e-15)
    assert d.check({"x": x}), d.check({"x": x})


def test_the_check_holds_where_the_definition_overflows() -> None:
    """In so many digits that nothing does; and a gradient that is wrong there is told."""
    d = sg.derive("z: weight[n]\ny: weight[n]\nloss = sum(log(1 + exp(z)))*sum(y)")
    given = {"z": [1000.0, -1000.0], "y": [1.0, 2.0]}
    verdict = d.check(given)
    assert verdict, verdict
    assert "1000 digits" in str(verdict)
    other = sg.derive("z: weight[n]\ny: weight[n]\nloss = sum(log(1 + exp(z)))*sum(1.001*y)").derived
    wrong = check(replace(d.derived, program=other.program, gradients=other.gradients), given)
    assert not wrong


def test_only_roots_that_may_be_of_0_have_a_guard() -> None:
    """Not those of positive numbers, nor of what does not depend on a weight, nor of what may be negative."""
    text = "x: weight[n]\ny: data[n]\nloss = {}"
    for formula in (
        "sqrt(sum(x**2) + 1)",
        "sum(x)*sqrt(sum(y**2))",
        "sqrt(sum(x))",
        "sum(x)/sqrt(sum(x**2))",
    ):
        assert "> 0" not in sg.derive(text.format(formula)).text(), formula
    for formula in (
        "sqrt(sum(x**2))",
        "sum(abs(x)**3)**(1/3)",
        "sum(sqrt(relu(x)))",
        "sqrt(sum(sigmoid(x)))",
    ):
        assert "> 0" in sg.derive(text.format(formula)).text(), formula
