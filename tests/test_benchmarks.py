"""The benchmarks' own arithmetic, and that a competitor who computes something else is found out.

No peer need be installed; nothing here is a matter of time.
"""

import importlib
import json

import numpy as np
import pytest
from benchmarks import __main__ as command
from benchmarks import deriving, driver, machine, memory, table
from benchmarks.agreement import disagreement
from benchmarks.cases import CASES, start
from benchmarks.competitors import COMPETITORS, Competitor
from benchmarks.peers import by_hand

import symgrad as sg
from symgrad import emit


def record(competitor: str, *milliseconds: float, network="c", optimizer="sgd", threads=1, **more) -> dict:
    times = [t / 1000 for t in milliseconds]
    head = {"network": network, "optimizer": optimizer, "threads": threads, "competitor": competitor}
    return head | ({"wall": times, "cpu": [t / 2 for t in times]} if times else {}) | more


PLANTED = [
    record("fast", 3, 1, 2, 2, 90),
    record("wall", 1, 1, 1, 1, 1),
    record("plain", 5, 5, 3, 4, 9),
    record("torch", 4, 4, 4, 4, 4),
    record("jax", 1.5, 1.6, 1.6, 1.6, 1.7),
    record("jax loop", 0.1, 0.1, 0.1, 0.1, 0.1),
    record("autograd", fault="needs autograd, not installed"),
    record("pytensor", fault="disagrees: the loss is 1, not 2"),
]


# ---------------------------------------------------------------------- statistics and the table


def test_medians_and_ratios() -> None:
    (row,) = table.rows(PLANTED)
    assert row.seconds == pytest.approx(
        {"wall": 0.001, "plain": 0.005, "fast": 0.002, "torch": 0.004, "jax": 0.0016, "jax loop": 0.0001}
    )
    assert row.fastest == "jax"  # the loop is no single step, and the wall is no framework
    assert row.ratio(table.FRAMEWORK) == pytest.approx(1.25)
    assert row.ratio(table.WALL) == pytest.approx(2)
    assert row.ratio(table.PLAIN) == pytest.approx(0.4)
    assert table.rows(PLANTED, "cpu")[0].seconds["fast"] == pytest.approx(0.001)
    assert table.spread([3, 1, 2, 2, 90]) == pytest.approx(0.25)
    assert table.spread([7]) == 0


def test_settings_are_not_mixed() -> None:
    made = table.rows([record("fast", 1), record("fast", 2, threads=2), record("fast", 3, optimizer="adam")])
    assert [(row.optimizer, row.threads, row.seconds["fast"]) for row in made] == [
        ("sgd", 1, 0.001),
        ("sgd", 2, 0.002),
        ("adam", 1, 0.003),
    ]


@pytest.mark.parametrize(
    "ratio, figure, letter, told",
    [
        (1.05, 1.05, "c", "met"),
        (1.08, 1.05, "c", "within the noise"),
        (1.155, 1.05, "c", "missed by 10%"),
        (0.62, 0.5, "a", "within the noise"),
        (1.0, 0.5, "a", "missed by 100%"),
    ],
)
def test_verdicts(ratio: float, figure: float, letter: str, told: str) -> None:
    assert table.verdict(ratio, figure, letter) == told


def test_table() -> None:
    text = table.markdown(table.rows(PLANTED), judged=True)
    assert "| c MLP 784-256-128-10, batch 128 | sgd | 1 | 1 | 5 ±10% | 2 ±25% | 4 | **1.6** | 0.1 |" in text
    assert "| c | sgd | 1 | fastest framework, jax | 1.25 | 1.05 | missed by 19% |" in text
    assert "| c | sgd | 1 | bare products | 2.00 | 1.10 | missed by 82% |" in text
    assert "| c | sgd | 1 | plain NumPy | 0.40 | 1.00 | met |" in text
    assert "| c | sgd | 1 | 20.00 |" in text  # against the loop
    assert "- autograd on c: needs autograd, not installed" in text
    assert "- pytensor on c: disagrees: the loss is 1, not 2" in text
    assert "missed" not in table.markdown(table.rows(PLANTED), judged=False)


def test_table_without_frameworks() -> None:
    rows = table.rows([record("fast", 2), record("plain", 3)])
    assert rows[0].fastest is None
    assert "fastest framework," not in table.markdown(rows, judged=True)


def test_every_figure_is_told() -> None:
    """A figure for a setting that no row could have would never be judged."""
    for against, letter, optimizer, threads in table.FIGURES:
        made = [record(name, 1, network=letter, optimizer=optimizer, threads=threads) for name in COMPETITORS]
        assert table.rows(made)[0].ratio(against) == 1


def test_memory_table() -> None:
    each = {"network": "g", "optimizer": "adam", "arrays": 0, "bytes": 0, "held": 700}
    peaks = {"fast": 3, "torch": 9, "nn.LSTM": 4}
    text = table.memory([{**each, "competitor": name, "peak": n * 2**20} for name, n in peaks.items()])
    assert "| g LSTM 32 to 64, 32 steps, batch 32 | 3.0 | 9.0 | 4.0 | 0.75 |" in text


def test_deriving_table() -> None:
    records = [
        {"tool": "symgrad", "network": "dense", "depth": 100, "wall": 1.5, "cpu": 1.0},
        {"tool": "symgrad", "network": "transformer", "depth": 12, "wall": 7.0, "cpu": 6.0},
        {"tool": "jax", "network": "dense", "depth": 100, "fault": "needs jax, not installed"},
    ]
    text = deriving.markdown(records, "wall", judged=True)
    assert "| 100 dense | 1.50 (wanted below 2: met) | needs jax, not installed |" in text
    assert "| 12 transformer | 7.00 (wanted below 5: missed) | – |" in text
    assert "6.00 (wanted below 5)" in deriving.markdown(records, "cpu", judged=False)


def test_plot(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    importlib.import_module("benchmarks.plot").draw(table.rows(PLANTED), tmp_path / "times.svg")
    assert "jax loop" in (tmp_path / "times.svg").read_text("utf-8")


def test_machine_is_described() -> None:
    text = machine.describe([1, 2])
    assert f"numpy {np.__version__}" in text
    assert "Threads: 1 and 2" in text
    assert ("without a verdict" in text) != machine.judged()


# ---------------------------------------------------------------------- who computes something else

RATES = {"sgd": 0.1, "adam": 0.001}


def honest(optimizer: str) -> tuple[dict, dict, dict]:
    """What a float32 competitor finds, the reference in float64, and the weights before."""
    rng = np.random.default_rng(0)
    weights = {"W": rng.standard_normal((20, 30)), "b": np.zeros(7)}
    gradients = {"W": rng.standard_normal((20, 30)), "b": 1e-3 * rng.standard_normal(7)}
    gradients["W"][3] = 1e-12  # of no size, and of any sign after rounding
    rate = RATES[optimizer]
    exact = {"loss": np.array(2.0), "losses": np.array([2.0, 1.9])}
    for name, g in gradients.items():
        step = rate * g if optimizer == "sgd" else rate * np.sign(g)
        exact |= {f"gradient_{name}": g, f"weight_{name}": weights[name] - step}
    rounded = gradients["W"] * (1 + 1e-6)
    rounded[3] *= -1
    found = dict(exact, gradient_W=rounded.astype(np.float32))
    return found, exact, {name: w.astype(np.float32) for name, w in weights.items()}


@pytest.mark.parametrize("optimizer", RATES)
def test_rounding_is_no_disagreement(optimizer: str) -> None:
    assert disagreement(*honest(optimizer), optimizer, RATES[optimizer]) is None


@pytest.mark.parametrize("optimizer", RATES)
@pytest.mark.parametrize(
    "name, wrong, told",
    [
        ("loss", lambda a: a * 1.01, "the loss is 2.02, not 2"),
        ("loss", lambda a: a * np.nan, "the loss is nan, not 2"),
        ("gradient_W", lambda a: a * 1.001, "the gradient of W is off by 1.0e-03"),
        ("gradient_b", lambda a: -a, "the gradient of b is off by 2.0e"),
        ("gradient_W", lambda a: a.T, "the gradient of W has the shape"),
        ("gradient_b", lambda a: a * np.nan, "the gradient of b is off by nan"),
        ("weight_W", lambda a: a * np.nan, "after one step 100.0% of W are not where"),
        ("weight_b", lambda a: -a, "after one step 100.0% of b are not where"),
        ("losses", lambda a: a * 1.1, "the losses of 2 steps are off by"),
    ],
)
def test_a_wrong_competitor_is_found_out(optimizer: str, name: str, wrong, told: str) -> None:
    found, exact, weights = honest(optimizer)
    said = disagreement(found | {name: wrong(found[name])}, exact, weights, optimizer, RATES[optimizer])
    assert said is not None and said.startswith(told)


def test_a_step_that_stands_still_is_found_out() -> None:
    found, exact, weights = honest("sgd")
    assert "W" in disagreement(found | {"weight_W": weights["W"]}, exact, weights, "sgd", 0.1)
    missing = {name: a for name, a in found.items() if name != "gradient_b"}
    assert "the gradient of b has the shape None" in disagreement(missing, exact, weights, "sgd", 0.1)


def test_wrong_and_broken_and_missing_competitors_are_named(tmp_path, monkeypatch) -> None:
    """The whole way, with processes: everything but the time is looked at."""
    ground = driver.Field(tmp_path)
    ground.prepare(CASES["a"], ["sgd"])
    right = (tmp_path / "a_sgd_fast.py").read_text("utf-8")
    planted = {"wrong": right.replace("tanh(", "np.sin("), "broken": "raise OSError('of no use')"}
    for name, text in planted.items():
        (tmp_path / f"a_sgd_{name}.py").write_text(text, "utf-8")
    assert planted["wrong"] != right
    faults = {
        name: ground.fault(Competitor(name, "generated", name), "a", "sgd", 1) for name in ("fast", *planted)
    }
    assert faults["fast"] is None
    assert faults["wrong"].startswith("disagrees: the loss is")
    assert faults["broken"] == "does not run: OSError: of no use"

    planted = Competitor("torch", "with_torch", needs=("no_such_package",), framework=True)
    monkeypatch.setitem(driver.COMPETITORS, "torch", planted)
    told: list[str] = []
    plan = driver.Plan(["a"], ["wall", "plain", "fast", "torch"], ["sgd"], [1], rounds=3, seconds=1e-4)
    records = {r["competitor"]: r for r in driver.measure(plan, told.append)}
    assert set(records) == {"wall", "plain", "fast", "torch"}
    assert records["torch"]["fault"] == "needs no_such_package, not installed"
    for name in ("wall", "plain", "fast"):
        assert len(records[name]["wall"]) == len(records[name]["cpu"]) == 3
        assert min(records[name]["wall"]) > 0
    assert any("torch is left out" in line for line in told)


# ---------------------------------------------------------------------- the hand-written side and the rest


@pytest.mark.parametrize("letter", sorted(set(CASES) - {"d"}))  # d is c with other sizes and tanh
def test_plain_numpy_is_right(letter: str) -> None:
    """In float64, where a slip of the hand cannot pass as rounding."""
    case = CASES[letter]
    data = {name: a.astype(float) if a.dtype == np.float32 else a for name, a in case.data(3).items()}
    model = emit.load(sg.Model(case.path).source("net", style="readable"), "net")["Model"](dtype=np.float64)
    model.step(**data)  # makes the weights
    weights = {
        name: w.astype(float)
        for name, w in start({k: w.shape for k, w in model.get_weights().items()}).items()
    }
    model.set_weights(weights)
    loss, gradients = model.loss_and_grad(**data)
    own, by_name = by_hand.NETWORKS[letter](weights, data["x"], data["t"])
    assert own == pytest.approx(loss, rel=1e-12)
    for name, g in gradients.items():
        np.testing.assert_allclose(by_name[name], g, rtol=1e-9, atol=1e-12 * np.abs(g).max(), err_msg=name)


@pytest.mark.parametrize("network", ["dense", "transformer"])
def test_peers_derive_the_same_stack(network: str) -> None:
    """The shapes that JAX and PyTensor are given are those of the declaration."""
    declared = [
        tuple(int(str(n)) for n in w.shape)
        for w in sg.Model(deriving.declaration(network, 2)).program.role("weight")
    ]
    given = [shape for layer in deriving.shapes(network, 2) for shape in layer.values()]
    assert sorted(declared) == sorted(given)


@pytest.mark.skipif(not memory.measurable(), reason="this system does not tell the peak of a process")
def test_a_peak_is_seen() -> None:
    assert memory.peak(lambda: np.ones(2**22).sum()) > 2**24
    kept = np.ones(2**22)
    assert memory.peak(lambda: np.add(kept, 1, out=kept)) < 2**23


def test_command_line(tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main(["--networks", "a,z"])
    assert refused.value.code == 2
    assert "'z' is none of a, b, c, d, e, f, g" in capsys.readouterr().err
    found = {"machine": "a machine", "judged": True, "steps": PLANTED, "memory": [], "deriving": []}
    (tmp_path / "numbers.json").write_text(json.dumps(found), "utf-8")
    assert command.main(["--again", "--out", str(tmp_path)]) == 0
    assert "| c | sgd | 1 | plain NumPy | 0.40 | 1.00 | met |" in (tmp_path / "results.md").read_text("utf-8")
