"""Which ways a definition goes: the two sides of every comparison and of every kink, and which of them inputs take.

A check judges what was computed. Where relu(x - 50) was zero for every number tried, it says nothing of x > 50, and
should tell so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from symgrad.language import expr as ex
from symgrad.language.expr import Bracket, Call, Cmp, Condition, Logic, Mul
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import axis
from symgrad.language.program import Program, Statement, Tensor, needed
from symgrad.language.reference import Arrays, run
from symgrad.language.scalar import scalar
from symgrad.leaves import LEAVES

_OTHERWISE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class Turn:
    """Where a statement goes one of two ways, by numbers that it reads.

    Attributes:
        part: the comparison, or the function with a kink.
        where: what must hold for it to be computed.
        sides: the conditions of both ways, for each kink; none where that is one point, as a length has at 0.
    """

    statement: Statement
    part: Cmp | Call
    where: Condition | None
    sides: tuple[tuple[Cmp, Cmp], ...]


def turns(program: Program) -> Iterator[Turn]:
    """All of a program, in its order.

    Example:
        >>> from symgrad.language.reader import read
        >>> [str(t.part) for t in turns(read("x: data[n]\\nloss = sum(relu(x)*[x < 3]*exp(x))"))]
        ['relu(x[n])', 'x[n] < 3']
    """
    for s in program.statements:
        guard = () if s.guard is None else _parts(s.guard, None)
        for part, where in (*guard, *_parts(s.body, s.guard)):
            if ex.accesses(part):
                yield Turn(s, part, where, tuple(_sides(part)))


def has_kinks(program: Program) -> bool:
    """Whether a program goes different ways for different numbers."""
    ops = ("max=", "min=", "norm", "frobenius")  # a length has a kink at 0
    return any(s.op in ops for s in program.statements) or next(turns(program), None) is not None


def _parts(e: ex.Any, where: Condition | None) -> Iterator[tuple[Cmp | Call, Condition | None]]:
    """Comparisons and functions with kinks, with what must hold for them to be computed."""
    if isinstance(e, Cmp) or isinstance(e, Call) and e.name in LEAVES and LEAVES[e.name].kinks:
        yield e, where
    for k, child in enumerate(ex.children(e)):
        inside: tuple[Condition, ...] = ()
        if isinstance(e, Mul):  # brackets are strongly zero, those on positions first
            brackets = [b.condition for b in e.args if isinstance(b, Bracket)]
            chosen = isinstance(child, Bracket)
            inside = tuple(c for c in brackets if not (chosen and ex.accesses(c)))
        elif isinstance(e, Logic) and e.op != "not":
            inside = e.args[:k] if e.op == "and" else tuple(Logic("not", (c,)) for c in e.args[:k])
        yield from _parts(child, ex.both(where, *inside))


def _sides(part: Cmp | Call) -> Iterator[tuple[Cmp, Cmp]]:
    if isinstance(part, Cmp):
        yield part, replace(part, op=_OTHERWISE[part.op])
        return
    leaf, zero = LEAVES[part.name], ex.lift(0)
    for text in leaf.kinks:
        distance = scalar(text, dict(zip(leaf.params, part.args, strict=True)))
        if not (isinstance(distance, Call) and LEAVES[distance.name].kinks):
            yield Cmp(">", distance, zero), Cmp("<", distance, zero)


class Ways:
    """Which sides of a program's turns were taken so far.

    Example:
        >>> from symgrad.language.reader import read
        >>> ways = Ways(read("x: data[n]\\nloss = sum(relu(x - 5)*abs(x))"))
        >>> ways.take({"n": 2}, {"x": np.array([1.0, -1.0])})
        >>> ways.untaken
        ('x[n] - 5 > 0 (line 2)',)
        >>> ways.take({"n": 2}, {"x": np.array([1.0, 7.0])})
        >>> ways.untaken
        ()
    """

    def __init__(self, program: Program):
        tensors, statements = dict(program.tensors), list(program.statements)
        self._open: dict[str, dict[int, str]] = {}  # by a tensor that is 1 on one side and -1 on the other
        for turn in turns(program):
            s = turn.statement
            at = tuple(axis(a) for a, _ in s.axes)
            for one, other in turn.sides if s.op not in IMPLICIT else ():
                name = program.fresh("side", tensors)
                tensors[name] = Tensor(name, tuple(n for _, n in s.axes))
                body = Bracket(one) - Bracket(other)
                statements.append(
                    replace(s, out=name, left=at, op="=", body=body, guard=turn.where, scan=None)
                )
                told = f" (line {s.line})" if s.line else ""
                self._open[name] = {1: f"{one}{told}", -1: f"{other}{told}"}
        self._program = replace(program, tensors=tensors, statements=tuple(statements))

    def take(self, sizes: Mapping[str, int], given: Arrays) -> None:
        """The sides that these inputs are on are taken."""
        for name, sign in self._new(sizes, given):
            del self._open[name][sign]

    def are_new(self, sizes: Mapping[str, int], given: Arrays) -> bool:
        """Whether these inputs are on a side that none was on so far."""
        return next(self._new(sizes, given), None) is not None

    def _new(self, sizes: Mapping[str, int], given: Arrays) -> Iterator[tuple[str, int]]:
        names = [name for name, sides in self._open.items() if sides]
        if not names:
            return
        part = replace(self._program, statements=needed(self._program.statements, names))
        with np.errstate(all="ignore"):
            found = run(part, sizes, given)
        for name in names:
            yield from ((name, sign) for sign in list(self._open[name]) if (found[name] == sign).any())

    @property
    def untaken(self) -> tuple[str, ...]:
        """The conditions that held for no number so far, each with the line where it stands."""
        return tuple(dict.fromkeys(c for sides in self._open.values() for c in sides.values()))
