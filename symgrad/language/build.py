"""The program under construction: its tensors, its statements, and how a part gets a statement of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from symgrad.errors import Refusal
from symgrad.language import emptiness
from symgrad.language import expr as ex
from symgrad.language.expr import Access, Bracket, Condition, E, Expr, Logic
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int, Look, Size, axis, of
from symgrad.language.program import Program, Statement, Tensor, open_parts
from symgrad.language.ranges import Ranges, letter
from symgrad.language.values import Array, Pending, Positions, real, widened

STATEMENTS = 20_000  # of one program
PARTS = 5000  # of one statement's formula
FACTORS = 100  # of one product: its derivatives have the square of them
POOL = "jklpqrsuvabcdfghmn"  # letters for axes that nobody named


class Builder:
    """What has been read so far.

    `target` names what is being written: its parts are called after it. `line` and `label` go into the
    statements that are written now; `guards` are the conditions that hold around the place being read.
    """

    def __init__(self, taken: Iterable[str]):
        self.ranges = Ranges()
        self.tensors: dict[str, Tensor] = {}
        self.letters: dict[str, tuple[str, ...]] = {}
        self.statements: list[Statement] = []
        self.sizes: Mapping[str, Int] = {}  # the size letters of the text
        self.zeros: dict[str, tuple[Int, ...]] = {}  # sizes declared for what equations write
        self.needs: dict[tuple[Int, str], None] = {}
        self.guards: list[Condition] = []
        self.target, self.line, self.label = "value", 0, ""
        self._taken = dict.fromkeys(taken)
        self.numbers: dict[str, int] = {}  # for each stem, the largest number behind it in a tensor's name
        self.below: dict[str, Int] = {}  # for each integer tensor, the size that its values index
        self._unsettled: dict[str, None] = {}  # tensors with an open size
        self._lifted: dict[Statement, str] = {}
        self._contracted: dict[str, None] = {}  # parts that sum a product of two tensors

    # names

    def reserve(self, name: str) -> None:
        """Take note of the number that a tensor's name ends with."""
        found = re.fullmatch(r"(.*?)([1-9]\d*)", name)
        if found:
            self.numbers[found[1]] = max(self.numbers.get(found[1], 0), int(found[2]))

    def part_name(self) -> str:
        """A name for a part of what is being written."""
        return self.part_name_of(self.target)

    def part_name_of(self, stem: str) -> str:
        """The stem with the first free number."""
        k = 1
        while f"{stem}_{k}" in self._taken or f"{stem}_{k}" in self.tensors:
            k += 1
        return f"{stem}_{k}"

    def next_name(self, state: str) -> str:
        """A name for the next value of a state; nobody reads it."""
        name = f"{state}_next"
        while name in self._taken or name in self.tensors:
            name += "_"
        return name

    def declare(self, tensor: Tensor, letters: Sequence[str] = ()) -> Array:
        """Add a tensor; what it is as an array."""
        for n in (*tensor.shape, *([] if tensor.below is None else [tensor.below])):
            if n.number is not None and n.number < 1:
                raise Refusal(f"{tensor.name} would have the size {n}; a size is at least 1")
        self.tensors[tensor.name] = tensor
        self.reserve(tensor.name)
        if tensor.below is not None:
            self.below[tensor.name] = tensor.below
        if any(map(_is_open, tensor.shape)) or (tensor.below is not None and _is_open(tensor.below)):
            self._unsettled[tensor.name] = None
        named = tuple(letters) or ("",) * len(tensor.shape)
        # a letter says nothing to a reader where it is another size's
        pairs = zip(named, tensor.shape, strict=True)
        self.letters[tensor.name] = tuple("" if self.sizes.get(x, n) != n else x for x, n in pairs)
        return self.array(tensor.name)

    def array(self, name: str) -> Array:
        """A tensor as an array."""
        t, settled = self.tensors[name], self.ranges.settled
        shape = tuple(map(settled, t.shape))
        if t.integer:

            def look(position: Positions) -> Int:
                return of(Look(name, position))

            return Array(shape, lambda p: ex.val(look(p)), self.letters[name], look, tensor=name)
        fixed = Access(name, ()) if t.role == "constant" and not shape else None
        return Array(shape, lambda p: Access(name, p), self.letters[name], tensor=name, fixed=fixed)

    @contextmanager
    def writing(self, target: str, line: int) -> Iterator[None]:
        """The statements made inside belong to this target and this line."""
        before = self.target, self.line
        self.target, self.line = target, line
        try:
            yield
        finally:
            self.target, self.line = before

    @contextmanager
    def called(self, name: str) -> Iterator[None]:
        """The statements made inside come from this call, unless an outer call is named already."""
        before = self.label
        self.label = before or name
        try:
            yield
        finally:
            self.label = before

    @contextmanager
    def under(self, conditions: Sequence[Condition]) -> Iterator[None]:
        """What is read inside is read only where the conditions hold."""
        self.guards.extend(conditions)
        try:
            yield
        finally:
            del self.guards[len(self.guards) - len(conditions) :]

    # parts

    def pending(
        self,
        op: str,
        shape: tuple[Int, ...],
        body: Callable[[Positions], tuple[Expr, Condition | None]],
        reduced: Sequence[str] = (),
        letters: Sequence[str] = (),
        ties: str = "shared",
    ) -> Pending:
        """An array that will be one statement."""
        guards, label = tuple(self.guards), self.label
        out = Pending(
            shape, lambda _: ex.ZERO, tuple(letters) or ("",) * len(shape),
            op=op, body=body, reduced=tuple(reduced), guards=guards, ties=ties, label=label,
        )  # fmt: skip
        entries: list[Callable[[Positions], Expr]] = []

        def entry(position: Positions) -> Expr:
            if not entries:
                entries.append(self._lift(out))
            return entries[0](position)

        out.entry = entry
        return out

    def stored(self, a: Array) -> Array:
        """The array as something that may be read many times: a tensor, a single entry of one, or a fixed
        value.
        """
        if a.tensor or a.fixed is not None or isinstance(a, Pending):
            return a
        if a.narrow is not None:
            return widened(self.stored(a.narrow[0]), a.narrow[1])
        probe = a.at(
            tuple(axis(self.ranges.new(x or "j", n)) for x, n in zip(_letters(a), a.shape, strict=True))
        )
        if isinstance(probe, (Access, ex.Num, ex.Const, ex.Val, Bracket)):
            return a
        out = self.pending("=", a.shape, lambda p: (a.at(p), None), letters=_letters(a))
        out.integer = a.integer
        return out

    def preactivation(self, a: Array) -> Array:
        """The array, stored if it is a matrix product or the like plus other tensors: what an activation is applied
        to has a gradient of its own, the error signal of a layer, whether the layer is called or written out."""
        if a.tensor or a.fixed is not None or isinstance(a, Pending) or a.narrow is not None:
            return a
        probe = a.at(
            tuple(axis(self.ranges.new(x or "j", n)) for x, n in zip(_letters(a), a.shape, strict=True))
        )
        terms = probe.args if isinstance(probe, ex.Add) else ()
        entries = [t.tensor for t in terms if isinstance(t, Access)]
        affine = len(entries) == len(terms) and any(name in self._contracted for name in entries)
        return self.stored(a) if affine else a

    def _lift(self, p: Pending) -> Callable[[Positions], Expr]:
        """Write the statement of a part under a name made up for it; how its entries are read."""
        own = [self.ranges.new(x or "", n) for x, n in zip(p.letters, p.shape, strict=True)]
        body, guard = p.body(tuple(map(axis, own)))
        outer = self.outer(body, guard, [*own, *p.reduced])
        kept = [*outer, *own]
        guard = ex.both(*(g for g in p.guards if self._speaks_of(g, [*kept, *p.reduced])), guard)
        statement = self.statement("", tuple(map(axis, kept)), p.op, body, guard, kept, p.reduced, p.ties)
        name = self.named(statement, p.label)
        p.written = True
        before = tuple(map(axis, outer))
        if not outer:
            p.tensor = name
        return lambda position: Access(name, before + position)

    def named(self, statement: Statement, label: str) -> str:
        """The tensor that a statement writes under a name made up for it; an equal one is written once."""
        key = statement.canonical()
        name = self._lifted.get(key, "")
        if not name:
            name = self._lifted[key] = self.part_name()
            shape = tuple(statement.ranges[a] for i in statement.left for a in i.axes)
            tensor = Tensor(name, shape, named=False, label=label)
            self.declare(tensor, [letter(a) for i in statement.left for a in i.axes])
            self.write(replace(statement, out=name, label=label))
            if statement.op == "+=" and len(dict.fromkeys(ex.tensors(statement.body))) > 1:
                self._contracted[name] = None
        return name

    @contextmanager
    def unguarded(self) -> Iterator[None]:
        """What is read inside is computed whole, whatever conditions hold around it."""
        before, self.guards = self.guards, []
        try:
            yield
        finally:
            self.guards = before

    def outer(self, body: Expr, guard: Condition | None, own: Iterable[str]) -> list[str]:
        """The axes of the surrounding equation that a body depends on, in their order."""
        met = [*ex.axes(body), *(ex.axes(guard) if guard is not None else ())]
        return [a for a in self.ranges.order(met) if a not in own]

    def _speaks_of(self, guard: Condition, axes: Sequence[str]) -> bool:
        return set(ex.axes(guard)) <= set(axes)

    # statements

    def statement(
        self,
        out: str,
        left: Positions,
        op: str,
        body: Expr,
        guard: Condition | None,
        kept: Sequence[str],
        reduced: Sequence[str],
        ties: str = "shared",
    ) -> Statement:
        """A statement; brackets on positions that are a factor of the whole body become its guard."""
        if op in ("=", "+="):
            moved, body = split_brackets(body, all(i.axis is not None for i in left))
            guard = ex.both(guard, *moved)
        domain = tuple((a, self.ranges.known[a]) for a in [*kept, *reduced])
        return Statement(out, left, op, body, domain, guard, ties, line=self.line, label=self.label)

    def write(self, statement: Statement) -> None:
        self.statements.append(statement)
        if len(self.statements) > STATEMENTS:
            raise Refusal(f"the text grows to more than {STATEMENTS} statements")
        for count, e in enumerate(ex.walk(statement.body), 1):
            if count > PARTS:
                raise Refusal(
                    f"a formula here has more than {PARTS} parts; give parts of it lines of their own"
                )
            if isinstance(e, ex.Mul) and len(e.args) > FACTORS:
                raise Refusal(
                    f"a product here has more than {FACTORS} factors; give parts of it lines of their own"
                )

    def settle(self, first_statement: int) -> None:
        """Put the ranges found meanwhile into statements and tensors made since."""
        settled = self.ranges.settled
        for k in range(first_statement, len(self.statements)):
            s = self.statements[k]
            axes = tuple((a, settled(n)) for a, n in s.axes)
            self.statements[k] = replace(
                s,
                left=tuple(map(settled, s.left)),
                body=self.settled(s.body),
                guard=None if s.guard is None else open_parts(self.settled(s.guard), dict(axes)),
                axes=axes,
            )
        for name in list(self._unsettled):
            t = self.tensors[name]
            below = None if t.below is None else settled(t.below)
            self.tensors[name] = replace(t, shape=tuple(map(settled, t.shape)), below=below)
            if not any(map(_is_open, self.tensors[name].shape)):
                del self._unsettled[name]

    def settled(self, e: E) -> E:
        """An expression with the ranges found so far put in."""
        if any(_is_open(i) for i in ex.ints(e)):
            return _with_real(ex.map_ints(e, self.ranges.settled))
        return e

    def rename(self, old: str, new: str) -> None:
        """Give a made-up tensor the user's name."""

        def name_of(e: Expr) -> Expr | None:
            return Access(new, e.index) if isinstance(e, Access) and e.tensor == old else None

        for k, s in enumerate(self.statements):
            if s.out == old or old in s.reads:
                guard = None if s.guard is None else ex.rewrite(s.guard, name_of)
                out = new if s.out == old else s.out
                self.statements[k] = replace(s, out=out, body=ex.rewrite(s.body, name_of), guard=guard)
        self.tensors = {
            new if k == old else k: replace(t, name=new, named=True) if k == old else t
            for k, t in self.tensors.items()
        }
        self.letters[new] = self.letters.pop(old)
        if old in self._unsettled:
            self._unsettled[new] = self._unsettled.pop(old)
        self._lifted = {s: n for s, n in self._lifted.items() if n != old}

    def program(self, target: str, sizes: Sequence[str], text: str) -> Program:
        """What was read, with its axes called by letters."""
        statements = tuple(self._lettered(s, sizes) for s in self.statements)
        needs = dict.fromkeys((self.ranges.settled(n), said) for n, said in self.needs)
        needs.update(dict.fromkeys(emptiness.needs(self.tensors, statements)))
        return Program(self.tensors, statements, target, tuple(sizes), tuple(needs), text)

    def _lettered(self, s: Statement, sizes: Sequence[str]) -> Statement:
        """The statement with each axis called by its own letter, or by a free one."""
        spoken = _sizes_in_positions(s)
        if any(i.axis is None for i in s.left):
            # a letter that stands in a compound place on the left only must be no size, or it is read as one
            alone = {i.axis for i in s.left}
            spoken.update(letter(a) for i in s.left for a in i.axes if a not in alone and letter(a) in sizes)
        bare = _bare_axes(s)
        names: dict[str, str] = {}
        used: set[str] = set()
        for a, n in s.axes:
            wanted = letter(a)
            foreign = bool(s.label) and self.sizes.get(wanted, n) != n
            # `n < n` cannot be said after the equation
            foreign = foreign or (n == of(Size(wanted)) and a not in bare)
            if not wanted or wanted in used or wanted in self.tensors or wanted in spoken or foreign:
                # the letters of an implicit statement are not written, so those of the text do not matter
                shown = () if s.op in IMPLICIT else self._taken
                taken = {*used, *spoken, *sizes, *shown, *self.tensors}
                wanted = next(x for x in _pool(wanted) if x not in taken)
            names[a] = wanted
            used.add(wanted)
        s = s.rename(names)
        if all(i.axis is not None or not i.axes for i in s.left):
            return s
        # the axes of the left side in the order in which they stand there now that they have other names
        order = {a: k for k, a in enumerate(s.kept)}
        return replace(s, axes=tuple(sorted(s.axes, key=lambda axis: order.get(axis[0], len(order)))))


def _letters(a: Array) -> tuple[str, ...]:
    return a.letters or ("",) * a.rank


def _pool(wanted: str) -> Iterator[str]:
    yield from POOL
    k = 1
    while True:
        yield f"{wanted or 'j'}_{k}"
        k += 1


def _bare_axes(s: Statement) -> set[str]:
    """The axes that stand alone in some position on the right."""
    found: dict[str, None] = {}
    for e in (s.body, s.guard):
        for part in ex.walk(e) if e is not None else ():
            indices = [part.index] if isinstance(part, Access) else []
            indices += [a.index for i in ex.ints(part) for a in i.atoms() if isinstance(a, Look)]
            found.update((i.axis, None) for index in indices for i in index if i.axis is not None)
    return set(found)


def _sizes_in_positions(s: Statement) -> set[str]:
    """Sizes that stand where a letter of the same name would be read as the index."""
    found: dict[str, None] = {}

    def note(i: Int) -> None:
        found.update(dict.fromkeys(a.name for a in i.atoms() if isinstance(a, Size)))

    for i in s.left:
        note(i)
    for e in (s.body, s.guard):
        for part in ex.walk(e) if e is not None else ():
            if isinstance(part, Access):
                for i in part.index:
                    note(i)
            elif isinstance(part, (ex.Cmp, Logic)):
                for i in ex.ints(part):
                    note(i)
            elif isinstance(part, ex.Val) and not isinstance(part.int.atom, Size):
                note(part.int)
    return set(found)


def split_brackets(body: Expr, on_positions: bool) -> tuple[list[Condition], Expr]:
    """The conditions that multiply a whole body (or only those on positions alone), and the rest of it."""

    def moves(f: Expr) -> bool:
        return isinstance(f, Bracket) and (not on_positions or _on_positions(f.condition))

    factors = body.args if isinstance(body, ex.Mul) else (body,)
    moved = [f.condition for f in factors if isinstance(f, Bracket) and moves(f)]
    return moved, ex.mul(*(f for f in factors if not moves(f))) if moved else body


def _on_positions(c: Condition) -> bool:
    return not ex.tensors(c) and bool(ex.axes(c))


def _is_open(x: Int) -> bool:
    return any(isinstance(a, Size) and a.name.startswith("?") for a in x.atoms())


def _with_real(e: E) -> E:
    """Sizes put in for an open range outside brackets, as sums and products of atoms again."""

    def one(x: Expr | Condition) -> Expr | Condition | None:
        if isinstance(x, (Bracket, ex.Cmp, Logic)):
            return x
        return real(x.int) if isinstance(x, ex.Val) and x.int.atom is None else None

    return ex.rewrite(e, one)
