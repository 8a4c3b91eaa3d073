"""What does not recur leaves a loop, statements and factors: it is computed for all steps at once, before it.

Backwards only the adjoints that are carried from step to step recur; what they are multiplied by is made of values that
are known by then, so each step is left with one product for each carried adjoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.ints import Int
from symgrad.language.program import Block, Program, Statement, Tensor, inside
from symgrad.passes.recurrent.told import Told


def stilled(program: Program, block: Block, told: Told) -> tuple[Program, Block, Block]:
    """The program with the new tensors, the statements that compute them, and what is left of the loop."""
    moving = _recurring(block)
    tensors = dict(program.tensors)
    before: list[Statement] = []
    after: list[Statement] = []
    mirrored = _mirrored(block)
    shared: dict[str, str] = {}
    for s in block:
        if s.out not in moving:  # as a leaf that is kept for the way back
            whole = replace(s, scan=None)
            told.tell(whole, s)
            before.append(whole)
            continue
        split = _split(s, moving, program)
        if split is None:
            after.append(s)
            continue
        still, rest = split
        needs = set(ex.axes(still))
        axes = tuple((a, n) for a, n in s.axes if a in needs)
        grown = replace(program, tensors=tensors)
        if mirrored[s.out] and needs >= set(s.kept):
            name = shared.setdefault(s.out, _name(grown, s.out))
            left, shape = s.left, program[s.out].shape
        else:
            name = _name(grown, s.out)
            left, shape = tuple(ints.axis(a) for a, _ in axes), tuple(n for _, n in axes)
        tensors.setdefault(name, Tensor(name, shape, named=False))
        factor = Statement(name, left, "=", still, axes, line=s.line, label=s.label)
        changed = replace(s, body=ex.mul(*rest, Access(name, left)))
        told.tell(changed, s)
        before.append(factor)
        after.append(changed)
    return replace(program, tensors=tensors), tuple(before), tuple(after)


def _name(program: Program, out: str) -> str:
    return program.fresh(f"{out}_factor")


def _recurring(block: Block) -> set[str]:
    """The tensors of a loop that depend on what it carries from step to step."""
    outs = {s.out for s in block}
    reads: dict[str, set[str]] = {name: set() for name in outs}
    for s in block:
        reads[s.out] |= {r for r in s.reads if r in outs}
    changed = True
    while changed:  # all that a tensor depends on
        changed = False
        for name in outs:
            more = set().union(*(reads[r] for r in reads[name])) - reads[name] if reads[name] else set()
            if more:
                reads[name] |= more
                changed = True
    circles = {name for name in outs if name in reads[name]}
    return {name for name in outs if name in circles or reads[name] & circles}


def _split(s: Statement, moving: set[str], program: Program) -> tuple[Expr, list[Expr]] | None:
    """The factors of a statement's body that do not recur, as one, and the others; None if nothing is saved.

    Brackets that keep the others from reading outside of a tensor stay with them.
    """
    if s.reduced or s.guard is not None or s.op not in ("=", "+=") or not isinstance(s.body, ex.Mul):
        return None
    rest = [f for f in s.body.args if moving.intersection(ex.tensors(f))]
    others = [f for f in s.body.args if f not in rest]
    still = ex.mul(*others)
    if not rest or isinstance(still, Access) or not ex.axes(still):
        return None
    if any(not isinstance(f, Access) for f in rest):
        return None
    if all(
        inside(f.index, program[f.tensor], s.ranges, program.tensors) for f in rest if isinstance(f, Access)
    ):
        return still, rest
    kept = [f for f in others if isinstance(f, ex.Bracket)]
    return (still, [*kept, *rest]) if len(kept) < len(others) else None


def _mirrored(block: Block) -> dict[str, bool]:
    """For each tensor whether its writers write apart from each other: their factors can be one tensor."""
    found: dict[str, bool] = {}
    for name in dict.fromkeys(s.out for s in block):
        writers = [s for s in block if s.out == name]
        found[name] = disjoint(writers) and all(
            s.scan is not None and s.scan.axis in [i.axis for i in s.left] for s in writers
        )
    return found


def _disjoint(a: Statement, b: Statement) -> bool:
    """Whether two statements write at places that certainly differ along some axis."""
    return any(apart(i, a.ranges, j, b.ranges) for i, j in zip(a.left, b.left, strict=True))


def apart(i: Int, own: Mapping[str, Int], j: Int, other: Mapping[str, Int]) -> bool:
    """Whether two positions certainly differ for all values of their axes."""
    first, second = ints.bounds(i, own), ints.bounds(j, other)
    if first is None or second is None:
        return False
    return any(ints.surely_nonnegative(x[0] - y[1] - 1) for x, y in ((first, second), (second, first)))


def disjoint(statements: Iterable[Statement]) -> bool:
    """Whether all statements write at different places."""
    found = list(statements)
    return all(_disjoint(a, b) for k, a in enumerate(found) for b in found[:k])
