"""The plots of the error gradient over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.study.plots import COLORS, ends, label

if TYPE_CHECKING:
    from symgrad.study.gradient import Gradients

GREY = "#55534e"
_SHOWN = 7  # layers that have a colour of their own


def _powers(axes: Any, *values: np.ndarray) -> None:
    """A scale of powers of ten where numbers above 0 spread over more than one."""
    seen = np.concatenate([v[np.isfinite(v)] for v in values])
    if seen.size and seen.min() > 0 and seen.max() > 8 * seen.min():
        axes.set_yscale("log")
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5) if seen.max() < 1e4 * seen.min() else (1,))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")


def _steps(axes: Any, steps: np.ndarray) -> None:
    axes.set_xlim(0, max(1, int(steps[-1])))
    axes.set_xlabel("steps taken")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(False, axis="x")


def _named(axes: Any, curves: Sequence[tuple[str, Any, Any, str]]) -> None:
    """The name of each curve (name, xs, ys, colour) at the right, behind its last value."""
    axes.figure.draw_without_rendering()
    found = []
    for name, xs, ys, color in curves:
        seen = np.flatnonzero(np.isfinite(ys))
        if seen.size:
            x, y = xs[seen[-1]], float(ys[seen[-1]])
            axes.plot([x, axes.get_xlim()[1]], [y, y], color=color, linewidth=0.5)
            found.append((y, name, color))
    ends(axes, found)


def course(figure: Any, g: Gradients) -> None:
    """The loss above, the length of the gradient below."""
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, values, name, color in (
        (above, g.losses, "loss", GREY),
        (below, g.norms, "norm of the gradient |g|", COLORS[0]),
    ):
        _powers(axes, values)
        axes.plot(g.steps, values, color=color, marker="o", markersize=3, linewidth=1.2, clip_on=False)
        axes.set_title(name, loc="left", fontsize=9, color=color)
    _steps(below, g.steps)
    above.grid(False, axis="x")


def directions(figure: Any, g: Gradients) -> None:
    """Angles over the steps."""
    axes = figure.subplots()
    _steps(axes, g.steps)
    axes.set_ylim(0, 180)
    axes.set_yticks(range(0, 181, 30))
    axes.set_ylabel("angle in degrees")
    axes.axhline(90, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)))
    lines = [
        ("to the gradient\na step earlier", g.steps, g.turns, COLORS[1]),
        ("−g to the straight\nway to the end", g.steps, g.ends, COLORS[0]),
        ("−g to the step\ntaken", g.steps, g.strays, COLORS[2]),
        ("mini-batch to\nall examples", g.steps, g.batches, COLORS[3]),
    ]
    lines = [line for line in lines if np.isfinite(line[2]).any()]
    for _, xs, ys, color in lines:
        axes.plot(xs, ys, color=color, marker="o", markersize=3, linewidth=1.2, clip_on=False)
    _named(axes, lines)


def layers(figure: Any, g: Gradients) -> None:
    """The norm of each layer's part; beyond seven layers the others are grey."""
    axes = figure.subplots()
    _steps(axes, g.steps)
    _powers(axes, *(v[v > 0] for v in g.layers.values()))
    axes.set_ylabel("norm of the layer's part of g")
    largest = sorted(g.layers, key=lambda name: -float(np.nan_to_num(g.layers[name]).max()))[:_SHOWN]
    shown: list[tuple[str, Any, Any, str]] = []
    for name, values in g.layers.items():
        color = COLORS[len(shown) % len(COLORS)] if name in largest else "#b9b6ad"
        seen = np.where(values > 0, values, np.nan) if axes.get_yscale() == "log" else values
        axes.plot(g.steps, seen, color=color, linewidth=1.3, marker="o", markersize=2.5, clip_on=False)
        if name in largest:
            shown.append((name, g.steps, seen, color))
    _named(axes, shown)


def promises(figure: Any, g: Gradients) -> None:
    """What came of the decrease that the gradient promised, of a step of the learning rate along it."""
    axes = figure.subplots()
    _steps(axes, g.steps)
    whole = np.where(g.along.first > 0, g.along.first, np.nan)
    second, real = 100 * g.along.second / whole, 100 * g.along.real / whole
    seen = np.concatenate([[0.0, 100.0], second, real])
    seen = seen[np.isfinite(seen)]
    if seen.min() < -400:
        axes.set_yscale("symlog", linthresh=100)
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylabel("decrease, % of η|g|²")
    axes.axhline(100, color=GREY, linewidth=0.8)
    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.plot(g.steps, second, color=COLORS[0], linewidth=1.3)
    axes.plot(g.steps, real, "o", color=COLORS[1], markersize=4.5, clip_on=False)
    low, high = axes.get_ylim()
    axes.set_ylim(low, max(high, 108))
    at = int(g.steps[-1]) or 1
    _named(
        axes,
        [
            ("promised by g", [at], [100.0], GREY),
            ("by g and H", g.steps, second, COLORS[0]),
            ("measured", g.steps, real, COLORS[1]),
        ],
    )


def parts(figure: Any, g: Gradients, chosen: Sequence[int]) -> None:
    """The largest entries at some points, side by side."""
    found = figure.subplots(1, len(chosen), squeeze=False)[0]
    for axes, k in zip(found, chosen, strict=True):
        names, values = zip(*g.largest[k], strict=True)
        places = range(len(names))
        axes.barh(places, values, color=[COLORS[0] if v > 0 else COLORS[1] for v in values], height=0.6)
        axes.set_yticks(places, [label(n) for n in names], fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.grid(False, axis="y")
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.locator_params(axis="x", nbins=3)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_title(f"step {g.steps[k]}", loc="left", fontsize=9)
        axes.set_xlabel("∂L/∂w of the entry")
