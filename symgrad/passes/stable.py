"""Forward passes: the same values in a form that no float overflows, and maxima that remember their body.

- `stable` brings textbook formulas to the stable leaf, through named intermediates too: the student's
  `-sum(t*log(softmax(z)))` never takes the logarithm of an underflowed exponential.
- `shifted` subtracts the maximum inside sums of exponentials that are only used in ways that cannot tell.
- `stored` gives the body of a maximum a tensor of its own, since a body computed twice in floating point can lose its
  own winner.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from symgrad.language import expr as ex
from symgrad.language.differentials import computed
from symgrad.language.expr import Access, Add, Call, Expr, Mul, Num, Pow, Stop
from symgrad.language.implicit import IMPLICIT, operands
from symgrad.language.ints import axis
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.trace import Step
from symgrad.passes.forms import factors, match_index, placed, swapped

Look = Callable[[Access], Expr | None]
Change = tuple[Program, list[Step]]

_LOGARITHMS = {"cosh": "logcosh", "sigmoid": "logsigmoid"}  # leaves whose logarithm is one


def stable(program: Program, wanted: Collection[str] = ()) -> Change:
    """Formulas with a stable leaf of their own are brought to it.

    No pass looks through a tensor that is differentiated by (`wanted`): the target must go on depending on it.
    """
    bodies: dict[str, Statement] = {}
    inside = _inside(bodies)
    statements, steps = [], []
    for s in program.statements:
        body = ex.rewrite(s.body, lambda e: _stable(e, inside), bottom_up=True)
        body = ex.rewrite(body, lambda e: _weighted(e, program), bottom_up=True)
        new = replace(s, body=body) if body != s.body else s
        if new is not s:
            reason = "The same value in a form that does not overflow, and whose logarithms never meet zero."
            steps.append(Step(0, "stable", (new,), before=(s,), reason=reason))
        statements.append(new)
        if pure(new, program) and new.out not in wanted:
            bodies[new.out] = new
    return replace(program, statements=tuple(statements)), steps


def pure(s: Statement, program: Program) -> bool:
    """Whether the statement alone gives its tensor, entry by entry, everywhere."""
    whole = all(s.ranges.get(i.axis or "") == n for i, n in zip(s.left, program[s.out].shape, strict=True))
    return s.op == "=" and s.plain and s.guard is None and whole and len(program.writers(s.out)) == 1


def _stable(e: object, inside: Look) -> Expr | None:
    match e:
        case Call("log", (u,)):
            return _log(u, inside)
        case Call("xlogy", (t, u)):
            log = _log(u, inside)
            # a logarithm that stays could be of 0, where xlogy is 0; of what is divided by it cannot
            terms = log.args if isinstance(log, Add) else (log,)
            if log is not None and not any(isinstance(x, Call) and x.name == "log" for x in terms):
                return ex.mul(t, log)
            return None
        case Call("log1p", (u,)):
            return _log(ex.add(1, u), inside) if isinstance(u, (Call, Access, Mul)) else None
        case Pow(Add((Num(one), Call("exp", (u,)))) | Add((Call("exp", (u,)), Num(one))), Num(m)) if (
            one == 1 == -m
        ):
            return ex.call("sigmoid", -u)
        case Pow(Call("exp", (u,)), Num(c)) if c != -1:
            return ex.call("exp", ex.mul(c, u))
        case Pow(Call("cosh", (u,)), Num(c)) if c < 0:
            # the slope of a quotient by cosh is one of two infinities
            return ex.call("exp", ex.mul(c, ex.call("logcosh", u)))
        case Call("sqrt", (Call("exp", (u,)),)):
            return ex.call("exp", ex.mul(Fraction(1, 2), u))
        case Mul(args):
            # exp(u)/(1 + exp(u)), which the case above has made exp(u)*sigmoid(-u)
            for f in args:
                if isinstance(f, Call) and f.name == "exp":
                    other = Call("sigmoid", (-f.args[0],))
                    if other in args:
                        rest = [a for a in args if a not in (f, other)]
                        return ex.mul(*rest, ex.call("sigmoid", f.args[0]))
            return _ratio(args)
        case Call("sqrt", (Pow(u, Num(two)),)) if two == 2:
            return ex.call("abs", u)
        case Call("sqrt", (Add((Pow(u, Num(two)), Pow(v, Num(also)))),)) if two == also == 2:
            return ex.call("hypot", u, v)
        case Add((a, b)):
            for x, y in ((a, b), (b, a)):
                for sign in (1, -1):
                    exponential = ex.mul(sign, x)
                    if isinstance(exponential, Call) and exponential.name == "exp" and y == ex.lift(-sign):
                        return ex.mul(sign, ex.call("expm1", *exponential.args))
    return None


def _ratio(args: Sequence[Expr]) -> Expr | None:
    """Shares of a few exponentials, `exp(a)/(exp(a) + exp(b))`; `(exp(a) - exp(b))/(exp(a) + exp(b))` is a tanh."""
    for f in args:
        rest = [a for a in args if a is not f]
        if isinstance(f, Call) and f.name == "sinh":
            other = ex.call("exp", -ex.call("logcosh", *f.args))  # 1/cosh by now
            if other in rest:
                rest.remove(other)
                return ex.mul(*rest, ex.call("tanh", *f.args))
        if isinstance(f, Call) and f.name == "expm1":
            # (exp(u) - 1)/(exp(u) + 1), of which the parts are known by now
            other = Call("sigmoid", (-f.args[0],))
            if other in rest:
                rest.remove(other)
                return ex.mul(*rest, _tanh(f.args[0]))
        if not isinstance(f, Pow) or f.exponent != Num(Fraction(-1)) or not isinstance(f.base, Add):
            continue
        exponents = _exponents(f.base.args)
        if exponents is None or len(exponents) < 2:
            continue
        for g in rest:
            others = [a for a in rest if a is not g]
            if isinstance(g, Call) and g.name == "exp":
                (a,) = g.args
                if len(exponents) == 2 and a in exponents:
                    b = exponents[1 - exponents.index(a)]
                    return ex.mul(*others, ex.call("sigmoid", a - b))
                return ex.mul(*others, ex.call("exp", a - _together_log(exponents)))
            if isinstance(g, Add) and len(g.args) == len(exponents) == 2:
                plus, minus = g.args[0], ex.mul(-1, g.args[1])
                if _exponents((plus, minus)) == exponents:
                    return ex.mul(*others, _tanh(exponents[0] - exponents[1]))
    return None


def _tanh(u: Expr) -> Expr:
    """tanh(u/2), the sign outside."""
    half = ex.mul(Fraction(1, 2), u)
    return -ex.call("tanh", -half) if ex.split(half)[0] < 0 else ex.call("tanh", half)


def _exponents(terms: Sequence[Expr]) -> list[Expr] | None:
    """The terms as exponents, where each is an exponential with a positive number before it, or such a number alone."""
    found = []
    for t in terms:
        c, rest = ex.split(t)
        if c <= 0 or not (rest == ex.ONE or (isinstance(rest, Call) and rest.name == "exp")):
            return None
        log = ex.ZERO if c == 1 else ex.call("log", c)
        found.append(log if not isinstance(rest, Call) else ex.add(rest.args[0], log))
    return found


def _together_log(exponents: Sequence[Expr]) -> Expr:
    """The logarithm of the sum of their exponentials."""
    first, *more = exponents
    for e in more:
        first = ex.call("logaddexp", first, e)
    return first


def _weighted(e: object, program: Program) -> Expr | None:
    """`x*log(x)`, `x*log(x/y)` and `x*(log(x) - y)` that are 0 where x is 0; None where x is declared positive."""
    if not isinstance(e, Mul):
        return None
    for x in e.args:
        if not isinstance(x, Access) or _positive(program[x.tensor]):
            continue
        others = list(e.args)
        others.remove(x)
        for k, f in enumerate(others):
            terms = f.args if isinstance(f, Add) else (f,)
            parts = [ex.split(t) for t in terms]
            if any(_log_of(t, x) for _, t in parts):
                inside = ex.add(*(ex.mul(c, _times_log(x, t)) for c, t in parts))
                return ex.mul(*others[:k], inside, *others[k + 1 :])
    return None


def _times_log(x: Access, t: Expr) -> Expr:
    if not _log_of(t, x):
        return ex.mul(x, t)
    assert isinstance(t, Call)
    return ex.call("xlogx", x) if t.args[0] == x else ex.call("xlogy", x, t.args[0])


def _log_of(t: Expr, x: Access) -> bool:
    """Whether it is the logarithm of a product in which x stands, so that it is infinite where x is 0."""
    return (
        isinstance(t, Call)
        and t.name == "log"
        and x in (t.args[0].args if isinstance(t.args[0], Mul) else t.args)
    )


def _positive(t: Tensor) -> bool:
    low = t.facts.low
    return low is not None and (low > 0 or (low == 0 and t.facts.strict_low))


def _log(u: Expr, inside: Look) -> Expr | None:
    """log(u) in a stable form, or None if there is nothing to gain."""
    u = _open(u, inside)
    if isinstance(u, Call) and u.name == "exp":
        return u.args[0]
    if isinstance(u, Call) and u.name in _LOGARITHMS:
        return _logarithm(u)
    if isinstance(u, Call) and u.name == "expm1":
        return ex.add(*u.args, ex.call("log1mexp", *u.args))
    opposite = ex.mul(-1, u)
    if isinstance(opposite, Call) and opposite.name == "expm1":
        return ex.call("log1mexp", -opposite.args[0])
    if isinstance(u, Mul):
        # log(exp(a)/s) is a - log(s); only where an exponential goes away
        exponents = [f for f in u.args if isinstance(f, Call) and (f.name == "exp" or f.name in _LOGARITHMS)]
        if exponents:
            rest = ex.mul(*(f for f in u.args if f not in exponents))
            if isinstance(rest, Pow) and rest.exponent == Num(Fraction(-1)):
                log = -ex.call("log", rest.base)
            else:  # one logarithm: two factors may both be negative
                log = ex.ZERO if rest == ex.ONE else ex.call("log", rest)
            return ex.add(*(f.args[0] if f.name == "exp" else _logarithm(f) for f in exponents), log)
        # log(c*s) is log(s) + log(c), only where s has a form of its own, as the sum in log((exp(x) + exp(-x))/2)
        number, rest = ex.split(u)
        form = _log(rest, inside) if number > 0 and number != 1 else None
        return None if form is None else ex.add(form, ex.call("log", number))
    if isinstance(u, Add) and len(u.args) == 2:
        a, b = (_open(t, inside) for t in u.args)
        for x, y in ((a, b), (b, a)):
            if x == ex.ONE and isinstance(y, Call) and y.name == "exp":
                return ex.call("softplus", *y.args)
            minus = ex.mul(-1, y)
            if x == ex.ONE and isinstance(minus, Call) and minus.name == "exp":
                return ex.call("log1mexp", -minus.args[0])
            if x == ex.ONE and isinstance(minus, Call) and minus.name == "sigmoid":
                return ex.call("logsigmoid", -minus.args[0])
            if x == ex.ONE and isinstance(minus, Access):
                opened = _open(minus, inside)
                if isinstance(opened, Call) and opened.name == "sigmoid":
                    return ex.call("logsigmoid", -opened.args[0])
    if isinstance(u, Add):
        terms = [_open(t, inside) for t in u.args]
        found = _exponents(terms)
        if found is not None and any(isinstance(ex.split(t)[1], Call) for t in terms):
            return _together_log(found)
        if len(u.args) == 2 and ex.ONE in u.args:
            other = u.args[1 - u.args.index(ex.ONE)]
            return ex.call("log1p", other) if ex.split(other)[0] > 0 else None
    return None


def _logarithm(u: Call) -> Expr:
    return ex.call(_LOGARITHMS[u.name], *u.args)


def _open(u: Expr, inside: Look, opened: tuple[str, ...] = ()) -> Expr:
    """An intermediate replaced by what it stands for, where that shows an exponential form.

    `opened`: the tensors on the way here, of which in a loop one may stand for itself at an earlier step.
    """
    if isinstance(u, Access) and u.tensor not in opened:
        body = inside(u)
        if body is not None:
            form = _open(body, inside, (*opened, u.tensor))
            if _exponential(form):
                return form
    if isinstance(u, Mul):
        parts = [_open(f, inside, opened) if isinstance(f, Access) else f for f in u.args]
        return ex.mul(*parts)
    return u


def _exponential(u: Expr) -> bool:
    if isinstance(u, Mul):
        return any(isinstance(f, Call) and f.name == "exp" for f in u.args)
    return isinstance(u, Call) and u.name in ("exp", "sigmoid", "cosh")


def shifted(program: Program, wanted: Collection[str] = ()) -> Change:
    """Sums of exponentials, of which only the logarithm or shares are taken, with the largest exponent subtracted.

    `s = sum(exp(u))` is `exp(m)*sum(exp(u - m))` for any `m`. Written so, `log(s)` and `exp(u)/s` lose the factor
    `exp(m)` by themselves; where it stays, the sum is left as it was.
    """
    steps: list[Step] = []
    bodies = {s.out: s for s in program.statements if pure(s, program) and s.out not in wanted}
    inside = _inside(bodies)
    kept = {program.target, *wanted}
    for out in dict.fromkeys(s.out for s in program.statements if s.op == "+="):
        # as it is now: what was shifted before may stand in it
        writers = program.writers(out)
        if out in kept or len(writers) != 1:
            continue
        (s,) = writers
        if s.op == "+=" and s.plain and s.reduced:
            body = _open(s.body, inside)
            parts = body.args if isinstance(body, Mul) else (body,)
            exps = [f for f in parts if isinstance(f, Call) and f.name == "exp"]
            if len(exps) == 1 and not _shifts(body, inside):
                changed = _shift(program, s, exps[0], body, inside, kept)
                if changed is not None:
                    program, step = changed
                    for old in step.before:
                        bodies.pop(old.out, None)
                    bodies.update(
                        {n.out: n for n in step.equation if pure(n, program) and n.out not in wanted}
                    )
                    steps.append(step)
    return program, steps


def _shifts(e: Expr, inside: Look) -> bool:
    """Whether something held is subtracted already, here or in what is read."""
    parts = (e, *(inside(a) for a in ex.accesses(e)))
    return any(isinstance(x, Stop) for part in parts if part is not None for x in ex.walk(part))


def _inside(bodies: Mapping[str, Statement]) -> Look:
    """How to look up what a tensor's entry stands for, given the pure statements."""

    def inside(a: Access) -> Expr | None:
        s = bodies.get(a.tensor)
        bound = None if s is None else match_index(s.left, a.index, {})
        return None if s is None or bound is None else placed(s.body, bound)

    return inside


def _shift(
    program: Program, s: Statement, exponential: Call, term: Expr, inside: Look, kept: Collection[str]
) -> tuple[Program, Step] | None:
    (exponent,) = exponential.args
    top = program.fresh(f"{s.out}_max")
    # a name of the user's keeps its meaning: the shifted sum is another tensor
    total = program.fresh(f"{s.out}_shifted") if program[s.out].named else s.out

    def scaled(e: object) -> Expr | None:
        """The sum as its largest exponential times the shifted sum."""
        if isinstance(e, Access) and e.tensor == s.out:
            return ex.mul(ex.call("exp", Stop(Access(top, e.index), "held")), Access(total, e.index))
        return opened(e)

    def together(e: object) -> Expr | None:
        """The sum as one exponential, so that `1 + s` is a sum of two."""
        if isinstance(e, Access) and e.tensor == s.out:
            log = ex.call("log", Access(total, e.index))
            return ex.call("exp", ex.add(Stop(Access(top, e.index), "held"), log))
        return opened(e)

    def opened(e: object) -> Expr | None:
        if isinstance(e, Access) and isinstance(body := inside(e), Call) and body.name == "exp":
            return body
        return None

    def left(e: object) -> bool:
        """Whether it is the exponential of the largest exponent, which may overflow."""
        if not (isinstance(e, Call) and e.name == "exp"):
            return False
        terms = e.args[0].args if isinstance(e.args[0], Add) else e.args
        parts = [ex.split(t) for t in terms]
        largest = any(isinstance(rest, Stop) and ex.tensors(rest) == (top,) for _, rest in parts)
        return largest and not any(c < 0 for c, _ in parts)

    shift = Stop(Access(top, s.left), "held")
    new: dict[Statement, tuple[Statement, ...]] = {
        s: (
            replace(s, out=top, op="max=", body=exponent),
            replace(s, out=total, body=swapped(term, exponential, ex.call("exp", exponent - shift))),
        )
    }
    for t in program.statements:
        if t.guard is not None and s.out in ex.tensors(t.guard):
            return None
        if s.out in t.reads:
            for form in (scaled, together):
                body = ex.rewrite(
                    ex.rewrite(t.body, form), lambda e: _together(e) or _stable(e, inside), bottom_up=True
                )
                if not any(map(left, ex.walk(body))):
                    break
            else:
                return None
            new[t] = (replace(t, body=body),)
    if len(new) == 1:
        return None
    made = replace(program[s.out], named=False)
    tensors = {**program.tensors, top: replace(made, name=top), total: replace(made, name=total)}
    statements = tuple(n for t in program.statements for n in new.get(t, (t,)))
    # exponentials that were only used here are gone: left in, they would still overflow
    read = {r for t in statements for r in t.reads}
    lost = {t.out for t in program.statements if t.out not in read and t.out not in kept and t.out in s.reads}
    statements = tuple(t for t in statements if t.out not in lost)
    reason = (
        f"Subtracting the largest exponent inside the sum {s.out} changes no share and no logarithm, "
        "and no exponential overflows."
    )
    step = Step(
        0, "stable", tuple(n for group in new.values() for n in group), before=tuple(new), reason=reason
    )
    return replace(program, tensors=tensors, statements=statements), step


def _together(e: object) -> Expr | None:
    """`exp(a)/exp(b)` as `exp(a - b)`, and `exp(a)*sigmoid(b)` as `exp(a + logsigmoid(b))`."""
    if isinstance(e, Mul):
        parts = factors(e)
        pair = [
            f for f in parts if isinstance(f, Call) and f.name in ("exp", "sigmoid") and parts[f] == ex.ONE
        ]
        if {f.name for f in pair} == {"exp", "sigmoid"}:
            rest = [ex.power(f, x) for f, x in parts.items() if f not in pair]
            logs = (f.args[0] if f.name == "exp" else ex.call("logsigmoid", *f.args) for f in pair)
            return ex.mul(*rest, ex.call("exp", ex.add(*logs)))
        exps = [f for f in parts if isinstance(f, Call) and f.name == "exp"]
        if any(parts[f] == Num(Fraction(-1)) for f in exps) and len(exps) > 1:
            rest = [ex.power(f, x) for f, x in parts.items() if f not in exps]
            return ex.mul(*rest, ex.call("exp", ex.add(*(ex.mul(parts[f], f.args[0]) for f in exps))))
    return None


def logdets(program: Program, wanted: Collection[str] = ()) -> Change:
    """`log(abs(det(A)))` as `logdet(A)`: a determinant may be larger or smaller than any float, its logarithm not."""
    statements: list[Statement] = []
    tensors, steps = dict(program.tensors), []
    known = {computed(s): s.out for s in program.statements if s.op == "logdet"}
    made: list[Statement] = []

    def one(e: object) -> Expr | None:
        match e:
            case Call("log", (Call("abs", (Access(name, index),)),)) if name not in wanted:
                writers = program.writers(name)
                if len(writers) != 1 or writers[0].op != "det":
                    return None
                s = replace(writers[0], op="logdet", body=Call("logdet", operands(writers[0])))
                key = computed(s)
                if key not in known:
                    known[key] = program.fresh(f"{name}_log", tensors)
                    tensors[known[key]] = replace(program[name], name=known[key], named=False)
                    made.append(replace(s, out=known[key]))
                return Access(known[key], index)
        return None

    for s in program.statements:
        body = s.body if s.op in IMPLICIT else ex.rewrite(s.body, one)
        new = s if body == s.body else replace(s, body=body)
        if new is not s:
            reason = "The logarithm is found without the determinant, which may be too large or too small for a float."
            steps.append(Step(0, "stable", (*made, new), before=(s,), reason=reason))
        statements += [*made, new]
        made.clear()
    return replace(program, tensors=tensors, statements=tuple(statements)), steps


def stored(program: Program, wanted: Collection[str] = ()) -> Change:
    """Bodies of maxima and minima that are more than a look at one tensor become tensors of their own."""
    tensors, statements, steps = dict(program.tensors), [], []
    for s in program.statements:
        if s.op in ("max=", "min=") and not isinstance(s.body, Access):
            name = program.fresh(f"{s.out}_of", tensors)
            index = tuple(axis(a) for a, _ in s.axes)
            tensors[name] = Tensor(name, tuple(n for _, n in s.axes), named=False, label=program[s.out].label)
            body = replace(s, out=name, left=index, op="=", ties="shared")
            largest = replace(s, body=Access(name, index))
            reason = f"What {s.out} chooses from is kept, so that its winner is found again exactly."
            steps.append(Step(0, "stable", (body, largest), before=(s,), reason=reason))
            statements += [body, largest]
        else:
            statements.append(s)
    return replace(program, tensors=tensors, statements=tuple(statements)), steps
