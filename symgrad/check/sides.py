"""Slopes to both sides of a point, and whether a number lies between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_SURE = 1e-7  # a slope that is known less well than this counts as known so well
_ROUNDING = 1e-12  # of slopes to both sides that are one


@dataclass(frozen=True)
class Sides:
    """The slopes of some numbers along a direction, on the side where it points and on the other one.

    Attributes:
        up, down: both, each an array; the same away from kinks.
        spread: how far they may be off, as far as is known.
        against: how they were found.
    """

    up: Any
    down: Any
    spread: Any = 0.0
    against: str = ""

    @property
    def both(self) -> tuple[Any, Any]:
        return self.up, self.down

    @property
    def parted(self) -> bool:
        """Whether some slope is another to the other side."""
        if self.up is self.down:
            return False
        up, down = np.asarray(self.up), np.asarray(self.down)
        width = np.abs(up - down) - 2 * np.asarray(self.spread)
        return bool(np.asarray(width > _ROUNDING * np.maximum(1, np.abs(up)), bool).any())

    def nearest(self, own: Any) -> Any:
        """The numbers between the slopes that are nearest to those given; a slope where there is none."""
        margin = np.minimum(self.spread, _SURE * np.maximum(1, np.abs(self.up))) if np.any(self.spread) else 0
        low, high = np.minimum(self.up, self.down) - margin, np.maximum(self.up, self.down) + margin
        inside = np.asarray(low <= own, bool) & np.asarray(own <= high, bool)
        return np.where(inside, own, np.where(np.asarray(own < low, bool), low, high))


def stacked(sides: Sequence[Sides], share: int) -> Sides:
    """Slopes of equal shares of a sum, one below the other."""
    how = next((s.against for s in sides if s.against != sides[0].against), sides[0].against)
    same = all(s.up is s.down for s in sides)
    up = np.array([s.up for s in sides]) / share
    down = up if same else np.array([s.down for s in sides]) / share
    spread = np.array([np.broadcast_to(s.spread, np.shape(s.up)) for s in sides]) / share
    return Sides(up, down, spread, how)
