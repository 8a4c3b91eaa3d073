"""Which mistake gives exactly this answer: the derivation gone through with one thing wrong at a time.

A mistake in the step of a late layer changes the derivatives by all earlier ones, so each is carried through to the
derivative that was asked for, and compared with the answer's numbers at random inputs.
"""

from __future__ import annotations

import ast
import itertools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from symgrad.exact.equality import close
from symgrad.explain.cast import Cast
from symgrad.explain.grading.answers import spelled
from symgrad.explain.grading.candidates import Run, candidates
from symgrad.explain.grading.mistake import Mistake
from symgrad.explain.grading.scales import Same, Scale, Scales
from symgrad.explain.grading.truth import Truth
from symgrad.explain.scripts import CODE
from symgrad.explain.sides import Sides
from symgrad.language import expr as ex
from symgrad.language.program import Program
from symgrad.language.trace import Key

MOST = 600  # mistakes tried for one answer
SECONDS = 4.0
_LONG = 60  # characters of a part that is called by what it is
_ZERO = "A derivative that is zero says that nothing depends on it: where is it used?"
Numbers = Sequence[np.ndarray]  # at the first points, in order


class Mistakes:
    """Looks for the mistake behind an answer.

    Args:
        same: whether numbers agree.
        tries: at how many points answers are compared; the sizes differ there.
    """

    def __init__(self, truth: Truth, key: Key, same: Same = close, tries: int = 2):
        self.truth, self.key, self.same = truth, key, same
        self.places = truth.telling(key, tries)
        self.scales = Scales(truth, self.places)

    def find(self, given: Numbers) -> Mistake | None:
        """The simplest mistake that gives these numbers, if one does: a factor, a mistake, or the two together."""
        right = [np.asarray(self.truth.right(self.key, k), float) for k in self.places]
        if not any(map(np.any, given)):
            return (
                Mistake("zero", "your answer is zero everywhere", _ZERO) if any(map(np.any, right)) else None
            )
        scale = self.scales.between(right, given, self.same)
        if scale is not None:
            return self.scales.mistake(scale)
        tried: list[tuple[Mistake, Run, np.ndarray]] = []
        end = time.process_time() + SECONDS
        for mistake, run in itertools.islice(candidates(self.truth, self.key), MOST):
            if time.process_time() > end:
                break
            first = run(self.places[0])
            if first is None or first.shape != given[0].shape or not np.isfinite(first).all():
                continue
            tried.append((mistake, run, first))
            if self.same(given[0], first):
                arrays = self._everywhere(given, run, first)
                if arrays and all(self.same(a, b) for a, b in zip(given, arrays, strict=True)):
                    return self.said(mistake)
        for mistake, run, first in tried:
            if self.scales.between(right[:1], [first], self.same) is not None:
                continue  # a factor is wrong there already: two would explain each other away
            also = self._factor(given, run, first)
            if also is not None:
                why = f"{mistake.why}; and {self.scales.mistake(also).why}"
                return self.said(replace(mistake, why=why))
        return None

    def _everywhere(self, given: Numbers, run: Run, first: np.ndarray) -> list[np.ndarray] | None:
        """What a mistake gives at all points; None where it cannot be made, or has another shape than the answer."""
        arrays = [first]
        for k, wanted in zip(self.places[1:], given[1:], strict=True):
            a = run(k)
            if a is None or a.shape != wanted.shape:
                return None
            arrays.append(a)
        return arrays

    def _factor(self, given: Numbers, run: Run, first: np.ndarray) -> Scale | None:
        if self.scales.between([first], given[:1], self.same) is None:
            return None
        arrays = self._everywhere(given, run, first)
        return self.scales.between(arrays, given, self.same) if arrays else None

    # names

    def said(self, mistake: Mistake) -> Mistake:
        """The mistake with parts that have no name called by what they are."""
        pattern, spoken = self._unnamed

        def put(found: re.Match[str]) -> str:
            text = spoken(found[0])
            alone = re.search(r"(^|(:|through|from|to|by|the term|of) )$", found.string[: found.start()])
            simple = re.fullmatch(r"\w+(\([^()]*\))?|a part of \w+", text)
            return text if simple or alone else f"({text})"

        if pattern is None:
            return mistake
        return replace(mistake, why=pattern.sub(put, mistake.why), hint=pattern.sub(put, mistake.hint))

    @cached_property
    def _unnamed(self) -> tuple[re.Pattern[str] | None, Callable[[str], str]]:
        """Where the names of unnamed parts stand in a sentence, and what such a part is in the user's names."""
        derived = self.truth.plain or self.truth.derived
        program = derived.program
        names = [n for n, t in program.tensors.items() if not t.named and t.role != "adjoint"]
        sides, symbols = Sides(Cast(derived), "matrix", numpy=True), Cast(self.truth.derived).names.symbols
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b") if names else None
        known: dict[str, str] = {}

        def written(name: str) -> str:
            """A part as a formula of the user's names."""
            writers = program.writers(name)
            if len(writers) != 1 or pattern is None:
                return name
            text = re.sub(r"\[[\w, ]*\]", "", CODE.line(sides.defined(writers[0])[1]))
            return _bare(pattern.sub(lambda m: name if m[0] == name else f"({written(m[0])})", text))

        def spoken(name: str) -> str:
            if name not in known:
                text, symbol = written(name), symbols.get(name)
                if len(text) > _LONG or pattern is not None and pattern.search(text):
                    text = symbol.text if symbol is not None else name
                if pattern is not None and pattern.search(text):
                    text = f"a part of {self._reader(name, program)}"
                known[name] = text
            return known[name]

        return pattern, spoken

    @staticmethod
    def _reader(name: str, program: Program) -> str:
        """The first tensor with a name that a part goes into."""
        inside = {name}
        for s in program.statements:
            if program[s.out].role == "value" and any(a.tensor in inside for a in ex.accesses(s.body)):
                if program[s.out].named:
                    return s.out
                inside.add(s.out)
        return program.target


def _bare(text: str) -> str:
    """A formula without parentheses that it does not need."""
    try:
        return spelled(ast.parse(text, mode="eval").body, len(text))
    except SyntaxError:
        return text
