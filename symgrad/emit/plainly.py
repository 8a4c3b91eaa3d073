"""Formulas of numbers as Python, with the functions of `math`."""

from __future__ import annotations

from typing import Any

from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Bracket, Call, Cmp, Const, Expr, Mul, Num, Pow
from symgrad.language.scalar import leaf_lines
from symgrad.leaves import LEAVES

_BUILT = {"minimum": "min", "maximum": "max", "abs": "abs", "round": "round"}
_SAME = (
    "sqrt exp log sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh erf erfc expm1 log1p floor ceil "
    "hypot atan2"
)
FUNCTIONS = {**_BUILT, **{name: f"math.{name}" for name in _SAME.split()}}


class NoFormula(Exception):
    """What has no form in Python's numbers; the text is its name."""


def python(e: Expr) -> str:
    """A formula as Python source; where a bracket is 0, its product is not computed.

    Raises:
        NoFormula: it has a function that is neither one of `math` nor a formula of those.

    Example:
        >>> from symgrad.language.scalar import scalar
        >>> python(scalar("[t < 9]*x/9 + minimum(x, sqrt(2))", {n: Access(n, ()) for n in "xt"}))
        '(x/9 if t < 9 else 0) + min(x, math.sqrt(2))'
    """
    return str(ex.rewrite(e, _written))


def _written(x: Any) -> Any:
    """A part of a formula in Python's names, where that is another."""
    match x:
        case Access(_, ()) | Num() | Add() | Pow() | Cmp():
            return None
        case Const(name):
            return Access(f"math.{name}", ())
        case Mul(args):
            return _chosen(x) if any(isinstance(a, Bracket) for a in args) else None
        case Bracket():
            return _chosen(x)
        case Call(name, args) if name in FUNCTIONS:
            return Call(FUNCTIONS[name], tuple(ex.rewrite(a, _written) for a in args))
        case Call(name, args):
            leaf = LEAVES[name]
            lines = () if leaf.ufunc else leaf_lines(leaf)
            if len(lines) == 1:
                given = dict(zip(leaf.params, args, strict=True))
                body = ex.rewrite(lines[0][1], lambda a: given[a.tensor] if isinstance(a, Access) else None)
                return ex.rewrite(body, _written)
    raise NoFormula(getattr(x, "name", type(x).__name__))


def _chosen(x: Mul | Bracket) -> Expr:
    """A product with brackets as a choice."""
    factors = x.args if isinstance(x, Mul) else (x,)
    conditions = [a.condition for a in factors if isinstance(a, Bracket)]
    if not all(isinstance(c, Cmp) for c in conditions):
        raise NoFormula("a condition")
    tests = " and ".join(ex.show(ex.rewrite(c, _written), inside=True) for c in conditions)
    value = python(ex.mul(*(a for a in factors if not isinstance(a, Bracket))))
    return Access(f"({value} if {tests} else 0)", ())
