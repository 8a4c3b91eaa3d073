"""A document in every format: one story, set by the printer of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from symgrad.errors import SymgradError, listing, no_deeper
from symgrad.explain import html, marked, pdf, terminal, tex
from symgrad.explain.parts import Story
from symgrad.files import write_atomically


class Document:
    """A story that can be written in every format.

    Args:
        tell: gives the story; True asks for NumPy's operators, as terminals show them, False for linear algebra.
    """

    def __init__(self, tell: Callable[[bool], Story]):
        self._tell = no_deeper()(tell)

    @cached_property
    def story(self) -> Story:
        """What it tells, in linear algebra."""
        return self._tell(False)

    @cached_property
    def plain(self) -> Story:
        """What it tells, with NumPy's operators."""
        return self._tell(True)

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = 80) -> str:
        """For a terminal of so many columns; lines break at operators."""
        return terminal.written(self.plain, width)

    def latex(self, fragment: bool = True) -> str:
        r"""LaTeX: the body alone, to `\input` where amsmath is loaded, or a document that pdflatex sets."""
        return tex.written(self.story, fragment)

    def markdown(self, github: bool = True) -> str:
        """Markdown with mathematics as GitHub renders it, one display a step; else as notebooks do."""
        return marked.written(self.story, github)

    def html(self) -> str:
        """A page of HTML that stands alone: MathML, one style sheet, no script, nothing fetched."""
        return html.written(self.story)

    def pdf(self, path: str | os.PathLike[str]) -> str:
        """Write a PDF: by LaTeX if the machine has it, else by a browser that prints the page.

        Returns:
            the program that made it, such as "latexmk" or "chromium".

        Raises:
            SymgradError: nothing on this machine makes one, or the file cannot be written.
        """
        data, program = pdf.made(lambda: self.latex(fragment=False), self.html)
        write_atomically(Path(path), data)
        return program

    def save(self, path: str | os.PathLike[str], more: Mapping[str, Callable[[], str]] | None = None) -> None:
        """Write a file in the format that its name ends with: .txt, .tex, .md, .html or .pdf.

        Args:
            path: the file; it is written as a whole or not at all.
            more: further endings, and what writes them.

        Raises:
            SymgradError: no format has that ending, or the file cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() == ".pdf":
            self.pdf(target)
            return
        ways: dict[str, Callable[[], str]] = {
            ".txt": self.text,
            ".tex": lambda: self.latex(fragment=False),
            ".md": self.markdown,
            ".html": self.html,
            ".htm": self.html,
            **(more or {}),
        }
        way = ways.get(target.suffix.lower())
        if way is None:
            raise SymgradError(
                f"the name {target.name} says no format; it ends with {listing([*ways, '.pdf'], 'or')}"
            )
        write_atomically(target, way().rstrip("\n") + "\n")
