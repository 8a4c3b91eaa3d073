"""A transpose behind an operation on single entries instead of before it, where it meets another and falls away."""

from __future__ import annotations

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values


def turns(graph: Graph) -> Graph:
    """`c*A.T` as `(c*A).T`; all arrays with axes must be turned alike. What is reshaped stays in memory order."""
    if not any(map(_meets, graph.order)):
        return graph
    uses = graph.uses()

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v.op == "transpose":
            return table.transpose(args[0], v.info)
        if v.op == "copy" and args[0].op not in (
            "broadcast",
            "transpose",
            "expand",
            "index",
            "window",
            "diagonal",
        ):
            return args[0] if args[0].op in ("ufunc", "matmul") else None
        if v.op != "ufunc" or v.moving or not any(v.args[k].shape for k in range(len(args))):
            return None
        if any(u.op == "reshape" for u in uses.get(v, ())):
            return None
        wide = [a for a in args if a.shape]
        if any(a.op != "transpose" or a.info != wide[0].info for a in wide):
            return None
        order = wide[0].info
        inside = tuple(a.args[0] if a.shape else a for a in args)
        back = tuple(order.index(k) for k in range(len(order)))
        shape = tuple(v.shape[k] for k in back)
        return table.transpose(table.make("ufunc", inside, v.info, shape, v.kind), order)

    return rebuild(graph, rule)


def _meets(v: Value) -> bool:
    """Whether there may be something to do at a value."""
    inside = [a.op for a in v.args]
    if v.op in ("ufunc", "transpose"):
        return "transpose" in inside
    return v.op == "copy" and inside[0] in ("ufunc", "matmul")
