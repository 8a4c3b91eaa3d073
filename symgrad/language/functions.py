"""Functions by name: NumPy's, read as they are meant, and the hints for what is not read.

A function takes the reader, the trees of its arguments and of its options, and gives an array.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints, reductions
from symgrad.language.arguments import Args, Keywords, axis_number, no_more, takes
from symgrad.language.expr import Bracket, Cmp, Expr, Stop
from symgrad.language.frames import Option
from symgrad.language.ints import Int, product
from symgrad.language.syntax import words
from symgrad.language.values import (
    Array,
    elementwise,
    integer,
    real,
    scalar,
    shown,
)

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas

ALIASES = {
    "absolute": "abs", "fabs": "abs", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh", "ln": "log", "expit": "sigmoid",
    "log_sigmoid": "logsigmoid", "arctan2": "atan2", "rint": "round",
}  # fmt: skip
HINTS = {
    "print": "nothing is printed here: leave the line out",
    "int": "numbers are real here; a position is an integer tensor, `t: label[n] < 10`, or a size",
    "float": "numbers are real here: leave float() out",
    "argmax": "argmax has no derivative and is not part of the language; the largest value is max(x)",
    "argmin": "argmin has no derivative and is not part of the language; the smallest value is min(x)",
    "sort": "sorting is not part of the language",
    "random": "random draws are inputs: declare `u: data[n]` and give them",
    "randn": "random draws are inputs: declare `u: data[n]` and give them",
    "eval": "text is never run here",
    "exec": "text is never run here",
    "detach": "write stop(x): its value, with derivative zero",
    "stop_gradient": "write stop(x): its value, with derivative zero",
    "item": "a scalar is written by its name",
    "numpy": "leave it out: arrays are written by their names",
}


def _variance(root: bool) -> Callable[[Formulas, Args, Keywords], Array]:
    """`var` and `std` as NumPy has them, divided by the number of entries less `ddof`; std of equal entries is flat."""
    name = "std" if root else "var"

    def variance(f: Formulas, args: Args, keywords: Keywords) -> Array:
        keep: Keywords = {k: keywords.pop(k) for k in list(keywords) if k in ("keepdims", "keepdim")}
        axis = keywords.pop("axis", keywords.pop("dim", args[1] if len(args) == 2 else None))
        less = keywords.pop("ddof", keywords.pop("correction", None))
        biased = keywords.pop("unbiased", None)
        no_more(name, keywords)
        takes(name, args, 1, 2)
        along: Keywords = {} if axis is None else {"axis": axis}
        with f.as_name(args[0]) as x:
            mean = ast.Call(
                ast.Name("mean"), [x], [*_options(along), ast.keyword("keepdims", ast.Constant(True))]
            )
            square = ast.BinOp(ast.BinOp(x, ast.Sub(), mean), ast.Pow(), ast.Constant(2))
            whole = f.array(x)
            out = reductions.reduction(f, "mean", [ast.fix_missing_locations(square)], {**along, **keep})
        taken = f.whole(less, "ddof") if less is not None else ints.ZERO
        if biased is not None:
            chosen = f.value(biased)
            taken = ints.ONE if isinstance(chosen, Option) and chosen.value is True else ints.ZERO
        if taken != ints.ZERO:
            count = product(n for n in _reduced_sizes(f, whole, axis, args[0]))
            out = elementwise(lambda e: ex.mul(e, real(count), ex.power(real(count - taken), -1)), out)
        return elementwise(_root, out) if root else out

    return variance


def _root(e: Expr) -> Expr:
    """The square root of what is not negative, with slope 0 at 0."""
    return ex.mul(Bracket(Cmp(">", e, ex.ZERO)), ex.call("sqrt", e))


def _options(keywords: Keywords) -> list[ast.keyword]:
    return [ast.keyword(k, v) for k, v in keywords.items()]


def _reduced_sizes(f: Formulas, a: Array, axis: ast.expr | None, node: ast.expr) -> list[Int]:
    if axis is None:
        return list(a.shape)
    nodes = axis.elts if isinstance(axis, ast.Tuple) else [axis]
    return [a.shape[axis_number(f, n, a.rank, node)] for n in nodes]


# ---------------------------------------------------------------------- entry by entry


def _stopped(kind: str) -> Callable[[Formulas, Args, Keywords], Array]:
    def stop(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes(kind, args, 1)
        no_more(kind, keywords)
        return elementwise(lambda e: Stop(e, kind), f.array(args[0]))

    return stop


def _where(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("where", args, 3)
    no_more("where", keywords)
    return f.where(*args)


def _clip(f: Formulas, args: Args, keywords: Keywords) -> Array:
    low = keywords.pop("min", keywords.pop("a_min", None))
    high = keywords.pop("max", keywords.pop("a_max", None))
    no_more("clip", keywords)
    takes("clip", args, 1, 2, 3)
    ends = [*args[1:], None, None][:2]
    low, high = (
        given if given is not None else other for given, other in zip((low, high), ends, strict=True)
    )
    a = f.array(args[0])
    for leaf, end in (("maximum", low), ("minimum", high)):
        if end is not None and not (isinstance(end, ast.Constant) and end.value is None):
            a = elementwise(lambda x, y, leaf=leaf: ex.call(leaf, x, y), a, f.array(end))
    return a


def _powers(exponent: Fraction) -> Callable[[Formulas, Args, Keywords], Array]:
    def power(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes("square", args, 1)
        no_more("square", keywords)
        return elementwise(lambda e: ex.power(e, exponent), f.array(args[0]))

    return power


def _operator(name: str, function: Callable[..., Any]) -> Callable[[Formulas, Args, Keywords], Array]:
    def operator(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes(name, args, 2)
        no_more(name, keywords)
        return elementwise(function, *(f.array(a) for a in args), texts=[words(a) for a in args])

    return operator


def _logarithm(base: int) -> Callable[[Formulas, Args, Keywords], Array]:
    def logarithm(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes(f"log{base}", args, 1)
        no_more(f"log{base}", keywords)
        unit = ex.call("log", base)
        return elementwise(lambda e: ex.call("log", e) / unit, f.array(args[0]))

    return logarithm


def _average(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`average(x, weights=w)`: `sum(w*x)/sum(w)`."""
    weights = keywords.pop("weights", None)
    takes("average", args, 1, 2)
    along = [*args[1:]]
    if weights is None:
        return reductions.reduction(f, "mean", [args[0], *along], keywords)
    with f.as_name(args[0]) as x, f.as_name(weights) as w:
        product_of_both = ast.fix_missing_locations(ast.BinOp(w, ast.Mult(), x))
        top = reductions.reduction(f, "sum", [product_of_both, *along], dict(keywords))
        like = ast.fix_missing_locations(ast.BinOp(w, ast.Mult(), ast.Call(ast.Name("ones_like"), [x], [])))
        bottom = reductions.reduction(f, "sum", [like, *along], dict(keywords))
    return elementwise(lambda a, b: a / b, top, bottom)


def _negative(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("negative", args, 1)
    no_more("negative", keywords)
    return elementwise(lambda e: -e, f.array(args[0]))


# ---------------------------------------------------------------------- sizes


def _len(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("len", args, 1)
    no_more("len", keywords)
    a = f.array(args[0])
    if not a.rank:
        raise Refusal(f"{words(args[0])} is a scalar and has no length")
    return integer(a.shape[0])


def size_of(f: Formulas, node: ast.expr) -> Array:
    """`x.size`: the number of entries."""
    count = product(f.array(node).shape)
    return scalar(real(count)) if count.number is not None else integer(count)


def _size(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`np.size(x)`, and torch's `x.size(0)`."""
    takes("size", args, 1, 2)
    no_more("size", keywords)
    if len(args) == 1:
        return size_of(f, args[0])
    a = f.array(args[0])
    number = f.whole(args[1], "an axis").number
    if number is None or not -a.rank <= number < a.rank:
        raise Refusal(f"{words(args[0])} is {shown(a.shape)} and has no axis {words(args[1])}")
    return integer(a.shape[number])


def _reduction(name: str) -> Callable[[Formulas, Args, Keywords], Array]:
    return lambda f, args, keywords: reductions.reduction(f, name, args, keywords)


FUNCTIONS: dict[str, Callable[[Formulas, Args, Keywords], Array]] = {
    **{name: _reduction(name) for name in reductions.OPS}, "reduced": reductions.reduced,
    "amax": _reduction("max"), "amin": _reduction("min"), "product": _reduction("prod"),
    "average": _average, "var": _variance(root=False), "std": _variance(root=True),
    "stop": _stopped("stop"), "held": _stopped("held"), "where": _where, "clip": _clip, "clamp": _clip,
    "square": _powers(Fraction(2)), "reciprocal": _powers(Fraction(-1)), "negative": _negative,
    "power": _operator("power", ex.power), "pow": _operator("pow", ex.power), "add": _operator("add", ex.add),
    "multiply": _operator("multiply", ex.mul), "mul": _operator("mul", ex.mul),
    "subtract": _operator("subtract", lambda a, b: a - b), "divide": _operator("divide", lambda a, b: a / b),
    "log2": _logarithm(2), "log10": _logarithm(10), "len": _len, "size": _size,
}  # fmt: skip
