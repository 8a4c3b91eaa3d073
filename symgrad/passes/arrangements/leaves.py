"""Leaves inside a larger body get tensors of their own, so that the adjoint uses their values and does not repeat them.

`y = z*(1 + tanh(z + z**3))` is `u = z + z**3`, `t = tanh(u)`, `q = 1 + t`, `y = z*q`: the derivative of t by u is then
`1 - t**2`, in values that are there. Nothing is computed in another way than before.
"""

from __future__ import annotations

from dataclasses import replace

from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Call, Expr
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.trace import Step
from symgrad.passes.stable import pure


def leaves(program: Program) -> tuple[Program, list[Step]]:
    """A tensor for each leaf with axes that is part of a larger body, and for arguments that read an entry twice.

    Example:
        >>> from symgrad.language.reader import read
        >>> for s in leaves(read("z: weight[n]; y = z*(1 + tanh(z + z**3)); loss = sum(y)"))[0].statements[:-1]:
        ...     print(s)
        y_of[n] = z[n] + z[n]**3
        y_tanh[n] = tanh(y_of[n])
        y_tanh_shifted[n] = 1 + y_tanh[n]
        y[n] = z[n]*y_tanh_shifted[n]
    """
    tensors, statements, steps = dict(program.tensors), [], []
    for s in program.statements:
        new = _apart(s, program, tensors) if pure(s, program) and s.scan is None and s.axes else [s]
        if len(new) > 1:
            reason = f"Parts of {s.out} are kept: its derivative is made of them."
            steps.append(Step(0, "store", tuple(new), before=(s,), reason=reason))
        statements += new
    return replace(program, tensors=tensors, statements=tuple(statements)), steps


def _apart(s: Statement, program: Program, tensors: dict[str, Tensor]) -> list[Statement]:
    made: list[Statement] = []
    if not _twice(s.body) or any(isinstance(e, (ex.Bracket, ex.Stop)) for e in ex.walk(s.body)):
        return [s]  # what a condition excludes is computed nowhere else, and what is held has no derivative

    def stored(stem: str, e: Expr) -> Expr:
        known = next((t for t in made if t.body == e), None)
        if known is not None:
            return Access(known.out, known.left)
        axes = tuple((a, n) for a, n in s.axes if a in ex.axes(e))
        left = tuple(ints.axis(a) for a, _ in axes)
        name = program.fresh(stem, tensors)
        tensors[name] = Tensor(name, tuple(n for _, n in axes), named=False, label=s.label)
        made.append(replace(s, out=name, left=left, body=e, axes=axes))
        return Access(name, left)

    def one(e: object) -> Expr | None:
        if not isinstance(e, Call) or not ex.axes(e):
            return None
        args = (stored(f"{s.out}_of", a) if _twice(a) else a for a in e.args)
        return stored(f"{s.out}_{e.name}", Call(e.name, tuple(args)))

    def shifted(e: object) -> Expr | None:
        match e:
            case ex.Add((ex.Num(), Access(name, _)) | (Access(name, _), ex.Num())) if any(
                t.out == name for t in made
            ):
                return stored(f"{name}_shifted", e)
        return None

    body = ex.rewrite(s.body, one, bottom_up=True)
    if isinstance(s.body, Call) and ex.axes(s.body):  # the last of them is the statement itself
        last = made.pop()
        body = last.body
        del tensors[last.out]
    elif made:
        body = ex.rewrite(body, shifted, bottom_up=True)
    return [*made, replace(s, body=body)] if made else [s]


def _twice(e: Expr) -> bool:
    """Whether an entry is read in more than one place."""
    read = [x for x in ex.walk(e) if isinstance(x, Access)]
    return len(read) > len(set(read))
