"""The derivation as a story: what is printed, in which order, before any script.

From the trace to forward equations, then one passage for each adjoint from the loss back (the chain rule as found, the
steps to its final form, their reasons), then the results. A printer of text, LaTeX or anything else walks this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Union

from symgrad.explain.formula import (
    ONES,
    Big,
    Derivative,
    Entry,
    Formula,
    Iverson,
    Power,
    Product,
    Quotient,
    Symbol,
    Transpose,
    children,
    entry,
    plus,
    times,
)  # fmt: skip
from symgrad.explain.indices import Indices
from symgrad.explain.matrices import Arrays, Mathematics, Numpy
from symgrad.explain.names import Names
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.trace import Derived, Step
from symgrad.leaves import LEAVES
from symgrad.passes.forms import match_index, size

Sentence = tuple[Union[str, Formula], ...]
Group = tuple[Statement, ...]

FORMS = ("matrix", "index")
DETAILS = ("result", "steps", "everything")
# steps that only rewrite: their reasons are told with the next equation
QUIET = ("substitute", "merge", "equal", "output", "rename", "assign")
RULES = {
    "definition": "definition", "chain": "chain rule", "stable": "stable form", "fact": "declared fact",
    "substitute": "substitution", "merge": "sum of contributions", "look-up": "look-up", "gather": "change of letters",
    "output": "forward value", "share": "softmax", "cancel": "common factors", "hoist": "constant factor",
    "equal": "same value", "seed": "start", "drop": "not needed", "rename": "renaming", "factor": "factoring",
}  # fmt: skip


@dataclass(frozen=True)
class Equation:
    """`left = right`, with the numbers of the steps that it stands for; without `left` it goes on from the one before."""

    left: Formula | None
    right: Formula
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Remark:
    """Why: the numbers it is about, the name of the rule, a sentence."""

    numbers: tuple[int, ...]
    rule: str
    sentence: Sentence


@dataclass(frozen=True)
class Passage:
    heading: Sentence
    equations: tuple[Equation, ...]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Story:
    notation: tuple[Sentence, ...]
    forward: Passage
    backward: tuple[Passage, ...]
    results: Passage


@dataclass
class _State:
    """What an adjoint is after a step: its writers, and what to say."""

    numbers: tuple[int, ...]
    rule: str
    group: Group
    sentences: tuple[Sentence, ...]
    aside: Group = ()


class Teller:
    """Tells a derivation in one form and detail.

    Args:
        form: "matrix" or "index"; equations without a matrix form are told in index form.
        detail: "result", "steps" or "everything".
        numpy: whether matrices are written with NumPy's operators rather than as linear algebra.
    """

    def __init__(self, derived: Derived, form: str = "matrix", detail: str = "steps", *, numpy: bool = False):
        self.derived, self.form, self.detail, self.numpy = derived, form, detail, numpy

    # what there is

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors that a step speaks of; those that did not stay in the program are found from the steps."""
        d = self.derived
        known: dict[str, Tensor] = {**d.source.tensors, **d.program.tensors}
        for step in d.steps:
            for s in (*step.equation, *step.before):
                if s.out not in known:
                    known[s.out] = self._lost(step, s, known)
        return known

    def _lost(self, step: Step, s: Statement, known: Mapping[str, Tensor]) -> Tensor:
        shape = tuple(s.ranges.get(i.axis or "", ints.ONE) for i in s.left)
        if step.rule == "chain" and step.access is not None and s in step.equation:
            t = known[step.access.tensor]
            return replace(t, name=s.out, role="adjoint", of=t.name, sweep=1, literal=None, below=None)
        whole = next((n for n in known if s.out.startswith(n + "_") and known[n].role == "adjoint"), None)
        if whole is not None:
            return replace(known[whole], name=s.out, named=False)
        return Tensor(s.out, shape, named=False)

    @cached_property
    def whole(self) -> dict[str, str]:
        """For each tensor the name of its adjoint."""
        found: dict[str, str] = {}
        for step in self.derived.steps:
            if step.rule == "chain":
                t = self.tensors[step.equation[0].out]
                found.setdefault(t.of, t.name)
        return {**found, **self.derived.adjoints, **self.derived.gradients}

    @cached_property
    def forward(self) -> dict[str, list[Statement]]:
        """The forward statements that were differentiated, in their stable forms, by the tensor they write."""
        found: dict[str, list[Statement]] = {}
        for step in self.derived.steps:
            if step.rule == "stable":
                for s in step.before:
                    found[s.out] = []
            if step.rule in ("definition", "stable"):
                for s in step.equation:
                    found.setdefault(s.out, []).append(s)
        return {name: group for name, group in found.items() if group}

    @cached_property
    def everything(self) -> tuple[Statement, ...]:
        return tuple(s for step in self.derived.steps for s in (*step.before, *step.equation))

    @cached_property
    def hidden(self) -> dict[str, Statement]:
        """Unnamed parts that are read once and whose adjoint is no tensor of its own: put in place where they are read."""
        if self.detail == "everything":
            return {}
        kept = set(self.derived.adjoints) | set(self.derived.gradients)
        changed = {
            s.out
            for step in self.derived.steps
            if step.rule == "stable"
            for s in (*step.before, *step.equation)
        }
        backward = [s for s in self.derived.program.statements if self.tensors[s.out].role == "adjoint"]
        readers: dict[str, list[Access]] = {}
        looks: dict[str, int] = {}
        for group in self.forward.values():
            for s in group:
                for a in ex.accesses(s.body):
                    readers.setdefault(a.tensor, []).append(a)
                for r in s.reads:
                    looks[r] = looks.get(r, 0) + 1
        found: dict[str, Statement] = {}
        for name, group in self.forward.items():
            t, places = self.tensors[name], readers.get(name, [])
            s = group[0]
            if (
                t.named
                or name in kept
                or name in changed
                or len(group) > 1
                or s.op not in ("=", "+=")
                or not s.plain
            ):
                continue
            once = len(places) == 1 and looks[name] == 1 and _bare(places[0])
            small = size(s.body) <= 8 or not any(name in b.reads for b in backward)
            if once and small and s.guard is None:
                found[name] = s
        return found

    @cached_property
    def names(self) -> Names:
        d = self.derived
        return Names(
            self.tensors, self.everything, d.source.target, self.whole, d.source.sizes, frozenset(self.hidden)
        )

    @cached_property
    def program(self) -> Program:
        return replace(self.derived.program, tensors=self.tensors)

    @cached_property
    def sums(self) -> dict[str, Statement]:
        """Sums that factors came out of, as they ended: put in place, and shown before they are so only in their steps."""
        found: dict[str, Statement] = {}
        for step in self.derived.steps:
            for s in step.equation:
                t = self.tensors[s.out]
                if t.role == "adjoint" and self.whole.get(t.of) != s.out and s.plain:
                    found[s.out] = s
        for s in self.derived.program.statements:
            if s.out in found:
                found[s.out] = s
        return found

    def indices(self, extra: Mapping[str, Statement] | None = None) -> Indices:
        return Indices(self.names, {**self.hidden, **self.sums, **(extra or {})})

    def arrays(self, extra: Mapping[str, Statement] | None = None) -> Arrays:
        return (Numpy if self.numpy else Mathematics)(self.indices(extra), self.program)

    # equations

    def equations(
        self, group: Group, extra: Mapping[str, Statement] | None = None, form: str = ""
    ) -> tuple[Formula, Formula, tuple[str, ...]]:
        """The two sides for all that is written to one tensor, in the form asked for if there is one, and reasons."""
        if (form or self.form) == "matrix":
            found = self.arrays(extra).total(group)
            if found is not None:
                return found
        left, right = self.indices(extra).total(group)
        return left, right, ()

    def defined(self, s: Statement) -> tuple[Formula, Formula, tuple[str, ...]]:
        """The two sides of a forward statement."""
        whole = s.plain and len(self.forward.get(s.out, [s])) <= 1
        if whole:
            return self.equations((s,))
        left, right = self.indices().equation(s) if s.op == "=" else self.indices().total((s,))
        return left, right, ()

    # the story

    def tell(self) -> Story:
        forward = self._forward()
        backward = () if self.detail == "result" else tuple(self._backward())
        results = self._results()
        return Story(self._notation(forward, backward, results), forward, backward, results)

    def _forward(self) -> Passage:
        equations, remarks = [], []
        for step in self.derived.steps:
            if step.rule == "definition":
                s = step.equation[0]
                if s.out not in self.hidden:
                    left, right, _ = self.defined(s)
                    equations.append(Equation(left, right, (step.number,)))
                remarks += self._origin(step, remarks)
            elif step.rule == "stable":
                for s in step.equation:
                    left, right, _ = self.defined(s)
                    equations.append(Equation(left, right, (step.number,)))
                remarks.append(Remark((step.number,), RULES["stable"], self.sentence(step.reason)))
        return Passage(("Forward",), tuple(equations), tuple(remarks))

    def _origin(self, step: Step, before: Sequence[Remark]) -> list[Remark]:
        """What to say of a definition: from which call it comes, and what is held in it."""
        s = step.equation[0]
        held = [e.arg for e in ex.walk(s.body) if isinstance(e, ex.Stop) and e.kind == "held"]
        remarks = []
        if s.label and self.detail == "everything":
            remarks.append(Remark((step.number,), RULES["definition"], (f"from {s.label}.",)))
        if held:
            shown = self.indices().expr(held[0], [])
            sentence: Sentence = (
                shown,
                " is held: the result does not depend on it, so nothing flows back through it.",
            )
            number = self.places[self._consumer(s)[0].out] if s.out in self.hidden else step.number
            if not any(r.sentence == sentence for r in before):
                remarks.append(Remark((number,), "held", sentence))
        return remarks

    def _backward(self) -> Iterable[Passage]:
        """One passage for each adjoint, in the order of the trace."""
        order: dict[str, list[Step]] = {}
        for step in self.derived.steps:
            if step.rule in ("definition", "stable"):
                continue
            order.setdefault(self.tensors[step.equation[-1].out].of, []).append(step)
        for name, steps in order.items():
            if name and name not in self.hidden:
                yield self._passage(name, steps)

    def _passage(self, name: str, steps: Sequence[Step]) -> Passage:
        bar = self.whole[name]
        extra: dict[str, Statement] = {}
        states = self._states(bar, steps, extra)
        equations: list[Equation] = []
        remarks: list[Remark] = []
        waiting: list[tuple[int, Sentence, str]] = []
        first = self._symbolic(name, steps) if self.form == "index" or self.numpy else None
        if first is not None:
            equations.append(Equation(self.lhs(states[0].group), first))
        previous: Formula | None = None
        told: list[str] = []
        for k, state in enumerate(states):
            last = k == len(states) - 1
            unseen = any(self._unseen(r) for s in state.group for r in s.reads)
            for s in state.aside:
                left, right, _ = self.equations((s,), extra)
                equations.append(Equation(left, right, state.numbers))
                previous = None
            if state.rule == "hoist" and equations and equations[-1].numbers and previous is not None:
                # put in place, what came out of the sum shows only where the sum now stands
                equations[-1] = replace(equations[-1], numbers=(*equations[-1].numbers, *state.numbers))
                waiting += [
                    (n, sentence, state.rule)
                    for n in state.numbers
                    for sentence in state.sentences
                    if sentence
                ]
                remarks += self._remarks(waiting, state, ())
                waiting = []
                continue
            quiet = state.rule in QUIET and self.detail != "everything"
            waiting += [
                (n, sentence, state.rule) for n in state.numbers for sentence in state.sentences if sentence
            ]
            if not last and (unseen or quiet or self._soon_replaced(states, k)):
                continue
            left, right, reasons = self.equations(state.group, extra)
            if previous is not None and right == previous and equations[-1].numbers:
                equations[-1] = replace(equations[-1], numbers=(*equations[-1].numbers, *state.numbers))
            else:
                shown = None if equations and previous is not None and equations[-1].left is None else left
                equations.append(Equation(shown, right, state.numbers))
            previous = right
            remarks += self._remarks(waiting, state, tuple(r for r in reasons if r not in told))
            told += reasons
            waiting = []
        return Passage(self._heading(name), _joined(equations), tuple(remarks))

    def _soon_replaced(self, states: Sequence[_State], k: int) -> bool:
        """At "steps", a chain rule that only waits for what was found before to be put in is not shown twice."""
        return (
            self.detail == "steps"
            and states[k].rule == "chain"
            and k + 1 < len(states)
            and states[k + 1].rule == "substitute"
        )

    def lhs(self, group: Group) -> Formula:
        return self.indices().total(group)[0]

    def _unseen(self, name: str) -> bool:
        return self.tensors[name].role == "adjoint" and self.tensors[name].of in self.hidden

    def _states(self, bar: str, steps: Sequence[Step], extra: dict[str, Statement]) -> list[_State]:
        """The writers of an adjoint after the chain rule and after each tidy step."""
        chain = [s for s in steps if s.rule == "chain"]
        group: Group = tuple(s.equation[0] for s in chain)
        support = tuple(t for s in chain for t in s.before)
        states = [_State(tuple(s.number for s in chain), "chain", group, (), support)]
        for step in steps:
            if step.rule == "chain":
                continue
            parts = tuple(s for s in step.equation if s.out == bar)
            others = tuple(s for s in step.equation if s.out != bar)
            for s in others:
                if self.tensors[s.out].role == "adjoint":
                    extra[s.out] = s
            aside = tuple(s for s in others if self.tensors[s.out].role != "adjoint")
            group = parts or states[-1].group
            states.append(_State((step.number,), step.rule, group, (self._reason(step),), aside))
        states[0].sentences = (self._chain_reason(chain),)
        return states

    def _remarks(
        self, waiting: list[tuple[int, Sentence, str]], state: _State, reasons: tuple[str, ...]
    ) -> list[Remark]:
        found: list[Remark] = []
        for n, sentence, rule in waiting:
            if found and found[-1].sentence == sentence:
                found[-1] = replace(found[-1], numbers=(*found[-1].numbers, n))
            else:
                found.append(Remark((n,), RULES.get(rule, rule), sentence))
        if reasons:
            said: list[Union[str, Formula]] = []
            for k, r in enumerate(reasons):
                said += ["; " if k else "", *self.sentence(r)]
            found.append(Remark(state.numbers, "matrix form", (*said, ".")))
        return found

    # sentences

    def _heading(self, name: str) -> Sentence:
        symbol, adjoint = self.names.symbols[name], self.names.tensor(self.whole[name])
        if isinstance(adjoint, Derivative):
            return ("Gradient by ", symbol)
        return (
            "Error signal of ",
            symbol,
            ": ",
            adjoint,
            " = ",
            Derivative(self.names.symbols[self.names.target], symbol),
        )

    def _chain_reason(self, chain: Sequence[Step]) -> Sentence:
        sources = [s for s in chain if s.source is not None and s.access is not None]
        if not sources:
            return ("The result does not depend on it.",)
        a = sources[0].access
        assert a is not None
        where = dict.fromkeys(self._consumer(s.source)[0].out for s in sources if s.source is not None)
        said: list[Union[str, Formula]] = [self.names.symbols[a.tensor], " is read by "]
        for k, name in enumerate(where):
            said += [" and by " if k else "", self.names.symbols[name], f" in ({self.places[name]})"]
        return (*said, ".", *self._slope(sources[0]))

    @cached_property
    def places(self) -> dict[str, int]:
        """The number of the equation that a forward tensor is shown in."""
        found: dict[str, int] = {}
        for step in self.derived.steps:
            if step.rule in ("definition", "stable"):
                found.update({s.out: step.number for s in step.equation})
        return found

    def _slope(self, step: Step) -> Sentence:
        """How the derivative of a leaf was found, where one was applied."""
        assert step.source is not None and step.access is not None and step.partial is not None
        body = step.source.body
        if not isinstance(body, ex.Call) or body.args != (step.access,):
            return ()
        leaf = LEAVES[body.name]
        how = f" ({leaf.note})" if leaf.kinks and leaf.note else ""
        shown = Derivative(self.names.symbols[step.source.out], self.names.symbols[step.access.tensor])
        return (" ", shown, " is ", self.indices().expr(step.partial, []), f"{how}.")

    def _reason(self, step: Step) -> Sentence:
        """The reason of a step; for rules whose effect shows in the statements, said from them."""
        if step.rule == "hoist":
            over = ", ".join(step.before[0].reduced)
            return self.sentence(f"What does not depend on {over} comes out of the sum.")
        if step.rule == "substitute":
            gone = [r for s in step.before for r in s.reads if not any(r in t.reads for t in step.equation)]
            seen = [
                r for r in dict.fromkeys(gone) if self.tensors[r].role == "adjoint" and not self._unseen(r)
            ]
            if not seen:
                return ()
            said: list[Union[str, Formula]] = []
            for k, r in enumerate(seen):
                said += [" and " if k else "", self.names.tensor(r)]
            return ("What was found for ", *said, " is put in.")
        return self.sentence(step.reason)

    def sentence(self, text: str) -> Sentence:
        """A sentence of the trace with the names in it as formulas."""
        letters = {a for s in self.everything for a, _ in s.axes if a not in _WORDS and a not in self.tensors}
        known = sorted([n for n in self.tensors if n not in _WORDS] + sorted(letters), key=len, reverse=True)
        pattern = re.compile(
            rf"(?<![\w`])({'|'.join(map(re.escape, known))})(\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]|ᵀ)?(?![\w(])"
        )
        out: list[Union[str, Formula]] = []
        end = 0
        for m in pattern.finditer(text):
            out += [text[end : m.start()], self._mention(m[1], m[2] or "")]
            end = m.end()
        return tuple(p for p in (*out, text[end:]) if p != "")

    def _mention(self, name: str, index: str) -> Formula:
        symbol = self.names.tensor(name) if name in self.tensors else self.names.letter(name)
        if index == "ᵀ":
            return Transpose(symbol)
        if not index:
            return symbol
        parts = re.findall(r"[^,\[\]]+(?:\[[^\[\]]*\])?", index[1:-1])
        return entry(symbol, tuple(self._spoken(p.strip()) for p in parts))

    def _spoken(self, part: str) -> Formula:
        m = re.fullmatch(r"(\w+)\[(.*)\]", part)
        if m and m[1] in self.tensors:
            return self._mention(m[1], f"[{m[2]}]")
        return (
            self.names.letter(part)
            if part.isidentifier()
            else Symbol(part, part, re.sub(r"[^\w+\-, ]", " ", part).replace("_", r"\_"))
        )

    # the chain rule with its symbols

    def _consumer(self, s: Statement) -> tuple[Statement, tuple[str, ...]]:
        """The shown statement that a statement is part of, and the letters of its left side in terms of the part's."""
        seen: dict[str, None] = {}
        while s.out in self.hidden and s.out not in seen:
            seen[s.out] = None
            for group in self.forward.values():
                for t in group:
                    for a in ex.accesses(t.body):
                        if a.tensor == s.out and (bound := match_index(s.left, a.index, {})) is not None:
                            names = {x: i.axis or x for x, i in bound.items()}
                            free = {x: f"{x}_2" for x, _ in s.axes if x not in names and x in t.ranges}
                            s = replace(t, body=s.rename({**names, **free}).body)
                            break
                    else:
                        continue
                    break
                else:
                    continue
                break
        return s, tuple(i.axis or "" for i in s.left)

    def _symbolic(self, name: str, steps: Sequence[Step]) -> Formula | None:
        """Σ δ ∂out/∂in over the equations that read a tensor; None where the loss itself is the only one."""
        chain = [s for s in steps if s.rule == "chain" and s.source is not None and s.access is not None]
        letters = self.indices().letters([s.equation[0] for s in chain]) if chain else ()
        terms: dict[str, Formula] = {}
        for step in chain:
            assert step.source is not None and step.access is not None
            outer, _ = self._consumer(step.source)
            if outer.out == self.names.target or outer.out in terms or outer.out not in self.whole:
                continue
            access = step.access
            if step.source.out in self.hidden:
                access = next((a for a in ex.accesses(outer.body) if a.tensor == name), access)
            onto = {i.axis: x for i, x in zip(access.index, letters, strict=True) if i.axis is not None}
            clash = {
                a: self.indices().fresh(a, [*letters, *outer.ranges])
                for a, _ in outer.axes
                if a not in onto and a in letters
            }
            outer = outer.rename({**onto, **clash})
            over = [a for a in outer.kept if a not in letters]
            out = tuple(map(self.indices().integer, outer.left))
            here = entry(self.names.symbols[name], tuple(map(self.names.letter, letters)))
            signal = entry(self.names.tensor(self.whole[outer.out]), out)
            product = times(signal, Derivative(entry(self.names.symbols[outer.out], out), here))
            terms[outer.out] = (
                Big("sum", tuple(map(self.names.letter, over)), (), product) if over else product
            )
        if not terms:
            return None
        direct = [
            s for s in chain if s.source is not None and self._consumer(s.source)[0].out == self.names.target
        ]
        if any(self._unseen(r) for s in direct for r in s.equation[0].reads):
            return None
        return plus(*terms.values(), *(self.indices().contribution(s.equation[0], letters) for s in direct))

    # results

    def _results(self) -> Passage:
        """Each gradient in one formula where it is short, else as its passage ended; at "result" with all it needs."""
        if self.detail == "result":
            found = self._resolved(tuple(self.derived.gradients.values()))
        else:
            found = []
            for bar in self.derived.gradients.values():
                short = self._resolved((bar,)) if self._short(bar) else []
                found += short if len(short) == 1 else [self.equations(self.derived.program.writers(bar))[:2]]
        return Passage(("Result",), tuple(Equation(left, right) for left, right in found))

    def _short(self, bar: str) -> bool:
        """Whether only a few error signals stand between a gradient and the forward values."""
        met, todo = {bar: None}, [bar]
        while todo and len(met) <= 3:
            for s in self.derived.program.writers(todo.pop()):
                new = [r for r in s.reads if self.tensors[r].role == "adjoint" and r not in met]
                met.update(dict.fromkeys(new))
                todo += new
        return not todo

    def result(self, name: str, form: str = "") -> list[tuple[Formula, Formula]]:
        """A gradient as a formula, after the parts that it needs: those read more than once or too large to put in
        place."""
        return self._resolved((self.derived.gradients[name],), form)

    def _resolved(self, bars: tuple[str, ...], form: str = "") -> list[tuple[Formula, Formula]]:
        defined, inline = self._slice(bars)
        order = dict.fromkeys((*defined, *bars))
        groups = ((part, self.derived.program.writers(part)) for part in order if part != self.names.target)
        return [self._unclashed(group, inline, form) for _, group in groups if group]

    def _unclashed(self, group: Group, inline: Mapping[str, Statement], form: str) -> tuple[Formula, Formula]:
        """The two sides, no letter that needs its range said called like its size: `n < n` would say nothing."""
        left, right, _ = self.equations(group, inline, form)
        unseen = self.unseen(left, right)
        clash = [x.code for x, n in unseen if isinstance(x, Symbol) and isinstance(n, Symbol) and x.code == n.code]
        if clash:
            used = [a for s in group for a, _ in s.axes]
            fresh = {a: self.indices().fresh("k", [*used, *clash[:k]]) for k, a in enumerate(clash)}
            left, right, _ = self.equations(tuple(s.rename(fresh) for s in group), inline, form)
        return left, right

    def unseen(self, left: Formula, right: Formula) -> list[tuple[Formula, Formula]]:
        """Letters of a left side that stand alone in no place of the right side, with their sizes."""
        base, index = _taken_apart(left)
        shape = self.tensors[base].shape
        bare = [x for f in _parts(right) if isinstance(f, Entry) for x in f.index]
        return [(x, self.indices().integer(n)) for x, n in zip(index, shape, strict=False) if x not in bare]

    def _slice(self, bars: tuple[str, ...]) -> tuple[list[str], dict[str, Statement]]:
        """What a gradient needs besides named forward values: parts to define first, and parts to put in place."""
        program = self.derived.program
        uses: dict[str, list[Statement]] = {}
        todo, seen = list(bars), dict.fromkeys(bars)
        while todo:
            for s in program.writers(todo.pop()):
                for r in s.reads:
                    uses.setdefault(r, []).append(s)
                    t = self.tensors[r]
                    backward = t.role == "adjoint" or r not in self.derived.source.tensors
                    if r not in seen and (backward or not t.named) and program.writers(r):
                        seen[r] = None
                        todo.append(r)
        inline: dict[str, Statement] = {}
        defined: list[str] = []
        for s in program.statements:
            name = s.out
            if name not in seen or name in bars or name in inline or name in defined:
                continue
            group = program.writers(name)
            readers = uses.get(name, [])
            weight = size(s.body) + sum(size(inline[r].body) for r in s.reads if r in inline)
            places = [a for u in readers for a in ex.accesses(u.body) if a.tensor == name]
            simple = len(group) == 1 and s.op in ("=", "+=") and s.plain and s.guard is None
            if name in self.hidden:
                continue
            small = len(places) == 1 and weight <= 24 or weight <= 5
            if simple and small and not self.tensors[name].named and all(map(_bare, places)):
                inline[name] = s
            else:
                defined.append(name)
        return defined, inline

    # notation

    def _notation(
        self, forward: Passage, backward: tuple[Passage, ...], results: Passage
    ) -> tuple[Sentence, ...]:
        shown = [forward, *backward, results]
        formulas = [f for p in shown for e in p.equations for f in (e.left, e.right) if f is not None]
        parts = [x for f in formulas for x in _parts(f)]
        target = self.names.symbols[self.names.target]
        lines: list[Sentence] = []
        signal = next((x for x in parts if isinstance(x, Symbol) and self._signal(x.code)), None)
        if signal is not None:
            of = self.names.symbols[self.tensors[signal.code].of]
            lines.append(
                (
                    signal,
                    " stands for ",
                    Derivative(target, of),
                    ", the error signal of ",
                    of,
                    "; so for every letter.",
                )
            )
        symbols = {x.code: x for x in parts if isinstance(x, Symbol)}
        nick = [n for n in self.names.nicknames if n in symbols]
        if nick:
            said: list[Union[str, Formula]] = []
            for k, n in enumerate(nick):
                said += [", " if k else "", symbols[n], f" is `{n}`"]
            lines.append((*said, " in the generated code."))
        if not self.numpy:
            sizes = [n for n, x in self.names.sizes.items() if x in parts and x != self.names.letter(n)]
            said = []
            for k, n in enumerate(sizes):
                said += [
                    ", " if k else "",
                    self.names.sizes[n],
                    " is the number of values of ",
                    self.names.letter(n),
                ]
            lines += [(*said, ".")] if said else []
        if self.numpy:
            return (*lines, _BRACKETS) if any(isinstance(x, Iverson) for x in parts) else tuple(lines)
        if ONES in parts:
            lines.append(("Vectors are columns, and ", ONES, " is one of ones."))
        if any(
            isinstance(x, (Product, Quotient))
            and x.kind == "hadamard"
            or isinstance(x, Power)
            and x.elementwise
            for x in parts
        ):
            lines.append(_ENTRYWISE)
        if any(isinstance(x, Iverson) for x in parts):
            lines.append(_BRACKETS)
        return tuple(lines)

    def _signal(self, name: str) -> bool:
        t = self.tensors.get(name)
        return t is not None and t.role == "adjoint" and self.tensors[t.of].role == "value"


_BRACKETS: Sentence = ("A condition in brackets is 1 where it holds, and 0 elsewhere.",)
_ENTRYWISE: Sentence = (
    "Functions, ", Symbol("*", "⊙", r"\odot"), ", ", Symbol("/", "⊘", r"\oslash"), " and powers with ",
    Symbol("*", "⊙", r"\odot"), " act entry by entry.",
)  # fmt: skip
_WORDS = frozenset(
    "a an the of to in on is are as at by be it one all only no so and or not sum over under for from with where what was "
    "were that this here there every each its their than then once more again used name called".split()
)


def spans(numbers: Iterable[int], dash: str) -> list[str]:
    """Numbers in order, three or more in a row as a span.

    >>> spans([5, 1, 2, 3, 8], "-")
    ['1-3', '5', '8']
    """
    rows: list[list[int]] = []
    for n in sorted(dict.fromkeys(numbers)):
        if rows and n == rows[-1][-1] + 1:
            rows[-1].append(n)
        else:
            rows.append([n])
    return [part for r in rows for part in ([f"{r[0]}{dash}{r[-1]}"] if len(r) > 2 else map(str, r))]


def _bare(a: Access) -> bool:
    letters = [i.axis for i in a.index]
    return None not in letters and len(set(letters)) == len(letters)


def _taken_apart(left: Formula) -> tuple[str, tuple[Formula, ...]]:
    """The name in the program and the letters of a left side."""
    inner = left.bottom if isinstance(left, Derivative) else left
    index = inner.index if isinstance(inner, Entry) else ()
    base = left.code if isinstance(left, Derivative) else inner.base if isinstance(inner, Entry) else inner
    return (base if isinstance(base, str) else getattr(base, "code", "")), index


def _parts(f: Formula) -> list[Formula]:
    return [f, *(x for c in children(f) for x in _parts(c))]


def _joined(equations: Sequence[Equation]) -> tuple[Equation, ...]:
    """Equations whose left side repeats the one before go on from it."""
    out: list[Equation] = []
    left: Formula | None = None
    for e in equations:
        out.append(replace(e, left=None) if e.left is not None and e.left == left else e)
        left = e.left if e.left is not None else left
    return tuple(out)
