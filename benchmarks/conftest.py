"""What all benchmarks under pytest share: options, the machine, inputs and ready models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from . import data, machine, nets, peers

# A peer ready to run: the model, its prepared inputs, and what to write beside its times.
Ready = tuple[peers.Model, list[Any], dict[str, Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--peer-threads`."""
    parser.addoption(
        "--peer-threads", type=int, default=1, help="threads every peer may use (default: 1)"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of the peers are their own affair; nncore's own tests turn them into errors."""
    for item in items:
        if "benchmarks" in item.nodeid:
            item.add_marker(pytest.mark.filterwarnings("default"))


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Store caches, instruction sets and the like with each saved run."""
    machine_info["nncore"] = machine.describe()


@pytest.fixture(scope="session")
def threads(request: pytest.FixtureRequest) -> int:
    """The number of threads every peer may use."""
    return int(request.config.getoption("--peer-threads"))


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """10,000 images (n, 784), uint8; a skip if there are none."""
    try:
        return data.digits()[0]
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def ready(threads: int) -> Callable[..., Ready]:
    """Return a function that loads a peer, checks its outputs, and prepares its inputs."""

    def load(
        name: str, net: nets.Net, batch: int, x: np.ndarray, pixels: np.ndarray | None = None
    ) -> Ready:
        try:
            peer = peers.get(name)
        except peers.Missing as error:
            pytest.skip(str(error))
        given = x
        if peer.INPUT == "uint8":
            if pixels is None:
                pytest.skip(f"{name} takes pixels, this input has none")
            given = pixels
        weights, biases = nets.draw_weights(net)
        expected = nets.reference(weights, biases, net.activations, x)
        atol = nets.tolerance(weights, expected)
        model = peers.build(name, weights, biases, net.activations, threads, batch)
        inputs = []
        for start in range(0, len(x), batch):
            inputs.append(model.prepare(given[start : start + batch]))
            y = model.to_numpy(model.call(inputs[-1]))
            nets.check(y, expected[start : start + batch], atol)
        info = {
            "peer": name,
            "version": peers.version(name),
            "setting": peer.settings(threads)[0],
            "network": net.name,
            "batch": batch,
            "input": peer.INPUT,
            "threads": threads,
            "weights": "hot",
        }
        return model, inputs, info

    return load


@pytest.fixture
def note(benchmark: Any) -> Callable[..., None]:
    """Return a function that writes `extra_info`, the speed in GFLOP/s included."""

    def write(info: dict[str, Any], multiply_adds: int) -> None:
        benchmark.extra_info.update(info)
        # With --benchmark-disable nothing was timed.
        if benchmark.stats is not None:
            speed = 2e-9 * multiply_adds / benchmark.stats.stats.median
            benchmark.extra_info["GFLOP/s"] = round(speed, 2)

    return write
