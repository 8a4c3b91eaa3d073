"""A function of Python as a definition: it is called once with symbols for its arguments, and what it gives is written.

Nothing of its source is read. Where it asks an option (`if bias:`) it is called again for the other answer, and the
answers become `a if bias else b` in the definition.
"""

from __future__ import annotations

import ast
import inspect
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from symgrad.errors import Refusal, SymgradError
from symgrad.language.syntax import is_name, parse
from symgrad.library import DEFINITIONS, define
from symgrad.objects import layers
from symgrad.objects.expressions import ASKING, Choice, Expression, tree
from symgrad.objects.nodes import (
    TRACES,
    Call,
    Chosen,
    Condition,
    Declared,
    LayerWeight,
    Node,
    Owner,
    Parameter,
    ordered,
)  # fmt: skip
from symgrad.objects.writing import write

WAYS = 64  # through a function


@dataclass(eq=False)
class Trace:
    """One way through a function: the answers to what it asks of its options."""

    given: Sequence[bool]
    answers: list[tuple[str, object, bool]] = field(default_factory=list)

    def ask(self, name: str, value: object) -> bool:
        """Whether an option is (or, for True, counts as) a value: the first time both ways are open."""
        for asked, other, answer in self.answers:
            if asked == name and other == value and type(other) is type(value):
                return answer
            if asked == name and answer and not isinstance(other, bool):
                return False  # it is another text, or None
        if value is False:
            return not self.ask(name, True)
        if value is not None and not isinstance(value, (bool, str)):
            return False
        k = len(self.answers)
        answer = self.given[k] if k < len(self.given) else True
        self.answers.append((name, value, answer))
        return answer


def op(function: Callable[..., Any]) -> Callable[..., Expression]:
    """Define an operation by a function of Python: a decorator.

    The function is called with expressions for its arguments. Parameters may say their axes, `x: "[..., i]"` or
    `t: "label[...]"`; a parameter whose default is a number is a number, one whose default is a bool, a text or None an
    option, which `if` may ask; where it raises a ValueError for an option, the operation refuses that with the same
    words. `sg.weight` inside makes the operation a layer. The docstring becomes the definition's.

    Returns:
        the function of the operation, as `sg.relu` is; in a text and as `sg.name` it is known at once.

    Raises:
        SymgradError: a parameter or what the function does has no form in the language.

    Example:
        >>> import symgrad as sg
        >>> @sg.op
        ... def gated(x: "[..., i]", m, bias=True):
        ...     "a linear layer times a sigmoid of itself"
        ...     z = x @ sg.weight("i", m, name="W", start="glorot()")
        ...     if bias:
        ...         z = z + sg.weight(m, name="b", start=0)
        ...     return z*sg.sigmoid(z)
        >>> print(sg.Model("x: data[n, 3]; loss = sum(gated(x, 2, bias=False))").program)
        x: data[n, 3]
        W1: weight[3, 2] = glorot()
        loss_1[n, m] = sum(i, x[n, i]*W1[i, m])
        loss_2[n, m] = loss_1[n, m]*sigmoid(loss_1[n, m])
        loss = sum(n, m, loss_2[n, m])
    """
    name = getattr(function, "__name__", "")
    if not inspect.isfunction(function) or not is_name(name):
        raise SymgradError("sg.op takes a function with a name: @sg.op above `def swish(x): ...`")
    try:
        define(definition(function))
    except SymgradError as problem:
        raise SymgradError(f"in the function {name}: {problem}") from None
    # the `else` of a function is for all other words; those that it refuses are requirements
    DEFINITIONS[name] = replace(DEFINITIONS[name], any_word=True)
    return layers.function(name)


def definition(function: Callable[..., Any]) -> str:
    """The text of the definition that a function stands for."""
    params = [_Parameter(p) for p in inspect.signature(function).parameters.values()]
    token = object()  # whose parameters and weights these are
    ways: list[Trace] = []
    merger = Merger()
    roots: list[Node | None] = []
    refused: dict[str, list[int]] = {}  # what is said on the ways that the function refuses
    given: list[bool] | None = []
    while given is not None:
        if len(ways) >= WAYS:
            raise SymgradError(f"its options are asked in more than {WAYS} ways")
        ways.append(Trace(given))
        try:
            roots.append(merger.canonical(_called(function, params, ways[-1], token)))
        except (ValueError, NotImplementedError, AssertionError, LookupError) as problem:
            if isinstance(problem, SymgradError) or not ways[-1].answers:
                raise
            refused.setdefault(_said(problem), []).append(len(roots))
            roots.append(None)
        given = _next(ways[-1].answers)
    if not any(roots):
        raise SymgradError(f"it raises an exception whatever its options are, {' and '.join(refused)}; "
                           "it must return an expression for at least one value of each")  # fmt: skip
    choices = Choices(ways)
    names = dict.fromkeys(
        [*(p.name for p in params), *(x for p in params for x in p.letters), function.__name__]
    )
    written = write(merger.merged(choices, roots), name="", taken=names, trace=token, when=choices.when)
    for e in written.nodes:
        if isinstance(e, Declared):
            _may_declare(e, written.names[id(e)], names)
    body = [
        *choices.requirements(refused),
        *written.declared,
        *written.equations[:-1],
        ast.Return(written.result),
    ]
    doc = inspect.getdoc(function)
    if doc:
        body.insert(0, ast.Expr(ast.Constant(doc)))
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(p.name, p.annotation) for p in params],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[p.default for p in params if p.default is not None],
    )
    node = ast.FunctionDef(function.__name__, arguments, body, [], None)
    return ast.unparse(ast.fix_missing_locations(ast.Module([node], [])))


class _Parameter:
    """A parameter of the function: its axes, its default, and what the function is called with."""

    def __init__(self, p: inspect.Parameter):
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise SymgradError(f"an operation has plain parameters, and {p} takes any number")
        self.name, self.by_name = p.name, p.kind is p.KEYWORD_ONLY
        self.annotation = _axes(p)
        self.option = p.default is not p.empty and (p.default is None or isinstance(p.default, (bool, str)))
        if p.default is not p.empty and not self.option and not isinstance(p.default, numbers.Real):
            raise SymgradError(
                f"the default of {p.name} is a number, True, False, None or a text, not {p.default!r}"
            )
        self.default = None if p.default is p.empty else tree(p.default)
        self.perhaps = p.default is None

    @property
    def letters(self) -> Iterator[str]:
        for n in ast.walk(self.annotation) if self.annotation is not None else ():
            if isinstance(n, ast.Name):
                yield n.id

    def argument(self, trace: Trace, token: object) -> object:
        if self.perhaps:
            return None if trace.ask(self.name, None) else Expression(Parameter(self.name, token))
        return Choice(self.name, trace.ask) if self.option else Expression(Parameter(self.name, token))


def _axes(p: inspect.Parameter) -> ast.expr | None:
    """The axes that an annotation says, as a tree; None for another annotation, such as a type."""
    text = p.annotation
    if not isinstance(text, str):
        return None
    with_quotes = text.strip()[:1] in ("'", '"')  # where annotations are kept as text
    try:
        line = parse(text)[1].body[0]
        if with_quotes and isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
            line = parse(str(line.value.value))[1].body[0]
    except (Refusal, IndexError):
        line = ast.Pass()
    node = line.value if isinstance(line, ast.Expr) else None
    match node:
        case ast.List() | ast.Tuple() | ast.Compare():
            return node
        case ast.Subscript(value=ast.Name(id="label" | "data" | "weight" | "constant")):
            return node
        case ast.Name() | ast.Attribute() if not with_quotes and "[" not in text:
            return None
    raise SymgradError(f'the axes of {p.name} are written "[..., i]" or "label[...] < k", not {text!r}')


def _called(function: Callable[..., Any], params: Sequence[_Parameter], trace: Trace, token: object) -> Node:
    """What the function gives for symbols, with these answers to what it asks."""
    arguments = [p.argument(trace, token) for p in params if not p.by_name]
    named = {p.name: p.argument(trace, token) for p in params if p.by_name}
    TRACES.append(token)
    ASKING.append(trace.ask)
    try:
        result = function(*arguments, **named)
    finally:
        TRACES.pop()
        ASKING.pop()
    if result is None:
        raise SymgradError("it returns nothing; an operation returns an expression")
    if isinstance(result, (tuple, list)):
        raise SymgradError(f"it returns {len(result)} results; an operation returns one expression")
    return result.node if isinstance(result, Expression) else Node(tree(result))


def _said(problem: Exception) -> str:
    """An exception as the sentence of a requirement."""
    said = str(problem.args[0]) if len(problem.args) == 1 else str(problem)
    return (
        said if said and isinstance(problem, ValueError) else f"{type(problem).__name__}: {said}".rstrip(": ")
    )


def _may_declare(e: Declared, name: str, known: Mapping[str, None]) -> None:
    if e.role not in ("weight", "draw"):
        raise SymgradError(f"{name} is declared as {e.role}; what an operation is given is a parameter")
    dims = e.annotation
    for n in ast.walk(dims):
        if isinstance(n, ast.Name) and n.id not in known and n.id != e.role:
            raise SymgradError(
                f'the size {n.id} of {name} is no letter of a parameter; write the axes, x: "[..., {n.id}]"'
            )


def _next(answers: Sequence[tuple[str, object, bool]]) -> list[bool] | None:
    """The answers of the way after this one, or None after the last."""
    given = [answer for _, _, answer in answers]
    while given and not given[-1]:
        given.pop()
    return [*given[:-1], False] if given else None


# ---------------------------------------------------------------------- one definition for all ways


@dataclass(eq=False)
class Choices:
    """The questions that the ways through a function met, as a tree."""

    ways: Sequence[Trace]

    def split(self, ways: Sequence[int], depth: int) -> tuple[ast.expr, list[int], list[int]]:
        """The question that ways with the same answers so far ask next, and those that go on either side."""
        name, value, _ = self.ways[ways[0]].answers[depth]
        test: ast.expr = ast.Name(name, ast.Load())
        if value is not True:
            op: ast.cmpop = ast.Is() if value is None else ast.Eq()
            test = ast.Compare(test, [op], [ast.Constant(value)])  # type: ignore[arg-type]
        yes = [k for k in ways if self.ways[k].answers[depth][2]]
        return test, yes, [k for k in ways if k not in yes]

    def when(self, chosen: frozenset[int] | None) -> ast.expr | None:
        """The condition, over the options, under which a way is one of the chosen; None if it always is."""
        if chosen is None or len(chosen) == len(self.ways):
            return None
        found = self._when(range(len(self.ways)), chosen, 0)
        assert not isinstance(found, bool)
        return found

    def requirements(self, refused: Mapping[str, Sequence[int]]) -> list[ast.Assert]:
        """What the options must be, for each sentence with which ways are refused."""
        lines = []
        for sentence, ways in refused.items():
            test = self.when(frozenset(range(len(self.ways))) - {*ways})
            assert test is not None
            lines.append(ast.Assert(test, ast.Constant(sentence)))
        return lines

    def _when(self, ways: Sequence[int], chosen: frozenset[int], depth: int) -> bool | ast.expr:
        inside = [k in chosen for k in ways]
        if all(inside) or not any(inside):
            return all(inside)
        test, yes, no = self.split(ways, depth)
        a, b = self._when(yes, chosen, depth + 1), self._when(no, chosen, depth + 1)
        if not isinstance(a, bool) and not isinstance(b, bool) and ast.unparse(a) == ast.unparse(b):
            return a
        if a is True or b is True:
            first, rest = (test, b) if a is True else (_not(test), a)
            return first if isinstance(rest, bool) else _either(first, rest)
        if a is False:
            return _both(_not(test), b)
        return _both(test, a) if b is False else _either(_both(test, a), _both(_not(test), b))


def _both(test: ast.expr, condition: bool | ast.expr) -> ast.expr:
    if isinstance(condition, bool):
        return test
    more = (
        condition.values
        if isinstance(condition, ast.BoolOp) and isinstance(condition.op, ast.And)
        else [condition]
    )
    return ast.BoolOp(ast.And(), [test, *more])


def _either(a: ast.expr, b: ast.expr) -> ast.expr:
    more = b.values if isinstance(b, ast.BoolOp) and isinstance(b.op, ast.Or) else [b]
    return ast.BoolOp(ast.Or(), [a, *more])


def _not(test: ast.expr) -> ast.expr:
    match test:
        case ast.Compare(left=left, ops=[ast.Is()], comparators=others):
            return ast.Compare(left, [ast.IsNot()], others)
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=others):
            return ast.Compare(left, [ast.NotEq()], others)
    return ast.UnaryOp(ast.Not(), test)


class Merger:
    """What a function gave on several ways, as one expression: equal parts once, and a choice where two differ."""

    def __init__(self) -> None:
        self.known: dict[tuple[object, ...], Node] = {}
        self.owners: dict[tuple[object, ...], Owner] = {}
        self.made: dict[tuple[str, int, int], Node | None] = {}

    def canonical(self, root: Node) -> Node:
        """The expression, put together from parts that are the same object wherever they are equal."""
        new: dict[int, Node] = {}
        counts: dict[tuple[object, ...], int] = {}
        owners: dict[Owner, Owner] = {}

        def counted(*what: object) -> tuple[object, ...]:
            counts[what] = counts.get(what, 0) + 1
            return (*what, counts[what])

        def owner(own: Owner) -> Owner:
            if own not in owners:
                key = counted(own.function, own.name)
                owners[own] = self.owners.setdefault(key, own)
            return owners[own]

        for e in ordered(root):
            out = e.over(lambda part: new[id(part)])
            if isinstance(out, (Call, LayerWeight)) and out.layer is not None:
                out.layer = owner(out.layer)
            key = (type(out), *out.key(), *(id(p) for p in out.parts()))
            if isinstance(out, Declared):
                key = counted(*key)
            new[id(e)] = self.known.setdefault(key, out)
        return new[id(root)]

    def merged(self, choices: Choices, roots: Sequence[Node | None]) -> Node:
        """One expression for all ways; those that are refused, None, may take any."""

        def of(ways: Sequence[int], depth: int) -> Node | None:
            if len(ways) == 1:
                return roots[ways[0]]
            test, yes, no = choices.split(ways, depth)
            a, b = of(yes, depth + 1), of(no, depth + 1)
            if a is None or b is None:
                return b if a is None else a
            self.made.clear()
            sides = (frozenset(yes), frozenset(no))
            found = self.choice(test, a, b, sides)
            return self.chosen(test, a, b, sides) if found is None else found

        result = of(range(len(roots)), 0)
        assert result is not None
        return result

    def chosen(self, test: ast.expr, a: Node, b: Node, sides: tuple[frozenset[int], frozenset[int]]) -> Node:
        if isinstance(b, Chosen) and b.parts()[0] is a:  # a if test else a if other else c
            rest = sides[1] & b.sides[1]
            return self.chosen(_either(test, b.test), a, b.parts()[1], (sides[0] | sides[1] - rest, rest))
        if isinstance(a, Chosen) and a.parts()[1] is b:  # (c if other else b) if test else b
            rest = sides[0] & a.sides[0]
            return self.chosen(_both(test, a.test), a.parts()[0], b, (rest, sides[1] | sides[0] - rest))
        found = self.known.setdefault((ast.unparse(test), id(a), id(b)), Chosen(test, a, b, sides))
        assert isinstance(found, Chosen)
        found.sides = (found.sides[0] | sides[0], found.sides[1] | sides[1])
        return found

    def choice(
        self, test: ast.expr, a: Node, b: Node, sides: tuple[frozenset[int], frozenset[int]]
    ) -> Node | None:
        """`a if test else b`, with the choice as far inside as the two are alike; None for unlike conditions."""
        key = (ast.unparse(test), id(a), id(b))
        if key not in self.made:
            self.made[key] = self._choice(test, a, b, sides)
        return self.made[key]

    def _choice(
        self, test: ast.expr, a: Node, b: Node, sides: tuple[frozenset[int], frozenset[int]]
    ) -> Node | None:
        if a is b:
            return a
        if type(a) is type(b) and a.key() == b.key() and not isinstance(a, Declared):
            pairs = zip(a.parts(), b.parts(), strict=True)
            found = [p for p in (self.choice(test, x, y, sides) for x, y in pairs) if p is not None]
            if len(found) == len(a.parts()):
                if isinstance(a, Chosen) and isinstance(b, Chosen):
                    first, second = found
                    union = (a.sides[0] | b.sides[0], a.sides[1] | b.sides[1])
                    return self.chosen(a.test, first, second, union)
                new = iter(found)
                out = a.over(lambda _: next(new))
                return self.known.setdefault((type(out), *out.key(), *(id(p) for p in found)), out)
        if isinstance(a, Condition) or isinstance(b, Condition):
            return None
        return self.chosen(test, a, b, sides)
