"""Products that a step adds up, as one product of stacked arrays.

`a[t] = x[t] @ W + h[t - 1] @ U + b` is one product of the row `[h[t - 1], x[t], 1]` with U, W and b below one another:
`h` is stored beside the next step's `x`. A step has one call instead of two, and no pass over all that `x @ W` is.
It is done where the stacked weight is small enough to stay in the cache from step to step.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.ints import Atom, Axis, Int, IntLike
from symgrad.language.program import Program, Statement, Tensor
from symgrad.passes.recurrent.told import Told

_ENTRIES = 1 << 16  # of the stacked weight: a quarter of a common second-level cache


@dataclass
class _Part:
    """One product: an entry whose last axis is contracted with the first of a weight's."""

    entry: Access
    weight: Access
    axis: str
    size: Int


def stacked(
    program: Program, statements: Sequence[Statement], told: Told, kept: Collection[str]
) -> tuple[Program, list[Statement]]:
    """The statements with the sums of products of each loop stacked."""
    done = list(statements)
    for s in statements:
        if s.scan is not None and s.op == "=" and isinstance(s.body, ex.Add) and s in done:
            work = _Work(program, done, told, kept)
            if work.stack(s):
                program, done = replace(program, tensors=work.tensors), work.statements
    return program, done


class _Work:
    def __init__(self, program: Program, statements: list[Statement], told: Told, kept: Collection[str]):
        self.program, self.statements, self.told, self.kept = program, list(statements), told, kept
        self.tensors = dict(program.tensors)
        self.used: list[Statement] = []  # statements that the stacked product makes unnecessary

    def stack(self, s: Statement) -> bool:
        """Rewrite a statement that sums one product with what the loop carries, products with what is given, a bias."""
        found = self._parts(s.body, s, s.left[-1].axis or "")
        if found is None or s.guard is not None or not s.plain or s.scan is None:
            return False
        products, biases = found
        loop = {t.out for t in self.statements if t.scan and t.scan.loop == s.scan.loop}
        carried = [p for p in products if p.entry.tensor in loop]
        others = [p for p in products if p not in carried]
        if len(carried) != 1 or not others and not biases:
            return False
        (state,) = carried
        step = s.scan.axis
        at = [k for k, i in enumerate(state.entry.index) if step in i.axes]
        if len(at) != 1 or not self._stackable(state, others, at[0], step, s):
            return False
        entries = ints.product([s.ranges[s.left[-1].axis or ""], sum((p.size for p in products), ints.ONE)])
        if ints.about([entries]) > _ENTRIES:
            return False
        self._write(s, state, others, biases, at[0])
        return True

    def _parts(self, e: Expr, s: Statement, column: str) -> tuple[list[_Part], list[Access]] | None:
        """A sum as products over one axis, and entries of vectors along the columns."""
        products: list[_Part] = []
        biases: list[Access] = []
        for t in e.args if isinstance(e, ex.Add) else (e,):
            if not isinstance(t, Access):
                return None
            if t.index == (ints.axis(column),):
                biases.append(t)
                continue
            writers = [w for w in self.statements if w.out == t.tensor]
            readers = [r for r in self.statements if t.tensor in r.reads]
            if len(writers) != 1 or len(readers) != 1 or t.tensor in self.kept or t.index != s.left:
                return None
            w = writers[0]
            if not w.plain or w.guard is not None or self.tensors[t.tensor].early:
                return None
            names = dict(zip((i.axis or "" for i in w.left), (i.axis or "" for i in t.index), strict=True))
            spare = {
                a: self._letter(a, {*names.values(), *w.ranges})
                for a, _ in w.axes
                if a not in names and a in names.values()
            }
            renamed = w.rename({**names, **spare})
            if any(renamed.ranges[i.axis or ""] != s.ranges[i.axis or ""] for i in t.index):
                return None
            more = self._product(renamed, column) if w.op == "+=" else None
            if more is None:
                inner = self._parts(renamed.body, replace(s, scan=s.scan), column) if w.op == "=" else None
                if inner is None:
                    return None
                products += inner[0]
                biases += inner[1]
            else:
                products.append(more)
            self.used.append(w)
        return products, biases

    def _letter(self, a: str, taken: Collection[str]) -> str:
        return next(b for b in (f"{a}{'_' * k}" for k in range(1, 9)) if b not in taken)

    def _product(self, w: Statement, column: str) -> _Part | None:
        if len(w.reduced) != 1 or not isinstance(w.body, ex.Mul) or len(w.body.args) != 2:
            return None
        (axis,) = w.reduced
        rows = (ints.axis(axis), ints.axis(column))
        for weight, entry in (w.body.args, w.body.args[::-1]):
            if not isinstance(weight, Access) or not isinstance(entry, Access) or weight.index != rows:
                continue
            whole = self.tensors[weight.tensor].shape == (w.ranges[axis], w.ranges[column])
            if whole and entry.index[-1] == ints.axis(axis) and len(entry.index) == len(w.left):
                return _Part(entry, weight, axis, w.ranges[axis])
        return None

    def _stackable(self, state: _Part, others: list[_Part], at: int, step: str, s: Statement) -> bool:
        """Whether the other entries stand at this step where the state's stand at the one before, all else alike."""
        t = self.tensors[state.entry.tensor]
        offset = (state.entry.index[at] - ints.axis(step)).number
        if offset is None or offset >= 0 or not t.early or t.early[at] != -offset or t.integer:
            return False
        if state.entry.index[:at] != s.left[:at] or state.entry.index[at + 1 : -1] != s.left[at + 1 : -1]:
            return False
        if any(s.ranges[i.axis or ""] != n for i, n in zip(s.left[:-1], t.shape[:-1], strict=True)):
            return False
        loop = {w.out for w in self.statements if w.scan and s.scan and w.scan.loop == s.scan.loop}
        given = not any(p.entry.tensor in loop for p in others) and t.shape[-1] == state.size
        return given and all(p.entry.index[:-1] == s.left[:-1] for p in others)

    def _write(self, s: Statement, state: _Part, others: list[_Part], biases: list[Access], at: int) -> None:
        name, column = state.entry.tensor, s.left[-1].axis or ""
        t = self.tensors[name]
        width = sum((p.size for p in others), state.size) + (ints.ONE if biases else ints.ZERO)
        row = self.program.fresh(f"{name}_row", self.tensors)
        self.tensors[row] = Tensor(
            row, (*t.shape[:-1], width), role=t.role, named=False, label=t.label, early=t.early
        )
        weight = self.program.fresh(f"{s.out}_weight", self.tensors)
        self.tensors[weight] = Tensor(weight, (width, s.ranges[column]), named=False)
        before: list[Statement] = []
        moved: dict[str, tuple[str, Int]] = {name: (row, ints.ZERO)}
        offset = state.size
        below: list[tuple[_Part, Int]] = [(state, ints.ZERO)]
        for p in others:
            left = (*state.entry.index[:-1], offset + ints.axis(p.axis))
            axes = (*((a, n) for a, n in s.axes if a != column), (p.axis, p.size))
            before.append(Statement(row, left, "=", p.entry, axes, line=s.line, label=s.label))
            below.append((p, offset))
            offset = offset + p.size
        columns = s.ranges[column]
        if biases:
            axes = tuple((a, n) for a, n in s.axes if a != column)
            before.append(Statement(row, (*state.entry.index[:-1], offset), "=", ex.ONE, axes))
            before.append(
                Statement(weight, (offset, ints.axis(column)), "=", ex.add(*biases), ((column, columns),))
            )
        taken: set[str] = set()
        for p, start in below:
            own = p.weight.tensor
            writers = [w for w in self.statements if w.out == own]
            if (
                writers
                and own not in self.kept
                and own not in taken
                and all(w.scan is None and w.op == "=" for w in writers)
            ):
                moved[own] = (weight, start)
                taken.add(own)
            else:
                left = (start + ints.axis(p.axis), ints.axis(column))
                before.append(Statement(weight, left, "=", p.weight, ((p.axis, p.size), (column, columns))))
        letter = self._letter("r", {*s.ranges, *self.program.sizes})
        entry = Access(row, (*state.entry.index[:-1], ints.axis(letter)))
        body = ex.mul(entry, Access(weight, (ints.axis(letter), ints.axis(column))))
        new = replace(s, op="+=", body=body, axes=(*s.axes, (letter, width)))
        self.told.tell(new, s)
        changed: list[Statement] = []
        loop = next(
            k for k, r in enumerate(self.statements) if r.scan and s.scan and r.scan.loop == s.scan.loop
        )
        for k, r in enumerate(self.statements):
            if k == loop:
                changed += before
            if r == s:  # it may have been written anew with another loop
                changed.append(new)
            elif r not in self.used:
                other = _moved(r, moved)
                self.told.tell(other, r)
                changed.append(other)
        if name in self.kept:
            axes = tuple((f"{'ijklmnop'[k]}_", n) for k, n in enumerate(t.shape))
            index = tuple(ints.axis(a) for a, _ in axes)
            changed.append(Statement(name, index, "=", Access(row, index), axes))
            self.tensors[name] = replace(t, early=())
        self.statements = changed
        rows = [(p.size, start, p.entry) for p, start in below[1:]]
        self._gradients(new, entry, [(state.size, ints.ZERO, entry), *rows], offset if biases else None)

    def _gradients(
        self, s: Statement, entry: Access, rows: list[tuple[Int, Int, Access]], ones: Int | None
    ) -> None:
        """The gradients of what was stacked, each a product with one adjoint over all steps, as one product."""
        found: dict[str, dict[Statement, Int]] = {}
        last = {w.out: k for k, w in enumerate(self.statements)}
        for k, r in enumerate(self.statements):
            match = self._gradient(r, s, rows, ones)
            if match is not None and k > max(last[entry.tensor], last.get(match[0], -1)):
                # both factors are complete: the joint product stands where the first of these stands
                found.setdefault(match[0], {})[r] = match[1]
        for name, starts in found.items():
            if len(starts) < 2:
                continue
            width = self.tensors[entry.tensor].shape[-1]
            joint = self.program.fresh(f"{name}_products", self.tensors)
            self.tensors[joint] = Tensor(joint, (width, s.ranges[s.left[-1].axis or ""]), named=False)
            one = replace(
                s, out=joint, left=(entry.index[-1], s.left[-1]), op="+=", scan=None,
                body=ex.mul(Access(name, s.left), entry),
            )  # fmt: skip
            self.told.tell(one, next(iter(starts)))
            changed: list[Statement] = []
            for r in self.statements:
                if r in starts and one not in changed:
                    changed.append(one)
                changed.append(self._part(r, joint, starts[r]) if r in starts else r)
            self.statements = changed

    def _part(self, r: Statement, joint: str, start: Int) -> Statement:
        """A gradient as rows of the joint product."""
        index = (start, *r.left) if len(r.left) == 1 else (r.left[0] + start, r.left[1])
        axes = tuple((a, n) for a, n in r.axes if a in r.kept)
        alone = sum(w.out == r.out for w in self.statements) == 1  # else it adds to what others write
        new = replace(r, op="=" if alone else "+=", body=Access(joint, index), axes=axes)
        self.told.tell(new, r)
        return new

    def _gradient(
        self, r: Statement, s: Statement, rows: list[tuple[Int, Int, Access]], ones: Int | None
    ) -> tuple[str, Int] | None:
        """The adjoint that a sum over all steps multiplies a stacked entry with, and the first row of that entry."""
        parts = r.body.args if isinstance(r.body, ex.Mul) else (r.body,)
        if r.op != "+=" or r.scan is not None or r.guard is not None or not r.plain or len(parts) > 2:
            return None
        for f in parts:
            if not isinstance(f, Access) or len(f.index) != len(s.left) or self.tensors[f.tensor].early:
                continue
            names = [i.axis for i in f.index]
            if (
                None in names
                or len(set(names)) < len(names)
                or [r.ranges[a or ""] for a in names] != [s.ranges[i.axis or ""] for i in s.left]
            ):
                continue
            if set(r.reduced) != set(names[:-1]) or r.left[-1] != f.index[-1]:
                continue
            values: dict[Atom, IntLike] = {Axis(a or ""): i for a, i in zip(names, s.left, strict=True)}
            others = [g for g in parts if g is not f]
            if not others:
                return (f.tensor, ones) if ones is not None and len(r.left) == 1 else None
            e = others[0]
            if not isinstance(e, Access) or len(r.left) != 2 or e.index[-1] != r.left[0]:
                continue
            place = tuple(i.substitute(values) for i in e.index[:-1])
            for size, start, row in rows:
                if (
                    row.tensor == e.tensor
                    and row.index[:-1] == place
                    and r.ranges[r.left[0].axis or ""] == size
                ):
                    return f.tensor, start
        return None


def _moved(s: Statement, moved: dict[str, tuple[str, Int]]) -> Statement:
    """A statement that reads and writes tensors where they are parts of larger ones."""

    def place(name: str, index: tuple[Int, ...]) -> tuple[str, tuple[Int, ...]]:
        if name not in moved:
            return name, index
        to, start = moved[name]
        return to, index if start == ints.ZERO else (index[0] + start, *index[1:])

    def change(e: object) -> Access | None:
        return Access(*place(e.tensor, e.index)) if isinstance(e, Access) and e.tensor in moved else None

    out, left = place(s.out, s.left)
    guard = None if s.guard is None else ex.rewrite(s.guard, change)
    return replace(s, out=out, left=left, body=ex.rewrite(s.body, change), guard=guard)
