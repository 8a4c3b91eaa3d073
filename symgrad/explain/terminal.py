"""The story as text for a terminal of a given width."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from symgrad.explain.beside import shown
from symgrad.explain.breaking import fold
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
from symgrad.explain.plain import columns
from symgrad.explain.scripts import TEXT
from symgrad.seen import straight

_MARGIN = 10  # columns of the numbers of equations; longer ones widen their own passage
_LEAST = 6  # columns that a cell of a table keeps


def written(story: Story, width: int) -> str:
    """Numbered equations with their reasons; no line is longer than `width`; a name that is, is cut."""
    passages = [p for p in story.passages if isinstance(p, Passage)]
    wide = [len(_numbers(e.numbers)) for p in passages for _, told in shown(p) for e in told]
    margin = max((n for n in wide if n <= _MARGIN), default=min(max(wide, default=0), _MARGIN)) + 2
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
            lines = [
                part for line in straight(text).expandtabs(4).splitlines() for part in _cut(line, width - 4)
            ]
            return [*heading, *(f"    {line}".rstrip() for line in lines)]
        case Table():
            return [*heading, *_table(p, width)]
        case Picture(alt=alt):
            return [*heading, _wrapped(straight(alt), width, "")]
    return _passage(p, width, margin)


def _table(p: Table, width: int) -> list[str]:
    """Columns side by side; where they do not fit, cells break their lines."""
    cells = [[said(c) for c in row] for row in (p.columns, *p.rows)]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    room = width - 2 * len(widths)
    words = [max(columns(w) for c in column for w in ("", *c.split())) for column in zip(*cells, strict=True)]
    while sum(widths) > room:
        between = [k for k, w in enumerate(widths) if w > words[k]]  # these can break between words
        widest = max(between or range(len(widths)), key=widths.__getitem__)
        if widths[widest] <= _LEAST:
            break
        widths[widest] -= 1
    lines = []
    for row in cells:
        broken = [_wrapped(c, w, "").split("\n") for c, w in zip(row, widths, strict=True)]
        for parts in zip_longest(*broken, fillvalue=""):
            padded = (c + " " * (w - columns(c)) for c, w in zip(parts, widths, strict=True))
            lines.append("  " + "  ".join(padded).rstrip())
    return lines


def said(sentence: Sentence) -> str:
    return "".join(straight(p) if isinstance(p, str) else TEXT.line(p) for p in sentence)


def _numbers(numbers: Sequence[str]) -> str:
    """`(3)`, `(3, 5)`, `(3-6)`."""
    return f"({', '.join(spans(numbers, '-'))})" if numbers else ""


def _passage(p: Passage, width: int, margin: int) -> list[str]:
    lines = [_wrapped(said(p.heading), width, "")]
    forms: list[list[str]] = []
    for caption, equations in shown(p):
        forms.append([f"{' ' * margin}{caption}:"] if caption else [])
        left = ""
        longest = max((len(_numbers(e.numbers)) for e in equations), default=0)
        own = max(margin, min(longest + 2, width // 3))
        for e in equations:
            forms[-1] += _equation(e, width, own, left)
            left = TEXT.line(e.left) if e.left is not None else left
    lines += _beside(forms, width)
    for r in p.remarks:
        lines.append(_wrapped(_remark(r), width, " " * margin, " " * (margin + 2)))
    return lines


def _beside(forms: Sequence[Sequence[str]], width: int) -> list[str]:
    """Blocks of lines in columns where these fit, else one below the other."""
    wide = [max(map(columns, block), default=0) + 3 for block in forms]
    if len(forms) < 2 or sum(wide) - 3 > width:
        return [line for block in forms for line in block]
    cells = zip_longest(*forms, fillvalue="")
    return [
        "".join(c + " " * (w - columns(c)) for c, w in zip(row, wide, strict=True)).rstrip() for row in cells
    ]


def _equation(e: Equation, width: int, margin: int, before: str) -> list[str]:
    """`(3)  left = right`; what goes on from the equation before stands under its equals sign."""
    number = _numbers(e.numbers)
    lead = f"{number:>{margin - 2}}  " if len(number) <= margin - 2 else f"{number} "
    left = TEXT.line(e.left) if e.left is not None else " " * min(columns(before), width // 3)
    start = f"{lead}{left} {e.sign} "
    pieces = TEXT.write(e.right)
    whole = sum(p.width for p in pieces)
    taken = columns(start)
    if taken > width * 0.6 and taken + whole > width:
        hang = margin + 4
        rest = fold(pieces, width, first=hang, hang=hang)
        return [*_fitted(start.rstrip(), width, hang), *_all_fitted(rest, width, hang)]
    hang = min(taken, width // 2)
    first, *rest = fold(pieces, width, first=taken, hang=hang)
    return [*_fitted(start + first, width, hang), *_all_fitted(rest, width, hang)]


def _all_fitted(lines: Sequence[str], width: int, hang: int) -> list[str]:
    return [part for line in lines for part in _fitted(" " * hang + line, width, hang)]


def _fitted(line: str, width: int, hang: int) -> list[str]:
    """A line, cut where one name is longer than the width."""
    if columns(line) <= width:
        return [line]
    first, *_ = _cut(line, width)
    rest = line[len(first) :]
    return [first.rstrip(), *(" " * hang + part for part in _cut(rest, max(1, width - hang)))]


def _remark(r: Remark) -> str:
    return f"{_numbers(r.numbers)} {straight(r.rule)}: {said(r.sentence)}".lstrip()


def _wrapped(text: str, width: int, indent: str, hang: str | None = None) -> str:
    """The text in lines between spaces; a word that no line holds is cut."""
    further = indent if hang is None else hang
    lines, line, empty = [], indent, True
    for word in text.split():
        if not empty and columns(line) + 1 + columns(word) > width:
            lines.append(line)
            line, empty = further, True
        first, *more = _cut(word, max(1, width - columns(line))) if empty else [word]
        line += first if empty else f" {first}"
        empty = False
        for part in more:
            lines.append(line)
            line = further + part
    return "\n".join([*lines, line])


def _cut(text: str, width: int) -> list[str]:
    """The text in parts of at most so many columns."""
    parts, part = [], ""
    for c in text:
        if part and columns(part) + columns(c) > width:
            parts.append(part)
            part = ""
        part += c
    return [*parts, part]
