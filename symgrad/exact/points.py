"""Where answers are tried: small random inputs as declared, and what the derivation gives there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from symgrad.errors import Refusal
from symgrad.exact.far import far, named
from symgrad.exact.reals import Exact
from symgrad.language import expr as ex
from symgrad.language.bind import bind
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import Facts, Program, Tensor, blocks, needed
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import inputs, small_sizes, unmet, work
from symgrad.language.trace import Derived
from symgrad.leaves import LEAVES

HEAVY = 40_000  # numbers that a program computes, beyond which it is not tried in exact arithmetic
MOST = 5_000_000  # and beyond which it is not tried at all
_SCALES = (
    4.0,
    0.25,
    16.0,
    1.0,
)  # of two further points each: all sides of kinks that numbers near 1 do not meet
GRID = 10_007  # inputs are fractions over this, unless another number is asked for
_RANGES = ((0.0, 0.0), (0.2, 2.0), (0.1, 0.9), (1.1, 2.0))  # where inputs are drawn that have no facts
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
    smooth: Callable[[Point], bool] | None = None,
) -> list[Point]:  # fmt: skip
    """Random inputs for three choices of sizes: two with sizes that all differ, and all of them 1 where that may be.

    Args:
        more: so many further ones instead, of the first sizes in turn.
        smooth: tells where the definition has a finite value and slope, for a derivation that may be wrong: such a
            point counts, whatever is derived there.
        grid: what inputs are fractions over.
        spare: how many exponentials more than the derivation has may stand in exponents of one another.

    Raises:
        Refusal: the derivative is no finite number at any of many points.
    """
    choices = list(_choices(derived))
    if more:
        choices = [choices[k % 2] for k in range(more)]
    about = bool(more and named(derived.source))
    found = []
    for k, sizes in enumerate(choices):
        exact = Exact(max(levels(p, sizes) for p in (derived.source, derived.program)) + spare)
        scale = _SCALES[k // 2 % len(_SCALES)] if more else 1.0
        turn = k // 2 if about and k % 4 in (0, 3) else None
        rng = np.random.default_rng([seed, more, k])
        for given, finite in _drawn(derived, sizes, rng, scale, turn, grid):
            point = Point(sizes, given, exact)
            if finite or (smooth is not None and smooth(point)):
                found.append(point)
                break
    if not found:
        raise Refusal(
            f"at no random point {derived.source.target} and its derivative are finite numbers: declare where the "
            "inputs lie, such as `x: weight[n] > 0`"
        )
    return found


def exact_point(derived: Derived, given: Mapping[str, Any]) -> Point:
    """The point of some arrays, each number as the fraction that it is.

    Raises:
        Refusal: they do not fit the program, or are not finite.
    """
    sizes, arrays = bind(derived.source, given)
    are_finite(arrays)
    lifted = {n: a if a.dtype.kind == "i" else np.asarray(_exactly(a), object) for n, a in arrays.items()}
    return Point(sizes, lifted, Exact(levels(derived.program, sizes) + 3))


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


def _choices(derived: Derived) -> Iterator[dict[str, int]]:
    """Sizes: small ones that all differ, others, and ones."""
    program = derived.source
    letters = program.sizes
    if not letters:
        yield {}
        yield {}
        return
    square = any(s.op in IMPLICIT and IMPLICIT[s.op].square for s in program.statements)
    if square:
        yield small_sizes(program)
        yield small_sizes(program, 3)
    else:
        tight = list(itertools.islice(_tight(program), 2))
        yield from tight
        yield from (small_sizes(program, 2 + k) for k in range(2 - len(tight)))
    ones = dict.fromkeys(letters, 1)
    if not unmet(program, ones):
        yield ones


def _tight(program: Program) -> Iterator[dict[str, int]]:
    """Neighbouring numbers for the size letters, in few orders, that meet what the program needs.

    The second choice is not the first in another order, where 6/(m*n) would be 1 either way; it differs in each letter.
    """
    letters = program.sizes
    for start, turned in ((2, False), (3, False), (4, True), (2, True)):
        rising = range(start, start + len(letters))
        for order in itertools.islice(itertools.permutations(reversed(rising) if turned else rising), 60):
            sizes = dict(zip(letters, order, strict=True))
            if not unmet(program, sizes):
                yield sizes
                break


def _drawn(
    derived: Derived, sizes: Mapping[str, int], rng: np.random.Generator, scale: float, turn: int | None, grid: int
) -> Iterator[tuple[Arrays, bool]]:  # fmt: skip
    """Random inputs, those without facts `scale` times as large, or at some `turn` about the numbers that it
    turns at; whether target and derivatives are finite there."""
    source, watched = derived.source, (derived.source.target, *derived.gradients.values())
    for low, high in (*_RANGES, *_RANGES):
        drawn = inputs(source, sizes, rng)
        for t in source.inputs:
            if not t.integer and t.role != "draw" and t.facts == Facts():
                shape = drawn[t.name].shape
                drawn[t.name] = rng.uniform(low, high, shape) if high else drawn[t.name] * scale
        if turn is not None and not high:
            drawn = far(source, drawn, turn, rng)
        given = {
            t.name: drawn[t.name] if t.integer else fractions(drawn[t.name], t, grid) for t in source.inputs
        }
        floats = {n: a if a.dtype.kind == "i" else a.astype(float) for n, a in given.items()}
        try:
            with np.errstate(all="ignore"):
                joint = run(derived.program, sizes, floats)
        except np.linalg.LinAlgError:
            continue
        yield given, all(np.isfinite(joint[name]).all() for name in watched)


def fractions(drawn: np.ndarray, t: Tensor, grid: int = GRID) -> np.ndarray:
    """Fractions near the numbers drawn, for which the declared facts hold exactly."""
    found = np.empty(drawn.shape, object)
    for place in np.ndindex(*drawn.shape):
        found[place] = Fraction(round(float(drawn[place]) * grid), grid)
    return found / found.sum(-1, keepdims=True) if t.facts.distribution else found


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


def has_kinks(program: Program) -> bool:
    """Whether a program goes different ways for different numbers."""
    for s in program.statements:
        bodies = [e for x in (s.body, s.guard) if x is not None for e in ex.walk(x)]
        kinks = any(isinstance(e, ex.Call) and e.name in LEAVES and LEAVES[e.name].kinks for e in bodies)
        chosen = any(isinstance(e, ex.Cmp) and ex.accesses(e) for e in bodies)
        if kinks or chosen or s.op in ("max=", "min="):
            return True
    return False


def is_heavy(program: Program, point: Point) -> bool:
    """Whether a program is too large for exact arithmetic."""
    return work(program, point.sizes) > HEAVY
