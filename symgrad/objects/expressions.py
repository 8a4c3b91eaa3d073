"""Expressions as Python objects, which write the language: a graph of operations becomes lines of text.

Nothing is computed here and no shape is known: what is written is read like any other text, and that text is what
counts.
"""

from __future__ import annotations

import ast
import math
import numbers
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import Any

import numpy as np

from symgrad.errors import SymgradError, did_you_mean
from symgrad.language.functions import HINTS
from symgrad.objects import nodes
from symgrad.objects.nodes import Call, Hole, Node, Owner, checked, place
from symgrad.objects.writing import function_names, write

ENTRIES = 1000  # of an array that is written into the text

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

    __slots__ = ("node",)

    def __init__(self, made: ast.expr | Node):
        self.node = made if isinstance(made, Node) else Node(made)

    def named(self, name: str) -> Expression:
        """Give the result a name of its own in the text; the same expression."""
        self.node.name = checked(name)
        return self

    # operators

    def _binary(self, op: type[ast.operator], left: object, right: object) -> Expression:
        sides = [tree(list(x) if isinstance(x, tuple) else x) for x in (left, right)]
        return Expression(ast.BinOp(sides[0], op(), sides[1]))

    def __add__(self, other: object) -> Expression:
        return self._binary(ast.Add, self, other)

    def __radd__(self, other: object) -> Expression:
        if isinstance(other, int) and other == 0:
            return self  # where Python's sum starts
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

    def __round__(self) -> Expression:
        return call("round", self)

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
            near = _hint(name) or did_you_mean(name, function_names())
            raise missing(f"an expression has no '{name}'{near}", name)
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

    def __array_function__(
        self, function: Callable[..., Any], _: object, args: Sequence[object], options: Mapping[str, object]
    ) -> Expression:
        """The same for `np.sum(x)`, `np.where(c, a, b)`, `np.linalg.norm(x)`."""
        name = function.__name__
        if name not in function_names():
            hint = _hint(name) or did_you_mean(name, function_names())
            raise SymgradError(f"np.{name} cannot take an expression{hint}")
        return call(name, *args, **options)

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
        return write(self.node, strict=False).text

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

    def __init__(self, tree: ast.expr):
        super().__init__(nodes.Condition(tree))

    def _join(self, op: type[ast.boolop], other: object) -> Condition:
        if not isinstance(other, Condition):
            raise SymgradError(
                "`&` and `|` join conditions, such as (x > 0) & (x < 1), each in its parentheses"
            )
        return Condition(ast.BoolOp(op(), [Hole(self.node), Hole(other.node)]))

    def __and__(self, other: object) -> Condition:
        return self._join(ast.And, other)

    def __or__(self, other: object) -> Condition:
        return self._join(ast.Or, other)

    def __invert__(self) -> Condition:
        return Condition(ast.UnaryOp(ast.Not(), Hole(self.node)))

    def __bool__(self) -> bool:
        raise SymgradError(
            "a comparison is neither true nor false before it is run: sg.where(x > 0, a, b) chooses, entry by entry, "
            "and conditions are joined as (0 < x) & (x < 1)"
        )


class Choice:
    """An option of a function that is being read: `if bias:` reads both ways. `sg.training` is one of every function.

    Example:
        >>> import symgrad as sg
        >>> @sg.op
        ... def noise(x: "[..., i]", deviation=0.1):
        ...     "normal noise in training"
        ...     return x + sg.draw(..., "i", normal=deviation) if sg.training else x
        >>> print(noise.__doc__)
        normal noise in training
        <BLANKLINE>
        Its definition:
        <BLANKLINE>
            def noise(x: [..., i], deviation=0.1):
                \"\"\"normal noise in training\"\"\"
                eps: draw[..., i] = normal(deviation)
                return x + eps if training else x
    """

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


ASKING: list[Callable[[str, object], bool]] = []  # how functions that are being read ask, innermost last


def _ask(name: str, value: object) -> bool:
    if not ASKING:
        raise SymgradError(f"sg.{name} is asked in a function under @sg.op: `if sg.{name}:` reads both ways")
    return ASKING[-1](name, value)


training = Choice("training", _ask)


# ---------------------------------------------------------------------- from Python's values to trees


def missing(sentence: str, name: str) -> AttributeError:
    """For an attribute that is not there; Python's own guess at the name would stand behind ours."""
    return AttributeError(sentence, name=name, obj=None)


def _hint(name: str) -> str:
    return f": {HINTS[name]}" if name in HINTS else ""


def tree(value: object) -> ast.expr:
    """What stands in a text for a value of Python: an expression, a number, an option, a list of them.

    Raises:
        SymgradError: for what cannot stand in a formula.
    """
    match value:
        case Expression(node=node):
            return place(node)
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
            if not re.fullmatch(r"[\w ,.>+()-]*", value):
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


def call(name: str, *args: object, **options: object) -> Expression:
    """A function of the language applied to expressions and numbers."""
    return applied(name, args, options)


def applied(
    name: str, args: Sequence[object], options: Mapping[str, object], layer: Owner | None = None
) -> Expression:
    """The same, by a layer if it is one."""
    trees = {k: tree(v) for k, v in options.items()}
    return Expression(Call(name, list(map(tree, args)), trees, layer))


def spelled(declaration: Any, *tensors: Any, name: str = "loss") -> tuple[Any, ...]:
    """A declaration in which an expression is written as text, and what it calls tensors that are given as expressions.

    Args:
        declaration: an expression, or what needs no writing.
        tensors: each a name, an expression, several of them, or None.
        name: what the result is called, unless it has a name.

    Returns:
        the declaration, then the tensors by name.

    Raises:
        SymgradError: an expression is given for a tensor of a text, or is no part of the declaration.
    """
    given = [
        list(t) if isinstance(t, Iterable) and not isinstance(t, (str, Expression)) else [t] for t in tensors
    ]
    objects = [e for group in given for e in group if isinstance(e, Expression)]
    if not isinstance(declaration, Expression):
        if objects:
            raise SymgradError('the declaration is no expression: name its tensors, such as wrt="x"')
        return declaration, *tensors
    inside = {id(node) for node in nodes.ordered(declaration.node)}
    for e in objects:
        if id(e.node) not in inside and not isinstance(e.node, nodes.LayerWeight):
            raise SymgradError(f"{e!r} is no part of what is derived")
    written = write(declaration.node, keep=[e.node for e in objects], name=name)
    names = [[written.name_of(e.node) if isinstance(e, Expression) else e for e in group] for group in given]
    single = [isinstance(t, (str, Expression)) or not isinstance(t, Iterable) for t in tensors]
    return written.text, *(group[0] if one else group for group, one in zip(names, single, strict=True))
