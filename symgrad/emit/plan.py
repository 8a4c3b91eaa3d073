"""What a plan of the fast style consists of, and what each of its values takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from symgrad.emit.graph import Loop
from symgrad.emit.values import Value
from symgrad.language.ints import Int


@dataclass(frozen=True)
class Work:
    """What one value takes.

    Attributes:
        heading: the equations that stand above its lines.
        lines: how many lines compute it, each a call.
        buffers: the shapes and kinds of the arrays that are made for it, once.
        loop: the loop that the lines stand in.
    """

    heading: str
    value: Value
    lines: int
    buffers: tuple[tuple[tuple[Int, ...], str], ...]
    loop: Loop | None


@dataclass
class Plan:
    """The text of one plan.

    Attributes:
        once: lines that make constants, buffers and views.
        steps: lines that compute.
        ufuncs: local names of the functions of NumPy that the steps call.
        results: for each wanted tensor, the name of its array or number.
        bits: whether the text calls `_bits` and `_mask`.
        work: what each value takes, in order.
    """

    once: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    ufuncs: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    bits: bool = False
    work: list[Work] = field(default_factory=list)

    @property
    def aliases(self) -> list[str]:
        """Lines that give functions of NumPy a local name: a look-up less in every call."""
        pairs = list(self.ufuncs.items())
        groups = [pairs[k : k + 4] for k in range(0, len(pairs), 4)]
        return [f"{', '.join(a for _, a in g)} = {', '.join(f'np.{u}' for u, _ in g)}" for g in groups]


def text_number(x: Fraction | float) -> str:
    """What an array is filled with."""
    if isinstance(x, float):
        return "np.inf" if x > 0 else "-np.inf"
    return str(x)
