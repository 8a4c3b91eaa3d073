"""Sums over places that run backwards, taken forwards: `sum(p, e[i + 2 - p]*w[p])` is `sum(p, e[i + p]*w[2 - p])`.

The adjoint of a convolution reads the windows of the error backwards. Forwards they are read in runs of a whole row of
a window, and it is the small kernel that is turned round.
"""

from __future__ import annotations

from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access
from symgrad.language.ints import Atom, Axis, IntLike
from symgrad.language.program import Statement


def forwards(s: Statement) -> Statement:
    """The statement with each summed axis counted from its other end if that turns the largest window forwards.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("e: data[n, 8]; w: weight[3]; y[n, i] = sum(p, e[n, i + 2 - p]*w[p]), i < 6; loss = sum(y)")
        >>> print(forwards(p.statements[0]))
        y[n, i] = sum(p, e[n, i + p]*w[2 - p])
    """
    reads = [e for e in ex.accesses(s.body) if e.index]
    if s.op != "+=" or s.scan is not None or len(reads) < 2:
        return s
    largest = max(reads, key=lambda e: _entries(e, s))
    turned: dict[Atom, IntLike] = {}
    for i in largest.index:
        steps = [(a, i.coefficient(a)) for a in i.axes]
        if len(steps) < 2:
            continue
        for a, step in steps:
            if a in s.reduced and step is not None and (step.number or 0) < 0 and _once(a, largest):
                turned[Axis(a)] = s.ranges[a] - 1 - ints.axis(a)
    if not turned:
        return s
    guard = None if s.guard is None else ex.substitute(s.guard, turned)
    return replace(s, body=ex.substitute(s.body, turned), guard=guard)


def _once(axis: str, e: Access) -> bool:
    return sum(axis in i.axes for i in e.index) == 1


def _entries(e: Access, s: Statement) -> int:
    return ints.about(s.ranges[a] for a in dict.fromkeys(a for i in e.index for a in i.axes))
