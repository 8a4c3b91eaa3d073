"""The public model: a declaration that becomes a derivation and a module."""

from __future__ import annotations

import keyword
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from symgrad import emit, explain
from symgrad.collecting import put_off
from symgrad.derivation import Derivation, derive, read_program
from symgrad.errors import Refusal, SymgradError, no_deeper
from symgrad.files import write_atomically
from symgrad.language.program import Program
from symgrad.language.trace import Derived
from symgrad.objects.expressions import Expression
from symgrad.objects.writing import Written, write
from symgrad.passes.weighted import weighted as with_weights

_IMPORTED = ("numpy", "numba", "scipy", "sklearn")  # by modules, or by what they import


class Model:
    """A network and its loss, declared as text, in a `.sg` file, or with objects.

    Args:
        declaration: text of the language, the path of a `.sg` file, the expression of a loss, or a network (a layer, a
            `Sequential`, a function) for which `x`, `t` and `loss` are given.
        sizes: numbers for size letters; the others stay symbolic.
        x: what the network is applied to.
        t: the target.
        loss: what is applied to the network's result and the target, such as `sg.mse`.

    Raises:
        SymgradError: the declaration cannot be read; one sentence, with the line and a caret.

    Example:
        >>> import symgrad as sg
        >>> m = sg.Model('''
        ...     x: data[n, 4]
        ...     t: label[n] < 3
        ...     loss = softmax_cross_entropy(dense(x, 3), t)
        ... ''')
        >>> [w.name for w in m.program.role("weight")]
        ['W1', 'b1']
        >>> net = sg.Sequential(sg.Dense(8), sg.Tanh(), sg.Dense(1, bias=False))
        >>> m = sg.Model(net, x=sg.data("n", 4), t=sg.data("n", 1, name="y"), loss=sg.mse)
        >>> print(m.program.text)
        x: data[n, 4]
        y: data[n, 1]
        h1 = tanh(dense(x, 8))
        h2 = dense(h1, 1, bias=False)
        loss = mse(h2, y)
    """

    def __init__(
        self,
        declaration: str | os.PathLike[str] | Program | Expression | Callable[..., Expression],
        *,
        sizes: Mapping[str, int] | None = None,
        x: Expression | None = None,
        t: Expression | None = None,
        loss: Callable[..., Expression] | None = None,
    ):
        self._written: Written | None = None
        declared = _applied(declaration, x, t, loss)
        if isinstance(declared, Expression):
            self._written = write(declared.node)
            declared = self._written.text
        self.program = read_program(declared, sizes)
        # what `forward` and `predict` of a module compute: the same text, read with `training` off
        self.evaluation = read_program(declared, sizes, training=False) if self.program.switched else None
        self.name = Path(declared).stem if isinstance(declared, os.PathLike) else "model"

    def derive(self, wrt: str | Expression | Iterable[str | Expression] | None = None) -> Derivation:
        """The derivation of the loss by every weight, or by what `wrt` names."""
        if wrt is None:
            return self._by_weights
        if isinstance(wrt, Expression):
            return derive(self.program, self._name(wrt))
        if isinstance(wrt, str) or not isinstance(wrt, Iterable):
            return derive(self.program, wrt)
        return derive(self.program, [self._name(w) if isinstance(w, Expression) else w for w in wrt])

    def _name(self, e: Expression) -> str:
        if self._written is None:
            raise SymgradError("this model was declared as text: wrt takes the names of its tensors")
        return self._written.name_of(e.node)

    @cached_property
    def _by_weights(self) -> Derivation:
        return derive(self.program)

    @cached_property
    def _weighted(self) -> tuple[Derived, str]:
        """The derivation with a weight for each example, and the name of the data that has them."""
        changed = with_weights(self.program)
        return derive(changed.program).derived, changed.name

    def _parts(self, weighted: bool) -> tuple[Derived, dict[str, Any]]:
        """What a module is made of: the derivation, and what else there is to know of it."""
        evaluation = self.evaluation
        if weighted:
            derived, name = self._weighted
            evaluation = evaluation or self.program
        else:
            derived, name = self.derive().derived, ""
        return derived, {
            "evaluation": evaluation,
            "labels": explain.numbers(derived),
            "example_weight": name or None,
        }

    @put_off()
    @no_deeper()
    def source(
        self,
        name: str = "model",
        *,
        optimizer: str | os.PathLike[str] = "adam",
        style: str | None = None,
        target: str = "numpy",
        weighted: bool = False,
        **options: Any,
    ) -> emit.Source:
        """The text of the module that `generate` writes."""
        try:
            derived, parts = self._parts(weighted)
            return emit.module_source(
                derived, name=name, optimizer=optimizer, style=style, target=target, **parts, **options
            )
        except Refusal as problem:
            raise SymgradError(problem.reason) from None

    def report(
        self,
        *,
        optimizer: str | os.PathLike[str] = "adam",
        sizes: Mapping[str, int] | None = None,
        weighted: bool = False,
        **options: Any,
    ) -> emit.Report:
        """What a step of the fast module costs: calls, operations, bytes, and the share of matrix products.

        Args:
            optimizer, weighted, options: as for `generate`.
            sizes: a number for each size letter; the module keeps the letters.

        Returns:
            the costs of each group of lines; `print` it for a table, with the numbers that the module's comments have.

        Raises:
            SymgradError: a size has no number.

        Example:
            >>> import symgrad as sg
            >>> m = sg.Model("x: data[n, 2]; y: data[n]; w: weight[2]; loss = mean((x @ w - y)**2)")
            >>> m.report(optimizer="sgd", sizes={"n": 100}).total.calls > 4
            True
        """
        try:
            derived, parts = self._parts(weighted)
            return emit.module_report(
                derived, dict(sizes or {}), name="model", optimizer=optimizer, **parts,
                **{"style": "fast", **options},
            )  # fmt: skip
        except Refusal as problem:
            raise SymgradError(problem.reason) from None

    def generate(
        self,
        path: str | os.PathLike[str],
        *,
        optimizer: str | os.PathLike[str] = "adam",
        style: str | None = None,
        target: str = "numpy",
        weighted: bool = False,
        **options: Any,
    ) -> Path:
        """Write a standalone training module that needs NumPy and nothing else.

        Args:
            path: the file to write, `something.py`, where `something` is an identifier; it is replaced as a whole.
            optimizer: "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"; or your own, as text or the
                path of a `.sg` file: `def mine(w, g, lr=0.1): w = w - lr*g`.
            style: "readable" (each line with its equation) or "fast" (buffers allocated once).
            target: "numpy", or "numba": the fast style with training in loops that Numba compiles, where it is there.
            weighted: whether training takes a weight for each example, which multiplies its terms of the loss: `fit`
                takes `class_weight` and `example_weight`. A mean still divides by the number of examples.
            options: numbers of the optimiser (`lr`, `beta1`, ...); `schedule` of its learning rate ("step", "cosine",
                "one_cycle", ..., a formula such as "lr/sqrt(t)") with its numbers; `clip_norm`, `clip_value`, `l1`,
                `l2`, `weight_decay` (see `symgrad.library.optimizer`); `predict` (the tensor to predict with), and for
                the fast style how a step splits its batch if the module is not told otherwise: `threads` (1), `tile`
                ("auto"), `micro_batch` (None). With `estimator=True` the module has a class `Classifier` or `Regressor`
                in the manners of scikit-learn, too.

        Returns:
            the path.

        Raises:
            SymgradError: an unknown option, a path that cannot be written; `weighted` where the loss is no sum over
                examples.

        Example:
            >>> import symgrad as sg, tempfile, pathlib
            >>> m = sg.Model("x: data[n, 2]; y: data[n]; w: weight[2]; loss = mean((x @ w - y)**2)")
            >>> path = m.generate(pathlib.Path(tempfile.mkdtemp()) / "line.py", optimizer="sgd", lr=0.1)
            >>> path.name
            'line.py'
        """
        if not isinstance(path, (str, os.PathLike)):
            raise SymgradError(
                f'a module is written to the path of a file, such as "digits.py", not to {path!r}'
            )
        path = Path(path)
        stem = unicodedata.normalize("NFKC", path.stem)  # what Python looks for
        if path.suffix != ".py" or not stem.isidentifier() or keyword.iskeyword(stem) or stem != path.stem:
            raise SymgradError(
                f"a module is written to a file such as digits.py, whose name can be imported, not to '{path.name}'"
            )
        if path.stem in sys.stdlib_module_names or path.stem in _IMPORTED:
            raise SymgradError(
                f"a module called {path.stem} would be imported in place of Python's or NumPy's: choose another name"
            )
        write_atomically(
            path,
            self.source(
                path.stem, optimizer=optimizer, style=style, target=target, weighted=weighted, **options
            ),
        )
        return path


def _applied(declaration: Any, x: Any, t: Any, loss: Any) -> Any:
    """The loss of a network that is given in parts; any other declaration as it is."""
    parts = {"x": x, "t": t, "loss": loss}
    whole = isinstance(declaration, (str, os.PathLike, Program, Expression))
    if whole or not callable(declaration):
        given = [k for k, v in parts.items() if v is not None]
        if given:
            raise SymgradError(f"{given[0]} goes with a network of objects; this declaration says all itself")
        if not whole:
            raise SymgradError(
                f"a model is declared by text, a file, an expression or layers, not by {declaration!r}"
            )
        return declaration
    if isinstance(declaration, type) or isinstance(loss, type):
        name = (declaration if isinstance(declaration, type) else loss).__name__
        raise SymgradError(f"{name} is a class; write {name}(), with its settings")
    for name in ("x", "t"):
        if parts[name] is not None and not isinstance(parts[name], Expression):
            raise SymgradError(f'{name} is a declared tensor, such as sg.data("n", 64), not {parts[name]!r}')
    if x is None or not callable(loss):
        raise SymgradError('a network needs what it is applied to and a loss: sg.Model(net, x=sg.data("n", 64), '
                           't=sg.label("n", below=10), loss=sg.softmax_cross_entropy)')  # fmt: skip
    result = loss(declaration(x)) if t is None else loss(declaration(x), t)
    if not isinstance(result, Expression):
        raise SymgradError(f"the loss of a model is an expression, and {result!r} is none")
    return result
