"""Python's search for cycles of dead objects, put off while trees are made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off() -> Iterator[None]:
    """No search meanwhile. What reading, deriving and writing make is kept or freed by counting; looking through all of
    it again and again took a quarter of the time of a network of a thousand layers.

    Example:
        >>> import gc
        >>> with put_off():
        ...     gc.isenabled()
        False
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
