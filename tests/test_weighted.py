"""Weights of examples and of classes multiply each example's terms of the loss, and nothing else."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.allocations import counted
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import symgrad as sg
from symgrad import emit
from symgrad.derivation import read_program
from symgrad.errors import Refusal
from symgrad.language.samples import inputs
from symgrad.passes.weighted import weighted

# a network without its loss, the loss, and the same with weights `c` put in by hand
NETWORKS = {
    "labels": (
        "x: data[n, 4]; t: label[n] < 3; z = dense(tanh(dense(x, 5)), 3)",
        "softmax_cross_entropy(z, t) + l2(W1, 0.1)",
        'mean(c*cross_entropy(z, t, reduction="none")) + l2(W1, 0.1)',
    ),
    "numbers": (
        "x: data[n, 3]; y: data[n, 2]; z = dense(x, 2)",
        "mse(z, y)",
        "sum(n, j, c[n]*(z[n, j] - y[n, j])**2)/(2*n)",
    ),
    "batch norm": (
        "x: data[n, 4]; t: label[n] < 3; z = dense(batch_norm(dense(x, 5)), 3)",
        "softmax_cross_entropy(z, t)",
        'mean(c*cross_entropy(z, t, reduction="none"))',
    ),
    "weights of classes in the declaration": (
        "x: data[n, 4]; t: label[n] < 3; v = [1, 2, 5]; z = dense(x, 3)",
        "cross_entropy(z, t, weight=[1, 2, 5])",
        'sum(n, c[n]*v[t[n]]*cross_entropy(z, t, reduction="none")[n])/sum(n, v[t[n]])',
    ),
    "two targets": (
        "x: data[n, 4]; y: data[n]; t: label[n] < 3; h = tanh(dense(x, 5)); u: weight[5]; z = dense(h, 3)",
        "mean((h @ u - y)**2) + 3*softmax_cross_entropy(z, t)",
        'mean(c*((h @ u - y)**2 + 3*cross_entropy(z, t, reduction="none")))',
    ),
    "a stopped scale": (
        "x: data[n, 4]; y: data[n]; w: weight[4]; r = x @ w - y",
        "sum(r**2)/stop(sum(abs(r)))",
        "sum(c*r**2)/stop(sum(abs(r)))",
    ),
    "a penalty on the units": (
        "x: data[n, 4]; h = tanh(dense(x, 3)); z = dense(h, 4)",
        "mean((z - x)**2) + 0.1*sum(h**2)/n",
        "sum(n, c[n]*(sum(i, (z[n, i] - x[n, i])**2)/4 + 0.1*sum(j, h[n, j]**2)))/n",
    ),
}
PAIRS = {
    name: (f"{net}; loss = {plain}", f"c: data[n]; {net}; loss = {by_hand}")
    for name, (net, plain, by_hand) in NETWORKS.items()
}

SUMS = {
    "labels": 'x: data[n, 4]; t: label[n] < 3; loss = cross_entropy(dense(relu(dense(x, 5)), 3), t, reduction="sum")',
    "entropy": "x: data[n, 4]; t: data[n, 3] & distribution; p = softmax(dense(x, 3)); "
    "loss = sum(t*log(t)) - sum(t*log(p))",
    "sequence": """
        x: data[n, l, 2]
        y: data[n]
        U: weight[3, 3]
        V: weight[2, 3]
        u: weight[3]
        h[n, -1, k] = 0
        h[n, t, k] = tanh(sum(i, x[n, t, i]*V[i, k]) + sum(j, h[n, t - 1, j]*U[j, k]))
        loss = sum(n, (sum(k, h[n, l - 1, k]*u[k]) - y[n])**2)
    """,
    "classes added apart": "x: data[n, 4]; t: label[n] < 3; w: weight[4]; v = [1, 2, 5]; "
    "e[k] = sum(n, [t[n] == k]*(x[n, :] @ w)**2); loss = sum(k, v[k]*e[k])",
}


def numbers(text: str, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    program = read_program(text)
    sizes = {letter: k for k, letter in enumerate(program.sizes, 3)} | {"n": count}
    return inputs(program, sizes, np.random.default_rng(seed))


def close(a: Any, b: Any, tolerance: float = 1e-12) -> None:
    (loss, gradients), (other, others) = a, b
    np.testing.assert_allclose(loss, other, rtol=tolerance)
    assert set(gradients) == set(others)
    for name, g in gradients.items():
        np.testing.assert_allclose(g, others[name], rtol=0, atol=tolerance * max(1, abs(others[name]).max()))


@pytest.mark.parametrize("name", PAIRS)
def test_equal_to_weights_put_in_by_hand(name: str) -> None:
    plain, by_hand = PAIRS[name]
    given, c = numbers(plain, 7), np.random.default_rng(1).uniform(0, 3, 7)
    ours, unweighted = sg.derive(plain, weighted=True).function(), sg.derive(plain).function()(**given)
    close(ours(**given, example_weight=c), sg.derive(by_hand).function()(**given, c=c))
    close(ours(**given, example_weight=np.ones(7)), unweighted)
    with pytest.raises(AssertionError):  # and the weights make a difference
        close(ours(**given, example_weight=c), unweighted)


FUNCTIONS: dict[str, Any] = {}


@pytest.mark.parametrize("name", SUMS)
@settings(max_examples=10)
@given(times=arrays(np.int64, 5, elements=st.integers(0, 3)).filter(np.any))
def test_a_whole_weight_is_an_example_as_often(name: str, times: np.ndarray) -> None:
    text = SUMS[name]
    if name not in FUNCTIONS:
        FUNCTIONS[name] = [sg.derive(text, weighted=w).function() for w in (True, False)]
    with_weights, plain = FUNCTIONS[name]
    given = numbers(text, 5)
    batched = {t.name for t in read_program(text).role("data", "label")}
    repeated = {key: a.repeat(times, 0) if key in batched else a for key, a in given.items()}
    close(with_weights(**given, example_weight=times.astype(float)), plain(**repeated))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: data[5, i]; w: weight[i]; loss = sum(x @ w)", "no axis of examples is found"),
        (
            "x: data[n, i]; w: weight[i]; loss = sum(w**2)",
            "loss is no sum over the examples, the axis n, so they",
        ),
        (
            "x: data[n, i]; y: data[n]; w: weight[i]; loss = sqrt(mean((x @ w - y)**2))",
            "loss is no sum of terms over",
        ),
        ("x: data[n, i]; w: weight[i]; loss = max(x @ w)", "loss lets examples compete"),
        (
            "x: data[n, i]; w: weight[i]; z = x @ w; d[n, m] = (z[n] - z[m])**2; loss = sum(d)/n",
            "d compares examples with each other",
        ),
        (
            "x: data[n, i]; A: weight[i, d]; h = x @ A; s = h @ h.T; e = softmax(s); loss = -mean(log(trace(e)))",
            "compares examples",
        ),
        (
            "x: data[n, i]; w: weight[i]; z = x @ w; loss = sum(n, [n > 0]*z[n - 1]*z[n])",
            "reads z of other examples",
        ),
        (
            "x: data[n, i]; w: weight[i]; z = x @ w; loss = sum(z)*z[0]",
            "treats one example in a way of its own",
        ),
        (
            "x: data[n, i]; y: data[n]; w: weight[i]; r = (x @ w - y)**2; loss = sum(r)*sum(abs(r))",
            "loss is no sum of terms over the examples",
        ),
        (
            "x: data[n, i]; w: weight[i]; z = x @ w; s = sum(z**2); loss = s/stop(s)",
            "loss is no sum of terms over the examples",
        ),
    ],
)
def test_what_cannot_be_weighted(text: str, message: str) -> None:
    with pytest.raises(Refusal, match=message):
        weighted(read_program(text))
    with pytest.raises(sg.SymgradError, match=message) as told:
        sg.Model(text).source(weighted=True)
    assert "\n" not in str(told.value)


def test_the_name_is_free() -> None:
    w = weighted(
        read_program("example_weight: data[n]; y: data[n]; a: weight; loss = mean((a*example_weight - y)**2)")
    )
    assert (w.name, w.letter) == ("example_weight_2", "n")
    source = sg.Model(w.program.text).source("net", weighted=True)
    model = emit.load(source, "net")["Model"](dtype=np.float64)
    loss, _ = model.loss_and_grad([1.0, 2.0], [0.0, 0.0], example_weight_2=[0.0, 1.0])
    assert loss == pytest.approx(2 * float(model.weights["a"]) ** 2)


TEXT = PAIRS["labels"][0]
WAYS: dict[str, dict[str, Any]] = {
    "readable": {"style": "readable"},
    "fast": {"style": "fast"},
    "numba": {"target": "numba"},
}


@pytest.fixture(scope="module", params=WAYS)
def net(request: Any) -> Any:
    if request.param == "numba":
        pytest.importorskip("numba")
    return emit.load(
        sg.Model(TEXT).source("net", weighted=True, optimizer="sgd", **WAYS[request.param]), "net"
    )


@pytest.fixture(scope="module")
def plain() -> Any:
    return emit.load(sg.Model(TEXT).source("net", optimizer="sgd", style="fast"), "net")


def data(count: int = 13) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.standard_normal((count, 4)), rng.choice(3, count, p=[0.6, 0.3, 0.1])


def trained(module: Any, **options: Any) -> dict[str, np.ndarray]:
    split = {k: options.pop(k) for k in ("threads", "tile") if k in options}
    model = module["Model"](dtype=np.float64, lr=0.3, **split)
    model.fit(*data(), epochs=3, batch_size=5, quiet=True, **options)
    return dict(model.get_weights())


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray], tolerance: float = 1e-12) -> None:
    for name, w in a.items():
        np.testing.assert_allclose(w, b[name], rtol=0, atol=tolerance)


def test_a_module_without_weights_given_is_the_plain_one(net: Any, plain: Any) -> None:
    same(trained(net), trained(plain))
    same(trained(net, example_weight=np.ones(13)), trained(plain))


def test_training_with_weights_of_classes(net: Any, capsys: Any) -> None:
    _, t = data()
    counts = np.bincount(t, minlength=3)
    balanced = trained(net, class_weight="balanced")
    table = len(t) / (3 * counts)
    assert np.mean(table[t]) == pytest.approx(1) and len(set(table[t] * counts[t])) <= 3
    same(balanced, trained(net, class_weight=dict(enumerate(table))))
    same(balanced, trained(net, class_weight={str(k): float(v) for k, v in enumerate(table)}))
    same(balanced, trained(net, example_weight=table[t]))
    same(trained(net, class_weight={2: 7}), trained(net, class_weight={np.int64(2): 7, 0: 1, 1: 1}))
    same(
        trained(net, class_weight={2: 7}, example_weight=np.arange(13)),
        trained(net, example_weight=np.arange(13) * np.where(t == 2, 7, 1)),
    )
    # a weight of 2 is the example twice, to the classes' balance too
    model = net["Model"](dtype=np.float64)
    twice = model._weights_of_examples({"t": np.array([0, 0, 1])}, {"n": 3}, "balanced", [1.0, 1, 2])
    np.testing.assert_allclose(twice, [1, 1, 2])
    worst = model.check_gradients()
    assert worst < 1e-12, capsys.readouterr().out


def test_classes_that_are_words(net: Any) -> None:
    model = net["Model"](dtype=np.float64)
    model.classes = ["cat", "dog", "7"]
    t, sizes = np.array([0, 1, 2, 1]), {"n": 4}
    weights = model._weights_of_examples({"t": t}, sizes, {"dog": 3, "7": 0.5}, None)
    np.testing.assert_array_equal(weights, [1, 3, 0.5, 3])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"class_weight": {3: 1}}, "names the class 3, and the classes are 0 to 2"),
        ({"class_weight": {"cat": 1}}, "names the class 'cat', and the classes are 0 to 2"),
        ({"class_weight": {0.5: 1}}, "names the class 0.5"),
        ({"class_weight": {0: -1}}, "the weight of the class 0 is a finite number from 0, not -1"),
        ({"class_weight": {0: float("nan")}}, "a finite number from 0, not nan"),
        ({"class_weight": {0: [1]}}, r"a finite number from 0, not \[1\]"),
        (
            {"class_weight": "balance"},
            "class_weight is 'balanced' or a dict of weights by class, not 'balance'",
        ),
        ({"example_weight": [1, 2]}, "a finite number from 0 for each of the 13 examples"),
        ({"example_weight": [-1.0] * 13}, "a finite number from 0 for each"),
        ({"example_weight": [np.inf] * 13}, "a finite number from 0 for each"),
        ({"example_weight": ["a"] * 13}, "example_weight must be an array of numbers"),
    ],
)
def test_weights_that_are_none(net: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(net["Problem"], match=message):
        trained(net, **given)


def test_every_split_gives_the_same(net: Any) -> None:
    if "_in_pieces" not in vars(net["Model"]):
        return
    x, t = data()
    weights = np.random.default_rng(2).uniform(0, 3, 13)
    whole = net["Model"](dtype=np.float64)
    loss, gradients = whole.loss_and_grad(x, t, example_weight=weights)
    for split in ({"threads": 2}, {"tile": 4}, {"micro_batch": 3}, {"threads": 2, "tile": 2}):
        model = net["Model"](dtype=np.float64, **split)
        model.set_weights(whole.get_weights())
        close(model.loss_and_grad(x, t, example_weight=weights), (loss, gradients))
        same(trained(net, class_weight="balanced", **{k: v for k, v in split.items() if k != "micro_batch"}),
             trained(net, class_weight="balanced"))  # fmt: skip


def test_a_step_of_fit_allocates_no_array(net: Any) -> None:
    if "_in_pieces" not in vars(net["Model"]):
        return
    x, t = data()
    model = net["Model"]()
    _, held = model._ready({"x": x, "t": t})
    held["example_weight"] = np.ones(13, np.float32)
    rows = np.arange(5)
    for _ in range(2):
        model._train_rows(held, rows)
        model._advance()
    with counted() as found:
        model._train_rows(held, rows)
        model._advance()
    assert found == []


def test_classes_are_balanced_by_the_examples_trained_on(net: Any) -> None:
    x, t = data(40)
    model, other = net["Model"](dtype=np.float64), net["Model"](dtype=np.float64)
    seen: list[np.ndarray] = []
    own = model._weights_of_examples

    def watched(arrays: Any, sizes: Any, class_weight: Any, weights: Any, rows: Any) -> np.ndarray:
        seen.append(rows)
        return own(arrays, sizes, class_weight, weights, rows)

    model._weights_of_examples = watched
    model.fit(x, t, epochs=2, validation=0.3, class_weight="balanced", quiet=True)
    (rows,) = seen
    counts = np.bincount(t[rows], minlength=3)
    assert len(rows) == 28 and (counts != np.bincount(t, minlength=3) * 0.7).any()
    table = np.where(counts, 28 / ((counts > 0).sum() * np.maximum(counts, 1)), 1)
    other.fit(x, t, epochs=2, validation=0.3, class_weight=dict(enumerate(table)), quiet=True)
    same(model.get_weights(), other.get_weights())


def test_a_weighted_run_is_resumed_bit_by_bit(net: Any, tmp_path: Path) -> None:
    x, t = data()
    path = str(tmp_path / "run.safetensors")
    how = {"epochs": 6, "batch_size": 5, "quiet": True, "class_weight": "balanced", "checkpoint": path}
    whole = net["Model"]()
    whole.fit(x, t, **how)
    model = net["Model"]()
    model.fit(x, t, **{**how, "epochs": 3})
    again = net["Model"]()
    with pytest.raises(net["Problem"], match="example_weight"):
        again.fit(x, t, **{**how, "class_weight": None}, resume=True)
    again.fit(x, t, **how, resume=True)
    for name, w in whole.get_weights().items():
        assert np.array_equal(w, again.weights[name])


def test_evaluation_takes_no_weights(net: Any, plain: Any) -> None:
    x, t = data()
    model, other = net["Model"](dtype=np.float64), plain["Model"](dtype=np.float64)
    model.set_weights(other.get_weights() or {}) if other.weights else None
    assert model.loss(x, t) == pytest.approx(other.loss(x, t))
    assert model.score({"x": x, "t": t}) == other.score({"x": x, "t": t})


def test_equal_to_pytorch(net: Any) -> None:
    torch = pytest.importorskip("torch")
    x, t = data()
    table, weights = np.array([0.5, 1.5, 4.0]), np.random.default_rng(3).uniform(0, 2, 13)
    model = net["Model"](dtype=np.float64)
    model.loss(x, t)
    given = {name: torch.tensor(w, requires_grad=True) for name, w in model.get_weights().items()}
    z = torch.tanh(torch.tensor(x) @ given["W1"] + given["b1"]) @ given["W2"] + given["b2"]
    terms = torch.nn.functional.cross_entropy(
        z, torch.tensor(t), weight=torch.tensor(table), reduction="none"
    )
    for mine, theirs in (
        (table[t], terms.sum() / 13),
        (table[t] / table[t].mean(), terms.sum() / table[t].sum()),  # PyTorch's own weighted mean
        (table[t] * weights, (terms * torch.tensor(weights)).mean()),
    ):
        loss = theirs + 0.1 * (given["W1"] ** 2).sum()
        found = torch.autograd.grad(loss, list(given.values()), retain_graph=True)
        ours = model.loss_and_grad(x, t, example_weight=mine)
        close(ours, (loss.item(), dict(zip(given, (g.numpy() for g in found), strict=True))))


def test_labels_that_are_words_or_in_a_file(net: Any, tmp_path: Path) -> None:
    x, t = data()
    np.save(tmp_path / "t.npy", t)
    found = []
    for labels, weights in (
        (t, {0: 1, 2: 9}),
        (np.load(tmp_path / "t.npy", mmap_mode="r"), {0: 1, 2: 9}),
        (np.array(["a", "b", "c"])[t], {"a": 1, "c": 9}),
    ):
        model = net["Model"](dtype=np.float64)
        model.fit(x, labels, epochs=2, class_weight=weights, quiet=True)
        found.append(model.get_weights())
    same(found[0], found[1])
    same(found[0], found[2])


def test_a_regression_has_no_classes() -> None:
    net = emit.load(sg.Model(PAIRS["numbers"][0]).source("net", weighted=True), "net")
    with pytest.raises(net["Problem"], match="class weights need one label for each example"):
        net["fit"](np.ones((3, 3)), np.ones((3, 2)), class_weight="balanced", quiet=True)
    net["fit"](np.ones((3, 3)), np.ones((3, 2)), example_weight=[1, 0, 2], quiet=True)


def test_on_the_command_line(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    from symgrad.cli import main

    monkeypatch.chdir(tmp_path)
    x, t = data(40)
    rows = [
        ",".join([*map("{:.3f}".format, row), ["cat", "dog", "owl"][k]]) for row, k in zip(x, t, strict=True)
    ]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    (tmp_path / "net.sg").write_text(TEXT.replace(";", "\n"))
    assert main(["generate", "net.sg", "net.py", "--weighted"]) == 0
    module = runpy.run_path("net.py")
    capsys.readouterr()
    train, told = ["t.csv", "--epochs", "30", "--quiet"], []
    for weights in ("balanced", "cat=1,owl=50", "cat=1,dog=1,owl=1"):
        assert module["main"](["train", *train, "--class-weight", weights]) == 0
        told.append(capsys.readouterr().out)
    assert module["main"](["train", *train]) == 0
    assert capsys.readouterr().out == told[2] != told[1] != told[0] != told[2]
    assert main(["train", "net.sg", *train, "--class-weight", "balanced"]) == 0
    assert capsys.readouterr().out == told[0]
    for weights, message in (
        ("cow=1", "names the class 'cow', and the classes are cat, dog, owl"),
        ("cat", "class weights are 'balanced' or such as 0=1,1=5, not 'cat'"),
        ("cat=x", "the weight of the class 'cat' is a finite number from 0, not 'x'"),
    ):
        assert module["main"](["train", "t.csv", "--class-weight", weights]) == 2
        assert message in capsys.readouterr().err
