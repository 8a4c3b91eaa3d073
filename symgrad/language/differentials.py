"""The differential of an implicit statement, from its row of the table to statements of the program."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, E, Expr
from symgrad.language.implicit import IMPLICIT, layout, operands, places, stacked
from symgrad.language.ints import Axis, Int, Size
from symgrad.language.program import Program, Statement
from symgrad.language.reader import read

Axes = tuple[tuple[str, Int], ...]


@dataclass(frozen=True)
class Term:
    """A scalar body summed over `axes`; its derivative by an entry of an operand is what that entry's adjoint gets."""

    body: Expr
    axes: Axes


def _size(op: str, letter: str) -> str:
    """The size of a letter's axis in the stated equations."""
    return "n" if IMPLICIT[op].square else f"n{letter}"


@cache
def _stated(op: str) -> tuple[Program, tuple[str, ...]]:
    """The equations of a row as a program, and the tensors that hold its terms."""
    row = IMPLICIT[op]
    shapes = [*zip("AB", row.operands, strict=False), ("X", row.result), ("dX", row.result)]
    lines = [
        f"{name}: data" + f"[{', '.join(_size(op, x) for x in letters)}]" * bool(letters)
        for name, letters in shapes
    ]
    names = tuple(f"T{k}" for k, _ in enumerate(row.terms))
    for name, term in zip(names, row.terms, strict=True):
        letters = dict.fromkeys(x for index in re.findall(r"\[(.*?)\]", term) for x in index.split(", "))
        lines.append(f"{name} = sum({', '.join((*letters, term))})")
    given = len(shapes)
    return read("\n".join([*lines[:given], *row.needs, *lines[given:]])), names


def computed(s: Statement) -> Statement:
    """What a statement computes, whatever its tensor and its letters are called."""
    return replace(s, out="").canonical()


class Differential:
    """What the differential of one statement is made of.

    Args:
        s: an implicit statement.
        bar: the adjoint of its result, at its left side. `lead` are axes that nothing but this has.
        named: makes a tensor of a shape, given a stem for its name.
        known: the tensors that there are, by what is computed; what is there is not computed again.

    Attributes:
        needs: statements that must run before the terms are read.
        terms: the bodies to be differentiated by the entries of the operands.
    """

    def __init__(
        self,
        s: Statement,
        bar: Expr,
        lead: Axes,
        named: Callable[[str, tuple[Int, ...]], str],
        known: dict[Statement, str],
    ):
        self.s, self.lead, self.named, self.known = s, lead, named, known
        self.at, over = places(s), stacked(s)
        self.over = (*(a for a, _ in lead), *over)
        self.ranges = {**dict(lead), **s.ranges}
        # each stated name as an entry of the program, with the axes to be replaced and those before them
        result = tuple(self.at[x] for x in IMPLICIT[s.op].result)
        self.entries: dict[str, tuple[Expr, tuple[str, ...]]] = {
            "X": (Access(s.out, s.left), result),
            "dX": (bar, result),
        }
        self.before = {"X": over, "dX": self.over}
        for name, letters, entry in zip("AB", IMPLICIT[s.op].operands, operands(s), strict=False):
            self.entries[name] = entry, tuple(self.at[x] for x in letters)
            self.before[name] = tuple(a for a in over if a in ex.axes(entry))
        self.needs: list[Statement] = []
        stated, names = _stated(s.op)
        for t in stated.statements:
            if t.out not in names:
                self._need(t)
        self.terms = tuple(self._term(t) for n in names for t in stated.writers(n))

    def _term(self, t: Statement) -> Term:
        t = self._lettered(t)
        return Term(self._placed(t.body), (*self._stacks(t.reads), *t.axes))

    def _need(self, t: Statement) -> None:
        """A stated equation as a statement, unless what it computes is there."""
        name, t = t.out, self._lettered(t)
        if t.op in IMPLICIT and "dX" in t.reads:
            self._store_bar()
        before = self._stacks(t.reads)
        front, own = tuple(ints.axis(a) for a, _ in before), t.left
        made = Statement(
            "", (*front, *own), t.op, self._placed(t.body), (*before, *t.axes),
            None if t.guard is None else self._placed(t.guard), line=self.s.line, label=self.s.label,
        )  # fmt: skip
        if t.op in IMPLICIT:
            made = replace(made, left=tuple(ints.axis(a) for a in layout(made).result if a is not None))
        key = computed(made)
        if key not in self.known:
            part = t.op in IMPLICIT and name != "L"
            stem = f"{operands(self.s)[0].tensor}_{t.op}" if part else f"{name}_{self.s.out}"
            self.known[key] = self.named(stem, tuple(made.ranges[a] for i in made.left for a in i.axes))
            self.needs.append(replace(made, out=self.known[key]))
        self.entries[name] = Access(self.known[key], made.left), tuple(a for i in own for a in i.axes)
        self.before[name] = tuple(a for a, _ in before)

    def _store_bar(self) -> None:
        """Give the adjoint of the result a tensor of its own, which an operand must be."""
        bar, result = self.entries["dX"]
        if isinstance(bar, Access):
            return
        axes = (*self.over, *result)
        left = tuple(map(ints.axis, axes))
        name = self.named(f"d_{self.s.out}", tuple(self.ranges[a] for a in axes))
        self.needs.append(Statement(name, left, "=", bar, tuple((a, self.ranges[a]) for a in axes)))
        self.entries["dX"] = Access(name, left), result

    def _stacks(self, reads: Iterable[str]) -> Axes:
        """The axes before its letters of what reads these."""
        met = {a for r in reads for a in self.before[r]}
        return tuple((a, self.ranges[a]) for a in self.over if a in met)

    def _lettered(self, t: Statement) -> Statement:
        """A stated statement with axes of this program for its letters; the operation's are the statement's own."""
        taken = dict.fromkeys(self.ranges)
        names: dict[str, str] = {}
        for a, _ in t.axes:
            names[a] = self.at.get(a) or next(x for x in _spares(a) if x not in taken)
            taken[names[a]] = None
        t = t.rename(names)
        sizes = {Size(_size(self.s.op, x)): self.ranges[a] for x, a in self.at.items()}
        return replace(t, axes=tuple((a, n.substitute(sizes)) for a, n in t.axes))

    def _placed(self, e: E) -> E:
        """An expression in the stated names as one of the program."""

        def one(x: object) -> Expr | None:
            if not isinstance(x, Access):
                return None
            entry, slots = self.entries[x.tensor]
            return ex.substitute(entry, {Axis(a): i for a, i in zip(slots, x.index, strict=True)})

        return ex.rewrite(e, one)


def _spares(letter: str) -> Iterable[str]:
    yield from (letter, *"klmpqrijuv")
    yield from (f"{letter}_{k}" for k in itertools.count(2))
