"""The computational graph of a derivation, read off its trace: who reads whom, and where the error signals flow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from symgrad.explain.cast import Cast
from symgrad.explain.formula import Formula, Number
from symgrad.explain.indices import Indices
from symgrad.explain.plan import numbers
from symgrad.explain.sides import Sides
from symgrad.language import expr as ex
from symgrad.language import samples
from symgrad.language.ints import Int
from symgrad.language.program import COMPUTED, Statement
from symgrad.language.trace import Derived

MANY = 24  # values from which parts that repeat are drawn once


@dataclass(frozen=True)
class Shown:
    """An equation in a box, with its number."""

    left: Formula
    right: Formula
    number: str | None


@dataclass(frozen=True)
class Node:
    """A tensor, or `alike`: so many that are left out, between two that look like them.

    Attributes:
        role: "value", "target", or the role of an input.
        forward, backward: how it is computed, and its adjoint.
        shape: its size along each axis.
        loop: the axis that is stepped through, if it is computed step by step.
        signal: its adjoint, if it has one.
        tensors: its own name and that of its adjoint, or "".
    """

    name: str
    role: str
    symbol: Formula
    shape: tuple[Formula, ...] = ()
    forward: tuple[Shown, ...] = ()
    backward: tuple[Shown, ...] = ()
    loop: int | None = None
    signal: Formula | None = None
    alike: int = 0
    tensors: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Read:
    """`head` is computed from `tail`.

    Attributes:
        delay: in a loop, the step whose value is read, if that is another one.
        inside: whether both are computed in the same loop, step by step.
        backward: whether an error signal flows back.
        tensor: the one that is read; the tail may stand for more than this.
    """

    tail: str
    head: str
    delay: Formula | None = None
    inside: bool = False
    backward: bool = False
    tensor: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes by name, in the order of computation, inputs first; and who reads whom."""

    nodes: dict[str, Node]
    reads: tuple[Read, ...]
    target: str


def graph(
    derived: Derived,
    form: str = "matrix",
    detail: str = "steps",
    many: int = MANY,
    sizes: Mapping[str, int] | None = None,
) -> Graph:
    """The graph of a derivation; the boxes are the equations that its text shows.

    Args:
        form, detail: as for the text.
        many: from so many values on, parts that repeat are drawn once at either end.
        sizes: numbers for all size letters: then shapes are numbers.
    """
    return _Maker(derived, form, detail, sizes).graph(many)


class _Maker:
    def __init__(self, derived: Derived, form: str, detail: str, sizes: Mapping[str, int] | None):
        self.derived, self.sizes = derived, sizes
        self.cast = Cast(derived, named=detail == "everything")
        self.sides = Sides(self.cast, form, numpy=False)
        self.numbers = numbers(derived)
        self.indices: Indices = self.sides.indices()

    def graph(self, many: int) -> Graph:
        target = self.derived.source.target
        values = [n for n in self.cast.forward if n not in self.cast.hidden]
        reads = {name: list(self._reads(name)) for name in values}
        order = _order(target, reads)
        dropped = self._repeated(order, reads, many) if len(order) > many else {}
        # a part that is left out stands as one node
        stands = {name: first for first, names in dropped.items() for name in names}
        joined: dict[tuple[str, str, Formula | None], Read] = {}
        for head in order:
            for read in reads[head]:
                tail, to = stands.get(read.tail, read.tail), stands.get(head, head)
                if tail == to and tail in dropped:
                    continue
                key = (tail, to, read.delay)
                old = joined.get(key)
                joined[key] = replace(
                    read, tail=tail, head=to, backward=read.backward or bool(old and old.backward)
                )
        elsewhere = {tail for tail, head, _ in joined if head not in dropped}
        # what is given to a part that is left out, and to nothing else, is left out with it
        kept = tuple(r for r in joined.values() if r.head not in dropped or r.tail in elsewhere | set(reads))
        inputs = [r.tail for r in kept if r.tail not in reads]
        shown = [*dict.fromkeys(inputs), *(n for n in order if stands.get(n, n) == n)]
        nodes = {n: self._node(n, len(dropped.get(n, ()))) for n in shown}
        return Graph(nodes, kept, target)

    # nodes

    def _node(self, name: str, alike: int) -> Node:
        t, names = self.cast.tensors[name], self.cast.names
        bar = self.cast.adjoint(name)
        group = self.derived.program.writers(bar) if bar else ()
        signal = names.tensor(bar) if bar and group else None
        if self.sizes:
            shape: tuple[Formula, ...] = tuple(Number(Fraction(n)) for n in samples.numbers(t, self.sizes))
        else:
            shape = tuple(map(self.indices.integer, t.shape))
        if alike:
            return Node(name, "alike", names.symbols[name], shape, signal=signal, alike=alike)
        role = "target" if name == self.derived.source.target else "value" if t.role in COMPUTED else t.role
        backward: tuple[Shown, ...] = ()
        if bar and group and role != "target":
            left, right, _ = self.sides.total(group)
            backward = (Shown(left, right, self._number(bar)),)
        forward = tuple(
            Shown(
                *self.sides.defined(s)[:2],
                self.numbers.get((self.cast.places.get(name, 0), name)) if k == 0 else None,
            )
            for k, s in enumerate(self._final(name))
        )
        return Node(
            name, role, names.symbols[name], shape, forward, backward, _stepped(self.cast.forward.get(name, ())),
            signal, tensors=(name, bar or ""),
        )  # fmt: skip

    def _final(self, name: str) -> Sequence[Statement]:
        """The statements of a tensor as they are shown: with what was stored under a name, as the program has them."""
        group = self.cast.forward.get(name, [])
        stored = {s.out for s in self.cast.silent}
        final = self.derived.program.writers(name)
        return final if stored and any(r in stored for s in final for r in s.reads) else group

    def _number(self, bar: str) -> str | None:
        """The equation that an adjoint ends with."""
        t = self.cast.tensors[bar]
        found = None
        for step in self.derived.steps:
            last = step.equation[-1].out if step.equation else bar
            out = self.cast.tensors[last]
            if step.rule not in ("definition", "stable") and (out.seed, out.of) == (t.seed, t.of):
                found = self.numbers[step.number, last]
        return found

    # reads

    def _reads(self, name: str) -> Iterator[Read]:
        """What a value is computed from; parts that are put in place are seen through."""
        flows = self._flows()
        met: dict[tuple[str, Formula | None], Read] = {}
        for s in self._final(name):
            for tensor, access, at in self._inside(s):
                delay, inside = self._delay(name, tensor, access, at)
                if tensor != name or delay is not None:
                    met[tensor, delay] = Read(tensor, name, delay, inside, (tensor, name) in flows, tensor)
        yield from met.values()

    def _inside(self, s: Statement) -> Iterator[tuple[str, ex.Access | None, Statement]]:
        places = ex.accesses(s.body)
        for a in places:
            if a.tensor in self.cast.hidden:
                yield from self._inside(self.cast.hidden[a.tensor])
            else:
                yield a.tensor, a, s
        for r in s.reads:
            if all(a.tensor != r for a in places):
                yield r, None, s

    def _flows(self) -> set[tuple[str, str]]:
        """Between which tensors the chain rule was applied."""
        found = set()
        for step in self.derived.steps:
            if step.source is not None and step.access is not None and step.rule == "chain":
                found.add((step.access.tensor, self.cast.consumer(step.source).out))
        return found

    def _delay(
        self, name: str, tensor: str, access: ex.Access | None, at: Statement
    ) -> tuple[Formula | None, bool]:
        """The step whose value is read, if it is another one of the same loop; and whether it is of the same loop."""
        loops = {s.scan.loop for s in self.cast.forward.get(name, ()) if s.scan}
        writer = next((s for s in self.cast.forward.get(tensor, ()) if s.scan and s.scan.loop in loops), None)
        if writer is None or writer.scan is None or access is None:
            return None, False
        place = next((k for k, i in enumerate(writer.left) if i.axis == writer.scan.axis), None)
        if place is None:
            return None, False
        step: Int = access.index[place]
        same = step.axis is not None and at.scan is not None and step.axis == at.scan.axis
        return (None if same else self.indices.integer(step)), True

    # what repeats

    def _repeated(
        self, order: Sequence[str], reads: dict[str, list[Read]], many: int
    ) -> dict[str, list[str]]:
        """Parts that repeat, without their first and last round: the first name of each, with all its names."""
        left = [(name, self._look(name, reads[name])) for name in order]
        found: dict[str, list[str]] = {}
        while len(left) > many // 2:
            best = _longest([look for _, look in left])
            if best is None:
                break
            start, end = best
            names = [n for n, _ in left[start:end]]
            found[names[0]] = names
            left[start:end] = [(names[0], f"left out {names[0]}")]
        return found

    def _look(self, name: str, reads: Iterable[Read]) -> str:
        """What two equations that do the same have in common."""

        def role(e: object) -> ex.Expr | None:
            if isinstance(e, ex.Access):
                return ex.Access(
                    "value" if self.cast.tensors[e.tensor].role in COMPUTED else "input", e.index
                )
            return None

        written = []
        todo = list(self.cast.forward[name])
        while todo:
            s = todo.pop()
            todo += [self.cast.hidden[r] for r in s.reads if r in self.cast.hidden]
            s = s.canonical()
            written.append(f"{s.op} {ex.rewrite(s.body, role)} {s.axes}")
        shapes = [str(self.cast.tensors[r.tensor].shape) for r in reads]
        return f"{written} {self.cast.tensors[name].shape} {shapes}"


def _stepped(group: Iterable[Statement]) -> int | None:
    """The axis along which a tensor is computed step by step."""
    for s in group:
        for k, i in enumerate(s.left):
            if s.scan is not None and i.axis == s.scan.axis:
                return k
    return None


def _order(target: str, reads: dict[str, list[Read]]) -> list[str]:
    """The values that the target needs, each after those that it reads; a read that would close a circle is delayed."""
    order: list[str] = []
    seen: set[str] = set()
    stack: list[tuple[str, Iterator[Read]]] = [(target, iter(reads.get(target, ())))]
    open_ = {target}
    while stack:
        name, rest = stack[-1]
        new = next(
            (r.tail for r in rest if not r.delay and r.tail in reads and r.tail not in seen | open_), None
        )
        if new is not None:
            open_.add(new)
            stack.append((new, iter(reads[new])))
            continue
        # what is read only at another step has no place yet
        late = next(
            (r.tail for r in reads.get(name, ()) if r.tail in reads and r.tail not in seen | open_), None
        )
        if late is not None:
            open_.add(late)
            stack.append((late, iter(reads[late])))
            continue
        seen.add(name)
        order.append(name)
        stack.pop()
    return order


def _longest(looks: Sequence[str]) -> tuple[int, int] | None:
    """The most that can be left out of what repeats at least four times, its first and last round kept."""
    best: tuple[int, int] | None = None
    for period in range(1, len(looks) // 4 + 1):
        run = 0
        for k in range(period, len(looks) + 1):
            if k < len(looks) and looks[k] == looks[k - period]:
                run += 1
                continue
            rounds = run // period + 1
            if rounds >= 4:
                start = k - run
                end = start + (rounds - 2) * period
                if best is None or end - start > best[1] - best[0]:
                    best = (start, end)
            run = 0
    return best
