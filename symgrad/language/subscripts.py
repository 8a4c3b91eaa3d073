"""Subscripts: entries by index letters, and NumPy's slices, new axes and look-ups."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from symgrad.errors import Refusal
from symgrad.language import ints
from symgrad.language.frames import Option
from symgrad.language.ints import ONE, ZERO, Int
from symgrad.language.ranges import Place
from symgrad.language.syntax import words
from symgrad.language.values import Array, Positions, aligned, broadcast, integer, shown

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas


@dataclass(frozen=True)
class Step:
    """What an axis of the source is read at: a function of positions in the result, and their sizes and letters.

    Without sizes the positions are those of the look-up before.
    """

    find: Callable[[Positions], Int]
    sizes: tuple[Int, ...] | None
    letters: tuple[str, ...]


class _Look(Step):
    """A look-up by an integer array."""


def items(node: ast.expr) -> list[ast.expr]:
    """The members of an index."""
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def dots_are_indices(f: Formulas, *parts: ast.expr) -> bool:
    """Whether `...` in a line of a definition stands for indices, as in `z[..., k] - s[...]`; where no letter and no
    entry is spoken of, as in `x[..., 1:]`, it is NumPy's, all the other axes.
    """
    if not f.frame.dotted:
        return False
    for node in (n for part in parts for n in ast.walk(part)):
        if isinstance(node, ast.Call) and any(map(is_dots, node.args)):
            return True
        members = items(node.slice) if isinstance(node, ast.Subscript) else []
        others = [m for m in members if not is_dots(m)]
        if len(others) == len(members):
            continue
        plain = [m for m in others if not isinstance(m, ast.Slice)]
        if not others or any(
            isinstance(n, ast.Name) and f.frame.is_letter(n.id) for m in plain for n in ast.walk(m)
        ):
            return True
    return False


def _is_none(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and node.value is None) or (
        isinstance(node, ast.Attribute) and node.attr == "newaxis"
    )


def subscript(f: Formulas, node: ast.Subscript) -> Array:
    """`x[n, i]`, `x[0]`, `x[1:, None]`, `E[t]`, `x.shape[0]`."""
    if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
        return shape_entry(f, node.value.value, node.slice)
    base = f.array(node.value)
    members = items(node.slice)
    taken = [m for m in members if not _is_none(m)]
    written = sum(not is_dots(m) for m in taken)
    if written > base.rank:
        name = words(node.value)
        if base.rank == 0:
            raise Refusal(f"{name} is a scalar and has no index; write {name}")
        raise Refusal(
            f"{name} is {shown(base.shape)}: it has {base.rank} axes, and {written} indices are given"
        )
    if sum(map(is_dots, members)) > 1:
        raise Refusal("`...` stands once in an index")
    return _assemble(f, node, base, members, base.rank - written)


def _assemble(f: Formulas, node: ast.Subscript, base: Array, members: list[ast.expr], rest: int) -> Array:
    """Each axis of the base gets a step; the axes of the result are those of the steps in order."""
    steps: list[Step | None] = []  # None is a new axis
    letters = base.letters or ("",) * base.rank
    d = 0
    if not any(map(is_dots, members)):
        members = [*members, ast.copy_location(ast.Constant(...), node)]
        indexed = False
    else:
        # beside slices and new axes `...` is NumPy's, whole axes
        indexed = f.equation.dotted and not any(isinstance(m, ast.Slice) or _is_none(m) for m in members)
    for m in members:
        if _is_none(m):
            steps.append(None)
        elif is_dots(m):
            whole = range(d, d + rest)
            if indexed:
                axes = f.equation.leading(
                    rest, [letters[k] for k in whole], [base.shape[k] for k in whole], m
                )
                steps.extend(_fixed(ints.axis(a)) for a in axes)
                for a, k in zip(axes, whole, strict=True):
                    _note(f, ints.axis(a), base.shape[k], node)
            else:
                steps.extend(_all(base.shape[k], letters[k]) for k in whole)
            d += rest
        else:
            steps.append(_step(f, m, base.shape[d], letters[d], node, _early(f, base, d)))
            d += 1
    return _read(base, _paired(f, steps, node))


def _paired(f: Formulas, steps: list[Step | None], node: ast.Subscript) -> list[Step | None]:
    """Several integer arrays in one index go together, entry by entry, as in NumPy: `p[arange(n), t]` is [n]."""
    looks = {k: s for k, s in enumerate(steps) if isinstance(s, _Look)}
    if len(looks) < 2:
        return steps
    first, last = min(looks), max(looks)
    if any(s is None or s.sizes for k, s in enumerate(steps) if first < k < last and k not in looks):
        said = f"in {words(node)} integer arrays stand apart; write the entry with its indices"
        raise f.placed(Refusal(f"{said}, `y[n] = x[t[n], 0, u[n]]`"), node)
    arrays = [Array(s.sizes or (), s.find, s.letters) for s in looks.values()]
    shape, letters = broadcast(arrays, [words(node)] * len(arrays))
    found = {k: partial(_aligned_look, a, shape) for k, a in zip(looks, arrays, strict=True)}
    return [
        _Look(found[k], shape, letters) if k == first else Step(found[k], None, ()) if k in looks else s
        for k, s in enumerate(steps)
    ]


def _aligned_look(a: Array, shape: tuple[Int, ...], position: Positions) -> Int:
    found: Int = a.at(aligned(a, shape, position))
    return found


def _read(base: Array, steps: list[Step | None]) -> Array:
    """The array whose entries the steps find in the base."""
    shape: list[Int] = []
    names: list[str] = []
    sources: list[tuple[Callable[[Positions], Int], int, int]] = []
    span = (0, 0)  # of the axes that look-ups share
    for s in steps:
        if s is not None and s.sizes is None:
            sources.append((s.find, *span))
            continue
        sizes, letters = ((ONE,), ("",)) if s is None or s.sizes is None else (s.sizes, s.letters)
        own = (len(shape), len(shape) + len(sizes))
        if isinstance(s, _Look):
            span = own
        if s is not None:
            sources.append((s.find, *own))
        shape.extend(sizes)
        names.extend(letters)

    def place(position: Positions) -> Positions:
        return tuple(find(position[start:end]) for find, start, end in sources)

    whole = base.integer
    return Array(
        tuple(shape),
        lambda p: base.at(place(p)),
        tuple(names),
        None if whole is None else lambda p: whole(place(p)),
    )


def _all(size: Int, letter: str) -> Step:
    return Step(lambda p: p[0], (size,), (letter,))


def _fixed(position: Int) -> Step:
    return Step(lambda _: position, (), ())


def _early(f: Formulas, base: Array, axis: int) -> int:
    """How many rows stand before the first along an axis."""
    t = f.builder.tensors.get(base.tensor)
    return t.early[axis] if t is not None and t.early else 0


def _step(f: Formulas, m: ast.expr, size: Int, letter: str, node: ast.Subscript, early: int = 0) -> Step:
    """One member of an index: a slice, a position, or an integer array that is looked up."""
    if isinstance(m, ast.Slice):
        return _slice(f, m, size, letter)
    if isinstance(m, (ast.Compare, ast.BoolOp, ast.List)):
        raise f.placed(
            Refusal(
                "entries are not picked by a condition: keep all of them and write a bracket, `sum([x > "
                "0]*x)`"
            ),
            m,
        )
    position = index(f, m)
    if not position.shape:
        assert position.whole is not None
        at = position.whole
        if isinstance(m, ast.UnaryOp) and at.number is not None and at.number < 0:
            raise f.placed(
                Refusal(
                    "a negative position is no entry from the end; the last is "
                    f"{words(node.value)}[{size - 1}] "
                    f"(positions run from 0 to {size - 1})"
                ),
                m,
            )
        _note(f, at, size, node, early=early)
        return _fixed(at)
    whole = position.integer
    assert whole is not None
    letters = position.letters or ("",) * position.rank
    axes = [f.builder.ranges.new(x, n) for x, n in zip(letters, position.shape, strict=True)]
    probe = whole(tuple(map(ints.axis, axes)))
    _note(f, probe, size, node)
    return _Look(whole, position.shape, letters)


def index(f: Formulas, m: ast.expr) -> Array:
    """A position: an integer array, mostly a scalar. In a `return` an unknown letter is bound here."""
    if (
        isinstance(m, ast.Name)
        and f.equation.free
        and f.equation.find(m.id) is None
        and f.frame.is_letter(m.id)
    ):
        f.equation.bind(m.id, m, outermost=True)
    with f.positions():
        a = f.value(m)
    if isinstance(a, Option):
        raise f.placed(Refusal(f"{words(m)} is no position"), m)
    if a.integer is None:
        said = f"{words(m)} is no whole number, so it cannot be a position"
        if a.tensor:
            said += f"; an integer tensor is declared `{a.tensor}: label[n] < 10`"
        raise f.placed(Refusal(said), m)
    return a


def _note(f: Formulas, position: Int, size: Int, node: ast.expr, early: int = 0) -> None:
    place = Place(
        position, size, tuple(f.builder.guards), words(node), None if f.frame.foreign else node, early=early
    )
    f.equation.note(place)


def _slice(f: Formulas, m: ast.Slice, size: Int, letter: str) -> Step:
    """`1:`, `:m`, `::2`, within the axis."""
    step = f.whole(m.step, "a step").number if m.step is not None else 1
    if step is None or step == 0:
        raise f.placed(Refusal("the step of a slice is a number that is not 0"), m)
    if step < 0:
        if m.lower is not None or m.upper is not None or step != -1:
            raise f.placed(Refusal("of the backward slices only `[::-1]` is read"), m)
        return Step(lambda p: size - 1 - p[0], (size,), (letter,))
    start = _from_end(f.whole(m.lower, "the start of a slice"), size) if m.lower is not None else ZERO
    stop = _from_end(f.whole(m.upper, "the end of a slice"), size) if m.upper is not None else size
    for end, what in ((start, "starts"), (stop, "ends")):
        inside = (ints.nonnegative(end), ints.nonnegative(size - end))
        if False in inside:
            raise f.placed(Refusal(f"this slice {what} at {end} of an axis with {size} entries"), m)
        for margin in (end, size - end):
            if ints.nonnegative(margin) is None:
                f.builder.needs[
                    margin, f"the slice {words(m)} {what} at {end} of an axis with {size} entries"
                ] = None
    length = stop - start
    if ints.nonnegative(length - 1) is False:
        raise f.placed(Refusal(f"this slice from {start} to {stop} is empty"), m)
    if ints.nonnegative(length - 1) is None:
        f.builder.needs[length - 1, f"the slice {words(m)} from {start} to {stop} is empty"] = None
    count = (length - 1) // step + 1
    kept = letter if count == size else ""
    return Step(lambda p: p[0] * step + start, (count,), (kept,))


def _from_end(end: Int, size: Int) -> Int:
    """The end of a slice; one that is certainly negative is counted from the end of the axis, as in NumPy."""
    return end + size if ints.nonnegative(-1 - end) is True else end


def shape_entry(f: Formulas, of_what: ast.expr, which: ast.expr) -> Array:
    """`x.shape[0]`, `x.shape[-1]`."""
    a = f.array(of_what)
    number = f.whole(which, "an axis").number
    if number is None or not -a.rank <= number < a.rank:
        raise Refusal(f"{words(of_what)} is {shown(a.shape)} and has no axis {words(which)}")
    return integer(a.shape[number])


def left_positions(f: Formulas, target: ast.Subscript) -> tuple[Int | None, ...]:
    """The positions of a left side; its letters become bound. None stands for `...`.

    Bare names are letters, unless they are labels; in a compound position a name is a letter
    if it is one elsewhere on the left or no size.
    """
    members = items(target.slice)
    equation = f.equation
    for m in members:
        match m:
            case ast.Name(id=name):
                if not _looked_up(f, name):
                    _bind_left(f, name, m)
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Lt() | ast.LtE() as op], comparators=[bound]):
                size = f.range(bound, name, op)
                _own_range(f, name, bound)
                _bind_left(f, name, m, size)
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Gt() | ast.GtE()]):
                _bind_left(f, name, m)
    out: list[Int | None] = []
    for member in members:
        if is_dots(member) and equation.dotted:
            out.append(None)
            continue
        m = member.left if isinstance(member, ast.Compare) and isinstance(member.left, ast.Name) else member
        for n in ast.walk(m):
            if isinstance(n, ast.Name) and equation.find(n.id) is None and not _known_whole(f, n.id):
                _bind_left(f, n.id, n)
        with f.positions():
            a = f.array(m)
        if a.whole is None:
            raise f.placed(
                Refusal(f"{words(m)} is no position to write at: use letters, numbers and sizes"), m
            )
        out.append(a.whole)
    return tuple(out)


def _own_range(f: Formulas, name: str, bound: ast.expr) -> None:
    if isinstance(bound, ast.Name) and bound.id == name:
        raise f.placed(
            Refusal(f"`{name} < {name}` says nothing: give the index another letter than its range"), bound
        )


def _bind_left(f: Formulas, name: str, node: ast.AST, size: Int | None = None) -> None:
    bound = f.equation.find(name)
    if bound is not None and size is None:
        return
    refuse_tensor_letter(f, name, node)
    f.equation.bind(name, node, size)


def _known_whole(f: Formulas, name: str) -> bool:
    if name in f.equation.given:
        return False
    v = f.frame.values.get(name)
    return name in f.frame.sizes or isinstance(v, Array) and (v.integer is not None or bool(v.shape))


def _looked_up(f: Formulas, name: str) -> bool:
    """Whether a name is one entry of an integer tensor, such as a label, and no letter of this equation."""
    v = f.frame.values.get(name)
    if name in f.equation.given or not isinstance(v, Array) or v.whole is None:
        return False
    return any(isinstance(a, ints.Look) for a in v.whole.atoms())


def refuse_tensor_letter(f: Formulas, name: str, node: ast.AST) -> None:
    """An index letter is never a tensor's name."""
    if f.frame.is_letter(name) and (f.frame.definition is not None or name not in f.names):
        return
    raise f.placed(Refusal(f"{name} is a tensor, so it cannot be an index; choose another letter"), node)
