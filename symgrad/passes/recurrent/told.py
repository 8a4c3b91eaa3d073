"""Where the statements of a rearranged loop come from."""

from __future__ import annotations

from symgrad.language.program import Statement


class Told:
    """For each statement that a pass made the one of the derivation that it stands for."""

    def __init__(self) -> None:
        self._of: dict[Statement, Statement] = {}

    def tell(self, new: Statement, old: Statement) -> None:
        """`new` stands for what `old` stands for."""
        if new != old:
            self._of[new] = self.of(old)

    def of(self, s: Statement) -> Statement:
        return self._of.get(s, s)
