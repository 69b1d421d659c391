"""The cells of a run: which networks, inputs and batch sizes are compared in which section."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import data, nets, peers, trained

BATCHES = (1, 2, 8, 32, 100, 1000, 10_000)
# Networks, inputs and batches of the comparison in fewer bits: where one call costs most, where
# arithmetic does, the main job of 10,000 images, and weights that no cache holds.
NARROW = (
    (nets.CLASSIC, "digits", (1, 32, 100, 1000, 10_000)),
    (nets.GRID[0], "dense", (1, 100)),
    (nets.GRID[1], "dense", (1, 100)),
    (nets.GRID[4], "dense", (1, 32, 100, 1000)),
    (nets.GRID[5], "dense", (1, 8, 16, 32, 100, 256)),
)


class Cell(NamedTuple):
    """One line of the result: a network, its input and a batch size."""

    section: str
    net: nets.Net
    input: str
    batch: int
    # Samples in the pool from which the batches are cut.
    rows: int
    # The trained weights it runs with; else drawn ones.
    weights: str = ""


def cells(sections: list[str], names: list[str], batches: list[int]) -> Iterator[Cell]:
    """Yield the cells asked for; an empty list of names or batches means all."""
    if "batches" in sections and (not names or nets.CLASSIC.name in names):
        for batch in BATCHES:
            if not batches or batch in batches:
                # All images, so that batches stream through the caches as they do in use;
                # whole batches only, because several peers are told a fixed size.
                rows = data.IMAGES // batch * batch
                yield Cell("batches", nets.CLASSIC, "digits", batch, rows)
    if "grid" in sections:
        for net in nets.GRID:
            if names and net.name not in names:
                continue
            for kind in ("dense", "digits") if net.sizes[0] == 784 else ("dense",):
                for batch in net.batches:
                    if not batches or batch in batches:
                        yield Cell("grid", net, kind, batch, pool(batch))
    if "narrow" in sections:
        for net, kind, sizes in NARROW:
            for batch in sizes:
                if (not names or net.name in names) and (not batches or batch in batches):
                    rows = data.IMAGES // batch * batch if kind == "digits" else pool(batch)
                    yield Cell("narrow", net, kind, batch, rows)


def pool(batch: int) -> int:
    """Samples of several batches in turn, few enough to stay in the caches."""
    return batch * max(2, min(64, 256 // batch))


def takes_part(peer: str, cell: Cell) -> bool:
    """Say whether a peer belongs in a cell: like is compared with like.

    Float32 has sections of its own; in the others nncore's float32 stands for it.
    """
    if cell.input != "digits" and peer == "nncore uint8":
        return False
    narrow = peers.precision(peer) != "float32"
    if cell.section in ("narrow", "labels"):
        return narrow or peer in peers.OURS
    return not narrow


def labelled() -> Iterator[Cell]:
    """Yield the trained networks that are on this machine, with MNIST's test set."""
    for name in trained.NAMES if data.labels() is not None else ():
        arrays = trained.load(name)
        if arrays is not None:
            weights, _, activations = arrays
            sizes = (len(weights[0]), *(w.shape[1] for w in weights))
            net = nets.Net(sizes, activations[0], activations[-1])
            yield Cell("labels", net, "digits", 1000, data.IMAGES, name)
