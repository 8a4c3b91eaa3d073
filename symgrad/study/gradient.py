"""The error gradient over training: how long it is, where it points, what it is made of, and what it promises."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.commands import counted
from symgrad.study import gradient_told
from symgrad.study.arguments import Study
from symgrad.study.report import Report
from symgrad.study.setting import Data, Setting
from symgrad.study.way import BATCH, EPOCHS, Way, trained, training, training_options, way

POINTS = 20
DRAWN = 8  # mini-batches that are set against all examples
LARGEST = 6  # entries that are told by name


@dataclass(frozen=True)
class Promise:
    """What a step was to bring and what it brought; (P,) each, nan where no step was taken.

    Attributes:
        first: the decrease of the loss by the gradient alone, -g·s for a step s.
        second: by the Hessian too, -g·s - s·Hs/2.
        real: the decrease measured.
    """

    first: np.ndarray
    second: np.ndarray
    real: np.ndarray


@dataclass(frozen=True)
class Gradients:
    """What `gradient` measured at P points of a training of N weights; angles in degrees, nan where there is none.

    Attributes:
        steps: (P,), how many steps were taken before each point.
        losses: (P,), on all examples, as is all that follows.
        gradients: (P, N), the gradients.
        norms: (P,), their lengths.
        turns: (P,), the angle to the gradient one step earlier.
        ends: (P,), the angle between -g and the straight way to the end of training.
        strays: (P,), the angle between the step that was taken and -g.
        batches: (P,), the mean angle between the gradients of 8 mini-batches and g; nan without batches.
        curvatures: (P,), g·Hg/g·g, how the loss bends along the gradient.
        along: for a step of the learning rate along -g.
        taken: for the step that was taken.
        largest: for each point its six largest entries in size, each with its name.
        share: (P,), the part of g·g that the largest hundredth of all entries makes (at least one entry).
        layers, arrays: (P,) norms by the name of a layer, of a weight.
        members: the names of the weights of each layer.
        way: the training: its weights, rates and length.
    """

    steps: np.ndarray
    losses: np.ndarray
    gradients: np.ndarray
    norms: np.ndarray
    turns: np.ndarray
    ends: np.ndarray
    strays: np.ndarray
    batches: np.ndarray
    curvatures: np.ndarray
    along: Promise
    taken: Promise
    largest: tuple[tuple[tuple[str, float], ...], ...]
    share: np.ndarray
    layers: dict[str, np.ndarray]
    arrays: dict[str, np.ndarray]
    members: dict[str, tuple[str, ...]]
    way: Way


def gradient(
    declaration: Any,
    data: Data = None,
    *,
    epochs: int = EPOCHS,
    batch_size: int | None = BATCH,
    points: int = POINTS,
    optimizer: Any = "sgd",
    **options: Any,
) -> Report:
    """Train, and measure the error gradient of all examples at points spread over the steps.

    Args:
        declaration: as for `Setting`, with its data.
        data: see there.
        epochs: passes over all examples, at least 1; without data each is a step.
        batch_size: how many examples a step takes, at least 1; all if None.
        points: how many at most, at least 2: the first and the last are the start and the end.
        optimizer: of the training.
        options: of the optimiser (lr, 0.1 for "sgd" if not given; schedule, clip_norm, ...), and of `Setting`: sizes,
            values, seed, examples, target.

    Returns:
        a report whose `result` is a `Gradients`.

    Raises:
        SymgradError: something cannot be used; one sentence.

    Example:
        >>> bowl = "w: weight[2]; loss = (w[0]**2 + 4*w[1]**2)/2"
        >>> g = gradient(bowl, values={"w": [1, 1]}, epochs=2, lr=0.25).result
        >>> g.norms.round(3).tolist(), g.along.second.round(6).tolist() == g.along.real.round(6).tolist()
        ([4.123, 0.75, 0.562], True)
    """
    how = {"optimizer": optimizer, "epochs": epochs, "batch_size": batch_size, "points": points}
    setting = trained(declaration, data, **how, options=options)
    with np.errstate(all="ignore"):
        result = _measured(setting, way(setting, epochs=epochs, batch_size=batch_size, points=points))
    return gradient_told.report(setting, result, optimizer)


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees between two vectors; nan where one is 0 or not finite. Kahan's formula, exact for small angles too.

    >>> round(angle(np.array([1.0, 0.0]), np.array([1.0, 1e-9])), 15), angle(np.zeros(1), np.ones(1))
    (5.729578e-08, nan)
    """
    long, wide = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if not (0 < long < np.inf and 0 < wide < np.inf):
        return np.nan
    a, b = a / long, b / wide
    return float(np.degrees(2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))))


def _measured(setting: Setting, w: Way) -> Gradients:
    found = [setting.loss_and_gradient(point) for point in w.weights]
    losses, gradients = np.array([loss for loss, _ in found]), np.array([g for _, g in found])
    before = [
        setting.gradient(point) if k else np.full(len(point), np.nan) for k, point in enumerate(w.before)
    ]
    moves = w.after - w.weights
    products = np.array([setting.product(p, g) for p, g in zip(w.weights, gradients, strict=True)])
    squares, bends = np.sum(gradients**2, axis=1), np.sum(gradients * products, axis=1)
    size = max(1, gradients.shape[1] // 100)
    parts = np.sort(gradients**2, axis=1)[:, ::-1][:, :size]

    def norms(names: tuple[str, ...]) -> np.ndarray:
        return np.array([_norm([setting.named(g)[name] for name in names]) for g in gradients])

    return Gradients(
        steps=w.at,
        losses=losses,
        gradients=gradients,
        norms=np.sqrt(squares),
        turns=np.array([angle(a, b) for a, b in zip(before, gradients, strict=True)]),
        ends=np.array([angle(w.end - p, -g) for p, g in zip(w.weights, gradients, strict=True)]),
        strays=np.array([angle(s, -g) for s, g in zip(moves, gradients, strict=True)]),
        batches=_noise(setting, w, gradients),
        curvatures=bends / np.where(squares > 0, squares, np.nan),
        along=Promise(
            first=w.rates * squares,
            second=w.rates * squares - w.rates**2 * bends / 2,
            real=losses
            - np.array(
                [setting.loss(p - r * g) for p, r, g in zip(w.weights, w.rates, gradients, strict=True)]
            ),
        ),
        taken=_taken(setting, w, losses, gradients, moves),
        largest=tuple(
            tuple(
                (setting.entry(int(k)), float(g[k])) for k in np.argsort(-np.abs(g), kind="stable")[:LARGEST]
            )
            for g in gradients
        ),
        share=parts.sum(axis=1) / np.where(squares > 0, squares, np.nan),
        layers={name: norms(members) for name, members in setting.layers.items()},
        arrays={name: norms((name,)) for name in setting.weights},
        members=setting.layers,
        way=w,
    )


def _norm(parts: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(float(np.sum(p**2)) for p in parts)))


def _taken(setting: Setting, w: Way, losses: np.ndarray, gradients: np.ndarray, moves: np.ndarray) -> Promise:
    """Of the steps that were taken; at the end there is none."""
    first = -np.sum(gradients * moves, axis=1)
    bends = [float(s @ setting.product(p, s)) for p, s in zip(w.weights[:-1], moves[:-1], strict=True)]
    after = [setting.loss(p) for p in w.after[:-1]]
    return Promise(first, first - np.array([*bends, np.nan]) / 2, losses - np.array([*after, np.nan]))


def _noise(setting: Setting, w: Way, gradients: np.ndarray) -> np.ndarray:
    """The mean angle between the gradients of mini-batches, drawn anew at each point, and the whole one."""
    if w.batch is None:
        return np.full(len(gradients), np.nan)
    rng = np.random.default_rng(setting.seed)
    return np.array(
        [
            np.mean(
                [
                    angle(setting.gradient(p, rng.permutation(setting.count)[: w.batch]), g)
                    for _ in range(DRAWN)
                ]
            )
            for p, g in zip(w.weights, gradients, strict=True)
        ]
    )


def _options(parser: argparse.ArgumentParser) -> None:
    training_options(parser)
    parser.add_argument(
        "--points", type=counted(2), default=POINTS, help=f"of measurement, at least 2 ({POINTS})"
    )


def _run(options: argparse.Namespace) -> Report:
    return gradient(**training(options), points=options.points)


STUDY = Study("gradient", (__doc__ or "").partition("\n")[0], _options, _run)
