r"""Derivations for readers: the trace as text, as LaTeX in matrix, index or scalar form, and for notebooks.

Everything printed comes from the statements of the trace; nothing is derived here. `names` says how names
look, `formula` what stands on a page, `scripts` how it is written in text and LaTeX, `indices`, `matrices` and
`scalars` what a statement looks like, `story` what is told in which order, `beside` joins the stories of several
forms, `terminal`, `tex` and `marked` set it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Union

from symgrad.errors import Refusal, listing
from symgrad.explain import tex, updates
from symgrad.explain.beside import together
from symgrad.explain.cast import Cast
from symgrad.explain.document import Document
from symgrad.explain.folding import folded
from symgrad.explain.layout import LAYOUTS
from symgrad.explain.parts import Equation, Story
from symgrad.explain.picture import Drawing, drawing
from symgrad.explain.plan import labels, numbers
from symgrad.explain.scripts import CODE
from symgrad.explain.sides import FORMS, Sides
from symgrad.explain.story import DETAILS, Teller
from symgrad.language import samples
from symgrad.language.trace import Derived, Key
from symgrad.language.updates import Rule

Form = Union[str, Sequence[str]]
Sizes = Union[Mapping[str, int], None]

__all__ = [
    "Document",
    "Drawing",
    "document",
    "drawing",
    "labels",
    "latex",
    "markdown",
    "mimebundle",
    "numbers",
    "result_equations",
    "result_latex",
    "result_text",
    "text",
]


def document(
    derived: Derived,
    form: Form = "matrix",
    detail: str = "steps",
    sizes: Sizes = None,
    picture: str | None = None,
    layout: str = "gradient",
    fold: bool = True,
    update: Rule | None = None,
) -> Document:
    """The derivation as a document, to be written in any format.

    Args:
        form: "matrix" writes what can be with whole arrays; "index" everything with indices; "scalar" every entry.
            Several, such as `("matrix", "index")`, or "all", are shown side by side.
        detail: "result", "steps" or "everything".
        sizes: numbers for size letters that have none yet; the scalar form needs one for each.
        picture: "forward", "backward" or "both": the computational graph in front of the equations.
        layout: "gradient": each gradient has the shape of its variable; "jacobian": in matrix form it is the
            transposed, so that derivatives multiply from left to right.
        fold: whether layers that repeat are told once, for l = 6, ..., 2; not at "everything" and in the scalar form,
            which show all.
        update: how weights are changed; its equations are told behind the gradients.

    Raises:
        Refusal: an unknown form, direction, detail or layout; an update of what has no gradient; for the scalar form a
            size without a number, or too much to write out.
    """
    _among("detail", detail, DETAILS)
    _among("layout", layout, LAYOUTS)
    forms = _forms(form)
    given = _numbers(derived, sizes)
    boxes = "index" if forms == ("index",) else "matrix"
    drawn = () if picture is None else (drawing(derived, picture, boxes).part,)

    def tell(numpy: bool) -> Story:
        written = numpy and layout == "gradient"  # a layout is one of linear algebra
        tellers = [(f, Teller(derived, f, detail, numpy=written, sizes=given, layout=layout)) for f in forms]
        story = together([(f, teller.tell()) for f, teller in tellers])
        if fold and detail != "everything" and "scalar" not in forms:
            story = folded(story, tellers[0][1].cast)
        behind = () if update is None else (updates.passage(tellers[0][1].cast, update),)
        return replace(story, passages=(*drawn, *story.passages, *behind))

    return Document(tell)


def text(
    derived: Derived, width: int = 80, detail: str = "steps", form: Form = "matrix", sizes: Sizes = None
) -> str:
    """The derivation for a terminal: forward equations, then one passage for each adjoint, then the results.

    Args:
        width: columns; lines break at operators.
        detail, form, sizes: as for `document`.

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
    return document(derived, form, detail, sizes).text(width)


def latex(
    derived: Derived, form: Form = "matrix", fragment: bool = True, detail: str = "steps", sizes: Sizes = None
) -> str:
    r"""The derivation as LaTeX.

    Args:
        form: as for `document`; the matrix form is linear algebra, where vectors are columns.
        fragment: the body alone, to `\input` where amsmath is loaded; else a document that pdflatex sets.
        detail, sizes: as for `document`.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> "\\frac{\\partial L}{\\partial x}" in latex(derive(read("x: weight[n]; loss = sum(x**2)")))
        True
    """
    return document(derived, form, detail, sizes).latex(fragment)


def result_text(derived: Derived, name: Key, form: str = "matrix", sizes: Sizes = None) -> str:
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
        >>> print(result_text(d, "w", "scalar", sizes={"n": 1, "i": 2}))
        dw[0] = 2*(X[0, 0]*w[0] + X[0, 1]*w[1] - y[0])*X[0, 0]
        dw[1] = 2*(X[0, 0]*w[0] + X[0, 1]*w[1] - y[0])*X[0, 1]
    """
    *parts, last = result_equations(derived, name, form, sizes)
    left, _, right = last.partition(" = ")
    return "\n".join([*parts, last if "[" in left else right])


def result_equations(derived: Derived, name: Key, form: str = "matrix", sizes: Sizes = None) -> list[str]:
    """One gradient as equations of the language: the parts that it needs, then the gradient under its
    adjoint's name; in the scalar form one for each entry.

    Ranges of letters that nothing shows are said: `dE[v, d] = sum(n, [v == t[n]], de[n, d]), v < 7`.
    """
    sides, lines = _sides(derived, name, form, sizes, numpy=True), []
    for line in sides.answer([derived.gradients[name]], code=True):
        ranges = "".join(f", {CODE.line(x)} < {CODE.line(n)}" for x, n in line.said)
        lines.append(f"{CODE.line(line.left)} = {CODE.line(line.right)}{ranges}")
    return lines


def result_latex(derived: Derived, name: Key, form: str = "matrix", sizes: Sizes = None) -> str:
    """One gradient as LaTeX for math mode, after the parts that it needs."""
    rows: list[str] = []
    for line in _sides(derived, name, form, sizes, numpy=False).answer([derived.gradients[name]]):
        rows += tex.rows(Equation(line.left, line.right), tex.NARROW, 0.0)[0]
    if len(rows) == 1:
        return rows[0].replace(" &= ", " = ", 1)
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def mimebundle(derived: Derived) -> dict[str, str]:
    """The derivation for a notebook: plain text, LaTeX, and Markdown with one display a step."""
    told = document(derived)
    return {
        "text/plain": told.text(),
        "text/latex": told.latex(),
        "text/markdown": told.markdown(github=False),
    }


def markdown(derived: Derived, form: Form = "matrix", detail: str = "steps", sizes: Sizes = None) -> str:
    """The derivation as Markdown with mathematics as GitHub renders it, one display a step.

    Args:
        form, detail, sizes: as for `document`.
    """
    return document(derived, form, detail, sizes).markdown()


def _sides(derived: Derived, name: Key, form: str, sizes: Sizes, *, numpy: bool) -> Sides:
    _among("form", form, FORMS)
    if name not in derived.gradients:
        raise Refusal(
            f"there is no gradient by '{name}' here; this derivation has {listing(map(str, derived.gradients))}"
        )
    return Sides(Cast(derived), form, numpy=numpy, sizes=_numbers(derived, sizes))


def _forms(form: Form) -> tuple[str, ...]:
    """The forms to show, each once."""
    forms = FORMS if form == "all" else (form,) if isinstance(form, str) else tuple(dict.fromkeys(form))
    for f in forms or ("",):
        _among("form", f, FORMS, *(["all"] if isinstance(form, str) else []))
    return forms


def _numbers(derived: Derived, sizes: Sizes) -> dict[str, int]:
    """Numbers for size letters, which must be letters of the program and fit what it needs of them."""
    program = derived.source
    for name, n in (sizes or {}).items():
        if name not in program.sizes:
            known = f"open sizes are {listing(program.sizes)}" if program.sizes else "none is open here"
            raise Refusal(f"there is no size '{name}' to give a number for; {known}")
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise Refusal(f"the size {name} is a whole number of at least 1, not {n!r}")
    given = dict(sizes or {})
    unmet = samples.unmet(program, given) if len(given) == len(program.sizes) else []
    if unmet:
        raise Refusal(unmet[0])
    return given


def _among(what: str, given: str, known: tuple[str, ...], *more: str) -> None:
    if given not in known:
        shown = listing([repr(k) for k in (*known, *more)], "or")
        raise Refusal(f"{what}={given!r} is not known here; it is {shown}")
