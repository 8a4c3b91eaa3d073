"""Compiled loops: right as plain Python too, so that most is tested where Numba is not installed."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs.realised import loops

import symgrad as sg
from symgrad.cli import main
from symgrad.emit import elementary
from symgrad.emit.load import load
from symgrad.emit.nests import NoLoops
from symgrad.errors import SymgradError

NETWORKS = sorted((Path(sg.__file__).parent / "networks").glob("*.sg"))
BENCHMARKS = sorted((Path(__file__).parent / "benchmarks" / "networks").glob("*.sg"))
HERE = importlib.util.find_spec("numba") is not None and importlib.util.find_spec("scipy") is not None
with_numba = pytest.mark.skipif(not HERE, reason="Numba is not installed")

CLASSES = """
    x: data[n, 5]
    t: label[n] < 3
    h = tanh(dense(x, 7))
    z = dense(h, 3)
    loss = softmax_cross_entropy(z, t)
"""


def module(declaration: Any, name: str = "net", target: str = "numba", **options: Any) -> dict[str, Any]:
    return load(sg.Model(declaration).source(name, target=target, **options), name)


def test_what_has_no_loops_is_said_and_left_to_numpy() -> None:
    text = "A: weight[3, 3]; b: data[3]; loss = sum(solve(A, b)**2)"
    source = sg.Model(text).source("net", target="numba")
    assert "The rest of a step is NumPy's: solve has no form as compiled loops." in source
    assert "_compiled_step" not in source and "def _compiled_update(" in source
    d = sg.derive(text).derived
    with pytest.raises(NoLoops, match="solve"):
        loops(d, {}, {})


def test_a_target_is_a_name_and_compiles_the_fast_style() -> None:
    with pytest.raises(SymgradError, match="there is no target 'nunba'; did you mean 'numba'"):
        sg.Model(CLASSES).source("net", target="nunba")
    with pytest.raises(SymgradError, match="the target numba compiles the fast style"):
        sg.Model(CLASSES).source("net", target="numba", style="readable")


def test_without_numba_the_module_says_so_once_and_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    net = module(CLASSES)
    said = r"net trains with NumPy, as its compiled form needs Numba and SciPy \(pip install numba scipy\)"
    with pytest.warns(UserWarning, match=said):
        model = net["Model"](dtype=np.float64)
    other = module(CLASSES, target="numpy", style="fast")["Model"](dtype=np.float64)
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((20, 5)), rng.integers(0, 3, 20)
    assert model.fit(x, t, epochs=2, batch_size=8, quiet=True) == other.fit(
        x, t, epochs=2, batch_size=8, quiet=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net["Model"]()  # told once
        assert net["check_gradients"]() < 1e-9


def test_the_text_is_the_same_every_time() -> None:
    assert sg.Model(CLASSES).source("net", target="numba") == sg.Model(CLASSES).source("net", target="numba")


def test_an_update_is_one_pass_over_the_vector() -> None:
    source = sg.Model(CLASSES).source("net", target="numba", optimizer="adam")
    update = source.split("def _compiled_update")[1].split("\n\n\n")[0]
    assert update.count("for i in range(") == 1


@pytest.mark.parametrize("target", ["numba", "numpy"])
def test_the_command_writes_a_target(target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declared, out = tmp_path / "net.sg", tmp_path / "out.py"
    declared.write_text(CLASSES, encoding="utf-8")
    assert main(["generate", str(declared), str(out), "--target", target]) == 0
    assert capsys.readouterr().out == f"wrote {out}\n"
    assert ("_compiled_step" in out.read_text("utf-8")) == (target == "numba")


@pytest.mark.parametrize("name", [n for n in elementary.NAMES if n not in ("maximum", "minimum", "square")])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_elementary_functions(name: str, dtype: Any) -> None:
    """Two units in the last place, and NumPy's values at the ends of the range and beyond."""
    f = getattr(elementary, f"_{name}{64 if dtype is np.float64 else 32}")
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal(200) * s for s in (1e-8, 1e-3, 1, 10, 100)]).astype(dtype)
    x = {"log": np.abs(x), "log1p": np.where(x < -1, -1 / x, x)}.get(name, x).astype(dtype)
    ends = np.array([0, np.inf, -np.inf, np.nan, -1, -2, 710, -745, 88.8, -103.5, 1e-310, 1e-40], dtype)
    if name == "expm1":
        ends = ends[:-2]  # numbers below the normal range become 0
    with np.errstate(all="ignore"):
        own = np.array([f(a) for a in x], dtype)
        exact = getattr(np, name)(x.astype(np.longdouble))
        error = np.abs(own - exact) / np.spacing(np.abs(exact.astype(dtype)))
        at_ends = np.array([f(a) for a in ends], dtype)
        np.testing.assert_allclose(at_ends, getattr(np, name)(ends), rtol=4 * np.finfo(dtype).eps)
        assert np.nanmax(np.where(np.isinf(exact.astype(dtype)), 0, error)) < 3


# ---------------------------------------------------------------------- with Numba


def alike(net: dict[str, Any], given: list[np.ndarray], *, epochs: int, batch: int, **options: Any) -> None:
    """Both forms train alike in float64."""
    forms = [net["Model"](dtype=np.float64, compiled=c, **options) for c in (True, False)]
    assert [m.compiled for m in forms] == [True, False]
    losses = [m.fit(*given, epochs=epochs, batch_size=batch, quiet=True) for m in forms]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    weights = [m.get_weights() for m in forms]
    for key, w in weights[0].items():
        np.testing.assert_allclose(w, weights[1][key], rtol=1e-6, atol=1e-9)
    assert forms[0].steps == forms[1].steps


@with_numba
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_two_hundred_steps(optimizer: str) -> None:
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((41, 5)), rng.integers(0, 3, 41)
    net = module(CLASSES, optimizer=optimizer, lr=0.05)
    alike(net, [x, t], epochs=67, batch=16)  # the last batch of an epoch is short
    one, other = (net["Model"](dtype=np.float64, compiled=c) for c in (True, False))
    for _ in range(5):
        assert one.step(x, t) == pytest.approx(other.step(x, t), rel=1e-12)
    assert net["Model"](dtype=np.complex128).compiled is False
    single = net["Model"]()
    assert single.compiled and single.step(x, t) == pytest.approx(
        net["Model"](compiled=False).step(x, t), rel=1e-5
    )


@with_numba
def test_states_and_draws() -> None:
    text = """
        x: data[n, 4]
        y: data[n, 1]
        h = dropout(batch_norm(dense(x, 6)), 0.3)
        loss = mse(dense(relu(h), 1), y)
    """
    rng = np.random.default_rng(0)
    alike(module(text), [rng.standard_normal((20, 4)), rng.standard_normal((20, 1))], epochs=3, batch=8)
    text = text.replace("dropout(batch_norm(dense(x, 6)), 0.3)", "batch_norm(dense(x, 6))")
    alike(module(text), [rng.standard_normal((20, 4)), rng.standard_normal((20, 1))], epochs=3, batch=8)


@with_numba
def test_a_batch_in_pieces() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((20, 5)), rng.integers(0, 3, 20)
    net = module(CLASSES)
    alike(net, [x, t], epochs=2, batch=10, micro_batch=4)
    alike(net, [x, t], epochs=2, batch=10, threads=2)


@with_numba
@pytest.mark.parametrize("known", [True, False])
def test_what_is_kept_on_disk_is_found_again(
    known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the module, so nothing is kept of one that is not imported as one."""
    path = sg.Model("x: data[n, 2]; w: weight[2]; loss = sum((x @ w)**2)").generate(
        tmp_path / "kept.py", target="numba"
    )
    for _ in range(2):
        spec = importlib.util.spec_from_file_location("kept", path)
        assert spec is not None and spec.loader is not None
        net = importlib.util.module_from_spec(spec)
        if known:
            monkeypatch.setitem(sys.modules, "kept", net)
        spec.loader.exec_module(net)
        assert net.Model().step(np.ones((3, 2)) / 2) == net.Model(compiled=False).step(np.ones((3, 2)) / 2)
    assert bool(list(tmp_path.glob("__pycache__/*.nbi"))) == known


@with_numba
def test_infinite_and_missing_numbers_pass_through() -> None:
    net = module("x: data[n, 3]; w: weight[3]; y = exp(x @ w); loss = sum(relu(y) + maximum(y, 1))")
    for x in ([[1e5, 0, 0]], [[np.nan, 0, 0]], [[-1e5, 1, 0]]):
        both = []
        for c in (True, False):
            model = net["Model"](dtype=np.float64, compiled=c)
            model.set_weights({"w": np.ones(3)})
            with np.errstate(all="ignore"):
                both.append(model.loss_and_grad(np.array(x)))
        np.testing.assert_array_equal(both[0][0], both[1][0])
        np.testing.assert_allclose(both[0][1]["w"], both[1][1]["w"], rtol=1e-12)


@with_numba
def test_the_check_of_a_module_judges_its_compiled_form(capsys: pytest.CaptureFixture[str]) -> None:
    net = module(CLASSES)
    assert net["main"](["check"]) == 0
    assert "from the NumPy form, loss and gradients" in capsys.readouterr().out
    net["_training"], right = net["_evaluate"], net["_training"]  # a judge that computes no gradients
    assert net["main"](["check"]) == 1
    net["_training"] = right


@with_numba
@pytest.mark.long
@pytest.mark.parametrize("path", [*NETWORKS, *BENCHMARKS], ids=lambda p: p.stem)
def test_networks_agree(path: Path) -> None:
    net = load(sg.Model(path).source("net", target="numba"), "net")
    assert net["Model"]().compiled and net["check_gradients"](seed=1) < 1e-9
