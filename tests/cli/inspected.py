"""Networks to inspect, and what `nncore inspect` prints taken apart again."""

from __future__ import annotations

import re

import numpy as np

import nncore
from nncore import Dense, Network

CLASSIC = Network.from_arrays(
    [
        np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]]),
        np.array([[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]),
        np.array([[0.1, 0.3], [0.2, 0.4]]),
    ],
    [np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.2]), np.array([0.1, 0.2])],
    ["sigmoid", "sigmoid", "identity"],
)
XOR = Network.from_arrays(
    [np.ones((2, 2)), np.array([[1.0], [-2.0]])],
    [np.array([0.0, -1.0]), np.array([0.0])],
    ["relu", "identity"],
)
FLOWERS = ["setosa", "versicolor", "virginica"]
NETWORKS = {
    "classic": CLASSIC,
    "xor": XOR,
    "logits": Network(
        [
            nncore.Normalization([5.8, 3.0, 3.7, 1.2], [0.8, 0.4, 1.7, 0.7]),
            Dense(4, 8, "tanh"),
            Dense(8, 3),
        ],
        seed=0,
        classes=FLOWERS,
    ),
    "log": Network([Dense(4, 8, "elu"), Dense(8, 3, "log_softmax")], seed=0, classes=FLOWERS),
    "binary": Network([Dense(4, 8, "relu"), Dense(8, 1, "sigmoid")], seed=0, classes=["no", "yes"]),
    "several": Network([Dense(4, 5, "relu"), Dense(5, 4, "sigmoid")], seed=1),
    "regression": Network([Dense(4, 8, "gelu"), Dense(8, 1)], seed=0),
    "wide": Network(
        [Dense(64, 300, "relu"), Dense(300, 250, "tanh"), Dense(250, 40, "softmax")], seed=0
    ),
    "korean": Network(
        [Dense(2, 3, "tanh"), Dense(3, 3, "softmax")], seed=0, classes=["고양이", "강아지", "말"]
    ),
}
INPUTS = {
    **dict.fromkeys(NETWORKS, "1.5,-2,0.25,4"),
    **dict.fromkeys(("classic", "xor", "korean"), "1,0.5"),
    "wide": ",".join(f"{i % 7 - 2.5}" for i in range(64)),
}

_TITLE = re.compile(r"(input|layer \d+): |(probabilities)(?= |$)")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?(?:e[-+]\d+)?|inf)|nan")


def blocks(text):
    """Return the blocks of an output, wherever they stand: name -> lines below the name."""
    found = {}
    group = []  # of one row of blocks: name, where it begins
    for line in text.splitlines():
        titles = list(_TITLE.finditer(line))
        if titles:
            group = [(each[1] or each[2], each.start()) for each in titles]
        elif not line:
            group = []
        ends = [*(start for _, start in group[1:]), None]
        for (name, start), end in zip(group, ends[: len(group)], strict=True):
            found.setdefault(name, []).append(line[start:end].rstrip())
    return {name: [line for line in lines if line] for name, lines in found.items()}


def rows(lines):
    """Return the rows of a block's table: whether it is marked, its words, its last two numbers.

    Bars are of block characters, or of # and -.
    """
    table = []
    for line in lines:
        words = re.sub(r"[█▏▎▍▌▋▊▉▒]+|#+$|(?<= )-+$", "", line).split()
        marked = words[:1] == [">"]
        words = words[marked:]
        if len(words) > 2 and all(_NUMBER.fullmatch(word) for word in words[-2:]):
            table.append((marked, words[:-2], [float(word) for word in words[-2:]]))
    return table


def nodes(lines):
    """Return the nodes of a layer's block as a dict: index -> (weighted sum, activation)."""
    return {int(words[0]): tuple(numbers) for _, words, numbers in rows(lines) if words}
