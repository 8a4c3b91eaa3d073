"""The one rule. For every statement, walking backwards, and every entry `a` that its body reads:

    ā[indices of a]  +=  out̄[left] · ∂body/∂a        over the same axes, under the same guard

sympy differentiates the scalar body, with the entries as opaque real symbols; the indices of the entry go to the left
side. The result is statements of the same form, so it can be tidied, printed, run and differentiated again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from symgrad.errors import Refusal, did_you_mean, listing
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.differentials import Differential, computed
from symgrad.language.expr import Access, Bracket, Call, Cmp, Condition, Expr, Stop
from symgrad.language.implicit import IMPLICIT, operands
from symgrad.language.ints import Int
from symgrad.language.program import Block, Program, Scan, Statement, Tensor, blocks, inside
from symgrad.language.syntax import shortened

# one scalar body


def partial(body: Expr, entry: Access) -> Expr:
    """∂body/∂entry, exact. Brackets, `stop` and `held` are constants; other entries are independent variables.

    Example:
        >>> from symgrad.language.expr import Access, call
        >>> x = Access("x", ())
        >>> partial(call("tanh", x) * 3, x)
        3*(1 - tanh(x)**2)

    Raises:
        Refusal: it is no real number, whatever the entries are.
    """
    slots: dict[Expr, Expr] = {}

    def opaque(e: Expr) -> Expr | None:
        if isinstance(e, (Access, Stop, Bracket, ex.Val)):
            return slots.setdefault(e, Access(f"{'b' if isinstance(e, Bracket) else '_'}{len(slots)}", ()))
        return None

    skeleton = ex.rewrite(body, opaque)
    if entry not in slots:
        return ex.ZERO
    back = {slot: e for e, slot in slots.items()}
    from symgrad.scalars import differentiate

    slope = differentiate(skeleton, slots[entry])
    if slope is None:
        raise Refusal(
            f"'{shortened(str(body))}' has no real slope by {entry} anywhere: a root, a power or a logarithm in it is "
            "of what is negative, or something is divided by 0, for all numbers; check its signs"
        )
    return ex.rewrite(slope, back.get)


# a whole program


@dataclass(frozen=True)
class Chained:
    """An adjoint statement as the rule gives it: where from, which entry, and the partial derivative.

    `support`: statements that must run before it (counts of ties, products of the others); all adjoint statements of
    one source share them."""

    statement: Statement
    source: Statement
    entry: Access
    partial: Expr
    support: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Sweep:
    """One joint reverse sweep: for each tensor in the order reached, how its adjoint is made up.

    `target` is what was differentiated. Where it has axes, every adjoint carries them in front, under the letters
    `lead`: the entry `[l, i]` of an adjoint is the derivative of the target's entry `l` by the tensor's entry `i`.
    `carried`: the target is written and read by a loop, and its adjoint is more than one at its own place.
    """

    program: Program
    chained: Mapping[str, tuple[Chained, ...]]
    adjoints: Mapping[str, str]
    target: str
    lead: tuple[tuple[str, Int], ...] = ()
    carried: bool = False


def check_wanted(program: Program, wrt: Iterable[str]) -> tuple[str, ...]:
    """The names to differentiate by, each known and real."""
    names = tuple(dict.fromkeys(wrt))
    for name in names:
        if name not in program.tensors:
            raise Refusal(
                f"wrt names '{name}', which is no tensor of the program{did_you_mean(name, program.tensors)} "
                f"(there are {listing(program.tensors)})"
            )
        t = program[name]
        if t.integer or t.role in ("constant", "literal", "draw", "state", "next"):
            what = "an integer tensor" if t.integer else f"declared as {t.role}"
            raise Refusal(
                f"'{name}' is {what} and has no gradient; ask for a weight, data or a computed tensor"
            )
    return names


@dataclass(frozen=True)
class Examples:
    """What is known of the examples of a program whose target is a sum over them, for gradients of each one's share.

    `count` is their number; `separate` are the tensors that have an axis of them, and those summed over it: an example
    meets no other on the way from its own entries to the target. The adjoints of all other tensors, which are shared
    by the examples, get an axis of them in front.
    """

    count: Int
    separate: Collection[str]

    def axis(self, s: Statement) -> str | None:
        """The axis of a statement that runs over the examples."""
        return next((a for a, n in s.axes if n == self.count), None)


def sweep(
    program: Program, wrt: Iterable[str], of: str = "", stem: str = "", examples: Examples | None = None
) -> Sweep:
    """The adjoint statements of all tensors between the wanted ones and the target, from the target back.

    Args:
        program: its target must be a scalar, unless `of` is given.
        wrt: names of weights, data or computed tensors.
        of: the tensor to differentiate, of any shape; its axes lead those of every adjoint.
        stem: how the names of adjoints begin: d, in a second sweep d2, unless given.
        examples: keeps the examples apart; the target is then a scalar.

    Raises:
        Refusal: the target is no scalar, or a wanted name is unknown or has no gradient.
    """
    target = program[of or program.target]
    if target.shape and not of:
        shape = ", ".join(map(str, target.shape))
        raise Refusal(
            f"'{target.name}' has the shape [{shape}], and a gradient needs a scalar: reduce it, for example "
            f"`loss = mean({target.name})` or `loss = sum({target.name})`, or ask for `sg.jacobian` of it"
        )
    names = check_wanted(program, wrt)
    runs = tuple(blocks(program.statements))
    active = _active(program, runs, names, target.name)
    ahead = (examples.count,) if examples else target.shape
    lead = tuple(zip(_letters(program, active, len(ahead)), ahead, strict=True))
    seed = tuple(ints.axis(a) for a, _ in lead)
    together = examples.separate if examples else ()  # what has no axes in front
    number = 1 + max(program[name].sweep for name in (target.name, *active))
    loops = {s.scan.loop for s in program.writers(target.name) if s.scan}
    taken: dict[str, None] = {}
    adjoints: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}

    def adjoint(name: str) -> str:
        if name not in adjoints:
            start = stem or ("d" if number == 1 else f"d{number}")
            adjoints[name] = program.fresh(start + name, taken)
            taken[adjoints[name]] = None
            t = program[name]
            front = () if name in together else ahead
            tensors[adjoints[name]] = Tensor(
                adjoints[name], (*front, *t.shape), "adjoint", of=name, seed=target.name, sweep=number,
                named=t.named, label=t.label, early=(*(0 for _ in front), *t.early) if t.early else (),
            )  # fmt: skip
        return adjoints[name]

    # a target that a loop writes and reads has an adjoint that steps add to, beside the one at its own place
    carried = any(target.name in s.reads for s in program.statements if s.scan and s.scan.loop in loops)

    def bar(s: Statement) -> Expr:
        """The adjoint of what a statement writes, there; of the target it is one at its own place."""
        if s.out != target.name or carried:
            return Access(adjoint(s.out), s.left if s.out in together else (*seed, *s.left))
        return ex.mul(*(Bracket(Cmp("==", ex.val(i), ex.val(j))) for i, j in zip(seed, s.left, strict=False)))

    def front(s: Statement, name: str) -> tuple[Int, ...]:
        """The places in front of an entry's own in what a statement adds to its adjoint."""
        own = examples.axis(s) if examples else None
        return () if name in together else (ints.axis(own),) if own else seed

    def added(s: Statement, entry: Access, slope: Expr, guard: Condition | None) -> Statement:
        """What a statement adds to the adjoint of an entry that it reads."""
        before, share = front(s, entry.tensor), ex.lift(1)
        axes = (*lead, *s.axes) if before and before == seed else s.axes
        if examples and s.out in together and axes != s.axes:
            # what no example has a hand in, they have equal shares of
            share = ex.power(ex.val(examples.count), -1)
        body = ex.mul(bar(s), share, slope)
        left = (*before, *entry.index)
        return Statement(adjoint(entry.tensor), left, "+=", body, axes, guard, line=s.line, label=s.label)

    def support(stem: str, shape: tuple[Int, ...]) -> str:
        name = program.fresh(stem, taken)
        taken[name] = None
        tensors[name] = Tensor(name, shape, "value", named=False)
        return name

    def need(name: str, shape: tuple[Int, ...]) -> str:
        """A tensor for a part of a differential; what an earlier sweep made and put in place keeps its name."""
        return support(name if number == 1 else f"{name}_{stem.rstrip('_') or f'd{number}'}", shape)

    def slopes(s: Statement) -> list[tuple[Access, Expr]]:
        if s.op in IMPLICIT:
            return []
        found = [(e, partial(s.body, e)) for e in ex.accesses(s.body, stopped=False) if e.tensor in active]
        return [(e, slope) for e, slope in found if slope != ex.ZERO]

    chained: dict[str, list[Chained]] = {}
    there = _computed(program)
    for block in reversed(runs):
        # what only readers with slope zero read has no adjoint
        known = {s: slopes(s) for s in block if s.out in active}
        met = {s.out for s in known if s.out == target.name or s.out in chained}
        met = _reached(met, {s: [e.tensor for e, _ in found] for s, found in known.items()})
        written = {s.out for s in block}
        for s in reversed(block):
            if s.op in IMPLICIT and s.out in met:
                ahead_of = () if s.out in together else lead
                for entry, slope, axes, needs in _implicit(s, bar(s), ahead_of, active, need, there):
                    left = (*front(s, entry.tensor), *entry.index)
                    new = Statement(
                        adjoint(entry.tensor), left, "+=", slope, axes, line=s.line, label=s.label
                    )
                    chained.setdefault(entry.tensor, []).append(Chained(new, s, entry, slope, needs))
            if s.out not in met or not known.get(s):
                continue
            factor, prepared = _selection(s, program, support)
            for entry, slope in known[s]:
                # what goes back to an earlier step of the same loop belongs to the loop that runs the other way
                inner = s.scan is not None and entry.tensor in written
                back = _reversed(s.scan, stem or str(number)) if inner else None
                for term, guard in _guarded(slope, entry, s, program):
                    new = replace(added(s, entry, ex.mul(factor, term), guard), scan=back)
                    chained.setdefault(entry.tensor, []).append(Chained(new, s, entry, slope, prepared))
    for name in names:
        if name not in chained:
            chained[name] = []
            adjoint(name)
    whole = replace(program, tensors={**program.tensors, **tensors})
    return Sweep(whole, {name: tuple(c) for name, c in chained.items()}, adjoints, target.name, lead, carried)


def _letters(program: Program, active: Collection[str], count: int) -> list[str]:
    """Letters for the axes of a target that mean nothing yet where it is differentiated."""
    met = {a for s in program.statements if s.out in active for a, _ in s.axes}
    taken = {*program.tensors, *program.sizes, *met}
    free = (f"{a}{k}" for k in ("", *range(2, 2 + count)) for a in "ijklpqrmabcuv")
    return list(itertools.islice((a for a in free if a not in taken), count))


def _reversed(scan: Scan | None, sweep: str) -> Scan | None:
    return None if scan is None else Scan(scan.axis, f"{scan.name}'{sweep}", not scan.backward)


def _reached(met: set[str], reads: Mapping[Statement, list[str]]) -> set[str]:
    """The tensors of a block whose adjoint is not zero, given those that later equations read."""
    count = -1
    while count < len(met):
        count = len(met)
        met = met | {r for s, found in reads.items() if s.out in met for r in found}
    return met


def _computed(program: Program) -> dict[Statement, str]:
    """The tensors of a program by what is computed in them."""
    alone = (s for s in program.statements if s.scan is None and len(program.writers(s.out)) == 1)
    found = {computed(s): s.out for s in alone}
    for s in program.statements:
        if s.op == "inv" and operands(s)[0].index == s.left:  # of which the inverse is what it was made of
            again = replace(s, body=Call("inv", (Access(s.out, s.left),)))
            found.setdefault(computed(again), operands(s)[0].tensor)
    return found


def _implicit(
    s: Statement,
    bar: Expr,
    lead: tuple[tuple[str, Int], ...],
    active: Collection[str],
    need: Callable[[str, tuple[Int, ...]], str],
    known: dict[Statement, str],
) -> Iterator[tuple[Access, Expr, tuple[tuple[str, Int], ...], tuple[Statement, ...]]]:
    """What a statement that an equation defines adds to its operands: the rule, applied to its stated differential.

    For each entry of an operand what is added to its adjoint, over which axes, and what must run before.
    """
    differential = Differential(s, bar, lead, need, known)
    for term in differential.terms:
        for entry in operands(s):
            slope = partial(term.body, entry) if entry.tensor in active else ex.ZERO
            if slope != ex.ZERO:
                yield entry, slope, term.axes, tuple(differential.needs)


def _guarded(
    slope: Expr, entry: Access, s: Statement, program: Program
) -> list[tuple[Expr, Condition | None]]:
    """The slope in parts, each with the guard under which it is added.

    Where a bracket kept the body from reading outside the tensor, it must keep the adjoint from writing there.
    """
    if inside(entry.index, program[entry.tensor], s.ranges, program.tensors):
        return [(slope, s.guard)]
    parts: list[tuple[Expr, Condition | None]] = []
    for term in _split(slope):
        held = [b for b in _brackets(term) if not ex.accesses(b)]
        factors = term.args if isinstance(term, ex.Mul) else (term,)
        rest = ex.mul(*(f for f in factors if f not in held))
        parts.append((rest, ex.both(s.guard, *(b.condition for b in held))))
    return parts


def _brackets(e: Expr) -> tuple[Bracket, ...]:
    """The brackets that multiply all of a body: where one of them is zero, so is the body."""
    match e:
        case Bracket():
            return (e,)
        case ex.Mul(args):
            return tuple(dict.fromkeys(b for f in args for b in _brackets(f)))
        case ex.Add((first, *rest)):
            return tuple(b for b in _brackets(first) if all(b in _brackets(t) for t in rest))
    return ()


def _split(e: Expr) -> list[Expr]:
    """The terms of a sum, also of one among factors, if each has a bracket of its own; else the whole."""
    sums = [f for f in (e.args if isinstance(e, ex.Mul) else (e,)) if isinstance(f, ex.Add)]
    for total in sums:
        common = _brackets(total)
        if all(any(b not in common for b in _brackets(t)) for t in total.args):
            others = [f for f in e.args if f is not total] if isinstance(e, ex.Mul) else []
            return [part for t in total.args for part in _split(ex.mul(*others, t))]
    return [e]


def _active(
    program: Program, runs: tuple[Block, ...], names: tuple[str, ...], target: str
) -> dict[str, None]:
    """Tensors that depend on a wanted one and that the target depends on."""
    up = set(names)
    reads = {id(s): tuple(a.tensor for a in ex.accesses(s.body, stopped=False)) for s in program.statements}
    for block in runs:
        for _ in block:  # as often as it takes for a loop to come round
            up.update(s.out for s in block if any(r in up for r in reads[id(s)]))
    down = {target}
    for block in reversed(runs):
        for _ in block:
            down.update(r for s in block if s.out in down for r in reads[id(s)])
    return {name: None for name in program.tensors if name in up and name in down}


def _selection(
    s: Statement, program: Program, support: Callable[[str, tuple[Int, ...]], str]
) -> tuple[Expr, tuple[Statement, ...]]:
    """The factor besides ∂body: one for sums; who won for a maximum; the product of the others for a product."""
    if s.op in ("=", "+=") or not s.reduced:
        return ex.ONE, ()
    s = replace(s, scan=None)  # all of its values are known by then
    out = Access(s.out, s.left)
    shape = program[s.out].shape
    if s.op in ("max=", "min="):
        won = Cmp("==", s.body, out)
        if s.ties == "first":
            position = ints.ZERO
            for a in s.reduced:
                position = position * s.ranges[a] + ints.axis(a)
            first = support(f"{s.out}_first", shape)
            found = replace(
                s, out=first, op="min=", body=ex.val(position), guard=ex.both(s.guard, won), ties="shared"
            )
            return Bracket(Cmp("==", ex.val(position), Access(first, s.left))), (found,)
        count = support(f"{s.out}_ties", shape)
        counted = replace(s, out=count, op="+=", body=Bracket(won))
        return Bracket(won) / Access(count, s.left), (counted,)
    # the product of the others: over a second copy of the reduced axes, all but the same place
    copy = {a: _other(a, s) for a in s.reduced}
    second = s.rename(copy)
    here = tuple(map(ints.axis, s.reduced))
    others = support(f"{s.out}_others", (*shape, *(s.ranges[a] for a in s.reduced)))
    differ = [Cmp("!=", ex.val(ints.axis(b)), ex.val(ints.axis(a))) for a, b in copy.items()]
    apart = differ[0] if len(differ) == 1 else ex.Logic("or", tuple(differ))
    axes = (*s.axes, *((copy[a], s.ranges[a]) for a in s.reduced))
    left = (*s.left, *here)
    return Access(others, left), (
        replace(second, out=others, left=left, axes=axes, guard=ex.both(second.guard, apart)),
    )


def _other(axis: str, s: Statement) -> str:
    k = 2
    while f"{axis}_{k}" in s.ranges:
        k += 1
    return f"{axis}_{k}"
