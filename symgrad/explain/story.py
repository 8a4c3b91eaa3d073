"""The derivation as a story: what is told, in which order, before any script.

From the trace to forward equations, then one passage for each adjoint from the loss back (the chain rule as
found, the steps to its final form, their reasons), then the results. Printers of text, LaTeX and Markdown
walk this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from symgrad.explain.cast import Cast
from symgrad.explain.formula import Big, Derivative, Formula, entry, plus, times
from symgrad.explain.parts import Equation, Group, Passage, Remark, Sentence, Story
from symgrad.explain.sentences import HELD, RULES, Sentences
from symgrad.explain.sides import Line, Sides
from symgrad.language import expr as ex
from symgrad.language.program import Statement
from symgrad.language.trace import Derived, Step

DETAILS = ("result", "steps", "everything")
# steps that only rewrite: their reasons are told with the next equation
QUIET = ("substitute", "merge", "equal", "output", "rename")


@dataclass(frozen=True)
class _State:
    """What an adjoint is after a step: all its writers; `aside` are tensors that the step made for it."""

    numbers: tuple[int, ...]
    rule: str
    group: Group
    sentence: Sentence
    aside: tuple[Group, ...] = ()


class Teller:
    """Tells a derivation in one form and detail.

    Args:
        form: "matrix", "index" or "scalar"; equations without a matrix form are told with indices.
        detail: "result", "steps" or "everything".
        numpy: whether matrices are written with NumPy's operators rather than as linear algebra.
        sizes: numbers for size letters, for the scalar form.
    """

    def __init__(
        self,
        derived: Derived,
        form: str = "matrix",
        detail: str = "steps",
        *,
        numpy: bool = False,
        sizes: Mapping[str, int] | None = None,
    ):
        self.derived, self.detail = derived, detail
        self.cast = Cast(derived, named=detail == "everything")
        self.sides = Sides(self.cast, form, numpy=numpy, sizes=sizes)
        self.indices = self.sides.indices()
        self.sentences = Sentences(self.cast, self.sides)

    def tell(self) -> Story:
        """Notation, forward equations, adjoints from the loss back, results."""
        backward = () if self.detail == "result" else tuple(self._backward())
        passages = tuple(p for p in (self._forward(), *backward, self._results()) if p.equations)
        passages = self.sides.told(passages)
        formulas = [f for p in passages for e in p.equations for f in (e.left, e.right) if f is not None]
        return Story(self.sentences.notation(formulas, numpy=self.sides.numpy), passages)

    # forward

    def _forward(self) -> Passage:
        equations: list[Equation] = []
        remarks: list[Remark] = []
        for step in self.derived.steps:
            if step.rule in ("definition", "stable"):
                for s in step.equation:
                    equations += self._definition(s, step.number)
                remarks += [
                    r for r in self._origin(step) if all(r.sentence != other.sentence for other in remarks)
                ]
        return Passage(("Forward",), tuple(equations), tuple(remarks))

    def _definition(self, s: Statement, number: int) -> Iterable[Equation]:
        """A forward equation, after the parts of it that were stored under a name of their own."""
        stored = [
            t for t in self.cast.silent if any(t.out in u.reads for u in self.derived.program.writers(s.out))
        ]
        for t in stored:
            yield Equation(*self.sides.defined(t), statements=(t,))
        if s.out not in self.cast.hidden:
            final = self.derived.program.writers(s.out)[0] if stored else s
            yield Equation(*self.sides.defined(final), (number,), (final,))

    def _origin(self, step: Step) -> Iterable[Remark]:
        """What to say of a forward equation: why it has another form, from which call it comes, what is held
        in it."""
        s = step.equation[0]
        if step.rule == "stable":
            yield Remark((step.number,), RULES["stable"], self.sentences.sentence(step.reason))
        elif s.label and self.detail == "everything":
            yield Remark((step.number,), RULES["definition"], (f"from {s.label}.",))
        for s in step.equation:
            held = [e.arg for e in ex.walk(s.body) if isinstance(e, ex.Stop) and e.kind == "held"]
            number = self.cast.places.get(self.cast.consumer(s).out, step.number)
            for e in held[:1]:
                yield Remark((number,), "held", (self.indices.expr(e, []), HELD))

    # backward

    def _backward(self) -> Iterable[Passage]:
        """One passage for each adjoint, in the order of the trace."""
        order: dict[tuple[str, str], list[Step]] = {}
        for step in self.derived.steps:
            if step.rule not in ("definition", "stable"):
                t = self.cast.tensors[step.equation[-1].out]
                order.setdefault((t.seed, t.of), []).append(step)
        for (seed, name), steps in order.items():
            if steps[0].rule == "direction":
                yield self._direction(steps[0])
            elif name and name not in self.cast.hidden:
                yield self._passage(self.cast.whole[seed, name], name, steps)

    def _direction(self, step: Step) -> Passage:
        """The slope along vectors, whose gradient is asked for."""
        left, right, _ = self.sides.total(step.equation)
        return Passage((step.reason,), (Equation(left, right, (step.number,), step.equation),))

    def _passage(self, bar: str, name: str, steps: Sequence[Step]) -> Passage:
        states, sums = self._states(bar, steps)
        put = tuple(sums.values())
        equations: list[Equation] = []
        remarks: list[Remark] = []
        told: list[str] = []
        symbolic = self._symbolic(bar, name, steps)
        if symbolic is not None:
            equations.append(Equation(self.indices.total(states[0].group)[0], symbolic))
        waiting: list[_State] = []
        for k, state in enumerate(states):
            equations += [
                Equation(*self.sides.total(part, sums)[:2], state.numbers, part, put=put)
                for part in state.aside
            ]
            waiting.append(state)
            if self._skipped(states, k):
                continue
            left, right, reasons = self.sides.total(state.group, sums)
            same = (
                bool(equations) and equations[-1].numbers and not state.aside and right == equations[-1].right
            )
            if same or state.rule == "hoist" and equations and equations[-1].numbers and not state.aside:
                # put in place, what came out of a sum shows only by where the sum stands
                equations[-1] = replace(equations[-1], numbers=(*equations[-1].numbers, *state.numbers))
            else:
                equations.append(Equation(left, right, state.numbers, state.group, put=put))
            remarks += self._remarks(waiting)
            why = self.sentences.reasons(r for r in reasons if r not in told)
            remarks += [Remark(state.numbers, "matrix form", why)] if why else []
            told += reasons
            waiting = []
        return Passage(self.sentences.heading(bar), _continued(equations), tuple(remarks))

    def _states(self, bar: str, steps: Sequence[Step]) -> tuple[list[_State], dict[str, Statement]]:
        """The writers of an adjoint after the chain rule and after each tidy step, and the sums met on the
        way."""
        chain = [s for s in steps if s.rule == steps[0].rule]
        support = tuple((t,) for s in chain for t in s.before)
        group: Group = tuple(s.equation[0] for s in chain)
        states = [
            _State(tuple(s.number for s in chain), steps[0].rule, group, self.sentences.chain(chain), support)
        ]
        sums: dict[str, Statement] = {}
        for step in steps:
            if step.rule == steps[0].rule:
                continue
            group = tuple(s for s in step.equation if s.out == bar) or group
            others: dict[str, Group] = {}
            for s in step.equation:
                if s.out != bar:
                    others[s.out] = (*others.get(s.out, ()), s)
            inside = [n for n, g in others.items() if self.cast.tensors[n].role == "adjoint" and _single(g)]
            sums.update({n: others[n][0] for n in inside})
            aside = tuple(g for n, g in others.items() if n not in inside)
            states.append(_State((step.number,), step.rule, group, self.sentences.reason(step), aside))
        return states, sums

    def _skipped(self, states: Sequence[_State], k: int) -> bool:
        """Whether a state is not shown: it only rewrites, or waits for what was found before to be put in."""
        if k == len(states) - 1:
            return False
        state, after = states[k], states[k + 1]
        if any(self.cast.unseen(r) for s in state.group for r in s.reads):
            return True
        waits = state.rule == "chain" and after.rule == "substitute"
        return self.detail != "everything" and (state.rule in QUIET or waits)

    def _remarks(self, states: Sequence[_State]) -> list[Remark]:
        found: list[Remark] = []
        for s in states:
            if found and found[-1].sentence == s.sentence:
                found[-1] = replace(found[-1], numbers=(*found[-1].numbers, *s.numbers))
            elif s.sentence:
                found.append(Remark(s.numbers, RULES.get(s.rule, s.rule), s.sentence))
        return found

    def _symbolic(self, bar: str, name: str, steps: Sequence[Step]) -> Formula | None:
        """The chain rule in symbols: Σ δ ∂out/∂in over the equations that read a tensor, and what the loss
        itself contributes. None where the loss is all that reads it; in linear algebra, which has no such
        form; for what is more than a gradient of the loss."""
        t = self.cast.tensors[bar]
        if t.seed != self.derived.source.target or t.shape != self.cast.tensors[name].shape:
            return None
        chain = [s for s in steps if s.source is not None and s.access is not None]
        if not chain or self.sides.form == "matrix" and not self.sides.numpy:
            return None
        letters = self.indices.letters([s.equation[0] for s in chain])
        here = entry(self.cast.names.symbols[name], tuple(map(self.cast.names.letter, letters)))
        terms: dict[str, Formula] = {}
        direct: list[Formula] = []
        for step in chain:
            assert step.source is not None
            assert step.access is not None
            outer = self.cast.consumer(step.source)
            if outer.out == self.derived.source.target:
                if any(self.cast.unseen(r) for r in step.equation[0].reads):
                    return None
                direct.append(self.indices.contribution(step.equation[0], letters))
            elif outer.out not in terms and self.cast.adjoint(outer.out):
                access = next((a for a in ex.accesses(outer.body) if a.tensor == name), step.access)
                terms[outer.out] = self._flow(outer, access, letters, here)
        return plus(*terms.values(), *direct) if terms else None

    def _flow(self, outer: Statement, access: ex.Access, letters: tuple[str, ...], here: Formula) -> Formula:
        """`Σ δ_out ∂out/∂in` for one equation that reads an entry."""
        names = self.cast.names
        onto = {i.axis: x for i, x in zip(access.index, letters, strict=True) if i.axis is not None}
        clash = [a for a, _ in outer.axes if a not in onto and a in letters]
        free = {a: self.indices.fresh(a, [*letters, *outer.ranges]) for a in clash}
        outer = outer.rename({**onto, **free})
        position = tuple(map(self.indices.integer, outer.left))
        signal = entry(names.tensor(self.cast.whole[self.derived.source.target, outer.out]), position)
        product = times(signal, Derivative(entry(names.symbols[outer.out], position), here))
        over = tuple(names.letter(a) for a in outer.kept if a not in letters)
        return Big("sum", over, (), product) if over else product

    # results

    def _results(self) -> Passage:
        """Each gradient in one formula where it is short, else as its passage ended; at "result" with all it
        needs."""
        bars = tuple(dict.fromkeys(self.derived.gradients.values()))
        if self.detail == "result":
            found = self.sides.result(bars)
        else:
            found = []
            for bar in bars:
                short = self.sides.result([bar]) if self.sides.short(bar) else []
                group = self.derived.program.writers(bar)
                found += (
                    short if len(short) == 1 or not group else [Line(*self.sides.total(group)[:2], group)]
                )
        return Passage(
            ("Result",), tuple(Equation(f.left, f.right, statements=f.group, put=f.put) for f in found)
        )


def _single(group: Group) -> bool:
    """Whether one statement gives every entry, so that it can be put in place of its tensor."""
    return len(group) == 1 and group[0].plain


def _continued(equations: Sequence[Equation]) -> tuple[Equation, ...]:
    """Equations whose left side repeats the one before go on from it."""
    out: list[Equation] = []
    left: Formula | None = None
    for e in equations:
        out.append(replace(e, left=None) if e.left == left else e)
        left = e.left
    return tuple(out)
