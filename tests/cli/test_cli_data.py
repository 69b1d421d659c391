"""`nncore mnist` without --data: which digits it takes, and what it says about them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nncore
import nncore.datasets.mnist
from nncore.cli import main
from nncore.datasets.idx import write_idx


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty data folder that the environment names."""
    monkeypatch.setenv("NNCORE_DATA_HOME", str(tmp_path))
    return tmp_path


def fill(folder):
    images, labels = nncore.datasets.make_digits(6, seed=1)
    write_idx(folder / "t10k-images-idx3-ubyte", np.asarray(images).reshape(6, 28, 28))
    write_idx(folder / "t10k-labels-idx1-ubyte", labels)


def failing(error):
    def provide(*_, **__):
        raise error

    return provide


def words(text):
    """`text` without the line breaks that the width of the terminal brings about."""
    return " ".join(text.split())


def test_found_in_the_folder_of_the_environment(home, capsys):
    fill(home)
    assert main(["mnist", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["source"] == "found"
    assert data["why"] == f"found in {home} (NNCORE_DATA_HOME)"
    assert data["samples"] == 6


def test_downloaded(home, capsys, monkeypatch):
    def provide(*_, split):
        assert split == "test"
        fill(home)
        return str(home)

    monkeypatch.setattr(nncore.datasets.mnist, "provide_mnist", provide)
    assert main(["mnist", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["source"] == "downloaded"
    assert data["why"] == f"downloaded into {home} (NNCORE_DATA_HOME)"


@pytest.mark.parametrize(
    ("error", "reason", "line"),
    [
        (
            ConnectionError("MNIST is not in X, and neither A nor B can be reached to ..."),
            "downloading failed: no mirror can be reached",
            "nncore mnist",
        ),
        (ConnectionError("A: file damaged"), "downloading failed: A: file damaged", "nncore mnist"),
        (
            ModuleNotFoundError("no pooch"),
            "downloading needs pooch, which is not installed",
            "pip install pooch && nncore mnist",
        ),
        (
            PermissionError(13, "Permission denied", "/cache"),
            "downloading failed: /cache: Permission denied",
            "nncore mnist",
        ),
    ],
)
def test_drawn_and_said_loudly(home, capsys, monkeypatch, error, reason, line):
    monkeypatch.setattr(nncore.datasets.mnist, "provide_mnist", failing(error))
    assert main(["mnist", "--limit", "5"]) == 0
    out = capsys.readouterr().out
    assert out.count("!" * 80) == 2
    assert "NOT MNIST: 5 digits that nncore drew itself" in out
    assert f"not found in {home} (NNCORE_DATA_HOME); {reason}" in words(out)
    assert f"real ones {line} # with internet access" in words(out)
    assert "nncore mnist --data DIR" in out
    assert main(["mnist", "--limit", "5", "--json"]) == 0
    printed = capsys.readouterr()
    data = json.loads(printed.out)["data"]
    assert data["source"] == "drawn"
    assert data["is_mnist"] is False
    assert data["get_real_ones"][0].startswith(f"{line} ")
    assert printed.err.startswith("nncore: not MNIST but digits drawn by nncore: not found in ")


def test_drawn_digits_are_at_most_as_many_as_mnist_has(home, monkeypatch):
    from nncore.cli._digits import load_test_set

    monkeypatch.setattr(nncore.datasets.mnist, "provide_mnist", failing(ConnectionError()))
    asked = []

    def make_digits(n, *, seed):
        asked.append((n, seed))
        return np.zeros((n, 784), np.uint8), np.zeros(n, np.uint8)

    monkeypatch.setattr(nncore.datasets, "make_digits", make_digits)
    load_test_set(None, None)
    load_test_set(None, 10**9)
    load_test_set(None, 3)
    assert [n for n, _ in asked] == [10_000, 10_000, 3]


def test_the_cache_folder_is_named(tmp_path, monkeypatch):
    from nncore.cli._digits import load_test_set

    monkeypatch.delenv("NNCORE_DATA_HOME", raising=False)
    monkeypatch.setattr(nncore.datasets.mnist, "_cache_folder", lambda: str(tmp_path))
    fill(tmp_path)
    assert load_test_set(None, 2).origin.why == f"found in {tmp_path} (the cache folder)"


def test_a_damaged_file_is_an_error_and_no_reason_to_draw(home, capsys):
    fill(home)
    (home / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x09abc")
    assert main(["mnist"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"nncore: error: {home / 't10k-labels-idx1-ubyte'}: ")
