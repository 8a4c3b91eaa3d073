"""The exact proof: a derivation against forward mode in exact numbers, at small sizes.

The source runs by the reference realisation over numbers that carry their slope along a direction, one statement at a
time (`symgrad.exact.duals`): a derivation of its own, which shares neither rule nor table of derivatives with the one
that is judged. Inputs are random fractions; a direction is fractions of 60 bits: by the lemma of J. Schwartz
(J. ACM 27, 1980) a gradient that is wrong in any entry agrees with the slope along it with a chance below 2**-59. Both
sides are rational functions of the inputs and of exp, log, roots, ... of them; whether they are the same is decided by
residues modulo a prime (`symgrad.exact.signatures`), where exp(a + b) is exp(a)·exp(b) and a function that nothing is
known of is the same number for the same argument. Where that cannot decide, 40 of 60 digits do, and the proof says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import numpy as np

from symgrad.check.arguments import refuse
from symgrad.check.corners import ranges
from symgrad.check.questions import Slope, movable, moved, question, shown
from symgrad.check.sides import Sides
from symgrad.check.verdict import told
from symgrad.errors import Refusal, listing
from symgrad.exact.drawn import elsewhere, is_judged
from symgrad.exact.duals import Dual, Duals
from symgrad.exact.equality import same_digits, same_exactly
from symgrad.exact.points import Point, as_fractions, exact_point, points
from symgrad.exact.reals import MP, Exact
from symgrad.exact.ways import Ways, has_kinks
from symgrad.language.program import Program, needed
from symgrad.language.reference import Arrays, run
from symgrad.language.samples import numbers, work
from symgrad.language.trace import Derived, Key

BITS = 60  # of an entry of a direction
GRID = 2**31 - 1  # inputs are fractions over this
MOST = 2_000_000  # numbers that a program may compute
MANY = 100_000  # and beyond which it is tried for one choice of sizes only
WAYS = 8  # points more for a program that goes different ways for different numbers
TURNED = 3_000  # numbers that may be computed for larger sizes in another order
WORTH = 10_000  # numbers that those may compute
LOOKED = 64  # entries that are tried one by one to say where a gradient is wrong


@dataclass(frozen=True)
class Proven:
    """What was found for one result.

    Attributes:
        name: whose gradient.
        equal: whether both derivations agree at every point.
        exactly: whether that was decided in exact arithmetic at every point, not by digits.
        kinks: how many slopes were one-sided; what lies between them is accepted.
        place: an entry where they differ, with both numbers; None if none does or none was found.
    """

    name: str
    equal: bool
    exactly: bool
    kinks: int = 0
    place: tuple[int, ...] | None = None
    derived: str = ""
    forward: str = ""

    def __and__(self, other: Proven) -> Proven:
        """Of two points."""
        worse = self if not self.equal else other
        return Proven(
            self.name, worse.equal, self.exactly and other.exactly, self.kinks + other.kinks,
            worse.place, worse.derived, worse.forward,
        )  # fmt: skip


@dataclass(frozen=True)
class Proof:
    """The verdict of the exact check.

    Attributes:
        rows: one for the value and one for each gradient.
        sizes: for which sizes it holds.
        functions: the functions, beside + - * / and whole powers, that numbers went through.
        expanded: whether sympy agreed, on the scalar written out; None where that is too long.
        given: whether it was tried at numbers given, not at random ones.
        branches: whether the definition goes different ways for different numbers.
        untaken: the sides of its comparisons and kinks that no number tried was on.
    """

    rows: tuple[Proven, ...]
    sizes: tuple[Mapping[str, int], ...]
    functions: tuple[str, ...]
    expanded: bool | None = None
    given: bool = False
    branches: bool = False
    untaken: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every result agrees, and sympy's where it was asked."""
        return all(r.equal for r in self.rows) and self.expanded is not False

    @property
    def exact(self) -> bool:
        """Whether all of that was decided in exact arithmetic."""
        return self.ok and all(r.exactly for r in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        head = ("result", "equal", "decided by", "kinks", "at", "derived", "forward")
        table = [head]
        for r in self.rows:
            by = "exact arithmetic" if r.exactly else "40 of 60 digits"
            at = "" if r.place is None else str(list(r.place))
            table.append((r.name, "yes" if r.equal else "NO", by, str(r.kinks), at, r.derived, r.forward))
        widths = [max(len(row[k]) for row in table) for k in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table]
        return "\n".join([*lines, self._verdict()])

    def _verdict(self) -> str:
        wrong = [r.name for r in self.rows if not r.equal]
        if wrong:
            return f"NOT EQUAL: {listing(wrong, 'and')}"
        if self.expanded is False:
            return "NOT EQUAL: sympy, on the scalar written out, finds another derivative"
        sizes = [", ".join(f"{k} = {v}" for k, v in s.items()) or "its fixed sizes" for s in self.sizes]
        places = listing(list(dict.fromkeys(sizes)), "and")
        by = [r.name for r in self.rows if not r.exactly]
        through = f" with {listing(self.functions, 'and')}" if self.functions else ""
        where = "the numbers given" if self.given else "random fractions"
        grounds = f"as rational functions{through}, at {where} along random directions"
        verdict = f"{'equal' if by else 'proved'} for {places}: {grounds}"
        if by:
            verdict += f"; {listing(by, 'and')} by digits, which is no proof"
        if self.branches:
            verdict += "; of different ways through the program for those that these numbers take"
            verdict += told(self.untaken)
        if any(r.kinks for r in self.rows):
            verdict += "; at a kink whatever lies between the slopes to both sides is right"
        return verdict + ("; sympy finds the same from the scalar written out" if self.expanded else "")


def prove(derived: Derived, given: Mapping[str, Any] | None = None, *, seed: int = 0) -> Proof:
    """Judge a derivation in exact numbers.

    Args:
        given: arrays for all inputs; random fractions as declared, for two choices of sizes that differ, all of them 1
            and larger ones in another order, if None (for the first one only where that is much to compute; at more
            points where a program goes different ways for different numbers, labels or draws).
        seed: of the inputs and of the directions.

    Returns:
        a proof with `.ok`, `.exact` and a table (`print` it).

    Raises:
        Refusal: the program is too large for exact numbers, or finite at no random point or not for the arrays.

    Example:
        >>> from symgrad.language.reader import read
        >>> from symgrad.passes.derive import derive
        >>> print(prove(derive(read("x: data[n]; w: weight; loss = sum(exp(w*x))"))))
        result  equal  decided by        kinks  at  derived  forward
        loss    yes    exact arithmetic  0
        w       yes    exact arithmetic  0
        proved for n = 2, n = 3, n = 1 and n = 7: as rational functions with exp, ...
    """
    refuse(given, seed)
    ways = Ways(derived.source)
    if given is None:
        tried = _points(derived, seed, ways)
    else:
        tried = [exact_point(derived, given)]
        ways.take(tried[0].sizes, tried[0].floats)
        if not _smooth(derived, seed, tried[0]):
            raise Refusal(
                f"{derived.source.target} or its slope is not finite for these arrays: give some for which both are"
            )
    rows: list[Proven] = []
    for k, point in enumerate(tried):
        found = _Judge(derived, point, np.random.default_rng([seed, k])).rows()
        rows = [row & other for row, other in zip(rows, found, strict=True)] if rows else found
        if not all(row.equal for row in rows):
            tried = tried[: k + 1]
            break
    functions = dict.fromkeys(name for point in tried for name in sorted(point.exact.used))
    sizes = [p.sizes for k, p in enumerate(tried) if p.sizes not in [q.sizes for q in tried[:k]]]
    branches = has_kinks(derived.source)
    expanded = _expanded(derived, tried[0])
    return Proof(
        tuple(rows), tuple(sizes), tuple(functions), expanded, given is not None, branches, ways.untaken
    )


def _points(derived: Derived, seed: int, ways: Ways) -> list[Point]:
    """Where the definition is smooth, whatever was derived; at more points where a program goes different ways, by
    kinks, labels or draws."""
    program, source = derived.program, derived.source
    smooth = partial(_smooth, derived, seed)
    tried = partial(points, derived, seed, grid=GRID, spare=1, smooth=smooth)
    found = tried(turned=TURNED)
    cost = [work(program, p.sizes) for p in found]
    found = found[:1] + [p for p, c in zip(found[1:], cost[1:], strict=True) if c <= MANY]
    drawn = any(t.integer or t.role == "draw" for t in source.inputs)
    more = min(WAYS, WORTH // max(cost[:2]))  # of the first sizes
    if more and (drawn or has_kinks(program) or has_kinks(source)):
        found += tried(more)
    for point in found:
        ways.take(point.sizes, point.floats)
    sizes, rng = found[0].sizes, np.random.default_rng(seed)
    for given in elsewhere(source, sizes, ways, rng) if more else ():
        point = Point(sizes, as_fractions(source, given, GRID), found[0].exact)
        if is_judged(derived, sizes, point.floats, partial(smooth, point)):
            found.append(point)
            ways.take(sizes, point.floats)
    return found


def _smooth(derived: Derived, seed: int, point: Point) -> bool:
    """Whether the definition has a finite value, and a finite slope by what it is differentiated by."""
    source, sizes = derived.source, point.sizes
    names = {n for key in derived.gradients for n in ((key,) if isinstance(key, str) else key)}
    real = [t for t in source.inputs if not t.integer]
    moving = [t for t in real if t.name in names or names.difference(r.name for r in real)]
    rng, forward = np.random.default_rng(seed), _Forward(point)
    ahead = {t.name: moved(t, _direction(numbers(t, sizes), rng, point.exact)) for t in moving}
    try:
        value = point.run(source, [source.target], exact=True)[source.target]
        slope = forward.stepped(source, sizes, point.objects, tuple(ahead), source.target)(ahead).up
    except (np.linalg.LinAlgError, Refusal):
        return False
    return all(MP.isfinite(point.exact.value(x)) for a in (value, slope) for x in a.flat)


def _direction(shape: tuple[int, ...], rng: np.random.Generator, exact: Exact) -> np.ndarray:
    """Random fractions of 60 bits between -1 and 1; 1 for no axes is as good as any."""
    found = np.empty(shape, object)
    for place in np.ndindex(*shape):
        found[place] = exact.number(Fraction(int(rng.integers(-(2**BITS), 2**BITS)), 2**BITS))
    return found


def _expanded(derived: Derived, point: Point) -> bool | None:
    from symgrad.check.expanded import OPERATIONS, agrees

    if derived.kind != "gradient" or work(derived.source, point.sizes) > OPERATIONS:
        return None
    return agrees(derived, point)


@dataclass
class _Judge:
    """One derivation at one point."""

    derived: Derived
    point: Point
    rng: np.random.Generator
    forward: _Forward = field(init=False)

    def __post_init__(self) -> None:
        programs = (self.derived.program, self.derived.source)
        if max(work(p, self.point.sizes) for p in programs) > MOST:
            raise Refusal(
                "this computes too many numbers for exact arithmetic: declare smaller sizes, or check it numerically"
            )
        self.forward = _Forward(self.point)

    @cached_property
    def results(self) -> Arrays:
        wanted = (self.derived.source.target, *self.derived.gradients.values())
        return self.point.run(self.derived.program, wanted, exact=True)

    def rows(self) -> list[Proven]:
        source = self.derived.source
        value = self.point.run(source, [source.target], exact=True)[source.target]
        found = [self._compared(source.target, self.results[source.target], Sides(value, value))]
        names = list(self.derived.gradients)
        if self.derived.kind == "gradient":
            joint = self._gradients(list(map(str, names)))
            if joint.equal:
                return found + [Proven(shown(n), True, joint.exactly, joint.kinks) for n in names]
            return found + [self._gradients([str(n)]) for n in names]
        return found + [self._row(key) for key in names]

    def _direction(self, shape: tuple[int, ...]) -> np.ndarray:
        return _direction(shape, self.rng, self.point.exact)

    def _gradients(self, names: list[str]) -> Proven:
        """Gradients by some tensors, along a direction of them all."""
        source, sizes = self.derived.source, self.point.sizes
        slope = self.forward.stepped(source, sizes, self.point.objects, tuple(names), source.target)
        results = {n: np.asarray(self.results[self.derived.gradients[n]], object) for n in names}

        def tried(directions: dict[str, np.ndarray]) -> Proven:
            pairs = (
                pair for n, v in directions.items() for pair in zip(results[n].flat, v.flat, strict=True)
            )
            own = sum((g * x for g, x in pairs), self.point.exact.number(0))
            along = {n: moved(source[n], v) for n, v in directions.items()}
            return self._compared(names[0], np.asarray(own, object), slope(along))

        found = tried({n: self._direction(numbers(source[n], sizes)) for n in names})
        if found.equal or len(names) > 1:
            return found
        return self._placed(found, numbers(source[names[0]], sizes), lambda v: tried({names[0]: v}))

    def _row(self, key: Key) -> Proven:
        asked = question(self.derived, self.point.sizes, self.point.objects, key, self.forward)
        result = np.asarray(self.results[self.derived.gradients[key]], object)

        def tried(v: np.ndarray) -> Proven:
            along = (v + np.swapaxes(v, -1, -2)) / 2 if asked.symmetric else v
            own = np.asarray(np.tensordot(result, v, len(asked.shape)), object)
            return self._compared(asked.name, own, asked.slope(along))

        found = tried(self._direction(asked.shape))
        return found if found.equal else self._placed(found, asked.shape, tried)

    def _placed(self, found: Proven, shape: tuple[int, ...], tried: Callable[[np.ndarray], Proven]) -> Proven:
        """A result that is wrong, with an entry of the variable where it is."""
        zero, one = self.point.exact.number(0), self.point.exact.number(1)
        for place in list(np.ndindex(*shape))[:LOOKED]:
            v = np.full(shape, zero, object)
            v[place] = one
            row: Proven = tried(v)
            if not row.equal:
                at = (*(row.place or ()), *place)
                return Proven(found.name, False, row.exactly, row.kinks, at, row.derived, row.forward)
        return found

    def _compared(self, name: str, own: np.ndarray, sides: Sides) -> Proven:
        """Whether a result is the slope; at a kink, whether it lies between the slopes to both sides."""
        exact, up, down = self.point.exact, sides.up, sides.down
        if own.shape != up.shape:
            return Proven(name, False, True, 0, None, f"shape {own.shape}", f"shape {up.shape}")
        if same_exactly(own, up, exact) and same_exactly(own, down, exact):
            return Proven(name, True, True)
        if same_digits(own, up, exact) and same_digits(own, down, exact):
            return Proven(name, True, False)
        kinks = 0
        numeric = sides.nearest(own)
        for place in np.ndindex(*own.shape):
            one = [np.asarray(np.asarray(a, object)[place], object) for a in (own, up, down, numeric)]
            if same_digits(one[0], one[1], exact) and same_digits(one[0], one[2], exact):
                continue
            if (
                same_digits(one[1], one[2], exact)
                and not sides.corners
                or not same_digits(one[0], one[3], exact)
            ):
                told = [str(MP.nstr(exact.value(a.item()), 12)) for a in (one[0], one[1])]
                return Proven(name, False, False, kinks, place, *told)
            kinks += 1
        return Proven(name, True, False, kinks)


class _Forward:
    """Programs in exact numbers, and slopes by forward mode through them."""

    def __init__(self, point: Point):
        self.exact, self.duals = point.exact, Duals(point.exact)

    def run(self, program: Program, sizes: Mapping[str, int], arrays: Arrays) -> Arrays:
        return run(program, sizes, arrays, object, self.exact)

    def stepped(
        self, program: Program, sizes: Mapping[str, int], arrays: Arrays, names: tuple[str, ...], watched: str
    ) -> Slope:
        program, arrays, shifts = movable(program, sizes, arrays, names)
        program = replace(program, statements=needed(program.statements, [watched]))

        def side(directions: Mapping[str, np.ndarray], sign: int) -> np.ndarray:
            given = dict(arrays)
            for name, v in directions.items():
                given[shifts[name]] = self._on_its_way(arrays[shifts[name]], v, sign)
            out = run(program, sizes, given, object, self.duals)[watched]
            return np.asarray(np.asarray(np.frompyfunc(self.duals.slope, 1, 1)(out), object) * sign, object)

        def slope(directions: Mapping[str, np.ndarray]) -> Sides:
            before = self.duals.ties
            up = side(directions, 1)
            if self.duals.ties == before:
                return Sides(up, up)
            near = {shifts[n]: v for n, v in directions.items()}
            corners = partial(ranges, program, sizes, arrays, near, watched, self.exact)
            return Sides(up, side(directions, -1), corners=corners)

        return slope

    def _on_its_way(self, a: np.ndarray, v: np.ndarray, sign: int) -> np.ndarray:
        found, v = np.empty(a.shape, object), np.asarray(v, object)
        for place in np.ndindex(*a.shape):
            base, along = self.exact.lift(a[place]), self.exact.lift(v[place])
            assert base is not None
            assert along is not None
            found[place] = Dual(self.duals, base, along * sign)
        return found
