"""The numeric check: every derived gradient against complex steps through the reference realisation.

f(x + ih v) = f(x) + ih v·∇f + O(h²), so Im f/h is the directional derivative without any cancellation
(W. Squire and G. Trapp, SIAM Review 40, 1998). With h = 1e-30 it is exact to rounding. NumPy compares complex numbers
by their real parts first, so the branch of a kink (relu, max, abs) is chosen as for the real number; exactly at a kink
the two signs of h give the two one-sided slopes, and anything between them is accepted.

A computed tensor is stepped through a shift of zeros that is added to it once it is complete.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from symgrad.check.questions import Question, Slope, movable, moved, question, shown
from symgrad.check.together import MANY, together
from symgrad.check.verdict import Row, Verdict
from symgrad.errors import Refusal
from symgrad.exact.points import work
from symgrad.language.bind import bind
from symgrad.language.program import Facts, Program
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import inputs, small_sizes
from symgrad.language.trace import Derived, Key

STEP = 1e-30
# the least sizes of a second point, all odd, and how many entries the statements may have with them
_STARTS = ((15, 1500), (9, 1500), (5, 30_000), (3, math.inf))
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

    Returns:
        the verdict; where no arrays were given and it finds nothing, that at other sizes if it finds something there.
        So with a second derivative and the gradient that was differentiated.
    """
    rng = np.random.default_rng(seed)
    points = _points(derived, rng) if given is None else iter([given])
    verdict = _at(derived, next(points), realisations or {}, rng, entries, tolerance)
    for point in points if verdict.ok else ():
        again = _at(derived, point, realisations or {}, rng, min(entries, 2), tolerance)
        if not again.ok:
            return again
    base = derived.base
    if verdict.ok and base is not None:
        own = None if given is None else {name: a for name, a in given.items() if name in base.source.tensors}
        first = check(base, own, seed=seed, entries=entries, tolerance=tolerance)
        if not first.ok:
            return first
    return verdict


def _at(
    derived: Derived, given: Mapping[str, Any], realisations: Mapping[str, Realisation], rng: np.random.Generator,
    entries: int, tolerance: float,
) -> Verdict:  # fmt: skip
    """The verdict at one point."""
    source = derived.source
    sizes, arrays = bind(source, given)
    joint = run(derived.program, sizes, arrays)
    others = {what: realisation(*arrays.values()) for what, realisation in realisations.items()}

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
    rows = _of_value(derived, sizes, arrays, joint[source.target], tolerance)
    for key, result in derived.gradients.items():
        rows.append(judged[key] if judged else alone(key))
        for what, (_, gradients) in others.items():
            rows.append(_compare(shown(key), what, np.asarray(gradients[key]), joint[result]))
    if derived.kind == "jacobian":
        value = joint[source.target]
        for what, (values, _) in others.items():
            rows.append(_compare(source.target, what, np.asarray(values), value))
    return Verdict(tuple(rows), tolerance, sizes)


def _of_value(
    derived: Derived, sizes: Mapping[str, int], arrays: Arrays, value: np.ndarray, tolerance: float
) -> list[Row]:
    """A row where the derived program computes another value of the target than its definition."""
    target = derived.source.target
    defined = run(derived.source, sizes, arrays)[target]
    if not np.isfinite(defined).all():
        return []  # a stable form may have a value where the definition overflows
    row = _compare(target, "its definition", value, defined)
    return [] if row.error <= tolerance else [row]


def _points(derived: Derived, rng: np.random.Generator) -> Iterator[Arrays]:
    """Random inputs of small sizes, then of sizes in another order: larger ones, as long as that is cheap, so that
    there are enough entries on both sides of every kink and inside every window."""
    source = derived.source
    yield _point(derived, small_sizes(source), rng)
    turned = replace(source, sizes=source.sizes[::-1])
    for start, most in _STARTS:
        sizes = small_sizes(turned, start)
        if work(derived.program, sizes) <= most:
            with contextlib.suppress(Refusal):  # where numbers grow with the sizes
                yield _point(derived, {letter: sizes[letter] for letter in source.sizes}, rng)
                return


def _point(derived: Derived, sizes: Mapping[str, int], rng: np.random.Generator) -> Arrays:
    """Random inputs at which the target and its gradients are finite; or those at which they are not, but should be."""
    source = derived.source
    for low, high in ((0.0, 0.0), *_RANGES):
        given = inputs(source, sizes, rng)
        for t in source.inputs if high else ():
            if not t.integer and t.role != "draw" and t.facts == Facts():
                given[t.name] = rng.uniform(low, high, given[t.name].shape)
        with np.errstate(all="ignore"):
            joint = run(derived.program, sizes, given)
            if all(np.isfinite(joint[name]).all() for name in (source.target, *derived.gradients.values())):
                return given
            if _smooth(source, sizes, given, rng):
                return given
    raise Refusal(
        f"at no random point {source.target} and its gradients are finite numbers: declare where the inputs lie, "
        "such as `x: weight[n] > 0`, or give arrays"
    )


def _smooth(source: Program, sizes: Mapping[str, int], given: Arrays, rng: np.random.Generator) -> bool:
    """Whether the definition has a finite value and a finite slope here."""
    moved = {
        t.name: given[t.name] + 1j * STEP * rng.standard_normal(given[t.name].shape)
        for t in source.role("weight", "data") if not t.integer
    }  # fmt: skip
    return all(np.isfinite(run(source, sizes, g)[source.target]).all() for g in (given, {**given, **moved}))


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
