"""What a mistake is, for all who look for one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """A mistake that explains an answer.

    Attributes:
        kind: a word: "factor", "sign", "transpose", "sum", "activation", "term", ...
        why: what went wrong, as part of a sentence.
        hint: where to look, in a sentence, without the solution.
        known: whether it explains the answer fully.
    """

    kind: str
    why: str
    hint: str
    known: bool = True
