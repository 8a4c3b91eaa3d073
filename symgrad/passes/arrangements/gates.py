"""Activations of a loop: each computed once, sigmoids by tanh, and those of one tensor's slices joined.

`sigmoid(a)` is `(1 + tanh(a/2))/2`: where a loop has sigmoids and tanhs of neighbouring slices of one tensor, as an
LSTM's gates are, one tanh of the whole tensor does, once its slices are scaled. The scale is put into the weights that
the tensor is made with, outside of the loop. What it costs is that values near 0 are exact to a rounding of 1, so it is
only done where a sigmoid is multiplied and added.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.ints import Int
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.trace import Step

_CALLS = ("tanh", "sigmoid")
_HALF = Fraction(1, 2)


def gates(program: Program) -> tuple[Program, list[Step]]:
    """Lift the calls of loops into tensors of their own, and compute sigmoids by one tanh with their neighbours."""
    work = _Work(program)
    for s in program.statements:
        if s.scan is not None:
            work.lift(s)
    looped = {s.out for s in work.statements if s.scan is not None}
    for name in [n for n in work.tensors if n in looped]:
        work.join(name)
    return replace(program, tensors=work.tensors, statements=tuple(work.statements)), work.steps


@dataclass(frozen=True)
class _Slice:
    """A part of a tensor along one axis that a function is taken of: the statement that takes it."""

    start: Int
    length: Int
    function: str
    statement: Statement


@dataclass
class _Work:
    program: Program
    tensors: dict[str, Tensor] = field(init=False)
    statements: list[Statement] = field(init=False)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors, self.statements = dict(self.program.tensors), list(self.program.statements)

    # ---- one tensor for each call, and for what it is taken of

    def lift(self, s: Statement) -> None:
        """Give each call inside a body of a loop, and what it is taken of, a tensor of its own."""
        masked = any(isinstance(e, (ex.Bracket, ex.Stop)) for e in ex.walk(s.body))
        if s.op != "=" or s.guard is not None or masked or not s.kept or s.reduced:
            return
        made: list[Statement] = []

        def change(e: object) -> Expr | None:
            if not isinstance(e, ex.Call) or e.name not in _CALLS:
                return None
            new = e
            if not isinstance(e.args[0], Access):
                new = ex.Call(e.name, (self._tensor(s, e.args[0], "before", made),))
            return new if e == s.body else self._tensor(s, new, e.name, made)

        body = ex.rewrite(s.body, change, bottom_up=True)
        if body == s.body:
            return
        new = replace(s, body=body)
        at = self.statements.index(s)
        self.statements[at : at + 1] = [*made, new]
        self.steps.append(
            Step(
                0,
                "stable",
                (*made, new),
                before=(s,),
                reason="What a step computes is kept for the way back.",
            )
        )

    def _tensor(self, s: Statement, e: Expr, stem: str, made: list[Statement]) -> Access:
        assert s.scan is not None
        needs = {s.scan.axis, *ex.axes(e)}
        axes = tuple((a, n) for a, n in s.axes if a in needs)
        left = tuple(ints.axis(a) for a, _ in axes)
        for t in (*made, *self.statements):
            if t.body == e and t.left == left and t.axes == axes and t.scan == s.scan and t.op == "=":
                return Access(t.out, left)
        name = self.program.fresh(f"{s.out}_{stem}", self.tensors)
        self.tensors[name] = Tensor(name, tuple(n for _, n in axes), named=False, label=s.label)
        made.append(replace(s, out=name, left=left, body=e, axes=axes))
        return Access(name, left)

    # ---- sigmoids by tanh

    def join(self, name: str) -> None:
        """Compute the sigmoids and tanhs of a tensor's slices as one tanh of the tensor, scaled."""
        writers = [s for s in self.statements if s.out == name]
        if len(writers) != 1 or not self._pure(writers[0]) or writers[0].scan is None:
            return
        (writer,) = writers
        for place in range(len(writer.left)):
            slices = self._slices(name, place)
            if slices and any(p.function == "sigmoid" for p in slices):
                self._joined(writer, place, slices)
                return

    def _pure(self, s: Statement) -> bool:
        whole = s.plain and tuple(s.ranges[a] for a in s.kept) == self.tensors[s.out].shape
        return s.op == "=" and whole and s.guard is None and not s.reduced

    def _slices(self, name: str, place: int) -> list[_Slice] | None:
        """The calls of a tensor, if they are of slices along one axis that make up the whole of it."""
        found: list[_Slice] = []
        for s in self.statements:
            if name not in s.reads:
                continue
            body = s.body
            if not isinstance(body, ex.Call) or body.name not in _CALLS or not self._pure(s):
                return None
            if self.tensors[s.out].early or any(w.out == s.out and w is not s for w in self.statements):
                return None  # a state with a start of its own, which no tanh gives
            (entry,) = body.args
            if not isinstance(entry, Access) or len(entry.index) != len(s.left):
                return None
            if any(i != j for k, (i, j) in enumerate(zip(entry.index, s.left, strict=True)) if k != place):
                return None
            start = entry.index[place] - s.left[place]
            if start.axes or s.scan is None or s.left[place].axis == s.scan.axis:
                return None
            parts = (
                self._read(s, place)
                if body.name == "sigmoid"
                else [(ints.ZERO, self.tensors[s.out].shape[place])]
            )
            if parts is None:
                return None
            found += [_Slice(start + a, n, body.name, s) for a, n in parts]
        ordered: list[_Slice] = []
        end = ints.ZERO
        while end != self.tensors[name].shape[place]:
            following = next((p for p in found if p.start == end), None)
            if following is None:
                return None
            found.remove(following)
            ordered.append(following)
            end = end + following.length
        return ordered if not found else None

    def _read(self, s: Statement, place: int) -> list[tuple[Int, Int]] | None:
        """The slices of what a statement computes that are read, if only as factors and terms of arithmetic."""
        found: dict[tuple[Int, Int], None] = {}
        for r in self.statements:
            if s.out not in r.reads:
                continue
            if r.guard is not None and s.out in ex.tensors(r.guard) or not _arithmetic(r.body, s.out):
                return None
            for e in ex.accesses(r.body):
                if e.tensor != s.out:
                    continue
                i = e.index[place]
                if len(i.axes) != 1 or i.coefficient(i.axes[0]) != ints.ONE:
                    return None
                found[i - ints.axis(i.axes[0]), r.ranges[i.axes[0]]] = None
        return list(found)

    def _joined(self, writer: Statement, place: int, slices: list[_Slice]) -> None:
        """Rewrite a tensor and its slices: scaled, one tanh, and the sigmoids from it."""
        name, shape = writer.out, self.tensors[writer.out].shape
        letter = writer.left[place].axis
        assert letter is not None
        before: list[Statement] = []
        scale = self._scale(name, slices, shape[place], letter, before)
        scaled = self._scaled(writer, letter, scale, before)
        if scaled is None:
            first = replace(writer, body=ex.mul(scale, writer.body))
            made = [first]
        else:
            made = scaled
        inner = self.program.fresh(f"{name}_scaled", self.tensors)
        self.tensors[inner] = Tensor(inner, shape, named=False, label=writer.label)
        made[-1] = replace(made[-1], out=inner)
        outer = self.program.fresh(f"{name}_tanh", self.tensors)
        self.tensors[outer] = Tensor(outer, shape, named=False, label=writer.label)
        joint = replace(writer, out=outer, body=ex.call("tanh", Access(inner, writer.left)))
        parts: list[Statement] = []
        places: dict[str, tuple[str, Int]] = {}
        for p in slices:
            own = p.statement.out
            if p.function == "tanh":
                places[own] = (outer, p.start)
        for p in _merged([p for p in slices if p.function == "sigmoid"]):
            own = p.statement.out
            if own not in places:
                twin = self.program.fresh(f"{own}_by_tanh", self.tensors)
                self.tensors[twin] = replace(self.tensors[own], name=twin, named=False)
                places[own] = (twin, ints.ZERO)
            offset = p.start - _start(p.statement, place)
            left = tuple(ints.axis(letter) + offset if k == place else i for k, i in enumerate(writer.left))
            entry = tuple(ints.axis(letter) + p.start if k == place else i for k, i in enumerate(writer.left))
            body = ex.mul(_HALF, ex.add(1, Access(outer, entry)))
            axes = tuple((a, p.length if a == letter else n) for a, n in writer.axes)
            parts.append(replace(writer, out=places[own][0], left=left, body=body, axes=axes))

        def change(e: object) -> Access | None:
            if not isinstance(e, Access) or e.tensor not in places:
                return None
            to, start = places[e.tensor]
            return Access(to, tuple(i + start if k == place else i for k, i in enumerate(e.index)))

        statements: list[Statement] = []
        at = self.statements.index(writer)
        loop = min(k for k, s in enumerate(self.statements) if s.scan and s.scan.loop == writer.scan.loop)  # type: ignore[union-attr]
        for k, s in enumerate(self.statements):
            if k == loop:
                statements += before
            if k == at:
                statements += [*made, joint, *parts]
            statements.append(replace(s, body=ex.rewrite(s.body, change)))
        self.statements = statements
        told = "A sigmoid is half of 1 and the tanh of half its argument, so one tanh serves all slices."
        self.steps.append(Step(0, "stable", (*before, *made, joint, *parts), before=(writer,), reason=told))

    def _scale(
        self, name: str, slices: list[_Slice], length: Int, letter: str, before: list[Statement]
    ) -> Expr:
        """What each entry is multiplied by: a number if all are the same, else a small tensor."""
        if all(p.function == "sigmoid" for p in slices):
            return ex.Num(_HALF)
        scale = self.program.fresh(f"{name}_scale", self.tensors)
        self.tensors[scale] = Tensor(scale, (length,), named=False)
        for p in _merged(slices):
            value = ex.Num(_HALF) if p.function == "sigmoid" else ex.ONE
            left = (ints.axis(letter) + p.start,)
            before.append(Statement(scale, left, "=", value, ((letter, p.length),)))
        return Access(scale, (ints.axis(letter),))

    def _scaled(
        self, s: Statement, letter: str, scale: Expr, before: list[Statement]
    ) -> list[Statement] | None:
        """Statements that compute `scale` times what `s` does, with the scale in small tensors; None if they cannot."""
        made: list[Statement] = []
        body = self._pushed(s, letter, scale, before, made)
        if body is None:
            return None
        return [*made, replace(s, body=body)]

    def _pushed(
        self, s: Statement, letter: str, scale: Expr, before: list[Statement], made: list[Statement]
    ) -> Expr | None:
        """A body times the scale."""
        summed: list[Expr] = []
        for t in s.body.args if isinstance(s.body, ex.Add) else (s.body,):
            factors = t.args if isinstance(t, ex.Mul) else (t,)
            for f in sorted(factors, key=lambda f: len(ex.axes(f))):
                if letter in ex.axes(f) or not ex.axes(scale):
                    new = self._factor(f, s, letter, scale, before, made)
                    if new is not None:
                        summed.append(ex.mul(*(new if g is f else g for g in factors)))
                        break
            else:
                return None
        return ex.add(*summed)

    def _factor(
        self, f: Expr, s: Statement, letter: str, scale: Expr, before: list[Statement], made: list[Statement]
    ) -> Expr | None:
        """A factor times the scale, if that can be had outside of loops: a weight, or what is made with one."""
        if not isinstance(f, Access) or any(i.axis is None for i in f.index):
            return None
        axes = tuple(i.axis or "" for i in f.index)
        shape = self.tensors[f.tensor].shape
        if len(set(axes)) < len(axes) or any(s.ranges[a] != n for a, n in zip(axes, shape, strict=True)):
            return None
        writers = [w for w in self.statements if w.out == f.tensor]
        steps = s.scan.axis if s.scan is not None else ""
        if not writers and self.tensors[f.tensor].role in ("weight", "constant") and steps not in axes:
            name = self.program.fresh(f"{f.tensor}_scaled", self.tensors)
            self.tensors[name] = Tensor(name, shape, named=False)
            ranges = tuple((a, s.ranges[a]) for a in axes)
            own = Statement(name, f.index, "=", ex.mul(scale, f), ranges, line=s.line, label=s.label)
            before.append(own)
            return Access(name, f.index)
        readers = [r for r in self.statements if f.tensor in r.reads]
        if len(writers) != 1 or len(readers) != 1 or self.tensors[f.tensor].named:
            return None
        (w,) = writers
        if (
            not w.plain
            or w.guard is not None
            or w.op not in ("=", "+=")
            or any(t.early for t in [self.tensors[w.out]])
        ):
            return None
        names = dict(zip((i.axis or "" for i in w.left), axes, strict=True))
        spare = {a: f"{a}_" for a, _ in w.axes if a not in names and a in axes}
        w = w.rename({**names, **spare})
        if w.op == "+=" and isinstance(w.body, ex.Add):
            return None
        lines: list[Statement] = []
        body = self._pushed(w, letter, scale, before, lines)
        if body is None:
            return None
        name = self.program.fresh(f"{f.tensor}_scaled", self.tensors)
        self.tensors[name] = replace(self.tensors[f.tensor], name=name, named=False)
        new = replace(w, out=name, body=body)
        (made if w.scan is not None else before).extend([*lines, new])
        return Access(name, f.index)


def _start(s: Statement, place: int) -> Int:
    """Where in its argument a statement's slice begins."""
    assert isinstance(s.body, ex.Call)
    (entry,) = s.body.args
    assert isinstance(entry, Access)
    return entry.index[place] - s.left[place]


def _merged(slices: list[_Slice]) -> list[_Slice]:
    """Neighbours of one function as one."""
    found: list[_Slice] = []
    for p in slices:
        last = found[-1] if found else None
        same = last and last.function == p.function and last.start + last.length == p.start
        if last and same and (last.statement is p.statement or p.function == "tanh"):
            found[-1] = replace(last, length=last.length + p.length)
        else:
            found.append(p)
    return found


def _arithmetic(e: Expr, name: str) -> bool:
    """Whether an expression only adds and multiplies what it reads of a tensor, or takes what is flat enough of it."""
    if isinstance(e, (ex.Add, ex.Mul)) or isinstance(e, ex.Call) and e.name in _CALLS:
        return all(_arithmetic(a, name) for a in e.args)
    return isinstance(e, Access) or name not in ex.tensors(e)
