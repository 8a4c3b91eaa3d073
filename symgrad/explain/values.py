"""Numbers for every tensor that a trace speaks of, and what each printed equation gives by itself.

Everything is computed by the reference realisation, statement by statement. An equation's right side is evaluated on
the values of what it reads, and must be the value of its tensor: so each step that is shown is also checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from symgrad.errors import Refusal
from symgrad.explain.cast import Cast
from symgrad.explain.parts import Group
from symgrad.language import expr as ex
from symgrad.language.bind import bind
from symgrad.language.expr import Expr
from symgrad.language.program import Program, Statement, Tensor, blocks, in_rows, stored
from symgrad.language.reference import FLOATS, POINTS, Arithmetic, composed, execute, trimmed
from symgrad.language.syntax import DIGITS
from symgrad.language.trace import Derived
from symgrad.leaves import LEAVES, Leaf

EXACT = 100_000  # of the largest grid that is computed with fractions
BITS = 10_000  # of the numbers above and below a fraction; of longer ones nobody sees more than a float
PARTIAL = ("chain", "definition")  # the rules of steps that may give one of several contributions
_NUDGE, _AGREE = 1e-13, 1e-9

Arrays = dict[str, np.ndarray]


class _Fractions(Arithmetic):
    """Exact where all that made a number is rational; a float from the first other function on.

    Raises:
        OverflowError: a fraction with more than `BITS`, which repeated squares soon have.
    """

    _LEAVES: Mapping[str, Any] = {
        "maximum": np.maximum,
        "minimum": np.minimum,
        "rint": np.frompyfunc(lambda x: Fraction(round(x)), 1, 1),
    }

    def number(self, value: Fraction | int) -> Any:
        return Fraction(value)

    def whole(self, values: Any) -> Any:
        return np.asarray(values).astype(object) * Fraction(1)

    def leaf(self, leaf: Leaf, values: Sequence[Any]) -> Any:
        if not leaf.ufunc:
            return composed(leaf, values, self)
        if leaf.run in self._LEAVES:
            return self._LEAVES[leaf.run](*values)
        return np.asarray(getattr(np, leaf.run)(*map(_floats, values))).astype(object)

    def whole_power(self, base: Any, exponent: int) -> Any:
        if _bits(base) * abs(exponent) > 2 * BITS:
            raise OverflowError
        return base**exponent

    def written(self, values: Any) -> None:
        if _bits(values) > BITS:
            raise OverflowError

    def power(self, base: Any, exponent: Any) -> Any:
        return (_floats(base) ** _floats(exponent)).astype(object)

    def implicit(self, op: str, arrays: Sequence[np.ndarray]) -> Any:
        return super().implicit(op, [_floats(a) for a in arrays])


def finite(values: Any) -> bool:
    """Whether all entries are finite."""
    return bool(np.isfinite(_floats(values)).all())


def _bits(values: Any) -> int:
    """The length of the longest whole number that fractions among these are made of."""
    fractions = (x for x in np.asarray(values, dtype=object).flat if isinstance(x, Fraction))
    return max((max(x.numerator.bit_length(), x.denominator.bit_length()) for x in fractions), default=0)


def _floats(values: Any) -> np.ndarray:
    return np.asarray(values).astype(np.float64)


def _objects(a: np.ndarray) -> np.ndarray:
    """Numbers to calculate with exactly: whole ones as fractions, for Python divides them to floats."""
    out = np.empty(a.shape, dtype=object)
    out.reshape(-1)[:] = [Fraction(x) if isinstance(x, int) else x for x in a.astype(object).flat]
    return out


@dataclass(frozen=True)
class Cause:
    """What has no finite value: a function, where, and what it is there; without a name, `said` says all."""

    name: str
    at: float
    said: str


class Wrong(AssertionError):
    """A printed equation gives another value than its tensor has: a fault of the derivation, not of the numbers."""


class Run:
    """All tensors computed in one way: by the final program and the steps to it, or by a form of its forward part.

    Args:
        forward: the statements of that form, if not the final program.
        given: an array for each input; `exact` says that they are objects.

    Attributes:
        arrays: by name, each tensor; early rows of recurrences in front.
    """

    def __init__(
        self,
        derived: Derived,
        sizes: Mapping[str, int],
        given: Arrays,
        *,
        exact: bool,
        forward: Group | None = None,
    ):
        self.derived, self.sizes, self.given, self.exact, self.forward = derived, sizes, given, exact, forward
        self.arrays = self._computed()

    def __getitem__(self, name: str) -> np.ndarray:
        """A tensor's entries as its declaration has them; objects where every number is exact."""
        return _settled(trimmed(self.arrays[name], self._tensors[name]))

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def early(self, name: str) -> tuple[int, ...]:
        """How many rows stand before position 0 along each axis."""
        return self._tensors[name].early

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        return {**self.derived.tensors, **Cast(self.derived).tensors}

    @cached_property
    def _program(self) -> Program:
        return replace(self.derived.program, tensors=self._tensors)

    @cached_property
    def _stored(self) -> Program:
        """All tensors of the trace, as realisations store them."""
        return replace(self._program, tensors={name: stored(t) for name, t in self._tensors.items()})

    def _rows(self, s: Statement) -> Statement:
        return in_rows(s, self._program) if any(self.early(name) for name in (s.out, *s.reads)) else s

    def _computed(self) -> Arrays:
        """Every tensor: those of the program, then those that only steps to it speak of."""
        arrays: Arrays = dict(self.given)
        for t in self._tensors.values():
            if t.literal is not None:
                arrays[t.name] = np.array(t.literal, dtype=object).astype(
                    np.int64 if t.integer else self._dtype
                )
        program = self.derived.program.statements if self.forward is None else self.forward
        for block in blocks(map(self._rows, program)):
            self._execute(block, arrays)
        waiting = self._versions(arrays) if self.forward is None else {}
        while waiting:
            ready = next(
                (n for n, g in waiting.items() if all(r in arrays or r == n for s in g for r in s.reads)),
                None,
            )
            if ready is None:
                break  # parts of loops that read one another, and are no more
            arrays[ready] = self._made(waiting.pop(ready), arrays)
        return arrays

    def _versions(self, known: Arrays) -> dict[str, Group]:
        """For each tensor that did not stay in the program, the statements that the trace last had for it."""
        found: dict[str, Group] = {}
        for step in self.derived.steps:
            for s in step.before:  # what the rule of an operation made on the way
                found[s.out] = (s,)
        chains: dict[str, Group] = {}
        for step in self.derived.steps:
            groups = by_tensor(step.equation)
            if step.rule in PARTIAL:
                for name, group in groups.items():
                    chains[name] = groups[name] = (*chains.get(name, ()), *group)
            found.update(groups)
        return {name: group for name, group in found.items() if name not in known}

    @property
    def _dtype(self) -> Any:
        return object if self.exact else np.float64

    def _execute(self, block: Group, arrays: Arrays) -> None:
        with np.errstate(all="ignore"):
            try:
                execute(
                    block,
                    self._stored,
                    self.sizes,
                    arrays,
                    self._dtype,
                    _Fractions() if self.exact else FLOATS,
                )
            except np.linalg.LinAlgError as problem:
                raise Refusal(f"these numbers have no result: {str(problem).lower()}") from None

    def _made(self, group: Group, arrays: Arrays) -> np.ndarray:
        """What statements give on these arrays. Places that others define keep what they have."""
        out = group[0].out
        mine = dict(arrays)
        if all(s.op == "=" for s in group) and out in arrays:
            mine[out] = arrays[out].copy()
        else:
            mine.pop(out, None)
        for block in blocks(map(self._rows, group)):
            self._execute(block, mine)
        return mine[out]

    def given_by(self, group: Group) -> np.ndarray | None:
        """What an equation gives by itself; None where it reads what never had a value of its own."""
        if any(r not in self.arrays for s in group for r in (s.out, *s.reads)):
            return None
        try:
            return self._made(group, self.arrays)
        except ArithmeticError:
            return None

    def cause(self, s: Statement) -> Cause | None:
        """Which part of a body, the innermost first, has no finite value where its argument has one."""
        for e in reversed(list(ex.walk(s.body))):
            match e:
                case ex.Call(name, (arg,)):
                    leaf = LEAVES[name]
                    for op in ("min=", "max="):
                        for x in self._extreme(s, op, arg):
                            with np.errstate(all="ignore"):
                                y = float(FLOATS.leaf(leaf, [np.asarray(x)]))
                            if not np.isfinite(y):
                                said = "no real number" if np.isnan(y) else "infinite or too large to compute"
                                return Cause(name, x, said)
                case ex.Pow(base, exponent) if (ex.number(exponent) or 0) < 0:
                    if 0 in self._extreme(s, "min=", ex.call("abs", base)):
                        return Cause("", 0.0, "this divides by zero")
        return None

    def _extreme(self, s: Statement, op: str, e: Expr) -> list[float]:
        """The finite ones of the least or largest values that a part of a body takes, for each entry."""
        try:
            found = _floats(self._made((replace(s, op=op, body=e),), self.arrays))
        except (ArithmeticError, Refusal):
            return []
        return [float(x) for x in found.flat if np.isfinite(x)]

    def agrees(self, group: Group, found: np.ndarray) -> bool:
        """Whether what an equation gives is the value of its tensor, as far as rounding can tell: what inputs that
        differ in the last digits would change is no difference. Where it overflows and its tensor does not, there is
        nothing to compare."""
        name = group[0].out
        want, got = _floats(self.arrays[name]), _floats(found)
        with np.errstate(all="ignore"):
            sure = np.isfinite(want) & np.isfinite(got)
            error = np.abs(got - want)[sure].max(initial=0.0)
            bound = _AGREE * np.abs(want[sure]).max(initial=0.0) + np.finfo(float).tiny
            if error <= bound:
                return True
            noise = np.abs(_floats(self._moved.arrays[name]) - want)
            return bool(error <= bound + noise[np.isfinite(noise)].max(initial=0.0) * _AGREE / _NUDGE)

    @cached_property
    def _moved(self) -> Run:
        """The same for inputs that differ in the last digits."""
        rng = np.random.default_rng(0)
        given: Arrays = {}
        for t in self.derived.source.inputs:
            a = self.given[t.name]
            given[t.name] = a if t.integer else _floats(a) * (1 + _NUDGE * rng.uniform(-1, 1, a.shape))
        return Run(self.derived, self.sizes, given, exact=False, forward=self.forward)


class Values:
    """The numbers of one derivation.

    Args:
        given: an array (nested lists, a number) for every input of `derived.source`. Whole numbers, `Fraction` and
            text such as "1/3" are exact, and stay so as long as every operation is rational.

    Attributes:
        sizes: the number of each size letter.
        final: each tensor that a step speaks of.

    Raises:
        Refusal: an input is missing or unknown, does not fit, is no number; or all is too large to be computed so.
    """

    def __init__(self, derived: Derived, given: Mapping[str, Any]):
        self.derived = derived
        told = {name: read_array(name, a) for name, a in given.items()}
        floats = {name: a.astype(float) if a.dtype == object else a for name, a in told.items()}
        self.sizes, bound = bind(derived.source, floats)
        largest = max(map(self._points, (s for step in derived.steps for s in step.equation)), default=0)
        if largest > POINTS:
            raise Refusal(
                f"with these arrays one step runs over {largest:,} products, and a worked derivation shows numbers, "
                f"one by one, of up to {POINTS:,}; give fewer examples or smaller sizes"
            )
        exact = {n: a for n, a in told.items() if a.dtype == object and not derived.source[n].integer}
        real = [n for n in bound if not derived.source[n].integer]
        fractions = any(type(x) is Fraction for a in exact.values() for x in a.flat)
        self._floats = bound
        self._exact = None
        if largest <= EXACT and (fractions or exact and len(exact) == len(real)):
            self._exact = {
                n: a if derived.source[n].integer else _objects(exact.get(n, a)) for n, a in bound.items()
            }
        self.final = self._run(None)
        self._runs: dict[Group, Run] = {}

    def _points(self, s: Statement) -> int:
        sizes = [int(n.evaluate(lambda a: self.sizes[a.name])) for _, n in s.axes]  # type: ignore[union-attr]
        return prod(sizes)

    def _run(self, forward: Group | None) -> Run:
        if self._exact is not None:
            try:
                return Run(self.derived, self.sizes, self._exact, exact=True, forward=forward)
            except ArithmeticError:  # a division by zero has no fraction
                pass
        return Run(self.derived, self.sizes, self._floats, exact=False, forward=forward)

    @cached_property
    def _forms(self) -> list[Group]:
        """The forward statements as the user wrote them, and after each step that gave some a stable form."""
        forms = [self.derived.source.statements]
        for step in self.derived.steps:
            if step.rule == "stable":
                now = list(forms[-1])
                place = next((k for k, s in enumerate(now) if s in step.before), len(now))
                now[place:place] = step.equation
                forms.append(tuple(s for s in now if s not in step.before or s in step.equation))
        return forms

    def seen_by(self, group: Group) -> Run:
        """The values that an equation speaks of. What the final program does not hold is of a form before, in which
        parts may have another meaning under the same name."""
        form = self._form(group)
        if form is None or form is self.derived.program.statements:
            return self.final
        if form not in self._runs:
            self._runs[form] = self._run(form)
        return self._runs[form]

    def _form(self, group: Group) -> Group | None:
        """The statements among which those of an equation are."""
        forms = (self.derived.program.statements, *reversed(self._forms))
        return next((f for f in forms if all(s in f for s in group)), None)

    def part(self, group: Group) -> bool:
        """Whether further statements write the same tensor."""
        form = self._form(group) or ()
        return any(s.out == group[0].out and s not in group for s in form)

    def check(self, group: Group) -> None:
        """Raise `Wrong` if an equation, all writers of its tensor, does not give the tensor's value."""
        run = self.seen_by(group)
        found = run.given_by(group)
        if found is not None and not run.agrees(group, found):
            name = group[0].out
            lines = "; ".join(map(str, group))
            raise Wrong(f"the step `{lines}` gives {_shown(found)}, but {name} is {_shown(run.arrays[name])}")

    def verify(self) -> None:
        """Check every step of the trace; what several steps each add a part to, when all of them are there.

        Raises:
            Wrong: a step gives another value than its tensor has.
        """
        parts: dict[str, Group] = {}
        for step in self.derived.steps:
            for name, group in by_tensor(step.equation).items():
                if step.rule in PARTIAL:
                    parts[name] = (*parts.get(name, ()), *group)
                else:
                    self.check(group)
        for group in parts.values():
            self.check(group)


def by_tensor(statements: Iterable[Statement]) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    for s in statements:
        groups[s.out] = (*groups.get(s.out, ()), s)
    return groups


def _shown(a: np.ndarray) -> str:
    return np.array2string(_floats(a), threshold=8, precision=6)


def _settled(a: np.ndarray) -> np.ndarray:
    """Objects only where every number is exact."""
    if a.dtype == object and not all(isinstance(x, (int, Fraction)) for x in a.flat):
        return _floats(a)
    return a


def read_array(name: str, given: Any) -> np.ndarray:
    """An array as it was given: whole numbers, fractions and text such as "1/3" as exact objects."""
    if isinstance(given, np.ndarray) and (given.dtype.kind in "fb" or given.size > EXACT):
        return given
    try:
        a = np.array(given, dtype=object)
    except ValueError:
        raise Refusal(f"{name} must be an array of numbers; what was given is ragged") from None
    if any(isinstance(x, (list, tuple)) for x in a.flat):
        raise Refusal(f"{name} must be an array of numbers; what was given is ragged")
    entries = [read_number(name, x) for x in a.flat]
    if entries and all(isinstance(x, float) for x in entries):
        return np.array(entries).reshape(a.shape)
    out = np.empty(a.shape, dtype=object)
    out.reshape(-1)[:] = entries
    return out if entries else out.astype(float)


def fraction(text: str) -> Fraction:
    """The number that a text writes, exactly.

    Raises:
        ValueError: it is no number, or one of more digits than anybody writes: `1e999999999` has a milliard.

    >>> fraction(" 1/3 "), fraction("2.5e-1")
    (Fraction(1, 3), Fraction(1, 4))
    """
    text = text.strip()
    if len(text) > DIGITS or re.search(r"[eE][-+]?\d{4}", text.replace("_", "")):
        raise ValueError(f"{text[:40]} is too long a number")
    return Fraction(text)


def read_number(name: str, x: Any) -> Any:
    """A number that was given: a `Fraction` or a whole number where it is exact, else a float."""
    match x:
        case bool() | np.bool_():
            return int(x)
        case Fraction():
            return x
        case int() | np.integer():
            return int(x)
        case float() | np.floating():
            return float(x)
        case complex() | np.complexfloating():
            raise Refusal(f"{name} holds complex numbers; a worked derivation takes real ones")
        case str():
            try:
                return fraction(x)
            except (ValueError, ZeroDivisionError):
                raise Refusal(f"{name} must hold numbers such as 2, 0.5 or \"1/3\", not '{x[:40]}'") from None
    raise Refusal(f"{name} must be an array of numbers; {str(x)[:40]!r} in it is none")
