"""Faults planted in the text of emitted modules: where loss and gradients are computed for training."""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

import symgrad as sg
from symgrad.emit.load import Source, load

Data = dict[str, np.ndarray]


def _normal(*shape: int) -> Callable[[int], np.ndarray]:
    return lambda n: np.random.default_rng(n).standard_normal((n, *shape))


# a declaration, and data for it of so many examples
MODULES: dict[str, tuple[str, Callable[[int], Data]]] = {
    "classifier": (
        "x: data[n, 4]; t: label[n] < 3; loss = softmax_cross_entropy(dense(tanh(dense(x, 5)), 3), t)",
        lambda n: {"x": _normal(4)(n), "t": np.random.default_rng(n).integers(0, 3, n)},
    ),
    "convolution": (
        "x: data[n, 2, 6, 6]; y: data[n, 27]; a = max_pool2d(conv2d(x, 3, 3, padding=1), 2); loss = mse(flatten(a), y)",
        lambda n: {"x": _normal(2, 6, 6)(n), "y": _normal(27)(n + 1)[:n]},
    ),
    "recurrence": (
        "x: data[n, 4, 3]; y: data[n, 2]; h = rnn(x, 2); loss = mse(h[:, 3], y)",
        lambda n: {"x": _normal(4, 3)(n), "y": _normal(2)(n + 1)[:n]},
    ),
}  # fmt: skip
_OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
_NAMES = {"add": "subtract", "subtract": "add", "multiply": "divide", "maximum": "minimum"}
_COMPARED = {ast.Gt: ast.GtE, ast.Lt: ast.LtE, ast.Eq: ast.NotEq, ast.GtE: ast.Gt}


@cache
def source(name: str, style: str) -> Source:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.py"
        sg.Model(MODULES[name][0]).generate(path, style=style)
        return Source(path.read_text(encoding="utf-8"))


def text(name: str, style: str) -> ast.FunctionDef:
    """The function that computes loss and gradients."""
    tree = ast.parse(source(name, style))
    return next(f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == "_training")


def faults(tree: ast.FunctionDef) -> Iterator[tuple[str, Callable[[ast.AST], None]]]:
    """What can be wrong at each node, and how to make it so in a copy."""
    for k, node in enumerate(ast.walk(tree)):
        for what, change in _at(node):
            line = getattr(node, "lineno", 0)
            yield (
                f"{what} in line {line}: {ast.unparse(node)[:60]}",
                lambda t, k=k, c=change: c(list(ast.walk(t))[k]),
            )


def _at(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    match node:
        case ast.BinOp(op=op) if type(op) in _OTHER:
            yield "operator", lambda n: setattr(n, "op", _OTHER[type(n.op)]())
            yield (
                "a thousandth",
                lambda n: setattr(n, "left", ast.BinOp(n.left, ast.Mult(), ast.Constant(1.001))),
            )
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", lambda n: setattr(n, "op", ast.UAdd())
        case ast.Constant(value=bool() | str()):
            pass
        case ast.Constant(value=int()):
            yield "one more", lambda n: setattr(n, "value", n.value + 1)
            yield "one less", lambda n: setattr(n, "value", n.value - 1)
        case ast.Constant(value=float()):
            yield "a thousandth", lambda n: setattr(n, "value", n.value * 1.001)
        case ast.Name(id=name, ctx=ast.Load()) if name in _NAMES:
            yield "operator", lambda n: setattr(n, "id", _NAMES[n.id])
        case ast.Attribute(attr="T"):
            yield "transpose", lambda n: setattr(n, "attr", "real")
        case ast.Compare(ops=[op]) if type(op) in _COMPARED:
            yield "comparison", lambda n: setattr(n, "ops", [_COMPARED[type(n.ops[0])]()])
        case ast.Expr(value=ast.Call()):
            yield "line dropped", lambda n: setattr(n, "value", ast.Constant(None))


def planted(
    names: dict[str, Any], tree: ast.FunctionDef, change: Callable[[ast.AST], None]
) -> dict[str, Any]:
    """The module with one fault."""
    wrong = copy.deepcopy(tree)
    change(wrong)
    source = Source(ast.unparse(ast.fix_missing_locations(wrong)))
    alone = load(source, "mutated")["_training"]
    alone.__globals__.update({n: v for n, v in names.items() if n != "_training"})
    names["_training"] = alone
    return names


def _room(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """What is read before it is written is no number, instead of what an earlier run left there."""
    whole = np.dtype(dtype).kind in "iub"
    return np.zeros(shape, dtype) if whole else np.full(shape, np.nan, dtype)


def _inside(windows: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """What lies outside an array has whatever value it has: a fault that reads there does not run."""

    def checked(a: np.ndarray, *how: Any) -> np.ndarray:
        found, whole = windows(a, *how), a
        while getattr(whole, "base", None) is not None:
            whole = whole.base
        (low, high), (first, last) = byte_bounds(found), byte_bounds(whole)
        if low < first or high > last:
            raise IndexError("outside the array")
        return found

    return checked


def gradients(names: dict[str, Any], data: Callable[[int], Data]) -> list[np.ndarray] | None:
    """At several numbers of examples; None if it cannot run."""
    found = []
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in (2, 3, 6):
            model = names["Model"](dtype=np.float64)
            model.init(n)
            rng = np.random.default_rng(n)
            model.set_weights({k: w + rng.standard_normal(w.shape) / 3 for k, w in model.weights.items()})
            try:
                model._train(data(n))
            except Exception:  # noqa: BLE001 - a fault may do anything
                return None
            found += [g.copy() for g in model._gradients.values()]
    return found


def notices(names: dict[str, Any]) -> bool:
    """Whether the module's own check finds a gradient wrong, or cannot run."""
    with np.errstate(all="ignore"), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return not names["check_gradients"]() <= 1e-9
        except Exception:  # noqa: BLE001 - a fault may do anything
            return True


def judged(name: str, style: str, most: int, start: int) -> tuple[int, int, list[str]]:
    """How many faults change gradients, how many do not, and those that are not noticed."""
    names, tree, data = load(source(name, style), "mutated"), text(name, style), MODULES[name][1]
    right = gradients(names, data)
    assert right is not None
    names["_room"] = _room
    if "windows" in names:
        names["windows"] = _inside(names["windows"])
    assert not notices(names)
    found = list(faults(tree))
    order = np.random.default_rng(start).permutation(len(found))
    changed, equal, survived = 0, 0, []
    for k in order[:most]:
        what, change = found[k]
        try:
            wrong = planted(names, tree, change)
        except (SyntaxError, ValueError):
            continue
        values = gradients(wrong, data)
        if values is None:
            continue
        if all(np.allclose(a, b, rtol=1e-8, atol=1e-11) for a, b in zip(values, right, strict=True)):
            equal += 1
            continue
        changed += 1
        if not notices(wrong):
            survived.append(f"{name}, {style}: {what}")
    return changed, equal, survived
