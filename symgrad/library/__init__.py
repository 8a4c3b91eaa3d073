"""The shipped definitions: layers, activations, losses, each a few lines of the language in the `.sg` files
beside this. A definition is read when it is first asked for; what there are, the first words of the lines tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from symgrad.errors import Refusal, SymgradError, did_you_mean, listing
from symgrad.language import updates
from symgrad.language.definitions import Definition, parse_definitions

APART = ("optimizers.sg",)  # update equations, which are no operations
_HEAD = re.compile(r"^(?:def (\w+)|(\w+) = (\w+)$)", re.MULTILINE)


def defined(file: str) -> tuple[str, ...]:
    """The names that a file of this folder defines.

    Example:
        >>> defined("optimizers.sg")
        ('sgd', 'momentum', 'adam')
    """
    text = (resources.files(__name__) / file).read_text("utf-8")
    return tuple(name or other for name, other, _ in _HEAD.findall(text))


@dataclass(frozen=True)
class Written:
    """Where a name is defined: the file, and the text of its definitions, or the name that it is another name for."""

    where: str
    text: str = ""
    means: str = ""


@cache
def _files() -> dict[str, Written]:
    """Every shipped name, in order."""
    found: dict[str, Written] = {}
    files = sorted((f for f in resources.files(__name__).iterdir()), key=lambda f: f.name)
    for file in files:
        if not file.name.endswith(".sg") or file.name in APART:
            continue
        text = file.read_text("utf-8")
        heads = list(_HEAD.finditer(text))
        ends = [h.start() for h in heads[1:]] + [len(text)]
        for head, end in zip(heads, ends, strict=True):
            name, other, known = head.groups()
            if other:
                found[other] = Written(file.name, means=known)
            else:  # several definitions of one name stand in one file
                before = found[name].text if name in found else ""
                found[name] = Written(file.name, before + text[head.start() : end])
    return found


@cache
def _shipped(name: str) -> Definition:
    """A shipped definition, read."""
    written = _files()[name]
    if written.means:
        return _shipped(written.means)
    return parse_definitions(written.text, where=written.where)[name]


class Library(MutableMapping[str, Definition]):
    """Definitions by name: those that are shipped, each read when it is first asked for, and those that were added.

    Example:
        >>> known = Library()
        >>> known["rename"] = known["silu"]
        >>> list(known)[-1], known["mse"].name
        ('rename', 'mse_loss')
    """

    def __init__(self) -> None:
        self._known: dict[str, Definition | None] = dict.fromkeys(_files())  # None: as it is shipped

    def __getitem__(self, name: str) -> Definition:
        return self._known[name] or _shipped(name)

    def __setitem__(self, name: str, definition: Definition) -> None:
        self._known[name] = definition

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: object) -> bool:
        return name in self._known


DEFINITIONS = Library()


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


OPTIMIZERS: tuple[str, ...] = defined("optimizers.sg")


@cache
def _optimizers() -> dict[str, updates.Optimizer]:
    return updates.parse((resources.files(__name__) / "optimizers.sg").read_text("utf-8"))


def optimizer(name: str) -> updates.Optimizer:
    """An optimiser by name, or by a text that defines one.

    Raises:
        Refusal: the name is unknown.
    """
    if "def " in name:
        *_, last = updates.parse(name).values()
        return last
    if name not in OPTIMIZERS:
        near = did_you_mean(name, OPTIMIZERS)
        raise Refusal(f"there is no optimiser '{name}'{near} (there are {listing(OPTIMIZERS)})")
    return _optimizers()[name]
