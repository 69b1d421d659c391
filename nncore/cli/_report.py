"""Prints what `nncore mnist` found out, for people; `--json` prints the same facts as they are."""

from __future__ import annotations

from typing import Any

from nncore.cli._common import LINE_WIDTH, microseconds_unit, network_lines, print_field


def print_report(facts: dict[str, Any]) -> None:
    """Print the facts of `nncore mnist` in 80 columns."""
    import nncore

    data, network, machine = facts["data"], facts["network"], facts["machine"]
    print(f"nncore {nncore.__version__}: handwritten digits, one by one and in batches\n")
    _print_data(data)
    print_field("network", [*network_lines(network), network["inputs"]])
    available = ", ".join(machine["available_instruction_sets"])
    threads = f"{facts['threads']} thread{'' if facts['threads'] == 1 else 's'}"
    print_field(
        "machine",
        [f"{machine['instruction_set']} instructions (this CPU has {available}), {threads}"],
    )
    # The count is written as a bare number: easy to find, easy to copy.
    print_field(
        "accuracy",
        [f"{facts['right']} of {facts['samples']} right ({100 * facts['accuracy']:.2f} %)"],
    )
    print()
    _print_table(facts["timings"])
    print()
    print_field("bits", [_verdict(facts)])


def _print_data(data: dict[str, Any]) -> None:
    if data["is_mnist"]:
        print_field("data", [f"MNIST, {data['samples']:,} test images", data["why"]])
        return
    frame = "!" * LINE_WIDTH
    print(frame)
    print_field("data", [f"NOT MNIST: {data['samples']:,} digits that nncore drew itself"])
    print_field("why", [data["why"]])
    print_field("real ones", data["get_real_ones"])
    print(frame)


def _print_table(timings: list[dict[str, Any]]) -> None:
    width = max(len(row["way"]) for row in timings)
    unit = microseconds_unit()
    print(f"{'':{width}}  {'time a sample':>15}  {'samples a second':>17}  {'speed-up':>9}  right")
    for row in timings:
        took = f"{1e6 * row['seconds_per_sample']:,.2f} {unit}"
        speedup = f"{row['speedup']:.2f}x"
        print(
            f"{row['way']:{width}}  {took:>15}  "
            f"{row['samples_per_second']:>17,.0f}  {speedup:>9}  {row['right']:>5}"
        )
    passes = min(row["passes"] for row in timings)
    print(f"(median of {passes} passes)" if passes > 1 else "(one pass)")


def _verdict(facts: dict[str, Any]) -> str:
    n = facts["samples"]
    if facts["same_bits"]:
        return (
            f"the outputs of all {n:,} samples are the same, byte for byte, "
            "one by one and in every batch size"
        )
    wrong = [row["way"] for row in facts["timings"] if not row["same_bits"]]
    return f"DIFFERENT from one by one: {', '.join(wrong)}. Please report this"
