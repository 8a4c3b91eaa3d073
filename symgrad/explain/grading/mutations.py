"""The mistakes that are made in one step of a derivation, made on purpose: an adjoint statement with one thing wrong.

Each is general: it changes a statement that the chain rule gave (`slips`) or any adjoint statement (`changes`), and
knows nothing of the network around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from symgrad.chain import partial
from symgrad.explain.grading.mistake import Mistake
from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Bracket, Call, Cmp, Expr, Mul, Num, Pow, Stop
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Look, of
from symgrad.language.program import Program, Statement
from symgrad.language.trace import Step
from symgrad.leaves import LEAVES

_SLOT = Access("_slot", ())
_RULE = "Look again at the step from {out} back to {of}."
_ACTIVATION = "Look at the activation: is its derivative there, and is it taken at the right place?"
_POWER = "Look at the power rule: which factor and which exponent does it give?"
_FACTORS = "Look at the factors of the step from {out} back to {of}: one of them is not right."
_LAYER = "Look at which layer each factor comes from."
_SIGNS = "Look at the signs of the terms."


@dataclass(frozen=True)
class Change:
    """A mistake, and the statement that has it; None where the statement is left out."""

    mistake: Mistake
    statement: Statement | None


def short(e: Any) -> str:
    """An expression for a sentence, without plain indices; a kink's slope without the share of a tie."""
    if isinstance(e, Add):
        strict = [t for t in e.args if _relation(t) in ("<", ">")]
        if len(strict) == 1 and all(t in strict or _relation(ex.split(t)[1]) == "==" for t in e.args):
            e = strict[0]
    return re.sub(r"\[[\w, ]*\]", "", str(e))


def _relation(t: Expr) -> str:
    """The relation of a bracket."""
    return t.condition.op if isinstance(t, Bracket) and isinstance(t.condition, Cmp) else ""


# ---------------------------------------------------------------------- a step of the chain rule


def slips(step: Step, program: Program) -> Iterator[Change]:
    """What goes wrong when a body is differentiated: activations and powers."""
    s, source, entry = step.equation[0], step.source, step.access
    if source is None or entry is None or step.partial is None or source.op in IMPLICIT:
        return
    bar = next((a for a in ex.accesses(s.body) if program[a.tensor].of == source.out), None)
    front: Expr = ex.ONE if bar is None else bar
    if s.body != ex.mul(front, step.partial):
        return
    places = {"out": source.out, "of": entry.tensor}
    for part in dict.fromkeys(ex.walk(source.body)):
        if isinstance(part, Call) and part.name not in LEAVES:
            continue  # what an equation defines has no slope of its own
        if not isinstance(part, (Call, Pow)) or entry not in ex.accesses(part, stopped=False):
            continue
        for slope, why, kind, hint in _slopes(part, entry):
            wrong = _with_slope(source.body, part, slope, entry)
            changed = ex.mul(front, partial(wrong, entry))
            if changed != s.body:
                told = f"{why}, in the step from {source.out} back to {entry.tensor}"
                yield Change(Mistake(kind, told, hint.format(**places)), replace(s, body=changed))


def _slopes(part: Expr, entry: Access) -> Iterator[tuple[Expr, str, str, str]]:
    """Wrong derivatives of a function or a power by what it is of, with the entry in it."""
    match part:
        case Call(name, (x,)) if not isinstance(x, Num):
            right = partial(Call(name, (_SLOT,)), _SLOT)
            value, at = Call(name, (x,)), short(x)
            yield ex.ONE, f"the derivative of {name} is forgotten", "activation", _ACTIVATION
            again = _at(right, value)
            yield again, (
                f"the derivative of {name} is taken at {name}({at}), and belongs at {at} itself"
            ), "activation", _ACTIVATION  # fmt: skip
            inner = ex.rewrite(right, lambda e: x if e == Call(name, (_SLOT,)) else None)
            yield _at(inner, x), (
                f"in the derivative of {name} stands {at} where {name}({at}) belongs"
            ), "activation", _ACTIVATION  # fmt: skip
            yield value, f"{name} itself stands where its derivative belongs", "activation", _ACTIVATION
            yield ex.mul(-1, _at(right, x)), f"the derivative of {name} has the wrong sign", "sign", _SIGNS
        case Call(name, args) if len(args) > 1 and (own := _of_entry(args, entry)) is not None:
            right = partial(Call(name, tuple(_SLOT if a == own else a for a in args)), _SLOT)
            yield ex.ONE, f"the derivative of {name} is forgotten", "activation", _ACTIVATION
            yield part, f"{name} itself stands where its derivative belongs", "activation", _ACTIVATION
            yield ex.mul(-1, _at(right, own)), f"the derivative of {name} has the wrong sign", "sign", _SIGNS
        case Pow(x, Num(n)) if n not in (0, 1):
            lower = ex.power(x, n - 1)
            factor = ex.decimal(n)
            yield (
                lower,
                f"the factor {factor} of the derivative of {short(part)} is missing",
                "factor",
                _POWER,
            )
            if n != 2:
                yield ex.mul(n, part), f"the exponent of {short(part)} is not lowered by one", "power", _POWER
            yield part, f"{short(part)} itself stands where its derivative belongs", "power", _POWER
            yield ex.ONE, f"the derivative of {short(part)} is forgotten", "power", _POWER
            if n < 0:
                yield (
                    ex.mul(-1, n, lower),
                    f"the derivative of {short(part)} has the wrong sign",
                    "sign",
                    _SIGNS,
                )


def _of_entry(args: Sequence[Expr], entry: Access) -> Expr | None:
    """The argument that an entry is in, if it is in one only."""
    found = [a for a in args if entry in ex.accesses(a, stopped=False)]
    return found[0] if len(found) == 1 else None


def _at(slope: Expr, x: Expr) -> Expr:
    return ex.rewrite(slope, lambda e: x if e == _SLOT else None)


def _with_slope(body: Expr, part: Expr, slope: Expr, entry: Access) -> Expr:
    """The body where a part has its value and another derivative: held(part) + held(slope)*(x - held(x))."""
    x = part.base if isinstance(part, Pow) else part
    if isinstance(part, Call):
        x = _of_entry(part.args, entry) or part

    def fixed(e: Expr) -> Expr:
        return Stop(e, "held")

    linear = Add((fixed(part), Mul((fixed(slope), Add((x, Mul((Num(Fraction(-1)), fixed(x)))))))))
    return ex.rewrite(body, lambda e: linear if e == part else None)


# ---------------------------------------------------------------------- any statement


def changes(s: Statement, program: Program) -> Iterator[Change]:
    """One thing wrong in an adjoint statement: a sign, a term, a factor, an entry, a label, a sum."""
    if s.op in IMPLICIT:
        return
    of = program[s.out].of or s.out
    out = next((program[a.tensor].of for a in ex.accesses(s.body) if program[a.tensor].of), program.target)
    places = {"out": out, "of": of}
    where = f"in the derivative by {of}" if of else "in the derivative"
    for new, kind, why, hint in _edits(s, program):
        if new != s:
            yield Change(Mistake(kind, f"{why}, {where}", hint.format(**places)), new)


def _edits(s: Statement, program: Program) -> Iterator[tuple[Statement, str, str, str]]:
    for guard_or_body, other in _labels(s):
        yield replace(s, body=guard_or_body[0], guard=guard_or_body[1]), "label", other, (
            "Look at how the labels are counted: here they start at 0."
        )  # fmt: skip
    for part in dict.fromkeys(x for x in ex.walk(s.body) if isinstance(x, (Add, Mul, Access))):
        match part:
            case Add(args):
                for k, t in enumerate(args):
                    rest = args[:k] + args[k + 1 :]
                    yield _put(s, part, ex.add(*rest)), "term", f"the term {short(t)} is forgotten", _RULE
                    turned = ex.add(*args[:k], ex.mul(-1, t), *args[k + 1 :])
                    yield _put(s, part, turned), "sign", f"the sign of {short(t)} is wrong", _SIGNS
            case Mul(args):
                for k, f in enumerate(args):
                    if not _signal(f, program):
                        without = ex.mul(*args[:k], *args[k + 1 :])
                        shown = f"1/{short(ex.power(f, -1))}" if _divides(f) else short(f)
                        yield _put(s, part, without), "factor", f"the factor {shown} is missing", _FACTORS
            case Access(name, index):
                yield from _entries(s, part, name, index, program)


def _divides(f: Expr) -> bool:
    return isinstance(f, Pow) and isinstance(f.exponent, Num) and f.exponent.value < 0


def _signal(f: Expr, program: Program) -> bool:
    return isinstance(f, Access) and program[f.tensor].role == "adjoint"


def _entries(
    s: Statement, part: Access, name: str, index: Any, program: Program
) -> Iterator[tuple[Statement, str, str, str]]:
    t = program[name]
    if len(index) > 1 and t.shape[-1] == t.shape[-2] and index[-1] != index[-2]:
        turned = Access(name, (*index[:-2], index[-1], index[-2]))
        yield _put(s, part, turned), "transpose", f"{name} is transposed the other way", (
            "Look at the transposes: over which index is summed?"
        )  # fmt: skip
    for other in program.tensors.values():
        alike = other.shape == t.shape and other.name != name and other.early == t.early and not other.integer
        given = other.role in ("weight", "data", "constant")
        known = other.named and (given or other.role == "value") or other.role == t.role
        # what is computed from this statement cannot stand in it
        there = given or _computed_before(other.name, s, program)
        if alike and known and there and t.shape and (other.role == "adjoint") == (t.role == "adjoint"):
            why = f"{_told(other)} stands where {_told(t)} belongs"
            yield _put(s, part, Access(other.name, index)), "name", why, _LAYER


def _computed_before(name: str, s: Statement, program: Program) -> bool:
    """Whether a tensor is computed, and all of it above a statement."""
    writers = program.writers(name)
    above = program.statements[: program.statements.index(s)]
    return bool(writers) and all(w in above for w in writers)


def _told(t: Any) -> str:
    return f"δ{t.of}" if t.role == "adjoint" else t.name


def _put(s: Statement, part: Expr, new: Expr) -> Statement:
    return replace(s, body=ex.rewrite(s.body, lambda e: new if e is part or e == part else None))


def _labels(s: Statement) -> Iterator[tuple[tuple[Expr, Any], str]]:
    """Labels taken one lower or higher, as where they are counted from 1."""
    looks = dict.fromkeys(
        a
        for e in (s.body, s.guard)
        if e is not None
        for i in ex.ints(e)
        for a in i.atoms()
        if isinstance(a, Look)
    )
    for look in looks:
        for shift in (-1, 1):

            def moved(e: Any, look: Look = look, shift: int = shift) -> Any:
                match e:
                    case Cmp(op, a, b):
                        values: Mapping[Any, Any] = {look: of(look) + shift}
                        return Cmp(op, ex.substitute(a, values), ex.substitute(b, values))
                return None

            body = ex.rewrite(s.body, moved)
            guard = None if s.guard is None else ex.rewrite(s.guard, moved)
            if (body, guard) != (s.body, s.guard):
                yield (body, guard), f"the labels {look.tensor} are off by one (they count from 0)"
