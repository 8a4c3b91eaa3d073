"""Training and writing while things go wrong: processes are killed, disks are full, files are damaged.

python -m tests.kills --count 300 --seed 0

Each point is a process of its own (forked, so POSIX only) in which one fault happens at a random place: at the k-th
line of the generated module, or at its k-th write, flush to the disk, renaming, or update; without --repeatable some
signals come from outside, after a random time. Afterwards what is on the disk is judged, and the run goes on, sometimes
to be killed once more; its end must be, bit by bit, that of a run that was never disturbed. Then commands that write
files are disturbed in the same ways.
"""

from __future__ import annotations

import argparse
import csv
import errno
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process with threads is not forked

import numpy as np

import symgrad as sg
from symgrad import emit
from tests.faults import CODES, SIGNALS, TEMPORARY, Fault, Watch, Wrong, forked, require
from tests.kills_commands import commands

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
DATA = ("rows.csv", "x.npy", "t.npy")
OPTIMIZERS = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw")


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
    checkpoint: str = "run.npz"
    apart: bool = False  # the validation is data of its own
    net: dict[str, Any] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    steps: dict[int, bytes] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    lasts: int = 0  # how many microseconds it takes undisturbed

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
        files = {"checkpoint": folder / self.checkpoint, "history": folder / "rows_of.csv"}
        if self.command:
            words = ["train", str(folder / "rows.csv"), "--save", str(folder / "weights.npz")]
            words += ["--validation-data", str(folder / "rows.csv")] if self.apart else []
            for name, value in {**self.asked, **files, **self.own}.items():
                option = "batch" if name == "batch_size" else name.replace("_", "-")
                words += [] if value is None else [f"--{option}", str(value)]
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
            asked = (
                {**self.asked, "validation": {"x": x[:20], self.net["TARGET"]: t[:20]}}
                if self.apart
                else self.asked
            )
            model.fit(x, t, **asked, **files, resume=resume)
            model.save(folder / "weights.npz")
        except self.net["Problem"] as problem:
            print(problem, file=sys.stderr)
            return 2
        except MemoryError:
            return 2
        except KeyboardInterrupt:
            return 130
        return {"interrupted": 130, "terminated": 143}.get(model.stopped, 0)


def disturbed(
    case: Case, folder: Path, fault: Fault | None, resume: bool = False, told: Path | None = None
) -> Any:
    """The run of a case in a process of its own, with a fault."""

    def run() -> int:
        watch, model, steps = Watch(folder, fault, case.checkpoint), case.net["Model"], {}
        advance = model._advance

        def advanced(self: Any) -> None:
            steps.setdefault(str(self.steps), np.frombuffer(self._w.tobytes(), np.uint8))  # at the start
            advance(self)
            steps[str(self.steps)] = np.frombuffer(self._w.tobytes(), np.uint8)
            watch.happened("step")

        model._advance = advanced
        watch.install(case.net, model.fit.__code__.co_filename)
        try:
            return case.run(folder, resume)
        finally:
            if told is not None:
                sys.settrace(None)
                np.savez(told, counts=np.array(json.dumps(watch.counts)), **steps)

    return forked(run, folder, fault)


def untimed(path: Path) -> list[list[str]]:
    """The rows of a history without its last column, the seconds; each line must be whole."""
    text = path.read_text()
    require(text.endswith("\n"), f"{path.name} ends within a line")
    return [line.split(",")[:-1] for line in text.splitlines()]


def found(case: Case, folder: Path) -> dict[str, Any]:
    """Everything that a run leaves, but for its times."""
    names = {"run": case.checkpoint, "weights": "weights.npz"}
    arrays = {name: case.net["_read_arrays"](folder / file) for name, file in names.items()}
    told = json.loads(arrays["run"].pop(".run").tobytes())
    for row in [told, *told["rows"]]:
        row.pop("seconds")
    held = {
        f"{name} {key}": (a.dtype.str, a.shape, a.tobytes())
        for name, f in arrays.items()
        for key, a in f.items()
    }
    return {**held, "run": told, "history": untimed(folder / "rows_of.csv")}


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
    case.data = {path.name: path.read_bytes() for path in folder.iterdir() if path.name in DATA}
    (folder / case.checkpoint).unlink()
    (folder / "rows_of.csv").unlink()
    start = time.perf_counter()
    disturbed(case, folder, Fault("none"))
    case.lasts = round((time.perf_counter() - start) * 1e6)
    require(found(case, folder) == case.end, "two undisturbed runs differ")


def choose(case: Case, rng: random.Random) -> Fault:
    """A fault at random; half of them are signals."""

    def at(event: str) -> tuple[str, int]:
        return event, rng.randint(1, case.totals[event])

    events = ("line", "line", "write", "fsync", "replace", "open", "step")
    kinds = [
        "error", "error", "error", "full", "MemoryError", "pipe", "no folder", "garbage", "garbage KILL", "cut KILL",
    ]  # fmt: skip
    kind = rng.choice(
        [*SIGNALS, "KILL", "INT INT"] if rng.random() < 0.6 else kinds + ["truncated data"] * case.mapped
    )
    if kind == "full":
        return Fault(kind, "", rng.randint(1, 6000))
    if kind == "error":
        return Fault(kind, *at(rng.choice(["write", "fsync", "replace", "open"])), rng.choice(CODES))
    if kind in SIGNALS and case.lasts and rng.random() < 0.2:
        return Fault(kind, "moment", rng.randint(0, case.lasts))
    if kind in (*SIGNALS, "INT INT"):
        return Fault(kind, *at(rng.choice(events)), rng.choice([0, 1, 5, 30, 200]))
    return Fault(kind, *at("step"), rng.randint(0, 249))


def judge(case: Case, folder: Path, fault: Fault, status: int, errors: str) -> bool:
    """What is on the disk after a fault; whether there is a checkpoint to go on from."""
    require("Traceback" not in errors and errors.count("\n") <= 1, f"more than a sentence is told: {errors}")
    expected = {
        "INT": {130}, "INT INT": {130}, "TERM": {143}, "KILL": {-9}, "garbage KILL": {-9}, "cut KILL": {-9},
        "pipe": {0}, "garbage": {0}, "MemoryError": {2}, "no folder": {2}, "full": {0, 2}, "error": {0, 2},
        "truncated data": {-signal.SIGBUS, 0},
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
    data = {name: (folder / name).read_bytes() for name in case.data}
    require(data == case.data or fault.kind == "truncated data", "the data are others")
    kept, path = folder.parent / "kept", folder / case.checkpoint
    if fault.kind in ("garbage KILL", "cut KILL"):
        status, errors = disturbed(case, folder, None, resume=True)
        told = "cannot be read" in errors or "cannot be used" in errors
        require(
            status == 2 and told and errors.count("\n") == 1,
            f"a damaged checkpoint is taken: {status} {errors}",
        )
        path.unlink()
        kept.unlink(missing_ok=True)
    if kept.exists() and fault.kind not in ("full", "garbage"):
        same = path.exists() and path.read_bytes() == kept.read_bytes()
        require(
            same or path.exists() and fault.event == "moment", "it is not the last checkpoint that is there"
        )
    if path.exists():
        model = case.net["Model"](**case.own)
        model.load(path)
        require(model._w.tobytes() == case.steps.get(model.steps), "the checkpoint is not of its step")
        kept.write_bytes(path.read_bytes())  # a moment may have come before it was noted
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
            # a run that goes on has fewer events: the fault may not have come
            late = status == 0 and (resume or fault.event == "moment")
            require("Traceback" not in errors, errors)
            resume = (
                (folder / case.checkpoint).exists() if late else judge(case, folder, fault, status, errors)
            )
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
        if rng.random() < 0.3:
            made["clip_norm"] = 0.5
        command, mapped = rng.random() < 0.6, False
        own: dict[str, Any] = {}
        if style == "fast" and text is not DROPOUT:
            own = rng.choice([{}, {"threads": 2}, {"tile": 4}, {"micro_batch": 3}])
        if text in (PLAIN, LINE) and not command:
            mapped = rng.random() < 0.6
        asked = {
            "epochs": rng.randint(2, 4), "batch_size": rng.choice([7, 10, 64]), "seed": rng.randint(0, 9),
            "every": rng.choice([None, 1, 3]), "validation": rng.choice([None, 0.25]),
            "patience": rng.choice([None, 2]),
        }  # fmt: skip
        apart = asked["validation"] is None and rng.random() < 0.5
        if text is not LINE and rng.random() < 0.3:
            made["weighted"], asked["class_weight"] = True, "balanced"
        checkpoint = rng.choice(["run.npz", "run.npz", "run.safetensors"])
        yield Case(text, made, asked, command, text is WORDS, mapped, own, checkpoint, apart)


def trained(points: int, seed: int, moments: bool = True) -> Counter[str]:
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
                case.lasts *= moments
            for fault in point(case, root, rng):
                told = errno.errorcode[fault.code] if fault.kind == "error" else fault.kind
                counts[told + " at a moment" * (fault.event == "moment")] += 1
    return counts


def tell(what: str, points: int, counted: Counter[str], start: float) -> None:
    for kind, count in sorted(counted.items()):
        print(f"{kind:17} {count:5}")
    seconds = time.perf_counter() - start
    print(f"{points} {what}, {sum(counted.values())} faults, {seconds:.0f} s: nothing is lost", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--count", type=int, default=300, help="of the runs; of commands there are half as many"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--repeatable", action="store_true", help="no signals from outside, which come by the clock"
    )
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    start = time.perf_counter()
    tell("runs", options.count, trained(options.count, options.seed, not options.repeatable), start)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        made = commands(options.count // 2, options.seed, Path(name))
    tell("commands", options.count // 2, made, start)
