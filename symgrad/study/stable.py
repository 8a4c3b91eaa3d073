"""The largest rate at which gradient descent is stable, found by trying: bisection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symgrad.study.setting import Setting

_FAR = 2  # times as far as at first: a run that has left
_SAME = 1e-6  # of a gradient: it has not become smaller
_GONE = 1e-3  # of the first gradient: it has, and what is left may be rounding


def edge(
    holds: Callable[[float], bool], low: float, high: float, *, tolerance: float = 1e-3, most: int = 8
) -> tuple[float, float]:
    """Two numbers about `tolerance` apart, relatively: `holds` is true of the lower and false of the higher.

    Where it is true of `high` this is doubled, and where it is false of `low` that is halved, `most` times at most;
    then the higher is infinity or the lower 0.

    Example:
        >>> low, high = edge(lambda x: x < 3, 1.0, 2.0)
        >>> low < 3 <= high, high / low < 1.002
        (True, True)
    """
    for _ in range(most):
        if not holds(high):
            break
        low, high = high, 2 * high
    else:
        return low, np.inf
    for _ in range(most):
        if holds(low):
            break
        low, high = low / 2, low
    else:
        return 0.0, high
    while high > low * (1 + tolerance):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high


def returns(setting: Setting, point: np.ndarray, start: np.ndarray, rate: float, steps: int) -> bool:
    """Whether gradient descent from a start beside a minimum comes back to that point: it is never twice as far from
    it as at first, and its gradient is smaller after all steps than after half of them, or a thousandth of the first.

    Along a direction of curvature λ a step multiplies the error by 1 − ηλ. After half of the steps only what grows, or
    hardly shrinks, is left; and of the gradient each direction's part counts λ times, so that flat ones, which hardly
    move, do not hide a sharp one.
    """
    w, far, slopes = start, _FAR * float(np.linalg.norm(start - point)), []
    with np.errstate(all="ignore"):
        for _ in range(steps + 1):
            if not np.linalg.norm(w - point) <= far:
                return False
            g = setting.gradient(w)
            slopes.append(float(np.linalg.norm(g)))
            w = w - rate * g
    return slopes[-1] < _GONE * slopes[0] or slopes[-1] < (1 - _SAME) * slopes[steps // 2]
