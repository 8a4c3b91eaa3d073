"""An optimiser's equations with few passes over its arrays: what is the same for all entries becomes one number.

    m = b*m + (1 - b)*g                     m = b*m + g                     m is kept divided by 1 - b
    w = w - lr*m/(sqrt(v/(1 - b**t)) + eps)    w = w - A*m/(sqrt(v) + E)    A and E are computed once a step

Two rules. A state that takes `c*f` at every step, c a number that does not change, is kept divided by c. Numbers move
out of products, quotients and roots until they meet: `sqrt(k*v) = sqrt(k)*sqrt(v)` and `k*a + e = k*(a + e/k)`, the
second only where k cannot be zero. Adam on one flat vector goes from twelve passes to ten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from symgrad.emit.plainly import NoFormula, python
from symgrad.language import expr as ex
from symgrad.language.expr import ONE, Access, Add, Call, Expr, Mul, Num, Pow
from symgrad.language.updates import COUNT, Equations


@dataclass
class Folded:
    """Equations in which every number is a letter.

    Attributes:
        equations: what is computed for each entry; the letters are scalars.
        numbers: for each letter, what it stands for, in terms of the options and of what moves.
        scales: for each state that is kept divided by a number, that number.
        parts: what several numbers have in common, by name.
        plain: whether nothing was folded: the letters are the options themselves, and what moves.
        changing: what may be another number at each step: `t`, a scheduled learning rate, the norm of the gradient.
    """

    equations: Equations
    numbers: dict[str, Expr] = field(default_factory=dict)
    scales: dict[str, Expr] = field(default_factory=dict)
    parts: dict[str, Expr] = field(default_factory=dict)
    plain: bool = False
    changing: frozenset[str] = frozenset({COUNT})

    @property
    def steady(self) -> dict[str, str]:
        """The numbers that only a change of the options changes, as Python."""
        return {name: python(e) for name, e in self.numbers.items() if not self._moves(e)}

    def _moves(self, e: Expr) -> bool:
        return not self.changing.isdisjoint(ex.tensors(e))

    @property
    def moving(self) -> dict[str, str]:
        """The numbers of one step, as Python, in terms of the parts."""
        known = {e: name for name, e in self.parts.items()}

        def part(e: Expr) -> Expr | None:
            return Access(known[e], ()) if e in known else None

        return {name: python(ex.rewrite(e, part)) for name, e in self.numbers.items() if self._moves(e)}


def folded(
    equations: Equations, state: Iterable[str], options: Iterable[str], moving: Iterable[str] = (COUNT,)
) -> Folded | None:
    """The equations with their numbers folded; None if one of them has a number that is no plain formula.

    Args:
        equations: each gives a name of its own.
        moving: what may be another number at each step.
    """
    work = _Folding(tuple(state), {*options, *moving}, frozenset(moving))
    try:
        return work.all(equations)
    except NoFormula:
        return None


class _Folding:
    def __init__(self, state: tuple[str, ...], scalars: set[str], moving: frozenset[str]):
        self.state, self.scalars, self.moving = state, scalars, moving
        self.done = Folded((), changing=moving)
        self.known: dict[str, tuple[Expr, Expr]] = {}  # for a name, its number and what its array holds

    def all(self, equations: Equations) -> Folded:
        taken = {*self.scalars, *self.state, "w", "g", *(name for name, _ in equations)}
        for name, body in equations:
            scale = self._scale(name, body) if name in self.state else None
            if scale is not None:
                self.done.scales[name] = scale
                self.known[name] = scale, Access(name, ())
        found: list[tuple[str, Expr]] = []
        for k, (name, body) in enumerate(equations):
            number, array = self.split(body)
            if name not in (*self.state, "w") and (array == ONE or _stays(array, name, equations[k + 1 :])):
                self.known[name] = number, array  # the same for all entries, or a multiple of what is there
                continue
            if name in self.done.scales:
                array = self._over(body, self.done.scales[name])
            elif name in (*self.state, "w"):
                array = _times(number, array)
            else:
                self.known[name] = number, Access(name, ())
            found.append((name, array))
        letters: dict[Expr, str] = {}
        made: list[tuple[str, Expr]] = []
        for name, body in found:
            self.before: list[tuple[str, Expr]] = []
            lettered = self._lettered(body, letters, taken)
            made += [*self.before, (name, lettered)]
        self.done.equations = tuple(made)
        self.done.numbers = {name: e for e, name in letters.items()}
        self._share(taken)
        return self.done

    def _scale(self, name: str, body: Expr) -> Expr | None:
        """The number that all terms but the state's own have in common, if no step changes it."""
        if not isinstance(body, Add):
            return None
        own = [t for t in body.args if name in ex.tensors(t)]
        pairs = [self.split(t) for t in body.args if name not in ex.tensors(t)]
        numbers = {number for number, _ in pairs}
        if len(own) != 1 or len(numbers) != 1 or self.split(own[0])[1] != Access(name, ()):
            return None
        (number,) = numbers
        steady = self.moving.isdisjoint(ex.tensors(number))
        return number if steady and number not in (ONE, Num(Fraction(-1))) and pairs[0][1] != ONE else None

    def _over(self, body: Expr, scale: Expr) -> Expr:
        """What a state that is kept divided by a number takes: its terms divided by it."""
        assert isinstance(body, Add)
        terms = [self.split(t) for t in body.args]
        return ex.add(*(_times(number / scale, array) for number, array in terms))

    def plain(self, e: Expr) -> bool:
        """Whether an expression is the same for all entries.

        Raises:
            NoFormula: it is, and no plain formula.
        """
        if not all(name in self.scalars for name in ex.tensors(e)):
            return False
        python(e)
        return True

    def split(self, e: Any) -> tuple[Expr, Expr]:
        """An expression as a number and what is left of it, whose product it is."""
        match e:
            case Access(name) if name in self.known:
                return self.known[name]
            case Access(name):
                return (e, ONE) if name in self.scalars else (ONE, e)
            case Mul(args):
                pairs = [self.split(a) for a in args]
                return ex.mul(*(n for n, _ in pairs)), ex.mul(*(a for _, a in pairs))
            case Pow(base, Num(p)) if p.denominator in (1, 2):
                number, array = self.split(base)
                root = ex.power(_root(number), Num(2 * p)) if p.denominator == 2 else ex.power(number, Num(p))
                return root, ex.power(array, Num(p))
            case Call("sqrt", (a,)):
                number, array = self.split(a)
                return _root(number), ONE if array == ONE else Call("sqrt", (array,))
            case Add(args):
                return self._sum([self.split(a) for a in args])
        return (e, ONE) if self.plain(e) else (ONE, self._inside(e))

    def _inside(self, e: Any) -> Any:
        """A function of entries, with what it is applied to in terms of what the arrays hold."""
        parts = [_times(*self.split(c)) if isinstance(c, ex.Node) else c for c in ex.children(e)]
        return ex.rebuild(e, tuple(parts))

    def _sum(self, pairs: list[tuple[Expr, Expr]]) -> tuple[Expr, Expr]:
        if len({array for _, array in pairs}) == 1:
            return ex.add(*(number for number, _ in pairs)), pairs[0][1]
        number: Expr = ONE
        leading = next(n for n, array in pairs if array != ONE)
        if not any(isinstance(n, Num) for n, array in pairs if array != ONE) and self.sure(leading):
            number = leading
        return number, ex.add(*(_times(n / number, array) for n, array in pairs))

    def sure(self, e: Expr) -> bool:
        """Whether a number cannot be zero: a scale, which is checked, or a divisor."""
        match e:
            case _ if e in self.done.scales.values():
                return True
            case Num(x):
                return x != 0
            case Mul(args):
                return all(map(self.sure, args))
            case Pow(base, Num(p)):
                return p < 0 or self.sure(base)
            case Call("sqrt", (a,)):
                return self.sure(a)
        return False

    def _lettered(self, e: Any, letters: dict[Expr, str], taken: set[str]) -> Any:
        """An expression with a letter for each number in it; the numbers of one product or sum are one."""

        def inside(x: Any) -> Any:
            return self._lettered(x, letters, taken)

        def letter(x: Expr) -> Expr:
            if x not in letters:
                letters[x] = _fresh("factor", taken)
            return Access(letters[x], ())

        if isinstance(e, Num):
            return e
        if self.plain(e):
            return letter(e)
        if isinstance(e, (Add, Mul)):
            numbers, arrays = [a for a in e.args if self.plain(a)], [a for a in e.args if not self.plain(a)]
            minus, number = (ONE, ex.add(*numbers)) if isinstance(e, Add) else _sign(ex.mul(*numbers))
            numbers = [minus, number if isinstance(number, Num) else letter(number)]
            if isinstance(e, Add):
                return ex.add(*map(inside, arrays), *numbers[1:])
            entries = ex.mul(*map(inside, arrays))
            if (
                not isinstance(numbers[1], Num)
                and isinstance(entries, Mul)
                and any(map(_divides, entries.args))
            ):
                # the quotient first: it takes the place of its divisor; a multiple of its dividend takes a new one
                self.before.append((_fresh("quotient", taken), entries))
                entries = Access(self.before[-1][0], ())
            return ex.mul(*numbers, entries)
        parts = [inside(c) if isinstance(c, ex.Node) else c for c in ex.children(e)]
        return ex.rebuild(e, tuple(parts)) if parts else e

    def _share(self, taken: set[str]) -> None:
        """Roots that several numbers have, as parts."""
        seen: dict[Expr, int] = {}
        for e in self.done.numbers.values():
            for x in dict.fromkeys(
                x for x in ex.walk(e) if isinstance(x, Call) and not self.moving.isdisjoint(ex.tensors(x))
            ):
                seen[x] = seen.get(x, 0) + 1
        self.done.parts = {_fresh("common", taken): x for x, count in seen.items() if count > 1}


def _stays(array: Expr, name: str, later: Equations) -> bool:
    """Whether a value is an array that still holds what it holds when the value, called `name`, is read last."""
    if not isinstance(array, Access):
        return False
    writes = [k for k, (n, _) in enumerate(later) if n == array.tensor]
    return not writes or not any(name in ex.tensors(e) for _, e in later[writes[0] + 1 :])


def _divides(factor: Expr) -> bool:
    return isinstance(factor, Pow) and isinstance(factor.exponent, Num) and factor.exponent.value < 0


def _root(number: Expr) -> Expr:
    return ONE if number == ONE else Call("sqrt", (number,))


def _times(number: Expr, array: Expr) -> Expr:
    return ex.mul(number, array)


def _sign(number: Expr) -> tuple[Expr, Expr]:
    """A number as a sign and the rest: a minus is subtracted, not multiplied by."""
    c, rest = ex.split(number)
    return (Num(Fraction(-1)), ex.mul(-c, rest)) if c < 0 else (ONE, number)


def _fresh(stem: str, taken: set[str]) -> str:
    k = 1
    while f"{stem}{k}" in taken:
        k += 1
    taken.add(f"{stem}{k}")
    return f"{stem}{k}"
