"""One epoch of training, nncore beside its peers: `python -m benchmarks.training`.

Everyone gets the same images as float32 in [0, 1], the same order of the samples in each epoch,
the same first weights, Adam at 1e-3 and as many threads. Each lives in a process of its own,
stopped while others work, and pinned to one CPU for one thread; they take turns, an epoch each (see
workers.py for why). The accuracy after equal epochs is shown beside the times, so that nobody is
fast by learning less.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from . import machine, peers
from .options import at_least_one
from .trainers import Net
from .workers import command, cpus, environment

HERE = Path(__file__).parent
NETS = (
    Net((784, 50, 100, 10), 100),
    Net((784, 512, 512, 10), 128),
    Net((784, 300, 100, 10), 16),
)
PEERS = ("nncore", "jax", "torch", "sklearn")
TITLES = {
    "nncore": "nncore",
    "jax": "JAX, epoch jitted by `lax.scan`",
    "torch": "PyTorch eager, fused Adam",
    "sklearn": "scikit-learn `MLPClassifier`",
}


class Result(NamedTuple):
    """What one peer did in one network: seconds of each epoch timed, accuracy after all."""

    seconds: list[float]
    accuracy: float
    version: str


class Learner:
    """A process that trains with one peer, stopped except while it runs an epoch."""

    def __init__(self, peer: str, net: Net, threads: int) -> None:
        self.process = subprocess.Popen(
            [*command("trainers", threads), peer, json.dumps(net), str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=None if os.environ.get("NNCORE_BENCH_DEBUG") else subprocess.DEVNULL,
            text=True, cwd=HERE.parent, env=environment(threads),
        )  # fmt: skip
        self.version = self._answer()["version"]

    def ask(self, order: str) -> dict[str, Any]:
        """`epoch` or `accuracy`; RuntimeError if the process ended."""
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the process ended; NNCORE_BENCH_DEBUG=1 shows why")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        self.process.send_signal(signal.SIGSTOP)
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def race(net: Net, names: list[str], epochs: int, threads: int) -> dict[str, Result | str]:
    """Train with each peer in turn; the first epoch, with compiling and cold caches, is not timed.

    A peer that cannot run has the reason in place of a result.
    """
    results: dict[str, Result | str] = {}
    learners: dict[str, Learner] = {}
    seconds: dict[str, list[float]] = {}
    try:
        for name in names:
            try:
                learners[name] = Learner(name, net, threads)
            except RuntimeError as error:
                results[name] = str(error)
        for epoch in range(epochs + 1):
            # Another one first in every round.
            order = list(learners)
            turn = epoch % max(1, len(order))
            for name in order[turn:] + order[:turn]:
                took = learners[name].ask("epoch")["seconds"]
                if epoch:
                    seconds.setdefault(name, []).append(took)
        for name, learner in learners.items():
            accuracy = learner.ask("accuracy")["accuracy"]
            results[name] = Result(seconds[name], accuracy, learner.version)
    finally:
        for learner in learners.values():
            learner.stop()
    return {name: results[name] for name in names}


def page(run: dict[str, Any]) -> str:
    """A stored run as a page."""
    about = run["machine"]
    lines = [
        "# Training",
        "",
        f"One epoch over 60,000 images ({run['source']}), Adam at 1e-3; one thread is one CPU;",
        f"median of {run['epochs']} epochs, after a first one that is not timed. Same order of the",
        "samples and same first weights (scikit-learn draws its own).",
        f"{about['processor']}, Python {about['python']}.",
        "Made by `python -m benchmarks.training`.",
    ]
    for cell in run["cells"]:
        net = Net(*cell["net"])
        base = cell["peers"].get("nncore", {}).get("seconds")
        threads = "one thread" if cell["threads"] == 1 else f"{cell['threads']} threads"
        lines += ["", f"## {net.name}, {threads}", ""]
        lines += [
            f"| | s an epoch | times nncore's | test accuracy after {run['epochs'] + 1} epochs |"
        ]
        lines += ["|---|---:|---:|---:|"]
        for name, result in cell["peers"].items():
            if "missing" in result:
                lines += [f"| {TITLES[name]} | skipped: {result['missing']} | | |"]
                continue
            took = median(result["seconds"])
            ratio = f"{took / median(base):.2f}" if base else "-"
            title = f"{TITLES[name]} {result['version']}"
            lines += [f"| {title} | {took:.3f} | {ratio} | {100 * result['accuracy']:.2f} % |"]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=7, help="timed, for each network and peer")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--nets", nargs="+", choices=[net.name for net in NETS], default=[])
    parser.add_argument(
        "--threads", nargs="+", type=at_least_one, metavar="N",
        help="of everybody, one table each (default: 1 and all CPUs)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=HERE / "training.json")
    parser.add_argument("--page", type=Path, default=HERE / "TRAINING.md")
    arguments = parser.parse_args()
    try:
        peers.require_nncore()  # whoever trains: images and their order come from it
    except peers.Missing as error:
        parser.exit(1, f"{error}\n")
    cells = []
    wanted = [net for net in NETS if not arguments.nets or net.name in arguments.nets]
    for net, threads in itertools.product(wanted, arguments.threads or sorted({1, len(cpus())})):
        print(f"{net.name}, threads: {threads} ...", file=sys.stderr, flush=True)
        found = race(net, arguments.peers, arguments.epochs, threads)
        cells.append({"net": net, "threads": threads, "peers": {
            name: {"missing": result} if isinstance(result, str) else result._asdict()
            for name, result in found.items()
        }})  # fmt: skip
    from .trainers import source

    run = {
        "epochs": arguments.epochs, "source": source(), "machine": machine.describe(),
        "cells": cells,
    }  # fmt: skip
    arguments.output.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    text = page(run)
    arguments.page.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
