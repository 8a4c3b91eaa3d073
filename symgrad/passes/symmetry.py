"""Eigenvalues are taken of symmetric matrices; here it is put to the proof that a matrix is one.

A declared fact tells it of an input. What is computed is computed at small sizes from random numbers, as declared: for
the analytic functions that a program is made of, agreement at random points is as good as a proof.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from symgrad.errors import Refusal
from symgrad.language.implicit import IMPLICIT, operands
from symgrad.language.program import Program, Statement
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes


def prove_symmetric(program: Program) -> None:
    """Raise `Refusal` if a matrix must be symmetric and nothing shows that it is."""
    for k, s in enumerate(program.statements):
        if s.op in IMPLICIT and IMPLICIT[s.op].symmetric and not _symmetric(program, k, s):
            name = operands(s)[0].tensor
            t = program[name]
            made = program.writers(name)
            shown = name if t.named or len(made) != 1 else f"`{made[0].body}`"
            declared = f"declare it, `{name}: {t.role}[{', '.join(map(str, t.shape))}] & symmetric`, or "
            turned = f"({name} + {name}.{'T' if len(t.shape) == 2 else 'mT'})/2"
            raise Refusal(
                f"{s.op} is for symmetric matrices, and nothing shows that {shown} is one: "
                f"{'' if made else declared}write {s.op}({turned if t.named else '(A + A.T)/2'})"
            )


def _symmetric(program: Program, place: int, s: Statement) -> bool:
    name = operands(s)[0].tensor
    if program[name].facts.symmetric:
        return True
    before = replace(program, statements=program.statements[:place])
    sizes = small_sizes(before)
    try:
        with np.errstate(all="ignore"):
            a = run(before, sizes, inputs(program, sizes, np.random.default_rng(0)))[name]
    except (np.linalg.LinAlgError, Refusal):  # of one that is never regular, or too large, nothing is known
        return False
    known = a[np.isfinite(a)]
    turned, scale = np.swapaxes(a, -1, -2), np.abs(known).max(initial=0)
    return bool(known.size) and np.allclose(a, turned, rtol=0, atol=1e-10 * scale, equal_nan=True)
