"""Print what `nncore convert` did and found out, for people, in 60 columns."""

from __future__ import annotations

from typing import Any

from nncore.cli._common import abbreviated, count_of, microseconds_unit, types_of
from nncore.cli._terminal import plain, wrap

WIDTH = 60
_NAME = 10  # columns of a field's name
_COLUMN = 18  # columns of each side in the table of differences


def print_conversion(facts: dict[str, Any]) -> None:
    """Print the facts of `nncore convert`."""
    source, check = facts["in"], facts["check"]
    _field("read", [f"{source['name']} ({source['format']})", *_network_lines(source)])
    _field("folded", _some([note.replace(" is folded", "") for note in source["notes"]]))
    _field("written", _written_lines(facts))
    if check is None:
        _field("check", ["none (--check 0)"])
        return
    _print_missing(check)
    print()
    _print_differences(check)
    print()
    _print_times(check)
    print()
    for line in _verdict(facts):
        print("\n".join(wrap(plain(line), WIDTH, indent="")))


def _field(name: str, lines: list[str]) -> None:
    wrapped = [part for line in lines for part in wrap(plain(line), WIDTH - _NAME)]
    for number, line in enumerate(wrapped):
        print(f"{name if number == 0 else '':<{_NAME}}{line}")


def _some(lines: list[str], most: int = 6) -> list[str]:
    left = len(lines) - most
    return lines if left <= 0 else [*lines[:most], f"... and {left:,} more (--json has all)"]


def _network_lines(network: dict[str, Any]) -> list[str]:
    sizes = [str(size) for size in network["sizes"]]
    if len(sizes) > 8:
        sizes = [*sizes[:4], "...", *sizes[-3:]]
    parameters = count_of(network["parameters"], "parameter")
    lines = [f"{'-'.join(sizes)}, {parameters}, {types_of(network)}"]
    lines.append(abbreviated(network["activations"]))
    if network["activations_assumed"]:
        lines.append("(assumed: the file names none; see --activations)")
    if network["rescaling"] is not None:
        offset = network["rescaling_offset"]
        lines.append(f"Rescaling first: x * {network['rescaling']:.6g}")
        lines[-1] += f" {'+' if offset > 0 else '-'} {abs(offset):.6g}" if offset else ""
    elif network["normalization"]:
        lines.append("Normalization first: (x - mean) / std")
    if network["classes"] is not None:
        lines.append(f"classes {abbreviated(map(str, network['classes']))}")
    return lines


def _written_lines(facts: dict[str, Any]) -> list[str]:
    source, target, check = facts["in"], facts["out"], facts["check"]
    lines = [f"{target['file']} ({target['format']})", count_of(target["bytes"], "byte")]
    if types_of(target) != types_of(source):
        lines[1] += f", {types_of(target)}"
    if not target["written"]:
        lines.insert(0, "NOTHING, because of what follows")
    if check is not None:
        same = check["same_bits"]
        lines.append(f"reads back {'as it was, bit for bit' if same else 'with other bits'}")
    return lines


def _print_missing(check: dict[str, Any]) -> None:
    for each in check["missing"]:
        if each["side"] == "in":
            _field("IN", [f"WAS NOT RUN by the library it came from: {each['why']}"])
            _field("", [
                "Below, NumPy stands for it: that shows whether what was read "
                "was written and runs right, not whether it was read right."
            ])  # fmt: skip
        else:
            _field("OUT", [f"was not run by the library it is for: {each['why']}"])


def _print_differences(check: dict[str, Any]) -> None:
    found, samples = check["differences"], check["samples"]
    _field("samples", [f"{samples:,} random ones, {check['inputs']} (seed {check['seed']})"])
    _field("IN by", [check["origin"]])
    rows = [("OUT by", [each["runtime"].split()[0] for each in found])]
    if found[0]["share"] is not None:
        rows += [
            ("largest difference", [f"{each['largest']:.2g}" for each in found]),
            ("  ULP of largest output", [_figures(each["ulp"]) for each in found]),
            (f"  bound (K = {check['longest_sum']:,})", [f"{each['bound']:.2g}" for each in found]),
            ("  most of a bound used", [f"{_figures(100 * each['share'])} %" for each in found]),
        ]
    if found[0]["labels"] is not None:
        rows.append(("labels that occur", [f"{each['kinds']:,}" for each in found]))
        rows.append(("labels that differ", [f"{each['labels']:,}" for each in found]))
    for name, cells in rows:
        print(f"{name:<{WIDTH - 2 * _COLUMN}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells))


def _figures(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _print_times(check: dict[str, Any]) -> None:
    threads, unit = check["threads"], microseconds_unit()
    title = f"time ({unit}), {count_of(threads, 'thread')}"
    if _any_threads(check):
        title = f"time ({unit}), NumPy: any threads"
    print(f"{title:<30}{'1 sample':>14}{count_of(check['batch'], 'sample'):>16}")
    source = check["times"][0]
    for row in check["times"]:
        name = f"{row['side'].upper():<4} {row['runtime']}"
        print(f"{name:<30}{_microseconds(row['one']):>14}{_microseconds(row['batch']):>16}")
        if row["side"] == "out" and not _any_threads(check):
            one, many = (f"{source[key] / row[key]:.2f}x" for key in ("one", "batch"))
            print(f"{'     speed-up':<30}{one:>14}{many:>16}")
    print(f"(medians of {check['repeats']} repeats that alternate)")


def _any_threads(check: dict[str, Any]) -> bool:
    return not check["blas_limited"] and check["times"][0]["runtime"].startswith("NumPy")


def _microseconds(seconds: float) -> str:
    value = 1e6 * seconds
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def _verdict(facts: dict[str, Any]) -> list[str]:
    """Return in sentences what the tables say, the good and the bad."""
    check, target = facts["check"], facts["out"]
    samples = check["samples"]
    lines = []
    for each in check["differences"]:
        if each["beyond"]:
            lines.append(
                f"DIFFERENT: by {each['runtime']}, OUT is off by more than rounding explains in "
                f"{each['beyond']:,} of {count_of(samples, 'sample')}."
            )
        if each["labels"]:
            lines.append(
                f"Labels by {each['runtime']}: {each['labels']:,} of {samples:,} differ; the "
                f"logits of the two are at most {each['margin']:.2g} apart there, and rounding "
                f"explains {each['margin_bound']:.2g}."
            )
    if facts["ok"]:
        strange = any(each["side"] == "in" for each in check["missing"])
        source = "NumPy makes of what was read" if strange else "IN gives"
        lines.append(f"OUT gives what {source}, up to rounding, for {_all(samples)}.")
    elif target["written"]:
        lines.append(f"{target['file']} is written all the same (--keep).")
    else:
        lines.append(f"{target['file']} is not written (--keep writes it all the same).")
    if check["differences"][0]["share"] is None:
        lines.append("IN gives labels only, so nothing else is compared.")
    lines += [f"{note['side'].upper()}: {note['note']}." for note in check["notes"]]
    first, ours, *_ = check["times"]
    slower = [
        f"{name} ({ours[key] / first[key]:.2f} times)"
        for key, name in (("one", "1 sample"), ("batch", count_of(check["batch"], "sample")))
        if ours[key] > 1.02 * first[key]  # the times vary by so much
    ]
    if slower:
        lines.append(f"{ours['runtime']} is slower than IN for {' and '.join(slower)}.")
    if _any_threads(check):
        lines.append(
            "NumPy took as many threads as its BLAS likes, so the times do not compare (pip "
            "install threadpoolctl)."
        )
    return lines


def _all(samples: int) -> str:
    return f"all {samples:,} samples" if samples > 1 else "the one sample"
