"""The modules that symgrad generates: `readable` and `fast`, through their public `step`."""

from __future__ import annotations

import importlib.util

import numpy as np

from ..step import Setting, Step


def build(s: Setting) -> Step:
    path = s.folder / f"{s.letter}_{s.optimizer}_{s.variant}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    exact = s.variant == "exact"
    model = module.Model(lr=s.rate, **({"dtype": np.float64} if exact else {}))
    data = dict(s.data)
    model.set_weights(s.weights)
    step, arrays = model.step, tuple(data[name] for name in module.DATA)
    return Step(lambda: step(*arrays), lambda: model.loss_and_grad(*arrays), model.get_weights)
