"""What the commands of studies share: how a study joins `symgrad study`, and its arguments for a network and data."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symgrad import declaration_options
from symgrad.commands import counted
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


def network_options(sub: argparse.ArgumentParser, needed: bool = True, examples: int | None = None) -> None:
    """Which network, and on which data; `needed` says whether one must be given, `examples` how many are used if it is
    not said."""
    declaration_options.add(sub, needed)
    sub.add_argument(
        "data", nargs="?", type=Path, help="a file that `symgrad train` takes; else the shipped data, or random inputs"
    )
    sub.add_argument("--target", help="the name of the target's column, if it is not the last")
    sub.add_argument("--value", action="append", default=[], metavar='"A=[[2, 0], [0, 1]]"', help="one input")
    sub.add_argument("--values", type=Path, metavar="FILE", help="a .json or .npz file of inputs by name")
    sub.add_argument(
        "--examples",
        type=positive,
        default=examples,
        help=f"how many examples to use; {examples or 'all'} if not given",
    )


def network(options: argparse.Namespace) -> dict[str, Any]:
    """The network and data that were asked for, as arguments of `Setting`."""
    declaration, sizes = declaration_options.read(options)
    return {
        "declaration": declaration,
        "data": options.data,
        "sizes": sizes,
        "values": read_values(options.value, options.values),
        "seed": options.seed,
        "examples": options.examples,
        "target": options.target,
    }


positive = counted(1)
