"""What a document is made of, before any script: passages of equations with their reasons, prose, listings, tables,
pictures. Tellers make them, printers set them."""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass
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


_LAST = 10**9  # in the order of numbers: 7 comes after 7a, 7b, ...

Part = Union[Passage, Prose, Listing, Table, Picture]


@dataclass(frozen=True)
class Story:
    """What a document holds, before any script."""

    notation: tuple[Sentence, ...]
    passages: tuple[Part, ...]
    title: Sentence = ()


def spans(numbers: Iterable[str], dash: str) -> list[str]:
    """Numbers of equations in order, three or more in a row as a span; 7a and 7b come before 7.

    >>> spans(["5", "1", "2", "3", "8", "7a", "7b", "7c", "7"], "-")
    ['1-3', '5', '7a-7c', '7', '8']
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
    for row in rows:
        ends = [label(*place) for place in row]
        told += [f"{ends[0]}{dash}{ends[-1]}"] if len(row) > 2 else ends
    return told


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
