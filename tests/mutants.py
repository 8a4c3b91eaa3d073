"""Checkers are checked: faults planted in derived programs, by hundreds, and who notices them.

    python -m tests.mutants --count 2000 --seed 0

The programs are those below, an example of every operation, the shipped networks and random ones.

What a fault changes is decided without the checkers: the program and the one with the fault are run at random inputs of
five scales, and at some of the numbers that inputs are asked to equal, for sizes that rise from letter to letter (from
2, 3 and 5), that fall (from 2 and 5) and that are all 1, where the program is defined there. Where loss and gradients
are equal at all of them a fault counts as equivalent: at other sizes, or for other numbers, it may still change
something. What a check finds though nothing of that differs is looked for at larger and at equal sizes too, before it
is called a false alarm. What differs by less than 1e-8 of the largest entry at the smallest sizes and by less than
1e-6 elsewhere, or only overflows for large inputs where it should not, is counted as faint, and no check is asked.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).parent))

from planting import Place, places
from strategies import Sample, samples
from test_ops import OPS

import symgrad as sg
from symgrad.check.numeric import check
from symgrad.check.proof import prove
from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language.program import Facts, Program
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes, unmet, work
from symgrad.language.trace import Derived
from symgrad.ops import examples
from symgrad.passes import second
from symgrad.passes.derive import derive
from symgrad.shipped import DATA as NETWORKS
from symgrad.shipped import network

TEXTS = {
    "two layers": "x: data[n, 4]; t: data[n, 3]; loss = mean((dense(tanh(dense(x, 5)), 3) - t)**2)",
    "classifier": "x: data[n, 4]; t: label[n] < 3; loss = softmax_cross_entropy(dense(relu(dense(x, 5)), 3), t)",
    "distribution": "z: weight[n, k]; t: data[n, k] & distribution; loss = -sum(t*log(softmax(z)))/n",
    "convolution": "x: weight[h]; w: weight[3];"
    "c[j < h] = sum(p, [0 <= j + p - 1 < h], x[j + p - 1]*w[p]); loss = sum(c**3)",
    "stride": "x: data[n, 2, 7, 6]; w: weight[3, 2, 3, 2]; y = conv2d(x, w, stride=2, padding=1); loss = mean(sin(y))",
    "overlap": "x: weight[n, 9]; m = max_pool1d(x, 3, stride=2); loss = sum(m**2)",
    "maximum": "x: weight[n, k]; m[n] = max(k, x[n, k]); l[k] = min(n, x[n, k]); loss = sum(m**2) + sum(exp(l))",
    "embedding": "E: weight[v, d]; t: label[n] < v; e[n, k] = E[t[n], k]; loss = sum(sin(e))",
    "two labels": "E: weight[v, d]; t: label[n] < v; s: label[n] < v; loss = sum(n, k, E[t[n], k]*E[s[n], k]**2)",
    "triangle": "A: weight[n, n]; x: data[n]; loss = sum(i, j, [i < j], A[i, j]**2*x[i]*x[j])",
    "product": "x: weight[n]; y: weight[m]; loss = prod(x)*sum(y**2)",
    "quadratic": "x: weight[n]; A: weight[n, n]; loss = x @ A @ x",
    "symmetric": "x: data[n]; A: weight[n, n] & symmetric; loss = sum(exp(A @ x)/4)",
    "recurrence": "x: data[n, l, d]; W: weight[d, k]; U: weight[k, k]; h0: weight[k];"
    "h[n, t, j] = tanh(sum(i, x[n, t, i]*W[i, j]) + sum(k, h[n, t - 1, k]*U[k, j])); h[n, -1, j] = h0[j];"
    "loss = mean(h**2)",
    "lstm": "x: data[n, l, 3]; h = lstm(x, 2); loss = mean(h**2)",
    "attention": "x: data[n, l, 4]; y = multi_head_attention(x, heads=2, causal=True); loss = mean(y**2)",
    "batch norm": "x: data[n, 3]; y: data[n]; z = batch_norm(dense(x, 4)); loss = mean(sum(z**3, axis=-1)*y)",
    "layer norm": "x: data[n, 5]; loss = mean(layer_norm(dense(x, 4))**3)",
    "inverse": "A: weight[n, n]; b: data[n]; loss = sum(inv(A) @ b)**2 + sum(solve(A, b)**2)",
    "logdet": "X: data[n, k]; s: weight[k, k]; loss = logdet(X.T @ X + s.T @ s)",
    "huber": "x: data[n, 3]; y: data[n]; w: weight[3]; loss = huber(x @ w, y)",
    "kinks": "x: weight[n]; y: weight[n]; loss = sum(abs(x)*relu(y) + maximum(x, 2*y))",
    "constants": "w: weight[n]; r: constant[n]; c: data; loss = 3/2 + c + sum(r*w**2)/(2*n) + log(1 + sum(w**2))",
    "held": "z: weight[n, k]; "
    "loss = mean(n, log(sum(k, exp(z[n, k] - held(max(j, z[n, j]))))) + held(max(j, z[n, j])))",
    "stop": "x: weight[n]; y: weight[n]; loss = sum(stop(x)*y*x + stop(tanh(y))*y)",
    "shifted": "x: weight[n]; y[i < n - 1] = x[i + 1] - x[i]; loss = sum(y**2)/(n - 1)",
    "mirrored": "x: weight[n]; w: data[n]; y[i < n] = x[n - 1 - i]*w[i]; loss = sum(y**3)",
    "smooth": "x: weight[n] > 0; loss = sum(x*log(x) + sqrt(x) + softplus(x)*sigmoid(x) + gelu(x) + x**(-2))",
}
SECOND: dict[str, tuple[str, Callable[[Program], Derived]]] = {
    "hessian": ("x: weight[n]; A: constant[n, n]; loss = sum(exp(x/2)) + x @ A @ x", second.hessian),
    "two hessians": ("x: weight[n]; y: weight[m]; loss = sum(x**3)*sum(sin(y))", second.hessian),
    "hvp": ("x: data[n, 3]; t: data[n]; w: weight[3]; b: weight; loss = mean((tanh(x @ w + b) - t)**2)", second.hvp),
    "jacobian": ("x: weight[n]; softmax(x)", second.jacobian),
    "per example": (
        "x: data[n, 3]; t: label[n] < 4; loss = softmax_cross_entropy(dense(x, 4), t)", second.per_example
    ),
}  # fmt: skip


# numbers of the shipped networks, and smaller ones that make the same network in a fraction of the time
SMALLER = {
    "adding": {"10": "4", "9": "3", "16": "3"},
    "cnn": {"8, 3": "2, 3", "16, 3": "3, 3", "< 10": "< 5", "0.2\\), 10": "0.2), 5"},
    "digits": {"64": "7", "48": "5", "10": "4"},
    "recommender": {"60": "6", "40": "4"},
    "transformer": {"32": "4", "52": "5", "64": "6"},
}


@dataclass(frozen=True)
class Mutant:
    """A derivation with one fault; `side` is where: in a forward or a backward statement, or in what was derived."""

    program: str
    side: str
    place: Place
    plant: Callable[[], Derived]

    def __str__(self) -> str:
        return f"{self.program}, {self.side}, {self.place.kind}: {self.place.what}"


@cache
def derivation(name: str) -> Derived:
    if name in SECOND:
        text, kind = SECOND[name]
        return kind(sg.derivation.read_program(text, None, True))
    if name in TEXTS:
        return sg.derive(TEXTS[name]).derived
    if name.startswith("op "):
        return sg.derive(examples(name.removeprefix("op "))[0].declaration).derived
    if name in NETWORKS:
        return sg.derive(smaller(name)).derived
    return random_program(int(name.removeprefix("random ")))


def smaller(name: str) -> str:
    """A shipped network with smaller numbers."""
    text = network(name).read_text(encoding="utf-8")
    for old, new in SMALLER.get(name, {}).items():
        text = re.sub(rf"(?<!\w){old}(?!\w)", new, text)
    return text


def random_program(number: int) -> Derived:
    """The derivation of a random program over all statement kinds; the same for the same number."""
    found: list[Sample] = []

    @seed(number)
    @settings(
        max_examples=10, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(samples(most=5))
    def collect(sample: Sample) -> None:
        found.append(sample)

    collect()
    longest = max(found, key=lambda sample: len(sample.program.statements))
    return derive(longest.program, longest.wrt)


def everything(start: int) -> list[str]:
    """The names of all programs, 30 random ones among them."""
    randoms = (f"random {start * 1000 + k}" for k in range(30))
    return [*TEXTS, *SECOND, *NETWORKS, *(f"op {name}" for name in OPS), *randoms]


def mutants(name: str, d: Derived) -> list[Mutant]:
    """Every fault of one derivation, in order."""
    found = []
    for p in places(d.program):
        side = "backward" if d.program[p.out].role == "adjoint" else "forward"
        found.append(Mutant(name, side, p, lambda p=p: replace(d, program=p.plant())))
    if d.kind == "gradient":
        # right rules applied to another declaration than is claimed
        found += [Mutant(name, "source", p, lambda p=p: _elsewhere(d, p.plant())) for p in places(d.source)]
    return found


def _elsewhere(d: Derived, wrong: Program) -> Derived:
    """What is derived from a wrong declaration, said of the right one."""
    return replace(derive(wrong, tuple(map(str, d.gradients))), source=d.source)


def drawn(names: Iterable[str], count: int, start: int) -> Iterator[Mutant]:
    """Mutants in a random order: in turn from each program, and in it in turn of each kind and side."""
    rng = np.random.default_rng(start)
    queues = []
    for name in names:
        groups: dict[tuple[str, str], list[Mutant]] = {}
        for m in mutants(name, derivation(name)):
            groups.setdefault((m.place.kind, m.side), []).append(m)
        for group in groups.values():
            rng.shuffle(group)
        order = list(groups.values())
        rng.shuffle(order)
        queues.append([g[k] for k in range(max(map(len, order))) for g in order if k < len(g)])
    left = count
    for k in range(max(map(len, queues), default=0)):
        for q in queues:
            if k < len(q) and left:
                left -= 1
                yield q[k]


# ---------------------------------------------------------------------- what a fault changes

_FAILURES = (IndexError, KeyError, ValueError, ZeroDivisionError, np.linalg.LinAlgError, OverflowError)
# in units of the largest entry, ten times what the check lets pass: at its first point, and elsewhere
APART, APART_ELSEWHERE = 1e-8, 1e-6
ROUNDING = 1e-12
SCALES = (1.0, 1.0, 0.0, 0.25, 4.0, 8.0)  # of inputs without facts; 0 for positive ones
# sizes, inputs, the value and the gradients there, the scale
Where = tuple[dict[str, int], dict[str, np.ndarray], list[np.ndarray], float]


class Truth:
    """What the derived program computes at many points, of different sizes, and whether another computes the same."""

    def __init__(self, d: Derived):
        self.d = d
        self.points = self._computed(_sizes(d.source), SCALES)
        assert self.points

    @cached_property
    def further(self) -> list[Where]:
        """Where it is looked once more before a fault that a check finds is called none."""
        scales = (*SCALES, 64.0, 1 / 64, 1000.0)
        tied = self._computed(_sizes(self.d.source), (1.0, 1.0), whole=True)
        return self._computed(_more_sizes(self.d.program), scales) + tied

    def _computed(
        self, choices: Iterable[dict[str, int]], scales: Iterable[float], whole: bool = False
    ) -> list[Where]:
        found = []
        for sizes, (k, scale) in itertools.product(choices, enumerate(scales)):
            with contextlib.suppress(Refusal, *_FAILURES):  # such as 1/(n - 1) where n is 1
                arrays = _inputs(self.d.source, sizes, scale, np.random.default_rng(11 + k), bool(k % 2))
                if whole:  # with ties
                    arrays = {n: np.rint(a) if a.dtype.kind == "f" else a for n, a in arrays.items()}
                right = self.values(self.d, sizes, arrays)
                if all(np.isfinite(v).all() for v in right):
                    found.append((sizes, arrays, right, scale))
        return found

    def values(self, d: Derived, sizes: dict[str, int], arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = run(d.program, sizes, arrays)
        return [found[d.source.target], *(found[d.gradients[name]] for name in self.d.gradients)]

    def changed(self, wrong: Derived) -> str:
        """ "no", "yes", "faintly" by less than floats are asked to tell, that it only "overflows" where the right one
        does not, or that it "does not run"."""
        return self._changed(wrong, self.points)

    def changed_elsewhere(self, wrong: Derived) -> str:
        """The same, of further points."""
        return self._changed(wrong, self.further)

    def _changed(self, wrong: Derived, points: list[Where]) -> str:
        most, overflows, first = 0.0, False, self.points[0][0]
        for sizes, arrays, right, scale in points:
            scaled = scale not in (0.0, 1.0)
            try:
                values = self.values(wrong, sizes, arrays)
            except (Refusal, *_FAILURES):
                return "does not run" if sizes == first else "yes"
            if scale > 1 and not all(np.isfinite(a).all() for a in values):
                overflows = True  # which is not another value
                continue
            pairs = zip(values, right, strict=True)
            here = max(apart(a, b) if a.shape == b.shape else np.inf for a, b in pairs)
            most = max(most, here)
            if here > (APART if sizes == first and not scaled else APART_ELSEWHERE):
                return "yes"
        return "faintly" if most > ROUNDING else "overflows" if overflows else "no"


def apart(a: np.ndarray, b: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        difference = np.abs(a - b) / max(1e-3, float(np.abs(b).max(initial=0)))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0))


def _sizes(source: Program) -> list[dict[str, int]]:
    """Small ones that differ, rising in the order of the letters and falling, and all of them 1."""
    ones = dict.fromkeys(source.sizes, 1)
    found = [*_rising(source, 2, 3, 5), *_rising(source, 2, 5, turned=True)]
    return _different([*found, *([] if unmet(source, ones) else [ones])])


def _more_sizes(program: Program) -> list[dict[str, int]]:
    """Larger ones, and any others that are small, equal or not."""
    large = [*_rising(program, 4, 7, 9, 15), *_rising(program, 3, 4, 7, 9, 15, turned=True)]
    rows = np.random.default_rng(3).integers(1, 8, (200, len(program.sizes))).tolist()
    small = [dict(zip(program.sizes, row, strict=True)) for row in rows]
    fitting = [sizes for sizes in _different(small) if not unmet(program, sizes)]
    return _different([*(sizes for sizes in large if work(program, sizes) <= 30_000), *fitting[:20]])


def _rising(program: Program, *starts: int, turned: bool = False) -> Iterator[dict[str, int]]:
    letters = program.sizes[::-1] if turned else program.sizes
    for start in starts:
        with contextlib.suppress(Refusal):
            sizes = small_sizes(replace(program, sizes=letters), start)
            yield {letter: sizes[letter] for letter in program.sizes}


def _different(choices: list[dict[str, int]]) -> list[dict[str, int]]:
    return [sizes for k, sizes in enumerate(choices) if sizes not in choices[:k]]


def _inputs(
    source: Program, sizes: dict[str, int], scale: float, rng: np.random.Generator, coded: bool
) -> dict[str, np.ndarray]:
    """Random ones, those without facts `scale` times as large, or positive if it is 0; if `coded`, those that are asked
    to equal numbers are some of these."""
    arrays = inputs(source, sizes, rng)
    codes = _codes(source) if coded else {}
    for t in source.inputs:
        if not t.integer and t.facts == Facts() and t.role != "draw":
            a = arrays[t.name]
            arrays[t.name] = a * scale if scale else rng.uniform(0.2, 2.0, a.shape)
            if t.name in codes:
                arrays[t.name] = rng.choice(codes[t.name], a.shape)
    return arrays


def _codes(source: Program) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for s in source.statements:
        for e in (e for part in (s.body, s.guard) if part is not None for e in ex.walk(part)):
            match e:
                case ex.Cmp("==", ex.Access(name), ex.Num(value)):
                    found.setdefault(name, []).append(float(value))
    return found


# ---------------------------------------------------------------------- who notices it


@dataclass
class Tally:
    """What became of the mutants, by their kinds; `judges` says who looked at them."""

    judges: tuple[str, ...]
    rows: dict[str, Counter[str]] = field(default_factory=dict)
    survivors: list[str] = field(default_factory=list)
    false_alarms: list[str] = field(default_factory=list)

    def judge(self, m: Mutant, truth: Truth) -> None:
        row = self.row(m.place.kind)
        try:
            wrong = m.plant()
            changed = truth.changed(wrong)
        except (Refusal, *_FAILURES):
            changed = "does not run"
        if changed == "does not run":
            row["stillborn"] += 1
            return
        row["planted"] += 1
        judges = self.judges if changed in ("no", "yes") else ()
        noticed = {judge: JUDGES[judge](wrong) for judge in judges}
        if changed == "no" and any(noticed.values()):
            changed = truth.changed_elsewhere(wrong)
        row["equivalent"] += changed == "no"
        row["faint"] += changed in ("faintly", "overflows")
        for judge, found in noticed.items():
            if found and changed == "no":
                self.false_alarms.append(f"{judge}: {m}")
                print("FALSE ALARM", self.false_alarms[-1], flush=True)
            elif found:
                row[judge] += changed == "yes"
            elif changed == "yes":
                self.survived(m.place.kind, f"{judge}: {m}")

    def row(self, kind: str) -> Counter[str]:
        return self.rows.setdefault(kind, Counter())

    def survived(self, kind: str, what: str) -> None:
        self.row(kind)["survived"] += 1
        self.survivors.append(what)
        print("SURVIVED", what, flush=True)

    def total(self, what: str) -> int:
        return sum(row[what] for row in self.rows.values())

    def __str__(self) -> str:
        keys = ("planted", "equivalent", "faint", *self.judges, "survived")
        lines = [("kind of fault", *keys)]
        lines += [(k, *(str(row[c]) for c in keys)) for k, row in sorted(self.rows.items())]
        lines.append(("all", *(str(self.total(c)) for c in keys)))
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        return "\n".join(
            line[0].ljust(widths[0])
            + "".join(f"  {c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True))
            for line in lines
        )


def _noticed(judge: Callable[[Derived], Any]) -> Callable[[Derived], bool]:
    """Whether a check that is asked nothing but the derivation finds it wrong, or cannot run it."""

    def noticed(wrong: Derived) -> bool:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return not judge(wrong).ok
            except (Refusal, *_FAILURES):
                return True

    return noticed


JUDGES = {"proof": _noticed(prove), "numeric": _noticed(check)}


def judged(names: Iterable[str], count: int, start: int, judges: Iterable[str] = tuple(JUDGES)) -> Tally:
    """What becomes of so many mutants of some programs."""
    tally, truths = Tally(tuple(judges)), {}
    for m in drawn(names, count, start):
        if m.program not in truths:
            truths[m.program] = Truth(derivation(m.program))
        tally.judge(m, truths[m.program])
    return tally


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", nargs="*", default=None)
    args = options.parse_args()
    names = args.only or everything(args.seed)
    begun = time.process_time()
    tally = judged(names, args.count, args.seed)
    print(tally)
    print(
        f"seed {args.seed}, {tally.total('stillborn')} more did not run, {time.process_time() - begun:.1f} s"
    )


if __name__ == "__main__":
    main()
