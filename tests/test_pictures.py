"""Pictures: the graph is what the program reads, nothing overlaps, both formats are well formed."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest
from test_explain import PROGRAMS

import symgrad as sg
from symgrad.errors import SymgradError
from symgrad.explain.picture import Drawing, drawing, layout
from symgrad.explain.picture.drawn import DRAWN, runs
from symgrad.explain.picture.graph import graph
from symgrad.explain.picture.layout import Placed, Point, Port, Rect, Segment, Wire, placed
from symgrad.explain.picture.sheet import DIRECTIONS, sheet
from symgrad.language.trace import Derived

NETWORKS = Path(__file__).resolve().parent.parent / "symgrad" / "networks"
DEEP = "x: data[n, 4]\ny: data[n, 4]\n" + "".join(
    f"h{k} = tanh(dense({f'h{k - 1}' if k else 'x'}, 4))\n" for k in range(20)
)
MORE = {
    "residual": "x: data[n, 6]\nh = relu(dense(x, 6))\nu = x + h\nloss = mean((u + relu(dense(u, 6)))**2)",
    "deep": f"{DEEP}loss = mean((h19 - y)**2)",
    **{path.stem: path.read_text("utf-8") for path in sorted(NETWORKS.glob("*.sg"))},
}
ALL = PROGRAMS | MORE


@cache
def derived(name: str) -> Derived:
    return sg.derive(ALL[name]).derived


@cache
def both(name: str) -> Drawing:
    return drawing(derived(name))


every_program = pytest.mark.parametrize("name", ALL)
every_direction = pytest.mark.parametrize("direction", DIRECTIONS)


def along(segment: Segment) -> list[Point]:
    """Points of a stroke."""
    if len(segment) == 2:
        (a, b), (c, d) = segment
        return [(a + (c - a) * t / 8, b + (d - b) * t / 8) for t in range(9)]
    p, q, r, s = segment
    out = []
    for k in range(9):
        t = k / 8
        w = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        out.append(tuple(sum(c * z[i] for c, z in zip(w, (p, q, r, s), strict=True)) for i in (0, 1)))
    return out


def faults(shown: Placed) -> list[str]:
    """What meets what it should not, or stands outside."""
    found = []
    rects = [("box", n, r) for n, r in shown.boxes.items()]
    rects += [("label", p.label, r) for p, r in shown.labels.items()]
    for k, (kind, name, r) in enumerate(rects):
        if min(r.left, r.top) < 0 or r.right > shown.width or r.bottom > shown.height:
            found.append(f"{kind} {name} stands out of the sheet")
        found += [f"{name} meets {other}" for _, other, q in rects[:k] if r.meets(q)]
    for _, segment in shown.strokes:
        for x, y in along(segment):
            if not (0 <= x <= shown.width and 0 <= y <= shown.height):
                found.append("a wire leaves the sheet")
            found += [
                f"a wire crosses {n}"
                for n, r in shown.boxes.items()
                if r.left + 0.2 < x < r.right - 0.2 and r.top + 0.2 < y < r.bottom - 0.2
            ]
    for _, (x, y), _ in shown.heads:
        on = any(
            r.left - 0.2 <= x <= r.right + 0.2
            and min(abs(y - r.top), abs(y - r.bottom), abs(x - r.right)) < 0.2
            for r in shown.boxes.values()
        )
        found += [] if on else ["an arrow points at nothing"]
    return found


# ---------------------------------------------------------------------- where things stand


@every_program
def test_nothing_overlaps(name: str) -> None:
    assert faults(both(name).sheet.placed) == []


@every_direction
@pytest.mark.parametrize("name", [*MORE, "attention"])
def test_nothing_overlaps_in_any_direction(name: str, direction: str) -> None:
    assert faults(drawing(derived(name), direction).sheet.placed) == []


def test_faults_planted() -> None:
    """The judge sees each kind of fault."""
    a, b = Rect(20, 10, 20, 10), Rect(30, 12, 20, 10)
    wire: Segment = ((20.0, 0.0), (20.0, 40.0))
    port = Port("a", "forward", "n", 9)

    def planted(**changes: object) -> list[str]:
        sound = {"boxes": {"a": a}, "labels": {}, "strokes": {}, "heads": {}}
        return faults(Placed(50, 50, **(sound | changes)))  # type: ignore[arg-type]

    assert planted() == []
    assert planted(boxes={"a": a, "b": b}) == ["b meets a"]
    assert planted(labels={port: b}) == ["n meets a"]
    assert planted(labels={port: Rect(49, 40, 9, 9)}) == ["label n stands out of the sheet"]
    assert "a wire crosses a" in planted(strokes={("forward", wire): None})
    assert planted(heads={("forward", (20.0, 30.0), (0.0, 1.0)): None}) == ["an arrow points at nothing"]


def test_layout_of_crossed_wires() -> None:
    """Boxes change places so that wires need not cross; a wire over two rows passes beside the box between."""
    sizes = dict.fromkeys("abcde", (30.0, 12.0))
    links = [("a", "d"), ("b", "c"), ("a", "e"), ("c", "e"), ("d", "e")]
    shown = placed(sizes, [Wire(Port(u, "forward", f"{u}{v}", 10), v) for u, v in links], "e")
    assert faults(shown) == []
    x = {n: shown.boxes[n].x for n in sizes}
    assert (x["a"] - x["b"]) * (x["d"] - x["c"]) > 0


def test_spread() -> None:
    assert layout.spread([5, 0], [(1, 1), (1, 1)], 0.0) == [1.5, 3.5]
    assert layout.spread([0, 0], [(1, 1), (2, 1)], 1.0, [1.0, 3.0]) == [-3.0, 1.0]


# ---------------------------------------------------------------------- what is drawn


def test_graph_is_what_is_read() -> None:
    """Two layers: who reads whom, the shapes, the equations with the numbers of the text."""
    g = graph(derived("student"))
    reads = {(r.tail, r.head) for r in g.reads}
    names = {node.symbol.text: name for name, node in g.nodes.items()}  # type: ignore[union-attr]
    z = names["z1"]
    assert {("x", z), ("W1", z), (z, "h"), ("b1", z)} <= reads
    given = ("x", "t", names["m"])  # a maximum is held: nothing flows through it
    assert all(r.backward == (r.tail not in given and r.head != names["m"]) for r in g.reads)
    text = sg.derive(ALL["student"]).text()
    assert f"({g.nodes['h'].forward[0].number})  h = " in text
    assert [str(s) for s in map(DRAWN.line, g.nodes["W1"].shape)] == [
        DRAWN.line(x) for x in g.nodes["W1"].shape
    ]
    every = sg.derive(ALL["student"]).text(detail="everything")
    assert all(f"({n.backward[0].number})" in every for n in g.nodes.values() if n.backward)


def test_recurrence_goes_round() -> None:
    """What reads its own last step has an arrow to itself; over several boxes the arrow goes up, at the step."""
    own = "x: data[n, t]\nw: weight\nh[n, -1] = 0\nh[n, s] = w*h[n, s - 1] + x[n, s]\nloss = sum(h**2)"
    g = graph(sg.derive(own).derived)
    (loop,) = [r for r in g.reads if r.tail == r.head]
    assert loop.head == "h" and DRAWN.line(loop.delay).endswith("1") and g.nodes["h"].loop == 1  # type: ignore[arg-type]
    shown = sheet(g, "both", {}).placed
    assert faults(shown) == [] and any(p.box == "h" and "1" in p.label for p in shown.labels)
    g = graph(derived("adding"))
    late = {(r.tail, r.head) for r in g.reads if r.delay is not None}
    assert len(late) == 2 and sum(tail == head for tail, head in late) == 1
    ups = [tip for _, tip, way in sheet(g, "forward", {}).placed.heads if way == (0.0, -1.0)]
    assert len(ups) == 1


def test_deep_networks_are_short() -> None:
    g = graph(derived("deep"))
    assert len(g.nodes) < 30
    alike = [n for n in g.nodes.values() if n.alike]
    assert len(alike) == 1
    whole = graph(derived("deep"), many=10**6)
    assert len([n for n in whole.nodes.values() if n.forward]) == alike[0].alike + len(
        [n for n in g.nodes.values() if n.forward]
    )
    assert "more, alike" in drawing(derived("deep"), "forward").svg


def test_numbers_in_boxes() -> None:
    text = drawing(derived("quadratic"), values={"x": [1, -2.5], "A": [[1.0] * 9]}).svg
    assert "[1, −2.5]" in text and "‖·‖ = 3" in text


@pytest.mark.parametrize("seed", range(2))
def test_same_bytes(seed: int) -> None:
    """Text does not depend on the order of hashes."""
    code = (
        "import symgrad as sg, hashlib\n"
        f"p = sg.derive({MORE['transformer']!r}).picture()\n"
        "print(hashlib.sha256((p.svg + p.tikz).encode()).hexdigest())"
    )
    env = os.environ | {"PYTHONHASHSEED": str(seed)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    p = drawing(derived("transformer"))
    assert done.stdout.strip() == hashlib.sha256((p.svg + p.tikz).encode()).hexdigest()


# ---------------------------------------------------------------------- formats


@every_program
def test_svg(name: str) -> None:
    """Well formed, with a title and a description; no script, nothing from outside, no mark of ours left."""
    text = both(name).svg
    root = ET.fromstring(text)  # noqa: S314 - our own
    kinds = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert kinds <= {"svg", "title", "desc", "style", "rect", "path", "text", "tspan"}
    assert not re.search("[\ue000-\uf8ff]|href|url\\(|@import|\\\\[a-zA-Z]", text)
    assert "".join(root.find("{*}title").itertext()) and "".join(root.find("{*}desc").itertext())  # type: ignore[union-attr]


@every_program
def test_tikz(name: str) -> None:
    """Braces balance in every line of a node, and only these macros draw."""
    for line in both(name).tikz.split("\n"):
        bare = re.sub(r"\\[{}]", "", line)
        assert bare.count("{") == bare.count("}"), line
        assert bare.count("$") in (0, 2), line
        if line.startswith("\\"):
            assert re.match(r"\\(node|draw|fill|clip|begin\{tikzpicture\}|end\{tikzpicture\})", line), line


def test_high_pictures_go_on() -> None:
    """What would be too small on one page is cut between rows: every box in exactly one part, whole."""
    sheet = both("transformer").sheet
    parts = both("transformer").tikz.split("\n\n")
    assert len(parts) > 2 and both("student").tikz.count(r"\begin{tikzpicture}") == 1
    drawn = [m for part in parts for m in re.findall(r"\\draw\[sg \w+\] \(\S+\) rectangle", part)]
    assert len(drawn) == len(sheet.placed.boxes)
    found = re.findall(r"clip \((\S+),(\S+)\) rectangle \((\S+),(\S+)\)", both("transformer").tikz)
    spans = [(float(top), float(bottom)) for _, top, _, bottom in found]
    assert len(spans) == len(parts)
    assert spans[0][0] == 0 and spans[-1][1] == sheet.placed.height
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    for box in sheet.placed.boxes.values():
        assert sum(top <= box.top and box.bottom <= bottom for top, bottom in spans) == 1


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex")
def test_tikz_compiles(tmp_path: Path) -> None:
    names = ["student", "attention", "embedding", "names", "residual", "adding", "transformer"]
    pages = "\n\\newpage\n".join(drawing(derived(n)).tikz for n in names)
    text = (
        "\\documentclass{article}\\usepackage{amsmath}\\usepackage{tikz}\n"
        f"\\begin{{document}}\n{pages}\n\\end{{document}}"
    )
    (tmp_path / "a.tex").write_text(text, "utf-8")
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    wide = [float(pt) for pt in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)]
    assert max(wide, default=0.0) < 10


def test_signs_are_escaped() -> None:
    d = sg.derive('x: data[n, 3]; h = dense(x, 2, name="a_b"); loss = sum(h**2)')
    ET.fromstring(d.picture().svg)  # noqa: S314 - our own
    assert "<script" not in sg.derive("α: weight[n]; loss = sum([α < 1]*α)").picture().svg


def test_raised_and_lowered() -> None:
    shown = [
        (r.text, round(r.shift, 2), r.slanted)
        for r in runs(DRAWN.line(graph(derived("student")).nodes["W1"].symbol))
    ]
    assert shown[0] == ("W", 0.0, True) and shown[-1][1] > 0


def test_words_that_no_picture_knows() -> None:
    with pytest.raises(SymgradError, match="direction='up'"):
        sg.derive(PROGRAMS["line"]).picture("up")


def test_second_derivatives_have_pictures() -> None:
    text = PROGRAMS["line"]
    for d in (sg.hessian(text), sg.hvp(text), sg.per_example(text), sg.jacobian("z: weight[k]; softmax(z)")):
        shown = sheet(graph(d.derived), "both", {}).placed
        assert faults(shown) == []


def test_documents_with_pictures() -> None:
    """The graph stands in front of the equations; LaTeX loads what it needs."""
    d = sg.derive(PROGRAMS["line"])
    page = d.html(picture="forward")
    assert page.index("<svg") < page.index(">Forward<") and "from X, w and y to L." in page
    whole = d.document(picture="both").latex(fragment=False)
    assert r"\usepackage{tikz}" in whole and whole.count(r"\begin{tikzpicture}") == 1
    assert r"\usepackage{tikz}" not in d.latex(fragment=False)
    with pytest.raises(SymgradError, match="direction='up'"):
        d.html(picture="up")


def test_worked_pictures_have_numbers() -> None:
    """Values and gradients stand in the boxes, sizes on the wires."""
    d = sg.derive(PROGRAMS["line"])
    w = d.worked(X=[[1, 2], [3, 4], [5, 6]], y=[1, 2, 3], w=[0.5, -0.5])
    text = w.picture().svg
    assert f"[{', '.join(f'{x:.4g}' for x in w.gradients['w'])}]".replace("-", "−") in text
    assert "[0.5, −0.5]" in text and "3 × 2" in text and f"{w.loss:.4g}" in text
    assert faults(w.picture().sheet.placed) == []
    page = d.worked(X=[[1, 2]], y=[1], w=[1, 2], picture="backward").html()
    assert page.count("<svg") == 1
