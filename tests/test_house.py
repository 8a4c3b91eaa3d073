"""The house rules: who imports whom, what is never called, what stands where, lint, types and examples.

Each rule is a function that returns the faults it finds, tried on planted faults as well as on the house.
"""

from __future__ import annotations

import ast
import doctest
import hashlib
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "symgrad"

TOP_LEVEL = {"pyproject.toml", "README.md", "symgrad", "templates", "generated", "tests"}  # and dot-files

FLOORS = {
    "errors": 0,
    "files": 0,
    "leaves": 0,
    "seen": 0,
    "language": 1,
    "scalars": 2,
    "chain": 2,
    "exact": 2,
    "passes": 3,
    "library": 4,
    "emit": 5,
    "explain": 5,
    "check": 5,
    "objects": 6,
    "study": 6,
}
TOP_FLOOR = 6  # __init__, cli, and every other module directly in symgrad/
APART = {"emit", "explain", "check"}  # these import nothing of one another
NO_CODE = {"networks", "data", "topics"}

# (file, imported module) of imports that may stand in a function, each with its reason
LAZY: set[tuple[str, str]] = {
    # what takes long to import waits for its first use: sympy as long as numpy and all of this package
    ("__init__.py", "symgrad"),
    ("cli.py", "symgrad"),
    ("chain.py", "symgrad.scalars"),  # sympy, when the first body is differentiated
    ("exact/signatures.py", "sympy"),  # its primes, when the first answer is graded
    ("check/proof.py", "symgrad.check.expanded"),  # sympy, when a program is short enough for it
    ("emit/frames.py", "jinja2"),  # when the first template is filled in
    ("study/plots.py", "matplotlib"),  # an extra, when the first plot is drawn
}

ONLY_IN = {
    "jinja2": ("emit/",),
    "matplotlib": ("study/plots.py",),
    "sympy": ("scalars.py", "exact/signatures.py", "check/expanded.py"),
}
SERIALISERS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve"}
BUILTINS_THAT_RUN_TEXT = {"eval", "exec", "compile", "__import__"}
SYMPY_THAT_RUNS_TEXT = {"sympify", "parse_expr", "lambdify"}  # and S(...), which is sympify
MAY_RUN = {"emit/load.py": {"compile", "exec"}}  # where emitted source is compiled


# ---------------------------------------------------------------------- reading a file


def imports(tree: ast.AST, file: str) -> Iterator[tuple[int, str, bool]]:
    """Each import of a file of symgrad: its line, the full dotted name, and whether it stands in a function.

    `from a import b` gives `a.b`: whether b is a module or a name in one does not matter to any rule.
    """
    package = ["symgrad", *Path(file).parent.parts]
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            names = [".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names]
        else:
            continue
        for name in names:
            yield node.lineno, name, id(node) in inside


def sources(package: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package).as_posix(), ast.parse(path.read_bytes(), str(path))


# ---------------------------------------------------------------------- the rules


def room(parts: tuple[str, ...]) -> str:
    """The part of the house that a path or a dotted name below symgrad belongs to."""
    return parts[0].removesuffix(".py") if parts else "__init__"


def faults_of_floors(package: Path) -> list[str]:
    """Imports from a higher floor, between rooms that stay apart, in functions, of jinja2 or sympy outside theirs."""
    faults = []
    for file, tree in sources(package):
        here = room(Path(file).parts)
        if here in NO_CODE or (here not in FLOORS and "/" in file):
            faults.append(f"{file}: no code belongs in {here}/")
            continue
        for line, name, nested in imports(tree, file):
            where, (top, *rest) = f"{file}:{line}", name.split(".")
            if nested and not any(file == f and (name + ".").startswith(m + ".") for f, m in LAZY):
                faults.append(f"{where}: {name} is imported in a function")
            if not file.startswith(ONLY_IN.get(top, "")):
                faults.append(f"{where}: {top} is imported outside {ONLY_IN[top]}")
            if top != "symgrad":
                continue
            there = room(tuple(rest))
            # a name that is no room is one that __init__ gives: `from symgrad import derive`
            if FLOORS.get(there, TOP_FLOOR) > FLOORS.get(here, TOP_FLOOR):
                faults.append(f"{where}: {name} is on a higher floor than {here}")
            if {here, there} <= APART and here != there:
                faults.append(f"{where}: {here} and {there} stay apart")
    return faults


def faults_of_running_text(package: Path) -> list[str]:
    """Mentions, called or not, of what executes text or loads objects that can."""
    runs, brings = BUILTINS_THAT_RUN_TEXT | SYMPY_THAT_RUNS_TEXT, SYMPY_THAT_RUNS_TEXT | {"import_module"}
    faults = []
    for file, tree in sources(package):
        found = []
        for node in ast.walk(tree):
            match node:
                case ast.Name(id=name, ctx=ast.Load()) if name in runs:
                    found.append((node.lineno, name))
                case ast.Attribute(value=ast.Name(id="builtins" | "__builtins__"), attr=name):
                    found.append((node.lineno, name))
                case ast.Attribute(attr=name) if name in brings:
                    found.append((node.lineno, name))
                case ast.Call(func=ast.Name(id="S") | ast.Attribute(attr="S")):
                    found.append((node.lineno, "S"))
                case ast.keyword(arg="allow_pickle", value=value) if getattr(value, "value", True):
                    found.append((value.lineno, "allow_pickle"))
        for line, name, _ in imports(tree, file):
            words = name.split(".")
            if words[0] in SERIALISERS | {"builtins"} or words[-1] in brings:
                found.append((line, name))
        faults += [f"{file}:{line}: {name}" for line, name in found if name not in MAY_RUN.get(file, ())]
    return faults


def strangers(paths: Iterable[str]) -> list[str]:
    """What stands at the top level and does not belong there."""
    tops = {path.split("/")[0] for path in paths}
    return sorted(top for top in tops - TOP_LEVEL if not top.startswith("."))


def not_templates(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file() and path.suffix != ".jinja")


def without_example(module: ModuleType) -> list[str]:
    """The classes and functions of `__all__` whose docstring has no example that doctest would run."""
    examples = doctest.DocTestParser().get_examples
    public = ((name, getattr(module, name)) for name in module.__all__)
    return [name for name, thing in public if callable(thing) and not examples(thing.__doc__ or "")]


def undescribed(folder: Path) -> list[str]:
    """The data files that are not what README.md beside them says, by their sha256, or not there."""
    note = (folder / "README.md").read_text("utf-8")
    stated = set(re.findall(r"^## (\S+)$(?:(?!^## ).)*?\| sha256 \| `(\w+)`", note, re.MULTILINE | re.DOTALL))
    shipped = {
        (path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*")
        if path.is_file() and path != folder / "README.md"
    }
    return sorted({name for name, _ in stated ^ shipped})


def complaint(*command: str) -> str:
    """What a tool says of the house, or nothing if it is content."""
    run = [sys.executable, "-m", *command]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr or f"exit status {done.returncode}")


# ---------------------------------------------------------------------- the house


def test_floors() -> None:
    assert faults_of_floors(PACKAGE) == []


def test_definitions_are_short() -> None:
    """A thing is its definition, and a definition is a few lines, its docstring aside."""
    library = importlib.import_module("symgrad.library").DEFINITIONS
    every = [d for first in library.values() for d in (first, *first.others)]
    lines = {
        d.signature: len([x for x in d.source.split("\n")[1:] if x.strip()]) - len(d.doc.splitlines())
        for d in every
    }
    assert {signature: n for signature, n in lines.items() if n > 11} == {}


def test_nothing_runs_text() -> None:
    assert faults_of_running_text(PACKAGE) == []


def test_lists_of_exceptions_are_used() -> None:
    files = {file for file, _ in sources(PACKAGE)}
    assert set(MAY_RUN) | {file for file, _ in LAZY} <= files


def test_top_level() -> None:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    assert strangers(filter(None, done.stdout.split("\0"))) == []


def test_templates() -> None:
    assert not_templates(ROOT / "templates") == []


def test_public_names_have_examples() -> None:
    assert without_example(importlib.import_module("symgrad")) == []


def test_examples_are_collected(pytestconfig: pytest.Config) -> None:
    # the examples run as items of their own; this notices when they no longer would
    assert "symgrad" in pytestconfig.getini("testpaths")
    assert pytestconfig.getoption("doctestmodules")


def test_data_is_as_described() -> None:
    assert undescribed(PACKAGE / "data") == []


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "check", "--isolated", "generated"),  # ruff's default rules: they are the user's files
        ("mypy",),
    ],
    ids=" ".join,
)
def test_tools(command: tuple[str, ...]) -> None:
    said = complaint(*command)
    assert not said, said


# ---------------------------------------------------------------------- planted faults


def plant(folder: Path, file: str, text: str) -> Path:
    """A package of its own that holds only this file."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return folder


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("errors.py", "from symgrad.language import parse"),
        ("errors.py", "import symgrad.cli"),
        ("errors.py", "from . import chain"),
        ("leaves.py", "from .chain import derive"),
        ("language/parse.py", "from ..chain import derive"),
        ("language/parse.py", "from .. import derive"),
        ("language/deep/parse.py", "from ...passes.tidy import hoist"),
        ("language/parse.py", "import symgrad"),
        ("chain.py", "if TYPE_CHECKING:\n    from .library import Layer"),
        ("passes/tidy.py", "from symgrad import library"),
        ("library/dense.py", "from ..newcomer import anything"),
        ("emit/numpy.py", "from ..explain import latex"),
        ("explain/latex.py", "from ..check import verdict"),
        ("check/steps.py", "from .. import emit"),
        ("explain/latex.py", "import jinja2"),
        ("cli.py", "from jinja2.sandbox import SandboxedEnvironment"),
        ("cli.py", "def main():\n    import numpy"),
        ("passes/tidy.py", "import sympy"),
        ("model.py", "class A:\n    def f(self):\n        if self:\n            from .chain import derive"),
        ("data/load.py", ""),
        ("networks/__init__.py", ""),
        ("newcomer/thing.py", ""),
    ],
)
def test_floors_planted(tmp_path: Path, file: str, text: str) -> None:
    assert len(faults_of_floors(plant(tmp_path, file, text))) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("language/parse.py", "from ..errors import Refusal\nfrom .ints import Size\nfrom . import ints"),
        ("emit/frames.py", "import jinja2\nfrom ..library import dense\nfrom .lines import line"),
        ("cli.py", "import symgrad\nfrom . import derive\nfrom .emit import load\nfrom .check import ok"),
        ("newcomer.py", "from .derivation import Derivation"),
    ],
)
def test_floors_sound(tmp_path: Path, file: str, text: str) -> None:
    assert faults_of_floors(plant(tmp_path, file, text)) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("leaves.py", "eval('1')"),
        ("leaves.py", "list(map(eval, texts))"),
        ("leaves.py", "builtins.exec('')"),
        ("leaves.py", "sympy.sympify(text)"),
        ("leaves.py", "from sympy import lambdify as make"),
        ("leaves.py", "sympy.S(text)"),
        ("leaves.py", "from sympy.parsing.sympy_parser import parse_expr"),
        ("leaves.py", "__import__('os')"),
        ("leaves.py", "importlib.import_module(name)"),
        ("leaves.py", "import pickle"),
        ("leaves.py", "np.load(path, allow_pickle=True)"),
        ("emit/numpy.py", "exec(source)"),
        ("emit/load.py", "eval(source)"),
    ],
)
def test_running_text_planted(tmp_path: Path, file: str, text: str) -> None:
    assert len(faults_of_running_text(plant(tmp_path, file, text))) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("leaves.py", "re.compile('a'); np.load(path, allow_pickle=False); sympy.S.Half; 'eval(x)'"),
        ("emit/load.py", "exec(compile(source, name, 'exec'), namespace)"),
    ],
)
def test_running_text_sound(tmp_path: Path, file: str, text: str) -> None:
    assert faults_of_running_text(plant(tmp_path, file, text)) == []


def test_strangers_planted() -> None:
    paths = ["README.md", ".ci/run", "symgrad/cli.py", "setup.py", "docs/a.md", "docs/b.md"]
    assert strangers(paths) == ["docs", "setup.py"]


def test_templates_planted(tmp_path: Path) -> None:
    fault = plant(tmp_path, "deep/module.py", "") / "deep/module.py"
    plant(tmp_path, "module.py.jinja", "")
    assert not_templates(tmp_path) == [str(fault)]


def test_examples_planted() -> None:
    module = ModuleType("planted", "")
    vars(module).update(
        __all__=["__version__", "good", "mute", "bare"],
        __version__="1",
        good=type("good", (), {"__doc__": "One.\n\n>>> 1\n1\n"}),
        mute=type("mute", (), {"__doc__": "Two."}),
        bare=lambda: None,
    )
    assert without_example(module) == ["mute", "bare"]


def test_data_planted(tmp_path: Path) -> None:
    empty = hashlib.sha256(b"").hexdigest()
    section = "## {}\n\n| | |\n|---|---|\n| sha256 | `{}` |\n"
    sections = [section.format(*row) for row in [("good.csv", empty), ("bad.csv", "0"), ("lost.csv", empty)]]
    plant(tmp_path, "README.md", "\n## mute.csv\n\n" + "\n".join(sections))
    for name in ["good.csv", "bad.csv", "mute.csv", "new.csv"]:
        plant(tmp_path, name, "")
    assert undescribed(tmp_path) == ["bad.csv", "lost.csv", "mute.csv", "new.csv"]


def test_tools_planted(tmp_path: Path) -> None:
    plant(tmp_path, "fault.py", '"""A fault."""\n\nimport os\n\n\ndef f(x):\n    return x.y\n')
    fault = str(tmp_path / "fault.py")
    assert "F401" in complaint("ruff", "check", "--config", "pyproject.toml", fault)
    assert "F401" in complaint("ruff", "check", "--isolated", fault)
    # no cache: the test beside this one may be writing it
    mypy = ["mypy", "--config-file", "pyproject.toml", "--cache-dir", os.devnull]
    assert "no-untyped-def" in complaint(*mypy, fault)
