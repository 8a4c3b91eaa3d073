"""Lowered operations: what the printers print.

A `Value` is one NumPy operation applied to other values; equal operations are one object, so a common part is computed
once. The printers decide about names, nesting and buffers; nothing here is text.

| op | arguments | info | result |
|---|---|---|---|
| `input` | | name | a tensor as it is stored |
| `number`, `constant` | | a Fraction, `inf` or `-inf`; `pi`, `e` | a scalar |
| `size` | | an `Int` of sizes | a whole number |
| `arange` | | | 0, 1, 2, ... |
| `ufunc` | arrays | NumPy's name | elementwise, broadcast from the right |
| `leaf` | arrays | a leaf's name | a leaf that is no ufunc, as a call |
| `where` | condition, a, b | | |
| `implicit` | stacks of matrices | the operation's name | see `symgrad.language.implicit` |
| `hide` | condition, a | | a where the condition holds, else 0, whatever a is there |
| `matmul` | a, b | | NumPy's `@` |
| `einsum` | arrays | subscripts | |
| `reduce` | a | (ufunc, axes) | |
| `take` | a, positions ... | for each axis of a: None (all) or which position | indexing by arrays |
| `fill` | | a number, or None | a new array, written afterwards |
| `border` | | a number | memory of its own that holds the number where nothing is written |
| `put` | target, value, positions ... | (ufunc or set, for each axis None or which position) | target, changed |
| `store` | target, value | (ufunc or set, a basic index) | target, changed |
| `store` | target, arguments ... | ("into", operation, its info, views) | its result in a part of the target |
| `stack` | a, b | | a matrix and the row that lies behind it in memory, as one matrix |
| `pad` | a | (before and behind for each axis, a number) | the array in a border of the number |
| `copy` | a | | in memory order |
| `clone` | a | | a copy of its own, written afterwards |
| `real` | a | | whole numbers or conditions as reals |
| `stop` | a | | the real part: a complex step does not pass |

Views: `transpose` (axes), `expand` (for each axis: kept or new), `broadcast` (shape), `reshape` (shape),
`index` (a basic index: `Int` or (start, stop, step)), `window` (axis, start, steps, lengths), `diagonal`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

from symgrad.language import ints
from symgrad.language.ints import Int

Shape = tuple[Int, ...]

VIEWS = frozenset({"transpose", "expand", "broadcast", "reshape", "index", "window", "diagonal"})
FREE = frozenset({"number", "constant", "size"})
CHANGED = frozenset({"fill", "border", "clone", "put", "store"})  # what is written in place
COMPARISONS = {
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
    "==": "equal",
    "!=": "not_equal",
}


@dataclass(eq=False, slots=True)
class Value:
    """One operation, never changed once made (the class is not frozen, since that makes it slow to make one).

    `kind` is "real", "int" or "bool"; `once`: it depends on nothing but sizes and literals; `moving`: it depends on the
    step of a loop.
    """

    op: str
    args: tuple[Value, ...]
    info: Any
    shape: Shape
    kind: str
    once: bool
    moving: bool
    number: int = field(repr=False)

    @property
    def seen(self) -> Value:
        """The value that this is a view of, or itself."""
        v = self
        while v.op in VIEWS:
            v = v.args[0]
        return v

    @property
    def root(self) -> Value:
        """The value whose memory this is a view of."""
        v = self
        while v.op in VIEWS or v.op in ("put", "store"):
            v = v.args[0]
        return v


class Values:
    """The table of all values of one piece of code, in an order in which they can be computed."""

    def __init__(self) -> None:
        self.all: list[Value] = []
        self._known: dict[Any, Value] = {}

    def make(
        self, op: str, args: tuple[Value, ...] = (), info: Any = None, shape: Shape = (), kind: str = "real"
    ) -> Value:
        key = (op, tuple([a.number for a in args]), info, shape, kind)
        fresh = op in CHANGED  # two alike are still two
        known = None if fresh else self._known.get(key)
        if known is not None:
            return known
        moving, constant = False, not fresh and op != "input"
        for a in args:
            moving = moving or a.moving
            constant = constant and a.once
        moving = not fresh and (moving or runs(info))  # memory itself does not move
        v = Value(op, args, info, shape, kind, constant and not moving, moving, len(self.all))
        self.all.append(v)
        if not fresh:
            self._known[key] = v
        return v

    def forget(self, first: int) -> None:
        """Values made since then are of another step: none of them is found again, constants and inputs aside."""
        self._known = {k: v for k, v in self._known.items() if v.number < first or v.once or v.op == "input"}

    # scalars
    def number(self, x: Fraction | int | float) -> Value:
        return self.make("number", info=x if isinstance(x, float) else Fraction(x))

    def size(self, n: Int) -> Value:
        return self.make("size", info=n, kind="int")

    def ufunc(self, name: str, *args: Value, kind: str = "") -> Value:
        if name in ("add", "subtract", "multiply"):
            args = (_bare(args[0], args[1]), _bare(args[1], args[0]))
        if not kind:
            kind = "int" if all(a.kind == "int" for a in args) and name != "divide" else "real"
        return self.make("ufunc", args, name, joint(*(a.shape for a in args)), kind)

    def real(self, v: Value) -> Value:
        return (
            v if v.kind == "real" or not v.shape and v.op in FREE else self.make("real", (v,), None, v.shape)
        )

    # views
    def transpose(self, v: Value, order: tuple[int, ...]) -> Value:
        if order == tuple(range(len(order))):
            return v
        if v.op == "transpose":
            return self.transpose(v.args[0], tuple(v.info[k] for k in order))
        return self.make("transpose", (v,), order, tuple(v.shape[k] for k in order), v.kind)

    def expand(self, v: Value, present: tuple[bool, ...]) -> Value:
        """New axes of length one where `present` is False; leading ones are left to broadcasting."""
        first = present.index(True) if True in present else len(present)
        present = present[first:]
        if all(present):
            return v
        own = iter(v.shape)
        return self.make(
            "expand", (v,), present, tuple(next(own) if p else ints.ONE for p in present), v.kind
        )

    def reshape(self, v: Value, shape: Shape) -> Value:
        return v if shape == v.shape else self.make("reshape", (v,), None, shape, v.kind)


def runs(info: Any) -> bool:
    """Whether an operation's info has the step of a loop in it."""
    if info is None or type(info) is str:
        return False
    if isinstance(info, tuple):
        return any(map(runs, info))
    return (
        isinstance(info, Int)
        and bool(info.terms)
        and any(isinstance(a, ints.Size) and a.running for a in info.atoms())
    )


def joint(*shapes: Shape) -> Shape:
    """The shape of a broadcast result."""
    length = max(map(len, shapes), default=0)
    found: list[Int] = []
    for k in range(-length, 0):
        sizes = [s[k] for s in shapes if len(s) >= -k]
        found.append(next((n for n in sizes if n != ints.ONE), ints.ONE))
    return tuple(found)


def filled(table: Values, x: Value | Fraction | int, shape: Shape) -> Value:
    """A constant array of one number."""
    number = x if isinstance(x, Value) else table.number(x)
    return table.make("copy", (table.make("broadcast", (number,), None, shape),), None, shape)


def constant(v: Value) -> Value | None:
    """The number of which a vector has only copies."""
    return v.args[0].args[0] if v.op == "copy" and v.args[0].op == "broadcast" and len(v.shape) == 1 else None


def contiguous(v: Value) -> bool:
    """Whether a value lies in memory in the order of its axes."""
    if v.op in ("reshape", "put", "store"):
        return contiguous(v.args[0])
    if v.op == "expand":
        return contiguous(v.args[0])
    return v.op not in VIEWS


def python(v: Value) -> bool:
    """Whether a value is a Python number: of literals and sizes only."""
    return not v.shape and (v.op in FREE or v.op in ("ufunc", "real") and all(map(python, v.args)))


def _bare(v: Value, other: Value) -> Value:
    """A condition as it is, where NumPy makes numbers of it: beside an array of reals."""
    known = v.op == "real" and v.args[0].kind == "bool" and not python(v.args[0])
    return v.args[0] if known and other.kind == "real" and other.op != "real" and not python(other) else v


@lru_cache(4096)
def count(shape: Shape) -> int:
    """How many entries, where a size that is a letter counts as 61: for comparing costs."""
    total = 1
    for n in shape:
        at = n.substitute(dict.fromkeys(n.atoms(), 61)).number
        total *= 61 if at is None else at
    return total


def strides(v: Value) -> tuple[Int, ...] | None:
    """How many entries of memory lie between neighbours along each axis; None where that is not plain."""
    if v.op not in VIEWS and v.op not in ("put", "store") or v.op == "reshape" and contiguous(v):
        return tuple(ints.product(v.shape[k + 1 :]) for k in range(len(v.shape)))
    inner = strides(v.args[0])
    if inner is None:
        return None
    match v.op:
        case "put" | "store":
            return inner
        case "transpose":
            return tuple(inner[k] for k in v.info)
        case "expand":
            own = iter(inner)
            return tuple(next(own) if kept else ints.ZERO for kept in v.info)
        case "index":
            steps = (
                n * (item[2] if item[0] == "slice" else 1) for item, n in zip(v.info, inner, strict=True)
            )
            if any(item[0] == "slice" and item[4] for item in v.info):
                return None
            return tuple(n for item, n in zip(v.info, steps, strict=True) if item[0] != "at")
        case "window":
            axis, _, each, _ = v.info
            return (*inner[:axis], *(inner[axis] * k for k in each), *inner[axis + 1 :])
    return None


def splits(shape: Shape, finer: Shape) -> bool:
    """Whether a shape has axes of another together, and none of it apart."""
    rest = list(finer)
    for n in shape:
        product = ints.ONE
        while product != n:
            if not rest:
                return False
            product = product * rest.pop(0)
    return not rest
