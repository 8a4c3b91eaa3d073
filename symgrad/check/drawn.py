"""The inputs that a numeric check draws for itself."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from symgrad.check.steps import STEP
from symgrad.errors import Refusal
from symgrad.exact.far import far, named
from symgrad.exact.points import has_kinks
from symgrad.language.program import Facts, Program
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import inputs, small_sizes, work
from symgrad.language.trace import Derived

# the least sizes of a second point, all odd, and how many entries the statements may have with them
_STARTS = ((15, 1500), (9, 1500), (5, 30_000), (3, math.inf))
_CHEAP = 1500  # entries that the statements may have for the points beside those two
_SCALES = (0.25, 8.0)  # of their inputs
_RANGES = (
    (0.2, 2.0),
    (0.1, 0.9),
    (1.1, 2.0),
)  # where inputs are drawn for whose signs a formula is not defined


def points(derived: Derived, rng: np.random.Generator) -> Iterator[Arrays]:
    """Random inputs of small sizes, then of sizes in another order: larger ones, as long as that is cheap, so that
    there are enough entries on both sides of every kink and inside every window. Where a program goes different ways,
    also inputs near 0, far out, and about the numbers that it turns at."""
    source = derived.source
    yield _point(derived, small_sizes(source), rng)
    turned = replace(source, sizes=source.sizes[::-1])
    for start, most in _STARTS:
        sizes = small_sizes(turned, start)
        if work(derived.program, sizes) <= most:
            with contextlib.suppress(Refusal):  # where numbers grow with the sizes
                yield _point(derived, {letter: sizes[letter] for letter in source.sizes}, rng)
                break
    sizes = small_sizes(source)
    if work(derived.program, sizes) <= _CHEAP and (has_kinks(source) or has_kinks(derived.program)):
        for scale in _SCALES:
            with contextlib.suppress(Refusal):
                yield _point(derived, sizes, rng, scale)
        for turn in range(2) if named(source) else ():
            given = far(source, inputs(source, sizes, rng), turn, rng)
            with contextlib.suppress(np.linalg.LinAlgError):
                if _is_judged(derived, sizes, given, rng):
                    yield given


def _point(
    derived: Derived, sizes: Mapping[str, int], rng: np.random.Generator, scale: float = 1.0
) -> Arrays:
    """Random inputs at which the target and its gradients are finite; or those at which they are not, but should be."""
    source = derived.source
    for low, high in ((0.0, 0.0), *_RANGES):
        given = inputs(source, sizes, rng)
        for t in source.inputs:
            if not t.integer and t.role != "draw" and t.facts == Facts():
                shape = given[t.name].shape
                given[t.name] = scale * (rng.uniform(low, high, shape) if high else given[t.name])
        if _is_judged(derived, sizes, given, rng):
            return given
    raise Refusal(
        f"at no random point {source.target} and its gradients are finite numbers: declare where the inputs lie, "
        "such as `x: weight[n] > 0`, or give arrays"
    )


def _is_judged(derived: Derived, sizes: Mapping[str, int], given: Arrays, rng: np.random.Generator) -> bool:
    """Whether the target and its gradients are finite, or should be."""
    watched = (derived.source.target, *derived.gradients.values())
    with np.errstate(all="ignore"):
        joint = run(derived.program, sizes, given)
        finite = all(np.isfinite(joint[name]).all() for name in watched)
        return finite or is_smooth(derived.source, sizes, given, rng)


def is_smooth(source: Program, sizes: Mapping[str, int], given: Arrays, rng: np.random.Generator) -> bool:
    """Whether the definition has a finite value and a finite slope here."""
    moved = {
        t.name: given[t.name] + 1j * STEP * rng.standard_normal(given[t.name].shape)
        for t in source.role("weight", "data") if not t.integer
    }  # fmt: skip
    return all(np.isfinite(run(source, sizes, g)[source.target]).all() for g in (given, {**given, **moved}))
