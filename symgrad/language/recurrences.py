"""Recurrences: equations that read one another at an earlier step, `h[n, t, j] = f(h[n, t - 1, k])`.

The equations of one circle are read together, in any order. They become ordinary statements that belong to one `Scan`;
rows that stand before position 0 (`h[n, -1, k] = h0[n, k]`) are the tensor's early rows and no part of its shape.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from symgrad.errors import Refusal, listing
from symgrad.language import declarations, equations, ints, subscripts
from symgrad.language import expr as ex
from symgrad.language.brackets import guarded, nonnegative_under
from symgrad.language.expr import Cmp, Condition, Expr
from symgrad.language.frames import Equation
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int
from symgrad.language.program import Scan, Statement, Tensor, in_step_order
from symgrad.language.ranges import Place, letter, plain
from symgrad.language.syntax import words
from symgrad.language.values import Array, Pending, shown

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas


Circle = tuple[str, ...]


def circles(lines: Iterable[ast.stmt], apart: Set[str] = frozenset()) -> Mapping[str, Circle]:
    """For each name that depends on itself, the names of its circle, in the order of the text."""
    reads: dict[str, dict[str, None]] = {}
    for name, value in _equations(lines):
        names = (n.id for n in ast.walk(value) if isinstance(n, ast.Name))
        if name not in apart:
            reads.setdefault(name, {}).update(dict.fromkeys(names))
    left = _unfinished(reads)
    reach = {name: _reached(name, left) for name in left}
    return {
        name: tuple(other for other in left if other in reach[name] and name in reach[other])
        for name in left
        if name in reach[name]
    }


def in_order(lines: Sequence[ast.stmt], circles: Mapping[str, Circle]) -> list[ast.stmt]:
    """The lines of a text, those of its recurrences in an order in which what an equation reads stands before it.

    A circle of equations is one unit; several may be mixed in the text, with other lines between them.
    """

    def names_of(node: ast.stmt) -> tuple[str, ...]:
        name = declarations.base(node.targets[0]) if isinstance(node, ast.Assign) else ""
        return circles.get(name, (name,) if name else ())

    inside = [k for k, node in enumerate(lines) if any(name in circles for name in names_of(node))]
    if not inside:
        return list(lines)
    span = lines[inside[0] : inside[-1] + 1]
    units: dict[object, list[ast.stmt]] = {}
    for k, node in enumerate(span):
        units.setdefault(names_of(node) or k, []).append(node)
    writes = {name: unit for unit in units if isinstance(unit, tuple) for name in unit}
    done: dict[object, None] = {}
    out: list[ast.stmt] = []

    def put(unit: object) -> None:
        if unit in done:
            return
        done[unit] = None
        for node in units[unit]:
            for n in ast.walk(node):
                if isinstance(n, ast.Name) and n.id in writes:
                    put(writes[n.id])
        out.extend(units[unit])

    for unit in units:
        put(unit)
    return [*lines[: inside[0]], *out, *lines[inside[-1] + 1 :]]


def _unfinished(reads: Mapping[str, Mapping[str, None]]) -> dict[str, Mapping[str, None]]:
    """The names left when, again and again, those that read nothing left are taken away: circles, and what
    reads them.
    """
    waits = {name: sum(other in reads for other in others) for name, others in reads.items()}
    readers: dict[str, list[str]] = {}
    for name, others in reads.items():
        for other in others:
            readers.setdefault(other, []).append(name)
    done = [name for name, count in waits.items() if not count]
    for name in done:  # grows while it is walked
        for reader in readers.get(name, ()):
            waits[reader] -= 1
            if not waits[reader]:
                done.append(reader)
    return {name: others for name, others in reads.items() if waits[name]}


def _equations(lines: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in lines:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            base = node.targets[0].value
            if isinstance(base, ast.Name):
                yield base.id, node.value


def _reached(start: str, reads: Mapping[str, Mapping[str, None]]) -> dict[str, None]:
    found: dict[str, None] = {}
    todo = list(reads[start])
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = None
            todo.extend(reads.get(name, ()))
    return found


class Waiting:
    """The lines of a text in the order in which they are read, those of a circle kept until its last line is met.

    What is `apart` gets a next value from itself and is no recurrence: a state.
    """

    def __init__(self, lines: Sequence[ast.stmt], apart: Iterable[str] = ()):
        self.circles = circles(lines, frozenset(apart))
        self.lines = in_order(lines, self.circles)
        self._left: dict[Circle, int] = {}
        self._met: dict[Circle, list[ast.Assign]] = {}
        for node in lines:
            circle = self.circle(node)
            if circle is not None:
                self._left[circle] = self._left.get(circle, 0) + 1

    def circle(self, node: ast.stmt) -> Circle | None:
        """The circle that a line belongs to."""
        match node:
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=name))]):
                return self.circles.get(name)
        return None

    def met(self, circle: Circle, node: ast.stmt) -> list[ast.Assign] | None:
        """Take a line of a circle; all of them if it was the last."""
        assert isinstance(node, ast.Assign)
        self._met.setdefault(circle, []).append(node)
        self._left[circle] -= 1
        return None if self._left[circle] else self._met[circle]


@dataclass
class _Line:
    """One equation of a circle, as far as it has been read."""

    name: str
    node: ast.Assign
    value: ast.expr
    equation: Equation
    left: tuple[Int, ...]
    conditions: list[Condition] = field(default_factory=list)
    start: int | None = None  # for a start, its position
    along: int = 0  # and on which axis
    body: Expr = ex.ZERO
    guard: Condition | None = None
    op: str = "="
    reduced: list[str] = field(default_factory=list)
    ties: str = "shared"
    label: str = ""


def read(f: Formulas, circle: Sequence[str], nodes: Sequence[ast.Assign], *, local: bool = False) -> None:
    """Read the equations of one circle into one loop.

    Args:
        local: whether they stand in a definition, so that their tensors get made-up names.

    Raises:
        Refusal: a missing start, a later step that is read, a circle within one step.
    """
    b = f.builder
    since = len(b.statements)
    lines = [_left(f, node, circle) for node in nodes]
    steps, starts = [x for x in lines if x.start is None], [x for x in lines if x.start is not None]
    tensors = _declared(f, circle, steps, local)
    for line in starts:
        _start(f, line, tensors[line.name])
    covered = {name: _early(f, name, tensors[name], [x for x in starts if x.name == name]) for name in circle}
    for line in steps:
        _step(f, line, covered[line.name], started=any(x.name == line.name for x in starts))
    for line in lines:
        equations.found(f, line.equation)
    parts = b.statements[since:]
    written = [_statement(f, line, tensors[line.name]) for line in lines]
    first = {name: x.along for name in circle for x in starts if x.name == name}
    loop = _loop(
        [*parts, *(s for s, x in zip(written, lines, strict=True) if x.start is None)],
        {tensors[name]: along for name, along in first.items()},
        {tensors[name]: name for name in circle},
        {tensors[name]: sum(x.name == name for x in starts) for name in circle},
    )
    started = [s for s, x in zip(written, lines, strict=True) if x.start is not None]
    inside = {id(s) for s, _ in loop}
    # a name that does not hang on the order of the lines
    own = min(tensors[x.name] for x in starts or lines)
    scanned = [replace(s, scan=Scan(axis, own)) for s, axis in loop]
    b.statements[since:] = [*(s for s in parts if id(s) not in inside), *started, *scanned]
    for line in lines:
        try:
            equations.checked(f, line.equation, since)
        except Refusal as problem:
            raise f.placed(problem, line.node) from None
    ranges = {s.ranges[s.scan.axis] for s in b.statements[since:] if s.scan is not None}
    if len(ranges) > 1:
        raise Refusal(
            f"the steps of {listing(circle)} must run as far as one another, not over {listing(map(str, ranges))}"
        )
    block = [s for s in b.statements[since:] if s.scan is not None]
    for s in block:
        if s.op in IMPLICIT:
            said = f"{s.op} stands inside the recurrence of {listing(circle)}, step by step, where it cannot be taken"
            raise f.placed(
                Refusal(f"{said}; write it outside, for the whole array, or as equations"), nodes[0]
            )
    b.statements[len(b.statements) - len(block) :] = in_step_order(tuple(block))
    for name in circle:
        f.frame.values[name] = b.array(tensors[name])


def _left(f: Formulas, node: ast.Assign, circle: Sequence[str]) -> _Line:
    """The left side of one line; its letters are bound in an equation of its own."""
    (target,) = node.targets
    assert isinstance(target, ast.Subscript)
    assert isinstance(target.value, ast.Name)
    name = target.value.id
    value, given = equations.suffixed(f, node.value)
    constant = [_constant(m) for m in subscripts.items(target.slice)]
    reads = any(isinstance(n, ast.Name) and n.id in circle for n in ast.walk(node.value))
    with equations.entered(f, given, dotted=f.frame.dotted) as equation:
        if any(map(subscripts.is_dots, subscripts.items(target.slice))):
            sizes, letters = f.frame.lead
            equation.leading(len(sizes), letters, sizes, target)
        left: list[Int] = []
        for i in subscripts.left_positions(f, target):
            left += map(ints.axis, equation.dots or ()) if i is None else [i]
        line = _Line(name, node, value, equation, tuple(left))
        if any(constant) and not reads:
            places = [k for k, i in enumerate(left) if i.number is not None]
            if len(places) != 1:
                raise f.placed(
                    Refusal(f"a start gives one step of {name}, `{name}[..., -1, k] = ...`"), target
                )
            line.along, line.start = places[0], left[places[0]].number
            bare = [i for k, i in enumerate(left) if k != places[0]]
        else:
            line.conditions = _conditions(f, target)
            bare = left
        names = [i.axis for i in bare]
        if None in names or len(set(names)) < len(names):
            raise f.placed(
                Refusal(
                    f"the equation of a step writes at letters alone, `{name}[n, t, j] = ...`; {words(target)} does not"
                ),
                target,
            )
    return line


def is_start(target: ast.Subscript) -> bool:
    """Whether a left side stands before the first step: `h[n, -1, k]`."""
    return any(_constant(m) and isinstance(m, ast.UnaryOp) for m in subscripts.items(target.slice))


def _constant(m: ast.expr) -> bool:
    inside = m.operand if isinstance(m, ast.UnaryOp) and isinstance(m.op, ast.USub) else m
    return isinstance(inside, ast.Constant) and type(inside.value) is int


def _conditions(f: Formulas, target: ast.Subscript) -> list[Condition]:
    """`al[t >= 1, j]`: the steps that an equation covers."""
    found: list[Condition] = []
    for m in subscripts.items(target.slice):
        if isinstance(m, ast.Compare) and isinstance(m.ops[0], (ast.Gt, ast.GtE)):
            at = f.equation.find(m.left.id)  # type: ignore[attr-defined]
            assert at is not None
            least = f.whole(m.comparators[0], "a first step") + (1 if isinstance(m.ops[0], ast.Gt) else 0)
            found.append(Cmp(">=", ex.val(at), ex.val(least)))
    return found


def _declared(f: Formulas, circle: Sequence[str], steps: Sequence[_Line], local: bool) -> dict[str, str]:
    """A tensor for each name, its sizes still open where no letter tells them."""
    b, tensors = f.builder, {}
    for name in circle:
        own = [x for x in steps if x.name == name]
        if len(own) != 1:
            node = (own[1:] or own)[0].node if own else steps[0].node
            said = f"a recurrence has one equation for the steps of {name}, and {len(own)} are given"
            hint = (
                f"a start stands at a number, `{name}[-1] = ...`, and what runs backwards counts from the end"
            )
            raise f.placed(Refusal(f"{said}; {hint}, `x[n - 1 - t]`"), node)
        (line,) = own
        axes = [i.axis or "" for i in line.left]
        tensors[name] = b.part_name() if local else name
        tensor = Tensor(tensors[name], tuple(b.ranges.known[a] for a in axes), named=not local, label=b.label)
        f.frame.values[name] = b.declare(tensor, [letter(a) for a in axes])
    return tensors


def _start(f: Formulas, line: _Line, tensor: str) -> None:
    """`h[n, -1, k] = h0[n, k]`: the body of a start."""
    shape = f.builder.tensors[tensor].shape
    with _writing(f, line):
        if len(line.left) != len(shape):
            raise f.placed(
                Refusal(
                    f"{line.name} has {len(shape)} axes in the equation of its steps, and {len(line.left)} here"
                ),
                line.node,
            )
        for k, (i, n) in enumerate(zip(line.left, shape, strict=True)):
            if k != line.along:
                line.equation.note(Place(i, n, (), words(line.node.targets[0]), line.node, "writes"))
        line.body = _entry(f, line).at(())
    _no_strays(f, line)


def _early(f: Formulas, name: str, tensor: str, starts: Sequence[_Line]) -> tuple[int, int]:
    """Note the early rows of a tensor; the axis that its starts stand on, and the first step that they leave."""
    if not starts:
        return 0, 0
    along = starts[0].along
    positions = sorted(x.start for x in starts if x.start is not None)
    before = [p for p in positions if p < 0]
    after = [p for p in positions if p >= 0]
    whole = before == list(range(-len(before), 0)) and after == list(range(len(after)))
    if not whole or any(x.along != along for x in starts):
        at = listing(map(str, positions))
        raise f.placed(
            Refusal(
                f"the starts of {name} stand at {at}: they must be the steps just before the first one, each once"
            ),
            starts[-1].node,
        )
    t = f.builder.tensors[tensor]
    if before:
        early = tuple(len(before) if k == along else 0 for k in range(len(t.shape)))
        f.builder.tensors[tensor] = replace(t, early=early)
    return along, len(after)


def _step(f: Formulas, line: _Line, covered: tuple[int, int], *, started: bool) -> None:
    """The right side of a step."""
    along, first = covered
    if first:
        own = ex.val(line.left[along])
        said = [c for c in line.conditions if c.a == own]  # type: ignore[union-attr]
        if any(c != Cmp(">=", own, ex.val(first)) for c in said):
            raise f.placed(
                Refusal(f"the starts of {line.name} end at {first - 1}, so its steps begin at {first}"),
                line.node,
            )
        if not said:
            line.conditions.append(Cmp(">=", own, ex.val(first)))
    with _writing(f, line), f.builder.under(line.conditions):
        v = _entry(f, line)
        if started:  # a maximum or a sum of its own would also be taken over the start
            line.body = v.at(())
        else:
            line.body, line.guard, line.op, line.reduced = equations.opened(f, v, (), equations.ANY)
        line.guard = ex.both(*line.conditions, line.guard)
        if isinstance(v, Pending):
            line.ties, line.label = v.ties, v.label
    _no_strays(f, line)


def _entry(f: Formulas, line: _Line) -> Array:
    v = f.array(line.value)
    if v.rank:
        raise f.placed(
            Refusal(f"the right side is {shown(v.shape)}; with indices on the left it is one entry"),
            line.value,
        )
    return v


@contextmanager
def _writing(f: Formulas, line: _Line) -> Iterator[None]:
    """Go on with the equation of a line."""
    before, inside, b = f.equation, f.inside, f.builder
    f.equation, f.inside = line.equation, False
    own = (line.name, line.node.lineno) if f.frame.definition is None else (b.target, b.line)
    try:
        with b.writing(*own):
            yield
    finally:
        f.equation, f.inside = before, inside


def _no_strays(f: Formulas, line: _Line) -> None:
    kept = {i.axis for i in line.left}
    stray = [a for a in f.builder.ranges.order(ex.axes(line.body)) if a not in kept and a not in line.reduced]
    if stray:
        x = letter(stray[0])
        raise f.placed(
            Refusal(f"the index {x} is on the right and not on the left; sum over it, `sum({x}, ...)`"),
            line.value,
        )


def _statement(f: Formulas, line: _Line, tensor: str) -> Statement:
    b = f.builder
    kept = [i.axis for i in line.left if i.axis is not None]
    with _writing(f, line):
        s = b.statement(tensor, line.left, line.op, line.body, line.guard, kept, line.reduced, line.ties)
    return replace(s, label=line.label or b.label)


def _loop(
    statements: Sequence[Statement], along: dict[str, int], names: Mapping[str, str], reach: Mapping[str, int]
) -> list[tuple[Statement, str]]:
    """The statements that run step by step, each with the axis that counts its steps.

    Args:
        along: for tensors with a start the axis that it stands on; `names` are what the user calls the tensors.
        reach: how many steps before their own the equations of a tensor may be read.

    Raises:
        Refusal: no axis, or two, along which all of them run; a later step that is read.
    """
    written = set(names)
    count = 0
    while count < len(written):
        count = len(written)
        written |= {s.out for s in statements if any(r in written for r in s.reads)}
    inside = [s for s in statements if s.out in written]
    places = {id(s): [(t, index) for t, index in _places(s) if t in written] for s in inside}
    axis: dict[int, str] = {}
    while len(axis) < len(inside):
        if not _spread(places, along, axis):
            # without a start that tells, it is the axis along which something earlier is read, and nothing later
            earlier = [
                (t, k)
                for s in inside
                for t, index in places[id(s)]
                for k, i in enumerate(index)
                if t not in along and _gap(i) < 0 and i.axes[0] in s.kept
            ]
            found = (
                x for x in earlier if _steps_along(*x, inside, places) and _agrees(*x, places, along, axis)
            )
            tensor, place = next(itertools.chain(found, earlier), ("", 0))
            if not tensor:
                said = f"{listing(names.values())} read one another at the same step only"
                raise Refusal(f"{said}; one of them must be read at a step before, `t - 1`")
            along[tensor] = place
    while _spread(places, along, axis):
        pass
    for s in inside:
        for tensor, index in places[id(s)]:
            i = index[along[tensor]] if tensor in along else ints.ZERO
            if i.axes != (axis[id(s)],) or _gap(i) > 0:
                name = names.get(tensor, "the recurrence")
                said = f"{name} is read at {plain(i)} along its steps; a recurrence runs along one axis, and reads"
                raise Refusal(f"{said} the same step or earlier ones, `t - 1`")
        _check_start(s, axis[id(s)], reach, names)
    return [(s, axis[id(s)]) for s in inside]


def _places(s: Statement) -> list[tuple[str, tuple[Int, ...]]]:
    """Where a statement writes and what it reads."""
    reads = [(x.tensor, x.index) for e in (s.body, s.guard) if e is not None for x in ex.accesses(e)]
    return [(s.out, s.left), *reads]


def _spread(
    places: Mapping[int, list[tuple[str, tuple[Int, ...]]]], along: dict[str, int], axis: dict[int, str]
) -> bool:
    """Carry what is known from tensors to statements and on to tensors; whether anything was new."""
    known = len(along) + len(axis)
    for own, met in places.items():
        for tensor, index in met:
            if tensor in along:
                axes = index[along[tensor]].axes
                if len(axes) == 1:
                    axis.setdefault(own, axes[0])
        for tensor, index in met:
            at = [k for k, i in enumerate(index) if i.axis == axis.get(own, "")]
            if tensor not in along and len(at) == 1:
                along[tensor] = at[0]
    return len(along) + len(axis) > known


def _steps_along(
    tensor: str,
    place: int,
    inside: Sequence[Statement],
    places: Mapping[int, list[tuple[str, tuple[Int, ...]]]],
) -> bool:
    """Whether an axis can count the steps: nothing reads a later row along it, nor its own equation the same one."""
    for s in inside:
        reads = [index[place] for t, index in places[id(s)][1:] if t == tensor]
        last = -1 if s.out == tensor else 0
        if not all(_gap(i) <= last and i.axes[0] in s.kept for i in reads):
            return False
    return True


def _agrees(
    tensor: str,
    place: int,
    places: Mapping[int, list[tuple[str, tuple[Int, ...]]]],
    along: Mapping[str, int],
    axis: Mapping[int, str],
) -> bool:
    """Whether what follows from an axis that counts the steps has every equation read the same step or earlier ones."""
    along, axis = {**along, tensor: place}, dict(axis)
    while _spread(places, along, axis):
        pass
    read = [(t, index, axis.get(own)) for own, met in places.items() for t, index in met if t in along]
    return all(index[along[t]].axes == (a,) and _gap(index[along[t]]) <= 0 for t, index, a in read if a)


_LATER = 10**9


def _gap(i: Int) -> int:
    """How far a position is from the step that its letter counts, `t - 1` is at -1; far behind it if it counts none."""
    if len(i.axes) != 1 or i.coefficient(i.axes[0]) != ints.ONE:
        return _LATER
    number = (i - ints.axis(i.axes[0])).number
    return _LATER if number is None else number


def _check_start(s: Statement, axis: str, reach: Mapping[str, int], names: Mapping[str, str]) -> None:
    """Refuse a read before all starts, unless brackets or the guard exclude it."""
    for x, above in guarded(s.body):
        # of what reads itself, an entry that is not written is a missing start
        own = () if s.guard is None or x.tensor == s.out and s.op == "=" else (s.guard,)
        conditions = (*above, *own)
        steps = [i for i in x.index if axis in i.axes]
        gap = min(map(_gap, steps), default=0)
        if x.tensor not in names or -gap <= reach[x.tensor]:
            continue
        about = [c for c in conditions if axis in ex.axes(c)]
        if about and all(nonnegative_under(i + reach[x.tensor], about, s.ranges, {}) for i in steps):
            continue
        name, at = names[x.tensor], ", ".join(str(gap) if axis in i.axes else plain(i) for i in x.index)
        raise Refusal(
            f"nothing says what stands before the first step of {name}: add its start, `{name}[{at}] = ...`"
        )
