"""What a competitor is for the harness: a training step that has been built, ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Setting:
    """What to build: all that a peer is told.

    Attributes:
        letter: the network.
        variant: which of the forms that the peer has.
        optimizer: "sgd" or "adam", with the usual numbers (0.9, 0.999, 1e-8).
        data, weights: float32 arrays, and whole numbers for labels.
        folder: where the generated modules stand.
    """

    letter: str
    variant: str
    optimizer: str
    threads: int
    rate: float
    data: Mapping[str, Any]
    weights: Mapping[str, Any]
    folder: Path


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        once: forward, loss, all gradients and the update; gives the loss as soon as it is a number.
        gradients: the loss and the gradients by name, in the shapes of the declaration; nothing is updated.
        weights: the weights by name, in the shapes of the declaration.
        steps: how many training steps one call of `once` takes.
        split: how the work is split, once that is known.
    """

    once: Callable[[], Any]
    gradients: Callable[[], tuple[Any, Mapping[str, Any]]] | None = None
    weights: Callable[[], Mapping[str, Any]] | None = None
    steps: int = 1
    split: Callable[[], str] = str
