"""Wrong answers on purpose: what a derivative would be with one of the classic mistakes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from symgrad.exact.equality import close
from symgrad.exact.points import Point
from symgrad.explain.grading.candidates import candidates
from symgrad.explain.grading.mistake import Mistake
from symgrad.explain.grading.mistakes import Mistakes
from symgrad.explain.grading.scales import Scales
from symgrad.explain.grading.truth import Truth
from symgrad.language.bind import bind
from symgrad.language.trace import Derived, Key

_MOST = 150  # mistakes tried
_LARGE = 1e3


def wrong_answers(derived: Derived, key: Key, at: Mapping[str, Any]) -> dict[str, tuple[Mistake, np.ndarray]]:
    """Wrong numbers for a derivative, of the right shape: for each kind of mistake the likeliest that shows.

    Args:
        at: an array for each input.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> d = derive(read("x: weight[n]; loss = sum(x**2)"))
        >>> mistake, numbers = wrong_answers(d, "x", {"x": [1.0, 2.0]})["sign"]
        >>> mistake.why, numbers.tolist()
        ('the sign is wrong', [-2.0, -4.0])
    """
    sizes, arrays = bind(derived.source, at)
    truth = Truth(derived, Point(sizes, arrays, Truth(derived).points[0].exact))
    said = Mistakes(truth, key, tries=1).said
    right = np.asarray(truth.right(key, 0), float)
    names = [re.escape(n) for n, t in truth.program.tensors.items() if not t.named]
    unnamed = re.compile(rf"\b({'|'.join(names)})\b") if names else None  # nobody has seen these names
    found: dict[str, tuple[Mistake, np.ndarray]] = {}
    for mistake, a in _tried(truth, key, right):
        sound = (
            a is not None
            and a.shape == right.shape
            and np.isfinite(a).all()
            and a.any()
            and np.abs(a).max(initial=0) < _LARGE
        )
        # what another mistake gives as well could not be told from it
        if a is None or not sound or mistake.kind in found or any(close(a, b) for _, b in found.values()):
            continue
        told = said(mistake)
        if not close(a, right) and not (unnamed and unnamed.search(f"{told.why} {told.hint}")):
            found[mistake.kind] = (told, a)
    return found


def _tried(truth: Truth, key: Key, right: np.ndarray) -> Iterator[tuple[Mistake, np.ndarray | None]]:
    scales = Scales(truth, (0,))
    for scale in scales.all:
        mistake = scales.mistake(scale)
        if mistake.kind == "sign" or not scale.minus and mistake.why.endswith("is missing"):
            yield mistake, right * scale.values[0]
    for mistake, run in itertools.islice(candidates(truth, key), _MOST):
        # nobody who derives by hand takes one name for another, or a factor from nowhere
        if mistake.kind not in ("other", "name", "regularisation") and not mistake.why.startswith(
            "the factor"
        ):
            yield mistake, run(0)
