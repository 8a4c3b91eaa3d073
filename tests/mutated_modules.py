"""Faults planted in the text of emitted modules, where loss and gradients are computed for training: does the module's
own `check_gradients()` notice them?

    python -m tests.mutated_modules --count 2000 --seed 0

Whether a fault changes anything is decided without that check: loss and gradients of the module and of the one with the
fault are compared at several sizes. A module whose training goes another way than its evaluation, by dropout or batch
statistics, has no other formula of its loss; a fault there that makes it another loss, with the right gradient of that
one, is counted apart: central differences of the loss say so.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

sys.path.insert(0, str(Path(__file__).parent))

from mutants import NETWORKS, Tally, smaller

import symgrad as sg
from symgrad.emit.load import Source, load
from symgrad.language.samples import inputs, small_sizes

TEXTS = {
    "classifier": "x: data[n, 4]; t: label[n] < 3; loss = softmax_cross_entropy(dense(tanh(dense(x, 5)), 3), t)",
    "convolution": "x: data[n, 2, 6, 6]; y: data[n, 27];"
    "a = max_pool2d(conv2d(x, 3, 3, padding=1), 2); loss = mse(flatten(a), y)",
    "recurrence": "x: data[n, 4, 3]; y: data[n, 2]; h = rnn(x, 2); loss = mse(h[:, 3], y)",
    "attention": "x: data[n, 3, 4]; y: data[n, 3, 4]; loss = mse(multi_head_attention(x, heads=2, causal=True), y)",
    "normed": "x: data[n, 5]; y: data[n]; w: weight[4]; loss = huber(layer_norm(gelu(dense(x, 4))) @ w, y)",
}
MODULES = [*TEXTS, *NETWORKS]
STYLES = ("readable", "fast")

# ---------------------------------------------------------------------- what can be wrong

Change = Callable[[Any], None]
_OTHER = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
_NAMES = {
    "add": "subtract", "subtract": "add", "multiply": "divide", "divide": "multiply", "maximum": "minimum",
    "exp": "tanh", "log": "exp", "tanh": "exp", "greater": "less", "less": "greater", "sqrt": "square",
}  # fmt: skip
_COMPARED = {ast.Gt: ast.GtE, ast.Lt: ast.LtE, ast.Eq: ast.NotEq, ast.GtE: ast.Gt, ast.LtE: ast.Lt}


def faults(tree: ast.FunctionDef) -> Iterator[tuple[str, str, Change]]:
    """The kind of each fault, where it is, and how to make it in a copy."""
    names = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    for k, node in enumerate(ast.walk(tree)):
        for kind, change in _at(node, names):
            where = f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)[:60]}"
            yield kind, where, lambda t, k=k, c=change: c(list(ast.walk(t))[k])


def _at(node: ast.AST, names: list[str]) -> Iterator[tuple[str, Change]]:
    match node:
        case ast.BinOp(op=op) if type(op) in _OTHER:
            yield "operator", lambda n: setattr(n, "op", _OTHER[type(n.op)]())
            yield "factor", lambda n: setattr(n, "left", ast.BinOp(n.left, ast.Mult(), ast.Constant(1.001)))
        case ast.UnaryOp(op=ast.USub()):
            yield "sign", lambda n: setattr(n, "op", ast.UAdd())
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=str(s)) if "->" in s and len(s) > 5:
            a, b = s.partition("->")[0][:2]
            if a != b:
                swapped = s.translate(str.maketrans(a + b, b + a)).partition("->")[0] + s[s.index("->") :]
                yield "axis", lambda n: setattr(n, "value", swapped)
        case ast.Constant(value=int()):
            yield "one more", lambda n: setattr(n, "value", n.value + 1)
            yield "one less", lambda n: setattr(n, "value", n.value - 1)
        case ast.Constant(value=float()):
            yield "factor", lambda n: setattr(n, "value", n.value * 1.001)
        case ast.Name(id=name, ctx=ast.Load()) if name in _NAMES:
            other = f"np.{_NAMES[name]}"
            yield "function", lambda n: setattr(n, "id", other)
        case ast.Attribute(attr="T"):
            yield "transpose", lambda n: setattr(n, "attr", "real")
        case ast.Attribute(value=ast.Name(id="np"), attr=name) if name in _NAMES:
            yield "function", lambda n: setattr(n, "attr", _NAMES[n.attr])
        case ast.Compare(ops=[op]) if type(op) in _COMPARED:
            yield "bound", lambda n: setattr(n, "ops", [_COMPARED[type(n.ops[0])]()])
        case ast.Expr(value=ast.Call()):
            yield "line dropped", lambda n: setattr(n, "value", ast.Constant(None))
            yield "line twice", lambda n: setattr(n, "value", ast.Tuple([n.value, n.value], ast.Load()))
        case ast.Call(args=args) if args:
            if len(args) > 1 and not any(isinstance(a, ast.Starred) for a in args):
                yield "arguments swapped", lambda n: n.args.__setitem__(slice(0, 2), n.args[1::-1])
            for k, a in enumerate(args[:2]):
                if isinstance(a, ast.Name) and a.id in names[1:]:
                    before = names[names.index(a.id) - 1]
                    yield "operand", lambda n, k=k, b=before: setattr(n.args[k], "id", b)


@dataclass(frozen=True)
class Fault:
    """One fault of a module: in which of its functions, and how to make it there."""

    function: str
    kind: str
    where: str
    change: Change


# ---------------------------------------------------------------------- a module and what it computes


@dataclass
class Subject:
    """An emitted module in which faults are planted."""

    name: str
    style: str
    names: dict[str, Any] = field(init=False)
    text: Source = field(init=False)

    def __post_init__(self) -> None:
        text = smaller(self.name) if self.name in NETWORKS else TEXTS[self.name]
        self.source = sg.derive(text).derived.source
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.py"
            sg.Model(text).generate(path, style=self.style)
            self.text = Source(path.read_text(encoding="utf-8"))
        self.names = load(self.text, "mutated")
        self.right = self.results()
        assert self.right is not None
        for name, careful in (("_room", lambda _: _room), ("windows", _inside)):
            if name in self.names:
                self.names[name] = careful(self.names[name])
        assert not self.notices()

    def __str__(self) -> str:
        return f"{self.name}, {self.style}"

    @cached_property
    def functions(self) -> dict[str, ast.FunctionDef]:
        """Those that compute loss and gradients, and the loss for the check."""
        found = {f.name: f for f in ast.parse(self.text).body if isinstance(f, ast.FunctionDef)}
        return {
            n: found[n]
            for n in ("_training", "_evaluate")
            if n in found and (n == "_training" or self.judged)
        }

    @property
    def judged(self) -> bool:
        """Whether the check has the loss by another function than the gradients."""
        return "stepped._loss(data)" in self.text

    def faults(self) -> list[Fault]:
        return [Fault(f, *found) for f, tree in self.functions.items() for found in faults(tree)]

    @contextlib.contextmanager
    def planted(self, fault: Fault) -> Iterator[None]:
        """The module with one fault."""
        wrong, right = copy.deepcopy(self.functions[fault.function]), self.names[fault.function]
        fault.change(wrong)
        alone = load(Source(ast.unparse(ast.fix_missing_locations(wrong))), "mutated")[fault.function]
        alone.__globals__.update({n: v for n, v in self.names.items() if n != fault.function})
        self.names[fault.function] = alone
        try:
            yield
        finally:
            self.names[fault.function] = right

    def points(self) -> Iterator[tuple[Any, dict[str, np.ndarray]]]:
        """A model, its weights moved from where they start, and data of several sizes."""
        done = []
        for start in (2, 3, 5):
            sizes = small_sizes(self.source, start)
            if sizes in done:
                continue
            done.append(sizes)
            rng = np.random.default_rng(start)
            data = inputs(self.source, sizes, rng)
            model = self.names["Model"](dtype=np.float64)
            model.init(start)
            model.set_weights({k: w + rng.standard_normal(w.shape) / 3 for k, w in model.weights.items()})
            given = (*self.names["DATA"], *self.names.get("DRAWS", ()))
            yield model, {name: data[name] for name in given}

    def results(self) -> list[np.ndarray] | None:
        """Losses, by both functions, and gradients; None if it cannot run."""
        found = []
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                for model, data in self.points():
                    found.append(np.array(model._train(data)))
                    found += [g.copy() for g in model._gradients.values()]
                    found += [np.array(model._loss(data))] if self.judged else []
            except Exception:  # noqa: BLE001 - a fault may do anything
                return None
        return found

    def notices(self) -> bool:
        """Whether the module's own check finds a gradient wrong, or cannot run."""
        with np.errstate(all="ignore"), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                return not self.names["check_gradients"]() <= 1e-9
            except Exception:  # noqa: BLE001 - a fault may do anything
                return True

    def another_loss(self) -> bool:
        """Whether the gradients are those of the loss that the same function computes."""
        step, rng = 1e-5, np.random.default_rng(0)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for model, data in self.points():
                model._train(data)
                gradients = {k: g.copy() for k, g in model._gradients.items()}
                weights = {k: model.weights[k].copy() for k in gradients}
                for k, g in gradients.items():
                    v, losses = rng.standard_normal(g.shape), []
                    for side in (step, -step):
                        model.weights[k][...] = weights[k] + side * v
                        losses.append(float(model._train(data)))
                    model.weights[k][...] = weights[k]
                    slope = (losses[0] - losses[1]) / (2 * step)
                    if not abs(slope - float((g * v).sum())) <= 1e-6 * max(1, float(np.abs(g * v).sum())):
                        return False
        return True


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


# ---------------------------------------------------------------------- who notices it


def judged(names: Iterable[str], count: int, start: int, styles: Iterable[str] = STYLES) -> Tally:
    """What becomes of so many faults, in turn of each module and style."""
    rng, tally = np.random.default_rng(start), Tally(("check_gradients", "another loss"))
    queues = []
    for subject in (Subject(name, style) for name in names for style in styles):
        found = subject.faults()
        queues.append((subject, [found[k] for k in rng.permutation(len(found))[:count]]))
    turns = ((s, q[k]) for k in range(max(len(q) for _, q in queues)) for s, q in queues if k < len(q))
    for (subject, fault), _ in zip(turns, range(count), strict=False):
        _judge(subject, fault, tally)
    return tally


def _judge(subject: Subject, fault: Fault, tally: Tally) -> None:
    row = tally.row(fault.kind)
    try:
        with subject.planted(fault):
            values = subject.results()
            if values is None:
                row["stillborn"] += 1
                return
            row["planted"] += 1
            assert subject.right is not None
            pairs = zip(values, subject.right, strict=True)
            if all(a.shape == b.shape and np.allclose(a, b, rtol=1e-8, atol=1e-11) for a, b in pairs):
                row["equivalent"] += 1
            elif subject.notices():
                row["check_gradients"] += 1
            elif not subject.judged and subject.another_loss():
                row["another loss"] += 1
            else:
                tally.survived(fault.kind, f"{subject}, {fault.function}, {fault.kind} in {fault.where}")
    except (SyntaxError, ValueError):
        row["stillborn"] += 1


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", nargs="*", default=MODULES)
    args = options.parse_args()
    begun = time.process_time()
    tally = judged(args.only, args.count, args.seed)
    print(tally)
    print(
        f"seed {args.seed}, {tally.total('stillborn')} more did not run, {time.process_time() - begun:.1f} s"
    )


if __name__ == "__main__":
    main()
