"""More than gradients: Jacobians, Hessians, Hessian-vector products, single examples, symmetric weights."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.language.bind import bind
from symgrad.language.samples import inputs, small_sizes
from symgrad.passes import second

MLP = """
    x: data[n, 6]
    t: label[n] < 4
    h = tanh(dense(x, 5))
    z = dense(h, 4)
    loss = softmax_cross_entropy(z, t)
"""
LINE = "X: data[n, i]; y: data[n]; w: weight[i]; b: weight; loss = mean((X @ w + b - y)**2)"
CONVOLUTION = """
    x: data[n, 1, 6, 6]
    V: weight[2, 2, 2, 3]
    h = max_pool2d(tanh(conv2d(x, 2, 3)), 2)
    f[n, k] = sum(c, i, j, h[n, c, i, j]*V[c, i, j, k])
    loss = mean(f**2)
"""
LAYER_NORM = (
    "x: data[n, 6]; t: label[n] < 3; loss = softmax_cross_entropy(dense(layer_norm(dense(x, 5)), 3), t)"
)
BATCH_NORM = (
    "x: data[n, 6]; t: label[n] < 3; loss = softmax_cross_entropy(dense(batch_norm(dense(x, 5)), 3), t)"
)
ATTENTION = (
    "x: data[n, 5, 4]; y: data[n, 5, 4]; loss = mean((multi_head_attention(x, 2, causal=True) - y)**2)"
)
EMBEDDING = (
    "t: label[n] < 7; y: label[n] < 3; e = embedding(t, 4); loss = softmax_cross_entropy(dense(e, 3), y)"
)
LOOP = """
    x: data[n, s, i]
    y: data[n, s, 3]
    h0: data[n, 3]
    W: weight[i, 3]
    U: weight[3, 3]
    h[n, -1, k] = h0[n, k]
    h[n, s, j] = tanh(sum(i, x[n, s, i]*W[i, j]) + sum(k, h[n, s - 1, k]*U[k, j]))
    loss = mean((h - y)**2)
"""
SOLVE = (
    "A: weight[n, n]; B: data[n, m]; X = solve(A + 3*eye(n), B); loss = sum(X**2) + logdet(A @ A.T + eye(n))"
)


def given(d: sg.Derivation, seed: int = 0) -> dict[str, np.ndarray]:
    return inputs(d.derived.source, small_sizes(d.derived.source), np.random.default_rng(seed))


def agrees(got: Any, wanted: Any) -> None:
    got, wanted = np.asarray(got, float), np.asarray(wanted, float)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max(initial=0) <= 1e-10 * max(1.0, np.abs(wanted).max(initial=0))


# ---------------------------------------------------------------------- results as they are printed


@pytest.mark.parametrize(
    ("derive", "text", "key", "printed"),
    [
        (sg.jacobian, "x: weight[n]; p = softmax(x)", "x", "diag(p) - outer(p, p)"),
        (sg.jacobian, "A: data[m, n]; x: weight[n]; A @ x", "x", "A"),
        (sg.jacobian, "A: data[m, n]; x: weight[n]; b: weight[m]; h = tanh(A @ x + b)", "b", "diag(1 - h**2)"),
        (sg.jacobian, "A: data[m, n]; x: weight[n]; A @ exp(x)", "x", "exp(x)*A"),
        (sg.hessian, "x: weight[n]; A: constant[n, n]; x @ A @ x", ("x", "x"), "A + A.T"),
        (sg.hessian, "x: weight[m]; A: constant[m, n]; y: weight[n]; x @ A @ y", ("x", "y"), "A"),
        (sg.hessian, LINE, ("w", "w"), "2/n * X.T @ X"),
        (sg.hessian, LINE, ("w", "b"), "2/n*sum(X, axis=0)"),
        (sg.hessian, LINE, ("b", "b"), "2"),
        (sg.hvp, "x: weight[n]; A: constant[n, n]; x @ A @ x", "x", "A.T @ v + A @ v"),
        (sg.hvp, "x: weight[n]; logsumexp(x)", "x", "p*(v - v @ p)"),
        (sg.hessian, "x: weight[n]; A: constant[n, n] & symmetric; x @ A @ x/2", ("x", "x"), "A"),
        (sg.derive, "x: weight[n]; A: constant[n, n] & symmetric; loss = sum(exp(A @ x))", "x", "A @ exp(A @ x)"),
        (sg.per_example, LINE, "b", "2/n*(X @ w + b - y)"),
    ],
)  # fmt: skip
def test_results_in_matrix_form(
    derive: Callable[..., sg.Derivation], text: str, key: Any, printed: str
) -> None:
    assert str(derive(text).gradients[key]).splitlines()[-1] == printed


def test_the_hessian_of_a_log_sum_of_exponentials() -> None:
    g = sg.hessian("x: weight[n]; logsumexp(x)").gradients["x", "x"]
    assert str(g).splitlines()[-1] == "diag(p) - outer(p, p)"
    assert str(g.text("index")).splitlines()[-1] == "d2x_x[i, k] = p[k]*([i == k] - p[i])"
    assert r"\frac{\partial^2 \mathrm{value}}{\partial x \, \partial x}" in g.latex()
    assert r"\operatorname{diag}(p) - p p^{\top}" in g.latex()
    assert g.shape == ("n", "n")
    assert repr(g).startswith("<hessian by x and x: ")


def test_a_derivation_is_told_like_that_of_a_gradient() -> None:
    told = " ".join(sg.hessian(LINE).text().split())
    assert "Second derivative by w and w" in told
    assert "∂²L/∂w∂w = δu(w) @ X" in told
    assert "Second derivatives may be taken in either order." in told
    assert [s.number for s in sg.hessian(LINE).steps] == list(range(1, 1 + len(sg.hessian(LINE).steps)))
    told = sg.jacobian("x: weight[n]; y = tanh(x)").text()
    assert "Derivative of y by x" in told
    assert "∂y/∂x = diag(1 − y²)" in told
    told = sg.hvp(LINE, wrt="w").text()
    assert "slope = v @ ∂L/∂w" in told
    told = sg.per_example(LINE, wrt="w").text()
    assert "Gradient by w, example by example" in told
    for d in (sg.hessian(LINE), sg.jacobian(LINE), sg.hvp(LINE), sg.per_example(LINE)):
        for form in ("matrix", "index"):
            assert d.latex(form, fragment=False).startswith("\\documentclass")
        assert d.text(detail="everything")
        assert "np." in d.numpy()


# ---------------------------------------------------------------------- judged by complex steps


@pytest.mark.parametrize(
    "text", [MLP, LINE, CONVOLUTION, LAYER_NORM, BATCH_NORM, ATTENTION, EMBEDDING, LOOP, SOLVE],
    ids=["mlp", "line", "convolution", "layer_norm", "batch_norm", "attention", "embedding", "loop", "solve"],
)  # fmt: skip
def test_products_with_the_hessian(text: str) -> None:
    verdict = sg.hvp(text).check()
    assert verdict.ok, verdict


@pytest.mark.parametrize("text", [MLP, LINE, CONVOLUTION, EMBEDDING, LOOP, SOLVE])
def test_hessians(text: str) -> None:
    verdict = sg.hessian(text).check()
    assert verdict.ok, verdict


@pytest.mark.parametrize(
    ("text", "of", "wrt"),
    [
        (MLP, "z", None),
        (MLP, "z", ["x", "h", "W1"]),
        (MLP, "z", "z"),
        (MLP, "loss", None),
        (LOOP, "h", ["x", "h0", "U"]),
        (LOOP, "h", "h"),
        (SOLVE, "X", ["A", "B"]),
        (CONVOLUTION, "f", ["x"]),
        ("x: data[n]; w: weight[n]; m = max(i, x[i]*w[i]); y = x*m; y*w", None, ["w", "y", "m"]),
        ("x: data[n]; w: weight[n]; F: zeros[3]\nF[0] += prod(i, w[i])\nF[1] += sum(w*x)\nF[2] += w[0]\nF", None, "w"),
        ("w: weight[h]; y: zeros[2*h + 1]\ny[k] += w[k]\ny[k + 1] += w[k]**2\ny**2", None, "w"),
    ],
)  # fmt: skip
def test_jacobians(text: str, of: str | None, wrt: Any) -> None:
    verdict = sg.jacobian(text, of, wrt).check()
    assert verdict.ok, verdict


def test_a_check_of_more_than_gradients_can_fail() -> None:
    for d in (sg.hessian(LINE), sg.jacobian(LINE, "loss"), sg.hvp(LINE), sg.per_example(LINE)):
        program = d.derived.program
        for key, name in d.derived.gradients.items():
            wrong = second.replace(program, statements=tuple(
                second.replace(s, body=s.body*3) if s.out == name else s for s in program.statements
            ))  # fmt: skip
            verdict = sg.Derivation(second.replace(d.derived, program=wrong)).check()
            assert not verdict.ok, key


# ---------------------------------------------------------------------- judged by PyTorch


def tensors(d: sg.Derivation) -> tuple[Any, dict[str, np.ndarray], dict[str, Any]]:
    torch = pytest.importorskip("torch")
    arrays = given(d)
    return torch, arrays, {n: torch.tensor(a) for n, a in arrays.items()}


def torch_loss(torch: Any, which: str) -> Callable[..., Any]:
    """The loss of a declaration above, in PyTorch's own operations."""
    f = torch.nn.functional

    def mlp(x: Any, t: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        return f.cross_entropy(torch.tanh(x @ W1 + b1) @ W2 + b2, t)

    def convolution(x: Any, V: Any, W1: Any, b1: Any) -> Any:
        h = f.max_pool2d(torch.tanh(f.conv2d(x, W1, b1)), 2)
        return (torch.einsum("ncij,cijk->nk", h, V) ** 2).mean()

    def layer_norm(x: Any, t: Any, W1: Any, b1: Any, gamma1: Any, beta1: Any, W2: Any, b2: Any) -> Any:
        return f.cross_entropy(f.layer_norm(x @ W1 + b1, (5,), gamma1, beta1) @ W2 + b2, t)

    def batch_norm(
        x: Any, t: Any, W1: Any, b1: Any, gamma1: Any, beta1: Any, W2: Any, b2: Any, **_: Any
    ) -> Any:
        h = f.batch_norm(x @ W1 + b1, None, None, gamma1, beta1, training=True)
        return f.cross_entropy(h @ W2 + b2, t)

    return {"mlp": mlp, "convolution": convolution, "layer_norm": layer_norm, "batch_norm": batch_norm}[which]


NETWORKS = {"mlp": MLP, "convolution": CONVOLUTION, "layer_norm": LAYER_NORM, "batch_norm": BATCH_NORM}


@pytest.mark.parametrize("which", NETWORKS)
def test_hessians_are_those_of_pytorch(which: str) -> None:
    d = sg.hessian(NETWORKS[which])
    torch, arrays, given = tensors(d)
    names = [t.name for t in d.program.role("weight")]
    others = {n: a for n, a in given.items() if n not in names}

    def loss(*weights: Any) -> Any:
        return torch_loss(torch, which)(**others, **dict(zip(names, weights, strict=True)))

    value, found = d.function()(**arrays)
    wanted = torch.autograd.functional.hessian(loss, tuple(given[n] for n in names))
    agrees(value, loss(*(given[n] for n in names)))
    assert list(found) == [(a, b) for a in names for b in names]
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            agrees(found[a, b], wanted[i][j])
            agrees(found[a, b], np.moveaxis(found[b, a], range(arrays[b].ndim), range(-arrays[b].ndim, 0)))


@pytest.mark.parametrize("which", NETWORKS)
def test_products_with_the_hessian_are_those_of_pytorch(which: str) -> None:
    d = sg.hvp(NETWORKS[which])
    torch, arrays, given = tensors(d)
    names = [t.name for t in d.derived.source.role("weight")]
    assert [n for n in arrays if n.startswith("v_")] == [f"v_{n}" for n in names]
    others = {n: a for n, a in given.items() if n not in names and not n.startswith("v_")}

    def loss(*weights: Any) -> Any:
        return torch_loss(torch, which)(**others, **dict(zip(names, weights, strict=True)))

    _, found = d.function()(**arrays)
    point, along = tuple(given[n] for n in names), tuple(given[f"v_{n}"] for n in names)
    _, wanted = torch.autograd.functional.hvp(loss, point, along)
    for name, product in zip(names, wanted, strict=True):
        agrees(found[name], product)


def test_a_jacobian_is_that_of_pytorch() -> None:
    d = sg.jacobian(MLP, of="z", wrt=["x", "W1", "b2"])
    torch, arrays, given = tensors(d)

    def scores(x: Any, W1: Any, b2: Any) -> Any:
        return torch.tanh(x @ W1 + given["b1"]) @ given["W2"] + b2

    value, found = d.function()(**arrays)
    agrees(value, scores(given["x"], given["W1"], given["b2"]))
    wanted = torch.autograd.functional.jacobian(scores, (given["x"], given["W1"], given["b2"]))
    for name, jacobian in zip(("x", "W1", "b2"), wanted, strict=True):
        agrees(found[name], jacobian)


# ---------------------------------------------------------------------- what is differentiated, and by what


def test_of_names_any_computed_tensor_and_needs_its_own_inputs_only() -> None:
    d = sg.jacobian(MLP, of="h")
    assert list(d.gradients) == ["W1", "b1"]
    assert [t.name for t in d.program.inputs] == ["x", "W1", "b1"]
    arrays = given(sg.derive(MLP))
    value, by = d.function()(**arrays)  # t, W2 and b2 are left aside
    assert value.shape == (2, 5)
    assert by["W1"].shape == (2, 5, 6, 5)
    with pytest.raises(sg.SymgradError, match="'nothing' is no input"):
        d.function()(**arrays, nothing=1.0)


def test_a_scalar_has_its_gradient_for_a_jacobian() -> None:
    arrays = given(sg.derive(MLP))
    loss, by = sg.jacobian(MLP).function()(**arrays)
    same, gradients = sg.derive(MLP).function()(**arrays)
    assert loss == same
    for name, gradient in gradients.items():
        agrees(by[name], gradient)


def test_a_size_that_only_another_input_has_is_told_by_it() -> None:
    d = sg.jacobian("x: data[n]; y: data[m]; h = x*m; loss = sum(h)*sum(y)", of="h", wrt="x")
    _, by = d.function()(x=[1.0, 2.0], y=[1.0, 2.0, 3.0])
    assert by["x"].tolist() == [[3.0, 0.0], [0.0, 3.0]]


def test_derivatives_by_data_and_by_computed_tensors() -> None:
    d = sg.hessian(MLP, wrt=["x", "z"])
    assert list(d.gradients) == [("x", "x"), ("x", "z"), ("z", "x"), ("z", "z")]
    assert d.check().ok


def test_a_value_that_is_a_variable_is_not_seen_through() -> None:
    # the gradient by h has the value of h in it only where the equation says tanh(z): by h alone it is constant
    d = sg.hessian("z: weight[n]; h = tanh(z); loss = sum(h*tanh(z))", wrt="h")
    _, by = d.function()(z=[0.3, 0.4])
    assert not by["h", "h"].any()


@pytest.mark.parametrize(
    ("text", "vectors"),
    [
        ("w: weight[n]; loss = sum(w**3)", ["v"]),
        ("v: weight[n]; loss = sum(v**3)", ["v_"]),
        ("v: data[n]; w: weight[n]; loss = sum(v*w**3)", ["v_"]),
        ("w: weight[v]; loss = sum(w**3)", ["v_"]),
        ("w: weight[n]; b: weight; v_b: data; loss = sum(w**3)*v_b*b", ["v_w", "v_b_"]),
    ],
)
def test_names_of_vectors(text: str, vectors: list[str]) -> None:
    d = sg.hvp(text)
    assert [t.name for t in d.derived.source.inputs if t not in d.derived.base.source.inputs] == vectors  # type: ignore[union-attr]
    assert d.check().ok


# ---------------------------------------------------------------------- single examples


EXAMPLES = {
    "line": "X: data[n, i]; y: data[n]; w: weight[i]; b: weight; loss = sum((X @ w + b - y)**2)",
    "mlp": MLP.replace("loss = softmax_cross_entropy(z, t)", "loss = 3*softmax_cross_entropy(z, t, reduction=\"sum\")"),
    "convolution": CONVOLUTION.replace("mean(f**2)", "sum(f**2)/4"),
    "layer_norm": LAYER_NORM.replace(", 3), t)", ", 3), t, reduction=\"sum\")"),
    "attention": ATTENTION.replace("mean", "sum"),
    "embedding": EMBEDDING.replace(", 3), y)", ", 3), y, reduction=\"sum\")"),
    "loop": LOOP.replace("mean", "sum"),
    "weights alone": "x: data[n]; w: weight[k]; u = w/norm(w); loss = sum(n, sum(k, x[n]*u[k]**3))",
    "in parts": "x: data[n]; w: weight; a = sum(x*w); c = sum(exp(x*w)); loss = 2*a - c/3",
}  # fmt: skip


@pytest.mark.parametrize("which", EXAMPLES)
def test_single_examples(which: str) -> None:
    """Each example's part is its gradient alone, and all of them are the gradient."""
    d, whole = sg.per_example(EXAMPLES[which]), sg.derive(EXAMPLES[which])
    arrays, f = given(d, seed=1), whole.function()
    loss, each = d.function()(**arrays)
    same, gradients = f(**arrays)
    agrees(loss, same)
    letter = d.program.role("data", "label")[0].shape[0]
    for name, gradient in gradients.items():
        agrees(each[name].sum(0), gradient)
    for k in range(len(next(iter(each.values())))):
        alone = {n: a[k : k + 1] if d.program[n].shape[:1] == (letter,) else a for n, a in arrays.items()}
        for name, gradient in f(**alone)[1].items():
            agrees(each[name][k], gradient)
    verdict = d.check()
    assert verdict.ok, verdict


@pytest.mark.parametrize(
    "text", [
        LINE + "\nloss",
        "X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2) + 0.1*sum(w**2)",
        "X: data[n, i]; y: data[n]; m: data[n] > 0; w: weight[i]; loss = sum(m*(X @ w - y)**2)/sum(m)",
        "X: data[n, i]; y: data[n]; w: weight[i]; c = X - mean(n, X[n, i]); loss = mean((c @ w - y)**2)".replace(
            "mean(n, X[n, i])", "mean(X, axis=0)"
        ),
        MLP,
    ],
)  # fmt: skip
def test_shares_of_a_mean_with_a_penalty(text: str) -> None:
    d = sg.per_example(text)
    arrays = given(d)
    _, each = d.function()(**arrays)
    for name, gradient in sg.derive(text).function()(**arrays)[1].items():
        agrees(each[name].sum(0), gradient)
    verdict = d.check()
    assert verdict.ok, verdict


@pytest.mark.parametrize(
    ("text", "wrt", "said"),
    [
        (BATCH_NORM, None, "of batch_norm"),
        (
            "x: data[n, i]; w: weight[i]; s = x @ w; loss = logsumexp(s)",
            None,
            "so no example has a share of its own in loss; per-example gradients need",
        ),
        ("x: data[n, i]; W: weight[i, k]; z = x @ W; S = z @ z.T; loss = sum(S)", None, "compares examples"),
        ("x: data[n]; w: weight; loss = sum(x*w)**2", None, "does not enter it linearly"),
        ("x: data[n]; w: weight; loss = w*sum(x*w)", None, "does not enter it linearly"),
        ("x: data[n]; w: weight; h = x*w; loss = sum(h) + h[0]", None, "reads other examples"),
        ("x: data[n]; w: weight; loss = max(x*w)", None, "lets examples compete"),
        ("x: data[5]; w: weight; loss = sum(x*w)", None, "no axis of examples"),
        ("x: data[n]; w: weight[n]; loss = sum(x*w)", None, "no axis of examples"),
        ("x: data[n]; w: weight; loss = sum(x*w)", "x", "x has the axis n of the examples itself"),
        ("x: data[n]; w: weight; loss = w**2 + 0*sum(x)", None, "is no sum over the examples"),
    ],
)
def test_where_examples_have_no_shares(text: str, wrt: str | None, said: str) -> None:
    with pytest.raises(sg.SymgradError, match=said):
        sg.per_example(text, wrt)


# ---------------------------------------------------------------------- symmetric weights


def test_the_gradient_of_a_symmetric_weight_is_the_symmetric_part() -> None:
    text = "X: data[m, n]; Y: data[m, n]; A: weight[n, n]{}; loss = sum((X @ A)*tanh(Y @ A))"
    free, symmetric = sg.derive(text.format("")), sg.derive(text.format(" & symmetric"))
    arrays = given(symmetric)
    entries, part = free.function()(**arrays)[1]["A"], symmetric.function()(**arrays)[1]["A"]
    agrees(part, (entries + entries.T) / 2)
    step = next(s for s in symmetric.steps if s.rule == "symmetric")
    assert step.reason.startswith("A is declared symmetric")
    assert "symmetric" in symmetric.text()
    verdict = symmetric.check()
    assert verdict.ok, verdict
    # a check that moves along symmetric directions and asks for a symmetric gradient
    wrong = free.derived
    source = second.replace(wrong.source, tensors=symmetric.program.tensors)
    assert not sg.Derivation(second.replace(wrong, source=source)).check().ok


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("x: data[n]; A: weight[n, n] & symmetric; x @ A @ x", "outer(x, x)"),
        ("A: weight[n, n] & symmetric; loss = sum(A**3)", "3*A**2"),
        ("x: data[n]; y: data[n]; A: weight[n, n] & symmetric; x @ A @ y", "(outer(x, y) + outer(y, x))/2"),
    ],
)
def test_what_is_symmetric_already_stays(text: str, printed: str) -> None:
    d = sg.derive(text)
    assert str(d.gradients["A"]) == printed
    assert d.check().ok


@pytest.mark.parametrize("derive", [sg.hessian, sg.hvp, sg.jacobian])
def test_second_derivatives_by_symmetric_weights(derive: Callable[..., sg.Derivation]) -> None:
    d = derive(
        "x: data[n]; y: data[n]; A: weight[n, n] & symmetric; b: weight; loss = sum(exp(b*(A @ x)))*(x @ A @ y)"
    )
    verdict = d.check()
    assert verdict.ok, verdict
    if derive is sg.hessian:
        h = d.function()(**given(d))[1]["A", "A"]
        agrees(h, h.transpose(1, 0, 2, 3))
        agrees(h, h.transpose(0, 1, 3, 2))


def test_a_symmetric_weight_stays_so_in_training() -> None:
    m = sg.Model("""
        X: data[n, 3]
        y: data[n]
        A: weight[3, 3] & symmetric
        loss = mean((sum((X @ A)*X, axis=1) - y)**2)
    """)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    for style in ("readable", "fast"):
        module = emit.load(m.source("form", style=style, optimizer="adam"), f"form_{style}")
        assert module["check_gradients"]() < 1e-9
        module["init"](seed=1)
        for _ in range(5):
            module["step"](X, y)
        A = module["get_weights"]()["A"]
        assert np.array_equal(A, A.T)
        assert np.abs(A - np.diag(np.diag(A))).max() > 0.01


# ---------------------------------------------------------------------- size, and refusals


def statements(derive: Callable[[str], sg.Derivation], depth: int) -> int:
    layers = "".join(f"h{k + 1} = tanh(dense(h{k}, 5))\n" for k in range(depth))
    return len(derive(f"h0: data[n, 5]\n{layers}loss = mean(h{depth}**2)").derived.program.statements)


@pytest.mark.parametrize("derive", [sg.hvp, sg.per_example])
def test_size_grows_with_that_of_the_program(derive: Callable[[str], sg.Derivation]) -> None:
    assert statements(derive, 8) < 2.2 * statements(derive, 4)


def test_what_is_not_needed_is_not_computed() -> None:
    d = sg.hessian("x: weight[n]; A: constant[n, n]; loss = x @ A @ x")
    assert [s.out for s in d.derived.program.statements][-1] == "d2x_x"
    assert not any(s.out == "dx" for s in d.derived.program.statements)
    # of the Jacobian of a layer over a batch nothing has two axes of examples but the derivative by data
    for t in sg.jacobian(MLP, of="z").derived.program.tensors.values():
        assert [str(n) for n in t.shape].count("n") <= 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: sg.jacobian(MLP, of="q"), "of names 'q', which is no tensor"),
        (lambda: sg.jacobian(MLP, of="x"), "of names 'x', which is declared and not computed"),
        (lambda: sg.jacobian(MLP, of="z", wrt="t"), "'t' is an integer tensor"),
        (lambda: sg.jacobian(MLP, of="z", wrt="W3"), "wrt names 'W3'"),
        (lambda: sg.jacobian("x: data[n]; tanh(x)"), "there is no weight to differentiate by"),
        (lambda: sg.hessian("x: data[n]; sum(x**2)"), "there is no weight to differentiate by"),
        (lambda: sg.hessian("x: weight[n]; tanh(x)"), "a gradient needs a scalar"),
        (lambda: sg.hvp("x: weight[n]; tanh(x)"), "a gradient needs a scalar"),
        (lambda: sg.per_example("x: data[n]; w: weight; x*w"), "needs a scalar|no sum over the examples"),
        (lambda: sg.hessian(LINE, wrt=[]), "wrt takes names of tensors"),
    ],
)
def test_refusals(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(sg.SymgradError, match=said):
        call()


def test_functions_take_what_they_say() -> None:
    source: Mapping[str, str] = {
        "value_and_jacobian": sg.jacobian(LINE).numpy(),
        "loss_and_hessian": sg.hessian(LINE).numpy(),
        "loss_and_hvp": sg.hvp(LINE).numpy(),
        "loss_and_grads": sg.per_example(LINE).numpy(),
    }
    for name, text in source.items():
        assert f"def {name}(" in text
        assert "import symgrad" not in text
    _, arrays = bind(
        sg.hessian(LINE).program, {"X": np.ones((2, 3)), "y": np.ones(2), "w": np.ones(3), "b": 1.0}
    )
    loss, by = sg.hessian(LINE).function()(*arrays.values())
    assert float(loss) == 9.0
    assert by["w", "b"].shape == (3,)
    assert by["b", "b"].shape == ()


def test_objects_and_options() -> None:
    x, t = sg.data("n", 6), sg.label("n", below=3)
    loss = sg.softmax_cross_entropy(sg.dense(sg.dropout(sg.tanh(sg.dense(x, 4)), 0.5), 3), t)
    assert "training" not in sg.hvp(loss, training=False).numpy()
    assert sg.hvp(loss).check().ok
    assert sg.per_example(loss).check().ok


def test_no_slope_is_told_that_lacks_its_indices() -> None:
    labels = "u: weight[n]; y: label[n] < 2; loss = sum(n, log(1 + exp(-(2*y[n] - 1)*u[n])))"
    assert "∂L/∂u = " not in sg.derive(labels).text()
    told = sg.hessian("x: weight[n]; loss = sum(x**4)").text()
    assert "12·diag(x²)" in told and "= 12·x²" not in told
