"""Bodies made shorter by what holds for all numbers: inverses, lengths, common factors, terms that cancel."""

from __future__ import annotations

from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Bracket, Call, Cmp, Expr, Mul, Num
from symgrad.language.implicit import operands
from symgrad.language.program import Statement
from symgrad.passes.forms import (
    collect,
    expand,
    factors,
    match,
    match_index,
    products,
    quotient,
    shortest,
    size,
    swapped,
    terms,
)
from symgrad.passes.tidy.named import outputs
from symgrad.passes.tidy.sheet import Group, Sheet


def lengths(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """What is 0 wherever a length is needs no bracket for that: the entries that it is the length of."""
    new = tuple(
        replace(s, body=ex.rewrite(s.body, lambda e: _nonzero(e, sheet), bottom_up=True)) for s in group
    )
    return (new, "Where a length is 0, so is every entry.") if new != group else None


def _nonzero(e: object, sheet: Sheet) -> Expr | None:
    """A product without a bracket that asks whether a length is positive, if no quotient is left for it to hide."""
    if not isinstance(e, Mul):
        return None
    parts = factors(e)
    for b in parts:
        match b:
            case Bracket(Cmp(">", Access(name, index) as length, Num(zero))) if (
                zero == 0 and name in sheet.implicit
            ):
                s = sheet.implicit[name]
                bound = match_index(s.left, index, {})
                if s.op not in ("norm", "frobenius") or bound is None:
                    continue
                powers = {f: ex.number(x) or 0 for f, x in parts.items()}
                (entry,) = operands(s)
                for f in () if powers.get(length, 0) < 0 else parts:
                    if powers[f] > 0 and (f == length or match(entry, f, bound) is not None):
                        return ex.mul(*(ex.power(base, x) for base, x in parts.items() if base != b))
    return None


def inverses(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Cofactors divided by the determinant are the inverse, transposed."""
    for k, s in enumerate(group):
        for e in ex.walk(s.body):
            if isinstance(e, Mul) and (found := _inverse(e, sheet)) is not None:
                new = replace(s, body=swapped(s.body, e, found))
                reason = "The matrix of cofactors over the determinant is the inverse, transposed."
                return (*group[:k], new, *group[k + 1 :]), reason
    return None


def _inverse(e: Mul, sheet: Sheet) -> Expr | None:
    parts = factors(e)
    known = {
        f: sheet.implicit[f.tensor] for f in parts if isinstance(f, Access) and f.tensor in sheet.implicit
    }
    for c, s in known.items():
        for d, t in known.items():
            over = s.op == "cofactor" and t.op == "det" and d.index == c.index[:-2]
            if not over or operands(s)[0].tensor != operands(t)[0].tensor:
                continue
            rest = quotient(e, ex.mul(c, ex.power(d, -1)))
            if rest is None:
                continue
            made = replace(s, op="inv", body=Call("inv", operands(s)))
            name = next((n for n, u in sheet.implicit.items() if replace(u, out=s.out) == made), "")
            if not name:
                name = sheet.fresh(f"{operands(s)[0].tensor}_inv")
                sheet.add(replace(sheet.tensors[s.out], name=name))
                sheet.implicit[name] = replace(made, out=name)
                sheet.ready.append(sheet.implicit[name])
            return ex.mul(rest, Access(name, (*c.index[:-2], c.index[-1], c.index[-2])))
    return None


def cancel(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Common factors in front; products of sums multiplied out only where terms cancel exactly.

    Elsewhere they would cancel in floating point: for large x, 1 + x - a*x is not 1 + x*(1 - a).
    """
    new = []
    for s in group:
        body = ex.rewrite(s.body, lambda e: collect(e) if isinstance(e, Add) else None, bottom_up=True)
        mirrored = ex.rewrite(body, _mirror, bottom_up=True)
        flat = expand(mirrored)
        if flat is not None and _meet(replace(s, body=mirrored), sheet):
            gathered = ex.rewrite(flat, lambda e: collect(e) if isinstance(e, Add) else None, bottom_up=True)
            if size(gathered) < size(body):
                body = gathered
        new.append(
            replace(s, body=shortest(body, s.body)) if size(body) < size(s.body) else replace(s, body=body)
        )
    return (
        (tuple(new), "Common factors come out, and terms that cancel are gone.")
        if tuple(new) != group
        else None
    )


def _meet(s: Statement, sheet: Sheet) -> bool:
    """Whether terms are alike once products are multiplied out, those counted that have a name already."""
    found = outputs((s,), sheet)
    named = s.body if found is None else found[0][0].body
    flat = expand(named)
    return flat is not None and len(terms(flat)) < products(named)


def _mirror(e: object) -> Expr | None:
    """sigmoid(-x) = 1 - sigmoid(x)"""
    if isinstance(e, Call) and e.name == "sigmoid":
        c, rest = ex.split(e.args[0])
        if c < 0:
            return ex.add(1, ex.mul(-1, ex.call("sigmoid", ex.mul(-c, rest))))
        if isinstance(e.args[0], Add) and all(ex.split(t)[0] < 0 for t in e.args[0].args):
            return ex.add(1, ex.mul(-1, ex.call("sigmoid", ex.mul(-1, e.args[0]))))
    return None
