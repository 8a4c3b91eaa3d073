"""Matrix-calculus tools, papers and textbooks: matrixcalculus.org, Laue et al. 2018,
tensorgrad, Parr & Howard, Magnus & Neudecker, AD survey papers, AD tool manuals."""
from functools import partial

import numpy as np

from cases.case import Exp, lse, make_case, sig, softmax, softplus

CASES = []
case = partial(make_case, CASES, "matrix_calculus")
MCO = "matrixcalculus.org documentation, valid input examples: "
inv, det, tr = np.linalg.inv, np.linalg.det, np.trace

#% case
case(id="mco_Aexp", source=MCO + "A*exp(x)", difficulty=1, statement="Matrix times elementwise exponential; Jacobian.", latex=r"F(x)=A\exp(x)", shapes="A: m,n; x: n", sizes=[dict(m=2, n=3), dict(m=4, n=2)], kind="jacobian",
     f=lambda A, x: A @ np.exp(x), grads={"x": (r"A\operatorname{diag}(\exp x)", lambda A, x: A * np.exp(x))})

#% case
case(id="mco_norm1", source=MCO + "norm1(A*x-y)", difficulty=2, statement="L1 residual norm.", latex=r"f(x)=\|Ax-y\|_1", shapes="A: m,n; x: n; y: m", sizes=[dict(m=3, n=2), dict(m=5, n=3)], smooth=False,
     f=lambda A, x, y: np.sum(np.abs(A @ x - y)), grads={"x": (r"A^\top\operatorname{sign}(Ax-y)", lambda A, x, y: A.T @ np.sign(A @ x - y)), "A": (r"\operatorname{sign}(Ax-y)x^\top", lambda A, x, y: np.outer(np.sign(A @ x - y), x))},
     torch_f=lambda t, F, A, x, y: (A @ x - y).abs().sum())

#% case
case(id="mco_lsq", source=MCO + "norm2(A*x-y)^2", difficulty=1, statement="Least squares.", latex=r"f(x)=\|Ax-y\|_2^2", shapes="A: m,n; x: n; y: m", sizes=[dict(m=3, n=2), dict(m=5, n=4)],
     f=lambda A, x, y: np.sum((A @ x - y) ** 2),
     grads={"x": (r"2A^\top(Ax-y)", lambda A, x, y: 2 * A.T @ (A @ x - y)), "A": (r"2(Ax-y)x^\top", lambda A, x, y: 2 * np.outer(A @ x - y, x)), "y": (r"-2(Ax-y)", lambda A, x, y: -2 * (A @ x - y))},
     hess={("x", "x"): (r"2A^\top A", lambda A, x, y: 2 * A.T @ A)})

#% case
case(id="mco_logistic", source=MCO + "sum(log(exp(-y.*(X*w)) + vector(1))); Laue et al. 2018 benchmark", difficulty=2,
     statement="Logistic regression loss with labels in {-1, +1}; gradient and Hessian.",
     latex=r"f(w)=\sum_i\log\big(1+e^{-y_i(Xw)_i}\big)", shapes="X: m,n; w: n; y: m pm1", sizes=[dict(m=4, n=3), dict(m=7, n=2)],
     f=lambda X, w, y: np.sum(softplus(-y * (X @ w))),
     grads={"w": (r"-X^\top\big(y\odot\sigma(-y\odot Xw)\big)", lambda X, w, y: -X.T @ (y * sig(-y * (X @ w)))),
            "X": (r"-\big(y\odot\sigma(-y\odot Xw)\big)w^\top", lambda X, w, y: -np.outer(y * sig(-y * (X @ w)), w))},
     hess={("w", "w"): (r"X^\top\operatorname{diag}\big(p\odot(1-p)\big)X,\ p=\sigma(Xw)", lambda X, w, y: X.T @ ((sig(X @ w) * (1 - sig(X @ w)))[:, None] * X))},
     torch_f=lambda t, F, X, w, y: F.softplus(-y * (X @ w)).sum())

#% case
case(id="mco_trAXBXC", source=MCO + "tr(A*X'*B*X*C)", difficulty=2, statement="Trace with X transposed and X.", latex=r"f(X)=\operatorname{tr}(AX^\top BXC)", shapes="A: p,n; X: m,n; B: m,m; C: n,p", sizes=[dict(m=2, n=3, p=2), dict(m=4, n=2, p=3)],
     f=lambda A, X, B, C: tr(A @ X.T @ B @ X @ C), grads={"X": (r"BXCA+B^\top XA^\top C^\top", lambda A, X, B, C: B @ X @ C @ A + B.T @ X @ A.T @ C.T)})

#% case
case(id="mco_logdetinv", source=MCO + "log(det(inv(X)))", difficulty=3, statement="Log determinant of the inverse.", latex=r"f(X)=\log\det(X^{-1})", shapes="X: n,n spd", sizes=[dict(n=2), dict(n=4)],
     f=lambda X: np.log(det(inv(X))), grads={"X": (r"-X^{-\top}", lambda X: -inv(X).T)})

#% case
case(id="mco_default", source="matrixcalculus.org start page default: x'*A*x + c*sin(y)'*x", difficulty=2, statement="Quadratic form plus a scaled inner product with an elementwise sine.",
     latex=r"f=x^\top Ax+c\,\sin(y)^\top x", shapes="x: n; A: n,n; c:; y: n", sizes=[dict(n=3), dict(n=4)],
     f=lambda x, A, c, y: x @ A @ x + c * np.sin(y) @ x,
     grads={"x": (r"(A+A^\top)x+c\sin y", lambda x, A, c, y: (A + A.T) @ x + c * np.sin(y)), "c": (r"\sin(y)^\top x", lambda x, A, c, y: np.sin(y) @ x),
            "y": (r"c\,x\odot\cos y", lambda x, A, c, y: c * x * np.cos(y)), "A": (r"xx^\top", lambda x, A, c, y: np.outer(x, x))},
     hess={("x", "y"): (r"c\operatorname{diag}(\cos y)", lambda x, A, c, y: c * np.diag(np.cos(y)))})

#% case
case(id="laue_quadratic_hessian", source="Laue, Mitterreiter, Giesen, NeurIPS 2018, introduction: f(x)=x'Ax has Hessian A + A'", difficulty=1, statement="The paper's motivating example: the Hessian is constant and must not depend on x.",
     latex=r"f(x)=x^\top Ax,\ \nabla^2f=A+A^\top", shapes="x: n; A: n,n", sizes=[dict(n=4), dict(n=8)],
     f=lambda x, A: x @ A @ x, grads={"x": (r"(A+A^\top)x", lambda x, A: (A + A.T) @ x)}, hess={("x", "x"): (r"A+A^\top", lambda x, A: A + A.T)})

#% case
case(id="laue_relu_net", source="Laue, Mitterreiter, Giesen, NeurIPS 2018 benchmark: small fully connected ReLU net with softmax cross-entropy (three layers here, no biases)", difficulty=4,
     statement="Deep ReLU network without biases and softmax cross-entropy on one example; gradient in every weight and the Hessian in the first weight matrix (piecewise).",
     latex=r"f=-\log\operatorname{softmax}\big(W_3\operatorname{relu}(W_2\operatorname{relu}(W_1x))\big)_y", shapes="W1: h,n; W2: h,h; W3: k,h; x: n; t: k onehot", sizes=[dict(n=3, h=3, k=2)], smooth=False,
     f=lambda W1, W2, W3, x, t: lse(W3 @ np.maximum(W2 @ np.maximum(W1 @ x, 0), 0)) - t @ (W3 @ np.maximum(W2 @ np.maximum(W1 @ x, 0), 0)),
     grads={"W1": r"\delta_1x^\top", "W2": r"\delta_2h_1^\top", "W3": r"(p-t)h_2^\top"}, backward=lambda W1, W2, W3, x, t: _laue_net(W1, W2, W3, x, t),
     hess={("W1", "W1"): (r"x x^\top\otimes B^\top(\operatorname{diag}p-pp^\top)B,\ B=W_3D_2W_2D_1", lambda W1, W2, W3, x, t: _laue_hess(W1, W2, W3, x, t))})


def _laue_net(W1, W2, W3, x, t):
    h1 = np.maximum(W1 @ x, 0)
    h2 = np.maximum(W2 @ h1, 0)
    d3 = softmax(W3 @ h2) - t
    d2 = (W3.T @ d3) * (h2 > 0)
    d1 = (W2.T @ d2) * (h1 > 0)
    return {"W1": np.outer(d1, x), "W2": np.outer(d2, h1), "W3": np.outer(d3, h2)}


def _laue_hess(W1, W2, W3, x, t):
    h1 = np.maximum(W1 @ x, 0)
    h2 = np.maximum(W2 @ h1, 0)
    p = softmax(W3 @ h2)
    B = W3 @ np.diag((h2 > 0) * 1.0) @ W2 @ np.diag((h1 > 0) * 1.0)
    M = B.T @ (np.diag(p) - np.outer(p, p)) @ B
    return np.einsum("ac,b,d->abcd", M, x, x)

#% case
case(id="tg_lse_hessian", source="tensorgrad tests/test_second_order.py: Hessian of log-sum-exp", difficulty=2, statement="Log-sum-exp: gradient is softmax, Hessian is diag(p) - pp'.", latex=r"f(x)=\log\sum_ie^{x_i}", shapes="x: n", sizes=[dict(n=3), dict(n=7)],
     f=lambda x: lse(x), grads={"x": (r"\operatorname{softmax}(x)", lambda x: softmax(x))}, hess={("x", "x"): (r"\operatorname{diag}(p)-pp^\top", lambda x: np.diag(softmax(x)) - np.outer(softmax(x), softmax(x)))},
     expected=[Exp("scipy.special.logsumexp docs: arange(10)", dict(x=np.arange(10.0)), value=9.4586297444267107, rtol=1e-14)])

#% case
case(id="tg_mlp_hessian", source="tensorgrad tests/test_second_order.py: Hessian of a tanh MLP with respect to its input", difficulty=3, statement="Scalar one-hidden-layer tanh network: gradient and Hessian with respect to the input.",
     latex=r"f(x)=w_2^\top\tanh(W_1^\top x)", shapes="x: n; W1: n,m; w2: m", sizes=[dict(n=3, m=4), dict(n=5, m=2)],
     f=lambda x, W1, w2: np.tanh(x @ W1) @ w2, grads={"x": (r"W_1\big(w_2\odot(1-h^2)\big)", lambda x, W1, w2: W1 @ (w2 * (1 - np.tanh(x @ W1) ** 2)))},
     hess={("x", "x"): (r"W_1\operatorname{diag}\big(-2w_2\odot h\odot(1-h^2)\big)W_1^\top", lambda x, W1, w2: (W1 * (-2 * w2 * np.tanh(x @ W1) * (1 - np.tanh(x @ W1) ** 2))) @ W1.T)},
     torch_f=lambda t, F, x, W1, w2: t.tanh(x @ W1) @ w2)

#% case
case(id="tg_pairwise_dist", source="tensorgrad tests/test_functions.py: pairwise distances", difficulty=3, statement="Weighted sum of all squared pairwise row distances.", latex=r"f(X)=\sum_{ij}C_{ij}\|x_i-x_j\|^2", shapes="X: n,d; C: n,n", sizes=[dict(n=3, d=2), dict(n=4, d=3)],
     f=lambda X, C: np.sum(C * np.sum((X[:, None] - X[None]) ** 2, -1)),
     grads={"X": (r"2\big(\operatorname{diag}(S\mathbf 1)-S\big)X,\ S=C+C^\top", lambda X, C: 2 * (np.diag((C + C.T).sum(1)) - (C + C.T)) @ X)})

#% case
case(id="tg_inverse_quadratic", source="tensorgrad tests/test_functions.py (inverse) and examples/gp.py: Gaussian-process marginal likelihood", difficulty=4,
     statement="Gaussian-process negative log marginal likelihood with respect to the log noise s and log amplitude a for a fixed kernel matrix K0.",
     latex=r"f(a,s)=\tfrac12y^\top K^{-1}y+\tfrac12\ln\det K+\tfrac n2\ln2\pi,\ K=e^aK_0+e^sI", shapes="K0: n,n spd; y: n; a:; s:", sizes=[dict(n=3), dict(n=5)],
     f=lambda K0, y, a, s: (lambda K: 0.5 * y @ np.linalg.solve(K, y) + 0.5 * np.log(det(K)) + len(y) / 2 * np.log(2 * np.pi))(np.exp(a) * K0 + np.exp(s) * np.eye(len(y))),
     grads={"a": (r"\tfrac12\operatorname{tr}\big((K^{-1}-\alpha\alpha^\top)e^aK_0\big),\ \alpha=K^{-1}y", lambda K0, y, a, s: (lambda Ki: 0.5 * tr((Ki - np.outer(Ki @ y, Ki @ y)) @ (np.exp(a) * K0)))(inv(np.exp(a) * K0 + np.exp(s) * np.eye(len(y))))),
            "s": (r"\tfrac12e^s\operatorname{tr}(K^{-1}-\alpha\alpha^\top)", lambda K0, y, a, s: (lambda Ki: 0.5 * np.exp(s) * tr(Ki - np.outer(Ki @ y, Ki @ y)))(inv(np.exp(a) * K0 + np.exp(s) * np.eye(len(y)))))})

#% case
case(id="ph_relu_neuron", seed=8, source="Parr & Howard, The Matrix Calculus You Need For Deep Learning, sec. 5 (gradient of neuron activation)", difficulty=2,
     statement="Activation of a single rectified unit with respect to weights and bias.", latex=r"f(w,b)=\max(0,w\cdot x+b)", shapes="w: n; x: n; b:", sizes=[dict(n=3), dict(n=6)], smooth=False,
     f=lambda w, x, b: np.maximum(0, w @ x + b),
     grads={"w": (r"x^\top\,[w\cdot x+b>0]", lambda w, x, b: x * (w @ x + b > 0)), "b": (r"[w\cdot x+b>0]", lambda w, x, b: 1.0 * (w @ x + b > 0)), "x": (r"w\,[w\cdot x+b>0]", lambda w, x, b: w * (w @ x + b > 0))},
     expected=[Exp("active", dict(w=[1.0, 2.0], x=[3.0, 4.0], b=-1.0), value=10.0, grads={"w": [3.0, 4.0], "b": 1.0}), Exp("inactive", dict(w=[1.0, 2.0], x=[3.0, 4.0], b=-20.0), value=0.0, grads={"w": [0.0, 0.0], "b": 0.0})])

#% case
case(id="ph_mse_relu_loss", source="Parr & Howard, sec. 6 (gradient of the neural network loss)", difficulty=2,
     statement="Mean squared error of one rectified unit over N examples, gradient in weights and bias.",
     latex=r"C(w,b)=\frac1N\sum_i\big(y_i-\max(0,w\cdot x_i+b)\big)^2", shapes="w: n; b:; X: N,n; y: N", sizes=[dict(N=5, n=3), dict(N=4, n=2)], smooth=False,
     f=lambda w, b, X, y: np.mean((y - np.maximum(0, X @ w + b)) ** 2),
     grads={"w": (r"\frac2N\sum_{i:\,w\cdot x_i+b>0}(w\cdot x_i+b-y_i)x_i^\top", lambda w, b, X, y: 2 / len(y) * X.T @ ((X @ w + b - y) * (X @ w + b > 0))),
            "b": (r"\frac2N\sum_{i:\,w\cdot x_i+b>0}(w\cdot x_i+b-y_i)", lambda w, b, X, y: 2 / len(y) * np.sum((X @ w + b - y) * (X @ w + b > 0)))})

#% case
case(id="mn_logdet_hess", source="Magnus & Neudecker, ch. 10: Hessian of log|X|", difficulty=4, statement="Hessian of the log determinant.", latex=r"f(X)=\ln\det X,\ \frac{\partial^2f}{\partial X_{ij}\partial X_{kl}}=-(X^{-1})_{jk}(X^{-1})_{li}", shapes="X: n,n spd", sizes=[dict(n=2), dict(n=3)],
     f=lambda X: np.log(det(X)), grads={"X": (r"X^{-\top}", lambda X: inv(X).T)}, hess={("X", "X"): (r"-(X^{-1})_{jk}(X^{-1})_{li}", lambda X: -np.einsum("jk,li->ijkl", inv(X), inv(X)))})

#% case
case(id="mn_mle_cov", source="Magnus & Neudecker, ch. 15 (maximum-likelihood estimation of the normal covariance)", difficulty=3, statement="Normal log-likelihood in the precision matrix for a sample covariance S (n/2 scaled out). The stationary point is the inverse of S.",
     latex=r"f(\Lambda)=\operatorname{tr}(S\Lambda)-\ln\det\Lambda", shapes="S: n,n spd; L: n,n spd", sizes=[dict(n=2), dict(n=4)],
     f=lambda S, L: tr(S @ L) - np.log(det(L)), grads={"L": (r"S^\top-\Lambda^{-\top}", lambda S, L: S.T - inv(L).T)},
     expected=[Exp("stationary point: L = S^-1, gradient 0", dict(S=[[2.0, 1.0], [1.0, 2.0]], L=[[2 / 3, -1 / 3], [-1 / 3, 2 / 3]]), grads={"L": np.zeros((2, 2))}, atol=1e-14)])

#% case
case(id="ad_survey_baydin", source="Baydin et al., Automatic differentiation in machine learning: a survey (JMLR 2018), tables 2-3", difficulty=1,
     statement="The survey's running example f = ln(x1) + x1 x2 - sin(x2) at (2, 5).", latex=r"f=\ln x_1+x_1x_2-\sin x_2", shapes="x1: pos; x2:", sizes=[dict()],
     f=lambda x1, x2: np.log(x1) + x1 * x2 - np.sin(x2), grads={"x1": (r"1/x_1+x_2", lambda x1, x2: 1 / x1 + x2), "x2": (r"x_1-\cos x_2", lambda x1, x2: x1 - np.cos(x2))},
     expected=[Exp("printed: y = 11.652, dy/dx1 = 5.5, dy/dx2 = 1.716", dict(x1=2.0, x2=5.0), value=11.652, grads={"x1": 5.5, "x2": 1.716}, rtol=0, atol=5.01e-4)])

#% case
case(id="ad_autograd_tanh", source="HIPS autograd README: tanh written with exp, gradient at 1.0", difficulty=1, statement="tanh from exponentials.", latex=r"f(x)=\frac{1-e^{-2x}}{1+e^{-2x}}", shapes="x:", sizes=[dict()],
     f=lambda x: (1 - np.exp(-2 * x)) / (1 + np.exp(-2 * x)), grads={"x": (r"1-\tanh^2x", lambda x: 1 - np.tanh(x) ** 2)},
     expected=[Exp("printed 0.41997434161402603 (autograd); its finite difference 0.41997434264973155", dict(x=1.0), grads={"x": 0.41997434161402603}, rtol=1e-14)])

#% case
case(id="ad_jax_sumlogistic", source="JAX quickstart: gradient of sum of logistic over [0, 1, 2]", difficulty=1, statement="Sum of logistic functions.", latex=r"f(x)=\sum_i\sigma(x_i)", shapes="x: n", sizes=[dict(n=3), dict(n=5)],
     f=lambda x: np.sum(sig(x)), grads={"x": (r"\sigma(x)(1-\sigma(x))", lambda x: sig(x) * (1 - sig(x)))},
     expected=[Exp("printed [0.25 0.19661194 0.10499357] (float32)", dict(x=[0.0, 1.0, 2.0]), grads={"x": [0.25, 0.19661194, 0.10499357]}, rtol=2e-7)])

#% case
case(id="ad_torch_blitz", source="PyTorch autograd tutorial: Q = 3a^3 - b^2 with a = [2, 3], b = [6, 4]", difficulty=1, statement="Elementwise cubic minus square, summed.", latex=r"f=\sum(3a^3-b^2)", shapes="a: n; b: n", sizes=[dict(n=2), dict(n=4)],
     f=lambda a, b: np.sum(3 * a ** 3 - b ** 2), grads={"a": (r"9a^2", lambda a, b: 9 * a ** 2), "b": (r"-2b", lambda a, b: -2 * b)},
     expected=[Exp("tutorial values", dict(a=[2.0, 3.0], b=[6.0, 4.0]), grads={"a": [36.0, 81.0], "b": [-12.0, -8.0]})])

#% case
case(id="ad_torch_old", source="PyTorch autograd tutorial (older): out = mean(3 (x+2)^2), x = ones(2,2)", difficulty=1, statement="Mean of a shifted scaled square.", latex=r"f(x)=\frac1n\sum3(x+2)^2", shapes="x: m,n", sizes=[dict(m=2, n=2), dict(m=3, n=1)],
     f=lambda x: np.mean(3 * (x + 2) ** 2), grads={"x": (r"6(x+2)/n", lambda x: 6 * (x + 2) / x.size)}, expected=[Exp("all 4.5", dict(x=np.ones((2, 2))), value=27.0, grads={"x": 4.5 * np.ones((2, 2))})])

#% case
case(id="d2l_dot", source="Dive into Deep Learning, automatic differentiation chapter: y = 2 x.x at arange(4)", difficulty=1, statement="Twice the squared norm.", latex=r"f(x)=2x^\top x", shapes="x: n", sizes=[dict(n=4), dict(n=2)],
     f=lambda x: 2 * x @ x, grads={"x": (r"4x", lambda x: 4 * x)}, expected=[Exp("book values", dict(x=np.arange(4.0)), value=28.0, grads={"x": [0.0, 4.0, 8.0, 12.0]})])

#% case
case(id="scipy_rosen", source="SciPy docs: scipy.optimize.rosen, rosen_der, rosen_hess examples", difficulty=3, statement="Rosenbrock function of n variables: gradient and Hessian.", latex=r"f(x)=\sum_{i=1}^{n-1}100(x_{i+1}-x_i^2)^2+(1-x_i)^2", shapes="x: n", sizes=[dict(n=3), dict(n=5)],
     f=lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
     grads={"x": (r"200(x_i-x_{i-1}^2)-400x_i(x_{i+1}-x_i^2)-2(1-x_i)", lambda x: np.concatenate([[0], 200 * (x[1:] - x[:-1] ** 2)]) + np.concatenate([-400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1]), [0]]))},
     hess={("x", "x"): (r"\text{tridiagonal}", lambda x: np.diag(np.concatenate([1200 * x[:-1] ** 2 - 400 * x[1:] + 2, [0]]) + np.concatenate([[0], 200 * np.ones(len(x) - 1)])) + np.diag(-400 * x[:-1], 1) + np.diag(-400 * x[:-1], -1))},
     expected=[Exp("0.1*arange(10)", dict(x=0.1 * np.arange(10)), value=76.56, rtol=1e-12), Exp("0.1*arange(9)", dict(x=0.1 * np.arange(9)), grads={"x": [-2.0, 10.6, 15.6, 13.4, 6.4, -3.0, -12.4, -19.4, 62.0]}, rtol=1e-11, atol=1e-12)])

#% case
case(id="mse_vAnv", source="Mathematics Stack Exchange 1924606 (answer): gradient of v'A^n v, here n = 4", difficulty=3, statement="Quadratic form of a matrix power. For n = 2 the gradient is A'vv' + vv'A'; the question itself states Avv' + vv'A', which is wrong.", latex=r"f(A)=v^\top A^4v", shapes="v: n; A: n,n normal*0.6", sizes=[dict(n=2), dict(n=3)],
     f=lambda v, A: v @ A @ A @ A @ A @ v, grads={"A": (r"\sum_{k=0}^{3}(A^kvv^\top A^{3-k})^\top\ \text{i.e.}\ \sum_k(A^{k})^\top vv^\top(A^{3-k})^\top", lambda v, A: sum(np.linalg.matrix_power(A, k).T @ np.outer(v, v) @ np.linalg.matrix_power(A, 3 - k).T for k in range(4))), "v": (r"(A^4+(A^4)^\top)v", lambda v, A: (np.linalg.matrix_power(A, 4) + np.linalg.matrix_power(A, 4).T) @ v)},
     expected=[Exp("n = 1 trap: with A = I the gradient is 4 vv'", dict(v=[1.0, 2.0], A=np.eye(2)), value=5.0, grads={"A": [[4.0, 8.0], [8.0, 16.0]]})])
