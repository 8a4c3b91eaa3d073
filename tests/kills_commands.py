"""Commands that write files while things go wrong: each file is there as a whole, or as it was before."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib.util
import io
import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from symgrad import cli, files
from tests.faults import CODES, SIGNALS, TEMPORARY, Fault, Watch, Wrong, forked, require

NET = "x: data[n, 2]; y: data[n]; w: weight[2]; p = tanh(x @ w); loss = mse_loss(p, y)"
ENDINGS = (".txt", ".tex", ".html", ".md", ".json", ".py", ".svg")
COMMANDS: tuple[tuple[str, ...], ...] = (
    *(("derive", NET, "-o", f"net{ending}") for ending in ENDINGS),
    ("derive", NET, "--size", "n=3", "--seed", "1", "-o", "in/a/new/folder/worked.html"),
    ("generate", NET, "net.py"),
    ("generate", NET, "net.py", "--style", "readable", "--estimator"),
    ("ops", "relu", "-o", "relu.html"),
    ("exercise", "--topic", "ridge", "-o", "sheets"),
    ("exercise", "--topic", "dense", "-o", "sheets", "--format", "tex"),
    ("train", NET, "rows.csv", "--epochs", "2", "--save", "net.npz"),
    ("demo", "--out", "demo", "--epochs", "1"),
)
STUDY = ("study", "gradient", NET, "--size", "n=8", "-o", "study")
ROWS = "".join(f"{k % 7},{k % 5},{k % 3}\n" for k in range(20))
EVENTS = ("line", "open", "write", "fsync", "replace")


def ran(words: Sequence[str], folder: Path, fault: Fault | None) -> tuple[int, str]:
    """A command in a process of its own; its exit status, and what it says on standard error."""

    def run() -> int:
        os.chdir(folder)
        watch = Watch(folder, fault)
        if fault is not None and fault.kind == "full output":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        elif fault is not None and fault.event == "start":
            watch.strike(fault)
        watch.install(vars(files), files.__file__)
        try:
            return cli.main(words)
        finally:
            sys.settrace(None)
            if fault is None:
                (folder.parent / "counts").write_text(json.dumps(watch.counts))

    return forked(run, folder, fault)


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "rows.csv").write_text(ROWS)


@functools.cache
def straight(words: tuple[str, ...], root: Path) -> tuple[dict[str, bytes], Counter[str]]:
    """What a command leaves that nothing disturbs, and how many events there are."""
    fresh(root / "run")
    with contextlib.chdir(root / "run"), contextlib.redirect_stdout(io.StringIO()):
        cli.main(words)  # so that each process that is forked has all modules, and what was derived
    fresh(root / "run")
    status, errors = ran(words, root / "run", None)
    require(status == 0, f"the undisturbed command ends with {status}: {errors}")
    return contents(root / "run"), Counter(json.loads((root / "counts").read_text()))


def choose(counts: Counter[str], rng: random.Random) -> Fault:
    event = rng.choice([e for e in EVENTS if counts[e]])
    at = rng.randint(1, counts[event])
    kind = rng.choice([*SIGNALS, *SIGNALS, "error", "error", "error", "full", "full output", "pipe"])
    if kind == "full":
        return Fault(kind, "", rng.randint(1, 6000))
    if kind == "error":
        return Fault(kind, event if event != "line" else "write", at, rng.choice(CODES))
    return Fault(kind, event, at) if kind in SIGNALS else Fault(kind, "start")


def disturbed(words: tuple[str, ...], root: Path, rng: random.Random) -> Fault:
    """A command with a fault, and once more without; the fault.

    Raises:
        Wrong: a file is half written, or lost; or more than a sentence is told.
    """
    new, counts = straight(words, root)
    fault, folder = choose(counts, rng), root / "run"
    fresh(folder)
    before = {name: b"old " + name.encode() for name in new if rng.random() < 0.5 and name != "rows.csv"}
    for name, data in before.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    try:
        status, errors = ran(words, folder, fault)
        expected = {"INT": {130}, "TERM": {143}, "KILL": {-9}, "pipe": {0}, "full output": {2}}
        require(status in expected.get(fault.kind, {0, 2}), f"the exit status is {status}: {errors}")
        require(
            "Traceback" not in errors and errors.count("\n") <= 1, f"more than a sentence is told: {errors}"
        )
        require(status != 2 or errors != "" and "fault of symgrad" not in errors, f"it is told as {errors!r}")
        left = contents(folder)
        for name, data in before.items():
            require(left.get(name) in (data, new[name]), f"{name} is neither the old one nor the new one")
        for name, data in left.items():
            may = status < 0 or fault.kind in SIGNALS and fault.event == "line"
            if not (may and Path(name).name.startswith(TEMPORARY)):
                require(name in before or data == new.get(name), f"{name} is half written, or of nobody")
        if status == 0:
            require(
                {**before, **left} == {**before, **new}, "it says that all is well, but files are missing"
            )
        status, errors = ran(words, folder, Fault("none"))
        require(status == 0, f"the command fails when it is given again: {errors}")
        last = {
            name: data for name, data in contents(folder).items() if not Path(name).name.startswith(TEMPORARY)
        }
        require(last == new, "the command given again makes other files")
    except Wrong as wrong:
        raise Wrong(f"{wrong}; {fault} of {words}") from None
    return fault


def commands(points: int, seed: int, root: Path) -> Counter[str]:
    """Disturb so many commands; how many faults of each kind there were."""
    rng, counts = random.Random(seed), Counter[str]()  # noqa: S311
    drawn = importlib.util.find_spec("matplotlib") is not None
    for k in range(points):
        words = STUDY if drawn and k % 40 == 39 else rng.choice(COMMANDS)
        fault = disturbed(words, root, rng)
        counts[fault.kind if fault.kind != "error" else errno.errorcode[fault.code]] += 1
    return counts
