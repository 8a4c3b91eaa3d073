"""From a program to its derivation: stable forms, the one rule, tidy passes, and the trace of it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from symgrad.chain import Chained, Examples, Sweep, check_wanted, sweep
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int
from symgrad.language.program import Program, Statement, blocks, in_step_order, needed
from symgrad.language.trace import Derived, Key, Step
from symgrad.passes.forms import cheap, expand, factors, size, terms
from symgrad.passes.held import cancelled, prove
from symgrad.passes.roots import rooted
from symgrad.passes.stable import logdets, pure, shifted, stable, stored
from symgrad.passes.symmetry import prove_symmetric
from symgrad.passes.tidy import PASSES
from symgrad.passes.tidy.axes import symmetric
from symgrad.passes.tidy.places import placeable, put_in, triable
from symgrad.passes.tidy.sheet import Group, Sheet, is_sum

_TIES = {
    (op, ties): f" Only the entry that wins passes it on; {told}."
    for op in ("max=", "min=")
    for ties, told in (("shared", "a tie is shared equally"), ("first", "of a tie the first"))
}
FORWARD = (cancelled, stable, logdets, shifted, stored)
_HALF = ex.Num(Fraction(1, 2))


def derive(
    program: Program, wrt: Iterable[str] | None = None, *, passes: Iterable[str] = tuple(PASSES)
) -> Derived:
    """The gradient of a program's target by each wanted tensor, in one joint reverse sweep.

    Args:
        program: its target must be a scalar.
        wrt: names of weights, data or computed tensors; every weight if None.
        passes: the names of the tidy passes to use (tests leave some out).

    Raises:
        Refusal: the target is no scalar; nothing to differentiate by; an unknown name; a `held` that matters.

    Example:
        >>> from symgrad.language.reader import read
        >>> d = derive(read("x: weight[n]\\nloss = sum(tanh(x))"))
        >>> print(d.program.statements[-1])
        dx[n] = 1 - tanh(x[n])**2
    """
    names = check_wanted(program, [t.name for t in program.role("weight")] if wrt is None else wrt)
    stable, steps = prepare(program, names)
    done = backward(stable, names, passes=passes)
    gradients: dict[Key, str] = {n: done.adjoints[n] for n in names}
    return finish(program, done.program, gradients, [*steps, *done.steps], done.adjoints)


def prepare(program: Program, names: Collection[str], proved: bool = False) -> tuple[Program, list[Step]]:
    """The program in its stable forms, ready to be differentiated, and the steps from its definitions to there.

    Args:
        proved: what is held and what is symmetric was proved before.

    Raises:
        Refusal: a `held` that matters.
    """
    steps = [Step(0, "definition", (s,), reason=_given(s)) for s in program.statements]
    for change in (*FORWARD, rooted):
        program, more = change(program, names)
        steps += more
    if not proved:
        prove(program)
        prove_symmetric(program)
    return program, steps


@dataclass(frozen=True)
class Backward:
    """One sweep, tidied.

    Attributes:
        program: the statements of the program, then those of the sweep.
        adjoints: for each tensor that was reached, its adjoint's name.
        steps: how it was found, not numbered.
    """

    program: Program
    adjoints: Mapping[str, str]
    steps: tuple[Step, ...]


def backward(
    program: Program, names: tuple[str, ...], of: str = "", stem: str = "", examples: Examples | None = None,
    passes: Iterable[str] = tuple(PASSES), apart: Collection[str] = (),
) -> Backward:  # fmt: skip
    """The derivative of the program's target by each of `names`.

    Args:
        of, stem, examples: as for `sweep`.
        apart: tensors whose values are not used in place of what they were computed from, since the result will be
            differentiated by them.
    """
    swept = sweep(program, names, of, stem, examples)
    adjoint, tidied = _tidy(swept, names, tuple(passes), apart)
    statements = (*tidied.program.statements, *tidied.backward)
    return Backward(replace(tidied.program, statements=statements), adjoint, tuple(tidied.steps))


def finish(
    source: Program, program: Program, gradients: Mapping[Key, str], steps: Iterable[Step],
    adjoints: Mapping[str, str], kind: str = "gradient", base: Derived | None = None,
) -> Derived:  # fmt: skip
    """The derivation of `gradients`: what they and the named values of the source need, its steps numbered."""
    values = [n for n, t in source.tensors.items() if t.named and t.role == "value" or t.role == "next"]
    statements = needed(program.statements, [*gradients.values(), source.target, *values])
    made = {s.out for s in statements}
    numbered = tuple(replace(s, number=k) for k, s in enumerate(steps, 1))
    used = {t for s in statements for t in (*s.reads, s.out)}
    kept = {n: t for n, t in program.tensors.items() if n in source.tensors or n in used}
    joint = replace(program, tensors=kept, statements=statements, target=source.target)
    reached = {n: a for n, a in adjoints.items() if a in made}
    tensors = {**(base.tensors if base else {}), **program.tensors}
    return Derived(source, joint, gradients, reached, numbered, kind, base, tensors)


def forward(program: Program) -> Program:
    """A program in its stable forms, as it is computed where nothing is differentiated."""
    for change in FORWARD:
        program, _ = change(program)
    prove(program)
    prove_symmetric(program)
    return program


def _given(s: Statement) -> str:
    return f"By the definition of {s.label}." if s.label else "As declared."


class _Tidied:
    """What the tidy passes leave: forward statements, then the writers of each adjoint, and the steps."""

    def __init__(self, program: Program):
        self.program = program
        self.backward: list[Statement] = []
        self.steps: list[Step] = []
        self.loop: list[Statement] = []  # statements of the loop whose adjoints are being written

    def add(self, statements: Iterable[Statement]) -> None:
        """Take statements up in the order in which they run; those of a loop wait until it is complete."""
        for s in statements:
            (self.backward if s.scan is None else self.loop).append(s)

    def close(self) -> None:
        """The loop that waits is complete."""
        self.backward += in_step_order(tuple(self.loop))
        self.loop.clear()


def _tidy(
    swept: Sweep, names: tuple[str, ...], passes: tuple[str, ...], apart: Collection[str]
) -> tuple[dict[str, str], _Tidied]:
    program = swept.program
    sheet = Sheet(program, frozenset(names), dict(program.tensors), _readers(swept))
    for s in program.statements:
        if (pure(s, program) or _gives_steps(s, program)) and s.out not in apart:
            sheet.learn(s)
        elif is_sum(s) and s.plain and len(program.writers(s.out)) == 1:
            turned = symmetric((s,), sheet)
            sheet.learn_total(turned[0][0] if turned else s)
    supports = (t for group in swept.chained.values() for c in group for t in c.support)
    sheet.implicit = {s.out: s for s in (*program.statements, *supports) if s.op in IMPLICIT}
    tidied = _Tidied(program)
    adjoints = dict(swept.adjoints)
    wanted = {adjoints[n] for n in names if n in adjoints}
    same: dict[object, Statement] = {}
    prepared: dict[
        Statement, None
    ] = {}  # counts of ties, products of the others, inverses: what stands already
    order = _Order(swept)
    for name in order.names:
        if order.loop(name) != order.running:
            tidied.close()
            order.running = order.loop(name)
        chained = swept.chained[name]
        if name == swept.target and name not in names and not swept.carried:
            continue
        group: Group = tuple(c.statement for c in chained)
        for c in chained:
            support = tuple(t for t in c.support if t not in prepared)
            prepared.update(dict.fromkeys(support))
            if c.source.op in IMPLICIT:
                told = len(tidied.steps)
                support = tuple(u for t in support for u in _settled_need(t, sheet, tidied, passes))
                del tidied.steps[told:]  # they are told as they end
            else:
                tidied.add(support)
            reason = f"{name} is read by the equation of {c.source.out}.{_TIES.get((c.source.op, c.source.ties), '')}"
            tidied.steps.append(
                Step(0, "chain", (c.statement,), c.source, c.entry, c.partial, support, reason)
            )
        if name == swept.target:
            itself = _itself(program, adjoints[name])
            tidied.steps.append(
                Step(0, "chain", (itself,), reason=f"The derivative of {name} by itself is one.")
            )
            group = (replace(itself, op="+="), *group) if swept.carried else (itself,)
        elif not group:
            group = (_constant(program, adjoints[name], ex.ZERO),)
            tidied.steps.append(Step(0, "chain", group, reason=f"{swept.target} does not depend on {name}."))
        group = _shorter(_settle(group, sheet, tidied, passes), sheet, tidied, passes)
        if name in names and program[name].facts.symmetric:
            group = _symmetric(group, name, sheet, tidied, passes)
        if "substitute" in passes and adjoints[name] not in wanted and not order.carried(name):
            placed = placeable(group, sheet)
            if placed is not None:
                sheet.known[adjoints[name]] = placed
                continue
            tried = triable(group, sheet)
            if tried is not None:
                sheet.maybe[adjoints[name]] = tried
        if len(group) == 1 and "merge" in passes:
            key = (replace(group[0], out="", scan=None).canonical(), sheet.tensors[group[0].out].shape)
            twin = same.setdefault(key, group[0])
            # a loop is complete behind its last statement only
            if (
                twin is not group[0]
                and (twin.scan is None or order.running is None)
                and group[0].scan is None
            ):
                reason = f"This is {twin.out} once more."
                again = _everywhere(program, group[0].out, twin.out)
                tidied.steps.append(Step(0, "equal", (again,), before=group, reason=reason))
                if adjoints[name] not in wanted and "substitute" in passes:
                    sheet.known[adjoints[name]] = again
                    continue
                group = (again,)
        tidied.add(group)
        if order.running is None:
            sheet.learn_signal(group)
    tidied.close()
    tidied.program = replace(program, tensors=sheet.tensors)
    return adjoints, tidied


def _gives_steps(s: Statement, program: Program) -> bool:
    """Whether a statement of a loop alone gives every row of its tensor's shape: its starts stand before them."""
    t = program[s.out]
    whole = all(s.ranges.get(i.axis or "") == n for i, n in zip(s.left, t.shape, strict=True))
    return s.scan is not None and bool(t.early) and s.op == "=" and s.plain and s.guard is None and whole


def _settle(group: Group, sheet: Sheet, tidied: _Tidied, passes: tuple[str, ...]) -> Group:
    """Apply passes until none has anything to do; each either shrinks a finite measure or fires once per statement."""
    for _ in range(100):
        for rule in passes:
            result = PASSES[rule](group, sheet)
            if result is None or result[0] == group:
                continue
            new, reason = result
            extra, ready = tuple(sheet.extra), tuple(sheet.ready)
            sheet.extra.clear()
            sheet.ready.clear()
            if reason:
                tidied.steps.append(Step(0, rule, (*ready, *extra, *new), before=group, reason=reason))
            tidied.add(ready)
            for s in extra:
                tidied.add(_settle((s,), sheet, tidied, passes))
            group = new
            break
        else:
            return group
    return group


def _shorter(group: Group, sheet: Sheet, tidied: _Tidied, passes: tuple[str, ...]) -> Group:
    """The group with adjoints put in place that have a name, if something cancels so that it gets shorter by that."""
    tried = {r: sheet.maybe[r] for s in group for r in s.reads if r in sheet.maybe}
    result = put_in(group, tried)
    if result is None:
        return group
    before = len(tidied.steps)
    tidied.steps.append(Step(0, "substitute", result[0], before=group, reason=result[1]))
    new = _settle(result[0], sheet, tidied, passes)
    if _length(new) >= _length(group):
        del tidied.steps[before:]
        return group
    for name, s in tried.items():
        # with one reader less, the last one may take it for good
        sheet.reads[name] = [r for r in sheet.reads[name] if r.out != group[0].out]
        placed = placeable((s,), sheet)
        if placed is not None:
            sheet.known[name] = placed
    return new


def _symmetric(group: Group, name: str, sheet: Sheet, tidied: _Tidied, passes: tuple[str, ...]) -> Group:
    """The symmetric part of a gradient: of all matrices with the same slope along every symmetric direction the
    symmetric one, so that a step along it keeps the tensor symmetric."""
    s, reason = (
        group[0],
        (
            f"{name} is declared symmetric, so its gradient is the symmetric part of the one with all entries free: "
            "the mean of that and its transpose."
        ),
    )
    if len(group) == 1 and s.plain and s.guard is None:
        a, b = (ints.Axis(i.axis or "") for i in s.left[-2:])
        turned = ex.substitute(s.body, {a: b, b: a})
        if _products(turned, sheet) == _products(s.body, sheet):
            return group
        if s.op == "=" and cheap(s.body):
            mean = replace(s, body=ex.mul(_HALF, s.body + turned))
            tidied.steps.append(Step(0, "symmetric", (mean,), before=group, reason=reason))
            return _settle((mean,), sheet, tidied, passes)
    free = sheet.fresh(f"{s.out}_free")
    sheet.add(replace(sheet.tensors[s.out], name=free, named=False))
    parts = tuple(replace(t, out=free) for t in group)
    letters = {f"i_{k}": i.axis or "" for k, i in enumerate(s.left)} if s.plain else {}
    whole = _constant(tidied.program, s.out, ex.ZERO).rename(letters)
    *ahead, i, j = whole.left
    mean = replace(whole, body=ex.mul(_HALF, ex.Access(free, whole.left) + ex.Access(free, (*ahead, j, i))))
    tidied.steps.append(Step(0, "symmetric", (*parts, mean), before=group, reason=reason))
    tidied.add(parts)
    return (mean,)


def _products(e: ex.Expr, sheet: Sheet) -> Counter[frozenset[tuple[ex.Expr, ex.Expr]]]:
    """A sum as its terms, a product as its factors, in no order, and entries of symmetric tensors in one of two."""

    def ordered(x: object) -> ex.Expr | None:
        if isinstance(x, ex.Access) and sheet.tensors[x.tensor].facts.symmetric:
            *ahead, i, j = x.index
            return ex.Access(x.tensor, (*ahead, *sorted((i, j), key=str)))
        return None

    e = ex.rewrite(e, ordered)
    flat = expand(e)
    return Counter(frozenset(factors(t).items()) for t in terms(e if flat is None else flat))


def _length(group: Group) -> int:
    """What there is to read: the nodes of the bodies and the axes summed over."""
    return sum(size(s.body) + len(s.reduced) for s in group)


def _constant(program: Program, adjoint: str, body: ex.Expr) -> Statement:
    letters = [f"i_{k}" for k in range(len(program[adjoint].shape))]
    axes = tuple(zip(letters, program[adjoint].shape, strict=True))
    return Statement(adjoint, tuple(map(ints.axis, letters)), "=", body, axes)


def _itself(program: Program, adjoint: str) -> Statement:
    """The derivative of a target by itself: one where both places are the same."""
    s = _constant(program, adjoint, ex.ONE)
    half = len(s.left) // 2
    same = (ex.Cmp("==", ex.val(i), ex.val(j)) for i, j in zip(s.left[:half], s.left[half:], strict=True))
    return replace(s, body=ex.mul(*map(ex.Bracket, same)))


def _everywhere(program: Program, adjoint: str, twin: str) -> Statement:
    """One adjoint as another name for its twin, in every entry."""
    s = _constant(program, adjoint, ex.ZERO)
    return replace(s, body=ex.Access(twin, s.left))


def _settled_need(s: Statement, sheet: Sheet, tidied: _Tidied, passes: tuple[str, ...]) -> Group:
    """What an implicit statement's adjoint is made of, tidied, and put in place if that is better than a name."""
    group = _settle((s,), sheet, tidied, passes)
    placed = placeable(group, sheet) if s.op not in IMPLICIT and "substitute" in passes else None
    if placed is not None:
        sheet.known[s.out] = placed
    else:
        tidied.add(group)
    return group


def _readers(swept: Sweep) -> dict[str, list[Statement]]:
    """For each adjoint the statements that read it, as the rule gave them."""
    found: dict[str, list[Statement]] = {}
    for group in swept.chained.values():
        for c in group:
            for s in (*c.support, c.statement):
                for name in s.reads:
                    if s not in found.setdefault(name, []):
                        found[name].append(s)
    return found


class _Order:
    """Tensors in the order in which their adjoints are complete, from the target back.

    The adjoints of what a loop writes are complete only together, after all that is read behind the loop. Of these come
    first those that are read at their own step alone: they may be put in place where they are read.
    """

    def __init__(self, swept: Sweep):
        self.running: int | None = None
        self._loops: dict[str, int] = {}  # for what a loop writes, where the loop ends
        self._carried: set[str] = set()
        start: dict[int, int] = {}
        written: dict[str, int] = {}
        k = 0
        for block in blocks(swept.program.statements):
            end = k + len(block) - 1
            for j, s in enumerate(block):
                start[id(s)] = k
                if s.scan is not None:
                    self._loops[s.out], written[s.out] = end, k + j
            k = end + 1
        last: dict[str, float] = {}
        for name, group in swept.chained.items():
            if name in self._loops:
                last[name] = self._loops[name] + 0.5
                within = [c for c in group if c.statement.scan is not None]
                if any(i.axis != c.statement.scan.axis for c in within for i in _steps(c)):  # type: ignore[union-attr]
                    self._carried.add(name)
            else:
                last[name] = min((start[id(c.source)] for c in group), default=-1)
        met: dict[str, float] = {name: m for m, name in enumerate(swept.chained)}
        signals: dict[
            tuple[int, ex.Expr], str
        ] = {}  # computed tensors by the statement that reads them, and how
        inputs = {t.name for t in swept.program.inputs}
        for name in (*(n for n in met if n not in inputs), *(n for n in met if n in inputs)):
            for c in swept.chained[name]:
                key = id(c.source), ex.split(c.partial)[1]
                if name in inputs:  # a bias comes after the error signal of the layer that it is added to
                    met[name] = max(met[name], met.get(signals.get(key, ""), -1) + 0.5)
                else:
                    signals[key] = name

        def place(n: str) -> tuple[float, bool, int, float]:
            return -last[n], n in self._carried, -written.get(n, -1), met[n]

        self.names = sorted(swept.chained, key=place)

    def loop(self, name: str) -> int | None:
        """Which loop writes the tensor, if one does."""
        return self._loops.get(name)

    def carried(self, name: str) -> bool:
        """Whether the adjoint gets something from another step."""
        return name in self._carried


def _steps(c: Chained) -> list[Int]:
    """The positions of an entry that move with the loop."""
    assert c.statement.scan is not None
    return [i for i in c.entry.index if c.statement.scan.axis in i.axes]
