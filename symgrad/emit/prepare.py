"""Statements as code computes them quickest, before they are lowered, and what is said of each in a comment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from symgrad.emit.readable import WIDTH, comment
from symgrad.language.program import Program, Statement, show
from symgrad.passes.forwards import forwards
from symgrad.passes.gathered import gathered
from symgrad.passes.orders import ordered
from symgrad.passes.recurrent import lightened
from symgrad.passes.splits import split


class Prepared:
    """Statements to lower, with lighter loops, split axes, and the axes of inner tensors in a quick order.

    Args:
        kept: tensors that are asked for afterwards.

    Attributes:
        program: to which `statements` belong.
        statements: to lower, in order.
    """

    def __init__(self, program: Program, statements: Iterable[Statement], kept: Sequence[str]):
        self.source, lighter, self.told = lightened(program, tuple(statements), kept)
        divided = split(self.source, lighter, kept)
        self.program, stored = ordered(divided.program, divided.statements, kept, divided.front)
        self.statements = tuple(forwards(gathered(s, self.program)) for s in stored)
        self.shown = dict(zip(self.statements, divided.origin, strict=True))

    def comment(self, s: Statement, numbers: Mapping[Statement, str]) -> list[str]:
        """Lines with the equation of a statement to lower and its number in the derivation."""
        own = self.shown[s]
        return [] if own is None else comment(self._number(own, numbers) + show(own, self.source), WIDTH - 4)

    def _number(self, s: Statement, numbers: Mapping[Statement, str]) -> str:
        """The number, with a star if the statement is not the equation that stands there."""
        number = numbers.get(s)
        if number is None:
            number = numbers.get(self.told.of(s), "")
            number += "*" if number and not number.endswith("*") else ""
        return f"({number}) " if number else ""
