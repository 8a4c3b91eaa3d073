"""A document in every format: one story, set by the printer of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from symgrad.explain import marked, terminal, tex
from symgrad.explain.parts import Story


class Document:
    """A story that can be written in every format.

    Args:
        tell: gives the story; True asks for NumPy's operators, as terminals show them, False for linear algebra.
    """

    def __init__(self, tell: Callable[[bool], Story]):
        self._tell = tell

    @cached_property
    def story(self) -> Story:
        """What it tells, in linear algebra."""
        return self._tell(False)

    @cached_property
    def plain(self) -> Story:
        """What it tells, with NumPy's operators."""
        return self._tell(True)

    def text(self, width: int = 80) -> str:
        """For a terminal of so many columns; lines break at operators."""
        return terminal.written(self.plain, width)

    def latex(self, fragment: bool = True) -> str:
        r"""LaTeX: the body alone, to `\input` where amsmath is loaded, or a document that pdflatex sets."""
        return tex.written(self.story, fragment)

    def markdown(self) -> str:
        """Markdown with mathematics, as GitHub and notebooks render it."""
        return marked.written(self.story)
