"""The error signal of a user's own network at the tensors that it names, and the Jacobians between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.errors import SymgradError
from symgrad.language.bind import solve
from symgrad.language.program import Program, needed
from symgrad.language.samples import numbers
from symgrad.second import jacobian
from symgrad.study.setting import Setting
from symgrad.study.signals import measured, rms

_ENTRIES = 2_000_000  # of the largest Jacobian that is computed
_EXAMPLES = (8, 4, 2, 1)  # on how many it is


@dataclass(frozen=True)
class Between:
    """From one named tensor to the next that all its ways to the loss lead through.

    Attributes:
        after: the next one; empty if there is none.
        weights: those met on the way.
        examples: on how many the Jacobian was computed; 0 where it was not.
        spectral: its largest singular value; nan where it was not computed.
        predicted: by which it multiplies a signal without direction, its Frobenius norm over the root of its rows.
        deviation: of the error signal from the next one times the Jacobian, on these examples, relative; or nan.
        why: why it was not computed.
    """

    after: str
    weights: tuple[str, ...] = ()
    examples: int = 0
    spectral: float = float("nan")
    predicted: float = float("nan")
    deviation: float = float("nan")
    why: str = ""


@dataclass(frozen=True)
class Named:
    """What was measured at the K named tensors of a network, in the order of the text.

    Attributes:
        names: of the tensors.
        shapes: of each, in numbers.
        sizes: (K,), the root mean square of their entries.
        signal: (K,), the length of the gradient of the loss by each.
        ratio: (K,), that over the length at the tensor that comes next; nan where none does.
        between: from each to the next.
        gradient: by weight, the length of its gradient.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    sizes: np.ndarray
    signal: np.ndarray
    ratio: np.ndarray
    between: tuple[Between, ...]
    gradient: Mapping[str, float]


def named_tensors(program: Program) -> list[str]:
    """The computed tensors that the text gives a name to and the loss depends on, in order; without the loss."""
    reached = {s.out for s in needed(program.statements, [program.target])}
    return [
        t.name
        for t in program.role("value")
        if t.named and t.name in reached and t.name != program.target and not t.integer
    ]


def following(program: Program, names: Sequence[str]) -> list[str]:
    """For each named tensor the next one without which it would not reach the loss; "" where there is none.

    Example:
        >>> from symgrad.derivation import read_program
        >>> p = read_program("x: weight[n]; a = x**2; b = exp(a); c = a + b; loss = sum(c)")
        >>> following(p, ["a", "b", "c"])
        ['c', 'c', '']
    """
    readers: dict[str, list[str]] = {}
    for s in program.statements:
        for r in s.reads:
            readers.setdefault(r, []).append(s.out)

    def reaches(start: str, without: str) -> bool:
        waiting, seen = [start], {start, without}
        while waiting:
            new = [out for out in readers.get(waiting.pop(), ()) if out not in seen]
            if program.target in new:
                return True
            seen.update(new)
            waiting += new
        return False

    return [next((b for b in names[k + 1 :] if not reaches(a, without=b)), "") for k, a in enumerate(names)]


def weights_between(program: Program, a: str, b: str) -> tuple[str, ...]:
    """The weights that `b` needs and `a` does not."""
    before = {s.out for s in needed(program.statements, [a])}
    on_the_way = [s for s in needed(program.statements, [b]) if s.out not in before]
    met = dict.fromkeys(r for s in on_the_way for r in s.reads)
    return tuple(r for r in met if program[r].role == "weight")


def study(setting: Setting) -> Named:
    """Everything about a network at its start.

    Raises:
        SymgradError: it names no tensor between its inputs and its loss.
    """
    program = setting.program
    names = named_tensors(program)
    if not names:
        raise SymgradError(
            f"{setting.name} names no tensor on the way to its loss: write its layers on lines of their own, "
            "h = relu(dense(x, 16)), so that the error signal at h can be measured"
        )
    weights = setting.named(setting.start)
    function = measured(program, [*names, *weights])
    found = function(**setting.data, **weights)
    signal = {n: float(np.linalg.norm(found[n])) for n in names}
    after = following(program, names)
    between = tuple(_between(setting, weights, function, a, b) for a, b in zip(names, after, strict=True))
    return Named(
        names=tuple(names),
        shapes=tuple(np.shape(found["value", n]) for n in names),
        sizes=np.array([rms(found["value", n]) for n in names]),
        signal=np.array(list(signal.values())),
        ratio=np.array([signal[a] / signal[b] if b else np.nan for a, b in zip(names, after, strict=True)]),
        between=between,
        gradient={w: float(np.linalg.norm(found[w])) for w in weights},
    )


def _between(
    setting: Setting, weights: Mapping[str, np.ndarray], function: object, a: str, b: str
) -> Between:
    program = setting.program
    if not b:
        return Between("", why="it reaches the loss without another named tensor")
    on_the_way = weights_between(program, a, b)
    rows, entries = None, 0
    for count in _EXAMPLES if setting.batched else (0,):
        rows = np.arange(min(count, setting.count)) if count else None
        given = {**setting.on(rows), **weights}
        sizes = solve(program, {name: np.shape(x) for name, x in given.items()})
        entries = int(np.prod(numbers(program[a], sizes)) * np.prod(numbers(program[b], sizes)))
        if entries <= _ENTRIES:
            break
    else:
        return Between(b, on_the_way, why=f"its Jacobian has {entries:,} entries")
    try:
        by = jacobian(program, of=b, wrt=a).function()(**given)[1][a]
    except SymgradError as problem:
        return Between(b, on_the_way, why=str(problem).partition("\n")[0])
    assert callable(function)
    adjoints = function(**given)
    axes = adjoints[b].ndim
    product = np.tensordot(adjoints[b], by, axes) if axes else adjoints[b] * by
    length, off = np.linalg.norm(adjoints[a]), np.linalg.norm(product - adjoints[a])
    matrix = by.reshape(max(1, adjoints[b].size), -1)
    return Between(
        b,
        on_the_way,
        examples=len(rows) if rows is not None else 1,
        spectral=float(np.linalg.norm(matrix, 2)),
        predicted=float(np.linalg.norm(matrix) / len(matrix) ** 0.5),
        deviation=float(off / length) if length else float(off),
    )
