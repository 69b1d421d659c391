"""Pages in English and in Korean: the link between the two, and what depends on the language.

The Korean page of README.md is README.ko.md, that of docs/start.md is docs/ko/start.md, and that of
examples/1-perceptron.md is examples/ko/1-perceptron.md.
"""

from __future__ import annotations

import gettext
import re
from typing import Any

import sphinx.locale
import sphinx.search
from docutils import nodes
from sphinx import addnodes
from sphinx.environment.adapters.toctree import TocTree
from sphinx.search.en import SearchEnglish
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

HANGUL = re.compile("[가-힣]+")
NAMES = {"en": "English", "ko": "한국어"}
KOREAN_FIRST_PAGE = "docs/ko/index"
# The few words of the theme itself; Sphinx brings some of them in Korean.
KOREAN = gettext.translation("sphinx", sphinx.locale.__path__[0], ["ko"])
KOREAN_WORDS = {
    "Back to top": "맨 위로",
    "Home": "처음",
    "Next": "다음",
    "On this page": "이 페이지의 내용",
    "Previous": "이전",
    "Skip to content": "본문으로 건너뛰기",
}


def language_of(page: str) -> str:
    """Return "ko" for a Korean page and "en" for any other; `page` is its name without .md."""
    return "ko" if page == "README.ko" or "/ko/" in page else "en"


def counterpart(page: str) -> str:
    """Return the name that the page has in the other language."""
    if page in ("README", "README.ko"):
        return "README" if page == "README.ko" else "README.ko"
    if language_of(page) == "ko":
        return page.replace("/ko/", "/", 1)
    folder, _, name = page.rpartition("/")
    return f"{folder}/ko/{name}"


def mark_switch(app: Any, doctree: Any, docname: str) -> None:
    """Give the line with the link to the other language a class, for the site's style.

    The line stands in the Markdown, so a code host has it too. A page without it is warned of.
    """
    other = counterpart(docname)
    if other not in app.env.found_docs:
        return
    for line in doctree.findall(nodes.paragraph):
        link = next(line.findall(nodes.reference), None)
        if link is not None and line.astext().startswith(f"{NAMES[language_of(other)]}: "):
            uri = app.builder.get_target_uri
            if link.get("refuri") == relative_uri(uri(docname), uri(other)):
                line["classes"].append("languages")
                link["lang"] = language_of(other)
                return
    logging.getLogger(__name__).warning(
        'page has no link to its counterpart, expected the line "%s: [title](%s)"',
        NAMES[language_of(other)],
        relative_uri(f"{docname}.md", f"{other}.md"),
        location=docname,
    )


def set_language(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Say the page's language to the browser, and have the theme speak it."""
    if language_of(pagename) == "ko":
        context["language"] = "ko"
        context["gettext"] = context["_"] = in_korean
        if KOREAN_FIRST_PAGE in app.env.found_docs:
            context["toctree"] = lambda **given: korean_tree(app, pagename)


def in_korean(text: str) -> str:
    """Return a word of the theme in Korean, as far as it is known."""
    return KOREAN_WORDS.get(text) or KOREAN.gettext(text)


def korean_tree(app: Any, pagename: str) -> str:
    """Return the list of the Korean pages, which a Korean page has at its side."""
    lists = app.env.get_doctree(KOREAN_FIRST_PAGE).findall(addnodes.toctree)
    options = {"prune": False, "titles_only": True, "includehidden": True}
    trees = [TocTree(app.env).resolve(pagename, app.builder, tree, **options) for tree in lists]
    return "".join(app.builder.render_partial(tree)["fragment"] for tree in trees if tree)


class SearchBoth(SearchEnglish):
    """The words of English, and of Korean without their endings.

    A Korean noun is written together with its particles, which stand behind it. The index takes
    each beginning of a Korean word of two or more syllables, so the noun alone is found.
    """

    def split(self, input: str) -> list[str]:
        words = []
        for word in super().split(input):
            words.append(word)
            words += [run[:end] for run in HANGUL.findall(word) for end in range(2, len(run) + 1)]
        return words


def setup(app: Any) -> dict[str, bool]:
    sphinx.search.languages["en"] = SearchBoth
    app.connect("doctree-resolved", mark_switch)
    app.connect("html-page-context", set_language, priority=400)  # before the theme's own
    return {"parallel_read_safe": True, "parallel_write_safe": True}
