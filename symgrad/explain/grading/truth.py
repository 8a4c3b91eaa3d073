"""What is right: the derivation's values at the points where answers are tried, and the names that answers may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from symgrad.errors import Refusal
from symgrad.exact.points import Point, is_heavy, points
from symgrad.exact.ways import has_kinks
from symgrad.explain.cast import Cast
from symgrad.explain.formula import Symbol
from symgrad.explain.grading.answers import Answer, Desk
from symgrad.language.program import Program, Tensor
from symgrad.language.reference import Arrays
from symgrad.language.samples import unmet
from symgrad.language.syntax import is_name
from symgrad.language.trace import Derived, Key
from symgrad.passes.derive import derive

SCOUTS = 16  # further points for formulas with kinks


class Truth:
    """A derivation and its values.

    Args:
        at: a point given by the student, tried instead of random ones.
    """

    def __init__(self, derived: Derived, at: Point | None = None):
        self.derived, self._at = derived, at
        self._joint: dict[tuple[int, bool], Arrays] = {}
        self._desks: dict[Key, Desk] = {}

    @cached_property
    def points(self) -> list[Point]:
        return [self._at] if self._at is not None else points(self.derived)

    @cached_property
    def scouts(self) -> list[Point]:
        """Further points, for formulas with kinks: so many that each side of a kink is met by some of them."""
        return points(self.derived, more=SCOUTS) if self._at is None else []

    @cached_property
    def kinks(self) -> bool:
        return has_kinks(self.derived.program)

    def place(self, k: int) -> Point:
        """A point, or a scout behind the last one."""
        own = len(self.points)
        return self.points[k] if k < own else self.scouts[k - own]

    @cached_property
    def plain(self) -> Derived | None:
        """The gradient once more as the chain rule gives it, nothing simplified, by every named value too; None for
        other derivatives."""
        if self.derived.kind != "gradient":
            return None
        source = self.derived.source
        wanted = [k for k in self.derived.gradients if isinstance(k, str)]
        values = [
            t.name
            for t in source.tensors.values()
            if t.role == "value" and t.named and t.name != source.target
        ]
        try:
            return derive(source, list(dict.fromkeys([*wanted, *values])), passes=())
        except Refusal:
            return None

    @cached_property
    def program(self) -> Program:
        """All that is computed: the derivation, then what the chain rule alone gives under names of its own."""
        base, plain = self.derived.program, self.plain
        if plain is None:
            return base
        computed = {s.out for s in base.statements}
        more = tuple(s for s in plain.program.statements if s.out not in computed)
        return replace(
            base,
            tensors={**plain.program.tensors, **base.tensors},
            statements=(*base.statements, *more),
        )

    @cached_property
    def signals(self) -> Mapping[str, Tensor]:
        """What an answer may use beside the program's own names: error signals and parts, as they are printed and as
        they are written in code."""
        cast, found = Cast(self.derived), dict[str, Tensor]()
        computed = {s.out for s in self.program.statements}
        for name, t in self.program.tensors.items():
            if name not in computed or name in self.derived.source.tensors and t.named:
                continue
            spelled = [name]
            if name in cast.tensors:
                symbol = cast.names.tensor(name) if t.role == "adjoint" else cast.names.symbols.get(name)
                spelled += [symbol.text] if isinstance(symbol, Symbol) else []
            if t.role == "adjoint" and self._whole(t):
                spelled += [f"δ{t.of}", f"d{t.of}"]
            for x in spelled:
                if is_name(x):
                    found.setdefault(x, t)
        return found

    def _whole(self, t: Tensor) -> bool:
        """Whether a tensor is the whole derivative of the target by a tensor."""
        known = {**(self.plain.adjoints if self.plain else {}), **self.derived.adjoints}
        return t.seed == self.derived.source.target and known.get(t.of) == t.name

    def desk(self, key: Key) -> Desk:
        """Where answers for a derivative are read: they may use all signals but that derivative itself."""
        if key not in self._desks:
            asked = {key} if isinstance(key, str) else set(key)
            own = {
                t.name for t in self.signals.values()
                if t.name == self.derived.gradients[key] or t.role == "adjoint" and t.of in asked and self._whole(t)
            }  # fmt: skip
            signals = {x: t for x, t in self.signals.items() if t.name not in own}
            self._desks[key] = Desk(self.derived.source, signals)
        return self._desks[key]

    def joint(self, k: int, *, exact: bool = False) -> Arrays:
        """Everything that is computed, at a point."""
        if (k, exact) not in self._joint:
            outs = {s.out for s in self.program.statements}
            self._joint[k, exact] = self.place(k).run(self.program, outs, exact=exact)
        return self._joint[k, exact]

    def right(self, key: Key, k: int, *, exact: bool = False) -> object:
        """A derivative at a point."""
        return self.joint(k, exact=exact)[self.derived.gradients[key]]

    def telling(self, key: Key, most: int = 2) -> tuple[int, ...]:
        """Points at which mistakes show: where a derivative is not zero, of several sizes; as many as there are."""
        every = range(len(self.points) + (len(self.scouts) if self.kinks else 0))
        found = [k for k in every if np.any(np.asarray(self.right(key, k), float))]
        # points with sizes of 1 only tell least
        found.sort(key=lambda k: max(self.place(k).sizes.values(), default=2) < 2)
        return tuple((found or [0])[:most])

    def heavy(self, answer: Answer | None, k: int) -> bool:
        """Whether the numbers at a point are too many for exact arithmetic."""
        own = answer is not None and is_heavy(answer.program, self.place(k))
        return own or is_heavy(self.program, self.place(k))

    def value(self, answer: Answer, k: int, *, exact: bool = False) -> object:
        """What an answer gives at a point.

        Raises:
            Refusal: it is no number there.
        """
        known = self.joint(k, exact=exact) if answer.signals else {}
        given = {x: known[t.name] for x, t in answer.signals.items()}
        point = self.place(k)
        for sentence in unmet(answer.program, point.sizes):
            raise Refusal(sentence)
        try:
            return point.run(answer.program, [answer.name], exact=exact, known=given)[answer.name]
        except IndexError:
            raise Refusal(
                "the answer reads entries outside a tensor: look at the ranges of its letters"
            ) from None
        except np.linalg.LinAlgError:
            raise Refusal(
                "the answer inverts a matrix that has no inverse, whatever the inputs are"
            ) from None
