"""The shipped definitions: layers, activations, losses, each a few lines of the language in the `.sg` files
beside this. A definition is read when it is first asked for; what there are, the first words of the lines tell.
"""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from symgrad.errors import Refusal, SymgradError, complete, did_you_mean, listing
from symgrad.files import read_text
from symgrad.language import updates
from symgrad.language.definitions import Definition, parse_definitions
from symgrad.language.expr import Access
from symgrad.language.syntax import is_name

APART = ("optimizers.sg", "preceding.sg", "schedules.sg")  # update equations, which are no operations
_HEAD = re.compile(r"^(?:def (\w+)|(\w+) = (\w+)$)", re.MULTILINE)


def defined(file: str) -> tuple[str, ...]:
    """The names that a file of this folder defines.

    Example:
        >>> defined("optimizers.sg")
        ('sgd', 'momentum', 'nesterov', 'adagrad', 'rmsprop', 'adam', 'adamw')
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
SCHEDULES: tuple[str, ...] = defined("schedules.sg")
PRECEDING: tuple[str, ...] = defined("preceding.sg")
_BOUNDS = dict.fromkeys(("lr", *PRECEDING, "warmup_steps", "start_factor", "end_factor", "lr_min"), "from 0")
_BOUNDS |= dict.fromkeys(
    ("clip_norm", "clip_value", "step_size", "div_factor", "final_div_factor"), "above 0"
)
_BOUNDS["pct_start"] = "from 0 to 1"
_Reader = Callable[[str], dict[str, updates.Update]]


@cache
def _read(file: str, reader: _Reader) -> dict[str, updates.Update]:
    return reader((resources.files(__name__) / file).read_text("utf-8"))


def optimizer(
    name: str | os.PathLike[str], schedule: str | os.PathLike[str] | None = None, **options: Any
) -> updates.Rule:
    """How weights are updated: an optimiser with what precedes it and its schedule.

    Args:
        name: a name, the path of a `.sg` file, or a text; a file or a text has one `def`, in terms of w, g and t.
        schedule: a name, the path of a `.sg` file, a text with one `def`, or a formula in `lr`, `t` and `T`.
        options: numbers of the optimiser and of the schedule, in place of their defaults; and of what precedes the
            optimiser, which is there if its number is given and not None: `clip_norm`, `clip_value`, `l1`, `l2`,
            `weight_decay` (an optimiser's own, where it has one).

    Raises:
        Refusal: a name is unknown, a text is no definition, a number is none or belongs to nothing.

    Example:
        >>> rule = optimizer("sgd", clip_norm=1, weight_decay=0.01)
        >>> [str(e) for _, e in rule.equations]
        ['g*minimum(1, clip_norm/(norm + 1e-06))', 'w - lr*weight_decay*w', 'w - lr*g']
        >>> optimizer("def mine(w, g, lr=0.1): w = w - lr*g", "lr/sqrt(t)", lr=1).options["lr"]
        1.0
    """
    own = _one(name, "optimiser", "optimizers.sg", updates.parse)
    planned = (
        None if schedule is None else _one(schedule, "schedule", "schedules.sg", updates.parse_schedules)
    )
    known = _read("preceding.sg", updates.parse_preceding)
    asked = {n: v for n, v in options.items() if not (v is None and n in PRECEDING)}
    before = [known[n] for n in PRECEDING if n in asked and n not in own.options]
    parts = [(part, part.state, part.needs) for part in (own, *before)]
    parts += [(planned, (), (updates.RATE,))] if planned else []
    taken: dict[str, str] = {}
    for part, state, needs in parts:
        for option in (*part.options, *state):
            if option in taken:
                raise Refusal(
                    f"'{option}' is a name of {taken[option]} and of {part.name}: give it another name in one of them"
                )
            taken[option] = part.name
        for need in needs:
            if need not in own.options:
                raise Refusal(
                    f"{part.name} needs a number '{need}' of the optimiser, and {own.name} has "
                    f"{listing(own.options)}"
                )
    if planned and planned.equations == ((updates.RATE, Access(updates.RATE, ())),):
        planned = None
    rule = updates.Rule(own, tuple(before), planned)
    given = {n: _number(rule, n, value) for n, value in asked.items()}
    return updates.Rule(own, tuple(before), planned, given)


def _one(name: str | os.PathLike[str], word: str, file: str, reader: _Reader) -> updates.Update:
    """A definition by name, file or text."""
    known = defined(file)
    text = os.fspath(name)
    if isinstance(name, os.PathLike) or text.endswith(".sg") and "\n" not in text:
        text = read_text(Path(text))
    elif text in known:
        return _read(file, reader)[text]
    elif is_name(text) or word == "optimiser" and "def " not in text:
        raise Refusal(f"there is no {word} '{text}'{did_you_mean(text, known)} (there are {listing(known)})")
    text = text.strip("\n")  # so that a complaint counts the lines as they are read
    try:
        found = reader(text)
    except Refusal as problem:
        where = "" if text == os.fspath(name).strip("\n") else f"{os.fspath(name)}, " if problem.line else f"{name}: "
        raise Refusal(f"{where}{complete(problem, text)}") from None
    if len(found) != 1:
        raise Refusal(f"one {word} is asked for, and {text.strip()!r} defines {len(found)}: {listing(found)}")
    return next(iter(found.values()))


def bounds(rule: updates.Rule) -> dict[str, str]:
    """Where numbers of a rule lie, in words: "above 0", "from 0" or "from 0 to 1"; others may be any."""
    return {n: _BOUNDS[n] for n in rule.options if n in _BOUNDS}


def _number(rule: updates.Rule, name: str, value: Any) -> float:
    if name not in rule.options:
        others = [n for n in PRECEDING if n not in rule.options]
        raise Refusal(
            f"{rule.name} has no option '{name}'{did_you_mean(name, (*rule.options, *others))} "
            f"(it has {listing(rule.options)})"
        )
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise Refusal(f"{name} of {rule.name} is a number, such as {rule.options[name]}, not {value!r}")
    number, lies = float(value), bounds(rule).get(name, "")
    if lies and number < 0 or lies == "above 0" and number == 0 or lies.endswith("1") and number > 1:
        raise Refusal(f"{name} is a number {lies}, not {value!r}")
    return number
