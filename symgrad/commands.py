"""What all commands share: the parser of their arguments, how they say where something was written, how they end."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from symgrad.errors import SymgradError
from symgrad.seen import straight


def counted(least: int) -> Callable[[str], int]:
    """What reads an option that is a whole number of at least so many."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,300}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"takes a whole number from {least}, not '{text}'")
        return int(text)

    return read


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a number, such as 0.1, not '{text}'") from None


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("takes a path, but what was given is empty; name a file or a folder")
    return Path(text)


class Parser(argparse.ArgumentParser):
    """A parser that complains in one paragraph, as all else does; what it quotes cannot act on the terminal.

    What options of the types int, float and Path take is told in words: an int is a whole number from 0, a path is not
    empty.
    """

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.register("type", int, counted(0))
        self.register("type", float, _number)
        self.register("type", Path, _path)

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


@contextmanager
def terminated_tidily() -> Iterator[None]:
    """SIGTERM ends a command as Ctrl-C does, so that no temporary file stays."""
    before = None
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    ):
        before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def keep_apart(options: argparse.Namespace) -> None:
    """Refuse to write over a file that the command reads.

    Raises:
        SymgradError: an output is also the declaration or a file of numbers.
    """
    given = vars(options)
    declaration, values, at = (given.get(name) for name in ("declaration", "values", "at"))
    # what goes on to a module is for it to judge, but it does not know the declaration
    rest = [word.partition("=")[2] or word for word in options.rest]
    for path, read in [
        (given.get("output"), (declaration, values, at)),
        *((word, (declaration,)) for word in rest),
    ]:
        if path is not None and any(other is not None and _same(path, other) for other in read):
            raise SymgradError(f"{path} cannot be written: the command reads it; name another file")


def _same(path: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Whether two names are those of one file that is there."""
    return os.path.isfile(path) and os.path.isfile(other) and os.path.samefile(path, other)
