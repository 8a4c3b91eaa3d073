"""An activation function and its slope, and how large a start keeps error signals through many layers of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from symgrad.derivation import derive
from symgrad.errors import SymgradError
from symgrad.language.definitions import parse_definitions

_NODES = np.linspace(-8, 8, 400)  # of the standard normal distribution; none at 0, where kinks are
_WEIGHTS = np.exp(-(_NODES**2) / 2) / np.exp(-(_NODES**2) / 2).sum()
_GAINS = np.geomspace(0.05, 50, 61)
_HALVINGS = 40


class Activation:
    """A function of one number, by its name in the library or by its definition, with the slope derived from it.

    Args:
        said: `tanh`, `identity`, or `def f(x): return x*sigmoid(3*x)`.

    Attributes:
        name: what it is called by.
        definition: the text that must stand before its call; empty for what the library has.

    Raises:
        SymgradError: it is unknown, has weights of its own, or is no function of one number.

    Example:
        >>> value, slope = Activation("def cube(x): return x**3")(np.array([1.0, 2.0]))
        >>> value.tolist(), slope.tolist()
        ([1.0, 8.0], [3.0, 12.0])
    """

    def __init__(self, said: str):
        said = said.strip()
        self.definition, self.name = "", said
        if re.match(r"def\s", said):
            *_, self.name = parse_definitions(said, "your activation")
            self.definition = said + "\n"
        elif not said.isidentifier():
            raise SymgradError(
                "an activation is a name such as tanh, or a definition such as def f(x): return x*sigmoid(x), "
                f"not {said!r}"
            )
        text = f"{self.definition}x: data[k]\ns: data[k]\nloss = sum(s*{self.of('x')})"
        try:
            derivation = derive(text, wrt=["x", "s"])
        except SymgradError as problem:
            reason = re.sub(r"^line \d+: ", "", str(problem).partition("\n")[0])
            raise SymgradError(f"{self.name} cannot be an activation here: {reason}") from None
        further = [t.name for t in derivation.program.inputs if t.name not in ("x", "s")]
        if further:
            raise SymgradError(
                f"{self.name} cannot be an activation here: it has {', '.join(further)} of its own; define it with "
                f"numbers, def f(x): return ..."
            )
        self._function = derivation.function()
        self._entry_by_entry()

    def of(self, argument: str) -> str:
        """Its call in a text."""
        return (
            argument
            if self.name in ("identity", "linear") and not self.definition
            else f"{self.name}({argument})"
        )

    def _entry_by_entry(self) -> None:
        """Refuse what is no function of single numbers, such as softmax."""
        z = np.array([-1.3, 0.4, 2.1])
        together, alone = self(z)[0], [float(self(z[k : k + 1])[0][0]) for k in range(3)]
        if not np.allclose(together, alone, rtol=1e-9, atol=1e-12, equal_nan=True):
            raise SymgradError(
                f"{self.name} is no activation of single numbers: its entries depend on one another"
            )

    def __call__(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Its values and slopes at numbers, in their shape."""
        flat = np.ascontiguousarray(z, float).reshape(-1)
        with np.errstate(all="ignore"):
            # of the sum of s*f(x), the gradient by s is f(x) and the one by x is s*f'(x), with s = 1
            _, found = self._function(x=flat, s=np.ones_like(flat))
        return found["s"].reshape(np.shape(z)), found["x"].reshape(np.shape(z))


@dataclass(frozen=True)
class Expected:
    """What is expected of infinitely wide layers, with weights of the variance `gain**2` over the number of inputs.

    Attributes:
        gains: (G,).
        factor: (G,), by which a layer multiplies the error signal on its way back, the geometric mean of all layers.
        size: (G,), the root mean square of the last layer's activations.
    """

    gains: np.ndarray
    factor: np.ndarray
    size: np.ndarray


def expected(activation: Activation, gains: np.ndarray, depth: int, power: float) -> Expected:
    """By the theory of mean fields (Poole et al., 2016; Schoenholz et al., 2017): with weights drawn independently,
    pre-activations are normal, with the variance `q = gain² E[f(z)²]` of the layer before; the squared error signal
    is multiplied by `gain² E[f'(z)²]`.

    Args:
        power: the mean square of the inputs.
    """
    gains = np.atleast_1d(np.asarray(gains, float))
    q, logs, size = gains**2 * power, np.zeros(len(gains)), np.zeros(len(gains))
    with np.errstate(all="ignore"):
        for layer in range(depth):
            value, slope = activation(np.sqrt(q)[:, None] * _NODES)
            size = np.sqrt(value**2 @ _WEIGHTS)
            if layer < depth - 1:
                logs += np.log(gains**2 * (slope**2 @ _WEIGHTS)) / 2
            q = gains**2 * size**2
        return Expected(gains, np.exp(logs / max(1, depth - 1)), size)


def level_gain(activation: Activation, depth: int, power: float) -> float | None:
    """The smallest gain, from 0.05 to 50, that keeps the error signal level over so many layers; None if none does."""
    factors = expected(activation, _GAINS, depth, power).factor
    below = factors < 1
    at = next((k for k in range(len(_GAINS) - 1) if below[k] and factors[k + 1] >= 1), None)
    if at is None:
        return None
    low, high = _GAINS[at], _GAINS[at + 1]
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        if expected(activation, middle, depth, power).factor[0] < 1:
            low = middle
        else:
            high = middle
    return float(high)
