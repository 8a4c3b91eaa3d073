"""Slopes by steps of a program's inputs: complex ones, and real ones of several sizes.

f(x + ih v) = f(x) + ih v·∇f + O(h²), so Im f/h is the directional derivative without any cancellation
(W. Squire and G. Trapp, SIAM Review 40, 1998). With h = 1e-30 it is exact to rounding. NumPy compares complex numbers
by their real parts first, so the branch of a kink (relu, max, abs) is chosen as for the real number; exactly at a kink
the two signs of h give the slopes to both sides.

Where a number lies at a branch point, as in sqrt(x**2) at 0, no complex step passes. There, or in numbers of many
digits, central differences of halved steps are extrapolated (L. Richardson, Phil. Trans. A 226, 1927), and of those the
two neighbours that agree best are taken. A step counts only where the program goes the same way on both sides as in the
middle; where it does not for any step, the point is at a kink, and each side has a slope of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from symgrad.check.corners import ranges
from symgrad.check.patterns import Watched
from symgrad.check.questions import Slope, movable
from symgrad.check.sides import Sides
from symgrad.check.verdict import floats
from symgrad.exact.points import are_finite, repaired
from symgrad.exact.reals import Digits
from symgrad.language.program import Program, needed
from symgrad.language.reference import FLOATS, Arithmetic, Arrays, run
from symgrad.language.samples import work
from symgrad.leaves import Leaf

_Pattern = tuple[bytes, ...]
_Corners = Callable[[], tuple[Any, Any]] | None
_Value = tuple[Any, _Pattern]  # a tensor, and the way the program went
STEP = 1e-30
_SQUARED = 1e-40  # what is below zero by less than this was zero before a complex step
_HEAVY = 300_000  # numbers of many digits that a program may compute
_SINGULAR = 1e8  # condition of a matrix that counts as singular


class _BranchPoint(Exception):
    """No complex step passes here."""


class _Analytic(Watched):
    """Complex arithmetic that refuses what is not analytic, apart from kinks."""

    def __init__(self) -> None:
        super().__init__(FLOATS)

    def leaf(self, leaf: Leaf, values: Sequence[Any]) -> Any:
        if leaf.name == "sqrt":
            _away(values[0])
        return super().leaf(leaf, values)

    def power(self, base: Any, exponent: Any) -> Any:
        _away(base)
        return super().power(base, exponent)

    def implicit(self, op: str, arrays: Sequence[np.ndarray]) -> Any:
        a = arrays[0]
        if np.iscomplexobj(a):
            if op in ("norm", "frobenius"):
                over = (-1,) if op == "norm" else (-2, -1)
                if ((a.real == 0).all(over) & (a.imag != 0).any(over)).any():
                    raise _BranchPoint
            if op in ("cofactor", "minors") and not (np.linalg.cond(a.real) < _SINGULAR).all():
                raise _BranchPoint
        return super().implicit(op, arrays)


def _away(base: Any) -> None:
    if np.iscomplexobj(base) and ((np.real(base) < 0) & (np.real(base) > -_SQUARED)).any():
        raise _BranchPoint


def _corners(
    program: Program, sizes: Mapping[str, int], arrays: Arrays, directions: Mapping[str, np.ndarray], watched: str
) -> _Corners:  # fmt: skip
    """What slopes may be, corner by corner, in floats where the arrays have floats; None where that is too much."""
    if work(program, sizes) > _HEAVY:
        return None

    def found() -> tuple[np.ndarray, np.ndarray]:
        low, high = ranges(program, sizes, arrays, directions, watched)
        exact = any(a.dtype == object for a in arrays.values())
        return (low, high) if exact else (low.astype(float), high.astype(float))

    return found


class ComplexSteps:
    """Slopes by complex steps; where none passes, by differences.

    `most`: how many numbers a program may compute.
    """

    most = math.inf

    def given(self, program: Program, arrays: Arrays) -> Arrays:
        return arrays

    def run(self, program: Program, sizes: Mapping[str, int], arrays: Arrays) -> Arrays:
        return run(program, sizes, arrays)

    def stepped(
        self, program: Program, sizes: Mapping[str, int], arrays: Arrays, names: tuple[str, ...], watched: str
    ) -> Slope:
        stepped, values, shifts = movable(program, sizes, arrays, names)
        stepped = replace(stepped, statements=needed(stepped.statements, [watched]))

        def side(directions: Mapping[str, np.ndarray], sign: int) -> tuple[np.ndarray, int]:
            kind = _Analytic()
            moved = {shifts[n]: values[shifts[n]] + sign * 1j * STEP * v for n, v in directions.items()}
            found = run(stepped, sizes, {**values, **moved}, kind=kind)[watched]
            return found.imag * (sign / STEP), kind.ties

        def slope(directions: Mapping[str, np.ndarray]) -> Sides:
            try:
                up, ties = side(directions, 1)
                down = side(directions, -1)[0] if ties else up
            except _BranchPoint:
                return Differences().stepped(program, sizes, arrays, names, watched)(directions)
            return Sides(up, down, 0.0, "complex step", corners(directions) if ties else None)

        def corners(directions: Mapping[str, np.ndarray]) -> _Corners:
            return _corners(stepped, sizes, values, {shifts[n]: v for n, v in directions.items()}, watched)

        return slope


class Differences:
    """Slopes by differences of real steps.

    `most`: how many numbers a program may compute.

    Args:
        kind: what numbers are.
        dtype: their type.
        firsts: the largest step; a smaller one where no step from there avoids a kink.
        count: how many steps, each half of the one before.
        against: what the slopes are called.
    """

    def __init__(
        self, kind: Arithmetic = FLOATS, dtype: Any = np.float64, firsts: Sequence[Any] = (0.25,),
        count: int = 16, against: str = "differences", most: float = math.inf,
    ):  # fmt: skip
        self.most, self.kind, self.dtype, self.firsts, self.count, self.against = (
            most,
            kind,
            dtype,
            firsts,
            count,
            against,
        )

    def given(self, program: Program, arrays: Arrays) -> Arrays:
        """The arrays in numbers of this kind, for which the declared facts hold to the last digit."""
        if self.dtype is object:
            are_finite(arrays)
        found = {n: a if a.dtype.kind == "i" else self._exactly(a) for n, a in arrays.items()}
        if self.dtype is object:
            found = {n: a if a.dtype.kind == "i" else repaired(a, program[n].facts) for n, a in found.items()}
        return found

    def run(self, program: Program, sizes: Mapping[str, int], arrays: Arrays) -> Arrays:
        return run(program, sizes, arrays, self.dtype, self.kind)

    def stepped(
        self, program: Program, sizes: Mapping[str, int], arrays: Arrays, names: tuple[str, ...], watched: str
    ) -> Slope:
        program, arrays, shifts = movable(program, sizes, arrays, names)
        program = replace(program, statements=needed(program.statements, [watched]))
        here = Watched(self.kind)
        shape = run(program, sizes, arrays, self.dtype, here)[watched].shape

        def slope(directions: Mapping[str, np.ndarray]) -> Sides:
            moves = {n: self._exactly(np.asarray(v)) for n, v in directions.items()}
            length = max((abs(x) for v in moves.values() for x in v.flat), default=0)
            if not length:
                still = np.zeros(shape)
                return Sides(still, still, against=self.against)

            def at(h: Any) -> _Value:
                kind = Watched(self.kind, here.constants)
                moved = {shifts[n]: arrays[shifts[n]] + v * (h / length) for n, v in moves.items()}
                with np.errstate(all="ignore"):
                    found = run(program, sizes, {**arrays, **moved}, self.dtype, kind)[watched]
                return found, kind.pattern

            up, down, spread = self._endless(at, *self._sides(at, here.pattern))
            spread = spread * float(length)
            if up is down:
                both = up * length
                return Sides(both, both, spread, self.against)
            near = {shifts[n]: v for n, v in moves.items()}
            corners = _corners(program, sizes, arrays, near, watched)
            return Sides(up * length, down * length, spread, self.against, corners)

        return slope

    def _exactly(self, a: np.ndarray) -> np.ndarray:
        if self.dtype is not object:
            return np.asarray(a, self.dtype)
        found = np.empty(a.shape, object)
        for place in np.ndindex(*a.shape):
            x: Any = a[place]
            found[place] = self.kind.number(Fraction(float(x))) if isinstance(x, (int, float)) else x
        return found

    def _sides(self, at: Callable[[Any], _Value], pattern: _Pattern) -> tuple[Any, Any, Any]:
        """The slopes to both sides, the same object where they are one, and how far they may be off."""
        for first in self.firsts:
            steps = [first / 2**k for k in range(self.count)]
            up, down = [at(h) for h in steps], [at(-h) for h in steps]
            ways = [(u[1], d[1]) for u, d in zip(up, down, strict=True)]
            if ways[-1] == (pattern, pattern):
                start = _since(ways)
                pairs = zip(steps, up, down, strict=True)
                slope, spread = self._best([(u[0] - d[0]) / (2 * h) for h, u, d in pairs][start:], 4)
                return slope, slope, spread
        (a, one), (b, other) = (self._one_sided(steps, values) for values in (up, down))
        return a, -b, np.maximum(one, other)

    def _endless(self, at: Callable[[Any], _Value], up: Any, down: Any, spread: Any) -> tuple[Any, Any, Any]:
        """The same, with the sign of a slope that is infinite where one side shows it and the other is undefined."""
        lost = np.isnan(floats(up)) | np.isnan(floats(down))
        if not lost.any():
            return up, down, spread
        h = self.firsts[-1] / 2 ** (self.count - 1)
        slope = _growing([[at(sign * h / 2**k)[0] for k in range(4)] for sign in (1, -1)])
        lost &= np.isinf(slope)
        both = np.where(lost, slope, up)
        return both, both if up is down else np.where(lost, slope, down), np.where(lost, 0.0, spread)

    def _one_sided(self, steps: Sequence[Any], values: Sequence[_Value]) -> tuple[Any, Any]:
        start = _since([way for _, way in values])
        kept = [(h, f) for h, (f, _) in zip(steps, values, strict=True)][start:]
        if len(kept) < 2:
            kept = [(h, f) for h, (f, _) in zip(steps, values, strict=True)][-2:]
        return self._best([(f - g) / (h - k) for (h, f), (k, g) in pairwise(kept)], 2)

    def _best(self, slopes: Sequence[Any], order: int) -> tuple[Any, np.ndarray]:
        """The slope for no step at all, entry by entry, and the difference between the two that agree best.

        Args:
            slopes: for steps that halve.
            order: by what their error falls from one to the next.
        """
        found = np.array(slopes, self.dtype)
        for level in (order, order**2):
            if len(found) > 1:
                found = (level * found[1:] - found[:-1]) / (level - 1)
        if len(found) == 1:
            return found[0], np.zeros(found.shape[1:])
        apart = np.nan_to_num(np.abs(found[1:] - found[:-1]).astype(float), nan=np.inf)
        best = np.argmin(apart, axis=0)[None]
        return np.take_along_axis(found[1:], best, 0)[0], np.take_along_axis(apart, best, 0)[0]


def _since(ways: Sequence[Any]) -> int:
    """From where on all are as the last."""
    start = len(ways) - 1
    while start and ways[start - 1] == ways[-1]:
        start -= 1
    return start


def _growing(values: Sequence[Sequence[Any]]) -> np.ndarray:
    """Infinity with its sign where slopes to one side grow without end, as those of sqrt(x) at 0, whose other side is
    undefined; elsewhere nan.

    Args:
        values: to the side of the direction and to the other one, for steps that halve.
    """
    found = np.full(np.shape(values[0][0]), math.nan)
    for sign, side in zip((1, -1), values, strict=True):
        # f(h) - f(h/2) is h/2 times a slope between them; for slopes with an end their differences fall by the half
        slopes = [sign * 2.0**k * floats(f - g) for k, (f, g) in enumerate(pairwise(side))]
        first, last = (b - a for a, b in pairwise(slopes))
        found = np.where(
            (first * last > 0) & (np.abs(last) > 0.9 * np.abs(first)), np.sign(last) * math.inf, found
        )
    return found


def digits_of(count: int) -> Differences:
    """Central differences in numbers of so many digits, good to about two thirds of them: also of functions that change
    over a millionth."""
    steps = (Fraction(1, 10 ** (count // 3)), Fraction(1, 10 ** (count * 2 // 5)))
    return Differences(Digits(), object, steps, 2, f"{count} digits", _HEAVY)
