"""Domains before they become NumPy: conditions that only say where an index may run leave as narrower ranges, and
those that keep a window inside its array as a border of zeros around the array.

All of these take a statement to one of the same value; what they cannot change they leave as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Condition, Expr
from symgrad.language.ints import Axis, Int, Look
from symgrad.language.program import Program, Statement, open_parts, within

Border = tuple[tuple[Int, Int], ...]  # for each axis, how many entries are put before and behind


@dataclass(frozen=True)
class Bordered:
    """A tensor inside a border of one number, under a name of its own."""

    name: str
    tensor: str
    border: Border
    fill: Fraction | float

    def shape(self, program: Program) -> tuple[Int, ...]:
        return tuple(
            n + before + behind
            for n, (before, behind) in zip(program[self.tensor].shape, self.border, strict=True)
        )


def narrowed(s: Statement) -> Statement:
    """Conditions on one axis alone, such as `1 <= i`, as its range: `[1 <= i]*x[i - 1]` is `x[i]` at i + 1."""
    if s.op not in ("=", "+=") or s.guard is None:
        return s
    for c in ex.conjuncts(s.guard):
        margins = ex.margins_of(c)
        for m in margins if margins is not None and len(margins) == 1 else ():
            (a, *more) = m.axes or ("",)
            step = m.coefficient(a) if not more and a else None
            if step is None or step.number not in (1, -1) or any(isinstance(x, Look) for x in m.atoms()):
                continue
            rest, n = m - step * ints.axis(a), s.ranges[a]  # holds from -rest on, or up to rest
            start, count = (-rest, n + rest) if step == ints.ONE else (ints.ZERO, rest + 1)
            if not (ints.surely_nonnegative(start) and ints.surely_nonnegative(count)) or a in n.axes:
                continue
            if not ints.surely_nonnegative(n - count - start):
                continue
            moved: dict[ints.Atom, ints.IntLike] = {Axis(a): ints.axis(a) + start}
            guard = ex.both(*(d for d in ex.conjuncts(s.guard) if d != c))
            axes = tuple((b, count if b == a else size) for b, size in s.axes)
            new = replace(
                s,
                left=tuple(i.substitute(moved) for i in s.left),
                body=ex.substitute(s.body, moved),
                guard=None if guard is None else open_parts(ex.substitute(guard, moved), dict(axes)),
                axes=axes,
            )
            return narrowed(new)
    return s


def bordered(s: Statement, program: Program) -> tuple[Statement, tuple[Bordered, ...], Border | None]:
    """Reads and writes that reach over the ends of an array, at places that a condition excludes, go to a border.

    Returns:
        the statement, in which such reads have the names of arrays with borders, and such a left side counts from
        the border's start; those arrays; and the border of what is written, if that has one.
    """
    if s.guard is None:
        return s, (), None
    reads = [e for c in (s.body, s.guard) for e in ex.walk(c) if isinstance(e, Access)]
    borders: dict[Access, Border] = {}
    for e in dict.fromkeys(reads):
        shape = program[e.tensor].shape
        if all(within(i, n, s.ranges, program.tensors) for i, n in zip(e.index, shape, strict=True)):
            continue
        found = _border(e.index, shape, s.ranges)
        if found is None:
            return s, (), None
        borders[e] = found
    target = program[s.out].shape
    outer: Border | None = None
    if not all(within(i, n, s.ranges, program.tensors) for i, n in zip(s.left, target, strict=True)):
        outer = _border(s.left, target, s.ranges)
        if outer is None or s.op not in ("=", "+="):
            return s, (), None
    if not borders and outer is None:
        return s, (), None
    fill: Fraction | float = Fraction(0)
    if s.op in ("max=", "min="):
        fill = float("-inf") if s.op == "max=" else float("inf")
    factors = s.body.args if isinstance(s.body, ex.Mul) else (s.body,)
    hiding = [f for f in factors if isinstance(f, Access) and f in borders]
    if s.op not in ("=", "+=") and s.body not in borders:
        hiding, fill = [], Fraction(0)
    margins = {m for e in hiding for m in _margins(e.index, program[e.tensor].shape)}
    if outer is not None:
        margins |= set(_margins(s.left, target))
    others = [f for f in factors if f not in hiding]
    kept = [c for c in ex.conjuncts(s.guard) if not _leaves(c, margins, others, s, program)]
    made: dict[tuple[str, Border, Fraction | float], Bordered] = {}

    def change(e: object) -> Expr | None:
        if not isinstance(e, Access) or e not in borders:
            return None
        border = borders[e]
        key = (e.tensor, border, fill if e in hiding else Fraction(0))
        name = f"{e.tensor}\0{len(made)}\0{key[1:]}"
        own = made.setdefault(key, Bordered(name, *key))
        return Access(own.name, tuple(i + before for i, (before, _) in zip(e.index, border, strict=True)))

    guard = ex.both(*kept)
    left = s.left
    if outer is not None:
        left = tuple(i + before for i, (before, _) in zip(left, outer, strict=True))
    new = replace(
        s,
        left=left,
        body=ex.rewrite(s.body, change),
        guard=None if guard is None else ex.rewrite(guard, change),
    )
    return new, tuple(made.values()), outer


def _border(index: tuple[Int, ...], shape: tuple[Int, ...], ranges: Mapping[str, Int]) -> Border | None:
    """How far positions reach over the ends of an array; None where that is not known, or not for windows."""
    found: list[tuple[Int, Int]] = []
    for i, n in zip(index, shape, strict=True):
        steps = [i.coefficient(a) for a in i.axes]
        if any(isinstance(a, Look) for a in i.atoms()) or any(c is None or not c.number for c in steps):
            return None
        span = ints.bounds(i, ranges)
        if span is None:
            return None
        before = ints.ZERO if ints.surely_nonnegative(span[0]) else -span[0]
        last = _top(span[1])
        behind = ints.ZERO if ints.surely_nonnegative(n - 1 - span[1]) else last - (n - 1)
        if not (ints.surely_nonnegative(before) and ints.surely_nonnegative(behind)):
            return None
        found.append((before, behind))
    return tuple(found)


def _top(x: Int) -> Int:
    """An upper bound without quotients where `b*(top//b)` stands: that is at most `top`."""
    out = x
    for monomial, c in x.terms:
        (a, *more) = monomial or (None,)
        if isinstance(a, ints.Quotient) and not more and c > 0:
            b = a.bottom.number
            if b and c % b == 0:
                out = out - c * ints.of(a) + (c // b) * a.top
    return out


def _margins(index: tuple[Int, ...], shape: tuple[Int, ...]) -> tuple[Int, ...]:
    """What is nonnegative where positions stand inside."""
    return tuple(m for i, n in zip(index, shape, strict=True) for m in (i, n - 1 - i))


def _leaves(c: Condition, margins: set[Int], others: list[Expr], s: Statement, program: Program) -> bool:
    """Whether a condition need not be asked: where it fails, the border is read or written, and nothing else does
    harm.
    """
    own = ex.margins_of(c)
    if own is None or any(m not in margins for m in own):
        return False
    axes = [a for m in own for a in m.axes]
    return all(_harmless(f, s, program) or not any(a in ex.axes(f) for a in axes) for f in others)


def _harmless(f: Expr, s: Statement, program: Program) -> bool:
    """Whether a factor is a finite number wherever it stands, excluded or not."""
    if isinstance(f, Access):
        shape = program[f.tensor].shape
        return all(within(i, n, s.ranges, program.tensors) for i, n in zip(f.index, shape, strict=True))
    if isinstance(f, ex.Pow):
        x = ex.number(f.exponent)
        return x is not None and x > 0 and x.denominator == 1 and _harmless(f.base, s, program)
    if isinstance(f, (ex.Add, ex.Mul)):
        return all(_harmless(g, s, program) for g in f.args)
    return isinstance(f, (ex.Num, ex.Const, ex.Val, Bracket))
