"""A graph as a sheet to be drawn: what stands in each box and on each wire, in both scripts, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import zip_longest
from typing import Any

import numpy as np

from symgrad.errors import listing
from symgrad.explain.breaking import fold
from symgrad.explain.formula import Derivative, Entry, Formula
from symgrad.explain.latex import LATEX
from symgrad.explain.names import escape
from symgrad.explain.picture import layout
from symgrad.explain.picture.drawn import DRAWN, width
from symgrad.explain.picture.graph import Graph, Node, Read, Shown
from symgrad.explain.picture.layout import Placed, Port, Wire
from symgrad.explain.scripts import TEXT

DIRECTIONS = ("forward", "backward", "both")
_WIDE, _ROWS = 190.0, 3  # of an equation in a box; longer ones end in dots
_PAD, _NUMBER = 9.0, 21.0
_TALL = {r"\begin": 40.0, r"\substack": 24.0, r"\frac": 18.0, r"\sum": 16.0}  # a row, by what stands in it
_LOW = 14.0
_FEW = 6  # numbers that are shown one by one


@dataclass(frozen=True)
class Row:
    """One line in a box: as text with the marks of `drawn`, and as LaTeX for math mode."""

    drawn: str
    latex: str
    style: str = "forward"
    number: str | None = None
    height: float = _LOW

    @property
    def width(self) -> float:
        inner = max(width(self.drawn), 1.08 * LATEX.width(self.latex))
        return inner + (_NUMBER if self.number is not None else 0.0)


@dataclass(frozen=True)
class Sheet:
    """What printers draw.

    Attributes:
        rows: of each box, downwards.
        roles: of each box.
        latex: the LaTeX of each label that stands on a wire.
        title, caption, words: what is seen, for those who cannot see it; shorter and longer.
    """

    placed: Placed
    rows: Mapping[str, tuple[Row, ...]]
    roles: Mapping[str, str]
    latex: Mapping[str, str]
    title: str
    caption: str
    words: str


@dataclass
class _Writer:
    graph: Graph
    direction: str
    values: Mapping[str, Any]
    latex: dict[str, str] = field(default_factory=dict)

    def rows(self, node: Node) -> tuple[Row, ...]:
        """What stands in a box: the equations, or the name of what is given; then numbers."""
        if node.alike:
            words = f"⋮ {node.alike} more, alike ⋮"
            return (Row(words, rf"\vdots\ \text{{{node.alike} more, alike}}\ \vdots"),)
        out: list[Row] = []
        if node.forward:
            for shown in node.forward:
                out += _equation(shown, "forward")
        else:
            out.append(Row(DRAWN.line(node.symbol), LATEX.line(node.symbol)))
        out += self.numbers(node.tensors[0])
        if self.direction != "forward":
            for shown in node.backward:
                out += _equation(shown, "backward")
            out += self.numbers(node.tensors[1])
        return tuple(out)

    def numbers(self, name: str) -> Sequence[Row]:
        if name not in self.values:
            return ()
        text = numbers(self.values[name])
        return (Row(text, rf"\text{{{escape(text)}}}", "value", height=12.0),)

    def label(self, drawn: str, latex: str) -> str:
        self.latex[drawn] = latex
        return drawn

    def port(self, box: str, style: str, label: str) -> Port:
        wide = max(0.82 * width(label), 0.9 * LATEX.width(self.latex[label])) if label else 0.0
        return Port(box, style, label, round(wide, 2))

    def size(self, read: Read) -> str:
        """The shape of what is read; inside a loop, of one step."""
        node = self.graph.nodes[read.tail]
        if node.alike:
            return ""
        shape = [n for k, n in enumerate(node.shape) if not (read.inside and k == node.loop)]
        if not shape:
            return self.label("scalar", r"\text{scalar}")
        return self.label(" × ".join(map(DRAWN.line, shape)), r" \times ".join(map(LATEX.line, shape)))

    def step(self, read: Read) -> str:
        """The value of another step."""
        assert read.delay is not None
        at: Formula = Entry(self.graph.nodes[read.tail].symbol, (read.delay,))
        return self.label(DRAWN.line(at), LATEX.line(at))

    def signal(self, read: Read) -> str:
        signal = self.graph.nodes[read.tail].signal
        if signal is None:
            return ""
        latex = LATEX.line(signal)
        if isinstance(signal, Derivative) and not isinstance(signal.top, Derivative):  # low enough for a wire
            latex = rf"\partial {LATEX.line(signal.top)} / \partial {LATEX.line(signal.bottom)}"
        return self.label(DRAWN.line(signal), latex)

    def wires(self) -> list[Wire]:
        """Forward wires, and those of error signals beside them."""
        order = {name: k for k, name in enumerate(self.graph.nodes)}
        out: list[Wire] = []
        for r in self.graph.reads:
            late = order[r.tail] >= order[r.head]  # read at another step, when it is there
            upper, lower = (r.head, r.tail) if late else (r.tail, r.head)
            if self.direction != "backward":
                label = self.step(r) if r.delay is not None else self.size(r)
                out.append(Wire(self.port(upper, "forward", label), lower, up=late))
            if (
                self.direction != "forward"
                and r.backward
                and (r.tail != r.head or self.direction == "backward")
            ):
                out.append(Wire(self.port(upper, "backward", self.signal(r)), lower, up=not late))
        return list(dict.fromkeys(out))


def sheet(graph: Graph, direction: str, values: Mapping[str, Any]) -> Sheet:
    """Lay out a graph.

    Args:
        direction: one of `DIRECTIONS`.
        values: numbers of tensors, adjoints too, by name.
    """
    writer = _Writer(graph, direction, values)
    rows = {name: writer.rows(node) for name, node in graph.nodes.items()}
    wires = writer.wires()
    sizes = {
        name: (max(r.width for r in own) + 2 * _PAD, sum(r.height for r in own) + _PAD)
        for name, own in rows.items()
    }
    placed = layout.placed(sizes, wires, graph.target)
    title = {
        "forward": "Computational graph",
        "backward": "Error signals, backward over the computational graph",
        "both": "Computational graph with the error signals that flow back",
    }[direction]
    roles = {name: node.role for name, node in graph.nodes.items()}
    given = listing(TEXT.line(n.symbol) for n in graph.nodes.values() if not n.forward and not n.alike)
    caption = f"{title}: from {given} to {TEXT.line(graph.nodes[graph.target].symbol)}."
    return Sheet(placed, rows, roles, writer.latex, title, caption, _words(graph, direction))


def _equation(shown: Shown, style: str) -> list[Row]:
    """An equation in a few lines."""
    left, head = DRAWN.line(shown.left), LATEX.line(shown.left)
    drawn = fold(DRAWN.write(shown.right), _WIDE, width(left) + 14.0, 12.0)
    latex = fold(LATEX.write(shown.right), _WIDE, LATEX.width(head) + 11.0, 12.0)
    drawn, latex = _cut(drawn, " …"), _cut(latex, r" \cdots")
    drawn[0], latex[0] = f"{left} = {drawn[0]}", f"{head} = {latex[0]}"
    return [
        Row(a, b, style, shown.number if k == 0 else None, _tall(b))
        for k, (a, b) in enumerate(zip_longest(drawn, latex, fillvalue=""))
    ]


def _tall(latex: str) -> float:
    """How high a row of running text is."""
    return next((h for sign, h in _TALL.items() if sign in latex), _LOW)


def _cut(lines: list[str], dots: str) -> list[str]:
    return lines if len(lines) <= _ROWS else [*lines[: _ROWS - 1], lines[_ROWS - 1] + dots]


def numbers(value: Any) -> str:
    """Few numbers as they are, many by their norm.

    >>> numbers([0.25, -1]), numbers([[1.0] * 9])
    ('[0.25, −1]', '‖·‖ = 3')
    """
    flat = np.ravel(np.asarray(value, dtype=object))
    if len(flat) > _FEW:
        return f"‖·‖ = {_short(float(np.linalg.norm(flat.astype(float))))}"
    text = np.array2string(
        np.asarray(value, dtype=object), formatter={"all": _short}, separator=", ", max_line_width=10**6
    )
    return " ".join(text.split())


def _short(value: object) -> str:
    text = str(value) if isinstance(value, Fraction) else f"{float(value):.4g}"  # type: ignore[arg-type]
    return text.replace("-", "−")


def _words(graph: Graph, direction: str) -> str:
    """The picture in words."""
    parts = []
    for node in graph.nodes.values():
        shape = " × ".join(map(TEXT.line, node.shape)) or "scalar"
        name = TEXT.line(node.symbol)
        if node.alike:
            parts.append(f"{node.alike} more like those before")
        elif node.forward:
            parts += [f"{TEXT.line(s.left)} = {TEXT.line(s.right)}" for s in node.forward]
        else:
            parts.append(f"{name} ({node.role}, {shape})")
        if direction != "forward":
            parts += [f"{TEXT.line(s.left)} = {TEXT.line(s.right)}" for s in node.backward]
    return "; ".join(parts) + "."
