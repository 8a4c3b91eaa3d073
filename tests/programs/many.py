"""Many random programs, a chunk at a time: which properties each is judged by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from strategies import Sample, samples

from .judged import PROPERTIES, Case

CHUNK = 100
# every program is judged by complex steps, and by each other property one in so many, in turn
EVERY = {
    "gradient": 1, "text": 2, "forms": 4, "passes": 4, "realisations": 4, "compiled_loops": 5, "second_order": 15,
    "frameworks": 10,
}  # fmt: skip
FEW = {
    "gradient": 1, "text": 4, "forms": 7, "passes": 6, "realisations": 5, "compiled_loops": 5, "second_order": 20,
}  # fmt: skip
SETTINGS = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def judge(sample: Sample, number: int, total: Counter[str], every: Mapping[str, int]) -> None:
    """Judge a program by the properties whose turn it is, and count them."""
    case = Case(sample, number)
    for name in (name for name, turns in every.items() if number % turns == 0):
        PROPERTIES[name](case)
        total[name] += 1
    total["programs"] += 1
    total.update(case.seen)
    for s in sample.program.statements:
        total[f"statement {s.op}{' in a loop' if s.scan else ''}"] += 1


def chunk(
    base: int, number: int, total: Counter[str], *, count: int = CHUNK, most: int = 12,
    every: Mapping[str, int] = EVERY, shrink: bool = True,
) -> None:  # fmt: skip
    """Judge the programs of a chunk; the first failure is shrunk and raised."""
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]

    @seed(base * 1_000_003 + number)
    @settings(SETTINGS, max_examples=count, phases=phases)
    @given(samples(most=most), st.integers(0, 119))
    def judged(sample: Sample, turn: int) -> None:
        judge(sample, turn, total, every)

    judged()
