"""Statements in matrix form: whole arrays, as NumPy writes them and as mathematics does.

Both are drawn from the arrays that `symgrad.passes.recognise` finds, and give None where there is no such
form: more than two axes in mathematics, look-ups, windows. Then the index form is printed.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

from symgrad.errors import listing
from symgrad.explain.formula import (
    IDENTITY,
    ONE,
    ONES,
    Apply,
    Connected,
    Extent,
    Fold,
    Formula,
    Iverson,
    Norm,
    Number,
    Power,
    Product,
    Quotient,
    Relation,
    Sum,
    Transpose,
    applied,
    children,
    minus,
    plus,
    times,
)  # fmt: skip
from symgrad.explain.indices import Indices
from symgrad.language import expr as ex
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int, axis
from symgrad.language.program import Program, Statement
from symgrad.leaves import LEAVES
from symgrad.passes.arrays import (
    Array,
    Contract,
    Elementwise,
    Expand,
    Gather,
    Implicit,
    Index,
    MatMul,
    Reduce,
    Ref,
    Scalar,
)  # fmt: skip
from symgrad.passes.arrays import (
    Transpose as Turned,
)
from symgrad.passes.forms import expand
from symgrad.passes.recognise import recognise, turned

_COMPARE = ("<", "<=", ">", ">=", "==", "!=")


class NoForm(Exception):
    """There is no matrix form; caught where the index form takes its place."""


class _Scalars(Indices):
    """Expressions without axes, in which a sum that is put in place has its matrix form if it has one."""

    def __init__(self, indices: Indices, arrays: Arrays):
        super().__init__(indices.names, indices.inline)
        self.arrays = arrays

    def access(self, name: str, index: tuple[Int, ...], used: list[str]) -> Formula:
        if not index and name in self.inline:
            with suppress(NoForm):
                return self.arrays.reference(name)
        return super().access(name, index, used)


@dataclass(frozen=True)
class Reason:
    """Why something stands in a matrix form: what it is, in a sentence, and for readers who have met its like.

    An empty `brief` says that one sentence of the kind is enough; `letters` are those that are summed.
    """

    rule: str
    full: str
    brief: str = ""
    letters: tuple[str, ...] = ()


class Arrays(ABC):
    apart = False  # whether a condition or quotient of numbers stands before an array, not among its factors
    """What the two ways of writing arrays share: entry by entry functions, parts put in place."""

    def __init__(self, indices: Indices, program: Program):
        self.indices, self.program = indices, program
        self.scalars = _Scalars(indices, self)

    def total(self, group: Sequence[Statement]) -> tuple[Formula, Formula, tuple[Reason, ...]] | None:
        """The two sides for all that is added to one tensor, and the reasons of transposes and the like; or
        None."""
        if not group:
            return None
        try:
            arrays = [recognise(_opened(s), self.program) for s in group]
            shapes = [tuple(i.axis for i in s.left) for s in group]
            if any(None in axes for axes in shapes):
                return None
            right = _gathered([self.placed(a, axes) for a, axes in zip(arrays, shapes, strict=True)])
        except NoForm:
            return None
        terms = [t for _, t in right.terms] if isinstance(right, Sum) else [right]
        if max(map(_ones, terms)) > 2:
            return None
        return (
            self.indices.names.tensor(group[0].out),
            right,
            tuple(dict.fromkeys(r for a in arrays for r in self.reasons(a))),
        )

    def placed(self, a: Array, left: Sequence[str | None]) -> Formula:
        """An array at its place on the left: everywhere, or on the diagonal."""
        if len(set(left)) == len(left):
            return self.show(a)
        if len(left) != 2:
            raise NoForm
        if isinstance(a, Expand) and not a.a.axes:
            number = self.show(a.a)
            negative = number != minus(number) and minus(minus(number)) == number and isinstance(number, Sum)
            shown = scaled(minus(number) if negative else number, self.identity(a.ranges[0][1]))
            return minus(shown) if negative else shown
        return Apply("diag", (self.show(a),))

    def show(self, a: Array) -> Formula:
        match a:
            case Ref(name, _):
                return self.reference(name)
            case Scalar(e):
                return self.scalars.expr(e, [])
            case Gather(_, index, ()) if not a.guarded:
                return self.indices.access(a.tensor, index, [])
            case Gather(name, (i, j), axes) if i == j and axes == i.axes and i.axis and not a.guarded:
                return Apply("diag", (self.reference(name),))
            case Elementwise():
                return self.elementwise(a)
            case MatMul():
                return self.matmul(a)
            case Turned():
                return self.transpose(a)
            case Implicit():
                return self.implicit(a)
            case Reduce("sum", Gather(name, (i, j), axes), over, ()) if i == j and axes == over == i.axes:
                return Apply("trace", (self.reference(name),))
            case Reduce():
                return self.reduce(a)
            case Expand():
                return self.expand(a)
            case Gather() | Index() | Contract():
                raise NoForm
        raise TypeError(f"not an array: {type(a).__name__}")

    def reference(self, name: str) -> Formula:
        s = self.indices.inline.get(name)
        return self.indices.names.tensor(name) if s is None else self.show(recognise(s, self.program))

    def turnable(self, a: Array) -> bool:
        """Whether the transpose of a product is that of its factors in reverse: all of them are matrices."""
        if isinstance(a, Ref) and a.tensor in self.indices.inline:
            return self.turnable(recognise(self.indices.inline[a.tensor], self.program))
        if not isinstance(a, MatMul):
            return True
        return len(a.a.axes) == len(a.b.axes) == 2 and self.turnable(a.a) and self.turnable(a.b)

    def implicit(self, a: Implicit) -> Formula:
        """An operation on whole arrays; as linear algebra writes it there are no stacks of matrices."""
        if a.vectors or any(len(b.axes) > 2 for b in a.args):
            raise NoForm
        if not IMPLICIT[a.op].square:
            return self.length(self.show(a.args[0]), a)
        return applied(a.op, tuple(map(self.show, a.args)))

    def elementwise(self, a: Elementwise) -> Formula:
        match a.op:
            case "add":
                return plus(*(self.aligned(b, a.axes) for b in a.args))
            case "multiply":
                return self.multiply(a)
            case "power":
                return self.power(a)
            case "where":  # only keeps an argument harmless where a bracket hides it
                return self.aligned(a.args[1], a.axes)
            case "bracket":
                same = _diagonal(a)
                if same is not None:
                    return self.identity(same.ranges[0][1])
                return Iverson(self.aligned(a.args[0], a.axes))
            case "and" | "or" | "not":
                return Connected(a.op, tuple(self.aligned(b, a.axes) for b in a.args))
            case op if op in _COMPARE:
                return Relation(tuple(self.aligned(b, a.axes) for b in a.args), (op,))
            case op if op in LEAVES:
                return Apply(op, tuple(self.aligned(b, a.axes) for b in a.args))
        raise NoForm

    def multiply(self, a: Elementwise) -> Formula:
        """Numbers in front, then the arrays; negative powers under a bar."""
        scalars: list[ex.Expr] = []
        above: list[Array] = []
        below: list[Formula] = []
        over: list[Formula] = []
        under: list[Formula] = []  # numbers that are no plain expressions: conditions, what they guard
        for b in _flat(a):
            e = b.expr if isinstance(b, Scalar) else None
            if e is not None:
                scalars.append(e)
            elif self.apart and not b.axes:
                if isinstance(b, Elementwise) and b.op == "power" and _exponent(b) < 0:
                    base = self.show(b.args[0])
                    under.append(base if _exponent(b) == -1 else Power(base, Number(-_exponent(b))))
                else:
                    over.append(self.show(b))
            elif isinstance(b, Elementwise) and b.op == "power" and _exponent(b) < 0:
                n = -_exponent(b)
                base = self.aligned(b.args[0], a.axes)
                below.append(base if n == 1 else self.raised(base, n, b))
            else:
                above.append(b)
        c, rest = ex.split(ex.mul(*scalars))
        product = self.hadamard(self.factors(above, a.axes), below)
        front = self.indices.expr(ex.mul(abs(c), rest), [])
        if over or under:
            bar = (
                isinstance(front, Quotient)
                and product == ONE
                and (under or len(over) == 1 and _simple(over[0]))
            )
            first, last = (front.top, front.bottom) if bar and isinstance(front, Quotient) else (front, ONE)
            top, bottom = times(first, *over), times(last, *under)
            product = scaled(top if bottom == ONE else Quotient(top, bottom), product)
        elif front != ONE:
            if (
                isinstance(front, Quotient)
                and front.top == ONE
                and not below
                and _simple(product)
                and product != ONE
            ):
                product = Quotient(product, front.bottom)
            elif isinstance(front, Quotient) and isinstance(product, Quotient) and product.kind == "times":
                product = Quotient(times(front.top, product.top), times(front.bottom, product.bottom))
            else:
                product = scaled(front, product)
        return minus(product) if c < 0 else product

    def raised(self, base: Formula, n: Fraction, a: Elementwise) -> Formula:
        return Power(base, Number(n), elementwise=bool(a.axes))

    def power(self, a: Elementwise) -> Formula:
        base, n = self.aligned(a.args[0], a.axes), _exponent(a)
        if n < 0:
            below = base if n == -1 else self.raised(base, -n, a)
            return self.hadamard([], [below]) if a.axes else Quotient(ONE, below)
        exponent = self.aligned(a.args[1], a.axes)
        return Power(base, exponent, elementwise=bool(a.axes))

    def factors(self, parts: list[Array], axes: tuple[str, ...]) -> list[Formula]:
        """The factors of a product entry by entry; of those on one axis each, an outer product or a diagonal matrix."""
        triangle = _triangle(parts[0]) if len(axes) == 2 and len(parts) > 1 else None
        if triangle is not None:
            return [self.triangle(*triangle, self.hadamard(self.factors(parts[1:], axes), []))]
        whole = [b for b in parts if b.axes == axes]
        rows = [b for b in parts if b.axes == axes[:1]]
        columns = [b for b in parts if b.axes == axes[1:]]
        if len(axes) != 2 or len(whole) + len(rows) + len(columns) < len(parts) or not rows and not columns:
            return [self.aligned(b, axes) for b in parts]
        first, second = (self.hadamard([self.show(b) for b in group], []) for group in (rows, columns))
        if rows and columns:
            return [*(self.show(b) for b in whole), self.outer(first, second)]
        return self.spread(whole, first if rows else second, axes, bool(rows))

    # why

    def reasons(self, a: Array) -> list[Reason]:
        """Why there are transposes, sums, repetitions and products entry by entry, from the outside in."""
        own: list[Reason] = []
        parts: tuple[Array, ...] = ()
        match a:
            case Ref(name, _) if name in self.indices.inline:
                parts = (recognise(self.indices.inline[name], self.program),)
            case Elementwise(_, args):
                parts = args
                own = self._aligned(a)
            case Contract(parts):
                pass
            case Implicit(_, args):
                parts = tuple(args)
            case MatMul(x, y):
                return [*self._product(a), *self.reasons(_bare(x)), *self.reasons(_bare(y))]
            case Turned(x):
                parts = (x,)
                own = [Reason("transpose", a.reason, a.reason)] if a.reason else []
            case Reduce("sum", x, over):
                parts = (x,)
                own = [self._summed(a, over)]
            case Reduce(_, x):
                parts = (x,)
            case Expand(x):
                parts = (x,)
                letters = [n for n, _ in a.ranges]
                own = [self._repeated(letters)] if letters else []
        return own + [r for p in parts for r in self.reasons(p)]

    def _product(self, a: MatMul) -> list[Reason]:
        """Why a matrix product is one, in this order and with these transposes."""
        x, y, k = a.a, a.b, a.over
        turned: list[str] = []
        if len(x.axes) == 1 and len(y.axes) == 2:  # a vector from the left stands as a column on the right
            if not isinstance(y, Turned):
                name = y.tensor if isinstance(y, Ref) and y.tensor not in self.indices.inline else ""
                turned = [
                    f"in {name} it is the first axis, hence {name}ᵀ"
                    if name
                    else "it is the first axis there, hence the transpose"
                ]
        else:
            turned = [
                f.reason.partition("; ")[2] or f.reason for f in (x, y) if isinstance(f, Turned) and f.reason
            ]
        first = [
            f"{n} comes first in the result, so the factor with {n} does"
            for n in a.axes[:1]
            if len(a.axes) > 1
        ]
        inner = f"{k} is summed, so it stands inside a product of matrices"
        brief = "; ".join(_brief(k, t) for t in turned)
        return [Reason("matrix product", "; ".join([inner, *turned, *first]), brief, (k,))]

    def _summed(self, a: Reduce, over: Sequence[str]) -> Reason:
        letters = listing(list(over))
        told = f"{letters} {'is' if len(over) == 1 else 'are'} summed"
        return Reason("sum", told, told, tuple(over))

    def _repeated(self, letters: Sequence[str]) -> Reason:
        said = listing(list(letters))
        return Reason("repetition", f"what does not depend on {said} is repeated for every {said}")

    def _aligned(self, a: Elementwise) -> list[Reason]:
        """Why a product is one entry by entry, and why what lacks an axis is repeated along it."""
        arrays = [b for b in _flat(a) if b.axes] if a.op == "multiply" else [b for b in a.args if b.axes]
        found: list[Reason] = []
        whole = [b for b in arrays if b.axes == a.axes and not _is_diagonal(b)]
        if a.op == "multiply" and a.axes and len(whole) > 1:
            letters = listing(list(a.axes))
            kept = f"{letters} {'is' if len(a.axes) == 1 else 'are'} in both factors"
            full = f"{kept} and not summed, so entries of the same place are multiplied"
            found.append(Reason("entry by entry", full, kept))
        if a.op in ("add", "power", *LEAVES) and a.axes and arrays:
            lacking = [n for n in a.axes if any(n not in b.axes for b in arrays)]
            found += [self._repeated(lacking)] if lacking else []
        return found

    # what differs

    @abstractmethod
    def aligned(self, a: Array, axes: tuple[str, ...]) -> Formula: ...

    def length(self, shown: Formula, a: Implicit) -> Formula:
        """The length of a vector, or of all entries of a matrix."""
        if a.axes:
            raise NoForm
        return Norm(shown, matrix=len(a.args[0].axes) > 1)

    @abstractmethod
    def identity(self, size: Int) -> Formula: ...

    def triangle(self, name: str, k: int, shown: Formula) -> Formula:
        """The entries of a matrix on one side of a diagonal, it included."""
        offset = Number(Fraction(abs(k)))
        return Apply(name, (shown, minus(offset) if k < 0 else offset) if k else (shown,))

    @abstractmethod
    def outer(self, first: Formula, second: Formula) -> Formula: ...

    @abstractmethod
    def spread(self, whole: list[Array], vector: Formula, axes: tuple[str, ...], rows: bool) -> list[Formula]:
        """The factors of matrices and a vector along their rows, an entry for each, or along their columns."""

    @abstractmethod
    def hadamard(self, above: list[Formula], below: list[Formula]) -> Formula: ...

    @abstractmethod
    def matmul(self, a: MatMul) -> Formula: ...

    def transpose(self, a: Turned) -> Formula:
        if len(a.axes) != 2:
            raise NoForm
        shown = self.show(a.a)
        return transposed(shown) if self.turnable(a.a) else Transpose(shown)

    @abstractmethod
    def reduce(self, a: Reduce) -> Formula: ...

    @abstractmethod
    def expand(self, a: Expand) -> Formula: ...


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
        if len(whole) == 1 and _is_diagonal(whole[0]):
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
        dot = _dot(a)
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

        return _through(self.show(a.a), folded) if a.op == "sum" else folded(self.show(a.a))

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
        if not whole or _is_diagonal(whole[0]) and len(whole) == 1:
            return [diagonal]
        matrix = self.hadamard([self.show(b) for b in whole], [])
        return [matmul(diagonal, matrix) if rows else matmul(matrix, diagonal)]

    def _summed(self, a: Reduce, over: Sequence[str]) -> Reason:
        told = super()._summed(a, over)
        if len(a.a.axes) > 2 or not a.axes and (_square(a.a) or _dot(a)):
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
            square = _square(a.a)
            if square is not None:
                scale, base = square
                norm = Power(Norm(self.show(base), len(base.axes) > 1), Number(Fraction(2)))
                return norm if scale == ex.ONE else scaled(self.indices.expr(scale, []), norm)
            dot = _dot(a)
            if dot is not None:
                return matmul(transposed(self.show(dot[0])), self.show(dot[1]))
            right = () if len(a.a.axes) == 1 else (ONES,)
            return _through(self.show(a.a), lambda x: matmul(Transpose(ONES), x, *right))
        first = a.over[0] == a.a.axes[0]
        return _through(self.show(a.a), lambda x: matmul(transposed(x) if first else x, ONES))

    def expand(self, a: Expand) -> Formula:
        if len(a.axes) > 2:
            raise NoForm
        if a.a == Scalar(ex.ZERO):
            return Number(Fraction(0))
        if a.a.axes:
            return self.aligned(a.a, a.axes)
        ones = ONES if len(a.axes) == 1 else matmul(ONES, Transpose(ONES))
        return scaled(self.show(a.a), ones)


def _gathered(terms: Sequence[Formula]) -> Formula:
    """The sum of formulas, equal ones once with their number."""
    counts: dict[Formula, int] = {}
    for t in terms:
        counts[t] = counts.get(t, 0) + 1
    return plus(*(t if n == 1 else scaled(Number(Fraction(n)), t) for t, n in counts.items()))


def scaled(number: Formula, array: Formula) -> Formula:
    """A number times an array; no brackets around a matrix product, for `c*A @ B` is `c*(A @ B)`."""
    if array == ONE:
        return number
    if isinstance(array, Product) and array.kind in ("matmul", "hadamard"):
        return Product((number, array), "scaled")
    if isinstance(array, Product) and array.kind == "scaled":
        return Product((times(number, array.factors[0]), array.factors[1]), "scaled")
    return times(number, array)


def matmul(*factors: Formula, strict: bool = True) -> Formula:
    """A matrix product, signs and numbers in front. `strict`: of matrices and columns, so that brackets do
    not matter."""
    scalars: list[Formula] = []
    arrays: list[Formula] = []
    negative = False
    for factor in factors:
        less, number, f = _apart(factor)
        negative ^= less
        scalars += () if number == ONE else (number,)
        arrays.append(f)
    flat: list[Formula] = []
    for k, f in enumerate(arrays):
        flat += f.factors if isinstance(f, Product) and f.kind == "matmul" and (strict or not k) else (f,)
    product: Formula = Product(tuple(flat), "matmul")
    if scalars:
        product = Product((times(*scalars), product), "scaled")
    return minus(product) if negative else product


def _apart(f: Formula) -> tuple[bool, Formula, Formula]:
    """An array as a sign, a number and what these stand before."""
    negative = False
    if isinstance(f, Sum) and len(f.terms) == 1:
        negative, f = f.terms[0]
    if isinstance(f, Product) and f.kind == "scaled":
        return negative, f.factors[0], f.factors[1]
    if isinstance(f, Product) and f.kind == "times" and _plain(f.factors[0]):
        return negative, f.factors[0], times(*f.factors[1:])
    return negative, ONE, f


def _through(f: Formula, linear: Callable[[Formula], Formula]) -> Formula:
    """What is linear in an array, with the array's sign and number before it."""
    negative, number, array = _apart(f)
    if isinstance(array, Quotient) and number == ONE and _plain(array.bottom):
        done: Formula = replace(array, top=_through(array.top, linear))
    else:
        done = linear(array) if number == ONE else scaled(number, linear(array))
    return minus(done) if negative else done


def transposed(f: Formula) -> Formula:
    """The transpose, inside products and off ones."""
    if isinstance(f, Transpose):
        return f.a
    if _apart(f)[:2] != (False, ONE):
        return _through(f, transposed)
    if isinstance(f, Product) and f.kind == "matmul":
        return Product(tuple(transposed(x) for x in reversed(f.factors)), "matmul")
    return Transpose(f)


def _brief(k: str, turned: str) -> str:
    """`n is the first axis of X, hence Xᵀ` for `in X it is the first axis, hence Xᵀ`."""
    found = re.fullmatch(r"in (.*) it is the (\w+) axis, hence (.*)", turned)
    return (
        f"{k} is the {found[2]} axis of {found[1]}, hence {found[3]}" if found else f"{k} is summed; {turned}"
    )


def _bare(a: Array) -> Array:
    """What a transposed factor is the transpose of."""
    return a.a if isinstance(a, Turned) else a


def _diagonal(a: Elementwise) -> Index | None:
    """One side of a bracket that is 1 where two whole axes of one length meet: the identity matrix."""
    condition = a.args[0]
    if isinstance(condition, Elementwise) and condition.op == "==" and len(a.axes) == 2:
        x, y = condition.args
        if isinstance(x, Index) and isinstance(y, Index) and None not in (x.int.axis, y.int.axis):
            return x if x.ranges[0][1] == y.ranges[0][1] else None
    return None


def _triangle(a: Array) -> tuple[str, int] | None:
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


def _is_diagonal(a: Array) -> bool:
    return isinstance(a, Elementwise) and a.op == "bracket" and _diagonal(a) is not None


def _opened(s: Statement) -> Statement:
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


def _flat(a: Elementwise) -> list[Array]:
    """The factors of nested products on the same axes."""
    found: list[Array] = []
    for b in a.args:
        found += _flat(b) if isinstance(b, Elementwise) and b.op == "multiply" and b.axes == a.axes else [b]
    return found


def _exponent(a: Elementwise) -> Fraction:
    e = a.args[1]
    n = ex.number(e.expr) if isinstance(e, Scalar) else None
    return Fraction(1) if n is None else n


def _simple(f: Formula) -> bool:
    return not isinstance(f, (Product, Quotient))


def _ones(f: Formula) -> int:
    """How often the vector of ones stands in a formula: many of them hide what happens."""
    return (f == ONES) + sum(map(_ones, children(f)))


def _plain(f: Formula) -> bool:
    """Whether a formula is a number for sure."""
    match f:
        case Number() | Extent():
            return True
        case Quotient(top, bottom) | Power(top, bottom):
            return _plain(top) and _plain(bottom)
        case Product(factors, "times"):
            return all(map(_plain, factors))
        case Sum(terms):
            return all(_plain(t) for _, t in terms)
    return False


def _dot(a: Reduce) -> tuple[Array, Array] | None:
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


def _square(a: Array) -> tuple[ex.Expr, Array] | None:
    """A number and the base, if the array is a number times an elementwise square."""
    if isinstance(a, Elementwise) and a.op == "power" and _exponent(a) == 2:
        return ex.ONE, a.args[0]
    if isinstance(a, Elementwise) and a.op == "multiply":
        rest = [b for b in a.args if not isinstance(b, Scalar)]
        if len(rest) == 1 and (inner := _square(rest[0])) is not None:
            numbers = [b.expr for b in a.args if isinstance(b, Scalar)]
            return ex.mul(*numbers, inner[0]), inner[1]
    return None
