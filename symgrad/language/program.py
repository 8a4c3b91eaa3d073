"""The one form in the middle: a program is a list of statements

    out[left] (= | += | max= | min= | prod=) body    over a domain of axes, where a guard holds

`left` and all positions in `body` are integer expressions in the axes. Everything else in symgrad is a function from
program to program, or from program to text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import Union

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Condition, Expr
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
        start: how a weight or a state starts, or how a draw is drawn: a number, or a named scheme with its numbers
            such as `("he",)`, `("bernoulli", 0.8)`.
        literal: the entries of a literal.
        of: for an adjoint, the tensor by which `seed` is differentiated; the axes of `seed` come first. `sweep` counts
            the sweeps. For a "next", its state.
        named: whether the user gave the name (else it was made up for a lifted part).
        label: for a value or weight made by a layer or function call, that name ("dense", "softmax"), for explanations.
    """

    name: str
    shape: tuple[Int, ...] = ()
    role: str = "value"
    facts: Facts = Facts()
    below: Int | None = None
    start: tuple[object, ...] | None = None
    literal: Nested | None = None
    of: str = ""
    seed: str = ""
    sweep: int = 0
    named: bool = True
    label: str = ""

    @property
    def integer(self) -> bool:
        return self.below is not None


@dataclass(frozen=True)
class Statement:
    """`out[left] op body` for all values of `axes` (name and size, each from 0) where `guard` holds.

    With "=" every axis is in `left`; with "+=", "max=", "min=", "prod=" the axes that `left` does not determine are
    reduced, and several "+=" statements may write one tensor, which starts at zero. `ties` says who gets the adjoint of
    a maximum: "shared" or "first". `line` (of the text, 0 if none) and `label` (the name of the call that it was
    expanded from) are for people only and play no part in equality.
    """

    out: str
    left: tuple[Int, ...]
    op: str
    body: Expr
    axes: tuple[tuple[str, Int], ...] = ()
    guard: Condition | None = None
    ties: str = "shared"
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

    def rename(self, names: Mapping[str, str]) -> Statement:
        """The statement with axes renamed (all at once, so a swap is safe)."""
        values: dict[Atom, IntLike] = {Axis(old): Axis(new) for old, new in names.items()}
        return replace(
            self,
            left=tuple(i.substitute(values) for i in self.left),
            body=ex.substitute(self.body, values),
            guard=None if self.guard is None else ex.substitute(self.guard, values),
            axes=tuple((names.get(a, a), n) for a, n in self.axes),
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

    def fresh(self, stem: str, taken: Iterable[str] = ()) -> str:
        """A name that nothing has yet: the stem, or the stem with a number."""
        used = {*self.tensors, *self.sizes, *taken}
        name, k = stem, 1
        while name in used:
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


def _zeros(t: Tensor) -> str:
    shape = f"[{', '.join(map(str, t.shape))}]" if t.shape else ""
    return f"{t.name}: zeros{shape}"


def _pure(program: Program, s: Statement) -> bool:
    return len(program.writers(s.out)) == 1 and (s.plain or s.op == "=")


def declaration(t: Tensor) -> str:
    """The line that declares a tensor."""
    if t.role == "literal":
        assert t.literal is not None
        return f"{t.name} = {_literal(t.literal)}"
    shape = f"[{', '.join(map(str, t.shape))}]" if t.shape else ""
    text = f"{t.name}: {t.role}{shape}"
    f = t.facts
    if t.below is not None:
        text += f" < {t.below}"
    else:
        low = f"{ex.decimal(f.low)} {'<' if f.strict_low else '<='} " if f.low is not None else ""
        high = f" {'<' if f.strict_high else '<='} {ex.decimal(f.high)}" if f.high is not None else ""
        if low and not high:
            text += f" {'>' if f.strict_low else '>='} {ex.decimal(f.low)}"  # type: ignore[arg-type]
        elif low or high:
            text = f"{t.name}: {low}{t.role}{shape}{high}"
    text += " & distribution" * f.distribution + " & symmetric" * f.symmetric
    if t.start is not None:
        name, *numbers = t.start
        text += f" = {name}({', '.join(map(str, numbers))})" if isinstance(name, str) else f" = {name}"
    return text


def _literal(x: Nested) -> str:
    return f"[{', '.join(map(_literal, x))}]" if isinstance(x, tuple) else ex.decimal(x)


_REDUCERS = {"+=": "sum", "max=": "max", "min=": "min", "prod=": "prod"}


def show(s: Statement, program: Program | None = None) -> str:
    """The statement as text of the language."""
    clash = {a: _spare(a, s, program) for a, n in _unseen(s, program) if n.atom == Size(a)}
    s = s.rename(clash) if clash else s
    written = program.tensors.get(s.out) if program is not None else None
    out = written.of if written is not None and written.role == "next" else s.out
    left = f"{out}[{', '.join(map(str, s.left))}]" if s.left else out
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


def _spare(axis: str, s: Statement, program: Program | None) -> str:
    """A letter for an axis that bears the name of its own size, where `k < k` would have to be written."""
    taken = {*s.ranges, *(program.tensors if program else ()), *(program.sizes if program else ())}
    return next(f"{axis}_{k}" for k in itertools.count(1) if f"{axis}_{k}" not in taken)


def _guarded(guard: str, s: Statement) -> str:
    return str(s.body) if not guard else guard if s.body == ex.ONE else f"{guard}*{ex.show(s.body, ex.POWER)}"


def _unseen(s: Statement, program: Program | None) -> list[tuple[str, Int]]:
    """Axes whose range a reader of the text could not tell from a bare place."""
    if program is None:
        return []
    seen = set()
    places = [(s.out, s.left)] if not _pure(program, s) else []
    exprs = [s.body] if s.guard is None else [s.body, s.guard]
    places += [(a.tensor, a.index) for e in exprs for a in ex.walk(e) if isinstance(a, ex.Access)]
    places += [
        (a.tensor, a.index) for e in exprs for i in ex.ints(e) for a in i.atoms() if isinstance(a, Look)
    ]
    for name, index in places:
        for i, n in zip(index, program[name].shape, strict=True):
            if i.axis is not None and s.ranges.get(i.axis) == n:
                seen.add(i.axis)
    return [(a, n) for a, n in s.axes if a not in seen]


def size_letters(shapes: Iterable[Iterable[Int]]) -> tuple[str, ...]:
    """The size letters in shapes, each once, in order."""
    return tuple(dict.fromkeys(a.name for s in shapes for n in s for a in n.atoms() if isinstance(a, Size)))


def within(position: Int, size: Int, ranges: Mapping[str, Int], tensors: Mapping[str, Tensor]) -> bool:
    """Whether a position is certainly from 0 to `size - 1`: by the ranges of its axes, or as a label declared so."""
    atom = position.atom
    if isinstance(atom, Look):
        return tensors[atom.tensor].below == size
    return ints.within(position, size, ranges)
