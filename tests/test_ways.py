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
