"""The two notations of whole arrays: as NumPy writes them, and as mathematics does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

from symgrad.explain.factors import matmul, pushed_through, scaled, transposed
from symgrad.explain.formula import (
    IDENTITY,
    ONE,
    ONES,
    Apply,
    Fold,
    Formula,
    Norm,
    Number,
    Power,
    Product,
    Quotient,
    Transpose,
    times,
)  # fmt: skip
from symgrad.explain.matrices import Arrays, NoForm, Reason
from symgrad.explain.special import (
    dot_product_of,
    is_diagonal,
    square_of,
)
from symgrad.language import expr as ex
from symgrad.language.ints import Int
from symgrad.passes.arrays import (
    Array,
    Elementwise,
    Expand,
    Implicit,
    MatMul,
    Reduce,
    Scalar,
)  # fmt: skip
from symgrad.passes.arrays import (
    Transpose as Turned,
)
from symgrad.passes.recognise import turned


class Numpy(Arrays):
    """Arrays as NumPy's operators write them, broadcasting from the right."""

    def aligned(self, a: Array, axes: tuple[str, ...]) -> Formula:
        if a.axes and a.axes != axes[len(axes) - len(a.axes) :]:
            raise NoForm  # it would need x[:, None]: the index form is clearer
        return self.show(a)

    def length(self, shown: Formula, a: Implicit) -> Formula:
        (b,) = a.args
        if isinstance(b, Turned) and len(a.axes) == 1:
            return Fold("norm", self.show(b.a), 0)
        return Fold("norm", shown, len(a.axes)) if a.axes else super().length(shown, a)

    def identity(self, size: Int) -> Formula:
        return Apply("eye", (self.indices.integer(size),))

    def outer(self, first: Formula, second: Formula) -> Formula:
        return Apply("outer", (first, second))

    def spread(self, whole: list[Array], vector: Formula, axes: tuple[str, ...], rows: bool) -> list[Formula]:
        if len(whole) == 1 and is_diagonal(whole[0]):
            return [Apply("diag", (vector,))]
        if rows:
            raise NoForm  # it would need x[:, None]: the index form is clearer
        return [vector, *(self.show(b) for b in whole)]

    def elementwise(self, a: Elementwise) -> Formula:
        """As it is; of transposed matrices, whose vectors would need x[:, None], the transpose of it all."""
        if not all(isinstance(b, Turned) for b in a.args if len(b.axes) > 1) or len(a.axes) != 2:
            return super().elementwise(a)
        with suppress(NoForm):
            return super().elementwise(a)
        other = turned(a, a.axes[::-1])
        if not isinstance(other, Elementwise):
            raise NoForm
        return transposed(super().elementwise(other))

    def hadamard(self, above: list[Formula], below: list[Formula]) -> Formula:
        top = times(*above)
        return Quotient(top, times(*below)) if below else top

    def matmul(self, a: MatMul) -> Formula:
        x, y = self.show(a.a), self.show(a.b)
        if len(a.a.axes) == 1 and len(a.b.axes) == 2 and self.turnable(a.b):
            return matmul(transposed(y), x, strict=False)
        return matmul(x, y, strict=False)

    def reduce(self, a: Reduce) -> Formula:
        if a.op not in ("sum", "max", "min", "prod"):
            raise NoForm
        dot = dot_product_of(a)
        if dot is not None:
            x, y = map(self.show, dot)
            if (
                isinstance(x, Product)
                and x.kind == "matmul"
                and isinstance(x.factors[0], Transpose)
                and len(x.factors) == 2
            ):
                x = matmul(x.factors[1], x.factors[0].a)  # x @ A for a vector x
            return matmul(x, y, strict=False)

        def folded(shown: Formula) -> Formula:
            if set(a.over) == set(a.a.axes):
                return Fold(a.op, shown, None)
            axes = list(a.a.axes)
            if isinstance(shown, Transpose) and not shown.stacked:  # summing needs no turning
                shown, axes = shown.a, axes[::-1]
            for letter in a.over:
                shown = Fold(a.op, shown, axes.index(letter))
                axes.remove(letter)
            return shown

        return pushed_through(self.show(a.a), folded) if a.op == "sum" else folded(self.show(a.a))

    def expand(self, a: Expand) -> Formula:
        raise NoForm  # NumPy repeats where it must, and a result has its own shape: nothing to write


class Mathematics(Arrays):
    """Arrays as linear algebra writes them: vectors are columns, 1 is the vector of ones, nothing is
    broadcast but numbers."""

    apart = True

    def aligned(self, a: Array, axes: tuple[str, ...]) -> Formula:
        if len(axes) > 2:
            raise NoForm
        shown = self.show(a)
        if not a.axes or a.axes == axes:
            return shown
        column = a.axes[0] == axes[0]
        return matmul(shown, Transpose(ONES)) if column else matmul(ONES, transposed(shown))

    def identity(self, size: Int) -> Formula:
        return IDENTITY

    def outer(self, first: Formula, second: Formula) -> Formula:
        return matmul(first, transposed(second))

    def spread(self, whole: list[Array], vector: Formula, axes: tuple[str, ...], rows: bool) -> list[Formula]:
        diagonal = Apply("diag", (vector,))
        if not whole or is_diagonal(whole[0]) and len(whole) == 1:
            return [diagonal]
        matrix = self.hadamard([self.show(b) for b in whole], [])
        return [matmul(diagonal, matrix) if rows else matmul(matrix, diagonal)]

    def _summed(self, a: Reduce, over: Sequence[str]) -> Reason:
        told = super()._summed(a, over)
        if len(a.a.axes) > 2 or not a.axes and (square_of(a.a) or dot_product_of(a)):
            return told
        return replace(told, full=f"{told.full}: a product with ones")

    def _repeated(self, letters: Sequence[str]) -> Reason:
        told = super()._repeated(letters)
        return replace(told, full=f"{told.full}: a product with ones")

    def hadamard(self, above: list[Formula], below: list[Formula]) -> Formula:
        top = ONE if not above else above[0] if len(above) == 1 else Product(tuple(above), "hadamard")
        if not below:
            return top
        return Quotient(top, below[0] if len(below) == 1 else Product(tuple(below), "hadamard"), "hadamard")

    def matmul(self, a: MatMul) -> Formula:
        rows, columns = len(a.a.axes) - 1, len(a.b.axes) - 1
        if rows > 1 or columns > 1:
            raise NoForm
        x, y = self.show(a.a), self.show(a.b)
        if rows:
            return matmul(x, y)
        if not columns:
            return matmul(transposed(x), y)
        return matmul(transposed(y), x)

    def reduce(self, a: Reduce) -> Formula:
        if a.op != "sum" or len(a.a.axes) > 2:
            raise NoForm
        if not a.axes:
            square = square_of(a.a)
            if square is not None:
                scale, base = square
                norm = Power(Norm(self.show(base), len(base.axes) > 1), Number(Fraction(2)))
                return norm if scale == ex.ONE else scaled(self.indices.expr(scale, []), norm)
            dot = dot_product_of(a)
            if dot is not None:
                return matmul(transposed(self.show(dot[0])), self.show(dot[1]))
            right = () if len(a.a.axes) == 1 else (ONES,)
            return pushed_through(self.show(a.a), lambda x: matmul(Transpose(ONES), x, *right))
        first = a.over[0] == a.a.axes[0]
        return pushed_through(self.show(a.a), lambda x: matmul(transposed(x) if first else x, ONES))

    def expand(self, a: Expand) -> Formula:
        if len(a.axes) > 2:
            raise NoForm
        if a.a == Scalar(ex.ZERO):
            return Number(Fraction(0))
        if a.a.axes:
            return self.aligned(a.a, a.axes)
        ones = ONES if len(a.axes) == 1 else matmul(ONES, Transpose(ONES))
        return scaled(self.show(a.a), ones)
