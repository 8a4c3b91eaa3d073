"""Products of arrays by NumPy's names, and the parts of a matrix."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.arguments import Args, Keywords, letters_of, no_more, takes
from symgrad.language.expr import Expr
from symgrad.language.ints import Int
from symgrad.language.made import compared
from symgrad.language.syntax import grouped, words
from symgrad.language.values import (
    Array,
    Positions,
    aligned,
    elementwise,
    permuted,
    shown,
)

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas


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
            lambda p: ex.mul(compared("==", p[0], p[1]), a.at(p[:1])),
            (*letters_of(a), ""),
        )
    _square("diag", a)
    return Array(a.shape[:1], lambda p: a.at((p[0], p[0])), letters_of(a)[:1])


def _triangle(op: str) -> Callable[[Formulas, Args, Keywords], Array]:
    def triangle(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes("tril" if op == "<=" else "triu", args, 1, 2)
        a = f.array(args[0])
        offset = keywords.pop("k", args[1] if len(args) == 2 else None)
        no_more("tril", keywords)
        k = f.whole(offset, "a diagonal") if offset is not None else ints.ZERO
        if a.rank < 2:
            raise Refusal(f"a triangle is taken of a matrix, not of {shown(a.shape)}")
        return Array(a.shape, lambda p: ex.mul(compared(op, p[-1], p[-2] + k), a.at(p)), letters_of(a))

    return triangle


FUNCTIONS: dict[str, Callable[[Formulas, Args, Keywords], Array]] = {
    "dot": _dot, "matmul": _matmul, "mm": _matmul, "bmm": _matmul, "inner": _inner, "vdot": _vdot,
    "tensordot": _tensordot, "outer": _outer, "einsum": _einsum, "kron": _kron,
    "trace": _trace, "tr": _trace, "diag": _diag, "tril": _triangle("<="), "triu": _triangle(">="),
}  # fmt: skip
