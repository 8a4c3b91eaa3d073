"""Who takes part, on which networks, and what each needs."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

ALL = "abcdefg"


@dataclass(frozen=True)
class Competitor:
    """Someone who takes part.

    Attributes:
        name: how it is chosen and told.
        file: its file in `peers/`.
        variant: what that file is asked for.
        needs: packages without which it is left out.
        networks: letters of those that it runs.
        framework: whether the fastest single step is looked for among its kind.
        checked: whether it computes gradients, which must be right.
    """

    name: str
    file: str
    variant: str = ""
    needs: tuple[str, ...] = ()
    networks: str = ALL
    framework: bool = False
    checked: bool = True

    def missing(self) -> list[str]:
        """The packages that it needs and that are not installed."""
        return [package for package in self.needs if importlib.util.find_spec(package) is None]


def _peer(
    name: str, file: str, package: str, *more: str, variant: str = "", networks: str = ALL
) -> Competitor:
    return Competitor(name, file, variant, (package, *more), networks, framework=True)


COMPETITORS = {
    c.name: c
    for c in (
        Competitor("wall", "products", checked=False),
        Competitor("wall in tiles", "products", "tiles", networks="e", checked=False),
        Competitor("plain", "by_hand"),
        Competitor("readable", "generated", "readable"),
        Competitor("fast", "generated", "fast"),
        Competitor("numba", "generated", "numba", ("numba", "scipy")),
        Competitor("numba loop", "generated", "numba loop", ("numba", "scipy"), "abc"),
        _peer("torch", "with_torch", "torch", variant="eager"),
        _peer("torch.compile", "with_torch", "torch", variant="compiled"),
        _peer("nn.LSTM", "with_torch", "torch", variant="nn.LSTM", networks="g"),
        _peer("jax", "with_jax", "jax", "jaxlib", variant="step"),
        Competitor("jax loop", "with_jax", "loop", ("jax", "jaxlib"), "ab"),
        _peer("autograd", "with_autograd", "autograd"),
        _peer("pytensor", "with_pytensor", "pytensor"),
    )
}
