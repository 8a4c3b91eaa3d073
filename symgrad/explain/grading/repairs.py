"""What would have to be changed in an answer to make it right: a transpose, the order of factors, `*` for `@`, an axis.

These are mistakes in the writing rather than on the way back from the loss; often the sizes do not even fit.
"""

from __future__ import annotations

import ast
import copy
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from symgrad.errors import Refusal, SymgradError
from symgrad.exact.equality import close
from symgrad.explain.grading.answers import MODULES, spelled
from symgrad.explain.grading.mistake import Mistake
from symgrad.explain.grading.scales import Scales
from symgrad.explain.grading.truth import Truth
from symgrad.language.trace import Key

MOST = 120  # single repairs, and pairs of them, that are tried
SECONDS = 3.0
_TRANSPOSES = "Look at the transposes: which index is summed over, and where does it stand?"
_ORDER = "Look at the order of the factors: which index do they share?"
_STAR = "Look at the products: `*` is entry by entry, `@` sums over the shared index."
_AXIS = "Look at the sums: over which axis does each of them run, and which index is left?"


@dataclass(frozen=True)
class Repair:
    """A change of a tree in one place, and what was wrong there."""

    mistake: Mistake
    apply: Callable[[ast.Module], None]


@dataclass(frozen=True)
class Repaired:
    """What repairs make of an answer.

    Attributes:
        mistake: what is wrong with it where one or two repairs make it right, up to a constant factor.
        fitting: else the first single repair that gives it the derivative's shape, with the numbers that it then has.
    """

    mistake: Mistake | None = None
    fitting: tuple[Mistake, list[np.ndarray]] | None = None


def repaired(truth: Truth, key: Key, text: str) -> Repaired:
    """The repairs of an answer."""
    try:
        cleaned, tree = truth.desk(key).parsed(text)
    except Refusal:
        return Repaired()
    places = truth.telling(key)
    right = [np.asarray(truth.right(key, k), float) for k in places]
    scales = Scales(truth, places)
    end = time.process_time() + SECONDS
    singles = list(itertools.islice(_repairs(tree), MOST))
    pairs = itertools.islice(
        itertools.combinations([r for r in singles if r.mistake.kind != "sum"], 2), 2 * MOST
    )
    fitting: tuple[Mistake, list[np.ndarray]] | None = None
    for group in itertools.chain(([r] for r in singles), pairs):
        if time.process_time() > end:
            break
        changed = copy.deepcopy(tree)
        for r in group:
            r.apply(changed)
        given = _given(truth, key, cleaned, ast.fix_missing_locations(changed), places)
        if given is None or any(a.shape != b.shape for a, b in zip(given, right, strict=True)):
            continue
        first = next(iter(group)).mistake
        factor = "" if all(map(close, given, right)) else None
        if factor is None and (scale := scales.between(right, given, close)) is not None:
            factor = scales.mistake(scale).why
        if factor is not None:
            why = "; and ".join([*dict.fromkeys(r.mistake.why for r in group), *([factor] if factor else [])])
            return Repaired(Mistake(first.kind, why, first.hint))
        if fitting is None and len(group) == 1:
            fitting = first, given
    return Repaired(None, fitting)


def _given(
    truth: Truth, key: Key, text: str, tree: ast.Module, places: Sequence[int]
) -> list[np.ndarray] | None:
    """The numbers of a tree; None where it has none."""
    try:
        answer = truth.desk(key).taken(text, tree)
        given = [np.asarray(truth.value(answer, k), float) for k in places]
    except (SymgradError, ValueError, IndexError, ZeroDivisionError, OverflowError, np.linalg.LinAlgError):
        return None
    return given if all(np.isfinite(a).all() for a in given) else None


def _repairs(tree: ast.Module) -> Iterator[Repair]:
    """Single changes, each at a place that is found again in a copy of the tree."""
    nodes = list(ast.walk(tree))
    for place, node in enumerate(nodes):
        node.place = place  # type: ignore[attr-defined]
    for place, node in enumerate(nodes):
        match node:
            case ast.BinOp(op=ast.MatMult(), left=a, right=b):
                for side, part in (("left", a), ("right", b)):
                    if isinstance(part, ast.Attribute) and part.attr == "T":
                        why = f"{spelled(part)} is not to be transposed here"
                        yield Repair(Mistake("transpose", why, _TRANSPOSES), _set(place, side, part.value))
                    else:
                        turned = ast.copy_location(ast.Attribute(part, "T", ast.Load()), part)
                        why = f"{spelled(_main(part))} must be transposed here"
                        yield Repair(Mistake("transpose", why, _TRANSPOSES), _set(place, side, turned))
                why = f"the factors of {spelled(node)} stand in the wrong order"
                yield Repair(Mistake("order", why, _ORDER), _swap(place))
                why = f"in {spelled(node)} the product is entry by entry, `*`, and not of matrices"
                yield Repair(Mistake("elementwise", why, _STAR), _set(place, "op", ast.Mult()))
            case ast.BinOp(op=ast.Mult(), left=a, right=b) if not _plain(a) and not _plain(b):
                why = f"in {spelled(node)} the product is one of matrices, `@`, and not entry by entry"
                yield Repair(Mistake("elementwise", why, _STAR), _set(place, "op", ast.MatMult()))
                for side, part in (("left", a), ("right", b)):
                    if isinstance(part, ast.Attribute) and part.attr == "T":
                        why = f"{spelled(part)} is not to be transposed here"
                        yield Repair(Mistake("transpose", why, _TRANSPOSES), _set(place, side, part.value))
            case ast.keyword(arg="axis", value=value) if (axis := _axis(value)) is not None:
                for wrong in _axes(axis):
                    yield Repair(wrong[0], _set(place, "value", ast.Constant(wrong[1])))
            case ast.Call(func=ast.Attribute(attr="sum" | "mean", value=whole), args=[*_, value]) if (
                axis := _axis(value)
            ) is not None and len(node.args) == 1 + (isinstance(whole, ast.Name) and whole.id in MODULES):
                for wrong in _axes(axis):
                    yield Repair(wrong[0], _set_last(place, ast.Constant(wrong[1])))
            case ast.Call(func=ast.Attribute(attr="dot" | "matmul"), args=[_, _]):
                why = f"the factors of {spelled(node)} stand in the wrong order"
                yield Repair(Mistake("order", why, _ORDER), _turn(place))


def _main(e: ast.expr) -> ast.expr:
    """What a factor scales: X of 2/n * X."""
    while isinstance(e, ast.BinOp) and isinstance(e.op, (ast.Mult, ast.Div)):
        if isinstance(e.op, ast.Mult) and _plain(e.left):
            e = e.right
        elif _plain(e.right) or isinstance(e.op, ast.Div) and isinstance(e.right, ast.Name):
            e = e.left
        else:
            break
    return e


def _axis(e: ast.expr) -> int | None:
    """A number of an axis."""
    if isinstance(e, ast.UnaryOp) and isinstance(e.op, ast.USub):
        axis = _axis(e.operand)
        return None if axis is None else -axis
    return e.value if isinstance(e, ast.Constant) and type(e.value) is int else None


def _axes(axis: int) -> Iterator[tuple[Mistake, int]]:
    """Other axes for one."""
    for other in (0, 1, 2):
        if other != axis:
            why = f"it is summed over the wrong axis: axis={axis} should be axis={other}"
            yield Mistake("sum", why, _AXIS), other


def _plain(e: ast.expr) -> bool:
    """Whether a factor is made of numbers and sizes only."""
    if isinstance(e, ast.BinOp):
        return _plain(e.left) and (_plain(e.right) or isinstance(e.right, ast.Name))
    return isinstance(e, ast.Constant)


def _node(tree: ast.Module, place: int) -> ast.AST:
    return next(n for n in ast.walk(tree) if getattr(n, "place", None) == place)


def _set(place: int, field: str, value: ast.AST) -> Callable[[ast.Module], None]:
    def apply(tree: ast.Module) -> None:
        setattr(_node(tree, place), field, copy.deepcopy(value))

    return apply


def _set_last(place: int, value: ast.AST) -> Callable[[ast.Module], None]:
    def apply(tree: ast.Module) -> None:
        node = _node(tree, place)
        assert isinstance(node, ast.Call)
        node.args = [*node.args[:-1], copy.deepcopy(value)]  # type: ignore[list-item]

    return apply


def _swap(place: int) -> Callable[[ast.Module], None]:
    def apply(tree: ast.Module) -> None:
        node = _node(tree, place)
        assert isinstance(node, ast.BinOp)
        node.left, node.right = node.right, node.left

    return apply


def _turn(place: int) -> Callable[[ast.Module], None]:
    def apply(tree: ast.Module) -> None:
        node = _node(tree, place)
        assert isinstance(node, ast.Call)
        node.args = node.args[::-1]

    return apply
