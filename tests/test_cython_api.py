"""Other people's Cython: a module compiled against the package as it is imported here, no more.

The module of examples/10-from-cython.md is compiled and run as the page says. A second one tries
what the page only tells.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers import PACKAGE, TESTS
from reference import assert_same_bits

import nncore
from nncore import activations, kernels

PAGE = TESTS.parent / "examples" / "10-from-cython.md"

PROBES = """
from cython cimport floating
from nncore.kernels cimport (
    Runner, Weights, activate as nn_activate, affine as nn_affine, derive as nn_derive,
    run as nn_run, softmax as nn_softmax,
)

def affine(Weights weights, int code, double alpha, double beta, const floating[:, ::1] x,
           floating[:, ::1] y):
    with nogil:
        nn_affine(weights, code, alpha, beta, x, y)

def softmax(bint logarithm, const floating[:, ::1] x, floating[:, ::1] y):
    with nogil:
        nn_softmax(logarithm, x, y)

def activate(int code, double alpha, double beta, const floating[::1] x, floating[::1] y):
    with nogil:
        nn_activate(code, alpha, beta, x, y)

def derive(int code, double alpha, double beta, const floating[::1] x, floating[::1] y):
    with nogil:
        nn_derive(code, alpha, beta, x, y)

def run(Runner runner, const floating[:, ::1] x, floating[:, ::1] y):
    with nogil:
        nn_run(runner, x, y)

def run_pointers(Runner runner, const floating[:, ::1] x, floating[:, ::1] y):
    with nogil:
        runner.run_unchecked(&x[0, 0], &y[0, 0], x.shape[0])
"""


def parameters(name):
    """The defaults of an activation's parameters."""
    function = activations.get(name)
    return function.alpha or 0.0, function.beta or 0.0


def blocks(language):
    """The page's blocks of code in a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """The folder with the two compiled modules. Skipped, visibly, where nothing can be compiled."""
    pytest.importorskip("Cython", reason="Cython is not installed")
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if not any(shutil.which(word) for word in compiler):
        pytest.skip(f"there is no C compiler: {' '.join(compiler)}")
    folder = tmp_path_factory.mktemp("cython")
    # A copy of the package with the declarations that a wheel has, and no others.
    public = {"kernels.pxd", "_kernels.pxd"}
    shutil.copytree(
        PACKAGE,
        folder / "site" / "nncore",
        ignore=lambda _, names: [
            name for name in names if name.endswith(".pxd") and name not in public
        ],
    )
    (folder / "inner_loop.pyx").write_text(blocks("cython")[0])
    (folder / "probes.pyx").write_text(PROBES)
    process = subprocess.run(
        [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "inner_loop.pyx", "probes.pyx"],
        env=os.environ | {"PYTHONPATH": str(folder / "site"), "CFLAGS": "-O0"},
        capture_output=True, text=True, timeout=300, cwd=folder, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


@pytest.fixture(scope="module")
def probes(modules):
    """The second module, imported."""
    spec = importlib.util.spec_from_file_location("probes", next(modules.glob("probes.*.so")))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def guarded(shape, dtype):
    """An array to write to, and a function that says whether memory beside it was written."""
    size = int(np.prod(shape))
    block = np.full(size + 128, 7, dtype)

    def untouched():
        return bool((block[:64] == 7).all() and (block[64 + size :] == 7).all())

    return block[64 : 64 + size].reshape(shape), untouched


def layer(k, m, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((k, m)).astype(dtype), rng.standard_normal(m).astype(dtype)


def inputs(n, k, dtype, zeros, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, k)).astype(dtype)
    x[rng.random((n, k)) < zeros] = 0
    return x


def test_the_page(modules, monkeypatch):
    assert blocks("sh") == ["cythonize -i inner_loop.pyx\n"]
    monkeypatch.syspath_prepend(modules)
    exec(compile(blocks("python")[0], str(PAGE), "exec"), {})


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 7, 8, 9, 16, 23, 48, 49, 100])
@pytest.mark.parametrize("zeros", [0, 0.9])
def test_affine_has_the_bits_of_a_network(probes, dtype, n, zeros):
    codes = {name: kernels.activation_code(name) for name in activations.REGISTRY}
    names = list(codes)
    shapes = [(k, m) for k in (1, 3, 65, 1100) for m in (1, 5, 16, 50, 64, 130)]
    for i, (k, m) in enumerate(shapes):
        name = names[(i + n) % len(names)]
        w, b = layer(k, m, dtype)
        x = inputs(n, k, dtype, zeros)
        net = nncore.Network.from_arrays([w], [b], [name], dtype=dtype)
        y, untouched = guarded((n, m), dtype)
        probes.affine(kernels.pack(w, b), codes[name], *parameters(name), x, y)
        assert_same_bits(y, net(x))
        assert untouched(), (k, m)


@pytest.mark.parametrize("n", [1, 5, 40])
@pytest.mark.parametrize("k", [5, 1100])
def test_zeros_times_infinite_weights(probes, dtype, n, k):
    w, b = layer(k, 20, dtype)
    w[2, 3] = np.inf
    x = inputs(n, k, dtype, 0.9)
    x[0, 2] = 0
    y = np.empty((n, 20), dtype)
    probes.affine(kernels.pack(w, b), kernels.activation_code("identity"), 0.0, 0.0, x, y)
    assert np.isnan(y[0, 3])
    assert_same_bits(y, nncore.Network.from_arrays([w], [b], ["identity"], dtype=dtype)(x))


@pytest.mark.parametrize("logarithm", [False, True])
def test_softmax(probes, dtype, logarithm):
    function = nncore.log_softmax if logarithm else nncore.softmax
    for n, m in [(0, 3), (1, 1), (3, 7), (20, 100)]:
        x = inputs(n, m, dtype, 0)
        y, untouched = guarded((n, m), dtype)
        probes.softmax(logarithm, x, y)
        assert_same_bits(y, function(x))
        assert untouched()
        probes.softmax(logarithm, y, y)
        assert_same_bits(y, function(function(x)))


def test_elementwise_functions(probes, dtype):
    x = np.linspace(-9, 9, 101).astype(dtype)
    for name in ("sigmoid", "gelu", "relu"):
        function = nncore.activations.get(name)
        for probe, same in ((probes.activate, function), (probes.derive, function.derivative)):
            y, untouched = guarded(x.shape, dtype)
            probe(kernels.activation_code(name), *parameters(name), x, y)
            assert_same_bits(y, same(x))
            assert untouched()
            probe(kernels.activation_code(name), *parameters(name), x[:0], y[:0])


NETS = {
    "small": lambda dtype: [nncore.Dense(5, 7, "relu"), nncore.Dense(7, 3, "softmax")],
    "rescaled": lambda dtype: [nncore.Rescaling(1 / 3), nncore.Dense(5, 3, "tanh")],
    "logarithm": lambda dtype: [
        nncore.Dense(5, 300, "sigmoid"),
        nncore.Dense(300, 3, "log_softmax"),
    ],
}


def network(kind, dtype, seed=0):
    return nncore.Network(NETS[kind](dtype), seed=seed, dtype=dtype)


@pytest.mark.parametrize("kind", NETS)
def test_a_runner_has_the_bits_of_its_network(probes, dtype, kind):
    net = network(kind, dtype)
    one = kernels.Runner(net)
    assert (one.k, one.m, one.is_double, one.network) == (5, 3, dtype == "float64", net)
    for n in (0, 1, 2, 3, 8, 17, 49, 200):
        x = inputs(n, 5, dtype, 0.3)
        for probe in (probes.run, probes.run_pointers)[: 1 if n == 0 else 2]:
            y, untouched = guarded((n, 3), dtype)
            probe(one, x, y)
            assert_same_bits(y, net(x))
            assert untouched()


def test_a_runner_keeps_its_weights_until_refresh(probes):
    net = network("small", "float32")
    one = kernels.Runner(net)
    x, y = inputs(4, 5, "float32", 0), np.empty((4, 3), np.float32)
    before = net(x)
    net.layers[0].weights = np.ones((5, 7))
    probes.run(one, x, y)
    assert_same_bits(y, before)
    one.refresh()
    probes.run(one, x, y)
    assert_same_bits(y, net(x))
    assert (net(x) != before).any()


def test_a_runner_outlives_its_network(probes):
    net = network("small", "float64")
    x, y = inputs(4, 5, "float64", 0), np.empty((4, 3))
    wanted, one = net(x), kernels.Runner(net)
    net.layers[0].weights = np.ones((5, 7))
    del net
    probes.run(one, x, y)
    assert_same_bits(y, wanted)


def test_threads_with_a_runner_each(probes):
    net = network("logarithm", "float32")
    x = inputs(50, 5, "float32", 0)
    results = [np.empty((50, 3), np.float32) for _ in range(4)]

    def work(one, y):
        for _ in range(200):
            probes.run(one, x, y)

    threads = [threading.Thread(target=work, args=(kernels.Runner(net), y)) for y in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for y in results:
        assert_same_bits(y, net(x))


def single(*shape):
    return np.zeros(shape, np.float32)


PACKED = kernels.pack(single(4, 3), single(3))
RUNNER = kernels.Runner(nncore.Network([nncore.Dense(4, 3)], seed=0))
REFUSED = [
    ("affine", (PACKED, 0, 0.0, 0.0, single(2, 5), single(2, 3)), ValueError,
     r"x has shape \(2, 5\), expected \(2, 4\)"),
    ("affine", (PACKED, 0, 0.0, 0.0, single(2, 4), single(2, 4)), ValueError,
     r"y has shape \(2, 4\), expected \(2, 3\)"),
    ("affine", (PACKED, 0, 0.0, 0.0, single(2, 4), single(1, 3)), ValueError,
     r"y has shape \(1, 3\), expected \(2, 3\)"),
    ("affine", (PACKED, 0, 0.0, 0.0, np.zeros((2, 4)), np.zeros((2, 3))), TypeError,
     "x is float64, the packed weights are float32, expected the same"),
    ("affine", (None, 0, 0.0, 0.0, single(2, 4), single(2, 3)), TypeError,
     "weights is None, expected what pack returns"),
    ("affine", (PACKED, -1, 0.0, 0.0, single(2, 4), single(2, 3)), ValueError,
     "activation is -1, expected a code that activation_code gives"),
    ("affine", (PACKED, 99, 0.0, 0.0, single(2, 4), single(2, 3)), ValueError,
     "activation is 99, expected a code that activation_code gives"),
    ("activate", (0, 0.0, 0.0, single(2), single(3)), ValueError,
     "y has 3 elements, x has 2, expected as many"),
    ("derive", (0, 0.0, 0.0, single(2), single(1)), ValueError,
     "y has 1 elements, x has 2, expected as many"),
    ("activate", (kernels.activation_code("softmax"), 0.0, 0.0, single(2), single(2)), ValueError,
     "expected a code that activation_code gives; softmax and log_softmax are not functions of"),
    ("derive", (-1, 0.0, 0.0, single(2), single(2)), ValueError,
     "activation is -1, expected a code"),
    ("softmax", (False, single(2, 3), single(2, 4)), ValueError,
     r"y has shape \(2, 4\), expected \(2, 3\)"),
    ("run", (RUNNER, single(2, 5), single(2, 3)), ValueError,
     r"x has shape \(2, 5\), expected \(2, 4\)"),
    ("run", (RUNNER, single(2, 4), single(3, 3)), ValueError,
     r"y has shape \(3, 3\), expected \(2, 3\)"),
    ("run", (RUNNER, np.zeros((2, 4)), np.zeros((2, 3))), TypeError,
     "x is float64, expected the network's dtype, float32"),
    ("run", (None, single(2, 4), single(2, 3)), TypeError, "runner is None, expected a Runner"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "arguments", "error", "text"), REFUSED)
def test_what_does_not_fit_is_refused(probes, function, arguments, error, text):
    with pytest.raises(error, match=text):
        getattr(probes, function)(*arguments)


def test_pack_refuses():
    with pytest.raises(ValueError, match=r"w has shape \(0, 3\), expected \(k, m\), both at least"):
        kernels.pack(single(0, 3), single(3))
    with pytest.raises(ValueError, match=r"b has shape \(2,\), expected \(3,\)"):
        kernels.pack(single(4, 3), single(2))
    for w, b, text in [
        (single(3), single(3), r"w has shape \(3,\) and dtype float32, expected \(k, m\) of"),
        (single(4, 3), single(3, 1), r"b has shape \(3, 1\) and dtype float32, expected \(m,\) of"),
        (np.ones((4, 3), int), single(3), r"w has shape \(4, 3\) and dtype int64, expected"),
        (single(4, 3), np.ones(3), r"b has shape \(3,\) and dtype float64, .* same for w and b"),
        (single(4, 3).astype(">f4"), single(3), r"w has shape \(4, 3\) and dtype >f4, expected"),
        (single(4, 3), None, r"b has shape \(\) and dtype object, expected \(m,\) of float32 or"),
    ]:
        with pytest.raises(TypeError, match=text):
            kernels.pack(w, b)
    with pytest.raises(MemoryError, match=r"weights of shape \(\d+, 1\) cannot be packed"):
        kernels.pack(np.broadcast_to(np.float32(0), (1 << 58, 1)), single(1))


def test_activation_codes():
    names = list(activations.REGISTRY)
    assert [kernels.activation_code(name) for name in names] == list(range(len(names)))
    with pytest.raises(ValueError, match="activation is 'rleu', expected one of identity, "):
        kernels.activation_code("rleu")


def test_a_runner_refuses():
    with pytest.raises(TypeError, match="network is of type int, expected a Network"):
        kernels.Runner(3)
    net = nncore.Network([nncore.Dense(2, 2, activation=lambda z: z)], seed=0)
    with pytest.raises(TypeError, match="an activation that is a Python function"):
        kernels.Runner(net)


def test_the_public_declarations_are_installed():
    for name in ("kernels.pxd", "_kernels.pxd"):
        text = Path(PACKAGE, name).read_text()
        assert not re.search(r"contract|nncore\._(?!kernels\b)|\bextern\b", text), name
