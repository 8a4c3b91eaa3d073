"""The same declaration gives the same bytes, the same seed the same weights: in any process."""

import ast
from pathlib import Path

import determinism
import pytest

import symgrad as sg

ROOT = determinism.ROOT


# the pages of the gallery say the same of operations, in each process that tests them
LONG = {"operations", "exercises"}


@pytest.mark.parametrize(
    "part", [pytest.param(p, marks=[pytest.mark.long] if p in LONG else []) for p in determinism.PARTS]
)
def test_the_same_bytes_in_another_process(part: str) -> None:
    """With another order of hashes, without asserts, in another language, time zone, folder and terminal."""
    here = determinism.committed() if part == "networks" else determinism.digests(part)
    assert len(here) > 1
    assert determinism.differing(here, determinism.elsewhere(part)) == []


def test_a_difference_is_found() -> None:
    here = determinism.digests("weights")
    assert determinism.differing(here, here | {"fast": "0"}) == ["fast"]
    assert determinism.differing(here, {"fast": here["fast"]}) == ["readable"]


def test_line_endings_of_a_declaration_do_not_matter(tmp_path: Path) -> None:
    text = "# a line\nx: data[n, 3]\nt: data[n, 2]\nloss = mse(dense(x, 2), t)\n"
    sources = []
    for k, end in enumerate(("\n", "\r\n", "\r")):
        path = tmp_path / str(k) / "net.sg"
        path.parent.mkdir()
        path.write_bytes(text.replace("\n", end).encode())
        written = sg.Model(path).generate(tmp_path / str(k) / "net.py")
        sources.append(written.read_bytes())
    assert sources[0] == sources[1] == sources[2]
    assert b"\r" not in sources[0]


def translated(source: str) -> list[int]:
    """The lines of a source that open a file for writing text without saying how its lines end."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if ast.unparse(node.func) == "archive.open":  # an entry of a zip file: bytes
            continue
        words = [
            a.value for a in (*node.args, *(k.value for k in node.keywords)) if isinstance(a, ast.Constant)
        ]
        opens = name in ("open", "fdopen", "NamedTemporaryFile") and any(
            isinstance(w, str) and set(w) & set("wax+") and set(w) <= set("rwaxt+") for w in words
        )
        if (opens or name == "write_text") and not any(k.arg == "newline" for k in node.keywords):
            found.append(node.lineno)
    return found


def test_no_platform_ends_the_lines_that_are_written() -> None:
    assert translated('open("a", "w"); open("b", "wb"); p.write_text(t); open("c")') == [1, 1]
    files = [*(ROOT / "symgrad").rglob("*.py"), ROOT / "generated" / "fast" / "digits.py"]
    assert {str(f): lines for f in files if (lines := translated(f.read_text("utf-8")))} == {}
