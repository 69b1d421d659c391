"""Trials of what runs forward: networks, functions, affine, calls from several threads."""

from __future__ import annotations

import threading

import draw
import numpy as np
import reference
from reference import assert_same_bits

import nncore
from nncore.activations import REGISTRY, last_layer_only

THREADS = [1, 2, 3, 4, 7]


def converted(x, dtype):
    """What a network is to make of its input: one conversion, one rounding."""
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def as_read(net, x):
    """Samples as the network reads them, converted beforehand.

    A Normalization begins with the input as it came, and so a conversion to float64 changes
    nothing there, but one to float32 may.
    """
    first = net.layers[0]
    exactly = hasattr(nncore, "Normalization") and isinstance(first, nncore.Normalization)
    return converted(x, np.float64 if exactly else net.dtype)


def rows_of(rng, n, most=6):
    """Some rows; all of them where they are few."""
    return range(n) if n <= most else rng.choice(n, most, replace=False).tolist()


def attack_network(rng):
    """One network, one set of samples, and every way to ask for its outputs."""
    net = draw.network(rng, narrow=draw.chance(rng, 0.2))
    n, k = draw.batch(rng), net.in_features
    x = draw.numbers(rng, (n, k), rng.choice(draw.INPUT_DTYPES))
    if n and draw.chance(rng, 0.1):
        x = np.broadcast_to(x[:1], x.shape)
    nncore.set_num_threads(1)
    wanted = net(as_read(net, x))
    assert wanted.shape == (n, net.out_features)
    for _ in range(3):
        nncore.set_num_threads(int(rng.choice(THREADS)))
        laid, _ = draw.layout(rng, x)
        assert_same_bits(net(laid), wanted)
        for row in rows_of(rng, n):
            assert_same_bits(net(laid[row]), wanted[row])
        cuts = np.sort(rng.integers(0, n + 1, 3)).tolist()
        for first, end in zip([0, *cuts], [*cuts, n], strict=True):
            assert_same_bits(net(laid[first:end]), wanted[first:end])
        if n:
            some = slice(None, None, int(rng.choice([-2, -1, 2, 3])))
            assert_same_bits(net(laid[some]), wanted[some])
        into_given_memory(rng, lambda out, laid=laid: net(laid, out=out), wanted)
    return draw.digest(wanted, look_inside(rng, net, x, wanted))


def attack_bfloat16(rng):
    """So many weights of two bytes that the kernels widen them: the bits of the rounded weights."""
    k = int(rng.integers(300, 3000))
    sizes = [k, 1_100_000 // k + int(rng.integers(1, 40)), draw.size(rng)]
    net = draw.network(rng, dtype="float32", narrow=True, sizes=sizes)
    n = draw.batch(rng)
    x = draw.numbers(rng, (n, net.in_features), rng.choice(draw.INPUT_DTYPES))
    nncore.set_num_threads(1)
    wanted = net.with_weights("float32")(as_read(net, x))
    for _ in range(2):
        nncore.set_num_threads(int(rng.choice(THREADS)))
        laid, _ = draw.layout(rng, x)
        assert_same_bits(net(laid), wanted)
        for row in rows_of(rng, n, 2):
            assert_same_bits(net(laid[row]), wanted[row])
        cut = int(rng.integers(0, n + 1))
        assert_same_bits(net(laid[:cut]), wanted[:cut])
        into_given_memory(rng, lambda out, laid=laid: net(laid, out=out), wanted)
    return draw.digest(wanted)


def into_given_memory(rng, call, wanted):
    """out= of some layout is filled, and nothing beside it is touched."""
    steps = [int(rng.integers(1, 3)) for _ in wanted.shape]
    shape = [n * step + 2 for n, step in zip(wanted.shape, steps, strict=True)]
    whole = np.full(shape, 7.0, wanted.dtype, order=str(rng.choice(["C", "F"])))
    inside = tuple(
        slice(1, 1 + n * step, step) for n, step in zip(wanted.shape, steps, strict=True)
    )
    out = whole[inside]
    assert call(out) is out
    assert_same_bits(out, wanted)
    out[...] = 7.0
    assert (whole == 7.0).all(), "memory beside out was written to"


def look_inside(rng, net, x, wanted):
    """trace, logits and predict fit the outputs; each layer fits double precision."""
    steps = net.trace(x)
    logits = net.logits(x)
    assert_same_bits(logits, steps[-1].weighted_sum)
    assert_same_bits(steps[-1].activation, wanted)
    for row in rows_of(rng, len(x), 2):
        assert_same_bits(net.logits(x[row]), logits[row])
        check_prediction(net, x[row], logits[row], wanted[row])
    check_prediction(net, x, logits, wanted)
    given, slack = in_front(net, x)
    for step in steps:
        check_layer(step.layer, given, step.weighted_sum, step.activation, slack)
        given, slack = step.activation, 1
    return logits


def check_prediction(net, x, logits, outputs):
    """The labels follow from the logits; none follows from NaN."""
    last = net.layers[-1].activation
    labels = last in ("softmax", "log_softmax", "sigmoid")
    if not labels:
        assert_same_bits(net.predict(x), outputs)
        return
    refused = False
    try:
        predicted = net.predict(x)
    except ValueError:
        refused = True
    assert refused == np.isnan(logits).any(), f"refused: {refused}"
    if refused:
        return
    expected = (logits > 0).astype(int) if last == "sigmoid" else logits.argmax(-1)
    if last == "sigmoid" and net.out_features == 1:
        expected = expected[..., 0]
    assert np.shape(predicted) == np.shape(expected)
    assert np.array_equal(predicted, expected)


def in_front(net, x):
    """What the first Dense layer gets, and by what factor errors may be larger for that."""
    first = net.layers[0]
    with np.errstate(all="ignore"):
        if isinstance(first, nncore.Dense):
            return x.astype(net.dtype), 1
        if isinstance(first, nncore.Rescaling):
            read = x.astype(net.dtype)
            exact = reference.multiply_add(read, first.scale, getattr(first, "offset", 0.0))
        else:
            exact = (x.astype(np.float64) - first.mean) / first.std
        return exact.astype(net.dtype), 3


def check_layer(layer, x, z, y, slack):
    """A layer's weighted sums z and outputs y against double precision, within derived bounds."""
    w = np.asarray(layer.weights)
    b = np.zeros(w.shape[1]) if layer.bias is None else np.asarray(layer.bias)
    with np.errstate(all="ignore"):
        exact = reference.affine(x, w, b)
        bound = slack * reference.affine_bound(x, w, b, z.dtype)
        # Where a partial sum can overflow, infinity or NaN may be right.
        known = np.isfinite(bound) & (reference.affine(abs(x), abs(w), abs(b)) < 1e37)
        error = np.abs(z - exact)
        wrong = known & ~(error <= bound)
    assert not wrong.any(), f"a weighted sum is off by {error[wrong].max()}"
    check_activation(layer.activation, z, y)


def in_double(name, z):
    """An elementwise activation of z with its usual parameters, in double precision."""
    if not hasattr(reference, "ORACLES"):
        return reference.FUNCTIONS[name](z.astype(np.float64))
    parameters = (getattr(REGISTRY[name], kind) for kind in ("alpha", "beta"))
    rounded = [float(z.dtype.type(each)) for each in parameters if each is not None]
    return reference.ORACLES[name].function(z.astype(np.float64), *rounded)


def check_activation(name, z, y):
    """An activation of z against double precision: an error of formulas, not of last places."""
    limits = np.finfo(z.dtype)
    exact = z.astype(np.float64)
    sure = np.isfinite(z) & (np.abs(z) < 1e30)
    with np.errstate(all="ignore"):
        if name in reference.ROWWISE:
            sure &= sure.all(axis=-1, keepdims=True)
            wanted = reference.ROWWISE[name](exact)
            spread = np.abs(exact - exact.max(axis=-1, keepdims=True)) + z.shape[-1] + 16
            least = 1.0 if name == "log_softmax" else 0.0
            bound = limits.eps * spread * (np.abs(wanted) + least)
        else:
            wanted = in_double(name, z)
            bound = 16 * limits.eps * np.abs(wanted)
            if z.dtype == np.float64:  # the oracle itself errs, most where its formula cancels
                bound = 64 * bound + 4 * limits.eps * np.maximum(1, np.abs(exact))
        wrong = sure & ~(np.abs(y - wanted) <= bound + 4 * limits.tiny)
    assert not wrong.any(), f"{name} of {z[wrong][0]!r} is {y[wrong][0]!r}, not {wanted[wrong][0]}"
    if name not in reference.ROWWISE:
        assert (np.isnan(y) >= np.isnan(z)).all(), f"{name} of NaN is a number"


def attack_function(rng):
    """A function alone: any layout gives the same bits, and so does out=, or x itself."""
    name = str(rng.choice(list(REGISTRY)))
    function = REGISTRY[name]
    dtype = str(rng.choice(["float32", "float64"]))
    x = draw.numbers(rng, (draw.batch(rng), draw.size(rng)), dtype)
    nncore.set_num_threads(1)
    wanted = function(x)
    results = [wanted]
    for _ in range(3):
        nncore.set_num_threads(int(rng.choice(THREADS)))
        laid, _ = draw.layout(rng, x)
        assert_same_bits(function(laid), wanted)
        into_given_memory(rng, lambda out, laid=laid: function(laid, out=out), wanted)
        for row in rows_of(rng, len(x), 3):
            assert_same_bits(function(laid[row]), wanted[row])
    own = x.copy()
    assert function(own, out=own) is own
    assert_same_bits(own, wanted)
    check_activation(name, x, wanted)
    if not last_layer_only(name):
        results.append(function.derivative(x))
        assert_same_bits(function.derivative(draw.layout(rng, x)[0]), results[1])
    return draw.digest(*results)


def attack_affine(rng):
    """affine equals the network of one layer."""
    dtype = str(rng.choice(["float32", "float64"]))
    k, m, n = draw.size(rng), draw.size(rng), draw.batch(rng)
    w, b = rng.standard_normal((k, m)).astype(dtype), rng.standard_normal(m).astype(dtype)
    bias = b if draw.chance(rng, 0.7) else None
    name = str(rng.choice(list(REGISTRY)))
    x = draw.numbers(rng, (n, k), dtype)
    nncore.set_num_threads(int(rng.choice(THREADS)))
    wanted = nncore.Network.from_arrays([w], [bias], [name], dtype=dtype)(x)
    assert_same_bits(nncore.affine(draw.layout(rng, x)[0], w, bias, name), wanted)
    laid = draw.layout(rng, w)[0]
    assert_same_bits(nncore.affine(x, laid, bias, name), wanted)
    into_given_memory(rng, lambda out: nncore.affine(x, w, bias, name, out=out), wanted)
    return draw.digest(wanted)


def attack_from_many_threads(rng):
    """Several Python threads call one network while another changes the number of threads."""
    net = draw.network(rng)
    x = draw.numbers(rng, (200, net.in_features), net.dtype)
    nncore.set_num_threads(1)
    wanted = net(x)
    nncore.set_num_threads(3)
    cuts = rng.integers(0, 201, (4, 8, 2))
    failures = []

    def call(own):
        try:
            for first, end in np.sort(own).tolist():
                assert_same_bits(net(x[first:end]), wanted[first:end])
                nncore.set_num_threads(1 + first % 4)
        except BaseException as error:
            failures.append(error)

    callers = [threading.Thread(target=call, args=(own,)) for own in cuts]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    if failures:
        raise failures[0]
    return draw.digest(wanted)
