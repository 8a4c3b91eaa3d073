"""An independent judge of hard cases: the program as it was written, in numbers of a thousand digits and any size.

Scalar functions are computed from their textbook definitions, not from the table's stable texts, and slopes are
one-sided differences with a step of 1e-400: at a kink there are two, and a gradient between them is a subgradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from mpmath.ctx_mp import MPContext

from symgrad.language.program import Program
from symgrad.language.reference import Arithmetic, run
from symgrad.language.samples import work
from symgrad.leaves import Leaf

MP = MPContext()
MP.dps = 1000  # 1 + exp(-1000) is 1 in fewer than 435 digits
STEP = MP.mpf(10) ** -400


def _quotient(a: Any, b: Any) -> Any:
    return MP.nan if b == 0 and a == 0 else MP.sign(a) * MP.inf if b == 0 else a / b


def _log(x: Any) -> Any:
    return -MP.inf if x == 0 else MP.nan if x < 0 else MP.log(x)


def _root(x: Any) -> Any:
    return MP.nan if x < 0 else MP.sqrt(x)


def _sinc(x: Any) -> Any:
    return MP.sin(MP.pi * x) / (MP.pi * x) if x else MP.mpf(1)


def _xlogy(x: Any, y: Any) -> Any:
    return x * _log(y) if x else MP.mpf(0)


def _within(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that is real on an interval only."""

    def real(x: Any) -> Any:
        found = f(x)
        return MP.nan if isinstance(found, MP.mpc) else found

    return real


DEFINED: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(MP, name)
        for name in ("exp", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asinh", "atan")
    },
    **{name: _within(getattr(MP, name)) for name in ("asin", "acos", "acosh", "atanh")},
    "erf": lambda x: MP.sign(x) if abs(x) > 100 else MP.erf(x),
    "erfc": lambda x: 1 - MP.sign(x) if abs(x) > 100 else MP.erfc(x),
    "log": _log,
    "sqrt": _root,
    "expm1": MP.expm1,
    "log1p": lambda x: _log(1 + x),
    "abs": abs,
    "sign": MP.sign,
    "relu": lambda x: x if x > 0 else MP.mpf(0),
    "maximum": max,
    "minimum": min,
    "round": MP.nint,
    "floor": MP.floor,
    "ceil": MP.ceil,
    "sigmoid": lambda x: 1 / (1 + MP.exp(-x)),
    "softplus": lambda x: x if x > 10**4 else MP.exp(x) if x < -(10**4) else MP.log(1 + MP.exp(x)),
    "logsigmoid": lambda x: -DEFINED["softplus"](-x),
    "logaddexp": lambda x, y: (
        max(x, y) if x == y == -MP.inf else max(x, y) + DEFINED["softplus"](-abs(x - y))
    ),
    "log1mexp": lambda x: -MP.exp(-x) if x > 10**4 else _log(-MP.expm1(-x)),
    "logcosh": lambda x: abs(x) - MP.log(2) if abs(x) > 10**4 else MP.log(MP.cosh(x)),
    "xlogy": _xlogy,
    "xlogx": lambda x: _xlogy(x, x),
    "hypot": lambda x, y: MP.sqrt(x * x + y * y),
    "atan2": MP.atan2,
    "sinc": _sinc,
    "dsinc": lambda x: (MP.cos(MP.pi * x) - _sinc(x)) / x if x else MP.mpf(0),
}


class Digits(Arithmetic):
    """Numbers of mpmath in arrays of objects.

    Args:
        stops: values of what is stopped, in order, so that no step moves it; those of this run if None.
    """

    def __init__(self, stops: Sequence[Any] | None = None):
        self.stops: list[Any] = []
        self._given = None if stops is None else iter(stops)

    def stopped(self, values: Any) -> Any:
        self.stops.append(values if self._given is None else next(self._given))
        return self.stops[-1]

    def number(self, value: Fraction | int) -> Any:
        value = Fraction(value)
        return MP.mpf(value.numerator) / value.denominator

    def whole(self, values: Any) -> Any:
        return np.frompyfunc(lambda v: MP.mpf(int(v)), 1, 1)(values)

    def constant(self, name: str) -> Any:
        return +MP.pi if name == "pi" else +MP.e

    def leaf(self, leaf: Leaf, values: Sequence[Any]) -> Any:
        return np.frompyfunc(DEFINED[leaf.name], len(values), 1)(*values)

    def power(self, base: Any, exponent: Any) -> Any:
        return np.frompyfunc(_power, 2, 1)(base, exponent)

    def integral(self, base: Any, exponent: int) -> Any:
        return np.frompyfunc(_power, 2, 1)(base, exponent)


def _power(x: Any, y: Any) -> Any:
    if x == 0 and y < 0:
        return MP.inf
    found = x**y
    return MP.nan if isinstance(found, MP.mpc) else found


def exact(values: Any) -> Any:
    """Floats as the numbers that they are."""
    a = np.asarray(values)
    return (
        np.asarray(np.frompyfunc(lambda v: MP.mpf(float(v)), 1, 1)(a), object) if a.dtype.kind == "f" else a
    )


BEYOND = MP.mpf(10) ** 100  # a difference of this size has no limit
_BUDGET = 30_000  # numbers computed for the slopes at one point
Place = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Limits:
    """The loss at a point, and for entries of some inputs the least and the largest of their one-sided slopes; nan
    where there is none."""

    loss: Any
    slopes: Mapping[Place, tuple[Any, Any]]

    @property
    def sides(self) -> list[Any]:
        return [x for pair in self.slopes.values() for x in pair]

    @property
    def finite(self) -> list[Any]:
        """The slopes that are numbers, where the loss is one."""
        return [x for x in self.sides if is_limit(x) and MP.isfinite(self.loss)]

    def where_alike(self, other: Limits) -> Limits:
        """What is the same at two points, the rest as undefined."""

        def alike(a: Any, b: Any) -> bool:
            return bool(abs(a - b) <= abs(a) / 10**9 or max(abs(a), abs(b)) < MP.mpf(10) ** -20)

        loss = self.loss if alike(self.loss, other.loss) else MP.nan
        pairs = {p: (x, other.slopes[p]) for p, x in self.slopes.items() if p in other.slopes}
        same = {p: alike(x[0], y[0]) and alike(x[1], y[1]) for p, (x, y) in pairs.items()}
        return Limits(loss, {p: self.slopes[p] if ok else (MP.nan, MP.nan) for p, ok in same.items()})


def is_limit(slope: Any) -> bool:
    return bool(MP.isfinite(slope)) and abs(slope) < BEYOND


class Judge:
    """The exact loss and slopes of a program at points of given sizes."""

    def __init__(
        self, program: Program, sizes: Mapping[str, int], names: Sequence[str], entries: int,
        rng: np.random.Generator,
    ):  # fmt: skip
        self.program, self.sizes, self.names, self.rng = program, sizes, names, rng
        self.entries = max(1, min(entries, _BUDGET // (2 * len(names) * max(1, work(program, sizes)))))

    def places(self, given: Mapping[str, Any]) -> list[Place]:
        """Some entries of each tensor, all if there are few."""
        found: list[Place] = []
        for name in self.names:
            every = list(np.ndindex(*given[name].shape))
            found += [(name, every[k]) for k in sorted(self.rng.permutation(len(every))[: self.entries])]
        return found

    def at(self, given: Mapping[str, Any], places: Sequence[Place]) -> Limits:
        """The loss and the slopes of some entries."""
        numbers = {n: exact(a) for n, a in given.items()}
        kind = Digits()
        here = self._loss(numbers, kind)
        found = {}
        for name, place in places if MP.isfinite(here) else ():
            sides = []
            for sign in (-1, 1):
                moved = numbers[name].copy()
                moved[place] = moved[place] + sign * STEP
                sides.append(sign * (self._loss({**numbers, name: moved}, Digits(kind.stops)) - here) / STEP)
            defined = not any(map(MP.isnan, sides))
            found[name, place] = (min(sides), max(sides)) if defined else (MP.nan, MP.nan)
        return Limits(here, found)

    def _loss(self, given: Mapping[str, Any], kind: Digits) -> Any:
        """The loss, all digits of it; nan where it is not defined."""
        try:
            return run(self.program, self.sizes, given, object, kind)[self.program.target][()]
        except ZeroDivisionError:
            return MP.nan
