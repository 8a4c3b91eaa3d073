"""Formulas as MathML: the boxes of `scripts.LATEX` as the elements of MathML Core, which browsers render by themselves.

Brackets that match stand in an `mrow` of their own and grow with what they hold. What is only near one another in
print (a product, an application, the letters of an index) is joined by the invisible operators that say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from symgrad.explain.boxes import (
    Accent,
    Box,
    Boxes,
    Fraction,
    Grid,
    Limits,
    Root,
    Script,
    Token,
)
from symgrad.explain.formula import Formula
from symgrad.explain.latex import LATEX
from symgrad.explain.scripts import TEXT

NAMESPACE = "http://www.w3.org/1998/Math/MathML"

APPLY, TIMES, SEPARATE = "\u2061", "\u2062", "\u2063"  # the invisible operators
_TALL = frozenset({"mfrac", "munder", "munderover", "mtable"})
_SCRIPTS = frozenset({"msub", "msup", "msubsup"})
_UNARY = frozenset("+−")


def inline(f: Formula) -> Element:
    """A formula in a line of text."""
    return math(LATEX.inside(f), TEXT.line(f))


def math(boxes: Boxes, alt: str, *, display: bool = False, continued: bool = False) -> Element:
    """Boxes as a `math` element.

    Args:
        alt: what is read where MathML is not known.
        display: sets fractions and limits in full size.
        continued: whether the first sign has its first operand on the line before.
    """
    root = Element("math", xmlns=NAMESPACE, alttext=alt)
    if display:
        root.set("displaystyle", "true")
    root.append(_joined(row(boxes, continued=continued)))
    return root


def row(boxes: Iterable[Box], *, continued: bool = False, between: str = TIMES) -> list[Element]:
    """Boxes as elements side by side; `between` joins operands that only stand near one another."""
    line = _Line(continued, between)
    for box in boxes:
        line.add(box)
    return line.ended()


class _Line:
    """Elements side by side, in the brackets that are still open."""

    def __init__(self, continued: bool, between: str):
        self.between = between
        self.levels: list[list[Element]] = [[]]
        self.before = "operand" if continued else ""  # what the last element was
        self.space = ""

    def add(self, box: Box) -> None:
        match box:
            case Token(_, "space", width):
                self.space = width or self.space
            case Token(_, "open", text):
                self.near("operand")
                self.gap()
                self.levels.append([_operator(text, form="prefix")])
                self.before = ""
            case Token(_, "close", text):
                self.close(_operator(text, form="postfix"))
            case Token(_, "comma", text):
                self.append(_operator(text, separator="true"), "comma")
            case Token(_, "sign", text):
                self.sign(text)
            case Script(_, below, above):
                self.script(below, above)
            case Limits(_, sign, rows):
                self.large(sign, rows)
            case _:
                kind = "function" if isinstance(box, Token) and box.kind == "function" else "operand"
                self.near("operand")
                self.append(_operand(box), kind)

    def append(self, element: Element, kind: str) -> None:
        if kind != "comma":
            self.gap()
        self.levels[-1].append(element)
        self.before, self.space = kind, ""

    def gap(self) -> None:
        """The space that was asked for, before what comes."""
        if self.space:
            self.levels[-1].append(Element("mspace", width=self.space))
            self.space = ""

    def near(self, kind: str) -> None:
        """The invisible operator between what stood before and an operand."""
        sign = {"operand": self.between, "function": APPLY}.get(self.before)
        if sign and self.levels[-1]:
            self.levels[-1].append(_element("mo", sign))

    def sign(self, text: str) -> None:
        first = self.before in ("", "sign", "comma", "large")
        if text in ("∂", "∇", "¬"):
            if self.before == "operand":
                self.near("operand")
            self.append(_operator(text, form="prefix", lspace="0", rspace="0"), "large")
        elif text in ("/", "|", "∣"):
            self.space = ""
            self.append(_operator(text, lspace="0.1em", rspace="0.1em"), "sign")
        elif text == "∗" and first:
            self.append(_element("mi", text), "operand")
        elif text == "mod":
            self.space = ""
            self.append(_operator(text, lspace="0.3em", rspace="0.3em"), "sign")
        else:
            self.space = ""
            self.append(_operator(text, form="prefix" if first and text in _UNARY else "infix"), "sign")

    def script(self, below: Boxes, above: Boxes) -> None:
        level = self.levels[-1]
        base = level.pop() if level and level[-1].tag != "mspace" else Element("mrow")
        lower, upper = _joined(row(below, between=SEPARATE)), _joined(row(above))
        if below and base.tag == "msup" or above and base.tag == "msub":
            both = [base[0], lower, base[1]] if below else [base[0], base[1], upper]
            level.append(_element("msubsup", *both))
        else:
            level.append(_element("msub", base, lower) if below else _element("msup", base, upper))
        self.before = self.before if self.before == "function" else "operand"

    def large(self, sign: Token, rows: Sequence[Boxes]) -> None:
        self.near("operand")
        named = sign.text.isalpha()
        over: Element = (
            _operator(sign.text, lspace="0", rspace="0.167em", movablelimits="true")
            if named
            else _operator(sign.text)
        )
        if rows:
            lines = [_joined(row(r, between=SEPARATE)) for r in rows]
            below = lines[0] if len(lines) == 1 else _table([[line] for line in lines])
            over = _element("munder", over, below)
        self.append(over, "large")

    def close(self, bracket: Element) -> None:
        if len(self.levels) == 1:  # opened on a line before
            self.append(bracket, "operand")
            return
        left, *inside = self.levels.pop()
        _grow((left, bracket), inside)
        self.space = ""
        level = self.levels[-1]
        level.append(_element("mrow", left, *([_joined(inside)] if inside else []), bracket))
        if len(level) > 2 and level[-2].text == APPLY:  # what follows is about the value of the function
            level[-3:] = [_element("mrow", *level[-3:])]
        self.before = "operand"

    def ended(self) -> list[Element]:
        """All elements; brackets that are still open close on a line that follows."""
        *outer, last = self.levels
        for level in reversed(outer):
            _grow(last[:1], last[1:])
            last = [*level, *last]
        return last


def _operand(box: Box) -> Element:
    match box:
        case Token(_, "number", text):
            return _element("mn", text)
        case Token(_, "letter", text):
            # one letter is slanted by itself; with primes it is none, and the letter is written as a slanted one
            return _element("mi", text if len(text) == 1 else _slanted(text))
        case Token(_, "bold", text):
            return _element("mi", _bold(text), mathvariant="normal")
        case Token(_, _, text):
            return _element("mi", text, mathvariant="normal") if len(text) == 1 else _element("mi", text)
        case Fraction(_, top, bottom):
            return _element("mfrac", _joined(row(top)), _joined(row(bottom)))
        case Root(_, inside):
            return _element("msqrt", *row(inside))
        case Accent(_, mark, inside):
            over = _operator(mark, stretchy="true" if mark == "¯" else "false")
            return _element("mover", _joined(row(inside)), over, accent="true")
        case Grid(_, rows):
            cells = _table([[_joined(row(cell)) for cell in line] for line in rows])
            return _element("mrow", _element("mo", "["), cells, _element("mo", "]"))
    raise TypeError(f"not a box that stands for itself: {type(box).__name__}")


def _slanted(text: str) -> str:
    """Slanted letters, which Unicode has as characters of their own, all but h."""
    return "".join(
        "ℎ" if c == "h"
        else chr(ord(c) + 0x1D434 - ord("A")) if "A" <= c <= "Z"
        else chr(ord(c) + 0x1D44E - ord("a")) if "a" <= c <= "z"
        else c
        for c in text
    )  # fmt: skip


def _bold(text: str) -> str:
    """Upright bold letters and digits, which Unicode has as characters of their own."""
    return "".join(
        chr(ord(c) + 0x1D400 - ord("A")) if "A" <= c <= "Z"
        else chr(ord(c) + 0x1D41A - ord("a")) if "a" <= c <= "z"
        else chr(ord(c) + 0x1D7CE - ord("0")) if "0" <= c <= "9"
        else c
        for c in text
    )  # fmt: skip


def _table(rows: Sequence[Sequence[Element]]) -> Element:
    return _element("mtable", *(_element("mtr", *(_element("mtd", cell) for cell in line)) for line in rows))


def _operator(text: str, **look: str) -> Element:
    bracket = look.get("form") in ("prefix", "postfix") and text in "([{|‖⌊⌈⟨)]}⌋⌉⟩"
    return _element("mo", text, **look, **({"stretchy": "false"} if bracket else {}))


def _grow(brackets: Iterable[Element], inside: Iterable[Element]) -> None:
    """Brackets around what is tall become so."""
    if any(map(_tall, inside)):
        for b in brackets:
            if b.get("stretchy") == "false":
                b.set("stretchy", "true")


def _tall(e: Element) -> bool:
    parts = e[:1] if e.tag in _SCRIPTS else e
    return e.tag in _TALL or any(map(_tall, parts))


def _joined(elements: Sequence[Element]) -> Element:
    return elements[0] if len(elements) == 1 else _element("mrow", *elements)


def _element(tag: str, *content: Element | str, **look: str) -> Element:
    e = Element(tag, look)
    for c in content:
        if isinstance(c, str):
            e.text = c
        else:
            e.append(c)
    return e
