"""How the loss of all examples follows from the losses of parts of them, so that it is computed in a bounded memory."""

from __future__ import annotations

from typing import Any

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Mul, Num, Pow, Stop, Val
from symgrad.language.ints import Int, Size
from symgrad.language.program import Program, needed
from symgrad.passes.shares import share


def whole(program: Program) -> str | None:
    """ "mean" or "sum": what the loss of all is of the losses of parts, a mean by examples; None if neither is proved.

    A part's share of the loss is known for a part of `rows` examples out of n. Where it is a multiple of 1/n, it is
    rows/n times what the part has as a loss of its own; where it is free of n, it is that loss.

    Example:
        >>> from symgrad.language.reader import read
        >>> [whole(read(f"x: data[n]; w: weight; loss = {f}(n, x[n]*w) + {c}*w")) for f, c in (("mean", 2), ("sum", 0))]
        ['mean', 'sum']
        >>> whole(read("x: data[n]; w: weight; loss = sum(n, x[n]*w) + 2*w"))
    """
    try:
        part = share(program, needed(program.statements, [program.target]), [program.target])
    except Refusal:
        return None
    degrees: dict[str, int] = {}
    for _ in range(2):  # in a loop, what a later statement writes is read
        for s in part.statements:
            own = _degree(s.body, degrees, part.count)
            guard = 0 if s.guard is None else _degree(s.guard, degrees, part.count)
            if own is None or guard != 0 or degrees.setdefault(s.out, own) != own:
                return None
    return {-1: "mean", 0: "sum"}.get(degrees[program.target])


def _degree(e: Any, degrees: dict[str, int], letter: str) -> int | None:
    """The power of a size letter that is a factor of an expression; None if the rest is not free of it."""
    match e:
        case Num(value) if value == 0:
            return 0
        case Val(i):
            return _power(i, letter)
        case Access(name):
            return degrees.get(name, 0)
        case Stop(arg):
            return _degree(arg, degrees, letter)
        case Pow(base, Num(value)) if value.denominator == 1:
            own = _degree(base, degrees, letter)
            return None if own is None else own * int(value)
        case Int():
            return 0 if _power(e, letter) == 0 else None
    parts = [_degree(a, degrees, letter) for a in ex.children(e)]
    if None in parts:
        return None
    found = [p for p in parts if p is not None]
    if isinstance(e, Mul):
        return sum(found)
    if isinstance(e, Add):
        return found[0] if len(set(found)) == 1 else None
    return None if any(found) else 0


def _power(i: Int, letter: str) -> int | None:
    """The same of a whole number."""
    n = Size(letter)
    if not any(n in Int((((a,), 1),)).atoms() for monomial, _ in i.terms for a in monomial):
        return 0
    powers = {monomial.count(n) for monomial, _ in i.terms}
    rest = [a for monomial, _ in i.terms for a in monomial if a != n]
    free = not any(n in Int((((a,), 1),)).atoms() for a in rest)
    return powers.pop() if len(powers) == 1 and free else None
