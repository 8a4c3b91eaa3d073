"""Scalar expressions: the bodies of statements.

Small immutable trees. The constructors `add`, `mul`, `power` fold numbers, zeros and ones and bring like terms and
equal bases together, keeping the order in which the user wrote things; they never expand a product of sums.
`str(e)` is text of the language, so an expression can be read back.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from operator import attrgetter, is_not
from typing import TypeVar, Union

from symgrad.errors import Refusal
from symgrad.language.ints import Int, IntLike, Look, Size, of
from symgrad.language.syntax import shortened


class Node:
    """What all expressions share: the hash is kept, and arithmetic goes through the folding constructors."""

    def __hash__(self) -> int:
        kept = self.__dict__
        found = kept.get("_hash")
        if found is None:  # nothing but the fields is kept before, in their order
            found = kept["_hash"] = hash((type(self).__name__, *kept.values()))
        return found

    def __add__(self, other: ExprLike) -> Expr:
        return add(self, other)  # type: ignore[arg-type]

    def __mul__(self, other: ExprLike) -> Expr:
        return mul(self, other)  # type: ignore[arg-type]

    def __sub__(self, other: ExprLike) -> Expr:
        return add(self, mul(-1, other))  # type: ignore[arg-type]

    def __truediv__(self, other: ExprLike) -> Expr:
        return mul(self, power(lift(other), -1))  # type: ignore[arg-type]

    def __pow__(self, other: ExprLike) -> Expr:
        return power(self, other)  # type: ignore[arg-type]

    def __neg__(self) -> Expr:
        return mul(-1, self)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return show(self)  # type: ignore[arg-type]

    __repr__ = __str__


# __hash__ is spelled out in each class: a dataclass with eq would otherwise write its own and walk the tree each time
@dataclass(frozen=True, repr=False)
class Num(Node):
    """An exact rational number; `0.1` in a text is one tenth."""

    value: Fraction
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Const(Node):
    """`pi` or `e`."""

    name: str
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Val(Node):
    """An integer expression as a real number: a size, a running index (`index(t)`), a label's value."""

    int: Int
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Access(Node):
    """A real tensor's entry at a position; a scalar has the empty index."""

    tensor: str
    index: tuple[Int, ...]
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Add(Node):
    args: tuple[Expr, ...]
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Mul(Node):
    args: tuple[Expr, ...]
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Pow(Node):
    base: Expr
    exponent: Expr
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Call(Node):
    """A scalar leaf of the table in `symgrad.leaves`, applied."""

    name: str
    args: tuple[Expr, ...]
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Bracket(Node):
    """The Iverson bracket: 1 where the condition holds, else 0, and strongly so: a product that has it is 0 there,
    whatever the other factors are. Its derivative is zero."""

    condition: Condition
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Stop(Node):
    """The value of `arg` with derivative zero: `kind` is "stop" (a deliberate constant) or "held" (proved equal)."""

    arg: Expr
    kind: str
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Cmp(Node):
    """`a op b`, op one of `< <= > >= == !=`."""

    op: str
    a: Expr
    b: Expr
    __hash__ = Node.__hash__


@dataclass(frozen=True, repr=False)
class Logic(Node):
    """`and`, `or` over the arguments, or `not` of the single one."""

    op: str
    args: tuple[Condition, ...]
    __hash__ = Node.__hash__


Expr = Union[Num, Const, Val, Access, Add, Mul, Pow, Call, Bracket, Stop]
Condition = Union[Cmp, Logic]
ExprLike = Union[Expr, int, Fraction]


def lift(x: ExprLike) -> Expr:
    return x if isinstance(x, Node) else Num(Fraction(x))


_UNIT = Fraction(1)
ZERO, ONE = Num(Fraction(0)), Num(_UNIT)


def number(e: Expr) -> Fraction | None:
    return e.value if isinstance(e, Num) else None


def val(x: IntLike) -> Expr:
    """An integer expression as a real; a plain number becomes `Num`."""
    x = of(x)
    n = x.number
    return Num(Fraction(n)) if n is not None else Val(x)


def split(e: Expr) -> tuple[Fraction, Expr]:
    """A term as its rational coefficient and the rest."""
    if isinstance(e, Num):
        return e.value, ONE
    if isinstance(e, Mul) and isinstance(e.args[0], Num):
        rest = e.args[1:]
        return e.args[0].value, rest[0] if len(rest) == 1 else Mul(rest)
    return _UNIT, e


def add(*terms: ExprLike) -> Expr:
    """A sum in the order given: nested sums flattened, like terms collected, zeros dropped."""
    total: dict[Expr, Fraction] = {}
    for t in map(lift, terms):
        for part in _summands(t):
            c, rest = split(part)
            total[rest] = total[rest] + c if rest in total else c
    kept = [rest if c is _UNIT else mul(c, rest) for rest, c in total.items() if c]
    return ZERO if not kept else kept[0] if len(kept) == 1 else Add(tuple(kept))


def _summands(t: Expr) -> tuple[Expr, ...]:
    """What a term adds to a sum: a nested sum is flattened, a subtracted one too."""
    if isinstance(t, Add):
        return t.args
    match t:
        case Mul((Num(v), Add(args))) if v == -1:
            return tuple(mul(-1, a) for a in args)
    return (t,)


def mul(*factors: ExprLike) -> Expr:
    """A product in the order given: flattened, numbers in front, divisors last, equal bases as powers; zero wins."""
    number = _UNIT
    powers: dict[Expr, Expr] = {}
    for f in map(lift, factors):
        for part in map(_settled, f.args if isinstance(f, Mul) else (f,)):
            if isinstance(part, Num):
                number = part.value if number is _UNIT else number * part.value
            else:
                base, exponent = (part.base, part.exponent) if isinstance(part, Pow) else (part, ONE)
                if base not in powers:
                    powers[base] = exponent
                elif isinstance(base, Bracket):  # its own square, and it hides what is divided by it
                    powers[base] = ONE if ONE in (powers[base], exponent) else exponent
                else:
                    powers[base] = add(powers[base], exponent)
    if not number:
        return ZERO
    kept: list[Expr] = []
    for base, exponent in powers.items():
        p = base if exponent is ONE else power(base, exponent)
        if isinstance(p, Num):
            number *= p.value
        else:
            kept.extend(p.args if isinstance(p, Mul) else (p,))
    if not number or not kept:
        return Num(number)
    kept.sort(key=_below)  # as it is written, so that the text reads back to the same product
    if number != 1:
        kept.insert(0, Num(number))
    return kept[0] if len(kept) == 1 else Mul(tuple(kept))


def _settled(e: Expr) -> Expr:
    """A bracket that compares two numbers as its value; anything else as it is."""
    match e:
        case Bracket(Cmp(op, Num(a), Num(b))):
            holds = {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b, "==": a == b, "!=": a != b}[op]
            return ONE if holds else ZERO
    return e


def power(base: ExprLike, exponent: ExprLike) -> Expr:
    base, exponent = lift(base), lift(exponent)
    if exponent == ZERO:
        return ONE
    if ONE in (exponent, base):
        return base
    whole = isinstance(exponent, Num) and exponent.value.denominator == 1
    if isinstance(base, Num) and isinstance(exponent, Num):
        longest = max(base.value.numerator.bit_length(), base.value.denominator.bit_length())
        if abs(exponent.value) * longest > 4096 and abs(base.value) != 1:
            shown = shortened(decimal(base.value)), shortened(decimal(exponent.value))
            raise Refusal(f"{shown[0]}**{shown[1]} has too many digits")
        if whole and (base.value or exponent.value > 0):
            return Num(base.value ** int(exponent.value))
        if base.value == 0 and exponent.value > 0:
            return ZERO
    if whole and isinstance(base, Pow):
        return power(base.base, mul(base.exponent, exponent))
    if whole and isinstance(base, Mul):
        return mul(*(power(f, exponent) for f in base.args))
    if isinstance(base, Bracket) and isinstance(exponent, Num) and exponent.value > 0:
        return base
    if base == Const("e"):
        return Call("exp", (exponent,))
    return Pow(base, exponent)


def call(name: str, *args: ExprLike) -> Expr:
    return Call(name, tuple(map(lift, args)))


def both(*conditions: Condition | None) -> Condition | None:
    """All of them; None stands for no condition."""
    parts: dict[Condition, None] = {}
    for c in conditions:
        if c is not None:
            parts.update(dict.fromkeys(c.args if isinstance(c, Logic) and c.op == "and" else (c,)))
    flat = tuple(parts)
    return None if not flat else flat[0] if len(flat) == 1 else Logic("and", flat)


def conjuncts(condition: Condition | None) -> tuple[Condition, ...]:
    """The conditions that must all hold."""
    if condition is None:
        return ()
    return condition.args if isinstance(condition, Logic) and condition.op == "and" else (condition,)


def margins_of(c: Condition) -> tuple[Int, ...] | None:
    """Integer expressions that are nonnegative exactly where a comparison of integers holds; else None."""
    if not isinstance(c, Cmp) or c.op == "!=":
        return None
    a, b = whole(c.a), whole(c.b)
    if a is None or b is None:
        return None
    over, under = b - a, a - b
    return {"<": (over - 1,), "<=": (over,), ">": (under - 1,), ">=": (under,), "==": (over, under)}[c.op]


def whole(e: Expr) -> Int | None:
    """An expression as an integer expression, if it is one."""
    if isinstance(e, Num) and e.value.denominator == 1:
        return of(int(e.value))
    return e.int if isinstance(e, Val) else None


# walking

Any = Union[Expr, Condition]
E = TypeVar("E", Expr, Condition)


_CHILDREN: dict[type, Callable[[typing.Any], tuple[typing.Any, ...]]] = {
    **dict.fromkeys((Add, Mul, Call, Logic), attrgetter("args")),
    Pow: attrgetter("base", "exponent"),
    Cmp: attrgetter("a", "b"),
    Stop: lambda e: (e.arg,),
    Bracket: lambda e: (e.condition,),
}


def children(e: Any) -> tuple[Any, ...]:
    inner = _CHILDREN.get(type(e))
    return inner(e) if inner is not None else ()


def rebuild(e: Any, parts: tuple[typing.Any, ...]) -> Any:
    match e:
        case Add():
            return add(*parts)
        case Mul():
            return mul(*parts)
        case Pow():
            return power(*parts)
        case Call(name, _):
            return Call(name, parts)
        case Logic(op, _):
            return Logic(op, parts)
        case Cmp(op, _, _):
            return Cmp(op, *parts)
        case Stop(_, kind):
            return Stop(parts[0], kind)
        case Bracket():
            return Bracket(parts[0])
    return e


def rewrite(e: E, change: Callable[[typing.Any], typing.Any], *, bottom_up: bool = False) -> E:
    """The tree with parts replaced: `change` gives the new part, or None to look inside (or, bottom up, to keep)."""
    if not bottom_up:
        new = change(e)
        if new is not None:
            return new
    old: tuple[typing.Any, ...] = children(e)
    if old:
        parts = tuple([rewrite(c, change, bottom_up=bottom_up) for c in old])
        if any(map(is_not, parts, old)):
            e = typing.cast(E, rebuild(e, parts))
    if bottom_up:
        new = change(e)
        if new is not None:
            return new
    return e


def walk(e: Any) -> Iterator[Any]:
    """Every part, the whole first."""
    waiting = [e]
    while waiting:
        x = waiting.pop()
        yield x
        inner = _CHILDREN.get(type(x))
        if inner is not None:
            waiting += inner(x)[::-1]


def accesses(e: Any, *, stopped: bool = True) -> tuple[Access, ...]:
    """The distinct tensor entries read, in order of appearance; without those under `stop`, `held` and in brackets
    if `stopped` is False (those have no derivative)."""
    found: dict[Access, None] = {}

    def visit(x: Any) -> None:
        if isinstance(x, Access):
            found[x] = None
        if stopped or not isinstance(x, (Stop, Bracket)):
            for c in children(x):
                visit(c)

    visit(e)
    return tuple(found)


def ints(e: Any) -> Iterator[Int]:
    """Every integer expression inside: positions and values."""
    for x in walk(e):
        if isinstance(x, Access):
            yield from x.index
        elif isinstance(x, Val):
            yield x.int


def axes(e: Any) -> tuple[str, ...]:
    """The axes that an expression depends on, in order of appearance."""
    return tuple(dict.fromkeys(a for i in ints(e) for a in i.axes))


def tensors(e: Any) -> tuple[str, ...]:
    """The tensors read, integer ones too, in order of appearance."""
    found: dict[str, None] = {}
    for x in walk(e):
        if isinstance(x, Access):
            found[x.tensor] = None
        if isinstance(x, (Access, Val)):
            for i in x.index if isinstance(x, Access) else (x.int,):
                found.update(dict.fromkeys(a.tensor for a in i.atoms() if isinstance(a, Look)))
    return tuple(found)


def map_ints(e: E, change: Callable[[Int], Int]) -> E:
    """The tree with every integer expression changed."""

    def one(x: Any) -> Any | None:
        if isinstance(x, Access):
            return Access(x.tensor, tuple(map(change, x.index)))
        return val(change(x.int)) if isinstance(x, Val) else None

    return rewrite(e, one)


def substitute(e: E, values: Mapping[typing.Any, IntLike]) -> E:
    """Axes, sizes or look-ups replaced by integer expressions."""
    return map_ints(e, lambda i: i.substitute(values)) if values else e


# text

SUM, PRODUCT, SIGN, POWER, ATOM = range(5)


def decimal(x: Fraction) -> str:
    """`0.25`, `1/3`, `-2`, `1e-09`: the shortest text of the language with exactly this value."""
    if x.denominator == 1 and abs(x) < 10**16:
        return str(x.numerator)
    try:
        f = float(x)
    except OverflowError:
        f = math.inf
    exact = math.isfinite(f) and Fraction(repr(f)) == x
    return repr(f) if exact else str(x)


def show(e: Any, level: int = SUM, inside: bool = False) -> str:
    """Text of the language; `inside` a bracket a bare letter is an index."""
    text, own = _show(e, inside)
    return f"({text})" if own < level else text


def _show(e: Any, inside: bool) -> tuple[str, int]:
    match e:
        case Num(v):
            text = decimal(v)
            return text, SUM if v < 0 else PRODUCT if "/" in text else ATOM
        case Const(name):
            return name, ATOM
        case Val(i):
            if i.axes and not inside and not any(isinstance(a, Look) for a in i.atoms()):
                return f"index({i})", ATOM
            return str(i), ATOM if i.atom is not None and isinstance(
                i.atom, (Size, Look)
            ) or inside and i.axis else SUM
        case Access(name, index):
            return (f"{name}[{', '.join(map(str, index))}]" if index else name), ATOM
        case Add(args):
            text = show(args[0], SUM, inside)
            for t in args[1:]:
                c, rest = split(t)
                text += (
                    f" - {show(mul(-c, rest), PRODUCT, inside)}"
                    if c < 0
                    else f" + {show(t, PRODUCT, inside)}"
                )
            return text, SUM
        case Mul(args):
            if isinstance(args[0], Num) and args[0].value < 0:
                return "-" + show(mul(-1, e), PRODUCT, inside), SUM
            top = [f for f in args if not _below(f)]
            bottom = [power(f.base, mul(-1, f.exponent)) for f in args if isinstance(f, Pow) and _below(f)]
            if (
                top
                and isinstance(top[0], Num)
                and top[0].value.numerator == 1
                and "/" in decimal(top[0].value)
            ):
                bottom, top = [lift(top[0].value.denominator), *bottom], top[1:]
            text = (
                "*".join(show(f, POWER if i or len(top) > 1 else PRODUCT, inside) for i, f in enumerate(top))
                or "1"
            )
            for f in bottom:
                text += "/" + show(f, POWER, inside)
            return text, PRODUCT
        case Pow(a, b):
            if _below(e):
                return "1/" + show(power(a, mul(-1, b)), POWER, inside), PRODUCT
            return f"{show(a, ATOM, inside)}**{show(b, ATOM, inside)}", POWER
        case Call(name, args):
            return f"{name}({', '.join(show(a, SUM, inside) for a in args)})", ATOM
        case Bracket(c):
            return f"[{show(c, SUM, True)}]", ATOM
        case Stop(a, kind):
            return f"{kind}({show(a, SUM, inside)})", ATOM
        case Cmp(op, a, b):
            return f"{show(a, SUM, inside)} {op} {show(b, SUM, inside)}", PRODUCT
        case Logic("not", (a,)):
            return f"not {show(a, ATOM, inside)}", SIGN
        case Logic(op, args):
            return f" {op} ".join(show(a, PRODUCT, inside) for a in args), SUM
    raise TypeError(f"not an expression: {type(e).__name__}")


def _below(f: Expr) -> bool:
    """Whether a factor is written under the fraction bar."""
    return isinstance(f, Pow) and isinstance(f.exponent, Num) and f.exponent.value < 0
