"""A sheet as TikZ, with the coordinates of the SVG: needs the package `tikz` and no library of it."""

from __future__ import annotations

from itertools import pairwise

from symgrad.explain.picture.layout import MARGIN, TRUNK, Placed, Point, Segment
from symgrad.explain.picture.sheet import Row, Sheet
from symgrad.explain.picture.svg import GIVEN
from symgrad.explain.tex import NARROW

TALL = 600.0  # points of a page
_SMALL = 0.6  # a picture is made smaller than this for its width only; what is higher goes on in another one

Part = tuple[float, float, float, float]  # left, top, right, bottom

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


def written(sheet: Sheet, width: float = NARROW - 16.0, tall: float | None = TALL) -> str:
    """The drawing as a `tikzpicture`, made smaller where it is wider (a paragraph is indented) or higher than so many
    points.

    One that would be too small for its height is cut between rows into several, each as high as a page.
    """
    placed = sheet.placed
    scale = min(1.0, width / placed.width)
    whole = (0.0, 0.0, placed.width, placed.height)
    if tall is None:
        return _picture(sheet, scale, whole)
    if min(scale, tall / placed.height) >= _SMALL:
        return _picture(sheet, min(scale, tall / placed.height), whole)
    parts = [whole]
    for _ in range(4):  # lower parts are narrower, and so can be larger and lower
        parts = _parts(placed, tall / scale)
        larger = min(1.0, width / max(right - left for left, _, right, _ in parts))
        if larger <= scale:
            break
        scale = larger
    parts = _parts(placed, tall / scale)
    scale = min([scale, *(width / (right - left) for left, _, right, _ in parts)])
    return "\n\n".join(_picture(sheet, scale, part) for part in parts)


def _parts(placed: Placed, room: float) -> list[Part]:
    """The picture cut between rows into parts of a height, each as wide as what it shows."""
    parts = []
    for top, bottom in pairwise(_cuts(placed, room)):
        seen = [r for r in (*placed.boxes.values(), *placed.labels.values()) if top <= r.top <= bottom]
        points = [x for _, s in placed.strokes for x, y in s if top <= y <= bottom]
        left = min([*points, *(r.left for r in seen)]) - MARGIN
        right = max([*points, *(r.right for r in seen)]) + MARGIN
        parts.append((round(max(left, 0.0), 1), top, round(min(right, placed.width), 1), bottom))
    return parts


def _cuts(placed: Placed, room: float) -> list[float]:
    """Where a high picture is cut: between rows, below the labels."""
    gaps, low = [], 0.0
    for box in sorted(placed.boxes.values(), key=lambda r: r.top):
        if low and box.top > low:
            gaps.append(min(low + TRUNK, box.top))
        low = max(low, box.bottom)
    cuts = [0.0]
    for here, after in zip(gaps, [*gaps[1:], placed.height], strict=True):
        if after - cuts[-1] > room:
            cuts.append(here)
    return [*cuts, placed.height]


def _picture(sheet: Sheet, scale: float, part: Part) -> str:
    """All of it, or a part."""
    placed = sheet.placed
    left, top, right, bottom = part

    def seen(low: float, high: float) -> bool:
        return low <= bottom and high >= top

    lines = [
        rf"\begin{{tikzpicture}}[x=1pt, y=-1pt, scale={scale:.3f}, transform shape,",
        f"  {_STYLES}]",
    ]
    if (top, bottom) != (0.0, placed.height):
        lines.append(rf"\clip ({left:g},{top:g}) rectangle ({right:g},{bottom:g});")
    for style in ("forward", "backward"):
        strokes = [
            s for w, s in placed.strokes if w == style and seen(min(y for _, y in s), max(y for _, y in s))
        ]
        heads = [(t, d) for w, t, d in placed.heads if w == style and seen(t[1], t[1])]
        lines += [rf"\draw[sg {style}] {_segment(s)};" for s in strokes]
        lines += [rf"\fill[{_INK[style]}] {_head(*h)};" for h in heads]
    for port, at in placed.labels.items():
        if seen(at.top, at.bottom):
            look = rf"sg label, text={_INK[port.style]}"
            lines.append(rf"\node[{look}] at ({at.x:g},{at.y:g}) {{${sheet.latex[port.label]}$}};")
    for name, at in placed.boxes.items():
        if not seen(at.top, at.bottom):
            continue
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
