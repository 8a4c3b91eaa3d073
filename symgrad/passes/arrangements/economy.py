"""Bodies of the joint program in the form that takes the fewest passes over arrays.

- What all terms of a sum have in common stands in front of it: `y + c*y**3` is `y*(1 + c*y**2)`.
- A number in front of a sum goes into it where its terms have numbers already: `k*(1 + c*y**2)` is `k + k*c*y**2`.
- A product that the program has is used again: beside `y = z*q`, `1 + z*q*u` is `1 + y*u`.
- Of t and 1 + t only the second is kept: `1 - t**2` is `q*(2 - q)` for q = 1 + t.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.program import Program, Statement
from symgrad.passes.forms import collect, expand, match_index, placed, quotient
from symgrad.passes.stable import pure

Products = dict[str, list[Statement]]  # statements that are products of entries, by a tensor that they read
_LIMIT = 12  # terms of a polynomial that is tried


def economical(program: Program) -> Program:
    """The program with each body in the form, of those that are tried, that takes the fewest passes.

    Example:
        >>> from symgrad.language.reader import read
        >>> for s in economical(read("y: weight[n]; u = 3*(y + y**3/7); loss = sum(u)")).statements[:-1]:
        ...     print(s)
        u[n] = y[n]*(3 + (3/7)*y[n]**2)
    """
    products: Products = {}
    done: list[Statement] = []
    for s in _shifted(program):
        new = _economical(s, products)
        done.append(new)
        body = ex.split(new.body)[1]
        factors = body.args if isinstance(body, ex.Mul) else ()
        if pure(new, program) and len(factors) > 1 and all(isinstance(f, Access) for f in factors):
            for name in dict.fromkeys(ex.tensors(body)):
                products.setdefault(name, []).append(new)
    return replace(program, statements=tuple(done))


def _plain(s: Statement) -> bool:
    """Whether a body is one of entries that may be rewritten: what a condition excludes must stay behind it."""
    held = any(isinstance(e, (ex.Bracket, ex.Stop)) for e in ex.walk(s.body))
    return s.op == "=" and s.plain and s.guard is None and bool(s.axes) and not held


def _shifted(program: Program) -> tuple[Statement, ...]:
    """The statements where of a tensor and it with a number added only the second is read, where that costs no pass."""
    statements = program.statements
    for q in program.statements:
        match q.body:
            case ex.Add((ex.Num(c), Access(name, index)) | (Access(name, index), ex.Num(c))) if pure(
                q, program
            ):
                pass
            case _:
                continue
        t = program[name]
        readers = [r for r in statements if name in r.reads and r.out != q.out]
        if (
            index != q.left
            or t.named
            or t.role != "value"
            or len(readers) == 0
            or not all(map(_plain, readers))
        ):
            continue

        def instead(e: object, q: Statement = q, name: str = name, c: object = c) -> Expr | None:
            if isinstance(e, Access) and e.tensor == name:
                return ex.add(Access(q.out, e.index), -c)  # type: ignore[operator]
            return None

        new = {r: _opened(replace(r, body=ex.rewrite(r.body, instead)), q.out) for r in readers}
        if all(_cost(_economical(n, {})) <= _cost(_economical(r, {})) for r, n in new.items()):
            statements = tuple(new.get(s, s) for s in statements)
    return statements


def _opened(s: Statement, name: str) -> Statement:
    """The statement with polynomials in one tensor alone multiplied out; of others that could cost digits."""

    def one(e: object) -> Expr | None:
        if isinstance(e, ex.Add) and ex.tensors(e) == (name,):
            whole = expand(e, _LIMIT)
            return None if whole is None else collect(whole)
        return None

    return replace(s, body=ex.rewrite(s.body, one))


def _cost(s: Statement) -> float:
    return passes(s.body, frozenset(s.kept))


def _economical(s: Statement, products: Products) -> Statement:
    if not _plain(s):
        return s
    axes = frozenset(s.kept)

    def cost(e: Expr) -> float:
        return passes(e, axes)

    def cheaper(e: object) -> Expr | None:
        if not isinstance(e, (ex.Add, ex.Mul)) or not ex.axes(e):
            return None
        best: Expr = e
        while True:
            found = min(_forms(best, products), key=cost, default=best)
            if cost(found) >= cost(best) and not (found != best and best is e and cost(found) == cost(best)):
                return best
            best = found

    body = ex.rewrite(s.body, cheaper, bottom_up=True)
    return replace(s, body=body) if cost(body) < cost(s.body) else s


def _forms(e: Expr, products: Products) -> Iterator[Expr]:
    """Other forms of a sum or a product."""
    if isinstance(e, ex.Add):
        yield collect(e)
    elif isinstance(e, ex.Mul):
        yield from _absorbed(e)
        for form in _known(e, products):
            yield form
            yield from _absorbed(form) if isinstance(form, ex.Mul) else ()


def _absorbed(e: ex.Mul) -> Iterator[Expr]:
    """A product with its number inside one of its sums."""
    number = ex.mul(*(f for f in e.args if not ex.axes(f)))
    arrays = [f for f in e.args if ex.axes(f)]
    for k, f in enumerate(arrays):
        if number != ex.ONE and isinstance(f, ex.Add):
            inside = ex.add(*(ex.mul(number, t) for t in f.args))
            yield ex.mul(*arrays[:k], inside, *arrays[k + 1 :])


def _known(e: ex.Mul, products: Products) -> Iterator[Expr]:
    """A product with a product that is there already in place of its factors."""
    entries = [f for f in e.args if isinstance(f, Access)]
    for entry in entries:
        for s in products.get(entry.tensor, ()):
            number, body = ex.split(s.body)
            own = next(f for f in ex.accesses(body) if f.tensor == entry.tensor)
            bound = match_index(own.index, entry.index, {})
            if bound is None or set(ex.axes(body)) - set(bound):
                continue
            rest = quotient(e, placed(body, bound))
            if rest is not None:
                there = Access(
                    s.out, tuple(i.substitute({ints.Axis(a): v for a, v in bound.items()}) for i in s.left)
                )
                yield ex.mul(rest, ex.Num(1 / number), there)


def passes(e: ex.Any, axes: frozenset[str]) -> float:
    """How many passes over arrays of these axes a body takes: one for each operation, a tenth for smaller arrays.

    Example:
        >>> from symgrad.language.ints import axis
        >>> y = ex.Access("y", (axis("n"),))
        >>> [passes(e, frozenset("n")) for e in (y*3, y**3 + 1, (y**2*3 + 1)*2, y**2 - y)]
        [1.0, 3.0, 4.0, 2.0]
    """
    own = ex.axes(e)
    if not own:
        return 0.0
    weight = 1.0 if len(own) == len(axes) else 0.1
    below = math.fsum(passes(c, axes) for c in ex.children(e))
    match e:
        case ex.Add(args) | ex.Mul(args):
            args = tuple(a for a in args if a != ex.lift(-1))  # a difference is one pass
            whole = sum(len(ex.axes(a)) == len(axes) for a in args)
            parts = len(args) - whole
            return below + max(whole - 1, 0) + (weight if parts and whole else 0) + 0.1 * max(parts - 1, 0)
        case ex.Pow(_, ex.Num(v)) if abs(v) == 1:
            return below
        case ex.Pow(_, ex.Num(v)) if v.denominator == 1:
            digits = f"{abs(v.numerator):b}"
            return below + weight * (len(digits) + digits.count("1") - 2)
        case ex.Pow() | ex.Call():
            return below + weight
    return below
