"""The sections of a page about fewer bits than float32: times, and labels that come out right."""

from __future__ import annotations

from statistics import geometric_mean
from typing import Any

from . import peers
from .tables import duration, fastest_peer, seconds, spread, table, word

OURS = "nncore int8"
FLOAT = ("nncore", "nncore uint8")


def own_float(cell: dict[str, Any]) -> float | None:
    """The median seconds of nncore's float32, given float32 or pixels, whichever is faster."""
    times = [time for name in FLOAT if (time := seconds(cell, name)) is not None]
    return min(times, default=None)


def section(cells: list[dict[str, Any]], threads: int) -> list[str]:
    """Every cell: nncore's int8 beside its own float32 and beside the fastest peer."""
    rows, ratios, own = [], [], []
    for cell in cells:
        ours, plain, best = seconds(cell, OURS), own_float(cell), fastest_peer(cell)
        ratio = best[1] / ours if ours and best else None
        gain = plain / ours if ours and plain else None
        halves = seconds(cell, "nncore bfloat16")
        ratios += [ratio] if ratio else []
        own += [gain] if gain else []
        rows.append(
            [
                cell["net"],
                cell["input"],
                f"{cell['batch']:,}",
                duration(ours),
                duration(plain),
                f"{gain:.2f}" if gain else "-",
                duration(halves),
                f"{plain / halves:.2f}" if halves and plain else "-",
                f"{best[0]} {duration(best[1])}" if best else "-",
                f"{ratio:.2f}" if ratio else "-",
                spread(cell, best[0], OURS) if ratio and best else "-",
            ]
        )
    head = ["network", "input", "batch", OURS, "nncore float32", "float32 / int8"]
    head += ["nncore bfloat16", "float32 / bfloat16"]
    lines = [
        f"## Fewer bits, {word(threads)}",
        "",
        "nncore in int8 beside its own float32 (given float32 or pixels, whichever is faster), its "
        "bfloat16 weights, and the fastest of the peers in int8 and bfloat16. The same 500 "
        "samples, none of which is timed, calibrated all networks in int8.",
        "",
        *table([*head, "fastest peer", "ratio", "range"], rows),
    ]
    if ratios and own:
        lines += [
            f"Fastest peer against nncore int8: geometric mean **{geometric_mean(ratios):.2f}** "
            f"over {len(ratios)} cells, least {min(ratios):.2f}. nncore's float32 against its "
            f"int8: geometric mean {geometric_mean(own):.2f}, least {min(own):.2f}.",
            "",
        ]
    return lines + _all_images(cells)


def _all_images(cells: list[dict[str, Any]]) -> list[str]:
    """10,000 images, each peer in the batch size that suits it best."""
    images = [cell for cell in cells if cell["input"] == "digits" and cell["batch"] >= 100]
    rows = []
    for name in peers.MODULES:
        times = {c["batch"]: t for c in images if (t := seconds(c, name)) is not None}
        if times:
            batch = min(times, key=lambda size: times[size] / size)
            rows.append((times[batch] / batch * 10_000, name, batch))
    if not rows:
        return []
    return [
        "10,000 images of 784-50-100-10, each peer in batches of the size that suits it best:",
        "",
        *table(
            ["", "time", "in batches of"],
            [[name, duration(time), f"{batch:,}"] for time, name, batch in sorted(rows)],
        ),
    ]


def labels_section(cells: list[dict[str, Any]]) -> list[str]:
    """The labels of 10,000 images that each peer gets right, in the setting that is fastest."""
    if not cells:
        return []
    rows = []
    for name in peers.MODULES:
        row = [name]
        for cell in cells:
            peer = cell["peers"].get(name, {})
            right, changed = peer.get("right", {}).get(peer.get("setting"), ("-", "-"))
            row += [str(right), str(changed)]
        if any(text != "-" for text in row[1:]):
            rows.append(row)
    heads = {"classic": "classic weights", "shipped": "shipped network"}
    names = [heads[cell["weights"]] for cell in cells]
    head = ["", *(text for name in names for text in (f"{name}, right", "changed"))]
    return [
        "## Right labels",
        "",
        "Of MNIST's 10,000 test images, in the setting that is fastest in batches of 1,000; "
        "changed are labels that differ from the float64 reference's.",
        "",
        *table(head, rows),
    ]
