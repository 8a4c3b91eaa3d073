r"""Derivations for readers: the trace as text, as LaTeX in matrix or index form, and for notebooks.

Everything printed comes from the statements of the trace; nothing is derived here. `names` says how names
look, `formula` what stands on a page, `scripts` how it is written in text and LaTeX, `indices` and `matrices`
what a statement looks like, `story` what is told in which order, `terminal`, `tex` and `marked` set it.
"""

from __future__ import annotations

from symgrad.errors import Refusal, listing
from symgrad.explain import tex
from symgrad.explain.cast import Cast
from symgrad.explain.document import Document
from symgrad.explain.parts import Equation
from symgrad.explain.scripts import CODE
from symgrad.explain.sides import FORMS, Sides
from symgrad.explain.story import DETAILS, Teller
from symgrad.language.trace import Derived, Key

__all__ = [
    "document",
    "latex",
    "markdown",
    "mimebundle",
    "result_equations",
    "result_latex",
    "result_text",
    "text",
]


def document(derived: Derived, form: str = "matrix", detail: str = "steps") -> Document:
    """The derivation as a document, to be written in any format.

    Args:
        form: "matrix" writes what can be with whole arrays; "index" everything with indices.
        detail: "result", "steps" or "everything".
    """
    _among("detail", detail, DETAILS)
    _among("form", form, FORMS)
    return Document(lambda numpy: Teller(derived, form, detail, numpy=numpy).tell())


def text(derived: Derived, width: int = 80, detail: str = "steps", form: str = "matrix") -> str:
    """The derivation for a terminal: forward equations, then one passage for each adjoint, then the results.

    Args:
        width: columns; lines break at operators.
        detail: "result", "steps" or "everything".
        form: "matrix" writes what can be with whole arrays, as NumPy does; "index" everything with indices.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> print(text(derive(read("x: weight[n]; loss = sum(x**2)/2")), detail="result"))
        Forward
        (1)  L = sum(x²)/2
        <BLANKLINE>
        Result
             ∂L/∂x = x
    """
    return document(derived, form, detail).text(width)


def latex(derived: Derived, form: str = "matrix", fragment: bool = True, detail: str = "steps") -> str:
    r"""The derivation as LaTeX.

    Args:
        form: "matrix" (linear algebra; vectors are columns) or "index"; what has no matrix form is in index
            form.
        fragment: the body alone, to `\input` where amsmath is loaded; else a document that pdflatex sets.
        detail: "result", "steps" or "everything".

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> "\\frac{\\partial L}{\\partial x}" in latex(derive(read("x: weight[n]; loss = sum(x**2)")))
        True
    """
    return document(derived, form, detail).latex(fragment)


def result_text(derived: Derived, name: Key, form: str = "matrix") -> str:
    """One gradient as text of the language, with the parts that it needs on lines before it. The last line has
    a left side where letters run in it: that says which letter is which axis.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> d = derive(read("X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)"))
        >>> print(result_text(d, "w"))
        2/n * X.T @ (X @ w - y)
        >>> print(result_text(d, "w", "index"))
        dw[i] = 2/n*sum(n, (sum(i_2, X[n, i_2]*w[i_2]) - y[n])*X[n, i])
    """
    *parts, last = result_equations(derived, name, form)
    left, _, right = last.partition(" = ")
    return "\n".join([*parts, last if "[" in left else right])


def result_equations(derived: Derived, name: Key, form: str = "matrix") -> list[str]:
    """One gradient as equations of the language: the parts that it needs, then the gradient under its
    adjoint's name.

    Ranges of letters that nothing shows are said: `dE[v, d] = sum(n, [v == t[n]], de[n, d]), v < 7`.
    """
    sides, lines = _sides(derived, name, form, numpy=True), []
    for line in sides.result([derived.gradients[name]], code=True):
        ranges = "".join(f", {CODE.line(x)} < {CODE.line(n)}" for x, n in line.said)
        lines.append(f"{CODE.line(line.left)} = {CODE.line(line.right)}{ranges}")
    return lines


def result_latex(derived: Derived, name: Key, form: str = "matrix") -> str:
    """One gradient as LaTeX for math mode, after the parts that it needs."""
    rows: list[str] = []
    for line in _sides(derived, name, form, numpy=False).result([derived.gradients[name]]):
        rows += tex.rows(Equation(line.left, line.right), tex.NARROW, 0.0)[0]
    if len(rows) == 1:
        return rows[0].replace(" &= ", " = ", 1)
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def mimebundle(derived: Derived) -> dict[str, str]:
    """The derivation for a notebook: plain text, LaTeX, and Markdown with one display a passage."""
    return {"text/plain": text(derived), "text/latex": latex(derived), "text/markdown": markdown(derived)}


def markdown(derived: Derived, form: str = "matrix", detail: str = "steps") -> str:
    """The derivation as Markdown with mathematics between dollars, one display a passage.

    Args:
        form, detail: as for `latex`.
    """
    return document(derived, form, detail).markdown()


def _sides(derived: Derived, name: Key, form: str, *, numpy: bool) -> Sides:
    _among("form", form, FORMS)
    if name not in derived.gradients:
        raise Refusal(
            f"there is no gradient by '{name}' here; this derivation has {listing(map(str, derived.gradients))}"
        )
    return Sides(Cast(derived), form, numpy=numpy)


def _among(what: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise Refusal(f"{what}='{given}' is not known here; it is {listing([repr(k) for k in known], 'or')}")
