"""Which way a program goes: the sign of every number at whose zero a function has a kink, or a root its branch point,
every comparison, and the winner of every maximum.

Between two points with the same pattern a program is one smooth formula. Where the pattern on one side of a point is
not that on the other, the point is at a kink.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from symgrad.language.reference import Arithmetic, composed
from symgrad.leaves import Leaf


class Watched(Arithmetic):
    """An arithmetic that notes the pattern of what is computed by it.

    Args:
        base: what numbers are.
        constants: the deliberate constants of another run, which are then the same in this one.

    Attributes:
        ties: how many numbers were as large as what they were compared with, and part along a complex step.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.language.reference import FLOATS, run
        >>> p = read("x: data[n]\\nloss = sum(relu(x))")
        >>> def pattern(*x):
        ...     kind = Watched(FLOATS)
        ...     _ = run(p, {"n": 2}, {"x": x}, kind=kind)
        ...     return kind.pattern
        >>> pattern(2.0, -1.0) == pattern(0.1, -7.0), pattern(0.1, 0.0) == pattern(0.1, -7.0)
        (True, False)
    """

    def __init__(self, base: Arithmetic, constants: Sequence[Any] | None = None):
        self.base = base
        self.number, self.whole, self.constant = base.number, base.whole, base.constant  # type: ignore[method-assign]
        self.constants: list[Any] = []
        self.ties = 0
        self._known: Iterator[Any] = iter(constants or ())
        self._pattern: list[bytes] = []

    @property
    def pattern(self) -> tuple[bytes, ...]:
        """All of it, in the order of the program."""
        return tuple(self._pattern)

    def leaf(self, leaf: Leaf, values: Sequence[Any]) -> Any:
        for distance in _distances(leaf):
            self._ordered(composed(distance, values, self.base), 0)
        if leaf.name == "sqrt":
            self._ordered(values[0], 0)
        return self.base.leaf(leaf, values)

    def power(self, base: Any, exponent: Any) -> Any:
        self._ordered(base, 0)
        return self.base.power(base, exponent)

    def implicit(self, op: str, arrays: Sequence[np.ndarray]) -> Any:
        found = self.base.implicit(op, arrays)
        if op in ("norm", "frobenius"):
            self._ordered(found, 0)
        return found

    def compare(self, op: str, a: Any, b: Any) -> Any:
        self._ordered(a, b)
        return self.base.compare(op, a, b)

    def won(self, body: Any, best: Any) -> Any:
        winners = np.asarray(body == best, bool)
        self._pattern.append(np.packbits(winners).tobytes())
        if np.iscomplexobj(body):
            self.ties += int(((np.real(body) == np.real(best)) & ~winners).sum())
        return best

    def stopped(self, values: Any) -> Any:
        """The same as in the other run, if there was one."""
        found = next(self._known, None)
        found = self.base.stopped(values) if found is None or np.shape(found) != np.shape(values) else found
        self.constants.append(found)
        return found

    def _ordered(self, a: Any, b: Any) -> None:
        above, below = np.asarray(a > b, bool), np.asarray(a < b, bool)
        self._pattern.append((above.astype(np.int8) - below).tobytes())
        if np.iscomplexobj(a) or np.iscomplexobj(b):
            self.ties += int(((np.real(a) == np.real(b)) & (above | below)).sum())


@cache
def _distances(leaf: Leaf) -> tuple[Leaf, ...]:
    """What is zero where a function has a kink."""
    return tuple(replace(leaf, run=text, kinks=()) for text in leaf.kinks)
