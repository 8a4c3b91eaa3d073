"""The share that some of the examples have in a sum over all: one program for a whole batch and for a part of it.

Where examples meet only in sums, a result is the sum of the results of parts of the batch. In the program of a part the
axis of the examples has `rows` places, and the letter n stays the size of the whole batch, which a mean divides by.
What all parts would compute alike, such as a penalty on weights, enters a sum by the part `rows/n`.

So batches can be taken in tiles that fit a cache, in micro-batches that fit a memory, and by several threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Add, Expr, Mul, Stop
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int, Size
from symgrad.language.program import Program, Statement
from symgrad.passes.examples import called, letter


@dataclass(frozen=True)
class Share:
    """A program for a part of the batch.

    Attributes:
        program: with `rows` as the length of the axis of examples.
        statements: those of the list that was given, each in its new form and in the same order.
        rows: the size letter of the part.
        count: that of the whole batch.
        places: for each input that has the axis of examples, where.
    """

    program: Program
    statements: tuple[Statement, ...]
    rows: str
    count: str
    places: dict[str, int]


def share(program: Program, statements: Sequence[Statement], results: Iterable[str]) -> Share:
    """The program of a part of the batch: the sum of its `results` over parts is that of the whole.

    Raises:
        Refusal: no axis of examples is found, or examples meet elsewhere than in sums.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("x: data[n, i]\\nw: weight[i]\\nloss = sum((x @ w)**2)/n + sum(w**2)")
        >>> print(*share(p, p.statements, ["loss"]).statements[-1:])
        loss = loss_2 + rows*loss_3/n
    """
    return _Shares(program, tuple(statements), tuple(results), letter(program)).found()


class _Shares:
    """Which tensors have a place for each example, and which are sums over them; all others are the same for all."""

    def __init__(
        self, program: Program, statements: tuple[Statement, ...], results: tuple[str, ...], letter: str
    ):
        self.program, self.statements, self.letter = program, statements, letter
        self.count = ints.of(Size(letter))
        self.rows = program.fresh("rows")
        self.part = ex.mul(ex.val(ints.size(self.rows)), ex.power(ex.val(self.count), -1))
        self.sums: set[str] = set(results)

    def places(self, name: str) -> list[int]:
        """Where a tensor has the axis of examples."""
        return [k for k, n in enumerate(self.program[name].shape) if n == self.count]

    def found(self) -> Share:
        for name in self.sums:
            if self.places(name):
                raise Refusal(
                    f"{name} has the axis {self.letter} of the examples itself, so it is no sum over them"
                )
        known = -1
        while len(self.sums) > known:  # in a loop, a statement reads what a later one writes
            known = len(self.sums)
            for s in self.statements:
                own = self.own(s)
                if not self.kept(s, own) if own else self.reads_sums(s):
                    self.sums.add(s.out)
        changed = tuple(map(self.changed, self.statements))
        tensors = {
            name: replace(t, shape=tuple(self.resized(n) for n in t.shape)) if self.places(name) else t
            for name, t in self.program.tensors.items()
        }
        program = replace(self.program, tensors=tensors, sizes=(*self.program.sizes, self.rows))
        new = dict(zip(self.statements, changed, strict=True))
        program = replace(program, statements=tuple(new.get(s, s) for s in self.program.statements))
        inputs = [t.name for t in self.program.inputs if self.places(t.name)]
        return Share(
            program, changed, self.rows, self.letter, {name: self.places(name)[0] for name in inputs}
        )

    def resized(self, n: Int) -> Int:
        return ints.size(self.rows) if n == self.count else n

    def own(self, s: Statement) -> str | None:
        """The axis of examples in a statement."""
        return next((a for a, n in s.axes if n == self.count), None)

    def kept(self, s: Statement, own: str) -> bool:
        """Whether what is written has a place for each example; a place that a label tells is none."""
        return any(own in i.placed for i in s.left)

    def reads_sums(self, s: Statement) -> bool:
        return any(r in self.sums for r in s.reads)

    def changed(self, s: Statement) -> Statement:
        """A statement of the part.

        Raises:
            Refusal: in it examples meet elsewhere than in sums.
        """
        own = self.own(s)
        self.judge(s, own)
        axes = tuple((a, self.resized(n)) for a, n in s.axes)
        body = s.body
        if own is None and s.out in self.sums:
            if s.op not in ("=", "+="):
                raise self.refusal(s, "is no sum of terms over the examples")
            body = self.shared(s, body)
        return replace(s, axes=axes, body=body)

    def judge(self, s: Statement, own: str | None) -> None:
        """Refuse a statement in which examples meet elsewhere than in sums."""
        if sum(n == self.count for _, n in s.axes) > 1 or len(self.places(s.out)) > 1:
            raise self.refusal(s, "compares examples with each other")
        lengths = [n for _, n in s.axes if n != self.count]
        lengths += [n for name in (s.out, *s.reads) for n in self.program[name].shape if n != self.count]
        if any(Size(self.letter) in n.atoms() for n in lengths) or s.scan is not None and s.scan.axis == own:
            raise self.refusal(s, "puts the examples in an order")
        inside = [s.body] if s.guard is None else [s.body, s.guard]
        numbers = [x.int for e in inside for x in ex.walk(e) if isinstance(x, ex.Val)]
        for name, index in s.positions:
            at = self.places(name)
            if any(index[k].axis != own or own is None for k in at):
                raise self.refusal(s, f"reads {called(self.program, name)} of other examples")
            if own and any(own in i.placed for k, i in enumerate(index) if k not in at):
                raise self.refusal(s, "depends on the place of an example in the batch")
        if own and any(own in i.placed for i in numbers):
            raise self.refusal(s, "depends on the place of an example in the batch")
        met = next((r for r in s.reads if r in self.sums), None)
        if own and met:
            raise self.refusal(s, f"reads {called(self.program, met)}, which depends on all examples")
        if own and self.kept(s, own):
            at = self.places(s.out)
            if [k for k, i in enumerate(s.left) if own in i.placed] != at or s.left[at[0]].axis != own:
                raise self.refusal(s, "depends on the place of an example in the batch")
        elif own and (s.op != "+=" or s.op in IMPLICIT):
            raise self.refusal(s, "lets examples compete")
        elif not own and self.places(s.out):
            raise self.refusal(s, "treats one example in a way of its own")
        if met and s.guard is not None and any(r in self.sums for r in ex.tensors(s.guard)):
            raise self.refusal(s, "is no sum of terms over the examples")

    def shared(self, s: Statement, e: Expr) -> Expr:
        """What a part adds to a sum: terms without one are the same for all parts."""
        if not any(t in self.sums for t in ex.tensors(e)):
            return ex.mul(self.part, e)
        match e:
            case Access():
                return e
            case Add(args):
                return ex.add(*(self.shared(s, a) for a in args))
            case Mul(args):
                meeting = [a for a in args if any(t in self.sums for t in ex.tensors(a))]
                if len(meeting) == 1:
                    return ex.mul(*(self.shared(s, a) if a is meeting[0] else a for a in args))
            case Stop(arg, kind):
                return Stop(self.shared(s, arg), kind)
        raise self.refusal(s, "is no sum of terms over the examples")

    def refusal(self, s: Statement, does: str) -> Refusal:
        by = f" (of {s.label})" if s.label else ""
        return Refusal(
            f"{called(self.program, s.out)}{by} {does}, so the batch cannot be split: "
            "tiles, threads and micro-batches need a loss in which examples meet in sums only",
            s.line or None,
        )
