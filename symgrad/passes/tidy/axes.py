"""Axes of a sum that need no sum: a declared fact gives it, a bracket picks one entry, two axes are one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Cmp, Expr, Val
from symgrad.language.implicit import operands
from symgrad.language.ints import Axis, Int, Look
from symgrad.language.program import Statement, within
from symgrad.passes.forms import (
    depends,
    factors,
    quotient,
)
from symgrad.passes.tidy.sheet import Group, Sheet, fresh_letter


def facts(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Sums that a declared fact gives: a distribution sums to one, a constant sums to a size, a bracket picks."""
    for k, s in enumerate(group):
        for a in s.reduced:
            found = _sum_over(s, a, sheet)
            if found is not None:
                return (*group[:k], found[0], *group[k + 1 :]), found[1]
    return None


def _sum_over(s: Statement, a: str, sheet: Sheet) -> tuple[Statement, str] | None:
    picked = _picked_by_guard(s, a, sheet)
    if picked is not None:
        return picked
    if (
        s.op != "+="
        or (s.guard is not None and depends(s.guard, [a]))
        or any(depends(Val(n), [a]) for _, n in s.axes)
    ):
        return None
    parts = factors(s.body)
    on = [f for f in parts if depends(f, [a]) or depends(parts[f], [a])]
    axes = tuple(x for x in s.axes if x[0] != a)
    if not on:
        reason = f"Nothing depends on {a}, so the sum over {a} counts {s.ranges[a]} equal terms."
        return replace(s, body=s.body * ex.val(s.ranges[a]), axes=axes), reason
    for f in on:
        if isinstance(f, Bracket):
            where = _picked(f, a)
            if where is not None and within(where, s.ranges[a], s.ranges, sheet.tensors):
                rest = quotient(s.body, f)
                assert rest is not None
                body = ex.substitute(rest, {Axis(a): where})
                return replace(
                    s, body=body, axes=axes
                ), f"Of the sum over {a} only the term {a} = {where} is left."
    identity = _product_with_inverse(on, parts, a, s, sheet)
    if identity is not None:
        rest = quotient(s.body, ex.mul(*on))
        assert rest is not None
        reason = f"The sum over {a} is the product of a matrix and its inverse."
        return replace(s, body=ex.mul(rest, identity), axes=axes), reason
    if len(on) == 1 and isinstance(on[0], Access) and parts[on[0]] == ex.ONE:
        f = on[0]
        t = sheet.tensors[f.tensor]
        last = (
            f.index[-1].axis == a
            and not any(a in i.axes for i in f.index[:-1])
            and t.shape[-1] == s.ranges[a]
        )
        if t.facts.distribution and last and f.tensor not in sheet.wanted:
            rest = quotient(s.body, f)
            assert rest is not None
            return replace(
                s, body=rest, axes=axes
            ), f"{t.name} is a distribution: its entries sum to one over {a}."
    return None


def _picked_by_guard(s: Statement, a: str, sheet: Sheet) -> tuple[Statement, str] | None:
    """A sum under the condition that its letter is a certain position: the term there, under what else must hold."""
    parts = s.guard.args if isinstance(s.guard, ex.Logic) and s.guard.op == "and" else (s.guard,)
    if s.op != "+=" or s.scan is not None or any(depends(Val(n), [a]) for _, n in s.axes):
        return None
    for c in parts:
        where = _picked(Bracket(c), a) if c is not None else None
        if where is None or not within(where, s.ranges[a], s.ranges, sheet.tensors):
            continue
        rest = ex.both(*(p for p in parts if p is not c))
        at: dict[ints.Atom, ints.IntLike] = {Axis(a): where}
        new = replace(
            s,
            body=ex.substitute(s.body, at),
            guard=None if rest is None else ex.substitute(rest, at),
            axes=tuple(x for x in s.axes if x[0] != a),
        )
        return new, f"Of the sum over {a} only the term {a} = {where} is left."
    return None


def _product_with_inverse(
    on: list[Expr], parts: Mapping[Expr, Expr], a: str, s: Statement, sheet: Sheet
) -> Expr | None:
    """The bracket that `sum(a, A[i, a]*inv(A)[a, j])` is, if two factors and nothing else are that."""
    if len(on) != 2 or any(parts[f] != ex.ONE for f in on):
        return None
    for x, y in (on, on[::-1]):
        if not isinstance(x, Access) or not isinstance(y, Access) or y.tensor not in sheet.implicit:
            continue
        t = sheet.implicit[y.tensor]
        if t.op != "inv" or operands(t)[0].tensor != x.tensor or operands(t)[0].index != t.left:
            continue
        whole = s.ranges[a] == sheet.tensors[x.tensor].shape[-1]
        if not whole or x.index[:-2] != y.index[:-2] or any(a in i.axes for i in x.index[:-2]):
            continue
        (i, j), (k, m) = x.index[-2:], y.index[-2:]
        for inner, other, (p, q) in ((j, k, (i, m)), (i, m, (k, j))):
            if inner.axis == other.axis == a and a not in (*p.axes, *q.axes):
                return Bracket(Cmp("==", Val(p), Val(q)))
    return None


def _picked(f: Bracket, a: str) -> Int | None:
    """The position that a bracket `[a == ...]` picks for an axis."""
    c = f.condition
    if isinstance(c, Cmp) and c.op == "==" and isinstance(c.a, Val) and isinstance(c.b, Val):
        for x, y in ((c.a.int, c.b.int), (c.b.int, c.a.int)):
            if x.axis == a and a not in y.axes:
                return y
    return None


def symmetric(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Entries of a tensor that is declared symmetric, with what is summed in the last place: `A @ x` for `A.T @ x`."""
    for k, s in enumerate(group):
        order = {a: j for j, a in enumerate((*s.kept, *s.reduced))}
        seen: dict[str, None] = {}

        def turned(e: object, order: Mapping[str, int] = order, seen: dict[str, None] = seen) -> Expr | None:
            if not isinstance(e, Access) or e.tensor in sheet.wanted:
                return None
            *ahead, i, j = e.index if len(e.index) > 1 else (ints.ZERO, ints.ZERO)
            if not sheet.tensors[e.tensor].facts.symmetric or i.axis is None or j.axis is None:
                return None
            if order[i.axis] > order[j.axis]:
                seen[e.tensor] = None
                return Access(e.tensor, (*ahead, j, i))
            return None

        body = ex.rewrite(s.body, turned)
        if seen:
            reason = f"{', '.join(seen)} is declared symmetric: its places may be exchanged."
            return (*group[:k], replace(s, body=body), *group[k + 1 :]), reason
    return None


def look_up(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """A scatter through a look-up, beside a writer over the whole axis, becomes a bracket over that axis."""
    whole = [s for s in group if s.plain]
    for k, s in enumerate(group):
        places = [j for j, i in enumerate(s.left) if isinstance(i.atom, Look)]
        others = [i.axis for j, i in enumerate(s.left) if j not in places]
        if not whole or not places or None in others or len(set(others)) < len(others):
            continue
        left, axes, brackets = list(s.left), list(s.axes), []
        for j in places:
            name = fresh_letter(whole[0].left[j].axis or "k", [a for a, _ in axes])
            brackets.append(Bracket(Cmp("==", Val(ints.axis(name)), Val(s.left[j]))))
            axes.append((name, sheet.tensors[s.out].shape[j]))
            left[j] = ints.axis(name)
        new = replace(s, left=tuple(left), body=ex.mul(s.body, *brackets), axes=tuple(axes))
        at = ", ".join(str(s.left[j]) for j in places)
        reason = f"What is read at the position {at} flows back to that position: a bracket is 1 only there."
        return (*group[:k], new, *group[k + 1 :]), reason
    return None


def diagonal(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """A constant added along a diagonal is a bracket everywhere, which a later sum can use up."""
    if len(group) != 1 or ex.accesses(group[0].body) or group[0].reduced or group[0].guard is not None:
        return None
    s = group[0]
    names = [i.axis for i in s.left]
    if None in names or len(set(names)) == len(names):
        return None
    left, axes, brackets = list(s.left), list(s.axes), []
    for j, a in enumerate(names):
        if a in names[:j]:
            new = fresh_letter(str(a), [x for x, _ in axes])
            brackets.append(Bracket(Cmp("==", Val(ints.axis(str(a))), Val(ints.axis(new)))))
            axes.append((new, s.ranges[str(a)]))
            left[j] = ints.axis(new)
    new_s = replace(s, left=tuple(left), body=ex.mul(s.body, *brackets), axes=tuple(axes))
    return (new_s,), "Only the diagonal is reached; elsewhere it is 0."


def split(group: Group, _sheet: Sheet) -> tuple[Group, str] | None:
    """An axis of m*n positions that is only read as j//n and j%n is two axes."""
    for k, s in enumerate(group):
        for a, n in s.axes:
            found = _split_axis(s, a, n) if s.scan is None else None
            if found is not None:
                return (*group[:k], found[0], *group[k + 1 :]), found[1]
    return None


def _split_axis(s: Statement, a: str, size: Int) -> tuple[Statement, str] | None:
    everywhere = [*s.left, *ex.ints(s.body), *(ex.ints(s.guard) if s.guard is not None else ())]
    below = next(
        (x.bottom for i in everywhere for x in i.atoms() if isinstance(x, ints.Quotient) and x.top.axis == a),
        None,
    )
    count = None if below is None else _over(size, below)
    if below is None or count is None:
        return None
    outer = fresh_letter(a, [x for x, _ in s.axes])
    inner = fresh_letter(a, [*(x for x, _ in s.axes), outer])
    parts = {(ints.axis(a) // below).atom: ints.axis(outer), (ints.axis(a) % below).atom: ints.axis(inner)}

    def apart(i: Int) -> Int:
        return i.replace(parts.get)

    new = replace(
        s,
        left=tuple(map(apart, s.left)),
        body=ex.map_ints(s.body, apart),
        guard=None if s.guard is None else ex.map_ints(s.guard, apart),
        axes=tuple(y for x in s.axes for y in ([(outer, count), (inner, below)] if x[0] == a else [x])),
    )
    if any(a in i.axes for i in (*new.left, *ex.ints(new.body), *(ex.ints(new.guard) if new.guard else ()))):
        return None
    return new, f"{a} runs over {count} blocks of {below}: its block and its place in it are two letters."


def _over(size: Int, below: Int) -> Int | None:
    """The quotient of two products of sizes, where it is one."""
    if len(size.terms) != 1 or len(below.terms) != 1:
        return None
    (monomial, c), (divisor, d) = size.terms[0], below.terms[0]
    left = list(monomial)
    for x in divisor:
        if x not in left:
            return None
        left.remove(x)
    return Int(((tuple(left), c // d),)) if c % d == 0 else None
