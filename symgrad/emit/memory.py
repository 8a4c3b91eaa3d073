"""Where each value of a plan lies: in a buffer, in one whose value is dead, in a part of another array."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from symgrad.emit.graph import Graph, Loop
from symgrad.emit.names import Names
from symgrad.emit.plan import Plan, text_number
from symgrad.emit.text import Text
from symgrad.emit.values import CHANGED, VIEWS, Value, runs, splits
from symgrad.language import ints
from symgrad.language.ints import Int

_IN_PLACE = frozenset({"ufunc", "hide"})  # entry by entry: the result may lie where an argument lies
_KINDS = {
    "transpose": "turned", "reshape": "reshaped", "expand": "spread", "broadcast": "spread",
    "index": "part", "window": "windows", "diagonal": "diagonal",
}  # fmt: skip
DTYPES = {"real": "dtype", "int": "np.intp", "bool": "bool"}


@dataclass(eq=False)
class Writing:
    """A loop being written.

    Attributes:
        views: views of each step, with their names.
    """

    loop: Loop
    views: list[tuple[str, str]] = field(default_factory=list)


class Memory:
    """The memory of one plan.

    Args:
        names: the names of tensors and sizes.
        into: for tensors that are to end in an array in scope, that array's name.
        behind: pairs of tensors, given or in `into`, of which the second lies right behind the first in memory.
    """

    def __init__(self, names: Names, into: Mapping[str, str], behind: Iterable[tuple[str, str]] = ()):
        self.names, self.text, self.into, self.behind = names, Text(names), dict(into), frozenset(behind)
        self.plan = Plan()
        self.loop: Writing | None = None
        self.free: dict[tuple[Int, str], list[str]] = {}
        self.memory: dict[Value, str] = {}  # the flat buffer of each value that has one of the pool
        self.shapes: dict[str, tuple[Int, ...]] = {}
        self.unread: set[Value] = set()  # views that no line reads
        self.parts: dict[Value, str] = {}  # of the values that lie in a part of an array, that part
        self.unnamed: dict[str, str] = {}  # a further name of a tensor's buffer, for what is no tensor
        self.nameless: set[str] = set()  # buffers made for no tensor
        self.named: set[str] = set()  # tensors whose name is given away
        self.made: list[tuple[tuple[Int, ...], str]] = []  # buffers that no value is said to have taken yet

    def settle(self, graph: Graph, order: list[Value]) -> None:
        """Decide for how long each value is needed, and which are computed straight into memory of another."""
        self.results, self.labels, self.end = graph.results, graph.labels, len(graph.table.all)
        loops = list(graph.loops)
        self.last = self._last_uses(order, self.results, loops)
        self.uses: dict[Value, int] = {}
        for v in order:
            for a in v.args:
                self.uses[a] = self.uses.get(a, 0) + 1
        self.joined: set[str] = set()  # results that are computed with others
        self.targets = self._targets(self.results)
        self.pinned = {v.root for v in self.results.values()} | {v for v in order if v.op == "input"}
        self.direct = self._direct(order, loops)
        self.bordered = self._bordered(order, loops)

    def _spelled(self, v: Value) -> str:
        """The text of a value in which views of a step are written out: they are made together, before the loop."""
        bound = self.text.bound
        hidden: dict[Value, str] = {}
        x = v
        while x.op in VIEWS and (x.moving or x not in bound):
            if x in bound:
                hidden[x] = bound.pop(x)
            if x is not v and not x.shape:
                break
            x = x.args[0]
        once = x not in bound
        if x.op in VIEWS and once:
            bound[x] = self._entry(self._spelled(x))
        elif x in self.parts and x.moving:
            hidden[x] = bound[x]
            bound[x] = self.parts[x]
        text = self.text(v)
        if once:
            bound.pop(x, None)
        bound.update(hidden)
        return text

    def _entry(self, text: str) -> str:
        """A view without axes, where NumPy would give the number of this moment."""
        return f"{text[:-1]}, ...]"

    def _view(self, name: str, text: str, moving: bool) -> None:
        """A view of memory that stays where it is: made once, or once for each step of the loop."""
        if moving:
            assert self.loop is not None
            self.loop.views.append((name, text))
        else:
            self.plan.once.append(f"{name} = {text}")

    def _seen(self, stem: str, v: Value, form: str) -> str:
        """The name of a new view of a value's memory, made from its text as `form` says."""
        name = self.names.counted(stem)
        elsewhere = v.op in VIEWS or v in self.parts  # in each step
        self._view(name, form.replace("{}", self._spelled(v)), v.moving and elsewhere)
        return name

    def _seen_out(self, stem: str, out: str, form: str) -> str:
        """The same of the memory into which something is computed, by its name."""
        steps = dict(self.loop.views) if self.loop is not None else {}
        name = self.names.counted(stem)
        self._view(name, form.replace("{}", steps.get(out, out)), out in steps)
        return name

    def _last_uses(
        self, order: list[Value], results: Mapping[str, Value], loops: list[Loop]
    ) -> dict[Value, int]:
        """For each piece of memory the last value that reads it, itself or through a view."""
        last: dict[Value, int] = {}
        for v in order:
            for a in v.args:
                last[a.root] = max(last.get(a.root, -1), v.number)
        for root, number in last.items():
            for loop in loops:
                if root.number < loop.start <= number < loop.end:
                    last[root] = loop.end - 1  # the next step reads it again
        for v in results.values():
            last[v.root] = self.end
        return last

    def _targets(self, results: Mapping[str, Value]) -> dict[Value, str]:
        """Values that can be computed straight into the array where they are wanted."""
        found: dict[Value, str] = {}
        before = {
            a.info: end for a, end in self.last.items() if a.op == "input"
        }  # what is there, and how long
        for name, place in self.into.items():
            v = results[name]
            if before.get(name, -1) > v.root.number:
                continue
            if v.op not in VIEWS and v.op != "input" and not v.once and v.shape and v.root not in found:
                found[v.root] = place
        for first, second in sorted(self.behind):
            if first in self.into and second in self.into:
                a, b = results[first], results[second]
                if (
                    a.op == b.op == "index"
                    and a.root is b.root
                    and a.root.op == "matmul"
                    and a.args == b.args == (a.root,)
                    and a.info == (("slice", ints.ZERO, 1, a.root.shape[0] - 1, False), ("all",))
                    and b.info == (("at", a.root.shape[0] - 1), ("all",))
                ):
                    # a whole product: a matrix and its last row
                    name = self.names.fresh(f"{self.into[first]}_{self.into[second]}")
                    self._joined(name, self.into[first], self.into[second])
                    found[a.root] = name
                    self.joined |= {first, second}
                    self.unread.update(x for x in (a, b) if x not in self.uses)
        return found

    def _joined(self, name: str, first: str, second: str) -> None:
        self.text.helpers["_joined"] = None
        self.plan.once.append(f"{name} = _joined({first}, {second})")

    def _bordered(self, order: list[Value], loops: list[Loop]) -> dict[Value, Value]:
        """Values that can be computed straight into an array with more rows before or behind."""
        found: dict[Value, Value] = {}
        for v in order:
            if v.op != "pad" or loops or any(n != ints.ZERO for pair in v.info[0][1:] for n in pair):
                continue
            (a,) = v.args
            free = a not in found and a not in self.targets and a not in self.direct and a not in self.pinned
            if free and a.op == "ufunc" and a.kind == "real" and not a.once:
                found[a] = v
        return found

    def _direct(self, order: list[Value], loops: list[Loop]) -> dict[Value, Value]:
        """Values that can be computed straight into the part of an array where a store puts them, with that store."""
        found: dict[Value, Value] = {}
        readers: dict[Value, list[Value]] = {}
        for w in order:
            for a in w.args:
                readers.setdefault(a, []).append(w)
        for k, s in enumerate(order):
            if s.op != "store" or s.info[0] != "set":
                continue
            v, target, shaped = s.args[1], s.args[0].root, []
            while v.op == "reshape":
                shaped.append(v)
                v = v.args[0]
            made = v.op not in VIEWS and v.op not in CHANGED and v.op not in ("input", "pad") and not v.once
            if (
                not made
                or not v.shape
                or v.kind != target.kind
                or v in self.targets
                or v in found
                or v in self.pinned
            ):
                continue
            loop, own = (next((p for p in loops if p.start <= x.number < p.end), None) for x in (s, v))
            if loop is not own or loop is not None and not v.moving or target.number > v.number:
                continue
            others = [w for x in (v, *shaped) for w in readers[x] if w not in (s, *shaped)]
            plain = v.op != "matmul" and all(w.op in _IN_PLACE or w.op == "store" for w in others)
            plain = plain and (not shaped or splits(s.args[1].shape, v.shape))
            if not (plain or _solid(s.info[1])):
                continue  # what is read or computed as a matrix lies in one piece
            between = [w for w in order[:k] if w.number > v.number and w.op not in VIEWS]
            if any(a.root is target for w in between for a in w.args):
                continue
            later = [w for w in order[k + 1 :] if w.number < self.last[v] and w.op in ("put", "store")]
            if any(w.args[0].root is target for w in later):
                continue  # it is read when what lies there is another value
            found[v] = s
            self.unread.update(x for x in shaped if self.uses[x] == 1)
            self.last[target] = max(self.last.get(target, -1), self.last[v])
        return found

    def _border(self, v: Value, inner: str) -> str:
        """Memory for an array in a border, and a view of what is inside."""
        border, fill = v.info
        name = self._surround(v, fill)
        items = tuple(("slice", a, 1, n, False) for (a, _), n in zip(border, v.args[0].shape, strict=True))
        self.plan.once.append(f"{inner} = {name}{self.text.subscript(items, v.shape)}")
        self.text.bound[v] = name
        return inner

    def _surround(self, v: Value, fill: Fraction | float) -> str:
        """Memory that nothing else uses, full of a number that stays where nothing is written."""
        name, shape = self.names.counted("padded"), self.text.shape(v.shape)
        start = f"np.zeros({shape}, dtype)" if fill == 0 else f"np.full({shape}, {text_number(fill)}, dtype)"
        self.plan.once.append(f"{name} = {start}")
        self.made.append((v.shape, v.kind))
        return name

    def _still(self, v: Value) -> bool:
        """Whether a view can be made once: its memory stays where it is."""
        return bool(v.root.shape) or v.root.op == "input"

    def _view_name(self, v: Value) -> str:
        """A name that says of which array a value is a view, and what kind of view."""
        of = self.text.bound.get(v.root, "")
        kind = _KINDS[v.op]
        if v.op == "transpose" and v.info == tuple(reversed(range(len(v.info)))):
            kind = "T"
        elif v.op == "reshape" and len(v.shape) == 1:
            kind = "flat"
        elif v.op == "expand" and v.info == (True, False):
            kind = "column"
        return self.names.suffixed(f"{of}_{kind}") if of.isidentifier() else self.names.counted("view")

    def _labelled(self, v: Value) -> bool:
        """Whether a value is a tensor whose name is free."""
        label = self.labels.get(v)
        return label is not None and label not in self.into and label not in self.named

    def _name(self, v: Value) -> str:
        if not self._labelled(v):
            return self.names.counted("part")
        label = self.labels[v]
        self.named.add(label)
        return self.names.of(label)

    def _out(self, v: Value) -> str:
        """The name of the array that a value is written into."""
        if v in self.targets:
            self.text.bound[v] = self.targets[v]
            return self.targets[v]
        if v in self.direct:
            return self._part(v, self.direct[v])
        if v in self.bordered:
            self.text.bound[v] = self._border(self.bordered[v], self._name(v))
            return self.text.bound[v]
        own = self._overwrite(v)
        if own is not None:
            self.text.bound[v] = own
            return own
        size, shape = ints.product(v.shape), self.text.shape(v.shape)
        taken = self._take_over(v)
        pool = self.free.setdefault((size, v.kind), [])
        fresh = taken is None and not pool
        if taken is not None:
            flat = self.memory.pop(taken)
        elif pool:
            same = [f for f in pool if self.shapes[f] == v.shape]
            flat = (same or pool)[-1]
            pool.remove(flat)
        else:
            flat = self._name(v)
            self.shapes[flat] = v.shape
            if v not in self.labels:
                self.nameless.add(flat)
            self.plan.once.append(f"{flat} = np.empty({shape}, {DTYPES[v.kind]})")
            self.made.append((v.shape, v.kind))
        name = flat
        if self.shapes[flat] != v.shape:
            name = self._name(v)
            self.plan.once.append(f"{name} = {flat}.reshape{shape}")
        elif not fresh and (flat not in self.nameless or self._labelled(v)):
            # the same memory under a name for what is in it then; one such name is enough for all that has none
            known = None if self._labelled(v) else self.unnamed.get(flat)
            name = known or self._name(v)
            if known is None:
                self.plan.once.append(f"{name} = {flat}")
                if v not in self.labels:
                    self.unnamed[flat] = name
        self.memory[v] = flat
        self.text.bound[v] = name
        return name

    def _part(self, v: Value, store: Value) -> str:
        """A part of an array as the place of a value."""
        target, where = store.args[0], store.info[1]
        text = f"{self.text.bound[target]}{self._place_in(where, target)}"
        if store.args[1] is not v:
            text += f".reshape{self.text.shape(v.shape)}"
        name = self.names.counted("view")
        self._view(name, text, runs(where))
        self.parts[v] = text
        self.text.bound[v] = name
        return name

    def _place_in(self, where: tuple[Any, ...], target: Value) -> str:
        index = self.text.subscript(where, target.shape)
        # an array without axes, where NumPy would give a number
        return f"{index[:-1]}, ...]" if all(item[0] == "at" for item in where) else index

    def _overwrite(self, v: Value) -> str | None:
        """An array in scope that is read here for the last time, and whose new value is made of this one next."""
        if v.op not in _IN_PLACE:
            return None
        for a in v.args:
            place = self.into.get(a.info) if a.op == "input" else None
            if (
                place is None
                or a.shape != v.shape
                or self.last[a] != v.number
                or sum(b.root is a for b in v.args) > 1
            ):
                continue
            new = self.results[a.info]
            if self.targets.get(new) == place and v in new.args and self.last[v] == new.number:
                return place
        return None

    def _take_over(self, v: Value) -> Value | None:
        """An argument that dies here and whose memory fits: the result is computed in place."""
        if v.op not in _IN_PLACE and v.op != "clone":
            return None
        for a in v.args:
            root = a.root if a.op in ("store", "put") else a
            if (
                root not in self.memory
                or a.shape != v.shape
                or a.kind != v.kind
                or self.last[root] != v.number
            ):
                continue
            if root not in self.pinned and all(b is a or b.root is not root for b in v.args):
                return root
        return None

    def _release(self, v: Value, user: Value) -> None:
        root = v.root
        if root in self.memory and root not in self.pinned and self.last.get(root, -1) <= user.number:
            flat = self.memory.pop(root)
            self.free.setdefault((ints.product(root.shape), root.kind), []).append(flat)


def _solid(index: tuple[Any, ...]) -> bool:
    """Whether a part of an array in memory order lies there without gaps."""
    kept = [item[0] for item in index if item[0] != "at"]
    front = [item[0] for item in index[: len(index) - len(kept)]]
    return (
        all(k == "at" for k in front)
        and all(k == "all" for k in kept[1:])
        and not any(item[0] == "slice" and (item[2] != 1 or item[4]) for item in index)
    )
