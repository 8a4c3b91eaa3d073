"""Each example with a weight of its own: the program in which its terms of the loss are multiplied by it.

Where the loss is a sum of one term for each example, and of what is no sum over them, such as a penalty on weights,

    loss = sum(n, term[n]) + rest    becomes    loss = sum(n, example_weight[n]*term[n]) + rest

A mean goes on dividing by the number of examples, and a loss by what else it is divided by, such as the sum of class
weights. A weight of 2 is then the same as the example twice in a sum; weights of mean 1 keep the scale of a mean.
(PyTorch's `cross_entropy(..., weight=...)` divides by the sum of the weights instead.)

What is computed of the batch before the terms are, such as the mean and the variance of batch norm, stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from symgrad.chain import partial
from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access
from symgrad.language.ints import Int, Size
from symgrad.language.program import Facts, Program, Statement, Tensor, downstream, needed
from symgrad.passes.examples import called, letter

_ADDS = ("=", "+=")


@dataclass(frozen=True)
class Weighted:
    """Attributes:
    program: with the terms of each example multiplied by its weight.
    name: the data tensor that has the weights, `example_weight` if that was free.
    letter: the size letter of the examples, and of the weights.
    """

    program: Program
    name: str
    letter: str


def weighted(program: Program) -> Weighted:
    """A forward program in which each example has a weight.

    Raises:
        Refusal: no axis of examples is found; examples are compared with each other; the loss is no sum over them.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("x: data[n, i]; y: data[n]; w: weight[i]; loss = sum((x @ w - y)**2)/n + sum(w**2)")
        >>> print(*weighted(p).program.statements[-3:], sep=chr(10))
        loss_2 = sum(n, example_weight[n]*(loss_1[n] - y[n])**2/n)
        loss_3 = sum(i, w[i]**2)
        loss = loss_2 + loss_3
    """
    return _Weighted(program, letter(program)).found()


class _Weighted:
    def __init__(self, program: Program, letter: str):
        self.program, self.letter = program, letter
        self.count = Int((((Size(letter),), 1),))
        self.learned = downstream(program.statements, [t.name for t in program.role("weight")])
        self.leading = _leading(program)
        owned = [s for s in self.leading if self.own(s)]
        # what some term is computed from, so that it is no sum of them
        self.before = {t.out for t in needed(program.statements, [r for s in owned for r in s.reads])}

    def own(self, s: Statement) -> list[str]:
        """The axes of examples in a statement."""
        return [a for a, n in s.axes if n == self.count]

    def found(self) -> Weighted:
        sums = [s for s in self.leading if self.sums(s)]
        while (s := self.bent(sums)) is not None:
            entering = {t.out for t in needed(self.program.statements, s.reads)}
            fixed = [t for t in sums if t.out in entering and t.out not in self.learned]
            if not fixed:
                raise self.refusal(s, "is no sum of terms over the examples")
            sums = [
                t for t in sums if t not in fixed
            ]  # a number of the data, such as what the loss is divided by
        if not any(s.out in self.learned for s in sums):
            raise Refusal(
                f"{self.program.target} is no sum over the examples, the axis {self.letter}, so they have no terms "
                "in it that weights could multiply"
            )
        name = self.program.fresh("example_weight")
        tensors = {**self.program.tensors, name: Tensor(name, (self.count,), "data", Facts(low=Fraction(0)))}
        statements = tuple(
            replace(s, body=ex.mul(Access(name, (ints.axis(self.own(s)[0]),)), s.body)) if s in sums else s
            for s in self.program.statements
        )
        return Weighted(replace(self.program, tensors=tensors, statements=statements), name, self.letter)

    def sums(self, s: Statement) -> bool:
        """Whether a statement adds up terms of examples, of which each is told apart from the others.

        Raises:
            Refusal: in it examples meet elsewhere than in such a sum.
        """
        own = self.own(s)
        if not own:
            if s.out in self.learned and any(self.places(r) for r in s.reads):
                raise self.refusal(s, "treats one example in a way of its own")
            return False
        if s.out in self.learned:
            self.judge(s, own)
        kept = any(i.axis == own[0] for i in s.left)
        if kept or s.out in self.before:
            return False
        if s.op != "+=" or any(own[0] in i.placed for i in s.left):
            if s.out in self.learned:
                raise self.refusal(s, "lets examples compete")
            return False
        return True

    def judge(self, s: Statement, own: list[str]) -> None:
        """Refuse a statement that reads more than one example for one entry."""
        if len(own) > 1 or len(self.places(s.out)) > 1:
            raise self.refusal(s, "compares examples with each other")
        for name, index in s.positions:
            if any(index[k].axis != own[0] for k in self.places(name)):
                raise self.refusal(s, f"reads {called(self.program, name)} of other examples")

    def places(self, name: str) -> list[int]:
        """Where a tensor has the axis of examples."""
        return [k for k, n in enumerate(self.program[name].shape) if n == self.count]

    def bent(self, sums: Iterable[Statement]) -> Statement | None:
        """The first statement on the way to the loss in which a sum over examples does not enter by its value times
        what no such sum changes."""
        moved = [s.out for s in sums]
        moved += downstream(self.program.statements, moved)
        for s in self.leading:
            entering = [] if s in sums else [a for a in ex.accesses(s.body) if a.tensor in moved]
            if entering and s.op not in _ADDS:
                return s
            if any(r in moved for a in entering for r in ex.tensors(partial(s.body, a))):
                return s
        return None

    def refusal(self, s: Statement, does: str) -> Refusal:
        by = f" (of {s.label})" if s.label else ""
        return Refusal(
            f"{called(self.program, s.out)}{by} {does}, so no example has terms of its own in {self.program.target}: "
            f"weights of examples need a loss that is a sum over the axis {self.letter}, each term of one example",
            s.line or None,
        )


def _leading(program: Program) -> list[Statement]:
    """The statements that the target depends on otherwise than through `stop`, in order."""
    reads: dict[str, set[str]] = {}
    for s in program.statements:
        reads.setdefault(s.out, set()).update(a.tensor for a in ex.accesses(s.body, stopped=False))
    todo, found = [program.target], {program.target}
    while todo:
        new = reads.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return [s for s in program.statements if s.out in found]
