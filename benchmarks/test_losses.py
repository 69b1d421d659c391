"""`python -m benchmarks.losses`: what is counted, and how the page shows it."""

from __future__ import annotations

import numpy as np
import pytest

from . import losses, nets, peers


def test_right_and_changed_labels_are_counted_apart() -> None:
    truth, plain = np.array([1, 2, 3, 4]), np.array([1, 2, 0, 0])
    assert losses.count(plain, plain, truth) == (2, 0)
    assert losses.count(np.array([1, 0, 3, 5]), plain, truth) == (2, 3)


def test_the_page_has_the_mean_and_the_largest_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "version", lambda name: "1.0")
    rows = [
        ("784-16-10 relu, 0", 9500, {"nncore int8": (9498, 12)}),
        ("784-16-10 relu, 1", 9510, {"nncore int8": (9511, 3)}),
    ]
    text = losses.page(rows, ["nncore int8"], 4)
    assert "| 784-16-10 relu, 0 | 9500 | 9498 (12) |" in text
    assert "| **mean loss, points** |  | **0.005** |" in text
    assert "| **largest loss, points** |  | **0.020** |" in text
    assert "| **changed labels, mean** |  | **7.5** |" in text
    assert "2 networks after 4 epochs" in text


def test_a_peer_predicts_as_the_trained_network_does() -> None:
    pytest.importorskip("ai_edge_quantizer", reason="LiteRT's int8 needs it")
    x = nets.uniform((losses.BATCH, 784), 3)
    labels = np.arange(losses.BATCH) % 10
    net = losses.train(losses.SHAPES[0], 0, x, labels, 1)
    found = losses.predicted("litert int8", net, x, x[:100])
    assert found.shape == labels.shape
    assert (found == net.predict(x)).mean() > 0.8


def test_there_are_twenty_networks() -> None:
    assert 2 * len(losses.SHAPES) == 20
    assert {shape.activation for shape in losses.SHAPES} == {"relu", "tanh", "sigmoid"}
