"""Turns a stored run into a page of results/, and renews RESULTS.md.

Run it as `python -m benchmarks.report`.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from . import narrow, peers, plots, summary
from .limits import floor_seconds
from .options import DEFAULT_OUTPUT
from .tables import duration, fastest_peer, seconds, spread, table, word
from .worker import LIMITS

HERE = Path(__file__).parent
# The plain meaning of the two words, for the page.
TEMPERATURES = {
    "hot": "hot: calls follow each other, weights stay in the caches if they fit",
    "cold": "cold: a large buffer is read before each call, so nothing is left in the caches",
}

KEPT_PEERS = (
    "- Peers kept to AVX2: all that have a switch for it, which are OpenVINO, PyTorch, NumPy, "
    "Numba and JAX; ONNX Runtime, LiteRT and PyTorch's fbgemm (int8) used what the processor has"
)


def share_of_limit(cell: dict[str, Any], time: float) -> tuple[float, str] | None:
    """How much of the limit that binds this cell `time` reaches, and which one that is."""
    limits = cell["limits"]
    if not limits:
        return None
    floor, which = floor_seconds(
        cell["multiply_adds"],
        cell["weight_bytes"],
        cell["batch"],
        limits["fma_peak"],
        limits["read_bandwidth"],
    )
    return floor / time, which


def heading(record: dict[str, Any], name: str) -> list[str]:
    """What was measured, where, when and with which versions."""
    machine = record["machine"]
    caches = ", ".join(f"{level} {size}" for level, size in machine["caches"].items())
    versions = {name: text for name, text in record["versions"].items() if name != LIMITS}
    # Of the machine's limits, the "version" is the width of the vectors they were measured with.
    probe = record["versions"].get(LIMITS)
    lines = [
        f"# Results: {name}",
        "",
        "Written by `python -m benchmarks.report` from one run of `python -m benchmarks.run`; "
        "what is measured and how stands in [README.md](../README.md).",
        "",
        f"- Date: {record['date'][:10]}",
        f"- Processor: {machine['processor']}; {machine['cpus']} CPUs, "
        f"{machine['memory_gib']} GiB, {caches}",
        f"- Instruction sets: {', '.join(machine.get('instruction_sets', ['unknown']))}"
        + "".join(f"; nncore kept to {text}" for text in summary.kept_to(machine)),
        f"- System: {machine['system']}, Python {machine['python']}",
        "- Versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()),
        *([KEPT_PEERS] if record.get("peers_kept_to") else []),
        *([f"- Limits: measured with {probe}"] if probe else []),
        *([f"- Images: {record['digits']}"] if record["digits"] else []),
        f"- Weights {TEMPERATURES[record['temperature']]}",
        f"- Each time is the median over {record['rounds']} turns, each the median of "
        f"{record['seconds'] * 1e3:.0f} ms of calls; the peers take turns",
    ]
    lines += [f"- **Skipped**: {name}: {why}" for name, why in record["missing"].items()]
    return [*lines, ""]


def batches_section(cells: list[dict[str, Any]], threads: int) -> list[str]:
    """The classic network: time per sample by batch size, every peer a column."""
    names = [name for name in peers.MODULES if any(seconds(c, name) for c in cells)]
    rows = []
    for cell in cells:
        times = {name: seconds(cell, name) for name in names}
        per_sample = [duration(t and t / cell["batch"]) for t in times.values()]
        rows.append([f"{cell['batch']:,}", *per_sample])
    return [
        f"## Per sample against batched, {word(threads)}",
        "",
        "784-50-100-10, sigmoid and softmax, streaming through 10,000 images; time per sample.",
        "",
        *table(["batch", *names], rows),
    ]


def grid_section(cells: list[dict[str, Any]], threads: int) -> list[str]:
    """Every cell of the grid: nncore, its share of the limit, and the fastest peer."""
    rows, ratios = [], []
    for cell in cells:
        ours, best = seconds(cell, "nncore"), fastest_peer(cell)
        ratio = best[1] / ours if ours and best else None
        ratios += [ratio] if ratio else []
        share = share_of_limit(cell, ours) if ours else None
        speed = 2e-9 * cell["multiply_adds"] * cell["batch"] / ours if ours else None
        rows.append(
            [
                cell["net"],
                cell["input"],
                f"{cell['batch']:,}",
                duration(ours),
                f"{speed:.0f}" if speed else "-",
                f"{share[0]:.0%} of {share[1]}" if share else "-",
                f"{best[0]} {duration(best[1])}" if best else "-",
                f"{ratio:.2f}" if ratio else "-",
                spread(cell, best[0]) if ratio and best else "-",
            ]
        )
    head = ["network", "input", "batch", "nncore", "GFLOP/s", "share of limit"]
    lines = [
        f"## The grid, {word(threads)}",
        "",
        "Time of a call; GFLOP/s count every multiply-add, skipped zeros too (on images the share "
        "may pass 100 %). The last column is the ratio's range over the turns.",
        "",
        *table([*head, "fastest peer", "ratio", "range"], rows),
    ]
    if ratios:
        lines += [
            f"Fastest peer against nncore: geometric mean **{geometric_mean(ratios):.2f}** over "
            f"{len(ratios)} cells, least {min(ratios):.2f}; "
            f"{sum(r < 0.95 for r in ratios)} cells where nncore is more than 5 % slower.",
            "",
        ]
    return lines


def limits_section(cells: list[dict[str, Any]], threads: int) -> list[str]:
    """The measured limits, by network: the footprint decides which cache its weights come from."""
    best: dict[str, tuple[int, float, float]] = {}
    for cell in cells:
        if cell["limits"]:
            _, peak, bandwidth = best.get(cell["net"], (0, 0.0, 0.0))
            peak = max(peak, cell["limits"]["fma_peak"])
            bandwidth = max(bandwidth, cell["limits"]["read_bandwidth"])
            best[cell["net"]] = cell["weight_bytes"], peak, bandwidth
    if not best:
        return []
    rows = [
        [net, f"{size / 1e3:,.0f} kB", f"{peak / 1e9:.0f}", f"{bandwidth / 1e9:.0f}"]
        for net, (size, peak, bandwidth) in best.items()
    ]
    head = ["network", "weights", "FMA peak, GFLOP/s", "reading that footprint, GB/s"]
    return [f"## Limits of the machine, {word(threads)}", "", *table(head, rows)]


def every_peer_section(cells: list[dict[str, Any]], title: str) -> list[str]:
    """The cells again, with the time of each peer and the setting that was its best."""
    names = [name for name in peers.MODULES if any(seconds(c, name) for c in cells)]
    rows = [
        [f"{c['net']}, {c['input']}, {c['batch']:,}", *(duration(seconds(c, n)) for n in names)]
        for c in cells
    ]
    lines = [
        f"## {title}",
        "",
        *table(["network, input, batch", *names], rows),
        "Best settings, by number of cells: ",
    ]
    for name in names:
        chosen = [c["peers"][name]["setting"] for c in cells if seconds(c, name)]
        counts = sorted(((chosen.count(s), s) for s in set(chosen)), reverse=True)
        lines.append(f"- {name}: " + ", ".join(f"{s} ({n})" for n, s in counts))
    failures = sorted(
        {
            f"- {name} failed on {c['net']}, {c['batch']}: {peer['error']}"
            for c in cells
            for name, peer in c["peers"].items()
            if "error" in peer
        }
    )
    return [*lines, *failures, ""]


def presence_section(presence: dict[str, dict[str, Any]]) -> list[str]:
    """Import, memory, disk, start and idle CPU, a row a peer."""
    rows = []
    for name, cost in presence.items():
        if "missing" in cost:
            rows.append([name, *["-"] * 7])
            continue
        rows.append(
            [
                name,
                duration(cost["import_seconds"]),
                f"{cost['import_bytes'] / 1e6:.1f} MB",
                f"{cost['disk_bytes'] / 1e6:.1f} MB",
                f"{cost['disk_bytes_with_requirements'] / 1e6:.0f} MB",
                duration(cost["first_seconds"]),
                f"{cost['idle_cpu_seconds'] * 1e3:.1f} ms",
                str(cost["threads_after_work"]),
            ]
        )
    head = ["", "import", "memory", "on disk", "with requirements", "start to first prediction"]
    return [
        "## The cost of being there",
        "",
        "Memory is what the import adds to an empty interpreter; the first prediction includes "
        "reading the 784-50-100-10 model from the peer's usual file; idle CPU is what the process "
        "uses in the second after its last call.",
        "",
        *table([*head, "idle CPU", "threads"], rows),
    ]


def page(record: dict[str, Any], pictures: list[str], name: str = "one machine") -> str:
    """Return the whole page as Markdown; `pictures` are file names beside it."""
    lines = heading(record, name)
    lines += [f"![{Path(file).stem.replace('-', ' ')}]({file})\n" for file in pictures]
    for threads in sorted({cell["threads"] for cell in record["cells"]}):
        mine = [cell for cell in record["cells"] if cell["threads"] == threads]
        batched = [cell for cell in mine if cell["section"] == "batches"]
        grid = [cell for cell in mine if cell["section"] == "grid"]
        lines += batches_section(batched, threads) if batched else []
        lines += grid_section(grid, threads) if grid else []
        lines += limits_section([*batched, *grid], threads)
        lines += every_peer_section(grid, f"Every peer, {word(threads)}") if grid else []
        fewer = [cell for cell in mine if cell["section"] == "narrow"]
        if fewer:
            lines += narrow.section(fewer, threads)
            title = f"Every peer in fewer bits, {word(threads)}"
            lines += every_peer_section(fewer, title)
    lines += narrow.labels_section([c for c in record["cells"] if c["section"] == "labels"])
    if record.get("presence"):
        lines += presence_section(record["presence"])
    return "\n".join(lines).rstrip() + "\n"


def added(text: str, record: dict[str, Any], pictures: list[str], name: str) -> str:
    """Return the page `text` with the sections of a further run, `ValueError` if it has one."""
    further = page(record, pictures, name)
    there = set(re.findall("^## .*", text, re.MULTILINE))
    twice = [title for title in re.findall("^## .*", further, re.MULTILINE) if title in there]
    if twice:
        raise ValueError(f"the page of {name} has {twice[0][3:]!r} already, write it anew")
    return f"{text.rstrip()}\n\n{further.replace(f'# Results: {name}', '## A further run', 1)}"


def main() -> None:
    """Parse the command line, write the machine's page and plots, and renew RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    add = parser.add_argument
    add("run", type=Path, nargs="?", default=DEFAULT_OUTPUT)
    add("--machine", metavar="NAME", help="name of the page (default: from the processor)")
    add("--add", action="store_true", help="add the run's sections to the page that is there")
    add("--folder", type=Path, default=HERE, help="where RESULTS.md and results/ go")
    options = parser.parse_args()
    try:
        record = json.loads(options.run.read_text())
    except FileNotFoundError:
        parser.exit(1, f"no run in {options.run}: python -m benchmarks.run writes one\n")
    except (OSError, ValueError) as error:
        parser.exit(1, f"{options.run} is not a run of python -m benchmarks.run: {error}\n")
    name = options.machine or summary.slug(record["machine"])
    folder = options.folder / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.md"
    try:
        pictures = plots.draw(record, folder, f"{name}-")
    except ImportError as error:
        parser.exit(1, f'the plots need matplotlib ({error}): pip install -e ".[bench]"\n')
    try:
        before = path.read_text() if options.add else ""
        text = added(before, record, pictures, name) if before else page(record, pictures, name)
    except (OSError, ValueError) as error:
        parser.exit(1, f"nothing was added: {error}\n")
    path.write_text(text)
    summary.write_digest(record, path.with_suffix(".json"), add=options.add)
    summary.write(folder, options.folder / "RESULTS.md")
    print(f"wrote {path}, {', '.join(pictures) or 'no plots'} and RESULTS.md")


if __name__ == "__main__":
    main()
