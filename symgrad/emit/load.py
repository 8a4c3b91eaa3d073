"""The one place where source text is compiled."""

from __future__ import annotations

import linecache
from typing import Any

from symgrad.emit.names import identifier


class Source(str):
    """Text that the emitter wrote. Only the emitter makes one, and `load` takes nothing else."""

    __slots__ = ()


def load(source: Source, name: str) -> dict[str, Any]:
    """Run emitted source as a module of its own and return its names.

    The source is registered with `linecache`, so that a traceback shows its lines and a debugger can step through it.

    Raises:
        TypeError: the text was not written by the emitter.
    """
    if type(source) is not Source:
        raise TypeError("only source written by symgrad.emit is ever compiled")
    file = f"<symgrad {identifier(name)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"__name__": name, "__file__": file}
    exec(compile(source, file, "exec"), namespace)  # noqa: S102 - text of our own, made from checked names and numbers
    return namespace
