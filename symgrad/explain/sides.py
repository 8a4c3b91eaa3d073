"""The two sides of equations, in the form that the reader chose where there is one; and results in one
formula."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from symgrad.errors import Refusal, listing
from symgrad.explain.cast import GROWN, Cast, bare, grown
from symgrad.explain.formula import (
    Apply,
    Big,
    Derivative,
    Entry,
    Extent,
    Formula,
    Iverson,
    Ranged,
    Relation,
    Symbol,
    walk,
)
from symgrad.explain.indices import Indices
from symgrad.explain.matrices import Arrays, NoForm, Reason
from symgrad.explain.notations import Mathematics, Numpy
from symgrad.explain.parts import Group, Passage
from symgrad.explain.scalars import Scalars, in_order, refuse_much, written
from symgrad.language import expr as ex
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import Statement
from symgrad.passes.forms import size

_Form = TypeVar("_Form", bound=Indices)
FORMS = ("matrix", "index", "scalar")
_ONCE, _OFTEN = 24, 5  # nodes of a part that is put in place once, or wherever it stands
_TERMS = 8  # of a part that is put in place, written out

Parts = Mapping[str, Statement]


@dataclass(frozen=True)
class Line:
    """One equation of a result, what it says and the parts put in place in it, with the letters whose ranges nothing
    shows and these."""

    left: Formula
    right: Formula
    group: Group = ()
    put: Group = ()
    said: tuple[tuple[Formula, Formula], ...] = ()

    @property
    def letters(self) -> set[str]:
        """Running letters, by their names in code."""
        return {x.code for x in self._inside if isinstance(x, Symbol) and not isinstance(x, Extent)}

    @property
    def sizes(self) -> set[str]:
        """Sizes that stand where a letter could."""
        return {x.code for x in self._inside if isinstance(x, Extent)}

    @property
    def _inside(self) -> list[Formula]:
        """What stands at places, in conditions and in ranges."""
        found: list[Formula] = [f for pair in self.said for f in pair]
        for f in (*walk(self.left), *walk(self.right)):
            match f:
                case Entry(_, index) | Derivative(index=index):
                    found += index
                case Iverson(condition):
                    found.append(condition)
                case Apply("eye", sizes):
                    found += sizes
                case Big(_, letters, conditions, _, ranges):
                    found += [*letters, *conditions, *(n for n in ranges if n is not None)]
        return [x for f in found for x in walk(f)]


class Sides:
    """Statements as equations.

    Args:
        form: "matrix" or "index"; what has no matrix form is written with indices. "scalar" is the index form until
            it is written out.
        numpy: whether matrices are written with NumPy's operators rather than as linear algebra.
        sizes: numbers for the size letters that have none in the program; for the scalar form.
    """

    def __init__(self, cast: Cast, form: str, *, numpy: bool, sizes: Mapping[str, int] | None = None):
        self.cast, self.form, self.numpy, self.sizes = cast, form, numpy, sizes or {}

    def indices(self, parts: Parts | None = None, avoid: Collection[str] = ()) -> Indices:
        """The index form, with further parts put in place, by letters that are none of `avoid`."""
        return self._whole(Indices(self.cast.names, self._inline(parts), avoid))

    def scalars(
        self, parts: Parts | None = None, *, code: bool = False, loose: Collection[str] = ()
    ) -> Scalars:
        """The scalar form, with further parts put in place; `loose` entries have names of their own.

        Raises:
            Refusal: a size has no number.
        """
        missing = [n for n in self.cast.derived.source.sizes if n not in self.sizes]
        if missing:
            examples = {n: k for k, n in enumerate(missing, 2)}
            many = len(missing) > 1
            raise Refusal(
                f"the scalar form writes out every entry and needs {'numbers' if many else 'a number'} for the "
                f"size{'s' * many} {listing(missing)}; give sizes={examples}, or "
                + " ".join(f"--size {n}={k}" for n, k in examples.items())
            )
        program = self.cast.derived.program if code else None
        return self._whole(Scalars(self.cast.names, self._inline(parts), self.sizes, program, loose))

    def told(self, passages: Sequence[Passage]) -> tuple[Passage, ...]:
        """Passages as they are, in the scalar form with every entry written out.

        Raises:
            Refusal: a size has no number, or that would be too much to read.
        """
        if self.form != "scalar":
            return tuple(passages)
        return written(passages, self.scalars, self.complete)

    def complete(self, group: Group) -> bool:
        """Whether nothing else writes the tensor that a group writes."""
        name = group[0].out
        writers = max(len(self.cast.derived.program.writers(name)), len(self.cast.forward.get(name, ())))
        return self.cast.tensors[name].role == "adjoint" or writers <= len(group)

    def _inline(self, parts: Parts | None) -> Parts:
        return {**self.cast.hidden, **self.cast.sums, **(parts or {})}

    def _whole(self, indices: _Form) -> _Form:
        """A form in which a tensor without its index is what the reader has seen of it."""
        arrays = (Numpy if self.numpy else Mathematics)(indices, self.cast.program)

        def whole(name: str) -> Formula:
            with suppress(NoForm):
                return arrays.reference(name)
            return self.cast.names.tensor(name)

        indices.whole = whole
        return indices

    def arrays(self, parts: Parts | None = None) -> Arrays:
        return (Numpy if self.numpy else Mathematics)(self.indices(parts), self.cast.program)

    def total(
        self, group: Group, parts: Parts | None = None, avoid: Collection[str] = ()
    ) -> tuple[Formula, Formula, tuple[Reason, ...]]:
        """All that is written to one tensor, and why there are transposes and the like."""
        if self.form == "matrix":
            found = self.arrays(parts).total(group)
            if found is not None:
                return found
        left, right = self.indices(parts, avoid).total(group)
        if self.numpy and not avoid:  # elsewhere a size is written as a capital
            group, clash = self._apart(group, Line(left, right))
            if clash:
                left, right = self.indices(parts, clash).total(group)
        return left, right, ()

    def defined(
        self, s: Statement, parts: Parts | None = None
    ) -> tuple[Formula, Formula, tuple[Reason, ...]]:
        """A forward statement; one of several writers, or one of single entries, as it stands."""
        if s.plain and len(self.cast.forward.get(s.out, [s])) <= 1:
            return self.total((s,), parts)
        if s.op != "=":
            return (*self.indices(parts).total((s,)), ())
        return (*self._ranged(s, *self.indices(parts).equation(s)), ())

    def _ranged(self, s: Statement, left: Formula, right: Formula) -> tuple[Formula, Formula]:
        """An equation with the ranges of letters that stand alone nowhere: `q[n, 2*g + r] = ..., r < 2`."""
        alone = left.index if isinstance(left, (Entry, Derivative)) else ()
        said = [Relation((x, n), ("<",)) for x, n in self._said(s, right) if x not in alone]
        return left, Ranged(right, tuple(said)) if said else right

    # results

    def result(self, bars: Sequence[str], *, code: bool = False) -> list[Line]:
        """Gradients as formulas, after the parts that they need: those read more than once or too large to be
        put in place. For `code` the letters are such that their ranges can be said."""
        program = self.cast.derived.program
        defined, parts = self._slice(bars)
        order = {id(s): k for k, s in enumerate(program.statements)}
        groups: list[Group] = []
        for name in defined:
            group = tuple(program.writers(name))
            apart = self.cast.tensors[name].role != "adjoint" and not (len(group) == 1 and group[0].plain)
            groups += [(s,) for s in group] if apart and any(s.op == "=" for s in group) else [group]
        # the first places of recurrences before the steps, which may read each other's
        groups.sort(key=lambda group: order[id(group[0])])
        groups += [tuple(program.writers(bar)) for bar in dict.fromkeys(bars)]
        shown = [group for group in groups if group and group[0].out != program.target]
        return [self._unclashed(group, parts, code) for group in shown]

    def answer(self, bars: Sequence[str], *, code: bool = False) -> list[Line]:
        """Gradients as formulas, in the scalar form one for each entry. In code the steps of a recurrence have a name
        each there, and what is read comes first.

        Raises:
            Refusal: a size has no number, or that would be too much to read.
        """
        lines = self.result(bars, code=code)
        if self.form != "scalar":
            return lines
        steps = {f.group[0].out for f in lines if any(s.scan is not None for s in f.group)} if code else set()
        told = [
            (f, self.scalars({s.out: s for s in f.put}, code=code, loose=steps - set(bars))) for f in lines
        ]
        refuse_much([(f.group, scalars) for f, scalars in told])
        found = [
            Line(left, right, f.group, f.put)
            for f, scalars in told
            for _, left, right in scalars.entries(f.group, self.complete(f.group))
        ]
        return [found[k] for k in in_order([(f.left, f.right) for f in found])] if steps else found

    def short(self, bar: str) -> bool:
        """Whether only a few error signals stand between a gradient and the forward values."""
        met, todo = {bar: None}, [bar]
        while todo and len(met) <= 3:
            for s in self.cast.derived.program.writers(todo.pop()):
                new = [r for r in s.reads if self.cast.tensors[r].role == "adjoint" and r not in met]
                met.update(dict.fromkeys(new))
                todo += new
        return not todo

    def _slice(self, bars: Sequence[str]) -> tuple[list[str], dict[str, Statement]]:
        """What gradients need besides named forward values: parts to define first, and parts to put in
        place."""
        program, tensors = self.cast.derived.program, self.cast.tensors
        uses: dict[str, list[Statement]] = {}
        todo, seen = list(bars), dict.fromkeys(bars)
        while todo:
            for s in program.writers(todo.pop()):
                for r in s.reads:
                    uses.setdefault(r, []).append(s)
                    known = (
                        tensors[r].named
                        and tensors[r].role != "adjoint"
                        and r in self.cast.derived.source.tensors
                    )
                    if r not in seen and not known and program.writers(r):
                        seen[r] = None
                        todo.append(r)
        parts: dict[str, Statement] = {}
        defined: dict[str, None] = {}
        for s in program.statements:
            if s.out in seen and s.out not in bars and s.out not in self.cast.hidden:
                if self._small(s, uses[s.out], parts):
                    parts[s.out] = s
                else:
                    defined[s.out] = None
        return list(defined), parts

    def _small(self, s: Statement, readers: Sequence[Statement], parts: Parts) -> bool:
        """Whether a part is better put in place than defined."""
        alone = len(self.cast.derived.program.writers(s.out)) == 1
        if (
            self.cast.tensors[s.out].named
            or not alone
            or s.op not in ("=", "+=", *IMPLICIT)
            or not s.plain
            or s.guard is not None
        ):
            return False
        places = [a for u in readers for a in ex.accesses(u.body) if a.tensor == s.out]
        weight = size(s.body) + sum(size(parts[r].body) for r in s.reads if r in parts)
        if self.form == "scalar" and self.scalars(parts).weight(s, s.reduced) > _TERMS:
            return False
        fits = all(map(bare, places)) and weight <= (_ONCE if len(places) == 1 else _OFTEN)
        return fits and grown(s, self._inline(parts)) <= GROWN

    def _unclashed(self, group: Group, parts: Parts, code: bool) -> Line:
        """A line of a result in which no letter is called like a size that stands at a place or in a condition,
        or is said as its range: `n < n` would say nothing."""
        line = self._line(group, parts, (), code)
        if not (code or self.numpy):
            return line  # there a size is written as a capital
        group, clash = self._apart(group, line)
        return self._line(group, parts, clash, code) if clash else line

    def _apart(self, group: Group, line: Line) -> tuple[Group, list[str]]:
        """What a line tells with letters that are unlike the sizes in it, and those that were not: `t + 1 < t` would
        be nonsense."""
        clash = sorted(line.letters & line.sizes)
        used = [a for s in group for a, _ in s.axes]
        fresh: dict[str, str] = {}
        for a in clash:
            fresh[a] = self.indices().fresh("k", [*used, *fresh.values()])
        return tuple(s.rename(fresh) for s in group), clash

    def _line(self, group: Group, parts: Parts, avoid: Sequence[str], code: bool) -> Line:
        """All that is written to a tensor; what one of several writers gives stands at its own places."""
        s = group[0]
        several = len(self.cast.derived.program.writers(s.out)) > len(group)
        apart = several or s.op == "=" and not s.plain and self.cast.tensors[s.out].role != "adjoint"
        if apart and s.op == "=":
            left, right = self.indices(parts, avoid).equation(s)
            left, right = (left, right) if code else self._ranged(s, left, right)
        else:
            left, right, _ = self.total(group, parts, avoid)
        said = () if not code else self._said(s, right) if apart else self.unseen(left, right)
        return Line(left, right, group, tuple(parts.values()), tuple(said))

    def _said(self, s: Statement, right: Formula) -> list[tuple[Formula, Formula]]:
        """Letters of one writer's left side whose range no place of the right side shows, with their ranges."""
        said = [(self.cast.names.letter(a), self.indices().integer(s.ranges[a])) for a in s.kept]
        return [(x, n) for x, n in said if not self._shown(x, n, right)]

    def unseen(self, left: Formula, right: Formula) -> list[tuple[Formula, Formula]]:
        """Letters of a left side that stand alone in no place of their size on the right side, with their sizes."""
        if not isinstance(left, (Entry, Derivative)) or not left.index:
            return []
        name = left.code if isinstance(left, Derivative) else getattr(left.base, "code", "")
        sizes = map(self.indices().integer, self.cast.tensors[name].shape)
        return [(x, n) for x, n in zip(left.index, sizes, strict=True) if not self._shown(x, n, right)]

    def _shown(self, x: Formula, n: Formula, f: Formula) -> bool:
        """Whether the places where a letter stands alone are all of size `n`, and there is one."""
        shown = False
        for part in walk(f):
            if isinstance(part, (Entry, Derivative)) and x in part.index:
                name = part.code if isinstance(part, Derivative) else getattr(part.base, "code", "")
                t = self.cast.tensors.get(name)
                sizes = (n,) * len(part.index) if t is None else map(self.indices().integer, t.shape)
                shown = True
                if any(x == i and n != m for i, m in zip(part.index, sizes, strict=True)):
                    return False
        return shown
