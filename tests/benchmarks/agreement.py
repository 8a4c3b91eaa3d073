"""Whether a competitor computes what the reference computes: before any time is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

TOLERANCE = 3e-4  # of a float32 gradient, relative to its norm; a kink crossed by rounding moves one entry in thousands
LOSSES = 1e-3  # of the losses of the next steps, relative to the first


def sgd(g: np.ndarray, rate: float) -> np.ndarray:
    """How far the first step goes."""
    return rate * g


def adam(g: np.ndarray, rate: float, eps: float = 1e-8) -> np.ndarray:
    """How far the first step goes: both corrections undo their factors, which leaves g/(|g| + eps)."""
    return rate * g / (np.abs(g) + eps)


FIRST_STEP: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {"sgd": sgd, "adam": adam}


def disagreement(
    found: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    start: Mapping[str, np.ndarray],
    optimizer: str,
    rate: float,
) -> str | None:
    """What differs, in a sentence, or None.

    Args:
        found, reference: `loss`, `gradient_<name>`, and unless the competitor takes many steps at once `weight_<name>`
            after one step and the `losses` of some steps.
        start: the weights before the step, by name.
    """
    loss, wanted = float(found["loss"]), float(reference["loss"])
    if not abs(loss - wanted) <= TOLERANCE * abs(wanted):
        return f"the loss is {loss:.6g}, not {wanted:.6g}"
    for name, w in start.items():
        g, exact = found.get(f"gradient_{name}"), reference[f"gradient_{name}"]
        if g is None or g.shape != exact.shape:
            return f"the gradient of {name} has the shape {None if g is None else g.shape}, not {exact.shape}"
        norm = float(np.linalg.norm(exact))
        off = float(np.linalg.norm(g.astype(float) - exact))
        if not off <= TOLERANCE * norm:
            return f"the gradient of {name} is off by {off / norm if norm else np.inf:.1e} of its norm"
        if f"weight_{name}" in found:
            # the first step grows with the gradient, entry by entry: what the tolerance of the gradient allows
            slack = TOLERANCE * float(np.abs(exact).max()) * 10
            step = FIRST_STEP[optimizer]
            low, high = w - step(exact + slack, rate), w - step(exact - slack, rate)
            rounding = 1e-6 * (1 + np.abs(w))
            new = found[f"weight_{name}"].astype(float)
            outside = float(np.mean((new < low - rounding) | (new > high + rounding) | np.isnan(new)))
            if outside > 1e-3:
                return f"after one step {outside:.1%} of {name} are not where {optimizer} puts them"
            if np.array_equal(new, w) and norm:
                return f"a step leaves {name} where it was"
    if "losses" in found:
        off = float(np.abs(found["losses"] - reference["losses"]).max())
        if not off <= LOSSES * abs(wanted):
            return f"the losses of {len(found['losses'])} steps are off by {off / abs(wanted):.1e}"
    return None
