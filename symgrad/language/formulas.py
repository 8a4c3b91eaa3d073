"""Formulas: from the tree of an expression to an array of scalar expressions.

The same reading serves both altitudes: with indices everything is a scalar in which axes occur, without them
arrays are combined entry by entry. Functions by name are in `functions.py`, subscripts in `subscripts.py`,
calls of definitions in `calls.py`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from symgrad.errors import Refusal, did_you_mean
from symgrad.language import (
    arguments,
    calls,
    functions,
    ints,
    made,
    matrices,
    moves,
    products,
    subscripts,
    turns,
)
from symgrad.language import expr as ex
from symgrad.language.build import Builder
from symgrad.language.definitions import Definition
from symgrad.language.expr import Bracket, Cmp, Condition, Const, Expr, Logic, Num
from symgrad.language.frames import Equation, Frame, Layer, Option, Value
from symgrad.language.ints import Int, Look, of
from symgrad.language.program import Nested, Tensor
from symgrad.language.syntax import chain, grouped, is_condition, unsigned, words
from symgrad.language.values import Array, Pending, Positions, elementwise, inner, integer, scalar
from symgrad.leaves import LEAVES

_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_DECIDE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
FUNCTIONS = {
    name: function
    for room in (functions, products, turns, made, moves, matrices)
    for name, function in room.FUNCTIONS.items()
}
_MODULES = ("np", "numpy", "torch", "jnp", "jax", "math", "F", "tf", "scipy", "sg")
_INNER_MODULES = ("linalg", "nn", "functional", "special", "numpy")


class Undeclared(Refusal):
    """A name that nothing gives a meaning."""


class Formulas:
    """Reads expressions into a builder.

    `equation` holds the letters of the equation being read, `frame` the names that it sees; `inside` says
    whether we are in brackets, a comparison or a position, where a bound letter is its running value.
    """

    def __init__(
        self,
        builder: Builder,
        definitions: Mapping[str, Definition],
        names: Mapping[str, ast.AST],
        training: bool = True,
    ):
        self.builder = builder
        self.trains = training
        self.switched = False  # whether anything asked for the option `training`
        self.definitions = definitions
        self.names = names  # tensors of the text, those of later lines too, each with the node that writes it
        self.frame = self.root = Frame()
        self.equation = Equation(builder.ranges, {})
        self.inside = False
        self.wide: dict[str, Sequence[int]] = {}  # where tensors have axes of one entry that are not stored
        self.stack: list[Definition] = []  # being expanded
        self.layers: dict[str, Layer] = {}  # those with a name, by their full names
        self.calls = 0

    @property
    def training(self) -> Option:
        """The option of this name; to ask for it is to depend on it."""
        self.switched = True
        return Option(self.trains)

    # places in the text

    def placed(self, problem: Refusal, node: ast.AST) -> Refusal:
        """The problem, at this node if the node is in the user's text."""
        return problem if self.frame.foreign else problem.at(node)

    @contextmanager
    def positions(self, inside: bool = True) -> Iterator[None]:
        """Inside, a bound letter is its running value."""
        before, self.inside = self.inside, inside
        try:
            yield
        finally:
            self.inside = before

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Letters bound inside end with it."""
        self.equation.scopes.append({})
        try:
            yield
        finally:
            self.equation.scopes.pop()

    @contextmanager
    def read_once(self, node: ast.expr) -> Iterator[tuple[ast.expr, Array]]:
        """What an expression gives, and a name for it inside: formulas that read a part twice would double the work
        for each part inside a part."""
        a = self.array(node)
        if isinstance(node, ast.Name):
            yield node, a
            return
        name = words(node)  # the name of nothing else, and what a message says of it
        values = self.frame.values
        values[name] = a
        try:
            yield ast.copy_location(ast.Name(name, ast.Load()), node), a
        finally:
            values.pop(name, None)

    # values

    def value(self, node: ast.expr) -> Value:
        """What an expression stands for."""
        try:
            return self._value(node)
        except Refusal as problem:
            raise self.placed(problem, node) from None

    def array(self, node: ast.expr) -> Array:
        """An expression that must be a number or an array."""
        v = self.value(node)
        if isinstance(v, Option):
            raise self.placed(
                Refusal(f"{words(node)} chooses an option; a number or an array is needed here"), node
            )
        return v

    def whole(self, node: ast.expr, what: str = "a size") -> Int:
        """An expression that must be an integer scalar."""
        with self.positions():
            a = self.array(node)
        if a.whole is None:
            raise self.placed(
                Refusal(f"{what} is a whole number made of sizes and numbers, not {words(node)}"), node
            )
        return a.whole

    def range(self, node: ast.expr, name: str, op: ast.cmpop | None = None) -> Int:
        """The end of the range of an index, `name < end` or `name <= end`: a size, which no index moves."""
        size = self.whole(node, "a range")
        last = isinstance(op, ast.LtE)
        if size.axes or any(isinstance(a, Look) for a in size.atoms()):
            said = f"the range of {name} moves with {words(node)}; let it run over all and write a condition"
            raise self.placed(Refusal(f"{said}, [{name} {'<=' if last else '<'} {words(node)}]"), node)
        if ints.nonnegative(size - 1) is False:
            raise self.placed(Refusal(f"the range of {name} is empty"), node)
        return size + 1 if last else size

    def _value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant():
                return _constant(node)
            case ast.Name():
                return self.name(node)
            case ast.UnaryOp():
                return self._unary(node)
            case ast.BinOp(op=ast.Add() | ast.Sub()):
                return self._sum(node)
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                return self._product(node)
            case ast.BinOp():
                return self._binary(node)
            case ast.Subscript(value=ast.Call() as call) if self.callee(call.func)[0] in moves.SPLITS:
                return self._part(call, node.slice)
            case ast.Subscript(value=ast.Call(func=func) as made) if self.callee(func)[0] in matrices.PAIRS:
                return matrices.pair(self, self.callee(func)[0], made, node.slice)
            case ast.Subscript():
                return subscripts.subscript(self, node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Call():
                return self._call(node)
            case ast.List():
                return self._list(node)
            case ast.IfExp():
                return self._choice(node)
            case ast.Compare() | ast.BoolOp():
                raise Refusal(f"a condition stands in square brackets: [{words(node)}]")
            case ast.Tuple():
                raise Refusal("a comma is not expected here; only ranges, `g < 2`, may follow an equation")
        raise Refusal(f"{words(node)} is not part of a formula")

    def name(self, node: ast.Name) -> Value:
        """What a name stands for here: the innermost meaning wins."""
        name, frame = node.id, self.frame
        bound = self.equation.find(name)
        if bound is not None and self.inside:
            return integer(bound)
        if name in frame.values:
            return frame.values[name]
        if name in frame.weights:
            return calls.open_weight(self, name)
        if name in frame.sizes:
            return integer(frame.sizes[name])
        if bound is not None:
            raise Refusal(
                f"{name} is an index here and no size of a declaration; its running value is index({name})"
            )
        if name in ("pi", "e"):
            return scalar(Const(name))
        if name == "training":
            return self.training
        raise self.unknown(name)

    def unknown(self, name: str) -> Refusal:
        """The message for a name that nothing gives a meaning."""
        known = [*self.frame.values, *self.frame.weights, *self.frame.sizes]
        if name in self.definitions or name in FUNCTIONS or name in LEAVES:
            return Refusal(f"{name} is a function: write {name}(x)")
        if self.frame.definition is None and name in self.names:
            line = getattr(self.names[name], "lineno", 0)
            return Refusal(f"{name} is read here, before line {line} writes it; put that line first")
        if self.frame.definition is not None:
            where = f"the definition of {self.frame.definition.name}"
            return Refusal(
                f"{name} is not known in {where}: it sees its parameters only{did_you_mean(name, known)}"
            )
        return Undeclared(
            f"{name} is not declared{did_you_mean(name, known)}"
            + ("" if did_you_mean(name, known) else f"; declare it in a line above, such as `{name}: weight`")
        )

    # operators

    def _unary(self, node: ast.UnaryOp) -> Array:
        if isinstance(node.op, ast.Not):
            raise Refusal(f"a condition stands in square brackets: [{words(node)}]")
        a = self.array(node.operand)
        if isinstance(node.op, ast.UAdd):
            return a
        return self.scaled(a, scalar(Num(Fraction(-1)))) or elementwise(lambda x: -x, a, whole=lambda x: -x)

    def _sum(self, node: ast.BinOp) -> Array:
        members = chain(node)
        values = [self.array(m) for _, m in members]
        signs = [-1 if isinstance(op, ast.Sub) else 1 for op, _ in members]

        def total(*es: Expr) -> Expr:
            return ex.add(*(ex.mul(s, e) if s < 0 else e for s, e in zip(signs, es, strict=True)))

        def whole(*xs: Int) -> Int:
            return sum((s * x for s, x in zip(signs, xs, strict=True)), ints.ZERO)

        return elementwise(total, *values, texts=[words(m) for _, m in members], whole=whole)

    def _product(self, node: ast.BinOp) -> Array:
        """A product; its brackets also guard what the other factors read."""
        members = chain(node)
        brackets = {
            k: self.array(unsigned(m)) for k, (_, m) in enumerate(members) if is_condition(unsigned(m))
        }
        conditions = [c for b in brackets.values() if not b.shape for c in _conditions(b.at(()))]
        with self.builder.under(conditions):
            values = [brackets[k] if is_condition(m) else self.array(m) for k, (_, m) in enumerate(members)]
        below = [isinstance(op, ast.Div) for op, _ in members]
        for v, under, (_, m) in zip(values, below, members, strict=True):
            if under and v.number == 0:
                raise self.placed(Refusal("this divides by zero"), m)
        powers = [-1 if under else 1 for under in below]

        def total(*es: Expr) -> Expr:
            return ex.mul(*(ex.power(e, p) for e, p in zip(es, powers, strict=True)))

        def whole(*xs: Int) -> Int:
            out = of(1)
            for x in xs:
                out = out * x
            return out

        texts = [words(m) for _, m in members]
        open_sums = [k for k, v in enumerate(values) if _open_sum(v)]
        if len(open_sums) == 1 and not below[open_sums[0]]:
            rest = [k for k in range(len(values)) if k != open_sums[0]]
            if all(values[k].fixed is not None for k in rest):
                known = [(v.fixed, p) for v, p in zip(values, powers, strict=True) if v.fixed is not None]
                factor = ex.mul(*(ex.power(e, p) for e, p in known))
                scaled = self.scaled(values[open_sums[0]], scalar(factor))
                if scaled is not None:
                    return scaled
        return elementwise(total, *values, texts=texts, whole=None if any(below) else whole)

    def scaled(self, a: Array, factor: Array) -> Array | None:
        """A sum that is not written yet, with a factor taken into it; None if it is not one."""
        if not _open_sum(a) or factor.fixed is None:
            return None
        assert isinstance(a, Pending)
        inside, times = a.body, factor.fixed

        def body(position: Positions) -> tuple[Expr, Condition | None]:
            summand, guard = inside(position)  # once: signs before signs would double the work each
            return ex.mul(times, summand), guard

        out = self.builder.pending("+=", a.shape, body, a.reduced, a.letters)
        out.guards, out.label = a.guards, a.label
        return out

    def _binary(self, node: ast.BinOp) -> Array:
        if isinstance(node.op, ast.MatMult):
            return products.matmul(self, [node.left, node.right])
        a, b = self.array(node.left), self.array(node.right)
        if isinstance(node.op, ast.Pow):
            return self.power(a, b, node)
        if not isinstance(node.op, (ast.FloorDiv, ast.Mod)):
            raise Refusal(f"{words(node)} is not part of the language")
        if a.integer is None or b.whole is None:
            raise Refusal("`//` and `%` are for positions and sizes, by a positive whole number")
        if b.whole.number is not None and b.whole.number < 1 or b.whole.axes:
            raise Refusal(f"`//` and `%` go by a positive whole number, not by {words(node.right)}")
        floor = isinstance(node.op, ast.FloorDiv)

        def whole(x: Int, y: Int) -> Int:
            return x // y if floor else x % y

        top, bottom = a.integer, b.whole
        return Array(
            a.shape,
            lambda p: ex.val(whole(top(p), bottom)),
            a.letters,
            lambda p: whole(top(p), bottom),
        )

    def power(self, a: Array, b: Array, node: ast.BinOp) -> Array:
        """`a**b`, entry by entry."""
        if b.number == -1 and a.rank == 2:
            raise Refusal(
                f"{words(node)} would turn over each entry; the inverse of a matrix is "
                f"inv({words(node.left)})"
            )
        if a.number == 0 and b.number is not None and b.number < 0:
            raise Refusal("this divides by zero")
        times = b.number

        def whole(x: Int, _exponent: Int) -> Int:
            out = of(1)
            for _ in range(int(times or 0)):
                out = out * x
            return out

        small = times is not None and times.denominator == 1 and 0 <= times <= 4
        texts = [words(node.left), words(node.right)]
        return elementwise(ex.power, a, b, texts=texts, whole=whole if small else None)

    def _attribute(self, node: ast.Attribute) -> Value:
        known = self.dotted(node)
        if known in ("pi", "e"):
            return scalar(Const(known))
        if node.attr == "T":
            return turns.transpose(self, node.value)
        if node.attr == "mT":
            return turns.matrix_transpose(self, node.value)
        if node.attr == "shape":
            raise Refusal(f"take one size of it: {words(node)}[0]")
        if node.attr == "size":
            return functions.size_of(self, node.value)
        raise Refusal(f"`.{node.attr}` is not known here; `.T` transposes, `.shape[0]` is a size")

    # conditions and choices

    def condition(self, node: ast.expr) -> Array:
        """A condition, as an array of conditions."""
        with self.positions():
            try:
                return self._condition(node)
            except Refusal as problem:
                raise self.placed(problem, node) from None

    def _condition(self, node: ast.expr) -> Array:
        match node:
            case ast.BoolOp(op=op, values=parts):
                kind = "and" if isinstance(op, ast.And) else "or"
                arrays = [self.condition(p) for p in parts]
                join: Callable[..., Any] = ex.both if kind == "and" else lambda *cs: Logic("or", cs)
                return elementwise(join, *arrays, texts=[words(p) for p in parts])
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return elementwise(lambda c: Logic("not", (c,)), self.condition(part))
            case ast.Compare(left=first, ops=ops, comparators=others):
                nodes = [first, *others]
                sides = [self.array(n) for n in nodes]
                # a condition stands twice in what chooses by it: a choice inside one would double each time
                sides = [
                    self.builder.stored(a) if any(isinstance(x, ast.IfExp) for x in ast.walk(n)) else a
                    for n, a in zip(nodes, sides, strict=True)
                ]
                if any(type(op) not in _COMPARE for op in ops):
                    raise Refusal("compare with `<`, `<=`, `>`, `>=`, `==` or `!=`")
                texts = [words(n) for n in nodes]
                for sign, a, b in zip(ops, sides, sides[1:], strict=False):
                    if isinstance(sign, (ast.Eq, ast.NotEq)):
                        self._like_label(a, b)
                        self._like_label(b, a)
                pairs = [
                    elementwise(_comparison(_COMPARE[type(op)]), _inner(a), _inner(b), texts=texts[k : k + 2])
                    for k, (op, a, b) in enumerate(zip(ops, sides, sides[1:], strict=False))
                ]
                return pairs[0] if len(pairs) == 1 else elementwise(ex.both, *pairs)
        raise Refusal(f"{words(node)} is not a condition; compare, such as [{words(node)} > 0]")

    def _like_label(self, a: Array, b: Array) -> None:
        """In `[t[n] == k]` the index k runs over the values of the label t, where nothing else tells its range."""
        index = a.whole.axis if a.whole is not None else None
        label = b.whole.atom if b.whole is not None else None
        if index is not None and isinstance(label, Look):
            self.builder.ranges.weak[index] = self.builder.below[label.tensor]

    def _list(self, node: ast.List) -> Array:
        if is_condition(node):
            return elementwise(Bracket, self.condition(node.elts[0]))
        if any(is_condition(n) or isinstance(n, (ast.Compare, ast.BoolOp)) for n in node.elts):
            raise Refusal("a list holds numbers, or one condition; several conditions are joined with `and`")
        return self.literal(node, self.builder.part_name(), named=False)

    def literal(self, node: ast.List, name: str, named: bool) -> Array:
        """A list of numbers as a tensor."""
        entries = self._entries(node)
        shape = _literal_shape(entries)
        if shape is None:
            raise Refusal("the rows of this list differ in length; a matrix is written [[1, 2], [3, 4]]")
        self.builder.declare(Tensor(name, tuple(map(of, shape)), "literal", literal=entries, named=named))
        return self.builder.array(name)

    def _entries(self, node: ast.expr) -> Nested:
        if isinstance(node, ast.List):
            if not node.elts:
                raise self.placed(Refusal("a list holds at least one number"), node)
            return tuple(map(self._entries, node.elts))
        number = self.array(node).number
        if number is None:
            raise self.placed(
                Refusal(f"a list holds numbers, or one condition; {words(node)} is neither"), node
            )
        return number

    def _choice(self, node: ast.IfExp) -> Value:
        """`a if c else b`: by an option when there is one, else entry by entry."""
        chosen = self.option(node.test)
        if chosen is not None:
            return self.value(node.body if chosen else node.orelse)
        return self.where(node.test, node.body, node.orelse)

    def option(self, test: ast.expr) -> bool | None:
        """The truth of a test over options, or None where it speaks of numbers."""
        match test:
            case ast.Name() if isinstance(v := self._option_named(test), Option):
                return bool(v.value)
            case ast.Constant(value=bool() as v):
                return v
            case ast.UnaryOp(op=ast.Not(), operand=part):
                inner_value = self.option(part)
                return None if inner_value is None else not inner_value
            case ast.BoolOp(op=op, values=parts):
                found = [self.option(p) for p in parts]
                if None in found:
                    return None
                return all(found) if isinstance(op, ast.And) else any(found)
            case ast.Compare(left=a, ops=[op], comparators=[b]):
                numbers = [self._known_number(x) for x in (a, b)]
                if None not in numbers and type(op) in _COMPARE:
                    return _DECIDE[_COMPARE[type(op)]](*numbers)
                sides = [self._literal_option(x) for x in (a, b)]
                if any(s is None for s in sides) or not isinstance(
                    op, (ast.Eq, ast.NotEq, ast.Is, ast.IsNot)
                ):
                    return self._settled_test(test)
                same = sides[0] == sides[1]
                return same if isinstance(op, (ast.Eq, ast.Is)) else not same
        return None

    def _option_named(self, node: ast.Name) -> Value | None:
        """What a name stands for, if that may be an option."""
        v = self.frame.values.get(node.id)
        known = v is not None or node.id in self.frame.weights or node.id in self.frame.sizes
        return v if known or node.id != "training" else self.training

    def _settled_test(self, test: ast.Compare) -> bool | None:
        """The truth of a comparison of numbers and sizes, where it is the same for all sizes."""
        known = self.frame.values
        for n in ast.walk(test):
            if isinstance(n, ast.Name):
                v = known.get(n.id)
                settled = v.fixed is not None if isinstance(v, Array) else n.id in self.frame.sizes
                if not settled or self.equation.find(n.id) is not None:
                    return None
            elif not isinstance(n, (ast.Compare, ast.BinOp, ast.UnaryOp, ast.Constant, ast.operator, ast.unaryop,
                                    ast.cmpop, ast.Load)):  # fmt: skip
                return None
        margins = ex.margins_of(self.condition(test).at(()))
        holds = [ints.nonnegative(m) for m in margins or (None,) if m is not None]
        return False if False in holds else True if holds and all(holds) else None

    def _known_number(self, node: ast.expr) -> Fraction | None:
        """A number that is known while the text is read: written out, or given for a parameter."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self._known_number(node.operand)
            return None if number is None else -number
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return Fraction(repr(node.value))
        v = self.frame.values.get(node.id) if isinstance(node, ast.Name) else None
        return (
            v.number if isinstance(v, Array) and self.equation.find(getattr(node, "id", "")) is None else None
        )

    def _literal_option(self, node: ast.expr) -> Option | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bool, type(None))):
            return Option(node.value)
        v = self._option_named(node) if isinstance(node, ast.Name) else None
        if isinstance(v, Array) and isinstance(node, ast.Name) and self.frame.definition is not None:
            return Option("a number or an array")  # so that `if x is None` can be asked of it
        return v if isinstance(v, Option) else None

    def where(self, test: ast.expr, first: ast.expr, second: ast.expr) -> Array:
        """`first` where the test holds, else `second`; neither is read where it is not taken."""
        c = self.condition(test.elts[0] if isinstance(test, ast.List) and is_condition(test) else test)
        held = _conditions(Bracket(c.at(()))) if not c.shape else []
        other = [_negated(c.at(()))] if not c.shape else []
        with self.builder.under(held):
            a = self.array(first)
        with self.builder.under(other):
            b = self.array(second)

        def choose(condition: Condition, x: Expr, y: Expr) -> Expr:
            return ex.add(ex.mul(Bracket(condition), x), ex.mul(Bracket(_negated(condition)), y))

        return elementwise(choose, c, a, b, texts=[words(test), words(first), words(second)])

    # calls

    def _part(self, call: ast.Call, which: ast.expr) -> Array:
        """`split(x, 2)[1]`."""
        _, args, keywords = self._arguments(call)
        parts = moves.split(self, args, keywords)
        number = self.whole(which, "a part").number
        if number is None or not -len(parts) <= number < len(parts):
            raise self.placed(Refusal(f"there are {len(parts)} parts, numbered from 0"), which)
        return parts[number]

    @contextmanager
    def as_name(self, node: ast.expr) -> Iterator[ast.Name]:
        """A name for the value of an expression, which is read once; for messages it is the expression's own text."""
        name, values = words(node), self.frame.values
        before = values.get(name)
        values[name] = self.builder.stored(self.array(node))
        try:
            yield ast.copy_location(ast.Name(name), node)
        finally:
            if before is None:
                del values[name]
            else:
                values[name] = before

    def _arguments(self, node: ast.Call) -> tuple[str, list[ast.expr], dict[str, ast.expr]]:
        """The function's name, its arguments (the array before the dot first), and its options."""
        name, receiver = self.callee(node.func)
        args = [*([receiver] if receiver is not None else []), *node.args]
        keywords: dict[str, ast.expr] = {}
        for k in node.keywords:
            if k.arg is None:
                raise Refusal("`**` cannot unpack here: write the options one by one")
            if k.arg in keywords:
                raise Refusal(f"{k.arg} is given twice")
            keywords[k.arg] = k.value
        return name, args, keywords

    def _call(self, node: ast.Call) -> Value:
        name, args, keywords = self._arguments(node)
        if name in moves.SPLITS:
            raise Refusal(
                f"{name} gives several arrays: `a, b = {words(node)}`, or one of them, {words(node)}[0]"
            )
        if name not in self.definitions and name not in FUNCTIONS:
            name = functions.ALIASES.get(name, name)
        if name in self.definitions and self._takes(name, len(args), keywords):
            return calls.call(self, self.definitions[name], args, keywords)
        if name in FUNCTIONS:
            return FUNCTIONS[name](self, args, keywords)
        if name in LEAVES:
            return self.leaf(name, args, keywords)
        raise self._no_function(name)

    def _takes(self, name: str, count: int, keywords: Mapping[str, ast.expr]) -> bool:
        """Whether a call is of a definition: not if its arguments fit none, and a function of the same name is left.

        `softplus(x)` is the scalar function, `norm(x, 1)` NumPy's.
        """
        total = count + len(keywords)
        leaf = name in LEAVES and len(LEAVES[name].params) == total
        others = calls.takes(self.definitions[name], total, keywords) if name in FUNCTIONS else True
        return others and not (leaf and not calls.takes(self.definitions[name], total))

    def callee(self, node: ast.expr) -> tuple[str, ast.expr | None]:
        """The function's name, and the array before the dot if it is a method."""
        if isinstance(node, ast.Name):
            return node.id, None
        if isinstance(node, ast.Attribute):
            name = self.dotted(node)
            return (name, None) if name is not None else (node.attr, node.value)
        text = grouped(words(node))
        raise Refusal(f"{text} is not a function; a product is written with a star, {text}*(...)")

    def dotted(self, node: ast.Attribute) -> str | None:
        """The last word of `np.linalg.inv`, or None where no module stands before the dot."""
        base: ast.expr = node.value
        while isinstance(base, ast.Attribute) and base.attr in _INNER_MODULES:
            base = base.value
        known = isinstance(base, ast.Name) and base.id in _MODULES and base.id not in self.frame.values
        return node.attr if known else None

    def leaf(self, name: str, args: list[ast.expr], keywords: Mapping[str, ast.expr]) -> Array:
        """A scalar function, entry by entry."""
        arguments.no_more(name, keywords)
        params = LEAVES[name].params
        if len(args) != len(params):
            raise Refusal(f"{name} takes {len(params)} argument{'s' * (len(params) > 1)}, not {len(args)}")
        values = [self.builder.preactivation(self.array(a)) for a in args]
        return elementwise(lambda *es: ex.call(name, *es), *values, texts=[words(a) for a in args])

    def _no_function(self, name: str) -> Refusal:
        if name in self.frame.values:
            return Refusal(
                f"{name} is a tensor, not a function; an entry is {name}[i], a product {name}*(...)"
            )
        if name in functions.HINTS:
            return Refusal(functions.HINTS[name])
        if name in matrices.NOT_HERE:
            return Refusal(f"{name} is not known here: {matrices.NOT_HERE[name]}")
        known = [*self.definitions, *FUNCTIONS, *functions.ALIASES, *LEAVES]
        return Refusal(
            f"{name} is not a known function{did_you_mean(name, known)}"
            + ("" if did_you_mean(name, known) else f"; define it: `def {name}(x): return ...`")
        )


def _conditions(e: Expr) -> list[Condition]:
    """The conditions that a bracket says hold, one by one."""
    if not isinstance(e, Bracket):
        return []
    c = e.condition
    return list(c.args) if isinstance(c, Logic) and c.op == "and" else [c]


_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


def _negated(c: Condition) -> Condition:
    """The opposite of a condition (of numbers: a NaN is on neither side)."""
    if isinstance(c, Cmp):
        return Cmp(_OPPOSITE[c.op], c.a, c.b)
    if c.op == "not":
        return c.args[0]
    return Logic("or" if c.op == "and" else "and", tuple(map(_negated, c.args)))


def _comparison(op: str) -> Callable[[Expr, Expr], Condition]:
    def compared(a: Expr, b: Expr) -> Condition:
        if isinstance(a, Bracket) and op == ">" and b == ex.ZERO:
            return a.condition  # a mask asked whether it holds
        return Cmp(op, a, b)

    return compared


def _inner(a: Array) -> Array:
    """A side of a comparison: integers stay one expression."""
    if a.integer is None:
        return a
    return Array(a.shape, lambda p: inner(a, p), a.letters, a.integer)


def _open_sum(a: Array) -> bool:
    return isinstance(a, Pending) and not a.written and a.op == "+="


def _constant(node: ast.Constant) -> Value:
    v = node.value
    if isinstance(v, (bool, str)) or v is None:
        return Option(v)
    if isinstance(v, int):
        return scalar(Num(Fraction(v)))
    if isinstance(v, float):
        return scalar(Num(Fraction(repr(v))))
    if v is ...:
        raise Refusal("`...` stands for axes inside `x[...]` only")
    raise Refusal("only real numbers are part of the language")


def _literal_shape(x: Nested) -> tuple[int, ...] | None:
    if not isinstance(x, tuple):
        return ()
    inside = {_literal_shape(y) for y in x}
    (first, *more) = inside
    return None if more or first is None else (len(x), *first)
