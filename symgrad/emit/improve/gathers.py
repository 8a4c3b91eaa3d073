"""Entries at positions of several axes as entries of one axis, so that they arrive in an array that is there.

`z[i, t]` makes a new array; `z.reshape(-1).take(i*k + t, None, out)` does not, and takes a quarter of the time. What
does not change between steps, `i*k`, is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Value, Values, contiguous
from symgrad.language import ints
from symgrad.language.ints import Int


def gathers(graph: Graph) -> Graph:
    """Each gather by positions of neighbouring axes as one by positions of one axis."""

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v.op != "take" or v.once:
            return None
        base, positions = args[0], args[1:]
        chosen = [k for k, p in enumerate(v.info) if p is not None]
        first, last = chosen[0], chosen[-1] + 1
        if len(chosen) < 2 or last - first != len(chosen) or not contiguous(base):
            return None
        size = ints.product(base.shape[first:last])
        flat = flattened(table, [positions[p] for p in v.info[first:last]], base.shape[first:last])
        base = table.reshape(base, (*base.shape[:first], size, *base.shape[last:]))
        pattern = (*(None,) * first, 0, *(None,) * (len(v.info) - last))
        return table.make("take", (base, flat), pattern, v.shape, v.kind)

    return rebuild(graph, rule)


def flattened(table: Values, positions: Sequence[Value], sizes: Sequence[Int]) -> Value:
    """Positions of axes of these sizes as positions of the one axis that they are in memory."""
    terms = []
    for k, p in enumerate(positions):
        step = ints.product(sizes[k + 1 :])
        terms.append(p if step == ints.ONE else table.ufunc("multiply", p, table.size(step), kind="int"))
    terms.sort(key=lambda t: not t.once)  # what is known beforehand is added beforehand
    total = terms[0]
    for t in terms[1:]:
        total = table.ufunc("add", total, t, kind="int")
    return total
