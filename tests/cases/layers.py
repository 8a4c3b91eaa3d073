"""Network layers.  Each case is the scalar L = sum(R * layer(inputs)) with a constant
cotangent R, so the reference gradients are the layer's vector-Jacobian products."""
from functools import partial

import numpy as np

from cases.case import Exp, erf, lse, make_case, sig, softmax, softplus

CASES = []
case = partial(make_case, CASES, "layers")
TD = "torch.nn documentation: "
relu = lambda z: np.maximum(z, 0)
win = np.lib.stride_tricks.sliding_window_view


def conv2(x, k, s=1, p=0, d=1, g=1):
    """Cross-correlation, NCHW x OIHW."""
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    H, W = (k.shape[2] - 1) * d + 1, (k.shape[3] - 1) * d + 1
    w = win(x, (H, W), axis=(2, 3))[:, :, ::s, ::s, ::d, ::d]
    n, c = w.shape[:2]
    w = w.reshape(n, g, c // g, *w.shape[2:])
    kk = k.reshape(g, k.shape[0] // g, *k.shape[1:])
    return np.einsum("ngcijuv,gfcuv->ngfij", w, kk).reshape(n, k.shape[0], *w.shape[3:5])


def conv2_bwd(x, k, R, s=1, p=0, d=1, g=1):
    """Gradients of sum(R * conv2) in x and k by explicit index sums."""
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    gx, gk = np.zeros_like(xp), np.zeros_like(k)
    co, ci = k.shape[0] // g, k.shape[1]
    for (f, c, u, v) in np.ndindex(*k.shape):
        ch = (f // co) * ci + c
        r = R[:, f]
        sl = (slice(None), ch, slice(u * d, u * d + s * (r.shape[1] - 1) + 1, s), slice(v * d, v * d + s * (r.shape[2] - 1) + 1, s))
        gk[f, c, u, v] = np.sum(r * xp[sl])
        gx[sl] += k[f, c, u, v] * r
    q = (slice(None), slice(None), slice(p, xp.shape[2] - p), slice(p, xp.shape[3] - p))
    return gx[q], gk

#% case
case(id="lay_dense", source=TD + "Linear (weight out x in)", difficulty=1, statement="Dense layer, torch weight layout.", latex=r"Y=XW^\top+\mathbf 1b^\top", shapes="X: n,i; W: o,i; b: o; R: n,o", sizes=[dict(n=3, i=4, o=2), dict(n=2, i=2, o=5)],
     f=lambda X, W, b, R: np.sum(R * (X @ W.T + b)), grads={"X": ("RW", lambda X, W, b, R: R @ W), "W": (r"R^\top X", lambda X, W, b, R: R.T @ X), "b": (r"R^\top\mathbf 1", lambda X, W, b, R: R.sum(0))}, torch_f=lambda t, F, X, W, b, R: (R * F.linear(X, W, b)).sum())

#% case
case(id="lay_bilinear", source=TD + "Bilinear", difficulty=2, statement="Bilinear layer.", latex=r"y_{nk}=x_n^\top A_kz_n+b_k", shapes="x: n,i; z: n,j; A: k,i,j; b: k; R: n,k", sizes=[dict(n=2, i=3, j=2, k=2), dict(n=3, i=2, j=2, k=3)],
     f=lambda x, z, A, b, R: np.sum(R * (np.einsum("ni,kij,nj->nk", x, A, z) + b)), grads={"x": (r"\sum_kR_{nk}A_kz_n", lambda x, z, A, b, R: np.einsum("nk,kij,nj->ni", R, A, z)), "z": (r"\sum_kR_{nk}A_k^\top x_n", lambda x, z, A, b, R: np.einsum("nk,kij,ni->nj", R, A, x)), "A": (r"\sum_nR_{nk}x_nz_n^\top", lambda x, z, A, b, R: np.einsum("nk,ni,nj->kij", R, x, z)), "b": (r"\sum_nR", lambda x, z, A, b, R: R.sum(0))}, torch_f=lambda t, F, x, z, A, b, R: (R * F.bilinear(x, z, A, b)).sum())

#% case
case(id="lay_conv1d", source=TD + "Conv1d (stride 2, padding 1, dilation 2)", difficulty=3, statement="1-D cross-correlation with stride 2, zero padding 1, dilation 2 and bias.", latex=r"Y_{nfi}=b_f+\sum_{cu}k_{fcu}\bar x_{n,c,2i+2u-1}", shapes="x: n,c,l; k: f_,c,w; b: f_; R: n,f_,(l+2-2*(w-1)-1)//2+1", sizes=[dict(n=2, c=2, l=7, f_=3, w=3), dict(n=1, c=1, l=8, f_=2, w=2)],
     f=lambda x, k, b, R: np.sum(R * (_c1(x, k) + b[None, :, None])), grads={"x": r"\sum_{fu}k_{fcu}R_{nfi}\ \text{scattered}", "k": r"\sum_{ni}R_{nfi}\bar x_{n,c,2i+2u-1}", "b": r"\sum_{ni}R"}, backward=lambda x, k, b, R: (lambda g: {"x": g[0], "k": g[1], "b": R.sum((0, 2))})(_c1b(x, k, R)), torch_f=lambda t, F, x, k, b, R: (R * F.conv1d(x, k, b, stride=2, padding=1, dilation=2)).sum())


def _c1(x, k):
    x = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    w = win(x, (k.shape[2] - 1) * 2 + 1, axis=2)[:, :, ::2, ::2]
    return np.einsum("nciu,fcu->nfi", w, k)


def _c1b(x, k, R):
    xp = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    gx, gk = np.zeros_like(xp), np.zeros_like(k)
    for (f, c, u) in np.ndindex(*k.shape):
        s = slice(2 * u, 2 * u + 2 * (R.shape[2] - 1) + 1, 2)
        gk[f, c, u] = np.sum(R[:, f] * xp[:, c, s])
        gx[:, c, s] += k[f, c, u] * R[:, f]
    return gx[:, :, 1:-1], gk

#% case
case(id="lay_conv2d_same", source=TD + "Conv2d (3x3, padding 1); CS231n conv_backward_naive", difficulty=3, statement="3x3 convolution with padding 1, stride 1, bias.", latex=r"Y=x\star k+b", shapes="x: n,c,h,w; k: f_,c,3,3; b: f_; R: n,f_,h,w", sizes=[dict(n=2, c=2, h=4, w=4, f_=2), dict(n=1, c=1, h=5, w=3, f_=3)],
     f=lambda x, k, b, R: np.sum(R * (conv2(x, k, p=1) + b[None, :, None, None])), grads={"x": r"\text{full correlation of }R\text{ with the flipped kernel}", "k": r"\sum R_{nfij}\bar x_{n,c,i+u,j+v}", "b": r"\sum_{nij}R"}, backward=lambda x, k, b, R: (lambda g: {"x": g[0], "k": g[1], "b": R.sum((0, 2, 3))})(conv2_bwd(x, k, R, p=1)), torch_f=lambda t, F, x, k, b, R: (R * F.conv2d(x, k, b, padding=1)).sum())

#% case
case(id="lay_conv2d_dilated", source=TD + "Conv2d (dilation 2)", difficulty=3, statement="Dilated 3x3 convolution, padding 2.", latex=r"Y_{nfij}=\sum k_{fcuv}\bar x_{n,c,i+2u,j+2v}", shapes="x: n,c,h,w; k: f_,c,3,3; R: n,f_,h,w", sizes=[dict(n=1, c=2, h=5, w=5, f_=2)],
     f=lambda x, k, R: np.sum(R * conv2(x, k, p=2, d=2)), grads={"x": r"\text{scatter}", "k": r"\text{gather}"}, backward=lambda x, k, R: dict(zip("xk", conv2_bwd(x, k, R, p=2, d=2))), torch_f=lambda t, F, x, k, R: (R * F.conv2d(x, k, padding=2, dilation=2)).sum())

#% case
case(id="lay_maxpool_overlap", source=TD + "MaxPool2d (kernel 3, stride 2): overlapping windows", difficulty=3, statement="Overlapping max pooling: an input can receive gradient from several windows.", latex=r"Y_{ncij}=\max_{u,v<3}x_{n,c,2i+u,2j+v}", shapes="x: n,c,h,w; R: n,c,(h-3)//2+1,(w-3)//2+1", sizes=[dict(n=1, c=2, h=5, w=7)], smooth=False,
     f=lambda x, R: np.sum(R * win(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2].max((4, 5))), grads={"x": (r"\sum_{\text{windows}}R\,[\text{argmax}]", lambda x, R: _mpb(x, R))}, torch_f=lambda t, F, x, R: (R * F.max_pool2d(x, 3, 2)).sum())


def _mpb(x, R):
    g = np.zeros_like(x)
    for n, c, i, j in np.ndindex(*R.shape):
        w = x[n, c, 2 * i:2 * i + 3, 2 * j:2 * j + 3]
        u, v = np.unravel_index(np.argmax(w), w.shape)
        g[n, c, 2 * i + u, 2 * j + v] += R[n, c, i, j]
    return g

#% case
case(id="lay_global_avgpool", source=TD + "AdaptiveAvgPool2d(1)", difficulty=1, statement="Global average pooling.", latex=r"Y_{nc}=\frac1{hw}\sum_{ij}x_{ncij}", shapes="x: n,c,h,w; R: n,c", sizes=[dict(n=2, c=3, h=3, w=4)], f=lambda x, R: np.sum(R * x.mean((2, 3))), grads={"x": (r"R/(hw)", lambda x, R: np.broadcast_to(R[:, :, None, None] / (x.shape[2] * x.shape[3]), x.shape).copy())}, torch_f=lambda t, F, x, R: (R * F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]).sum())

#% case
case(id="lay_lp_pool", source=TD + "LPPool1d (norm 2, kernel 2, stride 2)", difficulty=3, statement="L2 pooling over disjoint pairs.", latex=r"Y_{nci}=\sqrt{x_{n,c,2i}^2+x_{n,c,2i+1}^2}", shapes="x: n,c,2*l away; R: n,c,l", sizes=[dict(n=2, c=2, l=3)], f=lambda x, R: np.sum(R * np.sqrt(x[..., ::2] ** 2 + x[..., 1::2] ** 2)), grads={"x": (r"R\,x/Y", lambda x, R: np.repeat(R / np.sqrt(x[..., ::2] ** 2 + x[..., 1::2] ** 2), 2, -1) * x)}, torch_f=lambda t, F, x, R: (R * F.lp_pool1d(x, 2, 2)).sum())

#% case
case(id="lay_batchnorm1d", source=TD + "BatchNorm1d in training mode; Ioffe & Szegedy 2015", difficulty=4, statement="Batch norm over the batch axis, biased variance, eps 1e-3; gradient in all inputs.", latex=r"\gamma\frac{x-\mu}{\sqrt{v+\epsilon}}+\beta", shapes="x: n,d; ga: d; be: d; R: n,d", sizes=[dict(n=3, d=2), dict(n=8, d=3)],
     f=lambda x, ga, be, R: (lambda c: np.sum(R * (ga * c / np.sqrt((c * c).mean(0) + 1e-3) + be)))(x - x.mean(0)), grads={"x": r"\frac\gamma s\big(R-\bar R-\hat x\,\overline{R\hat x}\big)", "ga": r"\sum R\hat x", "be": r"\sum R"}, backward=lambda x, ga, be, R: (lambda s: (lambda h: {"x": ga / s * (R - R.mean(0) - h * (R * h).mean(0)), "ga": (R * h).sum(0), "be": R.sum(0)})((x - x.mean(0)) / s))(np.sqrt(x.var(0) + 1e-3)), torch_f=lambda t, F, x, ga, be, R: (R * F.batch_norm(x, None, None, ga, be, True, 0.1, 1e-3)).sum())

#% case
case(id="lay_batchnorm_eval", source=TD + "BatchNorm1d in evaluation mode", difficulty=2, statement="Batch norm with fixed running statistics: an affine map.", latex=r"\gamma\frac{x-m}{\sqrt{v+\epsilon}}+\beta", shapes="x: n,d; ga: d; be: d; m: d; v: d pos; R: n,d", sizes=[dict(n=3, d=2)], f=lambda x, ga, be, m, v, R: np.sum(R * (ga * (x - m) / np.sqrt(v + 1e-5) + be)), grads={"x": (r"R\gamma/\sqrt{v+\epsilon}", lambda x, ga, be, m, v, R: R * ga / np.sqrt(v + 1e-5)), "ga": (r"\sum R\hat x", lambda x, ga, be, m, v, R: np.sum(R * (x - m) / np.sqrt(v + 1e-5), 0))}, torch_f=lambda t, F, x, ga, be, m, v, R: (R * F.batch_norm(x, m, v, ga, be, False, 0.1, 1e-5)).sum())

#% case
case(id="lay_groupnorm", source=TD + "GroupNorm (2 groups); Wu & He 2018", difficulty=4, statement="Group norm with two groups, eps 1e-5.", latex=r"\gamma_c\frac{x-\mu_{ng}}{\sqrt{v_{ng}+\epsilon}}+\beta_c", shapes="x: n,4,h,w; ga: 4; be: 4; R: n,4,h,w", sizes=[dict(n=2, h=2, w=3)],
     f=lambda x, ga, be, R: (lambda y: (lambda c: np.sum(R * (ga[:, None, None] * (c / np.sqrt((c * c).mean((2, 3, 4), keepdims=True) + 1e-5)).reshape(x.shape) + be[:, None, None])))(y - y.mean((2, 3, 4), keepdims=True)))(x.reshape(len(x), 2, 2, *x.shape[2:])), grads={"x": r"\text{layer-norm backward inside each group}", "ga": r"\sum R\hat x", "be": r"\sum R"},
     backward=lambda x, ga, be, R: (lambda sh: (lambda m: (lambda y, g: (lambda s: (lambda h: {"x": ((g - m(g) - h * m(g * h)) / s).reshape(x.shape), "ga": (R * h.reshape(x.shape)).sum((0, 2, 3)), "be": R.sum((0, 2, 3))})((y - m(y)) / s))(np.sqrt(m((y - m(y)) ** 2) + 1e-5)))(x.reshape(sh), (R * ga[:, None, None]).reshape(sh)))(lambda z: z.mean((2, 3, 4), keepdims=True)))((len(x), 2, 2, *x.shape[2:])), torch_f=lambda t, F, x, ga, be, R: (R * F.group_norm(x, 2, ga, be)).sum())

#% case
case(id="lay_l2_normalize", source=TD + "functional.normalize (rows)", difficulty=2, statement="L2 normalisation of rows.", latex=r"x_n/\|x_n\|", shapes="x: n,d; R: n,d", sizes=[dict(n=3, d=3)], f=lambda x, R: np.sum(R * x / np.sqrt(np.sum(x * x, 1, keepdims=True))), grads={"x": (r"\frac1{\|x\|}\big(R-\hat x(\hat x\cdot R)\big)", lambda x, R: (lambda r: (lambda h: (R - h * np.sum(h * R, 1, keepdims=True)) / r)(x / r))(np.linalg.norm(x, axis=1, keepdims=True)))}, torch_f=lambda t, F, x, R: (R * F.normalize(x, dim=1)).sum())

#% case
case(id="lay_weight_norm", source="Salimans & Kingma 2016, Weight normalization (eqs. 2-3)", difficulty=3, statement="Dense layer with weight normalisation per output row.", latex=r"w_o=\frac{g_o}{\|v_o\|}v_o,\ Y=Xw^\top", shapes="X: n,i; v: o,i; g: o; R: n,o", sizes=[dict(n=3, i=4, o=2)],
     f=lambda X, v, g, R: np.sum(R * (X @ (g[:, None] * v / np.sqrt(np.sum(v * v, 1, keepdims=True))).T)), grads={"g": (r"\nabla_wL\cdot\hat v", lambda X, v, g, R: np.sum((R.T @ X) * v / np.linalg.norm(v, axis=1, keepdims=True), 1)), "v": (r"\frac g{\|v\|}\nabla_wL-\frac{g\nabla_gL}{\|v\|^2}v", lambda X, v, g, R: (lambda N, G: g[:, None] / N * G - g[:, None] * np.sum(G * v, 1, keepdims=True) / N ** 3 * v)(np.linalg.norm(v, axis=1, keepdims=True), R.T @ X))})

#% case
case(id="lay_embedding_bag", source=TD + "EmbeddingBag (mean)", difficulty=2, statement="Mean of embedding rows per bag, repeated indices allowed.", latex=r"Y_n=\frac1T\sum_tW_{x_{nt}}", shapes="x: n,T idx=V; W: V,d; R: n,d", sizes=[dict(n=3, T=4, V=3, d=2)], f=lambda x, W, R: np.sum(R * W[x].mean(1)), grads={"W": (r"\frac1T\sum_{nt:x_{nt}=v}R_n", lambda x, W, R: np.einsum("ntv,nd->vd", np.eye(len(W))[x], R) / x.shape[1])}, torch_f=lambda t, F, x, W, R: (R * F.embedding_bag(x, W, mode="mean")).sum())

#% case
case(id="lay_gru_step", source=TD + "GRUCell (gates r, z, n; reset applied after the hidden matmul)", difficulty=4, statement="One GRU step in torch's variant.", latex=r"r=\sigma(\cdot),\ z=\sigma(\cdot),\ n=\tanh(W_{in}x+b_{in}+r\odot(W_{hn}h+b_{hn})),\ h'=(1-z)n+zh", shapes="x: n,i; h: n,m; Wi: 3*m,i; Wh: 3*m,m; bi: 3*m; bh: 3*m; R: n,m", sizes=[dict(n=2, i=3, m=2), dict(n=1, i=2, m=3)],
     f=lambda x, h, Wi, Wh, bi, bh, R: np.sum(R * _gru(x, h, Wi, Wh, bi, bh)[0]), grads={"x": r"\delta_aW_i", "h": r"\delta_bW_h+z\odot R", "Wi": r"\delta_a^\top x", "Wh": r"\delta_b^\top h", "bi": r"\sum\delta_a", "bh": r"\sum\delta_b"}, backward=lambda **k: _gru_b(**k),
     torch_f=lambda t, F, x, h, Wi, Wh, bi, bh, R: (R * t.gru_cell(x, h, Wi, Wh, bi, bh)).sum())


def _gru(x, h, Wi, Wh, bi, bh):
    m = h.shape[1]
    a, b = x @ Wi.T + bi, h @ Wh.T + bh
    r, z = sig(a[:, :m] + b[:, :m]), sig(a[:, m:2 * m] + b[:, m:2 * m])
    n = np.tanh(a[:, 2 * m:] + r * b[:, 2 * m:])
    return (1 - z) * n + z * h, r, z, n, b[:, 2 * m:]


def _gru_b(x, h, Wi, Wh, bi, bh, R):
    _, r, z, n, bn = _gru(x, h, Wi, Wh, bi, bh)
    dn = R * (1 - z) * (1 - n * n)
    dz = R * (h - n) * z * (1 - z)
    dr = dn * bn * r * (1 - r)
    da = np.concatenate([dr, dz, dn], 1)
    db = np.concatenate([dr, dz, dn * r], 1)
    return {"x": da @ Wi, "h": db @ Wh + R * z, "Wi": da.T @ x, "Wh": db.T @ h, "bi": da.sum(0), "bh": db.sum(0)}

#% case
case(id="lay_gru_cho", source="Cho et al. 2014 (original GRU: reset applied before the hidden matmul; as Keras reset_after=False)", difficulty=4, statement="One GRU step in the original variant with update h' = z h + (1-z) n, no biases.", latex=r"n=\tanh\big(xW_n+(r\odot h)U_n\big),\ h'=zh+(1-z)n", shapes="x: i; h: m; Wr: i,m; Ur: m,m; Wz: i,m; Uz: m,m; Wn: i,m; Un: m,m; R: m", sizes=[dict(i=2, m=3)],
     f=lambda x, h, Wr, Ur, Wz, Uz, Wn, Un, R: (lambda r, z: R @ (z * h + (1 - z) * np.tanh(x @ Wn + (r * h) @ Un)))(sig(x @ Wr + h @ Ur), sig(x @ Wz + h @ Uz)),
     grads={"x": r"W_n\delta_n+W_z\delta_z+W_r\delta_r", "h": r"R\odot z+r\odot U_n\delta_n+U_z\delta_z+U_r\delta_r", "Wr": r"x\delta_r^\top", "Ur": r"h\delta_r^\top", "Wz": r"x\delta_z^\top", "Uz": r"h\delta_z^\top", "Wn": r"x\delta_n^\top", "Un": r"(r\odot h)\delta_n^\top"}, backward=lambda x, h, Wr, Ur, Wz, Uz, Wn, Un, R: (lambda r, z: (lambda n: (lambda dn, dz: (lambda q: (lambda dr: {"x": Wn @ dn + Wz @ dz + Wr @ dr, "h": R * z + r * q + Uz @ dz + Ur @ dr, "Wr": np.outer(x, dr), "Ur": np.outer(h, dr), "Wz": np.outer(x, dz), "Uz": np.outer(h, dz), "Wn": np.outer(x, dn), "Un": np.outer(r * h, dn)})(q * h * r * (1 - r)))(Un @ dn))(R * (1 - z) * (1 - n * n), R * (h - n) * z * (1 - z)))(np.tanh(x @ Wn + (r * h) @ Un)))(sig(x @ Wr + h @ Ur), sig(x @ Wz + h @ Uz)))

#% case
case(id="lay_sdpa", source="Vaswani et al. 2017, eq. 1; " + TD + "functional.scaled_dot_product_attention", difficulty=3, statement="Scaled dot-product attention for one head.", latex=r"\operatorname{softmax}\big(QK^\top/\sqrt d\big)V", shapes="Q: n,d; K: m,d; V: m,p; R: n,p", sizes=[dict(n=3, m=4, d=2, p=3), dict(n=2, m=2, d=5, p=2)],
     f=lambda Q, K, V, R: np.sum(R * (softmax(Q @ K.T / np.sqrt(Q.shape[1])) @ V)), grads={"Q": r"\tfrac1{\sqrt d}SK", "K": r"\tfrac1{\sqrt d}S^\top Q", "V": r"P^\top R"}, backward=lambda Q, K, V, R: (lambda P: (lambda S: {"Q": S @ K / np.sqrt(Q.shape[1]), "K": S.T @ Q / np.sqrt(Q.shape[1]), "V": P.T @ R})((lambda G: P * (G - np.sum(P * G, 1, keepdims=True)))(R @ V.T)))(softmax(Q @ K.T / np.sqrt(Q.shape[1]))),
     torch_f=lambda t, F, Q, K, V, R: (R * F.scaled_dot_product_attention(Q[None], K[None], V[None])[0]).sum())

#% case
case(id="lay_mha", source="Vaswani et al. 2017, sec. 3.2.2: multi-head self-attention with output projection, two heads, no biases", difficulty=5, statement="Two-head self-attention with input and output projections.", latex=r"\operatorname{concat}_h\operatorname{softmax}(Q_hK_h^\top/\sqrt{d_h})V_h\;W_o", shapes="X: n,d; Wq: d,d normal*0.7; Wk: d,d normal*0.7; Wv: d,d normal*0.7; Wo: d,d normal*0.7; R: n,d", sizes=[dict(n=3, d=4), dict(n=2, d=6)],
     f=lambda X, Wq, Wk, Wv, Wo, R: np.sum(R * _mha(X, Wq, Wk, Wv, Wo)), grads={"X": r"\sum\text{ of the three projections}", "Wq": r"X^\top\delta_Q", "Wk": r"X^\top\delta_K", "Wv": r"X^\top\delta_V", "Wo": r"C^\top R"}, backward=lambda **k: _mha_b(**k),
     torch_f=lambda t, F, X, Wq, Wk, Wv, Wo, R: (R * ((lambda sp: F.scaled_dot_product_attention(sp(X @ Wq), sp(X @ Wk), sp(X @ Wv)).transpose(0, 1).reshape(X.shape))(lambda Z: Z.reshape(len(X), 2, -1).transpose(0, 1)) @ Wo)).sum())


def _mha(X, Wq, Wk, Wv, Wo, mask=None):
    h = X.shape[1] // 2
    Q, K, V = X @ Wq, X @ Wk, X @ Wv
    return np.concatenate([softmax(Q[:, s] @ K[:, s].T / np.sqrt(h)) @ V[:, s] for s in (slice(0, h), slice(h, None))], 1) @ Wo


def _mha_b(X, Wq, Wk, Wv, Wo, R):
    h = X.shape[1] // 2
    Q, K, V = X @ Wq, X @ Wk, X @ Wv
    C, dC = np.zeros_like(X), R @ Wo.T
    dQ, dK, dV = np.zeros_like(Q), np.zeros_like(K), np.zeros_like(V)
    for s in (slice(0, h), slice(h, None)):
        P = softmax(Q[:, s] @ K[:, s].T / np.sqrt(h))
        C[:, s] = P @ V[:, s]
        G = dC[:, s] @ V[:, s].T
        S = P * (G - np.sum(P * G, 1, keepdims=True)) / np.sqrt(h)
        dQ[:, s], dK[:, s], dV[:, s] = S @ K[:, s], S.T @ Q[:, s], P.T @ dC[:, s]
    return {"X": dQ @ Wq.T + dK @ Wk.T + dV @ Wv.T, "Wq": X.T @ dQ, "Wk": X.T @ dK, "Wv": X.T @ dV, "Wo": C.T @ R}

#% case
case(id="lay_residual", source="He et al. 2016: identity shortcut around two dense layers", difficulty=2, statement="Residual block with ReLU between two dense layers and identity shortcut.", latex=r"Y=X+\operatorname{relu}(XW_1)W_2", shapes="X: n,d; W1: d,h; W2: h,d; R: n,d", sizes=[dict(n=3, d=3, h=4)], smooth=False,
     f=lambda X, W1, W2, R: np.sum(R * (X + relu(X @ W1) @ W2)), grads={"X": (r"R+\big(RW_2^\top\odot[z>0]\big)W_1^\top", lambda X, W1, W2, R: R + ((R @ W2.T) * (X @ W1 > 0)) @ W1.T), "W1": (r"X^\top(RW_2^\top\odot[z>0])", lambda X, W1, W2, R: X.T @ ((R @ W2.T) * (X @ W1 > 0))), "W2": (r"\operatorname{relu}(XW_1)^\top R", lambda X, W1, W2, R: relu(X @ W1).T @ R)})

#% case
case(id="lay_swiglu", source="Shazeer 2020, GLU variants improve transformer: SwiGLU feed-forward", difficulty=3, statement="SwiGLU feed-forward block.", latex=r"\big(\operatorname{silu}(xW)\odot xV\big)W_2", shapes="x: n,d; W: d,h; V: d,h; W2: h,d; R: n,d", sizes=[dict(n=2, d=3, h=4)],
     f=lambda x, W, V, W2, R: np.sum(R * ((x @ W * sig(x @ W) * (x @ V)) @ W2)), grads={"x": r"\delta_aW^\top+\delta_bV^\top", "W": r"x^\top\delta_a", "V": r"x^\top\delta_b", "W2": r"H^\top R"}, backward=lambda x, W, V, W2, R: (lambda a, b: (lambda sa, G: (lambda da, db: {"x": da @ W.T + db @ V.T, "W": x.T @ da, "V": x.T @ db, "W2": (a * sa * b).T @ R})(G * b * sa * (1 + a * (1 - sa)), G * a * sa))(sig(a), R @ W2.T))(x @ W, x @ V), torch_f=lambda t, F, x, W, V, W2, R: (R * ((F.silu(x @ W) * (x @ V)) @ W2)).sum())

#% case
case(id="lay_squeeze_excite", source="Hu et al. 2018, Squeeze-and-excitation networks", difficulty=4, statement="Squeeze-and-excitation channel gating.", latex=r"y_{nchw}=x_{nchw}\,\sigma\big(W_2\operatorname{relu}(W_1\bar x_n)\big)_c", shapes="x: n,c,h,w; W1: r,c; W2: c,r; R: n,c,h,w", sizes=[dict(n=2, c=3, h=2, w=2, r=2), dict(n=1, c=2, h=3, w=2, r=3)], smooth=False, seed=4,
     f=lambda x, W1, W2, R: np.sum(R * x * sig(relu(x.mean((2, 3)) @ W1.T) @ W2.T)[:, :, None, None]), grads={"x": r"R\,s+\tfrac1{hw}W_1^\top\delta_a", "W1": r"\delta_a\bar x^\top", "W2": r"\delta_s\operatorname{relu}(a)^\top,\ \delta_s=\big(\textstyle\sum_{hw}R\odot x\big)s(1-s)"}, backward=lambda x, W1, W2, R: (lambda m: (lambda a: (lambda s: (lambda ds: (lambda da: {"x": R * s[:, :, None, None] + (da @ W1)[:, :, None, None] / (x.shape[2] * x.shape[3]), "W1": da.T @ m, "W2": ds.T @ relu(a)})((ds @ W2) * (a > 0)))(np.sum(R * x, (2, 3)) * s * (1 - s)))(sig(relu(a) @ W2.T)))(m @ W1.T))(x.mean((2, 3))))

#% case
case(id="lay_power_series", source="Polynomial / power-series layer (Chebyshev graph filters, Defferrard et al. 2016 in monomial basis)", difficulty=4, statement="Polynomial graph filter of degree 3: coefficients c act on powers of a shared matrix S.", latex=r"y=\sum_{k=0}^3c_kS^kx", shapes="c: 4; S: n,n normal*0.5; x: n; R: n", sizes=[dict(n=3), dict(n=4)],
     f=lambda c, S, x, R: R @ (c[0] * x + S @ (c[1] * x + S @ (c[2] * x + S @ (c[3] * x)))), grads={"c": (r"R^\top S^kx", lambda c, S, x, R: np.array([R @ np.linalg.matrix_power(S, k) @ x for k in range(4)])), "S": (r"\sum_kc_k\sum_{r<k}(S^r)^\top R(S^{k-1-r}x)^\top", lambda c, S, x, R: sum(c[k] * np.outer(np.linalg.matrix_power(S, r).T @ R, np.linalg.matrix_power(S, k - 1 - r) @ x) for k in range(1, 4) for r in range(k))), "x": (r"\sum_kc_k(S^k)^\top R", lambda c, S, x, R: sum(c[k] * np.linalg.matrix_power(S, k).T @ R for k in range(4)))})

#% case
case(id="lay_dropout_mask", source=TD + "Dropout in training mode with a given mask (inverted dropout); CS231n dropout_backward", difficulty=1, statement="Inverted dropout with a fixed 0/1 mask and keep probability 0.8.", latex=r"Y=X\odot M/0.8", shapes="X: n,d; M: n,d bin; R: n,d", sizes=[dict(n=3, d=4)], f=lambda X, M, R: np.sum(R * X * M / 0.8), grads={"X": (r"R\odot M/0.8", lambda X, M, R: R * M / 0.8)})

#% case
case(id="lay_fm", source="Rendle 2010, Factorization machines (eqs. 1, 5)", difficulty=3, statement="Second-order factorisation machine for one example, in the linear-time form.", latex=r"b+w^\top x+\tfrac12\sum_f\Big[\Big(\sum_iV_{if}x_i\Big)^2-\sum_iV_{if}^2x_i^2\Big]", shapes="b:; w: n; V: n,k; x: n", sizes=[dict(n=4, k=2), dict(n=3, k=3)],
     f=lambda b, w, V, x: b + w @ x + 0.5 * np.sum((V.T @ x) ** 2 - (V ** 2).T @ x ** 2), grads={"b": ("1", lambda b, w, V, x: 1.0), "w": ("x", lambda b, w, V, x: x), "V": (r"x(V^\top x)^\top-V\odot x^2", lambda b, w, V, x: np.outer(x, V.T @ x) - V * (x ** 2)[:, None]), "x": (r"w+V(V^\top x)-x\odot\textstyle\sum_fV^2", lambda b, w, V, x: w + V @ (V.T @ x) - x * (V ** 2).sum(1))})

#% case
case(id="lay_moe", source="Jacobs et al. 1991, Adaptive mixtures of local experts (softmax gate, linear experts)", difficulty=3, statement="Mixture of linear experts with a softmax gate; squared error.", latex=r"\tfrac12\Big\|t-\sum_kp_kW_kx\Big\|^2,\ p=\operatorname{softmax}(Gx)", shapes="x: d; G: k,d; W: k,o,d; t: o", sizes=[dict(d=3, k=2, o=2), dict(d=2, k=3, o=2)],
     f=lambda x, G, W, t: 0.5 * np.sum((t - softmax(G @ x) @ (W @ x)) ** 2), grads={"G": r"\delta_gx^\top", "W": r"p_kr x^\top", "x": r"G^\top\delta_g+\sum_kp_kW_k^\top r"}, backward=lambda x, G, W, t: (lambda p, E: (lambda r: (lambda dg: {"G": np.outer(dg, x), "W": np.einsum("k,o,d->kod", p, r, x), "x": G.T @ dg + np.einsum("k,kod,o->d", p, W, r)})(p * (E @ r - p @ (E @ r))))(p @ E - t))(softmax(G @ x), W @ x))

#% case
case(id="lay_mdn", source="Bishop 1994, Mixture density networks: scalar target, K Gaussian components", difficulty=4, statement="Mixture-density negative log-likelihood with logits a, means m and log scales s.", latex=r"-\log\sum_k\operatorname{softmax}(a)_k\,\mathcal N(y;m_k,e^{2s_k})", shapes="a: k; m: k; s: k normal*0.4; y:", sizes=[dict(k=2), dict(k=4)],
     f=lambda a, m, s, y: lse(a) - lse(a - 0.5 * np.log(2 * np.pi) - s - 0.5 * ((y - m) * np.exp(-s)) ** 2),
     grads={"a": r"\pi-\gamma", "m": r"-\gamma(y-m)e^{-2s}", "s": r"\gamma(1-(y-m)^2e^{-2s})", "y": r"\sum\gamma(y-m)e^{-2s}"}, backward=lambda a, m, s, y: (lambda g, q: {"a": softmax(a) - g, "m": -g * (y - m) * np.exp(-2 * s), "s": g * (1 - q), "y": np.sum(g * (y - m) * np.exp(-2 * s))})(softmax(a - s - 0.5 * ((y - m) * np.exp(-s)) ** 2), ((y - m) * np.exp(-s)) ** 2))

#% case
case(id="lay_cnn_classifier", source="LeNet-style network (CS231n ThreeLayerConvNet: conv - relu - 2x2 max pool - affine - relu - affine - softmax)", difficulty=5, statement="CS231n's three-layer conv net loss without regularisation; 3x3 conv with padding 1.", latex=r"\frac1n\sum\mathrm{CE}\big(\operatorname{relu}(\operatorname{pool}(\operatorname{relu}(x\star k+b))W_1+c)W_2+d\big)", shapes="x: n,ch,4,4; k: f_,ch,3,3; b: f_; W1: f_*4,h; c: h; W2: h,o; d: o; T: n,o onehot", sizes=[dict(n=2, ch=1, f_=2, h=3, o=3)], smooth=False,
     f=lambda x, k, b, W1, c, W2, d, T: (lambda A: (lambda S: np.mean(lse(S) - np.sum(T * S, 1)))(relu(A @ W1 + c) @ W2 + d))(relu(conv2(x, k, p=1) + b[None, :, None, None]).reshape(len(x), len(k), 2, 2, 2, 2).max((3, 5)).reshape(len(x), -1)),
     grads={n: r"\text{chain}" for n in ("x", "k", "b", "W1", "c", "W2", "d")}, backward=lambda **q: _cnn_b(**q),
     torch_f=lambda t, F, x, k, b, W1, c, W2, d, T: F.cross_entropy(t.relu(F.max_pool2d(t.relu(F.conv2d(x, k, b, padding=1)), 2).flatten(1) @ W1 + c) @ W2 + d, T.argmax(1)))


def _cnn_b(x, k, b, W1, c, W2, d, T):
    n, f = len(x), len(k)
    Z = conv2(x, k, p=1) + b[None, :, None, None]
    Y = relu(Z).reshape(n, f, 2, 2, 2, 2)
    mx = Y.max((3, 5), keepdims=True)
    A = mx.reshape(n, -1)
    H = A @ W1 + c
    dS = (softmax(relu(H) @ W2 + d) - T) / n
    dH = (dS @ W2.T) * (H > 0)
    dA = (dH @ W1.T).reshape(mx.shape)
    hit = (Y == mx) / (Y == mx).sum((3, 5), keepdims=True)
    dZ = (dA * hit).reshape(Z.shape) * (Z > 0)
    gx, gk = conv2_bwd(x, k, dZ, p=1)
    return {"x": gx, "k": gk, "b": dZ.sum((0, 2, 3)), "W1": A.T @ dH, "c": dH.sum(0), "W2": relu(H).T @ dS, "d": dS.sum(0)}
