"""How weights start: what is drawn, that all modules draw the same, and what a start may be."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad import emit
from symgrad.emit import starts

NET = """
x: data[n, 6]
t: label[n] < 3
K: weight[5, 2, 4] = orthogonal()
h = tanh(dense(x, 9, start="orthogonal(1.4)"))
z = dense(h, 3, start="lecun(0.5)")
loss = softmax_cross_entropy(z, t) + 0.01*sum(K**2)
"""


def module(text: str, style: str, **options) -> SimpleNamespace:
    return SimpleNamespace(**emit.load(sg.Model(text).source("net", style=style, **options), "net"))


def start(shape: tuple[int, ...], *how, seed: int = 0) -> np.ndarray:
    return starts.start()(np.random.default_rng(seed), shape, *how)


# ---------------------------------------------------------------------- what is drawn


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=4), st.floats(0.1, 3), st.integers(0, 99))
def test_orthogonal_has_rows_or_columns_at_right_angles(shape: list[int], gain: float, seed: int) -> None:
    """Those of the first axis against the rest, each as long as the gain."""
    w = start(tuple(shape), "orthogonal", gain, seed=seed).reshape(shape[0], -1)
    product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    np.testing.assert_allclose(product, gain**2 * np.eye(min(w.shape)), atol=1e-12)


def test_all_orthogonal_matrices_are_equally_likely() -> None:
    """Without the signs, QR would give a first entry that is never positive; a rotation of them looks the same."""
    drawn = np.array([start((3, 3), "orthogonal", seed=s) for s in range(1500)])
    assert abs(drawn.mean(0)).max() < 0.06  # a standard deviation of 0.015
    np.testing.assert_allclose((drawn**2).mean(0), 1 / 3, atol=0.04)
    assert abs(np.mean(np.linalg.det(drawn))) < 0.1
    np.testing.assert_allclose(np.mean(np.trace(drawn, axis1=1, axis2=2) ** 2), 1, atol=0.15)


@pytest.mark.parametrize(
    ("how", "variance"),
    [("he", 2 / 300), ("lecun", 1 / 300), ("glorot", 2 / 500), ("orthogonal", 1 / 300), ("normal", 1.0)],
)
def test_a_gain_multiplies_and_the_variance_is_as_named(how: str, variance: float) -> None:
    gain = 1.0 if how == "normal" else 1.5
    w = start((300, 200), how, gain)
    assert w.mean() == pytest.approx(0, abs=4 * (gain**2 * variance / w.size) ** 0.5)
    assert w.var() == pytest.approx(gain**2 * variance, rel=0.03)
    np.testing.assert_allclose(w, start((300, 200), how) * gain, rtol=1e-15)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 2, 3)])
def test_orthogonal_is_as_in_pytorch(shape: tuple[int, ...], monkeypatch) -> None:
    """From the same normal numbers; a wide matrix is drawn tall, and PyTorch turns it over itself."""
    torch = pytest.importorskip("torch")
    rows, columns = shape[0], int(np.prod(shape[1:]))
    drawn = np.random.default_rng(0).standard_normal((max(rows, columns), min(rows, columns)))
    w = torch.empty(shape, dtype=torch.float64)
    normal = torch.tensor(drawn if rows >= columns else drawn.T.copy())
    monkeypatch.setattr(torch.Tensor, "normal_", lambda self, *_, **__: self.copy_(normal))
    np.testing.assert_allclose(start(shape, "orthogonal"), torch.nn.init.orthogonal_(w).numpy(), atol=1e-12)


# ---------------------------------------------------------------------- in declarations and modules


def test_all_styles_draw_the_same_and_train() -> None:
    models = [module(NET, style).Model(dtype=np.float64) for style in ("readable", "fast")]
    for m in models:
        m.init(seed=3)
        m.loss_and_grad(np.ones((4, 6)), np.array([0, 1, 2, 0]))
    drawn = [m.get_weights() for m in models]
    for name, w in drawn[0].items():
        np.testing.assert_array_equal(w, drawn[1][name])
    np.testing.assert_allclose(drawn[0]["W1"] @ drawn[0]["W1"].T, 1.4**2 * np.eye(6), atol=1e-12)
    models[0].init(seed=4)
    assert (models[0].get_weights()["W1"] != drawn[0]["W1"]).all()


def test_large_weights_are_drawn_whole() -> None:
    m = module("x: data[n, 200]; loss = mean(dense(x, 150, start='orthogonal')**2)", "fast").Model()
    w = m.get_weights()["W1"]
    np.testing.assert_allclose(w.T @ w, np.eye(150), atol=1e-5)


def test_a_module_has_only_the_starts_that_it_needs() -> None:
    text = sg.Model("x: data[n, 3]; loss = mean(dense(x, 2)**2)").source("net")
    assert "orthogonal" not in text
    assert "lecun" not in text


def test_layers_take_a_start_and_print_it() -> None:
    text = "x: data[n, 4, 8]; y = conv1d(x, 2, 3, start='glorot(2)'); loss = mean(dense(y, 3, start=0.5)**2)"
    assert [t.start for t in sg.Model(text).program.role("weight")] == [
        ("glorot", 2), ("zeros",), (0.5,), ("zeros",),
    ]  # fmt: skip
    assert "W2: weight[6, 3] = orthogonal(1.4)" in str(
        sg.Model(
            "x: data[n, 4]; y = dense(dense(x, 6), 3, start='orthogonal(1.4)'); loss = mean(y**2)"
        ).program
    )
    net = sg.Sequential(sg.Dense(8, start="he(0.5)"), sg.Dense(1))
    text = sg.Model(net, x=sg.data("n", 4), t=sg.data("n", 1), loss=sg.mse).program.text
    assert "dense(x, 8, start='he(0.5)')" in text
    p = sg.Model(text).program
    assert str(sg.derive(str(p)).program) == str(p)  # what is printed reads back


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("y = dense(x, 3, start='ortho')", "not 'ortho'; did you mean 'orthogonal'?"),
        ("y = dense(x, 3, start='he(1, 2)')", "at most one number, a gain, as in `he(1.4)`"),
        ("y = dense(x, 3, start='he(x)')", "not 'he(x)'"),
        ("W: weight[4, 3] = orthogonal(1, 2); y = x @ W", "orthogonal() takes at most one number, a gain"),
        ("W: weight[4] = orthogonal(); y = x @ W", "W has one axis, and an orthogonal start is of a matrix"),
        ("W: weight[4, 4] & symmetric = orthogonal(); y = x @ W", "W is symmetric, and the symmetric part"),
    ],
)
def test_what_is_no_start_is_answered_by_a_sentence(line: str, told: str) -> None:
    with pytest.raises(sg.SymgradError) as caught:
        sg.Model(f"x: data[n, 4]; {line}; loss = mean(y**2)")
    assert told in str(caught.value)
