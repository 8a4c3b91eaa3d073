"""The reference realisation: every statement over its whole grid, by fancy indexing and `np.add.at`.

Slow, short and obviously right: the oracle that every pass and every emitted module is judged by. It takes complex
inputs too, for complex steps, and other kinds of numbers in arrays of objects, with an `Arithmetic` of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import prod
from typing import Any

import numpy as np

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language.expr import (
    Access,
    Add,
    Bracket,
    Call,
    Cmp,
    Const,
    Logic,
    Mul,
    Num,
    Pow,
    Stop,
    Val,
    accesses,
)
from symgrad.language.implicit import IMPLICIT, layout, operands
from symgrad.language.ints import Axis, Int, Look, Size, axis
from symgrad.language.program import Block, Program, Statement, Tensor, blocks, rows
from symgrad.language.scalar import leaf_lines
from symgrad.leaves import LEAVES, Leaf

_COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_START = {"=": 0, "+=": 0, "max=": -np.inf, "min=": np.inf, "prod=": 1}
_AT = {"+=": np.add, "max=": np.maximum, "min=": np.minimum, "prod=": np.multiply}

Arrays = dict[str, np.ndarray]

POINTS = 20_000_000  # of the largest grid that is computed, and entries of the largest array


class Arithmetic:
    """What numbers are: those of floating point, unless a class of this kind says otherwise.

    Numbers of another kind stand in arrays of objects, have Python's operators, and take whole numbers beside them.
    """

    def number(self, value: Fraction | int) -> Any:
        """A rational number."""
        return float(value)

    def whole(self, values: Any) -> Any:
        """Whole numbers or truth values, one or an array of them, as numbers: NumPy's, of which 1/0 is infinite."""
        return np.multiply(values, 1.0)

    def constant(self, name: str) -> Any:
        """`pi` or `e`."""
        return {"pi": np.pi, "e": np.e}[name]

    def leaf(self, leaf: Leaf, values: Sequence[Any]) -> Any:
        """A scalar function, entry by entry."""
        return getattr(np, leaf.run)(*values) if leaf.ufunc else composed(leaf, values, self)

    def power(self, base: Any, exponent: Any) -> Any:
        """A power whose exponent is no whole number that stands in the text."""
        return base**exponent

    def compare(self, op: str, a: Any, b: Any) -> Any:
        """Where a comparison of numbers holds; complex ones go by their real parts first."""
        return _COMPARE[op](a, b)

    def whole_power(self, base: Any, exponent: int) -> Any:
        """A power whose exponent is a whole number that stands in the text."""
        return base**exponent

    def written(self, values: Any) -> None:
        """Told what a statement, or a step of one in a loop, writes."""

    def won(self, body: Any, best: Any) -> Any:
        """Told what a maximum or minimum was taken of, and what came out, point by point: the latter."""
        return best

    def stopped(self, values: Any) -> Any:
        """A deliberate constant: no step passes through it, as one may through a held value."""
        return np.real(values) if np.iscomplexobj(values) else values

    def implicit(self, op: str, arrays: Sequence[np.ndarray]) -> Any:
        """An operation on stacks of whole matrices."""
        return IMPLICIT[op].run(*arrays)


FLOATS = Arithmetic()


@dataclass(frozen=True)
class _Here:
    """What the values of expressions depend on beside the point: sizes, tensors, and what numbers are."""

    sizes: Mapping[str, int]
    arrays: Arrays
    kind: Arithmetic


def run(
    program: Program,
    sizes: Mapping[str, int],
    given: Mapping[str, Any],
    dtype: Any = np.float64,
    kind: Arithmetic = FLOATS,
) -> Arrays:
    """All tensors of a program, by name.

    Args:
        sizes: the number of each size letter.
        given: an array for each input, in its declared shape.
        dtype: the type of computed tensors; complex if any input is.
        kind: what numbers are; of another kind than floating point they need the dtype `object`.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("x: data[n]\\nloss = sum(x**2)")
        >>> float(run(p, {"n": 2}, {"x": [3.0, 4.0]})["loss"])
        25.0
    """
    arrays: Arrays = {}
    stored = rows(program)
    for t in program.tensors.values():
        if t.literal is not None:
            numbers = np.array(t.literal, dtype=np.int64 if t.integer else object)
            arrays[t.name] = numbers if t.integer else _each(kind.number, numbers).astype(dtype)
        elif t.name in given:
            arrays[t.name] = np.asarray(given[t.name])
    if any(np.iscomplexobj(a) for a in arrays.values()):
        dtype = np.result_type(dtype, np.complex64)
    for block in blocks(stored.statements):
        execute(block, stored, sizes, arrays, dtype, kind)
    return {name: trimmed(a, program[name]) for name, a in arrays.items()}


def _each(change: Any, values: np.ndarray) -> np.ndarray:
    """An array of objects with each entry changed."""
    found = np.empty(values.shape, object)
    for place in np.ndindex(*values.shape):
        found[place] = change(values[place])
    return found


def trimmed(a: np.ndarray, t: Tensor) -> np.ndarray:
    """An array as its tensor is declared, without early rows."""
    return a[tuple(slice(k, None) for k in t.early)] if t.early else a


def shape(program: Program, name: str, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """A tensor's shape in numbers."""
    return tuple(int(n.evaluate(lambda a: sizes[a.name])) for n in program[name].shape)  # type: ignore[union-attr]


def execute(
    block: Block,
    program: Program,
    sizes: Mapping[str, int],
    arrays: Arrays,
    dtype: Any,
    kind: Arithmetic = FLOATS,
) -> None:
    """Run one statement, or those of a loop step by step, adding their tensors to `arrays`."""
    scan, here = block[0].scan, _Here(sizes, arrays, kind)
    if scan is None:
        _execute(block[0], program, here, dtype)
        return
    for s in block:
        _room(s, program, here, dtype)
    steps = range(int(block[0].ranges[scan.axis].evaluate(lambda a: sizes[a.name])))  # type: ignore[union-attr]
    for step in reversed(steps) if scan.backward else steps:
        for s in block:
            _execute(s, program, here, dtype, step)


def _execute(s: Statement, program: Program, here: _Here, dtype: Any, step: int = 0) -> None:
    """Run one statement; of a loop, the part of one step."""
    sizes, arrays = here.sizes, here.arrays
    if s.op in IMPLICIT:
        arrays[s.out] = _implicit(s, here).astype(dtype)
        return
    loop = s.scan.axis if s.scan is not None else None
    extents = [1 if a == loop else int(n.evaluate(lambda a: sizes[a.name])) for a, n in s.axes]  # type: ignore[union-attr]
    points = prod(extents)
    computable(s.out, points, sizes)
    if not points:
        _room(s, program, here, dtype)
        return
    grid = dict(zip((a for a, _ in s.axes), np.indices(extents).reshape(len(extents), points), strict=True))
    if loop is not None:
        grid[loop] = grid[loop] + step
    if s.guard is not None:
        kept = _holds(s.guard, grid, points, here)
        grid, points = {a: g[kept] for a, g in grid.items()}, int(kept.sum())
    _room(s, program, here, dtype)
    if not points:
        return  # what is excluded everywhere is not computed: it may divide by zero
    body = np.broadcast_to(_value(s.body, grid, here), (points,))
    here.kind.written(body)
    out = arrays[s.out]
    where = tuple(np.broadcast_to(_int(i, grid, here), (points,)) for i in s.left)
    if s.op == "=":
        out[where] = body if where else body[0]
    elif where:
        _AT[s.op].at(out, where, body)
    else:
        out[...] = _AT[s.op].reduce(np.append(body, out))
    if s.op in ("max=", "min="):
        out[where] = here.kind.won(body, out[where])


def computable(name: str, points: int, sizes: Mapping[str, int]) -> None:
    """Refuse what is too large to be computed here: every point takes some hundred bytes.

    Raises:
        Refusal: more points, or entries, than `POINTS`.
    """
    if points > POINTS:
        at = ", ".join(f"{letter} = {n}" for letter, n in sizes.items())
        raise Refusal(
            f"{name} takes {points if points < 10**15 else 'more than 10**15'} numbers{f' for {at}' if at else ''}; "
            f"up to {POINTS:,} are computed one by one: give smaller sizes"
        )


def _room(s: Statement, program: Program, here: _Here, dtype: Any) -> None:
    """Make the array that a statement writes into, unless an earlier one did."""
    if s.out not in here.arrays:
        extents = shape(program, s.out, here.sizes)
        computable(s.out, prod(extents), here.sizes)
        start = _START[s.op]
        start = here.kind.number(int(start)) if np.isfinite(start) else start
        here.arrays[s.out] = np.full(extents, start, dtype)


def _implicit(s: Statement, here: _Here) -> np.ndarray:
    """The result of an implicit statement, from whole stacks of matrices."""
    how = layout(s)
    args = []
    for e, axes in zip(operands(s), how.args, strict=True):
        own = [a for a in axes if a is not None]
        extents = [int(s.ranges[a].evaluate(lambda x: here.sizes[x.name])) for a in own]  # type: ignore[union-attr]
        entries = _value(e, dict(zip(own, np.indices(extents), strict=True)), here)
        args.append(np.expand_dims(entries, tuple(k for k, a in enumerate(axes) if a is None)))
    result = np.asarray(here.kind.implicit(s.op, args))
    result = result[..., 0] if how.result and how.result[-1] is None else result
    order = [a for a in how.result if a is not None]
    return result.transpose([order.index(i.axis) for i in s.left])  # type: ignore[arg-type]


def _int(i: Int, grid: Mapping[str, np.ndarray], here: _Here) -> Any:
    def value(atom: Any) -> Any:
        match atom:
            case Axis(name):
                return grid[name]
            case Size(name):
                return here.sizes[name]
            case Look(name, index):
                return here.arrays[name][tuple(_int(j, grid, here) for j in index)]

    return i.evaluate(value)


def _value(e: Any, grid: Mapping[str, np.ndarray], here: _Here) -> Any:
    def go(x: Any) -> Any:
        return _value(x, grid, here)

    match e:
        case Num(v):
            return here.kind.number(v)
        case Const(name):
            return here.kind.constant(name)
        case Val(i):
            return here.kind.whole(_int(i, grid, here))
        case Access(name, index):
            return here.arrays[name][tuple(_int(j, grid, here) for j in index)]
        case Add(args):
            return sum((go(a) for a in args[1:]), go(args[0]))
        case Mul(args):
            return _product(args, grid, here)
        case Pow(a, Num(v)) if v.denominator == 1:
            return here.kind.whole_power(go(a), int(v))
        case Pow(a, b):
            return here.kind.power(go(a), go(b))
        case Call(name, args):
            return here.kind.leaf(LEAVES[name], list(map(go, args)))
        case Bracket(c):
            return here.kind.whole(_holds(c, grid, next((len(g) for g in grid.values()), 1), here))
        case Stop(a, kind):
            return here.kind.stopped(go(a)) if kind == "stop" else go(a)
    raise TypeError(f"not an expression: {type(e).__name__}")


def composed(leaf: Leaf, values: Sequence[Any], kind: Arithmetic = FLOATS) -> Any:
    """A leaf that is text over others; its parts are vectors over all points."""
    known: Arrays = dict(zip(leaf.params, np.broadcast_arrays(*map(np.atleast_1d, values)), strict=True))
    points = len(known[leaf.params[0]])
    for name, body in _entries(leaf):
        known[name] = np.broadcast_to(
            _value(body, {"_": np.arange(points)}, _Here({}, known, kind)), (points,)
        )
    return known[""]


@cache
def _entries(leaf: Leaf) -> list[tuple[str, ex.Expr]]:
    """The lines of a leaf, reading entries of vectors."""

    def entry(e: object) -> Access | None:
        return Access(e.tensor, (axis("_"),)) if isinstance(e, Access) else None

    return [(name, ex.rewrite(body, entry)) for name, body in leaf_lines(leaf)]


def _holds(c: Any, grid: Mapping[str, np.ndarray], points: int, here: _Here) -> np.ndarray:
    """Where a condition holds. What `and` has excluded already is not read, nor what `or` has settled."""
    match c:
        case Cmp(op, a, b):
            where = here.kind.compare(op, _value(a, grid, here), _value(b, grid, here))
            return np.broadcast_to(where, (points,))
        case Logic("not", (a,)):
            return ~_holds(a, grid, points, here)
        case Logic(op, args):
            settled = np.full(points, op == "or")  # the value where the rest no longer matters, once reached
            undecided = np.arange(points)
            for a in args:
                inside = {name: g[undecided] for name, g in grid.items()}
                holds = _holds(a, inside, len(undecided), here)
                undecided = undecided[holds == (op == "and")]
            settled[undecided] = op == "and"
            return settled
    raise TypeError(f"not a condition: {type(c).__name__}")


def _product(args: Any, grid: Mapping[str, np.ndarray], here: _Here) -> Any:
    """A product whose brackets are strongly zero: what they exclude is never read."""
    # those on positions first: they may keep the others in range
    brackets = sorted((a for a in args if isinstance(a, Bracket)), key=lambda b: bool(accesses(b)))
    points = next((len(g) for g in grid.values()), 1)
    kept = _holds(Logic("and", tuple(b.condition for b in brackets)), grid, points, here)
    if not brackets:
        inside, kept_grid = None, grid
    else:
        inside, kept_grid = kept, {a: g[kept] for a, g in grid.items()}
        if not kept.any():
            return here.kind.number(0)
    total: Any = here.kind.number(1)
    for a in args:
        if not isinstance(a, Bracket):
            total = total * _value(a, kept_grid, here)
    if inside is None or not grid:
        return total
    out = np.full(points, here.kind.number(0), np.result_type(np.asarray(total).dtype, float))
    out[inside] = total
    return out
