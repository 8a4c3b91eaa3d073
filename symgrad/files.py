"""Files are written as a whole or not at all; and what is in one that is JSON."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from symgrad.errors import SymgradError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file as a whole or not at all: a temporary file beside it, flushed, then renamed over it.

    Raises:
        SymgradError: the folder or the file cannot be written.
    """
    temporary = None
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as problem:
        raise SymgradError(
            f"{path} cannot be written: {problem.strerror or problem}; nothing was changed"
        ) from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def json_of(text: str) -> Any:
    """What a text says in JSON.

    Raises:
        ValueError: it is none, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
