"""Print what `nncore mnist` and `nncore bench` found out, for people, as wide as the terminal."""

from __future__ import annotations

from typing import Any

from nncore.cli._common import count_of, microseconds_unit, network_lines, print_field
from nncore.cli._terminal import Column, table, text_width


def print_begin(facts: dict[str, Any], title: str) -> None:
    """Print, before the work begins, what will run and on what."""
    import nncore

    network = facts["network"]
    print(f"nncore {nncore.__version__}: {title}\n", flush=True)
    count = network.get("multiply_adds_per_sample")
    inputs = f"{count_of(count, 'multiply-add')} a sample" if count else network["inputs"]
    print_field("network", [*network_lines(network), inputs])
    hot = ["weights hot: the same ones in every call"] if "weights" in facts else []
    print_field("machine", [*machine_lines(facts), *hot])


def print_data(data: dict[str, Any]) -> None:
    """Print what `nncore mnist` classifies, loudly if it is not MNIST."""
    if data["is_mnist"]:
        print_field("data", [f"MNIST, {data['samples']:,} test images", data["why"]])
        return
    frame = "!" * text_width()
    print(frame)
    print_field("data", [f"NOT MNIST: {data['samples']:,} digits that nncore drew itself"])
    print_field("why", [data["why"]])
    print_field("real ones", data["get_real_ones"])
    print(frame, flush=True)


def print_calibration(calibration: dict[str, Any]) -> None:
    """Print what `nncore mnist --int8` chooses the ranges of 8 bits by."""
    print_field("int8", [f"calibrated with {calibration['samples']:,} {calibration['what']}"])


def print_results(facts: dict[str, Any]) -> None:
    """Print what `nncore mnist` found out."""
    print_field("accuracy", [_accuracy(facts, facts["samples"])])
    if "float" in facts:
        before = facts["float"]
        changed = count_of(before["labels_changed"], "label")
        print_field(
            before["dtype"], [f"{_accuracy(before, facts['samples'])}; {changed} changed by 8 bits"]
        )
    print()
    _print_table(facts["timings"])
    print()
    print_field("bits", [_verdict(facts)])


def _accuracy(facts: dict[str, Any], samples: int) -> str:
    # The count is written as a bare number: easy to find, easy to copy.
    return f"{facts['right']} of {samples} right ({100 * facts['accuracy']:.2f} %)"


def print_bench_data(data: dict[str, Any]) -> None:
    """Print what `nncore bench` runs on."""
    name = {"found": "MNIST's test set", "drawn": "digits that nncore drew"}.get(data["source"])
    kind = f"{name} (MNIST {data['why']})" if name else data["why"]
    print_field("data", [f"{count_of(data['samples'], 'sample')}: {kind}"])


def print_bench(facts: dict[str, Any]) -> None:
    """Print what `nncore bench` found out."""
    peak, unit = facts["peak"], facts["unit"]
    print_field("peak", [_peak_line(peak, facts["network"]["dtype"], unit)])
    for entry in facts["inputs"]:
        print(f"\n{entry['dtype']} inputs, {100 * entry['nonzero']:.0f} % of them not zero")
        _print_bench_table(entry["timings"], unit)
    print()
    print_field(
        unit,
        [
            "2 x the multiply-adds of a dense computation x samples a second. Zeros in "
            "the input are skipped, so the share of the peak may exceed 100 %"
        ],
    )
    if peak["cores"] > 1:
        least = f"{facts['shared_from_multiply_adds']:,.0f}"
        print_field(
            "of peak",
            [
                f"of the cores that share a call, up to {peak['cores']}; calls of less than "
                f"{least} multiply-adds run on one"
            ],
        )
    print_field("bits", [_bench_verdict(facts)])


def duration(seconds: float) -> str:
    """Return a time in microseconds, in another unit where that would be a long or a short one.

    Examples
    --------
    >>> duration(0.01863027), duration(2e-8)
    ('18.63 ms', '20.00 ns')
    """
    if seconds >= 1e-3:
        return f"{1e3 * seconds:,.2f} ms"
    if seconds >= 1e-7:
        return f"{1e6 * seconds:.2f} {microseconds_unit()}"
    return f"{1e9 * seconds:.2f} ns"


def _figures(value: float, decimals: int) -> str:
    """Return `value` with so many decimals, and with two figures if it is small.

    Examples
    --------
    >>> _figures(1234.56, 1), _figures(3.21, 1), _figures(0.01234, 1)
    ('1,234.6', '3.2', '0.012')
    """
    return f"{value:,.{decimals}f}" if value >= 10 else f"{value:.2g}"


def machine_lines(facts: dict[str, Any]) -> list[str]:
    """Return what a command runs on."""
    machine = facts["machine"]
    available = ", ".join(machine["available_instruction_sets"])
    threads = count_of(facts["threads"], "thread")
    lines = [f"{machine['instruction_set']} instructions (this CPU has {available}), {threads}"]
    if facts["network"]["dtype"] == "int8":
        kernels = ", ".join(machine["available_int8_kernels"])
        lines.append(f"{machine['int8_kernel']} kernel for 8 bits (this CPU has {kernels})")
    return lines


def _peak_line(peak: dict[str, Any], dtype: str, unit: str) -> str:
    one = f"{peak['gflops_one_core']:,.1f} {unit} of {dtype} multiply-adds on one core"
    if peak["cores"] == 1:
        return one
    return f"{one}, {peak['gflops']:,.1f} on {peak['cores']}"


def _print_bench_table(timings: list[dict[str, Any]], unit: str) -> None:
    columns = [
        *_time_columns(timings, 13, 11, 8),
        Column(unit, unit, [_figures(row["gflops"], 1) for row in timings], 8, 2),
        Column(
            "of peak", "peak", [f"{_figures(100 * row['share_of_peak'], 0)} %" for row in timings],
            7, 1,
        ),
    ]  # fmt: skip
    _print_rows(columns, timings)


def _time_columns(
    timings: list[dict[str, Any]], time: int, rate: int, speedup: int
) -> list[Column]:
    """Return what both tables begin with; the numbers are the widths of the columns."""
    took = [duration(row["seconds_per_sample"]) for row in timings]
    rates = [f"{row['samples_per_second']:,.0f}" for row in timings]
    speedups = [f"{row['speedup']:.2f}x" for row in timings]
    long = "samples a second" if rate > 11 else "samples/s"
    return [
        Column("", "", [row["way"] for row in timings], left=True),
        Column("time a sample", "time", took, time),
        Column(long, "samples/s", rates, rate, 3),
        Column("speed-up", "speed-up", speedups, speedup, 4),
    ]


def _print_rows(columns: list[Column], timings: list[dict[str, Any]]) -> None:
    for line in table(columns, text_width()):
        print(line)
    _print_passes(timings)


def _bench_verdict(facts: dict[str, Any]) -> str:
    if facts["same_bits"]:
        return "the same, byte for byte, one by one and in every batch size"
    wrong = [
        f"{entry['dtype']} {row['way']}"
        for entry in facts["inputs"]
        for row in entry["timings"]
        if not row["same_bits"]
    ]
    return f"DIFFERENT from one by one: {', '.join(wrong)}. Please report this"


def _print_table(timings: list[dict[str, Any]]) -> None:
    right = Column("right", "right", [str(row["right"]) for row in timings], 0, 1)
    _print_rows([*_time_columns(timings, 15, 17, 9), right], timings)


def _print_passes(timings: list[dict[str, Any]]) -> None:
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
