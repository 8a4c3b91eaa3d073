"""The shipped definitions: layers, activations, losses, each a few lines of the language in the `.sg` files
beside this.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from symgrad.errors import SymgradError
from symgrad.language.definitions import Definition, parse_definitions

APART = ("optimizers.sg",)  # update equations, which are no operations


def _shipped() -> dict[str, Definition]:
    found: dict[str, Definition] = {}
    files = sorted(f.name for f in resources.files(__name__).iterdir() if f.name.endswith(".sg"))
    for name in files:
        if name not in APART:
            found.update(parse_definitions((resources.files(__name__) / name).read_text("utf-8"), where=name))
    return found


DEFINITIONS: dict[str, Definition] = _shipped()


def public(known: Mapping[str, Definition] = DEFINITIONS) -> tuple[str, ...]:
    """The names of the operations, without the parts that they are made of, `_name`.

    Example:
        >>> "conv2d" in public(), "_windows" in public()
        (True, False)
    """
    return tuple(name for name in known if not name.startswith("_"))


def define(text: str) -> tuple[str, ...]:
    """Add operations of your own, usable by name at once in every text read afterwards.

    Args:
        text: definitions of the language, `def f(x): return ...`; one replaces a shipped or earlier one of its name.

    Returns:
        the names defined.

    Raises:
        SymgradError: with the line, where the text is not of the language; nothing is defined then.

    Example:
        >>> import symgrad as sg
        >>> sg.define("def cube(x): return x**3")
        ('cube',)
        >>> print(sg.derive("x: weight[n]; loss = sum(cube(x))").gradients["x"])
        3*x**2
    """
    if not isinstance(text, str):
        raise SymgradError(
            f"definitions are given as text, such as 'def cube(x): return x**3', not as {text!r}"
        )
    new = parse_definitions(text)
    DEFINITIONS.update(new)
    return tuple(new)
