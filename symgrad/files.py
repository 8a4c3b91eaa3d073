"""Files are read up to a bound, and written as a whole or not at all; and what is in one that is JSON."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from pathlib import Path
from typing import Any

from symgrad.errors import SymgradError

ABANDONED = 3600  # seconds after which a temporary file is one that a killed process has left
TEXT = 4_000_000  # bytes of a text file that is read whole


def read_text(path: Path, most: int = TEXT) -> str:
    """A text file in UTF-8, without a mark of the byte order; what is no file of at most `most` bytes is not read.

    Raises:
        SymgradError: one sentence that names the file.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a folder, a device or a pipe may have no end
            raise SymgradError(f"{path} is no file")
        with open(path, "rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise SymgradError(f"{path} has more than {most} bytes, too many for a text")
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise SymgradError(f"there is no file {path}") from None
    except UnicodeDecodeError:
        raise SymgradError(f"{path} cannot be read: it is no text in UTF-8") from None
    except SymgradError:
        raise
    except (OSError, ValueError) as problem:  # ValueError: the name holds what no name may
        raise SymgradError(
            f"{path} cannot be read: {getattr(problem, 'strerror', None) or problem}"
        ) from None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file as a whole or not at all, even when the process is killed or the machine stops.

    A temporary file beside it is flushed to the disk and then renamed over it, and the folder, made if need be, is
    flushed too. A link stays one: the file that it leads to is written. A file keeps its mode, and one that may not
    be written is left alone; a new one has the mode that the process gives to new files. What is no plain file,
    such as /dev/stdout, is written to as it is. A process that is killed outright may leave its temporary file,
    `.symgrad-*.tmp`; a later write into that folder, after an hour, removes it.

    Raises:
        SymgradError: the folder or the file cannot be written.
    """
    try:
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:  # raises for a folder
                file.write(data)
            return
        target = os.path.realpath(path)
        folder = os.path.dirname(target)
        os.makedirs(folder, exist_ok=True)
        if os.path.exists(target) and not os.access(target, os.W_OK):
            raise PermissionError(None, "it may only be read")
        temporary = os.path.join(folder, f".symgrad-{os.urandom(8).hex()}.tmp")
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                with contextlib.suppress(OSError):  # a folder may be one to write to, but not to read
                    _remove_abandoned(folder, os.fstat(file.fileno()).st_mtime)
            if os.path.exists(target):
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
    except (OSError, ValueError) as problem:  # ValueError: the name, or the text, holds what none may
        told = getattr(problem, "strerror", None) or problem
        raise SymgradError(f"{path} cannot be written: {told}; nothing was changed") from None
    _flush_folder(folder)


def _flush_folder(folder: str) -> None:
    """So that the new name outlasts the machine too, where a folder can be flushed."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _remove_abandoned(folder: str, now: float) -> None:
    """Remove temporary files of processes that were killed; `now` is the time by the clock of the file system."""
    for entry in os.scandir(folder):
        if entry.name.startswith(".symgrad-") and entry.name.endswith(".tmp"):
            with contextlib.suppress(OSError):  # it has gone by itself
                if entry.stat().st_mtime < now - ABANDONED:
                    os.unlink(entry.path)


def json_of(text: str) -> Any:
    """What a text says in JSON.

    Raises:
        ValueError: it is none, or is nested too deeply; says where, in words.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as problem:
        raise ValueError(f"it is no JSON from line {problem.lineno}, column {problem.colno} on") from None
    except ValueError:
        raise ValueError("a number in it has too many digits") from None
