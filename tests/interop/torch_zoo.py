"""Networks made by PyTorch, as people make them; and how far float32 may be from the truth."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn, F = torch.nn, torch.nn.functional

ACTIVATIONS = {
    "relu": nn.ReLU(), "leaky": nn.LeakyReLU(0.2), "elu": nn.ELU(0.7), "selu": nn.SELU(),
    "gelu": nn.GELU(), "gelu tanh": nn.GELU("tanh"), "silu": nn.SiLU(), "mish": nn.Mish(),
    "softplus": nn.Softplus(), "softplus beta": nn.Softplus(2.5), "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(), "hardsigmoid": nn.Hardsigmoid(), "hardswish": nn.Hardswish(),
    "relu6": nn.ReLU6(), "hardtanh": nn.Hardtanh(-0.5, 0.75), "softsign": nn.Softsign(),
    "prelu": nn.PReLU(init=0.3), "logsigmoid": nn.LogSigmoid(), "celu": nn.CELU(0.6),
    "rrelu": nn.RReLU(), "softmax": nn.Softmax(dim=1), "softmax -1": nn.Softmax(-1),
    "log_softmax": nn.LogSoftmax(dim=-1), "softmin": nn.Softmin(dim=1), "identity": nn.Identity(),
}  # fmt: skip


class Block(nn.Module):
    """A module inside others whose attributes are not in the order of its calls."""

    def __init__(self, k, m):
        super().__init__()
        self.act = nn.GELU()
        self.norm = nn.BatchNorm1d(m)
        self.fc = nn.Linear(k, m)

    def forward(self, x):
        return self.act(self.norm(self.fc(x)))


class Digits(nn.Module):
    """What a first PyTorch program looks like: functions, view, pixels scaled in forward."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(7, 4)
        self.fc2 = nn.Linear(11, 7)
        self.fc1 = nn.Linear(12, 11)
        self.drop = nn.Dropout(0.3)

    def forward(self, x, mask=None, scale: float = 255.0):
        if mask is not None:
            x = x * mask
        x = x.view(x.size(0), -1).float() / scale
        x = (x - 0.5) / 0.5
        x = F.relu(self.fc1(x))
        x = F.dropout(self.drop(x), p=0.5, training=self.training)
        x = torch.tanh(self.fc2(x)).reshape(-1, 7)
        return F.log_softmax(self.out(x), dim=1)


class Arithmetic(nn.Module):
    """Constants of every kind, before and after the layers; squeeze at the end."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([100.0, -3.0, 0.25]))
        self.std = torch.tensor([[10.0, 0.5, 2.0]])
        self.fc1 = nn.Linear(3, 5)
        self.w = nn.Parameter(torch.randn(5, 5))
        self.b = nn.Parameter(torch.randn(5))
        self.fc2 = nn.Linear(5, 1, bias=False)
        self.temperature = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        x = (x - self.mean) / self.std
        x = F.hardtanh(self.fc1(x), -0.5, 0.9)
        x = 1 - x * 2
        x = F.linear(x, self.w * 0.5, bias=self.b)
        x = torch.clamp(x, min=-1, max=1).mul(torch.arange(1.0, 6.0)).add_(0.125)
        x = x @ self.w
        x = -F.leaky_relu(x, negative_slope=0.1)
        x = F.softplus(x, 2.0, 20.0)
        x = self.fc2(x) / self.temperature
        return torch.sigmoid(x).squeeze(-1)


class Listed(nn.Module):
    """A loop over a ModuleList, weights that are used twice, and methods of tensors."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.hidden = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.hidden.append(self.hidden[0])
        self.act = nn.SiLU()

    def forward(self, x):
        x = self.act(self.first(torch.flatten(x, 1)))
        for layer in self.hidden:
            x = self.act(layer(x)).clamp(min=0)
        return x.softmax(dim=1)


class Trained(nn.Module):
    """As Lightning has it: a network inside, and methods that are none of the network's."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
        self.loss = nn.CrossEntropyLoss()

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, _):
        return self.loss(self(batch[0]), batch[1])


def mlp(*sizes, act=nn.ReLU, last=None, bias=True):
    parts = []
    for k, m in pairwise(sizes):
        parts += [nn.Linear(k, m, bias=bias), act()]
    return nn.Sequential(*parts[:-1], *([] if last is None else [last]))


def lazy():
    net = nn.Sequential(nn.LazyLinear(7), nn.ReLU(), nn.LazyBatchNorm1d(), nn.LazyLinear(2))
    net(torch.randn(4, 5))
    return net


def tied():
    fc = nn.Linear(6, 6)
    act = nn.Tanh()
    return nn.Sequential(fc, act, fc, act, nn.Linear(6, 2))


def parametrized():
    from torch.nn.utils import parametrizations, prune

    net = mlp(9, 9, 9, 4)
    parametrizations.weight_norm(net[0])
    parametrizations.spectral_norm(net[2])
    prune.random_unstructured(net[4], "weight", amount=0.3)
    return net


ZOO = {
    "one layer": lambda: nn.Linear(5, 3),
    "one layer, no bias": lambda: nn.Sequential(nn.Linear(1, 1, bias=False)),
    "mnist": lambda: mlp(784, 50, 100, 10, act=nn.Sigmoid, last=nn.Softmax(dim=1)),
    "odd sizes": lambda: mlp(7, 13, 1, 17, 3, act=nn.Tanh),
    "no bias": lambda: mlp(31, 33, 5, bias=False, last=nn.LogSoftmax(dim=1)),
    "ten layers": lambda: mlp(*[9, 16, 15, 14, 13, 12, 11, 10, 9, 8, 4], act=nn.SELU),
    "wide": lambda: mlp(3, 1025, 2),
    "float16": lambda: mlp(10, 9, 4).half(),
    "bfloat16": lambda: mlp(10, 9, 4, act=nn.GELU).bfloat16(),
    "float64": lambda: mlp(10, 9, 4, act=nn.ELU, last=nn.Softmax(1)).double(),
    "norm before": lambda: nn.Sequential(
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)
    ),
    "norm after": lambda: nn.Sequential(
        nn.Linear(6, 5), nn.ReLU(), nn.BatchNorm1d(5, eps=1e-3), nn.Dropout(), nn.Linear(5, 3)
    ),
    "norm first, last and twice": lambda: nn.Sequential(
        nn.BatchNorm1d(6, affine=False), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.BatchNorm1d(5),
        nn.Sigmoid(), nn.Linear(5, 3), nn.ReLU(), nn.BatchNorm1d(3),
    ),
    "norm, float64": lambda: nn.Sequential(
        nn.BatchNorm1d(6), nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.Linear(5, 3)
    ).double(),
    "activation first": lambda: nn.Sequential(nn.ReLU(), nn.Linear(4, 3)),
    "norm and activation first": lambda: nn.Sequential(
        nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)
    ),
    "activations in a row": lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Softmax(dim=1)),
    "all dropouts": lambda: nn.Sequential(
        nn.Dropout(), nn.Linear(4, 8), nn.AlphaDropout(), nn.ReLU(), nn.FeatureAlphaDropout(),
        nn.Identity(), nn.Linear(8, 2), nn.Flatten(),
    ),
    "nested": lambda: nn.Sequential(
        nn.Flatten(), nn.Sequential(nn.Sequential(nn.Linear(6, 5)), nn.ReLU()), Block(5, 4),
        nn.Sequential(), nn.Linear(4, 3),
    ),
    "lazy": lazy,
    "tied": tied,
    "parametrized": parametrized,
    "data parallel": lambda: nn.DataParallel(mlp(4, 3, 2)),
    "compiled": lambda: torch.compile(mlp(4, 3, 2)),
    "compiled inside": lambda: nn.Sequential(torch.compile(Block(4, 3)), nn.Linear(3, 2)),
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(mlp(4, 3, 2)),
    "blocks": lambda: nn.Sequential(Block(5, 9), Block(9, 9), nn.Linear(9, 2)),
    "digits": Digits,
    "arithmetic": Arithmetic,
    "listed": Listed,
    "trained": Trained,
    "graph module": lambda: torch.fx.symbolic_trace(Listed()),
} | {
    f"activation {name}": lambda act=act: nn.Sequential(nn.Linear(9, 8), act)
    for name, act in ACTIVATIONS.items()
}  # fmt: skip

FEATURES = {"digits": 12, "arithmetic": 3, "listed": 6, "trained": 6, "graph module": 6,
            "lazy": 5, "blocks": 5, "compiled inside": 4, "nested": 6}  # fmt: skip


def made(name):
    """Return a network of the zoo, with the statistics and weights of one that has learned."""
    torch.manual_seed(sum(map(ord, name)))
    module = ZOO[name]()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.3, 3)
            if part.affine:
                nn.init.normal_(part.weight)
                nn.init.normal_(part.bias)
    return module


def features(name, module):
    linear = next(m for m in module.modules() if isinstance(m, (nn.Linear, nn.BatchNorm1d)))
    found = getattr(linear, "in_features", None) or linear.num_features
    return FEATURES.get(name, found)


# The steepest slope of each activation, and 1 for all the others; of softmax, the largest change of
# an output where no input changes by more than 1.
_STEEP = {"selu": 1.76, "gelu": 1.13, "gelu_tanh": 1.13, "silu": 1.1, "mish": 1.09,
          "hard_swish": 1.5, "sigmoid": 0.25, "softmax": 0.5, "log_softmax": 2.0}  # fmt: skip


def error_bound(net, x):
    """Return how far net(x) may be from the exact network's outputs.

    A sum of K products and a bias has an error of at most (K + 1) u (|x| @ |w| + |b|), u half the
    distance from 1 to the next number; then come the rounding of a folded weight and bias, and
    the error that the inputs bring along. An activation adds a few ULP of its result.
    """
    u = np.finfo(net.dtype).eps / 2
    front = [layer for layer in net.layers if not hasattr(layer, "weights")]
    a = np.asarray(x, np.float64)
    for layer in front:
        if hasattr(layer, "mean"):
            a = (a - layer.mean) / layer.std
        else:
            a = a * layer.scale + layer.offset
    error = 4 * u * np.abs(a)
    for layer, step in zip(net.layers[len(front) :], net.trace(x), strict=True):
        w = np.abs(layer.weights.astype(np.float64))
        b = 0 if layer.bias is None else np.abs(layer.bias.astype(np.float64))
        k = layer.in_features
        error = error @ w + (k + 4) * u * (np.abs(a) @ w + b)
        slope = max(_STEEP.get(layer.activation, 1.0), abs(layer.alpha or 0))
        if layer.activation in ("softmax", "log_softmax"):
            error = np.broadcast_to(error.max(-1, keepdims=True), error.shape)
        # PyTorch's softplus is x from 20 on, which in double is not the same.
        threshold = 2.1e-9 if layer.activation == "softplus" else 0.0
        a = np.abs(step.activation.astype(np.float64))
        error = slope * error + 8 * u * np.maximum(a, np.finfo(net.dtype).tiny) + threshold
        if layer.activation in ("gelu", "gelu_tanh", "silu", "mish"):
            error = error + 4 * u  # where the result is much smaller than its factor
    return error
