"""What would read far apart at every step, in two stages that do not: transposes, and sums over axes apart.

With the first axis of `[n, t, m]` to become the last, each entry read in turn is in another line of memory, often in
the same few places of the cache. `[t, n, m]` first, in runs of m, then its last two axes exchanged, block by block:
32x32x64 numbers take 32 microseconds instead of 130. A sum over the first and the last axis adds rows first.
"""

from __future__ import annotations

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values, contiguous

_USERS = ("ufunc", "copy", "store", "hide")


def stages(graph: Graph) -> Graph:
    """Replace transposes that operations on single entries, copies and stores read."""
    uses, results = graph.uses(), set(graph.results.values())

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v.op == "reduce" and not v.once and v.info[0] == "add" and contiguous(args[0]):
            over, rank = v.info[1], len(args[0].shape)
            if len(over) > 1 and rank - 1 in over and over[0] == 0 and len(over) < rank:
                rows = table.make("reduce", args, ("add", (0,)), args[0].shape[1:])
                return table.make("reduce", (rows,), ("add", tuple(k - 1 for k in over[1:])), v.shape)
        users = uses.get(v, [])
        if v.op != "transpose" or len(v.info) < 3 or v.moving or v.once or v in results:
            return None
        if not contiguous(args[0]) or any(u.op not in _USERS or u.moving for u in users):
            return None
        last, fast = v.info[-1], len(v.info) - 1
        if last >= fast - 1 or args[0].kind != "real" or graph.loop(v):
            return None
        first = (*(k for k in v.info[:-1] if k != fast), last, fast)
        runs = table.transpose(args[0], first)
        staged = table.make("copy", (runs,), None, runs.shape)
        turned = table.transpose(staged, tuple(first.index(k) for k in v.info))
        if all(u.op in ("copy", "store") for u in users):
            return turned
        return table.make("copy", (turned,), None, turned.shape)

    return rebuild(graph, rule)
