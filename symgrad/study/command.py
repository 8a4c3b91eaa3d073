"""The command `symgrad study`: one subcommand for each study, which says its own options."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from symgrad.errors import SymgradError
from symgrad.shipped import DATA
from symgrad.study.report import Report
from symgrad.study.setting import Setting
from symgrad.worked import read_values

# each has a docstring whose first line says what it studies, `options(parser)`, and `run(options) -> Report`
STUDIES: tuple[ModuleType, ...] = ()


def main(arguments: Sequence[str]) -> int:
    """Run one study: its tables on the terminal, and with `-o` its report and plots as files.

    Raises:
        SymgradError: what was given cannot be used.
    """
    options = _parser().parse_args(arguments)
    report: Report = options.study(options)
    width = min(100, os.get_terminal_size().columns) if sys.stdout.isatty() else 80
    print(report.text(width))
    if options.output:
        made = report.save(options.output)
        print("\n" + "\n".join(f"wrote {path}" for path in made))
        if options.open and not webbrowser.open(made[0].resolve().as_uri()):
            raise SymgradError(f"no browser could be started; open {made[0]} yourself")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="symgrad study", description="Measure the error gradient, and explain it by its derivation."
    )
    kinds = parser.add_subparsers(required=True, metavar="study")
    for study in STUDIES:
        about = (study.__doc__ or "").partition("\n")[0]
        sub = kinds.add_parser(study.__name__.rpartition(".")[2], help=about, description=about)
        sub.set_defaults(study=study.run)
        study.options(sub)
        sub.add_argument("--seed", type=int, default=0, help="of the start and of everything drawn at random")
        sub.add_argument(
            "-o", "--output", type=Path, metavar="FOLDER", help="for report.html and the plots as SVG and PNG"
        )
        sub.add_argument("--open", action="store_true", help="show the report in the browser; needs -o")
    return parser


def network_options(sub: argparse.ArgumentParser) -> None:
    """Which network, and on which data."""
    sub.add_argument(
        "declaration",
        help=f"a .sg file, a declaration typed as one argument, or a shipped network: {', '.join(DATA)}",
    )
    sub.add_argument(
        "data", nargs="?", help="a file that `symgrad train` takes; else the shipped data, or random inputs"
    )
    sub.add_argument("--target", help="the name of the target's column, if it is not the last")
    sub.add_argument("--size", action="append", default=[], metavar="n=5", help="a number for a size letter")
    sub.add_argument("--value", action="append", default=[], metavar='"A=[[2, 0], [0, 1]]"', help="one input")
    sub.add_argument("--values", metavar="FILE", help="a .json or .npz file of inputs by name")
    sub.add_argument("--examples", type=int, help="how many examples to use; all if not given")


def network(options: argparse.Namespace, **more: Any) -> Setting:
    """The network that was asked for, on its data."""
    text: str = options.declaration
    declaration = Path(text) if text.endswith(".sg") or ("\n" not in text and os.path.isfile(text)) else text
    return Setting(
        declaration,
        options.data,
        sizes=sizes(options.size),
        values=read_values(options.value, options.values),
        seed=options.seed,
        examples=options.examples,
        target=options.target,
        **more,
    )


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
