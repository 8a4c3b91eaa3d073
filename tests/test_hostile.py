"""Hostile text is refused in a sentence, never run, in bounded time: a slice of `python -m tests.fuzz`."""

import os
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import fuzz
import pytest
from commands import symgrad as command
from hostile.texts import Maker
from hostile.watch import Executed, watching

import symgrad as sg
from symgrad.explain.values import fraction
from symgrad.language import updates

SEED = int(os.environ.get("FUZZ_SEED", "0"))


@pytest.mark.parametrize(("kind", "count"), [("read", 700), ("derive", 12), ("command", 40)])
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
        "loss = " + "x + " * 49_000 + "x",
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
    ],
)
def test_the_command_line_refuses_in_one_paragraph(words: list[str], said: str, tmp_path) -> None:
    (tmp_path / "endless.sg").symlink_to("/dev/zero")
    (tmp_path / "folder.sg").mkdir()
    (tmp_path / "binary.sg").write_bytes(bytes(range(256)))
    done = command(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("symgrad: ")
    assert "\n\n" not in done.stderr
    assert "usage" not in done.stderr
    assert done.stdout == ""
