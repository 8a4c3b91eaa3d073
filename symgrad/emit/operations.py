"""From arrays and scalar expressions to NumPy's operations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from string import ascii_letters

from symgrad.emit.contract import Contraction
from symgrad.emit.positions import Axes, Positions
from symgrad.emit.values import COMPARISONS, Value, filled, python
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Expr
from symgrad.language.implicit import IMPLICIT
from symgrad.language.ints import Int
from symgrad.language.program import Program
from symgrad.language.scalar import leaf_lines
from symgrad.leaves import LEAVES
from symgrad.passes import arrays as ar
from symgrad.passes.arrays import Array
from symgrad.passes.recognise import turned

_REDUCE = {"sum": "add", "max": "maximum", "min": "minimum", "prod": "multiply", "any": "logical_or"}


NEUTRAL: dict[str, Fraction | float] = {
    "add": Fraction(0), "maximum": float("-inf"), "minimum": float("inf"), "multiply": Fraction(1),
}  # fmt: skip


class Operations(Positions):
    """What is computed of whole arrays.

    Args:
        calls: leaves without a ufunc stay calls (of small helper functions); else they become ufuncs.
        products: contractions become matrix products over reshaped copies; else they stay einsums.
    """

    def __init__(self, program: Program, *, calls: bool, products: bool):
        super().__init__(program)
        self.calls, self.products = calls, products
        self._done: dict[Array, Value] = {}

    def array(self, node: Array) -> Value:
        """A node's value; its axes are `node.axes`."""
        if node not in self._done:
            self._done[node] = self._array(node)
        return self._done[node]

    def _array(self, node: Array) -> Value:
        values = self.values
        match node:
            case ar.Ref(name, _):
                return self.tensor(name)
            case ar.Scalar(e):
                return self.expr(e, self.tensor)
            case ar.Index(i, axes, _):
                return values.real(self.whole(i, axes))
            case ar.Gather(name, index, axes, _, guarded):
                v, own = self.gather(name, index, not guarded)
                return values.transpose(v, tuple(own.index(a) for a in axes))
            case ar.Transpose(ar.MatMul(a, b, _, own), axes) if self.products and len(own) > 2:
                return self.contract((a, b), axes)
            case ar.Transpose(a, axes):
                return values.transpose(self.array(a), tuple(a.axes.index(x) for x in axes))
            case ar.Expand(a, axes, _):
                v = self.aligned(self.array(a), a.axes, axes)
                return values.make("broadcast", (v,), None, self.shape(axes), v.kind)
            case ar.Reduce(op, a, over, axes):
                v = self.array(a)
                if op == "any":
                    return values.make(
                        "reduce",
                        (v,),
                        ("logical_or", tuple(a.axes.index(x) for x in over)),
                        self.shape(axes),
                        "bool",
                    )
                return self.reduced(
                    op, values.real(v), tuple(a.axes.index(x) for x in over), self.shape(axes)
                )
            case ar.MatMul(a, b, _, axes):
                return values.make(
                    "matmul", (values.real(self.array(a)), values.real(self.array(b))), None, self.shape(axes)
                )
            case ar.Contract(args, axes):
                return self.contract(args, axes)
            case ar.Implicit():
                return self.implicit(node)
            case ar.Elementwise():
                return self.elementwise(node)
        raise TypeError(f"not an array: {type(node).__name__}")

    def implicit(self, node: ar.Implicit) -> Value:
        """An operation on stacks of matrices."""
        columns = not node.vectors and len(node.axes) > 1
        ends = [len(letters) for letters in IMPLICIT[node.op].operands]  # how many axes of each are no stack
        ends[1:] = [2 if columns else end for end in ends[1:]]
        over = max((a.axes[:-end] for a, end in zip(node.args, ends, strict=True)), key=len)
        aligned = [
            self.aligned(self.values.real(self.array(a)), a.axes, (*over, *a.axes[-end:]))
            for a, end in zip(node.args, ends, strict=True)
        ]
        shape = self.shape(node.axes)
        if not node.vectors:
            return self.values.make("implicit", tuple(aligned), node.op, shape)
        column = self.values.expand(aligned[1], (True,) * len(aligned[1].shape) + (False,))
        found = self.values.make("implicit", (aligned[0], column), node.op, (*shape, ints.ONE))
        return self.view_index(found, (("all",),) * len(shape) + (("at", ints.ZERO),))

    def reduced(self, op: str, v: Value, over: tuple[int, ...], shape: tuple[Int, ...]) -> Value:
        if op == "sum" and self.products and len(v.shape) == 2 and len(over) == 1 and not v.once:
            ones = filled(self.values, 1, (v.shape[over[0]],))
            return self.values.make("matmul", (ones, v) if over == (0,) else (v, ones), None, shape)
        return self.values.make("reduce", (v,), (_REDUCE[op], over), shape)

    def contract(self, args: tuple[Array, ...], axes: Axes) -> Value:
        arrays = [self.values.real(self.array(a)) for a in args]
        if self.products and len(args) == 2:
            a, b = args
            return Contraction(self.values, self.ranges, arrays[0], a.axes, arrays[1], b.axes, axes).value()
        letters = dict(zip(dict.fromkeys(x for a in args for x in a.axes), ascii_letters, strict=False))
        text = (
            ",".join("".join(letters[x] for x in a.axes) for a in args)
            + "->"
            + "".join(letters[x] for x in axes)
        )
        return self.values.make("einsum", tuple(arrays), text, self.shape(axes))

    def elementwise(self, node: ar.Elementwise) -> Value:
        values, op = self.values, node.op
        if op == "multiply":
            if node.strong:
                return self.hidden(node)
            return self.product(node.args, node.axes)
        if op == "add":
            return self.sum(node)
        whole = [
            self.whole(a.int, a.axes) if isinstance(a, ar.Index) and op in COMPARISONS else self.array(a)
            for a in node.args
        ]
        args = [self.aligned(v, a.axes, node.axes) for v, a in zip(whole, node.args, strict=True)]
        if op == "power":
            exponent = node.args[1]
            return self.power(
                values.real(args[0]), exponent.expr if isinstance(exponent, ar.Scalar) else args[1]
            )
        if op in COMPARISONS:
            return values.ufunc(COMPARISONS[op], *args, kind="bool")
        if op in ("and", "or", "not"):
            if op == "not":
                return values.ufunc("logical_not", args[0], kind="bool")
            total = args[0]
            for a in args[1:]:
                total = values.ufunc(f"logical_{op}", total, a, kind="bool")
            return total
        if op == "bracket":
            return values.real(args[0])
        if op == "stop":
            return self.stopped(values.real(args[0]))
        if op.startswith("where"):
            instead = args[2] if op == "where" else values.number(NEUTRAL[_REDUCE[op.removeprefix("where ")]])
            return values.make("where", (args[0], values.real(args[1]), instead), None, self.shape(node.axes))
        return self.leaf(op, [values.real(a) for a in args])

    def hidden(self, node: ar.Elementwise) -> Value:
        """A product under brackets: 0 where they do not hold, whatever the other factors are."""
        brackets = node.args[0]
        assert isinstance(brackets, ar.Elementwise)
        assert brackets.op == "bracket"
        mask = self.aligned(self.array(brackets.args[0]), brackets.axes, node.axes)
        rest = self.product(node.args[1:], node.axes)
        if python(rest):
            return self.values.ufunc("multiply", self.values.real(mask), rest)
        return self.values.make("hide", (mask, rest), None, self.shape(node.axes))

    def sum(self, node: ar.Elementwise) -> Value:
        parts: list[tuple[bool, Array]] = []
        for a in node.args:
            negative = _negated(a)
            parts.append((negative is None, negative if negative is not None else a))
        first = next((k for k, (plus, _) in enumerate(parts) if plus), None)
        if first is None:
            first = 0
        plus, start = parts.pop(first)
        total = self._real(start, node.axes)
        if not plus:
            total = self.values.ufunc("negative", total, kind="real")
        for plus, a in parts:
            total = self.values.ufunc(
                "add" if plus else "subtract", total, self._real(a, node.axes), kind="real"
            )
        return total

    def _real(self, a: Array, axes: Axes) -> Value:
        return self.values.real(self.aligned(self.array(a), a.axes, axes))

    def product(self, args: Iterable[Array], axes: Axes) -> Value:
        """A product: numbers first, smaller arrays before larger ones, division last."""
        numbers: list[Expr] = []
        over: list[tuple[Array, Value]] = []
        under: list[tuple[Array, Value]] = []
        for a in args:
            if isinstance(a, ar.Scalar):
                numbers.append(a.expr)
            elif (
                isinstance(a, ar.Elementwise)
                and a.op == "power"
                and isinstance(a.args[1], ar.Scalar)
                and _negative(a.args[1].expr)
            ):
                base = a.args[0]
                v = self.power(self.values.real(self.array(base)), ex.mul(-1, a.args[1].expr))
                under.append((base, self.aligned(v, base.axes, axes)))
            else:
                over.append((a, self._real(a, axes)))
        coefficient = ex.mul(*numbers)
        minus = ex.split(coefficient)[0] < 0
        if minus:
            coefficient = ex.mul(-1, coefficient)
        top, bottom = fraction(coefficient)
        tops = [v for _, v in sorted(over, key=lambda p: len(p[0].axes))]
        bottoms = [v for _, v in sorted(under, key=lambda p: len(p[0].axes))]
        if top == ex.ONE and bottom != ex.ONE and tops:
            bottoms.insert(0, self.expr(bottom, self.tensor))
        elif coefficient != ex.ONE or not tops:
            tops.insert(0, self.expr(coefficient, self.tensor))
        if minus:
            tops[0] = self.values.ufunc("negative", tops[0], kind="real")
        return self.ratio(tops, bottoms)

    def ratio(self, tops: list[Value], bottoms: list[Value]) -> Value:
        ufunc = self.values.ufunc
        total = tops[0]
        for v in tops[1:]:
            total = ufunc("multiply", total, v, kind="real")
        if not bottoms:
            return total
        below = bottoms[0]
        for v in bottoms[1:]:
            below = ufunc("multiply", below, v, kind="real")
        return ufunc("divide", total, below, kind="real")

    def expr(self, e: Expr, given: Callable[[str], Value]) -> Value:
        """A scalar expression; `given` has the value of each name."""
        values = self.values

        def go(x: Expr) -> Value:
            return self.expr(x, given)

        match e:
            case ex.Num(v):
                return values.number(v)
            case ex.Const(name):
                return values.make("constant", info=name)
            case ex.Val(i):
                return values.size(i)
            case ex.Access(name, _):
                return given(name)
            case ex.Add(args):
                parts = sorted(args, key=lambda t: ex.split(t)[0] < 0)
                total = go(parts[0])
                for t in parts[1:]:
                    minus = ex.split(t)[0] < 0
                    total = values.ufunc(
                        "subtract" if minus else "add", total, go(ex.mul(-1, t) if minus else t), kind="real"
                    )
                return total
            case ex.Mul(args):
                if args[0] == ex.lift(-1):
                    return values.ufunc("negative", go(ex.mul(*args[1:])), kind="real")
                top, bottom = fraction(e)
                tops = [go(f) for f in (top.args if isinstance(top, ex.Mul) else (top,))]
                bottoms = (
                    []
                    if bottom == ex.ONE
                    else [go(f) for f in (bottom.args if isinstance(bottom, ex.Mul) else (bottom,))]
                )
                return self.ratio(tops, bottoms)
            case ex.Pow(a, b):
                return self.power(go(a), b if isinstance(b, ex.Num) else go(b))
            case ex.Call(name, args):
                return self.leaf(name, [go(a) for a in args])
            case ex.Bracket(ex.Cmp(op, a, b)):
                return values.real(values.ufunc(COMPARISONS[op], go(a), go(b), kind="bool"))
            case ex.Stop(a, kind):
                return go(a) if kind == "held" else self.stopped(go(a))
        raise TypeError(f"no scalar expression: {type(e).__name__}")

    def stopped(self, v: Value) -> Value:
        """A constant to every derivative, a complex step included."""
        return v if python(v) else self.values.make("stop", (v,), None, v.shape)

    def leaf(self, name: str, args: list[Value]) -> Value:
        leaf = LEAVES[name]
        if leaf.ufunc:
            return self.values.ufunc(leaf.run, *args, kind="real")
        if self.calls and not all(map(python, args)):
            v = self.values.ufunc(name, *args, kind="real")
            return self.values.make("leaf", tuple(args), name, v.shape) if v.op == "ufunc" else v
        known = dict(zip(leaf.params, args, strict=True))
        for part, body in leaf_lines(leaf):
            known[part] = self.expr(body, known.__getitem__)
        return known[""]

    def power(self, base: Value, exponent: Expr | Value) -> Value:
        """A power: small whole exponents as products, halves as roots."""
        values = self.values
        if isinstance(exponent, Value):
            return values.ufunc("power", base, values.real(exponent), kind="real")
        x = ex.number(exponent)
        if x is None:
            return values.ufunc("power", base, self.expr(exponent, self.tensor), kind="real")
        if x < 0:
            return values.ufunc("divide", values.number(1), self.power(base, ex.Num(-x)), kind="real")
        if x == Fraction(1, 2):
            return values.ufunc("sqrt", base, kind="real")
        if x == 1:
            return base
        if x.denominator == 1 and x <= 64:
            half = self.power(base, ex.Num(Fraction(x // 2))) if x > 3 else base
            square = values.ufunc("square", half, kind="real")
            return values.ufunc("multiply", square, base, kind="real") if x % 2 else square
        return values.ufunc("power", base, values.number(x), kind="real")


def fraction(e: Expr) -> tuple[Expr, Expr]:
    """A product as what is above and what is below the fraction bar."""
    top: list[Expr] = []
    bottom: list[Expr] = []
    for f in e.args if isinstance(e, ex.Mul) else (e,):
        if isinstance(f, ex.Pow) and _negative(f.exponent):
            bottom.append(ex.power(f.base, ex.mul(-1, f.exponent)))
        elif (
            isinstance(f, ex.Num)
            and f.value.numerator == 1
            and (1 < f.value.denominator < 10 or "/" in ex.decimal(f.value))
        ):
            bottom.insert(0, ex.Num(Fraction(f.value.denominator)))
        else:
            top.append(f)
    return ex.mul(*top), ex.mul(*bottom)


def _negative(e: Expr) -> bool:
    return isinstance(e, ex.Num) and e.value < 0


def _negated(a: Array) -> Array | None:
    """The array without its minus sign, or None if it has none."""
    if isinstance(a, ar.Scalar):
        return ar.Scalar(ex.mul(-1, a.expr)) if ex.split(a.expr)[0] < 0 else None
    if (
        isinstance(a, ar.Elementwise)
        and a.op == "multiply"
        and not a.strong
        and isinstance(a.args[0], ar.Scalar)
    ) and ex.split(a.args[0].expr)[0] < 0:
        rest = ex.mul(-1, a.args[0].expr)
        args = a.args[1:] if rest == ex.ONE else (ar.Scalar(rest), *a.args[1:])
        if len(args) == 1:
            return turned(args[0], a.axes) if set(args[0].axes) == set(a.axes) else None
        return ar.Elementwise("multiply", args, a.axes, reason=a.reason)
    return None
