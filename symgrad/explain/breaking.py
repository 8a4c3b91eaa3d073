"""How a long formula is broken into lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from symgrad.explain.formula import (
    Piece,
)  # fmt: skip


def fold(pieces: Sequence[Piece], width: float, first: float = 0.0, hang: float = 4.0) -> list[str]:
    """The pieces as lines: broken at the outermost operator that fills a line reasonably, and only where it
    must be.

    Args:
        width: of a line; `first` is taken already on the first line, `hang` on all others.
    """
    return joined(folded(pieces, width, first, hang))


def joined(lines: Iterable[Sequence[Piece]]) -> list[str]:
    """Lines of pieces as text."""
    texts = ["".join(p.text for p in line) for line in lines]
    texts = [text.lstrip() if k else text for k, text in enumerate(texts)]
    return [*(text.rstrip() for text in texts[:-1]), *texts[-1:]] or [""]


def folded(
    pieces: Sequence[Piece], width: float, first: float = 0.0, hang: float = 4.0
) -> list[Sequence[Piece]]:
    """The same, as pieces."""
    lines: list[Sequence[Piece]] = []
    rest = list(pieces)
    while rest:
        room = width - (first if not lines else hang)
        total, end = 0.0, 0
        while end < len(rest) and (total := total + rest[end].width) <= room:
            end += 1
        cut = len(rest) if end == len(rest) else _cut(rest, end, room)
        lines.append(rest[:cut])
        rest = rest[cut:]
        if rest:
            rest[0] = replace(rest[0], depth=None)
    return lines


def _cut(pieces: Sequence[Piece], end: int, room: float) -> int:
    """Where to break among the first `end` pieces: the shallowest place, of those the last; a shallow one
    early in the line only if nothing better is there."""
    places, filled = [], 0.0
    for k, p in enumerate(pieces[: end + 1]):
        if k and p.depth is not None:
            places.append((p.depth + (2 if filled < room * 0.35 else 0), -k))
        filled += p.width
    if places:
        return -min(places)[1]
    return next((k for k, p in enumerate(pieces) if k > end and p.depth is not None), len(pieces))
