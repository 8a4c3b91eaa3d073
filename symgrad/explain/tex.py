r"""The story as LaTeX: a fragment to `\input`, or a document that pdflatex sets with amsmath alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from symgrad.explain.beside import shown
from symgrad.explain.breaking import folded, joined
from symgrad.explain.formula import Piece
from symgrad.explain.latex import LATEX
from symgrad.explain.names import escape
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

NARROW, WIDE = 345.0, 455.0  # text widths in points: of the article class on A4, and of our own document
_GAP, _COLUMN = 10.0, 12  # between columns of forms, and the equations that one holds
_TAG = 12.0  # what LaTeX keeps free beside a number
_TYPED = 4.8  # a letter of small typewriter
_LONG = 30  # letters of a word that may be broken anywhere
_ROWS = 40  # of a table on one page

PREAMBLE = r"""\documentclass[10pt,a4paper]{article}
\usepackage{amsmath}
\setlength{\textwidth}{455pt}
\setlength{\textheight}{757pt}
\setlength{\oddsidemargin}{0pt}
\setlength{\headheight}{0pt}
\setlength{\headsep}{0pt}
\setlength{\topmargin}{-36pt}
\setlength{\footskip}{24pt}
\setlength{\parindent}{0pt}
\setlength{\parskip}{2pt}
\setlength{\jot}{1pt}
\makeatletter
\renewcommand{\paragraph}{\@startsection{paragraph}{4}{0pt}{8pt}{-1em}{\normalfont\normalsize\bfseries}}
\makeatother
\allowdisplaybreaks
\begin{document}
\setlength{\abovedisplayskip}{3pt}
\setlength{\belowdisplayskip}{3pt}
"""


def written(story: Story, fragment: bool) -> str:
    """The whole story; a fragment needs `amsmath` (and `tikz` for a picture) and fits the text width of the standard
    article class."""
    width = NARROW if fragment else WIDE
    parts = [rf"\section*{{{said(story.title)}}}"] if story.title else []
    parts += [_notation(story)] if story.notation else []
    parts += [_part(p, width) for p in story.passages]
    body = "\n\n".join(parts) + "\n"
    drawn = any(isinstance(p, Picture) for p in story.passages)
    preamble = PREAMBLE.replace("{amsmath}\n", "{amsmath}\n\\usepackage{tikz}\n") if drawn else PREAMBLE
    return body if fragment else f"{preamble}\n{body}\n\\end{{document}}\n"


def said(sentence: Sentence) -> str:
    """A sentence for text mode; words between backticks are code."""
    return "".join(_words(p) if isinstance(p, str) else f"${LATEX.line(p)}$" for p in sentence)


def _words(text: str) -> str:
    return "".join(
        rf"\texttt{{{_breaking(part, _typed)}}}" if code else _breaking(part, escape)
        for part, code in spans_of_code(text)
    )


def _breaking(text: str, written: Callable[[str], str]) -> str:
    """Words as they are written; one that is longer than others may break anywhere."""
    parts = re.split(rf"(\S{{{_LONG},}})", text)
    return "".join(
        r"\hspace{0pt plus 4pt}".join(written(part[i : i + 4]) for i in range(0, len(part), 4))
        if k % 2
        else written(part)
        for k, part in enumerate(parts)
    )


def _notation(story: Story) -> str:
    return "\n".join(f"{said(line)}" for line in story.notation)


def _part(p: Part, width: float) -> str:
    if isinstance(p, Passage):
        return _passage(p, width)
    heading = [rf"\paragraph{{{said(p.heading)}}}"] if p.heading else []
    heading += [r"\leavevmode\par\nopagebreak"] if heading and not isinstance(p, Prose) else []
    match p:
        case Prose(_, paragraphs):
            body = "\n\n".join(map(said, paragraphs))
        case Listing(_, text):
            body = _listing(text, width)
        case Table():
            body = "\n\n".join(_tabular(p, width))
        case Picture(tikz=tikz):
            body = f"\\begin{{center}}\n{tikz}\n\\end{{center}}"
    return "\n".join([*heading, body])


def _typed(text: str) -> str:
    """Any text for a typewriter, which has some signs that the text font has not."""
    parts = re.split(r'(["_<>|\\{}])', text)
    return "".join(rf"\char{ord(p)}{{}}" if k % 2 else escape(p) for k, p in enumerate(parts))


def _listing(text: str, width: float) -> str:
    r"""Lines of typewriter: unlike verbatim, they take any character, and no text ends them."""
    lines = []
    room = int(width / _TYPED)
    for line in text.expandtabs(4).splitlines() or [""]:
        cut = [line[k : k + room] for k in range(0, len(line), room)] if len(line) > room else [line]
        lines += [rf"\strut {_typed(part).replace(' ', '~')}\par" for part in cut]
    return "\n".join([r"{\small\ttfamily\parindent=0pt\parskip=0pt\raggedright", *lines, "}"])


def _tabular(p: Table, width: float) -> list[str]:
    """The table, in parts that fit a page; columns of a table that is too wide break their lines."""
    cells = [list(map(said, row)) for row in (p.columns, *p.rows)]
    natural = [max(map(_extent, column)) for column in zip(p.columns, *p.rows, strict=True)]
    room = width - 12.0 * len(natural)
    layout = "l" * len(natural)
    if sum(natural) > room:
        least = room / (2 * len(natural))
        spare = (room - least * len(natural)) / sum(natural)
        layout = "".join(rf"p{{{least + spare * n:.0f}pt}}" if n > least else "l" for n in natural)
    head, *rows = ("{}" + " & ".join(row) + r" \tabularnewline" for row in cells)
    pages = [rows[k : k + _ROWS] for k in range(0, len(rows), _ROWS)] or [[]]
    begin = rf"\begin{{tabular}}{{{layout}}}"
    return ["\n".join([begin, head, r"\hline", *page, r"\end{tabular}"]) for page in pages]


def _extent(cell: Sentence) -> float:
    """About how wide a cell is, in points, rather more than less."""
    return sum(
        sum(5.4 if c.islower() or c in " .,:;()[]'1" else 9.0 for c in p)
        if isinstance(p, str)
        else LATEX.width(LATEX.line(p))
        for p in cell
    )


def _passage(p: Passage, width: float) -> str:
    lines = [rf"\paragraph{{{said(p.heading)}}}"] if p.heading else []
    forms = shown(p)
    column = width / len(forms) - _GAP
    if len(forms) > 1 and all(_fits(equations, column) for _, equations in forms):
        part = f"{0.98 / len(forms):.2f}"
        lines.append(r"\leavevmode\par\nopagebreak\noindent")
        columns = ["\n".join(_form(*form, column)) for form in forms]
        around = (rf"\begin{{minipage}}[t]{{{part}\linewidth}}", r"\end{minipage}")
        lines.append("\\hfill\n".join("\n".join((around[0], c, around[1])) for c in columns))
        lines.append(r"\par")
    else:
        lines += [line for form in forms for line in _form(*form, width)]
    if p.remarks:
        lines.append(r"{\small\sloppy " + "\n".join(_remark(r) for r in p.remarks) + r"\par}")
    return "\n".join(lines)


def _form(caption: str, equations: Sequence[Equation], width: float) -> list[str]:
    """Equations under the name of their form."""
    aligned: list[str] = []
    indent = 0.0
    for e in equations:
        more, indent = rows(e, width, indent)
        aligned += more
    named = [rf"\emph{{{escape(caption)}:}}"] if caption else []
    return [*named, *([r"\begin{align*}", " \\\\\n".join(aligned), r"\end{align*}"] if aligned else [])]


def _fits(equations: Sequence[Equation], width: float) -> bool:
    """Whether a column of this width holds equations without breaking one, and stays on a page."""
    left = max((LATEX.width(LATEX.line(e.left)) for e in equations if e.left is not None), default=0.0)
    room = [width - left - LATEX.width(_numbers(e.numbers)) - 2 * _TAG - 11.0 for e in equations]
    wide = [sum(p.width for p in LATEX.write(e.right)) for e in equations]
    return len(equations) <= _COLUMN and all(w <= r for w, r in zip(wide, room, strict=True))


def rows(e: Equation, width: float, indent: float, mark: str = r" \tag{%s}") -> tuple[list[str], float]:
    """The rows of an equation, broken at operators, the number as `mark` says on the last; and the width of
    its left side (`indent` is that of the equation before)."""
    left = LATEX.line(e.left) if e.left is not None else ""
    parts, indent = broken(e, width, indent)
    tag = _numbers(e.numbers)
    first, *more = joined(parts)
    sign = LATEX.RELATIONS.get(e.sign, e.sign)
    lines = [f"{left} &{sign} {first}".lstrip(), *(rf"&\quad {{}}{row}" for row in more)]
    if tag:
        lines[-1] += mark % tag
    return lines, indent


def broken(e: Equation, width: float, indent: float) -> tuple[list[Sequence[Piece]], float]:
    """The lines of the right side, and the width of the left sides so far."""
    indent = max(indent, LATEX.width(LATEX.line(e.left))) if e.left is not None else indent
    room = width - indent - LATEX.width(_numbers(e.numbers)) - 2 * _TAG
    return folded(LATEX.write(e.right), room, first=11.0, hang=22.0), indent


def _numbers(numbers: Sequence[str]) -> str:
    return ", ".join(spans(numbers, "--"))


def _remark(r: Remark) -> str:
    numbers = f"({_numbers(r.numbers)}) " if r.numbers else ""
    return rf"{numbers}\emph{{{_words(r.rule)}}}: {said(r.sentence)}"
