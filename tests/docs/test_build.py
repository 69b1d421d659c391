"""Sphinx with the settings of docs/conf.py: what it refuses, and what becomes of a page.

Each test builds a site of a few pages. The whole site is built and checked in CI.
"""

from __future__ import annotations

import re

import pytest
from site_checks import DOCS, check_site, need_sphinx, sphinx_build

INDEX = "# First\n\n```{toctree}\n:glob:\n\n*\n```\n"


@pytest.fixture
def build(tmp_path):
    """build({"a.md": text}): builds a site of these pages and docs/index.md, warnings as errors."""
    need_sphinx()

    def run(files):
        source, target = tmp_path / "source", tmp_path / "site"
        for name, text in {"docs/index.md": INDEX, **files}.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        code, printed = sphinx_build(source, target)
        return code, printed, target

    return run


def read(path):
    return path.read_text(encoding="utf-8")


def test_a_site_without_faults(build):
    code, printed, target = build(
        {
            "docs/a.md": "# A\n\n[b](b.md#two-words), [a file](../ext/a.h), `code`\n\n## Part\n",
            "docs/b.md": "# B\n\n## Two words\n\n```python\n>>> 1 + 1\n2\n\n```\n",
            "ext/a.h": "int a; /* <here> */\n",
        }
    )
    assert (code, printed) == (0, "")
    assert 'href="b.html#two-words"' in read(target / "docs" / "a.html")
    assert 'url=docs/index.html"' in read(target / "index.html")
    # A file that is no page is shown, as text.
    assert 'href="../source/ext/a.h.html"' in read(target / "docs" / "a.html")
    shown = read(target / "source" / "ext" / "a.h.html")
    assert "<h1><code>ext/a.h</code></h1>" in shown
    assert "&lt;here&gt;" in shown
    # The empty line that the tests need is not shown.
    assert "2</span>\n</pre>" in read(target / "docs" / "b.html")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[x](gone.md)", "'myst' cross-reference target not found: 'gone.md'"),
        ("[x](index.md#gone)", "local id not found in doc 'docs/index': 'gone'"),
        ("[x](#gone)", "'myst' cross-reference target not found: 'gone'"),
        ("[x](../ext/gone.h)", "'myst' cross-reference target not found: '../ext/gone.h'"),
        ("![x](gone.svg)", "image file not readable: docs/gone.svg"),
        ("<!-- interactive: gone -->", "interactive network is 'gone', expected one of classic, "),
        ("```{eval-rst}\n:class:`nncore.Gone`\n```", "reference target not found: nncore.Gone"),
    ],
)
def test_what_is_refused(build, text, fault):
    code, printed, _ = build({"docs/a.md": f"# A\n\n{text}\n"})
    assert code == 1
    assert fault in printed
    assert len(printed.splitlines()) == 1


def test_a_page_that_is_in_no_tree_is_refused(build):
    code, printed, _ = build({"examples/a.md": "# A\n"})
    assert code == 1
    assert "examples/a.md: WARNING: document isn't included in any toctree" in printed


def test_a_marker_becomes_a_frame_with_a_title_and_a_link(build):
    code, printed, target = build(
        {
            "docs/a.md": "# A\n\n한국어: [가](ko/a.md)\n\nText.\n\n<!-- interactive: xor -->\n",
            "docs/ko/a.md": "# 가\n\nEnglish: [A](../a.md)\n\n<!-- interactive: xor -->\n",
            "docs/index.md": INDEX.replace("*", "*\nko/*"),
        }
    )
    assert (code, printed) == (0, "")
    english, korean = read(target / "docs" / "a.html"), read(target / "docs" / "ko" / "a.html")
    for page, address, title in (
        (english, "../interactive/xor.html?language=en", "XOR from OR, NAND and AND"),
        (korean, "../../interactive/xor.ko.html?language=ko", "OR, NAND, AND로 만든 XOR"),
    ):
        (frame,) = re.findall(r"<iframe src=\"([^\"]+)\" title=\"([^\"]+)\"", page)
        assert frame == (address, title)
        assert f'<a href="{address}">' in page
        assert "<!-- interactive" not in page
    assert read(target / "interactive" / "xor.html").startswith("<!doctype html>")
    # Only the networks that a page asks for are made.
    assert len(list((target / "interactive").iterdir())) == 2
    # Each page has its language, and a link to the other one.
    assert re.search(r'<html[^>]* lang="en"', english)
    assert re.search(r'<html[^>]* lang="ko"', korean)
    assert re.search(r'<p class="languages">한국어: <a [^>]*href="ko/a.html"', english)
    assert re.search(r'<p class="languages">English: <a [^>]*href="../a.html"', korean)
    assert "이전" in korean  # a word of the theme


def test_a_page_without_the_link_to_its_counterpart_is_refused(build):
    code, printed, _ = build(
        {
            "docs/a.md": "# A\n\nText.\n",
            "docs/ko/a.md": "# 가\n\nEnglish: [A](../a.md)\n",
            "docs/index.md": INDEX.replace("*", "*\nko/*"),
        }
    )
    assert code == 1
    assert 'expected the line "한국어: [title](ko/a.md)"' in printed


def test_korean_words_are_found_without_their_particles(monkeypatch):
    need_sphinx()
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    from languages import SearchBoth

    words = SearchBoth({}).split("퍼셉트론은 layer를 학습한다")
    assert {"퍼셉트론", "퍼셉트론은", "학습", "layer를"} <= set(words)
    assert "퍼" not in words


@pytest.mark.parametrize(
    ("english", "korean"),
    [
        ("README", "README.ko"),
        ("docs/start", "docs/ko/start"),
        ("examples/1-perceptron", "examples/ko/1-perceptron"),
    ],
)
def test_counterparts(monkeypatch, english, korean):
    need_sphinx()
    monkeypatch.syspath_prepend(str(DOCS / "extensions"))
    from languages import counterpart, language_of

    assert (counterpart(english), counterpart(korean)) == (korean, english)
    assert (language_of(english), language_of(korean)) == ("en", "ko")


def test_every_public_name_becomes_an_entry_and_commands_come_from_their_parsers(build):
    names = ".. public-names:: nncore\n   get_num_threads leaky_relu info"
    page = f"# R\n\n```{{eval-rst}}\n{names}\n```\n"
    code, printed, target = build(
        {"docs/a.md": page, "docs/b.md": "# C\n\n```{command-line}\n```\n"}
    )
    assert (code, printed) == (0, "")
    names = check_site.documented_names(target)
    assert {"nncore.get_num_threads", "nncore.leaky_relu", "nncore.info"} <= names
    assert "alpha=0.01" in re.sub("<[^>]*>", "", read(target / "docs" / "a.html"))
    commands = read(target / "docs" / "b.html")
    assert 'id="nncore-info"' in commands
    assert "--data DIR" in commands
