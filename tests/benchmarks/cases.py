"""The seven networks: their declarations, the shapes of a batch, and the numbers that every competitor starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "networks"
OPTIMIZERS = ("sgd", "adam")
# for the check, large enough that one step moves every weight well above rounding
CHECK_RATES = {"sgd": 0.1, "adam": 0.001}
# for the timing, so small that after a million steps no gradient has died and no moment is subnormal
TIMING_RATE = 1e-7
CHECK_STEPS = 5


@dataclass(frozen=True)
class Case:
    """A network and its batch.

    Attributes:
        letter: how it is chosen.
        title: how it is told.
        shapes: the shape of each data array, the batch first; one that has only the batch holds labels below 10.
    """

    letter: str
    title: str
    shapes: Mapping[str, tuple[int, ...]]

    @property
    def path(self) -> Path:
        """The declaration."""
        return next(FOLDER.glob(f"{self.letter}_*.sg"))

    @property
    def batch(self) -> int:
        """How many examples."""
        return self.shapes["x"][0]

    def data(self, batch: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
        """A batch of random examples, float32 and whole numbers."""
        rng = np.random.default_rng(seed)
        return {
            name: rng.integers(0, 10, batch or n)
            if not shape
            else rng.standard_normal((batch or n, *shape)).astype(np.float32)
            for name, (n, *shape) in self.shapes.items()
        }


CASES = {
    case.letter: case
    for case in (
        Case("a", "MLP 2-16-1, batch 32", {"x": (32, 2), "t": (32, 1)}),
        Case("b", "MLP 64-32-10, batch 64", {"x": (64, 64), "t": (64,)}),
        Case("c", "MLP 784-256-128-10, batch 128", {"x": (128, 784), "t": (128,)}),
        Case("d", "MLP 1024-2048-2048-1024, batch 512", {"x": (512, 1024), "t": (512, 1024)}),
        Case("e", "CNN 28×28, two convolutions, batch 64", {"x": (64, 1, 28, 28), "t": (64,)}),
        Case("f", "transformer block 64×128, 4 heads, batch 16", {"x": (16, 64, 128), "t": (16, 64, 128)}),
        Case("g", "LSTM 32 to 64, 32 steps, batch 32", {"x": (32, 32, 32), "t": (32, 32, 64)}),
    )
}


def start(shapes: Mapping[str, tuple[int, ...]], seed: int = 1) -> dict[str, np.ndarray]:
    """Weights to start from, float32: activations stay near one, and no bias or scale is left at 0 or 1."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            w = (name.startswith("gamma")) + 0.1 * rng.standard_normal(shape)
        else:
            fan_in = int(np.prod(shape[1:])) if len(shape) == 4 else shape[0]
            w = rng.standard_normal(shape) / fan_in**0.5
        weights[name] = np.asarray(w, np.float32)
    return weights
