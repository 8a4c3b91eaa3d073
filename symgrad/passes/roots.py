"""Roots of what is never negative have slope 0 where they are 0: the length of a vector is `sqrt(sum(x**2))`, and at
the origin, where it has a kink, 0 lies between its slopes. The chain rule alone finds 0 times infinity there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Add, Bracket, Call, Cmp, Const, Expr, Mul, Num, Pow, Stop, Val
from symgrad.language.program import Program
from symgrad.language.trace import Step

_UNKNOWN, _NONNEGATIVE, _POSITIVE = 0, 1, 2
_LEAVES = {  # never negative; one that is always positive may still be 0 in floating point
    "abs", "cosh", "erfc", "exp", "hypot", "logcosh", "relu", "sigmoid", "softplus", "sqrt",
}  # fmt: skip
_REASON = "Where the number under the root is 0, which it is never below, the root has a kink, and slope 0."


def rooted(program: Program, wanted: Collection[str]) -> tuple[Program, list[Step]]:
    """`sqrt(s)` as `[s > 0]*sqrt(s)`, and so for other roots, where `s` is a sum of squares or the like: never
    negative whatever the inputs are, and perhaps 0. Only where `s` depends on what is differentiated by.

    Example:
        >>> from symgrad.language.reader import read
        >>> p, _ = rooted(read("x: weight[n]\\nloss = sqrt(sum(x**2)) + sqrt(sum(x**2) + 1)"), ["x"])
        >>> print(p.statements[-1])
        loss = [loss_1 > 0]*sqrt(loss_1) + sqrt(loss_1 + 1)
    """
    signs: dict[str, int] = {}
    moving = set(wanted)
    statements, steps = [], []
    for s in program.statements:
        body = _guarded(s.body, signs, moving)
        new = replace(s, body=body) if body != s.body else s
        if new is not s:
            steps.append(Step(0, "stable", (new,), before=(s,), reason=_REASON))
        statements.append(new)
        if not moving.isdisjoint(s.reads):
            moving.add(s.out)
        if s.scan is None and s.op in ("=", "+=", "max=", "min=") and len(program.writers(s.out)) == 1:
            sign = _sign(s.body, signs)
            signs[s.out] = sign if s.guard is None and s.plain else min(sign, _NONNEGATIVE)
    return replace(program, statements=tuple(statements)), steps


def _guarded(body: Expr, signs: dict[str, int], moving: set[str]) -> Expr:
    def change(e: object) -> Expr | None:
        if isinstance(e, Stop):
            return e
        if isinstance(e, Pow) and (ex.number(e.exponent) or 0) < 0:
            under = e.base.args if isinstance(e.base, Mul) else (e.base,)
            if any(_radicand(f) is not None for f in under):
                return e  # one over it has no value there
        if isinstance(e, Mul) and any(isinstance(f, Bracket) and f in _brackets(e) for f in e.args):
            return e
        radicand = _radicand(e)
        if (
            radicand is not None
            and _sign(radicand, signs) == _NONNEGATIVE
            and not moving.isdisjoint(ex.tensors(radicand))
        ):
            assert isinstance(e, (Call, Pow))
            return ex.mul(_holds(radicand), e)
        return None

    return ex.rewrite(body, change)


def _brackets(e: Mul) -> list[Bracket]:
    """The guards that its roots would have."""
    return [_holds(r) for r in map(_radicand, e.args) if r is not None]


def _holds(radicand: Expr) -> Bracket:
    return Bracket(Cmp(">", radicand, ex.ZERO))


def _radicand(e: object) -> Expr | None:
    """What a root is taken of."""
    match e:
        case Call("sqrt", (u,)):
            return u
        case Pow(u, Num(c)) if 0 < c < 1:
            return u
    return None


def _sign(e: Expr, signs: dict[str, int]) -> int:
    """Whether a formula is never negative, or always positive, whatever numbers the inputs are."""
    match e:
        case Num(v):
            return _POSITIVE if v > 0 else _NONNEGATIVE if v == 0 else _UNKNOWN
        case Const():
            return _POSITIVE
        case Val(i):
            return _NONNEGATIVE if ints.surely_nonnegative(i) else _UNKNOWN
        case Access(name, _):
            return signs.get(name, _UNKNOWN)
        case Bracket():
            return _NONNEGATIVE
        case Add(args):
            own = [_sign(a, signs) for a in args]
            return max(own) if all(own) else _UNKNOWN
        case Mul(args):
            return min(_sign(a, signs) for a in args)
        case Pow(u, Num(c)) if c.denominator == 1 and c.numerator % 2 == 0:
            return max(_NONNEGATIVE, _sign(u, signs))
        case Pow(u, _):
            return _sign(u, signs)
        case Call(name, _):
            return _NONNEGATIVE if name in _LEAVES else _UNKNOWN
    return _UNKNOWN
