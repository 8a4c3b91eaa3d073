"""Random valid programs, built directly in the statement form, for the tests that judge every pass and realisation.

Every statement kind of the form occurs: elementwise bodies over the whole table of leaves, contractions, broadcasting,
affine windows with guards, strided, mirrored and constant positions, look-ups, maxima and minima with both conventions
for ties, products, several writers, slices, shared tensors, softmax with `held`, `stop`, brackets on axes and on data,
recurrences (`programs.loops`) and operations on matrices (`programs.matrices`), draws, states and their next values.
An interval is kept for each tensor, so that every leaf stays inside its domain and nothing overflows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from typing import Any

import numpy as np
from hypothesis import strategies as st
from programs.loops import recurrence
from programs.matrices import implicit

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Cmp, Condition, Expr, Num, Stop
from symgrad.language.ints import Int, Look
from symgrad.language.program import Facts, Program, Statement, Tensor
from symgrad.language.samples import draw as draw_array
from symgrad.leaves import LEAVES

SIZES = {"n": 2, "k": 3, "h": 5, "u": 1, "m": 4}
LETTERS = (
    "i",
    "j",
    "k",
    "n",
    "p",
    "q",
    "h",
)  # some are size letters as well: an axis may be called like a size
WIDE = 30.0  # no entry is larger
# leaves that do not jump at whole numbers or half-axes, where one realisation may fall on either side by rounding
UNJUMPY = [name for name in LEAVES if name not in ("round", "floor", "ceil", "atan2")]

Interval = tuple[float, float]
Scope = dict[str, Int]


@dataclass
class Sample:
    """A program with numbers to run it on, and names to differentiate by."""

    program: Program
    sizes: dict[str, int]
    given: dict[str, np.ndarray]
    wrt: tuple[str, ...]

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """For hypothesis: a failing example as the text of its program."""
        printer.text(f"sizes {self.sizes}, wrt {', '.join(self.wrt)}\n{self.program}\n")


@dataclass
class _Builder:
    draw: Any
    tensors: dict[str, Tensor] = field(default_factory=dict)
    span: dict[str, Interval] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    private: list[str] = field(default_factory=list)  # may not be read by later statements
    numbers: Any = field(default_factory=lambda: count(1))

    # small choices

    def pick(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def chance(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(1, one_in)) == 1)

    def size(self) -> Int:
        choice = self.pick(["n", "k", "h", "u", "m", "1", "3", "h + 1", "2*k"])
        known = {"1": ints.ONE, "3": ints.of(3), "h + 1": ints.size("h") + 1, "2*k": ints.size("k") * 2}
        return known.get(choice) or ints.size(choice)

    def letters(self, sizes: list[Int]) -> Scope:
        names = self.draw(st.permutations(LETTERS))
        return dict(zip(names, sizes, strict=False))

    # tensors

    def tensor(self, stem: str, shape: tuple[Int, ...], span: Interval, **more: Any) -> str:
        name = f"{stem}{next(self.numbers)}"
        self.tensors[name] = Tensor(name, shape, **more)
        self.span[name] = span
        return name

    def declare(self) -> None:
        for _ in range(self.draw(st.integers(1, 3))):
            self.tensor("w", self.shape(), (-4.0, 4.0), role="weight")
        for _ in range(self.draw(st.integers(0, 2))):
            kind = self.pick(["plain", "bounded", "distribution", "symmetric", "plain", "draw", "state"])
            shape = self.shape()
            if kind == "bounded":
                facts = Facts(low=Fraction(1, 2), high=Fraction(2), strict_low=True)
                self.tensor("x", shape, (0.5, 2.0), role="data", facts=facts)
            elif kind == "distribution" and shape:
                self.tensor("t", shape, (0.0, 1.0), role="data", facts=Facts(distribution=True))
            elif kind == "symmetric":
                n = self.size()
                self.tensor(
                    "s", (n, n), (-4.0, 4.0), role=self.pick(["data", "weight"]), facts=Facts(symmetric=True)
                )
            elif kind == "draw":
                how = self.pick(
                    [("normal", Fraction(1, 2)), ("bernoulli", Fraction(4, 5)), ("uniform", -1, 2)]
                )
                self.tensor("d", shape, (-4.0, 4.0), role="draw", start=how)
            elif kind == "state":
                self.tensor("s", shape, (-4.0, 4.0), role="state", start=("zeros",))
            else:
                role = self.pick(["data", "constant"])
                raw = role == "data" and bool(shape) and self.chance(3)
                self.tensor("x", shape, (-4.0, 4.0), role=role, standardized=raw)
        for _ in range(self.draw(st.integers(0, 2))):
            below = self.size()
            self.tensor("l", self.shape(2), (0.0, 9.0), role="label", below=below)

    def shape(self, most: int = 3) -> tuple[Int, ...]:
        return tuple(self.size() for _ in range(self.draw(st.integers(0, most))))

    def readable(self) -> list[Tensor]:
        return [t for t in self.tensors.values() if not t.integer and t.name not in self.private]

    def recent(self) -> Tensor:
        """A tensor to read; the latest are likelier, so that chains get long."""
        options = self.readable()
        return (
            options[-1 - self.draw(st.integers(0, len(options) - 1))]
            if self.chance(2)
            else self.pick(options[-3:])
        )

    # positions

    def position(self, size: Int, scope: Scope) -> tuple[Int, tuple[Condition, ...]]:
        """A place on an axis, and the conditions under which it is in range."""
        bare = [ints.axis(a) for a, n in scope.items() if n == size]
        if bare and not self.chance(5):
            return self.pick(bare), ()
        odd: list[Int] = [ints.ZERO, size - 1]
        guarded: list[Int] = []
        for a, n in scope.items():
            i = ints.axis(a)
            odd += [
                x
                for x in (i, i + 1, n - 1 - i, i * 2, i // 2, (i + 1) % 2, i * 0)
                if self.inside(x, size, scope)
            ]
            if n == size:
                guarded += [i - 1, i + 1]
            for b, m in scope.items():
                if b != a:
                    odd += [
                        x for x in (i + ints.axis(b), i * 2 + ints.axis(b)) if self.inside(x, size, scope)
                    ]
                    if n == size and m.number == 3:
                        guarded += [i + ints.axis(b) - 1, i - ints.axis(b) + 1]
        for t in self.tensors.values():
            if t.integer and t.below == size and all(n in scope.values() for n in t.shape):
                index = tuple(self.pick([ints.axis(a) for a, n in scope.items() if n == m]) for m in t.shape)
                odd += [ints.of(Look(t.name, index))] * 4
        if guarded and self.chance(2):
            at = self.pick(guarded)
            return at, (Cmp("<=", ex.ZERO, ex.val(at)), Cmp("<", ex.val(at), ex.val(size)))
        return self.pick(odd), ()

    def inside(self, x: Int, size: Int, scope: Scope) -> bool:
        span = ints.bounds(x, scope)
        return (
            span is not None
            and ints.nonnegative(span[0]) is True
            and ints.nonnegative(size - 1 - span[1]) is True
        )

    def read(self, t: Tensor, scope: Scope) -> tuple[Expr, Interval, tuple[Condition, ...]]:
        places = [self.position(n, scope) for n in t.shape]
        entry = Access(t.name, tuple(p for p, _ in places))
        return entry, self.span[t.name], tuple(c for _, cs in places for c in cs)

    # bodies: an expression with the interval of its values

    def atom(self, scope: Scope) -> tuple[Expr, Interval]:
        entry, (low, high), conditions = self.read(self.recent(), scope)
        if conditions:
            return ex.mul(*map(Bracket, conditions), entry), (min(low, 0.0), max(high, 0.0))
        return entry, (low, high)

    def body(self, scope: Scope, depth: int) -> tuple[Expr, Interval]:
        kind = self.pick(["atom", "sum", "product", "leaf", "leaf", "scaled", "odd"]) if depth else "atom"
        if kind == "atom":
            return self.atom(scope)
        a, (low, high) = self.tame(*self.body(scope, depth - 1))
        if kind == "leaf":
            return self.leaf(a, (low, high), scope, depth)
        if kind == "scaled":
            c = self.pick([Fraction(2), Fraction(-1), Fraction(1, 2), Fraction(-3, 10)])
            return a * c + self.pick([0, 1]), _hull(
                *(float(c) * x + y for x in (low, high) for y in (0.0, 1.0))
            )
        if kind == "odd":
            return self.odd(a, (low, high), scope)
        b, (low2, high2) = self.tame(*self.body(scope, depth - 1))
        if kind == "sum":
            if self.chance(2):
                return a + b, (low + low2, high + high2)
            return a - b, (low - high2, high - low2)
        if low2 > 0.05 and self.chance(2):
            return a / b, _hull(*(x / y for x in (low, high) for y in (low2, high2)))
        return a * b, _hull(*(x * y for x in (low, high) for y in (low2, high2)))

    def leaf(self, a: Expr, span: Interval, scope: Scope, depth: int) -> tuple[Expr, Interval]:
        leaf = LEAVES[self.pick(UNJUMPY)]
        low, high = leaf.domain
        if len(leaf.params) == 2:
            b, (low2, high2) = self.tame(*self.body(scope, depth - 1))
            if leaf.domain != (-2.0, 2.0):
                width = Fraction(repr(high - low))
                a, b = (ex.call("sigmoid", x) * width + Fraction(repr(low)) for x in (a, b))
                return ex.call(leaf.name, a, b), (-5.0, 5.0)
            top = max(map(abs, (*span, low2, high2))) + 1.0
            return ex.call(leaf.name, a, b), (-2 * top, 2 * top)
        if leaf.domain == (-2.0, 2.0):
            if not (span[0] > -4.5 and span[1] < 4.5):
                a = ex.call("tanh", a)
            return ex.call(leaf.name, a), (0.0, 60.0) if leaf.name in ("exp", "cosh") else (-60.0, 60.0)
        # bring the argument inside the domain: its middle plus a sigmoid's share of its width
        if not (low <= span[0] and span[1] <= high):
            width = Fraction(repr(high - low))
            a = ex.call("sigmoid", a) * width + Fraction(repr(low))
        values = [float(getattr(np, leaf.run)(x)) for x in (low, high)] if leaf.ufunc else [-5.0, 5.0]
        return ex.call(leaf.name, a), _hull(*values)

    def odd(self, a: Expr, span: Interval, scope: Scope) -> tuple[Expr, Interval]:
        low, high = span
        kind = self.pick(["square", "root", "stop", "data", "axis", "value", "cube", "inverse", "power"])
        if kind == "stop":
            stopped = Stop(a, "stop")
            return stopped * a if self.chance(2) else stopped, _hull(
                *(x * y for x in span for y in span), *span
            )
        if kind == "data":
            other, _ = self.atom(scope)
            test = Cmp(self.pick(["<", ">", "<=", ">="]), other, Num(Fraction(1, 3)))
            return ex.mul(Bracket(test), a), _hull(0.0, low, high)
        if kind == "axis" and scope:
            one = ints.axis(self.pick(scope))
            two = self.pick([ints.axis(self.pick(scope)), ints.ZERO, ints.ONE])
            test = Cmp(self.pick(["<", "==", "!=", ">="]), ex.val(one), ex.val(two))
            whole: Condition = ex.Logic("not", (test,)) if self.chance(4) else test
            return ex.mul(Bracket(whole), a), _hull(0.0, low, high)
        if kind == "value":
            of = self.pick([*map(ints.axis, scope), *map(ints.size, SIZES)])
            top = 8.0 * max(abs(low), abs(high))
            return a * ex.val(of), (-top, top)
        if low > 0.1 and kind == "root":
            return ex.power(a, Fraction(1, 2)), (low**0.5, high**0.5)
        if low > 0.1 and kind == "inverse":
            return ex.power(a, self.pick([-1, -2, Fraction(-1, 2)])), (
                min(1 / high**2, 1 / high),
                1 / low**2 + 1 / low,
            )
        if low > 0.1 and high < 5 and kind == "power":
            return ex.power(a, ex.call("tanh", a)), (0.1, 5.0)
        if kind == "cube":
            return ex.power(a, 3), _hull(low**3, high**3)
        return ex.power(a, 2), (0.0 if low < 0 else low**2, max(low**2, high**2))

    def tame(self, e: Expr, span: Interval) -> tuple[Expr, Interval]:
        if max(abs(span[0]), abs(span[1])) <= WIDE / 4:
            return e, span
        return ex.call("tanh", e), (-1.0, 1.0)

    # statements

    def write(self, name: str, left: tuple[Int, ...], op: str, body: Expr, scope: Scope, **more: Any) -> None:
        axes = tuple(scope.items())
        if body == ex.ZERO:
            more.pop("guard", None)  # nothing would be left of it in the text
        self.statements.append(Statement(name, left, op, body, axes, **more))

    def place(self, scope: Scope, most: int = 3) -> tuple[list[str], tuple[Int, ...], tuple[Int, ...]]:
        kept = self.draw(st.lists(st.sampled_from(list(scope)), unique=True, max_size=most)) if scope else []
        return kept, tuple(map(ints.axis, kept)), tuple(scope[a] for a in kept)

    def axes(self, least: int, most: int) -> Scope:
        """Axes for a statement: sizes of what is there to be read, and a few others."""
        sizes = [*self.recent().shape, *self.recent().shape, self.size()]
        chosen = [self.pick(sizes) for _ in range(self.draw(st.integers(least, most)))]
        return self.letters(chosen)

    def elementwise(self) -> None:
        scope = self.axes(0, 3)
        body, span = self.tame(*self.body(scope, self.draw(st.integers(1, 3))))
        name = self.tensor("y", tuple(scope.values()), span, named=self.chance(2))
        self.write(name, tuple(map(ints.axis, scope)), "=", body, scope)

    def guarded(self) -> None:
        """Written only where a condition holds: the rest is zero."""
        scope = self.axes(1, 3)
        body, span = self.tame(*self.body(scope, 2))
        one = ints.axis(self.pick(scope))
        guard: Condition = Cmp(self.pick(["<", "!=", ">="]), ex.val(one), ex.val(self.pick([0, 1, 2])))
        if self.chance(3):
            other, _ = self.atom(scope)
            guard = ex.both(guard, Cmp(">", other, Num(Fraction(2, 7)))) or guard
        name = self.tensor("g", tuple(scope.values()), _hull(0.0, *span))
        self.write(name, tuple(map(ints.axis, scope)), "=", body, scope, guard=guard)

    def contraction(self) -> None:
        scope = self.axes(1, 4)
        body: Expr = ex.ONE
        high = 1.0
        conditions: tuple[Condition, ...] = ()
        for _ in range(self.draw(st.integers(1, 3))):
            entry, span, more = self.read(self.recent(), scope)
            if high * max(map(abs, span)) > WIDE:
                break
            body, high = body * entry, high * max(*map(abs, span), 1.0)
            conditions += more
        if self.chance(3):
            extra, span = self.tame(*self.body(scope, 2))
            body, high = body * extra, high * max(*map(abs, span), 1.0)
        kept, left, shape = self.place(scope, 2)
        total = high * float(
            np.prod([n.evaluate(lambda a: SIZES[a.name]) for a, n in scope.items() if a not in kept])
        )
        name = self.tensor("c", shape, (-total, total), named=self.chance(2))
        self.write(name, left, "+=", body, scope, guard=ex.both(*conditions))

    def extremum(self) -> None:
        scope = self.axes(1, 3)
        body, span = self.atom(scope) if self.chance(2) else self.tame(*self.body(scope, 2))
        kept, left, shape = self.place(scope, 2)
        if len(kept) == len(scope):
            kept, left, shape = kept[:-1], left[:-1], shape[:-1]
        name = self.tensor("m", shape, span)
        self.write(name, left, self.pick(["max=", "min="]), body, scope, ties=self.pick(["shared", "first"]))

    def product(self) -> None:
        scope = self.axes(1, 2)
        body, span = self.body(scope, 1)
        if max(map(abs, span)) > 1.5:
            body, span = ex.call("tanh", body), (-1.0, 1.0)
        kept, left, shape = self.place(scope, 1)
        if len(kept) == len(scope):
            kept, left, shape = [], (), ()
        high = max(1.0, *map(abs, span)) ** 9
        name = self.tensor("r", shape, (-min(high, 40.0), min(high, 40.0)))
        guard = None
        if self.chance(3):
            guard = Cmp("!=", ex.val(ints.axis(self.pick(scope))), ex.ONE)
        self.write(name, left, "prod=", body, scope, guard=guard)

    def writers(self) -> None:
        """Several `+=` statements: whole, scattered by a look-up, affine, and to a constant place."""
        shape = tuple(self.size() for _ in range(self.draw(st.integers(0, 2))))
        high = 0.0
        name = self.tensor("a", shape, (0.0, 0.0))
        self.private.append(name)
        for _ in range(self.draw(st.integers(2, 3))):
            scope = self.axes(0, 2)
            free = [a for a in LETTERS if a not in scope]
            left = []
            conditions: tuple[Condition, ...] = ()
            for n in shape:
                if self.chance(2) or not scope:
                    axis = free.pop()
                    scope[axis] = n
                    left.append(ints.axis(axis))
                else:
                    at, more = self.position(n, scope)
                    left.append(at)
                    conditions += more
            body, span = self.tame(*self.body(scope, 1))
            points = float(np.prod([n.evaluate(lambda a: SIZES[a.name]) for n in scope.values()]))
            high += points * max(map(abs, span))
            self.write(name, tuple(left), "+=", body, scope, guard=ex.both(*conditions))
        self.span[name] = (-high, high)
        self.private.remove(name)

    def slices(self) -> None:
        """Disjoint assignments: the first row and the rest, or even and odd places; some leave places unwritten."""
        n, scope = self.size(), self.axes(0, 1)
        free = [a for a in LETTERS if a not in scope]
        rest = tuple(map(ints.axis, scope))
        kind = self.pick(["first", "parity", "part"])
        i = ints.axis(free[0])
        size = n * 2 if kind == "parity" else n + 1
        name = self.tensor("f", (size, *scope.values()), (0.0, 0.0))
        self.private.append(name)
        places = {"first": (ints.ZERO, i + 1), "parity": (i * 2, i * 2 + 1), "part": (i,)}[kind]
        spans = [(0.0, 0.0)]
        for at in places:
            inner = {**scope, free[0]: n} if at.axes else dict(scope)
            body, span = self.tame(*self.body(inner, 2))
            spans.append(span)
            self.write(name, (at, *rest), "=", body, inner)
        self.span[name] = _hull(*(x for s in spans for x in s))
        self.private.remove(name)

    def softmax(self) -> None:
        """exp(z - held(max)) over its sum, or the logarithm of that sum; z a tensor or a body."""
        z = self.pick([t for t in self.readable() if t.shape] or [None])
        if z is None:
            return self.elementwise()
        scope = self.letters(list(z.shape))
        index = tuple(map(ints.axis, scope))
        entry = Access(z.name, index)
        last = self.pick(scope)
        left = tuple(ints.axis(a) for a in scope if a != last)
        shape = tuple(n for a, n in scope.items() if a != last)
        kind = self.pick(["held", "naive", "log", "naive log"])
        exponent: Expr = entry
        low, high = self.span[z.name]
        if max(abs(low), abs(high)) > 8:
            exponent = ex.call("tanh", entry)
        held: Expr = ex.ZERO
        if kind in ("held", "log"):
            top = self.tensor("m", shape, (low, high), named=False)
            self.write(top, left, "max=", exponent, scope)
            held = Stop(Access(top, left), "held")
            self.private.append(top)
        total = self.tensor("s", shape, (0.1, 9e4), named=False)
        self.private.append(total)
        if self.chance(2):
            e = self.tensor("e", z.shape, (0.0, 3e3), named=False)
            self.private.append(e)
            self.write(e, index, "=", ex.call("exp", exponent - held), scope)
            top_part: Expr = Access(e, index)
        else:
            top_part = ex.call("exp", exponent - held)
        self.write(total, left, "+=", top_part, scope)
        if kind in ("held", "naive"):
            name = self.tensor("p", z.shape, (0.0, 1.0))
            self.write(name, index, "=", top_part / Access(total, left), scope)
        else:
            name = self.tensor("l", shape, (-12.0, 14.0))
            outer = {a: n for a, n in scope.items() if a != last}
            self.write(name, left, "=", held + ex.call("log", Access(total, left)), outer)
        return None

    def log_of(self) -> None:
        """The logarithm of something positive that was computed before: what the stable forms look through."""
        options = [t for t in self.readable() if self.span[t.name][0] >= 0 and t.name.startswith("p")]
        if not options:
            return self.softmax()
        t = self.pick(options)
        scope = self.letters(list(t.shape))
        index = tuple(map(ints.axis, scope))
        body: Expr = ex.call("log", Access(t.name, index))
        if self.chance(2):
            body = ex.call("log", ex.add(Fraction(3, 2), ex.mul(-1, Access(t.name, index))))
        name = self.tensor("y", t.shape, (-16.0, 1.0))
        self.write(name, index, "=", body, scope)
        return None

    def finish(self) -> None:
        """The target: every tensor that nothing reads, weighed, in one statement each, or a few in one."""
        for t in [t for t in self.tensors.values() if t.role == "state"]:
            scope = self.letters(list(t.shape))
            place = tuple(map(ints.axis, scope))
            body, span = self.tame(*self.body(scope, 1))
            after = self.tensor("n", t.shape, span, role="next", of=t.name)
            self.private.append(after)
            self.write(after, place, "=", Access(t.name, place) * Fraction(9, 10) + body, scope)
        read = {r for s in self.statements for r in s.reads}
        name = "loss"
        ends = [t for t in self.tensors.values() if t.role in ("value", "weight") and t.name not in read]
        ends = ends or self.readable()[-1:]
        self.tensors[name] = Tensor(name)
        for k, t in enumerate(ends):
            scope = self.letters(list(t.shape))
            entry = Access(t.name, tuple(map(ints.axis, scope)))
            c = Fraction(k + 2, 3)
            form = self.pick(["linear", "square", "sine"])
            body = {"linear": entry * c, "square": entry * entry * c, "sine": ex.call("sin", entry) * c}[form]
            if scope and self.chance(2):
                body = body / ex.val(next(iter(scope.values())))
            self.write(name, (), "+=", body, scope)


KINDS = (
    "elementwise", "elementwise", "contraction", "contraction", "guarded", "extremum", "product",
    "writers", "slices", "softmax", "log_of", recurrence, recurrence, implicit,
)  # fmt: skip


@st.composite
def samples(draw: Any, most: int = 10) -> Sample:
    """A random program with arrays as declared, and names to differentiate by: weights, data, intermediates."""
    b = _Builder(draw)
    # arrays must tell every size, so one that nothing reads has them all
    b.tensors["grid"] = Tensor("grid", tuple(map(ints.size, SIZES)), "constant")
    b.private.append("grid")
    b.declare()
    # small programs show most defects, and are quick to judge
    for _ in range(draw(st.sampled_from([n for n in (1, 2, 3, 4, 2, 3, 5, 7, 12) if n <= most]))):
        if len(b.statements) >= most:
            break
        kind = b.pick(KINDS)
        getattr(b, kind)() if isinstance(kind, str) else kind(b)
    b.finish()
    sizes = tuple(SIZES)
    program = Program(b.tensors, tuple(b.statements), "loss", sizes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    given = {t.name: np.clip(draw_array(t, SIZES, rng), -4, 4) if not t.integer else draw_array(t, SIZES, rng)
             for t in program.inputs}  # fmt: skip
    weights = [t.name for t in program.role("weight")]
    inner = [t.name for t in program.role("data", "value") if t.name not in b.private]
    more = draw(st.lists(st.sampled_from(inner), unique=True, max_size=2)) if draw(st.booleans()) else []
    return Sample(program, dict(SIZES), given, (*weights, *more))


def _hull(*values: float) -> Interval:
    return min(values), max(values)
