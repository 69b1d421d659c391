"""nncore.sklearn beside scikit-learn's perceptrons: fit, predict, and how right they are.

`python -m benchmarks.estimators` prints a table in Markdown. Both estimators get the same data, the
same parameters and the same random numbers, and take turns in one process; ratios are of medians.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from .workers import cpus, environment

BEGIN, END = "<!-- python -m benchmarks.estimators -->", "<!-- end of the table -->"
HEAD = (
    "| data | | nncore.sklearn | scikit-learn | times as fast |",
    "|---|---|--:|--:|--:|",
)
BATCH = 10_000


class Task(NamedTuple):
    """Data to learn from and to be measured with, and the parameters of the estimator."""

    name: str
    kind: str
    x: Any
    y: Any
    x_test: Any
    y_test: Any
    options: dict[str, Any]
    rounds: int


def bundled() -> Iterator[Task]:
    """The data sets that come with scikit-learn: a quarter of each is kept to measure with."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    for name, load, kind, unit, rate in (
        ("digits", load_digits, "MLPClassifier", "pixels", 0.001),
        ("breast cancer", load_breast_cancer, "MLPClassifier", "features", 0.001),
        ("diabetes", load_diabetes, "MLPRegressor", "features", 0.02),
    ):
        x, y = load(return_X_y=True)
        x, x_test, y, y_test = train_test_split(x, y, random_state=0)
        scaler = StandardScaler().fit(x)
        title = f"{name}, {len(x):,} of {x.shape[1]} {unit}"
        yield Task(title, kind, scaler.transform(x), y, scaler.transform(x_test), y_test,
                   {"max_iter": 100, "learning_rate_init": rate}, 7)  # fmt: skip


def mnist() -> Iterator[Task]:
    """MNIST, where its files are."""
    from nncore.datasets import load_mnist

    try:
        (x, y), (x_test, y_test) = load_mnist(os.environ["NNCORE_DATA_HOME"])
    except (KeyError, OSError) as error:
        print(f"SKIPPED: MNIST ({error}); set NNCORE_DATA_HOME", file=sys.stderr)
        return
    yield Task("MNIST, 60,000 of 784 pixels, float32", "MLPClassifier", x, y, x_test, y_test,
               {"max_iter": 3}, 3)  # fmt: skip


def take_turns(calls: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Return the median seconds of each call; another one is first in every round."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds):
        for i in range(len(calls)):
            which = (i + turn) % len(calls)
            start = time.perf_counter()
            calls[which]()
            times[which].append(time.perf_counter() - start)
    return [median(values) for values in times]


def repeated(call: Callable[[Any], Any], x: Any, times: int) -> Callable[[], None]:
    """Return a function that makes so many calls."""

    def run() -> None:
        for _ in range(times):
            call(x)

    return run


def rows_of(task: Task) -> Iterator[str]:
    """Measure a task; return the lines of its part of the table."""
    import numpy as np
    import sklearn.neural_network

    import nncore.sklearn

    modules = (nncore.sklearn, sklearn.neural_network)
    models = [getattr(m, task.kind)(random_state=0, **task.options) for m in modules]
    fits = [lambda model=model: model.fit(task.x, task.y) for model in models]
    yield line(task.name, f"fit, {task.options['max_iter']} epochs", take_turns(fits, task.rounds))
    one = task.x_test[:1]
    calls = [repeated(model.predict, one, 100) for model in models]
    yield line("", "predict one row", [t / 100 for t in take_turns(calls, 21)])
    many = np.ascontiguousarray(np.resize(task.x_test, (BATCH, task.x_test.shape[1])))
    calls = [repeated(model.predict, many, 1) for model in models]
    yield line("", f"predict {BATCH:,} rows", take_turns(calls, 15))
    scores = [model.score(task.x_test, task.y_test) for model in models]
    what = "accuracy" if task.kind == "MLPClassifier" else "R²"
    texts = [f"{s:.2%}".replace("%", " %") if what == "accuracy" else f"{s:.4f}" for s in scores]
    yield f"| | {what} on what was kept | {texts[0]} | {texts[1]} | |"


def line(name: str, what: str, seconds: list[float]) -> str:
    """Return a line of the table."""
    ours, theirs = seconds
    return f"| {name} | {what} | {spoken(ours)} | {spoken(theirs)} | {theirs / ours:.1f} |"


def spoken(seconds: float) -> str:
    """Return a time with its unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def table(threads: int) -> str:
    """Measure everything; return the table and what it was measured with."""
    import numpy as np
    import sklearn

    import nncore

    lines = [*HEAD]
    for source in (bundled, mnist):
        for task in source():
            for text in rows_of(task):
                lines.append(text)
                print(text, file=sys.stderr)
    many = f"{threads} threads" if threads > 1 else "one thread"
    lines += [
        "",
        f"(scikit-learn {sklearn.__version__}, NumPy {np.__version__}, "
        f"{nncore.info()['instruction_set']}, {many}; medians of calls in turns.)",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimators", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="of each library (default: 1)")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="PAGE",
        help="a Markdown page: the table between its two marks is replaced",
    )
    given = parser.parse_args()
    os.environ.update(environment(given.threads))  # before NumPy is imported
    if given.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cpus()[-1]})
    warnings.simplefilter("ignore")  # that a hundred epochs are not enough is known
    found = table(given.threads)
    if given.into is None:
        print(found)
        return
    page = given.into.read_text()
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{given.into} has no place for the table: {BEGIN} and {END}")
    given.into.write_text(f"{before}{BEGIN}\n{found}\n{END}{after}")


if __name__ == "__main__":
    main()
