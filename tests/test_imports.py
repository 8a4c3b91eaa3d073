"""What is imported when: nothing that takes long before it is needed. Each in a fresh process."""

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.language.definitions import Definition, parse_definitions
from symgrad.library import APART, Library

HEAVY = ("numpy", "sympy", "jinja2", "symgrad.derivation")
LINE = "x: data[n, 2]; y: data[n]; w: weight[2]; z = x @ w; loss = mean((z - y)**2)"


def imported(code: str, *words: str, cwd: Path | None = None) -> list[str]:
    """Which of the heavy ones a program imports; words are its command line."""
    report = f"import sys, atexit; atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules]))\n"
    done = subprocess.run(
        [sys.executable, "-c", report + code, *words], capture_output=True, text=True, cwd=cwd, check=True
    )
    return [m for m in HEAVY if f"'{m}'" in done.stdout.splitlines()[-1]]


@pytest.mark.parametrize(
    ("code", "needs"),
    [
        ("import symgrad", []),
        ("import symgrad; symgrad.__version__", []),
        ("import symgrad; dir(symgrad)", ["numpy", "symgrad.derivation"]),
        ("from symgrad import *; derive, op, Model", ["numpy", "symgrad.derivation"]),
        ("from symgrad import Dense, mse, emit", ["numpy", "symgrad.derivation"]),
        ("from symgrad.ops import examples", ["numpy", "symgrad.derivation"]),
        ("from symgrad import errors", []),
        ("import symgrad; symgrad.data('n', 4)", ["numpy", "symgrad.derivation"]),
        (f"import symgrad; symgrad.Model('''{LINE}''')", ["numpy", "symgrad.derivation"]),
        (f"import symgrad; symgrad.derive('''{LINE}''')", ["numpy", "sympy", "symgrad.derivation"]),
        (f"import symgrad; symgrad.Model('''{LINE}''').source()", list(HEAVY)),
    ],
)
def test_what_is_imported(code: str, needs: list[str]) -> None:
    assert imported(code) == needs


@pytest.mark.parametrize("words", ["--version", "--help", "generate --help", "ops", "exercise --list"])
def test_commands_without_sympy(words: str) -> None:
    found = imported("import symgrad.cli\nsymgrad.cli.main(sys.argv[1:])", *words.split())
    assert "sympy" not in found and "jinja2" not in found


def test_a_generated_module_needs_numpy_only(tmp_path: Path) -> None:
    sg.Model(LINE).generate(tmp_path / "line.py", style="fast")
    (tmp_path / "table.csv").write_text("1,2,3\n4,5,6\n7,8,10\n")
    run = "import line\nline.main(sys.argv[1:])"
    assert imported(run, "train", "table.csv", "--epochs", "2", "--save", "line.npz", cwd=tmp_path) == [
        "numpy"
    ]
    assert imported(run, "predict", "table.csv", "--weights", "line.npz", cwd=tmp_path) == ["numpy"]


def test_names_of_the_package() -> None:
    assert {"derive", "Dense", "mse", "define"} <= set(dir(sg))
    with pytest.raises(AttributeError, match="no attribute '_nothing'"):
        _ = sg._nothing
    with pytest.raises(AttributeError, match="did you mean 'relu'"):
        _ = sg.rel


def test_definitions_read_one_by_one() -> None:
    whole: dict[str, Definition] = {}
    for file in sorted(resources.files("symgrad.library").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".sg") and file.name not in APART:
            whole |= parse_definitions(file.read_text("utf-8"), where=file.name)
    known = Library()
    assert list(known) == list(whole)
    for name, first in whole.items():
        ours = known[name]
        assert [_told(d) for d in (ours, *ours.others)] == [_told(d) for d in (first, *first.others)]


def _told(d: Definition) -> tuple[str, ...]:
    return d.signature, d.source.strip(), d.doc, d.kind, d.where


def test_another_name_keeps_what_it_was_made_for() -> None:
    known = Library()
    known["mse_loss"] = parse_definitions("def mse_loss(y, t): return sum(y - t)")["mse_loss"]
    assert "sum(y - t)" in known["mse_loss"].source and "sum(y - t)" not in known["mse"].source
    del known["mse_loss"]
    assert "mse_loss" not in known and "mse" in known and len(known) == len(Library()) - 1
