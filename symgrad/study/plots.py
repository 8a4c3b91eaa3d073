"""Plots by matplotlib, the only file that knows it: as SVG to stand in a page, and as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from symgrad.errors import SymgradError
from symgrad.explain.html import drawing

if TYPE_CHECKING:
    from symgrad.study.report import Plot

# told apart by dark and light too, as in print: Okabe and Ito, 2008, without yellow
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_LOOK = {
    "svg.hashsalt": "symgrad",  # the same bytes each time
    "svg.fonttype": "path",  # letters as they were measured, whatever fonts the reader has
    "axes.prop_cycle": "cycler(color=[" + ", ".join(f'"{c}"' for c in COLORS) + "])",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e4de",
    "axes.axisbelow": True,
    "font.size": 9,
    "legend.frameon": False,
    "figure.facecolor": "white",
}
_LINK = "{http://www.w3.org/1999/xlink}href"


def label(text: str) -> str:
    """A user's words on a plot: dollars are no mathematics there."""
    return text.replace("\\", "\\\\").replace("$", r"\$")


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Places from 0 to 1 in any order, moved so that none is nearer to the next than `gap`, in the same order.

    Example:
        >>> [round(p, 3) for p in apart([0.5, 0.5, 0.9], 0.1)]
        [0.45, 0.55, 0.9]
        >>> apart([0.0, 1.0, 1.0], 0.1)
        [0.0, 0.9, 1.0]
    """
    order = sorted(range(len(places)), key=places.__getitem__)
    groups: list[tuple[float, int]] = []  # of neighbours that touch: where the first goes, and how many
    for k in order:
        groups.append((places[k], 1))
        while len(groups) > 1:
            (a, m), (b, n) = groups[-2:]
            if b - a >= m * gap:
                break
            groups[-2:] = [((a * m + (b - m * gap) * n) / (m + n), m + n)]
    found = [first + j * gap for first, count in groups for j in range(count)]
    found = [max(j * gap, min(1 - (len(found) - 1 - j) * gap, place)) for j, place in enumerate(found)]
    return [found[order.index(k)] for k in range(len(places))]


def ends(axes: Any, labels: Sequence[tuple[float, str, str]], size: float = 8, *, left: bool = False) -> None:
    """Labels (height, text, color) at the right or left end of curves, with a thread where one had to move.

    The limits of the axes must be set before.
    """
    turn = axes.transData + axes.transAxes.inverted()
    height = axes.figure.get_size_inches()[1] * 72 * axes.get_position().height
    low, high = axes.get_ylim()
    places = [float(turn.transform((1, min(max(y, low), high)))[1]) for y, _, _ in labels]
    gap = 1.35 * size / height * max((text.count("\n") + 1 for _, text, _ in labels), default=1)
    end, way, side = (0, -1, "right") if left else (1, 1, "left")
    for (_, text, color), place, moved in zip(labels, places, apart(places, gap), strict=True):
        axes.plot(
            [end, end + way * 0.02], [place, moved], transform=axes.transAxes, color=color, linewidth=0.6,
            clip_on=False,
        )  # fmt: skip
        axes.text(
            end + way * 0.025, moved, label(text), transform=axes.transAxes, color=color, va="center", ha=side,
            fontsize=size,
        )  # fmt: skip


def _drawn(plot: Plot, format: str, **how: Any) -> bytes:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise SymgradError(
            'plots and the HTML report need matplotlib: pip install "symgrad[study]" (the tables do without)'
        ) from None
    with mpl.rc_context({**mpl.rcParamsDefault, **_LOOK}):
        figure = Figure(figsize=plot.size, layout="constrained")
        plot.draw(figure)
        file = io.BytesIO()
        figure.savefig(file, format=format, **how)
    return file.getvalue()


def png(plot: Plot) -> bytes:
    """A plot as PNG, at 150 dots an inch."""
    return _drawn(plot, "png", dpi=150, metadata={"Software": None})


def svg(plot: Plot) -> str:
    """A plot as SVG without date, metadata and style sheet, so that it can stand in a page beside others."""
    root = drawing(_drawn(plot, "svg", metadata={"Date": None}))
    root.set("stroke-linejoin", "round")
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style"):
                parent.remove(child)
        if _LINK in parent.attrib:
            parent.set("href", parent.attrib.pop(_LINK))
    return ElementTree.tostring(root, encoding="unicode") + "\n"
