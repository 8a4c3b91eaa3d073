"""From a graph of operations to the text that it writes: declarations, then equations.

A line of its own has each layer that another goes on from, what is used twice, what has a name, and what would make
a line too long.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from symgrad.errors import SymgradError
from symgrad.language.formulas import FUNCTIONS
from symgrad.language.functions import ALIASES
from symgrad.language.reader import CORE
from symgrad.language.syntax import same_chain
from symgrad.leaves import LEAVES
from symgrad.library import public
from symgrad.objects.nodes import (
    Call,
    Chosen,
    Condition,
    Declared,
    Hole,
    LayerWeight,
    Node,
    Owner,
    Parameter,
    Size,
    filled,
    ordered,
)

DEPTH, SIZE = 8, 40  # of the operations in one line: levels, and all of them


def function_names() -> tuple[str, ...]:
    """Everything that a text can call by name."""
    return tuple(dict.fromkeys([*public(), *LEAVES, *FUNCTIONS, *ALIASES]))


@dataclass
class Written:
    """An expression as text.

    Attributes:
        declared: the lines that declare its tensors.
        equations: in order.
        result: the last right side.
        names: what its expressions are called, those that have a name, by id.
    """

    declared: list[ast.stmt]
    equations: list[ast.stmt]
    result: ast.expr
    names: dict[int, str]
    nodes: list[Node] = field(repr=False)  # so that no id is used again

    @property
    def text(self) -> str:
        body = [*self.declared, *self.equations]
        return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))

    def name_of(self, e: Node) -> str:
        """What an expression is called in the text.

        Raises:
            SymgradError: it has no line of its own there, or is no part of it.
        """
        if id(e) not in self.names:
            raise SymgradError(
                'the expression is no tensor with a name in this program; give it one before: h.named("h")'
            )
        return self.names[id(e)]


def _equation(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def write(
    root: Node,
    *,
    keep: Iterable[Node] = (),
    name: str = "loss",
    taken: Iterable[str] = (),
    trace: object = None,
    when: Callable[[frozenset[int] | None], ast.expr | None] = lambda _: None,
    strict: bool = True,
) -> Written:
    """The text of an expression: declarations, then a line for each layer, for what is used twice, for what has a name.

    Args:
        root: the expression.
        keep: expressions that get a line of their own.
        name: what the result is called, unless it has a name.
        taken: names that may not be made up.
        trace: the function that is being read, whose parameters and weights may occur.
        when: for the ways through that function on which a line is needed, the condition over its options.
        strict: whether what belongs to another function is refused.

    Raises:
        SymgradError: two tensors or layers have the same name; a weight of a layer that is nowhere applied.
    """
    try:
        return _Writer(root, list(keep), name, taken, trace, when, strict).written()
    except RecursionError:
        raise SymgradError('the formula is nested too deeply; give parts a name: h.named("h")') from None


class _Writer:
    def __init__(
        self,
        root: Node,
        keep: list[Node],
        name: str,
        taken: Iterable[str],
        trace: object,
        when: Callable[[frozenset[int] | None], ast.expr | None],
        strict: bool,
    ):
        self.root, self.trace, self.when, self.strict = root, trace, when, strict
        self.keep = {id(e) for e in keep}
        self.calls: dict[Owner, list[Call]] = {}
        for e in ordered(*keep, root):
            if isinstance(e, Call) and e.layer is not None and e.weighted:
                self.calls.setdefault(e.layer, []).append(e)
        self.order = ordered(*keep, root, after=self._after)
        self.calls = {}
        for e in self.order:
            if isinstance(e, Call) and e.layer is not None and e.weighted:
                self.calls.setdefault(e.layer, []).append(e)
        self.read = {e.layer for e in self.order if isinstance(e, LayerWeight)}
        self.names: dict[int, str] = {}
        called = [e.function for e in self.order if isinstance(e, Call)]
        self.functions = dict.fromkeys([*CORE, *called])
        self.used = dict.fromkeys([*self.functions, *taken])
        self._name_sizes()
        self.layers = self._name_layers()
        self._name_declared()
        self.lined = self._lined()
        self.ways = self._ways()
        self._name_lines(name)

    # the order

    def _after(self, e: Node) -> tuple[Node, ...]:
        """What must be written before an expression."""
        if isinstance(e, LayerWeight):
            calls = self.calls.get(e.layer)
            if not calls:
                what = e.layer.name or f"a layer {e.layer.function}"
                raise SymgradError(f"the weight {e.stem} of {what} is used, but the layer is nowhere applied")
            return (calls[0],)
        return e.parts()

    # names

    def _made(self, stem: str) -> str:
        """The first free name: h1, h2, ..."""
        taken = {*self.used, *function_names(), "pi", "e"}
        name = next(x for x in (f"{stem}{k}" for k in itertools.count(1)) if x not in taken)
        self.used[name] = None
        return name

    def _name_sizes(self) -> None:
        for e in self.order:
            trees = [e.annotation] if isinstance(e, Declared) else [e.tree] if isinstance(e, Size) else []
            for node in (n for t in trees for n in ast.walk(t) if isinstance(n, ast.Name)):
                self.used[node.id] = None

    def _name_layers(self) -> dict[Owner, str]:
        """The names of layers whose weights are spoken of, or used again."""
        names = {layer: layer.name for layer in self.calls if layer.name}
        twice = [n for k, n in enumerate(names.values()) if n in list(names.values())[:k]]
        if twice:
            raise SymgradError(f"two layers are called {twice[0]}; give one of them another name")
        for layer, calls in self.calls.items():
            if not layer.name and (len(calls) > 1 or layer in self.read):
                stem = layer.function
                taken = [*names.values(), *self.used, *(e.name.split("_")[0] for e in self.order)]
                names[layer] = next(x for x in (f"{stem}{k}" for k in itertools.count(1)) if x not in taken)
        for e in self.order:
            if isinstance(e, LayerWeight):
                self.names[id(e)] = f"{names[e.layer]}_{e.stem}"
                self.used[self.names[id(e)]] = None
        return names

    def _name_declared(self) -> None:
        declared = [e for e in self.order if isinstance(e, Declared)]
        sizes = dict(self.used)
        for e in [e for e in declared if e.name] + [e for e in self.order if not e.fixed and e.name]:
            if e.name in sizes:
                what = "a function" if e.name in self.functions else "a size or a parameter"
                raise SymgradError(f"{e.name} is {what} too; give the tensor another name")
            if e.name in self.used:
                raise SymgradError(f"two tensors are called {e.name}; give one of them another name")
            self.names[id(e)] = e.name
            self.used[e.name] = None
        for e in declared:
            if not e.name:
                name = e.stem if e.stem not in self.used else self._made(f"{e.stem}_")
                self.names[id(e)] = name
                self.used[name] = None
            if self.strict and e.trace is not self.trace:
                raise SymgradError(
                    f"{self.names[id(e)]} is declared outside the function; give it to the function as an argument"
                    if self.trace is not None
                    else f"{self.names[id(e)]} is a weight of a function, known inside it only"
                )
        for e in self.order:
            if isinstance(e, Parameter) and self.strict and e.trace is not self.trace:
                raise SymgradError(
                    f"{ast.unparse(e.tree)} is a parameter of a function, known inside it only"
                )

    # lines

    def _lined(self) -> dict[int, None]:
        """The expressions that get a line of their own, by id."""
        uses: dict[int, int] = {}
        for e in reversed(self.order):
            for part in () if isinstance(e, Declared) else e.parts():
                uses[id(part)] = uses.get(id(part), 0) + (max(uses.get(id(e), 1), 1) if e.fixed else 1)
        lined: dict[int, None] = {}
        depth: dict[int, int] = {}
        count: dict[int, int] = {}
        heavy: dict[int, bool] = {}
        sizes: dict[int, bool] = {}
        for e in self.order:
            parts = () if isinstance(e, Declared) else e.parts()
            weighted = isinstance(e, Call) and e.weighted
            sizes[id(e)] = isinstance(e, Size) or (
                isinstance(e.tree, ast.BinOp) and bool(parts) and all(sizes[id(p)] for p in parts)
            )
            if isinstance(e, Call) and (weighted or len(parts) > 1):
                lined.update((id(p), None) for p in parts if heavy[id(p)])
            inside = [p for p in parts if id(p) not in lined]
            chained = {id(p) for p in inside if _same_chain(e, p)}
            depth[id(e)] = 1 + max((depth[id(p)] - (id(p) in chained) for p in inside), default=0)
            count[id(e)] = 1 + sum(count[id(p)] for p in inside)
            if e is self.root or e.fixed or (sizes[id(e)] and not e.name):
                heavy[id(e)] = any(heavy[id(p)] for p in inside)
                continue
            own = isinstance(e, Call) and e.layer in self.layers
            large = depth[id(e)] >= DEPTH or count[id(e)] >= SIZE
            if e.name or uses.get(id(e), 0) > 1 or id(e) in self.keep or own or large:
                lined[id(e)] = None
            heavy[id(e)] = id(e) not in lined and (weighted or any(heavy[id(p)] for p in inside))
        return lined

    def _ways(self) -> dict[int, frozenset[int]]:
        """For what is needed on some ways only through the function that is being read: those ways, by id."""
        every = frozenset(k for e in self.order if isinstance(e, Chosen) for side in e.sides for k in side)
        ways = {id(self.root): every}
        for e in reversed(self.order):
            here = ways.setdefault(id(e), frozenset())
            sides = e.sides if isinstance(e, Chosen) else None
            for k, part in enumerate(self._after(e)):
                found = here if sides is None else here & sides[k]
                ways[id(part)] = ways.get(id(part), frozenset()) | found
        return {k: found for k, found in ways.items() if found != every}

    def _name_lines(self, name: str) -> None:
        root = self.root
        result = root.name if root.name and not root.fixed else name
        if not (root.name and not root.fixed):
            if result in self.used:
                raise SymgradError(
                    f"{result} is the name of the result; give the part of it that is called {result} another name"
                )
            self.used[result] = None
        if self.trace is None and result != "loss" and "loss" in self.names.values():
            raise SymgradError(f"loss is the name of what is differentiated, which is called {result} here")
        self.result = result
        for e in self.order:
            if id(e) in self.lined and id(e) not in self.names:
                self.names[id(e)] = self._made("h")
        if not root.fixed:
            self.names[id(root)] = result

    # text

    def _place(self, e: Node) -> ast.expr:
        """What stands where an expression is used."""
        if id(e) in self.names and e is not self.root:
            return ast.Name(self.names[id(e)], ast.Load())
        return self._right(e)

    def _size(self, e: Node) -> ast.expr:
        """What stands in a declaration, which comes before every equation."""
        return self._right(e) if e.fixed else filled(e.tree, self._size)

    def _right(self, e: Node) -> ast.expr:
        """The operation of an expression."""
        if e.fixed and id(e) in self.names:
            return ast.Name(self.names[id(e)], ast.Load())
        out: ast.expr = filled(e.tree, self._place)
        if isinstance(e, Call) and e.layer in self.layers and isinstance(out, ast.Call):
            first = self.calls[e.layer][0] is e
            name = ast.Constant(self.layers[e.layer])
            out.keywords.append(ast.keyword("name" if first else "weights", name))
        return out

    def written(self) -> Written:
        declared: list[ast.stmt] = []
        equations: list[ast.stmt] = []
        for e in self.order:
            if isinstance(e, Declared):
                target = ast.Name(self.names[id(e)], ast.Store())
                start = None if e.start is None else filled(e.start, self._size)
                declared.append(ast.AnnAssign(target, filled(e.annotation, self._size), start, simple=1))
            elif id(e) in self.lined and e is not self.root:
                right, condition = self._right(e), self.when(self.ways.get(id(e)))
                if condition is not None:
                    right = ast.IfExp(condition, right, ast.Constant(0))
                equations.append(_equation(self.names[id(e)], right))
        result = self._right(self.root)
        if isinstance(self.root, Condition):
            result = ast.List([result], ast.Load())
        equations.append(_equation(self.result, result))
        return Written(declared, equations, result, self.names, self.order)


def _same_chain(e: Node, part: Node) -> bool:
    """Whether a part goes on the sum or product that an expression ends, so that no parentheses open."""
    t = e.tree
    return (
        isinstance(t, ast.BinOp)
        and isinstance(t.left, Hole)
        and t.left.part is part
        and same_chain(t, part.tree)
    )
