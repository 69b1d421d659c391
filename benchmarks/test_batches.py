"""Why a batch is faster: 10,000 digit images through the classic network, in batches of n.

One round is all the images, so times of different batch sizes compare directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from . import data, nets
from .cells import BATCHES


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ["nncore", "nncore uint8", "numpy"])
def test_all_images(
    benchmark: Any,
    ready: Callable[..., Any],
    note: Callable[..., None],
    digits: np.ndarray,
    name: str,
    batch: int,
) -> None:
    """Every image once, `batch` at a time; outputs agree with the reference before."""
    net = nets.CLASSIC
    model, inputs, info = ready(name, net, batch, data.as_float32(digits), digits)
    benchmark.group = f"10,000 images, {name}"

    def sweep() -> None:
        for x in inputs:
            model.call(x)

    benchmark.pedantic(sweep, rounds=5, warmup_rounds=1)
    note(info | {"images": len(digits)}, net.multiply_adds * len(digits))
