"""How weights are updated, as options of a command: the optimiser, its learning rate, what precedes it, a schedule."""

from __future__ import annotations

import argparse
from typing import Any

from symgrad.errors import SymgradError
from symgrad.library import OPTIMIZERS, SCHEDULES

_PRECEDING = {
    "clip_norm": "shorten a gradient whose norm, all weights together, is above this",
    "clip_value": "hold each entry of the gradient between this and its negative",
    "l1": "add the gradient of l1*sum(abs(w)) of each weight",
    "l2": "add the gradient of l2/2*sum(w**2) of each weight",
    "weight_decay": "let weights shrink by lr times this part at each step, as AdamW does",
}


def add(
    sub: argparse.ArgumentParser,
    optimizer: str | None = "adam",
    rate: str = "the optimiser's own default",
) -> None:
    """Add the options; `optimizer` is what is used if none is given, `rate` says the learning rate then."""
    default = f"; {optimizer} if not given" if optimizer else ""
    group = sub.add_argument_group("how weights are updated")
    group.add_argument(
        "--optimizer", default=optimizer, metavar="NAME|FILE|TEXT",
        help=f"{', '.join(OPTIMIZERS)}, or a definition of your own: def mine(w, g, lr=0.1): w = w - lr*g{default}",
    )  # fmt: skip
    group.add_argument("--lr", type=float, help=f"learning rate; {rate} if not given")
    group.add_argument(
        "--schedule", metavar="NAME|FILE|TEXT",
        help=f"of the learning rate: {', '.join(SCHEDULES)}, or a formula of lr, the step t and the number of all "
        "steps T, such as lr/sqrt(t)",
    )  # fmt: skip
    for name, about in _PRECEDING.items():
        group.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X", help=about)
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="beta=0.95",
        help="any number of the optimiser or the schedule",
    )


def read(options: argparse.Namespace) -> dict[str, Any]:
    """What was given besides the optimiser, as `Model.source` takes it."""
    found = {name: getattr(options, name) for name in ("lr", "schedule", *_PRECEDING)}
    found = {name: value for name, value in found.items() if value is not None}
    for text in options.set:
        name, equals, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise SymgradError(f"--set takes a name and a number, such as beta=0.95, not '{text}'")
    return found
