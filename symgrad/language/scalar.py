"""Texts of scalar functions: the rows of the leaf table as expressions.

The same whitelist over `ast` as in the reader, for the few forms that a row needs.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fractions import Fraction
from functools import cache

from symgrad.language import expr as ex
from symgrad.language.expr import Access, Bracket, Cmp, Condition, Const, Expr, Num
from symgrad.leaves import LEAVES, Leaf

_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


class NoScalar(ValueError):
    """A part of a text that is no formula in scalars; `part` is its text, `called` the function that is not known."""

    def __init__(self, node: ast.AST):
        self.part = ast.unparse(node)
        call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        self.called = node.func.id if call else ""  # type: ignore[attr-defined]
        super().__init__(f"this is no scalar formula: {self.part}")


def scalar(text: str, values: Mapping[str, Expr]) -> Expr:
    """The expression of a formula in scalars, with names replaced by the expressions given.

    Raises:
        NoScalar: a part of it is none.
    """
    return _read(ast.parse(text, mode="eval").body, values)


def _read(node: ast.expr, values: Mapping[str, Expr]) -> Expr:
    def go(n: ast.expr) -> Expr:
        return _read(n, values)

    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as v):
            return Num(Fraction(repr(v)))
        case ast.Name(id=name) if name in values:
            return values[name]
        case ast.Name(id=("pi" | "e") as name):
            return Const(name)
        case ast.UnaryOp(op=ast.USub(), operand=a):
            return -go(a)
        case ast.BinOp(left=a, op=ast.Add(), right=b):
            return go(a) + go(b)
        case ast.BinOp(left=a, op=ast.Sub(), right=b):
            return go(a) - go(b)
        case ast.BinOp(left=a, op=ast.Mult(), right=b):
            return go(a) * go(b)
        case ast.BinOp(left=a, op=ast.Div(), right=b) if (divisor := go(b)) != ex.ZERO:
            return go(a) / divisor
        case ast.BinOp(left=a, op=ast.Pow(), right=b):
            return go(a) ** go(b)
        case ast.List(elts=[ast.Compare(left=a, ops=[op], comparators=[b])]) if type(op) in _COMPARE:
            condition: Condition = Cmp(_COMPARE[type(op)], go(a), go(b))
            return Bracket(condition)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in LEAVES and len(args) == len(
            LEAVES[name].params
        ):
            return ex.call(name, *map(go, args))
    raise NoScalar(node)


@cache
def leaf_lines(leaf: Leaf) -> tuple[tuple[str, Expr], ...]:
    """How a leaf without a ufunc is computed, line by line: the name of each part with its expression, last the result.

    Parameters and earlier parts are read as scalars of their names; the result has the name "".

    Example:
        >>> leaf_lines(LEAVES["sinc"])
        (('t', pi*x), ('', (sin(t) + [x == 0])/(t + [x == 0])))
    """
    lines: list[tuple[str, Expr]] = []
    names: dict[str, Expr] = {p: Access(p, ()) for p in leaf.params}
    for line in ast.parse(leaf.run).body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in names:
                lines.append((name, _read(value, names)))
                names[name] = Access(name, ())
            case ast.Expr(value=value):
                lines.append(("", _read(value, names)))
            case _:
                raise ValueError(f"the leaf table has a line that is no equation: {ast.unparse(line)}")
    return tuple(lines)


@cache
def leaf_derivative(leaf: Leaf, args: tuple[Expr, ...]) -> tuple[Expr, ...] | None:
    """The stated partial derivatives, or None where sympy has them."""
    if leaf.derivative is None:
        return None
    return tuple(scalar(d, dict(zip(leaf.params, args, strict=True))) for d in leaf.derivative)
