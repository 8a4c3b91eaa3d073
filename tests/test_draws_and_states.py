"""Random inputs, running quantities and the option `training`: in texts, in definitions and in modules."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.cli import main as sg_main
from symgrad.language.reader import read
from symgrad.library import DEFINITIONS

STYLES = pytest.mark.parametrize("style", ["readable", "fast"])

NET = """
x: data[n, 6]
t: label[n] < 3
m: state[5] = zeros()
h = dropout(tanh(dense(x, 5)), 0.25)
m = 0.9*m + 0.1*h.mean(axis=0)
centre = h - m if training else h
loss = softmax_cross_entropy(dense(centre, 3), t)
"""


def module(text: str, style: str, **options) -> SimpleNamespace:
    return SimpleNamespace(**emit.load(sg.Model(text).source("net", style=style, **options), "net"))


def data(n: int = 41, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 6)), rng.integers(0, 3, n)


# ---------------------------------------------------------------------- the language


def test_a_definition_declares_draws_like_weights() -> None:
    p = sg.derive("x: data[n, 4]; w: weight[4]; loss = sum(dropout(dropout(x, 0.2), 0.5) @ w)").program
    assert [(t.name, str(t.shape[0]), t.start) for t in p.role("draw")] == [
        ("keep1", "n", ("bernoulli", 0.8)),
        ("keep2", "n", ("bernoulli", 0.5)),
    ]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        NET,
        "e: draw[n, 3] = normal(0.5); x: data[n, 3]; w: weight[3]; loss = sum((x + e) @ w)",
        "u: draw = uniform(-1, 2); w: weight[3]; loss = u*sum(w)",
        "x: data[n]; s: state >= 0 = ones(); s = s + sum(x**2); w: weight; y = w*x/sqrt(s); mean(y)",
        "x: data[n, k]; s: state[k] = 2; w: weight[k]; s[j] = max(n, x[n, j]); loss = sum(x @ (w - s))",
        "x: data[n, 3]; s: state[3]; w: weight[3]; loss = sum(x @ w); s = 1",
        "c: state; c = c + 1; w: weight; y = w*c",
    ],
)
def test_a_printed_program_reads_back(text: str, training: bool) -> None:
    p = read(text, definitions=DEFINITIONS, training=training)
    again = read(str(p), training=training)
    assert str(again) == str(p) and again.target == p.target
    moved = {t.of: t.shape for t in again.role("next")}
    assert (
        moved
        == {t.of: t.shape for t in p.role("next")}
        == {t.name: t.shape for t in p.role("state") if training}
    )


def test_reads_see_the_present_value_of_a_state() -> None:
    before = sg.derive("x: weight[n]; m: state = zeros(); m = m + 1; loss = sum(m*x)").function()
    after = sg.derive("x: weight[n]; m: state = zeros(); loss = sum(m*x); m = m + 1").function()
    for f in (before, after):
        loss, gradients = f(x=[1.0, 2.0], m=3.0)
        assert loss == 9.0 and gradients["x"].tolist() == [3.0, 3.0]


def test_the_next_value_of_a_state_gets_no_gradient_and_passes_none_on() -> None:
    d = sg.derive("x: weight[n]; m: state = ones(); m = 0.5*m + sum(x**2); loss = m*sum(x)")
    assert d.check().ok
    assert d.function()(x=[1.0, 2.0], m=4.0)[1]["x"].tolist() == [4.0, 4.0]
    assert "m_next" not in d.numpy()


def test_gradients_are_exact_for_a_given_mask() -> None:
    d = sg.derive("x: data[n, 4]; w: weight[4]; y = dropout(x, 0.25) @ w; loss = sum(y**2)/2")
    assert d.check().ok and d.check(seed=3).ok
    rng = np.random.default_rng(1)
    x, w, keep = rng.standard_normal((5, 4)), rng.standard_normal(4), (rng.random((5, 4)) < 0.75) * 1.0
    loss, gradients = d.function()(x=x, w=w, keep1=keep)
    h = x * keep / 0.75
    assert loss == pytest.approx(((h @ w) ** 2).sum() / 2)
    np.testing.assert_allclose(gradients["w"], h.T @ (h @ w))


def test_training_is_an_option_of_every_text_and_definition() -> None:
    text = "def f(x): return 2*x if training else 3*x\nx: weight[n]; loss = sum(f(x)) + (sum(x) if not training else 0)"
    assert sg.derive(text).function()(x=[1.0])[0] == 2.0
    assert sg.derive(text, training=False).function()(x=[1.0])[0] == 4.0
    own = sg.derive(
        "training: data[n]; w: weight[n]; loss = sum(training*w)"
    )  # declared, it is the text's own
    assert [t.name for t in own.program.inputs] == ["training", "w"] and not own.program.switched


def test_a_draw_of_a_layer_that_is_used_again_is_drawn_anew() -> None:
    text = """
    def block(x):
        W: weight[3, 3]
        return dropout(x) @ W
    x: data[n, 3]
    loss = sum(block(block(x, name="a"), weights="a"))
    """
    p = sg.derive(text).program
    assert [t.name for t in p.role("weight")] == ["a_W"]
    assert len(p.role("draw")) == 2


X = "x: data[n, 4]; w: weight[4]; "


@pytest.mark.parametrize(
    "text, said",
    [
        (X + "m: state[4]; loss = sum((x - m) @ w)", "nothing gives the next value of the state m"),
        ("def f(x): m: state = zeros(); return x - m\nx: weight[n]; sum(f(x))", "next value of the state m"),
        (
            X + "m: state[4]; m = x; loss = sum((x - m) @ w)",
            r"the state m is \[4\], and its next value is \[n, 4\]",
        ),
        (X + "m: state[4]; m[j] = x[i, j]; loss = sum((x - m) @ w)", "i is not declared"),
        (
            X + "m: state[4]; m[j] = x @ w; loss = sum((x - m) @ w)",
            "with indices on the left it is one entry",
        ),
        (X + "m: state[4]; m += 1; loss = sum((x - m) @ w)", "the next value of a state is an equation"),
        (X + "m: state; m = 1; m = 2; loss = m*sum(x @ w)", "has one next value"),
        (X + "m = 1; m: state; loss = m*sum(x @ w)", "the state m is declared in line 1, below"),
        (X + "m: state = ones(3); m = 1; loss = m*sum(x @ w)", "ones.. takes no number"),
        (X + "k: draw[n]; loss = sum(k*(x @ w))", "say how k is drawn"),
        (X + "k: draw[n] = 3; loss = sum(k*(x @ w))", "say how k is drawn"),
        (X + "k: draw[n] = bernouli(0.5); loss = sum(k*(x @ w))", "did you mean 'bernoulli'"),
        (X + "k: draw[n] = bernoulli(); loss = sum(k*(x @ w))", "bernoulli.. takes one number"),
        (X + "k: draw[n] = bernoulli(1.5); loss = sum(k*(x @ w))", "a probability from 0 to 1, not 1.5"),
        (X + "k: draw[n] = normal(-1); loss = sum(k*(x @ w))", "a standard deviation of at least 0"),
        (X + "k: draw[n] = uniform(2, 1); loss = sum(k*(x @ w))", "its lower end first, not 2 and 1"),
        (X + "k: draw[n] > 0 = normal(1); loss = sum(k*(x @ w))", "no further facts"),
        (
            X + "k: draw[n] = normal(1); k = 2; loss = sum(k*(x @ w))",
            "declared as draw and cannot be written",
        ),
        (
            X + "y[n] = dropout(x[n, 0]); loss = sum(y)*sum(w)",
            "the draw keep would be one for all entries here",
        ),
        (X + "loss = training*sum(x @ w)", "training chooses an option"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(sg.SymgradError) as caught:
        sg.derive(text)
    assert re.search(said, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("name, role", [("k", "draw"), ("m", "state")])
def test_no_gradient_by_a_draw_or_a_state(name: str, role: str) -> None:
    text = X + "k: draw[n] = normal(1); m: state = ones(); m = 2*m; loss = m*sum(k*(x @ w))"
    with pytest.raises(sg.SymgradError, match=f"'{name}' is declared as {role} and has no gradient"):
        sg.derive(text, wrt=name)


def test_weights_must_not_depend_on_training() -> None:
    model = sg.Model("x: data[n, 4]; h = dense(x, 3) if training else x; loss = mean(dense(h, 1))")
    with pytest.raises(sg.SymgradError, match="another in evaluation than in training"):
        model.source()


# ---------------------------------------------------------------------- modules


@STYLES
def test_masks_have_the_rate_and_runs_repeat(style: str) -> None:
    net = module(NET, style)
    x, t = data()
    model = net.Model()
    model.init(seed=7)
    kept = net._start(np.random.default_rng(0), (400, 500), *net.STARTS["keep1"])
    assert np.mean(kept) == pytest.approx(0.75, abs=0.005)
    first = [model.loss_and_grad(x, t)[0] for _ in range(3)]
    assert len(set(first)) == 3  # each gradient has a draw of its own
    model.init(seed=7)
    assert [model.loss_and_grad(x, t)[0] for _ in range(3)] == first
    runs = []
    for seed in (3, 3, 4):
        model.init(seed=7)
        runs.append((model.fit(x, t, epochs=2, batch_size=16, seed=seed, quiet=True), model.get_weights()))
    assert runs[0][0] == runs[1][0] != runs[2][0]
    for name, w in runs[0][1].items():
        np.testing.assert_array_equal(w, runs[1][1][name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("how", [("bernoulli", 0.3), ("normal", 1.7), ("uniform", -0.3, 2.2)])
def test_draws_into_memory_are_the_same(how: tuple, dtype: type) -> None:
    """In parts, twice in a row, from one stream of random numbers."""
    net, (one, other) = module(NET, "fast"), (np.random.default_rng(5) for _ in range(2))
    a = np.empty((37, 11), dtype)
    for _ in range(2):
        net._start_in(a, np.empty(64), one, *how)
        assert (a == net._start(other, a.shape, *how).astype(dtype)).all()


@pytest.mark.parametrize("how", [("he",), ("glorot",), ("normal", 2.0), ("uniform", 0.1, 0.7), ("ones",)])
def test_starts_in_parts_are_the_same(how: tuple) -> None:
    net, (one, other) = module(NET, "readable"), (np.random.default_rng(1) for _ in range(2))
    parts = [net._start(one, (30, 20), *how, count=n) for n in (512, 88)]
    assert (np.concatenate(parts) == net._start(other, (30, 20), *how).reshape(-1)).all()


def test_styles_draw_the_same() -> None:
    x, t = data()
    models = [module(NET, style).Model(dtype=np.float64) for style in ("readable", "fast")]
    losses = [
        m.fit(x, t, epochs=3, batch_size=16, seed=1, quiet=True) for m in models
    ]  # the last batch has 9
    np.testing.assert_allclose(*losses, rtol=1e-12)
    for name, w in models[0].get_weights().items():
        np.testing.assert_allclose(models[1].get_weights()[name], w, rtol=1e-9, atol=1e-12)


@STYLES
def test_evaluation_draws_nothing_and_moves_nothing(style: str) -> None:
    net = module(NET, style)
    x, t = data()
    model = net.Model(dtype=np.float64)
    model.fit(x, t, epochs=2, quiet=True)
    w = model.get_weights()
    h = np.tanh(x @ w["W1"] + w["b1"])
    z = h @ w["W2"] + w["b2"]
    np.testing.assert_allclose(model.forward(x), z, rtol=1e-12)
    loss = np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(t)), t])
    assert model.loss(x, t) == pytest.approx(loss, rel=1e-12)
    model.predict(x), model.loss_and_grad(x, t), model.score({"x": x, "t": t})
    assert all(np.array_equal(a, w[name]) for name, a in model.get_weights().items())
    assert np.abs(w["m"]).max() > 0


@STYLES
def test_a_state_moves_once_a_step(style: str, tmp_path) -> None:
    net = module("x: data[n, 3]; s: state[3] = ones(); w: weight[3]; s = 0.75*s + x.sum(axis=0)\n"
                 "loss = mean(((x - s) @ w - 1)**2)", style, lr=0.1)  # fmt: skip
    rng = np.random.default_rng(0)
    model, own = net.Model(dtype=np.float64), np.ones(3)
    model.init(1)
    for n in (5, 7, 5, 2):
        x = rng.standard_normal((n, 3))
        w = model.get_weights()["w"]
        loss, gradients = model.loss_and_grad(x)
        r = (x - own) @ w - 1
        np.testing.assert_allclose(gradients["w"], 2 / n * (x - own).T @ r, rtol=1e-12)
        assert model.step(x) == pytest.approx(loss) == pytest.approx(np.mean(r**2))
        own = 0.75 * own + x.sum(0)
        np.testing.assert_allclose(model.get_weights()["s"], own, rtol=1e-13)
    model.save(tmp_path / "net.npz")
    again = net.Model(dtype=np.float64)
    again.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.get_weights()["s"], model.get_weights()["s"])
    assert again.loss(x) == model.loss(x)
    again.set_weights({"s": np.zeros(3)})
    assert again.get_weights()["s"].tolist() == [0, 0, 0]
    model.init(1)
    assert model.get_weights()["s"].tolist() == [1, 1, 1]
    with np.load(tmp_path / "net.npz") as file:
        np.savez(tmp_path / "less.npz", **{k: file[k] for k in file.files if k != "s"})
    with pytest.raises(net.Problem, match="has no weight s"):
        again.load(tmp_path / "less.npz")


@STYLES
def test_the_check_freezes_a_draw_and_leaves_the_model_alone(style: str, capsys) -> None:
    net = module(NET, style)
    model = net.Model()
    model.init(2)
    before = model.get_weights()
    assert model.check_gradients() < 1e-9 and "W1" in capsys.readouterr().out
    assert all(np.array_equal(a, before[name]) for name, a in model.get_weights().items())
    code = sg.Model(NET).source("net", style=style)
    lines = [line for line in code.split("\n") if not line.endswith("# once for all")]
    assert len(lines) == code.count("\n")
    thawed = emit.load(type(code)("\n".join(lines)), "net")
    assert thawed["Model"]().check_gradients() > 1e-3  # with a draw of its own for every step it must fail


@STYLES
def test_a_draw_that_evaluation_needs_is_the_same_each_time(style: str) -> None:
    """The reparametrised sample of a variational encoder: its noise is part of the network in evaluation too."""
    net = module("x: data[n, 6]; e: draw[n, 2] = normal(1); mu = dense(x, 2); s = dense(x, 2)\n"
                 "r = dense(mu + exp(s/2)*e, 6); kl = sum(exp(s) + mu**2 - 1 - s, axis=1)/2\n"
                 "loss = mean(sum((r - x)**2, axis=1) + kl)", style)  # fmt: skip
    x, _ = data()
    model = net.Model(dtype=np.float64)
    assert model.loss(x) == model.loss(x)
    assert np.array_equal(model.forward(x), model.forward(x))
    assert model.loss_and_grad(x)[0] != model.loss_and_grad(x)[0]
    assert model.check_gradients() < 1e-9
    losses = model.fit(x, epochs=30, quiet=True)
    assert losses[-1] < losses[0]


@STYLES
def test_layers_as_objects_draw_too(style: str) -> None:
    net = sg.Sequential(sg.Dense(8), sg.ReLU(), sg.Dropout(0.25), sg.Dense(3))
    model = sg.Model(net, x=sg.data("n", 6), t=sg.label("n", below=3), loss=sg.softmax_cross_entropy)
    assert [t.name for t in model.program.role("draw")] == ["keep1"]
    assert model.evaluation is not None and not model.evaluation.role("draw")
    made = emit.load(model.source("net", style=style), "net")["Model"]()
    x, t = data()
    assert made.loss_and_grad(x, t)[0] != made.loss_and_grad(x, t)[0]
    assert made.loss(x, t) == made.loss(x, t) and made.check_gradients() < 1e-9


W = "x: data[n, 3]; w: weight[3] = 0.5; "


@STYLES
@pytest.mark.parametrize(
    "text, expected",
    [
        (W + "u = x.mean(axis=0); s: state[3]; s = u; loss = mean((x - u) @ w)", {"s": [2.0, 3.0, 4.0]}),
        (W + "s: state[3] = ones(); s = s; loss = mean((x*s) @ w)", {"s": [1.0, 1.0, 1.0]}),
        (W + "a: state = ones(); b: state; b = a; a = b + 1; loss = a*b*mean(x @ w)", {"a": 2.0, "b": 2.0}),
        (W + "s: state[3]; s = 2*w; loss = 0*mean(x @ w) + 0*sum(s)", {"s": [1.0, 1.0, 1.0]}),
        (W + "s: state[3] = ones(); s = 0; loss = mean((x + s) @ w)", {"s": [0.0, 0.0, 0.0]}),
        (W + "c: state; c = c + 1; loss = mean(x @ w)/(1 + c)", {"c": 3.0}),
        (W + "s: state[2] = 1; s[j] = s[1 - j] + index(j); loss = s[0]*mean(x @ w)", {"s": [2.0, 3.0]}),
        ("x: data[n, k]; w: weight[k]; s: state[k]; s = s + sum(x, axis=0); loss = mean((x - s) @ w)",
         {"s": [12.0, 18.0, 24.0]}),
        (W + "rng: draw[n] = normal(1); following: state = 1; following = 2*following; sizes: weight[3]\n"
         "loss = following*mean(rng*(x @ (w + sizes)))", {"following": 8.0}),
    ],
)  # fmt: skip
def test_next_values_of_every_kind(style: str, text: str, expected: dict) -> None:
    model = module(text, style).Model(dtype=np.float64)
    for _ in range(3):
        model.step([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    for name, value in expected.items():
        assert model.get_weights()[name].tolist() == pytest.approx(value)
    assert model.check_gradients() < 1e-9


def test_the_command_derives_the_evaluation_too(capsys) -> None:
    declared = "x: data[n, 4]; w: weight[4]; loss = mean((dropout(x, 0.2) @ w)**2)"
    for options, drawn in (([], True), (["--evaluation"], False)):
        assert sg_main(["derive", declared, *options]) == 0
        assert ("keep1" in capsys.readouterr().out) == drawn


@STYLES
@pytest.mark.parametrize("shape", [(), (4,), (3, 4)], ids=["features", "signals", "images"])
def test_batch_norm_is_torchs_in_training_and_evaluation(style: str, shape: tuple[int, ...]) -> None:
    """Losses, weights and running statistics over steps with batches of different sizes, then the evaluation."""
    torch = pytest.importorskip("torch")
    axes = ", ".join(map(str, ("n", 5, *shape)))
    text = f"x: data[{axes}]; y: data[{axes}]; z = batch_norm(x, momentum=0.3, eps=0.01); loss = mean((tanh(z) - y)**2)"
    model = module(text, style, optimizer="sgd", lr=0.05).Model(dtype=np.float64)
    kind = {0: torch.nn.BatchNorm1d, 1: torch.nn.BatchNorm1d, 2: torch.nn.BatchNorm2d}[len(shape)]
    other = kind(5, eps=0.01, momentum=0.3, dtype=torch.float64)
    steps = torch.optim.SGD(other.parameters(), lr=0.05)
    rng = np.random.default_rng(0)

    def batch(n: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.standard_normal((n, 5, *shape)) * 2 + 1, rng.standard_normal((n, 5, *shape))

    def loss_of(x: np.ndarray, y: np.ndarray):
        return ((torch.tanh(other(torch.tensor(x))) - torch.tensor(y)) ** 2).mean()

    for n in (7, 6, 9, 2, 7):
        x, y = batch(n)
        steps.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        steps.step()
        assert model.step(x, y) == pytest.approx(loss.item(), rel=1e-10)
        names = {
            "gamma1": "weight",
            "beta1": "bias",
            "running_mean1": "running_mean",
            "running_var1": "running_var",
        }
        for own, theirs in names.items():
            expected = getattr(other, theirs).detach().numpy()
            np.testing.assert_allclose(model.weights[own], expected, rtol=1e-10, atol=1e-12)
    other.eval()
    x, y = batch(3)
    assert model.loss(x, y) == pytest.approx(loss_of(x, y).item(), rel=1e-10)
    np.testing.assert_allclose(model.forward(x), (other(torch.tensor(x))).detach().numpy(), rtol=1e-10)
    assert model.check_gradients() < 1e-9


@STYLES
def test_a_batch_of_one_moves_the_variance_on_with_a_number(style: str) -> None:
    model = module("x: data[n, 3]; loss = sum(batch_norm(x)**3)", style).Model(dtype=np.float64)
    model.step(np.array([[1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(model.weights["running_var1"], 0.9)


def test_a_layer_with_a_state_is_used_once() -> None:
    with pytest.raises(sg.SymgradError, match="a layer with a state is used once"):
        sg.derive('x: data[n, 3]; a = batch_norm(x, name="b"); loss = sum(batch_norm(a, weights="b"))')


def test_a_state_that_is_not_given_is_as_it_starts() -> None:
    f = sg.derive("x: weight[n, k]; s: state[k] = ones(); s = s/2; loss = sum(x*s)").function()
    x = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    assert f(x=x)[0] == 21.0 and f(x=x, s=[1.0, 0.0])[0] == 9.0
    f = sg.derive("x: weight[n]; s: state[n] = normal(1); s = s/2; loss = sum(x*s)").function()
    with pytest.raises(sg.SymgradError, match="no array was given for s"):
        f(x=[1.0])


@pytest.mark.parametrize(
    "shape, call, name, drawn, expected",
    [
        ((4, 3, 5), "dropout1d(x, 0.2)", "keep1", (4, 3), lambda x, k: x * k[:, :, None] / 0.8),
        ((4, 3, 5, 2), "dropout2d(x, 0.2)", "keep1", (4, 3), lambda x, k: x * k[:, :, None, None] / 0.8),
        ((4, 3), "gaussian_noise(x, 0.3)", "noise1", (4, 3), lambda x, k: x + 0.3 * k),
    ],
)
def test_layers_that_draw(shape, call, name, drawn, expected) -> None:
    declared = f"x: data[n, {', '.join(map(str, shape[1:]))}]; w: weight; loss = w*sum({call}**2)"
    rng = np.random.default_rng(0)
    x, k = rng.standard_normal(shape), (rng.random(drawn) < 0.7) * 1.0
    assert sg.derive(declared).function()(x=x, w=2.0, **{name: k})[0] == pytest.approx(
        2 * (expected(x, k) ** 2).sum()
    )
    assert sg.derive(declared, training=False).function()(x=x, w=2.0)[0] == pytest.approx(2 * (x**2).sum())
    assert sg.check_op(call.split("(")[0])
