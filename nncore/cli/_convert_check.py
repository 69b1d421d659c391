"""Runs what `nncore convert` read and what it wrote, and says how far they are apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nncore.cli._common import CommandError, threads_set
from nncore.cli._compare import Differences, Inputs, batch_of, take_times
from nncore.cli._measure import same_bits
from nncore.cli._origins import (
    Nncore,
    Numpy,
    Read,
    Runtime,
    UnavailableError,
    blas_threads,
    runtime_of,
)
from nncore.cli._rounding import has_bfloat16, longest_sum

if TYPE_CHECKING:
    import argparse

    import numpy as np

    from nncore import Network


def check_conversion(
    read: Read, written: Network, again: Read, options: argparse.Namespace
) -> dict[str, Any]:
    """Run IN and OUT, and return what `--json` says about their differences and times.

    `read` is IN, `written` the network that was made of it, `again` what the new file gave back.
    """
    net, missing = read.loaded.net, []
    with threads_set(options.threads), blas_threads(options.threads) as limited:
        origin, why = _runtime(read, options.threads)
        other, why_not = _runtime(again, options.threads)
        outs: list[Runtime] = [Nncore(again.loaded.net)]
        outs += [] if other is None else [other]
        for side, reason in (("in", why), ("out", why_not)):
            missing += [] if reason is None else [{"side": side, "why": reason}]
        judge: Runtime = origin or Numpy(net, "float64")
        timed: Runtime = origin or Numpy(net, net.dtype)
        same = _Same(written, again.loaded.net)
        rounded = has_bfloat16(written) and not has_bfloat16(net)
        found = _compared(net, judge, outs, same, timed, rounded, options)
    return {
        "seed": options.seed,
        "threads": options.threads,
        "origin": judge.name,
        "missing": missing,
        "notes": [
            *({"side": "in", "note": note} for note in timed.notes),
            *({"side": "out", "note": note} for side in outs for note in side.notes),
        ],
        "blas_limited": limited,
        **found,
        "same_bits": same.so_far,
    }


def _runtime(read: Read, threads: int) -> tuple[Runtime | None, str | None]:
    """Return what runs a file besides nncore, if anything does, or why it cannot."""
    try:
        return runtime_of(read, threads), None
    except UnavailableError as error:
        return None, str(error)


class _Same:
    """Whether two networks give the same bits for all samples so far."""

    def __init__(self, one: Network, other: Network) -> None:
        self._one, self._other, self.so_far = one, other, True

    def add(self, x: np.ndarray) -> None:
        self.so_far &= same_bits(self._one(x), self._other(x))


def _compared(
    net: Network,
    judge: Runtime,
    outs: list[Runtime],
    same: _Same,
    timed: Runtime,
    rounded: bool,
    options: argparse.Namespace,
) -> dict[str, Any]:
    sides = [judge, *outs]
    coarsest = min(net.dtype, *(side.dtype for side in sides))
    inputs = Inputs(net, coarsest, any(side.takes_integers for side in sides), options.seed)
    batch = batch_of(net, options.check)
    found = [Differences(net, (judge.dtype, side.dtype), rounded) for side in outs]
    for done in range(0, options.check, batch):
        x = inputs.draw(min(batch, options.check - done))
        right = judge.outputs(judge.prepare(x)())
        same.add(x)
        for each, side in zip(found, outs, strict=True):
            try:
                each.add(x, right, side.outputs(side.prepare(x)()))
            except ValueError as error:
                raise CommandError(f"run by {judge.name} and by {side.name}, {error}") from error
    times = take_times([timed, *outs], x if len(x) == batch else inputs.draw(batch))
    return {
        "samples": options.check,
        "inputs": inputs.what,
        "longest_sum": longest_sum(net),
        "differences": [
            {"runtime": side.name, "dtype": str(side.dtype), **each.facts()}
            for each, side in zip(found, outs, strict=True)
        ],
        "batch": batch,
        "repeats": times.repeats,
        "times": [
            {"side": place, "runtime": side.name, "one": one, "batch": many}
            for place, side, one, many in zip(
                ["in", *("out" for _ in outs)], [timed, *outs], times.one, times.batch, strict=True
            )
        ],
    }
