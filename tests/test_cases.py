"""Every case of `cases` in symgrad's language: value and derivatives in all realisations, and the printed values."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import cases, declarations

import symgrad as sg
from symgrad import emit
from symgrad.language.bind import bind
from symgrad.language.reference import run
from symgrad.passes.precise import precise

CASES = cases()
DECLARED = declarations()

Evaluation = Callable[..., tuple[Any, dict[str, Any]]]


def test_every_case_is_declared() -> None:
    assert len(CASES) == 204
    assert {heading.partition(":")[0] for heading in DECLARED} == set(CASES)


def derivation(case: Any, text: str) -> sg.Derivation:
    return sg.jacobian(text, wrt=case.wrt) if case.kind == "jacobian" else sg.derive(text, wrt=case.wrt)


def realisations(d: sg.Derivation) -> dict[str, Evaluation]:
    """What evaluates the derivation, by name; each takes the inputs by name."""
    program = d.derived.source
    source = emit.function_source(d.derived, style="fast")
    fast = emit.load(source, "symgrad_fast")[emit.function_name(d.derived)]

    def bound(given: dict[str, Any]) -> tuple[dict[str, int], dict[str, Any]]:
        needed = {t.name: given[t.name] for t in program.inputs if t.name in given}  # a derivative may not need all
        return bind(program, needed)

    def compiled(**given: Any) -> tuple[Any, dict[str, Any]]:
        with np.errstate(divide="ignore", over="ignore"):  # as `function` does
            return fast(*bound(given)[1].values())

    def reference(**given: Any) -> tuple[Any, dict[str, Any]]:
        with np.errstate(divide="ignore", over="ignore"):
            out = run(precise(d.derived.program), *bound(given))
        return out[program.target], {name: out[adjoint] for name, adjoint in d.derived.gradients.items()}

    return {"readable": d.function(), "fast": compiled, "reference": reference}


def agrees(got: Any, wanted: Any, what: str) -> None:
    """|got - wanted| <= 1e-10 max(1, max |wanted|), and the same shape."""
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape} for {wanted.shape}"
    with np.errstate(invalid="ignore"):  # inf - inf, where both are infinite
        error = np.where(got == wanted, 0.0, np.abs(got - wanted))
    assert np.all(error <= 1e-10 * max(1.0, np.abs(wanted).max(initial=0.0))), f"{what}: {got} for {wanted}"


def within(got: Any, wanted: Any, expected: Any, what: str) -> None:
    """The value that a source prints, within its own tolerance."""
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape} for {wanted.shape}"
    with np.errstate(invalid="ignore"):
        same = (got == wanted) | (np.abs(got - wanted) <= expected.atol + expected.rtol * np.abs(wanted))
    assert same.all(), f"{expected.note}: {what}: {got} for {wanted}"


@pytest.mark.parametrize("heading", DECLARED)
def test_case(heading: str) -> None:
    case = CASES[heading.partition(":")[0]]
    d = derivation(case, DECLARED[heading])
    for style, evaluate in realisations(d).items():
        for k in range(len(case.sizes)):
            given = case.make(k)
            value, gradients = evaluate(**given)
            agrees(value, case.f(**given), f"{style}, value")
            assert list(gradients) == list(case.wrt)
            for name in case.wrt:
                agrees(gradients[name], case.grad[name](**given), f"{style}, gradient by {name}")
        for expected in case.expected:
            value, gradients = evaluate(**expected.inputs)
            if expected.value is not None:
                within(value, expected.value, expected, f"{style}, value")
            for name, wanted in expected.grads.items():
                within(gradients[name], wanted, expected, f"{style}, gradient by {name}")
            for name, (low, high) in expected.accept.items():
                assert np.all((low <= gradients[name]) & (gradients[name] <= high)), expected.note


@pytest.mark.parametrize("name", [case.id for case in CASES.values() if case.hess])
def test_hessian(name: str) -> None:
    case = CASES[name]
    for a, b in case.hess:
        h = sg.hessian(DECLARED[name], wrt=list(dict.fromkeys((a, b))))
        for style, evaluate in realisations(h).items():
            for k in range(len(case.sizes)):
                given = case.make(k)
                value, hessians = evaluate(**given)
                agrees(value, case.f(**given), f"{style}, value")
                agrees(hessians[a, b], case.hess[a, b](**given), f"{style}, {a} {b}")
