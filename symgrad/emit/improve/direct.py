"""Results computed where they belong: into a part of an array, or with their axes in another order, without a copy.

- An array that starts at zero and to which every part is added once is written part by part.
- What is only copied, turned or not, into an array or a part of one is computed there: matrix products take any
  stride between the rows of their result, and elementwise operations any strides at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.values import Shape, Value, Values, splits
from symgrad.language import ints

Parts = tuple[Any, ...]  # views of the target, one of the other: ("index", places), ("reshape", shape), ...


def direct(graph: Graph) -> Graph:
    """Parts instead of sums onto zero, then results straight into their places."""
    return _into(_parted(graph))


def _parted(graph: Graph) -> Graph:
    uses, results = graph.uses(), set(graph.results.values())
    blank: set[Value] = set()
    parts: set[Value] = set()
    for v in graph.order:
        if v.op != "fill" or str(v.info) != "0":
            continue
        stores, last = [], v
        while len(uses.get(last, ())) == 1 and (last is v or last not in results):
            (user,) = uses[last]
            if user.op != "store" or user.args[0] is not last or user.info[0] != "add":
                break
            stores.append(user)
            last = user
            if _cover([s.info[1] for s in stores], v.shape):
                blank.add(v)
                parts.update(stores)
                break
    if not blank:
        return graph

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v in blank:
            return table.make("fill", (), None, v.shape)
        if v in parts:
            return table.make("store", args, ("set", v.info[1]), v.shape)
        return None

    return rebuild(graph, rule)


def _cover(places: list[Parts], shape: Shape) -> bool:
    """Whether basic indices are parts of one axis, none of an entry twice, that leave nothing out."""
    axes = {k for where in places for k, item in enumerate(where) if item[0] != "all"}
    if len(axes) != 1:
        return False
    (axis,) = axes
    left = [where[axis] for where in places]
    if any(item[0] != "slice" or item[2] != 1 or item[4] for item in left):
        return False
    at = ints.ZERO
    while left:
        item = next((i for i in left if i[1] == at), None)
        if item is None:
            return False
        left.remove(item)
        at = at + item[3]
    return at == shape[axis]


@dataclass
class _Chain:
    """A value that nothing but views and copies lead from to where it is copied; the views of that place for it."""

    core: Value
    links: int
    parts: Parts


def _into(graph: Graph) -> Graph:
    uses, results = graph.uses(), set(graph.results.values())
    changes: dict[Value, int] = {}  # by memory, the last change
    for v in graph.order:
        if v.op in ("put", "store"):
            changes[v.root] = v.number

    def chain(v: Value, user: Value) -> _Chain | None:
        """The chain that ends in `v`, which only `user` reads."""
        links, parts = 0, list[tuple[str, Any]]()
        while True:
            if len(uses[v]) > 1 or v in results or v.moving or v.once or graph.loop(v):
                return None
            if v.op == "reshape" and splits(v.shape, v.args[0].shape):
                parts.append(("reshape", v.args[0].shape))
            elif v.op == "transpose":
                parts.append(("transpose", tuple(v.info.index(k) for k in range(len(v.info)))))
            elif v.op != "copy":
                break
            v, links = v.args[0], links + 1
        stack = v.op == "matmul" and min(len(a.shape) for a in v.args) > 2
        rows = all(what[-1] == len(what) - 1 for how, what in parts if how == "transpose")
        if not (stack and rows or v.op == "ufunc" and v.kind == "real" and v.shape):
            return None
        if any(changes.get(a.root, -1) > v.number for a in v.args) or graph.loop(user):
            return None
        return _Chain(v, links, tuple(parts))

    found: dict[Value, _Chain] = {}
    taken: set[Value] = set()
    for v in reversed(graph.order):  # the outermost of several places first
        one = None
        if v.op == "store" and v.info[0] == "set" and _part(v.info[1], v.args[0].shape) == v.args[1].shape:
            one = chain(v.args[1], v)
            if one and any(a.root is v.root for a in one.core.args):
                one = None
            if one and any(item[0] != "all" for item in v.info[1]):
                one.parts = (("index", v.info[1]), *one.parts)
        elif v.op == "copy" and not v.once and v not in results:
            one = chain(v.args[0], v)
        elif v.op == "transpose" and v.args[0].op == "matmul" and v not in results:
            one = chain(v.args[0], v)
            if one:
                one.parts = (("transpose", tuple(v.info.index(k) for k in range(len(v.info)))),)
                one = one if v.info[-1] == len(v.info) - 1 else None
        if one and one.core not in taken:
            found[v] = one
            taken.add(one.core)
    if not found:
        return graph

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v not in found:
            return None
        one = found[v]
        core = args[-1]
        for _ in range(one.links):
            core = core.args[0]
        target = args[0] if v.op == "store" else table.make("fill", (), None, v.shape)
        return table.make(
            "store", (target, *core.args), ("into", one.core.op, one.core.info, one.parts), v.shape
        )

    return rebuild(graph, rule)


def _part(where: Parts, shape: Shape) -> Shape:
    """The shape of a part of an array."""
    return tuple(i[3] if i[0] == "slice" else n for i, n in zip(where, shape, strict=True) if i[0] != "at")
