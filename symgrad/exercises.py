"""Exercises: a problem with sizes and numbers, hints, and the full solution, from a declaration and a seed.

A topic is a file of `symgrad/topics/`: a declaration whose first comment says in a line what it is about, then

    # sizes: n = 2..3, i = 2         a range for each size letter
    # either: tanh | sigmoid | relu  what stands in the text, and what may stand there instead

The seed chooses sizes, alternatives and numbers of one decimal; nothing else is random.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from importlib import resources
from typing import Any

import numpy as np

from symgrad import explain
from symgrad.derivation import derive
from symgrad.errors import Refusal, SymgradError, did_you_mean, listing
from symgrad.explain import Document
from symgrad.explain.cast import Cast
from symgrad.explain.formula import Formula, Symbol
from symgrad.explain.grading import Grade
from symgrad.explain.grading.mistake import Mistake
from symgrad.explain.grading.wrong import wrong_answers
from symgrad.explain.numbered import Rounding
from symgrad.explain.parts import Equation, Listing, Part, Passage, Prose, Remark, Sentence, Story
from symgrad.explain.sentences import RULES, conjoined
from symgrad.explain.sides import Sides
from symgrad.language import expr as ex
from symgrad.language.program import Tensor
from symgrad.language.reference import run
from symgrad.language.samples import numbers
from symgrad.leaves import LEAVES

_TOPICS = resources.files("symgrad") / "topics"
DIGITS = 5  # of the numbers in the solution
_TRIES = 200
_LARGE = 200.0  # no number on the way is larger
_NEAR = 1e-6  # to a kink


@dataclass(frozen=True)
class Topic:
    """A declaration with what may vary.

    Attributes:
        name: of its file.
        about: what it is about, in a sentence.
        sizes: for each size letter the smallest and the largest.
        either: parts of the text, each with what may stand there, itself first.
        text: the declaration, without these comments.
    """

    name: str
    about: str
    sizes: Mapping[str, tuple[int, int]]
    either: tuple[tuple[str, ...], ...]
    text: str


def topics() -> dict[str, Topic]:
    """All topics by name, in alphabetical order.

    Example:
        >>> "ridge" in topics()
        True
    """
    files = sorted((f for f in _TOPICS.iterdir() if f.name.endswith(".sg")), key=lambda f: f.name)
    found = [read_topic(f.name.removesuffix(".sg"), f.read_text("utf-8")) for f in files]
    return {t.name: t for t in found}


def read_topic(name: str, source: str) -> Topic:
    """A topic from the text of its file.

    Example:
        >>> read_topic("line", "# A line.\\n# sizes: n = 2..3\\nx: weight[n]\\nloss = sum(x)").sizes
        {'n': (2, 3)}
    """
    comments = [line[1:].strip() for line in source.splitlines() if line.startswith("#")]
    sizes: dict[str, tuple[int, int]] = {}
    either: list[tuple[str, ...]] = []
    about: list[str] = []
    for line in comments:
        if line.startswith("sizes:"):
            for letter, low, high in re.findall(r"(\w+) = (\d+)(?:\.\.(\d+))?", line):
                sizes[letter] = (int(low), int(high or low))
        elif line.startswith("either:"):
            either.append(tuple(part.strip() for part in line.removeprefix("either:").split(" | ")))
        else:
            about.append(line)
    text = "\n".join(line for line in source.splitlines() if not line.startswith("#")) + "\n"
    return Topic(name, " ".join(about), sizes, tuple(either), text)


class Exercise:
    """A problem with numbers, its hints and its solution.

    Made by `symgrad.exercise`.

    Attributes:
        topic, seed: what it was made from.
        declaration: the text that is differentiated.
        derivation: its gradient.
        numbers: an array for each input.
        rate: the step of the update that is asked for.

    Example:
        >>> import symgrad as sg
        >>> e = sg.exercise("quadratic_form", seed=3)
        >>> "A" in e.numbers and not e.grade(x="A @ x").right
        True
    """

    def __init__(self, topic: Topic, seed: int):
        self.topic, self.seed = topic, seed
        # text as a seed gives the same numbers in every version of Python; hashes play no part
        self._random = random.Random(f"{topic.name} {seed}")  # noqa: S311 - numbers to calculate with, no secrets
        self.declaration = self._varied()
        self.derivation = derive(self.declaration)
        self.numbers, self.rate = self._numbers()

    # what the seed chooses

    def _varied(self) -> str:
        """The declaration with one of the alternatives at each place; each is used up by its place."""
        text, at = self.topic.text, 0
        for first, *others in self.topic.either:
            place = text.find(first, at if first in text[at:] else 0)
            chosen = self._random.choice([first, *others])
            text = text[:place] + chosen + text[place + len(first) :]
            at = place + len(chosen)
        return text

    def _sizes(self) -> dict[str, int]:
        """Sizes in their ranges, different from each other if that can be."""
        tries = [
            {letter: self._random.randint(*span) for letter, span in self.topic.sizes.items()}
            for _ in range(20)
        ]
        return max(tries, key=lambda sizes: len(set(sizes.values())))

    def _numbers(self) -> tuple[dict[str, np.ndarray], Fraction]:
        """Numbers at which nothing is near a kink, and none is large."""
        program = self.derivation.program
        sizes = self._sizes()
        rate = self._random.choice([Fraction(1, 10), Fraction(1, 5), Fraction(1, 2)])
        for _ in range(_TRIES):
            arrays = {t.name: self._array(t, sizes) for t in program.inputs}
            if self._sound(arrays, sizes):
                return arrays, rate
        raise Refusal(f"the topic {self.topic.name} has no numbers at which everything is smooth and small")

    def _array(self, t: Tensor, sizes: Mapping[str, int]) -> np.ndarray:
        shape = numbers(t, sizes)
        if t.below is not None:
            (below,) = numbers(replace(t, shape=(t.below,)), sizes)
            return np.array([self._random.randrange(below) for _ in range(int(np.prod(shape)))], int).reshape(
                shape
            )
        f = t.facts
        low = Fraction(-2) if f.low is None else f.low
        high = max(low + 2, Fraction(2)) if f.high is None else f.high
        steps = range(-(-low * 10 // 1), high * 10 // 1 + 1)
        tenths = [k for k in steps if (k or f.low is not None) and not (f.strict_low and k == low * 10)]
        tenths = [k for k in tenths if not (f.strict_high and k == high * 10)]
        whole = [self._random.choice(tenths) for _ in range(int(np.prod(shape)))]
        a = np.array(whole, float).reshape(shape) / 10
        if f.symmetric:
            a = np.tril(a) + np.tril(a, -1).T
        return a

    def _sound(self, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> bool:
        with np.errstate(all="ignore"):
            found = run(self.derivation.derived.program, sizes, arrays)
        for name in self.derivation.derived.program.tensors:
            a = np.asarray(found[name], float) if name in found else np.zeros(())
            if not np.isfinite(a).all() or np.abs(a).max(initial=0.0) > _LARGE:
                return False
        for s in self.derivation.program.statements:
            for e in ex.walk(s.body):
                match e:
                    case ex.Call(name, (ex.Access(tensor), *_)) if name in LEAVES and LEAVES[name].kinks:
                        if tensor in found and np.abs(found[tensor]).min(initial=1.0) < _NEAR:
                            return False
        slopes = [
            np.asarray(found[g], float) for g in self.derivation.derived.gradients.values() if g in found
        ]
        return all(np.abs(g).max(initial=0.0) > _NEAR for g in slopes)

    @cached_property
    def wrong(self) -> tuple[Any, Mistake, np.ndarray] | None:
        """A wrong answer for one of the gradients, with the mistake that gives it; None if no classic one shows."""
        choice = random.Random(f"{self.topic.name} {self.seed} wrong")  # noqa: S311
        names = list(self.derivation.gradients)
        for name in choice.sample(names, len(names)):
            found = wrong_answers(self.derivation.derived, name, self.numbers)
            # a wrong factor or sign alone would show the answer up to this
            kinds = [k for k in found if k not in ("factor", "sign")] or list(found)
            if kinds:
                return name, *found[choice.choice(kinds)]
        return None

    # what is written

    @cached_property
    def worked(self) -> Any:
        """The derivation with the numbers in every step, and one update."""
        return self.derivation.worked(self.numbers, rate=float(self.rate), digits=DIGITS)

    @cached_property
    def problem(self) -> Document:
        """What is asked, without any of the answer."""
        return Document(self._problem)

    @cached_property
    def hints(self) -> Document:
        """Hints, each saying more than the one before, and none the answer."""
        return Document(self._hints)

    @cached_property
    def solution(self) -> Document:
        """The derivation with the numbers in every step."""
        return Document(self._solution)

    def _title(self, what: str) -> Sentence:
        return (f"{what}: {self.topic.name.replace('_', ' ')}, number {self.seed}",)

    def _story(self, numpy: bool) -> Story:
        document = explain.document(self.derivation.derived, fold=False)
        return document.plain if numpy else document.story

    def _names(self) -> tuple[list[Formula], list[Formula]]:
        """The weights and the gradients by them."""
        cast = Cast(self.derivation.derived)
        gradients = self.derivation.derived.gradients
        weights: list[Formula] = [cast.names.symbols[n] for n in gradients if isinstance(n, str)]
        return weights, [cast.names.tensor(bar) for bar in gradients.values()]

    def _slope(self, name: Any) -> Formula:
        derived = self.derivation.derived
        return Cast(derived).names.tensor(derived.gradients[name])

    def _problem(self, numpy: bool) -> Story:
        told = self._story(numpy)
        forward = [p for p in told.passages if isinstance(p, Passage) and p.forward]
        weights, slopes = self._names()
        rate = Symbol("eta", "η", r"\eta")
        how = " in matrix form where there is one, else by entries; name the error signals on the way."
        step = f" = {float(self.rate):g}: "
        questions: list[Sentence] = [
            ("(a) Derive ", *conjoined([(f,) for f in slopes]), how),
            ("(b) Evaluate the loss and these gradients for the numbers above.",),
            (
                "(c) Make one step of gradient descent with ",
                rate,
                step,
                *conjoined([(f,) for f in weights]),
                ", from the old values.",
            ),
        ]
        parts: list[Part] = [
            Prose((), ((self.topic.about,),)),
            Listing(("The declaration",), self.declaration.strip(), "sg"),
            *(Passage(("In mathematics", *p.heading[1:]), p.equations) for p in forward),
            self._given(numpy),
            Prose(("Questions",), tuple(questions)),
        ]
        if self.wrong is not None:
            name, _, numbers = self.wrong
            ask = "(d) Another student found this for the numbers above. What went wrong?"
            parts.append(Passage((ask,), (Equation(self._slope(name), _written(numbers)),)))
        worked = self.worked.plain if numpy else self.worked.story
        notation = tuple(line for line in worked.notation if not self._tells_of_signals(line))
        return Story(notation, tuple(parts), self._title("Problem"))

    def _tells_of_signals(self, line: Sentence) -> bool:
        tensors = Cast(self.derivation.derived).tensors
        codes = [part.code for part in line if isinstance(part, Symbol) and part.code in tensors]
        return any(tensors[code].role == "adjoint" for code in codes)

    def _given(self, numpy: bool) -> Part:
        """The numbers, as the solution shows them."""
        story = self.worked.plain if numpy else self.worked.story
        return next(p for p in story.passages if isinstance(p, Passage))

    def _hints(self, numpy: bool) -> Story:
        told = self._story(numpy)
        backward = _backward(told)
        order: list[Sentence] = [(f"{k}. ", *p.heading) for k, p in enumerate(backward, 1)]
        opening: Sentence = ("Find these in this order; each uses those before it.",)
        parts: list[Part] = [
            Prose(("Hint 1: from the loss back",), (opening, *order)),
            Prose(("Hint 2: shapes",), tuple(self._shapes())),
        ]
        for p in backward:
            symbolic = tuple(e for e in p.equations if not e.statements and not e.numbers)
            reads = tuple(Remark((), r.rule, r.sentence) for r in p.remarks if r.rule == RULES["chain"])
            parts.append(Passage((f"Hint {len(parts) + 1}: ", *p.heading), symbolic, reads))
        for p in backward:
            more = tuple(Remark((), r.rule, r.sentence) for r in p.remarks if r.rule != RULES["chain"])
            if more:
                parts.append(Passage((f"Hint {len(parts) + 1}, further: ", *p.heading), (), more))
        if self.wrong is not None:
            last = Prose((f"Hint {len(parts) + 1}: the wrong answer",), ((self.wrong[1].hint,),))
            parts.append(last)
        return Story((), tuple(parts), self._title("Hints"))

    def _shapes(self) -> list[Sentence]:
        """That a gradient has the shape of its variable."""
        weights, slopes = self._names()
        derived = self.derivation.derived
        integer = Sides(Cast(derived), "index", numpy=False).indices().integer
        lines: list[Sentence] = []
        for bar, w, slope in zip(derived.gradients.values(), weights, slopes, strict=True):
            shape: list[Any] = ["a single number"]
            for k, n in enumerate(derived.program[bar].shape):
                shape = [*shape, " × ", integer(n)] if k else [integer(n)]
            wrong = ": a formula that gives another shape is wrong."
            lines.append((slope, " has the shape of ", w, ", ", *shape, wrong))
        return lines

    def _solution(self, numpy: bool) -> Story:
        story = self.worked.plain if numpy else self.worked.story
        opening = Prose((), ((self.topic.about,),))
        parts: list[Part] = [opening, *story.passages]
        if self.wrong is not None:
            name, mistake, _ = self.wrong
            said: Sentence = ("In the wrong ", self._slope(name), f" {mistake.why}.")
            parts.append(Prose(("(d) The wrong answer",), (said,)))
        return Story(story.notation, tuple(parts), self._title("Solution"))

    # answers

    def grade(self, **answers: Any) -> Grade:
        """Whether answers are right: formulas as text or functions, or numbers for the given numbers.

        Example:
            >>> import symgrad as sg
            >>> sg.exercise("linear_regression", seed=1).grade(w="X @ w").right
            False
        """
        numeric = [k for k, a in answers.items() if not isinstance(a, str) and not callable(a)]
        at = {name: a.tolist() for name, a in self.numbers.items()} if numeric else None
        if numeric and len(numeric) < len(answers):
            raise SymgradError("grade formulas and numbers one after the other: each takes a call of its own")
        return self.derivation.grade(answers, at=at)

    def __str__(self) -> str:
        return self.problem.text()

    def __repr__(self) -> str:
        return f"<exercise {self.topic.name}, seed {self.seed}>"

    def _repr_markdown_(self) -> str:
        return self.problem.markdown()


def exercise(topic: str = "dense", seed: int = 0) -> Exercise:
    """An exercise: the same topic and seed give the same one.

    Args:
        topic: one of `symgrad exercise --list`, such as "dense" or "ridge".
        seed: any whole number from 0.

    Raises:
        SymgradError: there is no such topic; one sentence.

    Example:
        >>> import symgrad as sg
        >>> e = sg.exercise("linear_regression", seed=7)
        >>> print(e.problem.text().splitlines()[0])
        Problem: linear regression, number 7
    """
    known = topics()
    if topic not in known:
        near = did_you_mean(topic, list(known)) if isinstance(topic, str) else ""
        raise SymgradError(f"there is no topic {topic!r}{near}; the topics are {listing(known)}")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise SymgradError(f"seed is a whole number from 0, not {seed!r}")
    try:
        return Exercise(known[topic], seed)
    except Refusal as problem:
        raise SymgradError(problem.reason) from None


def _backward(told: Story) -> list[Passage]:
    """The passages between the forward equations and the results."""
    passages = [p for p in told.passages if isinstance(p, Passage)]
    return [p for p in passages if not p.forward and p.heading != ("Result",)]


def _written(numbers: np.ndarray) -> Formula:
    """Numbers as the solution writes them."""
    formula = Rounding(DIGITS).array(numbers, numpy=True)
    assert formula is not None, "exercises are small"
    return formula
