"""An epoch of training under pytest-benchmark: `pytest benchmarks/test_training.py`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from . import nets, trainers, training


@pytest.fixture(scope="module")
def samples() -> list[np.ndarray]:
    return trainers.load()


@pytest.mark.parametrize("net", training.NETS, ids=lambda net: net.name)
@pytest.mark.parametrize("name", training.PEERS)
def test_epoch(
    benchmark: Any, samples: list[np.ndarray], threads: int, name: str, net: trainers.Net
) -> None:
    """60,000 images; what has been learned is checked too."""
    x, t, x_test, t_test = samples
    weights = nets.draw_weights(nets.Net(net.sizes, "relu", "softmax"))[0]
    try:
        trainer = trainers.MAKERS[name](net, x, t, weights, threads)
    except ImportError as error:
        pytest.skip(f"{name}: {error}")
    rounds = iter(range(100))

    def setup() -> tuple[tuple[Any], dict[str, Any]]:
        i = next(rounds)
        return (trainer.prepare(i, trainers.order_of(i, len(x))),), {}

    benchmark.group = f"one epoch, {net.name}"
    benchmark.pedantic(trainer.epoch, setup=setup, rounds=3, warmup_rounds=1)
    accuracy = float((trainer.predict(x_test) == t_test).mean())
    benchmark.extra_info.update(peer=name, network=net.name, accuracy=accuracy, threads=threads)
    assert accuracy > 0.9
