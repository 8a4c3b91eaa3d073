"""The two sides of every comparison and kink: which of them were tried, that the others are looked for, and told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_check import changed

import symgrad as sg
from symgrad.check.numeric import check
from symgrad.check.proof import prove
from symgrad.exact.ways import Ways, has_kinks, turns
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Cmp
from symgrad.language.reader import read

FAR = "m = maximum(x**2 - 1e9, x)\nloss = sum(m)"
CODED = "t: data[n]\nloss = sum([t == 1]*x**2 + [t == -1]*x**3)"


def test_sides() -> None:
    program = read("x: data[n]\nc: weight\nloss = sum([x < 3 and c != 2]*abs(x - c))*hypot(x[0], c)")
    found = [(str(t.part), [tuple(map(str, pair)) for pair in t.sides]) for t in turns(program)]
    assert found == [
        ("x[n] < 3", [("x[n] < 3", "x[n] >= 3")]),
        ("c != 2", [("c != 2", "c == 2")]),
        ("abs(x[n] - c)", [("x[n] - c > 0", "x[n] - c < 0")]),
        ("hypot(x[0], c)", []),  # a kink at one point has no sides
    ]
    assert not has_kinks(read("x: data[n]\nloss = sum(x[n - 1]*exp(x))"))
    assert has_kinks(read("x: data[n]\nloss = max(x)"))


def test_what_is_not_computed_is_on_no_side() -> None:
    ways = Ways(read("x: data[n]\nloss = sum([x > 0]*relu(x - 5))"))
    ways.take({"n": 3}, {"x": np.array([-9.0, -1.0, -2.0])})
    assert ways.untaken == ("x[n] > 0 (line 2)", "x[n] - 5 > 0 (line 2)", "x[n] - 5 < 0 (line 2)")
    ways.take({"n": 2}, {"x": np.array([1.0, 8.0])})
    assert ways.untaken == ()


def test_positions_out_of_range_are_not_read() -> None:
    ways = Ways(read("x: data[n]\ny[i] = [i >= 1]*relu(x[i - 1]), i < n\nloss = sum(y)"))
    ways.take({"n": 3}, {"x": np.array([-1.0, 2.0, 3.0])})
    assert ways.untaken == ()


def test_a_loop_is_followed() -> None:
    ways = Ways(read("x: data[n]\nh[0] = 0\nh[t] = relu(h[t-1] - x[t])\nloss = sum(h)"))
    ways.take({"n": 3}, {"x": np.array([1.0, 1.0, 1.0])})
    assert ways.untaken == ("h[t - 1] - x[t] > 0 (line 3)",)


@pytest.mark.parametrize("text", [FAR, CODED])
def test_sides_are_looked_for(text: str) -> None:
    """And a gradient that is wrong only there is noticed by both checkers."""
    d = sg.derive(f"x: weight[n]\n{text}").derived
    assert check(d).untaken == ()
    assert prove(d).untaken == ()
    blind = sg.derive(
        "x: weight[n]\n" + ("loss = sum(x)" if text is FAR else f"{CODED.partition('+')[0]})")
    ).derived
    wrong = replace(blind, source=d.source)
    assert not check(wrong)
    assert not prove(wrong)


def test_what_was_not_tried_is_told() -> None:
    d = sg.derive("x: weight[n]\nloss = sum(relu(x)*exp([x > 3]))")
    given = {"x": np.array([1.0, 2.0])}
    for verdict in (d.check(given), d.check(given, exact=True), d.check(given, digits=30)):
        assert verdict.untaken == ("x[n] < 0 (line 2)", "x[n] > 3 (line 2)")
        assert "; no number tried met x[n] < 0 (line 2) or x[n] > 3 (line 2)" in str(verdict)
    assert "no number tried" not in str(d.check())
    assert "no number tried" not in str(d.check(exact=True))
    many = sg.derive("x: weight[n]\nloss = " + " + ".join(f"sum(relu(x**2 + {k}))" for k in range(2, 9)))
    assert str(many.check()).endswith("or 3 others")


def test_what_has_an_error_is_not_told_of_sides() -> None:
    d = sg.derive("x: weight[n]\nloss = sum(relu(x**2 + 1))").derived
    assert "no number" not in str(check(changed(d, "x", lambda e: e * 2)))


def test_a_size_of_one_may_divide_by_zero() -> None:
    d = sg.derive("x: weight[n]\nloss = sum(x/(n - 1))")
    assert d.check()
    with pytest.raises(sg.SymgradError, match="loss is inf for these arrays"):
        d.check({"x": np.ones(1)})


def test_sizes_that_only_a_label_has() -> None:
    """The points know them, though no array tells them."""
    assert sg.derive("x: weight[n]; y: label[n] < k; loss = sum(x**2)").check()


@pytest.mark.parametrize("limit", [2, 3, 4])
def test_windows_have_a_middle(limit: int) -> None:
    """The places of a window are tried beyond those at both ends."""
    d = sg.derive("x: data[n]; w: weight[k]; y[i] = sum(p, x[i + p]*w[p]); loss = sum(y**2)").derived
    assert check(d)
    assert prove(d)
    early = Bracket(Cmp("<", ex.val(ints.axis("i")), ex.lift(limit)))
    wrong = changed(d, "w", lambda e: ex.mul(e, early))
    assert not check(wrong)
    assert not prove(wrong)


def test_ties_are_tried() -> None:
    """A branch of the derivation that only ties, or zeros, take."""
    at = (ints.axis("n"),)
    d = sg.derive("x: weight[n]; loss = sum(abs(x))").derived
    zero = Bracket(Cmp("==", Access("x", at), ex.lift(0)))
    assert not check(changed(d, "x", lambda e: ex.add(e, ex.mul(5, zero))))
    d = sg.derive("x: weight[n]; loss = max(x)").derived
    winner = Bracket(Cmp("==", Access("x", at), Access("loss", ())))
    assert not check(changed(d, "x", lambda _: winner))  # not shared by all winners
    d = sg.derive("x: weight[n]; loss = norm(x)").derived
    assert not check(changed(d, "x", lambda _: Access("x", at) / Access("loss", ())))  # 0/0 at 0


@pytest.mark.parametrize(
    "declared, given",
    [
        ("A: data[n, n] & symmetric; x: weight[n]; loss = x @ A @ x", {"A": [[1.0, 0.3], [0.1 + 0.2, 2.0]]}),
        ("x: weight[n]; t: data[n] & distribution; loss = -sum(t*log_softmax(x))", {"t": [0.1] * 10}),
    ],
)
def test_facts_that_hold_to_rounding(declared: str, given: dict) -> None:
    x = np.linspace(-1, 1, len(next(iter(given.values()))))
    assert sg.derive(declared).check({"x": x, **given}, exact=True)


@pytest.mark.parametrize("x", [[[1.0, 2.0], [2.0, 4.0]], np.arange(9.0).reshape(3, 3)])
def test_singular_determinants_have_slopes(x: list) -> None:
    assert sg.derive("x: weight[n, n]; loss = det(x)").check({"x": x}, exact=True)
