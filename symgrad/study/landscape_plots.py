"""The plots of the loss as a landscape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.study.plots import COLORS

if TYPE_CHECKING:
    from symgrad.study.landscape import Landscape, Plane

GREY = "#55534e"
_LEVELS = 14


def lines(figure: Any, found: Landscape) -> None:
    """The loss along -g at each chosen point, side by side."""
    for k, (axes, line) in enumerate(
        zip(figure.subplots(1, len(found.lines), squeeze=False)[0], found.lines, strict=True)
    ):
        seen = line.losses[np.isfinite(line.losses)]
        start = float(line.losses[0])
        fall = start - line.lowest or abs(start) or 1.0
        top = min(float(seen.max()), start + 1.2 * fall)
        low = line.lowest - 0.35 * fall
        axes.plot(
            line.at,
            np.where(line.losses > 3 * abs(top) + 1, np.nan, line.losses),
            color=COLORS[0],
            linewidth=1.5,
        )
        axes.plot(line.at, line.parabola, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))
        axes.plot(line.rate, line.after, "o", color=COLORS[1], markersize=5, zorder=4)
        axes.plot(line.best, line.lowest, "v", color=COLORS[2], markersize=6, zorder=4)
        axes.set_xlim(0, line.at[-1])
        axes.set_ylim(low, top + 0.15 * fall)
        axes.set_title(f"step {line.step}", loc="left", fontsize=9)
        axes.set_xlabel("t in w − t·g")
        axes.locator_params(axis="x", nbins=4)
        axes.grid(False)
        if k == 0:
            axes.set_ylabel("loss")
    keys = (
        ("loss", COLORS[0], "-", ""),
        ("parabola of gradient and curvature", GREY, "--", ""),
        ("the learning rate", COLORS[1], "", "o"),
        ("the best step", COLORS[2], "", "v"),
    )
    marks = [
        figure.axes[0].plot([], [], color=color, linestyle=style or "none", marker=mark or None, label=name)[
            0
        ]
        for name, color, style, mark in keys
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=4, fontsize=8, handlelength=1.6)


def _levels(plane: Plane) -> np.ndarray:
    """Where contours are drawn: from the lowest loss to somewhat above the path, so that a blow-up hides nothing."""
    seen = plane.losses[np.isfinite(plane.losses)]
    over = plane.over[np.isfinite(plane.over)]
    low, high = float(seen.min()), float(seen.max())
    if plane.kind != "random" and over.size:
        high = min(high, float(over.max()) + 0.5 * (float(over.max()) - low))
    if not high > low:
        high = low + (abs(low) or 1.0)
    if low > 0 and 4 * low < high < 1e3 * low:
        return np.geomspace(low, high, _LEVELS)
    if low >= 0 and high > 4 * low:  # powers, from a thousandth
        return np.concatenate([[low], np.geomspace(low + (high - low) * 1e-3, high, _LEVELS - 1)])
    return np.linspace(low, high, _LEVELS)


def plane(figure: Any, p: Plane) -> None:
    """Contours, and the path on them."""
    axes = figure.subplots()
    levels = _levels(p)
    heights = np.clip(
        np.where(np.isfinite(p.losses), p.losses, np.inf), levels[0], levels[-1] * (1 + 1e-9) + 1e-300
    )
    colors = [str(0.985 - 0.3 * k / (_LEVELS - 2)) for k in range(_LEVELS - 1)]
    axes.contourf(p.xs, p.ys, heights, levels=levels, colors=colors, extend="max")
    drawn = axes.contour(p.xs, p.ys, heights, levels=levels[1:-1], colors="#6b6860", linewidths=0.5)
    axes.clabel(drawn, drawn.levels[::2], fmt=lambda x: f"{x:.3g}", fontsize=7, inline_spacing=3)
    x, y = p.path.T
    axes.plot(x, y, color=COLORS[1], linewidth=1.2, marker="o", markersize=2.2, zorder=4)
    window = np.array([np.ptp(p.xs), np.ptp(p.ys)])
    close = bool((np.abs(p.path[0] - p.path[-1]) < 0.06 * window).all())
    for k, name, drop in ((0, "start", 6), (-1, "end", -14 if close else 6)):
        face = "white" if k == 0 else COLORS[1]
        axes.plot(x[k], y[k], "o", color=COLORS[1], markerfacecolor=face, markersize=6, zorder=5)
        axes.annotate(
            name, (x[k], y[k]), xytext=(6, drop), textcoords="offset points", fontsize=9, color=COLORS[1], zorder=6,
            annotation_clip=True, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1},
        )  # fmt: skip
    axes.set_xlim(p.xs[0], p.xs[-1])
    axes.set_ylim(p.ys[0], p.ys[-1])
    if p.kind != "random":
        axes.set_aspect("equal")
    axes.grid(False)
    names = {
        "path": (
            "first principal direction of the path, in units of the weights",
            "second, in the same units",
        ),
        "random": ("first drawn direction, times the weights' own lengths", "second drawn direction"),
        "gradient": ("along −g of the start, in units of the weights", "sharpest direction at the start"),
    }
    axes.set_xlabel(names[p.kind][0])
    axes.set_ylabel(names[p.kind][1])
