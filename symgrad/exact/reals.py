"""Numbers to decide equality by: 60 digits and, for formulas made of + - * / exp and the like, an exact signature.

`Exact` is the arithmetic of the reference realisation for them. Every scalar function of the language is written by
exp, log, sin, cos and roots, so that tanh, sigmoid or cosh are rational functions of exponentials; on which side of a
kink a number lies its digits say.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from mpmath.ctx_mp import MPContext

from symgrad.exact.signatures import Signature, Signatures
from symgrad.language.reference import Arithmetic
from symgrad.leaves import Leaf

DIGITS = 60  # kept; equality is decided at 40 of them
MP = MPContext()  # a context of our own: nobody else's precision changes
MP.dps = DIGITS


class Real:
    """A number: its digits, and its signature if it has one. Whole numbers and fractions may stand beside it."""

    __slots__ = ("exact", "fraction", "signature", "value")

    def __init__(
        self, exact: Exact, value: Any, signature: Signature | None, fraction: Fraction | None = None
    ):
        self.exact, self.value, self.signature = exact, value, signature
        self.fraction = fraction  # what it is, of a number that stands in the text

    def _combined(self, other: Any, value: Callable[[Any, Any], Any], signature: Any) -> Any:
        b = self.exact.lift(other)
        if b is None:
            return NotImplemented
        known = self.signature is not None and b.signature is not None
        return Real(
            self.exact, value(self.value, b.value), signature(self.signature, b.signature) if known else None
        )

    def __add__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: a + b, self.exact.signatures.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: a - b, self.exact.signatures.subtract)

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        return self._combined(other, lambda a, b: a * b, self.exact.signatures.multiply)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._combined(other, _quotient, self.exact.signatures.divide)

    def __rtruediv__(self, other: Any) -> Any:
        lifted = self.exact.lift(other)
        return NotImplemented if lifted is None else lifted / self

    def __neg__(self) -> Real:
        return self * -1

    def __pos__(self) -> Real:
        return self

    def __abs__(self) -> Real:
        return -self if self.value < 0 else self

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, (int, np.integer)):
            n = int(other)
            known = self.signature
            value = self.value**n if n >= 0 else _quotient(1, self.value**-n)
            return Real(self.exact, value, None if known is None else self.exact.signatures.power(known, n))
        b = self.exact.lift(other)
        if b is None:
            return NotImplemented
        if b.value == MP.floor(b.value) and abs(b.value) < 1000:
            return self ** int(b.value)
        # powers that differ by a whole number are told apart by it alone
        whole = int(MP.floor(b.value)) if MP.isfinite(b.value) and abs(b.value) < 1000 else 0
        rest = b - whole
        root = (
            self.exact.sqrt(self)
            if rest.value == 0.5
            else self.exact.opaque("power", lambda x, y: x**y, self, rest)
        )
        return root * self**whole if whole else root

    def __rpow__(self, other: Any) -> Any:
        lifted = self.exact.lift(other)
        return NotImplemented if lifted is None else lifted**self

    def _compared(self, other: Any, how: Callable[[Any, Any], bool]) -> Any:
        b = self.exact.lift(other)
        return NotImplemented if b is None else bool(how(self.value, b.value))

    def __lt__(self, other: Any) -> Any:
        return self._compared(other, operator.lt)

    def __le__(self, other: Any) -> Any:
        return self._compared(other, operator.le)

    def __gt__(self, other: Any) -> Any:
        return self._compared(other, operator.gt)

    def __ge__(self, other: Any) -> Any:
        return self._compared(other, operator.ge)

    def __eq__(self, other: object) -> Any:
        return self._compared(other, operator.eq)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __getattr__(self, name: str) -> Any:
        """NumPy asks an object for `exp` and the like as methods of its own."""
        function = FUNCTIONS.get({"arctan": "atan", "arcsin": "asin", "arccos": "acos"}.get(name, name))
        if function is None or name.startswith("_"):
            raise AttributeError(name)
        return lambda: function(self.exact, self)

    def __repr__(self) -> str:
        return str(MP.nstr(self.value, 15))


def _quotient(a: Any, b: Any) -> Any:
    if b == 0:
        return MP.nan if a == 0 else MP.inf if a > 0 else -MP.inf
    return a / b


class Exact(Arithmetic):
    """The arithmetic of `Real`s.

    Example:
        >>> exact = Exact()
        >>> x = exact.number(Fraction(3, 7))
        >>> tanh, cosh = exact.apply("tanh", x), exact.apply("cosh", x)
        >>> (1 - tanh**2).signature == (1/cosh**2).signature
        True
    """

    def __init__(self, levels: int = 8):
        self.signatures = Signatures(levels)
        self.used: set[str] = set()  # the functions that numbers went through
        self._known: dict[Fraction, Real] = {}

    def lift(self, x: Any) -> Real | None:
        """A number beside a `Real` as one; None for what is none."""
        if isinstance(x, Real):
            return x
        if isinstance(x, (bool, np.bool_, int, np.integer)):
            return self.number(int(x))
        if isinstance(x, (float, np.floating)):
            x = float(x)
            return self.number(Fraction(x)) if np.isfinite(x) else Real(self, MP.mpf(x), None)
        return self.number(x) if isinstance(x, Fraction) else None

    def value(self, x: Any) -> Any:
        lifted = self.lift(x)
        return MP.nan if lifted is None else lifted.value

    def number(self, value: Fraction | int) -> Real:
        value = Fraction(value)
        found = self._known.get(value)
        if found is None:
            digits = MP.mpf(value.numerator) / value.denominator
            found = self._known[value] = Real(self, digits, self.signatures.number(value), value)
        return found

    def whole(self, values: Any) -> Any:
        if not isinstance(values, np.ndarray):
            return self.number(int(values))
        found = np.empty(values.shape, object)
        for place in np.ndindex(*values.shape):
            found[place] = self.number(int(values[place]))
        return found

    def constant(self, name: str) -> Real:
        one = self.number(1)
        if name == "e":
            return self.exp(one)
        return Real(self, +MP.pi, self.signatures.opaque("pi"))

    def leaf(self, leaf: Leaf, values: Sequence[Any]) -> Any:
        return np.frompyfunc(lambda *v: self.apply(leaf.name, *v), len(values), 1)(*values)

    def apply(self, name: str, *args: Any) -> Real:
        """A scalar function of the language by its name."""
        lifted = [self.lift(a) for a in args]
        return FUNCTIONS[name](self, *lifted)

    # what the others are made of

    def exp(self, x: Real) -> Real:
        self.used.add("exp")
        known = None if x.signature is None else self.signatures.exp(x.signature)
        return Real(self, MP.exp(x.value), known)

    def log(self, x: Real) -> Real:
        if x.value <= 0:
            return Real(self, MP.nan if x.value < 0 else -MP.inf, None)
        return self.opaque("log", MP.log, x)

    def sqrt(self, x: Real) -> Real:
        if x.value < 0:
            return Real(self, MP.nan, None)
        known = self.signatures.root(x.fraction) if x.fraction else None
        if known is not None:
            return Real(self, MP.sqrt(x.value), known)
        return self.opaque("sqrt", MP.sqrt, x)

    def circle(self, x: Real) -> tuple[Real, Real]:
        self.used.update(("cos", "sin"))
        known = None if x.signature is None else self.signatures.circle(x.signature)
        cos, sin = known or (None, None)
        return Real(self, MP.cos(x.value), cos), Real(self, MP.sin(x.value), sin)

    def opaque(self, name: str, run: Callable[..., Any], *args: Real) -> Real:
        """A function of which nothing is known but its digits."""
        self.used.add(name)
        try:
            value = run(*(a.value for a in args))
        except (ValueError, ZeroDivisionError, OverflowError):
            value = MP.nan
        if isinstance(value, MP.mpc):
            value = MP.nan
        known = [a.signature for a in args if a.signature is not None]
        return Real(self, value, self.signatures.opaque(name, *known) if len(known) == len(args) else None)

    def integer(self, x: Real, how: Callable[[Any], Any]) -> Real:
        return self.number(int(how(x.value))) if MP.isfinite(x.value) else Real(self, x.value, None)

    def implicit(self, op: str, arrays: Sequence[np.ndarray]) -> Any:
        return stacked(op, arrays, lambda *a: MATRICES[op][1](self, *a))


class Digits(Exact):
    """The same numbers without signatures, for those who only want their digits.

    Example:
        >>> with MP.workdps(30):
        ...     str(Digits().apply("exp", 1).value)
        '2.71828182845904523536028747135'
    """

    def number(self, value: Fraction | int) -> Real:
        value = Fraction(value)
        return Real(self, MP.mpf(value.numerator) / value.denominator, None)


def stacked(op: str, arrays: Sequence[np.ndarray], one: Callable[..., Any]) -> np.ndarray:
    """The results of an operation on stacks of matrices, by `one` that takes a matrix of each."""
    arrays = [np.asarray(a, object) for a in arrays]
    ranks = MATRICES[op][0]
    ahead = np.broadcast_shapes(*(a.shape[: a.ndim - r] for a, r in zip(arrays, ranks, strict=True)))
    stacks = [
        np.broadcast_to(a, (*ahead, *a.shape[a.ndim - r :])) for a, r in zip(arrays, ranks, strict=True)
    ]
    results = {place: np.asarray(one(*(a[place] for a in stacks))) for place in np.ndindex(*ahead)}
    first = next(iter(results.values()))
    found = np.empty((*ahead, *first.shape), object)
    for place, result in results.items():
        found[place] = result if result.shape else result[()]
    return found


# ---------------------------------------------------------------------- scalar functions


def _sinh(k: Exact, x: Real) -> Real:
    e = k.exp(x)
    return (e - 1 / e) / 2


def _cosh(k: Exact, x: Real) -> Real:
    e = k.exp(x)
    return (e + 1 / e) / 2


def _tanh(k: Exact, x: Real) -> Real:
    e = k.exp(x) ** 2
    return (e - 1) / (e + 1)


def _sigmoid(k: Exact, x: Real) -> Real:
    e = k.exp(x)
    return e / (1 + e)


def _sinc(k: Exact, x: Real) -> Real:
    t = k.constant("pi") * x
    return k.circle(t)[1] / t if t.value else k.number(1)


def _dsinc(k: Exact, x: Real) -> Real:
    """(sinc(x) x)' = cos(pi x), and by the product rule that is sinc'(x) x + sinc(x)."""
    return (k.circle(k.constant("pi") * x)[0] - _sinc(k, x)) / x if x.value else k.number(0)


def _sign(k: Exact, x: Real) -> Real:
    return k.number((x > 0) - (x < 0))


def _xlogy(k: Exact, x: Real, y: Real) -> Real:
    return x * k.log(y) if x.value else k.number(0)


def _opaque(name: str) -> Callable[..., Real]:
    return lambda k, *args: k.opaque(name, getattr(MP, name), *args)


FUNCTIONS: dict[str, Callable[..., Real]] = {
    "exp": lambda k, x: k.exp(x),
    "log": lambda k, x: k.log(x),
    "sqrt": lambda k, x: k.sqrt(x),
    "sin": lambda k, x: k.circle(x)[1],
    "cos": lambda k, x: k.circle(x)[0],
    "tan": lambda k, x: k.circle(x)[1] / k.circle(x)[0],
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tanh,
    **{name: _opaque(name) for name in ("asin", "acos", "atan", "erf", "erfc", "atan2")},
    "asinh": lambda k, x: k.log(x + k.sqrt(x * x + 1)),
    "acosh": lambda k, x: k.log(x + k.sqrt(x * x - 1)),
    "atanh": lambda k, x: k.log((1 + x) / (1 - x)) / 2,
    "expm1": lambda k, x: k.exp(x) - 1,
    "log1p": lambda k, x: k.log(1 + x),
    "abs": lambda k, x: abs(x),
    "sign": _sign,
    "relu": lambda k, x: x if x > 0 else k.number(0),
    "maximum": lambda k, x, y: max(x, y),
    "minimum": lambda k, x, y: min(x, y),
    "round": lambda k, x: k.integer(x, MP.nint),
    "floor": lambda k, x: k.integer(x, MP.floor),
    "ceil": lambda k, x: k.integer(x, MP.ceil),
    "sigmoid": _sigmoid,
    "softplus": lambda k, x: k.log(1 + k.exp(x)),
    "logsigmoid": lambda k, x: -k.log(1 + k.exp(-x)),
    "logaddexp": lambda k, x, y: k.log(k.exp(x) + k.exp(y)),
    "log1mexp": lambda k, x: k.log(1 - k.exp(-x)),
    "logcosh": lambda k, x: k.log(_cosh(k, x)),
    "xlogy": _xlogy,
    "xlogx": lambda k, x: _xlogy(k, x, x),
    "hypot": lambda k, x, y: k.sqrt(x * x + y * y),
    "sinc": _sinc,
    "dsinc": _dsinc,
}


# ---------------------------------------------------------------------- matrices


def _eliminated(k: Exact, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, Real]:
    """The solution of a x = b by elimination, the largest pivot first, and the determinant of a."""
    a, b, n = np.array(a, object), np.array(b, object), len(a)
    det = k.number(1)
    for j in range(n):
        pivot = max(range(j, n), key=lambda i: abs(k.value(a[i, j])))
        if not a[pivot, j]:
            raise np.linalg.LinAlgError("Singular matrix")
        if pivot != j:
            a[[j, pivot]], b[[j, pivot]], det = a[[pivot, j]], b[[pivot, j]], -det
        det = det * a[j, j]
        b[j], a[j] = b[j] / a[j, j], a[j] / a[j, j]
        for i in range(n):
            if i != j:
                b[i], a[i] = b[i] - a[i, j] * b[j], a[i] - a[i, j] * a[j]
    return b, det


_EXPANDED = 6  # the largest singular matrix whose determinant is expanded: that takes up to n! products


def _inverse(k: Exact, a: np.ndarray) -> np.ndarray:
    return _eliminated(k, a, k.whole(np.eye(len(a), dtype=int)))[0]


def _det(k: Exact, a: np.ndarray) -> Real:
    """By elimination; of a singular matrix along its first row, for its determinant may have a slope."""
    try:
        return _eliminated(k, a, k.whole(np.zeros((len(a), 1), int)))[1]
    except np.linalg.LinAlgError:
        total = k.number(0)
        for j in range(len(a)) if len(a) <= _EXPANDED else ():
            total = total + a[0, j] * _det(k, np.delete(a[1:], j, 1)) * (-1) ** j
        return total


def _cofactor(k: Exact, a: np.ndarray) -> np.ndarray:
    """det(a) inv(a).T; of a singular matrix the signed determinants without a row and a column."""
    n = len(a)
    try:
        x, det = _eliminated(k, a, k.whole(np.eye(n, dtype=int)))
        return x.T * det
    except np.linalg.LinAlgError:
        found = np.empty((n, n), object)
        for i, j in np.ndindex(n, n):
            found[i, j] = _det(k, np.delete(np.delete(a, i, 0), j, 1)) * (-1) ** (i + j)
        return found


def _minors(k: Exact, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    y, c = _inverse(k, a), _cofactor(k, a)
    return np.trace(y @ b) * c - c @ b.T @ y.T


def _norm(k: Exact, a: np.ndarray) -> Real:
    return k.sqrt(sum((x * x for x in a.flat), k.number(0)))


def _eigen(k: Exact, a: np.ndarray, which: int) -> np.ndarray:
    symmetric = [[(k.value(a[i, j]) + k.value(a[j, i])) / 2 for j in range(len(a))] for i in range(len(a))]
    found = MP.eigsy(MP.matrix(symmetric))[which]
    numbers = np.array(found.tolist(), object)
    values = numbers.ravel() if which == 0 else numbers
    return np.asarray(np.frompyfunc(lambda v: Real(k, v, None), 1, 1)(values))


MATRICES: dict[str, tuple[tuple[int, ...], Callable[..., Any]]] = {
    "inv": ((2,), _inverse),
    "solve": ((2, 2), lambda k, a, b: _eliminated(k, a, b)[0]),
    "det": ((2,), _det),
    "logdet": ((2,), lambda k, a: k.log(abs(_det(k, a)))),
    "cofactor": ((2,), _cofactor),
    "minors": ((2, 2), _minors),
    "eigvals": ((2,), lambda k, a: _eigen(k, a, 0)),
    "eigvecs": ((2,), lambda k, a: _eigen(k, a, 1)),
    "norm": ((1,), _norm),
    "frobenius": ((2,), _norm),
}
