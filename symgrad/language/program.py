"""The one form in the middle: a program is a list of statements

    out[left] (= | += | max= | min= | prod=) body    over a domain of axes, where a guard holds

`left` and all positions in `body` are integer expressions in the axes. Everything else in symgrad is a function from
program to program, or from program to text.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Union

from symgrad.errors import Refusal, listing
from symgrad.language import expr as ex
from symgrad.language import implicit, ints
from symgrad.language.expr import Condition, Expr
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Atom, Axis, Int, IntLike, Look, Size

COMPUTED = ("value", "next", "adjoint")  # the roles of tensors that statements write
Nested = Union[Fraction, tuple["Nested", ...]]


@dataclass(frozen=True)
class Facts:
    """What is declared of a tensor's entries.

    `low`, `high` bound them (`strict_*`: the bound itself is excluded); `distribution`: nonnegative and summing to one
    along the last axis; `symmetric`: equal to its own transpose.
    """

    low: Fraction | None = None
    high: Fraction | None = None
    strict_low: bool = False
    strict_high: bool = False
    distribution: bool = False
    symmetric: bool = False


@dataclass(frozen=True)
class Tensor:
    """A declared or computed tensor.

    Attributes:
        role: "data", "label", "weight", "constant", "draw" (a random input), "state" (a running quantity) (all
            declared), "literal" (a list of numbers in the text), "value" (computed forward), "next" (what a state
            is afterwards) or "adjoint" (computed backward).
        below: for an integer tensor, the size of the axis that its values index; None for a real tensor.
        classes: the words for the values of a label, where these are declared.
        standardized: of data that a module takes raw: the entries are (raw - mean)/deviation of the training examples.
        start: how a weight or a state starts, or how a draw is drawn: a number, or a named scheme with its numbers
            such as `("he",)`, `("bernoulli", 0.8)`.
        literal: the entries of a literal.
        of: for an adjoint, the tensor by which `seed` is differentiated; the axes of `seed` come first. `sweep` counts
            the sweeps. For a "next", its state.
        named: whether the user gave the name (else it was made up for a lifted part).
        label: for a value or weight made by a layer or function call, that name ("dense", "softmax"), for explanations.
        early: for what a recurrence writes, how many rows stand before position 0 along each axis (`h[n, -1, k]`); they
            are no part of the shape. Empty where there are none.
    """

    name: str
    shape: tuple[Int, ...] = ()
    role: str = "value"
    facts: Facts = Facts()
    below: Int | None = None
    classes: tuple[str, ...] = ()
    standardized: bool = False
    start: tuple[object, ...] | None = None
    literal: Nested | None = None
    of: str = ""
    seed: str = ""
    sweep: int = 0
    named: bool = True
    label: str = ""
    early: tuple[int, ...] = ()

    @property
    def integer(self) -> bool:
        return self.below is not None


@dataclass(frozen=True)
class Scan:
    """A loop along one axis: its statements run together, step by step.

    Attributes:
        axis: the letter that counts the steps in this statement.
        name: which loop it is; consecutive statements with the same name and direction belong together.
        backward: whether the last step comes first.
    """

    axis: str
    name: str
    backward: bool = False

    @property
    def loop(self) -> tuple[str, bool]:
        """What the statements of one loop share."""
        return self.name, self.backward


@dataclass(frozen=True)
class Statement:
    """`out[left] op body` for all values of `axes` (name and size, each from 0) where `guard` holds.

    `op` is "=", "+=", "max=", "min=", "prod=", or the name of an operation that an equation defines, such as "inv": see
    `symgrad.language.implicit`.

    With "=" every axis is in `left`; with "+=", "max=", "min=", "prod=" the axes that `left` does not determine are
    reduced, and several "+=" statements may write one tensor, which starts at zero. `ties` says who gets the adjoint of
    a maximum: "shared" or "first". `scan` is the loop that it belongs to, if it reads what an earlier step writes.
    `line` (of the text, 0 if none) and `label` (the name of the call that it was expanded from) are for people only and
    play no part in equality.
    """

    out: str
    left: tuple[Int, ...]
    op: str
    body: Expr
    axes: tuple[tuple[str, Int], ...] = ()
    guard: Condition | None = None
    ties: str = "shared"
    scan: Scan | None = None
    line: int = field(default=0, compare=False)
    label: str = field(default="", compare=False)

    @property
    def ranges(self) -> dict[str, Int]:
        return dict(self.axes)

    @property
    def kept(self) -> tuple[str, ...]:
        """Axes that the left side depends on."""
        return tuple(dict.fromkeys(a for i in self.left for a in i.axes))

    @property
    def reduced(self) -> tuple[str, ...]:
        """Axes that are summed (or maximised, multiplied) away."""
        kept = self.kept
        return tuple(a for a, _ in self.axes if a not in kept)

    @property
    def plain(self) -> bool:
        """Whether the left side is distinct bare axes: each entry is written at one place of the kept domain."""
        names = [i.axis for i in self.left]
        return None not in names and len(set(names)) == len(names)

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Tensors read by the body, the guard and the left side, in order."""
        found = dict.fromkeys(ex.tensors(self.body))
        if self.guard is not None:
            found.update(dict.fromkeys(ex.tensors(self.guard)))
        found.update(dict.fromkeys(a.tensor for i in self.left for a in i.atoms() if isinstance(a, Look)))
        return tuple(found)

    @property
    def positions(self) -> list[tuple[str, tuple[Int, ...]]]:
        """Every entry that is read, by its tensor and where in it; those that look-ups read come last."""
        inside = [self.body] if self.guard is None else [self.body, self.guard]
        numbers = [*self.left, *(i for e in inside for i in ex.ints(e))]
        looks = [(a.tensor, a.index) for i in numbers for a in i.atoms() if isinstance(a, Look)]
        return [(a.tensor, a.index) for e in inside for a in ex.accesses(e)] + looks

    def rename(self, names: Mapping[str, str]) -> Statement:
        """The statement with axes renamed (all at once, so a swap is safe)."""
        values: dict[Atom, IntLike] = {Axis(old): Axis(new) for old, new in names.items()}
        return replace(
            self,
            left=tuple(i.substitute(values) for i in self.left),
            body=ex.substitute(self.body, values),
            guard=None if self.guard is None else ex.substitute(self.guard, values),
            axes=tuple((names.get(a, a), n) for a, n in self.axes),
            scan=None
            if self.scan is None
            else replace(self.scan, axis=names.get(self.scan.axis, self.scan.axis)),
        )

    def at_step(self, step: IntLike) -> Statement:
        """One step of a statement of a loop: its axis replaced by a number or a running size."""
        assert self.scan is not None
        values: dict[Atom, IntLike] = {Axis(self.scan.axis): step}
        return replace(
            self,
            left=tuple(i.substitute(values) for i in self.left),
            body=ex.substitute(self.body, values),
            guard=None if self.guard is None else ex.substitute(self.guard, values),
            axes=tuple((a, n) for a, n in self.axes if a != self.scan.axis),
            scan=None,
        )

    def canonical(self) -> Statement:
        """With axes named by position, for memoising and for finding equal statements."""
        return self.rename({a: f"_{k}" for k, (a, _) in enumerate(self.axes)})

    def __str__(self) -> str:
        return show(self)


@dataclass(frozen=True)
class Program:
    """Tensors by name, in order of appearance, and statements in an order in which they can be run.

    Attributes:
        target: what is differentiated: the loss, or the last tensor written.
        sizes: the size letters, in order; `given` holds the numbers of those that were given.
        needs: conditions on the sizes that could not be settled while reading: (must be >= 0, the sentence if not).
        text: what the user wrote.
        switched: whether the option `training` chose anything in it.
    """

    tensors: Mapping[str, Tensor]
    statements: tuple[Statement, ...]
    target: str
    sizes: tuple[str, ...] = ()
    needs: tuple[tuple[Int, str], ...] = ()
    text: str = field(default="", compare=False)
    switched: bool = field(default=False, compare=False)

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def role(self, *roles: str) -> tuple[Tensor, ...]:
        return tuple(t for t in self.tensors.values() if t.role in roles)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What must be given to run it, in order: data, labels, constants, weights, draws, states."""
        return self.role("data", "label", "constant", "weight", "draw", "state")

    @cached_property
    def _writers(self) -> dict[str, tuple[Statement, ...]]:
        found: dict[str, list[Statement]] = {}
        for s in self.statements:
            found.setdefault(s.out, []).append(s)
        return {name: tuple(group) for name, group in found.items()}

    def writers(self, name: str) -> tuple[Statement, ...]:
        """The statements that write a tensor, in order."""
        return self._writers.get(name, ())

    def fresh(self, stem: str, taken: Container[str] = ()) -> str:
        """A name that nothing has yet: the stem, or the stem with a number."""
        name, k = stem, 1
        while name in self.tensors or name in self.sizes or name in taken:
            k += 1
            name = f"{stem}_{k}"
        return name

    def __str__(self) -> str:
        declared = [declaration(t) for t in self.tensors.values() if t.role not in COMPUTED]
        sums = {s.out for s in self.statements if not _pure(self, s)}
        declared += [_zeros(self[t]) for t in self.tensors if t in sums]
        written = [s.out for s in self.statements if self[s.out].role != "next"]
        last = [] if self.target in ("loss", *written[-1:]) else [self.target]
        return "\n".join(declared + [show(s, self) for s in self.statements] + last)


Block = tuple[Statement, ...]


def blocks(statements: Iterable[Statement]) -> Iterator[Block]:
    """The statements one by one, those of a loop together."""
    for loop, group in itertools.groupby(statements, lambda s: s.scan and s.scan.loop):
        if loop is None:
            yield from ((s,) for s in group)
        else:
            yield tuple(group)


class Readings:
    """The statements that read each tensor, kept while others take their places. They come in order, those that read
    more than the ones in whose place they stand last.

    Example:
        >>> from symgrad.language.reader import read
        >>> p = read("x: weight[n]; y = x**2; loss = sum(x*y)")
        >>> [s.out for s in Readings(p.statements).of("x")]
        ['y', 'loss']
    """

    def __init__(self, statements: Iterable[Statement]):
        self._found: dict[str, list[Statement]] = {}
        for s in statements:
            for name in s.reads:
                self._found.setdefault(name, []).append(s)

    def of(self, name: str) -> tuple[Statement, ...]:
        return tuple(self._found.get(name, ()))

    def put(self, old: Statement, new: Sequence[Statement]) -> None:
        """`new` stand where `old` stood."""
        for name in dict.fromkeys((*old.reads, *(r for s in new for r in s.reads))):
            readers = self._found.setdefault(name, [])
            k = next((k for k, s in enumerate(readers) if s is old), len(readers))
            readers[k : k + 1] = [s for s in new if name in s.reads]


def needed(statements: Sequence[Statement], names: Iterable[str]) -> Block:
    """The statements that some tensors need, in order."""
    reads: dict[str, dict[str, None]] = {}
    for s in statements:
        reads.setdefault(s.out, {}).update(dict.fromkeys(s.reads))
    todo = list(names)
    wanted = set(todo)
    while todo:
        new = [r for r in reads.get(todo.pop(), ()) if r not in wanted]
        wanted.update(new)
        todo += new
    return tuple(s for s in statements if s.out in wanted)


def downstream(statements: Sequence[Statement], names: Iterable[str]) -> set[str]:
    """The computed tensors that depend on some others, in whatever way."""
    known = set(names)
    found: set[str] = set()
    for block in blocks(statements):
        for _ in block:  # as often as it takes for a loop to come round
            found.update(s.out for s in block if any(r in known or r in found for r in s.reads))
    return found


def in_step_order(block: Block) -> Block:
    """The statements of a loop in an order in which one step can run: what is read at the same step comes before.

    Raises:
        Refusal: within a step they read one another in a circle.
    """
    waiting = {id(s): _same_step(s, block) for s in block}
    done: list[Statement] = []
    left = list(block)
    while left:
        ready = next((s for s in left if not any(o in waiting[id(s)] for o in left)), None)
        if ready is None:
            names = listing(dict.fromkeys(s.out for s in left))
            raise Refusal(
                f"within one step {names} read one another in a circle; one of them must be read at a step before"
            )
        done.append(ready)
        left = [s for s in left if s is not ready]
    return tuple(done)


def _same_step(s: Statement, block: Block) -> list[Statement]:
    """The statements of a loop that write what this one reads at the same step."""
    assert s.scan is not None
    reads = [(a.tensor, a.index) for e in (s.body, s.guard) if e is not None for a in ex.accesses(e)]
    found = []
    for other in block:
        assert other.scan is not None
        places = [k for k, i in enumerate(other.left) if i.axis == other.scan.axis]
        if any(t == other.out and any(index[k].axis == s.scan.axis for k in places) for t, index in reads):
            found.append(other)
    return found


def rows(program: Program) -> Program:
    """The program with early rows counted from 0: where `h` has one row before the first, `h[t]` is its row `t + 1`.

    Realisations store tensors so; the rows of the shape are the last ones of each axis.
    """
    if not any(t.early for t in program.tensors.values()):
        return program
    tensors = {name: stored(t) for name, t in program.tensors.items()}
    return replace(
        program, tensors=tensors, statements=tuple(in_rows(s, program) for s in program.statements)
    )


def stored(t: Tensor) -> Tensor:
    """A tensor with its early rows as part of the shape."""
    return (
        replace(t, shape=tuple(n + k for n, k in zip(t.shape, t.early, strict=True)), early=())
        if t.early
        else t
    )


def in_rows(s: Statement, program: Program) -> Statement:
    """A statement with the positions in tensors that have early rows counted from the first of them."""

    def moved(e: object) -> Expr | None:
        if not isinstance(e, ex.Access) or not program[e.tensor].early:
            return None
        return ex.Access(e.tensor, _later(e.index, program[e.tensor].early))

    return replace(
        s,
        left=_later(s.left, program[s.out].early),
        body=ex.rewrite(s.body, moved),
        guard=None if s.guard is None else ex.rewrite(s.guard, moved),
    )


def _later(index: tuple[Int, ...], early: tuple[int, ...]) -> tuple[Int, ...]:
    return tuple(i + k for i, k in zip(index, early, strict=True)) if early else index


def _zeros(t: Tensor) -> str:
    shape = f"[{', '.join(map(str, t.shape))}]" if t.shape else ""
    return f"{t.name}: zeros{shape}"


def _pure(program: Program, s: Statement) -> bool:
    """Whether a text need not say how large the tensor is that the statement writes."""
    writers = program.writers(s.out)
    return (
        len(writers) == 1
        and (s.plain or s.op == "=")
        and _covers(s, program[s.out])
        or any(w.scan is not None and w.op == "=" for w in writers)
    )


def _covers(s: Statement, t: Tensor) -> bool:
    """Whether a statement that writes no entry twice writes as many as there are."""
    return all(ints.product(s.ranges[a] for a in i.axes) == n for i, n in zip(s.left, t.shape, strict=True))


def declaration(t: Tensor) -> str:
    """The line that declares a tensor."""
    if t.role == "literal":
        assert t.literal is not None
        return f"{t.name} = {_literal(t.literal)}"
    shape = f"[{', '.join(map(str, t.shape))}]" if t.shape else ""
    text = f"{t.name}: {t.role}{shape}"
    f = t.facts
    if t.classes:
        text += f" in [{', '.join(json.dumps(word, ensure_ascii=False) for word in t.classes)}]"
    elif t.below is not None:
        text += f" < {t.below}"
    else:
        low = f"{ex.decimal(f.low)} {'<' if f.strict_low else '<='} " if f.low is not None else ""
        high = f" {'<' if f.strict_high else '<='} {ex.decimal(f.high)}" if f.high is not None else ""
        if low and not high:
            text += f" {'>' if f.strict_low else '>='} {ex.decimal(f.low)}"  # type: ignore[arg-type]
        elif low or high:
            text = f"{t.name}: {low}{t.role}{shape}{high}"
    text += " & distribution" * f.distribution + " & symmetric" * f.symmetric
    text += " & standardized" * t.standardized
    if t.start is not None:
        name, *numbers = t.start
        text += f" = {name}({', '.join(map(str, numbers))})" if isinstance(name, str) else f" = {name}"
    return text


def _literal(x: Nested) -> str:
    return f"[{', '.join(map(_literal, x))}]" if isinstance(x, tuple) else ex.decimal(x)


_REDUCERS = {"+=": "sum", "max=": "max", "min=": "min", "prod=": "prod"}


def show(s: Statement, program: Program | None = None) -> str:
    """The statement as text of the language."""
    if s.op in IMPLICIT:
        return implicit.show(s)
    meant = _sizes_meant(s, program)
    s = s.rename({a: _spare(a, s, program) for a, _ in s.axes if a in meant})
    written = program.tensors.get(s.out) if program is not None else None
    out = written.of if written is not None and written.role == "next" else s.out
    left = f"{out}[{', '.join(map(_on_the_left, s.left))}]" if s.left else out
    guard = f"[{ex.show(s.guard, inside=True)}]" if s.guard is not None else ""
    ranges = _unseen(s, program)
    body = str(s.body)
    whole = s.op == "+=" and (not s.plain or not s.reduced or program is not None and not _pure(program, s))
    if whole:
        reduced = ", ".join(s.reduced)
        right = f"sum({', '.join(filter(None, (reduced, guard, body)))})" if reduced else _guarded(guard, s)
        text = f"{left} += {right}"
    elif s.op == "=":
        text = f"{left} = {_guarded(guard, s)}"
    else:
        ties = 'ties="first"' if s.ties == "first" else ""
        text = f"{left} = {_REDUCERS[s.op]}({', '.join(filter(None, (', '.join(s.reduced), guard, body, ties)))})"
    return ", ".join([text, *(f"{a} < {n}" for a, n in ranges)])


def _on_the_left(i: Int) -> str:
    """A place where something is written; a bare letter would be an index there."""
    return f"{i} + 0" if isinstance(i.atom, Size) else str(i)


def _sizes_meant(s: Statement, program: Program | None) -> set[str]:
    """Letters of a statement's axes that its text cannot use: those of sizes that stand where the axis would be read,
    in positions, in brackets and in its own range."""
    conditions = [b.condition for b in ex.walk(s.body) if isinstance(b, ex.Bracket)]
    conditions += [] if s.guard is None else [s.guard]
    places = [i for a in ex.walk(s.body) if isinstance(a, (ex.Access, ex.Val)) for i in _bracketed(a)]
    places += [i for c in conditions for i in ex.ints(c)]
    sizes = {a.name for i in (*places, *s.left) for a in i.atoms() if isinstance(a, Size)}
    sizes.update(a for a, n in _unseen(s, program) if Size(a) in n.atoms())
    if program is not None:  # in a compound place on the left a letter is a size before it is an axis
        bare = {i.axis for i in s.left}
        placed = {a for i in s.left for a in i.placed}
        sizes.update(a for a in placed if a not in bare and a in program.sizes)
    return sizes


def _bracketed(e: ex.Access | ex.Val) -> tuple[Int, ...]:
    """The integers of a body that are written in brackets: positions, `index(...)`, and what is looked up."""
    if isinstance(e, ex.Access):
        return e.index
    looks = [a for a in e.int.atoms() if isinstance(a, Look)]
    return tuple(i for a in looks for i in a.index) if looks or not e.int.axes else (e.int,)


def _spare(axis: str, s: Statement, program: Program | None) -> str:
    """A letter for an axis that bears the name of a size that is written where the axis would be meant."""
    taken = {*s.ranges, *(program.tensors if program else ()), *(program.sizes if program else ())}
    return next(f"{axis}_{k}" for k in itertools.count(1) if f"{axis}_{k}" not in taken)


def _guarded(guard: str, s: Statement) -> str:
    return str(s.body) if not guard else guard if s.body == ex.ONE else f"{guard}*{ex.show(s.body, ex.POWER)}"


def _unseen(s: Statement, program: Program | None) -> list[tuple[str, Int]]:
    """Axes whose range a reader of the text could not tell from a bare place."""
    if program is None:
        return []
    unknown = _unshaped(s, program)
    exprs = [s.body] if s.guard is None else [s.guard, s.body]
    places = [(a.tensor, a.index) for e in exprs for a in ex.walk(e) if isinstance(a, ex.Access)]
    places += [
        (a.tensor, a.index) for e in exprs for i in ex.ints(e) for a in i.atoms() if isinstance(a, Look)
    ]
    if not _pure(program, s):
        places.append((s.out, s.left))
    told: dict[str, Int] = {}  # by the first bare place; the axis may run less far than later ones
    for name, index in places:
        now = s.scan is not None and any(i.axis == s.scan.axis for i in index)  # what its own equation tells
        for i, n in zip(index, program[name].shape, strict=True):
            if (name not in unknown or now) and i.axis is not None:
                told.setdefault(i.axis, n)
    before = itertools.takewhile(lambda w: w.out != s.out, program.statements)
    if s.out in unknown and s.plain and any(s.out in w.reads for w in before):
        # what is read before its own equation has its shape from there, so that says all of it
        assert s.scan is not None
        told = {a: n for a, n in told.items() if a not in s.kept or a == s.scan.axis}
    return [(a, n) for a, n in s.axes if told.get(a) != n]


def _unshaped(s: Statement, program: Program) -> set[str]:
    """Tensors of the statement's loop that have no shape yet where they are read at an earlier step: none starts
    them."""
    if s.scan is None:
        return set()
    loop = {w.out for w in program.statements if w.scan is not None and w.scan.loop == s.scan.loop}
    return {name for name in loop if all(w.scan is not None for w in program.writers(name))}


def size_letters(shapes: Iterable[Iterable[Int]]) -> tuple[str, ...]:
    """The size letters in shapes, each once, in order."""
    return tuple(dict.fromkeys(a.name for s in shapes for n in s for a in n.atoms() if isinstance(a, Size)))


def inside(index: Iterable[Int], t: Tensor, ranges: Mapping[str, Int], tensors: Mapping[str, Tensor]) -> bool:
    """Whether an entry certainly stands in a tensor, its early rows included."""
    early = t.early or (0,) * len(t.shape)
    return all(within(i + k, n + k, ranges, tensors) for i, n, k in zip(index, t.shape, early, strict=True))


def open_parts(condition: Condition | None, ranges: Mapping[str, Int]) -> Condition | None:
    """A condition without those parts that hold for every value of the axes."""
    return ex.both(*(c for c in ex.conjuncts(condition) if not _certain(c, ranges)))


def _certain(c: Condition, ranges: Mapping[str, Int]) -> bool:
    margins = ex.margins_of(c)
    if margins is None:
        return False
    spans = [ints.bounds(m, ranges) for m in margins]
    return all(span is not None and ints.surely_nonnegative(span[0]) for span in spans)


def within(position: Int, size: Int, ranges: Mapping[str, Int], tensors: Mapping[str, Tensor]) -> bool:
    """Whether a position is certainly from 0 to `size - 1`: by the ranges of its axes, or as a label declared so."""
    atom = position.atom
    if isinstance(atom, Look):
        return tensors[atom.tensor].below == size
    return ints.within(position, size, ranges)
