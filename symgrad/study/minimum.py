"""A minimum of the loss, by Newton's method in a region of trust, from products with the Hessian only.

T. Steihaug, "The conjugate gradient method and trust regions in large scale optimization", 1983; J. Nocedal and
S. Wright, "Numerical Optimization", algorithms 4.1 and 7.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symgrad.study.setting import Setting

_SMALL = 1e-5  # of the length of the weights: a step that changes nothing
_ROUNDED = 1e-12  # of the loss: a change of it that rounding may have made


@dataclass(frozen=True)
class Minimum:
    """Where the search ended.

    Attributes:
        point: the vector of weights.
        loss: there.
        slope: the norm of the gradient there.
        steps: how many were taken.
        left: the length of the last step, or of that which would be next if it is shorter.
        converged: whether `slope` came down as far as was asked, and `left` is small against the weights: where ever
            larger weights do ever better, as with classes that can be told apart, there is no minimum to come to.
    """

    point: np.ndarray
    loss: float
    slope: float
    steps: int
    left: float
    converged: bool


def minimum(setting: Setting, start: np.ndarray, *, tolerance: float = 1e-9, most: int = 300) -> Minimum:
    """Go down from a start until the gradient's norm is `tolerance` of what it was, in `most` steps at most.

    Example:
        >>> found = minimum(Setting("w: weight[2]; loss = (w[0] - 1)**2 + 3*(w[1] - 2)**2"), np.zeros(2))
        >>> found.point.round(9).tolist(), found.converged
        ([1.0, 2.0], True)
    """
    w = start.copy()
    loss, g = setting.loss_and_gradient(w)
    slope = first = float(np.linalg.norm(g))
    radius, taken, last = max(1.0, float(np.linalg.norm(w))), 0, 0.0
    while slope > tolerance * first and taken < most:
        taken += 1
        step, expected = _inside(lambda v, w=w: setting.product(w, v), g, radius)  # type: ignore[misc]
        length = float(np.linalg.norm(step))
        new, downhill = setting.loss_and_gradient(w + step)
        small = expected <= _ROUNDED * abs(loss)
        better = float(np.linalg.norm(downhill)) < slope if small else loss - new >= 0.1 * expected
        if np.isfinite(new) and better:
            w, loss, g, slope = w + step, new, downhill, float(np.linalg.norm(downhill))
            last = length
            if length > 0.8 * radius:
                radius *= 2
        elif small:
            break
        else:
            radius = length / 4
    if last and slope:  # of the two a null direction, where curvature is rounding, makes one long at most
        last = min(last, float(np.linalg.norm(_inside(lambda v: setting.product(w, v), g, radius)[0])))
    left = last if slope else 0.0
    settled = left <= _SMALL * max(1.0, float(np.linalg.norm(w)))
    return Minimum(w, loss, slope, taken, left, slope <= tolerance * first and settled)


def _inside(
    product: Callable[[np.ndarray], np.ndarray], g: np.ndarray, radius: float
) -> tuple[np.ndarray, float]:
    """A step no longer than the radius that about minimises the parabola of gradient and Hessian, by conjugate
    gradients, and the decrease that the parabola has along it."""
    step, rest, bent = np.zeros_like(g), g.copy(), np.zeros_like(g)
    way = -rest
    near = min(0.5, float(np.sqrt(np.linalg.norm(g)))) * float(np.linalg.norm(g))
    for _ in range(min(2 * g.size + 10, 500)):
        turned = product(way)
        curved = float(way @ turned)
        square = float(rest @ rest)
        far = square / curved if curved > 0 else np.inf
        out = curved <= 0 or np.linalg.norm(step + far * way) >= radius
        if out:  # to the edge: |step + far way| = radius
            a, b, c = way @ way, step @ way, step @ step - radius**2
            far = (-b + np.sqrt(max(b * b - a * c, 0.0))) / a
        step, rest, bent = step + far * way, rest + far * turned, bent + far * turned
        if out or np.linalg.norm(rest) <= near:
            break
        way = -rest + float(rest @ rest) / square * way
    return step, -float(g @ step + 0.5 * step @ bent)
