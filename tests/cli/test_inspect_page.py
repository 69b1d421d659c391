"""`nncore inspect --html`: the page is that of `net.to_html`, written whole or not at all."""

from __future__ import annotations

import json

import pytest

import nncore

from .inspected import NETWORKS


@pytest.fixture(scope="module")
def folder(files):
    for name in ("xor", "logits"):
        NETWORKS[name].save(files / f"{name}.npz")
    (files / "flowers.csv").write_text("5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n")
    return files


def test_the_page_begins_with_the_input(run, folder, tmp_path):
    page = tmp_path / "report.html"
    code, out, err = run("inspect", "xor.npz", "--input", "1,0.5", "--html", page)
    assert (code, err) == (0, "")
    written = page.read_text(encoding="utf-8")
    assert written == nncore.load("xor.npz").to_html([1.0, 0.5], title="xor.npz")
    said = " ".join(out[out.index("\npage ") :].split())
    assert said == f"page {page}, {page.stat().st_size:,} bytes"
    assert "layer 2: 2 -> 1, identity" in out  # the terminal shows it, too


def test_the_page_of_a_row_of_a_table(run, folder, tmp_path):
    page = tmp_path / "report.html"
    arguments = ("--input", "flowers.csv", "--index", "1", "--html", page)
    facts = json.loads(run("inspect", "logits.npz", *arguments, "--json")[1])
    expected = NETWORKS["logits"].to_html([6.3, 3.3, 6.0, 2.5], title="logits.npz")
    assert page.read_text(encoding="utf-8") == expected
    assert facts["page"] == {"file": str(page), "bytes": page.stat().st_size}
    assert "trace" in facts


def test_the_page_of_a_digit(run, folder, test_set, tmp_path):
    page = tmp_path / "report.html"
    assert run("inspect", "--index", "4", "--html", page)[0] == 0
    net = nncore.load_pretrained("digits")
    expected = net.to_html(test_set[0][4], image=(28, 28))
    assert page.read_text(encoding="utf-8") == expected


def test_the_page_of_an_image_of_another_shape(run, folder, test_set, tmp_path):
    page = tmp_path / "report.html"
    assert run("inspect", "--index", "4", "--image", "14x56", "--html", page)[0] == 0
    net = nncore.load_pretrained("digits")
    expected = net.to_html(test_set[0][4], image=(14, 56))
    assert page.read_text(encoding="utf-8") == expected


def test_a_page_without_an_input(run, folder, tmp_path):
    page = tmp_path / "report.html"
    out = run("inspect", "xor.npz", "--html", page)[1]
    expected = nncore.load("xor.npz").to_html(title="xor.npz")
    assert page.read_text(encoding="utf-8") == expected
    assert "1  2 -> 2, relu\n" in out  # how the weights are spread, as ever
    assert out.endswith(" bytes\n")


def test_a_file_that_exists_is_kept_unless_it_may_be_replaced(run, folder, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("something else")
    error = f"nncore: error: {page} exists, and would be replaced: say --overwrite to replace it\n"
    assert run("inspect", "xor.npz", "--html", page) == (2, "", error)
    assert page.read_text() == "something else"
    assert run("inspect", "xor.npz", "--html", page, "--overwrite")[0] == 0
    assert page.read_text(encoding="utf-8") != "something else"


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_nothing_is_left_of_a_page_that_cannot_be_made(run, folder, tmp_path, as_json):
    page = tmp_path / "report.html"
    code, out, err = run("inspect", "xor.npz", "--input", "1,nan", "--html", page, *as_json)
    error = "nncore: error: x has NaN or infinity, expected finite numbers for a page\n"
    assert (code, out, err) == (2, "", error)
    assert list(tmp_path.iterdir()) == []
    nowhere = tmp_path / "nowhere" / "report.html"
    code, out, err = run("inspect", "xor.npz", "--html", nowhere, *as_json)
    assert (code, out) == (2, "")
    assert err == f"nncore: error: {nowhere}: the folder {nowhere.parent} does not exist\n"


def test_the_name_of_a_file_may_be_no_text(run, folder, tmp_path):
    name = "<b>&\udcff.npz"
    try:
        (folder / name).write_bytes((folder / "xor.npz").read_bytes())
    except (OSError, UnicodeError):
        pytest.skip("this file system takes only names that are text")
    page = tmp_path / "report.html"
    assert run("inspect", name, "--html", page)[0] == 0
    assert r"<title>&lt;b&gt;&amp;\udcff.npz</title>" in page.read_text(encoding="utf-8")
