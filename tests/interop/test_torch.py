"""Modules of PyTorch as networks: their outputs against PyTorch's own in double, and refusals."""

from __future__ import annotations

import copy
import re
from unittest import mock

import numpy as np
import pytest

import nncore

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from interop.torch_zoo import ZOO, Block, Digits, error_bound, features, made, mlp  # noqa: E402

nn, F = torch.nn, torch.nn.functional


def samples(name, module, n=200):
    x = np.random.default_rng(3).standard_normal((n, features(name, module))) * 2
    if name == "digits":
        x = np.random.default_rng(3).integers(0, 256, (n, 12))
    return x.astype(np.float64 if "float64" in name else np.float32)


def truth(module, x):
    """The module's outputs for x, computed by PyTorch in double and as for inference."""
    double = copy.deepcopy(getattr(module, "_orig_mod", module)).eval().double()
    for part in double.modules():
        for name, value in vars(part).items():  # plain tensors, which .double() does not reach
            if isinstance(value, torch.Tensor):
                setattr(part, name, value.double())
    # A forward() may ask for float32, and compiling would only take time.
    with torch.no_grad(), mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        torch.compiler.set_stance("force_eager")
        y = double(torch.tensor(x, dtype=torch.float64)).numpy()
        torch.compiler.set_stance("default")
    return y.reshape(len(x), -1)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::UserWarning:torch")
def test_the_zoo(name):
    module = made(name)
    net = nncore.from_torch(module)
    x = samples(name, module)
    wanted, bound = truth(module, x), error_bound(net, x)
    y = net(x)
    assert net.dtype == ("float64" if "float64" in name else "float32")
    assert y.shape == wanted.shape
    difference = np.abs(y - wanted)
    assert (difference <= bound).all(), (difference / bound).max()
    assert bound.max() < (0.5 if name == "ten layers" else 1e-2) * max(1, np.abs(wanted).max()), (
        "a bound that says something"
    )
    if wanted.shape[1] > 1:
        order = np.sort(wanted, axis=1)
        clear = order[:, -1] - order[:, -2] > 2 * bound.max(1)
        np.testing.assert_array_equal(y.argmax(1)[clear], wanted.argmax(1)[clear])
        assert clear.mean() > 0.9 or "relu" in repr(net) or "clip" in repr(net)


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::UserWarning:torch")
def test_the_module_is_left_as_it_was(name):
    module = made(name)
    module.train()
    list(module.modules())[-1].eval()
    modes = [part.training for part in module.modules()]
    attributes = [set(vars(part)) for part in module.modules()]
    state = copy.deepcopy(module.state_dict())
    nncore.from_torch(module)
    assert [part.training for part in module.modules()] == modes
    assert [set(vars(part)) for part in module.modules()] == attributes
    for key, value in module.state_dict().items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::UserWarning:torch")
def test_back_to_pytorch(name):
    module = made(name)
    net = nncore.from_torch(module)
    x = samples(name, module)
    back = net.to_torch()
    assert not back.training
    with torch.no_grad():
        y = back(torch.tensor(x.astype(net.dtype))).numpy()
    assert (np.abs(y - net(x)) <= 2 * error_bound(net, x)).all()
    again = nncore.from_torch(back)
    same_network(nncore.from_torch(net.to_state_dict()), net)
    if isinstance(net.layers[0], nncore.Dense):
        same_network(again, net)


def same_network(a, b):
    assert a.dtype == b.dtype
    assert repr(a) == repr(b)
    for one, other in zip(a.layers, b.layers, strict=True):
        for name in ("weights", "bias", "mean", "std", "scale", "offset"):
            x, y = getattr(one, name, None), getattr(other, name, None)
            assert (x is None) == (y is None)
            assert x is None or np.asarray(x).tobytes() == np.asarray(y).tobytes(), name


def test_weights_keep_their_bits():
    module = mlp(5, 4, 3)
    first, last = nncore.from_torch(module).layers
    np.testing.assert_array_equal(first.weights, module[0].weight.detach().numpy().T)
    np.testing.assert_array_equal(last.bias, module[2].bias.detach().numpy())
    half = mlp(5, 4, 3).bfloat16()
    with torch.no_grad():
        half[0].weight[0, :2] = torch.tensor([1e30, -1e-30])  # further than float16 reaches
    first, _ = nncore.from_torch(half).layers
    np.testing.assert_array_equal(first.weights, half[0].weight.detach().float().numpy().T)


def test_the_weights_are_copied():
    module = mlp(5, 4, 3)
    net = nncore.from_torch(module)
    before = net.layers[0].weights.copy()
    with torch.no_grad():
        module[0].weight.zero_()
    np.testing.assert_array_equal(net.layers[0].weights, before)
    state = net.to_state_dict()
    for tensor in [*state.values(), *net.to_torch().state_dict().values()]:
        with torch.no_grad():
            tensor.zero_()
    np.testing.assert_array_equal(net.layers[0].weights, before)


def test_norms_are_folded_and_front_norms_are_not():
    module = made("norm first, last and twice")
    layers = nncore.from_torch(module).layers
    assert [type(layer).__name__ for layer in layers] == [
        "Normalization",
        "Dense",
        "Dense",
        "Dense",
    ]
    assert [type(layer) for layer in nncore.from_torch(made("norm before")).layers] == [
        nncore.Dense,
        nncore.Dense,
    ]


def test_features_far_from_zero_keep_their_differences():
    module = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    module[0].running_mean.fill_(1e6)
    module[0].running_var.fill_(1e-2)
    net = nncore.from_torch(module)
    x = np.array([[1e6], [1e6 + 0.125]], np.float32)
    np.testing.assert_allclose(net(x), truth(module, x), rtol=1e-6)


def test_the_old_weight_norm_is_computed_anew():
    module = mlp(4, 3, 2)
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(module[0])
    with torch.no_grad():
        module[0].weight_g.mul_(3)
    x = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(nncore.from_torch(module)(x), truth(module, x), rtol=1e-5)


def test_pixels_are_rescaled_at_the_front():
    net = nncore.from_torch(Digits())
    front = net.layers[0]
    assert isinstance(front, nncore.Rescaling)
    assert front.scale == pytest.approx(2 / 255)
    assert front.offset == -1


class Own(nn.Module):
    """A module whose forward is what a test gives it."""

    def __init__(self, forward):
        super().__init__()
        self.fc1, self.fc2, self.one = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)
        self.norm, self.relu = nn.BatchNorm1d(4), nn.ReLU()
        self.given = forward

    def forward(self, x):
        return self.given(self, x)


FORWARDS = {
    "residual": (lambda s, x: s.fc1(x) + x, "'add' (add) in the forward() of the module (Own)"),
    "two branches": (lambda s, x: s.fc1(x) * s.fc2(x), "'fc2' (fc2) in the forward() of"),
    "skipped": (lambda s, x: (s.fc1(x), s.fc2(x))[1], "'fc2' (fc2) in the forward()"),
    "two outputs": (lambda s, x: (s.fc1(x), 1), "returns something else than the result"),
    "a constant": (lambda s, x: torch.ones(3), "returns something else than the result"),
    "control flow": (lambda s, x: x if x.sum() > 0 else -x, "forward() cannot be traced"),
    "sine": (lambda s, x: torch.sin(s.fc1(x)), "'sin' (sin) in the forward() of"),
    "cumsum": (lambda s, x: s.fc1(x).cumsum(1), "'cumsum' (x.cumsum()) in the forward()"),
    "power": (lambda s, x: s.fc1(x) ** 2, "'pow_1' (pow)"),
    "other way": (lambda s, x: 1 / s.fc1(x), "divides by x or by 0"),
    "zero": (lambda s, x: s.fc1(x) / 0, "divides by x or by 0"),
    "alpha": (lambda s, x: torch.add(s.fc1(x), 1, alpha=2), "has the argument 'alpha'"),
    "rounded": (lambda s, x: torch.div(x, 2, rounding_mode="floor"), "argument 'rounding_mode'"),
    "matrix": (lambda s, x: s.fc1(x) + torch.ones(4, 4), "has a tensor (4, 4) beside x"),
    "half": (lambda s, x: s.fc1(x).half(), "'half' (x.half())"),
    "to half": (lambda s, x: s.fc1(x).to(torch.float16), "'to' (x.to())"),
    "integers": (lambda s, x: s.fc1(x).to(torch.int32), "'to' (x.to())"),
    "dropout": (lambda s, x: F.dropout(s.fc1(x), 0.5), "expected training=self.training"),
    "samples mixed": (lambda s, x: s.fc1(x).flatten(), "makes another shape than (n, features)"),
    "view": (lambda s, x: s.fc1(x).view(-1, 2), "makes another shape than (n, features)"),
    "shape": (lambda s, x: s.fc1(x).view(x.shape[1], -1), "'view' (x.view())"),
    "transposed": (lambda s, x: s.fc1(x).t(), "'t' (x.t())"),
    "squeezed": (lambda s, x: s.fc1(x).squeeze(), "expected it of a single output only"),
    "squeezed early": (lambda s, x: s.relu(s.one(x).squeeze(1)),
                       "in the forward() of the module (Own) follows 'squeeze'"),
    "samples": (lambda s, x: F.softmax(s.fc1(x), dim=0), "has dim 0, expected 1 or -1"),
    "one bound": (lambda s, x: s.fc1(x).clamp(max=1), "has low None, expected a number"),
    "sizes": (lambda s, x: s.fc1(x).view(x.shape[0], x.shape[1] * 1), "'view' (x.view())"),
    "threshold": (lambda s, x: F.softplus(s.fc1(x), 1, 3), "has threshold 3, expected 20 or more"),
    "noise": (lambda s, x: s.fc1(x) + torch.randn_like(x), "'randn_like' (randn_like)"),
    "noise beside": (lambda s, x: s.fc1(x) + torch.randn(4), "draws random numbers"),
    "rounded softmax": (lambda s, x: F.softmax(s.fc1(x), 1, dtype=torch.float16), "'dtype'"),
    "no layer": (lambda s, x: x * 2, "the model has no dense layer"),
    "two norms": (lambda s, x: F.layer_norm(s.fc1(x), (4,)), "(layer_norm)"),
    "prelu": (lambda s, x: F.prelu(s.fc1(x), torch.ones(4)), "has 4 parameters, expected one"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORWARDS)
def test_a_forward_that_is_no_chain(name):
    forward, text = FORWARDS[name]
    with pytest.raises(ValueError, match=re.escape(text)):
        nncore.from_torch(Own(forward))


def unpacked(module, x):
    n, _ = x.shape
    return module.fc1(x.view(n, -1))


@pytest.mark.parametrize(
    "forward",
    [
        lambda s, x: s.fc1(x.reshape((x.shape[0], -1))).to("cpu").contiguous(),
        lambda s, x: s.relu(input=s.fc1(x)) if False else F.relu(input=s.fc1(x)),
        lambda s, x: torch.nn.functional.gelu(s.fc1(x), approximate="tanh"),
        lambda s, x: s.fc2(s.fc1(x).relu_().mul_(0.5).sub(1.0).div(3)),
        lambda s, x: (2 + s.norm(s.fc1(x)).tanh()).sigmoid(),
        lambda s, x: torch.hardshrink(s.fc1(x)) if s.training else s.fc1(x),
        lambda s, x: s.fc1(x) * torch.tensor([1.0, 0.0, -2.0, 3.0]),
        lambda s, x: s.fc1(x * torch.tensor([1.0, 0.5, -2.0, 3.0])),
        lambda s, x: 3 - s.fc1(x),
        unpacked,
        lambda s, x: s.fc1(x).clamp_min(0),
        lambda s, x: torch.mul(input=s.fc1(x), other=3),
        lambda s, x: torch.tensor([1.0, 2.0, 3.0, 4.0]) - s.fc1(x),
        lambda s, x: F.elu(s.fc1(x), 0.5, True),
        lambda s, x: F.log_softmax(F.celu(s.fc1(x), alpha=2.0), -1, dtype=torch.float32),
    ],
)
def test_a_forward_that_is_a_chain(forward):
    torch.manual_seed(0)
    module = Own(forward)
    module.norm.running_mean.normal_()
    x = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    net = nncore.from_torch(module)
    assert module.training
    module.given = lambda s, x: forward(s, x).double()
    with torch.no_grad():
        wanted = module.eval()(torch.tensor(x)).numpy()
    assert (np.abs(net(x) - wanted) <= 2 * error_bound(net, x)).all()


def scripted():
    return torch.jit.script(mlp(4, 3))


def hooked():
    module = mlp(4, 3, 2)
    module[0].register_forward_hook(lambda m, args, y: y * 2)
    return module


def pre_hooked():
    module = mlp(4, 3, 2)
    module.register_forward_pre_hook(lambda m, args: (args[0] * 2,))
    return module


def replaced():
    module = mlp(4, 3, 2)
    module[0].forward = lambda x: x
    return module


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * F.linear(x, self.weight, self.bias)


def test_a_subclass_with_a_forward_of_its_own_is_traced():
    module = nn.Sequential(Doubled(4, 3), nn.ReLU())
    x = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(nncore.from_torch(module)(x), truth(module, x), rtol=1e-6, atol=1e-6)


class Called(nn.Sequential):
    def __call__(self, x):
        return super().__call__(x) + 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3)), "'1' (LayerNorm) of torch.nn"),
        (lambda: nn.Sequential(nn.Sequential(nn.Conv1d(4, 3, 1))), "module '0.0' (Conv1d)"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2))), "'1' (Unflatten)"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Hardshrink()), "module '1' (Hardshrink)"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm2d(4)), "module '1' (BatchNorm2d)"),
        (lambda: nn.LSTM(4, 3), "the module (LSTM)"),
        (lambda: nn.ModuleList([nn.Linear(4, 3)]), "the module (ModuleList)"),
        (lambda: nn.Sequential(nn.Linear(4, 3), Block(4, 3)), "module '1.fc' (Linear) takes 4"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)),
         "module '1' (BatchNorm1d) has track_running_stats=False"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.PReLU(4)), "module '1' (PReLU) has 4"),
        (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(4, 4)), "flattens dimensions 0 to -1"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(dim=0)), "has dim 0, expected 1 or -1"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(1), nn.Linear(4, 2)),
         "module '1' (Softmax): softmax stands before the end"),
        (lambda: nn.Sequential(nn.Linear(4, 4), nn.Softplus(1, 5)), "has threshold 5"),
        (lambda: nn.Sequential(nn.LazyLinear(4)), "module '0' (LazyLinear) is not initialised yet"),
        (hooked, "module '0' (Linear) has a forward hook"),
        (pre_hooked, "the module (Sequential) has a forward hook"),
        (replaced, "module '0' (Linear) has a forward() of its own"),
        (lambda: Called(nn.Linear(4, 3)), "the module (Called) has a __call__() of its own"),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.CELU(-0.5)), "has alpha -0.5, expected"),
        (lambda: nn.Sequential(nn.Linear(4, 3), nn.CELU(0.0)), "has alpha 0.0, expected"),
        (scripted, "RecursiveScriptModule"),
        (lambda: torch.ao.nn.quantized.Linear(4, 3), "(Linear) of torch.ao.nn.quantized"),
        (lambda: nn.Linear(4, 3, device="meta"), "is a tensor that is empty"),
        (lambda: nn.Linear(4, 3, dtype=torch.complex64), "expected floating-point numbers"),
        (lambda: nn.ReLU(), "the model has no dense layer"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::UserWarning:torch")
def test_refused_modules(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        nncore.from_torch(make())


def test_wrong_arguments():
    with pytest.raises(ValueError, match="activations= is for a state_dict"):
        nncore.from_torch(mlp(2, 2), ["relu"])
    with pytest.raises(TypeError, match=r"type str, expected .*: a file is read by nncore.load"):
        nncore.from_torch("net.pt")


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nncore.Dense(2, 2, "step"), "layer 1 is Dense(2, 2, step), and PyTorch has no module"),
        (nncore.Dense(2, 2, "hard_sigmoid", alpha=0.2), "has no module for this activation"),
        (nncore.Dense(2, 2, "clip", alpha=1, beta=1), "has no module for this activation"),
        (nncore.Dense(2, 2, np.tanh), "has no module for this activation"),
    ],
)
def test_activations_that_pytorch_has_not(layer, text):
    net = nncore.Network([layer], seed=0)
    with pytest.raises(ValueError, match=re.escape(text)):
        net.to_torch()
    assert list(net.to_state_dict()) == ["0.weight", "0.bias"]


@pytest.mark.parametrize("std", [1e30, 1e-30])
def test_a_scale_that_no_batch_norm_can_have(std):
    net = nncore.Network([nncore.Normalization([0.0], [std]), nncore.Dense(1, 1)], seed=0)
    with pytest.raises(ValueError, match="too large or too small"):
        net.to_torch()


def test_making_a_module_draws_no_random_numbers():
    net = nncore.Network([nncore.Dense(3, 2, "relu")], seed=0)
    before = torch.get_rng_state()
    net.to_torch()
    assert torch.equal(torch.get_rng_state(), before)


def test_tensors_as_samples():
    net = nncore.Network([nncore.Dense(4, 2)], seed=0)
    x = torch.randn(3, 4)
    np.testing.assert_array_equal(net(x), net(x.numpy()))
    for odd, text in ((x.requires_grad_(), "x.detach()"), (x.detach().bfloat16(), "BFloat16")):
        for use in (net, net.predict, nncore.relu):
            with pytest.raises(TypeError, match=re.escape(text)):
                use(odd)
