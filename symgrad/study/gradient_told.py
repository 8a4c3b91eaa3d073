"""What is told of the error gradient: from the numbers that `gradient` measured to prose, tables and plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.errors import listing
from symgrad.study import gradient_plots as draw
from symgrad.study.report import Part, Plot, Report, paragraph, rows
from symgrad.study.setting import Setting

if TYPE_CHECKING:
    from symgrad.study.gradient import Gradients
    from symgrad.study.way import Way

_STRAIGHT = 10  # degrees: what turns less hardly turns
_KEPT = 90  # percent of a promise: what keeps more is kept
_NOTHING = 1e-12  # of the gradient: a part that is rounding
_SAME = 1e-9  # of a length: rounding
_ROUNDED = 1e-11  # of the loss: a change of it that is mostly rounding


def report(setting: Setting, g: Gradients, optimizer: Any) -> Report:
    """The report of what was measured."""
    plain = g.way.batch is None and optimizer == "sgd"
    chosen = sorted({0, len(g.steps) // 2, len(g.steps) - 1})
    parts: list[Part] = [
        paragraph(setting.described, *_training(g, optimizer)),
        rows("The gradient over training", *_course(g)),
        paragraph(*_lengths(g)),
        Plot(
            "course",
            "Loss and length of the gradient",
            "On all examples, at the measured steps.",
            lambda f: draw.course(f, g),
        ),
        paragraph(*_turns(g, plain)),
        Plot(
            "directions",
            "Where the gradient points",
            "Angles in degrees; at 90 two directions have nothing in common.",
            lambda f: draw.directions(f, g),
        ),
        rows("The decrease of the loss by a step η along −g", *_promises(g)),
        paragraph(*_kept(g)),
        Plot(
            "promises",
            "What a step along −g keeps of its promise",
            "The decrease of the loss in percent of η|g|²: by gradient and Hessian H, and measured; below 0 it rises.",
            lambda f: draw.promises(f, g),
        ),
    ]
    if not plain and len(g.steps) > 1:
        parts += [rows("The decrease by the step that was taken", *_steps(g)), paragraph(*_moved(g))]
    parts += [
        rows("The largest parts of the gradient", *_parts(g, chosen)),
        paragraph(*_shares(g, chosen)),
        Plot(
            "parts",
            "The largest parts",
            "Entries of the gradient by the names of their weights; a step goes against them.",
            lambda f: draw.parts(f, g, chosen),
            (7.2, 2.8),
        ),
    ]
    if len(g.layers) > 1:
        parts += [
            rows("Norms by layer, and their shares of |g|²", *_layers(g, chosen)),
            paragraph(*_by_layer(g)),
            Plot(
                "layers",
                "The gradient by layer",
                "The norm of each layer's part.",
                lambda f: draw.layers(f, g),
            ),
        ]
    return Report(f"The error gradient of {setting.name}", g, [p for p in parts if p != paragraph()])


def number(x: float) -> str:
    """Three digits; nothing for what does not exist.

    >>> number(0.012345), number(-1234.5), number(float("nan")), number(-0.0)
    ('0.0123', '-1.23e+03', '', '0')
    """
    return "" if np.isnan(x) else f"{x + 0.0:.3g}"  # no minus before a zero


def _degrees(x: float) -> str:
    return "" if np.isnan(x) else f"{x:.1f}"


def _times(count: int, of: int, one: str = "step") -> str:
    """`3 of 20 steps`."""
    return f"{count} of {of} {one}{'s' if of != 1 else ''}"


def trained_how(w: Way, optimizer: Any) -> Iterator[str]:
    """How the training went, in sentences."""
    steps, rates = int(w.at[-1]), w.rates
    rate = f"η = {rates[0]:g}" if len(set(rates)) == 1 else f"η from {rates.min():.3g} to {rates.max():.3g}"
    batch = f"mini-batches of {w.batch}" if w.batch else "all examples at each step"
    name = optimizer if isinstance(optimizer, str) and optimizer.isidentifier() else "the given optimiser"
    yield f"Trained with {name}, {rate}, {batch}: {steps} steps."
    if steps < w.planned:
        yield f"Of {w.planned} steps only {steps} count: then the weights ran away. The rate is too large here."


def _training(g: Gradients, optimizer: Any) -> Iterator[str]:
    yield from trained_how(g.way, optimizer)
    yield f"g is the gradient of the loss on all of the data, at {len(g.steps)} points; angles are in degrees."


def _course(g: Gradients) -> tuple[list[str], list[list[str]]]:
    columns = ["step", "loss", "|g|", "turned", "to the end", "step off −g", "batch off g"]
    values = [g.turns, g.ends, g.strays, g.batches]
    seen = [np.isfinite(v).any() for v in values]
    lines = [
        [str(k), f"{g.losses[i]:.4g}", number(g.norms[i])]
        + [_degrees(v[i]) for v, s in zip(values, seen, strict=True) if s]
        for i, k in enumerate(g.steps)
    ]
    return columns[:3] + [c for c, s in zip(columns[3:], seen, strict=True) if s], lines


def _lengths(g: Gradients) -> Iterator[str]:
    first, last = float(g.norms[0]), float(g.norms[-1])
    if not first:
        yield "The gradient is 0 at the start, so that no step moves the weights."
        return
    top = int(np.nanargmax(g.norms))
    times = (
        f"{number(first / last)} times shorter"
        if 0 < last < first
        else f"{number(last / first)} times longer"
    )
    became = f"became {times}," if last and last != first else "went"
    yield (
        f"The gradient's length {became} from {number(first)} to {number(last)}, while the loss went from "
        f"{number(g.losses[0])} to {number(g.losses[-1])}."
    )
    if 0 < top < len(g.norms) - 1 and g.norms[top] > 1.2 * max(first, last):
        yield f"It was longest at step {g.steps[top]}, {number(float(g.norms[top]))}."


def _turns(g: Gradients, plain: bool) -> Iterator[str]:
    turns, ends, strays, batches = (v[np.isfinite(v)] for v in (g.turns, g.ends, g.strays, g.batches))
    if turns.size:
        back = int(np.sum(turns > 90))
        if back:
            yield (
                f"In {_times(back, turns.size, 'measured step')} the gradient turned by more than 90 degrees: "
                + (
                    "the steps overshoot; they jump across the valley that they should go along."
                    if back > turns.size / 4
                    else "there a step overshot."
                )
            )
        elif turns.max() < _STRAIGHT:
            yield (
                f"No step turned the gradient by more than {turns.max():.1f} degrees: steps are short for this loss, "
                "and the way bends slowly."
            )
        else:
            yield (
                f"A step turns the gradient by {float(np.median(turns)):.1f} degrees (median), by {turns.max():.1f} "
                "at most: none overshot."
            )
    if ends.size:
        away = int(np.sum(ends > 90))
        yield (
            f"−g and the straight way to the end of training are {_degrees(float(ends[0]))} degrees apart at the start "
            f"and {_degrees(float(ends[-1]))} at the last point before the end"
            + (f"; at {_times(away, ends.size, 'point')} −g even leads away from there." if away else ".")
        )
        ratio = g.way.length / (float(np.linalg.norm(g.way.end - g.way.weights[0])) or np.nan)
        if ratio >= 1 - _SAME:
            yield f"The way is {ratio:.2f} times as long as the straight line from start to end" + (
                ": it is almost straight."
                if ratio < 1.1
                else ": much of it goes to and fro."
                if ratio > 3
                else "."
            )
    if strays.size and not plain:
        up = int(np.sum(strays > 90))
        yield (
            f"The steps taken are {_degrees(float(np.median(strays)))} degrees off −g (median), "
            + (f"{_times(up, strays.size)} uphill by g." if up else "all of them downhill by g.")
        )
    if batches.size:
        yield (
            f"The gradient of a mini-batch of {g.way.batch} is {_degrees(float(batches[0]))} degrees off that of all "
            f"examples at the start and {_degrees(float(batches[-1]))} at the end"
            + (": late in training it is mostly noise." if batches[-1] > 60 > batches[0] else ".")
        )


def _promises(g: Gradients) -> tuple[list[str], list[list[str]]]:
    a = g.along
    lines = [
        [
            str(k),
            number(g.way.rates[i]),
            number(a.first[i]),
            number(a.second[i]),
            number(a.real[i]),
            _percent(a.real[i], a.first[i]),
            number(g.curvatures[i]),
            number(2 / g.curvatures[i]) if g.curvatures[i] > 0 else "none",
        ]
        for i, k in enumerate(g.steps)
    ]
    return ["step", "η", "by g: η|g|²", "by g and H", "measured", "kept", "bend κ", "limit 2/κ"], lines


def _percent(real: float, promised: float) -> str:
    return f"{100 * real / promised:.0f} %" if promised > 0 and np.isfinite(real) else ""


def _kept(g: Gradients) -> Iterator[str]:
    a, rates, bends = g.along, g.way.rates, g.curvatures
    seen = np.isfinite(a.real) & (a.first > 0)
    if not seen.any():
        return
    count = int(seen.sum())
    yield (
        "The bend κ = g·Hg/g·g is the curvature of the loss along g: by g and H the loss falls by η|g|²(1 − ηκ/2), "
        "most at η = 1/κ, and rises beyond 2/κ."
    )
    beyond = seen & (rates * bends > 2)
    rose = seen & (a.real < -_ROUNDED * np.abs(g.losses))
    if beyond.any():
        yield (
            f"At {_times(int(beyond.sum()), count, 'point')} η is beyond 2/κ, and the loss was measured to rise at "
            f"{int((beyond & rose).sum())} of these."
        )
    if rose.any():
        yield f"A step η along −g raises the loss at {_times(int(rose.sum()), count, 'point')}."
    else:
        kept = 100 * a.real[seen] / a.first[seen]
        low, high = f"{kept.min():.0f}", f"{kept.max():.0f}"
        yield (
            f"Of what g alone promises a step keeps {low if low == high else f'between {low} and {high}'} %"
            + (
                ": η is short against the bends of the loss."
                if kept.min() > _KEPT
                else ": curvature takes the rest."
            )
        )
    clear = seen & (np.abs(a.real) > 1e-9 * np.abs(g.losses))
    if clear.any():
        off = 100 * np.abs(a.second - a.real)[clear] / np.maximum(np.abs(a.real), np.abs(a.first))[clear]
        middle, most = (f"{x:.2g}" if x < 100 else f"{x:.0f}" for x in (float(np.median(off)), off.max()))
        yield f"With the Hessian the prediction is off by {middle} % (median), {most} % at most" + (
            ": along these steps the loss is a parabola."
            if off.max() < 1e-4
            else ": so long a step leaves the region that the parabola tells of."
            if np.median(off) > 30
            else "."
        )
    up = seen & (bends > 0)
    best = float(np.median(1 / (rates[up] * bends[up]))) if up.any() else 1.0
    if not 0.67 < best < 1.5:
        yield f"The step that is best along −g by the parabola, 1/κ, is {number(best)} times η (median)."
    down = int((seen & (bends < 0)).sum())
    if down:
        yield (
            f"At {_times(down, count, 'point')} the loss bends down along g: a longer step gains more than in "
            "proportion."
        )


def _steps(g: Gradients) -> tuple[list[str], list[list[str]]]:
    t = g.taken
    lines = [
        [str(k), _degrees(g.strays[i]), number(t.first[i]), number(t.second[i]), number(t.real[i])]
        for i, k in enumerate(g.steps[:-1])
    ]
    return ["step", "off −g", "by g: −g·s", "by g and H", "measured"], lines


def _moved(g: Gradients) -> Iterator[str]:
    t = g.taken
    seen = np.isfinite(t.real)
    rose = seen & (t.real < 0)
    yield (
        f"s is the step that the optimiser took. It raised the loss on all of the data in "
        f"{_times(int(rose.sum()), int(seen.sum()), 'measured step')}"
        + (", the price of looking at a few examples at a time." if rose.any() and g.way.batch else ".")
    )
    clear = seen & (np.abs(t.real) > 1e-9 * np.abs(g.losses))
    if clear.any():
        right = int(np.sum(np.sign(t.second[clear]) == np.sign(t.real[clear])))
        yield (
            "Gradient and Hessian told beforehand whether the loss would fall or rise in "
            f"{_times(right, int(clear.sum()))}."
        )


def _parts(g: Gradients, chosen: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    lines = [
        [cell for k in chosen for cell in (g.largest[k][j][0], number(g.largest[k][j][1]))]
        for j in range(len(g.largest[0]))
    ]
    return [cell for k in chosen for cell in (f"step {g.steps[k]}", "∂L/∂w")], lines


def _shares(g: Gradients, chosen: Sequence[int]) -> Iterator[str]:
    count = g.gradients.shape[1]
    if count < 20 or not np.isfinite(g.share[0]):
        return
    size = max(1, count // 100)
    many = (
        f"the largest {size} of {count} entries make" if size > 1 else f"the largest of {count} entries makes"
    )
    told = [f"{100 * g.share[k]:.0f} % at step {g.steps[k]}" for k in chosen if np.isfinite(g.share[k])]
    yield f"Of |g|² {many} {listing(told)}."
    first, last = {n for n, _ in g.largest[0]}, {n for n, _ in g.largest[-1]}
    stay = len(first & last)
    are = "is" if stay <= 1 else "are"
    yield f"Of the {len(first)} largest at the start {stay or 'none'} {are} among those at the end."


def _layers(g: Gradients, chosen: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    lines = [
        [
            name,
            ", ".join(n for n in members),
            *(number(g.layers[name][k]) for k in chosen),
            _part(g, name, chosen[0]),
            _part(g, name, chosen[-1]),
        ]
        for name, members in g.members.items()
    ]
    at = [f"step {g.steps[k]}" for k in chosen]
    return ["layer", "weights", *at, "first share", "last share"], lines  # fmt: skip


def _part(g: Gradients, name: str, k: int) -> str:
    return _percent(float(g.layers[name][k] ** 2), float(g.norms[k] ** 2))


def _by_layer(g: Gradients) -> Iterator[str]:
    first, last = (
        {n: float(v[k]) for n, v in g.layers.items() if v[k] > _NOTHING * g.norms[k]} for k in (0, -1)
    )
    if len(first) > 1:
        high, low = max(first, key=first.__getitem__), min(first, key=first.__getitem__)
        ratio = number(first[high] / first[low])
        yield f"At the start the gradient is longest in {high}, {ratio} times as long as in {low}."
        if last and (top := max(last, key=last.__getitem__)) != high:
            yield f"At the end it is longest in {top}."
        elif last:
            yield "It still is at the end."
    silent = [n for n, v in g.layers.items() if not v.any()]
    if silent:
        yield f"No error reaches {listing(silent)}: the gradient is 0 there at every point."
