"""Integer expressions: sizes (`3*m`, `(h - k)//2 + 1`) and positions (`2*i + p - 1`, `t[n]`).

An `Int` is a polynomial with integer coefficients over atoms, kept in one canonical form, so that equal
expressions are equal objects: `h - k + k == h`. Atoms are

- `Axis(name)`: a running index of a statement, from 0 to its size less one;
- `Size(name)`: a size letter of the program, at least 1; or a running one, the step of a loop, at least 0;
- `Quotient`, `Remainder`: `//` and `%` by a positive integer expression;
- `Look`: the value of an integer tensor at a position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Union

from symgrad.errors import Refusal

ATOMS = 500  # that an expression is written with: products of sums, and sizes of sizes, grow fast


@dataclass(frozen=True)
class Axis:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Size:
    name: str
    running: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Quotient:
    top: Int
    bottom: Int

    def __str__(self) -> str:
        return f"{self.top:factor}//{self.bottom:factor}"


@dataclass(frozen=True)
class Remainder:
    top: Int
    bottom: Int

    def __str__(self) -> str:
        return f"{self.top:factor}%{self.bottom:factor}"


@dataclass(frozen=True)
class Look:
    tensor: str
    index: tuple[Int, ...]

    def __str__(self) -> str:
        return f"{self.tensor}[{', '.join(map(str, self.index))}]" if self.index else self.tensor


Atom = Union[Axis, Size, Quotient, Remainder, Look]
Monomial = tuple[Atom, ...]


@cache
def _order(atom: Atom) -> tuple[int, str]:
    return ((Size, Axis, Quotient, Remainder, Look).index(type(atom)), str(atom))


@dataclass(frozen=True)
class Int:
    """A polynomial: `terms` pairs each monomial (a sorted tuple of atoms) with its coefficient, never zero."""

    terms: tuple[tuple[Monomial, int], ...]

    def __hash__(self) -> int:
        kept = self.__dict__
        found = kept.get("_hash")
        if found is None:
            found = kept["_hash"] = hash(self.terms)
        return found

    @cached_property
    def length(self) -> int:
        """How many atoms it is written with, those inside quotients and look-ups too."""
        return sum(map(_length, (a for m, _ in self.terms for a in m)))

    # arithmetic
    def __add__(self, other: IntLike) -> Int:
        other = of(other)
        if not self.terms or not other.terms:
            return self if self.terms else other
        total = dict(self.terms)
        for monomial, c in other.terms:
            total[monomial] = total.get(monomial, 0) + c
        return _make(total)

    def __mul__(self, other: IntLike) -> Int:
        other = of(other)
        if other.terms == _ONE:
            return self
        if self.terms == _ONE:
            return other
        total: dict[Monomial, int] = {}
        for m, c in self.terms:
            for k, d in other.terms:
                monomial = tuple(sorted(m + k, key=_order))
                total[monomial] = total.get(monomial, 0) + c * d
            _bounded(sum(map(len, total)))
        return _make(total)

    def __neg__(self) -> Int:
        return self * -1

    def __sub__(self, other: IntLike) -> Int:
        return self + -of(other)

    def __rsub__(self, other: IntLike) -> Int:
        return of(other) - self

    __radd__, __rmul__ = __add__, __mul__

    def __floordiv__(self, other: IntLike) -> Int:
        """What the divisor divides leaves the quotient, so that equal sizes are equal: (h - 4)//2 + 1 is h//2 - 1.

        Of a number in the dividend as much leaves as makes it at most 0: (h - 3)//2 + 1 is (h - 1)//2.
        """
        other = of(other)
        b = other.number
        _bounded(self.length + other.length)
        if not b:
            return of(Quotient(self, other))
        outside, rest = self._split(b, -(-self.constant // b))
        if rest.number is not None:
            return outside + rest.number // b
        return outside + Quotient(rest, other)

    def __mod__(self, other: IntLike) -> Int:
        other = of(other)
        b = other.number
        _bounded(self.length + other.length)
        if not b:
            return of(Remainder(self, other))
        _, rest = self._split(b, self.constant // b)
        return of(rest.number % b) if rest.number is not None else of(Remainder(rest, other))

    def _split(self, b: int, whole: int) -> tuple[Int, Int]:
        """`outside` and `rest`, with `outside*b + rest` the expression: terms that b divides, `whole` of the number."""
        outside = {m: c // b for m, c in self.terms if m and c % b == 0}
        rest = {m: c for m, c in self.terms if m and c % b}
        return _make({**outside, (): whole}), _make({**rest, (): self.constant - whole * b})

    # questions
    @property
    def number(self) -> int | None:
        """The value, if no atom is left in it."""
        if not self.terms:
            return 0
        return self.terms[0][1] if len(self.terms) == 1 and not self.terms[0][0] else None

    @property
    def atom(self) -> Atom | None:
        """The atom, if the expression is just one."""
        if len(self.terms) == 1 and self.terms[0][1] == 1 and len(self.terms[0][0]) == 1:
            return self.terms[0][0][0]
        return None

    @property
    def axis(self) -> str | None:
        """The name, if the expression is one bare axis."""
        atom = self.atom
        return atom.name if isinstance(atom, Axis) else None

    @property
    def constant(self) -> int:
        """The coefficient of the empty monomial."""
        return dict(self.terms).get((), 0)

    def atoms(self) -> Iterator[Atom]:
        """Every atom, inner ones of quotients and look-ups too, in order and with repetitions."""
        for monomial, _ in self.terms:
            for a in monomial:
                yield a
                for part in _parts(a):
                    yield from part.atoms()

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes met, each once, in order."""
        return tuple(dict.fromkeys(a.name for a in self.atoms() if isinstance(a, Axis)))

    @property
    def placed(self) -> tuple[str, ...]:
        """Names of the axes met outside look-ups."""
        return self.replace(lambda a: 0 if isinstance(a, Look) else None).axes

    def coefficient(self, axis: str) -> Int | None:
        """The factor of an axis in which the expression is affine, or None if it is not."""
        factor: dict[Monomial, int] = {}
        for monomial, c in self.terms:
            times = sum(a == Axis(axis) for a in monomial)
            rest = tuple(a for a in monomial if a != Axis(axis))
            if times > 1 or any(axis in p.axes for a in rest for p in _parts(a)):
                return None
            if times:
                factor[rest] = c
        return _make(factor)

    def replace(self, change: Callable[[Atom], IntLike | None]) -> Int:
        """The expression with atoms replaced; `change` gives None for an atom that stays (its parts are visited)."""
        if not self.terms:
            return self
        if len(self.terms) == 1:  # a bare atom or a number, as most are
            monomial, c = self.terms[0]
            if not monomial:
                return self
            if c == 1 and len(monomial) == 1:
                (a,) = monomial
                new = change(a)
                if new is None:
                    new = _rebuild(a, change)
                return self if new is a else of(new)
        total = ZERO
        touched = False
        for monomial, c in self.terms:
            term = of(c)
            for a in monomial:
                new = change(a)
                if new is None:
                    new = _rebuild(a, change)
                touched = touched or new is not a
                term = term * new
            total = total + term
        return total if touched else self

    def substitute(self, values: Mapping[Any, IntLike]) -> Int:
        return self.replace(values.get) if values else self

    def evaluate(self, value: Callable[[Atom], Any]) -> Any:
        """The number (or array) that it stands for; `value` is asked for axes, sizes and look-ups."""
        total: Any = 0
        for monomial, c in self.terms:
            term: Any = c
            for a in monomial:
                if isinstance(a, Quotient):
                    v = a.top.evaluate(value) // a.bottom.evaluate(value)
                elif isinstance(a, Remainder):
                    v = a.top.evaluate(value) % a.bottom.evaluate(value)
                else:
                    v = value(a)
                term = v if isinstance(term, int) and term == 1 else term * v
            total = term if isinstance(total, int) and total == 0 else total + term
        return total

    # text
    def __str__(self) -> str:
        if not self.terms:
            return "0"
        text = ""
        for monomial, c in sorted(self.terms, key=lambda t: t[1] < 0):
            sign = "-" if c < 0 else "+"
            factors = ([str(abs(c))] if abs(c) != 1 or not monomial else []) + _written(monomial, abs(c) != 1)
            body = "*".join(factors)
            text += (f" {sign} " if text else "-" if c < 0 else "") + body
        return text

    def __format__(self, how: str) -> str:
        """`format(self, "factor")` is in parentheses unless it can stand in a product."""
        text = str(self)
        simple = self.atom is not None or (self.number is not None and self.number >= 0)
        if how == "factor" and (not simple or isinstance(self.atom, (Quotient, Remainder))):
            return f"({text})"
        return text

    __repr__ = __str__


def _length(a: Atom) -> int:
    if isinstance(a, (Quotient, Remainder)):
        return 1 + a.top.length + a.bottom.length
    return 1 + sum(i.length for i in a.index) if isinstance(a, Look) else 1


def _bounded(length: int) -> None:
    if length > ATOMS:
        raise Refusal(f"a size or a position here takes more than {ATOMS} letters to write")


IntLike = Union[Int, int, Axis, Size, Quotient, Remainder, Look]


def _written(monomial: Monomial, times: bool) -> list[str]:
    many = times or len(monomial) > 1
    return [f"({a})" if isinstance(a, (Quotient, Remainder)) and many else str(a) for a in monomial]


def _parts(a: Atom) -> tuple[Int, ...]:
    if isinstance(a, (Quotient, Remainder)):
        return (a.top, a.bottom)
    return a.index if isinstance(a, Look) else ()


def _rebuild(a: Atom, change: Callable[[Atom], IntLike | None]) -> IntLike:
    if isinstance(a, (Quotient, Remainder)):
        top, bottom = a.top.replace(change), a.bottom.replace(change)
        if top is a.top and bottom is a.bottom:
            return a
        return top // bottom if isinstance(a, Quotient) else top % bottom
    if isinstance(a, Look):
        index = tuple(i.replace(change) for i in a.index)
        return a if all(x is y for x, y in zip(index, a.index, strict=True)) else Look(a.tensor, index)
    return a


def _make(total: Mapping[Monomial, int]) -> Int:
    kept = [(m, c) for m, c in total.items() if c]
    if len(kept) > 1:
        kept.sort(key=lambda t: (-len(t[0]), [_order(a) for a in t[0]]))
    return Int(tuple(kept))


def of(x: IntLike) -> Int:
    """An `Int` from a number or an atom."""
    if isinstance(x, Int):
        return x
    if isinstance(x, int):
        return Int((((), x),)) if x else ZERO
    return Int((((x,), 1),))


ZERO = Int(())
_ONE = (((), 1),)  # the terms of the number
ONE = of(1)


def axis(name: str) -> Int:
    return of(Axis(name))


def size(name: str) -> Int:
    return of(Size(name))


def product(xs: Iterable[Int]) -> Int:
    total = ONE
    for x in xs:
        total = total * x
    return total


_LETTER = 61  # a size letter counts as this long where only costs are compared


def about(sizes: Iterable[Int]) -> int:
    """About how many entries axes of these sizes have, for comparing costs.

    Example:
        >>> about([size("n"), of(3)]), about([2 * size("n")])
        (183, 122)
    """
    n = product(sizes)
    known = n.substitute(dict.fromkeys(n.atoms(), _LETTER)).number
    return _LETTER if known is None else known


def bounds(x: Int, ranges: Mapping[str, Int]) -> tuple[Int, Int] | None:
    """Least and largest value over axes that run from 0 to `ranges[name] - 1`, as expressions of the sizes.

    None when the expression is not monotone in sight (a look-up, a product of axes, a coefficient of open sign).
    A quotient is bounded through its parts; a remainder by its divisor.
    """
    low = high = ZERO
    for monomial, c in x.terms:
        lo = hi = ONE
        for a in monomial:
            if isinstance(a, Size):
                pair = (of(a), of(a))
            elif isinstance(a, Axis) and a.name in ranges:
                pair = (ZERO, ranges[a.name] - 1)
            elif isinstance(a, Quotient):
                inner = bounds(a.top, ranges)
                if inner is None or a.bottom.axes:
                    return None
                pair = (inner[0] // a.bottom, inner[1] // a.bottom)
            elif isinstance(a, Remainder) and not a.bottom.axes:
                pair = (ZERO, a.bottom - 1)
            else:
                return None
            if nonnegative(pair[0]) is not True:
                return None
            lo, hi = lo * pair[0], hi * pair[1]
        low, high = (low + lo * c, high + hi * c) if c > 0 else (low + hi * c, high + lo * c)
    return low, high


def within(x: Int, size: Int, ranges: Mapping[str, Int]) -> bool:
    """Whether a position is certainly from 0 to `size - 1`, for axes that run from 0 to `ranges[name] - 1`."""
    span = bounds(x, ranges)
    return span is not None and surely_nonnegative(span[0]) and surely_nonnegative(size - 1 - span[1])


def surely_nonnegative(x: Int) -> bool:
    """Whether it is certain for all sizes of at least 1, quotients bounded by what they are quotients of."""
    if nonnegative(x) is True:
        return True
    out = x
    for monomial, c in x.terms:
        (a, *more) = monomial or (None,)
        if isinstance(a, Quotient) and not more and c < 0:
            b = a.bottom.number
            if b and -c % b == 0:  # b*(top//b) is at most top
                out = out - c * of(a) + (c // b) * a.top
    return out is not x and nonnegative(out) is True


def nonnegative(x: Int) -> bool | None:
    """True or False where it is certain for all sizes of at least 1, else None."""
    n = x.number
    if n is not None:
        return n >= 0
    shifted = x.replace(lambda a: of(a) + 1 if isinstance(a, Size) and not a.running else None)
    if any(not isinstance(a, Size) for m, _ in shifted.terms for a in m):
        # quotients of nonnegative parts are nonnegative; anything else is open
        if any(isinstance(a, (Axis, Look)) for a in x.atoms()):
            return None
        parts = [a for m, _ in x.terms for a in m if isinstance(a, (Quotient, Remainder))]
        if all(nonnegative(p.top) for p in parts) and all(c > 0 for _, c in x.terms):
            return True
        return None
    coefficients = [c for _, c in shifted.terms]
    if all(c >= 0 for c in coefficients):
        return True
    return False if all(c <= 0 for c in coefficients) and shifted.constant < 0 else None


def radix(position: Int, ranges: Mapping[str, Int]) -> tuple[Int, tuple[str, ...]] | None:
    """The start and the axes, slowest first, of a position that counts through them without gaps: `c*(h*w) + i*w +
    j`; None for any other.
    """
    axes = sorted(position.axes, key=lambda a: ranges[a] != ONE)  # those of length one wherever they fit
    steps = {a: position.coefficient(a) for a in axes}
    if len(axes) < 2 or any(c is None or c.axes for c in steps.values()):
        return None
    if any(isinstance(a, Look) for a in position.atoms()):
        return None
    start = position.substitute({Axis(a): 0 for a in axes})
    if start.axes:
        return None
    order: list[str] = []
    count = ONE
    while axes:
        a = next((b for b in axes if steps[b] == count), None)
        if a is None:
            return None
        axes.remove(a)
        order.insert(0, a)
        count = count * ranges[a]
    return start, tuple(order)
