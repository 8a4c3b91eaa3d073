"""Where names live while a text is read: a frame for the text and for each call, an equation for its index
letters.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Union

from symgrad.errors import Refusal
from symgrad.language.definitions import Definition
from symgrad.language.ints import Axis, Int, of
from symgrad.language.ranges import Place, Ranges
from symgrad.language.values import Array


@dataclass(frozen=True)
class Option:
    """A literal that chooses a form: `True`, `None`, `"enc"`, or several whole numbers, `(2, 1)`."""

    value: str | bool | tuple[Int, ...] | None


Value = Union[Array, Option]


@dataclass(eq=False)
class Layer:
    """A layer with a name, from the call that gave it: `dense(x, 16, name="enc")`.

    Attributes:
        name: what stands before its weights, `enc_W`.
        definition: the name of what was called.
        weights: those that it declared.
    """

    name: str
    definition: str
    weights: dict[str, None] = field(default_factory=dict)


@dataclass(eq=False)
class Use:
    """One call of a layer with a name, the first or a further one with the same weights; calls in its body
    belong to it.
    """

    layer: Layer
    again: bool = False
    numbers: dict[str, int] = field(default_factory=dict)  # for each stem, the largest number given so far


@dataclass(eq=False)
class Frame:
    """The names that a text, or the body of a definition, sees.

    Attributes:
        values: tensors, parameters and what was computed.
        sizes: the size letters.
        letters: letters that may be an index although something else has the name: those of declared shapes.
        weights: declared in the definition and not used yet; draws and states too.
        zeros: sizes declared for what equations of the definition add to.
        suffix: the number of this call's weights.
        use: the call of a layer with a name that this is, or that it is a part of.
        layers: those that were given a name in these lines.
        definition: whose body it is; None for the text itself.
        foreign: whether its lines are not the user's text, so that messages point at the call.
        dotted: whether `...` stands for leading axes that are indices; `lead` are their sizes and letters.
    """

    values: dict[str, Value] = field(default_factory=dict)
    sizes: dict[str, Int] = field(default_factory=dict)
    letters: dict[str, None] = field(default_factory=dict)
    weights: dict[str, ast.AnnAssign] = field(default_factory=dict)
    zeros: dict[str, tuple[Int, ...]] = field(default_factory=dict)
    suffix: str = ""
    use: Use | None = None
    layers: dict[str, Layer] = field(default_factory=dict)
    definition: Definition | None = None
    foreign: bool = False
    dotted: bool = False
    lead: tuple[tuple[Int, ...], tuple[str, ...]] = ((), ())

    def is_letter(self, name: str) -> bool:
        """Whether a name may be bound as an index."""
        return name in self.letters or (name not in self.values and name not in self.weights)


class Equation:
    """The index letters of one equation, innermost scope last, and the places where they are used."""

    def __init__(self, ranges: Ranges, given: Mapping[str, Int], *, free: bool = False, dotted: bool = False):
        self.ranges, self.given, self.free, self.dotted = ranges, given, free, dotted
        self.scopes: list[dict[str, str]] = [{}]
        self.axes: list[str] = []
        self.places: list[Place] = []
        self.dots: tuple[str, ...] | None = None
        self.owners: dict[str, ast.AST] = {}

    def find(self, name: str) -> Int | None:
        """The running value of a bound letter."""
        for scope in reversed(self.scopes):
            if name in scope:
                return of(Axis(scope[name]))
        return None

    def bind(self, name: str, node: ast.AST, size: Int | None = None, *, outermost: bool = False) -> str:
        """A new axis for a letter, in the innermost scope (or the outermost)."""
        scope = self.scopes[0 if outermost else -1]
        if name in scope:
            raise Refusal(f"{name} is bound twice here; give each index its own letter").at(node)
        size = self.given.get(name) if size is None else size
        axis = self.ranges.new(name, size)
        if size is not None:
            self.ranges.given[axis] = None
        scope[name] = axis
        self.axes.append(axis)
        self.owners[axis] = node
        return axis

    def leading(
        self, count: int, letters: Iterable[str], sizes: Iterable[Int], node: ast.AST
    ) -> tuple[str, ...]:
        """The axes that `...` stands for, made at its first use; an array that has fewer repeats along the first."""
        if self.dots is None and count:
            self.dots = tuple(self.ranges.new(x, n) for x, n in zip(letters, sizes, strict=True))
            self.axes.extend(self.dots)
            self.ranges.leading.update(dict.fromkeys(self.dots))
        dots = self.dots or ()
        if len(dots) < count:
            raise Refusal(
                f"`...` stands for {len(dots)} axes elsewhere in this equation, and for {count} here"
            ).at(node)
        return dots[len(dots) - count :]

    def note(self, place: Place) -> None:
        """A read or write at a position: a bare letter whose range is open takes it from here."""
        self.places.append(place)
        self.ranges.meet(place)
