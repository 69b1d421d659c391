"""Dask: a million rows from files, labelled by a cluster of processes of which one is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import many_rows
import numpy as np
import pytest
from many_rows import FILES, PAGE, environment
from pages import program

import nncore

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'dask[distributed]'")

import dask
import dask.array as da
from dask.distributed import Client, LocalCluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dask")


@pytest.fixture(scope="module")
def wanted(folder):
    return many_rows.write(folder)


@pytest.fixture
def cluster(folder, monkeypatch):
    """Two worker processes of one thread each, with Dask's own settings."""
    for name in ("NNCORE_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    with (
        dask.config.set({"temporary-directory": str(folder)}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster, timeout=60) as client,
    ):
        yield client


def threads_of_nncore():
    from nncore._table import pool_threads

    return nncore.get_num_threads(), pool_threads()


def test_the_program_of_the_page(folder, wanted):
    (folder / "with_dask.py").write_text(program(PAGE, "with_dask.py"))
    subprocess.run(
        [sys.executable, "with_dask.py"], cwd=folder, env=environment(), check=True, timeout=120
    )
    labels = da.from_npy_stack(folder / "labels")
    assert labels.numblocks == (FILES,)
    assert labels.compute(scheduler="synchronous").tobytes() == wanted.tobytes()


def test_a_killed_worker_loses_nothing_and_no_worker_has_more_than_a_thread(
    folder, wanted, cluster
):
    page = {"__name__": "with_dask"}
    exec(program(PAGE, "with_dask.py"), page)
    net = nncore.load(folder / "model.npz")
    killed = folder / "killed"

    def predict(rows, block_info=None):
        # In the middle of the work, one worker dies once, and its blocks with it.
        if block_info[0]["chunk-location"][0] == FILES // 2 and not killed.exists():
            killed.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return net.predict(rows)

    before = set(cluster.run(os.getpid).values())
    assert len(before) == 2
    assert os.getpid() not in before
    paths = sorted((folder / "rows").glob("*.npy"))
    x = da.concatenate([page["read"](path) for path in paths])
    labels = x.map_blocks(predict, drop_axis=1, dtype=np.int64, meta=np.empty(0, np.int64))
    future = cluster.compute(labels)
    found = future.result(timeout=120)
    assert found.tobytes() == wanted.tobytes()

    cluster.wait_for_workers(2, timeout=60)  # the one that replaces the dead one, too
    after = set(cluster.run(os.getpid).values())
    assert int(killed.read_text()) in before - after
    assert len(after) == 2
    # Each of them computes on one thread, without helpers, though the machine may have more CPUs.
    found = cluster.compute(x.map_blocks(net.predict, drop_axis=1, meta=np.empty(0, np.int64)))
    assert found.result(timeout=120).tobytes() == wanted.tobytes()
    assert set(cluster.run(threads_of_nncore).values()) == {(1, 0)}


def test_a_network_is_small_and_whole_as_a_pickle(folder, wanted):
    """What Dask sends, with its own pickling, is the weights and less than a kilobyte."""
    from distributed.protocol import deserialize, serialize

    net = nncore.load(folder / "model.npz")
    header, frames = serialize(net)
    size = sum(memoryview(frame).nbytes for frame in frames)
    weights = sum(layer.weights.nbytes + layer.bias.nbytes for layer in net.layers)
    assert weights < size < weights + 1000
    x = np.load(folder / "rows" / "000.npy")
    assert deserialize(header, frames)(x).tobytes() == net(x).tobytes()
    assert dask.base.tokenize(net) == dask.base.tokenize(nncore.load(folder / "model.npz"))
