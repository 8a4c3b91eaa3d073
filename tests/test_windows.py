"""Convolutions and poolings in the fast form: what is rearranged for speed keeps every value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.language.ints import axis
from symgrad.language.program import show
from symgrad.language.reader import read
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS
from symgrad.passes.arrangements.monotone import monotone
from symgrad.passes.forwards import forwards
from symgrad.passes.gathered import gathered
from symgrad.passes.orders import ordered
from symgrad.passes.splits import split

NETWORKS = {
    "pooled": """
        x: data[n, 2, 8, 6]; t: label[n] < 4
        a = max_pool2d(relu(conv2d(x, 3, 3, padding=1)), 2)
        b = max_pool2d(tanh(conv2d(a, 5, 3, padding=1)), (2, 3))
        loss = softmax_cross_entropy(dense(flatten(b), 4), t)""",
    "strided": """
        x: data[n, 3, 9, 11]; t: data[n, 2]
        a = relu(conv2d(x, 4, (3, 2), stride=(2, 3), padding=(1, 0)))
        loss = mse(dense(flatten(conv2d(a, 5, 2, dilation=(2, 1))), 2), t)""",
    "normed": """
        x: data[n, 1, 8, 8]; t: label[n] < 3
        a = max_pool2d(relu(batch_norm(conv2d(x, 4, 3, padding=1))), 2)
        b = avg_pool2d(conv2d(a, 3, 3, padding=1), 2)
        loss = softmax_cross_entropy(dense(flatten(b), 3), t)""",
    "overlapping": """
        x: data[n, 2, 7, 9]; t: data[n, 2]
        a = max_pool2d(relu(conv2d(x, 3, 2)), 3, stride=2, padding=1)
        loss = mse(dense(flatten(a), 2), t)""",
    "signal": """
        x: data[n, 2, 12]; t: data[n, 3]
        a = max_pool1d(sigmoid(conv1d(x, 4, 3, padding=1)), 3)
        b = conv1d(a, 6, 3, dilation=1, groups=2, padding=2)
        loss = mse(dense(mean(relu(b), axis=2), 3), t)""",
    "residual": """
        x: data[n, 2, 6, 4]; t: data[n, 3]
        a = relu(conv2d(x, 3, 3, padding=1))
        b = max_pool2d(relu(a + conv2d(a, 3, 3, padding=1)), 2)
        loss = mse(dense(flatten(b), 3), t) + mean(a**2)""",
    "transposed": """
        x: data[n, 2, 4, 6]; t: data[n, 1, 8, 12]
        a = max_pool2d(relu(conv2d(x, 3, 3, padding=1)), 2)
        loss = mse(conv_transpose2d(relu(conv_transpose2d(a, 2, 2, stride=2)), 1, 2, stride=2), t)""",
    "least": """
        x: data[n, 2, 8]; w: weight[2, 3]; c: weight[3]
        y[n, i, k] = sum(d, x[n, d, i]*w[d, k])
        m[n, i, k] = min(p < 2, exp(2*y[n, 2*i + p, k] + c[k])), i < 4
        loss = sum(n, i, k, m[n, i, k]*(1 + index(i)))""",
}


def agree(d: sg.Derivation, sizes: dict[str, int], given: dict[str, np.ndarray]) -> None:
    """The fast form and the reference compute the same loss and gradients."""
    f = emit.load(emit.function_source(d.derived, style="fast"), "f")["loss_and_grad"]
    for _ in range(2):  # the second call meets the buffers of the first
        wanted = run(d.derived.program, sizes, given)
        loss, gradients = f(*given.values())
        np.testing.assert_allclose(loss, wanted[d.derived.program.target], rtol=1e-12)
        scale = max(np.abs(wanted[adjoint]).max() for adjoint in d.derived.gradients.values())
        for weight, adjoint in d.derived.gradients.items():
            np.testing.assert_allclose(gradients[weight], wanted[adjoint], rtol=1e-12, atol=1e-13 * scale)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_agree_with_the_reference(name: str) -> None:
    d = sg.derive(NETWORKS[name])
    sizes = small_sizes(d.derived.source)
    agree(d, sizes, inputs(d.derived.source, sizes, np.random.default_rng(1)))


@pytest.mark.parametrize("name", ["pooled", "overlapping"])
def test_ties_have_the_same_winners(name: str) -> None:
    # few different whole numbers: most windows have several winners, many of them at relu's flat side
    d = sg.derive(NETWORKS[name].replace("tanh", "relu"))
    sizes = small_sizes(d.derived.source)
    rng = np.random.default_rng(2)
    given = inputs(d.derived.source, sizes, rng)
    for n, v in given.items():
        given[n] = rng.integers(-1, 2, v.shape) if v.dtype.kind == "f" else v
    agree(d, sizes, {n: v.astype(float) if n != "t" or name != "pooled" else v for n, v in given.items()})


# what rises goes behind the maximum; what might not, or is read elsewhere too, stays


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ("relu(3*y[n, 2*i + p] + b)", 1),
        ("exp(y[n, 2*i + p]/2)", 1),
        ("tanh(y[n, 2*i + p]) + b", 1),
        ("relu(y[n, 2*i + p]*b)", 0),
        ("relu(-y[n, 2*i + p])", 0),
        ("y[n, 2*i + p]**2", 0),
        ("relu(y[n, 2*i + p] + c[p])", 0),
        ("maximum(y[n, 2*i + p], b)", 0),
    ],
)
def test_what_rises_goes_behind_the_maximum(body: str, count: int) -> None:
    program = read(
        "x: data[n, 6]; b: weight; c: weight[2]; v: weight; y[n, k] = v*x[n, k]\n"
        f'm[n, i] = max(p < 2, {body}, ties="first"), i < 3\nloss = sum(n, i, m[n, i]*(1 + index(i))) + b*sum(c)'
    )
    moved, told = monotone(program)
    assert len(told) == count, str(moved)
    given = inputs(program, {"n": 4}, np.random.default_rng(0))
    assert run(moved, {"n": 4}, given)["loss"] == pytest.approx(
        run(program, {"n": 4}, given)["loss"], rel=1e-13
    )


def test_what_has_another_reader_stays_before_the_maximum() -> None:
    text = "x: weight[n, 6]; a = relu(x); m[n, i] = max(p < 2, a[n, 2*i + p]), i < 3; loss = sum(m)"
    assert monotone(read(text))[1]
    assert not monotone(read(f"{text} + sum(a)"))[1]


@pytest.mark.parametrize(
    "leaf", [leaf for leaf in LEAVES.values() if leaf.rising], ids=lambda leaf: leaf.name
)
def test_rising_leaves_rise_and_are_flat_only_with_slope_zero(leaf) -> None:
    slope = sg.derive(f"x: weight[k]; loss = sum({leaf.name}(x))")
    f = slope.function()
    x = np.sort(np.concatenate([np.linspace(-3, 3, 61), np.arange(-3, 4) / 2]))
    values = np.array([f(x=x[k : k + 1])[0] for k in range(len(x))])
    slopes = f(x=x)[1]["x"]
    assert (np.diff(values) >= 0).all()
    assert (slopes >= 0).all()
    level = (np.diff(values) == 0) & (np.diff(x) > 0)
    assert not slopes[:-1][level].any()
    assert not slopes[1:][level].any()


# how inner tensors are stored


@pytest.mark.parametrize("name", NETWORKS)
def test_inner_tensors_stored_otherwise_keep_their_values(name: str) -> None:
    d = sg.derive(NETWORKS[name]).derived
    kept = (d.program.target, *d.gradients.values())
    sizes = small_sizes(d.source)
    given = inputs(d.source, sizes, np.random.default_rng(3))
    before = run(d.program, sizes, given)
    apart = split(d.program, d.program.statements, kept)
    program, statements = ordered(apart.program, apart.statements, kept, apart.front)
    assert bool(apart.front) == (name in ("pooled", "normed", "signal", "transposed"))
    for changed in (
        replace(apart.program, statements=apart.statements),
        replace(program, statements=statements),
    ):
        after = run(changed, sizes, given)
        for k in kept:
            np.testing.assert_allclose(after[k], before[k], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["pooled", "strided", "signal"])
def test_sums_taken_forwards_keep_their_values(name: str) -> None:
    d = sg.derive(NETWORKS[name]).derived
    statements = tuple(map(forwards, d.program.statements))
    assert statements != d.program.statements
    sizes = small_sizes(d.source)
    given = inputs(d.source, sizes, np.random.default_rng(4))
    before, after = run(d.program, sizes, given), run(replace(d.program, statements=statements), sizes, given)
    for k in (d.program.target, *d.gradients.values()):
        np.testing.assert_allclose(after[k], before[k], rtol=1e-12, atol=1e-14)


def test_products_added_up_at_places_are_sums_over_what_comes_there() -> None:
    d = sg.derive(NETWORKS["strided"]).derived
    statements = tuple(gathered(s, d.program) for s in d.program.statements)
    changed = [(a, b) for a, b in zip(d.program.statements, statements, strict=True) if a != b]
    assert changed
    for old, new in changed:
        assert sum(i.axis is None for i in new.left) < sum(i.axis is None for i in old.left)
    sizes = small_sizes(d.source)
    given = inputs(d.source, sizes, np.random.default_rng(6))
    before, after = run(d.program, sizes, given), run(replace(d.program, statements=statements), sizes, given)
    for k in d.gradients.values():
        np.testing.assert_allclose(after[k], before[k], rtol=1e-12, atol=1e-14)


def test_places_of_windows_are_stored_as_blocks() -> None:
    p = read(NETWORKS["pooled"], DEFINITIONS)
    apart = split(p, p.statements, [p.target])
    _, statements = ordered(apart.program, apart.statements, [p.target], apart.front)
    shown = {s.out: show(s) for s in statements}
    assert shown["a"] == 'a[n, i, j, o] = max(p, q, a_3[p, q, n, i, j, o], ties="first")'
    assert all(s.left == tuple(map(axis, s.kept)) for s in statements), (
        shown
    )  # flattened where it is wanted only


def test_what_is_read_in_two_ways_stays_whole() -> None:
    text = "x: weight[n, 6]; y = 2*x; m[n, i] = max(p < 2, y[n, 2*i + p]), i < 3; {}; loss = sum(m) + sum(z)"
    for other, parts in (
        ("z[n, i] = y[n, 5 - i], i < 6", 2),
        ("z = y**2", 3),
        ("z[n, i] = y[n, 3*i], i < 2", 2),
    ):
        p = read(text.format(other))
        apart = split(p, p.statements, ["loss"])
        assert len(apart.program["y"].shape) == parts, other


def test_products_over_windows_are_stored_with_their_channels_last() -> None:
    p = read("x: data[n, c, h, w]; W: weight[m, c, 3, 2]; y = relu(conv2d(x, W)); loss = sum(y)", DEFINITIONS)
    first, second, *_ = ordered(p, p.statements, ["loss"])[1]
    assert [i.axis for i in first.left] == [i.axis for i in second.left] == ["n", "i", "j", "o"]
    assert ordered(p, p.statements, ["loss", "y"])[1][1].left == p.statements[1].left


def test_short_vectors_are_repeated_for_large_arrays_alone() -> None:
    text = "x: data[{}]; b: weight[3]; loss = sum(tanh(x + b)**2)"
    for shape, repeated in (("n, 6, 5, 3", True), ("n, 3", False), ("2, 6, 3", False)):
        d = sg.derive(text.format(shape))
        assert ("broadcast_to(b, (6, 5, 3))" in emit.function_source(d.derived, style="fast")) == repeated
        sizes = small_sizes(d.derived.source)
        agree(d, sizes, inputs(d.derived.source, sizes, np.random.default_rng(5)))


def test_winners_are_told_without_numbers() -> None:
    source = emit.function_source(sg.derive(NETWORKS["overlapping"]).derived, style="fast")
    assert "where=" not in source
    assert "logical_or" in source
