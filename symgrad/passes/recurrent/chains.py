"""Links of a loop that are used up at once are put into what uses them.

Backwards, an adjoint is often made only to be multiplied, entry by entry: what is passed on to `s` in `h = s*tanh(c)`
is read by the adjoint of `s = sigmoid(a)` alone. The product of both is written directly, so that its factors meet.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.ints import Atom, Axis, Int, IntLike, Look
from symgrad.language.program import Block, Program, Statement
from symgrad.passes.recurrent.still import apart
from symgrad.passes.recurrent.told import Told


def chained(program: Program, block: Block, told: Told, kept: Collection[str]) -> Block:
    """The statements of a loop without the tensors whose entries are read once each, as a factor."""
    while True:
        for name in dict.fromkeys(s.out for s in block):
            if name not in kept:
                shorter = _without(program, block, name, told)
                if shorter is not None:
                    block = shorter
                    break
        else:
            return block


def _without(program: Program, block: Block, name: str, told: Told) -> Block | None:
    """The loop without a tensor; None if its readers do more than to multiply entries of it, or read one twice."""
    writers = [s for s in block if s.out == name]
    readers = [s for s in block if name in s.reads]
    if not readers or not all(_single(s) and _boxed(s.left) for s in writers):
        return None
    entries: list[Access] = []
    for r in readers:
        entry = _as_factor(r, name)
        if entry is None or not _single(r) or r.scan is None or not _boxed(entry.index):
            return None
        entries.append(entry)
    for (r, a), (q, b) in itertools.combinations(zip(readers, entries, strict=True), 2):
        if not any(apart(i, r.ranges, j, q.ranges) for i, j in zip(a.index, b.index, strict=True)):
            return None
    new: dict[Statement, list[Statement]] = {}
    for r, entry in zip(readers, entries, strict=True):
        if r.op == "=" and sum(s.out == r.out for s in block) > 1:
            return None  # the parts of a tensor that nothing adds to
        new[r] = []
        for w in writers:
            one = _composed(r, entry, w)
            if one is None:
                return None
            new[r] += one
        if not new[r] and sum(s.out == r.out for s in block) == 1:
            return None  # it reads zeros only, and something must write them
        if r.op == "=" and not (len(new[r]) == 1 and _alike(new[r][0], r)):
            new[r] = [replace(s, op="+=") for s in new[r]]
        for s in new[r]:
            told.tell(s, r)
    return tuple(t for s in block if s.out != name for t in new.get(s, (s,)))


def _single(s: Statement) -> bool:
    """Whether a statement computes each entry that it writes for itself."""
    return s.op in ("=", "+=") and not s.reduced and s.guard is None


def _boxed(index: Iterable[Int]) -> bool:
    """Whether each position is an axis of its own, moved on or not."""
    index = tuple(index)
    axes = [a for i in index for a in i.axes]
    steps = all(len(i.axes) == 1 and i.coefficient(i.axes[0]) == ints.ONE for i in index)
    return (
        steps
        and len(set(axes)) == len(axes)
        and not any(isinstance(a, Look) for i in index for a in i.atoms())
    )


def _alike(a: Statement, b: Statement) -> bool:
    return a.plain and [a.ranges[i.axis or ""] for i in a.left] == [b.ranges[i.axis or ""] for i in b.left]


def _as_factor(s: Statement, name: str) -> Access | None:
    """The entry of a tensor that a statement reads, if it does so once, as a factor of its whole body."""
    found = [f for f in _factors(s.body) if isinstance(f, Access) and f.tensor == name]
    everywhere = sum(isinstance(e, Access) and e.tensor == name for e in ex.walk(s.body))
    return found[0] if len(found) == 1 == everywhere else None


def _factors(e: Expr) -> tuple[Expr, ...]:
    return e.args if isinstance(e, ex.Mul) else (e,)


def _composed(reader: Statement, entry: Access, writer: Statement) -> list[Statement] | None:
    """What a reader makes of the entries that one writer writes: nothing if it reads others; None if it reads some of
    them and others."""
    if any(apart(i, reader.ranges, j, writer.ranges) for i, j in zip(entry.index, writer.left, strict=True)):
        return []
    taken = {a for a, _ in writer.axes}
    fresh = {
        a: next(f"{a}{'_' * k}" for k in range(1, 9) if f"{a}{'_' * k}" not in taken)
        for a, _ in reader.axes
        if a in taken
    }
    reader = reader.rename(fresh)
    index = tuple(i.substitute({Axis(a): Axis(b) for a, b in fresh.items()}) for i in entry.index)
    rest = [f for f in _factors(reader.body) if not (isinstance(f, Access) and f.tensor == entry.tensor)]
    inner: dict[Atom, IntLike] = {}  # the reader's axes by the writer's
    outer: dict[Atom, IntLike] = {}  # the writer's axes by the reader's
    axes = list(writer.axes)
    for i, j in zip(index, writer.left, strict=True):
        (a,), (b,) = i.axes, j.axes
        shift = (j - ints.axis(b)) - (i - ints.axis(a))  # the reader's axis is the writer's and so much more
        m, n = reader.ranges[a], writer.ranges[b]
        if ints.nonnegative(shift) and ints.nonnegative(m - n - shift):
            inner[Axis(a)] = ints.axis(b) + shift
        elif ints.nonnegative(-shift) and ints.nonnegative(n - m + shift):
            inner[Axis(a)] = ints.axis(b)
            outer[Axis(b)] = ints.axis(b) - shift
            axes[[x for x, _ in axes].index(b)] = (b, m)
        else:
            return None
    more = [(a, n) for a, n in reader.axes if Axis(a) not in inner]
    return [
        replace(
            reader,
            left=tuple(i.substitute(inner) for i in reader.left),
            body=ex.mul(ex.substitute(writer.body, outer), *(ex.substitute(f, inner) for f in rest)),
            axes=(*axes, *more),
            scan=writer.scan,
        )
    ]
