"""Every peer on every network and batch size: one call, weights hot.

The plainest setting of each peer, all in one process. For ratios that hold on a machine that is
not quiet, and the best of each peer's settings, use `python -m benchmarks.run`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from . import data, nets, peers
from .cells import Cell, cells, takes_part

CASES = [
    pytest.param(cell, name, id=f"{cell.section}-{cell.net.name}-{cell.input}-{cell.batch}-{name}")
    for cell in cells(["grid", "narrow"], [], [])
    for name in peers.MODULES
    if takes_part(name, cell)
]


@pytest.mark.parametrize(("cell", "name"), CASES)
def test_call(
    benchmark: Any,
    ready: Callable[..., Any],
    note: Callable[..., None],
    request: pytest.FixtureRequest,
    cell: Cell,
    name: str,
) -> None:
    """One call of a prepared batch; several batches take turns."""
    pixels: np.ndarray | None = None
    if cell.input == "digits":
        pixels = request.getfixturevalue("digits")[: cell.rows]
        x = data.as_float32(pixels)
    else:
        x = nets.dense_inputs(cell.net, cell.rows)
    model, inputs, info = ready(name, cell.net, cell.batch, x, pixels)
    turn = itertools.cycle(inputs)
    benchmark.group = f"{cell.net.name}, {cell.input}, {cell.batch}"
    benchmark._max_time, benchmark._min_rounds = 0.1, 3
    benchmark(lambda: model.call(next(turn)))
    note(info | {"input": cell.input}, cell.net.multiply_adds * cell.batch)
