"""Who appears in a derivation: its tensors and statements, what they are called, and which parts are never
named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from symgrad.explain.names import Names
from symgrad.language import expr as ex
from symgrad.language.expr import Access
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.trace import Derived, Step
from symgrad.passes.forms import match_index, size

GROWN = 200  # nodes of a part that is put in place, with all that is put in place in it
_SMALL = 8  # nodes of a body that may be written more than once


class Cast:
    """All that the trace of a derivation speaks of.

    Args:
        named: whether every part gets a name of its own; else small parts that are read once are put in
            place.
    """

    def __init__(self, derived: Derived, *, named: bool = False):
        self.derived, self.named = derived, named

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors that a step speaks of; those that did not stay in the program are found from the
        steps."""
        d = self.derived
        known: dict[str, Tensor] = {**d.source.tensors, **d.program.tensors}
        for step in d.steps:
            for s in (*step.equation, *step.before):
                if s.out not in known:
                    known[s.out] = d.tensors[s.out]
        return known

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """All statements of all steps."""
        return tuple(s for step in self.derived.steps for s in (*step.before, *step.equation))

    @cached_property
    def whole(self) -> dict[tuple[str, str], str]:
        """For each differentiated tensor, and each by which, the name of the adjoint; other adjoints of the two are
        parts of that."""
        found: dict[tuple[str, str], str] = {}
        for step in self.derived.steps:
            if step.rule in ("chain", "symmetry"):
                t = self.tensors[step.equation[0].out]
                found.setdefault((t.seed, t.of), t.name)
        return found

    def adjoint(self, name: str, seed: str = "") -> str | None:
        """The adjoint of a tensor in the derivative of `seed`, the target if not given."""
        return self.whole.get((seed or self.derived.source.target, name))

    def part(self, t: Tensor) -> bool:
        """Whether an adjoint is only a part of one."""
        return self.whole.get((t.seed, t.of), t.name) != t.name

    @cached_property
    def forward(self) -> dict[str, list[Statement]]:
        """The forward statements that were differentiated, in their stable forms, by the tensor they
        write."""
        found: dict[str, list[Statement]] = {}
        for step in self.derived.steps:
            if step.rule == "stable":
                found.update({s.out: [] for s in step.before})
            if step.rule in ("definition", "stable"):
                for s in step.equation:
                    found.setdefault(s.out, []).append(s)
        for s in self.silent:
            found.setdefault(s.out, []).append(s)
        return {name: group for name, group in found.items() if group}

    @cached_property
    def silent(self) -> tuple[Statement, ...]:
        """Forward statements that no step tells of: bodies of maxima, which are stored under a name."""
        told = {s.out for s in self.statements}
        return tuple(s for s in self.derived.program.statements if s.out not in told)

    @cached_property
    def former(self) -> dict[Statement, Step]:
        """Sums of exponentials as they were written, each with the step that gave its name to a sum of others, from
        which the largest exponent is subtracted. The name is that sum's; what was written is put in place."""
        found: dict[Statement, Step] = {}
        for step in self.derived.steps:
            if step.rule == "stable" and len(step.equation) > len(step.before):
                (top, other), old = step.equation[:2], step.before[0]
                held = any(isinstance(e, ex.Stop) and top.out in ex.tensors(e) for e in ex.walk(other.body))
                if other.out == old.out and other.op == "+=" and top.op == "max=" and held:
                    found[old] = step
        return found

    @cached_property
    def layers(self) -> dict[str, str]:
        """For each tensor that the weights of one layer are applied to give, the number of the weights, which have
        two axes or more: 2 for z = h @ W2."""
        if self.named:
            return Cast(self.derived).layers
        found: dict[str, dict[str, None]] = {}
        for step in self.derived.steps:
            if step.rule != "chain" or step.source is None or step.access is None:
                continue
            weight = self.tensors[step.access.tensor]
            named = re.fullmatch(".*?[^0-9]([0-9]+)", weight.name)
            out = self.consumer(step.source).out
            if (
                weight.role == "weight"
                and named
                and len(weight.shape) > 1
                and self.tensors[out].role == "value"
            ):
                found.setdefault(named[1], {})[out] = None
        layers: dict[str, dict[str, None]] = {}
        for number, outs in found.items():
            if len(outs) == 1:
                layers.setdefault(next(iter(outs)), {})[number] = None
        target = self.derived.source.target
        return {out: next(iter(n)) for out, n in layers.items() if len(n) == 1 and out != target}

    @cached_property
    def sole(self) -> str:
        """The tensor that has the only error signal, if there is one only."""
        if self.named:
            return Cast(self.derived).sole
        source = self.derived.source
        found = [
            of
            for seed, of in self.whole
            if self.tensors[of].role in ("value", "adjoint") and of not in self.hidden
        ]
        alone = len(found) == 1 and self.derived.kind == "gradient" and found[0] not in self.derived.gradients
        return found[0] if alone and found[0] != source.target else ""

    @cached_property
    def places(self) -> dict[str, int]:
        """The number of the step that gives the equation that a forward tensor is shown in."""
        return {
            s.out: step.number
            for step in self.derived.steps
            if step.rule in ("definition", "stable")
            for s in step.equation
        }

    @cached_property
    def _readers(self) -> dict[str, list[tuple[Statement, Access | None]]]:
        """Where a forward tensor is read; the access is None in a guard, a position or a look-up."""
        found: dict[str, list[tuple[Statement, Access | None]]] = {}
        for group in self.forward.values():
            for s in group:
                places = ex.accesses(s.body)
                for a in places:
                    found.setdefault(a.tensor, []).append((s, a))
                for name in s.reads:
                    if all(a.tensor != name for a in places):
                        found.setdefault(name, []).append((s, None))
        return found

    @cached_property
    def hidden(self) -> dict[str, Statement]:
        """Unnamed parts that are read in one place and whose adjoint is no tensor of its own: put in place
        there."""
        if self.named:
            return {}
        kept = {t.of for t in self.derived.program.role("adjoint") if not self.part(t)}
        stable = [step for step in self.derived.steps if step.rule == "stable"]
        changed = {s.out for step in stable for s in (*step.before, *step.equation)}
        backward = [s for s in self.derived.program.statements if self.tensors[s.out].role == "adjoint"]
        again = {name for s in backward for name in s.reads}
        found: dict[str, Statement] = {}
        for name, (s, *others) in self.forward.items():
            if self.tensors[name].named or name in kept or name in changed or others:
                continue
            readers = self._readers.get(name, [])
            once = len(readers) == 1 and readers[0][1] is not None and bare(readers[0][1])
            simple = s.op in ("=", "+=", *IMPLICIT) and s.plain and s.guard is None
            if once and simple and (name not in again or size(s.body) <= _SMALL) and grown(s, found) <= GROWN:
                found[name] = s
        return found

    def consumer(self, s: Statement) -> Statement:
        """The statement that is shown where a statement is written: itself, or the one that it is put in
        place of, with its own body as far as its letters reach."""
        while s.out in self.hidden:
            reader, access = self._readers[s.out][0]
            assert access is not None
            bound = match_index(s.left, access.index, {})
            assert bound is not None
            names = {x: i.axis or x for x, i in bound.items()}
            free = {x: f"{x}_2" for x, _ in s.axes if x not in names and x in reader.ranges}
            s = replace(reader, body=s.rename({**names, **free}).body)
        return s

    def unseen(self, name: str) -> bool:
        """Whether a name is the adjoint of a part that is never named."""
        t = self.tensors[name]
        return t.role == "adjoint" and t.of in self.hidden

    @cached_property
    def sums(self) -> dict[str, Statement]:
        """Sums that factors came out of, as they ended; they are put in place too."""
        found: dict[str, Statement] = {}
        program = self.derived.program
        for s in (*self.statements, *program.statements):
            t = self.tensors[s.out]
            if t.role == "adjoint" and self.part(t) and s.plain and len(program.writers(s.out)) < 2:
                found[s.out] = s
        return found

    @cached_property
    def names(self) -> Names:
        source = self.derived.source
        unnamed = frozenset(self.hidden)
        return Names(
            self.tensors,
            self.statements,
            source.target,
            self.whole,
            source.sizes,
            unnamed,
            self.layers,
            self.sole,
        )

    @cached_property
    def program(self) -> Program:
        """The program with all tensors of the trace."""
        return replace(self.derived.program, tensors=self.tensors)


def grown(s: Statement, parts: Mapping[str, Statement]) -> int:
    """The size of a part with all that is put in place in it, wherever it stands there."""
    inner = [e.tensor for e in ex.walk(s.body) if isinstance(e, Access) and e.tensor in parts]
    return size(s.body) + sum(grown(parts[r], parts) for r in inner)


def bare(a: Access) -> bool:
    """Whether all positions are letters, each once."""
    letters = [i.axis for i in a.index]
    return None not in letters and len(set(letters)) == len(letters)
