"""The way that training takes: the weights before and after some of its steps."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad import update_options
from symgrad.errors import SymgradError
from symgrad.study.arguments import network, network_options, positive
from symgrad.study.setting import Setting

RATE = 0.1  # of sgd, where none is given
EPOCHS, BATCH = 20, 32
_FAR = 1e12  # times the start's length: weights that run away


@dataclass(frozen=True)
class Way:
    """Where a training went; P points of N weights.

    Attributes:
        at: (P,), how many steps were taken before each point; the first is 0, the last is the end.
        weights: (P, N).
        before: (P, N), one step earlier; nan at the start.
        after: (P, N), one step later; nan at the end.
        length: of all steps together.
        planned: how many steps were to be taken; more than the last of `at` where the weights ran away.
        rates: (P,), the learning rate of the step from each point.
        batch: how many examples a step takes; None for all.
    """

    at: np.ndarray
    weights: np.ndarray
    before: np.ndarray
    after: np.ndarray
    length: float
    planned: int
    rates: np.ndarray
    batch: int | None

    @property
    def end(self) -> np.ndarray:
        """The weights at the end."""
        return self.weights[-1]


def way(setting: Setting, *, epochs: int, batch_size: int | None, points: int, beside: bool = True) -> Way:
    """Train, and keep so many points spread evenly over the steps; `beside`: also those a step away.

    Where weights run away, the points are those up to the last step before.
    """
    batch = batch_size if setting.batched and (batch_size or setting.count) < setting.count else None
    planned = setting.steps(epochs, batch)
    if not np.isfinite(setting.start).all():
        raise SymgradError("the weights to start from hold what is no finite number")
    taken = planned
    while True:
        at = np.unique(np.linspace(0, taken, min(points, taken + 1)).round().astype(int))
        near = {int(k) + d for k in at for d in ((-1, 0, 1) if beside else (0,))}
        kept: dict[int, np.ndarray] = {}
        length, last = 0.0, setting.start
        most = _FAR * (1 + float(np.linalg.norm(setting.start)))
        for k, w in setting.train(epochs=epochs, batch_size=batch):
            step = float(np.linalg.norm(w - last))
            if not step < most:
                taken = k - 1
                break
            length, last = length + step, w
            if k in near:
                kept[k] = w
            if k == taken:
                nothing = np.full_like(w, np.nan)
                return Way(
                    at=at,
                    weights=np.array([kept[k] for k in at]),
                    before=np.array([kept.get(k - 1, nothing) for k in at]),
                    after=np.array([kept.get(k + 1, nothing) if k < taken else nothing for k in at]),
                    length=length,
                    planned=planned,
                    rates=setting.rates(at, planned),
                    batch=batch,
                )


def trained(
    declaration: Any,
    data: Any,
    *,
    optimizer: Any,
    epochs: int,
    batch_size: int | None,
    points: int,
    options: dict[str, Any],
) -> Setting:
    """The setting of a training, after a look at its numbers."""
    least = {
        "epochs": (epochs, 1),
        "batch_size": (1 if batch_size is None else batch_size, 1),
        "points": (points, 2),
    }
    for name, (value, low) in least.items():
        if not isinstance(value, int | np.integer) or value < low:
            raise SymgradError(f"{name} is a whole number of at least {low}, not {value!r}")
    if optimizer == "sgd":
        options = {"lr": RATE, **options}
    return Setting(declaration, data, optimizer=optimizer, **options)


def training_options(parser: argparse.ArgumentParser, examples: int | None = None) -> None:
    """Which network is trained on what, and how; `examples` are used if not said otherwise."""
    network_options(parser, examples=examples)
    update_options.add(parser, "sgd", f"{RATE} with sgd, else the optimiser's own default")
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=positive, default=EPOCHS, help=f"passes over all examples ({EPOCHS})")
    group.add_argument(
        "--batch-size",
        type=_size,
        default=BATCH,
        metavar="N|all",
        help=f"examples of a step, from 1, or all ({BATCH})",
    )


def training(options: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, as keywords of a study."""
    return {
        **network(options),
        "optimizer": options.optimizer,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        **update_options.read(options),
    }


def _size(text: str) -> int | None:
    if text == "all":
        return None
    try:
        return positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"takes a whole number from 1, or all, not '{text}'") from None
