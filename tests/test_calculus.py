"""The mathematics: every pass keeps the value, every gradient is what complex steps through the source say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from programs.judged import Case, second_order
from strategies import Sample

import symgrad as sg
from symgrad.check.numeric import check
from symgrad.errors import Refusal
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Bracket, Cmp, call, val
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.reader import read
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes
from symgrad.language.trace import Derived
from symgrad.library import DEFINITIONS
from symgrad.passes.derive import derive
from symgrad.passes.tidy import PASSES

# ---------------------------------------------------------------------- the derivative of a gradient


SECOND = {
    "least squares": "X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)",
    "cross entropy": "z: weight[n, k]; t: label[n] < k; loss = softmax_cross_entropy(z, t)",
    "student": "z: weight[n, k]; t: data[n, k] & distribution; loss = -mean(sum(t*log(softmax(z)), axis=1))",
    "two layers": "x: data[n, 4]; t: data[n, 3]; loss = mean((dense(tanh(dense(x, 5)), 3) - t)**2)",
    "product": "x: weight[n]; loss = prod(x)*sum(x)",
    "maximum": "x: weight[n, k]; m[n] = max(j, x[n, j]**2); loss = sum(m**2)",
}


@pytest.mark.parametrize("text", SECOND.values(), ids=SECOND)
def test_second_order(text: str) -> None:
    program = read(text, definitions=DEFINITIONS)
    sizes = small_sizes(program)
    given = inputs(program, sizes, np.random.default_rng(1))
    second_order(Case(Sample(program, sizes, given, ())))


# ---------------------------------------------------------------------- what must come out


def derived(text: str, **more: object) -> Derived:
    return derive(read(text, definitions=DEFINITIONS), **more)  # type: ignore[arg-type]


def last(text: str) -> str:
    return str(derived(text).program.statements[-1])


LABEL = "z: weight[n, k]; t: label[n] < k; "
SHARES = "z: weight[n, k]; t: data[n, k] & distribution; "
NAIVE = "e = exp(z); s[n] = sum(j, e[n, j]); q[n, j] = e[n, j]/s[n]; "
PICKED = "loss = mean(n, -log(q[n, t[n]]))"
CROSS = {
    "stable, label": (LABEL, "loss = softmax_cross_entropy(z, t)"),
    "stable, distribution": (SHARES, "loss = softmax_cross_entropy(z, t)"),
    "student, label": (LABEL, "p = softmax(z); loss = mean(n, -log(p[n, t[n]]))"),
    "student, distribution": (SHARES, "loss = -mean(sum(t*log(softmax(z)), axis=1))"),
    "naive, label": (LABEL, NAIVE + "loss = mean(n, -log(q[n, t[n]]))"),
    "naive, distribution": (SHARES, NAIVE + "loss = mean(n, -sum(j, t[n, j]*log(q[n, j])))"),
    "own shift": (
        LABEL,
        "e = np.exp(z - np.max(z, axis=1, keepdims=True)); q = e/e.sum(1, keepdims=True); " + PICKED,
    ),
    "log-sum-exp": (LABEL, "loss = mean(n, log(sum(j, exp(z[n, j]))) - z[n, t[n]])"),
}


@pytest.mark.parametrize(("declared", "loss"), CROSS.values(), ids=CROSS)
def test_cross_entropy_is_p_minus_t(declared: str, loss: str) -> None:
    """As exactly `(p - t)/n`, p being computed once, on the way forward or beside it."""
    d = derived(declared + loss)
    s = d.program.statements[-1]
    n, k = s.left
    p = next(a for a in ex.accesses(s.body) if a.tensor != "t")
    picked = Bracket(Cmp("==", val(k), val(ints.of(ints.Look("t", (n,))))))
    t = picked if d.source["t"].integer else Access("t", (n, k))
    assert s == replace(s, op="=", body=(p - t) / val(ints.size("n")), guard=None), s
    assert p.index == (n, k)
    z = np.array([[1000.0, -1000.0, 0.0, 3.0], [-1000.0, -990.0, 1000.0, 995.0]])
    shares = np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.0, 0.5]])
    given = {"z": z, "t": np.array([1, 3]) if d.source["t"].integer else shares}
    with np.errstate(all="raise", under="ignore"):
        arrays = run(d.program, {"n": 2, "k": 4}, given)
    assert np.isfinite(arrays["loss"])
    top = np.exp(z - z.max(1, keepdims=True))
    expected = (
        top / top.sum(1, keepdims=True) - (np.eye(4)[given["t"]] if d.source["t"].integer else shares)
    ) / 2
    np.testing.assert_allclose(arrays[s.out], expected, atol=1e-15)
    assert check(d).ok


EXTREMES: list[tuple[str, dict[str, object], float, dict[str, object]]] = [
    ("x: weight; f = x*log(x)", {"x": 0.0}, 0.0, {"x": -np.inf}),
    ("x: weight; f = exp(x) - 1", {"x": 1e-12}, 1.0000000000005e-12, {"x": 1.000000000001}),
    ("x: weight; f = 2*(1 - exp(x))", {"x": 1e-12}, -2.000000000001e-12, {"x": -2.000000000002}),
    ("x: weight; f = log(1 - exp(-x))", {"x": 1e-12}, np.log(1e-12), {"x": 1e12}),
    ("x: weight; f = log(1 + x)", {"x": 1e-20}, 1e-20, {"x": 1.0}),
    ("x: weight; f = log(exp(x) - 1)", {"x": 1000.0}, 1000.0, {"x": 1.0}),
    ("x: weight; f = log(sigmoid(x)*sigmoid(-x))", {"x": 1000.0}, -1000.0, {"x": -1.0}),
    ("x: weight; f = log((exp(x) + exp(-x))/2)", {"x": -1000.0}, 1000 - np.log(2), {"x": -1.0}),
    ("x: weight; f = log(2*(1 + exp(x)))", {"x": 1000.0}, 1000 + np.log(2), {"x": 1.0}),
    ("x: weight; f = (exp(x) - exp(-x))/(exp(x) + exp(-x))", {"x": 1000.0}, 1.0, {"x": 0.0}),
    ("x: weight; f = (1 - exp(-2*x))/(1 + exp(-2*x))", {"x": -1000.0}, -1.0, {"x": 0.0}),
    ("x: weight; f = 3*(exp(2*x) - 1)/(exp(2*x) + 1)", {"x": 1e-12}, 3e-12, {"x": 3.0}),
    ("x: weight; y: weight; f = exp(x)/(exp(x) + exp(y))", {"x": 1000.0, "y": 1000.0}, 0.5, {"x": 0.25, "y": -0.25}),
    ("x: weight; y: weight; f = exp(x)/(1 + exp(x) + 2*exp(y))", {"x": 1000.0, "y": 1000.0}, 1 / 3,
     {"x": 2 / 9, "y": -2 / 9}),
    ("x: weight; y: weight; f = log(1 + exp(x) + 2*exp(y))", {"x": 1000.0, "y": 1000.0}, 1000 + np.log(3),
     {"x": 1 / 3, "y": 2 / 3}),
    ("x: weight[k]; f = log(mean(exp(x)))", {"x": [1000.0, 1000.0]}, 1000.0, {"x": [0.5, 0.5]}),
    ("x: weight[k]; q: data[k]; f = log(q @ exp(x))", {"x": [1000.0, 1000.0], "q": [1.0, 3.0]}, 1000 + np.log(4),
     {"x": [0.25, 0.75]}),
    ("x: weight; y: weight; f = sqrt(x**2 + y**2)", {"x": 3e200, "y": -4e200}, 5e200, {"x": 0.6, "y": -0.8}),
    ("x: weight; y: weight; f = sqrt(x*x + y*y)", {"x": 0.0, "y": 0.0}, 0.0, {"x": 0.0, "y": 0.0}),
    ("q: data[k] >= 0; x: weight[k]; f = sum(q*(log(q) - x))", {"q": [0.0, 1.0], "x": [3.0, 4.0]}, -4.0,
     {"x": [0, -1]}),
    ("q: data[k] >= 0; x: weight[k] > 0; f = sum(q*log(q/x))",
     {"q": [0.0, 1.0], "x": [3.0, 4.0]}, -np.log(4),
     {"x": [0, -0.25]}),
    ("q: weight[k] > 0; f = -sum(q*log(q))", {"q": [1e-300, 1.0]}, 690.7755278982137e-300,
     {"q": [689.7755278982137, -1]}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "given", "value", "slopes"), EXTREMES, ids=[e[0] for e in EXTREMES])
def test_extremes(text: str, given: dict[str, object], value: float, slopes: dict[str, object]) -> None:
    d = derived(text)
    arrays = {name: np.asarray(x, float) for name, x in given.items()}
    with np.errstate(divide="ignore"):  # an infinite slope is a value
        out = run(d.program, {"k": 2}, arrays)
    np.testing.assert_allclose(out["f"], value, rtol=1e-12)
    for name, slope in slopes.items():
        np.testing.assert_allclose(out[d.gradients[name]], slope, rtol=1e-11)
    if not ("log(exp" in text or "q @" in text):  # of some random numbers there is no logarithm
        assert check(d).ok


def test_a_positive_factor_keeps_its_logarithm() -> None:
    assert "xlog" not in str(derived("q: weight[k] > 0; f = -sum(q*log(q))").program)
    assert "xlog" in str(derived("q: weight[k]; f = -sum(q*log(q))").program)


def test_a_maximum_that_matters_is_not_held() -> None:
    for text in (
        "x: weight[n]; f = sum(exp(x - max(x)))",
        "x: weight[n]; m = max(x); y = x - m; f = sum(y)*m",
        "c: data; x: weight[n]; m = max(x); f = [c > 0.5 and c < 0.6]*sin(x[0] + m)",
    ):
        d = derived(text)
        assert "held" not in str(d.program)
        assert check(d).ok


def test_without_the_fact_it_is_not_p_minus_t() -> None:
    text = "z: weight[n, k]; t: data[n, k]; loss = -mean(sum(t*log(softmax(z)), axis=1))"
    d = derived(text)
    sums = [
        s for s in d.program.statements if "t" in s.reads and s.reduced and d.program[s.out].role == "adjoint"
    ]
    assert sums, d.program
    assert check(d).ok
    # nor where t is itself differentiated by, for then it moves off the simplex
    assert check(derived("z: weight[n, k]; t: data[n, k] & distribution; loss = -mean(sum(t*log(softmax(z)), axis=1))",
                         wrt=["z", "t"])).ok  # fmt: skip


BINARY = {
    "with logits": "loss = binary_cross_entropy_with_logits(z, t)",
    "student": "s = sigmoid(z); loss = -mean(t*log(s) + (1 - t)*log(1 - s))",
    "spelled out": "s = 1/(1 + exp(-z)); loss = -mean(t*log(s) + (1 - t)*log(1 - s))",
    "in one": "loss = -mean(t*log(sigmoid(z)) + (1 - t)*log(1 - sigmoid(z)))",
}


@pytest.mark.parametrize("loss", BINARY.values(), ids=BINARY)
def test_binary_cross_entropy_is_s_minus_t(loss: str) -> None:
    d = derived("z: weight[n]; t: 0 < data[n] < 1; " + loss)
    s = d.program.statements[-1]
    z, t = Access("z", s.left), Access("t", s.left)
    sigmoid = Access("s", s.left) if "s" in d.program.tensors else call("sigmoid", z)
    assert s.body == (sigmoid - t) / val(ints.size("n")), s
    assert check(d).ok
    for dtype in (np.float32, np.float64):
        given = {"z": np.array([1000, -1000, 0], dtype), "t": np.array([0.25, 0.5, 0.75], dtype)}
        with np.errstate(all="raise", under="ignore"):
            arrays = run(d.program, {"n": 3}, given, dtype)
        assert np.isfinite(arrays["loss"])
        np.testing.assert_allclose(arrays[s.out], np.array([0.75, -0.5, -0.25]) / 3, rtol=1e-6)


# ---------------------------------------------------------------------- held, stop


HELD_WRONGLY = {
    "where a bracket is seldom open": "c: data[k]; z: weight[n]; m = max(z);"
    "loss = [c[0] > 1 and c[1] > 1]*sin(z[0] + held(m)) + sum(c)",
    "a factor": "x: weight[n]; loss = sum(x*held(x))",
    "the step before": "x: data[t]; w: weight; h[t] = tanh(x[t] + w*held(h[t - 1])); h[-1] = 0; loss = sum(h)",
    "one side only": "z: weight[n, k]; m[n] = max(j, z[n, j]); loss = sum(n, log(sum(j, exp(z[n, j] - held(m[n])))))",
    "outside a domain": "z: weight[n]; v = 0.1*tanh(z); loss = sum(log(0.4 - held(v) - v))",
    "another sum": "z: weight[n, k]; m[n] = max(j, z[n, j]); s[n] = sum(j, exp(z[n, j] - held(m[n]))); loss = sum(s)",
}


@pytest.mark.parametrize("text", HELD_WRONGLY.values(), ids=HELD_WRONGLY)
def test_held_that_matters_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match=r"held.*stop"):
        derived(text)


def test_held_that_does_not_matter_is_taken() -> None:
    text = "z: weight[n, k]; m[n] = max(j, z[n, j]); loss = sum(n, held(m[n]) + log(sum(j, exp(z[n, j] - held(m[n])))))"
    assert check(derived(text)).ok
    # what is random to the proof, v, would be outside the domain of the logarithm
    text = "z: weight[n]; v = 0.1*tanh(z); u = log(0.4 - v - held(v) + held(v)); loss = sum(u**2)"
    assert check(derived(text)).ok
    # two writers
    first, second = "a[i] += z[i] - held(z[i]) + held(z[i])", "a[i] += z[i]*exp(held(z[i]) - held(z[i]))"
    text = f"z: weight[n]; a: zeros[n]; {first}; {second}; loss = sum(a)"
    assert check(derived(text)).ok
    # of one entry the logarithm is known without the sum, which holds a maximum and is read by nothing then
    assert sg.derive("z: weight[n, 1]; y: data[n, 1]; loss = sum(y*log_softmax(z))").check().ok


def test_stop_is_a_constant() -> None:
    d = derived("x: weight[n]; loss = sum(stop(x)*x)")
    assert str(d.program.statements[-1]) == "dx[n] = stop(x[n])"


# ---------------------------------------------------------------------- cost, determinism


def dense(layers: int, leaf: str = "tanh") -> Program:
    text = ["x0: data[n, 4]"]
    text += [f"x{k} = {leaf}(dense(x{k - 1}, 4))" for k in range(1, layers + 1)]
    return read("\n".join([*text, f"loss = mean(x{layers}**2)"]), definitions=DEFINITIONS)


@pytest.mark.parametrize("leaf", ["tanh", "relu", "sigmoid"])
def test_derivation_is_linear_in_depth(leaf: str) -> None:
    counts = []
    for layers in (5, 10, 20, 40):
        d = derive(dense(layers, leaf))
        nodes = sum(len(list(ex.walk(s.body))) for s in d.program.statements)
        counts.append((len(d.program.statements), len(d.steps), nodes))
    for k in range(3):
        a, b, c, e = (count[k] for count in counts)
        assert 0 < c - b == 2 * (b - a)
        assert e - c == 2 * (c - b)


# ---------------------------------------------------------------------- faults that were found once

FOUND = {
    "a slope that is zero everywhere": "x: weight[n]; y[i] = x[i]**2; loss = sum(i, sign(y[i]) + x[i])",
    "products of the others are there in time": "x: weight[n]; y: weight[n]; a = sum(i, x[i]**3);"
    "loss = a + prod(i, x[i]*y[i])",
    "the target may be a sum of exponentials": "x: weight[n]; loss = sum(exp(x))",
    "a bracket keeps the adjoint in range too": "x: weight[n];"
    "y[i < n] = x[i]**2 + [i < n - 1]*x[i + 1]*[x[i] > 0]; loss = sum(y**2)",
    "two brackets, one entry": "x: weight[n]; y: weight[n];"
    "z[i < n] = [i < n - 1]*x[i + 1]*y[i] + [i + 1 < n]*x[i + 1]*sin(y[i]); loss = sum(z**2)",
    "a bracket in every term": "x: weight[n]; y[i < n] = tanh([i + 1 < n]*x[i + 1]*(-1) + sin([i + 1 < n]*x[i + 1]));"
    "loss = sum(y**2)",
    "brackets under a factor": "x: weight[n];"
    "y[i < n] = exp([i < n - 1]*x[i + 1] + [i + 1 < n]*sin([i + 1 < n]*x[i + 1])); loss = sum(y**2)",
    "a quotient stays inside its bracket": "x: weight[n]; c: data[n]; m[i < n] = sum(j, [c[j] > 9]*x[j]);"
    "loss = sum(i, [m[i] != 0]*x[i]**2/m[i])",
    "two negative factors in a logarithm": "x: weight[n] < 0; y: weight[n] < 0; loss = sum(log(exp(x)*x/y))",
    "adjoints that are equal, scattered": "E: weight[v, d]; F: weight[v, d]; t: label[n] < v; "
    "loss = sum(n, k, sin(E[t[n], k] + F[t[n], k]))",
    "a shorter sum has no share": "z: weight[k]; s = sum(j < k - 1, exp(z[j] - held(max(j < k - 1, z[j]))));"
    "q[j] = exp(z[j] - held(max(j < k - 1, z[j])))/s; loss = sum(q**2)",
    "a condition on a neighbour": "x: weight[n];"
    "g[j] = [j != 1 and x[j] > 0]*log(2 + tanh([0 <= j - 1]*x[j - 1])); loss = g[0]*g[1]",
    "a diagonal and a transpose": "A: weight[n, n]; loss = sum(i, A[i, i]**2) + sum(i, j, A[i, j]*A[j, i]**2)",
    "written in part, read in full": "x: weight[n]; y: zeros[n + 1]; y[i + 1] += x[i]**2; y[0] += 3*x[0];"
    "z = exp(y); loss = sum(z*y)",
    "the same statement twice": "x: weight[n]; a: zeros[n]; a[i] += x[i]**2; a[i] += x[i]**2; loss = sum(a**2)",
    "one entry read three ways": "x: weight[n]; loss = sum(i, x[i]*x[n - 1 - i]*x[0])",
}  # fmt: skip


@pytest.mark.parametrize("text", FOUND.values(), ids=FOUND)
def test_found_once(text: str) -> None:
    program = read(text, definitions=DEFINITIONS)
    for passes in (tuple(PASSES), (), *((rule,) for rule in PASSES), tuple(reversed(PASSES))):
        d = derive(program, passes=passes)
        assert check(d).ok, (passes, str(d.program))


def test_a_bracket_hides_its_quotient() -> None:
    i, n = ints.axis("i"), ints.size("n")
    x, here = Access("x", (i,)), Bracket(Cmp("!=", Access("x", (i,)), ex.ZERO))
    assert ex.mul(here, ex.power(here, -1)) == ex.mul(ex.power(here, -1), here) == ex.power(here, 3) == here
    body = here / x * Access("w", (i,))
    statement = Statement("loss", (), "+=", body, (("i", n),))
    tensors = {"x": Tensor("x", (n,), "data"), "w": Tensor("w", (n,), "weight"), "loss": Tensor("loss")}
    d = derive(Program(tensors, (statement,), "loss", ("n",)))
    given = {"x": np.array([0.0, 2.0]), "w": np.array([np.inf, 3.0])}
    arrays = run(d.program, {"n": 2}, given)
    assert arrays["loss"] == 1.5
    assert arrays["dw"].tolist() == [0, 0.5]


def test_a_factor_that_may_be_infinite_stays_in_the_sum() -> None:
    """sum(j, [x[j] > 0]*y[j]/c[n]) with nothing to sum is zero, whatever c is."""
    d = derived("x: data[k]; y: weight[k]; c: weight[n]; loss = sum(n, j, [x[j] > 0]*y[j]/c[n])")
    arrays = run(d.program, {"n": 2, "k": 3}, {"x": -np.ones(3), "y": np.ones(3), "c": np.array([0.0, 1.0])})
    assert arrays["dc"].tolist() == [0, 0]
    assert arrays["dy"].tolist() == [0, 0, 0]


def test_the_target_may_be_wanted() -> None:
    d = derived("x: weight[n]; loss = sum(x**2)", wrt=["loss", "x"])
    assert run(d.program, {"n": 2}, {"x": np.ones(2)})[d.gradients["loss"]] == 1
    assert check(d).ok


def test_a_loss_that_does_not_depend() -> None:
    d = derived("x: weight[n]; y: weight[m]; loss = sum(x) + sum(sign(y))", wrt=["y", "x"])
    assert not run(d.program, {"n": 2, "m": 3}, {"x": np.ones(2), "y": np.ones(3)})[d.gradients["y"]].any()
    assert check(d).ok


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("X: weight[n, n]; loss = trace(X @ X @ X)", "3 * X.T @ X.T"),
        ("x: weight[n]; loss = (x @ x)**2", "4*sum(n, x[n]**2)*x"),
        ("A: constant[n, n]; X: weight[n, i]; loss = trace(X.T @ A @ X)", "A.T @ X + A @ X"),
    ],
)
def test_equal_contributions_are_counted(text: str, result: str) -> None:
    """Sums that differ in the names of their letters and the order of their factors are one."""
    d = sg.derive(text)
    assert str(next(iter(d.gradients.values()))) == result
    assert d.check().ok
