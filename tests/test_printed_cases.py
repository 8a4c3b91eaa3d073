"""Every case of `cases`, printed: each result, read as code and read as mathematics, is the gradient that is known."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases, declarations
from reading import Arrays, Reader, Unreadable
from test_cases import agrees

import symgrad as sg
from symgrad import explain
from symgrad.errors import Refusal
from symgrad.explain.cast import Cast
from symgrad.explain.formula import Formula, Product, Sum, Transpose, minus
from symgrad.explain.parts import Passage
from symgrad.explain.sides import FORMS, Line, Sides
from symgrad.language.bind import bind
from symgrad.language.program import rows
from symgrad.language.reader import read
from symgrad.language.reference import run
from symgrad.language.trace import Derived, Key
from symgrad.library import DEFINITIONS
from symgrad.passes.derive import forward
from symgrad.passes.precise import precise

Sizes = Mapping[str, int] | None

CASES = cases()
DECLARED = declarations()
# the first spelling of each problem in the normal run, all of them where there is time
FIRST = list({heading.partition(":")[0]: heading for heading in reversed(DECLARED)}.values())[::-1]
HEADINGS = [*FIRST, *(pytest.param(h, marks=pytest.mark.long) for h in DECLARED if h not in FIRST)]
WRITTEN_OUT = [h if h in FIRST[::20] else pytest.param(h, marks=pytest.mark.long) for h in DECLARED]
# what the language has no words for: equations that run from the last step to the first, values before the first
BACKWARD = (
    "read one another at the same step only",
    "put that line first",
    "nothing tells how far",
    "a negative position is no entry",
)


def given(d: Derived, case: Any) -> dict[str, Any]:
    made = case.make(0)
    return {t.name: made[t.name] for t in d.source.inputs if t.name in made}


@pytest.mark.parametrize("heading", HEADINGS)
def test_printed_gradients(heading: str) -> None:
    """In matrix and index form, what is printed as code, read by the language, and what is printed as mathematics,
    evaluated as mathematics means it, gives what is known."""
    compare(heading, "matrix", "index")


@pytest.mark.parametrize("heading", WRITTEN_OUT)
def test_gradients_written_out(heading: str) -> None:
    """So it does in the scalar form, for the sizes of the case; only one case is too large to be written out."""
    if heading == "nielsen_train_quadratic":
        with pytest.raises(Refusal, match="300 of them for the derivative by"):
            compare(heading, "scalar")
    else:
        compare(heading, "scalar")


def compare(heading: str, *forms: str) -> None:
    case = CASES[heading.partition(":")[0]]
    make = sg.jacobian if case.kind == "jacobian" else sg.derive
    d = make(DECLARED[heading], wrt=case.wrt).derived
    inputs = given(d, case)
    reader = a_reader(d, inputs)
    numbers = {n: k for n, k in bind(d.source, inputs)[0].items() if n in d.source.sizes}
    for name in case.wrt:
        known = case.grad[name](**case.make(0))
        for form in forms:
            sizes = numbers if form == "scalar" else None
            value = reader(mathematics(d, form, name, sizes))[d.gradients[name]]
            agrees(value, known, f"{form}, {name}, as mathematics")
            code = read_back(d, DECLARED[heading], form, name, inputs, sizes)
            if code is None:  # what is read as mathematics above
                assert any(s.scan and s.scan.backward for s in d.program.statements), heading
            else:
                agrees(code, known, f"{form}, {name}, as code")


def read_back(d: Derived, text: str, form: str, name: str, inputs: dict[str, Any], sizes: Sizes) -> Any:
    """The value of the printed lines, read beside the user's own; None of equations that run backward."""
    *above, last = text.splitlines()
    named = re.match(r"\w+(\[[^=]*\])?\s*=[^=]", last)
    bar = d.gradients[name]
    printed = [re.sub(rf"\b{bar}\b", "the_answer", f) for f in explain.result_equations(d, name, form, sizes)]
    assert printed[-1].startswith("the_answer")
    lines = [*above, last if named else f"in_value = {last}", *printed]
    try:
        again = read("\n".join([*lines, "in_all = sum(the_answer)"]), definitions=DEFINITIONS, sizes=sizes)
    except sg.SymgradError as problem:
        if any(why in str(problem) for why in BACKWARD):
            return None
        raise
    with np.errstate(all="ignore"):
        return run(precise(forward(again)), *bind(again, inputs))["the_answer"]


def mathematics(d: Derived, form: str, name: Key, sizes: Sizes = None) -> list[Line]:
    return Sides(Cast(d), form, numpy=False, sizes=sizes).answer([d.gradients[name]])


def a_reader(d: Derived, inputs: dict[str, Any]) -> Callable[[list[Line]], Arrays]:
    """A reader who knows the inputs and what the user named."""
    sizes, arrays = bind(d.source, inputs)
    with np.errstate(all="ignore"):
        values: Arrays = run(rows(precise(d.program)), sizes, arrays)
    known = {
        name: a
        for name, a in values.items()
        if name in d.source.tensors or d.program[name].literal is not None
    }
    parts = {name: a for name, a in values.items() if d.program[name].role != "adjoint"}

    def reads(lines: list[Line]) -> Arrays:
        with np.errstate(all="ignore"):
            return Reader(d.program, sizes, known, parts).read(lines)

    return reads


@pytest.mark.parametrize("form", ["matrix", "index"])
@pytest.mark.parametrize("name", [case.id for case in CASES.values() if case.hess])
def test_printed_hessian_is_the_hessian(name: str, form: str) -> None:
    case = CASES[name]
    for a, b in case.hess:
        d = sg.hessian(DECLARED[name], wrt=list(dict.fromkeys((a, b)))).derived
        value = a_reader(d, given(d, case))(mathematics(d, form, (a, b)))[d.gradients[a, b]]
        agrees(value, case.hess[a, b](**case.make(0)), f"{a} {b}")


# ---------------------------------------------------------------------- the reader notices what is wrong


def changed(f: Any, change: Callable[[Formula], Formula | None]) -> Any:
    """A formula with every part that `change` has another one for replaced."""
    if isinstance(f, tuple):
        return tuple(changed(x, change) for x in f)
    if not hasattr(f, "__dataclass_fields__"):
        return f
    found = change(f)
    if found is not None:
        return found
    return replace(f, **{k: changed(getattr(f, k), change) for k in f.__dataclass_fields__})


FAULTS: dict[str, Callable[[Formula], Formula | None]] = {
    "a transpose": lambda f: f.a if isinstance(f, Transpose) else None,
    "a Hadamard product": lambda f: (
        replace(f, kind="matmul") if getattr(f, "kind", "") == "hadamard" else None
    ),
    "the order of a product": lambda f: (
        replace(f, factors=f.factors[::-1]) if isinstance(f, Product) and f.kind == "matmul" else None
    ),
    "a sign": lambda f: minus(f) if isinstance(f, Product) else None,
    "a term": lambda f: f.terms[0][1] if isinstance(f, Sum) and len(f.terms) > 1 else None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_reader_finds_faults(fault: str) -> None:
    text = "X: data[n, i]\nV: weight[i, j]\nB: data[n, j]\nC: data[n, j]\nL = sum(B*(X @ V)**2 - C*(X @ V))"
    d = sg.derive(text, wrt=["V"]).derived
    (line,) = mathematics(d, "matrix", "V")
    sizes = {"n": 2, "i": 3, "j": 4}
    rng = np.random.default_rng(0)
    shapes = {"X": (2, 3), "V": (3, 4), "B": (2, 4), "C": (2, 4)}
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    right = run(d.program, sizes, arrays)[d.gradients["V"]]
    bar = d.gradients["V"]
    agrees(Reader(d.program, sizes, arrays, {}).read([line])[bar], right, "as it is")
    wrong = replace(line, right=changed(line.right, FAULTS[fault]))
    assert wrong.right != line.right
    try:
        value = Reader(d.program, sizes, arrays, {}).read([wrong])[bar]
    except Unreadable:
        return
    assert not np.allclose(value, right)


# ---------------------------------------------------------------------- pages

SHOWN = [h if h in FIRST[::20] else pytest.param(h, marks=pytest.mark.long) for h in FIRST]


@pytest.mark.parametrize("heading", SHOWN)
def test_pages_of_cases(heading: str) -> None:
    """HTML shows no TeX; Markdown has a block for each step."""
    case = CASES[heading.partition(":")[0]]
    make = sg.jacobian if case.kind == "jacobian" else sg.derive
    d = make(DECLARED[heading], wrt=case.wrt)
    for form in ("matrix", "index"):
        document = d.document(form=form)
        page, markdown = document.html(), document.markdown()
        shown = re.sub(r"<style>.*?</style>|<[^>]*>", "", page, flags=re.DOTALL)
        assert "\\" not in shown
        assert "frac" not in shown
        steps = [
            e
            for p in document.story.passages
            if isinstance(p, Passage)
            for e in p.equations
            if e.left is not None
        ]
        assert markdown.count("```math") == len(steps)


# ---------------------------------------------------------------------- LaTeX

PREAMBLE = "\\documentclass[a4paper]{article}\n\\usepackage{amsmath}\n\\begin{document}\n"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on this machine")
@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("form", FORMS)
def test_latex_of_every_case_fits(tmp_path: Path, form: str, part: int) -> None:
    """Fragments in a plain A4 article: no line is more than 10 points too wide."""
    told: dict[str, str] = {}
    for heading in list(DECLARED)[part::4]:
        case = CASES[heading.partition(":")[0]]
        make = sg.jacobian if case.kind == "jacobian" else sg.derive
        d = make(DECLARED[heading], wrt=case.wrt).derived
        sizes = {n: k for n, k in bind(d.source, given(d, case))[0].items() if n in d.source.sizes}
        with suppress(Refusal):  # too much to be written out
            told[heading] = explain.latex(d, form, sizes=sizes if form == "scalar" else None)
    assert len(told) > 60
    wide = too_wide(tmp_path, told)
    assert not wide, wide


def too_wide(folder: Path, told: dict[str, str]) -> dict[str, float]:
    """By how many points lines of LaTeX fragments leave the page, where it is more than 10."""
    parts = [rf"\typeout{{=== {heading}}}" + "\n" + text for heading, text in told.items()]
    document = (
        PREAMBLE + "\n\n\\clearpage\n".join(parts) + "\n\n\\clearpage\n\\typeout{===}\n\\end{document}\n"
    )
    (folder / "all.tex").write_text(document, encoding="utf-8")
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    wide: dict[str, float] = {}
    for section in re.split(r"^=== ?", done.stdout, flags=re.MULTILINE)[1:]:
        over = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", section)]
        if max(over, default=0) > 10:
            wide[section.splitlines()[0]] = max(over)
    return wide
