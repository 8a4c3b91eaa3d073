"""A sheet as TikZ, with the coordinates of the SVG: needs the package `tikz` and no library of it."""

from __future__ import annotations

from symgrad.explain.picture.layout import Point, Segment
from symgrad.explain.picture.sheet import Row, Sheet
from symgrad.explain.picture.svg import GIVEN
from symgrad.explain.tex import NARROW

TALL = 600.0  # points of a page

_STYLES = r"""sg box/.style={draw=black!60, fill=black!4, rounded corners=3pt, line width=.5pt},
  sg given/.style={sg box, draw=blue!60!black, fill=blue!6},
  sg weight/.style={sg box, draw=orange!80!black, fill=orange!10},
  sg target/.style={sg box, draw=green!50!black, fill=green!7, line width=.9pt},
  sg alike/.style={sg box, dashed},
  sg forward/.style={draw=black!60, line width=.5pt},
  sg backward/.style={draw=red!70!black, line width=.5pt, dash pattern=on 3pt off 1.6pt},
  sg text/.style={inner sep=0pt, font=\normalsize},
  sg label/.style={inner sep=.8pt, fill=white, font=\footnotesize},"""
_INK = {"forward": "black", "backward": "red!70!black", "value": "teal!70!black"}


def written(sheet: Sheet, width: float = NARROW) -> str:
    """The drawing as a `tikzpicture`, made smaller where it is wider than `width` points or taller than a page."""
    placed = sheet.placed
    scale = min(1.0, width / placed.width, TALL / placed.height)
    lines = [
        rf"\begin{{tikzpicture}}[x=1pt, y=-1pt, scale={scale:.3f}, transform shape,",
        f"  {_STYLES}]",
    ]
    for style in ("forward", "backward"):
        lines += [rf"\draw[sg {style}] {_segment(s)};" for w, s in placed.strokes if w == style]
        lines += [rf"\fill[{_INK[style]}] {_head(t, d)};" for w, t, d in placed.heads if w == style]
    for port, at in placed.labels.items():
        lines.append(
            rf"\node[sg label, text={_INK[port.style]}] at ({at.x:g},{at.y:g}) {{${sheet.latex[port.label]}$}};"
        )
    for name, at in placed.boxes.items():
        role = sheet.roles[name]
        kind = "given" if role in GIVEN else role if role in ("weight", "target", "alike") else "box"
        lines.append(rf"\draw[sg {kind}] ({at.left:g},{at.top:g}) rectangle ({at.right:g},{at.bottom:g});")
        y = at.y - sum(r.height for r in sheet.rows[name]) / 2
        for row in sheet.rows[name]:
            lines += _row(row, at.x, at.left, y + row.height / 2)
            y += row.height
    return "\n".join([*lines, r"\end{tikzpicture}"])


def _row(row: Row, x: float, left: float, y: float) -> list[str]:
    lines = []
    if row.number is not None:
        lines.append(
            rf"\node[sg text, anchor=west, font=\tiny, text=black!60] at ({left + 4:g},{y:g}) {{({row.number})}};"
        )
        x += 8
    if row.latex:
        small = r", font=\footnotesize" if row.style == "value" else ""
        lines.append(
            rf"\node[sg text, text={_INK[row.style]}{small}] at ({x:.6g},{y:.6g}) {{${row.latex}$}};"
        )
    return lines


def _segment(points: Segment) -> str:
    shown = [f"({x:g},{y:g})" for x, y in points]
    return (
        " -- ".join(shown)
        if len(shown) == 2
        else f"{shown[0]} .. controls {shown[1]} and {shown[2]} .. {shown[3]}"
    )


def _head(tip: Point, way: Point) -> str:
    (x, y), (dx, dy) = tip, way
    a, b = x - 5.5 * dx, y - 5.5 * dy
    corners = [(x, y), (a - 2.4 * dy, b - 2.4 * dx), (a + 2.4 * dy, b + 2.4 * dx)]
    return " -- ".join(f"({p:.6g},{q:.6g})" for p, q in corners) + " -- cycle"
