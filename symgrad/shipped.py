"""The shipped networks and the data that each is trained on, by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

DATA = {
    "adding": "adding.csv",
    "cnn": "digits.csv",
    "digits": "digits.csv",
    "logistic": "iris.csv",
    "recommender": "ratings.csv",
    "transformer": "rhymes.txt",
}
_HERE = resources.files("symgrad")


def found(declaration: Any) -> tuple[Any, str]:
    """A declaration as it is; for the name of a shipped network its file, and that name.

    >>> path, name = found("digits")
    >>> path.name, name, found("loss = 1")
    ('digits.sg', 'digits', ('loss = 1', ''))
    """
    if isinstance(declaration, str) and declaration in DATA:
        return Path(str(_HERE / "networks" / f"{declaration}.sg")), declaration
    return declaration, ""


def table(name: str) -> Path:
    """The data of a shipped network."""
    return Path(str(_HERE / "data" / DATA[name]))
