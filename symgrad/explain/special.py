"""Arrays with a form of their own: diagonal, triangular, a dot product, a square."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from symgrad.language import expr as ex
from symgrad.language.ints import axis
from symgrad.language.program import Statement
from symgrad.passes.arrays import (
    Array,
    Elementwise,
    Index,
    Reduce,
    Scalar,
)  # fmt: skip
from symgrad.passes.arrays import (
    Transpose as Turned,
)
from symgrad.passes.forms import expand


def bare(a: Array) -> Array:
    """What a transposed factor is the transpose of."""
    return a.a if isinstance(a, Turned) else a


def diagonal_of(a: Elementwise) -> Index | None:
    """One side of a bracket that is 1 where two whole axes of one length meet: the identity matrix."""
    condition = a.args[0]
    if isinstance(condition, Elementwise) and condition.op == "==" and len(a.axes) == 2:
        x, y = condition.args
        if isinstance(x, Index) and isinstance(y, Index) and None not in (x.int.axis, y.int.axis):
            return x if x.ranges[0][1] == y.ranges[0][1] else None
    return None


def triangle_of(a: Array) -> tuple[str, int] | None:
    """The triangle that a bracket leaves of a matrix: `tril` or `triu`, and of which diagonal it begins at."""
    condition = a.args[0] if isinstance(a, Elementwise) and a.op == "bracket" else None
    if (
        not isinstance(condition, Elementwise)
        or condition.op not in ("<=", ">=", "<", ">")
        or len(a.axes) != 2
    ):
        return None
    x, y = condition.args
    if not isinstance(x, Index) or not isinstance(y, Index):
        return None
    # row - column + shift, at least 0 in the lower triangle
    gap = (y.int - x.int) if condition.op[0] == "<" else (x.int - y.int)
    gap = gap - 1 if len(condition.op) == 1 else gap
    row, column = map(axis, a.axes)
    for name, sides in (("tril", row - column), ("triu", column - row)):
        shift = (gap - sides).number
        if shift is not None:
            return name, shift if name == "tril" else -shift
    return None


def is_diagonal(a: Array) -> bool:
    return isinstance(a, Elementwise) and a.op == "bracket" and diagonal_of(a) is not None


def opened(s: Statement) -> Statement:
    """A product with a sum that has an identity among its terms, multiplied out: `diag(p) - outer(p, p)`."""
    if not isinstance(s.body, ex.Mul) or len(s.left) != 2:
        return s
    identity = ex.Bracket(ex.Cmp("==", *map(ex.val, s.left)))
    turned = ex.Bracket(ex.Cmp("==", *map(ex.val, reversed(s.left))))
    sums = [f for f in s.body.args if isinstance(f, ex.Add)]
    if not any(x in (identity, turned) for f in sums for x in ex.walk(f)):
        return s
    body = expand(s.body)
    return s if body is None else replace(s, body=body)


def flattened(a: Elementwise) -> list[Array]:
    """The factors of nested products on the same axes."""
    found: list[Array] = []
    for b in a.args:
        found += (
            flattened(b) if isinstance(b, Elementwise) and b.op == "multiply" and b.axes == a.axes else [b]
        )
    return found


def exponent_of(a: Elementwise) -> Fraction:
    e = a.args[1]
    n = ex.number(e.expr) if isinstance(e, Scalar) else None
    return Fraction(1) if n is None else n


def dot_product_of(a: Reduce) -> tuple[Array, Array] | None:
    """The two vectors of whose product entry by entry all entries are summed."""
    x = a.a
    if (
        a.op == "sum"
        and len(x.axes) == 1
        and isinstance(x, Elementwise)
        and x.op == "multiply"
        and len(x.args) == 2
    ):
        one, other = x.args
        if one.axes == other.axes == x.axes and not x.strong:
            return one, other
    return None


def square_of(a: Array) -> tuple[ex.Expr, Array] | None:
    """A number and the base, if the array is a number times an elementwise square."""
    if isinstance(a, Elementwise) and a.op == "power" and exponent_of(a) == 2:
        return ex.ONE, a.args[0]
    if isinstance(a, Elementwise) and a.op == "multiply":
        rest = [b for b in a.args if not isinstance(b, Scalar)]
        if len(rest) == 1 and (inner := square_of(rest[0])) is not None:
            numbers = [b.expr for b in a.args if isinstance(b, Scalar)]
            return ex.mul(*numbers, inner[0]), inner[1]
    return None
