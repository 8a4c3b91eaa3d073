"""Arrays put together and taken apart, by NumPy's names: joined, split, under other sizes, repeated, padded."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.arguments import Args, Keywords, axis_number, letters_of, no_more, takes
from symgrad.language.expr import Bracket, Cmp, Expr
from symgrad.language.ints import Int, product
from symgrad.language.program import Tensor
from symgrad.language.syntax import words
from symgrad.language.values import Array, Positions, elementwise, shown, widened

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas

SPLITS = ("split", "chunk")


def _concatenate(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """Arrays after one another along an axis: a tensor with a writer for each."""
    if not 1 <= len(args) <= 2:
        raise Refusal("concatenate takes the arrays in brackets: concatenate([a, b], axis=1)")
    nodes = _listed(args[0], "concatenate([a, b], axis=1)")
    axis_node = keywords.pop("axis", keywords.pop("dim", args[1] if len(args) == 2 else None))
    no_more("concatenate", keywords)
    arrays = [f.array(n) for n in nodes]
    rank = arrays[0].rank
    axis = f.whole(axis_node, "an axis").number if axis_node is not None else 0
    if rank == 0 or axis is None or not -rank <= axis < rank:
        raise Refusal(f"{words(nodes[0])} is {shown(arrays[0].shape)} and has no such axis to join along")
    return _after(f, arrays, nodes, axis % rank)


def _after(f: Formulas, arrays: Sequence[Array], nodes: Sequence[ast.expr], axis: int) -> Array:
    """Arrays after one another, whose other sizes must agree."""
    first = arrays[0]
    if any(a.rank != first.rank for a in arrays):
        raise Refusal(
            f"concatenate takes arrays with the same axes, not {', '.join(shown(a.shape) for a in arrays)}"
        )
    for a, n in zip(arrays, nodes, strict=True):
        if any(a.shape[d] != first.shape[d] for d in range(first.rank) if d != axis):
            raise Refusal(
                f"{words(nodes[0])} is {shown(first.shape)} and {words(n)} is {shown(a.shape)}: all sizes but "
                f"that of axis {axis} must agree"
            )
    return _joined(f, arrays, axis)


def _joined(f: Formulas, arrays: Sequence[Array], axis: int) -> Array:
    """A tensor with a writer for each array, at rising offsets along the axis."""
    b = f.builder
    ends = [sum((a.shape[axis] for a in arrays[:k]), ints.ZERO) for k in range(len(arrays) + 1)]
    shape = tuple(ends[-1] if d == axis else n for d, n in enumerate(arrays[0].shape))
    found = []
    for a, start in zip(arrays, ends, strict=False):
        own = [b.ranges.new(x, n) for x, n in zip(letters_of(a), a.shape, strict=True)]
        at = tuple(map(ints.axis, own))
        left = tuple(i + start if d == axis else i for d, i in enumerate(at))
        found.append((own, left, a.at(at)))
        if b.outer(found[-1][2], None, own):
            raise Refusal("concatenate stands in a line of its own, outside an equation with indices")
    name = b.part_name()
    letters = tuple("" if d == axis else x for d, x in enumerate(letters_of(arrays[0])))
    b.declare(Tensor(name, shape, named=False, label=b.label), letters)
    for own, left, body in found:
        b.write(b.statement(name, left, "=", body, None, own, []))
    return b.array(name)


def _flatten(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """The axes from `start` on (1: all but the examples) as one, the last of them running fastest."""
    takes("flatten", args, 1)
    start = keywords.pop("start", keywords.pop("start_dim", None))
    no_more("flatten", keywords)
    a = f.array(args[0])
    first = f.whole(start, "an axis").number if start is not None else 1
    if first is None or not 0 <= first < max(a.rank, 1):
        raise Refusal(f"{words(args[0])} is {shown(a.shape)} and has no axis {first} to flatten from")
    return _merged(f, a, [[k] for k in range(first)] + [list(range(first, a.rank))], "flatten")


def _merged(f: Formulas, a: Array, groups: Sequence[Sequence[int]], name: str) -> Array:
    """Each group of neighbouring axes as one, the last of them running fastest: one statement, if there is a group."""
    if all(len(g) == 1 for g in groups):
        return a
    b = f.builder
    own = [b.ranges.new(x, n) for x, n in zip(letters_of(a), a.shape, strict=True)]
    at = tuple(map(ints.axis, own))
    body = a.at(at)
    if b.outer(body, None, own):
        raise Refusal(f"{name} stands in a line of its own, outside an equation with indices")
    left = tuple(_mixed([at[k] for k in g], [a.shape[k] for k in g]) for g in groups)
    shape = tuple(product(a.shape[k] for k in g) for g in groups)
    letters = tuple(letters_of(a)[g[0]] if len(g) == 1 else "" for g in groups)
    made = b.part_name()
    b.declare(Tensor(made, shape, named=False, label=b.label or name), letters)
    b.write(b.statement(made, left, "=", body, None, own, []))
    return b.array(made)


def _mixed(positions: Sequence[Int], sizes: Sequence[Int]) -> Int:
    """The place of an entry among all, the last position running fastest."""
    place = ints.ZERO
    for i, n in zip(positions, sizes, strict=True):
        place = place * n + i
    return place


def _reshape(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`reshape(x, n, -1)`: the same entries in the same order under other sizes."""
    no_more("reshape", keywords)
    a, nodes = f.array(args[0]), args[1:]
    if len(nodes) == 1 and isinstance(nodes[0], (ast.Tuple, ast.List)):
        nodes = nodes[0].elts
    shape: list[Int | None] = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr == "shape":
            shape.extend(f.array(node.value).shape)
        elif isinstance(node, ast.UnaryOp) and f.whole(node).number == -1:
            shape.append(None)
        else:
            shape.append(f.whole(node))
    if not shape or shape.count(None) > 1:
        raise Refusal("reshape takes the new sizes, of which one may be -1: reshape(x, n, -1)")
    wanted = [n if n is not None else _left_over(a.shape, [m for m in shape if m is not None]) for n in shape]
    pairs = _same_products(list(a.shape), wanted)
    if pairs is None:
        raise Refusal(
            f"{words(args[0])} is {shown(a.shape)}, and nothing shows that {shown(wanted)} has as many entries; "
            "write the equation with indices, `y[n, 3*g + f] = x[n, g, f], f < 3`"
        )
    sources = [g for g, _ in pairs]
    merged = _merged(f, a, sources, "reshape")
    targets = [g for _, g in pairs]
    letters = [letters_of(merged)[k] if len(g) == 1 else "" for k, g in enumerate(targets) for _ in g]

    def entry(p: Positions) -> Positions:
        return tuple(_mixed([p[k] for k in g], [wanted[k] for k in g]) for g in targets)

    return Array(tuple(wanted), lambda p: merged.at(entry(p)), tuple(letters))


def _ravel(f: Formulas, args: Args, keywords: Keywords) -> Array:
    takes("ravel", args, 1)
    no_more("ravel", keywords)
    a = f.array(args[0])
    return _merged(f, a, [list(range(a.rank))], "ravel") if a.rank > 1 else a


def _size_factors(sizes: Iterable[Int]) -> tuple[int, list[Int]]:
    """A product of sizes as a number and what else is multiplied."""
    number, others = 1, list[Int]()
    for n in sizes:
        if len(n.terms) == 1:
            ((monomial, c),) = n.terms
            number *= c
            others.extend(ints.of(x) for x in monomial)
        else:
            others.append(n)
    return number, others


def _divided(top: Iterable[Int], bottom: Iterable[Int]) -> Int | None:
    """The quotient of two products of sizes, where the factors show it."""
    (number, others), (by, parts) = _size_factors(top), _size_factors(bottom)
    for x in parts:
        if x not in others:
            return None
        others.remove(x)
    return product(others) * (number // by) if number % by == 0 else None


def _left_over(sizes: Sequence[Int], known: Sequence[Int]) -> Int:
    found = _divided(sizes, known)
    if found is None:
        said = f"nothing shows how often {product(known)} goes into the entries of {shown(sizes)}"
        raise Refusal(f"{said}; write the size instead of -1")
    return found


def _same_products(a: Sequence[Int], b: Sequence[Int]) -> list[tuple[list[int], list[int]]] | None:
    """Neighbouring axes of two shapes in groups with equal products, the smallest there are."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(a) or j < len(b):
        start, end = i, j
        i, j = min(i + 1, len(a)), min(j + 1, len(b))
        while product(a[start:i]) != product(b[end:j]):
            # the product that goes into the other one is behind; of two that tell nothing both take one more
            goes, takes_in = _divided(b[end:j], a[start:i]), _divided(a[start:i], b[end:j])
            more_of_a = i < len(a) and (goes is not None or takes_in is None)
            more_of_b = j < len(b) and (takes_in is not None or goes is None)
            if not more_of_a and not more_of_b:
                return None
            i, j = i + more_of_a, j + more_of_b
        # axes of one entry at the end belong to the group before them
        while i < len(a) and a[i] == ints.ONE and (j == len(b) or b[j] != ints.ONE):
            i += 1
        while j < len(b) and b[j] == ints.ONE and (i == len(a) or a[i] != ints.ONE):
            j += 1
        if start == i or end == j:
            return None
        groups.append((list(range(start, i)), list(range(end, j))))
    return groups


def _stacked(axis: int, least: int) -> Callable[[Formulas, Args, Keywords], Array]:
    """`hstack`, `vstack`: arrays after one another; vectors are first made rows where `least` is 2."""

    def stacked(f: Formulas, args: Args, keywords: Keywords) -> Array:
        takes("hstack", args, 1)
        no_more("hstack", keywords)
        nodes = _listed(args[0], "hstack([a, b])")
        arrays = [f.array(n) for n in nodes]
        rows = [widened(a, range(least - a.rank)) if a.rank < least else a for a in arrays]
        return _after(f, rows, nodes, min(axis, rows[0].rank - 1))

    return stacked


def _stack(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`stack([a, b], axis=0)`: arrays of one shape along a new axis."""
    axis_node = keywords.pop("axis", keywords.pop("dim", args[1] if len(args) == 2 else None))
    no_more("stack", keywords)
    takes("stack", args, 1, 2)
    nodes = _listed(args[0], "stack([a, b], axis=0)")
    arrays = [f.array(n) for n in nodes]
    axis = axis_number(f, axis_node, arrays[0].rank + 1, nodes[0]) if axis_node is not None else 0
    return _after(f, [widened(a, [axis]) for a in arrays], nodes, axis)


def _listed(node: ast.expr, form: str) -> list[ast.expr]:
    nodes = node.elts if isinstance(node, (ast.Tuple, ast.List)) else []
    if not nodes:
        raise Refusal(f"the arrays stand in brackets: {form}")
    return nodes


def _squeeze(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """An array without an axis of one entry (or without all of them)."""
    axis_node = keywords.pop("axis", keywords.pop("dim", args[1] if len(args) == 2 else None))
    no_more("squeeze", keywords)
    takes("squeeze", args, 1, 2)
    a = f.array(args[0])
    gone = [d for d, n in enumerate(a.shape) if n == ints.ONE]
    if axis_node is not None:
        axis = axis_number(f, axis_node, a.rank, args[0])
        if axis not in gone:
            raise Refusal(f"{words(args[0])} is {shown(a.shape)}: axis {axis} has not one entry")
        gone = [axis]
    kept = [d for d in range(a.rank) if d not in gone]

    def entry(p: Positions) -> Positions:
        left = iter(p)
        return tuple(ints.ZERO if d in gone else next(left) for d in range(a.rank))

    return Array(
        tuple(a.shape[d] for d in kept), lambda p: a.at(entry(p)), tuple(letters_of(a)[d] for d in kept)
    )


def _expand_dims(f: Formulas, args: Args, keywords: Keywords) -> Array:
    axis_node = keywords.pop("axis", keywords.pop("dim", args[1] if len(args) == 2 else None))
    no_more("expand_dims", keywords)
    if not args or axis_node is None:
        raise Refusal("say where the new axis stands: expand_dims(x, axis=0)")
    a = f.array(args[0])
    return widened(a, [axis_number(f, axis_node, a.rank + 1, args[0])])


def split(f: Formulas, args: Args, keywords: Keywords) -> tuple[Array, ...]:
    """`split(x, 3, axis=1)`: parts of one size along an axis; they are read by number, or unpacked."""
    axis_node = keywords.pop("axis", keywords.pop("dim", args[2] if len(args) == 3 else None))
    no_more("split", keywords)
    takes("split", args, 2, 3)
    a, count = f.array(args[0]), f.whole(args[1], "a number of parts").number
    axis = axis_number(f, axis_node, a.rank, args[0]) if axis_node is not None else 0
    if count is None or count < 1 or not a.rank:
        raise Refusal(f"split takes an array and a number of parts, split({words(args[0])}, 2, axis=0)")
    size = a.shape[axis] // count
    if size * count != a.shape[axis]:
        f.builder.needs[
            a.shape[axis] % count * -1, f"{a.shape[axis]} entries do not split into {count} parts"
        ] = None
    return tuple(_part(a, axis, size * k, size) for k in range(count))


def _part(a: Array, axis: int, start: Int, size: Int) -> Array:
    """`size` entries along an axis, from `start`."""
    shape = tuple(size if d == axis else n for d, n in enumerate(a.shape))
    letters = tuple("" if d == axis else x for d, x in enumerate(letters_of(a)))
    return Array(
        shape, lambda p: a.at(tuple(i + start if d == axis else i for d, i in enumerate(p))), letters
    )


def _flip(f: Formulas, args: Args, keywords: Keywords) -> Array:
    axis_node = keywords.pop("axis", keywords.pop("dim", args[1] if len(args) == 2 else None))
    no_more("flip", keywords)
    takes("flip", args, 1, 2)
    a = f.array(args[0])
    turned = range(a.rank) if axis_node is None else [axis_number(f, axis_node, a.rank, args[0])]
    return Array(
        a.shape,
        lambda p: a.at(tuple(a.shape[d] - 1 - i if d in turned else i for d, i in enumerate(p))),
        letters_of(a),
    )


def _diff(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`diff(x)`: each entry less the one before it, along an axis."""
    axis_node = keywords.pop("axis", keywords.pop("dim", None))
    no_more("diff", keywords)
    takes("diff", args, 1)
    a = f.array(args[0])
    axis = axis_number(f, axis_node, a.rank, args[0]) if axis_node is not None else a.rank - 1
    if not a.rank or ints.nonnegative(a.shape[axis] - 2) is False:
        raise Refusal(f"{words(args[0])} is {shown(a.shape)}: there is nothing to take the difference of")
    size = a.shape[axis] - 1
    if ints.nonnegative(size - 1) is None:
        f.builder.needs[size - 1, f"diff({words(args[0])}) needs two entries"] = None
    return elementwise(lambda x, y: x - y, _part(a, axis, ints.ONE, size), _part(a, axis, ints.ZERO, size))


def _axis_option(f: Formulas, args: Args, keywords: Keywords, place: int, a: Array, name: str) -> int:
    """The axis that an option or a further argument names; the only one of a vector."""
    node = keywords.pop("axis", keywords.pop("dim", args[place] if len(args) > place else None))
    no_more(name, keywords)
    if node is None and a.rank != 1:
        raise Refusal(f"say along which axis: {name}({', '.join(map(words, args[:place]))}, axis=0)")
    return axis_number(f, node, a.rank, args[0]) if node is not None else 0


def _along(a: Array, axis: int, size: Int, place: Callable[[Int], Int]) -> Array:
    """The array read at other places along an axis."""
    shape = tuple(size if d == axis else n for d, n in enumerate(a.shape))
    letters = tuple(x if d != axis or size == a.shape[d] else "" for d, x in enumerate(letters_of(a)))
    return Array(shape, lambda p: a.at(tuple(place(i) if d == axis else i for d, i in enumerate(p))), letters)


def _roll(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`roll(x, 1)`: each entry moved on, the last ones to the front."""
    takes("roll", args, 2, 3)
    a, shift = f.array(args[0]), f.whole(args[1], "a shift")
    axis = _axis_option(f, args, keywords, 2, a, "roll")
    size = a.shape[axis]
    return _along(a, axis, size, lambda i: (i + size - shift) % size)


def _cumsum(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`cumsum(x)`: the sums of all entries up to each one."""
    takes("cumsum", args, 1, 2)
    a = f.array(args[0])
    axis = _axis_option(f, args, keywords, 1, a, "cumsum")
    over = f.builder.ranges.new(letters_of(a)[axis], a.shape[axis])
    k = ints.axis(over)

    def body(p: Positions) -> tuple[Expr, Cmp]:
        return a.at((*p[:axis], k, *p[axis + 1 :])), Cmp("<=", ex.val(k), ex.val(p[axis]))

    return f.builder.pending("+=", a.shape, body, [over], letters_of(a))


def _repeat(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`repeat(x, 2)`: each entry so many times."""
    takes("repeat", args, 2, 3)
    a, times = f.array(args[0]), f.whole(args[1], "a number of times")
    axis = _axis_option(f, args, keywords, 2, a, "repeat")
    return _along(a, axis, a.shape[axis] * times, lambda i: i // times)


def _tile(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`tile(x, 2)`: the whole so many times along its last axis, `tile(x, (2, 3))` along each."""
    takes("tile", args, 2)
    no_more("tile", keywords)
    a = f.array(args[0])
    nodes = list(args[1].elts) if isinstance(args[1], (ast.Tuple, ast.List)) else [args[1]]
    times = [f.whole(n, "a number of times") for n in nodes]
    a = widened(a, range(len(times) - a.rank)) if a.rank < len(times) else a
    for axis, k in zip(range(a.rank - len(times), a.rank), times, strict=True):
        size = a.shape[axis]
        if k != ints.ONE:
            a = _along(a, axis, size * k, lambda i, n=size: i % n)  # type: ignore[misc]
    return a


def _pad(f: Formulas, args: Args, keywords: Keywords) -> Array:
    """`pad(x, 1)`, `pad(x, (1, 2))`, `pad(x, ((0, 0), (1, 1)))`: zeros before and after, as NumPy reads the numbers."""
    for name, wanted in (("mode", "constant"), ("constant_values", 0)):
        node = keywords.pop(name, None)
        if node is not None and not (isinstance(node, ast.Constant) and node.value == wanted):
            raise Refusal(f"pad puts zeros around; {name}={words(node)} is not part of the language")
    no_more("pad", keywords)
    takes("pad", args, 2, 3)
    if len(args) == 3 and not (isinstance(args[2], ast.Constant) and args[2].value == "constant"):
        raise Refusal(f"pad puts zeros around; {words(args[2])} is not part of the language")
    a = f.array(args[0])
    rows = args[1].elts if isinstance(args[1], (ast.Tuple, ast.List)) else [args[1]]
    widths = [_widths(f, n) for n in rows]
    if not isinstance(rows[0], (ast.Tuple, ast.List)):
        (first, *rest) = [w[0] for w in widths]
        widths = [(first, rest[0] if rest else first)] * a.rank
    if len(widths) != a.rank:
        raise Refusal(f"{words(args[0])} is {shown(a.shape)}, and {len(widths)} pairs of widths are given")
    shape = tuple(n + before + after for n, (before, after) in zip(a.shape, widths, strict=True))

    def entry(p: Positions) -> Expr:
        at = tuple(i - before for i, (before, _) in zip(p, widths, strict=True))
        inside = [
            Bracket(Cmp(op, ex.val(i), ex.val(end)))
            for i, n, (before, after) in zip(at, a.shape, widths, strict=True)
            for op, end, needed in ((">=", ints.ZERO, before), ("<", n, after))
            if needed != ints.ZERO
        ]
        return ex.mul(*inside, a.at(at))

    letters = tuple(
        x if pair == (ints.ZERO, ints.ZERO) else "" for x, pair in zip(letters_of(a), widths, strict=True)
    )
    return Array(shape, entry, letters)


def _widths(f: Formulas, node: ast.expr) -> tuple[Int, Int]:
    nodes = node.elts if isinstance(node, (ast.Tuple, ast.List)) else [node]
    before, after = f.whole(nodes[0], "a width"), f.whole(nodes[-1], "a width")
    return before, after


FUNCTIONS: dict[str, Callable[[Formulas, Args, Keywords], Array]] = {
    "concatenate": _concatenate, "cat": _concatenate, "concat": _concatenate,
    "hstack": _stacked(1, 1), "vstack": _stacked(0, 2), "stack": _stack,
    "flatten": _flatten, "reshape": _reshape, "view": _reshape, "ravel": _ravel,
    "squeeze": _squeeze, "expand_dims": _expand_dims, "unsqueeze": _expand_dims, "flip": _flip, "diff": _diff,
    "cumsum": _cumsum, "roll": _roll, "repeat": _repeat, "tile": _tile, "pad": _pad,
}  # fmt: skip
