"""`held(e)` claims that the result does not depend on the value of `e`; here the claim is put to the proof.

From the equations that hold `e` onwards the program is run at small sizes on random numbers, once as it is and once
with the held value moved by random amounts, until nothing differs any more. For the analytic functions that a program
is made of, agreement at random points is as good as a proof: a true difference vanishes only on a set of measure zero.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import numpy as np

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Expr, Stop
from symgrad.language.ints import ONE, ZERO, Axis, axis
from symgrad.language.program import Facts, Program, Statement, Tensor, blocks, rows
from symgrad.language.reference import execute
from symgrad.language.samples import draw, numbers, small_sizes
from symgrad.language.trace import Step

# beside small numbers: a kink, a bracket or a saturated function can hide what matters on one side only
SPREADS = (4.0, 20.0, 21.0, 22.0, 100.0)


def prove(program: Program, strict: bool = False) -> None:
    """Raise `Refusal` if some `held` value matters to the target; `strict`: or if there is a doubt."""
    program = replace(program, statements=tuple(map(_at_zero, program.statements)))
    holders = _holders(program)
    read = {r for s in program.statements for r in s.reads} if holders else set()
    for key, places in holders.items():
        culprit = _matters(program, key, places, read, strict)
        if culprit is not None:
            shown = ex.show(program.statements[places[0]].body)
            raise Refusal(
                f"held(...) in `{shown}` claims that {program.target} does not depend on what is held, but it does, "
                f"through {culprit}; write stop(...) for a deliberate constant, or leave the name out"
            )


def cancelled(program: Program, wanted: Collection[str] = ()) -> tuple[Program, list[Step]]:
    """Maxima and minima that are only subtracted, and proved not to matter, are held.

    This is the user's own `z - max(z)` before an exponential: nothing flows back through it.
    """
    steps: list[Step] = []
    for s in program.statements:
        if s.op not in ("max=", "min=") or s.out in (program.target, *wanted):
            continue
        readers = [t for t in program.statements if s.out in t.reads]
        bodies = {t: ex.rewrite(t.body, partial(_hold, s.out)) for t in readers}
        tried = {t: replace(t, body=body) for t, body in bodies.items() if body != t.body}
        if not tried or not all(_only_held(tried.get(t, t), s.out) for t in readers):
            continue
        trial = replace(program, statements=tuple(tried.get(t, t) for t in program.statements))
        try:
            prove(trial, strict=True)
        except Refusal:
            continue
        program = trial
        reason = f"{s.out} cancels: the result does not depend on what is subtracted."
        steps.append(Step(0, "stable", tuple(tried.values()), before=tuple(tried), reason=reason))
    return program, steps


def _hold(name: str, e: object) -> Expr | None:
    """A sum with a term that is an entry of `name`, that entry held."""
    if not isinstance(e, Add):
        return None
    terms = [ex.split(t) for t in e.args]
    if not any(isinstance(rest, Access) and rest.tensor == name for _, rest in terms):
        return None
    held = (
        ex.mul(c, Stop(rest, "held") if isinstance(rest, Access) and rest.tensor == name else rest)
        for c, rest in terms
    )
    return ex.add(*held)


def _only_held(s: Statement, name: str) -> bool:
    """Whether the statement reads `name` as something held and not otherwise."""
    guarded = s.guard is not None and name in ex.tensors(s.guard)
    return not guarded and all(a.tensor != name for a in ex.accesses(s.body, stopped=False))


def _at_zero(s: Statement) -> Statement:
    """The statement with 0 for an axis of one entry in what it holds: that is the same value, however it is read."""
    only = {Axis(a): ZERO for a, n in s.axes if n == ONE}

    def inside(e: object) -> Expr | None:
        return Stop(ex.substitute(e.arg, only), e.kind) if isinstance(e, Stop) else None

    return replace(s, body=ex.rewrite(s.body, inside)) if only else s


def _holders(program: Program) -> dict[Expr, list[int]]:
    """What is held, with axes named by position, and the statements that hold it."""
    found: dict[Expr, list[int]] = {}
    for k, s in enumerate(program.statements):
        for e in ex.walk(s.body):
            if isinstance(e, Stop) and e.kind == "held":
                found.setdefault(_key(e.arg), []).append(k)
    return found


def _key(e: Expr) -> Expr:
    return ex.substitute(e, {Axis(a): Axis(f"i_{k}") for k, a in enumerate(ex.axes(e))})


def _matters(
    program: Program, key: Expr, places: list[int], read: set[str], strict: bool
) -> str | None:
    """The first tensor downstream through which a held value reaches the end, or None if its effect dies out."""

    def culprit(start: int, spread: float = 0.0) -> tuple[str | None, bool]:
        dirty, finite = _moved(program, key, start, places, spread)
        return next((name for name in dirty if name == program.target or name not in read), None), finite

    with np.errstate(all="ignore"):
        found, finite = culprit(places[0])
        if found or not finite:
            # numbers drawn where it is held may lie outside a leaf's domain, or break what ties them together
            found, finite = culprit(0)
        for spread in SPREADS if found is None else ():
            wide, finite = culprit(places[0], spread)
            # run from the start, large sums may saturate what follows and hide what matters
            if wide and finite and (strict or culprit(0, spread) == (wide, True)):
                return wide
    return found


def _moved(
    program: Program, key: Expr, start: int, places: list[int], spread: float
) -> tuple[dict[str, None], bool]:
    """The tensors that differ at the end when what is held is moved, and whether all numbers were finite."""
    sizes = small_sizes(program)
    rng = np.random.default_rng(int(spread))
    plain: dict[str, np.ndarray] = {}
    moved: dict[str, np.ndarray] = {}
    dirty: dict[str, None] = {}
    finite = True
    tensors = {**program.tensors, "\0": _shift(program.statements[places[0]], key)}
    program = rows(replace(program, tensors=tensors))
    first = 0
    for block in blocks(program.statements):
        first, last = first + len(block), first + len(block) - 1
        if last < start:
            continue
        if not dirty and last - len(block) + 1 > places[-1]:
            break
        shifted = tuple(replace(s, body=ex.rewrite(s.body, lambda e: _move(e, key))) for s in block)
        reads = tuple(r for s in block for r in s.reads)
        if start and shifted == block and not any(r in dirty for r in reads):
            continue
        written = dict.fromkeys(s.out for s in block)
        for name in (*reads, "\0"):
            if name not in plain and name not in written:
                plain[name] = moved[name] = _numbers(program[name], sizes, rng, spread)
        before = {s.out for s in program.statements[: last + 1 - len(block)]}
        for name in written if start else ():
            if name not in plain and name in before:  # its first writers were left out: the start of a recurrence
                plain[name] = np.array(_numbers(program[name], sizes, rng, spread))
                moved[name] = plain[name].copy()
        for arrays, run in ((plain, block), (moved, shifted)):
            execute(run, program, sizes, arrays, np.float64)
        for out in written:
            finite = finite and bool(np.isfinite(plain[out]).all())
            if np.allclose(plain[out], moved[out], rtol=1e-9, atol=1e-12, equal_nan=True):
                dirty.pop(out, None)
                moved[out] = plain[out].copy()  # a later writer adds to each of them
            else:
                dirty[out] = None
    return dirty, finite


def _shift(s: Statement, key: Expr) -> Tensor:
    """A tensor of random amounts with the axes of what is held; their sizes come from a place where it stands."""
    held = next(e.arg for e in ex.walk(s.body) if isinstance(e, Stop) and _key(e.arg) == key)
    return Tensor("\0", tuple(s.ranges[a] for a in ex.axes(held)))


def _move(e: object, key: Expr) -> Expr | None:
    if isinstance(e, Stop) and e.kind == "held" and _key(e.arg) == key:
        return ex.add(e, Access("\0", tuple(map(axis, ex.axes(e.arg)))))
    return None


def _numbers(t: Tensor, sizes: dict[str, int], rng: np.random.Generator, spread: float) -> np.ndarray:
    """Numbers that any leaf takes: inputs as declared, others between a half and one and a half; or of both signs
    and as large as `spread`. What is held is only moved upwards, so that a positive value stays positive."""
    if t.name == "\0":
        return rng.uniform(0.5, 1.5, numbers(t, sizes)) * max(1.0, spread)
    if t.integer or t.role != "value" or t.facts.distribution:
        x = draw(t, sizes, rng)
        return x * spread if spread and t.role != "literal" and not t.integer and t.facts == Facts() else x
    return (
        rng.standard_normal(numbers(t, sizes)) * spread
        if spread
        else rng.uniform(0.5, 1.5, numbers(t, sizes))
    )
