"""What the scripts share that a formula is written in, and those of the language and of terminals.

A script says how each kind of node looks and how tightly it binds; `Script.write` puts the brackets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from symgrad.explain.formula import (
    ATOM,
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
)  # fmt: skip
from symgrad.explain.formula import Sum as SumNode
from symgrad.explain.plain import columns
from symgrad.language.expr import decimal

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


def single_digits(index: Sequence[Formula]) -> bool:
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
            case Entry(base, index) if single_digits(index):
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


def numeral(f: Number) -> str:
    """A number as text, `0.5` or `1/2`, as it asks."""
    return str(f.value) if f.fraction else decimal(f.value)


CODE, TEXT = Code(), Text()
