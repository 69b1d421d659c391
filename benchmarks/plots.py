"""The two pictures of a run, as SVG: latency by batch size, and nncore against the fastest peer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from . import peers

# Red and orange are nncore's; each peer keeps its colour from one run to the next.
COLORS = {
    "nncore": "#d62728",
    "nncore uint8": "#ff7f0e",
    "numpy": "#1f77b4",
    "onnxruntime": "#2ca02c",
    "openvino": "#9467bd",
    "litert": "#8c564b",
    "torch": "#e377c2",
    "scikit-learn": "#7f7f7f",
    "numba": "#bcbd22",
    "jax": "#17becf",
}


def draw(record: dict[str, Any], folder: Path, prefix: str = "") -> list[str]:
    """Write the plots that the run has cells for; return their file names.

    Their names begin with `prefix`.
    """
    from nncore.plot._files import save

    names = []
    for threads in sorted({cell["threads"] for cell in record["cells"]}):
        mine = [cell for cell in record["cells"] if cell["threads"] == threads]
        batched = [cell for cell in mine if cell["section"] == "batches"]
        grid = [cell for cell in mine if cell["section"] == "grid"]
        suffix = f"{threads}-thread{'s' if threads > 1 else ''}"
        if len(batched) > 1:
            names.append(f"{prefix}latency-{suffix}.svg")
            save(folder / names[-1], partial(_latency, batched))
        if rows := _ratios(grid):
            names.append(f"{prefix}grid-{suffix}.svg")
            save(folder / names[-1], partial(_grid, rows, _threads(grid[0])))
    return names


def _threads(cell: dict[str, Any]) -> str:
    return "one thread" if cell["threads"] == 1 else f"{cell['threads']} threads"


def _latency(cells: list[dict[str, Any]], figure: Any) -> None:
    """Time per sample over batch size, one line a peer, both axes logarithmic."""
    from nncore import plot

    curves = {
        name: {
            cell["batch"]: median(cell["peers"][name]["rounds"]) / cell["batch"]
            for cell in cells
            if cell["peers"].get(name, {}).get("rounds")
        }
        for name in peers.MODULES
    }
    axes = plot.latency({name: points for name, points in curves.items() if points}, ax=figure)
    figure.set_size_inches(8, 5)
    for line in axes.get_lines():
        name = line.get_label()
        line.set(color=COLORS[name], marker="o", markersize=4, linestyle="-")
        line.set_linewidth(2.5 if name in peers.OURS else 1)
    axes.set_title(f"{cells[0]['net']}, {_threads(cells[0])}")
    axes.legend(fontsize=8)


def _ratios(cells: list[dict[str, Any]]) -> list[tuple[str, float, str]]:
    """Each cell's name, fastest peer's time over nncore's, and that peer."""
    rows = []
    for cell in cells:
        times = {
            name: median(peer["rounds"])
            for name, peer in cell["peers"].items()
            if peer.get("rounds")
        }
        others = {name: time for name, time in times.items() if name not in peers.OURS}
        if "nncore" in times and others:
            winner = min(others, key=others.__getitem__)
            label = f"{cell['net']}, {cell['input']}, {cell['batch']:,}"
            rows.append((label, others[winner] / times["nncore"], winner))
    return rows


def _grid(rows: list[tuple[str, float, str]], threads: str, figure: Any) -> None:
    """Draw a bar for each cell."""
    labels, ratios, winners = zip(*rows, strict=True)
    figure.set_size_inches(8, 0.24 * len(ratios) + 1.2)
    axes = figure.add_subplot()
    places = range(len(ratios))
    colors = ["#d62728" if ratio >= 1 else "#7f7f7f" for ratio in ratios]
    axes.barh(places, ratios, color=colors, height=0.7)
    for place, ratio, winner in zip(places, ratios, winners, strict=True):
        axes.text(ratio, place, f" {ratio:.1f} x {winner}", va="center", fontsize=7)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(list(places), labels, fontsize=7)
    axes.set_xlim(0, max(ratios) * 1.25)
    axes.set_xlabel("times as fast as the fastest peer")
    axes.set_title(f"nncore against the fastest peer, {threads}")
    axes.invert_yaxis()
