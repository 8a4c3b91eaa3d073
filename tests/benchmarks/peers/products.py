"""The wall: the matrix products of forward and backward, into arrays made beforehand, and nothing else.

A bias, an activation, a loss, an update cost nothing here. There is one product for each contraction, over the whole
batch; no gradient by data that nobody asks for, and weights' gradients over all steps of a recurrence at once. The
convolutions are quicker in tiles of 8 images, whose windows stay in the cache: that is told apart.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..step import Setting, Step


def build(s: Setting) -> Step:
    rng = np.random.default_rng(2)

    def some(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    calls = []

    def product(a, b):
        out = np.empty((*a.shape[:-1], b.shape[-1]), np.float32)
        multiply = a.dot if a.ndim == 2 else lambda b, out: np.matmul(a, b, out)
        calls.append((multiply, b, out))

    def dense(n, i, m, first=False):
        """Forward, gradient of the weight, and error signal of the layer before."""
        x, w, dz = some(n, i), some(i, m), some(n, m)
        product(x, w)
        product(x.T, dz)
        if not first:
            product(dz, w.T)

    (TILED if s.variant == "tiles" else PRODUCTS)[s.letter](dense, product, some)

    def once():
        for multiply, b, out in calls:
            multiply(b, out)

    return Step(once)


def mlp(n, *widths):
    def products(dense, product, some):
        for k, (i, m) in enumerate(pairwise(widths)):
            dense(n, i, m, first=k == 0)

    return products


def cnn(images):
    def products(dense, product, some):
        for _ in range(64 // images):
            dense(images * 28 * 28, 9, 16, first=True)
            dense(images * 14 * 14, 16 * 9, 32)
        dense(64, 32 * 49, 10)

    return products


def transformer(dense, product, some):
    n, t, e, h = 16, 64, 128, 4
    # the norm before it needs no error signal: its scale and shift have their gradients from this weight's
    dense(n * t, e, 3 * e, first=True)
    q, k, v, p, dp, dy = (some(n, h, t, m) for m in (e // h, e // h, e // h, t, t, e // h))
    product(q, k.swapaxes(2, 3))
    product(p, v)
    product(dy, v.swapaxes(2, 3))
    product(p.swapaxes(2, 3), dy)
    product(dp, k)
    product(dp.swapaxes(2, 3), q)
    dense(n * t, e, e)
    dense(n * t, e, 4 * e)
    dense(n * t, 4 * e, e)


def lstm(dense, product, some):
    n, t, i, m = 32, 32, 32, 64
    dense(n * t, i, 4 * m, first=True)
    h, u, dz = some(n, m), some(m, 4 * m), some(n, 4 * m)
    for _ in range(t - 1):  # nothing precedes the first step
        product(h, u)
        product(dz, u.T)
    product(some(n * (t - 1), m).T, some(n * (t - 1), 4 * m))


PRODUCTS = {
    "a": mlp(32, 2, 16, 1),
    "b": mlp(64, 64, 32, 10),
    "c": mlp(128, 784, 256, 128, 10),
    "d": mlp(512, 1024, 2048, 2048, 1024),
    "e": cnn(64),
    "f": transformer,
    "g": lstm,
}
TILED = {"e": cnn(8)}
