"""`held(e)` claims that the result does not depend on the value of `e`; here the claim is put to the proof.

From the equations that hold `e` onwards the program is run at small sizes on random numbers, once as it is and once
with the held value moved by random amounts, until nothing differs any more. For the analytic functions that a program
is made of, agreement at random points is as good as a proof: a true difference vanishes only on a set of measure zero.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language.expr import Access, Add, Cmp, Expr, Stop
from symgrad.language.ints import ONE, ZERO, Axis, axis
from symgrad.language.program import Facts, Program, Statement, Tensor, blocks, in_rows, stored
from symgrad.language.reference import execute
from symgrad.language.samples import draw, numbers, small_sizes
from symgrad.language.trace import Step

# beside small numbers: a kink, a bracket or a saturated function can hide what matters on one side only
SPREADS = (4.0, 20.0, 21.0, 22.0, 100.0)
NOTHING = {"max=": -np.inf, "min=": np.inf}  # the extremum of no entries
MORE = range(1000, 1020)  # further draws, where a bracket on data may have hidden it in all of those


def prove(program: Program, strict: bool = False) -> None:
    """Raise `Refusal` if some `held` value matters to the target; `strict`: or if there is a doubt."""
    if any(_held(s) for s in program.statements):
        proof = _Proof(program, strict)
        for k in range(len(program.statements)):
            proof.check(k)


def cancelled(program: Program, wanted: Collection[str] = ()) -> tuple[Program, list[Step]]:
    """Maxima and minima that are only subtracted, and proved not to matter, are held.

    This is the user's own `z - max(z)` before an exponential: nothing flows back through it.
    """
    tops = [s.out for s in program.statements if s.op in ("max=", "min=")]
    tops = [out for out in tops if out not in (program.target, *wanted)]
    if not tops:
        return program, []
    steps: list[Step] = []
    proof = _Proof(program, strict=True)
    for out in tops:
        before = {k: proof.statements[k] for k in proof.readers(out)}
        if any(t.scan is not None for t in (*program.writers(out), *before.values())):
            continue  # in a loop what it does may show only after more steps than there are at small sizes
        bodies = {k: ex.rewrite(t.body, partial(_hold, out)) for k, t in before.items()}
        tried = {k: replace(t, body=bodies[k]) for k, t in before.items() if bodies[k] != t.body}
        if not tried or not all(_only_held(tried.get(k, t), out) for k, t in before.items()):
            continue
        proof.put(tried)
        try:
            for k in tried:
                proof.check(k)
        except Refusal:
            proof.put({k: before[k] for k in tried})
            continue
        reason = f"{out} cancels: the result does not depend on what is subtracted."
        replaced = tuple(before[k] for k in tried)
        steps.append(Step(0, "stable", tuple(tried.values()), before=replaced, reason=reason))
    return replace(program, statements=tuple(proof.statements)), steps


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


def _held(s: Statement) -> list[Stop]:
    """What a statement holds."""
    return [e for e in ex.walk(s.body) if isinstance(e, Stop) and e.kind == "held"]


def _key(e: Expr) -> Expr:
    """What is held, with axes named by position."""
    return ex.substitute(e, {Axis(a): Axis(f"i_{k}") for k, a in enumerate(ex.axes(e))})


class _Proof:
    """A program put to the proof, from each place where something is held to where its effect dies.

    What is made for the whole program is made once, so that the proofs of a long one take no longer each.

    Args:
        strict: a doubt is a refusal too.
    """

    def __init__(self, program: Program, strict: bool):
        self.program, self.strict = program, strict
        self.statements = list(program.statements)
        self.sizes = small_sizes(program)
        self.blocks: list[range] = []
        self.block_of: list[int] = []
        for k, block in enumerate(blocks(program.statements)):
            self.blocks.append(range(len(self.block_of), len(self.block_of) + len(block)))
            self.block_of += [k] * len(block)
        self.read: dict[str, list[int]] = {}
        self.first: dict[str, int] = {}  # where a tensor is first written
        for k, s in enumerate(program.statements):
            self.first.setdefault(s.out, k)
            for r in s.reads:
                self.read.setdefault(r, []).append(k)
        # as it is run: early rows are counted from 0, "\0" is what a held value is moved by
        self.tensors = {name: stored(t) for name, t in program.tensors.items()}
        self.run = list(program.statements)
        self.places: dict[Expr, dict[int, None]] = {}
        self.keys: dict[int, tuple[Expr, ...]] = {}
        self.proved: set[Expr] = set()
        self.put(dict(enumerate(program.statements)))

    def readers(self, name: str) -> list[int]:
        """The statements that read a tensor."""
        return self.read.get(name, [])

    def put(self, changed: Mapping[int, Statement]) -> None:
        """Statements of the same values and reads, in which something else is held."""
        for k, s in changed.items():
            for key in self.keys.pop(k, ()):
                del self.places[key][k]
            self.statements[k] = s
            self.run[k] = in_rows(_at_zero(s), self.program)
            self.keys[k] = tuple(dict.fromkeys(_key(e.arg) for e in _held(self.run[k])))
            for key in self.keys[k]:
                self.places.setdefault(key, {})[k] = None
                self.proved.discard(key)

    def check(self, k: int) -> None:
        """Refuse if what a statement holds matters to the target."""
        for key in self.keys[k]:
            if key in self.proved:
                continue
            places = sorted(self.places[key])
            culprit = self._matters(key, places)
            if culprit is not None:
                shown = ex.show(self.statements[places[0]].body)
                raise Refusal(
                    f"held(...) in `{shown}` claims that {self.program.target} does not depend on what is held, but "
                    f"it does, through {culprit}; write stop(...) for a deliberate constant, or leave the name out"
                )
            self.proved.add(key)

    def _matters(self, key: Expr, places: list[int]) -> str | None:
        """The first tensor downstream through which a held value reaches the end, or None if its effect dies out."""

        def culprit(
            start: int, spread: float = 0.0, seed: int | None = None, opened: bool = False
        ) -> tuple[str | None, bool]:
            dirty, finite = self._moved(key, start, places, spread, seed, opened)
            return next(filter(self._seen, dirty), None), finite

        with np.errstate(all="ignore"):
            found, finite = culprit(places[0])
            if found or not finite:
                # numbers drawn where it is held may lie outside a leaf's domain, or break what ties them together
                found, finite = culprit(0)
            for spread in SPREADS if found is None else ():
                wide, finite = culprit(places[0], spread)
                # run from the start, large sums may saturate what follows and hide what matters
                if wide and finite and (self.strict or culprit(0, spread) == (wide, True)):
                    return wide
            if found is None and any(map(self._judges_data, self.run[places[0] :])):
                doubt, finite = culprit(places[0], opened=True)
                if doubt and finite and self.strict:
                    return doubt
                for seed in MORE if doubt and finite else ():
                    rare, finite = culprit(0, 1.0, seed)
                    if rare and finite:
                        return rare
        return found

    def _judges_data(self, s: Statement) -> bool:
        """Whether a bracket or the guard of a statement depends on real numbers: it may be open nearly nowhere."""
        return any(self._on_data(c) for part in (s.body, s.guard) if part is not None for c in ex.walk(part))

    def _on_data(self, c: object) -> bool:
        return isinstance(c, Cmp) and not all(self.program[t].integer for t in ex.tensors(c))

    def _opened(self, s: Statement) -> Statement:
        """The statement with every bracket on real numbers open."""

        def change(c: object) -> Cmp | None:
            return Cmp("==", ex.ZERO, ex.ZERO) if self._on_data(c) else None

        guard = None if s.guard is None else ex.rewrite(s.guard, change)
        return replace(s, body=ex.rewrite(s.body, change), guard=guard)

    def _seen(self, name: str) -> bool:
        """Whether a tensor is a result: the target, or one that nothing reads and that is no inner one left over."""
        t = self.program[name]
        left_over = t.role == "value" and not t.named
        return name == self.program.target or name not in self.read and not left_over

    def _moved(
        self, key: Expr, start: int, places: list[int], spread: float, seed: int | None, opened: bool
    ) -> tuple[dict[str, None], bool]:
        """The tensors that differ at the end when what is held is moved, and whether all numbers were finite;
        `opened`: if every bracket on real numbers were open."""
        rng = np.random.default_rng(int(spread) if seed is None else seed)
        plain: dict[str, np.ndarray] = {}
        moved: dict[str, np.ndarray] = {}
        dirty: dict[str, None] = {}
        finite = True
        self.tensors["\0"] = _shift(self.run[places[0]], key)
        program = replace(self.program, tensors=self.tensors)
        holding = {self.block_of[k] for k in places}
        # from the start everything runs; from where it is held only what reads it, or something that differs by it
        waiting = sorted(holding) if start else list(range(max(holding) + 1))
        queued = set(waiting)
        while waiting:
            number = heapq.heappop(waiting)
            span = self.blocks[number]
            block = shifted = tuple(self._opened(self.run[k]) if opened else self.run[k] for k in span)
            if number in holding:
                shifted = tuple(replace(s, body=ex.rewrite(s.body, lambda e: _move(e, key))) for s in block)
            reads = tuple(r for s in block for r in s.reads)
            if start and number not in holding and not any(r in dirty for r in reads):
                continue
            written = dict.fromkeys(s.out for s in block)
            for name in (*reads, "\0"):
                if name not in plain and name not in written:
                    plain[name] = moved[name] = _numbers(program[name], self.sizes, rng, spread)
            for name in written if start else ():
                # its first writers were left out: the start of a recurrence
                if name not in plain and self.first[name] < span.start:
                    plain[name] = np.array(_numbers(program[name], self.sizes, rng, spread))
                    moved[name] = plain[name].copy()
            for arrays, run in ((plain, block), (moved, shifted)):
                execute(run, program, self.sizes, arrays, np.float64)
            nothing = {s.out: NOTHING[s.op] for s in block if s.op in NOTHING}
            for out in written:
                # a maximum of nothing is no overflow
                finite = finite and bool(
                    (np.isfinite(plain[out]) | (plain[out] == nothing.get(out, 0.0))).all()
                )
                if np.allclose(plain[out], moved[out], rtol=1e-9, atol=1e-12, equal_nan=True):
                    dirty.pop(out, None)
                    moved[out] = plain[out].copy()  # a later writer adds to each of them
                else:
                    dirty[out] = None
                    for k in self.readers(out):
                        later = self.block_of[k]
                        if later > number and later not in queued:
                            queued.add(later)
                            heapq.heappush(waiting, later)
        return dirty, finite


def _shift(s: Statement, key: Expr) -> Tensor:
    """A tensor of random amounts with the axes of what is held; their sizes come from a place where it stands."""
    held = next(e.arg for e in _held(s) if _key(e.arg) == key)
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
