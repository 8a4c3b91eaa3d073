"""The layout of gradients: each in the shape of its variable, or, as a Jacobian, transposed.

In Jacobian (numerator) layout the derivative of a number by a column is a row and by a matrix of m x n one of n x m, so
that a chain of derivatives multiplies from left to right. Formulas of the one layout become those of the other here:
each symbol of a gradient stands for the transposed array, and transposes move inside as far as they go.
"""

from __future__ import annotations

from collections.abc import Collection

from symgrad.explain.formula import (
    IDENTITY,
    ONES,
    Apply,
    Connected,
    Derivative,
    Formula,
    Iverson,
    Norm,
    Number,
    Power,
    Product,
    Quotient,
    Relation,
    Sum,
    Symbol,
    Transpose,
    walk,
)
from symgrad.explain.matrices import NoForm
from symgrad.leaves import LEAVES

LAYOUTS = ("gradient", "jacobian")
_SAME = ("diag", "trace", "logdet", "det", "norm")  # numbers, and matrices that are their own transpose
_Kind = tuple[bool, bool]  # whether there are rows, and columns


class Layout:
    """Turns matrix formulas into those of the Jacobian layout.

    Args:
        axes: how many axes each symbol has; others are numbers.
        gradients: the symbols that stand for the transposed array.
    """

    def __init__(self, axes: dict[Formula, int], gradients: Collection[Formula]):
        self.axes, self.gradients = axes, frozenset(gradients)

    def turned(self, f: Formula) -> Formula:
        """The transpose of a formula. Raises `NoForm` where none is known."""
        if self.kind(f) == (False, False):
            return self.same(f)
        match f:
            case Transpose(a, False):
                return self.same(a)
            case Symbol() | Derivative():
                return f if f in self.gradients else f if f == IDENTITY else Transpose(f)
            case Sum() if not any(x in self.gradients for x in walk(f)):
                return Transpose(f)
            case Sum(terms):
                return Sum(tuple((sign, self.turned(t)) for sign, t in terms))
            case Product(factors, "matmul"):
                return Product(tuple(self.turned(x) for x in reversed(factors)), "matmul")
            case Product(factors, kind):
                return Product(tuple(map(self.turned, factors)), kind)
            case Quotient(a, b, kind) if kind in ("times", "hadamard"):
                return Quotient(self.turned(a), self.turned(b), kind)
            case Power(base, exponent, True):
                return Power(self.turned(base), self.turned(exponent), True)
            case Apply("tril" | "triu" as name, args):
                return Apply("triu" if name == "tril" else "tril", (self.turned(args[0]), *args[1:]))
            case Apply(name, args) if name in _SAME:
                return Apply(name, tuple(map(self.same, args)))
            case Apply(name, args) if name in LEAVES or name == "inv":
                return Apply(name, tuple(map(self.turned, args)))
            case Iverson(condition):
                return Iverson(self.turned(condition))
            case Relation(parts, ops):
                return Relation(tuple(map(self.turned, parts)), ops)
            case Connected(op, args):
                return Connected(op, tuple(map(self.turned, args)))
        raise NoForm

    def same(self, f: Formula) -> Formula:
        """The formula itself, with the transposed gradients in it."""
        match f:
            case Transpose(a, False) if a in self.gradients:
                return a
            case Transpose(a, False):
                return Transpose(self.same(a))
            case Symbol() | Derivative():
                return Transpose(f) if f in self.gradients else f
            case Number():
                return f
            case Sum(terms):
                return Sum(tuple((sign, self.same(t)) for sign, t in terms))
            case Product(factors, kind):
                return Product(tuple(map(self.same, factors)), kind)
            case Quotient(a, b, kind):
                return Quotient(self.same(a), self.same(b), kind)
            case Power(a, b, entrywise):
                return Power(self.same(a), self.same(b), entrywise)
            case Apply(name, args):
                return Apply(name, tuple(map(self.same, args)))
            case Norm(a, matrix):
                return Norm(self.same(a), matrix)
            case Iverson(condition):
                return Iverson(self.same(condition))
            case Relation(parts, ops):
                return Relation(tuple(map(self.same, parts)), ops)
            case Connected(op, args):
                return Connected(op, tuple(map(self.same, args)))
        return f  # sums over letters, entries: they have the same entries in both layouts

    def kind(self, f: Formula) -> _Kind:
        """Whether a formula, as it stands in gradient layout, has rows and columns: a number has neither."""
        match f:
            case Symbol() | Derivative():
                n = 1 if f == ONES else 2 if f == IDENTITY else self.axes.get(f, 0)
                if n > 2:
                    raise NoForm
                return n > 0, n > 1
            case Transpose(a):
                rows, columns = self.kind(a)
                return columns, rows
            case Sum(terms):
                return self._any([t for _, t in terms])
            case Product(factors, "matmul"):
                return self.kind(factors[0])[0], self.kind(factors[-1])[1]
            case Product(parts) | Connected(_, parts) | Relation(parts):
                return self._any(parts)
            case Quotient(a, b) | Power(a, b):
                return self._any((a, b))
            case Apply("diag" | "inv", _):
                return True, True
            case Apply(name, args) if name in LEAVES or name in ("tril", "triu"):
                return self._any(args)
            case Iverson(condition):
                return self.kind(condition)
        return False, False

    def _any(self, parts: Collection[Formula]) -> _Kind:
        return next((k for k in map(self.kind, parts) if any(k)), (False, False))
