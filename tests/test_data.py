"""Data as people have them: tables, arrays and files; standardised, and words as labels, as declared."""

import csv
import os
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symgrad as sg
from symgrad import emit
from symgrad.study.setting import Setting

STYLES = ("readable", "fast")
WORDS = ("setosa", "versi'color", 'virgi"nica')
REGRESSION = """
x: data[n, 3]{fact}
y: data[n]{fact}
h = tanh(dense(x, 4))
z = dense(h, 1)[:, 0]
loss = mse(z, y)
"""
CLASSES = """
x: data[n, 4]{fact}
t: label[n] {labels}
z = dense(x, 3)
loss = softmax_cross_entropy(z, t)
"""
NAMED = """in ["setosa", "versi'color", 'virgi"nica']"""
RAW = " & standardized"
_MADE: dict[tuple[str, str, str], dict[str, Any]] = {}


def made(text: str, style: str = "fast", optimizer: str = "sgd") -> dict[str, Any]:
    """The module of a declaration, made once."""
    key = text, style, optimizer
    if key not in _MADE:
        _MADE[key] = emit.load(sg.Model(text).source("net", style=style, optimizer=optimizer, lr=0.1), "net")
    return _MADE[key]


def raw(count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Columns of different scales, one of them constant, and a target far from 0."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 3)) * [1e-3, 50, 0] + [5, 1e6, 0.1]
    return x, 3e4 + 200 * np.sin(x[:, 0] * 1e3) + rng.standard_normal(count)


# ---- what the declaration says


@pytest.mark.parametrize("labels", [NAMED, "< 3"])
@pytest.mark.parametrize("fact", [RAW, ""])
def test_the_text_gives_the_same_program(fact: str, labels: str) -> None:
    program = sg.Model(CLASSES.format(fact=fact, labels=labels)).program
    again = sg.Model(str(program)).program
    assert str(again) == str(program) and again["x"] == program["x"] and again["t"] == program["t"]
    assert again["x"].standardized == bool(fact)
    assert again["t"].classes == (WORDS if labels == NAMED else ())


def test_objects_write_it() -> None:
    x, t = sg.data("n", 4, name="x", standardized=True), sg.label("n", classes=WORDS)
    program = sg.Model(sg.softmax_cross_entropy(sg.Dense(3)(x), t)).program
    assert program["x"].standardized and program["t"].classes == WORDS


def test_a_derivation_says_what_it_is_of() -> None:
    told = "x and y are standardised: each entry is (raw − mean)/deviation"
    d = sg.derive(REGRESSION.format(fact=RAW))
    assert told in " ".join(d.text().split()) and d.check().ok
    plain = sg.derive(REGRESSION.format(fact=""))
    assert "standardised" not in plain.text() and d.gradients["W1"].text() == plain.gradients["W1"].text()


@pytest.mark.parametrize(
    "line, reason",
    [
        ("w: weight[n] & standardized", "only data are standardised, and w is a weight"),
        ("x: data & standardized", "have an axis of examples"),
        ("x: 0 < data[n] & standardized", "nothing else is known of standardised data"),
        ("x: data[n] & standardised", "did you mean 'standardized'"),
        ('x: data[n] in ["a"]', "classes in words are a label's"),
        ("t: label[n] in [1, 2]", "are a list of words"),
        ("t: label[n] in []", "are a list of words"),
        ('t: label[n] in ["a", "a"]', "the class 'a' of t is there twice"),
        ('t: label[n] in ["a "]', "without spaces around it"),
        ('t: label[n] in ["a\\n"]', "without spaces around it"),
    ],
)
def test_wrong_declarations(line: str, reason: str) -> None:
    with pytest.raises(sg.SymgradError, match=reason):
        sg.derive(f"{line}; v: weight; loss = v**2")


def test_an_array_without_examples_is_refused() -> None:
    text = (
        "x: data[n, 3]; c: data[3] & standardized; y: data[n]; w: weight[3]; z = x @ (w*c); loss = mse(z, y)"
    )
    with pytest.raises(sg.SymgradError, match="its first axis is not that of the examples"):
        sg.Model(text).source("net")


# ---- what a module makes of it


@pytest.mark.parametrize("style", STYLES)
def test_it_is_the_plain_network_on_standardised_data(style: str, tmp_path: Path) -> None:
    x, y = raw()
    model = made(REGRESSION.format(fact=RAW), style)["Model"](dtype=np.float64)
    plain = made(REGRESSION.format(fact=""), style)["Model"](dtype=np.float64)
    deviation = np.where(np.ptp(x, axis=0) == 0, 1, x.std(0))
    u, v = (x - x.mean(0)) / deviation, (y - y.mean()) / y.std()
    assert model.fit(x, y, epochs=5, batch_size=7, quiet=True) == pytest.approx(
        plain.fit(u, v, epochs=5, batch_size=7, quiet=True), rel=1e-9
    )
    for name, w in plain.get_weights().items():
        np.testing.assert_allclose(model.weights[name], w, rtol=1e-7, atol=1e-9)
    model.set_weights(plain.get_weights())
    near = {"rtol": 1e-9, "atol": 1e-12}
    np.testing.assert_allclose(model.forward(x), plain.forward(u), **near)
    np.testing.assert_allclose(model.predict(x), plain.forward(u) * y.std() + y.mean(), **near)
    assert model.loss(x, y) == pytest.approx(plain.loss(u, v), rel=1e-9)
    for g, h in zip(
        model.loss_and_grad(x, y)[1].values(), plain.loss_and_grad(u, v)[1].values(), strict=True
    ):
        np.testing.assert_allclose(g, h, **near)
    assert model.step(x[:9], y[:9]) == pytest.approx(plain.step(u[:9], v[:9]), rel=1e-9)
    wrong = np.mean((model.predict(x) - y) ** 2) ** 0.5  # in the user's units
    assert f"rmse {wrong:.4f}" in model.score({"x": x, "y": y})
    assert model.means["x"][2] == 0.1 and model.deviations["x"][2] == 1  # only centred

    model.save(tmp_path / "w.npz")
    other = type(model)(dtype=np.float64)
    other.load(tmp_path / "w.npz")
    assert np.array_equal(other.predict(x), model.predict(x))


def test_the_mean_is_learned_once_and_told_where_it_lacks() -> None:
    x, y = raw()
    net = made(REGRESSION.format(fact=RAW))
    model = net["Model"](dtype=np.float64)
    for f in (model.loss, model.step, model.loss_and_grad):
        with pytest.raises(net["Problem"], match="x is declared standardized, and its mean is not known yet"):
            f(x, y)
    with pytest.raises(net["Problem"]):
        model.fit(x, np.full(40, np.nan), quiet=True)
    assert not model.means  # what was refused has taught nothing
    model.learn(x[:20], y[:20])
    model.fit(x, y, epochs=1, quiet=True)
    assert model.means["y"] == pytest.approx(y[:20].mean())
    model.init(1)
    model.fit(x, y, epochs=1, quiet=True)
    assert model.means["y"] == pytest.approx(y.mean())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-1e8, 1e8), min_size=1, max_size=30), st.integers(1, 7))
def test_moments_by_parts(values: list[float], size: int) -> None:
    module = made(REGRESSION.format(fact=RAW))
    a, before = np.array(values), module["PART"]
    module["PART"] = size
    try:
        mean, deviation = module["_moments"]("x", a)
    finally:
        module["PART"] = before
    spread = a.std() if np.ptp(a) else 1.0
    assert abs(mean - a.mean()) <= 1e-13 * np.abs(a).max()
    assert deviation == pytest.approx(spread, rel=1e-9, abs=1e-15 * np.abs(a).max()) or deviation == 1


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("labels", [NAMED, "< 3"])
def test_labels_in_words(style: str, labels: str, tmp_path: Path) -> None:
    net = made(CLASSES.format(fact="", labels=labels), style, "adam")
    x = np.random.default_rng(0).standard_normal((30, 4))
    t = x[:, :3].argmax(1)
    words = np.array(WORDS)[t]
    model, other = net["Model"](), net["Model"]()
    model.fit(x, words, epochs=30, quiet=True)
    other.fit(x, t, epochs=30, quiet=True)
    assert all(np.array_equal(w, other.weights[name]) for name, w in model.weights.items())
    assert model.predict(x).tolist() == words.tolist()
    assert other.predict(x).tolist() == (words if labels == NAMED else t).tolist()
    assert "accuracy 1.0000" in model.score({"x": x, "t": list(words)})
    assert model.loss(x, words) == model.loss(x, t) == model.loss(x, words.astype(object))
    reason = "is none of its classes" if labels == NAMED else "did not occur in training"
    with pytest.raises(net["Problem"], match=f"t: the label 'rose' {reason}"):
        model.step(x, ["rose"] * 30)
    model.save(tmp_path / "w.npz")
    loaded = net["Model"]()
    loaded.load(tmp_path / "w.npz")
    assert loaded.predict(x).tolist() == words.tolist()
    if labels == NAMED:
        np.savez(tmp_path / "v.npz", **{**np.load(tmp_path / "w.npz"), ".classes": np.array(["a", "b", "c"])})
        with pytest.raises(net["Problem"], match="its classes are a, b, c, not setosa"):
            loaded.load(tmp_path / "v.npz")
    else:
        with pytest.raises(net["Problem"], match="the words of t have no numbers yet"):
            net["Model"]().step(x, words)
        with pytest.raises(net["Problem"], match="t has 4 different labels, but t has 3 classes"):
            net["Model"]().fit(x[:4], list("abcd"), quiet=True)


def test_the_number_of_classes_is_that_of_the_words() -> None:
    net = made("x: data[n, 4]; t: label[n] < k; z = dense(x, k); loss = softmax_cross_entropy(z, t)")
    model = net["Model"]()
    model.fit(np.ones((4, 4)), list("abcd"), epochs=1, quiet=True)
    assert model.sizes == {"k": 4} and set(model.predict(np.ones((2, 4)))) <= set("abcd")


@pytest.mark.parametrize(
    "x, reason",
    [
        ([[1, 2, 3, 4], [5, 6]], "what was given is ragged"),
        ([list("abcd")] * 2, "x must be an array of numbers, not of type <U1"),
        (np.zeros((0, 4)), "there are no examples to train on"),
        ([[1, 2, 3, np.nan]] * 2, r"x must hold finite numbers, but x\[0, 3\] is nan"),
        ([[1, 2, 3, 4], [np.inf, 2, 3, 4]], r"x must hold finite numbers, but x\[1, 0\] is inf"),
        (np.ones((2, 3)), r"x must have the shape \[n, 4\]"),
        (np.ones(4), r"x must have the shape \[n, 4\]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("fact", ["", RAW])
def test_wrong_arrays(fact: str, x: Any, reason: str) -> None:
    net = made(CLASSES.format(fact=fact, labels=NAMED))
    model = net["Model"]()
    with pytest.raises(net["Problem"], match=reason):
        model.fit(x, [0] * len(x), quiet=True)
    if fact:
        model.learn(np.eye(4), [0] * 4)
    if len(x):
        with pytest.raises(net["Problem"], match=reason):
            model.predict(x)


# ---- files


@pytest.mark.parametrize("style", STYLES)
def test_training_from_files_larger_than_the_memory_it_takes(style: str, tmp_path: Path) -> None:
    """The weights are those of a run in memory, bit by bit, and no more than a bound is allocated."""
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((40_000, 20)) * 7 + 100).astype(np.float32)
    t = (x[:, 0] > 100).astype(np.int8)
    text = (
        "x: data[n, 20] & standardized; t: label[n] < 2; z = dense(x, 2); loss = softmax_cross_entropy(z, t)"
    )
    net = made(text, style)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "t.npy", t)
    inside, outside = net["Model"](), net["Model"]()
    inside.fit(x, t, epochs=1, batch_size=500, quiet=True)
    tracemalloc.start()
    a, b = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xt")
    outside.fit(a, b, epochs=1, batch_size=500, quiet=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for name, w in inside.weights.items():
        assert np.array_equal(w, outside.weights[name])
    assert np.array_equal(inside.means["x"], outside.means["x"])
    assert peak < 2.5e6 < x.nbytes == 3.2e6


def test_splits_of_files_stay_there(tmp_path: Path) -> None:
    """The command sets examples apart for a test and for validation without reading the rest into memory."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40_000, 20)) * 7 + 100
    t = np.array(["no", "yes"])[(x[:, 0] > 100).astype(int)]
    text = (
        "x: data[n, 20] & standardized; t: label[n] < k; z = dense(x, k); loss = softmax_cross_entropy(z, t)"
    )
    net = made(text)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "t.npy", t)
    np.savez(tmp_path / "all.npz", x=x, t=t)
    given = [
        "--epochs",
        "1",
        "--batch",
        "500",
        "--quiet",
        "--test-split",
        "0.2",
        "--validation",
        "0.1",
        "--save",
    ]
    tracemalloc.start()
    assert net["main"](["train", str(tmp_path), *given, str(tmp_path / "a.npz")]) == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert net["main"](["train", str(tmp_path / "all.npz"), *given, str(tmp_path / "b.npz")]) == 0
    first, second = (np.load(tmp_path / f"{name}.npz") for name in "ab")
    assert (
        all(np.array_equal(first[name], second[name]) for name in second.files) and ".mean.x" in first.files
    )
    assert peak < 4.5e6 < x.nbytes == 6.4e6


def test_one_column_of_a_table_in_a_file(tmp_path: Path) -> None:
    """A part of a mapped array is mapped, too; what is wrong far down is found."""
    net = made(REGRESSION.format(fact=RAW))
    x, y = raw(3000)
    np.save(tmp_path / "a.npy", np.column_stack([x, y]))
    model, other = net["Model"](), net["Model"]()
    arrays = net["_data"](model, str(tmp_path / "a.npy"))
    assert all(map(net["_mapped"], arrays.values())) and not net["_mapped"](x)
    assert model.fit(**arrays, epochs=2, quiet=True) == other.fit(x, y, epochs=2, quiet=True)
    x[2900, 1] = np.inf
    np.save(tmp_path / "a.npy", np.column_stack([x, y]))
    net["PART"] = 64
    try:
        with pytest.raises(net["Problem"], match=r"but x\[2900, 1\] is inf"):
            net["Model"]().fit(**net["_data"](model, tmp_path / "a.npy"), quiet=True)
    finally:
        net["PART"] = 1 << 16


@pytest.mark.parametrize("kind", ["csv", "npy", "npz", "folder"])
def test_one_command_for_all_kinds_of_files(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    net = made(REGRESSION.format(fact=RAW), "fast", "adam")
    x, y = raw(60)
    table = np.column_stack([x, y])
    with open("all.csv", "w", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c", "price"], *table.tolist()])
    np.save("all.npy", table)
    np.savez("all.npz", x=x, y=y)
    Path("folder").mkdir()
    np.save("folder/x.npy", x)
    np.save("folder/y.npy", y)
    path = "folder" if kind == "folder" else f"all.{kind}"
    monkeypatch.setitem(net, "SCORED", 16)  # predictions are made in parts
    assert net["main"](["train", path, "--epochs", "3", "--quiet", "--test-split", "0.25"]) == 0
    assert "rmse" in capsys.readouterr().out
    assert net["main"](["predict", path]) == 0
    told = capsys.readouterr()
    model = net["Model"]()
    model.load("net.npz")
    np.testing.assert_allclose([float(line) for line in told.out.split()], model.predict(x), rtol=1e-6)
    assert "rmse" in told.err


def test_wrong_files(tmp_path: Path) -> None:
    net = made(REGRESSION.format(fact=""))
    model, read = net["Model"](), net["_data"]
    (tmp_path / "some").mkdir()
    np.save(tmp_path / "some/x.npy", np.ones((3, 3)))
    np.save(tmp_path / "named.npy", np.ones(3, [("a", float), ("b", int)]))
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    np.save(tmp_path / "empty.npy", np.ones((0, 4)))
    np.save(tmp_path / "narrow.npy", np.ones((3, 2)))
    (tmp_path / "none.npy").write_bytes(b"")
    (tmp_path / "quote.csv").write_text('1,2,3,4\n1,2,3,"5\n1,2,3,6\n')
    (tmp_path / "last.csv").write_text('1,2,3,"4')
    for name, reason in (
        ("some", "some has no array y; the network takes x, y"),
        ("named.npy", "columns of types of their own; save an array of numbers"),
        ("objects.npy", "cannot be read as arrays"),
        ("empty.npy", "empty.npy has no rows"),
        ("none.npy", "cannot be read as arrays"),
        ("quote.csv", "quote.csv, line 2: a quote is opened and never closed"),
        ("last.csv", "last.csv, line 1: a quote is opened and never closed"),
        ("narrow.npy", "has 2 columns, but the network takes 3 for x and 1 for y"),
        ("other.npy", "there is no file"),
    ):
        with pytest.raises(net["Problem"], match=reason):
            read(model, str(tmp_path / name))


# ---- tables


def wide(text: str, target: str | None = None, missing: str | None = None) -> dict[str, np.ndarray]:
    """The arrays of a table for the network of four numbers and a label."""
    net = made(CLASSES.format(fact="", labels="< 3"))
    with tempfile.NamedTemporaryFile("w", newline="", suffix=".csv", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        model = net["Model"]()
        arrays: dict[str, np.ndarray] = net["_data"](model, file.name, target, missing=missing)
        if model.classes:
            arrays["t"] = np.array(model.classes)[arrays["t"]]
    return arrays


_WORD = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufeff") | st.sampled_from("\n,;\t\"' "),
    min_size=1,
    max_size=12,
).filter(lambda w: w == w.strip() and w.lower() not in ("nan", "?") and not _is_number(w))  # fmt: skip


def _is_number(word: str) -> bool:
    try:
        float(word.replace(",", "."))
    except ValueError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(-1e9, 1e9)] * 4, st.integers(0, 2)), min_size=1, max_size=6),
    st.lists(_WORD, min_size=3, max_size=3, unique=True),
    st.sampled_from(",;\t"),
    st.booleans(),
)
def test_tables_come_back(rows: list[Any], words: list[str], delimiter: str, header: bool) -> None:
    """Whatever Python's csv writes is read again: quotes, commas and ends of lines in words, with names or none."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.csv")
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerows([["a", "b", "c", "d", "e"]] * header)
            writer.writerows([[*row[:4], words[row[4]]] for row in rows])
        found = wide(Path(path).read_bytes().decode())
    assert np.array_equal(found["x"], np.array([row[:4] for row in rows]))
    assert found["t"].tolist() == [words[row[4]] for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        "1,5;2;3,25;4;cat\n1;2;3;4;dog\n",  # decimal commas
        "0,1,2,3,kind\n1.5,2,3.25,4,0\n1,2,3,4,1\n",  # columns that are counted
        'a,b,c,d,e\n1.5, 2 ,"3.25","4", "cat"\n\n1,2,3,4,"dog"\n',
        "\ufeff1.5\t2\t3.25\t4\tcat\r\n1\t2\t3\t4\tdog",
    ],
)
def test_manners_of_writing_tables(text: str) -> None:
    found = wide(text)
    assert found["x"].tolist() == [[1.5, 2, 3.25, 4], [1, 2, 3, 4]] and found["t"].tolist() in (
        ["cat", "dog"],
        [0, 1],
    )


def test_a_column_is_the_target_by_its_name() -> None:
    found = wide("kind,a,b,c,d\nno,1,2,3,4\nnone,5,6,7,8\n", target="kind")
    assert found["t"].tolist() == ["no", "none"] and found["x"][1].tolist() == [5, 6, 7, 8]


def test_all_missing_values_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    problem = made(CLASSES.format(fact="", labels="< 3"))["Problem"]
    lines = ["a,b,c,d,e"] + [
        "1,2,3,4,x" if k % 3 else f"1,{('', 'NA', '?', 'null')[k // 3 % 4]},3,4,x" for k in range(40)
    ]
    text = "\n".join([*lines, "1,2,3,4,"])
    told = "lacks values in 15 rows, lines 2, 5, 8, 11, 14, 17, 20, 23 and 7 more"
    with pytest.raises(problem, match=f"{told}: fill them in$"):
        wide(text)
    with pytest.raises(problem, match="or leave these rows out with --missing drop"):
        wide(text, missing="refuse")
    assert wide(text, missing="drop")["x"].shape == (26, 4)
    assert f"{told}: left out" in capsys.readouterr().err
    with pytest.raises(problem, match="no row is left"):
        wide("1,2,3,,x\n", missing="drop")


def test_a_study_sees_what_the_network_computes_with() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((20, 4)) * 9 + 100, rng.integers(0, 3, 20)
    raw = Setting(CLASSES.format(fact=RAW, labels=NAMED), {"x": x, "t": np.array(WORDS)[t]})
    plain = Setting(CLASSES.format(fact="", labels="< 3"), {"x": (x - x.mean(0)) / x.std(0), "t": t})
    np.testing.assert_allclose(raw.data["x"], plain.data["x"], atol=1e-12)
    assert raw.data["t"].tolist() == t.tolist()
    runs = (s.train(epochs=2, batch_size=8, lr=0.1) for s in (raw, plain))
    for (_, u), (_, v) in zip(*runs, strict=True):
        np.testing.assert_allclose(u, v, atol=1e-12)
