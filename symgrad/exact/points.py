"""Where answers are tried: small random inputs as declared, and what the derivation gives there."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import numpy as np

from symgrad.errors import Refusal
from symgrad.exact.drawn import candidates, is_judged, named, nowhere
from symgrad.exact.reals import Exact
from symgrad.language import expr as ex
from symgrad.language.bind import bind
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import Facts, Program, Tensor, blocks, needed
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import roomy_sizes, small_sizes, unmet, work
from symgrad.language.trace import Derived

HEAVY = 40_000  # numbers that a program computes, beyond which it is not tried in exact arithmetic
MOST = 5_000_000  # and beyond which it is not tried at all
# of two further points each: all sides of kinks that numbers near 1 do not meet
_SCALES = (4.0, 0.25, 16.0, 1.0)
# of size letters: the least number, and whether the first letter has it
_ORDERS = ((2, False), (3, False), (4, True), (2, True))
GRID = 10_007  # inputs are fractions over this, unless another number is asked for
_STEEP = {
    "exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sigmoid", "expm1", "softplus", "logsigmoid", "logaddexp",
    "log1mexp", "logcosh", "sinc", "dsinc",
}  # fmt: skip


class Point:
    """Inputs for one choice of sizes, as floats and as numbers to decide by.

    Args:
        given: an array for each input: of fractions where real, of whole numbers where labels.
    """

    def __init__(self, sizes: Mapping[str, int], given: Arrays, exact: Exact):
        self.sizes, self.exact, self.fractions = dict(sizes), exact, given

    @cached_property
    def floats(self) -> Arrays:
        return {n: a if a.dtype.kind == "i" else a.astype(float) for n, a in self.fractions.items()}

    @cached_property
    def objects(self) -> Arrays:
        lift = np.frompyfunc(self.exact.lift, 1, 1)
        return {
            n: a if a.dtype.kind == "i" else np.asarray(lift(a), object) for n, a in self.fractions.items()
        }

    def run(
        self, program: Program, targets: Iterable[str], *, exact: bool = False, known: Arrays | None = None
    ) -> Arrays:
        """Some tensors of a program and what they need, with `known` ones as they are.

        Raises:
            Refusal: they are too large to be tried.
        """
        known = known or {}
        rest = tuple(s for s in program.statements if s.out not in known)
        part = replace(program, statements=needed(rest, targets))
        if work(part, self.sizes) > MOST:
            raise Refusal("this computes too many numbers to be tried, even for the smallest sizes")
        given = {**(self.objects if exact else self.floats), **known}
        with np.errstate(all="ignore"):
            if exact:
                return run(part, self.sizes, given, object, self.exact)
            return run(part, self.sizes, given)


def points(
    derived: Derived, seed: int = 0, more: int = 0, *, grid: int = GRID, spare: int = 3,
    smooth: Callable[[Point], bool] | None = None, turned: int = 0,
) -> list[Point]:  # fmt: skip
    """Random inputs for three choices of sizes: two with sizes that all differ, and all of them 1 where that may be.

    Args:
        more: so many further ones instead, of the first sizes in turn.
        turned: if it is not zero, points more of larger sizes, in another order and with a middle in each axis, at
            which the derivation computes at most so many numbers, if there are such sizes: so that all bounds between
            them are met from both sides.
        smooth: tells where the definition has a finite value and slope, for a derivation that may be wrong: such a
            point counts, whatever is derived there.
        grid: what inputs are fractions over.
        spare: how many exponentials more than the derivation has may stand in exponents of one another.

    Raises:
        Refusal: the derivative is no finite number at any of many points.
    """
    source = derived.source
    choices = list(_choices(source))
    if more:
        choices = [choices[k % 2] for k in range(more)]
    choices += _turned(derived, turned)
    about = bool(more and named(source))
    found = []
    for k, sizes in enumerate(choices):
        exact = Exact(max(levels(p, sizes) for p in (source, derived.program)) + spare)
        scale = _SCALES[k // 2 % len(_SCALES)] if k < more else 1.0
        turn = k // 2 if about and k < more and k % 4 in (0, 3) else None
        rng = np.random.default_rng([seed, more, k])
        twice = (candidates(source, sizes, rng, scale, turn) for _ in range(2))
        for drawn in itertools.chain.from_iterable(twice):
            point = Point(sizes, as_fractions(source, drawn, grid), exact)
            if is_judged(derived, sizes, point.floats, partial(smooth, point) if smooth else None):
                found.append(point)
                break
    if not found:
        raise nowhere(source)
    return found


def exact_point(derived: Derived, given: Mapping[str, Any]) -> Point:
    """The point of some arrays, each number as the fraction that it is.

    Raises:
        Refusal: they do not fit the program, or are not finite.
    """
    sizes, arrays = bind(derived.source, given)
    are_finite(arrays)
    lifted = {
        n: a if a.dtype.kind == "i" else repaired(np.asarray(_exactly(a), object), derived.source[n].facts)
        for n, a in arrays.items()
    }
    return Point(sizes, lifted, Exact(levels(derived.program, sizes) + 3))


def repaired(a: np.ndarray, facts: Facts) -> np.ndarray:
    """Exact numbers for which the facts hold to the last digit that held to rounding."""
    if facts.distribution:
        a = a / a.sum(-1, keepdims=True)
    return (a + np.swapaxes(a, -1, -2)) / 2 if facts.symmetric else a


def are_finite(arrays: Arrays) -> None:
    """Refuses what no exact number is.

    Raises:
        Refusal: some number is infinite or nan.
    """
    for name, a in arrays.items():
        if not np.isfinite(a).all():
            first = a[~np.isfinite(a)].flat[0]
            raise Refusal(f"{name} holds {first}, which is no exact number: give finite ones")


_exactly = np.frompyfunc(lambda x: Fraction(float(x)), 1, 1)


def _choices(program: Program) -> Iterator[dict[str, int]]:
    """Sizes: small ones that all differ, others, and ones."""
    letters = program.sizes
    if not letters:
        yield {}
        yield {}
        return
    if _square(program):
        yield small_sizes(program)
        yield small_sizes(program, 3)
    else:
        tight = list(itertools.islice(_tight(program), 2))
        yield from tight
        yield from (small_sizes(program, 2 + k) for k in range(2 - len(tight)))
    ones = dict.fromkeys(letters, 1)
    if not unmet(program, ones):
        yield ones


def _turned(derived: Derived, most: int) -> Iterator[dict[str, int]]:
    """Larger sizes with which at most so many numbers are computed: with a middle in every axis, and with those of
    later letters first."""
    source = derived.source
    if not (source.sizes and most):
        return
    roomy = roomy_sizes(source)
    if roomy is not None and work(derived.program, roomy) <= most:
        yield roomy
    for start in (7, 6, 5, 4, 3, 2):
        found: Iterator[dict[str, int]] = _tight(source, ((start, True),))
        if _square(source):
            found = iter([])
            with contextlib.suppress(Refusal):
                found = iter([small_sizes(replace(source, sizes=source.sizes[::-1]), start)])
        fitting = next((s for s in found if work(derived.program, s) <= most), None)
        if fitting is not None:
            yield fitting
            return


def _square(program: Program) -> bool:
    return any(s.op in IMPLICIT and IMPLICIT[s.op].square for s in program.statements)


def _tight(program: Program, orders: Iterable[tuple[int, bool]] = _ORDERS) -> Iterator[dict[str, int]]:
    """Neighbouring numbers for the size letters, in few orders, that meet what the program needs.

    The second choice is not the first in another order, where 6/(m*n) would be 1 either way; it differs in each letter.
    """
    letters = program.sizes
    for start, turned in orders:
        rising = range(start, start + len(letters))
        for order in itertools.islice(itertools.permutations(reversed(rising) if turned else rising), 60):
            sizes = dict(zip(letters, order, strict=True))
            if not unmet(program, sizes):
                yield sizes
                break


def as_fractions(source: Program, drawn: Arrays, grid: int = GRID) -> Arrays:
    """Fractions near the numbers drawn, for which the declared facts hold exactly; labels as they are."""

    def near(a: np.ndarray, t: Tensor) -> np.ndarray:
        found = np.empty(a.shape, object)
        for place in np.ndindex(*a.shape):
            found[place] = Fraction(round(float(a[place]) * grid), grid)
        return repaired(found, t.facts)

    return {n: a if a.dtype.kind == "i" else near(a, source[n]) for n, a in drawn.items()}


def levels(program: Program, sizes: Mapping[str, int]) -> int:
    """How many exponentials stand in exponents of one another, at most."""
    deep: dict[str, int] = {}

    def depth(e: Any) -> int:
        below = max(map(depth, ex.children(e)), default=0)
        if isinstance(e, ex.Access):
            return deep.get(e.tensor, 0)
        return below + (isinstance(e, ex.Call) and e.name in _STEEP)

    for block in blocks(program.statements):
        scan = block[0].scan
        steps = 1 if scan is None else int(block[0].ranges[scan.axis].evaluate(lambda a: sizes[a.name]))  # type: ignore[union-attr]
        for _ in range(max(1, min(steps, 8))):
            for s in block:
                deep[s.out] = max(deep.get(s.out, 0), depth(s.body))
    return max(deep.values(), default=0)


def is_heavy(program: Program, point: Point) -> bool:
    """Whether a program is too large for exact arithmetic."""
    return work(program, point.sizes) > HEAVY
