"""Loops with less to do in each step: what does not recur is computed for all steps at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from symgrad.language.program import Block, Program, Statement, blocks
from symgrad.passes.recurrent.chains import chained
from symgrad.passes.recurrent.slices import joined
from symgrad.passes.recurrent.stacked import stacked
from symgrad.passes.recurrent.still import stilled
from symgrad.passes.recurrent.told import Told

__all__ = ["Told", "lightened"]


def lightened(
    program: Program, statements: Sequence[Statement], kept: Collection[str]
) -> tuple[Program, Block, Told]:
    """The statements with loops that do less, and what each of them stands for.

    Args:
        kept: tensors whose values are asked for afterwards.
    """
    told = Told()
    program, statements = stacked(program, statements, told, kept)
    done: list[Statement] = []
    for block in blocks(statements):
        if block[0].scan is None:
            done += block
            continue
        others = {r for s in statements if s not in block for r in (*s.reads, s.out)}
        loop = chained(program, block, told, {*kept, *others})
        program, before, loop = stilled(program, loop, told)
        done += (*before, *joined(loop, told))
    return program, tuple(done), told
