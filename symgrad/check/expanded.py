"""A second judge of short programs: sympy differentiates the scalar written out, along a random direction, and both
are compared in 40 digits.

The reference realisation runs over numbers that carry their formula in the entries of the inputs. A kink is written as
the branch that is taken at the point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from symgrad.exact.equality import CLOSE
from symgrad.exact.points import Point
from symgrad.exact.reals import FUNCTIONS, MATRICES, MP, Exact, Real, stacked
from symgrad.language.program import needed
from symgrad.language.reference import Arithmetic, run
from symgrad.language.trace import Derived
from symgrad.leaves import Leaf

OPERATIONS = 200  # numbers that a program computes, beyond which it is not written out


_KNOWN = {"tan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"}  # that need not be written in exp and log


class _Tie(Exception):
    """The point lies at a kink, where there is no one formula."""


class _Written:
    """A number with its formula."""

    __slots__ = ("base", "formula", "kind")

    def __init__(self, kind: _Formulas, base: Real, formula: sp.Expr):
        self.kind, self.base, self.formula = kind, base, formula

    @property
    def value(self) -> Any:
        return self.base.value

    def _with(self, other: Any, how: Callable[[Any, Any], Any]) -> Any:
        b = self.kind.lift(other)
        if b is None:
            return NotImplemented
        return _Written(self.kind, how(self.base, b.base), how(self.formula, b.formula))

    def __add__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a + b)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: a / b)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b / a)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, (int, np.integer)):
            return _Written(self.kind, self.base ** int(other), self.formula ** int(other))
        return self._with(other, lambda a, b: a**b)

    def __rpow__(self, other: Any) -> Any:
        return self._with(other, lambda a, b: b**a)

    def __neg__(self) -> Any:
        return self * -1

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return -self if self < 0 else self

    def _apart(self, other: Any) -> Any:
        """The difference to another number, which is not zero."""
        found = self.value - self.kind.value(other)
        if not found:
            raise _Tie
        return found

    def __lt__(self, other: Any) -> bool:
        return bool(self._apart(other) < 0)

    __le__ = __lt__

    def __gt__(self, other: Any) -> bool:
        return bool(self._apart(other) > 0)

    __ge__ = __gt__

    def __eq__(self, other: object) -> bool:
        return bool(self.value == self.kind.value(other))

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)


class _Formulas(Arithmetic):
    """The arithmetic of `_Written`s."""

    def __init__(self, exact: Exact):
        self.exact = exact

    def lift(self, x: Any) -> _Written | None:
        if isinstance(x, _Written):
            return x
        base = self.exact.lift(x)
        if base is None:
            return None
        if isinstance(x, Real):
            raise TypeError("a number without its formula")
        fraction = Fraction(x if isinstance(x, Fraction) else float(x)) if np.isfinite(float(x)) else None
        number = (
            sp.oo * (1 if x > 0 else -1) if fraction is None else sp.Rational(*fraction.as_integer_ratio())
        )
        return _Written(self, base, number)

    def value(self, x: Any) -> Any:
        return x.value if isinstance(x, _Written) else self.exact.value(x)

    def number(self, value: Fraction | int) -> Any:
        value = Fraction(value)
        return _Written(self, self.exact.number(value), sp.Rational(*value.as_integer_ratio()))

    def whole(self, values: Any) -> Any:
        if not isinstance(values, np.ndarray):
            return self.number(int(values))
        return np.asarray(np.frompyfunc(lambda x: self.number(int(x)), 1, 1)(values), object)

    def constant(self, name: str) -> Any:
        return _Written(self, self.exact.lift(self.exact.constant(name)), {"pi": sp.pi, "e": sp.E}[name])  # type: ignore[arg-type]

    def stopped(self, values: Any) -> Any:
        """What does not move is its number: 50 digits of it."""

        def bare(x: Any) -> Any:
            return _Written(self, x.base, sp.Float(str(x.value), 55)) if isinstance(x, _Written) else x

        found = np.frompyfunc(bare, 1, 1)(values)
        return found if isinstance(values, np.ndarray) else np.asarray(found, object)[()]

    def leaf(self, leaf: Leaf, values: Sequence[Any]) -> Any:
        def one(*given: Any) -> Any:
            v = list(map(self.lift, given))
            if leaf.name not in _KNOWN:
                return FUNCTIONS[leaf.name](self, *v)
            base = self.exact.apply(leaf.name, *(x.base for x in v if x is not None))
            return _Written(self, base, getattr(sp, leaf.name)(*(x.formula for x in v if x is not None)))

        return np.frompyfunc(one, len(values), 1)(*values)

    def implicit(self, op: str, arrays: Sequence[np.ndarray]) -> Any:
        return stacked(op, arrays, lambda *a: MATRICES[op][1](self, *a))

    def exp(self, x: Any) -> Any:
        return _Written(self, self.exact.exp(x.base), sp.exp(x.formula))

    def log(self, x: Any) -> Any:
        return _Written(self, self.exact.log(x.base), sp.log(x.formula))

    def sqrt(self, x: Any) -> Any:
        return _Written(self, self.exact.sqrt(x.base), sp.sqrt(x.formula))

    def circle(self, x: Any) -> Any:
        cos, sin = self.exact.circle(x.base)
        return _Written(self, cos, sp.cos(x.formula)), _Written(self, sin, sp.sin(x.formula))

    def opaque(self, name: str, run: Callable[..., Any], *args: Any) -> Any:
        value = self.exact.opaque(name, run, *(a.base for a in args))
        return _Written(self, value, getattr(sp, name)(*(a.formula for a in args)))

    def integer(self, x: Any, how: Callable[[Any], Any]) -> Any:
        return self.number(int(how(x.value)))


def agrees(derived: Derived, point: Point) -> bool | None:
    """Whether the derivatives that sympy finds are the derived ones; None where it cannot say: at a kink or a
    pole, for derivatives by what is computed, for eigenvalues."""
    source = derived.source
    names = list(map(str, derived.gradients))
    if any(source.writers(n) for n in names) or any(
        s.op in ("eigvals", "eigvecs") for s in source.statements
    ):
        return None
    formulas, rng, step = _Formulas(point.exact), np.random.default_rng(0), sp.Dummy()
    given, along, moved = {}, {}, {}
    for name, a in point.fractions.items():
        if a.dtype.kind == "i":
            given[name] = a
            continue
        given[name] = written = np.empty(a.shape, object)
        v = rng.uniform(-1, 1, a.shape)
        along[name] = v = (v + v.swapaxes(-1, -2)) / 2 if source[name].facts.symmetric else v
        for place in np.ndindex(*a.shape):
            value: Any = a[place]
            base = point.exact.number(value)
            # a letter for every entry: sympy would take roots of fractions with long numbers for ever
            letter = sp.Dummy()
            written[place] = _Written(formulas, base, letter)
            moved[letter] = sp.Float(str(base.value), 60)
            if name in names:
                moved[letter] += sp.Float(float(v[place]), 60) * step
    part = replace(source, statements=needed(source.statements, [source.target]))
    try:
        loss = formulas.lift(run(part, point.sizes, given, object, formulas)[source.target].item())
    except (_Tie, np.linalg.LinAlgError):
        return None
    assert loss is not None
    slope = sp.diff(loss.formula.xreplace(moved), step).xreplace({step: sp.Integer(0)})
    results = point.run(derived.program, derived.gradients.values(), exact=True)
    own = MP.mpf(0)
    for name in names:
        gradient = np.asarray(results[derived.gradients[name]], object)
        for g, x in zip(gradient.flat, along[name].flat, strict=True):
            own += point.exact.value(g) * MP.mpf(float(x))
    number = sp.N(slope, 55)
    if not number.is_finite:
        return None
    found = MP.mpf(str(number))
    return bool(abs(found - own) <= MP.mpf(10) ** -CLOSE * max(1, abs(own)))
