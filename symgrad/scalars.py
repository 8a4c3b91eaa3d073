"""Scalar bodies to sympy, which differentiates them, and back.

The only file that imports sympy for derivatives; `chain.partial` imports it when the first body is differentiated.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import sympy as sp

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language.expr import Access, Bracket, Call, Cmp, Const, Expr, Num, Pow
from symgrad.language.scalar import leaf_derivative
from symgrad.leaves import LEAVES


@cache
def differentiate(skeleton: Expr, slot: Access) -> Expr | None:
    """The derivative of a body in canonical form, so that a definition is differentiated once; None where it is no
    real number anywhere, as that of sqrt(-1 - x**2)."""
    slope = sp.diff(_to_sympy(skeleton), _symbol(slot))
    forms = [slope]
    # outside its tensor, or divided by, a common factor may stand where no bracket holds
    if not any(a.tensor.startswith("b") for a in ex.accesses(skeleton)) and not _guarded(
        slope, _symbol(slot)
    ):
        forms = [sp.factor_terms(slope), slope]
    if any(form.has(sp.I, sp.zoo, sp.nan, sp.oo, -sp.oo) for form in forms):
        return None
    # a common factor comes out, unless that makes numbers longer: 0.134145*x**2 + 1 is no 5e-06*(26829*x**2 + 200000)
    return min(map(_from_sympy, forms), key=_digits)


def _guarded(slope: sp.Expr, by: sp.Symbol) -> bool:
    """Whether brackets may keep a division by what depends on a symbol from 0."""
    divided = (p.base.has(by) for p in slope.atoms(sp.Pow) if p.exp.could_extract_minus_sign())
    return bool(slope.has(_BRACKETS["!="])) and any(divided)


def _digits(e: Expr) -> int:
    """The digits of the long numbers in a formula."""
    written = [ex.decimal(x.value) for x in ex.walk(e) if isinstance(x, Num)]
    return sum(len(x) for x in written if len(x) > 3)


def _symbol(slot: Expr) -> sp.Symbol:
    assert isinstance(slot, Access)
    return sp.Symbol(slot.tensor, real=True)


def _to_sympy(e: Expr) -> sp.Expr:
    match e:
        case Num(v):
            return sp.Rational(v.numerator, v.denominator)
        case Const(name):
            return {"pi": sp.pi, "e": sp.E}[name]
        case Access():
            return _symbol(e)
        case ex.Add(args):
            return sp.Add(*map(_to_sympy, args))
        case ex.Mul(args):
            return sp.Mul(*map(_to_sympy, args))
        case Pow(a, b):
            return _to_sympy(a) ** _to_sympy(b)
        case Call(name, args):
            return _function(name)(*map(_to_sympy, args))
        case Bracket(Cmp(op, a, b)):
            return _BRACKETS[op](_to_sympy(a), _to_sympy(b))
    raise TypeError(f"no scalar expression: {type(e).__name__}")


@cache
def _function(name: str) -> type[sp.Function]:
    """sympy's own function, or a leaf of ours as one that knows its stated derivative."""
    leaf = LEAVES[name]
    if leaf.derivative is None:
        return getattr(sp, name)
    params = tuple(Access(f"_{k}", ()) for k in range(len(leaf.params)))
    stated = leaf_derivative(leaf, params)
    assert stated is not None

    def fdiff(self: sp.Function, argindex: int = 1) -> sp.Expr:
        return _to_sympy(stated[argindex - 1]).xreplace(
            {_symbol(p): a for p, a in zip(params, self.args, strict=True)}
        )

    return type(name, (sp.Function,), {"fdiff": fdiff, "is_real": True})


class _Iverson(sp.Function):
    """A bracket inside a leaf's derivative; its own derivative is zero."""

    is_real = True

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        return sp.S.Zero


_BRACKETS = {
    op: type(f"bracket_{k}", (_Iverson,), {"op": op})
    for k, op in enumerate(("<", "<=", ">", ">=", "==", "!="))
}


def _from_sympy(e: sp.Expr) -> Expr:
    """Back to our own form, in an order that depends on nothing but the body."""
    if e.is_Rational:
        return Num(Fraction(int(e.p), int(e.q)))
    if e.is_Symbol:
        return Access(e.name, ())
    if e is sp.pi or e is sp.E:
        return Const("pi" if e is sp.pi else "e")
    if isinstance(e, _Iverson):
        a, b = map(_from_sympy, e.args)
        return Bracket(Cmp(e.op, a, b))
    if e.is_Add or e.is_Mul:
        parts = sorted(map(_from_sympy, e.args), key=_rank)
        return ex.add(*parts) if e.is_Add else ex.mul(*parts)
    if isinstance(e, sp.exp):
        return ex.call("exp", _from_sympy(e.exp))
    if e.is_Pow:
        if e.exp.is_Rational and e.exp.q == 2:
            return ex.power(ex.call("sqrt", _from_sympy(e.base)), int(e.exp.p))
        return ex.power(_from_sympy(e.base), _from_sympy(e.exp))
    name = {"Abs": "abs"}.get(type(e).__name__, type(e).__name__)
    if name in LEAVES:
        return ex.call(name, *map(_from_sympy, e.args))
    raise Refusal(
        f"sympy gave a derivative with '{type(e).__name__}', which the table of leaves does not have"
    )


def _rank(e: Expr) -> tuple[int, int, str]:
    """Numbers first, then by the first entry of the body that a part reads."""
    read = [int(a.tensor[1:]) for a in ex.accesses(e)]
    return (0 if isinstance(e, Num) else 1, min(read, default=-1), str(e))
