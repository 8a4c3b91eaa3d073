"""What may have gone wrong on the way back from the loss: derivations with one mistake, carried through to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

import numpy as np

from symgrad.chain import partial
from symgrad.explain.grading.mistake import Mistake
from symgrad.explain.grading.mutations import changes, slips
from symgrad.explain.grading.scales import FACTOR, SIGN
from symgrad.explain.grading.truth import Truth
from symgrad.language import expr as ex
from symgrad.language.expr import Access, Call, Expr, Num, Pow
from symgrad.language.program import Program, Statement, needed
from symgrad.language.reference import Arrays
from symgrad.language.trace import Derived, Key
from symgrad.leaves import LEAVES

Run = Callable[[int], "np.ndarray | None"]  # what a mistake gives at a point
Candidate = tuple[Mistake, Run]
_VALUE, _OWN = Access("_value", ()), Access("_own", ())
_MANY = 100  # entries of a tensor that is tried with another's penalty


def candidates(truth: Truth, key: Key) -> Iterator[Candidate]:
    """Mistakes, each with what it gives at a point; likely ones first."""
    yield from _others(truth, key)
    if truth.plain is not None:
        yield from _Way(truth, truth.plain, key).mistakes()
    yield from _Way(truth, truth.derived, key).rest()


def _others(truth: Truth, key: Key) -> Iterator[Candidate]:
    """Derivatives by something else."""
    program, bar = truth.program, truth.derived.gradients[key]
    for name, t in program.tensors.items():
        other = t.role == "adjoint" and t.of and program[t.of].named and name != bar
        if other and t.shape == program[bar].shape and program.writers(name):
            hint = "Look at what is asked for: your answer is the derivative by something else."

            def run(k: int, name: str = name) -> np.ndarray:
                return np.asarray(truth.joint(k)[name], float)

            yield Mistake("other", f"this is the derivative by {t.of}", hint), run


class _Way:
    """A derivation, to be gone through with a mistake."""

    def __init__(self, truth: Truth, derived: Derived, key: Key):
        self.truth, self.key, self.program, self.derived = truth, key, derived.program, derived
        self.bar = derived.gradients[key]
        self.used = [
            s for s in needed(self.program.statements, [self.bar]) if self.program[s.out].role == "adjoint"
        ]
        self._forward: dict[int, Arrays] = {}

    def mistakes(self) -> Iterator[Candidate]:
        """Those in applying the chain rule, then any change of a single statement."""
        yield from self._left_out()
        yield from self._as_symmetric()
        yield from self._penalties()
        met = set(self.used)
        for step in self.derived.steps:
            if step.rule == "chain" and step.equation[0] in met:
                for change in slips(step, self.program):
                    yield change.mistake, self._runner({step.equation[0]: change.statement})
        yield from self._scaled()
        yield from self.rest()

    def rest(self) -> Iterator[Candidate]:
        """A factor twice, or one thing changed in one statement."""
        yield from self._twice()
        for s in self.used:
            for change in changes(s, self.program):
                yield change.mistake, self._runner({s: change.statement})

    # terms of a sum over ways back

    def _several(self) -> list[list[Statement]]:
        """Statements that add to one tensor, where there is more than one."""
        groups: dict[str, list[Statement]] = {}
        for s in self.used:
            groups.setdefault(s.out, []).append(s)
        return [group for group in groups.values() if len(group) > 1]

    def _left_out(self) -> Iterator[Candidate]:
        """One of several ways back to a tensor forgotten; a penalty also with a wrong factor."""
        for s in (s for group in self._several() for s in group):
            of, part = self.program[s.out].of, self._part(s)
            if self._is_penalty(s):
                why, hint = (
                    f"{part} is forgotten",
                    "Look at the loss: has every term of it been differentiated?",
                )
            else:
                why = f"{part} is forgotten: {of} is used in more than one place"
                hint = f"Look at where {of} is used: every use adds a term."
            yield Mistake("term", why, hint), self._runner({s: None})
            if self._is_penalty(s):
                yield from self._one_of_several(s)

    def _scaled(self) -> Iterator[Candidate]:
        """One of several ways back to a tensor with a wrong factor, or all but one."""
        for group in self._several():
            for s in group:
                yield from () if self._is_penalty(s) else self._one_of_several(s)
            for s in group if len(group) > 2 else ():
                yield from self._all_but_one(s, group)

    def _one_of_several(self, s: Statement) -> Iterator[Candidate]:
        for factor, kind, told in (
            (Fraction(2), "factor", "the factor 2 is too much"),
            (Fraction(1, 2), "factor", "the factor 2 is missing"),
            (Fraction(-1), "sign", "the sign is wrong"),
        ):
            scaled = replace(s, body=ex.mul(factor, s.body))
            why = f"in {self._part(s)} {told}"
            yield Mistake(kind, why, SIGN if kind == "sign" else FACTOR), self._runner({s: scaled})

    def _all_but_one(self, s: Statement, group: list[Statement]) -> Iterator[Candidate]:
        """All of several ways back but one with a factor, as where a form has x twice."""
        for factor, told in ((Fraction(2), "too much"), (Fraction(1, 2), "missing")):
            scaled = {t: replace(t, body=ex.mul(factor, t.body)) for t in group if t != s}
            why = f"in all but {self._part(s)} the factor 2 is {told}"
            yield Mistake("factor", why, FACTOR), self._runner(scaled)

    def _part(self, s: Statement) -> str:
        """What one of several ways back to a tensor is called."""
        of = self.program[s.out].of
        if self._is_penalty(s):
            return f"the regularisation of {of}"
        read = (self.program[a.tensor].of for a in ex.accesses(s.body))
        through = next((name for name in read if name), self.program.target)
        return f"the part of the derivative by {of} that comes through {through}"

    def _is_penalty(self, s: Statement) -> bool:
        """Whether a statement adds what depends on the tensor itself and constants only."""
        of = self.program[s.out].of
        read = [a.tensor for a in ex.accesses(s.body)]
        own = [r for r in read if self.program[r].role not in ("adjoint", "constant")]
        return bool(own) and self.program[of].role == "weight" and all(r == of for r in own)

    def _as_symmetric(self) -> Iterator[Candidate]:
        """A square matrix taken for its own transpose, as where x @ A @ x is said to have the slope 2*A @ x."""
        for t in self.program.inputs:
            square = len(t.shape) > 1 and t.shape[-1] == t.shape[-2]
            if not square or t.integer or t.facts.symmetric:
                continue

            def forward(k: int, name: str = t.name) -> Arrays:
                turned = np.swapaxes(self.truth.place(k).floats[name], -1, -2)
                known = {n: a for n, a in self._known(k, {name: turned}).items() if n != name}
                return {**known, name: self.truth.place(k).floats[name]}

            why = f"{t.name} is taken for symmetric, and nothing says that it is"
            hint = f"Look at {t.name}: where does its transpose stand?"
            yield Mistake("transpose", why, hint), Wrong(self.truth, self.derived, self.bar, forward)

    def _penalties(self) -> Iterator[Candidate]:
        """The regularisation of another weight put on this one too, such as on a bias."""
        name = self.program[self.bar].of
        if any(self._is_penalty(s) for s in self.program.writers(self.bar)):
            return
        for s in self.program.statements:
            of = self.program[s.out].of
            if self.program[s.out].role != "adjoint" or of == name or not s.plain or not self._is_penalty(s):
                continue
            bare = _of_one(s, of)
            if ex.axes(bare) or of in ex.tensors(bare):
                continue
            why = f"{name} is not regularised in this loss, and your answer has a term for it"
            hint = f"Look at the loss: which terms of it depend on {name}?"
            yield Mistake("regularisation", why, hint), self._with_penalty(replace(s, body=bare), name)

    def _with_penalty(self, s: Statement, name: str) -> Run:
        """The derivative with another weight's penalty for this one added, entry by entry."""
        program = self.program
        tensors = {
            **program.tensors,
            "_own": replace(program[name], name="_own", shape=(), early=()),
            "_result": replace(program[s.out], name="_result", shape=()),
        }
        scalar = replace(s, left=(), axes=(), op="=", guard=None, scan=None, out="_result")
        part = replace(program, tensors=tensors, statements=(*program.statements, scalar))

        def run(k: int) -> np.ndarray | None:
            point, known = self.truth.place(k), self._known(k)
            own = known.get(name, point.floats.get(name))
            right = np.asarray(self.truth.right(self.key, k), float)
            if own is None or own.size > _MANY or own.shape != right.shape:
                return None
            values = [
                float(point.run(part, ["_result"], known={**known, "_own": np.asarray(x)})["_result"])
                for x in np.asarray(own, float).ravel()
            ]
            return right + np.reshape(values, right.shape)

        return run

    def _twice(self) -> Iterator[Candidate]:
        """The derivative of an activation once more, where the loss has it in itself: (p - t)*p*(1 - p)."""
        hint = "Look at the last activation: the loss and it together have a simple derivative."
        for out in dict.fromkeys(s.out for s in self.used):
            of = self.program[out].of
            if not of or not self.program.writers(of):
                continue
            for q in self.derived.source.tensors.values():
                alike = q.role == "value" and q.shape == self.program[of].shape and q.shape and not q.early
                if not alike or not self._is_activation(q.name):
                    continue
                for slope in _saturating():
                    new = {
                        s: replace(
                            s, body=ex.mul(s.body, _at(slope, Access(q.name, s.left[-len(q.shape) :])))
                        )
                        for s in self.program.writers(out)
                    }
                    shown = str(_at(slope, Access(q.name, ())))
                    why = f"the factor {shown} is too much in the derivative by {of}"
                    yield Mistake("activation", why, hint), self._runner(new)

    def _is_activation(self, name: str) -> bool:
        """Whether a tensor is what a function gives, or a quotient such as softmax."""
        parts = [e for s in self.program.writers(name) for e in ex.walk(s.body)]
        return any(isinstance(e, Call) or isinstance(e, Pow) and isinstance(e.exponent, Num) for e in parts)

    # running

    def _known(self, k: int, given: Arrays | None = None) -> Arrays:
        """The forward values at a point, but for those with rows before their first; with other inputs if given."""
        if given is None and k in self._forward:
            return self._forward[k]
        outs = [s.out for s in self.program.statements if self.program[s.out].role != "adjoint"]
        found = self.truth.place(k).run(self.program, outs, known=given)
        values = {n: a for n, a in found.items() if not self.program[n].early}
        if given is None:
            self._forward[k] = values
        return values

    def _runner(self, new: Mapping[Statement, Statement | None]) -> Wrong:
        changed = (new.get(s, s) for s in self.program.statements)
        part: Program = replace(self.program, statements=tuple(s for s in changed if s is not None))
        return Wrong(self.truth, replace(self.derived, program=part), self.bar, self._known)


@dataclass(frozen=True)
class Wrong:
    """A derivation with a mistake in it; called, it gives the derivative at a point."""

    truth: Truth
    derived: Derived
    bar: str
    known: Callable[[int], Arrays]

    def __call__(self, k: int) -> np.ndarray | None:
        try:
            found = self.truth.place(k).run(self.derived.program, [self.bar], known=self.known(k))
        except (IndexError, KeyError, ZeroDivisionError, OverflowError, np.linalg.LinAlgError):
            return None  # this mistake cannot be made here
        return np.asarray(found[self.bar], float) if self.bar in found else None


def _of_one(s: Statement, of: str) -> Expr:
    """The body for a single entry of the tensor, called `_own`."""
    entry = Access(of, s.left)
    return ex.rewrite(s.body, lambda e: Access("_own", ()) if e == entry else None)


@cache
def _saturating() -> tuple[Expr, ...]:
    """The derivatives, by their own value, of the functions that flatten out: p*(1 - p), 1 - h**2."""
    found = []
    for leaf in LEAVES.values():
        call = Call(leaf.name, (_VALUE,) * len(leaf.params))
        if leaf.finite and not leaf.kinks and len(leaf.params) == 1:
            slope = ex.rewrite(partial(call, _VALUE), {call: _OWN}.get)
            if _VALUE not in ex.accesses(slope) and _OWN in ex.accesses(slope):
                found.append(slope)
    return tuple(found)


def _at(slope: Expr, value: Expr) -> Expr:
    return ex.rewrite(slope, lambda e: value if e == _OWN else None)
