"""What is said beside the equations: headings, which rule was used and why, and the notation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Union

from symgrad.explain import implicit
from symgrad.explain.cast import Cast
from symgrad.explain.formula import (
    IDENTITY,
    ONES,
    Derivative,
    Formula,
    Iverson,
    Position,
    Power,
    Product,
    Quotient,
    Symbol,
    Transpose,
    entry,
    walk,
)  # fmt: skip
from symgrad.explain.matrices import NoForm
from symgrad.explain.parts import Sentence
from symgrad.explain.sides import Sides
from symgrad.language import expr as ex
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import Statement
from symgrad.language.trace import Step
from symgrad.leaves import LEAVES

RULES = {
    "definition": "definition", "chain": "chain rule", "stable": "stable form", "fact": "declared fact",
    "substitute": "substitution", "merge": "sum of contributions", "look-up": "look-up",
    "gather": "change of letters", "output": "forward value", "share": "softmax", "cancel": "common factors",
    "hoist": "constant factor", "equal": "same value", "seed": "start", "drop": "not needed",
    "rename": "renaming", "factor": "factoring", "inverse": "inverse", "symmetry": "order of derivatives",
    "direction": "direction", "length": "length", "split": "change of letters",
}  # fmt: skip

POSITIONS = "Positions{} count from 1 here, in code from 0."
BRACKETS: Sentence = ("A condition in brackets is 1 where it holds, and 0 elsewhere.",)
ENTRYWISE: Sentence = (
    "Functions, ", Symbol("*", "⊙", r"\odot"), ", ", Symbol("/", "⊘", r"\oslash"), " and powers with ",
    Symbol("*", "⊙", r"\odot"), " act entry by entry.",
)  # fmt: skip
HELD = " is held: the result does not depend on it, so nothing flows back through it."

# words of sentences that are not meant as a tensor or a letter of that name, unless an index follows
_WORDS = frozenset(
    (
        "a", "an", "the", "of", "to", "in", "on", "is", "are", "as", "at", "by", "be", "it", "one", "all",
        "no", "so", "and", "or", "not", "only", "sum", "over", "for", "from", "with", "where", "what", "was",
        "were", "that", "this", "here", "there", "every", "each", "its", "their", "than", "then", "once", "more",
        "again", "used", "name", "called",
    )
)  # fmt: skip
_MENTION = re.compile(r"(?<![\w`.])([^\W\dᵀ][^\Wᵀ]*)(\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]|ᵀ)?(?![\w(])")


class Sentences:
    """Sentences about the steps of a derivation, in which what is mathematics stands as formulas."""

    def __init__(self, cast: Cast, sides: Sides):
        self.cast, self.names, self.indices = cast, cast.names, sides.indices()
        self.arrays = sides.arrays()

    def heading(self, bar: str) -> Sentence:
        """Over the passage of an adjoint."""
        t, adjoint = self.cast.tensors[bar], self.names.tensor(bar)
        symbol = self.names.tensor(t.of)
        if isinstance(adjoint, Derivative):
            if isinstance(adjoint.top, Derivative):
                return ("Second derivative by ", adjoint.top.bottom, " and ", symbol)
            if self.cast.derived.kind == "per example":
                return ("Gradient by ", symbol, ", example by example")
            if t.seed == self.names.target and not adjoint.ahead:
                return ("Gradient by ", symbol)
            return ("Derivative of ", adjoint.top, " by ", symbol)
        if self.cast.tensors[t.of].role == "adjoint":
            return ("Error signal of ", symbol, ": ", adjoint)
        return ("Error signal of ", symbol, ": ", adjoint, " = ", Derivative(self.names.tensor(t.seed), symbol))

    def chain(self, steps: Sequence[Step]) -> Sentence:
        """Where a tensor is read, for all steps of the chain rule that make up its adjoint."""
        sources = [(s, s.source, s.access) for s in steps if s.source is not None and s.access is not None]
        if not sources:
            return self.sentence(steps[0].reason) if steps else ("The result does not depend on it.",)
        readers = dict.fromkeys(self.cast.consumer(source).out for _, source, _ in sources)
        said: list[Union[str, Formula]] = [self.names.tensor(sources[0][2].tensor), " is read by "]
        for k, name in enumerate(readers):
            where = f" in ({self.cast.places[name]})" if name in self.cast.places else ""
            said += [" and by " if k else "", self.names.tensor(name), where]
        return (*said, ".", *self._changes(sources[0][1]), *self._slope(*sources[0]))

    def _changes(self, source: Statement) -> Sentence:
        """How a source that an equation defines is differentiated."""
        seen = (source.out, *source.reads)
        if source.op not in IMPLICIT or any(len(self.cast.tensors[r].shape) > 2 for r in seen):
            return ()
        symbols = {r: self.indices.whole(r) for r in seen}
        found = implicit.equations(source, symbols)
        if len(found) == 2:
            return (" Its equation ", found[0], " gives ", found[1], ".")
        return (" For small changes, ", found[0], ".") if found else ()

    def _slope(self, step: Step, source: Statement, access: ex.Access) -> Sentence:
        """The derivative of a leaf, where nothing but the leaf was applied."""
        body = source.body
        if (
            source.op in IMPLICIT
            or not isinstance(body, ex.Call)
            or body.args != (access,)
            or step.partial is None
        ):
            return ()
        leaf = LEAVES[body.name]
        how = f" ({leaf.note})" if leaf.kinks and leaf.note else ""
        slope = Derivative(self.names.tensor(source.out), self.names.tensor(access.tensor))
        return (" ", slope, " is ", self.indices.expr(step.partial, []), f"{how}.")

    def reason(self, step: Step) -> Sentence:
        """Why a tidy step may be taken; for rules whose effect shows in the statements, said from them."""
        if step.rule == "hoist":
            over = ", ".join(step.before[0].reduced)
            return self.sentence(f"What does not depend on {over} comes out of the sum.")
        if step.rule == "substitute":
            kept = {r for t in step.equation for r in t.reads}
            gone = dict.fromkeys(r for s in step.before for r in s.reads if r not in kept)
            signals = [r for r in gone if self.cast.tensors[r].role == "adjoint" and not self.cast.unseen(r)]
            found = _listed([self.names.tensor(r) for r in signals], " and ")
            return ("What was found for ", *found, " is put in.") if found else ()
        return self.sentence(step.reason)

    def reasons(self, reasons: Iterable[str]) -> Sentence:
        """Several reasons of a matrix form in one sentence."""
        said: list[Union[str, Formula]] = []
        for r in reasons:
            said += ["; " if said else "", *self.sentence(r)]
        return (*said, ".") if said else ()

    @cached_property
    def _letters(self) -> frozenset[str]:
        return frozenset(a for s in self.cast.statements for a, _ in s.axes)

    def sentence(self, text: str) -> Sentence:
        """A sentence of the trace with the names in it as formulas."""
        out: list[Union[str, Formula]] = []
        end = 0
        for m in _MENTION.finditer(text):
            name, index = m[1], m[2] or ""
            known = name in self.cast.tensors or name in self._letters and not index
            if known and (index or name not in _WORDS):
                out += [text[end : m.start()], self._mention(name, index)]
                end = m.end()
        return tuple(p for p in (*out, text[end:]) if p != "")

    def _mention(self, name: str, index: str) -> Formula:
        symbol: Formula = self.names.letter(name)
        if name in self.cast.tensors:
            symbol = self.names.tensor(name)
        if name in self.cast.hidden and (not index or index == "ᵀ"):
            # nobody has seen its name: what it stands for is mentioned
            with suppress(NoForm):
                symbol = self.arrays.reference(name)
        if index == "ᵀ":
            return Transpose(symbol)
        parts = re.findall(r"[^,\[\]]+(?:\[[^\[\]]*\])?", index[1:-1])
        return entry(symbol, tuple(self._position(p.strip()) for p in parts))

    def _position(self, part: str) -> Formula:
        look = re.fullmatch(r"(\w+)\[(.*)\]", part)
        if look and look[1] in self.cast.tensors:
            return self._mention(look[1], f"[{look[2]}]")
        if part.isidentifier():
            return self.names.letter(part)
        return Symbol(part, part, re.sub(r"[^A-Za-z0-9+\-*/() ]", "", part).replace("*", r" \cdot "))

    def notation(self, formulas: Iterable[Formula], *, numpy: bool) -> tuple[Sentence, ...]:
        """What the signs mean, as far as they are used."""
        met = [x for f in formulas for x in walk(f)]
        symbols = {x.code: x for x in met if isinstance(x, Symbol)}
        lines: list[Sentence] = []
        signal = next((n for n in symbols if self._signal(n)), None)
        if signal is not None:
            of = self.names.symbols[self.cast.tensors[signal].of]
            slope = Derivative(self.names.tensor(self.cast.tensors[signal].seed), of)
            lines.append(
                (
                    symbols[signal],
                    " stands for ",
                    slope,
                    ", the error signal of ",
                    of,
                    "; so for every letter.",
                )
            )
        if self.cast.derived.kind == "per example":
            lines.append((self.names.symbols[self.names.target], " under ∂ is the share of each example."))
        nicknames = [(symbols[n], " is ", f"`{n}`") for n in self.names.nicknames if n in symbols]
        if nicknames:
            lines.append((*_joined(nicknames), " in the generated code."))
        if not numpy:
            capitals = [n for n, x in self.names.sizes.items() if x in met and x != self.names.letter(n)]
            shown = [
                (self.names.sizes[n], " is the number of values of ", self.names.letter(n)) for n in capitals
            ]
            lines += [(*_joined(shown), ".")] if shown else []
            lines += [("Vectors are columns, and ", ONES, " is one of ones.")] if ONES in met else []
            lines += [(IDENTITY, " is the identity matrix.")] if IDENTITY in met else []
            lines += [ENTRYWISE] if any(map(_entrywise, met)) else []
        if any(isinstance(x, Position) for x in met):
            labels = any(self.cast.tensors[n].integer for n in symbols if n in self.cast.tensors)
            lines.append((POSITIONS.format(" and the values of labels" if labels else ""),))
        if any(isinstance(x, Iverson) for x in met):
            lines.append(BRACKETS)
        return tuple(lines)

    def _signal(self, name: str) -> bool:
        t = self.cast.tensors.get(name)
        return t is not None and t.role == "adjoint" and self.cast.tensors[t.of].role == "value"


def _entrywise(f: Formula) -> bool:
    return (
        isinstance(f, Power) and f.elementwise or isinstance(f, (Product, Quotient)) and f.kind == "hadamard"
    )


def _listed(formulas: Sequence[Formula], between: str) -> Sentence:
    return _joined([(f,) for f in formulas], between)


def _joined(sentences: Sequence[Sentence], between: str = ", ") -> Sentence:
    out: list[Union[str, Formula]] = []
    for s in sentences:
        out += [between, *s] if out else s
    return tuple(out)
