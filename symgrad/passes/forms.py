"""Algebra on scalar bodies that the passes share: matching, common factors, size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import prod

from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Bracket, Call, Expr, Mul, Num, Pow
from symgrad.language.ints import Axis, Int
from symgrad.language.program import Statement

Bound = dict[str, Int]
FACTORS = 4  # of a product that is compared with others in any order


def size(e: object) -> int:
    """How many nodes a body has."""
    return len(list(ex.walk(e)))  # type: ignore[arg-type]


def match(pattern: object, e: object, bound: Bound) -> Bound | None:
    """Positions for the axes of `pattern` under which it is `e`, extending `bound`; None if there are none."""
    if isinstance(pattern, Access) and isinstance(e, Access):
        if pattern.tensor != e.tensor:
            return None
        return match_index(pattern.index, e.index, bound)
    if isinstance(pattern, ex.Val) and isinstance(e, ex.Val):
        return match_index((pattern.int,), (e.int,), bound)
    if type(pattern) is not type(e):
        return None
    a, b = ex.children(pattern), ex.children(e)  # type: ignore[arg-type]
    if not a:
        return bound if pattern == e else None
    if len(a) != len(b) or _head(pattern) != _head(e):
        return None
    current: Bound | None = bound
    for x, y in zip(a, b, strict=True):
        current = match(x, y, current) if current is not None else None
    return current


def _head(e: object) -> object:
    return getattr(e, "name", None), getattr(e, "op", None), getattr(e, "kind", None)


def match_index(pattern: tuple[Int, ...], index: tuple[Int, ...], bound: Bound) -> Bound | None:
    if len(pattern) != len(index):
        return None
    bound = dict(bound)
    for p, i in zip(pattern, index, strict=True):
        name = p.axis
        if name is not None and name not in bound:
            bound[name] = i
        elif put(p, bound) != i:
            return None
    return bound


def alike(a: Statement, b: Statement) -> tuple[dict[str, str], Fraction] | None:
    """Letters of `b` for those of `a` under which b's sum is a number times a's, and the number, if there are such.

    Factors may stand in any order; what is summed must be what is summed in the other.
    """
    (m, one), (n, other) = ex.split(a.body), ex.split(b.body)
    left, right = list(factors(one).items()), list(factors(other).items())
    if len(left) != len(right) or len(left) > FACTORS or len(a.axes) != len(b.axes):
        return None
    for bound in _in_any_order(left, right, {}):
        onto = {x: i.axis for x, i in bound.items() if i.axis is not None}
        whole = set(onto) == set(a.ranges) and set(onto.values()) == set(b.ranges)
        same = whole and all(a.ranges[x] == b.ranges[y] for x, y in onto.items())
        if same and {onto[x] for x in a.reduced} == set(b.reduced):
            return onto, n / m
    return None


def bindings(pattern: Expr, e: Expr, bound: Bound) -> Iterator[Bound]:
    """The ways to bind the axes of a product so that it is `e`; factors may stand in any order if they are few."""
    left, right = list(factors(pattern).items()), list(factors(e).items())
    if len(left) <= FACTORS:
        yield from _in_any_order(left, right, bound) if len(left) == len(right) else ()
    elif (found := match(pattern, e, bound)) is not None:
        yield found


def _in_any_order(
    left: list[tuple[Expr, Expr]], right: list[tuple[Expr, Expr]], bound: Bound
) -> Iterator[Bound]:
    """The ways to bind the letters of factors so that they are the other factors."""
    if not left:
        yield bound
        return
    (base, exponent), *rest = left
    for k, (other, power) in enumerate(right):
        found = match(base, other, bound) if exponent == power else None
        if found is not None:
            yield from _in_any_order(rest, right[:k] + right[k + 1 :], found)


def put(i: Int, bound: Bound) -> Int:
    """An integer expression with axes replaced, all at once."""
    return i.substitute({Axis(a): v for a, v in bound.items()})


def placed(e: Expr, bound: Bound) -> Expr:
    """A body with axes replaced, all at once."""
    return ex.substitute(e, {Axis(a): v for a, v in bound.items()})


def swapped(e: Expr, old: Expr, new: Expr) -> Expr:
    """A body with every part that equals `old` replaced."""
    return ex.rewrite(e, lambda x: new if x == old else None)


def factors(e: Expr) -> dict[Expr, Expr]:
    """A product as bases and exponents, in order; a number counts as a base."""
    parts: dict[Expr, Expr] = {}
    for f in e.args if isinstance(e, Mul) else (e,):
        base, exponent = (f.base, f.exponent) if isinstance(f, Pow) else (f, ex.ONE)
        parts[base] = ex.add(parts.get(base, ex.ZERO), exponent)
    return parts


def terms(e: Expr) -> tuple[Expr, ...]:
    return e.args if isinstance(e, Add) else (e,)


def quotient(e: Expr, by: Expr) -> Expr | None:
    """`e/by` if every factor of `by` is a factor of `e`, with no exponent changing its sign."""
    have = factors(e)
    for base, exponent in factors(by).items():
        there = have.get(base)
        if there is None or isinstance(base, Num):
            return None
        if isinstance(base, Bracket):
            del have[base]
            continue
        if there == exponent:
            del have[base]
            continue
        a, b = ex.number(there), ex.number(exponent)
        if a is None or b is None or a * b < 0 or abs(a) < abs(b):
            return None
        have[base] = Num(a - b)
    return ex.mul(*(ex.power(b, x) for b, x in have.items()))


def collect(e: Expr) -> Expr:
    """A sum with what is common to all its terms in front, and a positive term first: `p/n - t/n` is `(p - t)/n`."""
    if not isinstance(e, Add):
        return e
    parts = [factors(ex.split(t)[1]) for t in e.args]
    common: list[Expr] = []
    for base, exponent in parts[0].items():
        if base == ex.ONE or any(base not in p for p in parts):
            continue
        exponents = [ex.number(p[base]) for p in parts]
        if all(p[base] == exponent for p in parts):
            common.append(ex.power(base, exponent))
        elif all(x is not None for x in exponents):
            known = [x for x in exponents if x is not None]
            if all(x > 0 for x in known) or all(x < 0 for x in known):
                common.append(ex.power(base, Num(min(known, key=abs))))
    if all(any(isinstance(f, Bracket) and f not in common for f in p) for p in parts):
        # each term is read under a bracket of its own: what could not be read without it stays there
        common = [f for f in common if isinstance(f, Bracket) or _plain(f)]
    numbers = [ex.split(t)[0] for t in e.args]
    scale = abs(numbers[0]) if all(abs(c) == abs(numbers[0]) for c in numbers) else Fraction(1)
    if all(c < 0 for c in numbers):
        scale = -scale
    inverse = ex.mul(Num(1 / scale), *(ex.power(f, -1) for f in common if not isinstance(f, Bracket)))
    hidden = {f for f in common if isinstance(f, Bracket)}

    def rest(t: Expr) -> Expr:
        kept = [f for f in (t.args if isinstance(t, Mul) else (t,)) if f not in hidden]
        return ex.mul(inverse, *kept)

    inner = sorted(map(rest, e.args), key=lambda t: ex.split(t)[0] < 0)
    return ex.mul(Num(scale), *common, ex.add(*inner))


def _plain(f: Expr) -> bool:
    """Whether a factor is finite and in range wherever its axes run."""
    if isinstance(f, Access):
        return all(i.axis is not None or i.number is not None for i in f.index)
    if isinstance(f, Pow) and isinstance(f.base, Access):
        exponent = ex.number(f.exponent)
        return exponent is not None and exponent > 0 and exponent.denominator == 1 and _plain(f.base)
    return isinstance(f, ex.Val) or not ex.accesses(f) and not ex.axes(f)


def expand(e: Expr, limit: int = 64) -> Expr | None:
    """The sum of products that `e` is, or None beyond `limit` terms."""
    if isinstance(e, Add):
        total: list[Expr] = []
        for t in e.args:
            part = expand(t, limit)
            if part is None:
                return None
            total.extend(terms(part))
        return ex.add(*total) if len(total) <= limit else None
    if isinstance(e, Mul):
        product: list[Expr] = [ex.ONE]
        for f in e.args:
            part = expand(f, limit)
            if part is None or len(product) * len(terms(part)) > limit:
                return None
            product = [ex.mul(a, b) for a in product for b in terms(part)]
        return ex.add(*product)
    if isinstance(e, Pow) and isinstance(e.base, Add) and e.exponent == Num(Fraction(2)):
        return expand(Mul((e.base, Add(e.base.args))), limit) if len(e.base.args) ** 2 <= limit else None
    return e


def products(e: Expr) -> int:
    """How many products `expand` adds up, before like ones are collected."""
    if isinstance(e, Add):
        return sum(map(products, e.args))
    if isinstance(e, Mul):
        return prod(map(products, e.args))
    if isinstance(e, Pow) and isinstance(e.base, Add) and e.exponent == Num(Fraction(2)):
        return products(e.base) ** 2
    return 1


def shortest(*candidates: Expr) -> Expr:
    """The first with the fewest nodes."""
    return min(candidates, key=size)


def cheap(e: Expr) -> bool:
    """Whether a body costs so little that computing it again is no loss: no leaf calls."""
    return not any(isinstance(x, Call) for x in ex.walk(e))


def depends(e: object, names: Iterable[str]) -> bool:
    """Whether a body depends on one of the axes."""
    own = ex.axes(e)  # type: ignore[arg-type]
    return any(a in own for a in names)
