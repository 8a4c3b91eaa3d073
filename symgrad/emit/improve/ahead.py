"""What a loop computes alike at every step is computed once, before the loop."""

from __future__ import annotations

from symgrad.emit.graph import Graph, Loop, rebuild
from symgrad.emit.values import CHANGED, Value


def ahead(graph: Graph) -> Graph:
    """The values of a loop that no step changes, before the loop: its memory is then theirs until the loop ends."""
    if not graph.loops:
        return graph
    return rebuild(graph, lambda *_: None, {loop: _alike(graph, loop) for loop in graph.loops})


def _alike(graph: Graph, loop: Loop) -> list[Value]:
    inside = [v for v in graph.order if loop.start <= v.number < loop.end]
    changed = {v.root for v in inside if v.op in ("put", "store")}
    varying: set[Value] = set()
    for v in inside:
        if v.moving or v.op in CHANGED or any(a in varying or a.root in changed for a in v.args):
            varying.add(v)
    return [v for v in inside if v not in varying]
