"""First weights: their spread, their angles, their seeds, and their bits pinned."""

from __future__ import annotations

import hashlib
import math
import re

import numpy as np
import pytest

import nncore
from nncore import initializers

SHAPES = [(1, 1), (1, 7), (7, 1), (5, 5), (300, 40), (40, 300)]
# What each promises for the variance of weights (k, m).
VARIANCES = {
    "zeros": lambda k, m: 0.0,
    "normal": lambda k, m: 0.01**2,
    "he": lambda k, m: 2 / k,
    "xavier": lambda k, m: 2 / (k + m),
    "lecun": lambda k, m: 1 / k,
    "orthogonal": lambda k, m: 1 / max(k, m),
}


@pytest.mark.parametrize("name", initializers.NAMES)
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_seed_and_object_by_name(name, shape):
    weights = initializers.draw(name, *shape, 3)
    assert weights.shape == shape
    assert weights.dtype == np.float64
    assert np.isfinite(weights).all()
    by_object = initializers.INITIALIZERS[name]()(*shape, 3)
    assert weights.tobytes() == by_object.tobytes()
    if name != "zeros" and shape != (1, 1):  # a single orthogonal number is 1 or -1
        assert weights.tobytes() != initializers.draw(name, *shape, 4).tobytes()


@pytest.mark.parametrize("name", initializers.NAMES)
@pytest.mark.parametrize("shape", [(300, 200), (200, 300)])
def test_variance(name, shape):
    weights = initializers.draw(name, *shape, 0)
    n = weights.size
    expected = VARIANCES[name](*shape)
    # Five standard deviations of the estimates.
    assert abs(weights.mean()) <= 5 * math.sqrt(expected / n)
    assert abs(weights.var() - expected) <= 5 * expected * math.sqrt(2 / n)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gain", [1.0, math.sqrt(2), 0.0])
def test_orthogonal_is(shape, gain):
    weights = initializers.Orthogonal(gain)(*shape, seed=1)
    k, m = shape
    products = weights.T @ weights if k >= m else weights @ weights.T
    np.testing.assert_allclose(products, gain**2 * np.eye(min(shape)), atol=1e-12)


def test_the_default_follows_the_activation():
    rectifiers = {
        "relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "softplus", "relu6", "mish",
        "hard_swish",
    }  # fmt: skip
    for activation in nncore.activations.REGISTRY:
        expected = "he" if activation in rectifiers else "xavier"
        expected = "lecun" if activation == "selu" else expected
        assert nncore.Dense(3, 2, activation).init == expected
    assert nncore.Dense(3, 2, np.cos).init == "xavier"
    names = {f.init for f in nncore.activations.REGISTRY.values()}
    assert names <= set(initializers.NAMES)


def test_a_layer_takes_a_name_or_an_object():
    for init, same in (("normal", initializers.Normal()), ("zeros", initializers.Zeros()),
                       (initializers.Normal(0.5), initializers.Normal(0.5))):  # fmt: skip
        nets = [nncore.Network([nncore.Dense(4, 3, init=i)], seed=0) for i in (init, same)]
        assert nets[0].layers[0].weights.tobytes() == nets[1].layers[0].weights.tobytes()
        assert not nets[0].layers[0].bias.any()


def test_bits_are_the_same_on_every_machine():
    digest = hashlib.sha256()
    for name in initializers.NAMES:
        for shape in SHAPES:
            digest.update(initializers.draw(name, *shape, 9).astype("<f8").tobytes())
    assert digest.hexdigest() == PINNED


PINNED = "d06fc6963b4738efddd0fa92d67ea3c6b855580431d07926346fb8c62be968f0"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nncore.Dense(2, 2, init="kaiming"), ValueError,
         "init is 'kaiming', expected one of zeros, normal, xavier, he, lecun, orthogonal, or "
         "an object such as nncore.initializers.Normal(0.01)"),
        (lambda: nncore.Dense(2, 2, init=0.01), ValueError, "init is 0.01, expected one of"),
        (lambda: initializers.Normal(-1), ValueError,
         "std is -1.0, expected a finite number of at least 0"),
        (lambda: initializers.Normal("x"), TypeError, "std is 'x', expected a number"),
        (lambda: initializers.Orthogonal(math.nan), ValueError, "gain is nan, expected a finite"),
    ],
)  # fmt: skip
def test_errors_name_what_came(make, error, text):
    with pytest.raises(error, match=re.escape(text)):
        make()


def test_repr_can_be_read():
    assert repr(initializers.Normal(0.5)) == "Normal(0.5)"
    assert repr(initializers.He()) == "He()"
