"""The axes of an array in another order."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from symgrad.errors import Refusal
from symgrad.language.arguments import Args, Keywords, axis_number, letters_of, no_more, takes
from symgrad.language.syntax import grouped, words
from symgrad.language.values import (
    Array,
    permuted,
    shown,
)

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas

T = TypeVar("T")


def matrix_transpose(f: Formulas, node: ast.expr) -> Array:
    """`x.mT`: the last two axes exchanged."""
    a = f.array(node)
    if a.rank < 2:
        raise Refusal(f"`.mT` exchanges the last two axes, and {words(node)} is {shown(a.shape)}")

    def exchanged(p: tuple[T, ...]) -> tuple[T, ...]:
        return (*p[:-2], p[-1], p[-2])

    return Array(exchanged(a.shape), lambda p: a.at(exchanged(p)), exchanged(letters_of(a)))


def transpose(f: Formulas, node: ast.expr) -> Array:
    """`x.T`: all axes in reverse."""
    a = f.array(node)
    if a.rank == 1:
        name = grouped(words(node))
        raise Refusal(
            f"{words(node)} is a vector, and a vector has no transpose: {name} @ y is the product of two vectors, "
            f"{name}[:, None] a column"
        )
    out = Array(a.shape[::-1], lambda p: a.at(p[::-1]), letters_of(a)[::-1])
    if a.integer is not None:
        whole = a.integer
        out.integer = lambda p: whole(p[::-1])
    return out


def _transpose(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """All axes in reverse, or in the order given; torch's `transpose(x, 1, 2)` exchanges two."""
    order = keywords.pop("axes", None)
    no_more("transpose", keywords)
    nodes = [order] if order is not None else args[1:]
    if not nodes:
        return transpose(f, args[0])
    return reordered(f, args[0], nodes, exchange=len(nodes) == 2)


def reordered(f: Formulas, node: ast.expr, nodes: Sequence[ast.expr], *, exchange: bool) -> Array:
    """An array with its axes in the order given, one by one or as a tuple; of two numbers those axes exchanged."""
    a = f.array(node)
    if len(nodes) == 1 and isinstance(nodes[0], (ast.Tuple, ast.List)):
        nodes, exchange = nodes[0].elts, False
    numbers = [axis_number(f, n, a.rank, node) for n in nodes]
    if exchange and len(numbers) == 2:
        order = list(range(a.rank))
        order[numbers[0]], order[numbers[1]] = numbers[1], numbers[0]
    else:
        order = numbers
    if sorted(order) != list(range(a.rank)):
        raise Refusal(f"{words(node)} is {shown(a.shape)}; name each of its {a.rank} axes once")
    return permuted(a, order)


def _permute(f: Formulas, args: Args, keywords: Keywords) -> Array:
    no_more("permute", keywords)
    return reordered(f, args[0], args[1:], exchange=False)


def _swapaxes(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("swapaxes", args, 3)
    no_more("swapaxes", keywords)
    return reordered(f, args[0], args[1:], exchange=True)


FUNCTIONS: dict[str, Callable[[Formulas, Args, Keywords], Array]] = {
    "transpose": _transpose, "t": _transpose, "permute": _permute, "swapaxes": _swapaxes,
}  # fmt: skip
