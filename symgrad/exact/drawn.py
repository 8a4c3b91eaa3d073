"""The inputs that a derivation is tried at, if none are given: which numbers, for some sizes.

Some lie about the numbers that a definition names, where a branch may be that numbers near 0 never take: a Huber loss
with delta = 20 is a parabola for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from symgrad.errors import Refusal
from symgrad.exact.ways import Ways, turns
from symgrad.language import expr as ex
from symgrad.language.program import Facts, Program
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import inputs
from symgrad.language.trace import Derived

# where inputs are drawn for whose signs or sizes a formula is not defined
_RANGES = ((0.2, 2.0), (0.1, 0.9), (1.1, 2.0))
# scales of inputs for sides that none was on
_ELSEWHERE = (64.0, 1 / 64, 4096.0, 1 / 4096, 2.0**18, 2.0**-18)
_NEAR = (0.5, 2.0)  # what is between lies where numbers are drawn anyway
_LEAST, _MOST = 1e-6, 1e6
_FEW = 4  # numbers whose quotients are tried too: relu(x/100 - 5) turns at 500


def candidates(
    source: Program, sizes: Mapping[str, int], rng: np.random.Generator, scale: float = 1.0, turn: int | None = None
) -> Iterator[Arrays]:  # fmt: skip
    """Random inputs as declared, and then others, for formulas that are not defined for all numbers.

    Args:
        scale: how many times as large the first are.
        turn: if given, the first lie about the numbers that the definition turns at.

    What has declared facts is drawn by them each time.
    """
    free = _free(source)
    first = {n: a * scale if n in free else a for n, a in inputs(source, sizes, rng).items()}
    yield first if turn is None else far(source, first, turn, rng)
    for low, high in _RANGES:
        drawn = inputs(source, sizes, rng)
        yield {n: rng.uniform(low, high, a.shape) if n in free else a for n, a in drawn.items()}


def zeros(source: Program, sizes: Mapping[str, int], rng: np.random.Generator) -> Arrays:
    """Inputs that are 0 wherever they may be, which ties all of them and is what lengths have a kink at.

    Whole numbers would have more kinds of ties; but some of those are equal but for rounding, as 1/sqrt(2)**2 and 1/2,
    and then one form of a program is beyond a kink that another is at.
    """
    free = _free(source)
    return {n: np.zeros_like(a) if n in free else a for n, a in inputs(source, sizes, rng).items()}


def elsewhere(
    source: Program, sizes: Mapping[str, int], ways: Ways, rng: np.random.Generator
) -> Iterator[Arrays]:  # fmt: skip
    """Inputs that are on a side of a comparison or kink that none was on so far: some that equal the numbers that they
    are compared with, some far out, some near 0."""
    codes = _codes(source) if ways.untaken else {}
    for scale in (*((1.0, 4.0) if codes else ()), *(_ELSEWHERE if ways.untaken else ())):
        given = next(candidates(source, sizes, rng, scale))
        for name, numbers in codes.items():
            given[name] = rng.choice(numbers, given[name].shape)
        if ways.are_new(sizes, given):
            yield given


def _codes(source: Program) -> dict[str, list[float]]:
    """The numbers that inputs are asked to equal, as a target of 1 or -1 is."""
    found: dict[str, list[float]] = {}
    for turn in turns(source):
        match turn.part:
            case ex.Cmp("==" | "!=", ex.Access(name), ex.Num(value)) if name in _free(source):
                found.setdefault(name, []).append(float(value))
    return found


def far(program: Program, drawn: Mapping[str, np.ndarray], turn: int, rng: np.random.Generator) -> Arrays:
    """The inputs drawn, with those without facts about the numbers that a program turns at.

    At an even turn entries lie close to all of them and their negatives, on both sides, so that a bound beside the
    right one is noticed; at an odd one all entries are beyond the largest, so that their mean is too: above it at the
    first, below its negative at the next.
    """
    sizes = named(program)[::-1]
    sides = [c * f for c in sizes for f in (1.5, -1.5, 0.97, -0.97, 1.03, -1.03)]
    if turn % 2:
        sides = [1.5 * sizes[0] * (-1) ** (turn // 2)]
    found, start = dict(drawn), turn * len(sides) // 4
    for name in _free(program):
        count = found[name].size
        about = [sides[k % len(sides)] for k in range(start, start + count)]
        found[name] = np.reshape(about * rng.uniform(0.98, 1.02, count), found[name].shape)
        start += count
    return found


def _free(source: Program) -> tuple[str, ...]:
    """The inputs that may be any real numbers."""
    return tuple(t.name for t in source.inputs if not t.integer and t.role != "draw" and t.facts == Facts())


def named(program: Program) -> tuple[float, ...]:
    """The sizes of the numbers that its equations turn at, and of quotients of them.

    A number counts that stands in a comparison, in the argument of a function with a kink, or in an equation that gives
    such an argument entry by entry.

    Example:
        >>> from symgrad.language.reader import read
        >>> named(read("x: data[n]\\ny = x/100 - 5\\nloss = sum(relu(y)*exp(7*x))"))
        (0.002, 0.01, 5.0, 500.0)
    """
    found: set[float] = set()
    for turn in turns(program):
        read = {a.tensor for a in ex.accesses(turn.part)}
        before = [w.body for w in program.statements if w.out in read and len(w.axes) == len(w.left)]
        parts = (x for whole in (turn.part, *before) for x in ex.walk(whole))
        found |= {abs(float(x.value)) for x in parts if isinstance(x, ex.Num)}
    found -= {0.0, 1.0}
    if len(found) <= _FEW:
        found |= {a / b for a in found for b in found}
    return tuple(sorted(c for c in found if _LEAST <= c <= _MOST and not _NEAR[0] <= c <= _NEAR[1]))


def is_judged(
    derived: Derived, sizes: Mapping[str, int], given: Arrays, smooth: Callable[[], bool] | None = None
) -> bool:
    """Whether target and results of a derivation are finite for some inputs; or should be, for the definition is
    `smooth` there, whatever was derived."""
    watched = (derived.source.target, *derived.gradients.values())
    with np.errstate(all="ignore"):
        try:
            joint = run(derived.program, sizes, given)
            return all(np.isfinite(joint[n]).all() for n in watched) or smooth is not None and smooth()
        except np.linalg.LinAlgError:
            return False


def nowhere(source: Program) -> Refusal:
    """Said where no random inputs will do."""
    return Refusal(
        f"at no random point {source.target} and its derivative are finite numbers: declare where the inputs lie, "
        "such as `x: weight[n] > 0`, or give arrays"
    )
