"""Implicit statements for random programs: inverses, solutions, determinants, eigenvalues and lengths.

Every matrix that is inverted is far from singular, and the eigenvalues of every symmetric one lie apart.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Call, Cmp, Expr
from symgrad.language.ints import Int

Scope = dict[str, Int]


def implicit(b: Any) -> None:
    """One operation on a matrix, a stack of them, or a vector."""
    op = b.pick(["inv", "solve", "solve", "det", "logdet", "cofactor", "eigvals", "norm", "frobenius"])
    if op in ("norm", "frobenius"):
        length(b, op)
        return
    n = b.size()
    stack = [b.size()] if b.chance(3) else []
    scope = b.letters([*stack, n, n])
    *over, i, j = scope
    size = tuple(scope[a] for a in over)
    matrix = regular(b, scope, over, i, j, symmetric=op == "eigvals")
    place = tuple(map(ints.axis, scope))
    at = tuple(map(ints.axis, over))
    entry = Access(matrix, (*at, ints.axis(j), ints.axis(i)) if b.chance(3) else place)
    axes = scope
    args: tuple[Expr, ...] = (entry,)
    left: tuple[Int, ...] = at
    shape: tuple[Int, ...] = size
    span = (-(4.0**6), 4.0**6)
    if op in ("inv", "cofactor"):
        left, shape = place, (*size, n, n)
        span = (-1.0, 1.0) if op == "inv" else span
    elif op == "logdet":
        span = (0.0, 9.0)
    elif op == "eigvals":
        letter = next(x for x in "rsvz" if x not in scope)
        axes = {**{a: scope[a] for a in over}, letter: n, i: n, j: n}
        left, shape, span = (*at, ints.axis(letter)), (*size, n), (-2.0, 40.0)
    elif op == "solve":
        columns = [b.size()] if b.chance(2) else []
        free = [x for x in "rsvz" if x not in scope]
        more: Scope = dict(zip(free, columns, strict=False))
        own = over if b.chance(2) else []
        right = (*(scope[a] for a in own), n, *columns)
        name = given(b, right)
        rows = (*map(ints.axis, own), ints.axis(i), *map(ints.axis, more))
        args = (entry, Access(name, rows))
        axes = {**{a: scope[a] for a in over}, **more, i: n, j: n}
        left, shape = (*at, ints.axis(j), *map(ints.axis, more)), (*size, n, *columns)
        span = tuple(3 * x for x in b.span[name])
    out = b.tensor("q", shape, span, named=b.chance(2))
    b.write(out, left, op, Call(op, args), axes)
    tamed(b, out)


def length(b: Any, op: str) -> None:
    options = [t for t in b.readable() if len(t.shape) >= (1 if op == "norm" else 2)]
    if not options:
        b.elementwise()
        return
    t = b.pick(options)
    scope = b.letters(list(t.shape))
    letters = list(scope)
    along = [b.pick(letters)] if op == "norm" else letters[-2:]
    over = [a for a in letters if a not in along]
    axes = {**{a: scope[a] for a in over}, **{a: scope[a] for a in along}}
    top = max(map(abs, b.span[t.name])) * 15
    out = b.tensor("q", tuple(scope[a] for a in over), (0.0, top), named=b.chance(2))
    body = Call(op, (Access(t.name, tuple(map(ints.axis, letters))),))
    b.write(out, tuple(map(ints.axis, over)), op, body, axes)
    tamed(b, out)


def regular(b: Any, scope: Scope, over: list[str], i: str, j: str, *, symmetric: bool) -> str:
    """A matrix with a large diagonal: 2 and more beside a row whose entries sum to at most 1."""
    place = tuple(map(ints.axis, scope))
    n = scope[i]
    body, _ = b.body(scope, b.pick([0, 1]))
    small = ex.call("tanh", body) / ex.val(n)
    diagonal = Bracket(Cmp("==", ex.val(ints.axis(i)), ex.val(ints.axis(j))))
    if not symmetric:
        name = b.tensor("a", tuple(scope.values()), (-1.0, 3.0), named=b.chance(2))
        b.write(name, place, "=", diagonal * 2 + small, scope)
        return name
    part = b.tensor("b", tuple(scope.values()), (-1.0, 1.0), named=b.chance(2))
    b.write(part, place, "=", small, scope)
    name = b.tensor("a", tuple(scope.values()), (-1.0, 40.0), named=b.chance(2))
    at = tuple(map(ints.axis, over))
    turned = Access(part, (*at, ints.axis(j), ints.axis(i)))
    body = diagonal * (ex.val(ints.axis(i)) * 3 + 2) + (Access(part, place) + turned) * Fraction(1, 2)
    b.write(name, place, "=", body, scope)
    b.private += [part, name]
    return name


def given(b: Any, shape: tuple[Int, ...]) -> str:
    """A tensor of a certain shape: one that is there, or one more weight."""
    fits = [t.name for t in b.readable() if t.shape == shape]
    return b.pick(fits) if fits else b.tensor("w", shape, (-4.0, 4.0), role="weight")


def tamed(b: Any, name: str) -> None:
    """What is read of a result that may be large: an equation that keeps it small."""
    if max(map(abs, b.span[name])) <= 7:
        return
    b.private.append(name)
    t = b.tensors[name]
    scope = b.letters(list(t.shape))
    place = tuple(map(ints.axis, scope))
    small = b.tensor("y", t.shape, (-1.0, 1.0))
    b.write(small, place, "=", ex.call("tanh", Access(name, place) * Fraction(1, 8)), scope)
