"""Term by term: an answer and the derivative as sums, and the first term in which they differ.

Both are texts of the language and are multiplied out by the same rules; terms are compared by their numbers.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from symgrad.errors import Refusal, SymgradError
from symgrad.exact.equality import close
from symgrad.explain import result_text
from symgrad.explain.grading.answers import MODULES, Answer, spelled
from symgrad.explain.grading.truth import Truth
from symgrad.language.declarations import base
from symgrad.language.trace import Key

MOST = 16  # terms of a formula; one with more is not multiplied out
_LONG = 100  # characters of a term that is shown
_SUMS = {"sum", "mean", "trace", "diag", "transpose"}
_PRODUCTS = {"dot", "matmul", "outer", "inner"}


@dataclass(frozen=True)
class Term:
    """One term: its formula, its sign in front, its numbers at the first two points, and the lines of the names that
    the reader has not seen."""

    node: ast.expr
    minus: bool
    values: tuple[np.ndarray, ...]
    lines: Mapping[str, ast.Assign] = field(default_factory=dict)

    def __str__(self) -> str:
        text = spelled(self.node, _LONG)
        said = [f"-{text}" if self.minus else text]
        waiting, met = list(_names(self.node)), set[str]()
        while waiting:
            name = waiting.pop(0)
            if name in self.lines and name not in met:
                met.add(name)
                line = self.lines[name]
                said.append(f"{ast.unparse(line.targets[0])} = {spelled(line.value, _LONG)}")
                waiting += _names(line.value)
        return said[0] + (f", where {' and '.join(said[1:])}" if said[1:] else "")


def _names(e: ast.AST) -> Iterator[str]:
    return (n.id for n in ast.walk(e) if isinstance(n, ast.Name))


def difference(truth: Truth, key: Key, answer: Answer) -> str:
    """The first term that differs, in a sentence; empty where the formulas are no sums that can be compared."""
    indexed = isinstance(_last(answer.tree)[0], ast.Subscript)
    form = "index" if indexed else "matrix"
    try:
        right = truth.desk(key).read(result_text(truth.derived, key, form))
    except SymgradError:
        return ""
    lines = {base(line.targets[0]): line for line in right.tree.body[:-1] if isinstance(line, ast.Assign)}
    found = ""
    for fine in (False, True):
        mine, true = _terms(truth, key, answer, fine=fine), _terms(truth, key, right, fine=fine)
        if mine is None or true is None:
            continue
        true = [replace(t, lines=lines) for t in true]
        sentence, matched = _first(mine, true)
        if matched:
            return sentence
        found = found or sentence
    return found


def _first(mine: list[Term], true: list[Term]) -> tuple[str, bool]:
    """A sentence about the first term of `mine` that is none of `true`, and whether others are."""
    rest = list(true)
    wrong = []
    for term in mine:
        twin = next((t for t in rest if _same(term, t)), None)
        if twin is None:
            wrong.append(term)
        else:
            rest.remove(twin)
    matched = len(wrong) < len(mine)
    if not wrong:
        return (f"a term is missing: {rest[0]}" if rest else ""), matched
    if not rest:
        return f"there is a term too many: {wrong[0]}", matched
    return f"the term {wrong[0]} should be {_nearest(wrong[0], rest)}", matched


def _same(a: Term, b: Term) -> bool:
    return all(close(x, y) for x, y in zip(a.values, b.values, strict=True))


def _nearest(term: Term, others: list[Term]) -> Term:
    """The term that is most nearly a multiple of it."""

    def angle(other: Term) -> float:
        x, y = term.values[0].ravel(), other.values[0].ravel()
        size = float(np.linalg.norm(x) * np.linalg.norm(y))
        return abs(float(x @ y)) / size if size else 0.0

    return max(others, key=lambda t: round(angle(t), 9))


def _terms(truth: Truth, key: Key, answer: Answer, *, fine: bool) -> list[Term] | None:
    """An answer as a sum; None where it has too many terms, or they do not add up to it."""
    _, value = _last(answer.tree)
    parts = list(islice(_Expansion(answer.tree, fine).of(value, False), MOST + 1))
    if len(parts) > MOST:
        return None
    points = truth.telling(key)
    whole = [np.asarray(truth.value(answer, k), float) for k in points]
    found = []
    for node, minus in parts:
        tree = _with_last(answer.tree, node)
        try:
            part = truth.desk(key).taken(answer.text, tree)
            raw = [np.asarray(truth.value(part, k), float) for k in points]
            values = [np.broadcast_to(-v if minus else v, w.shape) for v, w in zip(raw, whole, strict=True)]
        except (Refusal, ValueError):
            return None
        found.append(Term(node, minus, tuple(values)))
    for k, w in enumerate(whole):
        if not close(sum((t.values[k] for t in found), np.zeros(w.shape)), w, 1e-7):
            return None
    return [t for t in found if any(map(np.any, t.values))]


def _last(tree: ast.Module) -> tuple[ast.expr | None, ast.expr]:
    """The left side of the last line, if it has one, and its formula."""
    line = tree.body[-1]
    if isinstance(line, ast.Assign):
        value = line.value
        # a range said after the equation belongs to the left side
        return line.targets[0], value.elts[0] if isinstance(value, ast.Tuple) else value
    assert isinstance(line, (ast.Expr, ast.AugAssign))
    return (line.target if isinstance(line, ast.AugAssign) else None), line.value


def _with_last(tree: ast.Module, value: ast.expr) -> ast.Module:
    """The lines with another formula in the last one."""
    *before, line = tree.body
    line = copy.deepcopy(line)
    assert isinstance(line, (ast.Assign, ast.Expr, ast.AugAssign))
    if isinstance(line.value, ast.Tuple):
        line.value.elts[0] = value
    else:
        line.value = value
    ast.fix_missing_locations(line)
    return ast.Module([*before, line], [])


class _Expansion:
    """Multiplies out: sums, and with `fine` products and linear functions of sums, and names of the answer's lines."""

    def __init__(self, tree: ast.Module, fine: bool):
        self.fine = fine
        self.own: Mapping[str, ast.expr] = {
            line.targets[0].id: line.value
            for line in tree.body[:-1]
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
        }

    def of(self, e: ast.expr, minus: bool) -> Iterator[tuple[ast.expr, bool]]:
        """The terms of an expression, each with whether it is subtracted."""
        match e:
            case ast.BinOp(left=a, op=ast.Add(), right=b):
                yield from self.of(a, minus)
                yield from self.of(b, minus)
            case ast.BinOp(left=a, op=ast.Sub(), right=b):
                yield from self.of(a, minus)
                yield from self.of(b, not minus)
            case ast.UnaryOp(op=ast.USub(), operand=a):
                yield from self.of(a, not minus)
            case ast.Name(id=name) if name in self.own and self.fine:
                parts = list(islice(self.of(self.own[name], minus), MOST + 1))
                yield from parts if len(parts) > 1 else [(e, minus)]
            case _ if self.fine:
                yield from self._product(e, minus)
            case _:
                yield e, minus

    def _product(self, e: ast.expr, minus: bool) -> Iterator[tuple[ast.expr, bool]]:
        match e:
            case ast.BinOp(left=a, op=(ast.Mult() | ast.MatMult()) as op, right=b):
                right = list(islice(self.of(b, False), MOST + 1))
                for x, down in self.of(a, minus):
                    for y, turned in right:
                        yield ast.copy_location(_times(x, op, y), e), down != turned
            case ast.BinOp(left=a, op=ast.Div() as op, right=b):
                for x, down in self.of(a, minus):
                    yield ast.copy_location(ast.BinOp(x, op, b), e), down
            case ast.Attribute(value=a, attr=("T" | "mT") as attr):
                for x, down in self.of(a, minus):
                    yield ast.copy_location(ast.Attribute(x, attr, ast.Load()), e), down
            case ast.Subscript(value=a) if not isinstance(a, ast.Name):
                for x, down in self.of(a, minus):
                    yield _changed(e, value=x), down
            case ast.Call(func=ast.Attribute(value=a, attr=name) as f) if name in _SUMS and not _module(a):
                for x, down in self.of(a, minus):
                    yield _changed(e, func=_changed(f, value=x)), down
            case ast.Call(func=f, args=args) if args and _called(f) in _SUMS:
                for k in self._linear(e):
                    for x, down in self.of(args[k], minus):
                        yield _changed(e, args=[*args[:k], x, *args[k + 1 :]]), down
            case ast.Call(func=f, args=[a, b]) if _called(f) in _PRODUCTS:
                right = list(islice(self.of(b, False), MOST + 1))
                for x, down in self.of(a, minus):
                    for y, turned in right:
                        yield _changed(e, args=[x, y]), down != turned
            case _:
                yield e, minus

    @staticmethod
    def _linear(e: ast.Call) -> tuple[int, ...]:
        """The argument that a sum is of: the body after its letters; NumPy's first one."""
        return (0,) if isinstance(e.func, ast.Attribute) else (len(e.args) - 1,)


def _called(f: ast.expr) -> str:
    return (
        f.id
        if isinstance(f, ast.Name)
        else f.attr
        if isinstance(f, ast.Attribute) and _module(f.value)
        else ""
    )


def _module(e: ast.expr) -> bool:
    return isinstance(e, ast.Name) and e.id in MODULES


def _times(x: ast.expr, op: ast.operator, y: ast.expr) -> ast.expr:
    """A product, without a factor of 1."""
    if isinstance(op, ast.Mult) and isinstance(x, ast.Constant) and x.value == 1:
        return copy.copy(y)
    if isinstance(op, ast.Mult) and isinstance(y, ast.Constant) and y.value == 1:
        return copy.copy(x)
    return ast.BinOp(x, op, y)


def _changed(e: ast.expr, **parts: object) -> ast.expr:
    new = copy.copy(e)
    for name, value in parts.items():
        setattr(new, name, value)
    return new
