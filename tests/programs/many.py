"""Many random programs, a chunk at a time: which properties each is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from strategies import Sample, samples

from .judged import PROPERTIES, Case

SETTINGS = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Run:
    """How many programs a chunk has, after how many statements none is added to what makes the target, and every how
    many programs a property is judged."""

    option: str  # of the command that repeats it
    count: int
    most: int
    every: Mapping[str, int]


LONG = Run("", 100, 12, {
    "gradient": 1, "text": 3, "forms": 5, "passes": 8, "realisations": 3, "compiled_loops": 5, "second_order": 24,
    "frameworks": 8,
})  # fmt: skip
SHORT = Run(" --short", 50, 4, {
    "gradient": 1, "text": 4, "forms": 6, "passes": 12, "realisations": 4, "compiled_loops": 6, "second_order": 40,
})  # fmt: skip
TURNS = 120


def judge(sample: Sample, number: int, total: Counter[str], every: Mapping[str, int]) -> None:
    """Judge a program by the properties whose turn it is, and count them."""
    case = Case(sample, number)
    # in the middle of its turns, as hypothesis likes the first and the last of all numbers
    for name in (name for name, turns in every.items() if number % turns == turns // 2):
        PROPERTIES[name](case)
        total[name] += 1
    total["programs"] += 1
    total.update(case.seen)
    for s in sample.program.statements:
        total[f"statement {s.op}{' in a loop' if s.scan else ''}"] += 1


def chunk(run: Run, base: int, number: int, total: Counter[str], *, shrink: bool = True) -> None:
    """Judge the programs of a chunk; the first failure is raised, shrunk if asked for (which may take minutes)."""
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]

    @seed(base * 1_000_003 + number)
    @settings(SETTINGS, max_examples=run.count, phases=phases)
    @given(samples(most=run.most), st.integers(0, TURNS - 1))
    def judged(sample: Sample, turn: int) -> None:
        judge(sample, turn, total, run.every)

    try:
        judged()
    except Exception as problem:
        again = f"python -m tests.programs{run.option} --seed {base} --chunks {number}:{number + 1}"
        problem.add_note(f"shrunk by: {again}")
        raise
