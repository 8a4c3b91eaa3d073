"""`sum`, `max`, `min`, `prod`, `mean`: over named indices, or over the axes of an array."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints, subscripts
from symgrad.language.expr import Condition, Expr
from symgrad.language.frames import Option
from symgrad.language.ints import Int, product
from symgrad.language.syntax import words
from symgrad.language.values import (
    Array,
    Pending,
    Positions,
    aligned,
    broadcast,
    elementwise,
    real,
    scalar,
    shown,
    widened,
)

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas

OPS = {"sum": "+=", "mean": "+=", "max": "max=", "min": "min=", "prod": "prod="}
ELEMENTWISE = {"max": "maximum", "min": "minimum"}


@dataclass
class _Leading:
    """What stands before the body: the axes reduced, and the conditions that restrict them."""

    axes: list[str] = field(default_factory=list)
    conditions: list[Array] = field(default_factory=list)
    nodes: list[ast.expr] = field(default_factory=list)
    dots: bool = False


def reduction(f: Formulas, name: str, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Array:
    """A call of `sum` and its kin.

    Raises:
        Refusal: where an argument fits no form of them.
    """
    if not args:
        raise Refusal(f"{name} needs what it is taken of: {name}(x), or {name}(i, x[i])")
    axis = keywords.pop("axis", keywords.pop("dim", None))
    keep = flag(f, keywords.pop("keepdims", keywords.pop("keepdim", None)))
    ties = _ties(f, keywords.pop("ties", None))
    if keywords:
        raise Refusal(f"{name} knows axis, keepdims and ties, not {next(iter(keywords))}")
    *before, body = args
    if before and not _leads(f, before[0]):
        if name in ELEMENTWISE:
            return _elementwise(f, ELEMENTWISE[name], args)
        if len(args) == 2 and axis is None and _is_axis(args[1]):
            body, before, axis = args[0], [], args[1]
    with f.scope():
        leading = _leading(f, name, before)
        around = [c for a in leading.conditions if not a.shape for c in _each(a.at(()))]
        with f.builder.under(around):
            a = f.array(body)
        if leading.dots:
            _take_dots(f, leading, a)
        if a.rank == 0 and (axis is None or leading.axes):
            return _over_letters(f, name, a, leading, ties)
        if leading.axes:
            raise Refusal(
                f"{words(body)} is {shown(a.shape)}; with an index before it the body is one entry, "
                f"{words(body)}[...] with all its indices"
            )
        return _over_axes(f, name, a, axes(f, axis, a.rank, body), keep, leading, ties)


def reduced(f: Formulas, args: list[ast.expr], keywords: dict[str, ast.expr]) -> Array:
    """`reduced(x, reduction)`, `reduced(i, [i > 0], x[i], reduction)`: as an option says, a mean, a sum or neither.

    Raises:
        Refusal: where the option is another.
    """
    if keywords or len(args) < 2:
        raise Refusal('reduced takes what is reduced, and how: reduced(x, "mean")')
    *before, body, how = args
    v = f.value(how)
    if not isinstance(v, Option) or v.value not in ("mean", "sum", "none"):
        raise f.placed(Refusal(f'a reduction is "mean", "sum" or "none", not {words(how)}'), how)
    if v.value != "none":
        return reduction(f, str(v.value), [*before, body], {})
    conditions = [f.condition(node.elts[0]) for node in before if isinstance(node, ast.List)]
    with f.builder.under([c for a in conditions if not a.shape for c in _each(a.at(()))]):
        value = f.array(body)
    brackets = [elementwise(ex.Bracket, c) for c in conditions]
    return elementwise(ex.mul, *brackets, value) if brackets else value


def _leads(f: Formulas, node: ast.expr) -> bool:
    """Whether an argument names an index or a condition."""
    match node:
        case ast.Name(id=name):
            return f.frame.is_letter(name)
        case ast.Compare(left=ast.Name(id=name), ops=[ast.Lt() | ast.LtE()]):
            return f.frame.is_letter(name)
        case ast.List(elts=[ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not())]):
            return True
    return subscripts.is_dots(node) and f.equation.dotted


def _leading(f: Formulas, name: str, before: Sequence[ast.expr]) -> _Leading:
    """Bind the indices that stand before the body, then read its conditions."""
    out = _Leading()
    for node in before:
        if not _leads(f, node):
            raise f.placed(
                Refusal(
                    f"{words(node)} stands where {name} takes an index, a range `{name}(i < 3, ...)` or a "
                    "condition "
                    f"`{name}(i, [i > 0], ...)`"
                ),
                node,
            )
        match node:
            case ast.Name(id=letter):
                out.axes.append(_bind(f, letter, node))
            case ast.Compare(left=ast.Name(id=letter), ops=[op], comparators=[bound]):
                if isinstance(bound, ast.Name) and bound.id == letter:
                    raise f.placed(
                        Refusal(f"`{words(node)}` says nothing: give the index another letter"), node
                    )
                size = f.range(bound, letter, op)
                out.axes.append(_bind(f, letter, node, size))
            case ast.List(elts=[condition]):
                out.nodes.append(condition)
            case _:
                out.dots = True
    out.conditions = [f.condition(c) for c in out.nodes]
    return out


def _take_dots(f: Formulas, leading: _Leading, a: Array) -> None:
    """Reduce the axes that `...` stands for in the body."""
    if not a.rank:
        a.at(())
    leading.axes[:0] = f.equation.dots or ()
    f.equation.dots = None


def _bind(f: Formulas, letter: str, node: ast.expr, size: Int | None = None) -> str:
    subscripts.refuse_tensor_letter(f, letter, node)
    return f.equation.bind(letter, node, size)


def _each(c: Condition) -> list[Condition]:
    return list(c.args) if isinstance(c, ex.Logic) and c.op == "and" else [c]


def _over_letters(f: Formulas, name: str, a: Array, leading: _Leading, ties: str) -> Array:
    """A reduction over named indices: the body is one entry."""
    if any(c.rank for c in leading.conditions):
        raise Refusal(
            f"a condition in {name} is about one entry: give its tensors their indices, such as "
            f"`{name}(i, [t[i] > 0], ...)`"
        )
    guard = ex.both(*(c.at(()) for c in leading.conditions))
    if not leading.axes and guard is None:
        return a
    axes = leading.axes
    if name == "mean":
        count = _count(f, axes, guard)
        entry = a.at(())
        return f.builder.pending("+=", (), lambda _: (entry / count, guard), axes)
    value = a.at(())
    return f.builder.pending(OPS[name], (), lambda _: (value, guard), axes, ties=ties)


def _count(f: Formulas, axes: Sequence[str], guard: Condition | None) -> Expr:
    """How many entries a mean is taken of."""
    if guard is None:
        return ex.mul(*(real(f.builder.ranges.known[a]) for a in axes))
    return f.builder.pending("+=", (), lambda _: (ex.ONE, guard), axes).at(())


def _over_axes(
    f: Formulas, name: str, a: Array, axes: Sequence[int], keep: bool, leading: _Leading, ties: str
) -> Array:
    """A reduction over some axes of an array."""
    builder = f.builder
    letters = a.letters or ("",) * a.rank
    over = {d: builder.ranges.new(letters[d] or "", a.shape[d]) for d in axes}
    kept = [d for d in range(a.rank) if d not in over]
    shape = tuple(a.shape[d] for d in kept)
    names = tuple(letters[d] for d in kept)
    condition = elementwise(ex.both, *leading.conditions) if leading.conditions else None
    if condition is not None:
        common, _ = broadcast([a, condition], ["the body", "the condition"])
        if common != a.shape:
            raise Refusal(f"the condition is {shown(condition.shape)} and the body is {shown(a.shape)}")

    def full(position: Positions) -> Positions:
        left = iter(position)
        return tuple(ints.axis(over[d]) if d in over else next(left) for d in range(a.rank))

    def guard(position: Positions) -> Condition | None:
        return None if condition is None else condition.at(aligned(condition, a.shape, full(position)))

    def reduced(body: Callable[[Positions], Expr], op: str) -> Pending:
        return builder.pending(op, shape, lambda p: (body(p), guard(p)), list(over.values()), names, ties)

    if name != "mean":
        out = reduced(lambda p: a.at(full(p)), OPS[name])
    elif condition is None:
        count = real(product(a.shape[d] for d in over))
        out = reduced(lambda p: a.at(full(p)) / count, "+=")
    else:
        number = reduced(lambda _: ex.ONE, "+=")
        out = reduced(lambda p: a.at(full(p)) / number.at(p), "+=")
    return widened(out, axes) if keep else out


def axes(f: Formulas, node: ast.expr | None, rank: int, body: ast.expr) -> list[int]:
    """The axes that an `axis=` names; all of them without one."""
    if node is None or (isinstance(node, ast.Constant) and node.value is None):
        return list(range(rank))
    found = []
    for n in node.elts if isinstance(node, ast.Tuple) else [node]:
        number = f.whole(n, "an axis").number
        if number is None or not -rank <= number < rank:
            raise f.placed(Refusal(f"{words(body)} has {rank} axes and no axis {words(n)}"), n)
        found.append(number % rank)
    if len(set(found)) != len(found):
        raise f.placed(Refusal("an axis is named twice"), node)
    return found


def _is_axis(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return all(map(_is_axis, node.elts))
    inside = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inside, ast.Constant) and type(inside.value) is int


def flag(f: Formulas, node: ast.expr | None) -> bool:
    if node is None:
        return False
    v = f.value(node)
    if not isinstance(v, Option) or not isinstance(v.value, bool):
        raise f.placed(Refusal("keepdims is True or False"), node)
    return v.value


def _ties(f: Formulas, node: ast.expr | None) -> str:
    if node is None:
        return "shared"
    v = f.value(node)
    if not isinstance(v, Option) or v.value not in ("shared", "first"):
        raise f.placed(Refusal('ties is "shared" or "first"'), node)
    return str(v.value)


def _elementwise(f: Formulas, leaf: str, args: Sequence[ast.expr]) -> Array:
    """`max(x, y)`, entry by entry."""
    values = [f.array(a) for a in args]
    numbers = [v.number for v in values]
    known = [n for n in numbers if n is not None]
    if len(known) == len(values):
        return scalar(ex.Num(max(known) if leaf == "maximum" else min(known)))

    def fold(first: Expr, *more: Expr) -> Expr:
        for e in more:
            first = ex.call(leaf, first, e)
        return first

    return elementwise(fold, *values, texts=[words(a) for a in args])
