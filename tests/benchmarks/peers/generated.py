"""The modules that symgrad generates: `readable` and `fast`, through their public `step`.

With several threads `fast` measures itself how a batch is best split; in quarters it takes a fourth of it at a time,
for the sake of memory.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np

from ..step import Setting, Step

STYLES = {"exact": "readable", "readable": "readable", "fast": "fast", "quarters": "fast"}


@functools.cache
def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
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

    def split() -> str:
        return f"threads {model.threads}, tile {model.tile}" if s.variant == "fast" and s.threads > 1 else ""

    return Step(
        once=lambda: step(*arrays),
        gradients=lambda: model.loss_and_grad(*arrays),
        weights=model.get_weights,
        split=split,
    )
