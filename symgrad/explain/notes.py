"""The reasons beside the equations of a passage: those of one kind together, in full where the kind is met first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from symgrad.explain.matrices import Reason
from symgrad.explain.parts import Remark, Sentence
from symgrad.explain.plan import State
from symgrad.explain.sentences import RULES, Sentences
from symgrad.language.trace import Step

Numbers = tuple[str, ...]


@dataclass
class _Kind:
    """What is said of one kind of reason."""

    numbers: dict[str, None] = field(default_factory=dict)
    said: dict[Sentence, None] = field(default_factory=dict)

    def add(self, numbers: Numbers, *said: Sentence) -> None:
        self.numbers.update(dict.fromkeys(numbers))
        self.said.update(dict.fromkeys(s for s in said if s))


class Notes:
    """The reasons of one passage.

    Args:
        met: what the reader has met before this passage; it is added to.
        everything: whether each reason is said in full, wherever it stands.
    """

    def __init__(self, sentences: Sentences, met: dict[object, None], *, everything: bool):
        self.sentences, self.met, self.everything = sentences, met, everything
        self._kinds: dict[str, _Kind] = {}
        self._read: dict[tuple[tuple[str, str], ...], tuple[dict[str, None], dict[str, None]]] = {}
        self._lacking: dict[tuple[str, ...], tuple[dict[str, None], dict[str, None]]] = {}

    def new(self, what: object) -> bool:
        """Whether something is to be said in full."""
        first = what not in self.met
        self.met[what] = None
        return first or self.everything

    def say(self, rule: str, numbers: Numbers, *said: Sentence) -> None:
        self._kinds.setdefault(rule, _Kind()).add(numbers, *said)

    def chain(self, steps: Sequence[Step], numbers: Numbers) -> None:
        """What the chain rule was applied to, and what it gave for the functions in between."""
        readers = self.sentences.readers(steps)
        if not readers:
            self.rule(steps[0], numbers)
            return
        names, places = self._read.setdefault(readers, ({}, {}))
        assert steps[0].access is not None
        names.setdefault(steps[0].access.tensor)
        places.update(dict.fromkeys(numbers))
        self._kinds.setdefault("chain rule", _Kind())
        for step in steps:
            found = self.sentences.slope(step)
            if found is not None and self.new(("slope", found[0])):
                self.say("chain rule", numbers, found[1])
            changes = self.sentences.changes(step)
            if changes:
                self.say("chain rule", numbers, changes)
            letters = step.equation[0].reduced
            if letters and step.access is not None:
                summed, at = self._lacking.setdefault(letters, ({}, {}))
                summed.setdefault(step.access.tensor)
                at.update(dict.fromkeys(numbers))
                self._kinds.setdefault("sum", _Kind())

    def rule(self, step: Step, numbers: Numbers) -> None:
        """Why a tidy step may be taken."""
        said = self.sentences.reason(step)
        if step.rule == "merge" and not self.everything:
            return  # the chain rule says what is added
        if said:
            self.say(RULES.get(step.rule, step.rule), numbers, said)

    def state(self, state: State, numbers: Numbers) -> None:
        if any(s.source is not None for s in state.steps):
            self.chain(state.steps, numbers)
        else:
            self.rule(state.steps[0], numbers)

    def matrix(self, reasons: Iterable[Reason], numbers: Numbers) -> None:
        """Why a matrix form has its transposes, sums, repetitions and products entry by entry."""
        covered = {x for letters in self._lacking for x in letters}
        for r in reasons:
            if r.rule == "sum" and covered.issuperset(r.letters) and ":" not in r.full:
                continue  # said already, with what lacks the letter
            key = (r.rule, r.full.partition(":")[2]) if r.rule == "sum" else r.rule
            text = r.full if self.new(key) else r.brief
            if text and (text != r.brief or r.rule != "sum" or not covered.issuperset(r.letters)):
                self.say(r.rule, numbers, self.sentences.sentence(text))
            elif r.rule in self._kinds and not text:
                self._kinds[r.rule].add(numbers)

    def remarks(self) -> tuple[Remark, ...]:
        """All of them, in the order in which their kinds were met."""
        found: list[Remark] = []
        for rule, kind in self._kinds.items():
            said = list(kind.said)
            numbers = dict(kind.numbers)
            if rule == "chain rule":
                read = [
                    self.sentences.read(tuple(names), readers) for readers, (names, _) in self._read.items()
                ]
                said = [*read, *said]
                numbers.update({n: None for _, at in self._read.values() for n in at})
            if rule == "sum":
                lacking = [
                    self.sentences.lacking(tuple(names), letters, full=self.new("lacking"))
                    for letters, (names, _) in self._lacking.items()
                ]
                said = [*lacking, *said]
                numbers.update({n: None for _, at in self._lacking.values() for n in at})
            if said:
                found.append(Remark(tuple(numbers), rule, _joined(said)))
        return tuple(found)


def _joined(said: Sequence[Sentence]) -> Sentence:
    """Several clauses as one sentence; full sentences one after the other."""
    out: list[object] = []
    for k, s in enumerate(said):
        ended = isinstance(s[-1], str) and s[-1].rstrip().endswith(".")
        out += s if ended else (*s, "." if k == len(said) - 1 or _starts(said[k + 1]) else ";")
        out += [" "] if k < len(said) - 1 else []
    return tuple(out)  # type: ignore[arg-type]


def _starts(s: Sentence) -> bool:
    """Whether it begins a sentence of its own."""
    return isinstance(s[0], str) and s[0][:1].isupper()
