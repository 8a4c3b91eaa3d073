"""Long lines of source broken inside brackets, where Python does not mind."""

from __future__ import annotations

LIMIT = 110
_OPEN, _CLOSE = "([{", ")]}"


def laid_out(text: str) -> str:
    """Source with every line of code within the limit where a bracket allows it; comments and docstrings stay."""
    lines: list[str] = []
    quoted = False
    for line in text.split("\n"):
        turns = line.count('"""') + line.count("'''")
        inside = quoted or turns > 0
        quoted ^= turns % 2 == 1
        if len(line) <= LIMIT or inside or line.lstrip().startswith("#"):
            lines.append(line)
        else:
            lines += _broken(line)
    return "\n".join(lines)


def _broken(line: str) -> list[str]:
    """A line as several: its longest bracket opened, one or more items a line."""
    indent = line[: len(line) - len(line.lstrip())]
    pairs = [p for p in _brackets(line) if p[1] - p[0] > 1]
    if not pairs:
        return [line]
    start, end = max(pairs, key=lambda p: (p[1] - p[0], -p[0]))
    head, tail = line[: start + 1], line[end:]
    items = _items(line[start + 1 : end])
    inner = indent + "    "
    packed: list[str] = []
    for k, item in enumerate(items):
        piece = item + ("," if k < len(items) - 1 else "")
        if packed and len(packed[-1]) + 1 + len(piece) <= LIMIT - 6:
            packed[-1] += " " + piece
        else:
            packed.append(inner + piece)
    result = [head]
    for piece in packed:
        result += _broken(piece) if len(piece) > LIMIT else [piece]
    return [*result, *(_broken(indent + tail) if len(indent + tail) > LIMIT else [indent + tail])]


def _brackets(line: str) -> list[tuple[int, int]]:
    """The outermost brackets of a line, strings left out."""
    pairs, stack, quote = [], [], ""
    k = 0
    while k < len(line):
        c = line[k]
        if quote:
            if c == "\\":
                k += 1
            elif c == quote:
                quote = ""
        elif c in "\"'":
            quote = c
        elif c == "#":
            break
        elif c in _OPEN:
            stack.append(k)
        elif c in _CLOSE and stack:
            start = stack.pop()
            if not stack:
                pairs.append((start, k))
        k += 1
    return pairs


def _items(text: str) -> list[str]:
    """Text split at its own commas."""
    inside = {k for a, b in _brackets(text) for k in range(a, b + 1)}
    items, start, quote = [], 0, ""
    for k, c in enumerate(text):
        if quote:
            quote = "" if c == quote and text[k - 1] != "\\" else quote
        elif c in "\"'":
            quote = c
        elif c == "," and k not in inside:
            items.append(text[start:k].strip())
            start = k + 1
    items.append(text[start:].strip())
    return [i for i in items if i]
