"""The shipped networks and the data that each is trained on, by name."""

from __future__ import annotations

import os
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


def network(name: str) -> Path:
    """The declaration of a shipped network.

    >>> network("digits").name
    'digits.sg'
    """
    return Path(str(_HERE / "networks" / f"{name}.sg"))


def table(name: str) -> Path:
    """The data of a shipped network."""
    return Path(str(_HERE / "data" / DATA[name]))


def shipped(declaration: Any) -> str:
    """The name of the shipped network that a declaration is, or that names it; else nothing.

    >>> shipped("digits"), shipped(network("digits")), shipped("loss = 1")
    ('digits', 'digits', '')
    """
    return next((name for name in DATA if declaration in (name, network(name))), "")


def data(path: str) -> Path:
    """A file or folder of the user's, or else shipped data of that name."""
    known = {file: name for name, file in DATA.items()}
    return table(known[path]) if path in known and not os.path.exists(path) else Path(path)
