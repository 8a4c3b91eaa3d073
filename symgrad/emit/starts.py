"""How weights start: what a module draws them by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from symgrad.emit.frames import fill
from symgrad.emit.load import Source, load
from symgrad.errors import Refusal, listing
from symgrad.language.declarations import DRAWS, STARTS
from symgrad.language.program import Tensor


def how(t: Tensor) -> tuple[Any, ...]:
    """The scheme of a weight, a state or a draw, and its numbers."""
    if t.start is None:
        return ("glorot",) if len(t.shape) > 1 and t.role == "weight" else ("zeros",)
    return t.start if isinstance(t.start[0], str) else ("constant", *t.start)


def hows(tensors: Iterable[Tensor]) -> list[str]:
    """The schemes that are met."""
    return sorted({how(t)[0] for t in tensors})


def arguments(t: Tensor) -> str:
    """How a tensor starts, as the arguments of a module's `_start`.

    Raises:
        Refusal: there is no such start.
    """
    name, *numbers = how(t)
    if name not in (*STARTS, *DRAWS, "constant"):
        known = listing([f"{n}()" for n in STARTS])
        raise Refusal(f"{t.name} cannot start as {name}; a start is {known} or a number")
    return ", ".join([f'"{name}"', *(repr(float(x)) for x in numbers)])


@cache
def start() -> Callable[..., Any]:
    """The function by which modules draw weights: `start()(rng, shape, "he")`.

    Example:
        >>> import numpy as np
        >>> w = start()(np.random.default_rng(0), (3, 2), "orthogonal")
        >>> bool(np.allclose(w.T @ w, np.eye(2)))
        True
    """
    text = fill("starts.py.jinja", hows=list(STARTS), drawn=False)
    return load(Source("import numpy as np\n\n\n" + text), "symgrad_starts")["_start"]
