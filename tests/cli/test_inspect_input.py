"""Where the one input of `nncore inspect` comes from, and the words in which others are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nncore
from nncore.cli.inspect import join_negative
from nncore.datasets.pictures import as_text

from .inspected import CLASSIC, NETWORKS, blocks


@pytest.fixture(scope="module")
def folder(files):
    """The folder `files`, with some networks and tables more."""
    CLASSIC.save(files / "classic.npz")
    NETWORKS["logits"].save(files / "logits.npz")
    rows = ["5.1,3.5,1.4,0.2,setosa", "6.3,3.3,6.0,2.5,virginica"]
    head = "sepal length,sepal width,petal length,petal width,kind"
    (files / "flowers.csv").write_text("\n".join([head, *rows]))
    (files / "bare.csv").write_text("\n".join(row.rpartition(",")[0] for row in rows))
    np.save(files / "eight.npy", np.arange(64.0).reshape(1, 8, 8))
    np.save(files / "small.npy", np.ones((2, 2)))
    nncore.Network([nncore.Dense(64, 3)], seed=0).save(files / "eight.npz")
    nncore.Network([nncore.Dense(4, 3)], seed=0).save(files / "four.npz")
    nncore.Network([nncore.Dense(1, 1)], seed=0).save(files / "one.npz")
    (files / "7").write_bytes((files / "one.npy").read_bytes())
    return files


@pytest.fixture
def facts(run, folder):
    """Run with --json; return what it prints, and what it says on standard error."""

    def read(*arguments):
        code, out, err = run("inspect", *arguments, "--json")
        assert code == 0, err
        return json.loads(out), err

    return read


@pytest.mark.parametrize(
    "text", ["-1.5,.25", "-1.5, 0.25", " -1.5 0.25 ", "-1.5;0.25", "-15e-1,+.25", "-1.5\t0.25"]
)
@pytest.mark.parametrize("joined", [False, True])
def test_numbers_may_be_written_in_many_ways(facts, text, joined):
    option = [f"--input={text}"] if joined else ["--input", text]
    found, err = facts("classic.npz", *option)
    assert err == ""
    assert found["input"]["x"] == [-1.5, 0.25]
    assert found["input"]["source"].startswith("--input ")
    assert (found["input"]["file"], found["input"]["notes"]) == (None, [])
    assert found["trace"][2]["activation"] == CLASSIC([-1.5, 0.25]).tolist()


def test_only_values_are_joined_to_the_option():
    for arguments in (
        ["inspect", "--input", "--json"],
        ["inspect", "--input", "-x"],
        ["predict", "--scale", "-1"],
        ["inspect", "-1,2"],
    ):
        assert join_negative(arguments) == arguments
    for text in ("-inf,1", "-nan", "-.5", "-1"):
        assert join_negative(["--input", text]) == [f"--input={text}"]


def test_scale_multiplies_what_is_typed(facts):
    found = facts("classic.npz", "--input", "2,1", "--scale", "0.5")[0]["input"]
    assert found["x"] == [1.0, 0.5]
    assert found["notes"] == ["times 0.5 (--scale)"]


@pytest.mark.parametrize("index", [0, 1])
def test_a_row_of_a_table(facts, run, index):
    found = facts("logits.npz", "--input", "flowers.csv", "--index", index)[0]
    row = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]][index]
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    assert found["input"]["x"] == row
    assert found["input"]["names"] == names
    assert found["input"]["label"] == ["setosa", "virginica"][index]
    assert (found["input"]["index"], found["input"]["samples"]) == (index, 2)
    out = run("inspect", "logits.npz", "--input", "flowers.csv", "--index", index)[1]
    shown = blocks(out)["input"]
    assert [line.split("  ")[0] for line in shown[2:]] == names
    right = found["class"] == found["input"]["label"]
    verdict = "right: it is" if right else "WRONG: it is"
    assert f"          {verdict} {found['input']['label']}\n" in out


def test_the_first_row_is_shown_and_the_others_are_mentioned(run, folder):
    out = run("inspect", "logits.npz", "--input", "flowers.csv")[1]
    assert "flowers.csv: sample 0 of 2, counted from 0 (--index N: another one)" in out
    out = run("inspect", "logits.npz", "--input", "flowers.csv", "--index", "0")[1]
    assert "another one" not in out


def test_a_table_without_labels_says_nothing_of_right_or_wrong(run, folder):
    out = run("inspect", "logits.npz", "--input", "bare.csv")[1]
    assert "it is" not in out
    assert [line.split()[0] for line in blocks(out)["input"][2:4]] == ["column", "column"]


def test_long_names_are_compared_whole(run, tmp_path):
    net = nncore.Network([nncore.Dense(1, 2, "softmax")], classes=["x" * 80 + "a", "x" * 80 + "b"])
    net.layers[0].set_weights([[1.0, 0.0]], [0.0, 0.0])
    net.save(tmp_path / "net.npz")
    (tmp_path / "rows.csv").write_text(f"1,{'x' * 80}b\n1,{'x' * 80}a\n")
    for index, verdict in enumerate(("WRONG", "right")):
        out = run("inspect", tmp_path / "net.npz", "--input", tmp_path / "rows.csv",
                  "--index", index)[1]  # fmt: skip
        assert out.endswith(f"          {verdict}: it is {'x' * 45}...\n")


def test_a_value_that_the_file_has_is_mentioned(run, folder, tmp_path):
    net = nncore.Network([nncore.Dense(4, 1)], seed=0)
    net.save(tmp_path / "net.npz")
    (tmp_path / "values.csv").write_text("a,b,c,d,y\n1,2,3,4,17.5\n")
    out = run("inspect", tmp_path / "net.npz", "--input", tmp_path / "values.csv")[1]
    assert "\n          the file has 17.5\n" in out


@pytest.mark.parametrize(
    "file", ["data/t10k-images-idx3-ubyte.gz", "flat.npy", "square.npy", "channel.npy"]
)
def test_a_sample_of_a_file_of_images(facts, test_set, file):
    found, err = facts("--input", file, "--index", "5")
    assert err == ""
    assert found["input"]["x"] == test_set[0][5].tolist()
    assert found["input"]["image"] == [28, 28]
    net = nncore.load_pretrained("digits")
    assert found["trace"][2]["activation"] == net(test_set[0][5]).tolist()
    assert found["label"] == net.predict(test_set[0][5])


def test_pixels_are_divided_for_a_network_that_does_not(facts, test_set):
    found = facts("classic.pkl", "--activations", "relu,softmax", "--input", "flat.npy")[0]
    assert found["input"]["x"] == (test_set[0][0] / np.float32(255)).tolist()
    assert "divided by 255 (assumed" in found["input"]["notes"][0]


def test_a_picture_is_prepared_as_by_predict(facts, run, folder, test_set, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="pictures need Pillow (extra images)")
    ink = 255 - test_set[0][3].reshape(28, 28)
    image.fromarray(ink).resize((200, 200)).save(tmp_path / "digit.png")
    found = facts("--input", tmp_path / "digit.png")[0]
    (predicted,) = json.loads(run("predict", tmp_path / "digit.png", "--json")[1])["predictions"]
    assert found["label"] == predicted["label"]
    assert max(found["probabilities"]) == predicted["probability"]
    assert found["input"]["notes"][0].startswith("inverted (the ground is light), ")
    image.fromarray(test_set[0][3].reshape(28, 28)).save(tmp_path / "raw.png")
    found = facts("--input", tmp_path / "raw.png", "--raw")[0]["input"]
    assert found["x"] == test_set[0][3].tolist()
    assert found["notes"][0] == "as it is (--raw)"


def test_a_digit_of_the_test_set(facts, test_set):
    images, labels = test_set
    for digit in range(10):
        places = np.flatnonzero(labels == digit)
        for n, place in enumerate(places.tolist()):
            found = facts("--digit", digit, "--index", n)[0]["input"]
            assert found["x"] == images[place].tolist()
            assert (found["label"], found["index"]) == (str(digit), place)
            assert found["samples"] == len(images)
            assert found["source"].startswith(f"MNIST's test image {place} of {len(images)}, ")


def test_an_index_of_the_test_set(facts, run, test_set):
    found = facts("--index", "7")[0]
    assert found["input"]["x"] == test_set[0][7].tolist()
    out = run("inspect", "--index", "7")[1]
    label = found["input"]["label"]
    verdict = "right" if str(found["label"]) == label else "WRONG"
    assert f"          {verdict}: it is {label}\n" in out


def test_digits_are_drawn_where_mnist_is_missing(facts, monkeypatch, folder, tmp_path):
    facts("--index", "0")
    monkeypatch.setenv("NNCORE_DATA_HOME", str(tmp_path))
    from nncore.cli._digits import DRAWN_SEED

    images, labels = nncore.datasets.make_digits(60, seed=DRAWN_SEED)
    found = facts("--digit", "4", "--index", "5")[0]["input"]
    place = np.flatnonzero(labels == 4)[5]
    assert (found["index"], found["label"], found["samples"]) == (place, "4", 10_000)
    assert found["x"] == images[place].tolist()
    assert found["source"] == (f"image {place} of 10,000 that nncore draws itself, counted from 0")
    assert found["notes"][0] == f"NOT MNIST: not found in {tmp_path} (NNCORE_DATA_HOME)"
    assert facts("--index", "33")[0]["input"]["x"] == images[33].tolist()


def test_the_digit_is_shown_as_characters(run, folder, test_set):
    out = run("inspect", "--index", "2")[1]
    lines = blocks(out)["input"]
    image = test_set[0][2].reshape(28, 28)
    assert lines[0] == "input: 28 x 28 pixels"
    assert lines[1:] == [f"│{line}│" for line in as_text(image, " ░▒▓█")]
    assert len(lines) == 15


def test_the_size_of_an_image(run, facts):
    lines = blocks(run("inspect", "eight.npz", "--input", "eight.npy")[1])["input"]
    grey = (np.arange(64).reshape(8, 8) * 255 / 63).astype(np.uint8)  # 63 is white
    assert lines == ["input: 8 x 8 pixels", *(f"│{line}│" for line in as_text(grey, " ░▒▓█"))]
    assert (lines[1], lines[-1]) == ("│        │", "│████████│")
    found = facts("eight.npz", "--input", "eight.npy", "--image", "4x16")[0]
    assert found["input"]["image"] == [4, 16]
    lines = blocks(run("inspect", "eight.npz", "--input", "eight.npy", "--image", "4x16")[1])
    assert lines["input"][0] == "input: 4 x 16 pixels"
    assert len(lines["input"]) == 3
    # Four numbers are read more easily than an image of four characters.
    assert facts("four.npz", "--input", "small.npy")[0]["input"]["image"] is None


def test_a_file_whose_name_is_a_number(facts, run, folder):
    assert facts("one.npz", "--input", "7")[0]["input"]["x"] == [7.0]
    assert facts("--input", "./7")[0]["input"]["file"] == "./7"
    assert run("inspect", "--input", "7")[2].endswith("has 1 value, this network takes 784\n")


REFUSED = [
    (["--input", "1,2"], "--input has 2 values, this network takes 784"),
    (["classic.npz", "--input", "1"], "--input has 1 value, this network takes 2"),
    (["classic.npz", "--input", "1,x"], "--input is '1,x', expected numbers such as 1,0.5, or a "
     "file that exists"),
    (["classic.npz", "--input", "1,,2"], "--input is '1,,2', expected numbers such as 1,0.5, or a "
     "file that exists"),
    (["classic.npz", "--input", "1,1.2.3"], "--input is '1,1.2.3', expected numbers such as 1,0.5, "
     "or a file that exists"),
    (["classic.npz", "--input", ""], "--input is '', expected numbers such as 1,0.5, or a file "
     "that exists"),
    (["classic.npz", "--input", "nowhere.csv"], "nowhere.csv: No such file or directory"),
    (["classic.npz", "--input", "empty"], "empty: is a folder, expected a file"),
    (["classic.npz", "--input", "nothing"], "nothing: the file is empty; expected a picture, an "
     "IDX file (.gz or not), a .npy or .npz file, or a table as .csv; numpy.save writes any array"),
    (["classic.npz", "--input", "one.npy"], "one.npy: holds other images: shape (28, 28), this "
     "network takes 2 features a sample"),
    (["--input", "object.npy"], "object.npy: is damaged or holds Python objects, expected numbers "
     "as NumPy saves them"),
    (["--input", "none.npy"], "none.npy: has shape (0, 784), expected at least one image"),
    (["--input", "flat.npy", "--index", "40"], "--index is 40, expected 0 to 39: flat.npy has 40 "
     "samples"),
    (["classic.npz", "--input", "1,0", "--index", "1"], "--index is 1, expected 0: --input has one "
     "sample"),
    (["--input", "one.npy", "--digit", "3"], "--digit and --input are both given, expected one of "
     "them"),
    (["--index", "40"], "--index is 40, expected 0 to 39: the test set has 40 samples"),
    (["--digit", "3", "--index", "99"], "--index is 99, expected 0 to 3: the digit 3 has 4 "
     "samples"),
    (["classic.npz", "--digit", "3"], "--digit without --input is of MNIST's images, of 784 "
     "pixels; this network takes 2 features: say --input"),
    (["classic.npz", "--index", "3"], "--index without --input is of MNIST's images, of 784 "
     "pixels; this network takes 2 features: say --input"),
    (["--index", "-1"], "argument --index: is '-1', expected a whole number of at least 0 (see "
     "nncore inspect --help)"),
    (["--digit", "12"], "argument --digit: is '12', expected a digit, 0 to 9 (see nncore inspect "
     "--help)"),
    (["--digit", "3", "--nodes", "0"], "argument --nodes: is '0', expected a whole number of at "
     "least 1 (see nncore inspect --help)"),
    (["--digit", "3", "--image", "28"], "argument --image: is '28', expected HEIGHTxWIDTH such as "
     "28x28 (see nncore inspect --help)"),
    (["--digit", "3", "--image", "28x29"], "--image 28x29 is 812 pixels, this network takes 784"),
    (["--scale", "2"], "--scale needs an input: say --input, --digit or --index, too"),
    (["--raw"], "--raw needs an input: say --input, --digit or --index, too"),
    (["--digit", "3", "--scale", "nan"], "argument --scale: is 'nan', expected a finite number "
     "(see nncore inspect --help)"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "text"), REFUSED, ids=[" ".join(each) for each, _ in REFUSED]
)
def test_refusals(run, folder, arguments, text):
    assert run("inspect", *arguments) == (2, "", f"nncore: error: {text}\n")
    assert run("inspect", *arguments, "--json") == (2, "", f"nncore: error: {text}\n")
