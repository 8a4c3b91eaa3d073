"""The front door: what comes in as text comes out derived; what is wrong is answered in one sentence."""

from collections.abc import Callable

import numpy as np
import pytest

import symgrad as sg

REFUSED = {
    "unknown name": ("x: weight[n]; loss = sum(xx**2)", ["xx", "did you mean 'x'"]),
    "unknown function": ("x: weight[n]; loss = sum(tnah(x))", ["tnah", "did you mean 'tanh'"]),
    "wrong shape": ("X: data[n, i]; w: weight[k]; loss = sum(X @ w)", ["X", "w", "[n, i]", "[k]"]),
    "broadcast by luck": ("X: data[n, k]; b: weight[n]; loss = sum(X + b)", ["[n, k]", "[n]"]),
    "unused weight": ("x: data[n]; w: weight[n]; v: weight[n]; loss = sum(x*w)", ["v"]),
    "undeclared": ("loss = sum(w**2)", ["w: "]),
    "no scalar": ("x: weight[n]; loss = x**2", ["loss", "[n]", "mean(loss)", "jacobian"]),
    "code": ("x: weight[n]; loss = sum(__import__('os').system('true'))", ["__import__"]),
    "attribute": ("x: weight[n]; loss = x.__class__", ["__class__"]),
    "caret": ("x: weight[n]; loss = sum(x^2)", ["**"]),
    "twice": ("x: weight[n]; c = sum(x); c = c + 1; loss = c", ["c"]),
    "held that matters": ("x: weight[n]; loss = sum(x*held(x))", ["held", "stop"]),
    "label by gradient": ("t: label[n] < 3; x: weight[3]; loss = sum(n, x[t[n]])", None),
}


@pytest.mark.parametrize(
    "text, words", [v for v in REFUSED.values() if v[1]], ids=[k for k, v in REFUSED.items() if v[1]]
)
def test_refused_in_a_sentence(text: str, words: list[str]) -> None:
    with pytest.raises(sg.SymgradError) as caught:
        sg.derive(text)
    message = str(caught.value)
    assert all(w in message for w in words), message
    assert caught.value.__cause__ is None and len(message) < 900


ACCEPTED = [
    "x: weight; loss = x**2",
    "X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)",
    "x: weight[n]; A: weight[n, n]; loss = x @ A @ x",
    "A: weight[i, j]; B: weight[j, k]; C: data[k, i]; loss = trace(A @ B @ C)",
    "x: data[n, 4]; t: label[n] < 3; loss = softmax_cross_entropy(dense(tanh(dense(x, 5)), 3), t)",
    "z: weight[n, k]; t: data[n, k] & distribution; loss = -mean(sum(t*log(softmax(z)), axis=1))",
    "z: weight[n]; t: 0 < data[n] < 1; loss = binary_cross_entropy_with_logits(z, t)",
    "z: weight[n]; t: 0 < data[n] < 1; s = 1/(1 + exp(-z)); loss = -mean(t*log(s) + (1 - t)*log(1 - s))",
    "x: weight[n, h]; w: weight[q]; c[n, j] = sum(p, x[n, j + p]*w[p]); loss = sum(c**2)",
    "x: weight[h]; w: weight[3]; c[j < h] = sum(p, [0 <= j + p - 1 < h], x[j + p - 1]*w[p]); loss = sum(c**3)",
    "x: weight[n, 2*h, 2*w]; m[n, i, j] = max(p < 2, q < 2, x[n, 2*i + p, 2*j + q]); loss = sum(m**2)",
    "E: weight[v, d]; t: label[n] < v; e[n, k] = E[t[n], k]; loss = sum(sin(e))",
    "x: weight[n]; loss = prod(x)",
    "x: weight[n]; y: weight[m]; loss = logsumexp(x) * norm(y)",
    "x: weight[n]; y: zeros[2*n]; y[2*i] += x[i]; y[2*i + 1] += 3*x[i]**2; loss = sum(y**2)",
    "A: weight[n, n]; loss = sum(i, A[i, i]**2) + sum(i, j, [i < j], A[i, j])",
    "x: weight[n, k]; m = x.mean(axis=0); loss = sum((x - m)**2) / (n - 1)",
    "def swish(x): return x*sigmoid(x)\nx: weight[n]\nloss = mean(swish(x))",
    "x: weight[n]; loss = sum(max(0, x) + abs(x) + max(x, 1 - x))",
    "x: weight[n]; s = 0.5*x; loss = sum(stop(s)*x)",
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_derived_and_checked(text: str) -> None:
    d = sg.derive(text)
    verdict = d.check()
    assert verdict.ok, f"{d.derived.program}\n{verdict}"
    again = sg.derive(str(d.program), wrt=list(d.gradients))
    assert str(again.program) == str(d.program)
    assert again.check().ok


def test_error_signal_of_a_layer() -> None:
    d = sg.derive(
        "x: data[n, 4]; t: label[n] < 3; z = dense(x, 3); p = softmax(z); loss = -mean(n, log(p[n, t[n]]))",
        wrt=["z", "W1"],
    )
    assert "p[n, k] - [k == t[n]]" in d.gradients["z"].text("index").replace("k_1", "k").replace("j", "k")
    assert d.check().ok


def test_function_checks_what_arrives() -> None:
    f = sg.derive("X: data[n, i]; p: 0 < data[n] < 1; w: weight[i]; loss = sum(p*(X @ w))").function()
    loss, gradients = f(X=np.ones((2, 3), dtype=int), p=[0.5, 0.25], w=np.arange(3))
    assert loss == pytest.approx(2.25) and gradients["w"].tolist() == [0.75, 0.75, 0.75]
    for wrong, word in [
        (dict(X=np.ones((2, 3)), p=[0.5, 2.0], w=np.ones(3)), "p is declared"),
        (dict(X=np.ones((2, 3)), p=[0.5], w=np.ones(3)), "n is 2 in X"),
        (dict(X=np.ones((2, 3)), w=np.ones(3)), "no array was given for p"),
        (dict(X=np.ones((2, 3)), p=[0.5, 0.5], w=np.ones(3), q=1), "'q' is no input"),
        (dict(X=[["a"]], p=[0.5], w=[1.0]), "array of numbers"),
    ]:
        with pytest.raises(sg.SymgradError, match=word):
            f(**wrong)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["softmax_cross_entropy(z, t)", "-mean(log(softmax(z)[n, t[n]]))"][:1])
def test_finite_at_a_thousand(dtype, loss: str) -> None:
    d = sg.derive(f"z: weight[n, k]; t: label[n] < k; loss = {loss}")
    z = np.array([[1000.0, -1000.0, 0.0], [-1000.0, -1000.0, -1000.0]], dtype)
    with np.errstate(all="raise", under="ignore"):
        value, gradients = d.function()(z=z, t=[1, 2])
    assert np.isfinite(value) and np.isfinite(gradients["z"]).all()


def test_operations_from_outside_the_package() -> None:
    """One text, nowhere in the package: usable at once, derived, checked, emitted and listed like a shipped one."""
    from symgrad import library, ops

    before = dict(library.DEFINITIONS)
    try:
        assert sg.define(
            'def bump(x, a=2):\n    "a bump"\n    return exp(-a*x**2)\n\ndef far(y, t): return mean((y - t)**4)'
        ) == ("bump", "far")
        m = sg.Model("x: data[n, 3]; t: data[n, 2]; loss = far(bump(dense(x, 2)), t)")
        assert m.derive().check().ok
        assert "far" in ops.listing() and "def bump" in ops.describe("bump")
        assert "def loss_and_grad" in m.derive().numpy() and "class Model" in m.source("own")
        sg.define("def worse(x): return y")
        with pytest.raises(sg.SymgradError, match="y"):
            sg.derive("x: weight[n]; loss = sum(worse(x))")
    finally:
        library.DEFINITIONS.clear()
        library.DEFINITIONS.update(before)


def test_a_named_sum_of_exponentials_keeps_its_meaning() -> None:
    """The shifted sum, which does not overflow, is another tensor; predicting the named one gives the plain sum."""
    from symgrad import emit

    m = sg.Model("""
        x: data[n, 4]; t: label[n] < 3; z = dense(x, 3)
        s[i] = sum(j, exp(z[i, j])); loss = mean(n, log(s[n]) - z[n, t[n]])
    """)
    x = np.random.default_rng(0).normal(size=(2, 4))
    for style in ("readable", "fast"):
        net = emit.load(m.source("net", predict="s", style=style), "net")["Model"](dtype=np.float64)
        w = net.get_weights()
        np.testing.assert_allclose(net.predict(x), np.exp(x @ w["W1"] + w["b1"]).sum(1))
        assert np.isfinite(net.loss_and_grad(x * 1e4, [0, 1])[0])


@pytest.mark.parametrize(
    "text",
    [
        "x: weight[n]; s = sum(exp(x)); loss = sum(x**2)",  # a sum that nothing reads is no reason to refuse
        "x: weight[n]; loss = sum([x - x > 0]*log(x - x)) + sum(x)",  # a bracket that never holds
    ],
)
def test_found_by_review(text: str) -> None:
    assert sg.derive(text).check().ok


@pytest.mark.parametrize(
    "text, words",
    [
        ("x: weight[n]; loss = sum(relu(x - 10)*held(sum(x)))", "held"),  # hidden on one side of the kink
        ("x: weight; loss = x*10**10**10", "too many digits"),
        ("x: data[n, 4]; t: label[n] < 0; loss = softmax_cross_entropy(dense(x, 2), t)", "at least 1"),
        ("x: data[n, 4]; y: data[n, 2]; loss = mse(dense(x, 0), y)", "at least 1"),
        ("()", "no formula"),
    ],
)
def test_refusals_found_by_review(text: str, words: str) -> None:
    with pytest.raises(sg.SymgradError, match=words):
        sg.derive(text)


def test_sizes_are_found_whichever_letter_must_be_larger() -> None:
    text = "x: data[n]; w: weight[k]; y[i] = sum(p, x[i + p]*w[p]); loss = logsumexp(y)"
    assert sg.derive(text).check().ok
    with pytest.raises(sg.SymgradError, match="no entries"):
        sg.derive("X: data[n, 3]; w: weight[3]; loss = mean((X @ w)**2)").function()(
            np.zeros((0, 3)), np.zeros(3)
        )


LINE = "x: data[n, 3]; w: weight[3]; loss = sum(n, i, x[n, i]*w[i])"
WRONG_KIND = {
    "sizes": (lambda: sg.derive("x: weight[n]; loss = sum(x)", sizes=[3]), ["sizes", '{"n": 3}', "[3]"]),
    "declaration": (lambda: sg.derive(3), ["a declaration is text", "not 3"]),
    "no declaration": (lambda: sg.derive(None), ["a declaration is text", "not None"]),
    "width": (lambda: sg.derive(LINE).text(width=-1), ["width", "at least 1", "-1"]),
    "width of text": (lambda: sg.derive(LINE).text(width="a"), ["width", "whole number", "'a'"]),
    "arrays": (lambda: sg.derive(LINE).check(3), ["by name", '{"x": ..., "w": ...}', "not as 3"]),
    "definition": (lambda: sg.define(None), ["'def cube(x): return x**3'", "None"]),
    "operation": (lambda: sg.check_op(None), ["by its name in quotes", "None"]),
    "description": (lambda: sg.describe(3), ["by its name in quotes", "3"]),
    "rate": (lambda: sg.Model(LINE).source(lr="a"), ["lr of adam is a number", "'a'"]),
    "module": (lambda: sg.Model(LINE).generate(3), ["the path of a file", "digits.py", "3"]),
    "label": (lambda: sg.label("n"), ["how many values", "sg.label('n', below=10)"]),
    "gradient": (
        lambda: sg.derive("weights_1: weight[n]; loss = sum(weights_1**2)").gradients["weight_1"],
        ["'weight_1'", "did you mean 'weights_1'", "wrt"],
    ),
    "hessian": (lambda: sg.hessian(LINE.replace("*w", "*w[i]*w")).gradients["w"], ["'w'", "('w', 'w')"]),
}


@pytest.mark.parametrize("call, words", WRONG_KIND.values(), ids=WRONG_KIND)
def test_a_wrong_kind_is_refused_in_a_sentence(call: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(sg.SymgradError) as caught:
        call()
    message = str(caught.value)
    assert all(w in message for w in words), message
    assert caught.value.__cause__ is None and "\n" not in message


def test_the_results_are_a_dictionary() -> None:
    found = sg.derive(LINE).gradients
    assert isinstance(found, dict) and list(found) == ["w"]
    assert found.get("q") is None and "q" not in found
    with pytest.raises(KeyError):
        found["q"]


@pytest.mark.parametrize("op", ["<", "<="])
def test_a_moving_range_is_answered_with_its_own_comparison(op: str) -> None:
    with pytest.raises(sg.SymgradError, match=rf"the range of j moves with i; .* \[j {op} i\]"):
        sg.derive(f"x: weight[n]; a[i] = sum(j {op} i, x[j]); loss = sum(a)")
