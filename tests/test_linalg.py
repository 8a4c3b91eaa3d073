"""Matrix functions: inverse, solve, determinant, eigenvalues, powers and norms, and what they print."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

import symgrad as sg
from symgrad import emit
from symgrad.check import check
from symgrad.derivation import read_program
from symgrad.language import differentials, implicit, ints
from symgrad.language import expr as ex
from symgrad.language.bind import bind
from symgrad.language.program import Program, Statement, Tensor
from symgrad.language.reference import run
from symgrad.language.samples import inputs
from symgrad.language.trace import Derived
from symgrad.passes.derive import derive

SIZES = {"n": 3, "m": 4, "b": 2, "k": 5}
LINALG = np.linalg


def given(program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs of pairwise different sizes."""
    return inputs(program, {x: SIZES[x] for x in program.sizes}, np.random.default_rng(seed))


def value(text: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """What a text computes from arrays."""
    program = read_program(text)
    sizes, arrays = bind(program, arrays)
    return run(program, sizes, arrays)[program.target]


# ---------------------------------------------------------------------- values

A, S = "A: data[n, n]", "A: data[b, n, n]"
VALUES = [
    (A, "inv(A)", LINALG.inv),
    (A, "np.linalg.inv(A.T)", lambda A: LINALG.inv(A.T)),
    (S, "inv(A)", LINALG.inv),
    (S, "inv(A.mT)", lambda A: LINALG.inv(np.swapaxes(A, 1, 2))),
    (f"{A}; b: data[n]", "np.linalg.solve(A, b)", LINALG.solve),
    (f"{A}; B: data[n, m]", "solve(A, B)", LINALG.solve),
    (f"{A}; B: data[n, m]", "solve(A.T + 1, 2*B)", lambda A, B: LINALG.solve(A.T + 1, 2 * B)),
    (f"{S}; B: data[b, n, m]", "solve(A, B)", LINALG.solve),
    (f"{S}; B: data[n, m]", "solve(A, B)", LINALG.solve),
    (f"{A}; B: data[b, n, m]", "solve(A, B)", LINALG.solve),
    (f"{S}; v: data[n]", "solve(A, v)", LINALG.solve),
    (A, "det(A)", LINALG.det),
    (S, "np.linalg.det(A)", LINALG.det),
    (A, "logdet(A)", lambda A: LINALG.slogdet(A)[1]),
    (S, "np.linalg.slogdet(A)[1]", lambda A: LINALG.slogdet(A)[1]),
    (S, "np.linalg.slogdet(A)[0]", lambda A: LINALG.slogdet(A)[0]),
    (A, "cofactor(A)", lambda A: LINALG.det(A) * LINALG.inv(A).T),
    (A, "eigvals(A + A.T)", lambda A: LINALG.eigvalsh(A + A.T)),
    (S, "np.linalg.eigvalsh(A @ A.mT)", lambda A: LINALG.eigvalsh(A @ np.swapaxes(A, 1, 2))),
    (A, "np.linalg.eigh(A + A.T)[0]", lambda A: LINALG.eigvalsh(A + A.T)),
    (A, "abs(eigvecs(A + A.T))", lambda A: abs(LINALG.eigh(A + A.T)[1])),
    *((A, f"matrix_power(A, {k})", lambda A, k=k: LINALG.matrix_power(A, k)) for k in (0, 1, 2, 3, 5, -1, -2)),
    (S, "np.linalg.matrix_power(A, 3)", lambda A: LINALG.matrix_power(A, 3)),
    ("x: data[n]", "norm(x)", LINALG.norm),
    ("x: data[n]", "norm(x, 1)", lambda x: LINALG.norm(x, 1)),
    ("x: data[n]", "np.linalg.norm(x, ord=3)", lambda x: LINALG.norm(x, 3)),
    ("x: data[n]", "norm(x, 1.5)", lambda x: LINALG.norm(x, 1.5)),
    ("x: data[n]", "norm(x, np.inf)", lambda x: LINALG.norm(x, np.inf)),
    ("X: data[n, m]", 'norm(X, "fro")', LINALG.norm),
    ("X: data[n, m]", "norm(X, 1)", lambda X: LINALG.norm(X, 1)),
    ("X: data[n, m]", "norm(X, np.inf)", lambda X: LINALG.norm(X, np.inf)),
    ("X: data[n, m]", "norm(X, axis=0)", lambda X: LINALG.norm(X, axis=0)),
    ("X: data[n, m]", "norm(X, axis=1, keepdims=True)", lambda X: LINALG.norm(X, axis=1, keepdims=True)),
    ("X: data[n, m]", "norm(X, 3, axis=1)", lambda X: LINALG.norm(X, 3, axis=1)),
]  # fmt: skip


@pytest.mark.parametrize("declared, formula, numpy", VALUES, ids=[f"{f} of {d}" for d, f, _ in VALUES])
def test_a_value_is_numpys(declared, formula, numpy):
    text = f"{declared}; y = {formula}"
    program = read_program(text)
    arrays = given(program)
    found = value(text, arrays)
    assert found.shape == np.shape(numpy(*arrays.values()))
    np.testing.assert_allclose(found, numpy(*arrays.values()), rtol=1e-12, atol=1e-13)
    again = read_program(str(program))
    assert again.statements == program.statements
    assert str(again) == str(program)


# ---------------------------------------------------------------------- gradients

GRADIENTS = [
    "A: weight[n, n]; loss = logdet(A)",
    "A: weight[n, n]; loss = det(A)",
    "A: weight[n, n]; loss = np.log(np.linalg.det(A @ A.T))",
    "a: weight[n]; X: weight[n, n]; c: weight[n]; loss = a @ inv(X) @ c",
    "A: weight[n, n]; C: data[n, n]; loss = sum(C*inv(A.T)**2)",
    "A: weight[n, n]; b: weight[n]; c: data[n]; loss = c @ solve(A, b)",
    "A: weight[n, n]; B: weight[n, m]; C: data[n, m]; loss = sum(C*solve(A.T, B)**2)",
    "A: weight[b, n, n]; B: weight[n, m]; C: data[b, n, m]; loss = sum(C*solve(A, B)**2)",
    "A: weight[n, n]; B: weight[b, n, m]; C: data[b, n, m]; loss = sum(C*solve(A, B)**2)",
    "A: weight[b, n, n]; v: weight[n]; C: data[b, n]; loss = sum(C*solve(A, v)**2)",
    "A: weight[n, n]; C: data[n, n]; loss = sum(C*solve(A, A @ A)**2)",
    "A: weight[n, n]; c: data[n]; loss = sum(c*eigvals(A + A.T)**2)",
    "A: weight[n, n] & symmetric; c: data[n]; loss = sum(c*exp(eigvals(A)))",
    "X: weight[n, m]; c: data[n]; S = X @ X.T; loss = sum(c*log(eigvals(S)))",
    "A: weight[n, n]; C: data[n, n]; loss = sum(C*eigvecs(A + A.T)**2)",
    "A: weight[n, n]; C: data[n, n]; loss = sum(C*cofactor(A)**2)",
    "A: weight[b, n, n]; B: weight[b, n, n]; C: data[b, n, n]; loss = sum(C*minors(A, B)**2)",
    "A: weight[b, n, n]; c: data[b, n]; loss = sum(c*eigvals(A + A.mT)) + sum(logdet(A)*det(A)) + sum(inv(A)**3)",
    ("K: data[n, n]; y: weight[n]; a: weight; s: weight; S = exp(a)*(K @ K.T) + exp(s)*eye(n); "
    "loss = y @ solve(S, y)/2 + logdet(S)/2 + y @ inv(S) @ y"),
    "A: weight[n, n]; v: data[n]; loss = v @ matrix_power(A, 4) @ v + trace(matrix_power(A, -2))",
    "x: weight[n]; y: weight[n]; loss = norm(x - y, 3) + norm(x, 1)*norm(y, np.inf)",
    "X: weight[n, m]; loss = sum(norm(X, axis=1)**3) + norm(X, 'fro')",
    "X: weight[n, m]; C: data[m]; loss = sum(X/norm(X)*C)",
    "X: weight[n, m, k]; loss = norm(X) + sum(norm(X, axis=(0, 2))**3)",
    "X: weight[n, m]; d[i, j] = norm(X[i, :] - 2*X[j, :]); loss = sum(d**3)",
    "A: weight[b, n, n]; l[b] = logdet(A[b])*det(A[b]); loss = sum(l)",
    "A: weight[b, n, n]; B: weight[n, m]; l[b, k] = sum(i, solve(A[b], B)[i, k]**2); loss = sum(l)",
]  # fmt: skip


@pytest.mark.parametrize("text", GRADIENTS)
def test_a_gradient_agrees_with_complex_steps_in_all_realisations(text):
    d = sg.derive(text)
    verdict = d.check(given(d.program))
    assert verdict.worst < 1e-12, str(verdict)


@pytest.mark.parametrize("text", [t for t in GRADIENTS if "eig" in t or "det" in t])
def test_a_gradient_agrees_with_differences(text):
    """A judge that takes no complex matrix: the best of several steps of a five-point difference."""
    d = sg.derive(text)
    f, arrays = d.function(), given(d.program)
    name = next(iter(d.gradients))
    _, gradient = f(**arrays)
    rng = np.random.default_rng(1)
    v = rng.standard_normal(arrays[name].shape)
    if d.program[name].facts.symmetric:
        v = v + v.T

    def at(h):
        return f(**{**arrays, name: arrays[name] + h * v})[0]

    slopes = [(8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h) for h in (1e-2, 1e-3, 1e-4)]
    own = float((gradient[name] * v).sum())
    assert min(abs(s - own) for s in slopes) < 1e-8 * max(1, abs(own))


def test_the_gradient_of_det_is_right_at_a_singular_matrix():
    f = sg.derive("A: weight[n, n]; loss = det(A)").function()
    loss, g = f(A=[[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    assert abs(loss) < 1e-12
    np.testing.assert_allclose(g["A"], [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]], atol=1e-12)
    assert f(A=np.zeros((3, 3)))[1]["A"].tolist() == np.zeros((3, 3)).tolist()
    assert f(A=[[5.0]])[1]["A"].tolist() == [[1.0]]


# ---------------------------------------------------------------------- second derivatives


def directional(d: Derived, name: str) -> Program:
    """The program of the derivative along a direction, a new input, itself to be differentiated."""
    bar, t = d.gradients[name], d.program[name]
    axes = tuple((f"i_{k}", n) for k, n in enumerate(t.shape))
    at = tuple(ints.axis(a) for a, _ in axes)
    s = Statement("slope", (), "+=", ex.Access(bar, at) * ex.Access("along", at), axes)
    tensors = {**d.program.tensors, "along": Tensor("along", t.shape, "data"), "slope": Tensor("slope")}
    return replace(d.program, tensors=tensors, statements=(*d.program.statements, s), target="slope")


@pytest.mark.parametrize("text", GRADIENTS)
def test_second_derivatives_agree_with_complex_steps(text):
    first = derive(read_program(text))
    name = next(iter(first.gradients))
    second = derive(directional(first, name), [name])
    source = second.source
    rng = np.random.default_rng(2)
    arrays = inputs(source, {x: SIZES[x] for x in source.sizes}, rng)
    styles = {
        style: emit.load(emit.function_source(second, style=style), f"second_{style}")["loss_and_grad"]
        for style in ("readable", "fast")
    }
    verdict = check(second, arrays, realisations=styles)
    assert verdict.worst < 1e-10, str(verdict)


def test_the_second_derivative_of_logdet_is_the_textbooks():
    first = derive(read_program("A: weight[n, n]; loss = logdet(A)"))
    second = derive(directional(first, "A"), ["A"])
    rng = np.random.default_rng(3)
    a, v = rng.standard_normal((2, 3, 3))
    joint = run(second.program, {"n": 3}, {"A": a, "along": v})
    inverse = LINALG.inv(a)
    np.testing.assert_allclose(joint[second.gradients["A"]], -(inverse @ v @ inverse).T, rtol=1e-12)


def test_the_second_derivative_of_det_is_right_at_a_singular_matrix():
    a = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    _, found = sg.hessian("A: weight[n, n]; loss = det(A)").function()(A=a)
    sign = np.zeros((3, 3, 3))
    for k in range(3):
        sign[k, (k + 1) % 3, (k + 2) % 3], sign[k, (k + 2) % 3, (k + 1) % 3] = 1, -1
    known = np.einsum("ikp,jlq,pq->ijkl", sign, sign, a)
    np.testing.assert_allclose(found["A", "A"], known, atol=1e-12)
    _, zero = sg.hessian("A: weight[n, n]; loss = det(A)").function()(A=np.zeros((2, 2)))
    np.testing.assert_allclose(zero["A", "A"], np.einsum("ik,jl->ijkl", *[[[0, 1], [-1, 0]]] * 2), atol=1e-15)


# ---------------------------------------------------------------------- what is printed

PRINTED = [
    ("A: weight[n, n]; loss = logdet(A)", "A", "inv(A).T", r"A^{-\top}"),
    ("A: weight[n, n]; loss = np.log(np.linalg.det(A))", "A", "inv(A).T", r"A^{-\top}"),
    ("A: weight[n, n]; loss = log(abs(det(A)))", "A", "inv(A).T", r"A^{-\top}"),
    ("A: weight[n, n]; loss = det(A)", "A", "cofactor(A)", r"\operatorname{cof}(A)"),
    (
        "a: data[n]; X: weight[n, n]; c: data[n]; loss = a @ inv(X) @ c",
        "X", "-inv(X).T @ outer(a, c) @ inv(X).T", r"-X^{-\top} \, a c^{\top} \, X^{-\top}",
    ),
    (
        "A: weight[n, n]; b: data[n]; c: data[n]; loss = c @ solve(A, b)",
        "A", "-outer(solve(A.T, c), solve(A, b))", r"-A^{-\top} \, c \, (A^{-1} \, b)^{\top}",
    ),
    (
        "A: weight[n, n] & symmetric; c: data[n]; loss = sum(c*eigvals(A))",
        "A", "(c*eigvecs(A)) @ eigvecs(A).T", r"V(A) \, \operatorname{diag}(c) \, V(A)^{\top}",
    ),
    ("X: weight[n, m]; A: data[k, n]; B: data[m, k]; loss = trace(A @ X @ B)", "X", "A.T @ B.T", r"A^{\top} B^{\top}"),
    ("X: weight[n, n]; loss = trace(X)", "X", "eye(n)", r"\mathbf{I}"),
    ("x: data[n]; A: weight[n, n]; loss = x @ A @ x", "A", "outer(x, x)", r"x x^{\top}"),
    (
        "X: weight[n, n]; A: data[m, m]; loss = trace(kron(A, X))",
        "X", "trace(A)*eye(n)", r"\operatorname{tr}(A) \, \mathbf{I}",
    ),
    ("d: weight[n]; A: data[n, n]; loss = trace(A @ diag(d))", "d", "diag(A)", r"\operatorname{diag}(A)"),
    ("X: weight[n, n]; d: data[n]; loss = d @ diag(X)", "X", "diag(d)", r"\operatorname{diag}(d)"),
    (
        "X: weight[n, n]; A: data[n, n]; loss = sum(A*(tril(X) + tril(X, -1).T))",
        "X", "tril(A) + tril(A.T, -1)", r"\operatorname{tril}(A) + \operatorname{tril}(A^{\top}, -1)",
    ),
    ("X: weight[n, m]; loss = norm(X)**2", "X", "2*X", "2 X"),
    (
        "A: data[n, m]; x: weight[m]; y: data[n]; loss = norm(A @ x - y)**2",
        "x", "2 * A.T @ (A @ x - y)", r"2 \, A^{\top} (A x - y)",
    ),
    ("X: weight[n, n]; loss = logdet(inv(X))", "X", "-inv(X).T", r"-X^{-\top}"),
]  # fmt: skip


@pytest.mark.parametrize("text, name, code, latex", PRINTED)
def test_a_gradient_prints_in_matrix_form_and_reads_back(text, name, code, latex):
    d = sg.derive(text)
    assert str(d.gradients[name]) == code
    assert d.gradients[name].latex() == rf"\frac{{\partial L}}{{\partial {name}}} = {latex}"
    arrays = given(d.program)
    declared = "; ".join(line for line in str(d.program).splitlines() if ":" in line)
    read = value(f"{declared}; g = {code}".replace("weight", "data"), arrays)
    np.testing.assert_allclose(read, d.function()(**arrays)[1][name], rtol=1e-12)


@pytest.mark.parametrize("text", GRADIENTS)
def test_a_derivation_can_be_told_in_every_form(text):
    d = sg.derive(text)
    for told in (d.text(), d.latex(), d.latex(form="index"), d.text(detail="everything")):
        assert "Call" not in told


def test_a_derivation_tells_the_equation_that_is_differentiated():
    told = " ".join(sg.derive("A: weight[n, n]; b: data[n]; x = solve(A, b); loss = sum(x**2)").text().split())
    assert "Its equation A @ x = b gives A @ dx = db − dA @ x." in told
    told = sg.derive("A: weight[n, n]; y = inv(A); loss = sum(y**2)").latex()
    assert r"Its equation $A y = \mathbf{I}$ gives $A \, \mathrm{d}y = -\mathrm{d}A \, y$." in told
    told = " ".join(sg.derive("A: weight[n, n]; l = logdet(A); loss = l**2").text().split())
    assert "For small changes, dl = trace(A⁻¹ @ dA)." in told


def test_an_inverse_that_the_text_computes_is_used_again():
    d = sg.derive("A: weight[n, n]; Y = inv(A); loss = logdet(A) + sum(Y)")
    assert [s.op for s in d.derived.program.statements].count("inv") == 1


# ---------------------------------------------------------------------- refusals

REFUSED = [
    ("X: weight[n, m]; loss = sum(inv(X))", "inv takes a square matrix, and X is [n, m]"),
    ("A: weight[n, n]; b: data[m]; loss = sum(solve(A, b))", "so b has n rows, and it is [m]"),
    ("A: weight[n, n]; loss = sum(eigvals(A))", "`A: weight[n, n] & symmetric`, or write eigvals((A + A.T)/2)"),
    ("A: weight[n, n]; B = 2*A; loss = sum(eigvals(B))", "nothing shows that B is one: write eigvals((B + B.T)/2)"),
    ("A: weight[n, n]; loss = np.linalg.slogdet(A)", "slogdet(A)[1] is logdet(A)"),
    ("A: weight[n, n]; k: data; loss = sum(matrix_power(A, k))", "a whole number k from -64 to 64, not k"),
    ("A: weight[n, n]; loss = norm(A, 2)", 'norm(A, "fro")'),
    ("x: weight[n]; loss = norm(x, 0)", "the order of a norm is a positive number"),
    ("X: weight[n, m]; loss = sum(pinv(X))", "inv(A.T @ A) @ A.T"),
]  # fmt: skip


@pytest.mark.parametrize("text, said", REFUSED)
def test_what_cannot_be_is_refused_with_a_way_out(text, said):
    with pytest.raises(sg.SymgradError) as caught:
        sg.derive(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("style", ["readable", "fast"])
def test_equal_eigenvalues_are_refused_by_name_when_they_meet(style):
    d = sg.derive("A: weight[n, n] & symmetric; loss = max(eigvals(A))")
    for matrix in (np.eye(3), np.array([[2.0, 0, 0], [0, 1, 1], [0, 1, 1]])):
        with pytest.raises(sg.SymgradError, match="two eigenvalues are equal"):
            d.function()(A=matrix)
        f = emit.load(emit.function_source(d.derived, style=style), "equal")["loss_and_grad"]
        with pytest.raises(LINALG.LinAlgError, match="two eigenvalues are equal"):
            f(matrix)
        with pytest.raises(LINALG.LinAlgError, match="two eigenvalues are equal"):
            run(d.derived.program, {"n": 3}, {"A": matrix})


def test_a_length_has_slope_zero_at_zero_and_knows_no_overflow():
    f = sg.derive("x: weight[n]; loss = norm(x)").function()
    assert f(x=[0.0, 0.0])[0] == 0
    assert f(x=[0.0, 0.0])[1]["x"].tolist() == [0.0, 0.0]
    loss, g = f(x=[3e200, 4e200])
    assert loss == pytest.approx(5e200)
    np.testing.assert_allclose(g["x"], [0.6, 0.8])


def test_a_singular_matrix_is_refused():
    with pytest.raises(sg.SymgradError, match="singular"):
        sg.derive("A: weight[n, n]; loss = logdet(A)").function()(A=np.ones((3, 3)))


# ---------------------------------------------------------------------- listed and tested like every operation


@pytest.mark.parametrize("name", dict.fromkeys(map(implicit.spoken, implicit.IMPLICIT)))
def test_each_is_listed_shown_and_tested_by_its_name(name):
    assert f"  {name}(A" in sg.describe()
    assert "defined by an equation" in sg.describe(name)
    verdict = sg.check_op(name)
    assert verdict.ok, str(verdict)


def test_a_check_finds_sizes_at_which_matrices_are_regular():
    for text in ("X: weight[n, m]; loss = logdet(X.T @ X)", "X: weight[n, m]; loss = sum(inv(X @ X.T))"):
        assert sg.derive(text).check().ok


def test_a_module_with_matrix_functions_trains_and_checks_itself(tmp_path):
    model = sg.Model("""
        x: data[n, 3]
        y: data[n]
        w: weight[3]
        M: weight[3, 3] = normal(0.5)
        K = M @ M.T + eye(3)
        pred = solve(K, x.T).T @ w
        loss = mean((pred - y)**2) + 0.01*logdet(K) + 0.01*sum(eigvals(K)**2) + 0.01*norm(w)
    """)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    losses = {}
    for style in ("readable", "fast"):
        path = tmp_path / f"{style}.py"
        model.generate(path, optimizer="adam", style=style, lr=0.05)
        spec = importlib.util.spec_from_file_location(style, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.init(seed=0)
        assert module.check_gradients() < 1e-9
        before, _ = module.loss_and_grad(x, x.sum(1))
        for _ in range(50):
            module.step(x, x.sum(1))
        losses[style] = float(module.loss_and_grad(x, x.sum(1))[0])
        assert losses[style] < before / 2
    assert losses["readable"] == pytest.approx(losses["fast"], rel=1e-6)


# ---------------------------------------------------------------------- the judge can fail


@pytest.mark.parametrize("op", implicit.IMPLICIT)
def test_a_differential_wrong_by_a_thousandth_is_caught(op, monkeypatch):
    row = implicit.IMPLICIT[op]
    wrong = {**implicit.IMPLICIT, op: replace(row, terms=tuple(f"1.001*{t}" for t in row.terms))}
    other = {"solve": "solve(A + A.T, b)", "minors": "minors(A, A.T)"}
    other |= {"norm": "norm(A, axis=1)", "frobenius": "norm(A)"}
    applied = other.get(op) or f"{op}(A + A.T)"
    text = f"A: weight[n, n]; b: data[n]; loss = sum({'b*' * (op != 'solve')}{applied}**3)"
    program = read_program(text)
    assert check(derive(program), given(program)).ok
    differentials._stated.cache_clear()
    monkeypatch.setattr(differentials, "IMPLICIT", wrong)
    try:
        verdict = check(derive(program), given(program))
    finally:
        differentials._stated.cache_clear()
    assert not verdict.ok
    assert 1e-5 < verdict.worst < 1e-1
