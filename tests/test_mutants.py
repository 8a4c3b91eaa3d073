"""Faults planted in derived programs are noticed by the checks: hundreds here, thousands in the long run."""

from __future__ import annotations

import mutated_modules
import pytest
from mutants import JUDGES, SECOND, TEXTS, Tally, everything, judged

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
    assert max(tally.total(judge) for judge in JUDGES) >= least


def test_planted_faults_are_noticed() -> None:
    noticed(judged(QUICK, 90, 0, ["numeric"]), 70)


def test_planted_faults_are_noticed_by_the_proof() -> None:
    noticed(judged(PROVED, 40, 1, ["proof"]), 32)


def module_faults(most: int, start: int) -> tuple[int, list[str]]:
    caught, survivors = 0, []
    for name in mutated_modules.MODULES:
        for style in ("readable", "fast"):
            changed, _, survived = mutated_modules.judged(name, style, most, start)
            caught += changed - len(survived)
            survivors += survived
    return caught, survivors


def test_modules_notice_faults_of_their_own() -> None:
    caught, survivors = module_faults(8, 0)
    assert not survivors
    assert caught >= 15


@pytest.mark.long
def test_modules_notice_all_faults_of_their_own() -> None:
    caught, survivors = module_faults(10_000, 0)
    print(f"{caught} caught in the text of {len(mutated_modules.MODULES)} modules, both styles")
    assert not survivors, "\n".join(survivors)
    assert caught >= 500


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_many_planted_faults_are_noticed(seed: int) -> None:
    tally = judged(everything(seed), 1500, seed)
    print(f"seed {seed}")
    noticed(tally, 1200)
