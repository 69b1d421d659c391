"""The pictures on the pages in examples/ are those that the code beside them draws."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="the pictures are drawn with matplotlib")

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/pictures.py"
if not TOOL.exists():
    pytest.skip("tools/ is not beside these tests", allow_module_level=True)

_specification = importlib.util.spec_from_file_location("pictures", TOOL)
pictures = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(pictures)

FOLDER = ROOT / "examples/pictures"
ALL = pictures.pictures()


def test_every_picture_has_its_code_and_every_file_its_page():
    linked = [
        name
        for page in sorted((ROOT / "examples").glob("*.md"))
        for name in re.findall(r"\(pictures/([^)]+\.svg)\)", page.read_text())
    ]
    assert [picture.name for picture in ALL] == linked
    assert len(set(linked)) == len(linked)
    assert {path.name for path in FOLDER.glob("*.svg")} == set(linked)


@pytest.mark.parametrize("picture", ALL, ids=lambda picture: picture.name)
def test_a_picture_is_what_its_code_draws(picture, tmp_path, capsys):
    """Labels, ticks and numbers; other versions of matplotlib may place them otherwise."""
    kept = (FOLDER / picture.name).read_text()
    assert len(kept) < 100_000
    made = pictures.draw(picture, tmp_path).read_text()
    texts = [re.findall(r"<text [^>]*>([^<]*)</text>", svg) for svg in (kept, made)]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 3
    for tag in ("<image ", "<use ", '<g id="patch_', '<g id="line2d_'):
        assert kept.count(tag) == made.count(tag)


@pytest.mark.parametrize("picture", ALL, ids=lambda picture: picture.name)
def test_those_who_do_not_see_a_picture_are_told_what_is_on_it(picture):
    assert len(" ".join(picture.text.split())) > 50
