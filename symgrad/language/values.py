"""What a formula stands for while a text is read: arrays that know their entries, not their numbers.

An `Array` gives, for a position, the scalar expression of its entry. Operations entry by entry compose these
without writing anything; what needs a statement of its own (a sum, the result of a call) is a `Pending`
array: the statement is written when an entry is first asked for, or takes the user's name when it is the
whole right side of an equation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language.expr import Condition, Expr, Num
from symgrad.language.ints import ONE, ZERO, Int, Look, of
from symgrad.language.syntax import grouped

Positions = tuple[Int, ...]
BITS = 4096  # an exact number in a text has at most so many binary digits


@dataclass(eq=False)
class Array:
    """An array of scalar expressions (or, inside brackets, of conditions).

    Attributes:
        shape: the size of each axis.
        entry: the expression at a position.
        letters: for each axis the letter that a statement would call it by, or "".
        integer: for an array of integers, the same entries as integer expressions.
        tensor: the tensor that it is, if it is one as it stands.
        fixed: the value of a scalar in which no tensor's entry occurs except a scalar constant's.
        narrow: where it only has axes of one entry more than another array: that one, and where they stand.
    """

    shape: tuple[Int, ...]
    entry: Callable[[Positions], Any]
    letters: tuple[str, ...] = ()
    integer: Callable[[Positions], Int] | None = None
    tensor: str = ""
    fixed: Expr | None = None
    narrow: tuple[Array, Sequence[int]] | None = None

    def at(self, position: Positions) -> Any:
        return self.entry(position)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def number(self) -> Fraction | None:
        """The value of a scalar that is a plain number."""
        return ex.number(self.fixed) if self.fixed is not None else None

    @property
    def whole(self) -> Int | None:
        """The value of an integer scalar."""
        return self.integer(()) if self.integer is not None and not self.shape else None


@dataclass(eq=False)
class Pending(Array):
    """An array whose entries are the result of one statement that is not written yet.

    Attributes:
        op: the statement's operation.
        body: for positions of the result, the statement's body and its guard.
        reduced: the axes that are reduced away.
        guards: conditions that hold around the place where it was written.
        ties: who gets the adjoint of a maximum.
        label: the call that it is the result of.
        written: whether it has been lifted into a statement.
    """

    op: str = "="
    body: Callable[[Positions], tuple[Expr, Condition | None]] = field(default=lambda _: (ex.ZERO, None))
    reduced: tuple[str, ...] = ()
    guards: tuple[Condition, ...] = ()
    ties: str = "shared"
    label: str = ""
    written: bool = False


def shown(shape: Sequence[Int]) -> str:
    """A shape for a message: `[n, 3]`, or "a scalar"."""
    return f"[{', '.join(map(str, shape))}]" if shape else "a scalar"


def real(x: Int) -> Expr:
    """An integer expression as a real one, in which each size, index or label is an atom."""
    return ex.add(*(ex.mul(c, *(ex.val(a) for a in monomial)) for monomial, c in x.terms))


def scalar(e: Expr) -> Array:
    """A scalar without tensor entries."""
    if isinstance(e, Num):
        top, bottom = e.value.numerator.bit_length(), e.value.denominator.bit_length()
        if max(top, bottom) > BITS:
            raise Refusal("this number has too many digits to be kept exactly")
        if top - bottom > 1020:
            raise Refusal("this number is too large: the largest are about 1e307")
        if bottom - top > 1020:
            raise Refusal("this number is too small: the smallest above 0 are about 1e-307")
    whole = of(int(e.value)) if isinstance(e, Num) and e.value.denominator == 1 else None
    return Array((), lambda _: e, integer=None if whole is None else lambda _: whole, fixed=e)


def integer(x: Int) -> Array:
    """An integer scalar: a number, a size, or a running index (which is no fixed value)."""
    value = real(x)
    closed = not x.axes and not any(isinstance(a, Look) for a in x.atoms())
    return Array((), lambda _: value, integer=lambda _: x, fixed=value if closed else None)


def broadcast(args: Sequence[Array], texts: Sequence[str]) -> tuple[tuple[Int, ...], tuple[str, ...]]:
    """The common shape of arrays, aligned from the right, and its letters."""
    rank = max((a.rank for a in args), default=0)
    shape, letters = [ONE] * rank, [""] * rank
    owner = [-1] * rank
    for k, a in enumerate(args):
        for d in range(a.rank):
            p = rank - a.rank + d
            n, letter = a.shape[d], a.letters[d] if a.letters else ""
            if shape[p] == ONE and n != ONE:
                shape[p], letters[p], owner[p] = n, letter, k
            elif n not in (ONE, shape[p]):
                first = args[owner[p]]
                raise Refusal(
                    f"{texts[owner[p]]} is {shown(first.shape)} and {texts[k]} is {shown(a.shape)}: "
                    "aligned from the "
                    f"right, the sizes {shape[p]} and {n} "
                    f"differ{_way_out(first, a, texts[owner[p]], texts[k])}"
                )
            letters[p] = letters[p] or letter
    return tuple(shape), tuple(letters)


def _way_out(a: Array, b: Array, first: str, second: str) -> str:
    first, second = grouped(first), grouped(second)
    if b.rank and a.rank and b.rank <= 2 and a.shape[-1] == b.shape[0]:
        return f"; {first} @ {second} would fit"
    if a.rank == 2 and b.rank == 1 and a.shape[0] == b.shape[0]:
        return f"; {second}[:, None] would repeat {second} along the columns of {first}"
    if b.rank == 2 and a.rank == 1 and b.shape[0] == a.shape[0]:
        return f"; {first}[:, None] would repeat {first} along the columns of {second}"
    if a.rank == b.rank == 2 and a.shape == b.shape[::-1]:
        return f"; {second}.T would fit"
    return "; make the sizes agree, or write the equation with indices"


def aligned(a: Array, shape: tuple[Int, ...], position: Positions) -> Positions:
    """The position in `a` that goes with a position in the common shape: a literal 1 is repeated."""
    skip = len(shape) - a.rank
    return tuple(
        ZERO if n == ONE else position[skip + d] if shape[skip + d] != ONE else ZERO
        for d, n in enumerate(a.shape)
    )


def elementwise(
    function: Callable[..., Any],
    *args: Array,
    texts: Sequence[str] = (),
    whole: Callable[..., Int] | None = None,
) -> Array:
    """A scalar function entry by entry; `whole` is the same function of integers, where it has one."""
    if all(a.fixed is not None for a in args):
        return _fixed(function, args, whole)
    shape, letters = broadcast(args, texts or ["the first part", *["another part"] * len(args)])

    def entry(position: Positions) -> Any:
        return function(*(a.at(aligned(a, shape, position)) for a in args))

    def integers(position: Positions) -> Int:
        assert whole is not None
        return whole(*(a.integer(aligned(a, shape, position)) for a in args))  # type: ignore[misc]

    exact = whole is not None and all(a.integer is not None for a in args)
    return Array(shape, entry, letters, integers if exact else None)


def _fixed(function: Callable[..., Any], args: Sequence[Array], whole: Callable[..., Int] | None) -> Array:
    e: Any = function(*(a.fixed for a in args))
    if isinstance(e, (ex.Cmp, ex.Logic)):
        return Array((), lambda _: e)
    out = scalar(e)
    if whole is not None and out.integer is None and all(a.integer is not None for a in args):
        x = whole(*(a.whole for a in args))
        out.integer = lambda _: x
    return out


def inner(a: Array, position: Positions) -> Expr:
    """An entry as it stands inside brackets: an integer as one expression."""
    return ex.val(a.integer(position)) if a.integer is not None else a.at(position)


def widened(a: Array, at: Sequence[int]) -> Array:
    """The array with axes of one entry put in, so that they stand at these places of the result."""
    rank = a.rank + len(at)
    kept = [d for d in range(rank) if d not in at]
    sizes, names = (
        dict(zip(kept, a.shape, strict=True)),
        dict(zip(kept, a.letters or ("",) * a.rank, strict=True)),
    )
    whole = a.integer

    def inside(position: Positions) -> Positions:
        return tuple(position[d] for d in kept)

    return Array(
        tuple(sizes.get(d, ONE) for d in range(rank)),
        lambda p: a.at(inside(p)),
        tuple(names.get(d, "") for d in range(rank)),
        None if whole is None else lambda p: whole(inside(p)),
        narrow=(a, at),
    )


def permuted(a: Array, order: Sequence[int]) -> Array:
    """The array with its axes in another order."""
    letters = a.letters or ("",) * a.rank
    back = [list(order).index(k) for k in range(a.rank)]
    return Array(
        tuple(a.shape[k] for k in order),
        lambda p: a.at(tuple(p[k] for k in back)),
        tuple(letters[k] for k in order),
    )
