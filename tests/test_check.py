"""The check itself: it fails on planted faults, it reads kinks as intervals; and every row of the table of leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import symgrad as sg
from symgrad.chain import partial
from symgrad.check import steps
from symgrad.check.numeric import check
from symgrad.check.proof import TURNED, prove
from symgrad.check.together import MANY
from symgrad.exact.points import points as exact_points
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Access, Cmp, Expr, call, val
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.reader import read
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes
from symgrad.language.trace import Derived
from symgrad.leaves import LEAVES, Leaf
from symgrad.library import DEFINITIONS
from symgrad.passes import second
from symgrad.passes.derive import derive


def derived(text: str, **more: object) -> Derived:
    return derive(read(text, definitions=DEFINITIONS), **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- faults among many weights


@pytest.fixture(scope="module")
def deep() -> Derived:
    """More weights than are judged one by one, with a kink in every layer, and no gradient with an entry 0."""
    layers = "".join(f"; h{k + 1} = h{k} + abs(dense(h{k}, 3))/4" for k in range(MANY // 2 + 1))
    return derived(f"x: data[n, 3]; t: data[n, 3]; h0 = x/4{layers}; loss = mse(h{MANY // 2 + 1}, t)")


def test_many_weights_are_judged_at_once(deep: Derived, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a number of runs that does not grow with the number of weights."""
    runs = []
    monkeypatch.setattr(steps, "run", lambda *a, **k: runs.append(1) or run(*a, **k))
    verdict = check(deep)
    assert verdict.ok, verdict
    assert [r.name for r in verdict.rows] == list(deep.gradients)
    assert len(runs) < 80


@pytest.mark.parametrize("layer", [1, 8, 17])
@pytest.mark.parametrize("stem", ["W", "b"])
def test_a_fault_among_many_weights_is_caught(deep: Derived, stem: str, layer: int) -> None:
    """A thousandth of one gradient, or of one entry of it, is found and put down to that weight."""
    name = f"{stem}{layer}"
    axis = ints.axis(
        next(s for s in deep.program.statements if s.out == deep.gradients[name]).left[-1].axis or ""
    )
    one = ex.Bracket(Cmp("==", val(axis), ex.ONE))
    for fault in (ex.lift(Fraction(1001, 1000)), ex.ONE + one * Fraction(1, 1000)):
        verdict = check(changed(deep, name, lambda body, f=fault: body * f))
        assert not verdict.ok
        assert [r.name for r in verdict.rows if not r.error <= verdict.tolerance] == [name]


def test_faults_of_all_of_many_weights_are_caught(deep: Derived) -> None:
    """The cost stays bounded, and no weight passes for right that was not."""
    wrong = deep
    for k, name in enumerate(deep.gradients):
        wrong = changed(wrong, str(name), lambda body, k=k: body * Fraction(1001 + k, 1000))
    verdict = check(wrong)
    assert all(r.error > verdict.tolerance for r in verdict.rows)


def test_what_is_no_number_among_many_weights_is_caught(deep: Derived) -> None:
    given = inputs(deep.source, small_sizes(deep.source), np.random.default_rng(0))
    wrong = changed(deep, "b3", lambda body: body + call("log", ex.lift(-1)))
    with np.errstate(invalid="ignore"):
        verdict = check(wrong, given)
    assert [r.name for r in verdict.rows if not r.error <= verdict.tolerance] == ["b3"]


def test_a_wrong_rule_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stated derivative that is off by a thousandth, from the table to the verdict."""
    from symgrad import scalars
    from symgrad.language import scalar

    def clear() -> None:
        for f in (scalars.differentiate, scalars._function, scalar.leaf_derivative):
            f.cache_clear()

    wrong = replace(LEAVES["softplus"], derivative=("sigmoid(x)*1001/1000",))
    monkeypatch.setitem(LEAVES, "softplus", wrong)
    clear()
    try:
        verdict = check(derived("x: weight[n]; loss = sum(softplus(x))"))
    finally:
        monkeypatch.undo()
        clear()
    assert not verdict.ok
    assert 1e-4 < verdict.worst < 1e-2
    assert "DOES NOT AGREE" in str(verdict)


def test_a_wrong_value_is_caught_where_the_gradients_are_right() -> None:
    d = derived("x: weight[n]; loss = sum(x**2)")
    verdict = check(changed(d, "loss", lambda body: body * 2))
    assert not verdict.ok
    assert [r.name for r in verdict.rows if r.error > verdict.tolerance] == ["loss"]


def test_what_agrees_at_two_entries_only_is_caught() -> None:
    """A sum over n - 1 terms is one term at n = 2, and two signs are none."""
    shifted = derived("x: weight[n]; y[i < n - 1] = x[i + 1] - x[i]; loss = sum(y**2)/(n - 1)")
    verdict = check(changed(shifted, "loss", lambda body: body * ex.val(ints.size("n") - 1)))
    assert not verdict.ok
    assert verdict.sizes["n"] > 2
    product = derived("x: weight[n]; loss = prod(x)")
    assert not check(changed(product, "loss", lambda body: -body)).ok


def test_a_gradient_that_is_no_number_is_not_tried_elsewhere() -> None:
    """Inputs above zero are for formulas that need them, not for derivatives that do."""
    d = derived("x: weight[n]; loss = sum(tanh(x))")
    x = Access("x", (ints.axis("n"),))
    with np.errstate(invalid="ignore"):
        verdict = check(changed(d, "x", lambda body: body + call("abs", x) - call("sqrt", x) ** 2))
    assert not verdict.ok
    assert np.isnan(verdict.worst)


def test_a_wrong_gradient_is_caught_by_the_check_of_its_own_derivative() -> None:
    """A right derivative of a wrong gradient is not right."""
    program = read("x: weight[n]; loss = sum(exp(x)*x)", definitions=DEFINITIONS)
    d = second.hessian(program)
    assert check(d).ok
    base = d.base
    assert base is not None
    wrong = changed(base, "x", lambda body: body + 3)
    assert not check(replace(d, base=wrong)).ok


def test_a_computed_tensor_is_stepped_too() -> None:
    text = (
        "x: data[n, 4]; t: label[n] < 3; z = dense(tanh(dense(x, 5)), 3); loss = softmax_cross_entropy(z, t)"
    )
    d = derived(text, wrt=["z", "W1"])
    verdict = check(d)
    assert verdict.ok
    assert [r.name for r in verdict.rows] == ["z", "W1"]
    assert not check(changed(d, "z", lambda body: body * Fraction(1001, 1000))).ok


def changed(d: Derived, name: str, fault: Callable[[Expr], Expr]) -> Derived:
    """The derivation with another body where a gradient, or another tensor, is written."""
    out = d.gradients.get(name, name)
    statements = tuple(replace(s, body=fault(s.body)) if s.out == out else s for s in d.program.statements)
    return replace(d, program=replace(d.program, statements=statements))


@pytest.mark.parametrize("wrt", [["e"], ["s"], ["q"], ["z"], ["loss"], ["e", "s", "q", "z", "w"]], ids=str)
def test_no_pass_looks_through_what_is_wanted(wrt: list[str]) -> None:
    """The stable forms would make the loss independent of the exponentials, and their gradient zero."""
    d = derived(
        "w: weight[n, k]; t: label[n] < k; z = 2*w; e = exp(z); s[n] = sum(j, e[n, j]); q[n, j] = e[n, j]/s[n];"
        "loss = mean(n, -log(q[n, t[n]]))", wrt=wrt,
    )  # fmt: skip
    verdict = check(d)
    assert verdict.ok, verdict
    assert all(r.derived != 0 for r in verdict.rows)


def test_kinks_are_intervals() -> None:
    d = derived("x: weight[n]; loss = sum(abs(x) + relu(x)*2)")
    at_kink = check(d, {"x": np.array([0.0, 1.0, -1.0])})
    assert at_kink.ok
    assert at_kink.rows[0].kinks >= 1
    assert not check(changed(d, "x", lambda body: body + 4), {"x": np.zeros(3)}).ok


def test_ties_are_shared_or_go_to_the_first() -> None:
    x = {"x": np.array([2.0, 3.0, 3.0, 1.0])}
    shared = derived("x: weight[n]; loss = max(x)")
    assert run(shared.program, {"n": 4}, x)[shared.gradients["x"]].tolist() == [0, 0.5, 0.5, 0]
    assert check(shared, x).ok
    program = shared.source
    first = derive(replace(program, statements=tuple(replace(s, ties="first") for s in program.statements)))
    assert run(first.program, {"n": 4}, x)[first.gradients["x"]].tolist() == [0, 1, 0, 0]
    assert check(first, x).ok


def test_other_realisations_are_compared() -> None:
    d = derived("x: weight[n]; loss = sum(x**2)")
    x = np.array([1.0, 2.0])
    results = (lambda x: 2 * x, lambda x: 2.002 * x, lambda x: x[:1], lambda x: x * np.nan)
    good, wrong, short, nan = (lambda x, f=f: (x @ x, {"x": f(x)}) for f in results)
    verdict = check(d, {"x": x}, realisations={"good": good, "wrong": wrong, "short": short, "nan": nan})
    errors = {r.against: r.error for r in verdict.rows}
    assert errors["good"] == 0
    assert 1e-4 < errors["wrong"] < 1e-2
    assert errors["short"] == np.inf
    assert not verdict.ok
    assert np.isnan(verdict.worst)
    assert check(d, {"x": x}, realisations={"good": good}).ok
    assert not check(d, {"x": x}, realisations={"wrong value": lambda x: (1.001 * (x @ x), {"x": 2 * x})}).ok


# ---------------------------------------------------------------------- the table of leaves

TRUE: dict[str, Callable[..., object]] = {
    "abs": mpmath.fabs, "sign": mpmath.sign, "relu": lambda x: max(x, mpmath.mpf(0)), "maximum": max, "minimum": min,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "logsigmoid": lambda x: -mpmath.log(1 + mpmath.exp(-x)),
    "logaddexp": lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)),
    "log1mexp": lambda x: mpmath.log(1 - mpmath.exp(-x)), "logcosh": lambda x: mpmath.log(mpmath.cosh(x)),
    "round": mpmath.nint, "xlogy": lambda x, y: x * mpmath.log(y),
    "xlogx": lambda x: x * mpmath.log(x), "sinc": mpmath.sincpi,
    "dsinc": lambda x: mpmath.diff(mpmath.sincpi, x),
}  # fmt: skip
OVERFLOWS = ("exp", "expm1", "sinh", "cosh")  # leaves that no form can keep finite at a thousand
POSITIVE = ("log", "sqrt", "log1p", "log1mexp", "xlogy", "xlogx")
BOUNDED = ("asin", "acos", "atanh")


def evaluate(body: Expr, values: dict[str, np.ndarray], dtype: type = np.float64) -> np.ndarray:
    """A body of vectors, run by the reference."""
    n = ints.size("n")
    i = ints.axis("i")
    shown = ex.rewrite(body, lambda e: Access(e.tensor, (i,)) if isinstance(e, Access) else None)
    tensors = {name: Tensor(name, (n,), "data") for name in values} | {"out": Tensor("out", (n,))}
    statement = Statement("out", (i,), "=", shown, (("i", n),))
    program = Program(tensors, (statement,), "out", ("n",))
    return run(program, {"n": len(next(iter(values.values())))}, values, dtype)["out"]


def parts(leaf: Leaf) -> tuple[Expr, list[Expr]]:
    entries = [Access(p, ()) for p in leaf.params]
    body = call(leaf.name, *entries)
    return body, [partial(body, e) for e in entries]


def points(leaf: Leaf) -> dict[str, np.ndarray]:
    low, high = leaf.domain
    steps = np.linspace(low, high, 23)[1:-1] + 0.0123 * (high - low) / 4
    return {p: np.roll(steps, 7 * k) for k, p in enumerate(leaf.params)}


@pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES)
def test_leaf_is_what_it_says(leaf: Leaf) -> None:
    """Values against mpmath at 30 digits; derivatives against mpmath's and against complex steps."""
    mpmath.mp.dps = 30
    true = TRUE.get(leaf.name) or getattr(mpmath, leaf.name)
    body, slopes = parts(leaf)
    at = points(leaf)
    values = evaluate(body, at)
    exact = [true(*map(mpmath.mpf, row)) for row in zip(*at.values(), strict=True)]
    for value, e, *row in zip(values, exact, *at.values(), strict=True):
        # relative, unless the leaf has a zero nearby
        assert abs(mpmath.mpf(value) - e) <= 1e-14 * max(abs(e), 0.02 * max(map(abs, row))), (row, value, e)
    for k, (p, slope) in enumerate(zip(leaf.params, slopes, strict=True)):
        own = evaluate(slope, at)
        order = tuple(int(j == k) for j in range(len(leaf.params)))
        for value, *row in zip(own, *at.values(), strict=True):
            e = (
                mpmath.diff(true, tuple(map(mpmath.mpf, row)), order)
                if set(leaf.derivative or ()) != {"0"}
                else 0
            )
            assert abs(value - e) <= 1e-12 * max(1, abs(e)), (row, value, e)
        stepped = evaluate(body, {**at, p: at[p] + 1e-30j}).imag / 1e-30
        np.testing.assert_allclose(own, stepped, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES)
def test_leaf_is_finite_far_out(leaf: Leaf, dtype: type) -> None:
    """At a thousand, and its derivative too, without a warning, wherever the function has a value there."""
    far = [1000.0, 100.0, 10.0, 1e-3]
    far = [x for x in [*far, *(-x for x in far), 0.0] if not (leaf.name in POSITIVE and x <= 0)]
    far = [x for x in far if not (leaf.name in BOUNDED and abs(x) >= 1 or leaf.name == "acosh" and x <= 1)]
    far = [
        x
        for x in far
        if not (leaf.name in OVERFLOWS and (x if leaf.name in ("exp", "expm1") else abs(x)) > 80)
    ]
    body, slopes = parts(leaf)
    if len(leaf.params) == 2:
        grid = np.array([(a, b) for a in far for b in far], dtype).T
        at = dict(zip(leaf.params, grid, strict=True))
    else:
        at = {leaf.params[0]: np.array(far, dtype)}
    with np.errstate(all="raise", under="ignore"):
        for e in (body, *slopes):
            assert np.isfinite(evaluate(e, at, dtype)).all(), e


CONVENTIONS = {
    "abs": [0.0], "sign": [0.0], "relu": [0.0], "maximum": [0.5, 0.5], "minimum": [0.5, 0.5],
    "round": [0.0], "floor": [0.0], "ceil": [0.0], "hypot": [0.0, 0.0], "atan2": [0.0, 0.0],
}  # fmt: skip


def test_kink_conventions() -> None:
    kinked = [leaf for leaf in LEAVES.values() if leaf.kinks]
    assert [leaf.name for leaf in kinked] == list(CONVENTIONS)
    for leaf in kinked:
        _, slopes = parts(leaf)
        at = {p: np.array([0.0]) for p in leaf.params}
        assert [float(evaluate(s, at)[0]) for s in slopes] == CONVENTIONS[leaf.name]


@pytest.mark.parametrize(
    "text",
    [
        "x: weight[n]; loss = sum(log(x))",
        "x: weight[n]; loss = sum(acosh(x))",
        "X: data[n, d]; w: weight[d]; loss = -sum(log(X @ w))",
        "p: weight[n]; t: data[n]; loss = -mean(t*log(p) + (1 - t)*log(1 - p))",
    ],
)
def test_points_lie_where_the_formula_is_defined(text: str) -> None:
    """A first formula of a student says nothing about the signs of its inputs."""
    assert sg.derive(text).check().ok


def test_a_formula_that_is_defined_nowhere_is_said_to_be() -> None:
    with pytest.raises(sg.SymgradError, match="declare where the inputs lie"):
        sg.derive("x: weight[n]; loss = sum(log(-x**2))").check()


# ---------------------------------------------------------------------- where nothing is finite

ENDLESS = {"sqrt(x)": [0.0, 1.0, 4.0], "x**(1/4)": [0.0, 2.0, 1.0]}


@pytest.mark.parametrize("leaf", ENDLESS)
def test_an_infinite_slope_agrees_and_all_else_is_judged_as_ever(leaf: str) -> None:
    traced = derived(f"x: weight[n]; y: weight[n]; loss = sum({leaf}*exp(y)) - sum(x**2)")
    given = {"x": ENDLESS[leaf], "y": [0.5, -0.5, 0.25]}
    right = check(traced, given)
    assert right.ok, right

    def times(factor: int) -> Derived:
        return changed(traced, "x", lambda e: ex.mul(factor, e))

    assert not check(times(-1), given).ok
    assert not check(times(2), given).ok
    assert not check(changed(traced, "y", lambda e: ex.mul(2, e)), given).ok


@pytest.mark.parametrize("digits", [None, 50])
@pytest.mark.parametrize(("leaf", "x"), [("sqrt(x)", 0.0), ("-sqrt(1 - x)", 1.0), ("acos(x)", 1.0)])
def test_the_sign_of_an_infinite_slope_is_judged(leaf: str, x: float, digits: int | None) -> None:
    """Also where the steps to one side lead out of what is defined, and nothing else is there to fail."""
    traced = derived(f"x: weight[n]; loss = sum({leaf})")
    right = check(traced, {"x": [x]}, digits=digits)
    assert right.ok, right
    assert np.isinf(right.rows[0].derived)
    assert not check(changed(traced, "x", lambda e: ex.mul(-1, e)), {"x": [x]}, digits=digits).ok


@pytest.mark.parametrize(("x", "told"), [(-1.0, "loss is nan"), (0.0, "loss is -inf")])
def test_without_a_finite_value_nothing_is_judged(x: float, told: str) -> None:
    d = sg.derive("x: weight[n]; loss = sum(log(x))")
    for way in ({}, {"digits": 30}):
        with pytest.raises(sg.SymgradError, match=told):
            d.check({"x": [1.0, x]}, **way)
    with pytest.raises(sg.SymgradError, match="loss or its slope is not finite"):
        d.check({"x": [1.0, x]}, exact=True)
    assert d.check(exact=True).exact  # at points above zero


def test_corners_along_one_number() -> None:
    """Several kinks met at once by a weight without axes."""
    inner = "([a < m]*y[a] + x)"
    lines = (
        "y: weight[m] > 0",
        "x: weight",
        (
            f"h0[a < m] = [abs(-(sum(q00, y[q00]*2))) > ({inner} if {inner} > 0 else stop(x))]"
            f"*({inner} if {inner} > 0 else stop(x))"
        ),
        (
            "h1[a < m] = max(([x > [a < m]*h0[a]]*[a < m]*h0[a] if [x > [a < m]*h0[a]]*[a < m]*h0[a] > 0 else sin(x)),"
            " ([a < m]*y[a])**3/7/(1 + (max([a < m]*y[a], [a < m]*y[a]))**2))"
        ),
        "loss = sum(y**2) + x**2 + mean(h0**2) + sum(h1**2) + x",
    )
    verdict = sg.derive("\n".join(lines)).check()
    assert verdict.ok, verdict


# ---------------------------------------------------------------------- branches that numbers near 0 never take

FAR = ("relu(x - 50)**2", "relu(x/100 - 5)**2", "relu(mean(x) - 1000)", "[abs(x) > 20]*x**3")


@pytest.mark.parametrize("term", FAR)
def test_a_branch_is_judged_wherever_it_lies(term: str) -> None:
    right = derived(f"x: weight[n]; loss = sum({term}) + sum(x**2)/1000")
    near = derive(read("x: weight[n]; loss = sum(x**2)/1000"))
    wrong = replace(right, program=near.program, gradients=near.gradients)
    assert check(right).ok
    assert prove(right).ok
    assert not check(wrong).ok
    assert not prove(wrong).ok


@pytest.mark.parametrize(("right", "wrong"), [(6, 5), (20, 19), (20, 21), (-7, -8), (-7, -6)])
def test_a_bound_beside_the_right_one_is_noticed(right: int, wrong: int) -> None:
    text = "x: weight[n, k]; loss = sum([x < {0}]*x + {0}*[x >= {1}])"
    d = derived(text.format(right, right))
    moved = replace(derived(text.format(right, wrong)), source=d.source)
    assert check(d).ok
    assert prove(d).ok
    assert not check(moved).ok
    assert not prove(moved).ok


def test_a_bound_between_sizes_is_met_from_both_sides_however_many_there_are() -> None:
    d = derived("x: weight[n, k, h, u, m]; loss = sum(i, a, b, c, d, [i < m]*x[i, a, b, c, d]**2)")
    sides = {p.sizes["n"] > p.sizes["m"] for p in exact_points(d, turned=TURNED)}
    assert sides == {True, False}


@pytest.mark.parametrize("x", [float("nan"), float("inf")])
@pytest.mark.parametrize("way", [{"exact": True}, {"digits": 30}], ids=str)
def test_what_is_not_finite_is_no_exact_number(x: float, way: dict[str, int]) -> None:
    with pytest.raises(sg.SymgradError, match=f"x holds {x}, which is no exact number"):
        sg.derive("x: weight[n]; loss = sum(x**2)").check({"x": [1.0, x]}, **way)


def test_a_proof_says_at_what_numbers_it_was_tried() -> None:
    d = sg.derive("x: weight[n]; loss = sum(abs(x))")
    assert "at the numbers given" in str(d.check({"x": [2.0, 1.0]}, exact=True))
    assert "at a kink" in str(d.check({"x": [0.0, 1.0]}, exact=True))
    assert "at random fractions" in str(d.check(exact=True))


@pytest.mark.parametrize(
    "asked, said",
    [
        ({"seed": -1}, "seed must be a whole number from 0, not -1"),
        ({"seed": "a", "exact": True}, "seed must be a whole number from 0, not 'a'"),
        ({"entries": 1.5}, "entries must be a whole number from 1, not 1.5"),
        ({"tolerance": "a"}, "tolerance must be a number above 0, not 'a'"),
        ({"tolerance": float("nan")}, "tolerance must be a number above 0, not nan"),
        ({"digits": 2.0}, "digits must be a whole number from 20 to 1000, not 2.0"),
        ({"given": {"x": [1 + 1j, 2]}}, "x holds complex numbers: give real ones"),
        ({"given": {"x": [1 + 1j, 2]}, "exact": True}, "x holds complex numbers: give real ones"),
    ],
)
def test_arguments_that_are_none(asked: dict, said: str) -> None:
    d = sg.derive("x: weight[n]; loss = sum(x**2)")
    with pytest.raises(sg.SymgradError) as refused:
        d.check(**asked)
    assert said in str(refused.value)
    assert d.check(digits=np.int64(30), seed=np.int64(3))


def test_only_what_is_differentiated_by_needs_a_slope() -> None:
    d = sg.derive("x: data[n]; w: weight; loss = sum(w*sqrt(x))")
    assert d.check({"x": [0.0, 4.0], "w": 2.0}, exact=True)
