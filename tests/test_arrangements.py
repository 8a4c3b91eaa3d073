"""The forward program, rearranged for the fast form: the same loss and the same gradients."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.language.reader import read
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes
from symgrad.passes.arrange import arranged
from symgrad.passes.arrangements.economy import economical, passes

AFFINE = {
    "scale and shift": "x: data[n, 3]; g: weight[3]; b: weight[3]; W: weight[3, 2]; c: weight[2]\n"
    "a = g*tanh(x) + b; loss = mean((a @ W + c)**3)",
    "scale alone": "x: weight[n, 3]; g: weight[3]; W: weight[3, 2]; a = g*x**2; loss = sum((a @ W)**3)",
    "shift alone": "x: weight[n, 3]; b: weight[3]; W: weight[3, 2]; a = sin(x) + b; loss = sum((a @ W)**3)",
    "two readers": "x: data[n, 3]; g: weight[3]; b: weight[3]; W: weight[3, 2]; U: weight[3, 3]\n"
    "a = x*exp(g) + b**2; loss = sum((a @ W)**3) + sum(tanh(a @ U))",
    "layer norm": "x: data[n, 4]; t: data[n, 2]; loss = mse(dense(layer_norm(dense(x, 3)), 2), t)",
    "convolution": "x: data[n, 2, 5, 5]; g: weight[2]; b: weight[2]; K: weight[3, 2, 2, 2]\n"
    "a[n, c, i, j] = g[c]*x[n, c, i, j] + b[c]\n"
    "h[n, o, i, j] = sum(c < 2, p < 2, q < 2, a[n, c, i + p, j + q]*K[o, c, p, q]), i < 4, j < 4; loss = sum(h**3)",
}
KEPT = {
    "another reader": "x: data[n, 3]; g: weight[3]; W: weight[3, 2]; a = g*x; loss = sum((a @ W)**3) + sum(a**4)",
    "not contracted": "x: data[n, 3]; g: weight[3]; W: weight[n, 2]; a = g*x; loss = sum((a.T @ W)**3)",
    "a larger weight": "x: data[n, 3]; g: weight[3]; W: weight[3, 999]; a = g*x; loss = sum((a @ W)**3)",
    "a border": "x: data[n, 5, 2]; b: weight[2]; K: weight[3, 2]; a = x + b\n"
    "h[n, i] = sum(p < 3, c < 2, [0 <= i + p - 1 < 5]*a[n, i + p - 1, c]*K[p, c]), i < 5; loss = sum(h**3)",
}


def compare(text: str) -> set[str]:
    """Loss and gradients of the rearranged program against those of the derivation; the tensors that it computes."""
    derived = sg.derive(text).derived
    other = arranged(derived)
    sizes = small_sizes(derived.source)
    given = inputs(derived.source, sizes, np.random.default_rng(0))
    wanted, found = run(derived.program, sizes, given), run(other.program, sizes, given)
    np.testing.assert_allclose(found[other.program.target], wanted[derived.program.target], rtol=1e-12)
    fast = emit.load(emit.function_source(derived, style="fast"), "f")["loss_and_grad"]
    _, gradients = fast(*given.values())
    for name, adjoint in derived.gradients.items():
        np.testing.assert_allclose(
            found[other.gradients[name]], wanted[adjoint], rtol=1e-11, atol=1e-13, err_msg=name
        )
        np.testing.assert_allclose(gradients[name], wanted[adjoint], rtol=1e-11, atol=1e-13, err_msg=name)
    return {s.out for s in other.program.statements}


@pytest.mark.parametrize("name", AFFINE)
def test_affine_maps_are_folded(name: str) -> None:
    made = compare(AFFINE[name])
    assert any(t.endswith(("_scaled", "_shift")) for t in made)


@pytest.mark.parametrize("name", KEPT)
def test_affine_maps_that_stay(name: str) -> None:
    made = compare(KEPT[name])
    assert not any(t.endswith(("_scaled", "_shift")) for t in made)


def test_nothing_is_folded_past_what_is_differentiated_by() -> None:
    derived = sg.derive(AFFINE["scale and shift"], wrt=["a", "W"]).derived
    assert arranged(derived) is derived


def test_no_product_goes_back_to_data_through_a_norm() -> None:
    text = "x: data[n, 64]; t: data[n, 3]; a = layer_norm(x); loss = mse(dense(a, 3), t)"
    derived = sg.derive(text).derived
    assert "a" in derived.adjoints
    assert not {"a", "a_3"} & set(arranged(derived).adjoints)


LEAVES = {
    "gelu": "x: data[n, 3]; t: data[n, 2]; loss = mse(dense(gelu(dense(x, 4), approximate='tanh'), 2), t)",
    "swish": "x: weight[n, 3]; y = x*sigmoid(x); loss = sum(y**2)",
    "mish": "x: weight[n, 3]; y = x*tanh(softplus(x)); loss = sum(y**2)",
    "twice": "x: weight[n]; y = tanh(x + x**3)*(1 + tanh(x + x**3))**2; loss = sum(y**3)",
    "inside": "x: weight[n]; y = exp(sin(x**2 + x)*x); loss = sum(y**3)",
    "smaller": "x: weight[n, 3]; v: weight[3]; y = x*tanh(v + v**2)*v; loss = sum(y**3)",
    "numbers": "x: weight[n]; a: weight; y = x*(2 + exp(x))*(1 + tanh(x))*a; loss = sum(y**2)",
}


@pytest.mark.parametrize("name", LEAVES)
def test_leaves_are_kept(name: str) -> None:
    made = compare(LEAVES[name])
    assert any(re.search("_(tanh|sigmoid|exp|sin|of)$", t) for t in made)


def body(random: np.random.Generator, depth: int) -> str:
    """A formula of two tensors, a smaller one and numbers."""
    if depth == 0:
        return str(random.choice(["x", "x", "y", "y", "q", "v", "a", "2", "0.5", "3"]))
    kind = random.integers(6)
    one, other = body(random, depth - 1), body(random, depth - 1)
    product = f"{one}*{other}"
    return (f"({one} + {other})", f"({one} - {other})", product, product, f"({one})**2", f"({one})**3")[kind]


@pytest.mark.parametrize("seed", range(40))
def test_economical_bodies_keep_their_value(seed: int) -> None:
    random = np.random.default_rng(seed)
    text = "x: weight[n, 3]; y: weight[n, 3]; v: weight[3]; a: weight; p = x*y; t = tanh(x); q = 1 + t"
    text += f"; u = {body(random, 3)} + x*y; w = {body(random, 4)} + x*y; loss = sum(u*p*q) + sum(w*t*v)*a"
    program = read(text)
    other = economical(program)
    sizes = small_sizes(program)
    given = inputs(program, sizes, random)
    wanted, found = run(program, sizes, given), run(other, sizes, given)
    for name in ("u", "w"):
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12, atol=1e-12 * scale)
    before = {s.out: s.body for s in program.statements}
    for s in other.statements:
        if s.axes and s.op == "=":
            axes = frozenset(s.kept)
            assert passes(s.body, axes) <= passes(before[s.out], axes)


def test_a_derivative_is_made_of_what_is_there() -> None:
    derived = sg.derive(LEAVES["gelu"]).derived
    program = arranged(derived).program
    assert sum(str(s.body).count("tanh(") for s in program.statements) == 1
