"""Matrices held with the axis first that is quicker so: each is computed as its transpose where that costs less.

Scores of 64 examples for 10 classes have their largest entry found in 1.2 microseconds where examples lie beside each
other, in 3.7 where classes do; a small product with a transposed right factor takes up to 1.6 times as long as
without (`A @ B.T`), and which factors are transposed depends on how both are held. What goes through operations on
single entries together is held alike.
"""

from __future__ import annotations

from symgrad.emit.graph import Graph, rebuild
from symgrad.emit.improve.ones import bias
from symgrad.emit.values import Value, Values, count
from symgrad.language import ints

_ENTRIES = frozenset({"ufunc", "hide", "where", "real", "stop"})
_ROW = 4  # nanoseconds for each row in which an array is met by a vector
_REDUCED = 45  # and for each row that is reduced to its largest entry
_BIAS = 1000  # what a bias costs that no row of ones takes in, ...
_ENTRY = 0.25  # ... and for each entry of the sum
_STRIDED = 1.0  # for each entry that is read across rows
_PACKED = 0.35  # for each entry of a transposed right factor
_SMALL = 100**3  # multiplications, below which a product copies no factor ...
_ACROSS = 0.8  # ... but reads a transposed right factor so much slower, for each entry,
_BOTH = 0.1  # or so if the left one is transposed too


def orientation(graph: Graph) -> Graph:
    """Decide for each group of matrices how it is held, then compute it so."""
    plan = _Plan(graph)
    turned = plan.chosen()
    if not turned:
        return graph

    def rule(table: Values, v: Value, args: tuple[Value, ...]) -> Value | None:
        if v in turned:
            shape = v.shape[::-1]
            if v.op == "matmul":
                a, b = args
                return _flip(table, table.make("matmul", (_flip(table, b), _flip(table, a)), None, shape))
            inside = tuple(_column(table, a) if a.shape else a for a in args)
            return _flip(table, table.make(v.op, inside, v.info, shape, v.kind))
        a = args[0] if args else v
        if a.op == "transpose" and len(a.shape) == 2 and v.args[0] in turned:
            if v.op == "reduce":
                over = tuple(sorted(1 - k for k in v.info[1]))
                return table.make("reduce", a.args, (v.info[0], over), v.shape, v.kind)
            if v.op == "take":
                return table.make("take", (*a.args, *args[1:]), v.info[::-1], v.shape, v.kind)
        return None

    made = rebuild(graph, rule)
    for v, name in list(made.labels.items()):
        if v.op == "transpose":
            made.labels.setdefault(v.args[0], name)
    return made


def _flip(table: Values, v: Value) -> Value:
    """The transpose of a matrix."""
    if v.op == "expand" and v.info == (True, False):
        return table.make("expand", v.args, (False, True), v.shape[::-1], v.kind)
    return table.transpose(v, (1, 0))


def _column(table: Values, v: Value) -> Value:
    """What meets a matrix, as it meets the transpose."""
    if len(v.shape) == 1:
        return table.expand(v, (True, False))
    if v.op == "expand" and v.info == (True, False):
        return v.args[0]
    return table.transpose(v, (1, 0))


class _Plan:
    """The groups of matrices that are held alike, and what each way costs."""

    def __init__(self, graph: Graph):
        self.graph, self.uses = graph, graph.uses()
        results = set(graph.results.values())
        inside = (
            [graph.loop(v) is not None for v in graph.order] if graph.loops else [False] * len(graph.order)
        )
        self.members = {
            v for v, looped in zip(graph.order, inside, strict=True)
            if len(v.shape) == 2 and not v.once and not v.moving and not looped
            and (v.op in _ENTRIES or v.op == "matmul" and all(len(a.shape) == 2 for a in v.args))
        }  # fmt: skip
        self._parent = {v: v for v in self.members}
        fixed = {
            v for v in self.members if v in results or not all(self._free(v, u) for u in self.uses.get(v, ()))
        }
        for v in self.members:
            for a in v.args:
                if a in self.members and a.shape == v.shape and v.op in _ENTRIES:
                    self._parent[self._find(a)] = self._find(v)
        self.fixed = {self._find(v) for v in fixed}
        self.turned: dict[Value, bool] = {}  # by group
        found = {v: bias(graph, v, self.uses) for v in self.members}
        self.biased = {v for v, parts in found.items() if parts and parts[0].op == "ufunc"}

    def _find(self, v: Value) -> Value:
        while self._parent[v] is not v:
            self._parent[v] = self._parent[self._parent[v]]
            v = self._parent[v]
        return v

    def _free(self, v: Value, user: Value) -> bool:
        """Whether what uses a matrix takes it either way."""
        if user in self.members or user.op == "transpose" and len(user.shape) == 2:
            return not self.graph.loops or self.graph.loop(user) is None
        if user.op == "matmul":
            return True
        if user.op == "reduce":
            return len(user.shape) < 2
        return user.op == "take" and user.args[0] is v and None not in user.info

    def chosen(self) -> set[Value]:
        """The matrices that are computed as their transposes."""
        groups: dict[Value, list[Value]] = {}
        for v in self.graph.order:
            if v in self.members and self._find(v) not in self.fixed:
                groups.setdefault(self._find(v), []).append(v)
        if not groups:
            return set()
        near: dict[Value, list[Value]] = {}
        for group, members in groups.items():
            seen = dict.fromkeys(members)
            for v in members:
                for u in self.uses.get(v, ()):
                    seen[u] = None
                    if u.op == "transpose":
                        seen.update(dict.fromkeys(self.uses.get(u, ())))
            near[group] = list(seen)
        best, lowest = set[Value](), 0.0
        for start in (False, True):
            self.turned = dict.fromkeys(groups, start)
            for _ in range(4):
                changed = False
                for group, affected in near.items():
                    before = sum(map(self._cost, affected))
                    self.turned[group] = not self.turned[group]
                    if sum(map(self._cost, affected)) < before:
                        changed = True
                    else:
                        self.turned[group] = not self.turned[group]
                if not changed:
                    break
            total = sum(map(self._cost, self.graph.order))
            if not start or total < lowest:
                lowest = total
                best = {v for group, members in groups.items() if self.turned[group] for v in members}
        return best

    def _held(self, v: Value) -> bool:
        """Whether a matrix is a transposed view of memory."""
        flipped = False
        while v.op == "transpose" and len(v.shape) == 2:
            v, flipped = v.args[0], not flipped
        return flipped != (v in self.members and self.turned.get(self._find(v), False))

    def _cost(self, v: Value) -> float:
        """What depends on how matrices are held, in nanoseconds."""
        if (
            v.op == "reduce"
            and v.info[0] in ("maximum", "minimum")
            and len(v.args[0].shape) == 2
            and len(v.info[1]) == 1
        ):
            rows = v.info[1] == (1,)
            return (
                _REDUCED * count(v.shape) if rows != self._held(v.args[0]) else 0.2 * count(v.args[0].shape)
            )
        if v not in self.members:
            return 0.0
        turned = self.turned.get(self._find(v), False)
        if v.op == "matmul":
            left, right = self._held(v.args[0]), self._held(v.args[1])
            size = count(v.args[1].shape)
            if turned:
                left, right, size = not right, not left, count(v.args[0].shape)
            cost = 0.0
            if v in self.biased and not self._held(v.args[0]):
                cost += _BIAS + _ENTRY * count(v.shape)
            if right and count((*v.shape, v.args[0].shape[1])) > _SMALL:
                cost += _PACKED * size
            elif right:
                cost += (_BOTH if left else _ACROSS) * size
            return cost
        cost = 0.0
        if any(len(a.shape) > 0 and a.shape != v.shape and count(a.shape) > 1 for a in v.args):
            cost += _ROW * count(v.shape[1:] if turned else v.shape[:1])
        for a in v.args:
            if a.shape == v.shape and ints.ONE not in a.shape and self._held(a) != turned:
                cost += _STRIDED * count(v.shape)
        return cost
