"""How far an index runs, and whether what it reads is there.

Ranges come from bare places (`x[n, i]`), which must agree; from what is given (`p < 3`); or, for a letter
that has neither, from compound places (`x[2*i + p]`), which may shorten it, or else from a comparison with a label
(`[t[n] == k]`). While an equation is read, a
range that is not known yet is a size of its own kind (`Size("?i'3")`), solved for at the end of the equation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.brackets import nonnegative_under
from symgrad.language.expr import Condition
from symgrad.language.ints import Atom, Axis, Int, IntLike, Look, Quotient, Size, of


def letter(axis: str) -> str:
    """The letter that an axis is called by: axes of a program being read are `letter'number`."""
    return axis.partition("'")[0]


def plain(x: object) -> str:
    """An expression for a message, with letters for axes."""
    text = str(x)
    while "'" in text:
        before, after = text.split("'", 1)
        text = before + after.lstrip("0123456789")
    return text


@dataclass(frozen=True)
class Place:
    """A position at which an axis of a tensor is read or written."""

    position: Int
    size: Int
    guards: tuple[Condition, ...]
    text: str  # what the user wrote
    node: object
    verb: str = "reads"
    early: int = 0  # rows before position 0


class Ranges:
    """All axes met while a program is read, with their ranges."""

    def __init__(self) -> None:
        self.known: dict[str, Int] = {}
        self.leading: dict[str, None] = {}  # axes that `...` stands for
        self.given: dict[str, None] = {}  # axes whose range was said (`p < 3`), not found
        self.weak: dict[str, Int] = {}  # what a comparison with a label says of an axis that no place tells
        self._count = 0
        self._open: dict[str, None] = {}
        self._solved: dict[Atom, IntLike] = {}
        self._parts: dict[Quotient, Int] = {}  # quotients without a remainder, and what they are parts of

    def new(self, name: str, size: Int | None = None) -> str:
        """A fresh axis; without a size its range is open."""
        self._count += 1
        axis = f"{name}'{self._count}"
        self.known[axis] = of(Size(f"?{axis}")) if size is None else size
        if size is None:
            self._open[axis] = None
        return axis

    def order(self, axes: Iterable[str]) -> list[str]:
        """Axes in the order in which they were made, those that `...` stands for before all others."""
        return sorted(set(axes), key=lambda a: (a not in self.leading, int(a.split("'")[1])))

    def is_open(self, axis: str) -> bool:
        return axis in self._open

    def set(self, axis: str, size: Int) -> None:
        """Settle an open range."""
        del self._open[axis]
        self._solved[Size(f"?{axis}")] = self.known[axis] = self.settled(size)

    def settled(self, x: Int) -> Int:
        """An integer expression with the ranges found so far put in."""
        while any(a in self._solved for a in x.atoms()):
            x = x.substitute(self._solved)
        for part, whole in self._parts.items():
            x = _put_together(x, part, whole)
        return x

    def divides(self, whole: Int, count: int) -> None:
        """Take note that a size is `count` times its part: `2*(c//2)` is `c` from here on."""
        part = (whole // count).atom
        if isinstance(part, Quotient) and part.top == whole:
            self._parts[part] = whole

    def pin(self, size: Int, other: Int) -> bool:
        """Make two sizes equal where one of them is an open range; whether they are equal now."""
        size, other = self.settled(size), self.settled(other)
        for a, b in ((size, other), (other, size)):
            if isinstance(a.atom, Size) and _open_size(a) and a != b and a.atom not in set(b.atoms()):
                self.set(a.atom.name[1:], b)
                return True
        return size == other

    def solve(self, places: Sequence[Place], axes: Iterable[str]) -> None:
        """Find the open ranges among `axes` from the places of one equation.

        Raises:
            Refusal: for a letter whose range no place tells.
        """
        for place in places:
            self._bare(place)
        wanted = [a for a in axes if a in self._open]
        while wanted:
            found = {a: n for a in wanted if (n := self._longest(a, places)) is not None}
            found = found or {a: self.weak[a] for a in wanted if a in self.weak}
            # sizes that are open still, those of a recurrence among them, may be what this one is going to tell
            found = found or {a: n for a in wanted if (n := self._longest(a, places, told=True)) is not None}
            if not found:
                name = letter(wanted[0])
                raise Refusal(
                    f"nothing tells how far {name} runs: use it as a bare index, `x[{name}]`, or say it, "
                    f"`{name} < 3`"
                )
            for axis, n in found.items():
                if axis in self._open:
                    self.set(axis, n)
            wanted = [a for a in wanted if a in self._open]

    def _bare(self, place: Place) -> None:
        axis = place.position.axis
        if axis is None:
            return
        known, size = self.settled(self.known[axis]), self.settled(place.size)
        # a size that a recurrence has not found yet is found from either side
        if known != size and (axis in self._open or _open_size(known) or _open_size(size)):
            self.pin(known, size)

    def meet(self, place: Place) -> None:
        """Take note of a place at once: a bare letter whose range is open takes it from here."""
        self._bare(place)

    def _longest(self, axis: str, places: Sequence[Place], *, told: bool = False) -> Int | None:
        """The most that compound places leave to an axis: the smallest of their limits.

        None where one of them is open still, unless only those that are `told` shall count.
        """
        limits: dict[tuple[Int, Int], None] = {}  # (top, divisor): the range is top//divisor + 1
        for p in places:
            position, size = self.settled(p.position), self.settled(p.size)
            factor = position.coefficient(axis) if axis in position.axes else None
            if factor is None or any(self._mentions(g, position) for g in p.guards):
                continue
            step = factor.number
            rest = position - factor * Axis(axis)
            if any(a in self._open for a in rest.axes) or _pending(size):
                if told:
                    continue
                return None
            ends = ints.bounds(rest, self._all(rest.axes))
            if ends is None or step is None and ints.nonnegative(factor) is not True:
                continue
            if step is not None and step < 0:
                limits[ends[0], -factor] = None
            else:
                limits[size - 1 - ends[1], factor] = None
        return _least(list(limits))

    def _all(self, axes: Iterable[str]) -> Mapping[str, Int]:
        return {a: self.settled(self.known[a]) for a in axes}

    def _mentions(self, guard: Condition, position: Int) -> bool:
        """Whether a condition speaks of what a position depends on."""
        mine = {a for a in position.atoms() if isinstance(a, (Axis, Look))}
        return any(a in mine for i in ex.ints(guard) for a in self.settled(i).atoms())

    def check(self, place: Place, below: Mapping[str, Int]) -> tuple[Int, str] | None:
        """Whether a read or write is inside: nothing if it is, a need if the sizes decide, else a refusal.

        `below` gives, for each integer tensor, the size that its values index.
        """
        position, size = self.settled(place.position), self.settled(place.size)
        axis = position.axis
        if axis is not None and self.settled(self.known[axis]) == size:
            return None
        if place.early:
            position, size, axis = position + place.early, size + place.early, None
        if any(self._mentions(g, position) for g in place.guards):
            return self._check_guarded(position, size, place, below)
        if axis is not None and not (self.settled(self.known[axis]) - size).axes:
            return self._check_bare(axis, size, place)
        ends = self._ends(position, below)
        if ends is None:
            raise Refusal(
                f"{place.text} {place.verb} position {plain(position)}, of which nothing says that it "
                "stays inside its "
                f"axis (0 to {size - 1}); say it with a bracket, such as [0 <= {plain(position)} < {size}]"
            ).at(place.node)
        need: tuple[Int, str] | None = None
        for margin, worst in ((ends[0], ends[0]), (size - 1 - ends[1], ends[1])):
            inside = True if ints.surely_nonnegative(margin) else ints.nonnegative(margin)
            said = (
                f"{place.text} {place.verb} position {worst} of an axis that has {size} "
                f"{'entry' if size == ints.ONE else 'entries'} (0 to {size - 1})"
            )
            if inside is False:
                raise Refusal(f"{said}; {_advice(position, size)}").at(place.node)
            if inside is None and isinstance(position.atom, Size):
                raise Refusal(f"{said}; {_advice(position, size)}").at(place.node)
            if inside is None:
                need = need or (margin, said)
        return need

    def _check_guarded(
        self, position: Int, size: Int, place: Place, below: Mapping[str, Int]
    ) -> tuple[Int, str] | None:
        """A place that brackets speak of: they must keep it inside."""
        guards = [ex.map_ints(g, self.settled) for g in place.guards]
        axes = [a for i in (position, *(i for g in guards for i in ex.ints(g))) for a in i.axes]
        if _pending(position) or _pending(size):
            return None
        looked = {name: self.settled(n) for name, n in below.items()}
        for margin, where in (
            (position, f"before 0 of its axis (0 to {size - 1})"),
            (size - 1 - position, f"past the end of its axis (0 to {size - 1})"),
        ):
            if not nonnegative_under(margin, guards, self._all(axes), looked):
                said = f"{place.text} {place.verb} a position {where}, which its brackets do not exclude"
                raise Refusal(f"{said}; {_advice(position, size)}").at(place.node)
        return None

    def _check_bare(self, axis: str, size: Int, place: Place) -> tuple[Int, str] | None:
        """A bare index whose range was found elsewhere: shorter is fine, another size is not."""
        reach = self.settled(self.known[axis])
        inside = ints.nonnegative(size - reach)
        name = letter(axis)
        if inside is True:
            return None
        said = f"{name} runs over {reach} elsewhere in this equation, and over {size} in {place.text}"
        if inside is False or axis not in self.given:
            raise Refusal(f"{said}; the two must agree").at(place.node)
        return size - reach, said

    def _ends(self, position: Int, below: Mapping[str, Int]) -> tuple[Int, Int] | None:
        """Least and largest value, a look-up running over all values that its tensor may have."""
        stand_ins: dict[str, Int] = {}

        def change(a: Atom) -> IntLike | None:
            if not isinstance(a, Look):
                return None
            name = f"look{len(stand_ins)}"
            stand_ins[name] = self.settled(below[a.tensor])
            return Axis(name)

        x = position.replace(change)
        return ints.bounds(x, {**self._all([a for a in x.axes if a not in stand_ins]), **stand_ins})


def _open_size(x: Int) -> bool:
    return isinstance(x.atom, Size) and x.atom.name.startswith("?")


def _put_together(x: Int, part: Quotient, whole: Int) -> Int:
    """An expression with as many parts as make a whole put together."""
    count = part.bottom.number
    assert count
    out = x
    for monomial, c in x.terms:
        if part in monomial and c % count == 0:
            k = monomial.index(part)
            rest = Int(((monomial[:k] + monomial[k + 1 :], c // count),))
            out = out - Int(((monomial, c),)) + rest * whole
    return out


def _pending(size: Int) -> bool:
    return any(isinstance(a, Size) and a.name.startswith("?") for a in size.atoms())


def _least(limits: list[tuple[Int, Int]]) -> Int | None:
    """The range that is at most every other, or None."""

    def at_most(a: tuple[Int, Int], b: tuple[Int, Int]) -> bool:
        if a[1] == b[1]:
            return ints.nonnegative(b[0] - a[0]) is True
        return ints.nonnegative(b[0] // b[1] - a[0] // a[1]) is True

    for a in limits:
        if all(a == b or at_most(a, b) for b in limits):
            return a[0] // a[1] + 1
    return None


def _advice(position: Int, size: Int) -> str:
    if isinstance(position.atom, Size):
        name = position.atom.name
        return (
            f"{name} is a size here; as an index it is summed over, `sum({name}, ...)`, or stands on the left"
        )
    if position.number is not None and position.number < 0:
        return f"the last entry is at {size - 1}"
    if not position.axes and not any(isinstance(a, Look) for a in position.atoms()):
        return f"the last entry is at {size - 1}"
    return f"exclude it with a bracket, [0 <= {plain(position)} < {size}], or let the index run less far"
