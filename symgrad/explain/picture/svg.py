"""A sheet as SVG: Unicode text, no script, no font, no reference to anything outside, legible on light and dark."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from symgrad.explain.picture.drawn import Run, runs
from symgrad.explain.picture.layout import Point, Rect, Segment
from symgrad.explain.picture.sheet import Row, Sheet

SCALE = 1.3  # of the shown size; inside, letters are 10 high
_STYLE = """
.sg-graph{font-family:'STIX Two Text',Cambria,'Times New Roman',serif;font-size:10px}
.sg-graph .paper{fill:#fff}.sg-graph text{fill:#1b1f24}
.sg-graph .box{fill:#f5f6f8;stroke:#5b6573;stroke-width:.8}
.sg-graph .given{fill:#eaf2fb;stroke:#3b6ea8}.sg-graph .weight{fill:#fdf1e0;stroke:#b5761c}
.sg-graph .target{fill:#eef7ee;stroke:#3c7d43;stroke-width:1.4}.sg-graph .alike{stroke-dasharray:3 2}
.sg-graph .wire{fill:none;stroke-width:.9}.sg-graph .wire.forward{stroke:#5b6573}
.sg-graph .wire.backward{stroke:#b3343a;stroke-dasharray:4 2.4}
.sg-graph .head.forward{fill:#5b6573}.sg-graph .head.backward{fill:#b3343a}
.sg-graph text.backward{fill:#b3343a}.sg-graph text.value{fill:#0a6b62;font-size:8.5px}
.sg-graph text.number{fill:#6b7480;font-size:7.5px}.sg-graph text.label{font-size:8.2px}
.sg-graph .i{font-style:italic}
@media (prefers-color-scheme:dark){
.sg-graph .paper{fill:#16191d}.sg-graph text{fill:#e4e7eb}
.sg-graph .box{fill:#23272e;stroke:#98a2b0}.sg-graph .given{fill:#1c2a3a;stroke:#7fb0e6}
.sg-graph .weight{fill:#35291a;stroke:#e0a95a}.sg-graph .target{fill:#1d2f20;stroke:#86c98d}
.sg-graph .wire.forward{stroke:#98a2b0}.sg-graph .wire.backward{stroke:#ff8a8f}
.sg-graph .head.forward{fill:#98a2b0}.sg-graph .head.backward{fill:#ff8a8f}
.sg-graph text.backward{fill:#ff8a8f}.sg-graph text.value{fill:#6fd6ca}.sg-graph text.number{fill:#9aa4b1}
}
"""
GIVEN = ("data", "label", "constant", "draw", "state", "literal")


def written(sheet: Sheet) -> str:
    """The drawing, as text of one `<svg>` element."""
    placed = sheet.placed
    root = ET.Element("svg", {
        "xmlns": "http://www.w3.org/2000/svg", "class": "sg-graph", "role": "img",
        "width": _n(placed.width * SCALE), "height": _n(placed.height * SCALE),
        "viewBox": f"0 0 {_n(placed.width)} {_n(placed.height)}", "style": "max-width:100%;height:auto",
    })  # fmt: skip
    ET.SubElement(root, "title").text = sheet.title
    ET.SubElement(root, "desc").text = sheet.words
    ET.SubElement(root, "style").text = _STYLE
    ET.SubElement(root, "rect", {"class": "paper", "width": "100%", "height": "100%"})
    for style in ("forward", "backward"):
        segments = [s for w, s in placed.strokes if w == style]
        if segments:
            ET.SubElement(root, "path", {"class": f"wire {style}", "d": "".join(map(_segment, segments))})
        heads = [(tip, way) for w, tip, way in placed.heads if w == style]
        if heads:
            ET.SubElement(root, "path", {"class": f"head {style}", "d": "".join(_head(*h) for h in heads)})
    for port, at in placed.labels.items():
        ET.SubElement(root, "rect", {"class": "paper", **_rect(at)})
        _text(root, port.label, at.x, at.y, f"label {port.style}", 8.2)
    for name, at in placed.boxes.items():
        role = sheet.roles[name]
        kind = "given" if role in GIVEN else role
        ET.SubElement(root, "rect", {"class": f"box {kind}", "rx": "4", **_rect(at)})
        y = at.y - sum(r.height for r in sheet.rows[name]) / 2
        for row in sheet.rows[name]:
            _row(root, row, at, y + row.height / 2)
            y += row.height
    for child in root:
        child.tail = "\n"
    return ET.tostring(root, encoding="unicode") + "\n"


def _row(root: ET.Element, row: Row, at: Rect, y: float) -> None:
    x = at.x
    if row.number is not None:
        _text(root, f"({row.number})", at.left + 4, y, "number", 7.5, "start")
        x += 8
    size = {"value": 8.5}.get(row.style, 10.0)
    _text(root, row.drawn, x, y, row.style, size)


def _text(
    root: ET.Element, marked: str, x: float, y: float, style: str, size: float, anchor: str = "middle"
) -> None:
    """A formula on one line, its middle at `y`."""
    text = ET.SubElement(
        root, "text", {"class": style, "x": _n(x), "y": _n(y + 0.33 * size), "text-anchor": anchor}
    )
    text.set("xml:space", "preserve")
    raised = 0.0
    for run in runs(marked):
        span = ET.SubElement(text, "tspan", _look(run, raised, size))
        span.text = run.text
        raised = run.shift


def _look(run: Run, raised: float, size: float) -> dict[str, str]:
    look = {"class": "i"} if run.slanted else {}
    if run.shift != raised:
        look["dy"] = _n((raised - run.shift) * size)
    if run.size != 1.0:
        look["font-size"] = _n(run.size * size)
    return look


def _segment(points: Segment) -> str:
    start, *rest = (f"{_n(x)} {_n(y)}" for x, y in points)
    return f"M{start}{'C' if len(rest) > 1 else 'L'}{' '.join(rest)}"


def _head(tip: Point, way: Point) -> str:
    (x, y), (dx, dy) = tip, way
    back = (x - 5.5 * dx, y - 5.5 * dy)
    left, right = (back[0] - 2.4 * dy, back[1] - 2.4 * dx), (back[0] + 2.4 * dy, back[1] + 2.4 * dx)
    return "M" + "L".join(f"{_n(a)} {_n(b)}" for a, b in (tip, left, right)) + "Z"


def _rect(r: Rect) -> dict[str, str]:
    return {"x": _n(r.left), "y": _n(r.top), "width": _n(r.width), "height": _n(r.height)}


def _n(value: float) -> str:
    return f"{round(value, 2):g}" if abs(value) < 1e5 else f"{value:.0f}"
