"""Tidy passes: from the statements that the one rule gives to those that a person would write.

Each pass is a function from the writers of one adjoint to other writers of the same value, with the reason, or None
where it has nothing to do. They are tried in the order of `PASSES` until none applies, tensor by tensor from the loss
back, so that the whole is linear in the number of statements. None of them knows a layer or a loss by name.
"""

from __future__ import annotations

from symgrad.passes.tidy.algebra import cancel, inverses, lengths
from symgrad.passes.tidy.axes import diagonal, facts, look_up, split, symmetric
from symgrad.passes.tidy.named import outputs, shares, signals
from symgrad.passes.tidy.places import substitute
from symgrad.passes.tidy.sheet import Pass
from symgrad.passes.tidy.writers import assign, gather, hoist, merge

PASSES: dict[str, Pass] = {
    "substitute": substitute,
    "fact": facts,
    "symmetric": symmetric,
    "look-up": look_up,
    "split": split,
    "diagonal": diagonal,
    "gather": gather,
    "merge": merge,
    "assign": assign,
    "output": outputs,
    "share": shares,
    "inverse": inverses,
    "length": lengths,
    "signal": signals,
    "cancel": cancel,
    "hoist": hoist,
}
