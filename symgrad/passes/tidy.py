"""Tidy passes: from the statements that the one rule gives to those that a person would write.

Each pass is a function from the writers of one adjoint to other writers of the same value, with the reason, or None
where it has nothing to do. They are tried in the order of `PASSES` until none applies, tensor by tensor from the loss
back, so that the whole is linear in the number of statements. None of them knows a layer or a loss by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Add, Bracket, Call, Cmp, Expr, Mul, Num, Stop, Val
from symgrad.language.implicit import IMPLICIT, operands
from symgrad.language.ints import Axis, Int, Look
from symgrad.language.program import Program, Statement, Tensor, open_parts, within
from symgrad.passes.forms import (
    alike,
    bindings,
    cheap,
    collect,
    depends,
    expand,
    factors,
    match,
    match_index,
    placed,
    products,
    quotient,
    shortest,
    size,
    swapped,
    terms,
)

Group = tuple[Statement, ...]


@dataclass
class Sheet:
    """What a pass may look at: the tensors, the forward statements, and what is known of adjoints done so far."""

    program: Program
    wanted: frozenset[str]
    tensors: dict[str, Tensor]
    reads: dict[str, list[Statement]]
    known: dict[str, Statement] = field(default_factory=dict)  # adjoints to be put in place of their reads
    maybe: dict[str, Statement] = field(
        default_factory=dict
    )  # adjoints to be put in place only where that shortens
    products: dict[str, list[Statement]] = field(
        default_factory=dict
    )  # forward products, by a tensor that they read
    bodies: dict[Expr, Statement] = field(default_factory=dict)  # forward statements by canonical body
    signals: dict[tuple[str, ...], list[Statement]] = field(
        default_factory=dict
    )  # adjoints that are there whole, by what they read
    # statements that an equation defines, forward and for adjoints
    implicit: dict[str, Statement] = field(default_factory=dict)
    totals: dict[tuple[str, ...], list[Statement]] = field(
        default_factory=dict
    )  # forward sums, by what they read
    extra: list[Statement] = field(
        default_factory=list
    )  # to stand before the current group, itself to be tidied
    ready: list[Statement] = field(default_factory=list)  # to stand before the current group as it is

    def fresh(self, stem: str) -> str:
        return self.program.fresh(stem, self.tensors)

    def add(self, t: Tensor) -> None:
        self.tensors[t.name] = t

    def learn_total(self, s: Statement) -> None:
        """Make a forward sum available where the same one is met again."""
        turned = symmetric((s,), self)
        self.totals.setdefault(_read(s), []).append(turned[0][0] if turned else s)

    def learn_signal(self, group: Group) -> None:
        """Make an adjoint available where another one is made of the same terms."""
        s = _everywhere(group, self)
        if s is not None and s.scan is None and len(ex.accesses(s.body)) > 0 and size(s.body) > 1:
            self.signals.setdefault(_read(s), []).append(s)

    def learn(self, s: Statement) -> None:
        """Make a forward statement's value available to later bodies."""
        if isinstance(s.body, (Access, Num, Val, Stop)) or not s.axes and not ex.accesses(s.body):
            return
        self.bodies.setdefault(_canonical(s.body)[0], s)
        if isinstance(s.body, Mul):
            for base in factors(s.body):
                if isinstance(base, Access):
                    self.products.setdefault(base.tensor, []).append(s)
                    break


Pass = Callable[[Group, Sheet], tuple[Group, str] | None]


def substitute(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Adjoints that are only another name, a constant, or a small factor used once, put in place."""
    return put_in(group, sheet.known)


def put_in(group: Group, statements: Mapping[str, Statement]) -> tuple[Group, str] | None:
    """The group with entries of some tensors replaced by what their statements say."""
    names: dict[str, None] = {}

    def one(e: object) -> Expr | None:
        if isinstance(e, Access) and e.tensor in statements:
            known = statements[e.tensor]
            bound = match_index(known.left, e.index, {})
            if bound is not None:
                names[e.tensor] = None
                return placed(known.body, bound)
        return None

    new = tuple(replace(s, body=ex.rewrite(s.body, one)) for s in group)
    return (new, f"What was found for {', '.join(names)} is put in.") if names else None


def facts(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Sums that a declared fact gives: a distribution sums to one, a constant sums to a size, a bracket picks."""
    for k, s in enumerate(group):
        for a in s.reduced:
            found = _sum_over(s, a, sheet)
            if found is not None:
                return (*group[:k], found[0], *group[k + 1 :]), found[1]
    return None


def _sum_over(s: Statement, a: str, sheet: Sheet) -> tuple[Statement, str] | None:
    picked = _picked_by_guard(s, a, sheet)
    if picked is not None:
        return picked
    if (
        s.op != "+="
        or (s.guard is not None and depends(s.guard, [a]))
        or any(depends(Val(n), [a]) for _, n in s.axes)
    ):
        return None
    parts = factors(s.body)
    on = [f for f in parts if depends(f, [a]) or depends(parts[f], [a])]
    axes = tuple(x for x in s.axes if x[0] != a)
    if not on:
        reason = f"Nothing depends on {a}, so the sum over {a} counts {s.ranges[a]} equal terms."
        return replace(s, body=s.body * ex.val(s.ranges[a]), axes=axes), reason
    for f in on:
        if isinstance(f, Bracket):
            where = _picked(f, a)
            if where is not None and within(where, s.ranges[a], s.ranges, sheet.tensors):
                rest = quotient(s.body, f)
                assert rest is not None
                body = ex.substitute(rest, {Axis(a): where})
                return replace(
                    s, body=body, axes=axes
                ), f"Of the sum over {a} only the term {a} = {where} is left."
    identity = _product_with_inverse(on, parts, a, s, sheet)
    if identity is not None:
        rest = quotient(s.body, ex.mul(*on))
        assert rest is not None
        reason = f"The sum over {a} is the product of a matrix and its inverse."
        return replace(s, body=ex.mul(rest, identity), axes=axes), reason
    if len(on) == 1 and isinstance(on[0], Access) and parts[on[0]] == ex.ONE:
        f = on[0]
        t = sheet.tensors[f.tensor]
        last = (
            f.index[-1].axis == a
            and not any(a in i.axes for i in f.index[:-1])
            and t.shape[-1] == s.ranges[a]
        )
        if t.facts.distribution and last and f.tensor not in sheet.wanted:
            rest = quotient(s.body, f)
            assert rest is not None
            return replace(
                s, body=rest, axes=axes
            ), f"{t.name} is a distribution: its entries sum to one over {a}."
    return None


def _picked_by_guard(s: Statement, a: str, sheet: Sheet) -> tuple[Statement, str] | None:
    """A sum under the condition that its letter is a certain position: the term there, under what else must hold."""
    parts = s.guard.args if isinstance(s.guard, ex.Logic) and s.guard.op == "and" else (s.guard,)
    if s.op != "+=" or s.scan is not None or any(depends(Val(n), [a]) for _, n in s.axes):
        return None
    for c in parts:
        where = _picked(Bracket(c), a) if c is not None else None
        if where is None or not within(where, s.ranges[a], s.ranges, sheet.tensors):
            continue
        rest = ex.both(*(p for p in parts if p is not c))
        at: dict[ints.Atom, ints.IntLike] = {Axis(a): where}
        new = replace(
            s,
            body=ex.substitute(s.body, at),
            guard=None if rest is None else ex.substitute(rest, at),
            axes=tuple(x for x in s.axes if x[0] != a),
        )
        return new, f"Of the sum over {a} only the term {a} = {where} is left."
    return None


def _product_with_inverse(
    on: list[Expr], parts: Mapping[Expr, Expr], a: str, s: Statement, sheet: Sheet
) -> Expr | None:
    """The bracket that `sum(a, A[i, a]*inv(A)[a, j])` is, if two factors and nothing else are that."""
    if len(on) != 2 or any(parts[f] != ex.ONE for f in on):
        return None
    for x, y in (on, on[::-1]):
        if not isinstance(x, Access) or not isinstance(y, Access) or y.tensor not in sheet.implicit:
            continue
        t = sheet.implicit[y.tensor]
        if t.op != "inv" or operands(t)[0].tensor != x.tensor or operands(t)[0].index != t.left:
            continue
        whole = s.ranges[a] == sheet.tensors[x.tensor].shape[-1]
        if not whole or x.index[:-2] != y.index[:-2] or any(a in i.axes for i in x.index[:-2]):
            continue
        (i, j), (k, m) = x.index[-2:], y.index[-2:]
        for inner, other, (p, q) in ((j, k, (i, m)), (i, m, (k, j))):
            if inner.axis == other.axis == a and a not in (*p.axes, *q.axes):
                return Bracket(Cmp("==", Val(p), Val(q)))
    return None


def _picked(f: Bracket, a: str) -> Int | None:
    """The position that a bracket `[a == ...]` picks for an axis."""
    c = f.condition
    if isinstance(c, Cmp) and c.op == "==" and isinstance(c.a, Val) and isinstance(c.b, Val):
        for x, y in ((c.a.int, c.b.int), (c.b.int, c.a.int)):
            if x.axis == a and a not in y.axes:
                return y
    return None


def symmetric(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Entries of a tensor that is declared symmetric, with what is summed in the last place: `A @ x` for `A.T @ x`."""
    for k, s in enumerate(group):
        order = {a: j for j, a in enumerate((*s.kept, *s.reduced))}
        seen: dict[str, None] = {}

        def turned(e: object, order: Mapping[str, int] = order, seen: dict[str, None] = seen) -> Expr | None:
            if not isinstance(e, Access) or e.tensor in sheet.wanted:
                return None
            *ahead, i, j = e.index if len(e.index) > 1 else (ints.ZERO, ints.ZERO)
            if not sheet.tensors[e.tensor].facts.symmetric or i.axis is None or j.axis is None:
                return None
            if order[i.axis] > order[j.axis]:
                seen[e.tensor] = None
                return Access(e.tensor, (*ahead, j, i))
            return None

        body = ex.rewrite(s.body, turned)
        if seen:
            reason = f"{', '.join(seen)} is declared symmetric: its places may be exchanged."
            return (*group[:k], replace(s, body=body), *group[k + 1 :]), reason
    return None


def look_up(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """A scatter through a look-up, beside a writer over the whole axis, becomes a bracket over that axis."""
    whole = [s for s in group if s.plain]
    for k, s in enumerate(group):
        places = [j for j, i in enumerate(s.left) if isinstance(i.atom, Look)]
        others = [i.axis for j, i in enumerate(s.left) if j not in places]
        if not whole or not places or None in others or len(set(others)) < len(others):
            continue
        left, axes, brackets = list(s.left), list(s.axes), []
        for j in places:
            name = _letter(whole[0].left[j].axis or "k", [a for a, _ in axes])
            brackets.append(Bracket(Cmp("==", Val(ints.axis(name)), Val(s.left[j]))))
            axes.append((name, sheet.tensors[s.out].shape[j]))
            left[j] = ints.axis(name)
        new = replace(s, left=tuple(left), body=ex.mul(s.body, *brackets), axes=tuple(axes))
        at = ", ".join(str(s.left[j]) for j in places)
        reason = f"What is read at the position {at} flows back to that position: a bracket is 1 only there."
        return (*group[:k], new, *group[k + 1 :]), reason
    return None


def diagonal(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """A constant added along a diagonal is a bracket everywhere, which a later sum can use up."""
    if len(group) != 1 or ex.accesses(group[0].body) or group[0].reduced or group[0].guard is not None:
        return None
    s = group[0]
    names = [i.axis for i in s.left]
    if None in names or len(set(names)) == len(names):
        return None
    left, axes, brackets = list(s.left), list(s.axes), []
    for j, a in enumerate(names):
        if a in names[:j]:
            new = _letter(str(a), [x for x, _ in axes])
            brackets.append(Bracket(Cmp("==", Val(ints.axis(str(a))), Val(ints.axis(new)))))
            axes.append((new, s.ranges[str(a)]))
            left[j] = ints.axis(new)
    new_s = replace(s, left=tuple(left), body=ex.mul(s.body, *brackets), axes=tuple(axes))
    return (new_s,), "Only the diagonal is reached; elsewhere it is 0."


def split(group: Group, _sheet: Sheet) -> tuple[Group, str] | None:
    """An axis of m*n positions that is only read as j//n and j%n is two axes."""
    for k, s in enumerate(group):
        for a, n in s.axes:
            found = _split_axis(s, a, n) if s.scan is None else None
            if found is not None:
                return (*group[:k], found[0], *group[k + 1 :]), found[1]
    return None


def _split_axis(s: Statement, a: str, size: Int) -> tuple[Statement, str] | None:
    everywhere = [*s.left, *ex.ints(s.body), *(ex.ints(s.guard) if s.guard is not None else ())]
    below = next(
        (x.bottom for i in everywhere for x in i.atoms() if isinstance(x, ints.Quotient) and x.top.axis == a),
        None,
    )
    count = None if below is None else _over(size, below)
    if below is None or count is None:
        return None
    outer = _letter(a, [x for x, _ in s.axes])
    inner = _letter(a, [*(x for x, _ in s.axes), outer])
    parts = {(ints.axis(a) // below).atom: ints.axis(outer), (ints.axis(a) % below).atom: ints.axis(inner)}

    def apart(i: Int) -> Int:
        return i.replace(parts.get)

    new = replace(
        s,
        left=tuple(map(apart, s.left)),
        body=ex.map_ints(s.body, apart),
        guard=None if s.guard is None else ex.map_ints(s.guard, apart),
        axes=tuple(y for x in s.axes for y in ([(outer, count), (inner, below)] if x[0] == a else [x])),
    )
    if any(a in i.axes for i in (*new.left, *ex.ints(new.body), *(ex.ints(new.guard) if new.guard else ()))):
        return None
    return new, f"{a} runs over {count} blocks of {below}: its block and its place in it are two letters."


def _over(size: Int, below: Int) -> Int | None:
    """The quotient of two products of sizes, where it is one."""
    if len(size.terms) != 1 or len(below.terms) != 1:
        return None
    (monomial, c), (divisor, d) = size.terms[0], below.terms[0]
    left = list(monomial)
    for x in divisor:
        if x not in left:
            return None
        left.remove(x)
    return Int(((tuple(left), c // d),)) if c % d == 0 else None


def gather(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """A scatter to positions such as i + p reads from there instead: i + p = j, so i = j - p.

    Only where every axis stands with factor one: with a stride most of the new reads would be out of range.
    """
    for k, s in enumerate(group):
        if s.scan is not None or sheet.tensors[s.out].early:
            continue  # what goes to an earlier step is read best where it is written
        for j, position in enumerate(s.left):
            steps = {a: position.coefficient(a) for a in position.axes}
            if position.axis is not None or any(isinstance(x, Look) for x in position.atoms()):
                continue
            if not steps or any(c is None or c.number not in (1, -1) for c in steps.values()):
                continue
            full = sheet.tensors[s.out].shape[j]
            a = max(steps, key=lambda a: (_shared(s.ranges[a], full), -position.axes.index(a)))
            elsewhere = any(a in i.axes for m, i in enumerate(s.left) if m != j)
            if elsewhere or any(a in n.axes for _, n in s.axes):
                continue
            c = steps[a]
            assert c is not None
            new = _letter(a, [b for b, _ in s.axes])
            at = (ints.axis(new) - (position - ints.axis(a) * c)) * c
            axes = tuple((new, full) if b == a else (b, n) for b, n in s.axes)
            moved = {Axis(a): at}
            inside = [Cmp("<=", ex.ZERO, ex.val(at)), Cmp("<", ex.val(at), ex.val(s.ranges[a]))]
            old = None if s.guard is None else ex.substitute(s.guard, moved)
            left = tuple(ints.axis(new) if m == j else i for m, i in enumerate(s.left))
            # the range first: what the old guard reads may stand outside it
            guard = open_parts(ex.both(*inside, old), dict(axes))
            t = replace(s, left=left, body=ex.substitute(s.body, moved), guard=guard, axes=axes)
            reason = f"Adding to the place {position} is reading from {a} = {at}, where that is in range."
            return (*group[:k], t, *group[k + 1 :]), reason
    return None


def _shared(n: Int, full: Int) -> int:
    """How near a range is to the whole axis: letters in common, then the number."""
    letters = set(full.atoms())
    return len([x for x in n.atoms() if x in letters]) * 10**6 + (n.number or 0)


def merge(group: Group, _sheet: Sheet) -> tuple[Group, str] | None:
    """Writers that only differ in their terms are one writer of the sum."""
    if not group:
        return None
    first: dict[object, tuple[int, Statement]] = {}
    for k, s in enumerate(group):
        if not s.plain or s.op != "+=" or s.reduced:
            continue
        names = {i.axis: f"\0{j}" for j, i in enumerate(s.left)}
        common = s.rename(names)  # type: ignore[arg-type]
        key = (tuple(sorted(common.axes, key=str)), common.guard, common.scan)
        if key in first:
            j, t = first[key]
            onto = {i.axis: o.axis for i, o in zip(s.left, t.left, strict=True)}
            both = replace(t, body=t.body + s.rename(onto).body)  # type: ignore[arg-type]
            return (
                *group[:j],
                both,
                *group[j + 1 : k],
                *group[k + 1 :],
            ), f"The contributions to {s.out} are added."
        first[key] = (k, s)
    return _repeated(group)


def _repeated(group: Group) -> tuple[Group, str] | None:
    """Sums that are the same up to the names of their letters, as one."""
    sums = [(k, s) for k, s in enumerate(group) if is_sum(s)]
    for m, (k, s) in enumerate(sums):
        for j, t in sums[:m]:
            found = alike(t, s) if _read(s) == _read(t) else None
            if found is not None and tuple(i.substitute(_letters(found[0])) for i in t.left) == s.left:
                one = replace(t, body=t.body * (1 + found[1]))
                return (
                    *group[:j],
                    one,
                    *group[j + 1 : k],
                    *group[k + 1 :],
                ), f"Equal contributions to {s.out} are counted."
    return None


def is_sum(s: Statement) -> bool:
    """Whether a statement adds up something over letters, everywhere."""
    return s.op == "+=" and bool(s.reduced) and s.guard is None and s.scan is None


def _read(s: Statement) -> tuple[str, ...]:
    """What a body reads, each as often as it stands there."""
    return tuple(sorted(a.tensor for a in ex.walk(s.body) if isinstance(a, Access)))


def _letters(onto: Mapping[str, str]) -> dict[ints.Atom, ints.IntLike]:
    return {Axis(a): Axis(b) for a, b in onto.items()}


def assign(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """One writer that reaches every entry once needs no sum."""
    if (
        len(group) == 1
        and group[0].op == "+="
        and not group[0].reduced
        and group[0].plain
        and group[0].guard is None
    ):
        s = group[0]
        if all(s.ranges[i.axis or ""] == n for i, n in zip(s.left, sheet.tensors[s.out].shape, strict=True)):
            return (replace(s, op="="),), ""
    return None


def hoist(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Factors that a sum does not depend on come out of it."""
    if len(group) != 1 or not group[0].reduced or not group[0].plain or group[0].op != "+=":
        return None
    s = group[0]
    if s.guard is not None:
        return None
    parts = factors(s.body)
    out = [
        ex.power(b, x) for b, x in parts.items() if not depends(b, s.reduced) and not depends(x, s.reduced)
    ]
    out = [f for f in out if not isinstance(f, (Bracket, Num)) and ex.accesses(f)]
    if any(isinstance(f, Bracket) for f in parts):
        # what a bracket excludes is never read: only what is finite wherever it stands may leave the bracket
        out = [f for f in out if _total(f, s, sheet)]
    inner = [ex.power(b, x) for b, x in parts.items()]
    inner = [f for f in inner if f not in out]
    if not out:
        return None
    name = sheet.fresh(f"{s.out}_sum")
    sheet.add(replace(sheet.tensors[s.out], name=name, named=False, early=()))
    summed = replace(s, out=name, body=ex.mul(*inner))
    sheet.extra.append(summed)
    kept = s.kept
    body = ex.mul(*out, Access(name, s.left))
    new = replace(s, op="=", body=body, axes=tuple(x for x in s.axes if x[0] in kept))
    return (
        new,
    ), f"{', '.join(map(str, out))} does not depend on {', '.join(s.reduced)} and comes out of the sum."


def _total(f: Expr, s: Statement, sheet: Sheet) -> bool:
    """Whether a factor has a finite value at every point of the axes, excluded or not."""
    if isinstance(f, Access):
        return all(
            within(i, n, s.ranges, sheet.tensors)
            for i, n in zip(f.index, sheet.tensors[f.tensor].shape, strict=True)
        )
    if isinstance(f, ex.Pow):
        exponent = ex.number(f.exponent)
        return (
            exponent is not None and exponent > 0 and exponent.denominator == 1 and _total(f.base, s, sheet)
        )
    return isinstance(f, (Add, Mul)) and all(isinstance(g, (Num, Val)) or _total(g, s, sheet) for g in f.args)


def outputs(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """What the forward run has computed is used by its name: 1 - tanh(z)**2 is 1 - a**2."""
    names: dict[str, None] = {}
    here: Mapping[str, Int] = {}

    def known(e: Expr) -> Access | None:
        key, axes = _canonical(e)
        s = sheet.bodies.get(key)
        if s is None:
            return None
        bound = dict(zip(_canonical(s.body)[1], map(ints.axis, axes), strict=True))
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
    for t in sheet.totals.get(_read(s), ()) if is_sum(s) else ():
        found = alike(t, s)
        if found is not None:
            onto, times = found
            value = Access(t.out, tuple(i.substitute(_letters(onto)) for i in t.left))
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
        for t in sheet.signals.get(_read(s), ()) if s.scan is None else ():
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
            ordered = sorted(base.args, key=lambda t: (ex.tensors(t), str(_canonical(ex.split(t)[1])[0])))
            sign = -1 if ex.split(ordered[0])[0] < 0 else 1
            parts += [ex.mul(sign, ex.ONE), ex.add(*(ex.mul(sign, t) for t in ordered))]
        else:
            parts.append(ex.power(base, exponent))
    free = [f for f in parts if not ex.accesses(f) and not ex.axes(f)]
    return ex.mul(*free), ex.mul(*(f for f in parts if f not in free))


def lengths(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """What is 0 wherever a length is needs no bracket for that: the entries that it is the length of."""
    new = tuple(
        replace(s, body=ex.rewrite(s.body, lambda e: _nonzero(e, sheet), bottom_up=True)) for s in group
    )
    return (new, "Where a length is 0, so is every entry.") if new != group else None


def _nonzero(e: object, sheet: Sheet) -> Expr | None:
    """A product without a bracket that asks whether a length is positive, if no quotient is left for it to hide."""
    if not isinstance(e, Mul):
        return None
    parts = factors(e)
    for b in parts:
        match b:
            case Bracket(Cmp(">", Access(name, index) as length, Num(zero))) if (
                zero == 0 and name in sheet.implicit
            ):
                s = sheet.implicit[name]
                bound = match_index(s.left, index, {})
                if s.op not in ("norm", "frobenius") or bound is None:
                    continue
                powers = {f: ex.number(x) or 0 for f, x in parts.items()}
                (entry,) = operands(s)
                for f in () if powers.get(length, 0) < 0 else parts:
                    if powers[f] > 0 and (f == length or match(entry, f, bound) is not None):
                        return ex.mul(*(ex.power(base, x) for base, x in parts.items() if base != b))
    return None


def inverses(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Cofactors divided by the determinant are the inverse, transposed."""
    for k, s in enumerate(group):
        for e in ex.walk(s.body):
            if isinstance(e, Mul) and (found := _inverse(e, sheet)) is not None:
                new = replace(s, body=swapped(s.body, e, found))
                reason = "The matrix of cofactors over the determinant is the inverse, transposed."
                return (*group[:k], new, *group[k + 1 :]), reason
    return None


def _inverse(e: Mul, sheet: Sheet) -> Expr | None:
    parts = factors(e)
    known = {
        f: sheet.implicit[f.tensor] for f in parts if isinstance(f, Access) and f.tensor in sheet.implicit
    }
    for c, s in known.items():
        for d, t in known.items():
            over = s.op == "cofactor" and t.op == "det" and d.index == c.index[:-2]
            if not over or operands(s)[0].tensor != operands(t)[0].tensor:
                continue
            rest = quotient(e, ex.mul(c, ex.power(d, -1)))
            if rest is None:
                continue
            made = replace(s, op="inv", body=Call("inv", operands(s)))
            name = next((n for n, u in sheet.implicit.items() if replace(u, out=s.out) == made), "")
            if not name:
                name = sheet.fresh(f"{operands(s)[0].tensor}_inv")
                sheet.add(replace(sheet.tensors[s.out], name=name))
                sheet.implicit[name] = replace(made, out=name)
                sheet.ready.append(sheet.implicit[name])
            return ex.mul(rest, Access(name, (*c.index[:-2], c.index[-1], c.index[-2])))
    return None


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


def cancel(group: Group, sheet: Sheet) -> tuple[Group, str] | None:
    """Common factors in front; products of sums multiplied out only where terms cancel exactly.

    Elsewhere they would cancel in floating point: for large x, 1 + x - a*x is not 1 + x*(1 - a).
    """
    new = []
    for s in group:
        body = ex.rewrite(s.body, lambda e: collect(e) if isinstance(e, Add) else None, bottom_up=True)
        mirrored = ex.rewrite(body, _mirror, bottom_up=True)
        flat = expand(mirrored)
        if flat is not None and _meet(replace(s, body=mirrored), sheet):
            gathered = ex.rewrite(flat, lambda e: collect(e) if isinstance(e, Add) else None, bottom_up=True)
            if size(gathered) < size(body):
                body = gathered
        new.append(
            replace(s, body=shortest(body, s.body)) if size(body) < size(s.body) else replace(s, body=body)
        )
    return (
        (tuple(new), "Common factors come out, and terms that cancel are gone.")
        if tuple(new) != group
        else None
    )


def _meet(s: Statement, sheet: Sheet) -> bool:
    """Whether terms are alike once products are multiplied out, those counted that have a name already."""
    found = outputs((s,), sheet)
    named = s.body if found is None else found[0][0].body
    flat = expand(named)
    return flat is not None and len(terms(flat)) < products(named)


def _mirror(e: object) -> Expr | None:
    """sigmoid(-x) = 1 - sigmoid(x)"""
    if isinstance(e, Call) and e.name == "sigmoid":
        c, rest = ex.split(e.args[0])
        if c < 0:
            return ex.add(1, ex.mul(-1, ex.call("sigmoid", ex.mul(-c, rest))))
        if isinstance(e.args[0], Add) and all(ex.split(t)[0] < 0 for t in e.args[0].args):
            return ex.add(1, ex.mul(-1, ex.call("sigmoid", ex.mul(-1, e.args[0]))))
    return None


PASSES: dict[str, Pass] = {
    "substitute": substitute,
    "fact": facts,
    "symmetric": symmetric,
    "look-up": look_up,
    "split": split,
    "diagonal": diagonal,
    "gather": gather,
    "merge": merge,
    "assign": assign,
    "output": outputs,
    "share": shares,
    "inverse": inverses,
    "length": lengths,
    "signal": signals,
    "cancel": cancel,
    "hoist": hoist,
}


def placeable(group: Group, sheet: Sheet) -> Statement | None:
    """The statement of an adjoint that is better put in place where it is read than kept under a name."""
    s = _everywhere(group, sheet)
    if s is None:
        return None
    readers = sheet.reads.get(s.out, [])
    if any(r.op in IMPLICIT for r in readers) and not isinstance(s.body, Access):
        return None  # an operand is a tensor as it stands
    if isinstance(s.body, Access):
        bare = [i.axis for i in s.body.index]
        return s if None not in bare and len(set(bare)) == len(bare) == len(s.left) else None
    if not ex.accesses(s.body) and size(s.body) <= 16 and cheap(s.body):
        return s
    if _selects(s) and size(s.body) <= 32 and cheap(s.body):
        return s
    once = len(readers) == 1 and not sheet.tensors[s.out].named and cheap(s.body)
    whole = bool(readers) and not readers[0].reduced and len(readers[0].axes) >= len(s.axes)
    same = bool(readers) and len(readers[0].axes) == len(s.axes)
    return s if once and whole and (_monomial(s.body) or same) else None


def triable(group: Group, sheet: Sheet) -> Statement | None:
    """The statement of an adjoint that may be put in place for a trial: a short product beside the loss."""
    s = _everywhere(group, sheet)
    if s is None or not cheap(s.body) or not _monomial(s.body) or size(s.body) > 16:
        return None
    return s if all(sheet.tensors[r].role != "adjoint" for r in s.reads) else None


def _selects(s: Statement) -> bool:
    """Whether a body has entries on a diagonal alone, which the sum of a reader uses up."""
    places = [i.axis for i in s.left]
    conditions = [f.condition for f in factors(s.body) if isinstance(f, Bracket)]
    pairs = [(c.a, c.b) for c in conditions if isinstance(c, Cmp) and c.op == "=="]
    return any(all(isinstance(x, Val) and x.int.axis in places for x in pair) for pair in pairs)


def _monomial(e: Expr) -> bool:
    return not any(isinstance(f, Add) for f in factors(e))


def _everywhere(group: Group, sheet: Sheet) -> Statement | None:
    """The one statement that gives every entry; entries that a statement does not write are zero."""
    if len(group) != 1 or group[0].op != "=" or not group[0].plain or group[0].guard is not None:
        return None
    s = group[0]
    whole = all(s.ranges[i.axis or ""] == n for i, n in zip(s.left, sheet.tensors[s.out].shape, strict=True))
    return s if whole else None


def _canonical(e: Expr) -> tuple[Expr, tuple[str, ...]]:
    """A body with its axes named by order of appearance, and those axes."""
    axes = ex.axes(e)
    return ex.substitute(e, {Axis(a): Axis(f"\0{k}") for k, a in enumerate(axes)}), axes


def _letter(stem: str, taken: list[str]) -> str:
    if stem not in taken:
        return stem
    k = 1
    while f"{stem}_{k}" in taken:
        k += 1
    return f"{stem}_{k}"
