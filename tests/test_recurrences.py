"""Recurrences: loops and their reversed adjoints, in every realisation, against complex steps and PyTorch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import symgrad as sg
from symgrad.language.expr import Access
from symgrad.language.program import Program, Statement, Tensor, blocks
from symgrad.language.reference import run
from symgrad.language.samples import inputs, small_sizes
from symgrad.passes.derive import derive as run_passes

CASES = {
    "rnn": """
x: data[n, T, i]
W: weight[i, j]
U: weight[j, j]
b: weight[j]
h0: weight[n, j]
y: data[n, T, j]
h[n, t, j] = tanh(sum(i, x[n, t, i]*W[i, j]) + sum(k, h[n, t - 1, k]*U[k, j]) + b[j])
h[n, -1, k] = h0[n, k]
loss = sum((h - y)**2)
""",
    "lstm": """
x: data[n, T, i]
Wi: weight[i, j]; Wf: weight[i, j]; Wo: weight[i, j]; Wg: weight[i, j]
Ui: weight[j, j]; Uf: weight[j, j]; Uo: weight[j, j]; Ug: weight[j, j]
zi[n, t, j] = sum(i, x[n, t, i]*Wi[i, j]) + sum(k, h[n, t - 1, k]*Ui[k, j])
zf[n, t, j] = sum(i, x[n, t, i]*Wf[i, j]) + sum(k, h[n, t - 1, k]*Uf[k, j])
zo[n, t, j] = sum(i, x[n, t, i]*Wo[i, j]) + sum(k, h[n, t - 1, k]*Uo[k, j])
zg[n, t, j] = sum(i, x[n, t, i]*Wg[i, j]) + sum(k, h[n, t - 1, k]*Ug[k, j])
c[n, t, j] = sigmoid(zf[n, t, j])*c[n, t - 1, j] + sigmoid(zi[n, t, j])*tanh(zg[n, t, j])
h[n, t, j] = sigmoid(zo[n, t, j])*tanh(c[n, t, j])
h[n, -1, k] = 0
c[n, -1, k] = 0
R: data[n, j]
T1: data[n, T, j]
loss = sum(n, j, R[n, j]*h[n, T - 1, j])
""",
    "lstm-c": """
x: data[n, T, i]
W: weight[i, 4*m]
U: weight[m, 4*m]
c0: weight[n, m]
z[n, t, g] = sum(i, x[n, t, i]*W[i, g]) + sum(k, h[n, t - 1, k]*U[k, g])
c[n, t, j] = sigmoid(z[n, t, j])*c[n, t - 1, j] + sigmoid(z[n, t, j + m])*tanh(z[n, t, j + 2*m]), j < m
h[n, t, j] = sigmoid(z[n, t, j + 3*m])*tanh(c[n, t, j])
h[n, -1, k] = 0
c[n, -1, k] = c0[n, k]
R: data[n, m]
loss = sum(n, j, R[n, j]*c[n, T - 1, j]**2)
""",
    "hmm": """
pi0: weight[i]
A: weight[i, i]
E: weight[T, i]
al[0, j] = pi0[j] + E[0, j]
al[t, j] = logsumexp(i, al[t - 1, i] + A[i, j]) + E[t, j]
loss = -logsumexp(j, al[T - 1, j])
""",
    "viterbi": """
A: weight[i, i]
E: weight[T, i]
al[0, j] = E[0, j]
al[t >= 1, j] = max(i, al[t - 1, i] + A[i, j]) + E[t, j]
loss = max(j, al[T - 1, j])
""",
    "fib": """
a: weight
b: weight
x: data[T]
F[0] = a
F[1] = b
F[t] = x[t]*F[t - 1] + F[t - 2]**2/10
loss = sum(F**2)
""",
    "ar2": """
a: weight[2]
x0: weight
x1: weight
e: data[T]
y[t] = a[0]*y[t - 1] + a[1]*y[t - 2] + e[t]
y[-1] = x0
y[-2] = x1
loss = mean(y**2)
""",
    "gru": """
x: data[n, T, i]
W: weight[i, j]; V: weight[i, j]; Q: weight[i, j]
U: weight[j, j]; P: weight[j, j]; S: weight[j, j]
r[n, t, j] = sigmoid(sum(i, x[n, t, i]*W[i, j]) + sum(k, h[n, t - 1, k]*U[k, j]))
z[n, t, j] = sigmoid(sum(i, x[n, t, i]*V[i, j]) + sum(k, h[n, t - 1, k]*P[k, j]))
g[n, t, j] = tanh(sum(i, x[n, t, i]*Q[i, j]) + r[n, t, j]*sum(k, h[n, t - 1, k]*S[k, j]))
h[n, t, j] = (1 - z[n, t, j])*g[n, t, j] + z[n, t, j]*h[n, t - 1, j]
h[n, -1, k] = 0
loss = sum(h**2)
""",
    "heat": """
u0: weight[m]
c: weight
u[0, i] = u0[i]
u[t, i] = u[t - 1, i] + c*([i >= 1]*u[t - 1, i - 1] - 2*u[t - 1, i] + [i + 1 < m]*u[t - 1, i + 1]), t < 6
loss = sum(i, u[5, i]**2)
""",
    "lengths": """
x: data[n, T, i]
lens: label[n] < T
keep: data[n, T]
W: weight[i, j]
U: weight[j, j]
a[n, t, j] = tanh(sum(i, x[n, t, i]*W[i, j]) + sum(k, h[n, t - 1, k]*U[k, j]))
h[n, t, j] = keep[n, t]*a[n, t, j] + (1 - keep[n, t])*h[n, t - 1, j]
h[n, -1, j] = 0
loss = sum(n, j, h[n, lens[n], j]**2)
""",
    "kalman": """
y: data[T]
a: weight
q: weight
v[t] = a**2*w[t - 1] + q**2, t < T
w[t] = v[t]*(1 - g[t])
m[t] = a*e[t - 1]
e[t] = m[t] + g[t]*(y[t] - m[t])
e[-1] = 0
g[t] = v[t]/(v[t] + 1)
w[-1] = 1
loss = sum(t, log(v[t] + 1) + (y[t] - m[t])**2/(v[t] + 1))
""",
    "bracket": """
x: data[T]
a: weight
h[t] = tanh([t >= 1]*h[t - 1]*a + x[t])
loss = sum(h)
""",
    "momentum": """
w0: weight[i]
A: data[i, i]
lr: constant
v[t, i] = 0.9*v[t - 1, i] + sum(j, A[i, j]*w[t - 1, j]), t < 5
w[t, i] = w[t - 1, i] - lr*v[t, i]
w[-1, i] = w0[i]
v[-1, i] = 0
loss = sum(i, w[4, i]**2)
""",
    "attention rnn": """
x: data[n, T, i]
K: weight[s, j]
W: weight[i, j]
V: weight[s, j]
h[n, t, j] = tanh(sum(i, x[n, t, i]*W[i, j]) + sum(s, p[n, t, s]*V[s, j]))
p[n, t, s] = softmax(s, sum(j, h[n, t - 1, j]*K[s, j]))
h[n, -1, j] = 0
loss = sum(h**2)
""",
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_agree(name: str) -> None:
    d = sg.derive(CASES[name])
    verdict = d.check()
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize("name", CASES)
def test_text_reads_back(name: str) -> None:
    program = sg.derive(CASES[name]).program
    again = sg.Model(str(program)).program
    assert str(again) == str(program)
    assert again.statements == program.statements


@pytest.mark.parametrize("name", CASES)
def test_prints_in_every_form(name: str) -> None:
    d = sg.derive(CASES[name])
    for text in (d.text(), d.latex("matrix"), d.latex("index"), *map(str, d.gradients.values())):
        assert text
        assert "'1" not in text  # the name of a loop is nobody's business


def test_what_is_read_before_its_equation_says_its_shape() -> None:
    """The text of a loop in which a part of a tensor is read before the whole of it is written is read back."""
    text = """w: weight[2*k, u]
h: data[T]
z[t, n] = max(r, [t >= 1]*b[n, n, t - 1]), t < T, n < k, r < u
a[t, j, n] = sin(2*z[t, n] + [t >= 1]*b[j, n, t - 1]), j < 2*k
b[j, n, t] = sin(w[j, 0]*a[t, j, n]*h[t]), j < 2*k, n < k
loss = sum(b)"""
    program = sg.Model(text).program
    assert str(sg.Model(str(program)).program) == str(program)


def test_starts_must_have_room() -> None:
    d = sg.derive(CASES["fib"])
    said = r"F\[1\] writes position 1 of an axis that has T entries \(0 to T - 1\)"
    with pytest.raises(sg.SymgradError, match=said):
        d.check({"a": 1.0, "b": 2.0, "x": np.ones(1)})
    assert d.check()
    assert d.check(exact=True)


@pytest.mark.parametrize("name", ["rnn", "fib", "ar2", "gru", "hmm", "bracket"])
def test_second_derivatives(name: str) -> None:
    """The rule applied to its own output: the gradient of v·∇ against complex steps."""
    first = run_passes(sg.derive(CASES[name]).program)
    wrt = list(first.gradients)
    rng = np.random.default_rng(1)
    program, target = _projected(first.program, first.gradients)
    second = run_passes(program, wrt)
    sizes = small_sizes(program)
    given = inputs(program, sizes, rng)
    exact = run(second.program, sizes, given)
    for w in wrt:
        direction = rng.standard_normal(np.shape(given[w]))
        stepped = {**given, w: given[w] + 1e-30j * direction}
        slope = run(program, sizes, stepped)[target].imag / 1e-30
        assert np.sum(exact[second.gradients[w]] * direction) == pytest.approx(slope, rel=1e-9, abs=1e-11)


def _projected(program: Program, gradients: dict[str, str]) -> tuple[Program, str]:
    """The scalar that the gradients give with random directions, which are data."""
    statements, tensors = list(program.statements), dict(program.tensors)
    for name, adjoint in gradients.items():
        t = program[adjoint]
        tensors[f"v_{name}"] = Tensor(f"v_{name}", t.shape, "data")
        letters = [f"a_{k}" for k in range(len(t.shape))]
        index = tuple(sg.language.ints.axis(a) for a in letters)
        body = Access(f"v_{name}", index) * Access(adjoint, index)
        statements.append(Statement("slope", (), "+=", body, tuple(zip(letters, t.shape, strict=True))))
    tensors["slope"] = Tensor("slope")
    return replace(program, tensors=tensors, statements=tuple(statements), target="slope"), "slope"


def test_what_does_not_recur_stays_outside() -> None:
    program = sg.derive(CASES["rnn"]).program
    inside = [s.out for s in program.statements if s.scan is not None]
    assert inside == ["h_2", "h_3", "h"]
    backward = sg.derive(CASES["rnn"]).derived.program
    loops = [block for block in blocks(backward.statements) if block[0].scan is not None]
    assert [block[0].scan.backward for block in loops] == [False, True]
    assert {s.out for s in loops[1]} == {"dh_3", "dh"}  # sums over steps have left the loop


def test_the_loop_is_ordered_by_what_it_reads() -> None:
    """Equations of a circle may stand in any order, starts too."""
    lines = CASES["gru"].strip().split("\n")
    declared, equations = lines[:3], lines[3:]
    turned = "\n".join([*declared, equations[-2], *equations[-3::-1], equations[-1]])
    first, second = sg.derive(CASES["gru"]), sg.derive(turned)
    assert {s.out for s in first.program.statements} == {s.out for s in second.program.statements}
    assert second.check().ok


def test_early_rows_are_no_part_of_the_tensor() -> None:
    f = sg.derive("x: data[T]; a: weight; h[t] = a*h[t - 1] + x[t]; h[-1] = 7; loss = sum(h)").function()
    loss, _ = f(x=[1.0, 2.0], a=0.0)
    assert loss == 3.0


def test_planted_fault_in_a_loop_is_found() -> None:
    d = sg.derive(CASES["rnn"])
    statements = tuple(
        replace(s, body=s.body * sg.language.expr.lift(1) * 1001 / 1000) if s.out == "dh_3" else s
        for s in d.derived.program.statements
    )
    wrong = replace(d.derived, program=replace(d.derived.program, statements=statements))
    assert not sg.derivation.Derivation(wrong).check().ok


REFUSED = {
    "h[t] = a*h[t - 1] + norm(x + h[t - 1]) + x[t]; h[-1] = 0": "norm stands inside the recurrence of h",
    "h[t] = a*h[t - 1] + x[t]": "add its start, `h[-1] = ...`",
    "h[t] = a*h[t - 2] + x[t]; h[-1] = 0": "add its start, `h[-2] = ...`",
    "h[t] = a*h[t + 1] + x[t]; h[-1] = 0": "reads the same step or earlier ones",
    "h[t] = a*g[t] + x[t]; g[t] = h[t]": "at the same step only",
    "h[t] = a*h[t] + x[t]; h[-1] = 0": "in a circle",
    "h[t, s] = a*h[t - 1, s] + [s >= 1]*h[t, s - 1] + z[t, s]; h[-1, s] = 0": "in a circle",
    "h[t] = a*h[t - 1] + x[t]; h[-1] = 0; h[-3] = 1": "just before the first one",
    "h[0] = 0; h[t >= 2] = a*h[t - 1] + x[t]": "its steps begin at 1",
    "h[t] = a*h[t - 1] + x[t]; h[-1] = 0; h[t] = 3": "one equation for the steps",
    "h[-1] = 0; y[t] = a*h[t - 1] + x[t]": "no equation reads h at an earlier step",
    "h[0] = 3; h[t] = a*h[t - 1]": "nothing tells how far t runs",
}


@pytest.mark.parametrize("lines", REFUSED)
def test_refusals(lines: str) -> None:
    with pytest.raises(sg.SymgradError) as problem:
        sg.derive(f"x: data[T]; z: data[T, S]; a: weight\n{lines}\nloss = sum(h)")
    assert REFUSED[lines] in str(problem.value)


# ---------------------------------------------------------------------- layers, against PyTorch

SIZES = [(3, 5, 2, 4), (1, 1, 3, 2), (2, 7, 1, 3)]  # examples, steps, inputs, hidden numbers


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("start", [False, True])
@pytest.mark.parametrize("layer", ["rnn", "gru", "lstm"])
def test_layers_are_those_of_pytorch(layer: str, start: bool, sizes: tuple[int, int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    n, steps, i, m = sizes
    rng = np.random.default_rng(0)
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[layer]
    extra = {"rnn": "", "gru": "", "lstm": ", c0"}[layer]
    text = f"""
        x: data[n, T, {i}]
        R: data[n, T, {m}]
        h0: data[n, {m}]
        c0: data[n, {m}]
        loss = sum(R*{layer}(x, {m}{", h0" + extra if start else ""}))
    """
    names = ["x", "R", "h0", "c0"] if start and extra else ["x", "R", "h0"] if start else ["x", "R"]
    text = "\n".join(x for x in text.split("\n") if x.strip()[:2].strip(":") in (*names, "lo"))
    wanted = [name for name in names if name != "R"]
    d = sg.derive(text, wrt=[*wanted, *(w.name for w in sg.Model(text).program.role("weight"))])
    given = {
        t.name: rng.standard_normal(tuple({"n": n, "T": steps}.get(str(k)) or int(str(k)) for k in t.shape))
        for t in d.program.inputs
    }
    loss, gradients = d.function()(**given)

    def tensor(name: str) -> object:
        return torch.tensor(given[name], dtype=torch.float64, requires_grad=True)

    arrays = {name: tensor(name) for name in given}
    net = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[layer](
        i, m, batch_first=True
    ).double()
    zero = torch.zeros(gates * m, dtype=torch.float64)
    hidden = torch.cat([torch.zeros(2 * m, dtype=torch.float64), arrays["c1"]]) if layer == "gru" else zero
    weights = {
        "weight_ih_l0": arrays["W1"].T, "weight_hh_l0": arrays["U1"].T, "bias_ih_l0": arrays["b1"], "bias_hh_l0": hidden
    }  # fmt: skip
    first = (arrays["h0"][None],) if start else ()
    if start and layer == "lstm":
        first = ((arrays["h0"][None], arrays["c0"][None]),)
    out, _ = torch.func.functional_call(net, weights, (arrays["x"], *first))
    total = (out * arrays["R"]).sum()
    total.backward()
    assert loss == pytest.approx(total.item(), rel=1e-10)
    for name, g in gradients.items():
        np.testing.assert_allclose(g, arrays[name].grad.numpy(), rtol=0, atol=1e-10 * max(1, abs(g).max()))
