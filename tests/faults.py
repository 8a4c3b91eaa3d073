"""Faults that happen in a process at a place that is told beforehand, so that they can be repeated.

A process is forked (so POSIX only). In it one fault happens: at the k-th line of the code that is watched, or at its
k-th opening, write, flush to the disk, renaming, or update. None of these depends on the clock; only the signals that
come from outside after some time do, and whatever they meet, the same is asked of what they leave.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CODES = [getattr(errno, name) for name in ("ENOSPC", "EIO", "EROFS", "EACCES", "EDQUOT")]
SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "KILL": signal.SIGKILL}
TEMPORARY = ".symgrad-"


class Wrong(AssertionError):
    """What a fault has broken."""


def require(holds: bool, told: str) -> None:
    if not holds:
        raise Wrong(told)


@dataclass(frozen=True)
class Fault:
    """What happens, at the k-th of which events; for the event "moment", after so many microseconds."""

    kind: str
    event: str = ""
    at: int = 0
    code: int = 0


class Watch:
    """Counts the events of this process, and lets the fault happen."""

    def __init__(self, folder: Path, fault: Fault | None, checkpoint: str = "run.npz"):
        self.folder, self.fault, self.counts = folder, fault, Counter[str]()
        self.checkpoint = folder / checkpoint
        self.again = 0  # the line of a second signal

    def happened(self, event: str) -> None:
        self.counts[event] += 1
        fault, count = self.fault, self.counts[event]
        if self.again and event == "line" and count >= self.again:
            self.again = 0
            os.kill(os.getpid(), signal.SIGINT)
        if fault is not None and (event, count) == (fault.event, fault.at):
            self.strike(fault)

    def strike(self, fault: Fault) -> None:
        if fault.kind == "INT INT":
            self.again = self.counts["line"] + 1 + fault.code
            os.kill(os.getpid(), signal.SIGINT)
        elif fault.kind in SIGNALS:
            os.kill(os.getpid(), SIGNALS[fault.kind])
        elif fault.kind == "error":
            raise OSError(fault.code, os.strerror(fault.code))
        elif fault.kind == "MemoryError":
            raise MemoryError
        elif fault.kind == "pipe":
            reader, writer = os.pipe()
            os.close(reader)
            os.dup2(writer, 1)
        elif fault.kind == "no folder":
            shutil.rmtree(self.folder)
        elif fault.kind in ("garbage", "garbage KILL", "cut KILL"):
            there = self.checkpoint.read_bytes() if self.checkpoint.exists() else b"none"
            cut = there[: len(there) * fault.code // 250]  # less than the whole
            self.checkpoint.write_bytes(cut if fault.kind == "cut KILL" else b"garbage" * fault.at)
            if fault.kind != "garbage":
                os.kill(os.getpid(), signal.SIGKILL)
        elif fault.kind == "truncated data":
            os.truncate(self.folder / "x.npy", 0)

    def install(self, names: dict[str, Any], code: str) -> None:
        """Watch the files that a module writes, by its global names, and the lines of its file."""
        for name in ("fsync", "replace"):
            setattr(os, name, self.watched(name, getattr(os, name)))
        watch, fault = self, self.fault

        class File(io.BufferedWriter):
            def write(self, data: Any) -> int:
                super().flush()  # so that half a file is half a file on the disk too
                watch.happened("write")
                return super().write(data)

        def opened(path: Any, mode: str = "r", *more: Any, **others: Any) -> Any:
            if mode == "xb":
                watch.happened("open")
                return File(io.FileIO(path, "x"))
            return open(path, mode, *more, **others)

        names["open"] = opened
        if fault is None or "line" in (fault.event, "line" if fault.kind == "INT INT" else ""):

            def lines(frame: Any, event: str, _: Any) -> Any:
                if event == "line":
                    self.happened("line")
                return lines

            sys.settrace(lambda frame, *_: lines if frame.f_code.co_filename == code else None)
        if fault is not None and fault.kind == "full":
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (fault.at, resource.RLIM_INFINITY))

    def watched(self, name: str, does: Callable[..., Any]) -> Callable[..., Any]:
        def doing(*arguments: Any, **more: Any) -> Any:
            self.happened(name)
            if name != "replace" or not str(arguments[1]).endswith(self.checkpoint.name):
                return does(*arguments, **more)
            kept = Path(arguments[0]).read_bytes()
            made = does(*arguments, **more)
            with contextlib.suppress(OSError):  # no folder, no room: then it is judged by less
                (self.folder.parent / "kept").write_bytes(kept)  # the last good checkpoint, from here on
            return made

        return doing


def forked(run: Callable[[], int], folder: Path, fault: Fault | None = None) -> tuple[int, str]:
    """Run in a process of its own; its exit status (less than 0: the signal that ended it) and its errors."""
    sys.stdout.flush()
    ready, tell = os.pipe()
    process = os.fork()
    if process == 0:
        status = 99
        try:
            status = _alone(run, folder, tell)
        finally:
            os._exit(status)
    os.close(tell)
    os.read(ready, 1)
    os.close(ready)
    if fault is not None and fault.event == "moment":
        time.sleep(fault.at / 1e6)  # wherever it is then
        os.kill(process, SIGNALS[fault.kind])
    _, ended = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(ended), (folder.parent / "err").read_text()


def _alone(run: Callable[[], int], folder: Path, tell: int) -> int:
    """What a forked process does; its exit status."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder.parent / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(
            signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
        )  # as a module's last lines do
        os.write(tell, b"1")
        status = run()
    except SystemExit as left:
        status = int(left.code or 0)
    except KeyboardInterrupt:
        status = 130
    except BaseException:  # noqa: BLE001 - a process that was forked ends here
        import traceback

        sys.settrace(None)
        traceback.print_exc()
        status = 99
    sys.settrace(None)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for output in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            output.flush()
    return status
