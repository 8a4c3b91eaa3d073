"""The README's examples run, and show what they really print."""

import re
import shlex
from pathlib import Path

import pytest
from commands import python, symgrad

import symgrad as sg
from symgrad.library import DEFINITIONS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return [body for language, body in BLOCKS if language == kind]


def test_python_examples_run(tmp_path, monkeypatch, capsys) -> None:
    """One after the other, as a reader would type them; `# prints:` lines are compared with what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    # what the examples define is gone afterwards
    monkeypatch.setattr(DEFINITIONS, "_known", dict(DEFINITIONS._known))
    names: dict[str, object] = {}
    ran = 0
    for body in blocks("python"):
        exec(compile(body, "README.md", "exec"), names)
        expected = re.findall(r"^# prints: (.*)$", body, re.MULTILINE)
        printed = capsys.readouterr().out.splitlines()
        assert [line for line in expected if line not in printed] == []
        ran += 1
    assert ran >= 3


@pytest.mark.parametrize("text", blocks("sg"), ids=lambda t: t.splitlines()[0][:30])
def test_declarations_are_derived_and_checked(text: str) -> None:
    d = sg.derive(text)
    verdict = d.check()
    assert verdict.ok, f"{text}\n{verdict}"


@pytest.mark.parametrize("block", blocks("console"), ids=lambda b: b.splitlines()[0][2:40])
def test_commands_run(block: str, tmp_path: Path) -> None:
    """The commands of a block, one after the other, where the shipped networks and data lie as in a checkout."""
    (tmp_path / "symgrad").mkdir()
    for folder in ("networks", "data"):
        (tmp_path / "symgrad" / folder).symlink_to(ROOT / "symgrad" / folder)
    for line in block.splitlines():
        prompt, program, *words = shlex.split(line)
        assert prompt == "$"
        done = {"symgrad": symgrad, "python": python}[program](*words, cwd=tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stderr}"


def test_attacks_that_are_named_exist() -> None:
    named = re.findall(r"`python -m tests\.(\w+)", README)
    assert len(named) >= 5
    for name in named:
        file = ROOT / "tests" / f"{name}.py"
        text = (file if file.exists() else ROOT / "tests" / name / "__main__.py").read_text("utf-8")
        assert '__name__ == "__main__"' in text
