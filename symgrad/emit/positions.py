"""From positions to NumPy's indices: views where they can be, arrays of positions where they must."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from symgrad.emit.values import Value, Values
from symgrad.language import ints
from symgrad.language.ints import Axis, Int, Look, Quotient, Size, radix
from symgrad.language.program import Program, within
from symgrad.passes.recognise import kinds

Axes = tuple[str, ...]


class Positions:
    """The tensors of a program as values, and their entries at positions.

    Args:
        program: whose tensors are read.

    Attributes:
        values: what has been made.
        env: the newest value of each tensor.
        ranges: the sizes of the axes of the statement at hand.
    """

    def __init__(self, program: Program):
        self.program = program
        self.values = Values()
        self.env: dict[str, Value] = {}
        self.ranges: Mapping[str, Int] = {}

    def input(self, name: str) -> Value:
        """A tensor as it is stored."""
        t = self.program[name]
        return self.values.make("input", (), name, t.shape, "int" if t.integer else "real")

    def tensor(self, name: str) -> Value:
        if name not in self.env:
            self.env[name] = self.input(name)
        return self.env[name]

    def shape(self, axes: Iterable[str]) -> tuple[Int, ...]:
        return tuple(self.ranges[a] for a in axes)

    def aligned(self, v: Value, own: Axes, axes: Axes) -> Value:
        """A value with axes `own`, a subsequence of `axes`, so that it broadcasts to them."""
        return self.values.expand(v, tuple(a in own for a in axes)) if own else v

    def basic(self, index: tuple[Int, ...], shape: tuple[Int, ...]) -> tuple[Any, ...]:
        """A basic index: one entry, everything, or (start, step, length, backwards) for each axis."""
        items: list[Any] = []
        for i, n in zip(index, shape, strict=True):
            if not i.axes:
                items.append(("at", i))
                continue
            (axis,) = i.axes
            step, length = i.coefficient(axis), self.ranges[axis]
            assert step is not None
            assert step.number
            start = i - step * ints.axis(axis)
            if step == ints.ONE and start == ints.ZERO and length == n:
                items.append(("all",))
            elif step.number > 0:
                items.append(("slice", start, step.number, length, False))
            else:
                items.append(("slice", start + step * (length - 1), -step.number, length, True))
        return tuple(items)

    def view_index(self, v: Value, index: tuple[Any, ...]) -> Value:
        if all(item[0] == "all" for item in index):
            return v
        shape = tuple(
            item[3] if item[0] == "slice" else n
            for item, n in zip(index, v.shape, strict=True)
            if item[0] != "at"
        )
        return self.values.make("index", (v,), index, shape, v.kind)

    def positions(
        self, index: tuple[Int, ...], shape: tuple[Int, ...], safe: bool
    ) -> tuple[list[Value], tuple[int | None, ...], Axes]:
        """Arrays of positions for the axes that need them, which axis has which, and the axes of the result."""
        uses: dict[str, int] = {}
        for i in index:
            for a in i.axes:
                uses[a] = uses.get(a, 0) + 1
        free = [
            i.axis is not None and uses[i.axis] == 1 and self.ranges[i.axis] == n
            for i, n in zip(index, shape, strict=True)
        ]
        mixed = tuple(dict.fromkeys(a for i, f in zip(index, free, strict=True) if not f for a in i.axes))
        arrays: list[Value] = []
        pattern: list[int | None] = []
        for i, n, f in zip(index, shape, free, strict=True):
            if f:
                pattern.append(None)
                continue
            pattern.append(len(arrays))
            arrays.append(self._reached(i, n, mixed, safe))
        return arrays, tuple(pattern), natural(pattern, mixed, [i.axes for i in index])

    def within(self, i: Int, n: Int) -> bool:
        """Whether a position is one of an axis of length `n` wherever the statement runs."""
        return within(i, n, self.ranges, self.program.tensors)

    def _reached(self, i: Int, n: Int, axes: Axes, safe: bool) -> Value:
        """An array of positions; what may lie outside is never used, and brought inside."""
        v = self.whole(i, axes)
        if safe or self.within(i, n):
            return v
        v = self.values.ufunc("maximum", v, self.values.number(0), kind="int")
        return self.values.ufunc("minimum", v, self.values.size(n - 1), kind="int")

    def whole(self, i: Int, axes: Axes) -> Value:
        """An integer expression as an array that broadcasts to `axes`."""
        values = self.values
        fixed = Int(tuple(t for t in i.terms if not any(_varies(a) for a in t[0])))
        total: Value | None = None
        for monomial, c in i.terms:
            if not any(_varies(a) for a in monomial):
                continue
            sizes = Int(((tuple(a for a in monomial if not _varies(a)), abs(c)),))
            term: Value | None = None if sizes == ints.ONE else values.size(sizes)
            for a in monomial:
                if _varies(a):
                    v = self.atom(a, axes)
                    term = v if term is None else values.ufunc("multiply", term, v)
            assert term is not None
            if total is None:
                total = term if c > 0 else values.ufunc("negative", term)
            else:
                total = values.ufunc("add" if c > 0 else "subtract", total, term)
        if total is None:
            return values.size(fixed)
        if fixed.number is not None and fixed.number < 0:
            return values.ufunc("subtract", total, values.size(-fixed))
        return total if fixed == ints.ZERO else values.ufunc("add", total, values.size(fixed))

    def atom(self, a: Any, axes: Axes) -> Value:
        values = self.values
        if isinstance(a, Axis):
            v = values.make("arange", (), None, (self.ranges[a.name],), "int")
            return self.aligned(v, (a.name,), axes)
        if isinstance(a, Look):
            return self.look(a, axes)
        name = "floor_divide" if isinstance(a, Quotient) else "remainder"
        return values.ufunc(name, self.whole(a.top, axes), self.whole(a.bottom, axes))

    def look(self, a: Look, axes: Axes) -> Value:
        """Entries of an integer tensor; positions outside of it are never used and brought inside."""
        shape = self.program[a.tensor].shape
        v, own = self.gather(
            a.tensor,
            a.index,
            all(self.within(i, n) for i, n in zip(a.index, shape, strict=True)),
        )
        order = tuple(x for x in axes if x in own)
        return self.aligned(self.values.transpose(v, tuple(own.index(x) for x in order)), order, axes)

    def gather(self, name: str, index: tuple[Int, ...], safe: bool) -> tuple[Value, Axes]:
        """Entries of a tensor at positions, and their axes."""
        base, shape = self.tensor(name), self.program[name].shape
        if not index:
            return base, ()
        how = list(kinds(index))
        if not safe:
            how = ["array" if not self.within(i, n) else h for h, i, n in zip(how, index, shape, strict=True)]
        how = ["array" if looks(i) else h for h, i in zip(how, index, strict=True)]
        if (
            how == ["array", "array"]
            and index[0].axis
            and index[0] == index[1]
            and shape[0] == shape[1] == self.ranges[index[0].axis]
        ):
            return self.values.make("diagonal", (base,), None, shape[:1], base.kind), (index[0].axis,)
        solid = tuple(ints.of(0) if h == "array" else i for h, i in zip(how, index, strict=True))
        items = tuple(
            ("all",) if h == "array" else item for h, item in zip(how, self.basic(solid, shape), strict=True)
        )
        view = self.view_index(base, items)
        left = [(h, i, n) for h, i, n in zip(how, index, shape, strict=True) if h != "number"]
        if safe:
            view, left = self.windows(view, left)
        axes = [i.axes for _, i, _ in left]
        mixed = tuple(dict.fromkeys(a for h, i, _ in left if h == "array" for a in i.axes))
        if not any(h == "array" for h, _, _ in left):
            return view, tuple(a for own in axes for a in own)
        arrays: list[Value] = []
        pattern: list[int | None] = []
        for h, i, n in left:
            pattern.append(len(arrays) if h == "array" else None)
            if h == "array":
                arrays.append(self._reached(i, n, mixed, safe))
        result = natural(pattern, mixed, axes)
        view = self.values.make(
            "take", (view, *arrays), tuple(pattern), tuple(self.ranges[a] for a in result), view.kind
        )
        return view, result

    def windows(
        self, view: Value, left: list[tuple[str, Int, Int]]
    ) -> tuple[Value, list[tuple[str, Int, Int]]]:
        """Positions such as 2*i + p, on axes of their own, as a view with several axes instead of one."""
        uses: dict[str, int] = {}
        for _, i, _ in left:
            for a in i.axes:
                uses[a] = uses.get(a, 0) + 1
        found: list[tuple[str, Int, Int]] = []
        for h, i, n in left:
            steps = [i.coefficient(a) for a in i.axes]
            alone = h == "array" and all(uses[a] == 1 for a in i.axes)
            run = radix(i, self.ranges) if alone else None
            if run is not None:
                k, sizes = len(found), self.shape(run[1])
                whole = (
                    ("slice", run[0], 1, ints.product(sizes), False) if ints.product(sizes) != n else ("all",)
                )
                view = self.view_index(
                    view, tuple(whole if d == k else ("all",) for d in range(len(view.shape)))
                )
                view = self.values.reshape(view, (*view.shape[:k], *sizes, *view.shape[k + 1 :]))
                found += [("slice", ints.axis(a), self.ranges[a]) for a in run[1]]
            elif alone and len(steps) > 1 and not looks(i) and all(s is not None and s.number for s in steps):
                k = len(found)
                start = i
                for s, a in zip(steps, i.axes, strict=True):
                    assert s is not None
                    start = start - s * ints.axis(a)
                lengths = tuple(self.ranges[a] for a in i.axes)
                shape = (*view.shape[:k], *lengths, *view.shape[k + 1 :])
                info = (k, start, tuple(s.number for s in steps if s is not None), lengths)
                view = self.values.make("window", (view,), info, shape, view.kind)
                found += [("slice", ints.axis(a), self.ranges[a]) for a in i.axes]
            else:
                found.append((h, i, n))
        return view, found


def natural(pattern: Iterable[int | None], mixed: Axes, axes: list[Axes]) -> Axes:
    """The axes of a result of indexing by arrays, in NumPy's order."""
    pattern = list(pattern)
    where = [k for k, p in enumerate(pattern) if p is not None]
    front = where != list(range(where[0], where[0] + len(where))) if where else False
    result: list[str] = list(mixed) if front else []
    for k, own in enumerate(axes):
        if pattern[k] is None:
            result += own
        elif not front and k == where[0]:
            result += mixed
    return tuple(result)


def looks(i: Int) -> bool:
    return any(isinstance(a, Look) for a in i.atoms())


def _varies(a: Any) -> bool:
    """Whether an atom is more than a size."""
    if isinstance(a, Size):
        return False
    return isinstance(a, (Axis, Look)) or any(map(_varies, (*a.top.atoms(), *a.bottom.atoms())))
