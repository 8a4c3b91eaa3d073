"""A command as a person types it, in this process: starting Python and importing all anew takes most of a second."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from symgrad.cli import main


def symgrad(*words: str, cwd: Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """What `symgrad words ...` prints, and its exit status; what it raises besides SystemExit is a fault."""
    out, err = io.StringIO(), io.StringIO()
    with (
        chdir(cwd), redirect_stdout(out), redirect_stderr(err),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)), mock.patch.dict(os.environ, environment),
    ):  # fmt: skip
        try:
            status = main(words)
        except SystemExit as stop:  # argparse
            status = stop.code if isinstance(stop.code, int) else 1
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def python(*words: str, cwd: Path, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same of `python words ...`, in a process of its own."""
    return subprocess.run(
        [sys.executable, *words], cwd=cwd, input=stdin, capture_output=True, text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
    )  # fmt: skip
