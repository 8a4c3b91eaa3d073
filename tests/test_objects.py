"""Objects write the language: every operation has one, and what they write is what one would write by hand."""

import ast
import inspect
import itertools
import math
import random
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad.language import reference
from symgrad.language.definitions import Parameter, parse_definitions
from symgrad.language.formulas import FUNCTIONS
from symgrad.language.functions import ALIASES
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS, public
from symgrad.objects import layers

OPERATIONS = sorted({*public(), *LEAVES})


@pytest.fixture(autouse=True)
def library() -> Iterator[None]:
    """What a test defines is gone after it."""
    before = dict(DEFINITIONS)
    yield
    DEFINITIONS.clear()
    DEFINITIONS.update(before)


def text(e: sg.Expression) -> str:
    """The text of an expression, spaced as it is compared here."""
    return str(e)


def dedent(lines: str) -> str:
    return textwrap.dedent(lines).strip()


def same(e: sg.Expression, by_hand: str) -> None:
    """An expression is the program that a text is, with the same gradients."""
    m, other = sg.Model(e), sg.Model(by_hand)
    assert str(m.program) == str(other.program)
    assert m.derive().numpy() == other.derive().numpy()


# ---------------------------------------------------------------------- every operation has its objects


def params(name: str) -> tuple[Parameter, ...]:
    return DEFINITIONS[name].params if name in DEFINITIONS else tuple(map(Parameter, LEAVES[name].params))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_a_function_and_a_class(name: str) -> None:
    function, made = getattr(sg, name), getattr(sg, layers.class_name(name))
    assert name not in vars(sg), "a name of the package hides the operation"
    assert layers.class_name(name) not in vars(sg)
    assert function.__name__ == name and list(inspect.signature(function).parameters) == [
        p.name for p in params(name)
    ]
    assert issubclass(made, layers.Layer) and made is getattr(sg, layers.class_name(name))
    assert {name, layers.class_name(name)} <= set(dir(sg))
    if name in DEFINITIONS:
        assert DEFINITIONS[name].doc in function.__doc__ and DEFINITIONS[name].doc in made.__doc__


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_written_as_the_call_that_it_is(name: str) -> None:
    needed = [p for p in params(name) if p.default is None]
    settings = [p for k, p in enumerate(needed) if k and p.axes is None]
    arrays = {p.name: sg.data("n", name=f"{p.name}_") for p in needed if p not in settings}
    arguments = [arrays.get(p.name, k + 2) for k, p in enumerate(needed)]
    written = [f"{p.name}_" if p.name in arrays else str(k + 2) for k, p in enumerate(needed)]
    call = f"{name}({', '.join(written)})"
    by_function = getattr(sg, name)(*arguments)
    assert text(by_function).splitlines()[-1] == f"loss = {call}"
    layer = getattr(sg, layers.class_name(name))(*(k + 2 for k, p in enumerate(needed) if p in settings))
    assert text(layer(*arrays.values())) == text(by_function)
    by_name = {p.name: a for p, a in zip(needed, arguments, strict=True) if p in settings}
    assert text(getattr(sg, layers.class_name(name))(**by_name)(*arrays.values())) == text(by_function)


@pytest.mark.parametrize(
    "name", sorted({*FUNCTIONS, *ALIASES} - {*OPERATIONS, "size"})
)  # sg.size("n") is a size
def test_every_function_of_the_language_has_its_name(name: str) -> None:
    x = sg.data("n", name="x_")
    count = len(LEAVES[ALIASES[name]].params) if name in ALIASES else 1
    call = f"{name}({', '.join(['x_'] * count)})"
    assert text(getattr(sg, name)(*[x] * count)).splitlines()[-1] == f"loss = {call}"
    layer = getattr(sg, layers.class_name(name))()
    assert text(layer(*[x] * count)).splitlines()[-1] == f"loss = {call}"
    assert {name, layers.class_name(name)} <= set(dir(sg))


def test_names_of_classes() -> None:
    known = {
        "dense": "Dense", "relu": "ReLU", "leaky_relu": "LeakyReLU", "gelu": "GELU", "layer_norm": "LayerNorm",
        "conv2d": "Conv2d", "lstm": "LSTM", "mse": "MSE", "max_pool2d": "MaxPool2d", "rms_norm": "RMSNorm",
        "log_softmax": "LogSoftmax", "my_op": "MyOp", "relu6": "ReLU6", "Odd": "Odd",
    }  # fmt: skip
    assert {name: layers.class_name(name) for name in known} == known


def test_what_is_defined_later_is_there_at_once_and_may_be_defined_again() -> None:
    with pytest.raises(AttributeError):
        sg.triple  # noqa: B018
    sg.define("def triple(x): return 3*x")
    x = sg.weight("n", name="x")
    first = sg.Triple
    assert text(sg.Triple()(x)) == text(sg.triple(x)) == "x: weight[n]\nloss = triple(x)"
    assert sg.derive(sg.sum(sg.triple(x))).function()(x=[1, 2])[1]["x"].tolist() == [3, 3]
    sg.define('def triple(x, by=3):\n    "by times x"\n    return by*x')
    assert sg.Triple is not first and "by times x" in sg.Triple.__doc__
    assert str(inspect.signature(sg.Triple)) == "(by=3)"
    assert text(sg.Triple(4)(x)) == "x: weight[n]\nloss = triple(x, by=4)"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dens", "symgrad has no 'dens'; did you mean 'dense'?"),
        ("Relu", "symgrad has no 'Relu'; did you mean 'ReLU'?"),
        ("detach", "symgrad has no 'detach': write stop(x)"),
        ("qqqq", "symgrad has no 'qqqq'"),
        ("__wrapped__", "no attribute"),
    ],
)
def test_unknown_names(name: str, said: str) -> None:
    with pytest.raises(AttributeError, match=re.escape(said)):
        getattr(sg, name)
    assert not hasattr(sg, name)


# ---------------------------------------------------------------------- formulas


x, y, t = sg.data("n", 3, name="x"), sg.data("n", 3, name="y"), sg.label("n", below=3)
W = sg.weight(3, 5, name="W", start="he()")


@pytest.mark.parametrize(
    ("e", "written"),
    [
        (x + y, "x + y"), (x - (y - 1), "x - (y - 1)"), (-x**2, "-x ** 2"), ((-x) ** 2, "(-x) ** 2"),
        (2 / x, "2 / x"), (x * -1.5, "x * -1.5"), (1 - x, "1 - x"), (2**x, "2 ** x"), (x @ W, "x @ W"),
        (x.T @ (x @ W), "x.T @ (x @ W)"), (abs(x), "abs(x)"), (+x, "x"), (Fraction(1, 3) * x, "1 / 3 * x"),
        ([1, 2, 3] * x, "[1, 2, 3] * x"), (x + np.array([0.5, 1, 2]), "x + [0.5, 1.0, 2.0]"),
        (np.float64(0.1) * x, "0.1 * x"), (np.int64(2) + x, "2 + x"), (np.exp(x), "exp(x)"),
        (np.maximum(x, 0), "maximum(x, 0)"), (np.ones(3) @ W, "[1.0, 1.0, 1.0] @ W"), (np.pi * x, f"{math.pi} * x"),
        (x[0], "x[0]"), (x[:, 1:], "x[:, 1:]"), (x[..., None], "x[..., None]"), (x[:, :x.shape[1] - 1],
         "x[:, :x.shape[1] - 1]"), (W[t], "W[t]"), (x[::2, 0], "x[::2, 0]"), (x.size * 1.0, "x.size * 1.0"),
        (x.mean(axis=0, keepdims=True), "mean(x, axis=0, keepdims=True)"), (x.softmax(), "softmax(x)"),
        ((x > 0) * x, "[x > 0] * x"), (sg.where((x > 0) & (y <= 1), x, -y), "where([x > 0 and y <= 1], x, -y)"),
        (~(x > 0) * x, "[not x > 0] * x"), (((x > 0) | (y < 0)) * x, "[x > 0 or y < 0] * x"), (x != 0, "[x != 0]"),
        ((t == 2) * 1.0, "[t == 2] * 1.0"), (sg.concatenate([x, y], axis=1), "concatenate([x, y], axis=1)"),
        (sg.einsum("ij,jk->ik", x, W), "einsum('ij,jk->ik', x, W)"), (x / sg.size("n"), "x / n"),
        (sg.relu(x).tanh().sum(), "sum(tanh(relu(x)))"), (x**0.5 - 3, "x ** 0.5 - 3"), (round(x), "round(x)"),
        (sum([x, y]), "x + y"), (np.sum(x), "sum(x)"), (np.mean(x, axis=0), "mean(x, axis=0)"),
        (np.where(x > 0, x, 1), "where([x > 0], x, 1)"),
        (np.concatenate([x, y], axis=1), "concatenate([x, y], axis=1)"),
        (np.linalg.norm(x), "norm(x)"), (sg.Dense("k")(x) + sg.sum(sg.data("k", name="c")), "dense(x, k) + sum(c)"),
    ],
    ids=lambda p: p if isinstance(p, str) else "",
)  # fmt: skip
def test_formulas(e: sg.Expression, written: str) -> None:
    assert text(e).splitlines()[-1] == f"loss = {written}"
    program = sg.Model(e).program  # and the language reads it
    assert program.target == "loss"


def test_declarations() -> None:
    h = sg.size("h")
    declared = [
        sg.data("n", h - 2, 3, name="x"), sg.data("n", name="p", above=0, below=1),
        sg.data("n", name="q", at_least=-1.5), sg.data("n", "k", name="d", distribution=True),
        sg.label("n", below="k", name="t"), sg.weight(name="s", start=0.5), sg.weight("n", start="normal(0.1)"),
        sg.weight("n", "n", symmetric=True, start="zeros"), sg.constant(name="lam", above=0),
    ]  # fmt: skip
    total = sum((sg.sum(e) for e in declared[1:]), sg.sum(declared[0]))
    lines = """
        x: data[n, h - 2, 3]
        p: 0 < data[n] < 1
        q: data[n] >= -1.5
        d: data[n, k] & distribution
        t: label[n] < k
        s: weight = 0.5
        w: weight[n] = normal(0.1)
        W: weight[n, n] & symmetric = zeros()
        lam: constant > 0
    """
    assert text(total).splitlines()[:-1] == dedent(lines).splitlines()
    program = sg.Model(total).program
    assert next(t.name for t in program.inputs) == "x" and program["p"].facts.high == 1


def test_names_are_the_users_or_made_up_and_never_meet() -> None:
    a, b = sg.data("n", name="h1"), sg.data("n")
    h = sg.tanh(a + b)
    u = (h * h).named("u")
    e = u * u * h + sg.data("n") + sg.data("h2")
    lines = """
        h1: data[n]
        x: data[n]
        x_1: data[n]
        x_2: data[h2]
        h3 = tanh(h1 + x)
        u = h3 * h3
        loss = u * u * h3 + x_1 + x_2
    """
    assert text(e) == dedent(lines)
    assert text(sg.relu(x).named("out")) == "x: data[n, 3]\nout = relu(x)"


def test_long_formulas_are_cut_into_lines() -> None:
    e = total = x
    for _ in range(300):
        e, total = sg.tanh(-e), total + x
    for deep in (e, total):
        assert max(map(len, text(deep).splitlines())) < 400
        sg.Model(sg.sum(deep))


Pair = tuple[Any, np.ndarray]


@st.composite
def grown(draw: st.DrawFn) -> tuple[sg.Expression, float, dict[str, np.ndarray]]:
    """An expression of many shared parts, and the same computed by NumPy."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    a, b, m = sg.data("n", 3, name="a"), sg.data(3, name="b"), sg.data(3, 3, name="m")
    pool: list[Pair] = [(e, rng.normal(size=s)) for e, s in ((a, (4, 3)), (b, (3,)), (m, (3, 3)))]
    steps: list[Callable[[Pair, Pair], Pair]] = [
        lambda p, q: (p[0] + q[0], p[1] + q[1]), lambda p, q: (p[0] - q[0], p[1] - q[1]),
        lambda p, q: (p[0] * q[0], p[1] * q[1]), lambda p, q: (p[0] / (2 + q[0] ** 2), p[1] / (2 + q[1] ** 2)),
        lambda p, q: (-p[0], -p[1]), lambda p, q: (1 - p[0] / 2, 1 - p[1] / 2),
        lambda p, q: (p[0] @ m, p[1] @ pool[2][1]),
        lambda p, q: (np.tanh(p[0]), np.tanh(p[1])), lambda p, q: (abs(p[0]) ** 0.5, abs(p[1]) ** 0.5),
        lambda p, q: ((p[0] > q[0]) * q[0], (p[1] > q[1]) * q[1]),
        lambda p, q: (sg.where((p[0] > 0) | ~(q[0] < 1), p[0], 3), np.where((p[1] > 0) | ~(q[1] < 1), p[1], 3)),
        lambda p, q: (p[0] - p[0].max(axis=-1, keepdims=True), p[1] - p[1].max(axis=-1, keepdims=True)),
        lambda p, q: (p[0][..., ::-1], p[1][..., ::-1]), lambda p, q: (p[0] * [1, 0.5, -2], p[1] * [1, 0.5, -2]),
        lambda p, q: (2 ** sg.sigmoid(p[0]), 2 ** (1 / (1 + np.exp(-p[1])))),
    ]  # fmt: skip
    for _ in range(draw(st.integers(1, 25))):
        p, q = (pool[draw(st.integers(max(0, len(pool) - 6), len(pool) - 1))] for _ in range(2))
        if {p[1].ndim, q[1].ndim} == {2} and p[1].shape != q[1].shape:
            q = p
        made = draw(st.sampled_from(steps))(p, q)
        pool.append((made[0].named(f"v{len(pool)}") if draw(st.integers(0, 9)) == 9 else made[0], made[1]))
    total = sum((sg.sum(e) for e, _ in pool[3:]), sg.sum(a) + sg.sum(b) + sg.sum(m))
    value = sum(v.sum() for _, v in pool)
    return total, value, {"a": pool[0][1], "b": pool[1][1], "m": pool[2][1]}


@settings(max_examples=60, deadline=None)
@given(grown())
def test_what_is_built_is_what_numpy_computes(built: Any) -> None:
    total, value, arrays = built
    program = sg.Model(total).program
    found = reference.run(program, {"n": 4}, arrays)[program.target]
    np.testing.assert_allclose(found, value, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------------- networks


def test_a_perceptron_is_the_text_and_has_its_gradients() -> None:
    net = sg.Sequential(sg.Dense(7), sg.ReLU(), sg.Dense(4, bias=False))
    assert repr(net) == "Sequential(Dense(7), ReLU(), Dense(4, bias=False))"
    data, label = sg.data("n", 3, name="x"), sg.label("n", below=4, name="t")
    by_hand = """
        x: data[n, 3]
        t: label[n] < 4
        h1 = relu(dense(x, 7))
        h2 = dense(h1, 4, bias=False)
        loss = softmax_cross_entropy(h2, t)
    """
    loss = sg.softmax_cross_entropy(net(data), label)
    assert text(loss) == dedent(by_hand)
    same(loss, by_hand)
    for applied in (sg.softmax_cross_entropy, sg.SoftmaxCrossEntropy()):
        m = sg.Model(net, x=data, t=label, loss=applied)
        assert m.program.text == dedent(by_hand)
    functional = sg.dense(sg.relu(sg.dense(data, 7)), 4, bias=False)
    assert text(sg.softmax_cross_entropy(functional, label)) == dedent(by_hand)
    assert sg.derive(loss).check().ok


def test_a_convolutional_network_is_the_text_and_has_its_gradients() -> None:
    net = sg.Sequential(
        sg.Conv2d(2, (2, 3), padding=1), sg.BatchNorm(), sg.relu, sg.MaxPool2d(2), sg.Conv2d(3, 2, bias=False),
        sg.Flatten(), sg.Dense(4),
    )  # fmt: skip
    by_hand = """
        x: data[n, 1, 7, 9]
        t: label[n] < 4
        h1 = conv2d(x, 2, (2, 3), padding=1)
        h2 = max_pool2d(relu(batch_norm(h1)), 2)
        h3 = flatten(conv2d(h2, 3, 2, bias=False))
        h4 = dense(h3, 4)
        loss = cross_entropy(h4, t)
    """
    images, target = sg.data("n", 1, 7, 9, name="x"), sg.label("n", below=4, name="t")
    loss = sg.cross_entropy(net(images), target)
    assert text(loss) == dedent(by_hand)
    same(loss, by_hand)
    assert sg.derive(loss).check().ok
    strided = sg.MaxPool2d(3, stride=(2, 1))(sg.Conv2d(2, 3, groups=1)(images))
    assert text(strided).splitlines()[1:] == [
        "loss = max_pool2d(conv2d(x, 2, 3, groups=1), 3, stride=(2, 1))"
    ]


def test_a_transformer_is_the_text_and_ties_its_embedding() -> None:
    words = sg.label("n", "s", below=7, name="words")
    embedding = sg.Embedding(4)
    h = sg.TransformerBlock(2, 6, causal=True)(sg.PositionalEncoding()(embedding(words)))
    loss = sg.cross_entropy(sg.LayerNorm()(h + sg.dropout(h)) @ embedding.E.T, words)
    by_hand = """
        words: label[n, s] < 7
        h1 = embedding(words, 4, name='embedding1')
        h2 = transformer_block(positional_encoding(h1), 2, 6, causal=True)
        h3 = layer_norm(h2 + dropout(h2)) @ embedding1_E.T
        loss = cross_entropy(h3, words)
    """
    assert text(loss) == dedent(by_hand)
    same(loss, by_hand)


def test_recurrent_layers_compose() -> None:
    steps = sg.data("n", "t", 3, name="x")
    again = sg.RNN(3)
    loss = sg.mse(sg.Dense(1)(sg.Last()(again(again(steps)))), sg.data("n", 1, name="y"))
    assert [w.name for w in sg.Model(loss).program.role("weight")][:3] == ["rnn1_W", "rnn1_b", "rnn1_U"]
    assert sg.derive(loss).check().ok


def test_residuals_and_a_name_for_a_part() -> None:
    h = x + sg.relu(sg.dense(x, 3))
    z = sg.Dense(4, name="out")(h).named("z")
    loss = sg.softmax_cross_entropy(z, t)
    by_hand = """
        x: data[n, 3]
        t: label[n] < 3
        h1 = x + relu(dense(x, 3))
        z = dense(h1, 4, name='out')
        loss = softmax_cross_entropy(z, t)
    """
    assert text(loss) == dedent(by_hand)
    d = sg.derive(sg.mse(x + sg.relu(sg.dense(x, 3)), y), wrt=x)
    assert list(d.gradients) == ["x"]
    z3 = sg.Dense(3, name="out")(h)
    d = sg.derive(sg.softmax_cross_entropy(z3, t), wrt=[x, z3, "W1"])
    assert list(d.gradients) == ["x", "h2", "W1"] and d.check().ok
    m = sg.Model(sg.softmax_cross_entropy(z3, t))
    assert list(m.derive(z3).gradients) == ["h2"] and list(m.derive(["out_W", x]).gradients) == ["out_W", "x"]


def test_more_than_gradients_of_objects() -> None:
    w = sg.weight(3, name="w")
    h = sg.tanh(x @ w)
    loss = sg.mean(h**2)
    text = "x: data[n, 3]; w: weight[3]; h = tanh(x @ w)"
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(4, 3)), "w": rng.normal(size=3)}
    for ours, theirs in (
        (sg.jacobian(h, wrt=w), sg.jacobian(text, wrt="w")),
        (sg.jacobian(loss, of=h, wrt=[w, x]), sg.jacobian(text, wrt=["w", "x"])),
        (sg.hessian(loss, wrt=w), sg.hessian(f"{text}; loss = mean(h**2)")),
        (sg.per_example(loss), sg.per_example(f"{text}; loss = mean(h**2)")),
    ):
        (value, found), (value_, found_) = ours.function()(**arrays), theirs.function()(**arrays)
        np.testing.assert_allclose(value, value_, rtol=1e-12)
        assert list(found) == list(found_)
        for name in found:
            np.testing.assert_allclose(found[name], found_[name], rtol=1e-12)
    assert list(sg.hvp(loss).program.tensors)[:2] == ["x", "w"]


def test_a_layer_used_twice_has_the_same_weights() -> None:
    enc = sg.Dense(3)
    loss = sg.sum(enc(sg.tanh(enc(x))) * enc(y)) + sg.l2(enc.W, 0.5)
    by_hand = """
        x: data[n, 3]
        y: data[n, 3]
        h1 = dense(x, 3, name='dense1')
        h2 = dense(tanh(h1), 3, weights='dense1')
        h3 = dense(y, 3, weights='dense1')
        loss = sum(h2 * h3) + l2(dense1_W, 0.5)
    """
    assert text(loss) == dedent(by_hand)
    m = sg.Model(loss)
    assert [w.name for w in m.program.role("weight")] == ["dense1_W", "dense1_b"]
    untied = "V: weight[3, 3]; c: weight[3]; h = tanh(x @ V + c); "
    other = sg.derive(f"x: data[n, 3]; y: data[n, 3]; {untied} sum((h @ V + c)*(y @ V + c)) + 0.5*sum(V**2)")
    rng = np.random.default_rng(0)
    arrays = {"x": rng.normal(size=(4, 3)), "y": rng.normal(size=(4, 3))}
    v, c = rng.normal(size=(3, 3)), rng.normal(size=3)
    value, gradient = m.derive().function()(**arrays, dense1_W=v, dense1_b=c)
    value_, gradient_ = other.function()(**arrays, V=v, c=c)
    np.testing.assert_allclose(value, value_, rtol=1e-12)
    np.testing.assert_allclose(gradient["dense1_W"], gradient_["V"], rtol=1e-12)
    np.testing.assert_allclose(gradient["dense1_b"], gradient_["c"], rtol=1e-12)


def test_weights_of_a_layer_in_a_formula() -> None:
    sg.define("""
        def lookup(t: label[...], v, m):
            E: weight[v, m] = normal(0.1)
            return E[t[...], j]
    """)
    words, following = sg.label("n", below=11, name="words"), sg.label("n", below=11, name="following")
    embedding = sg.Lookup(11, 5, name="emb")
    logits = sg.tanh(embedding(words)) @ embedding.E.T
    loss = sg.softmax_cross_entropy(logits, following)
    same(
        loss,
        """
        words: label[n] < 11
        following: label[n] < 11
        h1 = lookup(words, 11, 5, name="emb")
        loss = softmax_cross_entropy(tanh(h1) @ emb_E.T, following)
        """,
    )
    assert sg.derive(loss).check().ok
    # a layer whose weight is used before the layer is, in the order of the formula
    early = sg.Dense(3)
    e = sg.sum(early.W) * sg.sum(early(x))
    assert text(e).splitlines()[1:] == ["h1 = dense(x, 3, name='dense1')", "loss = sum(dense1_W) * sum(h1)"]
    assert {"W", "b"} <= set(dir(early))


def test_a_composed_layer_used_twice_has_the_same_weights() -> None:
    @sg.op
    def block(z, m):
        return z + sg.dense(sg.tanh(sg.dense(z, m)), 3)

    layer = sg.Block(4)
    m = sg.Model(sg.sum(layer(layer(x)) + layer(y)))
    assert [w.name for w in m.program.role("weight")] == ["block1_W1", "block1_b1", "block1_W2", "block1_b2"]


def test_functions_without_weights_are_just_called_again() -> None:
    act = sg.Tanh()
    assert text(act(act(x))) == "x: data[n, 3]\nloss = tanh(tanh(x))"


def test_sequential_is_a_list_of_steps() -> None:
    inner = sg.Sequential(sg.Tanh(), sg.relu)
    net = sg.Sequential(inner, lambda h: h * 2)
    assert len(net) == 2 and net[0] is inner and list(inner) == [inner[0], inner[1]]
    assert text(net(x)) == "x: data[n, 3]\nloss = relu(tanh(x)) * 2"
    assert repr(inner) == "Sequential(Tanh(), relu)"
    assert sg.Sequential()(x) is x
    assert isinstance(inner[0], sg.Tanh)


def test_models_of_objects_train(tmp_path: Any) -> None:
    net = sg.Sequential(sg.Dense(4), sg.Tanh(), sg.Dense(3))
    path = sg.Model(net, x=x, t=t, loss=sg.softmax_cross_entropy).generate(
        tmp_path / "objects_net.py", lr=0.1
    )
    names: dict[str, Any] = {"__name__": "objects_net"}
    exec(compile(path.read_text(), str(path), "exec"), names)
    names["init"](seed=0)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(30, 3))
    targets = inputs.argmax(1)
    before = names["loss"](inputs, targets)
    for _ in range(50):
        names["step"](inputs, targets)
    assert names["loss"](inputs, targets) < before / 2


# ---------------------------------------------------------------------- what cannot be


dense = sg.Dense(3)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: sg.data("n; import os"), "a size is a letter or a word"),
        (lambda: sg.data("n", name="x; import os"), "a name is a word such as h or W_out, not 'x; import os'"),
        (lambda: sg.data("n", name="lambda"), "a name is a word"),
        (lambda: sg.relu(x).named("__x"), "a name is a word"),
        (lambda: sg.data(0), "a size is a whole number of at least 1, not 0"),
        (lambda: sg.data(2.5), "a size is a whole number, a letter"),
        (lambda: sg.data((3, 4)), "sizes are given one by one: sg.data(3, 4)"),
        (lambda: sg.weight(3, start="glorott()"), "did you mean 'glorot'?"),
        (lambda: sg.weight(3, start="__import__('os')"), "a weight starts as a number or as one of"),
        (lambda: sg.weight(3, start="normal(exit())"), "a weight starts as a number or as one of"),
        (lambda: sg.einsum("__import__('os')", x), "cannot be an option of the language"),
        (lambda: sg.dense(x, 3, **{"bias=1)#": 2}), "has no option bias=1)#"),
        (lambda: sg.sum(x, **{"axis=1)#": 2}), "a name is a word"),
        (lambda: sg.dense(x), "dense(x: [..., i], m, bias=True, start='glorot()') needs m too"),
        (lambda: sg.dense(x, 3, bais=False), "has no option bais; did you mean 'bias'?"),
        (lambda: sg.dense(x, 3, True, "he", 4), "takes x, m, bias and start here, not 5 arguments"),
        (lambda: sg.dense(x, 3, m=4), "gets m twice"),
        (lambda: sg.dense(x, 3, weights="enc"), "make the layer once, enc = sg.Dense(...), and apply it twice"),
        (lambda: sg.Dense(3, True, "he", 5), "takes m, bias and start here, not 4 arguments"),
        (lambda: sg.Dense(bais=3), "has no option bais; did you mean 'bias'?"),
        (lambda: sg.Dense()(x), "needs m too"),
        (lambda: sg.Dense(3)(x, 4, 5, 6), "not 4 arguments"),
        (lambda: sg.ReLU(name="act"), "has no weights that name='act' could name"),
        (lambda: sg.Dense(3, name="my layer"), "a name is a word"),
        (lambda: sg.Sequential(sg.ReLU), "step 1 of Sequential is the class ReLU; write ReLU()"),
        (lambda: sg.Sequential(sg.ReLU(), 3), "step 2 of Sequential, 3, is no layer and no function"),
        (lambda: sg.Sequential(sg.Tanh(), lambda h: (h, h))(x), "step 2 of Sequential gives (<expression"),
        (lambda: np.argsort(x), "np.argsort cannot take an expression"),
        (sg.Sequential(), "an empty Sequential takes one expression"),
        (lambda: x + sg.ReLU(), "ReLU is a function or layer: apply it"),
        (lambda: x + object(), "cannot stand in a formula"),
        (lambda: x * math.inf, "inf is no number that a formula can hold"),
        (lambda: x * np.ones(2000), "an array of 2000 entries is too long to be written out"),
        (lambda: x["n"], "['n'] is no position"),
        (lambda: np.add(x, 1, out=np.ones(3)), "np.add cannot take an expression"),
        (lambda: np.add.reduce(x), "np.add cannot take an expression"),
        (lambda: bool(x > 0), "sg.where(x > 0, a, b) chooses"),
        (lambda: 0 < x < 1, "conditions are joined as (0 < x) & (x < 1)"),
        (lambda: (x > 0) & x, "`&` and `|` join conditions"),
        (lambda: bool(x), "neither true nor false"), (lambda: list(x), "cannot be gone through entry by entry"),
        (lambda: len(x), "its size is x.shape[0]"), (lambda: float(x), "no value before it is run"),
        (lambda: range(x), "no whole number for Python"), (lambda: 1 in x, "not known before it is run"),
        (lambda: np.asarray(x), "no array"), (lambda: list(x.shape), "how many axes"),
        (lambda: sg.Model(x + sg.data("n", name="x")), "two tensors are called x"),
        (lambda: sg.Model(x + sg.data("n", name="n")), "n is a size or a parameter too"),
        (lambda: sg.Model(sg.sum(sg.data("n", name="sum"))), "sum is a function too; give the tensor another name"),
        (lambda: sg.Model(x + sg.relu(x).named("loss")), "loss is the name of the result"),
        (lambda: sg.Model((x + sg.relu(x).named("loss")).named("y")), "loss is the name of what is differentiated"),
        (lambda: sg.Model(sg.Dense(3, name="a")(x) + sg.Dense(3, name="a")(x)), "two layers are called a"),
        (lambda: sg.Model(x @ sg.Dense(3).W), "the weight W of a layer dense is used, but the layer is nowhere"),
        (lambda: sg.Model(sg.sum(dense(x @ dense.W))), "a layer is applied to what is made of its own weights"),
        (lambda: sg.Model(sg.Dense, x=x, loss=sg.mse), "Dense is a class; write Dense(), with its settings"),
        (lambda: sg.Model(sg.Dense(3)), "a network needs what it is applied to and a loss"),
        (lambda: sg.Model(sg.Dense(3), x=np.ones(3), loss=sg.mse), "x is a declared tensor"),
        (lambda: sg.Model(x, t=y), "t goes with a network of objects"),
        (lambda: sg.Model(3), "a model is declared by text, a file, an expression or layers, not by 3"),
        (lambda: sg.Model(sg.sum(x)).derive(W), "is no tensor with a name in this program"),
        (lambda: sg.Model("x: data[n]; w: weight[n]; loss = sum(x*w)").derive(x), "was declared as text"),
        (lambda: sg.derive(sg.sum(x), wrt=y), "<expression loss = y> is no part of what is derived"),
        (lambda: sg.derive("x: data[n]; loss = sum(x)", wrt=x), "name its tensors, such as wrt="),
        (lambda: sg.jacobian("x: data[n]; loss = sum(x)", of=x), "name its tensors, such as wrt="),
        (lambda: sg.derive(sg.sum(x), wrt=sg.Dense(3).W), "the layer is nowhere applied"),
        (lambda: sg.derive(sg.sum(x)), "there is no weight to differentiate by"),
        (lambda: sg.derive(sg.mean((x - sg.dense(y, 4))**2)), "line 3: x is [n, 3] and dense(y, 4) is [n, 4]"),
    ],
)  # fmt: skip
def test_errors_are_sentences(act: Callable[[], Any], said: str) -> None:
    with pytest.raises(sg.SymgradError, match=re.escape(said)):
        act()


def test_attributes_that_are_not_there() -> None:
    for act, said in (
        (lambda: x.softmx, "did you mean 'softmax'?"), (lambda: x.detach, "write stop(x)"),
        (lambda: dense.w, "Dense has no 'w'; its weights are W and b"), (lambda: sg.ReLU().W, "it has no weights"),
    ):  # fmt: skip
        with pytest.raises(AttributeError, match=re.escape(said)):
            act()
    assert "softmax" in dir(x)


# ---------------------------------------------------------------------- functions as definitions


def source(name: str) -> str:
    return ast.unparse(ast.parse(DEFINITIONS[name].source))


def test_a_function_is_a_definition() -> None:
    @sg.op
    def swish2(x, beta=1):
        """x times its own sigmoid"""
        return x * sg.sigmoid(beta * x)

    expected = "def swish2(x, beta=1):\n    'x times its own sigmoid'\n    return x * sigmoid(beta * x)"
    assert source("swish2") == ast.unparse(ast.parse(expected))
    assert swish2.__name__ == "swish2" and str(inspect.signature(swish2)) == "(x, beta=1)"
    assert text(swish2(x, beta=2)) == text(sg.Swish2(beta=2)(x)) == "x: data[n, 3]\nloss = swish2(x, beta=2)"
    d = sg.derive("w: weight[n]; loss = sum(swish2(w))")
    assert d.check().ok
    sg.define("def by_text(x, beta=1): return x*sigmoid(beta*x)")
    other = sg.derive("w: weight[n]; loss = sum(by_text(w))")
    assert str(d.gradients["w"]) == str(other.gradients["w"])


def test_a_function_with_statements_weights_and_options() -> None:
    @sg.op
    def cell(x: "[..., i]", m, bias=True, mode="pre", mask=None, *, k=2):  # noqa: F821
        """A layer with everything.

        In two paragraphs.
        """
        z = x @ sg.weight("i", m, name="W", start="glorot()")
        if bias:
            z = z + sg.weight(m, name="b", start=0)
        if mode == "pre":
            z = sg.relu(z)
        elif mode == "post":
            z = sg.tanh(z) * sg.exp(-z)
        if mask is not None:
            z = z * mask
        return sg.Dense(4)(z * sg.sigmoid(k * z)) / x.shape[-1]

    expected = '''
        def cell(x: [..., i], m, bias=True, mode='pre', mask=None, k=2):
            """A layer with everything.

            In two paragraphs."""
            W: weight[i, m] = glorot()
            b: weight[m] = 0
            h1 = x @ W
            h2 = h1 + b if bias else h1
            h3 = relu(h2) if mode == 'pre' else tanh(h2) * exp(-h2) if mode == 'post' else h2
            h4 = h3 if mask is None else h3 * mask
            return dense(h4 * sigmoid(k * h4), 4) / x.shape[-1]
    '''
    wanted = ast.parse(dedent(expected)).body[0]
    found = ast.parse(DEFINITIONS["cell"].source).body[0]
    assert isinstance(wanted, ast.FunctionDef) and isinstance(found, ast.FunctionDef)
    assert ast.unparse(found.args) == ast.unparse(wanted.args)
    assert [ast.unparse(s) for s in found.body[1:]] == [ast.unparse(s) for s in wanted.body[1:]]
    assert DEFINITIONS["cell"].doc == "A layer with everything.\n\nIn two paragraphs."
    assert DEFINITIONS["cell"].kind == "layer"
    mask = sg.data("n", 2, name="mask")
    kept = {"W1": 1, "b1": 1, "W2": 1, "b2": 1}
    for options, weights in (
        ({}, kept), ({"mode": "post", "mask": mask, "k": 0.5}, kept), ({"mode": "no"}, kept),
        ({"bias": False, "mode": "post"}, ["W1", "W2", "b2"]),
    ):  # fmt: skip
        d = sg.derive(sg.sum(sg.cell(x, 2, **options)))
        assert list(d.gradients) == list(weights) and d.check().ok


def wandering(seed: int) -> Callable[..., Any]:
    """A function that goes one of many ways by its options, for expressions and for arrays."""
    tanh = lambda v: sg.tanh(v) if isinstance(v, sg.Expression) else np.tanh(v)  # noqa: E731

    def wanders(x, a=True, b=False, c="u", d=None):
        rng = random.Random(seed)  # noqa: S311
        found = [x]
        asked = {
            0: lambda: bool(a), 1: lambda: not b, 2: lambda: c == "u", 3: lambda: c != "v", 4: lambda: d is None,
            5: lambda: a and b, 6: lambda: b or c in ("v", "w"),
        }  # fmt: skip
        for _ in range(rng.randint(2, 6)):
            y, z = found[-1], found[len(found) // 2]
            made = [
                lambda y=y: y + 1, lambda y=y: tanh(y), lambda y=y, z=z: y * z, lambda y=y, z=z: y - z * 0.5,
                lambda z=z: z, lambda y=y: y + (3 if d is None else d), lambda y=y: y * y + y,
            ]  # fmt: skip
            first, second, question = rng.choice(made), rng.choice(made), asked[rng.randrange(7)]
            found.append(first() if question() else second())
        return found[-1] + 0 * x

    return wanders


@pytest.mark.parametrize("seed", range(12))
def test_every_way_through_a_function_is_in_its_definition(seed: int) -> None:
    wanders = wandering(seed)
    sg.op(wanders)
    arrays = {"x": np.array([0.3, -1.2, 0.7]), "d": np.array([0.5, 2.0, -1.0])}
    for a, b, c, given_d in itertools.product((True, False), (True, False), "uvw", (False, True)):
        options = f"a={a}, b={b}, c='{c}'" + ", d=d" * given_d
        program = sg.Model(f"x: weight[n]; d: data[n]; loss = wanders(x, {options}) + 0*d").program
        found = reference.run(program, {"n": 3}, arrays)[program.target]
        np.testing.assert_allclose(
            found, wanders(arrays["x"], a, b, c, arrays["d"] if given_d else None), rtol=1e-12
        )


def test_a_line_that_only_an_option_needs_stands_under_its_condition() -> None:
    @sg.op
    def perhaps(x: "[..., i]", gated=False):  # noqa: F821
        if not gated:
            return x
        h = sg.tanh(x * sg.weight("i", name="g"))
        return h * h + x

    assert "h1 = tanh(x * g) if gated else 0" in source("perhaps")
    assert "return h1 * h1 + x if gated else x" in source("perhaps")
    both = sg.perhaps(x) + sg.perhaps(x, gated=True)
    assert [w.name[0] for w in sg.Model(sg.sum(both)).program.role("weight")] == ["g"]


def test_options_reach_what_is_called_and_may_be_asked_in_many_ways() -> None:
    @sg.op
    def pass_on(x, m, bias=True, way=None, kind="a"):
        if way is None and not (kind == "a" or kind in ("b", "c")):
            return x
        return sg.dense(x, m, bias=bias)

    assert source("pass_on").count("dense(x, m, bias=bias)") == 1
    for options, names in (
        ({}, ["W1", "b1"]), ({"bias": False}, ["W1"]), ({"kind": "c"}, ["W1", "b1"]), ({"kind": "d"}, []),
        ({"kind": "d", "way": y}, ["W1", "b1"]),
    ):  # fmt: skip
        m = sg.Model(sg.sum(sg.pass_on(x, 3, **options)))
        assert [w.name for w in m.program.role("weight")] == names


def test_a_loss_with_a_label_and_annotations_that_are_types() -> None:
    @sg.op
    def picked(z: "[..., k]", t: "label[...]", scale: float = 2.0):  # noqa: F821
        return -scale * sg.mean(sg.log_softmax(z) * (t[..., None] == 0))

    assert source("picked").startswith("def picked(z: [..., k], t: label[...], scale=2.0):")
    d = sg.derive(sg.picked(sg.dense(x, 3), t))
    assert d.check().ok


def test_a_function_may_be_defined_again_and_use_another() -> None:
    @sg.op
    def one(x):
        return x + 1

    @sg.op
    def two(x):
        return one(one(x)) * 2

    w = sg.weight("n", name="w")
    assert sg.derive(sg.sum(two(w) ** 2)).function()(w=[1.0, 2.0])[0] == 6**2 + 8**2
    sg.op(type(two)(_triple.__code__, globals(), "one"))
    assert sg.derive(sg.sum(two(w))).function()(w=[1.0, 2.0])[0] == 18 * 3


def _triple(x):
    return 3 * x


def test_draws() -> None:
    @sg.op
    def noisy(x: "[..., i]", rate=0.5, sign=1):  # noqa: F821
        return sign * x * sg.draw(..., "i", bernoulli=1 - rate, name="keep") + sg.draw("i", normal=0.1)

    lines = ["keep: draw[..., i] = bernoulli(1 - rate)", "eps: draw[i] = normal(0.1)"]
    assert [line.strip() for line in source("noisy").splitlines()[1:3]] == lines
    loss = sg.sum(sg.noisy(sg.dense(x, 3), rate=0.25) * sg.draw("n", 3, uniform=(-1, 1)))
    program = sg.Model(loss).program
    assert [(d.name, d.start) for d in program.role("draw")] == [
        ("eps", ("uniform", -1, 1)), ("keep1", ("bernoulli", 0.75)), ("eps1", ("normal", 0.1)),
    ]  # fmt: skip
    assert sg.derive(loss).check().ok
    for wrong in ({}, {"normal": 1, "bernoulli": 0.5}, {"uniform": (1,)}):
        with pytest.raises(sg.SymgradError, match="a draw has one distribution"):
            sg.draw("n", **wrong)


def test_a_function_may_ask_whether_it_trains() -> None:
    @sg.op
    def shaken(x: "[..., i]", also=False):  # noqa: F821
        noisy = x + sg.draw(..., "i", normal=0.1)
        return noisy if sg.training or also else x

    assert source("shaken").splitlines()[-1].strip() == "return x + eps if training or also else x"
    loss = sg.sum(sg.shaken(sg.dense(x, 3)) ** 2)
    assert [d.name for d in sg.Model(loss).program.role("draw")] == ["eps1"]
    evaluation = sg.Model(loss).evaluation
    assert evaluation is not None and not evaluation.role("draw")
    assert sg.derive(loss).check().ok
    with pytest.raises(sg.SymgradError, match=r"sg\.training is asked in a function under @sg\.op"):
        bool(sg.training)


def fails(function: Callable[..., Any]) -> str:
    before = dict(DEFINITIONS)
    with pytest.raises(sg.SymgradError) as problem:
        sg.op(function)
    assert before == DEFINITIONS
    return str(problem.value)


def test_functions_that_are_no_definitions() -> None:
    outside = sg.weight("n", name="outside")

    def f(*x):
        return x[0]

    assert fails(f) == "in the function f: an operation has plain parameters, and *x takes any number"

    def f(x):
        return x, x

    assert fails(f) == "in the function f: it returns 2 results; an operation returns one expression"

    def f(x):
        pass

    assert fails(f) == "in the function f: it returns nothing; an operation returns an expression"

    def f(x):
        return x if x > 0 else -x

    assert "sg.where(x > 0, a, b) chooses" in fails(f)

    def f(x):
        return x * sg.weight("i", name="w")

    assert "the size i of w is no letter of a parameter" in fails(f)

    def f(x):
        return x * outside

    assert "outside is declared outside the function; give it to the function as an argument" in fails(f)

    def f(x):
        return x * sg.data("n")

    assert "is declared as data; what an operation is given is a parameter" in fails(f)

    def f(x: "i + 1"):  # noqa: F821
        return x

    assert 'the axes of x are written "[..., i]" or "label[...] < k"' in fails(f)

    def f(x: "[i, ...]"):  # noqa: F821
        return x

    assert "in the function f: " in fails(f) and "`...` stands first" in fails(f)

    def f(x, n=(1, 2)):
        return x

    assert "the default of n is a number, True, False, None or a text, not (1, 2)" in fails(f)

    def f(x, n=3):
        return sum(x for _ in range(n))

    assert "no whole number for Python" in fails(f)

    def f(x, a=True, b=True, c=True, d=True, e=True, g=True, h=True):
        return x + sum([bool(o) for o in (a, b, c, d, e, g, h)])

    assert "its options are asked in more than 64 ways" in fails(f)
    for wrong in (lambda x: x, 3, sg.Dense):
        assert "sg.op takes a function with a name" in fails(wrong)
    leaked = []

    @sg.op
    def leaky(x):
        leaked.append(x)
        return 2 * x

    with pytest.raises(sg.SymgradError, match="x is a parameter of a function, known inside it only"):
        sg.Model(sg.sum(leaked[0]))
    assert "x" in repr(leaked[0])


def test_an_option_for_which_a_function_raises_is_refused() -> None:
    @sg.op
    def powered(x, mode="a", again=True):
        if mode == "a":
            y = x * 2
        elif mode == "b":
            y = x**3
        elif mode == "c":
            raise ValueError("c has no slope")
        else:
            raise ValueError("mode is a or b")
        if not again and mode == "b":
            raise NotImplementedError("b once")
        return y + sg.sin(x) if again else y

    z = sg.weight("n", name="z")
    for mode, again, written in (
        ("a", True, "2*z + sin(z)"),
        ("b", True, "z**3 + sin(z)"),
        ("a", False, "2*z"),
    ):
        value, gradients = sg.derive(sg.sum(sg.powered(z, mode, again=again))).function()(z=[0.3, -1.2])
        by_hand, expected = sg.derive(f"z: weight[n]; loss = sum({written})").function()(z=[0.3, -1.2])
        assert np.isclose(value, by_hand) and np.allclose(gradients["z"], expected["z"])
    with pytest.raises(sg.SymgradError, match="in powered, c has no slope"):
        sg.derive(sg.sum(sg.powered(z, "c")))
    with pytest.raises(sg.SymgradError, match="in powered, mode is a or b"):
        sg.derive(sg.sum(sg.powered(z, "d")))
    with pytest.raises(sg.SymgradError, match="NotImplementedError: b once"):
        sg.derive(sg.sum(sg.powered(z, "b", again=False)))
    assert sg.check_op("powered").ok

    def f(x, mode="a"):
        if mode == "a":
            raise ValueError("not a")
        raise ValueError("not this")

    assert fails(f).startswith(
        "in the function f: it raises an exception whatever its options are, not a and not"
    )

    def f(x, mode="a"):
        return x * 2 if mode == "a" else x.foo

    with pytest.raises(AttributeError, match="an expression has no 'foo'"):
        sg.op(f)  # a slip is no refusal


def test_what_a_function_raises_itself_is_not_changed() -> None:
    def f(x):
        return x.foo

    with pytest.raises(AttributeError, match="an expression has no 'foo'"):
        sg.op(f)
    assert sg.relu(x) is not None and parse_definitions("def g(x): return x")  # nothing is left open
    assert sg.data("n", name="free") is not None
    assert text(sg.sum(sg.data("n", name="free"))) == "free: data[n]\nloss = sum(free)"


# ---------------------------------------------------------------------- the test of an operation


def test_the_test_of_an_operation() -> None:
    @sg.op
    def cooled(x, temperature=2.0):
        return x * sg.tanh(x / temperature)

    verdict = sg.check_op("cooled")
    assert verdict.ok and bool(verdict)
    assert [t.what for t in verdict.trials] == [
        "gradient",
        "axes of one entry",
        "second derivative",
        "entries of 1000",
        "no entries",
        "derived again",
    ]
    assert str(verdict).splitlines()[0] == "def cooled(x, temperature=2.0):"
    assert str(verdict).splitlines()[-1] == "cooled agrees"
    sg.define("def overflows(x): return cosh(x**2)/(1 + cosh(x**2))")
    found = sg.check_op("overflows")
    assert not found and [t.what for t in found.trials if not t.ok] == ["entries of 1000"]
    assert "DOES NOT AGREE" in str(found)
    several = sg.check_op("softmax")
    assert several.ok and len({t.of for t in several.trials}) == 1 + len(DEFINITIONS["softmax"].others)
    with pytest.raises(sg.SymgradError, match="there is no operation 'cooledd'; did you mean 'cooled'"):
        sg.check_op("cooledd")
    assert sg.describe("cooled").startswith("def cooled(x, temperature=2.0):") and "cooled(x" in sg.describe()


def test_the_test_of_an_operation_notices_a_wrong_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    sg.define("def twice_tanh(x): return 2*tanh(x)")
    assert sg.check_op("twice_tanh")
    from symgrad import derivation

    right = derivation.run_passes

    def wrong(*args: Any, **options: Any) -> Any:
        derived = right(*args, **options)
        (name,) = derived.gradients.values()
        changed = tuple(
            replace(s, body=s.body * Fraction(1001, 1000)) if s.out == name else s
            for s in derived.program.statements
        )
        return replace(derived, program=replace(derived.program, statements=changed))

    monkeypatch.setattr(derivation, "run_passes", wrong)
    assert not sg.check_op("twice_tanh")
