"""JAX: one compiled step with the update and donated buffers; and many steps as one compiled loop.

Asynchronous dispatch is off: with it each step costs more on a CPU (54 against 44 µs on network b), for it hands its
work to a second thread.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from ..step import Setting, Step

jax.config.update("jax_cpu_enable_async_dispatch", False)

LOOP = 1000  # steps in one compiled loop


def dense(w, k, x):
    return x @ w[f"W{k}"] + w[f"b{k}"]


def mlp(layers, activation):
    def network(w, x):
        for k in range(1, layers):
            x = activation(dense(w, k, x))
        return dense(w, layers, x)

    return network


def conv(x, w, b):
    dimensions = ("NHWC", "OIHW", "NHWC")
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=dimensions) + b


def max_pool(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def cnn(w, x):
    a = max_pool(jax.nn.relu(conv(x.transpose(0, 2, 3, 1), w["W1"], w["b1"])))
    b = max_pool(jax.nn.relu(conv(a, w["W2"], w["b2"])))
    return dense(w, 3, b.transpose(0, 3, 1, 2).reshape(len(x), -1))


def layer_norm(x, gamma, beta):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5) * gamma + beta


def transformer(w, x, heads=4):
    n, t, e = x.shape
    z = dense(w, 1, layer_norm(x, w["gamma1"], w["beta1"]))
    q, k, v = (a.reshape(n, t, heads, e // heads).transpose(0, 2, 1, 3) for a in jnp.split(z, 3, -1))
    p = jax.nn.softmax(q @ k.swapaxes(2, 3) / (e // heads) ** 0.5)
    h = x + (p @ v).transpose(0, 2, 1, 3).reshape(n, t, e) @ w["U1"] + w["c1"]
    c = layer_norm(h, w["gamma2"], w["beta2"])
    return h + dense(w, 3, jax.nn.gelu(dense(w, 2, c), approximate=True))


def lstm(w, x):
    z = dense(w, 1, x).swapaxes(0, 1)

    def cell(state, z):
        h, c = state
        i, f, g, o = jnp.split(z + h @ w["U1"], 4, 1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((len(x), w["U1"].shape[0]), x.dtype)
    return lax.scan(cell, (zero, zero), z)[1].swapaxes(0, 1)


NETWORKS = {
    "a": mlp(2, jnp.tanh),
    "b": mlp(2, jax.nn.relu),
    "c": mlp(3, jax.nn.relu),
    "d": mlp(3, jnp.tanh),
    "e": cnn,
    "f": transformer,
    "g": lstm,
}


def judge(y, t):
    if t.ndim == 1:
        return -jnp.take_along_axis(jax.nn.log_softmax(y), t[:, None], 1).mean()
    return ((y - t) ** 2).mean()


def sgd(rate):
    return (lambda w: ()), lambda w, g, state: (jax.tree.map(lambda w, g: w - rate * g, w, g), ())


def adam(rate, beta1=0.9, beta2=0.999, eps=1e-8):
    def start(w):
        return jax.tree.map(jnp.zeros_like, w), jax.tree.map(jnp.zeros_like, w), jnp.zeros((), jnp.int32)

    def update(w, g, state):
        m, v, t = state
        t = t + 1
        m = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, m, g)
        v = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, v, g)
        one, two = rate / (1 - beta1**t), 1 / (1 - beta2**t)
        return jax.tree.map(lambda w, m, v: w - one * m / (jnp.sqrt(v * two) + eps), w, m, v), (m, v, t)

    return start, update


def build(s: Setting) -> Step:
    network = NETWORKS[s.letter]
    start, update = {"sgd": sgd, "adam": adam}[s.optimizer](s.rate)
    x, t = jnp.asarray(s.data["x"]), jnp.asarray(s.data["t"])
    w = {name: jnp.array(a) for name, a in s.weights.items()}
    state = start(w)
    gradients = jax.value_and_grad(lambda w, x, t: judge(network(w, x), t))

    def step(w, state, x, t):
        loss, g = gradients(w, x, t)
        return *update(w, g, state), loss

    def loop(w, state, x, t):
        def body(carry, _):
            *carry, loss = step(*carry, x, t)
            return carry, loss

        (w, state), losses = lax.scan(body, [w, state], length=LOOP)
        return w, state, losses[-1]

    many = s.variant == "loop"
    compiled = jax.jit(loop if many else step, donate_argnums=(0, 1))

    def once():
        nonlocal w, state
        w, state, loss = compiled(w, state, x, t)
        return loss.block_until_ready()

    return Step(once, lambda: gradients(w, x, t), lambda: w, LOOP if many else 1)
