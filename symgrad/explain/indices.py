"""Statements in index form: bodies as formulas, reductions as sums over letters, small unnamed parts put in
place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from symgrad.explain.formula import (
    ONE,
    Apply,
    Big,
    Connected,
    Entry,
    Formula,
    Iverson,
    Modulo,
    Norm,
    Number,
    Power,
    Product,
    Quotient,
    Relation,
    Sum,
    Symbol,
    Transpose,
    applied,
    entry,
    minus,
    plus,
    times,
    walk,
)  # fmt: skip
from symgrad.explain.names import Names
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import (
    Access,
    Add,
    Bracket,
    Call,
    Cmp,
    Condition,
    Const,
    Expr,
    Logic,
    Mul,
    Num,
    Pow,
    Stop,
    Val,
)
from symgrad.language.implicit import IMPLICIT, layout, operands
from symgrad.language.ints import Axis, Int, Look, Size
from symgrad.language.program import Statement
from symgrad.passes.forms import match_index, placed

REDUCERS = {"+=": "sum", "max=": "max", "min=": "min", "prod=": "prod"}
Inline = Mapping[str, Statement]
ALL = Symbol(":", ":", ":")  # every position


class Indices:
    """Formulas of statements and expressions, with `inline` parts put in place of their names; no letter of these
    is one of `avoid`."""

    def __init__(self, names: Names, inline: Inline, avoid: Collection[str] = ()):
        self.names, self.inline, self.avoid = names, inline, avoid
        self.whole: Callable[[str], Formula] = names.tensor  # a tensor without its index

    # statements

    def equation(self, s: Statement) -> tuple[Formula, Formula]:
        """A forward statement's two sides, its left side as it stands."""
        left = self.at(s.out, s.left)
        return left, self.side(s, tuple(i.axis or "" for i in s.left), [], [])

    def total(self, group: Sequence[Statement]) -> tuple[Formula, Formula]:
        """All that is added to one tensor: its entry at bare letters, and the sum of the contributions there.

        A contribution to a position that is no bare letter, such as `dE[t[n], d] += ...`, is a sum with a
        bracket: `dE[k, d] = sum(n, [k == t[n]]*...)`.
        """
        letters = self.letters(group)
        left = entry(self.names.tensor(group[0].out), tuple(map(self.names.letter, letters)))
        # some write rows before the first, where the others write nothing
        early = [d for d, _ in enumerate(group[0].left) if (group[0].out, d) in self.names.before]
        early = [d for d in early if any(s.left[d].axis is None for s in group)]
        return left, plus(*(self.contribution(s, letters, early) for s in group))

    def letters(self, group: Sequence[Statement]) -> tuple[str, ...]:
        """Letters for the places of the tensor that a group writes; the steps of a loop have the loop's."""
        steps = {
            k: s.scan.axis
            for s in group
            if s.scan is not None
            for k, i in enumerate(s.left)
            if s.scan.axis in i.axes
        }
        group = [own_step(s) for s in group]
        best = next((s for s in group if s.plain), group[0])
        used = [a for a, _ in best.axes]
        chosen: list[str] = []
        own = {i.axis: i.axis for i in best.left}
        for k, letter in steps.items():  # which changes places with the one there, if it stands at another
            own[letter], own[best.left[k].axis] = own.get(best.left[k].axis, letter), letter
        for i in best.left:
            name = own[i.axis]
            if name is None or name in chosen:
                name = self.fresh("k", [*used, *chosen])
            chosen.append(name)
        return tuple(chosen)

    def fresh(self, stem: str, used: Sequence[str]) -> str:
        if stem == "k":
            taken = {*used, *self.names.tensors, *self.names.letters, *self.names.aliases.values()}
            stem = next((x for x in "klmrquvabcd" if x not in taken), stem)
        name, k = stem, 1
        while name in used or name in self.avoid or name in self.names.aliases.values():
            k += 1
            name = f"{stem}_{k}"
        return name

    def contribution(self, s: Statement, letters: tuple[str, ...], early: Sequence[int] = ()) -> Formula:
        """What a statement adds to the entry at the letters; along the axes `early` these begin before 0."""
        late = [d for d in early if s.left[d].axis is not None]
        s = own_step(s)
        onto: dict[str, str] = {}
        for i, x in zip(s.left, letters, strict=True):
            if i.axis is not None and i.axis not in onto and x not in onto.values():
                onto[i.axis] = x
        used = [*letters, *onto.values()]
        for a, n in s.axes:
            if a not in onto:
                # a letter whose range must be said is not called like its size
                silent = n.atom == Size(a) and _bare(s, self.names, self.inline).get(a) != n
                onto[a] = (
                    self.fresh("k" if silent else a, [*used, *(b for b, _ in s.axes)])
                    if a in used or silent
                    else a
                )
                used.append(onto[a])
        s = s.rename(onto)
        places = [
            Relation((self.names.letter(x), self.integer(i)), ("==",))
            for i, x in zip(s.left, letters, strict=True)
            if i.axis != x
        ]
        shape, ranges = self.names.tensors[s.out].shape, s.ranges
        places += [Relation((self.integer(ints.ZERO), self.names.letter(letters[d])), ("<=",)) for d in late]
        places += [
            Relation((self.names.letter(x), self.integer(ranges[x])), ("<",))
            for i, x, n in zip(s.left, letters, shape, strict=True)
            if i.axis == x and ranges[x] != n
        ]
        return self.side(s, letters, places, [])

    def side(
        self, s: Statement, kept: tuple[str, ...], places: Sequence[Formula], outer: list[str]
    ) -> Formula:
        """The right side: a body, or a reduction over the axes that are not kept, where conditions and
        `places` hold."""
        used = [*outer, *kept, *(a for a, _ in s.axes)]
        if s.op in IMPLICIT:
            return self.implicit(s, s.left)
        conditions = [*places, *self.conditions(s.guard, used)]
        over = [(a, n) for a, n in s.axes if a not in kept] if s.op != "=" else []
        if s.op in ("=", "+=") and not over:
            body = self.expr(s.body, used)
            return times(*(Iverson(c) for c in conditions), body)
        bare = _bare(s, self.names, self.inline)
        ranges = tuple(None if bare.get(a) == n else self.integer(n) for a, n in over)
        letters = tuple(self.names.letter(a) for a, _ in over)
        front, body = scale(self.expr(s.body, used)) if s.op == "+=" else (ONE, self.expr(s.body, used))
        return times(front, Big(REDUCERS[s.op], letters, tuple(conditions), body, ranges))

    def implicit(self, s: Statement, index: tuple[Int, ...]) -> Formula:
        """An entry of what is found from whole arrays: `inv(A)[i, j]`, `norm(X[b, :])`."""
        at = {i.axis: x for i, x in zip(s.left, index, strict=True)}
        args: list[Formula] = []
        for e, axes in zip(operands(s), layout(s).args, strict=True):
            whole = self.whole(e.tensor)
            own, wanted = tuple(i.axis for i in e.index), tuple(a for a in axes if a is not None)
            if not IMPLICIT[s.op].square:
                inner = (
                    whole
                    if not at
                    else entry(whole, tuple(self.position(at[a]) if a in at else ALL for a in own))
                )
                return Norm(inner, matrix=len(own) - len(at) > 1)
            args.append(whole if own == wanted else Transpose(whole, stacked=len(own) > 2))
        return entry(applied(s.op, tuple(args)), tuple(map(self.position, index)))

    def conditions(self, guard: Condition | None, used: list[str]) -> list[Formula]:
        """A guard as conditions that all hold, bounds of one thing in a row."""
        if guard is None:
            return []
        parts = guard.args if isinstance(guard, Logic) and guard.op == "and" else (guard,)
        return self.chained(parts, used)

    def chained(self, parts: Sequence[Condition], used: list[str]) -> list[Formula]:
        """`0 <= i` and `i < n` as `0 <= i < n`."""
        out: list[Formula] = []
        rest = list(parts)
        while rest:
            c = rest.pop(0)
            if isinstance(c, Cmp) and c.op in ("<", "<="):
                after = next(
                    (d for d in rest if isinstance(d, Cmp) and d.op in ("<", "<=") and d.a == c.b), None
                )
                if after is not None:
                    rest.remove(after)
                    shown = tuple(self.expr(e, used, inside=True) for e in (c.a, c.b, after.b))
                    out.append(Relation(shown, (c.op, after.op)))
                    continue
            out.append(self.condition(c, used))
        return out

    def condition(self, c: Condition, used: list[str]) -> Formula:
        match c:
            case Cmp(op, a, b):
                return Relation((self.expr(a, used, inside=True), self.expr(b, used, inside=True)), (op,))
            case Logic("and", args):
                parts = self.chained(args, used)
                return parts[0] if len(parts) == 1 else Connected("and", tuple(parts))
            case Logic(op, args):
                return Connected(op, tuple(self.condition(a, used) for a in args))

    # expressions

    def expr(self, e: Expr, used: list[str], *, inside: bool = False) -> Formula:
        """A body as a formula; `inside` a bracket a bare letter is its running value. `used` letters are not
        bound anew."""
        match e:
            case Num(v):
                p, q = _parts(abs(v))
                size: Formula = Number(p) if q == 1 else Quotient(Number(p), Number(q))
                return minus(size) if v < 0 else size
            case Const(name):
                return Symbol(name, {"pi": "π"}.get(name, name), {"pi": r"\pi"}.get(name, r"\mathrm{e}"))
            case Val(i):
                shown = self.integer(i)
                return Apply("index", (shown,)) if i.axes and not inside and not _looks(i) else shown
            case Access(name, index):
                return self.access(name, index, used)
            case Add(args):
                return plus(*(self.expr(a, used, inside=inside) for a in args))
            case Mul():
                return self.product(e, used, inside)
            case Pow(a, b):
                n = ex.number(b)
                if n is not None and n < 0:
                    return Quotient(ONE, self.expr(ex.power(a, -n), used, inside=inside))
                return Power(self.expr(a, used, inside=inside), self.expr(b, used, inside=inside))
            case Call(name, args):
                return Apply(name, tuple(self.expr(a, used, inside=inside) for a in args))
            case Bracket(c):
                return Iverson(self.condition(c, used))
            case Stop(a, kind):
                shown = self.expr(a, used, inside=inside)
                return shown if kind == "held" else Apply("stop", (shown,))
        raise TypeError(f"not an expression: {type(e).__name__}")

    def product(self, e: Mul, used: list[str], inside: bool) -> Formula:
        """A product: what has a negative exponent under a bar; a bare number and sizes as a fraction in
        front."""
        c, rest = ex.split(e)
        factors = rest.args if isinstance(rest, Mul) else (rest,)
        top = [f for f in factors if not _below(f)]
        bottom = [ex.power(f, -1) for f in factors if _below(f)]

        def shown(fs: Sequence[Expr]) -> list[Formula]:
            return [self.expr(f, used, inside=inside) for f in fs]

        p, q = _parts(abs(c))
        scalar = not any(ex.accesses(f) for f in bottom)
        above: list[Formula] = [] if p == 1 and top else [Number(p)]
        under: list[Formula] = [] if q == 1 else [Number(q)]
        if not bottom and not under:
            product = times(*above, *shown(top))
        elif scalar and top and (p != 1 or any(_sums(self.inline, f) for f in top)):
            product = times(Quotient(times(Number(p)), times(*under, *shown(bottom))), *shown(top))
        else:
            product = Quotient(times(*above, *shown(top)), times(*under, *shown(bottom)))
        return minus(product) if c < 0 else product

    def access(self, name: str, index: tuple[Int, ...], used: list[str]) -> Formula:
        s = self.inline.get(name)
        bound = None if s is None else match_index(s.left, index, {})
        if s is None or bound is None:
            return self.at(name, index)
        if s.op in IMPLICIT:
            return self.implicit(s, index)
        copies: dict[str, str] = {}
        for a in s.reduced:
            copies[a] = self.fresh(a, used)
            used.append(copies[a])
        places = {**bound, **{a: ints.axis(b) for a, b in copies.items()}}
        put = {Axis(a): i for a, i in places.items()}
        body = placed(s.body, places)
        guard = None if s.guard is None else ex.substitute(s.guard, put)
        axes = tuple((copies[a], n.substitute(put)) for a, n in s.axes if a in copies)
        part = Statement(s.out, (), s.op, body, axes, guard)
        formula = self.side(part, (), [], used)
        for b in copies.values():
            used.remove(b)
        return formula

    # integers

    def at(self, name: str, index: tuple[Int, ...]) -> Formula:
        """An entry of a tensor."""
        return entry(self.names.tensor(name), tuple(map(self.position, index)))

    def position(self, i: Int) -> Formula:
        """Where an entry stands."""
        return self.integer(i)

    def integer(self, i: Int) -> Formula:
        """An integer expression: a position, a size, a label."""
        terms = []
        for monomial, c in i.terms:
            term = times(Number(Fraction(abs(c))), *map(self.atom, monomial))
            terms.append(minus(term) if c < 0 else term)
        # a positive term first
        terms.sort(key=lambda t: t == minus(t) or _negative(t))
        return plus(*terms) if terms else Number(Fraction(0))

    def atom(self, a: object) -> Formula:
        match a:
            case Axis(name):
                return self.names.letter(name)
            case Size(name):
                return self.names.size(name)
            case Look(name, index):
                return self.at(name, index)
            case ints.Quotient(top, bottom):
                return Quotient(self.integer(top), self.integer(bottom), "floor")
            case ints.Remainder(top, bottom):
                return Modulo(self.integer(top), self.integer(bottom))
        raise TypeError(f"not an atom: {type(a).__name__}")


def own_step(s: Statement) -> Statement:
    """What a loop adds at an earlier step, said of that step: `dh[t - 1] += f(t)` adds f(t + 1) to dh[t]."""
    if s.scan is None:
        return s
    t = s.scan.axis
    place = next((i for i in s.left if i.axes == (t,) and i.coefficient(t) == ints.ONE), None)
    if place is None or place.axis is not None:
        return s
    later = ints.axis(t) - (place - ints.axis(t))
    moved: dict[ints.Atom, ints.IntLike] = {Axis(t): later}
    known = Cmp("<", ex.val(later), ex.val(s.ranges[t]))
    return replace(
        s,
        left=tuple(i.substitute(moved) for i in s.left),
        body=ex.substitute(s.body, moved),
        guard=ex.both(known, None if s.guard is None else ex.substitute(s.guard, moved)),
        scan=None,
    )


def _negative(f: Formula) -> bool:
    return minus(f) != f and getattr(f, "terms", ((False, f),))[0][0]


def _looks(i: Int) -> bool:
    return any(isinstance(a, Look) for a in i.atoms())


def _below(f: Expr) -> bool:
    return isinstance(f, Pow) and (ex.number(f.exponent) or 0) < 0


def _parts(c: Fraction) -> tuple[Fraction, Fraction]:
    """A coefficient as what stands above and below the bar; a decimal fraction stays whole."""
    if c.denominator in (1, 5, 10) or (c.denominator > 16 and "/" not in ex.decimal(c) and c.numerator != 1):
        return c, Fraction(1)
    if c.denominator % 10 == 0 and "/" not in ex.decimal(c):
        return c, Fraction(1)
    return Fraction(c.numerator), Fraction(c.denominator)


def scale(body: Formula) -> tuple[Formula, Formula]:
    """What multiplies a body and has no letter, to stand before the sum, and the rest. Outside of positions,
    brackets and `index(...)` a bare name is a size or a scalar."""
    if isinstance(body, Sum) and len(body.terms) == 1 and body.terms[0][0]:
        front, rest = scale(body.terms[0][1])
        return minus(front), rest
    if isinstance(body, Quotient) and body.kind == "times":
        over, top = scale(body.top)
        under, bottom = scale(body.bottom)
        if under == ONE and not _lettered_inside(bottom):
            under, bottom = bottom, ONE
        rest = top if bottom == ONE else Quotient(top, bottom)
        return over if under == ONE else Quotient(over, under), rest
    factors = body.factors if isinstance(body, Product) and body.kind == "times" else (body,)
    fixed = [f for f in factors if not _lettered_inside(f)]
    others = [f for f in factors if f not in fixed]
    return (times(*fixed), times(*others)) if others else (ONE, body)


def _lettered_inside(f: Formula) -> bool:
    return any(
        isinstance(x, (Entry, Iverson, Big)) or isinstance(x, Apply) and x.name == "index" for x in walk(f)
    )


def _sums(inline: Inline, f: Expr) -> bool:
    return any(inline[a.tensor].op != "=" for a in ex.accesses(f) if a.tensor in inline)


def _bare(s: Statement, names: Names, inline: Inline) -> dict[str, Int]:
    """For each letter that stands alone in some place, of a tensor or a look-up as it is printed, the size of that
    place; none for those in places of several sizes."""
    whole = [s.body] if s.guard is None else [s.body, s.guard]
    places = [place for e in whole for place in _shown(e, inline)]
    inside = [*s.left, *(i for e in whole for i in ex.ints(e))]
    places += [(a.tensor, a.index) for i in inside for a in i.atoms() if isinstance(a, Look)]
    found: dict[str, set[Int]] = {}
    for name, index in places:
        for i, n in zip(index, names.tensors[name].shape, strict=False):
            if i.axis is not None:
                found.setdefault(i.axis, set()).add(n)
    return {a: next(iter(sizes)) for a, sizes in found.items() if len(sizes) == 1}


def _shown(e: Expr | Condition, inline: Inline) -> Iterator[tuple[str, tuple[Int, ...]]]:
    """The tensors that are read, each with where, those of parts put in place included."""
    for a in ex.accesses(e):
        s = inline.get(a.tensor)
        bound = None if s is None or s.op in IMPLICIT else match_index(s.left, a.index, {})
        if s is None or bound is None:
            yield a.tensor, a.index
            continue
        put = {Axis(x): i for x, i in bound.items()}
        yield from _shown(ex.substitute(s.body, put), inline)
        if s.guard is not None:
            yield from _shown(ex.substitute(s.guard, put), inline)
