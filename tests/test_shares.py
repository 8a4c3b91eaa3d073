"""Batches in pieces: tiles, micro-batches and threads give the step of the whole batch, to rounding."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.allocations import counted

import symgrad as sg
from symgrad import emit
from symgrad.cli import main
from symgrad.errors import Refusal
from symgrad.language.program import needed
from symgrad.language.reader import read
from symgrad.passes.shares import share

NETWORKS = Path(sg.__file__).parent / "networks"
DECLARATIONS = {
    "penalty": "x: data[n, 3]; t: data[n]; W: weight[3]; z = tanh(x @ W); loss = mean((z - t)**2) + 0.1*sum(W**2)",
    "labels": "x: data[n, 3]; t: label[n] < 4; loss = softmax_cross_entropy(dense(relu(dense(x, 5)), 4), t)",
    "look-up": "u: label[n] < 6; t: data[n]; E: weight[6, 3]; v: weight[3]; loss = mean((E[u] @ v - t)**2)",
    "dropout": "x: data[n, 3]; t: data[n, 2]; loss = mse(dense(dropout(dense(x, 7), 0.5), 2), t)",
    "state": """x: data[n, 3]; W: weight[3]; s: state[3] = zeros(); z = x @ W
        s = 0.9*s + 0.1*mean(x, axis=0); loss = mean(z**2) + sum(W*s)""",
    "shared": "x: data[n, 3]; a: weight[3]; b: weight[3]; z = x @ (a + b); loss = sum(z**2)/n",
    "layer norm": "x: data[n, 4, 3]; t: data[n, 4, 3]; loss = mse(dense(layer_norm(x), 3), t)",
    "constant": "x: data[n, 3]; c: constant[3]; W: weight[3]; loss = mean((x @ (c*W))**2)",
    "counter": "x: data[n, 3]; W: weight[3]; c: state = zeros(); c = c + 1; loss = mean((x @ W)**2)/(1 + c)",
    "recurrence": """x: data[n, s, 3]; t: data[n, 4]; h = rnn(x, 4); loss = mse(h[:, s - 1], t)""",
}
SIZES = {"n": 11, "s": 5}


@cache
def module(declaration: Any, **options: Any) -> dict[str, Any]:
    return emit.load(sg.Model(declaration).source("net", style="fast", **options), "net")


def arrays(net: dict[str, Any], seed: int, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    s = {**SIZES, "n": count}
    below = {name: limit(s) for name, limit in net["BELOW"].items()}
    shapes = {name: net["SHAPES"][name](s) for name in net["DATA"]}
    return {
        name: rng.integers(0, below[name], shape) if name in below else rng.standard_normal(shape)
        for name, shape in shapes.items()
    }


def steps(
    net: dict[str, Any], data: list[dict[str, np.ndarray]], **how: Any
) -> tuple[list[float], dict[str, np.ndarray]]:
    model = net["Model"](dtype=np.float64, **how)
    return [model.step(**d) for d in data], model.get_weights()


HOW: tuple[dict[str, Any], ...] = (
    {"tile": 4},
    {"tile": 1},
    {"micro_batch": 3},
    {"threads": 2},
    {"threads": 3, "tile": 2},
    {"threads": 20, "tile": None},
)


@pytest.mark.parametrize("name", DECLARATIONS)
def test_pieces_add_up(name: str) -> None:
    """With batches of several sizes, so that the last tile is shorter, or the only one."""
    net = module(DECLARATIONS[name])
    data = [arrays(net, k, count) for k, count in enumerate((11, 11, 3, 12))]
    losses, weights = steps(net, data)
    for how in HOW:
        split_losses, split_weights = steps(net, data, **how)
        np.testing.assert_allclose(split_losses, losses, rtol=1e-12, err_msg=str(how))
        for key, w in weights.items():
            np.testing.assert_allclose(split_weights[key], w, rtol=1e-9, atol=1e-12, err_msg=str(how))
        again = steps(net, data, **how)
        assert again[0] == split_losses, how  # the same to the last bit
        assert all((again[1][key] == w).all() for key, w in split_weights.items())


@pytest.mark.parametrize("name", ["labels", "dropout", "constant"])
def test_fit_in_pieces(name: str) -> None:
    net = module(DECLARATIONS[name])
    data = arrays(net, 0, 23)
    models = [net["Model"](dtype=np.float64, **how) for how in ({}, {"threads": 2, "micro_batch": 3})]
    losses = [m.fit(**data, epochs=2, batch_size=8, quiet=True) for m in models]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-12)
    for key, w in models[0].get_weights().items():
        np.testing.assert_allclose(models[1].weights[key], w, rtol=1e-9, atol=1e-12)


def pieces(model: Any, net: dict[str, Any]) -> list[list[tuple[int, int]]]:
    """The places of the pieces of the one plan of a model, by threads."""
    (plan,) = model._plans[net["_training"]].values()
    return [[tile[:2] for tile in tiles] for _, _, tiles in plan[3] or ()]


def test_tiles_by_what_the_cache_holds() -> None:
    net = dict(module(DECLARATIONS["labels"]))
    net["Model"].__init__.__globals__["CACHE"] = 1 << 14
    try:
        model = net["Model"]()
        model.step(**arrays(net, 0, 2000))
        assert len(pieces(model, net)[0]) > 3
        whole = net["Model"](tile=None)
        whole.step(**arrays(net, 0, 2000))
        assert pieces(whole, net) == []
    finally:
        net["Model"].__init__.__globals__["CACHE"] = 24 << 20


def test_a_limit_in_bytes() -> None:
    net = module(DECLARATIONS["layer norm"])
    data = arrays(net, 0, 100)
    model = net["Model"](micro_batch="40 kB", threads=2)
    model.step(**data)
    (plan,) = model._plans[net["_training"]].values()
    held = sum(
        net["_held"](t[4], model._results)
        for _, _, tiles in plan[3]
        for t in {id(t[4]): t for t in tiles}.values()
    )
    assert 10_000 < held < 40_000
    model = net["Model"](micro_batch="300B")
    with pytest.raises(
        net["Problem"], match=r"micro_batch allows 300 bytes, but one example at a time takes"
    ):
        model.step(**data)


def test_measured_once_and_kept(tmp_path: Path) -> None:
    net = module(DECLARATIONS["dropout"])
    data = arrays(net, 0, 12)
    model, plain = (
        net["Model"](dtype=np.float64, threads="measure", tile="measure"),
        net["Model"](dtype=np.float64),
    )
    assert model.step(**data) == pytest.approx(plain.step(**data), rel=1e-12)  # with the same draws
    assert isinstance(model.threads, int)
    model.threads, model.tile = 2, 3
    model.save(tmp_path / "w.npz")
    again = net["Model"](threads="measure", tile="measure")
    again.load(tmp_path / "w.npz")
    assert (again.threads, again.tile) == (2, 3)


@pytest.mark.parametrize("how", [{}, {"tile": 5}, {"threads": 2}, {"threads": 2, "tile": 2}], ids=str)
def test_a_step_in_pieces_allocates_no_array(how: dict[str, Any]) -> None:
    net = module(DECLARATIONS["labels"])
    model, data = net["Model"](**how), arrays(net, 0, 20)
    data["x"] = data["x"].astype(np.float32)
    order = np.random.default_rng(0).permutation(20)
    for _ in range(2):
        model.step(**data)
        model._train_rows(data, order)
    with counted() as found:
        model.step(**data)
        model._train_rows(data, order)
    assert found == []


def test_a_problem_in_a_thread_is_told_and_changes_nothing() -> None:
    net = module(DECLARATIONS["labels"])
    model, data = net["Model"](threads=2, tile=2), arrays(net, 0, 12)
    before = model.get_weights()
    data["t"][-1] = 4
    with pytest.raises(net["Problem"], match="t is a label from 0 to 3, but 4 occurs in it"):
        model.step(**data)
    assert all((model.weights[key] == w).all() for key, w in before.items())
    data["t"][-1] = 3
    assert np.isfinite(model.step(**data))


REFUSED = {
    "x: data[n, 3]; t: label[n] < 4; h = batch_norm(dense(x, 5)); loss = softmax_cross_entropy(dense(h, 4), t)":
        r"the next value of running_var1 .of batch_norm. reads .*, which depends on all examples",
    "x: data[n, 3]; t: data[n]; W: weight[3]; loss = sqrt(mean((x @ W - t)**2))":
        "loss is no sum of terms over the examples",
    "x: data[n, 3]; W: weight[3, 4]; z = x @ W; loss = mean((z @ z.T)**2)": "compares examples with each other",
    "x: data[n, 3]; W: weight[3]; loss = max(x @ W)": "loss lets examples compete",
    "x: data[n, 3]; W: weight[3]; z = x @ W; loss = sum(n, index(n)*z[n])": "loss depends on the place of an example",
    "x: data[n, 3]; W: weight[3]; z = x @ W; loss = sum(z) + z[0]": "reads .* of other examples",
    "x: data[n, 3]; W: weight[3]; z = (x - mean(x, axis=0)) @ W; loss = mean(z**2)": "which depends on all examples",
    "x: data[n, 3]; h: weight[n]; loss = sum((x @ [1, 2, 3]) * h)": "no axis of examples is found",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refused_by_name(text: str) -> None:
    net = module(text)
    assert net["Model"](tile="auto").threads == 1
    for how in ({"threads": 2}, {"tile": 3}, {"micro_batch": "1MB"}):
        with pytest.raises(net["Problem"], match=REFUSED[text]):
            net["Model"](**how)
    with pytest.raises(sg.SymgradError, match=REFUSED[text]):
        module(text, micro_batch=4)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"threads": 0}, "threads is a whole number from 1 to 1024 or 'measure', not 0"),
        ({"threads": 10**9}, "threads is a whole number from 1 to 1024 or 'measure', not 1000000000"),
        ({"tile": "some"}, "tile is a whole number from 1 or None or 'auto' or 'measure', not 'some'"),
        ({"micro_batch": "much"}, "bytes such as '64MB', not 'much'"),
        ({"micro_batch": "1e999MB"}, "bytes such as '64MB', not '1e999MB'"),
        ({"micro_batch": True}, "not True"),
    ],
)
def test_ways_that_there_are_not(how: dict[str, Any], told: str) -> None:
    net = module(DECLARATIONS["labels"])
    with pytest.raises(net["Problem"], match=told):
        net["Model"](**how)
    with pytest.raises(sg.SymgradError, match=told):
        module(DECLARATIONS["labels"], **how)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (".scale.m", np.ones(3)),
        (".scale.v", np.array(0.0)),
        ("W1.m", np.full((3, 4), "a")),
        (".threads", np.array("a")),
        (".threads", np.array(10**9)),
    ],
)
def test_a_damaged_file_is_refused(name: str, value: np.ndarray, tmp_path: Path) -> None:
    """One sentence, and nothing is changed."""
    text = "x: data[n, 3]; y: data[n, 2]; loss = mse(dense(tanh(dense(x, 4)), 2), y)"
    net = module(text, optimizer="adam")
    model = net["Model"](threads="measure", tile=None)
    model.step(np.ones((4, 3)), np.ones((4, 2)))
    model.save(tmp_path / "whole.npz")
    with np.load(tmp_path / "whole.npz") as file:
        arrays = {**file, ".threads": np.array(1), ".tile": np.array(0), name: value}
    np.savez(tmp_path / "damaged.npz", **arrays)
    before = model.get_weights()
    model.threads = "measure"
    with pytest.raises(net["Problem"], match=f"cannot be used: its .?{name.lstrip('.')} is"):
        model.load(tmp_path / "damaged.npz")
    assert all((before[k] == a).all() for k, a in model.get_weights().items())


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.sg").write_text(DECLARATIONS["labels"].replace("; ", "\n"))
    made = str(tmp_path / "net.py")
    assert main(["generate", str(tmp_path / "net.sg"), made, "--threads", "2", "--micro-batch", "1MB"]) == 0
    text = Path(made).read_text()
    assert "threads=2," in text and 'micro_batch="1MB",' in text and 'tile="auto",' in text
    assert main(["generate", str(tmp_path / "net.sg"), made, "--tile", "none"]) == 0
    assert "tile=None," in Path(made).read_text()
    net = module(DECLARATIONS["labels"])
    data = arrays(net, 0, 12)
    np.savez(tmp_path / "data.npz", **data)
    told = []
    for more in ([], ["--threads", "2", "--tile", "2", "--micro-batch", "3"], ["--tile", "none"]):
        saved = ["--save", str(tmp_path / "w.npz"), "--epochs", "2"]
        assert net["main"](["train", str(tmp_path / "data.npz"), *saved, *more]) == 0
        told.append(capsys.readouterr().out)
    assert told[0].split("epoch")[1:] == told[1].split("epoch")[1:] == told[2].split("epoch")[1:]
    assert net["main"](["train", str(tmp_path / "data.npz"), *saved, "--threads", "99999"]) == 2
    assert "threads is a whole number from 1 to 1024 or 'measure', not 99999" in capsys.readouterr().err
    assert net["main"](["train", str(tmp_path / "data.npz"), *saved, "--tile", "few"]) == 2
    assert (
        "tile is a whole number from 1 or None or 'auto' or 'measure', not 'few'" in capsys.readouterr().err
    )


def test_the_readable_style_has_no_pieces() -> None:
    with pytest.raises(sg.SymgradError, match='threads, tile and micro_batch are of the style "fast"'):
        sg.Model(DECLARATIONS["labels"]).source(threads=2)


def test_a_share_of_a_penalty() -> None:
    p = read("x: data[n, i]; w: weight[i]; loss = sum((x @ w)**2)/n + sum(w**2)")
    texts = [str(s) for s in share(p, p.statements, ["loss"]).statements]
    assert texts[-1] == "loss = loss_2 + rows*loss_3/n"


def test_shares_of_the_shipped_networks() -> None:
    """The one with batch norm cannot be split."""
    refused = []
    for name in ("adding", "cnn", "recommender"):
        d = sg.Model(NETWORKS / f"{name}.sg").derive().derived
        results = [d.program.target, *d.gradients.values(), *(t.name for t in d.program.role("next"))]
        try:
            share(d.program, needed(d.program.statements, results), results)
        except Refusal:
            refused.append(name)
    assert refused == ["cnn"]
