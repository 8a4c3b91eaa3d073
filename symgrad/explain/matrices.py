"""Statements in matrix form: whole arrays, as NumPy writes them and as mathematics does.

Both are drawn from the arrays that `symgrad.passes.recognise` finds, and give None where there is no such
form: more than two axes in mathematics, look-ups, windows. Then the index form is printed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from symgrad.errors import listing
from symgrad.explain.factors import axis_first, count_of_ones, gathered, is_simple, scaled, transposed
from symgrad.explain.formula import (
    ONE,
    Apply,
    Connected,
    Formula,
    Iverson,
    Norm,
    Number,
    Power,
    Quotient,
    Relation,
    Sum,
    Transpose,
    applied,
    minus,
    plus,
    times,
)  # fmt: skip
from symgrad.explain.indices import Indices
from symgrad.explain.special import (
    bare,
    diagonal_of,
    exponent_of,
    flattened,
    is_diagonal,
    opened,
    triangle_of,
)
from symgrad.language import expr as ex
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int
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
from symgrad.passes.recognise import recognise

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
            arrays = [recognise(opened(s), self.program) for s in group]
            shapes = [tuple(i.axis for i in s.left) for s in group]
            if any(None in axes for axes in shapes):
                return None
            right = gathered([self.placed(a, axes) for a, axes in zip(arrays, shapes, strict=True)])
        except NoForm:
            return None
        terms = [t for _, t in right.terms] if isinstance(right, Sum) else [right]
        if max(map(count_of_ones, terms)) > 2:
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
                same = diagonal_of(a)
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
        for b in flattened(a):
            e = b.expr if isinstance(b, Scalar) else None
            if e is not None:
                scalars.append(e)
            elif self.apart and not b.axes:
                if isinstance(b, Elementwise) and b.op == "power" and exponent_of(b) < 0:
                    base = self.show(b.args[0])
                    under.append(base if exponent_of(b) == -1 else Power(base, Number(-exponent_of(b))))
                else:
                    over.append(self.show(b))
            elif isinstance(b, Elementwise) and b.op == "power" and exponent_of(b) < 0:
                n = -exponent_of(b)
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
                and (under or len(over) == 1 and is_simple(over[0]))
            )
            first, last = (front.top, front.bottom) if bar and isinstance(front, Quotient) else (front, ONE)
            top, bottom = times(first, *over), times(last, *under)
            product = scaled(top if bottom == ONE else Quotient(top, bottom), product)
        elif front != ONE:
            if (
                isinstance(front, Quotient)
                and front.top == ONE
                and not below
                and is_simple(product)
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
        base, n = self.aligned(a.args[0], a.axes), exponent_of(a)
        if n < 0:
            below = base if n == -1 else self.raised(base, -n, a)
            return self.hadamard([], [below]) if a.axes else Quotient(ONE, below)
        exponent = self.aligned(a.args[1], a.axes)
        return Power(base, exponent, elementwise=bool(a.axes))

    def factors(self, parts: list[Array], axes: tuple[str, ...]) -> list[Formula]:
        """The factors of a product entry by entry; of those on one axis each, an outer product or a diagonal matrix."""
        triangle = triangle_of(parts[0]) if len(axes) == 2 and len(parts) > 1 else None
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
                return [*self._product(a), *self.reasons(bare(x)), *self.reasons(bare(y))]
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
        brief = "; ".join(axis_first(k, t) for t in turned)
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
        arrays = [b for b in flattened(a) if b.axes] if a.op == "multiply" else [b for b in a.args if b.axes]
        found: list[Reason] = []
        whole = [b for b in arrays if b.axes == a.axes and not is_diagonal(b)]
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
