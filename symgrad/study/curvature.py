"""The largest and the least eigenvalue of a Hessian, from its products with vectors: Lanczos' method.

C. Lanczos, "An iteration method for the solution of the eigenvalue problem", 1950; G. Golub and C. Van Loan, "Matrix
Computations", chapter 10. Every new vector is made orthogonal to all before it, twice (W. Kahan and B. Parlett, "twice
is enough"), so that rounding makes no eigenvalue come twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_NOTHING = 1e-13  # of the norm found so far: what is left of a vector is rounding


@dataclass(frozen=True)
class Curvature:
    """The ends of the spectrum of a symmetric matrix.

    Attributes:
        largest: its largest eigenvalue: of a Hessian, the curvature of the loss along `direction`.
        direction: the eigenvector of length 1.
        error: the norm of `matrix @ direction - largest * direction`: an eigenvalue is that near.
        least: the least eigenvalue; negative where the loss bends down.
        least_error: the same bound for it.
        products: how many products with vectors it took.
    """

    largest: float
    direction: np.ndarray
    error: float
    least: float
    least_error: float
    products: int

    @property
    def limit(self) -> float:
        """The largest stable rate of gradient descent: 2/largest; infinity where nothing bends up."""
        return 2 / self.largest if self.largest > 0 else np.inf


def ends(
    product: Callable[[np.ndarray], np.ndarray],
    size: int,
    *,
    seed: int = 0,
    tolerance: float = 1e-8,
    most: int = 200,
) -> Curvature:
    """The largest and the least eigenvalue of a symmetric matrix.

    Args:
        product: the matrix times a vector, both of shape (size,).
        size: of the matrix, at least 1.
        seed: of the vector that it starts from, drawn at random so that no eigenvector is missed.
        tolerance: it ends when `error` is below this part of the largest absolute value.
        most: or after so many products.

    Returns:
        the best that was found; how near it is, is in it. A value that is not finite gives `largest` nan.

    Example:
        >>> A = np.diag([1.0, -2.0, 5.0])
        >>> c = ends(lambda v: A @ v, 3)
        >>> round(c.largest, 9), round(c.least, 9), abs(c.direction).round(9).tolist(), round(c.limit, 9)
        (5.0, -2.0, [0.0, 0.0, 1.0], 0.4)
    """
    q = np.random.default_rng(seed).standard_normal(size)
    q /= np.linalg.norm(q)
    steps = min(most, size)
    basis = np.zeros((steps, size))
    diagonal, beside = np.zeros(steps), np.zeros(steps)
    for k in range(steps):
        basis[k] = q
        z = product(q)
        if not np.isfinite(z).all():
            return Curvature(np.nan, q, np.inf, np.nan, np.inf, k + 1)
        diagonal[k] = q @ z
        for _ in range(2):
            z = z - basis[: k + 1].T @ (basis[: k + 1] @ z)
        beside[k] = np.linalg.norm(z)
        inner = beside[:k]
        values, vectors = np.linalg.eigh(np.diag(diagonal[: k + 1]) + np.diag(inner, 1) + np.diag(inner, -1))
        scale = np.abs(values).max()
        errors = beside[k] * np.abs(vectors[-1])
        if beside[k] <= _NOTHING * scale or errors[-1] <= tolerance * scale:
            break
        q = z / beside[k]
    direction = basis[: k + 1].T @ vectors[:, -1]
    return Curvature(
        float(values[-1]), direction, float(errors[-1]), float(values[0]), float(errors[0]), k + 1
    )
