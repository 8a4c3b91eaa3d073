"""The options of every command that takes a declaration: which it is, and numbers for its size letters."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from symgrad import shipped
from symgrad.errors import SymgradError, did_you_mean, listing
from symgrad.language.syntax import LENGTH


def add(sub: argparse.ArgumentParser, needed: bool = True) -> None:
    """Add them to the options of a command; `needed` says whether a declaration must be given."""
    sub.add_argument(
        "declaration",
        nargs=None if needed else "?",
        help="a .sg file, a declaration typed as one argument, - for standard input, or a shipped network: "
        + ", ".join(shipped.DATA),
    )
    sub.add_argument("--size", action="append", default=[], metavar="n=5", help="a number for a size letter")


def read(options: argparse.Namespace) -> tuple[str | Path, dict[str, int]]:
    """The declaration, and the sizes.

    Raises:
        SymgradError: a size is no letter with a number.
    """
    return _declaration(options.declaration), _sizes(options.size)


def _declaration(text: str) -> str | Path:
    """A text as it is; a file, or that of a shipped network, as its path."""
    if text == "-":
        return _standard_input()
    if text.endswith(".sg") or ("\n" not in text and "\0" not in text and os.path.isfile(text)):
        return Path(text)
    if text in shipped.DATA:
        return shipped.network(text)
    if text.isidentifier():  # one word computes nothing
        near = did_you_mean(text, shipped.DATA)
        raise SymgradError(
            f"there is no shipped network '{text}'{near} (there are {listing(shipped.DATA)}), and no file of that "
            "name; a declaration typed here needs an equation, such as 'x: weight[n]; loss = sum(x**2)'"
        )
    return text


def _standard_input() -> str:
    try:
        text = sys.stdin.read(LENGTH + 1) if sys.stdin else ""
    except (OSError, UnicodeDecodeError):
        raise SymgradError("standard input cannot be read as text in UTF-8") from None
    return text


def _sizes(given: Sequence[str]) -> dict[str, int]:
    found = {}
    for item in given:
        name, _, number = item.partition("=")
        if not name.isidentifier() or not re.fullmatch("0*[1-9][0-9]{0,18}", number):
            raise SymgradError(
                f"--size takes a letter and a whole number of at least 1, such as n=5, not '{item}'"
            )
        found[name] = int(number)
    return found
