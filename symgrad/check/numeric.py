"""The numeric check: every derived gradient against complex steps through the reference realisation.

f(x + ih v) = f(x) + ih v·∇f + O(h²), so Im f/h is the directional derivative without any cancellation
(W. Squire and G. Trapp, SIAM Review 40, 1998). With h = 1e-30 it is exact to rounding. NumPy compares complex numbers
by their real parts first, so the branch of a kink (relu, max, abs) is chosen as for the real number; exactly at a kink
the two signs of h give the two one-sided slopes, and anything between them is accepted.

A computed tensor is stepped through a shift of zeros that is added to it once it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symgrad.language import ints
from symgrad.language.bind import bind
from symgrad.language.expr import Access
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.reference import run
from symgrad.language.samples import inputs, numbers, small_sizes
from symgrad.language.trace import Derived

STEP = 1e-30
Realisation = Callable[..., tuple[Any, Mapping[str, Any]]]


@dataclass(frozen=True)
class Row:
    """One comparison: for which tensor, by what, the worst error relative to the largest entry, and where.

    `derived` and `numeric` are the two numbers there; `kinks` counts points at which the slope is one-sided."""

    name: str
    against: str
    error: float
    place: tuple[int, ...] | str
    derived: float
    numeric: float
    kinks: int = 0


@dataclass(frozen=True)
class Verdict:
    """What the check found.

    Attributes:
        rows: one for each tensor and judge.
        tolerance: the largest relative error that passes.
        sizes: the numbers that the size letters had.

    Example:
        >>> row = Row("w", "complex step", 2e-16, (0,), 1.0, 1.0)
        >>> verdict = Verdict((row,), tolerance=1e-9, sizes={"n": 2})
        >>> verdict.ok, verdict.worst
        (True, 2e-16)
    """

    rows: tuple[Row, ...]
    tolerance: float
    sizes: Mapping[str, int]

    @property
    def worst(self) -> float:
        """The largest relative error of all rows (nan if something was nan)."""
        errors = [r.error for r in self.rows]
        return float("nan") if any(np.isnan(errors)) else max(errors, default=0.0)

    @property
    def ok(self) -> bool:
        return bool(self.worst <= self.tolerance)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = ("gradient", "against", "worst error", "at", "derived", "numeric", "kinks")
        table = [head] + [
            (r.name, r.against, f"{r.error:.1e}", str(list(r.place)) if isinstance(r.place, tuple) else r.place,
             f"{r.derived:.6g}", f"{r.numeric:.6g}", str(r.kinks))
            for r in self.rows
        ]  # fmt: skip
        widths = [max(len(row[k]) for row in table) for k in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table]
        sizes = ", ".join(f"{k} = {v}" for k, v in self.sizes.items())
        verdict = "agrees" if self.ok else "DOES NOT AGREE"
        last = f"{verdict}: worst {self.worst:.1e}, tolerance {self.tolerance:.0e}" + f" ({sizes})" * bool(
            sizes
        )
        return "\n".join([*lines, last])


def check(
    derived: Derived,
    given: Mapping[str, Any] | None = None,
    *,
    realisations: Mapping[str, Realisation] | None = None,
    seed: int = 0,
    entries: int = 24,
    tolerance: float = 1e-9,
) -> Verdict:
    """Judge a derivation.

    Args:
        given: arrays for all inputs; random ones as declared, of small pairwise different sizes, if None.
        realisations: other ways to compute `(loss, gradients)` from the same arrays, by name; each is compared with
            the reference realisation of the derived program.
        entries: how many entries of a tensor are stepped one by one (all if it has no more); beside them two random
            directions judge the whole tensor.
        tolerance: largest accepted error, relative to the largest entry of the gradient (at least 1e-3).
    """
    source = derived.source
    rng = np.random.default_rng(seed)
    if given is None:
        given = inputs(source, small_sizes(source), rng)
    sizes, arrays = bind(source, given)
    joint = run(derived.program, sizes, arrays)
    rows = []
    for name, adjoint in derived.gradients.items():
        gradient = joint[adjoint]
        rows.append(_complex_step(source, sizes, arrays, name, gradient, rng, entries))
        for what, realisation in (realisations or {}).items():
            rows.append(_compare(name, what, np.asarray(realisation(*arrays.values())[1][name]), gradient))
    return Verdict(tuple(rows), tolerance, sizes)


def exposed(program: Program, name: str) -> tuple[Program, str]:
    """The program with a shift, a new input, added to a computed tensor before anything reads it, and its name.

    Example:
        >>> from symgrad.language.reader import read
        >>> p, shift = exposed(read("x: weight[n]\\ny = x**2\\nloss = sum(y)"), "y")
        >>> print(p.statements[1])
        y[i_0] = y_bare[i_0] + y_shift[i_0]
    """
    t = program[name]
    bare = program.fresh(f"{name}_bare")
    shift = program.fresh(f"{name}_shift")
    axes = tuple((f"i_{k}", n) for k, n in enumerate(t.shape))
    index = tuple(ints.axis(a) for a, _ in axes)
    whole = Statement(name, index, "=", Access(bare, index) + Access(shift, index), axes)
    statements: list[Statement] = []
    for k, s in enumerate(program.statements):
        statements.append(replace(s, out=bare) if s.out == name else s)
        if s.out == name and all(later.out != name for later in program.statements[k + 1 :]):
            statements.append(whole)
    tensors = {**program.tensors, bare: replace(t, name=bare), shift: Tensor(shift, t.shape, "data")}
    return replace(program, tensors=tensors, statements=tuple(statements)), shift


def _complex_step(
    program: Program, sizes: Mapping[str, int], arrays: Mapping[str, np.ndarray], name: str,
    gradient: np.ndarray, rng: np.random.Generator, entries: int,
) -> Row:  # fmt: skip
    stepped = name
    if name not in arrays:
        program, stepped = exposed(program, name)
        arrays = {**arrays, stepped: np.zeros(numbers(program[name], sizes))}
    x = arrays[stepped].astype(np.complex128)

    def slope(v: np.ndarray) -> tuple[float, float]:
        return tuple(  # type: ignore[return-value]
            sign
            * float(run(program, sizes, {**arrays, stepped: x + sign * 1j * STEP * v})[program.target].imag)
            / STEP
            for sign in (1, -1)
        )

    places = list(np.ndindex(*x.shape))
    if len(places) > entries:
        places = [places[k] for k in sorted(rng.choice(len(places), entries, replace=False))]
    tests: list[tuple[tuple[int, ...] | str, np.ndarray]] = []
    for one in places:
        v = np.zeros(x.shape)
        v[one] = 1.0
        tests.append((one, v))
    tests += [(f"direction {k + 1}", rng.standard_normal(x.shape)) for k in range(2 if x.size > 1 else 0)]
    scale = max(1e-3, float(np.abs(gradient).max(initial=0)))
    worst = Row(name, "complex step", -1.0, "", 0.0, 0.0)
    kinks = 0
    for place, v in tests:
        up, down = slope(v)
        own = float((gradient * v).sum())
        low, high = min(up, down), max(up, down)
        kinks += high - low > 1e-12 * max(1.0, abs(high))
        numeric = min(max(own, low), high) if not np.isnan(own) else low
        span = scale * (float(np.abs(v).sum()) if isinstance(place, str) else 1.0)
        error = abs(own - numeric) / span
        if not (error <= worst.error or np.isnan(worst.error)):
            worst = Row(name, "complex step", error, place, own, numeric)
    return Row(name, worst.against, max(worst.error, 0.0), worst.place, worst.derived, worst.numeric, kinks)


def _compare(name: str, what: str, other: np.ndarray, gradient: np.ndarray) -> Row:
    if other.shape != gradient.shape:
        return Row(name, what, float("inf"), f"shape {other.shape} for {gradient.shape}", 0.0, 0.0)
    scale = max(1e-3, float(np.abs(gradient).max(initial=0)))
    errors = np.abs(other - gradient) / scale
    if not errors.size:
        return Row(name, what, 0.0, (), 0.0, 0.0)
    place = tuple(
        int(k) for k in np.unravel_index(int(np.argmax(np.nan_to_num(errors, nan=np.inf))), errors.shape)
    )
    return Row(name, what, float(errors[place]), place, float(other[place]), float(gradient[place]))
