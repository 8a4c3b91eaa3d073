"""What operations there are, and one of them shown whole: definition, derived gradient, NumPy, check."""

from __future__ import annotations

import ast
import itertools
import textwrap
from fractions import Fraction

from symgrad.derivation import Derivation, derive, read_program
from symgrad.errors import SymgradError, did_you_mean
from symgrad.language.definitions import Definition, Parameter
from symgrad.language.expr import decimal
from symgrad.leaves import LEAVES, Leaf
from symgrad.library import DEFINITIONS


def listing() -> str:
    """Every operation with its equations, grouped as they are defined."""
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for leaf in LEAVES.values():
        told = "by sympy" if leaf.derivative is None else "; ".join(leaf.derivative)
        how = "NumPy's own" if leaf.ufunc else leaf.run
        row = (f"{leaf.name}({', '.join(leaf.params)})", f"{how}; derivative {told}", leaf.note)
        groups.setdefault("scalar functions, applied entry by entry", []).append(row)
    for first in DEFINITIONS.values():
        for d in (first, *first.others):
            lines = "; ".join(ast.unparse(line) for line in d.body)
            groups.setdefault(d.where.removesuffix(".sg"), []).append((d.signature, lines, d.doc))
    text = []
    for group, rows in groups.items():
        text.append(f"{group}\n")
        for signature, equation, about in rows:
            text.append(f"  {signature}")
            for part in filter(None, (equation, " ".join(about.split()))):
                text += textwrap.wrap(part, 100, initial_indent=" " * 6, subsequent_indent=" " * 8)
        text.append("")
    return "\n".join(text).rstrip()


def describe(name: str) -> str:
    """One operation: its definition, the gradient derived from it, the NumPy code and the numeric check.

    Raises:
        SymgradError: no operation has the name.
    """
    if name in LEAVES:
        return _leaf(LEAVES[name])
    if name not in DEFINITIONS:
        near = did_you_mean(name, [*LEAVES, *DEFINITIONS])
        raise SymgradError(f"there is no operation '{name}'{near or '; `symgrad ops` lists them'}")
    first = DEFINITIONS[name]
    return "\n\n\n".join(_shown(d.source, example(d)) for d in (first, *first.others))


def _shown(definition: str, declaration: str) -> str:
    d: Derivation = derive(declaration)
    parts = [
        definition.strip(),
        "For example\n\n" + textwrap.indent(declaration, "    "),
        d.text(),
        d.numpy().strip(),
        str(d.check()),
    ]
    return "\n\n".join(parts)


def _leaf(leaf: Leaf) -> str:
    low, high = (decimal(Fraction(str(x))) for x in leaf.domain)
    declared = "\n".join(f"{p}: {low} < weight[n] < {high}" for p in leaf.params)
    call = f"{leaf.name}({', '.join(leaf.params)})"
    about = f"{call}, a row of the table of scalar functions" + (f": {leaf.note}" if leaf.note else "")
    return _shown(about, f"{declared}\nR: data[n]\nloss = sum(R*{call})")


def example(d: Definition) -> str:
    """A small declaration that uses a definition: the first choice of arguments that it accepts.

    Raises:
        SymgradError: none of the choices fits.
    """
    needed = [p for p in d.params if p.default is None]
    problem: SymgradError | None = None
    for choice in itertools.product(*map(_choices, needed)):
        declared = [f"{p.name}: {c}" for p, c in zip(needed, choice, strict=True) if not c[0].isdigit()]
        arguments = [c if c[0].isdigit() else p.name for p, c in zip(needed, choice, strict=True)]
        call = f"{d.name}({', '.join(arguments)})"
        try:
            program = read_program("\n".join([*declared, f"value = {call}"]))
            shape = program[program.target].shape
            if not shape:
                text = "\n".join([*declared, f"loss = {call}"])
            else:
                text = "\n".join(
                    [*declared, f"R: data[{', '.join(map(str, shape))}]", f"loss = sum(R*{call})"]
                )
            derive(text)
            return text
        except SymgradError as failed:
            problem = problem or failed
    raise SymgradError(f"no example of {d.signature} could be made: {problem}")


def _choices(p: Parameter) -> list[str]:
    """Declarations or numbers to try for a parameter, the likeliest first."""
    if p.axes is None:
        return ["weight[n, k]", "weight[n]", "3", "0.5", "weight"]
    axes = [ast.unparse(a) for a in p.axes]
    axes = ["n" if a in ("...", "Ellipsis") else a for a in axes]
    shape = f"[{', '.join(axes)}]"
    if p.label:
        return [f"label{shape} < k", f"label{shape} < 3"]
    return [f"weight{shape}", f"data{shape} & distribution"]
