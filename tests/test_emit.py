"""Emitted functions and modules: right in both styles, in every type, and kind to whoever uses them."""

from __future__ import annotations

import ast
import csv
import errno
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit, library
from symgrad.emit import fast
from symgrad.emit.graph import rebuild
from symgrad.emit.layout import LIMIT, laid_out
from symgrad.emit.names import Names, identifier, words
from symgrad.errors import Refusal
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes
from symgrad.language.updates import parse
from symgrad.library import optimizer

STYLES = ("readable", "fast")

PROGRAMS = {
    "line": "X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)",
    "classes": """
        x: data[n, 7]
        t: label[n] < 5
        h = relu(dense(x, 3))
        z = dense(h, 5)
        loss = softmax_cross_entropy(z, t) + l2(W1, 0.01)
    """,
    "distribution": "z: weight[n, k]; t: data[n, k] & distribution; loss = -mean(sum(t*log(softmax(z)), axis=1))",
    "embedding": "E: weight[11, d]; t: label[n] < 11; e[n, d] = E[t[n], d]; loss = sum(sin(e)**3)",
    "convolution": """
        x: data[n, c, 7, 8]
        w: weight[o, c, 3, 4]
        y[n, o, i, j] = sum(c, p, q, x[n, c, i + p, 2*j + q] * w[o, c, p, q])
        m[n, o, i, j] = max(p < 2, y[n, o, 2*i + p, j])
        loss = sum(tanh(m))
    """,
    "attention": """
        x: data[n, s, d]
        Q: weight[d, k]
        K: weight[d, k]
        V: weight[d, d]
        q[n, a, k] = sum(d, x[n, a, d]*Q[d, k])
        r[n, b, k] = sum(d, x[n, b, d]*K[d, k])
        v[n, b, e] = sum(d, x[n, b, d]*V[d, e])
        u[n, a, b] = sum(k, q[n, a, k]*r[n, b, k])/sqrt(k)
        g = softmax(u)
        o[n, a, e] = sum(b, g[n, a, b]*v[n, b, e])
        loss = mean(o**2)
    """,
    "hidden": "x: data[n]; w: weight[n]; loss = sum(sqrt(relu(w))) + sum(n, [x[n] > 0]*log(x[n]*w[n]**2))",
    "units": "x: data[n, 2]; y: data[n, 1]; z = dense(tanh(dense(x, 3)), 1); loss = mean((z - y)**2)",
    "trace": "A: weight[n, n]; loss = trace(A @ A) + sum(i, A[i, i])**3",
    "literals": "w: weight[3]; c = [1, 2, 0.5]; loss = sum(w*c)**2/2",
    "stopped": "w: weight[n]; a: weight; loss = sum(w*stop(w)**2) + stop(exp(a))*a",
    "names": "self: weight[np]; float: data[np]; loss = sum(self*float)",
}


def derivation(name: str) -> sg.Derivation:
    return sg.derive(PROGRAMS[name])


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("style", STYLES)
def test_functions_agree_with_the_reference(name: str, style: str) -> None:
    d = derivation(name).derived
    sizes = small_sizes(d.source)
    f = emit.load(emit.function_source(d, style=style), "f")["loss_and_grad"]
    for seed in (0, 1):  # the second call meets the buffers of the first
        given = inputs(d.source, sizes, np.random.default_rng(seed))
        wanted = run(d.program, sizes, given)
        loss, gradients = f(*given.values())
        np.testing.assert_allclose(loss, wanted[d.program.target], rtol=1e-12)
        for weight, adjoint in d.gradients.items():
            np.testing.assert_allclose(gradients[weight], wanted[adjoint], rtol=1e-10, atol=1e-13)


def test_a_graph_built_anew_gives_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = "x: data[n, 5, 2]; y: data[n, 5, 3]; h = lstm(x, 3); loss = mse(h, y)"
    pooled = "x: data[n, 1, 4, 6]; y: data[n, 2]; loss = mse(dense(flatten(max_pool2d(x, 2)), 2), y)"
    models = [sg.Model(text) for text in (lstm, pooled)]
    before = [m.source(style="fast") for m in models]
    monkeypatch.setattr(fast, "IMPROVEMENTS", (*fast.IMPROVEMENTS, lambda g: rebuild(g, lambda *_: None)))
    assert [m.source(style="fast") for m in models] == before


@pytest.mark.parametrize("style", STYLES)
def test_results_are_the_callers_own(style: str) -> None:
    f = emit.load(emit.function_source(derivation("line").derived, style=style), "f")["loss_and_grad"]
    _, first = f([[1, 2], [3, 4], [5, 6]], [1, 2, 3], [0.5, -0.5])
    kept = first["w"].copy()
    f([[7, 2], [3, 4], [5, 6]], [1, 2, 3], [0.5, -0.5])
    assert (first["w"] == kept).all()


@pytest.mark.parametrize("style", STYLES)
def test_integer_arrays_are_cast_on_entry(style: str) -> None:
    f = emit.load(emit.function_source(derivation("line").derived, style=style), "f")["loss_and_grad"]
    loss, gradients = f(np.array([[1, 2], [3, 4]]), np.array([1, 2]), np.array([1, 1]))
    assert loss == 14.5
    assert gradients["w"].dtype == np.float64


@pytest.mark.parametrize("style", STYLES)
def test_wrong_shapes_are_refused(style: str) -> None:
    f = emit.load(emit.function_source(derivation("line").derived, style=style), "f")["loss_and_grad"]
    with pytest.raises(ValueError, match=r"y must have the shape \(3,\), not \(2,\)"):
        f(np.ones((3, 2)), np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="X must have 2 axes"):
        f(np.ones(3), np.ones(3), np.ones(2))


@pytest.mark.parametrize("style", STYLES)
def test_hidden_parts_do_not_matter(style: str) -> None:
    """What a bracket excludes may be nan or infinite, and nothing is said of it."""
    d = sg.derive(
        "x: data[n]; w: weight[n]; m: data[n]; u = w*x; loss = sum([m > 0]*u) + sum(n, [m[n] > 0]/x[n])"
    ).derived
    f = emit.load(emit.function_source(d, style=style), "f")["loss_and_grad"]
    loss, gradients = f(x=[1.0, np.nan, 2.0, 0.0], w=[1.0, 2.0, 3.0, 4.0], m=[1.0, -1.0, 1.0, -1.0])
    assert loss == 8.5
    assert gradients["w"].tolist()[0::2] == [1.0, 2.0]


def test_root_of_relu_at_zero() -> None:
    """The slope of the root is infinite at 0, and relu hides it; both styles agree on that."""
    for style in STYLES:
        f = emit.load(
            emit.function_source(
                sg.derive("w: weight[n]; loss = sum(sqrt(1 + relu(w)))").derived, style=style
            ),
            "f",
        )
        assert f["loss_and_grad"](w=[-1.0, 3.0])[1]["w"].tolist() == [0.0, 0.25]


def test_readable_is_what_a_textbook_writes() -> None:
    lines = [line.strip() for line in emit.function_source(derivation("classes").derived).splitlines()]
    for line in (
        "h_2 = x @ W1 + b1",
        "z = h @ W2 + b2",
        "dW2 = h.T @ dz",
        "db2 = np.sum(dz, axis=0)",
        "dh = dz @ W2.T",
    ):
        assert line in lines
    assert any(line.startswith("# (") and "dW2[i, m] = sum(n, dz[n, m]*h[n, i])" in line for line in lines)


def test_equations_carry_their_numbers() -> None:
    d = derivation("classes").derived
    source = emit.function_source(d)
    for step in d.steps:
        for s in step.equation:
            if s in d.program.statements and s.out == "dz":
                assert f"# ({step.number}) " in source


def test_text_is_linear_in_depth() -> None:
    def program(depth: int) -> str:
        lines = ["x: data[n, 8]", "y: data[n, 8]", "h0 = x"]
        lines += [f"h{k} = tanh(dense(h{k - 1}, 8))" for k in range(1, depth + 1)]
        return "\n".join([*lines, f"loss = mean((h{depth} - y)**2)"])

    for style in STYLES:
        few, some, many = (len(sg.Model(program(k)).source("deep", style=style)) for k in (4, 8, 16))
        assert many - some < 2.2 * (some - few)


# ---------------------------------------------------------------------- modules

CLASSES = """
    x: data[n, 5]
    t: label[n] < 3
    h = tanh(dense(x, 7))
    z = dense(h, 3)
    loss = softmax_cross_entropy(z, t)
"""


def module(text: str = CLASSES, **options: Any) -> dict[str, Any]:
    return emit.load(sg.Model(text).source("net", **options), "net")


def blobs(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    t = rng.integers(0, 3, n)
    return 3 * np.eye(5)[t] + rng.standard_normal((n, 5)), t


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("optimizer", library.OPTIMIZERS)
def test_training_learns(style: str, optimizer: str, capsys: pytest.CaptureFixture[str]) -> None:
    net = module(style=style, optimizer=optimizer, lr=0.05)
    x, t = blobs()
    net["init"](seed=1)
    losses = net["fit"](x, t, epochs=30, batch_size=16, seed=2, validation={"x": x, "t": t})
    assert losses[-1] < 0.5 * losses[0]
    assert np.mean(net["predict"](x) == t) > 0.9
    assert net["forward"](x).shape == (60, 3)
    assert "epoch 30/30" in capsys.readouterr().out


def test_styles_and_batches_agree() -> None:
    x, t = blobs(41)
    weights = []
    for style in STYLES:
        model = module(style=style)["Model"](dtype=np.float64)
        model.init(3)
        model.fit(x, t, epochs=2, batch_size=16, seed=5, quiet=True)
        weights.append(model.get_weights())
    for name, w in weights[0].items():
        np.testing.assert_allclose(weights[1][name], w, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("style", STYLES)
def test_float32_stays_float32(style: str) -> None:
    model = module(style=style)["Model"]()
    x, t = blobs()
    assert model._train({"x": x, "t": t}).dtype == np.float32
    assert model.forward(x).dtype == np.float32
    assert all(g.dtype == np.float32 for g in model.loss_and_grad(x, t)[1].values())


def test_a_fast_step_allocates_nothing() -> None:
    model = module(
        "x: data[n, 64]; t: label[n] < 10; loss = softmax_cross_entropy(dense(relu(dense(x, 96)), 10), t)",
        style="fast",
    )["Model"]()
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((256, 64)).astype(np.float32), rng.integers(0, 10, 256)
    model.step(x, t)
    tracemalloc.start()
    for _ in range(3):
        model.step(x, t)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # NumPy's own buffer for sums of mixed types has 8192 entries, whatever the batch; every matrix here is larger
    assert peak < 50_000


@pytest.mark.parametrize("style", STYLES)
def test_gradients_of_a_module(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert module(style=style)["check_gradients"]() < 1e-12
    assert "W1" in capsys.readouterr().out


@pytest.mark.parametrize("style", STYLES)
def test_stop_is_a_constant_to_the_check_too(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert module(PROGRAMS["stopped"], style=style)["Model"](n=3).check_gradients() < 1e-12
    capsys.readouterr()


def test_a_wrong_gradient_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    source = sg.Model(CLASSES).source("net")
    wrong = source.replace("dW2 = h.T @ dz", "dW2 = 1.001 * (h.T @ dz)")
    assert wrong != source
    assert emit.load(emit.Source(wrong), "net")["check_gradients"]() > 1e-4
    capsys.readouterr()


@pytest.mark.parametrize("style", STYLES)
def test_saving_and_going_on(style: str, tmp_path: Path) -> None:
    net = module(style=style)
    x, t = blobs()
    whole = net["Model"](dtype=np.float64)
    whole.fit(x, t, epochs=1, seed=1, quiet=True)
    whole.save(tmp_path / "w.npz")
    again = net["Model"](dtype=np.float64)
    again.load(tmp_path / "w.npz")
    for model in (whole, again):
        model.fit(x, t, epochs=1, seed=2, quiet=True)
    assert again.steps == whole.steps
    for name, w in whole.get_weights().items():
        assert (again.get_weights()[name] == w).all()
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        assert set(file.files) >= {"W1", "b1", "W2", "b2"}


def test_a_failed_save_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = module()
    model = net["Model"]()
    path = tmp_path / "w.npz"
    model.save(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    model.init(7)
    with pytest.raises(
        net["Problem"], match="cannot be written: No space left on device; nothing was changed"
    ):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.npz"]


def test_loading_what_is_not_ours(tmp_path: Path) -> None:
    net = module()
    model = net["Model"]()
    with pytest.raises(net["Problem"], match="there is no file"):
        model.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no weights")
    with pytest.raises(net["Problem"], match="cannot be read as saved weights"):
        model.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", W1=np.zeros((5, 7)))
    with pytest.raises(net["Problem"], match="has no weight b1"):
        model.load(tmp_path / "other.npz")
    np.savez(tmp_path / "shape.npz", **{**model.get_weights(), "W1": np.zeros((7, 5))})
    with pytest.raises(
        net["Problem"],
        match=r"W1 must have the shape \[5, 7\] = \(5, 7\), but the array has the shape \(7, 5\)",
    ):
        model.load(tmp_path / "shape.npz")


def test_sizes_come_from_the_first_arrays() -> None:
    for style in STYLES:
        net = module(
            "X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)",
            style=style,
            optimizer="sgd",
            lr=0.1,
        )
        net["set_weights"]({"w": [0.0, 0.0]})
        assert net["step"]([[1, 2], [3, 4], [5, 6]], [1, 2, 3]) == pytest.approx(14 / 3)
        w = net["get_weights"]()["w"]
        np.testing.assert_allclose(w, [0.1 * 2 * 22 / 3, 0.1 * 2 * 28 / 3], rtol=1e-6)
        assert net["Model"](i=4).get_weights()["w"].shape == (4,)
        np.testing.assert_allclose(net["predict"]([[1, 1]]), [w.sum()], rtol=1e-6)


def test_no_batch_and_constants() -> None:
    for style in STYLES:
        net = module(
            "A: constant[3, 3]; lam: constant > 0; x: weight[3] = ones(); loss = x @ A @ x/2 - sum(x) + lam*sum(x**2)",
            style=style,
            optimizer="sgd",
            lr=0.2,
        )
        losses = net["fit"](np.diag([1.0, 2.0, 4.0]), 0.0001, epochs=200, quiet=True)
        assert losses[-1] == pytest.approx(-(1 + 1 / 2 + 1 / 4) / 2, abs=1e-3)
        with pytest.raises(net["Problem"], match="lam is declared > 0"):
            net["fit"](np.eye(3), -1.0, epochs=1, quiet=True)


def test_sequences_of_other_lengths() -> None:
    """A size that no weight has may change from call to call; buffers follow it."""
    text = "x: data[n, s, 4]; w: weight[4]; y: data[n]; v[n] = sum(s, d, x[n, s, d]*w[d]); loss = mean((v - y)**2)"
    rng = np.random.default_rng(0)
    losses = []
    for style in STYLES:
        model = module(text, style=style)["Model"](dtype=np.float64)
        rng = np.random.default_rng(0)
        for length in (3, 5, 3):
            x, y = rng.standard_normal((8, length, 4)), rng.standard_normal(8)
            losses.append(model.fit(x, y, epochs=2, batch_size=4, quiet=True))
    np.testing.assert_allclose(losses[:3], losses[3:], rtol=1e-10)
    with pytest.raises(
        ValueError, match=r"x must have the shape \[n, s, 4\] .*, but the array has the shape \(8, 4\)"
    ):
        model.step(np.ones((8, 4)), np.ones(8))


def test_labels_out_of_range() -> None:
    for style in STYLES:
        net = module(style=style)
        x, t = blobs()
        net["step"](x, t)
        for wrong in (3, -1):
            t[7] = wrong
            with pytest.raises(net["Problem"], match=f"t is a label from 0 to 2, but {wrong} occurs in it"):
                net["step"](x, t)
        with pytest.raises(net["Problem"], match="t must hold whole numbers"):
            net["step"](x, t + 0.5)


def test_predict_names_a_tensor() -> None:
    net = module(predict="h")
    assert net["forward"](blobs()[0]).shape == (60, 7)
    with pytest.raises(sg.SymgradError, match="no computed tensor; did you mean 'z'"):
        module(predict="zz")
    with pytest.raises(sg.SymgradError, match="depends on the target t"):
        module(predict="loss")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)", "loss_1"),
        ("x: data[n, 4]; t: label[n] < 3; loss = softmax_cross_entropy(dense(relu(dense(x, 5)), 3), t)", None),
        ("x: data[n, 4]; t: label[n] < 3; h = relu(dense(x, 5)); loss = softmax_cross_entropy(dense(h, 3), t)", None),
        (
            """E: weight[9, 4]; c: label[n] < 9; t: label[n] < 9; e[n, d] = E[c[n], d]
            loss = softmax_cross_entropy(dense(e, 9), t)""",
            None,
        ),
    ],
)  # fmt: skip
def test_prediction_is_found(text: str, wanted: str | None) -> None:
    net = module(text)
    data = {"X": np.ones((6, 2)), "x": np.ones((6, 4)), "c": np.zeros(6, int)}
    out = net["forward"](**{k: v for k, v in data.items() if k in net["FEATURES"]})
    assert out.shape[0] == 6
    assert (out.ndim == 1) == (wanted is not None)
    if wanted is None:
        assert out.shape == (6, 9 if "E" in text else 3)
        assert net["TARGET"] == "t"


def test_an_optimiser_is_a_few_lines() -> None:
    nesterov = "def nesterov(w, g, lr=0.1, beta=0.9):\n    v = beta*v + g\n    w = w - lr*(g + beta*v)"
    for style in STYLES:
        net = module("w: weight[2] = ones(); x: data[2]; loss = sum(x*w)", optimizer=nesterov, style=style)
        w, v = np.ones(2), np.zeros(2)
        for _ in range(3):
            net["step"]([1.0, 2.0])
            g = np.array([1.0, 2.0])
            v = 0.9 * v + g
            w = w - 0.1 * (g + 0.9 * v)
        np.testing.assert_allclose(net["get_weights"]()["w"], w, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def a(w, g, lr=0.1):\n    w = w - lr*q", "'q' is unknown"),
        ("def a(w, g, lr):\n    w = w - lr*g", "with a default each"),
        ("def a(w, g):\n    v = g", "the last equation"),
        ("def a(w, g):\n    import os", "nothing is imported here"),
        ("def a(w, g):\n    w = __import__('os')", "a name cannot start with two underscores"),
        ("x = 1", "an optimiser is `def"),
        ("def", "not part of the language"),
    ],
)
def test_a_wrong_optimiser_is_refused(text: str, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        parse(text)


def test_options_and_names() -> None:
    with pytest.raises(Refusal, match="no optimiser 'adm'; did you mean 'adam'"):
        optimizer("adm")
    with pytest.raises(sg.SymgradError, match="adam has no option 'beta'"):
        module(beta=0.5)
    with pytest.raises(sg.SymgradError, match="no style 'quick'"):
        module(style="quick")
    for wrong in ("class", "a b", "1a", "", "x;import os"):
        with pytest.raises(Refusal):
            identifier(wrong)
    names = Names()
    assert [names.of("np"), names.of("float"), names.of("x"), names.of("x")] == ["np_", "float_", "x", "x"]


def test_users_words_stay_words(tmp_path: Path) -> None:
    evil = tmp_path / "ran"
    text = f'x: data[n]\n# """ ; open({str(evil)!r}, "w") ; """ \\\nw: weight[n]\nloss = sum(x*w)'
    for style in STYLES:
        source = sg.Model(text).source("net", style=style)
        ast.parse(source)
        emit.load(source, "net")
    assert not evil.exists()
    assert '"""' not in words('a """ b')


def test_only_emitted_source_is_compiled() -> None:
    with pytest.raises(TypeError, match="only source written by"):
        emit.load("x = 1", "net")  # type: ignore[arg-type]


def test_layout_keeps_the_meaning() -> None:
    long = (
        "f("
        + ", ".join(f'"word, ({k}" + name_{k}[{k}, (1, 2)]' for k in range(30))
        + ").method(another_argument)"
    )
    lines = laid_out(f"if True:\n    x = {long}")
    assert max(map(len, lines.splitlines())) <= LIMIT
    assert ast.dump(ast.parse(lines)) == ast.dump(ast.parse(f"if True:\n    x = {long}"))


@pytest.mark.parametrize("style", STYLES)
def test_modules_are_clean(style: str, tmp_path: Path) -> None:
    for name in ("classes", "attention", "units", "convolution"):
        (tmp_path / f"{name}.py").write_text(sg.Model(PROGRAMS[name]).source(name, style=style))
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for path in tmp_path.glob("*.py"):
        lines = path.read_text().splitlines()
        assert max(map(len, lines)) <= LIMIT, max(lines, key=len)
        imported = {
            n.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import)
            for n in [a.name for a in node.names]
        }
        assert imported <= {"numpy", *sys.stdlib_module_names}


# ---------------------------------------------------------------------- the command line of a module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("command")
    (path / "net.py").write_text(sg.Model(CLASSES).source("net", style="fast", lr=0.05))
    return path


def table(path: Path, rows: list[list[Any]], header: list[str] | None = None) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(([header] if header else []) + rows)
    return path


def command(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "net.py", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_train_and_predict(folder: Path) -> None:
    x, t = blobs(90)
    words = ["ash", "birch", "cedar"]
    table(
        folder / "data.csv",
        [[*map(float, row), words[k]] for row, k in zip(x, t, strict=True)],
        [*"abcde", "tree"],
    )
    done = command(folder, "train", "data.csv", "--epochs", 30, "--test-split", 0.2, "--seed", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert "test: loss" in done.stdout
    assert "accuracy" in done.stdout.splitlines()[-2]
    done = command(folder, "predict", "data.csv")
    assert done.returncode == 0
    said = done.stdout.split()
    assert len(said) == 90
    assert np.mean([a == words[k] for a, k in zip(said, t, strict=True)]) > 0.9
    assert "accuracy" in done.stderr
    table(folder / "features.csv", [list(map(float, row)) for row in x])
    assert command(folder, "predict", "features.csv").stdout.split() == said
    table(
        folder / "moved.csv",
        [[words[k], *map(float, row)] for row, k in zip(x, t, strict=True)],
        ["tree", *"abcde"],
    )
    assert (
        command(folder, "train", "moved.csv", "--target", "tree", "--save", "m.npz", "--quiet").returncode
        == 0
    )
    assert command(folder, "check").returncode == 0


@pytest.mark.parametrize(
    ("rows", "header", "reason"),
    [
        ([[1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 0]], None, "line 2: the row has 5 cells, but the first row has 6"),
        ([[1, 2, 3, 4, 5, 0], [1, "nan", 3, 4, 5, 0]], None, "lacks values in 1 row, line 2: fill them in, or"),
        ([[1, 2, 3, 4, 5, 0], [1, "inf", 3, 4, 5, 0]], None, "line 2: 'inf' is no finite number"),
        ([[1, 2, 3, 4, 5, 0], [1, "two", 3, 4, 5, 0]], list("abcdet"), "line 3: 'two' is no finite number"),
        ([[1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 3]], None, "line 2: the label '3' is no whole number from 0 to 2"),
        ([[1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0.5]], None, "line 2: the label '0.5' is no whole number"),
        ([[1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, ""]], None, "lacks values in 1 row, line 2: fill them in"),
        ([[1, 2, 3, 4, 5, c] for c in "abcd"], None, "4 different labels, but t has 3 classes"),
        ([[1, 2, 3], [4, 5, 6]], None, "3 columns, but the network takes 5 for x and 1 for t"),
        ([], list("abcdet"), "column names and no rows"),
        ([], None, "no rows"),
    ],
)  # fmt: skip
def test_wrong_tables(folder: Path, rows: list[list[Any]], header: list[str] | None, reason: str) -> None:
    table(folder / "wrong.csv", rows, header)
    done = command(folder, "train", "wrong.csv", "--save", "never.npz")
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "never.npz").exists()


def test_wrong_commands(folder: Path) -> None:
    x, t = blobs(12)
    table(folder / "few.csv", [[*map(float, row), int(k)] for row, k in zip(x, t, strict=True)])
    for arguments, reason in [
        (["train", "none.csv"], "there is no file none.csv"),
        (["train", "few.csv", "--target", "tree"], "no column named tree"),
        (["train", "few.csv", "--epochs", "-1"], "takes a whole number from 0, not '-1'"),
        (["train", "few.csv", "--batch", "0"], "batch"),
        (["train", "few.csv", "--test-split", "0.99"], "leaves none of the 12 examples"),
        (["train", "few.csv", "--save", "no/such/folder/w.npz"], "cannot be written"),
        (["train", "few.csv", "--weights", "none.npz"], "there is no file none.npz"),
        (["train", "few.csv", "--rate", "1e39", "--epochs", "3"], "a smaller learning rate may help"),
        (["predict", "few.csv", "--weights", "none.npz"], "there is no file none.npz"),
    ]:
        done = command(folder, *arguments)
        assert done.returncode == 2, (arguments, done)
        assert reason in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_unseen_label(folder: Path) -> None:
    x, _ = blobs(6)
    table(folder / "two.csv", [[*map(float, row), "ab"[k % 2]] for k, row in enumerate(x)])
    assert command(folder, "train", "two.csv", "--save", "two.npz", "--quiet").returncode == 0
    table(folder / "three.csv", [[*map(float, row), "abc"[k % 3]] for k, row in enumerate(x)])
    done = command(folder, "predict", "three.csv", "--weights", "two.npz")
    assert done.returncode == 2
    assert "line 3: the label 'c' did not occur in training" in done.stderr


@pytest.mark.parametrize("number", ["2", "n"])
@pytest.mark.parametrize("style", ["readable", "fast"])
def test_a_number_with_a_name_keeps_single_precision(style: str, number: str) -> None:
    """Functions of NumPy make float64 of a Python number, and that of whole arrays."""
    d = sg.derive(f"x: weight[n]\nc = {number}\nd = sqrt(c)\nloss = sum(x**2*tanh(d))*logsigmoid(d)").derived
    f = emit.load(emit.function_source(d, style=style, real="np.float32"), "f")["loss_and_grad"]
    assert f(np.ones(3, np.float32))[1]["x"].dtype == np.float32
