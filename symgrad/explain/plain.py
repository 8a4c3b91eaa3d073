"""Words in documents: what of them is code, and how many columns they take."""

from __future__ import annotations

import re
import unicodedata


def spans_of_code(text: str) -> list[tuple[str, bool]]:
    """The text in parts, and whether each is code, which stands between two backticks; one alone is a character.

    >>> spans_of_code("`a` or `")
    [('a', True), (' or `', False)]
    """
    parts = re.split(r"`([^`]*)`", text)
    return [(part, bool(k % 2)) for k, part in enumerate(parts) if part or k % 2]


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters two, those that combine none.

    >>> columns("naïve"), columns("勾配"), columns("e\\u0301")
    (5, 4, 1)
    """
    return sum(map(_columns, text))


def _columns(c: str) -> int:
    if " " <= c <= "~":
        return 1
    if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1
