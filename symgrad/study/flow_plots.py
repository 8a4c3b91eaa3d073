"""The plots of the flow of error signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from symgrad.study.named import Named
from symgrad.study.plots import COLORS, ends, label
from symgrad.study.signals import Signal, rms

if TYPE_CHECKING:
    from symgrad.study.flow import Flow

_GREY = "#77756e"
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
_LEAST, _MOST = 1e-200, 1e200  # what is beyond cannot stand on a scale of powers


def activations(r: Flow) -> list[str]:
    """The activations met, in order."""
    return list(dict.fromkeys(s.activation for s in r.signals))


def _color(r: Flow, activation: str) -> str:
    return COLORS[activations(r).index(activation) % len(COLORS)]


def _dash(r: Flow, s: Signal) -> Any:
    kinds = list(dict.fromkeys((x.start, x.depth, x.width) for x in r.signals))
    return _DASHES[kinds.index((s.start, s.depth, s.width)) % len(_DASHES)]


def several(r: Flow) -> list[str]:
    """Of depth and width, those that differ among the combinations."""
    return [what for what in ("depth", "width") if len({getattr(s, what) for s in r.signals}) > 1]


def said(r: Flow, s: Signal) -> str:
    """What a combination is called."""
    return ", ".join([s.activation, s.start, *(f"{what} {getattr(s, what)}" for what in several(r))])


def _curves(axes: Any, r: Flow, sizes: Callable[[Signal], np.ndarray], first: int, back: bool) -> None:
    """A curve for each combination on a scale of powers, from layer `first` on, labelled at its end."""
    axes.set_yscale("log")
    drawn = [(s, _shown(sizes(s))) for s in r.signals]
    for s, y in drawn:
        at = np.arange(first, first + len(y))
        axes.plot(at, y, color=_color(r, s.activation), linestyle=_dash(r, s), linewidth=1.3, clip_on=False)
    low, high = _limits([y for _, y in drawn])
    axes.set_ylim(low / 2, high * 2)
    last = first + max(len(y) for _, y in drawn) - 1
    axes.set_xlim((last, first) if back else (first, last))
    axes.grid(False, axis="x")
    axes.xaxis.get_major_locator().set_params(integer=True)
    tips = [y[0] if back else y[-1] for _, y in drawn]
    ends(
        axes,
        [
            (float(tip) if np.isfinite(tip) else high, said(r, s), _color(r, s.activation))
            for (s, _), tip in zip(drawn, tips, strict=True)
        ],
    )


def _shown(sizes: np.ndarray) -> np.ndarray:
    """Sizes that can stand on a scale of powers; what is no number is left out."""
    return np.where(np.isnan(sizes), np.nan, np.clip(sizes, _LEAST, _MOST))


def _limits(sizes: Sequence[np.ndarray]) -> tuple[float, float]:
    """The least and the largest of what is finite and above 0; from 0.1 to 10 if there is none."""
    every = np.concatenate(sizes)
    every = every[np.isfinite(every) & (every > 0)]
    return (float(every.min()), float(every.max())) if every.size else (0.1, 10.0)


@np.errstate(all="ignore")
def signals(figure: Any, r: Flow) -> None:
    """The size of the error signal in each hidden layer, relative to that in the last; the way back goes right."""
    axes = figure.subplots()
    axes.axhspan(0.1, 10, color="#f4f2ec", zorder=0)
    _curves(axes, r, lambda s: s.signal[:-1] / s.signal[-2], 1, back=True)
    axes.set_xlabel("hidden layer, from the last back to the first")
    axes.set_ylabel("error signal ‖∂L/∂z‖, of that in the last layer")


@np.errstate(all="ignore")
def forward(figure: Any, r: Flow) -> None:
    """The size of the activations, from the inputs to the last hidden layer."""
    axes = figure.subplots()
    _curves(axes, r, lambda s: s.activations, 0, back=False)
    axes.set_xlabel("hidden layer; 0 are the inputs")
    axes.set_ylabel("root mean square of activations")


@np.errstate(all="ignore")
def gains(figure: Any, r: Flow) -> None:
    """The expected factor a layer by the gain of the weights, what was measured, and where it is level."""
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axhline(1, color=_GREY, linewidth=0.7)
    labels = []
    seen = list({(level.activation, level.depth): level for level in r.levels}.values())
    high = 3.0
    for level in seen:
        color, curve = _color(r, level.activation), level.curve
        inside = np.isfinite(curve.factor) & (curve.factor < high)
        axes.plot(curve.gains[inside], curve.factor[inside], color=color, linewidth=1.2)
        told = level.activation + ("" if level.gain is None else f", level at {level.gain:.3g}")
        labels.append((float(np.nan_to_num(curve.factor[0], nan=1.0)), told, color))
        if level.signal is not None:
            axes.plot(level.gain, level.signal.factor, "o", markersize=5.5, color=color, fillstyle="none")
    for s in r.signals:
        axes.plot(
            float(rms(s.gain)), s.factor, "o", markersize=4.5, color=_color(r, s.activation), clip_on=True
        )
    low, _ = _limits([level.curve.factor for level in r.levels])
    axes.set_ylim(min(max(0.02, low / 1.1), 0.5), high)
    axes.set_xlim(r.levels[0].curve.gains[0], r.levels[0].curve.gains[-1])
    axes.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    ticks = [t for t in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3) if axes.get_ylim()[0] <= t]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("gain: the weights' standard deviation times √fan_in")
    axes.set_ylabel("factor a layer")
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.spines["left"].set_visible(False)
    axes.spines["right"].set_visible(True)
    ends(axes, labels, left=True)


@np.errstate(all="ignore")
def factors(figure: Any, r: Flow) -> None:
    """The factor of each layer, as measured and as predicted, a panel for each activation."""
    names = activations(r)
    columns = min(3, len(names))
    panels = figure.subplots(
        (len(names) - 1) // columns + 1, columns, sharex=True, sharey=True, squeeze=False
    ).ravel()
    low, high = _limits([a[:-1] for s in r.signals for a in (s.ratio, s.predicted)])
    for axes, name in zip(panels, names, strict=False):
        axes.set_yscale("log")
        axes.set_ylim(min(max(low / 1.2, 1e-3), 0.9), max(min(high * 1.2, 1e3), 1.1))
        axes.axhline(1, color=_GREY, linewidth=0.7)
        own = [s for s in r.signals if s.activation == name]
        for s in own:
            at = np.arange(1, s.depth)
            shade = 1 - 0.28 * min(2, own.index(s))
            axes.plot(
                at, s.predicted[:-1], color=_color(r, name), linewidth=0.9, linestyle=_dash(r, s), alpha=shade
            )
            axes.plot(at, s.ratio[:-1], "o", color=_color(r, name), markersize=2.4, alpha=shade)
        axes.set_title(label(name), fontsize=9, color=_color(r, name), loc="left")
        axes.grid(False, axis="x")
        axes.set_xlim(0.5, max(s.depth for s in r.signals) - 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        lasts = [float(np.exp(np.mean(np.log(s.predicted[-5:-1])))) for s in own]
        ends(
            axes,
            [(y, said(r, s).partition(", ")[2], _color(r, name)) for y, s in zip(lasts, own, strict=True)],
            7,
        )
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    ticks = [t for t in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10) if low / 1.2 <= t <= high * 1.2]
    panels[0].set_yticks(ticks, [f"{t:g}" for t in ticks])
    panels[0].minorticks_off()
    figure.supxlabel("hidden layer", fontsize=9)
    figure.supylabel("factor", fontsize=9)


@np.errstate(all="ignore")
def network(figure: Any, r: Named) -> None:
    """The size of the error signal at each named tensor, from the loss down to the first."""
    axes = figure.subplots()
    at = np.arange(len(r.names))
    axes.set_xscale("log")
    axes.plot(r.signal, at, "o", color=COLORS[0], markersize=5)
    axes.plot(r.signal, at, color=COLORS[0], linewidth=0.8)
    axes.set_yticks(at, [label(n) for n in r.names])
    axes.set_ylim(len(at) - 0.4, -0.6)
    found = r.signal[np.isfinite(r.signal) & (r.signal > 0)]
    if found.size:
        axes.set_xlim(found.min() / 3, found.max() * 3)
    for k, b in enumerate(r.between):
        told = f"{r.signal[k]:.2e}" + (f"   ×{r.ratio[k]:.3g} from {b.after}" if b.after else "")
        axes.annotate(
            label(told), (r.signal[k], k), xytext=(8, 0), textcoords="offset points", fontsize=8, va="center",
            color=_GREY, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axes.grid(False, axis="y")
    axes.set_xlabel("error signal, the length of the gradient of the loss by the tensor")
