"""The story as text for a terminal of a given width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from symgrad.explain.beside import shown
from symgrad.explain.parts import (
    Equation,
    Listing,
    Part,
    Passage,
    Picture,
    Prose,
    Remark,
    Sentence,
    Story,
    Table,
    spans,
)
from symgrad.explain.scripts import TEXT, fold


def written(story: Story, width: int) -> str:
    """Numbered equations with their reasons; no line is longer than `width` unless one name is."""
    passages = [p for p in story.passages if isinstance(p, Passage)]
    margin = (
        max((len(_numbers(e.numbers)) for p in passages for _, told in shown(p) for e in told), default=0) + 2
    )
    margin = min(margin, 12)
    parts = [_wrapped(said(story.title), width, "")] if story.title else []
    parts += ["\n".join(_wrapped(said(line), width, "") for line in story.notation)] if story.notation else []
    parts += ["\n".join(_part(p, width, margin)) for p in story.passages]
    return "\n\n".join(parts)


def _part(p: Part, width: int, margin: int) -> list[str]:
    heading = [_wrapped(said(p.heading), width, "")] if p.heading else []
    match p:
        case Prose(_, paragraphs):
            return [*heading, *(_wrapped(said(line), width, "") for line in paragraphs)]
        case Listing(_, text):
            return [*heading, *(f"    {line}".rstrip() for line in text.splitlines())]
        case Table(_, columns, rows):
            cells = [[said(c) for c in row] for row in (columns, *rows)]
            widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
            lines = [
                "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells
            ]
            return [*heading, *(f"  {line}" for line in lines)]
        case Picture(alt=alt):
            return [*heading, _wrapped(alt, width, "")]
    return _passage(p, width, margin)


def said(sentence: Sentence) -> str:
    return "".join(p if isinstance(p, str) else TEXT.line(p) for p in sentence)


def _numbers(numbers: Sequence[int]) -> str:
    """`(3)`, `(3, 5)`, `(3-6)`."""
    return f"({', '.join(spans(numbers, '-'))})" if numbers else ""


def _passage(p: Passage, width: int, margin: int) -> list[str]:
    lines = [_wrapped(said(p.heading), width, "")]
    for caption, equations in shown(p):
        lines += [f"{' ' * margin}{caption}:"] if caption else []
        left = ""
        for e in equations:
            lines += _equation(e, width, margin, left)
            left = TEXT.line(e.left) if e.left is not None else left
    for r in p.remarks:
        lines.append(_wrapped(_remark(r), width, " " * margin, " " * (margin + 2)))
    return lines


def _equation(e: Equation, width: int, margin: int, before: str) -> list[str]:
    """`(3)  left = right`; what goes on from the equation before stands under its equals sign."""
    number = _numbers(e.numbers)
    lead = f"{number:>{margin - 2}}  " if len(number) <= margin - 2 else f"{number} "
    left = TEXT.line(e.left) if e.left is not None else " " * min(len(before), width // 3)
    start = f"{lead}{left} {e.sign} "
    pieces = TEXT.write(e.right)
    whole = sum(p.width for p in pieces)
    if len(start) > width * 0.6 and len(start) + whole > width:
        hang = margin + 4
        return [start.rstrip(), *(" " * hang + line for line in fold(pieces, width, first=hang, hang=hang))]
    hang = min(len(start), width // 2)
    first, *rest = fold(pieces, width, first=len(start), hang=hang)
    return [start + first, *(" " * hang + line for line in rest)]


def _remark(r: Remark) -> str:
    return f"{_numbers(r.numbers)} {r.rule}: {said(r.sentence)}".lstrip()


def _wrapped(text: str, width: int, indent: str, hang: str | None = None) -> str:
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent if hang is None else hang,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
