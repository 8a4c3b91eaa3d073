"""Products that are added up at moving places, taken as sums over what comes to each place: from
`a[i + 2*p] += e[i]*w[p]` to `a[i] += sum(p, [0 <= i - 2*p < n], e[i - 2*p]*w[p])`.

So the adjoint of a convolution is a convolution, also where its kernel has gaps: windows of the error, and one product,
instead of a product whose parts are added to the image one place of the kernel after another.
"""

from __future__ import annotations

from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Cmp
from symgrad.language.ints import Axis, Int, Look
from symgrad.language.program import Program, Statement, open_parts


def gathered(s: Statement, program: Program) -> Statement:
    """The statement with bare places on the left where one of the axes there moves on by one.

    Example:
        >>> from symgrad.language.reader import read
        >>> text = "e: data[n, 6, 4]; w: weight[4, 3]; a: zeros[n, 10]"
        >>> text += "; a[n, i + 2*p] += sum(k, e[n, i, k]*w[k, p]), i < 6, p < 3; loss = sum(a**2)"
        >>> p = read(text)
        >>> print(gathered(p.statements[0], p))
        a[n, i_1] = sum(p, k, [0 <= i_1 - 2*p and i_1 - 2*p < 6], e[n, i_1 - 2*p, k]*w[k, p])
    """
    if s.op != "+=" or s.scan is not None or not s.reduced or len(ex.accesses(s.body)) < 2:
        return s
    for k, position in enumerate(s.left):
        axis = _unit(position, k, s)
        if axis is None:
            continue
        letter = _fresh(axis, s, program)
        place = ints.axis(letter) - (position - ints.axis(axis))
        values = {Axis(axis): place}
        ranges = {**s.ranges, letter: program[s.out].shape[k]}
        parts = None if s.guard is None else open_parts(ex.substitute(s.guard, values), ranges)
        bounds = (Cmp("<=", ex.ZERO, ex.val(place)), Cmp("<", ex.val(place), ex.val(s.ranges[axis])))
        axes = tuple((letter, program[s.out].shape[k]) if a == axis else (a, n) for a, n in s.axes)
        left = (*s.left[:k], ints.axis(letter), *s.left[k + 1 :])
        new = replace(
            s, left=left, body=ex.substitute(s.body, values), guard=ex.both(parts, *bounds), axes=axes
        )
        return gathered(new, program)
    return s


def _unit(position: Int, k: int, s: Statement) -> str | None:
    """The longest axis of a position that moves on by one and stands at no other, beside shorter ones in steps."""
    if len(position.axes) < 2 or any(isinstance(a, Look) for a in position.atoms()):
        return None
    steps = {a: position.coefficient(a) for a in position.axes}
    if any(c is None or not c.number for c in steps.values()):
        return None
    elsewhere = {a for j, i in enumerate(s.left) if j != k for a in i.axes}
    units = [a for a, c in steps.items() if c == ints.ONE and a not in elsewhere]
    sizes = {a: s.ranges[a].number for a in position.axes}
    others = [n for a, n in sizes.items() if a not in units]
    if len(units) != 1 or any(n is None for n in others):
        return None
    own = sizes[units[0]]
    if own is not None and all(
        abs(c.number) >= own for a, c in steps.items() if c and c.number and a not in units
    ):
        return None  # nothing is added up: every place is met once
    return units[0] if own is None or all(n is not None and n < own for n in others) else None


def _fresh(axis: str, s: Statement, program: Program) -> str:
    taken = {*s.ranges, *program.tensors, *program.sizes}
    return next(name for name in (f"{axis}_{k}" for k in range(1, 99)) if name not in taken)
