"""Random programs over every kind of statement, and the small ones that what failed was shrunk to."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from programs.judged import PROPERTIES, Case, installed
from programs.many import LONG, SHORT, Run, chunk
from strategies import Sample

import symgrad as sg
from symgrad.language.implicit import IMPLICIT
from symgrad.language.reader import read
from symgrad.language.samples import inputs, small_sizes
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS


@pytest.mark.parametrize("shard", range(4))
def test_random_programs(shard: int) -> None:
    chunk(SHORT, 0, shard, Counter(), shrink=False)


@pytest.mark.long
@pytest.mark.parametrize("number", range(100))
def test_many_random_programs(number: int) -> None:
    chunk(LONG, 0, number, Counter())


# ---------------------------------------------------------------------- failures that were found so

FOUND = {
    "a loop that multiplies its own earlier row": "w: weight[k]; v: data[k]; u: data[m];"
    "z[j] = sum(r, [j >= 1]*h[j - 1]/m), r < m; h[j] = tanh(w[j])*tanh([j >= 1]*h[j - 1]) + v[j]*z[j]; loss = sum(h)",
    "a sign before a bracket": "x: weight[n]; loss = sum(i < n, tanh(-[i >= 1]*x[i - 1]))",
    "brackets that keep a loop in range stay with what they guard": "w: weight[n]; v: data[k];"
    "z[j] = max(r, [0 <= r - 1]*[r - 1 < n]*[j >= 1]*h[r - 1, j - 1], ties='first'), j < k, r < n;"
    "h[p, j] = sin([j >= 1]*h[p, j - 1] + z[j] + w[p]), j < k; loss = sum(h) + sum(v)",
    "the steps run along the axis that nothing reads ahead on": "w: weight[n]; v: data[k];"
    "z[j] = max(r, v[j]*[0 <= r - 1]*[r - 1 < n]*[j >= 1]*h[r - 1, j - 1]), r < n;"
    "h[p, j] = sin([j >= 1]*h[p, j - 1] + z[j] + w[p]); loss = sum(h)",
    "a guard on a part of a loop": "w: weight[n]; v: data[k];"
    "z[j] = sum(r, [j >= 1]*h[r, j - 1]*v[j]), r < n; h[p, j] = tanh(z[j] + w[p]); loss = sum(h)",
    "lengths of a stack of matrices": "X: weight[m, n, k]; loss = sum(norm(X, axis=(1, 2))**3)",
    "one number in every place": "w: weight[n]; y[i] = tanh(hypot(w[0], w[0])), i < n; loss = sum(y**2)",
    "a pass over fewer axes than what it reads has": "a: data[k]; b: data[h + 1]; w: weight; x: 0.5 < data <= 2;"
    "f: zeros[2*k, h + 1]; m = min(i < 3, x); y = log1p(3.8*sigmoid(w) - 0.8) - tanh(m/x + w);"
    "g[p, n] = [p != 1]*xlogy(2.8*sigmoid(tanh(w + y)) + 0.2, 2.8*sigmoid(y) + 0.2), p < h + 1, n < h + 1;"
    "f[2*i, q] = y, i < k; f[2*i + 1, q] = stop(tanh(dsinc(tanh([0 <= q - 1]*[q - 1 < h + 1]*g[q - 1, q]))))"
    "*tanh(dsinc(tanh([0 <= q - 1]*[q - 1 < h + 1]*g[q - 1, q]))), i < k;"
    "loss = sum(j, p, sin(f[j, p])/k) + sum(a) + sum(b)",
    "what a loop without steps has named": "w: weight[k]; v: weight[k]; h[i, 0] = w[i]; h[i, n] = tanh([i + 1 < k]"
    "*h[i + 1, n - 1]*sin(v[i] + w[i] + v[i]*w[i])*cos(v[i] + w[i] + v[i]*w[i])), n < 1;"
    "loss = sum(i < k, [i + 1 < k]*h[i + 1, 0])",
    "what is computed before a loop has its memory until the loop ends": "x: data[m]; w: weight[n]; v: weight[n];"
    "h[p, i] = sin([p >= 1]*h[p - 1, i] + sin([p >= 1]*h[p - 1, 0]) + tanh(w[i])*tanh(v[i])), p < m + 3;"
    "loss = sum(h) + sum(x)",
    "one label is a place to write at": "c: label < n; w: weight[n]; a: zeros[n]; a[c] += w[0]**2; a[i] += w[i];"
    "loss = sum(a**3)",
    "outside a bracket acosh is taken of a number that it has": "x: weight[n];"
    "loss = sum(i < n, [x[i] > 1.2], acosh(x[i])**2)",
    "one entry of a step, spread over an axis": "x: data[m]; w: weight[m]; h[0, i] = w[0], i < 1;"
    "z[j] = [j >= 1]*h[j - 1, 0], j < m; h[j, i] = [j >= 1]*sin(z[j] + tanh(z[j]) + w[j]); loss = sum(h**2) + sum(x)",
    "a share in a sum over shares": "x: data[n, m]; w: weight; p = exp(x)/sum(exp(x));"
    "c = sum(i, j, p[i, j]*w); loss = c**2 + sum(log(1.5 - p))",
    "a row that is read one further on": "v: weight; w: weight[3]; c[i] = v*w[i];"
    "f[p] = tanh([0 <= p + 1]*[p + 1 < 3]*c[p + 1]), p < 3; loss = sum(f) + sum(c**3)",
    "an axis of steps with which all equations of a loop agree": "w: weight[m]; v: data[k];"
    "g[q, n] = tanh(-[q >= 1]*[n >= 1]*h[q - 1, n - 1] + [n >= 1]*h[q, n - 1] + w[q]*v[n]);"
    "z[n, q] = max(r, g[r, n]), q < m, r < m; h[q, n] = sin(g[q, n] + [n >= 1]*g[q, n - 1] + z[n, q]); loss = sum(h)",
    "an axis like a size": "s: weight[k, k]; x: weight[n]; y[n, i] = s[k - 1, i]*x[n]; loss = sum(y**2)",
    "written in part": "x: weight[n]; f: zeros[n + 2]; f[i] = x[i]**2, i < n; loss = sum(cos(f))",
    "the last place is a size": "x: weight[n]; a: zeros[n + 1]; a[n + 0] += x[0]**2; a[i] += x[i]; loss = sum(a**2)",
}  # fmt: skip


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_found_once(text: str) -> None:
    program = read(text, definitions=DEFINITIONS)
    sizes = small_sizes(program)
    given = inputs(program, sizes, np.random.default_rng(1))
    case = Case(Sample(program, sizes, given, tuple(t.name for t in program.role("weight"))))
    for name in ("gradient", "text", "forms", "passes", "realisations", "compiled_loops"):
        PROPERTIES[name](case)


OUTSIDE = [
    "y[i] = [i >= 0]*x[i - 1], i < n; loss = sum(y)",
    "y[i] = [i >= 1]*x[i + 1], i < n; loss = sum(y)",
    "loss = sum(i < n, [g[i] > 0], x[i]*x[i - 1])",
    "loss = sum(i < n, [not i == 0 or g[i] > 0], x[i - 1])",
    "h[t] = tanh([t >= 1]*h[t - 2] + x[t]); loss = sum(h)",
]


@pytest.mark.parametrize("line", OUTSIDE)
def test_a_bracket_must_exclude_what_is_read_outside(line: str) -> None:
    with pytest.raises(
        sg.SymgradError, match=r"which its brackets do not exclude|what stands before the first step"
    ):
        sg.derive(f"x: weight[n]; g: data[n]; {line}")


INSIDE = [
    "loss = sum(i < n, [i >= 1 and g[i] > 0], x[i - 1])",
    "loss = sum(i < n, [not (i == 0 or g[i] > 0)], x[i - 1])",
    "loss = sum(i < n, [i != 0]*x[i - 1])",
    "loss = sum(i < n, j < n, [j < i]*x[i - j - 1])",
    "loss = sum(i < n, [c[i] + i < n]*x[c[i] + i])",
    "h[t] = tanh([t >= 2]*h[t - 2] + x[t]); loss = sum(h)",
]


@pytest.mark.parametrize("line", INSIDE)
def test_a_bracket_that_excludes_it_is_enough(line: str) -> None:
    assert sg.derive(f"x: weight[n]; g: data[n]; c: label[n] < n; {line}").check().ok


# ---------------------------------------------------------------------- the judges


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_a_framework_is_a_judge_that_can_fail(name: str) -> None:
    pytest.importorskip(name)
    assert name in installed()
    program = read("x: weight[n]; y: weight[n]; loss = sum(i, max(j, x[j]*y[i]) + prod(j, x[j] + y[i]))")
    given = {"x": np.array([0.5, 1.0, 1.0]), "y": np.array([2.0, 1.5, -1.0])}
    PROPERTIES["frameworks"](Case(Sample(program, {"n": 3}, given, ("x", "y"))))
    case = Case(Sample(program, {"n": 3}, given, ("x", "y")))
    case.arrays[case.derived.gradients["x"]][0] *= 1.001
    with pytest.raises(AssertionError, match=name):
        PROPERTIES["frameworks"](case)


@pytest.mark.long
def test_the_kinds_of_statements_that_are_met() -> None:
    total: Counter[str] = Counter()
    for number in range(3):
        chunk(Run("", 100, 12, {"gradient": 4}), 7, number, total)
    met = {
        k.removeprefix("statement ").removesuffix(" in a loop") for k in total if k.startswith("statement ")
    }
    assert met >= {"=", "+=", "max=", "min=", "prod=", *(set(IMPLICIT) - {"minors", "eigvecs"})}
    assert any(k.endswith("in a loop") for k in total)
    assert LEAVES


def test_a_maximum_in_a_loop_is_not_held_for_what_small_sizes_do_not_show() -> None:
    d = sg.derive(
        "w: weight[n]; h[0] = tanh(w[0]); z[p] = max(r, [p >= 1], h[p - 1]), r < 3;"
        "h[p] = [p >= 1]*sin(h[p - 1]*w[p] + z[p]); loss = sum(p, [p >= 3]*h[p])"
    )
    verdict = d.check({"w": np.array([0.3, -0.5, 0.7, 1.1, -0.2, 0.9])})
    assert verdict.ok, verdict
