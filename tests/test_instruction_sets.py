"""Every instruction set gives the same bits, and the one that was asked for is the one that ran."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest
from helpers import TESTS, run_python, sampled, special_values

import nncore
from nncore import _table
from nncore.activations import REGISTRY

SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 50, 64, 65, 100]
NETWORKS = [
    (1, 1), (3, 2, 4), (7, 8, 9, 10), (16, 16, 16), (17, 33, 5), (64, 50, 100, 10), (65, 97, 1),
    (130, 129, 3), (1, 200, 2), (784, 50, 10), (1500, 19),
]  # fmt: skip


def outputs():
    """Results by name, of everything that depends on the instruction set."""
    results = {}
    hidden = [name for name in REGISTRY if "softmax" not in name]
    for dtype in ("float32", "float64"):
        rng = np.random.default_rng(11)
        x = sampled(dtype, per_exponent=20 if dtype == "float32" else 4)
        for name in hidden:
            results[f"{name} {dtype}"] = REGISTRY[name](x)
            results[f"{name}' {dtype}"] = REGISTRY[name].derivative(x)
            given = {key: 0.3 for key in ("alpha", "beta") if getattr(REGISTRY[name], key)}
            if given:
                results[f"{name} {given} {dtype}"] = REGISTRY[name](x, **given)
                results[f"{name}' {given} {dtype}"] = REGISTRY[name].derivative(x, **given)
        for m in SIZES:
            rows = (rng.standard_normal((3, m)) * 20).astype(dtype)
            odd = rng.choice(special_values(dtype), (20, m))
            for name in ("softmax", "log_softmax"):
                results[f"{name} {m} {dtype}"] = REGISTRY[name](np.concatenate([rows, odd]))
        for i, sizes in enumerate(NETWORKS):
            kinds = [hidden[(i + j) % len(hidden)] for j in range(len(sizes) - 2)]
            kinds.append(["softmax", "log_softmax", "identity", "tanh"][i % 4])
            layers = [
                nncore.Dense(k, m, kind)
                for k, m, kind in zip(sizes[:-1], sizes[1:], kinds, strict=True)
            ]
            net = nncore.Network(layers, seed=i, dtype=dtype)
            x = rng.standard_normal((101, sizes[0])).astype(dtype)
            x[rng.random(x.shape) < 0.5] = 0
            for n in (0, 1, 2, 5, 13, 50, 101):
                results[f"{sizes} {n} {dtype}"] = net(x[:n])
            x[0, 0], x[7, -1], x[50] = np.nan, np.inf, -np.inf
            results[f"{sizes} NaN {dtype}"] = net(x)
            pixels = nncore.Network([nncore.Rescaling(1 / 255), *layers], dtype=dtype)
            results[f"{sizes} bytes {dtype}"] = pixels(rng.integers(0, 256, x.shape, np.uint8))
    return results


DIGESTS = """
import hashlib, nncore, reference, test_instruction_sets as tests
print(nncore.info()["instruction_set"])
for name, y in tests.outputs().items():
    print(name, y.shape, hashlib.sha256(reference.bits(y)).hexdigest(), sep="|")
"""


@functools.cache
def digests(name):
    """Of all outputs, as computed by a process that was told which instruction set to use."""
    used, *lines = run_python(DIGESTS, NNCORE_ISA=name).stdout.splitlines()
    assert used == name
    return dict(line.split("|", 1) for line in lines)


def test_same_bits_as_scalar(instruction_set):
    wanted, got = digests("scalar"), digests(instruction_set)
    assert list(got) == list(wanted)
    assert [name for name in got if got[name] != wanted[name]] == []
    assert len(got) > 200


@pytest.mark.parametrize("number", ["0x3f800001", "0x00000001", "0x7f7fffff"])
def test_the_digest_sees_one_bit(number):
    """What the comparison rests on: one bit of one number changes the digest."""
    import hashlib

    a = np.ones(100, np.float32)
    b = a.copy()
    b[50] = np.array(int(number, 16), np.uint32).view(np.float32)
    assert hashlib.sha256(a).digest() != hashlib.sha256(b).digest()


def test_the_forced_one_ran(instruction_set):
    code = "import nncore; print(nncore.info()['instruction_set'])"
    assert run_python(code, NNCORE_ISA=instruction_set).stdout.split() == [instruction_set]


def test_the_best_is_chosen_and_scalar_is_always_there():
    code = "import nncore; print(nncore.info()['instruction_set'])"
    available = _table.available_instruction_sets()
    assert run_python(code, NNCORE_ISA="").stdout.split() == available[:1]
    assert available[-1] == "scalar"
    assert [name for name in _table.known_instruction_sets() if name in available] == available


def test_every_header_of_verbs_is_listed_in_dispatch_and_no_other():
    simd = TESTS.parent / "ext" / "simd"
    if not simd.exists():
        pytest.skip("the C sources are not beside these tests")
    headers = {path.stem.removeprefix("vec_") for path in simd.glob("vec_*.h")}
    lists = re.findall(r"#define NN_INSTRUCTION_SETS\(X\)(.*)", (simd / "dispatch.c").read_text())
    listed = [re.findall(r"X\((\w+),", one) for one in lists]
    assert {name for names in listed for name in names} == headers
    assert _table.known_instruction_sets() in listed


USES = [
    "nncore.info()", "nncore.relu(1.0)", "nncore.softmax([1.0])", "nncore.affine([1.0], [[1.0]])",
    "nncore.Network([nncore.Dense(1, 1)], seed=0)([1.0])",
]  # fmt: skip


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx2 "])
def test_an_unknown_name_lists_the_known(name, use):
    process = run_python(f"import nncore; {use}", check=False, NNCORE_ISA=name)
    known = ", ".join(_table.known_instruction_sets())
    last = process.stderr.strip().splitlines()[-1]
    assert last == f"ValueError: NNCORE_ISA is {name}, expected one of {known}"
    assert process.returncode == 1


def test_one_that_the_cpu_lacks_is_an_error():
    lacking = set(_table.known_instruction_sets()) - set(_table.available_instruction_sets())
    if not lacking:
        pytest.skip("this CPU can run every instruction set of this build")
    for name in lacking:
        process = run_python("import nncore; nncore.relu(1.0)", check=False, NNCORE_ISA=name)
        can = ", ".join(_table.available_instruction_sets())
        last = process.stderr.strip().splitlines()[-1]
        assert (
            last
            == f"RuntimeError: NNCORE_ISA is {name}, which this CPU lacks, expected one of {can}"
        )
