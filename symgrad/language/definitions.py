"""Definitions: a layer, an activation, a loss as a few lines of the language.

`def swish(x): return x * sigmoid(x)`. Several definitions may share a name; a call takes the first whose
parameters fit.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from symgrad.errors import Refusal, complete
from symgrad.language import declarations
from symgrad.language.syntax import parse


@dataclass(frozen=True, eq=False)
class Parameter:
    """A parameter: its name, the letters of its axes if it declares some, and the default of an option.

    Attributes:
        axes: None for any argument; else the axes in order, `...` standing for any number of leading ones.
        label: whether it must be an integer tensor.
        default: the option's value where none is given; it may speak of the parameters before it.
        below: for an integer tensor, the letter of the size that its values index: `t: label[...] < k`.
        parts: letters of several whole numbers, `stride: (sh, sw)`; one number given stands for all of them.
    """

    name: str
    axes: tuple[ast.expr, ...] | None = None
    label: bool = False
    default: ast.expr | None = None
    below: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Definition:
    """An operation defined in the language.

    Attributes:
        name: what it is called by.
        params: its parameters in order.
        body: its lines, as `ast` nodes.
        source: its text.
        doc: its docstring.
        kind: "layer" if it declares weights, draws or states, else "function".
        where: where it is written: a file's name, or "" for the program's own text.
        others: further definitions of the same name, for other arguments.
        any_word: whether an option may be a word that the body does not ask for; what it requires says what it may be.
    """

    name: str
    params: tuple[Parameter, ...]
    body: tuple[ast.stmt, ...]
    source: str
    doc: str = ""
    kind: str = "function"
    where: str = ""
    others: tuple[Definition, ...] = ()
    any_word: bool = False

    @property
    def signature(self) -> str:
        """`dense(x: [..., i], m, bias=True)`."""
        return f"{self.name}({_written(self.params)})"

    @cached_property
    def choices(self) -> Mapping[str, tuple[str, ...]]:
        """The words that an option may be, where the body asks it for words and does nothing else with it."""
        if self.any_word:
            return {}
        names = [n for line in self.body for n in ast.walk(line) if isinstance(n, ast.Name)]
        found: dict[str, dict[str, None]] = {}
        asked: dict[str, int] = {}
        for line in self.body:
            for n in ast.walk(line):
                match n:
                    case ast.Compare(
                        left=ast.Name(id=name),
                        ops=[ast.Eq() | ast.NotEq()],
                        comparators=[ast.Constant(value=str(word))],
                    ):
                        found.setdefault(name, {})[word] = None
                        asked[name] = asked.get(name, 0) + 1
        for p in self.params:
            if p.name in found and isinstance(p.default, ast.Constant) and isinstance(p.default.value, str):
                found[p.name] = {p.default.value: None, **found[p.name]}
        return {
            name: tuple(words)
            for name, words in found.items()
            if asked[name] == sum(n.id == name for n in names)
        }

    @property
    def weights(self) -> tuple[ast.AnnAssign, ...]:
        """The weights, draws and states that it declares."""
        return tuple(s for s in self.body if isinstance(s, ast.AnnAssign) and _declares(s) != "zeros")


def declares_weights(d: Definition, known: Mapping[str, Definition]) -> bool:
    """Whether a definition, or one that it calls, declares weights, draws or states.

    Example:
        >>> known = parse_definitions('''
        ... def gain(x):
        ...     g: weight
        ...     return g*x
        ... def twice(x): return 2*x
        ... def block(x): return twice(gain(x))
        ... ''')
        >>> [name for name, d in known.items() if declares_weights(d, known)]
        ['gain', 'block']
    """
    return bool(stems(d, known))


def stems(
    d: Definition, known: Mapping[str, Definition], roles: Sequence[str] = ("weight", "draw", "state")
) -> tuple[str, ...]:
    """What a definition declares (weights, draws, states), its own names first, then those of what it calls."""
    found: dict[str, None] = {}
    waiting, seen = [d.name], {d.name}
    while waiting:
        first = known.get(waiting.pop(0)) or d
        for one in (first, *first.others):
            for w in one.weights:
                if declarations.split(w.annotation, w.value).role in roles and isinstance(w.target, ast.Name):
                    found[w.target.id] = None
            calls = (n.func for line in one.body for n in ast.walk(line) if isinstance(n, ast.Call))
            names = [c.id for c in calls if isinstance(c, ast.Name) and c.id in known]
            waiting += [n for n in dict.fromkeys(names) if n not in seen]
            seen.update(names)
    return tuple(found)


def parse_definitions(text: str, where: str = "your definitions") -> dict[str, Definition]:
    """The definitions of a text that holds nothing else than these and other names for them, `hard_silu = hardswish`.

    Raises:
        SymgradError: with the line, where the text is not of the language.

    Example:
        >>> swish = parse_definitions("def swish(x): return x*sigmoid(x)")["swish"]
        >>> swish.signature, swish.kind
        ('swish(x)', 'function')
    """
    cleaned = text
    try:
        cleaned, tree = parse(text)
        found: dict[str, Definition] = {}
        for node in tree.body:
            match node:
                case ast.FunctionDef():
                    add(found, define(node, cleaned, where))
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=known)) if known in found:
                    found[name] = found[known]
                case _:
                    raise Refusal(
                        "only definitions, `def f(x): return ...`, and other names for them, `g = f`, stand here"
                    ).at(node)
        return found
    except Refusal as problem:
        raise complete(problem, cleaned) from None


def add(known: dict[str, Definition], new: Definition) -> None:
    """Put a definition beside others of its name."""
    first = known.get(new.name)
    known[new.name] = new if first is None else replace(first, others=(*first.others, new))


def define(node: ast.FunctionDef, text: str, where: str = "") -> Definition:
    """One `def`, its form checked.

    Raises:
        Refusal: where a parameter or a line has no form of the language.
    """
    a = node.args
    if a.vararg or a.kwarg or a.kwonlyargs or a.posonlyargs or node.decorator_list or node.returns:
        raise Refusal("a definition has plain parameters: `def f(x, slope=0.01): return ...`").at(node)
    defaults: list[ast.expr | None] = [None] * (len(a.args) - len(a.defaults)) + list(a.defaults)
    params = tuple(_parameter(p, d) for p, d in zip(a.args, defaults, strict=True))
    names = [p.name for p in params]
    if len(set(names)) != len(names):
        raise Refusal("two parameters have the same name").at(node)
    body = list(node.body)
    doc = ast.get_docstring(node)
    if doc is not None:  # an empty one too
        body = body[1:]
    for line in body:
        _check_line(line, last=line is body[-1])
    _check_states(body)
    if not body or not isinstance(body[-1], ast.Return):
        raise Refusal(f"the definition of {node.name} must end with `return ...`").at(node)
    source = "\n".join(text.split("\n")[node.lineno - 1 : node.end_lineno])
    layer = any(isinstance(s, ast.AnnAssign) and _declares(s) == "weight" for s in body)
    return Definition(node.name, params, tuple(body), source, doc or "", "layer" if layer else "function", where)


def _declares(line: ast.AnnAssign) -> str:
    """The role of what a line declares."""
    return declarations.split(line.annotation, line.value).role


def _check_line(line: ast.stmt, last: bool) -> None:
    match line:
        case ast.Assert(msg=sentence):
            if not isinstance(sentence, ast.Constant) or not isinstance(sentence.value, str):
                raise Refusal('what a definition requires is said: `assert k <= h, "why not"`').at(line)
        case ast.Return(value=value):
            if value is None or not last:
                raise Refusal("`return` stands last, with a value; `a if c else b` chooses by an option").at(
                    line
                )
        case ast.AnnAssign(target=ast.Name()):
            role = _declares(line)
            if role not in ("weight", "draw", "state", "zeros"):
                said = f"inside a definition only weights, draws, states and zeros are declared, not {role}"
                raise Refusal(said).at(line)
        case ast.AugAssign(target=ast.Subscript(value=ast.Name()), op=ast.Add()):
            pass
        case ast.Assign(targets=[ast.Name() | ast.Subscript(value=ast.Name())]):
            pass
        case _:
            raise Refusal("a definition holds equations, weights, requirements and one `return`").at(line)


def _check_states(body: list[ast.stmt]) -> None:
    """Each state has its next value."""
    written = [declarations.base(t) for s in body if isinstance(s, ast.Assign) for t in s.targets]
    for line in body:
        if isinstance(line, ast.AnnAssign) and declarations.is_state(line):
            name = declarations.base(line.target)
            if name not in written:
                raise declarations.no_next(name).at(line)


def _parameter(p: ast.arg, default: ast.expr | None) -> Parameter:
    if p.annotation is None:
        return Parameter(p.arg, default=default)
    annotation, below = p.annotation, ""
    match annotation:
        case ast.Compare(left=left, ops=[ast.Lt()], comparators=[ast.Name(id=below)]):
            annotation = left
        case ast.Tuple(elts=parts) if parts and all(isinstance(x, ast.Name) for x in parts):
            letters = tuple(x.id for x in parts if isinstance(x, ast.Name))
            return Parameter(p.arg, default=default, parts=letters)
    match annotation:
        case ast.List(elts=axes):
            label = False
        case ast.Subscript(
            value=ast.Name(id=("label" | "data" | "weight" | "constant") as role), slice=inside
        ):
            axes = inside.elts if isinstance(inside, ast.Tuple) else [inside]
            label = role == "label"
        case _:
            raise Refusal(
                f"a parameter's axes are written `{p.arg}: [..., i]` or `{p.arg}: label[...]`, several whole "
                f"numbers `{p.arg}: (a, b)`"
            ).at(p)
    if below and not label:
        raise Refusal(f"only a label has a number of values, `{p.arg}: label[...] < k`").at(p)
    dots = [k for k, x in enumerate(axes) if isinstance(x, ast.Constant) and x.value is ...]
    if dots not in ([], [0]):
        raise Refusal("`...` stands first, once: it is any number of leading axes").at(p)
    return Parameter(p.arg, tuple(axes), label, default, below)


def _written(params: tuple[Parameter, ...]) -> str:
    def one(p: Parameter) -> str:
        text = p.name
        if p.axes is not None:
            text += f": {'label' if p.label else ''}[{', '.join(map(ast.unparse, p.axes))}]"
            text += f" < {p.below}" if p.below else ""
        elif p.parts:
            text += f": ({', '.join(p.parts)})"
        if p.default is not None:
            text += f"{' = ' if ':' in text else '='}{ast.unparse(p.default)}"
        return text

    return ", ".join(map(one, params))
