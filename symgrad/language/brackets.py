"""What brackets exclude: whether an integer expression is nonnegative wherever some conditions hold.

It is tried, not proved: at two choices of sizes, larger than the numbers that positions are shifted by, over the whole
grid of the axes. A condition on data may hold anywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from symgrad.language import expr as ex
from symgrad.language.expr import Access, Bracket, Cmp, Condition, Logic
from symgrad.language.ints import Atom, Axis, Int, Look, Size

_COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_SIZES = ((11, 7, 9, 8, 10), (8, 12, 7, 11, 9))
_POINTS = 200_000  # of one grid; of a larger one nothing is said


def nonnegative_under(
    x: Int, conditions: Sequence[Condition], ranges: Mapping[str, Int], below: Mapping[str, Int]
) -> bool:
    """Whether an expression is nonnegative wherever all conditions hold.

    Args:
        ranges: how far each axis runs.
        below: for each integer tensor, the size that its values index.

    Example:
        >>> from symgrad.language import ints
        >>> from symgrad.language.expr import Cmp, val
        >>> i, n = ints.axis("i"), ints.size("n")
        >>> [nonnegative_under(i - 1, [Cmp(">=", val(i), val(k))], {"i": n}, {}) for k in (0, 1)]
        [False, True]
    """
    met = [x, *(i for c in conditions for i in ex.ints(c))]
    free: dict[Atom, Int] = {}
    for a in _free(met):
        reach = ranges.get(a.name) if isinstance(a, Axis) else below.get(a.tensor)
        if reach is None:
            return True  # nothing is known of it
        free[a] = reach
    letters = dict.fromkeys(a for i in (*met, *free.values()) for a in i.atoms() if isinstance(a, Size))
    return all(
        _tried(x, conditions, free, dict(zip(letters, itertools.cycle(k), strict=False))) for k in _SIZES
    )


def _free(ints: Iterable[Int]) -> list[Axis | Look]:
    """The axes and look-ups that expressions depend on, each once; a look-up is as good as an axis."""
    found: dict[Axis | Look, None] = {}
    for i in ints:

        def note(a: Atom) -> int | None:
            if isinstance(a, (Axis, Look)):
                found[a] = None
                return 0
            return None

        i.replace(note)
    return list(found)


def _tried(
    x: Int, conditions: Sequence[Condition], free: Mapping[Atom, Int], sizes: Mapping[Atom, int]
) -> bool:
    """Whether it holds at one choice of sizes."""
    extents = [max(0, int(n.evaluate(lambda a: sizes[a]))) for n in free.values()]
    points = prod(extents)
    if not 0 < points <= _POINTS:
        return True
    grid = dict(zip(free, np.indices(extents).reshape(len(extents), -1), strict=True))
    values = {**sizes, **grid}
    here = np.ones(points, bool)
    for c in conditions:
        here &= _may_hold(c, values, points, True)
    margin = np.broadcast_to(x.evaluate(lambda a: values[a]), (points,))
    return bool((margin[here] >= 0).all())


def _may_hold(c: Any, values: Mapping[Atom, Any], points: int, open_as: bool) -> np.ndarray:
    """Where a condition holds; what data decide counts as `open_as`."""
    match c:
        case Cmp(op, a, b):
            if ex.whole(a) is None or ex.whole(b) is None:
                return np.full(points, open_as)
            left, right = (ex.whole(e).evaluate(lambda x: values[x]) for e in (a, b))  # type: ignore[union-attr]
            return np.broadcast_to(_COMPARE[op](left, right), (points,))
        case Logic("not", (a,)):
            return ~_may_hold(a, values, points, not open_as)
        case Logic(op, args):
            parts = [_may_hold(a, values, points, open_as) for a in args]
            return np.logical_and.reduce(parts) if op == "and" else np.logical_or.reduce(parts)
    raise TypeError(f"not a condition: {type(c).__name__}")


def guarded(e: Any, above: tuple[Condition, ...] = ()) -> list[tuple[Access, tuple[Condition, ...]]]:
    """Every entry that an expression reads, with the conditions of the brackets that multiply it."""
    if isinstance(e, ex.Mul):
        above = (*above, *(f.condition for f in e.args if isinstance(f, Bracket)))
    own = [(e, above)] if isinstance(e, Access) else []
    return own + [x for part in ex.children(e) for x in guarded(part, above)]
