"""The numeric check: every derived gradient against steps through the reference realisation (`steps`), entry by entry
and along random directions.

At a kink the slopes to both sides differ, and anything between them is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.check.arguments import MOST, refuse
from symgrad.check.questions import Question, moved, question, short, shown
from symgrad.check.steps import ComplexSteps, Differences, digits_of
from symgrad.check.together import MANY, together
from symgrad.check.tried import few_points, points
from symgrad.check.verdict import Row, Verdict, errors_of, floats, scale_of, worst_of
from symgrad.errors import Refusal
from symgrad.exact.reals import MP
from symgrad.exact.ways import Ways
from symgrad.language.bind import bind
from symgrad.language.reference import Arrays
from symgrad.language.samples import work
from symgrad.language.trace import Derived, Key

_AT_KINKS = 8  # directions there
_ELSEWHERE = 100  # further points lie near 0 and far out, where more digits are lost
_COSTLY = 30_000  # numbers of many digits, beyond which not each gradient is judged by itself
Realisation = Callable[..., tuple[Any, Mapping[Any, Any]]]


def check(
    derived: Derived,
    given: Mapping[str, Any] | None = None,
    *,
    realisations: Mapping[str, Realisation] | None = None,
    seed: int = 0,
    entries: int = 24,
    tolerance: float | None = None,
    digits: int | None = None,
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
        tolerance: largest accepted error, relative to the largest entry of the gradient (at least 1e-3); 1e-9, and with
            `digits` half of them, if None.
        digits: compute in numbers of so many decimal digits, from 20 to 1000, with differences in place of complex
            steps; for the smallest sizes that differ, and of fewer entries where that is much to compute.

    Returns:
        the verdict; where no arrays were given and it finds nothing, that at other sizes, far out or near 0, if it
        finds something there, where a hundred tolerances count. So with a second derivative and the gradient that was
        differentiated.

    Raises:
        Refusal: an argument is none; the arrays do not fit; the result is no finite number for them, or at no random
            point; too many numbers for `digits`.
    """
    refuse(given, seed, entries, tolerance, digits)
    if tolerance is None:
        tolerance = 1e-9 if digits is None else max(10.0 ** -(digits // 2), 1e-300)
    with MP.workdps(digits or MP.dps), np.errstate(all="ignore"):
        judge = _Judge(
            np.random.default_rng(seed), tolerance, ComplexSteps() if digits is None else digits_of(digits)
        )
        verdict = judge.verdict(derived, given, realisations or {}, entries)
        base = derived.base
        if verdict.ok and base is not None:
            own = None if given is None else {n: a for n, a in given.items() if n in base.source.tensors}
            first = check(base, own, seed=seed, entries=entries, tolerance=tolerance, digits=digits)
            if not first.ok:
                return first
    return verdict


@dataclass
class _Judge:
    """How derivations are judged: `how` is the way to their slopes."""

    rng: np.random.Generator
    tolerance: float
    how: ComplexSteps | Differences

    def verdict(
        self, derived: Derived, given: Mapping[str, Any] | None, realisations: Mapping[str, Realisation], entries: int
    ) -> Verdict:  # fmt: skip
        source, ways = derived.source, Ways(derived.source)
        draw = points if isinstance(self.how, ComplexSteps) else few_points
        tried = draw(derived, self.rng, ways) if given is None else iter([bind(source, given)])
        point = next(tried)
        verdict = self.at(derived, *point, realisations, entries)
        ways.take(*point)
        for point in tried if verdict.ok else ():
            again = self.at(derived, *point, realisations, min(entries, 2))
            if not again.worst <= _ELSEWHERE * self.tolerance:
                return again
            ways.take(*point)
        return replace(verdict, untaken=ways.untaken)

    def at(
        self, derived: Derived, sizes: Mapping[str, int], floats: Arrays, realisations: Mapping[str, Realisation],
        entries: int,
    ) -> Verdict:  # fmt: skip
        """The verdict at one point."""
        source, how = derived.source, self.how
        cost = work(source, sizes) + 1
        if cost > how.most:
            raise Refusal(
                "this computes too many numbers of many digits: declare smaller sizes, or check it without `digits`"
            )
        many = len(derived.gradients) > MANY
        if not isinstance(how, ComplexSteps):
            cost *= len(derived.gradients)
            many, entries = many or cost > _COSTLY, max(1, min(entries, 4 * _COSTLY // cost))
        arrays = how.given(source, floats)
        joint = how.run(derived.program, sizes, arrays)
        with np.errstate(all="ignore"):
            defined = np.asarray(how.run(source, sizes, arrays)[source.target])
        overflows = _not_finite(defined) is not None
        rows = self._of_value(derived, defined, joint[source.target])
        others = {what: realisation(*floats.values()) for what, realisation in realisations.items()}

        def alone(key: Key) -> Row:
            result = derived.gradients[key]
            with np.errstate(all="ignore"):  # a slope that is no number is judged once more, or told
                row = _row(question(derived, sizes, arrays, key, how), joint[result], self.rng, entries)
            failed = math.isnan(row.error) or (overflows and row.error > self.tolerance)
            if failed and isinstance(how, ComplexSteps) and np.isfinite(joint[result]).all():
                return self._in_digits(derived, sizes, floats, key, joint[result], entries) or row
            return row

        judged: Mapping[Any, Row] = {}
        if derived.kind == "gradient" and many:
            names = tuple(map(str, derived.gradients))
            slope = how.stepped(source, sizes, arrays, names, source.target)
            judged = together(
                {n: joint[derived.gradients[n]] for n in names},
                lambda vs: slope({n: moved(source[n], v) for n, v in vs.items()}),
                alone, self.rng, entries, self.tolerance,
            )  # fmt: skip
        for key, result in derived.gradients.items():
            rows.append(judged[key] if judged else alone(key))
            for what, (_, gradients) in others.items():
                rows.append(_compare(shown(key), what, np.asarray(gradients[key]), joint[result]))
        for what, (value, _) in others.items() if derived.kind in ("gradient", "jacobian") else ():
            row = _compare(source.target, what, np.asarray(value), joint[source.target])
            if derived.kind == "jacobian" or not row.error <= self.tolerance:
                rows.append(row)
        return Verdict(tuple(rows), self.tolerance, sizes)

    def _in_digits(
        self, derived: Derived, sizes: Mapping[str, int], floats: Arrays, key: Key, result: np.ndarray, entries: int
    ) -> Row | None:  # fmt: skip
        """The row of a result where the definition overflows in floats, as a softmax by hand does at 1000, and its
        stable form does not: in so many digits that exp(1000) stands beside 1. None where that is too much."""
        how = digits_of(MOST)
        cost = work(derived.source, sizes) + 1
        if cost > how.most:
            return None
        name = derived.gradients[key]
        with MP.workdps(MOST):
            asked = question(derived, sizes, how.given(derived.source, floats), key, how)
            exactly = how.given(derived.program, {name: result})[name]
            return _row(asked, exactly, self.rng, max(1, min(entries, _COSTLY // cost)))

    def _of_value(self, derived: Derived, defined: np.ndarray, value: np.ndarray) -> list[Row]:
        """A row where the derived program computes another value of the target than its definition."""
        target = derived.source.target
        if (there := _not_finite(defined)) is not None:
            if _not_finite(value) is not None:
                raise Refusal(
                    f"{target} is {there} for these arrays, and has no gradient there: give some for which it is finite"
                )
            return []  # a stable form may have a value where the definition overflows
        row = _compare(target, "its definition", value, defined)
        return [] if row.error <= self.tolerance else [row]


def _not_finite(values: np.ndarray) -> float | None:
    """The first that is infinite or no number."""
    found = floats(values)
    found = found[~np.isfinite(found)]
    return float(found.flat[0]) if found.size else None


def _row(asked: Question, result: np.ndarray, rng: np.random.Generator, entries: int) -> Row:
    """Single entries of the variable, or some of them, and random directions: more of them where entries are at a
    kink, and some in which only those move."""
    shape = asked.shape
    places = list(np.ndindex(*shape))
    if len(places) > entries:
        places = [places[k] for k in sorted(rng.choice(len(places), entries, replace=False))]
    scale = scale_of(result)
    endless = np.isinf(floats(result))
    level = endless.any(tuple(range(result.ndim - len(shape))))
    rows, corners = [], np.zeros(shape, bool)
    for one in places:
        v = np.zeros(shape)
        v[one] = 1.0
        rows.append(_along(asked, result, v, one, scale))
        corners[one] = rows[-1].kinks > 0
    # an infinite slope says nothing of a sum that it is part of
    result = np.where(endless, 0, result)
    for told, random in _directions(rng, len(places), corners):
        v = np.where(level, 0, random)
        rows.append(_along(asked, result, v, told, scale * float(np.abs(v).sum())))
    if not rows:
        return Row(asked.name, "nothing", 0.0, "", 0.0, 0.0)
    return replace(worst_of(rows), kinks=int(corners.sum()) or sum(r.kinks for r in rows))


def _directions(
    rng: np.random.Generator, places: int, corners: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """What moves many entries at once.

    A gradient may lie between the slopes for every entry and yet be none: at a tie of two for a maximum, both entries 1
    or both 0. Moved by the same the two tell that, for then nothing parts; and the more directions there are, the less
    room is between all their slopes.
    """
    for k in range(0 if places < 2 else _AT_KINKS if corners.any() else 2):
        yield f"direction {k + 1}", short(rng.standard_normal(corners.shape))
    if corners.sum() > 1:
        yield "all at a kink", corners * 1.0
        yield "some at a kink", corners * short(rng.uniform(0.5, 1.5, corners.shape))


def _along(
    asked: Question, result: np.ndarray, v: np.ndarray, told: tuple[int, ...] | str, span: float
) -> Row:
    """The worst of the watched entries along one direction."""
    sides = asked.slope((v + np.swapaxes(v, -1, -2)) / 2 if asked.symmetric else v)
    moving = v != 0
    own = np.asarray(np.tensordot(np.where(moving, result, 0), v, len(asked.shape)))
    numeric = np.asarray(sides.nearest(own))
    errors = errors_of(own, numeric, span)
    if not errors.size:
        return Row(asked.name, sides.against, 0.0, told, 0.0, 0.0)
    at = np.unravel_index(int(np.argmax(np.nan_to_num(errors, nan=np.inf))), errors.shape)
    where = told if isinstance(told, str) else (*map(int, at), *told)
    return Row(
        asked.name,
        sides.against,
        float(errors[at]),
        where,
        float(own[at]),
        float(numeric[at]),
        int(sides.parted),
    )


def _compare(name: str, what: str, other: np.ndarray, gradient: np.ndarray) -> Row:
    if other.shape != gradient.shape:
        return Row(name, what, float("inf"), f"shape {other.shape} for {gradient.shape}", 0.0, 0.0)
    errors = errors_of(gradient, other, scale_of(gradient))
    if not errors.size:
        return Row(name, what, 0.0, (), 0.0, 0.0)
    place = tuple(
        int(k) for k in np.unravel_index(int(np.argmax(np.nan_to_num(errors, nan=np.inf))), errors.shape)
    )
    return Row(name, what, float(errors[place]), place, float(other[place]), float(gradient[place]))
