"""What a document is made of, before any script: passages of equations with their reasons, prose, listings, tables,
pictures. Tellers make them, printers set them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

from symgrad.explain.formula import Formula
from symgrad.language.program import Statement

Sentence = tuple[Union[str, Formula], ...]
Group = tuple[Statement, ...]


@dataclass(frozen=True)
class Equation:
    """`left = right`, with the numbers of the steps that it stands for; without `left` it goes on from the
    one before. `statements` are what it says, all writers of one tensor; none where it is the rule in symbols.
    `sign` stands between the sides: "=", or "←" for a change. `put` are the statements that the formula has in place
    of their tensors, besides those that the cast hides. `at` is the entry that it says, from 0, where it says one."""

    left: Formula | None
    right: Formula
    numbers: tuple[int, ...] = ()
    statements: Group = ()
    sign: str = "="
    put: Group = ()
    at: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Remark:
    """Why: the numbers it is about, the name of the rule, a sentence."""

    numbers: tuple[int, ...]
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


Part = Union[Passage, Prose, Listing, Table, Picture]


@dataclass(frozen=True)
class Story:
    """What a document holds, before any script."""

    notation: tuple[Sentence, ...]
    passages: tuple[Part, ...]
    title: Sentence = ()


def spans(numbers: Iterable[int], dash: str) -> list[str]:
    """Numbers in order, three or more in a row as a span.

    >>> spans([5, 1, 2, 3, 8], "-")
    ['1-3', '5', '8']
    """
    rows: list[list[int]] = []
    for n in sorted(dict.fromkeys(numbers)):
        if rows and n == rows[-1][-1] + 1:
            rows[-1].append(n)
        else:
            rows.append([n])
    return [part for r in rows for part in ([f"{r[0]}{dash}{r[-1]}"] if len(r) > 2 else map(str, r))]
