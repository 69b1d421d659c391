"""What all benchmarks under pytest share: options, the machine, inputs and ready models.

Nothing here imports NumPy before `pytest_configure` has run: BLAS reads its number of threads from
the environment once, when it is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import numpy as np

    from . import nets, peers

    # A peer ready to run: the model, its prepared inputs, and what to write beside its times.
    Ready = tuple[peers.Model, list[Any], dict[str, Any]]

# No tests, and `--doctest-modules` would import them: a missing peer is a skip, not an error.
collect_ignore = ["peers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--peer-threads`."""
    parser.addoption(
        "--peer-threads", type=int, default=1, help="threads every peer may use (default: 1)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Limit every library's threads before it is imported; stop if nncore is not there."""
    from .workers import environment

    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError('pytest-benchmark is missing: pip install -e ".[bench]"')
    threads = config.getoption("--peer-threads", 1)
    os.environ.update(environment(threads))
    if "numpy" in sys.modules:  # another conftest or a plugin was first
        _limit_loaded_blas(threads)
    from . import peers

    try:
        peers.require_nncore()
    except peers.Missing as error:
        raise pytest.UsageError(str(error)) from None


def _limit_loaded_blas(threads: int) -> None:
    """Limit a BLAS that is loaded already, as far as threadpoolctl is there to do it."""
    try:
        import threadpoolctl
    except ImportError:
        return
    threadpoolctl.threadpool_limits(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Warnings of the peers are their own affair; nncore's own tests turn them into errors."""
    for item in items:
        if "benchmarks" in item.nodeid:
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Store caches, instruction sets and the like with each saved run."""
    from . import machine

    machine_info["nncore"] = machine.describe()


@pytest.fixture(scope="session")
def threads(request: pytest.FixtureRequest) -> int:
    """The number of threads every peer may use."""
    return int(request.config.getoption("--peer-threads"))


@pytest.fixture(scope="session")
def digits() -> np.ndarray:
    """10,000 images (n, 784), uint8; a skip if there are none."""
    from . import data

    try:
        return data.digits()[0]
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture
def ready(threads: int) -> Callable[..., Ready]:
    """Return a function that loads a peer, checks its outputs, and prepares its inputs."""
    import numpy as np

    from . import data, nets, peers

    def load(
        name: str, net: nets.Net, batch: int, x: np.ndarray, pixels: np.ndarray | None = None
    ) -> Ready:
        try:
            peer = peers.get(name)
        except peers.Missing as error:
            pytest.skip(str(error))
        given = {"float32": x} if pixels is None else {"float32": x, "uint8": pixels}
        settings = [s for s in peer.settings(threads) if peers.takes(name, s) in given]
        if not settings:
            pytest.skip(f"{name} takes pixels, this input has none")
        weights, biases = nets.draw_weights(net)
        arrays = weights, biases, net.activations
        expected = nets.reference(*arrays, x)
        samples = nets.dense_inputs(net, data.SAMPLES, seed=7)
        if pixels is not None:
            samples = data.as_float32(data.calibration())
        model = peers.build(name, *arrays, threads, batch, settings[0], samples)
        rows, inputs, outputs = given[peers.takes(name, settings[0])], [], []
        for start in range(0, len(x), batch):
            inputs.append(model.prepare(rows[start : start + batch]))
            # A copy: some peers hand out the same buffer in every call.
            outputs.append(np.array(model.to_numpy(model.call(inputs[-1]))))
        y = np.concatenate(outputs).reshape(expected.shape)
        if peers.precision(name) == "float32":
            nets.check(y, expected, nets.tolerance(weights, expected))
        else:
            nets.check_narrow(y, expected, peers.precision(name))
        info = {
            "peer": name,
            "version": peers.version(name),
            "setting": settings[0],
            "network": net.name,
            "batch": batch,
            "input": peers.takes(name, settings[0]),
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
