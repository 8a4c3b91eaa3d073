"""The learning rate: the same start at many rates, and the largest stable one, predicted and found."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.errors import SymgradError
from symgrad.study import rate_told
from symgrad.study.arguments import Study, network, network_options, positive
from symgrad.study.curvature import Curvature, ends
from symgrad.study.minimum import minimum
from symgrad.study.rate_told import Rates
from symgrad.study.regimes import Run, best, descent, measured, named, trained
from symgrad.study.report import Report
from symgrad.study.setting import Data, Setting
from symgrad.study.stable import edge, returns

FEWEST = 8  # steps, of which a quarter and a tenth can be told
_GRID = np.geomspace(0.01, 4, 13)  # times 2/λ
_NEAR = 1e-4  # of the length of the weights: beside a minimum
_AWAY = 400  # steps by which a run beside a minimum has come back or has left


def rate(
    declaration: Any,
    data: Data = None,
    *,
    rates: Sequence[float] | None = None,
    steps: int = 200,
    near_minimum: bool = False,
    optimizer: str = "sgd",
    batch_size: int | None = None,
    **network: Any,
) -> Report:
    """The same start at many learning rates: each run measured and named, and the largest stable rate.

    Args:
        declaration: as for `Setting`, with its data and further options: sizes, values, seed, examples, target.
        data: see there.
        rates: learning rates; if None, thirteen from 0.01 to 4 times the predicted limit, each 1.65 times the last.
        steps: of each run, at least 8; with batches, passes over all examples.
        near_minimum: start beside a minimum that is searched first.
        optimizer: of the runs; "sgd" on all examples is gradient descent, which alone 2/λ is about.
        batch_size: how many examples a step takes; all if None.

    Returns:
        a report whose `result` is a `Rates`.

    Raises:
        SymgradError: something cannot be used; one sentence.

    Example:
        >>> bowl = "w: weight[2]; loss = (w[0]**2 + 4*w[1]**2)/2"
        >>> told = rate(bowl, values={"w": [1, 1]}, rates=[0.001, 0.3, 0.45, 0.6])
        >>> told.result.predicted, told.result.names
        (0.5, ('slow', 'good', 'oscillating', 'diverging'))
    """
    _checked(rates, steps, batch_size)
    setting = Setting(declaration, data, optimizer=optimizer, **network)
    if batch_size and not setting.batched:
        raise SymgradError(
            f"a batch of {batch_size} needs data with an axis of examples; {setting.name} has none"
        )
    plain = optimizer == "sgd" and not batch_size
    with np.errstate(all="ignore"):
        result, moved = _measured(
            setting, rates, steps, near_minimum, None if plain else batch_size or setting.count
        )
    how = "gradient descent on all examples: w ← w − η ∂L/∂w" if plain else _otherwise(optimizer, batch_size)
    return rate_told.report(setting, result, how, plain, moved)


def _otherwise(optimizer: str, batch_size: int | None) -> str:
    if batch_size:
        return f"a step being one pass over all examples in batches of {batch_size} with {optimizer}"
    return f"each on all examples with {optimizer}"


def _checked(rates: Sequence[float] | None, steps: int, batch_size: int | None) -> None:
    if rates is not None and (not len(rates) or not all(0 < r < np.inf for r in rates)):
        raise SymgradError(f"learning rates are positive numbers, such as 0.01,0.1,1, not {_listed(rates)}")
    if steps < FEWEST:
        raise SymgradError(
            f"a run takes at least {FEWEST} steps, so that its end can be told from its start, not {steps}"
        )
    if batch_size is not None and batch_size < 1:
        raise SymgradError(f"a batch has at least 1 example, not {batch_size}")


def _listed(rates: Sequence[float]) -> str:
    return ",".join(f"{r:g}" for r in rates) or "none"


def _measured(
    setting: Setting, given: Sequence[float] | None, steps: int, near: bool, batch: int | None
) -> tuple[Rates, bool]:
    """What the study measures, and whether the start had to be moved: its gradient was 0."""
    found = minimum(setting, setting.start) if near else None
    point = setting.start if found is None else found.point
    at = _curvature(setting, point)
    start, moved = point, False
    if found is not None:
        start = _beside(point, at, setting.seed, _NEAR * float(np.linalg.norm(point)) or _NEAR)
    elif not setting.gradient(point).any():
        start, moved = _beside(point, at, setting.seed, float(np.linalg.norm(point)) / 10 or 1.0), True
    limit = at.limit if np.isfinite(at.limit) else 1.0
    rates = np.unique(np.asarray(given, float)) if given is not None else limit * _GRID

    def run(rate: float) -> Run:
        points = (
            descent(setting, rate, start, steps)
            if batch is None
            else trained(setting, rate, start, steps, batch)
        )
        return measured(rate, points, steps)

    runs = [run(r) for r in rates]
    lowest = best(runs)
    names = tuple(named(r, lowest) for r in runs)
    bad = [r for r, name in zip(rates, names, strict=True) if name == "diverging"]
    low = max((r for r in rates if not bad or r < bad[0]), default=bad[0] / 2 if bad else limit)
    result = Rates(
        rates=rates,
        names=names,
        losses=np.array([r.losses for r in runs]),
        final=np.array([r.final for r in runs]),
        decrease=np.array([r.decrease for r in runs]),
        rising=np.array([r.rising for r in runs]),
        turning=np.array([r.turning for r in runs]),
        sharpness=np.array([_curvature(setting, r.end, 1e-4).largest if r.finite else np.nan for r in runs]),
        predicted=at.limit,
        at=at,
        found=edge(lambda r: named(run(r), lowest) != "diverging", low, bad[0] if bad else 2 * low),
        back=None
        if found is None
        else edge(lambda r: returns(setting, point, start, r, _AWAY), limit / 2, 2 * limit, tolerance=1e-5),
        minimum=found,
        start=start,
    )
    return result, moved


def _curvature(setting: Setting, w: np.ndarray, tolerance: float = 1e-8) -> Curvature:
    return ends(lambda v: setting.product(w, v), w.size, seed=setting.seed, tolerance=tolerance)


def _beside(point: np.ndarray, at: Curvature, seed: int, length: float) -> np.ndarray:
    """A point so far from this one: half along the sharpest direction, half at random."""
    way = np.random.default_rng(seed).standard_normal(point.size)
    way = at.direction + way / np.linalg.norm(way)
    return point + length * way / np.linalg.norm(way)


def _options(parser: argparse.ArgumentParser) -> None:
    network_options(parser)
    parser.add_argument(
        "--rates", type=_rates, metavar="0.01,0.1,1", help="learning rates; thirteen about 2/λ if not given"
    )
    parser.add_argument(
        "--steps",
        type=positive,
        default=200,
        help="of each run; with batches, passes over all examples (200)",
    )
    parser.add_argument(
        "--near-minimum", action="store_true", help="search a minimum first, and start a small step beside it"
    )
    parser.add_argument(
        "--optimizer", default="sgd", help="of the runs; 2/λ is about gradient descent alone (sgd)"
    )
    parser.add_argument(
        "--batch-size", type=positive, help="how many examples a step takes; all if not given"
    )


def _rates(text: str) -> list[float]:
    try:
        return [float(r) for r in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes numbers such as 0.01,0.1,1, not '{text}'") from None


def _run(options: argparse.Namespace) -> Report:
    return rate(
        **network(options),
        rates=options.rates,
        steps=options.steps,
        near_minimum=options.near_minimum,
        optimizer=options.optimizer,
        batch_size=options.batch_size,
    )


STUDY = Study("rate", (__doc__ or "").partition("\n")[0], _options, _run)
