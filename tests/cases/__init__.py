"""204 derivative problems with known answers, and how each is declared.

A group is two files: `NAME.py` has the cases (a reference in NumPy, its gradients, and values that the sources print;
`case.py` says what each field means), `NAME.sg` the declarations. A heading `### id` names the case; further headings
`### id: spelling` give the same formula as another user would write it.
"""

import importlib
import re
from pathlib import Path
from typing import Any

GROUPS = (
    "activations", "courses", "layers", "losses", "matrix_calculus", "matrix_cookbook", "numerics",
)  # fmt: skip


def cases() -> dict[str, Any]:
    """Every case by its id."""
    return {c.id: c for group in GROUPS for c in importlib.import_module(f"cases.{group}").CASES}


def sections(name: str) -> dict[str, str]:
    """The declarations of a file, by their headings."""
    found: dict[str, str] = {}
    text = Path(__file__).with_name(f"{name}.sg").read_text(encoding="utf-8")
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = part.partition("\n")
        assert heading not in found, f"two declarations are called {heading}"
        found[heading] = body.strip()
    return found


def declarations() -> dict[str, str]:
    """Every declaration of the cases, by its heading."""
    return {heading: text for group in GROUPS for heading, text in sections(group).items()}
