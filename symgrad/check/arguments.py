"""What a check may be asked for, refused in a sentence otherwise."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from symgrad.errors import Refusal

FEWEST, MOST = 20, 1000  # digits


def refuse(given: Any, seed: Any, entries: Any = 1, tolerance: Any = None, digits: Any = None) -> None:
    """Refuse arguments of a check that are none.

    Raises:
        Refusal: names the argument and what was expected.
    """
    if not (_is_whole(seed) and seed >= 0):
        raise Refusal(f"seed must be a whole number from 0, not {seed!r}")
    if not (_is_whole(entries) and entries >= 1):
        raise Refusal(f"entries must be a whole number from 1, not {entries!r}")
    if tolerance is not None and not (isinstance(tolerance, numbers.Real) and 0 < float(tolerance) < np.inf):
        raise Refusal(f"tolerance must be a number above 0, not {tolerance!r}")
    if digits is not None and not (_is_whole(digits) and FEWEST <= digits <= MOST):
        raise Refusal(f"digits must be a whole number from {FEWEST} to {MOST}, not {digits!r}")
    arrays = given if isinstance(given, Mapping) else {}  # what is no mapping is refused with the arrays
    for name, array in arrays.items():
        if np.iscomplexobj(array):
            raise Refusal(f"{name} holds complex numbers: give real ones, at which a gradient is checked")


def _is_whole(x: Any) -> bool:
    return isinstance(x, numbers.Integral) and not isinstance(x, bool)
