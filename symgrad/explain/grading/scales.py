"""Constant factors that are easily lost or put in twice: numbers, sizes, constants of the problem, a sign."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from symgrad.exact.points import Point
from symgrad.explain.grading.mistake import Mistake
from symgrad.explain.grading.truth import Truth
from symgrad.language import expr as ex

Same = Callable[[np.ndarray, np.ndarray], bool]

FACTOR = "Look at the constant factors: where do they come from, and is each there once?"
SIGN = "Look at the sign."


@dataclass(frozen=True)
class Scale:
    """A factor: a sign, a number, and sizes or constants above or below the bar, with its value at each point."""

    minus: bool
    number: Fraction
    size: str
    below: bool
    values: tuple[float, ...]


class Scales:
    """The likely factors of one problem, at some points."""

    def __init__(self, truth: Truth, places: Sequence[int]):
        self.truth = truth
        self.all = tuple(self._all([truth.place(k) for k in places]))

    def between(self, right: Sequence[np.ndarray], given: Sequence[np.ndarray], same: Same) -> Scale | None:
        """The factor that makes the right numbers the given ones at every point, if it is a likely one."""
        if not all(map(np.any, right)):
            return None
        for scale in self.all:
            if all(same(a, b * c) for a, b, c in zip(given, right, scale.values, strict=False)):
                return scale
        return None

    def _all(self, points: Sequence[Point]) -> Iterator[Scale]:
        sizes: dict[str, tuple[float, ...]] = {}
        for letter in self.truth.derived.source.sizes:
            sizes[letter] = tuple(float(p.sizes[letter]) for p in points)
        for t in self.truth.derived.source.inputs:
            if not t.shape and not t.integer:
                sizes[t.name] = tuple(float(p.floats[t.name]) for p in points)
        for (a, x), (b, y) in itertools.combinations(list(sizes.items()), 2):
            sizes[f"{a}*{b}"] = tuple(u * v for u, v in zip(x, y, strict=True))
        powers: list[tuple[str, bool, tuple[float, ...]]] = [("", False, (1.0,) * len(points))]
        for name, values in sizes.items():
            powers.append((name, False, values))
            powers.append((name, True, tuple(1 / v if v else np.nan for v in values)))
        numbers = [Fraction(1), *(f for n in (2, 3, 4) for f in (Fraction(n), Fraction(1, n)))]
        for minus, (name, below, values), number in itertools.product((False, True), powers, numbers):
            if name or minus or number != 1:
                unit = float(-number if minus else number)
                yield Scale(minus, number, name, below, tuple(unit * v for v in values))

    def mistake(self, scale: Scale) -> Mistake:
        """What such a factor is called."""
        told = ["the sign is wrong"] if scale.minus else []
        n, size = scale.number, scale.size
        if n != 1:
            told.append(f"the factor {n} is too much" if n > 1 else f"the factor {n.denominator} is missing")
        if size and scale.below:
            known = self._divided(size)
            told.append(f"1/{size} stands there once too often" if known else f"1/{size} is too much")
        elif size:
            known = self._divided(size)
            told.append(f"the factor 1/{size} is missing" if known else f"the factor {size} is too much")
        only = scale.minus and len(told) == 1
        return Mistake("sign" if only else "factor", " and ".join(told), SIGN if only else FACTOR)

    def _divided(self, size: str) -> bool:
        """Whether a size stands below a fraction bar in the derivation."""
        names = size.split("*")
        bodies = [e for s in self.truth.derived.program.statements for e in ex.walk(s.body)]
        below = [
            e.base
            for e in bodies
            if isinstance(e, ex.Pow) and isinstance(e.exponent, ex.Num) and e.exponent.value < 0
        ]
        return any(str(x) in names for e in below for x in ex.walk(e))
