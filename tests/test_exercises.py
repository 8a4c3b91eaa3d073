"""Exercises: every topic builds, its printed numbers are right, the problem does not give the answer away."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import symgrad as sg
from symgrad.cli import main
from symgrad.errors import SymgradError
from symgrad.exercises import DIGITS, Exercise, exercise, read_topic, topics
from symgrad.explain.parts import Passage

TOPICS = topics()
SEEDS = (0, 7)
every_exercise = pytest.mark.parametrize(("topic", "seed"), [(t, s) for t in TOPICS for s in SEEDS])


@cache
def made(topic: str, seed: int) -> Exercise:
    return exercise(topic, seed)


@cache
def text(topic: str, seed: int, sheet: str) -> str:
    return str(getattr(made(topic, seed), sheet).text(100))


def shown(x: float) -> str:
    """A number as it is printed."""
    number = f"{abs(x):.{DIGITS}g}"
    return f"−{number}" if x < 0 and float(number) else number


def numbers(of: str) -> set[str]:
    """The numbers in a text, as decimals."""
    return set(re.findall(r"−?(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w.])", of.replace("− ", "−")))


@every_exercise
def test_printed_numbers_are_right(topic: str, seed: int) -> None:
    """The loss, every gradient and every updated weight stand in the solution, as the compiled function gives them."""
    e = made(topic, seed)
    loss, gradients = sg.derive(e.declaration).function()(**e.numbers)
    found = np.array([float(x.lstrip("−")) for x in numbers(text(topic, seed, "solution"))])
    wanted = [float(loss)]
    for name, g in gradients.items():
        wanted += [*np.ravel(g), *np.ravel(e.numbers[name] - float(e.rate) * g)]
    for x in np.abs([x for x in wanted if abs(x) > 1e-12]):
        last = 10.0 ** (np.floor(np.log10(x)) - DIGITS + 1)  # of its digits
        assert np.abs(found - x).min() < 0.51 * last, (x, name)


@every_exercise
def test_problem_has_every_forward_equation(topic: str, seed: int) -> None:
    """Also those of a loop and after it, down to the loss."""
    told = [p for p in made(topic, seed).problem.plain.passages if isinstance(p, Passage)]
    shown = [e for p in told if str(p.heading[0]).startswith("In mathematics") for e in p.equations]
    solved = [p for p in made(topic, seed).derivation.document(fold=False).plain.passages if p.forward]
    assert [e.right for e in shown] == [e.right for p in solved for e in p.equations]
    assert any(s.out == "loss" for e in shown for s in e.statements)


@every_exercise
def test_problem_and_hints_do_not_answer(topic: str, seed: int) -> None:
    e = made(topic, seed)
    _, gradients = sg.derive(e.declaration).function()(**e.numbers)
    results = {shown(x) for g in gradients.values() for x in np.ravel(g)} - {"0"}
    results = {x for x in results if len(x.strip("−").replace(".", "")) >= 4}
    wrong = set() if e.wrong is None else {shown(x) for x in np.ravel(e.wrong[2])}
    answers = [e.derivation.gradients[name].latex() for name in e.derivation.gradients]
    answers = [a.split("&=")[-1].strip() for a in answers]
    for sheet in ("problem", "hints"):
        assert not (numbers(text(topic, seed, sheet)) & results) - wrong
        page = getattr(e, sheet).latex()
        assert not [a for a in answers if len(a) > 12 and a in page]
    assert (
        text(topic, seed, "problem").splitlines()[0] == f"Problem: {topic.replace('_', ' ')}, number {seed}"
    )
    assert "Hint 1" in text(topic, seed, "hints") and "Hint 2" in text(topic, seed, "hints")


@every_exercise
def test_wrong_answer_is_wrong(topic: str, seed: int) -> None:
    e = made(topic, seed)
    assert e.wrong is not None
    name, mistake, array = e.wrong
    _, gradients = e.derivation.function()(**e.numbers)
    assert array.shape == gradients[name].shape and not np.allclose(array, gradients[name])
    assert array.any()  # nobody asks what is wrong with nothing
    assert mistake.why in " ".join(text(topic, seed, "solution").split())


@pytest.mark.parametrize("topic", ["dense", "rnn", "embedding"])
def test_every_format(topic: str, tmp_path: Path) -> None:
    """Three documents in each format; the problem shows the declaration, which can be read back."""
    e = made(topic, 7)
    for sheet in (e.problem, e.hints, e.solution):
        for ending in (".txt", ".md", ".html", ".tex"):
            sheet.save(tmp_path / f"a{ending}")
            assert (tmp_path / f"a{ending}").stat().st_size > 200
    assert e.declaration.strip() in e.problem.markdown()
    assert list(sg.derive(e.declaration).gradients) == list(e.derivation.gradients)


def test_answers_are_graded() -> None:
    e = made("linear_regression", 7)
    _, gradients = e.derivation.function()(**e.numbers)
    assert e.grade(w=gradients["w"].tolist()).right
    assert not e.grade(w=(2.5 * gradients["w"]).tolist()).right
    assert e.grade(w=str(e.derivation.gradients["w"])).right
    with pytest.raises(SymgradError, match="one after the other"):
        made("dense", 7).grade(W1="X.T", b1=[0.0])


def test_another_seed_is_another_exercise() -> None:
    assert made("dense", 0).problem.text() != made("dense", 7).problem.text()


def test_topics_are_complete() -> None:
    """Each says what it is about and gives each size a range; all alternatives can be read and differ."""
    assert len(TOPICS) >= 15
    for name, topic in TOPICS.items():
        assert topic.about.endswith("."), name
        assert set(sg.derive(topic.text).program.sizes) == set(topic.sizes), name
        assert all(first in topic.text for first, *_ in topic.either), name
        variants = {Exercise(topic, seed).declaration for seed in range(8)}
        assert len(variants) > 1 or not topic.either, name


def test_alternatives_by_their_places() -> None:
    topic = read_topic("t", "# T.\n# sizes: n = 2\n# either: tanh | exp\n# either: tanh | sin\nx: weight[n]\n"
                       "a = tanh(x)\nloss = sum(tanh(a))")  # fmt: skip
    seen = {tuple(re.findall(r"(\w+)\([xa]", Exercise(topic, seed).declaration)) for seed in range(20)}
    assert seen == {(a, b) for a in ("tanh", "exp") for b in ("tanh", "sin")}


def test_requests_that_cannot_be_met() -> None:
    with pytest.raises(SymgradError, match=r"no topic 'densee'.*did you mean.*dense"):
        exercise("densee")
    with pytest.raises(SymgradError, match="seed is a whole number"):
        exercise("dense", -1)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exercise", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in TOPICS)
    assert main(["exercise", "--topic", "ridge", "--seed", "7"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Problem: ridge, number 7") and "--show hints" in out
    assert main(["exercise", "--topic", "ridge", "--seed", "7", "--show", "solution"]) == 0
    assert capsys.readouterr().out.startswith("Solution: ridge, number 7")
    assert main(["exercise", "--topic", "ridge", "--seed", "7", "-o", str(tmp_path)]) == 0
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == [f"ridge-7-{sheet}.md" for sheet in ("hints", "problem", "solution")]
    assert main(["exercise", "--topic", "nothing"]) == 2
    assert main(["exercise", "--format", "pdf"]) == 2
