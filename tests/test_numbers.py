"""Numbers and names in a document: each number stands at one equation, each name means one thing that was said before
it is used, and reasons speak of what is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import pytest
from cases import declarations
from test_explain import PROGRAMS
from test_networks import NETWORKS

from symgrad.explain.formula import Big, Derivative, Entry, Iverson, Symbol, children, walk
from symgrad.explain.parts import Equation, Passage, Remark, Story
from symgrad.explain.scripts import TEXT
from symgrad.explain.story import DETAILS, Teller
from symgrad.language.reader import read
from symgrad.language.trace import Derived
from symgrad.library import DEFINITIONS
from symgrad.passes.derive import derive

LOGSUMEXP = "A: data[m, n]\nb: data[m]\nx: weight[n]\nloss = log(sum(exp(A @ x + b)))"
TOLD = {
    **PROGRAMS,
    "logsumexp": LOGSUMEXP,
    "named sum": "x: weight[n]\ns = sum(exp(x))\nloss = log(s)",
    "largest": "x: weight[n]\nloss = max(x)",
    "softmax": "x: weight[n]\nt: data[n] & distribution\nloss = -sum(t*log(softmax(x)))",
    "solve": "A: weight[n, n]\nb: weight[n]\nloss = sum(solve(A, b)**2)",
    "inv": "A: weight[n, n]\nloss = sum(inv(A)**2)",
    "det": "A: weight[n, n]\nloss = det(A)",
    "trace": "A: weight[n, n]\nloss = trace(A @ A.T)",
    "rnn": "x: data[t, i]\nloss = sum(rnn(x, 3)**2)",
    **{name: (NETWORKS / f"{name}.sg").read_text(encoding="utf-8") for name in ("digits", "recommender", "cnn")},
    **{name: text for k, (name, text) in enumerate(declarations().items()) if k % 24 == 1 and "Jacobian" not in name},
}  # fmt: skip


@cache
def derived(name: str) -> Derived:
    return derive(read(TOLD[name], definitions=DEFINITIONS))


def told(name: str, form: str, detail: str) -> tuple[Teller, Story]:
    teller = Teller(derived(name), form, detail)
    return teller, teller.tell()


def passages(story: Story) -> list[Passage]:
    return [p for p in story.passages if isinstance(p, Passage)]


def symbols(formulas: Iterable[object], teller: Teller) -> Iterator[str]:
    """The tensors that formulas name, besides those that a derivative is by."""
    for f in formulas:
        if isinstance(f, Derivative):
            continue
        if type(f) is Symbol and f.code in teller.cast.tensors and f == teller.cast.names.tensor(f.code):
            yield f.code
        elif not isinstance(f, (str, type(None))):
            yield from symbols(children(f), teller)


def repeated(story: Story) -> list[str]:
    """Numbers that stand at more than one equation."""
    count = Counter(n for p in passages(story) for e in p.equations for n in e.numbers)
    return [n for n, k in count.items() if k > 1]


def twice(story: Story) -> list[str]:
    """Left sides that are told again with something else on the right: in another passage than the first, and not as
    the result."""
    found: list[str] = []
    first: dict[str, tuple[int, Equation]] = {}
    for k, p in enumerate(passages(story)):
        for e in p.equations:
            if e.left is None or p.heading == ("Result",):
                continue
            left = TEXT.line(e.left)
            place, before = first.setdefault(left, (k, e))
            forward = p.heading[0] == "Forward" and before is not e
            writers = {s.out for s in before.statements} == {
                s.out for s in e.statements
            } and before.put == e.put
            if place != k or forward and not (writers and all(s.scan is not None for s in e.statements)):
                found.append(left)
    return found


def unsaid(teller: Teller, story: Story) -> list[str]:
    """Names of computed values that are used before they are defined."""
    found: list[str] = []
    defined: set[str] = set()
    notation = set(symbols((f for s in story.notation for f in s if not isinstance(f, str)), teller))
    for p in passages(story):
        for e in p.equations:
            own = set()
            if e.left is not None:
                base = e.left.base if isinstance(e.left, Entry) else e.left
                own = {base.code} if isinstance(base, Symbol) else set()
            loop = any(s.scan is not None for s in e.statements)
            for name in symbols((e.right,), teller):
                t = teller.cast.tensors[name]
                computed = t.role in ("value", "adjoint")
                signal = t.role == "adjoint" and teller.cast.tensors[t.of].role == "value"
                said = name in defined or name in own or loop or signal and bool(notation)
                if computed and not said:
                    found.append(f"{TEXT.line(e.left) if e.left else ''}: {name}")
            defined |= own
    return found


def unseen(teller: Teller, story: Story) -> list[str]:
    """What reasons speak of although no equation, heading or notation has it."""
    equations = [f for p in passages(story) for e in p.equations for f in (e.left, e.right) if f is not None]
    said = [
        f
        for s in (*story.notation, *(p.heading for p in passages(story)))
        for f in s
        if not isinstance(f, str)
    ]
    shown = {x.code for f in (*equations, *said) for x in walk(f) if type(x) is Symbol}
    found: list[str] = []
    for r in (r for p in passages(story) for r in p.remarks):
        spoken = symbols((f for f in r.sentence if not isinstance(f, str)), teller)
        lost = (n for n in spoken if n not in shown and teller.cast.tensors[n].role in ("value", "adjoint"))
        found += [f"{r.rule}: {TEXT.line(teller.cast.names.tensor(n))}" for n in lost]
    return found


def brackets(story: Story) -> list[Remark]:
    """Reasons that speak of a bracket where the equations of their passage have none."""
    found: list[Remark] = []
    for p in passages(story):
        shown = any(
            isinstance(x, Iverson) or isinstance(x, Big) and x.conditions
            for e in p.equations
            for x in walk(e.right)
        )
        found += [
            r
            for r in p.remarks
            if not shown and any(isinstance(s, str) and "bracket" in s for s in r.sentence)
        ]
    return found


@pytest.mark.parametrize("detail", DETAILS)
@pytest.mark.parametrize("form", ["matrix", "index"])
@pytest.mark.parametrize("name", TOLD)
def test_numbers_and_names_are_told_once_and_in_order(name: str, form: str, detail: str) -> None:
    teller, story = told(name, form, detail)
    assert not repeated(story)
    assert not twice(story)
    assert not unsaid(teller, story)
    assert not unseen(teller, story)
    assert not brackets(story)


def test_planted_faults_are_found() -> None:
    """A number at two equations, a definition that is missing, one with another value, a reason about what nobody
    sees, and one about a bracket that is not there."""
    teller, story = told("logsumexp", "matrix", "steps")
    forward, backward, *rest = passages(story)

    def planted(forward: Passage = forward, backward: Passage = backward) -> Story:
        return replace(story, passages=(forward, backward, *rest))

    first, second, *more = forward.equations
    assert repeated(
        planted(replace(forward, equations=(first, replace(second, numbers=first.numbers), *more)))
    )
    redefined = replace(forward, equations=(*forward.equations, replace(first, right=second.right)))
    assert twice(planted(redefined)) == ["u"]
    lacking = tuple(e for e in backward.equations if e.left is None or TEXT.line(e.left) != "p")
    assert unsaid(teller, planted(backward=replace(backward, equations=lacking)))
    remark = Remark(
        (), "substitution", ("What was found for ", teller.cast.names.tensor("dloss_3"), " is put in.")
    )
    assert unseen(teller, planted(backward=replace(backward, remarks=(remark,)))) == ["substitution: δs"]
    assert brackets(planted(backward=replace(backward, remarks=(replace(remark, sentence=("a bracket",)),))))
