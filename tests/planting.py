"""Faults of every kind that can be planted in one place of a program: a factor, a sign, an axis, an index, a guard, ...

`places(program)` names them all, in order, each with a function that plants it; what that does not change is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from symgrad.chain import partial
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Add, Bracket, Call, Cmp, Expr, Logic, Mul, Num, Pow, Stop, Val
from symgrad.language.ints import Int, Look, Size
from symgrad.language.program import Program, Statement
from symgrad.leaves import LEAVES

THOUSANDTH = Fraction(1001, 1000)
_EDGES = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}


@dataclass(frozen=True)
class Place:
    """Where a fault can be: its kind, the statement, what would be wrong, and the program that has it."""

    kind: str
    out: str
    what: str
    plant: Callable[[], Program]


def places(program: Program) -> list[Place]:
    """Every place of a program, in order."""
    found = []
    for k, s in enumerate(program.statements):
        for kind, what, fault in _faults(program, s):

            def planted(k: int = k, fault: Callable[[], Statement | None] = fault) -> Program:
                new = fault()
                here = () if new is None else (new,)
                around = program.statements
                return replace(program, statements=(*around[:k], *here, *around[k + 1 :]))

            found.append(Place(kind, s.out, f"{what} in {s}", planted))
        if s.op in ("+=", "prod="):

            def twice(k: int = k, s: Statement = s) -> Program:
                around = program.statements
                return replace(program, statements=(*around[:k], s, *around[k:]))

            found.append(Place("statement twice", s.out, f"twice {s}", twice))
    found += _loops(program)
    return found


Fault = tuple[str, str, Callable[[], Any]]


def _faults(program: Program, s: Statement) -> Iterator[Fault]:
    """The faults of one statement: kind, what is wrong, and the statement that has it (None: it is gone)."""
    if len(program.writers(s.out)) > 1:
        yield "writer dropped", "the whole", lambda: None
    if s.op not in ("=", "+=", "max=", "min=", "prod="):
        return  # the body of an implicit statement is its operands
    yield "factor", "a thousandth", lambda: replace(s, body=s.body * THOUSANDTH)
    yield "sign", "minus", lambda: replace(s, body=-s.body)
    for op in {"=": (), "+=": ("=", "max="), "max=": ("min=", "+="), "min=": ("max=", "+=")}.get(
        s.op, ("+=",)
    ):
        if op != "=" or s.reduced or len(program.writers(s.out)) > 1 or not s.plain:
            yield "operator", f"{op} for {s.op}", lambda op=op: replace(s, op=op)
    for kind, what, old, new in _changes(program, s, s.body):
        yield kind, what, lambda old=old, new=new: replace(s, body=_instead(s.body, old, new()))
    yield from _guards(program, s)
    yield from _left(s)


def _instead(body: Any, old: Any, new: Any) -> Any:
    """The expression with one part replaced, wherever it stands."""
    return ex.rewrite(body, lambda e: new if e == old else None)


Change = tuple[str, str, Any, Callable[[], Any]]


def _changes(program: Program, s: Statement, body: Expr) -> Iterator[Change]:
    """What can be wrong in a body: kind, words, the part, what stands there instead."""
    for e in dict.fromkeys(ex.walk(body)):
        match e:
            case Access():
                yield "factor", f"a thousandth of {e}", e, lambda e=e: e * THOUSANDTH
                yield from _entry(program, s, e)
            case Num(v) if v not in (0, 1, -1):
                yield "factor", f"a number beside {v}", e, lambda v=v: Num(v * THOUSANDTH)
            case Val(i):
                yield from _sizes(program, e, i)
            case Add(args):
                for a in args:
                    rest = [b for b in args if b is not a]
                    yield "term dropped", f"{a} of {e}", e, lambda rest=rest: ex.add(*rest)
                    yield "sign", f"minus {a}", e, lambda rest=rest, a=a: ex.add(*rest, -a)
            case Mul(args):
                for a in args:
                    rest = [b for b in args if b is not a]
                    kind = "bracket" if isinstance(a, Bracket) else "factor dropped"
                    yield kind, f"{a} of {e}", e, lambda rest=rest: ex.mul(*rest)
            case Pow(a, Num(v)):
                for by in (1, -1):
                    yield "exponent", f"{v + by} for {v}", e, lambda a=a, v=v, by=by: ex.power(a, v + by)
            case Call(name, args):
                yield from _leaf(e, name, args)
            case Bracket(c):
                for what, other in _conditions(c):
                    yield "bracket", what, e, lambda other=other: Bracket(other)
            case Stop(a, _):
                yield "stop", f"{a} gone", e, lambda: ex.ONE


def _leaf(e: Call, name: str, args: tuple[Expr, ...]) -> Iterator[Change]:
    yield "leaf", f"{args[0]} for {e}", e, lambda: args[0]
    same = [n for n, leaf in LEAVES.items() if len(leaf.params) == len(args)]
    other = same[(same.index(name) + 1) % len(same)]
    yield "leaf", f"{other} for {name}", e, lambda: ex.call(other, *args)
    if len(args) == 2:
        yield "leaf", f"{e} the other way round", e, lambda: ex.call(name, *reversed(args))

    def derivative() -> Expr:
        entry = Access("leaf argument", ())
        return _instead(partial(ex.call(name, entry, *args[1:]), entry), entry, args[0])

    yield "leaf", f"the derivative of {name}", e, derivative


def _entry(program: Program, s: Statement, e: Access) -> Iterator[Change]:
    """Another entry, or one of another tensor."""

    def at(place: int, i: Int) -> Access:
        return Access(e.tensor, (*e.index[:place], i, *e.index[place + 1 :]))

    t = program[e.tensor]
    for place, i in enumerate(e.index):
        for kind, what, j in _positions(program, s, i):
            yield kind, f"{what} of {e}", e, lambda place=place, j=j: at(place, j)
        for other in range(place + 1, len(e.index)):
            if t.shape[place] == t.shape[other] and e.index[other] != i:
                swapped = list(e.index)
                swapped[place], swapped[other] = swapped[other], swapped[place]
                yield "transpose", f"{e}", e, lambda swapped=swapped: Access(e.tensor, tuple(swapped))
    known = [*program.tensors]
    ready = {x.name for x in program.inputs} | {
        x.name for x in program.tensors.values() if x.literal is not None
    }
    for w in program.statements:
        if w is s:
            break
        ready.add(w.out)
    same = [
        n for n in known
        if n in ready and n != e.tensor and program[n].shape == t.shape and not program[n].integer and not t.early
        and not program[n].early
    ]  # fmt: skip
    for n in same[:1] + same[1:][-1:]:
        yield "tensor", f"{n} for {e}", e, lambda n=n: Access(n, e.index)


def _positions(program: Program, s: Statement, i: Int) -> Iterator[tuple[str, str, Int]]:
    """Other places on an axis."""
    if not i.terms:
        yield "index", f"1 for {i}", ints.ONE
        return
    if i.axis is not None:
        n = s.ranges[i.axis]
        yield "index", f"{n} - 1 - {i} for {i}", n - 1 - i
        for a, m in s.axes:
            if a != i.axis and m == n:
                yield "axis", f"{a} for {i}", ints.axis(a)
        yield "index", f"0 for {i}", ints.ZERO
    yield "index", f"{i} - 1 for {i}", i - 1
    yield "index", f"{i} + 1 for {i}", i + 1
    if len(i.terms) > 1 or any(abs(c) > 1 for m, c in i.terms if m):
        for m, c in i.terms:
            if m:
                one = Int(((m, 1),))
                yield (
                    "stride",
                    f"another stride of {one} in {i}",
                    i + one * (1 if abs(c) == 1 else -(c // abs(c))),
                )
    for look in (a for a in i.atoms() if isinstance(a, Look)):
        t = program[look.tensor]
        for other in program.tensors.values():
            if other.integer and other.name != t.name and other.shape == t.shape:
                yield (
                    "look-up",
                    f"{other.name} for {look}",
                    i.substitute({look: ints.of(Look(other.name, look.index))}),
                )
        for place, j in enumerate(look.index):
            if j.axis is not None:
                moved = (*look.index[:place], s.ranges[j.axis] - 1 - j, *look.index[place + 1 :])
                yield "look-up", f"mirrored {look}", i.substitute({look: ints.of(Look(look.tensor, moved))})


def _sizes(program: Program, e: Val, i: Int) -> Iterator[Change]:
    letters = [a for a in dict.fromkeys(i.atoms()) if isinstance(a, Size)]
    for a in letters:
        k = program.sizes.index(a.name)
        other = program.sizes[(k + 1) % len(program.sizes)]
        if other != a.name:
            yield "size", f"{other} for {a}", e, lambda a=a, o=other: Val(i.substitute({a: ints.size(o)}))
    yield "size", f"{i} + 1", e, lambda: Val(i + 1)


def _conditions(c: Any) -> Iterator[tuple[str, Any]]:
    for e in dict.fromkeys(ex.walk(c)):
        if isinstance(e, Cmp):
            yield f"{_EDGES[e.op]} for {e.op} in {c}", _instead(c, e, Cmp(_EDGES[e.op], e.a, e.b))
            yield f"one more in {c}", _instead(c, e, Cmp(e.op, e.a + 1, e.b))
        if isinstance(e, Logic) and e.op in ("and", "or"):
            other = Logic("or" if e.op == "and" else "and", e.args)
            yield f"{other.op} for {e.op} in {c}", _instead(c, e, other)


def _guards(program: Program, s: Statement) -> Iterator[Fault]:
    parts = ex.conjuncts(s.guard)
    for c in parts:
        rest = ex.both(*(b for b in parts if b is not c))
        yield "guard", f"without {c}", lambda rest=rest: replace(s, guard=rest)
    if s.guard is not None:
        for what, other in _conditions(s.guard):
            yield "guard", what, lambda other=other: replace(s, guard=other)
    for a, n in s.axes:
        for c in (Cmp(">", ex.val(ints.axis(a)), ex.ZERO), Cmp("<", ex.val(ints.axis(a)), ex.val(n - 1))):
            if s.scan is None or s.scan.axis != a or c.op == "<":
                yield "guard", f"with {c}", lambda c=c: replace(s, guard=ex.both(s.guard, c))
    for a, n in s.axes:
        yield "range", f"{a} < {n} - 1", lambda a=a, n=n: replace(
            s, axes=tuple((b, m - 1 if b == a else m) for b, m in s.axes)
        )  # fmt: skip


def _left(s: Statement) -> Iterator[Fault]:
    """Written to another place."""
    for k, i in enumerate(s.left):
        if s.scan is not None and s.scan.axis in i.axes:
            continue
        if i.axis is not None:
            mirrored = s.ranges[i.axis] - 1 - i
            yield "index", f"{mirrored} for {i} on the left", lambda k=k, m=mirrored: replace(
                s, left=(*s.left[:k], m, *s.left[k + 1 :])
            )  # fmt: skip
        elif i.axes:
            yield "index", f"{i} - 1 on the left", lambda k=k, i=i: replace(
                s, left=(*s.left[:k], i - 1, *s.left[k + 1 :])
            )  # fmt: skip


def _loops(program: Program) -> Iterator[Place]:
    """A loop run in the other direction."""
    loops = dict.fromkeys(s.scan.loop for s in program.statements if s.scan is not None)
    for loop in loops:

        def turned(loop: tuple[str, bool] = loop) -> Program:
            return replace(program, statements=tuple(
                replace(s, scan=replace(s.scan, backward=not s.scan.backward))
                if s.scan is not None and s.scan.loop == loop else s for s in program.statements
            ))  # fmt: skip

        outs = [s.out for s in program.statements if s.scan is not None and s.scan.loop == loop]
        yield Place("loop", outs[0], f"the loop {loop[0]} in the other direction", turned)
