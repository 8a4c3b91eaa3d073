"""Answers as functions of Python, and as plain numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from symgrad.errors import SymgradError, did_you_mean, listing
from symgrad.exact.reals import Exact, Real
from symgrad.explain.grading.truth import Truth
from symgrad.language.trace import Key


def arguments(function: Callable[..., Any], truth: Truth, key: Key) -> list[tuple[str, bool]]:
    """The names that a function asks for, each with whether it goes by position.

    Raises:
        SymgradError: it asks for something that the problem does not have.
    """
    inputs = [t.name for t in truth.derived.source.inputs]
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return [(name, True) for name in inputs]
    known = {*inputs, *truth.desk(key).names()}
    found: list[tuple[str, bool]] = []
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            found += [(name, False) for name in inputs if name not in dict(found)]
        elif p.kind is p.VAR_POSITIONAL:
            found += [(name, True) for name in inputs] if not found else []
        elif p.name in known:
            found.append((p.name, p.kind is not p.KEYWORD_ONLY))
        elif p.default is p.empty:
            raise SymgradError(
                f"the function for {key} asks for '{p.name}', which is no name of this "
                f"problem{did_you_mean(p.name, known)}; it may ask for {listing(truth.desk(key).names())}"
            )
    return found


def called(
    function: Callable[..., Any],
    wanted: list[tuple[str, bool]],
    truth: Truth,
    key: Key,
    k: int,
    *,
    exact: bool,
) -> np.ndarray:
    """What a function gives at a point; a dictionary's or a pair's own part of the key."""
    values = [(_value(truth, name, k, exact=exact), by_place) for name, by_place in wanted]
    places = [v for v, by_place in values if by_place]
    named = {name: v for (name, by_place), (v, _) in zip(wanted, values, strict=True) if not by_place}
    with np.errstate(all="ignore"):
        result = function(*places, **named)
    if result is None:
        raise ValueError("it gives nothing back: `return` is missing")
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping):
        result = result[1]
    if isinstance(result, Mapping):
        result = result[key]
    return np.asarray(result, object if exact else None)


def _value(truth: Truth, name: str, k: int, *, exact: bool) -> Any:
    point = truth.place(k)
    if name in point.sizes:
        return point.sizes[name]
    given = point.objects if exact else point.floats
    if name in given:
        value = given[name]
    else:
        t = truth.signals.get(name)
        value = truth.joint(k, exact=exact)[t.name if t is not None else name]
    return value.copy() if value.shape else value[()]


def is_exact(a: np.ndarray, exact: Exact) -> bool:
    """Whether all entries are numbers that equality can be decided of."""
    return all(isinstance(x, Real) or exact.lift(x) is not None for x in a.flat)
