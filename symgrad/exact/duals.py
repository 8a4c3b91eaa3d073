"""Exact numbers with a slope: forward mode, one operation at a time.

A number a + b·ε with ε² = 0 carries the derivative b along one direction through every operation (W. Clifford, 1873; R.
Wengert, CACM 7, 1964). Nothing here comes from the derivation that is to be judged: the functions of the language are
written in exp, log, roots and circular functions in `reals`, and only the slopes of those few stand here.

Numbers that are equal are ordered by their slopes: a maximum, an absolute value or a relu takes the branch on which a
point a little further along the direction lies, so that at a kink the slope is the one-sided one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Union

import numpy as np

from symgrad.exact.reals import FUNCTIONS, MATRICES, MP, Exact, Real, stacked
from symgrad.language.reference import Arithmetic
from symgrad.leaves import Leaf

Number = Union["Dual", Real]


class Dual:
    """A number with its slope. Numbers without one may stand beside it."""

    __slots__ = ("base", "kind", "slope")

    def __init__(self, kind: Duals, base: Real, slope: Real):
        self.kind, self.base, self.slope = kind, base, slope

    @property
    def value(self) -> Any:
        """Its digits."""
        return self.base.value

    def _parts(self, other: Any) -> tuple[Real | None, Real | None]:
        """Another number and its slope; None for what is none, and for a slope that is zero."""
        if isinstance(other, Dual):
            return other.base, other.slope
        return self.kind.exact.lift(other), None

    def __add__(self, other: Any) -> Any:
        b, db = self._parts(other)
        if b is None:
            return NotImplemented
        return Dual(self.kind, self.base + b, self.slope if db is None else self.slope + db)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        b, db = self._parts(other)
        if b is None:
            return NotImplemented
        return Dual(self.kind, self.base - b, self.slope if db is None else self.slope - db)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        b, db = self._parts(other)
        if b is None:
            return NotImplemented
        slope = self.slope * b
        return Dual(self.kind, self.base * b, slope if db is None else slope + self.base * db)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        b, db = self._parts(other)
        if b is None:
            return NotImplemented
        quotient = self.base / b
        return Dual(self.kind, quotient, (self.slope if db is None else self.slope - quotient * db) / b)

    def __rtruediv__(self, other: Any) -> Any:
        a, _ = self._parts(other)
        if a is None:
            return NotImplemented
        quotient = a / self.base
        return Dual(self.kind, quotient, -(quotient * self.slope) / self.base)

    def __neg__(self) -> Dual:
        return Dual(self.kind, -self.base, -self.slope)

    def __pos__(self) -> Dual:
        return self

    def __abs__(self) -> Dual:
        return -self if self < 0 else self

    def __pow__(self, other: Any) -> Any:
        b, db = self._parts(other)
        if b is None:
            return NotImplemented
        a, da = self.base, self.slope
        if db is None and not b.value:
            return self.kind.number(1)
        exponent = int(other) if isinstance(other, (int, np.integer)) else b
        power = a**exponent
        slope = b * a ** (exponent - 1) * da
        return Dual(self.kind, power, slope if db is None else slope + power * self.kind.exact.log(a) * db)

    def __rpow__(self, other: Any) -> Any:
        a, _ = self._parts(other)
        if a is None:
            return NotImplemented
        power = a**self.base
        return Dual(self.kind, power, power * self.kind.exact.log(a) * self.slope)

    def _before(self, other: Any) -> bool:
        b, db = self._parts(other)
        value = MP.nan if b is None else b.value
        if self.value != value:
            return bool(self.value < value)
        slope = 0 if db is None else db.value
        self.kind.ties += self.slope.value != slope
        return bool(self.slope.value < slope)

    def _after(self, other: Any) -> bool:
        return self._before(other) is False and not self._same(other)

    def _same(self, other: Any) -> bool:
        _, db = self._parts(other)
        return self == other and self.slope.value == (0 if db is None else db.value)

    def __lt__(self, other: Any) -> bool:
        return self._before(other)

    def __gt__(self, other: Any) -> bool:
        return self._after(other)

    def __le__(self, other: Any) -> bool:
        return not self._after(other)

    def __ge__(self, other: Any) -> bool:
        return not self._before(other)

    def __eq__(self, other: object) -> bool:
        b, _ = self._parts(other)
        return b is not None and bool(self.value == b.value)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __repr__(self) -> str:
        return f"{self.base} + {self.slope}ε"


class Duals(Arithmetic):
    """The arithmetic of `Dual`s.

    Attributes:
        ties: how often two numbers were compared that are equal and part along the direction.

    Example:
        >>> from fractions import Fraction
        >>> kind = Duals(Exact())
        >>> x = Dual(kind, kind.number(Fraction(3, 7)), kind.number(1))
        >>> tanh = kind.apply("tanh", x)
        >>> tanh.slope.signature == (1 - tanh.base**2).signature
        True
    """

    def __init__(self, exact: Exact):
        self.exact, self.ties = exact, 0
        self.number, self.whole, self.constant = exact.number, exact.whole, exact.constant  # type: ignore[method-assign]

    def value(self, x: Any) -> Any:
        return x.value if isinstance(x, Dual) else self.exact.value(x)

    def slope(self, x: Any) -> Real:
        """The slope of a number; zero of one that does not move."""
        return x.slope if isinstance(x, Dual) else self.exact.number(0)

    def stopped(self, values: Any) -> Any:
        """Values that do not move."""
        bare = np.frompyfunc(lambda x: x.base if isinstance(x, Dual) else x, 1, 1)(values)
        return bare if isinstance(values, np.ndarray) else np.asarray(bare, object)[()]

    def leaf(self, leaf: Leaf, values: Sequence[Any]) -> Any:
        return np.frompyfunc(lambda *v: self.apply(leaf.name, *v), len(values), 1)(*values)

    def apply(self, name: str, *args: Any) -> Number:
        """A scalar function of the language by its name."""
        if not any(isinstance(a, Dual) for a in args):
            return self.exact.apply(name, *args)
        if name == "hypot" and all(self.value(a) == 0 for a in args):
            return self.cone(args)
        lifted = [a if isinstance(a, Dual) else self.exact.lift(a) for a in args]
        found: Number = FUNCTIONS[name](self, *lifted)
        return found

    def implicit(self, op: str, arrays: Sequence[np.ndarray]) -> Any:
        if op in ("eigvals", "eigvecs"):
            return stacked(op, arrays, lambda a: self._eigen(a, op == "eigvecs"))
        if op in ("norm", "frobenius"):
            return stacked(op, arrays, self._length)
        return stacked(op, arrays, lambda *a: MATRICES[op][1](self, *a))

    def _length(self, a: np.ndarray) -> Any:
        zero = all(self.value(x) == 0 for x in a.flat)
        return self.cone(a.flat) if zero else MATRICES["norm"][1](self, a)

    def cone(self, args: Iterable[Any]) -> Number:
        """The length of numbers that are all zero: it grows by the length of what they move."""
        slopes = [self.slope(x) for x in args]
        self.ties += any(x.value for x in slopes)
        zero = self.exact.number(0)
        return Dual(self, zero, self.exact.sqrt(sum((x * x for x in slopes), zero)))

    # what the functions of the language are made of, each with its slope

    def exp(self, x: Number) -> Number:
        if not isinstance(x, Dual):
            return self.exact.exp(x)
        e = self.exact.exp(x.base)
        return Dual(self, e, e * x.slope)

    def log(self, x: Number) -> Number:
        if not isinstance(x, Dual):
            return self.exact.log(x)
        return Dual(self, self.exact.log(x.base), x.slope / x.base)

    def sqrt(self, x: Number) -> Number:
        if not isinstance(x, Dual):
            return self.exact.sqrt(x)
        root = self.exact.sqrt(x.base)
        return Dual(self, root, x.slope / (2 * root))

    def circle(self, x: Number) -> tuple[Number, Number]:
        if not isinstance(x, Dual):
            return self.exact.circle(x)
        cos, sin = self.exact.circle(x.base)
        return Dual(self, cos, -sin * x.slope), Dual(self, sin, cos * x.slope)

    def opaque(self, name: str, run: Callable[..., Any], *args: Number) -> Number:
        bases = [a.base if isinstance(a, Dual) else a for a in args]
        value = self.exact.opaque(name, run, *bases)
        slope = self.exact.number(0)
        for a, partial in zip(args, _SLOPES[name](self.exact, *bases), strict=True):
            slope = slope + partial * a.slope if isinstance(a, Dual) else slope
        return Dual(self, value, slope)

    def integer(self, x: Number, how: Callable[[Any], Any]) -> Real:
        return self.exact.integer(x.base if isinstance(x, Dual) else x, how)

    def _eigen(self, a: np.ndarray, vectors: bool) -> np.ndarray:
        """Eigenvalues of a symmetric matrix, or its eigenvectors in columns, by first-order perturbation:
        dλₖ = vₖᵀ dA vₖ, dvₖ = Σ vⱼ (vⱼᵀ dA vₖ)/(λₖ - λⱼ) over the others."""
        base = np.asarray(self.stopped(a), object)
        move = np.asarray(np.frompyfunc(self.slope, 1, 1)(a), object)
        values, v = (MATRICES[op][1](self.exact, base) for op in ("eigvals", "eigvecs"))
        turned = v.T @ ((move + move.T) / 2) @ v
        n = len(values)
        if not vectors:
            pairs = [Dual(self, values[k], turned[k, k]) for k in range(n)]
            return np.array([*pairs, None], object)[:-1]
        found = np.empty((n, n), object)
        for i, k in np.ndindex(n, n):
            others = (v[i, j] * turned[j, k] / (values[k] - values[j]) for j in range(n) if j != k)
            found[i, k] = Dual(self, v[i, k], sum(others, self.exact.number(0)))
        return found


def _gauss(k: Exact, x: Real) -> Real:
    return 2 / k.sqrt(k.constant("pi")) * k.exp(-(x * x))


_SLOPES: dict[str, Callable[..., tuple[Real, ...]]] = {
    "asin": lambda k, x: (1 / k.sqrt(1 - x * x),),
    "acos": lambda k, x: (-1 / k.sqrt(1 - x * x),),
    "atan": lambda k, x: (1 / (1 + x * x),),
    "atan2": lambda k, y, x: (x / (x * x + y * y), -y / (x * x + y * y)),
    "erf": lambda k, x: (_gauss(k, x),),
    "erfc": lambda k, x: (-_gauss(k, x),),
}
