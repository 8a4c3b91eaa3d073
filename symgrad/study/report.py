"""What a study tells: prose, tables and plots, for the terminal, as one page of HTML, and as files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Union

from symgrad.explain import Document
from symgrad.explain.parts import Part as Told
from symgrad.explain.parts import Picture, Prose, Sentence, Story, Table
from symgrad.files import write_atomically
from symgrad.study import plots


@dataclass(frozen=True)
class Plot:
    """A plot that is drawn when it is needed.

    Attributes:
        name: of its files, `name.svg` and `name.png`.
        title: above it.
        alt: what it shows, in a sentence, for who cannot see it and below it.
        draw: draws it on a matplotlib figure.
        size: width and height in inches.
    """

    name: str
    title: str
    alt: str
    draw: Callable[[Any], None]
    size: tuple[float, float] = (7.2, 4.2)


Part = Union[Prose, Table, Plot]


class Report:
    """The result of a study: `print` it, `save` it, look at `result` for the numbers.

    Attributes:
        title: what was studied.
        result: everything that was measured, as arrays.
        parts: prose, tables and plots in order.
    """

    def __init__(self, title: str, result: Any, parts: Sequence[Part]):
        self.title, self.result, self.parts = title, result, tuple(parts)

    @property
    def plots(self) -> dict[str, Plot]:
        """The plots by name."""
        return {p.name: p for p in self.parts if isinstance(p, Plot)}

    @cached_property
    def _drawn(self) -> dict[str, str]:
        return {name: plots.svg(p) for name, p in self.plots.items()}

    def _document(self, drawn: bool) -> Document:
        def told(p: Part) -> Told:
            return Picture((p.title,), self._drawn[p.name], "", p.alt) if isinstance(p, Plot) else p

        kept = [told(p) for p in self.parts if drawn or not isinstance(p, Plot)]
        return Document(lambda _: Story((), tuple(kept), (self.title,)))

    def text(self, width: int = 80) -> str:
        """Prose and tables for a terminal of so many columns."""
        return self._document(drawn=False).text(width)

    def __str__(self) -> str:
        return self.text()

    def html(self) -> str:
        """One page that stands alone: its plots are in it as SVG, nothing is fetched, no script.

        Raises:
            SymgradError: matplotlib is not installed.
        """
        return self._document(drawn=True).html()

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write `report.html`, and each plot as SVG and PNG, into a folder that is made if need be.

        Returns:
            the files, in that order.

        Raises:
            SymgradError: matplotlib is not installed, or a file cannot be written.
        """
        made: list[tuple[Path, str | bytes]] = [(Path(folder) / "report.html", self.html())]
        for p in self.plots.values():
            made += [
                (Path(folder) / f"{p.name}.svg", self._drawn[p.name]),
                (Path(folder) / f"{p.name}.png", plots.png(p)),
            ]
        for path, content in made:
            write_atomically(path, content)
        return [path for path, _ in made]


def paragraph(*sentences: str) -> Prose:
    """Sentences as a paragraph without a heading."""
    return Prose((), ((" ".join(sentences),),))


def rows(heading: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """A table of plain words."""
    cells: tuple[tuple[Sentence, ...], ...] = tuple(tuple((c,) for c in line) for line in lines)
    return Table((heading,), tuple((c,) for c in columns), cells)
