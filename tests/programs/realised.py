"""The realisations of a derivation, each run on the same arrays: two styles of NumPy, and compiled loops as Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from symgrad import emit
from symgrad.emit import compiled, elementary, head
from symgrad.emit.load import Source, load
from symgrad.emit.names import Names
from symgrad.language.program import needed
from symgrad.language.trace import Derived

Arrays = dict[str, np.ndarray]
PREAMBLE = """
import math
import numpy as np


def _jit(f):
    return f


_exactly = _jit


def _either(*_):
    pass


"""


@contextmanager
def dirty_memory() -> Iterator[None]:
    """New memory holds no numbers, so that what reads it before it is written is found out."""
    clean = np.empty

    def empty(*args: Any, **options: Any) -> np.ndarray:
        found = clean(*args, **options)
        found.fill(np.nan if found.dtype.kind in "fc" else 113)
        return found

    with patch.object(np, "empty", empty):
        yield


def written(d: Derived, style: str, sizes: dict[str, int]) -> Any:
    """The function of a derivation in a style; it keeps float32 as it is."""
    source = emit.function_source(d, style=style, sizes=sizes, real="np.float32")
    return emit.load(source, "f")["loss_and_grad"]


def loops(d: Derived, sizes: dict[str, int], data: Arrays) -> tuple[Any, Arrays]:
    """What the compiled loops of a derivation compute, run as Python.

    Raises:
        NoLoops: an operation that has no form as loops.
    """
    program, names = d.program, Names(("s",))
    for t in d.source.inputs:
        names.of(t.name)
    for letter in program.sizes:
        names.of(letter)
    results = [program.target, *d.gradients.values()]
    into = {r: names.of(r) for r in dict.fromkeys(results) if r != program.target or program[r].shape}
    literals = [t.name for t in program.role("literal")]
    wanted = "" if program[program.target].shape else program.target
    writer = compiled.Compiled(program, names, {}, literals, into, wanted)
    kernel = writer.write(needed(program.statements, results))
    lines = [*kernel.lines, f"return {kernel.result or None}"]
    helpers = "\n\n\n".join(elementary.source(kernel.functions))
    source = f"{PREAMBLE}{helpers}\n\n\ndef step({', '.join(n for n, _ in kernel.arguments)}):\n" + "".join(
        f"    {line}\n" for line in lines
    )
    module = load(Source(source), "loops")
    called = "\n\n\n".join(head.helper(h, names) for h in writer.text.helpers)
    arrays = dict(load(Source(f"import numpy as np\n\n\n{called}\n"), "helpers"))
    arrays |= {"dtype": np.dtype(float), **{names.of(k): v for k, v in sizes.items()}}
    plan = [*head.literals(program, names, literals), *kernel.once]
    plan += [f"{place} = np.empty({writer.text.shape(program[r].shape)}, dtype)" for r, place in into.items()]
    exec("\n".join(plan), arrays)
    for key, a in data.items():
        if names.of(key) in kernel.takes:
            arrays[names.of(key)][...] = a
    for _ in range(2):  # the second run meets the arrays of the first
        with np.errstate(all="ignore"):
            loss = module["step"](*(eval(text, arrays) for _, text in kernel.arguments))  # noqa: S307
    found = {r: arrays[place] for r, place in into.items()}
    return found.get(program.target, loss), found
