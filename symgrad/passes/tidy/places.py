"""Adjoints that are put in place where they are read: other names, constants, small factors used once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Bracket, Cmp, Expr, Val
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import Statement
from symgrad.passes.forms import (
    cheap,
    factors,
    match_index,
    placed,
    size,
)
from symgrad.passes.tidy.sheet import Group, Sheet, everywhere


def substitute(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Adjoints that are only another name, a constant, or a small factor used once, put in place."""
    return put_in(group, sheet.known)


def put_in(group: Group, statements: Mapping[str, Statement]) -> tuple[Group, str] | None:
    """The group with entries of some tensors replaced by what their statements say."""
    names: dict[str, None] = {}

    def one(e: object) -> Expr | None:
        if isinstance(e, Access) and e.tensor in statements:
            known = statements[e.tensor]
            bound = match_index(known.left, e.index, {})
            if bound is not None:
                names[e.tensor] = None
                return placed(known.body, bound)
        return None

    new = tuple(replace(s, body=ex.rewrite(s.body, one)) for s in group)
    return (new, f"What was found for {', '.join(names)} is put in.") if names else None


def placeable(group: Group, sheet: Sheet) -> Statement | None:
    """The statement of an adjoint that is better put in place where it is read than kept under a name."""
    s = everywhere(group, sheet)
    if s is None:
        return None
    readers = sheet.reads.get(s.out, [])
    if any(r.op in IMPLICIT for r in readers) and not isinstance(s.body, Access):
        return None  # an operand is a tensor as it stands
    if isinstance(s.body, Access):
        bare = [i.axis for i in s.body.index]
        return s if None not in bare and len(set(bare)) == len(bare) == len(s.left) else None
    if not ex.accesses(s.body) and size(s.body) <= 16 and cheap(s.body):
        return s
    if _selects(s) and size(s.body) <= 32 and cheap(s.body):
        return s
    once = len(readers) == 1 and not sheet.tensors[s.out].named and cheap(s.body)
    whole = bool(readers) and not readers[0].reduced and len(readers[0].axes) >= len(s.axes)
    same = bool(readers) and len(readers[0].axes) == len(s.axes)
    return s if once and whole and (_monomial(s.body) or same) else None


def triable(group: Group, sheet: Sheet) -> Statement | None:
    """The statement of an adjoint that may be put in place for a trial: a short product beside the loss."""
    s = everywhere(group, sheet)
    if s is None or not cheap(s.body) or not _monomial(s.body) or size(s.body) > 16:
        return None
    return s if all(sheet.tensors[r].role != "adjoint" for r in s.reads) else None


def _selects(s: Statement) -> bool:
    """Whether a body has entries on a diagonal alone, which the sum of a reader uses up."""
    places = [i.axis for i in s.left]
    conditions = [f.condition for f in factors(s.body) if isinstance(f, Bracket)]
    pairs = [(c.a, c.b) for c in conditions if isinstance(c, Cmp) and c.op == "=="]
    return any(all(isinstance(x, Val) and x.int.axis in places for x in pair) for pair in pairs)


def _monomial(e: Expr) -> bool:
    return not any(isinstance(f, Add) for f in factors(e))
