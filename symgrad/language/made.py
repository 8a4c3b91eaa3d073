"""Arrays made from sizes and labels: constants, ranges, identities, one-hot rows."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.arguments import Args, Keywords, letters_of, no_more, takes
from symgrad.language.expr import Bracket, Cmp, Expr
from symgrad.language.ints import Int
from symgrad.language.syntax import words
from symgrad.language.values import (
    Array,
    real,
)

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas


def compared(op: str, a: Int, b: Int) -> Expr:
    """1 where the comparison of two places holds, else 0."""
    return Bracket(Cmp(op, ex.val(a), ex.val(b)))


def _shape(f: Formulas, args: Args) -> tuple[tuple[Int, ...], tuple[str, ...]]:
    nodes = list(args[0].elts) if len(args) == 1 and isinstance(args[0], ast.Tuple) else args
    letters = tuple(n.id if isinstance(n, ast.Name) and n.id in f.frame.sizes else "" for n in nodes)
    return tuple(f.whole(n) for n in nodes), letters


def _filled(value: Expr) -> Callable[[Formulas, Args, Keywords], Array]:
    def filled(f: Formulas, args: Args, keywords: Keywords) -> Array:
        no_more("ones", keywords)
        if not args:
            raise Refusal("say its shape: ones(n, m)")
        shape, letters = _shape(f, args)
        return Array(shape, lambda _: value, letters)

    return filled


def _arange(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`arange(n)`, `arange(1, n)`: whole numbers, one after another."""
    takes("arange", args, 1, 2)
    no_more("arange", keywords)
    start = f.whole(args[0], "the start of a range") if len(args) == 2 else ints.ZERO
    end = args[-1]
    size = f.range(end, "arange") - start
    if ints.nonnegative(size - 1) is False:
        raise Refusal(f"arange({', '.join(map(words, args))}) is empty")
    letter = end.id if isinstance(end, ast.Name) and end.id in f.frame.sizes and start == ints.ZERO else ""
    return Array((size,), lambda p: real(p[0] + start), (letter,), lambda p: p[0] + start)


def _linspace(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`linspace(a, b, n)`: n numbers from a to b."""
    takes("linspace", args, 3)
    no_more("linspace", keywords)
    low, high = f.array(args[0]), f.array(args[1])
    size = f.range(args[2], "linspace")
    if low.rank or high.rank or ints.nonnegative(size - 2) is False:
        raise Refusal("linspace goes from a number to a number in at least two steps: linspace(0, 1, n)")
    start, step = low.at(()), (high.at(()) - low.at(())) / real(size - 1)
    return Array((size,), lambda p: start + ex.mul(step, real(p[0])))


def _like(value: Expr) -> Callable[[Formulas, Args, Keywords], Array]:
    def like(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes("ones_like", args, 1)
        no_more("ones_like", keywords)
        a = f.array(args[0])
        return Array(a.shape, lambda _: value, letters_of(a))

    return like


def _eye(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("eye", args, 1, 2)
    no_more("eye", keywords)
    shape, letters = _shape(f, [*args, args[0]][:2])
    return Array(shape, lambda p: compared("==", p[0], p[1]), letters)


def _one_hot(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`one_hot(t)`: 1 at the label, along a new last axis."""
    classes = keywords.pop("num_classes", args[1] if len(args) == 2 else None)
    no_more("one_hot", keywords)
    takes("one_hot", args, 1, 2)
    t = f.array(args[0])
    if t.integer is None or t.tensor not in f.builder.below:
        raise Refusal(f"one_hot takes a label, `t: label[n] < k`, and {words(args[0])} is none")
    size = f.builder.ranges.settled(f.builder.below[t.tensor])
    if classes is not None and f.whole(classes) != size:
        raise Refusal(f"{words(args[0])} is a label of {size} classes, and {words(classes)} are asked for")
    whole = t.integer
    return Array((*t.shape, size), lambda p: compared("==", whole(p[:-1]), p[-1]), (*letters_of(t), ""))


def _index(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`index(t)`: a running index as a number."""
    takes("index", args, 1)
    no_more("index", keywords)
    with f.positions():
        a = f.array(args[0])
    if a.integer is None:
        raise Refusal(f"index() takes an index letter, not {words(args[0])}")
    return a


FUNCTIONS: dict[str, Callable[[Formulas, Args, Keywords], Array]] = {
    "eye": _eye, "identity": _eye, "arange": _arange, "range": _arange, "linspace": _linspace,
    "ones": _filled(ex.ONE), "zeros": _filled(ex.ZERO), "ones_like": _like(ex.ONE), "zeros_like": _like(ex.ZERO),
    "one_hot": _one_hot, "index": _index,
}  # fmt: skip
