"""From a statement to whole arrays: the matrix product, Hadamard product or sum that a formula over indices is.

A product of factors is a small graph of factors and letters. A letter that is summed and shared by two factors is a
matrix product, with the transposes and their reason; a kept shared letter is a Hadamard product; a summed letter that
no factor has is its size; what is left is a sum over an axis. Where no `@` fits, a `Contract` says the same by its
letters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import combinations
from math import ceil

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Condition, Expr, Logic, conjuncts
from symgrad.language.implicit import IMPLICIT, layout, operands
from symgrad.language.ints import Int, Look
from symgrad.language.program import Program, Statement, within
from symgrad.leaves import LEAVES
from symgrad.passes.arrays import (
    Array,
    Contract,
    Elementwise,
    Expand,
    Gather,
    Implicit,
    Index,
    MatMul,
    Reduce,
    Ref,
    Scalar,
    Transpose,
)  # fmt: skip

Axes = tuple[str, ...]

REDUCERS = {"+=": "sum", "max=": "max", "min=": "min", "prod=": "prod"}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
# An axis whose size is not given counts as this long when costs are compared: an odd number, so that ties are rare.
# Up to this many factors the best order of products is searched; more are taken from left to right.
_CHAIN = 6


def recognise(statement: Statement, program: Program) -> Array:
    """The right-hand side as an array whose axes are the kept axes of the statement, in the order of its left side.

    Entries that the guard excludes are 0 (for "max=" -inf, for "min=" inf, for "prod=" 1), whatever the body is there.

    Example:
        >>> from symgrad.language import ints
        >>> from symgrad.language.expr import Access
        >>> from symgrad.language.program import Program, Statement, Tensor
        >>> n, i, j = map(ints.axis, "nij")
        >>> size = {a: ints.size(a) for a in "nij"}
        >>> x, d = Tensor("x", (size["n"], size["i"]), "data"), Tensor("d", (size["n"], size["j"]), "data")
        >>> body = Access("x", (n, i)) * Access("d", (n, j))
        >>> s = Statement("dW", (i, j), "+=", body, tuple(size.items()))
        >>> product = recognise(s, Program({"x": x, "d": d}, (s,), "dW"))
        >>> product.a.reason
        'n is summed; in x it is the first axis, hence xᵀ'
    """
    return _Reader(statement, program).read()


def without_units(statement: Statement, program: Program) -> Statement:
    """The same statement where axes of length one are axes everywhere or nowhere, so that broadcasting comes out plain.

    The language writes position 0 for a literal 1 that broadcasts: `z[n, 0] + b[0]` for all m < 1 is `z[n, m] + b[m]`.
    """
    if statement.op in IMPLICIT:
        return statement
    shape = program[statement.out].shape
    ones = [a for a, size in statement.axes if size == ints.ONE]
    zero: dict[ints.Atom, ints.IntLike] = {ints.Axis(a): 0 for a in ones}
    left = tuple(i.substitute(zero) for i in statement.left)
    body = ex.substitute(statement.body, zero)
    guard = None if statement.guard is None else ex.substitute(statement.guard, zero)
    axes = tuple((a, size) for a, size in statement.axes if a not in ones)
    units: list[str] = []
    for k, (i, size) in enumerate(zip(left, shape, strict=True)):
        if i == ints.ZERO and size == ints.ONE:
            name = f"u_{len(units) + 1}"
            units.append(name)
            left = (*left[:k], ints.axis(name), *left[k + 1 :])
    if not units and not ones:
        return statement

    def spread(e: object) -> Access | None:
        if not isinstance(e, Access):
            return None
        places = [
            k
            for k, (i, n) in enumerate(zip(e.index, program[e.tensor].shape, strict=True))
            if i == ints.ZERO and n == ints.ONE
        ]
        index = list(e.index)
        for k, name in zip(reversed(places), reversed(units), strict=False):
            index[k] = ints.axis(name)
        return Access(e.tensor, tuple(index))

    if units:
        body = ex.rewrite(body, spread)
        guard = None if guard is None else ex.rewrite(guard, spread)
    return replace(
        statement, left=left, body=body, guard=guard, axes=(*axes, *((u, ints.ONE) for u in units))
    )


class _Reader:
    def __init__(self, statement: Statement, program: Program):
        self.s, self.program, self.ranges = statement, program, statement.ranges
        # how deep inside conditions: each is judged everywhere, also where another one excludes what it reads
        self.judging = 0

    def read(self) -> Array:
        s, kept = self.s, self.s.kept
        guards = conjuncts(s.guard)
        if s.op in IMPLICIT:
            return self.exactly(self.implicit(), kept)
        if s.op in ("=", "+="):
            array = self.total(s.body, kept, s.reduced, guards)
        else:
            array = self.extreme(s.body, kept, s.reduced, guards)
        return self.exactly(array, kept)

    def implicit(self) -> Array:
        """An operation on whole arrays, each turned as it takes them."""
        how = layout(self.s)
        args = []
        for e, axes in zip(operands(self.s), how.args, strict=True):
            own = tuple(a for a in axes if a is not None)
            args.append(turned(self.access(e.tensor, e.index), own))
        result = tuple(a for a in how.result if a is not None)
        return Implicit(self.s.op, tuple(args), result, vectors=len(result) < len(how.result))

    # ---- sums

    def total(self, body: Expr, kept: Axes, summed: Axes, guards: tuple[Condition, ...]) -> Array:
        """The sum of a body over axes: products one by one, what is left over together."""
        if not summed and not guards:
            return self.value(body, kept)
        terms = body.args if isinstance(body, ex.Add) else (body,)
        if not guards and len(terms) > 1 and summed:
            # products each for itself; what is left is added up first and summed once
            apart = [
                t for t in terms if self._is_product(t, summed) or any(a not in ex.axes(t) for a in summed)
            ]
            together = [t for t in terms if t not in apart]
            parts = [self.term(t, kept, summed, ()) for t in apart]
            if together:
                parts.append(self.term(ex.add(*together), kept, summed, ()))
            return parts[0] if len(parts) == 1 else self.join("add", parts, kept)
        return self.term(body, kept, summed, guards)

    def _is_product(self, term: Expr, summed: Axes) -> bool:
        """Whether a term is a product of factors on different axes, of which a summed one is shared."""
        factors = [ex.axes(f) for f in (term.args if isinstance(term, ex.Mul) else (term,)) if ex.axes(f)]
        return len({frozenset(f) for f in factors}) > 1

    def term(self, term: Expr, kept: Axes, summed: Axes, guards: tuple[Condition, ...]) -> Array:
        """One product, summed over axes."""
        factors: list[Expr] = list(term.args) if isinstance(term, ex.Mul) else [term]
        masks = [*guards]
        for f in factors:
            if isinstance(f, Bracket):
                masks += conjuncts(f.condition)
        masks = list(dict.fromkeys(masks))
        factors = [f for f in factors if not isinstance(f, Bracket)]
        # brackets over kept axes alone hide the finished sum; the others go to the factors they speak about
        outer = [m for m in masks if not any(a in summed for a in ex.axes(m))] if masks else []
        inner = [m for m in masks if m not in outer]
        hidden = tuple(masks)
        scalars = [f for f in factors if not ex.axes(f)]
        grouped: dict[frozenset[str], list[Expr]] = {}
        for f in factors:
            if ex.axes(f):
                grouped.setdefault(frozenset(ex.axes(f)), []).append(f)
        conditions: dict[frozenset[str], list[Condition]] = {}
        for m in inner:
            own = frozenset(ex.axes(m))
            home = min((g for g in grouped if own <= g), key=self._cost, default=own)
            conditions.setdefault(home, []).append(m)
        arrays = [
            self.group(grouped.get(axes, []), conditions.get(axes, []), kept, hidden)
            for axes in dict.fromkeys([*grouped, *conditions])
        ]
        held = {a for array in arrays for a in array.axes}
        sizes = [ex.val(self.ranges[a]) for a in summed if a not in held]
        reason = ", ".join(a for a in summed if a not in held)
        product = self.contract(arrays, kept, tuple(a for a in summed if a in held))
        coefficient = ex.mul(*scalars, *sizes)
        if product is None:
            product = self.value(coefficient, (), hidden)
        elif coefficient != ex.ONE:
            reason = f"{reason} is summed and nothing depends on it, hence its size" if reason else ""
            scalar = self.value(coefficient, (), hidden)
            product = self.scaled(scalar, product, kept, reason)
        return self.hide(product, outer, kept)

    def scaled(self, scalar: Array, product: Array, kept: Axes, reason: str = "") -> Array:
        """A product with its number in front; a larger product of two gets it on its smaller factor."""
        if isinstance(product, MatMul) and scalar != _MINUS:
            small = min((product.a, product.b), key=lambda f: self._cost(f.axes))
            if 4 * self._cost(small.axes) <= self._cost(product.axes):
                inside = self.join("multiply", [scalar, small], small.axes, reason=reason)
                return replace(product, a=inside) if small is product.a else replace(product, b=inside)
        return self.join("multiply", [scalar, product], kept, reason=reason)

    def group(
        self, factors: list[Expr], conditions: list[Condition], kept: Axes, hidden: tuple[Condition, ...]
    ) -> Array:
        """The Hadamard product of factors on the same axes, under the conditions that speak about these axes."""
        parts = [self.value(f, kept, hidden) for f in factors]
        if not conditions:
            return parts[0] if len(parts) == 1 else self.join("multiply", parts, kept)
        return self.masked(parts, conditions, kept)

    def masked(self, parts: list[Array], conditions: Iterable[Condition], kept: Axes) -> Array:
        mask = self.join("bracket", [self.condition(ex.both(*conditions), kept)], kept)  # type: ignore[arg-type]
        return self.join("multiply", [mask, *parts], kept, strong=True) if parts else mask

    def hide(self, array: Array, conditions: list[Condition], kept: Axes) -> Array:
        if not conditions:
            return array
        parts = [] if array == Scalar(ex.ONE) else [array]
        return self.masked(parts, conditions, kept)

    # ---- maxima, minima, products

    def extreme(self, body: Expr, kept: Axes, reduced: Axes, guards: tuple[Condition, ...]) -> Array:
        """A reduction that is no sum, over the whole grid that it speaks about."""
        op = REDUCERS[self.s.op]
        order = (*kept, *reduced)
        array = self.value(body, order, guards)
        if guards:
            mask = self.condition(ex.both(*guards), order)  # type: ignore[arg-type]
            array = self.join(f"where {op}", [mask, array], order)
        absent = tuple(a for a in reduced if a not in array.axes)
        if absent and op == "prod":
            whole = tuple(a for a in order if a in array.axes or a in absent)
            array = Expand(array, whole, tuple((a, self.ranges[a]) for a in absent), "the product repeats it")
        over = tuple(a for a in reduced if a in array.axes)
        return self.reduce(op, array, over) if over else array

    # ---- scalar expressions, entry by entry

    def value(self, e: Expr, want: Axes = (), hidden: tuple[Condition, ...] = ()) -> Array:
        """An expression over its own axes (in the order of `want` where it names them).

        `hidden`: conditions outside of which the value is not used, so arguments are kept where a leaf is finite."""
        if _plain(e) and not (hidden and ex.tensors(e)):
            return Scalar(e)
        match e:
            case ex.Val(i):
                return self.index(i)
            case Access(name, index):
                return self.access(name, index, bool(hidden) or self.judging > 0)
            case ex.Add(args):
                return self.join("add", [self.value(a, want, hidden) for a in args], want)
            case ex.Mul(args):
                return self.product(args, want, hidden)
            case ex.Pow(a, b):
                whole = isinstance(b, ex.Num) and b.value.denominator == 1 and b.value > 0
                base = self.value(a, want, hidden)
                if not whole and hidden:
                    base = self.safe(base, hidden, ex.ONE, want)
                return self.join("power", [base, self.value(b, want, hidden)], want)
            case ex.Call(name, args):
                parts = [self.value(a, want, hidden) for a in args]
                if hidden and not LEAVES[name].finite:
                    parts = [self.safe(p, hidden, _inside(name), want) for p in parts]
                return self.join(name, parts, want)
            case Bracket(c):
                return self.join("bracket", [self.condition(c, want)], want)
            case ex.Stop(a, kind):
                held = self.value(a, want, hidden)
                return held if kind == "held" else self.join("stop", [held], want)
        raise TypeError(f"not an expression: {type(e).__name__}")

    def product(self, factors: tuple[Expr, ...], want: Axes, hidden: tuple[Condition, ...]) -> Array:
        own = tuple(c for f in factors if isinstance(f, Bracket) for c in conjuncts(f.condition))
        rest = [f for f in factors if not isinstance(f, Bracket)]
        inside = (*hidden, *own)
        if not own:
            return self.join("multiply", [self.value(f, want, inside) for f in rest], want)
        scalars = [f for f in rest if not ex.axes(f) and not any(isinstance(x, Access) for x in ex.walk(f))]
        parts = [self.value(f, want, inside) for f in rest if f not in scalars]
        if scalars and not hidden:
            # plain numbers need no hiding: they stay outside, where a reader looks for them
            parts = [self.value(ex.mul(*scalars), want, ()), *parts]
        elif scalars:
            parts = [self.value(ex.mul(*scalars), want, inside), *parts]
        if all(isinstance(p, Scalar) and not ex.tensors(p.expr) for p in parts):
            return self.join("multiply", [*parts, self.masked([], dict.fromkeys(own), want)], want)
        return self.masked(parts, dict.fromkeys(own), want)

    def safe(self, argument: Array, hidden: tuple[Condition, ...], instead: Expr, want: Axes) -> Array:
        """The argument where it is used, a harmless number elsewhere."""
        if isinstance(argument, Scalar) and not ex.tensors(argument.expr):
            return argument
        axes = argument.axes
        outside = tuple(dict.fromkeys(a for c in hidden for a in ex.axes(c) if a not in axes))
        mask = self.condition(ex.both(*hidden), (*axes, *outside))  # type: ignore[arg-type]
        if outside:
            mask = self.reduce("any", mask, tuple(a for a in outside if a in mask.axes))
        return self.join("where", [mask, argument, Scalar(instead)], want or axes)

    def condition(self, c: Condition, want: Axes) -> Array:
        match c:
            case ex.Cmp(op, a, b):
                self.judging += 1
                sides = [self.value(a, want), self.value(b, want)]
                self.judging -= 1
                return self.join(op, sides, want)
            case Logic(op, args):
                return self.join(op, [self.condition(a, want) for a in args], want)
        raise TypeError(f"not a condition: {type(c).__name__}")

    def index(self, i: Int) -> Array:
        axes = i.axes
        return (
            Index(i, axes, tuple((a, self.ranges[a]) for a in axes))
            if axes or _looks(i)
            else Scalar(ex.Val(i))
        )

    def access(self, name: str, index: tuple[Int, ...], hidden: bool = False) -> Array:
        """A tensor's entries: as it stands, or gathered."""
        shape = self.program[name].shape
        letters = tuple(i.axis for i in index)
        bare = None not in letters and len(set(letters)) == len(letters)
        if bare and all(self.ranges[a] == n for a, n in zip(letters, shape, strict=True)):  # type: ignore[index]
            return Ref(name, letters)  # type: ignore[arg-type]
        axes = gathered(index, self.ranges)
        guarded = hidden and not all(
            within(i, n, self.ranges, self.program.tensors) for i, n in zip(index, shape, strict=True)
        )
        return Gather(name, index, axes, tuple((a, self.ranges[a]) for a in axes), guarded)

    # ---- putting arrays together

    def join(
        self, op: str, args: list[Array], want: Axes, *, strong: bool = False, reason: str = ""
    ) -> Array:
        """A scalar function of arrays, their axes brought into one order."""
        if op in ("add", "multiply") and len(args) == 1 and not strong:
            return args[0]
        if op in ("add", "multiply") and not strong and all(isinstance(a, Scalar) for a in args):
            fold = ex.add if op == "add" else ex.mul
            return Scalar(fold(*(a.expr for a in args)))  # type: ignore[union-attr]
        order = _order([a.axes for a in args], want)
        return Elementwise(op, tuple(turned(a, order) for a in args), order, strong, reason)

    def reduce(self, op: str, array: Array, over: Axes, reason: str = "") -> Array:
        if not over:
            return array
        kept = tuple(a for a in array.axes if a not in over)
        return Reduce(
            op,
            array,
            over,
            kept,
            reason or f"{_list(over)} {'is' if len(over) == 1 else 'are'} summed" * (op == "sum"),
        )

    def exactly(self, array: Array, kept: Axes) -> Array:
        """The array with all kept axes, in order."""
        present = tuple(a for a in kept if a in array.axes)
        array = turned(array, present)
        if present == kept:
            return array
        missing = tuple((a, self.ranges[a]) for a in kept if a not in present)
        return Expand(
            array, kept, missing, f"it does not depend on {_list([a for a, _ in missing])}, hence repeated"
        )

    # ---- products

    def contract(self, factors: list[Array], kept: Axes, summed: Axes) -> Array | None:
        """The product of arrays, summed over axes: by pairs, the cheapest order first."""
        if not factors:
            return None
        factors = [self._alone(f, [g for g in factors if g is not f], summed) for f in factors]
        while len(factors) > 1:
            pairs = list(combinations(range(len(factors)), 2)) if len(factors) <= _CHAIN else [(0, 1)]
            x, y = min(pairs, key=lambda p: (self._pair_cost(factors, p, summed), p))
            others = [f for k, f in enumerate(factors) if k not in (x, y)]
            held = {a for f in others for a in f.axes}
            over = tuple(
                a for a in summed if a not in held and (a in factors[x].axes or a in factors[y].axes)
            )
            new = self.pair(factors[x], factors[y], over, kept)
            factors = [*others[:x], new, *others[x:]]
        return self._alone(factors[0], [], summed)

    def _alone(self, factor: Array, others: list[Array], summed: Axes) -> Array:
        """A factor summed over what no other factor has."""
        held = {a for f in others for a in f.axes}
        return self.reduce("sum", factor, tuple(a for a in factor.axes if a in summed and a not in held))

    def _pair_cost(self, factors: list[Array], pair: tuple[int, int], summed: Axes) -> tuple[int, int]:
        """The multiplications of one product, and the size of what it leaves for the next ones."""
        x, y = (factors[k] for k in pair)
        held = {a for k, f in enumerate(factors) if k not in pair for a in f.axes}
        union = dict.fromkeys((*x.axes, *y.axes))
        left = [a for a in union if a not in summed or a in held]
        rest = self._cost(left)
        for k, f in enumerate(factors):
            if k not in pair:
                rest += self._cost(dict.fromkeys((*left, *f.axes)))
        return self._cost(union) + (rest if len(factors) > 2 else 0), self._cost(left)

    def _cost(self, axes: Iterable[str]) -> int:
        return ints.about(self.ranges[a] for a in axes)

    def pair(self, x: Array, y: Array, over: Axes, kept: Axes) -> Array:
        """The product of two arrays, summed over `over`, which both have."""
        if not over:
            return self.join("multiply", [x, y], kept)
        batch = tuple(a for a in x.axes if a in y.axes and a not in over)
        rows = tuple(a for a in x.axes if a not in y.axes)
        columns = tuple(a for a in y.axes if a not in x.axes)
        if x.axes == y.axes == over and len(over) == 1:
            return MatMul(x, y, over[0], (), f"{over[0]} is summed and both have it")
        if not rows and not columns:
            return self.reduce("sum", self.join("multiply", [x, y], kept), over)
        if len(over) == 1 and not batch and (len(rows) <= 1 or len(columns) <= 1):
            # a matrix before a vector, and the axes of the result in the order in which they are wanted
            swap = (
                len(columns) > 1 or len(rows) <= 1 and (not rows or columns and _before(columns, rows, kept))
            )
            if swap:
                x, y, rows, columns = y, x, columns, rows
            return self.matmul(x, y, (), rows, over[0], columns)
        if len(over) == 1 and batch and len(rows) == 1 and len(columns) == 1:
            if _before(columns, rows, kept):
                x, y, rows, columns = y, x, columns, rows
            return self.matmul(x, y, _order([batch], kept), rows, over[0], columns)
        order = _order([(*batch, *rows, *columns)], kept)
        return Contract((x, y), order, f"{_list(over)} {'is' if len(over) == 1 else 'are'} summed over both")

    def matmul(self, x: Array, y: Array, batch: Axes, rows: Axes, over: str, columns: Axes) -> Array:
        x = turned(x, (*batch, *rows, over), _summed(over, x))
        y = turned(y, (*batch, over, *columns), _summed(over, y))
        return MatMul(x, y, over, (*batch, *rows, *columns), f"{over} is summed and both have it")


_MINUS = Scalar(ex.Num(ex.ONE.value * -1))


def gathered(index: tuple[Int, ...], ranges: Mapping[str, Int]) -> Axes:
    """The axes of entries at these positions, in the order in which NumPy has them: see `kinds`."""
    how = kinds(index)
    where = [k for k, kind in enumerate(how) if kind == "array"]
    mixed = tuple(dict.fromkeys(a for k in where for a in index[k].axes if a in ranges))
    solid = [k for k in range(len(index)) if how[k] != "number"]
    places = [solid.index(k) for k in where]
    front = bool(places) and places != list(range(places[0], places[0] + len(places)))
    axes: list[str] = list(mixed) if front else []
    for k in solid:
        if how[k] == "array":
            if not front and k == where[0]:
                axes += mixed
        else:
            axes += list(index[k].axes)
    return tuple(axes)


def kinds(index: tuple[Int, ...]) -> tuple[str, ...]:
    """How each position is read: "number" (one entry), "slice" (one axis of its own, in steps), "array" (positions)."""
    uses: dict[str, int] = {}
    for i in index:
        for a in i.axes:
            uses[a] = uses.get(a, 0) + 1
    found = []
    for i in index:
        if not i.axes:
            found.append("number")
            continue
        step = (
            i.coefficient(i.axes[0]) if len(i.axes) == 1 and uses[i.axes[0]] == 1 and not _looks(i) else None
        )
        found.append("slice" if step is not None and step.number else "array")
    return tuple(found)


def turned(array: Array, order: Axes, reason: str = "") -> Array:
    """The array with its axes in the order in which `order` has them."""
    axes = tuple(a for a in order if a in array.axes)
    if axes == array.axes:
        return array
    if isinstance(array, Transpose):
        return turned(array.a, axes, reason)
    if isinstance(array, Elementwise):
        # the turn belongs to the tensors inside, where a reader sees it
        turns = sum(turned(a, axes) is not a for a in array.args)
        if turns < len(array.args) or len(array.args) == 1:
            return replace(array, args=tuple(turned(a, axes, reason) for a in array.args), axes=axes)
    return Transpose(array, axes, reason or f"its axes are wanted in the order {', '.join(axes)}")


def _order(all_axes: Iterable[Axes], want: Axes) -> Axes:
    """The union of axes: as `want` has them, else as the longest has them, others after what stands before them."""
    groups = sorted((tuple(a) for a in all_axes), key=len, reverse=True)
    order: list[str] = []
    for group in groups:
        for k, a in enumerate(group):
            if a not in order:
                before = [order.index(b) for b in group[:k] if b in order]
                order.insert(before[-1] + 1 if before else 0, a)
    wanted = [a for a in want if a in order]
    turn = iter(wanted)
    return tuple(next(turn) if a in wanted else a for a in order)


def _before(columns: Axes, rows: Axes, kept: Axes) -> bool:
    """Whether the columns are wanted before the rows."""
    places = {a: k for k, a in enumerate(kept)}
    if any(a not in places for a in (*columns, *rows)):
        return False
    return max(places[a] for a in columns) < min(places[a] for a in rows)


def _summed(over: str, array: Array) -> str:
    place = array.axes.index(over)
    name = array.tensor if isinstance(array, (Ref, Gather)) else "the factor"
    which = "last" if place == len(array.axes) - 1 else _ORDINALS[place]
    hence = f"{name}ᵀ" if name != "the factor" else "the transpose"
    return f"{over} is summed; in {name} it is the {which} axis, hence {hence}"


def _list(names: Iterable[str]) -> str:
    names = list(names)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _looks(i: Int) -> bool:
    return any(isinstance(a, Look) for a in i.atoms())


def _plain(e: Expr) -> bool:
    """Whether an expression is one number, of numbers, sizes and scalar tensors."""
    return not any(
        isinstance(x, Access)
        and x.index
        or isinstance(x, Bracket)
        or isinstance(x, ex.Val)
        and (x.int.axes or _looks(x.int))
        for x in ex.walk(e)
    )


def _inside(name: str) -> Expr:
    """A whole number at which a leaf is finite."""
    low, high = LEAVES[name].domain
    return ex.lift(next(x for x in (1, 0, ceil(low)) if low <= x <= high))
