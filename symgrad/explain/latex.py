"""The script of LaTeX: formulas for math mode."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from string import Formatter
from typing import ClassVar

from symgrad.explain import boxes
from symgrad.explain.boxes import Box, Boxes
from symgrad.explain.formula import (
    ATOM,
    ONE,
    POWER,
    PRODUCT,
    SUM,
    Apply,
    Big,
    Derivative,
    Entry,
    Formula,
    Iverson,
    Matrix,
    Modulo,
    Norm,
    Number,
    Piece,
    Power,
    Product,
    Quotient,
    Symbol,
    Transpose,
    height,
    walk,
)  # fmt: skip
from symgrad.explain.formula import Sum as SumNode
from symgrad.explain.scripts import LONG, Pieces, Script, numeral, ranged, single_digits
from symgrad.explain.widths import points
from symgrad.language.implicit import IMPLICIT
from symgrad.leaves import LEAVES


class Latex(Script):
    """For math mode, with amsmath."""

    SAID = r",\quad "

    KINDS: ClassVar[dict[str, str]] = {
        "times": r" \, ",
        "matmul": r" \, ",
        "hadamard": r" \odot ",
        "scaled": r" \, ",
    }
    RELATIONS: ClassVar[dict[str, str]] = {
        "<=": r"\le",
        ">=": r"\ge",
        "!=": r"\neq",
        "==": "=",
        "←": r"\leftarrow",
    }
    CONNECTIVES: ClassVar[dict[str, str]] = {"and": r" \land ", "or": r" \lor ", "not": r"\lnot "}

    def width(self, text: str) -> float:
        return points(text)

    def brackets(self, tall: int) -> tuple[str, str]:
        size = ("", r"\Big", r"\bigg")[tall]
        return (f"{size}l(", f"{size}r)") if size else ("(", ")")

    def level(self, f: Formula) -> int:
        match f:
            case Big():
                return PRODUCT
            case Symbol(latex=latex):
                return POWER if "^" in latex else ATOM
            case Entry(base, _):
                return self.level(base)
            case Apply("index", (position,)):
                return self.level(position)
            case Apply("inv" | "solve" as name, _):
                return POWER if name == "inv" else PRODUCT
            case Apply(name, _):
                return _leaf_level(_template(name))
            case Number(v):
                return POWER if r"\frac" in _number(f) else ATOM if v >= 0 else SUM
            case Quotient(kind="times") if self.long(f):
                return PRODUCT
            case Quotient(kind=kind):
                return {"times": POWER, "hadamard": PRODUCT, "floor": ATOM}[kind]
            case Derivative():
                return POWER
            case Transpose():
                return POWER
            case Norm() | Iverson():
                return ATOM
        return super().level(f)

    def long(self, f: Quotient) -> bool:
        """Whether a fraction is wider than a line has room for: no line can break in it, so the top stands beside."""
        return f.top != ONE and _width(self, f.top) > LONG

    def open(self, f: Formula) -> bool:
        return isinstance(f, Big) or isinstance(f, Product) and self.open(f.factors[-1])

    def between(self, sign: str, a: Formula, b: Formula) -> str:
        return " " if sign == r" \, " and _near(a) and _near(b) else sign

    def piece(self, text: str, depth: int | None = None) -> Piece:
        return Piece(text, points(text), depth, boxes.read(text))

    def set(self, *given: Box, depth: int | None = None) -> Piece:
        """Boxes that no line break parts."""
        text = boxes.source(given)
        return Piece(text, points(text), depth, given)

    def inside(self, f: Formula, level: int = SUM) -> Boxes:
        """The formula inside braces: no line can break there."""
        return tuple(b for p in self.write(f, level) for b in p.boxes)

    def node(self, f: Formula, depth: int) -> Pieces:
        match f:
            case Symbol():
                return [self.piece(f.latex)]
            case Number():
                return [self.piece(_number(f))]
            case Entry(base, index):
                # an entry of what is computed: of all of it
                whole = self.inside(base, ATOM if isinstance(base, Apply) else SUM)
                return [self.set(*whole, boxes.lowered(self.subscript(index)))]
            case Product(factors, "times"):
                return self.juxtaposed(factors, depth)
            case Quotient(top, bottom, "floor"):
                above, under = self.inside(top, PRODUCT), self.inside(bottom, POWER)
                left, by, right = map(boxes.read, (r"\lfloor ", " / ", r" \rfloor"))
                return [self.set(*left, *above, *by, *under, *right)]
            case Quotient(top, bottom, "hadamard"):
                inner = isinstance(top, Product) and top.kind != "hadamard"
                over = self.write(top, POWER if inner else PRODUCT, depth)
                return [*over, self.piece(r" \oslash ", depth), *self.write(bottom, POWER, depth)]
            case Quotient(top, bottom) if self.long(f):
                return self.node(Product((Quotient(ONE, bottom), top)), depth)
            case Quotient(top, bottom):
                return [self.set(boxes.fraction(self.inside(top), self.inside(bottom)))]
            case Modulo(top, bottom):
                return [
                    *self.write(top, POWER, depth),
                    self.piece(r" \bmod "),
                    *self.write(bottom, POWER, depth),
                ]
            case Power(base, exponent, elementwise):
                mark = boxes.read(r"\odot ") if elementwise else ()
                return [
                    *self.write(base, ATOM, depth),
                    self.set(boxes.raised((*mark, *self.inside(exponent)))),
                ]
            case Apply("index", (position,)):
                return self.node(position, depth)
            case Apply("inv", (Transpose(a),)) | Transpose(Apply("inv", (a,))):
                return [*self.write(a, ATOM, depth), self.piece(r"^{-\top}")]
            case Apply("inv", (a,)):
                return [*self.write(a, ATOM, depth), self.piece("^{-1}")]
            case Apply("solve", (a, b)):
                return self.node(Product((Apply("inv", (a,)), b), "matmul"), depth)
            case Apply(name, args):
                return self.apply(name, args, depth)
            case Big():
                return self.big(f, depth)
            case Transpose(Symbol(latex=latex)) if re.search(r"\^\{\([^(){}]*\)\}$", latex):
                return [self.piece(latex[:-1] + r"\top}")]
            case Transpose(a):
                return [*self.write(a, ATOM, depth), self.piece(r"^{\top}")]
            case Norm(a, matrix):
                tall = any(isinstance(x, Matrix) for x in walk(a))
                bars = (r"\biggl\lVert ", r"\biggr\rVert") if tall else (r"\lVert ", r" \rVert")
                return [
                    self.piece(bars[0]),
                    *self.write(a, SUM, depth + 1),
                    self.piece(bars[1] + "_F" * matrix),
                ]
            case Matrix(rows, vector):
                lines: Sequence[Sequence[Formula]] = [(x,) for x in rows[0]] if vector else rows
                return [self.set(boxes.grid([[self.inside(x) for x in row] for row in lines]))]
            case Derivative(Derivative(top, first), second):
                twice, once, again = map(boxes.read, (r"\partial^2 ", r"\partial ", r" \, \partial "))
                below = (*once, *self.inside(first), *again, *self.inside(second))
                return [self.set(boxes.fraction((*twice, *self.inside(top)), below))]
            case Derivative(top, bottom):
                once = boxes.read(r"\partial ")
                return [self.set(boxes.fraction((*once, *self.inside(top)), (*once, *self.inside(bottom))))]
        return super().node(f, depth)

    def subscript(self, index: Sequence[Formula]) -> Boxes:
        letters = all(isinstance(i, Symbol) and re.fullmatch(r"[a-zA-Z]'*|\\[a-z]+", i.latex) for i in index)
        between = "" if single_digits(index) else " " if letters else ", "
        return boxes.joined(between, map(self.inside, index))

    def juxtaposed(self, factors: Sequence[Formula], depth: int) -> Pieces:
        r"""A product by nearness; a dot only between numbers."""
        out: Pieces = []
        before: Formula | None = None
        for k, f in enumerate(factors):
            last = k == len(factors) - 1
            loose = isinstance(f, Product) or self.open(f) and not last
            level = ATOM + 1 if self.open(f) and not last else POWER if loose else PRODUCT
            dot = (
                isinstance(f, Number)
                and before is not None
                or isinstance(f, Power)
                and isinstance(f.base, Number)
            )
            sign = (
                ""
                if before is None
                else r" \cdot "
                if dot
                else " "
                if _near(before) and _near(f)
                else r" \, "
            )
            out += [*([self.piece(sign, depth + 1)] if sign else []), *self.write(f, level, depth + 2)]
            before = f
        return out

    def big(self, f: Big, depth: int) -> Pieces:
        rows = [boxes.joined(", ", map(self.inside, ranged(f))), *map(self.inside, f.conditions)]
        head = boxes.limits(rf"\{f.op}", [r for r in rows if r])
        return [self.set(*head), *self.write(f.body, PRODUCT, depth + 1)]

    def apply(self, name: str, args: Sequence[Formula], depth: int) -> Pieces:
        """A leaf by its template in the table: brackets grow with the arguments, a minus brackets a sum."""
        known = LEAVES[name].params if name in LEAVES else "AB" if name in IMPLICIT else ()
        params: Sequence[str] = known or [f"x{k}" for k, _ in enumerate(args)]
        given = dict(zip(params, args, strict=False))
        grown = dict(zip("()", self.brackets(max(map(height, args), default=0)), strict=True))
        out: Pieces = []
        sign = ""
        for box in boxes.read(_holes(_template(name, len(args)))):
            if isinstance(box, boxes.Hole):
                pieces = self.write(given[box.name], self.argument(sign, given[box.name]), depth + 1)
                if sign == "," and len(args) > 2:  # a long list breaks after its commas
                    pieces = [replace(pieces[0], depth=depth + 1), *pieces[1:]]
                out += pieces
            elif box.latex in grown:
                out.append(self.piece(grown[box.latex]))
            else:
                # what stands in braces is set small, and its brackets stay
                filled = boxes.filled(
                    box, lambda hole, sign: self.inside(given[hole], self.argument(sign, given[hole]))
                )
                out.append(self.set(filled))
            sign = box.latex.strip() or sign
        return out

    def argument(self, sign: str, f: Formula) -> int:
        """How tightly an argument must bind after a sign of the template."""
        return POWER if sign == "-" else PRODUCT if sign == "+" and _signed(f) else SUM


def _near(f: Formula) -> bool:
    """Whether a factor needs no space beside it."""
    if isinstance(f, (Power, Transpose)):
        return _near(f.base if isinstance(f, Power) else f.a)
    base = f.base if isinstance(f, Entry) else f
    return (
        isinstance(base, (Number, SumNode))
        or isinstance(base, Symbol)
        and not re.search(r"\\(mathrm|text)", base.latex)
    )


def _signed(f: Formula) -> bool:
    return isinstance(f, SumNode) and f.terms[0][0]


def _template(name: str, count: int = 1) -> str:
    if name in LEAVES:
        return LEAVES[name].latex
    if name in IMPLICIT:
        return IMPLICIT[name].latex
    if name in ("max", "min"):
        return rf"\{name}({', '.join(f'{{x{k}}}' for k in range(count))})"
    shown = {"trace": "tr"}.get(name, name)
    return rf"\operatorname{{{{{shown}}}}}({', '.join(f'{{x{k}}}' for k in range(count))})"


@lru_cache(maxsize=4096)
def _width(script: Script, f: Formula) -> float:
    """Kept, for each fraction in a fraction would be measured and written, twice the work for every one."""
    return sum(p.width for p in script.write(f))


@cache
def _holes(template: str) -> str:
    """A template with its fields as `boxes.read` takes them."""
    parts = Formatter().parse(template)
    return "".join(literal + (rf"\hole{{{field}}}" if field else "") for literal, field, _, _ in parts)


@cache
def _leaf_level(template: str) -> int:
    """How tightly a leaf binds, from its template outside braces and brackets."""
    fields = {field: "x" for _, field, _, _ in Formatter().parse(template) if field}
    flat, before = template.format(**fields), ""
    while flat != before:
        before, flat = flat, re.sub(r"\{[^{}]*\}|\([^()]*\)", "", flat)
    if "^" in flat:
        return POWER
    return POWER if len(re.findall(r"\\[a-zA-Z]+", flat)) > 1 and not flat.startswith(r"\lvert") else ATOM


def _number(f: Number) -> str:
    v, text = f.value, numeral(f)
    short = v.denominator in (5, 10) or f.fraction is False or v.denominator > 16
    if v.denominator == 1 or "/" not in text and short:
        if "e" in text:
            digits, exponent = text.split("e")
            return rf"{digits} \cdot 10^{{{int(exponent)}}}" if digits != "1" else f"10^{{{int(exponent)}}}"
        return text
    return rf"\frac{{{v.numerator}}}{{{v.denominator}}}"


LATEX = Latex()
