"""An entry less its row's shift, from the rows that are shifted anyway.

`(m + l) - z[i, t]` is `l - (z - m)[i, t]` where `z - m` is computed: the entropy of a softmax takes a sum less, what it
adds is small, and `z` may be overwritten by `z - m`.
"""

from __future__ import annotations

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values


def shifts(graph: Graph) -> Graph:
    """Gather from shifted rows where the shift would be added to what is gathered."""
    uses, results = graph.uses(), set(graph.results.values())
    shifted: dict[tuple[Value, Value], Value] = {}  # by rows and shift
    for v in graph.order:
        if v.op == "ufunc" and v.info == "subtract" and len(v.shape) == 2 and v.shape == v.args[0].shape:
            shift = v.args[1].args[0] if v.args[1].op == "expand" else v.args[1]
            if len(shift.shape) == 1 and v.args[1].op == "expand" and v.args[1].info == (True, False):
                shifted[v.args[0], shift] = v

    def found(v: Value) -> tuple[Value, Value, Value] | None:
        """What is added to the shift, the shifted rows, and the gather."""
        if v.op != "ufunc" or v.info != "subtract" or v.args[1].op != "take" or graph.loops:
            return None
        total, entries = v.args
        if total.op != "ufunc" or total.info != "add" or len(uses[total]) > 1 or len(uses[entries]) > 1:
            return None
        if total in results or entries in results or entries.info != (0, 1) or not _every(entries.args[1]):
            return None
        for shift, rest in (total.args, total.args[::-1]):
            rows = shifted.get((entries.args[0], shift))
            if rows is not None and rest.shape == v.shape and rows.number < v.number:
                return rest, rows, entries
        return None

    new: dict[Value, Value] = {}

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        new.update(zip(v.args, args, strict=True))
        parts = found(v)
        if parts is None:
            return None
        rest, rows, entries = parts
        at = tuple(new[p] for p in entries.args[1:])
        take = table.make("take", (new[rows], *at), entries.info, entries.shape, entries.kind)
        return table.ufunc("subtract", new[rest], take, kind="real")

    return rebuild(graph, rule)


def _every(places: Value) -> bool:
    """Whether positions are 0, 1, 2, ... : those of all rows."""
    return places.op == "arange"
