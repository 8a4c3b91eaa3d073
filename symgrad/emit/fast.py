"""Statements as three-address code: every array is allocated once, every step writes into what is there.

A plan is one function of the sizes. It makes constants, buffers and views, and returns `run`, which computes. A
buffer is used again when its value is dead: elementwise in place, else for the next value with as many entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from symgrad.emit.graph import Loop, improved, lowered
from symgrad.emit.improve import IMPROVEMENTS
from symgrad.emit.lower import Lowering
from symgrad.emit.names import Names
from symgrad.emit.prepare import Prepared
from symgrad.emit.text import Text
from symgrad.emit.values import CHANGED, VIEWS, Value, contiguous, python, runs, splits
from symgrad.language import ints
from symgrad.language.ints import Int
from symgrad.language.program import Program, Statement

_IN_PLACE = frozenset({"ufunc", "hide"})  # entry by entry: the result may lie where an argument lies
_KINDS = {
    "transpose": "turned", "reshape": "reshaped", "expand": "spread", "broadcast": "spread",
    "index": "part", "window": "windows", "diagonal": "diagonal",
}  # fmt: skip
_DTYPES = {"real": "dtype", "int": "np.intp", "bool": "bool"}


@dataclass(frozen=True)
class Work:
    """What one value takes.

    Attributes:
        heading: the equations that stand above its lines.
        lines: how many lines compute it, each a call.
        buffers: the shapes and kinds of the arrays that are made for it, once.
        loop: the loop that the lines stand in.
    """

    heading: str
    value: Value
    lines: int
    buffers: tuple[tuple[tuple[Int, ...], str], ...]
    loop: Loop | None


@dataclass
class Plan:
    """The text of one plan.

    Attributes:
        once: lines that make constants, buffers and views.
        steps: lines that compute.
        ufuncs: local names of the functions of NumPy that the steps call.
        results: for each wanted tensor, the name of its array or number.
        bits: whether the text calls `_bits` and `_mask`.
        work: what each value takes, in order.
    """

    once: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    ufuncs: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    bits: bool = False
    work: list[Work] = field(default_factory=list)

    @property
    def aliases(self) -> list[str]:
        """Lines that give functions of NumPy a local name: a look-up less in every call."""
        pairs = list(self.ufuncs.items())
        groups = [pairs[k : k + 4] for k in range(0, len(pairs), 4)]
        return [f"{', '.join(a for _, a in g)} = {', '.join(f'np.{u}' for u, _ in g)}" for g in groups]


@dataclass(eq=False)
class _Writing:
    """A loop being written.

    Attributes:
        views: views of each step, with their names.
    """

    loop: Loop
    views: list[tuple[str, str]] = field(default_factory=list)


class Fast:
    """One plan for a list of statements.

    Args:
        names: the names of tensors and sizes; `given` are in scope already, as arrays of their shapes.
        into: for tensors that are to end in an array in scope, that array's name.
        wanted: tensors whose value is asked for afterwards.
        numbers: the number in the derivation of each statement.
        behind: pairs of tensors, given or `into`, of which the second lies right behind the first in memory.
    """

    def __init__(
        self, program: Program, names: Names, numbers: Mapping[Statement, str],
        given: Iterable[str], into: Mapping[str, str], wanted: Iterable[str],
        behind: Iterable[tuple[str, str]] = (),
    ):  # fmt: skip
        self.program, self.names, self.numbers = program, names, numbers
        self.given, self.into, self.wanted = tuple(given), dict(into), tuple(wanted)
        self.text = Text(names)
        self.behind = frozenset(behind)
        self.plan = Plan()
        self.free: dict[tuple[Int, str], list[str]] = {}
        self.memory: dict[Value, str] = {}  # the flat buffer of each value that has one of the pool
        self.shapes: dict[str, tuple[Int, ...]] = {}
        self.unread: set[Value] = set()  # views that no line reads
        self.bordered: dict[
            Value, Value
        ] = {}  # what is computed inside a border, and the array with the border
        self.parts: dict[Value, str] = {}  # of the values that lie in a part of an array, that part
        self.taken: set[str] = set()  # the inputs that the code has
        self.unnamed: dict[str, str] = {}  # a further name of a tensor's buffer, for what is no tensor
        self.nameless: set[str] = set()  # buffers made for no tensor
        self.named: set[str] = set()  # tensors whose name is given away
        self.numbers_made: dict[tuple[str, str], str] = {}
        self.loop: _Writing | None = None
        self.before: list[str] = []  # the steps before the loop
        self.heading = ""
        self.made: list[tuple[tuple[Int, ...], str]] = []  # buffers that no value is said to have taken yet

    def write(self, statements: Iterable[Statement]) -> Plan:
        """Lower all statements, then give each value a place and a line."""
        kept = (*self.into, *self.wanted)
        work = Prepared(self.program, statements, kept)
        lowering = Lowering(work.program, calls=False, products=True)
        graph = lowered(lowering, work.statements, kept)
        graph = improved(replace(graph, behind=self.behind), IMPROVEMENTS)
        self.results = results = graph.results
        self.labels, loops, heads, order = graph.labels, list(graph.loops), graph.heads, graph.placed()
        self.end = len(graph.table.all)
        self.last = self._last_uses(order, results, loops)
        self.uses: dict[Value, int] = {}
        for v in order:
            for a in v.args:
                self.uses[a] = self.uses.get(a, 0) + 1
        self.joined: set[str] = set()  # results that are computed with others
        self.targets = self._targets(results)
        self.pinned = {v.root for v in results.values()} | {v for v in order if v.op == "input"}
        self.direct = self._direct(order, loops)
        self.bordered = self._bordered(order, loops)
        waiting: list[Statement] = []
        starts = sorted(heads)
        for v in order:
            if self.loop is not None and self.loop.loop.end <= v.number:
                self._close()
            while self.loop is None and loops and loops[0].start <= v.number:
                loop = loops.pop(0)
                if v.number < loop.end:
                    self._open(loop)
            while starts and starts[0] <= v.number:
                waiting += heads[starts.pop(0)]
            if not v.once and v.op not in VIEWS and v.op != "input":
                told = [line for s in waiting for line in work.comment(s, self.numbers)]
                self.plan.steps += told
                self.heading = " ".join(line.removeprefix("#").strip() for line in told) or self.heading
                waiting = []
            self._place(v)
        if self.loop is not None:
            self._close()
        for name, v in results.items():
            lines = len(self.plan.steps)
            self._result(name, v)
            self._count(v, len(self.plan.steps) - lines)
        return self.plan

    def _count(self, v: Value, lines: int) -> None:
        """Keep what a value took, for a report."""
        if lines or self.made:
            loop = self.loop.loop if self.loop is not None else None
            self.plan.work.append(Work(self.heading, v, lines, tuple(self.made), loop))
            self.made.clear()

    def takes(self, name: str) -> bool:
        """Whether the code reads an array in scope of this name, or makes a buffer for it."""
        return name in self.taken

    # ---- loops

    def _open(self, loop: Loop) -> None:
        self.loop, self.before, self.plan.steps = _Writing(loop), self.plan.steps, []

    def _close(self) -> None:
        """The lines of a loop that is complete: its views of each step are made once."""
        writing, steps = self.loop, self.plan.steps
        assert writing is not None
        self.loop, self.plan.steps = None, self.before
        loop, run, letter = writing.loop, writing.loop.run, self.names.of(writing.loop.run.letter)
        steps_text = self.text.steps(run.first, run.last + 1, False)
        if writing.views:
            name, views = self.names.counted("steps"), ", ".join(text for _, text in writing.views)
            self.plan.once.append(f"{name} = [({letter}, {views}) for {letter} in {steps_text}]")
            targets = f"{letter}, {', '.join(v for v, _ in writing.views)}"
            over = f"reversed({name})" if run.backward else name
        else:
            targets, over = letter, self.text.steps(run.first, run.last + 1, run.backward)
        self.plan.steps += [f"for {targets} in {over}:", *("    " + line for line in steps)]
        for root in [v for v in self.memory if v.number < loop.start]:
            if root not in self.pinned and self.last.get(root, -1) < loop.end:
                flat = self.memory.pop(root)
                self.free.setdefault((ints.product(root.shape), root.kind), []).append(flat)

    def _spelled(self, v: Value) -> str:
        """The text of a value in which views of a step are written out: they are made together, before the loop."""
        bound = self.text.bound
        hidden: dict[Value, str] = {}
        x = v
        while x.op in VIEWS and x.moving:
            if x in bound:
                hidden[x] = bound.pop(x)
            x = x.args[0]
        if x in self.parts and x.moving:
            hidden[x] = bound[x]
            bound[x] = self.parts[x]
        text = self.text(v)
        bound.update(hidden)
        return text

    def _view(self, name: str, text: str, moving: bool) -> None:
        """A view of memory that stays where it is: made once, or once for each step of the loop."""
        if moving:
            assert self.loop is not None
            self.loop.views.append((name, text))
        else:
            self.plan.once.append(f"{name} = {text}")

    # ---- what is needed, and for how long

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

    # ---- a place and a line for each value

    def _place(self, v: Value) -> None:
        self._write(v)
        for a in (*v.args, v):
            self._release(a, v)

    def _write(self, v: Value) -> None:
        lines = len(self.plan.steps)
        self._lines(v)
        self._count(v, len(self.plan.steps) - lines)

    def _lines(self, v: Value) -> None:
        bound, text = self.text.bound, self.text
        if v.op == "input":
            bound[v] = self.names.of(v.info)
            self.taken.add(v.info)
            if v.info not in self.given:
                kind = _DTYPES[v.kind]
                self.plan.once.append(f"{bound[v]} = np.empty({text.shape(v.shape)}, {kind})")
                self.made.append((v.shape, v.kind))
        elif v.once:
            self._once(v)
        elif v.op in VIEWS:
            if v.args[0] in bound and (v.shape or v.root.shape) and v not in self.unread:
                self._bind(v)
        elif v.op in ("put", "store"):
            self._change(v)
        elif v.op == "stack":
            bound[v] = self.names.fresh("_".join(text(a) for a in v.args))
            self._joined(bound[v], *map(text, v.args))
        elif v.op == "border":
            bound[v] = self._surround(v, v.info)
        elif v.op == "pad":
            self._pad(v)
        elif not v.shape and self._inlined(v):
            pass
        elif not v.shape:
            name = self._name(v)
            self.plan.steps.append(f"{name} = {self._scalar(v)}")
            bound[v] = name
        else:
            self._compute(v)

    def _pad(self, v: Value) -> None:
        """An array in a border: the border is written once, into memory that nothing else uses."""
        if v in self.text.bound:
            return
        inner = self._border(v, self.names.counted("view"))
        self.plan.steps.append(f"{self._function('copyto')}({inner}, {self.text(v.args[0])})")

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

    def _inlined(self, v: Value) -> bool:
        """Whether a scalar is written where it is used: once, and made of scalars."""
        return (
            self.uses.get(v, 0) == 1
            and v.op == "ufunc"
            and not any(a.root.shape for a in v.args)
            and v not in self.results.values()
        )

    def _still(self, v: Value) -> bool:
        """Whether a view can be made once: its memory stays where it is."""
        return bool(v.root.shape) or v.root.op == "input"

    def _once(self, v: Value) -> None:
        if python(v):
            return
        text = self.text(v)
        if v.kind == "real" and v.op == "ufunc":
            text = f"({text}).astype(dtype)"
        name = self.names.counted("const")
        self.plan.once.append(f"{name} = {text}")
        if v.shape:
            self.made.append((v.shape, v.kind))
        self.text.bound[v] = name

    def _bind(self, v: Value) -> None:
        still = self._still(v)
        if v.op == "expand" and len(self.text(v)) < 24 and not still:
            return
        name = self._view_name(v)
        text = self._spelled(v) if still else self.text(v)
        if not v.shape:
            # a view without axes, where NumPy would give the number of this moment
            text = f"{text[:-1]}, ...]"
        if still:
            self._view(name, text, v.moving)
        else:
            self.plan.steps.append(f"{name} = {text}")
        self.text.bound[v] = name

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

    def _scalar(self, v: Value) -> str:
        if v.op == "matmul":
            a, b = v.args
            return f"{self.text(a)}.dot({self.text(b)})"
        if v.op == "reduce":
            name, over = v.info
            axis = "None" if len(over) == len(v.args[0].shape) else str(over)
            return f"{self._function(name)}.reduce({self.text(v.args[0])}, axis={axis})"
        # the number of this moment, where NumPy would give a view
        return f"{self.text(v)}[()]" if v.op == "stop" else self.text(v)

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
            self.plan.once.append(f"{flat} = np.empty({shape}, {_DTYPES[v.kind]})")
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

    def _function(self, name: str) -> str:
        """The local name of a function of NumPy."""
        if name not in self.plan.ufuncs:
            self.plan.ufuncs[name] = self.names.fresh(name)
        return self.plan.ufuncs[name]

    def _compute(self, v: Value) -> None:
        text = self.text
        args = [self._number(a, v) if v.op == "ufunc" and python(a) else text(a) for a in v.args]
        dead = v.op == "clone" and v not in self.targets and self._take_over(v) is not None
        out = self._out(v)
        if dead:
            return  # the memory of what nothing else reads is its own copy
        add = self.plan.steps.append
        if v.op == "ufunc":
            # NumPy takes `out` by position, which is quicker, everywhere but here
            into = f"out={out}" if v.info in ("maximum", "minimum") else out
            add(f"{self._function(v.info)}({', '.join(args)}, {into})")
        elif v.op == "hide":
            if v.args[0].shape and all(x.once or self._still(x) for x in v.args):
                bits, own, result = (self.names.counted("bits") for _ in range(3))
                self._view(
                    own, f"_bits({self._spelled(v.args[1])})", v.args[1].moving and v.args[1].op in VIEWS
                )
                self._view(
                    bits,
                    f"_mask({self._spelled(v.args[0])}, dtype)",
                    v.args[0].moving and v.args[0].op in VIEWS,
                )
                steps = dict(self.loop.views) if self.loop is not None else {}
                self._view(result, f"_bits({steps.get(out, out)})", out in steps)
                self.plan.bits = True
                add(f"{self._function('multiply')}({own}, {bits}, {result})")
            else:
                add(f"{self._function('copyto')}({out}, np.where({args[0]}, {args[1]}, 0))")
        elif v.op == "where":
            add(f"{self._function('copyto')}({out}, {args[2]})")
            add(f"{self._function('copyto')}({out}, {args[1]}, where={args[0]})")
        elif v.op == "matmul":
            self._product(v, args, out)
        elif v.op == "einsum":
            add(f'np.einsum("{v.info}", {", ".join(args)}, out={out}, optimize=True)')
        elif v.op == "reduce":
            name, over = v.info
            axis = str(over[0]) if len(over) == 1 else str(over)
            add(f"{self._function(name)}.reduce({args[0]}, {axis}, None, {out})")
        elif v.op == "take":
            self._gather(v, args, out)
        elif v.op == "fill" and v.info is None:
            pass
        elif v.op == "fill":
            if v.info is not None:
                add(f"{out}.fill({text_number(v.info)})")
        elif v.op == "implicit":
            add(f"{self._function('copyto')}({out}, {text.implicit(v.info, args)})")
        elif v.op == "stop":
            add(f"{self._function('copyto')}({out}, np.real({args[0]}))")
        else:  # real, copy, clone
            add(f"{self._function('copyto')}({out}, {args[0]})")

    def _number(self, a: Value, user: Value) -> str:
        """A number as an array without axes, which costs less per call than a Python number."""
        if a not in self.text.bound and not a.moving:
            whole = user.kind == "int" or any(b.kind == "int" and not python(b) for b in user.args)
            key = (self.text(a), "np.intp" if whole else "dtype")
            if key not in self.numbers_made:
                self.numbers_made[key] = self.names.counted("const")
                self.plan.once.append(f"{self.numbers_made[key]} = np.asarray({key[0]}, {key[1]})")
            return self.numbers_made[key]
        return self.text(a)

    def _product(self, v: Value, args: list[str], out: str) -> None:
        a, b = v.args
        flat = len(a.shape) <= 2 and len(b.shape) <= 2
        if flat and contiguous(a.root) and contiguous(b.root):
            self.plan.steps.append(f"{args[0]}.dot({args[1]}, {out})")
        elif len(a.shape) > 2 and len(b.shape) <= 2 and contiguous(a):
            rows = ints.product(a.shape[:-1])
            left, result = self.names.counted("view"), self.names.counted("view")
            self._view(
                left,
                f"{self._spelled(a)}.reshape{self.text.shape((rows, a.shape[-1]))}",
                a.moving and a.op in VIEWS,
            )
            self._view(result, f"{out}.reshape{self.text.shape((rows, *b.shape[1:]))}", False)
            self.plan.steps.append(f"{left}.dot({args[1]}, {result})")
        else:
            self.plan.steps.append(f"{self._function('matmul')}({args[0]}, {args[1]}, {out})")

    def _gather(self, v: Value, args: list[str], out: str) -> None:
        pattern = v.info
        chosen = [k for k, p in enumerate(pattern) if p is not None]
        if len(chosen) == 1:
            # positions are in range by declaration; "raise" would copy the output
            self.plan.steps.append(f'{args[0]}.take({args[1]}, {chosen[0]}, {out}, "clip")')
        else:
            self.plan.steps.append(
                f"{self._function('copyto')}({out}, {args[0]}[{self.text.positions(pattern, v.args[1:])}])"
            )

    def _into(self, v: Value) -> None:
        """An operation whose result is computed in a part of an array."""
        target, *args = v.args
        _, op, name, parts = v.info
        place = text = self.text.bound[v] = self.text.bound[target]
        shape = target.shape
        for how, what in parts:
            if how == "index":
                text += self.text.subscript(what, shape)
            else:
                text += f".{how}{self.text.shape(what) if how == 'reshape' else what}"
        if parts:
            place = self.names.counted("view")
            self._view(place, text, runs(parts))
        texts = [self._number(a, v) if python(a) else self.text(a) for a in args]
        called = self._function("matmul" if op == "matmul" else name)
        into = f"out={place}" if name in ("maximum", "minimum") else place
        self.plan.steps.append(f"{called}({', '.join(texts)}, {into})")

    def _change(self, v: Value) -> None:
        if v.info[0] == "into":
            self._into(v)
            return
        target, value, *positions = v.args
        name = self.text.bound[target]
        self.text.bound[v] = name
        ufunc, where = v.info
        add = self.plan.steps.append
        if v.op == "store":
            if v in self.direct.values():
                return
            place = self.names.counted("view")
            self._view(place, f"{name}{self._place_in(where, target)}", runs(where))
            if ufunc == "set":
                add(f"{self._function('copyto')}({place}, {self.text(value)})")
            else:
                add(f"{self._function(ufunc)}({place}, {self.text(value)}, out={place})")
            return
        place = self.text.positions(where, tuple(positions), ":" if ufunc == "set" else "slice(None)")
        if ufunc == "set" and len(target.shape) == 1:
            add(f"{name}.put({place}, {self.text(value)})")
        elif ufunc == "set":
            add(f"{name}[{place}] = {self.text(value)}")
        else:
            add(f"{self._function(ufunc)}.at({name}, ({place},), {self.text(value)})")

    def _result(self, name: str, v: Value) -> None:
        everywhere = name in self.into and v.op == "broadcast" and not v.args[0].shape
        text = self.text(v.args[0] if everywhere else v)
        if name in self.joined:
            text = self.into[name]
        elif name in self.into:
            if self.targets.get(v.root) != self.into[name] or v.op in VIEWS:
                self.plan.steps.append(f"{self._function('copyto')}({self.into[name]}, {text})")
            text = self.into[name]
        self.plan.results[name] = (
            f"{text}[()]" if not v.shape and (v.op in VIEWS or v.op == "input") else text
        )


def _solid(index: tuple[Any, ...]) -> bool:
    """Whether a part of an array in memory order lies there without gaps."""
    kept = [item[0] for item in index if item[0] != "at"]
    front = [item[0] for item in index[: len(index) - len(kept)]]
    return (
        all(k == "at" for k in front)
        and all(k == "all" for k in kept[1:])
        and not any(item[0] == "slice" and (item[2] != 1 or item[4]) for item in index)
    )


def text_number(x: Fraction | float) -> str:
    """What an array is filled with."""
    if isinstance(x, float):
        return "np.inf" if x > 0 else "-np.inf"
    return str(x)
