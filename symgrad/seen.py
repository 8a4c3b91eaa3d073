"""Any text of a user, made fit to be seen: what has no glyph, or acts on a terminal or a page, is shown instead."""

from __future__ import annotations

import unicodedata

# marks that turn the direction of writing: embeddings, overrides, isolates
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def shown(text: str) -> str:
    """The text with a picture for each control character and a replacement for what is no character.

    >>> shown("a\\x1b[31m\\x07b")
    'a␛[31m␇b'
    """
    return "".join(map(_shown, text))


def _shown(c: str) -> str:
    if c in "\n\t" or c >= " " and c < "\x7f":
        return c
    if c < " ":
        return chr(0x2400 + ord(c))
    if c == "\x7f":
        return "␡"
    noncharacter = ord(c) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(c) <= 0xFDEF
    return "\ufffd" if noncharacter or unicodedata.category(c) in ("Cc", "Cs") else c


def isolated(text: str) -> bool:
    """Whether marks in the text turn the direction of what is written after it."""
    return not TURNING.isdisjoint(text)


def straight(text: str) -> str:
    """The text in one direction, for where nothing can keep its marks from turning what follows.

    >>> straight("a\\u202eb")
    'a<U+202E>b'
    """
    return "".join(f"<U+{ord(c):04X}>" if c in TURNING else c for c in shown(text))
