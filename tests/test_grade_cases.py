"""Every case graded: the right answer in three ways of writing, as a function and as numbers; classic mistakes; random
changes."""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from cases import cases, declarations

import symgrad as sg
from symgrad.exact.equality import close, same_digits
from symgrad.exact.points import points
from symgrad.exact.ways import has_kinks
from symgrad.explain import result_text
from symgrad.explain.grading.candidates import Wrong, candidates
from symgrad.explain.grading.truth import Truth
from symgrad.language.trace import Key

CASES = cases()
DECLARED = declarations()
QUICK = [
    "cs231n_circuit_mul", "cs231n_staged", "cs231n_affine", "cs231n_softmax_temperature", "act_glu", "act_softmax_jac",
]  # fmt: skip


@cache
def derivation(heading: str) -> sg.Derivation:
    case = CASES[heading.partition(":")[0]]
    text = DECLARED[heading]
    return sg.jacobian(text, wrt=case.wrt) if case.kind == "jacobian" else sg.derive(text, wrt=case.wrt)


# where the case's own function holds for its own sizes or inputs only: labels of 0 and 1, or of -1 and 1; matrices
# that are symmetric and not declared so; no state
FIXED = (
    "cs231n_conv_fwd",
    "cs231n_maxpool_fwd",
    "lay_batchnorm1d: the library's",
    "loss_cosine_embedding",
    "loss_focal: the library's",
    "loss_poisson_deviance",
    "mc126_trace_ratio",
    "mc128_tr_sin",
    "num_poisson_zero",
    "tg_inverse_quadratic",
)
# what prints its result as a recurrence from the last step back, which the language cannot read
BACKWARD = (
    "cs231n_rnn_seq",
    "nielsen_train_quadratic",
    "lay_power_series: a recurrence",
    "mc128_tr_sin: a recurrence",
)


def forms(heading: str, d: sg.Derivation, key: Key) -> Iterator[str]:
    """The right answer as it is printed in two forms, and once written differently."""
    if heading.startswith(BACKWARD):
        return
    matrix, index = d.gradients[key].text("matrix"), d.gradients[key].text("index")
    yield matrix
    yield index
    yield with_last(matrix, lambda e: f"-(1 - 2*({e})) + (1 - ({e}))")


def with_last(text: str, change) -> str:
    """A text with the formula of its last line changed, a range said after it kept."""
    *before, last = text.split("\n")
    tree = ast.parse(last).body[0]
    assert isinstance(tree, (ast.Assign, ast.Expr))
    value = tree.value.elts[0] if isinstance(tree.value, ast.Tuple) else tree.value
    changed = ast.parse(change(ast.unparse(value))).body[0].value
    if isinstance(tree.value, ast.Tuple):
        tree.value.elts[0] = changed
        said = ", ".join(map(ast.unparse, tree.value.elts))  # without the parentheses of a tuple
        last = f"{ast.unparse(tree.targets[0])} = {said}"
    else:
        tree.value = changed
        last = ast.unparse(tree)
    return "\n".join([*before, last])


def accepted(heading: str) -> None:
    d, case = derivation(heading), CASES[heading.partition(":")[0]]
    for key in d.gradients:
        for text in forms(heading, d, key):
            grade = d.grade({key: text})
            assert grade.right, f"{heading}, {key}:\n{text}\n{grade}"
        if not heading.startswith(FIXED):
            assert d.grade({key: case.grad[key]}), f"{heading}, {key}: the function"
        given = case.make(0)
        at = {t.name: given[t.name] for t in d.program.inputs if t.name in given}
        assert d.grade({key: case.grad[key](**given)}, at=at), f"{heading}, {key}: the numbers"


@pytest.mark.parametrize("heading", QUICK)
def test_right_answers(heading: str) -> None:
    accepted(heading)


@pytest.mark.long
@pytest.mark.parametrize("heading", DECLARED)
def test_every_right_answer(heading: str) -> None:
    accepted(heading)


# classic mistakes


def wrong_answers(d: sg.Derivation, key: Key) -> Iterator[tuple[str, str, str | np.ndarray]]:
    """Answers with one classic mistake of each kind: the kind, what is said of it, and the answer.

    Constant factors are put into the printed result; other mistakes are made in the derivation, which is then printed.
    What prints as a recurrence from the last step back, which the language cannot read, and what is computed from a
    transposed matrix are answered in numbers, at the inputs of `numbers_at`.
    """
    truth = d._truth
    right = [np.asarray(truth.right(key, k), float) for k in truth.telling(key)]
    if any(map(np.any, right)):
        yield "factor", "the factor 2", changed_result(d, key, "2*({})", 2 * right[0])
        yield "sign", "the sign is wrong", changed_result(d, key, "-({})", -right[0])
        for n in d.program.sizes[:1]:
            size = truth.place(truth.telling(key)[0]).sizes[n]
            yield "factor", n, changed_result(d, key, f"({{}})/{n}", right[0] / size)
    met: set[str] = set()
    for mistake, run in candidates(truth, key):
        if mistake.kind in met or not isinstance(run, Wrong):
            continue
        arrays = [run(k) for k in truth.telling(key)]
        if any(a is None or not np.isfinite(a).all() for a in arrays):
            continue
        if all(close(a, b, 1e-7) for a, b in zip(arrays, right, strict=True)):
            continue  # it changes nothing
        if is_backward(d, key) or "taken for symmetric" in mistake.why:
            met.add(mistake.kind)
            yield mistake.kind, mistake.why, arrays[0]
            continue
        answer = result_text(run.derived, key)
        given = truth.desk(key).read(answer)
        printed = [np.asarray(truth.value(given, k), float) for k in truth.telling(key)]
        for a, b in zip(arrays, printed, strict=True):
            assert close(a, b, 1e-7), f"{mistake.why} prints as\n{answer}"
        met.add(mistake.kind)
        yield mistake.kind, mistake.why, answer


def is_backward(d: sg.Derivation, key: Key) -> bool:
    """Whether a result prints as a recurrence from the last step back."""
    try:
        d._truth.desk(key).read(d.gradients[key].text("matrix"))
    except sg.SymgradError:
        return True
    return False


def changed_result(d: sg.Derivation, key: Key, how: str, numbers: np.ndarray) -> str | np.ndarray:
    if is_backward(d, key):
        return numbers
    return with_last(d.gradients[key].text("matrix"), how.format)


def numbers_at(d: sg.Derivation, key: Key) -> dict[str, np.ndarray]:
    """The inputs of answers in numbers."""
    return dict(d._truth.place(d._truth.telling(key)[0]).floats)


def rejected(heading: str, seen: Counter[str]) -> None:
    d = derivation(heading)
    for key in d.gradients:
        for kind, why, answer in wrong_answers(d, key):
            grade = d.grade({key: answer}, at=None if isinstance(answer, str) else numbers_at(d, key))
            seen[kind] += 1
            assert not grade.right, f"{heading}, {key}, {why}:\n{answer}"
            assert grade.mistake, f"{heading}, {key}: not named: {why}\n{answer}"
            assert grade.hint
    zero = all(not np.any(d._truth.right(key, k)) for key in d.gradients for k in d._truth.telling(key))
    assert seen or zero, f"{heading}: no mistake can be made"


@pytest.mark.parametrize("heading", ["cs231n_staged", "cs231n_affine"])
def test_mistakes(heading: str) -> None:
    seen: Counter[str] = Counter()
    rejected(heading, seen)
    assert len(seen) > 1


@pytest.mark.long
@pytest.mark.parametrize("heading", [h for h in DECLARED if ":" not in h])
def test_every_mistake(heading: str, record_property) -> None:
    seen: Counter[str] = Counter()
    rejected(heading, seen)
    record_property("mistakes", dict(seen))


# random changes


class Mutation(ast.NodeTransformer):
    """One random change of a formula: a sign, a number, a function, a name, an index, a factor or a term less."""

    def __init__(self, tree: ast.AST, names: list[str], rng: random.Random):
        self.rng, self.names = rng, names
        nodes = [
            n
            for n in ast.walk(tree)
            if isinstance(n, (ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Call))
        ]
        self.chosen = rng.choice(nodes) if nodes else None

    def visit(self, node: ast.AST) -> ast.AST:
        if node is not self.chosen:
            return super().generic_visit(node)
        rng = self.rng
        match node:
            case ast.BinOp(left=a, op=(ast.Add() | ast.Sub()) as op, right=b):
                flipped = ast.Sub() if isinstance(op, ast.Add) else ast.Add()
                return rng.choice([a, b, ast.BinOp(a, flipped, b), ast.BinOp(b, op, a)])
            case ast.BinOp(left=a, op=(ast.Mult() | ast.Div() | ast.MatMult()) as op, right=b):
                return rng.choice([a, b, ast.BinOp(b, op, a), ast.BinOp(a, ast.Mult(), b)])
            case ast.BinOp(left=a, op=ast.Pow(), right=b):
                return rng.choice([a, ast.BinOp(a, ast.Pow(), ast.BinOp(b, ast.Add(), ast.Constant(1)))])
            case ast.UnaryOp(operand=a):
                return a
            case ast.Constant(value=bool() | str()):
                return node
            case ast.Constant(value=v):
                return ast.Constant(rng.choice([v + 1, v + 2, 2 * v, 7]))
            case ast.Name(id=name) if name in FUNCTIONS:
                return ast.Name(rng.choice(FUNCTIONS), node.ctx)
            case ast.Name():
                return ast.Name(rng.choice(self.names), node.ctx)
            case ast.Call(func=ast.Name(id=name), args=[a]) if name in FUNCTIONS:
                return rng.choice([a, ast.Call(ast.Name(rng.choice(FUNCTIONS), ast.Load()), [a], [])])
        return node


FUNCTIONS = ["exp", "log", "tanh", "sigmoid", "sin", "cos", "sqrt", "relu", "abs", "cosh"]


def mutated(text: str, names: list[str], rng: random.Random) -> str:
    """A text with one random change in a formula of it."""
    lines = text.split("\n")
    k = rng.randrange(len(lines))
    tree = ast.parse(lines[k]).body[0]
    value = tree.value.elts[0] if isinstance(tree.value, ast.Tuple) else tree.value
    changed = ast.unparse(ast.fix_missing_locations(Mutation(value, names, rng).visit(value)))
    rest = [ast.unparse(e) for e in tree.value.elts[1:]] if isinstance(tree.value, ast.Tuple) else []
    left = f"{ast.unparse(tree.targets[0])} = " if isinstance(tree, ast.Assign) else ""
    lines[k] = left + ", ".join([changed, *rest])
    return "\n".join(lines)


def truly_equal(truth: Truth, key: Key, text: str) -> bool:
    """Whether an answer has the derivative's value to 40 digits at further random inputs."""
    answer = truth.desk(key).read(text)
    other = Truth(truth.derived)
    other.points = points(truth.derived, seed=1, more=20 if truth.kinks or has_kinks(answer.program) else 4)
    # an answer that is right on one side of a far kink only is also judged where the grader looks
    if truth.kinks or has_kinks(answer.program):
        other.points = [*other.points, *truth.points, *truth.scouts]
    for k, point in enumerate(other.points):
        a = np.asarray(other.value(answer, k, exact=True), object)
        b = np.asarray(other.right(key, k, exact=True), object)
        if a.shape != b.shape or not same_digits(a, b, point.exact):
            return False
    return True


def changed_at_random(count: int, headings: list[str], seed: int) -> Counter[str]:
    """So many random changes that change the value, and how all were judged; a wrong judgement fails."""
    rng, found = random.Random(seed), Counter[str]()  # noqa: S311
    while found["changed"] < count:
        heading = rng.choice(headings)
        d = derivation(heading)
        key = rng.choice(list(d.gradients))
        truth = d._truth
        names = [t.name for t in d.program.inputs] + list(d.program.sizes)
        text = mutated(d.gradients[key].text(rng.choice(["matrix", "index"])), names, rng)
        try:
            right = accepts(truth, key, text)
        except sg.SymgradError:
            found["unreadable"] += 1
            continue
        same = truly_equal(truth, key, text)
        found["same" if same else "changed"] += 1
        assert right == same, f"{heading}, {key}: {'accepted' if right else 'rejected'}\n{text}"
    return found


def accepts(truth: Truth, key: Key, text: str) -> bool:
    """The verdict, without looking for the mistake."""
    from symgrad.explain.grading.grade import decided

    answer = truth.desk(key).read(text)
    return decided(truth, key, lambda k, exact: np.asarray(truth.value(answer, k, exact=exact)), answer).right


SMALL = ["cs231n_circuit_mul", "cs231n_staged", "cs231n_svm_vs_softmax", "cs231n_softmax_temperature"]


def test_random_changes() -> None:
    found = changed_at_random(25, SMALL, 0)
    assert found["changed"] >= 25


@pytest.mark.long
def test_a_thousand_random_changes(record_property) -> None:
    light = [h for h in DECLARED if ":" not in h and not h.startswith(("lay_", "nielsen_train"))]
    found = changed_at_random(1000, light, 1)
    record_property("random changes", dict(found))
    assert found["changed"] >= 1000 and found["same"]
