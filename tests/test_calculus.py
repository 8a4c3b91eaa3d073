"""The mathematics: every pass keeps the value, every gradient is what complex steps through the source say."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import Sample, samples

from symgrad.check.numeric import STEP, check, exposed
from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Add, Bracket, Call, Cmp, Expr, Num, Pow, Stop, call, val
from symgrad.language.program import Facts, Program, Statement, Tensor
from symgrad.language.reader import read
from symgrad.language.reference import run
from symgrad.language.samples import inputs, numbers, small_sizes
from symgrad.language.trace import Derived
from symgrad.passes.derive import FORWARD, derive
from symgrad.passes.tidy import PASSES

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck), "derandomize": True}
normal = settings(max_examples=200, **COMMON)  # type: ignore[arg-type]
long = settings(max_examples=10_000, **COMMON)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- random programs


def gradients(d: Derived, s: Sample) -> dict[str, np.ndarray]:
    arrays = run(d.program, s.sizes, s.given)
    return {name: arrays[adjoint] for name, adjoint in d.gradients.items()}


def same(a: np.ndarray, b: np.ndarray) -> bool:
    scale = max(1e-3, float(np.abs(b).max(initial=0)))
    return a.shape == b.shape and bool((np.abs(a - b) <= 1e-9 * scale).all())


def judge(s: Sample, rules: list[tuple[str, ...]]) -> None:
    """All that must hold of a program: values kept, gradients equal to complex steps, whatever passes are used."""
    loss = run(s.program, s.sizes, s.given)["loss"]
    for change in FORWARD:
        changed, _ = change(s.program, s.wrt)
        assert same(run(changed, s.sizes, s.given)["loss"], loss), change.__name__
    d = derive(s.program, s.wrt)
    verdict = check(d, s.given, entries=200)
    assert verdict.ok, f"{verdict}\n{d.program}"
    own = gradients(d, s)
    for passes in rules:
        others = gradients(derive(s.program, s.wrt, passes=passes), s)
        assert all(same(others[name], own[name]) for name in own), passes


some_rules = st.lists(st.sampled_from(list(PASSES)), unique=True).map(tuple)


@normal
@given(samples(), st.sampled_from(list(PASSES)), some_rules)
def test_random_programs(sample: Sample, alone: str, mixed: tuple[str, ...]) -> None:
    judge(sample, [(alone,), mixed])


@pytest.mark.long
@long
@given(samples(most=12), some_rules)
def test_many_random_programs(sample: Sample, mixed: tuple[str, ...]) -> None:
    judge(sample, [(), *((rule,) for rule in PASSES), mixed, tuple(reversed(PASSES))])
