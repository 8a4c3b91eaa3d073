"""What all commands share: the parser of their arguments, and how they say where something was written."""

from __future__ import annotations

import argparse
import os
import shlex
from typing import NoReturn

from symgrad.seen import straight


class Parser(argparse.ArgumentParser):
    """A parser that complains in one paragraph, as all else does; what it quotes cannot act on the terminal."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"symgrad: {straight(message)}; `{self.prog} --help` says what there is\n")


def wrote(path: str | os.PathLike[str], more: str = "") -> None:
    """Say that a file was written."""
    print(straight(f"wrote {os.fspath(path)}{more}"))


def quoted(*words: object) -> str:
    """Words as a line that can be pasted to a shell.

    >>> quoted("symgrad", "ops", "my file.py")
    "symgrad ops 'my file.py'"
    """
    return straight(shlex.join(map(str, words)))
