"""What `study gradient` measures, against a quadratic whose every number is known."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from commands import symgrad

from symgrad.errors import SymgradError
from symgrad.study import gradient_told, plots
from symgrad.study.gradient import angle, gradient
from symgrad.study.setting import Setting

CURVES = np.array([1.0, 4.0, 9.0])
BOWL = "u: weight; v: weight[2]; loss = (u**2 + 4*v[0]**2 + 9*v[1]**2)/2"
START = {"u": 1.0, "v": [1.0, 1.0]}
LINE = "x: data[n, 3]; y: data[n]; loss = mse(dense(tanh(dense(x, 4)), 1)[:, 0], y)"


def bowl(**options):
    return gradient(BOWL, values=START, **{"epochs": 12, "lr": 0.15, **options}).result


def path(lr, steps):
    """Gradient descent on the bowl, entry by entry: each shrinks by its own factor."""
    return (1 - lr * CURVES) ** np.arange(steps + 1)[:, None]


@pytest.mark.parametrize("lr", [0.05, 0.15, 0.21, 0.3])
def test_a_quadratic_has_the_numbers_that_are_known(lr) -> None:
    g, w = bowl(lr=lr), path(lr, 12)
    slopes = w * CURVES
    np.testing.assert_allclose(g.gradients, slopes, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(g.losses, w**2 @ CURVES / 2, rtol=1e-12)
    np.testing.assert_allclose(g.curvatures, slopes**2 @ CURVES / np.sum(slopes**2, axis=1), rtol=1e-9)
    real = g.losses - (w - lr * slopes) ** 2 @ CURVES / 2
    for promise in (g.along, g.taken):
        seen = np.isfinite(promise.real)
        np.testing.assert_allclose(promise.first[seen], lr * np.sum(slopes**2, axis=1)[seen], rtol=1e-9)
        np.testing.assert_allclose(promise.second[seen], promise.real[seen], rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(promise.real[seen], real[seen], rtol=1e-9, atol=1e-13)
    cosines = np.sum(slopes[1:] * slopes[:-1], axis=1) / np.prod(
        [np.linalg.norm(s, axis=1) for s in (slopes[1:], slopes[:-1])], axis=0
    )
    np.testing.assert_allclose(np.cos(np.radians(g.turns[1:])), cosines, atol=1e-9)
    assert np.isnan(g.turns[0])
    assert np.isnan(g.strays[-1])
    np.testing.assert_allclose(g.strays[:-1], 0, atol=1e-6)
    straight = (w[-1] - w[0]) @ -slopes[0] / np.linalg.norm(w[-1] - w[0]) / np.linalg.norm(slopes[0])
    assert np.cos(np.radians(g.ends[0])) == pytest.approx(straight, abs=1e-9)


def test_norms_and_largest_parts_have_names() -> None:
    g = bowl()
    np.testing.assert_allclose(g.arrays["v"], np.hypot(*g.gradients[:, 1:].T), rtol=1e-12)
    assert g.arrays["u"] == pytest.approx(np.abs(g.gradients[:, 0]))
    assert g.largest[0] == (("v[1]", 9.0), ("v[0]", 4.0), ("u", 1.0))
    total = sum(values**2 for values in g.layers.values())
    np.testing.assert_allclose(total, g.norms**2, rtol=1e-12)


def test_layers_are_the_weights_of_one_call() -> None:
    s = Setting("x: data[n, 3]; loss = sum(dense(dense(x, 4, name='low'), 2, bias=False)**2)", sizes={"n": 5})
    assert s.layers == {"low": ("low_W", "low_b"), "dense 1": ("W1",)}


def test_words_follow_the_numbers() -> None:
    wild = gradient(BOWL, values=START, epochs=12, lr=0.21)
    back = np.sum(path(0.21, 12)[1:] * path(0.21, 12)[:-1] @ CURVES**2 < 0)
    assert back > 6
    assert f"In {back} of 12 measured steps the gradient turned by more than 90 degrees" in " ".join(
        str(wild).split()
    )
    calm = " ".join(str(gradient(BOWL, values=START, epochs=12, lr=0.001)).split())
    assert "overshoot" not in calm
    assert "steps are short for this loss" in calm
    assert "along these steps the loss is a parabola" in calm
    gone = " ".join(str(gradient(BOWL, values=START, epochs=400, lr=1.0)).split())
    assert "then the weights ran away" in gone


def test_angles() -> None:
    assert angle(np.array([1.0, 0]), np.array([0, 2.0])) == pytest.approx(90)
    assert angle(np.array([1.0, 0]), np.array([-3.0, 0])) == pytest.approx(180)
    assert np.isnan(angle(np.array([np.inf, 0]), np.array([1.0, 0])))


def test_mini_batches_and_another_optimiser() -> None:
    rng = np.random.default_rng(5)
    data = {"x": rng.standard_normal((40, 3)), "y": rng.standard_normal(40)}
    report = gradient(LINE, data, epochs=3, batch_size=16, optimizer="adam", points=4)
    g = report.result
    assert g.steps.tolist() == [0, 3, 6, 9]  # the short last batch is a step of its own
    assert np.isfinite(g.batches).all()
    assert (g.strays[:-1] > 1).all()
    again = gradient(LINE, data, epochs=3, batch_size=16, optimizer="adam", points=4)
    assert str(again) == str(report)
    s = Setting(LINE, data)
    slope = s.gradient(g.way.weights[1])
    np.testing.assert_allclose(g.gradients[1], slope, rtol=1e-12)
    step = g.way.after[1] - g.way.weights[1]
    assert g.taken.first[1] == pytest.approx(-slope @ step)
    assert g.taken.real[1] == pytest.approx(s.loss(g.way.weights[1]) - s.loss(g.way.after[1]))


def test_a_schedule_is_the_length_of_each_step() -> None:
    g = bowl(schedule="lr/t", lr=0.2, epochs=4)
    np.testing.assert_allclose(g.way.rates, 0.2 / np.arange(1, 6))
    np.testing.assert_allclose(g.along.real[:-1], g.taken.real[:-1], atol=1e-14)


def test_a_wrong_curvature_is_seen(monkeypatch) -> None:
    right = Setting.product
    monkeypatch.setattr(Setting, "product", lambda self, w, v: 1.001 * right(self, w, v))
    g = bowl()
    assert np.max(np.abs(g.along.second - g.along.real) / g.along.first) > 1e-4


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"epochs": 0}, "epochs is a whole number of at least 1, not 0"),
        ({"points": 1}, "points is a whole number of at least 2, not 1"),
        ({"batch_size": 2.5}, "batch_size is a whole number of at least 1, not 2.5"),
        ({"values": {"u": np.nan, "v": [1, 1]}}, "no finite number"),
    ],
)
def test_what_cannot_be_used_is_told(wrong, told) -> None:
    with pytest.raises(SymgradError, match=told):
        gradient(BOWL, **{"values": START, **wrong})


def test_the_command_and_its_complaints(tmp_path) -> None:
    words = ["study", "gradient", BOWL, "--value", "u=1", "--value", "v=[1, 1]"]
    done = symgrad(*words, "--lr", "0.15", "--epochs", "4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "The largest parts of the gradient" in done.stdout
    for more, told in [
        (["--batch-size", "0"], "takes a whole number from 1, or all, not '0'"),
        (["--points", "1"], "takes a whole number from 2, not '1'"),
        (["--optimizer", "sdg"], "sdg"),
    ]:
        done = symgrad(*words, *more, cwd=tmp_path)
        assert done.returncode == 2
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_tables_do_without_matplotlib(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    report = gradient(BOWL, values=START, epochs=3)
    assert "The gradient over training" in str(report)
    with pytest.raises(SymgradError, match="need matplotlib"):
        report.save(tmp_path)


def test_a_plot_is_well_formed_and_the_same_twice() -> None:
    pytest.importorskip("matplotlib")
    first, second = (plots.svg(gradient(BOWL, values=START, epochs=3).plots["directions"]) for _ in range(2))
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")  # noqa: S314 - our own


@pytest.mark.long
def test_all_plots_stand_in_one_page(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    report = gradient(BOWL, values=START, epochs=3)
    made = {p.name: p for p in report.save(tmp_path)}
    assert set(report.plots) == {"course", "directions", "promises", "parts", "layers"}
    page = made["report.html"].read_text("utf-8")
    assert page.count("<svg") == 5
    assert "<script" not in page


def test_numbers_are_short() -> None:
    assert gradient_told.number(0.000123456) == "0.000123"
    assert gradient_told.number(float("nan")) == ""
