"""`nncore train`: what it prints and saves, how it stops and goes on, what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nncore
from nncore.cli import _checkpoint, train
from nncore.datasets.idx import write_idx

TRAINING, TEST = 300, 50
SMALL = ("--layers", "784,12,10", "--batch-size", 20, "--epochs", 3)


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A folder with all four files, in MNIST's format."""
    folder = tmp_path_factory.mktemp("mnist")
    for prefix, n, seed in (("train", TRAINING, 11), ("t10k", TEST, 12)):
        images, labels = nncore.datasets.make_digits(n, seed=seed)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", np.reshape(images, (n, 28, 28)))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


@pytest.fixture
def run_train(run, mnist, tmp_path, monkeypatch):
    """Run `nncore train` on the small data, in a folder of the test's own."""
    monkeypatch.setenv("NNCORE_DATA_HOME", str(mnist))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run("train", *arguments)


def digest_in(out):
    return re.search(r"^sha256 +([0-9a-f]{64})$", out, re.MULTILINE)[1]


def test_it_prints_what_it_did_and_saves_the_network(run_train, mnist):
    code, out, err = run_train(*SMALL)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [f"epoch {i} of 3" for i in (1, 2, 3)]
    assert max(map(len, lines)) <= 80
    assert f"MNIST, {TRAINING} images to learn from" in " ".join(out.split())
    net = nncore.load("digits.npz")
    assert repr(net.layers) == "[Rescaling(0.00392156862745098), Dense(784, 12, relu), " \
        "Dense(12, 10, softmax)]"  # fmt: skip
    assert train.weights_digest(net) == digest_in(out)
    x, t = nncore.datasets.make_digits(TEST, seed=12)
    right = int((net.predict(x) == t).sum())
    assert f"{right} of {TEST} right, {right / TEST:.2%}" in out
    # The same as in Python.
    again = nncore.Network(
        [nncore.Rescaling(1 / 255), nncore.Dense(784, 12, "relu"), nncore.Dense(12, 10, "softmax")],
        seed=0,
    )
    x, t = nncore.datasets.make_digits(TRAINING, seed=11)
    again.fit(x, t, epochs=3, batch_size=20, optimizer=nncore.Adam(nncore.OneCycle(0.01)))
    assert train.weights_digest(again) == digest_in(out)


def test_json_has_the_same_facts(run_train):
    code, out, err = run_train(*SMALL, "--json", "--threads", 2, "--out", "other.npz")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["sha256"] == train.weights_digest(nncore.load("other.npz"))
    assert facts["threads"] == 2
    assert facts["data"]["is_mnist"] is True
    assert facts["data"]["samples"] == TRAINING
    assert len(facts["history"]["loss"]) == 3
    assert facts["accuracy"] == facts["right"] / TEST
    assert facts["settings"]["lr"] == 0.01


@pytest.mark.parametrize(
    "options",
    [
        ("--optimizer", "sgd"), ("--optimizer", "adagrad"), ("--optimizer", "rmsprop"),
        ("--optimizer", "adamw"), ("--schedule", "constant"), ("--schedule", "cosine"),
        ("--seed", 1), ("--lr", 0.02), ("--activation", "tanh"), ("--augment",),
        ("--batch-size", 21), ("--layers", "784,10"), ("--limit", 100),
    ],
)  # fmt: skip
def test_every_option_changes_the_weights(run_train, options):
    digests = {digest_in(run_train(*SMALL)[1])}
    code, out, err = run_train(*SMALL, *options)
    assert (code, err) == (0, "")
    assert digest_in(out) not in digests


def test_the_number_of_threads_does_not(run_train, monkeypatch):
    monkeypatch.setenv("NNCORE_PARALLEL_MIN", "0")
    before = nncore.get_num_threads()
    digests = {digest_in(run_train(*SMALL, "--threads", n)[1]) for n in (1, 2, 4)}
    assert len(digests) == 1
    assert nncore.get_num_threads() == before


def test_drawn_digits_are_said_loudly(run_train, monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("no mirror can be reached")

    monkeypatch.setattr("nncore.datasets.mnist.provide_mnist", unreachable)
    monkeypatch.setenv("NNCORE_DATA_HOME", str(Path.cwd() / "nothing"))
    code, out, err = run_train(*SMALL, "--limit", 60)
    assert code == 0
    assert err.startswith("nncore: NOT MNIST: training on digits that nncore draws itself")
    assert "downloading failed: no mirror can be reached" in err
    assert "NOT MNIST but digits drawn by nncore, 60 images" in " ".join(out.split())


def start(mnist, folder, *arguments):
    """`nncore train` in a process of its own."""
    environment = os.environ | {
        "NNCORE_DATA_HOME": str(mnist),
        "PYTHONPATH": str(Path(nncore.__file__).parent.parent),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "nncore", "train", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment,
    )  # fmt: skip


def stop_after_an_epoch(process, number):
    """Send it a signal when it has printed a line; exit code, standard output and error."""
    first = process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, first + out, err


LONG = ("--layers", "784,64,10", "--batch-size", 1, "--epochs", 60)


@pytest.mark.parametrize("options", [(), ("--augment",)], ids=["", "augment"])
def test_stopping_and_going_on_gives_the_same_bits(run_train, mnist, tmp_path, options):
    code, whole, _ = run_train(*LONG, *options, "--out", "whole.npz")
    assert code == 0
    code, _, err = stop_after_an_epoch(
        start(mnist, tmp_path, *LONG, *options, "--out", "net.npz"), signal.SIGTERM
    )
    assert code == 128 + signal.SIGTERM
    stopped = re.search(r"stopped after batch (\d+) of 300 of epoch (\d+) of 60", err)
    assert stopped
    assert "To go on: nncore train --resume net.checkpoint.npz" in err
    assert train.weights_digest(nncore.load("net.npz")) != digest_in(whole)

    code, _, err = stop_after_an_epoch(
        start(mnist, tmp_path, "--resume", "net.checkpoint.npz", "--threads", 2), signal.SIGINT
    )
    assert code == 128 + signal.SIGINT
    again = re.search(r"stopped after batch (\d+) of 300 of epoch (\d+) of 60", err)
    assert (int(again[2]), int(again[1])) > (int(stopped[2]), int(stopped[1]))

    code, out, err = run_train("--resume", "net.checkpoint.npz")
    assert (code, err) == (0, "")
    assert digest_in(out) == digest_in(whole)
    assert Path("net.npz").read_bytes() == Path("whole.npz").read_bytes()
    # What is printed at the end is the same, too: losses are summed in order.
    assert whole.splitlines()[59] in out
    assert not list(tmp_path.glob(".nncore-*"))


@pytest.fixture(scope="module")
def stopped(mnist, tmp_path_factory):
    """A folder with a checkpoint in it."""
    folder = tmp_path_factory.mktemp("stopped")
    code, _, err = stop_after_an_epoch(start(mnist, folder, *LONG), signal.SIGINT)
    assert code == 130, err
    return folder


@pytest.fixture
def checkpoint(stopped, tmp_path):
    return shutil.copy(stopped / "digits.checkpoint.npz", tmp_path / "c.npz")


def refused(run_train, *arguments):
    code, out, err = run_train(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("nncore: error: ")
    assert err.count("\n") == 1
    assert "mistake in nncore" not in err
    return err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--layers", "784"), "--layers 784: expected sizes such as 784,50,100,10"),
        (("--layers", "784,x,10"), "--layers 784,x,10: expected sizes such as"),
        (("--layers", "784,0,10"), "--layers 784,0,10: expected sizes"),
        (("--layers", "100,10"), "--layers 100,10: expected 784 at the beginning (28x28 pixels)"),
        (("--activation", "softmax"), "--activation softmax: unknown for a hidden layer, expected"),
        (("--optimizer", "newton"), "argument --optimizer: invalid choice: 'newton'"),
        (("--lr", "-1"), "argument --lr: expected a finite number of at least 0, got '-1'"),
        (("--seed", "-1"), "argument --seed: expected a whole number of at least 0, got '-1'"),
        (("--epochs", "0"), "argument --epochs: expected a whole number of at least 1, got '0'"),
        (("--out", "net.bin"), "--out net.bin: expected a file name that ends in .npz"),
        (("--out", "no/net.npz"), "does not exist"),
        (("--data", "nowhere"), "--data nowhere: expected a folder with MNIST's files, no such"),
        (("--data", "."), "--data .: expected MNIST's four files"),
        (("--resume", "nothing.npz"), "nothing.npz: No such file or directory"),
        (("--lr", "1e300"), "the loss is not finite in epoch 1, batch "),
    ],
)
def test_what_is_refused(run_train, options, text):
    assert text in refused(run_train, *SMALL, *options)


def test_a_network_is_no_checkpoint(run_train):
    run_train(*SMALL)
    text = "digits.npz: is no checkpoint of nncore train; a network goes to other commands"
    assert text in refused(run_train, "--resume", "digits.npz")


def test_other_settings_than_the_checkpoints_are_refused(run_train, checkpoint):
    text = "--epochs 7: the checkpoint c.npz was made with 60, and can only go on with that"
    assert text in refused(run_train, "--resume", "c.npz", "--epochs", 7)
    text = "--batch-size 20: the checkpoint c.npz was made with 1, and"
    assert text in refused(run_train, "--resume", "c.npz", "--batch-size", 20)


def test_other_data_than_the_checkpoints_are_refused(run_train, checkpoint, mnist, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(mnist, other)
    images, _ = nncore.datasets.make_digits(TRAINING, seed=99)
    write_idx(other / "train-images-idx3-ubyte", np.reshape(images, (TRAINING, 28, 28)))
    text = "c.npz: was made with other training data than the 300 images that were found in other"
    assert text in refused(run_train, "--resume", "c.npz", "--data", "other")


def changed(path, **changes):
    """Rewrite a checkpoint with other header entries, and arrays by their names."""
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays["header"]))
    for key, value in changes.items():
        if key in arrays:
            arrays[key] = value
        elif value is None:
            del header[key]
        else:
            header[key] = value
    arrays["header"] = np.array(json.dumps(header))
    np.savez(path, **arrays)


GOOD_POSITION = {"epoch": 1, "step": 5, "loss": 1.0, "weight": 5.0, "right": 2, "seen": 5,
                 "seconds": 0.1}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": "x"}, "is no checkpoint of nncore train"),
        ({"version": 2}, "is a checkpoint of version 2, this nncore reads 1"),
        ({"settings": None}, "has no settings in its header"),
        ({"settings": {}}, "the settings are not those of this nncore: "),
        ({"steps": -3}, "its optimizer has taken another number of steps"),
        ({"steps": 1.5}, "has no steps in its header"),
        ({"layers": 3}, "has no array W3"),
        ({"layers": 1}, "has 1 layers, its settings 2"),
        ({"layers": 10**9}, "has a header whose numbers of arrays make no sense"),
        ({"state": 1}, "the state has arrays of shapes"),
        ({"position": {"epoch": "x"}}, "is no checkpoint that can go on"),
        ({"position": {"where": 3}}, "is no checkpoint that can go on"),
        ({"position": GOOD_POSITION | {"epoch": 99}}, "it stands at epoch 99, step 5"),
        ({"position": GOOD_POSITION | {"step": -1}}, "it stands at epoch 1, step -1"),
        ({"history": {"loss": "x"}}, "has a history that is no lists of numbers"),
        ({"history": {"colour": [1.0]}}, "has the unknown history 'colour'"),
        ({"history": {"loss": [1.0] * 59}}, "its history has another number of epochs"),
        ({"W1": np.zeros((784, 63), "f4")}, "weights has shape (784, 63), expected (784, 64)"),
        ({"W1": np.zeros((784, 64))}, "has W1 of <f8 and shape (784, 64), expected float32"),
        ({"S1": np.zeros((3, 3), "f4")}, "the state has arrays of shapes"),
    ],
)
def test_a_checkpoint_that_was_tampered_with_is_refused(run_train, checkpoint, changes, text):
    changed(checkpoint, **changes)
    assert text in refused(run_train, "--resume", "c.npz")


def test_settings_of_a_checkpoint_are_checked(run_train, checkpoint):
    good = _checkpoint.read(str(checkpoint)).settings
    for key, value in (("epochs", "3"), ("batch_size", 0), ("seed", -1), ("limit", "x"),
                       ("lr", float("inf")), ("augment", 1), ("optimizer", "x"),
                       ("schedule", 3), ("activation", "no"), ("layers", [784, 10])):  # fmt: skip
        changed(checkpoint, settings=good | {key: value})
        assert key in refused(run_train, "--resume", "c.npz")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_half_a_checkpoint_is_refused(run_train, checkpoint, share):
    data = Path(checkpoint).read_bytes()
    Path(checkpoint).write_bytes(data[: int(len(data) * share)])
    assert "c.npz: " in refused(run_train, "--resume", "c.npz")


def test_a_flipped_bit_is_found(run_train, checkpoint):
    data = bytearray(Path(checkpoint).read_bytes())
    data[len(data) // 2] ^= 4
    Path(checkpoint).write_bytes(data)
    assert "is no whole checkpoint" in refused(run_train, "--resume", "c.npz")


def test_a_compressed_or_pickled_checkpoint_is_refused(run_train, checkpoint):
    with np.load(checkpoint) as archive:
        arrays = dict(archive)
    np.savez_compressed(checkpoint, **arrays)
    text = "has members that are compressed or encrypted, expected plain ones"
    assert text in refused(run_train, "--resume", "c.npz")
    np.savez(checkpoint, **(arrays | {"W1": np.array([{}], dtype=object)}))
    assert "c.npz: 'W1.npy' has an array header" in refused(run_train, "--resume", "c.npz")
