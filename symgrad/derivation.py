"""The public derivation: one trace, and everything that can be asked of it."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from symgrad import emit, explain
from symgrad.check import Proof, Verdict, prove
from symgrad.check import check as judge
from symgrad.collecting import put_off
from symgrad.errors import Refusal, SymgradError, complete, did_you_mean, listing, no_deeper
from symgrad.explain import Drawing, grading, record
from symgrad.explain.document import Document
from symgrad.explain.grading import Grade
from symgrad.files import read_text
from symgrad.language.bind import bind
from symgrad.language.program import Program
from symgrad.language.reader import read
from symgrad.language.trace import Derived, Key, Step
from symgrad.library import DEFINITIONS, optimizer
from symgrad.objects.expressions import Expression, spelled
from symgrad.passes.derive import derive as run_passes
from symgrad.passes.weighted import weighted as with_weights
from symgrad.worked import Worked, collected, work

Function = Callable[..., tuple[Any, dict[Any, Any]]]
_DOCUMENT = ("form", "detail", "sizes", "picture", "layout", "fold")


class Gradient:
    """One result: the gradient of the loss by one tensor, printable in every form; a Jacobian or a Hessian has more.

    Example:
        >>> import symgrad as sg
        >>> d = sg.derive("x: weight[n]; loss = sum(x**2)/2")
        >>> d.gradients["x"].shape
        ('n',)
    """

    def __init__(self, derived: Derived, name: Key):
        self._derived, self.name = derived, name

    @property
    def shape(self) -> tuple[str, ...]:
        """The shape, as the size expressions of the program; of a gradient it is the shape of the variable."""
        return tuple(map(str, self._derived.program[self._derived.gradients[self.name]].shape))

    def text(self, form: str = "matrix", *, sizes: Mapping[str, int] | None = None) -> str:
        """The result as text of the language, in matrix form where there is one, or `form="index"`.

        `form="scalar"` writes out every entry, for sizes that have numbers: those of the derivation, or `sizes` here.
        """
        return explain.result_text(self._derived, self.name, form, sizes)

    def latex(self, form: str = "matrix", *, sizes: Mapping[str, int] | None = None) -> str:
        """The result as LaTeX for math mode."""
        return explain.result_latex(self._derived, self.name, form, sizes)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        by = self.name if isinstance(self.name, str) else " and ".join(self.name)
        return f"<{self._derived.kind} by {by}: {self.text()}>"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


class _Absent(SymgradError, KeyError):
    """A name that a derivation has no result for."""

    __str__ = SymgradError.__str__  # a KeyError shows its text in quotes


class _Results(dict[Key, Gradient]):
    """The results by name; one that is not there is answered in a sentence."""

    def __missing__(self, key: object) -> Gradient:
        near = did_you_mean(key, [k for k in self if isinstance(k, str)]) if isinstance(key, str) else ""
        had = listing(k if isinstance(k, str) else repr(k) for k in self)
        raise _Absent(
            f"the derivation has no result by {key!r}{near}; it has those by {had}, and `wrt` asks for others"
        )


class Derivation:
    """The gradient of a loss, how it was found, and what can be made of it.

    Made by `symgrad.derive`; and likewise a Jacobian, a Hessian, ... by `symgrad.jacobian`, `symgrad.hessian`, ....

    Example:
        >>> import symgrad as sg
        >>> d = sg.derive("x: weight[n]; loss = sum(x**2)/2")
        >>> loss, gradients = d.function()(x=[3.0, 4.0])
        >>> float(loss), gradients["x"].tolist()
        (12.5, [3.0, 4.0])
    """

    def __init__(self, derived: Derived, whole: Program | None = None):
        self.derived, self._whole = derived, whole or derived.source

    @property
    def program(self) -> Program:
        """The program as it was read; `print` shows its text."""
        return self.derived.source

    @cached_property
    def gradients(self) -> dict[Key, Gradient]:
        """The results by name; those of a Hessian by pairs of names."""
        return _Results((name, Gradient(self.derived, name)) for name in self.derived.gradients)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The derivation as data: number, rule, equation, source, partial, before, reason."""
        return self.derived.steps

    def text(self, width: int = 80, detail: str = "steps", **options: Any) -> str:
        """The derivation for a terminal of `width` columns; lines break at operators. Options as for `document`."""
        try:
            columns = operator.index(width)
        except TypeError:
            columns = 0
        if columns < 1:
            raise SymgradError(f"width is a whole number of columns of at least 1, such as 80, not {width!r}")
        return self.document(detail=detail, **options).text(columns)

    def latex(self, form: explain.Form = "matrix", *, fragment: bool = True, **options: Any) -> str:
        """The derivation as LaTeX: a fragment to `\\input`, or a whole document. Options as for `document`."""
        return self.document(form=form, **options).latex(fragment)

    def picture(self, direction: str = "both", *, form: str = "matrix", detail: str = "steps") -> Drawing:
        """The computational graph: equations in boxes, shapes on the wires between them.

        Args:
            direction: "forward", "backward" (with the error signals that flow back), or "both".
            form: "matrix" or "index", as for `latex`.
            detail: "everything" gives each part a box of its own.

        Returns:
            a drawing with `.svg`, `.tikz` (for a document that loads the package of this name) and `.tex` (a document).

        Example:
            >>> import symgrad as sg
            >>> d = sg.derive("X: data[n, i]; w: weight[i]; loss = sum((X @ w)**2)")
            >>> d.picture("forward").svg.startswith("<svg")
            True
        """
        return explain.drawing(self.derived, direction, form, detail)

    def document(self, **options: Any) -> explain.Document:
        """The derivation as a document, to be written in any format.

        Args:
            form: "matrix", "index" or "scalar" (every entry written out); several, or "all", are shown side by side.
            detail: "result", "steps" or "everything".
            sizes: numbers for size letters that have none yet; the scalar form needs one for each.
            picture: "forward", "backward" or "both": the computational graph in front of the equations.
            layout: "gradient": each gradient has the shape of its variable; "jacobian": in matrix form it is the
                transposed. `gradients` and the functions always give arrays in the shape of the variable.
            optimizer: the name of one ("sgd", "adam", ...), or a text that defines one: its update equations are told
                behind the gradients. With it go `schedule`, `lr`, `clip_norm` and all else that `Model.generate` takes.

        Raises:
            SymgradError: an option is none of these; for the scalar form a size without a number, or too much to
                write out.

        Example:
            >>> import symgrad as sg
            >>> d = sg.derive("x: weight[n]; loss = sum(x**2)")
            >>> d.document(form="index", detail="everything").html().startswith("<!DOCTYPE html>")
            True
        """
        return explain.document(self.derived, **_with_update(options))

    def markdown(self, **options: Any) -> str:
        """The derivation as Markdown with mathematics, as GitHub renders it; options as for `document`."""
        return self.document(**options).markdown()

    def html(self, **options: Any) -> str:
        """The derivation as one page that needs no network and no script; options as for `document`."""
        return self.document(**options).html()

    def pdf(self, path: str | os.PathLike[str], **options: Any) -> str:
        """Write the derivation as PDF, by LaTeX if the machine has it, else by a browser; options as for `document`.

        Returns:
            the program that made it, such as "latexmk" or "chromium".

        Raises:
            SymgradError: nothing on this machine makes one: it says what to install; or the file cannot be written.
        """
        return self.document(**options).pdf(path)

    def json(self) -> str:
        """The steps and results as JSON, by the schema that `symgrad.explain.record` tells."""
        return record.written(self.derived)

    def save(self, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a file in the format that its name ends with: .txt, .tex, .md, .html, .pdf, .json, .svg or .py.

        Args:
            path: the file; it is written as a whole or not at all.
            options: as for `document`.

        Raises:
            SymgradError: no format has that ending, or the file cannot be written.
        """
        more = {".json": self.json, ".py": self.numpy, ".svg": lambda: self.picture().svg}
        self.document(**options).save(path, more)

    @no_deeper()
    def numpy(self) -> str:
        """Standalone NumPy source of `loss_and_grad(...)`: the loss and a dictionary of gradients.

        For other derivations it is `value_and_jacobian`, `loss_and_hessian`, `loss_and_hvp` or `loss_and_grads`.
        """
        return emit.function_source(self.derived, labels=explain.numbers(self.derived))

    def function(self) -> Function:
        """The same, compiled: `f(X=..., y=..., w=...) -> (loss, {"w": array})`.

        Arguments are arrays (or lists) in the declared shapes, by name or in declared order; sizes are taken from them.
        Each gradient has the shape of its variable; everything is float64. An infinite slope (of sqrt at 0) is a value
        and brings no warning; a nan that arises does, NumPy's RuntimeWarning.

        Raises:
            SymgradError: an argument is missing, its shape does not fit, or a declared fact does not hold.
        """
        raw = self._compiled("readable", "symgrad_function")
        program = self.derived.source
        order = [t.name for t in program.inputs]
        spare = {t.name for t in self._whole.inputs} - set(
            order
        )  # inputs of the text that the result does not need

        def loss_and_grad(*values: Any, **named: Any) -> tuple[float, dict[Any, np.ndarray]]:
            if len(values) > len(order):
                raise SymgradError(f"{len(values)} arrays were given; the function takes {', '.join(order)}")
            given = dict(zip(order, values, strict=False))
            named = {name: value for name, value in named.items() if name not in spare}
            twice = [name for name in given if name in named]
            if twice:
                raise SymgradError(f"{twice[0]} was given twice, by position and by name")
            try:
                _, arrays = bind(program, {**given, **named})
            except Refusal as problem:
                raise SymgradError(problem.reason) from None
            try:
                with np.errstate(divide="ignore", over="ignore"):
                    loss, gradients = raw(*arrays.values())  # in declared order
            except np.linalg.LinAlgError as problem:
                raise _no_result(problem) from None
            # a constant comes as a plain number
            return loss, {k: g if hasattr(g, "shape") else np.asarray(g, float) for k, g in gradients.items()}

        return loss_and_grad

    def _compiled(self, style: str, name: str) -> Function:
        source = emit.function_source(self.derived, style=style, labels=explain.numbers(self.derived))
        return emit.load(source, name)[emit.function_name(self.derived)]

    @overload
    def check(
        self, given: Mapping[str, Any] | None = None, *, seed: int = 0, exact: Literal[True]
    ) -> Proof: ...

    @overload
    def check(
        self,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        tolerance: float | None = None,
        entries: int = 24,
        digits: int | None = None,
    ) -> Verdict: ...

    def check(
        self,
        given: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        tolerance: float | None = None,
        entries: int = 24,
        digits: int | None = None,
        exact: bool = False,
    ) -> Verdict | Proof:
        """A numeric verdict: complex steps through the reference realisation, and both emitted styles against it.

        At a kink, where a relu is of 0 or a maximum has two winners, the slopes to both sides differ, and whatever lies
        between them is right; the table says for how many entries that was so. Where no complex step passes, as at the
        norm of zeros, central differences of many steps are taken.

        Args:
            given: arrays for all inputs; random ones of small pairwise different sizes if None.
            exact: whether to prove it instead, for small sizes: by forward mode in exact numbers, and by sympy where
                the scalar written out is short. `tolerance` and `entries` play no part then.
            tolerance: largest accepted error, relative to the largest entry of a gradient; 1e-9 if None, or half of
                the digits.
            digits: compute in numbers of so many digits, from 20 to 1000, and compare with central differences; the
                code that is emitted, which has floats, is not judged then.
            entries: how many entries of a tensor are stepped one by one; random directions judge them all.
                Of a gradient by many tensors, as many entries in all; directions that move all tensors judge
                them at a bounded cost.

        Returns:
            a verdict with `.ok`, `.worst` and a table (`print` it); if exact a proof with `.ok`, `.exact` and a table.

        Raises:
            SymgradError: the arrays do not fit, or have no result, such as a singular matrix; too many numbers for
                exact arithmetic or for so many digits.

        Example:
            >>> import symgrad as sg
            >>> d = sg.derive("x: data[n]; y: data[n]; w: weight; loss = mean((w*x - y)**2)")
            >>> d.check().ok, d.check(exact=True).exact, d.check(digits=50).worst < 1e-30
            (True, True, True)
        """
        try:
            if exact:
                return prove(self.derived, given, seed=seed)
            styles = ("readable", "fast") if digits is None else ()
            code = {style: self._compiled(style, f"symgrad_{style}") for style in styles}
            return judge(
                self.derived, given, realisations=code, seed=seed, tolerance=tolerance, entries=entries,
                digits=digits,
            )  # fmt: skip
        except Refusal as problem:
            raise SymgradError(problem.reason) from None
        except np.linalg.LinAlgError as problem:
            raise _no_result(problem) from None

    def grade(
        self,
        answers: Any = None,
        /,
        *,
        at: Mapping[str, Any] | None = None,
        **named: Any,
    ) -> Grade:
        """Whether an answer is right; if it is wrong, which term differs and which likely mistake gives it.

        An answer is text of the language (`"2/n * X.T @ (X @ w - y)"`; an index equation `"dw[i] = ..."`; several lines
        with names of their own, which may use the program's names and error signals such as `dz`), a function of NumPy
        arrays that asks for inputs by the names of its parameters, or numbers for the inputs `at`. Text is read, never
        run. Equality is decided at random inputs of several small sizes: exactly where the formulas are made of
        arithmetic and exponentials, else to 40 digits; functions that take floats only, to float accuracy; numbers to
        the digits that they are given with.

        Args:
            answers: answers by name, or by pairs of names for a Hessian; the answer alone if there is one result.
            at: for numbers, an array for each input.
            named: answers by name.

        Raises:
            SymgradError: an answer cannot be read: one sentence, with the line and a caret.

        Example:
            >>> import symgrad as sg
            >>> d = sg.derive("x: weight[n]; loss = sum(tanh(x))")
            >>> d.grade(x="1/cosh(x)**2").right
            True
        """
        given: dict[Key, Any] = {}
        given.update(named)
        if isinstance(answers, Mapping):
            given = {**answers, **given}
        elif answers is not None:
            (only, *more) = self.derived.gradients
            if more:
                names = listing(k if isinstance(k, str) else repr(k) for k in self.derived.gradients)
                raise SymgradError(f"there are results by {names}: say for which the answer is, by name")
            given = {only: answers, **given}
        return grading.grade(self._truth, given, at)

    def worked(
        self,
        given: Mapping[str, Any] | None = None,
        /,
        *,
        rate: Any = None,
        update: str | Iterable[str] | None = None,
        digits: int = 6,
        decimals: int | None = None,
        full: int = 36,
        seed: int | None = None,
        form: Any = "matrix",
        detail: str = "steps",
        picture: str | None = None,
        **arrays: Any,
    ) -> Worked:
        """The derivation with numbers in every step: forward, backward and the update of the weights.

        Each step is evaluated by itself and compared with its tensor before it is shown.

        Args:
            given: arrays by name, for names that are also options here; others can be given as keywords.
            rate: the step of gradient descent, `w - rate*gradient`, all from the old weights; no update if None.
            update: the names that are updated; every weight if None.
            digits: how many digits of a number are shown, from the first that is not 0.
            decimals: instead of digits, how many places behind the point.
            full: arrays of at most so many entries are printed in full, larger ones by their shape and norm.
            seed: draws what is not given, small and rounded to one decimal.
            form, detail, picture: as for `document`; the picture has the numbers in its boxes.
            arrays: an array, nested lists or a number for each input. Whole numbers, `fractions.Fraction` and text
                such as "1/3" are calculated with exactly as long as every operation is rational, and shown as
                fractions.

        Raises:
            SymgradError: an array is missing, does not fit, or is no array of numbers; there is nothing to update.

        Example:
            >>> import symgrad as sg
            >>> d = sg.derive("x: weight[n]; loss = sum(x**2)/2")
            >>> print(d.worked(x=[3, 4], rate=0.5).text(60).split("Update, ")[1])
            η = 0.5
                 x ← x − η·∂L/∂x
                   = [3, 4] − 0.5·[3, 4] = [1.5, 2]
                 gradient descent: each moves against its gradient by
                   the rate η, all from the old values.
        """
        try:
            return work(
                self.derived, collected(given, arrays), rate=rate, update=update, digits=digits, decimals=decimals,
                full=full, seed=seed, form=form, detail=detail, picture=picture,
            )  # fmt: skip
        except Refusal as problem:
            raise SymgradError(problem.reason) from None

    @cached_property
    def _truth(self) -> grading.Truth:
        """What answers are compared with."""
        return grading.Truth(self.derived)

    def hint(self, name: Key | None = None, level: int = 1) -> Document:
        """Help with a derivative that does not give it away at once.

        Args:
            name: which derivative; not needed if there is one.
            level: 1 says where the variable is used and which rule that calls for, 2 shows the rule in symbols, 3 the
                first line of the derivation.

        Example:
            >>> import symgrad as sg
            >>> d = sg.derive("X: data[n, i]; y: data[n]; w: weight[i]; u = X @ w; loss = mean((u - y)**2)")
            >>> print(d.hint("w", level=2).text())
            Gradient by w
            (1)  u = X @ w
                 ∂L/∂w[i] = Σ_n δ[n]·∂u[n]/∂w[i]
                 chain rule: w is read in one place: take the derivative of the loss by what
                   is computed there, times the derivative of that by w, and sum over the
                   indices that w does not have.
        """
        if name is None:
            name, *more = self.gradients
            if more:
                raise SymgradError(f"there are hints for {listing(map(str, self.gradients))}: say for which")
        _ = self.gradients[name]  # one that is not there is answered in a sentence
        try:
            return grading.hint(self.derived, name, level)
        except Refusal as problem:
            raise SymgradError(problem.reason) from None

    def __str__(self) -> str:
        return self.text()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return explain.mimebundle(self.derived)


@put_off()
def _no_result(problem: np.linalg.LinAlgError) -> SymgradError:
    return SymgradError(f"these numbers have no result: {str(problem).lower()}")


def _with_update(options: dict[str, Any]) -> dict[str, Any]:
    """Options of a document, in which an optimiser with its numbers is a rule."""
    if options.get("optimizer") is None:
        return {name: value for name, value in options.items() if name != "optimizer"}
    own = {name: value for name, value in options.items() if name in _DOCUMENT}
    numbers = {name: value for name, value in options.items() if name not in (*own, "optimizer")}
    return {**own, "update": optimizer(options["optimizer"], **numbers)}


def read_program(
    declaration: str | os.PathLike[str] | Program | Expression,
    sizes: Mapping[str, int] | None = None,
    training: bool = True,
) -> Program:
    """A program from text, from a `.sg` file, from an expression, or as it is.

    A `Path`, or a string of one line that ends in `.sg`, is a file; every other string is the declaration itself.
    """
    if isinstance(declaration, Program):
        return declaration
    (declaration,) = spelled(declaration)
    if not isinstance(declaration, (str, os.PathLike)):
        raise SymgradError(
            "a declaration is text such as 'x: weight[n]; loss = sum(x**2)', the path of a .sg file or an expression, "
            f"not {declaration!r}"
        )
    text = str(declaration)
    if isinstance(declaration, os.PathLike) or ("\n" not in text and text.strip().endswith(".sg")):
        text = read_text(Path(text.strip()))
    return read(text, definitions=DEFINITIONS, sizes=sizes, training=training)


def wanted(program: Program, wrt: Any) -> list[str] | None:
    """The names to differentiate by, or None for every weight, of which there must be one."""
    if wrt is None and not program.role("weight"):
        raise SymgradError(
            f"there is no weight to differentiate by; declare one (`w: weight[i]`), or name what you want: "
            f'wrt=["{next((t.name for t in program.role("data")), "x")}"]'
        )
    return [wrt] if isinstance(wrt, str) else None if wrt is None else _names(wrt)


def _names(wrt: object) -> list[str]:
    given = list(wrt) if isinstance(wrt, Iterable) else [wrt]
    names = [name for name in given if isinstance(name, str)]
    if not names or len(names) < len(given):
        raise SymgradError(f'wrt takes names of tensors, such as wrt=["w", "x"], not {wrt!r}')
    return names


@put_off()
@no_deeper()
def derive(
    declaration: str | os.PathLike[str] | Program | Expression,
    wrt: str | Expression | Iterable[str | Expression] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    training: bool = True,
    weighted: bool = False,
) -> Derivation:
    """Derive the gradient of a loss, exactly, with every step.

    Args:
        declaration: text of the language, the path of a `.sg` file, or an expression made of objects.
        wrt: the names (or the expressions) to differentiate by: weights, data, or computed tensors (the error signal
            of a layer); every weight if None.
        sizes: numbers for size letters; letters without one stay symbolic.
        training: what `training` is in the declaration and in the layers that it uses (dropout, batch_norm).
        weighted: whether each example's terms of the loss are multiplied by `example_weight[n]`, further data.

    Raises:
        SymgradError: the text cannot be read, shapes do not fit, the loss is no scalar, a name is unknown; examples
            cannot be told apart that are to be weighted; one sentence, with the line and a caret.

    Example:
        >>> import symgrad as sg
        >>> d = sg.derive("X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)")
        >>> print(d.gradients["w"])
        2/n * X.T @ (X @ w - y)
    """
    declaration, wrt = spelled(declaration, wrt)
    program = read_program(declaration, sizes, training)
    names = wanted(program, wrt)
    try:
        if weighted:
            program = with_weights(program).program
        return Derivation(run_passes(program, names))
    except Refusal as problem:
        raise complete(problem, program.text) from None
