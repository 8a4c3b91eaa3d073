r"""The story as Markdown with mathematics, in two flavours.

GitHub reads a formula between ``$` `` and `` `$`` and a display in a fence of `math`, and there nothing of it as
Markdown; notebooks read `$` and `$$`. GitHub refuses some macros (`\operatorname` among them), and other readers take
`<` for HTML: neither is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from symgrad.explain.beside import shown
from symgrad.explain.boxes import words
from symgrad.explain.formula import Formula
from symgrad.explain.latex import LATEX
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
from symgrad.explain.plain import spans_of_code
from symgrad.explain.tex import WIDE, rows
from symgrad.seen import straight

_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_ACTIVE = re.compile(r"[\\`*_{}\[\]#$|~!]")
_START = re.compile(r"^(\s*)([-+=]|\d{1,9}(?=[.)]))")
_LETTER = re.compile(r"""\\(?:[`'^~"=.cvrHu]\{\\?[a-zA-Z]\}|(?:ss|ae|AE|oe|OE|[oOlLi])\{\})""")
_ALLOWED = ((r"\operatorname{", r"\mathrm{"), ("<", r"\lt "), (">", r"\gt "), ("|", r"\vert "))


def written(story: Story, github: bool = True) -> str:
    """The whole story; for notebooks if not for GitHub."""
    return _Writer(github).story(story)


class _Writer:
    def __init__(self, github: bool):
        self.inline = ("$`", "`$") if github else ("$", "$")
        self.display = ("```math", "```") if github else ("$$", "$$")

    def story(self, story: Story) -> str:
        title = [f"# {self.said(story.title)}"] if story.title else []
        notation = [self.paragraph(line) for line in story.notation]
        return "\n\n".join([*title, *notation, *map(self.part, story.passages)]) + "\n"

    # words

    def said(self, sentence: Sentence, cell: bool = False) -> str:
        """A sentence; what Markdown would read as its own is escaped, words between backticks are code."""
        return "".join(escaped(p, cell) if isinstance(p, str) else self.formula(p) for p in sentence)

    def formula(self, f: Formula) -> str:
        left, right = self.inline
        return f"{left}{_mathematics(LATEX.line(f))}{right}"

    def paragraph(self, sentence: Sentence) -> str:
        """A sentence at the start of a line, where some signs would make a list or a heading."""
        return _START.sub(
            lambda m: rf"{m[1]}\{m[2]}" if not m[2].isdigit() else f"{m[1]}{m[2]}\\", self.said(sentence)
        )

    # parts

    def part(self, p: Part) -> str:
        return "\n\n".join([*([f"### {self.said(p.heading)}"] if p.heading else []), *self.body(p)])

    def body(self, p: Part) -> Iterable[str]:
        match p:
            case Passage():
                yield from self.passage(p)
            case Prose(_, paragraphs):
                yield from map(self.paragraph, paragraphs)
            case Listing(_, text, language):
                # longer than any row of backticks in the text, and of three at least
                fence = "`" * max(3, *(len(m) + 1 for m in re.findall("`+", text)), 3)
                yield f"{fence}{language}\n{straight(text)}\n{fence}"
            case Table(_, columns, rows):
                lines = [
                    "| " + " | ".join(self.said(c, True) for c in row) + " |" for row in (columns, *rows)
                ]
                lines.insert(1, "|" + " --- |" * len(columns))
                yield "\n".join(lines)
            case Picture(alt=alt):
                yield self.paragraph((alt,))

    def passage(self, p: Passage) -> Iterable[str]:
        for caption, equations in shown(p):
            if caption:
                yield f"*{escaped(caption)}:*"
            for step in _steps(equations):
                yield self.step(step)
        if p.remarks:
            yield "\n".join(map(self.remark, p.remarks))

    def step(self, equations: Sequence[Equation]) -> str:
        """One display: an equation with those that go on from it."""
        lines: list[str] = []
        indent = 0.0
        alone = len(equations) == 1
        for e in equations:
            more, indent = rows(e, WIDE, indent, r" \tag{%s}" if alone else r" && \text{(%s)}")
            lines += more
        left, right = self.display
        if len(lines) > 1 and alone and r" \tag{" in lines[-1]:
            *front, (last, _, tag) = *lines[:-1], lines[-1].rpartition(r" \tag{")
            lines = [*front, rf"{last} && \text{{({tag[:-1]})}}"]
        if len(lines) == 1:
            body = lines[0].replace(" &", " ", 1)
        else:
            body = "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"
        return f"{left}\n{_mathematics(body)}\n{right}"

    def remark(self, r: Remark) -> str:
        numbers = f"({', '.join(spans(r.numbers, '–'))}) " if r.numbers else ""
        rule = f"*{escaped(r.rule)}*: " if r.rule else ""
        return f"- {numbers}{rule}{self.said(r.sentence)}"


def _steps(equations: Sequence[Equation]) -> list[list[Equation]]:
    """Equations, each with those without a left side, which go on from it."""
    found: list[list[Equation]] = []
    for e in equations:
        if e.left is None and found:
            found[-1].append(e)
        else:
            found.append([e])
    return found


def escaped(text: str, cell: bool = False) -> str:
    out = []
    for part, code in spans_of_code(straight(text).replace("\n", " ")):
        if code and part.strip():
            out.append("`" + (part.replace("|", r"\|") if cell else part) + "`")
        else:
            escaped = _ACTIVE.sub(r"\\\g<0>", part)
            out.append(re.sub("[<>&]", lambda m: _ENTITIES[m[0]], escaped))
    return "".join(out)


def _mathematics(latex: str) -> str:
    """LaTeX of ours in macros that every reader of Markdown knows, letters without: one accent is a backtick."""
    latex = _LETTER.sub(lambda m: words(m[0]), latex)
    for sign, macro in _ALLOWED:
        latex = latex.replace(sign, macro)
    return latex
