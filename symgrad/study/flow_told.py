"""What is told of the flow of error signals: from what was measured to prose, tables and plots."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from symgrad.errors import listing
from symgrad.study import flow_plots
from symgrad.study.named import Named
from symgrad.study.report import Part, Plot, Report, paragraph, rows
from symgrad.study.setting import Setting
from symgrad.study.signals import NEAR, SPREAD, Signal, rms

if TYPE_CHECKING:
    from symgrad.study.flow import Flow, Level

_LINES = 24  # of the table by layer at most
_EXACT = 1e-9


def number(x: float) -> str:
    """Three digits, as they are read in a sentence.

    >>> number(0.5), number(1.2e-11), number(1153.0)
    ('0.5', '1.2e-11', '1150')
    """
    if x == 0 or 0.01 <= abs(x) < 1e4 or not np.isfinite(x):
        return f"{float(f'{x:.3g}'):g}"
    return re.sub(r"\.?0*e([+-])0?", r"e\1", f"{x:.2e}").replace("e+", "e")


def cell(x: float) -> str:
    """Three digits, as they stand below one another.

    >>> cell(0.5), cell(1.2e-11), cell(1153.0), cell(float("nan"))
    ('0.500', '1.20e-11', '1153', '')
    """
    if np.isnan(x):
        return ""
    if x == 0 or not np.isfinite(x):
        return f"{x:g}"
    if 0.01 <= abs(x) < 1e4:
        return f"{x:#.3g}" if abs(x) < 100 else f"{x:.0f}"
    return re.sub(r"e([+-])0?", r"e\1", f"{x:.2e}").replace("e+", "e")


def factor(x: float) -> str:
    """A factor a layer.

    >>> factor(0.31512), factor(1e-5)
    ('0.315', '1.0e-05')
    """
    if np.isnan(x):
        return ""
    return f"{x:.3f}" if 1e-3 <= x < 1e3 or x == 0 else f"{x:.1e}"


def off(x: float) -> str:
    """A relative error: what is rounding has one digit."""
    return "" if np.isnan(x) else f"{x:.0e}".replace("e-0", "e-") if x else "0"


def start_of(gain: float) -> str:
    """The start with weights of the variance gain²/fan_in, for square matrices.

    >>> start_of(2**0.5), start_of(1.0), start_of(10.4)
    ('he()', 'lecun()', 'lecun(10.4)')
    """
    if abs(gain / 2**0.5 - 1) < 0.01:
        return "he()"
    return "lecun()" if abs(gain - 1) < 0.01 else f"lecun({gain:.3g})"


# ---------------------------------------------------------------------- chains


def of_chains(r: Flow, chosen: int | None) -> Report:
    """The report on chains of layers; `chosen` is told layer by layer."""
    shown = r.signals[_farthest(r.signals) if chosen is None else chosen]
    parts: list[Part] = [
        paragraph(*_setup(r)),
        paragraph(*_rule(r, shown)),
        rows("Each combination", *_combinations(r)),
        paragraph(*_criterion(r)),
        Plot(
            "signal", "The error signal on its way back", _alt_signal(r), lambda f: flow_plots.signals(f, r),
            size=(7.2, 4.6),
        ),
        rows("The start that keeps the error signal level", *_levels(r)),
        *(paragraph(*_told_of(r, level)) for level in r.levels),
        Plot(
            "gains", "The factor a layer by the size of the weights", _ALT_GAINS, lambda f: flow_plots.gains(f, r),
            size=(7.2, 4.4),
        ),
        rows(f"Layer by layer: {flow_plots.said(r, shown)}", *_layers(shown)),
        paragraph(_LAYERS),
        Plot(
            "factors", "What each layer multiplies by, measured and predicted", _ALT_FACTORS,
            lambda f: flow_plots.factors(f, r), size=(7.2, 1.1 + 2.1 * (1 + (len(flow_plots.activations(r)) - 1) // 3)),
        ),
        Plot(
            "activations", "The activations on their way forward", _ALT_ACTIVATIONS,
            lambda f: flow_plots.forward(f, r), size=(7.2, 4.2),
        ),
    ]  # fmt: skip
    return Report("The flow of the error signal", r, parts)


def _farthest(signals: Sequence[Signal]) -> int:
    return int(np.argmax(np.nan_to_num([abs(np.log(s.factor)) for s in signals], nan=-1)))


def _setup(r: Flow) -> Iterator[str]:
    depths, widths = (
        listing(map(str, sorted({getattr(s, what) for s in r.signals})), "or") for what in ("depth", "width")
    )
    yield (
        f"Networks of {depths} hidden layers of {widths} units, z = h @ W + b and h = f(z), with ten classes and the "
        f"softmax cross-entropy at the end; on {r.data}; biases 0, start with seed {r.seed}."
    )
    yield (
        "The error signal of a layer is ∂L/∂z, the gradient of the loss by its pre-activations; its size is the root "
        "of the sum of squares, over all units and examples."
    )


def _rule(r: Flow, s: Signal) -> Iterator[str]:
    yield (
        "On its way back each layer multiplies it by its Jacobian, ∂L/∂z = ∂L/∂z' @ ∂z'/∂z, slopes of the activation "
        f"times weights. Derived, for {s.activation}: ∂z'/∂z = {r.jacobians[s.activation]}."
    )
    finite = [x for x in r.signals if x.name != "not finite"]
    if not finite:
        return
    worst = max(float(x.deviation.max()) for x in finite)
    yield (
        "The error signal that is measured in each layer is compared with that of the output layer times all derived "
        f"Jacobians from there back, example by example; it differs by {worst:.1e} of its length at most."
    )
    if worst > _EXACT:
        residual = max(float(x.residual.max()) for x in finite)
        yield (
            "Where it differs, so little is left of the signal that it is rounding: slopes that are 0 to the last "
            "digit, or sums that cancel. Each layer by itself, from the measured signal of the next, is right to "
            f"{residual:.1e} of what could pass."
            if residual < _EXACT
            else f"That is more than rounding: each layer by itself differs by {residual:.1e} of what could pass."
        )


def _combinations(r: Flow) -> tuple[list[str], list[list[str]]]:
    several = flow_plots.several(r)
    columns = [
        "row",
        "activation",
        "start",
        *several,
        "factor a layer",
        "left at layer 1",
        "last h",
        "name",
        "off",
    ]
    lines = [
        [
            str(k + 1),
            s.activation,
            s.start,
            *(str(getattr(s, what)) for what in several),
            factor(s.factor),
            cell(s.signal[0] / s.signal[-2]),
            cell(s.activations[-1]),
            s.name,
            off(np.max(s.deviation)),
        ]
        for k, s in enumerate(r.signals)
    ]
    return columns, lines


def _criterion(r: Flow) -> Iterator[str]:
    deepest = max(s.depth for s in r.signals)
    yield (
        "Factor a layer: of the error signal from one hidden layer to the one before, by a straight line through the "
        f"logarithms. Below {NEAR} it is named vanishing ({NEAR ** (deepest - 1):.2g} is left after {deepest} layers), "
        f"above {1 / NEAR:.2f} exploding ({NEAR ** (1 - deepest):.2g} times), between level, but uneven where sizes "
        f"differ more than {SPREAD:g} times on the way."
    )
    yield (
        "Left at layer 1: the share of its size in the last hidden layer. Last h: the root mean square of the last "
        "hidden layer's activations. Off: how far a measured error signal is from the product of Jacobians at most."
    )


def _levels(r: Flow) -> tuple[list[str], list[list[str]]]:
    several = flow_plots.several(r)
    columns = [
        "activation",
        *several,
        "gain",
        "as a start",
        "factor a layer",
        "last h",
        "slope",
        "nearly flat",
    ]
    lines = []
    for level in r.levels:
        s = level.signal
        line = [level.activation, *(str(getattr(level, what)) for what in several)]
        if s is None or level.gain is None:
            lines.append([*line, "none", "", "", "", "", ""])
            continue
        flat = f"{100 * np.mean(s.saturated):.0f} %"
        lines.append(
            [
                *line,
                f"{level.gain:.3g}",
                start_of(level.gain),
                f"{s.factor:.3f}",
                cell(s.activations[-1]),
                cell(rms(s.slope)),
                flat,
            ]
        )
    return columns, lines


def _told_of(r: Flow, level: Level) -> Iterator[str]:
    own = [
        s
        for s in r.signals
        if (s.activation, s.depth, s.width) == (level.activation, level.depth, level.width)
    ]
    where = "".join(f", {what} {getattr(level, what)}" for what in flow_plots.several(r))
    most = number(level.steepest)
    yield f"{level.activation}{where}: the slope is at most {most}, and a layer multiplies by slope · gain:"
    told = []
    for s in own:
        slope, gain = rms(s.slope[:-1]), rms(s.gain[:-1])
        product = f"{number(slope)} · {number(gain)} = {number(slope * gain)} with {s.start}"
        if s.name == "not finite":
            product = f"with {s.start} the numbers leave what floating point can hold"
        elif not s.factor:
            product += " (measured: nothing is left of it)"
        else:
            product += f" (measured {factor(s.factor)}, {s.name})"
        told.append(product)
    yield listing(told) + "."
    if level.gain is None or level.signal is None:
        yield "No gain from 0.05 to 50 keeps the signal level."
        return
    s, g = level.signal, level.gain
    yield (
        f"Over {level.depth} layers a gain of {number(g)} is expected to keep it level: he({g / 2**0.5:.3g}), or for "
        f"square weights glorot({g:.3g}) or orthogonal({g:.3g}); measured: {factor(s.factor)}, {s.name}."
    )
    if s.name != "level":
        yield f"So it is with very wide layers, and layers of {level.width} differ."
        return
    flat, size = float(np.mean(s.saturated)), s.activations[-1] / s.activations[0]
    if flat > 0.25 and rms(s.slope) < level.steepest / 2:
        yield (
            f"But such weights drive most units to where the curve is flat: {100 * flat:.0f} % of the slopes are below "
            "a tenth of the largest, and few units carry the whole signal."
        )
    if size < 0.1:
        yield f"But the activations die away with it: {number(size)} of the inputs' size is left in the last layer."
    if size > 10:
        yield f"But the activations grow {number(size)} times with it on their way forward."


def _thinned(count: int) -> list[int]:
    """Places of a table, all or some evenly chosen."""
    return sorted({round(k) for k in np.linspace(0, count - 1, min(count, _LINES))})


def _layers(s: Signal) -> tuple[list[str], list[list[str]]]:
    columns = ["layer", "h", "‖∂L/∂z‖", "ratio", "theory", "at most", "slope", "‖W‖₂", "‖∂L/∂W‖", "off"]
    lines = [
        [
            str(k + 1),
            cell(s.activations[k + 1]),
            *(cell(a[k]) for a in (s.signal, s.ratio, s.predicted, s.bound, s.slope, s.spectral, s.gradient)),
            off(s.deviation[k]),
        ]
        for k in _thinned(s.depth)
    ]
    return columns, [*lines, ["out", "", cell(s.signal[-1]), *[""] * 5, cell(s.gradient[-1]), ""]]


_LAYERS = (
    "h and slope: root mean squares of the activations and of f'(z). Ratio: the error signal over that of the layer "
    "that it feeds. Theory: the slope times the Frobenius norm of the weight W in between, over the root of its "
    "columns, as if slopes, weights and signal were independent. At most: the largest slope times ‖W‖₂, the largest "
    "singular value. ‖∂L/∂W‖: the gradient of the layer's own weight."
)
_ALT_GAINS = (
    "The factor a layer against the gain of the weights, for each activation: curves as expected of very wide layers, "
    "level where they cross 1; dots as measured with the starts above, circles with the gain that should be level."
)
_ALT_FACTORS = (
    "For each activation and start the factor of each layer: dots as measured, lines as slope times gain. The signal "
    "goes from right to left."
)
_ALT_ACTIVATIONS = "The root mean square of the activations of each layer; the inputs are layer 0."


def _alt_signal(r: Flow) -> str:
    names = [s.name for s in r.signals]
    told = listing(
        [
            f"{names.count(n)} {n}"
            for n in ("vanishing", "level", "uneven", "exploding", "not finite")
            if n in names
        ]
    )
    return f"The size of the error signal against the layer, from the last hidden layer back to the first: {told}."


# ---------------------------------------------------------------------- a network of the user's


def of_network(setting: Setting, r: Named) -> Report:
    """The report on the named tensors of a network."""
    parts: list[Part] = [
        paragraph(
            setting.described,
            "The error signal at a tensor is the gradient of the loss by it, from one joint derivation; its size is "
            "the root of the sum of squares of all entries.",
        ),
        rows("The error signal at each named tensor", *_tensors(r)),
        paragraph(*_told_of_network(r)),
        Plot(
            "signal", "The error signal on its way back", "The size of the error signal at each named tensor, from the "
            "last back to the first.", lambda f: flow_plots.network(f, r), size=(7.2, 1.2 + 0.42 * len(r.names)),
        ),
        rows("The gradient by each weight", ["weight", "‖∂L/∂W‖"], [[w, cell(g)] for w, g in r.gradient.items()]),
    ]  # fmt: skip
    return Report(f"The flow of the error signal in {setting.name}", r, parts)


def _tensors(r: Named) -> tuple[list[str], list[list[str]]]:
    columns = ["tensor", "shape", "size", "‖∂L/∂·‖", "next", "through", "ratio", "theory", "at most", "off"]
    lines = []
    for k, (name, b) in enumerate(zip(r.names, r.between, strict=True)):
        shape = "×".join(map(str, r.shapes[k])) or "number"
        numbers = [cell(r.ratio[k]), cell(b.predicted), cell(b.spectral)]
        off = f"{b.deviation:.0e}" if b.examples else "-"
        lines.append(
            [
                name,
                shape,
                cell(r.sizes[k]),
                cell(r.signal[k]),
                b.after,
                " ".join(b.weights),
                *numbers,
                off,
            ]
        )
    return columns, lines


def _told_of_network(r: Named) -> Iterator[str]:
    yield (
        "Size: the root mean square of the entries. Next: the first tensor that all ways from here to the loss lead "
        "through, and the weights on the way. Ratio: the error signal over that at the next."
    )
    checked = [b for b in r.between if b.examples]
    if checked:
        most, worst = max(b.examples for b in checked), max(b.deviation for b in checked)
        examples = f"{most} example{'s' * (most > 1)}"
        yield (
            "On the way back it is multiplied by the derived Jacobian of the next tensor by this one, here computed on "
            f"{examples} at most: never by more than its largest singular value (at most), and by its Frobenius norm "
            "over the root of its rows if the signal had no direction (theory). Off: how far the measured signal is "
            f"from the next one times this Jacobian, of its length; {worst:.1e} at most."
        )
    for name, b in zip(r.names, r.between, strict=True):
        if b.after and not b.examples:
            yield f"From {b.after} to {name} it is not checked: {b.why}."
    last = [name for name, b in zip(r.names, r.between, strict=True) if not b.after]
    yield f"From {listing(last)} it goes to the loss without another named tensor."
    if len(r.names) > 1:
        yield f"At {r.names[0]} it is {number(r.signal[0] / r.signal[-1])} times what it is at {r.names[-1]}."
