"""The gradients by many tensors judged at once, so that a check costs a bounded number of runs and not some for each.

A step that moves all tensors at once has the slope `sum_k v_k·g_k`. The parts `v_k` are drawn independently,
each in units of its own gradient: a fault of one gradient shows as it would alone, and faults of several cancel with
probability zero. Only where the two sides differ, or a kink makes the slope one-sided, the tensors are halved until it
is known which they are, and those are judged alone. Beside that, single entries of some tensors are stepped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from symgrad.check.questions import Slope, short
from symgrad.check.verdict import Row, errors_of, floats, scale_of, worst_of

MANY = 32  # with more gradients than this, they are judged together
_ALONE = (
    16  # at most so many tensors are judged alone: with more faults than that, the rest are named in groups
)
_DIRECTIONS = 2


def together(
    results: Mapping[str, np.ndarray], slope: Slope, alone: Callable[[str], Row], rng: np.random.Generator,
    entries: int, tolerance: float,
) -> dict[str, Row]:  # fmt: skip
    """A row for each gradient of a scalar.

    Args:
        results: the gradients, by the tensors' names.
        alone: the row of one tensor that is judged alone.
        entries: how many single entries are stepped, each of another tensor.
        tolerance: the largest error, in units of a gradient's largest entry, that needs no closer look.

    Example:
        >>> gradients = {"x": np.ones(3), "y": np.ones(2), "z": np.array([1.0, 1.001])}
        >>> alone = {"z": Row("z", "complex step", 1e-3, (1,), 1.001, 1.0)}
        >>> from symgrad.check.sides import Sides
        >>> def slope(parts):
        ...     found = sum(float(v.sum()) for v in parts.values())
        ...     return Sides(found, found)
        >>> rows = together(gradients, slope, alone.get, np.random.default_rng(0), 0, 1e-9)
        >>> rows["x"].error < 1e-15, rows["z"].place, rows["z"].error
        (True, (1,), 0.001)
    """
    judge = _Judge(results, slope, alone, rng, tolerance)
    rows = judge.rows(tuple(n for n, g in results.items() if g.size))
    rows.update({n: alone(n) for n, g in results.items() if not g.size})
    full = [n for n in rows if results[n].size]
    for k in rng.permutation(len(full))[:entries]:
        rows[full[k]] = judge.stepped(full[k], rows[full[k]])
    return rows


@dataclass
class _Judge:
    results: Mapping[str, np.ndarray]
    slope: Slope
    alone: Callable[[str], Row]
    rng: np.random.Generator
    tolerance: float
    left: int = _ALONE

    def rows(self, names: tuple[str, ...]) -> dict[str, Row]:
        """The rows of a group: as one where its slopes agree, else of its halves."""
        if len(names) == 1:
            self.left -= 1
            return {names[0]: self.alone(names[0])}
        tried = [self._direction(names, k) for k in range(_DIRECTIONS)]
        worst = worst_of(tried)
        if self.left <= 0 or worst.error <= self.tolerance and not any(r.kinks for r in tried):
            kinks = sum(r.kinks for r in tried)
            return {n: replace(worst, name=n, kinks=kinks) for n in names}
        half = (len(names) + 1) // 2
        return {**self.rows(names[:half]), **self.rows(names[half:])}

    def stepped(self, name: str, row: Row) -> Row:
        """The row, or that of one entry of the tensor if the error there is larger."""
        result = self.results[name]
        place = tuple(int(k) for k in np.unravel_index(int(self.rng.integers(result.size)), result.shape))
        v = np.zeros(result.shape)
        v[place] = 1.0
        found = self._row(name, place, {name: v}, scale_of(result))
        return replace(worst_of([row, found]), kinks=row.kinks + found.kinks)

    def _direction(self, names: tuple[str, ...], k: int) -> Row:
        """A random direction for each tensor, of a length near one in units of its gradient."""
        parts = {}
        for n in names:
            v = self.rng.standard_normal(self.results[n].shape)
            v[np.isinf(floats(self.results[n]))] = 0  # says nothing of a sum that it is part of
            # of a random length: single numbers would all be 1 or -1, and their faults could cancel
            length = (float(np.abs(v).sum()) or 1.0) * self.rng.uniform(0.7, 1.4)
            parts[n] = short(v / (length * scale_of(self.results[n])))
        return self._row(names[0], f"direction {k + 1} of {len(names)} at once", parts, 1.0)

    def _row(
        self, name: str, place: tuple[int, ...] | str, parts: Mapping[str, np.ndarray], unit: float
    ) -> Row:
        sides = self.slope(parts)
        products = [x for n, v in parts.items() for x in (self.results[n][v != 0] * v[v != 0])]
        own = math.fsum(products) if all(isinstance(x, float) for x in products) else sum(products)
        numeric = sides.nearest(own).item()
        error = float(errors_of(own, numeric, unit))
        return Row(name, sides.against, error, place, float(own), float(numeric), int(sides.parted))
