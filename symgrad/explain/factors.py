"""Products of formulas of matrices: numbers in front, transposes pushed through, factors joined."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction

from symgrad.explain.formula import (
    ONE,
    ONES,
    Extent,
    Formula,
    Number,
    Power,
    Product,
    Quotient,
    Sum,
    Transpose,
    children,
    minus,
    plus,
    times,
)  # fmt: skip


def gathered(terms: Sequence[Formula]) -> Formula:
    """The sum of formulas, equal ones once with their number."""
    counts: dict[Formula, int] = {}
    for t in terms:
        counts[t] = counts.get(t, 0) + 1
    return plus(*(t if n == 1 else scaled(Number(Fraction(n)), t) for t, n in counts.items()))


def scaled(number: Formula, array: Formula) -> Formula:
    """A number times an array; no brackets around a matrix product, for `c*A @ B` is `c*(A @ B)`."""
    if array == ONE:
        return number
    if isinstance(array, Product) and array.kind in ("matmul", "hadamard"):
        return Product((number, array), "scaled")
    if isinstance(array, Product) and array.kind == "scaled":
        return Product((times(number, array.factors[0]), array.factors[1]), "scaled")
    return times(number, array)


def matmul(*factors: Formula, strict: bool = True) -> Formula:
    """A matrix product, signs and numbers in front. `strict`: of matrices and columns, so that brackets do
    not matter."""
    scalars: list[Formula] = []
    arrays: list[Formula] = []
    negative = False
    for factor in factors:
        less, number, f = _apart(factor)
        negative ^= less
        scalars += () if number == ONE else (number,)
        arrays.append(f)
    flat: list[Formula] = []
    for k, f in enumerate(arrays):
        flat += f.factors if isinstance(f, Product) and f.kind == "matmul" and (strict or not k) else (f,)
    product: Formula = Product(tuple(flat), "matmul")
    if scalars:
        product = Product((times(*scalars), product), "scaled")
    return minus(product) if negative else product


def _apart(f: Formula) -> tuple[bool, Formula, Formula]:
    """An array as a sign, a number and what these stand before."""
    negative = False
    if isinstance(f, Sum) and len(f.terms) == 1:
        negative, f = f.terms[0]
    if isinstance(f, Product) and f.kind == "scaled":
        return negative, f.factors[0], f.factors[1]
    if isinstance(f, Product) and f.kind == "times" and _plain(f.factors[0]):
        return negative, f.factors[0], times(*f.factors[1:])
    return negative, ONE, f


def pushed_through(f: Formula, linear: Callable[[Formula], Formula]) -> Formula:
    """What is linear in an array, with the array's sign and number before it."""
    negative, number, array = _apart(f)
    if isinstance(array, Quotient) and number == ONE and _plain(array.bottom):
        done: Formula = replace(array, top=pushed_through(array.top, linear))
    else:
        done = linear(array) if number == ONE else scaled(number, linear(array))
    return minus(done) if negative else done


def transposed(f: Formula) -> Formula:
    """The transpose, inside products and off ones."""
    if isinstance(f, Transpose):
        return f.a
    if _apart(f)[:2] != (False, ONE):
        return pushed_through(f, transposed)
    if isinstance(f, Product) and f.kind == "matmul":
        return Product(tuple(transposed(x) for x in reversed(f.factors)), "matmul")
    return Transpose(f)


def axis_first(k: str, turned: str) -> str:
    """`n is the first axis of X, hence Xᵀ` for `in X it is the first axis, hence Xᵀ`."""
    found = re.fullmatch(r"in (.*) it is the (\w+) axis, hence (.*)", turned)
    return (
        f"{k} is the {found[2]} axis of {found[1]}, hence {found[3]}" if found else f"{k} is summed; {turned}"
    )


def is_simple(f: Formula) -> bool:
    return not isinstance(f, (Product, Quotient))


def count_of_ones(f: Formula) -> int:
    """How often the vector of ones stands in a formula: many of them hide what happens."""
    return (f == ONES) + sum(map(count_of_ones, children(f)))


def _plain(f: Formula) -> bool:
    """Whether a formula is a number for sure."""
    match f:
        case Number() | Extent():
            return True
        case Quotient(top, bottom) | Power(top, bottom):
            return _plain(top) and _plain(bottom)
        case Product(factors, "times"):
            return all(map(_plain, factors))
        case Sum(terms):
            return all(_plain(t) for _, t in terms)
    return False
