"""What the tests of the page have in common: networks, and what is to be seen of them."""

from __future__ import annotations

import numpy as np

import nncore
from nncore import Dense, Network, Normalization, Rescaling


def classic(dtype="float64"):
    """The network of the texts: 2-3-2-2."""
    weights = [[[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]]
    weights.append([[0.1, 0.3], [0.2, 0.4]])
    biases = [[0.1, 0.2, 0.3], [0.1, 0.2], [0.1, 0.2]]
    activations = ["sigmoid", "sigmoid", "identity"]
    return Network.from_arrays(
        [np.array(w) for w in weights],
        [np.array(b) for b in biases],
        activations,
        dtype=dtype,
    )


def digits():
    x, _ = nncore.datasets.make_digits(4, seed=1)
    return nncore.load_pretrained("digits"), x[3]


def shown(value):
    """A number as the page shows it: 8 or 9 significant digits, as few as name a float32."""
    most = 8 if abs(value) < 1 else 9
    digits = range(1, most + 1) if isinstance(value, np.float32) else [most]
    candidates = [float(f"{float(value):.{count}g}") for count in digits]
    plain = next((each for each in candidates if np.float32(each) == value), candidates[-1])
    if plain == 0:
        return "0"
    if abs(plain) < 1e-4:
        mantissa, exponent = f"{plain:.7e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return np.format_float_positional(plain, trim="-")


def predicted(net, x):
    """The name of the class, or its number where classes have no names."""
    label = int(net.predict(x))
    return str(label if net.classes is None else net.classes[label])


def click(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def status(page):
    return page.locator("#status").text_content()


def node_texts(page):
    """The names of the nodes for a screen reader, which say what is shown in them."""
    nodes = page.locator("svg .node[role=button]").all()
    return [node.get_attribute("aria-label") for node in nodes]


def node(page, name):
    return page.locator(f"svg .node[aria-label^='{name}']")


KINDS = {
    "1-1": lambda: Network([Dense(1, 1)], seed=0),
    "a regression": lambda: Network([Dense(3, 4, "relu"), Dense(4, 1)], seed=0, dtype="float64"),
    "two classes": lambda: Network([Dense(3, 1, "sigmoid")], seed=0, classes=["no", "yes"]),
    "labels": lambda: Network([Dense(3, 4, "sigmoid")], seed=0, classes=["a", "b", "c", "d"]),
    "logits": lambda: Network([Dense(3, 4)], seed=0, classes=[10, 20, 30, 40]),
    "no bias": lambda: Network(
        [Dense(3, 4, "tanh", bias=False), Dense(4, 2, "log_softmax")], seed=0
    ),
    "deep": lambda: Network(
        [*(Dense(3, 3, "gelu") for _ in range(11)), Dense(3, 2, "softmax")], seed=0
    ),
    "wide": lambda: Network([Dense(3, 4096, "relu"), Dense(4096, 30, "softmax")], seed=0),
    "rescaled": lambda: Network([Rescaling(0.5, -1), Dense(3, 2)], seed=0),
    "normalized": lambda: Network([normalization(), Dense(3, 2, "softmax")], seed=0),
    "many inputs": lambda: Network([Dense(40, 3, "elu")], seed=0),
}


def normalization():
    return Normalization([0.5, 2.0, -1.0], [1.0, 3.0, 0.25])
