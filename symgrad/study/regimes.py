"""Runs of gradient descent, what is measured of each, and its name: slow, good, oscillating or diverging.

On a quadratic the names are known beforehand. Along an eigenvector of λ a step multiplies the error by 1 − ηλ. Up to
η = 1/λ₁, of the largest eigenvalue, no factor is negative, and no step turns back: slow or good. Beyond 2/λ₁ the error
grows: diverging. Between them the sharpest direction turns back at each step, and beyond 2/(λ₁ + λₙ), the best rate of
all, it is also the one that shrinks most slowly, so that in the end all steps do: oscillating. (Y. LeCun, L. Bottou,
G. Orr and K.-R. Müller, "Efficient BackProp", 1998, section 4, in one dimension.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.study.setting import Setting

NAMES = ("slow", "good", "oscillating", "diverging")
BACK = 0.5  # of the best run's decrease: a loss that rose above the start's and has not come so far is away
LATE = 0.1  # of the steps: where the best run was by then, a slow one is in the end
RESTLESS = 0.25  # of the steps: with more that turn back, or let the loss rise, a run oscillates
GROWING = 0.9  # of the steps of the last quarter: a loss that rises in as many grows
CONVERGED = 1e-8  # of the largest gradient so far: below it, directions are rounding
_ROUNDED = 1e-13  # of the loss: a rise that is none

CRITERION = """
Diverging: the loss is no longer a finite number, or ends above that of the start, or rises in nine of ten of the steps
of the last quarter, or rose above that of the start and has not come down by half as much as the
run that ended lowest.

Oscillating: not that, and more than a quarter of the steps turn back over the one before (the cosine of the two is
negative) or let the loss rise. Steps after the gradient is a hundred-millionth of its largest do not count.

Slow: neither, and the run that ended lowest was there within a tenth of the steps.

Good: all others.
"""

Point = tuple[np.ndarray, float, np.ndarray]  # weights, loss, gradient


@dataclass(frozen=True)
class Run:
    """What was measured of a run.

    Attributes:
        rate: the learning rate.
        losses: before the first step and after each, shape (steps + 1,); inf from where it was no finite number.
        cosines: of each two successive steps, shape (steps - 1,); nan where one has no length.
        slopes: the norms of the gradient, shape (steps + 1,).
        end: the weights after the last step.
    """

    rate: float
    losses: np.ndarray
    cosines: np.ndarray
    slopes: np.ndarray
    end: np.ndarray

    @property
    def finite(self) -> bool:
        """Whether every loss was a finite number."""
        return bool(np.isfinite(self.losses).all())

    @property
    def final(self) -> float:
        """The loss at the end: the median of the last tenth of the steps."""
        return float(np.median(self.losses[-max(1, len(self.losses) // 10) :])) if self.finite else np.inf

    @property
    def decrease(self) -> float:
        """From the start to the end."""
        return float(self.losses[0]) - self.final

    @property
    def rises(self) -> np.ndarray:
        """Whether the loss rose in a step, for each."""
        before, after = self.losses[:-1], self.losses[1:]
        with np.errstate(invalid="ignore"):
            level = before + _ROUNDED * np.maximum(np.abs(before), np.abs(self.losses[0]))
            return ~(after <= level)

    @property
    def moving(self) -> slice:
        """The steps until the run had converged: after that their directions are rounding."""
        done = self.slopes <= CONVERGED * np.fmax.accumulate(self.slopes)
        return slice(int(np.argmax(done)) if done.any() else len(self.cosines) + 1)

    @property
    def rising(self) -> float:
        """The share of these steps in which the loss rose."""
        return _share(self.rises[self.moving])

    @property
    def turning(self) -> float:
        """The share of these steps that turned back over the one before."""
        return _share(self.cosines[self.moving] < 0)

    @property
    def restless(self) -> float:
        """The share of these steps that did either."""
        return _share((self.rises[1:] | (self.cosines < 0))[self.moving])


def _share(true: np.ndarray) -> float:
    return float(true.mean()) if true.size else 0.0


def measured(rate: float, points: Iterable[Point], steps: int) -> Run:
    """A run from the points that it goes through; it is left where the loss is no finite number."""
    losses, slopes, cosines = (
        np.full(steps + 1, np.inf),
        np.full(steps + 1, np.nan),
        np.full(steps - 1, np.nan),
    )
    before: np.ndarray | None = None
    step: np.ndarray | None = None
    with np.errstate(all="ignore"):
        for k, (w, loss, g) in enumerate(points):
            if not (np.isfinite(loss) and np.isfinite(w).all()):
                break
            losses[k], slopes[k] = loss, np.linalg.norm(g)
            last, step = step, None if before is None else w - before
            if last is not None and step is not None:
                cosines[k - 2] = last @ step / (np.linalg.norm(last) * np.linalg.norm(step))
            before = w
    assert before is not None
    return Run(rate, losses, cosines, slopes, before)


def descent(setting: Setting, rate: float, start: np.ndarray, steps: int) -> Iterator[Point]:
    """Gradient descent on all examples: w ← w − η ∂L/∂w."""
    w = start
    for k in range(steps + 1):
        loss, g = setting.loss_and_gradient(w)
        yield w, loss, g
        if k < steps:
            w = w - rate * g


def trained(
    setting: Setting, rate: float, start: np.ndarray, steps: int, batch: int | None
) -> Iterator[Point]:
    """The module's own optimiser; with batches a step is one pass over all examples."""
    size = -(-setting.count // batch) if batch else 1
    for k, w in setting.train(epochs=steps, batch_size=batch, start=start, lr=rate):
        if k % size == 0:
            yield w, *setting.loss_and_gradient(w)


def best(runs: Sequence[Run]) -> Run | None:
    """The run that ended lowest, of those that stayed finite."""
    return min((r for r in runs if r.finite), key=lambda r: r.final, default=None)


def named(run: Run, lowest: Run | None) -> str:
    """Its name, beside the run that ended lowest.

    Example:
        >>> bowl = Setting("w: weight[2]; loss = (w[0]**2 + 4*w[1]**2)/2")  # λ = 1 and 4: best 2/5, limit 2/4
        >>> runs = [measured(r, descent(bowl, r, np.ones(2), 50), 50) for r in (0.002, 0.3, 0.45, 0.6)]
        >>> [named(r, best(runs)) for r in runs]
        ['slow', 'good', 'oscillating', 'diverging']
    """
    if not run.finite or lowest is None:
        return "diverging"
    tolerance = _ROUNDED * abs(float(run.losses[0]))
    quarter = run.rises[-max(1, len(run.rises) // 4) :]
    away = (
        float(run.losses.max()) > float(run.losses[0]) + tolerance and run.decrease < BACK * lowest.decrease
    )
    if run.decrease < -tolerance or quarter.mean() >= GROWING or away:
        return "diverging"
    if run.restless > RESTLESS:
        return "oscillating"
    there = int(np.argmax(lowest.losses <= run.final))
    return "slow" if there < LATE * (len(run.losses) - 1) and run.rate < lowest.rate else "good"
