"""Notices execution: with `watching()` on, what reading a text may never do is stopped and told.

Python tells its audit hooks of every compilation, execution, import, opened file, process and connection. What the tool
itself needs is allowed by name: `ast.parse` (a tree, nothing runs), the emitter's own source in `load`, its templates,
and reading its own files.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from symgrad.emit.load import load

ROOT = Path(__file__).resolve().parent.parent.parent
TEMPLATES = str(ROOT / "templates")
# where files may be read: this repository, and the interpreter with what is installed in it
_FOLDERS = (ROOT, sys.prefix, sys.base_prefix, os.path.dirname(ast.__file__))
READABLE = tuple(str(Path(p).resolve()) + os.sep for p in _FOLDERS)
PACKAGES = {"symgrad", "sympy", "numpy", "mpmath", "jinja2", "markupsafe", "encodings"}
PLAIN = {
    "difflib",
    "colorsys",
    "html",
    "textwrap",
    "unicodedata",
    "statistics",
    "fractions",
    "decimal",
    "_decimal",
}
NEVER = (
    "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.", "pty.", "socket.",
    "ctypes.", "pickle.", "urllib.", "http.", "ftplib.", "smtplib.", "shutil.", "os.remove", "os.rename", "os.mkdir",
    "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown", "os.putenv", "os.kill", "webbrowser.",
    "tempfile.", "code.__new__", "builtins.input", "builtins.breakpoint", "sys.set", "cpython.run", "mmap.",
)  # fmt: skip


class Executed(BaseException):
    """Something was about to run that no text may cause; no `except Exception` hides it."""


@dataclass
class _State:
    on: bool = False
    hooked: bool = False  # a hook stays for the life of the process
    seen: list[str] = field(default_factory=list)


_state = _State()


@contextmanager
def watching(on: bool = True) -> Iterator[list[str]]:
    """While it is open, what must never happen raises `Executed` and is put into the list that it gives."""
    if not _state.hooked:
        sys.addaudithook(_hook)
        _state.hooked = True
    _state.seen.clear()
    before, _state.on = _state.on, on
    try:
        yield _state.seen
    finally:
        _state.on = before


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _state.on and _forbidden(event, args):
        told = f"{event} {str(args)[:200]}"
        _state.seen.append(told)
        raise Executed(told)


def _forbidden(event: str, args: tuple[Any, ...]) -> bool:
    match event:
        case "compile":
            _, file = args
            return not (_called_by(ast.__file__) or _emitted(file) or _template(file) or _importing())
        case "exec":
            file = args[0].co_filename
            return not (str(file).startswith("<symgrad ") or _template(file) or _importing())
        case "import":
            return args[0].partition(".")[0] not in PACKAGES | PLAIN and not _importing()
        case "open":
            path, mode, flags = args
            if not isinstance(path, str | bytes):
                return False  # a descriptor that is open already
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or flags & (os.O_WRONLY | os.O_RDWR)
            return bool(writes) or not os.path.realpath(os.fsdecode(path)).startswith(READABLE)
    return event.startswith(NEVER)


def _emitted(file: object) -> bool:
    return _called_by(load.__code__.co_filename) and str(file).startswith("<symgrad ")


def _template(file: object) -> bool:
    return str(file).startswith(TEMPLATES) or str(file) == "<template>"


def _called_by(file: str) -> bool:
    """Whether the function that compiles stands in this file."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename == __file__:
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_code.co_filename == file


def _importing() -> bool:
    """Whether a module of an allowed package is being imported just now: its own lines run."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
