"""The modules that symgrad generates: `readable`, `fast` and those for Numba, through their public `step`.

With several threads `fast` measures itself how a batch is best split; in quarters it takes a fourth of it at a time,
for the sake of memory. `numba loop` is an epoch of `fit` with many batches: no Python runs between them.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from ..step import Setting, Step

STYLES = {
    "exact": "readable",
    "readable": "readable",
    "fast": "fast",
    "quarters": "fast",
    "numba loop": "numba",
}
EPOCH = 100  # batches in an epoch


@functools.cache
def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(s: Setting) -> Step:
    module = imported(s.folder / f"{s.letter}_{s.optimizer}_{STYLES.get(s.variant, s.variant)}.py")
    ways = {
        "exact": {"dtype": np.float64},
        "fast": {"threads": "measure"} if s.threads > 1 else {},
        "quarters": {"micro_batch": max(1, len(s.data["x"]) // 4)},
    }
    model = module.Model(lr=s.rate, **ways.get(s.variant, {}))
    model.set_weights(s.weights)
    step, arrays = model.step, tuple(s.data[name] for name in module.DATA)

    if s.variant == "numba loop":
        count = len(arrays[0])
        many = [np.tile(a, (EPOCH, *[1] * (a.ndim - 1))) for a in arrays]
        return Step(
            once=lambda: model.fit(*many, epochs=1, batch_size=count, quiet=True)[0],
            gradients=lambda: model.loss_and_grad(*arrays),
            weights=model.get_weights,
            steps=EPOCH,
        )

    def split() -> str:
        return f"threads {model.threads}, tile {model.tile}" if s.variant == "fast" and s.threads > 1 else ""

    return Step(
        once=lambda: step(*arrays),
        gradients=lambda: model.loss_and_grad(*arrays),
        weights=model.get_weights,
        split=split,
    )
