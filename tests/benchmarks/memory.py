"""What a step takes: the peak of a fresh process, and what is allocated in a step after the first."""

from __future__ import annotations

import ctypes
import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measurable() -> bool:
    """Whether this system tells the peak of a process and lets it be set back."""
    return STATUS.exists() and CLEAR.exists()


def _level(name: str) -> int:
    line = next(line for line in STATUS.read_text("utf-8").splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def settle() -> None:
    """Gives back what is free, so that the level tells what is held."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def peak(work: Callable[[], Any]) -> int:
    """The bytes by which `work` lifts this process above its present level, at most."""
    settle()
    CLEAR.write_text("5", "utf-8")  # sets the peak back to the level
    before = _level("VmRSS")
    work()
    return _level("VmHWM") - before


def allocated(once: Callable[[], Any], steps: int = 3) -> int:
    """The most bytes that a step holds in passing, by tracemalloc, to which NumPy reports its arrays.

    The first steps make what is kept; after them a step that allocates no array holds a few numbers and tuples, some
    hundred bytes.
    """
    once()
    once()
    tracemalloc.start()
    try:
        once()
        most = 0
        for _ in range(steps):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            once()
            most = max(most, tracemalloc.get_traced_memory()[1] - before)
        return most
    finally:
        tracemalloc.stop()


def culprits(once: Callable[[], Any], least: int = 1000) -> list[tuple[int, str]]:
    """The lines of a step that hold at least so many bytes in passing: the most, and the file and line."""
    found: dict[str, int] = {}
    here, before = "", 0

    def close() -> None:
        most = tracemalloc.get_traced_memory()[1] - before
        found[here] = max(found.get(here, 0), most)

    def traced(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal here, before
        if event in ("line", "return"):
            close()
            code = frame.f_code
            here = f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}"
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
        return traced

    once()
    once()
    tracemalloc.start()
    sys.settrace(traced)
    try:
        once()
        once()
    finally:
        sys.settrace(None)
        tracemalloc.stop()
    return sorted(((most, line) for line, most in found.items() if most >= least and line), reverse=True)
