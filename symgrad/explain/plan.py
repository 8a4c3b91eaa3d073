"""What of a derivation is told, in which order, and by which number: the same in every form and format.

The trace gives steps; here they become passages: each adjoint with what it is after the chain rule and after each
tidy step, gradients as soon as the error signals that they need are known, so that a network reads layer by
layer. Equations shown at "steps" are numbered 1, 2, ...; those in between, shown at "everything" only, 7a, 7b, ...
on the way to 7.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from symgrad.explain.cast import Cast, bare
from symgrad.explain.indices import own_step
from symgrad.explain.parts import Group, label
from symgrad.language import expr as ex
from symgrad.language.program import Scan, Statement
from symgrad.language.trace import Derived, Step
from symgrad.passes.forms import size

FORWARD = ("definition", "stable")
# steps that only rewrite: their reasons are told with the next equation
PLAIN = ("substitute", "merge", "equal", "rename", "look-up", "gather", "split", "signal")
QUIET = (*PLAIN, "output", "hoist")
_PLACED = 24  # nodes of an equation in which an error signal was put in place


@dataclass(frozen=True)
class State:
    """What an adjoint is after a step: all its writers; `aside` are tensors that the step made for it."""

    steps: tuple[Step, ...]
    group: Group
    aside: tuple[Group, ...] = ()

    @property
    def rule(self) -> str:
        return self.steps[0].rule


@dataclass(frozen=True)
class Definition:
    """A forward equation: by which steps it is told, and what is put in place in it. What is `restated` has been told
    in another form."""

    steps: tuple[Step, ...]
    statement: Statement
    put: Group = ()
    restated: bool = False


@dataclass(frozen=True)
class Adjoint:
    """How the derivative of `seed` by the tensor `of` is found.

    Attributes:
        bar: its name.
        states: what it is after the chain rule, and after each tidy step.
        sums: tensors met on the way that are put in place, each with its statement.
        shown: for each state whether its equation is shown at "steps".
    """

    bar: str
    seed: str
    of: str
    steps: tuple[Step, ...]
    states: tuple[State, ...]
    sums: Mapping[str, Statement]
    shown: tuple[bool, ...]

    @property
    def final(self) -> Group:
        """What it is in the end."""
        return self.states[-1].group

    @property
    def loop(self) -> Scan | None:
        """The loop in which it is computed step by step, if there is one."""
        return next((s.scan for s in self.final if s.scan is not None), None)

    @property
    def told(self) -> Iterator[Group]:
        """What is shown at "steps"."""
        for state, shown in zip(self.states, self.shown, strict=True):
            yield from state.aside
            if shown:
                yield state.group


class Plan:
    """The order of the told derivation and its numbers.

    Args:
        cast: who appears, without the parts that are put in place.
    """

    def __init__(self, cast: Cast):
        self.cast, self.derived = cast, cast.derived

    @cached_property
    def adjoints(self) -> tuple[Adjoint, ...]:
        """All of them in the order in which they are told: error signals from the loss back, each gradient by an
        input as soon as what it reads is known."""
        order: dict[tuple[str, str], list[Step]] = {}
        for step in self.derived.steps:
            if step.rule not in FORWARD:
                t = self.cast.tensors[step.equation[-1].out]
                order.setdefault((t.seed, t.of), []).append(step)
        found = {key: self._adjoint(key, steps) for key, steps in order.items()}
        declared = {name: k for k, name in enumerate(self.derived.source.tensors)}
        needs: dict[tuple[str, str], set[tuple[str, str]]] = {}
        readers: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for key, a in found.items():
            reads = (r for state in a.states for g in (state.group, *state.aside) for s in g for r in s.reads)
            met = [self.cast.tensors[r] for r in dict.fromkeys(reads)]
            adjoints = {(t.seed, t.of) for t in met if t.role == "adjoint"}
            needs[key] = {other for other in adjoints if other in found and other != key}
            for other in sorted(needs[key]):
                readers.setdefault(other, []).append(key)
        places = {key: k for k, key in enumerate(found)}
        told: list[Adjoint] = []
        done: set[tuple[str, str]] = set()
        ready: list[tuple[int, int, tuple[str, str]]] = []

        def tell(key: tuple[str, str]) -> None:
            told.append(found[key])
            done.add(key)
            for reader in readers.get(key, ()):
                needs[reader].discard(key)
                if not needs[reader] and self.leaf(found[reader]):
                    heapq.heappush(ready, (declared.get(reader[1], -1), places[reader], reader))

        loops: dict[object, dict[tuple[str, str], Adjoint]] = {}
        for key, a in found.items():
            if a.loop is not None and not self.leaf(a):
                loops.setdefault((a.seed, *a.loop.loop), {})[key] = a
        for key, a in found.items():
            if self.leaf(a) and needs[key]:
                continue  # it waits for what it reads
            together = loops.get((a.seed, *a.loop.loop), {}) if a.loop is not None else {}
            for other in _computed(together) if key in together else [key]:
                if other not in done:
                    tell(other)
            while ready:
                leaf = heapq.heappop(ready)[2]
                if leaf not in done:
                    tell(leaf)
        return tuple(self._declared([*told, *(found[key] for key in found if key not in done)], declared))

    def _declared(self, told: Sequence[Adjoint], declared: Mapping[str, int]) -> Iterator[Adjoint]:
        """The gradients after each error signal in the order in which their variables are declared."""
        leaves: list[Adjoint] = []
        for a in told:
            if self.leaf(a):
                leaves.append(a)
                continue
            if not self.unseen(a):
                yield from sorted(leaves, key=lambda leaf: declared.get(leaf.of, -1))
                leaves = []
            yield a
        yield from sorted(leaves, key=lambda leaf: declared.get(leaf.of, -1))

    @cached_property
    def by_name(self) -> dict[str, Adjoint]:
        """All of them by their names."""
        return {a.bar: a for a in self.adjoints}

    def leaf(self, a: Adjoint) -> bool:
        """Whether it is a gradient by an input, rather than an error signal."""
        return bool(a.of) and self.cast.tensors[a.of].role not in ("value", "adjoint")

    def unseen(self, a: Adjoint) -> bool:
        """Whether it belongs to a part that is never named at "steps"."""
        return not a.of or a.of in self.cast.hidden

    @cached_property
    def inside(self) -> dict[str, Adjoint]:
        """Error signals without an equation of their own at "steps": short and read once, so that they are put in
        place; or in no equation that is shown."""
        if self.derived.kind != "gradient":
            return {}
        wanted = set(self.derived.gradients.values())
        seen = [a for a in self.adjoints if not self.unseen(a)]
        readers: dict[str, list[tuple[Adjoint, Statement]]] = {}
        for a in seen:
            for s in (s for g in a.told for s in g):
                for r in s.reads:
                    if r != a.bar:
                        readers.setdefault(r, []).append((a, s))
        found: dict[str, Adjoint] = {}
        signals = [
            a
            for a in seen
            if self.cast.tensors[a.of].role == "value"
            and a.seed == self.derived.source.target
            and a.bar not in wanted
            and a.of not in self.cast.layers
        ]
        for a in reversed(signals):
            if all(b.bar in found for b, _ in readers.get(a.bar, ())):
                found[a.bar] = a
        weights: dict[str, int] = {}
        for a in signals:
            (s, *more) = a.final
            places = [(b, t) for b, t in readers.get(a.bar, ()) if b.bar not in found or b.bar in weights]
            simple = not more and s.plain and s.op in ("=", "+=") and s.guard is None and s.scan is None
            if a.bar in found or not simple or len(list(a.told)) > 1:
                continue
            if len(places) != 1 or self.leaf(places[0][0]) or places[0][0].seed != a.seed:
                continue
            reader = places[0][1]
            reads = [x for x in ex.accesses(reader.body) if x.tensor == a.bar]
            weight = size(s.body) + sum(weights.get(r, 0) for r in s.reads) + size(reader.body)
            lone = len(reads) == 1 and bare(reads[0]) and (not s.reduced or not reader.reduced)
            if lone and reader.scan is None and len(places[0][0].final) == 1 and weight <= _PLACED:
                found[a.bar] = a
                weights[a.bar] = size(s.body) + sum(weights.get(r, 0) for r in s.reads)
        return found

    def parts(self, reads: Iterable[str]) -> dict[str, Statement]:
        """The statements of the error signals that are put in place of what is read, and of what those read."""
        found: dict[str, Statement] = {}
        todo = list(reads)
        while todo:
            name = todo.pop()
            if name in self.inside and name not in found:
                found[name] = self.inside[name].final[0]
                todo += found[name].reads
        return found

    def inner(self, a: Adjoint) -> list[Adjoint]:
        """The adjoints without an equation of their own that are told with another."""
        todo, found = [a], dict.fromkeys([a.bar])
        while todo:
            states = todo.pop().states
            reads = dict.fromkeys(r for state in states for s in state.group for r in s.reads)
            for r in self._seen(reads):
                if r in self.inside and r not in found:
                    found[r] = None
                    todo.append(self.inside[r])
        return [self.inside[bar] for bar in found if bar != a.bar]

    @cached_property
    def _hidden(self) -> dict[str, Adjoint]:
        return {a.bar: a for a in self.adjoints if self.unseen(a)}

    def _seen(self, reads: Iterable[str]) -> Iterator[str]:
        """What is read, through the adjoints of parts that are never named."""
        todo, met = list(reads), dict.fromkeys(reads)
        while todo:
            r = todo.pop(0)
            yield r
            if r in self._hidden:
                new = [x for st in self._hidden[r].states for s in st.group for x in s.reads if x not in met]
                met.update(dict.fromkeys(new))
                todo += new

    # what is told with what

    @cached_property
    def forward(self) -> tuple[Definition, ...]:
        """The forward equations. A stable form follows what it is a form of, and what it needs goes before that."""
        told: list[Definition] = []
        waiting: dict[str, tuple[tuple[Step, ...], Statement]] = {}  # sums that will have another meaning
        former = self.cast.former
        known: set[str] = set()
        cited: set[Statement] = set()  # what is put in place of something told
        for step in self.derived.steps:
            if step.rule not in FORWARD:
                continue
            again = [s for s in step.equation if step.rule == "stable" and s.out in known]
            start = min((self._last(told, s.out) for s in again), default=len(told))
            for s in step.equation:
                if s in former:
                    waiting[s.out] = ((step,), s)
                    continue
                if former.get(waiting.get(s.out, ((), s))[1]) is step:
                    del waiting[s.out]
                own = tuple(waiting[r] for r in s.reads if r in waiting)
                steps = (*(x for more, t in own if t not in cited for x in more), step)
                cited.update(t for _, t in own)
                known.add(s.out)
                d = Definition(steps, s, tuple(t for _, t in own), s in again)
                if d.restated:
                    told.insert(self._last(told, s.out) + 1, d)
                else:
                    told.insert(start, d)
                    start += 1
        return tuple(told)

    @staticmethod
    def _last(told: Sequence[Definition], out: str) -> int:
        return max(k for k, d in enumerate(told) if d.statement.out == out)

    @cached_property
    def lent(self) -> dict[str, tuple[tuple[State, Group], ...]]:
        """For the adjoints with equations of their own at "steps": what was made on the way to others, and is read in
        these equations."""
        found: dict[str, tuple[tuple[State, Group], ...]] = {}
        met: dict[str, None] = {}
        others = [b for b in self.adjoints if self.apart(b)]
        made = {part[0].out: (state, part) for b in others for state in b.states for part in state.aside}
        placed: dict[str, Group] = {n: (s,) for n, s in self.cast.sums.items()}
        placed |= {b.bar: b.final for b in others}
        for a in self.adjoints:
            if self.apart(a):
                continue
            place = {**placed, **{n: (s,) for n, s in a.sums.items()}}
            todo = [r for group in a.told for s in group for r in s.reads]
            read: dict[str, None] = {}
            while todo:
                r = todo.pop()
                if r not in read:
                    read[r] = None
                    further = made[r][1] if r in made else place.get(r, ())
                    todo += [x for s in further for x in s.reads]
            own = [n for n in made if n in read and n not in met]
            met.update(dict.fromkeys(own))
            if own:
                found[a.bar] = tuple(made[n] for n in own)
        return found

    def apart(self, a: Adjoint) -> bool:
        """Whether an adjoint has no equation of its own at "steps"."""
        return self.unseen(a) and (not a.steps or a.steps[0].rule != "direction") or a.bar in self.inside

    # numbers

    @cached_property
    def labels(self) -> dict[int, str]:
        """The number under which each step of the trace is told: that of the last equation at which it arrives."""
        return self._numbers[0]

    @cached_property
    def numbers(self) -> dict[tuple[int, str], str]:
        """The same for each step and each tensor that it writes."""
        found = self._numbers[1]
        for step in self.derived.steps:
            for s in (*step.before, *step.equation):
                found.setdefault((step.number, s.out), self.labels[step.number])
        return found

    @cached_property
    def _numbers(self) -> tuple[dict[int, str], dict[tuple[int, str], str]]:
        steps_told: dict[int, str] = {}
        found: dict[tuple[int, str], str] = {}
        count, waiting = 0, 0
        for steps, out, main, last in self._equations():
            if main:
                count, waiting = count + 1, 0
            else:
                waiting += 1
            number = label(count) if main else label(count + 1, waiting)
            for step in steps:
                found.setdefault((step.number, out), number)
                if last:
                    steps_told[step.number] = number
        return steps_told, found

    def _equations(self) -> Iterator[tuple[Sequence[Step], str, bool, bool]]:
        """For each equation at "everything" its steps, the tensor that it defines, whether it is shown at "steps", and
        whether its steps are told by it."""
        for d in self.forward:
            yield d.steps, d.statement.out, d.statement.out not in self.cast.hidden, True
        lent = {part[0].out for parts in self.lent.values() for _, part in parts}
        for a in self.adjoints:
            apart = self.apart(a)
            for state, shown in zip(a.states, a.shown, strict=True):
                for part in state.aside:
                    yield state.steps, part[0].out, not apart or part[0].out in lent, False
                yield state.steps, a.bar, not apart and shown, True

    # states

    def _adjoint(self, key: tuple[str, str], steps: Sequence[Step]) -> Adjoint:
        seed, of = key
        bar = self.cast.whole.get(key, steps[0].equation[-1].out)
        states, sums = self._states(bar, steps)
        shown = tuple(self._shown(states, k) for k in range(len(states)))
        return Adjoint(bar, seed, of, tuple(steps), tuple(states), sums, shown)

    def _states(self, bar: str, steps: Sequence[Step]) -> tuple[list[State], dict[str, Statement]]:
        """The writers of an adjoint after the chain rule and after each tidy step, and the sums met on the way."""
        chain = [s for s in steps if s.rule == steps[0].rule]
        support = tuple((t,) for s in chain for t in s.before)
        group: Group = tuple(s.equation[0] for s in chain)
        states = [State(tuple(chain), group, support)]
        sums: dict[str, Statement] = {}
        for step in steps:
            if step.rule == steps[0].rule:
                continue
            group = tuple(s for s in step.equation if s.out == bar) or group
            others: dict[str, Group] = {}
            for s in step.equation:
                if s.out != bar:
                    others[s.out] = (*others.get(s.out, ()), s)
            inside = [n for n, g in others.items() if self.cast.tensors[n].role == "adjoint" and single(g)]
            sums.update({n: others[n][0] for n in inside})
            aside = tuple(g for n, g in others.items() if n not in inside)
            states.append(State((step,), group, aside))
        return states, sums

    def _shown(self, states: Sequence[State], k: int) -> bool:
        """Whether a state is shown at "steps": the last; and the one before the first rule that changes more than how
        it looks, where the last is shorter by that or a fact was used."""
        last = len(states) - 1
        if k == last:
            return True
        start = next((m for m, s in enumerate(states) if m and s.rule not in PLAIN), last + 1) - 1
        if k != start or any(self.cast.unseen(r) for s in states[k].group for r in s.reads):
            return False
        more = any(s.rule not in QUIET for s in states[k + 1 :] if s.rule != "cancel")
        return more or _entries(states[last].group) < _entries(states[k].group)


def labels(derived: Derived) -> Mapping[int, str]:
    """For each step's number the one that equations show: "7", or "7a" for what leads to 7.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> labels(derive(read("x: weight[n]; loss = sum(tanh(x))")))
        {1: '1', 2: '2'}
    """
    return Plan(Cast(derived)).labels


_K = TypeVar("_K")


def _computed(loop: Mapping[_K, Adjoint]) -> list[_K]:
    """What one loop computes, in an order in which a step can be computed: what is read at the same step comes first,
    what is read at another step is there already."""
    names = {a.bar: key for key, a in loop.items()}
    reads: dict[_K, dict[_K, None]] = {}
    for key, a in loop.items():
        reads[key] = {}
        for s in map(own_step, (w for w in a.final if w.scan is not None)):
            t = next((i for i in s.left if a.loop is not None and i.axis == a.loop.axis), None)
            for access in ex.accesses(s.body):
                if access.tensor in names and access.tensor != a.bar and (t is None or t in access.index):
                    reads[key][names[access.tensor]] = None
    found: dict[_K, None] = {}

    def visit(key: _K, above: tuple[_K, ...]) -> None:
        for other in reads[key]:
            if other not in found and other not in above:
                visit(other, (*above, key))
        found[key] = None

    for key in loop:
        visit(key, (key,))
    return list(found)


def numbers(derived: Derived) -> Mapping[tuple[int, str], str]:
    """The same for each step's number and each tensor that the step writes, where a step gives several equations.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> numbers(derive(read("x: weight[n]; loss = prod(x)")))
        {(1, 'loss'): '1', (2, 'loss_others'): '2', (2, 'dx'): '3'}
    """
    return Plan(Cast(derived)).numbers


def single(group: Group) -> bool:
    """Whether one statement gives every entry, so that it can be put in place of its tensor."""
    return len(group) == 1 and group[0].plain


def _entries(group: Group) -> int:
    """How many entries are read."""
    return sum(isinstance(e, ex.Access) for s in group for e in ex.walk(s.body))
