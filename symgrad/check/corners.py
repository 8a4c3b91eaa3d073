"""Slopes corner by corner: between which numbers a slope lies if at every kink it is any between those to both sides.

Where several kinks meet, the slopes of the whole to both sides are too narrow: relu(x) - 2*relu(-y) has at x = y = 0
along (1, 1) the slopes 1 and 2, and with the slope 0 at each kink, which is between those to both sides there, comes 0.
So forward mode carries a range of slopes: what is smooth maps its ends, a kink takes the hull of both sides (the
conservative gradients of J. Bolte and E. Pauwels, Mathematical Programming 188, 2021). Brackets hold as they do at the
point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symgrad.exact.duals import Dual, Duals
from symgrad.exact.reals import Digits, Exact, Real
from symgrad.language.program import Program
from symgrad.language.reference import Arrays, run

_HULLS = ("abs", "relu", "maximum", "minimum")


class Range:
    """Slopes from `low` to `high`, in the place of one."""

    __slots__ = ("high", "low")
    value = 0  # numbers that are equal are not told apart by it

    def __init__(self, low: Real, high: Real):
        self.low, self.high = (low, high) if low <= high else (high, low)

    def __add__(self, other: Any) -> Range:
        b = _range(other)
        return Range(self.low + b.low, self.high + b.high)

    __radd__ = __add__

    def __neg__(self) -> Range:
        return Range(-self.high, -self.low)

    def __sub__(self, other: Any) -> Range:
        return self + -_range(other)

    def __rsub__(self, other: Any) -> Range:
        return -self + other

    def __mul__(self, number: Any) -> Range:
        return Range(self.low * number, self.high * number)

    __rmul__ = __mul__

    def __truediv__(self, number: Any) -> Range:
        return Range(self.low / number, self.high / number)

    @property
    def size(self) -> Real:
        """The largest there is, without its sign."""
        return max(abs(self.low), abs(self.high))


def _range(x: Any) -> Range:
    return x if isinstance(x, Range) else Range(x, x)


def _hull(ranges: Sequence[Range]) -> Range:
    return Range(min(r.low for r in ranges), max(r.high for r in ranges))


class _Corners(Duals):
    """Numbers with a range of slopes."""

    def apply(self, name: str, *args: Any) -> Any:
        if name in _HULLS and any(isinstance(a, Dual) for a in args):
            slopes = [_range(self.slope(a)) for a in args]
            zero = _range(self.exact.number(0))
            values = [self.value(a) for a in args]
            if name == "abs" and values == [0]:
                return self._dual(args[0], _hull([*slopes, -slopes[0]]))
            if name == "relu" and values == [0]:
                return self._dual(args[0], _hull([*slopes, zero]))
            if name in ("maximum", "minimum") and values[0] == values[1]:
                return self._dual(args[0], _hull(slopes))
        return super().apply(name, *args)

    def won(self, body: Any, best: Any) -> Any:
        """The winners with the slopes of all that tie with them."""
        found = np.array(best, object)
        tied: dict[int, list[Range]] = {}
        for x, winner in zip(
            np.broadcast_to(body, found.shape or np.shape(body)).flat, self._each(body, best), strict=True
        ):
            if self.value(x) == self.value(winner):
                tied.setdefault(id(winner), [_range(self.slope(winner))]).append(_range(self.slope(x)))
        for place in np.ndindex(*found.shape):
            winner = found[place]
            if len(tied.get(id(winner), ())) > 2:
                found[place] = self._dual(winner, _hull(tied[id(winner)]))
        return found if found.shape else found[()]

    def _each(self, body: Any, best: Any) -> list[Any]:
        return list(np.array(best, object).flat) if np.shape(best) else [best] * np.size(body)

    def _dual(self, x: Any, slope: Range) -> Dual:
        base = x.base if isinstance(x, Dual) else self.exact.lift(x)
        assert base is not None
        return Dual(self, base, slope)  # type: ignore[arg-type]

    def cone(self, args: Iterable[Any]) -> Dual:
        sizes = [_range(self.slope(x)).size for x in args]
        most = self.exact.sqrt(sum((x * x for x in sizes), self.exact.number(0)))
        return self._dual(0, Range(-most, most))


def ranges(
    program: Program, sizes: Mapping[str, int], arrays: Arrays, directions: Mapping[str, np.ndarray], watched: str,
    exact: Exact | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Between which slopes those of a tensor lie along a direction of some inputs, in exact numbers.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("x: data[n]\\nloss = 2*abs(x[0]) - abs(x[1])")
        >>> along = {"x": np.array([1.0, 1.0])}
        >>> [float(a) for a in ranges(p, {"n": 2}, {"x": np.zeros(2)}, along, "loss")]
        [-3.0, 3.0]
    """
    kind = _Corners(exact or Digits())
    lift = np.frompyfunc(kind.exact.lift, 1, 1)
    given = {n: a if a.dtype.kind == "i" else np.array(lift(a), object) for n, a in arrays.items()}
    for name, v in directions.items():
        given[name] = found = given[name].copy()
        for place, along in zip(np.ndindex(*found.shape), np.array(lift(v), object).flat, strict=True):
            found[place] = kind._dual(found[place], Range(along, along))
    out = np.array(run(program, sizes, given, object, kind)[watched], object)
    slopes = np.frompyfunc(lambda x: _range(kind.slope(x)), 1, 1)(out)
    low, high = (
        np.frompyfunc(lambda r, side=side: getattr(r, side), 1, 1)(slopes) for side in ("low", "high")
    )
    return np.asarray(low, object), np.asarray(high, object)
