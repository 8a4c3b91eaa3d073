"""Single assignment: which equations may write one tensor, and what its sizes follow to be.

A tensor is written by one `=`, by several `=` that provably write each entry once, or by `+=` equations.
Where its sizes are declared, `y: zeros[n]`, entries that nothing writes are zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from symgrad.language import ints
from symgrad.language.ints import ONE, ZERO, Int
from symgrad.language.program import Statement

CELLS = 100_000  # of a tensor whose writers are checked entry by entry


@dataclass(frozen=True)
class Run:
    """The positions `start, start + step, ...`, `count` of them."""

    start: Int
    step: Int
    count: Int

    @property
    def end(self) -> Int:
        """One more than the last position, for a run without gaps."""
        return self.start + self.count

    @property
    def whole(self) -> bool:
        """Whether it has no gaps."""
        return ONE in (self.step, self.count)

    @property
    def numbers(self) -> list[int] | None:
        """The positions, where they are plain numbers."""
        start, step, count = self.start.number, self.step.number, self.count.number
        if start is None or step is None or count is None or count > CELLS:
            return None
        return [start + step * k for k in range(count)]


Box = tuple[Run, ...]


def box(s: Statement) -> Box | None:
    """The positions that a statement writes, as a run along each axis; None where they have no such form."""
    met: list[str] = []
    runs = []
    for position in s.left:
        met.extend(position.axes)
        run = _run(position, s.ranges)
        if run is None:
            return None
        runs.append(run)
    return tuple(runs) if len(set(met)) == len(met) else None


def injective(s: Statement) -> bool:
    """Whether one statement writes no entry twice: each of its axes is told by some position."""
    alone = [i.axes[0] for i in s.left if len(i.axes) == 1 and i.coefficient(i.axes[0]) is not None]
    return all(a in alone for a in s.kept) and not any(
        isinstance(a, ints.Look) for i in s.left for a in i.atoms()
    )


def _run(position: Int, ranges: dict[str, Int]) -> Run | None:
    """`3*g + f` with `f < 3` has no gaps: each coefficient is the count of what the smaller ones reach."""
    left = list(position.axes)
    factors = {a: position.coefficient(a) for a in left}
    if any(f is None or not f.terms or f.axes for f in factors.values()):
        return None
    start = position.substitute({ints.Axis(a): 0 for a in left})
    if start.axes or any(isinstance(a, ints.Look) for a in start.atoms()):
        return None
    if not left:
        return Run(start, ONE, ONE)
    for first in left:
        step, count, todo = factors[first], ranges[first], [a for a in left if a != first]
        assert step is not None
        while todo:
            following = next((a for a in todo if factors[a] == step * count), None)
            if following is None:
                break
            count = count * ranges[following]
            todo.remove(following)
        if not todo and ints.nonnegative(step - 1):
            return Run(start, step, count)
    return None


def extent(boxes: Sequence[Box]) -> tuple[Int, ...] | None:
    """The sizes of a tensor of which these boxes write each entry once, or None where that is not proved."""
    if len({len(b) for b in boxes}) != 1:
        return None
    rank = len(boxes[0])
    differ = [d for d in range(rank) if any(b[d] != boxes[0][d] for b in boxes)]
    sizes: list[Int] = []
    for d in range(rank):
        run = boxes[0][d]
        if d in differ:
            sizes.append(ZERO)
        elif run.whole and run.start == ZERO:
            sizes.append(run.count)
        else:
            return None
    if not differ:
        return tuple(sizes) if len(boxes) == 1 else None
    if len(differ) == 1:
        size = _chained([b[differ[0]] for b in boxes]) or _woven([b[differ[0]] for b in boxes])
        if size is not None:
            sizes[differ[0]] = size
            return tuple(sizes)
    found = _counted([tuple(b[d] for d in differ) for b in boxes])
    if found is None:
        return None
    for d, size in zip(differ, found, strict=True):
        sizes[d] = size
    return tuple(sizes)


def _chained(runs: Sequence[Run]) -> Int | None:
    """Runs without gaps, each starting where another ends."""
    at, todo = ZERO, list(runs)
    while todo:
        following = next((r for r in todo if r.whole and r.start == at), None)
        if following is None:
            return None
        todo.remove(following)
        at = following.end
    return at


def _woven(runs: Sequence[Run]) -> Int | None:
    """`2*i` and `2*i + 1`: as many runs as their step, one for each start below it."""
    step, count = runs[0].step, runs[0].count
    same = all(r.step == step and r.count == count for r in runs) and step.number == len(runs)
    starts = [r.start.number for r in runs]
    complete = sorted(s for s in starts if s is not None) == list(range(len(runs)))
    return count * step if same and complete else None


def _counted(boxes: Sequence[Box]) -> tuple[Int, ...] | None:
    """Numeric positions, entry by entry."""
    seen: dict[tuple[int, ...], None] = {}
    for cell in _cells(boxes):
        if cell is None or cell in seen or min(cell) < 0 or len(seen) >= CELLS:
            return None
        seen[cell] = None
    sizes = tuple(1 + max(cell[d] for cell in seen) for d in range(len(boxes[0])))
    total = 1
    for n in sizes:
        total *= n
    return tuple(map(ints.of, sizes)) if total == len(seen) else None


def _cells(boxes: Sequence[Box]) -> Iterator[tuple[int, ...] | None]:
    for b in boxes:
        numbers = [r.numbers for r in b]
        if any(n is None for n in numbers):
            yield None
            return
        yield from itertools.product(*(n for n in numbers if n is not None))


def disjoint(boxes: Sequence[Box]) -> bool:
    """Whether no entry is written twice, as far as that can be proved."""
    return all(any(map(_apart, a, b)) for a, b in itertools.combinations(boxes, 2))


def _apart(a: Run, b: Run) -> bool:
    for x, y in ((a, b), (b, a)):
        last = x.start + x.step * (x.count - 1)
        if ints.nonnegative(y.start - last - 1):
            return True
    gap, steps = (a.start - b.start).number, (a.step.number, b.step.number)
    step = next((s for s, r in zip(steps, (a, b), strict=True) if s and r.count != ONE), None)
    same = all(r.count == ONE or r.step.number == step for r in (a, b))
    return bool(gap is not None and step and same and gap % step)


def added(s: Statement) -> Statement:
    """A `=` as a `+=` on zeros."""
    return replace(s, op="+=")
