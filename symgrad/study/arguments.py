"""What the commands of studies share: how a study joins `symgrad study`, and its arguments for a network and data."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symgrad.errors import SymgradError
from symgrad.shipped import DATA
from symgrad.study.report import Report
from symgrad.worked import read_values


@dataclass(frozen=True)
class Study:
    """A study as a command: `symgrad study NAME ...`.

    Attributes:
        name: of its subcommand.
        about: what it studies, in a line.
        options: adds its own options to a parser.
        run: from the options as they were read to the report.
    """

    name: str
    about: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Report]


def network_options(sub: argparse.ArgumentParser, needed: bool = True) -> None:
    """Which network, and on which data; `needed` says whether one must be given."""
    sub.add_argument(
        "declaration",
        nargs=None if needed else "?",
        help=f"a .sg file, a declaration typed as one argument, or a shipped network: {', '.join(DATA)}",
    )
    sub.add_argument(
        "data", nargs="?", help="a file that `symgrad train` takes; else the shipped data, or random inputs"
    )
    sub.add_argument("--target", help="the name of the target's column, if it is not the last")
    sub.add_argument("--size", action="append", default=[], metavar="n=5", help="a number for a size letter")
    sub.add_argument("--value", action="append", default=[], metavar='"A=[[2, 0], [0, 1]]"', help="one input")
    sub.add_argument("--values", metavar="FILE", help="a .json or .npz file of inputs by name")
    sub.add_argument("--examples", type=positive, help="how many examples to use; all if not given")


def network(options: argparse.Namespace) -> dict[str, Any]:
    """The network and data that were asked for, as arguments of `Setting`."""
    text: str = options.declaration
    is_file = text.endswith(".sg") or ("\n" not in text and os.path.isfile(text))
    return {
        "declaration": Path(text) if is_file else text,
        "data": options.data,
        "sizes": sizes(options.size),
        "values": read_values(options.value, options.values),
        "seed": options.seed,
        "examples": options.examples,
        "target": options.target,
    }


def sizes(given: Sequence[str]) -> dict[str, int]:
    """Sizes as they are given on a line: `n=5`."""
    found = {}
    for item in given:
        name, _, number = item.partition("=")
        if not name.isidentifier() or not number.isdigit() or int(number) < 1:
            raise SymgradError(
                f"--size takes a letter and a whole number of at least 1, such as n=5, not '{item}'"
            )
        found[name] = int(number)
    return found


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _whole(text, 1)


def natural(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"takes a whole number of at least {least}, not '{text}'")
    return int(text)
