"""Worked numbers: published figures come out, every step gives the value of its tensor, and a fault is caught."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from reading import Reader, Whole
from test_explain import PROGRAMS, derived

import symgrad as sg
from symgrad import cli, explain
from symgrad.errors import Refusal
from symgrad.explain.cast import Cast
from symgrad.explain.formula import Relation
from symgrad.explain.numbered import Numbering, Rounding
from symgrad.explain.parts import Passage
from symgrad.explain.scripts import TEXT
from symgrad.explain.story import Teller
from symgrad.explain.values import Values, Wrong
from symgrad.language import expr as ex
from symgrad.language import samples
from symgrad.language.trace import Derived
from symgrad.worked import read_values

# M. Mazur, "A Step by Step Backpropagation Example" (2015), in two ways of writing
MATRICES = """
x: data[i]
t: data[k]
W1: weight[j, i]
b1: constant
W2: weight[k, j]
b2: constant
h = sigmoid(W1 @ x + b1)
o = sigmoid(W2 @ h + b2)
loss = sum((t - o)**2)/2
"""
MATRIX_NUMBERS: dict[str, Any] = {
    "x": [0.05, 0.10], "t": [0.01, 0.99], "b1": 0.35, "b2": 0.60,
    "W1": [[0.15, 0.20], [0.25, 0.30]], "W2": [[0.40, 0.45], [0.50, 0.55]],
}  # fmt: skip
SCALARS = "\n".join(
    [
        *(f"{name}: data" for name in ("i1", "i2", "t1", "t2")),
        *(f"w{k}: weight" for k in range(1, 9)),
        "b1: constant\nb2: constant",
        "h1 = sigmoid(w1*i1 + w2*i2 + b1)",
        "h2 = sigmoid(w3*i1 + w4*i2 + b1)",
        "o1 = sigmoid(w5*h1 + w6*h2 + b2)",
        "o2 = sigmoid(w7*h1 + w8*h2 + b2)",
        "loss = (t1 - o1)**2/2 + (t2 - o2)**2/2",
    ]
)
SCALAR_NUMBERS = {
    "i1": 0.05, "i2": 0.10, "t1": 0.01, "t2": 0.99, "b1": 0.35, "b2": 0.60,
    **{f"w{k}": (10 + 5*k)/100 if k < 5 else (15 + 5*k)/100 for k in range(1, 9)},
}  # fmt: skip

MORE = {
    "recurrence": lambda: sg.derive(
        "x: data[n, t, i]; h0: data[n, k]; W: weight[i, k]; U: weight[k, k]; b: weight[k]; y: data[n, t, k]\n"
        "h[n, -1, k] = h0[n, k]\n"
        "h[n, t, j] = tanh(sum(i, x[n, t, i]*W[i, j]) + sum(k, h[n, t - 1, k]*U[k, j]) + b[j])\n"
        "loss = mean((h - y)**2)"
    ),
    "implicit": lambda: sg.derive("A: weight[n, n]; b: data[n]; loss = logdet(A) + sum(solve(A, b)**2)"),
    "added": lambda: sg.derive(
        "x: weight[n]; y: weight[m]\ns: zeros[n + m]\ns[i] += x[i]\ns[n + j] += y[j]\nloss = sum(s**3)"
    ),
    "hessian": lambda: sg.hessian("X: data[n, i]; y: data[n]; w: weight[i]; loss = mean(tanh(X @ w - y)**2)"),
    "jacobian": lambda: sg.jacobian("z: weight[k]; softmax(z)"),
    "hvp": lambda: sg.hvp("x: weight[n]; loss = sum(x**3)"),
    "per example": lambda: sg.per_example(
        "X: data[n, i]; y: data[n]; w: weight[i]; loss = sum((X @ w - y)**2)/2"
    ),
    "stack": lambda: sg.jacobian("W: weight[i, j]; x: data[n, i]; tanh(x @ W)"),
    "draws": lambda: sg.derive("x: data[n, 3]; h = dropout(dense(x, 4)); loss = sum(h**3)"),
}  # fmt: skip


@cache
def told(name: str) -> Derived:
    return derived(name) if name in PROGRAMS else MORE[name]().derived


def values(d: Derived) -> Values:
    sizes = samples.small_sizes(d.source)
    return Values(d, samples.inputs(d.source, sizes, np.random.default_rng(0)))


# ---------------------------------------------------------------------- published figures


def test_two_layer_example_with_matrices() -> None:
    w = sg.derive(MATRICES).worked(MATRIX_NUMBERS, rate=0.5, digits=9)
    assert f"{w.loss:.9f}" == "0.298371109"
    assert f"{w.updated['W2'][0, 0]:.8f}" == "0.35891648"
    assert f"{w.updated['W1'][0, 0]:.9f}" == "0.149780716"
    # the other published weights: w6, w7, w8 and w2, w3, w4
    assert np.allclose(
        w.updated["W2"], [[0.35891648, 0.408666186], [0.511301270, 0.561370121]], atol=5e-10, rtol=0
    )
    assert np.allclose(
        w.updated["W1"], [[0.149780716, 0.19956143], [0.24975114, 0.29950229]], atol=5e-9, rtol=0
    )
    assert sorted(w.updated) == ["W1", "W2"]  # the biases are not
    for form in (w.text(), w.latex(), w.markdown()):
        assert all(x in form for x in ("0.298371109", "0.35891648", "0.149780716"))


def test_two_layer_example_with_scalars() -> None:
    w = sg.derive(SCALARS).worked(SCALAR_NUMBERS, rate=0.5, digits=9)
    assert f"{w.loss:.9f}" == "0.298371109"
    assert f"{w.updated['w5']:.8f}" == "0.35891648"
    assert f"{w.updated['w1']:.9f}" == "0.149780716"
    assert sorted(w.updated) == [f"w{k}" for k in range(1, 9)]
    text = w.text()
    assert "0.35891648" in text
    assert "0.149780716" in text
    assert "0.15·0.05 + 0.2·0.1 + 0.35" in text  # numbers stand where their names stood


def test_two_layer_example_written_out() -> None:
    """Every entry on its own line, its numbers in place, as the source prints them."""
    w = sg.derive(MATRICES).worked(MATRIX_NUMBERS, rate=0.5, digits=9, form="scalar")
    text, latex = w.text(), w.latex()
    for line in ("0.15·0.05 + 0.2·0.1 = 0.0275", "0.4 − 0.5·0.0821670406 = 0.35891648"):
        assert line in text
        assert line.replace("·", r" \cdot ").replace("−", "-") in latex
    assert text.count("←") == 8


def test_labels_count_from_one_where_positions_do() -> None:
    d = sg.derive("x: data[n, 3]; t: label[n] < 3; W: weight[3, 3]; loss = softmax_cross_entropy(x @ W, t)")
    given = {"x": [[1, 2, 3]], "t": [2], "W": np.zeros((3, 3))}
    written, whole = d.worked(given, form="scalar").text(), d.worked(given).text()
    assert "t = [3]" in written
    assert "0.333333 − [3 = 3]" in written
    assert "[1 = 3]" in written
    assert "t = [2]" in whole


def test_update_of_some() -> None:
    w = sg.derive(MATRICES).worked(MATRIX_NUMBERS, rate=0.5, update="W1")
    assert list(w.updated) == ["W1"]
    assert w.text().count("←") == 1


# ---------------------------------------------------------------------- each step gives its tensor's value


@pytest.mark.parametrize("name", [*PROGRAMS, *MORE])
def test_every_equation_has_the_value_of_its_tensor(name: str) -> None:
    """Right sides are evaluated on their own; what cannot be is no equation of the shown forms."""
    d = told(name)
    v = values(d)
    numbered = 0
    for form in ("matrix", "index"):
        for detail in ("result", "steps", "everything"):
            story = Teller(d, form, detail, numpy=form == "index").tell()
            for p in story.passages:
                assert isinstance(p, Passage)
                for e in p.equations:
                    if not e.statements:
                        continue
                    run = v.seen_by(e.statements)
                    found = run.given_by(e.statements)
                    assert found is not None
                    if name != "added":  # there each of two equations gives a part
                        assert run.agrees(e.statements, found), str(e.statements[0])
                        numbered += 1
    assert numbered or name == "added"


@pytest.mark.parametrize("name", [*PROGRAMS, *MORE])
def test_values_are_those_of_the_compiled_function(name: str) -> None:
    d = sg.derivation.Derivation(told(name))
    sizes = samples.small_sizes(d.program)
    given = samples.inputs(d.program, sizes, np.random.default_rng(1))
    loss, gradients = d.function()(**given)
    w = d.worked(given)
    assert np.allclose(w.loss, loss)
    assert list(w.gradients) == list(gradients)
    for key, g in gradients.items():
        assert np.allclose(w.gradients[key], g)
    assert set(d.program.tensors) <= set(w.values) | {t.name for t in d.program.role("next")}
    w.text(60), w.latex(), w.markdown()


def planted(d: Derived, number: int) -> Derived:
    """The trace with a step whose first statement is wrong by a thousandth."""

    def wrong(step: Any) -> Any:
        s = step.equation[0]
        return replace(
            step, equation=(replace(s, body=ex.mul(Fraction(1001, 1000), s.body)), *step.equation[1:])
        )

    return replace(d, steps=tuple(wrong(s) if s.number == number else s for s in d.steps))


def test_a_planted_fault_is_caught() -> None:
    """Whatever backward step of the trace is wrong by a thousandth, no document is made."""
    d = sg.derive(MATRICES).derived
    Values(d, MATRIX_NUMBERS).verify()
    faulty = [s.number for s in d.steps if s.rule not in ("definition", "stable")]
    assert len(faulty) > 5
    for number in faulty:
        with pytest.raises(Wrong, match="gives"):
            Values(planted(d, number), MATRIX_NUMBERS).verify()


def test_a_fault_of_the_teller_is_caught() -> None:
    """Nor if the story says what no step says."""
    d = sg.derive(MATRICES).derived
    v = Values(d, MATRIX_NUMBERS)
    assert sum(e.statements != () for p in Teller(d).tell().passages for e in p.equations) > 5
    for number in (8, 10, 14):
        story = Teller(planted(d, number), "matrix", "everything", numpy=True).tell()
        with pytest.raises(Wrong, match="gives"):
            Numbering(v, Cast(d), Rounding(), every=True, numpy=True).story(story)


def test_rounding_is_no_fault() -> None:
    """Where everything cancels, steps may differ in the last digits of what cancelled, and only there."""
    d = sg.derive("x: weight[n]; y: data[n]; loss = sum((x - y)**2) + sum(x*(1 - x) + x**2)")
    x = np.array([1e6 + 1 / 3, 2e6 + 1 / 7, -3e6 - 1 / 11])
    text = d.worked(x=x, y=x + 1e-9, digits=3).text()
    assert "∂L/∂x" in text


def test_overflow_is_shown() -> None:
    text = sg.derive("x: weight[n]; loss = sum(exp(x))").worked(x=[1000.0, 0.0]).text()
    assert "∞" in text


class Printed(Reader):
    """Reads formulas of numbers; positions and labels are numbers too."""

    def named(self, code: str) -> Any:
        return np.float64(int(code)) if code.isdecimal() else super().named(code)


@pytest.mark.parametrize("form", ["matrix", "scalar"])
@pytest.mark.parametrize("name", [*PROGRAMS, *MORE])
def test_numbers_that_are_put_in_give_the_value(name: str, form: str) -> None:
    """The numbers below an equation, read as mathematics by a reader of their own, are equal to what is said to be
    their value."""
    d = told(name)
    sizes = samples.small_sizes(d.source, 1 if form == "scalar" else 2)
    v = Values(d, samples.inputs(d.source, sizes, np.random.default_rng(0)))
    story = None
    with suppress(Refusal):  # too much to write out
        story = explain.document(d, form, "everything", v.sizes).story
    if story is None:
        assert form == "scalar"
        return
    numbering = Numbering(v, Cast(d, named=True), Rounding(digits=17), every=True, numpy=False)
    reader = Printed(d.source, v.sizes, {}, {})
    compared = 0
    for p in numbering.story(story).passages:
        before: Any = None
        for e in p.equations if isinstance(p, Passage) else ():
            if e.left is not None or e.statements or e.numbers:
                before = None
            if e.left is not None or e.statements:
                continue
            parts = e.right.parts if isinstance(e.right, Relation) else (e.right,)
            for f in parts:
                value = reader.whole(f)
                if before is not None:
                    a, b = (x.array if isinstance(x, Whole) else x for x in (before, value))
                    assert np.allclose(a, b, rtol=1e-9, atol=1e-12), TEXT.line(e.right)
                    compared += 1
                before = value
    assert compared or name not in (
        "line",
        "ridge",
        "shared",
        "quadratic",
        "logits",
        "implicit",
        "hessian",
        "hvp",
    )


# ---------------------------------------------------------------------- numbers


def test_fractions_stay_exact() -> None:
    d = sg.derive("X: data[n, i]; y: data[n]; w: weight[i]; loss = mean(relu(X @ w - y)**2) + sum(w/3)")
    X, y, w = [[1, 2], [3, 4], [-5, 6]], [1, 2, 3], [Fraction(1, 2), "1/3"]
    done = d.worked(X=X, y=y, w=w, rate=Fraction(1, 7))
    e = [max(Fraction(a, 2) + Fraction(b, 3) - c, Fraction(0)) for (a, b), c in zip(X, y, strict=True)]
    by = [sum(2 * x * row[k] for x, row in zip(e, X, strict=True)) / 3 + Fraction(1, 3) for k in range(2)]
    loss = sum(x * x for x in e) / 3 + (Fraction(1, 2) + Fraction(1, 3)) / 3
    assert done.loss == loss
    assert isinstance(done.loss, Fraction)
    assert done.gradients["w"].tolist() == by
    assert done.updated["w"].tolist() == [Fraction(1, 2) - by[0] / 7, Fraction(1, 3) - by[1] / 7]
    assert f"= {loss}" in done.text()
    assert rf"\frac{{{loss.numerator}}}{{{loss.denominator}}}" in done.latex()


def test_fractions_end_where_a_function_is_not_rational() -> None:
    d = sg.derive("x: data[n]; w: weight; a = w*x; h = tanh(a); loss = sum(h)")
    done = d.worked(x=[1, 2], w="1/3")
    assert done.values["a"].tolist() == [Fraction(1, 3), Fraction(2, 3)]
    assert done.values["h"].dtype == np.float64
    assert np.allclose(done.values["h"], np.tanh([1 / 3, 2 / 3]))
    assert "[1/3, 2/3]" in done.text()
    assert "0.321513" in done.text()


def test_a_division_by_zero_has_no_fraction() -> None:
    done = sg.derive("x: weight[n]; loss = sum(1/x)").worked(x=[0, 1])
    assert np.isinf(done.loss)


@pytest.mark.parametrize(
    ("options", "shown"),
    [({"digits": 3}, "0.333"), ({"decimals": 2}, "0.33"), ({}, "0.333333"), ({"digits": 10}, "0.3333333333")],
)
def test_digits_are_as_asked(options: dict[str, int], shown: str) -> None:
    text = sg.derive("x: weight; loss = x/3").worked(x=1.0, **options).text()
    assert f"= {shown}\n" in text


def test_negative_and_small_numbers() -> None:
    assert TEXT.line(Rounding().number(-1.5e-9)) == "−1.5e-09"
    assert TEXT.line(Rounding().number(np.float64(-0.0))) == "0"
    assert TEXT.line(Rounding().number(Fraction(-2, 3))) == "−2/3"
    assert TEXT.line(Rounding(digits=4).number(Fraction(10**20 + 1, 10**20))) == "1"


def test_large_arrays_by_shape_and_norm() -> None:
    d = sg.derive("X: data[n, i]; y: data[n]; W: weight[i]; r = X @ W - y; loss = sum(r**2)")
    rng = np.random.default_rng(0)
    X, y, W = rng.normal(size=(100, 78)), rng.normal(size=100), rng.normal(size=78)
    done = d.worked(X=X, y=y, W=W, rate=0.1)
    text = done.text()
    assert f"X: 100×78, ‖X‖ = {np.linalg.norm(X):.6g}" in text
    assert f"r: 100, ‖r‖ = {np.linalg.norm(X @ W - y):.6g}" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text) < 5000
    assert "78" in done.latex()
    small = d.worked(X=X[:2, :3], y=y[:2], W=W[:3], full=5).text()
    assert "X: 2×3" in small
    assert "y = [" in small


def test_too_large_is_refused() -> None:
    d = sg.derive("X: data[n, i]; W: weight[i, j]; loss = sum((X @ W)**2)")
    with pytest.raises(sg.SymgradError, match="fewer examples or smaller sizes"):
        d.worked(X=np.zeros((1000, 500)), W=np.zeros((500, 500)))


def test_wide_matrices_are_not_set_off_the_page() -> None:
    d = sg.derive("A: weight[n, m]; loss = sum(A**2)")
    A = np.arange(24).reshape(2, 12) / 7
    assert "12 " not in d.worked(A=A).latex() or r"\lVert" in d.worked(A=A).latex()
    assert r"\begin{bmatrix}" not in d.worked(A=A).latex()  # amsmath has ten columns
    assert "[[0, 0.142857" in d.worked(A=A).text()


def test_lines_break_between_rows() -> None:
    A = np.arange(20).reshape(4, 5) / 7
    lines = sg.derive("A: weight[n, m]; loss = sum(A**2)").worked(A=A).text(64).splitlines()
    first = next(k for k, line in enumerate(lines) if "A = [[" in line)
    assert [line.strip()[:4] for line in lines[first + 1 : first + 4]] == ["[0.7", "[1.4", "[2.1"]


def test_names_that_are_options() -> None:
    d = sg.derive("rate: data[n]; form: weight[n]; loss = sum(rate*form)")
    assert d.worked({"rate": [1, 2], "form": [3, 4]}).loss == 11
    with pytest.raises(sg.SymgradError, match="in a mapping"):
        d.worked(rate=[1, 2], form=[3, 4])
    assert d.worked({"rate": [1, 2]}, rate=1, seed=0).updated["form"].shape == (2,)


def test_seeds_draw_what_is_not_given() -> None:
    d = sg.derive(
        "X: data[n, i]; p: data[n, k] & distribution; W: weight[i, k]; loss = -mean(p*log(softmax(X @ W)))"
    )
    a, b = d.worked(seed=3), d.worked(seed=3)
    assert all(np.array_equal(a.values[x], b.values[x]) for x in a.values)
    assert a.values["X"].shape != d.worked(seed=3, X=[[1, 2, 3]]).values["X"].shape
    for name in ("X", "W"):
        assert np.array_equal(a.values[name], np.round(a.values[name], 1))
    assert np.allclose(a.values["p"].sum(-1), 1)
    assert d.worked(seed=3, X=[[1, 2, 3]]).sizes["i"] == 3


@pytest.mark.parametrize(
    ("given", "options", "sentence"),
    [
        ({"x": [1, 2]}, {}, "no array was given for w"),
        ({"x": [1, 2], "w": [1, 2, 3]}, {}, "n is 2 in x"),
        ({"x": [1, "one"], "w": [1, 2]}, {}, "x must hold numbers such as"),
        ({"x": [[1, 2], [3]], "w": [1, 2]}, {}, "ragged"),
        ({"x": [1, None], "w": [1, 2]}, {}, "must be an array of numbers"),
        ({"x": [1, 2j], "w": [1, 2]}, {}, "complex"),
        ({"x": [1, 2], "w": [1, 2]}, {"update": ["w"]}, "takes a rate"),
        ({"x": [1, 2], "w": [1, 2]}, {"update": ["v"], "rate": 1}, "no gradient by it"),
        ({"x": [1, 2], "w": [1, 2]}, {"rate": "fast"}, "rate must"),
        ({"x": [1, 2], "w": [1, 2]}, {"digits": 0}, "digits is a whole number"),
        ({"x": [1, 2], "w": [1, 2]}, {"form": "spoken"}, "spoken"),
        ([1, 2], {}, "by name"),
        ({"x": [1, 2], "w": [1, 2], "z": 1}, {}, "no input"),
    ],
)
def test_wrong_numbers_are_answered(given: Any, options: dict[str, Any], sentence: str) -> None:
    d = sg.derive("x: data[n]; w: weight[n]; loss = sum(w*x)")
    with pytest.raises(sg.SymgradError, match=sentence):
        d.worked(given, **options)


def test_second_derivatives_have_no_update() -> None:
    d = sg.hessian("x: weight[n]; loss = sum(x**3)")
    with pytest.raises(sg.SymgradError, match="hessian"):
        d.worked(x=[1, 2], rate=0.1)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
@pytest.mark.parametrize("form", ["matrix", "all"])
def test_latex_compiles(form: str, tmp_path) -> None:
    """And nothing is set off the page, with many digits and a large array among small ones."""
    given = {**MATRIX_NUMBERS, "W2": np.full((12, 2), 1 / 3), "t": np.arange(12) / 7}
    numbers = MATRIX_NUMBERS if form == "all" else given
    w = sg.derive(MATRICES).worked(numbers, rate=0.5, digits=12, form=form)
    (tmp_path / "worked.tex").write_text(w.latex(fragment=False), encoding="utf-8")
    command = ["pdflatex", "-interaction=batchmode", "-halt-on-error", "worked.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    log = (tmp_path / "worked.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    assert [x for x in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log) if float(x) > 10] == []


def test_notebooks_and_files(tmp_path) -> None:
    w = sg.derive(MATRICES).worked(MATRIX_NUMBERS)
    shown = w._repr_mimebundle_()
    assert shown["text/plain"] == str(w) == w.text()
    w.save(tmp_path / "w.html")
    assert "0.298371" in (tmp_path / "w.html").read_text(encoding="utf-8")
    with pytest.raises(sg.SymgradError, match="format"):
        w.save(tmp_path / "w.doc")


# ---------------------------------------------------------------------- the command line


def test_command_line(tmp_path, capsys) -> None:
    text = "x: data[n]; w: weight[n]; y: data; loss = (x @ w - y)**2/2"
    values = ["--value", "w=[1/2, -1/3]", "--value", "y = 1", "--rate", "1/10"]
    assert cli.main(["derive", text, "--value", "x=[1, 2]", *values]) == 0
    typed = capsys.readouterr().out
    assert "[29/60" not in typed
    assert "w ← w − η·∂L/∂w" in typed
    assert "[37/60, −1/10]" in typed  # 1/2 + (1/10)(7/6), -1/3 + (1/10)(7/3)
    (tmp_path / "x.json").write_text(json.dumps({"x": [1, 2]}), encoding="utf-8")
    np.savez(tmp_path / "x.npz", x=np.array([1, 2]))
    for file in ("x.json", "x.npz"):
        assert cli.main(["derive", text, "--values", str(tmp_path / file), *values]) == 0
        assert capsys.readouterr().out == typed
    assert cli.main(["derive", text, "--seed", "3", "--format", "tex"]) == 0
    assert r"\begin{document}" in capsys.readouterr().out


def test_numbers_may_start_with_the_point() -> None:
    assert read_values(["x=[.05, -.10]", "w=-.5", "y=[1/2, 1.5]"]) == {
        "x": [0.05, -0.1], "w": -0.5, "y": ["1/2", 1.5],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--value", "x"], "a name and numbers"),
        (["--value", "x=[1, two]"], "cannot be read as numbers for x"),
        (["--value", "x=1", "--value", "x=2"], "given twice"),
        (["--values", "nowhere.npz"], "no file nowhere.npz"),
        (["--values", "numbers.csv"], ".json or an .npz"),
        (["--rate", "1"], "--seed"),
        (["--seed", "1", "--rate", "0.5", "--update", "q"], "no gradient"),
        (["--seed", "1", "--format", "numpy"], "takes no numbers"),
        (["--seed", "1", "--rate", "one"], "rate must"),
    ],
)
def test_command_line_errors(words: list[str], sentence: str, capsys) -> None:
    assert cli.main(["derive", "x: weight[n]; loss = sum(x**2)", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "w", "said"),
    [
        ("w: weight; loss = log(w)", -1, "(1) no number: log of −1 is no real number: L has no finite value"),
        ("w: weight[n]; loss = sum(sqrt(w))", [1, -4], "(1) no number: sqrt of −4 is no real number: L has no"),
        ("w: weight; loss = 1/w", 0, "(1) no number: this divides by zero: L has no finite value"),
        ("w: weight; loss = exp(w)", 1000, "(1) no number: exp of 1000 is infinite or too large to compute: L"),
        ("w: weight; loss = sqrt(w)", 0, "(2) no number: this divides by zero: ∂L/∂w has no finite value"),
        ("w: weight; z = log(w); loss = z**2", -1, "(1) no number: log of −1 is no real number: z has no finite value"),
    ],
)
def test_where_the_numbers_end_is_said_once(text: str, w: object, said: str) -> None:
    told = sg.derive(text).worked(w=w).text(width=10_000)
    assert said in told and told.count("no number:") == 1
    assert "no number" not in sg.derive(text).worked(w=np.abs(w) + 2.0 if w != 1000 else 1.0).text()
