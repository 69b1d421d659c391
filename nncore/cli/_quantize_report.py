"""Print what `nncore quantize` did and found out, for people, as wide as the terminal."""

from __future__ import annotations

from typing import Any

from nncore.cli._common import count_of, network_lines, print_field
from nncore.cli._report import duration, machine_lines
from nncore.cli._terminal import Column, plain, table, text_width

Row = tuple[str, str, str, str]  # a name, before, after, how many times less


def print_begin(facts: dict[str, Any]) -> None:
    """Print, before the work begins, what is quantized and with what."""
    import nncore

    data = facts["data"]
    print(f"nncore {nncore.__version__}: from floating point to 8 bits\n", flush=True)
    print_field("network", network_lines(facts["network"]))
    print_field("machine", machine_lines({**facts, "network": {"dtype": "int8"}}))
    test = count_of(data["test_samples"], "test sample")
    lines = [
        plain(data["why"]),
        f"calibrated with {data['calibration_samples']:,} of "
        f"{count_of(data['training_samples'], 'sample')}, method {facts['method']}",
        f"measured with {test}{'' if data['labels'] else ', which have no labels'}",
        f"values: {data['values']}",
    ]
    print_field("data", [*lines, *map(plain, data["notes"])])
    print(flush=True)


def print_quantized(facts: dict[str, Any]) -> None:
    """Print what came out."""
    for line in table(_columns(facts), text_width()):
        print(line)
    print(f"(medians of {count_of(facts['repeats'], 'repeat')} that alternate)\n")
    out = facts["out"]
    print_field("result", _verdict(facts))
    print_field("written", [plain(out["file"]) if out["written"] else "NOTHING"])


def _columns(facts: dict[str, Any]) -> list[Column]:
    rows = _quality_rows(facts)
    before, after = facts["bytes"]["before"], facts["bytes"]["after"]
    if after is not None:
        rows.append(("bytes of the file", f"{before:,}", f"{after:,}", f"{before / after:.2f}x"))
    rows.append(("time a sample", "", "", ""))
    for row in facts["times"]:
        name = "one by one" if row["batch"] == 1 else f"batches of {row['batch']:,}"
        gain = f"{row['before'] / row['after']:.2f}x"
        rows.append((f"  {name}", duration(row["before"]), duration(row["after"]), gain))
    names, befores, afters, gains = (list(column) for column in zip(*rows, strict=True))
    return [
        Column("", "", names, left=True),
        Column("before", "before", befores, 13),
        Column("after", "after", afters, 13),
        Column("gain", "gain", gains, 8, 1),
    ]


def _quality_rows(facts: dict[str, Any]) -> list[Row]:
    before, after = facts["before"], facts["after"]
    rows: list[Row] = []
    if facts["labels_changed"] is None:
        if before["rmse"] is not None:
            errors = (f"{before['rmse']:.5g}", f"{after['rmse']:.5g}")
            rows.append(("error (root mean square)", *errors, ""))
    else:
        if before["right"] is not None:
            right = (f"{before['right']:,}", f"{after['right']:,}")
            rows.append((f"right of {facts['data']['test_samples']:,}", *right, ""))
            shares = (f"{before['accuracy']:.2%}", f"{after['accuracy']:.2%}")
            rows.append(("accuracy", *shares, ""))
        rows.append(("labels changed", "", f"{facts['labels_changed']:,}", ""))
    largest = (f"{before['largest_logit']:.3g}", f"{after['largest_logit']:.3g}")
    rows.append(("largest logit of either sign", *largest, ""))
    rows.append(
        ("largest difference of a logit", "", f"{facts['largest_logit_difference']:.3g}", "")
    )
    return rows


def _verdict(facts: dict[str, Any]) -> list[str]:
    """Return in sentences what was lost, and what to do about it."""
    before, after, lost = facts["before"], facts["after"], facts["lost"]
    if lost is None:
        if before["rmse"] is None:
            return ["there are no values in the data to compare with"]
        if after["rmse"] <= before["rmse"]:
            return ["the error did not grow"]
        what = f"the error grew from {before['rmse']:.5g} to {after['rmse']:.5g}"
    elif lost <= 0:
        return ["no label changed" if before["right"] is None else "the accuracy did not fall"]
    elif before["right"] is None:
        what = f"{lost:.2%} of the labels changed"
    else:
        samples = count_of(before["right"] - after["right"], "sample")
        what = f"the accuracy fell by {100 * lost:.2g} points, which is {samples}"
    if not facts["out"]["written"]:
        what += f"; --max-drop allows {100 * facts['max_drop']:g}%"
    refuse = "" if lost is None or facts["max_drop"] is not None else (
        ", refuse such a network (--max-drop)"
    )  # fmt: skip
    return [
        f"{what}. If that is too much: calibrate with more samples (--samples) or with others, of "
        f"all kinds (--data), try another --method{refuse}, or keep the float network"
    ]
