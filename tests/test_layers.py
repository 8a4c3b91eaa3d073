"""The layers of the library: equal to PyTorch's in value and in every gradient, and what they refuse."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.derivation import read_program
from symgrad.language.bind import bind

TOLERANCE = 1e-10
N = 3  # examples; no other size in this file is 3 where it could be taken for the batch

Arrays = dict[str, np.ndarray]


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def close(ours: Any, theirs: Any) -> float:
    """The largest difference, relative to the largest entry."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(np.max(np.abs(ours - theirs), initial=0) / max(1, np.max(np.abs(theirs), initial=0)))


def declared(name: str, a: np.ndarray, below: int) -> str:
    sizes = shown(a.shape)
    return f"{name}: label[{sizes}] < {below}" if a.dtype.kind == "i" else f"{name}: data[{sizes}]"


def shown(shape: Sequence[int]) -> str:
    """Sizes of a declaration: the batch has a letter."""
    return ", ".join("n" if n == N and k == 0 else str(n) for k, n in enumerate(shape))


def agree(
    lines: str, data: Arrays, weights: Arrays, theirs: Callable[..., Any], below: int = 0, wrt: Sequence[str] = ()
) -> None:
    """`lines` write y, which must be what `theirs` makes of the arrays (tensors of PyTorch, by name).

    Loss, and gradients by all real data and all weights, in both styles, for a loss that knows each entry of y.
    """
    torch = pytest.importorskip("torch")
    given = {**data, **weights}
    by = [name for name, a in given.items() if a.dtype.kind == "f" and (not wrt or name in wrt)]
    tensors = {name: torch.tensor(a, requires_grad=name in by) for name, a in given.items()}
    y = theirs(**tensors)
    r = normal(*y.shape, seed=1)
    loss = (y * torch.tensor(r)).sum()
    loss.backward()
    declarations = [*(declared(name, a, below) for name, a in data.items()), lines]
    text = "\n".join([*declarations, f"R: data[{shown(y.shape)}]", "loss = sum(R*y)"])
    d = sg.derive(text, wrt=by)
    _, arrays = bind(d.program, {**given, "R": r})  # in declared order, states too
    for style in ("readable", "fast"):
        source = emit.function_source(d.derived, style=style)
        function = emit.load(source, f"symgrad_{style}")["loss_and_grad"]
        value, gradients = function(*arrays.values())
        assert close(value, loss.detach().numpy()) <= TOLERANCE
        assert list(gradients) == by
        for name in by:
            assert close(gradients[name], tensors[name].grad.numpy()) <= TOLERANCE, (name, style)


def by_position(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of PyTorch that takes the arrays in their order."""
    return lambda **tensors: function(*tensors.values())


def options(given: Mapping[str, Any]) -> str:
    return "".join(f", {k}={v!r}" for k, v in given.items())


# ---------------------------------------------------------------------- convolution

CONV2D: list[tuple[Any, dict[str, Any]]] = [
    (2, {}),
    ((2, 5), {"padding": (1, 2)}),
    ((4, 2), {"stride": (2, 1), "padding": 1}),
    ((2, 4), {"stride": 2, "padding": (0, 3), "dilation": (1, 2)}),
    (2, {"dilation": (4, 2)}),
    ((1, 2), {"stride": (2, 5)}),
    (1, {}),
    ((2, 4), {"padding": (5, 4)}),
    ((4, 2), {"groups": 2, "padding": 1}),
    ((2, 5), {"groups": 4, "stride": (1, 2)}),
    (2, {"groups": 2, "stride": 2, "dilation": 2, "padding": (2, 1)}),
    ((8, 7), {"bias": False}),
    ((2, 4), {"stride": (9, 8), "bias": False}),
]


@pytest.mark.parametrize(("kernel", "given"), CONV2D, ids=str)
def test_conv2d(kernel: Any, given: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    more = {k: v for k, v in given.items() if k != "bias"}
    weights = {"W1": normal(6 if given.get("groups") != 4 else 8, 4 // given.get("groups", 1), kh, kw)}
    m = weights["W1"].shape[0]
    if given.get("bias", True):
        weights["b1"] = normal(m)

    def theirs(x: Any, W1: Any, b1: Any = None) -> Any:
        return torch.nn.functional.conv2d(x, W1, b1, **more)

    agree(f"y = conv2d(x, {m}, {kernel}{options(given)})", {"x": normal(N, 4, 9, 8)}, weights, theirs)


@pytest.mark.parametrize(
    ("kernel", "given"),
    [(2, {}), (4, {"padding": 2}), (2, {"stride": 2, "padding": 1}), (4, {"dilation": 2, "groups": 2}),
     (5, {"stride": 4, "padding": 3, "bias": False}), (1, {"stride": 2})],
    ids=str,
)  # fmt: skip
def test_conv1d(kernel: int, given: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    weights = {"W1": normal(6, 4 // given.get("groups", 1), kernel)}
    if given.get("bias", True):
        weights["b1"] = normal(6)
    more = {k: v for k, v in given.items() if k != "bias"}

    def theirs(x: Any, W1: Any, b1: Any = None) -> Any:
        return torch.nn.functional.conv1d(x, W1, b1, **more)

    agree(f"y = conv1d(x, 6, {kernel}{options(given)})", {"x": normal(N, 4, 9)}, weights, theirs)


CONV_TRANSPOSE2D: list[tuple[Any, dict[str, Any]]] = [
    (2, {}),
    ((2, 5), {"padding": (1, 2)}),
    ((4, 2), {"stride": (2, 1), "padding": 1}),
    ((2, 4), {"stride": 2, "padding": (0, 3), "dilation": (1, 2), "output_padding": 1}),
    (2, {"stride": 4, "output_padding": (2, 0)}),
    ((1, 2), {"stride": 2}),
    ((4, 2), {"groups": 2, "padding": 1}),
    (2, {"groups": 4, "stride": 2, "dilation": (2, 4), "bias": False}),
]


@pytest.mark.parametrize(("kernel", "given"), CONV_TRANSPOSE2D, ids=str)
def test_conv_transpose2d(kernel: Any, given: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    more = {k: v for k, v in given.items() if k != "bias"}
    weights = {"W1": normal(4, 8 // given.get("groups", 1), kh, kw)}
    if given.get("bias", True):
        weights["b1"] = normal(8)

    def theirs(x: Any, W1: Any, b1: Any = None) -> Any:
        return torch.nn.functional.conv_transpose2d(x, W1, b1, **more)

    agree(f"y = conv_transpose2d(x, 8, {kernel}{options(given)})", {"x": normal(N, 4, 6, 5)}, weights, theirs)


@pytest.mark.parametrize(
    ("kernel", "given"),
    [(2, {}), (4, {"padding": 2}), (2, {"stride": 4, "output_padding": 2}),
     (4, {"stride": 2, "groups": 2, "dilation": 2, "bias": False})],
    ids=str,
)  # fmt: skip
def test_conv_transpose1d(kernel: int, given: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    weights = {"W1": normal(4, 6 // given.get("groups", 1), kernel)}
    if given.get("bias", True):
        weights["b1"] = normal(6)
    more = {k: v for k, v in given.items() if k != "bias"}

    def theirs(x: Any, W1: Any, b1: Any = None) -> Any:
        return torch.nn.functional.conv_transpose1d(x, W1, b1, **more)

    agree(f"y = conv_transpose1d(x, 6, {kernel}{options(given)})", {"x": normal(N, 4, 5)}, weights, theirs)


def test_given_kernels() -> None:
    """Kernels that are data or computed, as in a functional call; leading axes of any number."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    data = {"x": normal(N, 4, 7, 8), "K": normal(5, 4, 2, 4)}
    agree("y = conv2d(x, tanh(K), padding=1)", data, {}, lambda x, K: f.conv2d(x, torch.tanh(K), padding=1))
    data = {"x": normal(4, 7), "K": normal(5, 4, 2)}
    agree("y = conv1d(x, K)", data, {}, by_position(f.conv1d))


@pytest.mark.long
def test_conv2d_all_options() -> None:
    torch = pytest.importorskip("torch")
    grid = itertools.product((1, 2, (4, 2)), (1, 2, (2, 4)), (0, 1, (2, 1)), (1, 2, (1, 2)), (1, 2))
    for kernel, stride, padding, dilation, groups in grid:
        given = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        kh, kw = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        weights = {"W1": normal(6, 4 // groups, kh, kw), "b1": normal(6)}

        def theirs(x: Any, W1: Any, b1: Any, given: dict[str, Any] = given) -> Any:
            return torch.nn.functional.conv2d(x, W1, b1, **given)

        agree(f"y = conv2d(x, 6, {kernel}{options(given)})", {"x": normal(N, 4, 9, 8)}, weights, theirs)


# ---------------------------------------------------------------------- pooling

POOL2D: list[tuple[Any, dict[str, Any]]] = [
    (2, {}),
    ((4, 2), {"stride": (1, 4)}),
    (4, {"stride": 2, "padding": (1, 2)}),
    ((2, 4), {"stride": 2, "ceil_mode": True}),
    (4, {"stride": (4, 5), "padding": 2, "ceil_mode": True}),
    (5, {"stride": 2, "padding": (2, 1), "ceil_mode": True}),
    ((2, 1), {"stride": (6, 2)}),
]


@pytest.mark.parametrize(("kernel", "given"), [*POOL2D, (2, {"dilation": (4, 2)}),
                         (4, {"dilation": 2, "padding": 2, "ceil_mode": True, "stride": (2, 1)})], ids=str)  # fmt: skip
def test_max_pool2d(kernel: Any, given: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    y = f"y = max_pool2d(x, {kernel}{options(given)})"
    agree(y, {"x": normal(N, 4, 11, 9)}, {}, lambda x: torch.nn.functional.max_pool2d(x, kernel, **given))


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize(("kernel", "given"), POOL2D, ids=str)
def test_avg_pool2d(kernel: Any, given: dict[str, Any], count_include_pad: bool) -> None:
    torch = pytest.importorskip("torch")
    given = {**given, "count_include_pad": count_include_pad}
    y = f"y = avg_pool2d(x, {kernel}{options(given)})"
    agree(y, {"x": normal(N, 4, 11, 9)}, {}, lambda x: torch.nn.functional.avg_pool2d(x, kernel, **given))


@pytest.mark.parametrize(
    ("name", "kernel", "given"),
    [("max_pool1d", 4, {"stride": 2, "padding": 1, "ceil_mode": True}), ("max_pool1d", 2, {"dilation": 4}),
     ("avg_pool1d", 4, {"stride": 5, "padding": 2, "ceil_mode": True}), ("avg_pool1d", 2, {}),
     ("avg_pool1d", 4, {"stride": 1, "padding": 1, "count_include_pad": False})],
    ids=str,
)  # fmt: skip
def test_pool1d(name: str, kernel: int, given: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    function = getattr(torch.nn.functional, name)
    y = f"y = {name}(x, {kernel}{options(given)})"
    agree(y, {"x": normal(N, 4, 11)}, {}, lambda x: function(x, kernel, **given))


@pytest.mark.parametrize(("p", "ceil_mode"), [(2, False), (4, True)])
def test_lp_pool(p: int, ceil_mode: bool) -> None:
    torch = pytest.importorskip("torch")
    f, tail = torch.nn.functional, f", stride=2, ceil_mode={ceil_mode}"
    y = f"y = lp_pool2d(x, {p}, (2, 4){tail})"
    agree(y, {"x": normal(N, 5, 8)}, {}, lambda x: f.lp_pool2d(x, p, (2, 4), stride=2, ceil_mode=ceil_mode))
    y = f"y = lp_pool1d(x, {p}, 4{tail})"
    agree(y, {"x": normal(N, 5, 9)}, {}, lambda x: f.lp_pool1d(x, p, 4, stride=2, ceil_mode=ceil_mode))


def test_pooling_to_a_size() -> None:
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    image, row = {"x": normal(N, 4, 8, 6)}, {"x": normal(N, 4, 10)}
    agree("y = adaptive_avg_pool2d(x, (5, 4))", image, {}, lambda x: f.adaptive_avg_pool2d(x, (5, 4)))
    agree("y = adaptive_avg_pool1d(x, 4)", row, {}, lambda x: f.adaptive_avg_pool1d(x, 4))
    agree("y = adaptive_max_pool2d(x, (4, 2))", image, {}, lambda x: f.adaptive_max_pool2d(x, (4, 2)))
    agree("y = adaptive_max_pool1d(x, 5)", row, {}, lambda x: f.adaptive_max_pool1d(x, 5))
    agree("y = global_avg_pool(x)", image, {}, lambda x: f.adaptive_avg_pool2d(x, 1)[:, :, 0, 0])
    agree("y = global_max_pool(x)", row, {}, lambda x: f.adaptive_max_pool1d(x, 1)[:, :, 0])


def test_a_tie_goes_to_the_first() -> None:
    """Equal entries in a window: the gradient goes where PyTorch sends it."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).integers(0, 2, (N, 5, 7)).astype(float)
    y = "y = max_pool2d(x, 2, stride=1, padding=1)"
    agree(y, {"x": x}, {}, lambda x: torch.nn.functional.max_pool2d(x, 2, stride=1, padding=1))


# ---------------------------------------------------------------------- normalisation


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(4,), (4, 5), (4, 5, 2)], ids=str)
def test_batch_norm(shape: tuple[int, ...], affine: bool) -> None:
    torch = pytest.importorskip("torch")
    weights = {"gamma1": normal(4, seed=2), "beta1": normal(4, seed=5)} if affine else {}

    def theirs(x: Any, gamma1: Any = None, beta1: Any = None) -> Any:
        return torch.nn.functional.batch_norm(x, None, None, gamma1, beta1, training=True, eps=0.01)

    agree(f"y = batch_norm(x, eps=0.01, affine={affine})", {"x": normal(N, *shape)}, weights, theirs)


@pytest.mark.parametrize("form", ["affine=True", "bias=False", "affine=False"])
def test_layer_norm(form: str) -> None:
    torch = pytest.importorskip("torch")
    weights = {"gamma1": normal(6, seed=2), "beta1": normal(6, seed=5)}
    count = {"affine=True": 2, "bias=False": 1, "affine=False": 0}[form]

    def theirs(x: Any, gamma1: Any = None, beta1: Any = None) -> Any:
        return torch.nn.functional.layer_norm(x, (6,), gamma1, beta1, eps=1e-5)

    agree(f"y = layer_norm(x, {form})", {"x": normal(N, 4, 6)}, dict(list(weights.items())[:count]), theirs)


@pytest.mark.parametrize("affine", [True, False])
def test_other_norms(affine: bool) -> None:
    torch = pytest.importorskip("torch")
    f, x = torch.nn.functional, normal(N, 6, 4, 5)
    gain = {"gamma1": normal(6, seed=2)} if affine else {}
    both = {**gain, "beta1": normal(6, seed=5)} if affine else {}
    tail = f"affine={affine}"

    def rms(x: Any, gamma1: Any = None) -> Any:
        return f.rms_norm(x, (6,), gamma1, eps=1e-6)

    agree(f"y = rms_norm(x, {tail})", {"x": normal(N, 4, 6)}, gain, rms)
    for groups, shape in ((2, (6,)), (2, (6, 4)), (6, (6, 4, 5)), (1, (6, 5))):

        def grouped(x: Any, gamma1: Any = None, beta1: Any = None, groups: int = groups) -> Any:
            return f.group_norm(x, groups, gamma1, beta1)

        agree(f"y = group_norm(x, {groups}, {tail})", {"x": normal(N, *shape)}, both, grouped)

    def instance(x: Any, gamma1: Any = None, beta1: Any = None) -> Any:
        return f.instance_norm(x, weight=gamma1, bias=beta1)

    agree(f"y = instance_norm(x, {tail})", {"x": x}, both, instance)
    agree(f"y = instance_norm(x, {tail})", {"x": x[..., 0]}, both, instance)


def test_lengths() -> None:
    torch = pytest.importorskip("torch")
    agree("y = normalize(x)", {"x": normal(N, 4, 5)}, {}, lambda x: torch.nn.functional.normalize(x, dim=-1))
    agree("y = normalize(x, axis=1)", {"x": normal(N, 4, 5)}, {}, lambda x: torch.nn.functional.normalize(x, dim=1))
    weights = {"V1": normal(5, 4), "g1": normal(4), "b1": normal(4, seed=1)}

    def theirs(x: Any, V1: Any, g1: Any, b1: Any) -> Any:
        layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(5, 4, dtype=torch.float64))
        parametrized = {
            "parametrizations.weight.original0": g1[:, None],
            "parametrizations.weight.original1": V1.T,
            "bias": b1,
        }
        return torch.func.functional_call(layer, parametrized, (x,))

    agree("y = weight_norm_dense(x, 4)", {"x": normal(N, 5)}, weights, theirs)


# ---------------------------------------------------------------------- attention

MASKS = [(mask, keep, causal) for mask in ("", "M", "MM") for keep in ("", "K") for causal in (False, True)]


@pytest.mark.parametrize(("mask", "keep", "causal"), MASKS)
def test_scaled_dot_product_attention(mask: str, keep: str, causal: bool) -> None:
    torch = pytest.importorskip("torch")
    draw = np.random.default_rng(0)
    data = {"q": normal(N, 4, 5), "k": normal(N, 6, 5), "v": normal(N, 6, 7)}
    masks = {"M": draw.integers(0, 2, (4, 6)), "MM": draw.integers(0, 2, (N, 4, 6)), "K": draw.integers(0, 2, (N, 6))}
    masks["MM"][0, 2] = 0  # a query that may see nothing
    masks["K"][1] = 0
    data |= {name: masks[name].astype(float) for name in (mask, keep) if name}
    call = "".join(f", {option}={name}" for option, name in (("mask", mask), ("keep", keep)) if name)

    def theirs(q: Any, k: Any, v: Any, **given: Any) -> Any:
        allowed = torch.ones(N, 4, 6, dtype=torch.bool)
        for name, a in given.items():
            allowed = allowed & (a[:, None] > 0 if name == "K" else a > 0)
        if causal:
            allowed = allowed & torch.ones(4, 6, dtype=torch.bool).tril()
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, allowed)

    y = f"y = scaled_dot_product_attention(q, k, v{call}, causal={causal})"
    agree(y, data, {}, theirs, wrt=["q", "k", "v"])


def attention_weights(e: int) -> Arrays:
    return {"W1": normal(e, 3 * e), "b1": normal(3 * e), "U1": normal(e, e, seed=1), "c1": normal(e)}


def attend(x: Any, y: Any, heads: int, W: Any, b: Any, U: Any, c: Any, **masks: Any) -> Any:
    torch = pytest.importorskip("torch")
    out, _ = torch.nn.functional.multi_head_attention_forward(
        x.transpose(0, 1), y.transpose(0, 1), y.transpose(0, 1), x.shape[-1], heads, W.T, b, None, None, False, 0.0,
        U.T, c, training=False, need_weights=False, **masks,
    )  # fmt: skip
    return out.transpose(0, 1)


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_self_attention(heads: int) -> None:
    data = {"x": normal(N, 4, 6)}
    y = f"y = multi_head_attention(x, {heads})"
    agree(y, data, attention_weights(6), lambda x, W1, b1, U1, c1: attend(x, x, heads, W1, b1, U1, c1))


def test_masked_attention() -> None:
    torch = pytest.importorskip("torch")
    keep = np.array([[1, 1, 0, 1], [1, 0, 0, 0], [1, 1, 1, 1]], float)
    data, weights = {"x": normal(N, 4, 6), "K": keep}, attention_weights(6)
    triangle = torch.ones(4, 4, dtype=torch.bool).triu(1)

    def theirs(x: Any, K: Any, W1: Any, b1: Any, U1: Any, c1: Any) -> Any:
        return attend(x, x, 2, W1, b1, U1, c1, key_padding_mask=K == 0, attn_mask=triangle)

    wrt = ["x", *weights]
    agree("y = multi_head_attention(x, 2, keep=K, causal=True)", data, weights, theirs, wrt=wrt)

    def causal(x: Any, W1: Any, b1: Any, U1: Any, c1: Any) -> Any:
        return attend(x, x, 2, W1, b1, U1, c1, attn_mask=triangle)

    agree("y = multi_head_attention(x, 2, causal=True)", {"x": data["x"]}, weights, causal)
    masked = {"x": data["x"], "M": np.tril(np.ones((4, 4)))}
    agree("y = multi_head_attention(x, 2, M)", masked, weights, lambda M, **t: causal(**t), wrt=wrt)


def test_cross_attention() -> None:
    data = {"x": normal(N, 4, 6), "z": normal(N, 5, 6)}

    def theirs(x: Any, z: Any, W1: Any, b1: Any, U1: Any, c1: Any) -> Any:
        return attend(x, z, 2, W1, b1, U1, c1)

    agree("y = multi_head_attention(x, z, 2)", data, attention_weights(6), theirs)


@pytest.mark.parametrize(
    ("norm_first", "causal", "activation"), [(True, False, "relu"), (True, True, "gelu"), (False, True, "relu")]
)
def test_transformer_block(norm_first: bool, causal: bool, activation: str) -> None:
    torch = pytest.importorskip("torch")
    e, m, heads = 6, 7, 2
    weights = attention_weights(e)
    weights |= {name: normal(e, seed=k) for k, name in enumerate(("gamma1", "beta1", "gamma2", "beta2"), 6)}
    weights |= {"W2": normal(e, m, seed=1), "b2": normal(m), "W3": normal(m, e, seed=1), "b3": normal(e, seed=4)}

    def theirs(x: Any, **w: Any) -> Any:
        layer = torch.nn.TransformerEncoderLayer(
            e, heads, m, dropout=0.0, activation=activation, norm_first=norm_first, batch_first=True,
            dtype=torch.float64,
        )  # fmt: skip
        own = {
            "self_attn.in_proj_weight": w["W1"].T, "self_attn.in_proj_bias": w["b1"],
            "self_attn.out_proj.weight": w["U1"].T, "self_attn.out_proj.bias": w["c1"],
            "linear1.weight": w["W2"].T, "linear1.bias": w["b2"],
            "linear2.weight": w["W3"].T, "linear2.bias": w["b3"],
            "norm1.weight": w["gamma1"], "norm1.bias": w["beta1"],
            "norm2.weight": w["gamma2"], "norm2.bias": w["beta2"],
        }  # fmt: skip
        mask = torch.ones(4, 4, dtype=torch.bool).triu(1) if causal else None
        return torch.func.functional_call(layer, own, (x,), {"src_mask": mask})

    given = options({"causal": causal, "norm_first": norm_first, "activation": activation})
    y = f"y = transformer_block(x, {heads}, {m}{given})"
    agree(y, {"x": normal(N, 4, e)}, weights, theirs)


def test_positions() -> None:
    """Sines and cosines as in the paper that brought them, and a learned table."""
    torch = pytest.importorskip("torch")

    def theirs(x: Any) -> Any:
        t, e = torch.arange(7.0, dtype=torch.float64)[:, None], 6
        wave = t / 10000 ** (torch.arange(0, e, 2, dtype=torch.float64) / e)
        return x + torch.stack([torch.sin(wave), torch.cos(wave)], -1).reshape(7, e)

    agree("y = positional_encoding(x)", {"x": normal(N, 7, 6)}, {}, theirs)
    agree("y = positional_embedding(x, 9)", {"x": normal(N, 7, 6)}, {"P1": normal(9, 6)}, lambda x, P1: x + P1[:7])


# ---------------------------------------------------------------------- the other layers


def test_bilinear() -> None:
    torch = pytest.importorskip("torch")
    data, weights = {"x": normal(N, 4, 5), "z": normal(N, 4, 6)}, {"A1": normal(7, 5, 6), "b1": normal(7)}
    agree("y = bilinear(x, z, 7)", data, weights, by_position(torch.nn.functional.bilinear))


def test_embedding() -> None:
    torch = pytest.importorskip("torch")
    f, t = torch.nn.functional, np.random.default_rng(0).integers(0, 6, (N, 4))
    weights = {"E1": normal(6, 5)}
    agree("y = embedding(t, 5)", {"t": t}, weights, by_position(f.embedding), below=6)
    agree("y = embedding_bag(t, 5)", {"t": t}, weights, lambda t, E1: f.embedding_bag(t, E1, mode="mean"), below=6)
    bag = 'y = embedding_bag(t, 5, mode="sum")'
    agree(bag, {"t": t}, weights, lambda t, E1: f.embedding_bag(t, E1, mode="sum"), below=6)


def test_tied_weights() -> None:
    """The embedding's own weight reads the output: its gradient has both parts."""
    torch = pytest.importorskip("torch")
    t = np.random.default_rng(0).integers(0, 6, (N, 4))

    def theirs(t: Any, E1: Any) -> Any:
        return torch.tanh(torch.nn.functional.embedding(t, E1)) @ E1.T

    agree("y = tanh(embedding(t, 5)) @ E1.T", {"t": t}, {"E1": normal(6, 5)}, theirs, below=6)


def test_gated_linear_units() -> None:
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    agree("y = glu(x)", {"x": normal(N, 4, 10)}, {}, by_position(f.glu))
    for name, gate in (("reglu", f.relu), ("geglu", f.gelu), ("swiglu", f.silu)):

        def theirs(x: Any, gate: Any = gate) -> Any:
            return x[..., :5] * gate(x[..., 5:])

        def layer(x: Any, W1: Any, W2: Any, W3: Any, gate: Any = gate) -> Any:
            return (x @ W1 * gate(x @ W2)) @ W3

        agree(f"y = {name}(x)", {"x": normal(N, 4, 10)}, {}, theirs)
        weights = {"W1": normal(5, 7), "W2": normal(5, 7, seed=1), "W3": normal(7, 5)}
        agree(f"y = {name}(x, 7)", {"x": normal(N, 4, 5)}, weights, layer)


def test_images() -> None:
    torch = pytest.importorskip("torch")
    f, image, row = torch.nn.functional, {"x": normal(N, 4, 5, 6)}, {"x": normal(N, 4, 6)}
    agree("y = upsample2d(x, 2)", image, {}, lambda x: f.interpolate(x, scale_factor=2))
    agree("y = upsample2d(x, (4, 2))", image, {}, lambda x: f.interpolate(x, scale_factor=(4, 2)))
    agree("y = upsample1d(x, 4)", row, {}, lambda x: f.interpolate(x, scale_factor=4))
    agree("y = pad1d(x, (2, 1))**2", row, {}, lambda x: f.pad(x, (2, 1)) ** 2)
    agree("y = pad2d(x, (1, 2, 4, 0), 0.5)**2", image, {}, lambda x: f.pad(x, (4, 0, 1, 2), value=0.5) ** 2)
    weights = {"W1": normal(4, 2), "b1": normal(2), "W2": normal(2, 4), "b2": normal(4)}

    def excited(x: Any, W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
        return x * torch.sigmoid(torch.relu(x.mean((2, 3)) @ W1 + b1) @ W2 + b2)[:, :, None, None]

    agree("y = squeeze_excite(x, 2)", image, weights, excited)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_flatten(start: int) -> None:
    torch = pytest.importorskip("torch")
    data = {"x": normal(N, 4, 5, 6)} if start else {"x": normal(4, 5, 6)}
    agree(f"y = flatten(x**2, start={start})", data, {}, lambda x: torch.flatten(x**2, start))


def test_residual_connections() -> None:
    torch = pytest.importorskip("torch")
    weights = {"W1": normal(4, 4, 2, 4), "b1": normal(4)}

    def theirs(x: Any, W1: Any, b1: Any) -> Any:
        return x + torch.relu(torch.nn.functional.conv2d(torch.nn.functional.pad(x, (1, 2, 1, 0)), W1, b1))

    agree("y = x + relu(conv2d(pad2d(x, (1, 0, 1, 2)), 4, (2, 4)))", {"x": normal(N, 4, 5, 7)}, weights, theirs)


# ---------------------------------------------------------------------- without PyTorch

CHECKED = [
    "x: data[n, c, h, w]; y = conv2d(x, 5, 3, padding=1); loss = mean(y**3)",
    "x: data[n, 4, h, w]; y = conv2d(x, 6, (3, 2), stride=2, groups=2); loss = mean(y**3)",
    "x: data[n, c, h]; y = conv_transpose1d(x, 5, 3, stride=2); loss = mean(y**3)",
    "x: data[n, h, w]; y = avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False); loss = mean(y**3)",
    "x: data[n, h]; y = max_pool1d(x, 3, stride=2, padding=1); loss = mean(y**3)",
    "x: data[n, t, 6]; K: data[n, t]; y = multi_head_attention(x, 2, keep=K, causal=True); loss = mean(y**3)",
    "x: data[n, c, h, w]; y = batch_norm(x); R: data[n, c, h, w]; loss = mean(R*y)",
]


@pytest.mark.parametrize("text", CHECKED)
def test_symbolic_sizes(text: str) -> None:
    program = read_program(text)
    d = sg.derive(text, wrt=["x", *(t.name for t in program.role("weight"))])
    assert d.check().ok
    assert d.text()
    assert d.latex()


REFUSED = [
    ("x: data[n, 4, 2, 7]; y = conv2d(x, 6, 3)",
     "in conv2d, a kernel of 3 by 3 is larger than the image of 2 by 7 with its padding"),
    ("x: data[n, 4, 9]; y = conv1d(x, 6, 5, dilation=3)",
     "in conv1d, a kernel of 5 entries is larger than the 9 entries with their padding"),
    ("x: data[n, 4, 9, 7]; y = conv2d(x, 6, 3, groups=3)",
     "in conv2d, the 4 channels of x cannot be split into 3 groups of one size"),
    ("x: data[n, 4, 9, 7]; y = conv2d(x, 5, 3, groups=2)",
     "in conv2d, 5 kernels cannot be split into 2 groups of one size"),
    ("x: data[n, 4, 9, 7]; K: weight[6, 3, 2, 2]; y = conv2d(x, K)",
     "in conv2d, the kernels have 3 channels in 1 group(s), but x has 4"),
    ("x: data[n, 4, 9, 7]; y = conv2d(x, 6, (3, 2, 1))",
     "kernel is one whole number, or 2 of them, (kh, kw), and not (3, 2, 1)"),
    ("x: data[n, 4, 9, 7]; y = conv2d(x, 6, 3, stride=0.5)",
     "stride is one whole number, or 2 of them, (sh, sw), and not 0.5"),
    ("x: data[n]; y = conv1d(x, 6, 3)", "x is [n], but x has at least 2 axes"),
    ("x: data[n, 9, 7]; y = max_pool2d(x, 3, padding=2)",
     "in max_pool2d, a padding of 2 by 2 is more than half of the window of 3 by 3"),
    ("x: data[n, 9, 2]; y = avg_pool2d(x, 3)",
     "in avg_pool2d, a window of 3 by 3 is larger than the image of 9 by 2 with its padding"),
    ("x: data[n, 9]; y = adaptive_max_pool1d(x, 4)",
     "in adaptive_max_pool1d, 9 entries cannot be split into 4 parts of one size"),
    ("x: data[n, 6]; y = group_norm(x, 4)",
     "in group_norm, the 6 channels of x cannot be split into 4 groups of one size"),
    ("x: data[n, 5, 7]; y = multi_head_attention(x, 2)",
     "in multi_head_attention, the 7 numbers of each token cannot be split among 2 heads"),
    ("x: data[n, 5, 7]; y = positional_embedding(x, 4)",
     "in positional_embedding, 5 positions are more than the 4 that are learned"),
    ("x: data[n, 5]; y = glu(x)", "and no k makes 2 * k = 5"),
    ('x: data[n, 5]; y = feed_forward(x, 7, activation="swish")',
     'takes "gelu", "silu", "relu", "tanh" or "sigmoid" as activation, not "swish"'),
    ("x: data[n, 5]; y = embedding(x, 4)", "takes an integer tensor (a label) as t, and x is none"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_refusals(text: str, said: str) -> None:
    with pytest.raises(sg.SymgradError) as caught:
        sg.derive(f"{text}; loss = mean(y)", wrt=["x"])
    sentence = str(caught.value).splitlines()[0]
    assert said in sentence
    assert len(sentence) < 280


def test_sizes_that_do_not_fit_are_refused_with_the_arrays() -> None:
    """What a layer requires of a size that is a letter is asked when the arrays come."""
    f = sg.derive("x: data[n, c, h, w]; loss = mean(conv2d(x, 6, 3, groups=2)**2)").function()
    weights = {"W1": normal(6, 2, 3, 3), "b1": normal(6)}
    f(x=normal(2, 4, 5, 7), **weights)
    with pytest.raises(sg.SymgradError, match="larger than the image"):
        f(x=normal(2, 4, 2, 7), **weights)
