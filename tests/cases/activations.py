"""Elementwise and vector activations.  Every elementwise case is f(x) = sum_i R_i a(x_i)."""
from functools import partial

import numpy as np

from cases.case import Exp, erf, lse, make_case, sig, softmax, softplus

CASES = []
case = partial(make_case, CASES, "activations")
TD = "torch.nn documentation: "
E = np.exp
SZ = [dict(n=7), dict(n=12)]
PTS = [-3.0, -1.0, -0.5, 0.5, 1.0, 3.0]


def elementwise(a, d):
    """f and gradient of sum(R * a(x)), plus second derivative hooks."""
    return (lambda x, R: np.sum(R * a(x))), (lambda x, R: R * d(x))

#% case
f_, g_ = elementwise(sig, lambda x: sig(x) * (1 - sig(x)))
case(id="act_sigmoid", source=TD + "Sigmoid; Coursera ML ex4", difficulty=1, statement="Logistic sigmoid.", latex=r"\sigma(x)=\frac1{1+e^{-x}}", shapes="x: n normal*2; R: n", sizes=SZ, f=f_, grads={"x": (r"R\,\sigma(1-\sigma)", g_)},
     hess={("x", "x"): (r"\operatorname{diag}\big(R\,\sigma(1-\sigma)(1-2\sigma)\big)", lambda x, R: np.diag(R * sig(x) * (1 - sig(x)) * (1 - 2 * sig(x))))},
     expected=[Exp("0", dict(x=[0.0], R=[1.0]), value=0.5, grads={"x": [0.25]})], torch_f=lambda t, F, x, R: (R * t.sigmoid(x)).sum())

#% case
f_, g_ = elementwise(lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0))
case(id="act_relu", source=TD + "ReLU", difficulty=1, statement="Rectifier.", latex=r"\max(0,x)", shapes="x: n away; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R[x>0]", g_)}, torch_f=lambda t, F, x, R: (R * F.relu(x)).sum(),
     expected=[Exp("x = 0: any value in [0,1] is a subgradient; torch returns 0", dict(x=[0.0], R=[1.0]), value=0.0, accept={"x": (0.0, 1.0)})])

#% case
f_, g_ = elementwise(lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1.0, 0.01))
case(id="act_leaky_relu", source=TD + "LeakyReLU (negative_slope 0.01)", difficulty=1, statement="Leaky rectifier with slope 0.01.", latex=r"\max(0,x)+0.01\min(0,x)", shapes="x: n away; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R\cdot\{1,0.01\}", g_)}, torch_f=lambda t, F, x, R: (R * F.leaky_relu(x)).sum())

#% case
case(id="act_prelu", source=TD + "PReLU", difficulty=2, statement="Parametric rectifier, one learned slope per channel; gradient in input and slope.", latex=r"\max(0,x)+a\min(0,x)", shapes="x: n,c away; a: c unit; R: n,c", sizes=[dict(n=3, c=4), dict(n=5, c=2)], smooth=False,
     f=lambda x, a, R: np.sum(R * np.where(x > 0, x, a * x)), grads={"x": (r"R\{1,a\}", lambda x, a, R: R * np.where(x > 0, 1.0, a)), "a": (r"\sum_nR\min(0,x)", lambda x, a, R: np.sum(R * np.minimum(x, 0), 0))}, torch_f=lambda t, F, x, a, R: (R * F.prelu(x, a)).sum())

#% case
f_, g_ = elementwise(lambda x: np.where(x > 0, x, 1.3 * (E(x) - 1)), lambda x: np.where(x > 0, 1.0, 1.3 * E(np.minimum(x, 0))))
case(id="act_elu", source=TD + "ELU (alpha 1.3 here)", difficulty=1, statement="Exponential linear unit with alpha 1.3.", latex=r"x\ (x>0);\ \alpha(e^x-1)\ (x\le0)", shapes="x: n away; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R\{1,\alpha e^x\}", g_)}, torch_f=lambda t, F, x, R: (R * F.elu(x, 1.3)).sum(),
     expected=[Exp("x = -1: alpha (1/e - 1)", dict(x=[-1.0], R=[1.0]), value=1.3 * (np.exp(-1) - 1), grads={"x": [1.3 * np.exp(-1)]})])

#% case
SL, SA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
f_, g_ = elementwise(lambda x: SL * np.where(x > 0, x, SA * (E(x) - 1)), lambda x: SL * np.where(x > 0, 1.0, SA * E(np.minimum(x, 0))))
case(id="act_selu", source=TD + "SELU (alpha 1.6732632423543772848170429916717, scale 1.0507009873554804934193349852946)", difficulty=1, statement="Scaled ELU.", latex=r"\lambda\big(\max(0,x)+\min(0,\alpha(e^x-1))\big)", shapes="x: n away; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"\lambda R\{1,\alpha e^x\}", g_)}, torch_f=lambda t, F, x, R: (R * F.selu(x)).sum())

#% case
f_, g_ = elementwise(lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))), lambda x: 0.5 * (1 + erf(x / np.sqrt(2))) + x * E(-x * x / 2) / np.sqrt(2 * np.pi))
case(id="act_gelu_exact", source=TD + "GELU (approximate='none')", difficulty=2, statement="Exact Gaussian error linear unit.", latex=r"x\,\Phi(x)", shapes="x: n; R: n", sizes=SZ, f=f_, grads={"x": (r"R\big(\Phi(x)+x\varphi(x)\big)", g_)},
     hess={("x", "x"): (r"\operatorname{diag}\big(R\varphi(x)(2-x^2)\big)", lambda x, R: np.diag(R * E(-x * x / 2) / np.sqrt(2 * np.pi) * (2 - x * x)))},
     expected=[Exp("x = 1", dict(x=[1.0], R=[1.0]), value=0.8413447460685429, grads={"x": [1.0833154705876864]}, rtol=1e-13)], torch_f=lambda t, F, x, R: (R * F.gelu(x)).sum())

#% case
GC = np.sqrt(2 / np.pi)
f_, g_ = elementwise(lambda x: 0.5 * x * (1 + np.tanh(GC * (x + 0.044715 * x ** 3))), lambda x: (lambda th: 0.5 * (1 + th) + 0.5 * x * (1 - th * th) * GC * (1 + 3 * 0.044715 * x * x))(np.tanh(GC * (x + 0.044715 * x ** 3))))
case(id="act_gelu_tanh", source=TD + "GELU (approximate='tanh')", difficulty=2, statement="Tanh approximation of GELU.", latex=r"\tfrac12x\Big(1+\tanh\big(\sqrt{2/\pi}(x+0.044715x^3)\big)\Big)", shapes="x: n; R: n", sizes=SZ, f=f_, grads={"x": (r"\tfrac12(1+t)+\tfrac12x(1-t^2)\sqrt{2/\pi}(1+3\cdot0.044715x^2)", g_)}, torch_f=lambda t, F, x, R: (R * F.gelu(x, approximate="tanh")).sum())

#% case
case(id="act_swish_beta", source="Ramachandran et al. 2017, Searching for activation functions: swish with trainable beta", difficulty=2, statement="Swish with a learned beta.", latex=r"x\,\sigma(\beta x)", shapes="x: n; be: pos; R: n", sizes=SZ, f=lambda x, be, R: np.sum(R * x * sig(be * x)),
     grads={"x": (r"R\big(s+\beta xs(1-s)\big)", lambda x, be, R: R * (sig(be * x) + be * x * sig(be * x) * (1 - sig(be * x)))), "be": (r"\sum Rx^2s(1-s)", lambda x, be, R: np.sum(R * x * x * sig(be * x) * (1 - sig(be * x))))})

#% case
f_, g_ = elementwise(lambda x: np.clip(x, -1, 1) if not np.iscomplexobj(x) else np.where(np.abs(x.real) < 1, x, np.sign(x.real)), lambda x: 1.0 * (np.abs(x) < 1))
case(id="act_hardtanh", source=TD + "Hardtanh", difficulty=1, statement="Clamp to [-1, 1].", latex=r"\min(1,\max(-1,x))", shapes="x: n; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R[|x|<1]", g_)}, torch_f=lambda t, F, x, R: (R * F.hardtanh(x)).sum())

#% case
f_, g_ = elementwise(lambda x: x * np.clip(x + 3, 0, 6) / 6, lambda x: np.where(x < -3, 0.0, np.where(x > 3, 1.0, (2 * x + 3) / 6)))
case(id="act_hardswish", source=TD + "Hardswish", difficulty=2, statement="Hard swish; f(-3) = 0, f(3) = 3 are the joints.", latex=r"0\ (x\le-3);\ x\ (x\ge3);\ x(x+3)/6", shapes="x: n normal*3; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R\{0,1,(2x+3)/6\}", g_)}, torch_f=lambda t, F, x, R: (R * F.hardswish(x)).sum(),
     expected=[Exp("points", dict(x=[-4.0, -1.5, 0.0, 1.0, 4.0], R=[0.0, 1.0, 0.0, 0.0, 0.0]), value=-0.375, grads={"x": [0.0, 0.0, 0.0, 0.0, 0.0]}, atol=1e-15)])

#% case
f_, g_ = elementwise(lambda x: np.clip(x / 6 + 0.5, 0, 1), lambda x: np.where(np.abs(x) < 3, 1 / 6, 0.0))
case(id="act_hardsigmoid", source=TD + "Hardsigmoid", difficulty=1, statement="Piecewise linear sigmoid.", latex=r"\operatorname{clip}(x/6+1/2,0,1)", shapes="x: n normal*3; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R[|x|<3]/6", g_)}, torch_f=lambda t, F, x, R: (R * F.hardsigmoid(x)).sum(), torch_rtol=1e-7,
     notes="torch 2.13 CPU uses a float32 constant 1/6 in the backward pass: its float64 gradient is off by 3e-8 relative.")

#% case
f_, g_ = elementwise(lambda x: -softplus(-x), lambda x: sig(-x))
case(id="act_logsigmoid", source=TD + "LogSigmoid; scipy.special.log_expit docs", difficulty=1, statement="Logarithm of the sigmoid.", latex=r"\log\sigma(x)=-\log(1+e^{-x})", shapes="x: n normal*3; R: n", sizes=SZ, f=f_, grads={"x": (r"R\,\sigma(-x)", g_)}, torch_f=lambda t, F, x, R: (R * F.logsigmoid(x)).sum(),
     expected=[Exp("log_expit docs, one at a time: -3", dict(x=[-3.0], R=[1.0]), value=-3.04858735, rtol=2e-9), Exp("0.25", dict(x=[0.25], R=[1.0]), value=-0.57593942, rtol=1e-8), Exp("2.5", dict(x=[2.5], R=[1.0]), value=-0.07888973, rtol=1e-7), Exp("5", dict(x=[5.0], R=[1.0]), value=-0.00671535, rtol=1e-6)])

#% case
f_, g_ = elementwise(lambda x: np.where(x > 0.5, x - 0.5, np.where(x < -0.5, x + 0.5, 0 * x)), lambda x: 1.0 * (np.abs(x) > 0.5))
case(id="act_softshrink", source=TD + "Softshrink (lambda 0.5)", difficulty=1, statement="Soft threshold.", latex=r"\operatorname{sign}(x)\max(|x|-\lambda,0)", shapes="x: n; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R[|x|>\lambda]", g_)}, torch_f=lambda t, F, x, R: (R * F.softshrink(x)).sum())

#% case
f_, g_ = elementwise(lambda x: np.where((x > 0.5) | (x < -0.5), x, 0 * x), lambda x: 1.0 * (np.abs(x) > 0.5))
case(id="act_hardshrink", source=TD + "Hardshrink (lambda 0.5)", difficulty=1, statement="Hard threshold (discontinuous at the threshold).", latex=r"x[|x|>\lambda]", shapes="x: n; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R[|x|>\lambda]", g_)}, torch_f=lambda t, F, x, R: (R * F.hardshrink(x)).sum())

#% case
f_, g_ = elementwise(lambda x: np.where(x > 0.1, x, 20.0 + 0 * x), lambda x: 1.0 * (x > 0.1))
case(id="act_threshold", source=TD + "Threshold (0.1, 20)", difficulty=1, statement="Threshold with replacement value 20.", latex=r"x\ (x>0.1);\ 20", shapes="x: n; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"R[x>0.1]", g_)}, torch_f=lambda t, F, x, R: (R * F.threshold(x, 0.1, 20.0)).sum())

#% case
f_, g_ = elementwise(lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0))
case(id="act_relu_squared", source="So et al. 2021 (Primer): squared ReLU", difficulty=1, statement="Squared rectifier.", latex=r"\max(0,x)^2", shapes="x: n; R: n", sizes=SZ, smooth=False, f=f_, grads={"x": (r"2R\max(0,x)", g_)}, torch_f=lambda t, F, x, R: (R * F.relu(x) ** 2).sum())

#% case
case(id="act_snake", source="Ziyin et al. 2020, Neural networks fail to learn periodic functions: snake activation", difficulty=2, statement="Snake activation with frequency a.", latex=r"x+\tfrac1a\sin^2(ax)", shapes="x: n; a: pos; R: n", sizes=SZ, f=lambda x, a, R: np.sum(R * (x + np.sin(a * x) ** 2 / a)),
     grads={"x": (r"R(1+\sin2ax)", lambda x, a, R: R * (1 + np.sin(2 * a * x))), "a": (r"\sum R\Big(\tfrac{x\sin2ax}a-\tfrac{\sin^2ax}{a^2}\Big)", lambda x, a, R: np.sum(R * (x * np.sin(2 * a * x) / a - np.sin(a * x) ** 2 / a ** 2)))})

#% case
f_, g_ = elementwise(lambda x: E(-x * x), lambda x: -2 * x * E(-x * x))
case(id="act_gaussian", source="Radial basis / Gaussian activation (Wikipedia table of activation functions)", difficulty=1, statement="Gaussian.", latex=r"e^{-x^2}", shapes="x: n; R: n", sizes=SZ, f=f_, grads={"x": (r"-2xRe^{-x^2}", g_)}, hess={("x", "x"): (r"\operatorname{diag}(R(4x^2-2)e^{-x^2})", lambda x, R: np.diag(R * (4 * x * x - 2) * E(-x * x)))})

#% case
f_, g_ = elementwise(lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x, lambda x: x / (2 * np.sqrt(x * x + 1)) + 1)
case(id="act_bent_identity", source="Wikipedia table of activation functions: bent identity", difficulty=1, statement="Bent identity.", latex=r"\frac{\sqrt{x^2+1}-1}2+x", shapes="x: n; R: n", sizes=SZ, f=f_, grads={"x": (r"R\Big(\frac{x}{2\sqrt{x^2+1}}+1\Big)", g_)})

#% case
case(id="act_softmax_jac", source=TD + "Softmax", difficulty=2, statement="Softmax over the last axis of a batch; Jacobian.", latex=r"p_{nj}=e^{x_{nj}}/\sum_ke^{x_{nk}}", shapes="x: n,k", sizes=[dict(n=2, k=3)], kind="jacobian",
     f=lambda x: softmax(x), grads={"x": (r"\delta_{nm}\,p_{nj}(\delta_{jk}-p_{nk})", lambda x: np.einsum("nm,nj,njk->njmk", np.eye(len(x)), softmax(x), np.eye(x.shape[1])[None] - softmax(x)[:, None, :]))}, torch_f=lambda t, F, x: F.softmax(x, -1))

#% case
case(id="act_glu", source=TD + "GLU; Dauphin et al. 2017", difficulty=2, statement="Gated linear unit: the input is split in half along the last axis.", latex=r"\operatorname{GLU}(a,b)=a\odot\sigma(b)", shapes="x: n,2*h; R: n,h", sizes=[dict(n=2, h=3), dict(n=3, h=2)],
     f=lambda x, R: (lambda h: np.sum(R * x[:, :h] * sig(x[:, h:])))(x.shape[1] // 2), grads={"x": (r"\big[R\odot\sigma(b),\ R\odot a\odot\sigma'(b)\big]", lambda x, R: (lambda h: np.concatenate([R * sig(x[:, h:]), R * x[:, :h] * sig(x[:, h:]) * (1 - sig(x[:, h:]))], 1))(x.shape[1] // 2))}, torch_f=lambda t, F, x, R: (R * F.glu(x, -1)).sum())
