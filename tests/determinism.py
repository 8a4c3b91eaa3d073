"""The same declaration gives the same bytes: every kind of output as a digest, to be compared between processes.

python -m tests.determinism             prints the digest of each product
python -m tests.determinism --matrix    compares them over Pythons and versions of the dependencies, each in a fresh
                                        environment, with other hashes, locale, terminal and folder: a table
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
if str(HERE) not in sys.path:  # as `python -m tests.determinism`
    sys.path.insert(0, str(HERE))

import golden  # noqa: E402
import numpy as np  # noqa: E402

import symgrad as sg  # noqa: E402
from symgrad import gallery  # noqa: E402
from symgrad.emit.load import load  # noqa: E402
from symgrad.exercises import exercise, topics  # noqa: E402
from symgrad.language.implicit import IMPLICIT, spoken  # noqa: E402
from symgrad.language.reader import read  # noqa: E402
from symgrad.leaves import LEAVES  # noqa: E402
from symgrad.library import DEFINITIONS, defined, public  # noqa: E402
from symgrad.ops import FORMULAS, examples  # noqa: E402
from symgrad.passes.derive import derive  # noqa: E402

# what a process may differ in and the bytes may not: order of hashes, asserts, locale, terminal, time zone, threads
STRANGE = {
    "PYTHONHASHSEED": "77",
    "PYTHONOPTIMIZE": "1",
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "utf-8",
    "LC_ALL": "tr_TR.UTF-8",
    "TZ": "Pacific/Kiritimati",
    "COLUMNS": "37",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "OPENBLAS_NUM_THREADS": "2",
}
# interpreters, and the dependencies beside the newest ones: the oldest that pyproject.toml allows
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
VERSIONS = {
    "oldest": ("sympy==1.13.0", "numpy==2.0.0", "jinja2==3.1.0", "mpmath==1.3.0"),
    "newest": ("sympy", "numpy", "jinja2", "mpmath"),
}

NET = "x: data[n, 7]; t: label[n] < 5; h = relu(dense(x, 6)); z = dense(h, 5); loss = softmax_cross_entropy(z, t)"
TOLD = {
    "two layers": "x: data[n, 4]; t: data[n, 3]; loss = mean((dense(tanh(dense(x, 5)), 3) - t)**2)",
    "cross entropy": "z: weight[n, k]; t: label[n] < k; p = softmax(z); loss = mean(n, -log(p[n, t[n]]))",
    "attention": "x: data[n, t, 6]; y: data[n, t, 6]; a = attention(dense(x, 6), x, x, causal=True); loss = mse(a, y)",
    "convolution": "x: weight[h]; w: weight[3]; c[j < h] = sum(p, [0 <= j + p - 1 < h], x[j + p - 1]*w[p]); "
    "loss = sum(c**3)",
    "recurrence": "x: data[n, t, 3]; U: weight[4, 4]; V: weight[3, 4]; "
    "h[n, t, j] = tanh(sum(i, x[n, t, i]*V[i, j]) + sum(k, h[n, t - 1, k]*U[k, j])); h[n, -1, k] = 0; "
    "loss = sum(h**2)",
    "names": "α: weight[n]; Wout: weight[n]; x_hat: data[n]; loss = sum(exp(α*x_hat)*tanh(Wout)/(1 + α**2))",
    "product": "x: weight[n]; m[n] = max(j, x[j] + x[n]); loss = prod(x)*sum(sin(m))",
}


def written_in_python() -> str:
    """A network of Python objects as text."""

    @sg.op
    def chosen(a, b=None, c=True, d="no"):
        """An operation with options, as a user writes one."""
        z = a if b is None else a * b
        if d == "yes":
            z = sg.tanh(z)
        return z * sg.exp(z) if c else z

    enc, dec = sg.Dense(3), sg.Dense(3)
    x = sg.data("n", 3)
    h = enc(dec(x))
    u = dec(enc(h)) * h
    return sg.Model(sg.sum(u + sg.l2(dec.W, 0.1) + chosen(u))).program.text + str(chosen.__doc__)


def derivation(text: str) -> str:
    """The program, the trace, every printed form and the picture."""
    traced = derive(read(text, definitions=DEFINITIONS), wrt=None)
    steps = [f"{s.number} {s.rule} {s.equation} {s.partial} {s.before} {s.reason}" for s in traced.steps]
    d = sg.derive(text)
    shown = [d.text(), d.latex("matrix"), d.latex("index"), d.markdown(), d.html(), d.json(), str(d.numpy())]
    return "\n".join([str(traced.program), *steps, *shown, d.picture().svg, d.picture().tikz])


def operation(name: str) -> str:
    told = [sg.derive(e.declaration) for e in examples(name)]
    return "\n".join(d.latex() + str(d.numpy()) for d in told)


def practice(topic: str) -> str:
    e = exercise(topic, 7)
    return "\n".join(d.markdown() for d in (e.problem, e.hints, e.solution))


def products(part: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each product of a part, as a name and what makes its text."""
    if part == "modules":
        for rule in defined("optimizers.sg"):
            yield rule, partial(module, optimizer=rule, schedule="cosine", clip_norm=1.0)
        yield "readable", partial(module, style="readable", optimizer="momentum", l1=0.1)
        yield "estimator", partial(module, estimator=True)
        yield "numba", partial(module, target="numba")
        yield "weighted", partial(module, weighted=True)
    elif part == "derivations":
        yield "objects", written_in_python
        for name, text in TOLD.items():
            yield name, partial(derivation, text)
    elif part == "operations":
        for name in [*LEAVES, *map(spoken, IMPLICIT), *FORMULAS, *public()][::4]:
            yield name, partial(operation, name)
    elif part == "exercises":
        for name in list(topics())[::4]:
            yield name, partial(practice, name)
        yield "index of the gallery", gallery.index
    elif part == "networks":
        for path, text in golden.products():
            yield path.as_posix(), partial(str, text.rstrip("\n") + "\n")
    elif part == "weights":
        for style in ("readable", "fast"):
            yield style, partial(trained, style)
    else:
        raise ValueError(part)


PARTS = ("networks", "derivations", "operations", "modules", "exercises", "weights")
TEXTS = PARTS[:-1]  # numbers are the same for one NumPy and one processor


def trained(style: str) -> str:
    """The weights after three epochs of batches, with dropout drawn anew at each step."""
    net = load(
        sg.Model(NET.replace("relu(dense(x, 6))", "dropout(relu(dense(x, 6)), 0.3)")).source(
            "net", style=style
        ),
        "net",
    )
    rng = np.random.default_rng(0)
    model = net["Model"]()
    model.fit(
        rng.standard_normal((23, 7)), rng.integers(5, size=23), epochs=3, batch_size=4, seed=3, quiet=True
    )
    return "".join(f"{name} {w.tobytes().hex()}\n" for name, w in model.weights.items())


def module(**options: Any) -> str:
    return str(sg.Model(NET).source("net", **options))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digests(part: str) -> dict[str, str]:
    """The digest of each product."""
    return {name: digest(make()) for name, make in products(part)}


def committed() -> dict[str, str]:
    """The digests of what stands in `generated/` of the networks."""
    folders = ("readable", "fast", "derivations")
    files = [f for folder in folders for f in sorted((golden.GENERATED / folder).iterdir()) if f.is_file()]
    return {f.relative_to(golden.GENERATED).as_posix(): digest(f.read_text("utf-8")) for f in files}


def elsewhere(part: str, python: str = sys.executable) -> dict[str, str]:
    """The digests as another process makes them, in another environment and folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [python, "-W", "error", str(HERE / "determinism.py"), "--part", part]
        env = {**os.environ, **STRANGE, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, env=env, cwd=folder, capture_output=True, encoding="utf-8", check=False
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())


def differing(a: Mapping[str, str], b: Mapping[str, str]) -> list[str]:
    """The products whose digests differ, or that one of them lacks."""
    return [name for name in {**a, **b} if a.get(name) != b.get(name)]


def matrix(parts: Sequence[str]) -> bool:
    """Each Python that is installed with the oldest and the newest dependencies, against this process."""
    here = {part: digests(part) for part in parts}
    print(f"{sum(map(len, here.values()))} products; this process: Python {sys.version.split()[0]}")
    same = True
    for version in PYTHONS:
        found = shutil.which(f"python{version}")
        for which, packages in VERSIONS.items():
            with tempfile.TemporaryDirectory() as folder:
                python = Path(folder) / "bin" / "python"
                told = f"Python {version}, {which} dependencies: "
                try:
                    if found is None:
                        raise OSError("not installed")
                    for command in (
                        [found, "-m", "venv", folder],
                        [python, "-m", "pip", "install", "-q", *packages],
                    ):
                        subprocess.run(command, check=True, capture_output=True)
                except (OSError, subprocess.CalledProcessError) as problem:
                    print(f"{told}left out ({problem})")
                    continue
                wrong = [
                    name for part in parts for name in differing(here[part], elsewhere(part, str(python)))
                ]
                print(told + (f"DIFFER: {', '.join(wrong)}" if wrong else "the same bytes"), flush=True)
                same = same and not wrong
    return same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--matrix", action="store_true")
    asked = parser.parse_args()
    if asked.matrix:
        sys.exit(not matrix(asked.part or TEXTS))
    for part in asked.part or PARTS:
        for name, found in digests(part).items():
            print(name, found)
