"""The public model: a declaration that becomes a derivation and a module."""

from __future__ import annotations

import contextlib
import keyword
import os
import tempfile
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from symgrad import emit
from symgrad.derivation import Derivation, derive, read_program
from symgrad.errors import Refusal, SymgradError
from symgrad.language.program import Program


class Model:
    """A network and its loss, declared as text or in a `.sg` file.

    Args:
        declaration: text of the language, or the path of a `.sg` file.
        sizes: numbers for size letters; the others stay symbolic.

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
    """

    def __init__(
        self, declaration: str | os.PathLike[str] | Program, *, sizes: Mapping[str, int] | None = None
    ):
        self.program = read_program(declaration, sizes)
        # what `forward` and `predict` of a module compute: the same text, read with `training` off
        self.evaluation = read_program(declaration, sizes, training=False) if self.program.switched else None
        self.name = Path(declaration).stem if isinstance(declaration, os.PathLike) else "model"

    def derive(self, wrt: str | Iterable[str] | None = None) -> Derivation:
        """The derivation of the loss by every weight, or by what `wrt` names."""
        return self._by_weights if wrt is None else derive(self.program, wrt)

    @cached_property
    def _by_weights(self) -> Derivation:
        return derive(self.program)

    def source(
        self, name: str = "model", *, optimizer: str = "adam", style: str = "readable", **options: Any
    ) -> emit.Source:
        """The text of the module that `generate` writes."""
        try:
            return emit.module_source(
                self.derive().derived,
                name=name,
                optimizer=optimizer,
                style=style,
                evaluation=self.evaluation,
                **options,
            )
        except Refusal as problem:
            raise SymgradError(problem.reason) from None

    def generate(
        self,
        path: str | os.PathLike[str],
        *,
        optimizer: str = "adam",
        style: str = "readable",
        **options: Any,
    ) -> Path:
        """Write a standalone training module that needs NumPy and nothing else.

        Args:
            path: the file to write, `something.py`, where `something` is an identifier; it is replaced as a whole.
            optimizer: "sgd", "momentum" or "adam".
            style: "readable" (each line with its equation) or "fast" (buffers allocated once).
            options: numbers of the optimiser (`lr`, `beta1`, ...), and `predict` (the tensor to predict with).

        Returns:
            the path.

        Raises:
            SymgradError: an unknown option, a path that cannot be written.

        Example:
            >>> import symgrad as sg, tempfile, pathlib
            >>> m = sg.Model("x: data[n, 2]; y: data[n]; w: weight[2]; loss = mean((x @ w - y)**2)")
            >>> path = m.generate(pathlib.Path(tempfile.mkdtemp()) / "line.py", optimizer="sgd", lr=0.1)
            >>> path.name
            'line.py'
        """
        path = Path(path)
        if path.suffix != ".py" or not path.stem.isidentifier() or keyword.iskeyword(path.stem):
            raise SymgradError(
                f"a module is written to a file such as digits.py, whose name can be imported, not to '{path.name}'"
            )
        write_atomically(path, self.source(path.stem, optimizer=optimizer, style=style, **options))
        return path


def write_atomically(path: Path, text: str) -> None:
    """Write a file as a whole or not at all: a temporary file beside it, flushed, then renamed over it."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as problem:
        raise SymgradError(
            f"{path} cannot be written: {problem.strerror or problem}; nothing was changed"
        ) from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
