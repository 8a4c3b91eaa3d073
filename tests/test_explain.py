"""Derivations: printed results equal the checked gradients, LaTeX compiles, text fits."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad import explain
from symgrad.errors import Refusal
from symgrad.explain.breaking import fold
from symgrad.explain.cast import Cast
from symgrad.explain.formula import (
    ONES,
    Apply,
    Derivative,
    Extent,
    Formula,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Symbol,
    Transpose,
    walk,
)
from symgrad.explain.indices import Indices
from symgrad.explain.latex import LATEX
from symgrad.explain.names import GREEK, escape, mathematical
from symgrad.explain.parts import Passage, spans
from symgrad.explain.scripts import CODE, TEXT
from symgrad.explain.story import Teller
from symgrad.language import expr as ex
from symgrad.language import reference, samples
from symgrad.language.expr import Access, Expr
from symgrad.language.reader import read
from symgrad.language.scalar import scalar
from symgrad.language.trace import Derived
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS
from symgrad.passes.derive import derive

ROOT = Path(__file__).resolve().parent.parent

PROGRAMS = {
    "line": "X: data[n, i]\ny: data[n]\nw: weight[i]\nloss = mean((X @ w - y)**2)",
    "ridge": (
        "X: data[n, i]\ny: data[n]\nw: weight[i]\nlam: constant > 0\n"
        "loss = mean((X @ w - y)**2) + lam*sum(w**2)"
    ),
    "network": (
        "x: data[n, 7]\nt: label[n] < 5\nh = relu(dense(x/16, 6))\nz = dense(h, 5)\n"
        "loss = softmax_cross_entropy(z, t)"
    ),
    "student": (
        "x: data[n, i]\nt: data[n, k] & distribution\nW1: weight[i, j]\nb1: weight[j]\nW2: weight[j, k]\n"
        "b2: weight[k]\nh = tanh(x @ W1 + b1)\np = softmax(h @ W2 + b2)\nloss = -sum(t*log(p))/n"
    ),
    "penalty": (
        "x: data[n, i]\nt: label[n] < 5\nz = dense(tanh(dense(tanh(dense(x, 7)), 6)), 5)\n"
        "loss = softmax_cross_entropy(z, t) + l2(W1, 0.01)"
    ),
    "shared": "W: weight[i, i]\nx: data[n, i]\nh = tanh(x @ W)\ng = tanh(h @ W)\nloss = mean(g**2)",
    "quadratic": "A: weight[i, i]\nx: weight[i]\nloss = x @ A @ x",
    "attention": (
        "q: weight[n, d]\nk: weight[m, d]\nv: weight[m, c]\ns = q @ k.T/sqrt(d)\na = softmax(s)\n"
        "o = a @ v\nloss = sum(o**2)"
    ),
    "norm": (
        "x: weight[n, d]\ng: weight[d]\nmu[n] = mean(i, x[n, i])\nv[n] = mean(i, (x[n, i] - mu[n])**2)\n"
        "y[n, i] = g[i]*(x[n, i] - mu[n])/sqrt(v[n] + 1e-5)\nloss = sum(y**3)"
    ),
    "embedding": (
        "t: label[n] < v\nE: weight[v, d]\ny: data[n, d]\ne[n, d] = E[t[n], d]\nloss = mean((e - y)**2)"
    ),
    "convolution": (
        "x: data[n, c, h, w]\nk: weight[o, c, 3, 3]\n"
        "y[n, o, i, j] = sum(c, p, q, x[n, c, i + p, j + q]*k[o, c, p, q])\n"
        "m[n, o, i, j] = max(p < 2, q < 2, y[n, o, 2*i + p, 2*j + q])\nloss = sum(m**2)"
    ),
    "padded": (
        "x: weight[n]\nw: weight[3]\n"
        "y[i] = sum(p, [0 <= i + p - 1 < n], x[i + p - 1]*w[p]), i < n\nloss = sum(y**2)"
    ),
    "stored": "x: weight[n, k]\nm[n] = max(j, x[n, j]**2)\nloss = sum(m**2)",
    "counted": "t: label[n] < 3\nx: weight[3]\nloss = sum(n, x[t[n]])",
    "flat": "x: weight[n, k]\nloss = mean(x) + n",
    "product": "x: weight[n]\nloss = prod(x)",
    "stopped": "x: weight[n]\ny: data[n]\nloss = sum(stop(x)*x*y)",
    "maximum": "X: weight[n, k]\nloss = sum(n, max(k, X[n, k]))",
    "cases": "x: weight[n]\ny: data[n]\nloss = sum([x > y]*(x - y)**2 + abs(x)*[x < 0 and y > 0])",
    "triangle": "A: weight[n, k]\nloss = sum(i, j, A[i, j]*[i < j])*2",
    "unread": "x: weight[n]\ny: weight[n]\nloss = sum(x) + sum(stop(y))",
    "logits": "z: weight[n]\nt: 0 < data[n] < 1\nloss = binary_cross_entropy_with_logits(z, t)",
    "sigmoid": "z: weight[n]\nt: 0 < data[n] < 1\np = sigmoid(z)\nloss = -mean(t*log(p) + (1 - t)*log(1 - p))",
    "leaves": (
        "x: 0.2 < data[n] < 0.8\nw: weight[n]\nu = w*x\nloss = sum(exp(-u) + log1p(exp(u)) + sqrt(x + u**2) + "
        "logcosh(u) + expm1(u)/(1 + u**2) + atan(u) + softplus(u)**3)"
    ),
    "names": (
        "y_hat: weight[n]\nlam: constant > 0\nstep_size: weight\nX_1: data[n]\nbeta: weight[n]\nα: weight\n"
        "loss = lam*sum((y_hat - X_1*beta)**4)*exp(step_size*α)"
    ),
}
FORMS = ("matrix", "index")
DETAILS = ("result", "steps", "everything")


@cache
def derived(name: str) -> Derived:
    return derive(read(PROGRAMS[name], definitions=DEFINITIONS))


every_program = pytest.mark.parametrize("name", PROGRAMS)
every_form = pytest.mark.parametrize("form", FORMS)


# ---------------------------------------------------------------------- results are the checked gradients


@every_form
@every_program
def test_results_read_back(name: str, form: str) -> None:
    """Each printed gradient, read by the reader beside the user's text, has the value of the derived one."""
    d = derived(name)
    sizes = samples.small_sizes(d.source, 3)
    arrays = samples.inputs(d.source, sizes, np.random.default_rng(0))
    truth = reference.run(d.program, sizes, arrays)
    for weight, bar in d.gradients.items():
        *parts, last = explain.result_equations(d, weight, form)
        answer = [*parts, last.replace(bar, "the_answer", 1), "in_all = sum(the_answer)"]
        again = read("\n".join([PROGRAMS[name], *answer]), definitions=DEFINITIONS)
        value = reference.run(again, sizes, arrays)["the_answer"]
        np.testing.assert_allclose(value, truth[bar], rtol=1e-9, atol=1e-12)


def test_result_is_what_a_textbook_says() -> None:
    assert explain.result_text(derived("line"), "w") == "2/n * X.T @ (X @ w - y)"
    indexed = "dw[i] = 2/n*sum(n, (sum(i_2, X[n, i_2]*w[i_2]) - y[n])*X[n, i])"
    assert explain.result_text(derived("line"), "w", "index") == indexed
    assert explain.result_latex(derived("line"), "w").endswith(r"= \frac{2}{N} \, X^{\top} (X w - y)")
    assert explain.result_text(derived("quadratic"), "x") == "A.T @ x + A @ x"


RNN = "x: data[t, i]; loss = sum(rnn(x, 3)**2)"
JOINED = "x: weight[n]; y: weight[m]; loss = sum(np.concatenate([x, y])**3)"
PADDED = "x: data[t]; w: weight; loss = sum(np.concatenate([w*x, zeros(4)])**3)"


@pytest.mark.parametrize(
    ("text", "by", "first", "last"),
    [
        (RNN, "U1", ["loss_2[-1, j] = 0, j < 3"], "dU1[l, k] = sum(j, dloss_5[j, k]*loss_2[j - 1, l])"),
        (RNN, "W1", ["loss_2[-1, j] = 0, j < 3"], "x.T @ dloss_5"),
        (JOINED, "x", ["loss_1[n] = x[n]", "loss_1[n + j] = y[j]"], "dx[k] = 3*loss_1[k]**2, k < n"),
        (JOINED, "y", ["loss_1[n] = x[n]", "loss_1[n + j] = y[j]"], "dy[j] = dloss_1[n + j], j < m"),
        (PADDED, "w", ["loss_1[t] = w*x[t]", "loss_1[t + j] = 0, j < 4"], "3*sum(k < t, loss_1[k]**2*x[k])"),
    ],
)
def test_results_say_their_places(text: str, by: str, first: list[str], last: str) -> None:
    """Each writer of a part has its own line, and letters that run in a result stand on its left side."""
    d = derive(read(text, definitions=DEFINITIONS))
    told = explain.result_text(d, by).splitlines()
    assert told[: len(first)] == first
    assert told[-1] == last


@every_form
@pytest.mark.parametrize(("text", "by"), [(JOINED, "x"), (JOINED, "y"), (PADDED, "w")])
def test_results_of_joined_parts_read_back(text: str, by: str, form: str) -> None:
    """Without the user's equations, the printed lines alone give the value of the derived gradient."""
    d = derive(read(text, definitions=DEFINITIONS))
    sizes = samples.small_sizes(d.source, 3)
    arrays = samples.inputs(d.source, sizes, np.random.default_rng(0))
    truth = reference.run(d.program, sizes, arrays)[d.gradients[by]]
    declared = "\n".join(line for line in str(d.source).splitlines() if ":" in line.partition("=")[0])
    answer = "\n".join(explain.result_equations(d, by, form)).replace(d.gradients[by], "the_answer")
    again = read("\n".join([declared, answer, "in_all = sum(the_answer)"]), definitions=DEFINITIONS)
    np.testing.assert_allclose(reference.run(again, sizes, arrays)["the_answer"], truth, rtol=1e-9)


def test_softmax_reads_as_in_textbooks() -> None:
    told = explain.latex(derived("student"))
    assert r"\frac{p - t}{N} \tag{" in told
    attention = explain.latex(derived("attention"), "index")
    one, each = (rf"\sum_{{c}} \delta^{{o}}_{{n c}} v_{{{j} c}}" for j in ("j", "j'"))
    weighted = rf"\biggl({one} - \sum_{{j'}} \biggl({each}\biggr) \, "
    assert rf"{weighted}a_{{n j'}}\biggr) a_{{n j}}" in attention


def test_error_signals_on_request() -> None:
    text = PROGRAMS["student"].replace("p = softmax(h @ W2 + b2)", "z = h @ W2 + b2\np = softmax(z)")
    d = derive(read(text, definitions=DEFINITIONS), ["z"])
    assert explain.result_text(d, "z") == "(p - t)/n"
    assert "Error signal of z: δz = ∂L/∂z" in explain.text(d)


def test_unknown_requests_are_refused() -> None:
    d = derived("line")
    for bad in (
        lambda: explain.text(d, detail="all"),
        lambda: explain.latex(d, "tensor"),
        lambda: explain.result_text(d, "X"),
        lambda: explain.result_latex(d, "w", "tensor"),
    ):
        with pytest.raises(Refusal, match=r"is not known here|there is no gradient"):
            bad()


# ---------------------------------------------------------------------- the story


@every_form
@every_program
def test_every_step_is_told(name: str, form: str) -> None:
    """At "everything" each step of the trace stands under its number, as an equation or with its reason."""
    d = derived(name)
    story = Teller(d, form, "everything").tell()
    equations = {n for p in story.passages for e in p.equations for n in e.numbers}
    remarks = {n for p in story.passages for r in p.remarks for n in r.numbers}
    told = equations | remarks
    assert told == {*explain.labels(d).values(), *explain.numbers(d).values()}


@every_program
def test_final_statements_are_shown(name: str) -> None:
    """At "steps" each gradient's last step, which generated code cites, has its equation."""
    d = derived(name)
    story = Teller(d).tell()
    numbers = {n for p in story.passages for e in p.equations for n in e.numbers}
    for bar in d.gradients.values():
        last = max((s.number for s in d.steps if any(e.out == bar for e in s.equation)), default=0)
        assert explain.labels(d)[last] in numbers


def test_transposes_have_reasons() -> None:
    told = " ".join(explain.text(derived("line")).split())
    assert (
        "n is summed, so it stands inside a product of matrices; in X it is the first axis, hence Xᵀ" in told
    )
    assert r"in $X$ it is the first axis, hence $X^{\top}$" in explain.latex(derived("line"))


def test_derivatives_of_leaves_have_their_convention() -> None:
    assert "slope 0 at 0" in " ".join(explain.text(derived("network")).split())


def test_made_up_names_are_not_shown() -> None:
    for name in PROGRAMS:
        d = derived(name)
        unnamed = [t.name for t in d.program.tensors.values() if not t.named]
        for told in (explain.text(d), explain.text(d, form="index")):
            body = told.split("\n\n", 1)[1]
            assert not [n for n in unnamed if re.search(rf"(?<![\w`]){n}(?!\w)", body)], name


@pytest.mark.parametrize("width", [46, 80])
@pytest.mark.parametrize("detail", DETAILS)
@every_program
def test_text_fits(name: str, width: int, detail: str) -> None:
    for form in FORMS:
        for line in explain.text(derived(name), width, detail, form).splitlines():
            # one name with its index may be longer than a narrow line leaves room for
            assert len(line) <= width or len(line.split()) <= 4, line
            assert line == line.rstrip()


def test_numbers_stand_in_a_column() -> None:
    told = explain.text(derived("network"))
    ends = {line.index(")") for line in told.splitlines() if re.match(r" *\(\d+\)  ", line)}
    assert len(ends) == 1


def test_spans() -> None:
    assert spans([], "-") == []
    assert spans(["9", "7", "8", "3", "4"], "-") == ["3", "4", "7-9"]
    assert spans(["8", "7b", "7", "7a", "7c", "12z", "12aa", "12ab"], "-") == ["7a-7c", "7", "8", "12z-12ab"]


def test_depth_costs_linearly() -> None:
    """The story of a network is as long as the network is deep, and told without hanging."""
    lengths = []
    for depth in (10, 20, 30):
        layers = [f"h{k + 1} = tanh(dense(h{k}, 5))" for k in range(depth)]
        text = "\n".join(["h0: data[n, 5]", *layers, f"loss = sum(h{depth}**2)"])
        story = Teller(derive(read(text, definitions=DEFINITIONS))).tell()
        lengths.append(sum(len(p.equations) for p in story.passages))
    assert lengths[2] - lengths[1] == lengths[1] - lengths[0]


# ---------------------------------------------------------------------- LaTeX

MACROS = {
    "textasciitilde", "textbackslash", "char", "hspace", "mbox", "leavevmode", "nopagebreak",
    "circ", "in", "pm", "surd", "leftarrow", "Vert", "ell", "ldots",
    *(m[1:] for m in GREEK.values()),
    "ss", "ae", "AE", "oe", "OE", "o", "O", "l", "L", "i", "Sigma", "Pi", "infty", "to", "times", "nabla", "approx",
    "paragraph", "begin", "end", "tag", "frac", "sum", "prod", "max", "min", "log", "sqrt", "sin", "cos",
    "tan", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "exp", "operatorname", "mathrm",
    "mathbf", "text", "texttt", "emph", "small", "par", "quad", "substack", "partial", "top", "odot",
    "oslash", "cdot", "lVert", "rVert", "lvert", "rvert", "lfloor", "rfloor", "bmod", "le", "ge", "neq",
    "land", "lor", "lnot", "biggl", "biggr", "Bigl", "Bigr", "sigma", "alpha", "beta", "delta", "lambda",
    "mu", "varepsilon", "pi", "hat", "ensuremath", "documentclass", "usepackage", "setlength",
    "section", "ttfamily", "raggedright", "strut", "sloppy", "tabularnewline", "hline", "lt", "gt", "vert",
    "textwidth", "textheight", "abovedisplayskip", "belowdisplayskip",
    "headheight", "headsep", "footskip", "jot", "makeatletter", "makeatother", "renewcommand", "normalfont",
    "normalsize", "bfseries", "oddsidemargin", "topmargin", "parindent", "parskip", "allowdisplaybreaks",
    "linewidth", "noindent", "hfill",
}  # fmt: skip


def faults(latex: str) -> list[str]:
    """Unknown macros, braces and environments that do not match, what pdflatex has no glyph for."""
    found = [f"\\{m}" for m in re.findall(r"\\([A-Za-z]+)", latex) if m not in MACROS]
    depth = 0
    for c in re.sub(r"\\[{}\\]", "", latex):
        depth += (c == "{") - (c == "}")
        if depth < 0:
            break
    found += ["braces"] if depth else []
    stack: list[str] = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+\*?)\}", latex):
        if what == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            found.append(f"\\end{{{name}}}")
    found += [f"\\begin{{{name}}}" for name in stack]
    found += [c for c in latex if not c.isascii()]
    return found + re.findall(r"(?<!\\)[#%&_^]{2,}", latex.replace("&&", ""))


def test_faults_are_found() -> None:
    assert faults(r"\frac{a}{b}") == []
    for bad in (
        r"\foo",
        "{",
        "}{",
        r"\begin{a}",
        r"\end{a}",
        r"\begin{a}\begin{b}\end{a}\end{b}",
        "é",
        "x__y",
    ):
        assert faults(bad), bad


@every_form
@every_program
def test_latex_is_well_formed(name: str, form: str) -> None:
    d = derived(name)
    for detail in DETAILS:
        assert faults(explain.latex(d, form, detail=detail)) == []
        assert faults(explain.latex(d, form, fragment=False, detail=detail)) == []
    for weight in d.gradients:
        assert faults(explain.result_latex(d, weight, form)) == []


@every_program
def test_markdown(name: str) -> None:
    bundle = explain.mimebundle(derived(name))
    assert set(bundle) == {"text/plain", "text/latex", "text/markdown"}
    displays = re.findall(r"^\$\$\n(.*?)\n\$\$$", bundle["text/markdown"], re.MULTILINE | re.DOTALL)
    assert displays
    assert [f for display in displays for f in faults(display)] == []


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on this machine")
@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("fragment", [True, False])
def test_latex_compiles(tmp_path: Path, fragment: bool, detail: str) -> None:
    """All programs in one document: a fragment in a plain A4 article, or in the document's own width."""
    parts = []
    preamble = "\\documentclass[a4paper]{article}\n\\usepackage{amsmath}\n\\begin{document}\n"
    for name in PROGRAMS:
        for form in FORMS:
            told = explain.latex(derived(name), form, fragment, detail)
            if not fragment:
                begin, body = told.split("\\begin{document}\n")
                preamble, told = f"{begin}\\begin{{document}}\n", body.split("\\end{document}")[0]
            parts.append(told)
    document = preamble + "\n\\clearpage\n".join(parts) + "\n\\end{document}\n"
    (tmp_path / "all.tex").write_text(document, encoding="utf-8")
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", done.stdout)]
    assert max(wide, default=0) <= 10


TWO_HIDDEN = (
    "x: data[n, 8]\nt: label[n] < 4\nh = relu(dense(x, 7))\ng = tanh(dense(h, 6))\nz = dense(g, 4)\n"
    "loss = softmax_cross_entropy(z, t)"
)
BY_HAND = (
    "X: data[n, 8]\nt: label[n] < 4\nW1: weight[8, 7]\nb1: weight[7]\nW2: weight[7, 6]\nb2: weight[6]\n"
    "W3: weight[6, 4]\nb3: weight[4]\nh1 = relu(X @ W1 + b1)\nh2 = tanh(h1 @ W2 + b2)\nz = h2 @ W3 + b3\n"
    "loss = softmax_cross_entropy(z, t)"
)


@pytest.mark.parametrize("text", [TWO_HIDDEN, BY_HAND])
def test_two_hidden_layers_are_told_layer_by_layer(text: str) -> None:
    """Few equations, the error signals by the numbers of the layers, whether these are called or written out."""
    d = derive(read(text, definitions=DEFINITIONS))
    story = Teller(d).tell()
    headings = ["".join(map(str, p.heading[:1])) for p in story.passages]  # type: ignore[union-attr]
    assert headings == ["Forward", "Layer 3: ", "Layer 2: ", "Layer 1: "]
    told = " ".join(explain.latex(d).split())
    if text == TWO_HIDDEN:
        assert r"\delta^{(2)} &= (\delta^{(3)} W^{(3)\top}) \odot (1 - g^{\odot 2})" in told
        assert r"\frac{\partial L}{\partial W^{(2)}} &= h^{\top} \delta^{(2)}" in told
        assert r"\frac{\partial L}{\partial b^{(2)}} &= \delta^{(2)\top} \mathbf{1}" in told
    assert len(explain.text(d, 100).splitlines()) < 62


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [*PROGRAMS, "two hidden"])
def test_numbers_are_dense(name: str, form: str) -> None:
    """At "steps" equations are numbered 1, 2, ... in the order in which they are read."""
    d = derive(read(TWO_HIDDEN, definitions=DEFINITIONS)) if name == "two hidden" else derived(name)
    story = Teller(d, form).tell()
    numbers = [n for p in story.passages for e in p.equations for n in e.numbers]  # type: ignore[union-attr]
    assert list(dict.fromkeys(numbers)) == [str(k + 1) for k in range(len(set(numbers)))]
    main = {label for label in explain.numbers(d).values() if label.isdigit()}
    assert set(numbers) == main


@pytest.mark.parametrize("name", [*PROGRAMS, "two hidden"])
def test_what_a_form_does_has_a_reason(name: str) -> None:
    """In matrix form each passage of the derivation says why it transposes, sums and multiplies entry by entry."""
    d = derive(read(TWO_HIDDEN, definitions=DEFINITIONS)) if name == "two hidden" else derived(name)
    for p in Teller(d, detail="everything").tell().passages:
        assert isinstance(p, Passage)
        if p.forward or p.heading == ("Result",):
            continue
        rules = {r.rule for r in p.remarks}
        parts = [x for e in p.equations if e.statements for x in walk(e.right)]
        if any(isinstance(x, Transpose) and x.a != ONES for x in parts):
            assert rules & {"matrix product", "transpose", "symmetry", "repetition", "chain rule"}, p
        if any(isinstance(x, Product) and x.kind == "hadamard" for x in parts):
            assert "entry by entry" in rules, p
        sums = [s for e in p.equations for s in e.statements if s.reduced and d.tensors[s.out].of]
        if sums and sums[0].out in d.program.tensors:
            assert rules & {"sum", "matrix product", "change of letters", "look-up"}, p


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex on this machine")
@pytest.mark.parametrize("text", [TWO_HIDDEN, BY_HAND])
def test_two_hidden_layers_fit_a_page(tmp_path: Path, text: str) -> None:
    told = explain.latex(derive(read(text, definitions=DEFINITIONS)), fragment=False)
    (tmp_path / "page.tex").write_text(told, encoding="utf-8")
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert "(1 page," in done.stdout.replace("\n", " ")


# ---------------------------------------------------------------------- layouts


class MatrixValue:
    """The value of a formula of linear algebra: vectors are columns, `turned` symbols hold the transposed."""

    def __init__(self, values: dict[str, np.ndarray], turned: set[str]):
        self.values, self.turned = values, turned

    def __call__(self, f: Formula) -> np.ndarray:
        match f:
            case Extent(code):
                return np.array([[float(self.values[code])]])
            case Symbol() if f == ONES:
                return np.ones((self.values["n"], 1))
            case Symbol(code) | Derivative(_, _, code):
                a = np.asarray(self.values[code], float)
                a = a.reshape(len(a), 1) if a.ndim == 1 else np.atleast_2d(a)
                return a.T if code in self.turned else a
            case Number(v):
                return np.array([[float(v)]])
            case Sum(terms):
                return sum((-self(t) if sign else self(t)) for sign, t in terms)  # type: ignore[return-value]
            case Product(factors, "matmul"):
                return functools.reduce(np.matmul, map(self, factors))
            case Product(factors, _):
                return functools.reduce(np.multiply, map(self, factors))
            case Quotient(a, b, _):
                return self(a) / self(b)
            case Power(a, b, _):
                return self(a) ** self(b)
            case Transpose(a):
                return self(a).T
            case Apply("exp", (a,)):
                return np.exp(self(a))
        raise TypeError(f)


@pytest.mark.parametrize("layout", ["gradient", "jacobian"])
@pytest.mark.parametrize("name", ["line", "ridge", "shared", "quadratic", "penalty"])
def test_layouts_have_the_value_of_the_gradient(name: str, layout: str) -> None:
    """Each equation of a whole gradient, evaluated as linear algebra, is the derived array, or its transposed."""
    d = derived(name)
    sizes = samples.small_sizes(d.source, 3)
    values = {
        **sizes,
        **reference.run(d.program, sizes, samples.inputs(d.source, sizes, np.random.default_rng(0))),
    }
    values |= samples.inputs(d.source, sizes, np.random.default_rng(0))
    turned = (
        {t.name for t in d.program.tensors.values() if t.role == "adjoint"} if layout == "jacobian" else set()
    )
    seen = set()
    for p in Teller(d, layout=layout).tell().passages:
        assert isinstance(p, Passage)
        left = None
        for e in p.equations:
            left = e.left or left
            if isinstance(left, (Symbol, Derivative)) and not getattr(left, "index", ()) and e.statements:
                code = left.code
                if code not in values or d.tensors[code].role != "adjoint" or e.statements[0].out != code:
                    continue
                right = MatrixValue(values, turned)(e.right)
                np.testing.assert_allclose(right, MatrixValue(values, turned)(left), rtol=1e-9, atol=1e-12)
                seen.add(code)
    assert seen >= set(d.gradients.values()) or name == "penalty"
    assert seen


def test_layouts_read_as_in_textbooks() -> None:
    told = explain.document(derived("line"), layout="jacobian").latex()
    assert r"= \frac{2}{N} \, (X w - y)^{\top} X" in told
    assert "Jacobian (numerator) layout" in told
    with pytest.raises(Refusal, match="layout"):
        explain.document(derived("line"), layout="rows")


# ---------------------------------------------------------------------- names


@given(st.text(max_size=30))
def test_escape(text: str) -> None:
    """No character of a user acts as LaTeX: what is left beside our own macros and their braces is plain."""
    plain = escape(text)
    assert plain.isascii()
    rest = re.sub(r"\\[{}$&#%_]", "", plain)
    rest = re.sub(r"\\ensuremath\{(?:[^{}]|\{[^{}]*\})*\}|\\text[a-z]+\{\}", "", rest)
    rest = re.sub(r"\\[`'^~\"=.cvrHu]\{(?:\w|\\[ij])?\}", "", rest)
    rest = re.sub(r"U\+[0-9A-F]{4,6}\{\}|\\(?:ss|ae|AE|oe|OE|o|O|l|L|i)\{\}|(?<=[-'`,<>}])\{\}|~", "", rest)
    assert not set("\\{}$&#%_^~") & set(rest)


def test_names_keep_their_look() -> None:
    for name, indexed, latex in (
        ("W1", True, "W^{(1)}"),
        ("W1", False, "W_1"),
        ("W12", False, "W_{12}"),
        ("y_hat", True, r"\hat{y}"),
        ("y_hat_2", True, r"\hat{y}^{(2)}"),
        ("lam", False, r"\lambda"),
        ("beta1", False, r"\beta_1"),
        ("Sigma", True, r"\Sigma"),
        ("logits", True, r"\mathrm{logits}"),
        ("y_true", True, r"y^{\mathrm{true}}"),
        ("y_true", False, r"y_{\mathrm{true}}"),
        ("enc_W", True, r"W^{\mathrm{enc}}"),
        ("α", False, r"\alpha"),
        ("_", False, r"\mathrm{\_}"),
    ):
        assert mathematical(name, indexed) == latex


def test_names_never_look_alike() -> None:
    text = (
        "W1: weight[n]\nW_1: weight[n]\nL: weight[n]\nα: weight\nalpha: weight\nloss = sum(W1*W_1*L)*α*alpha"
    )
    names = Cast(derive(read(text))).names
    looks = [s.latex for s in names.symbols.values()]
    assert len(set(looks)) == len(looks)
    assert names.symbols["loss"].text == "loss"


# ---------------------------------------------------------------------- brackets, by reading them back

LETTERS = ("a", "b", "c")
SCALARS = read("a: weight\nb: weight\nc: weight\nloss = a*b*c")
ONE_PLACE = {"exp": np.exp, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "atan": np.arctan}


def trees() -> st.SearchStrategy[Expr]:
    numbers = st.sampled_from([Fraction(n, 12) for n in (-36, -12, 24, 60, 6, -8, 3)])
    leaf = st.one_of(st.sampled_from([Access(x, ()) for x in LETTERS]), numbers.map(ex.Num))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda p: ex.add(*p)),
            st.tuples(inner, inner).map(lambda p: ex.add(p[0], ex.mul(-1, p[1]))),
            st.tuples(inner, inner).map(lambda p: ex.mul(*p)),
            st.tuples(inner, inner).map(lambda p: p[0] / (p[1] if p[1] != ex.ZERO else ex.ONE)),
            st.tuples(inner, st.sampled_from([2, 3, -1, -2])).map(
                lambda p: p[0] ** p[1] if p[0] != ex.ZERO else p[0]
            ),
            st.tuples(st.sampled_from(sorted(ONE_PLACE)), inner).map(lambda p: ex.call(p[0], p[1])),
        ),
        max_leaves=9,
    )


def value(e: Expr, at: dict[str, float]) -> float:
    match e:
        case ex.Num(v):
            return float(v)
        case Access(name, _):
            return at[name]
        case ex.Add(args):
            return sum(value(a, at) for a in args)
        case ex.Mul(args):
            return float(np.prod([value(a, at) for a in args]))
        case ex.Pow(a, b):
            return float(np.power(value(a, at), value(b, at)))
        case ex.Call(name, (a,)):
            return float(getattr(np, LEAVES[name].run)(value(a, at)))
    raise TypeError(e)


class LatexValue:
    """The value of a scalar formula in LaTeX, read as a mathematician reads it: the judge of our brackets."""

    def __init__(self, text: str, at: dict[str, float]):
        text = re.sub(r"\\[Bb]igg?[lr]|\\,|\\quad|\{\}", " ", text)
        self.words = re.findall(r"\\[A-Za-z]+|\d+(?:\.\d+)?|[a-z]|[-+^_(){}]", text)
        self.at, self.k = at, 0

    def peek(self) -> str:
        return self.words[self.k] if self.k < len(self.words) else ""

    def take(self, expected: str = "") -> str:
        word = self.peek()
        assert word
        assert not expected or word == expected, (word, expected, self.words)
        self.k += 1
        return word

    def sum(self) -> float:
        negative = self.peek() == "-" and bool(self.take())
        total = -self.product() if negative else self.product()
        while self.peek() in ("+", "-"):
            total += self.product() if self.take() == "+" else -self.product()
        return total

    def product(self) -> float:
        total = self.power()
        while self.peek() not in ("", "+", "-", ")", "}"):
            if self.peek() == r"\cdot":
                self.take()
            total *= self.power()
        return total

    def power(self) -> float:
        base = self.atom()
        if self.peek() == "^":
            self.take()
            base = float(np.power(base, self.group()))
            assert self.peek() != "^"
        return base

    def group(self) -> float:
        self.take("{")
        inner = self.sum()
        self.take("}")
        return inner

    def atom(self) -> float:
        word = self.take()
        functions: dict[str, Callable[[float], float]] = {rf"\{name}": f for name, f in ONE_PLACE.items()}
        functions |= {r"\arctan": np.arctan}
        if word == "(":
            inner = self.sum()
            self.take(")")
            return inner
        if word == r"\frac":
            top = self.group()
            return float(np.divide(top, self.group()))
        if word == "e":
            self.take("^")
            return float(np.exp(self.group()))
        if word in functions:
            self.take("(")
            inner = self.sum()
            self.take(")")
            return float(functions[word](inner))
        return self.at[word] if word in self.at else float(word)


@settings(max_examples=300, deadline=None)
@given(trees())
def test_brackets(e: Expr) -> None:
    """A formula printed in any script, read back, has the value of the expression."""
    at = {"a": 1.25, "b": -0.75, "c": 2.5}
    formula = Indices(Cast(derive(SCALARS)).names, {}).expr(e, [])
    with np.errstate(all="ignore"):
        truth = value(e, at)
        code = value(scalar(CODE.line(formula), {x: Access(x, ()) for x in LETTERS}), at)
        reader = LatexValue(LATEX.line(formula), at)
        latex = reader.sum()
        assert not reader.peek()
    if np.isfinite(truth) and abs(truth) < 1e6:
        assert code == pytest.approx(truth, rel=1e-6, abs=1e-9)
        assert latex == pytest.approx(truth, rel=1e-6, abs=1e-9)
    assert TEXT.line(formula).count("(") == TEXT.line(formula).count(")")


@settings(max_examples=100, deadline=None)
@given(trees(), st.integers(20, 70))
def test_lines_break_without_loss(e: Expr, width: int) -> None:
    formula = Indices(Cast(derive(SCALARS)).names, {}).expr(e, [])
    lines = fold(TEXT.write(formula), width)
    assert "".join(lines).replace(" ", "") == TEXT.line(formula).replace(" ", "")
    for line in fold(LATEX.write(formula), 5.0 * width):
        assert line.count("{") == line.count("}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # read twice, at W[n, j] and at W[j, n]
        (
            "W: weight[n, n]; x: data[n]; y = (W + W.T) @ x; loss = sum(y**2)",
            "∂L/∂W[n, j] = Σ_n′ δ[n′]·∂y[n′]/∂W[n, j]",
        ),
        # defined by an equation: every entry depends on every other
        (
            "X: weight[n, n]; b: constant[n]; loss = b @ inv(X) @ b",
            "∂L/∂X[n, k] = Σ_(n′,l) δ[n′, l]·∂u[n′, l]/∂X[n, k]",
        ),
        (
            "X: data[n, i]; W: weight[i, j]; h = X @ W; loss = sum(h**2)",
            "∂L/∂W[i, j] = Σ_n δ[n, j]·∂h[n, j]/∂W[i, j]",
        ),
    ],
)  # fmt: skip
def test_the_chain_rule_in_symbols_sums_over_all_that_the_entry_moves(text: str, line: str) -> None:
    assert line in explain.text(derive(read(text)), detail="everything")


@pytest.mark.parametrize("detail", ["steps", "everything", "result"])
def test_no_letter_is_compared_with_a_size_of_its_name(detail: str) -> None:
    lstm = "x: data[n, t, 3]; y: data[n, 2]; h = lstm(x, 2); loss = mean((h[:, t - 1, :] - y)**2)"
    told = explain.text(derive(read(lstm, definitions=DEFINITIONS)), detail=detail)
    assert not re.search(r"\[(\w+)( [+−] 1)? [<=] \1(?![\w′])", told), told


def test_why_a_look_up_flows_back_with_a_bracket() -> None:
    told = explain.text(derive(read("t: label[n] < v; E: weight[v, d]; h = E[t]; loss = sum(h**2)")))
    assert "[k = t[n]]·δ[n, d]" in told and "read at the position t[n] flows back" in " ".join(told.split())


@pytest.mark.parametrize(
    ("loss", "signal", "result"),
    [
        ("sum((X @ W + b - Y)**2)/2", "sum(δ, axis=0)", "sum(X @ W + b - Y, axis=0)"),
        ("mean((b + X @ W - Y)**2)", "sum(δ, axis=0)", "2/(k*n)*sum(b + X @ W - Y, axis=0)"),
        ("sum((Y - X @ W - b)**2)/n", "sum(δ, axis=0)", "2/n*sum(X @ W + b - Y, axis=0)"),
        ("sum((X @ W - b - Y)**2)/2", "−sum(δ, axis=0)", "-sum(X @ W - b - Y, axis=0)"),
    ],
)
def test_a_bias_reads_the_error_signal(loss: str, signal: str, result: str) -> None:
    """What flows back to a bias that stands inside the loss is the error signal, in whatever order it is added."""
    d = sg.derive(f"X: data[n, i]; Y: data[n, k]; W: weight[i, k]; b: weight[k]; loss = {loss}")
    assert f"∂L/∂b = {signal}\n" in d.text()
    assert d.gradients["b"].text() == result
    assert [s.rule for s in d.steps].count("signal") == 1
    assert d.check().ok
