"""The pages of the site as they stand in the repository: what can be checked without Sphinx."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from site_checks import ROOT, check_site

from nncore.activations import REGISTRY

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="there is no checkout here"
)
DIRECTIVE = re.compile(r"^\.\. public-names:: (\S+)\n((?:   .*\n)*)", re.MULTILINE)
# [text](target) and ![text](target), but not in code.
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def names_in_reference():
    found = set()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for module, names in DIRECTIVE.findall(text):
            names = names.replace("*activations", " ".join(REGISTRY))
            found |= {f"{module}.{name}" for name in names.split()}
            if not names and module == "nncore":
                found |= {f"{module}.{name}" for name in import_module(module).__all__}
    return found


def test_every_public_name_of_nncore_is_in_the_reference():
    """Those of other modules, some of which need other packages, are checked in the built site."""
    import nncore

    expected = {f"nncore.{name}" for name in nncore.__all__}
    assert expected - names_in_reference() == set()


@pytest.mark.parametrize("page", check_site.markdown_pages(ROOT))
def test_links_lead_to_files(page):
    text = CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    targets = [target.partition("#")[0] for target in LINK.findall(text) if ":" not in target]
    folder = (ROOT / page).parent
    assert [target for target in targets if target and not (folder / target).is_file()] == []


def test_all_pages_are_looked_at():
    pages = check_site.markdown_pages(ROOT)
    assert {"README.md", "CONTRIBUTING.md", "docs/index.md", "examples/1-perceptron.md"} <= {*pages}
    here = {
        str(path.relative_to(ROOT))
        for folder in ("docs", "examples", "benchmarks")
        for path in (ROOT / folder).rglob("*.md")
    }
    assert here <= set(pages)


def test_a_page_of_each_folder_is_read_by_sphinx():
    """The patterns of docs/conf.py and those of docs/check_site.py name the same pages."""
    from fnmatch import fnmatch

    settings = (ROOT / "docs" / "conf.py").read_text(encoding="utf-8")
    block = settings.partition("include_patterns = [")[2].partition("]")[0]
    patterns = re.findall(r'"([^"]+)"', block)
    for page in check_site.markdown_pages(ROOT):
        assert any(fnmatch(page, pattern) for pattern in patterns), page
