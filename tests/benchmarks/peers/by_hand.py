"""Plain NumPy, written by hand as a competent person writes it: clear, vectorised, and not tuned further.

Matrix products everywhere, nothing computed twice, no loop over examples; but a new array for each expression, one
array for each weight, and formulas as they stand in a textbook.
"""

from __future__ import annotations

import numpy as np

from ..step import Setting, Step


def softmax_cross_entropy(z, t):
    """The mean loss, and its gradient by z."""
    n = len(z)
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(n), t]).mean()
    dz = p
    dz[np.arange(n), t] -= 1
    return loss, dz / n


def mse(y, t):
    d = y - t
    return (d * d).mean(), 2 / d.size * d


def tiny(w, x, t):
    h = np.tanh(x @ w["W1"] + w["b1"])
    y = h @ w["W2"] + w["b2"]
    loss, dy = mse(y, t)
    dz = dy @ w["W2"].T * (1 - h * h)
    return loss, {"W1": x.T @ dz, "b1": dz.sum(axis=0), "W2": h.T @ dy, "b2": dy.sum(axis=0)}


def small(w, x, t):
    h = np.maximum(x @ w["W1"] + w["b1"], 0)
    z = h @ w["W2"] + w["b2"]
    loss, dz = softmax_cross_entropy(z, t)
    dh = dz @ w["W2"].T * (h > 0)
    return loss, {"W1": x.T @ dh, "b1": dh.sum(axis=0), "W2": h.T @ dz, "b2": dz.sum(axis=0)}


def mlp(w, x, t):
    h1 = np.maximum(x @ w["W1"] + w["b1"], 0)
    h2 = np.maximum(h1 @ w["W2"] + w["b2"], 0)
    z = h2 @ w["W3"] + w["b3"]
    loss, dz = softmax_cross_entropy(z, t)
    d2 = dz @ w["W3"].T * (h2 > 0)
    d1 = d2 @ w["W2"].T * (h1 > 0)
    return loss, {
        "W1": x.T @ d1,
        "b1": d1.sum(axis=0),
        "W2": h1.T @ d2,
        "b2": d2.sum(axis=0),
        "W3": h2.T @ dz,
        "b3": dz.sum(axis=0),
    }


def wide(w, x, t):
    h1 = np.tanh(x @ w["W1"] + w["b1"])
    h2 = np.tanh(h1 @ w["W2"] + w["b2"])
    y = h2 @ w["W3"] + w["b3"]
    loss, dy = mse(y, t)
    d2 = dy @ w["W3"].T * (1 - h2 * h2)
    d1 = d2 @ w["W2"].T * (1 - h1 * h1)
    return loss, {
        "W1": x.T @ d1,
        "b1": d1.sum(axis=0),
        "W2": h1.T @ d2,
        "b2": d2.sum(axis=0),
        "W3": h2.T @ dy,
        "b3": dy.sum(axis=0),
    }


def im2col(x):
    """The 3×3 windows of a padded image as rows."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, c * 9)


def col2im(columns, shape):
    """The sum of windows where they overlap: the adjoint of `im2col`."""
    n, c, h, w = shape
    columns = columns.reshape(n, h, w, c, 3, 3).transpose(0, 3, 4, 5, 1, 2)
    padded = np.zeros((n, c, h + 2, w + 2), columns.dtype)
    for p in range(3):
        for q in range(3):
            padded[:, :, p : p + h, q : q + w] += columns[:, :, p, q]
    return padded[:, :, 1:-1, 1:-1]


def conv(x, w, b):
    n, _, h, k = x.shape
    columns = im2col(x)
    z = columns @ w.reshape(len(w), -1).T + b
    return z.reshape(n, h, k, len(w)).transpose(0, 3, 1, 2), columns


def conv_back(dz, columns, w, shape=None):
    rows = dz.transpose(0, 2, 3, 1).reshape(-1, len(w))
    dw = (rows.T @ columns).reshape(w.shape)
    dx = None if shape is None else col2im(rows @ w.reshape(len(w), -1), shape)
    return dw, rows.sum(axis=0), dx


def max_pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def max_pool_back(dy, y, x):
    n, c, h, w = x.shape
    first = x.reshape(n, c, h // 2, 2, w // 2, 2) == y[:, :, :, None, :, None]
    return (first * dy[:, :, :, None, :, None]).reshape(x.shape)


def cnn(w, x, t):
    z1, columns1 = conv(x, w["W1"], w["b1"])
    h1 = np.maximum(z1, 0)
    a = max_pool(h1)
    z2, columns2 = conv(a, w["W2"], w["b2"])
    h2 = np.maximum(z2, 0)
    b = max_pool(h2)
    f = b.reshape(len(x), -1)
    z = f @ w["W3"] + w["b3"]
    loss, dz = softmax_cross_entropy(z, t)
    db = (dz @ w["W3"].T).reshape(b.shape)
    d2 = max_pool_back(db, b, h2) * (h2 > 0)
    dw2, db2, da = conv_back(d2, columns2, w["W2"], a.shape)
    d1 = max_pool_back(da, a, h1) * (h1 > 0)
    dw1, db1, _ = conv_back(d1, columns1, w["W1"])
    return loss, {"W1": dw1, "b1": db1, "W2": dw2, "b2": db2, "W3": f.T @ dz, "b3": dz.sum(axis=0)}


def layer_norm(x, gamma, beta):
    mean = x.mean(axis=-1, keepdims=True)
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    z = (x - mean) / deviation
    return gamma * z + beta, z, deviation


def layer_norm_back(dy, z, deviation, gamma):
    dz = dy * gamma
    dx = (dz - dz.mean(axis=-1, keepdims=True) - z * (dz * z).mean(axis=-1, keepdims=True)) / deviation
    return dx, (dy * z).sum(axis=(0, 1)), dy.sum(axis=(0, 1))


GELU = (2 / np.pi) ** 0.5


def gelu(x):
    u = np.tanh(GELU * (x + 0.044715 * x * x * x))
    return 0.5 * x * (1 + u), u


def gelu_back(dy, x, u):
    return dy * (0.5 * (1 + u) + 0.5 * x * (1 - u * u) * GELU * (1 + 3 * 0.044715 * x * x))


def transformer(w, x, t):
    n, s, e = x.shape
    heads, d = 4, e // 4

    def split(a):
        return a.reshape(n, s, heads, d).transpose(0, 2, 1, 3)

    def join(a):
        return a.transpose(0, 2, 1, 3).reshape(n, s, e)

    def weight(a, dz):
        return a.reshape(n * s, -1).T @ dz.reshape(n * s, -1)

    a, norm1, _ = layer_norm(x, w["gamma1"], w["beta1"])
    z = a @ w["W1"] + w["b1"]
    q, k, v = split(z[..., :e]), split(z[..., e : 2 * e]), split(z[..., 2 * e :])
    scale = d**-0.5
    scores = q @ k.transpose(0, 1, 3, 2) * scale
    p = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    u = join(p @ v)
    h = x + u @ w["U1"] + w["c1"]
    c, norm2, deviation2 = layer_norm(h, w["gamma2"], w["beta2"])
    z2 = c @ w["W2"] + w["b2"]
    g, inner = gelu(z2)
    y = h + g @ w["W3"] + w["b3"]
    loss, dy = mse(y, t)

    dg = dy @ w["W3"].T
    dz2 = gelu_back(dg, z2, inner)
    dc = dz2 @ w["W2"].T
    dh, dgamma2, dbeta2 = layer_norm_back(dc, norm2, deviation2, w["gamma2"])
    dh = dh + dy
    du = split(dh @ w["U1"].T)
    dp = du @ v.transpose(0, 1, 3, 2)
    dv = p.transpose(0, 1, 3, 2) @ du
    ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) * scale
    dq = ds @ k
    dk = ds.transpose(0, 1, 3, 2) @ q
    dz = np.concatenate([join(dq), join(dk), join(dv)], axis=-1)
    da = dz @ w["W1"].T
    return loss, {
        "gamma1": (da * norm1).sum(axis=(0, 1)),
        "beta1": da.sum(axis=(0, 1)),
        "W1": weight(a, dz),
        "b1": dz.sum(axis=(0, 1)),
        "U1": weight(u, dh),
        "c1": dh.sum(axis=(0, 1)),
        "gamma2": dgamma2,
        "beta2": dbeta2,
        "W2": weight(c, dz2),
        "b2": dz2.sum(axis=(0, 1)),
        "W3": weight(g, dy),
        "b3": dy.sum(axis=(0, 1)),
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(w, x, t):
    n, steps, _ = x.shape
    m = w["U1"].shape[0]
    h, c = np.zeros((n, m), x.dtype), np.zeros((n, m), x.dtype)
    kept, out = [], np.empty((n, steps, m), x.dtype)
    z = x @ w["W1"] + w["b1"]
    for k in range(steps):
        a = z[:, k] + h @ w["U1"]
        i, f, g, o = (
            sigmoid(a[:, :m]),
            sigmoid(a[:, m : 2 * m]),
            np.tanh(a[:, 2 * m : 3 * m]),
            sigmoid(a[:, 3 * m :]),
        )
        before, c = (h, c), f * c + i * g
        u = np.tanh(c)
        h = o * u
        out[:, k] = h
        kept.append((before, i, f, g, o, u))
    loss, dout = mse(out, t)
    dz = np.empty_like(z)
    du1 = np.zeros_like(w["U1"])
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for k in reversed(range(steps)):
        (h, c), i, f, g, o, u = kept[k]
        dh = dh + dout[:, k]
        dc = dc + dh * o * (1 - u * u)
        da = np.concatenate(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * u * o * (1 - o)], axis=1
        )
        dz[:, k] = da
        du1 += h.T @ da
        dh = da @ w["U1"].T
        dc = dc * f
    rows = dz.reshape(n * steps, -1)
    return loss, {"W1": x.reshape(n * steps, -1).T @ rows, "b1": rows.sum(axis=0), "U1": du1}


NETWORKS = {"a": tiny, "b": small, "c": mlp, "d": wide, "e": cnn, "f": transformer, "g": lstm}


def sgd(rate):
    def update(weights, gradients):
        for name, g in gradients.items():
            weights[name] -= rate * g

    return update


def adam(rate, beta1=0.9, beta2=0.999, eps=1e-8):
    m, v, t = {}, {}, 0

    def update(weights, gradients):
        nonlocal t
        t += 1
        for name, g in gradients.items():
            m[name] = beta1 * m.get(name, 0) + (1 - beta1) * g
            v[name] = beta2 * v.get(name, 0) + (1 - beta2) * g * g
            corrected = m[name] / (1 - beta1**t)
            weights[name] -= rate * corrected / (np.sqrt(v[name] / (1 - beta2**t)) + eps)

    return update


def build(s: Setting) -> Step:
    network = NETWORKS[s.letter]
    weights = {name: w.copy() for name, w in s.weights.items()}
    update = {"sgd": sgd, "adam": adam}[s.optimizer](s.rate)
    x, t = s.data["x"], s.data["t"]

    def once():
        loss, gradients = network(weights, x, t)
        update(weights, gradients)
        return loss

    return Step(once, lambda: network(weights, x, t), lambda: weights)
