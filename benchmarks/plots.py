"""The two pictures of a run, as SVG: latency by batch size, and nncore against the fastest peer."""

from __future__ import annotations

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


def draw(record: dict[str, Any], folder: Path) -> list[str]:
    """Write the plots that the run has cells for; return their file names."""
    import matplotlib

    matplotlib.use("agg")
    # Reproducible files: no date, no random identifiers; text stays text.
    matplotlib.rcParams |= {"svg.hashsalt": "nncore", "svg.fonttype": "none"}
    names = []
    for threads in sorted({cell["threads"] for cell in record["cells"]}):
        mine = [cell for cell in record["cells"] if cell["threads"] == threads]
        batched = [cell for cell in mine if cell["section"] == "batches"]
        grid = [cell for cell in mine if cell["section"] == "grid"]
        suffix = f"{threads}-thread{'s' if threads > 1 else ''}"
        if len(batched) > 1:
            names.append(_save(_latency(batched), folder / f"latency-{suffix}.svg"))
        figure = _ratios(grid)
        if figure is not None:
            names.append(_save(figure, folder / f"grid-{suffix}.svg"))
    return names


def _save(figure: Any, path: Path) -> str:
    figure.savefig(path, metadata={"Date": None}, facecolor="white", bbox_inches="tight")
    return path.name


def _threads(cell: dict[str, Any]) -> str:
    return "one thread" if cell["threads"] == 1 else f"{cell['threads']} threads"


def _latency(cells: list[dict[str, Any]]) -> Any:
    """Time per sample over batch size, one line a peer, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5))
    axes = figure.add_subplot()
    for name in peers.MODULES:
        points = [
            (cell["batch"], median(cell["peers"][name]["rounds"]) / cell["batch"] * 1e6)
            for cell in cells
            if cell["peers"].get(name, {}).get("rounds")
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                marker="o",
                markersize=4,
                label=name,
                color=COLORS[name],
                linewidth=2.5 if name in peers.OURS else 1,
            )
    axes.set(xscale="log", yscale="log", xlabel="samples in a call", ylabel="µs per sample")
    axes.set_title(f"{cells[0]['net']}, {_threads(cells[0])}")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,g}")
    axes.grid(True, which="both", linewidth=0.3)
    axes.legend(fontsize=8)
    return figure


def _ratios(cells: list[dict[str, Any]]) -> Any:
    """Fastest peer's time over nncore's, one bar a cell; None if nncore was not timed."""
    from matplotlib.figure import Figure

    labels, ratios, winners = [], [], []
    for cell in cells:
        times = {
            name: median(peer["rounds"])
            for name, peer in cell["peers"].items()
            if peer.get("rounds")
        }
        others = {name: time for name, time in times.items() if name not in peers.OURS}
        if "nncore" in times and others:
            winner = min(others, key=others.__getitem__)
            labels.append(f"{cell['net']}, {cell['input']}, {cell['batch']:,}")
            ratios.append(others[winner] / times["nncore"])
            winners.append(winner)
    if not ratios:
        return None
    figure = Figure(figsize=(8, 0.24 * len(ratios) + 1.2))
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
    axes.set_title(f"nncore against the fastest peer, {_threads(cells[0])}")
    axes.invert_yaxis()
    return figure
