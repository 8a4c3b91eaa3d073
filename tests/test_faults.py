"""What goes wrong while files are written: they are there as a whole or as they were, and a run goes on.

`tests/kills.py` kills whole runs; here is a slice of it, and every fault of the two writers of files by itself.
"""

import ast
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import cli, emit
from symgrad.errors import SymgradError
from symgrad.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
TEXT = "x: data[n, 2]; y: data[n]; w: weight[2]; p = relu(x @ w); loss = mse_loss(p, y)"
NET = emit.load(sg.Model(TEXT).source("net", style="fast", optimizer="sgd"), "net")
posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and signals of POSIX")


def written_by_module(path: Path, content: bytes) -> None:
    NET["_check_writable"](path)
    NET["_write_whole"](path, lambda file: file.write(content))


WRITERS = pytest.mark.parametrize("write", [write_atomically, written_by_module])
REFUSALS = (SymgradError, NET["Problem"])


def kills(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.kills", "--repeatable", *words], cwd=ROOT, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@posix
def test_a_few_runs_are_killed_and_go_on() -> None:
    assert "nothing is lost" in kills("--count", "4", "--seed", "2")


@posix
@pytest.mark.long
def test_runs_are_killed_and_go_on() -> None:
    assert "nothing is lost" in kills("--count", "200", "--seed", "3")


# ---------------------------------------------------------------------- one file


@WRITERS
@pytest.mark.parametrize(
    "fault", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
@pytest.mark.parametrize("event", ["fsync", "replace", "chmod", "open"])
def test_a_file_is_the_new_one_or_the_old_one(
    write: Any, fault: BaseException, event: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    does, calls = getattr(os, event), []

    def fails(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments)
        if len(calls) == at:
            raise fault
        return does(*arguments, **more)

    for at in (1, 2):
        calls.clear()
        monkeypatch.setattr(os, event, fails)
        told: BaseException | None = None
        try:
            write(path, b"new")
        except (*REFUSALS, KeyboardInterrupt, MemoryError) as problem:
            told = problem
        monkeypatch.undo()
        behind = event == "open" or (event, at) == ("fsync", 2)  # the folder is flushed: the file is there
        assert path.read_bytes() == (b"old" if told and not behind else b"new")
        assert told is None or isinstance(told, (*REFUSALS, type(fault)))
        assert os.listdir(tmp_path) == ["f"]
        if isinstance(fault, OSError) and at == 1:
            assert (
                behind
                or str(told) == f"{path} cannot be written: No space left on device; nothing was changed"
            )


@posix
@WRITERS
def test_modes_and_links_stay(write: Any, tmp_path: Path) -> None:
    path, link = tmp_path / "f", tmp_path / "link"
    before = os.umask(0o027)
    try:
        write(path, b"1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640  # as any new file
    finally:
        os.umask(before)
    path.chmod(0o600)
    link.symlink_to("f")
    write(link, b"2")
    assert link.is_symlink() and path.read_bytes() == b"2" and stat.S_IMODE(path.stat().st_mode) == 0o600
    (tmp_path / "to").symlink_to("none")  # leads nowhere yet
    write(tmp_path / "to", b"3")
    assert (tmp_path / "none").read_bytes() == b"3"


@WRITERS
def test_what_may_only_be_read_is_left_alone(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write all
    with pytest.raises(REFUSALS, match="f cannot be written: it may only be read; nothing was changed"):
        write(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["f"]


@posix
def test_what_is_no_plain_file_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, b"told")
    assert os.read(reader, 9) == b"told" and stat.S_ISFIFO(pipe.stat().st_mode)
    os.close(reader)
    with pytest.raises(NET["Problem"], match="pipe cannot be written: it is no plain file"):
        NET["Model"]().save(pipe)
    with pytest.raises(SymgradError, match="Is a directory"):
        write_atomically(tmp_path, b"")


@WRITERS
def test_what_a_killed_writer_left_is_removed(write: Any, tmp_path: Path) -> None:
    """When it is an hour old: until then it may be that of another who is writing."""
    for name, age in {"old": 4000, "fresh": 0}.items():
        (tmp_path / f".symgrad-{name}.tmp").write_bytes(b"half")
        times = (tmp_path / f".symgrad-{name}.tmp").stat().st_mtime - age
        os.utime(tmp_path / f".symgrad-{name}.tmp", (times, times))
    write(tmp_path / "f", b"1")
    assert sorted(os.listdir(tmp_path)) == [".symgrad-fresh.tmp", "f"]


@WRITERS
def test_a_folder_that_cannot_be_read_takes_files(write: Any, tmp_path: Path, monkeypatch: Any) -> None:
    def fails(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", fails)  # root may read all
    write(tmp_path / "f", b"1")
    assert (tmp_path / "f").read_bytes() == b"1"


def test_no_place_for_a_pdf_is_told(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkdtemp", fails)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert cli.main(["ops", "relu", "-o", str(tmp_path / "f.pdf")]) == 2
    assert capsys.readouterr().err == "symgrad: no PDF could be made: No space left on device\n"
    assert cli.main(["ops", "relu", "--open"]) == 2
    assert "no place for it: No space left on device" in capsys.readouterr().err


OPENING = {"open", "fdopen", "FileIO", "ZipFile", "memmap", "open_memmap"}
OTHERS = {("os", "open"), ("self", "open"), ("webbrowser", "open")}  # descriptors of folders; no files
WRITING = {
    "write_text", "write_bytes", "tofile", "savez", "savez_compressed", "savetxt", "savefig", "touch", "mkstemp",
    "NamedTemporaryFile", "TemporaryFile", "copyfile", "copy2", "copytree", "move",
    "FileHandler", "link", "symlink", "truncate",
}  # fmt: skip
OF_MODULES = {("os", "replace"), ("os", "rename"), ("shutil", "copy"), ("np", "save"), ("json", "dump")}
NAMES = re.compile(r"\b(" + "|".join(sorted(OPENING | WRITING | {name for _, name in OF_MODULES})) + r")\(")


def writers(text: str) -> set[tuple[str, str]]:
    """Where a source writes to files: the function and what it calls."""
    found = set()

    def writes(call: ast.Call, owner: str, name: str) -> bool:
        if name not in OPENING or (owner, name) in OTHERS:
            return name in WRITING or (owner, name) in OF_MODULES
        of_path = isinstance(call.func, ast.Attribute) and name == "open" and owner != "io"
        modes = [*call.args[0 if of_path else 1 :][:1], *(k.value for k in call.keywords if k.arg == "mode")]
        if name.endswith("memmap") and not modes:  # it writes if it is not told
            return True
        return not all(isinstance(m, ast.Constant) and m.value in ("r", "rb", "rt") for m in modes)

    def look(node: ast.AST, function: str) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            function = node.name
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if writes(node, getattr(getattr(node.func, "value", None), "id", ""), name):
                found.add((function, name))
        for child in ast.iter_child_nodes(node):
            look(child, function)

    if NAMES.search(text):
        look(ast.parse(text), "")
    return found


def test_one_place_writes_files() -> None:
    """So that what holds for it holds for every file; a PDF is made in a temporary folder, a plot in memory."""
    found = {
        (path.relative_to(ROOT / "symgrad").as_posix(), *place)
        for path in (ROOT / "symgrad").rglob("*.py")
        for place in writers(path.read_text("utf-8"))
    }
    assert found == {
        ("files.py", "write_atomically", "open"),
        ("files.py", "write_atomically", "replace"),
        ("explain/pdf.py", "_typeset", "write_text"),
        ("explain/pdf.py", "_printed", "write_text"),
        ("study/plots.py", "_drawn", "savefig"),
    }


@pytest.mark.parametrize("style", ["fast", "readable"])
def test_one_place_of_a_module_writes_files(style: str) -> None:
    text = (ROOT / "generated" / style / "digits.py").read_text("utf-8")
    archive = {("_write_npz", "ZipFile"), ("_write_npz", "open")}  # into the file that it is given
    assert writers(text) == {("_replace", "open"), ("_replace", "replace"), *archive}


@pytest.mark.parametrize(
    "line",
    [
        "open(p, 'w')", "open(p, mode='a')", "open(p, mode)", "p.open('wb')", "io.open(p, 'x')", "p.write_text(t)",
        "np.save(p, a)", "np.savez(p, a)", "a.tofile(p)", "os.replace(a, b)", "os.fdopen(h, 'w')", "shutil.move(a, b)",
        "figure.savefig(p)", "json.dump(a, f)", "zipfile.ZipFile(p, 'w')", "np.memmap(p)",
    ],
)  # fmt: skip
def test_another_place_would_be_found(line: str) -> None:
    assert writers(f"def f():\n    {line}")


# ---------------------------------------------------------------------- a run


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, 2))
    return x, x @ [1.0, 2.0]


def test_weights_that_are_not_finite_replace_no_checkpoint(tmp_path: Path) -> None:
    """The loss stays finite, since no example passes relu: only the weights tell."""
    model, path, advance = NET["Model"](), tmp_path / "run.npz", NET["Model"]._advance

    def lost() -> None:
        advance(model)
        if model.steps == 3:
            model._w[:] = -np.inf

    model._advance = lost
    x, y = data()
    with pytest.raises(NET["Problem"], match="weights are no longer finite at step 3"):
        model.fit(abs(x), y, batch_size=2, checkpoint=path, every=1, quiet=True)
    kept = NET["Model"]()
    kept.load(path)
    assert kept.steps == 2 and model.stopped == "diverged"


def test_a_run_whose_files_cannot_be_written_says_so(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    x, y = data()
    np.savetxt(tmp_path / "t.csv", np.column_stack([x, y]), delimiter=",")
    (tmp_path / "run").mkdir()
    replace = os.replace

    def full(source: str, target: str) -> None:
        if str(target).endswith("run.npz") and Path(target).exists():
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    files = ["--checkpoint", str(tmp_path / "run" / "run.npz"), "--save", str(tmp_path / "w.npz")]
    assert NET["main"](["train", str(tmp_path / "t.csv"), *files, "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == f"saved {tmp_path / 'w.npz'}, as it was then\n"
    assert said.err.endswith("run.npz cannot be written: No space left on device; nothing was changed\n")
    saved, kept = NET["Model"](), NET["Model"]()
    saved.load(tmp_path / "w.npz")
    kept.load(tmp_path / "run" / "run.npz")
    assert (kept.steps, saved.steps) == (1, 2)
    monkeypatch.undo()
    assert NET["main"](["train", str(tmp_path / "t.csv"), *files, "--resume", "--quiet"]) == 0
    saved.load(tmp_path / "w.npz")
    assert saved.steps == 20
    (tmp_path / "w.npz").unlink()  # as if killed in between: a run that is finished saves its weights again
    assert NET["main"](["train", str(tmp_path / "t.csv"), *files, "--resume", "--quiet"]) == 0
    saved.load(tmp_path / "w.npz")
    assert saved.steps == 20


def test_no_file_of_a_run_is_written_over_another(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    x, y = data()
    monkeypatch.chdir(tmp_path)
    np.savetxt("t.csv", np.column_stack([x, y]), delimiter=",")
    shutil.copy("t.csv", "v.csv")
    Path("link.csv").symlink_to("t.csv")
    NET["Model"]().save("w.npz")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for words in (
        "--save t.csv", "--save ./t.csv", "--save link.csv", "--checkpoint t.csv", "--history t.csv",
        "--validation-data v.csv --history v.csv", "--save r.npz --checkpoint r.npz",
        "--history r.npz --checkpoint ../" + tmp_path.name + "/r.npz", "--save r --history r",
        "--weights w.npz --checkpoint w.npz",
    ):  # fmt: skip
        assert NET["main"](["train", "t.csv", *words.split(), "--quiet"]) == 2
        assert capsys.readouterr().err.endswith(
            "cannot be written: it is named for something else too; name another file\n"
        )
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(NET["Problem"], match="for something else too"):
        NET["Model"]().fit(x, y, history="r", checkpoint=tmp_path / "r")
    assert NET["main"](["train", "t.csv", "--weights", "w.npz", "--save", "w.npz", "--quiet"]) == 0


def test_no_command_writes_over_what_it_reads(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.sg").write_text(TEXT.replace("; ", "\n"))
    Path("v.json").write_text('{"w": [1, 2]}')
    Path("link.sg").symlink_to("net.sg")
    for words in (
        "derive net.sg --format text -o net.sg", "derive net.sg --format text -o ./link.sg",
        "derive net.sg --values v.json --format text -o v.json", "train net.sg digits --save net.sg",
        "train net.sg digits --save=net.sg",
    ):  # fmt: skip
        assert cli.main(words.split()) == 2
        assert capsys.readouterr().err.endswith(
            "cannot be written: the command reads it; name another file\n"
        )
    assert Path("net.sg").read_text().startswith("x: data") and Path("v.json").read_text().startswith("{")


class Gone:
    """An output that nobody reads."""

    def __init__(self, problem: Exception):
        self.problem = problem

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise self.problem

    flush = isatty


@pytest.mark.parametrize(
    "output", [None, Gone(BrokenPipeError()), Gone(OSError(28, "full")), Gone(ValueError())]
)
def test_no_run_ends_for_want_of_a_reader(output: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", output)
    model = NET["Model"]()
    model.fit(*data(), epochs=2)
    assert model.stopped == "epochs" and model.steps == 2


def test_an_output_that_is_full_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    """And its file is there."""
    with (tmp_path / "out").open("w") as file:

        class Full(Gone):
            def fileno(self) -> int:
                return file.fileno()

            def isatty(self) -> bool:
                return False

        monkeypatch.setattr(sys, "stdout", Full(OSError(28, "No space left on device")))
        assert cli.main(["ops", "relu", "-o", str(tmp_path / "relu.tex")]) == 2
    assert capsys.readouterr().err == "symgrad: what it tells cannot be written: No space left on device\n"
    assert (tmp_path / "relu.tex").read_text().endswith("\\end{document}\n")


def test_a_signal_behind_the_last_step_is_not_lost(tmp_path: Path) -> None:
    """The run is over, but what is around it, such as a search, is told to end."""
    model, keep = NET["Model"](), NET["Model"]._keep

    def late(run: Any) -> Any:
        if run.over():
            signal.raise_signal(signal.SIGINT)
        return keep(model, run)

    model._keep = late
    model.fit(*data(), epochs=2, checkpoint=tmp_path / "run.npz", quiet=True)
    assert model.stopped == "interrupted" and len(model.history) == 2


@posix
def test_a_signal_while_a_file_is_written_acts_afterwards(tmp_path: Path, monkeypatch: Any) -> None:
    """It would cut off the archive between two of its entries, which then cannot be closed."""
    model, write_array = NET["Model"](), np.lib.format.write_array

    def struck(entry: Any, a: np.ndarray, **more: Any) -> None:
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)
        write_array(entry, a, **more)

    monkeypatch.setattr(np.lib.format, "write_array", struck)
    with pytest.raises(KeyboardInterrupt):
        model.save(tmp_path / "w.npz")
    assert os.listdir(tmp_path) == ["w.npz"]
    NET["Model"]().load(tmp_path / "w.npz")
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


@pytest.mark.parametrize(
    ("problem", "status", "told"),
    [
        (KeyboardInterrupt(), 130, "net: interrupted"),
        (MemoryError(), 2, "net: it takes more memory than there is"),
    ],
)
def test_a_command_that_is_cut_off_tells_one_sentence(
    problem: BaseException, status: int, told: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    np.savetxt(tmp_path / "t.csv", np.ones((4, 3)), delimiter=",")

    def fails(*_: Any, **__: Any) -> None:
        raise problem

    monkeypatch.setattr(NET["Model"], "fit", fails)
    words = ["train", str(tmp_path / "t.csv"), "--save", str(tmp_path / "w.npz")]
    assert NET["main"](words) == status
    assert capsys.readouterr().err == f"{told}\n"


@posix
def test_a_command_is_terminated_tidily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, path = signal.getsignal(signal.SIGTERM), tmp_path / "f.tex"
    monkeypatch.setattr(os, "fsync", lambda handle: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as left:
        cli.main(["ops", "relu", "-o", str(path)])
    assert left.value.code == 143 and os.listdir(tmp_path) == []
    assert signal.getsignal(signal.SIGTERM) == before
