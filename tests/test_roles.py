"""Who is what in a module: batch axis, target, prediction; and the tables and archives that a module reads."""

import csv

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.emit.roles import Roles, roles
from symgrad.language.reader import read
from symgrad.library import DEFINITIONS


def who(text: str) -> Roles:
    p = read(text, definitions=DEFINITIONS)
    return roles(p, p)


@pytest.mark.parametrize(
    "text, batch, target, prediction, classes, compared",
    [
        pytest.param(
            "u: label[n] < 6; v: label[n] < 4; r: data[n]; P: weight[6, 2]; Q: weight[4, 2]\n"
            "s = sum(P[u]*Q[v], axis=1); loss = mse(s, r)",
            "n", "r", "s", False, True, id="two labels that look weights up",
        ),
        pytest.param(
            "r: data[n]; u: label[n] < 6; x: data[n, 3]; a: weight[6]\n"
            "h = dense(x, 1)[:, 0]; z = h + a[u]; loss = mse(z, r)",
            "n", "r", "z", False, True, id="a label that meets what was learned, and a weight",
        ),
        pytest.param(
            "x: label[n, l] < 7; t: label[n, l] < 7; E: weight[7, 5]\n"
            "h = tanh(E[x]); z = dense(h, 7); loss = softmax_cross_entropy(z, t)",
            "n", "t", "z", True, False, id="a label for each position",
        ),
        pytest.param(
            "x: data[n, l, 4]; keep: data[n, l]; t: label[n] < 3\n"
            "s = dense(x, 1); e[n, i] = s[n, i, 0]*keep[n, i]; h[n, j] = sum(i, e[n, i]*x[n, i, j])\n"
            "z = dense(h, 3); loss = softmax_cross_entropy(z, t)",
            "n", "t", "z", True, False, id="a mask inside the network",
        ),
        pytest.param(
            "x: data[n, 4]; t: label[n] < 3; m: data[n]; z = dense(x, 3)\n"
            "c[n] = logsumexp(z[n, :]) - z[n, t[n]]; loss = sum(m*c)/sum(m)",
            "n", "t", "z", True, False, id="a mask in the loss",
        ),
        pytest.param(
            "x: data[n, 4]; y: data[n]; z = dense(x, 1)[:, 0]; ready = log(y + 2); loss = mean((z - ready)**2)",
            "n", "y", "z", False, False, id="a target that is made ready first",
        ),
        pytest.param(
            "x: data[n, 4]; y: data[n, 2]; s: weight; z = dense(x, 2); loss = mean((s*z - y)**2) + s**2",
            "n", "y", "z", False, False, id="a scalar weight in the loss",
        ),
        pytest.param(
            "x: data[n, 4]; y: 0 <= data[n] <= 1; z = dense(x, 1)[:, 0]\n"
            "loss = binary_cross_entropy_with_logits(z, y)",
            "n", "y", "z", False, False, id="logits are not compared with probabilities",
        ),
        pytest.param(
            "x: data[n, 4]; m: state[n]; m = 0.5*m; w: weight[4]; y: data[n]; z = x @ w - m; loss = mse(z, y)",
            None, "y", "z", False, True, id="a state along the first axis",
        ),
    ],
)  # fmt: skip
def test_roles(text, batch, target, prediction, classes, compared) -> None:
    found = who(text)
    assert (found.batch, found.target, found.prediction) == (batch, target, prediction)
    assert (found.classes, found.compared) == (classes, compared)


POSITIONS = """
x: label[n, l] < 7
m: data[n, l]
t: label[n, l] < 5
z = dense(tanh(dense(one_hot(x, 7), 8)), 5)
c[n, i] = logsumexp(z[n, i, :]) - z[n, i, t[n, i]]
loss = sum(m*c)/sum(m)
"""


@pytest.fixture(params=["readable", "fast"])
def net(request):
    return emit.load(sg.Model(POSITIONS).source("net", style=request.param, lr=0.05), "net")


def arrays(count: int = 45) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 7, (count, 4))
    return {"x": x, "m": rng.integers(1, 3, (count, 4)) * 1.0, "t": x % 5}


def test_tables_hold_features_then_the_rest_then_the_target(net, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (net["FEATURES"], net["TARGET"]) == (("x",), "t")
    a = arrays()
    for name, parts in (("all.csv", "xmt"), ("new.csv", "x")):
        with open(name, "w", newline="") as file:
            csv.writer(file).writerows(np.concatenate([a[p] for p in parts], axis=1).tolist())
    assert net["main"](["train", "all.csv", "--epochs", "30", "--batch", "16", "--quiet"]) == 0
    assert "accuracy 1.0000" in capsys.readouterr().out
    assert net["main"](["predict", "new.csv"]) == 0
    new = capsys.readouterr()
    assert new.out.split() == [",".join(map(str, row)) for row in a["t"]] and not new.err
    assert net["main"](["predict", "all.csv"]) == 0
    scored = capsys.readouterr()
    assert scored.out == new.out and "accuracy 1.0000" in scored.err
    with pytest.raises(SystemExit):
        net["main"](["train", "--help"])
    assert "x (l numbers), m (l numbers), t (l numbers)" in " ".join(capsys.readouterr().out.split())


def test_archives_hold_arrays_by_name(net, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    a = arrays()
    np.savez("all.npz", **a)
    np.savez("new.npz", x=a["x"])
    np.savez("short.npz", x=a["x"], m=a["m"][1:], t=a["t"])
    (tmp_path / "no.npz").write_text("no archive")
    assert net["main"](["train", "all.npz", "--epochs", "30", "--batch", "16", "--quiet"]) == 0
    assert "accuracy 1.0000" in capsys.readouterr().out
    assert net["main"](["predict", "new.npz", "--weights", "net.npz"]) == 0
    new = capsys.readouterr()
    assert new.out.split() == [",".join(map(str, row)) for row in a["t"]] and not new.err
    assert net["main"](["predict", "all.npz", "--weights", "net.npz"]) == 0
    assert "accuracy 1.0000" in capsys.readouterr().err
    for path, said in (
        ("new.npz", "new.npz has no array m; the network takes x, m, t"),
        ("short.npz", "m and x differ in the number of their examples"),
        ("no.npz", "cannot be read as arrays"),
        ("none.npz", "there is no file"),
    ):
        assert net["main"](["train", path]) == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_images_are_columns_in_a_row(style: str, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "x: data[n, 1, 2, 3]; y: data[n]; w: weight[2, 3]; z[n] = sum(i, j, x[n, 0, i, j]*w[i, j]); loss = mse(z, y)"
    net = emit.load(sg.Model(text).source("net", style=style, lr=0.05), "net")
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((40, 6)), np.arange(6.0)
    with open("table.csv", "w", newline="") as file:
        csv.writer(file).writerows(np.column_stack([x, x @ w]).tolist())
    assert net["main"](["train", "table.csv", "--epochs", "200", "--batch", "16", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert float(said.split("rmse ")[1].split()[0]) < 1e-3, said
    with np.load("net.npz") as saved:
        np.testing.assert_allclose(saved["w"].ravel(), w, atol=0.01)


READER = """
x: label[n, 5] < 9
t: label[n, 5] < 9
z = dense(tanh(dense(one_hot(x, 9), 12)), 9)
loss = softmax_cross_entropy(z, t)
"""


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_a_text_is_cut_into_windows(style: str, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    net = emit.load(sg.Model(READER).source("net", style=style, lr=0.05), "net")
    text = "abc\nABC" * 40 + "ab"
    (tmp_path / "all.txt").write_text(text)
    assert net["main"](["train", "all.txt", "--epochs", "40", "--batch", "16", "--quiet"]) == 0
    assert "accuracy 1.0000" in capsys.readouterr().out
    model = net["Model"]()
    arrays = net["_text"](model, "all.txt")
    assert model.classes == sorted(set(text)) and arrays["x"].shape == arrays["t"].shape == (56, 5)
    told = ["".join(model.classes[k] for k in arrays[name].ravel()) for name in ("x", "t")]
    assert told == [text[:280], text[1:281]]
    (tmp_path / "new.txt").write_text("C" + text[:10])
    assert net["main"](["predict", "new.txt", "--weights", "net.npz"]) == 0
    said = capsys.readouterr()
    assert said.out == text[:10] + "\n" and "accuracy 1.0000" in said.err
    for name, words, problem in (
        ("odd.txt", "abcabcz", "the character 'z' did not occur in training"),
        ("short.txt", "abcab", "has 5 characters, and a window and what comes next take 6"),
        ("none.txt", None, "there is no file"),
    ):
        if words is not None:
            (tmp_path / name).write_text(words)
        assert net["main"](["predict", name, "--weights", "net.npz"]) == 2
        assert problem in capsys.readouterr().err
    (tmp_path / "rich.txt").write_text("abcdefghijkl")
    assert net["main"](["train", "rich.txt"]) == 2
    assert "12 different characters, but t has 9 classes" in capsys.readouterr().err


def test_only_a_reader_of_characters_takes_a_text(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "all.txt").write_text("abcabc")
    for text in (
        READER.replace("t: label[n, 5] < 9", "t: label[n, 5] < 8").replace(", 9)\nl", ", 8)\nl"),
        POSITIONS,
    ):
        net = emit.load(sg.Model(text).source("net"), "net")
        assert "_text" not in net
        assert net["main"](["train", "all.txt"]) == 2 and "all.txt" in capsys.readouterr().err
