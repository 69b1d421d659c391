"""The command line of `python -m benchmarks.run`."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import nets, peers

DESCRIPTION = "Runs the comparison, peers taking turns, and stores it as JSON."
SECTIONS = ("batches", "grid", "narrow", "labels", "presence")
DEFAULT_OUTPUT = Path(__file__).with_name("results.json")


def net_name(text: str) -> str:
    """The full name of a network of the grid, from that or from its sizes alone."""
    for net in nets.GRID:
        if text in (net.name, net.name.partition(" ")[0]):
            return net.name
    known = ", ".join(net.name for net in nets.GRID)
    raise argparse.ArgumentTypeError(f"network must be one of {known}; got {text!r}")


def at_least_one(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Every option, with the peers and networks to choose from at the end of `--help`."""
    result = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(
            [
                "peers:    " + "\n          ".join(f'"{name}"' for name in peers.MODULES),
                "networks: " + "\n          ".join(f'"{net.name}"' for net in nets.GRID),
                "",
                "A quick look:",
                "  --sections grid --batches 1 32 --threads 1 --rounds 3 --seconds 0.02",
            ]
        ),
    )
    add = result.add_argument
    add("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS),
        help="what to run: the classic network by batch size; six networks; fewer bits than "
             "float32, their times and the labels they get right; the cost of being there "
             "(default: all five)")  # fmt: skip
    add("--peers", nargs="+", choices=list(peers.MODULES), metavar="PEER",
        help="who takes part, of those below (default: all that are installed)")  # fmt: skip
    add("--nets", nargs="+", type=net_name, default=[], metavar="NET",
        help="networks, of those below; 4-120-84-2 will do, too (default: all)")  # fmt: skip
    add("--batches", nargs="+", type=at_least_one, default=[], metavar="N",
        help="samples in a call, of those that a section has (default: all)")  # fmt: skip
    add("--threads", nargs="+", type=at_least_one, metavar="N",
        help="threads every peer may use, one after another (default: 1 and all CPUs)")  # fmt: skip
    add("--rounds", type=at_least_one, default=9, metavar="N",
        help="turns of every peer in a cell (default: 9)")  # fmt: skip
    add("--seconds", type=float, default=0.05, metavar="S",
        help="length of a turn (default: 0.05)")  # fmt: skip
    add("--cold", action="store_true",
        help="empty the caches before each call (default: weights stay in them)")  # fmt: skip
    add("--avx2", action="store_true",
        help="keep nncore and every peer that can be told so to AVX2")  # fmt: skip
    add("--output", type=Path, default=DEFAULT_OUTPUT, metavar="FILE",
        help="JSON of the run, rewritten after each cell (default: results.json here)")  # fmt: skip
    return result
