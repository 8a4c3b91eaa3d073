"""The order in which tensors that nobody else sees have their axes in memory: the one in which they are computed.

A product over windows comes out with the places first and the channels last, whatever the declared order is. Stored so,
it needs no transposed copy, what is done to it entry by entry runs through memory in order, and the next windows are
read in long runs. Inputs and wanted tensors keep their order. Only the axes are renamed: values are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Condition, Expr
from symgrad.language.ints import Int
from symgrad.language.program import Program, Statement
from symgrad.passes.recurrent.layout import fixed, steps_first

Order = tuple[int, ...]


def ordered(
    program: Program, statements: Sequence[Statement], kept: Iterable[str],
    front: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> tuple[Program, tuple[Statement, ...]]:  # fmt: skip
    """The same statements, one by one, with the axes of inner tensors in the order in which they are computed.

    Args:
        kept: tensors that are read afterwards.
        front: for some tensors the axes that come first.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read(
        ...     "x: data[n, c, 9]; W: weight[m, c, 3]; y[n, o, i] = sum(d, p, x[n, d, i + p]*W[o, d, p]), i < 7; "
        ...     "loss = sum(y)"
        ... )
        >>> print(ordered(p, p.statements, ["loss"])[1][0])
        y[n, i, o] = sum(d, p, x[n, d, i + p]*W[o, d, p])
    """
    kept = tuple(kept)
    orders = {
        **orders_of(program, statements, kept, front),
        **steps_first(program, statements, kept),
    }
    if not orders:
        return program, tuple(statements)
    tensors = dict(program.tensors)
    for name, order in orders.items():
        t = tensors[name]
        early = tuple(t.early[k] for k in order) if t.early else ()
        tensors[name] = replace(t, shape=tuple(t.shape[k] for k in order), early=early)
    return replace(program, tensors=tensors), tuple(_turned(s, orders) for s in statements)


def free(program: Program, statements: Sequence[Statement], kept: Iterable[str]) -> dict[str, None]:
    """The tensors whose storage is nobody else's business: computed here, outside of loops, and not asked for."""
    bound = fixed(program, statements, tuple(kept))
    bound |= {n for s in statements if s.scan is not None for n in (s.out, *s.reads)}
    made = dict.fromkeys(s.out for s in statements)
    return {n: None for n in made if n not in bound and not program[n].early}


def orders_of(
    program: Program, statements: Sequence[Statement], kept: Iterable[str],
    front: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> dict[str, Order]:  # fmt: skip
    """For each tensor that is stored in another order, its axes in that order."""
    found: dict[str, Order] = {}
    inner = {n for n in free(program, statements, kept) if len(program[n].shape) > 2}
    seen: set[str] = set()
    for s in statements:
        if s.out not in inner or s.out in seen:
            continue
        seen.add(s.out)
        t = program[s.out]
        if t.role == "adjoint" and t.of in seen and len(program[t.of].shape) == len(t.shape):
            order = found.get(t.of)  # beside what it is the adjoint of
        else:
            order = _natural(s, program, found) or tuple(range(len(t.shape)))
            first = front.get(s.out, ())
            order = (*first, *(k for k in order if k not in first))
        if order is not None and order != tuple(range(len(t.shape))):
            found[s.out] = order
    return found


def _natural(s: Statement, program: Program, orders: Mapping[str, Order]) -> Order | None:
    """The order in which a statement gives the axes of what it writes; None if it reads no tensor."""
    parts = [s.body] if s.guard is None else [s.body, s.guard]
    reads = [e for c in parts for e in ex.accesses(c) if e.index]
    if not reads:
        return None
    own = {e: axes_of(e.tensor, e.index, orders) for e in reads}
    kept, reduced = set(s.kept), set(s.reduced)
    reads.sort(key=lambda e: -_entries(own[e], s.ranges))
    first = own[reads[0]]
    others = [a for e in reads[1:] for a in own[e]]
    if s.op == "+=" and reduced:
        # a matrix product: what both have, then what the larger one has, then the other one's columns
        beside = {a for e in reads[1:] if reduced & set(own[e]) for a in own[e]}
        both = [a for a in first if a in beside]
        sequence = [*both, *first, *others]
    else:
        sequence = [*first, *others]
    places = {a: k for k, a in reversed(list(enumerate(a for a in sequence if a in kept)))}
    keys = [max((places.get(a, len(places)) for a in i.axes), default=-1) for i in s.left]
    return tuple(sorted(range(len(s.left)), key=lambda k: (keys[k], k)))


def axes_of(name: str, index: tuple[Int, ...], orders: Mapping[str, Order]) -> list[str]:
    """The axes of entries in the order in which memory has them."""
    return [a for k in orders.get(name, range(len(index))) for a in index[k].axes]


def _entries(axes: Iterable[str], ranges: Mapping[str, Int]) -> int:
    return ints.about(ranges[a] for a in dict.fromkeys(axes))


def _turned(s: Statement, orders: Mapping[str, Order]) -> Statement:
    """The statement with the axes of all tensors in their new order."""

    def turn(name: str, index: tuple[Int, ...]) -> tuple[Int, ...]:
        return tuple(index[k] for k in orders[name]) if name in orders else index

    def moved(e: object) -> Expr | None:
        return Access(e.tensor, turn(e.tensor, e.index)) if isinstance(e, Access) else None

    guard: Condition | None = None if s.guard is None else ex.rewrite(s.guard, moved)
    return replace(s, left=turn(s.out, s.left), body=ex.rewrite(s.body, moved), guard=guard)
