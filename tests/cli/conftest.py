"""A folder of files, good and bad, and a way to run the command line in it."""

from __future__ import annotations

import itertools
import pickle
import zipfile

import numpy as np
import pytest

import nncore
from nncore.cli import main
from nncore.datasets.idx import write_idx

SAMPLES = 40


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with MNIST-like data, weights good and bad, and images in every format."""
    folder = tmp_path_factory.mktemp("cli")
    images, labels = nncore.datasets.make_digits(SAMPLES, seed=3)
    images = np.asarray(images).reshape(SAMPLES, 28, 28)
    data = folder / "data"
    data.mkdir()
    write_idx(data / "t10k-images-idx3-ubyte.gz", images)
    write_idx(data / "t10k-labels-idx1-ubyte", labels)
    (folder / "empty").mkdir()

    random = np.random.default_rng(5)

    def classic(name, *sizes):
        arrays = {}
        for i, (k, m) in enumerate(itertools.pairwise(sizes), start=1):
            arrays[f"W{i}"] = (random.random((k, m)) - 0.5).astype(np.float32)
            arrays[f"b{i}"] = (random.random(m) - 0.5).astype(np.float32)
        (folder / name).write_bytes(pickle.dumps(arrays))

    classic("classic.pkl", 784, 7, 10)
    classic("small.pkl", 4, 3, 10)
    classic("one-output.pkl", 784, 3, 1)
    named = nncore.Network(
        [nncore.Rescaling(1 / 255), nncore.Dense(784, 9, "relu"), nncore.Dense(9, 10, "softmax")],
        seed=1,
    )
    named.save(folder / "named.npz")
    named.save(folder / "names-with\nnewline.npz")
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    (folder / "broken.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': oh no}\n")
    brackets = b"\x93NUMPY\x01\x00\x10\x00{((descr': oh no}\n"
    (folder / "brackets.npy").write_bytes(brackets)
    with zipfile.ZipFile(folder / "brackets.npz", "w") as archive:
        archive.writestr("x.npy", brackets)
        archive.writestr("t.npy", brackets)
    (folder / "broken-zip.npz").write_bytes((folder / "brackets.npz").read_bytes()[:-9])
    (folder / "broken.gz").write_bytes(b"\x1f\x8b\x08\x00 and no more")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    for name in ("text.csv", "text.bin"):
        (folder / name).write_text("1,2,3\n")
    bad = images.reshape(SAMPLES, 784) / 255
    bad[2, 7] = np.nan
    np.save(folder / "nan.npy", bad)
    np.save(folder / "large.npy", np.full((SAMPLES, 784), 1e300))
    (folder / "nothing").write_bytes(b"")

    np.save(folder / "flat.npy", images.reshape(SAMPLES, 784))
    np.save(folder / "square.npy", images)
    np.save(folder / "channel.npy", images[:, None])
    np.save(folder / "one.npy", images[0])
    np.save(folder / "one-flat.npy", images[0].reshape(784))
    np.save(folder / "scaled.npy", images.reshape(SAMPLES, 784) / 255)
    np.save(folder / "wide.npy", np.zeros((3, 100), np.uint8))
    np.save(folder / "none.npy", np.zeros((0, 784), np.uint8))
    np.save(folder / "complex.npy", np.zeros((3, 784), complex))
    np.save(folder / "object.npy", np.array([{}], dtype=object), allow_pickle=True)
    return folder


@pytest.fixture
def run(capsys, monkeypatch, files):
    """Run `main` inside the folder `files`; return exit code, standard output and error."""
    monkeypatch.chdir(files)
    monkeypatch.setenv("NNCORE_DATA_HOME", str(files / "data"))

    def run_main(*arguments):
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_main


@pytest.fixture
def test_set(files):
    """The images (n, 784) and labels (n,) in the folder, read without the command line."""
    from nncore.datasets.mnist import read_split

    images, labels = read_split(str(files / "data"), "test")
    return images.reshape(-1, 784), labels
