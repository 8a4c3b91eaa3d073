"""Formulas as they will stand on the page: a small tree that every printer walks, with its brackets decided
here once.

The tree says what is written (a fraction, a sum over letters, a transpose), not what is computed. Three
scripts print it: `code` is text of the language, `text` is for terminals, `latex` for math mode. A printed
formula is a list of `Piece`s, each with its width and how deep a line break before it would cut, so that long
lines break at their outermost operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Union

from symgrad.explain.boxes import Boxes


@dataclass(frozen=True)
class Symbol:
    """A name in the three scripts."""

    code: str
    text: str
    latex: str


@dataclass(frozen=True)
class Extent(Symbol):
    """The name of a size, which may also be the name of a running letter."""


@dataclass(frozen=True)
class Position(Symbol):
    """Where an entry stands, as a number: from 0 in code, from 1 in mathematics."""

    @classmethod
    def at(cls, n: int) -> Position:
        return cls(str(n), str(n + 1), str(n + 1))


@dataclass(frozen=True)
class Number:
    """`fraction` says whether it is written as one, `1/8`, or as a decimal, `0.125`; None leaves it to the script."""

    value: Fraction  # not negative; a sign belongs to a `Sum`
    fraction: bool | None = None


@dataclass(frozen=True)
class Entry:
    """`X[n, i]`; with `slice` parts allowed as symbols."""

    base: Formula
    index: tuple[Formula, ...]


@dataclass(frozen=True)
class Sum:
    """Terms, each with whether it is subtracted."""

    terms: tuple[tuple[bool, Formula], ...]


@dataclass(frozen=True)
class Product:
    """`kind`: "times", "matmul" or "hadamard" (elementwise, between matrices)."""

    factors: tuple[Formula, ...]
    kind: str = "times"


@dataclass(frozen=True)
class Quotient:
    """`kind`: "times", "hadamard" (elementwise) or "floor" (`//`)."""

    top: Formula
    bottom: Formula
    kind: str = "times"


@dataclass(frozen=True)
class Modulo:
    top: Formula
    bottom: Formula


@dataclass(frozen=True)
class Power:
    base: Formula
    exponent: Formula
    elementwise: bool = False


@dataclass(frozen=True)
class Apply:
    """A leaf of the table, or `stop`, `index`: a function with its arguments."""

    name: str
    args: tuple[Formula, ...]


@dataclass(frozen=True)
class Big:
    """`op` ("sum", "max", "min", "prod") over letters, under conditions. `ranges` says the size of a letter
    in code, where no bare place shows it."""

    op: str
    letters: tuple[Formula, ...]
    conditions: tuple[Formula, ...]
    body: Formula
    ranges: tuple[Formula | None, ...] = ()


@dataclass(frozen=True)
class Fold:
    """`sum(a, axis=0)`: a reduction of a whole array, as NumPy writes it."""

    op: str
    a: Formula
    axis: int | None


@dataclass(frozen=True)
class Iverson:
    condition: Formula


@dataclass(frozen=True)
class Relation:
    """`0 <= i < n`: one more part than operators."""

    parts: tuple[Formula, ...]
    ops: tuple[str, ...]


@dataclass(frozen=True)
class Connected:
    """Conditions joined by `and`, `or`; a single one negated by `not`."""

    op: str
    args: tuple[Formula, ...]


@dataclass(frozen=True)
class Transpose:
    """Of a stack of matrices (`stacked`), each one's."""

    a: Formula
    stacked: bool = False


@dataclass(frozen=True)
class Norm:
    """The Euclidean (of a matrix: Frobenius) norm."""

    a: Formula
    matrix: bool = False


@dataclass(frozen=True)
class Derivative:
    """∂top/∂bottom; `code` is the name that the program has for it, the first `ahead` axes of which are the top's."""

    top: Formula
    bottom: Formula
    code: str = ""
    ahead: int = 0

    @property
    def index(self) -> tuple[Formula, ...]:
        """The positions in `code`."""
        return tuple(x for f in (self.top, self.bottom) for x in _index(f))


@dataclass(frozen=True)
class Matrix:
    """Entries written out, row by row; a `vector` is one row, which linear algebra sets as a column."""

    rows: tuple[tuple[Formula, ...], ...]
    vector: bool = False


@dataclass(frozen=True)
class Ranged:
    """A right side, and how far letters of the left side run that nothing else tells: `q, r < 2`."""

    body: Formula
    ranges: tuple[Formula, ...]


Formula = Union[
    Symbol, Number, Entry, Sum, Product, Quotient, Modulo, Power, Apply, Big, Fold, Iverson, Relation,
    Connected, Transpose, Norm, Derivative, Matrix, Ranged,
]  # fmt: skip

ONE = Number(Fraction(1))
ONES = Symbol("1", "1", r"\mathbf{1}")
IDENTITY = Symbol("I", "I", r"\mathbf{I}")


def entry(base: Formula, index: tuple[Formula, ...]) -> Formula:
    """A tensor's entry; of a gradient ∂L/∂W it is the derivative by the entry."""
    if not index:
        return base
    if isinstance(base, Derivative):
        front, rest = index[: base.ahead], index[base.ahead :]
        return Derivative(entry(base.top, front), entry(base.bottom, rest), base.code, base.ahead)
    return Entry(base, index)


def _index(f: Formula) -> tuple[Formula, ...]:
    return f.index if isinstance(f, (Entry, Derivative)) else ()


def plus(*terms: Formula) -> Formula:
    """A sum, with inner sums and signs taken in."""
    flat: list[tuple[bool, Formula]] = []
    for t in terms:
        flat += t.terms if isinstance(t, Sum) else ((False, t),)
    return flat[0][1] if len(flat) == 1 and not flat[0][0] else Sum(tuple(flat))


def minus(a: Formula) -> Formula:
    if isinstance(a, Sum) and len(a.terms) == 1:
        return a.terms[0][1] if a.terms[0][0] else Sum(((True, a.terms[0][1]),))
    return Sum(((True, a),))


def times(*factors: Formula, kind: str = "times") -> Formula:
    """A product without ones, its sign in front."""
    negative = False
    flat: list[Formula] = []
    for factor in factors:
        f = factor
        if isinstance(f, Sum) and len(f.terms) == 1:
            negative ^= f.terms[0][0]
            f = f.terms[0][1]
        flat += f.factors if isinstance(f, Product) and f.kind == kind else [] if f == ONE else [f]
    product = ONE if not flat else flat[0] if len(flat) == 1 else Product(tuple(flat), kind)
    return minus(product) if negative else product


def applied(op: str, args: tuple[Formula, ...]) -> Formula:
    """What an equation defines; what solves `A @ X = I` is the inverse."""
    identity = len(args) > 1 and (args[1] == IDENTITY or isinstance(args[1], Apply) and args[1].name == "eye")
    return Apply("inv", args[:1]) if op == "solve" and identity else Apply(op, args)


# printing

SUM, PRODUCT, POWER, ATOM = range(4)


@dataclass(frozen=True)
class Piece:
    """A part of a line that is not broken; `depth` says how deep in brackets a break before it would be, None
    forbids one. `width` is in columns (text) or in points of a 10 pt font (LaTeX). In LaTeX it has its `boxes`."""

    text: str
    width: float
    depth: int | None = None
    boxes: Boxes = ()


def height(f: Formula) -> int:
    """0 for what fits a line, 1 for fractions, 2 for sums with letters below."""
    match f:
        case Symbol() | Number():
            return 0
        case Quotient(kind="times") | Derivative():
            return 1
        case Big(_, _, _, body):
            return max(2, height(body))
        case Power(base, _):
            return height(base)
        case Apply("exp", _):
            return 0
        case Matrix(rows, vector):
            return 2 if vector or len(rows) > 1 else max(map(height, rows[0]), default=0)
        case _:
            return max(map(height, children(f)), default=0)


def children(f: Formula) -> tuple[Formula, ...]:
    """The parts of a formula."""
    match f:
        case Entry(base, index):
            return (base, *index)
        case Sum(terms):
            return tuple(t for _, t in terms)
        case Product(parts) | Apply(_, parts) | Relation(parts) | Connected(_, parts):
            return parts
        case Quotient(a, b) | Modulo(a, b) | Power(a, b) | Derivative(a, b):
            return (a, b)
        case Big(_, letters, conditions, body):
            return (*letters, *conditions, body)
        case Fold(_, a) | Iverson(a) | Transpose(a) | Norm(a):
            return (a,)
        case Ranged(body, ranges):
            return (body, *ranges)
        case Matrix(rows):
            return tuple(x for row in rows for x in row)
    return ()


def walk(f: Formula) -> Iterator[Formula]:
    """Every part, the whole first."""
    yield f
    for c in children(f):
        yield from walk(c)
