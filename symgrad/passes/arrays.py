"""Statements as expressions of whole arrays: what a textbook (and NumPy) would write for a sum over indices.

Every node carries `axes`: the letters of the statement that its array axes run with, in order. Printers (NumPy, LaTeX
in matrix form) walk these nodes; none of them decides any mathematics. A transpose, a sum over an axis, a Hadamard
product carry the reason why they are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

from symgrad.language.expr import Expr
from symgrad.language.ints import Int


@dataclass(frozen=True)
class Ref:
    """A tensor as it stands; its k-th axis runs with `axes[k]`."""

    tensor: str
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Gather:
    """Entries of a tensor at positions that are not all bare axes: `x[n, 2*i + p]`, `E[t[n], d]`, `F[0]`.

    `ranges` gives the size of each axis; `guarded`: positions outside the tensor occur and their value is not used.
    The order of `axes` is NumPy's: axes of positions that are looked up or that share a letter come together, where
    the first of these positions stands, or in front if other positions stand between them.
    """

    tensor: str
    index: tuple[Int, ...]
    axes: tuple[str, ...]
    ranges: tuple[tuple[str, Int], ...]
    guarded: bool = False


@dataclass(frozen=True)
class Scalar:
    """An expression without axes: numbers, sizes, scalar tensors."""

    expr: Expr
    axes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Index:
    """An integer expression of axes as an array of numbers: the running index, a label (`Look`)."""

    int: Int
    axes: tuple[str, ...]
    ranges: tuple[tuple[str, Int], ...]


@dataclass(frozen=True)
class Elementwise:
    """A scalar function of aligned arrays; `axes` are the union of theirs, each argument's axes a subsequence of it.

    `op` is "add", "multiply", "power", a leaf's name, a comparison (`<`, `==`, ...), "and", "or", "not",
    "bracket" (a condition as 0 and 1), "stop" (its value, a constant to every derivative), "where" (a condition, a
    value, what stands instead: only to keep an argument harmless where nothing uses it), or "where max", "where min",
    "where prod" (a condition and a value: where the condition fails, what changes no maximum, minimum or product).
    `strong`: the first factor is a bracket, and the product is 0 where that is 0, whatever the other factors are.
    """

    op: str
    args: tuple[Array, ...]
    axes: tuple[str, ...]
    strong: bool = False
    reason: str = ""


@dataclass(frozen=True)
class MatMul:
    """A product over one shared summed axis, as NumPy's `@` reads it: `a.axes = (*batch, *rows, k)`,
    `b.axes = (*batch, k, *columns)`, rows and columns at most one axis each where there is a batch.
    Without a batch, `a` may have any number of leading axes."""

    a: Array
    b: Array
    over: str
    axes: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Contract:
    """A product of arrays summed over the axes that are not in `axes`, where no `@` fits: an einsum."""

    args: tuple[Array, ...]
    axes: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Transpose:
    """The array with its axes in another order; `reason` says why, from the indices."""

    a: Array
    axes: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Reduce:
    """`op` ("sum", "max", "min", "prod"; "any" of a condition) over the axes `over`."""

    op: str
    a: Array
    over: tuple[str, ...]
    axes: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Expand:
    """The array repeated along axes that it lacks, with their sizes."""

    a: Array
    axes: tuple[str, ...]
    ranges: tuple[tuple[str, Int], ...]
    reason: str = ""


@dataclass(frozen=True)
class Implicit:
    """An operation that an equation defines (see `symgrad.language.implicit`), on whole stacks of matrices.

    The axes of its arguments lie as NumPy takes them, those before the matrices aligned from the right; `vectors`: the
    right-hand side is a stack of vectors, each to be made a column.
    """

    op: str
    args: tuple[Array, ...]
    axes: tuple[str, ...]
    vectors: bool = False


Array = Union[Ref, Gather, Scalar, Index, Elementwise, MatMul, Contract, Transpose, Reduce, Expand, Implicit]
