"""The update equations of an optimiser as lines of a module, lowered like every other statement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from symgrad.emit.fast import Fast
from symgrad.emit.names import Names, wrapped
from symgrad.emit.plainly import FUNCTIONS, NoFormula, python
from symgrad.emit.plan import Plan
from symgrad.emit.readable import Readable
from symgrad.emit.updates import Folded, folded
from symgrad.errors import Refusal, listing
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.updates import COUNT, NORM, RATE, TOTAL, Equations, Rule, Update
from symgrad.leaves import LEAVES


def program(rule: Rule, equations: Equations, scalars: Iterable[str]) -> Program:
    """Equations over one long axis; state and weights are read before they are written."""
    p = ints.size("count")
    arrays = dict.fromkeys(("w", "g", *rule.state))
    for name, body in equations:
        if any(a in arrays for a in ex.tensors(body)):
            arrays[name] = None
    tensors = {name: Tensor(name, (p,), "data") for name in arrays}
    tensors |= {name: Tensor(name, (), "constant") for name in scalars}
    tensors |= {name: Tensor(name) for name, _ in equations if name not in tensors}
    statements = []
    for name, body in equations:
        along = (("k", p),) if name in arrays else ()
        left = tuple(ints.axis(a) for a, _ in along)
        statements.append(Statement(name, left, "=", _entries(body, arrays), along))
    return Program(tensors, tuple(statements), "w")


def _entries(body: Expr, arrays: Mapping[str, object]) -> Expr:
    def entry(e: Expr) -> Expr | None:
        return Access(e.tensor, (ints.axis("k"),)) if isinstance(e, Access) and e.tensor in arrays else None

    entered: Expr = ex.rewrite(body, entry)
    return entered


def single(rule: Rule) -> Equations:
    """The equations with a name of its own for each value that is computed: only the last of `w` and of a state keeps
    the name. What is given, `g` too, stays as it is."""
    names = [name for name, _ in rule.equations]
    kept = {"w", *rule.state}
    taken = Names(("w", "g", *rule.moving, *rule.numbers, *names))
    now: dict[str, str] = {}
    found = []

    def entry(e: object) -> Expr | None:
        return Access(now.get(e.tensor, e.tensor), ()) if isinstance(e, Access) else None

    for k, (name, body) in enumerate(rule.equations):
        value = ex.rewrite(body, entry)
        final = name != "g" and name not in names[k + 1 :]
        now[name] = name if final and (name in kept or name not in now) else taken.counted(name)
        found.append((now[name], value))
    return tuple(found)


def readable(rule: Rule) -> tuple[list[str], dict[str, None]]:
    """Lines that update `w` and the state in place, given `g`, the numbers and `t`; the helpers that they call."""
    whole = program(rule, single(rule), (*rule.numbers, *rule.moving))
    names = Names()
    for name in ("count", *whole.tensors):
        names.of(name)
    writer = Readable(whole, names, {}, typed=False)
    kept = {"w", *rule.state}
    lines = []
    for line in writer.write(whole.statements):
        name, _, value = line.partition(" = ")
        if value in kept and name not in kept:
            value += ".copy()"  # as it is now
        lines.append(f"{name}{'[:]' if name in kept else ''} = {value}")
    lines = [line for line in lines if not line.startswith("#")]
    if any(re.search(r"\bcount\b", line) for line in lines):  # of what is the same for all entries
        lines.insert(0, "count = w.size")
    return lines, writer.text.helpers


def numbered(rule: Rule) -> Folded:
    """The equations as the fast forms compute them: numbers that are the same for all entries are letters."""
    equations, scalars = single(rule), (*rule.numbers, *rule.moving)
    found = folded(equations, rule.state, rule.numbers, rule.moving)
    return found or Folded(equations, {name: Access(name, ()) for name in scalars}, plain=True)


def fast(rule: Rule) -> tuple[Plan, dict[str, None]]:
    """A plan that does the same without making arrays; the helpers that it calls."""
    done = numbered(rule)
    whole = program(rule, done.equations, done.numbers)
    kept = ("w", *rule.state)
    given = (*kept, "g", *done.numbers)
    names = Names(() if done.plain else (*rule.numbers, *rule.moving, *done.parts))
    for name in given:
        names.of(name)
    writer = Fast(whole, names, {}, given, {name: name for name in kept}, ())
    plan = writer.write(whole.statements)
    return plan, {**writer.text.helpers, **dict.fromkeys(("_bits", "_mask") if plan.bits else ())}


# what the functions that update, and the methods that call them, use themselves
_OWN = (
    "self w g t T norm np math float int len tuple sum max min abs round zip range slice dict list map isinstance "
    "Problem SHAPES WEIGHTS STATES CHUNK NUMBERS partial numba count total size dtype adopt run out where "
    "_rooms _shared _room _update _training _compiled _compiled_update _rate _scales threads tile micro_batch compiled "
    "given letter letters shapes rows flat chunk parts p rooms own options numbers told order start arguments lr_now "
    "name value update updates views rate rates "
    "loss done _i _row"
)


def sourced(rule: Rule) -> Rule:
    """The rule with names that can stand in a module beside the module's own: one that cannot ends with `_`.

    Raises:
        Refusal: a number is called as another argument of the module's `Model`.
    """
    for name in rule.options:
        if name in ("self", "dtype", "threads", "tile", "micro_batch", "compiled"):
            raise Refusal(
                f"a module has an argument {name} of its own: give the number of {rule.name} another name"
            )
    names = Names((*_OWN.split(), *LEAVES))

    def renamed(part: Update) -> Update:
        shared = {"w", "g", COUNT, RATE, *({NORM, TOTAL} - part.own)}
        return part.renamed(lambda name: name if name in shared else names.of(name))

    before = tuple(map(renamed, rule.before))
    given = {name if name == RATE else names.of(name): value for name, value in rule.given.items()}
    return Rule(renamed(rule.optimizer), before, rule.schedule and renamed(rule.schedule), given)


def schedule(rule: Rule) -> dict[str, object] | None:
    """The fields of a template for the learning rate of a step."""
    if rule.schedule is None:
        return None
    *parts, (_, last) = rule.schedule.equations
    try:
        lines = [f"{name} = {python(e)}" for name, e in parts]
        result = python(last)
    except NoFormula as problem:
        raise Refusal(
            f"the schedule {rule.schedule.name} uses {problem}, which is no formula of Python's numbers; "
            f"it may use {listing(FUNCTIONS)}"
        ) from None
    return {
        "name": rule.schedule.name,
        "about": wrapped(rule.schedule.about, 100),
        "lines": lines,
        "result": result,
        "numbers": list(rule.schedule.options),
        "counts": rule.counts,
    }
