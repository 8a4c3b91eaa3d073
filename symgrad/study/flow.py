"""The flow of the error signal: its size layer by layer, and the local derivatives that it is the product of."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.errors import SymgradError
from symgrad.study import arguments, flow_told, named
from symgrad.study.activations import Activation, Expected, expected, level_gain
from symgrad.study.report import Report
from symgrad.study.setting import Data, Setting
from symgrad.study.signals import Chain, Signal, rms, scheme

ACTIVATIONS, STARTS, DEPTH, WIDTH, EXAMPLES = (
    ("sigmoid", "tanh", "relu"),
    ("glorot", "he", "orthogonal"),
    20,
    64,
    128,
)
INPUTS = ("digits", "normal")
CLASSES = 10
_GAINS = np.geomspace(0.5, 20, 100)


@dataclass(frozen=True)
class Level:
    """The start that keeps the error signal level over all layers of one activation.

    Attributes:
        activation, depth, width: of the network.
        gain: the weights' standard deviation times the root of the number of inputs; None if no gain does.
        signal: what was measured with it.
        curve: the expected factor a layer for many gains.
        steepest: the largest slope that the activation has.
    """

    activation: str
    depth: int
    width: int
    gain: float | None
    signal: Signal | None
    curve: Expected
    steepest: float


@dataclass(frozen=True)
class Flow:
    """What `flow` measured on chains of layers.

    Attributes:
        signals: of each combination, in order.
        levels: of each activation, depth and width.
        jacobians: by activation the derived Jacobian of a layer, as text.
        data: what the networks were given, in words.
        seed: of the start.
    """

    signals: tuple[Signal, ...]
    levels: tuple[Level, ...]
    jacobians: dict[str, str]
    data: str
    seed: int


@np.errstate(all="ignore")  # what is not finite is told
def flow(
    declaration: Any = None,
    data: Data = None,
    *,
    activations: Sequence[str] = ACTIVATIONS,
    starts: Sequence[str] = STARTS,
    depth: int | Sequence[int] = DEPTH,
    width: int | Sequence[int] = WIDTH,
    inputs: str = "digits",
    examples: int | None = None,
    seed: int = 0,
    layers: int | None = None,
    **network: Any,
) -> Report:
    """The size of the error signal layer by layer, compared with the product of derived Jacobians that it is.

    Without a declaration it is of chains `z = dense(h, width)`, `h = f(z)`, one for each combination of what is given;
    with one, at the tensors that the network names, with its own start.

    Args:
        declaration: as for `Setting`, with its data and further options (sizes, values, target), or None.
        data: see there.
        activations: names, or definitions `def f(x): return ...`, of functions of one number.
        starts: of all weights, such as "he", "orthogonal(1.4)"; biases are 0.
        depth: how many hidden layers, at least 2; one number or several.
        width: how many units in each; one number or several.
        inputs: "digits" (the shipped ones, standardised) or "normal" (64 normal numbers, with random labels).
        examples: how many are used; 128 if None, of a declaration all.
        seed: of the starts, and of what is drawn.
        layers: which combination is told layer by layer, from 1; the one farthest from level if None.

    Returns:
        a report whose `result` is a `Flow`, or a `Named` for a declaration.

    Raises:
        SymgradError: something cannot be used; one sentence.

    Example:
        >>> told = flow(activations=["sigmoid", "relu"], starts=["he"], depth=5, width=16, examples=8)
        >>> [(s.activation, s.name) for s in told.result.signals]
        [('sigmoid', 'vanishing'), ('relu', 'level')]
    """
    if declaration is not None:
        setting = Setting(declaration, data, examples=examples, seed=seed, **network)
        return flow_told.of_network(setting, named.study(setting))
    depths, widths = (list(n) if isinstance(n, Sequence) else [n] for n in (depth, width))
    _checked(activations, starts, depths, widths, inputs)
    count = len(activations) * len(starts) * len(depths) * len(widths)
    if layers is not None and not 1 <= layers <= count:
        raise SymgradError(
            f"there are {count} combinations, numbered from 1, and none has the number {layers}"
        )
    starts = [scheme(s)[0] for s in starts]
    functions = [Activation(a) for a in activations]
    x, t, about = _data(inputs, examples or EXAMPLES, seed)
    signals, levels, jacobians = [], [], {}
    for f in functions:
        for deep in depths:
            for wide in widths:
                chain = Chain(f, deep, wide, x.shape[1], CLASSES)
                signals += [chain.measure(s, x, t, seed) for s in starts]
                levels.append(_level(chain, x, t, seed))
                jacobians[f.name] = str(chain.layer.gradients["z"])
    result = Flow(tuple(signals), tuple(levels), jacobians, about, seed)
    return flow_told.of_chains(result, None if layers is None else layers - 1)


def _level(chain: Chain, x: np.ndarray, t: np.ndarray, seed: int) -> Level:
    f, power = chain.activation, rms(x) ** 2
    gain = level_gain(f, chain.depth, power)
    signal = None if gain is None else chain.measure(f"lecun({gain:.12g})", x, t, seed)
    _, slopes = f(np.linspace(-30, 30, 60_000))
    curve = expected(f, _GAINS, chain.depth, power)
    return Level(f.name, chain.depth, chain.width, gain, signal, curve, float(np.nanmax(np.abs(slopes))))


def _data(inputs: str, examples: int, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Inputs, labels, and what they are."""
    if inputs == "normal":
        rng = np.random.default_rng(seed)
        x, t = rng.standard_normal((examples, 64)), rng.integers(0, CLASSES, examples)
        return x, t, f"{examples} examples of 64 normal numbers with random labels"
    found = Setting("digits", seed=seed).data
    x = found["x"] - found["x"].mean(0)
    deviation = x.std(0)
    x /= np.where(deviation == 0, 1, deviation)  # pixels that are 0 in every image stay 0
    rows = np.random.default_rng(seed).permutation(len(x))[:examples]
    return x[rows], found["t"][rows], f"{len(rows)} of the shipped digits, standardised"


def _checked(
    activations: Sequence[str],
    starts: Sequence[str],
    depths: Sequence[int],
    widths: Sequence[int],
    inputs: str,
) -> None:
    for what, given in (("activations", activations), ("starts", starts)):
        if isinstance(given, str) or not given:
            raise SymgradError(f"{what} are given as a list of at least one, not as {given!r}")
    for what, numbers, least in (("depth", depths, 2), ("width", widths, 1)):
        for n in numbers or [0]:
            if not isinstance(n, (int, np.integer)) or n < least:
                raise SymgradError(f"a {what} is a whole number of at least {least}, not {n!r}")
    if inputs not in INPUTS:
        raise SymgradError(f"inputs are 'digits' or 'normal', not {inputs!r}")


# ---------------------------------------------------------------------- the command


def split(given: str) -> list[str]:
    """What commas outside of brackets part; a definition is one.

    >>> split("he, uniform(-1, 1)"), split("def f(x): return max(x, 0)")
    (['he', 'uniform(-1, 1)'], ['def f(x): return max(x, 0)'])
    """
    if re.match(r"\s*def\s", given):
        return [given.strip()]
    return [part.strip() for part in re.findall(r"(?:[^,(]|\([^)]*\)?)+", given) if part.strip()]


def _words(given: list[str] | None, default: Sequence[str]) -> list[str]:
    return [part for text in given for part in split(text)] if given else list(default)


def _numbers(text: str) -> list[int]:
    return [arguments.positive(part.strip()) for part in text.split(",")]


def options(sub: argparse.ArgumentParser) -> None:
    """What the command of this study takes."""
    arguments.network_options(sub, needed=False)
    sub.add_argument(
        "--activation", action="append", metavar="f,g",
        help=f'names, or "def f(x): return ..."; may be given again; {",".join(ACTIVATIONS)} if not given',
    )  # fmt: skip
    sub.add_argument(
        "--start", action="append", metavar="he,...",
        help=f"how weights start, such as lecun or orthogonal(1.4); {','.join(STARTS)} if not given",
    )  # fmt: skip
    sub.add_argument(
        "--depth", type=_numbers, metavar="L", help=f"hidden layers, one or several numbers; {DEPTH}"
    )
    sub.add_argument(
        "--width", type=_numbers, metavar="K", help=f"units a layer, one or several numbers; {WIDTH}"
    )
    sub.add_argument("--inputs", choices=INPUTS, help="the shipped digits, standardised, or normal numbers")
    sub.add_argument(
        "--layers",
        type=arguments.positive,
        metavar="ROW",
        help="the row of the table that is told layer by layer",
    )


_OF_CHAINS = ("activation", "start", "depth", "width", "inputs", "layers")


def run(given: argparse.Namespace) -> Report:
    """The study that was asked for."""
    if given.declaration is not None:
        named_too = [f"--{name}" for name in _OF_CHAINS if getattr(given, name) is not None]
        if named_too:
            raise SymgradError(
                f"{named_too[0]} is about the networks that this study makes; {given.declaration} has its own layers"
            )
        return flow(**arguments.network(given))
    return flow(
        activations=_words(given.activation, ACTIVATIONS),
        starts=_words(given.start, STARTS),
        depth=given.depth or DEPTH,
        width=given.width or WIDTH,
        inputs=given.inputs or INPUTS[0],
        examples=given.examples,
        seed=given.seed,
        layers=given.layers,
    )


STUDY = arguments.Study(
    "flow", "The size of the error signal layer by layer, and why: activation, depth, start.", options, run
)
