"""The two sides of equations, in the form that the reader chose where there is one; and results in one
formula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from symgrad.explain.cast import Cast, bare
from symgrad.explain.formula import Derivative, Entry, Formula, Symbol, walk
from symgrad.explain.indices import Indices
from symgrad.explain.matrices import Arrays, Mathematics, NoForm, Numpy
from symgrad.language import expr as ex
from symgrad.language.implicit import IMPLICIT
from symgrad.language.program import Statement
from symgrad.passes.forms import size

FORMS = ("matrix", "index")
_ONCE, _OFTEN = 24, 5  # nodes of a part that is put in place once, or wherever it stands

Group = tuple[Statement, ...]
Parts = Mapping[str, Statement]


class Sides:
    """Statements as equations.

    Args:
        form: "matrix" or "index"; what has no matrix form is written with indices.
        numpy: whether matrices are written with NumPy's operators rather than as linear algebra.
    """

    def __init__(self, cast: Cast, form: str, *, numpy: bool):
        self.cast, self.form, self.numpy = cast, form, numpy

    def indices(self, parts: Parts | None = None) -> Indices:
        """The index form, with further parts put in place."""
        indices = Indices(self.cast.names, {**self.cast.hidden, **self.cast.sums, **(parts or {})})
        arrays = (Numpy if self.numpy else Mathematics)(indices, self.cast.program)

        def whole(name: str) -> Formula:
            with suppress(NoForm):
                return arrays.reference(name)
            return self.cast.names.tensor(name)

        indices.whole = whole
        return indices

    def arrays(self, parts: Parts | None = None) -> Arrays:
        return (Numpy if self.numpy else Mathematics)(self.indices(parts), self.cast.program)

    def total(self, group: Group, parts: Parts | None = None) -> tuple[Formula, Formula, tuple[str, ...]]:
        """All that is written to one tensor, and why there are transposes and the like."""
        if self.form == "matrix":
            found = self.arrays(parts).total(group)
            if found is not None:
                return found
        left, right = self.indices(parts).total(group)
        return left, right, ()

    def defined(self, s: Statement) -> tuple[Formula, Formula]:
        """A forward statement; one of several writers, or one of single entries, as it stands."""
        if s.plain and len(self.cast.forward.get(s.out, [s])) <= 1:
            return self.total((s,))[:2]
        return self.indices().equation(s) if s.op == "=" else self.indices().total((s,))

    # results

    def result(self, bars: Sequence[str], *, code: bool = False) -> list[tuple[Formula, Formula]]:
        """Gradients as formulas, after the parts that they need: those read more than once or too large to be
        put in place. For `code` the letters are such that their ranges can be said."""
        program = self.cast.derived.program
        defined, parts = self._slice(bars)
        groups = (program.writers(name) for name in dict.fromkeys((*defined, *bars)))
        shown = [group for group in groups if group and group[0].out != program.target]
        return [self._unclashed(group, parts) if code else self.total(group, parts)[:2] for group in shown]

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
        return all(map(bare, places)) and weight <= (_ONCE if len(places) == 1 else _OFTEN)

    def _unclashed(self, group: Group, parts: Parts) -> tuple[Formula, Formula]:
        """The two sides, no letter that needs its range said called like its size: `n < n` would say
        nothing."""
        left, right, _ = self.total(group, parts)
        unseen = [
            (x, n) for x, n in self.unseen(left, right) if isinstance(x, Symbol) and isinstance(n, Symbol)
        ]
        clash = [x.code for x, n in unseen if x.code == n.code]
        if clash:
            used = [a for s in group for a, _ in s.axes]
            fresh: dict[str, str] = {}
            for a in clash:
                fresh[a] = self.indices().fresh("k", [*used, *fresh.values()])
            left, right, _ = self.total(tuple(s.rename(fresh) for s in group), parts)
        return left, right

    def unseen(self, left: Formula, right: Formula) -> list[tuple[Formula, Formula]]:
        """Letters of a left side that stand alone in no place of the right side, with their sizes."""
        if not isinstance(left, (Entry, Derivative)) or not left.index:
            return []
        name = left.code if isinstance(left, Derivative) else getattr(left.base, "code", "")
        alone = [x for f in walk(right) if isinstance(f, Entry) for x in f.index]
        sizes = map(self.indices().integer, self.cast.tensors[name].shape)
        return [(x, n) for x, n in zip(left.index, sizes, strict=True) if x not in alone]
