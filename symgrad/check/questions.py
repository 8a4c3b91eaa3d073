"""What each result of a derivation is asked: to agree with the slope of what it is the derivative of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from symgrad.check.sides import Sides, stacked
from symgrad.language import ints
from symgrad.language.expr import Access
from symgrad.language.ints import Int
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.reference import Arrays
from symgrad.language.samples import numbers
from symgrad.language.trace import Derived, Key

Slope = Callable[[Mapping[str, np.ndarray]], Sides]


class How(Protocol):
    """A way to compute programs, and the slopes of their tensors."""

    def run(self, program: Program, sizes: Mapping[str, int], arrays: Arrays) -> Arrays:
        """All tensors of a program."""
        ...

    def stepped(
        self, program: Program, sizes: Mapping[str, int], arrays: Arrays, names: tuple[str, ...], watched: str
    ) -> Slope:
        """The slopes of a tensor along directions of some others, to both sides."""
        ...


def shown(key: Key) -> str:
    return key if isinstance(key, str) else ", ".join(key)


@dataclass(frozen=True)
class Question:
    """What a result is asked: for a direction `v` of the variable, in `shape`, the slopes of each watched entry.

    The result has the watched axes first, then `shape`. `symmetric`: the variable only moves along symmetric `v`.
    """

    name: str
    shape: tuple[int, ...]
    slope: Callable[[np.ndarray], Sides]
    symmetric: bool = False


def question(derived: Derived, sizes: Mapping[str, int], arrays: Arrays, key: Key, how: How) -> Question:
    """The question for one result: of which program, which tensor moves, and which is watched."""
    source, base = derived.source, derived.base
    if derived.kind == "hvp" and base is not None:
        assert isinstance(key, str)
        vectors = dict(zip(base.gradients, [n for n in arrays if n not in base.source.tensors], strict=True))
        moves = {str(w): moved(source[str(w)], arrays[v]) for w, v in vectors.items()}
        slope = how.stepped(base.program, sizes, arrays, tuple(moves), base.gradients[key])
        return Question(key, (), lambda v: slope({w: m * v for w, m in moves.items()}))
    program, name, watched = source, key, source.target
    if base is not None and not isinstance(key, str):
        first, name = key
        program, watched = base.program, base.gradients[first]
    assert isinstance(name, str)
    t = source[name]
    if derived.kind == "per example":
        count = derived.program[derived.gradients[key]].shape[0]
        slopes = [
            how.stepped(copies, sizes, values, (name,), watched)
            for copies, values in _alone(
                source, sizes, arrays, tuple(map(str, derived.gradients)), count, how
            )
        ]

        def each(v: np.ndarray) -> Sides:
            return stacked([slope({name: v}) for slope in slopes], len(slopes))

        return Question(name, numbers(t, sizes), each, t.facts.symmetric)
    slope = how.stepped(program, sizes, arrays, (name,), watched)
    return Question(shown(key), numbers(t, sizes), lambda v: slope({name: v}), t.facts.symmetric)


def moved(t: Tensor, v: np.ndarray) -> np.ndarray:
    """A direction that a tensor can move along: one that is declared symmetric stays so."""
    return (v + np.swapaxes(v, -1, -2)) / 2 if t.facts.symmetric else v


def short(v: np.ndarray) -> np.ndarray:
    """A direction in numbers of 24 bits, so that no digit of the mean of two is lost."""
    return np.asarray(v, np.float32).astype(float)


def _alone(
    program: Program,
    sizes: Mapping[str, int],
    arrays: Arrays,
    names: tuple[str, ...],
    count: Int,
    how: How,
) -> list[tuple[Program, Arrays]]:
    """For each example what would be computed if all examples were like it: its share is that loss, shared equally.

    What does not depend on the variables is kept, for it may be a statistic of all examples.
    """
    values = how.run(program, sizes, arrays)
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


def movable(
    program: Program, sizes: Mapping[str, int], arrays: Arrays, names: tuple[str, ...]
) -> tuple[Program, Arrays, dict[str, str]]:
    """The program in which the tensors named can move, its arrays, and the input that moves each."""
    shifts: dict[str, str] = {}
    for name in names:
        shifts[name] = name
        if program.writers(name):
            program, shifts[name] = exposed(program, name)
            arrays = {**arrays, shifts[name]: np.zeros(numbers(program[name], sizes))}
    return program, arrays, shifts
