"""PyTensor: one compiled function whose shared weights are updated in place."""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..step import Setting, Step

pytensor.config.floatX = "float32"


def dense(w, k, x):
    return x @ w[f"W{k}"] + w[f"b{k}"]


def relu(x):
    return pt.maximum(x, np.float32(0))


def mlp(layers, activation):
    def network(w, x, shape):
        for k in range(1, layers):
            x = activation(dense(w, k, x))
        return dense(w, layers, x)

    return network


def conv(x, w, b, shape):
    """Windows by nine shifted slices, then one product; images have their channels last."""
    n, h, k, c = shape
    padded = pt.set_subtensor(pt.zeros((n, h + 2, k + 2, c), "float32")[:, 1:-1, 1:-1], x)
    columns = pt.concatenate([padded[:, p : p + h, q : q + k] for p in range(3) for q in range(3)], axis=3)
    kernel = w.transpose(2, 3, 1, 0).reshape((9 * c, -1))
    return (columns.reshape((n * h * k, 9 * c)) @ kernel + b).reshape((n, h, k, -1))


def max_pool(x):
    one, two = pt.maximum(x[:, ::2, ::2], x[:, 1::2, ::2]), pt.maximum(x[:, ::2, 1::2], x[:, 1::2, 1::2])
    return pt.maximum(one, two)


def cnn(w, x, shape):
    n = shape[0]
    a = max_pool(relu(conv(x.transpose(0, 2, 3, 1), w["W1"], w["b1"], (n, 28, 28, 1))))
    b = max_pool(relu(conv(a, w["W2"], w["b2"], (n, 14, 14, 16))))
    return dense(w, 3, b.transpose(0, 3, 1, 2).reshape((n, -1)))


def layer_norm(x, gamma, beta):
    z = x - x.mean(-1, keepdims=True)
    return z / pt.sqrt((z * z).mean(-1, keepdims=True) + np.float32(1e-5)) * gamma + beta


def transformer(w, x, shape, heads=4):
    n, t, e = shape
    z = dense(w, 1, layer_norm(x, w["gamma1"], w["beta1"]))
    q, k, v = (
        z[..., j * e : j * e + e].reshape((n, t, heads, e // heads)).transpose(0, 2, 1, 3) for j in range(3)
    )
    p = pt.special.softmax(q @ k.swapaxes(2, 3) / np.float32((e // heads) ** 0.5), axis=-1)
    h = x + (p @ v).transpose(0, 2, 1, 3).reshape((n, t, e)) @ w["U1"] + w["c1"]
    z = dense(w, 2, layer_norm(h, w["gamma2"], w["beta2"]))
    inner = pt.tanh(np.float32(0.7978845608) * (z + np.float32(0.044715) * z * z * z))
    return h + dense(w, 3, np.float32(0.5) * z * (1 + inner))


def lstm(w, x, shape):
    m = 64
    z = dense(w, 1, x).swapaxes(0, 1)

    def cell(z, h, c, u):
        a = z + h @ u
        c = pt.sigmoid(a[:, m : 2 * m]) * c + pt.sigmoid(a[:, :m]) * pt.tanh(a[:, 2 * m : 3 * m])
        return pt.sigmoid(a[:, 3 * m :]) * pt.tanh(c), c

    zero = pt.zeros((shape[0], m), "float32")
    h, _ = pytensor.scan(
        cell, sequences=z, outputs_info=[zero, zero], non_sequences=w["U1"], return_updates=False
    )
    return h.swapaxes(0, 1)


NETWORKS = {
    "a": mlp(2, pt.tanh),
    "b": mlp(2, relu),
    "c": mlp(3, relu),
    "d": mlp(3, pt.tanh),
    "e": cnn,
    "f": transformer,
    "g": lstm,
}


def judge(y, t):
    if t.ndim == 1:
        return -pt.special.log_softmax(y, axis=1)[pt.arange(t.shape[0]), t].mean()
    return ((y - t) ** 2).mean()


def sgd(weights, gradients, rate):
    return [(w, w - np.float32(rate) * g) for w, g in zip(weights, gradients, strict=True)]


def adam(weights, gradients, rate):
    beta1, beta2, eps = map(np.float32, (0.9, 0.999, 1e-8))
    t = pytensor.shared(np.float32(0))
    updates = [(t, t + np.float32(1))]
    one, two = rate / (1 - beta1 ** updates[0][1]), 1 / (1 - beta2 ** updates[0][1])
    one, two = one.astype("float32"), two.astype("float32")
    for w, g in zip(weights, gradients, strict=True):
        m, v = (pytensor.shared(np.zeros(w.get_value().shape, np.float32)) for _ in range(2))
        new = beta1 * m + (np.float32(1) - beta1) * g, beta2 * v + (np.float32(1) - beta2) * g * g
        updates += [*zip((m, v), new, strict=True), (w, w - one * new[0] / (pt.sqrt(new[1] * two) + eps))]
    return updates


def build(s: Setting) -> Step:
    given = s.data["x"], s.data["t"]
    x, t = (pt.TensorType(str(a.dtype), (None,) * a.ndim)() for a in given)
    weights = {name: pytensor.shared(w.copy(), name=name) for name, w in s.weights.items()}
    loss = judge(NETWORKS[s.letter](weights, x, given[0].shape), t)
    gradients = pytensor.grad(loss, list(weights.values()))
    update = {"sgd": sgd, "adam": adam}[s.optimizer]
    step = pytensor.function([x, t], loss, updates=update(list(weights.values()), gradients, s.rate))
    step.trust_input = True  # no check of types at each call

    def check():
        found, *each = pytensor.function([x, t], [loss, *gradients])(*given)
        return found, dict(zip(weights, each, strict=True))

    return Step(lambda: step(*given), check, lambda: {name: w.get_value() for name, w in weights.items()})
