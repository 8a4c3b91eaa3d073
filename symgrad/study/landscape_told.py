"""What is told of the loss as a landscape: from the numbers that `landscape` measured to prose, tables and plots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.study import landscape_plots as draw
from symgrad.study.gradient_told import number, trained_how
from symgrad.study.report import Part, Plot, Report, paragraph, rows
from symgrad.study.setting import Setting

if TYPE_CHECKING:
    from symgrad.study.landscape import Landscape, Line, Plane

_SHOWN = 9  # points of the path in the table


def report(setting: Setting, found: Landscape, optimizer: Any) -> Report:
    """The report of what was measured."""
    parts: list[Part] = [paragraph(setting.described, *trained_how(found.way, optimizer))]
    if found.lines:
        parts += [
            rows("Along the negative gradient: the loss at w − t·g", *_lines(found)),
            paragraph(*(s for line in found.lines for s in _line(line))),
            Plot(
                "lines",
                "The loss along −g",
                "The parabola has the loss's slope and bend at t = 0; where both agree, these tell the loss.",
                lambda f: draw.lines(f, found),
                (7.2, 3.2),
            ),
        ]
    else:
        parts.append(paragraph("The gradient is 0 at the start and at the end: there is no way along it."))
    plane = found.plane
    if plane is None:
        parts.append(paragraph("A plane takes two weights and a path that moves: there is none here."))
    else:
        parts += [
            rows("The path of training in the plane", *_path(found, plane)),
            paragraph(*_plane(plane), *_straight(found)),
            Plot(
                "plane",
                "The loss in a plane, and the path of training",
                "Lines of equal loss, labelled; light is low. What is darkest lies above all that the labels say.",
                lambda f: draw.plane(f, plane),
                (7.2, _height(plane)),
            ),
        ]
    return Report(f"The loss landscape of {setting.name}", found, parts)


def _height(p: Plane) -> float:
    """Of the plot, in inches: its axes have equal units, where they have units."""
    wide, high = float(np.ptp(p.xs)), float(np.ptp(p.ys))
    return 5.2 if p.kind == "random" else min(6.4, 6.4 * high / wide + 0.7)


def _lines(found: Landscape) -> tuple[list[str], list[list[str]]]:
    columns = ["step", "loss", "|g|", "bend κ", "η", "loss at η", "best t", "1/κ", "loss at best t"]
    lines = [
        [
            str(line.step),
            number(float(line.losses[0])),
            number(line.norm),
            number(line.curvature),
            number(line.rate),
            number(line.after),
            number(line.best),
            number(1 / line.curvature) if line.curvature > 0 else "none",
            number(line.lowest),
        ]
        for line in found.lines
    ]
    return columns, lines


def _line(line: Line) -> Iterator[str]:
    start = float(line.losses[0])
    could, did = start - line.lowest, start - line.after
    if not could > 1e-12 * abs(start):
        yield f"At step {line.step} no step along −g lowers the loss by more than rounding."
        return
    if did >= 0:
        said = f"a step η along −g brings {100 * did / could:.0f} % of what is to be had on that line"
    else:
        said = f"a step η along −g raises the loss, to {number(line.after) or 'what is no number'}"
    yield f"At step {line.step} {said}; the best step is {number(line.best / line.rate)} times as long."
    if line.curvature > 0:
        guess = line.curvature * line.best
        if not 0.8 < guess < 1.25:
            yield (
                f"The parabola puts it at 1/κ, {number(1 / guess)} times as far: the bend changes along the way."
            )
    else:
        yield "The loss bends down along −g there, so that the parabola has no lowest point."


def _path(found: Landscape, p: Plane) -> tuple[list[str], list[list[str]]]:
    chosen = np.unique(np.linspace(0, len(p.path) - 1, _SHOWN).round().astype(int))
    lines = [
        [
            str(found.way.at[k]),
            number(float(p.path[k, 0])),
            number(float(p.path[k, 1])),
            number(float(p.over[k])),
            number(float(p.under[k])),
        ]
        for k in chosen
    ]
    return ["step", "x", "y", "loss on the path", "nearest in the plane"], lines


def _plane(p: Plane) -> Iterator[str]:
    what = {
        "path": "The plane holds the two leading principal directions of the path, and its end",
        "random": "The plane has two drawn directions, their parts as long as the weights of each unit, and the end",
        "gradient": "The plane has the gradient at the start and the sharpest direction there",
    }[p.kind]
    share = 100 * p.share
    digits = f"{share:.0f}" if 1 <= share < 99 else f"{share:.3g}"
    where = "the start" if p.kind == "gradient" else "its end"
    yield f"{what}: {digits} % of the squared distances of the path from {where}."
    both = np.isfinite(p.over) & np.isfinite(p.under)
    off = np.abs(p.under - p.over)[both]
    span = float(p.over[both].max() - p.over[both].min()) if both.any() else 0.0
    if span:
        part = 100 * float(off.max()) / span
        yield (
            "At the points of the plane nearest to the path the loss differs from the loss on the path by at most "
            f"{f'{part:.0f}' if part >= 10 else f'{part:.2g}'} % of its range"
            + (
                ", so that the picture tells of the path."
                if part < 10
                else ": the path runs partly outside of the plane."
            )
        )
    finite = p.losses[np.isfinite(p.losses)]
    end = float(p.over[-1])
    if finite.size and finite.min() < end - 1e-3 * span:
        yield (
            f"The lowest loss on the grid is {number(float(finite.min()))}, below the {number(end)} of the end: "
            "training had not arrived."
        )
    elif finite.size:
        yield f"Nowhere on the grid is the loss lower than at the end, {number(end)}."
    if finite.size < p.losses.size:
        yield f"At {p.losses.size - finite.size} of {p.losses.size} points the loss is no finite number."


def _straight(found: Landscape) -> Iterator[str]:
    s = found.straight
    if not np.isfinite(s).all():
        return
    top, span = float(s.max()), abs(float(s[0] - s[-1])) or abs(float(s[0])) or 1.0
    over = top - max(float(s[0]), float(s[-1]))
    if over > 1e-3 * span:
        yield (f"On the straight line from start to end the loss climbs over a barrier of {number(over)}.")
    elif (np.diff(s) <= 1e-9 * span).all():
        yield "On the straight line from start to end the loss falls all the way."
    else:
        yield "On the straight line from start to end is no barrier, though the loss does not fall all the way."
