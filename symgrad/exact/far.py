"""Inputs about the numbers that a definition names, where a branch may lie that numbers near 0 never take: a Huber loss
with delta = 20 is a parabola for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symgrad.language import expr as ex
from symgrad.language.program import Facts, Program
from symgrad.language.reference import Arrays
from symgrad.leaves import LEAVES

_NEAR = (0.5, 2.0)  # what is between lies where numbers are drawn anyway
_LEAST, _MOST = 1e-6, 1e6
_FEW = 4  # numbers whose quotients are tried too: relu(x/100 - 5) turns at 500


def named(program: Program) -> tuple[float, ...]:
    """The sizes of the numbers that its equations turn at, and of quotients of them.

    A number counts that stands in a comparison, in the argument of a function with a kink, or in an equation that gives
    such an argument entry by entry.

    Example:
        >>> from symgrad.language.reader import read
        >>> named(read("x: data[n]\\ny = x/100 - 5\\nloss = sum(relu(y)*exp(7*x))"))
        (0.002, 0.01, 5.0, 500.0)
    """
    found: set[float] = set()
    for s in program.statements:
        for e in (e for x in (s.body, s.guard) if x is not None for e in ex.walk(x)):
            turns = (
                isinstance(e, ex.Cmp) or isinstance(e, ex.Call) and e.name in LEAVES and LEAVES[e.name].kinks
            )
            if not turns or not ex.accesses(e):
                continue
            read = {a.tensor for a in ex.accesses(e)}
            before = [w.body for w in program.statements if w.out in read and len(w.axes) == len(w.left)]
            parts = (x for whole in (e, *before) for x in ex.walk(whole))
            found |= {abs(float(x.value)) for x in parts if isinstance(x, ex.Num)}
    found -= {0.0, 1.0}
    if len(found) <= _FEW:
        found |= {a / b for a in found for b in found}
    return tuple(sorted(c for c in found if _LEAST <= c <= _MOST and not _NEAR[0] <= c <= _NEAR[1]))


def far(program: Program, drawn: Mapping[str, np.ndarray], turn: int, rng: np.random.Generator) -> Arrays:
    """The inputs drawn, with those without facts about the numbers that a program turns at.

    At an even turn entries lie on all sides of all of them; at an odd one all entries are beyond the largest, so that
    their mean is too: above it at the first, below its negative at the next.
    """
    sizes = named(program)[::-1]
    sides = [c * f for c in sizes for f in (1.5, -1.5, 0.7, -0.7)]
    if turn % 2:
        sides = [1.5 * sizes[0] * (-1) ** (turn // 2)]
    found, start = dict(drawn), turn * len(sides) // 4
    for t in program.inputs:
        if not t.integer and t.role != "draw" and t.facts == Facts():
            count = found[t.name].size
            about = [sides[k % len(sides)] for k in range(start, start + count)]
            found[t.name] = np.reshape(about * rng.uniform(0.9, 1.1, count), found[t.name].shape)
            start += count
    return found
