"""The forward program, rearranged for the fast form: the same loss and the same gradients."""

from __future__ import annotations

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes
from symgrad.passes.arrange import arranged

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
