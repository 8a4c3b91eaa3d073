"""About how wide a piece of math is set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import zip_longest

# points of a 10 pt font; what is not listed is a letter
_POINTS = {
    r"\sum": 14.4, r"\prod": 13.0, r"\max": 19.0, r"\min": 18.0, r"\frac": 2.4, r"\log": 15.0, r"\exp": 17.0,
    r"\tanh": 22.0, r"\sinh": 20.0, r"\cosh": 21.0, r"\sin": 14.0, r"\cos": 15.0, r"\tan": 17.0, r"\top": 7.8,
    r"\,": 1.7, r"\;": 2.8, r"\bigl": 1.0, r"\bigr": 1.0, r"\Bigl": 2.0, r"\Bigr": 2.0, r"\biggl": 3.0,
    r"\biggr": 3.0, r"\quad": 10.0, r"\substack": 0.0, r"\limits": 0.0, r"\mathrm": 0.0, r"\text": 0.0,
    r"\operatorname": 1.7, r"\mathbf": 0.0, r"\hat": 0.0, r"\bar": 0.0, r"\tilde": 0.0, r"\dot": 0.0,
}  # fmt: skip
_BINARY = {
    "+", "-", "=", "<", ">", r"\cdot", r"\odot", r"\oslash", r"\le", r"\ge", r"\neq", r"\land", r"\lor", r"\in",
}  # fmt: skip
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[\s{}]|.", re.DOTALL)


@cache
def points(latex: str, scale: float = 1.0) -> float:
    r"""About how wide a piece of math is set, in points at 10 pt.

    >>> round(points(r"\frac{a + b}{c}")) < round(points("a + b + c"))
    True
    """
    tokens = [t for t in _TOKEN.findall(latex) if not t.isspace()]
    width, k = 0.0, 0
    while k < len(tokens):
        t = tokens[k]
        if t in ("^", "_"):
            group, k = _group(tokens, k + 1)
            below = (
                _group(tokens, k + 1) if k < len(tokens) and tokens[k] in "^_" and tokens[k] != t else None
            )
            width += max(points(group, scale * 0.72), points(below[0], scale * 0.72) if below else 0.0) + 0.5
            k = below[1] if below else k
        elif t == r"\frac":
            top, k = _group(tokens, k + 1)
            bottom, k = _group(tokens, k)
            width += max(points(top, scale * 0.95), points(bottom, scale * 0.95)) + 2.4
        elif t in (r"\sum", r"\prod", r"\max", r"\min") and k + 1 < len(tokens) and tokens[k + 1] == "_":
            group, k = _group(tokens, k + 2)
            below_rows = re.sub(r"\\substack", "", group).split(r"\\")
            width += max(_POINTS[t] * scale, *(points(r, scale * 0.72) for r in below_rows)) + 1.7
        elif t == r"\begin":
            rows, k = _cells(tokens, _group(tokens, k + 1)[1])
            cells = [[points(c, scale) for c in row] for row in rows]
            width += sum(max(c) + 10.0 for c in zip_longest(*cells, fillvalue=0.0))
        else:
            width += 0.0 if t in "{}" else (_POINTS.get(t, 11.5 if t in _BINARY else _letter(t))) * scale
            k += 1
    return width


def _cells(tokens: Sequence[str], k: int) -> tuple[list[list[str]], int]:
    """The cells of a matrix that begins before `k`, row by row, and the place after its end."""
    rows, nesting = [[""]], 0
    while k < len(tokens):
        t = tokens[k]
        if t == r"\end" and not nesting:
            break
        nesting += {r"\begin": 1, r"\end": -1}.get(t, 0)
        if t == "&" and not nesting:
            rows[-1].append("")
        elif t == r"\\" and not nesting:
            rows.append([""])
        else:
            rows[-1][-1] += f"{t} "
        k += 1
    return rows, _group(tokens, k + 1)[1]


def _letter(t: str) -> float:
    if t in "()[],.;:!'|":
        return 3.9
    return 5.0 if t.isdigit() else 7.4 if t.isupper() or t.startswith("\\") else 5.9


def _group(tokens: Sequence[str], k: int) -> tuple[str, int]:
    """The token at `k`, or the whole group in braces that begins there, and the place after it."""
    if k >= len(tokens) or tokens[k] != "{":
        taken = tokens[k] if k < len(tokens) else ""
        return taken, k + 1
    depth, end = 0, k
    while end < len(tokens):
        depth += {"{": 1, "}": -1}.get(tokens[end], 0)
        end += 1
        if not depth:
            break
    return " ".join(tokens[k + 1 : end - 1]), end
