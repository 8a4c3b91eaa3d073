"""A program put in another form that computes the same in fewer or cheaper operations, for the fast style.

The forward program is rearranged, and the one rule gives the adjoint of what came out: nothing is differentiated twice
by hand. Named tensors and gradients keep their names and values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from symgrad.language.program import Program
from symgrad.language.trace import Derived, Key, Step
from symgrad.passes.arrangements.affine import affine
from symgrad.passes.arrangements.economy import economical
from symgrad.passes.arrangements.gates import gates
from symgrad.passes.arrangements.leaves import leaves
from symgrad.passes.arrangements.monotone import monotone
from symgrad.passes.derive import backward, finish, prepare

# from a program in its stable forms to one that computes the same, and the steps that say how; () if nothing was done
Arrangement = Callable[[Program], tuple[Program, list[Step]]]
ARRANGEMENTS: tuple[Arrangement, ...] = (monotone, affine, gates, leaves)


def arranged(derived: Derived) -> Derived:
    """The same gradients from the rearranged program; the derivation itself if there is nothing to rearrange.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> d = derive(read("x: weight[n]\\nloss = sum(tanh(x))"))
        >>> arranged(d) is d
        True
    """
    names = tuple(n for n in derived.gradients if isinstance(n, str))
    if derived.kind != "gradient" or any(derived.source[n].role == "value" for n in names):
        return derived  # what is differentiated by must stay what the target is made of
    program, steps = prepare(derived.source, names, proved=True)
    rearranged, more = program, []
    for arrangement in ARRANGEMENTS:
        rearranged, told = arrangement(rearranged)
        more += told
    if not more:
        cheaper = economical(derived.program)
        return derived if cheaper == derived.program else replace(derived, program=cheaper)
    done = backward(rearranged, names)
    gradients: dict[Key, str] = {n: done.adjoints[n] for n in names}
    cheaper = economical(done.program)
    return finish(derived.source, cheaper, gradients, [*steps, *more, *done.steps], done.adjoints)
