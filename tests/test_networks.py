"""The shipped networks: each module of `generated/`, in both styles, checks its gradients and reaches its stated score.

The scores are stated in `symgrad/networks/README.md`.
"""

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import synthetic

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "symgrad" / "data"
NETWORKS = ROOT / "symgrad" / "networks"


@dataclass(frozen=True)
class Run:
    """A training command and the score on the fifth of the examples that it sets apart."""

    data: str
    options: str
    metric: str
    stated: float
    guess: float  # what the best constant prediction reaches
    long: bool = False  # whether the readable style is left to the long run


RUNS = {
    "cnn": Run("digits.csv", "--epochs 15 --rate 0.005", "accuracy", 0.97, 0.11, long=True),
    "transformer": Run("rhymes.txt", "--epochs 100 --rate 0.005 --batch 16", "accuracy", 0.62, 0.17, long=True),
    "adding": Run("adding.csv", "--epochs 40 --rate 0.01", "rmse", 0.05, 0.4),
    "digits": Run("digits.csv", "--epochs 30 --rate 0.003", "accuracy", 0.96, 0.11),
    "logistic": Run("iris.csv", "--epochs 100 --rate 0.05", "accuracy", 0.96, 0.37),
    "recommender": Run("ratings.csv", "--epochs 30 --rate 0.02", "rmse", 0.40, 0.95),
}
EVERY = [
    pytest.param(name, style, marks=[pytest.mark.long] if RUNS[name].long and style == "readable" else [])
    for name in RUNS
    for style in ("readable", "fast")
]


def generated(name: str, style: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"{name}_{style}", ROOT / "generated" / style / f"{name}.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_shipped_network_is_here_and_its_score_stated() -> None:
    assert sorted(RUNS) == sorted(p.stem for p in NETWORKS.glob("*.sg"))
    told = (NETWORKS / "README.md").read_text(encoding="utf-8")
    for name, run in RUNS.items():
        (line,) = [x for x in told.splitlines() if x.startswith(f"| `{name}.sg` |")]
        bound = f"{run.stated:g} or {'more' if run.metric == 'accuracy' else 'less'}"
        assert line.endswith(f"| `train {run.data} {run.options}` | {run.metric} {bound} |"), line


@pytest.mark.parametrize("style", ["readable", "fast"])
@pytest.mark.parametrize("name", RUNS)
def test_gradients(name: str, style: str, capsys) -> None:
    module = generated(name, style)
    assert module.check_gradients(seed=1) < 1e-9
    assert module.main(["check", "--seed", "2"]) == 0 and "the gradients are right" in capsys.readouterr().out


@pytest.mark.parametrize("name, style", EVERY)
def test_trains_to_its_score(name: str, style: str, tmp_path, capsys) -> None:
    run, module = RUNS[name], generated(name, style)
    saved = tmp_path / "net.npz"
    command = [
        "train",
        str(DATA / run.data),
        *run.options.split(),
        "--test-split",
        "0.2",
        "--save",
        str(saved),
    ]
    assert module.main(command) == 0
    said = capsys.readouterr().out
    losses = [float(x) for x in re.findall(r"^epoch .*loss (\S+)", said, re.MULTILINE)]
    assert losses[-1] < losses[0]
    (score,) = map(float, re.findall(rf"^test: .*{run.metric} (\S+)", said, re.MULTILINE))
    better = (lambda a, b: a >= b) if run.metric == "accuracy" else (lambda a, b: a <= b)
    assert better(score, run.stated) and better(run.stated, run.guess), said
    assert module.main(["predict", str(DATA / run.data), "--weights", str(saved)]) == 0
    everything = capsys.readouterr()
    assert better(float(re.findall(rf"{run.metric} (\S+)", everything.err)[0]), run.stated)
    text = (DATA / run.data).read_text(encoding="utf-8")
    if run.data.endswith(".txt"):
        assert len(everything.out) == (len(text) - 1) // 32 * 32 + 1
    else:
        assert len(everything.out.splitlines()) == len(text.splitlines()) - 1


@pytest.mark.parametrize("name", RUNS)
def test_styles_train_alike(name: str) -> None:
    """Step by step in float64, draws and states included; the last batch is short."""
    found = []
    for style in ("readable", "fast"):
        module = generated(name, style)
        model = module.Model(dtype=np.float64, lr=0.01)
        arrays = module._data(model, str(DATA / RUNS[name].data))
        given = [arrays[key][:75] for key in module.DATA]
        found.append((model.fit(*given, epochs=2, batch_size=32, quiet=True), model.get_weights()))
    (losses, weights), (others, other_weights) = found
    np.testing.assert_allclose(others, losses, rtol=1e-9)
    for key, w in weights.items():
        np.testing.assert_allclose(other_weights[key], w, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", RUNS)
def test_the_guess_is_what_a_constant_reaches(name: str) -> None:
    run = RUNS[name]
    with open(DATA / run.data, encoding="utf-8") as file:
        cells = list(file.read()) if run.data.endswith(".txt") else [x.strip().split(",")[-1] for x in file][1:]
    if run.metric == "accuracy":
        assert max(cells.count(c) for c in set(cells)) / len(cells) <= run.guess
    else:
        assert np.std(np.array(cells, float)) >= run.guess


@pytest.mark.parametrize("name", synthetic.SETS)
def test_synthetic_data_is_as_its_seed_makes_it(name: str) -> None:
    assert (DATA / name).read_text(encoding="utf-8") == synthetic.SETS[name]()
