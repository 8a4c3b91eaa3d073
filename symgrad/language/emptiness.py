"""Which axes must have entries: a sum over none is 0, but a mean or a maximum over none has no value; and what is
written at a fixed place, as the start of a recurrence, must have one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Pow, Val
from symgrad.language.ints import Int
from symgrad.language.program import Statement, Tensor

_EXTREMES = {"max=": "maximum", "min=": "minimum"}


def needs(tensors: Mapping[str, Tensor], statements: Sequence[Statement]) -> Iterator[tuple[Int, str]]:
    """Conditions on sizes (must be >= 0) under which statements have a value, each with the sentence if it is not met.

    Example:
        >>> from symgrad.language.reader import read
        >>> list(needs(*(lambda p: (p.tensors, p.statements))(read("x: data[n, k]; loss = sum(mean(x, axis=1))"))))
        [(k - 1, 'the formula takes a mean over k, which has no entries')]
    """
    sums: dict[str, list[Int]] = {}
    for s in statements:
        own = tensors[s.out]
        who = s.out if own.named else s.label or own.label or "the formula"
        reduced = [s.ranges[a] for a in s.reduced]
        for size, what in _needed(s, reduced, sums, tensors):
            if size.number is None and ints.nonnegative(
                size - 1
            ):  # else its range has been looked at already
                yield size - 1, f"{who} {what}, which has no entries"
        place = f"{s.out}[{', '.join(map(str, s.left))}]"
        for i, size in zip(s.left, own.shape, strict=True):
            need = size - 1 - i
            if _fixed(i) and need.number is None and not ints.nonnegative(need):
                yield (
                    need,
                    f"{place} writes position {i} of an axis that has {size} entries (0 to {size - 1})",
                )
        if s.op == "+=" and reduced:
            sums[s.out] = reduced


def _needed(
    s: Statement, reduced: Sequence[Int], sums: Mapping[str, list[Int]], tensors: Mapping[str, Tensor]
) -> Iterator[tuple[Int, str]]:
    """Sizes that must not be 0 for one statement, and why."""
    if s.op in _EXTREMES:
        for size in reduced:
            yield size, f"takes a {_EXTREMES[s.op]} over {size}"
    for e in ex.walk(s.body):
        match e:
            case Pow(Val(size), ex.Num(v)) if v < 0 and not size.axes:
                yield size, f"takes a mean over {size}" if size in reduced else f"divides by {size}"
            case Pow(base, ex.Num(v)) if v < 0 and _summed(base, sums):
                for size in dict.fromkeys(n for x in ex.accesses(base) for n in sums.get(x.tensor, ())):
                    yield size, f"divides by a sum over {size}"
            case Access(name, index):
                for i, size in zip(index, tensors[name].shape, strict=True):
                    if _fixed(i):
                        yield size, f"reads {name} at {i} of {size}"


def _fixed(i: Int) -> bool:
    return not i.axes and not any(isinstance(a, ints.Look) for a in i.atoms())


def _summed(e: ex.Expr, sums: Mapping[str, list[Int]]) -> bool:
    """Whether an expression is a sum, or made of sums alone, and so 0 where they are over nothing."""
    match e:
        case Access(name, _):
            return name in sums
        case ex.Add(args):
            return all(_summed(a, sums) for a in args)
        case ex.Mul(args):
            return any(_summed(a, sums) for a in args)
    return False
