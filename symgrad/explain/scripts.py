"""The three scripts that a formula is written in, and how a long one is broken into lines.

A script says how each kind of node looks and how tightly it binds; `Script.write` puts the brackets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import zip_longest
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
    Connected,
    Derivative,
    Entry,
    Fold,
    Formula,
    Iverson,
    Matrix,
    Modulo,
    Norm,
    Number,
    Piece,
    Position,
    Power,
    Product,
    Quotient,
    Ranged,
    Relation,
    Symbol,
    Transpose,
    entry,
    height,
    walk,
)  # fmt: skip
from symgrad.explain.formula import Sum as SumNode
from symgrad.explain.plain import columns
from symgrad.language.expr import decimal
from symgrad.language.implicit import IMPLICIT
from symgrad.leaves import LEAVES

Pieces = list[Piece]


class Script:
    """What the scripts share: sums, products and brackets."""

    PLUS, MINUS = " + ", " - "
    SAID = ", "
    KINDS: ClassVar[dict[str, str]] = {"times": "*", "matmul": " @ ", "hadamard": "*", "scaled": " * "}
    RELATIONS: ClassVar[dict[str, str]] = {}
    CONNECTIVES: ClassVar[dict[str, str]] = {"and": " and ", "or": " or ", "not": "not "}

    def line(self, f: Formula) -> str:
        """The formula on one line."""
        return "".join(p.text for p in self.write(f))

    def piece(self, text: str, depth: int | None = None) -> Piece:
        return Piece(text, self.width(text), depth)

    def width(self, text: str) -> float:
        return len(text)

    def write(self, f: Formula, level: int = SUM, depth: int = 0) -> Pieces:
        """The formula, in brackets if it binds less tightly than `level`."""
        own = self.level(f)
        if own >= level:
            return self.node(f, depth)
        left, right = self.brackets(height(f))
        return [self.piece(left), *self.node(f, depth + 1), self.piece(right)]

    def brackets(self, tall: int) -> tuple[str, str]:
        return "(", ")"

    def level(self, f: Formula) -> int:
        match f:
            case SumNode() | Relation() | Connected():
                return SUM
            case Product() | Quotient() | Modulo():
                return PRODUCT
            case Power():
                return POWER
            case Number():
                return PRODUCT if "/" in numeral(f) else ATOM
        return ATOM

    def join(self, parts: Iterable[tuple[str, Pieces]], depth: int) -> Pieces:
        """Parts with an operator before each; a line may break before an operator."""
        out: Pieces = []
        for sign, pieces in parts:
            if sign:
                out.append(self.piece(sign, depth if out else None))
            out += pieces
        return out

    def node(self, f: Formula, depth: int) -> Pieces:
        match f:
            case SumNode(terms):
                signs = [self.MINUS if negative else self.PLUS for negative, _ in terms]
                signs[0] = self.MINUS.strip() if terms[0][0] else ""
                written = [self.write(t, PRODUCT, depth) for _, t in terms]
                return self.join(zip(signs, written, strict=True), depth)
            case Product(factors, kind):
                return self.product(factors, kind, depth)
            case Relation(parts, ops):
                signs = ["", *(f" {self.RELATIONS.get(op, op)} " for op in ops)]
                return self.join(
                    zip(signs, [self.write(p, SUM, depth + 1) for p in parts], strict=True), depth + 1
                )
            case Connected("not", (a,)):
                return [self.piece(self.CONNECTIVES["not"]), *self.write(a, ATOM, depth)]
            case Connected(op, args):
                signs = ["", *(self.CONNECTIVES[op] for _ in args[1:])]
                levels = [PRODUCT if isinstance(a, Connected) else SUM for a in args]
                written = [self.write(a, level, depth) for a, level in zip(args, levels, strict=True)]
                return self.join(zip(signs, written, strict=True), depth)
            case Iverson(c):
                return [self.piece("["), *self.write(c, SUM, depth + 1), self.piece("]")]
            case Ranged(body, ranges):
                said = [p for x in ranges for p in (self.piece(self.SAID), *self.write(x, SUM, depth + 1))]
                return [*self.write(body, SUM, depth), *said]
        raise TypeError(f"not a formula: {type(f).__name__}")

    def product(self, factors: Sequence[Formula], kind: str, depth: int) -> Pieces:
        sign = self.KINDS[kind]
        # a product inside one of another kind is bracketed: the order of reading is part of what `@` means
        parts = []
        for k, f in enumerate(factors):
            level = PRODUCT
            if isinstance(f, Product):
                plain = f.kind == kind and not k or kind == "scaled" and k
                level = PRODUCT if plain else POWER
            elif isinstance(f, (Quotient, Number)) and k and kind != "scaled" or self.slashed(f, kind):
                level = POWER
            if self.open(f) and k < len(factors) - 1:
                level = ATOM + 1
            parts.append(
                (self.between(sign, factors[k - 1], f) if k else "", self.write(f, level, depth + 2))
            )
        return self.join(parts, depth + 1)

    def slashed(self, f: Formula, kind: str) -> bool:
        """Whether a factor is a quotient with a sign of its own, which other signs could part."""
        return isinstance(f, Quotient) and f.kind == "hadamard" and kind in ("matmul", "hadamard")

    def between(self, sign: str, a: Formula, b: Formula) -> str:
        """The sign between two factors."""
        return sign

    def open(self, f: Formula) -> bool:
        """Whether a formula has no end of its own to the right, as Σ in mathematics."""
        return False

    def commas(self, items: Iterable[Pieces], depth: int) -> Pieces:
        out: Pieces = []
        for pieces in items:
            out += [self.piece(","), self.piece(" ", depth), *pieces] if out else pieces
        return out


def ranged(f: Big) -> list[Formula]:
    """The letters of a sum, each with its size where no place that it stands at shows that."""
    ranges = f.ranges or (None,) * len(f.letters)
    return [x if n is None else Relation((x, n), ("<",)) for x, n in zip(f.letters, ranges, strict=True)]


class Code(Script):
    """Text of the language: what is printed can be read back."""

    RAISED = "**"

    def name(self, s: Symbol) -> str:
        return s.code

    def node(self, f: Formula, depth: int) -> Pieces:
        match f:
            case Symbol():
                return [self.piece(self.name(f))]
            case Number():
                return [self.piece(numeral(f))]
            case Entry(base, index):
                inside = self.commas((self.write(i, SUM, depth + 2) for i in index), depth + 2)
                return [*self.write(base, ATOM, depth), self.piece("["), *inside, self.piece("]")]
            case Quotient(top, bottom, kind):
                sign = "//" if kind == "floor" else "/"
                over = self.write(
                    top,
                    PRODUCT if not isinstance(top, (Quotient, Modulo)) or kind != "floor" else POWER,
                    depth,
                )
                return [*over, self.piece(sign, depth + 1), *self.write(bottom, POWER, depth + 1)]
            case Modulo(top, bottom):
                return [*self.write(top, POWER, depth), self.piece("%"), *self.write(bottom, POWER, depth)]
            case Power(base, exponent):
                return [
                    *self.write(base, ATOM, depth),
                    self.piece(self.RAISED),
                    *self.write(exponent, ATOM, depth),
                ]
            case Apply(name, args):
                return self.call(name, [self.write(a, SUM, depth + 1) for a in args], depth)
            case Big():
                return self.big(f, depth)
            case Fold(op, a, axis):
                along = [] if axis is None else [[self.piece(f"axis={axis}")]]
                return self.call(op, [self.write(a, SUM, depth + 1), *along], depth)
            case Transpose(a):
                return [*self.write(a, ATOM, depth), self.piece(".mT" if f.stacked else ".T")]
            case Norm(a):
                return self.call("norm", [self.write(a, SUM, depth + 1)], depth)
            case Matrix(rows, vector):
                # a line breaks between rows rather than in one
                lists = [self.listed((self.write(x, SUM, depth + 4) for x in row), depth + 3) for row in rows]
                return lists[0] if vector else self.listed(lists, depth + 1)
            case Derivative():
                return self.node(entry(Symbol(f.code, f.code, f.code), f.index), depth)
        return super().node(f, depth)

    def listed(self, items: Iterable[Pieces], depth: int) -> Pieces:
        return [self.piece("["), *self.commas(items, depth), self.piece("]")]

    def call(self, name: str, args: Sequence[Pieces], depth: int) -> Pieces:
        return [self.piece(f"{name}("), *self.commas(args, depth + 1), self.piece(")")]

    def big(self, f: Big, depth: int) -> Pieces:
        letters = [self.write(x, SUM, depth) for x in ranged(f)]
        conditions = [self.write(Iverson(c), SUM, depth) for c in f.conditions]
        return self.call(f.op, [*letters, *conditions, self.write(f.body, SUM, depth + 1)], depth)


LONG = 220.0  # points of a line that a fraction may fill
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_SIGNS = {"sum": "Σ", "prod": "Π", "max": "max", "min": "min"}


def _digits(index: Sequence[Formula]) -> bool:
    """Whether all positions are single digits, which need nothing between them."""
    return all(isinstance(i, Position) and i.text.isdigit() and len(i.text) == 1 for i in index)


class Text(Code):
    """For terminals: δ, Σ_n, ᵀ and raised numbers."""

    MINUS = " − "
    KINDS: ClassVar[dict[str, str]] = {"times": "·", "matmul": " @ ", "hadamard": " ⊙ ", "scaled": " · "}
    RELATIONS: ClassVar[dict[str, str]] = {"<=": "≤", ">=": "≥", "!=": "≠", "==": "="}

    def width(self, text: str) -> float:
        return columns(text)

    def name(self, s: Symbol) -> str:
        return s.text

    def level(self, f: Formula) -> int:
        return PRODUCT if isinstance(f, (Big, Derivative)) else super().level(f)

    def open(self, f: Formula) -> bool:
        return isinstance(f, Big) or isinstance(f, Product) and self.open(f.factors[-1])

    def node(self, f: Formula, depth: int) -> Pieces:
        match f:
            case Entry(base, index) if _digits(index):
                lowered = "".join(i.text for i in index if isinstance(i, Position)).translate(_LOWERED)
                return [*self.write(base, ATOM, depth), self.piece(lowered)]
            case Power(base, Number(v)) if v.denominator == 1:
                raised = str(v).translate(_RAISED)
                return [*self.write(base, ATOM, depth), self.piece(raised)]
            case Power(base, SumNode(((True, Number(v)),))) if v.denominator == 1:
                return [*self.write(base, ATOM, depth), self.piece("⁻" + str(v).translate(_RAISED))]
            case Apply("inv", (Transpose(a),)) | Transpose(Apply("inv", (a,))):
                return [*self.write(a, ATOM, depth), self.piece("⁻ᵀ")]
            case Apply("inv", (a,)):
                return [*self.write(a, ATOM, depth), self.piece("⁻¹")]
            case Transpose(a):
                return [*self.write(a, ATOM, depth), self.piece("ᵀ")]
            case Norm(a):
                return [self.piece("‖"), *self.write(a, SUM, depth + 1), self.piece("‖")]
            case Derivative(Derivative(top, first), second):
                return [
                    self.piece("∂²"),
                    *self.write(top, ATOM, depth),
                    self.piece("/∂"),
                    *self.write(first, ATOM, depth),
                    self.piece("∂"),
                    *self.write(second, ATOM, depth),
                ]
            case Derivative(top, bottom):
                return [
                    self.piece("∂"),
                    *self.write(top, ATOM, depth),
                    self.piece("/∂"),
                    *self.write(bottom, ATOM, depth),
                ]
        return super().node(f, depth)

    def big(self, f: Big, depth: int) -> Pieces:
        letters = ",".join(self.line(x).replace(" ", "") for x in ranged(f))
        alone = len(f.letters) == 1 and "<" not in letters
        sign = _SIGNS[f.op] + (f"_{letters}" if alone else f"_({letters})" if letters else "")
        out = [self.piece(sign + " ")]
        for c in f.conditions:
            out += [*self.write(Iverson(c), SUM, depth), self.piece("·")]
        level = PRODUCT
        if isinstance(f.body, Quotient):
            level = PRODUCT
        return [*out, *self.write(f.body, level, depth + 1)]


# points of a 10 pt font; what is not listed is a letter
_POINTS = {
    r"\sum": 14.4, r"\prod": 13.0, r"\max": 19.0, r"\min": 18.0, r"\frac": 2.4, r"\log": 15.0, r"\exp": 17.0,
    r"\tanh": 22.0, r"\sinh": 20.0, r"\cosh": 21.0, r"\sin": 14.0, r"\cos": 15.0, r"\tan": 17.0, r"\top": 7.8,
    r"\,": 1.7, r"\;": 2.8, r"\bigl": 1.0, r"\bigr": 1.0, r"\Bigl": 2.0, r"\Bigr": 2.0, r"\biggl": 3.0,
    r"\biggr": 3.0, r"\quad": 10.0, r"\substack": 0.0, r"\limits": 0.0, r"\mathrm": 0.0, r"\text": 0.0,
    r"\operatorname": 1.7, r"\mathbf": 0.0, r"\hat": 0.0, r"\bar": 0.0, r"\tilde": 0.0, r"\dot": 0.0,
}  # fmt: skip
_BINARY = {
    "+",
    "-",
    "=",
    "<",
    ">",
    r"\cdot",
    r"\odot",
    r"\oslash",
    r"\le",
    r"\ge",
    r"\neq",
    r"\land",
    r"\lor",
    r"\in",
}
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[\s{}]|.", re.DOTALL)


@cache
def points(latex: str, scale: float = 1.0) -> float:
    r"""About how wide a piece of math is set, in points at 10 pt.

    >>> round(points(r"\frac{a + b}{c}")) < round(points("a + b + c"))
    True
    """
    tokens = [t for t in _TOKEN.findall(latex) if not t.isspace()]
    width, k = 0.0, 0
    while k < len(tokens):
        t = tokens[k]
        if t in ("^", "_"):
            group, k = _group(tokens, k + 1)
            below = (
                _group(tokens, k + 1) if k < len(tokens) and tokens[k] in "^_" and tokens[k] != t else None
            )
            width += max(points(group, scale * 0.72), points(below[0], scale * 0.72) if below else 0.0) + 0.5
            k = below[1] if below else k
        elif t == r"\frac":
            top, k = _group(tokens, k + 1)
            bottom, k = _group(tokens, k)
            width += max(points(top, scale * 0.95), points(bottom, scale * 0.95)) + 2.4
        elif t in (r"\sum", r"\prod", r"\max", r"\min") and k + 1 < len(tokens) and tokens[k + 1] == "_":
            group, k = _group(tokens, k + 2)
            below_rows = re.sub(r"\\substack", "", group).split(r"\\")
            width += max(_POINTS[t] * scale, *(points(r, scale * 0.72) for r in below_rows)) + 1.7
        elif t == r"\begin":
            rows, k = _cells(tokens, _group(tokens, k + 1)[1])
            cells = [[points(c, scale) for c in row] for row in rows]
            width += sum(max(c) + 10.0 for c in zip_longest(*cells, fillvalue=0.0))
        else:
            width += 0.0 if t in "{}" else (_POINTS.get(t, 11.5 if t in _BINARY else _letter(t))) * scale
            k += 1
    return width


def _cells(tokens: Sequence[str], k: int) -> tuple[list[list[str]], int]:
    """The cells of a matrix that begins before `k`, row by row, and the place after its end."""
    rows, nesting = [[""]], 0
    while k < len(tokens):
        t = tokens[k]
        if t == r"\end" and not nesting:
            break
        nesting += {r"\begin": 1, r"\end": -1}.get(t, 0)
        if t == "&" and not nesting:
            rows[-1].append("")
        elif t == r"\\" and not nesting:
            rows.append([""])
        else:
            rows[-1][-1] += f"{t} "
        k += 1
    return rows, _group(tokens, k + 1)[1]


def _letter(t: str) -> float:
    if t in "()[],.;:!'|":
        return 3.9
    return 5.0 if t.isdigit() else 7.4 if t.isupper() or t.startswith("\\") else 5.9


def _group(tokens: Sequence[str], k: int) -> tuple[str, int]:
    """The token at `k`, or the whole group in braces that begins there, and the place after it."""
    if k >= len(tokens) or tokens[k] != "{":
        taken = tokens[k] if k < len(tokens) else ""
        return taken, k + 1
    depth, end = 0, k
    while end < len(tokens):
        depth += {"{": 1, "}": -1}.get(tokens[end], 0)
        end += 1
        if not depth:
            break
    return " ".join(tokens[k + 1 : end - 1]), end


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
        return f.top != ONE and sum(p.width for p in self.write(f.top)) > LONG

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
        letters = all(re.fullmatch(r"[a-zA-Z]'*|\\[a-z]+", self.line(i)) for i in index)
        between = "" if _digits(index) else " " if letters else ", "
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


def numeral(f: Number) -> str:
    """A number as text, `0.5` or `1/2`, as it asks."""
    return str(f.value) if f.fraction else decimal(f.value)


def _number(f: Number) -> str:
    v, text = f.value, numeral(f)
    short = v.denominator in (5, 10) or f.fraction is False or v.denominator > 16
    if v.denominator == 1 or "/" not in text and short:
        if "e" in text:
            digits, exponent = text.split("e")
            return rf"{digits} \cdot 10^{{{int(exponent)}}}" if digits != "1" else f"10^{{{int(exponent)}}}"
        return text
    return rf"\frac{{{v.numerator}}}{{{v.denominator}}}"


CODE, TEXT, LATEX = Code(), Text(), Latex()


def fold(pieces: Sequence[Piece], width: float, first: float = 0.0, hang: float = 4.0) -> list[str]:
    """The pieces as lines: broken at the outermost operator that fills a line reasonably, and only where it
    must be.

    Args:
        width: of a line; `first` is taken already on the first line, `hang` on all others.
    """
    return joined(folded(pieces, width, first, hang))


def joined(lines: Iterable[Sequence[Piece]]) -> list[str]:
    """Lines of pieces as text."""
    texts = ["".join(p.text for p in line) for line in lines]
    texts = [text.lstrip() if k else text for k, text in enumerate(texts)]
    return [*(text.rstrip() for text in texts[:-1]), *texts[-1:]] or [""]


def folded(
    pieces: Sequence[Piece], width: float, first: float = 0.0, hang: float = 4.0
) -> list[Sequence[Piece]]:
    """The same, as pieces."""
    lines: list[Sequence[Piece]] = []
    rest = list(pieces)
    while rest:
        room = width - (first if not lines else hang)
        total, end = 0.0, 0
        while end < len(rest) and (total := total + rest[end].width) <= room:
            end += 1
        cut = len(rest) if end == len(rest) else _cut(rest, end, room)
        lines.append(rest[:cut])
        rest = rest[cut:]
        if rest:
            rest[0] = replace(rest[0], depth=None)
    return lines


def _cut(pieces: Sequence[Piece], end: int, room: float) -> int:
    """Where to break among the first `end` pieces: the shallowest place, of those the last; a shallow one
    early in the line only if nothing better is there."""
    places, filled = [], 0.0
    for k, p in enumerate(pieces[: end + 1]):
        if k and p.depth is not None:
            places.append((p.depth + (2 if filled < room * 0.35 else 0), -k))
        filled += p.width
    if places:
        return -min(places)[1]
    return next((k for k, p in enumerate(pieces) if k > end and p.depth is not None), len(pieces))
