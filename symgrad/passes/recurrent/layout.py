"""The order of axes in memory of what loops write: steps first, then what is sliced or summed, then the rest.

So what one step reads and writes lies together, and a slice of it, such as a gate, too: every call of a step runs
through memory in order. Inputs and wanted tensors keep their order. Only the axes are renamed: values are the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from symgrad.language import expr as ex
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int, Look
from symgrad.language.program import Program, Statement

Order = tuple[int, ...]
Place = tuple[str, int]  # a tensor and one of its axes


def steps_first(program: Program, statements: Sequence[Statement], kept: Collection[str]) -> dict[str, Order]:
    """For each tensor that loops read or write and that nobody else sees, its axes in the order of memory."""
    loops = [s for s in statements if s.scan is not None]
    keep = fixed(program, statements, kept)
    steps: dict[str, set[int]] = {}
    for s in loops:
        for name, index in _entries(s):
            steps.setdefault(name, set()).update(
                k for k, i in enumerate(index) if s.scan and s.scan.axis in i.axes
            )
    moving = {name: at for name, at in steps.items() if len(at) == 1 and name not in keep}
    if not moving:
        return {}
    inner = _inner(program, loops, steps)
    found: dict[str, Order] = {}
    for name, at in moving.items():
        others = [k for k in range(len(program[name].shape)) if k not in at]
        front = [k for k in others if (name, k) in inner]
        found[name] = (*at, *front, *(k for k in others if k not in front))
    return {name: order for name, order in found.items() if order != tuple(range(len(order)))}


def fixed(program: Program, statements: Sequence[Statement], kept: Collection[str]) -> set[str]:
    """Tensors that keep the order of their axes."""
    found = {*kept, *(t.name for t in program.inputs)}
    found |= {n for n, t in program.tensors.items() if t.integer or t.role == "literal"}
    for s in statements:
        if s.op in IMPLICIT:
            found |= {s.out, *s.reads}
        parts = [i for c in (s.body, s.guard) if c is not None for i in ex.ints(c)]
        found |= {a.tensor for i in (*s.left, *parts) for a in i.atoms() if isinstance(a, Look)}
    return found


def _entries(s: Statement) -> list[tuple[str, tuple[Int, ...]]]:
    parts = [s.body] if s.guard is None else [s.body, s.guard]
    return [(s.out, s.left), *((e.tensor, e.index) for c in parts for e in ex.accesses(c))]


def _inner(program: Program, loops: Sequence[Statement], steps: Mapping[str, set[int]]) -> set[Place]:
    """The axes, other than of steps, that loops sum over or take slices of, and those that run along with one of them;
    none if there is no slice."""
    groups: dict[Place, Place] = {}

    def root(p: Place) -> Place:
        while groups.setdefault(p, p) != p:
            p = groups[p]
        return p

    marked: list[Place] = []
    sliced = False
    for s in loops:
        letters: dict[str, Place] = {}
        for name, index in _entries(s):
            for k, (i, n) in enumerate(zip(index, program[name].shape, strict=True)):
                if k in steps.get(name, ()):
                    continue
                here = (name, k)
                for a in i.axes:
                    groups[root(here)] = root(letters.setdefault(a, here))
                part = i.axis is None or s.ranges[i.axis] != n
                sliced = sliced or part and bool(i.axes)
                if part or i.axis in s.reduced:
                    marked.append(here)
    if not sliced:
        return set()
    roots = {root(p) for p in marked}
    return {p for p in list(groups) if root(p) in roots}
