"""From statements to NumPy operations: one lowering for both printers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction

from symgrad.emit.blank import Blank, blanks
from symgrad.emit.domains import Border, Bordered, bordered, narrowed
from symgrad.emit.operations import NEUTRAL, Operations
from symgrad.emit.positions import Axes, looks
from symgrad.emit.values import Value, contiguous, python
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.ints import Axis, Int, radix
from symgrad.language.program import Program, Statement, Tensor, open_parts
from symgrad.passes.loops import Run, stepwise
from symgrad.passes.recognise import kinds, recognise, without_units

_WRITERS = {"=": "add", "+=": "add", "max=": "maximum", "min=": "minimum", "prod=": "multiply"}
_WINDOW = 16  # a window of at most so many places is gone through place by place
_UNROLLED = 32  # a scatter of a window becomes at most so many slices, else one scatter by positions


class Lowering(Operations):
    """Statements to values, in the order in which they run; `calls` and `products` as for `Operations`."""

    def __init__(self, program: Program, *, calls: bool, products: bool):
        super().__init__(program, calls=calls, products=products)
        # tensors in memory that nothing else is a view of, so that they can be changed
        self.owned: set[str] = set()
        self._entered = 0
        self._blanks: dict[str, Blank] = {}
        self._begun: set[str] = set()

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
        moving = {a for i in places if len(i.axes) > 1 and not looks(i) for a in i.axes}
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
            return self.values.make("fill", (), NEUTRAL[_WRITERS[s.op]], shape)
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
        safe = s.guard is None or all(self.within(i, n) for i, n in zip(s.left, shape, strict=True))
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
        if safe and "array" not in how and not any(looks(i) for i in s.left):
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
        if any(looks(i) for i in s.left):
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


def _fixed(s: Statement, place: Mapping[str, int]) -> Statement:
    """The statement at one place of some of its axes."""
    at: dict[ints.Atom, ints.IntLike] = {Axis(a): k for a, k in place.items()}
    axes = tuple((a, n) for a, n in s.axes if a not in place)
    guard = None if s.guard is None else open_parts(ex.substitute(s.guard, at), dict(axes))
    left = tuple(i.substitute(at) for i in s.left)
    return replace(s, left=left, body=ex.substitute(s.body, at), guard=guard, axes=axes)


def _step(i: Int, axis: str) -> int:
    """How far a position moves with an axis, whichever way."""
    step = i.coefficient(axis)
    return abs(step.number or 0) if step is not None else 0
