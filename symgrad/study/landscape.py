"""The loss as a landscape: along the gradient, and in a plane with the path of training on its contours."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.commands import counted
from symgrad.errors import SymgradError, listing
from symgrad.study import landscape_told
from symgrad.study.arguments import Study
from symgrad.study.curvature import ends
from symgrad.study.report import Report
from symgrad.study.setting import Data, Setting
from symgrad.study.way import BATCH, EPOCHS, Way, trained, training, training_options, way

PLANES = ("path", "random", "gradient")
EXAMPLES, GRID = 500, 25
_POINTS = 61  # of the path
_ALONG = 41  # of a line
_WIDE = 30  # widths of the parabola within which the learning rate is shown
_MARGIN = 0.25  # of the path's width, on each side of it
_GOLDEN = (np.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Line:
    """The loss along -g from a point of training.

    Attributes:
        step: how many steps were taken before that point.
        norm: of g there.
        curvature: g·Hg/g·g.
        at: (41,) how far, in learning rates: the weights are w - t g.
        losses: (41,) there.
        parabola: (41,) by gradient and Hessian: loss - t|g|² + t²/2 g·Hg.
        rate: the learning rate of the step from there.
        after: the loss at that rate.
        best, lowest: where the loss is lowest along the line, and that loss.
    """

    step: int
    norm: float
    curvature: float
    at: np.ndarray
    losses: np.ndarray
    parabola: np.ndarray
    rate: float
    after: float
    best: float
    lowest: float


@dataclass(frozen=True)
class Plane:
    """The loss in a plane of two directions.

    Attributes:
        kind: "path", "random" or "gradient".
        center: the weights at (0, 0).
        directions: (2, N).
        path: (P, 2), the path of training as the nearest points of the plane.
        share: the part of the squared distances of the path from the center that the plane holds.
        xs, ys: (G,) places along the directions.
        losses: (G, G), of row y and column x; not finite where the loss is not.
        over: (P,), the loss on the path itself.
        under: (P,), the loss at the nearest points of the plane.
    """

    kind: str
    center: np.ndarray
    directions: np.ndarray
    path: np.ndarray
    share: float
    xs: np.ndarray
    ys: np.ndarray
    losses: np.ndarray
    over: np.ndarray
    under: np.ndarray


@dataclass(frozen=True)
class Landscape:
    """What `landscape` measured.

    Attributes:
        lines: along -g, at the start, in the middle and at the end of training; not where g is 0.
        plane: None where there is only one weight, or the path has no length.
        straight: (41,) the loss on the straight line from the start to the end of training.
        way: the training.
    """

    lines: tuple[Line, ...]
    plane: Plane | None
    straight: np.ndarray
    way: Way


def landscape(
    declaration: Any,
    data: Data = None,
    *,
    plane: str = "path",
    grid: int = GRID,
    epochs: int = EPOCHS,
    batch_size: int | None = BATCH,
    optimizer: Any = "sgd",
    examples: int | None = EXAMPLES,
    **options: Any,
) -> Report:
    """Train, and measure the loss along the gradient and in a plane.

    Args:
        declaration, data: as for `Setting`.
        plane: "path", the two leading principal directions of the path of training, through its end; "random", two
            drawn directions through the end whose parts have the lengths of the weights of each unit (Li et al., 2018,
            "Visualizing the loss landscape of neural nets"); or "gradient", the gradient at the start and the sharpest
            direction there, the top eigenvector of the Hessian.
        grid: how many places along each direction, at least 5.
        epochs, batch_size, optimizer, options: as for `study.gradient`.
        examples: how many are used, for training and measuring; all if None.

    Returns:
        a report whose `result` is a `Landscape`.

    Raises:
        SymgradError: something cannot be used; one sentence.

    Example:
        >>> bowl = "w: weight[2]; loss = (w[0]**2 + 4*w[1]**2)/2"
        >>> found = landscape(bowl, values={"w": [0, 1]}, epochs=3, grid=5).result
        >>> round(found.lines[0].best, 6), round(found.plane.share, 6)
        (0.25, 1.0)
    """
    if plane not in PLANES:
        raise SymgradError(f"the plane is {listing(PLANES, 'or')}, not {plane!r}")
    if not isinstance(grid, int | np.integer) or grid < 5:
        raise SymgradError(f"grid is a whole number of at least 5, not {grid!r}")
    how = {"optimizer": optimizer, "epochs": epochs, "batch_size": batch_size, "points": _POINTS}
    setting = trained(declaration, data, **how, options={**options, "examples": examples})
    with np.errstate(all="ignore"):
        w = way(setting, epochs=epochs, batch_size=batch_size, points=_POINTS, beside=False)
        chosen = sorted({0, len(w.at) // 2, len(w.at) - 1})
        lines = [_line(setting, int(w.at[k]), w.weights[k], float(w.rates[k])) for k in chosen]
        start = w.weights[0]
        result = Landscape(
            lines=tuple(line for line in lines if line is not None),
            plane=_plane(setting, w, plane, grid),
            straight=np.array([setting.loss(start + s * (w.end - start)) for s in np.linspace(0, 1, _ALONG)]),
            way=w,
        )
    return landscape_told.report(setting, result, optimizer)


# ---- along the gradient


def _line(setting: Setting, step: int, w: np.ndarray, rate: float) -> Line | None:
    loss, g = setting.loss_and_gradient(w)
    square = float(g @ g)
    if not 0 < square < np.inf:
        return None
    bend = float(g @ setting.product(w, g))
    curvature = bend / square

    def along(t: float) -> float:
        return setting.loss(w - t * g)

    bowl = 2.3 / curvature if curvature > 0 else 3 * rate  # the parabola's width
    far = max(bowl, min(1.5 * rate, _WIDE * bowl))
    for _ in range(8):  # until the lowest point lies within
        at = np.linspace(0, far, _ALONG)
        losses = np.array([along(t) for t in at])
        lowest = int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))
        if lowest < _ALONG - 1:
            break
        far *= 2
    best = _lowest(along, at[max(lowest - 1, 0)], at[min(lowest + 1, _ALONG - 1)])
    return Line(
        step=step,
        norm=float(np.sqrt(square)),
        curvature=curvature,
        at=at,
        losses=losses,
        parabola=loss - at * square + at**2 / 2 * bend,
        rate=rate,
        after=along(rate),
        best=best,
        lowest=along(best),
    )


def _lowest(along: Callable[[float], float], low: float, high: float) -> float:
    """Where a function is lowest between two places, by golden section."""
    inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
    values = [along(t) for t in inner]
    for _ in range(40):
        if values[0] <= values[1]:
            high, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = high - _GOLDEN * (high - low)
            values[0] = along(inner[0])
        else:
            low, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = low + _GOLDEN * (high - low)
            values[1] = along(inner[1])
    return float((low + high) / 2)


# ---- in a plane


def _plane(setting: Setting, w: Way, kind: str, grid: int) -> Plane | None:
    center = w.weights[0] if kind == "gradient" else w.end
    away = w.weights - center
    total = float(np.sum(away**2))
    if center.size < 2 or not total:
        return None
    found = {"path": _leading, "random": _random, "gradient": _steepest}[kind](setting, w)
    if found is None:
        return None
    path = np.linalg.lstsq(found.T, away.T, rcond=None)[0].T
    held = float(np.sum((path @ found) ** 2)) / total
    if kind == "random":
        xs = ys = np.linspace(-1, 1, grid)
    else:
        xs, ys = _window(path, grid)
    points = center + path @ found
    return Plane(
        kind=kind,
        center=center,
        directions=found,
        path=path,
        share=min(held, 1.0),
        xs=xs,
        ys=ys,
        losses=np.array([[setting.loss(center + x * found[0] + y * found[1]) for x in xs] for y in ys]),
        over=np.array([setting.loss(p) for p in w.weights]),
        under=np.array([setting.loss(p) for p in points]),
    )


def _window(path: np.ndarray, grid: int) -> tuple[np.ndarray, np.ndarray]:
    """Places about the path, in a window that is at least a third as high as wide, or as wide as high."""
    low, high = path.min(axis=0), path.max(axis=0)
    half = np.maximum(high - low, (high - low).max() * 0.35) * (0.5 + _MARGIN)
    x, y = ((low + high) / 2)[:, None] + half[:, None] * np.linspace(-1, 1, grid)
    return x, y


def _leading(setting: Setting, w: Way) -> np.ndarray:
    """The two leading principal directions of the path as seen from its end, from the start at the left."""
    away = w.weights - w.end
    values, vectors = np.linalg.eigh(away @ away.T)
    first = away.T @ vectors[:, -1]
    first *= (-1 if first @ away[0] > 0 else 1) / np.linalg.norm(first)
    second = away.T @ vectors[:, -2] if len(values) > 1 and values[-2] > 1e-12 * values[-1] else None
    if second is None:  # the path is a straight line
        second = np.random.default_rng(setting.seed).standard_normal(first.size)
    second = _beside(second, first)
    heights = away @ second
    return np.array([first, second if heights[np.argmax(np.abs(heights))] >= 0 else -second])


def _random(setting: Setting, w: Way) -> np.ndarray:
    rng, at = np.random.default_rng(setting.seed), setting.named(w.end)
    tables = any(a.ndim > 1 and a.any() for a in at.values())

    def drawn() -> np.ndarray:
        parts = {}
        for name, a in at.items():
            d = rng.standard_normal(a.shape)
            if a.ndim < 2:
                parts[name] = np.zeros_like(d) if tables else d * _length(a, None) / _length(d, None)
            else:  # a unit's weights: a column of a matrix, the first axis of a convolution
                axes = (0,) if a.ndim == 2 else tuple(range(1, a.ndim))
                parts[name] = d * _length(a, axes) / _length(d, axes)
        return setting.flat(parts)

    found = np.array([drawn(), drawn()])
    return found if found.any(axis=1).all() else rng.standard_normal(found.shape)


def _length(a: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    return np.sqrt(np.sum(a**2, axis=axes, keepdims=axes is not None))


def _steepest(setting: Setting, w: Way) -> np.ndarray | None:
    start = w.weights[0]
    g = setting.gradient(start)
    if not g.any():
        return None
    first = -g / np.linalg.norm(g)
    sharp = ends(lambda v: setting.product(start, v), start.size, seed=setting.seed, tolerance=1e-4).direction
    if np.linalg.norm(sharp - (sharp @ first) * first) < 1e-6:  # it is the gradient's own
        sharp = np.random.default_rng(setting.seed).standard_normal(start.size)
    return np.array([first, _beside(sharp, first)])


def _beside(a: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The part of a vector that is at right angles to one of length 1, with length 1."""
    for _ in range(2):
        a = a - (a @ first) * first
        a = a / np.linalg.norm(a)
    return a


# ---- the command


def _options(parser: argparse.ArgumentParser) -> None:
    training_options(parser, examples=EXAMPLES)
    group = parser.add_argument_group("the plane")
    group.add_argument(
        "--plane", choices=PLANES, default="path",
        help="path: the two leading principal directions of the path of training; random: drawn, with the lengths of "
        "each unit's weights (Li et al., 2018); gradient: the gradient at the start and the sharpest direction there "
        "(path)",
    )  # fmt: skip
    group.add_argument(
        "--grid", type=counted(5), default=GRID, help=f"places along each direction, at least 5 ({GRID})"
    )


def _run(options: argparse.Namespace) -> Report:
    return landscape(**training(options), plane=options.plane, grid=options.grid)


STUDY = Study("landscape", (__doc__ or "").partition("\n")[0], _options, _run)
