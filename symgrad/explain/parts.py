"""What a document is made of, before any script: passages of equations with their reasons, prose, listings, tables,
pictures. Tellers make them, printers set them."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Union

from symgrad.explain.formula import Formula
from symgrad.language.program import Statement

Sentence = tuple[Union[str, Formula], ...]
Group = tuple[Statement, ...]


@dataclass(frozen=True)
class Equation:
    """`left = right`, with its numbers ("7", or "7a" for what leads to 7; several where what was found in between
    looks the same); without `left` it goes on from the one before. `statements` are what it says, all writers of
    one tensor; none where it is the rule in symbols. `sign` stands between the sides: "=", or "←" for a change. `put`
    are the statements that the formula has in place of their tensors, besides those that the cast hides. `at` is the
    entry that it says, from 0, where it says one."""

    left: Formula | None
    right: Formula
    numbers: tuple[str, ...] = ()
    statements: Group = ()
    sign: str = "="
    put: Group = ()
    at: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Remark:
    """Why: the numbers it is about, the name of the rule, a sentence."""

    numbers: tuple[str, ...]
    rule: str
    sentence: Sentence


@dataclass(frozen=True)
class Passage:
    """A heading, equations, reasons. `beside` holds the same equations in further forms: (form, equations); then `form`
    says which form the first equations are in."""

    heading: Sentence
    equations: tuple[Equation, ...] = ()
    remarks: tuple[Remark, ...] = ()
    beside: tuple[tuple[str, tuple[Equation, ...]], ...] = ()
    form: str = ""

    @property
    def forward(self) -> bool:
        """Whether its equations are those of the program."""
        return str(self.heading[:1][0] if self.heading else "").startswith("Forward")

    def part(self, rows: Sequence[Sequence[Equation]], heading: Sentence) -> Passage:
        """The passage with these equations only, each in all forms, without reasons."""
        first, *others = zip(*rows, strict=True)
        beside = tuple((form, equations) for (form, _), equations in zip(self.beside, others, strict=True))
        return Passage(heading, first, (), beside, self.form)

    def divided(self, parts: Sequence[Passage]) -> list[Passage]:
        """Parts of it with its reasons, each in the last part that has an equation which it is about."""
        found: list[list[Remark]] = [[] for _ in parts]
        own = [{n for e in p.equations for n in e.numbers} for p in parts]
        for r in self.remarks:
            places = [k for k, numbers in enumerate(own) if not numbers.isdisjoint(r.numbers)]
            found[places[-1] if places else -1].append(r)
        return [replace(p, remarks=tuple(r)) for p, r in zip(parts, found, strict=True)]


AFTER = ", after that"  # in the heading of what follows a part of its own


@dataclass(frozen=True)
class Prose:
    """Paragraphs under a heading (none if empty)."""

    heading: Sentence
    paragraphs: tuple[Sentence, ...]


@dataclass(frozen=True)
class Listing:
    """Code or other text as it stands; `language` is "sg", "python", "console" or "text"."""

    heading: Sentence
    text: str
    language: str = "text"


@dataclass(frozen=True)
class Table:
    """Rows of cells under column names; each cell a sentence."""

    heading: Sentence
    columns: tuple[Sentence, ...]
    rows: tuple[tuple[Sentence, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A drawing in the two forms that documents take, with a sentence for those who cannot see it."""

    heading: Sentence
    svg: str
    tikz: str
    alt: str


_SHOWN = 4  # times that numbers of equations repeat before dots stand for some
_PERIOD = 8  # spans that may repeat together
_LAST = 10**9  # in the order of numbers: 7 comes after 7a, 7b, ...

Part = Union[Passage, Prose, Listing, Table, Picture]


@dataclass(frozen=True)
class Story:
    """What a document holds, before any script."""

    notation: tuple[Sentence, ...]
    passages: tuple[Part, ...]
    title: Sentence = ()


def spans(numbers: Iterable[str], dash: str) -> list[str]:
    """Numbers of equations in order, three or more in a row as a span; 7a and 7b come before 7. What repeats, as the
    numbers of alike layers do, is shown by its first two and its last.

    >>> spans(["5", "1", "2", "3", "8", "7a", "7b", "7c", "7"], "-")
    ['1-3', '5', '7a-7c', '7', '8']
    >>> spans(["1", "3", "5", "7", "9", "20"], "-"), spans([str(n) for n in range(1, 30) if n % 3], "-")
    (['1', '3', '...', '9', '20'], ['1', '2', '4', '5', '...', '28', '29'])
    """
    rows: list[list[tuple[int, int]]] = []
    for count, part in sorted({_place(n) for n in numbers}, key=lambda place: (place[0], place[1] or _LAST)):
        before = rows[-1][-1] if rows else (0, 0)
        follows = (
            before[0] + 1 == count and not part
            if not before[1]
            else (before[0], before[1] + 1) == (count, part)
        )
        if rows and follows:
            rows[-1].append((count, part))
        else:
            rows.append([(count, part)])
    told: list[str] = []
    k = 0
    while k < len(rows):
        period, count = _repeated(rows, k)
        last = k + period * (count - 1)
        shown = (
            [*rows[k : k + 2 * period], [], *rows[last : last + period]]
            if count > _SHOWN
            else rows[k : last + period]
        )
        for row in shown:
            ends = [label(*place) for place in row] or ["..."]
            told += [f"{ends[0]}{dash}{ends[-1]}"] if len(row) > 2 else ends
        k = last + period
    return told


def _repeated(rows: Sequence[Sequence[tuple[int, int]]], k: int) -> tuple[int, int]:
    """How many rows repeat from a place, each time with numbers greater by the same, and how often."""
    for period in range(1, _PERIOD + 1):
        count = 1
        while _further(rows, k + (count - 1) * period, period) == _further(rows, k, period) is not None:
            count += 1
        if count > _SHOWN:
            return period, count
    return 1, 1


def _further(rows: Sequence[Sequence[tuple[int, int]]], k: int, period: int) -> int | None:
    """By how much the numbers of the next rows are greater than those of these; None if it is not the same for all, or
    if there are letters."""
    pairs = list(zip(rows[k : k + period], rows[k + period : k + 2 * period], strict=False))
    if len(pairs) < period or any(len(a) != len(b) for a, b in pairs):
        return None
    places = [(m, n) for a, b in pairs for m, n in zip(a, b, strict=True)]
    steps = {n[0] - m[0] for m, n in places}
    return steps.pop() if len(steps) == 1 and not any(m[1] or n[1] for m, n in places) else None


def progression(numbers: Sequence[str], head: int = 2) -> list[str]:
    """The first numbers and the last, with dots for two or more in between.

    >>> progression(["2", "4", "6", "8", "10"]), progression(["6", "5", "4"], 1)
    (['2', '4', '...', '10'], ['6', '5', '4'])
    """
    return [*numbers[:head], "...", numbers[-1]] if len(numbers) > head + 2 else list(numbers)


def label(count: int, part: int = 0) -> str:
    """The number of an equation, with a letter for what leads to it: 7a, 7b, ..., 7z, 7aa, ....

    >>> label(7), label(7, 2), label(7, 27)
    ('7', '7b', '7aa')
    """
    letters = ""
    while part:
        part, r = divmod(part - 1, 26)
        letters = string.ascii_lowercase[r] + letters
    return f"{count}{letters}"


def _place(number: str) -> tuple[int, int]:
    """A label as the two numbers that it is made of."""
    digits = number.rstrip(string.ascii_lowercase)
    part = 0
    for c in number[len(digits) :]:
        part = 26 * part + string.ascii_lowercase.index(c) + 1
    return int(digits), part
