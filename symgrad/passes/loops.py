"""Loops as they are run: early rows counted from 0, and what no other step reads kept for one step alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Cmp, Condition, Expr, conjuncts
from symgrad.language.ints import Int, Size
from symgrad.language.program import Block, Program, Statement, blocks, in_rows, stored


@dataclass(frozen=True)
class Run:
    """One statement, or a loop: for `letter` from `first` to `last`, or back if `backward`, its statements in turn.

    Attributes:
        origin: the statements as they were.
        steps: the same as they run; in a loop the step is a running size.
    """

    origin: Block
    steps: Block
    letter: str = ""
    first: int = 0
    last: Int = ints.ZERO
    backward: bool = False


def stepwise(
    program: Program, statements: Sequence[Statement], kept: Iterable[str] = ()
) -> tuple[Program, list[Run]]:
    """Statements as they are run, and the program whose tensors have the shapes in which they are stored then.

    Args:
        kept: tensors that are read afterwards.
    """
    tensors = {name: stored(t) for name, t in program.tensors.items()}
    runs: list[Run] = []
    for block in blocks(statements):
        scan = block[0].scan
        if scan is None:
            runs.append(Run(block, tuple(in_rows(s, program) for s in block)))
            continue
        alone = _alone(block, [s for s in statements if s not in block], program, kept)
        for name, place in alone.items():
            shape = tensors[name].shape
            tensors[name] = replace(tensors[name], shape=(*shape[:place], *shape[place + 1 :]))
        letter = program.fresh(scan.axis)
        first, guards = _first(block)
        running = ints.of(Size(letter, running=True))
        steps = tuple(
            _without(in_rows(replace(s, guard=_less(s.guard, guards[s])), program).at_step(running), alone)
            for s in block
        )
        runs.append(Run(block, steps, letter, first, block[0].ranges[scan.axis] - 1, scan.backward))
    return replace(program, tensors=tensors), runs


def _alone(
    block: Block, others: Iterable[Statement], program: Program, kept: Iterable[str]
) -> dict[str, int]:
    """Tensors of a loop that only the step that writes them reads, each with its axis of steps."""
    found: dict[str, int] = {}
    outside = {*kept, program.target, *(r for s in others for r in s.reads), *(s.out for s in others)}
    for s in block:
        assert s.scan is not None
        mine = [w for w in block if w.out == s.out]
        whole = all(
            s.ranges.get(i.axis or "") == n for i, n in zip(s.left, program[s.out].shape, strict=True)
        )
        if s.out in outside or len(mine) > 1 or not whole or not s.plain or s.guard is not None:
            continue
        place = [i.axis for i in s.left].index(s.scan.axis)
        reads = [
            a.index[place].axis == r.scan.axis  # type: ignore[union-attr]
            for r in block for e in (r.body, r.guard) if e is not None for a in ex.accesses(e) if a.tensor == s.out
        ]  # fmt: skip
        if all(reads):
            found[s.out] = place
    return found


def _without(s: Statement, alone: dict[str, int]) -> Statement:
    """A statement in which tensors of one step have no axis of steps."""

    def cut(index: tuple[Int, ...], name: str) -> tuple[Int, ...]:
        place = alone.get(name)
        return index if place is None else (*index[:place], *index[place + 1 :])

    def change(e: object) -> Expr | None:
        return (
            Access(e.tensor, cut(e.index, e.tensor)) if isinstance(e, Access) and e.tensor in alone else None
        )

    guard = None if s.guard is None else ex.rewrite(s.guard, change)
    return replace(s, left=cut(s.left, s.out), body=ex.rewrite(s.body, change), guard=guard)


def _first(block: Block) -> tuple[int, dict[Statement, Condition | None]]:
    """The first step, if all statements of a loop say the same one, and the condition that says it in each."""
    said = {s: _least(s) for s in block}
    firsts = {first for first, _ in said.values()}
    if len(firsts) == 1:
        return firsts.pop(), {s: c for s, (_, c) in said.items()}
    return 0, dict.fromkeys(block)


def _least(s: Statement) -> tuple[int, Condition | None]:
    assert s.scan is not None
    for c in conjuncts(s.guard):
        match c:
            case Cmp(">=", ex.Val(i), ex.Num(v)) if i.axis == s.scan.axis:
                return int(v), c
    return 0, None


def _less(guard: Condition | None, part: Condition | None) -> Condition | None:
    return ex.both(*(c for c in conjuncts(guard) if c != part))
