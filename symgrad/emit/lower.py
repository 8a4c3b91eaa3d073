"""From whole arrays to NumPy operations: one lowering for both printers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from string import ascii_letters
from typing import Any

from symgrad.emit.blank import Blank, blanks
from symgrad.emit.contract import Contraction
from symgrad.emit.domains import Border, Bordered, bordered, narrowed
from symgrad.emit.values import COMPARISONS, Value, Values, contiguous, filled, python
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Expr
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Axis, Int, Look, Quotient, Size, radix
from symgrad.language.program import Program, Statement, Tensor, open_parts, within
from symgrad.language.scalar import leaf_lines
from symgrad.leaves import LEAVES
from symgrad.passes import arrays as ar
from symgrad.passes.arrays import Array
from symgrad.passes.loops import Run, stepwise
from symgrad.passes.recognise import kinds, recognise, turned, without_units

Axes = tuple[str, ...]

_REDUCE = {"sum": "add", "max": "maximum", "min": "minimum", "prod": "multiply", "any": "logical_or"}
_NEUTRAL: dict[str, Fraction | float] = {
    "add": Fraction(0), "maximum": float("-inf"), "minimum": float("inf"), "multiply": Fraction(1),
}  # fmt: skip
_WRITERS = {"=": "add", "+=": "add", "max=": "maximum", "min=": "minimum", "prod=": "multiply"}
_WINDOW = 16  # a window of at most so many places is gone through place by place
_UNROLLED = 32  # a scatter of a window becomes at most so many slices, else one scatter by positions


class Lowering:
    """Statements to values, in the order in which they run.

    Args:
        calls: leaves without a ufunc stay calls (of small helper functions); else they become ufuncs.
        products: contractions become matrix products over reshaped copies; else they stay einsums.
    """

    def __init__(self, program: Program, *, calls: bool, products: bool):
        self.program, self.calls, self.products = program, calls, products
        self.values = Values()
        self.env: dict[str, Value] = {}
        self.ranges: Mapping[str, Int] = {}
        self.owned: set[str] = (
            set()
        )  # tensors in memory that nothing else is a view of, so that they can be changed
        self._done: dict[Array, Value] = {}
        self._entered = 0
        self._blanks: dict[str, Blank] = {}
        self._begun: set[str] = set()

    def input(self, name: str) -> Value:
        """A tensor as it is stored."""
        t = self.program[name]
        return self.values.make("input", (), name, t.shape, "int" if t.integer else "real")

    def tensor(self, name: str) -> Value:
        if name not in self.env:
            self.env[name] = self.input(name)
        return self.env[name]

    # ---- statements

    def prepare(self, statements: Iterable[Statement], kept: Iterable[str]) -> list[Run]:
        """The statements and loops to lower, as they are run."""
        statements, kept = tuple(statements), tuple(kept)
        self._blanks = blanks(self.program, statements, kept) if self.products else {}
        self.program, runs = stepwise(self.program, statements, kept)
        return runs

    def enter(self, run: Run) -> list[tuple[str, Value]]:
        """Make room for what a loop writes, before its first step: new arrays by name."""
        made = []
        for s in run.steps:
            earlier = self.env.get(s.out)
            self._fresh(s.out, earlier)
            if s.left and s.out not in self.owned and not self._whole(s):
                shape = self.program[s.out].shape
                if earlier is None:
                    self.env[s.out] = self._blank(s)
                else:
                    self.env[s.out] = self.values.make("clone", (earlier,), None, shape)
                self.owned.add(s.out)
                made.append((s.out, self.env[s.out]))
        self._entered = len(self.values.all)
        return made

    def leave(self) -> None:
        """What a step has computed is not found again behind the loop."""
        self.values.forget(self._entered)

    def trimmed(self, name: str, early: tuple[int, ...]) -> Value:
        """A tensor without its early rows."""
        v = self.tensor(name)
        if not early:
            return v
        items = tuple(
            ("slice", ints.of(k), 1, n - k, False) if k else ("all",)
            for k, n in zip(early, v.shape, strict=True)
        )
        return self.view_index(v, items)

    def _whole(self, s: Statement) -> bool:
        return s.plain and tuple(s.ranges[i.axis or ""] for i in s.left) == self.program[s.out].shape

    def _fresh(self, name: str, earlier: Value | None) -> None:
        if earlier is not None and name not in self._begun:
            self._blanks.pop(name, None)
        self._begun.add(name)

    def statement(self, s: Statement, origin: Statement | None = None) -> Value:
        """The tensor that a statement writes, as it is afterwards; `origin` is the statement before it was one step."""
        self._fresh(s.out, self.env.get(s.out))
        start = self._blanks.get(s.out)
        first = start is not None and origin in start.sets
        s = without_units(s, self.program)
        out, border = s.out, None
        if s.scan is None:
            s, border = self.inside(narrowed(s))
        self.ranges, self._done = s.ranges, {}
        earlier = self.env.get(out)
        name = "set" if s.op not in _WRITERS or s.op == "=" and s.guard is None else _WRITERS[s.op]
        if first and border is None:
            name = "set"
        if border is not None:
            value = self.scatter(s, name, self._blank(s))
            items = zip(border, self.program[out].shape, strict=True)
            value = self.view_index(value, tuple(("slice", before, 1, n, False) for (before, _), n in items))
            value = value if earlier is None else self.values.ufunc(name, earlier, value)
        else:
            entries = None
            # made before its entries, so that these can be computed in place
            steps = self._steps(s)
            blank = None if earlier is not None or self._whole(s) and not steps else self._blank(s)
            if not steps:
                entries, s = self.merged(self.entries(s), s)
            if entries is not None and self._whole(s):
                value = (
                    entries if earlier is None or name == "set" else self.values.ufunc(name, earlier, entries)
                )
            else:
                if earlier is None:
                    earlier = blank if blank is not None else self._blank(s)
                elif out not in self.owned:
                    earlier = self.values.make("clone", (earlier,), None, earlier.shape)
                self.owned.add(out)
                value = self.scatter(s, name, earlier, entries)
        self.env[out] = value
        return value

    def entries(self, s: Statement) -> Value:
        """What a statement writes, its axes as its left side has them."""
        window = self._window(s)
        if not window:
            product = self._product_of_units(s)
            return product or self.values.real(self.array(recognise(s, self.program)))
        # a window is small: one pass over all of them for each of its places is quicker than a pass over each
        parts = [self._one(s, place) for place in self._places(window)]
        total = parts[0]
        for part in parts[1:]:
            total = self.values.ufunc(_WRITERS[s.op], total, part)
        return total

    def _product_of_units(self, s: Statement) -> Value | None:
        """A contraction computed without axes of length one, as the same arrays are read elsewhere."""
        units = {a: 0 for a in s.kept if s.ranges[a] == ints.ONE}
        several = isinstance(s.body, ex.Mul) and len(ex.accesses(s.body)) > 1
        if not (units and several and self.products and s.plain and s.reduced and s.op == "+=") or s.scan:
            return None
        inner = _fixed(s, units)
        inner = replace(inner, left=tuple(i for i in inner.left if i.axes))
        self.ranges = inner.ranges
        value = self.values.real(self.array(recognise(inner, self.program)))
        self.ranges, self._done = s.ranges, {}
        if not contiguous(value):
            return None
        return self.values.reshape(value, tuple(s.ranges[i.axis or ""] for i in s.left))

    def _window(self, s: Statement) -> Axes:
        """The reduced axes of a statement that takes something of each small window; none for any other."""
        if not self.products or s.scan is not None or s.op not in ("+=", "max=", "min="):
            return ()
        factors = s.body.args if isinstance(s.body, ex.Mul) else (s.body,)
        if s.op == "+=" and sum(isinstance(f, ex.Access) for f in factors) != 1:
            return ()  # a product over a window is left to matrices
        parts = [e for c in (s.body, s.guard) if c is not None for e in ex.walk(c)]
        places = [i for e in parts if isinstance(e, ex.Access) for i in e.index]
        moving = {a for i in places if len(i.axes) > 1 and not _looks(i) for a in i.axes}
        moving |= self._front(s, s.reduced)
        few = all(a in moving and self.ranges[a].number is not None for a in s.reduced)
        return s.reduced if few and self._count(s.reduced) <= _WINDOW else ()

    def _front(self, s: Statement, axes: Axes) -> set[str]:
        """Those of the axes that come first wherever they occur: what belongs to one of their places is one block."""
        found = set(axes)
        for e in (e for c in (s.body, s.guard) if c is not None for e in ex.accesses(c)):
            first = [i.axis for i in e.index]
            count = next((k for k, a in enumerate(first) if a not in axes), len(first))
            found -= {a for i in e.index[count:] for a in i.axes}
        return found

    def _steps(self, s: Statement) -> Axes:
        """The axes of places that are written one by one, each computed for itself."""
        if not self.products or s.reduced or s.scan is not None:
            return ()
        parts = [c for c in (s.body, s.guard) if c is not None]
        judged = {a for c in parts for e in ex.walk(c) if isinstance(e, ex.Val) for a in e.int.axes}
        if s.plain:
            first = [i.axis or "" for i in s.left]
            loops = tuple(first[: next((k for k, a in enumerate(first) if a not in judged), 0)])
            loops = loops if self._front(s, loops) == set(loops) else ()
        else:
            whole = isinstance(s.body, ex.Access) and s.guard is None and set(s.kept) <= set(ex.axes(s.body))
            loops = () if whole else self.offsets(s) or ()
        return loops if self._count(loops) <= _WINDOW else ()

    def _count(self, axes: Iterable[str]) -> int:
        return ints.product(self.ranges[a] for a in axes).number or 10**9

    def _places(self, axes: Axes) -> list[dict[str, int]]:
        """Every combination of positions of axes whose sizes are numbers."""
        places: list[dict[str, int]] = [{}]
        for a in axes:
            size = self.ranges[a].number
            assert size is not None
            places = [{**p, a: k} for p in places for k in range(size)]
        return places

    def _one(self, s: Statement, place: Mapping[str, int]) -> Value:
        """What a statement writes at one place of some of its axes."""
        one = _fixed(s, place)
        self.ranges = one.ranges
        value = self.values.real(self.array(recognise(one, self.program)))
        self.ranges = s.ranges
        return value

    def _blank(self, s: Statement) -> Value:
        """The tensor that a statement writes as it is before."""
        blank, shape = self._blanks.get(s.out), self.program[s.out].shape
        if blank is None or blank.slabs is None:
            return self.values.make("fill", (), _NEUTRAL[_WRITERS[s.op]], shape)
        v = self.values.make("fill", (), None, shape)
        for axis, start, length in blank.slabs:
            index = tuple(
                ("slice", start, 1, length, False) if k == axis else ("all",) for k in range(len(shape))
            )
            v = self.values.make("store", (v, self.values.number(0)), ("set", index), shape)
        return v

    def inside(self, s: Statement) -> tuple[Statement, Border | None]:
        """The statement with the arrays that its windows reach out of in borders, and the border of what it writes."""
        s, made, border = bordered(s, self.program)
        if not made and border is None:
            return s, None
        tensors = dict(self.program.tensors)
        for b in made:
            shape = b.shape(self.program)
            tensors[b.name] = Tensor(b.name, shape)
            info = (b.border, b.fill)
            self.env[b.name] = self.values.make("pad", (self.tensor(b.tensor),), info, shape)
        if border is not None:
            name = f"{s.out}\0"
            wide = Bordered(name, s.out, border, Fraction(0)).shape(self.program)
            tensors[name] = Tensor(name, wide)
            s = replace(s, out=name)
        self.program = replace(self.program, tensors=tensors)
        return s, border

    def merged(self, value: Value, s: Statement) -> tuple[Value, Statement]:
        """Places that count through several axes, `c*(h*w) + i*w + j`, as one axis of the value."""
        runs = [radix(i, self.ranges) for i in s.left] if s.scan is None else []
        uses = [a for i in s.left for a in i.axes]
        if not any(runs) or len(set(uses)) < len(uses):
            return value, s
        groups = [run[1] if run else i.axes for i, run in zip(s.left, runs, strict=True)]
        order = [a for g in groups for a in g]
        value = self.values.transpose(value, tuple(s.kept.index(a) for a in order))
        if self.products and not contiguous(value):
            value = self.values.make("copy", (value,), None, value.shape)
        left, axes, kept = [], [(a, n) for a, n in s.axes if a not in order], []
        for i, run, group in zip(s.left, runs, groups, strict=True):
            if run is None:
                left.append(i)
                kept += [(a, self.ranges[a]) for a in group]
            else:
                left.append(run[0] + ints.axis(run[1][0]))
                kept.append((run[1][0], ints.product(self.ranges[a] for a in group)))
        s = replace(s, left=tuple(left), axes=(*kept, *axes))
        self.ranges = s.ranges
        return self.values.reshape(value, tuple(n for _, n in kept)), s

    def scatter(self, s: Statement, name: str, target: Value, value: Value | None = None) -> Value:
        """Write at positions, `value` or what the statement says: slices where they can be, else by positions."""
        shape = self.program[s.out].shape
        safe = s.guard is None or all(
            within(i, n, self.ranges, self.program.tensors) for i, n in zip(s.left, shape, strict=True)
        )
        if value is None and safe and self._steps(s):
            for place in self._places(self._steps(s)):
                left = _fixed(s, place).left
                self._done = {}
                part = self._one(s, place)
                target = self.values.make(
                    "store", (target, part), (name, self.basic(left, shape)), target.shape
                )
            return target
        value = self.entries(s) if value is None else value
        how = kinds(s.left)
        if safe and "array" not in how and not any(_looks(i) for i in s.left):
            if value.op == "broadcast" and python(value.args[0]):
                value = value.args[0]  # a number goes everywhere by itself
            return self.values.make("store", (target, value), (name, self.basic(s.left, shape)), target.shape)
        loops = self.offsets(s) if safe else None
        if loops is not None:
            return self.slices(s, name, target, value, loops)
        positions, pattern, axes = self.positions(s.left, shape, safe)
        value = self.values.transpose(value, tuple(s.kept.index(a) for a in axes))
        return self.values.make("put", (target, value, *positions), (name, pattern), target.shape)

    def offsets(self, s: Statement) -> Axes | None:
        """The axes of a window to run over one by one, so that what is left is slices; None if there are none."""
        if any(_looks(i) for i in s.left):
            return None
        chosen: list[str] = []
        seen: dict[str, int] = {}
        for k, i in enumerate(s.left):
            for a in i.axes:
                step = i.coefficient(a)
                if step is None or not step.number or seen.setdefault(a, k) != k:
                    return None
            # of equally long axes the one with small steps, which is the place in a window
            known = sorted((self.ranges[a].number or 10**9, _step(i, a), a) for a in i.axes)
            chosen += [a for *_, a in known[:-1]]
        count = 1
        for a in chosen:
            count *= self.ranges[a].number or 10**9
        return tuple(chosen) if count <= _UNROLLED else None

    def slices(self, s: Statement, name: str, target: Value, value: Value, loops: Axes) -> Value:
        kept = s.kept
        shape = self.program[s.out].shape
        for p in self._places(loops):
            left = tuple(i.substitute({Axis(a): k for a, k in p.items()}) for i in s.left)
            index = tuple(("at", ints.of(p[a])) if a in p else ("all",) for a in kept)
            part = self.view_index(value, index)
            order = [a for i in left for a in i.axes]
            remaining = [a for a in kept if a not in p]
            part = self.values.transpose(part, tuple(remaining.index(a) for a in order))
            target = self.values.make("store", (target, part), (name, self.basic(left, shape)), target.shape)
        return target

    # ---- positions

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
            v = self.whole(i, mixed)
            if not safe and not within(i, n, self.ranges, self.program.tensors):
                v = self.values.ufunc("maximum", v, self.values.number(0), kind="int")
                v = self.values.ufunc("minimum", v, self.values.size(n - 1), kind="int")
            arrays.append(v)
        return arrays, tuple(pattern), natural(pattern, mixed, [i.axes for i in index])

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
            all(within(i, n, self.ranges, self.program.tensors) for i, n in zip(a.index, shape, strict=True)),
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
            how = [
                "array" if not within(i, n, self.ranges, self.program.tensors) else h
                for h, i, n in zip(how, index, shape, strict=True)
            ]
        how = ["array" if _looks(i) else h for h, i in zip(how, index, strict=True)]
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
                v = self.whole(i, mixed)
                if not safe and not within(i, n, self.ranges, self.program.tensors):
                    v = self.values.ufunc("maximum", v, self.values.number(0), kind="int")
                    v = self.values.ufunc("minimum", v, self.values.size(n - 1), kind="int")
                arrays.append(v)
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
            elif (
                alone and len(steps) > 1 and not _looks(i) and all(s is not None and s.number for s in steps)
            ):
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

    # ---- arrays

    def array(self, node: Array) -> Value:
        """A node's value; its axes are `node.axes`."""
        if node not in self._done:
            self._done[node] = self._array(node)
        return self._done[node]

    def _array(self, node: Array) -> Value:
        values = self.values
        match node:
            case ar.Ref(name, _):
                return self.tensor(name)
            case ar.Scalar(e):
                return self.expr(e, self.tensor)
            case ar.Index(i, axes, _):
                return values.real(self.whole(i, axes))
            case ar.Gather(name, index, axes, _, guarded):
                v, own = self.gather(name, index, not guarded)
                return values.transpose(v, tuple(own.index(a) for a in axes))
            case ar.Transpose(ar.MatMul(a, b, _, own), axes) if self.products and len(own) > 2:
                return self.contract((a, b), axes)
            case ar.Transpose(a, axes):
                return values.transpose(self.array(a), tuple(a.axes.index(x) for x in axes))
            case ar.Expand(a, axes, _):
                v = self.aligned(self.array(a), a.axes, axes)
                return values.make("broadcast", (v,), None, self.shape(axes), v.kind)
            case ar.Reduce(op, a, over, axes):
                v = self.array(a)
                if op == "any":
                    return values.make(
                        "reduce",
                        (v,),
                        ("logical_or", tuple(a.axes.index(x) for x in over)),
                        self.shape(axes),
                        "bool",
                    )
                return self.reduced(
                    op, values.real(v), tuple(a.axes.index(x) for x in over), self.shape(axes)
                )
            case ar.MatMul(a, b, _, axes):
                return values.make(
                    "matmul", (values.real(self.array(a)), values.real(self.array(b))), None, self.shape(axes)
                )
            case ar.Contract(args, axes):
                return self.contract(args, axes)
            case ar.Implicit():
                return self.implicit(node)
            case ar.Elementwise():
                return self.elementwise(node)
        raise TypeError(f"not an array: {type(node).__name__}")

    def implicit(self, node: ar.Implicit) -> Value:
        """An operation on stacks of matrices."""
        columns = not node.vectors and len(node.axes) > 1
        ends = [len(letters) for letters in IMPLICIT[node.op].operands]  # how many axes of each are no stack
        ends[1:] = [2 if columns else end for end in ends[1:]]
        over = max((a.axes[:-end] for a, end in zip(node.args, ends, strict=True)), key=len)
        aligned = [
            self.aligned(self.values.real(self.array(a)), a.axes, (*over, *a.axes[-end:]))
            for a, end in zip(node.args, ends, strict=True)
        ]
        shape = self.shape(node.axes)
        if not node.vectors:
            return self.values.make("implicit", tuple(aligned), node.op, shape)
        column = self.values.expand(aligned[1], (True,) * len(aligned[1].shape) + (False,))
        found = self.values.make("implicit", (aligned[0], column), node.op, (*shape, ints.ONE))
        return self.view_index(found, (("all",),) * len(shape) + (("at", ints.ZERO),))

    def shape(self, axes: Iterable[str]) -> tuple[Int, ...]:
        return tuple(self.ranges[a] for a in axes)

    def aligned(self, v: Value, own: Axes, axes: Axes) -> Value:
        """A value with axes `own`, a subsequence of `axes`, so that it broadcasts to them."""
        return self.values.expand(v, tuple(a in own for a in axes)) if own else v

    def reduced(self, op: str, v: Value, over: tuple[int, ...], shape: tuple[Int, ...]) -> Value:
        if op == "sum" and self.products and len(v.shape) == 2 and len(over) == 1 and not v.once:
            ones = filled(self.values, 1, (v.shape[over[0]],))
            return self.values.make("matmul", (ones, v) if over == (0,) else (v, ones), None, shape)
        return self.values.make("reduce", (v,), (_REDUCE[op], over), shape)

    def contract(self, args: tuple[Array, ...], axes: Axes) -> Value:
        arrays = [self.values.real(self.array(a)) for a in args]
        if self.products and len(args) == 2:
            a, b = args
            return Contraction(self.values, self.ranges, arrays[0], a.axes, arrays[1], b.axes, axes).value()
        letters = dict(zip(dict.fromkeys(x for a in args for x in a.axes), ascii_letters, strict=False))
        text = (
            ",".join("".join(letters[x] for x in a.axes) for a in args)
            + "->"
            + "".join(letters[x] for x in axes)
        )
        return self.values.make("einsum", tuple(arrays), text, self.shape(axes))

    def elementwise(self, node: ar.Elementwise) -> Value:
        values, op = self.values, node.op
        if op == "multiply":
            if node.strong:
                return self.hidden(node)
            return self.product(node.args, node.axes)
        if op == "add":
            return self.sum(node)
        whole = [
            self.whole(a.int, a.axes) if isinstance(a, ar.Index) and op in COMPARISONS else self.array(a)
            for a in node.args
        ]
        args = [self.aligned(v, a.axes, node.axes) for v, a in zip(whole, node.args, strict=True)]
        if op == "power":
            exponent = node.args[1]
            return self.power(
                values.real(args[0]), exponent.expr if isinstance(exponent, ar.Scalar) else args[1]
            )
        if op in COMPARISONS:
            return values.ufunc(COMPARISONS[op], *args, kind="bool")
        if op in ("and", "or", "not"):
            if op == "not":
                return values.ufunc("logical_not", args[0], kind="bool")
            total = args[0]
            for a in args[1:]:
                total = values.ufunc(f"logical_{op}", total, a, kind="bool")
            return total
        if op == "bracket":
            return values.real(args[0])
        if op == "stop":
            return self.stopped(values.real(args[0]))
        if op.startswith("where"):
            instead = (
                args[2] if op == "where" else values.number(_NEUTRAL[_REDUCE[op.removeprefix("where ")]])
            )
            return values.make("where", (args[0], values.real(args[1]), instead), None, self.shape(node.axes))
        return self.leaf(op, [values.real(a) for a in args])

    def hidden(self, node: ar.Elementwise) -> Value:
        """A product under brackets: 0 where they do not hold, whatever the other factors are."""
        brackets = node.args[0]
        assert isinstance(brackets, ar.Elementwise)
        assert brackets.op == "bracket"
        mask = self.aligned(self.array(brackets.args[0]), brackets.axes, node.axes)
        rest = self.product(node.args[1:], node.axes)
        if python(rest):
            return self.values.ufunc("multiply", self.values.real(mask), rest)
        return self.values.make("hide", (mask, rest), None, self.shape(node.axes))

    def sum(self, node: ar.Elementwise) -> Value:
        parts: list[tuple[bool, Array]] = []
        for a in node.args:
            negative = _negated(a)
            parts.append((negative is None, negative if negative is not None else a))
        first = next((k for k, (plus, _) in enumerate(parts) if plus), None)
        if first is None:
            first = 0
        plus, start = parts.pop(first)
        total = self._real(start, node.axes)
        if not plus:
            total = self.values.ufunc("negative", total, kind="real")
        for plus, a in parts:
            total = self.values.ufunc(
                "add" if plus else "subtract", total, self._real(a, node.axes), kind="real"
            )
        return total

    def _real(self, a: Array, axes: Axes) -> Value:
        return self.values.real(self.aligned(self.array(a), a.axes, axes))

    def product(self, args: Iterable[Array], axes: Axes) -> Value:
        """A product: numbers first, smaller arrays before larger ones, division last."""
        numbers: list[Expr] = []
        over: list[tuple[Array, Value]] = []
        under: list[tuple[Array, Value]] = []
        for a in args:
            if isinstance(a, ar.Scalar):
                numbers.append(a.expr)
            elif (
                isinstance(a, ar.Elementwise)
                and a.op == "power"
                and isinstance(a.args[1], ar.Scalar)
                and _negative(a.args[1].expr)
            ):
                base = a.args[0]
                v = self.power(self.values.real(self.array(base)), ex.mul(-1, a.args[1].expr))
                under.append((base, self.aligned(v, base.axes, axes)))
            else:
                over.append((a, self._real(a, axes)))
        coefficient = ex.mul(*numbers)
        minus = ex.split(coefficient)[0] < 0
        if minus:
            coefficient = ex.mul(-1, coefficient)
        top, bottom = fraction(coefficient)
        tops = [v for _, v in sorted(over, key=lambda p: len(p[0].axes))]
        bottoms = [v for _, v in sorted(under, key=lambda p: len(p[0].axes))]
        if top == ex.ONE and bottom != ex.ONE and tops:
            bottoms.insert(0, self.expr(bottom, self.tensor))
        elif coefficient != ex.ONE or not tops:
            tops.insert(0, self.expr(coefficient, self.tensor))
        if minus:
            tops[0] = self.values.ufunc("negative", tops[0], kind="real")
        return self.ratio(tops, bottoms)

    def ratio(self, tops: list[Value], bottoms: list[Value]) -> Value:
        ufunc = self.values.ufunc
        total = tops[0]
        for v in tops[1:]:
            total = ufunc("multiply", total, v, kind="real")
        if not bottoms:
            return total
        below = bottoms[0]
        for v in bottoms[1:]:
            below = ufunc("multiply", below, v, kind="real")
        return ufunc("divide", total, below, kind="real")

    # ---- scalar expressions, and leaves

    def expr(self, e: Expr, given: Callable[[str], Value]) -> Value:
        """A scalar expression; `given` has the value of each name."""
        values = self.values

        def go(x: Expr) -> Value:
            return self.expr(x, given)

        match e:
            case ex.Num(v):
                return values.number(v)
            case ex.Const(name):
                return values.make("constant", info=name)
            case ex.Val(i):
                return values.size(i)
            case ex.Access(name, _):
                return given(name)
            case ex.Add(args):
                parts = sorted(args, key=lambda t: ex.split(t)[0] < 0)
                total = go(parts[0])
                for t in parts[1:]:
                    minus = ex.split(t)[0] < 0
                    total = values.ufunc(
                        "subtract" if minus else "add", total, go(ex.mul(-1, t) if minus else t), kind="real"
                    )
                return total
            case ex.Mul(args):
                if args[0] == ex.lift(-1):
                    return values.ufunc("negative", go(ex.mul(*args[1:])), kind="real")
                top, bottom = fraction(e)
                tops = [go(f) for f in (top.args if isinstance(top, ex.Mul) else (top,))]
                bottoms = (
                    []
                    if bottom == ex.ONE
                    else [go(f) for f in (bottom.args if isinstance(bottom, ex.Mul) else (bottom,))]
                )
                return self.ratio(tops, bottoms)
            case ex.Pow(a, b):
                return self.power(go(a), b if isinstance(b, ex.Num) else go(b))
            case ex.Call(name, args):
                return self.leaf(name, [go(a) for a in args])
            case ex.Bracket(ex.Cmp(op, a, b)):
                return values.real(values.ufunc(COMPARISONS[op], go(a), go(b), kind="bool"))
            case ex.Stop(a, kind):
                return go(a) if kind == "held" else self.stopped(go(a))
        raise TypeError(f"no scalar expression: {type(e).__name__}")

    def stopped(self, v: Value) -> Value:
        """A constant to every derivative, a complex step included."""
        return v if python(v) else self.values.make("stop", (v,), None, v.shape)

    def leaf(self, name: str, args: list[Value]) -> Value:
        leaf = LEAVES[name]
        if leaf.ufunc:
            return self.values.ufunc(leaf.run, *args, kind="real")
        if self.calls and not all(map(python, args)):
            v = self.values.ufunc(name, *args, kind="real")
            return self.values.make("leaf", tuple(args), name, v.shape) if v.op == "ufunc" else v
        known = dict(zip(leaf.params, args, strict=True))
        for part, body in leaf_lines(leaf):
            known[part] = self.expr(body, known.__getitem__)
        return known[""]

    def power(self, base: Value, exponent: Expr | Value) -> Value:
        """A power: small whole exponents as products, halves as roots."""
        values = self.values
        if isinstance(exponent, Value):
            return values.ufunc("power", base, values.real(exponent), kind="real")
        x = ex.number(exponent)
        if x is None:
            return values.ufunc("power", base, self.expr(exponent, self.tensor), kind="real")
        if x < 0:
            return values.ufunc("divide", values.number(1), self.power(base, ex.Num(-x)), kind="real")
        if x == Fraction(1, 2):
            return values.ufunc("sqrt", base, kind="real")
        if x == 1:
            return base
        if x.denominator == 1 and x <= 64:
            half = self.power(base, ex.Num(Fraction(x // 2))) if x > 3 else base
            square = values.ufunc("square", half, kind="real")
            return values.ufunc("multiply", square, base, kind="real") if x % 2 else square
        return values.ufunc("power", base, values.number(x), kind="real")


def _fixed(s: Statement, place: Mapping[str, int]) -> Statement:
    """The statement at one place of some of its axes."""
    at: dict[ints.Atom, ints.IntLike] = {Axis(a): k for a, k in place.items()}
    axes = tuple((a, n) for a, n in s.axes if a not in place)
    guard = None if s.guard is None else open_parts(ex.substitute(s.guard, at), dict(axes))
    left = tuple(i.substitute(at) for i in s.left)
    return replace(s, left=left, body=ex.substitute(s.body, at), guard=guard, axes=axes)


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


def fraction(e: Expr) -> tuple[Expr, Expr]:
    """A product as what is above and what is below the fraction bar."""
    top: list[Expr] = []
    bottom: list[Expr] = []
    for f in e.args if isinstance(e, ex.Mul) else (e,):
        if isinstance(f, ex.Pow) and _negative(f.exponent):
            bottom.append(ex.power(f.base, ex.mul(-1, f.exponent)))
        elif (
            isinstance(f, ex.Num)
            and f.value.numerator == 1
            and (1 < f.value.denominator < 10 or "/" in ex.decimal(f.value))
        ):
            bottom.insert(0, ex.Num(Fraction(f.value.denominator)))
        else:
            top.append(f)
    return ex.mul(*top), ex.mul(*bottom)


def _negative(e: Expr) -> bool:
    return isinstance(e, ex.Num) and e.value < 0


def _negated(a: Array) -> Array | None:
    """The array without its minus sign, or None if it has none."""
    if isinstance(a, ar.Scalar):
        return ar.Scalar(ex.mul(-1, a.expr)) if ex.split(a.expr)[0] < 0 else None
    if (
        isinstance(a, ar.Elementwise)
        and a.op == "multiply"
        and not a.strong
        and isinstance(a.args[0], ar.Scalar)
    ) and ex.split(a.args[0].expr)[0] < 0:
        rest = ex.mul(-1, a.args[0].expr)
        args = a.args[1:] if rest == ex.ONE else (ar.Scalar(rest), *a.args[1:])
        if len(args) == 1:
            return turned(args[0], a.axes) if set(args[0].axes) == set(a.axes) else None
        return ar.Elementwise("multiply", args, a.axes, reason=a.reason)
    return None


def _step(i: Int, axis: str) -> int:
    """How far a position moves with an axis, whichever way."""
    step = i.coefficient(axis)
    return abs(step.number or 0) if step is not None else 0


def _looks(i: Int) -> bool:
    return any(isinstance(a, Look) for a in i.atoms())


def _varies(a: Any) -> bool:
    """Whether an atom is more than a size."""
    if isinstance(a, Size):
        return False
    return isinstance(a, (Axis, Look)) or any(map(_varies, (*a.top.atoms(), *a.bottom.atoms())))
