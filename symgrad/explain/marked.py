"""The story as Markdown with mathematics between dollars, as notebooks and GitHub render it."""

from __future__ import annotations

import re

from symgrad.explain.beside import shown
from symgrad.explain.parts import (
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
from symgrad.explain.scripts import LATEX
from symgrad.explain.tex import WIDE, rows


def written(story: Story) -> str:
    """Passages with a heading, one display of aligned equations, and a list of reasons."""
    passages = [_part(p) for p in story.passages]
    title = [f"# {said(story.title)}"] if story.title else []
    return "\n\n".join([*title, *(said(line) for line in story.notation), *passages]) + "\n"


def said(sentence: Sentence) -> str:
    """A sentence; what Markdown would read as its own is escaped, words between backticks are code."""
    return "".join(_words(p) if isinstance(p, str) else f"${LATEX.line(p)}$" for p in sentence)


def _words(text: str) -> str:
    parts = text.split("`")
    return "".join(
        f"`{p}`" if k % 2 else re.sub(r"([\\*_\[\]<>#$|~])", r"\\\1", p) for k, p in enumerate(parts)
    )


def _part(p: Part) -> str:
    if isinstance(p, Passage):
        return _passage(p)
    heading = [f"**{said(p.heading)}**"] if p.heading else []
    match p:
        case Prose(_, paragraphs):
            body = [said(line) for line in paragraphs]
        case Listing(_, text, language):
            body = [f"```{language}\n{text}\n```"]
        case Table(_, columns, rows):
            lines = ["| " + " | ".join(map(said, row)) + " |" for row in (columns, *rows)]
            lines.insert(1, "|" + " --- |" * len(columns))
            body = ["\n".join(lines)]
        case Picture(alt=alt):
            body = [alt]
    return "\n\n".join([*heading, *body])


def _passage(p: Passage) -> str:
    parts = [f"**{said(p.heading)}**"]
    for caption, equations in shown(p):
        parts += [f"*{caption}:*"] if caption else []
        aligned: list[str] = []
        indent = 0.0
        for e in equations:
            more, indent = rows(e, WIDE, indent, r" && \text{(%s)}")
            aligned += more
        body = " \\\\\n".join(aligned)
        parts.append(f"$$\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n$$")
    return "\n\n".join([*parts, *(["\n".join(map(_remark, p.remarks))] if p.remarks else [])])


def _remark(r: Remark) -> str:
    numbers = f"({', '.join(spans(r.numbers, '–'))}) " if r.numbers else ""
    return f"- {numbers}*{r.rule}*: {said(r.sentence)}"
