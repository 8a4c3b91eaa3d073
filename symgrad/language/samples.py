"""Sizes and arrays to try a program on: small, pairwise different, and as declared."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from symgrad.errors import Refusal
from symgrad.language.implicit import IMPLICIT, operands
from symgrad.language.ints import Int, Quotient
from symgrad.language.program import Program, Tensor
from symgrad.language.reference import computable, run

_ROOM = 5  # entries of an axis with a middle


def small_sizes(program: Program, start: int = 2) -> dict[str, int]:
    """A number for each size letter, pairwise different, that meets what the program needs of its sizes.

    Where it inverts matrices, one for which they are regular, if that can be found: `inv(X.T @ X)` wants tall ones.

    Raises:
        Refusal: none of a few hundred tries meets it.
    """
    tries = _small_sizes(program, start)
    first = next(tries, None)
    if first is None:
        letters = ", ".join(program.sizes)
        raise Refusal(f"no small sizes for {letters} meet what the program needs of them; give `sizes=`")
    if not any(s.op in IMPLICIT and IMPLICIT[s.op].square for s in program.statements):
        return first
    return next((s for s in [first, *itertools.islice(tries, 23)] if _regular(program, s)), first)


def _small_sizes(program: Program, start: int) -> Iterator[dict[str, int]]:
    """Numbers for the size letters that meet what the program needs of them."""
    letters = program.sizes
    few = len(letters) < 6  # else the sizes are neighbours, or a grid over all of them would be large
    # in every order of the letters if they are few, for needs such as h >= k whichever was named first
    for order in itertools.islice(itertools.permutations(range(len(letters))), 720):
        sizes = {s: start + k + k * k * few for s, k in zip(letters, order, strict=True)}
        if not unmet(program, sizes):
            yield sizes
    for shift in range(200):
        step = 1 + shift // 40
        sizes = {
            s: start + shift % 40 + step * ((k * (1 + shift // 7)) % max(1, len(letters)))
            for k, s in enumerate(letters)
        }
        if len(set(sizes.values())) == len(sizes) and not unmet(program, sizes):
            yield sizes
    # some must be equal, or multiples of one another: as many different ones as can be found
    drawn = np.random.default_rng(0).integers(start, start + 7, (4000, len(letters))).tolist()
    fitting = [sizes for row in drawn if not unmet(program, sizes := dict(zip(letters, row, strict=True)))]
    yield from sorted(fitting, key=lambda sizes: (-len(set(sizes.values())), sum(sizes.values())))


def roomy_sizes(program: Program) -> dict[str, int] | None:
    """A number for each size letter with which every axis whose length is a sum or a quotient, as the n - k + 1 places
    of a window, has at least five entries: two at each end, and one between. None if there is no such axis, or nothing
    is found.
    """
    lengths = {n for s in program.statements for _, n in s.axes if n.number is None and _is_made(n)}

    def roomy(sizes: Mapping[str, int]) -> bool:
        extents = (int(n.evaluate(lambda a: sizes[a.name])) for n in lengths)  # type: ignore[union-attr]
        return not unmet(program, sizes) and min(extents) >= _ROOM

    for gap in (4, 5) if lengths else ():
        for order in itertools.islice(itertools.permutations(range(len(program.sizes))), 120):
            sizes = {s: 3 + gap * k for s, k in zip(program.sizes, order, strict=True)}
            if roomy(sizes):
                return sizes
    return None


def _is_made(n: Int) -> bool:
    return len(n.terms) > 1 or any(isinstance(a, Quotient) for a in n.atoms())


def _regular(program: Program, sizes: Mapping[str, int]) -> bool:
    """Whether for random inputs of these sizes all inverted matrices are far from singular, all eigenvalues differ."""
    try:
        with np.errstate(all="ignore"):
            arrays = run(program, sizes, inputs(program, sizes, np.random.default_rng(0)))
    except np.linalg.LinAlgError:
        return False
    for s in program.statements:
        if s.op in IMPLICIT and IMPLICIT[s.op].square:
            matrix = arrays[operands(s)[0].tensor]
            if not np.isfinite(matrix).all():
                return False
            if IMPLICIT[s.op].symmetric:
                values = np.linalg.eigvalsh(matrix)
                near = np.diff(values).min(initial=np.inf) < 1e-6 * np.abs(values).max(initial=0)
            else:
                near = np.linalg.cond(matrix).max(initial=0) > 1e8
            if near:
                return False
    return True


def unmet(program: Program, sizes: Mapping[str, int]) -> list[str]:
    """The sentences of those needs that do not hold for these sizes."""

    def holds(need: Int) -> bool:
        try:
            return int(need.evaluate(lambda a: sizes[a.name])) >= 0  # type: ignore[union-attr]
        except ZeroDivisionError:  # a step of no entries
            return False

    return [text for need, text in program.needs if not holds(need)]


def numbers(t: Tensor, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A tensor's shape in numbers."""
    return tuple(int(n.evaluate(lambda a: sizes[a.name])) for n in t.shape)  # type: ignore[union-attr]


def draw(t: Tensor, sizes: Mapping[str, int], rng: np.random.Generator) -> np.ndarray:
    """Random entries as the tensor is declared: inside its bounds, a distribution, symmetric, a label in range; a
    draw as its distribution says.
    """
    shape, f = numbers(t, sizes), t.facts
    computable(t.name, prod(shape), sizes)
    if t.role == "draw":
        assert t.start is not None
        how, *given = t.start[0], *(float(x) for x in t.start[1:])  # type: ignore[arg-type]
        if how == "bernoulli":
            return (rng.random(shape) < given[0]).astype(float)
        return rng.normal(0.0, given[0], shape) if how == "normal" else rng.uniform(given[0], given[1], shape)
    if t.below is not None:
        return rng.integers(0, int(t.below.evaluate(lambda a: sizes[a.name])), shape)  # type: ignore[union-attr]
    x = rng.standard_normal(shape)
    if f.low is not None and f.high is not None:
        x = float(f.low) + float(f.high - f.low) * rng.uniform(0.05, 0.95, shape)
    elif f.low is not None:
        x = float(f.low) + rng.uniform(0.2, 2.0, shape)
    elif f.high is not None:
        x = float(f.high) - rng.uniform(0.2, 2.0, shape)
    if f.symmetric:
        x = (x + np.swapaxes(x, -1, -2)) / 2
    if f.distribution:
        x = rng.uniform(0.2, 1.0, shape)
        x = x / x.sum(-1, keepdims=True)
    return x


def drawn(program: Program, given: Mapping[str, Any], seed: int) -> dict[str, np.ndarray]:
    """Random arrays, small and rounded to one decimal, for the inputs that were not given: numbers to work with by
    hand.

    The sizes are those of the given arrays, small different ones where these do not tell. What one decimal does not
    allow (a distribution in many parts, narrow bounds) has as many as it needs.
    """
    known = {}
    for name, a in given.items():
        t = program.tensors.get(name)
        if t is not None:
            known.update(
                {str(n): k for n, k in zip(t.shape, np.shape(a), strict=False) if str(n) in program.sizes}
            )
    sizes = next(
        (s for s in ({**s, **known} for s in _small_sizes(program, 2)) if not unmet(program, s)), known
    )
    rng = np.random.default_rng(seed)
    return {t.name: _round(t, draw(t, sizes, rng), sizes) for t in program.inputs if t.name not in given}


def _round(t: Tensor, x: np.ndarray, sizes: Mapping[str, int]) -> np.ndarray:
    """The entries with as few decimals as what is declared of them allows."""
    if t.integer or not x.size:
        return x
    for decimals in range(1, 6):
        rounded = np.round(x, decimals)
        if t.facts.distribution:
            rounded[..., -1] = np.round(1 - rounded[..., :-1].sum(-1), decimals)
        if fits(t, rounded):
            return rounded
    return x


def fits(t: Tensor, x: np.ndarray) -> bool:
    """Whether entries are inside the declared bounds, and a distribution sums to one."""
    f = t.facts
    low = f.low is None or bool((x > float(f.low) if f.strict_low else x >= float(f.low)).all())
    high = f.high is None or bool((x < float(f.high) if f.strict_high else x <= float(f.high)).all())
    return low and high and (not f.distribution or bool((x >= 0).all() and np.allclose(x.sum(-1), 1)))


def inputs(
    program: Program, sizes: Mapping[str, int], rng: np.random.Generator, names: Iterable[str] | None = None
) -> dict[str, np.ndarray]:
    """Random arrays for all inputs of a program (or those named), in order."""
    wanted = None if names is None else set(names)
    return {t.name: draw(t, sizes, rng) for t in program.inputs if wanted is None or t.name in wanted}


def work(program: Program, sizes: Mapping[str, int]) -> int:
    """How many numbers are computed, those of inner sums counted."""
    total = 0
    for s in program.statements:
        extents = [int(n.evaluate(lambda a: sizes[a.name])) for _, n in s.axes]  # type: ignore[union-attr]
        total += math.prod(extents) * (max(extents, default=1) if s.op in IMPLICIT else 1)
    return total
