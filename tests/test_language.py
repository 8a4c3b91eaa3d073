"""The front end: what a text means, what it is refused for, and that a program reads back from its text."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import composite

import symgrad as sg
from symgrad.errors import SymgradError
from symgrad.language import reference, samples
from symgrad.language.program import Program
from symgrad.language.reader import read as read_bare
from symgrad.library import DEFINITIONS

SIZES = {"n": 3, "i": 4, "j": 5, "k": 6, "m": 2, "h": 7, "b": 8}


def read(text: str, sizes: dict[str, int] | None = None) -> Program:
    return read_bare(text, DEFINITIONS, sizes)


def arrays(program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    return samples.inputs(program, SIZES, np.random.default_rng(seed))


def value(text: str, **given: Any) -> Any:
    """The target's value for random inputs, and the inputs."""
    program = read(text)
    inputs = {**arrays(program), **given}
    return reference.run(program, SIZES, inputs)[program.target], inputs


def renamed(program: Program) -> str:
    """The program's text with made-up names counted through, so that only the structure counts."""
    text = str(program)
    made = [t.name for t in program.tensors.values() if t.role in ("value", "literal")]
    for k, name in enumerate(made):
        text = re.sub(rf"\b{re.escape(name)}\b", f"made{k}", text)
    return text


def check_reads_back(program: Program) -> None:
    again = read_bare(str(program))
    assert renamed(again) == renamed(program)
    assert again.statements == program.statements
    for t in program.tensors.values():
        assert replace(t, named=True, label="") == replace(again[t.name], label="")
    assert again.target == program.target


# ---------------------------------------------------------------------- what a text means

softmax = lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)  # noqa: E731
sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731

D = """
X: data[n, i]; Y: data[n, i]; V: data[i, j]; A: data[n, n]; T: data[n, i, j]; P: data[n, i, k]
S: data[n, n]; w: data[i]; y: data[n]; a: data; x: data[n] > 0; t: label[n] < i; u: label < 4
"""

MEANS: list[tuple[str, Callable[..., Any]]] = [
    # formulas
    ("mean((X @ w - y)**2)", lambda X, w, y, **_: np.mean((X @ w - y) ** 2)),
    ("X @ V", lambda X, V, **_: X @ V),
    ("y @ A @ y", lambda y, A, **_: y @ A @ y),
    ("y @ X", lambda y, X, **_: y @ X),
    ("X.T @ A", lambda X, A, **_: X.T @ A),
    ("T @ V.T", lambda T, V, **_: T @ V.T),
    ("np.einsum('nij,nik->njk', T, P)", lambda T, P, **_: np.einsum("nij,nik->njk", T, P)),
    ("T.T", lambda T, **_: T.T),
    ("2*X - Y/3 + w - 1.5*a", lambda X, Y, w, a, **_: 2 * X - Y / 3 + w - 1.5 * a),
    ("-X**2 * Y", lambda X, Y, **_: -(X**2) * Y),
    ("x**1.5 / x**y", lambda x, y, **_: x**1.5 / x**y),
    ("2**y", lambda y, **_: 2**y),
    ("[X > Y]*X", lambda X, Y, **_: (X > Y) * X),
    ("[0 < X and X < 1 or not Y > 0]", lambda X, Y, **_: ((X > 0) & (X < 1) | ~(Y > 0)) * 1.0),
    ("X if X > Y else -Y", lambda X, Y, **_: np.where(X > Y, X, -Y)),
    ("np.where(X > 0, sqrt(abs(X)), 0)", lambda X, **_: np.where(X > 0, np.sqrt(abs(X)), 0)),
    ("[x > 1]/(x - 1)*(x - 1)", lambda x, **_: (x > 1) * 1.0),
    ("max(X, 0) + min(0, X, Y)", lambda X, Y, **_: np.maximum(X, 0) + np.minimum(np.minimum(0, X), Y)),
    ("np.maximum(X, w) + np.minimum(X, w)", lambda X, w, **_: X + w),
    ("np.clip(X, -1, 0.5) + torch.clamp(Y, min=0)", lambda X, Y, **_: np.clip(X, -1, 0.5) + np.maximum(Y, 0)),
    ("softmax(X)", lambda X, **_: softmax(X)),
    ("softmax(X, axis=0)", lambda X, **_: softmax(X.T).T),
    ("log_softmax(X) - np.log(softmax(X))", lambda X, **_: 0 * X),
    ("logsumexp(X)", lambda X, **_: np.log(np.exp(X).sum(-1))),
    ("logsumexp(T, axis=1, keepdims=True)", lambda T, **_: np.log(np.exp(T).sum(1, keepdims=True))),
    ("sigmoid(X)*X + X*sigmoid(-X)", lambda X, **_: X),
    ("pi*a + e**a", lambda a, **_: np.pi * a + np.exp(a)),
    # reductions
    ("sum(X)", lambda X, **_: X.sum()),
    ("np.sum(X, axis=0)", lambda X, **_: X.sum(0)),
    ("X.sum(1)", lambda X, **_: X.sum(1)),
    ("T.mean(axis=(0, -1))", lambda T, **_: T.mean((0, 2))),
    ("X - X.max(axis=-1, keepdims=True)", lambda X, **_: X - X.max(-1, keepdims=True)),
    ("X - np.min(X, axis=0, keepdims=True)", lambda X, **_: X - X.min(0)),
    ("np.prod(X, axis=1)", lambda X, **_: X.prod(1)),
    ("sum([X > 0], X)", lambda X, **_: X[X > 0].sum()),
    ("mean([X > 0], X)", lambda X, **_: X[X > 0].mean()),
    ("max([Y > -9], X, axis=1)", lambda X, **_: X.max(1)),
    ("3*sum(X)/n - mean(Y)*n", lambda X, Y, **_: 3 * X.sum() / 3 - Y.mean() * 3),
    ("trace(A) + sum(diag(A))", lambda A, **_: 2 * np.trace(A)),
    ("sum(np.diag(y) * A)", lambda A, y, **_: y @ np.diag(A)),
    ("sum(np.tril(A)) - sum(np.triu(A, 1))", lambda A, **_: np.tril(A).sum() - np.triu(A, 1).sum()),
    ("A - eye(n)", lambda A, **_: A - np.eye(3)),
    ("np.outer(y, w) * np.ones((n, i))", lambda y, w, **_: np.outer(y, w)),
    ("kron(X, V)", lambda X, V, **_: np.kron(X, V)),
    ("np.dot(X, V) + 0*np.dot(2, a)", lambda X, V, **_: X @ V),
    # slices, sizes, look-ups
    ("X[1:]", lambda X, **_: X[1:]),
    ("X[:, ::2]", lambda X, **_: X[:, ::2]),
    ("X[::-1]", lambda X, **_: X[::-1]),
    ("w[1:] - w[:-1]", lambda w, **_: np.diff(w)),
    ("X[:, -2:] + T[:, -2:, -1 + 1]", lambda X, T, **_: X[:, -2:] + T[:, -2:, 0]),
    ("diff(X, axis=0) + np.flip(X)[1:]", lambda X, **_: np.diff(X, axis=0) + np.flip(X)[1:]),
    ("np.split(X, 2, axis=1)[1]", lambda X, **_: np.split(X, 2, axis=1)[1]),
    ("np.hstack([X, y[:, None]]) + np.hstack((w, a))", lambda X, y, w, a, **_: np.c_[X, y] + np.r_[w, a]),
    ("vstack([w, X])", lambda X, w, **_: np.vstack([w, X])),
    ("np.stack([w, w**2], axis=1)", lambda w, **_: np.stack([w, w**2], 1)),
    ("X[:, 1:2].squeeze(-1) + np.expand_dims(y, 0)[0]", lambda X, y, **_: X[:, 1] + y),
    ("X.var(axis=0) + np.std(X)", lambda X, **_: X.var(0) + X.std()),
    ("np.var(X, axis=1, keepdims=True, ddof=1)", lambda X, **_: X.var(1, keepdims=True, ddof=1)),
    ("one_hot(t)", lambda t, **_: np.eye(4)[t]),
    ("eye(i)[t]", lambda t, **_: np.eye(4)[t]),
    ("np.linalg.matrix_power(A, 3) + matrix_power(A, 0)", lambda A, **_: A @ A @ A + np.eye(3)),
    ("T[..., 0]", lambda T, **_: T[..., 0]),
    ("y[:, None] * w", lambda y, w, **_: y[:, None] * w),
    ("y[:, np.newaxis] + X[:, 1:2]", lambda y, X, **_: y[:, None] + X[:, 1:2]),
    ("X[n - 1] + X[0]", lambda X, **_: X[-1] + X[0]),
    ("len(X)*y/X.shape[-1] + X.size", lambda y, **_: 3 * y / 4 + 12),
    ("V[t]", lambda V, t, **_: V[t]),
    ("T.transpose(1, 2)[:, 0] + T.transpose(0, 2, 1)[:, 0]", lambda T, **_: 2 * T[:, :, 0]),
    ("np.transpose(T, (2, 0, 1)) + T.permute(2, 0, 1)", lambda T, **_: 2 * T.transpose(2, 0, 1)),
    ("np.swapaxes(T, 0, -1)", lambda T, **_: T.swapaxes(0, -1)),
    ("np.vdot(X, Y) + np.tensordot(X, Y, axes=2)", lambda X, Y, **_: 2 * (X * Y).sum()),
    ("np.inner(X, Y) + np.tensordot(X, Y.T, 1)", lambda X, Y, **_: 2 * X @ Y.T),
    ("np.tensordot(y, w, axes=0)", lambda y, w, **_: np.outer(y, w)),
    ("np.roll(w, 1) + np.roll(X, -1, axis=1)[0]", lambda w, X, **_: np.roll(w, 1) + np.roll(X[0], -1)),
    ("np.cumsum(w) + cumsum(X, axis=1)[0]", lambda w, X, **_: np.cumsum(w) + np.cumsum(X[0])),
    ("np.repeat(X, 2, axis=0)", lambda X, **_: np.repeat(X, 2, 0)),
    ("np.tile(w, 2) + np.tile(X, (1, 2))", lambda w, X, **_: np.tile(w, 2) + np.tile(X, (1, 2))),
    ("np.pad(X, ((1, 2), (0, 1)))", lambda X, **_: np.pad(X, ((1, 2), (0, 1)))),
    ("np.pad(w, 1) + np.pad(w, (2, 0))", lambda w, **_: np.pad(w, 1) + np.pad(w, (2, 0))),
    ("np.average(X, axis=0, weights=y[:, None])", lambda X, y, **_: y @ X / y.sum()),
    ("np.average(y, weights=y) + np.average(y)", lambda y, **_: y @ y / y.sum() + y.mean()),
    ("np.linspace(-1, 1, n)*y", lambda y, **_: np.linspace(-1, 1, 3) * y),
    ("X.mean((0, 1)) + X.sum((0,))", lambda X, **_: X.mean() + X.sum(0)),
    ("X.reshape(-1)", lambda X, **_: X.reshape(-1)),
    ("T.reshape(n, -1) + np.reshape(T, (n, i*j))", lambda T, **_: 2 * T.reshape(3, -1)),
    ("T.reshape(n*i, j)", lambda T, **_: T.reshape(-1, T.shape[2])),
    ("T.reshape(j, n, i)", lambda T, **_: T.reshape(T.shape[2], 3, -1)),
    ("np.ravel(X) + X.view(i*n)", lambda X, **_: 2 * X.ravel()),
    ("w.reshape(-1, 1) + w.reshape(1, i, 1)[0]", lambda w, **_: 2 * w[:, None]),
    ("X.reshape(1, n, i, 1).reshape(X.shape)", lambda X, **_: X),
    ("kron(X, V).reshape(n, i, i, j)", lambda X, V, **_: np.einsum("ni,kj->nkij", X, V)),
    ("np.concatenate([X, X], axis=1).reshape(n, 2, i)[:, 1]", lambda X, **_: X),
    ("X[np.arange(n), t]", lambda X, t, **_: X[np.arange(3), t]),
    ("T[range(n), t, 1] + T[arange(n), t, 1:][:, 0]", lambda T, t, **_: 2 * T[np.arange(3), t, 1]),
    ("T[np.arange(n)[:, None], t[:, None], range(j)]", lambda T, t, **_: T[np.arange(3), t]),
    ("arange(n)*y + np.arange(1, n + 1)", lambda y, **_: np.arange(3) * y + np.arange(1, 4)),
    ("[arange(n)[:, None] >= arange(n)]*A", lambda A, **_: np.tril(A)),
    ("V[t, 1] + V[u, 0]", lambda V, t, u, **_: V[t, 1] + V[u, 0]),
    ("w[t] + t*t", lambda w, t, **_: w[t] + t * t),
    ("np.concatenate([X, Y], axis=1)", lambda X, Y, **_: np.concatenate([X, Y], axis=1)),
    ("np.concatenate((y, w))", lambda y, w, **_: np.concatenate([y, w])),
    ("a * [1, 2, 3] + [[1], [2]]", lambda a, **_: a * np.array([1, 2, 3]) + np.array([[1], [2]])),
    # indices
    ("sum(n, y[n]*index(n)/n)", lambda y, **_: y @ np.arange(3) / 3),
    ("sum(p, q, [p > q and p != 2], X[q, p])", lambda X, **_: X[0, 1] + X[0, 3] + X[1, 3] + X[2, 3]),
    ("max(p, sum(q, X[p, q]))", lambda X, **_: X.sum(1).max()),
    ("mean(p, [p > 0], y[p])", lambda y, **_: y[1:].mean()),
    ("sum(p < 2, y[p + 1])", lambda y, **_: y[1:].sum()),
    ("sum(p, y[p]*sum(q, [q < p], y[q]))", lambda y, **_: y[1] * y[0] + y[2] * (y[0] + y[1])),
    ("sum(p < n, [p >= 1]*sum(q, X[p - 1, q]))", lambda X, **_: X[:2].sum()),
    ("sum(p, [w[t[p]] > 0]*w[t[p]])", lambda w, t, **_: np.maximum(w[t], 0).sum()),
    ("sum(p, q, r, T[p, q, r]*[q == t[p]])", lambda T, t, **_: sum(T[p, t[p]].sum() for p in range(3))),
]

EQUATIONS: list[tuple[str, Callable[..., Any]]] = [
    ("z[q, p] = sum(r, X[p, r]*V[r, q])", lambda X, V, **_: (X @ V).T),
    ("z[p] = A[p, p]", lambda A, **_: np.diag(A)),
    ("z[-1] = 1; z[p] = z[p - 1]*y[n - 1 - p]; f = z[n - 1]", lambda y, **_: y.prod()),
    ("z[p] = w[p] + w[i - 1 - p]", lambda w, **_: w + w[::-1]),
    ("z[p] = sum(q < 2, w[p + q])", lambda w, **_: w[:-1] + w[1:]),
    ("z[p] = w[2*p] + w[2*p + 1]", lambda w, **_: w[::2] + w[1::2]),
    ("z[p, 2*g + f] = X[p, g + 2*f], g < 2, f < 2", lambda X, **_: X[:, [0, 2, 1, 3]]),
    ("z[p < 2, q] = X[p + 1, q]", lambda X, **_: X[1:]),
    ("z[p] = w[p//2], p < 2*i", lambda w, **_: w.repeat(2)),
    ("z[p] = [p % 2 == 1]*w[p]", lambda w, **_: w * [0, 1, 0, 1]),
    ("z[0] = a; z[1] = 2*a", lambda a, **_: np.array([a, 2 * a])),
    ("z[2*p] = w[p]; z[2*p + 1] = -w[p]", lambda w, **_: np.stack([w, -w], 1).ravel()),
    ("z[p] = w[p]; z[q + i] = y[q]", lambda w, y, **_: np.concatenate([w, y])),
    ("z[0, p] = w[p]; z[1, p] = 1", lambda w, **_: np.stack([w, w * 0 + 1])),
    ("z: zeros[2*i + 1]; z[2*p + 1] += w[p]; z[p] += 1",
     lambda w, **_: 1 + np.append(np.stack([0 * w, w], 1), 0)),
    ("z: zeros[n, n]; z[p, p] = y[p]", lambda y, **_: np.diag(y)),
    ("z: zeros[i]; z[t[p]] += y[p]", lambda y, t, **_: np.bincount(t, y, 4)),
    ("z: zeros[i]; z[p - 1] += [p >= 1]*w[p]", lambda w, **_: np.append(w[1:], 0)),
    ("z: zeros[n, i]; z += w; z += X", lambda w, X, **_: w + X),
    ("z: zeros; z += sum(w); z += a", lambda w, a, **_: w.sum() + a),
    ("z[p] = softmax(X[p, :])[0]", lambda X, **_: softmax(X)[:, 0]),
    ("z[p, q] = softmax(p, X[p, q])", lambda X, **_: softmax(X.T).T),
    ("z[q] = logsumexp(p, X[p, q] + y[p])", lambda X, y, **_: np.log(np.exp(X + y[:, None]).sum(0))),
    ("z[p, q] = softmax(q, [q <= p], S[p, q])", lambda S, **_: (e := np.tril(np.exp(S))) / e.sum(1)[:, None]),
    ("z[p] = logsumexp(q, [q < p + 1], [X[p, q] > 0 or q == 0], X[p, q])",
     lambda X, **_: np.log((np.tril(np.exp(X)) * ((X > 0) | (np.arange(4) == 0))).sum(1))),
    ("z[p] = X[p, :] @ w", lambda X, w, **_: X @ w),
    ("z[p] = leaky_relu(y[p] - 1, negative_slope=0.1)", lambda y, **_: np.where(y > 1, y - 1, 0.1 * (y - 1))),
    ("def sq(x): return x*x\nz = sq(sq(X) + 1)", lambda X, **_: (X * X + 1) ** 2),
    ("def centre(x: [..., k]):\n m[...] = mean(j, x[..., j])\n return x[..., k] - m[...]\nz = centre(T)",
     lambda T, **_: T - T.mean(-1, keepdims=True)),
    ("def pick(x: [..., k], r): return x[..., r]\nz = pick(X, 2)", lambda X, **_: X[:, 2]),
    ("def either(x, fast=True, how=None): return x if fast and how is None else -x\nz = either(X, how='a')",
     lambda X, **_: -X),
    ("def both(x: [p, q], s: [q, r]): return sum(q, x[p, q]*s[q, r])\nz = both(X, V)",
     lambda X, V, **_: X @ V),
    ("def halves(x: [2*h]): return sum(p < h, x[p + h])\nz = halves([1, 2, 4, 8])", lambda **_: 12),
    ("def at(x: [p, q], where: (a, b)): return x[a, b]\nz = at(X, (2, 1))", lambda X, **_: X[2, 1]),
    ("def at(x: [p, q], where: (a, b)): return x[a, b]\nz = at(X, 1)", lambda X, **_: X[1, 1]),
    ("def plus(x: [..., p], a=2, b=3*a): return a*x + b\nz = plus(X, 5)", lambda X, **_: 5 * X + 15),
    ("def kept(x: [p, q], mask: [p, q] = 1): return x*mask\nz = kept(X, w) + kept(X)", lambda X, w, **_: X * w + X),
    ("def many(t: label[p] < k): return k\nz = many(t)", lambda **_: 4),
    ("def pairs(x: [p, q]):\n z[a*q + b] = x[a, b]\n return z\nz = pairs(X)", lambda X, **_: X.ravel()),
    ("def twice(x: [p]):\n z[2*a + b] = x[a], b < 2\n return z\nz = twice(w)", lambda w, **_: np.repeat(w, 2)),
    ("def late(x: [..., p]):\n z: zeros[..., p + 2]\n z[..., a + 2] += x[..., a]\n return z\nz = late(X)",
     lambda X, **_: np.pad(X, ((0, 0), (2, 0)))),
    ("def sums(x: [p]):\n z: zeros[p + 2]\n z[a + 2] += x[a]\n z[a] += 2*x[a]\n return z\nz = sums(w)",
     lambda w, **_: np.pad(2 * w, (0, 2)) + np.pad(w, (2, 0))),
    ("def f(x: [p], s):\n assert s <= p, 'no'\n return x[s - 1] if s > 1 else x[0]\nz = f(w, 2)", lambda w, **_: w[1]),
    ("m = X.max(axis=1, keepdims=True); z = X - m + m.T[0, 1]*m[:, 0][:, None]",
     lambda X, **_: X + (X.max(1)[1] - 1) * X.max(1)[:, None]),
    ("z = X.max(axis=1, keepdims=True)", lambda X, **_: X.max(1)[:, None]),
    ("p, q = np.split(X, 2, axis=1); z = p*q", lambda X, **_: X[:, :2] * X[:, 2:]),
    ("p, q = w[1:], w[:-1]; z = p*q", lambda w, **_: w[1:] * w[:-1]),
    ("z[n, k] = 2*[t[n] == k] + 1", lambda t, **_: 2 * np.eye(4)[t] + 1),
    ("k0 = 2; z = w[k0] + k0", lambda w, **_: w[2] + 2),
    ("z[r] = sum(p, [w[p] > 0]*log(w[p]))*y[r]", lambda w, y, **_: np.log(w[w > 0]).sum() * y),
]  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), MEANS, ids=[text for text, _ in MEANS])
def test_formula_means(text: str, meant: Callable[..., Any]) -> None:
    got, inputs = value(D + text)
    np.testing.assert_allclose(got, meant(**inputs), rtol=1e-12, atol=1e-12)
    assert got.shape == np.shape(meant(**inputs))


@pytest.mark.parametrize(("text", "meant"), EQUATIONS, ids=[text for text, _ in EQUATIONS])
def test_equation_means(text: str, meant: Callable[..., Any]) -> None:
    got, inputs = value(D + text)
    np.testing.assert_allclose(got, meant(**inputs), rtol=1e-12, atol=1e-12)
    assert got.shape == np.shape(meant(**inputs))


@pytest.mark.parametrize("text", [text for text, _ in MEANS + EQUATIONS])
def test_reads_back(text: str) -> None:
    check_reads_back(read(D + text))


@pytest.mark.parametrize("text", [text for text, _ in MEANS + EQUATIONS])
def test_axes_and_tensors_are_told_apart(text: str) -> None:
    program = read(D + text)
    for s in program.statements:
        assert len(dict(s.axes)) == len(s.axes)
        assert all(a.isidentifier() and a not in program.tensors for a, _ in s.axes)
        assert [a for a, _ in s.axes] == [*s.kept, *s.reduced]


# ---------------------------------------------------------------------- programs


def test_statements_of_least_squares() -> None:
    program = read("X: data[n, i]; y: data[n]; w: weight[i]\nloss = mean((X @ w - y)**2)")
    assert [str(s) for s in program.statements] == [
        "loss_1[n] = sum(i, X[n, i]*w[i])",
        "loss = sum(n, (loss_1[n] - y[n])**2/n)",
    ]
    assert (program.target, program.sizes) == ("loss", ("n", "i"))
    assert [text for _, text in program.needs] == ["loss takes a mean over n, which has no entries"]
    assert [t.named for t in program.tensors.values()] == [True, True, True, False, True]


def test_a_whole_right_side_needs_no_part() -> None:
    for right in ("sum(i, x[n, i]*W[i, j])", "-2*sum(i, x[n, i]*W[i, j])/m", "max(i, x[n, i]*W[i, j])"):
        (statement,) = read(f"x: data[n, i]; W: weight[i, j]; M: data[m]\nz[n, j] = {right}").statements
        assert (statement.kept, statement.reduced) == (("n", "j"), ("i",))
    assert len(read("x: data[n, i]; W: weight[i, j]\nz = -x @ W/3").statements) == 1


def test_equal_parts_are_written_once() -> None:
    shifted = "exp(z[n, {}] - held(max(j, z[n, j])))"
    program = read(f"z: data[n, k]\np[n, k] = {shifted.format('k')}/sum(j, {shifted.format('j')})")
    assert [s.op for s in program.statements] == ["max=", "+=", "="]


def test_layers_declare_and_number_their_weights() -> None:
    layers = "h = dense(tanh(dense(x, 16)), 2); y = dense(h, 3, bias=False)"
    program = read(f"x: data[n, 7]\n{layers}\nloss = sum(y) + sum(W1**2)")
    assert [(t.name, str(t.shape)) for t in program.role("weight")] == [
        ("W1", "(7, 16)"), ("b1", "(16,)"), ("W2", "(16, 2)"), ("b2", "(2,)"), ("W3", "(2, 3)"),
    ]  # fmt: skip
    assert {s.label for s in program.statements} == {"dense", ""}
    assert program["W1"].label == "dense"
    layers = "h = dense(x, 4, name='enc'); z = dense(h, 3)"
    named = read(f"x: data[n, 7]; W1: weight[7]\n{layers}\nloss = sum(z) + sum(x @ W1)")
    assert [t.name for t in named.role("weight")] == ["W1", "enc_W", "enc_b", "W2", "b2"]


def test_the_weights_of_a_layer_with_a_name_are_used_again() -> None:
    tied = "a = dense(x, 4, name='enc'); b = tanh(dense(y, 4, weights='enc')); loss = sum(a*b)"
    program = read(f"x: data[n, 3]; y: data[n, 3]\n{tied}")
    assert [t.name for t in program.role("weight")] == ["enc_W", "enc_b"]
    assert ("enc_W" in program.statements[0].reads) and ("enc_W" in program.statements[2].reads)
    given = arrays(program)
    by_hand = [given[x] @ given["enc_W"] + given["enc_b"] for x in "xy"]
    found = reference.run(program, SIZES, given)["loss"]
    np.testing.assert_allclose(found, np.sum(by_hand[0] * np.tanh(by_hand[1])), rtol=1e-12)
    assert "enc_W: weight[3, 3]" in str(
        read("x: data[n, 3]\ndense(dense(x, 3, name='enc'), 3, weights='enc')")
    )


def test_a_layer_made_of_layers_has_a_name_too() -> None:
    block = "def block(x, m): return dense(dense(tanh(dense(x, m, name='up')), m), m)"
    tied = "a = block(x, 4, name='enc'); b = block(a, 4); c = block(y, 4, weights='enc')"
    program = read(f"{block}\nx: data[n, 3]; y: data[n, 3]\n{tied}\nloss = sum(a*c) + sum(b)")
    stems = ["enc_up_W", "enc_W1", "enc_W2", "up1_W", "W1", "W2"]
    names = [x for stem in stems for x in (stem, stem.replace("W", "b"))]
    assert [t.name for t in program.role("weight")] == names
    assert str(program).count("*enc_up_W[") == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("b = dense(y, 4, weights='end')", "no layer is called end; did you mean 'enc'?"),
        (
            "b = dense(y, 4, name='enc')",
            'two layers are called enc; to use its weights again, write weights="enc"',
        ),
        ("b = dense(y, 5, weights='enc')", "enc_W is [3, 4], and [3, 5] is needed here"),
        ("b = other(y, weights='enc')", "enc is a dense, whose weights are no weights of other"),
        ("b = dense(y, 4, weights='enc', name='dec')", "not both"),
        ("b = dense(y, 4, weights=enc)", 'a layer\'s name is a word in quotes: weights="enc"'),
        (
            "c = dense(y, 4, False, name='c'); b = dense(y, 4, weights='c')",
            "c has no weight c_b to use again",
        ),
    ],
)
def test_weights_that_cannot_be_used_again(line: str, said: str) -> None:
    other = "def other(x: [..., i]):\n    W: weight[i]\n    return x*W"
    with pytest.raises(SymgradError, match=re.escape(said)):
        read(
            f"{other}\nx: data[n, 3]; y: data[n, 3]\na = dense(x, 4, name='enc'); {line}; loss = sum(a) + sum(b)"
        )


def test_dots_in_a_definition_are_indices_where_entries_are_spoken_of() -> None:
    by_index = """
        def f(x: [..., i]):
            s[...] = sum(i, x[..., i])
            return x[..., i]*s[...]
    """
    by_array = """
        def f(x: [..., i]):
            s = sum(x[..., :i], axis=-1)[..., None]
            return x*s
    """
    for by in (by_index, by_array):
        found, given = value(f"{inspect.cleandoc(by)}\nx: data[n, k, 4]\ny = f(x)")
        np.testing.assert_allclose(found, given["x"] * given["x"].sum(-1, keepdims=True), rtol=1e-12)
    steps, given = value("def f(x: [..., i]): return x[..., 1:] - x[..., :i - 1]\nx: data[n, k, 4]\ny = f(x)")
    np.testing.assert_allclose(steps, np.diff(given["x"]), rtol=1e-12)
    first, given = value("def f(x: [..., i]): return sum(x[..., 0]*2)\nx: data[n, k, 4]\ny = f(x)")
    np.testing.assert_allclose(first, 2 * given["x"][..., 0].sum(), rtol=1e-12)


def test_lines_and_labels_tell_where_a_statement_comes_from() -> None:
    program = read("x: data[n, k]\n\np = softmax(x)\nloss = sum(p)")
    assert [s.line for s in program.statements] == [3, 3, 3, 3, 4]
    assert {s.label for s in program.statements[:4]} == {"softmax"}
    assert (program["p"].named, program["p"].label) == (True, "softmax")
    assert not any(program[s.out].named for s in program.statements[:3])


def test_the_users_definition_wins() -> None:
    assert "tanh" in str(read("def dense(x): return tanh(x)\nx: weight[n]; y = dense(x)"))


def test_definitions_are_chosen_by_their_arguments() -> None:
    for target in ("t: label[n] < 10", "t: data[n, 10] & distribution"):
        assert read(f"z: weight[n, 10]; {target}\nloss = softmax_cross_entropy(z, t)").target == "loss"


def test_target() -> None:
    assert read("x: weight\nloss = x**2\ny = 2*loss").target == "loss"
    assert read("x: weight\nh = x**2\ny = 2*h").target == "y"
    assert read("x: weight\nh = x**2\n2*h").target == "value"
    assert read("x: weight\nh = x**2\nk = 2*h\nh").target == "h"


def test_given_sizes() -> None:
    program = read("x: data[n, k]\ny = mean(x) + n", {"n": 12})
    assert program.sizes == ("k",)
    assert str(program["x"].shape) == "(12, k)"
    assert [a for a, _ in program.statements[0].axes] == ["n", "k"]
    for sizes in ({"q": 3}, {"n": 0}, {"n": 2.5}, {"n": True}):
        with pytest.raises(SymgradError):
            read("x: data[n]\ny = sum(x)", sizes)  # type: ignore[arg-type]


def test_facts_and_starts() -> None:
    text = """
    p: 0 < data[n] < 1
    q: data[n, k] >= 0 & distribution
    A: weight[n, n] & symmetric = normal(0.1)
    b: weight = -0.5
    W: weight[n, 3*k] = uniform(-1, 1)
    """
    program = read(text + "loss = p @ A @ p + b*sum(q) + sum(W)")
    facts = [program[t].facts for t in "pqA"]
    assert (facts[0].low, facts[0].high, facts[0].strict_low, facts[0].strict_high) == (0, 1, True, True)
    assert facts[1].distribution
    assert facts[2].symmetric
    assert [program[t].start for t in "AbW"] == [("normal", 0.1), (-0.5,), ("uniform", -1, 1)]
    check_reads_back(program)


def test_needs_are_sentences_about_sizes() -> None:
    program = read("x: data[h]; w: weight[k]\ny[i] = sum(p, x[2*i + p]*w[p])\nloss = sum(y**2)")
    assert [str(need) for need, _ in program.needs] == ["(h - k)//2"]
    assert read("x: data[7]; w: weight[3]\ny[i] = sum(p, x[2*i + p]*w[p])")["y"].shape[0].number == 3


# ---------------------------------------------------------------------- what a text is refused for

E = "X: data[n, i]; y: data[n]; w: data[i]; A: data[m, k]; u: data[k]; S: data[n, n]; t: label[n] < i\n"

REFUSED: list[tuple[str, str]] = [
    ("X @ y", "the inner sizes i and n differ; X.T @ y would fit"),
    ("X + y", r"y\[:, None\]"),
    ("S @ y**2 @ A", "differ"),
    ("A * X", "the sizes k and i differ|the sizes m and n differ|differ"),
    ("A * u[:, None]", "A @ .* would fit|differ"),
    ("sum(i, X[n, i]*w[i])", "n is a size here"),
    ("sum(i, [y > 0], w[i])", "a condition in sum is about one entry"),
    ("X[0, 1, 2]", "it has 2 axes, and 3 indices"),
    ("w[-1]", r"the last is w\[i - 1\]"),
    ("w[-1]", "a negative position is no entry from the end"),
    ("w.T", "a vector has no transpose"),
    ("x**2", "x is not declared"),
    ("sum(w)^2", r"x\*\*2"),
    ("2w", r"2\*w"),
    ("3(w + 1)", r"3\*\("),
    ("|w|", r"abs\(w\)"),
    ("Xᵀ @ y", r"X\.T"),
    ("X^T @ y", r"X\.T"),
    ("w²", r"w\*\*2"),
    ("sum(w[w > 0])", "bracket"),
    ("w > 0", r"\[w > 0\]"),
    ("sum(w > 0)", r"\[w > 0\]"),
    ("[w > 0 & w < 1]*w", "`and`"),
    ("lambda x: x", "def f"),
    ("sum(x for x in w)", r"sum\(i, x\[i\]\)"),
    ("for k in w: pass", "no loops"),
    ("reshape(w, 3)", r"w is \[i\], and nothing shows that \[3\] has as many entries"),
    ("reshape(X, m, -1)", "nothing shows how often m goes into the entries of"),
    ("w.view(3)", "write the equation with indices"),
    ("print(w)", "nothing is printed"),
    ("int(w)", "label"),
    ("exq(w)", "did you mean 'exp'"),
    ("sum(w", "never closed"),
    ("S**-1", r"inv\(S\)"),
    ("S**2 @ y", r"S @ S"),
    ("expm(S)", "not part of the language"),
    ("np.linalg.slogdet(S)", "two results; take one"),
    ("y = 3", "cannot be written"),
    ("h = sum(w); h = 2*h", r"`h_1 = 2 \* h`"),
    ("h = sum(w); h += 1", r"`h_1 = h \+ 1`"),
    ("h = h + 1", "a name of its own"),
    ("h[n, s] = tanh(h[n, s - 1]), n < 3, s < 4", r"add its start, `h\[n, -1\] = ...`"),
    ("a[k] = b[k - 1]; b[k] = a[k - 1] + u[k]", "add its start"),
    ("h[-1] = 3", "recurrence"),
    ("h[n < n] = y[n]", "another letter"),
    ("h[j] = 3", "nothing tells how far j runs"),
    ("h[j] = X[n, i]", "n is a size here|nothing tells"),
    ("h[w] = 3", "w is a tensor"),
    ("sum(w, X)", "stands where sum takes"),
    ("sum(p, w[p + 1])*sum(p < i, w[p + 1])", r"reads position i of an axis"),
    ("sum(p, w[p]*y[p])", "runs over i elsewhere|runs over n elsewhere"),
    ("sum(p, sum(q < p, w[q]))", r"\[q < p\]"),
    ("sum(p, p)", r"index\(p\)"),
    ("sum(p, index(p))", "nothing tells how far p runs"),
    ("sum(p, w[p]*p)", r"index\(p\)"),
    ("sum(p, p, w[p])", "bound twice"),
    ("z[p] = y", "with indices on the left it is one entry"),
    ("z[p] = X[p, q]", "nothing tells|q is not|sum"),
    ("z[0] = 1; z[2] = 3", "write each of its entries once"),
    ("z: zeros[n]; z[p] = y[p]; z[p] = 2*y[p]", "at most once"),
    ("z: zeros[n]", "no equation writes z"),
    ("z: zeros[n]; q = z; z[p] += y[p]", "read here, before line"),
    ("q = z; z = 3", "before line 2 writes it"),
    ("v: weight[k]; sum(u)", "v is declared and never used"),
    ("z: dat[n]; sum(z)", "did you mean 'data'"),
    ("z: label[n]; sum(z)", "how many values"),
    ("z: data[n] & foo; sum(z)", "not a known fact"),
    ("z: data[n] & symmetric; sum(z)", "not square"),
    ("z: 1 < data < 0; z", "nothing lies between"),
    ("z: data[0]; sum(z)", "at least 1"),
    ("z: data[n] = 3; sum(z)", "only a weight or a state has a start"),
    ("z: weight[n] = hee(); sum(z)", "did you mean 'he'"),
    ("z: weight[n] = normal(); sum(z)", "one number"),
    ("w: weight", "declared twice"),
    ("exp: weight; exp", "exp is a function"),
    ("def f(x): return f(x)\nf(w)", "recursive"),
    ("def f(x): return q*x\nf(w)", "q is not known in the definition of f"),
    ("def f(x): x\nf(w)", "return"),
    ("def f(x, x): return x\nf(w)", "same name"),
    ("def f(x: [a, b]): return sum(x)\nf(w)", r"w is \[i\], but x has 2 axes"),
    ("def f(x: [a, a]): return sum(x)\nf(X)", "must agree"),
    ("def f(x: label[...]): return x\nf(w)", "integer tensor"),
    ("def f(x, s: (a, b)): return x[a, b]\nf(X, (1, 2, 3))", r"s is one whole number, or 2 of them, \(a, b\), and not"),
    ("def f(x, s: (a, b)): return x[a, b]\nf(X, w)", r"s is one whole number, or 2 of them, \(a, b\), and not w"),
    ("def f(x: [p], k):\n assert k < p, 'of {p} no {k}'\n return x\nf([1, 2, 3], 4)", "in f, of 3 no 4"),
    ("def f(x: [p], k):\n assert k < p, 'no'\n return x\nf(w, w)", "f takes sizes where k < p compares them"),
    ("def f(x: [p]):\n assert x > 0, 'no'\n return x\nf(w)", "f takes sizes where x > 0 compares them, not arrays"),
    ("def f(x): \n assert x\n return x\nf(w)", "what a definition requires is said"),
    ("def f(x: [p]):\n z[2*a] = x[a]\n return z\nf(w)", "nothing shows that"),
    ("def f(x: [p]):\n z[2*a] += x[a]\n return z\nf(w)", "declare the sizes of z before it is added to"),
    ("def f(x: [p]):\n z: zeros[p]\n z[a + 1] += x[a]\n return z\nf(w)", "writes position"),
    ("def f(x: [p] < k): return x\nf(w)", "only a label has a number of values"),
    ("dense(w)", "needs m too"),
    ("dense(w, 3, size=2)", "no option size"),
    ("dense(w, w)", "whole number"),
    ("softmax(3)", "at least 1 axes"),
    ("softmax_cross_entropy(X, y)", "leading axes"),
    ("softmax(q, X[0, q])", "so the left side must have it"),
    ("X[y]", r"`y: label\[n\] < 10`"),
    ("v: label[n] < 9; [1, 2, 3, 4][v]", "reads position 8 of an axis that has 4 entries"),
    ("[1, w]", "a list holds numbers"),
    ("[[1, 2], [3]]", "differ in length"),
    ("(1, 2)", "ranges only"),
    ("1/0", "divides by zero"),
    ("1e999", "too large"),
    ("((2**64)**64)**64", "too many digits"),
    ("1j", "real numbers"),
    ("w.foo", "not known"),
    ("w.shape", r"w\.shape\[0\]"),
    ("sum(w, axis=2)", "no axis 2"),
    ("sum(w, foo=1)", "foo"),
    ("exp(w, w)", "takes 1 argument"),
    ("w(3)", "a tensor, not a function"),
    ("import os", "nothing is imported"),
    ("eval('1')", "never run"),
    ("__import__('os').system('ls')", "two underscores"),
    ("().__class__", "two underscores"),
    ("ﬁ = 3", "write 'fi'"),
    ("x := 3", "`x = ...`"),
    ("", "nothing is computed"),
]


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[text for text, _ in REFUSED])
def test_refused(text: str, words: str) -> None:
    with pytest.raises(SymgradError) as caught:
        read(E + text)
    message = str(caught.value)
    assert re.search(words, message), message
    assert "'" not in message.partition("\n")[0] or not re.search(r"\w'\d", message), message
    lines = message.split("\n")
    if len(lines) == 3:  # the place: the user's own line, underlined
        number = int(re.match(r"line (\d+): ", lines[0])[1])  # type: ignore[index]
        assert lines[1] == "    " + (E + text).splitlines()[number - 1]
        assert re.fullmatch(r"    [ ]*\^+", lines[2])
        assert len(lines[2]) <= max(len(lines[1]), 5)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("y = x", "`x: weight`"),
        ("mean((X @ w - y)**2)", r"`X: data\[n, i\]; w: weight\[i\]; y: data\[n\]`"),
        ("x @ A @ x", r"`x: data\[n\]; A: weight\[n, n\]`"),
        ("sum(i, j, A[i, j]*B[j, i])", r"`A: weight\[i, j\]; B: weight\[j, i\]`"),
    ],
)
def test_a_bare_formula_gets_declarations(text: str, offered: str) -> None:
    with pytest.raises(SymgradError, match=offered) as caught:
        read(text)
    lines = re.search("`(.*)`", str(caught.value))
    assert lines
    read(f"{lines[1]}\n{text}")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "x" + ")" * 5000,
        "+".join(["x"] * 50_000),
        "-" * 50_000 + "x",
        "**".join(["x"] * 3000),
        "x" + ".T" * 5000,
        "x if x > 0 else " * 3000 + "x",
        "@".join(["x"] * 5000),
        "[" + "not " * 5000 + "x > 0]",
        "x*" + "9" * 5000,
        "x*" + "9" * 399,
        "x" * 500_000,
        "x\0",
        "x\ud800",
    ],
    ids=lambda text: text[:8],
)
def test_bounds(text: str) -> None:
    with pytest.raises(SymgradError):
        read("x: weight\ny = " + text)


def test_definitions_cannot_explode() -> None:
    doubling = "\n".join(f"def f{k}(x): return f{k - 1}(x) + f{k - 1}(2*x)" for k in range(1, 20))
    with pytest.raises(SymgradError, match="without bound"):
        read(f"x: weight\ndef f0(x): return x*x\n{doubling}\ny = f19(x)")


def test_reading_is_linear_in_the_depth() -> None:
    layers = (f"h{k} = relu(dense(h{k - 1}, 16))" for k in range(1, 100))
    lines = ["x: data[n, 16]", "h0 = dense(x, 16)", *layers]
    program = read("\n".join(lines) + "\nloss = mean(h99**2)")
    assert len(program.statements) == 300


# ---------------------------------------------------------------------- any text

TOKEN = re.compile(r"\s+|\w+|\*\*|==|<=|>=|!=|\+=|//|.", re.DOTALL)
TEXTS = [D + text for text, _ in MEANS + EQUATIONS]
WORDS = sorted({token for text in TEXTS for token in TOKEN.findall(text)})


@composite
def mutated(draw: st.DrawFn) -> str:
    """A valid text with a few words taken out, put in or exchanged."""
    tokens = TOKEN.findall(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 4))):
        k = draw(st.integers(0, len(tokens) - 1))
        match draw(st.integers(0, 2)):
            case 0:
                tokens[k] = ""
            case 1:
                tokens[k] = draw(st.sampled_from(WORDS))
            case 2:
                tokens.insert(k, draw(st.sampled_from(WORDS)))
    return "".join(tokens)


@settings(max_examples=200, deadline=None)
@given(st.one_of(mutated(), st.text(max_size=40), st.text("xyij[](){},:;=+-*/@<>! \n0123.'\"", max_size=40)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        program = read(text)
    except SymgradError:
        return
    check_reads_back(program)


# ---------------------------------------------------------------------- random programs


@composite
def formulas(draw: st.DrawFn, shape: tuple[str, ...], depth: int = 3) -> str:
    """A matrix formula of a shape over x[n, i], v[n], w[i], a and V[i, j]."""
    leaves = {("n", "i"): "X", ("n",): "y", ("i",): "w", (): "a", ("i", "j"): "V"}
    if depth == 0 or shape not in leaves:
        return leaves.get(shape, "0.5")
    sub = lambda *s: draw(formulas(s, depth - 1))  # noqa: E731
    forms = [
        lambda: leaves[shape],
        lambda: f"({sub(*shape)} + {sub(*shape)})",
        lambda: f"({sub(*shape)} - {sub()})",
        lambda: f"({sub(*shape)}*{sub(*shape)})",
        lambda: f"({sub(*shape)}/(2 + tanh({sub(*shape)})**2))",
        lambda: f"tanh({sub(*shape)})",
        lambda: f"(-{sub(*shape)})",
        lambda: f"([{sub(*shape)} > 0]*{sub(*shape)})",
        lambda: f"max({sub(*shape)}, {draw(st.sampled_from(['0', '-1/3', '0.25']))})",
    ]
    if shape == ():
        forms += [
            lambda: f"sum({sub('n', 'i')})",
            lambda: f"mean({sub('n')})",
            lambda: f"max({sub('i')})",
            lambda: f"(({sub('i')}) @ ({sub('i')}))",
        ]
    elif shape == ("n",):
        forms += [lambda: f"(({sub('n', 'i')}) @ ({sub('i')}))", lambda: f"logsumexp({sub('n', 'i')})"]
    elif shape == ("i",):
        forms += [lambda: f"mean({sub('n', 'i')}, axis=0)", lambda: f"softmax({sub('i')})"]
    elif shape == ("n", "i"):
        forms += [
            lambda: f"(({sub('n')})[:, None]*({sub('i')}))",
            lambda: f"(({sub('n', 'i')}) @ ({sub('i', 'j')}) @ V.T)",
        ]
    return draw(st.sampled_from(forms))()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([(), ("n",), ("i",), ("n", "i")]).flatmap(formulas))
def test_random_formulas_read_back(text: str) -> None:
    check_reads_back(read("X: data[n, i]; V: data[i, j]; w: data[i]; y: data[n]; a: data\nout = " + text))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('gelu(x, approximate="exact")', 'gelu takes "none" or "tanh" as approximate, not "exact"'),
        ('feed_forward(x, 5, activation="tanhh")', "did you mean 'tanh'"),
        ('elu(x, "a")', "chooses an option"),
    ],
)
def test_words_that_no_option_knows_are_refused(call: str, message: str) -> None:
    with pytest.raises(SymgradError) as problem:
        read_bare(f"x: data[n, 6]; w: weight[6]; loss = sum({call}) + sum(w)", DEFINITIONS)
    assert message in str(problem.value)


def test_an_entry_is_no_array_in_a_definition() -> None:
    text = "def f(x: [..., k]):\n    s = sum(j, x[..., j])\n    return s"
    with pytest.raises(SymgradError, match=r"write `s\[\.\.\.\] = \.\.\.`"):
        read_bare(f"{text}\nx: weight[n, 3]; loss = sum(f(x))", DEFINITIONS)


def test_a_scalar_may_be_one_of_two_arguments() -> None:
    _, g = sg.derive("x: weight[n]; loss = sum(arctan2(x, 2))").function()(x=[1.0, -2.0])
    assert g["x"] == pytest.approx([2/5, 2/8])
