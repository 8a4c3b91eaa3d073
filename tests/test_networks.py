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
    long: bool = False


RUNS = {
    "adding": Run("adding.csv", "--epochs 40 --rate 0.01", "rmse", 0.05, 0.4),
    "digits": Run("digits.csv", "--epochs 30 --rate 0.003", "accuracy", 0.96, 0.11),
    "logistic": Run("iris.csv", "--epochs 100 --rate 0.05", "accuracy", 0.96, 0.37),
    "recommender": Run("ratings.csv", "--epochs 30 --rate 0.02", "rmse", 0.40, 0.95),
}
EVERY = [
    pytest.param(name, style, marks=[pytest.mark.long] if RUNS[name].long else [])
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
    count = len((DATA / run.data).read_text().splitlines()) - 1
    assert len(everything.out.splitlines()) == count


@pytest.mark.parametrize("name", RUNS)
def test_the_guess_is_what_a_constant_reaches(name: str) -> None:
    run = RUNS[name]
    with open(DATA / run.data, encoding="utf-8") as file:
        cells = [line.strip().split(",")[-1] for line in file][1:]
    if run.metric == "accuracy":
        assert max(cells.count(c) for c in set(cells)) / len(cells) <= run.guess
    else:
        assert np.std(np.array(cells, float)) >= run.guess


@pytest.mark.parametrize("name", synthetic.SETS)
def test_synthetic_data_is_as_its_seed_makes_it(name: str) -> None:
    assert (DATA / name).read_text(encoding="utf-8") == synthetic.SETS[name]()
