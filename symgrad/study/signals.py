"""The error signal of a chain of layers, layer by layer, and the local derivatives that it is the product of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from symgrad.derivation import Derivation, derive, read_program
from symgrad.emit.starts import how, start
from symgrad.errors import SymgradError
from symgrad.language.program import Program
from symgrad.language.trace import Key
from symgrad.second import jacobian
from symgrad.study.activations import Activation

NEAR = 0.9  # a factor a layer between this and its inverse is level
SPREAD = 10.0  # of the sizes in a signal that is level from end to end


@dataclass(frozen=True)
class Signal:
    """What was measured in a network of L hidden layers, `z = h @ W + b` and `h = f(z)`, and its output layer L + 1.

    Sizes of signals and gradients are lengths, the root of the sum of squares of all entries; of activations they are
    root mean squares.

    Attributes:
        activation, start, depth, width: the combination; depth is L.
        signal: (L + 1,), the size of ∂loss/∂z of each layer, the output layer's last.
        behind: (L,), the size of ∂loss/∂h of each hidden layer.
        gradient: (L + 1,), the size of ∂loss/∂W of each layer.
        activations: (L + 1,), the size of the inputs and of each hidden layer's h.
        slope: (L,), the root mean square of f'(z) in each hidden layer.
        saturated: (L,), the share of slopes that are smaller than a tenth of the largest met in the network.
        gain: (L,), of the weight that each hidden layer feeds: its Frobenius norm over the root of its columns.
        spectral: (L,), the largest singular value of that weight.
        ratio: (L,), by which each hidden layer multiplies the signal that comes back to it: signal[l] / signal[l + 1].
        predicted: (L,), slope times gain, which it would be if slopes, weights and signal were independent.
        bound: (L,), the largest slope times `spectral`, which no ratio exceeds.
        deviation: (L,), of ∂loss/∂z from the last layer's times the derived Jacobians, of the worst example, relative
            to its length; 0 where both are 0.
        residual: (L,), of ∂loss/∂z from the next layer's, as measured, times the derived Jacobian, relative to what
            could pass at most; it is rounding also where slopes are 0 to the last digit and `deviation` is not.
        factor: by which the signal is multiplied a layer on its way back: a straight line fitted to its logarithms.
        name: "vanishing", "level", "exploding", "uneven" where it is level from end to end but not between, or
            "not finite".
    """

    activation: str
    start: str
    depth: int
    width: int
    signal: np.ndarray
    behind: np.ndarray
    gradient: np.ndarray
    activations: np.ndarray
    slope: np.ndarray
    saturated: np.ndarray
    gain: np.ndarray
    spectral: np.ndarray
    ratio: np.ndarray
    predicted: np.ndarray
    bound: np.ndarray
    deviation: np.ndarray
    residual: np.ndarray
    factor: float
    name: str


def growth(signal: np.ndarray) -> float:
    """The factor a layer on the way back, from a line through the logarithms; 0 where a signal is lost altogether, nan
    where it is not finite.

    Example:
        >>> round(growth(np.array([1.0, 2.0, 4.0, 8.0])), 9)
        0.5
    """
    if not np.isfinite(signal).all():
        return float("nan")
    if not signal.all():
        return 0.0
    return float(np.exp(-np.polyfit(np.arange(len(signal)), np.log(signal), 1)[0]))


def named(factor: float, signal: np.ndarray) -> str:
    """The name of a factor a layer, by the thresholds `NEAR` and `SPREAD`."""
    if np.isnan(factor):
        return "not finite"
    if factor < NEAR:
        return "vanishing"
    if factor > 1 / NEAR:
        return "exploding"
    return "uneven" if signal.max() > SPREAD * signal.min() else "level"


def measured(program: Program, names: Sequence[str]) -> Callable[..., dict[Any, np.ndarray]]:
    """One function from inputs by name to the gradients by tensors, and the tensors themselves as `("value", name)`."""
    derived = derive(program, list(names)).derived
    wanted: dict[Key, str] = dict(derived.gradients)
    wanted.update({("value", n): n for n in names if program[n].role == "value"})
    function = Derivation(replace(derived, gradients=wanted), program).function()
    return lambda **inputs: function(**inputs)[1]


def scheme(said: str) -> tuple[str, tuple[Any, ...]]:
    """A start as it is said, such as "he" or "orthogonal(1.4)": as it is written in a text, and read.

    Raises:
        SymgradError: there is no such start.
    """
    line = f"x: data[n, 2]; loss = mean(dense(x, 2, start={said.strip()!r})**2)"
    try:
        tensor = read_program(line)["W1"]
    except SymgradError as problem:
        reason = str(problem).partition("\n")[0].partition("'): ")[2]
        raise SymgradError(f"{said.strip()!r} is no start of a weight: {reason}") from None
    return said.strip(), how(tensor)


class Chain:
    """A network of equal hidden layers with a softmax at its end, derived once for all starts.

    Args:
        activation: of all hidden layers.
        depth, width: the number of hidden layers, at least 2, and of units in each.
        inputs, classes: the number of inputs and of classes.
    """

    def __init__(self, activation: Activation, depth: int, width: int, inputs: int, classes: int):
        self.activation, self.depth, self.width = activation, depth, width
        self.text = chain(activation, depth, width, inputs, classes)
        self.program = read_program(self.text)
        self.weights = [f"W{k}" for k in range(1, depth + 2)]
        self.z = [f"z{k}" for k in range(1, depth + 2)]
        self.h = [f"h{k}" for k in range(1, depth + 1)]

    @cached_property
    def _measured(self) -> Callable[..., dict[Any, np.ndarray]]:
        return measured(self.program, [*self.z, *self.h, *self.weights])

    @cached_property
    def layer(self) -> Derivation:
        """The Jacobian of a layer's pre-activations by those of the layer before, of one example."""
        return layer(self.activation)

    def drawn(self, said: str, seed: int) -> dict[str, np.ndarray]:
        """Weights by name, those that a module of this text draws with this seed; of `W` as `said`."""
        rng, (_, scheme_of_weights) = np.random.default_rng(seed), scheme(said)
        found = {}
        for t in self.program.role("weight"):
            shape = tuple(int(str(n)) for n in t.shape)
            found[t.name] = start()(rng, shape, *(scheme_of_weights if t.name in self.weights else how(t)))
        return found

    def measure(self, said: str, x: np.ndarray, t: np.ndarray, seed: int) -> Signal:
        """Everything about one start, at inputs `x` and labels `t`."""
        w = self.drawn(said, seed)
        with np.errstate(all="ignore"):
            found = self._measured(x=x, t=t, **w)
            return self._signal(said, x, w, found)

    def _signal(
        self, said: str, x: np.ndarray, w: dict[str, np.ndarray], found: dict[Any, np.ndarray]
    ) -> Signal:
        size = np.linalg.norm
        z = [found["value", n] for n in self.z]
        deltas = [found[n] for n in self.z]
        signal = np.array([size(d) for d in deltas])
        slopes = [np.abs(self.activation(a)[1]) for a in z[:-1]]
        largest = max(float(s.max()) for s in slopes)
        fed = [w[n] for n in self.weights[1:]]
        slope = np.array([np.sqrt(np.mean(s**2)) for s in slopes])
        gain = np.array([size(a) / a.shape[1] ** 0.5 for a in fed])
        spectral = np.array([size(a, 2) if np.isfinite(a).all() else np.inf for a in fed])
        bound = np.array([a.max() for a in slopes]) * spectral
        product, single = products(self.layer.function(), z, fed, deltas)
        factor = growth(signal[:-1])
        return Signal(
            activation=self.activation.name,
            start=said,
            depth=self.depth,
            width=self.width,
            signal=signal,
            behind=np.array([size(found[n]) for n in self.h]),
            gradient=np.array([size(found[n]) for n in self.weights]),
            activations=np.array([rms(a) for a in (x, *(found["value", n] for n in self.h))]),
            slope=slope,
            saturated=np.array([np.mean(s < largest / 10) for s in slopes]),
            gain=gain,
            spectral=spectral,
            ratio=signal[:-1] / signal[1:],
            predicted=slope * gain,
            bound=bound,
            deviation=deviations(deltas, product),
            residual=residuals(deltas, single, bound),
            factor=factor,
            name=named(factor, signal[:-1]),
        )


def rms(a: np.ndarray) -> float:
    """The root mean square of all entries."""
    return float(np.sqrt(np.mean(np.square(a))))


def chain(activation: Activation, depth: int, width: int, inputs: int, classes: int) -> str:
    """The text of the network, with names for its pre-activations and activations."""
    lines = [f"x: data[n, {inputs}]", f"t: label[n] < {classes}"]
    before = "x"
    for k in range(1, depth + 1):
        lines += [f"z{k} = dense({before}, {width})", f"h{k} = {activation.of(f'z{k}')}"]
        before = f"h{k}"
    lines += [f"z{depth + 1} = dense({before}, {classes})", f"loss = softmax_cross_entropy(z{depth + 1}, t)"]
    return activation.definition + "\n".join(lines)


def layer(activation: Activation) -> Derivation:
    """The derived Jacobian of one layer: pre-activations by those before it, `diag(f'(z)) W` transposed."""
    text = f"z: data[i]\nW: weight[i, j]\nb: weight[j]\nout = {activation.of('z')} @ W + b"
    return jacobian(activation.definition + text, of="out", wrt="z")


def products(
    function: Callable[..., Any],
    z: Sequence[np.ndarray],
    fed: Sequence[np.ndarray],
    deltas: Sequence[np.ndarray],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The error signal of the last layer times the Jacobians of all layers from there back, example by example; and
    that of each layer, as measured, times the Jacobian before it.

    Args:
        function: of a layer's derived Jacobian.
        z: the measured pre-activations of each layer, the output layer's last.
        fed: the weight that each hidden layer feeds.
        deltas: the measured error signals of each layer, the output layer's last.
    """
    whole, single = [deltas[-1]], []
    for a, w, delta in zip(reversed(z[:-1]), reversed(fed), reversed(deltas[1:]), strict=True):
        b = np.zeros(w.shape[1])
        by = [function(z=row, W=w, b=b)[1]["z"] for row in a]
        whole.append(np.array([d @ j for d, j in zip(whole[-1], by, strict=True)]))
        single.append(np.array([d @ j for d, j in zip(delta, by, strict=True)]))
    return whole[::-1], single[::-1]


def deviations(measured: Sequence[np.ndarray], product: Sequence[np.ndarray]) -> np.ndarray:
    """How far products are from what was measured: of the worst example, relative to its length; without the last."""
    return np.array(
        [_worst(a - b, np.linalg.norm(a, axis=-1)) for a, b in zip(measured[:-1], product[:-1], strict=True)]
    )


def residuals(measured: Sequence[np.ndarray], single: Sequence[np.ndarray], bound: np.ndarray) -> np.ndarray:
    """How far one layer's Jacobian times the next signal is from what was measured, relative to what could pass."""
    lengths = [np.linalg.norm(a, axis=-1) * most for a, most in zip(measured[1:], bound, strict=True)]
    return np.array([_worst(a - b, n) for a, b, n in zip(measured[:-1], single, lengths, strict=True)])


def _worst(off: np.ndarray, lengths: np.ndarray) -> float:
    """The largest length, relative to others; 0 where there is none."""
    off = np.linalg.norm(off, axis=-1)
    return float(np.max(np.where(off == 0, 0.0, off / np.where(lengths == 0, np.finfo(float).tiny, lengths))))
