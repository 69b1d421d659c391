"""Ten steps of every optimizer against its formulas in NumPy and against PyTorch; its state."""

from __future__ import annotations

import copy
import itertools
import pickle
import re

import numpy as np
import pytest

import nncore

STEPS, N, K, M = 10, 12, 6, 3

# Of each optimizer, settings that take every branch of its formula.
SETTINGS = [
    (nncore.SGD, {}),
    (nncore.SGD, {"momentum": 0.9}),
    (nncore.SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.02}),
    (nncore.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    (nncore.AdaGrad, {}),
    (nncore.AdaGrad, {"lr_decay": 0.1, "weight_decay": 0.02, "eps": 1e-6}),
    (nncore.RMSProp, {}),
    (nncore.RMSProp, {"alpha": 0.8, "momentum": 0.7, "weight_decay": 0.02, "eps": 1e-6}),
    (nncore.Adam, {}),
    (nncore.Adam, {"beta1": 0.8, "beta2": 0.95, "eps": 1e-5, "weight_decay": 0.02}),
    (nncore.AdamW, {}),
    (nncore.AdamW, {"beta1": 0.8, "beta2": 0.95, "eps": 1e-5, "weight_decay": 0.1}),
]
CLIPS = [{}, {"clip_norm": 0.05}, {"clip_value": 0.01}]
IDS = [f"{cls.__name__}-{'-'.join(settings) or 'default'}" for cls, settings in SETTINGS]
RATE = 0.05


def make_net(dtype="float64", sizes=(K, 5, M)):
    layers = [
        nncore.Dense(k, m, "tanh" if i < len(sizes) - 2 else "softmax")
        for i, (k, m) in enumerate(itertools.pairwise(sizes))
    ]
    return nncore.Network(layers, seed=3, dtype=dtype)


def make_data():
    random = np.random.default_rng(4)
    return random.normal(size=(N, K)), random.integers(0, M, N)


def parameters(net):
    return [np.array(a) for layer in net.layers for a in (layer.weights, layer.bias)]


def run(optimizer, dtype="float64", epochs=STEPS, net=None):
    """Steps with all samples at once, so that the order does not matter."""
    net = net or make_net(dtype)
    x, t = make_data()
    net.fit(x, t, epochs=epochs, batch_size=N, optimizer=optimizer, shuffle=False)
    return net


def formula(cls, o, rate, w, g, s, step):
    """One step as PyTorch's documentation writes it; `s` is a dict of the state of w."""
    if cls is not nncore.AdamW:
        g = g + o.weight_decay * w
    if cls is nncore.SGD:
        if o.momentum:
            first = "b" not in s
            s["b"] = g if first else o.momentum * s["b"] + (1 - o.dampening) * g
            g = g + o.momentum * s["b"] if o.nesterov else s["b"]
        return w - rate * g
    if cls is nncore.AdaGrad:
        s["sum"] = s.get("sum", 0) + g * g
        return w - rate / (1 + step * o.lr_decay) * g / (np.sqrt(s["sum"]) + o.eps)
    if cls is nncore.RMSProp:
        s["v"] = o.alpha * s.get("v", 0) + (1 - o.alpha) * g * g
        s["b"] = o.momentum * s.get("b", 0) + g / (np.sqrt(s["v"]) + o.eps)
        return w - rate * s["b"]
    if cls is nncore.AdamW:
        w = w - rate * o.weight_decay * w
    s["m"] = o.beta1 * s.get("m", 0) + (1 - o.beta1) * g
    s["v"] = o.beta2 * s.get("v", 0) + (1 - o.beta2) * g * g
    m = s["m"] / (1 - o.beta1 ** (step + 1))
    v = s["v"] / (1 - o.beta2 ** (step + 1))
    return w - rate * m / (np.sqrt(v) + o.eps)


def by_formula(optimizer, rates):
    net = make_net()
    x, t = make_data()
    states = [{} for _ in parameters(net)]
    for step, rate in enumerate(rates):
        gradients = [a for pair in net.gradients(x, t)[1] for a in pair]
        if optimizer.clip_value is not None:
            gradients = [np.clip(g, -optimizer.clip_value, optimizer.clip_value) for g in gradients]
        if optimizer.clip_norm is not None:
            norm = np.sqrt(sum((g * g).sum() for g in gradients))
            gradients = [g * min(1, optimizer.clip_norm / (norm + 1e-6)) for g in gradients]
        new = [
            formula(type(optimizer), optimizer, rate, *each, step)
            for each in zip(parameters(net), gradients, states, strict=True)
        ]
        for i, layer in enumerate(net.layers):
            layer.set_weights(new[2 * i], new[2 * i + 1])
    return parameters(net)


@pytest.mark.parametrize("clip", CLIPS, ids=["", "clip_norm", "clip_value"])
@pytest.mark.parametrize(("cls", "settings"), SETTINGS, ids=IDS)
def test_ten_steps_follow_the_formula(cls, settings, clip):
    optimizer = cls(RATE, **settings, **clip)
    net = run(optimizer)
    assert optimizer.steps == STEPS
    for array, expected in zip(parameters(net), by_formula(optimizer, [RATE] * STEPS), strict=True):
        np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-12)


def test_clipping_clips():
    for clip in CLIPS[1:]:
        free, clipped = run(nncore.SGD(RATE)), run(nncore.SGD(RATE, **clip))
        start = parameters(make_net())
        moved = [np.abs(a - b).max() for a, b in zip(parameters(free), start, strict=True)]
        less = [np.abs(a - b).max() for a, b in zip(parameters(clipped), start, strict=True)]
        assert sum(less) < sum(moved) / 2


def test_a_schedule_sets_the_rate_of_each_step():
    schedule = nncore.OneCycle(0.1)
    optimizer = nncore.Adam(schedule)
    expected = by_formula(nncore.Adam(), schedule(np.arange(STEPS), STEPS))
    for array, right in zip(parameters(run(optimizer)), expected, strict=True):
        np.testing.assert_allclose(array, right, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("clip", CLIPS, ids=["", "clip_norm", "clip_value"])
@pytest.mark.parametrize(("cls", "settings"), SETTINGS, ids=IDS)
def test_ten_steps_agree_with_pytorch(cls, settings, clip, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch, to compare with, is not installed")
    net = make_net(dtype)
    x, t = make_data()
    theirs = [torch.tensor(a, requires_grad=True) for a in parameters(net)]
    names = {"SGD": "SGD", "AdaGrad": "Adagrad", "RMSProp": "RMSprop"}
    options = dict(settings)
    if "beta1" in options:
        options["betas"] = (options.pop("beta1"), options.pop("beta2"))
    optimizer = getattr(torch.optim, names.get(cls.__name__, cls.__name__))(
        theirs, lr=RATE, **options
    )
    inputs, labels = torch.tensor(x.astype(dtype)), torch.tensor(t)
    for _ in range(STEPS):
        hidden = (inputs @ theirs[0] + theirs[1]).tanh()
        logits = hidden @ theirs[2] + theirs[3]
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        if "clip_norm" in clip:
            torch.nn.utils.clip_grad_norm_(theirs, clip["clip_norm"])
        if "clip_value" in clip:
            torch.nn.utils.clip_grad_value_(theirs, clip["clip_value"])
        optimizer.step()
    run(cls(RATE, **settings, **clip), dtype, net=net)
    for array, right in zip(parameters(net), theirs, strict=True):
        assert array.dtype == dtype
        assert np.abs(array - right.detach().numpy()).max() <= 1e-5


def test_defaults_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch, to compare with, is not installed")
    names = {"SGD": "SGD", "AdaGrad": "Adagrad", "RMSProp": "RMSprop", "Adam": "Adam",
             "AdamW": "AdamW"}  # fmt: skip
    for ours, theirs in names.items():
        optimizer = getattr(nncore, ours)()
        defaults = getattr(torch.optim, theirs)([torch.zeros(1)]).defaults
        assert optimizer.learning_rate == defaults["lr"]
        for name, value in optimizer.options().items():
            if name == "kind":
                continue
            if name in ("beta1", "beta2"):
                assert value == defaults["betas"][name == "beta2"]
            else:
                assert value == defaults[name], name


@pytest.mark.parametrize(("cls", "settings"), SETTINGS, ids=IDS)
def test_a_second_fit_goes_on_where_the_first_stopped(cls, settings):
    whole = run(cls(RATE, **settings))
    optimizer = cls(RATE, **settings)
    half = run(optimizer, epochs=4)
    assert optimizer.steps == 4
    run(optimizer, epochs=STEPS - 4, net=half)
    assert optimizer.steps == STEPS
    for a, b in zip(parameters(half), parameters(whole), strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_new_optimizer_begins_anew():
    whole, half = run(nncore.Adam(RATE)), run(nncore.Adam(RATE), epochs=4)
    run(nncore.Adam(RATE), epochs=STEPS - 4, net=half)
    assert not np.array_equal(parameters(half)[0], parameters(whole)[0])


def test_a_copy_or_a_pickle_goes_on_too():
    first = nncore.Adam(RATE)
    start = run(first, epochs=4)
    for other in (copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        net = nncore.Network.from_arrays(
            [layer.weights for layer in start.layers], [layer.bias for layer in start.layers],
            ["tanh", "softmax"],
        )  # fmt: skip
        run(other, epochs=STEPS - 4, net=net)
        assert parameters(net)[0].tobytes() == parameters(run(nncore.Adam(RATE)))[0].tobytes()


def test_the_state_of_another_network_is_refused():
    optimizer = nncore.Adam()
    run(optimizer, epochs=1)
    expected = (
        "this Adam has the state of a network of 6-5-3 in float64, expected one of 6-4-3 in "
        "float64: give each network an optimizer of its own"
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        run(optimizer, net=make_net(sizes=(K, 4, M)))
    with pytest.raises(ValueError, match="expected one of 6-5-3 in float32"):
        run(optimizer, dtype="float32")
    run(optimizer, epochs=1)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nncore.Adam(-1e-3), ValueError,
         "learning_rate is -0.001, expected a finite number of at least 0 or a schedule"),
        (lambda: nncore.Adam("fast"), TypeError, "learning_rate is 'fast', expected"),
        (lambda: nncore.Adam(None), TypeError, "learning_rate is None, expected"),
        (lambda: nncore.Adam(beta1=1.0), ValueError,
         "beta1 is 1.0, expected a number from 0 to below 1"),
        (lambda: nncore.Adam(eps=float("nan")), ValueError, "eps is nan, expected"),
        (lambda: nncore.SGD(momentum=-0.1), ValueError, "momentum is -0.1, expected"),
        (lambda: nncore.SGD(nesterov=True), ValueError,
         "momentum is 0 and dampening 0, expected a momentum above 0 and dampening 0"),
        (lambda: nncore.SGD(momentum=0.9, dampening=0.1, nesterov=True), ValueError,
         "momentum is 0.9 and dampening 0.1, expected a momentum above 0 and dampening 0"),
        (lambda: nncore.AdamW(weight_decay=float("inf")), ValueError, "weight_decay is inf"),
        (lambda: nncore.RMSProp(clip_norm=0.0), ValueError,
         "clip_norm is 0.0, expected a finite number above 0 or None"),
        (lambda: nncore.AdaGrad(clip_value="x"), TypeError, "clip_value is 'x', expected"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_settings_changed_later_are_checked_when_they_are_used():
    optimizer = nncore.Adam()
    optimizer.learning_rate = -1
    with pytest.raises(ValueError, match=r"learning_rate is -1\.0"):
        run(optimizer)


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(TypeError, match=r"optimizer is 'adam', expected an object such as"):
        run("adam")


def test_a_bool_is_no_number_but_for_nesterov():
    assert nncore.SGD(0.1, momentum=0.9, nesterov=True).options()["nesterov"] == 1.0
    for make in (lambda: nncore.Adam(beta1=True), lambda: nncore.SGD(0.1, momentum=True)):
        with pytest.raises(TypeError, match="True"):
            make().options()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cls", [nncore.AdaGrad, nncore.RMSProp, nncore.Adam, nncore.AdamW])
def test_without_eps_what_never_had_a_gradient_stays(cls, dtype):
    """Such are the bias of a layer without one and the room beyond its outputs, kept beside the
    weights; and a pixel that is always 0, for which PyTorch has NaN."""
    x, t = make_data()
    x[:, 2] = 0
    net = nncore.Network([nncore.Dense(K, M, "softmax", bias=False)], seed=3, dtype=dtype)
    before = net.layers[0].weights.copy()
    optimizer = cls(1e-2, eps=0.0, **({"weight_decay": 0.0} if cls is nncore.AdamW else {}))
    net.fit(x, t, epochs=20, optimizer=optimizer)
    after = net.layers[0].weights
    assert np.isfinite(after).all()
    changed = (after != before).any(axis=1)
    assert changed.tolist() == [True, True, False, True, True, True]


@pytest.mark.parametrize("cls", [nncore.AdaGrad, nncore.RMSProp, nncore.Adam, nncore.AdamW])
def test_the_formula_without_eps(cls):
    optimizer = cls(RATE, eps=0.0)
    for array, expected in zip(
        parameters(run(optimizer)), by_formula(optimizer, [RATE] * STEPS), strict=True
    ):
        np.testing.assert_allclose(array, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_that_is_switched_on_begins_as_pytorchs_does(nesterov):
    optimizer = nncore.SGD(RATE)
    net = run(optimizer, epochs=4)
    optimizer.momentum, optimizer.nesterov = 0.9, nesterov
    run(optimizer, epochs=6, net=net)
    assert optimizer.steps == 10
    # A velocity that begins is the gradient: the same as with an SGD that is new.
    expected = run(nncore.SGD(RATE), epochs=4)
    run(nncore.SGD(RATE, momentum=0.9, nesterov=nesterov), epochs=6, net=expected)
    for a, b in zip(parameters(net), parameters(expected), strict=True):
        assert a.tobytes() == b.tobytes()


def test_momentum_that_is_switched_off_is_forgotten():
    optimizer = nncore.SGD(RATE, momentum=0.9, dampening=0.5)
    net = run(optimizer, epochs=4)
    optimizer.momentum = 0.0
    expected = copy.deepcopy(net)
    run(optimizer, epochs=2, net=net)
    run(nncore.SGD(RATE), epochs=2, net=expected)
    assert parameters(net)[0].tobytes() == parameters(expected)[0].tobytes()
    optimizer.momentum = 0.9
    text = "this SGD has taken 6 steps without momentum, and one with dampening begins at the first"
    with pytest.raises(ValueError, match=text):
        run(optimizer, net=net)
    optimizer.dampening = 0.0
    run(optimizer, epochs=2, net=net)
    run(nncore.SGD(RATE, momentum=0.9), epochs=2, net=expected)
    assert parameters(net)[0].tobytes() == parameters(expected)[0].tobytes()


def test_rmsprops_momentum_may_come_and_go_while_its_squares_stay():
    def formulas(momenta):
        net, (x, t) = make_net(), make_data()
        states = [{} for _ in parameters(net)]
        for step, momentum in enumerate(momenta):
            gradients = [a for pair in net.gradients(x, t)[1] for a in pair]
            new = [
                formula(nncore.RMSProp, nncore.RMSProp(momentum=momentum), RATE, *each, step)
                for each in zip(parameters(net), gradients, states, strict=True)
            ]
            if not momentum:
                for state in states:
                    del state["b"]
            for i, layer in enumerate(net.layers):
                layer.set_weights(new[2 * i], new[2 * i + 1])
        return parameters(net)

    optimizer, net = nncore.RMSProp(RATE), make_net()
    for momentum in (0.0, 0.5, 0.0, 0.5):
        optimizer.momentum = momentum
        run(optimizer, epochs=2, net=net)
    expected = formulas([0, 0, 0.5, 0.5, 0, 0, 0.5, 0.5])
    for array, right in zip(parameters(net), expected, strict=True):
        np.testing.assert_allclose(array, right, rtol=1e-10, atol=1e-12)


def test_the_optimizers_are_those_of_the_kernels():
    from nncore import _table, optimizers

    rows = _table.optimizer_rows()
    assert list(optimizers.OPTIMIZERS) == [name for name, *_ in rows]
    for name, states, momentum_states, settings in rows:
        optimizer = optimizers.OPTIMIZERS[name]()
        assert all(hasattr(optimizer, setting) for setting in settings)
        assert optimizer.state_arrays == states
        optimizer.momentum = 0.5
        assert optimizer.state_arrays == states + momentum_states


def test_an_optimizer_that_the_kernels_do_not_know_is_refused():
    class Newton(nncore.SGD):
        kind = "newton"

    with pytest.raises(ValueError, match="kind is 'newton', expected one of sgd, adagrad, "):
        Newton(0.1)
    optimizer = nncore.SGD(0.1)
    optimizer.kind = "newton"
    with pytest.raises(ValueError, match="kind is 'newton', expected one of sgd, adagrad, "):
        make_net().fit(np.zeros((4, K)), np.zeros((4, M)), optimizer=optimizer)
