"""Attack nncore with random networks, inputs, trainings and damaged files.

Usage: python tools/attack [--seconds 60 | --trials N] [--seed N] [--only TRIAL] [--kinds KIND ...]

Every trial is drawn from the seed and its own number. One process for each instruction set of this
machine runs the same trial; in each of them results are compared bit for bit between batches, rows,
memory layouts and numbers of threads, and with double precision within a derived bound. Then the
processes' results are compared with each other, again bit for bit. A process that crashes or does
not answer is a finding, too. The first finding ends the attack with exit code 1 and a line that
repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import secrets
import select
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ANSWER_SECONDS = 300  # no trial takes more than a few, even with sanitizers


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tools/attack", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--trials", type=int, metavar="N", help="so many, however long it takes")
    parser.add_argument("--seed", type=int, help="of everything that is drawn (default: random)")
    parser.add_argument("--only", type=int, metavar="TRIAL", help="run this one trial and stop")
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="of trials (default: all)")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first finding")
    parser.add_argument(
        "--hash-only", action="store_true", help="print one hash of all results, to compare builds"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# ---- a worker: one process, one instruction set


def run_trial(seed: int, number: int, kinds: list[str] | None, is_first: bool) -> str:
    """Run one trial; return its kind and a hash of its results, or what it has found."""
    import numpy as np
    from trials import TRIALS

    import nncore
    from nncore.formats.arrays import ActivationsAssumed

    known = {name: trial for name, trial in TRIALS.items() if kinds is None or name in kinds}
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(list(known)))
    if known[kind].only_first and not is_first:
        return f"{kind} -"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # What is drawn looks like scaled pixels, and damaged files like those of W1, b1, ...
            warnings.simplefilter("ignore", nncore.ScalingWarning)
            warnings.simplefilter("ignore", ActivationsAssumed)
            return f"{kind} {known[kind].run(rng)}"
    except BaseException:  # whatever it is, it is a finding
        return f"{kind} FAILED\n{traceback.format_exc()}"


def work(options: argparse.Namespace) -> None:
    """Answer each trial's number with one line, for as long as there are any."""
    import faulthandler

    faulthandler.enable()
    sys.path[1:1] = [str(ROOT), str(ROOT / "tests")]
    is_first = os.environ.get("ATTACK_FIRST") == "1"
    for line in sys.stdin:
        answer = run_trial(options.seed, int(line), options.kinds, is_first)
        print(answer.replace("\n", "\x1f"), flush=True)


# ---- the parent: it draws nothing, and survives what it finds


class Worker:
    """A process that runs trials under one instruction set."""

    def __init__(self, options: argparse.Namespace, instruction_set: str, is_first: bool) -> None:
        self.name = instruction_set
        command = [sys.executable, str(HERE), "--worker", "--seed", str(options.seed)]
        command += ["--kinds", *options.kinds] if options.kinds else []
        settings = {
            "NNCORE_ISA": instruction_set,
            "NNCORE_PARALLEL_MIN": "0",
            "ATTACK_FIRST": str(int(is_first)),
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.process = subprocess.Popen(
            command,
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def ask(self, number: int) -> None:
        with contextlib.suppress(BrokenPipeError):  # answer() says what has become of the process
            print(number, file=self.process.stdin, flush=True)

    def answer(self) -> str:
        """Return the worker's line, or what has become of it."""
        if not select.select([self.process.stdout], [], [], ANSWER_SECONDS)[0]:
            self.process.kill()
            self.process.wait()
            return f"FAILED\nno answer within {ANSWER_SECONDS} seconds"
        line = self.process.stdout.readline().rstrip("\n")
        if line:
            return line.replace("\x1f", "\n")
        code = self.process.wait()
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"FAILED\nthe process has ended: {reason}"

    def stop(self) -> None:
        """End the process; it has answered, or is gone."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def instruction_sets(log: IO[str]) -> list[str]:
    sys.path.insert(1, str(ROOT))
    import nncore

    print(f"nncore {nncore.__version__} of {Path(nncore.__file__).parent}", file=log)
    return nncore.info()["available_instruction_sets"]


def finding(workers: list[Worker], answers: list[str]) -> str | None:
    """Return what is wrong with the answers to one trial; None if nothing is."""
    for worker, answer in zip(workers, answers, strict=True):
        if "FAILED" in answer.partition("\n")[0]:
            return f"{worker.name}: {answer}"
    results = {worker.name: answer for worker, answer in zip(workers, answers, strict=True)}
    hashes = {answer for answer in answers if not answer.endswith(" -")}
    if len(hashes) > 1:
        return f"other bits under another instruction set: {results}"
    return None


def attack(options: argparse.Namespace) -> int:
    log = sys.stderr if options.hash_only else sys.stdout
    names = instruction_sets(log)
    effort = f"{options.trials} trials" if options.trials else f"{options.seconds:g} seconds"
    print(f"seed {options.seed}, {effort}, instruction sets: {' '.join(names)}", file=log)

    def start() -> list[Worker]:
        return [Worker(options, name, name == names[0]) for name in names]

    workers = start()
    end = time.monotonic() + options.seconds
    first = number = options.only or 0
    findings = 0
    done: Counter[str] = Counter()
    results = hashlib.sha256()
    while True:
        for worker in workers:
            worker.ask(number)
        answers = [worker.answer() for worker in workers]
        found = finding(workers, answers)
        if found:
            findings += 1
            kinds = f" --kinds {' '.join(options.kinds)}" if options.kinds else ""
            print(f"FOUND by trial {number}: {found}", file=log)
            print(
                f"again: python tools/attack --seed {options.seed} --only {number}{kinds}", file=log
            )
            for worker in workers:
                worker.stop()
            if not options.go_on:
                return 1
            workers = start()
        done[answers[0].split()[0]] += 1
        results.update(answers[0].encode())
        number += 1
        if options.only is not None:
            break
        if number - first >= options.trials if options.trials else time.monotonic() > end:
            break
    for worker in workers:
        worker.stop()
    counts = dict(sorted(done.items()))
    print(f"{done.total()} trials, {findings or 'nothing'} found: {counts}", file=log)
    if options.hash_only:
        print(results.hexdigest()[:16])
    return bool(findings)


if __name__ == "__main__":
    chosen = parse()
    if chosen.seed is None:
        chosen.seed = secrets.randbelow(10**9)
    if chosen.worker:
        work(chosen)
    else:
        sys.exit(attack(chosen))
