"""Further formulas as users write them (`cases/more.sg`): complex steps, both emitted styles, and torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cases import sections

import symgrad as sg
from symgrad.language.samples import inputs, small_sizes

DECLARED = sections("more")
Meaning = Callable[[Any, Any, Any], Any]  # of torch, torch.nn.functional and a namespace of the inputs


def lstm(t: Any, a: Any) -> Any:
    m = len(a.R)
    h = c = t.zeros(m, dtype=t.float64)
    for x in a.x:
        z = x @ a.Wx + h @ a.Wh + a.b
        i, f, o, g = (
            t.sigmoid(z[:m]),
            t.sigmoid(z[m : 2 * m]),
            t.sigmoid(z[2 * m : 3 * m]),
            t.tanh(z[3 * m :]),
        )
        c = f * c + i * g
        h = o * t.tanh(c)
    return a.R @ h


def crf(t: Any, a: Any) -> Any:
    al = a.e[0]
    for e in a.e[1:]:
        al = t.logsumexp(al[:, None] + a.A, 0) + e
    path = a.e[t.arange(len(a.y)), a.y].sum() + a.A[a.y[:-1], a.y[1:]].sum()
    return t.logsumexp(al, 0) - path


def hmm(t: Any, F: Any, a: Any) -> Any:
    A, B, p = F.log_softmax(a.lA, 1), F.log_softmax(a.lB, 1), F.log_softmax(a.lp, 0)
    al = p + B[:, a.o[0]]
    for o in a.o[1:]:
        al = t.logsumexp(al[:, None] + A, 0) + B[:, o]
    return -t.logsumexp(al, 0)


def kalman(t: Any, a: Any) -> Any:
    m, P, loss = 0.0, 1.0, 0.0
    for y in a.y:
        mp, Pp = a.a * m, a.a**2 * P + a.q**2
        S = Pp + a.r**2
        m, P = mp + Pp / S * (y - mp), Pp - Pp**2 / S
        loss = loss + (t.log(S) + (y - mp) ** 2 / S) / 2
    return loss


def coupled(t: Any, a: Any) -> Any:
    w, v = a.w0, 0 * a.w0
    for _ in range(4):
        v = 0.9 * v - 0.1 * a.A @ w
        w = w + v
    return (w**2).sum()


def euler(t: Any, a: Any) -> Any:
    x = a.x0
    for _ in range(5):
        x = x + 0.1 * t.tanh(a.W @ x)
    return ((x - a.y) ** 2).sum()


def boxes(t: Any, a: Any) -> Any:
    low, high = t.maximum(a.a[:, :2], a.b[:, :2]), t.minimum(a.a[:, 2:], a.b[:, 2:])
    inter = (high - low).clamp(min=0).prod(1)
    area = (a.a[:, 2:] - a.a[:, :2]).prod(1) + (a.b[:, 2:] - a.b[:, :2]).prod(1)
    return (inter**2 / (area**2 + 1)).sum()


def cox(t: Any, a: Any) -> Any:
    r = a.X @ a.b
    at_risk = (a.T[None] >= a.T[:, None]).double()
    return -(a.e * (r - t.log(at_risk @ t.exp(r)))).sum()


def planar(t: Any, a: Any) -> Any:
    psi = (1 - t.tanh(a.z @ a.w + a.b) ** 2)[:, None] * a.w
    return -t.log((1 + psi @ a.u).abs()).mean()


def supervised(t: Any, a: Any) -> Any:
    n = len(a.Z)
    S = a.Z @ a.Z.T
    rows = t.logsumexp(S.masked_fill(t.eye(n, dtype=t.bool), -np.inf), 1)
    same = (a.y[:, None] == a.y) & ~t.eye(n, dtype=t.bool)
    return ((rows[:, None] - S) * same).sum()


def heads(t: Any, F: Any, a: Any) -> Any:
    q, k, v = (t.einsum("nd,hdk->hnk", a.x, w) for w in (a.Wq, a.Wk, a.Wv))
    return (a.R * t.einsum("hnk,hkd->nd", F.scaled_dot_product_attention(q, k, v), a.Wo)).sum()


def arc(t: Any, F: Any, a: Any) -> Any:
    c = F.normalize(a.x) @ F.normalize(a.W).T
    return F.cross_entropy(8 * (c - 0.3 * F.one_hot(a.y, len(a.W)).double()), a.y)


def graph(t: Any, F: Any, a: Any) -> Any:
    A = a.A + t.eye(len(a.A), dtype=t.float64)
    N = A / A.sum(1, keepdim=True)
    return F.cross_entropy(N @ F.relu(N @ a.X @ a.W1) @ a.W2, a.y)


def infonce(t: Any, F: Any, a: Any) -> Any:
    return F.cross_entropy(F.normalize(a.a) @ F.normalize(a.b).T / a.tau, t.arange(len(a.a)))


def clip(t: Any, F: Any, a: Any) -> Any:
    S, own = t.exp(a.s) * a.a @ a.b.T, t.arange(len(a.a))
    return (F.cross_entropy(S, own) + F.cross_entropy(S.T, own)) / 2


def ppo(t: Any, a: Any) -> Any:
    r = t.exp(a.lp - a.old)
    return -t.minimum(r * a.A, r.clamp(0.8, 1.2) * a.A).mean()


def policy(t: Any, F: Any, a: Any) -> Any:
    lp = F.log_softmax(a.z, 1)
    picked = lp[t.arange(len(a.a)), a.a]
    return -(a.A * picked).mean() - 0.01 * -(lp.exp() * lp).sum(1).mean()


def gumbel(t: Any, F: Any, a: Any) -> Any:
    return (a.R * F.softmax((a.z - t.log(-t.log(a.u))) / a.tau, 1)).sum()


def causal(t: Any, F: Any, a: Any) -> Any:
    return (a.R * F.scaled_dot_product_attention(a.Q[None], a.K[None], a.V[None], is_causal=True)[0]).sum()


def gp(t: Any, a: Any) -> Any:
    n = len(a.x)
    K = t.exp(-((a.x[:, None] - a.x) ** 2) / (2 * a.l**2)) + a.s**2 * t.eye(n, dtype=t.float64)
    return -t.distributions.MultivariateNormal(0 * a.x, K).log_prob(a.y)


def elbo(t: Any, F: Any, a: Any) -> Any:
    z = (a.mu + a.eps * t.exp(a.logvar / 2)) @ a.W + a.b
    kl = -0.5 * (1 + a.logvar - a.mu**2 - a.logvar.exp()).sum()
    return F.binary_cross_entropy_with_logits(z, a.x, reduction="sum") + kl


def normal(t: Any, a: Any) -> Any:
    P = a.S @ a.S.T + t.eye(len(a.mu), dtype=t.float64)
    return -t.distributions.MultivariateNormal(a.mu, P).log_prob(a.x).sum()


def mixture(t: Any, F: Any, a: Any) -> Any:
    parts = t.distributions.Normal(a.mu, t.exp(a.ls)).log_prob(a.x[:, None])
    return -t.logsumexp(F.log_softmax(a.pi_, 0) + parts, 1).sum()


def spectral(t: Any, a: Any) -> Any:
    D = t.diag(a.W.sum(1))
    return t.trace(a.F.T @ (D - a.W) @ a.F) / t.trace(a.F.T @ D @ a.F)


def correlation(t: Any, a: Any) -> Any:
    return -t.corrcoef(t.stack([a.X @ a.a, a.Y @ a.b]))[0, 1]


def smooth(t: Any, a: Any) -> Any:
    s, loss = a.y[0], 0.0
    for k in range(len(a.y) - 1):
        s = a.a * a.y[k] + (1 - a.a) * s if k else s
        loss = loss + (a.y[k + 1] - s) ** 2
    return loss


# what each formula means, by torch's own functions where it has them
MEANS: dict[str, Meaning] = {
    "word2vec softmax": lambda t, F, a: F.cross_entropy((a.U @ a.v)[None], a.o[None]),
    "word2vec softmax: summed over a window": lambda t, F, a: F.cross_entropy(
        (a.U @ a.E[a.c]).expand(len(a.o), -1), a.o, reduction="sum"
    ),
    "logistic regression with L2": lambda t, F, a: (
        F.binary_cross_entropy_with_logits(a.X @ a.w + a.b, a.y.double()) + a.lam / 2 * a.w @ a.w
    ),
    "SVM primal": lambda t, F, a: a.w @ a.w / 2 + a.C * F.relu(1 - a.y * (a.X @ a.w + a.b)).sum(),
    "multiclass SVM with regularisation": lambda t, F, a: (
        F.multi_margin_loss(a.X @ a.W, a.y) * a.W.shape[1] + a.reg * (a.W**2).sum()
    ),
    "softmax regression, vectorised": lambda t, F, a: (
        F.cross_entropy(a.X @ a.W, a.y) + a.reg * (a.W**2).sum()
    ),
    "Huber": lambda t, F, a: F.huber_loss(a.x, a.y),
    "kernel ridge": lambda t, F, a: ((a.y - a.K @ a.a) ** 2).sum() + a.lam * a.a @ a.K @ a.a,
    "RBF kernel, sum over pairs": lambda t, F, a: t.exp(
        -((a.X[:, None] - a.X) ** 2).sum(-1) / (2 * a.s**2)
    ).sum(),
    "squared exponential, NumPy": lambda t, F, a: t.exp(-((a.X[:, None] - a.Z) ** 2).sum(-1) / 2).sum(),
    "PCA reconstruction": lambda t, F, a: t.linalg.matrix_norm(a.X - a.X @ a.W @ a.W.T) ** 2,
    "matrix factorisation, observed entries": lambda t, F, a: (
        ((a.r - a.mu - a.bu[a.u] - a.bi[a.i] - (a.P[a.u] * a.Q[a.i]).sum(1)) ** 2).mean()
        + 0.02 * ((a.P**2).sum() + (a.Q**2).sum())
    ),
    "KL of Gaussians, diagonal": lambda t, F, a: t.distributions.kl_divergence(
        t.distributions.Normal(a.m1, a.s1), t.distributions.Normal(a.m2, a.s2)
    ).sum(),
    "VAE ELBO with Bernoulli decoder": elbo,
    "entropy": lambda t, F, a: t.distributions.Categorical(logits=a.z).entropy(),
    "KL divergence, label smoothing off": lambda t, F, a: F.kl_div(
        F.log_softmax(a.z, 1), a.p, reduction="batchmean"
    ),
    "softmax with temperature": lambda t, F, a: F.cross_entropy(a.z / a.tau, a.t),
    "InfoNCE": infonce,
    "CLIP, both ways": clip,
    "supervised contrastive": lambda t, F, a: supervised(t, a),
    "GAN discriminator": lambda t, F, a: -F.logsigmoid(a.r).mean() - F.logsigmoid(-a.f).mean(),
    "IoU of boxes": lambda t, F, a: boxes(t, a),
    "Cox partial likelihood": lambda t, F, a: cox(t, a),
    "ListNet": lambda t, F, a: F.cross_entropy(a.s, F.softmax(a.t, 1), reduction="sum"),
    "Gaussian NLL with learned variance": lambda t, F, a: F.gaussian_nll_loss(a.m, a.y, t.exp(a.s)),
    "mixture of Gaussians": mixture,
    "multivariate normal": lambda t, F, a: normal(t, a),
    "GP likelihood with a length scale": lambda t, F, a: gp(t, a),
    "D-optimal design": lambda t, F, a: (
        -t.logdet(a.X.T @ t.diag(a.w) @ a.X + t.eye(a.X.shape[1], dtype=t.float64))
    ),
    "Kronecker quadratic form": lambda t, F, a: a.x @ t.kron(a.A, a.B) @ a.x,
    "trace of a product with inverse": lambda t, F, a: t.trace(
        a.A @ t.linalg.inv(a.X @ a.X.T + t.eye(len(a.X), dtype=t.float64))
    ),
    "image total variation": lambda t, F, a: (t.diff(a.X, dim=0) ** 2).sum() + t.diff(a.X, dim=1).abs().sum(),
    "layer norm": lambda t, F, a: (a.R * F.layer_norm(a.x, a.x.shape[1:], a.g, a.b)).sum(),
    "RMS norm": lambda t, F, a: (a.R * F.rms_norm(a.x, a.x.shape[1:], a.g, 1e-6)).sum(),
    "spatial batch norm": lambda t, F, a: (a.R * F.batch_norm(a.x, None, None, a.g, a.b, True)).sum(),
    "attention with a causal mask": causal,
    "attention with heads, einsum": heads,
    "LSTM over a sequence": lambda t, F, a: lstm(t, a),
    "HMM forward algorithm": hmm,
    "linear-chain CRF": lambda t, F, a: crf(t, a),
    "Kalman filter, scalar": lambda t, F, a: kalman(t, a),
    "exponential smoothing": lambda t, F, a: smooth(t, a),
    "neural ODE by Euler steps": lambda t, F, a: euler(t, a),
    "momentum trajectory": lambda t, F, a: coupled(t, a),
    "Gumbel softmax": gumbel,
    "policy gradient": policy,
    "PPO clip": lambda t, F, a: ppo(t, a),
    "TD error with a stopped target": lambda t, F, a: (
        ((a.r + 0.9 * a.V[a.b].detach() - a.V[a.a]) ** 2).mean() / 2
    ),
    "label-smoothed cross-entropy, one-hot": lambda t, F, a: F.cross_entropy(a.z, a.t, label_smoothing=0.1),
    "ArcFace-like margin": arc,
    "graph convolution": graph,
    "spectral clustering relaxation": lambda t, F, a: spectral(t, a),
    "canonical correlation": lambda t, F, a: correlation(t, a),
    "normalising flow, planar": lambda t, F, a: planar(t, a),
    "moving average of windows": lambda t, F, a: (F.conv1d(a.x[None], a.k[None, None])[0] ** 2).mean(),
    "margin ranking": lambda t, F, a: F.margin_ranking_loss(a.a, a.b, a.y, margin=0.5),
    "Poisson regression with offset": lambda t, F, a: F.poisson_nll_loss(
        a.X @ a.w + t.log(a.t), a.y, reduction="sum"
    ),
}


@pytest.mark.parametrize("heading", DECLARED)
def test_gradient(heading: str) -> None:
    verdict = sg.derive(DECLARED[heading]).check()
    assert verdict.ok, str(verdict)


@pytest.mark.parametrize("heading", MEANS)
def test_means(heading: str) -> None:
    torch = pytest.importorskip("torch")
    d = sg.derive(DECLARED[heading])
    program = d.program
    given = inputs(program, small_sizes(program, 3), np.random.default_rng(1))
    arrays = {name: torch.tensor(x) for name, x in given.items()}
    weights = [arrays[t.name].requires_grad_() for t in program.role("weight")]
    loss = MEANS[heading](torch, torch.nn.functional, type("Inputs", (), arrays))
    value, gradients = d.function()(**given)
    np.testing.assert_allclose(value, float(loss.detach()), rtol=1e-10, atol=1e-12)
    for name, g in zip(gradients, torch.autograd.grad(loss, weights), strict=True):
        wanted = g.numpy()
        assert np.abs(gradients[name] - wanted).max() <= 1e-10 * max(1.0, np.abs(wanted).max()), name
