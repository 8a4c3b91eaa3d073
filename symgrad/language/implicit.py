"""The implicit operations: results that an equation defines and no scalar body gives, such as `A @ X = I`.

A statement `X[i, j] inv= A[i, j]` has the name of its operation for an operator, and for a body a call whose arguments
are entries of whole tensors. All that is known of an operation is a row of `IMPLICIT`: its letters, how NumPy computes
it, and its differential, in the language's own index equations. The chain rule applies to the latter like to every
body: the `terms` are scalar bodies whose derivatives by an entry of an operand, times what they are summed with, are
what that entry's adjoint receives. For `inv` and `solve` they are the defining equation times the multiplier `L`, which
solves the transposed system.

The functions here are also the source of the helpers that generated code carries. Each takes stacks of matrices, as
NumPy does, and complex arguments with a small imaginary part, so that complex steps pass through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from symgrad.language.expr import Access, Call

if TYPE_CHECKING:
    from symgrad.language.program import Statement

# ---------------------------------------------------------------------- computed by NumPy


def logdet(a: np.ndarray) -> Any:
    """log|det a|; of a complex matrix the analytic function that it is on the reals."""
    sign, value = np.linalg.slogdet(a)
    return value + np.log(sign * np.where(np.real(sign) < 0, -1, 1)) if np.iscomplexobj(a) else value


def cofactor(a: np.ndarray) -> Any:
    """The matrix of cofactors, the gradient of det: of a singular matrix too."""
    if np.iscomplexobj(a):
        return np.linalg.det(a)[..., None, None] * np.swapaxes(np.linalg.inv(a), -1, -2)
    u, s, vt = np.linalg.svd(a)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1, s[..., None, :])
    turn = np.linalg.det(u) * np.linalg.det(vt)
    return turn[..., None, None] * ((u * np.prod(others, axis=-1)[..., None, :]) @ vt)


def minors(a: np.ndarray, b: np.ndarray) -> Any:
    """How the cofactors of a matrix change when it changes by b: the second derivative of det, of any matrix."""
    turned = np.swapaxes(b, -1, -2)
    if np.iscomplexobj(a):
        y, c = np.linalg.inv(a), cofactor(a)
        return np.einsum("...ij,...ji->...", y, b)[..., None, None] * c - c @ turned @ np.swapaxes(y, -1, -2)
    u, s, vt = np.linalg.svd(a)
    m = np.swapaxes(u, -1, -2) @ b @ np.swapaxes(vt, -1, -2)
    same = np.eye(s.shape[-1], dtype=bool)
    rest = np.prod(np.where(same[:, None, :] | same[None, :, :], 1, s[..., None, None, :]), axis=-1)
    rest = np.where(same, 0, rest)
    own = rest @ np.diagonal(m, axis1=-2, axis2=-1)[..., None]
    turn = np.linalg.det(u) * np.linalg.det(vt)
    return turn[..., None, None] * (u @ np.where(same, own, -rest * np.swapaxes(m, -1, -2)) @ vt)


def eigenpairs(a: np.ndarray) -> Any:
    """Eigenvalues of the symmetric part, rising, and unit eigenvectors as columns.

    The pairs of a complex matrix are those of its real part after one Newton step on a v = w v, v.v = 1.
    """
    a = (a + np.swapaxes(a, -1, -2)) / 2
    w, v = np.linalg.eigh(np.real(a))
    if not np.iscomplexobj(a):
        return w, v
    n = a.shape[-1]
    rows = np.swapaxes(v, -1, -2)
    system = np.zeros((*w.shape, n + 1, n + 1), a.dtype)
    system[..., :n, :n] = a[..., None, :, :] - w[..., None, None] * np.eye(n)
    system[..., :n, n] = -rows
    system[..., n, :n] = rows
    short = np.zeros((*w.shape, n + 1), a.dtype)
    short[..., :n] = -np.einsum("...kij,...kj->...ki", system[..., :n, :n], rows)
    step = np.linalg.solve(system, short[..., None])[..., 0]
    return w + step[..., n], v + np.swapaxes(step[..., :n], -1, -2)


def eigvals(a: np.ndarray) -> Any:
    """The eigenvalues of a symmetric matrix, rising."""
    return eigenpairs(a)[0]


def eigvecs(a: np.ndarray) -> Any:
    """Unit eigenvectors of a symmetric matrix as columns, in the order of its eigenvalues, which must all differ."""
    w, v = eigenpairs(a)
    gaps = np.diff(np.real(w), axis=-1)
    smallest = 8 * w.shape[-1] * np.finfo(w.dtype).eps * np.abs(w).max(axis=-1, keepdims=True, initial=0)
    if (gaps <= smallest).any():
        raise np.linalg.LinAlgError(
            "two eigenvalues are equal, and where they meet eigvals has no derivative"
        )
    return v


def norm(a: np.ndarray) -> Any:
    """The Euclidean length along the last axis, scaled so that no square leaves the range of floats."""
    m = np.abs(np.real(a)).max(axis=-1, keepdims=True, initial=0)
    parts = a / np.where((m > 0) & (m < np.inf), m, 1)
    return (m * np.sqrt(np.sum(parts * parts, axis=-1, keepdims=True)))[..., 0]


def frobenius(a: np.ndarray) -> Any:
    """The Euclidean length of all entries of a matrix."""
    return norm(a.reshape(*a.shape[:-2], -1))


# ---------------------------------------------------------------------- the table


@dataclass(frozen=True)
class Implicit:
    """One operation.

    Attributes:
        letters: of its statement's last axes, in this order; the axes before them run over stacks.
        operands: for each operand, the letters of its matrix or vector.
        result: the letters of the result.
        run: how it is computed, of whole stacks.
        latex: with fields for the operands.
        equation: what defines it, in NumPy's operators, for people.
        needs: index equations for what the differential is made of. `A`, `B` are the operands, `X` the result, `dX`
            its adjoint; each equation writes one new tensor.
        terms: the differential: scalar bodies over the letters of the operands and further ones of their own.
        equality: the equation once more, where it is one between arrays.
        change: what it says of small changes, `d(A)`; both are only told.
        symmetric: whether it is defined for symmetric matrices only.
        square: whether all its letters run over one range.
        helpers: the functions that generated code carries for it; none for one of `np.linalg`.
    """

    letters: str
    operands: tuple[str, ...]
    result: str
    run: Callable[..., Any]
    latex: str
    equation: str
    needs: tuple[str, ...]
    terms: tuple[str, ...]
    equality: str = ""
    change: str = ""
    symmetric: bool = False
    square: bool = True
    helpers: tuple[Callable[..., Any], ...] = ()


IMPLICIT: Mapping[str, Implicit] = {
    "inv": Implicit(
        "ij", ("ij",), "ij", np.linalg.inv, "{A}^{{-1}}", "A @ X = I",
        needs=("L[i, k] = sum(j, X[j, i]*dX[j, k])",),
        terms=("-L[i, k]*A[i, j]*X[j, k]",),
        equality="A @ X == I", change="A @ d(X) == -d(A) @ X",
    ),
    "solve": Implicit(
        "ij", ("ij", "i"), "j", np.linalg.solve, "{A}^{{-1}} {B}", "A @ X = B",
        needs=("L = solve(A.T, dX)",),
        terms=("-L[i]*A[i, j]*X[j]", "L[i]*B[i]"),
        equality="A @ X == B", change="A @ d(X) == d(B) - d(A) @ X",
    ),
    "det": Implicit(
        "ij", ("ij",), "", np.linalg.det, r"\det({A})", "det(A)",
        needs=("C = cofactor(A)",),
        terms=("dX*C[i, j]*A[i, j]",),
        change="d(X) == trace(cofactor(A).T @ d(A))",
    ),
    "logdet": Implicit(
        "ij", ("ij",), "", logdet, r"\log \lvert \det({A}) \rvert", "log|det(A)|",
        needs=("Y = inv(A)",),
        terms=("dX*Y[j, i]*A[i, j]",),
        change="d(X) == trace(inv(A) @ d(A))",
        helpers=(logdet,),
    ),
    "cofactor": Implicit(
        "ij", ("ij",), "ij", cofactor, r"\operatorname{{cof}}({A})", "X @ A.T = det(A)*I",
        needs=("Z = minors(A, dX)",),
        terms=("Z[i, j]*A[i, j]",),
        helpers=(cofactor,),
    ),
    "minors": Implicit(
        "ij", ("ij", "ij"), "ij", minors, r"\operatorname{{cof}}'({A}, {B})", "d(cofactor(A)) = X for d(A) = B",
        needs=(
            "Z = minors(A, dX)",
            "Y = inv(A)",
            "C = cofactor(A)",
            "t = sum(i, j, Y[j, i]*B[i, j])",
            "s = sum(i, j, dX[i, j]*C[i, j])",
            "P[i, j] = t*dX[i, j] - sum(k, l, dX[i, k]*Y[k, l]*B[l, j])",
            "U = minors(A, P)",
            "W[i, j] = s*B[j, i] - sum(k, l, dX[k, i]*C[k, l]*B[j, l])",
        ),
        terms=("Z[i, j]*B[i, j]", "U[i, j]*A[i, j]", "-Y[k, i]*W[k, l]*Y[j, l]*A[i, j]"),
        helpers=(cofactor, minors),
    ),
    "eigvals": Implicit(
        "kij", ("ij",), "k", eigvals, r"\lambda({A})", "A @ V = V * X",
        needs=("V = eigvecs(A)",),
        terms=("dX[k]*V[i, k]*A[i, j]*V[j, k]",),
        change="d(X) == diag(eigvecs(A).T @ d(A) @ eigvecs(A))",
        symmetric=True, helpers=(eigenpairs, eigvals),
    ),
    "eigvecs": Implicit(
        "ikj", ("ij",), "ik", eigvecs, r"V({A})", "A @ X = X * eigvals(A), X.T @ X = I",
        needs=(
            "w = eigvals(A)",
            "G[p, k] = sum(i, X[i, p]*dX[i, k])",
            "H[p, k] = [p != k]*(G[p, k] - G[k, p])/(2*(w[k] - w[p]))",
        ),
        terms=("X[i, p]*H[p, k]*A[i, j]*X[j, k]",),
        symmetric=True, helpers=(eigenpairs, eigvecs),
    ),
    "norm": Implicit(
        "i", ("i",), "", norm, r"\lVert {A} \rVert", "X >= 0, X**2 = sum(A**2)",
        needs=("L = [X > 0]*dX/(2*X)",),
        terms=("L*A[i]*A[i]",),
        equality="X**2 == A.T @ A", change="X*d(X) == A.T @ d(A)",
        square=False, helpers=(norm,),
    ),
    "frobenius": Implicit(
        "ij", ("ij",), "", frobenius, r"\lVert {A} \rVert_F", "X >= 0, X**2 = sum(A**2)",
        needs=("L = [X > 0]*dX/(2*X)",),
        terms=("L*A[i, j]*A[i, j]",),
        equality="X**2 == trace(A.T @ A)", change="X*d(X) == trace(A.T @ d(A))",
        square=False, helpers=(norm, frobenius),
    ),
}  # fmt: skip


# what generated code may carry, by name
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f for row in IMPLICIT.values() for f in row.helpers
}

# ---------------------------------------------------------------------- statements


def spoken(op: str) -> str:
    """What the language calls an operation: the lengths of vectors and of matrices by one name."""
    return op if IMPLICIT[op].square else "norm"


def call(s: Statement) -> Call:
    """The body of an implicit statement."""
    assert isinstance(s.body, Call)
    return s.body


def operands(s: Statement) -> tuple[Access, ...]:
    """What an implicit statement is applied to: entries of whole tensors."""
    return call(s).args  # type: ignore[return-value]


def places(s: Statement) -> dict[str, str]:
    """The axis of the statement for each letter of its operation."""
    letters = IMPLICIT[s.op].letters
    return dict(zip(letters, (a for a, _ in s.axes[len(s.axes) - len(letters) :]), strict=True))


def stacked(s: Statement) -> tuple[str, ...]:
    """The axes that run over stacks of matrices, and over the columns of a right-hand side."""
    return tuple(a for a, _ in s.axes[: len(s.axes) - len(IMPLICIT[s.op].letters)])


class Layout(NamedTuple):
    """An implicit statement as NumPy computes it: the axes of each argument and of the result, None for length one.

    The axes before a matrix are aligned from the right, as broadcasting has them.
    """

    args: tuple[tuple[str | None, ...], ...]
    result: tuple[str | None, ...]


def layout(s: Statement) -> Layout:
    """How the arrays of a statement lie for NumPy.

    Of what only a right-hand side has, the last axis is its columns; a stack of vectors becomes one of columns.
    """
    row, at, entries = IMPLICIT[s.op], places(s), operands(s)
    over = stacked(s)
    tail: tuple[str | None, ...] = ()
    if any(len(letters) == 1 for letters in row.operands[1:]):
        extra = [a for a in over if all(a not in i.axes for i in entries[0].index)]
        tail = (extra[-1],) if extra else (None,) if over else ()
        over = tuple(a for a in over if a not in tail)

    def axes(entry: Access, letters: str, more: tuple[str | None, ...]) -> tuple[str | None, ...]:
        own = {a for i in entry.index for a in i.axes}
        before = [a if a in own else None for a in over]
        while before and before[0] is None:
            del before[0]
        return (*before, *(at[x] for x in letters), *more)

    args = tuple(
        axes(e, letters, tail if k else ())
        for k, (e, letters) in enumerate(zip(entries, row.operands, strict=True))
    )
    return Layout(args, (*over, *(at[x] for x in row.result), *tail))


def show(s: Statement) -> str:
    """`X = inv(A)`: the statement as text of the language, without letters where each array stands in its order."""
    if not IMPLICIT[s.op].square:
        (e,) = operands(s)
        along = [k for k, i in enumerate(e.index) if i.axis in places(s).values()]
        chosen = str(along[0] if len(along) == 1 else tuple(along))
        axis = f", axis={chosen}" if len(along) < len(e.index) else ""
        return f"{s.out} = {spoken(s.op)}({e.tensor}{axis})"
    how = layout(s)
    parts = []
    for e, axes in zip(operands(s), how.args, strict=True):
        index, wanted = tuple(i.axis for i in e.index), tuple(a for a in axes if a is not None)
        if index == wanted:
            parts.append(e.tensor)
        elif (*index[:-2], index[-1], index[-2]) != wanted:
            parts.append(str(e))  # in an order that a text has no sign for; it is only told
            continue
        else:
            parts.append(f"{e.tensor}.{'T' if len(index) == 2 else 'mT'}")
        if None in axes and len(index) > 1:  # a stack of vectors, as NumPy takes it: each a column
            parts[-1] += "[..., None]"
    last = "[..., 0]" if parts[-1].endswith("None]") else ""
    return f"{s.out} = {s.op}({', '.join(parts)}){last}"
