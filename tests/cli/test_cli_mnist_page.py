"""`nncore mnist --html`: what it refuses, and that the page is written whole or not at all."""

from __future__ import annotations

import html
import json
import os
import re

import numpy as np
import pytest

import nncore

SAMPLES = 40


def data_of(path):
    """What Python wrote for the page's script."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def without_times(printed):
    facts = json.loads(printed)
    for row in facts["timings"]:
        for key in ("seconds_per_sample", "best_seconds_per_sample", "samples_per_second"):
            del row[key]
        del row["speedup"], row["passes"]
    return facts


def test_the_page_has_what_the_command_prints(run, files, test_set, tmp_path):
    path = tmp_path / "report.html"
    code, out, err = run("mnist", "--html", path, "--batch-size", 7)
    assert (code, err) == (0, "")
    assert f"page {path}, {path.stat().st_size:,} bytes" in " ".join(out.split())
    data = data_of(path)
    images, labels = test_set
    predicted = nncore.load_pretrained("digits").predict(images)
    found = data["results"]
    assert f"{int((predicted == labels).sum())} of {SAMPLES} right" in out
    assert np.trace(found["matrix"]) == (predicted == labels).sum()
    assert [row["batch_size"] for row in found["timings"]] == [None, 1, 7, 10, SAMPLES]
    assert (found["is_mnist"], found["same_bits"], found["divisor"]) == (True, True, 1)
    assert found["machine"]["instruction_set"] == nncore.info()["instruction_set"]
    assert data["title"] == "784-50-100-10"
    assert data["input"] == images[0].tolist()
    assert str(files) not in path.read_text("utf-8")


def test_standard_output_has_the_same_json(run, tmp_path):
    plain = run("mnist", "--json")
    code, out, err = run("mnist", "--json", "--html", tmp_path / "report.html")
    assert (code, err) == (plain[0], plain[2]) == (0, "")
    assert without_times(out) == without_times(plain[1])
    timings = data_of(tmp_path / "report.html")["results"]["timings"]
    assert timings == [
        {key: row[key] for key in ("batch_size", "seconds_per_sample")}
        for row in json.loads(out)["timings"]
    ]


def test_weights_of_ones_own_and_a_limit(run, tmp_path, test_set):
    path = tmp_path / "report.htm"
    assert run("mnist", "--weights", "classic.pkl", "--limit", 3, "--html", path)[0] == 0
    data = data_of(path)
    assert data["title"] == "classic.pkl: 784-7-10"
    assert data["results"]["divisor"] == 255
    assert np.sum(data["results"]["matrix"]) == 3
    np.testing.assert_array_equal(data["input"], test_set[0][0] / np.float32(255))


def test_drawn_digits_are_not_called_mnist(run, monkeypatch, tmp_path):
    monkeypatch.setenv("NNCORE_DATA_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setattr("nncore.datasets.mnist.provide_mnist", _unreachable)
    assert run("mnist", "--limit", 5, "--html", tmp_path / "report.html")[0] == 0
    assert data_of(tmp_path / "report.html")["results"]["is_mnist"] is False


def _unreachable(*, split):
    raise ConnectionError("no mirror can be reached")


def test_different_bits_are_in_the_page_too(run, monkeypatch, tmp_path):
    monkeypatch.setattr("nncore.cli._measure.same_bits", lambda *_: False)
    assert run("mnist", "--limit", 12, "--html", tmp_path / "report.html")[0] == 1
    assert data_of(tmp_path / "report.html")["results"]["same_bits"] is False


def test_the_name_of_a_file_is_text(run, files, tmp_path):
    name = "<b>&\udcff.npz"
    try:
        (files / name).write_bytes((files / "named.npz").read_bytes())
    except (OSError, UnicodeError):
        pytest.skip("this file system takes only names that are text")
    assert run("mnist", "--weights", name, "--limit", 1, "--html", tmp_path / "a.html")[0] == 0
    title = r"<b>&\udcff.npz: 784-9-10"
    assert data_of(tmp_path / "a.html")["title"] == title
    assert f"<title>{html.escape(title)}</title>" in (tmp_path / "a.html").read_text("utf-8")


def test_places_where_no_page_can_be(run, tmp_path):
    (tmp_path / "folder.html").mkdir()
    older, protected = tmp_path / "older.html", tmp_path / "protected.html"
    for path in (older, protected):
        path.write_text("mine")
    protected.chmod(0o444)
    for path, text in [
        (older, f"{older} exists, and would be replaced: say --overwrite to replace it"),
        (
            tmp_path / "no" / "report.html",
            f"{tmp_path}/no/report.html: the folder {tmp_path}/no does not exist",
        ),
        (tmp_path / "folder.html", f"{tmp_path}/folder.html: Is a directory"),
        (protected, f"{protected}: Permission denied"),
    ]:
        if path == protected and os.access(path, os.W_OK):
            continue  # the super-user may write everywhere
        overwrite = [] if path == older else ["--overwrite"]
        code, out, err = run("mnist", "--html", path, *overwrite)
        assert (code, out, err) == (2, "", f"nncore: error: {text}\n")
    assert older.read_text() == protected.read_text() == "mine"


def test_an_older_page_is_replaced_whole_or_stays(run, monkeypatch, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("older")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("nncore.formats._files.os.fsync", full)
        code, _, err = run("mnist", "--limit", 2, "--html", path, "--overwrite")
    assert (code, err) == (2, f"nncore: error: {path}: No space left on device\n")
    assert path.read_text() == "older"
    assert run("mnist", "--limit", 2, "--html", path, "--overwrite")[0] == 0
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert os.listdir(tmp_path) == ["report.html"]
