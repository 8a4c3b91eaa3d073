"""How a message is put together: one sentence that names what the user wrote, what was expected, and what to do.

The reason is raised where it is known, as a `Refusal`; the public call completes it once, with the line and a caret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from symgrad.seen import straight

SHOWN = 300  # characters of a line that a message shows


class SymgradError(ValueError):
    """What every public call raises for input that it cannot take: its text is one paragraph for the user.

    >>> import symgrad as sg
    >>> try:
    ...     sg.derive("y = x")
    ... except sg.SymgradError as problem:
    ...     print(type(problem).__name__)
    SymgradError

    What a message quotes cannot act on the terminal that shows it: signs that would are shown as such.
    """

    def __init__(self, message: str = ""):
        super().__init__(straight(str(message)))


class Refusal(SymgradError):
    """A reason, raised low, with the place in the text if one is known.

    `line` and `column` count from 1 and 0, as `ast` counts them; `width` is the number of characters to underline.
    """

    def __init__(self, reason: str, line: int | None = None, column: int = 0, width: int = 1):
        super().__init__(reason)
        self.reason, self.line, self.column, self.width = reason, line, column, width

    def at(self, node: object) -> Refusal:
        """The same reason, placed at an `ast` node unless it has a place already."""
        if self.line is None and getattr(node, "lineno", None) is not None:
            self.line, self.column = node.lineno, node.col_offset  # type: ignore[attr-defined]
            last, end = getattr(node, "end_lineno", None), getattr(node, "end_col_offset", None)
            self.width = max(1, end - self.column) if last == self.line and end is not None else 1
        return self


def complete(problem: Refusal, text: str) -> SymgradError:
    """The message for the user: the reason, then the line it is about with a caret under the words."""
    lines = lines_of(text)
    if problem.line is None or not 1 <= problem.line <= len(lines):
        return SymgradError(problem.reason)
    line = lines[problem.line - 1]
    # ast counts columns in bytes of UTF-8
    column = len(line.encode()[: problem.column].decode(errors="ignore"))
    if len(line) > SHOWN:  # the part around what is marked
        first = max(0, min(column - SHOWN // 3, len(line) - SHOWN))
        last = first + SHOWN
        line = f"{'...' if first else ''}{line[first:last]}{'...' if last < len(line) else ''}"
        column += 3 * (first > 0) - first
    marked = straight(line[column : column + problem.width])
    before = " " * len(straight(line[:column]))
    return SymgradError(
        f"line {problem.line}: {problem.reason}\n    {line.expandtabs(1)}\n    {before}{'^' * max(1, len(marked))}"
    )


@contextmanager
def no_deeper() -> Iterator[None]:
    """What is nested deeper than Python can follow, or is a product of so many factors, is told as such.

    Raises:
        SymgradError: in place of a RecursionError.
    """
    try:
        yield
    except RecursionError:
        raise SymgradError(
            "a formula here has too many factors, or too many levels; give parts of it lines of their own"
        ) from None


def lines_of(text: str) -> list[str]:
    """The lines of a text as Python's parser counts them: a form feed or U+2028 ends none.

    >>> lines_of("a\\x0cb\\r\\nc")
    ['a\\x0cb', 'c']
    """
    return re.split(r"\r\n?|\n", text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'exp'?"`, or nothing when no known name is near."""
    words = sorted(set(known))
    near = [k for k in words if k.lower() == name.lower()] or difflib.get_close_matches(
        name, words, n=1, cutoff=0.6
    )
    return f"; did you mean '{near[0]}'?" if near else ""


def listing(words: Iterable[str], conjunction: str = "and") -> str:
    """`a, b and c`."""
    words = list(words)
    return (
        words[0]
        if len(words) == 1
        else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
        if words
        else "none"
    )
