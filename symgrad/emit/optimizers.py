"""The update equations of an optimiser as lines of a module, lowered like every other statement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from symgrad.emit.fast import Fast, Plan
from symgrad.emit.names import Names
from symgrad.emit.readable import Readable
from symgrad.emit.updates import Folded, folded
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Expr
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.updates import COUNT, Equations, Optimizer


def program(rule: Optimizer, equations: Equations, scalars: Iterable[str]) -> Program:
    """Equations over one long axis; state and weights are read before they are written."""
    p = ints.size("count")
    arrays = dict.fromkeys(("w", "g", *rule.state))
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


def _entries(body: Expr, arrays: Mapping[str, object]) -> Expr:
    def entry(e: Expr) -> Expr | None:
        return Access(e.tensor, (ints.axis("k"),)) if isinstance(e, Access) and e.tensor in arrays else None

    entered: Expr = ex.rewrite(body, entry)
    return entered


def readable(rule: Optimizer) -> tuple[list[str], dict[str, None]]:
    """Lines that update `w` and the state in place, given `g`, the options and `t`; the helpers that they call."""
    whole = program(rule, rule.equations, (*rule.options, COUNT))
    writer = Readable(whole, Names(), {})
    kept = {"w", *rule.state}
    lines = []
    for line in writer.write(whole.statements):
        name, _, value = line.partition(" = ")
        lines.append(f"{name}[:] = {value}" if name in kept else line)
    return [line for line in lines if not line.startswith("#")], writer.text.helpers


def numbered(rule: Optimizer) -> Folded:
    """The equations as the fast forms compute them: numbers that are the same for all entries are letters."""
    found = folded(rule.equations, rule.state, rule.options)
    return found or Folded(
        rule.equations, {name: Access(name, ()) for name in (*rule.options, COUNT)}, plain=True
    )


def fast(rule: Optimizer) -> tuple[Plan, dict[str, None]]:
    """A plan that does the same without making arrays; the helpers that it calls."""
    done = numbered(rule)
    whole = program(rule, done.equations, done.numbers)
    kept = ("w", *rule.state)
    given = (*kept, "g", *done.numbers)
    writer = Fast(whole, Names(), {}, given, {name: name for name in kept}, ())
    return writer.write(whole.statements), writer.text.helpers
