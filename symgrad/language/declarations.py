"""Declarations: a role, then a shape, then facts, then a start value.

`A: weight[i, i] & symmetric`, `p: 0 < data[n] < 1`, `t: label[n] < 10`, `W: weight[i, j] = he()`; of data as a module
is given them, `x: data[n, 4] & standardized` and `t: label[n] in ["cat", "dog"]`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from symgrad.errors import Refusal, did_you_mean, listing
from symgrad.language.ints import Int, of
from symgrad.language.program import Facts, Tensor
from symgrad.language.syntax import parse, words
from symgrad.language.values import Array

ROLES = ("data", "weight", "label", "constant", "draw", "state")
FACTS = ("distribution", "symmetric", "standardized")
# with how many numbers they take, at least and at most; where none is needed it is a gain, which multiplies all entries
STARTS = {
    "he": (0, 1),
    "glorot": (0, 1),
    "lecun": (0, 1),
    "orthogonal": (0, 1),
    "normal": (1, 1),
    "uniform": (2, 2),
    "zeros": (0, 0),
    "ones": (0, 0),
}
DRAWS = {"bernoulli": (1, 1), "normal": (1, 1), "uniform": (2, 2)}
_MIRROR = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


@dataclass(frozen=True)
class Declaration:
    """The parts of a declaration, not yet read: `role[dims]`, bounds around it, facts after it, a start
    value.
    """

    role: str
    dims: tuple[ast.expr, ...]
    bounds: tuple[tuple[type[ast.cmpop], ast.expr], ...]  # `role op number`
    facts: tuple[ast.Name, ...]
    start: ast.expr | None
    node: ast.expr
    classes: ast.expr | None = None  # `label[n] in classes`

    @property
    def ellipsis(self) -> bool:
        return any(map(_is_dots, self.dims))


def _is_dots(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def split(annotation: ast.expr, value: ast.expr | None = None) -> Declaration:
    """Take a declaration apart.

    Raises:
        Refusal: for what is no declaration.
    """
    facts: list[ast.expr] = []

    def peeled(node: ast.expr) -> ast.expr:
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd):
            facts.insert(0, node.right)
            node = node.left
        return node

    node = peeled(annotation)
    bounds: list[tuple[type[ast.cmpop], ast.expr]] = []
    core, classes = node, None
    if isinstance(node, ast.Compare):
        members = [node.left, *node.comparators]
        members[-1] = peeled(members[-1])
        at = next((k for k, m in enumerate(members) if _role(peeled(m)) in (*ROLES, "zeros")), 0)
        core = peeled(members[at])
        if len(members) == 2 and at == 0 and isinstance(node.ops[0], ast.In):
            classes = members.pop()
        elif len(members) > 3 or (len(members) == 3 and at != 1):
            raise Refusal("bounds stand around the role, as in `p: 0 < data[n] < 1`").at(node)
        for k, op in enumerate(node.ops if classes is None else ()):
            other = members[k] if k < at else members[k + 1]
            kind = _MIRROR.get(type(op)) if k < at else type(op)
            if kind not in _MIRROR:
                raise Refusal("a declared bound is one of `<`, `<=`, `>`, `>=`").at(node)
            bounds.append((kind, other))
    for fact in facts:
        if not isinstance(fact, ast.Name) or fact.id not in FACTS:
            hint = did_you_mean(fact.id, FACTS) if isinstance(fact, ast.Name) else ""
            raise Refusal(f"{words(fact)} is not a known fact; known are {listing(FACTS)}{hint}").at(fact)
    dims: tuple[ast.expr, ...] = ()
    if isinstance(core, ast.Subscript):
        dims = tuple(core.slice.elts) if isinstance(core.slice, ast.Tuple) else (core.slice,)
    role = _role(core)
    if role not in (*ROLES, "zeros"):
        hint = did_you_mean(role, ROLES) if role else ""
        raise Refusal(
            f"a declaration is `name: role[sizes]` with the role one of {listing(ROLES, 'or')}, "
            f"not {words(core)}{hint}"
        ).at(core)
    if classes is not None and role != "label":
        raise Refusal(f"classes in words are a label's: `t: label[n] in {words(classes)}`").at(classes)
    known = tuple(f for f in facts if isinstance(f, ast.Name))
    return Declaration(role, dims, tuple(bounds), known, value, core, classes)


def _role(node: ast.expr) -> str:
    base = node.value if isinstance(node, ast.Subscript) else node
    return base.id if isinstance(base, ast.Name) else ""


def base(target: ast.expr) -> str:
    """The tensor that a left side writes."""
    inner = target.value if isinstance(target, ast.Subscript) else target
    return inner.id if isinstance(inner, ast.Name) else ""


def is_state(line: ast.AnnAssign) -> bool:
    """Whether a line declares a state."""
    try:
        return split(line.annotation).role == "state"
    except Refusal:  # it is told when the line is read
        return False


def no_next(name: str) -> Refusal:
    """The message for a state that no equation moves on."""
    return Refusal(
        f"nothing gives the next value of the state {name}: write it, `{name} = 0.9*{name} + ...`, or declare "
        f"{name} as a constant"
    )


def tensor(
    name: str,
    d: Declaration,
    size: Callable[[ast.expr], Int],
    value: Callable[[ast.expr], Array],
    lead: Sequence[Int] = (),
) -> tuple[Tensor, tuple[str, ...]]:
    """The declared tensor and the letters of its axes; `size` and `value` read sizes and numbers, `lead` are the
    sizes of `...`.
    """
    dims = [None if _is_dots(n) else n for n in d.dims]
    shape = tuple(x for n in dims for x in (lead if n is None else (size(n),)))
    letters = tuple(
        x
        for n in dims
        for x in ([""] * len(lead) if n is None else [n.id if isinstance(n, ast.Name) else ""])
    )
    out = Tensor(name, shape, d.role)
    if d.role == "label":
        out = replace(out, below=_below(name, d, size), classes=_classes(name, d.classes))
    else:
        out = replace(out, facts=_facts(name, d, shape, value), standardized=_standardized(name, d))
    if d.role == "draw":
        return replace(out, start=_drawn(name, d, value)), letters
    if d.start is not None:
        if d.role not in ("weight", "state"):
            raise Refusal(
                f"only a weight or a state has a start value; {name} is {_article(d.role)} and is given when "
                "the program is run"
            ).at(d.start)
        start = _start(d.start, value)
        out = replace(out, start=start)
        if start[0] == "orthogonal":
            _may_be_orthogonal(out, d.start)
    return out, letters


def _may_be_orthogonal(t: Tensor, node: ast.expr) -> None:
    """Refuse an orthogonal start of what is no matrix, or would be changed to a symmetric one."""
    if len(t.shape) < 2:
        axes = "one axis" if t.shape else "no axis"
        raise Refusal(f"{t.name} has {axes}, and an orthogonal start is of a matrix, or of more axes").at(
            node
        )
    if t.facts.symmetric:
        raise Refusal(f"{t.name} is symmetric, and the symmetric part of an orthogonal start is none").at(
            node
        )


def _article(role: str) -> str:
    return role if role == "data" else f"a {role}"


def _drawn(name: str, d: Declaration, value: Callable[[ast.expr], Array]) -> tuple[object, ...]:
    """How a draw is drawn: a distribution with its numbers."""
    if d.facts or d.bounds:
        raise Refusal(f"{name} is drawn: its distribution bounds it, and it has no further facts").at(d.node)
    how = d.start
    named = how.func.id if isinstance(how, ast.Call) and isinstance(how.func, ast.Name) else ""
    if named not in DRAWS:
        form = f"`{name}: {words(d.node)} = bernoulli(0.8)`"
        near = did_you_mean(named, DRAWS) if named else ""
        raise Refusal(f"say how {name} is drawn, {form}, normal(s) or uniform(a, b){near}").at(how or d.node)
    assert isinstance(how, ast.Call)
    numbers = _numbers(how, DRAWS[named], value)
    low, high = numbers if named == "uniform" else (Fraction(0), numbers[0])
    if not low <= high or (named == "bernoulli" and high > 1):
        needs = {
            "bernoulli": "a probability from 0 to 1",
            "normal": "a standard deviation of at least 0",
            "uniform": "its lower end first",
        }
        raise Refusal(f"{named} takes {needs[named]}, not {listing(map(str, map(_python, numbers)))}").at(how)
    return (named, *map(_python, numbers))


def _classes(name: str, node: ast.expr | None) -> tuple[str, ...]:
    """The words that a label may be given as, in the order of their numbers; none where none are declared."""
    if node is None:
        return ()
    items = node.elts if isinstance(node, ast.List) else []
    found = tuple(n.value for n in items if isinstance(n, ast.Constant) and isinstance(n.value, str))
    if not found or len(found) != len(items):
        raise Refusal(
            f'the classes of {name} are a list of words, as in `{name}: label[n] in ["cat", "dog"]`'
        ).at(node)
    for k, word in enumerate(found):
        if not word or word != word.strip() or not word.isprintable():
            raise Refusal(f"{word!r} cannot name a class: a word is printable, without spaces around it").at(
                items[k]
            )
        if word in found[:k]:
            raise Refusal(f"the class '{word}' of {name} is there twice").at(items[k])
    return found


def _standardized(name: str, d: Declaration) -> bool:
    """Whether a module standardises these data; the tensor is the standardised one, of which no bound is known."""
    asked = next((f for f in d.facts if f.id == "standardized"), None)
    if asked is None:
        return False
    if d.role != "data":
        raise Refusal(f"only data are standardised, and {name} is a {d.role}").at(asked)
    if not d.dims:
        raise Refusal(f"{name} is one number; standardised data have an axis of examples, their first").at(
            asked
        )
    if d.bounds or len(d.facts) > 1:
        raise Refusal(f"{name} is standardised, and nothing else is known of standardised data").at(asked)
    return True


def _below(name: str, d: Declaration, size: Callable[[ast.expr], Int]) -> Int:
    if d.facts:
        raise Refusal(f"a label has no further facts than its number of values, `{name}: label[n] < 10`").at(
            d.facts[0]
        )
    if d.classes is not None:
        return of(len(d.classes.elts) if isinstance(d.classes, ast.List) else 0)
    uppers = [(op, n) for op, n in d.bounds if op in (ast.Lt, ast.LtE)]
    lowers = [(op, n) for op, n in d.bounds if op in (ast.Gt, ast.GtE)]
    for low, n in lowers:
        if not (low is ast.GtE and isinstance(n, ast.Constant) and n.value == 0):
            raise Refusal("labels count from 0").at(n)
    if len(uppers) != 1:
        form = f'`{name}: {words(d.node)} < 10`, or which, `in ["cat", "dog"]`'
        raise Refusal(f"say how many values a label may have: {form}").at(d.node)
    op, bound = uppers[0]
    below = size(bound)
    return below + 1 if op is ast.LtE else below


def _facts(name: str, d: Declaration, shape: Sequence[Int], value: Callable[[ast.expr], Array]) -> Facts:
    facts = Facts()
    for op, node in d.bounds:
        number = value(node).number
        if number is None:
            raise Refusal(f"a bound of {name} is a number, not {words(node)}").at(node)
        strict = op in (ast.Lt, ast.Gt)
        if op in (ast.Lt, ast.LtE):
            facts = replace(facts, high=number, strict_high=strict)
        else:
            facts = replace(facts, low=number, strict_low=strict)
    if facts.low is not None and facts.high is not None and not _room(facts):
        raise Refusal(f"nothing lies between the bounds of {name}").at(d.node)
    for fact in d.facts:
        if fact.id == "standardized":
            continue
        if fact.id == "symmetric" and (len(shape) < 2 or shape[-1] != shape[-2]):
            raise Refusal(f"{name} is not square, so it cannot be symmetric").at(fact)
        if fact.id == "distribution" and not shape:
            raise Refusal(f"{name} is a scalar, so it cannot be a distribution; give it an axis").at(fact)
        facts = replace(facts, **{fact.id: True})  # type: ignore[arg-type]
    return facts


def _room(f: Facts) -> bool:
    assert f.low is not None
    assert f.high is not None
    return f.low < f.high or (f.low == f.high and not f.strict_low and not f.strict_high)


def scheme(text: str) -> ast.expr:
    """How a weight starts, said in words: `"he"`, `"orthogonal(1.4)"`, `"0.1"`.

    Raises:
        Refusal: no start is called so.

    Example:
        >>> ast.unparse(scheme("glorot"))
        'glorot()'
    """
    try:
        (line,) = parse(text)[1].body
    except (Refusal, ValueError):
        line = ast.Pass()
    match line:
        case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=numbers, keywords=[])) if name in STARTS:
            if all(isinstance(n, (ast.Constant, ast.UnaryOp)) for n in numbers):
                return ast.Call(ast.Name(name, ast.Load()), numbers, [])  # a node without a place of its own
        case ast.Expr(value=ast.Name(id=name)) if name in STARTS:
            return ast.Call(ast.Name(name, ast.Load()), [], [])
        case ast.Expr(value=ast.Constant(value=int() | float())):
            return line.value
    word = re.match(r"\w*", text)
    raise _no_start(word[0] if word else "", f", not {text!r}")


def _no_start(name: str, told: str = "") -> Refusal:
    known = listing([f"{n}()" for n in STARTS], "or")
    near = did_you_mean(name, STARTS) if name else ""
    return Refusal(f"a weight starts as a number or as one of {known}{told}{near}")


def _start(node: ast.expr, value: Callable[[ast.expr], Array]) -> tuple[object, ...]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        name = node.func.id
        if name not in STARTS or node.keywords:
            raise _no_start(name).at(node)
        return (name, *map(_python, _numbers(node, STARTS[name], value)))
    return (_python(_number(node, value)),)


_EXAMPLES = {
    "he": "he(1.4)", "glorot": "glorot(1.4)", "lecun": "lecun(1.4)", "orthogonal": "orthogonal(1.4)",
    "normal": "normal(0.1)", "uniform": "uniform(-1, 1)",
    "zeros": "zeros()", "ones": "ones()", "bernoulli": "bernoulli(0.8)",
}  # fmt: skip


def _numbers(node: ast.Call, count: tuple[int, int], value: Callable[[ast.expr], Array]) -> list[Fraction]:
    """The numbers of a scheme."""
    assert isinstance(node.func, ast.Name)
    name = node.func.id
    least, most = count
    if not least <= len(node.args) <= most or node.keywords:
        takes = {0: "no number", 1: "one number", 2: "two numbers"}[most]
        takes = takes if least == most else f"at most {takes}, a gain"
        raise Refusal(f"{name}() takes {takes}, as in `{_EXAMPLES[name]}`").at(node)
    return [_number(n, value) for n in node.args]


def _number(node: ast.expr, value: Callable[[ast.expr], Array]) -> Fraction:
    number = value(node).number
    if number is None:
        raise Refusal(f"a number, or a scheme such as he(), is expected here, not {words(node)}").at(node)
    return number


def _python(x: Fraction) -> int | float:
    return x.numerator if x.denominator == 1 else float(x)
