"""Generated estimators: scikit-learn's manners, with and without scikit-learn."""

from __future__ import annotations

import copy
import importlib
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn_checks import DECLARATIONS

import symgrad as sg
from symgrad.cli import main
from symgrad.errors import SymgradError

X = np.random.default_rng(0).standard_normal((60, 4))
Y = X[:, 0] - 2 * X[:, 1]
T = np.array(["low", "mid", "high"])[np.digitize(Y, [-1, 1])]

Make = Callable[..., ModuleType]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A generated module that can be imported, as pickles need it."""
    monkeypatch.syspath_prepend(tmp_path)

    def made(text: str, style: str = "fast", **options: object) -> ModuleType:
        name = f"net{len(list(tmp_path.iterdir()))}"
        monkeypatch.delitem(sys.modules, name, raising=False)
        sg.Model(text).generate(tmp_path / f"{name}.py", style=style, estimator=True, **options)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return made


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_a_classifier(make: Make, style: str) -> None:
    net = make(DECLARATIONS["classifier"], style, lr=0.01)
    c = net.Classifier(epochs=60)
    assert c.fit(X, T) is c
    assert c.classes_.tolist() == ["high", "low", "mid"] and (c.n_features_in_, c.n_iter_) == (4, 60)
    p = c.predict_proba(X)
    assert p.shape == (60, 3) and np.allclose(p.sum(1), 1, rtol=0, atol=1e-12)
    z = np.exp(c._model.forward(X))
    assert np.allclose(p, z / z.sum(1, keepdims=True), rtol=1e-12)
    assert (c.predict(X) == c.classes_[p.argmax(1)]).all()
    assert c.score(X, T) == np.mean(c.predict(X) == T) > 0.9
    last = np.arange(60) == 59
    assert c.score(X, T, last) == float(c.predict(X)[59] == T[59])
    assert c.set_params(lr=0.5).get_params()["lr"] == 0.5 and repr(c) == "Classifier(lr=0.5, epochs=60)"


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_a_regressor(make: Make, style: str) -> None:
    r = make(DECLARATIONS["regressor"], style, lr=0.01).Regressor(epochs=60).fit(X, Y)
    p = r.predict(X)
    assert p.shape == Y.shape
    explained = 1 - ((Y - p) ** 2).sum() / ((Y - Y.mean()) ** 2).sum()
    assert np.isclose(r.score(X, Y), explained, rtol=1e-12) and explained > 0.9
    weight = np.random.default_rng(1).uniform(size=60)
    mean = (weight * Y).sum() / weight.sum()
    explained = 1 - (weight * (Y - p) ** 2).sum() / (weight * (Y - mean) ** 2).sum()
    assert np.isclose(r.score(X, Y, weight), explained, rtol=1e-12)
    assert r.score(X, p) == 1
    one, p = X[:1], r.predict(X[:1])  # where y does not vary
    assert (r.score(one, p), r.score(one, p + 1)) == (1, 0)


def test_it_trains_as_its_model_does(make: Make) -> None:
    """No second training code: the same weights to the bit, again and again."""
    net = make(DECLARATIONS["classifier"])
    c = net.Classifier(epochs=3, batch_size=7, random_state=5, beta1=0.8)
    weights = c.fit(X, T)._model.get_weights()
    model = net.Model(k=3, dtype=np.float64, beta1=0.8)
    model.init(5)
    losses = model.fit(X, np.unique(T, return_inverse=True)[1], epochs=3, batch_size=7, seed=5, quiet=True)
    assert c.loss_curve_ == losses
    for other in (model, c.fit(X, T)._model, net.Classifier(**c.get_params()).fit(X, T)._model):
        assert all((other.weights[name] == w).all() for name, w in weights.items())
    more = model.fit(X, np.unique(T, return_inverse=True)[1], epochs=1, batch_size=7, seed=5 + 27, quiet=True)
    assert c.partial_fit(X, T).loss_curve_ == losses + more  # each call has an order of its own
    assert (net.Classifier(epochs=3, random_state=6).fit(X, T)._model.weights["W1"] != weights["W1"]).any()
    a, b = (net.Classifier(epochs=1, random_state=np.random.default_rng(3)).fit(X, T) for _ in "ab")
    assert (a.predict_proba(X) == b.predict_proba(X)).all()


@pytest.mark.parametrize("carry", [copy.deepcopy, copy.copy, lambda e: pickle.loads(pickle.dumps(e))])  # noqa: S301
def test_what_is_carried_over_goes_on_as_if_nothing_had_been(make: Make, carry: Callable) -> None:
    net = make(DECLARATIONS["classifier"])
    unfitted = carry(net.Classifier(lr=0.5))
    assert unfitted.get_params() == net.Classifier(lr=0.5).get_params()
    c = net.Classifier(epochs=2, beta1=0.7).fit(X, T)
    other = carry(c)
    assert other._model is not c._model and (other.predict_proba(X) == c.predict_proba(X)).all()
    for e in (c, other):  # the optimiser's state too
        e.partial_fit(X, T)
    assert (other.predict_proba(X) == c.predict_proba(X)).all() and other.n_iter_ == 3


def test_partial_fit(make: Make) -> None:
    c = make(DECLARATIONS["classifier"], lr=0.01).Classifier()
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        c.partial_fit(X, T)
    c.partial_fit(X[:10], T[:10], classes=T)
    assert c.classes_.tolist() == ["high", "low", "mid"] and c.n_iter_ == 1
    before = c.score(X, T)
    for _ in range(60):
        c.partial_fit(X, T)
    assert c.score(X, T) > max(before, 0.9)
    with pytest.raises(ValueError, match="y has the label 'none', which is not among the classes"):
        c.partial_fit(X[:2], ["low", "none"])
    with pytest.raises(ValueError, match="must be the same in each call"):
        c.partial_fit(X, T, classes=["low", "mid"])


def test_it_stops_early(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    net = make(DECLARATIONS["regressor"], lr=0.03)
    r = net.Regressor(epochs=500, validation=0.25, patience=5).fit(X, Y)
    losses = [epoch["validation_loss"] for epoch in r.history_]
    assert r.n_iter_ == len(r.loss_curve_) == 1 + np.argmin(losses) + 5 < 500
    assert net.Regressor(epochs=500, patience=5, improvement=1e9).fit(X, Y).n_iter_ == 6
    advance = net.Model._advance

    def interrupted(model: object) -> None:
        advance(model)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(net.Model, "_advance", interrupted)
    r = net.Regressor()
    with pytest.raises(KeyboardInterrupt):  # a search around it ends too; what was learned so far is kept
        r.fit(X, Y)
    assert r._model.steps == 1 and r.predict(X).shape == (60,)


def test_weights_of_rows_and_of_classes(make: Make) -> None:
    net = make(DECLARATIONS["classifier"], weighted=True, lr=0.01)
    rows = np.random.default_rng(1).integers(0, 4, 60)
    rows[[4, 5]] = 0
    c = net.Classifier(epochs=4, batch_size=1000)  # all rows at once: one of weight 2 is as good as two
    p = c.fit(X, T, sample_weight=rows).predict_proba(X)
    again = c.fit(X.repeat(rows, axis=0), T.repeat(rows)).predict_proba(X)
    assert np.allclose(p, again, rtol=1e-9, atol=1e-12)
    assert (c.fit(X, T, rows * 4.0).predict_proba(X) == p).all()  # only ratios count
    assert not np.allclose(c.fit(X, T).predict_proba(X), p, rtol=1e-3)
    c = net.Classifier(class_weight={"low": 1e4, "high": 1e-4, "mid": 1e-4})
    assert np.mean(c.fit(X, T).predict(X) == "low") > 2 * np.mean(T == "low")
    balanced = net.Classifier(class_weight="balanced", epochs=3).fit(X, T)
    counts = {label: 60 / (3 * (label == T).sum()) for label in balanced.classes_}
    same = net.Classifier(class_weight=counts, epochs=3).fit(X, T)
    assert np.allclose(balanced.predict_proba(X), same.predict_proba(X), rtol=1e-9)
    c.partial_fit(X, T, sample_weight=np.arange(60))
    assert not hasattr(make(DECLARATIONS["regressor"], weighted=True).Regressor(), "class_weight")
    words = """
        x: data[n, i]
        t: label[n] in ["mid", "low", "high"]
        loss = softmax_cross_entropy(dense(tanh(dense(x, 16)), 3), t)
    """
    w = make(words, weighted=True, lr=0.01).Classifier(class_weight={"high": 1e4})
    assert np.mean(w.fit(X, T).predict(X) == "high") > 1.5 * np.mean(T == "high")
    for given, told in (
        (np.zeros(60), "a weight that is not zero"),
        (-rows, "a finite number from 0 for each of the 60 rows"),
        (rows[:3], "for each of the 60 rows"),
        (["heavy"] * 60, "must be an array of numbers"),
    ):
        with pytest.raises(ValueError, match=told):
            c.fit(X, T, given)
    with pytest.raises(ValueError, match="class_weight has the label 'none', which is not among the classes"):
        c.set_params(class_weight={"none": 1}).fit(X, T)


def test_a_schedule(make: Make) -> None:
    """One that needs the number of all steps has no place for examples that come later."""
    net = make(DECLARATIONS["classifier"], lr=0.02, optimizer="adamw", schedule="cosine", clip_norm=1.0)
    c = net.Classifier(clip_norm=0.5).fit(X, T)
    assert c.score(X, T) > 0.9 and not hasattr(c, "partial_fit") and c._model.options["clip_norm"] == 0.5
    assert hasattr(make(DECLARATIONS["classifier"], schedule="exponential").Classifier, "partial_fit")


def test_a_fit_that_fails_leaves_the_network(make: Make) -> None:
    r = make(DECLARATIONS["regressor"]).Regressor(epochs=2).fit(X, Y)
    before = r.predict(X)
    with pytest.raises(ValueError, match="batch_size"):
        r.set_params(batch_size=0).fit(X, Y)
    assert (r.predict(X) == before).all()


WAYS = {  # the probability of a class, by what the declaration says
    "z = dense(x, k); loss = softmax_cross_entropy(z, t)": "softmax",
    "loss = cross_entropy(dense(x, k), t, label_smoothing=0.1)": "softmax",
    "p = softmax(dense(x, k)); loss = -mean(n, log(p[n, t[n]]))": "given",
    "q = log_softmax(dense(x, k)); loss = nll_loss(q, t)": "log",
    "z = dense(x, k); loss = multi_margin_loss(z, t)": "",
    "z = dense(x, k); loss = mse_loss(z, one_hot(t, k))": "",
}


@pytest.mark.parametrize("text", WAYS)
def test_probabilities(make: Make, text: str) -> None:
    c = make(f"x: data[n, i]; t: label[n] < k; {text}").Classifier(epochs=2).fit(X, T)
    assert hasattr(c, "predict_proba") == bool(WAYS[text])
    if WAYS[text]:
        p, f = c.predict_proba(X), c._model.forward(X)
        means = {"given": f, "log": np.exp(f), "softmax": np.exp(f) / np.exp(f).sum(1, keepdims=True)}
        assert np.allclose(p, means[WAYS[text]], rtol=1e-12) and np.allclose(p.sum(1), 1)


BINARY = {
    "z = dense(x, 1)[:, 0]; loss = binary_cross_entropy_with_logits(z, t)": "sigmoid",
    "w: weight[i]; z = x @ w; loss = mean(log(1 + exp(-(2*t - 1)*z)))": "sigmoid",
    "w: weight[i]; p = sigmoid(x @ w); loss = -mean(t*log(p) + (1 - t)*log(1 - p))": "chance",
}


@pytest.mark.parametrize("text", BINARY)
def test_two_classes_with_one_score(make: Make, text: str) -> None:
    c = make(f"x: data[n, i]; t: label[n] < 2; {text}", lr=0.1).Classifier().fit(X, Y > 0)
    p, f = c.predict_proba(X), c._model.forward(X)
    chance = 1 / (1 + np.exp(-f)) if BINARY[text] == "sigmoid" else f
    assert np.allclose(p, np.stack([1 - chance, chance], 1), rtol=1e-9, atol=1e-12)
    assert (c.predict(X) == (chance > 0.5)).all() and c.score(X, Y > 0) > 0.9
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        c.fit(X, T)


def test_data_as_they_are_declared(make: Make) -> None:
    """Standardised features and targets, and the words of a label."""
    net = "x: data[n, i] & standardized; {}; z = dense(tanh(dense(x, 8)), {}); loss = {}(z, {})"
    raw = X * [1, 1e3, 1, 1] + [0, 5e5, 0, 0]
    r = make(net.format("y: data[n, 1] & standardized", 1, "mse", "y"), lr=0.01).Regressor().fit(raw, 1e4 + Y)
    assert r.score(raw, 1e4 + Y) > 0.9
    again = pickle.loads(pickle.dumps(r))  # noqa: S301
    assert (again.predict(raw) == r.predict(raw)).all()
    words = 't: label[n] in ["mid", "low", "high"]'
    c = make(net.format(words, 3, "softmax_cross_entropy", "t"), lr=0.01).Classifier().fit(raw, T)
    assert c.classes_.tolist() == ["high", "low", "mid"] and c.score(raw, T) > 0.9
    with pytest.raises(ValueError, match=r"but t is declared in \['mid', 'low', 'high'\]"):
        c.fit(X, np.digitize(Y, [-1, 1]))


def test_sizes(make: Make) -> None:
    """Fixed ones are held to; images take their pixels; letters that no data tell are parameters."""
    c = make(
        "x: data[n, 1, 2, 2]; t: label[n] < 3; loss = cross_entropy(dense(flatten(x), 3), t)"
    ).Classifier()
    assert c.set_params(epochs=1).fit(X, T).n_features_in_ == 4
    with pytest.raises(ValueError, match=r"X has 3 features, but x\[n, 1, 2, 2\] takes 4"):
        c.fit(X[:, :3], T)
    with pytest.raises(ValueError, match="y has 2 classes, but t is declared with 3"):
        c.fit(X, Y > 0)
    wide = make("x: data[n, i]; y: data[n, m]; W: weight[i, q]; z = dense(tanh(x @ W), m); loss = mse(z, y)")
    with pytest.raises(ValueError, match=r"the size q is not known; give it as Regressor\(q=...\)"):
        wide.Regressor().fit(X, Y)
    r = wide.Regressor(q=5, epochs=1).fit(X, X[:, :3])
    assert r._model.weights["W1"].shape == (5, 3) and r.predict(X).shape == (60, 3)
    assert r.fit(X, Y).predict(X).shape == (60,)
    for target in ("[n, 3]", "[n, 1]"):
        m = int(target[4])
        r = make(f"x: data[n, 4]; y: data{target}; z = dense(x, {m}); loss = mse(z, y)").Regressor(epochs=1)
        y = X[:, :m].squeeze()
        assert r.fit(X, y).predict(X).shape == y.shape
    with pytest.raises(ValueError, match=r"y should be a 1d array, got an array of shape \(60, 4\)"):
        r.fit(X, X)


class Table:
    """What a data frame is to an estimator."""

    def __init__(self, a: np.ndarray, columns: list[object]):
        self.a, self.columns = a, columns

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return np.asarray(self.a, dtype)


def test_names_of_columns(make: Make) -> None:
    r = make(DECLARATIONS["regressor"]).Regressor(epochs=1).fit(Table(X, list("abcd")), Y)
    assert r.feature_names_in_.tolist() == list("abcd")
    r.predict(Table(X, list("abcd")))
    with pytest.raises(ValueError, match="Feature names must be in the same order"):
        r.predict(Table(X, list("abdc")))
    with pytest.raises(
        ValueError, match="unseen at fit time:\n- e\nFeature names seen at fit time, yet now missing:\n- d"
    ):
        r.predict(Table(X, list("abce")))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        r.predict(X)
    assert not hasattr(r.fit(X, Y), "feature_names_in_")
    with pytest.warns(UserWarning, match="X has feature names, but Regressor was fitted without"):
        r.predict(Table(X, list("abcd")))
    with pytest.raises(TypeError, match="names that are no strings"):
        r.fit(Table(X, ["a", "b", "c", 4]), Y)


def test_what_cannot_be_used_is_refused(make: Make) -> None:
    r = make(DECLARATIONS["regressor"]).Regressor(epochs=1)
    with pytest.raises(ValueError, match="not fitted yet"):
        r.predict(X)
    for x, y, told in (
        (X[0], Y, "Reshape your data"),
        (X * 1j, Y, "Complex data not supported"),
        ([["a"]], [1], "X must be an array of numbers: could not convert"),
        (np.full((2, 2), np.nan), [1, 2], "Input X contains NaN"),
        (X, Y * np.inf, "Input y contains (NaN|infinity)"),
        (X[:0], Y, r"0 sample\(s\)"),
        (X[:, :0], Y, r"0 feature\(s\)"),
        (X, Y[:3], r"inconsistent numbers of samples: \[60, 3\]"),
        (X, None, "requires y to be passed"),
    ):
        with pytest.raises(ValueError, match=told):
            r.fit(x, y)
    with pytest.raises(ValueError, match="X has 2 features, but Regressor is expecting 4 features"):
        r.fit(X, Y).predict(X[:, :2])
    for parameter, value, told in (
        ("lr", "fast", "lr must be a number, not 'fast'"),
        ("epochs", 2.5, "epochs must be a whole number, not 2.5"),
        ("dtype", "int8", "dtype must be float32 or float64, not 'int8'"),
        ("random_state", -1, "a whole number from 0, a generator of NumPy or None, not -1"),
    ):
        wrong = copy.copy(r).set_params(**{parameter: value})  # the constructor and `set_params` only store
        with pytest.raises(ValueError, match=told):
            wrong.fit(X, Y)
        assert (copy.copy(wrong).predict(X) == r.predict(X)).all()
    with pytest.raises(ValueError, match="Regressor has no parameter rate; it has lr, beta1"):
        r.set_params(rate=1)
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        assert r.fit(X, Y[:, None]).predict(X).shape == (60,)


REFUSED = {
    "an estimator predicts a target": "x: data[n, i]; z = dense(x, 1); loss = mean(z**2)",
    "given x and u": "x: data[n, i]; u: data[n]; y: data[n]; z = dense(x, 1)[:, 0] + u; loss = mse(z, y)",
    "rows of one letter": "x: data[n, s, 3]; y: data[n]; z = mean(dense(x, 1), axis=(1, 2)); loss = mse(z, y)",
    "a score for each class": """
        x: data[n, i]; y: label[n] < 3; z = dense(x, 1)[:, 0]; loss = mse(z, y)
    """,
    "z is neither": "x: data[n, i]; y: label[n] < 2; z = dense(x, 1)[:, 0]; loss = mse(z, y)",
    "a parameter verbose of its own": """
        x: data[n, i]; y: data[n]; W: weight[i, verbose]; z = dense(x @ W, 1)[:, 0]; loss = mse(z, y)
    """,
}


@pytest.mark.parametrize("told", REFUSED)
def test_declarations_of_another_kind_are_refused(told: str) -> None:
    with pytest.raises(SymgradError, match=told):
        sg.Model(REFUSED[told]).source(estimator=True)


def test_only_who_asks_has_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "sklearn" not in sg.Model(DECLARATIONS["classifier"]).source()
    path = tmp_path / "net.py"
    assert main(["generate", DECLARATIONS["regressor"], str(path), "--estimator"]) == 0
    assert "class Regressor:" in path.read_text("utf-8")
    assert main(["generate", "x: data[n]; w: weight; loss = mean(w*x)", str(path), "--estimator"]) == 2
    assert "an estimator predicts a target" in capsys.readouterr().err


ALONE = """
import pickle, sys
sys.modules["sklearn"] = None  # as where it is not installed
import net
assert not [name for name in sys.modules if name.startswith(("sklearn.", "scipy", "pandas", "symgrad"))]
X = net.np.random.default_rng(0).standard_normal((20, 3))
c = net.Classifier(epochs=2).fit(X, X[:, 0] > 0)
c = pickle.loads(pickle.dumps(c)).partial_fit(X, X[:, 0] > 0)
print(c.predict_proba(X).shape, c.predict(X).dtype, 0 <= c.score(X, X[:, 0] > 0) <= 1, c.set_params(lr=0.1))
try:
    net.Classifier().predict(X)
except AttributeError as problem:
    print(isinstance(problem, ValueError), problem)
"""


def test_without_scikit_learn(tmp_path: Path) -> None:
    sg.Model(DECLARATIONS["classifier"]).generate(tmp_path / "net.py", estimator=True)
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "(20, 2) bool True Classifier(lr=0.1, epochs=2)",
        "True This Classifier instance is not fitted yet: call fit first",
    ]


# ---- with scikit-learn


@pytest.mark.long
def test_check_estimator_in_full() -> None:
    pytest.importorskip("sklearn")
    pytest.importorskip("pandas")  # which two of the checks need
    script = Path(__file__).parent / "sklearn_checks.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 9


def test_pipelines_searches_and_clones(make: Make) -> None:
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_classifier, is_regressor
    from sklearn.exceptions import DataConversionWarning, NotFittedError
    from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    c = make(DECLARATIONS["classifier"], lr=0.01).Classifier(epochs=30)
    r = make(DECLARATIONS["regressor"], lr=0.01).Regressor(epochs=30)
    assert is_classifier(c) and is_regressor(r)
    assert clone(c).get_params() == c.get_params()
    with pytest.raises(NotFittedError):
        clone(c).predict(X)
    with pytest.warns(DataConversionWarning):
        clone(r).fit(X, Y[:, None])
    assert cross_val_score(c, X, T, cv=3).mean() > 0.6
    assert cross_val_predict(c, X, T, cv=3, method="predict_proba").shape == (60, 3)
    pipeline = make_pipeline(StandardScaler(), r)
    search = GridSearchCV(pipeline, {"regressor__lr": [1e-5, 0.03]}, cv=3).fit(X * 100, Y)
    assert search.best_params_ == {"regressor__lr": 0.03} and search.score(X * 100, Y) > 0.9
    again = pickle.loads(pickle.dumps(search.best_estimator_))  # noqa: S301
    assert (again.predict(X) == search.predict(X)).all()
