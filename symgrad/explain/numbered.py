"""The story with numbers in it: below each equation its right side with the numbers put in, and its value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from symgrad.explain.cast import Cast
from symgrad.explain.formula import (
    IDENTITY,
    ONES,
    Apply,
    Big,
    Connected,
    Derivative,
    Entry,
    Extent,
    Fold,
    Formula,
    Iverson,
    Matrix,
    Modulo,
    Norm,
    Number,
    Position,
    Power,
    Product,
    Quotient,
    Ranged,
    Relation,
    Sum,
    Symbol,
    Transpose,
    entry,
    minus,
)  # fmt: skip
from symgrad.explain.latex import LATEX
from symgrad.explain.parts import Equation, Group, Part, Passage, Prose, Remark, Sentence, Story
from symgrad.explain.scripts import TEXT
from symgrad.explain.values import Run, Values, finite

COLUMNS, HIGH, WIDE = 10, 16, 300.0  # of a matrix in LaTeX: amsmath's own limit, rows, points
_EXACT = 14  # digits of a fraction that is still shown as one
_LINE, _POINTS = 70, 370.0  # numbers and their value go on one line up to this width
ETA = Symbol("eta", "η", r"\eta")


@dataclass(frozen=True)
class Rounding:
    """How numbers look.

    Attributes:
        digits: how many digits count, from the first that is not 0.
        decimals: instead, how many stand behind the point.
        full: how many entries an array may have that is printed in full.
    """

    digits: int = 6
    decimals: int | None = None
    full: int = 36

    def number(self, x: Any) -> Formula:
        """A number, rounded; an exact one as it is, if it is not too long."""
        if isinstance(x, (int, np.integer, Fraction)):
            exact = x if isinstance(x, Fraction) else Fraction(int(x))
            if len(str(exact)) <= _EXACT:
                return _signed(exact, exact.denominator > 1)
        x = float(x)
        if not np.isfinite(x):
            if np.isnan(x):
                return Symbol("nan", "nan", r"\mathrm{nan}")
            infinity = Symbol("inf", "∞", r"\infty")
            return infinity if x > 0 else minus(infinity)
        text = f"{x:.{self.digits}g}" if self.decimals is None else f"{x:.{self.decimals}f}"
        return _signed(Fraction(text), False)

    def array(self, a: np.ndarray, *, numpy: bool) -> Formula | None:
        """An array in full; None if it is too large for that."""
        if a.ndim == 0:
            return self.number(a.item())
        if not 0 < a.size <= self.full:
            return None
        found = self._nested(a)
        if not numpy and not _fits(found):
            return None
        return found

    def _nested(self, a: np.ndarray) -> Formula:
        if a.ndim == 0:
            return self.number(a.item())
        if a.ndim == 1:
            return Matrix((tuple(map(self.number, a.tolist())),), vector=True)
        if a.ndim == 2:
            return Matrix(tuple(tuple(map(self.number, row)) for row in a.tolist()))
        return Matrix((tuple(map(self._nested, a)),), vector=True)

    def norm(self, a: np.ndarray) -> Formula:
        with np.errstate(all="ignore"):
            return self.number(float(np.sqrt(np.sum(np.abs(a.astype(float)) ** 2))))


def _signed(x: Fraction, fraction: bool) -> Formula:
    number = Number(abs(x), fraction)
    return Sum(((True, number),)) if x < 0 else number


def _fits(f: Formula) -> bool:
    """Whether a matrix can be set by LaTeX on a line of a page."""
    if isinstance(f, Matrix):
        rows = len(f.rows[0]) if f.vector else len(f.rows)
        columns = 1 if f.vector else len(f.rows[0])
        if columns > COLUMNS or rows > HIGH:
            return False
    return LATEX.width(LATEX.line(f)) <= WIDE


class Unfit(Exception):
    """A formula that numbers cannot be put into: letters run in it, or an array is too large."""


class Putting:
    """Numbers in place of names.

    Args:
        counted: whether labels are positions, which count from 1 in mathematics.
    """

    def __init__(self, values: Run, rounding: Rounding, *, numpy: bool, counted: bool = False):
        self.values, self.rounding, self.numpy, self.counted = values, rounding, numpy, counted

    def formula(self, f: Formula) -> Formula:
        """A formula with the numbers of its tensors and sizes in it. Raises `Unfit`."""
        go = self.formula
        match f:
            case Number():
                return f
            case Extent(code):
                if code not in self.values.sizes:
                    raise Unfit
                return Number(Fraction(self.values.sizes[code]))
            case Symbol(code):
                if f in (ONES, IDENTITY) or _digits(code):
                    return f
                return self.whole(code)
            case Derivative(code=code):
                place = tuple(map(self.position, f.index))
                return self.entry(code, place) if place else self.whole(code)
            case Entry(base, index):
                name = getattr(base, "code", "")
                return self.entry(name, tuple(map(self.position, index)))
            case Sum(terms):
                return Sum(tuple(_flipped(negative, go(t)) for negative, t in terms))
            case Product(factors, kind):
                return Product(tuple(map(go, factors)), kind)
            case Quotient(a, b, kind):
                return Quotient(go(a), go(b), kind)
            case Modulo(a, b):
                return Modulo(go(a), go(b))
            case Power(a, b, elementwise):
                return Power(go(a), go(b), elementwise)
            case Apply(name, args):
                return Apply(name, tuple(map(go, args)))
            case Big(op, (), conditions, body):
                return Big(op, (), tuple(map(go, conditions)), go(body))
            case Fold(op, a, axis):
                return Fold(op, go(a), axis)
            case Iverson(c):
                return Iverson(go(c))
            case Relation(parts, ops):
                return Relation(tuple(map(go, parts)), ops)
            case Connected(op, args):
                return Connected(op, tuple(map(go, args)))
            case Transpose(a, stacked):
                inside = go(a)
                if isinstance(inside, Matrix) and inside.vector and not self.numpy:
                    return Matrix(inside.rows)  # a row
                return Transpose(inside, stacked)
            case Norm(a, matrix):
                return Norm(go(a), matrix)
            case Matrix(rows, vector):
                return Matrix(tuple(tuple(map(go, row)) for row in rows), vector)
        raise Unfit

    def whole(self, name: str) -> Formula:
        if name not in self.values:
            raise Unfit
        found = self.rounding.array(self.values[name], numpy=self.numpy)
        if found is None:
            raise Unfit
        return found

    def entry(self, name: str, place: tuple[int, ...]) -> Formula:
        x = self.at(name, place)
        return Position.at(int(x)) if self.counted and isinstance(x, np.integer) else self.rounding.number(x)

    def at(self, name: str, place: tuple[int, ...]) -> Any:
        """An entry; places before the first are the early rows of a recurrence."""
        if name not in self.values:
            raise Unfit
        a, early = self.values.arrays[name], self.values.early(name)
        place = tuple(p + k for p, k in zip(place, early, strict=True)) if early else place
        if len(place) != a.ndim or not all(0 <= p < n for p, n in zip(place, a.shape, strict=True)):
            raise Unfit
        return a[place]

    def position(self, f: Formula) -> int:
        """A place as a number, from 0; a label says one."""
        match f:
            case Symbol(code) if _digits(code):
                return int(code)
            case Entry(Symbol(name), index) if name in self.values:
                x = self.at(name, tuple(map(self.position, index)))
                if isinstance(x, (int, np.integer)):
                    return int(x)
        raise Unfit


def _digits(code: str) -> bool:
    return code.removeprefix("-").isdecimal()


def _flipped(negative: bool, f: Formula) -> tuple[bool, Formula]:
    """A term, its own sign taken out: a − 2 rather than a + (−2)."""
    if isinstance(f, Sum) and len(f.terms) == 1 and f.terms[0][0]:
        return not negative, f.terms[0][1]
    return negative, f


class Numbering:
    """Puts numbers into a story.

    Args:
        every: whether numbers stand below every step, not only below the last of those that go on from one another.
        numpy: whether the story writes matrices with NumPy's operators.
    """

    def __init__(self, values: Values, cast: Cast, rounding: Rounding, *, every: bool, numpy: bool):
        self.values, self.cast, self.rounding, self.every, self.numpy = values, cast, rounding, every, numpy
        self._shown: set[tuple[Formula, Formula]] = set()
        self._told_large: set[Sentence] = set()
        self._ended = False  # whether the first equation without a finite value was told
        self.counted = False

    def _putting(self, group: Group) -> Putting:
        return Putting(self.values.seen_by(group), self.rounding, numpy=self.numpy, counted=self.counted)

    def story(self, story: Story, rate: Any = None, updated: Mapping[str, np.ndarray] | None = None) -> Story:
        """The story with what is given in front and, if there is a rate, the update behind."""
        spoken = [p for p in story.passages if isinstance(p, Passage)]
        told = [e for p in spoken for e in p.equations if e.statements]
        scalar = bool(told) and all(e.at is not None or not self._axes(e) for e in told)
        beside = [e for p in spoken for _, more in p.beside for e in more]
        # where positions are written as numbers they count from 1 in mathematics, and so do labels
        self.counted = any(e.at for e in (*told, *beside))
        passages: list[Part] = list(self._given())
        passages += [self._passage(p) if isinstance(p, Passage) else p for p in story.passages]
        if updated:
            passages.append(self._update(rate, updated, entries=scalar))
        return Story((*story.notation, *self._sizes()), tuple(passages), story.title)

    def _axes(self, e: Equation) -> int:
        """How many axes the tensor has that an equation is about."""
        name = e.statements[0].out
        return self.values.final[name].ndim if name in self.values.final else 0

    def _sizes(self) -> list[Sentence]:
        names = self.cast.names
        found: list[Any] = []
        for n, number in self.values.sizes.items():
            found += [", " if found else "Sizes: ", names.size(n), f" = {number}"]
        return [(*found, ".")] if found else []

    def _given(self) -> Iterable[Part]:
        """The inputs: small arrays in full, large ones by shape and norm."""
        equations: list[Equation] = []
        remarks: list[Remark] = []
        for t in self.cast.derived.source.inputs:
            symbol, a = self.cast.names.symbols[t.name], self.values.final[t.name]
            shown = self.rounding.array(a + 1 if self.counted and t.integer else a, numpy=self.numpy)
            if shown is None:
                remarks.append(self._large((), symbol, a))
            else:
                equations.append(Equation(symbol, shown))
        if equations:
            yield Passage(("Given",), tuple(equations), tuple(remarks))
        elif remarks:
            yield Prose(("Given",), tuple(r.sentence for r in remarks))

    def _large(self, numbers: Any, symbol: Formula, a: np.ndarray) -> Remark:
        """Of a large array its shape and its norm."""
        shape = "×".join(map(str, a.shape))
        if a.dtype.kind == "i" and a.size:  # labels
            low, high = (str(int(x) + self.counted) for x in (a.min(), a.max()))
            return Remark(numbers, "value", (symbol, f": {shape}, from {low} to {high}"))
        return Remark(
            numbers, "value", (symbol, f": {shape}, ", Norm(symbol, a.ndim > 1), " = ", self.rounding.norm(a))
        )

    def _passage(self, p: Passage) -> Passage:
        equations, remarks = self._numbered(p.equations)
        remarks += self._undefined(p.equations)
        beside = tuple((form, self._numbered(more)[0]) for form, more in p.beside)
        return replace(p, equations=equations, remarks=(*p.remarks, *remarks), beside=beside)

    def _undefined(self, equations: Sequence[Equation]) -> Iterable[Remark]:
        """Where the numbers end: the first equation that has no finite value though all that it reads has one."""
        for e in equations:
            if self._ended or not e.statements:
                continue
            run = self.values.seen_by(e.statements)
            out = e.statements[0].out
            reads = [r for s in e.statements for r in s.reads if r in run and r != out]
            if out not in run or finite(run[out]) or not all(finite(run[r]) for r in reads):
                continue
            self._ended = True
            cause = next((c for c in map(run.cause, e.statements) if c is not None), None)
            left = self.cast.names.tensor(out)
            told: Sentence = (left, " has no finite value with these numbers")
            if cause is not None:
                where: Sentence = (
                    (f"{cause.name} of ", self.rounding.number(cause.at), " is ") if cause.name else ()
                )
                told = (*where, f"{cause.said}: ", *told)
            yield Remark(e.numbers, "no number", (*told, ", and nor has what is computed from it."))

    def _numbered(self, equations: Sequence[Equation]) -> tuple[tuple[Equation, ...], list[Remark]]:
        open_groups = self._checked(equations)
        rows: list[Equation] = []
        remarks: list[Remark] = []
        chains = _chains(equations)
        final = {chain[0].left: n for n, chain in enumerate(chains)}
        for n, chain in enumerate(chains):
            left = chain[0].left
            for k, e in enumerate(chain):
                rows.append(e)
                last = k == len(chain) - 1 and (self.every or final[left] == n)
                if left is None or not e.statements or e.statements in open_groups:
                    continue
                if last or self.every and not _lettered(left):
                    more, large = self._value(left, e)
                    rows[-1:] = self._joined(left, [e, *more])
                    remarks += [r for r in large if r.sentence not in self._told_large]
                    self._told_large.update(r.sentence for r in large)
        return tuple(rows), remarks

    def _joined(self, left: Formula, rows: list[Equation]) -> list[Equation]:
        """An equation and what stands below it; a number alone goes on the line of the formula if there is room."""
        if len(rows) != 2 or rows[1].left is not None or isinstance(rows[0].right, Ranged):
            return rows
        e, value = rows[0], rows[1].right
        line = Relation((e.right, value), ("=",))
        if isinstance(value, (Relation, Matrix)) or self._lines(line, left) > 1:
            return rows
        return [replace(e, right=line)]

    def _checked(self, equations: Sequence[Equation]) -> set[Group]:
        """Each equation evaluated and compared with the value of its tensor. Several may each add a part to one
        tensor: then all together; those before the last are returned.

        Raises:
            Wrong: an equation gives another value.
        """
        pending: dict[str, Group] = {}
        parts: set[Group] = set()
        seen: set[Group] = set()
        for e in equations:
            if not e.statements or e.statements in seen:
                continue
            seen.add(e.statements)
            name = e.statements[0].out
            group = (*pending.get(name, ()), *(s for s in e.statements if s not in pending.get(name, ())))
            if self.values.part(group) and any(s.op != "=" for s in group):
                pending[name] = group
                parts.add(e.statements)
            else:
                self.values.check(group)
                pending.pop(name, None)
        return parts

    def _value(self, left: Formula, e: Equation) -> tuple[list[Equation], list[Remark]]:
        """The rows below an equation: its right side with numbers, and its value."""
        putting = self._putting(e.statements)
        name, place = self._told(left, e, putting)
        if name is None:
            return [], []
        whole = _bare(left)
        if place is None:
            a = putting.values[name]
            value = self.rounding.array(a, numpy=self.numpy)
            if value is None:
                return [], [self._large(e.numbers, whole, a)]
        else:
            value = putting.entry(name, place)
        if value == e.right:
            return [], []
        onward = None if place is not None or not _lettered(left) else whole
        if onward is not None or (left, e.right) in self._shown:
            return [Equation(onward, value)], []
        self._shown.add((left, e.right))
        return self._rows(left, e.right, value, putting), []

    def _rows(self, left: Formula, right: Formula, value: Formula, putting: Putting) -> list[Equation]:
        """A right side with numbers put in, if that fits, and its value."""
        try:
            numbers = putting.formula(right)
        except Unfit:
            return [Equation(None, value)]
        if numbers == value:
            return [Equation(None, value)]
        line = Relation((numbers, value), ("=",))
        if self._lines(line, left) <= 1:
            return [Equation(None, line)]
        if self._lines(numbers) > 3 or not self.numpy and _stretch(numbers) > WIDE:
            return [Equation(None, value)]
        return [Equation(None, numbers), Equation(None, value)]

    def _lines(self, f: Formula, left: Formula | None = None) -> float:
        """How many lines a formula takes, about, beside a left side."""
        beside = [f] if left is None else [f, left]
        if self.numpy:
            return sum(len(TEXT.line(x)) for x in beside) / _LINE
        return sum(LATEX.width(LATEX.line(x)) for x in beside) / _POINTS

    def _told(
        self, left: Formula, e: Equation, putting: Putting
    ) -> tuple[str | None, tuple[int, ...] | None]:
        """The tensor that a left side names, and which entry if it is one."""
        match left:
            case (
                Symbol(code)
                | Entry(Symbol(code), _)
                | Derivative(code=code)
                | Entry(Derivative(code=code), _)
            ):
                name = code
            case _:
                return None, None
        if name not in putting.values:
            if not e.statements or e.at is None:
                return None, None
            name = e.statements[0].out
        index = left.index if isinstance(left, (Entry, Derivative)) else ()
        if e.at is not None:
            return name, e.at
        try:
            place = tuple(map(putting.position, index))
            putting.at(name, place) if place else None
        except Unfit:
            return name, None
        return name, place or None

    def _update(self, rate: Any, updated: Mapping[str, np.ndarray], *, entries: bool) -> Passage:
        """`W ← W − η ∂L/∂W`, with numbers; entry by entry if asked for."""
        names = self.cast.names
        taken = {s.text for s in names.symbols.values()} | {"eta"} & {*self.cast.tensors, *names.letters}
        eta = ETA if not taken & {"eta", "η"} else Symbol("rate", "rate", r"\mathrm{rate}")
        equations: list[Equation] = []
        remarks: list[Remark] = []
        step = self.rounding.number(rate)

        def moved(old: Formula, slope: Formula, value: Formula) -> list[Equation]:
            rule = Equation(old, _descent(old, eta, slope), sign="←")
            return [rule, *self._rows(old, _descent(old, step, slope), value, self._putting(()))]

        for name, a in updated.items():
            symbol = names.symbols[name]
            slope = names.tensor(self.cast.derived.gradients[name])
            value = self.rounding.array(a, numpy=self.numpy)
            if value is None:
                equations.append(Equation(symbol, _descent(symbol, eta, slope), sign="←"))
                remarks.append(self._large((), symbol, a))
            elif entries:
                for place in np.ndindex(*a.shape):
                    index = tuple(map(Position.at, place))
                    equations += moved(
                        entry(symbol, index), entry(slope, index), self.rounding.number(a[place])
                    )
            else:
                equations += moved(symbol, slope, value)
        why: Sentence = ("each moves against its gradient by the rate ", eta, ", all from the old values.")
        return Passage(
            ("Update, ", eta, " = ", step), tuple(equations), (Remark((), "gradient descent", why), *remarks)
        )


def _stretch(f: Formula) -> float:
    """The widest part of a formula in LaTeX that no line can break."""
    widest = width = 0.0
    for piece in LATEX.write(f):
        width = piece.width if piece.depth is not None else width + piece.width
        widest = max(widest, width)
    return widest


def _descent(old: Formula, rate: Formula, slope: Formula) -> Formula:
    return Sum(((False, old), (True, Product((rate, slope)))))


def _chains(equations: Iterable[Equation]) -> list[list[Equation]]:
    """Equations that go on from one another."""
    chains: list[list[Equation]] = []
    for e in equations:
        if e.left is not None or not chains:
            chains.append([e])
        else:
            chains[-1].append(e)
    return chains


def _lettered(left: Formula) -> bool:
    index = left.index if isinstance(left, (Entry, Derivative)) else ()
    return any(not (isinstance(i, Symbol) and _digits(i.code)) for i in index)


def _bare(left: Formula) -> Formula:
    """The tensor of which a left side is an entry."""
    match left:
        case Entry(base, _):
            return _bare(base)
        case Derivative(top, bottom):
            return replace(left, top=_bare(top), bottom=_bare(bottom))
    return left
