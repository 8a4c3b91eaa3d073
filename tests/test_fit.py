"""Training runs: metrics, early stopping, history, checkpoints that go on bit by bit, signals, and divergence."""

import contextlib
import csv
import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad import emit
from symgrad.language.reader import read
from symgrad.passes.wholes import whole

NETS = {
    # dropout and batch norm: draws and states
    "drawn": """
        x: data[n, 5]
        t: label[n] < 3
        h = dropout(relu(batch_norm(dense(x, 7))), 0.3)
        z = dense(h, 3)
        loss = softmax_cross_entropy(z, t)
    """,
    "plain": """
        x: data[n, 5]
        t: label[n] < 3
        h = tanh(dense(x, 6))
        z = dense(h, 3)
        loss = softmax_cross_entropy(z, t)
    """,
    "line": "x: data[n, 2]; y: data[n, 2]; p = dense(x, 2); loss = mse_loss(p, y)",
    "sum": "x: data[n, 2]; y: data[n]; w: weight[2]; p = x @ w; loss = sum((p - y)**2)",
}


@cache
def module(name: str, style: str = "fast", optimizer: str = "adam", **options: Any) -> dict[str, Any]:
    return emit.load(sg.Model(NETS[name]).source("net", style=style, optimizer=optimizer, **options), "net")


def data(n: int = 43) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((n, 5))
    return x, (x[:, 0] > 0.3).astype(int) + (x[:, 1] > 0.5)


class Killed(Exception):
    """What a test lets happen in the middle of a run."""


def killed_at(model: Any, step: int) -> None:
    """Let a step of a model fail as a process does that is killed: nothing is tidied up."""
    advance = model._advance

    def fails() -> None:
        if model.steps == step:
            raise Killed
        advance()

    model._advance = fails


def killed_behind(model: Any, count: int) -> None:
    """The same behind a checkpoint, the first or a later one."""
    keep = model._keep
    left = iter(range(count - 1))

    def fails(run: Any) -> None:
        keep(run)
        if next(left, None) is None:
            raise Killed

    model._keep = fails


def same(a: Any, b: Any) -> None:
    for key, w in a.get_weights().items():
        np.testing.assert_array_equal(w, b.get_weights()[key], err_msg=key, strict=True)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def untimed(rows: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


# ---------------------------------------------------------------------- resume


@settings(max_examples=12, deadline=None)
@given(
    how=st.sampled_from(
        [
            ("drawn", "fast", "adam"),
            ("drawn", "readable", "momentum"),
            ("plain", "fast", "momentum"),
            ("plain", "fast", "adam"),
        ]
    ),
    killed=st.integers(0, 29),
    every=st.sampled_from([None, 1, 3, 7]),
    batch=st.sampled_from([7, 10, 64]),
    validation=st.sampled_from([None, 0.25]),
    threads=st.sampled_from([1, 2]),
)
def test_a_resumed_run_equals_one_that_was_never_stopped(
    how: tuple[str, str, str], killed: int, every: int | None, batch: int, validation: float | None,
    threads: int, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    net, folder, (x, t) = module(*how), tmp_path_factory.mktemp("runs"), data()
    split = {"threads": threads} if how[:2] == ("plain", "fast") else {}
    asked = {"epochs": 5, "batch_size": batch, "seed": 3, "validation": validation, "quiet": True}
    straight = net["Model"](**split)
    losses = straight.fit(x, t, **asked, history=folder / "straight.csv")
    first = net["Model"](**split)
    killed_at(first, killed)
    kept = {"checkpoint": folder / "run.npz", "every": every, "history": folder / "run.csv"}
    with contextlib.suppress(Killed):
        first.fit(x, t, **asked, **kept)
    if not (folder / "run.npz").exists():
        return
    second = net["Model"](**split)
    assert second.fit(x, t, **asked, **kept, resume=True) == losses
    same(straight, second)
    assert second.steps == straight.steps
    assert untimed(second.history) == untimed(straight.history)
    tables = [table(folder / f"{name}.csv") for name in ("straight", "run")]
    if killed < straight.steps:  # else it had ended, and the file is that of the first
        assert untimed(tables[0]) == untimed(tables[1])


@pytest.mark.skipif(importlib.util.find_spec("numba") is None, reason="Numba is not installed")
def test_a_resumed_run_of_compiled_code(tmp_path: Path) -> None:
    """Bursts of compiled steps are as long as they happen to be: results do not depend on that."""
    net, (x, t) = emit.load(sg.Model(NETS["plain"]).source("net", target="numba"), "net"), data()
    asked: dict[str, Any] = {"epochs": 4, "batch_size": 4, "validation": 0.2, "quiet": True}
    straight, path = net["Model"](), tmp_path / "run.npz"
    losses = straight.fit(x, t, **asked)
    for kept in (1, 4, 9, 13):
        first, second = net["Model"](), net["Model"]()
        killed_behind(first, kept)
        with pytest.raises(Killed):
            first.fit(x, t, **asked, checkpoint=path, every=2)
        assert second.fit(x, t, **asked, checkpoint=path, every=2, resume=True) == losses
        same(straight, second)
        assert untimed(second.history) == untimed(straight.history)
    said = []
    for compiled in (True, False):
        with pytest.raises(net["Problem"], match="at step ") as problem:
            net["Model"](lr=1e39, compiled=compiled).fit(x, t, batch_size=4, quiet=True)
        said.append(str(problem.value))
    assert said[0] == said[1] and "at step 2, first in h (weights W1, b1)" in said[0]


def test_a_finished_run_says_so_and_goes_on_for_more_epochs(tmp_path: Path, capsys: Any) -> None:
    net, (x, t), path = module("drawn"), data(), tmp_path / "run.npz"
    asked = {"batch_size": 8, "validation": 0.2}
    net["Model"]().fit(x, t, epochs=2, checkpoint=path, quiet=True, **asked)
    before = path.read_bytes()
    again = net["Model"]()
    again.fit(x, t, epochs=2, checkpoint=path, resume=True, **asked)
    said = capsys.readouterr().out
    assert "finished: all 2 epochs are done" in said and said.count("\n") == 1
    assert again.stopped == "finished" and path.read_bytes() == before
    longer, straight = net["Model"](), net["Model"]()
    assert longer.fit(x, t, epochs=4, checkpoint=path, resume=True, quiet=True, **asked) == straight.fit(
        x, t, epochs=4, quiet=True, **asked
    )
    same(longer, straight)


def test_another_run_is_refused_by_name(tmp_path: Path) -> None:
    net, (x, t), path = module("plain"), data(), tmp_path / "run.npz"
    asked: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 8,
        "validation": 0.2,
        "checkpoint": path,
        "quiet": True,
    }
    net["Model"]().fit(x, t, **asked)
    for said, change in {
        "batch_size = 8, not 9": {"batch_size": 9},
        "seed = 0, not 1": {"seed": 1},
        "validation = 0.2, not 0.3": {"validation": 0.3},
        "validation = 0.2, not None": {"validation": None},
    }.items():
        model = net["Model"]()
        weights = model.get_weights()
        with pytest.raises(net["Problem"], match=f"run.npz is of a run with {said}"):
            model.fit(x, t, **{**asked, **change}, resume=True)
        np.testing.assert_equal(model.get_weights(), weights)
    with pytest.raises(net["Problem"], match=r"with lr = 0\.001, not 0\.1"):
        net["Model"](lr=0.1).fit(x, t, **asked, resume=True)
    with pytest.raises(net["Problem"], match="with dtype = float32, not float64"):
        net["Model"](dtype=np.float64).fit(x, t, **asked, resume=True)
    with pytest.raises(net["Problem"], match="with other x and other t:"):
        net["Model"]().fit(x[1:], t[1:], **asked, resume=True)
    with pytest.raises(net["Problem"], match="with other t:"):
        net["Model"]().fit(x, (t + 1) % 3, **asked, resume=True)
    other = module("drawn")
    with pytest.raises(other["Problem"], match=r"damaged|network"):
        other["Model"]().fit(x, t, **asked, resume=True)
    for argument in ("resume", "every"):
        with pytest.raises(net["Problem"], match=f"{argument} needs the name of a checkpoint"):
            net["Model"]().fit(x, t, **{argument: 1})
    with pytest.raises(net["Problem"], match="there is no file"):
        net["Model"]().fit(x, t, checkpoint=tmp_path / "none.npz", resume=True)


def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    net, (x, t), path = module("plain"), data(), tmp_path / "run.npz"
    model = net["Model"]()
    model.fit(x, t, epochs=1, checkpoint=path, quiet=True)
    whole_file = path.read_bytes()
    arrays = net["_read_arrays"](path)
    told = json.loads(arrays[".run"].tobytes())
    cases: list[Any] = [whole_file[: len(whole_file) // 2], b"", b"no archive"]
    for change in (
        {".run": None},
        {".best.W1": None},
        {".best.W1": np.zeros(3)},
        {".run": np.frombuffer(b"{", np.uint8)},
        {".run": np.frombuffer(json.dumps({**told, "rng": {}}).encode(), np.uint8)},
        {".run": np.frombuffer(json.dumps({**told, "epoch": "two"}).encode(), np.uint8)},
        {".run": np.frombuffer(b"[]", np.uint8)},
    ):
        cases += [{k: a for k, a in {**arrays, **change}.items() if a is not None}]
    for case in cases:
        if isinstance(case, bytes):
            path.write_bytes(case)
        else:
            net["_write_arrays"](path, case)
        with pytest.raises(net["Problem"], match=r"run\.npz cannot be") as problem:
            net["Model"]().fit(x, t, epochs=2, checkpoint=path, resume=True, quiet=True)
        assert "\n" not in str(problem.value)


# ---------------------------------------------------------------------- metrics


def test_metrics_by_hand() -> None:
    net = module("plain")
    model = net["Model"]()
    x, t = data()
    found, (right, predicted) = model.metrics({"x": x, "t": t}), (model.predict(x) == t, model.predict(x))
    assert list(found) == ["loss", "accuracy", "f1"] and found["accuracy"] == pytest.approx(right.mean())
    f1 = []
    for k in range(3):
        tp, either = np.sum((predicted == k) & (t == k)), np.sum(predicted == k) + np.sum(t == k)
        if either:
            f1.append(2 * tp / either)
    assert found["f1"] == pytest.approx(np.mean(f1))
    assert model.score({"x": x, "t": t}).split()[::2] == ["loss", "accuracy", "f1"]
    with pytest.raises(net["Problem"], match="no array t to score"):
        model.metrics({"x": x})


@pytest.mark.parametrize("case", ["all", "one absent", "one only", "single"])
def test_classes_as_scikit_learn(case: str) -> None:
    judge = pytest.importorskip("sklearn.metrics")
    model = module("plain")["Model"](dtype=np.float64)
    x, t = data()
    t = {"all": t, "one absent": np.where(t == 1, 0, t), "one only": 0 * t + 2, "single": t}[case]
    x, t = (x[:1], t[:1]) if case == "single" else (x, t)
    found, predicted = model.metrics({"x": x, "t": t}), model.predict(x)
    assert found["f1"] == pytest.approx(
        judge.f1_score(t, predicted, average="macro", zero_division=0), abs=1e-12
    )
    assert found["accuracy"] == pytest.approx(judge.accuracy_score(t, predicted))


@pytest.mark.parametrize("case", ["plain", "constant column", "constant", "met"])
def test_regression_as_scikit_learn(case: str) -> None:
    judge = pytest.importorskip("sklearn.metrics")
    model = module("line", "readable")["Model"](dtype=np.float64)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((30, 2))
    y = rng.standard_normal((30, 2)) + 1e3
    if case == "constant column":
        y[:, 0] = 0.25
    if case == "constant":
        y[:] = 0.25
    if case == "met":
        model.set_weights({"W1": np.zeros((2, 2)), "b1": np.array([0.1, 0.3])})
        y[:] = [0.1, 0.3]
    found, p = model.metrics({"x": x, "y": y}), model.predict(x)
    assert found["r2"] == pytest.approx(judge.r2_score(y, p), rel=1e-9)
    assert found["rmse"] == pytest.approx(math.sqrt(judge.mean_squared_error(y, p)))


@pytest.mark.parametrize(("name", "how"), [("plain", "mean"), ("line", "mean"), ("sum", "sum")])
def test_metrics_in_parts_are_those_of_the_whole(name: str, how: str) -> None:
    """More examples than are scored at a time; the loss as it is declared, a mean or a sum."""
    net = module(name)
    model, rng = net["Model"](dtype=np.float64), np.random.default_rng(0)
    assert whole(sg.Model(NETS[name]).program) == how
    n = 2 * net["SCORED"] + 5
    shapes = {"x": (n, 5 if name == "plain" else 2), "y": (n, 2) if name == "line" else (n,), "t": (n,)}
    arrays = {k: rng.integers(0, 3, n) if k == "t" else rng.standard_normal(shapes[k]) for k in net["DATA"]}
    found = model.metrics(arrays)
    assert found["loss"] == pytest.approx(model.loss(**arrays), rel=1e-12)
    if name == "line":
        y, p = arrays["y"], model.predict(arrays["x"])
        assert found["r2"] == pytest.approx(
            np.mean(1 - ((y - p) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0))
        )


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("x: data[n]; w: weight; loss = mean(x*w) + w**2", "mean"),
        ("x: data[n]; w: weight; loss = sum(x*w)/n", "mean"),
        ("x: data[n]; w: weight; loss = sum(x*w)", "sum"),
        ("x: data[n]; w: weight; loss = sum(x*w) + w**2", None),
        ("x: data[n]; w: weight; loss = sum(x*w)/n**2", None),
        ("x: data[n]; w: weight; loss = log(sum(exp(x*w)))", None),
        ("x: data[n, 4]; w: weight[4]; loss = mean((x*w)**2)", "mean"),
        ("x: data[n]; w: weight; loss = sum(x*w)*n", None),
    ],
)
def test_how_a_loss_follows_from_parts(text: str, how: str | None) -> None:
    assert whole(read(text)) == how


def test_layers_are_the_named_tensors() -> None:
    for style in ("readable", "fast"):
        net, (x, t) = module("plain", style), data()
        model = net["Model"](dtype=np.float64)
        found = model.layers(x, t)
        assert list(found) == ["h", "z", "loss"]
        np.testing.assert_allclose(found["z"], model.forward(x))
        assert found["loss"] == pytest.approx(model.loss(x, t))
        assert net["LAYERS"] == {"h": ("W1", "b1"), "z": ("W2", "b2"), "loss": ()}


# ---------------------------------------------------------------------- early stopping, validation, history


def test_early_stopping_puts_the_best_weights_back(tmp_path: Path) -> None:
    net, (x, t) = module("plain"), data()
    rng = np.random.default_rng(0)
    held = {"x": rng.standard_normal((20, 5)), "t": rng.integers(0, 3, 20)}  # noise: soon it gets worse
    model = net["Model"](lr=0.05)
    model.fit(x, t, epochs=200, validation=held, patience=4, quiet=True)
    losses = [row["validation_loss"] for row in model.history]
    best = int(np.argmin(losses))
    assert model.stopped == "patience" and len(losses) == best + 5 < 200
    assert model.metrics(held)["loss"] == losses[best]
    again = net["Model"](lr=0.05)
    again.fit(x, t, epochs=best + 1, quiet=True)
    same(model, again)
    short = net["Model"](lr=0.05)
    short.fit(x, t, epochs=200, patience=2, improvement=10.0, quiet=True)  # of the training loss
    assert short.stopped == "patience" and len(short.history) == 3


def test_what_was_trained_before_a_first_score_is_kept() -> None:
    net, (x, t) = module("plain"), data()
    model = net["Model"]()
    start, advance = model.get_weights(), model._advance

    def interrupted() -> None:
        advance()
        signal.raise_signal(signal.SIGINT)

    model._advance = interrupted
    model.fit(x, t, batch_size=8, validation=0.2, quiet=True)
    assert model.stopped == "interrupted" and model.steps == 1
    assert not np.array_equal(model.weights["W1"], start["W1"])


@pytest.mark.parametrize("name", ["history", "checkpoint", "--save"])
def test_files_that_cannot_be_written_are_told_before_training(
    name: str, tmp_path: Path, capsys: Any
) -> None:
    net, (x, t) = module("plain"), data()
    np.save(tmp_path / "rows.npy", np.column_stack([x, t]))
    model = net["Model"]()
    for path, why in ((tmp_path / "none" / "f", "No such file"), (tmp_path, "it is a folder")):
        if name == "--save":
            assert net["main"](["train", str(tmp_path / "rows.npy"), "--save", str(path)]) == 2
            said = capsys.readouterr()
            assert said.out == "" and why in said.err
        else:
            with pytest.raises(net["Problem"], match=why):
                model.fit(x, t, quiet=True, **{name: path})
    assert model.steps == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "-1"], "takes a whole number from 0, not '-1'"),
        (["--batch", "0"], "batch_size is a whole number from 1, not 0"),
        (["--test-split", "1"], "the test split is a part from 0 to below 1, not 1.0"),
        (["--seed", "-1"], "takes a whole number from 0, not '-1'"),
        (["--set", "lr"], "a name and a number are asked for, such as lr=0.1, not 'lr'"),
    ],
)
def test_options_that_are_refused_are_told_as_written(
    words: list[str], said: str, tmp_path: Path, capsys: Any
) -> None:
    net, (x, t) = module("plain"), data()
    np.save(tmp_path / "rows.npy", np.column_stack([x, t]))
    try:
        status = net["main"](["train", str(tmp_path / "rows.npy"), "--save", str(tmp_path / "w.npz"), *words])
    except SystemExit as left:
        status = left.code
    assert status == 2 and said in capsys.readouterr().err


def test_a_part_is_set_apart_by_the_seed() -> None:
    net = module("plain")
    chosen, held = net["_split"](50, 0.2, 4)
    assert len(held) == 10 and sorted([*chosen, *held]) == list(range(50))
    np.testing.assert_array_equal(held, net["_split"](50, 0.2, 4)[1])
    assert (held != net["_split"](50, 0.2, 5)[1]).any()
    x, t = data(50)
    a, b = net["Model"](), net["Model"]()
    a.fit(x, t, epochs=2, seed=4, validation=0.2, quiet=True)
    b.fit(x[chosen], t[chosen], epochs=2, seed=4, validation={"x": x[held], "t": t[held]}, quiet=True)
    same(a, b)
    assert untimed(a.history) == untimed(b.history)
    for wrong in (0.001, 1.5, -1.0, 0.999, [0.2]):
        with pytest.raises(net["Problem"], match="validation"):
            a.fit(x, t, validation=wrong)


def test_rows_of_the_history(tmp_path: Path, capsys: Any) -> None:
    net, (x, t) = module("plain", "fast", "sgd"), data()
    model = net["Model"](lr=0.1, dtype=np.float64)
    losses = model.fit(x, t, epochs=3, batch_size=20, validation=0.3, history=tmp_path / "h.csv")
    assert [row["loss"] for row in model.history] == losses
    rows = table(tmp_path / "h.csv")
    assert list(rows[0]) == [
        "epoch", "steps", "loss", "gradient_norm", "learning_rate", "validation_loss", "validation_accuracy",
        "validation_f1", "seconds",
    ]  # fmt: skip
    assert [row["steps"] for row in rows] == ["2", "4", "6"]
    assert [{k: float(v) for k, v in row.items()} for row in rows] == model.history
    assert len(capsys.readouterr().out.splitlines()) == 3
    # the gradient of the last batch of an epoch
    chosen, _ = net["_split"](43, 0.3, 0)
    order = chosen[np.random.default_rng(0).permutation(len(chosen))]
    again = net["Model"](lr=0.1, dtype=np.float64)
    again.step(x[order[:20]], t[order[:20]])
    g = again.loss_and_grad(x[order[20:]], t[order[20:]])[1]
    norm = math.sqrt(sum(float(np.sum(a * a)) for a in g.values()))
    assert model.history[0]["gradient_norm"] == pytest.approx(norm)


# ---------------------------------------------------------------------- divergence


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_a_run_that_diverges_says_where(style: str, tmp_path: Path) -> None:
    net = module("line", style, "sgd")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 2))
    model = net["Model"](lr=20.0)
    with pytest.raises(net["Problem"]) as problem:
        model.fit(x, x[:, ::-1], epochs=30, batch_size=8, quiet=True, history=tmp_path / "h.csv")
    said = str(problem.value)
    step = int(re.findall(r"at step (\d+)", said)[0])
    assert model.stopped == "diverged" and "learning rate 20" in said and "first in loss" in said
    assert model.history[-1]["steps"] < step <= model.history[-1]["steps"] + 5
    assert len(model.history) == len(table(tmp_path / "h.csv"))
    # step by step by hand
    again, losses = net["Model"](lr=20.0), []
    order_of = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        while not losses or np.isfinite(losses[-1]):
            order = order_of.permutation(40)
            for k in range(0, 40, 8):
                losses.append(again.step(x[order[k : k + 8]], x[order[k : k + 8], ::-1]))
                if not np.isfinite(losses[-1]):
                    break
    assert len(losses) == step
    assert np.isfinite(model.get_weights()["W1"]).all() and np.isfinite(model.loss(x, x[:, ::-1]))


def test_the_rate_of_a_run_that_diverges_is_that_of_its_latest_update() -> None:
    net = module("line", "fast", "sgd", schedule="lr*t")
    x = np.random.default_rng(0).standard_normal((40, 2))
    with pytest.raises(net["Problem"], match="loss is") as problem:
        net["Model"](lr=20.0).fit(x, x[:, ::-1], epochs=30, batch_size=8, quiet=True)
    step = int(re.findall(r"at step (\d+)", str(problem.value))[0])
    assert f"learning rate {20.0 * (step - 1):g}," in str(problem.value)


@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf])
def test_what_is_no_learning_rate_is_refused_at_once(rate: float) -> None:
    net = module("plain")
    with pytest.raises(net["Problem"], match="lr is a finite number from 0, not"):
        net["Model"](lr=rate)
    with pytest.raises(net["Problem"], match="beta1 is a finite number, not nan"):
        net["Model"](beta1=np.nan)
    clipped = module("plain", clip_norm=1.0, l2=0.1)
    for numbers, said in (
        ({"clip_norm": 0}, "number above 0, not 0.0"),
        ({"l2": -1}, "number from 0, not -1.0"),
    ):
        with pytest.raises(clipped["Problem"], match=said):
            clipped["Model"](**numbers)


@pytest.mark.parametrize("size", [0, -1, 2.5, "a", True])
def test_what_is_no_size_is_refused(size: Any) -> None:
    text = "x: data[n, 2]; y: data[n]; W: weight[2, q]; v: weight[q]; p = x @ W @ v; loss = mse_loss(p, y)"
    net = emit.load(sg.Model(text).source("net"), "net")
    with pytest.raises(net["Problem"], match="the size q is a whole number from 1, not"):
        net["Model"](q=size)
    assert net["Model"](q=np.int64(3)).sizes == {"q": 3}


@pytest.mark.filterwarnings("error")
def test_what_is_too_large_for_the_type_is_one_sentence() -> None:
    net, (x, t) = module("plain"), data()
    x[3, 2] = 1e300
    with pytest.raises(net["Problem"], match=r"x\[3, 2\]"):
        net["Model"]().fit(x, t, quiet=True)


def test_the_first_layer_is_named() -> None:
    net, (x, t) = module("plain", "fast", "sgd"), data()
    model = net["Model"]()
    model.weights["W2"][0, 0] = np.inf
    with pytest.raises(
        net["Problem"], match=r"at step 1, first in z \(weights W2, b2\), where W2 no longer hold"
    ):
        model.fit(x, t, quiet=True)


# ---------------------------------------------------------------------- signals


RUN = """
import sys, time, numpy as np
import net
rng = np.random.default_rng(0)
x = rng.standard_normal((400, 5)); t = (x[:, 0] > 0).astype(int)
model = net.Model()
advance = model._advance
def slow():
    advance()
    if model.steps == 30:
        print("under way", flush=True)
    time.sleep(0.002)
model._advance = slow
model.fit(x, t, epochs=1000, batch_size=16, checkpoint="run.npz", every=7, quiet=True)
print(model.stopped, model.steps, flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signals")
    sg.Model(NETS["plain"]).generate(folder / "net.py", style="fast")
    return folder


def started(folder: Path, *words: str, until: str) -> "subprocess.Popen[str]":
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, *words], cwd=folder, **pipes)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(until):
            return process
    raise AssertionError(process.communicate()[1])


def straight(net: dict[str, Any], steps: int) -> Any:
    """The model of RUN after some steps, trained here."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 5))
    t = (x[:, 0] > 0).astype(int)
    model = net["Model"]()
    killed_at(model, steps)
    with pytest.raises(Killed):
        model.fit(x, t, epochs=1000, batch_size=16, quiet=True)
    return model


def test_a_run_that_is_killed_goes_on(folder: Path) -> None:
    process = started(folder, "-c", RUN, until="under way")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    net = module("plain", "fast")
    kept = net["Model"]()
    kept.load(folder / "run.npz")
    assert kept.steps >= 28 and kept.steps % 7 == 0
    same(kept, straight(net, kept.steps))
    (folder / "run.npz").unlink()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_control_c_ends_at_a_step_and_the_run_goes_on(folder: Path) -> None:
    process = started(folder, "-c", RUN, until="under way")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    word, steps = out.split()
    assert word == "interrupted" and int(steps) >= 30
    net = module("plain", "fast")
    kept = net["Model"]()
    kept.load(folder / "run.npz")
    assert kept.steps == int(steps)
    same(kept, straight(net, kept.steps))


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_with_the_status_of_the_signal(folder: Path, number: signal.Signals) -> None:
    x, t = data(200)
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*map(float, row), int(k)] for row, k in zip(x, t, strict=True)])
    words = ["net.py", "train", "table.csv", "--epochs", "100000", "--checkpoint", "c.npz", "--save", "s.npz"]
    process = started(folder, *words, until="epoch      3/")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + number, "")
    last = out.splitlines()[-3:]
    assert last[0].startswith(
        "interrupted after step " if number == signal.SIGINT else "terminated after step "
    )
    assert last[1:] == ["saved s.npz", "the same command with --resume goes on"]
    assert (folder / "c.npz").exists() and (folder / "s.npz").exists()


def test_handlers_of_signals_come_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    net, (x, t) = module("plain"), data()
    model = net["Model"]()
    net["Model"]().fit(x, t, epochs=1, quiet=True)
    assert signal.getsignal(signal.SIGINT) is before
    killed_at(model, 2)
    with pytest.raises(Killed):
        model.fit(x, t, quiet=True)
    assert signal.getsignal(signal.SIGINT) is before
    twice = net["Model"]()
    advance = twice._advance

    def impatient() -> None:
        advance()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    twice._advance = impatient
    with pytest.raises(KeyboardInterrupt):
        twice.fit(x, t, quiet=True)
    assert twice.steps == 1 and signal.getsignal(signal.SIGINT) is before


# ---------------------------------------------------------------------- progress


class Terminal:
    """Standard output as a terminal of some width."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("width", [30, 40, 80, 140])
def test_a_terminal_has_one_line(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    x, t = data()
    module("plain")["Model"]().fit(x, t, epochs=3, validation=0.2)
    drawn = terminal.text.split("\r")
    assert drawn[0] == "" and terminal.text.count("\n") == 1 and terminal.text.endswith("\n")
    assert {len(line.rstrip("\n")) for line in drawn[1:]} == {width - 1}
    assert drawn[-1].startswith("epoch 3/3") and ("[####" in drawn[-1]) == (width > 60)
    assert "0:00 left" in drawn[-1] or width == 30
    assert all(word in drawn[-1] for word in ("accuracy", "gradient")) == (width > 60)
    assert ("validation: loss" in drawn[-1] and "rate" in drawn[-1]) == (width == 140)


def test_quiet_says_nothing(capsys: Any) -> None:
    x, t = data()
    module("plain")["Model"]().fit(x, t, epochs=2, validation=0.2, quiet=True)
    assert capsys.readouterr().out == ""


def test_the_help_of_train_has_the_options_of_the_module(capsys: Any) -> None:
    from symgrad import cli

    with pytest.raises(SystemExit) as left:
        cli.main(["train", "--help"])
    said = capsys.readouterr().out
    assert left.value.code == 0
    assert all(
        f"--{option}" in said
        for option in ("patience", "resume", "checkpoint", "validation-data", "lr", "size")
    )
