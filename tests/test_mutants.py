"""Faults planted in derived programs are noticed by the checks: hundreds here, thousands in the long run."""

from __future__ import annotations

import mutated_modules
import pytest
from mutants import SECOND, TEXTS, Tally, everything, judged

# those of which a check takes some hundredths of a second, and those of which the proof does
QUICK = [
    name
    for name in (*TEXTS, *SECOND)
    if name not in ("recurrence", "lstm", "attention", "batch norm", "per example")
]
PROVED = [
    "convolution", "overlap", "maximum", "embedding", "two labels", "triangle", "product", "quadratic", "symmetric",
    "huber", "kinks", "constants", "stop", "shifted", "mirrored", "hessian", "two hessians", "hvp", "jacobian",
]  # fmt: skip


def noticed(tally: Tally, least: int) -> None:
    """All that change something, and nothing else."""
    assert not tally.survivors, "\n".join(map(str, tally.survivors))
    assert not tally.false_alarms, "\n".join(map(str, tally.false_alarms))
    print(tally)
    assert max(map(tally.total, tally.judges)) >= least


def test_planted_faults_are_noticed() -> None:
    noticed(judged(QUICK, 90, 0, ["numeric"]), 70)


def test_planted_faults_are_noticed_by_the_proof() -> None:
    noticed(judged(PROVED, 40, 1, ["proof"]), 32)


def test_modules_notice_faults_of_their_own() -> None:
    noticed(mutated_modules.judged(["classifier", "recurrence", "digits"], 45, 0), 20)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_modules_notice_many_faults_of_their_own(seed: int) -> None:
    tally = mutated_modules.judged(mutated_modules.MODULES, 1500, seed)
    print(f"seed {seed}")
    print(tally)
    noticed(tally, 600)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_many_planted_faults_are_noticed(seed: int) -> None:
    tally = judged(everything(seed), 1500, seed)
    print(f"seed {seed}")
    noticed(tally, 1200)
