"""The points of a numeric check for which no arrays are given."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from symgrad.check.steps import STEP
from symgrad.check.together import MANY
from symgrad.errors import Refusal
from symgrad.exact.drawn import candidates, elsewhere, is_judged, named, nowhere, zeros
from symgrad.exact.points import points as exact_points
from symgrad.exact.ways import Ways, has_kinks
from symgrad.language.program import Program
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import roomy_sizes, small_sizes, unmet, work
from symgrad.language.trace import Derived

_Point = tuple[Mapping[str, int], Arrays]  # the number of each size letter, and the inputs

# the least sizes of a second point, all odd, and how many entries the statements may have with them
_STARTS = ((15, 1500), (9, 1500), (5, 30_000), (3, math.inf))
_ROOMY = 30_000  # entries that they may have where windows lie between others
_FAR = 8.0  # scale of inputs far out
_CHEAP = 1500  # entries that the statements may have for the points beside those two


def points(derived: Derived, rng: np.random.Generator, ways: Ways) -> Iterator[_Point]:
    """Random inputs of small sizes, then of sizes in another order: larger ones, as long as that is cheap, so that
    there are enough entries on both sides of every kink and inside every window; then of sizes that are all 1. Where a
    program goes different ways, also inputs far out, about the numbers that it turns at, all 0, and where a way is
    that was not taken before.

    Raises:
        Refusal: the result is finite at no random point of small sizes.
    """
    source = derived.source
    small = small_sizes(source)
    yield _point(derived, small, rng)
    turned = replace(source, sizes=source.sizes[::-1])
    for start, most in _STARTS:
        sizes = small_sizes(turned, start)
        if work(derived.program, sizes) <= most:
            with contextlib.suppress(Refusal):  # where numbers grow with the sizes
                yield _point(derived, {letter: sizes[letter] for letter in source.sizes}, rng)
                break
    roomy = roomy_sizes(source)
    if roomy is not None and work(derived.program, roomy) <= _ROOMY:
        with contextlib.suppress(Refusal):
            yield _point(derived, roomy, rng)
    ones = dict.fromkeys(source.sizes, 1)
    if ones and not unmet(source, ones):
        with contextlib.suppress(Refusal):
            yield _point(derived, ones, rng)
    if work(derived.program, small) <= _CHEAP and (has_kinks(source) or has_kinks(derived.program)):
        turns = (0, 1) if named(source) else ()
        for scale, turn in ((_FAR, None), *((1.0, t) for t in turns)):
            with contextlib.suppress(Refusal):
                yield _point(derived, small, rng, scale, turn)
        # at ties each gradient is judged by itself
        tied = [zeros(source, small, rng)] if len(derived.gradients) <= MANY else []
        for given in itertools.chain(tied, elsewhere(source, small, ways, rng)):
            if _is_judged(derived, small, given, rng):
                yield small, given


def few_points(derived: Derived, rng: np.random.Generator, ways: Ways) -> Iterator[_Point]:
    """For slow numbers: of the smallest sizes that differ, and of others; where a program goes different ways, four
    more.

    Raises:
        Refusal: the result is finite at no random point.
    """
    seed = int(rng.integers(2**31))
    tried = partial(
        exact_points, derived, seed, smooth=lambda p: _is_smooth(derived.source, p.sizes, p.floats, rng)
    )
    yield from ((p.sizes, p.floats) for p in tried()[:2])
    if has_kinks(derived.source) or has_kinks(derived.program):
        yield from ((p.sizes, p.floats) for p in tried(4))


def _point(
    derived: Derived, sizes: Mapping[str, int], rng: np.random.Generator, scale: float = 1.0, turn: int | None = None
) -> _Point:  # fmt: skip
    """Random inputs at which the target and its gradients are finite; or those at which they are not, but should be."""
    for given in candidates(derived.source, sizes, rng, scale, turn):
        if _is_judged(derived, sizes, given, rng):
            return sizes, given
    raise nowhere(derived.source)


def _is_judged(derived: Derived, sizes: Mapping[str, int], given: Arrays, rng: np.random.Generator) -> bool:
    return is_judged(derived, sizes, given, partial(_is_smooth, derived.source, sizes, given, rng))


def _is_smooth(source: Program, sizes: Mapping[str, int], given: Arrays, rng: np.random.Generator) -> bool:
    """Whether the definition has a finite value and a finite slope here."""
    moved = {
        t.name: given[t.name] + 1j * STEP * rng.standard_normal(given[t.name].shape)
        for t in source.role("weight", "data") if not t.integer
    }  # fmt: skip
    return all(np.isfinite(run(source, sizes, g)[source.target]).all() for g in (given, {**given, **moved}))
