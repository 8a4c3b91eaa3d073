"""Weights in files: .npz and .safetensors carry the same, and a damaged file is refused in one sentence."""

import json
import os
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg

TEXT = "x: data[n, 3]; t: label[n] < 4; z = dense(tanh(dense(x, 5)), 4); loss = softmax_cross_entropy(z, t)"
OPTIMIZER = "adam"
ENDINGS = ("npz", "safetensors")


@pytest.fixture(scope="module")
def net() -> Any:
    from symgrad import emit

    source = sg.Model(TEXT).source("net", optimizer=OPTIMIZER, style="fast")
    return types.SimpleNamespace(**emit.load(source, "net"))


def trained(net: Any, steps: int = 3) -> Any:
    rng = np.random.default_rng(0)
    model = net.Model()
    for _ in range(steps):
        model.step(rng.standard_normal((6, 3)), rng.integers(0, 4, 6))
    return model


def packed(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A .safetensors file of a header, given as JSON or as bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(kind: str, shape: list[Any], start: int, end: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize("ending", [*ENDINGS, "SafeTensors"])
def test_training_goes_on_as_if_never_saved(net: Any, tmp_path: Path, ending: str) -> None:
    path, model, again = tmp_path / f"w.{ending}", trained(net), net.Model()
    model.classes = ["Ä", "b c", "", '"']
    model.save(path)
    again.load(path)
    assert again.classes == model.classes and again.steps == 3
    x, t = np.ones((4, 3)), np.arange(4)
    for _ in range(3):
        assert model.step(x, t) == again.step(x, t)
    for name, w in model.get_weights().items():
        assert np.array_equal(again.weights[name], w)
    assert os.listdir(tmp_path) == [path.name]


def test_both_endings_carry_the_same(net: Any, tmp_path: Path) -> None:
    model = trained(net)
    model.classes = ["a", "b", "c", "d"]
    read = []
    for ending in ENDINGS:
        model.save(tmp_path / f"w.{ending}")
        read.append(net._read_arrays(tmp_path / f"w.{ending}"))
    assert set(read[0]) == set(read[1]) > {"W1", "W1.m", ".steps", ".classes", ".optimizer"}
    for name, a in read[0].items():
        assert a.dtype.kind == read[1][name].dtype.kind and np.array_equal(a, read[1][name]), name


KINDS = ["?", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8"]


@given(
    st.dictionaries(
        st.text(max_size=4).filter(lambda name: "\0" not in name),
        st.tuples(st.sampled_from(KINDS), st.lists(st.integers(0, 3), max_size=3), st.sampled_from("CF")),
        max_size=5,
    )
)
@settings(max_examples=40)
def test_arrays_come_back(net: Any, tmp_path_factory: Any, shapes: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    rng = np.random.default_rng(0)
    arrays = {
        name: np.asarray(rng.integers(0, 100, shape).astype(kind), order=order)
        for name, (kind, shape, order) in shapes.items()
    }
    net._write_arrays(path, arrays)
    read = net._read_arrays(path)
    assert set(read) == set(arrays)
    for name, a in arrays.items():
        assert read[name].dtype == a.dtype and np.array_equal(read[name], a)
    # what comes after the header begins at a multiple of 8, and so does each wide entry
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    for name, place in json.loads(data[8 : 8 + length]).items():
        assert name == "__metadata__" or place["data_offsets"][0] % arrays[name].itemsize == 0


def test_the_safetensors_library_agrees(net: Any, tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    model = trained(net)
    model.save(tmp_path / "ours.safetensors")
    read = library.load_file(tmp_path / "ours.safetensors")
    for name, w in model.get_weights().items():
        assert read[name].dtype == w.dtype and np.array_equal(read[name], w)
    given = {
        "W1": np.ones((3, 5)),
        "b1": np.arange(5),
        "W2": np.full((5, 4), 0.1, "f4"),
        "b2": np.ones(4, "f2"),
    }
    library.save_file(given, tmp_path / "theirs.safetensors", metadata={"format": "pt"})
    model.classes = ["a", "b", "c", "d"]
    model.load(tmp_path / "theirs.safetensors")
    assert model.steps == 0 and model.classes is None and not model._state["m"]["W1"].any()
    for name, w in given.items():
        np.testing.assert_array_equal(model.weights[name], w.astype(np.float32))


def test_half_precision_is_widened(net: Any, tmp_path: Path) -> None:
    """1, -2 and 1.5 as IEEE 754 has them in 16 bits, and as bfloat16 has them: the upper half of a float32."""
    header = {"a": entry("F16", [3], 0, 6), "b": entry("BF16", [3, 1], 6, 12), "c": entry("BF16", [], 12, 14)}
    numbers = (0x3C00, 0xC000, 0x3E00, 0x3F80, 0xC000, 0x3FC0, 0x3F80)
    (tmp_path / "w.safetensors").write_bytes(
        packed(header, b"".join(k.to_bytes(2, "little") for k in numbers))
    )
    read = net._read_arrays(tmp_path / "w.safetensors")
    assert read["a"].tolist() == [1, -2, 1.5] and read["b"].tolist() == [[1], [-2], [1.5]] and read["c"] == 1


def test_weights_of_pytorch(net: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    torch.manual_seed(0)
    layers = torch.nn.Linear(3, 5), torch.nn.Linear(5, 4)
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    for kind, allowed in (("float64", 1e-6), ("bfloat16", 0.0), ("float16", 0.0)):
        given = {}
        for k, layer in enumerate(layers, 1):
            weight, bias = (w.detach().to(getattr(torch, kind)) for w in (layer.weight, layer.bias))
            given |= {f"W{k}": weight.T.contiguous(), f"b{k}": bias}
        library.save_file(given, tmp_path / "torch.safetensors")
        model = net.Model()
        model.load(tmp_path / "torch.safetensors")
        for name, w in given.items():
            np.testing.assert_allclose(model.weights[name], w.double().numpy(), rtol=allowed)
        z = torch.tanh(torch.tensor(x) @ given["W1"].double() + given["b1"].double())
        z = z @ given["W2"].double() + given["b2"].double()
        np.testing.assert_allclose(model.forward(x), z.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends before its header"),
        (packed({}, length=1 << 63), "ends before its header"),
        (packed({}, length=3), "ends before its header"),
        (packed(b"[]"), "no table of arrays"),
        (packed(b'{"W1": 1'), "it is damaged"),
        (packed(b"\xff\xff"), "it is no text in UTF-8"),
        (packed(b"[" * 100_000), "it is damaged"),
        (packed(b'{"__metadata__": {".steps": 1}}'), "no table of arrays"),
        (packed(b'{"a": {}, "a": {}}'), "has the name a twice"),
        (packed({"a": 1}), "the place of a"),
        (packed({"a": entry("F32", [1], 0, 4) | {"shape": True}}, b"1234"), "the place of a"),
        (packed({"a": entry("F32", [True], 0, 4)}, b"1234"), "the place of a"),
        (packed({"a": entry("F32", [-1, -1], 0, 4)}, b"1234"), "the place of a"),
        (packed({"a": entry("F32", [1 << 64], 0, 4)}, b"1234"), "the place of a"),
        (packed({"a": entry("F32", [1] * 99, 0, 4)}, b"1234"), "the place of a"),
        (packed({"a": entry("F8_E4M3", [4], 0, 4)}, b"1234"), "has the type F8_E4M3"),
        (packed({"a": entry("F32", [2], 0, 4)}, b"1234"), r"not as long as its shape \[2\]"),
        (packed({"a": entry("F32", [1], 4, 0)}, b"1234"), "not as long"),
        (packed({"a": entry("F32", [1], 0, 4)}, b"123"), "tells of 4 bytes, but 3 come"),
        (packed({"a": entry("F32", [1], 0, 4)}, b"12345"), "tells of 4 bytes, but 5 come"),
        (packed({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 2, 6)}, b"123456"), "the place of b"),
        (
            packed({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 5, 9)}, b"123456789"),
            "the place of b",
        ),
        (packed({"a": entry("F32", [0, 1 << 62, 1 << 62], 0, 0)}), "cannot be read"),
    ],
)
def test_a_hostile_file_is_refused(net: Any, tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    model = trained(net)
    before = model.get_weights()
    with pytest.raises(net.Problem, match=message) as told:
        model.load(path)
    assert "\n" not in str(told.value) and str(path) in str(told.value)
    assert model.steps == 3
    for name, w in before.items():
        assert np.array_equal(model.weights[name], w)


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=60)
@given(
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 99),
)
def test_a_damaged_file_is_refused_or_whole(
    net: Any, tmp_path_factory: Any, ending: str, changes: list[tuple[int, int]], cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged.{ending}"
    model = trained(net)
    model.classes = ["a", "b", "c", "d"]
    model.save(path)
    data = bytearray(path.read_bytes())
    start = 0 if ending == "npz" else int.from_bytes(data[:8], "little") + 8  # most damage to the header
    for place, value in changes:
        data[place % (start or len(data))] = value
    path.write_bytes(data[: len(data) - cut] if cut < 50 else data)
    before = model.get_weights()
    told = None
    try:
        model.load(path)
    except net.Problem as problem:
        told = str(problem)
    if told is None:
        assert all(np.isfinite(w).all() for w in model.weights.values())
        return
    assert "\n" not in told and model.steps == 3
    for name, w in before.items():
        assert np.array_equal(model.weights[name], w)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is no .npz file"),
        (b"\x80\x04K\x01.", "it is no .npz file"),  # a pickle
        (packed({}), "it is no .npz file, and its name does not end with .safetensors"),
        ("npy", "it is no .npz file"),
        ("zip", "its weight W1 is not made of finite numbers"),
    ],
)
def test_what_is_no_npz(net: Any, tmp_path: Path, data: Any, message: str) -> None:
    path = tmp_path / "w.npz"
    if data == "npy":
        with path.open("wb") as file:
            np.save(file, np.ones(3))
    elif data == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in net.WEIGHTS:
                archive.writestr(name, "no array")
    else:
        path.write_bytes(data)
    with pytest.raises(net.Problem, match=message):
        net.Model().load(path)


def test_what_cannot_be_used_is_told(net: Any, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    model = trained(net)
    for arrays, message in [
        (
            {"fc1.weight": np.ones((5, 3)), "fc1.bias": np.ones(5)},
            "no weight W1; it has fc1.bias, fc1.weight, and",
        ),
        ({**model.get_weights(), "W1": np.ones((5, 3))}, r"W1 must have the shape \[3, 5\]"),
        ({**model.get_weights(), "b1": np.full(5, np.nan)}, "weight b1 is not made of finite numbers"),
        ({**model.get_weights(), ".steps": np.array("3")}, "its count of steps is 3, not a whole number"),
    ]:
        net._write_arrays(path, arrays)
        with pytest.raises(net.Problem, match=message):
            model.load(path)
    before = path.read_bytes()
    with pytest.raises(
        net.Problem, match=r"W1 of type complex128 has no place in a \.safetensors file; nothing"
    ):
        net._write_arrays(path, {"W1": np.ones(2) + 1j})
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


def test_on_the_command_line(net: Any, tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).standard_normal((12, 3)).round(3).tolist()
    table = "\n".join(",".join(map(str, [*row, "abcd"[k % 4]])) for k, row in enumerate(rows))
    (tmp_path / "t.csv").write_text(table)
    assert net.main(["train", "t.csv", "--epochs", "2", "--save", "w.safetensors", "--quiet"]) == 0
    again = ["train", "t.csv", "--epochs", "1", "--weights", "w.safetensors", "--save", "v.npz", "--quiet"]
    assert net.main(again) == 0
    capsys.readouterr()
    assert net.main(["predict", "t.csv", "--weights", "w.safetensors"]) == 0
    told = capsys.readouterr().out.split()
    assert len(told) == 12 and set(told) <= set("abcd")
    model = net.Model()
    model.load("v.npz")
    assert model.steps == 3 and model.classes == ["a", "b", "c", "d"]
