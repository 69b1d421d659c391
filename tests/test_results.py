"""What a page tells of a test set, against counts that are made one by one."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

import nncore
from nncore.page.results import MOST_MISTAKES, results_of

LABELS = nncore.datasets.make_digits(300, seed=12)[1]
IMAGES = nncore.datasets.make_digits(300, seed=12)[0].reshape(-1, 784)


def network(activation="softmax", scale=1 / 255, **options):
    front = [nncore.Rescaling(scale)] if scale else []
    dense = [nncore.Dense(784, 20, "relu"), nncore.Dense(20, 10, activation)]
    return nncore.Network([*front, *dense], seed=4, **options)


def shown(net, images=IMAGES, labels=LABELS, **options):
    """The results as the page's script reads them."""
    return json.loads(json.dumps(results_of(net, images, labels, **options), allow_nan=False))


def test_the_matrix_counts_each_image_once():
    net = network()
    counted = np.zeros((10, 10), int)
    for image, label in zip(IMAGES, LABELS, strict=True):
        counted[label, net.predict(image)] += 1
    assert shown(net)["matrix"] == counted.tolist()


@pytest.mark.parametrize("activation", ["softmax", "log_softmax", "sigmoid", "identity"])
def test_the_mistakes_are_the_most_confident_ones_in_order(activation):
    net = network(activation)
    found = shown(net)
    outputs = net(IMAGES)
    if activation == "log_softmax":
        outputs = nncore.softmax(net.logits(IMAGES))
    best = [(float(row.max()), -i) for i, row in enumerate(outputs) if row.argmax() != LABELS[i]]
    expected = sorted(best, reverse=True)[:MOST_MISTAKES]
    assert len(best) > MOST_MISTAKES == len(found["mistakes"])
    assert [(one["output"], -one["index"]) for one in found["mistakes"]] == expected
    assert found["probabilities"] is (activation != "identity")
    for one in found["mistakes"]:
        assert one["actual"] == LABELS[one["index"]]
        assert one["predicted"] == outputs[one["index"]].argmax()


def test_the_images_are_those_of_the_mistakes():
    found = shown(network())
    images = np.frombuffer(base64.b64decode(found["images"]), np.uint8).reshape(-1, 784)
    np.testing.assert_array_equal(images, IMAGES[[one["index"] for one in found["mistakes"]]])


def test_pixels_are_divided_for_a_network_that_does_not_scale_them():
    scaled, plain = network(), network(scale=None)
    kept = shown(plain, divisor=255)
    assert kept["divisor"] == 255
    assert {**kept, "divisor": 1} == shown(scaled)
    assert shown(plain)["mistakes"] != kept["mistakes"]


def test_no_mistakes():
    net = network()
    found = shown(net, labels=net.predict(IMAGES))
    assert found["mistakes"] == []
    assert found["images"] == ""
    assert np.trace(found["matrix"]) == 300


def test_one_image():
    found = shown(network(), IMAGES[:1], LABELS[:1])
    assert np.sum(found["matrix"]) == 1


def test_names_are_texts():
    assert shown(network())["names"] == list("0123456789")
    names = ["zero", "<b>one</b>", *map(str, range(2, 10))]
    assert shown(network(classes=names))["names"] == names
    assert shown(network(classes=np.arange(10) / 2))["names"][1] == "0.5"


class Broken:
    """A network that gives NaN for a black image, and infinity for a white one."""

    classes = None

    def __call__(self, x):
        return np.stack([np.where(x == 0, np.nan, np.where(x == 1, np.inf, x)), 0 * x], 1)

    def predict_proba(self, x):
        raise ValueError("the last activation gives none")


def test_outputs_that_are_not_finite_are_left_out_and_nan_comes_last():
    found = shown(Broken(), np.array([0, 7, 1, 9], np.uint8), np.ones(4, int))
    mistakes = [(one["index"], one["output"]) for one in found["mistakes"]]
    assert mistakes == [(2, None), (3, 9.0), (1, 7.0), (0, None)]
    assert found["matrix"] == [[0, 0], [4, 0]]


def test_facts_and_times_are_taken_over():
    rows = [{"batch_size": None, "seconds_per_sample": 1e-6, "right": 7}]
    found = shown(network(), timings=rows, is_mnist=False)
    assert found["timings"] == [{"batch_size": None, "seconds_per_sample": 1e-6}]
    assert found["is_mnist"] is False
