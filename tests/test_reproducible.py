"""The same seed, the same weights: whatever the threads, instruction set, process and pauses."""

from __future__ import annotations

import functools
import hashlib

import numpy as np
import pytest
from helpers import run_python

import nncore
from nncore.fit import loop
from nncore.fit.loop import Fit, Position
from nncore.fit.methods import with_defaults
from nncore.fit.settings import Settings
from nncore.fit.trainer import shapes_of

# Of `short_run`, whose data nncore draws itself. It changes when training changes a bit: say so in
# the changelog then.
PINNED = "2b9f0a95ead5e844d9df46bfa5436004cd295d92d19365d642d942c6fb7353b1"


def digest(net):
    whole = hashlib.sha256()
    for layer in net.layers:
        if isinstance(layer, nncore.Dense):
            for array in (layer.weights, layer.bias):
                if array is not None:
                    whole.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return whole.hexdigest()


def make_net(dtype="float32", activation="relu", last="softmax", first=None):
    return nncore.Network(
        [
            first or nncore.Rescaling(1 / 255),
            nncore.Dense(784, 50, activation),
            nncore.Dense(50, 33, activation, init="orthogonal"),
            nncore.Dense(33, 10, last),
        ],
        seed=5,
        dtype=dtype,
    )


@functools.cache
def make_data(n=500):
    x, t = nncore.datasets.make_digits(n, seed=6)
    return np.asarray(x), np.asarray(t)


def short_run(dtype="float32"):
    """Most of what training does: float32, ReLU, Adam, a schedule, shuffled batches."""
    net = make_net(dtype)
    x, t = make_data()
    net.fit(x, t, epochs=3, batch_size=64, optimizer=nncore.Adam(nncore.OneCycle(1e-2)), seed=7)
    return net


# Between them all optimizers, losses, activations and options.
RUNS = [
    {"activation": "sigmoid", "optimizer": lambda: nncore.SGD(0.5, momentum=0.9, nesterov=True)},
    {"activation": "relu", "optimizer": lambda: nncore.SGD(0.1)},
    {"activation": "tanh", "optimizer": lambda: nncore.AdaGrad(0.02), "dropout": 0.3},
    {"activation": "gelu", "optimizer": lambda: nncore.RMSProp(1e-3, momentum=0.5)},
    {"activation": "silu", "optimizer": lambda: nncore.AdamW(1e-3, clip_norm=0.5)},
    {"activation": "elu", "optimizer": lambda: nncore.Adam(1e-3, clip_value=0.01)},
    {"activation": "softplus", "optimizer": lambda: nncore.Adam(nncore.Cosine(1e-3)),
     "label_smoothing": 0.1},
    {"activation": "leaky_relu", "last": "sigmoid", "optimizer": nncore.Adam},
    {"activation": "relu", "last": "identity", "loss": "huber", "optimizer": nncore.Adam},
    {"activation": "relu", "last": "tanh", "loss": "mae", "optimizer": nncore.Adam},
    {"activation": "relu", "last": "identity", "optimizer": nncore.Adam, "weights": True},
    {"activation": "relu", "optimizer": nncore.Adam, "augment": True},
    {"activation": "relu", "optimizer": nncore.Adam,
     "first": nncore.Normalization(np.linspace(0, 99, 784), np.linspace(50, 150, 784))},
]  # fmt: skip


def make_run(i, dtype="float32"):
    """Network, samples, targets and options of RUNS[i]."""
    options = dict(RUNS[i])
    last = options.pop("last", "softmax")
    net = make_net(dtype, options.pop("activation"), last, options.pop("first", None))
    x, t = make_data(210)
    targets = t if last == "softmax" else np.eye(10)[t]
    options |= {"optimizer": options.pop("optimizer")(), "epochs": 2, "batch_size": 32, "seed": 7}
    if options.pop("weights", False):
        options["sample_weight"] = 0.5 + t
    if options.pop("augment", False):
        options["augment"] = nncore.Augment()
    return net, x, targets, options


def all_runs():
    """A line for each run: what a process prints to be compared."""
    lines = []
    for dtype in ("float32", "float64"):
        lines.append(digest(short_run(dtype)))
        for i in range(len(RUNS)):
            # Threads share the samples of a batch, or the outputs of each layer if there are few.
            for batch_size in (32, (5, 8, 16)[i % 3]):
                net, x, t, options = make_run(i, dtype)
                options["batch_size"] = batch_size
                history = net.fit(x, t, **options)
                lines.append(f"{dtype} {i} {digest(net)} {history.loss}")
    return "\n".join(lines)


CODE = "import nncore, test_reproducible as t; print(nncore.info()['instruction_set']); " \
    "print(t.all_runs())"  # fmt: skip


@pytest.fixture(scope="module")
def here():
    return all_runs()


def test_a_short_run_has_the_pinned_weights():
    assert digest(short_run()) == PINNED


def test_runs_differ_from_one_another(here):
    digests = [line.split()[2] for line in here.splitlines() if line.startswith("float")]
    assert len(set(digests)) == 4 * len(RUNS)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_number_of_threads_does_not_show(count, here):
    process = run_python(CODE, NNCORE_PARALLEL_MIN="0", NNCORE_NUM_THREADS=str(count))
    assert process.stdout.strip().split("\n", 1)[1] == here


def test_the_instruction_set_does_not_show(instruction_set, here):
    process = run_python(CODE, NNCORE_ISA=instruction_set, NNCORE_PARALLEL_MIN="0",
                         NNCORE_NUM_THREADS="2")  # fmt: skip
    name, rest = process.stdout.strip().split("\n", 1)
    assert name == instruction_set
    assert rest == here


class Stop(Exception):
    pass


@pytest.mark.parametrize("stop_at", [(1, 1), (1, 4), (1, 7), (2, 1), (2, 7)])
@pytest.mark.parametrize("i", range(len(RUNS)))
def test_a_pause_does_not_show(i, stop_at, monkeypatch):
    """Stopped after a batch, everything made anew from the state that was reached, gone on with."""
    net, x, t, options = make_run(i)
    history = net.fit(x, t, **options)

    monkeypatch.setattr(loop, "_CALL_SECONDS", 0.0)
    monkeypatch.setattr(loop, "_FIRST_CALL_BATCHES", 1)
    half, x, t, options = make_run(i)

    def stop(progress):
        if (progress.epoch, progress.batch) == stop_at:
            raise Stop

    first = Fit(Settings(half, with_defaults(x=x, t=t, progress=stop, **options)))
    with pytest.raises(Stop):
        first.run()
    assert options["optimizer"].steps == (stop_at[0] - 1) * 7 + stop_at[1]

    monkeypatch.undo()
    again, x, t, later = make_run(i)
    for layer, reached in zip(again.layers[1:], half.layers[1:], strict=True):
        layer.set_weights(reached.weights, reached.bias)
    later["optimizer"].keep_state(options["optimizer"]._state, shapes_of(again), again.dtype)
    second = Fit(
        Settings(again, with_defaults(x=x, t=t, **later)), Position(*first.position), first.history
    )
    second.run()
    assert digest(again) == digest(net)
    assert second.history.loss == history.loss
    assert second.history.accuracy == history.accuracy
