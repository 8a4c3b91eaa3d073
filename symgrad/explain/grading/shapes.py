"""Answers of another shape than the derivative's: which way they are turned, what is summed or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from symgrad.explain.grading.mistake import Mistake

Compare = Callable[[np.ndarray, np.ndarray], bool]


def shown(shape: Sequence[object]) -> str:
    return f"[{', '.join(map(str, shape))}]" if shape else "a single number"


def misshapen(
    given: np.ndarray,
    right: np.ndarray,
    had: Sequence[object],
    wanted: Sequence[object],
    of: str,
    same: Compare,
) -> Mistake:
    """What is to be said of an answer of the shape `had` where `wanted`, that of the variable `of`, is right.

    Args:
        given, right: the two at a point, where the sizes differ.
    """
    lead = f"your answer is {shown(had)}, and the derivative by {of} has its shape, {shown(wanted)}"
    hint = f"Compare shapes: {of} is {shown(wanted)}, and your answer is {shown(had)}."
    if given.ndim == right.ndim and given.ndim > 1 and given.T.shape == right.shape:
        if same(given.T, right):
            said = "this is the gradient in Jacobian layout, the transpose of the gradient"
            return Mistake("transpose", f"{lead}: {said}; write its transpose", hint)
        return Mistake(
            "transpose", f"{lead}: it lies the other way round, and its transpose is not right either", hint
        )
    squeezed = given.reshape([n for n in given.shape if n != 1])
    if squeezed.shape == right.shape and given.ndim > right.ndim and same(squeezed, right):
        return Mistake(
            "shape", f"{lead}: the entries are right, but it has an axis of one entry too many", hint
        )
    for axis in range(given.ndim):
        rest = np.delete(given.shape, axis)
        if tuple(rest) == right.shape:
            total = np.asarray(given.sum(axis=axis))
            if same(total, right):
                return Mistake("sum", f"{lead}: the sum over {had[axis]} is missing", hint)
            if same(total / given.shape[axis], right):
                return Mistake("sum", f"{lead}: the mean over {had[axis]} is missing", hint)
    for axis in range(right.ndim):
        if tuple(np.delete(right.shape, axis)) == given.shape:
            total = np.asarray(right.sum(axis=axis))
            if same(total, given):
                return Mistake("sum", f"{lead}: it is summed over {wanted[axis]}, which stays", hint)
            if same(total / right.shape[axis], given):
                return Mistake("sum", f"{lead}: it is the mean over {wanted[axis]}, which stays", hint)
    try:
        spread = np.broadcast_to(given, right.shape)
    except ValueError:
        return Mistake("shape", lead, hint, known=False)
    if same(spread, right):
        return Mistake(
            "shape", f"{lead}: the number is right for every entry, but each entry must be written", hint
        )
    return Mistake("shape", lead, hint, known=False)
