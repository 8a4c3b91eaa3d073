"""The front end: what a text means, what it is refused for, and that a program can be read back from its own text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import composite

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
    assert [(t.name, t.shape, t.role, t.facts, t.below, t.start, t.literal) for t in again.tensors.values()] == sorted(
        ((t.name, t.shape, t.role, t.facts, t.below, t.start, t.literal) for t in program.tensors.values()),
        key=lambda row: list(again.tensors).index(row[0]),
    )
    assert again.target == program.target


# ---------------------------------------------------------------------- what a text means

softmax = lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)  # noqa: E731
sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731

D = """
X: data[n, i]; Y: data[n, i]; V: data[i, j]; A: data[n, n]; T: data[n, i, j]; P: data[n, i, k]
w: data[i]; y: data[n]; a: data; x: data[n] > 0; t: label[n] < i; u: label < 4
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
    ("T[..., 0]", lambda T, **_: T[..., 0]),
    ("y[:, None] * w", lambda y, w, **_: y[:, None] * w),
    ("y[:, np.newaxis] + X[:, 1:2]", lambda y, X, **_: y[:, None] + X[:, 1:2]),
    ("X[n - 1] + X[0]", lambda X, **_: X[-1] + X[0]),
    ("len(X)*y/X.shape[-1] + X.size", lambda y, **_: 3 * y / 4 + 12),
    ("V[t]", lambda V, t, **_: V[t]),
    ("V[t, 1] + V[u, 0]", lambda V, t, u, **_: V[t, 1] + V[u, 0]),
    ("w[t] + t*t", lambda w, t, **_: w[t] + t * t),
    ("np.concatenate([X, Y], axis=1)", lambda X, Y, **_: np.concatenate([X, Y], axis=1)),
    ("np.concatenate((y, w))", lambda y, w, **_: np.concatenate([y, w])),
    ("a * [1, 2, 3] + [[1], [2]]", lambda a, **_: a * np.array([1, 2, 3]) + np.array([[1], [2]])),
    # indices
    ("sum(n, y[n]*index(n)/n)", lambda y, **_: y @ np.arange(3) / 3),
    ("sum(p, q, [p < q and p != 0], X[q, p])", lambda X, **_: sum(X[q, p] for p in range(1, 4) for q in range(3) if p < q)),
    ("max(p, sum(q, X[p, q]))", lambda X, **_: X.sum(1).max()),
    ("mean(p, [p > 0], y[p])", lambda y, **_: y[1:].mean()),
    ("sum(p < 2, y[p + 1])", lambda y, **_: y[1:].sum()),
    ("sum(p, y[p]*sum(q, [q < p], y[q]))", lambda y, **_: sum(y[p] * y[q] for p in range(3) for q in range(p))),
    ("sum(p < n, [p >= 1]*sum(q, X[p - 1, q]))", lambda X, **_: X[:2].sum()),
    ("sum(p, [w[t[p]] > 0]*w[t[p]])", lambda w, t, **_: np.maximum(w[t], 0).sum()),
    ("sum(p, q, r, T[p, q, r]*[q == t[p]])", lambda T, t, **_: sum(T[p, t[p]].sum() for p in range(3))),
]

EQUATIONS: list[tuple[str, Callable[..., Any]]] = [
    ("z[q, p] = sum(r, X[p, r]*V[r, q])", lambda X, V, **_: (X @ V).T),
    ("z[p] = A[p, p]", lambda A, **_: np.diag(A)),
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
    ("z: zeros[2*i + 1]; z[2*p + 1] += w[p]; z[p] += 1", lambda w, **_: 1 + np.array([0, w[0], 0, w[1], 0, w[2], 0, w[3], 0])),
    ("z: zeros[n, n]; z[p, p] = y[p]", lambda y, **_: np.diag(y)),
    ("z: zeros[i]; z[t[p]] += y[p]", lambda y, t, **_: np.bincount(t, y, 4)),
    ("z: zeros[i]; z[p - 1] += [p >= 1]*w[p]", lambda w, **_: np.append(w[1:], 0)),
    ("z: zeros[n, i]; z += w; z += X", lambda w, X, **_: w + X),
    ("z: zeros; z += sum(w); z += a", lambda w, a, **_: w.sum() + a),
    ("z[p] = softmax(q, X[p, q])[0] if False else softmax(X[p, :])[0]", lambda X, **_: softmax(X)[:, 0]),
    ("z[p, q] = softmax(p, X[p, q])", lambda X, **_: softmax(X.T).T),
    ("z[q] = logsumexp(p, X[p, q] + y[p])", lambda X, y, **_: np.log(np.exp(X + y[:, None]).sum(0))),
    ("z[p] = X[p, :] @ w", lambda X, w, **_: X @ w),
    ("z[p] = leaky_relu(y[p] - 1, slope=0.1)", lambda y, **_: np.where(y > 1, y - 1, 0.1 * (y - 1))),
    ("def sq(x): return x*x\nz = sq(sq(X) + 1)", lambda X, **_: (X * X + 1) ** 2),
    ("def centre(x: [..., k]):\n    m[...] = mean(j, x[..., j])\n    return x[..., k] - m[...]\nz = centre(T)",
     lambda T, **_: T - T.mean(-1, keepdims=True)),
    ("def pick(x: [..., k], r): return x[..., r]\nz = pick(X, 2)", lambda X, **_: X[:, 2]),
    ("def either(x, fast=True, how=None): return x if fast and how is None else -x\nz = either(X, how='a')",
     lambda X, **_: -X),
    ("def both(x: [p, q], s: [q, r]): return sum(q, x[p, q]*s[q, r])\nz = both(X, V)", lambda X, V, **_: X @ V),
    ("def halves(x: [2*h]): return sum(p < h, x[p + h])\nz = halves([1, 2, 4, 8])", lambda **_: 12),
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
