"""What must hold of every program, each a function of a `Case`; `PROPERTIES` names them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from strategies import Sample

from symgrad.check.numeric import check
from symgrad.emit.nests import NoLoops
from symgrad.errors import SymgradError
from symgrad.language import ints
from symgrad.language.expr import Access
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.reader import read
from symgrad.language.reference import run
from symgrad.language.samples import inputs
from symgrad.language.trace import Derived
from symgrad.passes import second
from symgrad.passes.arrange import ARRANGEMENTS
from symgrad.passes.arrangements.economy import economical
from symgrad.passes.derive import FORWARD, derive, prepare
from symgrad.passes.precise import precise
from symgrad.passes.tidy import PASSES

from .frameworks import Framework, framework, installed
from .realised import dirty_memory, loops, written

Arrays = dict[str, np.ndarray]


@dataclass
class Case:
    """A program with what its judges share: its derivation, what the reference computes, and choices of its own."""

    sample: Sample
    seed: int = 0
    entries: int = 4  # of each gradient that complex steps judge one by one
    seen: dict[str, int] = field(default_factory=dict)

    @cached_property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def derived(self) -> Derived:
        return derive(self.sample.program, self.sample.wrt)

    @cached_property
    def arrays(self) -> Arrays:
        return self.run(self.derived.program)

    @property
    def gradients(self) -> Arrays:
        return {name: self.arrays[adjoint] for name, adjoint in self.derived.gradients.items()}

    def run(self, program: Program, dtype: Any = np.float64) -> Arrays:
        return run(program, self.sample.sizes, self.sample.given, dtype)

    def some(self, options: Any) -> list[Any]:
        """A few of some options, in any order, some of them twice."""
        options = list(options)
        return [
            options[k] for k in self.rng.integers(len(options), size=self.rng.integers(1, 2 * len(options)))
        ]

    def note(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1


def close(a: Any, b: Any, tolerance: float = 1e-9) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    scale = max(1e-3, float(np.abs(b).max(initial=0)))
    return a.shape == b.shape and bool((np.abs(a - b) <= tolerance * scale).all())


def alike(case: Case, loss: Any, gradients: Mapping[str, Any], what: str, tolerance: float = 1e-9) -> None:
    """A loss and gradients are those of the reference."""
    target = case.derived.program.target
    for name, given, right in [
        (target, loss, case.arrays[target]),
        *((w, gradients[w], g) for w, g in case.gradients.items()),
    ]:
        own = np.asarray(given)
        assert own.shape == right.shape, f"{what}: {name} has shape {own.shape}, not {right.shape}"
        scale = 1e-1 + np.abs(right).max(initial=0)
        assert np.abs(own - right).max(initial=0) <= tolerance * scale, (
            f"{what}: {name} is {own}, not {right}\n{case.derived.program}"
        )


# the gradient itself


def gradient(case: Case) -> None:
    """Complex steps through the source agree with every gradient."""
    verdict = check(case.derived, case.sample.given, entries=case.entries)
    if not verdict.ok:
        lost = rounding(case)
        wrong = [r for r in verdict.rows if not abs(r.derived - r.numeric) <= lost]
        assert not wrong, f"{verdict}\n{case.derived.program}"
        case.note("as far as float64 goes")


def rounding(case: Case) -> float:
    """What a change of the last bits of the inputs makes of the gradients, or of the loss over a step of one: no two
    ways to compute them are closer."""
    rng = np.random.default_rng(case.seed)
    lost = 1e-15 * float(np.abs(case.arrays[case.derived.program.target]).max(initial=1))
    for _ in range(8):
        moved = {
            k: v if v.dtype.kind in "iu" else v * (1 + 1e-15 * rng.standard_normal(v.shape))
            for k, v in case.sample.given.items()
        }
        arrays = run(case.derived.program, case.sample.sizes, moved)
        for a in case.derived.gradients.values():
            lost = max(lost, float(np.abs(arrays[a] - case.arrays[a]).max(initial=0)))
    return 100 * lost


def second_order(case: Case) -> None:
    """The rule applied to its own output: the gradient of an inner product with the gradient."""
    program = case.sample.program
    wrt = [t.name for t in program.role("weight")]
    twice = inner_product(derive(program, wrt))
    constants = [t.name for t in twice.role("constant") if t.name not in case.sample.given]
    rng = np.random.default_rng(case.seed)
    given = {**case.sample.given, **inputs(twice, case.sample.sizes, rng, constants)}
    verdict = check(derive(twice, wrt), given, entries=3, tolerance=1e-7)
    assert verdict.ok, f"{verdict}\n{twice}"
    product = second.hvp(program, wrt)
    vectors = [t for t in product.source.inputs if t.name not in program.tensors]
    given = {**case.sample.given, **inputs(product.source, case.sample.sizes, rng, [v.name for v in vectors])}
    verdict = check(product, given, entries=3, tolerance=1e-7)
    assert verdict.ok, f"{verdict}\n{product.program}"


def inner_product(d: Derived) -> Program:
    """A program whose target is the sum of all gradients, each times a constant of its shape."""
    p = d.program
    tensors, statements, name = dict(p.tensors), list(p.statements), p.fresh("inner")
    tensors[name] = Tensor(name)
    for k, (wanted, adjoint) in enumerate(d.gradients.items()):
        shape = p[wanted].shape
        v = p.fresh(f"v_{k}", tensors)
        tensors[v] = Tensor(v, shape, "constant")
        axes = tuple((f"i_{j}", n) for j, n in enumerate(shape))
        index = tuple(ints.axis(a) for a, _ in axes)
        body = Access(adjoint, index) * Access(v, index)
        statements.append(Statement(name, (), "+=", body, axes))
    return replace(p, tensors=tensors, statements=tuple(statements), target=name)


# the passes


def forms(case: Case) -> None:
    """Every pass over whole programs keeps the loss, alone and a few of them in any order, and twice is once."""
    program, wrt = case.sample.program, case.sample.wrt
    target = program.target
    loss = case.run(program)[target]
    for change in FORWARD:
        once, _ = change(program, wrt)
        assert close(case.run(once)[target], loss), change.__name__
        again, _ = change(once, wrt)
        assert close(case.run(again)[target], loss), f"{change.__name__} twice"
    mixed = program
    for change in case.some(FORWARD):
        mixed, _ = change(mixed, wrt)
    assert close(case.run(mixed)[target], loss)
    stable, _ = prepare(program, wrt, proved=True)
    for change in case.some(ARRANGEMENTS):
        stable, _ = change(stable)
    assert close(case.run(stable)[target], loss)
    joint = case.derived.program
    for change in case.some([precise, economical]):
        joint = change(joint)
    arrays = case.run(joint)
    alike(case, arrays[target], {w: arrays[a] for w, a in case.derived.gradients.items()}, "economical")


def passes(case: Case) -> None:
    """Whatever tidy passes are used, and in whatever order, the gradients are the same."""
    alone = str(case.rng.choice(list(PASSES)))
    for rules in ((), (alone,), tuple(case.some(PASSES)), tuple(case.rng.permutation(list(PASSES)))):
        d = derive(case.sample.program, case.sample.wrt, passes=tuple(map(str, rules)))
        arrays = case.run(d.program)
        found = {w: arrays[a] for w, a in d.gradients.items()}
        alike(case, arrays[d.program.target], found, f"passes {rules}\n{d.program}\n")


# what is written


def realisations(case: Case) -> None:
    """Readable and fast NumPy agree with the reference, call after call, and in float32 as far as float32 goes."""
    single = {k: v if v.dtype.kind in "iu" else v.astype(np.float32) for k, v in case.sample.given.items()}
    exact = run(
        case.derived.program,
        case.sample.sizes,
        {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in single.items()},
    )
    rough = run(case.derived.program, case.sample.sizes, single, np.float32)
    for style in ("readable", "fast"):
        f = written(case.derived, style, case.sample.sizes)
        for _ in range(2):
            with dirty_memory():
                loss, gradients = f(**case.sample.given)
            alike(case, loss, gradients, style)
        with np.errstate(all="ignore"):
            _, gradients = f(**single)
        for w, a in case.derived.gradients.items():
            right = exact[a]
            # what single precision costs the reference itself, and more where the order of a sum is another one
            lost = np.abs(rough[a] - right).max(initial=0)
            allowed = 30 * lost + 2e-5 * (1 + np.abs(right).max(initial=0))
            own = np.asarray(gradients[w])
            assert own.dtype == np.float32 or not own.shape, (style, w, own.dtype)
            if not np.abs(own - right).max(initial=0) <= allowed:
                assert branches(case), (
                    f"{style} in float32: {w} is {own}, not {right}\n{case.derived.program}"
                )
                case.note("float32 at a kink")


def branches(case: Case) -> bool:
    """Whether float32 may fall on the other side of a comparison, a maximum or a kink somewhere in the program: the
    gradient jumps within float32's accuracy of the point."""
    rng = np.random.default_rng(case.seed)
    for size in (1e-7, 1e-6, 1e-5):
        for _ in range(8):
            moved = {
                k: v if v.dtype.kind in "iu" else v * (1 + size * rng.standard_normal(v.shape))
                for k, v in case.sample.given.items()
            }
            arrays = run(case.derived.program, case.sample.sizes, moved)
            for a in case.derived.gradients.values():
                if not close(arrays[a], case.arrays[a], 1e4 * size):
                    return True
    return False


def compiled_loops(case: Case) -> None:
    """The loops that Numba compiles, as plain Python."""
    try:
        loss, found = loops(case.derived, case.sample.sizes, case.sample.given)
    except NoLoops:
        case.note("no loops")
        return
    alike(case, loss, {w: found[a] for w, a in case.derived.gradients.items()}, "loops")


def text(case: Case) -> None:
    """The printed program reads back to one of the same value."""
    program = case.sample.program
    again = read(str(program))
    arrays = run(again, case.sample.sizes, case.sample.given)
    assert close(arrays[again.target], case.arrays[program.target]), f"\n{program}\nis read as\n{again}"


# other judges

_FRAMEWORKS: dict[str, Framework] = {}


def frameworks(case: Case) -> None:
    """PyTorch and JAX, where they are installed, find the same loss and gradients from the statements alone."""
    for name in installed():
        judge = _FRAMEWORKS.setdefault(name, framework(name))
        sample = case.sample
        loss, found = judge.gradients(
            sample.program, sample.sizes, sample.given, tuple(case.derived.gradients)
        )
        case.note(name)
        alike(case, loss, found, name)


PROPERTIES: dict[str, Callable[[Case], None]] = {
    f.__name__: f
    for f in (gradient, forms, passes, realisations, compiled_loops, text, second_order, frameworks)
}
Problem = (AssertionError, SymgradError)
