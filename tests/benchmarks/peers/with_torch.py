"""PyTorch: eager and compiled, with the fused optimisers; `nn.LSTM` for the recurrent network."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as fn

from ..step import Setting, Step


class Dense(nn.Module):
    """Layers one after another: `activation` between them."""

    def __init__(self, *widths, activation):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, m) for i, m in pairwise(widths))
        self.activation = activation
        self.names = {
            f"{w}{k + 1}": p
            for k, layer in enumerate(self.layers)
            for w, p in (("W", layer.weight), ("b", layer.bias))
        }

    def forward(self, x):
        *hidden, last = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return last(x)


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.last = nn.Linear(32 * 49, 10)
        layers = (self.one, self.two, self.last)
        self.names = {
            f"{w}{k + 1}": p for k, a in enumerate(layers) for w, p in (("W", a.weight), ("b", a.bias))
        }

    def forward(self, x):
        a = fn.max_pool2d(fn.relu(self.one(x)), 2)
        b = fn.max_pool2d(fn.relu(self.two(a)), 2)
        return self.last(b.flatten(1))


class Transformer(nn.Module):
    def __init__(self, e=128, heads=4):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(e), nn.LayerNorm(e)
        self.project, self.join = nn.Linear(e, 3 * e), nn.Linear(e, e)
        self.up, self.down = nn.Linear(e, 4 * e), nn.Linear(4 * e, e)
        self.heads = heads
        layers = {"W1 b1": self.project, "U1 c1": self.join, "W2 b2": self.up, "W3 b3": self.down}
        layers |= {"gamma1 beta1": self.norm1, "gamma2 beta2": self.norm2}
        self.names = {}
        for names, layer in layers.items():
            w, b = names.split()
            self.names |= {w: layer.weight, b: layer.bias}

    def forward(self, x):
        n, t, e = x.shape
        z = self.project(self.norm1(x)).view(n, t, 3, self.heads, e // self.heads)
        q, k, v = z.permute(2, 0, 3, 1, 4).unbind(0)
        u = fn.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, e)
        h = x + self.join(u)
        return h + self.down(fn.gelu(self.up(self.norm2(h)), approximate="tanh"))


class Recurrent(nn.Module):
    """`nn.LSTM`; it has two biases, of which the second stays zero."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(32, 64, batch_first=True)
        self.lstm.bias_hh_l0.requires_grad_(False).zero_()
        self.names = {"W1": self.lstm.weight_ih_l0, "U1": self.lstm.weight_hh_l0, "b1": self.lstm.bias_ih_l0}

    def forward(self, x):
        return self.lstm(x)[0]


class Unrolled(nn.Module):
    """The same with a loop over the steps, for the compiler."""

    def __init__(self):
        super().__init__()
        self.input, self.hidden = nn.Linear(32, 256), nn.Linear(64, 256, bias=False)
        self.names = {"W1": self.input.weight, "b1": self.input.bias, "U1": self.hidden.weight}

    def forward(self, x):
        z = self.input(x)
        h = c = x.new_zeros(len(x), 64)
        out = []
        for k in range(x.shape[1]):
            i, f, g, o = (z[:, k] + self.hidden(h)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            out.append(h)
        return torch.stack(out, 1)


def network(letter, variant):
    match letter:
        case "a":
            return Dense(2, 16, 1, activation=torch.tanh)
        case "b":
            return Dense(64, 32, 10, activation=fn.relu)
        case "c":
            return Dense(784, 256, 128, 10, activation=fn.relu)
        case "d":
            return Dense(1024, 2048, 2048, 1024, activation=torch.tanh)
        case "e":
            return Convolutional()
        case "f":
            return Transformer()
    return Recurrent() if variant == "nn.LSTM" else Unrolled()


def build(s: Setting) -> Step:
    torch.set_num_threads(s.threads)
    net = network(s.letter, s.variant)
    own = [name for name, p in net.names.items() if p.ndim == 2]  # torch has the outputs first

    def shaped(name, a):
        return a.T if name in own else a

    with torch.no_grad():
        for name, p in net.names.items():
            p.copy_(shaped(name, torch.from_numpy(s.weights[name])))
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[s.optimizer]
    optimizer = make([p for p in net.parameters() if p.requires_grad], lr=s.rate, fused=True)
    x, t = torch.from_numpy(s.data["x"]), torch.from_numpy(s.data["t"])
    judge = fn.cross_entropy if t.ndim == 1 else fn.mse_loss

    def loss_of(x, t):
        return judge(net(x), t)

    if s.variant == "compiled":
        loss_of = torch.compile(loss_of)

    def once():
        optimizer.zero_grad()
        loss = loss_of(x, t)
        loss.backward()
        optimizer.step()
        return loss.item()

    def gradients():
        optimizer.zero_grad()
        loss = loss_of(x, t)
        loss.backward()
        return loss.item(), {name: shaped(name, p.grad).numpy() for name, p in net.names.items()}

    return Step(once, gradients, lambda: {k: shaped(k, p.detach()).numpy() for k, p in net.names.items()})
