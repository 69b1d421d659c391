"""`nncore bench`: how fast this machine runs a network, one by one and in batches.

The short form of the benchmark suite: one network, no peers, and the share of the peak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nncore.cli._common import (
    add_activations_option,
    add_json_option,
    add_threads_option,
    network_facts,
    print_json,
    threads_set,
)

if TYPE_CHECKING:
    import argparse

    from nncore import Network, QuantizedNetwork
    from nncore.cli._bench_network import Work
    from nncore.cli._measure import Way
    from nncore.cli._peak import Peak

HELP = "measure the speed one by one and in batches, beside the machine's peak"
DESCRIPTION = """\
Run a network one by one and in batches of 8, 32, 100, 1,000 and all, given
floats and given bytes, and print how long a sample takes and what share of the
machine's peak of multiply-adds that is. It takes less than ten seconds, and
longer where a network has hundreds of millions of weights or comes from a large
file.

The inputs are MNIST's test images where they are on this machine, else digits
that nncore draws; nothing is downloaded. A network that does not take 784
inputs gets random bytes. --int8 runs the network in whole numbers of 8 bits,
beside the peak of such multiply-adds. The exit code is 1 if one by one and batches differ
in any bit."""

BATCH_SIZES = (8, 32, 100, 1000)
TIME_BUDGET = 1.0  # seconds for the timed passes of each kind of input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add = parser.add_argument
    add(
        "--layers",
        metavar="SIZES",
        help="sizes of a network of random weights (default: 784,50,100,10)",
    )
    add(
        "--activation",
        metavar="NAME",
        help="of its hidden layers (default: sigmoid); the last has softmax",
    )
    add("--dtype", choices=("float32", "float64"), help="(default: float32, or that of the file)")
    add("--int8", action="store_true", help="quantize the network, and run that")
    add("--weights", metavar="FILE", help="run the network of this file instead")
    add_activations_option(parser)
    add_threads_option(parser)
    add_json_option(parser)


def run(options: argparse.Namespace) -> int:
    """Measure and print; return the exit code."""
    with threads_set(options.threads):
        facts = gather(options)
    if options.json:
        print_json(facts)
    else:
        from nncore.cli._report import print_bench

        print_bench(facts)
    return 0 if facts["same_bits"] else 1


def gather(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, and return the facts as `--json` prints them; else print what is known before."""
    from functools import partial

    import nncore
    from nncore import _table
    from nncore._cpus import usable_cpus
    from nncore._table import parallel_min
    from nncore.cli import _bench_network as bench_network
    from nncore.cli._measure import batch_sizes_for, measure
    from nncore.cli._peak import Peak
    from nncore.cli._report import print_begin, print_bench_data

    loaded = bench_network.network_of(options)
    multiply_adds = bench_network.multiply_adds_of(loaded.net)
    begin = {
        "command": "bench",
        "network": {
            **network_facts(loaded),
            **({"dtype": "int8", "weight_type": "int8"} if options.int8 else {}),
            "multiply_adds_per_sample": multiply_adds,
        },
        "machine": nncore.info(),
        "threads": nncore.get_num_threads(),
        "weights": "hot",
    }
    if not options.json:
        print_begin(begin, "one by one and in batches, beside the machine's peak")
    pixels, data = bench_network.pixels_of(loaded.net.in_features)
    works = bench_network.works_of(loaded.net, pixels, options.int8)
    n = bench_network.samples_for(works[0])
    data = {**data, "samples": n}
    if not options.json:
        print_bench_data(data)
    is_double = loaded.net.dtype == "float64"
    peak = Peak(_table.int8_probe if options.int8 else partial(_table.fma_probe, is_double))
    sizes = batch_sizes_for(n, None, BATCH_SIZES)
    runs = [
        measure(work.net, work.x[:n], None, sizes, TIME_BUDGET, between=peak.run) for work in works
    ]
    cores = min(nncore.get_num_threads(), usable_cpus())
    return {
        **begin,
        "data": data,
        "peak": _peak_facts(peak, cores),
        "unit": "GOP/s" if options.int8 else "GFLOP/s",  # of all rates below and above
        "shared_from_multiply_adds": parallel_min(),
        "inputs": [
            _input_facts(work, ways, n, multiply_adds, peak, cores)
            for work, ways in zip(works, runs, strict=True)
        ],
        "same_bits": all(way.same_bits for ways in runs for way in ways),
    }


def _peak_facts(peak: Peak, cores: int) -> dict[str, Any]:
    one_core = 2e-9 * peak.multiply_adds_per_second
    return {"gflops_one_core": one_core, "cores": cores, "gflops": one_core * cores}


def cores_of(net: Network | QuantizedNetwork, samples: int, cores: int) -> int:
    """Return how many of `cores` share a call with so many samples."""
    from nncore._engine import threads_for

    # A network with a callable for an activation has no plan, and runs layer by layer.
    return 1 if net._plan is None else min(cores, threads_for(net._plan, samples))


def _input_facts(
    work: Work, ways: list[Way], n: int, multiply_adds: int, peak: Peak, cores: int
) -> dict[str, Any]:
    timings = []
    for way in ways:
        rate = multiply_adds / way.seconds_per_sample
        used = cores_of(work.net, way.batch_size or 1, cores)
        timings.append(
            {
                "way": way.name,
                "batch_size": way.batch_size,
                "seconds_per_sample": way.seconds_per_sample,
                "best_seconds_per_sample": way.best_seconds_per_sample,
                "samples_per_second": 1 / way.seconds_per_sample,
                "speedup": ways[0].seconds_per_sample / way.seconds_per_sample,
                "gflops": 2e-9 * rate,
                "share_of_peak": rate / (peak.multiply_adds_per_second * used),
                "cores": used,
                "passes": way.passes,
                "same_bits": way.same_bits,
            }
        )
    return {
        "dtype": str(work.x.dtype),
        "nonzero": float((work.x[:n] != 0).mean()),
        "timings": timings,
    }
