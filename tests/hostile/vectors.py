"""Hostile command lines: commands, options and values that do not go together, run in this process in a folder of
their own."""

from __future__ import annotations

import random
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from commands import symgrad

from hostile.texts import ATTACKS, Maker

COMMANDS = ("derive", "generate", "check", "grade", "train", "study", "exercise", "ops", "demo", "")
SMALL = "x: data[n]; w: weight; loss = mean((w*x - 1)**2)"
OPTIONS = (
    "--wrt",
    "--format",
    "-o",
    "--form",
    "--detail",
    "--layout",
    "--jacobian",
    "--hessian",
    "--hvp",
    "--per-example",
    "--size",
    "--optimizer",
    "--lr",
    "--schedule",
    "--set",
    "--clip-norm",
    "--l2",
    "--value",
    "--values",
    "--rate",
    "--update",
    "--digits",
    "--decimals",
    "--seed",
    "--answer",
    "--at",
    "--hint",
    "--solution",
    "--style",
    "--target",
    "--threads",
    "--tile",
    "--micro-batch",
    "--report",
    "--weighted",
    "--estimator",
    "--class-weight",
    "--topic",
    "--list",
    "--show",
    "--picture",
    "--direction",
    "--evaluation",
    "--version",
    "--help",
    "--nothing",
    "-h",
    "--",
    "-",
)
VALUES = (
    "w",
    "x",
    "w,x",
    ",",
    "",
    " ",
    "n=5",
    "n=0",
    "n=-1",
    "n=1000000000",
    "n=1e3",
    "n=²",
    "=",
    "n",
    "matrix",
    "index",
    "scalar",
    "index,scalar",
    "text",
    "latex",
    "html",
    "json",
    "numpy",
    "svg",
    "tikz",
    "pdf",
    "0",
    "1",
    "-1",
    "1/2",
    "1/0",
    "1e400",
    "nan",
    "inf",
    "9" * 5000,
    "adam",
    "sgd",
    "sgdd",
    "cosine",
    "lr/sqrt(t)",
    "lr*(t",
    "beta1=0.5",
    "beta1=x",
    "x=[1, 2]",
    "x=[[1], 2]",
    "x=1",
    "w=2",
    "x=[1,",
    "w=2*x",
    "w=w=w",
    "missing.sg",
    "folder",
    "binary.sg",
    "binary.npz",
    "table.csv",
    "out.py",
    "out.xyz",
    "folder/out.py",
    "table.csv/out.py",
    "none",
    "auto",
    "measure",
    "64MB",
    "64XB",
    "-5MB",
    "balanced",
    "0=1,1=5",
    "dense",
    "ridge",
    "fast",
    "readable",
    "rate",
    "flow",
    "landscape",
    "signals",
    "steps",
    "\udcff",
    "\0",
    "deep.json",
)


class Refused(Exception):
    """Status 2 with its paragraph."""


@cache
def folder() -> Path:
    """Where the commands run, with the files that they may meet."""
    path = Path(tempfile.mkdtemp(prefix="symgrad-hostile-"))
    (path / "folder").mkdir()
    (path / "binary.sg").write_bytes(bytes(range(256)) * 20)
    (path / "binary.npz").write_bytes(b"PK\3\4" + bytes(range(256)))
    (path / "table.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    (path / "deep.json").write_text("[" * 100_000)
    return path


def vector(maker: Maker, k: int) -> list[str]:
    """Words of a command line from their number."""
    r = random.Random(f"{maker.seed} words {k}")  # noqa: S311 - it only has to repeat itself
    command = r.choice(COMMANDS[:8] if r.random() < 0.97 else COMMANDS)
    words = [command] if command else []
    if r.random() < 0.8:
        words.append(SMALL if r.random() < 0.6 else maker.text(k, mild=r.random() < 0.5))
    if command == "train":
        words.append(r.choice(("table.csv", "binary.npz", "folder", "missing.csv", "digits", "\0")))
        words += ["--epochs", "1"]
    if command == "generate" and r.random() < 0.8:
        words.append("out.py")
    for _ in range(r.randrange(0, 4)):
        words.append(r.choice(OPTIONS))
        if r.random() < 0.8:
            words.append(r.choice(VALUES) if r.random() < 0.9 else r.choice(ATTACKS))
    if command == "demo":
        words.append("--epochs=x")
    return [w for w in words if w != "--open"]


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run it; what is refused as it should be raises `Refused`."""
    done = symgrad(*words, cwd=folder(), stdin=SMALL)
    said = done.stderr.strip()
    if done.returncode == 2 and said and "fault of symgrad" not in said and "Traceback" not in said:
        raise Refused(said)
    return done
