"""The peers of training.py: each builds a network and runs one epoch at a time.

Started as `python -m benchmarks.trainers PEER NET THREADS`; reads `epoch` or `accuracy` from
standard input and answers with one line of JSON. A trainer is `make(net, x, t, weights, threads)`,
which returns a `Trainer`; only its `epoch` is timed.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from . import data, nets

RATE = 1e-3


class Trainer(NamedTuple):
    """`epoch(prepare(i, order))` is epoch i, all work done; `predict(x)` gives labels."""

    prepare: Callable[[int, np.ndarray], Any]
    epoch: Callable[[Any], None]
    predict: Callable[[np.ndarray], np.ndarray]


class Net(NamedTuple):
    """Layer sizes, ReLU between them and softmax at the end, and the size of a mini-batch."""

    sizes: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, batch {self.batch}"


def nncore(net: Net, x: np.ndarray, t: np.ndarray, weights: list[Any], threads: int) -> Trainer:
    """`Network.fit`, an epoch a call; the optimiser goes on. It makes the order itself, timed."""
    import nncore

    nncore.set_num_threads(threads)
    biases = [np.zeros(w.shape[1], np.float32) for w in weights]
    activations = ["relu"] * (len(weights) - 1) + ["softmax"]
    model = nncore.Network.from_arrays(weights, biases, activations)
    optimizer = nncore.Adam(RATE)

    def epoch(seed: int) -> None:
        model.fit(x, t, epochs=1, batch_size=net.batch, optimizer=optimizer, seed=seed)

    return Trainer(lambda i, order: i, epoch, model.predict)


def jax(net: Net, x: np.ndarray, t: np.ndarray, weights: list[Any], threads: int) -> Trainer:
    """The whole epoch is one jitted `lax.scan`; Adam written out; state donated.

    XLA knows its threads from the environment alone, like scikit-learn's BLAS (workers.py).
    """
    import jax
    import jax.numpy as jnp

    params = [(jnp.asarray(w), jnp.zeros(w.shape[1], jnp.float32)) for w in weights]
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = [params, zeros, jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32)]
    images, labels = jnp.asarray(x), jnp.asarray(t)

    def logits(params: Any, x: Any) -> Any:
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        return x @ params[-1][0] + params[-1][1]

    def loss(params: Any, x: Any, t: Any) -> Any:
        scores = jax.nn.log_softmax(logits(params, x))
        return -jnp.take_along_axis(scores, t[:, None], 1).mean()

    def run(state: Any, images: Any, labels: Any, order: Any) -> Any:
        def step(state: Any, rows: Any) -> Any:
            params, m, v, count = state
            gradients = jax.grad(loss)(params, images[rows], labels[rows])
            count = count + 1
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
            rate, power = RATE / (1 - 0.9**count), 1 - 0.999**count
            params = jax.tree.map(
                lambda p, m, v: p - rate * m / (jnp.sqrt(v / power) + 1e-8), params, m, v
            )
            return (params, m, v, count), None

        whole = len(order) // net.batch * net.batch
        state, _ = jax.lax.scan(step, state, order[:whole].reshape(-1, net.batch))
        return state if whole == len(order) else step(state, order[whole:])[0]

    compiled = jax.jit(run, donate_argnums=0)

    def epoch(order: Any) -> None:
        state[:] = compiled(tuple(state), images, labels, order)
        jax.block_until_ready(state)

    return Trainer(
        lambda i, order: jnp.asarray(order.astype(np.int32)),
        epoch,
        lambda x: np.asarray(logits(state[0], x)).argmax(1),
    )


def torch(net: Net, x: np.ndarray, t: np.ndarray, weights: list[Any], threads: int) -> Trainer:
    """Eager, `Adam(fused=True)`; batches by indexing with a part of the order."""
    import torch

    torch.set_num_threads(threads)
    modules: list[Any] = []
    for w in weights:
        linear = torch.nn.Linear(*w.shape)
        zeros = torch.zeros(w.shape[1])
        linear.load_state_dict({"weight": torch.from_numpy(w.T.copy()), "bias": zeros})
        modules += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*modules[:-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    loss = torch.nn.functional.cross_entropy
    images, labels = torch.from_numpy(x), torch.from_numpy(t.astype(np.int64))

    def epoch(order: Any) -> None:
        for rows in order.split(net.batch):
            optimizer.zero_grad(set_to_none=True)
            loss(model(images[rows]), labels[rows]).backward()
            optimizer.step()

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(x)).argmax(1))

    return Trainer(lambda i, order: torch.from_numpy(order), epoch, predict)


def sklearn(net: Net, x: np.ndarray, t: np.ndarray, weights: list[Any], threads: int) -> Trainer:
    """`partial_fit` without shuffling: one pass of `fit`'s loop over batches, Adam's state kept.

    Rows are put in order beforehand, untimed. Its first weights are its own, drawn as it likes.
    """
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        net.sizes[1:-1], solver="adam", alpha=0.0, batch_size=net.batch, shuffle=False,
        learning_rate_init=RATE, random_state=0,
    )  # fmt: skip
    classes = np.arange(net.sizes[-1])

    def epoch(rows: tuple[np.ndarray, np.ndarray]) -> None:
        model.partial_fit(*rows, classes=classes)

    return Trainer(lambda i, order: (x[order], t[order]), epoch, model.predict)


MAKERS = {maker.__name__: maker for maker in (nncore, jax, torch, sklearn)}
DISTRIBUTIONS = {"sklearn": "scikit-learn"}


def mnist() -> tuple[np.ndarray, ...] | None:
    """Images (n, 28, 28) and labels of both sets, or None if there is no MNIST."""
    from nncore.datasets.mnist import find_mnist, read_split

    home = find_mnist() if os.environ.get("NNCORE_DATA_HOME") else None
    return None if home is None else (*read_split(home, "train"), *read_split(home, "test"))


def source() -> str:
    return "drawn digits" if mnist() is None else "MNIST"


def load() -> list[np.ndarray]:
    """x, t, test x, test t: images (n, 784) float32, labels (n,) int64."""
    found = mnist()
    if found is None:
        from nncore.datasets import make_digits

        found = (*make_digits(60_000, seed=0), *make_digits(10_000, seed=1))
    x, t, x_test, t_test = found
    x, x_test = (data.as_float32(a.reshape(-1, 784)) for a in (x, x_test))
    return [x, t.astype(np.int64), x_test, t_test.astype(np.int64)]


def order_of(epoch: int, n: int) -> np.ndarray:
    """The order of n samples in an epoch: the one that `Network.fit` makes of this seed."""
    from nncore._random import Random

    return Random([epoch, 0]).permutation(n)


def version_of(name: str) -> str:
    if name == "nncore":  # it may be run from a checkout, without metadata
        import nncore

        return nncore.__version__
    return importlib.metadata.version(DISTRIBUTIONS.get(name, name))


def main() -> None:
    """Serve until standard input ends."""
    name, net, threads = sys.argv[1], Net(*json.loads(sys.argv[2])), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")  # libraries print to standard output
    os.dup2(2, 1)

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        x, t, x_test, t_test = load()
        drawn = nets.draw_weights(nets.Net(tuple(net.sizes), "relu", "softmax"))[0]
        version = version_of(name)
        trainer = MAKERS[name](net, x, t, drawn, threads)
    except (ImportError, importlib.metadata.PackageNotFoundError) as error:
        answer(error=f"{type(error).__name__}: {error}")
        return
    count = 0
    answer(version=version)
    for line in sys.stdin:
        if line.strip() == "epoch":
            prepared = trainer.prepare(count, order_of(count, len(x)))
            count += 1
            began = perf_counter()
            trainer.epoch(prepared)
            answer(seconds=perf_counter() - began)
        else:
            answer(accuracy=float((trainer.predict(x_test) == t_test).mean()))


if __name__ == "__main__":
    main()
