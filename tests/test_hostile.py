"""Hostile text is refused in a sentence, never run, in bounded time: a slice of `python -m tests.fuzz`."""

import os
import re
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import fuzz
import numpy as np
import pytest
from commands import symgrad as command
from counting import calls
from hostile.texts import Maker
from hostile.watch import Executed, watching

import symgrad as sg
from symgrad import derivation
from symgrad.check.corners import ranges
from symgrad.explain.document import Document
from symgrad.explain.values import fraction
from symgrad.language import suggestions, updates
from symgrad.language.reader import read
from symgrad.library import DEFINITIONS

SEED = int(os.environ.get("FUZZ_SEED", "0"))


@pytest.mark.parametrize(("kind", "count"), [("read", 500), ("derive", 8), ("command", 25)])
def test_a_slice_of_the_fuzzing(kind: str, count: int) -> None:
    maker = Maker(SEED)
    fuzz.derives("x: weight; loss = x**2", 0)  # what is imported late
    tally = fuzz.batch(kind, maker, range(count))
    assert tally.failures == []
    assert tally.counts["refused"] > 0
    assert tally.counts["accepted"] > 0


@pytest.mark.parametrize(
    "planted",
    [
        lambda: eval("1 + 1"),  # noqa: S307
        lambda: exec("x = 1"),
        lambda: compile("1", "<text>", "eval"),
        lambda: os.system("true"),  # noqa: S605
        lambda: subprocess.run(["true"], check=False),
        lambda: __import__("antigravity"),
        lambda: Path("planted").write_text("x"),
        lambda: Path("/etc/passwd").read_text(),
        tempfile.mkdtemp,
    ],
)
def test_the_watch_notices_what_is_planted(planted, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with watching() as seen, pytest.raises(Executed):
        planted()
    assert len(seen) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_hang_is_noticed() -> None:
    def endless() -> None:
        while True:
            pass

    with fuzz.bounded(0.02), pytest.raises(fuzz.Hang):
        endless()


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000 + " ^ $",  # the patterns of hints take the square of a line
        "'" + "a" * 300_000,
        "loss = " + "x + " * 140_000 + "x",
        "x: weight; loss = x*9**9**9",
        "x: weight[2**1000000]; loss = sum(x)",
        "x: weight; loss = " + "-" * 3000 + "x",
    ],
    ids=lambda t: t[:12],
)
def test_what_is_large_is_refused_soon(text: str) -> None:
    with fuzz.bounded(fuzz.BOUNDS["read"]), pytest.raises(sg.SymgradError):
        sg.derive(text)


@pytest.mark.parametrize(
    "form",
    [
        "-{}", "-sum({})*x", "({} + 1)*x", "1/(1 + {}**2)", "mean({})*x", "max({}, x)", "norm({})*x", "norm({}, 1)*x",
        "norm({}, 3)*x", "(x if {} > 1 else 2*x)", "({} if x > 1 else x)", "[{} > 1]*x", "softmax({})", "cumsum({})",
        "tanh(A @ {} + x)", "layer_norm({})", "relu({})[::-1]", "gelu({})", "stop({})", "held({}) + 0*x",
    ],
)  # fmt: skip
def test_parts_in_parts_do_not_double_the_work(form: str) -> None:
    def work(depth: int) -> int:
        inner = "x"
        for _ in range(depth):
            inner = form.format(inner)
        text = f"x: weight[n]; A: weight[n, n]; loss = sum(A) + sum({inner})"
        return calls(lambda: read(text, DEFINITIONS))

    work(1)
    assert work(12) < 12 * work(3)


@pytest.mark.parametrize(
    "form", ["({}/(1 + x) + 1)", "1/(1 + {})", "({} + 1)**x", "(x if {} > 1 else 2*x)", "exp({}/2)", "t[{}]"]
)
def test_parts_in_parts_do_not_double_what_is_told(form: str) -> None:
    places = form == "t[{}]"

    def work(depth: int) -> int:
        inner = "i" if places else "x"
        for _ in range(depth):
            inner = form.format(inner)
        text = (
            f"t: label[n] < n\nx: weight[n]\nloss = sum(i, x[{inner}])"
            if places
            else (f"x: weight[n]\nloss = sum({inner})")
        )
        d = sg.derive(text)
        return calls(lambda: (d.text(), d.latex()))

    work(1)
    assert work(8) < 20 * work(2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x: weight[" + "*".join(["(a + b + c + d + 1)"] * 20) + "]; loss = sum(x)", "letters to write"),
        (
            "x: weight[n]; loss = sum(" + "adaptive_max_pool1d(" * 9 + "x" + ", 3)" * 9 + ")",
            "letters to write",
        ),
        ("x: weight; loss = ((((3*x)**9)**9)**9)**9", "has too many digits"),
        ("x: weight; loss = " + "*".join(f"(x + {k})" for k in range(101)), "more than 100 factors"),
        ("x: weight; loss = " + " + ".join(f"tanh({k}*x)" for k in range(2000)), "more than 5000 parts"),
        ("x: weight; loss = x if 1e400 > 0 else 2*x", "this number is too large"),
        ("x: weight; loss = x*1e-310*10**-90", "this number is too small"),
        ("x" * 201 + ": weight; loss = 1", "a name has at most 200 characters, not 201"),
        ("x: weight; loss = x" + " + x" * 900 + " + y", "y is not declared"),
    ],
    ids=["product", "sizes", "factors", "terms", "large", "power", "small", "name", "line"],
)
def test_what_grows_is_refused_with_a_short_message(text: str, said: str) -> None:
    with pytest.raises(sg.SymgradError, match=re.escape(said)) as told:
        sg.derive(text)
    assert len(str(told.value)) < 1200


def test_what_is_too_deep_to_be_written_is_told(monkeypatch) -> None:
    def endless(*given: object, **options: object) -> object:
        return endless(*given, **options)

    m = sg.Model("x: weight; loss = x**2")
    monkeypatch.setattr(derivation.emit, "function_source", endless)
    monkeypatch.setattr(derivation.emit, "module_source", endless)
    for write in (Document(endless).text, Document(endless).latex, m.source, m.derive().numpy):
        with pytest.raises(sg.SymgradError, match="too many factors, or too many levels"):
            write()


def test_slopes_along_a_number_at_its_corner() -> None:
    p = read("x: data; loss = 2*abs(x)")
    low, high = ranges(p, {}, {"x": np.zeros(())}, {"x": np.ones(())}, "loss")
    assert (float(low), float(high)) == (-2.0, 2.0)


def test_what_is_too_large_to_compute_is_told() -> None:
    d = sg.derive("x: data[n, 3]; loss = sum(dense(x, 1000000000)**2)")
    with pytest.raises(sg.SymgradError, match="up to 20,000,000 are computed one by one"):
        d.check()
    many = ", ".join(["c"] * 18)
    with pytest.raises(sg.SymgradError, match=r"x takes [0-9]+ numbers for n = .*: give smaller sizes"):
        sg.derive(f"x: weight[n, {many}]; loss = sum(x**2)").check()


@pytest.mark.parametrize(
    "text",
    [
        "x: weight; loss = x**1000000000",
        "x: weight; a0 = x\n" + "\n".join(f"a{k + 1} = a{k}*a{k}" for k in range(40)) + "\nloss = a40",
        "x: weight; u: data[40]\nh[t] = h[t-1]*h[t-1] + u[t]\nh[-1] = x\nloss = h[39]",
    ],
    ids=["power", "squares", "loop"],
)
def test_fractions_of_many_digits_become_floats(text: str) -> None:
    told = {"u": ["1/3"] * 40} if "u: " in text else {}
    assert "0.333333" in sg.derive(text).worked(x="1/3", **told).text()


@pytest.mark.parametrize(
    "text", ["def f(w, g): w = \ud800", "(" * 5000, "def f(w, g):\n w = " + "g+" * 5000 + "g"]
)
def test_definitions_of_updates_come_through_the_same_door(text: str) -> None:
    for parse in (updates.parse, updates.parse_schedules, updates.parse_preceding):
        with pytest.raises(sg.SymgradError):
            parse(text)


def test_a_number_is_not_longer_than_anybody_writes() -> None:
    assert fraction("1e-3") == Fraction(1, 1000)
    for text in ("1e999999999", "1e-99999", "9" * 500, "1e9_9_9_9_9"):
        with pytest.raises(ValueError, match="too long"):
            fraction(text)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "nonet", "table.csv"], "there is no shipped network 'nonet'"),
        (["derive", "digist"], "did you mean 'digits'?"),
        (["derive", "endless.sg"], "endless.sg is no file"),
        (["derive", "folder.sg"], "folder.sg is no file"),
        (["derive", "binary.sg"], "it is no text in UTF-8"),
        (["derive", "x\0.sg"], "embedded null byte"),
        (["derive", "x: weight; loss = x**2", "--size", "n=²"], "--size takes a letter and a whole number"),
        (["derive", "x: weight; loss = x**2", "--value", "x=" + "[" * 5000], "cannot be read as numbers"),
        (["derive", "x: weight; loss = x**2", "--seed", "-1"], "takes a whole number from 0, not '-1'"),
        (["check", "x: weight; loss = x**2", "--nothing"], "unrecognized arguments: --nothing"),
        (["derive", "x: weight; loss = x**2", "-o", "a\0.txt"], "cannot be written"),
        (
            ["derive", "x: weight; loss = x**2", "-o", ""],
            "-o/--output: takes a path, but what was given is empty",
        ),
        (["train", "digits", ""], "argument data: takes a path, but what was given is empty"),
        (
            ["train", "digits", "digits.csv", "--weights", ""],
            "weights takes a name, but what was given is empty",
        ),
        (
            ["train", "digits", "digits.csv", "--epochs", "1e9"],
            "--epochs: takes a whole number from 0, not '1e9'",
        ),
        (["train", "digits", "digits.csv", "--lr", "fast"], "--lr: takes a number, such as 0.1, not 'fast'"),
        (["train", "digits", "digits.csv", "--validation", "1/5"], "takes a number, such as 0.1, not '1/5'"),
        (["demo", "--epochs", "many"], "argument --epochs: takes a whole number from 0, not 'many'"),
        (
            ["derive", "x: weight; loss = x**2", "--values", "broken.json"],
            "it is no JSON from line 2, column 6 on",
        ),
        (
            ["derive", "x: weight; loss = x**2", "--values", "broken.npz"],
            "broken.npz cannot be read: it is damaged",
        ),
    ],
)
def test_the_command_line_refuses_in_one_paragraph(words: list[str], said: str, tmp_path) -> None:
    (tmp_path / "endless.sg").symlink_to("/dev/zero")
    (tmp_path / "folder.sg").mkdir()
    (tmp_path / "binary.sg").write_bytes(bytes(range(256)))
    (tmp_path / "broken.json").write_text('{"x": 1,\n "y":]')
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4")
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert re.match("symgrad: |digits( train)?: ", done.stderr)  # the module's own options are told by it
    assert "\n\n" not in done.stderr
    assert "usage" not in done.stderr
    assert done.stdout == ""


def test_declarations_of_many_axes_are_guessed() -> None:
    with pytest.raises(sg.SymgradError, match="nothing says what R and be stand for"):
        sg.derive(f"L = sum(R*be[{', '.join(['None'] * 20)}])")


@pytest.mark.parametrize("loss", ["sqrt(-1 - x**2)", "(-1 - x**2)**0.5", "(-2)**x", "x*log(0)"])
def test_what_is_never_real_is_told_in_the_words_of_the_text(loss: str) -> None:
    with pytest.raises(sg.SymgradError, match="has no real slope by x anywhere") as told:
        sg.derive(f"x: weight; loss = {loss}")
    assert "sympy" not in str(told.value)


def test_declarations_of_a_long_formula_are_guessed_in_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each try reads all of it."""
    tried: list[str] = []
    written = suggestions._written
    monkeypatch.setattr(suggestions, "_written", lambda *a: tried.append("") or written(*a))
    text = (
        "z[m, f, i < 4, j < 4] = b[f] + sum(a, u, v, [0 <= i + u - 1 < 4 and 0 <= j + v - 1 < 4], k[f, a, u, v]"
        "*x[m, a, i + u - 1, j + v - 1]); y = relu(z);"
        "A[m, 4*f + 2*i + j] = max(u < 2, v < 2, y[m, f, 2*i + u, 2*j + v]), i < 2, j < 2;"
        "S = relu(A @ W1 + c) @ W2 + d"
    )
    with pytest.raises(sg.SymgradError, match="nothing says what"):
        sg.derive(text)
    assert 0 < len(tried) < 150
