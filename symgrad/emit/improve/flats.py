"""An operation on single entries of reshaped arrays, as the reshaped result: computed once for all shapes.

`y.reshape(n) - t.reshape(n)` and `y - t` are one array then (the loss of a network with one output and its slope), and
the sum of all entries asks for no shape. A matrix times the one column of another is a column,
and a number that stands for an array of it is a number again.
"""

from __future__ import annotations

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values, joint
from symgrad.language import ints


def flats(graph: Graph) -> Graph:
    """Move reshaping behind operations on single entries, and away from sums of everything."""

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v.op == "reduce" and not v.shape and _shaped(args[0]):
            a = args[0].args[0]
            return table.make("reduce", (a,), (v.info[0], tuple(range(len(a.shape)))), (), v.kind)
        if v.op == "reshape" and args[0].op == "matmul":
            return _column(table, args[0], v)
        if v.op != "ufunc" or v.once or v.moving:
            return None
        bare = tuple(map(_number, args))
        if bare != args and joint(*(a.shape for a in bare)) == v.shape:
            return table.make("ufunc", bare, v.info, v.shape, v.kind)
        wide = [a for a in args if a.shape]
        if not wide or any(not _shaped(a) or a.shape != v.shape for a in wide):
            return None
        shape = wide[0].args[0].shape
        inside = tuple(a.args[0] if a.shape else a for a in args)
        if any(a.shape != shape for a in inside if a.shape) or joint(shape) != shape:
            return None
        return table.reshape(table.make("ufunc", inside, v.info, shape, v.kind), v.shape)

    return rebuild(graph, rule)


def _number(v: Value) -> Value:
    """The number that an array has everywhere, or the array."""
    inside = v
    while inside.op in ("expand", "broadcast"):
        inside = inside.args[0]
    return v if inside.shape else inside


def _column(table: Values, product: Value, v: Value) -> Value | None:
    """A matrix times the only column of another, or the only row times a matrix, as the product of the two."""
    a, b = product.args
    left, right = (x.args[0] if _shaped(x) and len(x.shape) == 1 else x for x in (a, b))
    found = len(left.shape) == len(right.shape) == len(v.shape) == 2 and len(product.shape) == 1
    if not found or (left.shape[0], right.shape[1]) != v.shape or left.shape[1] != right.shape[0]:
        return None
    return table.make("matmul", (left, right), None, v.shape)


def _shaped(v: Value) -> bool:
    """Whether a value is all of another one in another shape."""
    return (
        v.op == "reshape"
        or v.op == "index"
        and all(
            item == ("all",) or item == ("at", ints.ZERO) and n == ints.ONE
            for item, n in zip(v.info, v.args[0].shape, strict=True)
        )
    )
