"""The derivation as a story: what is told, in which order, before any script.

From the trace to forward equations, then layer by layer from the loss back: the error signal, then the gradients of
what the layer's equation reads, with their reasons; then results that say more than the passages did. Printers of
text, LaTeX and Markdown walk this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import groupby

from symgrad.errors import listing
from symgrad.explain.cast import Cast
from symgrad.explain.formula import Big, Derivative, Formula, Transpose, entry, plus, times
from symgrad.explain.indices import own_step
from symgrad.explain.layout import Layout
from symgrad.explain.matrices import NoForm, Reason
from symgrad.explain.notes import Notes
from symgrad.explain.parts import AFTER, Equation, Group, Passage, Sentence, Story
from symgrad.explain.plan import Adjoint, Definition, Plan, State
from symgrad.explain.sentences import HELD, RULES, Sentences
from symgrad.explain.sides import Line, Sides
from symgrad.language import expr as ex
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Look
from symgrad.language.trace import Derived, Step

DETAILS = ("result", "steps", "everything")
JACOBIAN: Sentence = (
    (
        "This is the Jacobian (numerator) layout: each gradient and error signal of a vector is a row, and of a matrix "
        "it is the transposed; entries are named by the places in the variable, and arrays of more axes and the "
        "gradients of the code have its shape."
    ),
)
GRADIENT: Sentence = ("Each gradient has the shape of its variable (gradient layout).",)
_SIGNALS = 4  # error signals in one passage, at most


class Teller:
    """Tells a derivation in one form and detail.

    Args:
        form: "matrix", "index" or "scalar"; equations without a matrix form are told with indices.
        detail: "result", "steps" or "everything".
        numpy: whether matrices are written with NumPy's operators rather than as linear algebra.
        sizes: numbers for size letters, for the scalar form.
        layout: "gradient" or "jacobian".
    """

    def __init__(
        self,
        derived: Derived,
        form: str = "matrix",
        detail: str = "steps",
        *,
        numpy: bool = False,
        sizes: Mapping[str, int] | None = None,
        layout: str = "gradient",
    ):
        self.derived, self.detail = derived, detail
        self.jacobian = layout == "jacobian" and form == "matrix"
        self.everything = detail == "everything"
        plain = Cast(derived)
        self.plan = Plan(plain)
        self.cast = Cast(derived, named=True) if self.everything else plain
        self.sides = Sides(self.cast, form, numpy=numpy, sizes=sizes)
        self.indices = self.sides.indices()
        self.sentences = Sentences(self.cast, self.sides, self.plan.numbers, self._unshown())
        self.met: dict[object, None] = {}  # what the reader has been told in full

    def tell(self) -> Story:
        """Notation, forward equations, adjoints from the loss back, results."""
        backward = () if self.detail == "result" else tuple(map(self._passage, self.blocks()))
        forward, results = self._forward(), self._results()
        known = {(e.left, e.right) for p in forward for e in p.equations}
        results = replace(
            results, equations=tuple(e for e in results.equations if (e.left, e.right) not in known)
        )
        passages = tuple(p for p in (*forward, *backward, results) if p.equations)
        if self.jacobian:
            passages = tuple(map(self._transposed, passages))
        passages = self.sides.told(passages)
        formulas = [f for p in passages for e in p.equations for f in (e.left, e.right) if f is not None]
        notation = self.sentences.notation(formulas, numpy=self.sides.numpy)
        return Story((*notation, *self._layout_told()), passages)

    def _layout_told(self) -> tuple[Sentence, ...]:
        """Which layout the gradients have, where it shows: in matrix form, by variables with axes."""
        if self.jacobian:
            return (JACOBIAN,)
        shown = self.sides.form == "matrix" and self.detail != "result" and self.derived.kind == "gradient"
        arrays = any(self.derived.program[name].shape for name in self.derived.gradients.values())
        return (GRADIENT,) if shown and arrays else ()

    def _transposed(self, p: Passage) -> Passage:
        """A passage in Jacobian layout: where whole gradients stand, their transposed."""
        equations: list[Equation] = []
        whole = False
        for e in p.equations:
            whole = e.left in self._layout.gradients if e.left is not None else whole
            try:
                right = self._layout.turned(e.right) if whole else self._layout.same(e.right)
            except NoForm:
                right = Transpose(e.right)
            equations.append(replace(e, right=right))
        return replace(p, equations=tuple(equations))

    @cached_property
    def _layout(self) -> Layout:
        names = self.cast.names
        tensors = self.cast.tensors.values()
        axes = {names.tensor(t.name): len(t.shape) for t in tensors if t.shape}
        turned = [names.tensor(t.name) for t in tensors if t.role == "adjoint" and 0 < len(t.shape) < 3]
        return Layout(axes, turned)

    def _notes(self) -> Notes:
        return Notes(self.sentences, self.met, everything=self.everything)

    def _numbers(self, *steps: Step) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.plan.labels[s.number] for s in steps))

    def _unshown(self) -> set[str]:
        """The error signals that have no equation."""
        return set() if self.everything else {a.bar for a in self.plan.adjoints if self.plan.apart(a)}

    # forward

    def _forward(self) -> list[Passage]:
        equations: list[Equation] = []
        notes = self._notes()
        groups = {
            name: g for name, g in self.cast.forward.items() if len(g) > 1 and all(s.op == "+=" for s in g)
        }
        added: dict[str, list[str]] = {name: [] for name in groups}
        left = {name: len(g) for name, g in groups.items()}
        for d in self.plan.forward:
            s = d.statement
            if s not in groups.get(s.out, ()):
                equations += self._definition(d, notes)
            else:
                # what several statements add up is one sum, told with the last of them
                added[s.out] += self._numbers(d.steps[-1])
                left[s.out] -= 1
                if not left[s.out] and s.out not in self.cast.hidden:
                    equations.append(self._added(tuple(groups[s.out]), tuple(added[s.out]), notes))
            for step in d.steps:
                if step.equation[-1] in (s, *d.put):
                    self._origin(step, notes)
        return self._by_loops(Passage(("Forward",), tuple(equations), notes.remarks()))

    def _by_loops(self, p: Passage) -> list[Passage]:
        """The forward equations in parts: those that one loop computes step by step by themselves."""
        rows = [(e, next((s.scan for s in e.statements if s.scan is not None), None)) for e in p.equations]
        found: list[Passage] = []
        for loop, group in groupby(rows, key=lambda row: row[1] and row[1].loop):
            equations = [e for e, _ in group]
            if loop is None:
                found.append(p.part([(e,) for e in equations], (*p.heading, AFTER) if found else p.heading))
                continue
            statements = [s for e in equations for s in e.statements]
            found.append(
                p.part([(e,) for e in equations], (*p.heading, ", for ", *self.sentences.steps(statements)))
            )
        return p.divided(found)

    def _added(self, group: Group, numbers: tuple[str, ...], notes: Notes) -> Equation:
        """The sum of what several statements add to one tensor."""
        left, right, reasons = self.sides.total(group)
        notes.matrix((r for r in reasons if self.everything or r.rule == "repetition"), numbers)
        return Equation(left, right, tuple(dict.fromkeys(numbers)), group)

    def _defined(self, *steps: Step) -> tuple[str, ...]:
        """The numbers of the forward equations that steps arrive at and the reader sees."""
        seen = [(step, s) for step in steps for s in step.equation if s.out not in self.cast.hidden]
        return tuple(dict.fromkeys(self.plan.numbers[step.number, s.out] for step, s in seen))

    def _definition(self, d: Definition, notes: Notes) -> Iterable[Equation]:
        """A forward equation, after the parts of it that were stored under a name of their own."""
        s = d.statement
        parts = {t.out: t for t in d.put}
        numbers = (self.plan.numbers[d.steps[-1].number, s.out],)
        stored = [
            t for t in self.cast.silent if any(t.out in u.reads for u in self.derived.program.writers(s.out))
        ]
        for t in stored:
            left, right, _ = self.sides.defined(t)
            yield Equation(left, right, statements=(t,))
        if s.out not in self.cast.hidden:
            final = self.derived.program.writers(s.out)[0] if stored else s
            left, right, reasons = self.sides.defined(final, parts)
            notes.matrix((r for r in reasons if self.everything or r.rule == "repetition"), numbers)
            yield Equation(None if d.restated else left, right, numbers, (final,), put=d.put)

    def _origin(self, step: Step, notes: Notes) -> None:
        """What to say of a forward equation: why it has another form, from which call it comes, what is held
        in it."""
        s = step.equation[0]
        if step.rule == "stable":
            notes.rule(step, self._defined(step))
        elif s.label and self.everything:
            notes.say(RULES["definition"], self._defined(step), (f"from {s.label}",))
        for s in step.equation:
            held = [e.arg for e in ex.walk(s.body) if isinstance(e, ex.Stop) and e.kind == "held"]
            number = self.sentences.place(self.cast.consumer(s).out)
            for e in held[:1]:
                notes.say(
                    "held", (number,) if number else self._defined(step), (self.indices.expr(e, []), HELD)
                )

    # backward

    def blocks(self) -> list[tuple[Adjoint, ...]]:
        """What is told in each passage: the error signals of a layer and then its gradients; at "everything", and
        for more than a gradient, each adjoint by itself."""
        told = [a for a in self.plan.adjoints if self._told(a)]
        if self.everything or self.derived.kind != "gradient":
            return [(a,) for a in told]
        runs: list[list[Adjoint]] = []
        for a in told:
            before = runs[-1][-1] if runs else None
            other = before is not None and self._loop(a) != self._loop(before)
            if before is None or other or not self.plan.leaf(a) and self.plan.leaf(before):
                runs.append([])
            runs[-1].append(a)
        found: list[tuple[Adjoint, ...]] = []
        for run in runs:
            signals = [a for a in run if not self.plan.leaf(a)]
            apart = signals[:-1] if len(signals) > _SIGNALS and self._loop(run[0]) is None else []
            found += [(a,) for a in apart]
            found.append(tuple(a for a in run if a not in apart))
        return found

    def _loop(self, a: Adjoint) -> tuple[str, bool] | None:
        """Which loop computes an error signal step by step."""
        return None if a.loop is None or self.plan.leaf(a) else a.loop.loop

    def _told(self, a: Adjoint) -> bool:
        if a.steps[0].rule == "direction":
            return True
        return (
            bool(a.of) and a.of not in self.cast.hidden and (self.everything or a.bar not in self.plan.inside)
        )

    def _passage(self, block: Sequence[Adjoint]) -> Passage:
        if block[0].steps[0].rule == "direction":
            step = block[0].steps[0]
            left, right, _ = self.sides.total(step.equation)
            return Passage((step.reason,), (Equation(left, right, self._numbers(step), step.equation),))
        notes = self._notes()
        equations = [e for a in block for e in _continued(self._equations(a, notes))]
        return Passage(self._heading(block), tuple(equations), notes.remarks())

    def _heading(self, block: Sequence[Adjoint]) -> Sentence:
        loop = self._loop(block[0])
        if loop is not None and not self.everything:
            back = "Backward through time, for " if loop[1] else "Backward, for "
            steps = self.sentences.steps([s for a in block for s in a.final])
            return (back, *steps, ": ", *self.sentences.signals([a.bar for a in block]))
        if len(block) == 1:
            return self.sentences.heading(block[0].bar)
        signals = [a.bar for a in block if not self.plan.leaf(a)]
        return self.sentences.heading_of(signals, [a.bar for a in block if self.plan.leaf(a)])

    def _equations(self, a: Adjoint, notes: Notes) -> list[Equation]:
        """The chain rule in symbols where it is told, then what the adjoint is after each step that is shown."""
        found: list[Equation] = []
        symbolic = self.in_symbols(a.bar) if self._in_symbols(a) else None
        found += [] if symbolic is None else [symbolic]
        parts = {} if self.everything else self.plan.parts(r for s in a.final for r in s.reads)
        sums = {**a.sums, **parts}
        put = tuple(sums.values())
        inner = [] if self.everything else [state for b in self.plan.inner(a) for state in b.states]
        waiting: list[State] = []
        for state, part in () if self.everything else self.plan.lent.get(a.bar, ()):
            left, right, _ = self.sides.total(part, sums)
            found.append(Equation(left, right, self._made(state, part), part, put=put))
        for k, (state, shown) in enumerate(zip(a.states, a.shown, strict=True)):
            own = self._numbers(*state.steps)
            for part in state.aside:
                left, right, _ = self.sides.total(part, sums)
                found.append(Equation(left, right, self._made(state, part), part, put=put))
            if k and state.aside:
                made = tuple(n for part in state.aside for n in self._made(state, part))
                notes.state(state, (*made, *own) if shown or self.everything else made)
            else:
                waiting.append(state)
            if not (shown or self.everything):
                continue
            left, right, reasons = self.sides.total(state.group, sums)
            again = bool(found) and found[-1].numbers and not state.aside
            if again and (right == found[-1].right or state.rule == "hoist"):
                # put in place, what came out of a sum shows only by where the sum stands
                found[-1] = replace(found[-1], numbers=(*found[-1].numbers, *own))
            else:
                found.append(Equation(left, right, own, state.group, put=put))
            for w in (*waiting, *inner):
                notes.state(w, self._numbers(*w.steps) if self.everything else own)
            notes.matrix(reasons if not self.jacobian else map(_turned_round, reasons), own)
            waiting, inner = [], []
        scattered = dict.fromkeys(str(i) for s in a.final for i in s.left if isinstance(i.atom, Look))
        for at in scattered:
            said = (
                f"What is read at the position {at} flows back to that position: a bracket is 1 only there."
            )
            notes.say("look-up", self._numbers(*a.states[-1].steps), self.sentences.sentence(said))
        if a.loop is not None:
            numbers, t = self._numbers(*a.states[-1].steps), self.cast.names.letter(a.loop.axis)
            if a.loop.backward:
                last, first = (
                    "it runs backwards, from the last ",
                    " to the first, as each step forward reads the one before",
                )
                notes.say("recursion", numbers, (last, t, first))
            if a.loop.backward and any(own_step(s) != s for s in a.final):
                nothing = " nothing comes from a step after it, as the condition says"
                notes.say("recursion", numbers, ("at the last ", t, nothing))
            if any(name == a.bar for name, _ in self.cast.names.before):
                start = " is found in the same way for the places before the first step"
                notes.say("recursion", numbers, (self.cast.names.tensor(a.bar), start))
        return found

    def _made(self, state: State, part: Group) -> tuple[str, ...]:
        """The number of the equation of what a step made for an adjoint."""
        return (self.plan.numbers[state.steps[0].number, part[0].out],)

    def in_symbols(self, bar: str) -> Equation | None:
        """The chain rule in symbols for an adjoint, where it has that form."""
        a = self.plan.by_name.get(bar)
        symbolic = None if a is None else self._symbolic(a)
        if a is None or symbolic is None:
            return None
        return Equation(self.indices.total(a.states[0].group)[0], symbolic)

    def _in_symbols(self, a: Adjoint) -> bool:
        """Whether the chain rule is written out: everywhere at "everything", else for the first gradient that sums."""
        if self.everything:
            return True
        sums = self.plan.leaf(a) and any(s.reduced for s in a.states[0].group)
        if not sums or "symbols" in self.met:
            return False
        self.met["symbols"] = None
        return True

    def _symbolic(self, a: Adjoint) -> Formula | None:
        """The chain rule in symbols: Σ δ ∂out/∂in over the equations that read a tensor, and what the loss
        itself contributes. None where the loss is all that reads it, and for what is more than a gradient of the
        loss."""
        name, steps = a.of, a.steps
        t = self.cast.tensors[a.bar]
        if t.seed != self.derived.source.target or t.shape != self.cast.tensors[name].shape:
            return None
        chain = [s for s in steps if s.source is not None and s.access is not None]
        if not chain:
            return None
        letters = self.indices.letters([s.equation[0] for s in chain])
        here = entry(self.cast.names.symbols[name], tuple(map(self.cast.names.letter, letters)))
        flows: dict[str, list[Step]] = {}
        direct: list[Formula] = []
        for step in chain:
            assert step.source is not None
            outer = self.cast.consumer(step.source)
            if outer.out == self.derived.source.target:
                if any(self.cast.unseen(r) for r in step.equation[0].reads):
                    return None
                direct.append(self.indices.contribution(step.equation[0], letters))
            elif self.cast.adjoint(outer.out):
                flows.setdefault(outer.out, []).append(step)
        terms = [self._flow(name, f, letters, here) for f in flows.values()]
        return plus(*terms, *direct) if terms else None

    def _flow(self, name: str, steps: Sequence[Step], letters: tuple[str, ...], here: Formula) -> Formula:
        """`Σ δ_out ∂out/∂in` for one equation that reads an entry: over each letter of its own that the entry does not
        fix wherever it is read."""
        names = self.cast.names
        readers = [self.cast.consumer(step.source) for step in steps if step.source is not None]
        outer = readers[0]
        each = [
            {i.axis: x for i, x in zip(a.index, letters, strict=True) if i.axis is not None}
            for reader in readers
            for a in ex.accesses(reader.body)
            if a.tensor == name
        ]
        if not each or any(step.source is not None and step.source.op in IMPLICIT for step in steps):
            each = [{}]  # every entry of what an equation defines may depend on every other
        onto = {a: x for a, x in each[0].items() if all(other.get(a) == x for other in each)}
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
        """At "result" each gradient with all it needs; else those that are short in one formula, where their
        passages said it with error signals."""
        bars = tuple(dict.fromkeys(self.derived.gradients.values()))
        if self.detail == "result":
            found = self.sides.result(bars)
        else:
            told = {a.bar for a in self.plan.adjoints if self._told(a)}
            found = []
            lines = {bar: self.sides.result([bar]) if self.sides.short(bar) else [] for bar in bars}
            all_short = all(len(line) == 1 for line in lines.values())
            for bar, line in lines.items():
                short = line if all_short or bar not in told else []
                group = self.derived.program.writers(bar)
                left, right, _ = self.sides.total(group) if group else (None, None, None)
                if len(short) == 1 and (short[0].right != right or bar not in told):
                    found += short
                elif bar not in told and left is not None and right is not None:
                    found.append(Line(left, right, group))
                elif not group:
                    found += short
        return Passage(
            ("Result",), tuple(Equation(f.left, f.right, statements=f.group, put=f.put) for f in found)
        )


def _turned_round(r: Reason) -> Reason:
    """The reason of a product or transpose as it stands in Jacobian layout."""
    if r.rule not in ("matrix product", "transpose"):
        return r
    inner = f"{listing(r.letters)} is summed, so it stands inside the product; " if r.letters else ""
    full = f"{inner}the transposed of a product is that of its factors in the opposite order"
    return Reason("layout", full)


def _continued(equations: Sequence[Equation]) -> Iterator[Equation]:
    """Equations whose left side repeats the one before go on from it."""
    left: Formula | None = None
    for e in equations:
        yield replace(e, left=None) if e.left == left else e
        left = e.left
