"""Templates: where they are, and how they are filled in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from symgrad.emit.layout import laid_out
from symgrad.emit.load import Source
from symgrad.emit.names import words

if TYPE_CHECKING:
    import jinja2


def folder() -> Path:
    """The templates: inside the package in a wheel, beside it in a checkout or an editable install."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - Python source, not HTML; a user's words go through the filter `words`
    )
    environment.filters["words"] = words
    environment.filters["block"] = block
    environment.filters["tuple_of"] = tuple_of
    environment.filters["quoted"] = quoted
    return environment


def block(lines: list[str], depth: int = 1) -> str:
    """Lines as a block, indented by `depth` levels."""
    return "\n".join("    " * depth + line if line else "" for line in lines)


def quoted(value: int | str | None) -> str:
    """A number, a word or None as source."""
    return f'"{words(value)}"' if isinstance(value, str) else str(value)


def tuple_of(names: Iterable[str]) -> str:
    """Names as a tuple of strings."""
    quoted = [f'"{name}"' for name in names]
    return f"({', '.join(quoted)}{',' if len(quoted) == 1 else ''})"


def fill(template: str, **values: object) -> Source:
    """The text of a template with its fields filled in; a field without a value is an error."""
    text = _environment().get_template(template).render(**values)
    return Source(laid_out("\n".join(line.rstrip() for line in text.rstrip().split("\n"))) + "\n")
