"""The numeric check: every derived gradient against complex steps through the reference realisation.

f(x + ih v) = f(x) + ih v·∇f + O(h²), so Im f/h is the directional derivative without any cancellation
(W. Squire and G. Trapp, SIAM Review 40, 1998). With h = 1e-30 it is exact to rounding. NumPy compares complex numbers
by their real parts first, so the branch of a kink (relu, max, abs) is chosen as for the real number; exactly at a kink
the two signs of h give the two one-sided slopes, and anything between them is accepted.

A computed tensor is stepped through a shift of zeros that is added to it once it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.check.together import MANY, together
from symgrad.check.verdict import Row, Verdict
from symgrad.errors import Refusal
from symgrad.language import ints
from symgrad.language.bind import bind
from symgrad.language.expr import Access
from symgrad.language.ints import Int
from symgrad.language.program import Facts, Program, Statement, Tensor
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import inputs, numbers, small_sizes
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
        return _row(_question(derived, sizes, arrays, key), joint[derived.gradients[key]], rng, entries)

    judged: Mapping[Any, Row] = {}
    if derived.kind == "gradient" and len(derived.gradients) > MANY:
        names = tuple(map(str, derived.gradients))
        slope = _stepped(source, sizes, arrays, names, source.target)
        results = {n: joint[derived.gradients[n]] for n in names}
        judged = together(
            results, lambda vs, sign: float(slope({n: _moved(source[n], v) for n, v in vs.items()}, sign)),
            alone, rng, entries, tolerance,
        )  # fmt: skip
    rows = []
    for key, result in derived.gradients.items():
        rows.append(judged[key] if judged else alone(key))
        for what, (_, gradients) in others.items():
            rows.append(_compare(_shown(key), what, np.asarray(gradients[key]), joint[result]))
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


def _shown(key: Key) -> str:
    return key if isinstance(key, str) else ", ".join(key)


@dataclass(frozen=True)
class _Question:
    """What a result is asked: for a direction `v` of the variable, in `shape`, the slope of each watched entry.

    The result has the watched axes first, then `shape`. `symmetric`: the variable only moves along symmetric `v`.
    """

    name: str
    shape: tuple[int, ...]
    slope: Callable[[np.ndarray, int], np.ndarray]
    symmetric: bool = False


def _question(derived: Derived, sizes: Mapping[str, int], arrays: Arrays, key: Key) -> _Question:
    """The question for one result: of which program, which tensor moves, and which is watched."""
    source, base = derived.source, derived.base
    if derived.kind == "hvp" and base is not None:
        assert isinstance(key, str)
        vectors = dict(zip(base.gradients, [n for n in arrays if n not in base.source.tensors], strict=True))
        moves = {str(w): _moved(source[str(w)], arrays[v]) for w, v in vectors.items()}
        slope = _stepped(base.program, sizes, arrays, tuple(moves), base.gradients[key])
        return _Question(key, (), lambda v, sign: slope({w: m * v for w, m in moves.items()}, sign))
    program, name, watched = source, key, source.target
    if base is not None and not isinstance(key, str):
        first, name = key
        program, watched = base.program, base.gradients[first]
    assert isinstance(name, str)
    t = source[name]
    if derived.kind == "per example":
        count = derived.program[derived.gradients[key]].shape[0]
        slopes = [
            _stepped(copies, sizes, values, (name,), watched)
            for copies, values in _alone(source, sizes, arrays, tuple(map(str, derived.gradients)), count)
        ]

        def each(v: np.ndarray, sign: int) -> np.ndarray:
            return np.array([slope({name: v}, sign) for slope in slopes]) / len(slopes)

        return _Question(name, numbers(t, sizes), each, t.facts.symmetric)
    slope = _stepped(program, sizes, arrays, (name,), watched)
    return _Question(
        _shown(key), numbers(t, sizes), lambda v, sign: slope({name: v}, sign), t.facts.symmetric
    )


def _moved(t: Tensor, v: np.ndarray) -> np.ndarray:
    """A direction that a tensor can move along: one that is declared symmetric stays so."""
    return (v + np.swapaxes(v, -1, -2)) / 2 if t.facts.symmetric else v


def _alone(
    program: Program, sizes: Mapping[str, int], arrays: Arrays, names: tuple[str, ...], count: Int
) -> list[tuple[Program, Arrays]]:
    """For each example what would be computed if all examples were like it: its share is that loss, shared equally.

    What does not depend on the variables is kept, for it may be a statistic of all examples.
    """
    values = run(program, sizes, arrays)
    moved = dict.fromkeys(names)
    for s in program.statements:
        if any(r in moved for r in s.reads):
            moved[s.out] = None
    again = replace(program, statements=tuple(s for s in program.statements if s.out in moved))
    found = []
    for one in range(int(count.evaluate(lambda a: sizes[a.name]))):  # type: ignore[union-attr]
        given = {n: a for n, a in values.items() if n not in moved or n in names}
        for n, a in given.items():
            for k, size in enumerate(program[n].shape):
                if size == count:
                    given[n] = np.repeat(np.take(a, [one], k), a.shape[k], k)
        found.append((again, given))
    return found


def exposed(program: Program, name: str) -> tuple[Program, str]:
    """The program with a shift, a new input, added to a computed tensor before anything reads it, and its name.

    Example:
        >>> from symgrad.language.reader import read
        >>> p, shift = exposed(read("x: weight[n]\\ny = x**2\\nloss = sum(y)"), "y")
        >>> print(p.statements[1])
        y[i_0] = y_bare[i_0] + y_shift[i_0]
    """
    t = program[name]
    bare = program.fresh(f"{name}_bare")
    shift = program.fresh(f"{name}_shift")
    axes = tuple((f"i_{k}", n) for k, n in enumerate(t.shape))
    index = tuple(ints.axis(a) for a, _ in axes)
    whole = Statement(name, index, "=", Access(bare, index) + Access(shift, index), axes)
    # a row before the first is no entry of the tensor, and is what it is
    moved = [s for s in program.writers(name) if all((i.number or 0) >= 0 for i in s.left)]
    looped = next((s for s in moved if s.scan is not None), None)
    if looped is not None and looped.scan is not None:
        step = next(a for a, i in zip(axes, looped.left, strict=True) if looped.scan.axis in i.axes)
        whole = replace(whole, scan=replace(looped.scan, axis=step[0]))
    statements: list[Statement] = []
    for s in program.statements:
        statements.append(replace(s, out=bare) if s in moved else s)
        if s == moved[-1]:
            statements.append(whole)
    tensors = {
        **program.tensors,
        bare: replace(t, name=bare, early=()),
        shift: Tensor(shift, t.shape, "data"),
    }
    return replace(program, tensors=tensors, statements=tuple(statements)), shift


def _stepped(
    program: Program, sizes: Mapping[str, int], arrays: Arrays, names: tuple[str, ...], watched: str
) -> Callable[[Mapping[str, np.ndarray], int], np.ndarray]:
    """The slope of a tensor along directions of some others, by a complex step to one side (`sign` is 1 or -1)."""
    shifts: dict[str, str] = {}
    for name in names:
        shifts[name] = name
        if program.writers(name):
            program, shifts[name] = exposed(program, name)
            arrays = {**arrays, shifts[name]: np.zeros(numbers(program[name], sizes))}

    def slope(directions: Mapping[str, np.ndarray], sign: int) -> np.ndarray:
        moved = {shifts[n]: arrays[shifts[n]] + sign * 1j * STEP * v for n, v in directions.items()}
        found: np.ndarray = run(program, sizes, {**arrays, **moved})[watched].imag * (sign / STEP)
        return found

    return slope


def _row(question: _Question, result: np.ndarray, rng: np.random.Generator, entries: int) -> Row:
    """Single entries of the variable, or some of them, and two random directions."""
    shape = question.shape
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
    worst = Row(question.name, "complex step", -1.0, "", 0.0, 0.0)
    kinks = 0
    for place, v in tests:
        along = (v + np.swapaxes(v, -1, -2)) / 2 if question.symmetric else v
        up, down = question.slope(along, 1), question.slope(along, -1)
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
            worst = Row(question.name, "complex step", error, where, float(own[at]), float(numeric[at]))
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
