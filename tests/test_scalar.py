"""The scalar form: every printed entry is the gradient's, every step's is its tensor's; several forms side by side."""

from __future__ import annotations

import ast
import itertools
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import cases, declarations
from counting import calls
from test_explain import PROGRAMS, derived, faults

import symgrad as sg
from symgrad import explain
from symgrad.cli import main
from symgrad.errors import Refusal, SymgradError
from symgrad.explain import formula as fm
from symgrad.explain import scalars
from symgrad.explain.beside import together
from symgrad.explain.indices import ALL
from symgrad.explain.parts import Equation, Passage, Remark, Story
from symgrad.explain.story import Teller
from symgrad.explain.values import Run, Values
from symgrad.language import reference, samples
from symgrad.language.implicit import IMPLICIT
from symgrad.language.reader import read
from symgrad.language.trace import Derived
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS
from symgrad.passes.derive import derive

CASES, DECLARED = cases(), declarations()


def tiny(d: Derived) -> dict[str, int]:
    """Sizes of 2, 3, 4, ... as small as the program allows, pairwise different where that can be."""
    if any(s.op in IMPLICIT for s in d.source.statements):
        return samples.small_sizes(d.source, 2)  # for which matrices are regular
    letters = d.source.sizes
    tries = itertools.product(range(2, max(5, 2 + len(letters))), repeat=len(letters))
    ordered = sorted(itertools.islice(tries, 4000), key=lambda n: (-len(set(n)), sum(n)))
    for numbers in ordered:
        sizes = dict(zip(letters, numbers, strict=True))
        if not samples.unmet(d.source, sizes):
            return sizes
    return samples.small_sizes(d.source, 2)


def named(text: str) -> str:
    """The text with a name for a formula in its last line that has none."""
    last = ast.parse(text).body[-1]
    lines = text.splitlines()
    if isinstance(last, ast.Expr):
        line = lines[last.lineno - 1]
        lines[last.lineno - 1] = f"{line[: last.col_offset]}last = {line[last.col_offset :]}"
    return "\n".join(lines)


def judged(d: Derived, text: str, sizes: Mapping[str, int]) -> list[str]:
    """Reads the printed entries of all gradients back, runs them by reference and compares them with the derived
    gradients; returns what was refused as too much to print."""
    arrays = samples.inputs(d.source, sizes, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        truth = reference.run(d.program, sizes, arrays)
    answers: dict[str, dict[str, None]] = {}
    refused = []
    for by, bar in d.gradients.items():
        try:
            lines = explain.result_equations(d, by, "scalar", sizes)
        except Refusal as problem:
            refused.append(problem.reason)
            continue
        assert sum(re.match(rf"{bar}( =|\[)", line) is not None for line in lines) == truth[bar].size
        answers[bar] = dict.fromkeys(lines)
    told = [answers]
    lefts = [line.partition(" = ")[0] for line in dict.fromkeys(itertools.chain(*answers.values()))]
    if len(set(lefts)) < len(lefts):  # what one result has in place another one names
        told = [{bar: lines} for bar, lines in answers.items()]
    for some in told:
        lines = list(dict.fromkeys(itertools.chain(*some.values())))
        full = "\n".join(
            [named(text), *lines, "in_all = " + (" + ".join(f"sum({bar})" for bar in some) or "0")]
        )
        again = read(full, definitions=DEFINITIONS, sizes=sizes)
        with np.errstate(all="ignore"):
            values = reference.run(again, {}, arrays)
        for bar in some:
            wanted = truth[bar]
            np.testing.assert_allclose(
                values[bar], wanted, rtol=1e-9, atol=1e-11, err_msg=f"{bar} at {dict(sizes)}"
            )
    return refused


SMALL = {"n": 1, "c": 2, "o": 1, "h": 4, "w": 5}  # of the convolution
QUICK = [name for name in PROGRAMS if name != "penalty"]
every_quick = pytest.mark.parametrize("name", QUICK)


def sizes_of(name: str) -> dict[str, int]:
    return SMALL if name == "convolution" else tiny(derived(name))


@every_quick
def test_entries_are_the_gradient(name: str) -> None:
    assert judged(derived(name), PROGRAMS[name], sizes_of(name)) == []


# a part of the cases in the normal run, all of them where there is time
SAMPLE = list(DECLARED)[::16]
TOO_LARGE = {"nielsen_train_quadratic"}  # 784 pixels are written in its text


@pytest.mark.parametrize(
    "heading", [h if h in SAMPLE else pytest.param(h, marks=pytest.mark.long) for h in DECLARED]
)
def test_entries_of_cases_are_the_gradient(heading: str) -> None:
    case, text = CASES[heading.partition(":")[0]], DECLARED[heading]
    d = (sg.jacobian if case.kind == "jacobian" else sg.derive)(text, wrt=case.wrt).derived
    refused = judged(d, text, tiny(d))
    if refused:  # smaller, though some sizes are then equal
        least = dict.fromkeys(d.source.sizes, 2)
        least = least if not samples.unmet(d.source, least) else {**least, "h": 4, "w": 4}
        refused = judged(d, text, least) if least else refused
    assert bool(refused) == (heading in TOO_LARGE), refused


# ---------------------------------------------------------------------- each equation of the story


def value(f: fm.Formula, run: Run) -> Any:
    """What a printed entry says, from the tree alone: positions count from 0, as in code."""

    def go(g: fm.Formula) -> Any:
        return value(g, run)

    def tensor(name: str, index: tuple[fm.Formula, ...]) -> Any:
        at = tuple(slice(None) if i == ALL else int(go(i)) for i in index)
        return run.arrays[name][
            tuple(
                i if isinstance(i, slice) else i + k
                for i, k in zip(at, run.early(name) or itertools.repeat(0), strict=False)
            )
        ]

    match f:
        case fm.Position(code):
            return int(code)
        case fm.Number(v):
            return float(v)
        case fm.Symbol(code) if "[" in code:  # a label as a number
            name, _, at = code.removesuffix("]").partition("[")
            return run[name][int(at)]
        case fm.Symbol(code):
            return (
                {"pi": np.pi, "e": np.e}.get(code) if code in ("pi", "e") and code not in run else run[code]
            )
        case fm.Entry(fm.Symbol(name), index):
            return tensor(name, index)
        case fm.Entry(base, index):
            return go(base)[tuple(int(go(i)) for i in index)]
        case fm.Derivative():
            return tensor(f.code, f.index)
        case fm.Sum(terms):
            return sum(-go(t) if negative else go(t) for negative, t in terms)
        case fm.Product(factors, "matmul"):
            return np.linalg.multi_dot([go(x) for x in factors]) if len(factors) > 1 else go(factors[0])
        case fm.Product(factors):
            parts = [go(x) for x in factors]
            return 0.0 if any(np.ndim(p) == 0 and p == 0 for p in parts) else np.prod(parts)
        case fm.Quotient(top, bottom):
            above = go(top)
            return 0.0 if np.ndim(above) == 0 and above == 0 else above / go(bottom)
        case fm.Power(base, exponent):
            return go(base) ** go(exponent)
        case fm.Iverson(condition):
            return float(go(condition))
        case fm.Relation(parts, ops):
            compare = {"<": np.less, "<=": np.less_equal, "==": np.equal, "!=": np.not_equal, ">": np.greater,
                       ">=": np.greater_equal}  # fmt: skip
            values = [go(p) for p in parts]
            return all(compare[op](a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
        case fm.Connected(op, args):
            told = [go(a) for a in args]
            return not told[0] if op == "not" else all(told) if op == "and" else any(told)
        case fm.Apply("max" | "min" as name, args):
            return {"max": max, "min": min}[name](map(go, args))
        case fm.Apply("stop" | "held", (a,)):
            return go(a)
        case fm.Apply(name, args) if name in IMPLICIT:
            return IMPLICIT[name].run(*map(go, args))
        case fm.Apply(name, args):
            return float(reference.FLOATS.leaf(LEAVES[name], [np.array([go(a)], float) for a in args])[0])
        case fm.Norm(a):
            return np.linalg.norm(go(a))
        case fm.Transpose(a):
            return np.swapaxes(go(a), -1, -2)
    raise TypeError(f"not read here: {f}")


def stories_agree(d: Derived, sizes: Mapping[str, int], detail: str) -> int:
    """How many printed entries were evaluated; each must be its tensor's."""
    arrays = samples.inputs(d.source, sizes, np.random.default_rng(0))
    values = Values(d, arrays)
    story = Teller(d, "scalar", detail, numpy=True, sizes=sizes).tell()
    count = 0
    for e in (e for p in story.passages if isinstance(p, Passage) for e in p.equations):
        if e.at is None:
            continue
        run, name = values.seen_by(e.statements), e.statements[0].out
        wanted = run.arrays[name][
            tuple(i + k for i, k in zip(e.at, run.early(name) or itertools.repeat(0), strict=False))
        ]
        np.testing.assert_allclose(
            value(e.right, run), wanted, rtol=1e-9, atol=1e-11, err_msg=f"{name} at {e.at}"
        )
        count += 1
    return count


MORE = {
    "recurrence": "x: data[t, i]\nW: weight[i, j]\nU: weight[j, j]\nh0: weight[j]\nh[-1, j] = h0[j]\n"
    "h[t, j] = tanh(sum(i, x[t, i]*W[i, j]) + sum(k, h[t - 1, k]*U[k, j]))\nloss = sum(h**2)",
    "inverse": "A: weight[n, n]\nb: data[n]\nloss = b @ inv(A) @ b + logdet(A) + det(A)",
    "length": "X: weight[n, d]\nloss = sum(norm(X, axis=1)**3)",
    "shifted": "t: label[n] < 4\nE: weight[4, d]\nloss = sum(n, d, [t[n] - 1 >= 0]*E[t[n] - 1, d]**2*t[n])",
    "diagonal": "A: weight[n, n]\nloss = sum(i, A[i, i]*A[i, i]) + "
    "sum(i, j, [i < j]*A[i, j]/(index(i) + index(j) + 1 + n))",
}


@pytest.mark.parametrize("detail", ["steps", "everything"])
@pytest.mark.parametrize("name", [*QUICK, *MORE])
def test_every_entry_of_the_story_is_its_tensors(name: str, detail: str) -> None:
    d = derive(read(MORE[name], definitions=DEFINITIONS)) if name in MORE else derived(name)
    sizes = sizes_of(name) if name in PROGRAMS else tiny(d)
    assert stories_agree(d, sizes, detail)


@pytest.mark.parametrize("name", MORE)
def test_more_entries_are_the_gradient(name: str) -> None:
    d = derive(read(MORE[name], definitions=DEFINITIONS))
    assert judged(d, MORE[name], tiny(d)) == []


# ---------------------------------------------------------------------- how it looks

TEXTBOOK = (
    "x: data[i]\ny: data[k]\nW1: weight[i, j]\nb1: weight[j]\nW2: weight[j, k]\nb2: weight[k]\n"
    "h = sigmoid(x @ W1 + b1)\no = sigmoid(h @ W2 + b2)\nloss = sum((o - y)**2)/2"
)
TWO = {"i": 2, "j": 2, "k": 1}


def told(d: sg.Derivation, **options: Any) -> list[str]:
    return [" ".join(line.split()) for line in d.text(100, **options).splitlines()]


def test_the_textbook_network() -> None:
    d = sg.derive(TEXTBOOK)
    lines = told(d, form="scalar", sizes=TWO)
    assert any(line.endswith("= x₁·W1₁₁ + x₂·W1₂₁ + b1₁") for line in lines)
    assert any(line.endswith("δ2₁ = (o₁ − y₁)·(1 − o₁)·o₁") for line in lines)
    gradient = [line for line in lines if "∂L/∂W1₁₂ = " in line]
    assert gradient[-1].endswith("·x₁")
    assert "Positions count from 1 here, in code from 0." in lines
    assert d.gradients["W1"].text("scalar", sizes=TWO).splitlines()[-4:-2] == [
        "dW1[0, 0] = dh[0]*(1 - h[0])*h[0]*x[0]",
        "dW1[0, 1] = dh[1]*(1 - h[1])*h[1]*x[0]",
    ]
    latex = d.gradients["W1"].latex("scalar", sizes=TWO)
    assert r"\frac{\partial L}{\partial W^{(1)}_{12}} &= " in latex
    assert r"x_{1} W^{(1)}_{11} + x_{2} W^{(1)}_{21}" in d.latex("scalar", sizes=TWO)


def test_only_what_positions_and_sizes_decide_is_decided() -> None:
    padded = told(sg.derive(PROGRAMS["padded"]), form="scalar", sizes={"n": 3})
    assert "(1) y₁ = x₁·w₂ + x₂·w₃" in padded
    assert "y₂ = x₁·w₁ + x₂·w₂ + x₃·w₃" in padded
    labels = told(sg.derive(PROGRAMS["embedding"]), form="scalar", sizes={"n": 2, "v": 3, "d": 2})
    assert "(1) e₁₁ = E[t₁, 1]" in labels
    assert "∂L/∂E₃₁ = [t₁ = 3]·δ₁₁ + [t₂ = 3]·δ₂₁" in labels
    assert "Positions and the values of labels count from 1 here, in code from 0." in labels
    highest = told(sg.derive(PROGRAMS["stored"]), form="scalar", sizes={"n": 1, "k": 3})
    assert "(2) m₁ = max(x₁₁², x₁₂², x₁₃²)" in highest


def test_the_chain_rule_in_symbols_is_written_out() -> None:
    lines = told(sg.derive(TEXTBOOK), form="scalar", sizes={"i": 2, "j": 2, "k": 3}, detail="everything")
    u = next(line for line in lines if "∂L/∂W2₂₃ = " in line).partition("δ")[2][0]
    assert f"δh₂ = δ{u}₁·∂{u}₁/∂h₂ + δ{u}₂·∂{u}₂/∂h₂ + δ{u}₃·∂{u}₃/∂h₂" in lines
    assert f"∂L/∂W2₂₃ = δ{u}₃·∂{u}₃/∂W2₂₃" in lines


def test_long_positions_are_set_apart() -> None:
    d = sg.derive("W: weight[n, 2]\nloss = sum(W**3)")
    assert "∂L/∂W[12, 1] = 3·W[12, 1]²" in told(d, form="scalar", sizes={"n": 12})
    assert r"\frac{\partial L}{\partial W_{12, 1}} = 3 W_{12, 1}^{2}" in d.latex(
        "scalar", sizes={"n": 12}
    ).replace("&", "")


def test_recurrences_run_backwards() -> None:
    d = sg.derive(MORE["recurrence"])
    lines = told(d, form="scalar", sizes={"t": 3, "i": 1, "j": 1})
    signals = [line.partition(" = ")[0][-4:] for line in lines if re.match(r"(\(.*\) )?δh\d*[₀-₉]+ = ", line)]
    assert signals.index("δh₃₁") < signals.index("δh₂₁") < signals.index("δh₁₁")
    assert "h₀₁ = h0₁" in " ".join(lines)  # the start is step 0 where the first step is 1


@pytest.mark.parametrize("name", QUICK)
def test_latex_of_the_scalar_form_is_set(name: str) -> None:
    assert not faults(explain.latex(derived(name), "scalar", sizes=sizes_of(name)))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_documents_of_all_forms_compile(tmp_path: Path) -> None:
    (tmp_path / "all.tex").write_text(sg.derive(TEXTBOOK).latex("all", fragment=False, sizes=TWO))
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    log = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert log.returncode == 0, log.stdout[-2000:]
    assert not [width for width in re.findall(r"Overfull \\hbox \((\d+)", log.stdout) if int(width) > 10]


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (
            "x: weight[n, k]; loss = sum(x**2)",
            {},
            "needs numbers for the sizes n and k; give sizes={'n': 2, 'k': 3}, or",
        ),
        (
            "x: weight[n]; loss = sum(x**2)",
            {},
            "needs a number for the size n; give sizes={'n': 2}, or --size n=2",
        ),
        ("x: weight[n]; loss = sum(x**2)", {"sizes": {"m": 2}}, "there is no size 'm'"),
        ("x: weight[3]; loss = sum(x**2)", {"sizes": {"m": 2}}, "none is open here"),
        ("x: weight[n]; loss = sum(x**2)", {"sizes": {"n": 0}}, "at least 1, not 0"),
        (
            "x: weight[n]; loss = sum(x**2)",
            {"sizes": {"n": 10**9}},
            r"x\[1000000000\] has 1000000000 entries",
        ),
        (
            "x: data[2, 784]; loss = sum(dense(x, 256)**2)",
            {},
            r"W1\[784, 256\] has 200704 entries.*ask for form='index'",
        ),
        (
            "x: weight[n]; A: data[n, n]; loss = x @ A @ x",
            {"sizes": {"n": 90}},
            "has 16200 terms, and 5000 are",
        ),
        (
            "x: weight[n, n]; y = x**2; z = y**2; loss = sum(z)",
            {"sizes": {"n": 12}},
            "entries in all, 144 of them for",
        ),
    ],
)
def test_requests_that_are_refused(text: str, options: dict[str, Any], says: str) -> None:
    d = sg.derive(text)

    def ask() -> None:
        with pytest.raises(SymgradError, match=says) as problem:
            d.text(form="scalar", **options)
        assert "\n" not in str(problem.value)

    assert calls(ask) < 500_000  # before anything is written out
    with pytest.raises(SymgradError):
        d.latex(("matrix", "scalar"), **options)


def test_at_the_limits() -> None:
    d = sg.derive("x: weight[n]; loss = sum(x)")
    assert len(d.gradients["x"].text("scalar", sizes={"n": scalars.ENTRIES}).splitlines()) == scalars.ENTRIES
    with pytest.raises(SymgradError, match="401 entries"):
        d.gradients["x"].text("scalar", sizes={"n": scalars.ENTRIES + 1})


# ---------------------------------------------------------------------- side by side


def passages(story: Story) -> list[Passage]:
    return [p for p in story.passages if isinstance(p, Passage)]


def test_forms_side_by_side() -> None:
    d = sg.derive(TEXTBOOK)
    story = explain.document(d.derived, "all", sizes=TWO).story
    shown = [(p.form, *(form for form, _ in p.beside)) for p in passages(story)]
    assert ("matrix", "index", "scalar") in shown
    for p in passages(story):
        for _, equations in p.beside:
            numbers = {n for e in equations for n in e.numbers}
            assert numbers == {n for e in p.equations for n in e.numbers}
    text = d.text(form=("matrix", "index", "scalar"), sizes=TWO)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("index form:") == sum("index" in forms for forms in shown)
    reasons = [line for line in text.splitlines() if "chain rule" in line]
    assert len(reasons) == len(dict.fromkeys(reasons))
    for written in (d.latex("all", sizes=TWO), explain.markdown(d.derived, "all", sizes=TWO)):
        assert written.count("scalar form") == sum("scalar" in forms for forms in shown)


def test_forms_stand_in_columns_where_these_fit() -> None:
    d = sg.derive(TEXTBOOK)
    wide = d.text(100, form=("index", "scalar"), sizes=TWO)
    assert any("h[j] = " in line and " = x₁·W1₁₂ + x₂·W1₂₂" in line for line in wide.splitlines())
    narrow = d.text(60, form=("index", "scalar"), sizes=TWO)
    assert re.search(r"^ *scalar form:$", narrow, re.MULTILINE)
    assert "minipage" in d.latex(("index", "scalar"), sizes=TWO)
    assert not faults(d.latex("all", sizes=TWO))


def test_one_form_alone_has_no_caption() -> None:
    d = sg.derive(TEXTBOOK)
    assert d.text(form=("index",)) == d.text(form="index")
    assert "form:" not in d.text(form="index")


def test_forms_that_are_alike_are_shown_once() -> None:
    d = sg.derive("x: weight\ny: weight\nloss = x*y + sin(x)")
    story = explain.document(d.derived, "all").story
    assert all(not p.beside and not p.form for p in passages(story))


def test_passages_are_matched_by_their_headings() -> None:
    def story(*named: tuple[str, str]) -> Story:
        return Story((), tuple(Passage((name,), (equation(right),), (why,)) for name, right in named))

    def equation(right: str) -> Equation:
        return Equation(fm.Symbol("a", "a", "a"), fm.Symbol(right, right, right))

    why = Remark((), "chain rule", ("because.",))
    first, second = story(("A", "1"), ("C", "2")), story(("A", "1"), ("B", "3"), ("C", "4"))
    joined = passages(together([("matrix", first), ("index", second)]))
    assert [(p.heading, p.form, [form for form, _ in p.beside]) for p in joined] == [
        (("A",), "", []), (("B",), "", []), (("C",), "matrix", ["index"]),
    ]  # fmt: skip
    assert all(p.remarks == (why,) for p in joined)


def test_the_command_shows_forms(capsys: pytest.CaptureFixture[str]) -> None:
    text = "x: weight[n]; loss = sum(x**2)"
    assert main(["derive", text, "--form", "matrix,index,scalar", "--size", "n=2"]) == 0
    said = capsys.readouterr().out
    assert "scalar form:" in said
    assert "∂L/∂x₂ = 2·x₂" in said
    assert main(["derive", text, "--form", "all"]) == 2
    assert "--size n=2" in capsys.readouterr().err
    assert main(["derive", text, "--form", "matrix,row"]) == 2
    assert "form='row' is not known here" in capsys.readouterr().err
