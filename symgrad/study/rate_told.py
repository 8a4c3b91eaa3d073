"""What is told of learning rates: from the numbers that `rate` measured to prose, tables and plots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from symgrad.errors import listing
from symgrad.explain.parts import Prose
from symgrad.study import rate_plots
from symgrad.study.curvature import Curvature
from symgrad.study.minimum import Minimum
from symgrad.study.regimes import CRITERION, NAMES
from symgrad.study.report import Part, Plot, Report, paragraph, rows
from symgrad.study.setting import Setting

_EDGE = 0.15  # how far from 1 ηλ/2 may be to be at the edge of stability
_SAME = 0.02  # relative difference of two rates that are called the same


@dataclass(frozen=True)
class Rates:
    """What `rate` measured; R runs of S steps.

    Attributes:
        rates: (R,), in ascending order.
        names: of each run: slow, good, oscillating or diverging.
        losses: (R, S + 1), before each step and after the last; inf from where it was no finite number.
        final: (R,), the median of the last tenth of the losses.
        decrease: (R,), from the start to `final`.
        rising: (R,), the share of steps in which the loss rose.
        turning: (R,), the share of steps that turned back over the one before.
        sharpness: (R,), the largest eigenvalue of the Hessian where the run ended; nan where that is no number.
        predicted: the largest stable rate of gradient descent, 2/λ.
        at: λ there, at the start of the runs or, near a minimum, at it.
        found: two rates between which the runs begin to diverge, (last that does not, first that does).
        back: near a minimum, two rates between which gradient descent no longer comes back to it; else None.
        minimum: that minimum, or None.
        start: the vector of weights that every run starts from.
    """

    rates: np.ndarray
    names: tuple[str, ...]
    losses: np.ndarray
    final: np.ndarray
    decrease: np.ndarray
    rising: np.ndarray
    turning: np.ndarray
    sharpness: np.ndarray
    predicted: float
    at: Curvature
    found: tuple[float, float]
    back: tuple[float, float] | None
    minimum: Minimum | None
    start: np.ndarray

    @property
    def lowest(self) -> int:
        """Which run ended lowest."""
        return int(np.argmin(self.final))

    @property
    def stable(self) -> np.ndarray:
        """Whether a run did not diverge, for each."""
        return np.array([name != "diverging" for name in self.names])


def report(setting: Setting, r: Rates, how: str, plain: bool, moved: bool) -> Report:
    """The report: `how` says what a step is, `plain` whether that is gradient descent on all examples, `moved` whether
    the start had no gradient."""
    runs, steps = len(r.rates), r.losses.shape[1] - 1
    parts: list[Part] = [
        paragraph(
            setting.described,
            *_begin(r, moved),
            f"From there {f'{runs} runs take' if runs > 1 else 'a run takes'} {steps} steps, {how}.",
        ),
        Prose(("Why 2/λ",), tuple((p,) for p in _why(r, plain))),
        rows("The runs", *_runs(r)),
        paragraph(*_happened(r)),
        rows("The largest stable rate", *_limits(r)),
        paragraph(*_found(r, plain)),
        _curves(r),
        _ends(r),
        Prose(("How a run gets its name",), tuple((" ".join(p.split()),) for p in CRITERION.split("\n\n"))),
    ]
    return Report(f"Learning rates of {setting.name}", r, parts)


def number(x: float) -> str:
    """Four digits, two of what is very large or small."""
    if not np.isfinite(x):
        return "not finite"
    return "0" if x == 0 else f"{x:.4g}" if 1e-4 <= abs(x) < 1e6 else f"{x:.1e}"


def _begin(r: Rates, moved: bool) -> Iterator[str]:
    if moved:
        yield "The gradient is 0 there, no run would move: they start a step beside it, drawn at random."
    if r.minimum is None:
        return
    m = r.minimum
    yield (
        f"Newton's method went down in {m.steps} steps to a loss of {number(m.loss)} with a gradient of norm "
        f"{number(m.slope)}."
    )
    if not m.converged:
        yield (
            f"That is no minimum: steps are still {number(m.left)} long. Where ever larger weights do ever better, as "
            "with classes that can be told apart, there is none. What follows is about the point reached, which "
            "descent leaves by itself."
        )
    away = float(np.linalg.norm(r.start - m.point))
    yield f"The start is {number(away)} away from there, half along the sharpest direction and half at random."


def _why(r: Rates, plain: bool) -> Iterator[str]:
    yield (
        "Along an eigenvector of the Hessian the loss bends by its eigenvalue λ. There a step of gradient descent "
        "turns the error e, how far it is from the lowest point, into eₖ₊₁ = (1 − ηλ)·eₖ. It shrinks steadily up to "
        "η = 1/λ, "
        "changes its sign at each step beyond, and grows beyond η = 2/λ. So the largest λ, the sharpest direction, "
        "says how large a rate may be."
    )
    at = r.at
    where = "At the start" if r.minimum is None else "At that minimum" if r.minimum.converged else "There"
    found = f"from {at.products} products of the derived Hessian with a vector (Lanczos' method)"
    if at.largest > 0:
        within = max(at.error, 1e-15 * at.largest)
        said = f"{where} it is λ = {at.largest:.8g} within {within:.1g}, {found}. "
        said += f"Predicted largest stable rate: 2/λ = {at.limit:.8g}."
    else:
        said = f"{where} none is above 0 (the largest is {number(at.largest)}, {found}): curvature sets no limit."
    if at.least < -max(at.least_error, 1e-9 * abs(at.largest)):
        said += (
            f" The least is about {number(at.least)}: there the loss bends down, and the distance grows at every rate. "
            "That is how descent leaves a saddle; it sets no limit to the rate."
        )
    if not plain:
        said += " All this is about plain gradient descent on all examples; these runs step otherwise."
    yield said


def _runs(r: Rates) -> tuple[list[str], list[list[str]]]:
    lines = [
        [
            number(rate),
            f"{rate / r.predicted:.3f}" if r.predicted < np.inf else "",
            number(r.final[k] - _least(r)),
            number(r.decrease[k]) if np.isfinite(r.decrease[k]) else "",
            f"{100 * r.rising[k]:.0f} %",
            f"{100 * r.turning[k]:.0f} %",
            f"{rate * r.sharpness[k] / 2:.2f}" if np.isfinite(r.sharpness[k]) else "",
            r.names[k],
        ]
        for k, rate in enumerate(r.rates)
    ]
    loss = "above min." if r.minimum else "loss"
    return ["rate η", "η/(2/λ)", loss, "decrease", "rises", "turns", "ηλ/2", "name"], lines


def _happened(r: Rates) -> Iterator[str]:
    loss = "above min.: the loss less that of the minimum" if r.minimum else "loss"
    yield (
        f"Of each run: {loss}, the median of the last tenth of the steps; the share of steps in which it rises, and of "
        "those that turn back over the one before; ηλ/2 with the largest λ of where the run ended; and its name."
    )
    counts = [f"{r.names.count(name)} {name}" for name in NAMES if name in r.names]
    if len(r.names) > 1:
        yield f"By name: {listing(counts)}."
    if r.stable.any():
        k = r.lowest
        yield f"The lowest is that of η = {number(r.rates[k])}, named {r.names[k]}."
    edge = r.rates * r.sharpness / 2
    near = [number(r.rates[k]) for k in np.flatnonzero(r.stable) if abs(edge[k] - 1) <= _EDGE]
    if near and not r.minimum and not _parabola(r):
        yield (
            f"Where ηλ/2 is about 1, as at η = {listing(near)}, a run is at the edge of stability: a sharper place "
            "throws it out, a flatter one lets it in (J. Cohen and others, 2021)."
        )


def _parabola(r: Rates) -> bool:
    """Whether λ is the same at the start and wherever a run ended."""
    ends = r.sharpness[np.isfinite(r.sharpness)]
    return bool(ends.size) and bool(np.all(np.abs(ends - r.at.largest) <= 1e-3 * abs(r.at.largest)))


def _limits(r: Rates) -> tuple[list[str], list[list[str]]]:
    def line(what: str, rate: float, said: str = "") -> list[str]:
        share = rate / r.predicted
        return [what, said or f"{rate:.6g}", f"{share:.6g}" if 0 < share < np.inf else ""]

    lines = [[f"predicted, 2/λ at the {'minimum' if r.minimum else 'start'}", f"{r.predicted:.8g}", ""]]
    if r.stable.any() and not r.minimum and not _parabola(r) and r.sharpness[r.lowest] > 0:
        lines.append(line("2/λ where the lowest run ended", 2 / r.sharpness[r.lowest]))
    if r.back:
        lines.append(line("beyond it descent leaves the minimum", float(np.mean(r.back))))
    low, high = r.found
    ended = f"below {number(high)}" if not low else f"above {number(low)}" if high == np.inf else ""
    lines.append(line("beyond it runs diverge", np.nan if ended else (low + high) / 2, ended))
    return ["", "rate", "of the prediction"], lines


def _found(r: Rates, plain: bool) -> Iterator[str]:
    yield "The rate beyond which runs diverge is found by bisection, to 0.1 %, of runs like those above."
    if r.back:
        yield (
            "That beyond which the minimum is left, to 0.001 %, of gradient descent that comes back to it: never twice "
            "as far away as at first, and with a gradient that goes on shrinking."
        )
        if abs(float(np.mean(r.back)) / r.predicted - 1) <= _SAME:
            yield "What the Hessian predicts is what happens."
    low, high = r.found
    share = (low + high) / 2 / r.predicted if low and high < np.inf else np.nan
    if not plain:
        yield "These runs are not plain gradient descent, so the prediction need not hold for them."
    elif abs(share - 1) <= _SAME:
        same = ": λ is the same at the start and where they end, as on a parabola"
        yield f"Runs diverge from where it is predicted on{same if _parabola(r) else ''}."
    elif share > 1:
        yield (
            f"Runs of {r.losses.shape[1] - 1} steps bear {share:.2g} times the predicted rate, since the loss is no "
            "parabola: beyond 2/λ the error grows along the sharpest direction only until the run comes to flatter "
            "places, where it goes on."
        )
    elif share < 1:
        yield (
            f"Runs diverge from {share:.2g} times the predicted rate on, since the loss is no parabola: on the way λ "
            "becomes larger than it was at first, and a rate that was stable no longer is."
        )


def _curves(r: Rates) -> Plot:
    loss = "loss above the minimum" if r.minimum else "loss"
    return Plot(
        "curves",
        "The loss, step by step, at each rate",
        f"One curve for each of {len(r.rates)} rates, all from one start, with its rate and its name at its end.",
        lambda figure: rate_plots.curves(figure, r.rates, r.names, r.losses - _least(r), loss),
        size=(7.2, 5.2),
    )


def _ends(r: Rates) -> Plot:
    loss = "loss above the minimum" if r.minimum else "loss"
    low, high = r.found
    marks = {"predicted 2/λ": r.predicted, "runs diverge": (low + high) / 2 if low else np.inf}
    marks = {text: rate for text, rate in marks.items() if rate < np.inf}
    first = float(r.losses[0, 0]) - _least(r)
    return Plot(
        "ends",
        "Where the runs end: the loss and the sharpness λ, by the rate",
        "Above, the loss at the end of each run against its rate; below, the largest eigenvalue of the Hessian there, "
        "with the line λ = 2/η, above which gradient descent cannot stay. Upright lines: the predicted largest stable "
        "rate, and the rate from which runs diverge.",
        lambda figure: rate_plots.ends(
            figure, r.rates, r.names, r.final - _least(r), first, r.sharpness, marks, loss
        ),
        size=(7.2, 5.6),
    )


def _least(r: Rates) -> float:
    return r.minimum.loss if r.minimum else 0.0
