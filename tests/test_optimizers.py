"""Optimisers, what precedes them, and schedules: their paths are PyTorch's, and those of the equations by hand."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from commands import python, symgrad

import symgrad as sg
from symgrad import emit, library
from symgrad.emit import plainly
from symgrad.errors import Refusal, SymgradError
from symgrad.language.updates import Rule
from symgrad.library import optimizer

NET = sg.Model("x: data[n, 3]; y: data[n, 2]; loss = mse(dense(tanh(dense(x, 4)), 2, bias=False), y)")
SHAPES = {"W1": (3, 4), "b1": (4,), "W2": (4, 2)}
RNG = np.random.default_rng(5)
START = {name: RNG.standard_normal(shape) for name, shape in SHAPES.items()}
X, Y = RNG.standard_normal((20, 3)), RNG.standard_normal((20, 2))
BATCHES = [slice(0, 8), slice(8, 16), slice(16, 20)]  # the last one is short
STEPS, SHORT = 200, 70
LINE = sg.Model("x: data[n, 3]; y: data[n]; w: weight[3]; loss = mean((x @ w - y)**2)")
TINY = sg.Model("x: data[2]; w: weight[2] = ones(); loss = sum(x*w)")


@cache
def module(style: str = "fast", **options: Any) -> dict[str, Any]:
    return emit.load(NET.source("net", style=style, **options), "net")


def path(steps: int = STEPS, style: str = "fast", **options: Any) -> Iterator[dict[str, np.ndarray]]:
    """The weights of a generated module after each step."""
    model = module(style, **options)["Model"](dtype=np.float64)
    model.set_weights(START)
    model.total_steps = steps
    for k in range(steps):
        model.step(X[BATCHES[k % 3]], Y[BATCHES[k % 3]])
        yield model.get_weights()


def alike(one: dict[str, np.ndarray], other: dict[str, Any], what: object) -> None:
    for name in SHAPES:
        a, b = one[name], np.asarray(other[name])
        assert np.abs(a - b).max() <= 1e-9 * np.abs(b).max(), (what, name)


# ---- PyTorch

# what a module is generated with; PyTorch's optimiser and its options; what is done to gradients before; a scheduler
PATHS: dict[str, tuple[dict[str, Any], str, dict[str, Any], dict[str, float], tuple[Any, ...]]] = {
    "sgd": ({"lr": 0.1}, "SGD", {"lr": 0.1}, {}, ()),
    "momentum": ({"lr": 0.1}, "SGD", {"lr": 0.1, "momentum": 0.9}, {}, ()),
    "nesterov": (
        {"lr": 0.1, "beta": 0.8}, "SGD", {"lr": 0.1, "momentum": 0.8, "nesterov": True}, {}, (),
    ),
    "adagrad": ({"lr": 0.1}, "Adagrad", {"lr": 0.1}, {}, ()),
    "rmsprop": ({"lr": 0.02}, "RMSprop", {"lr": 0.02}, {}, ()),
    "adam": ({"lr": 0.05}, "Adam", {"lr": 0.05}, {}, ()),
    "adamw": ({"lr": 0.05}, "AdamW", {"lr": 0.05}, {}, ()),
    "sgd, l1, step": (
        {"lr": 0.1, "l1": 0.05, "schedule": "step"}, "SGD", {"lr": 0.1}, {"l1": 0.05}, (("StepLR", {"step_size": 30}),),
    ),
    "momentum, clip_norm, exponential": (
        {"lr": 0.1, "clip_norm": 0.2, "schedule": "exponential"}, "SGD", {"lr": 0.1, "momentum": 0.9}, {"norm": 0.2},
        (("ExponentialLR", {"gamma": 0.99}),),
    ),
    "nesterov, l2, linear": (
        {"lr": 0.1, "l2": 0.05, "schedule": "linear", "end_factor": 0.1}, "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}, {},
        (("LinearLR", {"start_factor": 1, "end_factor": 0.1, "total_iters": SHORT}),),
    ),
    "adagrad, l2, warmup_cosine": (
        {"l2": 0.3, "schedule": "warmup_cosine", "warmup_steps": 20}, "Adagrad", {"weight_decay": 0.3}, {},
        (("LinearLR", {"total_iters": 20}), ("CosineAnnealingLR", {"T_max": SHORT - 20})),
    ),
    "rmsprop, both clips, l2, warmup": (
        {"clip_norm": 0.4, "clip_value": 0.1, "l2": 0.3, "schedule": "warmup", "warmup_steps": 20}, "RMSprop",
        {"weight_decay": 0.3}, {"norm": 0.4, "value": 0.1}, (("LinearLR", {"total_iters": 20}),),
    ),
    "adam, clip_value, l2, cosine": (
        {"clip_value": 0.1, "l2": 0.3, "schedule": "cosine", "lr_min": 0.0001}, "Adam", {"weight_decay": 0.3},
        {"value": 0.1}, (("CosineAnnealingLR", {"T_max": SHORT, "eta_min": 0.0001}),),
    ),
    "adam, weight_decay": (
        {"lr": 0.05, "weight_decay": 0.3}, "AdamW", {"lr": 0.05, "weight_decay": 0.3}, {}, (),
    ),
    "adamw, one_cycle, clip_norm": (
        {"lr": 0.1, "schedule": "one_cycle", "clip_norm": 0.3}, "AdamW", {"lr": 0.1}, {"norm": 0.3},
        (("OneCycleLR", {"max_lr": 0.1, "total_steps": SHORT, "cycle_momentum": False}),),
    ),
}  # fmt: skip


def torch_path(torch: Any, case: str) -> Iterator[dict[str, Any]]:
    _, name, options, before, schedulers = PATHS[case]
    weights = {k: torch.tensor(w, requires_grad=True) for k, w in START.items()}
    own = getattr(torch.optim, name)(weights.values(), **options)
    made = [getattr(torch.optim.lr_scheduler, s)(own, **how) for s, how in schedulers]
    if len(made) == 2:
        first = schedulers[0][1]["total_iters"]
        made = [torch.optim.lr_scheduler.SequentialLR(own, made, milestones=[first])]
    steps = SHORT if "," in case else STEPS
    for k in range(steps):
        x, y = (torch.tensor(a[BATCHES[k % 3]]) for a in (X, Y))
        z = torch.tanh(x @ weights["W1"] + weights["b1"]) @ weights["W2"]
        own.zero_grad()
        loss = torch.nn.functional.mse_loss(z, y)
        (loss + before.get("l1", 0) * sum(w.abs().sum() for w in weights.values())).backward()
        if "norm" in before:
            torch.nn.utils.clip_grad_norm_(weights.values(), before["norm"])
        if "value" in before:
            torch.nn.utils.clip_grad_value_(weights.values(), before["value"])
        own.step()
        for scheduler in made[: k + 1 < steps]:  # one_cycle has no step behind its last
            scheduler.step()
        yield {k: w.detach() for k, w in weights.items()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", PATHS)
def test_paths_are_those_of_pytorch(case: str) -> None:
    """Weights after each of 200 steps in float64, from one start and one order of batches; of 70, with more to it."""
    torch = pytest.importorskip("torch")
    name, more, _ = case.partition(",")
    own = path(SHORT if more else STEPS, optimizer=name, **PATHS[case][0])
    for k, (mine, other) in enumerate(zip(own, torch_path(torch, case), strict=True)):
        alike(mine, other, k)


def test_defaults_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    names = {"sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW"}
    for own, other in names.items():
        known = getattr(torch.optim, other)([torch.zeros(1)]).defaults
        known |= dict(zip(("beta1", "beta2"), known.get("betas", ()), strict=False))
        options = optimizer(own).options
        assert {k: known[k] for k in options} == options


# ---- by hand


def gradients(w: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    h = np.tanh(x @ w["W1"] + w["b1"])
    d2 = 2 * (h @ w["W2"] - y) / y.size
    d1 = d2 @ w["W2"].T * (1 - h * h)
    return {"W1": x.T @ d1, "b1": d1.sum(0), "W2": h.T @ d2}


def momentum(w: Any, g: Any, s: Any, t: int, lr: float) -> Any:
    s["v"] = 0.9 * s.get("v", 0) + g
    return w - lr * s["v"]


def nesterov(w: Any, g: Any, s: Any, t: int, lr: float) -> Any:
    s["v"] = 0.9 * s.get("v", 0) + g
    return w - lr * (g + 0.9 * s["v"])


def adagrad(w: Any, g: Any, s: Any, t: int, lr: float) -> Any:
    s["v"] = s.get("v", 0) + g * g
    return w - lr * g / (np.sqrt(s["v"]) + 1e-10)


def rmsprop(w: Any, g: Any, s: Any, t: int, lr: float) -> Any:
    s["v"] = 0.99 * s.get("v", 0) + 0.01 * g * g
    return w - lr * g / (np.sqrt(s["v"]) + 1e-8)


def adam(w: Any, g: Any, s: Any, t: int, lr: float) -> Any:
    s["m"] = 0.9 * s.get("m", 0) + 0.1 * g
    s["v"] = 0.999 * s.get("v", 0) + 0.001 * g * g
    return w - lr * (s["m"] / (1 - 0.9**t)) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8)


def adamw(w: Any, g: Any, s: Any, t: int, lr: float) -> Any:
    return adam(w - lr * 0.01 * w, g, s, t, lr)


HAND: dict[str, Callable[..., Any]] = {
    "sgd": lambda w, g, s, t, lr: w - lr * g,
    **{f.__name__: f for f in (momentum, nesterov, adagrad, rmsprop, adam, adamw)},
}


def test_every_optimiser_has_a_judge() -> None:
    assert {*HAND} == {*library.OPTIMIZERS} == {case for case in PATHS if "," not in case}
    assert {*library.SCHEDULES} - {"constant"} == {
        o["schedule"] for o, *_ in PATHS.values() if "schedule" in o
    }


@pytest.mark.parametrize("name", HAND)
@pytest.mark.parametrize("style", ["readable", "fast"])
def test_paths_by_hand(name: str, style: str) -> None:
    """With everything that may precede an optimiser, in its order, and a rate that falls in steps."""
    before = {"clip_norm": 0.9, "clip_value": 0.15, "l1": 0.02, "l2": 0.05, "schedule": "step", "lr": 0.02}
    before |= {"weight_decay": 0.1} if name != "adamw" else {}
    w: dict[str, Any] = {k: a.copy() for k, a in START.items()}
    state: dict[str, dict[str, Any]] = {k: {} for k in w}
    clipped = 0
    for t, own in enumerate(path(90, style, optimizer=name, **before), 1):
        g = gradients(w, X[BATCHES[(t - 1) % 3]], Y[BATCHES[(t - 1) % 3]])
        lr = 0.02 * 0.1 ** ((t - 1) // 30)
        norm = math.sqrt(sum((a**2).sum() for a in g.values()))
        clipped += norm > 0.9
        for k, a in w.items():
            d = np.clip(g[k] * min(1, 0.9 / (norm + 1e-6)), -0.15, 0.15)
            d = d + 0.02 * np.sign(a) + 0.05 * a
            old = a if name == "adamw" else a - lr * 0.1 * a
            w[k] = HAND[name](old, d, state[k], t, lr)
        alike(own, w, t)
    assert clipped


# ---- composition


def test_the_order_of_what_precedes() -> None:
    rule = optimizer("adamw", "cosine", weight_decay=0.2, l2=0.1, clip_value=1, clip_norm=2, l1=0.3, lr=0.5)
    assert [name for name, _ in rule.equations] == ["g", "g", "g", "g", "w", "m", "v", "w"]
    assert list(rule.numbers) == [
        "lr", "beta1", "beta2", "eps", "weight_decay", "clip_norm", "clip_value", "l1", "l2",
    ]  # fmt: skip
    assert rule.options["weight_decay"] == 0.2  # adamw's own
    assert rule.options["lr"] == 0.5
    assert rule.options["lr_min"] == 0
    assert (rule.clips, rule.counts, rule.moving) == (True, True, ("t", "norm", "lr"))
    assert optimizer("sgd", "constant") == Rule(optimizer("sgd").optimizer)


def test_what_is_not_asked_for_is_not_written() -> None:
    plain = NET.source("net", optimizer="sgd", style="fast")
    assert "norm" not in plain.split("class Model")[1].split("def forward")[0]
    assert "_scheduled" not in plain
    assert "total_steps" not in plain


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"schedule": "cosin"}, "no schedule 'cosin'; did you mean 'cosine'"),
        ({"schedule": "lr/q"}, "'q' is unknown in the equation of lr"),
        ({"schedule": "lr/"}, "no formula of lr, t and T"),
        ({"schedule": "lr*sinc(t)"}, "uses sinc"),
        ({"schedule": "lr*exit()"}, "'exit' is no function of numbers in the equation of lr"),
        ({"schedule": "lr*max(t, T)"}, "'max' is no function of numbers .* did you mean 'maximum'"),
        ({"schedule": "lr*tanh(t, T)"}, r"tanh takes x in the equation of lr, not as in 'tanh\(t, T\)'"),
        ({"schedule": "lr*exp(x=t)"}, "exp takes x in the equation of lr"),
        ({"schedule": "lr/(1 - 1)"}, r"'lr / \(1 - 1\)' is no part of a formula for lr"),
        ({"schedule": "lr*[t in T]"}, r"'\[t in T\]' is no part of a formula for lr"),
        ({"schedule": "def s(lr, t): lr = lr"}, "the arguments of the schedule s are lr, t, T"),
        ({"schedule": "def s(lr, t, T): lr = (3"}, "cannot be read"),
        ({"schedule": "def s(lr, t, T):\n T = 3\n lr = T"}, "T is given to the schedule s"),
        ({"schedule": "def s(lr, t, T):\n u = u + 1\n lr = u"}, "'u' is unknown"),
        ({"schedule": "no/such.sg"}, "there is no file no/such.sg"),
        ({"optimizer": "def a(w, g, rate=1): w = w - rate*g", "schedule": "step"}, "step needs a number 'lr'"),
        ({"optimizer": "def a(w, g, rate=1): w = w - rate*g", "weight_decay": 1}, "weight_decay needs a number"),
        ({"optimizer": "def a(w, g, gamma=1, lr=1): w = w - lr*gamma*g", "schedule": "step"}, "'gamma' is a name of"),
        ({"optimizer": "def a(w, g): w = w - g\ndef b(w, g): w = w + g"}, "defines 2: a and b"),
        ({"optimizer": "def a(w, g, w=1): w = w - g"}, "w of the optimiser a is given twice"),
        ({"optimizer": "def a(w, g, t=1): w = w - g"}, "t of the optimiser a is given twice"),
        ({"optimizer": "def a(w, g, b=1):\n b = 3\n w = w - g"}, "b is given to the optimiser a"),
        ({"clip_norm": 0}, "clip_norm is a number above 0, not 0"),
        ({"l2": -1}, "l2 is a number from 0, not -1"),
        ({"schedule": "warmup", "warmup_steps": -3}, "warmup_steps is a number from 0, not -3"),
        ({"schedule": "one_cycle", "pct_start": 2}, "pct_start is a number from 0 to 1, not 2"),
        ({"clip_nrm": 1}, "no option 'clip_nrm'; did you mean 'clip_norm'"),
        ({"beta1": "0.9"}, "beta1 of adam is a number"),
    ],
)  # fmt: skip
def test_what_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(SymgradError, match=reason):
        TINY.source("net", **options)


def test_a_file_has_one_definition(tmp_path: Any) -> None:
    mine = tmp_path / "mine.sg"
    mine.write_text("# of mine\ndef mine(w, g, lr=0.1, rho=1/2):\n    v = rho*v + g\n    w = w - lr*v\n")
    assert optimizer(mine).options == optimizer(str(mine)).options == {"lr": 0.1, "rho": 0.5}
    falling = tmp_path / "falling.sg"
    falling.write_text("def falling(lr, t, T, p=2):\n    lr = lr*(1 - t/T)**p\n")
    assert optimizer(mine, falling, p=3).options["p"] == 3
    mine.write_text("def mine(w, g):\n    w = w - q*g\n")
    with pytest.raises(Refusal, match=r"mine.sg, line 2: 'q' is unknown in the equation of w\n +w = w - q"):
        optimizer(mine)
    mine.write_text("")
    with pytest.raises(Refusal, match="one optimiser is asked for"):
        optimizer(mine)


# ---- modules


def tiny(style: str = "fast", **options: Any) -> dict[str, Any]:
    return emit.load(TINY.source("net", style=style, **options), "net")


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_every_number_is_set_on_the_command_line(style: str, tmp_path: Any) -> None:
    """When generating and when training, of an optimiser in a file."""
    (tmp_path / "mine.sg").write_text("def mine(w, g, lr=0.1, count=1):\n    w = w - lr*count*g\n")
    (tmp_path / "net.sg").write_text(
        "x: data[n, 1]; y: data[n]; w: weight[1] = ones(); loss = mean((x @ w - y)**2)/2"
    )
    (tmp_path / "data.csv").write_text("1,0\n1,0\n")
    how = ["--optimizer", "mine.sg", "--schedule", "lr*h", "--set", "count=2", "--style", style]
    done = symgrad("generate", "net.sg", "net.py", *how, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "symgrad: 'h' is unknown in the equation of lr\n")
    how[3] = "def half(lr, t, T, h=0.25): lr = lr*h"
    assert symgrad("generate", "net.sg", "net.py", *how, "--clip-value", "0.5", cwd=tmp_path).returncode == 0
    train = ["net.py", "train", "data.csv", "--epochs", "1", "--quiet"]
    done = python(*train, "--set", "h=0.5", "--set", "clip_value=0.125", "--rate", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "net.npz")["w"] == 1 - 0.125 * 0.5 * 2
    done = python(*train, "--set", "hh=0.5", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no number hh; those of the optimiser are lr, count_, clip_value, h" in done.stderr
    done = symgrad("train", "net.sg", "data.csv", "--set", "beta1", cwd=tmp_path)
    assert (done.returncode, "--set takes a name and a number" in done.stderr) == (2, True)


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_numbers_that_cannot_be(style: str) -> None:
    """A sentence, and no step is counted."""
    net = tiny(style, optimizer="adam")
    model = net["Model"](beta1=1.0)
    with pytest.raises(net["Problem"], match=r"adam (divides by 1 - beta1|cannot be computed at step 1)"):
        model.step([1.0, 2.0])
    assert model.steps == 0
    net = tiny(style, schedule="cosine")
    with pytest.raises(net["Problem"], match="cosine needs the number of all steps: train with fit"):
        net["Model"]().step([1.0, 2.0])
    for how in ("lr/(t - 2)", "lr*(1 - t)**0.5"):
        net = tiny(style, schedule=how)
        model = net["Model"]()
        model.step([1.0, 2.0])
        with pytest.raises(net["Problem"], match="the schedule formula gives no learning rate at step 2"):
            model.step([1.0, 2.0])


def test_the_rate_of_a_step() -> None:
    model = tiny(schedule="warmup_cosine", warmup_steps=0, lr=0.5)["Model"]()
    assert model.total_steps is None
    model.total_steps = 10
    assert model._numbers() == {**model.options, "lr": 0.5}
    rates = [model._rate(t) for t in range(1, 13)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == rates[10] == 0
    model = tiny(schedule="warmup", warmup_steps=0)["Model"]()
    assert model._rate(1) == 0.001
    model = tiny(schedule="one_cycle", pct_start=1)["Model"]()
    model.total_steps = 4
    assert [round(model._rate(t) / 0.001, 6) for t in (1, 4, 9)] == [0.04, 1, 1]
    for total in (1, 2, 3):
        model.total_steps = total
        assert all(model._rate(t) > 0 for t in range(1, 9))


def test_fit_counts_all_steps() -> None:
    net = module(schedule="linear", lr=0.1)
    model = net["Model"](dtype=np.float64)
    model.fit(X, Y, epochs=2, batch_size=8, quiet=True)
    assert (model.steps, model.total_steps, model._rate(7)) == (6, 6, 0)


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_a_state_that_takes_the_rate(style: str) -> None:
    """It is as large as the rates were when it was made, whether they are set or scheduled."""
    text = "def kept(w, g, lr=0.5, beta=0.5):\n v = beta*v + lr*g\n w = w - v"
    model = tiny(style, optimizer=text)["Model"](dtype=np.float64)
    planned = tiny(style, optimizer=text, schedule="lr*[t != 2] + [t == 3]")["Model"](dtype=np.float64)
    w, v = np.ones(2), 0.0
    for t, rate in enumerate((0.5, 0, 1.5), 1):
        v = 0.5 * v + rate * np.array([1.0, 2.0])
        w = w - v
        planned.step([1.0, 2.0])
        np.testing.assert_allclose(planned.weights["w"], w, rtol=1e-14, err_msg=str(t))
    for rate in (0.5, 0.25, 1.5):
        model.options["lr"] = rate
        model.step([1.0, 2.0])
    np.testing.assert_allclose(model._state["v"]["w"] * 1, model._state["v"]["w"])
    v = ((0.5 * 0.5 + 0.25) * 0.5 + 1.5) * np.array([1.0, 2.0])
    kept = v if style == "readable" else v / 1.5
    np.testing.assert_allclose(model._state["v"]["w"], kept, rtol=1e-14)


NAMES = """count dtype run np w_ adopt rooms _rooms self_ t_ T norm math threads tile micro_batch compiled loss step
    init weights steps sizes options given letters Problem Model max min abs exp sqrt sign float tuple factor1 part1 out
    state lr_ total_steps epochs order numbers update results g_ k p a n x i common1 quotient1 _update
    rate total schedule _rate lambda_ gradients""".split()  # noqa: SIM905


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_names_are_the_users(style: str) -> None:
    """Whatever numbers, states and parts are called, the module does the same."""
    letters, found = "ABCDEFGHI", []
    plain = """def mine(w, g, lr=0.1, A=0.25, B=0.5, C=2.0):
        D = A*D + g
        E = B*E + D
        F = F/C + E
        G = sqrt(1 + D**2)
        H = G*E
        I = H + F
        w = w - lr*I"""
    for turn in range(3 if style == "fast" else 1):  # a number, a state and a part
        for k in range(0, len(NAMES), 9):
            names = NAMES[k : k + 9]
            mine = dict(zip(letters, names[3 * turn :] + names[: 3 * turn], strict=True))
            text = re.sub(r"\b[A-I]\b", lambda m: mine[m[0]], plain)  # noqa: B023
            arguments = [mine[a] for a in "ABC" if mine[a] in ("dtype", "threads", "tile", "micro_batch", "compiled")]
            if arguments:  # of Model
                with pytest.raises(SymgradError, match=f"a module has an argument {arguments[0]} of its own"):
                    tiny(style, optimizer=text)
                continue
            model = tiny(style, optimizer=text, clip_norm=2.0, schedule="step")["Model"](dtype=np.float64)
            model.step([1.0, 2.0])
            model.step([1.0, 2.0])
            found.append(model.weights["w"].tolist())
    assert all(f == found[0] for f in found)
    assert found[0] != [1.0, 1.0]


# ---- a user's own


def definition(r: random.Random) -> str:
    """Update equations with states, parts, numbers of the step, and names computed more than once."""
    known, lines = ["w", "g", "lr", "a"], []
    shapes = (
        "{x}", "a*{x}", "{x} + {y}", "{x}*{y}/(2 + {y}**2)", "tanh({x})", "minimum({x}, {y})", "sqrt(1 + {x}**2)",
        "{x}/(1 + a**t)", "(1 - a)*{x}", "{x}/(norm + 1)", "lr*{x}", "[{x} > {y}]*{x}",
    )  # fmt: skip
    for _ in range(r.randint(1, 4)):
        name = r.choice("uvgwz")
        start = f"{name}/2 + " if name not in known and r.random() < 0.5 else ""
        lines.append(f" {name} = {start}{r.choice(shapes).format(x=r.choice(known), y=r.choice(known))}")
        known = [*dict.fromkeys([*known, name])]
    last = r.choice(shapes).format(x=r.choice(known), y=r.choice(known))
    return "\n".join(["def mine(w, g, lr=0.125, a=0.75):", *lines, f" w = w - lr*tanh({last})"])


@pytest.mark.parametrize("seeds", [range(3), pytest.param(range(3, 100), marks=pytest.mark.long)])
def test_all_forms_of_an_optimiser_agree(seeds: range) -> None:
    """Readable, folded, and the loops that Numba would compile, run as Python."""
    for seed in seeds:
        r = random.Random(seed)  # noqa: S311
        text, schedule = definition(r), r.choice([None, "step", "cosine", "lr/sqrt(t)"])
        more = r.choice([{}, {"clip_norm": 0.3, "clip_value": 0.1, "l1": 0.01}])
        finals = []
        for how in ({"style": "readable"}, {"style": "fast"}, {"target": "numba"}):
            net = emit.load(LINE.source("net", optimizer=text, schedule=schedule, **how, **more), "net")
            net["_compiles"] = lambda: True
            model = net["Model"](dtype=np.float64)
            model.set_weights({"w": [0.5, -0.25, 1.0]})
            model.fit(X[:7], Y[:7, 0], epochs=2, batch_size=3, quiet=True)
            assert model.steps == 6
            finals.append(model.weights["w"])
        for other in finals[1:]:
            np.testing.assert_allclose(other, finals[0], rtol=1e-9, atol=1e-12, err_msg=f"{seed}: {text}")


def test_a_product_that_a_bracket_hides_is_not_computed() -> None:
    rule = optimizer("sgd", "[t > 1]*lr/(t - 1) + [t == 1]*lr")
    assert rule.schedule is not None
    assert (
        plainly.python(rule.schedule.equations[0][1])
        == "(lr/(t - 1) if t > 1 else 0) + (lr if t == 1 else 0)"
    )
