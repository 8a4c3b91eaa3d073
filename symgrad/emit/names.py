"""The one place where a name enters source text, and the one filter for other people's words."""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Callable, Iterable

from symgrad.errors import Refusal
from symgrad.language import ints
from symgrad.language.ints import Int, Look, Size

# what printed lines and frames use themselves
_OWN = frozenset(["np", "dtype", "float", "bool", "max", "min", "slice", "next", "range", "ValueError"])
_OWN |= {"windows", "_bits", "_mask", "_joined"}


def identifier(name: str) -> str:
    """The name, if it can stand in Python source.

    Raises:
        Refusal: it is no identifier, or a keyword.
    """
    if (
        not isinstance(name, str)
        or not name.isidentifier()
        or keyword.iskeyword(name)
        or not name.isprintable()
    ):
        raise Refusal(
            f"{name!r} cannot be a name in Python source: a name is letters, digits and _, and no keyword"
        )
    return str(name)


def words(text: str) -> str:
    """A user's text as it may stand in a comment or a docstring: one line, and nothing in it that could end either."""
    return _plain(text).replace("\\", "\\\\")


def wrapped(text: str, width: int) -> list[str]:
    """A user's text as lines of a docstring; only then are backslashes doubled, so that no line ends between two.

    >>> wrapped("a long word \\\\ here", 12)
    ['a long word', '    \\\\\\\\ here']
    """
    lines = map(_plain, text.strip("\n").splitlines())
    parts = (textwrap.wrap(line, width, subsequent_indent="    ") or [""] for line in lines)
    return [part.replace("\\", "\\\\") for some in parts for part in some]


def _plain(text: str) -> str:
    line = " ".join(str(text).split())
    return "".join(c if c.isprintable() else "?" for c in line).replace('"""', "'''")


class Names:
    """Names for everything in one piece of source: a user's own where they are free, else with an underscore."""

    def __init__(self, taken: Iterable[str] = ()):
        self._own: dict[str, str] = {}
        self._taken = {*_OWN, *taken}
        self._counts: dict[str, int] = {}  # numbers below these are taken: names are never given back

    def of(self, name: str) -> str:
        """The name in source of a tensor or a size letter; the same one each time."""
        if name not in self._own:
            self._own[name] = self.fresh(name)
        return self._own[name]

    def fresh(self, stem: str) -> str:
        """A name that nothing else has."""
        name = identifier(stem)
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def counted(self, stem: str) -> str:
        """`stem1`, `stem2`, ..."""
        k = self._counts.get(stem, 1)
        while f"{stem}{k}" in self._taken:
            k += 1
        self._counts[stem] = k + 1
        return self.fresh(f"{stem}{k}")

    def suffixed(self, stem: str) -> str:
        """`stem`, `stem2`, `stem3`, ..."""
        if stem not in self._taken:
            return self.fresh(stem)
        self._counts.setdefault(stem, 2)
        return self.counted(stem)

    def size(self, n: Int) -> str:
        """A size expression as source: `n`, `3*m`, `(h - k)//2 + 1`."""
        return str(renamed(n, self.of))


def renamed(n: Int, of: Callable[[str], str]) -> Int:
    """A size expression with its letters renamed."""

    def change(atom: object) -> Int | None:
        if isinstance(atom, Look):
            raise Refusal(f"a size cannot depend on the entry {atom}")
        return ints.of(Size(of(atom.name), atom.running)) if isinstance(atom, Size) else None

    return n.replace(change)
