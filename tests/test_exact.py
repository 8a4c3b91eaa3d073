"""The exact proof: it holds for what is right, fails for what is wrong, and says on what grounds."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import mpmath
import pytest
from cases import cases, declarations
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ops import OPS

import symgrad as sg
from symgrad import gallery
from symgrad.check import proof
from symgrad.check.proof import Proof, prove
from symgrad.errors import Refusal
from symgrad.exact.duals import Dual, Duals
from symgrad.exact.reals import FUNCTIONS, MP, Exact
from symgrad.language.trace import Derived
from symgrad.leaves import LEAVES
from symgrad.ops import examples

# ---------------------------------------------------------------------- numbers with a slope

fractions = st.fractions(-3, 3, max_denominator=10_007)


@settings(max_examples=60)
@given(st.sampled_from(sorted(FUNCTIONS)), st.lists(fractions, min_size=4, max_size=4))
def test_slopes_of_functions_are_those_of_their_digits(name: str, drawn: list[Fraction]) -> None:
    """Each function along a random direction against a difference in 60 digits."""
    kind = Duals(Exact())
    low, high = LEAVES[name].domain
    count = len(LEAVES[name].params)
    middle, half = Fraction(low + high) / 2, Fraction(high - low) / 2
    at = [middle + half * x / 4 for x in drawn[:count]]  # inside the domain
    along = drawn[2 : 2 + count]
    found = kind.apply(
        name, *(Dual(kind, kind.number(a), kind.number(v)) for a, v in zip(at, along, strict=True))
    )
    h = Fraction(1, 10**20)

    def value(side: int) -> Any:
        return kind.exact.apply(name, *(a + side * h * v for a, v in zip(at, along, strict=True))).value

    if (
        kind.ties
        or name in ("sign", "round", "floor", "ceil", "xlogx", "xlogy", "sinc", "dsinc", "abs", "relu")
        and not all(at)
    ):
        return
    slope = (value(1) - value(-1)) / (2 * mpmath.mpf(h.numerator) / h.denominator)
    assert abs(kind.slope(found).value - slope) < 1e-15 * max(1, abs(slope))


def test_a_tie_takes_the_branch_that_lies_ahead() -> None:
    kind = Duals(Exact())
    for slope, ahead in ((1, 1), (-1, 0)):
        x = Dual(kind, kind.number(0), kind.number(slope))
        assert kind.slope(kind.apply("relu", x)).value == ahead * slope
        assert kind.slope(kind.apply("abs", x)).value == 1
        assert kind.slope(kind.apply("maximum", kind.number(0), x)).value == ahead * slope
    assert kind.ties > 0


# ---------------------------------------------------------------------- what is right

RIGHT = {
    "two layers": "x: data[n, 4]; t: data[n, 3]; loss = mean((dense(tanh(dense(x, 5)), 3) - t)**2)",
    "classifier": "x: data[n, 4]; t: label[n] < 3; loss = softmax_cross_entropy(dense(relu(dense(x, 5)), 3), t)",
    "embedding": "E: weight[v, d]; t: label[n] < v; e[n, k] = E[t[n], k]; loss = sum(sin(e))",
    "padded": "x: weight[h]; w: weight[3];"
    "c[j < h] = sum(p, [0 <= j + p - 1 < h], x[j + p - 1]*w[p]); loss = sum(c**3)",
    "loop": "x: weight[n, 2]; U: weight[3, 3]; V: weight[2, 3]; a: weight[3];"
    "h[t, j] = tanh(sum(i, x[t, i]*V[i, j]) + sum(k, h[t - 1, k]*U[k, j])); h[-1, k] = a[k]; loss = sum(h**2)",
    "solve": "A: weight[n, n]; b: weight[n]; loss = sum(solve(A, b)**2) + logdet(A @ A.T)",
    "symmetric": "A: weight[n, n] & symmetric; x: data[n]; loss = x @ A @ A @ x",
    "products and maxima": "x: weight[n]; y: weight[n, m]; m1[i] = max(j, y[i, j]); loss = prod(x)*sum(m1**2) + min(x)",
    "stop": "x: weight[n]; loss = sum(stop(exp(x))*x)",
}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_what_is_right_is_proved(text: str) -> None:
    found = sg.derive(text).check(exact=True)
    assert found.exact, found
    assert found.expanded is not False
    assert len({tuple(s.values()) for s in found.sizes}) == len(found.sizes)


@pytest.mark.parametrize(
    "name", [n if k % 16 == 0 else pytest.param(n, marks=pytest.mark.long) for k, n in enumerate(OPS)]
)
def test_operations(name: str) -> None:
    for e in examples(name):
        found = sg.derive(e.declaration).check(exact=True)
        assert found.ok, found


# what is written with smaller numbers, so that it can be computed in exact arithmetic: a loop of ten steps has more
# exponentials in exponents than residues are kept for
SMALL = {
    "adding": [("10, 2]", "3, 2]"), ("16", "4"), ("h[:, 9]", "h[:, 2]")],
    "cnn": [("8, 8]", "4, 6]"), ("x, 8,", "x, 3,"), ("a, 16,", "a, 2,"), ("10", "5")],
    "transformer": [("n, 32]", "n, 3]"), ("52", "5"), ("32", "4"), ("64", "6")],
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.long) if n in ("digits", "cnn") else n for n in gallery.networks()],
)
def test_networks(name: str) -> None:
    text = gallery.networks()[name].read_text("utf-8")
    for number, smaller in SMALL.get(name, []):
        assert number in text
        text = text.replace(number, smaller)
    found = sg.derive(text).check(exact=True)
    assert found.exact, found


CASES, DECLARED = cases(), declarations()


@pytest.mark.long
@pytest.mark.parametrize("heading", DECLARED)
def test_cases(heading: str) -> None:
    case = CASES[heading.partition(":")[0]]
    make = sg.jacobian if case.kind == "jacobian" else sg.derive
    found = make(DECLARED[heading], wrt=case.wrt).check(exact=True)
    assert found.ok, found


@pytest.mark.parametrize("make", [sg.hessian, sg.hvp, sg.jacobian, sg.per_example], ids=lambda f: f.__name__)
def test_other_derivatives(make: Any) -> None:
    text = "x: data[n, 2]; y: data[n]; w: weight[2]; b: weight; z = tanh(x @ w + b); loss = mean((z - y)**2)"
    d = make(text, of="z", wrt="w") if make is sg.jacobian else make(text, wrt=["w", "b"])
    found = d.check(exact=True)
    assert found.exact, found
    last = d.derived.program.statements[-1]
    assert not prove(changed(d.derived, last.out)).ok


# ---------------------------------------------------------------------- what is wrong


def changed(d: Derived, name: str, factor: Fraction = Fraction(1001, 1000)) -> Derived:
    """The derivation with one statement a thousandth wrong."""
    statements = [replace(s, body=s.body * factor) if s.out == name else s for s in d.program.statements]
    return replace(d, program=replace(d.program, statements=tuple(statements)))


def test_a_wrong_gradient_is_placed() -> None:
    d = sg.derive(RIGHT["two layers"]).derived
    found = prove(changed(d, d.gradients["W2"]))
    assert not found.ok
    assert [r.name for r in found.rows if not r.equal] == ["W2"]
    row = next(r for r in found.rows if not r.equal)
    assert row.place == (0, 0)
    assert float(row.derived) == pytest.approx(1.001 * float(row.forward))
    assert "NOT EQUAL: W2" in str(found)
    # digits decided that, and no line says otherwise
    assert not row.exactly
    assert [line for line in str(found).splitlines() if " NO " in line and "exact arithmetic" in line] == []


def test_a_function_at_zero_is_written_out() -> None:
    assert sg.derive("x: weight[n]; loss = sum(tanh(x - x) + x**2)").check(exact=True).expanded


def test_what_is_nowhere_finite_is_not_passed_over() -> None:
    """The definition says where a point is good, not what was derived; and a sum over nothing is an exact zero."""
    d = sg.derive("x: weight[n, k]; l[k] = min(n, x[n, k]); loss = sum(exp(l))").derived
    (ties,) = (s for s in d.program.statements if s.out == "l_ties")
    fewer = replace(ties, axes=tuple((a, m - 1 if a == "n" else m) for a, m in ties.axes))
    statements = tuple(fewer if s is ties else s for s in d.program.statements)
    found = prove(replace(d, program=replace(d.program, statements=statements)))
    assert [r.name for r in found.rows if not r.equal] == ["x"]


def test_every_way_through_a_program_is_gone() -> None:
    """A fault where one entry of few is the largest, or far out, is met at one of several points."""
    d = sg.derive("x: weight[2]; loss = sum(max(i, x[i])**2)").derived
    for wrong in ("max(i, x[i])**2 + [x[0] > x[1]]*x[0]", "max(i, x[i])**2 + [x[0] < x[1]]*x[0]",
                  "max(i, x[i])**2 + [x[0] > 1.5]*x[0]"):  # fmt: skip
        other = sg.derive(f"x: weight[2]; loss = sum({wrong})").derived
        assert not prove(replace(other, source=d.source)).ok, wrong


def test_a_wrong_value_is_found() -> None:
    d = sg.derive(RIGHT["two layers"]).derived
    assert not prove(changed(d, d.source.target)).ok


def test_a_gradient_that_is_wrong_in_one_entry_is_found() -> None:
    d = sg.derive("x: weight[n]; loss = sum(x**3)")
    other = sg.derive("x: weight[n]; loss = sum(x**3) + [n > 2]*1e-9*x[1]")
    assert d.check(exact=True).ok
    assert not prove(replace(other.derived, source=d.derived.source)).ok


def test_sympy_disagrees_with_another_function() -> None:
    d, other = (
        sg.derive("x: weight[n]; loss = sum(x**3)"),
        sg.derive("x: weight[n]; loss = sum(x**3) + x[0]/10**9"),
    )
    wrong = replace(d.derived, program=other.derived.program, gradients=other.derived.gradients)
    found = prove(wrong)
    assert found.expanded is False
    assert "sympy" in str(replace(found, rows=()))


# ---------------------------------------------------------------------- kinks, numbers that are given, what is refused


def test_at_a_kink_what_lies_between_is_accepted() -> None:
    d = sg.derive("x: weight[n]; loss = sum(abs(x)) + sum(relu(x))").derived
    at = {"x": [0.0, -2.0]}
    found = prove(d, at)
    assert found.ok
    assert sum(r.kinks for r in found.rows) > 0
    source = d.source
    for slope, fine in ((1.9, True), (-0.9, True), (2.1, False), (-1.1, False)):
        other = sg.derive(
            f"x: weight[n]; loss = sum({slope}*[x == 0]*x) + sum(abs(x)) + sum(relu(x))"
        ).derived
        assert prove(replace(other, source=source), at).ok is fine, slope


def test_given_numbers_are_taken_as_they_are() -> None:
    d = sg.derive("x: weight[n]; loss = sum(1/(x - 0.1))")
    assert d.check({"x": [0.5, 0.25, 1e-3]}, exact=True).exact
    with pytest.raises(sg.SymgradError):
        d.check({"y": [1.0]}, exact=True)


def test_what_only_digits_decide_is_no_proof() -> None:
    found = sg.derive("A: weight[n, n] & symmetric; loss = sum(eigvals(A)**3)").check(exact=True)
    assert found.ok
    assert not found.exact
    assert "which is no proof" in str(found)


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "MOST", 10)
    with pytest.raises(Refusal, match="too many numbers for exact arithmetic"):
        prove(sg.derive(RIGHT["two layers"]).derived)


def test_the_verdict_is_one_of_all_points() -> None:
    row = proof.Proven("w", True, True)
    wrong = proof.Proven("w", False, True, 0, (1,), "1", "2")
    assert not (row & wrong).equal and not (wrong & row).equal
    assert (row & wrong).place == (1,)
    assert not Proof((wrong,), ({},), ()).ok
    assert MP.dps == 60


def test_a_proof_says_that_it_holds_for_the_ways_it_went() -> None:
    assert "different ways" in str(sg.derive("x: weight[n]; loss = sum(relu(x))").check(exact=True))
    assert "different ways" not in str(sg.derive("x: weight[n]; loss = sum(x**2)").check(exact=True))
