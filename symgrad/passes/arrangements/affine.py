"""An affine map by small tensors that only contractions read, folded into what they contract with.

`a[n, k] = g[k]*z[n, k] + b[k]`, read by `h[n, j] = sum(k, a[n, k]*W[k, j])`, is `sum(k, z[n, k]*(g[k]*W[k, j]))` and,
beside it, `sum(k, b[k]*W[k, j])`, which no example has a part in: the scale and shift of a norm cost as much as a pass
over a weight. The gradients of g and b then come from that of the folded weight, and no product goes back to z where
nothing before it is differentiated by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.program import Program, Readings, Statement, Tensor
from symgrad.language.trace import Step
from symgrad.passes.forms import Bound, match_index, placed, terms
from symgrad.passes.stable import pure


@dataclass
class _Reader:
    """A sum of products of one entry of the tensor and other factors; `bound` has its letters for the tensor's."""

    statement: Statement
    entry: Access
    others: Expr
    bound: Bound

    def contracted(self, axis: str) -> bool:
        letter = self.bound[axis].axis
        return letter is not None and letter in self.statement.reduced


@dataclass
class _Form:
    """`scale*core + shift`."""

    scale: Expr
    core: Expr
    shift: Expr


def affine(program: Program) -> tuple[Program, list[Step]]:
    """Fold each affine map by small tensors into the contractions that read it, where that touches fewer entries.

    Example:
        >>> from symgrad.language.reader import read
        >>> text = "z: data[n, 9]; g: weight[9]; b: weight[9]; W: weight[9, 4]; a = g*z + b; h = a @ W; loss = sum(h)"
        >>> for s in affine(read(text))[0].statements[1:-1]:
        ...     print(s)
        W_scaled[k, j] = g[k]*W[k, j]
        h_core[n, j] = sum(k, z[n, k]*W_scaled[k, j])
        h_shift[j] = sum(k, b[k]*W[k, j])
        h[n, j] = h_core[n, j] + h_shift[j]
    """
    steps: list[Step] = []
    tensors = dict(program.tensors)
    put: dict[int, tuple[Statement, ...]] = {}  # what stands in the place of a statement, by its id
    reading = Readings(program.statements)
    for s in program.statements:
        readers = _readers(s, program, reading.of(s.out)) if pure(s, program) else []
        form = _form(s, readers) if readers else None
        if form is None or not _cheaper(s, form, readers):
            continue
        core = form.core
        if not isinstance(core, Access):
            name = program.fresh(f"{s.out}_core", tensors)
            tensors[name] = Tensor(name, program[s.out].shape, named=False, label=s.label)
            put[id(s)] = (replace(s, out=name, body=core), s)
            reading.put(s, put[id(s)])
            core = Access(name, s.left)
        for r in readers:
            new = _folded(r, replace(form, core=core), program, tensors)
            reason = (
                f"The scale and shift of {s.out} have no axis that {r.statement.out} keeps of it, so they join what "
                "it is multiplied with."
            )
            steps.append(Step(0, "fold", new, before=(r.statement,), reason=reason))
            put[id(r.statement)] = new
            reading.put(r.statement, new)
    statements = tuple(t for s in program.statements for t in _placed(s, put))
    return replace(program, tensors=tensors, statements=statements), steps


def _placed(s: Statement, put: Mapping[int, tuple[Statement, ...]]) -> Iterator[Statement]:
    """What stands in the place of a statement, and in the places of that."""
    for t in put.get(id(s), (s,)):
        if t is s:
            yield s
        else:
            yield from _placed(t, put)


def _readers(s: Statement, program: Program, readers: Iterable[Statement]) -> list[_Reader]:
    """What reads a tensor, if all of it are sums of products with one entry of it; else nothing."""
    found = []
    for r in readers:
        parts = r.body.args if isinstance(r.body, ex.Mul) else (r.body,)
        own = [f for f in parts if isinstance(f, Access) and f.tensor == s.out]
        others = ex.mul(*(f for f in parts if f not in own))
        masked = any(isinstance(f, ex.Bracket) for f in parts)
        if not _sums(r, program) or len(own) != 1 or s.out in ex.tensors(others) or masked:
            return []
        bound = match_index(s.left, own[0].index, {})
        if bound is None:
            return []
        found.append(_Reader(r, own[0], others, bound))
    return found


def _sums(r: Statement, program: Program) -> bool:
    """Whether a statement alone gives its tensor, everywhere, as a sum."""
    whole = r.plain and tuple(r.ranges[a] for a in r.kept) == program[r.out].shape
    return r.op == "+=" and whole and r.guard is None and r.scan is None and len(program.writers(r.out)) == 1


def _form(s: Statement, readers: list[_Reader]) -> _Form | None:
    """A body as an affine map by what has only axes that every reader contracts over, if it is one."""
    over = {a for a in s.kept if all(r.contracted(a) for r in readers)}

    def small(e: Expr) -> bool:
        return bool(ex.axes(e)) and set(ex.axes(e)) <= over

    if not over or len(over) == len(s.kept):
        return None
    parts = terms(s.body)
    wide = [t for t in parts if not small(t)]
    scales = {ex.mul(*(f for f in _factors(t) if small(f))) for t in wide}
    if len(scales) != 1:
        return None
    scale = scales.pop()
    core = ex.add(*(ex.mul(*(f for f in _factors(t) if not small(f))) for t in wide))
    shift = ex.add(*(t for t in parts if small(t)))
    return None if scale == ex.ONE and shift == ex.ZERO else _Form(scale, core, shift)


def _factors(e: Expr) -> tuple[Expr, ...]:
    return e.args if isinstance(e, ex.Mul) else (e,)


def _cheaper(s: Statement, form: _Form, readers: list[_Reader]) -> bool:
    """Whether fewer entries are touched, forward and back: about one pass for each operation and its derivatives."""
    before = after = 0
    for part, passes in ((form.scale, 4), (form.shift, 2)):
        if part not in (ex.ONE, ex.ZERO):
            before += passes * _count(s, s.kept)
            for r in readers:
                joined = ex.axes(ex.mul(placed(part, r.bound), r.others))
                after += passes * _count(r.statement, joined)
    if form.shift != ex.ZERO:
        after += sum(_count(r.statement, r.statement.kept) for r in readers)
    return after < before


def _count(s: Statement, axes: Iterable[str]) -> int:
    """How many entries these axes have."""
    return ints.about(s.ranges[a] for a in axes)


def _folded(r: _Reader, form: _Form, program: Program, tensors: dict[str, Tensor]) -> tuple[Statement, ...]:
    """A reader as a contraction of the core, and what the shift adds."""
    s, made = r.statement, []
    core, others = placed(form.core, r.bound), r.others

    def tensor(stem: str, axes: tuple[str, ...]) -> Access:
        name = program.fresh(stem, tensors)
        tensors[name] = Tensor(name, tuple(s.ranges[a] for a in axes), named=False, label=s.label)
        return Access(name, tuple(map(ints.axis, axes)))

    def write(entry: Access, op: str, body: Expr) -> None:
        letters = dict.fromkeys((*(i.axis for i in entry.index), *ex.axes(body)))
        axes = tuple((a, n) for a, n in s.axes if a in letters)
        made.append(replace(s, out=entry.tensor, left=entry.index, op=op, body=body, axes=axes))

    if form.scale != ex.ONE:
        scaled = ex.mul(placed(form.scale, r.bound), others)
        weights = ex.tensors(others)
        stem = f"{weights[0]}_scaled" if len(weights) == 1 else f"{s.out}_scaled"
        entry = tensor(
            stem, ex.axes(others) if set(ex.axes(scaled)) == set(ex.axes(others)) else ex.axes(scaled)
        )
        write(entry, "=", scaled)
        others = entry
    if form.shift == ex.ZERO:
        made.append(replace(s, body=ex.mul(core, others)))
        return tuple(made)
    alone = tensor(f"{s.out}_core", s.kept)
    made.append(replace(s, out=alone.tensor, left=alone.index, body=ex.mul(core, others)))
    shift = ex.mul(placed(form.shift, r.bound), r.others)
    entry = tensor(f"{s.out}_shift", tuple(a for a in ex.axes(shift) if a in s.kept))
    sizes = [ex.val(n) for a, n in s.axes if a in s.reduced and a not in ex.axes(shift)]
    write(entry, "+=", ex.mul(*sizes, shift))
    made.append(replace(s, op="=", body=ex.add(alone, entry), axes=tuple((a, s.ranges[a]) for a in s.kept)))
    return tuple(made)
