"""The numeric check at corners: what lies between the one-sided slopes is right, and nothing else is, by every way to
the slopes; how many entries were at a kink is said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from test_check import changed
from test_ops import OPS

import symgrad as sg
from symgrad import emit, gallery
from symgrad.check import steps
from symgrad.check.numeric import _Judge, check
from symgrad.check.proof import prove
from symgrad.check.steps import ComplexSteps, Differences, digits_of
from symgrad.check.verdict import Verdict
from symgrad.cli import main
from symgrad.exact.ways import has_kinks
from symgrad.language import expr as ex
from symgrad.language import ints
from symgrad.language.expr import Bracket, Cmp, val
from symgrad.language.program import Statement, Tensor
from symgrad.language.samples import fits, inputs, small_sizes
from symgrad.language.trace import Derived
from symgrad.ops import examples

WAYS = {"complex": ComplexSteps, "differences": Differences, "digits": lambda: digits_of(30)}
LOOSE = {"complex": 1e-9, "differences": 1e-6, "digits": 1e-14}


QUICK = ("abs", "gelu", "prod", "norm", "huber_loss", "max_pool1d")
every_operation = pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.long) for n in OPS]
)


def judged(d: Derived, given: Any, way: str = "complex") -> Verdict:
    judge = _Judge(np.random.default_rng(0), LOOSE[way], WAYS[way]())  # type: ignore[abstract]
    with np.errstate(all="ignore"):
        return judge.verdict(d, given, {}, 24)


def derived(text: str) -> Derived:
    return sg.derive(text).derived


def claimed(d: Derived, gradient: list[float]) -> Derived:
    """The derivation with these numbers for the gradient of x."""
    i = ints.axis("i")
    terms = [Bracket(Cmp("==", val(i), ex.lift(k))) * Fraction(g) for k, g in enumerate(gradient)]
    t = Tensor("claimed", d.program["x"].shape)
    told = Statement(t.name, (i,), "=", ex.add(*terms), (("i", t.shape[0]),))
    tensors, statements = {**d.program.tensors, t.name: t}, (*d.program.statements, told)
    return replace(
        d, program=replace(d.program, tensors=tensors, statements=statements), gradients={"x": t.name}
    )


@dataclass(frozen=True)
class Corner:
    """A loss of x at a point, gradients that are right there, others that are wrong, and how many entries of x are at a
    kink."""

    loss: str
    x: list[float]
    right: list[list[float]]
    wrong: list[list[float]]
    kinks: int


CORNERS = {
    "abs": Corner("sum(abs(x))", [0, 1, -2], [[0.3, 1, -1], [1, 1, -1]], [[1.01, 1, -1], [-1.01, 1, -1]], 1),
    "relu": Corner("sum(3*relu(x))", [0, 0, 1], [[0, 0, 3], [3, 1, 3]], [[3.1, 0, 3], [0, -0.1, 3], [0, 0, 2.9]], 2),
    "maximum": Corner("sum(maximum(x, 1/2))", [0.5, 1], [[0, 1], [1, 1]], [[1.1, 1], [-0.1, 1]], 1),
    "max": Corner(
        "max(x)", [3, 3, 1, 2], [[0.5, 0.5, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]],
        [[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0.5, 0.5, 0, 0.1], [0.5, 0.4, 0, 0]], 2,
    ),
    "min": Corner("2*min(x)", [-1, -1, -1, 2], [[2, 0, 0, 0], [0.5, 1, 0.5, 0]], [[2, 2, 2, 0], [0, 0, 0, 2]], 3),
    "clip": Corner("sum(clip(x, -1, 1))", [1, -1, 0.25], [[0, 0, 1], [1, 1, 1]], [[1.1, 0, 1], [0, -0.1, 1]], 2),
    "huber": Corner(
        "sum([abs(x) <= 1]*x**2/2 + [abs(x) > 1]*(abs(x) - 1/2))", [1, -1, 0.5], [[1, -1, 0.5]],
        [[1.01, -1, 0.5], [0.99, -1, 0.5]], 0,
    ),
    "hinge": Corner("sum(relu(1 - 2*x))", [0.5, 0], [[0, -2], [-2, -2]], [[0.1, -2], [-2.1, -2]], 1),
    "bracket": Corner("sum([x > 0]*x + [x <= 0]*5*x)", [0, 1], [[1, 1], [5, 1]], [[0.9, 1], [5.1, 1]], 1),
    "sign": Corner("sum(sign(x)*x)", [0, -3], [[0, -1], [1, -1]], [[1.1, -1], [0, 1]], 1),
    "norm": Corner("norm(x)", [0, 0], [[0, 0], [0.6, 0.8], [0, -1]], [[1.1, 0], [1, 1]], 2),
    "cone": Corner("sum(hypot(x, 2*x))", [0, 1], [[0, 5**0.5], [2.2, 5**0.5]], [[2.3, 5**0.5], [0, 2.2]], 1),
    "of a sum": Corner("relu(x[0] + 2*x[1])", [2, -1], [[0, 0], [1, 2], [0.5, 1]], [[1, 0], [0, 2], [1.1, 2.2]], 2),
    "two": Corner("relu(x[0]) - 2*relu(-x[1])", [0, 0], [[0, 0], [1, 2], [0, 2], [1, 0]], [[1.1, 0], [0, -0.1]], 2),
    "near": Corner("sum(abs(x))", [1e-9, 1], [[1, 1]], [[0, 1], [0.99, 1]], 0),
}  # fmt: skip


@pytest.mark.parametrize(
    "name, way",
    [
        (n, w) if w == "complex" or n in ("max", "norm") else pytest.param(n, w, marks=pytest.mark.long)
        for w in WAYS
        for n in CORNERS
    ],
)
def test_what_lies_between_the_slopes_to_both_sides_is_right_and_nothing_else(name: str, way: str) -> None:
    if (name, way) == ("near", "differences"):
        return  # in floats a step must be larger than that
    corner = CORNERS[name]
    d, given = derived(f"x: weight[n]; loss = {corner.loss}"), {"x": np.array(corner.x)}
    verdict = judged(d, given, way)
    assert verdict.ok, verdict
    assert [r.kinks for r in verdict.rows] == [corner.kinks]
    assert ("at a kink" in str(verdict)) is bool(corner.kinks)
    for gradient in corner.right:
        verdict = judged(claimed(d, gradient), given, way)
        assert verdict.ok, (gradient, verdict)
    for gradient in corner.wrong:
        verdict = judged(claimed(d, gradient), given, way)
        assert not verdict.ok, gradient
        assert verdict.worst > 1e-3


@pytest.mark.parametrize(
    "name", [n if n in ("norm", "two") else pytest.param(n, marks=pytest.mark.long) for n in CORNERS]
)
def test_the_proof_judges_kinks_the_same(name: str) -> None:
    corner = CORNERS[name]
    d, given = derived(f"x: weight[n]; loss = {corner.loss}"), {"x": np.array(corner.x)}
    assert prove(d, given).ok
    for gradient in corner.right:
        assert prove(claimed(d, gradient), given).ok, gradient


def cornered(d: Derived, seed: int) -> dict[str, np.ndarray]:
    """Inputs that are whole numbers where they may be, so that many are zero and many tie."""
    given = inputs(d.source, small_sizes(d.source), np.random.default_rng(seed))
    for t in d.source.inputs:
        whole = np.round(given[t.name])
        if not t.integer and not t.facts.distribution and fits(t, whole):
            given[t.name] = whole
    return given


UNDEFINED = {"mape_loss", "cross_entropy"}  # a division by 0 at the point


@every_operation
def test_operations_at_their_kinks(name: str) -> None:
    """What is derived takes at every kink a slope between those to both sides."""
    for e in examples(name):
        d = derived(e.declaration)
        if not has_kinks(d.source) or name in UNDEFINED:
            continue
        verdict = judged(d, cornered(d, 0))
        assert verdict.ok, (e.declaration, verdict)


# ---------------------------------------------------------------------- many digits


@every_operation
def test_operations_in_many_digits(name: str) -> None:
    for e in examples(name):
        verdict = sg.derive(e.declaration).check(digits=40, entries=2)
        assert verdict.ok, verdict


@pytest.mark.long
@pytest.mark.parametrize("name", gallery.networks())
def test_networks_in_many_digits(name: str) -> None:
    d = sg.Model(gallery.networks()[name]).derive()
    assert d.check().ok
    if name == "transformer":  # too large for them
        with pytest.raises(sg.SymgradError, match="too many numbers of many digits"):
            d.check(digits=30)
        return
    verdict = d.check(digits=30, entries=1)
    assert verdict.ok, verdict


def test_digits_see_what_floats_do_not() -> None:
    d = derived("x: weight[n]; loss = sum(exp(x)*tanh(x))")
    wrong = changed(d, "x", lambda body: body * (1 + Fraction(1, 10**20)))
    assert check(wrong).ok
    assert not check(wrong, digits=50).ok
    assert check(wrong, digits=50, tolerance=1e-15).ok
    assert check(d, digits=200).worst < 1e-120


def test_how_many_digits_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    d = sg.derive("x: weight[n]; loss = sum(x**2)")
    for digits in (0, 19, 1001, "50"):
        with pytest.raises(sg.SymgradError, match="a whole number from 20 to 1000"):
            d.check(digits=digits)
    with pytest.raises(sg.SymgradError, match="these numbers have no result: singular matrix"):
        sg.derive("A: weight[n, n]; loss = sum(inv(A))").check({"A": np.ones((2, 2))}, digits=30)
    monkeypatch.setattr(steps, "_HEAVY", 4)
    with pytest.raises(sg.SymgradError, match="too many numbers of many digits"):
        sg.derive("x: weight[5]; loss = sum(x**2)").check(digits=30)


def test_digits_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    line = "t: data[n, 3] & distribution; z: weight[n, 3]; loss = -sum(t*log(softmax(z)))"
    assert main(["check", line, "--digits", "40"]) == 0
    _, row, last = capsys.readouterr().out.splitlines()
    assert (
        row.split()[:3] == ["z", "40", "digits"] and last.startswith("agrees") and "tolerance 1e-20" in last
    )
    assert main(["check", line, "--digits", "7"]) == 2
    assert "a whole number from 20 to 1000" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["check", line, "--digits", "40", "--exact"])


# ---------------------------------------------------------------------- differences


@every_operation
def test_operations_by_differences(name: str) -> None:
    if name == "gaussian_nll_loss":
        return  # it changes over a millionth, and the smallest step is larger
    for e in examples(name):
        d = derived(e.declaration)
        verdict = _Judge(np.random.default_rng(0), 1e-7, Differences()).verdict(d, None, {}, 2)
        assert verdict.ok, verdict


def test_where_no_complex_step_passes_there_are_differences() -> None:
    """sqrt(x**2) has a branch point at 0, the cofactors of a singular matrix come from no inverse."""
    root = derived("x: weight[n]; s = sqrt(x**2); loss = sum(s)")
    for gradient, right in (([0, 0.5], True), ([0, 1.1], False)):
        verdict = judged(claimed(root, gradient), {"x": np.zeros(2)})
        assert verdict.ok is right
        assert verdict.rows[0].against == "differences"
    d = derived("A: weight[n, n]; loss = sum(cofactor(A)**2)")
    verdict = judged(d, {"A": np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])})
    assert verdict.ok and verdict.rows[0].against == "differences", verdict


# ---------------------------------------------------------------------- the same table from a module

NET = "x: data[n, 2]; w: weight[2] = 0; b: weight = 1; loss = mean(x @ w + b) + abs(w[0]) + 3*relu(w[1])"


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_a_module_judges_kinks_as_the_tool_does(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same columns and the same judgement, at the weights that a module starts with."""
    source = sg.Model(NET).source("net", style=style)
    still = emit.Source(source.replace("+ 0.1 * rng.standard_normal(shape)", ""))
    model = emit.load(still, "net")["Model"]()
    assert model.check_gradients() < 1e-12
    head, w, b = capsys.readouterr().out.splitlines()
    told = str(sg.derive(NET).check()).splitlines()[0]
    assert head.split() == told.split()
    assert (w.split()[0], w.split()[-1], b.split()[-1]) == ("w", "2", "0")

    def claimed(gradient: list[float]) -> float:
        made = emit.load(still, "net")
        train = made["Model"]._train

        def wrong(self: Any, data: Any) -> Any:
            loss = train(self, data)
            mean = np.mean(data["x"], axis=0)
            self._gradients["w"][...] = mean + gradient
            return loss

        made["Model"]._train = wrong
        return float(made["check_gradients"]())

    for gradient, right in (
        ([0, 0], True),
        ([1, 3], True),
        ([-0.5, 1], True),
        ([1.1, 0], False),
        ([0, -0.1], False),
    ):
        assert (claimed(gradient) < 1e-12) is right, gradient
    assert claimed([np.nan, 0]) == np.inf
