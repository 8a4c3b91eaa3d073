"""What the numbers were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PACKAGES = ("numpy", "torch", "jax", "jaxlib", "autograd", "pytensor", "numba")


def processor() -> tuple[str, set[str]]:
    """Its name and its features, as far as the system tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor() or platform.machine(), set()
    facts = dict(
        map(str.strip, line.split(":", 1)) for line in text.split("\n\n")[0].splitlines() if ":" in line
    )
    return facts.get("model name", platform.machine()), set(facts.get("flags", "").split())


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def judged() -> bool:
    """Whether the figures are meant for this machine: two cores with AVX-512."""
    return "avx512f" in processor()[1] and cores() >= 2


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe(threads: Sequence[int]) -> str:
    """A paragraph: processor, cores, versions, what is missing."""
    name, features = processor()
    found = {package: version(package) for package in PACKAGES}
    present = ", ".join(f"{package} {v}" for package, v in found.items() if v)
    missing = ", ".join(package for package, v in found.items() if not v)
    build = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    wide = "with" if "avx512f" in features else "without"
    lines = [
        (
            f"{name}, {cores()} cores, {wide} AVX-512; Python {platform.python_version()}, {present}; "
            f"NumPy's BLAS is {build.get('name')} {build.get('version')}. "
            f"Threads: {' and '.join(map(str, threads))}, each process held to as many processors. "
            "Float32; forward, loss, all gradients and update."
        ),
    ]
    if missing:
        lines.append(f"Not installed and left out: {missing}.")
    if not judged():
        lines.append(
            "The wanted figures are for two cores with AVX-512: here they are told without a verdict."
        )
    return "\n".join(lines) + "\n"
