"""What goes wrong while files are written: they are there as a whole or as they were, and a run goes on.

`tests/kills.py` kills whole runs; here is a slice of it, and every fault of the two writers of files by itself.
"""

import ast
import os
import signal
import stat
import subprocess
import sys
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
        [sys.executable, "-m", "tests.kills", *words], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@posix
def test_a_few_runs_are_killed_and_go_on() -> None:
    assert "nothing is lost" in kills("--points", "4", "--seed", "2")


@posix
@pytest.mark.long
def test_runs_are_killed_and_go_on() -> None:
    assert "nothing is lost" in kills("--points", "200", "--seed", "3")


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


def test_one_place_writes_files() -> None:
    """So that what holds for it holds for every file; a PDF is made in a temporary folder."""
    found = set()
    for path in (ROOT / "symgrad").rglob("*.py"):
        text = path.read_text("utf-8")
        for call in ast.walk(ast.parse(text)) if "write_" in text or "open(" in text else ():
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            modes = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            if (
                name in ("write_text", "write_bytes")
                or name == "open"
                and {"w", "wb", "x", "xb"} & set(modes)
            ):
                found.add(path.relative_to(ROOT / "symgrad").as_posix())
    assert found == {"files.py", "explain/pdf.py"}


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
