"""What has a name already is called by it: values of the forward run, other adjoints, a softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Add, Bracket, Call, Expr, Mul, Num
from symgrad.language.ints import Int
from symgrad.language.program import Statement, Tensor, within
from symgrad.passes.forms import (
    alike,
    bindings,
    factors,
    match,
    match_index,
    placed,
    quotient,
    swapped,
)
from symgrad.passes.tidy.sheet import Group, Sheet, as_axes, canonical, is_sum, reads_of


def outputs(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """What the forward run has computed is used by its name: 1 - tanh(z)**2 is 1 - a**2."""
    names: dict[str, None] = {}
    here: Mapping[str, Int] = {}

    def known(e: Expr) -> Access | None:
        key, axes = canonical(e)
        s = sheet.bodies.get(key)
        if s is None:
            return None
        bound = dict(zip(canonical(s.body)[1], map(ints.axis, axes), strict=True))
        if not all(
            i.axis in bound and within(bound[i.axis], s.ranges[i.axis], here, sheet.tensors) for i in s.left
        ):
            return None
        names[s.out] = None
        return Access(s.out, tuple(bound[i.axis or ""] for i in s.left))

    def one(e: object) -> Expr | None:
        if not isinstance(e, (Call, ex.Pow, Add, Mul)):
            return None
        value = known(e)
        if value is not None:
            return value
        if isinstance(e, Mul):
            parts = factors(e)
            for b in parts:  # what a bracket hides in a value, it hides here too: the rest is that value
                for f in parts if isinstance(b, Bracket) else ():
                    value = known(ex.mul(b, f)) if isinstance(f, Call) else None
                    if value is not None:
                        return ex.mul(*(ex.power(value if g == f else g, x) for g, x in parts.items()))
            for base in parts:
                if not isinstance(base, Access):
                    continue
                for s in sheet.products.get(base.tensor, ()):
                    found = _product(e, base, s, here, sheet)
                    if found is not None:
                        names[s.out] = None
                        return found
        return None

    new: Group = ()
    for s in group:
        here = s.ranges
        again = _met_again(s, sheet)
        if again is not None:
            names[again.reads[-1]] = None
            new = (*new, again)
        else:
            new = (*new, replace(s, body=ex.rewrite(s.body, one, bottom_up=True)))
    if not names or new == group:
        return None
    was, used = ("was", "is") if len(names) == 1 else ("were", "are")
    return new, f"{', '.join(names)} {was} computed on the way forward and {used} used again."


def _met_again(s: Statement, sheet: Sheet) -> Statement | None:
    """A sum that the forward run has, by its name."""
    for t in sheet.totals.get(reads_of(s), ()) if is_sum(s) else ():
        found = alike(t, s)
        if found is not None:
            onto, times = found
            value = Access(t.out, tuple(i.substitute(as_axes(onto)) for i in t.left))
            kept = s.kept
            return replace(s, body=ex.mul(Num(times), value), axes=tuple(x for x in s.axes if x[0] in kept))
    return None


def _product(e: Expr, base: Access, s: Statement, here: Mapping[str, Int], sheet: Sheet) -> Expr | None:
    """A product that has a forward product among its factors, by that one's name."""
    if any(isinstance(f, Bracket) for f in factors(s.body)):
        return None  # what is left would lose what hides it
    pattern = next(f for f in factors(s.body) if isinstance(f, Access) and f.tensor == base.tensor)
    bound = match(pattern, base, {})
    if bound is None:
        return None
    for f in factors(s.body):  # other factors may bind further axes
        for g in factors(e):
            if not set(ex.axes(f)) <= set(bound):
                bound = match(f, g, bound) or bound
    if not all(
        i.axis in bound and within(bound[i.axis], s.ranges[i.axis], here, sheet.tensors) for i in s.left
    ):
        return None
    rest = quotient(e, placed(s.body, bound))
    return None if rest is None else ex.mul(rest, Access(s.out, tuple(bound[i.axis or ""] for i in s.left)))


def signals(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """An adjoint made of the terms of one that is there is a sum of that one, or a multiple of it: what flows back to a
    bias is the error signal of the layer that it is added to."""
    for k, s in enumerate(group):
        for t in sheet.signals.get(reads_of(s), ()) if s.scan is None else ():
            body = _as_multiple(s, t, sheet)
            if body is not None:
                number, entry = ex.split(body)
                times = "" if body == entry and isinstance(body, Access) else "a multiple of "
                times = "minus " if number == -1 and isinstance(entry, Access) else times
                what = "What is summed" if s.reduced else f"The contribution to {s.out}"
                reason = f"{what} is {times}{t.out}, found above."
                return (*group[:k], replace(s, body=body), *group[k + 1 :]), reason
    return None


def _as_multiple(s: Statement, t: Statement, sheet: Sheet) -> Expr | None:
    """A body as a number or sizes times an entry of the tensor that `t` gives."""
    (one, core), (other, pattern) = _scaled(s.body), _scaled(t.body)
    for bound in bindings(pattern, core, {}):
        if all(
            i.axis in bound and within(bound[i.axis], t.ranges[i.axis], s.ranges, sheet.tensors)
            for i in t.left
        ):
            ratio = ex.mul(one, ex.power(other, -1))
            return ex.mul(ratio, Access(t.out, tuple(bound[i.axis or ""] for i in t.left)))
    return None


def _scaled(e: Expr) -> tuple[Expr, Expr]:
    """The part of a product that depends on nothing but sizes, and the rest; sums in one order and of one sign."""
    parts: list[Expr] = []
    for base, exponent in factors(e).items():
        if isinstance(base, Add) and exponent == ex.ONE and ex.accesses(base):
            ordered = sorted(base.args, key=lambda t: (ex.tensors(t), str(canonical(ex.split(t)[1])[0])))
            sign = -1 if ex.split(ordered[0])[0] < 0 else 1
            parts += [ex.mul(sign, ex.ONE), ex.add(*(ex.mul(sign, t) for t in ordered))]
        else:
            parts.append(ex.power(base, exponent))
    free = [f for f in parts if not ex.accesses(f) and not ex.axes(f)]
    return ex.mul(*free), ex.mul(*(f for f in parts if f not in free))


def shares(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """A positive quantity divided by its own sum is a distribution, and gets a name: softmax's p."""
    for k, s in enumerate(group):
        for e in ex.walk(s.body):
            if not isinstance(e, Mul):
                continue
            for base in factors(e):
                found = _share(e, base, s, sheet) if isinstance(base, Access) else None
                if found is not None:
                    new = replace(s, body=swapped(s.body, e, found[0]))
                    return (*group[:k], new, *group[k + 1 :]), found[1]
    return None


def _share(e: Expr, base: Access, s: Statement, sheet: Sheet) -> tuple[Expr, str] | None:
    writers = sheet.program.writers(base.tensor)
    if len(writers) != 1 or writers[0].op != "+=" or not writers[0].plain or not writers[0].reduced:
        return None
    total = writers[0]
    if not isinstance(total.body, Call) or total.body.name != "exp" or total.guard is not None:
        return None
    bound = match_index(total.left, base.index, {})
    for f in factors(e):
        here = match(total.body, f, bound) if bound is not None else None
        if here is None or not all(within(here[a], n, s.ranges, sheet.tensors) for a, n in total.axes):
            continue
        rest = quotient(e, ex.mul(f, ex.power(base, -1)))
        if rest is None:
            continue
        running = {a for u in sheet.program.statements for a, _ in u.axes}
        name = sheet.fresh(next((x for x in "pPqQ" if x not in running and sheet.fresh(x) == x), "p"))
        ranges = total.ranges
        index = tuple(map(ints.axis, (*total.kept, *total.reduced)))
        shape = tuple(ranges[a] for a in (*total.kept, *total.reduced))
        sheet.add(Tensor(name, shape, "value", label="softmax"))
        body = ex.mul(total.body, ex.power(Access(base.tensor, total.left), -1))
        axes = tuple((a, ranges[a]) for a in (*total.kept, *total.reduced))
        p = Statement(name, index, "=", body, axes, line=total.line, label="softmax")
        sheet.ready.append(p)
        sheet.learn(p)
        place = tuple(here[a] for a in (*total.kept, *total.reduced))
        reason = f"An exponential divided by the sum of its kind is a softmax: it is called {name}."
        return ex.mul(rest, Access(name, place)), reason
    return None
