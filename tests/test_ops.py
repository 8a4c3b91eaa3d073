"""Every operation there is, also those that are added later, by one test; and that this test can fail."""

from __future__ import annotations

from dataclasses import replace

import pytest

import symgrad as sg
from symgrad.language.definitions import Definition
from symgrad.language.implicit import IMPLICIT, spoken
from symgrad.leaves import LEAVES
from symgrad.library import DEFINITIONS, public
from symgrad.ops import FORMULAS, example

OWN = [name for name in public() if name == DEFINITIONS[name].name]  # without second names
OPS = list(dict.fromkeys([*LEAVES, *map(spoken, IMPLICIT), *FORMULAS, *OWN]))
# what no form can keep finite where an argument is a thousand
OVERFLOWS = {"exp", "expm1", "sinh", "cosh", "poisson_nll_loss", "kl_standard_normal"}
# sentences of what has no value without entries
NEEDED = ("which has no entries", "nothing to run over", "needs two entries")


@pytest.mark.parametrize("name", OPS)
def test_operation(name: str) -> None:
    """The derived gradient and its own derivative are those of complex steps, and of all three realisations, for
    pairwise different sizes and for axes of one entry; finite far out, in single precision too; sums of nothing have no
    slope, means and maxima of nothing are refused; the text and the LaTeX are the same twice."""
    verdict = sg.check_op(name)
    assert verdict, verdict
    for trial in verdict.trials:
        assert trial.found != "overflow" or name in OVERFLOWS, trial
        assert trial.what != "no entries" or trial.found == "no slope" or any(x in trial.found for x in NEEDED), trial


def _options() -> list[tuple[str, int, str, str]]:
    """Each option of two or three ways with a way that is not its default."""
    ways = {"reduction": ('"sum"', '"none"'), "approximate": ('"tanh"',)}
    found = []
    for name in OWN:
        for k, d in enumerate((DEFINITIONS[name], *DEFINITIONS[name].others)):
            for p in d.params:
                value = getattr(p.default, "value", None)
                other = (str(not value),) if isinstance(value, bool) else ways.get(p.name, ())
                found += [(name, k, p.name, way) for way in other]
    return found


@pytest.mark.parametrize("name, overload, option, way", _options())
def test_option(name: str, overload: int, option: str, way: str) -> None:
    first = DEFINITIONS[name]
    d = sg.derive(example((first, *first.others)[overload], **{option: way}))
    verdict = d.check(entries=6)
    assert verdict.ok, verdict


def test_a_wrong_rule_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(LEAVES["logcosh"], derivative=("tanh(x)*1001/1000",))
    monkeypatch.setitem(LEAVES, "logcosh", wrong)
    from symgrad import scalars

    scalars._function.cache_clear()
    scalars.differentiate.cache_clear()
    try:
        verdict = sg.check_op("logcosh")
    finally:
        scalars._function.cache_clear()
        scalars.differentiate.cache_clear()
    assert [t.what for t in verdict.trials if not t.ok] == ["gradient", "axes of one entry"]


def test_an_operation_without_care_fails_the_test() -> None:
    before = dict(DEFINITIONS)
    try:
        sg.define("def bad(x): return x/sinh(x)")
        verdict = sg.check_op("bad")
    finally:
        DEFINITIONS.clear()
        DEFINITIONS.update(before)
    assert [t.what for t in verdict.trials if not t.ok] == ["entries of 1000"]


def test_the_list_has_every_operation_once() -> None:
    listed = " ".join(sg.describe().split())
    for name in OWN:
        for d in _all(DEFINITIONS[name]):
            assert listed.count(f" {d.signature} {' '.join(d.doc.split())}") == 1, d.signature
    for name in (*LEAVES, *FORMULAS):
        assert f" {name}(" in listed
    assert "also hard_swish, hard_silu" in listed


def _all(d: Definition) -> tuple[Definition, ...]:
    return (d, *d.others)


@pytest.mark.parametrize("name", ["gelu", "relu", "cross_entropy", "softplus", "inv", "hard_silu"])
def test_an_operation_is_shown_whole(name: str) -> None:
    shown = sg.describe(name)
    assert "For example" in shown and "def loss_and_grad" in shown and "agrees: worst" in shown
    assert "DOES NOT AGREE" not in shown
    if name == "softplus":  # the scalar function, and the definition with more arguments
        assert "a row of the table" in shown and "def softplus(x, beta" in shown
