"""Functions by name: NumPy's, read as they are meant, and the hints for what is not read.

A function takes the reader, the trees of its arguments and of its options, and gives an array.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints, reductions
from symgrad.language.expr import Bracket, Cmp, Expr, Stop
from symgrad.language.frames import Option
from symgrad.language.ints import Int, product
from symgrad.language.syntax import grouped, words
from symgrad.language.values import (
    Array,
    Positions,
    aligned,
    elementwise,
    integer,
    permuted,
    real,
    scalar,
    shown,
)

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas

Args = list[ast.expr]
Keywords = dict[str, ast.expr]
T = TypeVar("T")

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


def no_more(name: str, keywords: Mapping[str, ast.expr]) -> None:
    """Refuse options that a function does not have."""
    if keywords:
        raise Refusal(f"{name} has no option {next(iter(keywords))}")


def takes(name: str, args: Sequence[ast.expr], *counts: int) -> None:
    """Refuse another number of arguments."""
    if len(args) not in counts:
        wanted = " or ".join(map(str, counts))
        raise Refusal(f"{name} takes {wanted} argument{'s' * (counts != (1,))}, not {len(args)}")


# ---------------------------------------------------------------------- products


def matmul(f: Formulas, args: Args) -> Array:
    """`a @ b`, as NumPy reads it: the last axis of `a` meets the last but one of `b`."""
    takes("matmul", args, 2)
    left, right = (f.array(a) for a in args)
    _no_entrywise_square(left, args[0])
    _no_entrywise_square(right, args[1])
    return product_of(f, left, right, *map(words, args))


def product_of(f: Formulas, left: Array, right: Array, first: str, second: str) -> Array:
    """The product of two arrays; `first` and `second` are what the user wrote for them."""
    if not left.rank or not right.rank:
        raise Refusal(
            f"`@` is a product of vectors and matrices; {first if not left.rank else second} is a scalar, "
            "use `*`"
        )
    meets = right.rank - 2 if right.rank > 1 else 0
    if left.shape[-1] != right.shape[meets] and not f.builder.ranges.pin(left.shape[-1], right.shape[meets]):
        raise Refusal(_no_product(left, right, first, second))
    size = left.shape[-1]
    rows = left.shape[-2:-1]
    columns = right.shape[-1:] if right.rank > 1 else ()
    a_batch, b_batch = _batch(left), _batch(right)
    batch = elementwise(ex.mul, a_batch, b_batch, texts=[f"the leading part of {first}", f"that of {second}"])
    ll, rl = letters_of(left), letters_of(right)
    kept = (*letters_of(batch), *(ll[-2:-1]), *(rl[-1:] if right.rank > 1 else ()))
    name = ll[-1] if ll[-1] and ll[-1] not in kept else rl[meets] if rl[meets] not in kept else ""
    over = f.builder.ranges.new(name, size)
    shape = (*batch.shape, *rows, *columns)
    k = ints.axis(over)

    def body(p: Positions) -> tuple[Expr, None]:
        lead, rest = p[: batch.rank], p[batch.rank :]
        row, column = rest[: len(rows)], rest[len(rows) :]
        x = left.at((*aligned(a_batch, batch.shape, lead), *row, k))
        y = right.at((*aligned(b_batch, batch.shape, lead), k, *column))
        return ex.mul(x, y), None

    return f.builder.pending("+=", shape, body, [over], kept)


def letters_of(a: Array) -> tuple[str, ...]:
    return a.letters or ("",) * a.rank


def _batch(a: Array) -> Array:
    """A stand-in with the axes before a matrix."""
    return Array(a.shape[:-2], lambda _: ex.ONE, letters_of(a)[:-2])


def _no_entrywise_square(a: Array, node: ast.expr) -> None:
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Pow)
        and a.rank == 2
        and a.shape[0] == a.shape[1]
    ):
        base = words(node.left)
        raise Refusal(f"{words(node)} squares each entry; the product of matrices is {base} @ {base}").at(
            node
        )


def _no_product(a: Array, b: Array, first: str, second: str) -> str:
    inner, other = a.shape[-1], b.shape[-2] if b.rank > 1 else b.shape[0]
    said = f"{first} is {shown(a.shape)} and {second} is {shown(b.shape)}"
    said += f": the inner sizes {inner} and {other} differ"
    first, second = grouped(first), grouped(second)
    outs = []
    if a.rank == 2 and a.shape[0] == other:
        outs.append(f"{_turned(first)} @ {second} would fit")
    if b.rank == 2 and b.shape[-1] == inner:
        outs.append(f"{first} @ {_turned(second)} would fit")
    if a.rank <= 2 and b.rank == 2 and b.shape[-1] == a.shape[0] and not outs:
        outs.append(f"{second} @ {first} would fit")
    if b.tensor:
        fitting = shown((*b.shape[:-2], inner, *(b.shape[-1:] if b.rank > 1 else ())))
        outs.append(f"a {second} of {fitting} would fit")
    return f"{said}; {', or '.join(outs)}" if outs else said


def _turned(text: str) -> str:
    return text.removesuffix(".T") if text.endswith(".T") else f"{text}.T"


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


def _matmul(f: Formulas, args: Args, keywords: Keywords) -> Array:
    no_more("matmul", keywords)
    return matmul(f, args)


def _dot(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("dot", args, 2)
    no_more("dot", keywords)
    left, right = f.array(args[0]), f.array(args[1])
    if left.rank and right.rank:
        return matmul(f, args)
    return elementwise(ex.mul, left, right)


def _outer(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("outer", args, 2)
    no_more("outer", keywords)
    a, b = f.array(args[0]), f.array(args[1])
    if a.rank != 1 or b.rank != 1:
        raise Refusal(f"outer takes two vectors, not {shown(a.shape)} and {shown(b.shape)}")
    return Array(
        (*a.shape, *b.shape), lambda p: ex.mul(a.at(p[:1]), b.at(p[1:])), (*letters_of(a), *letters_of(b))
    )


def _vdot(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """The sum of the products of all entries."""
    takes("vdot", args, 2)
    no_more("vdot", keywords)
    a, b = f.array(args[0]), f.array(args[1])
    if a.shape != b.shape:
        raise Refusal(f"vdot takes arrays of one shape, not {shown(a.shape)} and {shown(b.shape)}")
    return _contracted(f, a, b, a.rank)


def _inner(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`inner(a, b)`: the last axes meet."""
    takes("inner", args, 2)
    no_more("inner", keywords)
    a, b = f.array(args[0]), f.array(args[1])
    if not a.rank or not b.rank:
        return elementwise(ex.mul, a, b)
    if a.shape[-1] != b.shape[-1]:
        raise Refusal(f"inner takes arrays with one last axis, not {shown(a.shape)} and {shown(b.shape)}")
    return _contracted(f, a, permuted(b, [b.rank - 1, *range(b.rank - 1)]), 1)


def _tensordot(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`tensordot(a, b, axes=2)`: so many last axes of `a` meet the first ones of `b`."""
    axes = keywords.pop("axes", args[2] if len(args) == 3 else None)
    no_more("tensordot", keywords)
    takes("tensordot", args, 2, 3)
    count = f.whole(axes, "a number of axes").number if axes is not None else 2
    a, b = f.array(args[0]), f.array(args[1])
    if count is None or not 0 <= count <= min(a.rank, b.rank) or a.shape[a.rank - count :] != b.shape[:count]:
        raise Refusal(f"the last {count} axes of {shown(a.shape)} are not the first of {shown(b.shape)}")
    return _contracted(f, a, b, count)


def _contracted(f: Formulas, a: Array, b: Array, count: int) -> Array:
    """The sum over the last axes of `a` and the first of `b`."""
    kept = a.rank - count
    over = [f.builder.ranges.new(x, n) for x, n in zip(letters_of(a)[kept:], a.shape[kept:], strict=True)]
    k = tuple(map(ints.axis, over))

    def body(p: Positions) -> tuple[Expr, None]:
        return ex.mul(a.at((*p[:kept], *k)), b.at((*k, *p[kept:]))), None

    shape = (*a.shape[:kept], *b.shape[count:])
    if not over:
        return Array(shape, lambda p: body(p)[0], (*letters_of(a), *letters_of(b)))
    return f.builder.pending("+=", shape, body, over, (*letters_of(a)[:kept], *letters_of(b)[count:]))


def _einsum(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`einsum("ij,jk->ik", A, B)`."""
    no_more("einsum", keywords)
    first = args[0] if args else None
    if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
        raise Refusal('einsum starts with its letters: einsum("ij,jk->ik", A, B)')
    text = first.value.replace(" ", "")
    if not re.fullmatch(r"[A-Za-z,]*(->[A-Za-z]*)?", text):
        raise Refusal(f'einsum reads letters, commas and one arrow, not "{first.value}"')
    inputs, arrow, output = text.partition("->")
    parts = inputs.split(",")
    if not arrow:
        output = "".join(sorted(x for x in set(inputs) - {","} if inputs.count(x) == 1))
    arrays = [f.array(a) for a in args[1:]]
    if len(parts) != len(arrays):
        raise Refusal(f"einsum names {len(parts)} arrays and gets {len(arrays)}")
    sizes: dict[str, Int] = {}
    for letters, a, node in zip(parts, arrays, args[1:], strict=True):
        if len(letters) != a.rank:
            raise Refusal(
                f"einsum gives {words(node)} the letters {letters or 'none'}, but it is {shown(a.shape)}"
            )
        for x, n in zip(letters, a.shape, strict=True):
            if sizes.setdefault(x, n) != n:
                raise Refusal(f"in einsum, {x} is {sizes[x]} in one array and {n} in {words(node)}")
    if len(set(output)) != len(output) or any(x not in sizes for x in output):
        raise Refusal(f"the letters after the arrow, {output}, must each stand once before it")
    over = {x: f.builder.ranges.new(x, n) for x, n in sizes.items() if x not in output}

    def body(p: Positions) -> tuple[Expr, None]:
        at = {**dict(zip(output, p, strict=True)), **{x: ints.axis(a) for x, a in over.items()}}
        return ex.mul(
            *(a.at(tuple(at[x] for x in part)) for part, a in zip(parts, arrays, strict=True))
        ), None

    shape = tuple(sizes[x] for x in output)
    if over:
        return f.builder.pending("+=", shape, body, list(over.values()), tuple(output))
    return Array(shape, lambda p: body(p)[0], tuple(output))


def _kron(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("kron", args, 2)
    no_more("kron", keywords)
    a, b = f.array(args[0]), f.array(args[1])
    if a.rank != b.rank:
        raise Refusal(f"kron takes two arrays of as many axes, not {shown(a.shape)} and {shown(b.shape)}")

    def entry(p: Positions) -> Expr:
        outer = tuple(i // n for i, n in zip(p, b.shape, strict=True))
        return ex.mul(a.at(outer), b.at(tuple(i % n for i, n in zip(p, b.shape, strict=True))))

    return Array(tuple(m * n for m, n in zip(a.shape, b.shape, strict=True)), entry, ("",) * a.rank)


def _trace(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("trace", args, 1)
    no_more("trace", keywords)
    a = f.array(args[0])
    _square("trace", a)
    _no_entrywise_square(a, args[0])
    over = f.builder.ranges.new(letters_of(a)[0], a.shape[0])
    k = ints.axis(over)
    return f.builder.pending("+=", (), lambda _: (a.at((k, k)), None), [over])


def _square(name: str, a: Array) -> None:
    if a.rank != 2 or a.shape[0] != a.shape[1]:
        raise Refusal(f"{name} takes a square matrix, not {shown(a.shape)}")


def _diag(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    takes("diag", args, 1)
    no_more("diag", keywords)
    a = f.array(args[0])
    if a.rank == 1:
        return Array(
            (*a.shape, *a.shape),
            lambda p: ex.mul(_compare("==", p[0], p[1]), a.at(p[:1])),
            (*letters_of(a), ""),
        )
    _square("diag", a)
    return Array(a.shape[:1], lambda p: a.at((p[0], p[0])), letters_of(a)[:1])


def _compare(op: str, a: Int, b: Int) -> Expr:
    return Bracket(Cmp(op, ex.val(a), ex.val(b)))


def _triangle(op: str) -> Callable[[Formulas, Args, Keywords], Array]:
    def triangle(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes("tril" if op == "<=" else "triu", args, 1, 2)
        a = f.array(args[0])
        offset = keywords.pop("k", args[1] if len(args) == 2 else None)
        no_more("tril", keywords)
        k = f.whole(offset, "a diagonal") if offset is not None else ints.ZERO
        if a.rank < 2:
            raise Refusal(f"a triangle is taken of a matrix, not of {shown(a.shape)}")
        return Array(a.shape, lambda p: ex.mul(_compare(op, p[-1], p[-2] + k), a.at(p)), letters_of(a))

    return triangle


# ---------------------------------------------------------------------- made arrays


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
    return Array(shape, lambda p: _compare("==", p[0], p[1]), letters)


# ---------------------------------------------------------------------- made of other functions


def axis_number(f: Formulas, node: ast.expr, rank: int, of_what: ast.expr) -> int:
    """The axis that a number names, counted from the end if it is negative."""
    number = f.whole(node, "an axis").number
    if number is None or not -rank <= number < rank:
        raise Refusal(f"{words(of_what)} has no axis {words(node)} here")
    return number % rank


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
    return Array((*t.shape, size), lambda p: _compare("==", whole(p[:-1]), p[-1]), (*letters_of(t), ""))


# ---------------------------------------------------------------------- entry by entry


def _stopped(kind: str) -> Callable[[Formulas, Args, Keywords], Array]:
    def stop(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes(kind, args, 1)
        no_more(kind, keywords)
        return elementwise(lambda e: Stop(e, kind), f.array(args[0]))

    return stop


def _index(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`index(t)`: a running index as a number."""
    takes("index", args, 1)
    no_more("index", keywords)
    with f.positions():
        a = f.array(args[0])
    if a.integer is None:
        raise Refusal(f"index() takes an index letter, not {words(args[0])}")
    return a


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
    "dot": _dot, "matmul": _matmul, "mm": _matmul, "bmm": _matmul, "inner": _inner,
    "vdot": _vdot, "tensordot": _tensordot, "outer": _outer,
    "einsum": _einsum, "kron": _kron, "trace": _trace, "tr": _trace, "diag": _diag,
    "tril": _triangle("<="), "triu": _triangle(">="),
    "transpose": _transpose, "t": _transpose, "permute": _permute, "swapaxes": _swapaxes,
    "eye": _eye, "identity": _eye, "arange": _arange, "range": _arange, "linspace": _linspace,
    "ones": _filled(ex.ONE), "zeros": _filled(ex.ZERO),
    "ones_like": _like(ex.ONE), "zeros_like": _like(ex.ZERO),
    "average": _average, "var": _variance(root=False), "std": _variance(root=True), "one_hot": _one_hot,
    "stop": _stopped("stop"), "held": _stopped("held"), "index": _index,
    "where": _where, "clip": _clip, "clamp": _clip,
    "square": _powers(Fraction(2)), "reciprocal": _powers(Fraction(-1)), "negative": _negative,
    "power": _operator("power", ex.power), "pow": _operator("pow", ex.power), "add": _operator("add", ex.add),
    "multiply": _operator("multiply", ex.mul), "mul": _operator("mul", ex.mul),
    "subtract": _operator("subtract", lambda a, b: a - b), "divide": _operator("divide", lambda a, b: a / b),
    "log2": _logarithm(2), "log10": _logarithm(10), "len": _len, "size": _size,
}  # fmt: skip
