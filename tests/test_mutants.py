"""Faults planted in derived programs are noticed by the checks: hundreds here, thousands in the long run."""

from __future__ import annotations

import pytest
from mutants import NETWORKS, SECOND, TEXTS, Tally, judged

# those of which a check takes milliseconds
QUICK = [
    name
    for name in (*TEXTS, *SECOND)
    if name not in ("recurrence", "lstm", "attention", "batch norm", "per example")
]


def noticed(tally: Tally, least: int) -> None:
    """All that change something, and nothing else."""
    assert not tally.survivors, "\n".join(map(str, tally.survivors))
    assert not tally.false_alarms, "\n".join(map(str, tally.false_alarms))
    assert tally.total("caught") >= least


def test_planted_faults_are_noticed() -> None:
    noticed(judged(QUICK, 260, 0), 230)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_many_planted_faults_are_noticed(seed: int) -> None:
    names = [*TEXTS, *SECOND, *NETWORKS, *(f"random {1000 * seed + k}" for k in range(20))]
    tally = judged(names, 1500, seed)
    print(f"seed {seed}\n{tally}")
    noticed(tally, 1200)
