"""Arrays that arrive: their sizes solved for, their shapes and declared facts checked, their types cast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from symgrad.errors import Refusal, did_you_mean, listing
from symgrad.language.ints import Int, Size
from symgrad.language.program import Program, Tensor
from symgrad.language.samples import numbers, unmet


def bind(program: Program, given: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """The number of each size letter, and every input as an array of its type.

    Args:
        given: an array (or nested lists, or a number) for each input of the program, by name; a state may be left
            out, and is then as it starts.

    Returns:
        sizes by letter, and arrays by name: float64 (complex128 where complex came in), labels int64.

    Raises:
        Refusal: an input is missing or unknown, a shape does not fit, a declared fact does not hold.
    """
    inputs = {t.name: t for t in program.inputs}
    if not isinstance(given, Mapping):
        raise Refusal(f"the arrays are given by name, {_named(inputs)}, not as {given!r}")
    for name in given:
        if name not in inputs:
            raise Refusal(
                f"'{name}' is no input of the program{did_you_mean(name, inputs)} (it takes {listing(inputs)})"
            )
    missing = [name for name, t in inputs.items() if name not in given and _first(t) is None]
    if missing:
        raise Refusal(f"no array was given for {listing(missing)}; the program takes {listing(inputs)}")
    told = {name: _cast(t, given[name]) for name, t in inputs.items() if name in given}
    sizes = solve(program, {name: a.shape for name, a in told.items()})
    arrays = {
        name: told[name] if name in told else np.full(numbers(t, sizes), _first(t))
        for name, t in inputs.items()
    }
    for name, t in inputs.items():
        _facts(t, arrays[name], sizes)
    for sentence in unmet(program, sizes):
        raise Refusal(sentence)
    return sizes, arrays


def _named(names: Iterable[str]) -> str:
    """How a dictionary of arrays is written."""
    return "{" + ", ".join(f'"{name}": ...' for name in names) + "}"


def _first(t: Tensor) -> float | None:
    """The number that all entries of a state start as, if there is one."""
    if t.role != "state":
        return None
    how, *_ = t.start or ("zeros",)
    return {"zeros": 0.0, "ones": 1.0}.get(how) if isinstance(how, str) else float(how)  # type: ignore[arg-type]


def solve(program: Program, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The number of each size letter from the shapes of arrays: bare letters first, then those inside expressions."""
    sizes: dict[str, int] = {}
    origin: dict[str, str] = {}
    pending: list[tuple[str, int, Int, int]] = []
    for name, shape in shapes.items():
        t = program[name]
        if len(shape) != len(t.shape):
            raise Refusal(
                f"{name} is declared as {_shown(t)}, with {len(t.shape)} axes, but the array has shape {shape}"
            )
        for k, (n, number) in enumerate(zip(t.shape, shape, strict=True)):
            atom = n.atom
            if isinstance(atom, Size):
                if sizes.setdefault(atom.name, number) != number:
                    raise Refusal(
                        f"axis {k} of {name} ({_shown(t)}) has {number} entries, but {atom.name} is "
                        f"{sizes[atom.name]} in {origin[atom.name]}"
                    )
                origin.setdefault(atom.name, name)
            else:
                pending.append((name, k, n, number))
    for name, k, n, number in pending:
        open_letters = [a.name for a in n.atoms() if isinstance(a, Size) and a.name not in sizes]
        if len(set(open_letters)) == 1:
            sizes[open_letters[0]] = _solve_one(n, open_letters[0], sizes, number, name, k)
            origin[open_letters[0]] = name
        if not [x for x in open_letters if x not in sizes]:
            value = int(n.evaluate(lambda a: sizes[a.name]))  # type: ignore[union-attr]
            if value != number:
                raise Refusal(
                    f"axis {k} of {name} ({_shown(program[name])}) must have {n} = {value} entries, "
                    f"but the array has {number}"
                )
    unknown = [s for s in program.sizes if s not in sizes]
    if unknown:
        raise Refusal(f"the size {listing(unknown)} cannot be told from the arrays; give it with `sizes=`")
    return sizes


def _solve_one(n: Int, letter: str, sizes: Mapping[str, int], number: int, name: str, k: int) -> int:
    for candidate in (*range(1, 4 * number + 64), 0):
        tried = {**sizes, letter: candidate}
        if n.evaluate(lambda a, tried=tried: tried[a.name]) == number:  # type: ignore[misc]
            return candidate
    raise Refusal(
        f"axis {k} of {name} has {number} entries, and no whole number {letter} makes {n} = {number}"
    )


def _shown(t: Tensor) -> str:
    return f"{t.role}[{', '.join(map(str, t.shape))}]" if t.shape else t.role


def _cast(t: Tensor, given: Any) -> np.ndarray:
    try:
        a = np.asarray(given)
    except ValueError:
        raise Refusal(f"{t.name} must be an array of numbers; what was given is ragged") from None
    if a.dtype.kind not in "fiubc":
        raise Refusal(f"{t.name} must be an array of numbers; what was given has the type {a.dtype}")
    if t.integer:
        whole = a.astype(np.int64)
        if a.dtype.kind == "c" or not np.array_equal(whole, a):
            raise Refusal(f"{t.name} is declared as label and must hold whole numbers")
        return whole
    return a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)


def _facts(t: Tensor, a: np.ndarray, sizes: Mapping[str, int]) -> None:
    """What was declared of the entries, checked."""
    if not a.size:
        return
    f, real = t.facts, a.real
    if t.below is not None:
        below = int(t.below.evaluate(lambda x: sizes[x.name]))  # type: ignore[union-attr]
        if a.min() < 0 or a.max() >= below:
            wrong = a.min() if a.min() < 0 else a.max()
            raise Refusal(f"{t.name} is a label below {below}, but {wrong} occurs in it")
    if f.low is not None and not (real > float(f.low) if f.strict_low else real >= float(f.low)).all():
        raise Refusal(
            f"{t.name} is declared {'>' if f.strict_low else '>='} {f.low}, but {real.min():g} occurs in it"
        )
    if f.high is not None and not (real < float(f.high) if f.strict_high else real <= float(f.high)).all():
        raise Refusal(
            f"{t.name} is declared {'<' if f.strict_high else '<='} {f.high}, but {real.max():g} occurs in it"
        )
    if f.distribution and not (np.allclose(real.sum(-1), 1, atol=1e-6) and (real >= 0).all()):
        raise Refusal(
            f"{t.name} is declared as distribution: its entries must be nonnegative and sum to 1 along the last axis"
        )
    if f.symmetric and not np.allclose(a, np.swapaxes(a, -1, -2), atol=1e-9):
        raise Refusal(f"{t.name} is declared symmetric, but differs from its transpose")
