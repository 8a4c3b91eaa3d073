"""Expressions as Python objects, which write the language: a graph of operations becomes lines of text.

Nothing is computed here and no shape is known: what is written is read like any other text, and that text is what
counts. An expression holds the tree of its own operation, with a `Hole` for each expression that it is made of.
"""

from __future__ import annotations

import ast
import copy
import itertools
import math
import numbers
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import EllipsisType
from typing import Any

import numpy as np

from symgrad.errors import SymgradError, did_you_mean
from symgrad.language.definitions import stems
from symgrad.language.functions import ALIASES, FUNCTIONS, HINTS
from symgrad.language.reader import CORE
from symgrad.language.syntax import is_name, same_chain
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS

ENTRIES = 1000  # of an array that is written into the text
DEPTH, SIZE = 8, 40  # of the operations in one line: levels, and all of them

COMPARE: dict[str, type[ast.cmpop]] = {
    "<": ast.Lt, "<=": ast.LtE, ">": ast.Gt, ">=": ast.GtE, "==": ast.Eq, "!=": ast.NotEq,
}  # fmt: skip
_OPERATORS: dict[str, type[ast.operator]] = {
    "add": ast.Add, "subtract": ast.Sub, "multiply": ast.Mult, "divide": ast.Div, "power": ast.Pow,
    "matmul": ast.MatMult, "floor_divide": ast.FloorDiv, "remainder": ast.Mod,
}  # fmt: skip
_COMPARISONS = {
    "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!=",
}  # fmt: skip


def function_names() -> tuple[str, ...]:
    """Everything that a text can call by name."""
    return tuple(dict.fromkeys([*DEFINITIONS, *LEAVES, *FUNCTIONS, *ALIASES]))


class Hole(ast.expr):
    """The place of an expression in the tree of another."""

    _fields = ()

    def __init__(self, part: Expression):
        super().__init__()
        self.part = part


class Expression:
    """A formula that is put together in Python: `x`, `x @ W + b`, `sg.relu(h)`.

    Made by `sg.data`, `sg.weight` and their like, by the operators, and by every function of the library. Operators and
    slices mean what they mean in the text; a method is the function of its name, `x.mean(axis=0)`. `print` shows the
    text.

    Example:
        >>> import symgrad as sg
        >>> x = sg.data("n", 3, name="x")
        >>> print(sg.mean((x - 1)**2))
        x: data[n, 3]
        loss = mean((x - 1) ** 2)
    """

    __slots__ = ("_name", "_tree")
    fixed = False  # whether it always stands as it is, without a line of its own

    def __init__(self, tree: ast.expr):
        self._tree, self._name = tree, ""

    def named(self, name: str) -> Expression:
        """Give the result a name of its own in the text; the same expression."""
        self._name = checked(name)
        return self

    def parts(self) -> tuple[Expression, ...]:
        """The expressions that it is made of, in the order in which they are written."""
        return tuple(holes(self._tree))

    def over(self, of: Callable[[Expression], Expression]) -> Expression:
        """The same operation of other expressions."""
        out = copy.copy(self)
        out._tree = filled(self._tree, lambda part: Hole(of(part)))
        return out

    def key(self) -> tuple[object, ...]:
        """What the operation is, whatever it is applied to."""
        return (self._name, _skeleton(self._tree))

    # operators

    def _binary(self, op: type[ast.operator], left: object, right: object) -> Expression:
        sides = [tree(list(x) if isinstance(x, tuple) else x) for x in (left, right)]
        return Expression(ast.BinOp(sides[0], op(), sides[1]))

    def __add__(self, other: object) -> Expression:
        return self._binary(ast.Add, self, other)

    def __radd__(self, other: object) -> Expression:
        return self._binary(ast.Add, other, self)

    def __sub__(self, other: object) -> Expression:
        return self._binary(ast.Sub, self, other)

    def __rsub__(self, other: object) -> Expression:
        return self._binary(ast.Sub, other, self)

    def __mul__(self, other: object) -> Expression:
        return self._binary(ast.Mult, self, other)

    def __rmul__(self, other: object) -> Expression:
        return self._binary(ast.Mult, other, self)

    def __truediv__(self, other: object) -> Expression:
        return self._binary(ast.Div, self, other)

    def __rtruediv__(self, other: object) -> Expression:
        return self._binary(ast.Div, other, self)

    def __floordiv__(self, other: object) -> Expression:
        return self._binary(ast.FloorDiv, self, other)

    def __mod__(self, other: object) -> Expression:
        return self._binary(ast.Mod, self, other)

    def __pow__(self, other: object) -> Expression:
        return self._binary(ast.Pow, self, other)

    def __rpow__(self, other: object) -> Expression:
        return self._binary(ast.Pow, other, self)

    def __matmul__(self, other: object) -> Expression:
        return self._binary(ast.MatMult, self, other)

    def __rmatmul__(self, other: object) -> Expression:
        return self._binary(ast.MatMult, other, self)

    def __neg__(self) -> Expression:
        return Expression(ast.UnaryOp(ast.USub(), tree(self)))

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return call("abs", self)

    def __lt__(self, other: object) -> Condition:
        return compare("<", self, other)

    def __le__(self, other: object) -> Condition:
        return compare("<=", self, other)

    def __gt__(self, other: object) -> Condition:
        return compare(">", self, other)

    def __ge__(self, other: object) -> Condition:
        return compare(">=", self, other)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return compare("==", self, other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return compare("!=", self, other)

    __hash__ = object.__hash__

    def __getitem__(self, key: object) -> Expression:
        return Expression(ast.Subscript(tree(self), _position(key), ast.Load()))

    @property
    def T(self) -> Expression:
        """The transpose: all axes in reverse."""
        return Expression(ast.Attribute(tree(self), "T", ast.Load()))

    @property
    def shape(self) -> Shape:
        """The sizes of the axes: `x.shape[0]` is a number to calculate with."""
        return Shape(self)

    @property
    def size(self) -> Expression:
        """The number of entries."""
        return Expression(ast.Attribute(tree(self), "size", ast.Load()))

    def __getattr__(self, name: str) -> Callable[..., Expression]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in function_names():
            raise AttributeError(
                f"an expression has no '{name}'{_hint(name) or did_you_mean(name, function_names())}"
            )
        return lambda *args, **options: call(name, self, *args, **options)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *function_names()})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **options: object) -> Expression:
        """NumPy's functions are read as they are meant: `np.exp(x)`, `np.float64(2)*x`."""
        name = ufunc.__name__
        if method == "__call__" and not options:
            if name in _OPERATORS:
                return self._binary(_OPERATORS[name], *inputs)
            if name in _COMPARISONS:
                return compare(_COMPARISONS[name], *inputs)
            if name in function_names():
                return call(name, *inputs)
        raise SymgradError(f"np.{name} cannot take an expression; the functions are sg.exp, sg.sum and so on")

    # what Python asks and a formula cannot answer

    def __bool__(self) -> bool:
        raise SymgradError(
            "a formula is neither true nor false before it is run; sg.where(c, a, b) chooses, entry by entry"
        )

    def __iter__(self) -> Iterator[Expression]:
        raise SymgradError(
            "a formula cannot be gone through entry by entry: write it for the whole array, or take x[0], x[1]"
        )

    def __len__(self) -> int:
        raise SymgradError("how long an array is, is not known here; its size is x.shape[0]")

    def __contains__(self, _: object) -> bool:
        raise SymgradError("whether a value is in an array is not known before it is run")

    def __index__(self) -> int:
        raise SymgradError("a formula is no whole number for Python: it has no value before it is run")

    def __float__(self) -> float:
        raise SymgradError("a formula has no value before it is run; sg.derive(...).function() runs it")

    __int__ = __index__

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise SymgradError(
            "a formula has no value before it is run, so it is no array; sg.derive(...).function() runs it"
        )

    def __str__(self) -> str:
        return write(self, strict=False).text

    def __repr__(self) -> str:
        try:
            return f"<expression {str(self).splitlines()[-1]}>"
        except SymgradError as problem:
            return f"<expression: {problem}>"


class Shape:
    """The sizes of an expression's axes."""

    def __init__(self, of: Expression):
        self._of = of

    def __getitem__(self, k: int) -> Expression:
        return Expression(
            ast.Subscript(ast.Attribute(tree(self._of), "shape", ast.Load()), tree(k), ast.Load())
        )

    def __iter__(self) -> Iterator[Expression]:
        raise SymgradError("how many axes an array has is not known here; take one size, x.shape[0]")

    __len__ = __iter__


class Condition(Expression):
    """A comparison, entry by entry: 1 or 0 in a formula. Join with `&`, `|`, `~`."""

    __slots__ = ()
    fixed = True

    def _join(self, op: type[ast.boolop], other: object) -> Condition:
        if not isinstance(other, Condition):
            raise SymgradError(
                "`&` and `|` join conditions, such as (x > 0) & (x < 1), each in its parentheses"
            )
        return Condition(ast.BoolOp(op(), [Hole(self), Hole(other)]))

    def __and__(self, other: object) -> Condition:
        return self._join(ast.And, other)

    def __or__(self, other: object) -> Condition:
        return self._join(ast.Or, other)

    def __invert__(self) -> Condition:
        return Condition(ast.UnaryOp(ast.Not(), Hole(self)))

    def __bool__(self) -> bool:
        raise SymgradError(
            "a comparison is neither true nor false before it is run: sg.where(x > 0, a, b) chooses, entry by entry, "
            "and conditions are joined as (0 < x) & (x < 1)"
        )


class Size(Expression):
    """The size of an axis, by its letter."""

    __slots__ = ()
    fixed = True


class Declared(Expression):
    """A tensor with a declaration.

    Attributes:
        role: data, label, constant or weight.
        annotation: role, shape and facts, with holes for sizes that are calculated.
        start: of a weight.
        stem: what it is called if it was given no name.
        trace: the function that was being read when it was made.
    """

    __slots__ = ("annotation", "role", "start", "stem", "trace")
    fixed = True

    def __init__(self, role: str, annotation: ast.expr, start: ast.expr | None, stem: str, name: str | None):
        super().__init__(ast.Constant(None))
        self.role, self.annotation, self.start, self.stem = role, annotation, start, stem
        self.trace = TRACES[-1] if TRACES else None
        if name is not None:
            self.named(name)

    def parts(self) -> tuple[Expression, ...]:
        return tuple(holes(self.annotation))

    def over(self, of: Callable[[Expression], Expression]) -> Expression:
        out = copy.copy(self)
        out.annotation = filled(self.annotation, lambda part: Hole(of(part)))
        return out

    def key(self) -> tuple[object, ...]:
        start = "" if self.start is None else _skeleton(self.start)
        return (self._name or self.stem, self.role, _skeleton(self.annotation), start)


class Parameter(Expression):
    """A parameter of a function that is being read."""

    __slots__ = ("trace",)
    fixed = True

    def __init__(self, name: str, trace: object):
        super().__init__(ast.Name(name, ast.Load()))
        self.trace = trace


class Choice:
    """An option of a function that is being read: `if bias:` reads both ways."""

    __slots__ = ("_ask", "name")

    def __init__(self, name: str, ask: Callable[[str, object], bool]):
        self.name, self._ask = name, ask

    def __bool__(self) -> bool:
        return self._ask(self.name, True)

    def __eq__(self, other: object) -> bool:
        return self._ask(self.name, other)

    def __ne__(self, other: object) -> bool:
        return not self._ask(self.name, other)

    __hash__ = object.__hash__


class Call(Expression):
    """A function applied; of a layer that is used again, the weights are the same.

    Attributes:
        function: its name.
        layer: the object that was called, if it was one.
    """

    __slots__ = ("function", "layer")

    def __init__(
        self, function: str, args: Sequence[object], options: Mapping[str, object], layer: Owner | None
    ):
        keywords = [ast.keyword(checked(k), tree(v)) for k, v in options.items()]
        super().__init__(ast.Call(ast.Name(function, ast.Load()), list(map(tree, args)), keywords))
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


class LayerWeight(Expression):
    """A weight of a layer: `enc.W`."""

    __slots__ = ("layer", "stem")
    fixed = True

    def __init__(self, layer: Owner, stem: str):
        super().__init__(ast.Constant(None))
        self.layer, self.stem = layer, stem

    def key(self) -> tuple[object, ...]:
        return (self.layer, self.stem)


class Chosen(Expression):
    """One of two expressions, by an option of a function that is being read.

    Attributes:
        test: the question.
        sides: the ways through the function on which the first is taken, and those on which the second is.
    """

    __slots__ = ("sides", "test")

    def __init__(
        self, test: ast.expr, a: Expression, b: Expression, sides: tuple[frozenset[int], frozenset[int]]
    ):
        super().__init__(ast.IfExp(test, tree(a), tree(b)))
        self.test, self.sides = test, sides


TRACES: list[object] = []  # functions that are being read, innermost last


# ---------------------------------------------------------------------- from Python's values to trees


def _hint(name: str) -> str:
    return f": {HINTS[name]}" if name in HINTS else ""


def checked(name: object) -> str:
    """A name for the text.

    Raises:
        SymgradError: it is no identifier, or one that the language does not take.
    """
    if not isinstance(name, str) or not is_name(name):
        raise SymgradError(f"a name is a word such as h or W_out, not {name!r}")
    return name


def holes(node: ast.AST) -> Iterator[Expression]:
    """The expressions in a tree, from left to right."""
    if isinstance(node, Hole):
        yield node.part
    for child in ast.iter_child_nodes(node):
        yield from holes(child)


def _skeleton(node: ast.expr) -> str:
    """A tree as text, all holes alike."""
    return ast.dump(filled(node, lambda _: ast.Name("?", ast.Load())))


def filled(node: Any, of: Callable[[Expression], ast.expr]) -> Any:
    """A copy of a tree with its holes filled."""
    if isinstance(node, Hole):
        return of(node.part)
    if isinstance(node, list):
        return [filled(n, of) for n in node]
    if isinstance(node, ast.AST):
        return type(node)(**{name: filled(value, of) for name, value in ast.iter_fields(node)})
    return node


def tree(value: object) -> ast.expr:
    """What stands in a text for a value of Python: an expression, a number, an option, a list of them.

    Raises:
        SymgradError: for what cannot stand in a formula.
    """
    match value:
        case Condition():
            return ast.List([Hole(value)], ast.Load())
        case Expression():
            return Hole(value)
        case Choice(name=name):
            return ast.Name(name, ast.Load())
        case np.ndarray() if value.ndim:
            if value.size > ENTRIES:
                raise SymgradError(
                    f"an array of {value.size} entries is too long to be written out; declare it, "
                    'c = sg.constant("n", "m", name="c"), and give it when the function is called'
                )
            return tree(value.tolist())
        case np.generic() | np.ndarray():
            return tree(value.item())
        case None | bool():
            return ast.Constant(value)
        case str():
            if not re.fullmatch(r"[\w ,.>+-]*", value):
                raise SymgradError(f"{value!r} cannot be an option of the language")
            return ast.Constant(value)
        case int() | float():
            if isinstance(value, float) and not math.isfinite(value):
                raise SymgradError(f"{value} is no number that a formula can hold")
            plain = ast.Constant(abs(int(value) if isinstance(value, int) else float(value)))
            return ast.UnaryOp(ast.USub(), plain) if value < 0 else plain
        case numbers.Rational():
            return ast.BinOp(tree(int(value.numerator)), ast.Div(), tree(int(value.denominator)))
        case list():
            return ast.List(list(map(tree, value)), ast.Load())
        case tuple():
            return ast.Tuple(list(map(tree, value)), ast.Load())
    if callable(value):
        name = getattr(value, "__name__", type(value).__name__)
        raise SymgradError(
            f"{name} is a function or layer: apply it to an expression before it goes into a formula"
        )
    raise SymgradError(
        f"{value!r} cannot stand in a formula: a number, a list of numbers or an expression can"
    )


def _position(key: object) -> ast.expr:
    """What stands in brackets: numbers, slices, None, `...`, sizes, integer tensors."""
    match key:
        case tuple():
            return ast.Tuple(list(map(_position, key)), ast.Load())
        case slice(start=start, stop=stop, step=step):
            ends = [None if e is None else tree(e) for e in (start, stop, step)]
            return ast.Slice(*ends)
        case EllipsisType():
            return ast.Constant(...)
        case str():
            raise SymgradError(
                f"[{key!r}] is no position; equations with index letters are written as text: "
                'sg.define("def f(x): ...")'
            )
    return tree(key)


def compare(op: str, a: object, b: object) -> Condition:
    """`a < b`, entry by entry."""
    return Condition(ast.Compare(tree(a), [COMPARE[op]()], [tree(b)]))


def call(name: str, *args: object, **options: object) -> Call:
    """A function of the language applied to expressions and numbers."""
    return Call(name, args, options, None)


# ---------------------------------------------------------------------- writing


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
    nodes: list[Expression] = field(repr=False)  # so that no id is used again

    @property
    def text(self) -> str:
        body = [*self.declared, *self.equations]
        return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))

    def name_of(self, e: Expression) -> str:
        """What an expression is called in the text.

        Raises:
            SymgradError: it has no line of its own there, or is no part of it.
        """
        if id(e) not in self.names:
            raise SymgradError(
                f'{e!r} is no tensor with a name in this program; give it one before: h.named("h")'
            )
        return self.names[id(e)]


def _equation(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def write(
    root: Expression,
    *,
    keep: Iterable[Expression] = (),
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
        root: Expression,
        keep: list[Expression],
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

    def _after(self, e: Expression) -> tuple[Expression, ...]:
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
            trees = [e.annotation] if isinstance(e, Declared) else [e._tree] if isinstance(e, Size) else []
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
                taken = [*names.values(), *self.used, *(e._name.split("_")[0] for e in self.order)]
                names[layer] = next(x for x in (f"{stem}{k}" for k in itertools.count(1)) if x not in taken)
        for e in self.order:
            if isinstance(e, LayerWeight):
                self.names[id(e)] = f"{names[e.layer]}_{e.stem}"
                self.used[self.names[id(e)]] = None
        return names

    def _name_declared(self) -> None:
        declared = [e for e in self.order if isinstance(e, Declared)]
        sizes = dict(self.used)
        for e in [e for e in declared if e._name] + [e for e in self.order if not e.fixed and e._name]:
            if e._name in sizes:
                what = "a function" if e._name in self.functions else "a size or a parameter"
                raise SymgradError(f"{e._name} is {what} too; give the tensor another name")
            if e._name in self.used:
                raise SymgradError(f"two tensors are called {e._name}; give one of them another name")
            self.names[id(e)] = e._name
            self.used[e._name] = None
        for e in declared:
            if not e._name:
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
                    f"{ast.unparse(e._tree)} is a parameter of a function, known inside it only"
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
                isinstance(e._tree, ast.BinOp) and bool(parts) and all(sizes[id(p)] for p in parts)
            )
            if isinstance(e, Call) and (weighted or len(parts) > 1):
                lined.update((id(p), None) for p in parts if heavy[id(p)])
            inside = [p for p in parts if id(p) not in lined]
            chained = {id(p) for p in inside if _same_chain(e, p)}
            depth[id(e)] = 1 + max((depth[id(p)] - (id(p) in chained) for p in inside), default=0)
            count[id(e)] = 1 + sum(count[id(p)] for p in inside)
            if e is self.root or e.fixed or (sizes[id(e)] and not e._name):
                heavy[id(e)] = any(heavy[id(p)] for p in inside)
                continue
            own = isinstance(e, Call) and e.layer in self.layers
            large = depth[id(e)] >= DEPTH or count[id(e)] >= SIZE
            if e._name or uses.get(id(e), 0) > 1 or id(e) in self.keep or own or large:
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
        result = root._name if root._name and not root.fixed else name
        if not (root._name and not root.fixed):
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

    def _place(self, e: Expression) -> ast.expr:
        """What stands where an expression is used."""
        if id(e) in self.names and e is not self.root:
            return ast.Name(self.names[id(e)], ast.Load())
        return self._right(e)

    def _size(self, e: Expression) -> ast.expr:
        """What stands in a declaration, which comes before every equation."""
        return self._right(e) if e.fixed else filled(e._tree, self._size)

    def _right(self, e: Expression) -> ast.expr:
        """The operation of an expression."""
        if e.fixed and id(e) in self.names:
            return ast.Name(self.names[id(e)], ast.Load())
        out: ast.expr = filled(e._tree, self._place)
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
                declared.append(ast.AnnAssign(target, filled(e.annotation, self._size), e.start, simple=1))
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


def ordered(
    *roots: Expression, after: Callable[[Expression], tuple[Expression, ...]] = lambda e: e.parts()
) -> list[Expression]:
    """All that expressions are made of and themselves, each after what it needs."""
    order: list[Expression] = []
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


def _same_chain(e: Expression, part: Expression) -> bool:
    """Whether a part goes on the sum or product that an expression ends, so that no parentheses open."""
    t = e._tree
    return (
        isinstance(t, ast.BinOp)
        and isinstance(t.left, Hole)
        and t.left.part is part
        and same_chain(t, part._tree)
    )


def spelled(declaration: Any, wrt: Any = None) -> tuple[Any, Any]:
    """A declaration in which an expression is written as text, and the names of the expressions in `wrt`."""
    if not isinstance(declaration, Expression):
        return declaration, wrt
    several = isinstance(wrt, Iterable) and not isinstance(wrt, (str, Expression))
    wanted = list(wrt) if several else [wrt]
    written = write(declaration, keep=[e for e in wanted if isinstance(e, Expression)])
    names = [written.name_of(e) if isinstance(e, Expression) else e for e in wanted]
    return written.text, names if several else names[0]
