"""Pictures of derivations: the computational graph, and the error signals that flow back over it.

`graph` reads it off the trace, `sheet` says what stands where, `layout` finds the places, `svg` and `tikz` draw.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from symgrad.errors import Refusal, listing
from symgrad.explain import tex
from symgrad.explain.parts import Picture
from symgrad.explain.picture import svg, tikz
from symgrad.explain.picture.graph import graph
from symgrad.explain.picture.sheet import DIRECTIONS, Sheet, sheet
from symgrad.explain.story import DETAILS
from symgrad.language.trace import Derived

FORMS = ("matrix", "index")

__all__ = ["DIRECTIONS", "Drawing", "drawing"]


class Drawing:
    """A picture in two formats; a notebook shows it."""

    def __init__(self, sheet: Sheet):
        self.sheet = sheet

    @cached_property
    def svg(self) -> str:
        """An `<svg>` element, which is also a file of its own."""
        return svg.written(self.sheet)

    @cached_property
    def tikz(self) -> str:
        r"""A `tikzpicture` (several, for one higher than a page), to `\\input` where the package `tikz` is loaded."""
        return tikz.written(self.sheet)

    @cached_property
    def tex(self) -> str:
        """A document that pdflatex sets, as small as the picture."""
        return (
            "\\documentclass[10pt,border=4pt]{standalone}\n\\usepackage{amsmath}\n\\usepackage{tikz}\n"
            f"\\begin{{document}}\n{tikz.written(self.sheet, tex.WIDE, None)}\n\\end{{document}}\n"
        )

    @property
    def words(self) -> str:
        """What is seen, in words."""
        return self.sheet.words

    @property
    def part(self) -> Picture:
        """The picture as a part of a document."""
        return Picture((), self.svg, self.tikz, self.sheet.caption)

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.svg


def drawing(
    derived: Derived,
    direction: str = "both",
    form: str = "matrix",
    detail: str = "steps",
    values: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Drawing:
    """The computational graph of a derivation.

    Args:
        direction: "forward", "backward" (with the error signals that flow back), or "both".
        form, detail: of the equations in the boxes, as for the text.
        values: numbers of tensors, adjoints too, by their names in the program: they stand in the boxes.
        sizes: numbers for all size letters: then shapes are numbers.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> d = drawing(derive(read("x: weight[n]; loss = sum(x**2)")), "forward")
        >>> d.words
        'x (weight, n); L = ‖x‖².'
    """
    for what, given, known in (
        ("direction", direction, DIRECTIONS),
        ("form", form, FORMS),
        ("detail", detail, DETAILS),
    ):
        if given not in known:
            raise Refusal(
                f"{what}={given!r} is not known to a picture; it is {listing(map(repr, known), 'or')}"
            )
    return Drawing(sheet(graph(derived, form, detail, sizes=sizes), direction, values or {}))
