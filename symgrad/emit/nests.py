"""Values grouped into loops: what is computed in one pass over one range of places, and in which order.

NumPy makes a pass over memory for each operation. Compiled code makes one for a chain of them: entry-by-entry values of
one shape, and what is summed of them on the way. Products of matrices and writes to positions stand between the passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from symgrad.emit.graph import Graph, Loop
from symgrad.emit.values import VIEWS, Shape, Value, python
from symgrad.emit.views import located, places
from symgrad.language.program import Statement

ENTRYWISE = frozenset({"ufunc", "where", "hide", "real", "stop", "copy", "clone", "take"})
# The compiler checks at run time that arrays do not overlap, up to so many pairs; a loop with more is not vectorised.
_PAIRS = 8


class NoLoops(Exception):
    """A value that has no form as loops; the text says which."""


@dataclass(frozen=True)
class Fold:
    """What is summed (or the like) of a product of values over some axes of their shape."""

    ufunc: str
    factors: tuple[Value, ...]
    over: tuple[int, ...]
    space: Shape


@dataclass(eq=False)
class Step:
    """One thing that runs. `values` are computed here; `about` are the statements that begin here."""

    values: list[Value] = field(default_factory=list)
    about: list[Statement] = field(default_factory=list)


@dataclass(eq=False)
class Nest(Step):
    """A pass over all places of `space`; folds of what it meets are complete behind it."""

    space: Shape = ()
    folds: dict[Value, Fold] = field(default_factory=dict)


@dataclass(eq=False)
class Single(Step):
    """One value by itself: a scalar, a product of matrices, a write to positions."""

    args: tuple[Value, ...] = ()


@dataclass(eq=False)
class Repeat(Step):
    """The steps of a loop over the steps of a recurrence."""

    loop: Loop | None = None
    steps: list[Step] = field(default_factory=list)


def fold(v: Value) -> Fold | None:
    """A value as a fold, if it is one: a reduction, a product with ones, a product of two vectors."""
    if v.op == "reduce":
        name, over = v.info
        return Fold(name, v.args, tuple(over), v.args[0].shape)
    if v.op != "matmul":
        return None
    a, b = v.args
    for ones, other, axis in ((a, b, -2), (b, a, -1)):
        if len(ones.shape) == 1 and _ones(ones):
            k = max(len(other.shape) + axis, 0)
            return Fold("add", (other,), (k,), other.shape)
    if len(a.shape) == len(b.shape) == 1:
        if a.op == b.op == "reshape" and a.args[0].shape == b.args[0].shape:
            a, b = a.args[0], b.args[0]
        return Fold("add", (a, b), tuple(range(len(a.shape))), a.shape)
    return None


def _ones(v: Value) -> bool:
    while v.op in ("copy", "broadcast"):
        v = v.args[0]
    return v.op == "number" and v.info == 1


class Grouping:
    """All that a graph computes, as `steps` in order."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.uses = graph.uses()
        self.kept = set(graph.results.values())
        self.steps: list[Step] = []
        self.at: dict[Value, tuple[list[Step], int]] = {}  # where a value is computed
        self.outer: list[tuple[list[Step], Repeat]] = []
        self.waiting: list[Statement] = []
        loops, starts = list(graph.loops), sorted(graph.heads)
        order = graph.placed()
        for v in order:
            if self.outer and self._loop.end <= v.number:
                self._close()
            while not self.outer and loops and loops[0].start <= v.number:
                loop = loops.pop(0)
                if v.number < loop.end:
                    self._open(loop)
            while starts and starts[0] <= v.number:
                self.waiting += graph.heads[starts.pop(0)]
            self._place(v)
        if self.outer:
            self._close()

    # ---- loops of recurrences

    @property
    def _loop(self) -> Loop:
        loop = self.outer[-1][1].loop
        assert loop is not None
        return loop

    def _open(self, loop: Loop) -> None:
        self.outer.append((self.steps, Repeat(loop=loop)))
        self.steps = self.outer[-1][1].steps

    def _close(self) -> None:
        outside, repeat = self.outer.pop()
        for v, (where, _) in list(self.at.items()):
            if where is self.steps:
                self.at[v] = outside, len(outside)
        self.steps = outside
        outside.append(repeat)

    # ---- a step for each value

    def _place(self, v: Value) -> None:
        if v.once or v.op in VIEWS or v.op == "input":
            return
        folded = fold(v)
        if folded is not None:
            self._join(v, folded.space, folded.factors, folded)
        elif v.op in ENTRYWISE and v.shape:
            self._join(v, v.shape, v.args, None)
        elif v.op == "matmul":
            args = tuple(map(self._laid_out, v.args))
            for a in args:
                self.uses.setdefault(a, []).append(v)
            self._append(v, Single(args=args))
        elif v.op in ENTRYWISE or v.op in ("einsum", "put", "store", "fill", "pad"):
            self._append(v, Single(args=v.args))
        else:
            raise NoLoops(str(v.info) if v.op == "implicit" else v.op)

    def _laid_out(self, v: Value) -> Value:
        """A factor of a product as a matrix in memory: itself, or a copy."""
        if matrix(v) is not None:
            return v
        copy = self.graph.table.make("copy", (v,), None, v.shape)
        if copy not in self.at:
            self.uses.setdefault(v, []).append(copy)
            self._join(copy, v.shape, (v,), None)
        return copy

    def _append(self, v: Value, step: Step) -> None:
        step.values.append(v)
        step.about, self.waiting = self.waiting, []
        self.at[v] = self.steps, len(self.steps)
        self.steps.append(step)

    def _after(self, v: Value) -> int:
        """The last step that a value needs, -1 if it needs none of the list being made."""
        last = -1
        for a in v.args:
            for b in (a, a.seen):
                where, k = self.at.get(b, (None, -1))
                if where is self.steps:
                    last = max(last, k)
                elif where is not None and not any(where is outside for outside, _ in self.outer):
                    last = max(last, len(self.steps) - 1)
        return last

    def _join(self, v: Value, space: Shape, args: Iterable[Value], folded: Fold | None) -> None:
        """Compute a value in the latest pass over its places that has what it needs, or in a new one."""
        after = self._after(v)
        nest: Nest | None = None
        last = len(self.steps) - 1
        for k in range(last, max(after, 0) - 1, -1):
            step = self.steps[k]
            if not isinstance(step, Nest) or step.space != space:
                continue
            if (k > after and k < last) or (k == after and not self._met(step, v, args)):
                continue
            if k < last and v.kind == "bool":
                continue
            nest = step
            self.at[v] = self.steps, k
            break
        if nest is None:
            nest = Nest(space=space)
            self.at[v] = self.steps, len(self.steps)
            self.steps.append(nest)
        nest.values.append(v)
        nest.about += self.waiting
        self.waiting = []
        if folded is not None:
            nest.folds[v] = folded

    def _met(self, nest: Nest, v: Value, args: Iterable[Value]) -> bool:
        """Whether a value needs of what a pass computes only what is at the same place."""
        here = set(nest.values)
        if v.op == "take" and v.args[0].seen in here:
            return False  # its positions may be any
        return not any(a.seen in here and not met(a, nest) for a in args)

    # ---- not too many arrays in a pass

    def split(self, arrays: Mapping[Value, str]) -> None:
        """Passes over many arrays as several; `arrays` has the names of those that exist already."""
        self.arrays = arrays
        self.steps = list(self._split(self.steps))

    def _split(self, steps: Iterable[Step]) -> Iterator[Step]:
        for step in steps:
            if isinstance(step, Repeat):
                step.steps = list(self._split(step.steps))
                yield step
            elif isinstance(step, Nest):
                yield from self._parts(step)
            else:
                yield step

    def _parts(self, nest: Nest) -> Iterator[Nest]:
        while self._pairs(nest.values, nest) > _PAIRS and len(nest.values) > 1:
            k = len(nest.values) - 1
            while k > 1 and self._pairs(nest.values[:k], nest) > _PAIRS:
                k -= 1
            first = Nest(nest.values[:k], nest.about, nest.space)
            rest = Nest(nest.values[k:], [], nest.space)
            for part in (first, rest):
                part.folds = {v: nest.folds[v] for v in part.values if v in nest.folds}
            yield first
            nest = rest
        yield nest

    def _pairs(self, values: list[Value], nest: Nest) -> int:
        """How many pairs of arrays could overlap, one of them written."""
        here = set(values)
        written = {self._array(v) for v in values if v.shape and (v in nest.folds or self.stored(v, here))}
        read = {
            self._array(a.root)
            for v in values
            for a in _reads(v, nest)
            if a.seen not in here and a.root.shape
        }
        return len(written) * len(read - written) + len(written) * (len(written) - 1) // 2

    def _array(self, v: Value) -> Value | str:
        return v.info if v.op == "input" else self.arrays.get(v, v)

    def stored(self, v: Value, here: set[Value]) -> bool:
        """Whether a value that a pass computes is needed elsewhere, so that it goes into an array."""
        if v in self.kept or v.op == "clone":
            return True
        pending = [v]
        while pending:
            for u in self.uses.get(pending.pop(), ()):
                if u.op in VIEWS:
                    if u in self.kept:
                        return True
                    pending.append(u)
                elif u not in here:
                    return True
        return False


def _reads(v: Value, nest: Nest) -> list[Value]:
    args = nest.folds[v].factors if v in nest.folds else v.args
    return [a for a in args if not python(a) and not (a.once and a.seen.op == "arange")]


def met(a: Value, nest: Nest) -> bool:
    """Whether an argument is read at the very place that a pass is at."""
    own = places(nest.space)
    if len(a.shape) > len(own):
        return False
    base, index = located(a, own[len(own) - len(a.shape) :])
    return base.shape == nest.space and index == own


def matrix(v: Value) -> str | None:
    """How a value lies in memory as a stack of matrices: "C" by rows, "F" by columns, None if it must be copied."""
    if v.op == "transpose":
        inner, n = matrix(v.args[0]), len(v.shape)
        swapped = v.info == (*range(n - 2), n - 1, n - 2)
        return {"C": "F", "F": "C"}[inner] if swapped and inner else None
    if v.op in ("reshape", "expand"):
        return "C" if matrix(v.args[0]) == "C" else None
    if v.op == "index":
        return "C" if matrix(v.args[0]) == "C" and _rows(v.info) else None
    return None if v.op in VIEWS else "C"


def _rows(index: tuple[Any, ...]) -> bool:
    """Whether an index takes one piece of memory in order: entries of the first axes, then a run of one."""
    items = list(index)
    while items and items[0][0] == "at":
        items.pop(0)
    if items and items[0][0] == "slice" and items[0][2] == 1 and not items[0][4]:
        items.pop(0)
    return all(item[0] == "all" for item in items)
