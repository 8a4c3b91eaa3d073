"""Slopes to both sides of a point, and whether a number lies between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        corners: gives the lowest and the highest slopes that a choice at every single kink may give; where several
            kinks meet, more than lies between the slopes to both sides of the whole.
    """

    up: Any
    down: Any
    spread: Any = 0.0
    against: str = ""
    corners: Callable[[], tuple[Any, Any]] | None = None

    @property
    def parted(self) -> bool:
        """Whether some slope is another to the other side."""
        if self.up is self.down:
            return False
        up, down = np.asarray(self.up), np.asarray(self.down)
        rounding = _SURE if np.any(self.spread) else _ROUNDING
        return bool(np.asarray(np.abs(up - down) > rounding * np.maximum(1, np.abs(up)), bool).any())

    def nearest(self, own: Any) -> Any:
        """The numbers between the slopes that are nearest to those given; a slope where there is none."""
        margin = np.minimum(self.spread, _SURE * np.maximum(1, np.abs(self.up))) if np.any(self.spread) else 0
        low, high = np.minimum(self.up, self.down) - margin, np.maximum(self.up, self.down) + margin
        if self.corners is not None and not _between(low, own, high).all():
            least, most = self.corners()
            low = np.where(np.asarray(least < low, bool), least, low)  # what is no number widens nothing
            high = np.where(np.asarray(most > high, bool), most, high)
        return np.where(_between(low, own, high), own, np.where(np.asarray(own < low, bool), low, high))


def _between(low: Any, x: Any, high: Any) -> Any:
    return np.asarray(low <= x, bool) & np.asarray(x <= high, bool)


def stacked(sides: Sequence[Sides], share: int) -> Sides:
    """Slopes of equal shares of a sum, one below the other."""
    how = next((s.against for s in sides if s.against != sides[0].against), sides[0].against)
    same = all(s.up is s.down for s in sides)
    up = np.array([s.up for s in sides]) / share
    down = up if same else np.array([s.down for s in sides]) / share
    spread = np.array([np.broadcast_to(s.spread, np.shape(s.up)) for s in sides]) / share

    def corners() -> tuple[Any, Any]:
        pairs = [(s.up, s.down) if s.corners is None else s.corners() for s in sides]
        return np.array([low for low, _ in pairs]) / share, np.array([high for _, high in pairs]) / share

    return Sides(up, down, spread, how, corners if any(s.corners for s in sides) else None)
