"""Puts the results of all machines side by side in RESULTS.md: `python -m benchmarks.summary`.

Beside a machine's page in `results/` lies a JSON of the same name with the medians that this page
shows. `python -m benchmarks.report` writes all three.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from . import narrow
from .tables import fastest_peer, seconds, table, word

HERE = Path(__file__).parent
FOLDER = HERE / "results"
# What nncore is called in the sections that are compared, and the titles of their tables.
OURS = {"grid": "nncore", "narrow": narrow.OURS}
TITLES = {"grid": "The grid in float32", "narrow": "Fewer bits"}


def kept_to(machine: dict[str, Any]) -> list[str]:
    """What the environment kept nncore to, of what the machine has."""
    return [machine[key] for key in ("nncore_isa", "nncore_int8") if machine.get(key)]


def slug(machine: dict[str, Any]) -> str:
    """A file's name for a machine: its processor, and what nncore was kept to."""
    words = re.findall("[a-z0-9]+", " ".join([machine["processor"], *kept_to(machine)]).lower())
    return "-".join(words)


def digest(record: dict[str, Any]) -> dict[str, Any]:
    """Return of a run what the summary shows."""
    machine = record["machine"]
    cells = []
    for cell in record["cells"]:
        ours = seconds(cell, OURS.get(cell["section"], ""))
        best = fastest_peer(cell)
        if ours and best:
            found = {key: cell[key] for key in ("section", "threads", "net", "input", "batch")}
            found |= {"nncore": ours, "peer": best[0], "seconds": best[1]}
            if cell["section"] == "narrow" and (plain := narrow.own_float(cell)):
                found["float32"] = plain
            cells.append(found)
    return {
        "date": record["date"][:10],
        "processor": machine["processor"],
        "instruction_sets": machine.get("instruction_sets", []),
        "kept_to": kept_to(machine),
        "cells": cells,
    }


def write_digest(record: dict[str, Any], path: Path, add: bool = False) -> None:
    """Write a run's digest, `add`: behind the cells that the file there has."""
    new = digest(record)
    if add and path.is_file():
        new["cells"] = json.loads(path.read_text())["cells"] + new["cells"]
    # A line a cell: what changes from run to run can be seen in a difference of files.
    head = json.dumps({key: value for key, value in new.items() if key != "cells"})
    lines = ",\n".join(" " + json.dumps(cell) for cell in new["cells"])
    path.write_text(f'{head[:-1]}, "cells": [\n{lines}\n]}}\n')


def page(digests: dict[str, dict[str, Any]]) -> str:
    """Return the page as Markdown: the machines, then their ratios side by side."""
    lines = [
        "# Results by machine",
        "",
        "Written by `python -m benchmarks.summary`; what is measured and how stands in "
        "[README.md](README.md). Every machine has a page with its times, its limits and the "
        "peers' versions. Here are ratios: the time of the fastest peer over nncore's, both from "
        "one run. Above 1 nncore is faster.",
        "",
        *_machines(digests),
    ]
    keys = sorted({(c["section"], c["threads"]) for d in digests.values() for c in d["cells"]})
    for section, threads in keys:
        lines += _side_by_side(digests, section, threads)
    return "\n".join(lines).rstrip() + "\n"


def _machines(digests: dict[str, dict[str, Any]]) -> list[str]:
    rows = []
    for name, about in digests.items():
        kept = "".join(f"; nncore kept to {text}" for text in about["kept_to"])
        sets = ", ".join(about["instruction_sets"])
        rows.append(
            [f"[{name}](results/{name}.md)", about["processor"], sets + kept, about["date"]]
        )
    return table(["machine", "processor", "instruction sets", "date"], rows)


def _side_by_side(digests: dict[str, dict[str, Any]], section: str, threads: int) -> list[str]:
    """One table: a row a cell, a column a machine, the geometric means at its end."""
    columns: dict[str, dict[tuple[Any, ...], float]] = {}
    own: list[float] = []
    for name, about in digests.items():
        cells = [c for c in about["cells"] if (c["section"], c["threads"]) == (section, threads)]
        if cells:
            columns[name] = {
                (c["net"], c["input"], c["batch"]): c["seconds"] / c["nncore"] for c in cells
            }
            own += [c["float32"] / c["nncore"] for c in cells if "float32" in c]
    rows = []
    for key in dict.fromkeys(key for cells in columns.values() for key in cells):
        net, kind, batch = key
        ratios = [cells.get(key) for cells in columns.values()]
        rows.append([f"{net}, {kind}, {batch:,}", *(f"{r:.2f}" if r else "-" for r in ratios)])
    for word_, statistic in (("geometric mean", geometric_mean), ("least", min)):
        values = [statistic(cells.values()) for cells in columns.values()]
        rows.append([f"**{word_}**", *(f"**{value:.2f}**" for value in values)])
    title = f"## {TITLES[section]}, {word(threads)}"
    lines = [title, "", *table(["network, input, batch", *columns], rows)]
    if own:
        lines += [f"nncore's float32 over its int8: least {min(own):.2f} of {len(own)} cells.", ""]
    return lines


def write(folder: Path = FOLDER, target: Path = HERE / "RESULTS.md") -> None:
    """Write the page of all machines that `folder` has digests of."""
    files = sorted(folder.glob("*.json"), key=lambda path: path.stem)
    digests = {path.stem: json.loads(path.read_text()) for path in files}
    target.write_text(page(digests))


if __name__ == "__main__":
    write()
    print(f"wrote {HERE / 'RESULTS.md'}")
