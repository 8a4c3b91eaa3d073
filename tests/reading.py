"""What printed formulas mean, read as mathematics reads them: a second evaluation, with nothing of ours but the tree.

Whole arrays are columns and matrices, products are matrix products, ⊙ and ⊘ go entry by entry, 1 is a column of ones
and I the identity, as large as they must be; nothing is repeated but numbers. Entries run over their letters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symgrad.explain.formula import (
    IDENTITY,
    ONES,
    Apply,
    Big,
    Connected,
    Derivative,
    Entry,
    Extent,
    Fold,
    Formula,
    Iverson,
    Matrix,
    Modulo,
    Norm,
    Number,
    Position,
    Power,
    Product,
    Quotient,
    Ranged,
    Relation,
    Sum,
    Symbol,
    Transpose,
    walk,
)  # fmt: skip
from symgrad.explain.sides import Line
from symgrad.language.program import Program
from symgrad.leaves import LEAVES

Arrays = dict[str, np.ndarray]
COMPARE = {
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
}  # fmt: skip
REDUCE = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}
EMPTY = {"sum": 0.0, "prod": 1.0, "max": -np.inf, "min": np.inf}
KNOWN = {
    "gamma": math.gamma, "lgamma": math.lgamma, "erf": math.erf, "erfc": math.erfc,
}  # fmt: skip


class Unreadable(Exception):
    """A formula that says no value to a reader: shapes that do not match, a vector where a matrix belongs."""


@dataclass(frozen=True)
class Whole:
    """A column or matrix; a `free` side is one entry that stands for as many as are needed, all alike."""

    array: np.ndarray
    free: tuple[bool, bool] = (False, False)


@dataclass(frozen=True)
class Scaled:
    """A number times the identity, whose size the place will say."""

    number: np.ndarray


Value = Any  # a number (an array without axes), Whole or Scaled


def whole(value: Value, shape: tuple[int, ...]) -> np.ndarray:
    """A value as the array of the left side."""
    rows = (*shape, 1)[:2] if shape else ()
    if isinstance(value, Scaled):
        if len(shape) != 2 or shape[0] != shape[1]:
            raise Unreadable(f"an identity where {shape} is asked for")
        return value.number * np.eye(shape[0])
    if isinstance(value, Whole):
        a = value.array
        if not shape and a.shape == (1, 1):
            return a[0, 0]
        if len(rows) != 2 or any(n != m and not f for n, m, f in zip(a.shape, rows, value.free, strict=True)):
            raise Unreadable(f"{a.shape} where {shape} is asked for")
        return np.broadcast_to(a, rows).reshape(shape)
    if shape and np.any(value != 0):
        raise Unreadable(f"a number where {shape} is asked for")
    return np.broadcast_to(value, shape)


class Reader:
    """Reads the lines of a result.

    Args:
        program: for the shapes of tensors and early rows.
        sizes: the number of each size letter.
        arrays: the inputs and forward values that the user named, by name, with their early rows.
        parts: other forward values: lines that define them are compared with these, and go on with these, for a
            comparison of two results that should be equal leaves no room for rounding.
    """

    def __init__(
        self, program: Program, sizes: Mapping[str, int], arrays: Arrays, parts: Mapping[str, np.ndarray]
    ):
        self.program, self.sizes, self.arrays, self.parts = program, sizes, dict(arrays), parts
        self.letters: dict[str, np.ndarray] = {}

    def read(self, lines: Sequence[Line]) -> Arrays:
        """Every line's tensor; of lines that read one another until nothing changes."""
        defined = [name_of(line.left) for line in lines]
        for name in defined:
            t = self.program[name]
            early = t.early or (0,) * len(t.shape)
            self.arrays[name] = np.zeros([n + k for n, k in zip(self.shape(name), early, strict=True)])
        for _ in range(
            2 + 2 * max([*self.sizes.values(), *(max(a.shape, default=0) for a in self.arrays.values())])
        ):
            before = {name: self.arrays[name].copy() for name in defined}
            for k, line in enumerate(lines):
                self.line(line)
                if name_of(line.left) not in map(name_of, (later.left for later in lines[k + 1 :])):
                    self.settle(name_of(line.left))
            if all(np.array_equal(before[n], self.arrays[n], equal_nan=True) for n in defined):
                return self.arrays
        raise Unreadable("lines that read one another without end")

    def settle(self, name: str) -> None:
        """A forward part as it is known, after the last of its lines."""
        if name in self.parts:
            known, found = self.parts[name], self.arrays[name]
            if np.allclose(known, found, rtol=1e-9, atol=1e-11, equal_nan=True):
                self.arrays[name] = known.copy()

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(n.evaluate(lambda a: self.sizes[a.name])) for n in self.program[name].shape)

    def line(self, line: Line) -> None:
        name, left = name_of(line.left), index_of(line.left)
        t, shape = self.program[name], self.shape(name)
        if not left:
            value = whole(self.whole(line.right), shape)
            self.arrays[name][tuple(slice(k, None) for k in t.early) or ...] = value
            return
        early = t.early or (0,) * len(shape)
        letters = list(dict.fromkeys(x.code for i in left for x in walk(i) if is_letter(x)))
        ranges = dict.fromkeys(letters)
        for i, n, k in zip(left, shape, early, strict=True):
            if isinstance(i, Symbol) and i.code in ranges:
                # a sum of contributions also gives the rows before the first, which recurrences read
                ranges[i.code] = ranges[i.code] or (-k, n)
        right = line.right
        if isinstance(right, Ranged):
            for r in right.ranges:
                x, n = r.parts
                ranges[x.code] = (0, int(self.entry(n, 0)))
            right = right.body
        for x in letters:
            ranges[x] = ranges[x] or (0, self.extent(x, right))
        for d, x in enumerate(letters):
            low, high = ranges[x]
            self.letters[x] = np.arange(low, high).reshape((-1,) + (1,) * d)
        grid = tuple(len(range(*ranges[x])) for x in reversed(letters))
        value = np.broadcast_to(self.entry(right, len(letters)), grid)
        places = [
            np.broadcast_to(self.entry(i, len(letters)), grid) + k for i, k in zip(left, early, strict=True)
        ]
        inside = np.all(
            [(p >= 0) & (p < n + k) for p, n, k in zip(places, shape, early, strict=True)], axis=0
        )
        self.arrays[name][tuple(p.astype(int)[inside] for p in places)] = value[inside]
        for x in letters:
            del self.letters[x]

    # entries

    def entry(self, f: Formula, depth: int) -> Value:
        """A formula of entries, over a grid of `depth` letters."""
        match f:
            case Position(code):
                return np.int64(code)
            case Extent(code) if code in self.sizes:
                return np.int64(self.sizes[code])
            case Symbol(code):
                return self.named(code)
            case Number(v):
                return np.float64(v)
            case Entry() | Derivative():
                return self.at(f, depth)
            case Sum(terms):
                return sum(
                    -self.entry(t, depth) if negative else self.entry(t, depth) for negative, t in terms
                )
            case Product(factors, "times" | "scaled"):
                return self.product(factors, depth)
            case Product() | Transpose() | Fold():
                return whole(self.whole(f), ())
            case Norm(Entry(base, index), False) if any(i == Symbol(":", ":", ":") for i in index):
                return self.sliced(base, index, depth)
            case Norm():
                return np.linalg.norm(self.whole(f.a).array)
            case Quotient(top, bottom, kind):
                over, under = self.entry(top, depth), self.entry(bottom, depth)
                return np.floor_divide(over, under) if kind == "floor" else np.divide(over, under)
            case Modulo(top, bottom):
                return np.mod(self.entry(top, depth), self.entry(bottom, depth))
            case Power(base, exponent):
                return self.entry(base, depth) ** self.entry(exponent, depth)
            case Iverson(c):
                return self.condition(c, depth) * 1.0
            case Apply("index" | "stop", (a,)):
                return self.entry(a, depth)
            case Apply("max" | "min" | "prod" as name, args) if len(args) > 1:
                return REDUCE[name](np.broadcast_arrays(*(self.entry(a, depth) for a in args)), axis=0)
            case Apply(name, args) if name in LEAVES:
                return leaf(name, [self.entry(a, depth) for a in args])
            case Apply():
                return whole(self.whole(f), ())
            case Big():
                return self.big(f, depth)
        raise Unreadable(type(f).__name__)

    def named(self, code: str) -> Value:
        if code in self.letters:
            return self.letters[code]
        if code in ("pi", "e") and code not in self.arrays:
            return {"pi": np.pi, "e": np.e}[code]
        value = self.arrays[code]
        if value.ndim:
            raise Unreadable(f"{code} without its index")
        return value

    def product(self, factors: Sequence[Formula], depth: int) -> Value:
        """Brackets decide: what one excludes may be nothing at all."""
        kept: Any = np.True_
        total: Any = np.float64(1.0)
        for f in factors:
            if isinstance(f, Iverson):
                kept = kept & self.condition(f.condition, depth)
        for f in factors:
            if not isinstance(f, Iverson):
                total = total * self.entry(f, depth)
        return np.where(kept, total, 0.0)

    def big(self, f: Big, depth: int) -> Value:
        names = [x.code for x in f.letters if isinstance(x, Symbol)]
        outside = {x: self.letters.pop(x) for x in names if x in self.letters}
        ranges = f.ranges or (None,) * len(names)
        for d, (x, n) in enumerate(zip(names, ranges, strict=True)):
            high = self.extent(x, f) if n is None else int(self.entry(n, 0))
            self.letters[x] = np.arange(high).reshape((-1,) + (1,) * (depth + d))
        inner = depth + len(names)
        body = (
            self.product([*map(Iverson, f.conditions), f.body], inner)
            if f.op == "sum"
            else self.entry(f.body, inner)
        )
        kept = np.True_
        for c in f.conditions:
            kept = kept & self.condition(c, inner)
        body = np.where(kept, body, EMPTY[f.op])
        grid = tuple(self.letters[x].shape[0] for x in reversed(names))
        body = np.broadcast_to(body, np.broadcast_shapes(body.shape, grid + (1,) * depth))
        for x in names:
            del self.letters[x]
        self.letters.update(outside)
        return REDUCE[f.op](body, axis=tuple(range(len(names))), initial=EMPTY[f.op])

    def condition(self, c: Formula, depth: int) -> Any:
        match c:
            case Relation(parts, ops):
                values = [self.entry(p, depth) for p in parts]
                holds: Any = np.True_
                for op, a, b in zip(ops, values, values[1:], strict=False):
                    holds = holds & COMPARE[op](a, b)
                return holds
            case Connected("not", (a,)):
                return ~self.condition(a, depth)
            case Connected(op, args):
                held = [self.condition(a, depth) for a in args]
                joined = held[0]
                for h in held[1:]:
                    joined = joined & h if op == "and" else joined | h
                return joined
        raise Unreadable(f"{type(c).__name__} is no condition")

    def at(self, f: Entry | Derivative, depth: int) -> Value:
        """An entry; where no such place is, nothing that counts."""
        index = index_of(f)
        base = f.base if isinstance(f, Entry) else None
        if base is None or isinstance(base, (Symbol, Derivative)):
            name = name_of(f)
            array, early = self.arrays[name], self.program[name].early if name in self.program.tensors else ()
        else:
            array, early = self.array(base), ()
        if array.shape[1:] == (1,) and len(index) == 1:
            array = array[:, 0]
        if array.ndim != len(index):
            raise Unreadable(f"{array.ndim} axes, {len(index)} places")
        places = [self.entry(i, depth) + k for i, k in zip(index, early or (0,) * array.ndim, strict=True)]
        if not places:
            return array
        places = [np.asarray(p).astype(int) for p in np.broadcast_arrays(*places)]
        inside = np.all([(p >= 0) & (p < n) for p, n in zip(places, array.shape, strict=True)], axis=0)
        found = array[tuple(np.clip(p, 0, max(n - 1, 0)) for p, n in zip(places, array.shape, strict=True))]
        return np.where(inside, found, np.nan)

    def sliced(self, base: Formula, index: tuple[Formula, ...], depth: int) -> Value:
        """The length of a row or column: the letters not given run."""
        letters = [Symbol(f"_{k}", "", "") if i == Symbol(":", ":", ":") else i for k, i in enumerate(index)]
        run = tuple(x for x, i in zip(letters, index, strict=True) if x is not i)
        square = Power(Entry(base, tuple(letters)), Number(2))  # type: ignore[arg-type]
        return np.sqrt(self.entry(Big("sum", run, (), square), depth))

    def array(self, f: Formula) -> np.ndarray:
        """The array of a computed base, whose entries are read."""
        value = self.stack(f)
        if isinstance(value, Whole):
            return value.array
        if isinstance(value, np.ndarray):
            return value
        raise Unreadable("entries of a number")

    def stack(self, f: Formula) -> Value:
        """A whole array, or a stack of matrices."""
        match f:
            case Transpose(a, stacked=True):
                return np.swapaxes(self.array(a), -1, -2)
            case Apply(name, args) if name not in LEAVES and any(self.high(a) for a in args):
                return operation(name, [self.array(a) for a in args])
            case Symbol(code) if code in self.arrays and self.arrays[code].ndim > 2:
                return self.arrays[code]
        return self.whole(f)

    def high(self, f: Formula) -> bool:
        return any(
            isinstance(x, Symbol) and x.code in self.arrays and self.arrays[x.code].ndim > 2 for x in walk(f)
        )

    def extent(self, letter: str, f: Formula) -> int:
        """How far a letter runs: the size of a place where it stands alone."""
        for part in walk(f):
            if isinstance(part, (Entry, Derivative)):
                for d, i in enumerate(index_of(part)):
                    if isinstance(i, Symbol) and i.code == letter:
                        base = part.base if isinstance(part, Entry) else None
                        if base is None or isinstance(base, (Symbol, Derivative)):
                            return (
                                self.shape(name_of(part))[d]
                                if name_of(part) in self.program.tensors
                                else self.arrays[name_of(part)].shape[d]
                            )
                        return self.array(base).shape[d]
        raise Unreadable(f"nothing says how far {letter} runs")

    # whole arrays

    def whole(self, f: Formula) -> Value:
        """A formula of columns and matrices."""
        match f:
            case _ if f == ONES and "1" not in self.arrays:
                return Whole(np.ones((1, 1)), (True, False))
            case _ if f == IDENTITY and "I" not in self.arrays:
                return Scaled(np.float64(1.0))
            case Extent():
                return self.entry(f, 0)
            case Symbol(code):
                return self.column(code) if code in self.arrays else self.named(code)
            case Derivative() if not f.index:
                return self.column(f.code)
            case Sum(terms):
                return together(
                    np.add, [scale(self.whole(t), -1.0 if negative else 1.0) for negative, t in terms]
                )
            case Product(factors, "matmul"):
                return matmul([self.whole(x) for x in factors])
            case Product(factors, "hadamard"):
                values = [self.whole(x) for x in factors]
                if any(not isinstance(v, (Whole, Scaled)) for v in values):
                    raise Unreadable("a number beside ⊙")
                return together(np.multiply, values)
            case Product(factors):
                values = [self.whole(x) for x in factors]
                if sum(isinstance(v, (Whole, Scaled)) for v in values) > 1:
                    raise Unreadable("arrays side by side that are no matrix product")
                return together(np.multiply, values)
            case Quotient(top, bottom, kind):
                over, under = self.whole(top), self.whole(bottom)
                if kind == "times" and isinstance(under, Whole):
                    raise Unreadable("something over an array, without ⊘")
                if isinstance(over, Scaled):
                    return scale(over, 1 / under)
                return together(np.divide, [over, under])
            case Power(base, exponent, elementwise):
                below, above = self.whole(base), self.whole(exponent)
                if isinstance(below, Whole) and not elementwise or isinstance(above, (Whole, Scaled)):
                    raise Unreadable("a power of a matrix, or by one")
                return together(np.power, [below, above])
            case Iverson(c):
                return self.compared(c)
            case Transpose(a):
                value = self.whole(a)
                if isinstance(value, Scaled):
                    return value
                if not isinstance(value, Whole):
                    raise Unreadable("the transpose of a number")
                return Whole(value.array.T, value.free[::-1])
            case Norm(a):
                return np.linalg.norm(fixed(self.whole(a)))
            case Apply("stop", (a,)):
                return self.whole(a)
            case Apply(name, args) if name in LEAVES:
                return together(lambda *values: leaf(name, values), [self.whole(a) for a in args])
            case Apply("diag", (a,)):
                array = fixed(self.whole(a))
                return Whole(np.diag(array[:, 0]) if array.shape[1] == 1 else np.diag(array)[:, None])
            case Apply("trace", (a,)):
                return np.trace(fixed(self.whole(a)))
            case Apply("tril" | "triu" as name, (a, *k)):
                return Whole(getattr(np, name)(fixed(self.whole(a)), *(int(self.entry(x, 0)) for x in k)))
            case Apply("index", _) | Number() | Big() | Modulo():
                return self.entry(f, 0)
            case Apply("max" | "min", args) if len(args) > 1:
                return self.entry(f, 0)
            case Entry():
                return self.entry(f, 0)
            case Apply(name, args):
                done = operation(name, [fixed(self.whole(a)) for a in args])
                return done if not done.ndim else Whole(done.reshape(len(done), -1))
            case Matrix(rows, vector):
                entries = np.array([[self.entry(x, 0) for x in row] for row in rows])
                return Whole(entries.T if vector else entries)
        raise Unreadable(type(f).__name__)

    def column(self, name: str) -> Value:
        """A tensor without what stands before its first row."""
        a = self.arrays[name]
        if name in self.program.tensors:
            a = a[tuple(slice(k, None) for k in self.program[name].early) or ...]
        if a.ndim > 2:
            raise Unreadable(f"{a.ndim} axes are no matrix")
        return Whole(a.reshape(len(a), -1)) if a.ndim else a

    def compared(self, c: Formula) -> Value:
        match c:
            case Relation(parts, ops):
                values = [self.whole(p) for p in parts]
                pairs = zip(ops, values, values[1:], strict=False)
                held = [together(COMPARE[op], [a, b]) for op, a, b in pairs]
                return together(lambda *x: np.logical_and.reduce(np.broadcast_arrays(*x)) * 1.0, held)
            case Connected("not", (a,)):
                return together(lambda x: 1.0 - x, [self.compared(a)])
            case Connected(op, args):
                join = np.logical_and if op == "and" else np.logical_or
                held = [self.compared(a) for a in args]
                return together(lambda *x: join.reduce(np.broadcast_arrays(*x)) * 1.0, held)
        raise Unreadable(f"{type(c).__name__} is no condition")


def is_letter(f: Formula) -> bool:
    return isinstance(f, Symbol) and not isinstance(f, (Extent, Position))


def name_of(f: Formula) -> str:
    if isinstance(f, Derivative):
        return f.code
    base = f.base if isinstance(f, Entry) else f
    return name_of(base) if isinstance(base, Derivative) else base.code  # type: ignore[union-attr]


def index_of(f: Formula) -> tuple[Formula, ...]:
    return f.index if isinstance(f, (Entry, Derivative)) else ()


def fixed(value: Value) -> np.ndarray:
    if not isinstance(value, Whole) or any(value.free):
        raise Unreadable("an array whose size nothing says")
    return value.array


def scale(value: Value, c: Any) -> Value:
    if isinstance(value, Scaled):
        return Scaled(value.number * c)
    return Whole(value.array * c, value.free) if isinstance(value, Whole) else value * c


def together(f: Any, values: Sequence[Value]) -> Value:
    """A function entry by entry: shapes agree, and only numbers are repeated."""
    shaped = [v for v in values if isinstance(v, Whole)]
    if any(isinstance(v, Scaled) for v in values):
        if not shaped:
            if (
                f is np.multiply
                and sum(isinstance(v, Scaled) for v in values) == 1
                or f is np.add
                and all(isinstance(v, Scaled) for v in values)
            ):
                return Scaled(f.reduce([v.number if isinstance(v, Scaled) else v for v in values]))
            raise Unreadable("an identity with numbers")
        n = next((n for v in shaped for n, free in zip(v.array.shape, v.free, strict=True) if not free), None)
        if n is None:
            raise Unreadable("an identity whose size nothing says")
        return together(f, [Whole(v.number * np.eye(n)) if isinstance(v, Scaled) else v for v in values])
    if not shaped:
        return f(*values) if not isinstance(f, np.ufunc) or f.nin == len(values) else f.reduce(values)
    free = []
    for d in (0, 1):
        known = {v.array.shape[d] for v in shaped if not v.free[d]}
        if len(known) > 1:
            raise Unreadable(f"shapes {[v.array.shape for v in shaped]} side by side")
        free.append(not known)
    arrays = [v.array if isinstance(v, Whole) else v for v in values]
    if isinstance(f, np.ufunc) and f.nin != len(arrays):
        done = arrays[0]
        for a in arrays[1:]:
            done = f(done, a)
    else:
        done = f(*arrays)
    return Whole(done, (free[0], free[1]))


def matmul(values: Sequence[Value]) -> Value:
    """A product of matrices and columns; numbers and identities among them scale it."""
    done: Value = values[0]
    for v in values[1:]:
        if isinstance(done, Scaled) and isinstance(v, Scaled):
            done = Scaled(done.number * v.number)
        elif not isinstance(done, Whole) or not isinstance(v, Whole):
            one, other = (done, v) if isinstance(done, Whole) or isinstance(v, Scaled) else (v, done)
            done = scale(one, other.number if isinstance(other, Scaled) else other)
        else:
            a, b = done.array, v.array
            if done.free[1] and v.free[0]:
                raise Unreadable("ones times ones, whose number nothing says")
            if done.free[1]:
                a = np.repeat(a, b.shape[0], axis=1)
            if v.free[0]:
                b = np.repeat(b, a.shape[1], axis=0)
            if a.shape[1] != b.shape[0]:
                raise Unreadable(f"{a.shape} times {b.shape}")
            done = Whole(a @ b, (done.free[0], v.free[1]))
            if done.array.shape == (1, 1) and not any(done.free):
                done = done.array[0, 0]
    return done


def leaf(name: str, values: Sequence[Any]) -> Any:
    """A function of the table, as NumPy has it, or by its own text."""
    from symgrad.language.reference import composed

    row = LEAVES[name]
    if row.ufunc:
        return getattr(np, row.run)(*values)
    if name in KNOWN:
        return np.vectorize(KNOWN[name], otypes=[float])(*values)
    shape = np.broadcast_shapes(*(np.shape(v) for v in values))
    flat = [np.broadcast_to(v, shape).ravel().astype(float) for v in values]
    return composed(row, flat).reshape(shape)


def operation(name: str, args: Sequence[np.ndarray]) -> np.ndarray:
    """What an equation defines, by NumPy's own functions."""
    a = args[0]
    match name:
        case "inv" | "det":
            return np.asarray(getattr(np.linalg, name)(a))
        case "logdet":
            return np.asarray(np.linalg.slogdet(a)[1])
        case "solve":
            return np.linalg.solve(a, args[1])
        case "eigvals":
            return np.linalg.eigvalsh((a + np.swapaxes(a, -1, -2)) / 2)
        case "eigvecs":
            return np.linalg.eigh((a + np.swapaxes(a, -1, -2)) / 2)[1]
        case "cofactor":
            return cofactors(a)
        case "minors":  # along the other matrix, by a complex step
            return cofactors(a + 1e-30j * args[1]).imag / 1e-30
    raise Unreadable(name)


def cofactors(a: np.ndarray) -> np.ndarray:
    """The determinants of what is left without a row and a column, with their signs."""
    n = a.shape[-1]
    found = np.empty_like(a)
    for i in range(n):
        for j in range(n):
            left = np.delete(np.delete(a, i, axis=-2), j, axis=-1)
            found[..., i, j] = (-1) ** (i + j) * (np.linalg.det(left) if n > 1 else 1.0)
    return found
