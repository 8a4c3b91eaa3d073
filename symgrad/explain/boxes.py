r"""What stands on a page where lines are two-dimensional: letters, signs, fractions, things raised and lowered.

`scripts.Latex` sets a formula as boxes. Each box knows its LaTeX, and `mathml` writes the same boxes as elements, so
that brackets, spaces and line breaks are decided once. `read` is the one place where short LaTeX becomes boxes: the
names of `names` (`W^{(1)}`, `\hat{y}`) and the templates of leaves (`\log({x})`), which are all ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Box:
    latex: str


@dataclass(frozen=True)
class Token(Box):
    """One sign. `kind`: "letter" (slanted), "upright", "bold", "number", "function" (a name such as log), "sign" (an
    operator), "open" and "close" (brackets), "comma", "space" (`text` is its width), "unknown" (no macro of ours)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Fraction(Box):
    top: Boxes
    bottom: Boxes


@dataclass(frozen=True)
class Script(Box):
    """What is lowered or raised beside the box before it."""

    below: Boxes
    above: Boxes


@dataclass(frozen=True)
class Limits(Box):
    """A large sign with rows below it."""

    sign: Token
    rows: tuple[Boxes, ...]


@dataclass(frozen=True)
class Root(Box):
    inside: Boxes


@dataclass(frozen=True)
class Accent(Box):
    mark: str
    inside: Boxes


@dataclass(frozen=True)
class Grid(Box):
    """A matrix in square brackets."""

    rows: tuple[tuple[Boxes, ...], ...]


@dataclass(frozen=True)
class Hole(Box):
    """Where an argument goes in the template of a leaf."""

    name: str


Boxes = tuple[Box, ...]


def source(boxes: Iterable[Box]) -> str:
    """The LaTeX of boxes in a row."""
    return "".join(b.latex for b in boxes)


def fraction(top: Boxes, bottom: Boxes) -> Fraction:
    return Fraction(rf"\frac{{{source(top)}}}{{{source(bottom)}}}", top, bottom)


def root(inside: Boxes) -> Root:
    return Root(rf"\sqrt{{{source(inside)}}}", inside)


def raised(above: Boxes) -> Script:
    return Script(f"^{{{source(above)}}}", (), above)


def lowered(below: Boxes) -> Script:
    return Script(f"_{{{source(below)}}}", below, ())


def limits(sign: str, rows: Sequence[Boxes]) -> Boxes:
    r"""`\sum` and the like over rows of letters and conditions."""
    stacked = r" \\ ".join(map(source, rows))
    below = rf"\substack{{{stacked}}}" if len(rows) > 1 else stacked
    return (Limits(f"{sign}_{{{below}}} " if rows else f"{sign} ", _token(sign), tuple(rows)),)


def grid(rows: Sequence[Sequence[Boxes]]) -> Grid:
    inside = r" \\ ".join(" & ".join(map(source, row)) for row in rows)
    return Grid(rf"\begin{{bmatrix}} {inside} \end{{bmatrix}}", tuple(map(tuple, rows)))


def joined(between: str, parts: Iterable[Boxes]) -> Boxes:
    """Boxes in a row with signs between them."""
    out: list[Box] = []
    for part in parts:
        out += [*read(between), *part] if out else part
    return tuple(out)


def filled(box: Box, fill: Callable[[str, str], Boxes]) -> Box:
    """A box of a template with its holes filled: `fill` is given the name of each and the sign before it."""

    def row(inside: Boxes) -> Boxes:
        out: list[Box] = []
        sign = ""
        for b in inside:
            out += fill(b.name, sign) if isinstance(b, Hole) else (filled(b, fill),)
            sign = b.latex.strip() or sign
        return tuple(out)

    match box:
        case Script(_, (), above):
            return raised(row(above))
        case Script(_, below, ()):
            return lowered(row(below))
        case Fraction(_, top, bottom):
            return fraction(row(top), row(bottom))
        case Root(_, inside):
            return root(row(inside))
    return box


# ---------------------------------------------------------------------- the signs that are known

FUNCTIONS = frozenset(
    [
        r"\log",
        r"\exp",
        r"\sin",
        r"\cos",
        r"\tan",
        r"\sinh",
        r"\cosh",
        r"\tanh",
        r"\arcsin",
        r"\arccos",
        r"\arctan",
        r"\max",
        r"\min",
        r"\det",
        r"\dim",
    ]
)
LARGE = {r"\sum": "∑", r"\prod": "∏", r"\max": "max", r"\min": "min"}
ACCENTS = {r"\hat": "^", r"\bar": "¯", r"\tilde": "~", r"\dot": "˙", r"\ddot": "¨", r"\vec": "→"}
OPEN = {
    "(": "(", "[": "[", r"\{": "{", r"\lvert": "|", r"\lVert": "‖", r"\lfloor": "⌊", r"\lceil": "⌈",
    r"\langle": "⟨",
}  # fmt: skip
CLOSE = {
    ")": ")", "]": "]", r"\}": "}", r"\rvert": "|", r"\rVert": "‖", r"\rfloor": "⌋", r"\rceil": "⌉",
    r"\rangle": "⟩",
}  # fmt: skip
SIGNS = {
    "+": "+", "-": "−", "=": "=", "<": "<", ">": ">", "/": "/", "*": "∗", r"\cdot": "⋅", r"\times": "×",
    r"\odot": "⊙", r"\oslash": "⊘", r"\otimes": "⊗", r"\oplus": "⊕", r"\le": "≤", r"\ge": "≥", r"\neq": "≠",
    r"\approx": "≈", r"\equiv": "≡", r"\in": "∈", r"\land": "∧", r"\lor": "∨", r"\lnot": "¬", r"\bmod": "mod",
    r"\to": "→", r"\gets": "←", r"\leftarrow": "←", r"\mapsto": "↦", r"\partial": "∂", r"\nabla": "∇",
    r"\mid": "∣", "|": "|",
}  # fmt: skip
PLAIN = {
    r"\top": "⊤", r"\infty": "∞", r"\ldots": "…", r"\dots": "…", r"\cdots": "⋯", r"\vdots": "⋮", r"\ddots": "⋱",
    r"\circ": "∘", ".": ".", "!": "!", r"\%": "%", r"\#": "#", r"\$": "$", r"\&": "&", r"\_": "_",
}  # fmt: skip
SPACES = {
    r"\,": "0.167em", r"\:": "0.222em", r"\;": "0.278em", r"\quad": "1em", r"\qquad": "2em", r"\!": "0",
    r"\ ": "0.33em", "~": "0.33em",
}  # fmt: skip
COMMAS = {",": ",", ";": ";", ":": ":"}
SIZES = frozenset(rf"\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in "lr")
_VARIANTS = {r"\varepsilon": "ε", r"\epsilon": "ϵ", r"\varphi": "φ", r"\phi": "ϕ", r"\ell": "ℓ"}


def _greek(macro: str) -> str:
    name = macro[1:].replace("lambda", "lamda").replace("Lambda", "Lamda")
    case = "CAPITAL" if name[:1].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {case} LETTER {name.upper()}")
    except KeyError:
        return ""


@cache
def _token(word: str) -> Token:
    """A sign by its LaTeX."""
    for table, kind in (
        (OPEN, "open"),
        (CLOSE, "close"),
        (SIGNS, "sign"),
        (COMMAS, "comma"),
        (SPACES, "space"),
        (PLAIN, "upright"),
        (_VARIANTS, "letter"),
    ):
        if word in table:
            return Token(word, kind, table[word])
    if word in LARGE and word not in FUNCTIONS:
        return Token(word, "sign", LARGE[word])
    if word in FUNCTIONS:
        return Token(word, "function", word[1:])
    if word.isspace() or not word:
        return Token(word, "space", "")
    if word[0].isdigit():
        return Token(word, "number", word)
    greek = _greek(word) if word[0] == "\\" else ""
    if greek:
        return Token(word, "letter" if word[1:2].islower() else "upright", greek)
    if word[0].isalpha():
        return Token(word, "letter", word.replace("'", "′"))
    return Token(word, "unknown", word.lstrip("\\"))


# ---------------------------------------------------------------------- short LaTeX

_WORD = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|[^\W\d_]'*|\s+|'+|.", re.DOTALL)
_MACRO_TEXT = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\^{}": "^", r"\{": "{", r"\}": "}", r"\$": "$",
    r"\&": "&", r"\#": "#", r"\%": "%", r"\_": "_", "---": "—", "--": "–", "''": "”", r"\ss{}": "ß",
    r"\ae{}": "æ", r"\AE{}": "Æ", r"\oe{}": "œ", r"\OE{}": "Œ", r"\o{}": "ø", r"\O{}": "Ø", r"\l{}": "ł",
    r"\L{}": "Ł", r"\i{}": "ı",
}  # fmt: skip
_COMBINED = {
    "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "v": "\u030c", "r": "\u030a", "H": "\u030b", "u": "\u0306",
}  # fmt: skip
_ESCAPED = re.compile(
    "|".join(map(re.escape, sorted(_MACRO_TEXT, key=len, reverse=True)))
    + r"|\\ensuremath\{([^{}]*)\}|\\([`'^~\"=.cvrHu])\{(?:\\?([a-zA-Z]))\}|U\+([0-9A-F]{4,6})\{\}"
)


def words(escaped: str) -> str:
    r"""What `names.escape` was given to write a name.

    >>> words(r"na\"{\i}ve\_50\%")
    'naïve_50%'
    """

    def one(m: re.Match[str]) -> str:
        if m[1]:
            return "".join(b.text for b in read(m[1]) if isinstance(b, Token))
        if m[2]:
            return unicodedata.normalize("NFC", m[3] + _COMBINED[m[2]])
        return chr(int(m[4], 16)) if m[4] else _MACRO_TEXT[m[0]]

    return _ESCAPED.sub(one, escaped)


@cache
def read(latex: str) -> Boxes:
    r"""Short LaTeX as boxes, which together have the same LaTeX.

    >>> [type(b).__name__ for b in read(r"\hat{y}_{n i}")]
    ['Accent', 'Script']
    >>> source(read(r"\log(1 - e^{x})"))
    '\\log(1 - e^{x})'
    """
    reader = _Reader(latex)
    boxes = reader.row()
    assert reader.k == len(reader.words), f"a brace too many in {latex!r}"
    return boxes


class _Reader:
    def __init__(self, latex: str):
        self.words = _WORD.findall(latex)
        self.k = 0

    def row(self) -> Boxes:
        out: list[Box] = []
        while self.k < len(self.words) and self.words[self.k] != "}":
            out += self.box()
        return tuple(out)

    def since(self, start: int) -> str:
        return "".join(self.words[start : self.k])

    def group(self) -> Boxes:
        """What stands in braces, or the next box alone."""
        if self.words[self.k : self.k + 1] != ["{"]:
            return self.box()
        self.k += 1
        inside = self.row()
        assert self.words[self.k : self.k + 1] == ["}"], f"a brace too few in {''.join(self.words)!r}"
        self.k += 1
        return inside

    def text(self) -> str:
        """What stands in braces, as words."""
        start, depth = self.k, 0
        while self.k < len(self.words):
            depth += {"{": 1, "}": -1}.get(self.words[self.k], 0)
            self.k += 1
            if not depth:
                break
        return words("".join(self.words[start + 1 : self.k - 1]))

    def box(self) -> Boxes:
        start, word = self.k, self.words[self.k]
        self.k += 1
        match word:
            case "{":
                self.k -= 1
                return (Token("{", "space", ""), *self.group(), Token("}", "space", ""))
            case r"\frac":
                top = self.group()
                bottom = self.group()
                return (Fraction(self.since(start), top, bottom),)
            case r"\sqrt":
                inside = self.group()
                return (Root(self.since(start), inside),)
            case "^":
                above = self.group()
                return (Script(self.since(start), (), above),)
            case "_":
                below = self.group()
                return (Script(self.since(start), below, ()),)
            case r"\mathrm" | r"\text" | r"\operatorname" | r"\mathbf":
                shown = self.text()
                kind = {r"\operatorname": "function", r"\mathbf": "bold"}.get(word, "upright")
                return (Token(self.since(start), kind, shown),)
            case r"\hole":
                name = self.text()
                return (Hole(self.since(start), name),)
        if word[0] == "'":
            return (Script(word, (), (Token(word, "upright", "′" * len(word)),)),)
        if word in ACCENTS:
            inside = self.group()
            return (Accent(self.since(start), ACCENTS[word], inside),)
        if word in SIZES:
            inner = self.box()[0]
            assert isinstance(inner, Token)
            return (Token(self.since(start), inner.kind, inner.text),)
        return (_token(word),)
