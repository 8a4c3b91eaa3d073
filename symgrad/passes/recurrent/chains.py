"""Links of a loop that are used up at once are put into what uses them.

Backwards, an adjoint is often made only to be multiplied, entry by entry: what is passed on to `s` in `h = s*tanh(c)`
is read by the adjoint of `s = sigmoid(a)` alone. The product of both is written directly, so that its factors meet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language.expr import Access, Expr
from symgrad.language.ints import Atom, Axis, IntLike, Look
from symgrad.language.program import Block, Program, Statement
from symgrad.passes.recurrent.told import Told


def chained(program: Program, block: Block, told: Told, kept: Collection[str]) -> Block:
    """The statements of a loop without the tensors that one of them alone reads, entry by entry and as a factor."""
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
    writers = [s for s in block if s.out == name]
    readers = [s for s in block if name in s.reads]
    if len(readers) != 1 or not all(map(_single, writers)):
        return None
    (reader,) = readers
    index = _as_factor(reader, name)
    if index is None or reader.reduced or reader.guard is not None or reader.op not in ("=", "+="):
        return None
    shape = program[name].shape
    whole = len(writers) == 1 and writers[0].plain and _covers(writers[0], shape)
    step = reader.scan.axis if reader.scan else ""
    if (
        not whole
        and reader.op != "+="
        or any(reader.ranges[a] != n for a, n in zip(index, shape, strict=True))
    ):
        return None
    place = index.index(step) if step in index else -1
    if place < 0 or any(w.scan is None or w.left[place].axis != w.scan.axis for w in writers):
        return None
    new = [_composed(reader, w, name, index) for w in writers]
    for s in new:
        told.tell(s, reader)
    return tuple(t for s in block if s.out != name for t in (new if s is reader else (s,)))


def _single(s: Statement) -> bool:
    """Whether a statement computes each entry that it writes for itself."""
    looks = any(isinstance(a, Look) for i in s.left for a in i.atoms())
    return s.op in ("=", "+=") and not s.reduced and s.guard is None and not looks


def _covers(s: Statement, shape: Iterable[object]) -> bool:
    return all(s.ranges[i.axis or ""] == n for i, n in zip(s.left, shape, strict=True))


def _as_factor(s: Statement, name: str) -> tuple[str, ...] | None:
    """The axes at which a statement reads a tensor, if it does so once, as a factor of its whole body."""
    found = [f for f in _factors(s.body) if isinstance(f, Access) and f.tensor == name]
    everywhere = sum(isinstance(e, Access) and e.tensor == name for e in ex.walk(s.body))
    if len(found) != 1 or everywhere != 1:
        return None
    axes = tuple(i.axis or "" for i in found[0].index)
    return axes if "" not in axes and len(set(axes)) == len(axes) else None


def _factors(e: Expr) -> tuple[Expr, ...]:
    return e.args if isinstance(e, ex.Mul) else (e,)


def _composed(reader: Statement, writer: Statement, name: str, index: tuple[str, ...]) -> Statement:
    """What a reader makes of the entries that one writer writes."""
    others = [a for a, _ in reader.axes if a not in index]
    fresh = {a: f"{a}_" for a in others if a in writer.ranges}
    reader = reader.rename(fresh)
    values: dict[Atom, IntLike] = {Axis(a): i for a, i in zip(index, writer.left, strict=True)}
    rest = [f for f in _factors(reader.body) if not (isinstance(f, Access) and f.tensor == name)]
    axes = (*writer.axes, *((a, n) for a, n in reader.axes if a not in index))
    return replace(
        reader,
        left=tuple(i.substitute(values) for i in reader.left),
        body=ex.mul(writer.body, *(ex.substitute(f, values) for f in rest)),
        axes=axes,
        scan=writer.scan,
    )
