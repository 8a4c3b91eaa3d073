"""Values as NumPy expressions."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from symgrad.emit.names import Names
from symgrad.emit.values import Value, python
from symgrad.language import ints
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int

COMPARE, SUM, MATRIX, PRODUCT, UNARY, POWER, ATOM = range(7)

INFIX = {
    "add": ("+", SUM, SUM, MATRIX), "subtract": ("-", SUM, SUM, MATRIX),
    "multiply": ("*", PRODUCT, PRODUCT, UNARY), "divide": ("/", PRODUCT, PRODUCT, UNARY),
    "floor_divide": ("//", PRODUCT, PRODUCT, UNARY), "remainder": ("%", PRODUCT, PRODUCT, UNARY),
    "less": ("<", COMPARE, SUM, SUM), "less_equal": ("<=", COMPARE, SUM, SUM),
    "greater": (">", COMPARE, SUM, SUM), "greater_equal": (">=", COMPARE, SUM, SUM),
    "equal": ("==", COMPARE, SUM, SUM), "not_equal": ("!=", COMPARE, SUM, SUM),
}  # fmt: skip
_REDUCERS = {"add": "sum", "maximum": "max", "minimum": "min", "multiply": "prod", "logical_or": "any"}


class Text:
    """Expressions for values; those in `bound` have a name.

    `helpers` collects the small functions that the text calls, in order of first use; `dtype` is how the text names the
    type of reals."""

    def __init__(self, names: Names, dtype: str = "dtype"):
        self.names, self.dtype = names, dtype
        self.bound: dict[Value, str] = {}
        self.helpers: dict[str, None] = {}

    def __call__(self, v: Value, level: int = COMPARE) -> str:
        """The expression, in parentheses unless it binds as tightly as `level` asks."""
        text, own = self._show(v)
        return f"({text})" if own < level else text

    def _show(self, v: Value) -> tuple[str, int]:
        if v in self.bound:
            return self.bound[v], ATOM
        if v.op == "ufunc":
            return self._ufunc(v)
        shown: tuple[str, int] = getattr(self, f"_{v.op}")(v)
        return shown

    # ---- leaves of the expression

    def _input(self, v: Value) -> tuple[str, int]:
        return self.names.of(v.info), ATOM

    def _number(self, v: Value) -> tuple[str, int]:
        return number(v.info)

    def _constant(self, v: Value) -> tuple[str, int]:
        return f"np.{v.info}", ATOM

    def _size(self, v: Value) -> tuple[str, int]:
        text = self.names.size(v.info)
        return text, ATOM if text.isidentifier() or text.isdigit() else SUM

    def _arange(self, v: Value) -> tuple[str, int]:
        return f"np.arange({self.names.size(v.shape[0])})", ATOM

    # ---- functions

    def _ufunc(self, v: Value) -> tuple[str, int]:
        name, args = v.info, v.args
        if name in INFIX:
            sign, own, left, right = INFIX[name]
            return f"{self(args[0], left)} {sign} {self(args[1], right)}", own
        if name == "negative":
            return f"-{self(args[0], UNARY)}", UNARY
        if name == "square":
            return f"{self(args[0], ATOM)}**2", POWER
        if name == "power":
            return f"{self(args[0], ATOM)}**{self(args[1], POWER)}", POWER
        if python(v):
            # NumPy's own scalars would turn float32 arrays into float64
            if name in ("maximum", "minimum"):
                return f"{name[:3]}({', '.join(map(self, args))})", ATOM
            return (
                (f"{self(args[0], ATOM)}**0.5", POWER)
                if name == "sqrt"
                else (f"{'bool' if v.kind == 'bool' else 'float'}({self._call(name, args)})", ATOM)
            )
        return self._call(name, args), ATOM

    def _call(self, name: str, args: Iterable[Value]) -> str:
        return f"np.{name}({', '.join(map(self, args))})"

    def _leaf(self, v: Value) -> tuple[str, int]:
        self.helpers[v.info] = None
        return f"{self.names.of(v.info)}({', '.join(map(self, v.args))})", ATOM

    def _implicit(self, v: Value) -> tuple[str, int]:
        return self.implicit(v.info, map(self, v.args)), ATOM

    def implicit(self, name: str, args: Iterable[str]) -> str:
        """The call of an operation that an equation defines: NumPy's own, or a helper's."""
        helpers = IMPLICIT[name].helpers
        self.helpers.update(dict.fromkeys(h.__name__ for h in helpers))
        return f"{self.names.of(name) if helpers else f'np.linalg.{name}'}({', '.join(args)})"

    def _where(self, v: Value) -> tuple[str, int]:
        text = f"np.where({', '.join(map(self, v.args))})"
        return (f"{text}.astype({self.dtype})" if all(map(python, v.args[1:])) else text), ATOM

    def _hide(self, v: Value) -> tuple[str, int]:
        return f"np.where({self(v.args[0])}, {self(v.args[1])}, 0)", ATOM

    def _real(self, v: Value) -> tuple[str, int]:
        (a,) = v.args
        return (f"float({self(a)})" if python(a) else f"{self(a, ATOM)}.astype({self.dtype})"), ATOM

    def _stop(self, v: Value) -> tuple[str, int]:
        return f"np.real({self(v.args[0])})", ATOM

    def _matmul(self, v: Value) -> tuple[str, int]:
        a, b = v.args
        left, own = self._show(a)
        if own < UNARY and own != MATRIX:
            left = f"({left})"
        return f"{left} @ {self(b, UNARY)}", MATRIX

    def _einsum(self, v: Value) -> tuple[str, int]:
        return f'np.einsum("{v.info}", {", ".join(map(self, v.args))}, optimize=True)', ATOM

    def _reduce(self, v: Value) -> tuple[str, int]:
        name, over = v.info
        (a,) = v.args
        axis = "" if len(over) == len(a.shape) else f", axis={over[0] if len(over) == 1 else over}"
        return f"np.{_REDUCERS[name]}({self(a)}{axis})", ATOM

    # ---- memory

    def _fill(self, v: Value) -> tuple[str, int]:
        shape = self.shape(v.shape)
        return (
            f"np.zeros({shape}, {self.dtype})"
            if v.info == 0
            else f"np.full({shape}, {number(v.info)[0]}, {self.dtype})"
        ), ATOM

    def _pad(self, v: Value) -> tuple[str, int]:
        border, fill = v.info
        sides = ", ".join(f"({self.names.size(a)}, {self.names.size(b)})" for a, b in border)
        comma = "," if len(border) == 1 else ""
        value = "" if fill == 0 else f", constant_values={number(fill)[0]}"
        return f"np.pad({self(v.args[0])}, ({sides}{comma}){value})", ATOM

    def _copy(self, v: Value) -> tuple[str, int]:
        (a,) = v.args
        return (
            self._show(a) if a.op == "broadcast" and python(a.args[0]) else (f"{self(a, ATOM)}.copy()", ATOM)
        )

    _clone = _copy

    def _take(self, v: Value) -> tuple[str, int]:
        return f"{self(v.args[0], ATOM)}[{self.positions(v.info, v.args[1:])}]", ATOM

    def positions(self, pattern: tuple[int | None, ...], arrays: tuple[Value, ...], whole: str = ":") -> str:
        """An index by arrays, without the axes at the end that are taken whole."""
        last = max(k for k, p in enumerate(pattern) if p is not None)
        return ", ".join(whole if p is None else self(arrays[p]) for p in pattern[: last + 1])

    # ---- views

    def _transpose(self, v: Value) -> tuple[str, int]:
        a = self(v.args[0], ATOM)
        return (f"{a}.T" if v.info == tuple(reversed(range(len(v.info)))) else f"{a}.transpose{v.info}"), ATOM

    def _expand(self, v: Value) -> tuple[str, int]:
        return f"{self(v.args[0], ATOM)}[{', '.join(':' if p else 'None' for p in v.info)}]", ATOM

    def _broadcast(self, v: Value) -> tuple[str, int]:
        (a,) = v.args
        shape = self.shape(v.shape)
        return (
            f"np.full({shape}, {self(a)}, {self.dtype})"
            if python(a)
            else f"np.broadcast_to({self(a)}, {shape})"
        ), ATOM

    def _reshape(self, v: Value) -> tuple[str, int]:
        return f"{self(v.args[0], ATOM)}.reshape{self.shape(v.shape)}", ATOM

    def _diagonal(self, v: Value) -> tuple[str, int]:
        return f"np.diagonal({self(v.args[0])})", ATOM

    def _index(self, v: Value) -> tuple[str, int]:
        return self(v.args[0], ATOM) + self.subscript(v.info, v.args[0].shape), ATOM

    def _window(self, v: Value) -> tuple[str, int]:
        axis, start, steps, lengths = v.info
        self.helpers["windows"] = None
        return (
            f"windows({self(v.args[0])}, {axis}, {self.names.size(start)}, {steps}, {self.shape(lengths)})",
            ATOM,
        )

    def subscript(self, index: tuple[Any, ...], shape: tuple[Int, ...]) -> str:
        """A basic index as source, `[:, 0]`; axes that run backwards are turned by a second one."""
        items, turns = [], []
        for item, n in zip(index, shape, strict=True):
            if item[0] == "at":
                items.append(self.names.size(item[1]))
                continue
            turns.append("::-1" if item[0] == "slice" and item[4] else ":")
            items.append(":" if item[0] == "all" else self._slice(item[1], item[2], item[3], n))
        while len(items) > 1 and items[-1] == ":":
            items.pop()
        while turns and turns[-1] == ":":
            turns.pop()
        text = f"[{', '.join(items) or '...'}]" if items != [":"] else ""
        return text + (f"[{', '.join(turns)}]" if turns else "") or "[...]"

    def _slice(self, start: Int, step: int, length: Int, n: Int) -> str:
        stop = start + (length - 1) * step + 1
        first = "" if start == ints.ZERO else self.names.size(start)
        last = "" if stop == n else self.names.size(stop)
        return f"{first}:{last}" + (f":{step}" if step != 1 else "")

    def steps(self, first: int, end: Int, backward: bool) -> str:
        """The steps of a loop as source: `range(1, T)`, or that reversed."""
        text = f"range({f'{first}, ' if first else ''}{self.names.size(end)})"
        return f"reversed({text})" if backward else text

    def shape(self, shape: Iterable[Int]) -> str:
        """A shape as source: `(n, 32)`."""
        sizes = [self.names.size(n) for n in shape]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def number(x: Fraction | float) -> tuple[str, int]:
    """A number as source, with its level."""
    if isinstance(x, float):
        return ("np.inf", ATOM) if x > 0 else ("-np.inf", UNARY)
    if x.denominator == 1 and abs(x) < 10**16:
        text = str(x.numerator)
    elif Fraction(repr(float(x))) == x:
        text = repr(float(x))
    else:
        return f"{x.numerator} / {x.denominator}", PRODUCT
    return text, UNARY if x < 0 else ATOM
