"""What expressions are made of: a graph of operations, each with the tree of its own part of the text.

A tree has a `Hole` for each operation that it is made of. Two nodes are the same where they are one object.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from symgrad.errors import SymgradError
from symgrad.language.definitions import stems
from symgrad.language.syntax import is_name
from symgrad.library import DEFINITIONS

TRACES: list[object] = []  # functions that are being read, innermost last


class Hole(ast.expr):
    """The place of a node in the tree of another."""

    _fields = ()

    def __init__(self, part: Node):
        super().__init__()
        self.part = part


class Node:
    """An operation.

    Attributes:
        tree: what is written for it.
        name: what the user calls its result, or "".
    """

    fixed = False  # whether it always stands as it is, without a line of its own

    def __init__(self, tree: ast.expr, name: str = ""):
        self.tree, self.name = tree, name

    def parts(self) -> tuple[Node, ...]:
        """The nodes that it is made of, in the order in which they are written."""
        return tuple(holes(self.tree))

    def over(self, of: Callable[[Node], Node]) -> Node:
        """The same operation of other nodes."""
        out = copy.copy(self)
        out.tree = filled(self.tree, lambda part: Hole(of(part)))
        return out

    def key(self) -> tuple[object, ...]:
        """What the operation is, whatever it is applied to."""
        return (self.name, skeleton(self.tree))


class Condition(Node):
    """A comparison; in a formula it stands in brackets."""

    fixed = True


class Size(Node):
    """The size of an axis, by its letter."""

    fixed = True


class Declared(Node):
    """A tensor with a declaration.

    Attributes:
        role: data, label, constant, weight or draw.
        annotation: role, shape and facts, with holes for sizes that are calculated.
        start: of a weight; the distribution of a draw.
        stem: what it is called if it was given no name.
        trace: the function that was being read when it was made.
    """

    fixed = True

    def __init__(self, role: str, annotation: ast.expr, start: ast.expr | None, stem: str, name: str):
        super().__init__(ast.Constant(None), name)
        self.role, self.annotation, self.start, self.stem = role, annotation, start, stem
        self.trace = TRACES[-1] if TRACES else None

    def parts(self) -> tuple[Node, ...]:
        return (*holes(self.annotation), *(holes(self.start) if self.start is not None else ()))

    def over(self, of: Callable[[Node], Node]) -> Node:
        out = copy.copy(self)
        out.annotation = filled(self.annotation, lambda part: Hole(of(part)))
        out.start = None if self.start is None else filled(self.start, lambda part: Hole(of(part)))
        return out

    def key(self) -> tuple[object, ...]:
        start = "" if self.start is None else skeleton(self.start)
        return (self.name or self.stem, self.role, skeleton(self.annotation), start)


class Parameter(Node):
    """A parameter of a function that is being read."""

    fixed = True

    def __init__(self, name: str, trace: object):
        super().__init__(ast.Name(name, ast.Load()))
        self.trace = trace


class Call(Node):
    """A function applied; of a layer that is used again, the weights are the same.

    Attributes:
        function: its name.
        layer: the object that was called, if it was one.
    """

    def __init__(
        self, function: str, args: Sequence[ast.expr], options: Mapping[str, ast.expr], layer: Owner | None
    ):
        keywords = [ast.keyword(checked(k), v) for k, v in options.items()]
        super().__init__(ast.Call(ast.Name(function, ast.Load()), list(args), keywords))
        self.function, self.layer = function, layer

    def key(self) -> tuple[object, ...]:
        return (*super().key(), self.layer)

    @property
    def weighted(self) -> bool:
        """Whether it declares weights or states, which a layer that is applied again has in common."""
        d = DEFINITIONS.get(self.function)
        return d is not None and bool(stems(d, DEFINITIONS, ("weight", "state")))


@dataclass(eq=False)
class Owner:
    """Whose weights the calls of a layer object share: the definition's name, and the name that the user gave."""

    function: str
    name: str = ""


class LayerWeight(Node):
    """A weight of a layer: `enc.W`."""

    fixed = True

    def __init__(self, layer: Owner, stem: str):
        super().__init__(ast.Constant(None))
        self.layer, self.stem = layer, stem

    def key(self) -> tuple[object, ...]:
        return (self.layer, self.stem)


class Chosen(Node):
    """One of two expressions, by an option of a function that is being read.

    Attributes:
        test: the question.
        sides: the ways through the function on which the first is taken, and those on which the second is.
    """

    def __init__(self, test: ast.expr, a: Node, b: Node, sides: tuple[frozenset[int], frozenset[int]]):
        super().__init__(ast.IfExp(test, place(a), place(b)))
        self.test, self.sides = test, sides


def place(node: Node) -> ast.expr:
    """What stands in a tree for a node."""
    return ast.List([Hole(node)], ast.Load()) if isinstance(node, Condition) else Hole(node)


def checked(name: object) -> str:
    """A name for the text.

    Raises:
        SymgradError: it is no identifier, or one that the language does not take.
    """
    if not isinstance(name, str) or not is_name(name):
        raise SymgradError(f"a name is a word such as h or W_out, not {name!r}")
    return name


def holes(node: ast.AST) -> Iterator[Node]:
    """The nodes in a tree, from left to right."""
    if isinstance(node, Hole):
        yield node.part
    for child in ast.iter_child_nodes(node):
        yield from holes(child)


def skeleton(node: ast.expr) -> str:
    """A tree as text, all holes alike."""
    return ast.dump(filled(node, lambda _: ast.Name("?", ast.Load())))


def filled(node: Any, of: Callable[[Node], ast.expr]) -> Any:
    """A copy of a tree with its holes filled."""
    if isinstance(node, Hole):
        return of(node.part)
    if isinstance(node, list):
        return [filled(n, of) for n in node]
    if isinstance(node, ast.AST):
        return type(node)(**{name: filled(value, of) for name, value in ast.iter_fields(node)})
    return node


def ordered(*roots: Node, after: Callable[[Node], tuple[Node, ...]] = lambda e: e.parts()) -> list[Node]:
    """All that expressions are made of and themselves, each after what it needs."""
    order: list[Node] = []
    done: dict[int, bool] = {}  # False while what it needs is being gone through
    for root in roots:
        stack = [(root, iter(after(root)))] if id(root) not in done else []
        done.setdefault(id(root), False)
        while stack:
            e, rest = stack[-1]
            part = next(rest, None)
            if part is None:
                stack.pop()
                done[id(e)] = True
                order.append(e)
            elif id(part) not in done:
                done[id(part)] = False
                stack.append((part, iter(after(part))))
            elif not done[id(part)]:
                raise SymgradError("a layer is applied to what is made of its own weights, before it has any")
    return order
