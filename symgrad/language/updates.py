"""Optimisers: update equations as text of the language, one for each name, in terms of a weight and its gradient."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from symgrad.errors import Refusal, did_you_mean
from symgrad.language.expr import Access, Expr
from symgrad.language.scalar import scalar
from symgrad.language.syntax import is_name

COUNT = "t"  # the number of the step
Equations = tuple[tuple[str, Expr], ...]


@dataclass(frozen=True)
class Optimizer:
    """An optimiser as its definition says it.

    Attributes:
        options: hyper-parameters with their defaults.
        state: names kept from step to step, from zero.
        equations: what is computed for each entry, in order.
        about: the definition's own words.
    """

    name: str
    options: Mapping[str, float]
    state: tuple[str, ...]
    equations: Equations
    about: str = ""


def parse(text: str) -> dict[str, Optimizer]:
    """The optimisers that a text defines.

    Raises:
        Refusal: the text is no definition of an optimiser; with its line.

    Example:
        >>> parse("def heavy(w, g, lr=0.1):\\n    v = v/2 + g\\n    w = w - lr*v")["heavy"].state
        ('v',)
    """
    try:
        tree = ast.parse(text)
    except SyntaxError as problem:
        raise Refusal(
            f"the definition of an optimiser cannot be read: {problem.msg}", problem.lineno
        ) from None
    found = {}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            raise Refusal("an optimiser is `def name(w, g, lr=0.01):` and its update equations").at(node)
        found[node.name] = _definition(node)
    return found


def _definition(node: ast.FunctionDef) -> Optimizer:
    arguments = [a.arg for a in node.args.args]
    if arguments[:2] != ["w", "g"] or len(arguments) - 2 != len(node.args.defaults):
        raise Refusal(
            f"the arguments of the optimiser {node.name} are w, g, and options with a default each"
        ).at(node)
    options = {}
    for name, default in zip(arguments[2:], node.args.defaults, strict=True):
        if not isinstance(default, ast.Constant) or not isinstance(default.value, (int, float)):
            raise Refusal(f"the default of {name} must be a number").at(default)
        options[_named(name)] = float(default.value)
    about, equations, state, seen = "", [], [], {"w", "g", COUNT, *options}
    for k, line in enumerate(node.body):
        match line:
            case ast.Expr(value=ast.Constant(value=str(words))) if k == 0:
                about = words
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name not in options and name not in (
                "g",
                COUNT,
            ):
                reads = [n.id for n in ast.walk(value) if isinstance(n, ast.Name)]
                if name in reads and name not in seen:
                    state.append(name)
                    seen.add(name)
                unknown = [r for r in reads if r not in seen and not _function(r, value)]
                if unknown:
                    raise Refusal(
                        f"'{unknown[0]}' is unknown in the equation of {name}{did_you_mean(unknown[0], seen)}"
                    ).at(line)
                try:
                    body = scalar(ast.unparse(value), {r: Access(r, ()) for r in seen})
                except (ValueError, KeyError):
                    raise Refusal(f"the equation of {name} is no scalar formula").at(line) from None
                equations.append((_named(name), body))
                seen.add(name)
            case _:
                raise Refusal("the body of an optimiser is equations `name = formula`").at(line)
    if not equations or equations[-1][0] != "w":
        raise Refusal(f"the last equation of the optimiser {node.name} gives the new w").at(node)
    return Optimizer(node.name, options, tuple(state), tuple(equations), about)


def _function(name: str, value: ast.expr) -> bool:
    return any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name
        for n in ast.walk(value)
    )


def _named(name: str) -> str:
    if not is_name(name):
        raise Refusal(
            f"'{name}' cannot be a name: a name is letters, digits and _, no keyword, and begins with no __"
        )
    return name
