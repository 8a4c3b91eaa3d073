"""`symgrad study rate`: the largest stable rate predicted and found, and the names of runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symgrad.errors import SymgradError
from symgrad.study.arguments import Study
from symgrad.study.command import STUDIES, main
from symgrad.study.curvature import ends
from symgrad.study.minimum import minimum
from symgrad.study.plots import apart
from symgrad.study.rate import rate
from symgrad.study.regimes import NAMES, Run, best, descent, measured, named
from symgrad.study.setting import Setting
from symgrad.study.stable import edge, returns

BOWL = "x: weight[n]; A: constant[n, n] & symmetric; b: constant[n]; loss = x @ A @ x/2 - b @ x"
SMALL = """
x: data[n, 4]
t: label[n] < 3
h = tanh(dense(x, 6))
loss = softmax_cross_entropy(dense(h, 3), t) + l2(W1, 0.001) + l2(W2, 0.001)
"""
SMOOTH = """
x: data[n, 64]
t: label[n] < 10
h = softplus(dense(x/16, 8))
loss = softmax_cross_entropy(dense(h, 10), t) + l2(W1, 0.001) + l2(b1, 0.001) + l2(W2, 0.001)
"""


def symmetric(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """A matrix of these eigenvalues in directions drawn at random."""
    q, _ = np.linalg.qr(rng.standard_normal((values.size, values.size)))
    a = (q * values) @ q.T
    return (a + a.T) / 2


class Quadratic:
    """The same functions as a setting has, of a matrix: many are drawn, and each derivation takes its time."""

    def __init__(self, matrix: np.ndarray):
        self.matrix, self.count = matrix, 1

    def loss_and_gradient(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        return float(w @ self.matrix @ w) / 2, self.matrix @ w

    def gradient(self, w: np.ndarray) -> np.ndarray:
        return self.matrix @ w

    def product(self, w: np.ndarray, v: np.ndarray) -> np.ndarray:
        return self.matrix @ v


def run(bowl: Quadratic, eta: float, start: np.ndarray, steps: int) -> Run:
    return measured(eta, descent(bowl, eta, start, steps), steps)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- λ


@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from(["any", "near", "twice", "low"]))
@settings(max_examples=60)
def test_largest_and_least_eigenvalue(seed: int, size: int, kind: str) -> None:
    """By products alone, they are those of LAPACK, within the bound that is told."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(size) * 10 ** rng.uniform(-3, 3)
    if kind == "near":
        values[: size // 2] = values.max() * (1 - 1e-6)
    elif kind == "twice":
        values = np.repeat(values[: size // 2 + 1], 2)[:size]
    elif kind == "low":
        values = -np.abs(values)
    a = symmetric(rng, values)
    true, found = np.linalg.eigvalsh(a), ends(lambda v: a @ v, size, seed=seed)
    scale = np.abs(true).max()
    assert abs(found.largest - true[-1]) <= min(1e-6 * scale, found.error + 1e-13 * scale)
    assert abs(a @ found.direction - found.largest * found.direction).max() <= found.error + 1e-12 * scale
    assert found.least >= true[0] - 1e-12 * scale
    assert np.abs(true - found.least).min() <= found.least_error + 1e-12 * scale
    assert found.limit == (2 / found.largest if found.largest > 0 else np.inf)


def test_a_matrix_of_no_numbers() -> None:
    assert np.isnan(ends(lambda v: v * np.nan, 3).largest)
    assert ends(lambda v: 0 * v, 3).limit == np.inf


# ---------------------------------------------------------------------- names


@given(st.integers(0, 10**6), st.integers(2, 6), st.lists(st.floats(0.02, 2.9), min_size=3, max_size=3))
@settings(max_examples=20)
def test_names_on_quadratics(seed: int, size: int, shares: list[float]) -> None:
    """Up to 1/λ no step turns back: slow or good. Beyond 2/λ diverging. In between never either of slow and diverging;
    and oscillating where the sharpest direction is also the one that shrinks most slowly, beyond 2/(λ₁ + λₙ)."""
    rng = np.random.default_rng(seed)
    values = np.sort(10 ** rng.uniform(-1.5, 0, size)) * 10 ** rng.uniform(-2, 2)
    bowl, start = Quadratic(symmetric(rng, values)), rng.standard_normal(size) + 0.1
    shares = [s for s in shares if min(abs(s - 1), abs(s - 2)) > 0.03]
    runs = [run(bowl, s / values[-1], start, 300) for s in [*shares, 0.5, 1.5]]
    for share, r in zip(shares, runs, strict=False):
        name = named(r, best(runs))
        if share < 1:
            assert name in ("slow", "good"), share
            assert r.turning == 0
        elif share > 2:
            assert name == "diverging", share
        elif r.rate > 1.05 * 2 / (values[-1] + values[0]):
            assert name == "oscillating", share
        else:
            assert name in ("good", "oscillating"), share


def test_one_direction_has_the_four_names() -> None:
    """In one dimension they are those of LeCun and others: nothing is left open."""
    bowl = Quadratic(np.array([[3.0]]))
    shares = np.array([0.004, 0.05, 0.3, 0.9, 0.99, 1.01, 1.5, 1.99, 2.01, 3.0, 40.0])
    runs = [run(bowl, s / 3, np.ones(1), 300) for s in shares]
    assert [named(r, best(runs)) for r in runs] == (
        ["slow"] * 2 + ["good"] * 3 + ["oscillating"] * 3 + ["diverging"] * 3
    )


def run_of(*losses: float, cosine: float = 1.0) -> Run:
    values = np.array(losses)
    return Run(0.1, values, np.full(len(values) - 2, cosine), np.ones(len(values)), np.zeros(1))


def test_names_of_losses() -> None:
    """Each clause of the criterion, by a run that only it names."""
    lowest = Run(1.0, np.linspace(1, 0, 101), np.ones(99), np.ones(101), np.zeros(1))
    falls = np.linspace(1, 0.4, 101)
    assert named(run_of(*falls), lowest) == "good"
    assert named(run_of(*np.linspace(1, 0.95, 101)), lowest) == "slow"
    assert named(run_of(*falls, cosine=-0.1), lowest) == "oscillating"
    assert named(run_of(*(falls + 0.01 * np.cos(np.pi * np.arange(101)))), lowest) == "oscillating"
    assert named(run_of(*falls[:-1], np.inf), lowest) == "diverging"
    assert named(run_of(*np.linspace(1, 1.1, 101)), lowest) == "diverging"
    assert named(run_of(*np.linspace(1, 0.1, 70), *np.linspace(0.1, 0.2, 31)), lowest) == "diverging"
    assert named(run_of(1, 9, *np.full(99, 0.9)), lowest) == "diverging"  # thrown away, and not back
    assert named(run_of(1, 9, *np.linspace(0.9, 0.3, 99)), lowest) == "good"  # thrown away, and back
    assert named(run_of(*falls), None) == "diverging"
    slopes, cosines = np.ones(101), np.ones(99)
    slopes[40:], cosines[40:] = 1e-9, -1  # it has converged, and what turns back is rounding
    done = Run(0.1, falls, cosines, slopes, np.zeros(1))
    assert named(done, lowest) == "good"
    assert done.turning == 0


@pytest.mark.parametrize(
    ("network", "options"),
    [("logistic", {}), pytest.param("digits", {"examples": 300}, marks=pytest.mark.long)],
)
def test_four_names_on_shipped_data(network: str, options: dict[str, int]) -> None:
    told = rate(network, steps=150, **options)
    r = told.result
    assert set(r.names) == set(NAMES)
    order = [NAMES.index(name) for name in r.names]
    assert order == sorted(order)  # from slow to diverging
    assert r.losses.shape == (13, 151)
    assert (r.final < r.losses[0, 0]).all() or r.names[int(np.argmax(r.final))] == "diverging"
    low, high = r.found
    assert r.rates[r.stable][-1] <= low < high <= r.rates[~r.stable][0]
    assert high < 1.002 * low


# ---------------------------------------------------------------------- the largest stable rate


@given(st.integers(0, 10**6), st.integers(1, 8))
@settings(max_examples=8)
def test_limit_of_quadratics(seed: int, size: int) -> None:
    """What brings gradient descent back, found by bisection, is what LAPACK's eigenvalue predicts, to a millionth."""
    rng = np.random.default_rng(seed)
    bowl = Quadratic(symmetric(rng, 10 ** rng.uniform(-1, 1, size)))
    limit, start = 2 / np.linalg.eigvalsh(bowl.matrix)[-1], rng.standard_normal(size) + 0.1
    found = edge(
        lambda r: returns(bowl, np.zeros(size), start, r, 400),  # type: ignore[arg-type]
        limit * rng.uniform(0.3, 3),
        limit * rng.uniform(3, 9),
        tolerance=1e-6,
    )
    assert np.mean(found) == pytest.approx(limit, rel=2e-6)


@pytest.mark.parametrize(
    "size", [5, pytest.param(1, marks=pytest.mark.long), pytest.param(12, marks=pytest.mark.long)]
)
def test_limit_of_a_declared_quadratic(size: int) -> None:
    """Predicted from the derived Hessian to a millionth; found beside the minimum to 0.00001, and among runs from the
    start to 0.003."""
    rng = np.random.default_rng(size)
    a, b = symmetric(rng, 10 ** rng.uniform(-1, 1, size)), rng.standard_normal(size)
    r = rate(BOWL, values={"A": a, "b": b}, near_minimum=True, rates=[0.01]).result
    limit = 2 / np.linalg.eigvalsh(a)[-1]
    assert r.predicted == pytest.approx(limit, rel=1e-6)
    assert r.minimum.converged
    assert r.minimum.point == pytest.approx(np.linalg.solve(a, b), rel=1e-6, abs=1e-6)
    assert np.mean(r.back) == pytest.approx(limit, rel=2e-5)
    start = {"A": a, "b": b, "x": rng.standard_normal(size)}
    started = rate(BOWL, values=start, rates=limit * np.array([0.3, 3])).result
    assert started.predicted == pytest.approx(limit, rel=1e-6)
    assert np.mean(started.found) == pytest.approx(limit, rel=3e-3)


@pytest.mark.parametrize(
    ("text", "data", "examples"),
    [
        (SMALL, "iris.csv", None),
        pytest.param(SMOOTH, "digits.csv", 300, marks=pytest.mark.long),
        pytest.param(SMOOTH.replace("softplus", "tanh"), "digits.csv", 300, marks=pytest.mark.long),
    ],
)
def test_limit_near_a_minimum_of_a_smooth_network(text: str, data: str, examples: int | None) -> None:
    """Promised within a tenth; the perturbation is so small that a thousandth holds."""
    path = Path(__file__).parent.parent / "symgrad" / "data" / data
    r = rate(text, path, near_minimum=True, examples=examples, steps=100, rates=[0.01]).result
    assert r.minimum.converged
    assert r.at.least > 0  # a minimum, and no saddle
    assert np.mean(r.back) == pytest.approx(r.predicted, rel=1e-3)


def test_a_wrong_hessian_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found owes nothing to what is predicted: a product off by a quarter moves the prediction alone."""
    right = Setting.product
    monkeypatch.setattr(Setting, "product", lambda self, w, v: 1.25 * right(self, w, v))
    a = np.array([[2.0, 1.0], [1.0, 3.0]])
    r = rate(BOWL, values={"A": a, "b": np.ones(2)}, near_minimum=True, steps=50, rates=[0.01]).result
    limit = 2 / np.linalg.eigvalsh(a)[-1]
    assert r.predicted == pytest.approx(limit / 1.25)
    assert np.mean(r.back) == pytest.approx(limit, rel=1e-4)


def test_edges() -> None:
    assert edge(lambda x: x < 100, 1.0, 2.0)[1] >= 100
    assert edge(lambda x: x < 0.01, 1.0, 2.0)[0] < 0.01
    assert edge(lambda x: True, 1.0, 2.0)[1] == np.inf
    assert edge(lambda x: False, 1.0, 2.0)[0] == 0
    bowl = Quadratic(np.diag([1.0, 4.0]))
    assert returns(bowl, np.zeros(2), np.ones(2), 0.499, 400)  # type: ignore[arg-type]
    assert not returns(bowl, np.zeros(2), np.ones(2), 0.501, 400)  # type: ignore[arg-type]


def test_minimum_of_a_curved_valley() -> None:
    """Rosenbrock's: from its usual start, over a saddle of curvature, to (1, 1)."""
    s = Setting("w: weight[2]; loss = (1 - w[0])**2 + 100*(w[1] - w[0]**2)**2")
    found = minimum(s, np.array([-1.2, 1.0]))
    assert found.converged
    assert found.point == pytest.approx(np.ones(2), abs=1e-6)


def test_no_minimum_to_come_to() -> None:
    """Classes that can be told apart: ever larger weights do ever better, and that is told."""
    told = rate(
        "x: data[n]; t: data[n]; w: weight; loss = mean(softplus(-t*w*x))",
        {"x": [1.0, 2.0, -1.0], "t": [1.0, 1.0, -1.0]},
        near_minimum=True,
        rates=[1.0],
        steps=8,
    )
    assert not told.result.minimum.converged
    assert "That is no minimum" in " ".join(str(told).split())


# ---------------------------------------------------------------------- what is told


def test_report() -> None:
    told = rate(BOWL, values={"A": [[2, 0], [0, 5]], "b": [1, 1]}, rates=[0.001, 0.2, 0.39, 0.5])
    text = str(told)
    assert "2/λ = 0.4" in text
    assert all(name in text for name in NAMES)
    assert max(map(len, text.splitlines())) <= 80
    assert told.result.names == NAMES
    assert list(told.plots) == ["curves", "ends"]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (
            "w: weight[2]; loss = (w[0]**2 - 1)**2/2 + w[1]**2 - 3",
            1.0,
        ),  # a saddle at the start, a loss below 0
        pytest.param("w: weight[2]; loss = w[0] - w[1]", np.inf, marks=pytest.mark.long),  # no curvature
        pytest.param("w: weight[2]; loss = -(w[0] - 1)**2", np.inf, marks=pytest.mark.long),  # none upwards
    ],
)
def test_losses_that_bend_down(text: str, limit: float, tmp_path) -> None:
    told = rate(text, steps=20)
    assert told.result.predicted == pytest.approx(limit)
    assert ("curvature sets no limit" in str(told)) == (limit == np.inf)
    pytest.importorskip("matplotlib")
    made = told.save(tmp_path / "out")
    assert [p.name for p in made] == ["report.html", "curves.svg", "curves.png", "ends.svg", "ends.png"]
    assert made[0].read_text("utf-8").count("<svg") == 2


def test_other_optimisers_and_batches() -> None:
    """Their runs are named too, and the report says whose prediction it is."""
    told = rate("logistic", optimizer="momentum", batch_size=50, steps=8, rates=[1e-4, 0.01])
    assert told.result.losses.shape == (2, 9)
    assert "not plain gradient descent" in " ".join(str(told).split())
    whole = rate("logistic", optimizer="sgd", steps=8, rates=[0.01]).result
    also = rate("logistic", optimizer="sgd", batch_size=150, steps=8, rates=[0.01]).result
    assert also.losses == pytest.approx(whole.losses, rel=1e-9)  # a batch of all examples is gradient descent


def test_labels_keep_apart() -> None:
    found = apart([0.99, 0.5, 0.99, 0.0, 0.01, 0.99], 0.05)
    order = np.sort(found)
    assert (np.diff(order) > 0.05 - 1e-9).all()
    assert order[0] >= 0
    assert order[-1] <= 1
    assert found[1] == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rates": [0.1, -1]}, "learning rates are positive numbers, such as 0.01,0.1,1, not 0.1,-1"),
        ({"rates": []}, "not none"),
        ({"steps": 3}, "at least 8 steps"),
        ({"batch_size": 0}, "a batch has at least 1 example, not 0"),
        ({"batch_size": 4}, "a batch of 4 needs data with an axis of examples"),
    ],
)
def test_what_cannot_be_used(options, message: str) -> None:
    with pytest.raises(SymgradError, match=message):
        rate("w: weight[2]; loss = w @ w", **options)


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert all(isinstance(s, Study) for s in STUDIES)
    bowl = "x: weight[2]; A: constant[2, 2] & symmetric; loss = x @ A @ x/2"
    assert main(["rate", bowl, "--value", "A=[[2, 0], [0, 5]]", "--rates", "0.1,0.3,1"]) == 0
    assert "2/λ = 0.4" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main(["rate", bowl, "--rates", "fast"])
    assert left.value.code == 2
    assert "takes numbers such as 0.01,0.1,1, not 'fast'" in capsys.readouterr().err
