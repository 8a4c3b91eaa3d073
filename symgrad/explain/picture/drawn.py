"""Formulas as Unicode with raised, lowered and slanted parts: for drawings, where no renderer of mathematics is.

A printed formula is text with marks of this module's own in it; `runs` reads them back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from symgrad.explain import boxes
from symgrad.explain.boxes import Accent, Boxes, Script, Token
from symgrad.explain.formula import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
    Apply,
    Big,
    Derivative,
    Entry,
    Formula,
    Iverson,
    Norm,
    Number,
    Power,
    Product,
    Quotient,
    Symbol,
    Transpose,
)  # fmt: skip
from symgrad.explain.scripts import Pieces, Text

LOW, HIGH, SLANT, END = "\ue000", "\ue001", "\ue002", "\ue003"
_COMBINING = {"^": "\u0302", "¯": "\u0304", "~": "\u0303", "˙": "\u0307", "¨": "\u0308", "→": "\u20d7"}
_FUNCTIONS = {"sqrt": "√", "sigmoid": "σ"}
_LETTER = re.compile(r"[a-zA-Z]'*|\\[a-z]+")


def symbol(s: Symbol) -> str:
    """A name as its LaTeX shows it."""
    return _marked(boxes.read(s.latex))


def _marked(row: Boxes) -> str:
    out = ""
    for box in row:
        match box:
            case Token(kind="letter", text=text):
                out += f"{SLANT}{text}{END}"
            case Token(latex=r"\,"):
                out += "\u2009"
            case Token(kind="space"):
                pass
            case Token(text=text):
                out += text
            case Script(_, below, above):
                out += f"{LOW}{_marked(below)}{END}" if below else ""
                out += f"{HIGH}{_marked(above)}{END}" if above else ""
            case Accent(_, mark, inside):
                under = _marked(inside)
                cut = len(under) - len(END) if under.endswith(END) else len(under)
                out += under[:cut] + _COMBINING[mark] + under[cut:]
            case _:
                raise TypeError(f"names have no {type(box).__name__}")
    return out


class Drawn(Text):
    """As mathematics is written by hand: factors beside each other, indices below, powers and ⊤ above."""

    KINDS: ClassVar[dict[str, str]] = {
        "times": "\u2009",
        "matmul": "\u2009",
        "hadamard": " ⊙ ",
        "scaled": "\u2009",
    }

    def name(self, s: Symbol) -> str:
        return symbol(s)

    def width(self, text: str) -> float:
        return width(text)

    def level(self, f: Formula) -> int:
        match f:
            case Entry(base, _):
                return self.level(base)
            case Symbol(latex=latex) if "^" in latex:
                return POWER
            case Transpose():
                return POWER
        return super().level(f)

    def between(self, sign: str, a: Formula, b: Formula) -> str:
        return "·" if sign == "\u2009" and isinstance(b, (Number, Quotient)) else sign

    def raised(self, mark: str, f: Formula) -> str:
        return f"{mark}{self.line(f)}{END}"

    def node(self, f: Formula, depth: int) -> Pieces:
        match f:
            case Entry(base, index):
                letters = all(isinstance(i, Symbol) and _LETTER.fullmatch(i.latex) for i in index)
                below = ("" if letters else ",").join(map(self.line, index))
                low = self.piece(f"{LOW}{below}{END}")
                whole = (
                    [self.piece(symbol(base))] if isinstance(base, Symbol) else self.write(base, ATOM, depth)
                )
                return [*whole, low]
            case Quotient(top, bottom, "hadamard"):
                over = self.write(top, POWER if isinstance(top, Product) else PRODUCT, depth)
                return [*over, self.piece(" ⊘ ", depth), *self.write(bottom, POWER, depth)]
            case Apply(name, args) if name in _FUNCTIONS:
                return self.call(_FUNCTIONS[name], [self.write(a, SUM, depth + 1) for a in args], depth)
            case Apply("exp", (a,)):
                return [self.piece(f"e{self.raised(HIGH, a)}")]
            case Apply("inv", (Transpose(a),)) | Transpose(Apply("inv", (a,))):
                return [*self.write(a, ATOM, depth), self.piece(f"{HIGH}−⊤{END}")]
            case Apply("inv", (a,)):
                return [*self.write(a, ATOM, depth), self.piece(f"{HIGH}−1{END}")]
            case Power(base, exponent, elementwise):
                mark = "⊙" if elementwise else ""
                return [*self.write(base, ATOM, depth), self.piece(f"{HIGH}{mark}{self.line(exponent)}{END}")]
            case Transpose(Symbol(latex=latex) as a) if latex.endswith(")}"):
                return [self.piece(f"{symbol(a)[:-1]}⊤{END}")]
            case Transpose(a):
                return [*self.write(a, ATOM, depth), self.piece(f"{HIGH}⊤{END}")]
            case Norm(a, matrix):
                end = f"‖{LOW}F{END}" if matrix else "‖"
                return [self.piece("‖"), *self.write(a, SUM, depth), self.piece(end)]
            case Derivative(Derivative(top, first), second):
                below = f"∂{self.line(first)}\u2009∂{self.line(second)}"
                return [self.piece(f"∂{HIGH}2{END}{self.line(top)}/({below})")]
            case Derivative(top, bottom):
                return [self.piece(f"∂{self.line(top)}/∂{self.line(bottom)}")]
        return super().node(f, depth)

    def big(self, f: Big, depth: int) -> Pieces:
        below = ",".join(self.line(x) for x in f.letters)
        sign = {"sum": "Σ", "prod": "Π"}.get(f.op, f.op)
        out = [self.piece(sign + (f"{LOW}{below}{END}" if below else "") + "\u2009")]
        for c in f.conditions:
            out += [*self.write(Iverson(c), SUM, depth), self.piece("\u2009")]
        return [*out, *self.write(f.body, PRODUCT, depth + 1)]


@dataclass(frozen=True)
class Run:
    """Text of one look: `shift` is how far it is raised, in ems of the whole, `size` how large it is."""

    text: str
    shift: float = 0.0
    size: float = 1.0
    slanted: bool = False


def runs(text: str) -> Iterator[Run]:
    """The parts of a printed formula."""
    stack = [Run("")]
    for part in re.split(f"([{LOW}{HIGH}{SLANT}{END}])", text):
        now = stack[-1]
        if part in (LOW, HIGH):
            shift = now.shift + (0.34 if part == HIGH else -0.18) * now.size
            stack.append(Run("", shift, max(now.size * 0.72, 0.55), False))
        elif part == SLANT:
            stack.append(Run("", now.shift, now.size, True))
        elif part == END:
            stack.pop()
        elif part:
            yield Run(part, now.shift, now.size, now.slanted)


def width(text: str) -> float:
    """About how wide a printed formula is, in units of which the letters are 10 high; rather too wide than too
    narrow, for fonts differ."""
    return sum(sum(map(_em, r.text)) * 10.0 * r.size for r in runs(text))


def _em(c: str) -> float:
    if unicodedata.combining(c):
        return 0.0
    if c == "\u2009":
        return 0.2
    if c in " .,;:!'|′ijltfI()[]{}/":
        return 0.36
    if c in "mwMW⊙⊘Σ∞":
        return 0.92
    if c.isupper() or c in "+−=<>≤≥≠×·≈⊤":
        return 0.72
    return 0.56 if c < "\u0250" or "α" <= c <= "ω" else 0.75 if c < "\u2e80" else 1.05


DRAWN = Drawn()
