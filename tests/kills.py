"""Training and writing while things go wrong: processes are killed, disks are full, files are damaged.

python -m tests.kills --points 200 --seed 0

Each point is a process of its own (forked, so POSIX only) in which one fault happens at a random place: at the k-th
line of the generated module, or at its k-th write, flush to the disk, renaming, or update. Nothing depends on the
clock. Afterwards what is on the disk is judged, and the run goes on, sometimes to be killed once more; its end must
be, bit by bit, that of a run that was never disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import errno
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process with threads is not forked

import numpy as np

import symgrad as sg
from symgrad import emit

CODES = [getattr(errno, name) for name in ("ENOSPC", "EIO", "EROFS", "EACCES", "EDQUOT")]
SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "KILL": signal.SIGKILL}
TEMPORARY = ".symgrad-"

DROPOUT = """
    x: data[n, 5]
    t: label[n] < 3
    h = dropout(relu(batch_norm(dense(x, 7))), 0.3)
    z = dense(h, 3)
    loss = softmax_cross_entropy(z, t)
"""
PLAIN = "x: data[n, 5]; t: label[n] < 3; z = dense(tanh(dense(x, 6)), 3); loss = softmax_cross_entropy(z, t)"
LINE = (
    "x: data[n, 5] & standardized; y: data[n]; w: weight[5]; b: weight; p = x @ w + b; loss = mse_loss(p, y)"
)
WORDS = """
    x: data[n, 5] & standardized
    t: label[n] in ["cat", "dog", "hen"]
    z = dense(x, 3)
    loss = softmax_cross_entropy(z, t)
"""
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")


class Wrong(AssertionError):
    """What a fault has broken."""


@dataclass
class Case:
    """A run to disturb: a module, the arguments of `fit`, and what they lead to when nothing happens."""

    text: str
    made: dict[str, Any]
    asked: dict[str, Any]
    command: bool  # on the command line, else by `fit`
    words: bool = False  # labels as words
    mapped: bool = False  # data in a .npy file, which stays there
    own: dict[str, Any] = field(default_factory=dict)  # arguments of the model
    net: dict[str, Any] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    steps: dict[int, bytes] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.net = emit.load(sg.Model(self.text).source("net", **self.made), "net")

    def write_data(self, folder: Path) -> None:
        rng = np.random.default_rng(7)
        x = rng.standard_normal((43, 5)).round(3)
        t = (x[:, 0] > 0.3).astype(int) + (x[:, 1] > 0.5)
        if self.mapped:
            np.save(folder / "x.npy", x)
            np.save(folder / "t.npy", t)
            return
        labels = [("cat", "dog", "hen")[k] for k in t] if self.words else t.tolist()
        with (folder / "rows.csv").open("w", newline="") as file:
            csv.writer(file).writerows([*map(float, row), k] for row, k in zip(x, labels, strict=True))

    def run(self, folder: Path, resume: bool) -> int:
        """The run, in a process that was forked for it; its exit status."""
        files = {"checkpoint": folder / "run.npz", "history": folder / "rows_of.csv"}
        if self.command:
            words = ["train", str(folder / "rows.csv"), "--save", str(folder / "weights.npz")]
            names = {"batch_size": "batch"}
            for name, value in {**self.asked, **files, **self.own}.items():
                words += [] if value is None else [f"--{names.get(name, name)}", str(value)]
            return int(self.net["main"](words + ["--resume"] * resume))
        load: Any = (lambda name: np.load(folder / name, mmap_mode="r")) if self.mapped else None
        if self.mapped:
            x, t = load("x.npy"), load("t.npy")
        else:
            table = list(csv.reader((folder / "rows.csv").open()))
            x = np.array([row[:5] for row in table], float)
            t = np.array([row[5] for row in table])
            t = t if self.words else t.astype(int)
        model = self.net["Model"](**self.own)
        try:
            model.fit(x, t, **self.asked, **files, resume=resume)
            model.save(folder / "weights.npz")
        except self.net["Problem"] as problem:
            print(problem, file=sys.stderr)
            return 2
        except MemoryError:
            return 2
        except KeyboardInterrupt:
            return 130
        return {"interrupted": 130, "terminated": 143}.get(model.stopped, 0)


@dataclass(frozen=True)
class Fault:
    """What happens, at the k-th of which events."""

    kind: str
    event: str = ""
    at: int = 0
    code: int = 0


class Watch:
    """Counts the events of a process, and lets the fault happen."""

    def __init__(self, case: Case, folder: Path, fault: Fault | None):
        self.case, self.folder, self.fault, self.counts = case, folder, fault, Counter[str]()
        self.steps: dict[int, bytes] = {}
        self.again = 0  # the line of a second signal

    def happened(self, event: str) -> None:
        self.counts[event] += 1
        fault, count = self.fault, self.counts[event]
        if self.again and event == "line" and count >= self.again:
            self.again = 0
            os.kill(os.getpid(), signal.SIGINT)
        if fault is None or (event, count) != (fault.event, fault.at):
            return
        if fault.kind == "INT INT":
            self.again = self.counts["line"] + 1 + fault.code
            os.kill(os.getpid(), signal.SIGINT)
        elif fault.kind in SIGNALS:
            os.kill(os.getpid(), SIGNALS[fault.kind])
        elif fault.kind == "error":
            raise OSError(fault.code, os.strerror(fault.code))
        elif fault.kind == "MemoryError":
            raise MemoryError
        elif fault.kind == "pipe":
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, 1)
        elif fault.kind == "no folder":
            shutil.rmtree(self.folder)
        elif fault.kind in ("garbage", "garbage KILL"):
            (self.folder / "run.npz").write_bytes(b"garbage" * fault.at)
            if fault.kind == "garbage KILL":
                os.kill(os.getpid(), signal.SIGKILL)
        elif fault.kind == "truncated data":
            os.truncate(self.folder / "x.npy", 0)

    def install(self) -> None:
        """Watch this process."""
        for name in ("fsync", "replace"):
            setattr(os, name, self.watched(name, getattr(os, name)))
        watch = self

        class File(io.BufferedWriter):
            def write(self, data: Any) -> int:
                super().flush()  # so that half a file is half a file on the disk too
                watch.happened("write")
                return super().write(data)

        def opened(path: Any, mode: str = "r", *more: Any, **others: Any) -> Any:
            if mode == "xb":
                watch.happened("open")
                return File(io.FileIO(path, "x"))
            return open(path, mode, *more, **others)

        model, advance = self.case.net["Model"], self.case.net["Model"]._advance

        def advanced(model: Any) -> None:
            advance(model)
            self.steps[model.steps] = model._w.tobytes()
            self.happened("step")

        model._advance = advanced
        self.case.net["open"] = opened
        code = model.fit.__code__.co_filename
        fault = self.fault
        if fault is None or "line" in (fault.event, "line" if fault.kind == "INT INT" else ""):

            def lines(frame: Any, event: str, _: Any) -> Any:
                if event == "line":
                    self.happened("line")
                return lines

            sys.settrace(lambda frame, *_: lines if frame.f_code.co_filename == code else None)
        if fault is not None and fault.kind == "full":
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (fault.at, resource.RLIM_INFINITY))

    def watched(self, name: str, does: Callable[..., Any]) -> Callable[..., Any]:
        def doing(*arguments: Any, **more: Any) -> Any:
            self.happened(name)
            made = does(*arguments, **more)
            if name == "replace" and str(arguments[1]).endswith("run.npz"):
                with contextlib.suppress(OSError), (self.folder.parent / "kept").open("a") as file:
                    file.write("1")  # from here on there is a checkpoint
            return made

        return doing


def forked(run: Callable[[], int], folder: Path) -> tuple[int, str]:
    """Run in a process of its own; its exit status (less than 0: the signal that ended it) and its errors."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        status = 99
        try:
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(folder.parent / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(
                signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
            )  # as a module's last lines do
            status = run()
        except SystemExit as left:
            status = int(left.code or 0)
        except KeyboardInterrupt:
            status = 130
        except BaseException:  # noqa: BLE001 - a process that was forked ends here
            sys.settrace(None)
            import traceback

            traceback.print_exc()
        finally:
            sys.settrace(None)
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(status)
    _, ended = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(ended), (folder.parent / "err").read_text()


def disturbed(
    case: Case, folder: Path, fault: Fault | None, resume: bool = False, told: Path | None = None
) -> Any:
    """The run of a case in a process of its own, with a fault."""

    def run() -> int:
        watch = Watch(case, folder, fault)
        watch.install()
        try:
            return case.run(folder, resume)
        finally:
            if told is not None:
                sys.settrace(None)
                steps = {str(k): np.frombuffer(w, np.uint8) for k, w in watch.steps.items()}
                np.savez(told, counts=np.array(json.dumps(watch.counts)), **steps)

    return forked(run, folder)


def untimed(path: Path) -> list[list[str]]:
    """The rows of a history without its last column, the seconds; each line must be whole."""
    text = path.read_text()
    require(text.endswith("\n"), f"{path.name} ends within a line")
    return [line.split(",")[:-1] for line in text.splitlines()]


def found(case: Case, folder: Path) -> dict[str, Any]:
    """Everything that a run leaves, but for its times."""
    arrays = {name: case.net["_read_arrays"](folder / f"{name}.npz") for name in ("run", "weights")}
    told = json.loads(arrays["run"].pop(".run").tobytes())
    for row in [told, *told["rows"]]:
        row.pop("seconds")
    held = {
        f"{name} {key}": (a.dtype.str, a.shape, a.tobytes())
        for name, f in arrays.items()
        for key, a in f.items()
    }
    return {**held, "run": told, "history": untimed(folder / "rows_of.csv")}


def require(holds: bool, told: str) -> None:
    if not holds:
        raise Wrong(told)


def prepare(case: Case, root: Path) -> None:
    """Run a case undisturbed: what it leaves, and how many events there are."""
    folder = root / "straight"
    folder.mkdir(parents=True)
    case.write_data(folder)
    status, errors = disturbed(case, folder, None, told=root / "told.npz")
    require(status == 0, f"the undisturbed run ends with {status}: {errors}")
    with np.load(root / "told.npz") as told:
        case.totals = Counter(json.loads(str(told["counts"])))
        case.steps = {int(name): told[name].tobytes() for name in told.files if name != "counts"}
    case.end = found(case, folder)


def choose(case: Case, rng: random.Random) -> Fault:
    """A fault at random; half of them are signals."""

    def at(event: str) -> tuple[str, int]:
        return event, rng.randint(1, case.totals[event])

    events = ("line", "line", "write", "fsync", "replace", "open", "step")
    kinds = ["error", "error", "error", "full", "MemoryError", "pipe", "no folder", "garbage", "garbage KILL"]
    kind = rng.choice(
        [*SIGNALS, "KILL", "INT INT"] if rng.random() < 0.6 else kinds + ["truncated data"] * case.mapped
    )
    if kind == "full":
        return Fault(kind, "", rng.randint(1, 6000))
    if kind == "error":
        return Fault(kind, *at(rng.choice(["write", "fsync", "replace", "open"])), rng.choice(CODES))
    if kind in (*SIGNALS, "INT INT"):
        return Fault(kind, *at(rng.choice(events)), rng.choice([0, 1, 5, 30, 200]))
    return Fault(kind, *at("step"))


def judge(case: Case, folder: Path, fault: Fault, status: int, errors: str) -> bool:
    """What is on the disk after a fault; whether there is a checkpoint to go on from."""
    require("Traceback" not in errors and errors.count("\n") <= 1, f"more than a sentence is told: {errors}")
    expected = {
        "INT": {130}, "INT INT": {130}, "TERM": {143}, "KILL": {-9}, "garbage KILL": {-9}, "pipe": {0}, "garbage": {0},
        "MemoryError": {2}, "no folder": {2}, "truncated data": {-signal.SIGBUS, 0}, "full": {0, 2}, "error": {0, 2},
    }  # fmt: skip
    require(status in expected[fault.kind], f"the exit status is {status}: {errors}")
    require(status != 2 or not case.command or errors != "", "nothing is told")
    if fault.kind == "no folder":
        folder.mkdir(exist_ok=True)
        case.write_data(folder)
        (folder.parent / "kept").unlink(missing_ok=True)
        return False
    left = [name for name in os.listdir(folder) if name.startswith(TEMPORARY)]
    require(not left or status < 0 or fault.kind == "INT INT", f"a temporary file stays: {left}")
    for name in left:
        (folder / name).unlink()
    kept = (folder.parent / "kept").exists()
    path = folder / "run.npz"
    if fault.kind == "garbage KILL":
        status, errors = disturbed(case, folder, None, resume=True)
        told = "cannot be read" in errors or "cannot be used" in errors
        require(
            status == 2 and told and errors.count("\n") == 1,
            f"a damaged checkpoint is taken: {status} {errors}",
        )
        path.unlink()
        (folder.parent / "kept").unlink(missing_ok=True)
        kept = False
    require(path.exists() or not kept, "the checkpoint is gone")
    if path.exists():
        model = case.net["Model"](**case.own)
        model.load(path)
        require(model._w.tobytes() == case.steps.get(model.steps), "the checkpoint is not of its step")
    if (folder / "rows_of.csv").exists():
        rows = untimed(folder / "rows_of.csv")
        require(rows == case.end["history"][: len(rows)], "the history is another")
    if (folder / "weights.npz").exists():
        case.net["Model"](**case.own).load(folder / "weights.npz")
    return path.exists()


def point(case: Case, root: Path, rng: random.Random) -> list[Fault]:
    """One run with its fault, or two; the faults."""
    folder, faults, resume = root / "point" / "run", [], False
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    case.write_data(folder)
    if rng.random() < 0.5:  # an older file, which must not get lost
        shutil.copy(root / "straight" / "weights.npz", folder)
    for _ in range(rng.choice([1, 1, 2])):
        fault = choose(case, rng)
        faults.append(fault)
        status, errors = disturbed(case, folder, fault, resume)
        if fault.kind == "truncated data":
            case.write_data(folder)
        try:
            reached = status != 0
            if not reached or resume:  # a run that goes on has fewer events: the fault may not have come
                require(
                    status in (0, 2, 130, 143, -9, -signal.SIGBUS), f"the exit status is {status}: {errors}"
                )
                require("Traceback" not in errors, errors)
            resume = judge(case, folder, fault, status, errors) if reached else (folder / "run.npz").exists()
        except Wrong as wrong:
            raise Wrong(f"{wrong}; {faults} of {case.made} {case.own} {case.asked} {case.command}") from None
    status, errors = disturbed(case, folder, None, resume)
    how = f"{faults} of {case.made} {case.own} {case.asked} command {case.command}"
    require(status == 0, f"the run does not go on: {status} {errors}; {how}")
    end = found(case, folder)
    wrong = [name for name in case.end if end.get(name) != case.end[name]]
    require(not wrong and set(end) == set(case.end), f"not equal bit by bit: {wrong}; {how}")
    return faults


def cases(rng: random.Random) -> Iterator[Case]:
    """Runs of every kind, without end."""
    while True:
        text = rng.choice([DROPOUT, PLAIN, LINE, WORDS])
        style = rng.choice(["fast", "fast", "readable"])
        made: dict[str, Any] = {"optimizer": rng.choice(OPTIMIZERS), "style": style}
        if rng.random() < 0.4:
            made["schedule"] = rng.choice(["cosine", "warmup", "one_cycle", "lr/t"])
        command, mapped = rng.random() < 0.6, False
        own: dict[str, Any] = {}
        if style == "fast" and text is not DROPOUT:
            own = rng.choice([{}, {"threads": 2}, {"tile": 4}])
        if text in (PLAIN, LINE) and not command:
            mapped = rng.random() < 0.6
        asked = {
            "epochs": rng.randint(2, 4), "batch_size": rng.choice([7, 10, 64]), "seed": rng.randint(0, 9),
            "every": rng.choice([None, 1, 3]), "validation": rng.choice([None, 0.25]),
            "patience": rng.choice([None, 2]),
        }  # fmt: skip
        yield Case(text, made, asked, command, text is WORDS, mapped, own)


def trained(points: int, seed: int) -> Counter[str]:
    """Disturb so many runs; how many faults of each kind there were.

    Raises:
        Wrong: something was lost; what, and by which fault.
    """
    rng, counts = random.Random(seed), Counter[str]()  # noqa: S311
    source = cases(rng)
    with tempfile.TemporaryDirectory() as name:
        for k in range(points):
            if k % 8 == 0:
                case, root = next(source), Path(name) / str(k)
                prepare(case, root)
            for fault in point(case, root, rng):
                counts[fault.kind if fault.kind != "error" else errno.errorcode[fault.code]] += 1
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    print(f"seed {options.seed}", flush=True)
    counted = trained(options.points, options.seed)
    for kind, count in sorted(counted.items()):
        print(f"{kind:15} {count:5}")
    print(
        f"{options.points} points, {sum(counted.values())} faults, {time.perf_counter() - start:.0f} s: nothing is lost"
    )
