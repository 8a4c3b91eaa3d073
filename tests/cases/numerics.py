"""Numerically hard points: overflow, underflow, cancellation, kinks, removable and true
singularities.  References are the stable formulas; most are checked with mpmath."""
from functools import partial

import numpy as np

from cases.case import Exp, lse, make_case, sig, softmax, softplus

CASES = []
case = partial(make_case, CASES, "numerics")
INF = float("inf")


def msum(v):
    s = 0
    for a in v:
        s = s + a
    return s

#% case
case(id="num_ce_1000", source="scipy.special.log_softmax docs ([1000, 1] -> [0, -999]); CS231n notes, 'Practical issues: numeric stability'", difficulty=3, statement="Softmax cross-entropy with logits of size 1000. exp overflows unless the maximum is subtracted.", latex=r"f=\log\sum_je^{z_j}-t^\top z", shapes="z: k normal*1000; t: k onehot", sizes=[dict(k=3), dict(k=5)], fd=False,
     f=lambda z, t: lse(z) - t @ z, grads={"z": ("p-t", lambda z, t: softmax(z) - t)}, mp_f=lambda mp, z, t: mp.log(msum(mp.exp(v) for v in z)) - msum(a * b for a, b in zip(t, z)),
     expected=[Exp("right class", dict(z=[1000.0, 0, -1000], t=[1.0, 0, 0]), value=0.0, grads={"z": [0.0, 0, 0]}), Exp("middle class", dict(z=[1000.0, 0, -1000], t=[0.0, 1, 0]), value=1000.0, grads={"z": [1.0, -1, 0]}),
               Exp("worst class", dict(z=[1000.0, 0, -1000], t=[0.0, 0, 1]), value=2000.0, grads={"z": [1.0, 0, -1]}), Exp("all equal at 1000", dict(z=[1000.0, 1000, 1000, 1000], t=[1.0, 0, 0, 0]), value=np.log(4), grads={"z": [-0.75, 0.25, 0.25, 0.25]}, rtol=1e-12), Exp("scipy docs", dict(z=[1000.0, 1.0], t=[0.0, 1.0]), value=999.0)])

#% case
case(id="num_log_sigmoid", source="scipy.special.log_expit docs: [29, 120, 400] -> -2.54366565e-13, -7.66764807e-53, -1.91516960e-174; [-100, -500, -1000]", difficulty=2, statement="Log-sigmoid over the whole range: must be accurate in relative terms for large positive and exactly linear for large negative arguments.", latex=r"\log\sigma(x)", shapes="x: n normal*30", sizes=[dict(n=5)], kind="jacobian", fd=False,
     f=lambda x: -(np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))), grads={"x": (r"\operatorname{diag}\sigma(-x)", lambda x: np.diag(sig(-x)))},
     expected=[Exp("large positive", dict(x=[29.0, 120, 400]), value=[-2.54366565e-13, -7.66764807e-53, -1.91516960e-174], grads={"x": np.diag(np.exp([-29.0, -120, -400]))}, rtol=3e-9), Exp("large negative", dict(x=[-100.0, -500, -1000]), value=[-100.0, -500, -1000], grads={"x": np.eye(3)}, rtol=1e-12), Exp("+-1000", dict(x=[1000.0, -1000.0]), value=[0.0, -1000.0], grads={"x": np.diag([0.0, 1.0])})])

#% case
case(id="num_log_sigmoid_sum", source="scipy.special.log_expit docs (same function, scalar form for high-precision checking)", difficulty=2, statement="Weighted log-sigmoid at mixed extreme arguments.", latex=r"\sum R\log\sigma(x)", shapes="x: n normal*50; R: n", sizes=[dict(n=4), dict(n=6)], fd=False, f=lambda x, R: -np.sum(R * softplus(-x)), grads={"x": (r"R\sigma(-x)", lambda x, R: R * sig(-x))}, mp_f=lambda mp, x, R: -msum(r * mp.log1p(mp.exp(-v)) for r, v in zip(R, x)))

#% case
case(id="num_sigmoid_deriv_tail", source="Cancellation in s(1-s): the derivative of the sigmoid at 40 is 4.2e-18, but 1 - s(40) is 0 in float64", difficulty=4, statement="Sigmoid derivative in the right tail with relative accuracy.", latex=r"\sigma'(x)=\sigma(x)\sigma(-x)", shapes="x:", sizes=[dict()], fd=False, maker=lambda rng: {"x": np.float64(40.0)},
     f=lambda x: sig(x), grads={"x": (r"\sigma(x)\sigma(-x)", lambda x: sig(x) * sig(-x))}, mp_f=lambda mp, x: 1 / (1 + mp.exp(-x)), expected=[Exp("40 and -40 are equal", dict(x=40.0), value=1.0, grads={"x": 4.248354255291589e-18}, rtol=1e-13), Exp("-40", dict(x=-40.0), value=4.248354255291589e-18, grads={"x": 4.248354255291589e-18}, rtol=1e-13), Exp("1000", dict(x=1000.0), value=1.0, grads={"x": 0.0})],
     notes="An implementation using s*(1-s) returns 0 at 40; that is an absolute error of 4e-18 and may be accepted, but should be known.")

#% case
case(id="num_tanh_deriv_tail", source="Cancellation in 1 - tanh^2", difficulty=4, statement="Derivative of tanh at 20 with relative accuracy.", latex=r"\operatorname{sech}^2x=\frac{4e^{-2|x|}}{(1+e^{-2|x|})^2}", shapes="x:", sizes=[dict()], fd=False, maker=lambda rng: {"x": np.float64(20.0)}, f=lambda x: np.tanh(x), grads={"x": (r"\operatorname{sech}^2x", lambda x: 4 * np.exp(-2 * np.abs(x)) / (1 + np.exp(-2 * np.abs(x))) ** 2)}, mp_f=lambda mp, x: mp.tanh(x),
     expected=[Exp("20", dict(x=20.0), grads={"x": 1.6993417021166355e-17}, rtol=1e-12)], notes="1 - tanh(20)**2 evaluates to 0 in float64.")

#% case
case(id="num_lse_negative", source="scipy.special.logsumexp docs; Blanchard, Higham, Higham 2021", difficulty=2, statement="Log-sum-exp of very negative numbers: the naive sum underflows to 0 and its log is -inf.", latex=r"\log\sum e^{x_i}", shapes="x: n", sizes=[dict(n=3), dict(n=5)], fd=False, maker=lambda rng, n: {"x": -1000.0 + rng.standard_normal(n)}, f=lambda x: lse(x), grads={"x": ("p", lambda x: softmax(x))}, mp_f=lambda mp, x: mp.log(msum(mp.exp(v) for v in x)),
     expected=[Exp("[-1000, -1001]", dict(x=[-1000.0, -1001.0]), value=-1000 + np.log1p(np.exp(-1)), grads={"x": [0.7310585786300049, 0.2689414213699951]}, rtol=1e-14), Exp("1e5 equal terms at -1e5, three of them", dict(x=[-1e5, -1e5, -1e5]), value=-1e5 + np.log(3), grads={"x": [1 / 3] * 3}, rtol=1e-14), Exp("huge positive", dict(x=[1e308, 1e308]), value=1e308, grads={"x": [0.5, 0.5]})])

#% case
case(id="num_lse_masked", source="Attention masks with -inf (torch scaled_dot_product_attention, boolean mask)", difficulty=3, statement="Log-sum-exp / softmax with a -inf (masked) entry: masked probability and gradient are exactly 0, nothing is nan.", latex=r"f=\log\sum e^{x_i},\ x_1=-\infty", shapes="x: n", sizes=[dict(n=3)], fd=False, f=lambda x: lse(x), grads={"x": ("p", lambda x: softmax(x))}, mp_f=lambda mp, x: mp.log(msum(mp.exp(v) for v in x)),
     expected=[Exp("one masked entry", dict(x=[1.0, -INF, 2.0]), value=2 + np.log1p(np.exp(-1.0)), grads={"x": [0.2689414213699951, 0.0, 0.7310585786300049]}, rtol=1e-14)])

#% case
case(id="num_sqrt_zero", source="torch / JAX behaviour: the derivative of sqrt at 0 is +inf", difficulty=2, statement="sqrt at 0: value 0, one-sided derivative +inf. Only finite if the program smooths it.", latex=r"\sqrt x", shapes="x: pos", sizes=[dict()], f=lambda x: np.sqrt(x), grads={"x": (r"\frac1{2\sqrt x}", lambda x: np.divide(0.5, np.sqrt(x)))}, expected=[Exp("0", dict(x=0.0), value=0.0, grads={"x": INF}), Exp("tiny", dict(x=1e-300), value=1e-150, grads={"x": 5e149}, rtol=1e-12)])

#% case
case(id="num_hypot_scale", source="numpy.hypot / BLAS nrm2: scaled norm", difficulty=4, statement="Norm of (3e200, 4e200) and (3e-200, 4e-200): squares overflow or underflow; the answer is 5e200 or 5e-200 with gradient (0.6, 0.8).", latex=r"\sqrt{a^2+b^2}", shapes="a: pos; b: pos", sizes=[dict()], fd=False, maker=lambda rng: {"a": np.float64(3e200), "b": np.float64(4e200)}, f=lambda a, b: np.hypot(a, b), grads={"a": (r"a/\mathrm{hyp}", lambda a, b: a / np.hypot(a, b)), "b": (r"b/\mathrm{hyp}", lambda a, b: b / np.hypot(a, b))},
     expected=[Exp("huge", dict(a=3e200, b=4e200), value=5e200, grads={"a": 0.6, "b": 0.8}, rtol=1e-15), Exp("tiny", dict(a=3e-200, b=4e-200), value=5e-200, grads={"a": 0.6, "b": 0.8}, rtol=1e-15)])

#% case
case(id="num_relu_abs_zero", source="Subgradients of max(0, x) and |x| at 0; torch returns 0 for both", difficulty=2, statement="Sum of ReLU and absolute value with weights; at 0 any weights*[0,1] + weights*[-1,1] is a subgradient.", latex=r"\max(0,x)+|x|", shapes="x: away", sizes=[dict()], smooth=False, f=lambda x: np.maximum(x, 0) + np.abs(x), grads={"x": (r"[x>0]+\operatorname{sign}x", lambda x: (x > 0) + np.sign(x))}, torch_f=lambda t, F, x: F.relu(x) + x.abs(), expected=[Exp("0", dict(x=0.0), value=0.0, accept={"x": (-1.0, 2.0)}), Exp("negative zero", dict(x=-0.0), value=0.0, accept={"x": (-1.0, 2.0)})])

#% case
case(id="num_xlogx", source="scipy.special.xlogy / entr documentation: 0 log 0 = 0", difficulty=3, statement="x log x: value 0 at 0 by continuity; derivative log x + 1 tends to -inf there.", latex=r"x\log x", shapes="x: pos", sizes=[dict()], f=lambda x: x * np.log(np.where(x == 0, 1.0, x)), grads={"x": (r"\log x+1", lambda x: np.log(x) + 1)}, expected=[Exp("0", dict(x=0.0), value=0.0, grads={"x": -INF}), Exp("1/e is the minimum", dict(x=np.exp(-1.0)), value=-np.exp(-1.0), grads={"x": 0.0}, atol=1e-15), Exp("1e-300", dict(x=1e-300), value=1e-300 * np.log(1e-300), rtol=1e-14)])

#% case
case(id="num_kl_zero_target", source="torch.nn.functional.kl_div: zero targets contribute 0", difficulty=3, statement="KL divergence with zero target probabilities, with respect to the log-probability input.", latex=r"\sum_jq_j(\log q_j-x_j),\ 0\log0=0", shapes="x: k; q: k prob", sizes=[dict(k=3)], f=lambda x, q: np.sum(q * (np.log(np.where(q > 0, q, 1.0)) - x)), grads={"x": ("-q", lambda x, q: -q)}, torch_f=lambda t, F, x, q: F.kl_div(x, q, reduction="sum"), expected=[Exp("one-hot target", dict(x=np.log([0.25, 0.5, 0.25]), q=[0.0, 1.0, 0.0]), value=np.log(2), grads={"x": [0.0, -1.0, 0.0]}, rtol=1e-14)])

#% case
case(id="num_layernorm_constant", source="Layer norm of a constant row (torch LayerNorm, eps 1e-5)", difficulty=4, statement="Layer norm of a constant row at a large offset: the normalised value is exactly 0 and the gradient is (R - mean R)/sqrt(eps), finite and about 316 times the cotangent.", latex=r"\frac{x-\mu}{\sqrt{v+\epsilon}}", shapes="x: d; R: d", sizes=[dict(d=4)], fd=False, maker=lambda rng, d: {"x": np.full(d, 1024.0), "R": rng.standard_normal(d)}, f=lambda x, R: (lambda c: np.sum(R * c / np.sqrt(np.mean(c * c) + 1e-5)))(x - x.mean()), grads={"x": (r"\frac1s(R-\bar R-\hat x\overline{R\hat x})", lambda x, R: (lambda c: (lambda s: (R - R.mean() - c / s * np.mean(R * c / s)) / s)(np.sqrt(np.mean(c * c) + 1e-5)))(x - x.mean()))}, mp_f=lambda mp, x, R: (lambda m: (lambda s: msum(r * (v - m) / s for r, v in zip(R, x)))(mp.sqrt(msum((v - m) ** 2 for v in x) / len(x) + mp.mpf(1e-5))))(msum(x) / len(x)))

#% case
case(id="num_elu_small", source="ELU and SELU near 0-: expm1 (torch uses expm1)", difficulty=3, statement="ELU at -1e-12: relative accuracy needs expm1.", latex=r"e^x-1,\ x<0", shapes="x:", sizes=[dict()], fd=False, maker=lambda rng: {"x": np.float64(-1e-12)}, f=lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), grads={"x": (r"e^{\min(x,0)}", lambda x: np.exp(np.minimum(x, 0)))}, mp_f=lambda mp, x: mp.expm1(x), expected=[Exp("-1e-12", dict(x=-1e-12), value=-9.999999999995e-13, rtol=1e-15), Exp("-1000", dict(x=-1000.0), value=-1.0, grads={"x": 0.0})])

#% case
case(id="num_mish_extreme", source="Mish at large arguments", difficulty=3, statement="Mish at +-1000 must be 1000 and 0 with slopes 1 and 0 (no inf*0).", latex=r"x\tanh(\operatorname{sp}x)", shapes="x: normal*3", sizes=[dict()], fd=False, f=lambda x: x * np.tanh(softplus(x)), grads={"x": (r"w+x(1-w^2)\sigma(x)", lambda x: (lambda w: w + x * (1 - w * w) * sig(x))(np.tanh(softplus(x))))}, mp_f=lambda mp, x: x * mp.tanh(mp.log1p(mp.exp(x))), expected=[Exp("1000", dict(x=1000.0), value=1000.0, grads={"x": 1.0}), Exp("-1000", dict(x=-1000.0), value=0.0, grads={"x": 0.0}, atol=1e-300)])

#% case
case(id="num_pow_negative_base", source="numpy/torch pow: integer powers of negative numbers; JAX FAQ on gradients of x**y", difficulty=3, statement="x^3 at negative x and x^2 at 0: the rule through exp(3 log x) gives nan.", latex=r"x^3+x^2", shapes="x: away", sizes=[dict()], f=lambda x: x ** 3 + x ** 2, grads={"x": (r"3x^2+2x", lambda x: 3 * x ** 2 + 2 * x)}, hess={("x", "x"): (r"6x+2", lambda x: 6 * x + 2)}, torch_f=lambda t, F, x: x ** 3 + x ** 2, expected=[Exp("-2", dict(x=-2.0), value=-4.0, grads={"x": 8.0}), Exp("0", dict(x=0.0), value=0.0, grads={"x": 0.0})])

#% case
case(id="num_logdet_scaled", source="numpy.linalg.slogdet documentation: determinants that under- or overflow", difficulty=4, statement="Log absolute determinant of a matrix whose determinant underflows (scale 1e-200).", latex=r"\log|\det X|,\ \nabla=X^{-\top}", shapes="X: n,n well", sizes=[dict(n=3)], fd=False, maker=lambda rng, n: {"X": (0.4 * rng.standard_normal((n, n)) + 1.5 * np.eye(n)) * 1e-200}, f=lambda X: np.linalg.slogdet(X)[1], grads={"X": (r"X^{-\top}", lambda X: np.linalg.inv(X).T)}, torch_f=lambda t, F, X: t.linalg.slogdet(X)[1],
     expected=[Exp("1e-200 I (2x2): det underflows to 0, log is -921.03", dict(X=[[1e-200, 0.0], [0.0, 1e-200]]), value=-400 * np.log(10), grads={"X": [[1e200, 0.0], [0.0, 1e200]]}, rtol=1e-13), Exp("numpy docs: [[1,2],[3,4]]: -0.69314718055994529 + log of |det| 2", dict(X=[[1.0, 2.0], [3.0, 4.0]]), value=np.log(2), rtol=1e-13)])

#% case
case(id="num_logreg_separated", source="Logistic regression with huge margins (matrixcalculus.org / Laue et al. expression at extreme inputs)", difficulty=3, statement="Logistic loss where y*Xw is +800 or -800: exp(800) overflows.", latex=r"\sum\log(1+e^{-y_i(Xw)_i})", shapes="X: m,n; w: n; y: m pm1", sizes=[dict(m=3, n=2)], fd=False, maker=lambda rng, m, n: {"X": np.array([[400.0, 0], [0, 400.0], [400.0, 400.0]]), "w": np.array([2.0, 2.0]), "y": np.array([1.0, -1.0, 1.0])}, f=lambda X, w, y: np.sum(softplus(-y * (X @ w))), grads={"w": (r"-X^\top(y\odot\sigma(-y\odot Xw))", lambda X, w, y: -X.T @ (y * sig(-y * (X @ w))))}, mp_f=lambda mp, X, w, y: msum(mp.log1p(mp.exp(-l * msum(a * b for a, b in zip(r, w)))) for r, l in zip(X, y)), expected=[Exp("one wrong side by 800", dict(X=[[400.0, 0], [0, 400.0]], w=[2.0, 2.0], y=[1.0, -1.0]), value=800.0, grads={"w": [0.0, 400.0]}, rtol=1e-12)])

#% case
case(id="num_poisson_zero", source="scikit-learn mean_poisson_deviance with y = 0", difficulty=2, statement="Poisson deviance term with zero count: 2 mu, gradient 2.", latex=r"2\big(y\log(y/\mu)-y+\mu\big)", shapes="mu: pos; y:", sizes=[dict()], maker=lambda rng: {"mu": np.float64(0.7), "y": np.float64(0.0)}, f=lambda mu, y: 2 * ((y * np.log(y / mu) if y > 0 else 0.0) - y + mu), grads={"mu": (r"2(1-y/\mu)", lambda mu, y: 2 * (1 - y / mu))}, expected=[Exp("0.7", dict(mu=0.7, y=0.0), value=1.4, grads={"mu": 2.0})])

#% case
case(id="num_softmax_shift", source="Goodfellow et al., Deep Learning sec. 4.1: softmax is invariant to adding a constant", difficulty=2, statement="Softmax at x and x + 1e6: identical results up to the rounding of x; gradients sum to zero.", latex=r"R^\top\operatorname{softmax}(x+10^6)", shapes="x: k; R: k", sizes=[dict(k=4)], fd=False, maker=lambda rng, k: {"x": 1e6 + np.arange(k) * 0.5, "R": rng.standard_normal(k)}, f=lambda x, R: R @ softmax(x), grads={"x": (r"p\odot(R-R^\top p)", lambda x, R: softmax(x) * (R - R @ softmax(x)))}, mp_f=lambda mp, x, R: msum(r * mp.exp(v - x[0]) for r, v in zip(R, x)) / msum(mp.exp(v - x[0]) for v in x))

#% case
case(id="num_atan2_axes", source="numpy.arctan2: derivative on the axes where y/x divides by zero", difficulty=3, statement="arctan2 at x = 0: the quotient form divides by zero, the gradient (x, -y)/(x^2+y^2) does not.", latex=r"\operatorname{atan2}(y,x)", shapes="y: away; x: away", sizes=[dict()], f=lambda y, x: np.arctan2(y, x), grads={"y": (r"\frac{x}{x^2+y^2}", lambda y, x: x / (x * x + y * y)), "x": (r"\frac{-y}{x^2+y^2}", lambda y, x: -y / (x * x + y * y))}, torch_f=lambda t, F, y, x: t.atan2(y, x), expected=[Exp("(1, 0)", dict(y=1.0, x=0.0), value=np.pi / 2, grads={"y": 0.0, "x": -1.0}), Exp("(2, -2)", dict(y=2.0, x=-2.0), value=3 * np.pi / 4, grads={"y": -0.25, "x": -0.25}, rtol=1e-14)])
