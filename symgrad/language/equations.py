"""Equations: a left side, a right side, and the statements that they become."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints, subscripts, writers
from symgrad.language.build import Builder, split_brackets
from symgrad.language.definitions import Definition
from symgrad.language.expr import Condition, E, Expr
from symgrad.language.frames import Equation, Value
from symgrad.language.ints import Axis, Int
from symgrad.language.program import Statement, Tensor
from symgrad.language.ranges import Place, letter, plain
from symgrad.language.syntax import is_condition, words
from symgrad.language.values import Array, Pending, Positions, aligned, broadcast, shown, widened

if TYPE_CHECKING:
    from symgrad.language.formulas import Formulas

ANY = ("=", "+=", "max=", "min=", "prod=")


def moved(e: E, to: Mapping[str, Int]) -> E:
    """An expression with axes replaced by positions."""
    return ex.substitute(e, {Axis(a): x for a, x in to.items()})


@contextmanager
def entered(
    f: Formulas, given: Mapping[str, Int], *, free: bool = False, dotted: bool = False
) -> Iterator[Equation]:
    """A fresh equation: its letters are not seen outside, and no guard of outside speaks of them."""
    before, inside = f.equation, f.inside
    f.equation, f.inside = Equation(f.builder.ranges, given, free=free, dotted=dotted), False
    try:
        yield f.equation
    finally:
        f.equation, f.inside = before, inside


def suffixed(f: Formulas, value: ast.expr) -> tuple[ast.expr, dict[str, Int]]:
    """A right side and the ranges given after it: `sum(...), g < 2, f < 3`."""
    if not isinstance(value, ast.Tuple):
        return value, {}
    if not value.elts:
        raise f.placed(Refusal("`()` is no formula; write a number, a name or an equation"), value)
    given: dict[str, Int] = {}
    for node in value.elts[1:]:
        match node:
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Lt() | ast.LtE() as op], comparators=[bound]):
                if isinstance(bound, ast.Name) and bound.id == name:
                    raise f.placed(
                        Refusal(f"`{words(node)}` says nothing: give the index another letter"), node
                    )
                subscripts.refuse_tensor_letter(f, name, node)
                given[name] = f.range(bound, name, op)
            case _:
                raise f.placed(
                    Refusal("after an equation stand ranges only, `y[g, f] = ..., g < 2, f < 3`"), node
                )
    return value.elts[0], given


def opened(
    f: Formulas, v: Array, position: Positions, ops: Sequence[str]
) -> tuple[Expr, Condition | None, str, list[str]]:
    """A right side as body, guard, operation and reduced axes: a part that is the whole needs no statement of
    its own.
    """
    if isinstance(v, Pending) and not v.written and v.op in ops and list(v.guards) == f.builder.guards:
        body, guard = v.body(position)
        v.written = True
        return body, guard, v.op, list(v.reduced)
    return v.at(position), None, "=", []


def solved(f: Formulas, equation: Equation, since: int) -> None:
    """Find the open ranges of an equation, and check everything that it reads and writes."""
    found(f, equation)
    checked(f, equation, since)


def found(f: Formulas, equation: Equation) -> None:
    """Find the open ranges of an equation."""
    ranges = f.builder.ranges
    try:
        ranges.solve(equation.places, equation.axes)
    except Refusal as problem:
        stuck = next((a for a in equation.axes if ranges.is_open(a)), None)
        raise f.placed(problem, equation.owners[stuck]) if stuck in equation.owners else problem from None


def checked(f: Formulas, equation: Equation, since: int) -> None:
    """Check everything that an equation reads and writes, and put the ranges in."""
    ranges = f.builder.ranges
    for axis in equation.axes:
        size = ranges.settled(ranges.known[axis])
        inside = ints.nonnegative(size - 1)
        if inside is False:
            raise Refusal(f"{letter(axis)} has nothing to run over: its range comes out as {plain(size)}")
        if inside is None:
            said = f"{letter(axis)} has nothing to run over: its range is {plain(size)}"
            f.builder.needs[size - 1, said] = None
    f.builder.settle(since)
    for place in equation.places:
        need = ranges.check(place, f.builder.below)
        if need is not None:
            f.builder.needs[need] = None


def local(f: Formulas, line: ast.Assign) -> None:
    """An equation inside a definition: a tensor that only its lines see."""
    (target,) = line.targets
    base = target.value if isinstance(target, ast.Subscript) else target
    assert isinstance(base, ast.Name)
    if base.id in f.frame.values or base.id in f.frame.weights:
        raise Refusal(f"{base.id} is written twice in this definition").at(line)
    since = len(f.builder.statements)
    value, given = suffixed(f, line.value)
    with entered(f, given, dotted=subscripts.dots_are_indices(f, target, value)) as equation:
        left = subscripts.left_positions(f, target) if isinstance(target, ast.Subscript) else None
        v = f.array(value)
        if left is None:
            if equation.dots and not v.rank and set(ex.axes(v.at(()))) & set(equation.dots):
                said = f"the right side gives one entry, and {base.id} is written without indices"
                raise f.placed(Refusal(f"{said}: write `{base.id}[...] = ...`"), value)
            solved(f, equation, since)
            f.frame.values[base.id] = v if v.fixed is not None else f.builder.stored(v)
            return
        if v.rank:
            raise f.placed(
                Refusal(f"the right side is {shown(v.shape)}; with indices on the left it is one entry"),
                value,
            )
        _close(v)
        places = [p for i in left for p in (map(ints.axis, equation.dots or ()) if i is None else (i,))]
        bare = [i.axis for i in places if i.axis is not None]
        if len(set(bare)) != len(bare):
            raise f.placed(
                Refusal("each index stands once on the left of an equation in a definition"), target
            )
        solved(f, equation, since)
        units = _units(f, bare)
        places = [i.substitute(units) for i in places]
        order = [i.axis for i in places if i.axis is not None]
        whole = len(order) == len(places)
        made = _over(f, v, order, units) if whole else _placed(f, v, tuple(places), target, units)
        f.frame.values[base.id] = made


def _units(f: Formulas, bare: Sequence[str]) -> dict[ints.Atom, ints.IntLike]:
    """Axes of one entry that are no axes of what is written: their position is 0."""
    ranges = f.builder.ranges
    return {
        Axis(a): 0 for a in f.equation.axes if a not in bare and ranges.settled(ranges.known[a]) == ints.ONE
    }


def _inside(
    f: Formulas, v: Array, ops: Sequence[str], units: Mapping[ints.Atom, ints.IntLike]
) -> tuple[Expr, Condition | None, str, list[str]]:
    """What an equation of a definition says of one entry, with all ranges put in."""
    body, guard, op, reduced = opened(f, v, (), ops)
    body, guard = f.builder.settled(body), None if guard is None else f.builder.settled(guard)
    if units and op in ("=", "+="):
        body, guard = ex.substitute(body, units), None if guard is None else ex.substitute(guard, units)
        reduced = [a for a in reduced if Axis(a) not in units]
        op = op if reduced else "="
    return body, guard, op, reduced


def _placed(
    f: Formulas,
    v: Array,
    places: Positions,
    target: ast.expr,
    units: Mapping[ints.Atom, ints.IntLike],
) -> Array:
    """What an equation with compound positions on its left writes: `y[..., 3*g + r] = ...`, each entry once."""
    b = f.builder
    statement, outer = _entries(f, v, places, ANY, units)
    left = statement.left
    at = writers.box(statement)
    found = None if at is None else writers.extent([at])
    shape = None if found is None else tuple(map(b.ranges.settled, found))
    if shape is None:
        raise f.placed(Refusal(f"nothing shows that {words(target)} writes each entry once"), target)
    before = tuple(map(ints.axis, outer))
    domain = tuple((a, b.ranges.known[a]) for a in outer)
    name = b.part_name()
    letters = [letter(i.axis) if i.axis is not None else "" for i in (*before, *left)]
    b.declare(Tensor(name, (*(n for _, n in domain), *shape), named=False, label=b.label), letters)
    b.write(replace(statement, out=name, left=(*before, *left), axes=(*domain, *statement.axes)))
    own_letters = tuple(letters[len(before) :])
    return Array(shape, lambda p: ex.Access(name, before + p), own_letters, tensor="" if before else name)


def _left_axes(f: Formulas, equation: Equation, left: Sequence[Int | None], target: ast.expr) -> list[str]:
    """The axes of a left side with bare letters only, those of `...` put in."""
    order: list[str] = []
    for i in left:
        if i is None:
            order.extend(equation.dots or ())
        elif i.axis is None:
            raise f.placed(Refusal("here the left side has bare indices only, `y[..., k]`"), target)
        else:
            order.append(i.axis)
    if len(set(order)) != len(order):
        raise f.placed(Refusal("each index stands once on the left of an equation in a definition"), target)
    return order


def _over(
    f: Formulas, v: Array, order: Sequence[str], units: Mapping[ints.Atom, ints.IntLike] | None = None
) -> Array:
    """An entry with free axes as the array over them: one statement, written when it is needed."""
    ranges = f.builder.ranges
    shape = tuple(ranges.settled(ranges.known[a]) for a in order)
    letters = tuple(letter(a) for a in order)
    body, guard, op, reduced = _inside(f, v, ANY, units or {})
    extra = [a for a in f.equation.axes if a in ex.axes(body) and a not in order and a not in reduced]
    if extra:
        name = letter(extra[0])
        raise Refusal(
            f"the index {name} is on the right and not on the left; sum over it, `sum({name}, ...)`"
        )

    def at(position: Positions) -> tuple[Expr, Condition | None]:
        to = dict(zip(order, position, strict=True))
        return moved(body, to), None if guard is None else moved(guard, to)

    ties = v.ties if isinstance(v, Pending) else "shared"
    return f.builder.pending(op, shape, at, reduced, letters, ties)


def returned(f: Formulas, value: ast.expr, d: Definition) -> Value:
    """What a definition gives: free letters become axes, in the signature's order, then as they appear."""
    since = len(f.builder.statements)
    with entered(f, {}, free=True, dotted=subscripts.dots_are_indices(f, value)) as equation:
        v = f.value(value)
        if not isinstance(v, Array):
            return v
        free = equation.scopes[0]
        if not free and equation.dots is None:
            solved(f, equation, since)
            if (
                isinstance(v, Pending)
                or v.tensor
                or v.fixed is not None
                or (v.integer is not None and v.whole is not None)
            ):
                return v
            return f.builder.stored(v)
        if v.rank:
            name = next(iter(free), "...")
            raise Refusal(
                f"this gives {shown(v.shape)} for each {name}: write one entry, with all its indices"
            ).at(value)
        _close(v)
        order = _signature_order(d, free, equation)
        solved(f, equation, since)
        return _over(f, v, order)


def _close(v: Array) -> None:
    """Read the body once, so that everything it needs is written and every range is met."""
    if isinstance(v, Pending) and not v.written:
        v.body(())
    else:
        v.at(())


def _signature_order(d: Definition, free: Mapping[str, str], equation: Equation) -> list[str]:
    """Free axes as the signature names them, then in the order in which they appeared."""
    order: list[str] = list(equation.dots or ())
    for p in d.params:
        names = [p.name] if p.axes is None else [n.id for n in p.axes if isinstance(n, ast.Name)]
        order.extend(free[n] for n in names if n in free and free[n] not in order)
    return [*order, *(a for a in free.values() if a not in order)]


def local_sum(f: Formulas, line: ast.AugAssign) -> None:
    """`y[..., 2*i + p] += ...` inside a definition, into what was declared as zeros there."""
    target, b = line.target, f.builder
    assert isinstance(target, ast.Subscript)
    assert isinstance(target.value, ast.Name)
    name = target.value.id
    if name not in f.frame.zeros:
        raise Refusal(f"declare the sizes of {name} before it is added to: `{name}: zeros[...]`").at(line)
    shape = f.frame.zeros[name]
    since = len(b.statements)
    value, given = suffixed(f, line.value)
    with entered(f, given, dotted=f.frame.dotted) as equation:
        left = subscripts.left_positions(f, target)
        v = f.array(value)
        if v.rank:
            raise f.placed(
                Refusal(f"the right side is {shown(v.shape)}; with indices on the left it is one entry"),
                value,
            )
        body, guard = v.body(()) if isinstance(v, Pending) and not v.written else (v.at(()), None)
        excluded, _ = split_brackets(body, False)
        places = tuple(p for i in left for p in (map(ints.axis, equation.dots or ()) if i is None else (i,)))
        _note_writes(f, shape, places, target, ex.both(guard, *excluded))
        solved(f, equation, since)
        units = _units(f, [i.axis for i in places if i.axis is not None])
        places = tuple(i.substitute(units) for i in places)
        statement, outer = _entries(f, v, places, ("=", "+="), units)
        if outer:
            raise Refusal("this stands in a line of its own, outside an equation with indices")
        array = f.frame.values.get(name)
        if not isinstance(array, Array):
            array = f.frame.values[name] = b.declare(
                Tensor(b.part_name(), shape, named=False, label=b.label),
                [letter(i.axis) if i.axis is not None else "" for i in statement.left],
            )
        b.write(replace(statement, out=array.tensor, op="+=", label=b.label))


def _entries(
    f: Formulas,
    v: Array,
    places: Positions,
    ops: Sequence[str],
    units: Mapping[ints.Atom, ints.IntLike],
) -> tuple[Statement, list[str]]:
    """The statement, its tensor still without a name, that writes entries at places; and the axes of around it
    that it depends on.
    """
    b = f.builder
    body, guard, op, reduced = _inside(f, v, ops, units)
    left = tuple(map(b.ranges.settled, places))
    own = list(dict.fromkeys(a for i in left for a in i.axes))
    outer = b.outer(body, guard, [*own, *reduced])
    stray = [a for a in outer if a in f.equation.axes]
    if stray:
        name = letter(stray[0])
        raise Refusal(
            f"the index {name} is on the right and not on the left; sum over it, `sum({name}, ...)`"
        )
    ties = v.ties if isinstance(v, Pending) else "shared"
    return b.statement("", left, op, body, guard, own, reduced, ties), outer


# ---------------------------------------------------------------------- the text's own equations


def written(
    f: Formulas, name: str, value: ast.expr, line: int, op: str = "=", *, last: bool = False
) -> Statement | None:
    """`name = formula`, without indices: the statement, whose tensor is still to be declared.

    None where the formula is a list of numbers, or a part that only takes the name. `m = max(x, axis=1, keepdims=True)`
    is kept without the axis of one entry, unless it is the `last` equation, whose shape is the result's.
    """
    b = f.builder
    since = len(b.statements)
    value, given = suffixed(f, value)
    if op == "=" and isinstance(value, ast.List) and not is_condition(value):
        f.frame.values[name] = f.literal(value, name, named=True)
        return None
    with b.writing(name, line), entered(f, given) as equation:
        v = f.array(value)
        if v.narrow is not None and name not in b.zeros and not last:
            v, f.wide[name] = v.narrow
        made = b.tensors.get(v.tensor)
        if (
            op == "="
            and made is not None
            and not made.named
            and any(s.out == v.tensor for s in b.statements[since:])
        ):
            solved(f, equation, since)
            b.rename(v.tensor, name)
            f.frame.values[name] = named(f, name)
            return None
        shape, letters = v.shape, v.letters or ("",) * v.rank
        if name in b.zeros:
            shape = b.zeros[name]
            common, letters = broadcast([Array(shape, v.entry), v], [name, words(value)])
            if common != shape:
                raise Refusal(f"{name} is {shown(shape)}, and the right side is {shown(v.shape)}")
        own = [b.ranges.new(x or "", n) for x, n in zip(letters, shape, strict=True)]
        at = tuple(map(ints.axis, own))
        body, guard, found, reduced = opened(f, v, aligned(v, shape, at), ANY if op == "=" else ("=", "+="))
        solved(f, equation, since)
        return _add(f, name, at, op if op == "+=" else found, body, guard, own, reduced, v)


def indexed(
    f: Formulas, target: ast.Subscript, value: ast.expr, line: int, op: str, before: Sequence[Statement]
) -> Statement:
    """`y[n, j] = formula`, or `+=`: one entry for all values of the letters on the left.

    `before` are the tensor's other equations so far.
    """
    b = f.builder
    base = target.value
    assert isinstance(base, ast.Name)
    name, since = base.id, len(b.statements)
    value, given = suffixed(f, value)
    with b.writing(name, line), entered(f, given) as equation:
        left = tuple(i for i in subscripts.left_positions(f, target) if i is not None)
        v = f.array(value)
        if v.rank:
            raise f.placed(
                Refusal(
                    f"the right side is {shown(v.shape)}; with indices on the left it is one entry: write "
                    f"`{name} = {words(value)}`, or give every tensor on the right its indices"
                ),
                value,
            )
        body, guard, found, reduced = opened(f, v, (), ANY if op == "=" else ("=", "+="))
        if name in b.zeros:
            excluded, _ = split_brackets(body, False)
            _note_writes(f, b.zeros[name], left, target, ex.both(guard, *excluded))
        _like_others(f, left, before)
        solved(f, equation, since)
        body = b.settled(body)
        left = tuple(map(b.ranges.settled, left))
        kept = list(dict.fromkeys(a for i in left for a in i.axes))
        stray = [a for a in b.ranges.order(ex.axes(body)) if a not in kept and a not in reduced]
        if stray:
            x = letter(stray[0])
            raise Refusal(
                f"the index {x} is on the right and not on the left; sum over it, `sum({x}, ...)`"
            ).at(value)
        return _add(f, name, left, op if op == "+=" else found, body, guard, kept, reduced, v)


def advanced(f: Formulas, state: Tensor, target: ast.expr, value: ast.expr) -> None:
    """The next value of a state, `m = 0.9*m + ...` or `m[c] = 0.9*m[c] + ...`; reads see the present one.

    In evaluation nothing moves on.
    """
    b = f.builder
    if not f.training.value:
        return
    if any(t.role == "next" and t.of == state.name for t in b.tensors.values()):
        raise Refusal(
            f"the state {words(target)} has one next value: put its equations together (and a layer with a state is "
            "used once)"
        )
    since, name = len(b.statements), b.next_name(state.name)
    value, given = suffixed(f, value)
    dotted = subscripts.dots_are_indices(f, target, value)
    with b.writing(state.name, b.line), entered(f, given, dotted=dotted) as equation:
        left = subscripts.left_positions(f, target) if isinstance(target, ast.Subscript) else None
        v = f.array(value)
        if left is None:
            shape, _ = broadcast([b.array(state.name), v], [words(target), words(value)])
            _refuse_growth(state, shape, target)
            kept = [b.ranges.new(x or "", n) for x, n in zip(b.letters[state.name], state.shape, strict=True)]
            position = aligned(v, shape, tuple(map(ints.axis, kept)))
        else:
            if v.rank:
                said = f"the right side is {shown(v.shape)}; with indices on the left it is one entry"
                raise f.placed(Refusal(said), value)
            kept, position = _left_axes(f, equation, left, target), ()
            assert isinstance(target, ast.Subscript)
            _note_writes(f, state.shape, tuple(map(ints.axis, kept)), target, None)
        body, guard, op, reduced = opened(f, v, position, ANY)
        solved(f, equation, since)
        body = b.settled(body)
        _refuse_growth(state, tuple(b.ranges.settled(b.ranges.known[a]) for a in kept), target)
        _add(f, name, tuple(map(ints.axis, kept)), op, body, guard, kept, reduced, v)
    b.declare(Tensor(name, state.shape, "next", of=state.name, label=b.label), [letter(a) for a in kept])


def _refuse_growth(state: Tensor, shape: Sequence[Int], target: ast.expr) -> None:
    if tuple(shape) != state.shape:
        raise Refusal(
            f"the state {words(target)} is {shown(state.shape)}, and its next value is {shown(shape)}"
        )


def _like_others(f: Formulas, left: Positions, before: Sequence[Statement]) -> None:
    """A bare letter whose range nothing tells runs as far as the one in its place in an earlier equation."""
    for s in before:
        for i, other in zip(left, s.left, strict=False):
            if i.axis is not None and other.axis is not None and f.builder.ranges.is_open(i.axis):
                f.builder.ranges.set(i.axis, s.ranges[other.axis])


def _add(
    f: Formulas,
    name: str,
    left: Positions,
    op: str,
    body: Expr,
    guard: Condition | None,
    kept: Sequence[str],
    reduced: Sequence[str],
    v: Array,
) -> Statement:
    """Add the statement of an equation, with all ranges put in."""
    b = f.builder
    since = len(b.statements)
    label, ties = (v.label, v.ties) if isinstance(v, Pending) else ("", "shared")
    b.write(replace(b.statement(name, left, op, body, guard, kept, reduced, ties), label=label))
    b.settle(since)
    return b.statements[since]


def _note_writes(
    f: Formulas, shape: Sequence[Int], left: Positions, target: ast.Subscript, guard: Condition | None
) -> None:
    if len(shape) != len(left):
        raise f.placed(
            Refusal(f"{words(target)} has {len(left)} indices, but the tensor is {shown(shape)}"), target
        )
    guards = (*f.builder.guards, *([guard] if guard is not None else ()))
    for i, n in zip(left, shape, strict=True):
        f.equation.note(Place(i, n, guards, words(target), target, "writes"))


def completed(f: Formulas, name: str, statements: Sequence[Statement], node: ast.AST) -> None:
    """Declare a tensor once all its equations are read: its sizes, and that each entry is written as it may
    be.
    """
    b = f.builder
    declared = b.zeros.get(name)
    boxes = [writers.box(s) for s in statements]
    plain_sum = len(statements) == 1 and statements[0].plain
    if plain_sum:
        (s,) = statements
        shape: tuple[Int, ...] | None = tuple(s.ranges[a] for a in s.kept)
        if s.op == "+=" and not s.reduced:
            _swap(b, [s], [replace(s, op="=")])
    else:
        whole = [x for x in boxes if x is not None]
        shape = writers.extent(whole) if len(whole) == len(boxes) else None
    if declared is None and shape is None and statements[0].op == "+=" and all(s.plain for s in statements):
        shape = tuple(statements[0].ranges[a] for a in statements[0].kept)
        if any(tuple(s.ranges[a] for a in s.kept) != shape for s in statements):
            shape = None
    if declared is not None and declared != shape:
        once = len(statements) == 1 and writers.injective(statements[0])
        known = [x for x in boxes if x is not None]
        once = once or len(known) == len(boxes) and writers.disjoint(known)
        if not once and any(s.op != "+=" for s in statements):
            raise Refusal(
                f"nothing shows that the equations of {name} write each entry at most once; use `+=`"
            ).at(node)
        _swap(b, statements, [writers.added(s) if s.op == "=" else s for s in statements])
        shape = declared
    if shape is None:
        raise Refusal(
            f"nothing shows that the equations of {name} write each of its entries once; give its sizes "
            "first, "
            f"`{name}: zeros[...]`, and add to it with `+=`"
        ).at(node)
    letters = [letter(i.axis) if i.axis is not None else "" for i in statements[0].left]
    b.declare(Tensor(name, shape, label=statements[0].label), letters)
    f.frame.values[name] = named(f, name)


def named(f: Formulas, name: str) -> Array:
    """What the name of a tensor stands for: the tensor, with its axes of one entry."""
    a = f.builder.array(name)
    return widened(a, f.wide[name]) if name in f.wide else a


def _swap(b: Builder, old: Sequence[Statement], new: Sequence[Statement]) -> None:
    """Put other statements in the place of some."""
    by_place = {id(s): t for s, t in zip(old, new, strict=True)}
    b.statements = [by_place.get(id(s), s) for s in b.statements]
