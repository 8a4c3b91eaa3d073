"""The numeric check: every derived gradient against complex steps through the reference realisation.

f(x + ih v) = f(x) + ih v·∇f + O(h²), so Im f/h is the directional derivative without any cancellation
(W. Squire and G. Trapp, SIAM Review 40, 1998). With h = 1e-30 it is exact to rounding. NumPy compares complex numbers
by their real parts first, so the branch of a kink (relu, max, abs) is chosen as for the real number; exactly at a kink
the two signs of h give the two one-sided slopes, and anything between them is accepted.

A computed tensor is stepped through a shift of zeros that is added to it once it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.check.questions import Question, Slope, movable, moved, question, shown
from symgrad.check.together import MANY, together
from symgrad.check.verdict import Row, Verdict
from symgrad.errors import Refusal
from symgrad.language.bind import bind
from symgrad.language.program import Facts, Program
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import inputs, small_sizes
from symgrad.language.trace import Derived, Key

STEP = 1e-30
_RANGES = (
    (0.2, 2.0),
    (0.1, 0.9),
    (1.1, 2.0),
)  # where inputs are drawn for whose signs a formula is not defined
Realisation = Callable[..., tuple[Any, Mapping[Any, Any]]]


def check(
    derived: Derived,
    given: Mapping[str, Any] | None = None,
    *,
    realisations: Mapping[str, Realisation] | None = None,
    seed: int = 0,
    entries: int = 24,
    tolerance: float = 1e-9,
) -> Verdict:
    """Judge a derivation.

    Args:
        given: arrays for all inputs; random ones as declared, of small pairwise different sizes, if None. What is not
            declared to lie anywhere is drawn anew, above zero, where the result is no finite number: log(x) needs that.
        realisations: other ways to compute `(loss, gradients)` from the same arrays, by name; each is compared with
            the reference realisation of the derived program.
        entries: how many entries of a tensor are stepped one by one (all if it has no more); beside them two random
            directions judge the whole tensor. A gradient by many tensors has them judged at once, at a bounded cost;
            where that does not agree, one by one.
        tolerance: largest accepted error, relative to the largest entry of the gradient (at least 1e-3).
    """
    source = derived.source
    rng = np.random.default_rng(seed)
    if given is None:
        given = _point(derived, rng)
    sizes, arrays = bind(source, given)
    joint = run(derived.program, sizes, arrays)
    others = {what: realisation(*arrays.values()) for what, realisation in (realisations or {}).items()}

    def alone(key: Key) -> Row:
        return _row(question(derived, sizes, arrays, key, STEPS), joint[derived.gradients[key]], rng, entries)

    judged: Mapping[Any, Row] = {}
    if derived.kind == "gradient" and len(derived.gradients) > MANY:
        names = tuple(map(str, derived.gradients))
        slope = STEPS.stepped(source, sizes, arrays, names, source.target)
        results = {n: joint[derived.gradients[n]] for n in names}
        judged = together(
            results, lambda vs, sign: float(slope({n: moved(source[n], v) for n, v in vs.items()}, sign)),
            alone, rng, entries, tolerance,
        )  # fmt: skip
    rows = []
    for key, result in derived.gradients.items():
        rows.append(judged[key] if judged else alone(key))
        for what, (_, gradients) in others.items():
            rows.append(_compare(shown(key), what, np.asarray(gradients[key]), joint[result]))
    if derived.kind == "jacobian":
        value = joint[source.target]
        for what, (values, _) in others.items():
            rows.append(_compare(source.target, what, np.asarray(values), value))
    return Verdict(tuple(rows), tolerance, sizes)


def _point(derived: Derived, rng: np.random.Generator) -> Arrays:
    """Random inputs at which the target and its gradients are finite."""
    source = derived.source
    sizes = small_sizes(source)
    for low, high in ((0.0, 0.0), *_RANGES):
        given = inputs(source, sizes, rng)
        for t in source.inputs if high else ():
            if not t.integer and t.role != "draw" and t.facts == Facts():
                given[t.name] = rng.uniform(low, high, given[t.name].shape)
        with np.errstate(all="ignore"):
            joint = run(derived.program, sizes, given)
        if all(np.isfinite(joint[name]).all() for name in (source.target, *derived.gradients.values())):
            return given
    raise Refusal(
        f"at no random point {source.target} and its gradients are finite numbers: declare where the inputs lie, "
        "such as `x: weight[n] > 0`, or give arrays"
    )


class _ComplexSteps:
    """Slopes by complex steps."""

    def run(self, program: Program, sizes: Mapping[str, int], arrays: Arrays) -> Arrays:
        return run(program, sizes, arrays)

    def stepped(
        self, program: Program, sizes: Mapping[str, int], arrays: Arrays, names: tuple[str, ...], watched: str
    ) -> Slope:
        program, arrays, shifts = movable(program, sizes, arrays, names)

        def slope(directions: Mapping[str, np.ndarray], sign: int) -> np.ndarray:
            moved = {shifts[n]: arrays[shifts[n]] + sign * 1j * STEP * v for n, v in directions.items()}
            found: np.ndarray = run(program, sizes, {**arrays, **moved})[watched].imag * (sign / STEP)
            return found

        return slope


STEPS = _ComplexSteps()


def _row(asked: Question, result: np.ndarray, rng: np.random.Generator, entries: int) -> Row:
    """Single entries of the variable, or some of them, and two random directions."""
    shape = asked.shape
    places = list(np.ndindex(*shape))
    if len(places) > entries:
        places = [places[k] for k in sorted(rng.choice(len(places), entries, replace=False))]
    tests: list[tuple[tuple[int, ...] | str, np.ndarray]] = []
    for one in places:
        v = np.zeros(shape)
        v[one] = 1.0
        tests.append((one, v))
    tests += [(f"direction {k + 1}", rng.standard_normal(shape)) for k in range(2 if len(places) > 1 else 0)]
    scale = max(1e-3, float(np.abs(result).max(initial=0)))
    worst = Row(asked.name, "complex step", -1.0, "", 0.0, 0.0)
    kinks = 0
    for place, v in tests:
        along = (v + np.swapaxes(v, -1, -2)) / 2 if asked.symmetric else v
        up, down = asked.slope(along, 1), asked.slope(along, -1)
        own = np.tensordot(result, v, len(shape))
        low, high = np.minimum(up, down), np.maximum(up, down)
        kinks += bool((high - low > 1e-12 * np.maximum(1.0, np.abs(high))).any())
        numeric = np.where(np.isnan(own), low, np.minimum(np.maximum(own, low), high))
        span = scale * (float(np.abs(v).sum()) if isinstance(place, str) else 1.0)
        errors = np.abs(own - numeric) / span
        if not errors.size:
            continue
        at = np.unravel_index(int(np.argmax(np.nan_to_num(errors, nan=np.inf))), errors.shape)
        error = float(errors[at])
        if not (error <= worst.error or np.isnan(worst.error)):
            where = place if isinstance(place, str) else (*map(int, at), *place)
            worst = Row(asked.name, "complex step", error, where, float(own[at]), float(numeric[at]))
    return replace(worst, error=max(worst.error, 0.0), kinks=kinks)


def _compare(name: str, what: str, other: np.ndarray, gradient: np.ndarray) -> Row:
    if other.shape != gradient.shape:
        return Row(name, what, float("inf"), f"shape {other.shape} for {gradient.shape}", 0.0, 0.0)
    scale = max(1e-3, float(np.abs(gradient).max(initial=0)))
    errors = np.abs(other - gradient) / scale
    if not errors.size:
        return Row(name, what, 0.0, (), 0.0, 0.0)
    place = tuple(
        int(k) for k in np.unravel_index(int(np.argmax(np.nan_to_num(errors, nan=np.inf))), errors.shape)
    )
    return Row(name, what, float(errors[place]), place, float(other[place]), float(gradient[place]))
