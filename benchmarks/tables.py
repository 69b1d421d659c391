"""What the pages of results share: medians, the fastest peer, times as text, tables."""

from __future__ import annotations

from statistics import median
from typing import Any

from . import peers


def seconds(cell: dict[str, Any], name: str) -> float | None:
    """The median seconds of a call of one peer in one cell, None if it was not timed."""
    rounds = cell["peers"].get(name, {}).get("rounds")
    return median(rounds) if rounds else None


def fastest_peer(cell: dict[str, Any]) -> tuple[str, float] | None:
    """Name and median seconds of the fastest peer that is not nncore; None if there is none."""
    times = {name: seconds(cell, name) for name in cell["peers"] if name not in peers.OURS}
    known = {name: value for name, value in times.items() if value is not None}
    if not known:
        return None
    name = min(known, key=known.__getitem__)
    return name, known[name]


def duration(value: float | None) -> str:
    """A time with three figures and its unit, `-` for none."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if value >= size or unit == "ns":
            scaled = value / size
            return f"{scaled:.{max(0, 2 - (scaled >= 10) - (scaled >= 100))}f} {unit}"
    raise AssertionError("unreachable")


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table; every column but the first is aligned to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(row) + " |" for row in [head, rule, *rows]] + [""]


def spread(cell: dict[str, Any], name: str, ours: str = "nncore") -> str:
    """The least and the largest ratio of a peer to nncore in any one turn."""
    pairs = zip(cell["peers"][name]["rounds"], cell["peers"][ours]["rounds"], strict=False)
    ratios = [theirs / ours for theirs, ours in pairs]
    return f"{min(ratios):.2f} to {max(ratios):.2f}"


def word(threads: int) -> str:
    """`one thread`, `2 threads`."""
    return "one thread" if threads == 1 else f"{threads} threads"
