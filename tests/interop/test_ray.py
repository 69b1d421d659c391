"""Ray: the page's program, and a million rows of which one worker is killed on the way."""

from __future__ import annotations

import json
import subprocess
import sys

import many_rows
import numpy as np
import pytest
from many_rows import PAGE, environment
from pages import program

pytest.importorskip("ray", reason="Ray is not installed: pip install ray")

# In the middle of the work, the worker of one task dies once; Ray runs the task again.
KILLED = """
import json, os, signal
from pathlib import Path
import numpy as np
import ray
import nncore
from nncore._table import pool_threads

@ray.remote
def label(net, path, killed):
    if killed and not killed.exists():
        killed.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    labels = net.predict(np.load(path))
    return labels, os.getpid(), nncore.get_num_threads(), pool_threads()

ray.init(num_cpus=2, include_dashboard=False)
net = ray.put(nncore.load("model.npz"))
paths = sorted(Path("rows").absolute().glob("*.npy"))
killed = {len(paths) // 2: Path("killed").absolute()}
results = ray.get([label.remote(net, path, killed.get(i)) for i, path in enumerate(paths)])
labels, pids, threads, helpers = zip(*results)
np.save("labels.npy", np.concatenate(labels))
print(json.dumps([sorted(set(found)) for found in (pids, threads, helpers)]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module")
def wanted(folder):
    return many_rows.write(folder)


def run(folder, code):
    (folder / "with_ray.py").write_text(code)
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    return subprocess.run(
        [sys.executable, "with_ray.py"], cwd=folder, env=environment(**quiet), check=True,
        timeout=240, stdout=subprocess.PIPE, text=True,
    ).stdout  # fmt: skip


def test_the_program_of_the_page(folder, wanted):
    run(folder, program(PAGE, "with_ray.py"))
    assert np.load(folder / "labels.npy").tobytes() == wanted.tobytes()


def test_a_killed_worker_loses_nothing_and_no_worker_has_more_than_a_thread(folder, wanted):
    pids, threads, helpers = json.loads(run(folder, KILLED).splitlines()[-1])
    assert np.load(folder / "labels.npy").tobytes() == wanted.tobytes()
    assert (folder / "killed").exists()
    assert len(pids) >= 2
    assert (threads, helpers) == ([1], [0])
