"""`nncore train`: what it prints and saves, how it stops and goes on, what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from helpers import run_python

import nncore
from nncore.cli import _checkpoint, main, train
from nncore.cli._train_report import weights_digest
from nncore.datasets.idx import write_idx
from nncore.fit import loop

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
    epochs = [line.split(":")[0] for line in lines if line.startswith("epoch ")]
    assert epochs == [f"epoch {i} of 3" for i in (1, 2, 3)]
    assert out.index("to learn from") < out.index("epoch 1 of 3")
    assert max(map(len, lines)) <= 80
    assert f"MNIST, {TRAINING} images to learn from" in " ".join(out.split())
    net = nncore.load("digits.npz")
    assert repr(list(net.layers)) == "[Rescaling(0.00392156862745098), Dense(784, 12, relu), " \
        "Dense(12, 10, softmax)]"  # fmt: skip
    assert weights_digest(net) == digest_in(out)
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
    assert weights_digest(again) == digest_in(out)


def test_json_has_the_same_facts(run_train):
    code, out, err = run_train(*SMALL, "--json", "--threads", 2, "--out", "other.npz")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["sha256"] == weights_digest(nncore.load("other.npz"))
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
        ("--batch-size", 21), ("--layers", "784,10"), ("--limit", 100), ("--clip-norm", 0.1),
    ],
)  # fmt: skip
def test_every_option_changes_the_weights(run_train, options):
    digests = {digest_in(run_train(*SMALL)[1])}
    code, out, err = run_train(*SMALL, *options, "--out", "other.npz")
    assert (code, err) == (0, "")
    assert digest_in(out) not in digests


def test_the_number_of_threads_does_not(run_train):
    before = nncore.get_num_threads()
    wanted = digest_in(run_train(*SMALL)[1])
    for n in (1, 2, 4):
        options = ["train", *map(str, SMALL), "--overwrite", "--threads", str(n)]
        code = f"from nncore.cli import main; raise SystemExit(main({options}))"
        assert digest_in(run_python(code, NNCORE_PARALLEL_MIN="0").stdout) == wanted
    run_train(*SMALL, "--overwrite", "--threads", before + 1)
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


LONG = ("--layers", "784,64,10", "--batch-size", 1, "--epochs", 60)


class SignalAt:
    """A progress bar that sends this process a signal when so many batches are done.

    So a run stops where the test wants it to, however fast the machine is.
    """

    def __init__(self, batches, number):
        self.batches, self.number, self.done = batches, number, 0

    def __call__(self, total, unit):
        return self

    def start_at(self, done):
        self.update(done)

    def clear(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, n, note=""):
        before, self.done = self.done, self.done + n
        if before < self.batches <= self.done:
            signal.raise_signal(self.number)


@pytest.fixture
def stop_at(monkeypatch):
    """Have the next run stopped by a signal after so many batches, at most 16 later."""

    def prepare(batches, number):
        monkeypatch.setattr(loop, "_CALL_SECONDS", 0.0)  # so a batch at a time after 16
        monkeypatch.setattr(train, "ProgressLine", SignalAt(batches, number))

    return prepare


@pytest.mark.parametrize("options", [(), ("--augment",)], ids=["", "augment"])
def test_stopping_and_going_on_gives_the_same_bits(run_train, stop_at, tmp_path, options):
    code, whole, _ = run_train(*LONG, *options, "--out", "whole.npz")
    assert code == 0
    stop_at(1234, signal.SIGTERM)
    code, _, err = run_train(*LONG, *options, "--out", "net.npz")
    assert code == 128 + signal.SIGTERM
    assert "stopped after batch 34 of 300 of epoch 5 of 60" in err
    assert "To go on: nncore train --resume net.checkpoint.npz" in err
    assert weights_digest(nncore.load("net.npz")) != digest_in(whole)

    stop_at(3000, signal.SIGINT)
    code, _, err = run_train("--resume", "net.checkpoint.npz", "--threads", 2)
    assert code == 128 + signal.SIGINT
    assert "stopped after batch 300 of 300 of epoch 10 of 60" in err

    stop_at(0, signal.SIGINT)  # never
    code, out, err = run_train("--resume", "net.checkpoint.npz")
    assert (code, err) == (0, "")
    assert digest_in(out) == digest_in(whole)
    assert Path("net.npz").read_bytes() == Path("whole.npz").read_bytes()
    # What is printed at the end is the same, too: losses are summed in order.
    last = re.search(r"^epoch 60 of 60: .*$", whole, re.MULTILINE)[0]
    assert last in out
    assert not list(tmp_path.glob(".nncore-*"))
    # The checkpoint has served.
    assert "deleted   net.checkpoint.npz, the checkpoint it went on from" in out
    assert not Path("net.checkpoint.npz").exists()


def test_a_process_is_stopped_by_a_signal_from_outside(mnist, tmp_path):
    environment = os.environ | {
        "NNCORE_DATA_HOME": str(mnist),
        "PYTHONPATH": str(Path(nncore.__file__).parent.parent),
    }
    command = [sys.executable, "-m", "nncore", "train", *LONG, "--epochs", 3000]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert process.stdout.readline().startswith("nncore ")
    while not process.stdout.readline().startswith("epoch "):
        pass
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "of 3000; the network so far is in digits.npz. To go on: nncore train --resume" in err
    assert _checkpoint.read(str(tmp_path / "digits.checkpoint.npz")).settings["epochs"] == 3000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_when_training_is_finished(run_train, stop_at, number):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    _, whole, _ = run_train(*SMALL, "--out", "whole.npz")
    stop_at(45, number)  # of 3 * 15: the very last
    code, _, err = run_train(*SMALL)
    assert (code, err) == (
        128 + number, "nncore: training was finished, saved in digits.npz\n"
    )  # fmt: skip
    assert weights_digest(nncore.load("digits.npz")) == digest_in(whole)
    assert not Path("digits.checkpoint.npz").exists()
    assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]


def test_a_signal_at_the_end_of_a_resumed_run(run_train, stop_at):
    stop_at(20, signal.SIGINT)
    assert run_train(*SMALL)[0] == 130
    stop_at(45, signal.SIGINT)
    code, _, err = run_train("--resume", "digits.checkpoint.npz")
    assert code == 130
    assert "saved in digits.npz; the checkpoint digits.checkpoint.npz is deleted" in err
    assert not Path("digits.checkpoint.npz").exists()


def test_only_the_checkpoint_it_came_from_is_deleted(run_train, stop_at):
    stop_at(20, signal.SIGINT)
    assert run_train(*SMALL)[0] == 130
    shutil.copy("digits.checkpoint.npz", "mine.npz")
    stop_at(0, signal.SIGINT)
    assert run_train(*SMALL, "--overwrite")[0] == 0  # another run
    code, out, _ = run_train("--resume", "mine.npz", "--json", "--overwrite")
    assert code == 0
    assert json.loads(out)["deleted"] is None
    assert Path("digits.checkpoint.npz").exists()
    assert Path("mine.npz").exists()
    code, out, _ = run_train("--resume", "digits.checkpoint.npz", "--out", "b.npz", "--json")
    assert json.loads(out)["deleted"] == "digits.checkpoint.npz"
    assert not Path("digits.checkpoint.npz").exists()


DIVERGE = ("--optimizer", "sgd", "--schedule", "constant", "--lr", "1e30")


def test_a_run_that_diverges_at_once_saves_nothing(run_train):
    code, _, err = run_train(*SMALL, *DIVERGE)
    assert code == 2
    assert "the loss is not finite in epoch 1, batch " in err
    assert err.endswith("(--lr, --clip-norm). Nothing is saved\n")
    assert not list(Path().iterdir())


def test_a_run_that_diverges_leaves_the_network_that_is_there(run_train):
    run_train(*SMALL)
    good = Path("digits.npz").read_bytes()
    code, _, err = run_train(*SMALL, *DIVERGE, "--overwrite")
    assert code == 2
    assert err.endswith("(--lr, --clip-norm). Nothing is saved, digits.npz is as it was\n")
    assert Path("digits.npz").read_bytes() == good


@pytest.fixture
def diverge_in_epoch_3(monkeypatch):
    """Have the third epoch fail, as if its loss were not finite."""
    run_epoch = loop.Fit._run_epoch

    def failing(fit):
        if fit.position.epoch == 2:
            raise FloatingPointError("the loss is not finite in epoch 3, batch 1 of 15")
        return run_epoch(fit)

    monkeypatch.setattr(loop.Fit, "_run_epoch", failing)


def test_a_run_that_diverges_later_saves_its_best_epoch_and_says_so(run_train, diverge_in_epoch_3):
    code, _, err = run_train(*SMALL)
    assert code == 2
    net = nncore.load("digits.npz")
    x, t = nncore.datasets.make_digits(TEST, seed=12)
    right = int((net.predict(x) == t).sum())
    words = f"digits.npz has the network of epoch 2, {right} of {TEST} right, {right / TEST:.2%}"
    assert words in err
    before = Path("digits.npz").read_bytes()
    code, _, err = run_train(*SMALL, "--seed", 1, "--overwrite")
    assert code == 2
    text = "Nothing is saved, digits.npz is as it was; the best was the network of epoch 2, "
    assert text in err
    assert Path("digits.npz").read_bytes() == before


def test_the_best_epoch_is_saved(run_train):
    """A rate so large that the loss goes up again."""
    options = ("--optimizer", "sgd", "--schedule", "constant", "--lr", "0.3", "--epochs", "12")
    code, out, _ = run_train("--layers", "784,12,10", "--batch-size", 20, *options, "--json")
    facts = json.loads(out)
    losses = facts["history"]["loss"]
    best = losses.index(min(losses)) + 1
    assert (code, facts["saved_epoch"]) == (0, best)
    assert best < 12, "choose other settings: this test needs a loss that goes up"
    again = nncore.Network(
        [nncore.Rescaling(1 / 255), nncore.Dense(784, 12, "relu"), nncore.Dense(12, 10, "softmax")],
        seed=0,
    )
    x, t = nncore.datasets.make_digits(TRAINING, seed=11)
    again.fit(x, t, epochs=best, batch_size=20, optimizer=nncore.SGD(0.3, momentum=0.9))
    assert weights_digest(again) == weights_digest(nncore.load("digits.npz")) == facts["sha256"]


def test_a_network_that_learned_nothing_replaces_none(run_train):
    run_train(*SMALL)
    good = Path("digits.npz").read_bytes()
    nothing = ("--layers", "784,1,10", "--epochs", 1, "--lr", "0", "--seed", "3")
    code, _, err = run_train(*nothing, "--overwrite")
    assert code == 2
    assert "the network learned nothing: it is no better than guessing (" in err
    assert Path("digits.npz").read_bytes() == good
    code, out, _ = run_train(*nothing, "--out", "new.npz")
    assert code == 0
    assert "!!        the network learned nothing: this is no better than guessing" in out


def test_no_file_is_replaced_unasked(run_train, monkeypatch):
    run_train(*SMALL)
    good = Path("digits.npz").read_bytes()
    text = "digits.npz exists, and would be replaced: say --overwrite to replace it, or --out FILE"
    with monkeypatch.context() as patch:
        patch.setattr(train, "load_training_set", None)  # before any work
        assert text in refused(run_train, *SMALL)
    assert run_train(*SMALL, "--seed", 1, "--overwrite")[0] == 0
    assert Path("digits.npz").read_bytes() != good


def test_a_file_that_comes_between_is_not_replaced(run_train, monkeypatch):
    make = train.make_optimizer

    def other(settings):
        Path("digits.npz").write_bytes(b"another program's")
        return make(settings)

    monkeypatch.setattr(train, "make_optimizer", other)
    code, out, _ = run_train(*SMALL)
    assert code == 0
    assert Path("digits.npz").read_bytes() == b"another program's"
    assert "saved in  digits-2.npz" in out
    assert weights_digest(nncore.load("digits-2.npz")) == digest_in(out)
    assert sorted(path.name for path in Path().iterdir()) == ["digits-2.npz", "digits.npz"]


def test_the_checkpoint_of_another_run_is_not_replaced(run_train, stop_at):
    stop_at(20, signal.SIGINT)
    assert run_train(*SMALL)[0] == 130
    Path("digits.npz").unlink()
    stop_at(0, signal.SIGINT)
    text = "digits.checkpoint.npz exists, of a run that was stopped: go on with nncore train --resu"
    assert text in refused(run_train, *SMALL)


def test_a_run_that_is_stopped_leaves_the_network_that_is_there(run_train, stop_at):
    run_train(*SMALL, "--out", "a.npz")
    good = Path("a.npz").read_bytes()
    _, whole, _ = run_train(*SMALL, "--seed", 1, "--out", "whole.npz")
    stop_at(20, signal.SIGINT)
    code, _, err = run_train(*SMALL, "--seed", 1, "--out", "a.npz", "--overwrite")
    assert code == 130
    assert "a.npz is as it was. To go on: nncore train --resume a.checkpoint.npz --overwrite" in err
    assert Path("a.npz").read_bytes() == good
    stop_at(0, signal.SIGINT)
    assert "a.npz exists" in refused(run_train, "--resume", "a.checkpoint.npz")
    code, out, _ = run_train("--resume", "a.checkpoint.npz", "--overwrite")
    assert (code, digest_in(out)) == (0, digest_in(whole))


def test_a_checkpoint_is_no_network(run_train, checkpoint, run):
    text = "c.npz: is a checkpoint of nncore train, not a network: go on with nncore train --resume"
    with pytest.raises(ValueError, match=re.escape(text)):
        nncore.load("c.npz")
    for command in (("inspect", "c.npz"), ("mnist", "--weights", "c.npz")):
        assert text in refused(run, *command)


@pytest.fixture(scope="module")
def stopped(mnist, tmp_path_factory):
    """A folder with a checkpoint in it, from the end of the second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NNCORE_DATA_HOME", str(mnist))
        patch.chdir(folder)
        patch.setattr(loop, "_CALL_SECONDS", 0.0)
        patch.setattr(train, "ProgressLine", SignalAt(600, signal.SIGINT))
        assert main(["train", *map(str, LONG)]) == 130
    assert _checkpoint.read(str(folder / "digits.checkpoint.npz")).position["epoch"] == 1
    return folder


@pytest.fixture
def checkpoint(stopped, tmp_path):
    return shutil.copy(stopped / "digits.checkpoint.npz", tmp_path / "c.npz")


def refused(run_train, *arguments):
    """Return the error; nothing is printed before, except where the data had to be read first."""
    code, out, err = run_train(*arguments)
    assert code == 2
    assert out == "" or "epoch 1" in err or "other training data" in err or "go on" in err
    assert err.startswith("nncore: error: ")
    assert err.count("\n") == 1
    assert "mistake in nncore" not in err
    return err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--layers", "784"), "--layers is 784, expected sizes such as 784,50,100,10"),
        (("--layers", ""), "--layers is '', expected sizes such as"),
        (("--layers", "784,x,10"), "--layers is 784,x,10, expected sizes such as"),
        (("--layers", "784,0,10"), "--layers is 784,0,10, expected sizes"),
        (
            ("--layers", "100,10"),
            "--layers is 100,10, expected 784 at the beginning (28x28 pixels)",
        ),
        (
            ("--activation", "softmax"),
            "--activation is softmax, expected one for hidden layers: identity",
        ),
        (("--optimizer", "newton"), "argument --optimizer: invalid choice: 'newton'"),
        (("--lr", "-1"), "argument --lr: is '-1', expected a finite number of at least 0"),
        (("--seed", "-1"), "argument --seed: is '-1', expected a whole number of at least 0"),
        (("--epochs", "0"), "argument --epochs: is '0', expected a whole number of at least 1"),
        (("--out", "net.bin"), "--out is net.bin, expected a file name that ends in .npz"),
        (("--out", "no/net.npz"), "does not exist"),
        (("--data", "nowhere"), "--data nowhere: is no folder, expected a folder"),
        (("--data", "."), "--data .: lacks some of its files, expected MNIST's four files"),
        (("--resume", "nothing.npz"), "nothing.npz: No such file or directory"),
        (("--lr", "1e300"), "the loss is not finite in epoch 1, batch "),
    ],
)
def test_what_is_refused(run_train, options, text):
    assert text in refused(run_train, *SMALL, *options)


def test_where_nothing_can_be_saved_is_told_before_training(run_train, tmp_path):
    Path("device.npz").symlink_to("/dev/null")
    Path("nowhere.npz").symlink_to(tmp_path / "no" / "net.npz")
    Path("c.checkpoint.npz").mkdir()
    for out, text in (
        ("device.npz", "--out device.npz: device.npz: is not a regular file, and saving would"),
        ("nowhere.npz", "--out nowhere.npz: the folder "),
        ("c.npz", "--out c.npz: c.checkpoint.npz: Is a directory"),
    ):
        assert text in refused(run_train, *SMALL, "--out", out)  # nothing on standard output


def test_a_network_that_cannot_be_saved_does_not_cost_the_checkpoint(
    run_train, stop_at, monkeypatch
):
    _, whole, _ = run_train(*SMALL, "--out", "whole.npz")
    stop_at(20, signal.SIGTERM)

    def full(net, path):
        raise OSError(28, "No space left on device", path)

    with monkeypatch.context() as patch:
        patch.setattr(nncore.Network, "save", full)
        code, _, err = run_train(*SMALL)
    assert code == 128 + signal.SIGTERM
    assert "the network so far cannot be saved (digits.npz: No space left on device). To go" in err
    stop_at(0, signal.SIGINT)  # never
    code, out, _ = run_train("--resume", "digits.checkpoint.npz")
    assert (code, digest_in(out)) == (0, digest_in(whole))


def test_a_network_is_no_checkpoint(run_train):
    run_train(*SMALL)
    text = "digits.npz: is no checkpoint of nncore train; a network goes to other commands"
    assert text in refused(run_train, "--resume", "digits.npz")


def test_other_settings_than_the_checkpoints_are_refused(run_train, checkpoint):
    text = "--epochs 7: the checkpoint c.npz was made with 60, and can only go on with that"
    assert text in refused(run_train, "--resume", "c.npz", "--epochs", 7)
    text = "--batch-size 20: the checkpoint c.npz was made with 1, and"
    assert text in refused(run_train, "--resume", "c.npz", "--batch-size", 20)


def test_what_the_checkpoint_was_made_without_is_refused(run_train, checkpoint):
    text = "--limit 100: the checkpoint c.npz was made without --limit, and can only go on without"
    assert text in refused(run_train, "--resume", "c.npz", "--limit", 100)
    text = "--augment: the checkpoint c.npz was made without --augment, and can only go on without"
    assert text in refused(run_train, "--resume", "c.npz", "--augment")


def test_help_says_that_a_run_cannot_be_extended(run):
    _, out, _ = run("train", "--help")
    assert "a run cannot be extended" in " ".join(out.split())


def test_other_data_than_the_checkpoints_are_refused(run_train, checkpoint, mnist, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(mnist, other)
    images, _ = nncore.datasets.make_digits(TRAINING, seed=99)
    write_idx(other / "train-images-idx3-ubyte", np.reshape(images, (TRAINING, 28, 28)))
    text = "c.npz: was made with other training data than the 300 images that were found in other"
    assert text in refused(run_train, "--resume", "c.npz", "--data", "other")


def test_a_checkpoint_holds_what_it_needs_and_nothing_else(checkpoint):
    with zipfile.ZipFile(checkpoint) as archive:
        names = archive.namelist()
    expected = ["header", "W1", "b1", "W2", "b2", "V1", "c1", "V2", "c2", "S1", "S2", "S3", "S4"]
    assert names == [f"{name}.npy" for name in expected]


def changed(path, **changes):
    """Rewrite a checkpoint with other header entries, and arrays by their names."""
    with np.load(path) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays["header"]))
    for key, value in changes.items():
        if key in arrays and value is None:
            del arrays[key]
        elif key[0] in "WS":
            arrays[key] = value
        elif value is None:
            del header[key]
        else:
            header[key] = value
    arrays["header"] = np.array(json.dumps(header))
    np.savez(path, **arrays)


GOOD_POSITION = {"epoch": 1, "batch": 5, "loss": 1.0, "weight": 5.0, "right": 2, "seen": 5,
                 "seconds": 0.1}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"format": "x"}, "is no checkpoint of nncore train"),
        ({"version": 2}, "is a checkpoint of version 2, expected 3"),
        ({"best_epoch": 2}, "has best_epoch outside 0 to 1 in its header"),
        ({"best_epoch": -1}, "has best_epoch outside 0 to 1 in its header"),
        ({"best_epoch": 0}, "the array 'V1.npy' is not in the header"),
        ({"V2": None}, "the array 'V2.npy' is missing"),
        ({"settings": None}, "has no settings in its header"),
        ({"settings": {}}, "the settings are not those of this nncore: "),
        ({"steps": 3}, "its optimizer has taken another number of steps"),
        ({"steps": -3}, "has steps outside 0 to "),
        ({"steps": 1.5}, "has no steps in its header"),
        ({"steps": 10**30}, "has steps outside 0 to "),
        ({"position": GOOD_POSITION | {"seconds": 10**400}}, "the sums over its epoch are no"),
        ({"history": {"loss": [10**400]}}, "has a history that is no lists of numbers"),
        ({"history": {"best_epoch": [1.0]}}, "has the unknown history 'best_epoch'"),
        ({"W1": None}, "the array 'W1.npy' is missing"),
        ({"S4": None}, "the array 'S4.npy' is missing"),
        ({"S5": np.zeros((3, 3), "f4")}, "the array 'S5.npy' is not in the header"),
        ({"position": {"epoch": "x"}}, "is no checkpoint that can go on"),
        ({"position": {"where": 3}}, "is no checkpoint that can go on"),
        ({"position": GOOD_POSITION | {"epoch": 99}}, "it stands at epoch 99, batch 5"),
        ({"position": GOOD_POSITION | {"batch": -1}}, "it stands at epoch 1, batch -1"),
        ({"position": GOOD_POSITION | {"loss": "x"}}, "the sums over its epoch are no finite"),
        (
            {"position": GOOD_POSITION | {"loss": float("nan")}},
            "the header holds NaN, expected finite",
        ),
        ({"position": GOOD_POSITION | {"weight": 0}}, "seen 5 samples in 5 batches, expected 5"),
        ({"position": GOOD_POSITION | {"seen": 4}}, "seen 4 samples in 5 batches, expected 5"),
        ({"position": GOOD_POSITION | {"right": 6}}, "seen 5 samples in 5 batches, expected 5"),
        ({"W1": np.full((784, 64), np.inf, "f4")}, "layer 0 has weights that are not finite"),
        ({"history": {"loss": [1.0], "time": [1.0, 2.0]}}, "its history has another number of"),
        ({"history": {"loss": "x"}}, "has a history that is no lists of numbers"),
        ({"history": {"loss": 3}}, "has a history that is no lists of numbers"),
        ({"history": {"colour": [1.0]}}, "has the unknown history 'colour'"),
        ({"history": {"loss": [1.0] * 59}}, "its history has another number of epochs"),
        (
            {"W1": np.zeros((784, 63), "f4")},
            "W1 has shape (784, 63), expected (784, 64), as the header says",
        ),
        ({"W1": np.zeros((784, 64))}, "W1 has dtype <f8, expected float32, as the header says"),
        (
            {"S1": np.zeros((3, 3), "f4")},
            "S1 has shape (3, 3), expected (785, 64), as the header says",
        ),
    ],
)
def test_a_checkpoint_that_was_tampered_with_is_refused(run_train, checkpoint, changes, text):
    changed(checkpoint, **changes)
    assert text in refused(run_train, "--resume", "c.npz")


def test_settings_of_a_checkpoint_are_checked(run_train, checkpoint):
    good = _checkpoint.read(str(checkpoint)).settings
    for key, value in (("epochs", "3"), ("batch_size", 0), ("seed", -1), ("limit", "x"),
                       ("lr", 10**400), ("out", 3), ("augment", 1), ("optimizer", "x"),
                       ("schedule", 3), ("activation", "no"), ("layers", [784, 10]),
                       ("clip_norm", -1), ("task", "x"), ("loss", "mse"), ("label", 3),
                       ("normalize", "yes")):  # fmt: skip
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
    assert "is not a whole .npz file" in refused(run_train, "--resume", "c.npz")


def test_a_compressed_or_pickled_checkpoint_is_refused(run_train, checkpoint):
    with np.load(checkpoint) as archive:
        arrays = dict(archive)
    np.savez_compressed(checkpoint, **arrays)
    text = "is compressed, expected stored members"
    assert text in refused(run_train, "--resume", "c.npz")
    np.savez(checkpoint, **(arrays | {"W1": np.array([{}], dtype=object)}))
    assert "c.npz: 'W1.npy' has an array header" in refused(run_train, "--resume", "c.npz")
