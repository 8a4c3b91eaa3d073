"""Whether two arrays are equal: by exact signatures, or at 40 of 60 digits; floats to their own accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from symgrad.exact.reals import MP, Exact, Real

CLOSE = 40  # digits
ACCURACY = 1e-9  # of floats, relative to the largest entry


def same_exactly(a: np.ndarray, b: np.ndarray, exact: Exact) -> bool:
    """Whether all entries have equal signatures; False also where one has none."""
    for x, y in zip(_entries(a, exact), _entries(b, exact), strict=True):
        if not x.signature or not y.signature or x.signature[0] != y.signature[0]:
            return False
        if MP.isfinite(x.value) != MP.isfinite(y.value):
            return False
    return True


def same_digits(a: np.ndarray, b: np.ndarray, exact: Exact) -> bool:
    """Whether all entries agree to 40 digits of the largest one."""
    pairs = [(x.value, y.value) for x, y in zip(_entries(a, exact), _entries(b, exact), strict=True)]
    if not all(MP.isfinite(v) for pair in pairs for v in pair):
        return False
    scale = max((abs(v) for pair in pairs for v in pair), default=0)
    margin = MP.mpf(10) ** -CLOSE * max(scale, MP.mpf(10) ** -8)
    return all(abs(x - y) <= margin for x, y in pairs)


def _entries(a: Any, exact: Exact) -> list[Real]:
    lifted = [exact.lift(x) for x in np.asarray(a, object).flat]
    assert all(x is not None for x in lifted)
    return [x for x in lifted if x is not None]


def close(a: Any, b: Any, accuracy: float = ACCURACY) -> bool:
    """Whether floats are equal up to rounding, relative to the largest entry."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return False
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0), 1e-5)
    return bool((np.abs(a - b) <= accuracy * scale).all())


def rounds_to(given: np.ndarray, true: np.ndarray) -> bool:
    """Whether numbers are the true ones, each rounded to as many places as it is given with, at least three digits."""
    pairs = zip(np.asarray(given, float).flat, np.asarray(true, float).flat, strict=True)
    return all(_rounded(float(a), float(b)) for a, b in pairs)


def _rounded(a: float, b: float) -> bool:
    if not np.isfinite(a) or not np.isfinite(b):
        return False
    digits, _, power = repr(abs(a)).partition("e")
    decimals = len(digits.partition(".")[2].rstrip("0")) - int(power or 0)
    unit = 0.5 * 10.0**-decimals
    return abs(a - b) <= max(1e-9 * abs(b), 1e-12, min(unit * (1 + 1e-9), 5e-3 * abs(b)))
