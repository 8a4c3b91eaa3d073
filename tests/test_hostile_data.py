"""Hostile data: whatever a file holds, a module says in one sentence why it cannot be used, or uses it; nothing in it
is ever executed, and no more memory is taken than it may have."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad import emit

STYLES = ("fast", "readable")
CLASSES = "x: data[n, 4]; t: label[n] < 3; z = dense(x, 3); loss = softmax_cross_entropy(z, t)"
LINE = (
    "x: data[n, 4] & standardized; y: data[n] & standardized; z = dense(x, 1)[:, 0]; loss = mean((z - y)**2)"
)
X, WORDS, Y = np.arange(12.0).reshape(3, 4), np.array(["a", "b", "c"]), np.arange(3.0)
RUNS = b"cos\nsystem\n(S'touch executed'\ntR."  # a pickle that would leave a file behind


@cache
def made(text: str, style: str) -> dict[str, Any]:
    return emit.load(sg.Model(text).source("net", style=style, optimizer="adam"), "net")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(net: dict[str, Any], *arguments: str) -> tuple[int, str, str]:
    """The command of a module in this process: status, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = net["main"]([*arguments])
    return status, out.getvalue(), err.getvalue()


def refused(net: dict[str, Any], path: str, reason: str) -> None:
    """Training and predicting say why, in one sentence."""
    net["Model"]().init(0)
    status, out, err = ran(net, "train", path, "--epochs", "1", "--quiet", "--save", "other.npz")
    assert (status, out) == (2, "") and err.startswith("net: ") and err.count("\n") == 1, (path, err)
    assert reason in err, (path, err)
    assert err.removesuffix("\n").isprintable() and not os.path.exists("executed")
    assert not os.path.exists("other.npz")


DAMAGED = "it is damaged, or another kind of file; make it anew, or give another one"


def weights(net: dict[str, Any]) -> str:
    model = net["Model"]()
    model.fit(X, WORDS if "t" in net["DATA"] else Y, epochs=1, quiet=True)
    model.save("w.npz")
    return "w.npz"


def npy(a: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(a), allow_pickle=True)
    return file.getvalue()


def headed(header: str, data: bytes = b"") -> bytes:
    """A .npy file with this header."""
    text = header.encode("latin1")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def claimed(shape: object, descr: str = "<f8", data: bytes = b"") -> bytes:
    return headed(repr({"descr": descr, "fortran_order": False, "shape": shape}), data)


def archive(path: str, entries: dict[str, bytes], compressed: bool = False) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return path


# ---- arrays by name


def big(value: float) -> np.ndarray:
    return np.where(X == 3, value, X)


ARRAYS: dict[str, tuple[bytes, str]] = {
    "nan": (npy(big(np.nan)), "x must hold finite numbers"),
    "inf": (npy(big(np.inf)), "x must hold finite numbers"),
    "text": (npy(X.astype(str)), "x must be an array of numbers, not of type <U32"),
    "dates": (npy(X.astype("M8[s]")), "not of type datetime64[s]"),
    "complex": (npy(X + 1j), "x must be an array of numbers, not of type complex128"),
    "structured": (npy(np.ones(3, [("a", float)])), "not of type [('a', '<f8')]"),
    "no array": (b"hello", "x is no array of examples"),
    "one number": (npy(1.0), "x is no array of examples"),
    "narrow": (npy(X[:, :3]), "x must have the shape [n, 4]"),
    "fewer": (npy(X[:2]), "and x differ in the number of their examples"),
    "objects": (npy(np.array([[None] * 4] * 3, object)), "Python objects, which are never loaded"),
    "a pickle": (claimed((3, 4), "O", RUNS), "Python objects, which are never loaded"),
    "code": (headed("__import__('os').system('touch executed')"), DAMAGED),
    "an open bracket": (headed("{'descr': ("), "cannot be read as arrays"),
    "an open quote": (headed("'''"), "cannot be read as arrays"),
    "indentation": (headed("  \n  bad\n {"), "cannot be read as arrays"),
    "brackets": (headed("(" * 500), "cannot be read as arrays"),
    "short": (npy(X)[:-8], DAMAGED),
    "huge": (claimed((10**18, 4)), "cannot be read as arrays"),
    "too huge": (claimed((10**30, 4)), "cannot be read as arrays"),
    "negative": (claimed((-1, 4)), DAMAGED),
    "a fraction": (claimed((3.0, 4)), DAMAGED),
}  # fmt: skip
LABELS: dict[str, tuple[bytes, str]] = {
    "nan": (npy([np.nan, 0, 1]), "t must hold whole numbers"),
    "infinite": (npy([np.inf, 0, 1]), "t must hold whole numbers"),
    "too large": (npy([1e300, 0, 1]), "t must hold whole numbers"),
    "large": (npy([10**15, 0, 1]), "t is a label from 0 to 2"),
    "negative": (npy([-1, 0, 1]), "t is a label from 0 to 2, but -1 occurs"),
    "fraction": (npy([0.5, 0, 1]), "t must hold whole numbers"),
    "column": (npy(WORDS[:, None]), "t must have the shape [n]"),
    "escape": (npy(["a", "\x1b[31m", "b"]), r"the label '\x1b[31m' holds a control character"),
    "nul inside": (npy(["a", "b\0c", "b"]), r"the label 'b\x00c' holds a control character"),
    "half a pair": (claimed((3,), "<U1", b"\x00\xd8\0\0a\0\0\0b\0\0\0"), "holds a control character"),
    "no character": (claimed((3,), "<U1", b"\xff\xff\xff\xff" * 3), "cannot be read as arrays"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_that_are_none(kind: str) -> None:
    data, reason = ARRAYS[kind]
    for text, other in ((CLASSES, {"t.npy": npy(WORDS)}), (LINE, {"y.npy": npy(Y)})):
        net = made(text, "fast")
        refused(net, archive("a.npz", {"x.npy": data, **other}), reason)


@pytest.mark.parametrize("kind", LABELS)
def test_labels_that_are_none(kind: str) -> None:
    data, reason = LABELS[kind]
    refused(made(CLASSES, "fast"), archive("a.npz", {"x.npy": npy(X), "t.npy": data}), reason)


def test_unseen_labels() -> None:
    for text in (CLASSES, CLASSES.replace("< 3", 'in ["a", "b", "c"]')):
        net = made(text, "fast")
        path = archive("a.npz", {"x.npy": npy(X), "t.npy": npy(["a", "b", "\u202erose"])})
        status, _, err = ran(net, "predict", path, "--weights", weights(net))
        assert status == 2 and r"the label '\u202erose' " in err
        Path("t.csv").write_text("1,2,3,4,a\n1,2,3,4,rose\n")
        status, _, err = ran(net, "predict", "t.csv", "--weights", "w.npz")
        assert status == 2 and "t.csv, line 2: the label 'rose' " in err


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("text", [CLASSES, LINE])
def test_what_too_large_numbers_become_is_told(text: str, style: str) -> None:
    """A number that float32 does not hold is no warning, wherever it is read."""
    net = made(text, style)
    path = weights(net)
    model = net["Model"]()
    model.load(path)
    if text == CLASSES:
        with pytest.raises(net["Problem"], match=r"x must hold finite numbers, but x\[0, 3\] is inf"):
            model.predict(big(1e300))
        np.save("a.npy", np.column_stack([big(1e300), Y]))
        refused(net, "a.npy", "but x[0, 3] is inf")
    else:
        with pytest.raises(net["Problem"], match="x must hold finite numbers"):
            model.predict(big(np.inf))


@pytest.mark.parametrize("order", ["fortran", "big endian", "half", "whole", "memory order"])
def test_other_ways_to_store_numbers(order: str) -> None:
    net = made(LINE, "fast")
    stored = {
        "fortran": np.asfortranarray(X), "big endian": X.astype(">f8"), "half": X.astype("f2"),
        "whole": X.astype("i1"), "memory order": X[::-1][::-1],
    }[order]  # fmt: skip
    for name, a in (("a", stored), ("b", X)):
        path = archive(f"{name}.npz", {"x.npy": npy(a), "y.npy": npy(Y)})
        assert ran(net, "train", path, "--epochs", "2", "--quiet", "--save", f"{name}w.npz")[0] == 0
    a, b = (np.load(f"{name}w.npz") for name in "ab")
    assert all(np.array_equal(a[name], b[name]) for name in b.files)


def test_archives_that_are_none() -> None:
    net = made(CLASSES, "fast")
    good = Path(archive("good.npz", {"x.npy": npy(X), "t.npy": npy(WORDS)})).read_bytes()
    assert ran(net, "train", "good.npz", "--epochs", "1", "--quiet", "--save", "w.npz")[0] == 0
    wrong = bytearray(good)
    wrong[180] ^= 255
    for data, reason in (
        (b"", "it is no .npz file"),
        (RUNS, "it is no .npz file"),
        (npy(X), "it is no .npz file"),
        (good[:-30], "it is no .npz file"),
        (good[40:], "cannot be read as arrays"),
        (bytes(wrong), DAMAGED),
    ):
        Path("a.npz").write_bytes(data)
        refused(net, "a.npz", reason)
    refused(net, archive("a.npz", {}), "a.npz has no array x; the network takes x, t")
    outside = {"../x.npy": npy(X), "/tmp/t.npy": npy(WORDS)}  # noqa: S108 - a name in an archive
    refused(net, archive("a.npz", outside), "a.npz has no array x")
    os.replace("good.npz", "good.npy")
    refused(net, "good.npy", DAMAGED)
    for data, reason in (
        (claimed((10**9, 5)), DAMAGED),
        (claimed((3, 5), "O", RUNS), "Python objects"),
        (RUNS, "cannot be read as arrays"),
        (b"", "cannot be read as arrays"),
        (npy(np.ones((0, 5))), "has no rows"),
    ):
        Path("a.npy").write_bytes(data)
        refused(net, "a.npy", reason)


def test_more_than_the_memory_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    net = made(CLASSES, "fast")
    monkeypatch.setitem(net, "MEMORY", X.nbytes)  # and a header of the file
    refused(
        net, archive("a.npz", {"x.npy": npy(X), "t.npy": npy(WORDS)}), "more than the memory of this machine"
    )


def test_what_is_no_file() -> None:
    net = made(CLASSES, "fast")
    os.symlink("loop.csv", "loop.csv")
    for path in ("loop.csv", "no\x1b[31m.csv", "a\0b.npz", "a" * 300):
        refused(net, path, "there is no file")
    refused(net, "", "data takes a name, but what was given is empty")
    if not hasattr(os, "mkfifo"):
        return
    for ending in ("csv", "npz", "npy"):
        os.symlink("/dev/zero", f"endless.{ending}")
        os.mkfifo(f"pipe.{ending}")
        for name in ("endless", "pipe"):
            refused(net, f"{name}.{ending}", "it is a folder or a device")
    for ending in ("npz", "safetensors"):
        os.symlink("/dev/zero", f"w.{ending}")
        with pytest.raises(net["Problem"], match="it is a folder or a device"):
            net["Model"]().load(f"w.{ending}")


# ---- tables

TABLE = "1,2,3,4,a\n5,6,7,8,b\n3,4,5,6,c\n"
TABLES: dict[str, tuple[bytes, str]] = {
    name: (text if isinstance(text, bytes) else text.encode(), reason)
    for name, text, reason in [
        ("empty", "", "has no rows"),
        ("empty lines", "\n \n\n", "has no rows"),
        ("names only", "a,b,c,d,e\n", "no rows"),
        ("ragged", TABLE + "1,2\n", "line 4: the row has 2 cells, but the first row has 5"),
        ("nan", TABLE.replace("7", "nan"), "lacks values in 1 row, line 2"),
        ("inf", TABLE.replace("7", "-1e999"), "line 2: '-1e999' is no finite number"),
        ("large", TABLE.replace("7", "1e300"), "x must hold finite numbers, but x[1, 2] is inf"),
        ("word", TABLE.replace("7", "seven"), "line 2: 'seven' is no finite number"),
        ("open quote", TABLE.replace("b", '"b'), "line 2: a quote is opened and never closed"),
        ("nul in a number", TABLE.replace("7", "7\0"), r"line 2 has a control character, '\x00'"),
        ("nul for a label", TABLE.replace("b", "\0"), r"line 2 has a control character, '\x00'"),
        ("escape", TABLE.replace("b", "\x1b[2J"), r"line 2 has a control character, '\x1b'"),
        ("next line", TABLE.replace("\n", "\x85"), r"line 1 has a control character, '\x85'"),
        ("two marks", "\ufeff\ufeff" + TABLE, r"line 1: '\ufeff1' is no finite number"),
        ("UTF-16", TABLE.encode("utf-16"), "cannot be read as a table: it is no text in UTF-8"),
        ("UTF-16 unmarked", TABLE.encode("utf-16-le"), r"has a control character, '\x00'"),
        ("Latin-1", TABLE.replace("b", "é").encode("latin-1"), "cannot be read as a table: it is no text in UTF-8"),
        ("wide", "1," * 20_000 + "a\n", "has 20001 columns, but the network takes 4 for x and 1 for t"),
        ("a long cell", "1,2,3," + "4" * 200_000 + ",a\n", DAMAGED),
        ("label 1e300", "1,2,3,4,1e300\n", "line 1: the label '1e300' is no whole number from 0 to 2"),
        ("label inf", "1,2,3,4,inf\n", "line 1: the label 'inf' is no whole number from 0 to 2"),
        ("four words", TABLE + "1,2,3,4,d\n", "has 4 different labels, but t has 3 classes"),
    ]
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_are_none(kind: str) -> None:
    data, reason = TABLES[kind]
    Path("t.csv").write_bytes(data)
    refused(made(CLASSES, "fast"), "t.csv", reason)


def test_a_column_that_is_not_the_only_one_of_its_name() -> None:
    net = made(CLASSES, "fast")
    for header, reason in (("a,b,c,a,d", "has 2 columns named a"), ("b,c,d,e,f", "has no column named a")):
        Path("t.csv").write_text(f"{header}\n{TABLE}")
        status, _, err = ran(net, "train", "t.csv", "--target", "a", "--epochs", "1")
        assert status == 2 and err == f"net: t.csv {reason}\n"


def test_predictions_are_a_table_again() -> None:
    """Words with commas, quotes and ends of lines come back through Python's csv."""
    import csv

    net = made(CLASSES, "fast")
    words = ['a,"b"', "two\nlines", "'=1+1"]
    model = net["Model"]()
    model.fit(X, np.array(words), epochs=1, quiet=True)
    model.save("w.npz")
    Path("t.csv").write_text("1,2,3,4\n9,9,9,9\n")
    status, out, _ = ran(net, "predict", "t.csv", "--weights", "w.npz")
    found = [row for (row,) in csv.reader(io.StringIO(out))]
    assert status == 0 and found == model.predict(np.array([[1.0, 2, 3, 4], [9, 9, 9, 9]])).tolist()


PIECES = [
    "1",
    ",",
    "\n",
    '"',
    "a",
    "\0",
    "\x1b",
    ";",
    "\t",
    " ",
    "\r",
    "nan",
    "1e999",
    "\ufeff",
    "é",
    "=",
    "-",
]
PIECES.append("4,5,6,b\n")


def any_table(text: str, net: dict[str, Any], path: Path) -> None:
    path.write_text(text, newline="", encoding="utf-8")
    arrays, told = {}, str(path)
    try:
        arrays = net["_data"](net["Model"](), str(path))
    except net["Problem"] as problem:
        told = str(problem)
    assert told.startswith(str(path)) and "\x1b" not in told
    assert all(np.isfinite(a).all() for a in arrays.values())


TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=30).map("".join)
TEXTS = TEXTS.filter(lambda t: t.isascii() or t.encode("utf-8", "ignore").decode() == t)


@settings(max_examples=60, deadline=None)
@given(TEXTS | TEXTS.map(lambda t: TABLE + t))
def test_any_text_as_a_table(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    any_table(text, made(CLASSES, "fast"), tmp_path_factory.getbasetemp() / "any.csv")


@pytest.mark.long
@settings(max_examples=10_000, deadline=None)
@given(TEXTS | TEXTS.map(lambda t: TABLE + t))
def test_very_many_texts_as_tables(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    any_table(text, made(CLASSES, "fast"), tmp_path_factory.getbasetemp() / "any.csv")


# ---- checkpoints and weights


def run_of(model: Any) -> dict[str, Any]:
    """What a checkpoint tells of its run."""
    told: dict[str, Any] = json.loads(np.load("run.npz")[".run"].tobytes())
    return told


ODD = [None, "", "x", -1, 1 << 70, 1e308, [], {}, [{}], [1], {"state": 1}, True, [["a"]], float("nan")]


def test_checkpoints_that_are_none() -> None:
    """Each part of a checkpoint's text replaced by what it cannot be: refused or gone on with, never a crash."""
    net = made(CLASSES, "fast")
    model = net["Model"]()
    model.fit(X, WORDS, epochs=1, checkpoint="run.npz", quiet=True)
    kept = dict(np.load("run.npz"))
    told = run_of(model)
    texts = ["", "[" * 100_000, "9" * 5000, "NaN", "[]", "null", '{"rows": NaN}', "\ud800"]
    texts += [json.dumps({**told, key: odd}) for key in told for odd in ODD]
    outcomes = set()
    for text in texts:
        run = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
        np.savez("run.npz", **{**kept, ".run": run})
        other = net["Model"]()
        try:
            other.fit(X, WORDS, epochs=1, checkpoint="run.npz", resume=True, quiet=True)
        except net["Problem"] as problem:
            outcomes.add(
                re.match("run.npz (cannot be used: it is no checkpoint|is of a run with) ", str(problem))[1]
            )
        else:
            outcomes.add("went on")
    assert outcomes == {"went on", "cannot be used: it is no checkpoint", "is of a run with"}


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_weights_of_another_network(ending: str) -> None:
    net = made(CLASSES, "fast")
    model = net["Model"]()
    before = model.get_weights()
    path = f"w.{ending}"
    for change, reason in (
        ({"W1": np.ones((3, 4))}, "W1 must have the shape"),
        ({"W1": np.ones(12)}, "W1 must have the shape"),
        ({"W1": np.full((4, 3), np.nan)}, "W1 is not made of finite numbers"),
        ({"W1": np.full((4, 3), True)}, "W1 is not made of finite numbers"),
        ({".steps": np.array(-1)}, "its count of steps is -1"),
        ({".classes": np.array(["\x1b[2J", "b", "c"])}, "its classes are no list of words"),
        ({".classes": np.array([1, 2, 3])}, "its classes are no list of words"),
    ):
        net["_write_arrays"](path, {**before, **change})
        with pytest.raises(net["Problem"], match=reason):
            model.load(path)
        assert all(np.array_equal(w, model.weights[name]) for name, w in before.items())


# ---- bounded memory

BOUNDED = """
import json, resource, sys, warnings, zipfile
warnings.simplefilter("error")
sys.path.insert(0, ".")
import net
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
for path in sys.argv[1:]:
    print(net.main(["train", path, "--epochs", "1", "--quiet"]), flush=True)
    if not path.endswith("csv"):
        try:
            net.Model().load(path)
        except net.Problem as problem:
            print(problem, file=sys.stderr)
"""


@pytest.mark.long
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded by RLIMIT_AS")
def test_bombs_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    Path("net.py").write_text(sg.Model(CLASSES).source("net"))
    zeros = b"\0" * (1 << 26)
    with zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("x", "W1"):
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                entry.write(claimed(((1 << 29) // 4, 4)))
                for _ in range(16):
                    entry.write(zeros)
        for name, a in (("t", WORDS), ("b1", Y)):
            file.writestr(f"{name}.npy", npy(a))
    archive("claim.npz", {f"{name}.npy": claimed((10**9, 4)) for name in ("x", "t", "W1", "b1")})
    with open("line.csv", "wb") as file:
        file.truncate(3 << 30)  # one line of zeros, which takes no room on the disk
    paths = ["bomb.npz", "claim.npz", "line.csv"]
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, *paths], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stdout.split() == ["2"] * 3 and done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 5 and "Traceback" not in done.stderr
