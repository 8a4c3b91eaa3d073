"""The shipped definitions: layers, activations, losses, each a few lines of the language in the `.sg` files
beside this.
"""

from __future__ import annotations

from importlib import resources

from symgrad.language.definitions import Definition, parse_definitions

FILES = ("functions.sg", "layers.sg", "losses.sg")


def _shipped() -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    for name in FILES:
        found.update(parse_definitions((resources.files(__name__) / name).read_text("utf-8"), where=name))
    return found


DEFINITIONS: dict[str, Definition] = _shipped()


def define(text: str) -> dict[str, Definition]:
    """The shipped definitions together with those of a text; a definition of the text wins over one of its
    name.

    Raises:
        SymgradError: with the line, where the text is not of the language.

    Example:
        >>> "swish" in define("def swish(x): return x*sigmoid(x)")
        True
    """
    return {**DEFINITIONS, **parse_definitions(text)}
