"""An operation on single entries of reshaped arrays, as the reshaped result: computed once for all shapes.

`y.reshape(n) - t.reshape(n)` and `y - t` are one array then (the loss of a network with one output and its slope), and
the sum of all entries asks for no shape.
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
        if v.op != "ufunc" or v.once or v.moving:
            return None
        wide = [a for a in args if a.shape]
        if not wide or any(not _shaped(a) or a.shape != v.shape for a in wide):
            return None
        shape = wide[0].args[0].shape
        inside = tuple(a.args[0] if a.shape else a for a in args)
        if any(a.shape != shape for a in inside if a.shape) or joint(shape) != shape:
            return None
        return table.reshape(table.make("ufunc", inside, v.info, shape, v.kind), v.shape)

    return rebuild(graph, rule)


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
