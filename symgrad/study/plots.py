"""Plots by matplotlib, the only file that knows it: as SVG to stand in a page, and as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from symgrad.errors import SymgradError

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
_SVG, _LINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"


def label(text: str) -> str:
    """A user's words on a plot: dollars are no mathematics there."""
    return text.replace("\\", "\\\\").replace("$", r"\$")


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
    root = ElementTree.fromstring(_drawn(plot, "svg", metadata={"Date": None}))  # noqa: S314 - matplotlib's own
    root.set("stroke-linejoin", "round")
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
        if _LINK in parent.attrib:
            parent.set("href", parent.attrib.pop(_LINK))
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
