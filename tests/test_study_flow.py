"""`symgrad study flow`: the error signal by layer, the product of derived Jacobians, and what the study tells of it."""

import math

import numpy as np
import pytest

import symgrad as sg
from symgrad.cli import main
from symgrad.derivation import read_program
from symgrad.study import flow_told, named, signals
from symgrad.study.activations import Activation, expected, level_gain
from symgrad.study.flow import flow, split
from symgrad.study.setting import Setting
from symgrad.study.signals import Chain, deviations, growth, products


def small(n: int = 6, inputs: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, inputs)), rng.integers(0, 3, n)


# ---------------------------------------------------------------------- done when


@pytest.fixture(scope="module")
def twenty() -> flow_told.Report:
    return flow(activations=["sigmoid", "relu"], starts=["glorot", "he"], depth=20, width=64, examples=16)


def test_sigmoid_vanishes_and_relu_with_he_is_level_over_20_layers(twenty) -> None:
    found = {(s.activation, s.start): s for s in twenty.result.signals}
    assert [found["sigmoid", s].name for s in ("glorot", "he")] == ["vanishing", "vanishing"]
    assert found["sigmoid", "glorot"].factor < 0.26 and found["sigmoid", "glorot"].signal[0] < 1e-11
    assert found["relu", "he"].name == "level"
    assert found["relu", "he"].factor == pytest.approx(1, abs=0.06)
    assert found["relu", "glorot"].factor == pytest.approx(0.5**0.5, abs=0.05)


def test_error_signals_are_the_product_of_derived_jacobians(twenty) -> None:
    for s in twenty.result.signals:
        assert s.deviation.shape == (20,)
        assert s.deviation.max() < 1e-9
        assert (s.ratio <= s.bound * (1 + 1e-9)).all()
    assert all(level.signal.deviation.max() < 1e-9 for level in twenty.result.levels)


@pytest.mark.parametrize("f", ["tanh", "gelu", "leaky_relu", "identity", "def f(x): return x*sigmoid(3*x)"])
def test_product_on_small_networks(f: str) -> None:
    x, t = small()
    s = Chain(Activation(f), 4, 7, 5, 3).measure("orthogonal(1.3)", x, t, seed=2)
    assert s.deviation.max() < 1e-12


def test_a_wrong_slope_is_found() -> None:
    """A thousandth in the slope of every layer: four layers back it is four thousandths."""
    x, t = small()
    right = Chain(Activation("tanh"), 4, 7, 5, 3)
    w = right.drawn("he", 1)
    found = right._measured(x=x, t=t, **w)
    z, fed = [found["value", n] for n in right.z], [w[n] for n in right.weights[1:]]
    deltas = [found[n] for n in right.z]
    wrong = signals.layer(Activation("def f(x): return 1.001*tanh(x)")).function()
    product, single = products(wrong, z, fed, deltas)
    off = deviations(deltas, product)
    np.testing.assert_allclose(off, 1.001 ** np.arange(4, 0, -1) - 1, rtol=1e-6)
    np.testing.assert_allclose(deviations(deltas, [*single, deltas[-1]]), 0.001, rtol=1e-6)


def test_rounding_of_flat_slopes_is_told_from_a_fault() -> None:
    """Where tanh is flat to the last digit its slope has no digit that is right."""
    report = flow(activations=["tanh"], starts=["normal(9)"], depth=6, width=8, examples=8)
    (s,) = report.result.signals
    assert s.residual.max() < 1e-12
    if s.deviation.max() > 1e-9:
        assert "that it is rounding" in str(report).replace("\n", " ")


@pytest.mark.parametrize(
    ("f", "start", "name"),
    [("log", "he", "not finite"), ("relu", "zeros", "vanishing")],
)
def test_what_is_no_number_is_told(f: str, start: str, name: str) -> None:
    report = flow(activations=[f], starts=[start], depth=6, width=3, examples=4, inputs="normal")
    assert report.result.signals[0].name == name
    assert "nan" not in str(report)


# ---------------------------------------------------------------------- what is measured


def test_measured_is_what_numpy_and_differences_say() -> None:
    x, t = small()
    chain = Chain(Activation("tanh"), 2, 4, 5, 3)
    s = chain.measure("he", x, t, seed=3)
    w = chain.drawn("he", 3)
    h1 = np.tanh(x @ w["W1"])
    h2 = np.tanh(h1 @ w["W2"])
    p = np.exp(h2 @ w["W3"])
    last = (p / p.sum(1, keepdims=True) - np.eye(3)[t]) / len(t)
    second = (1 - h2**2) * (last @ w["W3"].T)
    first = (1 - h1**2) * (second @ w["W2"].T)
    np.testing.assert_allclose(s.signal, [np.linalg.norm(d) for d in (first, second, last)], rtol=1e-12)
    np.testing.assert_allclose(s.behind[-1], np.linalg.norm(last @ w["W3"].T), rtol=1e-12)
    np.testing.assert_allclose(s.gradient[0], np.linalg.norm(x.T @ first), rtol=1e-12)
    np.testing.assert_allclose(s.activations[1], np.mean(h1**2) ** 0.5, rtol=1e-12)
    np.testing.assert_allclose(s.slope[1], np.mean((1 - h2**2) ** 2) ** 0.5, rtol=1e-12)
    np.testing.assert_allclose(s.predicted[0], s.slope[0] * np.linalg.norm(w["W2"]) / 2, rtol=1e-12)


def test_weights_are_those_of_a_module_with_this_seed() -> None:
    x, t = small()
    chain = Chain(Activation("relu"), 2, 4, 5, 3)
    text = chain.text.replace(", 4)", ", 4, start='orthogonal(2)')").replace(
        ", 3)", ", 3, start='orthogonal(2)')"
    )
    setting = Setting(text, {"x": x, "t": t}, seed=7)
    for name, w in chain.drawn("orthogonal(2)", 7).items():
        np.testing.assert_array_equal(setting.named(setting.start)[name], w)


@pytest.mark.parametrize(
    ("signal", "factor", "name"),
    [
        ([1, 2, 4, 8], 0.5, "vanishing"),
        ([8, 4, 2, 1], 2, "exploding"),
        ([1, 1.05, 0.95, 1], 1.0, "level"),
        ([1, 30, 30, 1], 1.0, "uneven"),
        ([0, 0, 1, 1], 0.0, "vanishing"),
        ([np.inf, 1, 1, 1], np.nan, "not finite"),
    ],
)
def test_names(signal: list[float], factor: float, name: str) -> None:
    found = growth(np.array(signal, float))
    assert found == pytest.approx(factor, abs=0.02, nan_ok=True)
    assert signals.named(found, np.array(signal, float)) == name


# ---------------------------------------------------------------------- activations and the level start


def test_slopes_are_derived() -> None:
    z = np.linspace(-3, 3, 12).reshape(3, 4)
    value, slope = Activation("silu")(z)
    s = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(value, z * s, rtol=1e-12)
    np.testing.assert_allclose(slope, s + z * s * (1 - s), rtol=1e-12)


@pytest.mark.parametrize(
    ("f", "gain"), [("relu", 2**0.5), ("identity", 1.0), ("leaky_relu", (2 / 1.0001) ** 0.5)]
)
def test_level_gains_in_closed_form(f: str, gain: float) -> None:
    """1/√E[f'²]: half of relu's slopes are 1; those of leaky relu elsewhere 0.01."""
    assert level_gain(Activation(f), 20, 1.0) == pytest.approx(gain, rel=1e-9)


def test_expected_factors_of_selu_and_a_limit_of_tanh() -> None:
    """SELU's gain of 1 keeps the size 1 (Klambauer and others, 2017); tanh is the identity at small inputs."""
    assert expected(Activation("selu"), np.array([1.0]), 30, 1.0).size[0] == pytest.approx(1, abs=1e-6)
    assert expected(Activation("tanh"), np.array([0.9]), 5, 1e-12).factor[0] == pytest.approx(0.9, rel=1e-9)
    assert level_gain(Activation("def f(x): return 0*x"), 5, 1.0) is None


def test_level_start_is_level_as_measured(twenty) -> None:
    for level in twenty.result.levels:
        assert level.signal.name == "level", level.activation
        assert level.signal.factor == pytest.approx(1, abs=0.06)
    sigmoid = twenty.result.levels[0]
    assert sigmoid.gain > 8 and sigmoid.steepest == pytest.approx(0.25, abs=1e-6)
    assert np.mean(sigmoid.signal.saturated) > 0.4  # bought with flat units


# ---------------------------------------------------------------------- a network of the user's


NET = """
x: data[n, 5]
t: label[n] < 3
a = tanh(dense(x, 6))
b = a + relu(dense(a, 6))
c = dense(b, 4)
d = c*sigmoid(b.sum(axis=1))[:, None]
loss = softmax_cross_entropy(dense(d, 3), t)
"""


def test_named_tensors_of_a_network() -> None:
    x, t = small(20)
    r = named.study(Setting(NET, {"x": x, "t": t}))
    assert r.names == ("a", "b", "c", "d")
    assert [b.after for b in r.between] == ["b", "d", "d", ""]  # b reaches the loss past c
    assert r.between[0].weights == ("W2", "b2")
    assert [b.examples for b in r.between] == [8, 8, 8, 0]
    assert max(b.deviation for b in r.between[:3]) < 1e-12
    d = sg.derive(NET, wrt=["a", "d"])
    setting = Setting(NET, {"x": x, "t": t})
    _, g = d.function()(x=x, t=t, **setting.named(setting.start))
    np.testing.assert_allclose([r.signal[0], r.signal[3]], [np.linalg.norm(g[k]) for k in "ad"], rtol=1e-12)
    np.testing.assert_allclose(r.ratio[2], r.signal[2] / r.signal[3], rtol=1e-12)
    assert math.isnan(r.ratio[3])


def test_too_large_a_jacobian_is_said_not_to_be_checked(monkeypatch) -> None:
    monkeypatch.setattr(named, "_ENTRIES", 30)
    told = str(flow(NET, dict(zip("xt", small(), strict=True))))
    assert "From b to a it is not checked: its Jacobian has 36 entries." in told.replace("\n", " ")


def test_shipped_network_and_one_without_names() -> None:
    told = str(flow("logistic"))
    assert "At z" not in told and "z" in told
    with pytest.raises(sg.SymgradError, match="names no tensor on the way to its loss"):
        flow("x: data[n, 3]; w: weight[3]; loss = mean((x @ w)**2)")


# ---------------------------------------------------------------------- report and command


def test_command(capsys) -> None:
    line = [
        "study",
        "flow",
        "--activation",
        "relu,sigmoid",
        "--activation",
        "def f(x): return x*sigmoid(2*x)",
    ]
    line += [
        "--start",
        "he, orthogonal(1.2)",
        "--depth",
        "3,4",
        "--width",
        "6",
        "--examples",
        "8",
        "--layers",
        "2",
    ]
    assert main(line) == 0
    told = capsys.readouterr().out
    assert "Layer by layer: relu, orthogonal(1.2), depth 3" in told
    assert told.count("\n  8 ") == 1
    assert "f, depth 4: the slope is at most 1.1" in told


@pytest.fixture(scope="module")
def drawn() -> flow_told.Report:
    return flow(
        activations=["relu", "tanh"], starts=["he"], depth=[2, 3], width=5, examples=4, inputs="normal"
    )


def test_plots(drawn) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    assert list(drawn.plots) == ["signal", "gains", "factors", "activations"]
    for p in drawn.plots.values():
        figure = figures.Figure(figsize=p.size)
        p.draw(figure)
        said = {text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title)}
        said |= {axes.get_title("left") for axes in figure.axes}
        assert any("tanh" in text for text in said)


@pytest.mark.long
def test_page(drawn) -> None:
    pytest.importorskip("matplotlib")
    page = drawn.html()
    assert page.count("<svg") == 4 and "<script" not in page
    assert flow("digits", examples=20).html().count("<svg") == 1


def test_split() -> None:
    assert split("he,uniform(-1, 1) , lecun(2)") == ["he", "uniform(-1, 1)", "lecun(2)"]
    assert split("def f(x): return max(x, 0)") == ["def f(x): return max(x, 0)"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--activation softmax", "softmax is no activation of single numbers"),
        ("--activation prelu", "prelu cannot be an activation here: it has a1 of its own"),
        ("--activation sigmoit", "did you mean 'sigmoid'?"),
        ("--start ortho", "'ortho' is no start of a weight"),
        ("--start he(1,2)", "takes at most one number"),
        ("--depth 1", "a depth is a whole number of at least 2, not 1"),
        ("--depth x", "takes a whole number"),
        ("--depth 3 --layers 40 --examples 4", "there are 9 combinations"),
        ("digits --depth 3", "--depth is about the networks that this study makes"),
        ("nowhere.sg", "there is no file nowhere.sg"),
    ],
)
def test_wrong_values_are_answered_by_a_sentence(line: str, told: str, capsys) -> None:
    try:
        status = main(["study", "flow", *line.split()])
    except SystemExit as end:
        status = end.code
    assert status == 2
    said = capsys.readouterr().err
    assert told in said.replace("\n", " ") and "Traceback" not in said


def test_reads_back() -> None:
    """The text of a chain is a declaration like any other."""
    chain = Chain(Activation("def g(x): return x/(1 + abs(x))"), 2, 3, 4, 2)
    assert str(read_program(str(chain.program))) == str(chain.program)
