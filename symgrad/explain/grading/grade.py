"""The verdict on answers: read, compared, and what is wrong found out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.errors import Refusal, SymgradError, did_you_mean, listing
from symgrad.exact.equality import close, rounds_to, same_digits, same_exactly
from symgrad.exact.points import Point
from symgrad.exact.reals import Exact
from symgrad.exact.ways import has_kinks
from symgrad.explain import result_text
from symgrad.explain.grading.answers import Answer
from symgrad.explain.grading.functions import arguments, called, is_exact
from symgrad.explain.grading.mistake import Mistake
from symgrad.explain.grading.mistakes import Mistakes
from symgrad.explain.grading.repairs import repaired
from symgrad.explain.grading.scales import FACTOR
from symgrad.explain.grading.shapes import misshapen
from symgrad.explain.grading.terms import difference
from symgrad.explain.grading.truth import Truth
from symgrad.explain.grading.verdict import Grade, together
from symgrad.language.bind import bind
from symgrad.language.trace import Derived, Key

_AGAIN = "Go from the loss back, one step at a time: every use of a quantity adds outer derivative times inner one."
_SIZES = re.compile(r"the (inner )?sizes [^;\n]*? and [^;\n]*? differ")
_FITTING = re.compile(r"; [^;\n]* would fit(?=\n|$)")
Values = Callable[[int, bool], np.ndarray]


@dataclass(frozen=True)
class Decision:
    """Whether two are equal, and how that was decided."""

    right: bool
    how: str
    shapes: bool = True  # whether they have the same shape


def grade(truth: Truth, answers: Mapping[Key, Any], at: Mapping[str, Any] | None = None) -> Grade:
    """Answers for derivatives, judged.

    Args:
        truth: the derivation that they are about.
        answers: for each name (or pair of names) text of the language, a function, or numbers.
        at: the inputs at which numbers were computed.

    Raises:
        SymgradError: an answer cannot be read, or is for something that was not derived.
    """
    derived = truth.derived
    if not answers:
        raise SymgradError(f"there is nothing to grade: give an answer for {_among(derived)}")
    for key in answers:
        if key not in derived.gradients:
            names = [k for k in derived.gradients if isinstance(k, str)]
            near = did_you_mean(key, names) if isinstance(key, str) else ""
            raise SymgradError(
                f"the derivation has no result by {key!r}{near}; it has those by {_among(derived)}"
            )
    point = None
    if at is not None:
        try:
            sizes, arrays = bind(derived.source, at)
        except Refusal as problem:
            raise SymgradError(problem.reason) from None
        point = Point(sizes, arrays, Exact())
    there = Truth(derived, point) if point is not None else None
    try:
        return together(tuple(_graded(truth, there, key, given) for key, given in answers.items()))
    except Refusal as problem:
        raise SymgradError(problem.reason) from None


def _among(derived: Derived) -> str:
    return listing(k if isinstance(k, str) else repr(k) for k in derived.gradients)


def _graded(truth: Truth, there: Truth | None, key: Key, given: Any) -> Grade:
    solution = result_text(truth.derived, key)
    if isinstance(given, str):
        return _text(truth, key, given, solution)
    if callable(given):
        return _function(truth, key, given, solution)
    return _numbers(there, key, given, solution)


def _text(truth: Truth, key: Key, given: str, solution: str) -> Grade:
    try:
        answer = truth.desk(key).read(given)
    except SymgradError as problem:
        mistake = _refitted(truth, key, given, str(problem))
        if mistake is None:
            raise SymgradError(_FITTING.sub("", str(problem))) from None  # it would fit, and be no derivative
        return _told(key, mistake, given.strip(), solution)

    def values(k: int, exact: bool) -> np.ndarray:
        return np.asarray(truth.value(answer, k, exact=exact))

    decision = decided(truth, key, values, answer)
    shown = answer.text.strip()
    if decision.right:
        return Grade(key, True, decision.how, given=shown, solution=solution)
    if not decision.shapes:
        had = answer.program[answer.name].shape
        return _told(key, _misshapen(truth, key, values, had, given), shown, solution)
    return _wrong(truth, key, values, shown, solution, answer)


def _refitted(truth: Truth, key: Key, given: str, problem: str) -> Mistake | None:
    """What is wrong with an answer that cannot be read, where a repair gives it the derivative's shape."""
    repairs = repaired(truth, key, given)
    sizes = _SIZES.search(problem)
    if repairs.mistake is not None:
        mistake = repairs.mistake
    elif repairs.fitting is not None and sizes:
        mistake = _also(truth, key, *repairs.fitting)
    else:
        return None
    if mistake.kind == "transpose" and sizes and "must be transposed" in mistake.why:
        return replace(mistake, why=f"a transpose is missing: {sizes[0]}; {mistake.why}")
    return mistake


def _also(truth: Truth, key: Key, mistake: Mistake, given: list[np.ndarray]) -> Mistake:
    """A mistake, and with it repaired the next one."""
    further = Mistakes(truth, key).find(given)
    more = further.why if further is not None else "even so it is not the derivative"
    return replace(mistake, why=f"{mistake.why}; and {more}")


def _told(key: Key, mistake: Mistake, shown: str, solution: str, differs: str = "") -> Grade:
    why = f"not equal to the derivative by {_of(key)}: {mistake.why}"
    return Grade(key, False, why, mistake.hint, mistake.why, differs, shown, solution)


def _of(key: Key) -> str:
    return key if isinstance(key, str) else " and ".join(key)


def _misshapen(truth: Truth, key: Key, values: Values, had: Any, text: str = "") -> Mistake:
    """What is wrong with an answer of another shape: how it is turned or summed, or what would mend the text."""
    bar = truth.derived.gradients[key]
    k = next(k for k in range(len(truth.points)) if values(k, False).shape != _right(truth, key, k).shape)
    a, b = np.asarray(values(k, False), float), np.asarray(_right(truth, key, k), float)
    shape = had if had is not None else a.shape
    mistake = misshapen(a, b, shape, truth.derived.program[bar].shape, _of(key), close)
    if not text or mistake.known:
        return mistake
    repairs = repaired(truth, key, text)
    mended = repairs.mistake or (_also(truth, key, *repairs.fitting) if repairs.fitting else None)
    return replace(mistake, kind=mended.kind, why=f"{mistake.why}: {mended.why}") if mended else mistake


def _right(truth: Truth, key: Key, k: int, *, exact: bool = False) -> np.ndarray:
    return np.asarray(truth.right(key, k, exact=exact))


def decided(truth: Truth, key: Key, values: Values, answer: Answer | None = None) -> Decision:
    """Whether an answer equals a derivative, at every point.

    Where either has kinks, further points are tried in floating point, and decided at where they are not close there.
    """
    count = list(range(len(truth.points)))
    for k in count:
        if values(k, False).shape != _right(truth, key, k).shape:
            return Decision(False, "", shapes=False)
    if truth.kinks or answer is None or has_kinks(answer.program):
        scouts = range(len(count), len(count) + len(truth.scouts))
        far = next((k for k in scouts if not close(values(k, False), _right(truth, key, k))), None)
        count = count if far is None else [far, *count]
    exactly, digits, tried = True, True, 0
    for k in count:
        if truth.heavy(answer, k):
            if not close(values(k, False), _right(truth, key, k)):
                return Decision(False, "")
            continue
        exact = truth.place(k).exact
        a, b = values(k, True), _right(truth, key, k, exact=True)
        exactly = exactly and same_exactly(a, b, exact)
        digits = digits and same_digits(a, b, exact)
        tried += 1
        if not (exactly or digits):
            return Decision(False, "")
    if not tried:
        return Decision(True, "equal in floating point at random inputs (too large for exact arithmetic)")
    if exactly:
        return Decision(True, "equal, decided in exact arithmetic at random inputs of several sizes")
    return Decision(True, "equal to 40 digits at random inputs of several sizes")


def _wrong(truth: Truth, key: Key, values: Values, shown: str, solution: str, answer: Answer | None) -> Grade:
    """A wrong answer of the right shape: which mistake gives it, and the first term that differs."""
    mistakes = Mistakes(truth, key, same=close if len(truth.points) > 1 else rounds_to)
    given = [np.asarray(values(k, False), float) for k in mistakes.places]
    if not all(np.isfinite(a).all() for a in given):
        return _told(
            key, Mistake("value", "it is no finite number at random inputs", _AGAIN), shown, solution
        )
    if answer is not None and _close_everywhere(truth, key, values):
        near = Mistake("value", "it is nearly right: a number in it is rounded", FACTOR)
        return _told(key, near, shown, solution)
    mistake = mistakes.find(given)
    differs = difference(truth, key, answer) if answer is not None else ""
    if mistake is None and answer is not None:
        mistake = repaired(truth, key, answer.text).mistake
    if mistake is not None:
        return _told(key, mistake, shown, solution, differs)
    why = f"not equal to the derivative by {_of(key)}"
    return Grade(key, False, why, _AGAIN, "", differs, shown, solution)


def _close_everywhere(truth: Truth, key: Key, values: Values) -> bool:
    """Whether an answer cannot be told from the derivative in floating point, at any point."""
    count = range(len(truth.points) + len(truth.scouts))
    return all(close(values(k, False), _right(truth, key, k)) for k in count)


def _function(truth: Truth, key: Key, given: Callable[..., Any], solution: str) -> Grade:
    """A function: in exact arithmetic if it takes arrays of such numbers, else in floating point."""
    wanted = arguments(given, truth, key)
    shown = getattr(given, "__name__", "a function")

    def run(k: int, exact: bool) -> np.ndarray:
        return called(given, wanted, truth, key, k, exact=exact)

    try:
        floats = [np.asarray(run(k, False), float) for k in range(len(truth.points) + len(truth.scouts))]
    except Exception as problem:  # noqa: BLE001 - the student's function may raise anything
        raise SymgradError(
            f"the function for {_of(key)} raised {type(problem).__name__}: {problem}"
        ) from None

    def values(k: int, exact: bool) -> np.ndarray:
        return run(k, True) if exact else floats[k]

    if any(a.shape != _right(truth, key, k).shape for k, a in enumerate(floats)):
        return _told(key, _misshapen(truth, key, values, None), shown, solution)
    if all(close(a, _right(truth, key, k)) for k, a in enumerate(floats)):
        how = "equal in floating point at random inputs of several sizes"
        decision = Decision(True, how)
    else:
        decision = Decision(False, "")
    try:
        takes = is_exact(run(0, True), truth.points[0].exact)
        if takes and (exact := decided(truth, key, values)).right:
            decision = exact
    except Exception:  # noqa: BLE001, S110 - then it takes floats only
        pass
    if decision.right:
        return Grade(key, True, decision.how, given=shown, solution=solution)
    return _wrong(truth, key, values, shown, solution, None)


def _numbers(there: Truth | None, key: Key, given: Any, solution: str) -> Grade:
    try:
        numbers = np.asarray(given, float)
    except (TypeError, ValueError):
        raise SymgradError(
            f"an answer is text of the language, a function, or numbers; for {key} it is {type(given).__name__}"
        ) from None
    if there is None:
        raise SymgradError(
            f"the answer for {key} is numbers, which are right at some inputs: give them too, at={{...}} with an "
            "array for each input"
        )
    right = _right(there, key, 0)
    shown = np.array2string(numbers, threshold=60)
    if numbers.shape != right.shape:
        return _told(key, _misshapen(there, key, lambda _k, _: numbers, numbers.shape), shown, solution)
    if rounds_to(numbers, right):
        return Grade(key, True, "equal at these inputs, to the digits given", given=shown, solution=solution)
    return _wrong(there, key, lambda _k, _: numbers, shown, solution, None)
