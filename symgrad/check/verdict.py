"""What a check found: one row for each comparison, and the verdict of them all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import listing

_NAMED = 4  # sides that were not tried, in a verdict
_ENDLESS = 1e6  # a slope so many times larger than the finite ones passes for an infinite one


@dataclass(frozen=True)
class Row:
    """One comparison: for which tensor, by what, the worst error relative to the largest entry, and where.

    `derived` and `numeric` are the two numbers there; `kinks` counts points at which the slope is one-sided."""

    name: str
    against: str
    error: float
    place: tuple[int, ...] | str
    derived: float
    numeric: float
    kinks: int = 0


def worst_of(rows: Sequence[Row]) -> Row:
    """The row with the largest error; the first that is no number, if there is one."""
    return max(rows, key=lambda r: math.inf if math.isnan(r.error) else r.error)


def scale_of(gradient: np.ndarray) -> float:
    """What errors of a gradient are relative to: its largest finite entry, but no less than a thousandth."""
    sizes = np.abs(floats(gradient))
    return max(1e-3, float(sizes[np.isfinite(sizes)].max(initial=0)))


def errors_of(own: Any, numeric: Any, scale: float) -> np.ndarray:
    """How far numbers are from those they should be, in units of `scale`.

    Where a slope is infinite, as that of sqrt(x) at 0, a step finds one that is as large as the step is small, with the
    same sign, or none at all (nan) where no side shows one: that agrees, and its sign is not judged.
    """
    far = np.isinf(floats(own)) & ~(floats(numeric) * np.sign(floats(own)) <= _ENDLESS * scale)
    return np.where(far, 0.0, np.asarray(np.abs(own - numeric) / scale, float))


def floats(values: Any) -> np.ndarray:
    """Numbers of any kind as floats; what is not real, as the root of a negative number of many digits, is nan."""
    values = np.asarray(values)
    if values.dtype != object:
        return values.astype(float)
    return np.array([_float(x) for x in values.flat], float).reshape(values.shape)


def _float(x: Any) -> float:
    try:
        return float(x)
    except TypeError:  # a complex number
        return math.nan


@dataclass(frozen=True)
class Verdict:
    """What the check found.

    Attributes:
        rows: one for each tensor and judge.
        tolerance: the largest relative error that passes.
        sizes: the numbers that the size letters had.
        untaken: the sides of comparisons and kinks of the definition that no number tried was on: of those it says
            nothing.

    Example:
        >>> row = Row("w", "complex step", 2e-16, (0,), 1.0, 1.0)
        >>> verdict = Verdict((row,), tolerance=1e-9, sizes={"n": 2})
        >>> verdict.ok, verdict.worst
        (True, 2e-16)
    """

    rows: tuple[Row, ...]
    tolerance: float
    sizes: Mapping[str, int]
    untaken: tuple[str, ...] = ()

    @property
    def worst(self) -> float:
        """The largest relative error of all rows (nan if something was nan)."""
        errors = [r.error for r in self.rows]
        return float("nan") if any(np.isnan(errors)) else max(errors, default=0.0)

    @property
    def ok(self) -> bool:
        return bool(self.worst <= self.tolerance)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = ("gradient", "against", "worst error", "at", "derived", "numeric", "kinks")
        table = [head]
        for r in self.rows:
            at = str(list(r.place)) if isinstance(r.place, tuple) else r.place
            digits = 6 if r.error <= self.tolerance else 12
            derived, numeric = (f"{x:.{digits}g}" for x in (r.derived, r.numeric))
            table.append((r.name, r.against, f"{r.error:.1e}", at, derived, numeric, str(r.kinks)))
        widths = [max(len(row[k]) for row in table) for k in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table]
        sizes = ", ".join(f"{k} = {v}" for k, v in self.sizes.items())
        last = f"{'agrees' if self.ok else 'DOES NOT AGREE'}: worst {self.worst:.1e}, tolerance {self.tolerance:.0e}"
        last += f" ({sizes})" if sizes else ""
        if any(r.kinks for r in self.rows):
            last += "; at a kink whatever lies between the slopes to both sides is right"
        if any(math.isinf(r.derived) for r in self.rows):
            last += "; an infinite slope agrees where steps find none, with its sign if a side shows one"
        return "\n".join([*lines, last + (told(self.untaken) if self.ok else "")])


def told(untaken: Sequence[str]) -> str:
    """The end of a verdict that names the sides of comparisons and kinks that were not tried, a few of them."""
    some = [*untaken[:_NAMED], *([f"{len(untaken) - _NAMED} others"] if len(untaken) > _NAMED else [])]
    return f"; no number tried met {listing(some, 'or')}" if some else ""
