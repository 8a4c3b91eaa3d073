"""Right and wrong answers: what is accepted, what is rejected, and what is said of it."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction

import numpy as np
import pytest
from test_explain import PROGRAMS

import symgrad as sg
from symgrad.cli import main
from symgrad.exact.reals import MATRICES, Exact
from symgrad.exact.signatures import chain
from symgrad.language.implicit import IMPLICIT
from symgrad.language.reference import FLOATS
from symgrad.leaves import LEAVES

LINE = "X: data[n, i]; y: data[n]; w: weight[i]; loss = mean((X @ w - y)**2)"
MLP = (
    "x: data[n, i]; t: data[n, k] & distribution; W1: weight[i, j]; b1: weight[j]; W2: weight[j, k]; b2: weight[k]; "
    "h = tanh(x @ W1 + b1); z = h @ W2 + b2; loss = -sum(t*log(softmax(z)))/n"
)
RIDGE = LINE.replace("loss = ", "lam: constant; loss = ") + " + lam*sum(w**2)"

# the numbers that equality is decided by


def test_primes_are_a_chain() -> None:
    primes = chain()
    for a, b in itertools.pairwise(primes):
        assert (a.p - 1) % b.p == 0 and a.p % 4 == 1
        assert pow(a.g, b.p, a.p) == pow(a.h, b.p, a.p) == 1 != a.g
        assert a.i**2 % a.p == a.p - 1


def test_scalar_functions_have_their_values() -> None:
    exact = Exact()
    for name, leaf in LEAVES.items():
        at = [1.25, 1.75] if name == "acosh" else [0.375, 0.75]
        values = [np.array(at), np.array([0.625, 0.25])][: len(leaf.params)]
        lifted = [np.array([exact.lift(x) for x in v], object) for v in values]
        got = exact.leaf(leaf, lifted).astype(float)
        np.testing.assert_allclose(got, FLOATS.leaf(leaf, values), rtol=1e-14, err_msg=name)


def test_matrix_functions_have_their_values() -> None:
    exact, rng = Exact(), np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 3, 3))
    lift = np.frompyfunc(exact.lift, 1, 1)
    assert set(MATRICES) == set(IMPLICIT)
    for op, (ranks, _) in MATRICES.items():
        given = [a, b][: len(ranks)]
        got, wanted = exact.implicit(op, list(map(lift, given))).astype(float), IMPLICIT[op].run(*given)
        if op == "eigvecs":  # up to their signs
            got, wanted = np.abs(got), np.abs(wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12, err_msg=op)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("exp(x + y)", "exp(x)*exp(y)", True),
        ("1 - tanh(x)**2", "1/cosh(x)**2", True),
        ("sigmoid(x)*(1 - sigmoid(x))", "exp(-x)/(1 + exp(-x))**2", True),
        ("tanh(tanh(x))", "(exp(2*tanh(x)) - 1)/(exp(2*tanh(x)) + 1)", True),
        ("sin(x)**2 + cos(x)**2", "1", True),
        ("sin(x + y)", "sin(x)*cos(y) + cos(x)*sin(y)", True),
        ("log(x**2 + y)/(x - y)", "-log(y + x*x)/(y - x)", True),
        ("erf(x)*y", "y*erf(x)", True),
        ("exp(x*y)", "exp(x)*exp(y)", False),
        ("tanh(tanh(x))", "tanh(x)", False),
        ("1 - tanh(x)**2", "1 - tanh(x)", False),
        ("erf(x)", "erf(y)", False),
        ("sin(x)", "cos(x)", False),
    ],
)
def test_signatures(a: str, b: str, same: bool) -> None:
    """Equal exactly where the formulas are equal; no digit is looked at."""
    from symgrad.language.reader import read
    from symgrad.language.reference import run

    exact = Exact()
    given = {"x": np.array(exact.number(Fraction(3, 7))), "y": np.array(exact.number(Fraction(5, 11)))}
    found = []
    for text in (a, b):
        program = read(f"x: data; y: data; f = {text} + 0*x*y")
        found.append(run(program, {}, given, object, exact)["f"][()])
    one, two = found
    assert one.signature and two.signature
    assert (one.signature[0] == two.signature[0]) == same


# answers that are right


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (LINE, "2/n * X.T @ (X @ w - y)"),
        (LINE, "w = 2/n * (X @ w - y) @ X"),
        (LINE, "dw[i] = 2/n*sum(n, (sum(j, X[n, j]*w[j]) - y[n])*X[n, i])"),
        (LINE, "g[j] = sum(m, 2*X[m, j]*(X[m, :] @ w - y[m]))/n"),
        (LINE, "r = X @ w - y; 2/n * X.T @ r"),
        (LINE, "y_hat = np.dot(X, w)\ne = y_hat - y\ndw = 2*np.dot(X.T, e)/X.shape[0]"),
        (LINE, "∂L/∂w = 2/n*(X.T @ X @ w - X.T @ y)"),
        (LINE, "(2*X*(X @ w - y)[:, None]).mean(axis=0)"),
        ("x: weight[n]; loss = sum(tanh(x))", "1/cosh(x)**2"),
        ("x: weight[n]; loss = sum(sigmoid(x))", "1/(2 + exp(x) + exp(-x))"),
        ("x: weight[n]; loss = sum(abs(x))", "x/abs(x)"),
        ("x: weight; loss = 3*x", "3"),
        ("x: weight[n]; loss = sum(x)", "1 + 0*x"),
        ("x: weight[n]; loss = mean(x)", "ones(n)/n"),
    ],
)
def test_right_answers(text: str, answer: str) -> None:
    grade = sg.derive(text).grade(answer)
    assert grade.right and grade and not grade.hint, grade


def test_names_of_the_problem_and_error_signals() -> None:
    d = sg.derive(MLP)
    grade = d.grade(
        W2="h.T @ (softmax(z) - t)/n",
        b2="sum(dz, axis=0)",
        W1="δz = (softmax(z) - t)/n; δh = δz @ W2.T; x.T @ (δh*(1 - h**2))",
        b1="p = softmax(z)\nnp.sum(((p - t)/n) @ W2.T * (1 - h**2), axis=0)",
    )
    assert grade.right and all(grade) and len(list(grade)) == 4
    assert d.grade(W1="x.T @ (δh*(1 - h*h))")


def test_facts_decide() -> None:
    """p - t needs that t sums to one."""
    right = "(softmax(z) - t)/n"
    assert sg.derive(MLP, wrt="z").grade(right)
    free = MLP.replace(" & distribution", "")
    assert not sg.derive(free, wrt="z").grade(right)
    assert sg.derive(free, wrt="z").grade("(softmax(z)*sum(t, axis=1, keepdims=True) - t)/n")


def test_other_derivatives() -> None:
    j = sg.jacobian("x: weight[n]; p = softmax(x)", wrt="x")
    assert j.grade("diag(p) - outer(p, p)")
    assert not j.grade("outer(p, p) - diag(p)")
    h = sg.hessian("A: data[n, n]; x: weight[n]; loss = x @ A @ x/2", wrt="x")
    assert h.grade({("x", "x"): "(A + A.T)/2"}) and not h.grade("A")


# functions and numbers


def test_functions() -> None:
    d = sg.derive(LINE)
    assert d.grade(w=lambda X, y, w: 2 * X.T @ (X @ w - y) / len(y))
    assert d.grade(w=lambda w, n, **rest: 2 * (rest["X"] @ w - rest["y"]) @ rest["X"] / n)
    assert not d.grade(w=lambda X, y, w: X.T @ (X @ w - y) / len(y))
    assert d.grade(w=lambda X, y, w: (0.0, {"w": 2 * X.T @ (X @ w - y) / len(y)}))
    tanh = sg.derive("x: weight[n]; loss = sum(tanh(x))")
    assert "exact" in tanh.grade(x=lambda x: 1 / np.cosh(x) ** 2).why
    assert "floating" in tanh.grade(x=lambda x: np.array([1 - float(np.tanh(float(v))) ** 2 for v in x])).why
    with pytest.raises(sg.SymgradError, match=r"asks for 'Y'.*did you mean 'y'"):
        d.grade(w=lambda X, Y, w: X)
    with pytest.raises(sg.SymgradError, match="raised ZeroDivisionError"):
        d.grade(w=lambda X: 1 / 0)


def test_numbers() -> None:
    d = sg.derive(LINE)
    at = {"X": np.eye(3, 2), "y": [1, 2, 3], "w": [0.5, 0.25]}
    assert d.grade(w=[-1 / 3, -7 / 6], at=at)
    assert d.grade(w=[-0.333, -1.17], at=at)
    assert not d.grade(w=[-0.334, -1.17], at=at)
    assert not d.grade(w=[0.333, 1.17], at=at)
    with pytest.raises(sg.SymgradError, match="at="):
        d.grade(w=[1, 2])
    with pytest.raises(sg.SymgradError, match="no array was given for y and w"):
        d.grade(w=[1, 2], at={"X": np.eye(3, 2)})


# answers of another shape


@pytest.mark.parametrize(
    ("key", "answer", "said"),
    [
        ("W2", "(softmax(z) - t).T @ h/n", "Jacobian layout"),
        ("W2", "(softmax(z) - t).T @ h", "other way round"),
        ("b2", "(softmax(z) - t)/n", "the sum over n is missing"),
        ("b2", "sum(softmax(z) - t, axis=1)/n", r"your answer is \[n\]"),
        ("b2", "sum((softmax(z) - t)/n)", "summed over k"),
        ("b2", "sum(softmax(z) - t, axis=0, keepdims=True)/n", "axis of one entry too many"),
        ("b2", "0", "a single number"),
    ],
)
def test_shapes(key: str, answer: str, said: str) -> None:
    grade = sg.derive(MLP).grade({key: answer})
    assert not grade.right and grade.hint
    assert re.search(said, grade.why), grade.why


# answers that cannot be read


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("2/n * x.T @ (X @ w - y)", "x is no name of this problem; did you mean 'X'"),
        ("2/n * X.T @ (X @ w - ", "a bracket is open"),
        ("", "empty"),
        ("w: data[n]", "an answer declares nothing"),
        ("X ^ 2", "is no power here"),
        ("__import__('os')", "two underscores"),
        ("sum(x*"*40, "nested|bracket"),
        ("X"*30_000, "characters"),
        ("X.T @ (X @ v - y)", "v is no name of this problem.*an answer may use X, y, w"),
        ("dw", "dw is no name"),
        ("[x for x in y]", "there is no `for` here"),
    ],
)  # fmt: skip
def test_unreadable(answer: str, said: str) -> None:
    with pytest.raises(sg.SymgradError, match=said):
        sg.derive(LINE).grade(w=answer)


QUADRATIC = "x: weight[n]; A: constant[n, n]; b: constant[n]; loss = x @ A @ x/2 - b @ x"


@pytest.mark.parametrize(
    ("text", "answer", "said"),
    [
        (QUADRATIC, "A @ x - b", "A is taken for symmetric"),
        (QUADRATIC, "A.T @ x - b", "A is t"),
        (QUADRATIC, "(A + A.T) @ x - b", "in all but the part .* through b @ x the factor 2 is too much"),
        ("x: weight[n]; A: constant[n, n]; loss = x @ A @ x", "2*A @ x", "A is taken for symmetric"),
        (LINE, "2.0000000001/n * X.T @ (X @ w - y)", "it is nearly right"),
    ],
)  # fmt: skip
def test_no_mistake_explains_another_away(text: str, answer: str, said: str) -> None:
    (name,) = sg.derive(text).gradients
    grade = sg.derive(text).grade({name: answer})
    assert not grade.right and re.match(said, grade.mistake) and "; and" not in grade.mistake


def test_mistakes_that_divide_by_zero_are_passed_over() -> None:
    d = sg.derive("p: 0 < weight < 1; t: data; loss = -(t*log(p) + (1-t)*log(1-p))")
    for answer in ("p - t", "(p-t)/p*(1-p)"):
        assert not d.grade(p=answer).right


def test_what_differs_beyond_a_kink_only_is_not_nearly_right() -> None:
    d = sg.derive("w: weight[n]; m: constant > 0; x: data[n]; y: data; loss = max(0, m - y*(w @ x))")
    grade = d.grade(w="-y*x")
    assert not grade.right and "rounded" not in grade.why


def test_a_function_without_return() -> None:
    with pytest.raises(sg.SymgradError, match="`return` is missing"):
        sg.derive(LINE).grade(w=lambda X, y, w: None)


def test_wrong_calls() -> None:
    d = sg.derive(MLP)
    with pytest.raises(sg.SymgradError, match="no result by 'w1'; did you mean 'W1'"):
        d.grade(w1="0")
    with pytest.raises(sg.SymgradError, match="say for which"):
        d.grade("0")
    with pytest.raises(sg.SymgradError, match="nothing to grade"):
        d.grade()
    with pytest.raises(sg.SymgradError, match="it is object"):
        d.grade(W1=object())


# the command


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", LINE, "--answer", "w=2/n * X.T @ (X @ w - y)"]) == 0
    assert "w: right" in capsys.readouterr().out
    assert main(["grade", LINE, "--answer", "1/n * X.T @ (X @ w - y)", "--hint"]) == 1
    hint = capsys.readouterr().out
    assert hint and "X.T" not in hint
    assert main(["grade", LINE, "--answer", "w=X.T @ Y", "--solution"]) == 2
    said = capsys.readouterr().err
    assert "Y is no name of this problem" in said and "^" in said
    assert main(["grade", LINE, "--answer", "0*w", "--solution"]) == 1
    assert "Result" in capsys.readouterr().out


def test_command_with_numbers(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = tmp_path / "inputs.json"
    inputs.write_text('{"X": [[1, 0], [0, 1], [0, 0]], "y": [1, 2, 3], "w": [0.5, 0.25]}')
    assert main(["grade", LINE, "--answer", "w=[-0.3333, -1.1667]", "--at", str(inputs)]) == 0
    assert main(["grade", LINE, "--answer", "w=[-0.3333, 1.1667]", "--at", str(inputs)]) == 1
    inputs.write_text("{")
    assert main(["grade", LINE, "--answer", "w=[0, 0]", "--at", str(inputs)]) == 2
    assert "it is no JSON" in capsys.readouterr().err


# mistakes

TWO = (
    "x: data[n, i]; t: data[n, k] & distribution; lam: constant; W1: weight[i, j]; b1: weight[j]; W2: weight[j, k]; "
    "b2: weight[k]; u = x @ W1 + b1; h = tanh(u); z = h @ W2 + b2; "
    "loss = -sum(t*log(softmax(z)))/n + lam*sum(W1**2) + lam*sum(W2**2)"
)
SHARED = "W: weight[i, i]; x: data[n, i]; h = tanh(x @ W); g = tanh(h @ W); loss = mean(g**2)"
SIGMOID = "x: data[n]; y: data[n]; w: weight; b: weight; s = sigmoid(w*x + b); loss = mean((s - y)**2)/2"
LABELS = "x: data[n, i]; t: label[n] < 5; W: weight[i, 5]; z = x @ W; loss = softmax_cross_entropy(z, t)"
RELU = "x: data[n, i]; W: weight[i, j]; b: weight[j]; t: data[n, j]; h = relu(x @ W + b); loss = sum((h - t)**2)/2"
HINGE = "x: data[n, i]; w: weight[i]; y: data[n]; m: constant; loss = sum(maximum(0, m - y*(x @ w)))"
HINGE_SLOPE = "-([0 == m - y * (x @ w)]/2 + [0 < m - y * (x @ w)]) * y"
P, D = "p = softmax(z); ", "D = 2*g*(1 - g**2)/(n*i); "

MISTAKES = [
    (LINE, "w", "1/n * X.T @ (X @ w - y)", "the factor 2 is missing"),
    (LINE, "w", "4/n * X.T @ (X @ w - y)", "the factor 2 is too much"),
    (LINE, "w", "2 * X.T @ (X @ w - y)", "the factor 1/n is missing"),
    (LINE, "w", "2/n**2 * X.T @ (X @ w - y)", "1/n stands there once too often"),
    (LINE, "w", "2/n/i * X.T @ (X @ w - y)", "1/i is too much"),
    (LINE, "w", "2/n * X.T @ (y - X @ w)", "the sign is wrong"),
    (LINE, "w", "-X.T @ (X @ w - y)", "the sign is wrong and the factor 2 is missing and the factor 1/n is missing"),
    (LINE, "w", "2/n * X.T @ (X @ w + y)", "the sign of -y is wrong"),
    (LINE, "w", "2/n * X.T @ X @ w", "the term -y is forgotten"),
    (LINE, "w", "1/n * X.T @ (X @ w - y)**2", "itself stands where its derivative belongs"),
    (RIDGE, "w", "2/n * X.T @ (X @ w - y) + lam*w", "in the regularisation of w the factor 2 is missing"),
    (RIDGE, "w", "2/n * X.T @ (X @ w - y)", "the regularisation of w is forgotten"),
    (TWO, "W2", P + "h.T @ (p - t) + 2*lam*W2", "the factor 1/n is missing, in the derivative"),
    (TWO, "W2", P + "u.T @ (p - t)/n + 2*lam*W2", "u stands where h belongs"),
    (TWO, "b2", P + "sum(p - t, axis=0)/n + 2*lam*b2", "b2 is not regularised"),
    (TWO, "W1", P + "x.T @ ((p - t)/n @ W2.T) + 2*lam*W1", "the derivative of tanh is forgotten"),
    (TWO, "W1", P + "x.T @ ((p - t)/n @ W2.T*(1 - u**2)) + 2*lam*W1", "stands u where tanh(u) belongs"),
    (TWO, "W1", P + "x.T @ ((p - t)/n @ W2.T*(1 - tanh(h)**2)) + 2*lam*W1", "is taken at tanh(u), and belongs at u"),
    (TWO, "b1", P + "sum((p - t)/n @ W2.T*h, axis=0)", "tanh itself stands where its derivative belongs"),
    (TWO, "W1", P + "x.T @ ((p - t) @ W2.T*(1 - h**2)) + 2*lam*W1", "the factor 1/n is missing, in the derivative"),
    (TWO, "W1", P + "2*x.T @ ((p - t)/n @ W2.T) + 4*lam*W1", "in the step from h back to u; and the factor 2"),
    (SHARED, "W", "h.T @ (2*g*(1 - g**2))/(n*i)", "through x @ W is forgotten: W is used in more than one place"),
    (SHARED, "W", D + "x.T @ (D @ W.T*(1 - h**2))", "through h @ W is forgotten"),
    (SHARED, "W", D + "h.T @ D + x.T @ (D @ W*(1 - h**2))", "W is transposed the other way"),
    (LABELS, "W", P + "q[n, j] = [j == t[n] - 1], j < 5; x.T @ (p - q)/n", "labels t are off by one"),
    (SIGMOID, "w", "mean((s - y)*x)", "the derivative of sigmoid is forgotten"),
    (SIGMOID, "w", "u = w*x + b; mean((s - y)*u*(1 - u)*x)", "stands w*x + b where sigmoid(w*x + b) belongs"),
    (SIGMOID, "w", "mean((s - y)*s*(1 - s))", "this is the derivative by b"),
    (HINGE, "w", "-x.T @ y", "the derivative of maximum is forgotten, in the step from loss back to x @ w"),
    (RELU, "W", "x.T @ (h - t)", "the derivative of relu is forgotten, in the step from h back to x @ W + b"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "answer", "said"), MISTAKES)
def test_mistakes_are_named(text: str, key: str, answer: str, said: str) -> None:
    grade = sg.derive(text).grade({key: answer})
    assert not grade.right
    assert said in grade.mistake, grade.mistake
    assert grade.mistake in grade.why and grade.hint.endswith((".", "?")) and grade.hint not in grade.why


REPAIRS = [
    (LINE, "w", "2/n * X @ (X @ w - y)",
     "a transpose is missing: the inner sizes i and n differ; X must be transposed here"),
    (LINE, "w", "sum(X*(X @ w - y)[:, None], axis=-1)*2/n", "summed over the wrong axis: axis=-1 should be axis=0"),
    (LINE, "w", "(X*(X @ w - y)[:, None]).sum(1)*2/n", "summed over the wrong axis: axis=1 should be axis=0"),
    (RELU, "W", "x @ (h - t)", "x must be transposed here; and the derivative of relu is forgotten"),
    (RELU, "W", "x.T*(h - t)", "one of matrices, `@`, and not entry by entry; and the derivative of relu is forgotten"),
    (RELU, "b", "sum(h - t, axis=1)", "axis=1 should be axis=0; and the derivative of relu is forgotten"),
    (LINE, "w", "2/n * X.T @ (X.T @ w - y)", "X.T is not to be transposed here"),
    (LINE, "w", "2/n * X.T * (X @ w - y)", "the sum over n is missing"),
    (LINE, "w", "1/n * X.T * (X @ w - y)", "one of matrices, `@`, and not entry by entry; and the factor 2 is missing"),
    (MLP, "W2", "(softmax(z) - t) @ h.T/n", "stand in the wrong order"),
    (MLP, "b2", "sum(softmax(z) - t, axis=1)/n", "axis=1 should be axis=0"),
    (MLP, "W1", "x.T @ ((softmax(z) - t)/n @ W2 * (1 - h**2))", "W2 must be transposed here"),
    (MLP, "W1", "x.T @ ((softmax(z) - t)/n @ W2.T @ (1 - h**2))", "is entry by entry, `*`, and not of matrices"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "key", "answer", "said"), REPAIRS)
def test_what_would_be_right(text: str, key: str, answer: str, said: str) -> None:
    """Answers whose sizes do not fit, or that are written with the wrong product."""
    grade = sg.derive(text).grade({key: answer})
    assert not grade.right and said in grade.mistake, grade.why


@pytest.mark.parametrize(
    ("text", "key", "answer", "said"),
    [
        (LINE, "w", "2/n * X.T @ X @ w + 2/n * X.T @ y", "the term 2/n * X.T @ y should be -2/n * X.T @ y"),
        (LINE, "w", "2/n * X.T @ (X @ w)", "a term is missing: -2/n * X.T @ y"),
        (LINE, "w", "2/n * X.T @ (X @ w - y) + w", "there is a term too many: w"),
        (LINE, "w", "r = X @ w - 2*y; 2/n * X.T @ r", "the term -2/n * X.T @ (2 * y) should be -2/n * X.T @ y"),
        (RIDGE, "w", "2/n * X.T @ (X @ w - y) + lam*w", "the term lam * w should be 2 * lam * w"),
        (LINE, "w", "g[i] = 2/n*sum(n, X[n, i]*(sum(j, X[n, j]*w[j]) + y[n]))",
         "the term 2/n * sum(n, X[n, i] * y[n]) should be -2/n * sum(n, y[n] * X[n, i])"),
        (HINGE, "w", "-x.T @ y",
         f"the term -x.T @ y should be x.T @ dloss_1, where dloss_1 = {HINGE_SLOPE}"),
        (LINE, "w", "p = X @ w - y; 2/n * X.T @ (p*(1 + w[0]))",
         "there is a term too many: 2/n * X.T @ (X @ w * w[0])"),
    ],
)  # fmt: skip
def test_first_term_that_differs(text: str, key: str, answer: str, said: str) -> None:
    grade = sg.derive(text).grade({key: answer})
    assert grade.difference == said and said in grade.text(200)


def test_what_no_repair_makes_fit() -> None:
    """No repair is offered that would fit and be no derivative."""
    with pytest.raises(
        sg.SymgradError, match=r"x\.T is \[i, n\] and 0\.2 \* W is \[i, j\]: the inner sizes n and i differ\n"
    ):
        sg.derive(RELU).grade(W="x.T @ (0.2*W)")


def test_hints() -> None:
    d = sg.derive(TWO)
    one, two, three = (d.hint("b1", k).text() for k in (1, 2, 3))
    assert "u = x @ W1 + b1" in one and "is read in one place" in one and "sum(δu" not in one
    assert "Σ_n δu[n, j]·∂u[n, j]/∂b1[j]" in two and "sum(δu" not in two
    assert "sum(δu, axis=0)" in three
    assert "is read in 2 places" in sg.derive(SHARED).hint().text()
    assert "\\frac{\\partial" in d.hint("b1", 2).latex() and "frac" in d.hint("b1", 2).markdown()
    with pytest.raises(sg.SymgradError, match="say for which"):
        d.hint()
    with pytest.raises(sg.SymgradError, match="no result by 'B1'"):
        d.hint("B1")
    with pytest.raises(sg.SymgradError, match="level 1"):
        d.hint("b1", 4)


def test_hints_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", LINE, "--hint", "2"]) == 0
    assert "∂u[n]/∂w[i]" in capsys.readouterr().out


def test_documents_of_a_grade() -> None:
    grade = sg.derive(LINE).grade(w="2*X.T @ (X @ w - y)")
    for text in (grade.text(), grade.latex(), grade.markdown(), grade.html(), str(grade)):
        assert "factor 1/n" in text and "X.T @ (X @ w - y)" in text
    assert sg.derive(LINE).grade(w="2*X.T @ (X @ w - y)").solution == "2/n * X.T @ (X @ w - y)"


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_a_terminal_prints_is_an_answer(name: str) -> None:
    """Results copied from the terminal are accepted, with the parts above them, where all of it is in matrix form."""
    d = sg.derive(PROGRAMS[name])
    told = d.text(width=10_000, detail="result").partition("\nResult\n")[2].splitlines()
    lines = [line.strip() for line in told if line.strip()]
    parts = [line for line in lines if not line.startswith("∂")]
    printed = {line.partition(" = ")[0]: line for line in lines if line.startswith("∂")}
    accepted = 0
    for key in d.gradients:
        line = printed.get(f"∂L/∂{key}")
        if line is not None and not re.search(r"Σ|Π|′|\[", "".join([*parts, line])):
            assert d.grade({key: "\n".join([*parts, line])}), line
            accepted += 1
    assert accepted or name not in ("line", "ridge", "student", "shared", "quadratic", "sigmoid", "logits", "leaves")


def test_signs_of_printed_mathematics_in_answers() -> None:
    d = sg.derive(LINE)
    residual = "Xᵀ @ (X @ w − y)"
    for text in (f"2/n · {residual}", "2/n × (X⊤ @ (X @ w – y))", f"2·n⁰/n · {residual}", f"2·n⁻² · n · {residual}"):
        assert d.grade(w=text), text
    assert not d.grade(w="2/n · Xᵀ @ (X @ w + y)")
    d = sg.derive("A: weight[n, n]; B: data[n, n]; loss = trace(inv(A) @ B)")
    assert d.grade(A="−(A⁻¹ @ B @ A⁻¹)ᵀ") and d.grade(A="−A⁻ᵀ @ Bᵀ @ (A)⁻ᵀ")
