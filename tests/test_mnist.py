"""MNIST: found or downloaded, checked for form, handed out as asked for."""

import os
import shutil

import numpy as np
import pytest

from nncore.datasets import _download
from nncore.datasets.idx import write_idx
from nncore.datasets.mnist import find_mnist, load_mnist, read_split, resolve_home

NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


def small_mnist(folder, ending=".gz"):
    """Five training and three test images in the form of MNIST."""
    os.makedirs(folder, exist_ok=True)
    pixels = np.arange(8 * 784).reshape(8, 28, 28).astype(np.uint8)
    labels = np.array([5, 0, 4, 1, 9, 7, 2, 1], np.uint8)
    for name, array in zip(NAMES, [pixels[:5], labels[:5], pixels[5:], labels[5:]], strict=True):
        write_idx(os.path.join(folder, name + ending), array)
    return pixels, labels


def no_download(names, home):
    raise AssertionError(f"a download of {names} into {home} was tried")


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch):
    """Neither this machine's folders nor its network play a part."""
    monkeypatch.delenv("NNCORE_DATA_HOME", raising=False)
    monkeypatch.setattr(_download, "download_mnist", no_download)


# What is handed out


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_normalised_flat_images_and_numbers_are_the_default(tmp_path, ending):
    pixels, labels = small_mnist(tmp_path, ending)
    (x_train, t_train), (x_test, t_test) = load_mnist(data_home=tmp_path)
    assert x_train.dtype == x_test.dtype == np.float32
    assert t_train.dtype == t_test.dtype == np.uint8
    expected = pixels.reshape(8, 784).astype(np.float32) / np.float32(255)
    assert np.array_equal(np.concatenate([x_train, x_test]), expected)
    assert np.array_equal(np.concatenate([t_train, t_test]), labels)
    assert x_train.shape == (5, 784)
    assert x_test.shape == (3, 784)
    assert x_train.min() == 0
    assert x_train.max() == 1


def test_pixels_as_they_are_and_in_their_places(tmp_path):
    pixels, _ = small_mnist(tmp_path)
    (x_train, _), (x_test, _) = load_mnist(False, False, data_home=tmp_path)
    assert x_train.shape == (5, 1, 28, 28)
    assert x_test.shape == (3, 1, 28, 28)
    assert x_train.dtype == np.uint8
    assert np.array_equal(x_train[:, 0], pixels[:5])


def test_one_hot_labels(tmp_path):
    _, labels = small_mnist(tmp_path)
    (_, t_train), (_, t_test) = load_mnist(one_hot_label=True, data_home=tmp_path)
    assert t_train.shape == (5, 10)
    assert t_train.dtype == np.float64
    assert np.array_equal(np.concatenate([t_train, t_test]), np.eye(10)[labels])


# Where it is looked for


def test_the_argument_goes_before_the_variable_and_that_before_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_home() in (
        str(tmp_path / "cache" / "nncore"),
        str(tmp_path / "Library" / "Caches" / "nncore"),
    )
    monkeypatch.setenv("NNCORE_DATA_HOME", str(tmp_path / "variable"))
    assert resolve_home() == str(tmp_path / "variable")
    assert resolve_home(tmp_path / "argument") == str(tmp_path / "argument")
    assert resolve_home("~/here") == str(tmp_path / "here")
    monkeypatch.setenv("NNCORE_DATA_HOME", "")  # as if it were not set
    assert resolve_home().endswith("nncore")
    with pytest.raises(ValueError, match="data_home is empty, expected the name of a folder"):
        resolve_home("")


def test_find_mnist(tmp_path, monkeypatch):
    assert find_mnist(tmp_path) is None
    small_mnist(tmp_path)
    assert find_mnist(tmp_path) == str(tmp_path)
    monkeypatch.setenv("NNCORE_DATA_HOME", str(tmp_path))
    assert find_mnist() == str(tmp_path)
    os.remove(tmp_path / "train-images-idx3-ubyte.gz")
    assert find_mnist() is None
    assert find_mnist(split="train") is None
    assert find_mnist(split="test") == str(tmp_path)
    with pytest.raises(ValueError, match="split is 'both', expected 'train' or 'test'"):
        find_mnist(split="both")


def test_names_with_a_dot_are_known_too(tmp_path):
    pixels, _ = small_mnist(tmp_path)
    os.rename(tmp_path / "t10k-images-idx3-ubyte.gz", tmp_path / "t10k-images.idx3-ubyte.gz")
    assert np.array_equal(read_split(str(tmp_path), "test")[0], pixels[5:])


def test_without_download_missing_files_are_named(tmp_path):
    small_mnist(tmp_path)
    os.remove(tmp_path / "train-labels-idx1-ubyte.gz")
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(data_home=tmp_path, download=False)
    expected = f"MNIST is not in {tmp_path}: train-labels-idx1-ubyte (.gz or not) not found"
    assert str(caught.value) == expected


def test_missing_files_are_downloaded_and_only_those(tmp_path, monkeypatch):
    small_mnist(tmp_path / "mirror")
    small_mnist(tmp_path / "home")
    missing = ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
    for name in missing:
        os.remove(tmp_path / "home" / name)

    def download(names, home):
        assert names == missing
        for name in names:
            shutil.copy(tmp_path / "mirror" / name, home)

    monkeypatch.setattr(_download, "download_mnist", download)
    (x_train, _), (_, t_test) = load_mnist(data_home=tmp_path / "home")
    assert x_train.shape == (5, 784)
    assert t_test.tolist() == [7, 2, 1]


# What is refused


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        (
            "t10k-images-idx3-ubyte",
            np.zeros((3, 28, 27), np.uint8),
            r"holds uint8 \(3, 28, 27\), expected images, uint8 \(n, 28, 28\)",
        ),
        ("t10k-images-idx3-ubyte", np.zeros((3, 784), np.uint8), r"holds uint8 \(3, 784\)"),
        ("t10k-images-idx3-ubyte", np.zeros((3, 28, 28), np.int8), r"holds int8 \(3, 28, 28\)"),
        ("t10k-labels-idx1-ubyte", np.zeros((3, 1), np.uint8), r"expected labels, uint8 \(n,\)"),
        ("t10k-labels-idx1-ubyte", np.zeros(3, np.int32), r"holds int32 \(3,\)"),
        (
            "t10k-labels-idx1-ubyte",
            np.zeros(4, np.uint8),
            "the number of labels is 4, expected 3, one for each image",
        ),
        ("t10k-labels-idx1-ubyte", np.full(3, 10, np.uint8), "a label is 10, expected 0 to 9"),
    ],
)
def test_files_that_hold_something_else(tmp_path, name, array, text):
    small_mnist(tmp_path, "")
    write_idx(tmp_path / name, array)
    with pytest.raises(ValueError, match=f"{name}: .*{text}"):
        load_mnist(data_home=tmp_path)


def test_empty_files_are_refused(tmp_path):
    small_mnist(tmp_path, "")
    write_idx(tmp_path / NAMES[2], np.zeros((0, 28, 28), np.uint8))
    write_idx(tmp_path / NAMES[3], np.zeros(0, np.uint8))
    with pytest.raises(
        ValueError, match="t10k-images-idx3-ubyte: has no images, expected at least one"
    ):
        load_mnist(data_home=tmp_path)


def test_a_damaged_local_file_is_not_replaced_behind_ones_back(tmp_path):
    small_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte\.gz: is a damaged gzip file"):
        load_mnist(data_home=tmp_path)


# The real one

REAL = find_mnist(os.environ["NNCORE_DATA_HOME"]) if os.environ.get("NNCORE_DATA_HOME") else None


@pytest.mark.skipif(REAL is None, reason="NNCORE_DATA_HOME names no folder with MNIST's files")
def test_the_real_files():
    (x_train, t_train), (x_test, t_test) = load_mnist(normalize=False, data_home=REAL)
    assert x_train.shape == (60_000, 784)
    assert t_train.shape == (60_000,)
    assert x_test.shape == (10_000, 784)
    assert t_test.shape == (10_000,)
    assert t_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert t_test[:5].tolist() == [7, 2, 1, 0, 4]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(t_train).tolist() == counts
    assert x_train.mean() == pytest.approx(0.1306604 * 255, rel=1e-5)
    assert (x_train > 0).mean() == pytest.approx(0.1912, abs=1e-4)
