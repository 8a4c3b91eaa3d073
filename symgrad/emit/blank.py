"""What of a new array must be zero before anything is written, and which sums write where nothing stands yet.

An array that `+=` fills starts at zero. Where the first writer of an entry is known, it sets the entry and the others
add to it, so that only entries that no first writer reaches are set to zero beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import conjuncts
from symgrad.language.ints import Int, Look
from symgrad.language.program import Block, Program, Statement, Tensor, blocks
from symgrad.passes.recurrent.still import apart, disjoint

_Box = tuple[tuple[Int, Int], ...]
Slab = tuple[int, Int, Int]  # an axis, where on it the slab begins, how long it is


@dataclass(frozen=True)
class Blank:
    """How a tensor starts.

    Attributes:
        slabs: what is set to zero (or what else is neutral) first; None for all of it.
        sets: the statements that set entries instead of adding to them.
    """

    slabs: tuple[Slab, ...] | None = None
    sets: tuple[Statement, ...] = ()


def blanks(program: Program, statements: Sequence[Statement], kept: Iterable[str] = ()) -> dict[str, Blank]:
    """For tensors that several statements write, or one at places, how they start; `kept` are read as a whole."""
    asked = set(kept)
    writers: dict[str, list[Block]] = {}
    for block in blocks(statements):
        for name in dict.fromkeys(s.out for s in block):
            writers.setdefault(name, []).append(tuple(s for s in block if s.out == name))
    found = {}
    for name, groups in writers.items():
        blank = _blank(program[name], groups, () if name in asked else statements)
        if blank is not None:
            found[name] = blank
    return found


def _blank(t: Tensor, groups: Sequence[Block], statements: Sequence[Statement]) -> Blank | None:
    everything = [s for group in groups for s in group]
    if not all(_placed(s) for s in groups[0]):
        return None
    if all(s.op == "=" for s in everything):
        full = all(map(_placed, everything)) and disjoint(everything)
        if full and (_count(everything) == ints.product(_rows(t)) or _read_inside(t, everything, statements)):
            return Blank(())
        return None
    if any(s.op != "+=" for s in everything):
        return None
    if len(everything) > 1 and all(s.scan is None for s in everything):
        return None  # sums onto zero one after another
    return _one(t, groups[0][0]) if groups[0][0].scan is None else _loop(t, groups[0])


def _placed(s: Statement) -> bool:
    """Whether a statement writes a box: each position one axis that moves on by one, each axis at one position."""
    axes = [a for i in s.left for a in i.axes]
    if s.guard is not None and conjuncts(s.guard) or len(set(axes)) < len(axes):
        return False
    if any(isinstance(a, Look) for i in s.left for a in i.atoms()):
        return False
    return all(not i.axes or _span(i, s.ranges) is not None for i in s.left)


def _span(i: Int, ranges: dict[str, Int]) -> tuple[Int, Int] | None:
    """Where a position begins and how many places it counts through, without gaps; None if it has gaps."""
    count, axes = ints.ONE, list(i.axes)
    while axes:
        a = next((b for b in axes if i.coefficient(b) == count), None)
        if a is None:
            return None
        axes.remove(a)
        count = count * ranges[a]
    span = ints.bounds(i, ranges)
    return None if span is None else (span[0], count)


def _read_inside(t: Tensor, writers: Sequence[Statement], statements: Sequence[Statement]) -> bool:
    """Whether all that is read of a tensor is written; what nothing reads by name is asked for as a whole."""
    reads = []
    for s in statements:
        parts = [s.body] if s.guard is None else [s.body, s.guard]
        if t.name in s.reads:
            found = [e.index for c in parts for e in ex.accesses(c) if e.tensor == t.name]
            if not found:
                return False  # as a position
            reads += [_box(index, s.ranges) for index in found]
    boxes = [box for box in (_box(s.left, s.ranges) for s in writers) if box is not None]
    if not reads or len(boxes) < len(writers):
        return False
    boxes = _together(boxes)
    return all(box is not None and _within(box, boxes) for box in reads)


def _box(index: Iterable[Int], ranges: dict[str, Int]) -> _Box | None:
    """From where to where positions go, along each axis; None if that is not known."""
    spans = []
    for i in index:
        if any(isinstance(a, Look) for a in i.atoms()):
            return None
        span = ints.bounds(i, ranges)
        if span is None:
            return None
        spans.append((span[0], span[1] + 1))
    return tuple(spans)


def _together(boxes: list[_Box]) -> list[_Box]:
    """Boxes that differ along one axis, where one ends where the other begins, as one."""
    for a in boxes:
        for b in boxes:
            apart_in = [k for k, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
            if len(apart_in) == 1 and a[apart_in[0]][1] == b[apart_in[0]][0]:
                k = apart_in[0]
                one = (*a[:k], (a[k][0], b[k][1]), *a[k + 1 :])
                return _together([one, *(c for c in boxes if c is not a and c is not b)])
    return boxes


def _within(box: _Box, boxes: list[_Box]) -> bool:
    """Whether boxes in a row along some axis hold a box."""
    for k in range(len(box)):
        beside = [b for b in boxes if all(_inside(box[j], b[j]) for j in range(len(box)) if j != k)]
        at, end = box[k]
        while (b := next((b for b in beside if _inside((at, at + 1), b[k])), None)) is not None:
            at = b[k][1]
            if ints.nonnegative(at - end):
                return True
    return False


def _inside(a: tuple[Int, Int], b: tuple[Int, Int]) -> bool:
    return ints.nonnegative(a[0] - b[0]) is True and ints.nonnegative(b[1] - a[1]) is True


def _rows(t: Tensor) -> tuple[Int, ...]:
    """The shape with early rows."""
    return tuple(n + k for n, k in zip(t.shape, _early(t), strict=True))


def _early(t: Tensor) -> tuple[int, ...]:
    return t.early or (0,) * len(t.shape)


def _count(statements: Iterable[Statement]) -> Int:
    total = ints.ZERO
    for s in statements:
        total = total + ints.product(s.ranges[a] for a in s.kept)
    return total


def _one(t: Tensor, s: Statement) -> Blank | None:
    """A first statement outside of loops: it may leave out something along one axis."""
    slabs: list[Slab] = []
    for k, (i, n, early) in enumerate(zip(s.left, _rows(t), _early(t), strict=True)):
        span = (i, ints.ONE) if not i.axes else _span(i, s.ranges)
        assert span is not None
        rest = _beside(k, span[0] + early, span[1], n)
        if rest is None or rest and slabs:
            return None
        slabs += rest
    return Blank(tuple(slabs), (s,))


def _beside(axis: int, start: Int, length: Int, n: Int) -> list[Slab] | None:
    """What is left of an axis before and behind a part of it; None where that is not certain."""
    end = n - start - length
    if ints.nonnegative(start) is not True or ints.nonnegative(end) is not True:
        return None
    return [(axis, a, m) for a, m in ((ints.ZERO, start), (start + length, end)) if m != ints.ZERO]


def _loop(t: Tensor, group: Block) -> Blank | None:
    """Writers in a loop: of those that meet the one that comes to a row first."""
    scan = group[0].scan
    assert scan is not None
    offsets: list[int] = []
    places: set[int] = set()
    for s in group:
        assert s.scan is not None
        at = [k for k, i in enumerate(s.left) if s.scan.axis in i.axes]
        offset = (s.left[at[0]] - ints.axis(s.scan.axis)).number if len(at) == 1 else None
        if offset is None:
            return None
        offsets.append(offset)
        places.add(at[0])
    if len(places) > 1:
        return None
    place = places.pop()
    sign = 1 if scan.backward else -1
    order = [(sign * offset, k) for k, offset in enumerate(offsets)]
    firsts = [
        k
        for k, s in enumerate(group)
        if all(order[k] < order[j] for j, o in enumerate(group) if j != k and not _aside(s, o, place))
    ]
    if not firsts:
        return None
    sets = tuple(group[k] for k in firsts)
    rows, early = _rows(t), _early(t)
    step = sets[0].scan
    assert step is not None
    steps = sets[0].ranges[step.axis]
    others = ints.product(n for k, n in enumerate(rows) if k != place)
    slabs: list[Slab] | None = None
    if len({offsets[k] for k in firsts}) == 1 and _count(sets) == others * steps:
        slabs = _beside(place, ints.of(offsets[firsts[0]] + early[place]), steps, rows[place])
    return Blank(None if slabs is None else tuple(slabs), sets)


def _aside(a: Statement, b: Statement, place: int) -> bool:
    """Whether two statements write apart from each other in each row."""
    return any(
        apart(i, a.ranges, j, b.ranges)
        for k, (i, j) in enumerate(zip(a.left, b.left, strict=True))
        if k != place
    )
