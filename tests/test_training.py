"""Two hundred steps of a generated module against an implementation written by hand, in float64."""

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit

TEXT = """
    x: data[n, 5]
    t: label[n] < 3
    h = {activation}(dense(x, 7))
    loss = softmax_cross_entropy(dense(h, 3), t) + l2(W1, 0.01) + l2(W2, 0.01)
"""


def by_hand(activation: str, weights: dict[str, np.ndarray], x: np.ndarray, t: np.ndarray):
    """Loss and gradients of the network above, as a textbook has them; nothing of symgrad is used."""
    z1 = x @ weights["W1"] + weights["b1"]
    h = np.tanh(z1) if activation == "tanh" else z1 * (z1 > 0)
    z2 = h @ weights["W2"] + weights["b2"]
    e = np.exp(z2 - z2.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    n = len(x)
    loss = -np.log(p[np.arange(n), t]).mean() + 0.01 * sum((weights[w] ** 2).sum() for w in ("W1", "W2"))
    d2 = p.copy()
    d2[np.arange(n), t] -= 1
    d2 /= n
    d1 = d2 @ weights["W2"].T * (1 - h * h if activation == "tanh" else z1 > 0)
    return loss, {
        "W1": x.T @ d1 + 0.02 * weights["W1"],
        "b1": d1.sum(0),
        "W2": h.T @ d2 + 0.02 * weights["W2"],
        "b2": d2.sum(0),
    }


def sgd(weights, gradients, state, step):
    for name, g in gradients.items():
        weights[name] = weights[name] - 0.1 * g


def momentum(weights, gradients, state, step):
    for name, g in gradients.items():
        state[name] = 0.9 * state.get(name, 0) + g
        weights[name] = weights[name] - 0.1 * state[name]


def adam(weights, gradients, state, step):
    for name, g in gradients.items():
        m, v = state.get(name, (0, 0))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        state[name] = m, v
        weights[name] = weights[name] - 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)


@pytest.mark.parametrize("optimizer", [sgd, momentum, adam], ids=lambda f: f.__name__)
@pytest.mark.parametrize("style", ["readable", "fast"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_losses_over_200_steps(optimizer, style: str, activation: str) -> None:
    rng = np.random.default_rng(3)
    x, t = rng.standard_normal((41, 5)), rng.integers(0, 3, 41)
    shapes = {"W1": (5, 7), "b1": (7,), "W2": (7, 3), "b2": (3,)}
    weights = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    source = sg.Model(TEXT.format(activation=activation)).source(
        "net", optimizer=optimizer.__name__, style=style, lr=0.1
    )
    model = emit.load(source, "net")["Model"](dtype=np.float64)
    model.init(0)
    model.set_weights(weights)
    own, state = {k: v.copy() for k, v in weights.items()}, {}
    batches = [slice(0, 16), slice(16, 32), slice(32, 41)]  # the last one is short
    for step in range(1, 201):
        rows = batches[step % 3]
        loss, gradients = by_hand(activation, own, x[rows], t[rows])
        optimizer(own, gradients, state, step)
        assert model.step(x[rows], t[rows]) == pytest.approx(loss, rel=1e-9, abs=0)
    for name, w in model.get_weights().items():
        np.testing.assert_allclose(w, own[name], rtol=1e-8, atol=1e-12)
