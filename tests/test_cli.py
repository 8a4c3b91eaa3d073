"""The commands, as a person types them: what they print, their exit status, and what is left on disk."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from commands import python, symgrad

LINE = "x: data[n, 2]; y: data[n]; z = dense(x, 1); loss = mean((z[:, 0] - y)**2)"


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert all(w in done.stderr for w in words), done.stderr


def test_derive_in_every_format(tmp_path: Path) -> None:
    for source in (["derive", LINE], ["derive", "-"]):
        done = symgrad(*source, cwd=tmp_path, stdin=LINE if source[1] == "-" else None)
        assert done.returncode == 0 and "W1" in done.stdout and done.stderr == ""
    (tmp_path / "net.sg").write_text(LINE)
    for form in ("matrix", "index"):
        done = symgrad("derive", "net.sg", "--format", "tex", "--form", form, "-o", "net.tex", cwd=tmp_path)
        assert done.returncode == 0 and (tmp_path / "net.tex").read_text().startswith("\\documentclass")
    done = symgrad("derive", "net.sg", "--format", "numpy", "--wrt", "x,W1", cwd=tmp_path)
    assert done.returncode == 0 and "import numpy" in done.stdout


def test_check_and_ops(tmp_path: Path) -> None:
    done = symgrad("check", LINE, cwd=tmp_path)
    assert done.returncode == 0 and "agrees" in done.stdout
    listed = symgrad("ops", cwd=tmp_path).stdout
    assert all(word in listed for word in ("relu", "dense", "softmax", "mse", "sigmoid"))
    shown = symgrad("ops", "leaky_relu", cwd=tmp_path)
    assert shown.returncode == 0 and "def leaky_relu" in shown.stdout and "agrees" in shown.stdout
    refused(symgrad("ops", "leaky_rel", cwd=tmp_path), "did you mean 'leaky_relu'")
    page = symgrad("ops", "leaky_relu", "--format", "html", cwd=tmp_path).stdout
    assert page.startswith("<!DOCTYPE html>") and "agree to 9 digits" in page
    refused(symgrad("ops", "--format", "html", cwd=tmp_path), "give its name")


@pytest.mark.parametrize(
    "words, expected",
    [
        (["derive", "missing.sg"], ["missing.sg"]),
        (["derive", "x: weight[n]; loss = sum(y)"], ["y"]),
        (["derive", "x: weight[n]; loss = x"], ["scalar"]),
        (["derive", "x: weight[n]; loss = sum(__import__('os').system('touch hacked'))"], ["__import__"]),
        (["derive", LINE, "--wrt", "W9"], ["W9"]),
        (["derive", LINE, "--size", "n=0"], ["n=0"]),
        (["derive", LINE, "-o", "no/such\0folder"], []),
        (["generate", LINE, "not a name.py"], ["not a name.py"]),
        (["generate", LINE, "class.py"], ["class.py"]),
        (["generate", LINE, "/proc/nowhere/m.py"], ["/proc/nowhere/m.py"]),
        (["train", LINE, "missing.csv"], ["missing.csv"]),
    ],
    ids=lambda w: " ".join(w)[:40] if isinstance(w, list) else None,
)
def test_wrong_input(words: list[str], expected: list[str], tmp_path: Path) -> None:
    if any("\0" in w for w in words):
        words = [w.replace("\0", "/" * 3 + "x" * 300) for w in words]
    refused(symgrad(*words, cwd=tmp_path), *expected)
    assert not (tmp_path / "hacked").exists()


TABLES = {
    "nan": ("a,b,y\n1,2,3\n4,nan,6\n", ["3"]),
    "ragged": ("a,b,y\n1,2,3\n4,5\n", ["3"]),
    "text": ("a,b,y\n1,2,3\n4,five,6\n", ["five"]),
    "columns": ("a,y\n1,2\n", ["2 columns"]),
    "empty": ("", []),
    "header only": ("a,b,y\n", []),
}


@pytest.mark.parametrize("table, expected", TABLES.values(), ids=TABLES)
def test_wrong_tables(table: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(table)
    refused(symgrad("train", LINE, "t.csv", cwd=tmp_path), *expected)


def test_generate_train_predict(tmp_path: Path) -> None:
    rows = [(a, b, 3 * a - 2 * b + 1) for a in range(-4, 5) for b in range(-3, 4)]
    (tmp_path / "t.csv").write_text("a,b,y\n" + "".join(f"{a},{b},{y}\n" for a, b, y in rows))
    done = symgrad("generate", LINE, "line.py", "--optimizer", "sgd", "--lr", "0.05", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    def module(*words: str) -> subprocess.CompletedProcess[str]:
        return python("line.py", *words, cwd=tmp_path)

    trained = module("train", "t.csv", "--epochs", "60", "--seed", "1", "--save", "w.npz")
    assert trained.returncode == 0, trained.stderr
    (tmp_path / "new.csv").write_text("a,b\n10,0\n0,10\n")
    predicted = module("predict", "new.csv", "--weights", "w.npz")
    assert predicted.returncode == 0, predicted.stderr
    numbers = [float(x) for x in re.findall(r"^-?\d+\.?\d*(?:e-?\d+)?$", predicted.stdout, re.MULTILINE)]
    assert numbers == pytest.approx([31.0, -19.0], abs=0.1)
    checked = module("check")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    in_one_go = symgrad("train", LINE, "t.csv", "--epochs", "3", "--save", "w2.npz", cwd=tmp_path)
    assert in_one_go.returncode == 0 and (tmp_path / "w2.npz").exists(), in_one_go.stderr
    before = (tmp_path / "w.npz").read_bytes()
    (tmp_path / "nan.csv").write_text("a,b,y\n1,nan,2\n")
    failed = module("train", "nan.csv", "--save", "w.npz")
    assert failed.returncode == 2 and "Traceback" not in failed.stderr
    assert (tmp_path / "w.npz").read_bytes() == before
    broken = tmp_path / "broken.npz"
    broken.write_bytes(before[: len(before) // 2])
    failed = module("predict", "new.csv", "--weights", "broken.npz")
    assert failed.returncode == 2 and "Traceback" not in failed.stderr and "broken.npz" in failed.stderr


def test_full_disk_loses_nothing(tmp_path: Path) -> None:
    """/dev/full cannot be renamed over, so the disk is filled by a limit on the size of files instead."""
    (tmp_path / "m.py").write_text("old")
    done = subprocess.run(
        [sys.executable, "-m", "symgrad", "generate", LINE, "m.py"], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)),
    )  # fmt: skip
    refused(done, "m.py", "nothing was changed")
    assert (tmp_path / "m.py").read_text() == "old" and os.listdir(tmp_path) == ["m.py"]


def test_demo(tmp_path: Path) -> None:
    done = symgrad("demo", "--out", "d", cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    accuracy = [float(x) for x in re.findall(r"accuracy\D*([01]\.\d+)", done.stdout)]
    assert accuracy and accuracy[-1] >= 0.95, done.stdout[-800:]
    assert {"digits.py", "digits.tex", "digits.npz"} <= set(os.listdir(tmp_path / "d"))
    assert done.stdout.count("agrees") >= 1


def test_more_than_gradients(tmp_path: Path) -> None:
    quadratic = "x: weight[n]; A: constant[n, n]; loss = x @ A @ x"
    done = symgrad("derive", quadratic, "--hessian", "--detail", "result", cwd=tmp_path)
    assert done.returncode == 0 and "A + Aᵀ" in done.stdout
    done = symgrad("derive", "x: weight[n]; h = tanh(x); loss = sum(h)", "--jacobian", "h", cwd=tmp_path)
    assert done.returncode == 0 and "∂h/∂x = diag(1 − h²)" in done.stdout
    done = symgrad("derive", LINE, "--per-example", "--format", "numpy", cwd=tmp_path)
    assert done.returncode == 0 and "def loss_and_grads(" in done.stdout
    for words in (["--hvp"], ["--hessian"], ["--jacobian"]):
        done = symgrad("check", quadratic, *words, cwd=tmp_path)
        assert done.returncode == 0 and "agrees" in done.stdout
    refused(symgrad("derive", quadratic, "--hessian", "--hvp", cwd=tmp_path), "not allowed")
    refused(symgrad("derive", quadratic, "--jacobian", "q", cwd=tmp_path), "of names 'q'")


def test_shipped_networks_and_data_have_names(tmp_path: Path) -> None:
    done = symgrad("train", "logistic", "iris.csv", "--epochs", "1", "--quiet", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "logistic.npz").exists(), done.stderr
    (tmp_path / "iris.csv").write_text("mine")  # a file of the user's comes first
    refused(symgrad("train", "logistic", "iris.csv", cwd=tmp_path), "iris.csv")


def test_help_of_studies(tmp_path: Path) -> None:
    assert "flow" in symgrad("study", "--help", cwd=tmp_path).stdout
    assert "--depth" in symgrad("study", "flow", "--help", cwd=tmp_path).stdout


@pytest.mark.parametrize("option", ["--save", "--checkpoint", "--history"])
def test_what_cannot_be_written_is_told_before_training(option: str, tmp_path: Path) -> None:
    for path in ("nowhere/w.npz", "."):
        done = symgrad("train", "logistic", "iris.csv", "--epochs", "1", option, path, cwd=tmp_path)
        refused(done, path, "cannot be written")
        assert "epoch" not in done.stdout and os.listdir(tmp_path) == []
