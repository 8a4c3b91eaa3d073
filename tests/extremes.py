"""Hard numbers for every operation: `python -m tests.extremes [NAME ...]`.

An example of each operation, and what people write themselves, is computed at entries of 1000 and -1000, all equal,
all zero, one far from the rest, at the bounds of what has bounds, for one-hot distributions, and all that once more for
axes of one entry; by the reference realisation and by both emitted styles, in double and in single precision. The judge
is independent (`tests/limits.py`). Where there are finite slopes the gradient must be one, to rounding of the inputs,
and no warning may come; underflow is none, since 0 is the right limit there.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import symgrad as sg
from symgrad.derivation import Derivation
from symgrad.emit import function_name, function_source, load
from symgrad.language import samples
from symgrad.language.program import Facts, Tensor
from symgrad.language.reference import run
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS, public
from symgrad.ops import FORMULAS, examples
from tests.limits import MP, Judge, Limits, Place, is_limit

# ---------------------------------------------------------------------- hard numbers

FAR = 1000.0


def points(
    d: Derivation, sizes: Mapping[str, int], rng: np.random.Generator
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Arrays for all inputs, by what is hard in them."""
    program = d.program
    given = samples.inputs(program, sizes, rng)
    own = {
        name: a.astype(np.float32).astype(float) if a.dtype.kind == "f" else a for name, a in given.items()
    }
    free = [t.name for t in program.role("weight") if t.facts == Facts()]

    def with_free(change: Callable[[np.ndarray], Any]) -> dict[str, np.ndarray]:
        return {**own, **{n: np.asarray(np.broadcast_to(change(own[n]), own[n].shape), float) for n in free}}

    if free:
        yield "1000", with_free(lambda a: FAR)
        yield "-1000", with_free(lambda a: -FAR)
        yield "1000 and -1000", with_free(lambda a: np.where(rng.random(a.shape) < 0.5, FAR, -FAR))
        yield "zeros", with_free(lambda a: 0.0)
        yield "equal rows", with_free(lambda a: a[..., :1] if a.ndim else a)
        shared: dict[tuple[int, ...], np.ndarray] = {}
        if len({own[n].shape for n in free}) < len(free):
            yield "equal arrays", with_free(lambda a: shared.setdefault(a.shape, a))
        for k, n in enumerate(free[:4]):
            if len(free) > 1:
                yield f"zeros in {n}", {**own, n: np.zeros_like(own[n])}
            far = own[n].copy()
            far.reshape(-1)[rng.integers(far.size)] = -FAR if k % 2 else FAR
            yield f"one far in {n}", {**own, n: far}
    edged = {
        t.name: own[t.name]
        for t in program.inputs
        if not t.integer and _edges(t, own[t.name], rng) is not None
    }
    for _ in range(3 if edged else 0):
        ends = {n: _edges(program[n], a, rng) for n, a in edged.items()}
        yield "at the bounds", {**own, **ends}
        alike: dict[tuple[int, ...], np.ndarray] = {}
        if len({a.shape for a in ends.values()}) < len(ends):
            yield "equal at the bounds", {**own, **{n: alike.setdefault(a.shape, a) for n, a in ends.items()}}
    if free and edged:
        mixed = with_free(lambda a: np.where(rng.random(a.shape) < 0.5, FAR, -FAR))
        yield "far and at the bounds", {**mixed, **{n: _edges(program[n], a, rng) for n, a in edged.items()}}


def _edges(t: Tensor, a: np.ndarray, rng: np.random.Generator) -> Any:
    """The least and the largest numbers that a tensor may have, in random places; None if it may have any."""
    f = t.facts
    if f.distribution:
        return np.eye(a.shape[-1])[rng.integers(a.shape[-1], size=a.shape[:-1])]
    ends = [
        float(x)
        for x, strict in ((f.low, f.strict_low), (f.high, f.strict_high))
        if x is not None and not strict
    ]
    return rng.choice(ends, a.shape) if ends else None


_BOUNDS = re.compile(r": ([-.0-9]+) < (weight(?:\[[^]]*])?) < ([-.0-9]+)")


def _widened(declaration: str, free: bool) -> str:
    """A declaration whose bounds may be reached, or that has none."""
    return _BOUNDS.sub(r": \2" if free else r": \1 <= \2 <= \3", declaration)


# ---------------------------------------------------------------------- the comparison

TOLERANCE = {"float64": 1e-7, "float32": 5e-3}
# Operations whose limits at infinity are values of their formulas too, as that of silu, infinity times 0, is not; of a
# softmax an entry may be missing.
_MISSING = (-np.inf,)
_EITHER = (np.inf, -np.inf)
INFINITE = dict.fromkeys(("softmax", "logsumexp", "cross_entropy", "softmax by hand"), _MISSING) | dict.fromkeys(
    (
        "sigmoid", "tanh", "relu", "logsigmoid", "elu", "selu", "atan", "erf", "erfc", "hardtanh", "hardsigmoid",
        "leaky_relu", "exp", "logcosh", "abs", "log of 1 + exp", "one over cosh", "length",
    ),
    _EITHER,
)  # fmt: skip
ROUNDINGS = 8  # of the inputs, whose effect on the slopes is no error
Realisation = Callable[..., tuple[Any, Mapping[Any, Any]]]


@dataclass(frozen=True)
class Outcome:
    """One gradient of one realisation at one hard point."""

    operation: str
    point: str
    sizes: str
    way: str
    dtype: str
    found: str  # "agrees", "no limit", "beyond the range", or what is wrong

    @property
    def ok(self) -> bool:
        return self.found in ("agrees", "no limit", "beyond the range")


def _ways(d: Derivation, sizes: Mapping[str, int]) -> Iterator[tuple[str, str, Realisation]]:
    for dtype in TOLERANCE:

        def reference(dtype: str = dtype, **given: Any) -> tuple[Any, Mapping[Any, Any]]:
            arrays = run(d.derived.program, sizes, given, np.dtype(dtype))
            return arrays[d.program.target], {n: arrays[a] for n, a in d.derived.gradients.items()}

        yield "reference", dtype, reference
        for style in ("readable", "fast"):
            source = function_source(d.derived, style=style, real=f"np.{dtype}")
            yield style, dtype, load(source, f"extremes_{style}_{dtype}")[function_name(d.derived)]


def operation(name: str, entries: int = 12, seed: int = 0) -> list[Outcome]:
    """What is found for each definition of an operation, or for one of the declarations below."""
    if name in WRITTEN:
        return outcomes(name, sg.derive(WRITTEN[name]), entries, seed)
    if name in OVERLAPS:
        return outcomes(name, sg.derive(_OVERLAP.format(name)), entries, seed)
    found = []
    for e in examples(name):
        # the domain of a function is for the judge to find; that of x**y is x > 0, where a step to any side has a value
        text = _widened(e.declaration, name in LEAVES and not e.code)
        found += outcomes(name, sg.derive(text), entries, seed)
    return found


def outcomes(name: str, d: Derivation, entries: int = 12, seed: int = 0) -> list[Outcome]:
    """What is found for a declaration."""
    found = []
    small = {letter: 2 + k for k, letter in enumerate(d.program.sizes)}
    if samples.unmet(d.program, small):
        small = samples.small_sizes(d.program)
    ones = dict(small)
    for letter in small:
        if not samples.unmet(d.program, {**ones, letter: 1}):
            ones[letter] = 1
    names = [n for n in d.derived.gradients if isinstance(n, str)]
    for sizes in (small, ones) if ones != small else (small,):
        rng = np.random.default_rng(seed)
        judge = Judge(d.derived.source, sizes, names, entries, rng)
        ways = list(_ways(d, sizes))
        said = ", ".join(f"{k}={n}" for k, n in sizes.items())
        near = [p for p in points(d, sizes, rng) if name not in DEEP or "1000" not in p[0]]
        hard = [*near, *infinite(d, sizes, INFINITE.get(name, ()), rng)]
        for what, given in hard:
            case = _Case(judge, given)
            found += [Outcome(name, what, said, w, dtype, case.told(f, dtype)) for w, dtype, f in ways]
    return found


def infinite(
    d: Derivation, sizes: Mapping[str, int], values: Sequence[float], rng: np.random.Generator
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Arrays for all inputs, one entry of the first weight infinite, as long as others are not."""
    given = samples.inputs(d.program, sizes, rng)
    first = d.program.role("weight")[0].name
    for value in values if given[first].shape[-1] > 1 else ():
        moved = given[first].astype(np.float32).astype(float)
        moved.reshape(-1)[rng.integers(moved.size)] = value
        yield f"an entry of {first} is {value}", {**given, first: moved}


def _without_infinity(given: Mapping[str, np.ndarray], power: int) -> dict[str, np.ndarray]:
    """Infinite entries as a number so large that a limit is reached, or seen not to be."""
    far = 10.0**power
    return {
        n: np.nan_to_num(a, nan=np.nan, posinf=far, neginf=-far) if a.dtype.kind == "f" else a
        for n, a in given.items()
    }


class _Case:
    """The judged slopes at one point."""

    def __init__(self, judge: Judge, given: Mapping[str, np.ndarray]):
        self.judge, self.given = judge, given
        self.places = judge.places(given)
        self.limits = judge.at(_without_infinity(given, 30), self.places)
        if any(np.isinf(a).any() for a in given.values()):
            self.limits = self.limits.where_alike(judge.at(_without_infinity(given, 29), self.places))

    def told(self, compute: Realisation, dtype: str) -> str:
        """What a realisation makes of it."""
        here = self.limits
        if not here.finite:
            return "no limit"
        if max(abs(here.loss), *map(abs, here.finite)) > MP.mpf(float(np.finfo(dtype).max)) / 1000:
            return "beyond the range"
        arrays = {n: a.astype(dtype) if a.dtype.kind == "f" else a for n, a in self.given.items()}
        # 1/0 and log(0) may be the infinity that is meant, and there is none of log(-1)
        infinite = "ignore" if len(here.finite) < len(here.sides) else "raise"
        undefined = "ignore" if any(map(MP.isnan, here.sides)) else "raise"
        try:
            with np.errstate(all="raise", under="ignore", divide=infinite, invalid=undefined):
                loss, gradients = compute(**arrays)
        except FloatingPointError as problem:
            return f"warns: {problem}"
        tolerance = TOLERANCE[dtype]
        if not np.isfinite(loss):
            return f"loss {float(loss)} is not {MP.nstr(here.loss, 8)}"
        error = abs(MP.mpf(float(loss)) - here.loss)
        if error > tolerance * max(1, abs(here.loss)) and error > max(
            abs(x.loss - here.loss) for x in self._moved(dtype)
        ):
            return f"loss {float(loss)} is not {MP.nstr(here.loss, 8)}"
        room = tolerance * max(MP.mpf("0.001"), *map(abs, here.finite))
        for (n, place), (low, high) in here.slopes.items():
            value = np.asarray(gradients[n])[place]
            if not (is_limit(low) and is_limit(high)):
                continue
            if not np.isfinite(value) or not (
                low - room <= value <= high + room or self._rounded((n, place), value, dtype)
            ):
                return f"d{n}{list(place)} {float(value)} is not in {MP.nstr(low, 8)}..{MP.nstr(high, 8)}"
        return "agrees"

    def _rounded(self, place: Place, value: float, dtype: str) -> bool:
        """Whether a value is as near to the slopes as those of inputs that differ by a few roundings."""
        low, high = self.limits.slopes[place]
        pairs = [x.slopes.get(place, (MP.nan, MP.nan)) for x in self._moved(dtype, [place])]
        room = max((abs(a - b) for pair in pairs for a, b in zip(pair, (low, high), strict=True)), default=0)
        return bool(low - room <= value <= high + room)

    def _moved(self, dtype: str, places: Sequence[Place] = ()) -> Iterator[Limits]:
        """What is right where all entries are off by a few roundings."""
        eps = ROUNDINGS * float(np.finfo(dtype).eps)
        rng = np.random.default_rng(1)
        for _ in range(3):
            moved = {
                n: a * (1 + eps * rng.choice([-1, 1], a.shape)) if a.dtype.kind == "f" else a
                for n, a in _without_infinity(self.given, 30).items()
            }
            yield self.judge.at(moved, places)


# of many layers, where products of thousands are sums of 1e15 that cancel: no float has those digits
DEEP = ("multi_head_attention", "transformer_block")

# of probabilities alone the denominator is positive
OVERLAPS = ("dice_loss", "tversky_loss")
_OVERLAP = "p: 0 <= weight[n, k] <= 1\nt: 0 <= data[n, k] <= 1\nloss = {}(p, t)"

# what people write by hand, and targets as they are
WRITTEN = {
    name: text.replace("; ", "\n")
    for name, text in {
        "log of softmax": "z: weight[n, k]; t: data[n, k] & distribution; loss = -sum(t*log(softmax(z)))/n",
        "softmax by hand": "z: weight[n, k]; t: label[n] < k; s[n] = sum(k, exp(z[n, k])); "
        "loss = -mean(n, log(exp(z[n, t[n]])/s[n]))",
        "log of sum of exp": "z: weight[n, k]; loss = sum(n, log(sum(k, exp(z[n, k]))))",
        "log of sigmoid": "z: weight[n]; t: 0 <= data[n] <= 1; p = 1/(1 + exp(-z)); "
        "loss = -mean(t*log(p) + (1 - t)*log(1 - p))",
        "log of 1 + exp": "z: weight[n]; loss = sum(log(1 + exp(z)))",
        "exp over 1 + exp": "z: weight[n]; R: data[n]; loss = sum(R*exp(z)/(1 + exp(z)))",
        "quotient of sinh and cosh": "z: weight[n]; R: data[n]; loss = sum(R*sinh(z)/cosh(z))",
        "one over cosh": "z: weight[n]; R: data[n]; loss = sum(R/cosh(z))",
        "quotient of exponentials": "z: weight[n]; R: data[n]; "
        "loss = sum(R*(exp(z) - exp(-z))/(exp(z) + exp(-z)))",
        "root of exp": "z: weight[n]; R: data[n]; loss = sum(R*sqrt(exp(-z**2)))",
        "root of sigmoid": "z: weight[n]; R: data[n]; loss = sum(R*sqrt(sigmoid(z)))",
        "product of sigmoids": "z: weight[n]; R: data[n]; loss = sum(R*exp(z)*sigmoid(-z))",
        "cross entropy": "z: weight[n, k]; t: data[n, k] & distribution; loss = cross_entropy(z, t)",
        "smoothed cross entropy": "z: weight[n, k]; t: label[n] < k; "
        "loss = cross_entropy(z, t, label_smoothing=0.1)",
        "entropy": "p: weight[n, k] & distribution; loss = -sum(p*log(p))",
        "entropy of softmax": "z: weight[n, k]; p = softmax(z); loss = -sum(p*log(p))",
        "divergence": "z: weight[n, k]; t: data[n, k] & distribution; loss = kl_div(log_softmax(z), t)",
        "divergence of two": "p: data[n, k] & distribution; q: weight[n, k] & distribution; loss = sum(p*log(p/q))",
        "bce": "p: 0 <= weight[n] <= 1; t: 0 <= data[n] <= 1; loss = binary_cross_entropy(p, t)",
        "bce of sigmoid": "z: weight[n]; t: 0 <= data[n] <= 1; loss = binary_cross_entropy(sigmoid(z), t)",
        "bce with logits": "z: weight[n]; t: 0 <= data[n] <= 1; "
        "loss = binary_cross_entropy_with_logits(z, t, pos_weight=3)",
        **{
            f"focal {gamma}": f"z: weight[n]; t: 0 <= data[n] <= 1; loss = focal_loss(z, t, gamma={gamma})"
            for gamma in (0, 0.5, 1, 1.5)
        },
        "length": "x: weight[n]; loss = sqrt(sum(x**2))",
        "length as a power": "x: weight[n]; loss = sum(x**2)**0.5",
        "length to the power 3/2": "x: weight[n]; loss = sum(x**2)**0.75",
        "lengths of rows": "x: weight[n, k]; y: data[n, k]; loss = mean(n, sqrt(sum(k, (x[n, k] - y[n, k])**2)))",
        "deviation": "x: weight[n, k]; m[n] = mean(k, x[n, k]); "
        "loss = sum(n, sqrt(mean(k, (x[n, k] - m[n])**2)))",
        "root of relu": "x: weight[n]; loss = sum(sqrt(relu(x)))",
        "root of a square": "x: weight[n]; loss = sum(sqrt(x**2)*x)",
        "scaled to length 1": "x: weight[n, k]; R: data[n, k]; loss = sum(R*normalize(x))",
        "x log x": "x: 0 <= weight[n] <= 1; loss = sum(x*log(x))",
        "masked attention": "q: weight[n, d]; k: weight[n, d]; v: weight[n, d]; R: data[n, d]; "
        "loss = sum(R*(softmax(q @ k.T/sqrt(d), tril(ones(n, n))) @ v))",
        "rms": "x: weight[n, k]; R: data[n, k]; loss = sum(R*rms_norm(x))",
    }.items()
}

OPERATIONS = [
    *dict.fromkeys([*WRITTEN, *LEAVES, *FORMULAS, *(n for n in public() if n == DEFINITIONS[n].name)])
]


def main(names: Sequence[str]) -> int:
    failed = 0
    total: Counter[str] = Counter()
    for name in names or OPERATIONS:
        start = time.process_time()
        try:
            found = operation(name)
        except (ArithmeticError, TypeError, sg.SymgradError) as problem:  # the run goes on
            print(f"{name}: {type(problem).__name__}: {problem}"[:300], flush=True)
            failed += 1
            continue
        wrong = [o for o in found if not o.ok]
        counts = Counter(o.found if o.ok else "wrong" for o in found)
        total.update(counts)
        failed += bool(wrong)
        print(f"{name}: {dict(counts)} {time.process_time() - start:.1f} s", flush=True)
        seen = set()
        for o in wrong:
            if (o.point, o.sizes, o.found[:9]) not in seen:
                seen.add((o.point, o.sizes, o.found[:9]))
                print(f"    {o.point} ({o.sizes}) {o.way} {o.dtype}: {o.found}"[:230], flush=True)
    print(f"{len(names or OPERATIONS)} operations, {failed} failed: {dict(total)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
