"""The command `symgrad study`: one subcommand for each study, which says its own options."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from symgrad.commands import Parser, wrote
from symgrad.errors import SymgradError
from symgrad.study.arguments import Study
from symgrad.study.flow import STUDY as FLOW
from symgrad.study.gradient import STUDY as GRADIENT
from symgrad.study.landscape import STUDY as LANDSCAPE
from symgrad.study.rate import STUDY as RATE
from symgrad.study.report import Report

STUDIES: tuple[Study, ...] = (GRADIENT, RATE, FLOW, LANDSCAPE)


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
        print()
        for path in made:
            wrote(path)
        if options.open and not webbrowser.open(made[0].resolve().as_uri()):
            raise SymgradError(f"no browser could be started; open {made[0]} yourself")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="symgrad study", description="Measure the error gradient, and explain it by its derivation."
    )
    kinds = parser.add_subparsers(required=True, metavar="study")
    for study in STUDIES:
        sub = kinds.add_parser(study.name, help=study.about, description=study.about)
        sub.set_defaults(study=study.run)
        study.options(sub)
        sub.add_argument("--seed", type=int, default=0, help="of the start and of everything drawn at random")
        sub.add_argument(
            "-o", "--output", type=Path, metavar="FOLDER", help="for report.html and the plots as SVG and PNG"
        )
        sub.add_argument("--open", action="store_true", help="show the report in the browser; needs -o")
    return parser
