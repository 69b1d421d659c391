"""Figures as files: the same bytes each time, and whole or not at all."""

from __future__ import annotations

import re

import pytest
from helpers import run_python

pytest.importorskip("matplotlib", reason="nncore.plot draws with matplotlib")

from nncore import plot
from nncore.plot import _files


def draw(figure):
    plot.xor_regions(ax=figure)


@pytest.mark.parametrize("ending", [".svg", ".PNG"])
def test_the_same_bytes_again_whatever_the_users_settings(ending, tmp_path, pyplot):
    first, second = tmp_path / f"first{ending}", tmp_path / f"second{ending}"
    _files.save(first, draw)
    with pyplot.rc_context({"lines.linewidth": 9, "font.size": 20, "svg.fonttype": "path"}):
        _files.save(second, draw)
        assert pyplot.rcParams["lines.linewidth"] == 9
    assert first.read_bytes() == second.read_bytes()
    code = f"""
from nncore.plot import _files, xor_regions
_files.save({str(second)!r}, lambda figure: xor_regions(ax=figure))
"""
    run_python(code, SOURCE_DATE_EPOCH="86400", MPLBACKEND="svg")
    assert first.read_bytes() == second.read_bytes()


def test_text_stays_text_and_there_is_no_date(tmp_path):
    path = tmp_path / "xor.svg"
    _files.save(path, draw)
    text = path.read_text()
    assert "As the hidden layer sees it</text>" in text
    assert "dc:date" not in text
    assert "matplotlib.org" not in text
    assert re.search(r"<!-- Created with|20[0-9][0-9]-", text) is None


def test_names_from_elsewhere_are_shown_as_text(tmp_path):
    """Neither as mathematics, nor as elements of the SVG; a control character would break it."""
    from xml.etree import ElementTree

    names = ["<script>", "a\x1b[2J", r"$\frac$", "a & b", "x" * 90]
    path = tmp_path / "names.svg"
    _files.save(
        path,
        lambda figure: plot.confusion_matrix(
            [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], classes=names, ax=figure
        ),
    )
    root = ElementTree.parse(path).getroot()
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    shown = ["<script>", "a?[2J", r"$\frac$", "a & b", "x" * 13 + "…"]
    assert [texts.count(name) for name in shown] == [2] * 5
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    _files.save(path, lambda figure: plot.latency({"<b>$x$\n": {1: 1e-6}}, ax=figure))
    assert ">&lt;b&gt;$x$?</text>" in path.read_text()


def test_letters_that_the_font_lacks(tmp_path):
    def korean(figure):
        plot.confusion_matrix([0, 1], [0, 1], classes=["고양이", "개"], ax=figure)

    path = tmp_path / "korean.svg"
    _files.save(path, korean)  # warnings are errors here
    assert ">고양이</text>" in path.read_text()
    with pytest.warns(UserWarning, match="Glyph .* missing"):
        _files.save(tmp_path / "korean.png", korean)


def test_a_picture_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "picture.svg"
    path.write_bytes(b"before")

    def fail(figure):
        draw(figure)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        _files.save(path, fail)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["picture.svg"]


@pytest.mark.parametrize("name", ["picture.jpg", "picture", "svg"])
def test_other_endings_are_refused_before_anything_is_drawn(name, tmp_path):
    def never(figure):
        raise AssertionError

    with pytest.raises(ValueError, match=r"expected a name that ends in \.svg or \.png$"):
        _files.save(tmp_path / name, never)
    with pytest.raises(TypeError, match="path is of type int, expected a str"):
        _files.save(3, never)


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder/picture\.svg"):
        _files.save(tmp_path / "no folder" / "picture.svg", draw)
