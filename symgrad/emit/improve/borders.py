"""An array in a border as memory of its own whose inside is written: by what computes it, if nothing else reads that.

The border is written once. So an activation goes straight into the middle of the padded image that the next windows are
read from, and what was to be put together from blocks is put together there. Rows before or behind alone are left: they
keep what is inside in one piece.
"""

from __future__ import annotations

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values
from symgrad.language import ints


def borders(graph: Graph) -> Graph:
    """The graph with padded arrays as stores, outside of loops."""
    pads = [v for v in graph.order if v.op == "pad" and graph.loop(v) is None and _around(v)]
    made: dict[Value, Value] = {}

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if not made:  # before all else, so that what goes inside can be computed there
            made.update((p, table.make("border", (), p.info[1], p.shape)) for p in pads)
        if v not in made:
            return None
        sizes = zip(v.info[0], v.args[0].shape, strict=True)
        inside = tuple(("slice", before, 1, n, False) for (before, _), n in sizes)
        return table.make("store", (made[v], args[0]), ("set", inside), v.shape)

    return rebuild(graph, rule) if pads else graph


def _around(v: Value) -> bool:
    return any(n != ints.ZERO for pair in v.info[0][1:] for n in pair)
