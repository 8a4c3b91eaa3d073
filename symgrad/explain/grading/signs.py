"""The signs of printed mathematics in an answer, as the language writes them: `2/n · Xᵀ @ (u − y)²`."""

from __future__ import annotations

import re

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_PLAIN = str.maketrans(_RAISED + "⁻", "0123456789-")
_SIGNS = str.maketrans(
    {"·": "*", "×": "*", "⋅": "*", "⊙": "*", "−": "-", "–": "-", "≤": "<=", "≥": ">=", "≠": "!="}
)
_INVERSE = re.compile("⁻(¹|[ᵀ⊤])")
_OPENING = {")": "(", "]": "["}


def plain(text: str) -> str:
    """A text with the signs that derivations are printed with in the language's own writing.

    Products, minus signs, comparisons, transposes, inverses and raised whole numbers; all else stays as it is.

    Example:
        >>> plain("2/n · Xᵀ @ (X @ w − y)²")
        '2/n * X.T @ (X @ w - y)**2'
        >>> plain("c·(A @ B)⁻ᵀ")
        'c*inv(A @ B).T'
    """
    while found := _INVERSE.search(text):
        start = _operand(text, found.start())
        inside = text[start : found.start()]
        inside = inside[1:-1] if inside.startswith("(") else inside
        text = f"{text[:start]}inv({inside}){'' if found[1] == '¹' else '.T'}{text[found.end() :]}"
    text = re.sub("[ᵀ⊤]", ".T", text.translate(_SIGNS))
    return re.sub(f"⁻?[{_RAISED}]+", lambda m: "**" + m[0].translate(_PLAIN), text)


def _operand(text: str, end: int) -> int:
    """Where the name, entry, call or group begins that ends there."""
    k = end
    while k and text[k - 1] in _OPENING:
        close, depth = text[k - 1], 0
        while k:
            k -= 1
            depth += (text[k] == close) - (text[k] == _OPENING[close])
            if not depth:
                break
    while k and (text[k - 1].isalnum() or text[k - 1] in "_."):
        k -= 1
    return k
