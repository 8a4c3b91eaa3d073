"""What is told of an operation that an equation defines: its equation, and what that says of small changes."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fractions import Fraction

from symgrad.explain.factors import matmul
from symgrad.explain.formula import (
    IDENTITY,
    Apply,
    Formula,
    Number,
    Power,
    Relation,
    Symbol,
    Transpose,
    minus,
    plus,
    times,
)
from symgrad.language.implicit import IMPLICIT, operands
from symgrad.language.program import Statement

Sides = tuple[Formula, ...]


def equations(s: Statement, symbols: Mapping[str, Formula]) -> Sides:
    """The equation of a statement, if it is one between arrays, and that of its differential, if that is told."""
    row = IMPLICIT[s.op]
    given = {"X": symbols[s.out], **dict(zip("AB", (symbols[e.tensor] for e in operands(s)), strict=False))}
    told = [text for text in (row.equality, row.change) if text]
    return tuple(_formula(ast.parse(text, mode="eval").body, given) for text in told)


def _formula(node: ast.expr, given: Mapping[str, Formula]) -> Formula:
    """A text of the table as a formula; `d(X)` is a small change of X."""

    def go(n: ast.expr) -> Formula:
        return _formula(n, given)

    match node:
        case ast.Compare(left=a, comparators=[b]):
            return Relation((go(a), go(b)), ("==",))
        case ast.BinOp(left=a, op=ast.MatMult(), right=b):
            return matmul(go(a), go(b))
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            return times(go(a), go(b))
        case ast.BinOp(left=a, op=ast.Pow(), right=b):
            return Power(go(a), go(b))
        case ast.BinOp(left=a, op=ast.Sub(), right=b):
            return plus(go(a), minus(go(b)))
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return minus(go(a))
        case ast.Attribute(value=a, attr="T"):
            return Transpose(go(a))
        case ast.Call(func=ast.Name(id="d"), args=[ast.Name(id=name)]):
            x = given[name]
            if isinstance(x, Symbol):
                return Symbol(f"d{x.code}", f"d{x.text}", rf"\mathrm{{d}}{x.latex}")
            return Apply("d", (x,))
        case ast.Call(func=ast.Name(id=name), args=args):
            return Apply(name, tuple(map(go, args)))
        case ast.Name(id="I"):
            return IDENTITY
        case ast.Name(id=name):
            return given[name]
        case ast.Constant(value=int(n)):
            return Number(Fraction(n))
    raise ValueError(f"the table of implicit operations has a text that is no formula: {ast.unparse(node)}")
