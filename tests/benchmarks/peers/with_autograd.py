"""autograd: forward in NumPy, gradients by its tape, the update by hand."""

from __future__ import annotations

import autograd.numpy as np
from autograd import value_and_grad

from ..step import Setting, Step
from .by_hand import adam, sgd


def dense(w, k, x):
    return np.dot(x, w[f"W{k}"]) + w[f"b{k}"]


def relu(x):
    return np.maximum(x, 0)


def mlp(layers, activation):
    def network(w, x):
        for k in range(1, layers):
            x = activation(dense(w, k, x))
        return dense(w, layers, x)

    return network


def conv(x, w, b):
    """Windows by nine shifted slices, then one product; images have their channels last."""
    n, h, k, c = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "constant")
    columns = np.concatenate([padded[:, p : p + h, q : q + k] for p in range(3) for q in range(3)], axis=3)
    kernel = np.transpose(w, (2, 3, 1, 0)).reshape(9 * c, -1)
    return np.dot(columns.reshape(-1, 9 * c), kernel).reshape(n, h, k, -1) + b


def max_pool(x):
    n, h, w, c = x.shape
    return np.max(x.reshape(n, h // 2, 2, w // 2, 2, c), axis=(2, 4))


def cnn(w, x):
    a = max_pool(relu(conv(np.transpose(x, (0, 2, 3, 1)), w["W1"], w["b1"])))
    b = max_pool(relu(conv(a, w["W2"], w["b2"])))
    return dense(w, 3, np.transpose(b, (0, 3, 1, 2)).reshape(len(x), -1))


def layer_norm(x, gamma, beta):
    z = x - np.mean(x, axis=-1, keepdims=True)
    return z / np.sqrt(np.mean(z * z, axis=-1, keepdims=True) + 1e-5) * gamma + beta


def transformer(w, x, heads=4):
    n, t, e = x.shape
    z = dense(w, 1, layer_norm(x, w["gamma1"], w["beta1"]))
    q, k, v = (
        np.transpose(z[..., j * e : j * e + e].reshape(n, t, heads, e // heads), (0, 2, 1, 3))
        for j in range(3)
    )
    scores = np.matmul(q, np.swapaxes(k, 2, 3)) / float((e // heads) ** 0.5)
    p = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    p = p / np.sum(p, axis=-1, keepdims=True)
    u = np.transpose(np.matmul(p, v), (0, 2, 1, 3)).reshape(n, t, e)
    h = x + np.dot(u, w["U1"]) + w["c1"]
    z = dense(w, 2, layer_norm(h, w["gamma2"], w["beta2"]))
    g = 0.5 * z * (1 + np.tanh(0.7978845608 * (z + 0.044715 * z * z * z)))
    return h + dense(w, 3, g)


def sigmoid(x):
    return 0.5 * (np.tanh(0.5 * x) + 1)


def lstm(w, x):
    m = w["U1"].shape[0]
    z = dense(w, 1, x)
    h = c = np.zeros((len(x), m), x.dtype)
    out = []
    for k in range(x.shape[1]):
        a = z[:, k] + np.dot(h, w["U1"])
        c = sigmoid(a[:, m : 2 * m]) * c + sigmoid(a[:, :m]) * np.tanh(a[:, 2 * m : 3 * m])
        h = sigmoid(a[:, 3 * m :]) * np.tanh(c)
        out.append(h)
    return np.stack(out, axis=1)


NETWORKS = {
    "a": mlp(2, np.tanh),
    "b": mlp(2, relu),
    "c": mlp(3, relu),
    "d": mlp(3, np.tanh),
    "e": cnn,
    "f": transformer,
    "g": lstm,
}


def judge(y, t):
    if t.ndim == 1:
        z = y - np.max(y, axis=1, keepdims=True)
        return np.mean(np.log(np.sum(np.exp(z), axis=1)) - z[np.arange(len(t)), t])
    return np.mean((y - t) ** 2)


def build(s: Setting) -> Step:
    network = NETWORKS[s.letter]
    x, t = s.data["x"], s.data["t"]
    gradients = value_and_grad(lambda w: judge(network(w, x), t))
    weights = {name: w.copy() for name, w in s.weights.items()}
    update = {"sgd": sgd, "adam": adam}[s.optimizer](s.rate)

    def once():
        loss, g = gradients(weights)
        update(weights, g)
        return loss

    return Step(once, lambda: gradients(weights), lambda: weights)
