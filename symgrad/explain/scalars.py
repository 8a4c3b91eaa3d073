"""Statements entry by entry: what the index form says with letters, written out for sizes that are numbers.

A statement is laid over its whole grid. At each point its letters are numbers, so its guards and brackets are decided
where they depend on positions and sizes alone (what a bracket excludes vanishes, whatever else stands there), sums
become terms, and what is added at a looked-up position is added at every one, in a bracket. Nothing else is
calculated: what stands is the index form, term by term.

In mathematics positions and the values of labels count from 1, in code from 0.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import Any, cast

from symgrad.errors import Refusal
from symgrad.explain.formula import (
    ONE,
    Apply,
    Big,
    Derivative,
    Entry,
    Formula,
    Iverson,
    Number,
    Position,
    Power,
    Product,
    Quotient,
    Relation,
    Sum,
    Symbol,
    minus,
    plus,
    times,
    walk,
)  # fmt: skip
from symgrad.explain.indices import REDUCERS, Indices, Inline, scale
from symgrad.explain.latex import LATEX
from symgrad.explain.names import Names
from symgrad.explain.parts import Equation, Group, Passage
from symgrad.explain.scripts import CODE, TEXT
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Cmp, Condition, Expr, Logic, Mul, Num, Stop, Val
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Axis, Int, Look, Size
from symgrad.language.program import Program, Statement
from symgrad.passes.forms import match_index, placed

ENTRIES, TERMS = 400, 5000  # what one document writes out at most

Place = tuple[int, ...]
Term = tuple[tuple[Condition, ...], Expr]  # what a statement adds at one point of its grid, and where it does
ZERO = Number(ex.ZERO.value)


class Scalars(Indices):
    """Formulas of single entries, with `inline` parts put in place of their names.

    Args:
        sizes: a number for every size letter.
        code: the program, where text of the language is wanted: there rows before the first are no entries, and what
            the program writes to them is put in place.
        loose: tensors whose entries have a name of their own in code, which knows no equations for single steps of a
            recurrence.
    """

    def __init__(
        self,
        names: Names,
        inline: Inline,
        sizes: Mapping[str, int],
        code: Program | None = None,
        loose: Collection[str] = (),
    ):
        super().__init__(names, inline)
        self.sizes, self.code, self.loose = sizes, code, loose

    # whole tensors

    def entries(self, group: Group, whole: bool) -> list[tuple[Place, Formula, Formula]]:
        """Each entry that a group writes: where it stands, and the two sides of its equation.

        Args:
            whole: whether nothing else writes the tensor, so that what the group leaves out is 0.
        """
        shape = self.shape(group[0].out)
        everywhere = itertools.product(*map(range, shape)) if whole else ()
        rights: dict[Place, list[Formula]] = {p: [] for p in everywhere}
        for s in group:
            if s.op in IMPLICIT:
                for p in itertools.product(*map(range, shape)):
                    rights.setdefault(p, []).append(self.implicit(s, tuple(map(ints.of, p))))
                continue
            terms: dict[Place, list[Term]] = {}
            for point in self.grid(s):
                for p, term in self.landed(s, point, shape):
                    terms.setdefault(p, []).append(term)
            for p, met in terms.items():
                rights.setdefault(p, []).append(self.gathered(s.op, met))
        out = []
        for p in sorted(rights, key=_order(group)):
            parts = [f for f in rights[p] if f != ZERO]
            nothing = ONE if group[0].op == "prod=" and not rights[p] else ZERO
            out.append((p, self.entry(group[0].out, p), plus(*parts) if parts else nothing))
        return out

    def entry(self, name: str, place: Place) -> Formula:
        """The entry of a tensor."""
        return self.at(name, tuple(map(ints.of, place)))

    def landed(self, s: Statement, point: Mapping[Axis, int], shape: Place) -> Iterator[tuple[Place, Term]]:
        """Where a statement writes at one point of its grid, and what: at a looked-up place, at each one in a
        bracket."""
        left = [self.settled_int(i, point) for i in s.left]
        open_places = [k for k, i in enumerate(left) if i.number is None]
        term = self.term(s, point)
        if term is None:
            return
        conditions, body = term
        for chosen in itertools.product(*(range(shape[k]) for k in open_places)):
            put = dict(zip(open_places, chosen, strict=True))
            met = [self.decided(Cmp("==", ex.val(left[k]), ex.val(v)), {}) for k, v in put.items()]
            if False in met:
                continue
            place = tuple(put.get(k, i.number or 0) for k, i in enumerate(left))
            yield place, ((*(c for c in met if not isinstance(c, bool)), *conditions), body)

    def grid(self, s: Statement) -> Iterator[dict[Axis, int]]:
        """Every point: a number for each letter."""
        letters = [Axis(a) for a, _ in s.axes]
        for point in itertools.product(*(range(self.number(n)) for _, n in s.axes)):
            yield dict(zip(letters, point, strict=True))

    def number(self, n: Int) -> int:
        """A size as a number."""
        return int(n.evaluate(lambda a: self.sizes[a.name]))  # type: ignore[union-attr]

    def shape(self, name: str) -> Place:
        """The shape of a tensor in numbers."""
        return tuple(map(self.number, self.names.tensors[name].shape))

    # rules in symbols

    def ruled(self, left: Formula, right: Formula, like: Group) -> list[tuple[Place, Formula, Formula]]:
        """An equation that is no statement, such as the chain rule in symbols, at each place of its left side, in the
        order of a group that writes them; none where it has a part that only statements can be written out for."""
        index = next((f.index for f in walk(left) if isinstance(f, Entry)), ())
        found = []
        try:
            sizes = self._lettered((left, right))
            for place in sorted(itertools.product(*(range(sizes[x]) for x in index)), key=_order(like)):
                at = dict(zip(index, map(Position.at, place), strict=True))
                found.append((place, _put(left, at, sizes), _put(right, at, sizes)))
        except _Open:
            return []
        return found

    def _lettered(self, formulas: Iterable[Formula]) -> dict[Formula, int]:
        """How far each letter runs, by the places where it stands alone."""
        found: dict[Formula, int] = {}
        for f in (x for formula in formulas for x in walk(formula)):
            if isinstance(f, Entry):
                name = f.base.code if isinstance(f.base, Symbol) else ""
                if name not in self.names.tensors or not all(isinstance(i, Symbol) for i in f.index):
                    raise _Open
                found.update(zip(f.index, self.shape(name), strict=True))
        return found

    # one point

    def term(self, s: Statement, point: Mapping[Axis, int]) -> Term | None:
        """What a statement adds at a point; None where it adds nothing."""
        conditions: list[Condition] = []
        for c in ex.conjuncts(s.guard):
            holds = self.decided(c, point)
            if holds is False:
                return None
            if holds is not True:
                conditions += ex.conjuncts(holds)
        return tuple(conditions), self.settled(s.body, point)

    def settled(self, e: Expr, point: Mapping[Axis, int]) -> Expr:
        """An expression at a point, its letters and sizes replaced by numbers and its brackets decided."""
        match e:
            case Access(name, index):
                return Access(name, tuple(self.settled_int(i, point) for i in index))
            case Val(i):
                return ex.val(self.settled_int(i, point))
            case Bracket(c):
                holds = self.decided(c, point)
                return Bracket(holds) if not isinstance(holds, bool) else ex.ONE if holds else ex.ZERO
            case Mul(args):
                # a bracket is strongly zero: beside one that does not hold nothing is looked at
                brackets = {a: self.settled(a, point) for a in args if isinstance(a, Bracket)}
                if ex.ZERO in brackets.values():
                    return ex.ZERO
                return ex.mul(*(brackets[a] if a in brackets else self.settled(a, point) for a in args))
            case Stop(a, kind):
                inner = self.settled(a, point)
                return inner if isinstance(inner, Num) else Stop(inner, kind)
        parts: tuple[Any, ...] = ex.children(e)
        return cast(Expr, ex.rebuild(e, tuple(self.settled(c, point) for c in parts)))

    def decided(self, c: Condition, point: Mapping[Axis, int]) -> bool | Condition:
        """Whether a condition holds at a point, or what is left of it where that depends on data."""
        if isinstance(c, Cmp):
            a, b = self.settled(c.a, point), self.settled(c.b, point)
            if isinstance(a, Num) and isinstance(b, Num):
                return _COMPARE[c.op](a.value, b.value)
            return Cmp(c.op, a, b)
        parts = [self.decided(a, point) for a in c.args]
        if c.op == "not":
            return not parts[0] if isinstance(parts[0], bool) else Logic("not", (parts[0],))
        settling = c.op == "or"  # the value that settles it alone
        if settling in parts:
            return settling
        rest = tuple(p for p in parts if not isinstance(p, bool))
        return not settling if not rest else rest[0] if len(rest) == 1 else Logic(c.op, rest)

    def settled_int(self, i: Int, point: Mapping[Axis, int]) -> Int:
        """An integer expression at a point."""

        def value(a: ints.Atom) -> int | None:
            return point[a] if isinstance(a, Axis) else self.sizes[a.name] if isinstance(a, Size) else None

        return i.replace(value)

    # formulas

    def gathered(self, op: str, terms: Iterable[Term]) -> Formula:
        """A reduction written out: a sum of terms, a product of factors, max(a, b, c)."""
        if op in ("=", "+="):
            met = [(cs, self.expr(body, [])) for cs, body in terms if body != ex.ZERO]
            return _summed([(times(*map(Iverson, self.chained(cs, []))), f) for cs, f in met])
        name = REDUCERS[op]
        shown = []
        for conditions, body in terms:
            f = self.expr(body, [])
            shown.append(Big(name, (), tuple(self.chained(conditions, [])), f) if conditions else f)
        if op == "prod=":
            return ZERO if ZERO in shown else times(*shown)
        return shown[0] if len(shown) == 1 else Apply(name, tuple(shown))

    def side(
        self, s: Statement, kept: tuple[str, ...], places: Sequence[Formula], outer: list[str]
    ) -> Formula:
        """A part that is put in place, written out."""
        if s.op in IMPLICIT:
            return self.implicit(s, s.left)
        found = [self.term(s, point) for point in self.grid(s)]
        return self.gathered(s.op, [t for t in found if t is not None])

    def expr(self, e: Expr, used: list[str], *, inside: bool = False) -> Formula:
        if isinstance(e, Val):
            return self.spelled(e.int, 0)
        return super().expr(e, used, inside=inside)

    def access(self, name: str, index: tuple[Int, ...], used: list[str]) -> Formula:
        early = self.code is not None and any(i.number is not None and i.number < 0 for i in index)
        for s in (
            self.code.writers(name) if self.code is not None and early and name not in self.loose else ()
        ):
            bound = match_index(s.left, index, {})
            if s.op == "=" and bound is not None and set(bound) == set(s.ranges):
                return self.expr(self.settled(placed(s.body, bound), {}), used)
        return super().access(name, index, used)

    def chained(self, parts: Sequence[Condition], used: list[str]) -> list[Formula]:
        return [self.condition(c, used) for c in parts]

    def condition(self, c: Condition, used: list[str]) -> Formula:
        if isinstance(c, Cmp):
            a, b = ex.whole(c.a), ex.whole(c.b)
            if a is not None and b is not None:  # of integers both sides count from 1
                return Relation((self.position(a), self.position(b)), (c.op,))
        return super().condition(c, used)

    def at(self, name: str, index: tuple[Int, ...]) -> Formula:
        if name in self.loose and all(i.number is not None for i in index):
            numbers = [
                f"m{-i.number}" if i.number < 0 else str(i.number) for i in index if i.number is not None
            ]
            loose = "_".join([name, *numbers])
            return Symbol(loose, loose, loose)
        return super().at(name, index)

    def position(self, i: Int) -> Formula:
        return self.spelled(i, 1)

    def spelled(self, i: Int, start: int) -> Formula:
        """An integer whose look-ups count from 0 in code and from 1 in mathematics; so does the whole if `start`
        is 1."""
        n = i.number
        if n is not None:
            return Position.at(n) if start else super().integer(i)
        code = super().integer(i)
        shown = super().integer(i.replace(lambda a: ints.of(a) - 1 if isinstance(a, Look) else None) + start)
        if code == shown:
            return code
        around = "({})" if not start else "{}"
        return Symbol(CODE.line(code), *(around.format(script.line(shown)) for script in (TEXT, LATEX)))

    def called(self, name: str) -> str:
        """A tensor with its shape in numbers, for messages."""
        t = self.names.tensors[name]
        what = "the derivative by " if t.role == "adjoint" else ""
        of = self.names.tensors[t.of] if what else t
        shape = f"[{', '.join(map(str, self.shape(of.name)))}]" if of.shape else ""
        return f"{what}{of.name}{shape}"

    # how much there is

    @cached_property
    def _weights(self) -> dict[str, int]:
        return {}

    def weight(self, s: Statement, over: Iterable[str]) -> int:
        """How many terms there are in what a statement writes over some of its letters, with those of its parts."""
        ranges = s.ranges
        parts = 0
        for x in ex.walk(s.body):
            part = self.inline.get(x.tensor) if isinstance(x, Access) else None
            if part is not None and part.op not in IMPLICIT:
                if part.out not in self._weights:
                    self._weights[part.out] = self.weight(part, part.reduced)
                parts += self._weights[part.out]
        return prod(self.number(ranges[a]) for a in over) * max(1, parts)

    def amount(self, group: Group) -> tuple[int, int]:
        """How many entries and how many terms a group has, written out; nothing is laid out for it."""
        shape = self.shape(group[0].out)
        terms = 0
        for s in group:
            looked = [
                n for n, i in zip(shape, s.left, strict=True) if any(isinstance(a, Look) for a in i.atoms())
            ]
            terms += prod(shape) if s.op in IMPLICIT else self.weight(s, s.ranges) * prod(looked)
        return prod(shape), terms


class _Open(Exception):
    """A formula that letters alone do not open."""


def _put(f: Formula, at: Mapping[Formula, Formula], sizes: Mapping[Formula, int]) -> Formula:
    """A formula of entries, derivatives, products and sums with numbers for its letters, the sums written out."""

    def go(x: Formula) -> Formula:
        return _put(x, at, sizes)

    match f:
        case Symbol():
            return at.get(f, f)
        case Number():
            return f
        case Entry(base, index):
            return Entry(base, tuple(map(go, index)))
        case Derivative(top, bottom):
            return replace(f, top=go(top), bottom=go(bottom))
        case Sum(terms):
            return plus(*(minus(go(t)) if negative else go(t) for negative, t in terms))
        case Product(factors, "times"):
            return times(*map(go, factors))
        case Power(base, exponent, False):
            return Power(go(base), go(exponent))
        case Quotient(top, bottom, "times"):
            return Quotient(go(top), go(bottom))
        case Big("sum", letters, (), body):
            grid = itertools.product(*(range(sizes[x]) for x in letters))
            points = [dict(zip(letters, map(Position.at, numbers), strict=True)) for numbers in grid]
            return plus(*(_put(body, {**at, **point}, sizes) for point in points))
    raise _Open


def _summed(terms: Sequence[tuple[Formula, Formula]]) -> Formula:
    """A sum of terms, each behind its bracket; what stands in front of every one stands in front of the sum."""
    if not terms:
        return ZERO
    scaled = [scale(body) for _, body in terms]
    front = scaled[0][0]
    if len(terms) > 1 and front != ONE and all(f == front for f, _ in scaled):
        rest = [times(c, body) for (c, _), (_, body) in zip(terms, scaled, strict=True)]
        return times(front, plus(*rest))
    return plus(*(times(c, body) for c, body in terms))


def _order(group: Group) -> Callable[[Place], Place]:
    """Entries in the order in which they are found: what runs backwards from the last step."""
    turned = {
        k
        for s in group
        if s.scan is not None and s.scan.backward
        for k, i in enumerate(s.left)
        if s.scan.axis in i.axes
    }
    return lambda place: tuple(-x if k in turned else x for k, x in enumerate(place))


_COMPARE: Mapping[str, Callable[[Fraction, Fraction], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def in_order(equations: Sequence[tuple[Formula, Formula]]) -> list[int]:
    """The places of equations in an order in which what is read comes first, all entries of a tensor together."""
    writers: dict[str, list[int]] = {}
    for k, (left, _) in enumerate(equations):
        writers.setdefault(_name(left), []).append(k)
    done: dict[int, None] = {}

    def visit(k: int) -> None:
        if k in done:
            return
        left, right = equations[k]
        for name in dict.fromkeys(map(_name, walk(right))):
            if name and name != _name(left):
                for j in writers.get(name, ()):
                    visit(j)
        done[k] = None

    for k in range(len(equations)):
        visit(k)
    return list(done)


def _name(f: Formula) -> str:
    """What a formula is called in code, if it is a tensor or an entry of one."""
    f = f.base if isinstance(f, Entry) else f
    return f.code if isinstance(f, (Symbol, Derivative)) else ""


# documents

Make = Callable[[Mapping[str, Statement]], Scalars]


def written(
    passages: Sequence[Passage], make: Make, complete: Callable[[Group], bool]
) -> tuple[Passage, ...]:
    """Passages of the index form with every equation written out; the numbers stand with the first entry.

    Args:
        make: gives the writer that has some parts in place.
        complete: whether nothing else writes the tensor of a group.

    Raises:
        Refusal: that would be too much to read.
    """
    # what results repeat counts once
    told = dict.fromkeys((e.statements, e.put) for p in passages for e in p.equations if e.statements)
    refuse_much([(group, make({s.out: s for s in put})) for group, put in told])
    return tuple(_written(p, make, complete) for p in passages)


def _written(p: Passage, make: Make, complete: Callable[[Group], bool]) -> Passage:
    blocks: list[list[Equation]] = []
    for n, e in enumerate(p.equations):
        scalars, said = make({s.out: s for s in e.put}), e.statements
        if said:
            found = scalars.entries(said, complete(said))
        else:
            like: Group = next((after.statements for after in p.equations[n:] if after.statements), ())
            found = scalars.ruled(e.left, e.right, like) if e.left is not None else []
        block = [
            Equation(left, right, () if k else e.numbers, said, e.sign, e.put, place if said else None)
            for k, (place, left, right) in enumerate(found)
        ]
        if not block:
            continue
        before = blocks[-1] if blocks else []
        if [(b.left, b.right) for b in before] == [(b.left, b.right) for b in block]:
            before[0] = replace(before[0], numbers=(*before[0].numbers, *e.numbers))
        else:
            blocks.append(block)
    return replace(p, equations=tuple(e for block in blocks for e in block))


def refuse_much(groups: Sequence[tuple[Group, Scalars]]) -> None:
    """Refuses what nobody would read, before any of it is laid out."""
    amounts = [scalars.amount(group) for group, scalars in groups]
    for k, (what, limit) in enumerate((("entries", ENTRIES), ("terms", TERMS))):
        counts = [amount[k] for amount in amounts]
        if sum(counts) <= limit:
            continue
        most = max(counts)
        group, scalars = groups[counts.index(most)]
        called = scalars.called(group[0].out)
        said = f"the scalar form of {called} has {most} {what}"
        if most <= limit:
            said = f"the scalar form has {sum(counts)} {what} in all, {most} of them for {called}"
        raise Refusal(
            f"{said}, and {limit} are written out at most; ask for form='index', or give smaller sizes"
        )
