"""Losses, mostly as defined in the torch.nn documentation (reduction 'mean' unless said)."""
from functools import partial

import numpy as np

from cases.case import Exp, lse, make_case, sig, softmax, softplus

CASES = []
case = partial(make_case, CASES, "losses")
TD = "torch.nn documentation: "
SKM = "scikit-learn metrics documentation: "
relu = lambda z: np.maximum(z, 0)
NK = [dict(n=3, k=4), dict(n=5, k=3)]
N1 = [dict(n=4), dict(n=9)]

#% case
case(id="loss_mse", source=TD + "MSELoss; " + SKM + "mean_squared_error 0.375, 0.708", difficulty=1, statement="Mean squared error over all entries.", latex=r"\frac1{nk}\sum(x-y)^2", shapes="x: n,k; y: n,k", sizes=NK,
     f=lambda x, y: np.mean((x - y) ** 2), grads={"x": (r"\frac{2}{nk}(x-y)", lambda x, y: 2 * (x - y) / x.size), "y": (r"-\frac2{nk}(x-y)", lambda x, y: -2 * (x - y) / x.size)}, torch_f=lambda t, F, x, y: F.mse_loss(x, y),
     expected=[Exp("sklearn 0.375", dict(x=[[2.5], [0.0], [2], [8]], y=[[3.0], [-0.5], [2], [7]]), value=0.375), Exp("sklearn 0.708", dict(x=[[0.0, 2], [-1, 2], [8, -5]], y=[[0.5, 1], [-1, 1], [7, -6]]), value=4.25 / 6)])

#% case
case(id="loss_mse_sum", source=TD + "MSELoss(reduction='sum')", difficulty=1, statement="Sum of squared errors.", latex=r"\sum(x-y)^2", shapes="x: n; y: n", sizes=N1, f=lambda x, y: np.sum((x - y) ** 2), grads={"x": (r"2(x-y)", lambda x, y: 2 * (x - y))}, torch_f=lambda t, F, x, y: F.mse_loss(x, y, reduction="sum"))

#% case
case(id="loss_l1", source=TD + "L1Loss; " + SKM + "mean_absolute_error 0.5, 0.75", difficulty=1, statement="Mean absolute error.", latex=r"\frac1n\sum|x-y|", shapes="x: n; y: n", sizes=N1, smooth=False, f=lambda x, y: np.mean(np.abs(x - y)), grads={"x": (r"\tfrac1n\operatorname{sign}(x-y)", lambda x, y: np.sign(x - y) / x.size)}, torch_f=lambda t, F, x, y: F.l1_loss(x, y),
     expected=[Exp("sklearn 0.5", dict(x=[2.5, 0.0, 2, 8], y=[3.0, -0.5, 2, 7]), value=0.5, grads={"x": [-0.25, 0.25, 0.0, 0.25]})])

#% case
case(id="loss_logcosh", source="Keras LogCosh loss documentation", difficulty=2, statement="Log-cosh loss, mean.", latex=r"\frac1n\sum\log\cosh(x-y)", shapes="x: n; y: n", sizes=N1, f=lambda x, y: np.mean(np.log(np.cosh(x - y))), grads={"x": (r"\tfrac1n\tanh(x-y)", lambda x, y: np.tanh(x - y) / x.size)}, hess={("x", "x"): (r"\tfrac1n\operatorname{diag}(1-\tanh^2)", lambda x, y: np.diag(1 - np.tanh(x - y) ** 2) / x.size)})

#% case
case(id="loss_pinball", source=SKM + "mean_pinball_loss 0.03, 0.3", difficulty=2, statement="Quantile (pinball) loss with level alpha.", latex=r"\frac1n\sum\alpha\max(y-q,0)+(1-\alpha)\max(q-y,0)", shapes="q: n; y: n; al: unit", sizes=N1, smooth=False, f=lambda q, y, al: np.mean(al * relu(y - q) + (1 - al) * relu(q - y)),
     grads={"q": (r"\tfrac1n\big([q>y]-\alpha\big)", lambda q, y, al: ((q > y) - al) / len(q)), "al": (r"\tfrac1n\sum(y-q)", lambda q, y, al: np.mean(y - q))},
     expected=[Exp("alpha 0.1, pred [0,2,3]", dict(q=[0.0, 2, 3], y=[1.0, 2, 3], al=0.1), value=0.1 / 3), Exp("alpha 0.1, pred [1,2,4]", dict(q=[1.0, 2, 4], y=[1.0, 2, 3], al=0.1), value=0.3)])

#% case
case(id="loss_msle", source=SKM + "mean_squared_log_error 0.039, 0.044", difficulty=2, statement="Mean squared logarithmic error.", latex=r"\frac1n\sum\big(\log(1+x)-\log(1+y)\big)^2", shapes="x: n pos; y: n pos", sizes=N1, f=lambda x, y: np.mean((np.log(1 + x) - np.log(1 + y)) ** 2), grads={"x": (r"\frac{2}{n(1+x)}\log\frac{1+x}{1+y}", lambda x, y: 2 / x.size / (1 + x) * np.log((1 + x) / (1 + y)))},
     expected=[Exp("docs 0.039...", dict(x=[2.5, 5, 4, 8], y=[3, 5, 2.5, 7]), value=0.0397, rtol=0, atol=1e-4), Exp("docs 0.044...", dict(x=[0.5, 2, 1, 2.5, 8, 8], y=[0.5, 1, 1, 2, 7, 6]), value=0.0442, rtol=0, atol=1e-4)])

#% case
case(id="loss_ce_index", source=TD + "CrossEntropyLoss with class indices", difficulty=2, statement="Softmax cross-entropy with integer targets, mean over the batch; gradient and Hessian.", latex=r"-\frac1n\sum_i\log\operatorname{softmax}(x_i)_{y_i}", shapes="x: n,k; y: n idx=k", sizes=NK,
     f=lambda x, y: np.mean(lse(x) - np.take_along_axis(x, y[:, None], 1)[:, 0]), grads={"x": (r"\tfrac1n(P-\mathrm{onehot}(y))", lambda x, y: (softmax(x) - np.eye(x.shape[1])[y]) / len(x))},
     hess={("x", "x"): (r"\tfrac1n\delta_{im}(p_{ij}\delta_{jk}-p_{ij}p_{ik})", lambda x, y: np.einsum("im,ijk->ijmk", np.eye(len(x)), softmax(x)[:, :, None] * np.eye(x.shape[1]) - softmax(x)[:, :, None] * softmax(x)[:, None, :]) / len(x))}, torch_f=lambda t, F, x, y: F.cross_entropy(x, y))

#% case
case(id="loss_ce_smooth", source=TD + "CrossEntropyLoss(label_smoothing=0.1)", difficulty=2, statement="Cross-entropy with label smoothing 0.1: target (1-e) onehot + e/k.", latex=r"q_{ij}=(1-\epsilon)[j=y_i]+\epsilon/k", shapes="x: n,k; y: n idx=k", sizes=NK,
     f=lambda x, y: (lambda q: np.mean(lse(x) - np.sum(q * x, 1)))(0.9 * np.eye(x.shape[1])[y] + 0.1 / x.shape[1]), grads={"x": (r"\tfrac1n(P-Q)", lambda x, y: (softmax(x) - 0.9 * np.eye(x.shape[1])[y] - 0.1 / x.shape[1]) / len(x))}, torch_f=lambda t, F, x, y: F.cross_entropy(x, y, label_smoothing=0.1))

#% case
case(id="loss_ce_weighted", source=TD + "CrossEntropyLoss(weight=w): mean divides by the sum of target weights", difficulty=3, statement="Class-weighted cross-entropy; the mean is normalised by the sum of the weights of the targets.", latex=r"\frac{\sum_iw_{y_i}(-\log p_{iy_i})}{\sum_iw_{y_i}}", shapes="x: n,k; y: n idx=k; w: k pos", sizes=NK,
     f=lambda x, y, w: np.sum(w[y] * (lse(x) - np.take_along_axis(x, y[:, None], 1)[:, 0])) / np.sum(w[y]),
     grads={"x": (r"\frac{w_{y_i}}{\sum w}(p_i-e_{y_i})", lambda x, y, w: w[y][:, None] / w[y].sum() * (softmax(x) - np.eye(len(w))[y])), "w": (r"\frac{1}{W}\sum_{i:y_i=c}(\ell_i-L)", lambda x, y, w: (lambda l: np.array([np.sum((l - np.sum(w[y] * l) / w[y].sum())[y == c]) for c in range(len(w))]) / w[y].sum())(lse(x) - np.take_along_axis(x, y[:, None], 1)[:, 0]))},
     torch_f=lambda t, F, x, y, w: (lambda l: (w[y] * l).sum() / w[y].sum())(F.cross_entropy(x, y, reduction="none")) if w.requires_grad else F.cross_entropy(x, y, weight=w))

#% case
case(id="loss_bce", source=TD + "BCELoss", difficulty=1, statement="Binary cross-entropy of probabilities.", latex=r"-\frac1n\sum y\log p+(1-y)\log(1-p)", shapes="p: n unit; y: n unit", sizes=N1, f=lambda p, y: -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)), grads={"p": (r"\frac{p-y}{np(1-p)}", lambda p, y: (p - y) / (p * (1 - p)) / p.size), "y": (r"-\tfrac1n\operatorname{logit}p", lambda p, y: -(np.log(p) - np.log(1 - p)) / p.size)}, torch_f=lambda t, F, p, y: -(y * t.log(p) + (1 - y) * t.log(1 - p)).mean())

#% case
case(id="loss_bce_posweight", source=TD + "BCEWithLogitsLoss(pos_weight)", difficulty=2, statement="BCE with logits and positive-class weights per column.", latex=r"-\frac1{nk}\sum p_cy\log\sigma(x)+(1-y)\log(1-\sigma(x))", shapes="x: n,k; y: n,k bin; p: k pos", sizes=NK, f=lambda x, y, p: np.mean(p * y * softplus(-x) + (1 - y) * softplus(x)), grads={"x": (r"\tfrac1{nk}\big((1-y)\sigma(x)-py\sigma(-x)\big)", lambda x, y, p: ((1 - y) * sig(x) - p * y * sig(-x)) / x.size)}, torch_f=lambda t, F, x, y, p: F.binary_cross_entropy_with_logits(x, y, pos_weight=p))

#% case
case(id="loss_focal", source="Lin et al. 2017, Focal loss for dense object detection (gamma 2, alpha 0.25)", difficulty=3, statement="Binary focal loss with logits, gamma 2, alpha 0.25, mean; labels 0/1.", latex=r"-\frac1n\sum\alpha_t(1-p_t)^2\log p_t,\ p_t=\sigma(sx),\ s=2y-1", shapes="x: n; y: n bin", sizes=N1,
     f=lambda x, y: np.mean((0.25 * y + 0.75 * (1 - y)) * sig(-(2 * y - 1) * x) ** 2 * softplus(-(2 * y - 1) * x)), grads={"x": (r"\tfrac1n\alpha_ts(1-p)^2\big(2p\log p-(1-p)\big)", lambda x, y: (lambda s, p: (0.25 * y + 0.75 * (1 - y)) * s * (1 - p) ** 2 * (2 * p * np.log(p) - (1 - p)) / x.size)(2 * y - 1, sig((2 * y - 1) * x)))})

#% case
case(id="loss_elbo_reparam", source="Kingma & Welling 2014: reparameterised Gaussian decoder", difficulty=4, statement="One-sample negative ELBO with linear decoder, z = mu + exp(lv/2) eps.", latex=r"\tfrac12\|x-Wz-b\|^2-\tfrac12\sum(1+\ell-\mu^2-e^\ell),\ z=\mu+e^{\ell/2}\odot\epsilon", shapes="x: d; mu: k; lv: k; ep: k; W: d,k; b: d", sizes=[dict(d=4, k=2), dict(d=3, k=3)],
     f=lambda x, mu, lv, ep, W, b: 0.5 * np.sum((x - W @ (mu + np.exp(lv / 2) * ep) - b) ** 2) - 0.5 * np.sum(1 + lv - mu ** 2 - np.exp(lv)),
     grads={"mu": r"-W^\top r+\mu", "lv": r"-\tfrac12W^\top r\odot e^{\ell/2}\odot\epsilon+\tfrac12(e^\ell-1)", "W": r"-rz^\top", "b": r"-r"}, backward=lambda x, mu, lv, ep, W, b: (lambda z: (lambda r: {"mu": -W.T @ r + mu, "lv": -0.5 * (W.T @ r) * np.exp(lv / 2) * ep + 0.5 * (np.exp(lv) - 1), "W": -np.outer(r, z), "b": -r})(x - W @ z - b))(mu + np.exp(lv / 2) * ep))

#% case
case(id="loss_poisson_nll_log", source=TD + "PoissonNLLLoss(log_input=True)", difficulty=1, statement="Poisson negative log-likelihood with log rate, mean.", latex=r"\frac1n\sum e^x-yx", shapes="x: n; y: n count", sizes=N1, f=lambda x, y: np.mean(np.exp(x) - y * x), grads={"x": (r"\tfrac1n(e^x-y)", lambda x, y: (np.exp(x) - y) / x.size)}, torch_f=lambda t, F, x, y: F.poisson_nll_loss(x, y))

#% case
case(id="loss_poisson_nll_rate", source=TD + "PoissonNLLLoss(log_input=False, eps=1e-8)", difficulty=2, statement="Poisson negative log-likelihood with rate input and epsilon inside the log.", latex=r"\frac1n\sum\lambda-y\log(\lambda+10^{-8})", shapes="x: n pos; y: n count", sizes=N1, f=lambda x, y: np.mean(x - y * np.log(x + 1e-8)), grads={"x": (r"\tfrac1n\Big(1-\frac{y}{\lambda+10^{-8}}\Big)", lambda x, y: (1 - y / (x + 1e-8)) / x.size)}, torch_f=lambda t, F, x, y: F.poisson_nll_loss(x, y, log_input=False))

#% case
case(id="loss_student_nll", source="torch.distributions.StudentT with fixed 3 degrees of freedom (t = 3: normaliser constant known)", difficulty=3, statement="Student-t (3 dof) negative log-likelihood without constants, location and scale.", latex=r"\sum2\log\Big(1+\frac{(y-m)^2}{3s^2}\Big)+\log s", shapes="m: n; y: n; s: n pos", sizes=N1, f=lambda m, y, s: np.sum(2 * np.log(1 + (y - m) ** 2 / (3 * s ** 2)) + np.log(s)), grads={"m": (r"\frac{-4(y-m)}{3s^2+(y-m)^2}", lambda m, y, s: -4 * (y - m) / (3 * s ** 2 + (y - m) ** 2)), "s": (r"\frac1s-\frac{4(y-m)^2}{s(3s^2+(y-m)^2)}", lambda m, y, s: 1 / s - 4 * (y - m) ** 2 / (s * (3 * s ** 2 + (y - m) ** 2)))})

#% case
case(id="loss_poisson_deviance", source=SKM + "mean_poisson_deviance 1.4260", difficulty=2, statement="Mean Poisson deviance; 0 log 0 = 0.", latex=r"\frac2n\sum y\log\frac y\mu-y+\mu", shapes="mu: n pos; y: n pos", sizes=N1, f=lambda mu, y: 2 * np.mean(np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mu), 0 * mu) - y + mu), grads={"mu": (r"\tfrac2n(1-y/\mu)", lambda mu, y: 2 * (1 - y / mu) / mu.size)},
     expected=[Exp("docs", dict(mu=[0.5, 0.5, 2, 2], y=[2.0, 0, 1, 4]), value=1.4260, rtol=1e-4)])

#% case
case(id="loss_gamma_deviance", source=SKM + "mean_gamma_deviance 1.0568", difficulty=2, statement="Mean gamma deviance.", latex=r"\frac2n\sum\log\frac\mu y+\frac y\mu-1", shapes="mu: n pos; y: n pos", sizes=N1, f=lambda mu, y: 2 * np.mean(np.log(mu / y) + y / mu - 1), grads={"mu": (r"\tfrac2n\Big(\frac1\mu-\frac y{\mu^2}\Big)", lambda mu, y: 2 * (1 / mu - y / mu ** 2) / mu.size)},
     expected=[Exp("docs", dict(mu=[0.5, 0.5, 2, 2], y=[2.0, 0.5, 1, 4]), value=1.0568, rtol=1e-4)])

#% case
case(id="loss_squared_hinge", source="Tang 2013, Deep learning using linear support vector machines (L2-SVM)", difficulty=2, statement="Squared hinge loss.", latex=r"\frac1n\sum\max(0,1-yx)^2", shapes="x: n; y: n pm1", sizes=N1, smooth=False, f=lambda x, y: np.mean(relu(1 - y * x) ** 2), grads={"x": (r"-\tfrac2ny\max(0,1-yx)", lambda x, y: -2 * y * relu(1 - y * x) / x.size)})

#% case
case(id="loss_multi_margin", source=TD + "MultiMarginLoss example 0.325", difficulty=2, statement="Multiclass margin loss (p = 1, margin 1), divided by the number of classes, mean over the batch.", latex=r"\frac1n\sum_i\frac1k\sum_{j\ne y_i}\max(0,1-x_{iy_i}+x_{ij})", shapes="x: n,k; y: n idx=k", sizes=NK, smooth=False,
     f=lambda x, y: (lambda T: np.sum((1 - T) * relu(1 - np.sum(T * x, 1, keepdims=True) + x)) / x.size)(np.eye(x.shape[1])[y]), grads={"x": (r"\tfrac1{nk}(M-T\odot M\mathbf 1)", lambda x, y: (lambda T: (lambda M: (M - T * M.sum(1, keepdims=True)) / x.size)((1 - T) * (1 - np.sum(T * x, 1, keepdims=True) + x > 0)))(np.eye(x.shape[1])[y]))},
     expected=[Exp("docs: 0.25 (0.3 + 0.4 + 0.6)", dict(x=[[0.1, 0.2, 0.4, 0.8]], y=np.array([3])), value=0.325, grads={"x": [[0.25, 0.25, 0.25, -0.75]]})], torch_f=lambda t, F, x, y: F.multi_margin_loss(x, y))

#% case
case(id="loss_soft_margin", source=TD + "SoftMarginLoss", difficulty=1, statement="Soft margin loss.", latex=r"\frac1n\sum\log(1+e^{-yx})", shapes="x: n; y: n pm1", sizes=N1, f=lambda x, y: np.mean(softplus(-y * x)), grads={"x": (r"-\tfrac1ny\,\sigma(-yx)", lambda x, y: -y * sig(-y * x) / x.size)}, torch_f=lambda t, F, x, y: F.soft_margin_loss(x, y))

#% case
case(id="loss_multilabel_soft_margin", source=TD + "MultiLabelSoftMarginLoss", difficulty=2, statement="Multilabel one-versus-all loss, mean over classes and batch.", latex=r"-\frac1{nk}\sum y\log\sigma(x)+(1-y)\log\sigma(-x)", shapes="x: n,k; y: n,k bin", sizes=NK, f=lambda x, y: np.mean(softplus(x) - y * x), grads={"x": (r"\tfrac1{nk}(\sigma(x)-y)", lambda x, y: (sig(x) - y) / x.size)}, torch_f=lambda t, F, x, y: F.multilabel_soft_margin_loss(x, y))

#% case
case(id="loss_bpr", source="Rendle et al. 2009, Bayesian personalised ranking; RankNet (Burges et al. 2005)", difficulty=2, statement="Logistic pairwise ranking loss of dot-product scores with L2.", latex=r"-\log\sigma\big(u^\top(i-j)\big)+\lambda(\|u\|^2+\|i\|^2+\|j\|^2)", shapes="u: d; i: d; j: d; lam: unit", sizes=[dict(d=3), dict(d=5)], f=lambda u, i, j, lam: softplus(-(u @ (i - j))) + lam * (u @ u + i @ i + j @ j),
     grads={"u": (r"-\sigma(-s)(i-j)+2\lambda u", lambda u, i, j, lam: -sig(-(u @ (i - j))) * (i - j) + 2 * lam * u), "i": (r"-\sigma(-s)u+2\lambda i", lambda u, i, j, lam: -sig(-(u @ (i - j))) * u + 2 * lam * i), "j": (r"\sigma(-s)u+2\lambda j", lambda u, i, j, lam: sig(-(u @ (i - j))) * u + 2 * lam * j)})

#% case
case(id="loss_cosine_embedding", source=TD + "CosineEmbeddingLoss (margin 0.1 here)", difficulty=3, statement="Cosine embedding loss with margin 0.1, mean over pairs. torch adds a tiny constant to the squared norms.", latex=r"\frac1n\sum\begin{cases}1-\cos(a,b)&y=1\\\max(0,\cos(a,b)-m)&y=-1\end{cases}", shapes="a: n,d; b: n,d; y: n pm1", sizes=[dict(n=4, d=3), dict(n=3, d=5)], smooth=False,
     f=lambda a, b, y: (lambda c: np.mean(np.where(y > 0, 1 - c, relu(c - 0.1))))(np.sum(a * b, 1) / np.sqrt(np.sum(a * a, 1) * np.sum(b * b, 1))),
     grads={"a": r"g\Big(\frac{b}{\|a\|\|b\|}-c\frac{a}{\|a\|^2}\Big)", "b": r"g\Big(\frac{a}{\|a\|\|b\|}-c\frac{b}{\|b\|^2}\Big)"}, backward=lambda a, b, y: (lambda na, nb: (lambda c: (lambda g: {"a": g[:, None] * (b / (na * nb)[:, None] - (c / na ** 2)[:, None] * a), "b": g[:, None] * (a / (na * nb)[:, None] - (c / nb ** 2)[:, None] * b)})(np.where(y > 0, -1.0, 1.0 * (c > 0.1)) / len(y)))(np.sum(a * b, 1) / (na * nb)))(np.sqrt(np.sum(a * a, 1)), np.sqrt(np.sum(b * b, 1))),
     torch_f=lambda t, F, a, b, y: F.cosine_embedding_loss(a, b, y, margin=0.1), torch_rtol=1e-8)

#% case
case(id="loss_cosine_similarity", source=TD + "CosineSimilarity (eps inactive)", difficulty=2, statement="Sum of cosine similarities of row pairs.", latex=r"\sum_i\frac{a_i\cdot b_i}{\|a_i\|\|b_i\|}", shapes="a: n,d; b: n,d", sizes=[dict(n=3, d=3)], f=lambda a, b: np.sum(np.sum(a * b, 1) / np.sqrt(np.sum(a * a, 1) * np.sum(b * b, 1))), grads={"a": (r"\frac{b}{\|a\|\|b\|}-c\frac{a}{\|a\|^2}", lambda a, b: (lambda na, nb: b / (na * nb) - np.sum(a * b, 1, keepdims=True) / (na ** 3 * nb) * a)(np.linalg.norm(a, axis=1, keepdims=True), np.linalg.norm(b, axis=1, keepdims=True)))}, torch_f=lambda t, F, a, b: F.cosine_similarity(a, b).sum())

#% case
case(id="loss_triplet", source=TD + "TripletMarginLoss (margin 1, p 2, eps 1e-6 added to each difference)", difficulty=3, statement="Triplet margin loss; torch adds eps = 1e-6 to every component of the difference before the norm.", latex=r"\frac1n\sum\max\big(0,\|a-p+\epsilon\|-\|a-n+\epsilon\|+1\big)", shapes="a: n,d; p: n,d; q: n,d", sizes=[dict(n=4, d=3), dict(n=3, d=2)], smooth=False,
     f=lambda a, p, q: np.mean(relu(np.sqrt(np.sum((a - p + 1e-6) ** 2, 1)) - np.sqrt(np.sum((a - q + 1e-6) ** 2, 1)) + 1)),
     grads={"a": r"\tfrac1n[\cdot>0](\hat u-\hat v)", "p": r"-\tfrac1n[\cdot>0]\hat u", "q": r"\tfrac1n[\cdot>0]\hat v"}, backward=lambda a, p, q: (lambda u, v: (lambda nu, nv: (lambda m: {"a": m * (u / nu - v / nv), "p": -m * u / nu, "q": m * v / nv})((nu - nv + 1 > 0) / len(a)))(np.sqrt(np.sum(u * u, 1, keepdims=True)), np.sqrt(np.sum(v * v, 1, keepdims=True))))(a - p + 1e-6, a - q + 1e-6),
     torch_f=lambda t, F, a, p, q: F.triplet_margin_loss(a, p, q))

#% case
case(id="loss_contrastive", source="Hadsell, Chopra, LeCun 2006: contrastive loss (margin 1.5 here)", difficulty=2, statement="Contrastive loss of embedding pairs; Y = 0 similar, Y = 1 dissimilar.", latex=r"\frac1{2n}\sum(1-Y)D^2+Y\max(0,m-D)^2,\ D=\|a-b\|", shapes="a: n,d; b: n,d; y: n bin", sizes=[dict(n=4, d=3)], smooth=False,
     f=lambda a, b, y: (lambda D: 0.5 * np.mean((1 - y) * D ** 2 + y * relu(1.5 - D) ** 2))(np.sqrt(np.sum((a - b) ** 2, 1))), grads={"a": (r"\tfrac1n\big((1-Y)-Y\max(0,m-D)/D\big)(a-b)", lambda a, b, y: (lambda D: ((1 - y) - y * relu(1.5 - D) / D)[:, None] * (a - b) / len(a))(np.sqrt(np.sum((a - b) ** 2, 1))))})

#% case
case(id="loss_dice", source="Milletari et al. 2016 (V-Net): soft Dice loss with squared denominators", difficulty=2, statement="Soft Dice loss of probabilities.", latex=r"1-\frac{2\sum py}{\sum p^2+\sum y^2}", shapes="p: n unit; y: n bin", sizes=[dict(n=5), dict(n=8)], f=lambda p, y: 1 - 2 * np.sum(p * y) / (np.sum(p * p) + np.sum(y * y)), grads={"p": (r"-\frac{2y}{D}+\frac{4p\sum py}{D^2}", lambda p, y: (lambda D: -2 * y / D + 4 * p * np.sum(p * y) / D ** 2)(np.sum(p * p) + np.sum(y * y)))})

#% case
case(id="loss_elastic_net", source="Zou & Hastie 2005; scikit-learn ElasticNet objective", difficulty=2, statement="Elastic-net objective of linear regression as in scikit-learn.", latex=r"\frac1{2n}\|y-Xw\|^2+\alpha\rho\|w\|_1+\tfrac12\alpha(1-\rho)\|w\|_2^2", shapes="w: d away; X: n,d; y: n; al: pos; rho: unit", sizes=[dict(n=4, d=3)], smooth=False, f=lambda w, X, y, al, rho: np.sum((y - X @ w) ** 2) / (2 * len(y)) + al * rho * np.sum(np.abs(w)) + 0.5 * al * (1 - rho) * np.sum(w * w), grads={"w": (r"-\tfrac1nX^\top(y-Xw)+\alpha\rho\operatorname{sign}w+\alpha(1-\rho)w", lambda w, X, y, al, rho: -X.T @ (y - X @ w) / len(y) + al * rho * np.sign(w) + al * (1 - rho) * w)})
