"""Optimisers: update equations as text of the language, lowered like every other statement."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

from symgrad.emit.fast import Fast, Plan
from symgrad.emit.names import Names, identifier
from symgrad.emit.readable import Readable
from symgrad.emit.updates import COUNT, Equations, Folded, folded
from symgrad.errors import Refusal, did_you_mean, listing
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.scalar import scalar
from symgrad.library import defined


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

    @cached_property
    def folded(self) -> Folded:
        """The equations as they are computed: numbers that are the same for all entries are letters."""
        found = folded(self.equations, self.state, self.options)
        return found or Folded(
            self.equations, {name: Access(name, ()) for name in (*self.options, COUNT)}, plain=True
        )

    def program(self, equations: Equations, scalars: Iterable[str]) -> Program:
        """Equations over one long axis; state and weights are read before they are written."""
        p = ints.size("count")
        arrays = dict.fromkeys(("w", "g", *self.state))
        for name, body in equations:
            if any(a in arrays for a in ex.tensors(body)):
                arrays[name] = None
        tensors = {name: Tensor(name, (p,), "data") for name in arrays}
        tensors |= {name: Tensor(name, (), "constant") for name in scalars}
        tensors |= {name: Tensor(name) for name, _ in equations if name not in tensors}
        statements = []
        for name, body in equations:
            along = (("k", p),) if name in arrays else ()
            left = tuple(ints.axis(a) for a, _ in along)
            statements.append(Statement(name, left, "=", _entries(body, arrays), along))
        return Program(tensors, tuple(statements), "w")

    def readable(self) -> tuple[list[str], dict[str, None]]:
        """Lines that update `w` and the state in place, given `g`, the options and `t`; the helpers that they call."""
        program = self.program(self.equations, (*self.options, COUNT))
        writer = Readable(program, Names(), {})
        kept = {"w", *self.state}
        lines = []
        for line in writer.write(program.statements):
            name, _, value = line.partition(" = ")
            lines.append(f"{name}[:] = {value}" if name in kept else line)
        return [line for line in lines if not line.startswith("#")], writer.text.helpers

    def fast(self) -> tuple[Plan, dict[str, None]]:
        """A plan that does the same without making arrays; the helpers that it calls."""
        folded = self.folded
        program = self.program(folded.equations, folded.numbers)
        kept = ("w", *self.state)
        given = (*kept, "g", *folded.numbers)
        writer = Fast(program, Names(), {}, given, {name: name for name in kept}, ())
        return writer.write(program.statements), writer.text.helpers


def _entries(body: Expr, arrays: Mapping[str, object]) -> Expr:
    def entry(e: Expr) -> Expr | None:
        return Access(e.tensor, (ints.axis("k"),)) if isinstance(e, Access) and e.tensor in arrays else None

    entered: Expr = ex.rewrite(body, entry)
    return entered


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
        options[identifier(name)] = float(default.value)
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
                    state.append(identifier(name))
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
                equations.append((identifier(name), body))
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


OPTIMIZERS: tuple[str, ...] = defined("optimizers.sg")


@cache
def _shipped() -> dict[str, Optimizer]:
    return parse((resources.files("symgrad.library") / "optimizers.sg").read_text("utf-8"))


def find(optimizer: str) -> Optimizer:
    """An optimiser by name, or by a text that defines one.

    Raises:
        Refusal: the name is unknown.
    """
    if "def " in optimizer:
        *_, last = parse(optimizer).values()
        return last
    if optimizer not in OPTIMIZERS:
        near = did_you_mean(optimizer, OPTIMIZERS)
        raise Refusal(f"there is no optimiser '{optimizer}'{near} (there are {listing(OPTIMIZERS)})")
    return _shipped()[optimizer]
