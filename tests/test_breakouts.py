"""Break-outs: whatever words a user writes, they stay words in what is printed and generated, as independent strict
parsers of each format judge it; and no message acts on the terminal that shows it."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import re
import shlex
import tokenize
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad import cli, emit
from symgrad.commands import quoted
from symgrad.emit.names import wrapped
from symgrad.errors import Refusal, SymgradError, complete
from symgrad.seen import TURNING

HOSTILE = [
    '"""', "'''", '"', "'", "\\", '\\"""', "\\N{BULLET}", "\\N{", "\\x4", "\\u12", "\\", "#",
    "# -*- coding: utf-7 -*-", "+AFw-", "\t", "\x0c", "\x0b", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[31m", "\x9b1m",
    "\u202e", "\x7f", "\ufeff", "{{ 7*7 }}", "{% raw %}", "{0}", "%s", "%", "$", "`", "```", "&", "<", ">", "<b>",
    "</script><script>alert(1)</script>", "</style>", "<!--", "]]>", '" onload="alert(1)', "javascript:alert(1)",
    "](javascript:alert(1))", "\\input{/etc/passwd}", "\\write18{id}", "\\end{document}", "\\catcode`\\%=12", "^^5c",
    "^^M", "$$", "; rm -rf ~", "$(id)", "`id`", "é", "α", "勾", "import os", "))", "\\\\", " ", "\u00a0",
]  # fmt: skip
WORDS = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=4), max_size=8).map("".join)
WORDS = WORDS.map(lambda w: re.sub("[\0\r\n\ud800-\udfff]", "", w))  # a comment ends with its line
ACTING = frozenset(map(chr, (*range(9), *range(11, 32), *range(127, 160)))) | TURNING

DECLARED = """
# {0}
x: data[n, 4]  # {1}
t: label[n] in [{2}, "b", "c"]
def bent(x):
    {3}
    return x*sigmoid(x)
z = dense(bent(x), 3, name="{4}")  # {0}
loss = softmax_cross_entropy(z, t)
# {1}
"""
RULE = """
def mine(w, g, lr=0.1):
    {0}
    w = w - lr*g  # {1}
"""


# ---- generated Python


def skeleton(source: str) -> list[str]:
    """The kinds of all nodes of a module, in order, with everything in them but strings."""
    return [
        f"{type(node).__name__} {getattr(node, 'id', getattr(node, 'attr', getattr(node, 'arg', '')))}"
        for node in ast.walk(ast.parse(source))
    ]


@cache
def innocent(kind: str) -> list[str]:
    return skeleton(module(kind, ["words"] * 4, '"a"'))


def module(kind: str, words: list[str], label: str) -> emit.Source:
    """A module of a declaration, and with an optimiser, of these words."""
    a, b, c, d = words
    declared = DECLARED.format(a, b, label, literal(c), "enc")
    rule = RULE.format(literal(d), a)
    return sg.Model(declared).source("net", style=kind, optimizer=rule, estimator=kind == "fast")


def literal(words: str) -> str:
    """A docstring of any words."""
    return ascii(words)


def judged(kind: str, words: list[str]) -> None:
    label = f"a{words[0]}b"
    if not label.isprintable():
        with pytest.raises(SymgradError, match="a word is printable"):
            module(kind, words, repr(label))
        label = "a"
    source = module(kind, words, ascii(label))
    assert skeleton(source) == innocent(kind)
    assert ACTING.isdisjoint(source)
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT]
    assert all(t.line[t.start[1] :].rstrip("\n") == t.string for t in tokens)
    compile(source, "net.py", "exec", dont_inherit=True)
    assert emit.load(source, "net")["CLASSES"] == {"t": (label, "b", "c")}


@pytest.mark.parametrize("kind", ["fast", "readable"])
def test_every_hostile_word_stays_a_word_in_python(kind: str) -> None:
    """All of them at once, in every place that takes words."""
    words = "".join(w for w in HOSTILE)
    judged(kind, [words, words[::-1], " ".join(HOSTILE), "\\".join(HOSTILE)])
    judged(kind, ["".join(w for w in HOSTILE if w.isprintable()), "\\", '\\"', '"'])


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, min_size=4, max_size=4), st.sampled_from(["fast", "readable"]))
def test_any_words_stay_words_in_python(words: list[str], kind: str) -> None:
    judged(kind, words)


@settings(max_examples=100)
@given(st.lists(WORDS, max_size=9).map(" ".join) | st.text("\\N{}x\"' ", max_size=300), st.integers(5, 30))
def test_wrapped_words_are_read_back(text: str, width: int) -> None:
    """No escape is cut in two where a long word is broken, and nothing ends the docstring."""
    lines = wrapped(text, width)
    body = '"""\n' + "\n".join(lines) + '\n"""'
    (node,) = ast.parse(body).body
    assert isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    assert isinstance(node.value.value, str)
    kept = "".join("".join(text.split()).replace('"""', "'''"))
    found = "".join(node.value.value.split())
    assert len(found) == len(kept)


LABELLED = "a: data[n, k]; t: label[n] < q; w: weight[k, q]; z = a @ w; loss = softmax_cross_entropy(z, t)"
MORE = {
    "argparse", "begin", "constructor", "hasOwnProperty", "input", "json", "main", "numba", "object", "print", "script",
    "type", "write18", "x_hat", "_", "α",
}  # fmt: skip


@pytest.mark.parametrize("style", ["readable", pytest.param("fast", marks=pytest.mark.long)])
def test_names_that_programs_use_themselves(style: str) -> None:
    """Every name that a method with arrays or sizes as arguments uses, as the name of an array and of a size."""
    known = ast.walk(ast.parse(sg.Model(LABELLED).source("net", style=style)))
    methods = [m for m in known if isinstance(m, ast.FunctionDef) and {"a", "k"} & {*arguments(m)}]
    used = {node.id for m in methods for node in ast.walk(m) if isinstance(node, ast.Name)}
    names = sorted(filter(is_free, {*MORE, *used.union(*map(arguments, methods))} - {"n", "t", "z", "loss"}))
    assert len(methods) > 15 and len(names) > 50
    inputs = "; ".join(f"{name}: data[n]" for name in names)
    text = f"{inputs}; t: label[n] < 3; v: weight[3]; z[i, j] = ({' + '.join(names)})[i]*v[j]"
    net = emit.load(sg.Model(f"{text}; loss = softmax_cross_entropy(z, t)").source("net", style=style), "net")
    model = net["Model"]()
    given = [np.arange(4.0)] * len(names)
    assert model.check_gradients() < 1e-8 and model.loss(*given, [0, 1, 2, 1]) > 0
    model.fit(*given, [0, 1, 2, 1], epochs=1, quiet=True)
    assert set(model.predict(*given)) <= {0, 1, 2} and set(model.layers(*given, [0, 1, 2, 1])) == {
        "z",
        "loss",
    }

    held = "; ".join(f"w{k}: weight[{name}]" for k, name in enumerate(names))
    text = f"x: data[n]; {held}; loss = mean(x**2)" + "".join(f" + sum(w{k}**2)" for k in range(len(names)))
    net = emit.load(sg.Model(text).source("net", style=style), "net")
    sizes = {p: 2 + k % 3 for k, p in enumerate(inspect.signature(net["Model"]).parameters) if k < len(names)}
    model = net["Model"](**sizes)
    assert list(model.sizes.values()) == list(sizes.values())
    assert model.check_gradients() < 1e-8


def arguments(method: ast.FunctionDef) -> list[str]:
    return [a.arg for a in (*method.args.args, *method.args.kwonlyargs)]


def is_free(name: str) -> bool:
    """Whether a declaration may have the name."""
    try:
        sg.derive(f"{name}: weight[n]; loss = mean({name})")
    except SymgradError:
        return False
    return True


# ---- lines to be pasted, and messages


@given(WORDS)
def test_lines_for_a_shell(words: str) -> None:
    line = quoted("python", words, "--help")
    assert ACTING.isdisjoint(line)
    if ACTING.isdisjoint(words):
        assert shlex.split(line) == ["python", words, "--help"]


@settings(max_examples=200)
@given(WORDS, WORDS, st.integers(0, 40), st.integers(1, 9))
def test_messages_do_not_act(words: str, more: str, column: int, width: int) -> None:
    """And the caret stands below what is meant, whatever is shown instead of what acts."""
    text = f"x = {words}\ny = {more}"
    told = str(complete(Refusal(f"no {words}", 2, column, width), text))
    assert ACTING.isdisjoint(told)
    lines = told.split("\n")
    assert len(lines) == 3 and set(lines[2]) <= {" ", "^"}


def ran(*arguments: str) -> tuple[int, str]:
    """A command in this process: its status, and all that it prints."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            status = cli.main(arguments)
        except SystemExit as end:
            status = int(str(end.code))
    return status, told.getvalue()


ESCAPES = "\x1b[31m\x07\u202eX\x85\x9b1m\r"
TEXT = "x: data[n, 4]; t: label[n] < 3; z = dense(x, 3); loss = softmax_cross_entropy(z, t)"
COMMANDS = [
    ["derive", "{}"], ["train", "nonet", "t.csv"], ["derive", "x: weight[n]  # {}\nloss = sum(y)"],
    ["derive", "/no{}.sg"], ["{}"], ["derive", TEXT, "--wrt", "{}"], ["derive", TEXT, "--form", "{}"],
    ["derive", TEXT, "-o", "a{}.x"], ["derive", TEXT, "-o", "a{}.txt"], ["derive", TEXT, "--value", "{}"],
    ["derive", TEXT, "--values", "{}.json"], ["derive", TEXT, "--size", "{}"], ["derive", TEXT, "--size", "n=²"],
    ["derive", TEXT, "--rate", "{}", "--seed", "1"], ["derive", TEXT, "--optimizer", "{}"],
    ["derive", TEXT, "--optimizer", "sgd", "--schedule", "{}"], ["derive", TEXT, "--jacobian", "{}"],
    ["grade", "x: weight[n]; loss = sum(x)", "--answer", "{}"],
    ["grade", "x: weight[n]; loss = sum(x)", "--answer", "1", "--at", "{}.json"], ["exercise", "--topic", "{}"],
    ["ops", "{}"], ["study", "{}"], ["study", "rate", TEXT, "--no", "{}"], ["generate", TEXT, "{}.py"],
    ["generate", TEXT, "{}/a.py"], ["generate", TEXT, "a.py", "--set", "{}=1"], ["derive", TEXT, "--no{}"],
    ["train", TEXT, "{}"], ["train", TEXT, "{}.csv"], ["train", TEXT, "t.csv", "--target", "{}"],
    ["train", TEXT, "t.csv", "--seed", "{}"], ["train", TEXT, "t.csv", "--no", "{}"],
    ["train", TEXT, "t.csv", "--save", "{}/x"], ["train", TEXT, "t.csv", "--weights", "{}"],
    ["train", TEXT, "t.csv", "--quiet", "--epochs", "1", "--save", "{}.npz"],
]  # fmt: skip


def test_no_command_lets_an_escape_through(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("1,2,3,4,0\n2,3,4,5,1\n")
    for command in COMMANDS:
        status, told = ran(*(a.replace("{}", ESCAPES) for a in command))
        assert status in (0, 2) and told, command
        assert ACTING.isdisjoint(told), (command, told)
        assert "fault of symgrad" not in told and "usage" not in told, (command, told)


def test_json_is_nested_too_deeply(tmp_path: Any) -> None:
    deep = "[" * 100_000
    (tmp_path / "v.json").write_text(deep)
    for command in (
        ["derive", TEXT, "--values", str(tmp_path / "v.json")],
        ["derive", TEXT, "--value", f"x={deep}"],
        ["grade", "x: weight[n]; loss = sum(x)", "--answer", "1", "--at", str(tmp_path / "v.json")],
    ):
        status, told = ran(*command)
        assert status == 2 and "fault" not in told and len(told) < 200_000


def test_json_keeps_words() -> None:
    d = sg.derive(DECLARED.format("a\\", '"""', '"</script>"', '"<b>"', "enc"))
    assert json.loads(d.json())
