"""The trace: what was done, step by step, as data. Every explanation, comment and hint is a printer of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Union

from symgrad.language.expr import Access, Expr
from symgrad.language.program import Program, Statement, Tensor

Key = Union[str, tuple[str, str]]


@dataclass(frozen=True)
class Step:
    """One step of a derivation.

    Attributes:
        number: its place in the trace, from 1; `symgrad.explain.labels` says under which number it is told and cited.
        rule: a short name: "definition" (a forward statement), "chain" (the one rule), "stable", "drop",
            "rename", "look-up", "shift", "hoist", "fact", "merge", "equal", "output", "factor", ...
        equation: the statement that the step arrives at; several where the step split it.
        source: for "chain", the forward statement that was differentiated; else None.
        access: for "chain", the entry with respect to which.
        partial: for "chain", the derivative of the source's body with respect to that entry.
        before: the statements that a tidy step replaced; empty for the others.
        reason: one sentence for a reader, which names what the rule was applied to.
    """

    number: int
    rule: str
    equation: tuple[Statement, ...]
    source: Statement | None = None
    access: Access | None = None
    partial: Expr | None = None
    before: tuple[Statement, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Derived:
    """A derivation: one program that computes the loss and all wanted gradients, and how it was found.

    Attributes:
        source: the program as it was read.
        program: forward statements (after the stable forms), then backward ones, tidied, in an order that runs.
        gradients: for each wanted tensor the name of the tensor in `program` that holds its gradient; for a Hessian
            for each pair of them the name of the second derivative.
        adjoints: for each forward tensor that has one in `program`, its adjoint's name.
        steps: the trace, in order: definitions, then backward from the loss.
        kind: "gradient", "jacobian", "hessian", "hvp" or "per example".
        base: for second derivatives the derivation of the gradient that was differentiated again.
        tensors: all tensors that the steps speak of, also those that did not stay in the program.
    """

    source: Program
    program: Program
    gradients: Mapping[Key, str]
    adjoints: Mapping[str, str]
    steps: tuple[Step, ...]
    kind: str = "gradient"
    base: Derived | None = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
