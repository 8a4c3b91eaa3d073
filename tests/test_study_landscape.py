"""What `study landscape` measures, against a quadratic that is known."""

from xml.etree import ElementTree

import numpy as np
import pytest
from commands import symgrad

from symgrad.errors import SymgradError
from symgrad.study import plots
from symgrad.study.landscape import landscape
from symgrad.study.setting import Setting

CURVES = np.array([1.0, 4.0, 9.0])
BOWL = "u: weight; v: weight[2]; loss = (u**2 + 4*v[0]**2 + 9*v[1]**2)/2"
START = {"u": 1.0, "v": [1.0, 1.0]}
LINE = "x: data[n, 3]; y: data[n]; loss = mse(dense(tanh(dense(x, 4)), 1)[:, 0], y)"


def bowl(**options):
    return landscape(BOWL, values=START, **{"epochs": 6, "lr": 0.15, "grid": 5, **options}).result


def test_on_a_quadratic_the_parabola_is_the_loss() -> None:
    for line in bowl().lines:
        np.testing.assert_allclose(line.losses, line.parabola, rtol=1e-9, atol=1e-12)
        assert line.best == pytest.approx(1 / line.curvature, rel=1e-6)
    first = bowl().lines[0]
    slope = CURVES * 1.0
    assert first.norm == pytest.approx(np.linalg.norm(slope))
    assert first.curvature == pytest.approx(slope**2 @ CURVES / (slope @ slope))
    assert first.after == pytest.approx((1 - 0.15 * CURVES) ** 2 @ CURVES / 2)
    assert first.at[0] == 0
    assert first.at[-1] > max(0.15, 2 / first.curvature)


@pytest.mark.parametrize("kind", ["path", "random", "gradient"])
def test_the_grid_is_the_loss_in_the_plane(kind) -> None:
    p = bowl(plane=kind).plane
    i, j = 1, 3
    w = p.center + p.xs[j] * p.directions[0] + p.ys[i] * p.directions[1]
    assert p.losses[i, j] == pytest.approx(w**2 @ CURVES / 2)
    if kind != "random":
        np.testing.assert_allclose(p.directions @ p.directions.T, np.eye(2), atol=1e-9)
    shadows = p.center + p.path @ p.directions
    np.testing.assert_allclose(p.under, shadows**2 @ CURVES / 2, rtol=1e-9)
    away = bowl().way.weights - p.center
    rest = away - p.path @ p.directions  # at right angles to the plane
    np.testing.assert_allclose(rest @ p.directions.T, 0, atol=1e-9)
    assert p.share == pytest.approx(1 - np.sum(rest**2) / np.sum(away**2))


def test_no_plane_holds_more_of_the_path_than_its_principal_directions() -> None:
    p = bowl().plane
    assert p.share > bowl(plane="gradient").plane.share
    away = bowl().way.weights - bowl().way.end
    values = np.linalg.svd(away, compute_uv=False) ** 2
    assert p.share == pytest.approx(values[:2].sum() / values.sum())
    assert p.path[0, 0] < 0
    np.testing.assert_allclose(p.path[-1], 0, atol=1e-12)


def test_the_sharpest_direction_is_the_top_eigenvector() -> None:
    p = bowl(plane="gradient").plane
    spanned = np.linalg.lstsq(p.directions.T, np.array([0.0, 0.0, 1.0]), rcond=None)[0]
    np.testing.assert_allclose(spanned @ p.directions, [0, 0, 1], atol=1e-3)


def test_drawn_directions_have_the_lengths_of_the_weights_of_each_unit() -> None:
    rng = np.random.default_rng(3)
    data = {"x": rng.standard_normal((20, 3)), "y": rng.standard_normal(20)}
    found = landscape(LINE, data, plane="random", grid=5, epochs=1).result
    s = Setting(LINE, data)
    for direction in found.plane.directions:
        parts, weights = s.named(direction), s.named(found.way.end)
        for name in ("W1", "W2"):
            np.testing.assert_allclose(
                np.linalg.norm(parts[name], axis=0), np.linalg.norm(weights[name], axis=0)
            )
        assert not parts["b1"].any()


def test_a_wrong_curvature_is_seen(monkeypatch) -> None:
    right = Setting.product
    monkeypatch.setattr(Setting, "product", lambda self, w, v: 1.01 * right(self, w, v))
    line = bowl().lines[0]
    assert np.max(np.abs(line.losses - line.parabola)) > 1e-3
    assert line.best != pytest.approx(1 / line.curvature, rel=1e-3)


def test_one_weight_has_lines_and_no_plane() -> None:
    report = landscape("w: weight; loss = (w - 3)**2", values={"w": 0}, epochs=2)
    assert report.result.plane is None
    assert list(report.plots) == ["lines"]


def test_a_rate_far_beyond_the_parabola_leaves_the_picture() -> None:
    line = bowl(lr=1e200).lines[0]
    assert line.best == pytest.approx(1 / line.curvature, rel=1e-6)
    assert line.at[-1] < 100 / line.curvature


def test_what_cannot_be_used_is_told(tmp_path) -> None:
    with pytest.raises(SymgradError, match="the plane is path, random or gradient, not 'flat'"):
        landscape(BOWL, plane="flat")
    with pytest.raises(SymgradError, match="grid is a whole number of at least 5, not 2"):
        landscape(BOWL, grid=2)
    words = ["study", "landscape", BOWL, "--value", "u=1", "--value", "v=[1, 1]", "--epochs", "4"]
    done = symgrad(*words, "--grid", "5", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "The path of training in the plane" in done.stdout
    done = symgrad(*words, "--grid", "4", cwd=tmp_path)
    assert done.returncode == 2
    assert "takes a whole number from 5, not '4'" in done.stderr


def test_a_plot_is_well_formed_and_the_same_twice() -> None:
    pytest.importorskip("matplotlib")
    made = [landscape(BOWL, values=START, epochs=4, grid=7) for _ in range(2)]
    first, second = (plots.svg(report.plots["plane"]) for report in made)
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")  # noqa: S314 - our own
    assert str(made[0]) == str(made[1])
