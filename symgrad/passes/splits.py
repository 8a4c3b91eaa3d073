"""Axes of inner tensors stored as several: one that is read as `2*i + p` as an axis for `i` and an axis for `p`.

A maximum over windows of 2×2 is then the largest of four blocks that lie whole in memory, and its adjoint writes four
such blocks, where else every second entry of every second row is met. The same takes flattened images apart: what is
written at `c*(h*w) + i*w + j` is stored with three axes, so that nothing is flattened at all.

A letter that stands alone at such an axis is counted by several letters in all of its statement. The values are the
same, at other places; inputs and wanted tensors stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.ints import Atom, Axis, Int, IntLike, radix
from symgrad.language.program import Program, Statement, Tensor
from symgrad.passes.orders import axes_of, free, orders_of

_FEW = 16  # a window of at most so many places is gone through block by block
Place = tuple[str, int]  # a tensor and one of its axes
Letter = tuple[int, str]  # a statement, by number, and one of its axes


@dataclass
class Split:
    """What is computed, with axes split.

    Attributes:
        statements: the new ones.
        origin: for each of them the statement that it was; None for one that puts a tensor together again.
        front: for some tensors the axes that are best stored first: of the places in a window, so that each place has a
            block of memory of its own.
    """

    program: Program
    statements: tuple[Statement, ...]
    origin: tuple[Statement | None, ...]
    front: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Use:
    """One position in one access of a statement."""

    statement: int
    position: Int
    written: bool


def split(program: Program, statements: Sequence[Statement], kept: Sequence[str]) -> Split:
    """The same statements with axes of inner tensors stored as several, where they are read or written so.

    Args:
        kept: tensors that are read afterwards.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("x: data[n, 6]; w: weight[6]; y = x*w; m[n, i] = max(p < 2, y[n, 2*i + p]), i < 3; loss = sum(m)")
        >>> done = split(p, p.statements, ["loss"])
        >>> for s in done.statements[:2]:
        ...     print(s)
        y[n, j_1, j_2] = x[n, 2*j_1 + j_2]*w[2*j_1 + j_2]
        m[n, i] = max(p, y[n, i, p])
        >>> done.front
        {'y': (2,)}
    """
    chosen = _Choice(program, tuple(statements), kept).chosen()
    if not chosen.places:
        return Split(program, tuple(statements), tuple(statements))
    return _Writer(program, tuple(statements), chosen).result()


@dataclass
class _Chosen:
    """Axes to split, each with the sizes of its parts; the letters to split with them; what is put together again."""

    places: dict[Place, tuple[Int, ...]] = field(default_factory=dict)
    letters: dict[Letter, tuple[Int, ...]] = field(default_factory=dict)
    whole: dict[str, None] = field(default_factory=dict)
    front: dict[Place, None] = field(default_factory=dict)


@dataclass
class _Group:
    """Axes, and letters, that are split together, and the tensors that are put together again."""

    places: dict[Place, None] = field(default_factory=dict)
    letters: dict[Letter, None] = field(default_factory=dict)
    whole: dict[str, None] = field(default_factory=dict)


class _Choice:
    """Which axes are split."""

    def __init__(self, program: Program, statements: tuple[Statement, ...], kept: Sequence[str]):
        self.program, self.statements = program, statements
        self.inner = free(program, statements, kept)
        self.uses: dict[Place, list[_Use]] = {}
        for number, s in enumerate(statements):
            for name, index, written in _positions(s):
                if name in self.inner:
                    for k, i in enumerate(index):
                        self.uses.setdefault((name, k), []).append(_Use(number, i, written))
        self.orders = orders_of(program, statements, kept)
        self.found = _Chosen()

    def chosen(self) -> _Chosen:
        places = sorted(self.uses, key=lambda p: self.program[p[0]].role == "adjoint")
        for place in places:
            sizes = self._sizes(place)
            if sizes is not None and place not in self.found.places:
                self._try(place, sizes)
        return self.found

    def _sizes(self, place: Place) -> tuple[Int, ...] | None:
        """The sizes of the parts that an axis is read or written by, slowest first."""
        for u in self.uses[place]:
            ranges = self.statements[u.statement].ranges
            run = radix(u.position, ranges)
            if run is not None and run[0] == ints.ZERO:
                sizes = tuple(ranges[a] for a in run[1])
                follows = self._partner(place) in self.found.places
                if not (follows or self._windowed(place) or self._beside(u, run[1])):
                    continue  # it would be copied into that order, and back
                if ints.product(sizes) == self.program[place[0]].shape[place[1]]:
                    return sizes
        return None

    def _partner(self, place: Place) -> Place | None:
        """The same axis of the tensor of which this is the adjoint."""
        t = self.program[place[0]]
        return (
            (t.of, place[1])
            if t.role == "adjoint"
            and t.of in self.program.tensors
            and len(self.program[t.of].shape) == len(t.shape)
            else None
        )

    def _try(self, start: Place, sizes: tuple[Int, ...]) -> None:
        """Split an axis, and all that goes with it, if nothing large must be put together for it."""
        group = self._group(start, sizes)
        if group is None:
            return
        self.found.places.update(dict.fromkeys(group.places, sizes))
        self.found.letters.update(dict.fromkeys(group.letters, sizes))
        self.found.whole.update(dict.fromkeys(group.whole))
        partner = self._partner(start)
        if partner in self.found.front or any(self._windowed(p) for p in group.places):
            self.found.front.update(dict.fromkeys(group.places))

    def _group(self, start: Place, sizes: tuple[Int, ...]) -> _Group | None:
        """What is split with an axis: the letters that stand alone at it, and the axes at which they stand alone."""
        group = _Group()
        todo, waiting = [start], []
        while todo:
            place = todo.pop()
            if place in group.places:
                continue
            if place in self.found.places:
                if self.found.places[place] != sizes:
                    return None
                continue
            alone = self._alone(place, sizes)
            partner = self._partner(place)
            if alone is None or alone[1] and not (partner in group.places or partner in self.found.places):
                if place == start:
                    return None
                if alone is not None:
                    waiting.append(place)  # its forward tensor may still come
                continue
            group.places[place] = None
            if alone[1]:
                group.whole[place[0]] = None
            for letter in alone[0]:
                if letter in group.letters:
                    continue
                if self.found.letters.get(letter, sizes) != sizes:
                    return None
                group.letters[letter] = None
                for name, index, _ in _positions(self.statements[letter[0]]):
                    todo += [
                        (name, k) for k, i in enumerate(index) if i.axis == letter[1] and name in self.inner
                    ]
            if not todo:
                todo, waiting = [p for p in waiting if self._partner(p) in group.places], []
        return group if all(self._left(letter, group) for letter in tuple(group.letters)) else None

    def _left(self, letter: Letter, group: _Group) -> bool:
        """Whether a letter can be split where what is written stays whole: not entry by entry.

        Such a statement may stay as it is if it reads adjoints alone, which are put together for it.
        """
        number, a = letter
        s = self.statements[number]
        blocked = any(
            i.axis == a and (s.out, k) not in group.places and (s.out, k) not in self.found.places
            for k, i in enumerate(s.left)
        )
        if s.reduced or not blocked:
            return True
        for name, index, _ in _positions(s):
            for k, i in enumerate(index):
                if i.axis == a and ((name, k) in group.places or (name, k) in self.found.places):
                    partner = self._partner((name, k))
                    if partner not in group.places and partner not in self.found.places:
                        return False
                    group.whole[name] = None
        del group.letters[letter]
        return True

    def _alone(self, place: Place, sizes: tuple[Int, ...]) -> tuple[list[Letter], bool] | None:
        """The letters that stand alone at an axis, and whether some reading needs it whole; None if it stays whole."""
        if self.program[place[0]].shape[place[1]] != ints.product(sizes):
            return None
        letters: list[Letter] = []
        together = False
        for u in self.uses[place]:
            ranges = self.statements[u.statement].ranges
            run = radix(u.position, ranges)
            if run is not None and run[0] == ints.ZERO and tuple(ranges[a] for a in run[1]) == sizes:
                continue
            a = u.position.axis
            if a is not None and ranges[a] == ints.product(sizes):
                letters.append((u.statement, a))
            elif u.written:
                return None
            else:
                together = True
        return letters, together

    def _beside(self, u: _Use, letters: tuple[str, ...]) -> bool:
        """Whether the letters of a position stand beside one another where what is put there comes from, or goes to."""
        s = self.statements[u.statement]
        for name, index, _ in _positions(s):
            if all(a not in i.axes or i.axis == a for a in letters for i in index):
                own = axes_of(name, index, self.orders)
                places = [k for k, a in enumerate(own) if a in letters]
                if len(places) == len(letters) and places[-1] - places[0] == len(letters) - 1:
                    return True
        return False

    def _windowed(self, place: Place) -> bool:
        """Whether something is taken of all places of a window, along this axis."""
        for u in self.uses[place]:
            s = self.statements[u.statement]
            run = radix(u.position, s.ranges)
            if run is not None and not u.written and len(run[1]) == 2:
                slow, fast = run[1]
                few = s.ranges[fast].number
                if (
                    len(ex.accesses(s.body)) == 1
                    and fast in s.reduced
                    and slow in s.kept
                    and few is not None
                    and few <= _FEW
                ):
                    return True
        return False


class _Writer:
    """The statements with the chosen axes split."""

    def __init__(self, program: Program, statements: tuple[Statement, ...], chosen: _Chosen):
        self.program, self.statements, self.chosen = program, statements, chosen
        self.tensors = dict(program.tensors)
        self.wholes: dict[str, str] = {}
        self.parts: dict[str, tuple[int, ...]] = {}  # for each axis of a tensor how many there are now
        for name in dict.fromkeys(n for n, _ in chosen.places):
            t = program[name]
            shape = [chosen.places.get((name, k), (n,)) for k, n in enumerate(t.shape)]
            self.tensors[name] = replace(t, shape=tuple(n for part in shape for n in part))
            self.parts[name] = tuple(map(len, shape))
        for name in chosen.whole:
            self.wholes[name] = program.fresh(f"{name}_whole", self.tensors)
            self.tensors[self.wholes[name]] = Tensor(self.wholes[name], program[name].shape, named=False)

    def result(self) -> Split:
        done: list[Statement] = []
        origin: list[Statement | None] = []
        last = {s.out: k for k, s in enumerate(self.statements)}
        for k, s in enumerate(self.statements):
            done.append(self._changed(k, s))
            origin.append(s)
            if s.out in self.wholes and last[s.out] == k:
                done.append(self._together(s.out))
                origin.append(None)
        front: dict[str, tuple[int, ...]] = {}
        for name, k in self.chosen.front:
            place = sum(self.parts[name][: k + 1]) - 1
            front[name] = (*front.get(name, ()), place)
        program = replace(self.program, tensors=self.tensors)
        ordered = {name: tuple(sorted(places)) for name, places in front.items()}
        return Split(program, tuple(done), tuple(origin), ordered)

    def _changed(self, number: int, s: Statement) -> Statement:
        values: dict[Atom, IntLike] = {}
        letters: dict[str, tuple[str, ...]] = {}
        axes: list[tuple[str, Int]] = []
        taken = {*s.ranges, *self.program.tensors, *self.program.sizes}
        for a, n in s.axes:
            sizes = self.chosen.letters.get((number, a))
            if sizes is None:
                axes.append((a, n))
                continue
            letters[a] = tuple(_fresh(a, k, taken) for k in range(1, len(sizes) + 1))
            taken.update(letters[a])
            axes += zip(letters[a], sizes, strict=True)
            values[Axis(a)] = _count(letters[a], sizes)

        def moved(e: object) -> Expr | None:
            if isinstance(e, Access):
                return Access(*self._place(e.tensor, e.index, s.ranges, letters, values))
            return ex.val(e.int.substitute(values)) if isinstance(e, ex.Val) else None

        _, left = self._place(s.out, s.left, s.ranges, letters, values)
        guard = None if s.guard is None else ex.rewrite(s.guard, moved)
        return replace(s, left=left, body=ex.rewrite(s.body, moved), guard=guard, axes=tuple(axes))

    def _place(
        self, name: str, index: tuple[Int, ...], ranges: Mapping[str, Int],
        letters: Mapping[str, tuple[str, ...]], values: Mapping[Atom, IntLike],
    ) -> tuple[str, tuple[Int, ...]]:  # fmt: skip
        """A position in a tensor, in letters of the new statement."""
        found: list[Int] = []
        for k, i in enumerate(index):
            sizes = self.chosen.places.get((name, k))
            run = radix(i, ranges)
            if sizes is None:
                found.append(i.substitute(values))
            elif i.axis in letters:
                found += map(ints.axis, letters[i.axis or ""])
            elif run is not None and run[0] == ints.ZERO and tuple(ranges[a] for a in run[1]) == sizes:
                found += [ints.axis(a).substitute(values) for a in run[1]]
            else:
                return self.wholes[name], tuple(j.substitute(values) for j in index)
        return name, tuple(found)

    def _together(self, name: str) -> Statement:
        """The statement that puts a tensor together again."""
        t = self.tensors[name]
        letters = [f"_{k}" for k in range(len(t.shape))]
        left, start = [], 0
        for count in self.parts[name]:
            left.append(_count(letters[start : start + count], t.shape[start : start + count]))
            start += count
        body = Access(name, tuple(map(ints.axis, letters)))
        return Statement(self.wholes[name], tuple(left), "=", body, tuple(zip(letters, t.shape, strict=True)))


def _positions(s: Statement) -> Iterator[tuple[str, tuple[Int, ...], bool]]:
    """All positions in a statement: the tensor, the index, and whether it is written."""
    yield s.out, s.left, True
    for c in (s.body, s.guard):
        if c is not None:
            for e in ex.accesses(c):
                yield e.tensor, e.index, False


def _count(letters: Sequence[str], sizes: Sequence[Int]) -> Int:
    """The position that letters count, the last one fastest."""
    total = ints.ZERO
    for a, n in zip(letters, sizes, strict=True):
        total = total * n + ints.axis(a)
    return total


def _fresh(a: str, k: int, taken: set[str]) -> str:
    name = f"{a}_{k}"
    while name in taken:
        name += "_"
    return name
