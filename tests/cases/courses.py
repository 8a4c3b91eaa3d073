"""Course homework and tutorials with published numbers: CS231n, CS224n, CS229,
CMU 10-601, Coursera (Ng), MIT 6.036, Nielsen, Mazur, micrograd."""
from functools import partial

import numpy as np

from cases.case import Exp, lse, make_case, sig, softmax, softplus

CASES = []
case = partial(make_case, CASES, "courses")
L = np.linspace
relu = lambda z: np.maximum(z, 0)


def lin(a, b, *shape):
    return np.linspace(a, b, num=int(np.prod(shape))).reshape(shape)


def onehot(y, k):
    return np.eye(k)[np.asarray(y)]

#% case
case(id="cs231n_circuit_mul", source="CS231n notes, optimization-2: f = (x+y)z at (-2, 5, -4)", difficulty=1, statement="Add gate feeding a multiply gate.", latex=r"f=(x+y)z", shapes="x:; y:; z:", sizes=[dict()],
     f=lambda x, y, z: (x + y) * z, grads={"x": ("z", lambda x, y, z: z), "y": ("z", lambda x, y, z: z), "z": ("x+y", lambda x, y, z: x + y)},
     expected=[Exp("notes", dict(x=-2.0, y=5.0, z=-4.0), value=-12.0, grads={"x": -4.0, "y": -4.0, "z": 3.0})])

#% case
case(id="cs231n_staged", source="CS231n notes, optimization-2: staged computation at (3, -4)", difficulty=2, statement="Ratio of sums of sigmoids and squares in which both variables appear several times.", latex=r"f=\frac{x+\sigma(y)}{\sigma(x)+(x+y)^2}", shapes="x:; y:", sizes=[dict()],
     f=lambda x, y: (x + sig(y)) / (sig(x) + (x + y) ** 2),
     grads={"x": (r"\frac1D-\frac{N}{D^2}\big(\sigma'(x)+2(x+y)\big)", lambda x, y: (lambda N, D: 1 / D - N / D ** 2 * (sig(x) * (1 - sig(x)) + 2 * (x + y)))(x + sig(y), sig(x) + (x + y) ** 2)),
            "y": (r"\frac{\sigma'(y)}D-\frac N{D^2}2(x+y)", lambda x, y: (lambda N, D: sig(y) * (1 - sig(y)) / D - N / D ** 2 * 2 * (x + y))(x + sig(y), sig(x) + (x + y) ** 2))},
     torch_f=lambda t, F, x, y: (x + t.sigmoid(y)) / (t.sigmoid(x) + (x + y) ** 2))

#% case
case(id="cs231n_hinge_one", source="CS231n notes, linear-classify: s = [13, -7, 11], y = 0, delta = 10 gives 8", difficulty=1, statement="Multiclass hinge loss of one example with a margin of 10.", latex=r"L=\sum_{j\ne y}\max(0,s_j-s_y+\Delta)", shapes="s: k; t: k onehot; delta: pos", sizes=[dict(k=3), dict(k=5)], smooth=False,
     f=lambda s, t, delta: np.sum((1 - t) * relu(s - t @ s + delta)),
     grads={"s": (r"[s_j-s_y+\Delta>0]\ (j\ne y);\ -\sum_{j\ne y}[\cdot]\ (j=y)", lambda s, t, delta: (lambda m: m - t * m.sum())((1 - t) * (s - t @ s + delta > 0)))},
     expected=[Exp("notes: max(0,-10) + max(0,8) = 8", dict(s=[13.0, -7.0, 11.0], t=[1.0, 0, 0], delta=10.0), value=8.0, grads={"s": [-1.0, 0.0, 1.0]})])

#% case
case(id="cs231n_svm_vs_softmax", source="CS231n notes, linear-classify figure: scores [-2.85, 0.86, 0.28], class 2: softmax loss 1.04", difficulty=1, statement="Softmax loss of the figure's score vector.", latex=r"L=-f_y+\log\sum_je^{f_j}", shapes="s: k; t: k onehot", sizes=[dict(k=3), dict(k=4)],
     f=lambda s, t: lse(s) - t @ s, grads={"s": ("p-t", lambda s, t: softmax(s) - t)},
     expected=[Exp("figure: 1.04 with natural logarithm; probabilities 0.016, 0.631, 0.353", dict(s=[-2.85, 0.86, 0.28], t=[0.0, 0.0, 1.0]), value=1.04, grads={"s": [0.016, 0.631, 0.353 - 1]}, rtol=0, atol=0.00501)])

#% case
case(id="cs231n_hinge_figure", source="CS231n notes, linear-classify figure: scores [-2.85, 0.86, 0.28], class 2: SVM loss 1.58", difficulty=1, statement="Multiclass hinge loss of the figure's score vector with margin 1.", latex=r"L=\sum_{j\ne y}\max(0,s_j-s_y+1)", shapes="s: k; t: k onehot", sizes=[dict(k=3)], smooth=False,
     f=lambda s, t: np.sum((1 - t) * relu(s - t @ s + 1)), grads={"s": (r"m-t\sum m", lambda s, t: (lambda m: m - t * m.sum())((1 - t) * (s - t @ s + 1 > 0)))},
     expected=[Exp("figure", dict(s=[-2.85, 0.86, 0.28], t=[0.0, 0.0, 1.0]), value=1.58, grads={"s": [0.0, 1.0, -1.0]}, rtol=1e-12)])

#% case
case(id="cs231n_softmax_temperature", source="CS231n notes, linear-classify: softmax of [1,-2,0] and of its half", difficulty=1, statement="Softmax probabilities; Jacobian.", latex=r"p=\operatorname{softmax}(s)", shapes="s: k", sizes=[dict(k=3)], kind="jacobian",
     f=lambda s: softmax(s), grads={"s": (r"\operatorname{diag}(p)-pp^\top", lambda s: np.diag(softmax(s)) - np.outer(softmax(s), softmax(s)))},
     expected=[Exp("[1,-2,0] -> [0.7, 0.04, 0.26]", dict(s=[1.0, -2.0, 0.0]), value=[0.7, 0.04, 0.26], rtol=0, atol=0.0062), Exp("[0.5,-1,0] -> [0.55, 0.12, 0.33]", dict(s=[0.5, -1.0, 0.0]), value=[0.55, 0.12, 0.33], rtol=0, atol=0.0062)])

#% case
case(id="cs231n_svm_lecture", source="CS231n lecture 3 slides: cat/car/frog scores, losses 2.9, 0, 12.9, mean 5.27", difficulty=2, statement="Mean multiclass hinge loss of three examples.", latex=r"L=\frac1N\sum_i\sum_{j\ne y_i}\max(0,s_{ij}-s_{iy_i}+1)", shapes="S: n,k; T: n,k onehot", sizes=[dict(n=3, k=3), dict(n=4, k=5)], smooth=False,
     f=lambda S, T: np.mean(np.sum((1 - T) * relu(S - np.sum(T * S, 1, keepdims=True) + 1), 1)),
     grads={"S": (r"\frac1N(M-T\operatorname{diag}(M\mathbf 1))", lambda S, T: (lambda M: (M - T * M.sum(1, keepdims=True)) / len(S))((1 - T) * (S - np.sum(T * S, 1, keepdims=True) + 1 > 0)))},
     expected=[Exp("slides", dict(S=[[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]], T=np.eye(3)), value=(2.9 + 0 + 12.9) / 3, rtol=1e-12, published=5.27)],
     torch_f=lambda t, F, S, T: F.multi_margin_loss(S, T.argmax(1), margin=1.0) * S.shape[1])

#% case
case(id="cs231n_affine", source="CS231n assignment 1 (two_layer_net / layers): affine_forward check", difficulty=1, statement="Affine layer with a flattened 3-index input per example; scalarised with a cotangent R.", latex=r"L=\sum R\odot(\operatorname{flat}(x)w+b)", shapes="x: n,p,q; w: p*q,m; b: m; R: n,m", sizes=[dict(n=2, p=2, q=3, m=3), dict(n=3, p=1, q=4, m=2)],
     f=lambda x, w, b, R: np.sum(R * (x.reshape(x.shape[0], -1) @ w + b)),
     grads={"x": (r"Rw^\top\ \text{reshaped}", lambda x, w, b, R: (R @ w.T).reshape(x.shape)), "w": (r"\operatorname{flat}(x)^\top R", lambda x, w, b, R: x.reshape(len(x), -1).T @ R), "b": (r"R^\top\mathbf 1", lambda x, w, b, R: R.sum(0))},
     expected=[Exp("assignment forward values, row sums: entries 1.49834967 1.70660132 1.91485297 / 3.25553199 3.5141327 3.77273342 (entry i picked by R)", dict(x=lin(-0.1, 0.5, 2, 4, 30).reshape(2, 4, 30), w=lin(-0.2, 0.3, 120, 3), b=L(-0.3, 0.1, 3), R=np.ones((2, 3))), value=1.49834967 + 1.70660132 + 1.91485297 + 3.25553199 + 3.5141327 + 3.77273342, rtol=1e-8)])

#% case
case(id="cs231n_relu_fwd", source="CS231n assignment 1: relu_forward check on linspace(-0.5, 0.5, 12)", difficulty=1, statement="ReLU on a 3x4 grid.", latex=r"F(x)=\max(0,x)", shapes="x: m,n", sizes=[dict(m=3, n=2)], kind="jacobian", smooth=False,
     f=lambda x: relu(x), grads={"x": (r"\delta_{ik}\delta_{jl}[x_{ij}>0]", lambda x: np.einsum("ij,ik,jl->ijkl", 1.0 * (x > 0), np.eye(x.shape[0]), np.eye(x.shape[1])))},
     expected=[Exp("assignment values", dict(x=lin(-0.5, 0.5, 3, 4)), value=[[0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364], [0.22727273, 0.31818182, 0.40909091, 0.5]], rtol=1e-7)])

#% case
case(id="cs231n_two_layer_net", source="CS231n assignment 1, two_layer_net: loss 3.4702243556 (reg 0) and 26.5948426952 (reg 1)", difficulty=3,
     statement="Affine-ReLU-affine-softmax with 0.5*reg*(|W1|^2+|W2|^2).", latex=r"L=\frac1N\sum_i-\log p_{iy_i}+\frac\lambda2(\|W_1\|_F^2+\|W_2\|_F^2),\ p=\operatorname{softmax}(\operatorname{relu}(XW_1+b_1)W_2+b_2)",
     shapes="X: N,D; W1: D,H; b1: H; W2: H,C; b2: C; T: N,C onehot; reg: pos", sizes=[dict(N=3, D=4, H=5, C=3), dict(N=5, D=2, H=3, C=4)], smooth=False,
     f=lambda X, W1, b1, W2, b2, T, reg: (lambda S: np.mean(lse(S) - np.sum(T * S, 1)) + 0.5 * reg * (np.sum(W1 ** 2) + np.sum(W2 ** 2)))(relu(X @ W1 + b1) @ W2 + b2),
     grads={"W1": r"X^\top\delta_1+\lambda W_1", "b1": r"\delta_1^\top\mathbf 1", "W2": r"H^\top\delta_2+\lambda W_2", "b2": r"\delta_2^\top\mathbf 1", "X": r"\delta_1W_1^\top"}, backward=lambda **k: _tln(**k),
     expected=[Exp("reg = 0", dict(X=lin(-5.5, 4.5, 5, 3).T, W1=lin(-0.7, 0.3, 5, 50), b1=L(-0.1, 0.9, 50), W2=lin(-0.3, 0.4, 50, 7), b2=L(-0.9, 0.1, 7), T=onehot([0, 5, 1], 7), reg=0.0), value=3.4702243556, rtol=0, atol=1e-10),
               Exp("reg = 1", dict(X=lin(-5.5, 4.5, 5, 3).T, W1=lin(-0.7, 0.3, 5, 50), b1=L(-0.1, 0.9, 50), W2=lin(-0.3, 0.4, 50, 7), b2=L(-0.9, 0.1, 7), T=onehot([0, 5, 1], 7), reg=1.0), value=26.5948426952, rtol=0, atol=1e-10)],
     torch_f=lambda t, F, X, W1, b1, W2, b2, T, reg: F.cross_entropy(t.relu(X @ W1 + b1) @ W2 + b2, T.argmax(1)) + 0.5 * reg * ((W1 ** 2).sum() + (W2 ** 2).sum()))


def _tln(X, W1, b1, W2, b2, T, reg):
    Z = X @ W1 + b1
    H = relu(Z)
    d2 = (softmax(H @ W2 + b2) - T) / len(X)
    d1 = (d2 @ W2.T) * (Z > 0)
    return {"W1": X.T @ d1 + reg * W1, "b1": d1.sum(0), "W2": H.T @ d2 + reg * W2, "b2": d2.sum(0), "X": d1 @ W1.T}

#% case
case(id="cs231n_two_layer_scores", source="CS231n assignment 1, two_layer_net: test-time scores", difficulty=2, statement="Scores of the two-layer net; Jacobian in the last bias is the identity per row.", latex=r"S=\operatorname{relu}(XW_1+b_1)W_2+b_2", shapes="X: N,D; W1: D,H; b1: H; W2: H,C; b2: C", sizes=[dict(N=2, D=3, H=4, C=2)], kind="jacobian", smooth=False,
     f=lambda X, W1, b1, W2, b2: relu(X @ W1 + b1) @ W2 + b2,
     grads={"b2": (r"\delta_{jk}", lambda X, W1, b1, W2, b2: np.broadcast_to(np.eye(len(b2)), (len(X), len(b2), len(b2))).copy()),
            "b1": (r"\sum_kW_{2,kj}[z_{ik}>0]\delta_{kl}", lambda X, W1, b1, W2, b2: np.einsum("il,lj->ijl", 1.0 * (X @ W1 + b1 > 0), W2))},
     expected=[Exp("assignment scores", dict(X=lin(-5.5, 4.5, 5, 3).T, W1=lin(-0.7, 0.3, 5, 50), b1=L(-0.1, 0.9, 50), W2=lin(-0.3, 0.4, 50, 7), b2=L(-0.9, 0.1, 7)),
                   value=[[11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096], [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143], [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319]], rtol=1e-8)])

#% case
case(id="cs231n_conv_fwd", source="CS231n assignment 2, ConvolutionalNetworks: conv_forward_naive check (stride 2, pad 1)", difficulty=3, statement="Convolution forward (cross-correlation, stride 2, zero padding 1); Jacobian with respect to the bias.", latex=r"Y_{nfij}=b_f+\sum_{cuv}w_{fcuv}\,\bar x_{n,c,2i+u,2j+v}", shapes="x: n,c,h,w; k: f_,c,4,4; b: f_", sizes=[dict(n=2, c=2, h=4, w=4, f_=2)], kind="jacobian",
     f=lambda x, k, b: _convs2p1(x, k) + b[None, :, None, None],
     grads={"b": (r"\delta_{fg}", lambda x, k, b: np.broadcast_to(np.eye(len(b))[None, :, None, None, :], (len(x), len(b), 2, 2, len(b))).copy())},
     expected=[Exp("assignment values", dict(x=lin(-0.1, 0.5, 2, 3, 4, 4), k=lin(-0.2, 0.3, 3, 3, 4, 4), b=L(-0.1, 0.2, 3)),
                   value=[[[[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]], [[0.21027089, 0.21661097], [0.22847626, 0.23004637]], [[0.50813986, 0.54309974], [0.64082444, 0.67101435]]],
                          [[[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]], [[0.69108355, 0.66880383], [0.59480972, 0.56776003]], [[2.36270298, 2.36904306], [2.38090835, 2.38247847]]]], rtol=3e-8, atol=1e-8)],
     torch_f=lambda t, F, x, k, b: F.conv2d(x, k, b, stride=2, padding=1))


def _convs2p1(x, k):
    xp = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    w = np.lib.stride_tricks.sliding_window_view(xp, k.shape[2:], axis=(2, 3))[:, :, ::2, ::2]
    return np.einsum("ncijuv,fcuv->nfij", w, k)

#% case
case(id="cs231n_maxpool_fwd", source="CS231n assignment 2, ConvolutionalNetworks: max_pool_forward_naive check (2x2, stride 2)", difficulty=2, statement="2x2 max pooling; scalarised with a cotangent.", latex=r"L=\sum R\odot\operatorname{maxpool}_{2\times2}(x)", shapes="x: n,c,h,w; R: n,c,h//2,w//2", sizes=[dict(n=1, c=2, h=4, w=4)], smooth=False,
     f=lambda x, R: np.sum(R * x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max((3, 5))),
     grads={"x": (r"R\ \text{at the argmax of each window}", lambda x, R: (lambda w: ((w == w.max((3, 5), keepdims=True)) * R[:, :, :, None, :, None]).reshape(x.shape))(x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2)))},
     expected=[Exp("sum of the assignment's 24 output values", dict(x=lin(-0.3, 0.4, 2, 3, 4, 4), R=np.ones((2, 3, 2, 2))), value=sum([-0.26315789, -0.24842105, -0.20421053, -0.18947368, -0.14526316, -0.13052632, -0.08631579, -0.07157895, -0.02736842, -0.01263158, 0.03157895, 0.04631579, 0.09052632, 0.10526316, 0.14947368, 0.16421053, 0.20842105, 0.22315789, 0.26736842, 0.28210526, 0.32631579, 0.34105263, 0.38526316, 0.4]), rtol=1e-7)],
     torch_f=lambda t, F, x, R: (R * F.max_pool2d(x, 2)).sum())

#% case
case(id="cs231n_rnn_step", source="CS231n assignment 3 (RNN captioning): rnn_step_forward check", difficulty=2, statement="One vanilla RNN step; Jacobian with respect to the previous hidden state.", latex=r"h'=\tanh(xW_x+hW_h+b)", shapes="x: N,D; h: N,H; Wx: D,H; Wh: H,H; b: H", sizes=[dict(N=2, D=3, H=3)], kind="jacobian",
     f=lambda x, h, Wx, Wh, b: np.tanh(x @ Wx + h @ Wh + b),
     grads={"h": (r"\delta_{nm}(1-h'^2_{nj})W_{h,kj}", lambda x, h, Wx, Wh, b: np.einsum("nm,nj,kj->njmk", np.eye(len(x)), 1 - np.tanh(x @ Wx + h @ Wh + b) ** 2, Wh)),
            "b": (r"(1-h'^2_{nj})\delta_{jk}", lambda x, h, Wx, Wh, b: np.einsum("nj,jk->njk", 1 - np.tanh(x @ Wx + h @ Wh + b) ** 2, np.eye(len(b))))},
     expected=[Exp("assignment values (one public copy misprints 0.87755553 as 0.8775553)", dict(x=lin(-0.4, 0.7, 3, 10), h=lin(-0.2, 0.5, 3, 4), Wx=lin(-0.1, 0.9, 10, 4), Wh=lin(-0.3, 0.7, 4, 4), b=L(-0.2, 0.4, 4)),
                   value=[[-0.58172089, -0.50182032, -0.41232771, -0.31410098], [0.66854692, 0.79562378, 0.87755553, 0.92795967], [0.97934501, 0.99144213, 0.99646691, 0.99854353]], rtol=2e-8)])

#% case
case(id="cs231n_rnn_seq", source="CS231n assignment 3: rnn_forward check (T = 3)", difficulty=3, statement="Vanilla RNN over a sequence, all hidden states weighted by R (backpropagation through time).", latex=r"L=\sum_tR_t\cdot h_t,\ h_t=\tanh(x_tW_x+h_{t-1}W_h+b)", shapes="x: N,T,D; h0: N,H; Wx: D,H; Wh: H,H; b: H; R: N,T,H", sizes=[dict(N=2, T=3, D=2, H=3), dict(N=1, T=5, D=3, H=2)],
     f=lambda x, h0, Wx, Wh, b, R: np.sum(R * _rnn(x, h0, Wx, Wh, b)),
     grads={"x": r"\delta_tW_x^\top", "h0": r"\delta_1W_h^\top", "Wx": r"\sum_tx_t^\top\delta_t", "Wh": r"\sum_th_{t-1}^\top\delta_t", "b": r"\sum_t\delta_t,\ \delta_t=(R_t+\delta_{t+1}W_h^\top)\odot(1-h_t^2)"}, backward=lambda **k: _rnn_bwd(**k),
     expected=[Exp("sum of the assignment's 30 hidden values", dict(x=lin(-0.1, 0.3, 2, 3, 4), h0=lin(-0.3, 0.1, 2, 5), Wx=lin(-0.2, 0.4, 4, 5), Wh=lin(-0.4, 0.1, 5, 5), b=L(-0.7, 0.1, 5), R=np.ones((2, 3, 5))),
                   value=sum([-0.42070749, -0.27279261, -0.11074945, 0.05740409, 0.22236251, -0.39525808, -0.22554661, -0.0409454, 0.14649412, 0.32397316, -0.42305111, -0.24223728, -0.04287027, 0.15997045, 0.35014525, -0.55857474, -0.39065825, -0.19198182, 0.02378408, 0.23735671, -0.27150199, -0.07088804, 0.13562939, 0.33099728, 0.50158768, -0.51014825, -0.30524429, -0.06755202, 0.17806392, 0.40333043]), rtol=0, atol=1e-7)],
     torch_f=lambda t, F, x, h0, Wx, Wh, b, R: (R * _rnn_t(t, x, h0, Wx, Wh, b)).sum())


def _rnn(x, h, Wx, Wh, b):
    out = []
    for i in range(x.shape[1]):
        h = np.tanh(x[:, i] @ Wx + h @ Wh + b)
        out.append(h)
    return np.stack(out, 1)


def _rnn_t(t, x, h, Wx, Wh, b):
    out = []
    for i in range(x.shape[1]):
        h = t.tanh(x[:, i] @ Wx + h @ Wh + b)
        out.append(h)
    return t.stack(out, 1)


def _rnn_bwd(x, h0, Wx, Wh, b, R):
    h = _rnn(x, h0, Wx, Wh, b)
    g = {"x": np.zeros_like(x), "Wx": np.zeros_like(Wx), "Wh": np.zeros_like(Wh), "b": np.zeros_like(b)}
    d = np.zeros_like(h0)
    for i in reversed(range(x.shape[1])):
        d = (R[:, i] + d) * (1 - h[:, i] ** 2)
        g["x"][:, i] = d @ Wx.T
        g["Wx"] += x[:, i].T @ d
        g["Wh"] += (h[:, i - 1] if i else h0).T @ d
        g["b"] += d.sum(0)
        d = d @ Wh.T
    g["h0"] = d
    return g

#% case
case(id="cs231n_embedding", source="CS231n assignment 3: word_embedding_forward check", difficulty=2, statement="Row lookup in an embedding table; the gradient scatters and accumulates repeated indices.", latex=r"L=\sum_{nt}R_{nt}\cdot W_{x_{nt}}", shapes="x: N,T idx=V; W: V,D; R: N,T,D", sizes=[dict(N=2, T=4, V=5, D=3), dict(N=3, T=6, V=3, D=2)],
     f=lambda x, W, R: np.sum(R * W[x]), grads={"W": (r"\partial L/\partial W_v=\sum_{nt:x_{nt}=v}R_{nt}", lambda x, W, R: np.einsum("ntv,ntd->vd", np.eye(len(W))[x], R))},
     expected=[Exp("assignment table, first sequence only: entries of rows 0, 3, 1, 2 summed", dict(x=np.array([[0, 3, 1, 2]]), W=lin(0, 1, 5, 3), R=np.ones((1, 4, 3))), value=0 + .07142857 + .14285714 + .64285714 + .71428571 + .78571429 + .21428571 + .28571429 + .35714286 + .42857143 + .5 + .57142857, grads={"W": [[1.0] * 3] * 4 + [[0.0] * 3]}, rtol=1e-8)],
     torch_f=lambda t, F, x, W, R: (R * F.embedding(x, W)).sum())

#% case
case(id="cs231n_lstm_step", source="CS231n assignment 3: lstm_step_forward check (gate order i, f, o, g)", difficulty=4, statement="One LSTM step with gate order input, forget, output, candidate; loss weights both new states.",
     latex=r"L=\sum P\odot h'+\sum Q\odot c',\ c'=f\odot c+i\odot g,\ h'=o\odot\tanh c'", shapes="x: N,D; h: N,H; c: N,H; Wx: D,4*H normal*0.6; Wh: H,4*H normal*0.6; b: 4*H; P: N,H; Q: N,H", sizes=[dict(N=2, D=3, H=2), dict(N=1, D=2, H=3)],
     f=lambda x, h, c, Wx, Wh, b, P, Q: (lambda hc: np.sum(P * hc[0]) + np.sum(Q * hc[1]))(_lstm(x, h, c, Wx, Wh, b)[:2]),
     grads={"x": r"\delta_aW_x^\top", "h": r"\delta_aW_h^\top", "c": r"\delta_c\odot f", "Wx": r"x^\top\delta_a", "Wh": r"h^\top\delta_a", "b": r"\delta_a^\top\mathbf 1"}, backward=lambda **k: _lstm_bwd(**k),
     expected=[Exp("sum of next_h", dict(x=lin(-0.4, 1.2, 3, 4), h=lin(-0.3, 0.7, 3, 5), c=lin(-0.4, 0.9, 3, 5), Wx=lin(-2.1, 1.3, 4, 20), Wh=lin(-0.7, 2.2, 5, 20), b=L(0.3, 0.7, 20), P=np.ones((3, 5)), Q=np.zeros((3, 5))),
                   value=sum([0.24635157, 0.28610883, 0.32240467, 0.35525807, 0.38474904, 0.49223563, 0.55611431, 0.61507696, 0.66844003, 0.7159181, 0.56735664, 0.66310127, 0.74419266, 0.80889665, 0.858299]), rtol=0, atol=8e-8),
               Exp("sum of next_c", dict(x=lin(-0.4, 1.2, 3, 4), h=lin(-0.3, 0.7, 3, 5), c=lin(-0.4, 0.9, 3, 5), Wx=lin(-2.1, 1.3, 4, 20), Wh=lin(-0.7, 2.2, 5, 20), b=L(0.3, 0.7, 20), P=np.zeros((3, 5)), Q=np.ones((3, 5))),
                   value=sum([0.32986176, 0.39145139, 0.451556, 0.51014116, 0.56717407, 0.66382255, 0.76674007, 0.87195994, 0.97902709, 1.08751345, 0.74192008, 0.90592151, 1.07717006, 1.25120233, 1.42395676]), rtol=0, atol=8e-8)],
     torch_f=lambda t, F, x, h, c, Wx, Wh, b, P, Q: (lambda a, H: (lambda i, f, o, g: (lambda cn: (P * o * t.tanh(cn)).sum() + (Q * cn).sum())(f * c + i * g))(t.sigmoid(a[:, :H]), t.sigmoid(a[:, H:2 * H]), t.sigmoid(a[:, 2 * H:3 * H]), t.tanh(a[:, 3 * H:])))(x @ Wx + h @ Wh + b, h.shape[1]))


def _lstm(x, h, c, Wx, Wh, b):
    H = h.shape[1]
    a = x @ Wx + h @ Wh + b
    i, f, o, g = sig(a[:, :H]), sig(a[:, H:2 * H]), sig(a[:, 2 * H:3 * H]), np.tanh(a[:, 3 * H:])
    cn = f * c + i * g
    return o * np.tanh(cn), cn, i, f, o, g


def _lstm_bwd(x, h, c, Wx, Wh, b, P, Q):
    hn, cn, i, f, o, g = _lstm(x, h, c, Wx, Wh, b)
    dc = Q + P * o * (1 - np.tanh(cn) ** 2)
    da = np.concatenate([dc * g * i * (1 - i), dc * c * f * (1 - f), P * np.tanh(cn) * o * (1 - o), dc * i * (1 - g * g)], 1)
    return {"x": da @ Wx.T, "h": da @ Wh.T, "c": dc * f, "Wx": x.T @ da, "Wh": h.T @ da, "b": da.sum(0)}

#% case
case(id="cs231n_affine_relu", source="CS231n assignment 1: affine_relu_backward", difficulty=2, statement="Affine then ReLU.", latex=r"L=\sum R\odot\operatorname{relu}(xw+b)", shapes="x: N,D; w: D,M; b: M; R: N,M", sizes=[dict(N=3, D=4, M=2), dict(N=2, D=2, M=5)], smooth=False,
     f=lambda x, w, b, R: np.sum(R * relu(x @ w + b)), grads={"x": (r"(R\odot[z>0])w^\top", lambda x, w, b, R: (R * (x @ w + b > 0)) @ w.T), "w": (r"x^\top(R\odot[z>0])", lambda x, w, b, R: x.T @ (R * (x @ w + b > 0))), "b": (r"\sum_nR\odot[z>0]", lambda x, w, b, R: (R * (x @ w + b > 0)).sum(0))})

#% case
case(id="cs231n_rmsprop_step", source="CS231n assignment 2, FullyConnectedNets: rmsprop check (lr 1e-2, decay 0.99, eps 1e-8)", difficulty=1, statement="One RMSProp step.", latex=r"w'=w-\eta g/(\sqrt{0.99c+0.01g^2}+\epsilon)", shapes="w: n; g: n; c: n pos", sizes=[dict(n=3)], kind="jacobian",
     f=lambda w, g, c: w - 1e-2 * g / (np.sqrt(0.99 * c + 0.01 * g * g) + 1e-8),
     grads={"c": (r"\operatorname{diag}\Big(\frac{\eta g\,0.99}{2s(s+\epsilon)^2}\Big),\ s=\sqrt{0.99c+0.01g^2}", lambda w, g, c: (lambda s: np.diag(1e-2 * g * 0.99 / (2 * s * (s + 1e-8) ** 2)))(np.sqrt(0.99 * c + 0.01 * g * g)))},
     expected=[Exp("first, second and last entries of next_w", dict(w=L(-0.4, 0.6, 20)[[0, 1, 19]], g=L(-0.6, 0.4, 20)[[0, 1, 19]], c=L(0.6, 0.9, 20)[[0, 1, 19]]), value=[-0.39223849, -0.34037513, 0.59576619], rtol=2e-8)])

#% case
case(id="cs224n_neg_sampling", source="CS224n assignment 2 (written): negative sampling loss", difficulty=2, statement="Word2vec negative-sampling loss: one positive and K negative outside vectors.", latex=r"J=-\log\sigma(u_o^\top v_c)-\sum_{k=1}^K\log\sigma(-u_k^\top v_c)", shapes="v: d; uo: d; Uk: K,d", sizes=[dict(d=3, K=4), dict(d=2, K=1)],
     f=lambda v, uo, Uk: softplus(-uo @ v) + np.sum(softplus(Uk @ v)),
     grads={"v": (r"(\sigma(u_o^\top v)-1)u_o+\sum_k\sigma(u_k^\top v)u_k", lambda v, uo, Uk: (sig(uo @ v) - 1) * uo + Uk.T @ sig(Uk @ v)), "uo": (r"(\sigma(u_o^\top v)-1)v", lambda v, uo, Uk: (sig(uo @ v) - 1) * v), "Uk": (r"\sigma(u_k^\top v)v^\top", lambda v, uo, Uk: np.outer(sig(Uk @ v), v))},
     torch_f=lambda t, F, v, uo, Uk: -F.logsigmoid(uo @ v) - F.logsigmoid(-(Uk @ v)).sum())

#% case
case(id="cs224n_a1_two_layer_sigmoid", source="CS224n assignment 1 (2017): forward_backward_prop, sigmoid hidden layer, softmax output, summed cross-entropy", difficulty=3, statement="One-hidden-layer sigmoid network, softmax, cross-entropy summed over the batch.", latex=r"J=\sum_i\mathrm{CE}(y_i,\hat y_i),\ h=\sigma(xW_1+b_1),\ \hat y=\operatorname{softmax}(hW_2+b_2)", shapes="x: N,D; W1: D,H; b1: H; W2: H,K; b2: K; T: N,K onehot", sizes=[dict(N=3, D=4, H=3, K=3), dict(N=2, D=2, H=5, K=4)],
     f=lambda x, W1, b1, W2, b2, T: (lambda S: np.sum(lse(S) - np.sum(T * S, 1)))(sig(x @ W1 + b1) @ W2 + b2),
     grads={"x": r"\delta_1W_1^\top", "W1": r"x^\top\delta_1", "b1": r"\delta_1^\top\mathbf 1", "W2": r"h^\top(\hat y-y)", "b2": r"(\hat y-y)^\top\mathbf 1"}, backward=lambda x, W1, b1, W2, b2, T: (lambda h: (lambda d2: (lambda d1: {"x": d1 @ W1.T, "W1": x.T @ d1, "b1": d1.sum(0), "W2": h.T @ d2, "b2": d2.sum(0)})((d2 @ W2.T) * h * (1 - h)))(softmax(h @ W2 + b2) - T))(sig(x @ W1 + b1)))

#% case
case(id="cs229_linreg", source="CS229 lecture notes 1: least mean squares", difficulty=1, statement="Linear regression cost with half the sum of squares; normal equations at the minimum.", latex=r"J(\theta)=\tfrac12\sum_i(\theta^\top x_i-y_i)^2", shapes="th: n; X: m,n; y: m", sizes=[dict(m=4, n=2), dict(m=6, n=3)],
     f=lambda th, X, y: 0.5 * np.sum((X @ th - y) ** 2), grads={"th": (r"X^\top(X\theta-y)", lambda th, X, y: X.T @ (X @ th - y))}, hess={("th", "th"): (r"X^\top X", lambda th, X, y: X.T @ X)})

#% case
case(id="cs229_poisson_glm", source="CS229 problem set 1: Poisson regression (GLM with canonical link)", difficulty=2, statement="Poisson regression negative log-likelihood without the factorial term.", latex=r"J(\theta)=\sum_ie^{\theta^\top x_i}-y_i\theta^\top x_i", shapes="th: n normal*0.5; X: m,n; y: m count", sizes=[dict(m=4, n=2), dict(m=6, n=3)],
     f=lambda th, X, y: np.sum(np.exp(X @ th) - y * (X @ th)), grads={"th": (r"X^\top(e^{X\theta}-y)", lambda th, X, y: X.T @ (np.exp(X @ th) - y))}, hess={("th", "th"): (r"X^\top\operatorname{diag}(e^{X\theta})X", lambda th, X, y: X.T @ (np.exp(X @ th)[:, None] * X))})

#% case
case(id="cs229_expfam", source="CS229 lecture notes 1 / problem set 1: mean and variance of an exponential family are derivatives of the log-partition function", difficulty=3, statement="Log-partition of a categorical with a finite sufficient-statistic vector: gradient is the mean of T, Hessian its covariance.", latex=r"a(\eta)=\log\sum_xb_xe^{\eta^\top T_x}", shapes="eta: d; T: n,d; b: n pos", sizes=[dict(d=2, n=4), dict(d=3, n=5)],
     f=lambda eta, T, b: lse(T @ eta + np.log(b)), grads={"eta": (r"\mathbb E[T]", lambda eta, T, b: T.T @ softmax(T @ eta + np.log(b)))},
     hess={("eta", "eta"): (r"\operatorname{Cov}[T]", lambda eta, T, b: (lambda p: T.T @ (p[:, None] * T) - np.outer(T.T @ p, T.T @ p))(softmax(T @ eta + np.log(b))))})

#% case
case(id="cs229_spam_sigmoid_net", source="CS229 problem set 4: one-hidden-layer sigmoid network with softmax output and L2 regularisation of weights only", difficulty=3, statement="Regularised sigmoid/softmax network, mean cross-entropy; biases are not regularised.", latex=r"J=\frac1m\sum\mathrm{CE}+\lambda(\|W_1\|^2+\|W_2\|^2)", shapes="X: m,n; W1: n,h; b1: h; W2: h,k; b2: k; T: m,k onehot; lam: pos", sizes=[dict(m=4, n=3, h=3, k=2), dict(m=3, n=2, h=4, k=3)],
     f=lambda X, W1, b1, W2, b2, T, lam: (lambda S: np.mean(lse(S) - np.sum(T * S, 1)) + lam * (np.sum(W1 ** 2) + np.sum(W2 ** 2)))(sig(X @ W1 + b1) @ W2 + b2),
     grads={"W1": r"X^\top\delta_1+2\lambda W_1", "b1": r"\delta_1^\top\mathbf 1", "W2": r"A^\top\delta_2+2\lambda W_2", "b2": r"\delta_2^\top\mathbf 1"}, backward=lambda X, W1, b1, W2, b2, T, lam: (lambda A: (lambda d2: (lambda d1: {"W1": X.T @ d1 + 2 * lam * W1, "b1": d1.sum(0), "W2": A.T @ d2 + 2 * lam * W2, "b2": d2.sum(0)})((d2 @ W2.T) * A * (1 - A)))((softmax(A @ W2 + b2) - T) / len(X)))(sig(X @ W1 + b1)))

#% case
case(id="zaki_relu_sigmoid", source="Zaki & Meira, Data Mining and Machine Learning 2nd ed., ch. 25 exercise: x = 4, y = 0, W = [1, 1, -1], W' = [0.5, 1, 2], ReLU hidden, sigmoid output, SSE", difficulty=2, statement="Three ReLU units and a sigmoid output with half squared error.", latex=r"E=\tfrac12\big(y-\sigma(w'^\top\operatorname{relu}(wx))\big)^2", shapes="w: h; v: h; x:; y:", sizes=[dict(h=3), dict(h=4)], smooth=False,
     f=lambda w, v, x, y: 0.5 * (y - sig(v @ relu(w * x))) ** 2, grads={"w": (r"(o-y)o(1-o)\,v\odot[wx>0]x", lambda w, v, x, y: (lambda o: (o - y) * o * (1 - o) * v * (w * x > 0) * x)(sig(v @ relu(w * x)))), "v": (r"(o-y)o(1-o)\operatorname{relu}(wx)", lambda w, v, x, y: (lambda o: (o - y) * o * (1 - o) * relu(w * x))(sig(v @ relu(w * x))))},
     expected=[Exp("output sigma(6) = 0.9975; the third hidden unit is off", dict(w=[1.0, 1.0, -1.0], v=[0.5, 1.0, 2.0], x=4.0, y=0.0), value=0.5 * (1 / (1 + np.exp(-6))) ** 2, grads={"w": (lambda o: [o * o * (1 - o) * 2.0, o * o * (1 - o) * 4.0, 0.0])(1 / (1 + np.exp(-6)))}, rtol=1e-12)])

#% case
case(id="ng_ex2_costfunction", source="Coursera Machine Learning ex2: J = 0.693147 at theta = 0 (any data)", difficulty=1, statement="Logistic cost at zero parameters is ln 2 for any data; regularised version leaves theta_0 unpenalised.", latex=r"J=\frac1m\sum[\ldots]+\frac\lambda{2m}\sum_{j\ge1}\theta_j^2", shapes="th: n; X: m,n; y: m bin; lam: pos", sizes=[dict(m=5, n=3), dict(m=4, n=2)],
     f=lambda th, X, y, lam: np.mean(softplus(X @ th) - y * (X @ th)) + lam / (2 * len(y)) * np.sum(th[1:] ** 2), grads={"th": (r"\frac1mX^\top(h-y)+\frac\lambda m(0,\theta_{1:})", lambda th, X, y, lam: X.T @ (sig(X @ th) - y) / len(y) + lam / len(y) * np.concatenate([[0.0], th[1:]]))},
     expected=[Exp("ln 2", dict(th=[0.0, 0, 0], X=np.arange(12.0).reshape(4, 3), y=[0.0, 1, 1, 0], lam=1.0), value=0.693147, rtol=1e-6)])

#% case
case(id="ng_ex5_linreg", source="Coursera Machine Learning ex5 forum test: X = [1 magic(3)], y = [7 6 5], theta = [.1 .2 .3 .4]: J = 1.3533 (lambda 0), 1.6917 (lambda 7)", difficulty=1, statement="Regularised linear regression cost of exercise 5.", latex=r"J=\frac1{2m}\|X\theta-y\|^2+\frac\lambda{2m}\sum_{j\ge1}\theta_j^2", shapes="th: n; X: m,n; y: m; lam: pos", sizes=[dict(m=4, n=3)],
     f=lambda th, X, y, lam: np.sum((X @ th - y) ** 2) / (2 * len(y)) + lam / (2 * len(y)) * np.sum(th[1:] ** 2), grads={"th": (r"\frac1mX^\top(X\theta-y)+\frac\lambda m(0,\theta_{1:})", lambda th, X, y, lam: X.T @ (X @ th - y) / len(y) + lam / len(y) * np.concatenate([[0.0], th[1:]]))},
     expected=[Exp("lambda 0", dict(th=[0.1, 0.2, 0.3, 0.4], X=[[1.0, 8, 1, 6], [1, 3, 5, 7], [1, 4, 9, 2]], y=[7.0, 6, 5], lam=0.0), value=1.3533, grads={"th": [-1.4, -8.7333, -4.3333, -7.9333]}, rtol=2e-5, atol=5e-5),
               Exp("lambda 7", dict(th=[0.1, 0.2, 0.3, 0.4], X=[[1.0, 8, 1, 6], [1, 3, 5, 7], [1, 4, 9, 2]], y=[7.0, 6, 5], lam=7.0), value=1.6917, grads={"th": [-1.4, -8.2667, -3.6333, -7.0]}, rtol=2e-5, atol=5e-5),
               Exp("single row [1 2 3 4], y = 5, lambda 7", dict(th=[0.1, 0.2, 0.3, 0.4], X=[[1.0, 2, 3, 4]], y=[5.0], lam=7.0), value=3.0150, grads={"th": [-2.0, -2.6, -3.9, -5.2]}, rtol=1e-9)])

#% case
case(id="ng_ex4_sigmoidgrad", source="Coursera Machine Learning ex4: sigmoidGradient at [-1 -0.5 0 0.5 1] = 0.196612 0.235004 0.25 0.235004 0.196612", difficulty=1, statement="Sigmoid derivative.", latex=r"f(z)=\sum\sigma(z)", shapes="z: n", sizes=[dict(n=5)],
     f=lambda z: np.sum(sig(z)), grads={"z": (r"\sigma(1-\sigma)", lambda z: sig(z) * (1 - sig(z)))}, expected=[Exp("course values", dict(z=[-1.0, -0.5, 0, 0.5, 1]), grads={"z": [0.196612, 0.235004, 0.25, 0.235004, 0.196612]}, rtol=3e-6)])

#% case
case(id="ng_ex4_nncost", source="Coursera Machine Learning ex4: regularised neural-network cost with unregularised bias columns, K sigmoid outputs", difficulty=4, statement="Two-layer all-sigmoid network with bias columns, K independent cross-entropies and regularisation of non-bias weights; mean over m.",
     latex=r"J=\frac1m\sum_{ik}\big[-y_{ik}\log h_{ik}-(1-y_{ik})\log(1-h_{ik})\big]+\frac\lambda{2m}\Big[\sum\Theta_{1,:,2:}^2+\sum\Theta_{2,:,2:}^2\Big]", shapes="T1: h,n+1; T2: k,h+1; X: m,n; Y: m,k onehot; lam: pos", sizes=[dict(h=3, n=2, k=3, m=4), dict(h=5, n=3, k=3, m=5)],
     f=lambda T1, T2, X, Y, lam: (lambda one: (lambda Z: np.sum(softplus(Z) - Y * Z) / len(X) + lam / (2 * len(X)) * (np.sum(T1[:, 1:] ** 2) + np.sum(T2[:, 1:] ** 2)))(np.concatenate([one, sig(np.concatenate([one, X], 1) @ T1.T)], 1) @ T2.T))(np.ones((len(X), 1))),
     grads={"T1": r"\frac1m\delta_2^\top[1\,X]+\frac\lambda m[0\,\Theta_{1,:,2:}]", "T2": r"\frac1m(h-y)^\top[1\,A]+\frac\lambda m[0\,\Theta_{2,:,2:}]"}, backward=lambda **k: _ng_nn(**k))


def _ng_nn(T1, T2, X, Y, lam):
    m = len(X)
    A1 = np.concatenate([np.ones((m, 1)), X], 1)
    a = sig(A1 @ T1.T)
    A2 = np.concatenate([np.ones((m, 1)), a], 1)
    d3 = sig(A2 @ T2.T) - Y
    d2 = (d3 @ T2[:, 1:]) * a * (1 - a)
    z = lambda T: np.concatenate([np.zeros((len(T), 1)), T[:, 1:]], 1)
    return {"T1": d2.T @ A1 / m + lam / m * z(T1), "T2": d3.T @ A2 / m + lam / m * z(T2)}

#% case
case(id="dlai_propagate_v1", source="DeepLearning.AI course 1 week 2 (old): dw 0.99845601 2.39507239, db 0.00145557813678, cost 5.801545319394553", difficulty=2, statement="Logistic regression 'propagate': examples in columns, mean cross-entropy.", latex=r"J=-\frac1m\sum_iy_i\log a_i+(1-y_i)\log(1-a_i),\ a=\sigma(w^\top X+b)", shapes="w: n,1; b:; X: n,m; Y: 1,m bin", sizes=[dict(n=2, m=3), dict(n=4, m=5)],
     f=lambda w, b, X, Y: np.mean(softplus(w.T @ X + b) - Y * (w.T @ X + b)), grads={"w": (r"\frac1mX(A-Y)^\top", lambda w, b, X, Y: X @ (sig(w.T @ X + b) - Y).T / X.shape[1]), "b": (r"\frac1m\sum(a-y)", lambda w, b, X, Y: np.mean(sig(w.T @ X + b) - Y))},
     expected=[Exp("course values", dict(w=[[1.0], [2.0]], b=2.0, X=[[1.0, 2, -1], [3, 4, -3.2]], Y=[[1.0, 0, 1]]), value=5.801545319394553, grads={"w": [[0.998456014637956], [2.3950723884862066]], "b": 0.001455578136784208}, rtol=1e-11)])

#% case
case(id="dlai_propagate_v2", source="DeepLearning.AI course 1 week 2 (current): dw 0.25071532 -0.06604096, db -0.1250040450043965, cost 0.15900537707692405", difficulty=2, statement="The current version of the same exercise.", latex=r"J=-\frac1m\sum_iy_i\log a_i+(1-y_i)\log(1-a_i)", shapes="w: n,1; b:; X: n,m; Y: 1,m bin", sizes=[dict(n=2, m=3)],
     f=lambda w, b, X, Y: np.mean(softplus(w.T @ X + b) - Y * (w.T @ X + b)), grads={"w": (r"\frac1mX(A-Y)^\top", lambda w, b, X, Y: X @ (sig(w.T @ X + b) - Y).T / X.shape[1]), "b": (r"\frac1m\sum(a-y)", lambda w, b, X, Y: np.mean(sig(w.T @ X + b) - Y))},
     expected=[Exp("course values", dict(w=[[1.0], [2.0]], b=1.5, X=[[1.0, -2, -1], [3, 0.5, -3.2]], Y=[[1.0, 1, 0]]), value=0.15900537707692405, grads={"w": [[0.25071531661840823], [-0.06604096325829124]], "b": -0.12500404500439652}, rtol=1e-12)])

#% case
case(id="nielsen_neuron_quadratic", source="Nielsen, Neural Networks and Deep Learning, ch. 3: one neuron, x = 1, y = 0, C = (y-a)^2/2; outputs 0.82 (w .6, b .9) and 0.98 (w = b = 2)", difficulty=1, statement="Quadratic cost of one sigmoid neuron: the learning-slowdown example.", latex=r"C=\tfrac12(y-\sigma(wx+b))^2", shapes="w:; b:; x:; y:", sizes=[dict()],
     f=lambda w, b, x, y: 0.5 * (y - sig(w * x + b)) ** 2, grads={"w": (r"(a-y)\sigma'(z)x", lambda w, b, x, y: (lambda a: (a - y) * a * (1 - a) * x)(sig(w * x + b))), "b": (r"(a-y)\sigma'(z)", lambda w, b, x, y: (lambda a: (a - y) * a * (1 - a))(sig(w * x + b)))},
     expected=[Exp("a = 0.82", dict(w=0.6, b=0.9, x=1.0, y=0.0), value=0.5 * 0.82 ** 2, rtol=0, atol=0.005), Exp("a = 0.98", dict(w=2.0, b=2.0, x=1.0, y=0.0), value=0.5 * 0.98 ** 2, rtol=0, atol=0.005)])

#% case
case(id="nielsen_train_quadratic", source="Nielsen ch. 3: 300 epochs, eta = 0.15, quadratic cost: outputs 0.09 (easy start) and 0.20 (saturated start)", difficulty=3, statement="Output of the neuron after 300 gradient steps on the quadratic cost as a function of the initial (w, b); gradient by forward accumulation.", latex=r"a_{300}(w_0,b_0),\ \theta\leftarrow\theta-0.15\,\nabla C", shapes="p: 2", sizes=[dict()],
     f=lambda p: _nielsen(p)[0], grads={"p": (r"\nabla a\cdot\prod(I-\eta\nabla^2C)", lambda p: _nielsen(p)[1])},
     expected=[Exp("0.09", dict(p=[0.6, 0.9]), value=0.09, rtol=0, atol=0.005), Exp("0.20", dict(p=[2.0, 2.0]), value=0.20, rtol=0, atol=0.005)])


def _nielsen(p):
    J = np.eye(2)
    one = np.ones(2)
    for _ in range(300):
        a = sig(p @ one)
        s1 = a * (1 - a)
        h = s1 * s1 + a * s1 * (1 - 2 * a)
        if not np.iscomplexobj(p):
            J = (np.eye(2) - 0.15 * h * np.ones((2, 2))) @ J
        p = p - 0.15 * a * s1 * one
    a = sig(p @ one)
    return a, (a * (1 - a) * one) @ J

#% case
case(id="nielsen_bp_quadratic", source="Nielsen ch. 2: BP1-BP4 with quadratic cost, three layers", difficulty=3, statement="All-sigmoid network for one example with half squared error: the four backpropagation equations.", latex=r"C=\tfrac12\|y-a^3\|^2,\ a^l=\sigma(W^la^{l-1}+b^l)", shapes="x: n; W2: h,n; b2: h; W3: k,h; b3: k; y: k unit", sizes=[dict(n=3, h=4, k=2), dict(n=2, h=2, k=3)],
     f=lambda x, W2, b2, W3, b3, y: 0.5 * np.sum((y - sig(W3 @ sig(W2 @ x + b2) + b3)) ** 2),
     grads={"W2": r"\delta^2(a^1)^\top", "b2": r"\delta^2=((W^3)^\top\delta^3)\odot\sigma'(z^2)", "W3": r"\delta^3(a^2)^\top", "b3": r"\delta^3=(a^3-y)\odot\sigma'(z^3)"}, backward=lambda x, W2, b2, W3, b3, y: (lambda a2: (lambda a3: (lambda d3: (lambda d2: {"W2": np.outer(d2, x), "b2": d2, "W3": np.outer(d3, a2), "b3": d3})((W3.T @ d3) * a2 * (1 - a2)))((a3 - y) * a3 * (1 - a3)))(sig(W3 @ a2 + b3)))(sig(W2 @ x + b2)))

#% case
case(id="nielsen_bp_crossentropy", source="Nielsen ch. 3: cross-entropy cost removes the sigma-prime factor at the output", difficulty=3, statement="Same network with the elementwise cross-entropy cost.", latex=r"C=-\sum_jy_j\ln a_j+(1-y_j)\ln(1-a_j)", shapes="x: n; W2: h,n; b2: h; W3: k,h; b3: k; y: k unit", sizes=[dict(n=3, h=4, k=2), dict(n=2, h=2, k=3)],
     f=lambda x, W2, b2, W3, b3, y: (lambda z: np.sum(softplus(z) - y * z))(W3 @ sig(W2 @ x + b2) + b3),
     grads={"W2": r"\delta^2x^\top", "b2": r"\delta^2", "W3": r"(a^3-y)(a^2)^\top", "b3": r"a^3-y"}, backward=lambda x, W2, b2, W3, b3, y: (lambda a2: (lambda d3: (lambda d2: {"W2": np.outer(d2, x), "b2": d2, "W3": np.outer(d3, a2), "b3": d3})((W3.T @ d3) * a2 * (1 - a2)))(sig(W3 @ a2 + b3) - y))(sig(W2 @ x + b2)))

#% case
MAZUR = dict(x=[0.05, 0.10], W1=[[0.15, 0.20], [0.25, 0.30]], b1=0.35, W2=[[0.40, 0.45], [0.50, 0.55]], b2=0.60, t=[0.01, 0.99])
case(id="mazur_step1", source="Mazur, A Step by Step Backpropagation Example: error 0.298371109; new w5 0.35891648, w6 0.408666186, w7 0.511301270, w8 0.561370121, w1 0.149780716, w2 0.19956143, w3 0.24975114, w4 0.29950229", difficulty=2,
     statement="Two sigmoid layers with a shared scalar bias per layer and half squared error. Published updated weights with learning rate 0.5 give the gradients (w - w')/0.5.", latex=r"E=\tfrac12\sum_k(t_k-o_k)^2,\ o=\sigma(W_2\sigma(W_1x+b_1)+b_2)", shapes="x: n; W1: h,n; b1:; W2: k,h; b2:; t: k unit", sizes=[dict(n=2, h=2, k=2), dict(n=3, h=2, k=4)],
     f=lambda x, W1, b1, W2, b2, t: 0.5 * np.sum((t - sig(W2 @ sig(W1 @ x + b1) + b2)) ** 2),
     grads={"W1": r"\delta_hx^\top", "W2": r"\delta_oh^\top", "b1": r"\sum\delta_h", "b2": r"\sum\delta_o"}, backward=lambda x, W1, b1, W2, b2, t: (lambda h: (lambda o: (lambda do: (lambda dh: {"W1": np.outer(dh, x), "W2": np.outer(do, h), "b1": dh.sum(), "b2": do.sum()})((W2.T @ do) * h * (1 - h)))((o - t) * o * (1 - o)))(sig(W2 @ h + b2)))(sig(W1 @ x + b1)),
     expected=[Exp("blog values", MAZUR, value=0.298371109, grads={"W2": [[(0.40 - 0.35891648) / 0.5, (0.45 - 0.408666186) / 0.5], [(0.50 - 0.511301270) / 0.5, (0.55 - 0.561370121) / 0.5]], "W1": [[(0.15 - 0.149780716) / 0.5, (0.20 - 0.19956143) / 0.5], [(0.25 - 0.24975114) / 0.5, (0.30 - 0.29950229) / 0.5]]}, rtol=0, atol=1.1e-8)])

#% case
case(id="mazur_update", source="Mazur, A Step by Step Backpropagation Example: total error 0.291027924 printed after the first update", difficulty=4,
     statement="Error after one full-gradient update (rate 0.5) of the eight weights, the two biases staying fixed, as a function of the initial weights; gradient by differentiating through the update. The blog states that hidden-layer gradients use the original output weights; that gives 0.291027774, which the blog's own companion code also prints. The printed 0.291027924 is what results if the already updated output weights are used for the hidden layer.",
     latex=r"f(\theta)=E(\theta-0.5\nabla E(\theta))", shapes="W1: 2,2; W2: 2,2", sizes=[dict()],
     f=lambda W1, W2: _mz_err(*_mz_step(W1, W2)), grads={"W1": r"(I-0.5\nabla^2E)\nabla E(\theta')", "W2": r"(I-0.5\nabla^2E)\nabla E(\theta')"}, backward=lambda W1, W2: _mz_grad(W1, W2),
     expected=[Exp("error after the first update", dict(W1=[[0.15, 0.20], [0.25, 0.30]], W2=[[0.40, 0.45], [0.50, 0.55]]), value=0.29102777369359933, rtol=1e-13, published=0.291027924, wrong=True)])
MZ_X, MZ_T = np.array([0.05, 0.10]), np.array([0.01, 0.99])


def _mz_err(W1, W2):
    return 0.5 * np.sum((MZ_T - sig(W2 @ sig(W1 @ MZ_X + 0.35) + 0.6)) ** 2)


def _mz_g(W1, W2):
    h = sig(W1 @ MZ_X + 0.35)
    o = sig(W2 @ h + 0.6)
    do = (o - MZ_T) * o * (1 - o)
    dh = (W2.T @ do) * h * (1 - h)
    return dh[:, None] * MZ_X, do[:, None] * h


def _mz_step(W1, W2):
    g1, g2 = _mz_g(W1, W2)
    return W1 - 0.5 * g1, W2 - 0.5 * g2


def _mz_grad(W1, W2):
    """(I - 0.5 H) g(theta'), with H g' obtained as a complex-step directional derivative."""
    a, b = _mz_g(*_mz_step(W1, W2))
    h1, h2 = _mz_g(W1 + 1e-30j * a, W2 + 1e-30j * b)
    return {"W1": a - 0.5 * h1.imag / 1e-30, "W2": b - 0.5 * h2.imag / 1e-30}

#% case
case(id="karpathy_neuron", source="Karpathy, The spelled-out intro to neural networks and backpropagation: neuron with b = 6.8813735870195432: out 0.7071, grads x1 -1.5, w1 1.0, x2 0.5, w2 0.0", difficulty=1, statement="Two-input tanh neuron with a bias chosen so the derivative is one half.", latex=r"o=\tanh(x_1w_1+x_2w_2+b)", shapes="x1:; x2:; w1:; w2:; b:", sizes=[dict()],
     f=lambda x1, x2, w1, w2, b: np.tanh(x1 * w1 + x2 * w2 + b), grads={"x1": ("(1-o^2)w_1", lambda x1, x2, w1, w2, b: (1 - np.tanh(x1 * w1 + x2 * w2 + b) ** 2) * w1), "x2": ("(1-o^2)w_2", lambda x1, x2, w1, w2, b: (1 - np.tanh(x1 * w1 + x2 * w2 + b) ** 2) * w2),
            "w1": ("(1-o^2)x_1", lambda x1, x2, w1, w2, b: (1 - np.tanh(x1 * w1 + x2 * w2 + b) ** 2) * x1), "w2": ("(1-o^2)x_2", lambda x1, x2, w1, w2, b: (1 - np.tanh(x1 * w1 + x2 * w2 + b) ** 2) * x2)},
     expected=[Exp("lecture", dict(x1=2.0, x2=0.0, w1=-3.0, w2=1.0, b=6.8813735870195432), value=0.7071067811865476, grads={"x1": -1.5, "w1": 1.0, "x2": 0.5, "w2": 0.0}, rtol=1e-9)])

#% case
case(id="karpathy_L", source="Karpathy, same lecture: a = 2, b = -3, c = 10, f = -2, L = (ab + c) f = -8; grads a 6, b -4, c -2, f 4", difficulty=1, statement="The lecture's first expression graph.", latex=r"L=(ab+c)f", shapes="a:; b:; c:; f_:", sizes=[dict()],
     f=lambda a, b, c, f_: (a * b + c) * f_, grads={"a": ("bf", lambda a, b, c, f_: b * f_), "b": ("af", lambda a, b, c, f_: a * f_), "c": ("f", lambda a, b, c, f_: f_), "f_": ("ab+c", lambda a, b, c, f_: a * b + c)},
     expected=[Exp("lecture", dict(a=2.0, b=-3.0, c=10.0, f_=-2.0), value=-8.0, grads={"a": 6.0, "b": -4.0, "c": -2.0, "f_": 4.0})])

#% case
case(id="goodfellow_xor", source="Goodfellow, Bengio, Courville, Deep Learning, sec. 6.1: XOR solution W = ones, c = [0,-1], w = [1,-2], b = 0", difficulty=2, statement="Mean squared error of the hand-made XOR ReLU network; it is exactly zero at the book's solution.", latex=r"J=\frac14\sum_x\big(f^*(x)-w^\top\max(0,W^\top x+c)-b\big)^2", shapes="W: 2,h; c: h; w: h; b:; X: 4,2; y: 4 bin", sizes=[dict(h=2), dict(h=3)], smooth=False,
     f=lambda W, c, w, b, X, y: np.mean((y - relu(X @ W + c) @ w - b) ** 2),
     grads={"W": r"X^\top\delta", "c": r"\delta^\top\mathbf 1", "w": r"H^\top r", "b": r"\mathbf 1^\top r"}, backward=lambda W, c, w, b, X, y: (lambda Z: (lambda r: (lambda D: {"W": X.T @ D, "c": D.sum(0), "w": relu(Z).T @ r, "b": r.sum()})((r[:, None] * w) * (Z > 0)))(2 * (relu(Z) @ w + b - y) / len(y)))(X @ W + c),
     expected=[Exp("zero loss at the solution", dict(W=np.ones((2, 2)), c=[0.0, -1.0], w=[1.0, -2.0], b=0.0, X=[[0.0, 0], [0, 1], [1, 0], [1, 1]], y=[0.0, 1, 1, 0]), value=0.0)])

#% case
case(id="fastai_linear_mse", source="fast.ai course (foundations, backward pass): lin-relu-lin with mse on a squeezed output", difficulty=2, statement="The from-scratch backward pass exercise: linear, ReLU, linear, mean squared error of the squeezed output.", latex=r"L=\frac1n\sum_i\big(\operatorname{relu}(XW_1+b_1)W_2+b_2-y\big)_i^2", shapes="X: n,d; W1: d,h; b1: h; W2: h,1; b2: 1; y: n", sizes=[dict(n=4, d=3, h=5), dict(n=3, d=2, h=2)], smooth=False,
     f=lambda X, W1, b1, W2, b2, y: np.mean(((relu(X @ W1 + b1) @ W2 + b2)[:, 0] - y) ** 2),
     grads={"X": r"D W_1^\top", "W1": r"X^\top D", "b1": r"D^\top\mathbf 1", "W2": r"H^\top r", "b2": r"\sum r"}, backward=lambda X, W1, b1, W2, b2, y: (lambda Z: (lambda r: (lambda D: {"X": D @ W1.T, "W1": X.T @ D, "b1": D.sum(0), "W2": relu(Z).T @ r, "b2": r.sum(0)})((r @ W2.T) * (Z > 0)))(2 * ((relu(Z) @ W2 + b2) - y[:, None]) / len(y)))(X @ W1 + b1))
