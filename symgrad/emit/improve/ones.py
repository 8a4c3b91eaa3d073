"""A bias as one more row of its weight, met by a row of ones: no sum forward, and its gradient comes with the weight's.

Where a layer is held with examples beside each other (see `orientation`), its rows are computed into an array that has
one more row, of ones. `W` and `b` lie one behind the other in the vector of all weights, and so do their gradients.
A layer of 64x32 by 32x10 takes 1.2 microseconds less, of 2.9.
"""

from __future__ import annotations

from fractions import Fraction

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values, constant
from symgrad.language import ints

_FLIP = (1, 0)


def bias(graph: Graph, v: Value, uses: dict[Value, list[Value]]) -> tuple[Value, Value, Value] | None:
    """The matrix, weight and bias of `matrix @ weight + bias`, or of its transpose, if weight and bias are neighbours;
    `v` is the product."""
    if v.op != "matmul" or len(v.shape) != 2 or len(uses.get(v, ())) != 1 or v in graph.results.values():
        return None
    (total,) = uses[v]
    if total.op != "ufunc" or total.info != "add" or total.shape != v.shape or total.args[0] is total.args[1]:
        return None
    a, weight = v.args
    row = total.args[total.args[0] is v]
    if weight.op != "input":  # the other way round
        weight = _bare(v.args[0])
        if row.op != "expand" or row.info != (True, False) or v.args[0].op != "transpose":
            return None
        row, matrix = row.args[0], v.args[1]
    else:
        matrix = a.args[0] if a.op == "transpose" else a
    if weight.op != "input" or row.op != "input" or row.shape != weight.shape[1:]:
        return None
    return (matrix, weight, row) if (weight.info, row.info) in graph.behind else None


def _bare(v: Value) -> Value:
    return v.args[0] if v.op == "transpose" and len(v.shape) == 2 else v


def ones(graph: Graph) -> Graph:
    """Join each weight with its bias where the rows that it meets can be computed beside a row of ones."""
    uses = graph.uses()
    products: dict[Value, tuple[Value, Value, Value]] = {}  # by sum
    wide: set[Value] = set()
    for v in graph.order:
        found = bias(graph, v, uses)
        if found and not graph.loops and _fits(graph, v, found[0]):
            products[uses[v][0]] = found
            wide.add(found[0])
    if not products:
        return graph
    gradients = _gradients(graph, wide)

    def padded(table: Values, matrix: Value) -> Value:
        shape = (matrix.shape[0] + 1, matrix.shape[1])
        border = ((ints.ZERO, ints.ONE), (ints.ZERO, ints.ZERO))
        return table.make("pad", (matrix,), (border, Fraction(1)), shape)

    new: dict[Value, Value] = {}

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        new.update(zip(v.args, args, strict=True))
        if v in products:
            matrix, weight, row = (new[x] for x in products[v])
            rows = padded(table, matrix)
            both = table.make("stack", (weight, row), None, (weight.shape[0] + 1, weight.shape[1]))
            if any(a.op == "expand" for a in v.args):  # the transpose, with the bias as a column
                return table.make("matmul", (table.transpose(both, _FLIP), rows), None, v.shape)
            return table.make("matmul", (table.transpose(rows, _FLIP), both), None, v.shape)
        if v in gradients:
            matrix, factor, last = gradients[v]
            rows = padded(table, new[matrix])
            product = table.make("matmul", (rows, new[factor]), None, (rows.shape[0], factor.shape[1]))
            k = matrix.shape[0]
            place = (("at", k), ("all",)) if last else (("slice", ints.ZERO, 1, k, False), ("all",))
            return table.make("index", (product,), place, v.shape)
        return None

    return rebuild(graph, rule)


def _fits(graph: Graph, product: Value, matrix: Value) -> bool:
    """Whether a matrix is held with examples beside each other, and is computed entry by entry, so that it can be
    anywhere."""
    weight_first = product.args[1] is matrix
    return (
        (weight_first or product.args[0].op == "transpose" and product.args[0].args[0] is matrix)
        and matrix.op == "ufunc"
        and matrix.kind == "real"
        and matrix not in graph.results.values()
        and not matrix.once
    )


def _gradients(graph: Graph, wide: set[Value]) -> dict[Value, tuple[Value, Value, bool]]:
    """Gradients of a weight and of its bias: the matrix, the other factor, and whether it is the last row."""
    found: dict[Value, tuple[Value, Value, bool]] = {}
    for first, second in sorted(graph.behind):
        a, b = graph.results.get(first), graph.results.get(second)
        if a is None or b is None or a.op != "matmul" or b.op != "matmul" or a.args[0] not in wide:
            continue
        vectors = [x for x in b.args if len(x.shape) == 1]
        others = [x for x in b.args if len(x.shape) == 2]
        number = constant(vectors[0]) if len(vectors) == len(others) == 1 else None
        if number is None or number.op != "number" or number.info != 1:
            continue
        summed, factor = others[0], a.args[1]
        same = (
            summed is factor
            if b.args[0] is vectors[0]
            else summed is not factor and _bare(summed) is _bare(factor)
        )
        if same and b.shape == a.shape[1:]:
            found[a], found[b] = (a.args[0], factor, False), (a.args[0], factor, True)
    return found
