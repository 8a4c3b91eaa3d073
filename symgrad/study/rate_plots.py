"""The plots of learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from symgrad.study import plots
from symgrad.study.regimes import NAMES

COLOR = dict(zip(NAMES, ("#56b4e9", "#009e73", "#e69f00", "#d55e00"), strict=True))
_GREY = "#55534e"
_LEAST = 1e-12  # of the loss at the start: what is below is rounding


def _bounds(values: np.ndarray, start: float) -> tuple[float, float, bool]:
    """The lowest and the highest loss to be shown, and whether on a scale of powers: what runs away leaves the plot."""
    seen = values[np.isfinite(values)]
    least, most = float(seen.min()), max(float(seen.max()), start)
    if start > 0 and least >= -_LEAST * start:
        low = max(float(seen[seen > 0].min()), _LEAST * start)
        high = start * max(3.0, float((start / low) ** 0.25))
        return low / 1.3, min(high, most * 1.3), True
    span = start - least or abs(start) or 1.0
    return least - 0.05 * span, min(start + 0.5 * span, most + 0.05 * span), False


def _say(axes: Any, text: str, at: tuple[float, float], beside: tuple[float, float], **how: Any) -> None:
    """Words so many points beside a place."""
    how = {"color": _GREY, "fontsize": 8, **how}
    axes.annotate(text, at, xytext=beside, textcoords="offset points", **how)


def _scale(axis: Any, powers: bool) -> None:
    """A scale of powers with plain numbers: at 1, 2 and 5 where there are few of 10, none where there are many."""
    if not powers:
        return
    axis.axes.set_xscale("log") if axis.axis_name == "x" else axis.axes.set_yscale("log")
    low, high = sorted(axis.get_view_interval())
    if low < 1e-4 or high > 1e5:
        return
    axis.set_major_formatter("{x:g}")
    if high < 100 * low:
        ticks = [m * 10.0**k for k in range(-4, 6) for m in (1, 2, 5)]
        axis.set_ticks([t for t in ticks if low <= t <= high])
        axis.set_ticks([], minor=True)


def curves(figure: Any, rates: np.ndarray, names: Sequence[str], losses: np.ndarray, loss: str) -> None:
    """Each run's loss, labelled where it ends."""
    axes = figure.subplots()
    low, high, powers = _bounds(losses, float(losses[0, 0]))
    steps = losses.shape[1] - 1
    axes.set(xlim=(0, steps), ylim=(low, high), xlabel="steps", ylabel=loss)
    _scale(axes.yaxis, powers)
    axes.grid(False, axis="x")
    labels = []
    for k in sorted(range(len(rates)), key=lambda k: NAMES.index(names[k])):
        shown = np.clip(losses[k], low if powers else None, 1e3 * abs(high))
        steady = names[k] in ("slow", "good")
        how: dict[str, Any] = {"linewidth": 1.3, "zorder": 3} if steady else {"linewidth": 0.8, "alpha": 0.7}
        axes.plot(np.where(np.isfinite(losses[k]), shown, np.nan), color=COLOR[names[k]], **how)
        tail = losses[k, -max(1, len(losses[k]) // 10) :]
        end = float(np.median(tail)) if np.isfinite(tail).all() else high
        labels.append((end, f"{rates[k]:.3g}  {names[k]}", COLOR[names[k]]))
    plots.ends(axes, labels)


def ends(
    figure: Any,
    rates: np.ndarray,
    names: Sequence[str],
    final: np.ndarray,
    start: float,
    sharpness: np.ndarray,
    marks: dict[str, float],
    loss: str,
) -> None:
    """The loss and the sharpness where each run ended, by its rate, with upright lines at rates of a
    name, the first dashed."""
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    colors = np.array([COLOR[name] for name in names])
    low, high, powers = _bounds(np.append(final, start), start)
    above.set(xlim=(rates.min() / 1.4, rates.max() * 1.4), ylim=(low, high), ylabel=loss)
    _scale(above.yaxis, powers)
    _scale(above.xaxis, True)
    level = np.clip(final, low, high)
    above.plot(rates, level, color="#c9c6bd", linewidth=0.8, zorder=1)
    for gone, marker in ((False, "o"), (True, "^")):
        kept = (final > high) == gone
        above.scatter(
            rates[kept], level[kept], color=colors[kept], marker=marker, s=28, zorder=3, clip_on=False
        )
    above.axhline(start, color=_GREY, linewidth=0.6, linestyle=(0, (1, 2)))
    _say(above, "at the start", (1, start), (6, 0), xycoords=("axes fraction", "data"), va="center")

    below.set(xlabel="learning rate η", ylabel="λ")
    for j, name in enumerate(n for n in reversed(NAMES) if n in names):  # the colours, as in the other plot
        _say(below, name, (1, 1), (6, -10 - 12 * j), xycoords="axes fraction", color=COLOR[name])
    bent = np.isfinite(sharpness) & (sharpness > 0)
    below.scatter(rates[bent], sharpness[bent], color=colors[bent], s=28, zorder=3)
    if bent.any():
        flat, sharp = sharpness[bent].min() / 2, sharpness[bent].max() * 2
        below.set_ylim(flat, sharp)
        _scale(below.yaxis, True)
        line = np.array([rates.min() / 1.4, rates.max() * 1.4])
        below.plot(line, 2 / line, color=_GREY, linewidth=0.8)
        middle = float(np.clip(2 / np.sqrt(flat * sharp), rates.min(), rates.max()))
        _say(below, "λ = 2/η", (middle, 2 / middle), (5, 4))
    for j, (text, rate) in enumerate(sorted(marks.items(), key=lambda mark: mark[1])):
        left = j < len(marks) - 1
        for axes in (above, below):
            dashed = text == next(iter(marks))  # what is predicted
            axes.axvline(rate, color=_GREY, linewidth=0.8, linestyle=(0, (4, 2)) if dashed else "solid")
        how = {"xycoords": ("data", "axes fraction"), "ha": "right" if left else "left"}
        _say(above, text, (rate, 1), (-4 if left else 4, 4), **how)
