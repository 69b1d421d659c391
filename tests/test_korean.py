"""The Korean pages beside the English ones: the same code, pictures and parts in the same order.

No test can tell whether the sentences say the same. But whoever changes the code, a picture or a
heading of a page is told here that there is a second page to change.
"""

from __future__ import annotations

import re

import pytest
from helpers import TESTS

ROOT = TESTS.parent
FOLDERS = {"examples/ko": "examples", "docs/ko": "docs"}
PAGES = {"README.ko.md": "README.md"}
for korean, english in FOLDERS.items():
    PAGES |= {f"{korean}/{p.name}": f"{english}/{p.name}" for p in (ROOT / korean).glob("*.md")}
LESSONS = sorted(path.name for path in (ROOT / "examples").glob("[1-9]-*.md"))

BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"(?<=\n\n)    .+")
COMMENT = re.compile(r"(^|  +|(?<=\.\.\. ))# (?!doctest:).*$", re.MULTILINE)
PICTURE = re.compile(r"!\[[^\]]*\]\((\S+)\)|<(?:img|iframe)[^>]* src=\"([^\"]+)\"")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)[^)]*\)|<(?:img|iframe)[^>]* src=\"([^\"]+)\"")
HANGUL = re.compile("[가-힣]")

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="there is no checkout here"
)
each_page = pytest.mark.parametrize("korean", sorted(PAGES))


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def code(page):
    """The blocks of code without their comments, and the formulas that are set like code."""
    text = read(page)
    blocks = [COMMENT.sub("", block) for block in BLOCK.findall(text)]
    blocks = [block for block in blocks if not block.startswith("```{")]  # Sphinx' lists of pages
    return blocks, FORMULA.findall(BLOCK.sub("", text))


def prose(page):
    return BLOCK.sub("", read(page))


def targets(page, pattern):
    """The files that a page shows or links to, as paths from the root; addresses are left out."""
    names = [first or second for first, second in pattern.findall(prose(page))]
    names = [name for name in names if name and not name.startswith(("https:", "http:"))]
    return [(ROOT / page).parent.joinpath(name).resolve() for name in names]


def test_there_are_nine_lessons_in_both_languages():
    assert len(LESSONS) == 9
    assert {"examples/ko/README.md", "docs/ko/index.md", "docs/ko/start.md"} <= set(PAGES)
    assert [name for name in LESSONS if f"examples/ko/{name}" not in PAGES] == []


@each_page
def test_the_code_is_the_same(korean):
    assert code(korean) == code(PAGES[korean])


@each_page
def test_the_parts_follow_one_another_alike(korean):
    def levels(page):
        return re.findall(r"^#+(?= )", prose(page), re.MULTILINE)

    def rows(page):
        return len(re.findall(r"^\|.*\|$", prose(page), re.MULTILINE))

    def notes(page):  # what the site puts a network in the place of
        return re.findall(r"<!-- .*? -->", prose(page))

    for part in levels, rows, notes:
        assert part(korean) == part(PAGES[korean])


@each_page
def test_the_pictures_are_the_same(korean):
    assert targets(korean, PICTURE) == targets(PAGES[korean], PICTURE)


@each_page
def test_each_page_links_to_the_other(korean):
    english = PAGES[korean]
    assert (ROOT / english).resolve() in targets(korean, LINK)
    assert (ROOT / korean).resolve() in targets(english, LINK)


@each_page
def test_links_lead_to_files(korean):
    assert [path for path in targets(korean, LINK) if not path.exists()] == []


@each_page
def test_it_is_korean(korean):
    """Every paragraph, row and heading has Korean in it: none was left in English."""
    for paragraph in prose(korean).split("\n\n")[1:]:
        text = paragraph.strip("\n")
        if text and not text.startswith(("English:", "<!--", "    ")):
            assert HANGUL.search(text), text


@pytest.mark.parametrize(
    "file", [*sorted(PAGES), "docs/extensions/interactive.py", "nncore/page/texts.js"]
)
def test_a_network_has_one_name(file):
    """The texts call it 신경망; 네트워크 is the network between computers."""
    assert "네트워크" not in read(file)
