"""Statements of a loop that do the same for neighbouring slices become one.

`d[k] += c[k]*f[k]` and `d[k + m] += c[k]*f[k + m]` are `d[q*m + k] += c[k]*f[q*m + k]` for q < 2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access
from symgrad.language.ints import Int
from symgrad.language.program import Block, Statement
from symgrad.passes.recurrent.told import Told


def joined(block: Block, told: Told) -> Block:
    """The statements of a loop, runs of equal ones over neighbouring slices as one statement."""
    done: list[Statement] = []
    waiting = list(block)
    while waiting:
        s = waiting.pop(0)
        run = _run(s, waiting)
        if len(run) > 1:
            one = _one(run)
            told.tell(one, s)
            waiting = [t for t in waiting if t not in run]
            s = one
        done.append(s)
    return tuple(done)


def _run(s: Statement, others: list[Statement]) -> list[Statement]:
    """The longest run of statements that has `s`, by rising places."""
    alike = [t for t in others if t.out == s.out and t.op == s.op and t.guard == s.guard is None]
    best = [s]
    for place in range(len(s.left)):
        run = [s]
        while (t := next((t for t in alike if _shifted(run[-1], t, place) is not None), None)) is not None:
            run.append(t)
        while (t := next((t for t in alike if _shifted(t, run[0], place) is not None), None)) is not None:
            run.insert(0, t)
        if len(run) > len(best):
            best = run
    return best


def _shifted(a: Statement, b: Statement, place: int) -> tuple[str, Int] | None:
    """The axis along which `b` is `a` moved on by its whole length, and that length; `place` is where `a` writes."""
    if a.reduced or b.reduced or len(a.left) != len(b.left) or len(a.left[place].axes) != 1:
        return None
    (axis,) = a.left[place].axes
    if a.left[place].coefficient(axis) != ints.ONE or a.scan is None or axis == a.scan.axis:
        return None
    pairs = [(i.axes, j.axes) for i, j in zip(a.left, b.left, strict=True)]
    if any(len(i) != len(j) or len(i) > 1 for i, j in pairs):
        return None
    b = b.rename({j[0]: i[0] for i, j in pairs if i})
    if a.ranges != b.ranges or a.scan != b.scan:
        return None
    length = a.ranges[axis]
    moved = tuple(i + length if k == place else i for k, i in enumerate(a.left))
    return (axis, length) if moved == b.left and _places(a.body, b.body, axis, length) is not None else None


def _places(a: Any, b: Any, axis: str, length: Int) -> dict[Access, tuple[int, ...]] | None:
    """For each entry that `a` reads at which positions `b` reads `length` further; None if they differ otherwise."""
    if isinstance(a, Access):
        if not isinstance(b, Access) or a.tensor != b.tensor:
            return None
        moved = tuple(k for k, (i, j) in enumerate(zip(a.index, b.index, strict=True)) if i != j)
        if any(b.index[k] != a.index[k] + length or a.index[k].axes != (axis,) for k in moved):
            return None
        return {a: moved}
    parts, others = ex.children(a), ex.children(b)
    if type(a) is not type(b) or len(parts) != len(others):
        return None
    if not parts:
        return {} if a == b else None
    if ex.rebuild(a, parts) != ex.rebuild(b, parts):
        return None
    found: dict[Access, tuple[int, ...]] = {}
    for x, y in zip(parts, others, strict=True):
        more = _places(x, y, axis, length)
        if more is None or any(found.get(e, p) != p for e, p in more.items()):
            return None
        found |= more
    return found


def _one(run: list[Statement]) -> Statement:
    s, second = run[0], run[1]
    place = next(k for k in range(len(s.left)) if _shifted(s, second, k) is not None)
    shift = _shifted(s, second, place)
    assert shift is not None
    axis, length = shift
    names = {j.axes[0]: i.axes[0] for i, j in zip(s.left, second.left, strict=True) if i.axes}
    places = _places(s.body, second.rename(names).body, axis, length)
    assert places is not None
    letter = next(x for x in (*"qrsuvw", f"{axis}_") if x not in s.ranges)
    far = ints.axis(letter) * length

    def change(e: object) -> Access | None:
        if not isinstance(e, Access):
            return None
        moved = places[e]
        return Access(e.tensor, tuple(i + far if k in moved else i for k, i in enumerate(e.index)))

    at = [a for a, _ in s.axes].index(axis)
    return replace(
        s,
        left=tuple(i + far if k == place else i for k, i in enumerate(s.left)),
        body=ex.rewrite(s.body, change),
        axes=(*s.axes[:at], (letter, ints.of(len(run))), *s.axes[at:]),
    )
