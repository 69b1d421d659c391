"""Links to files that are no pages: the site shows their text, as a code host does.

Markdown may link to any file of the repository. Sphinx would offer such a file for download. Here
the link leads to a page of the site with the file's text, highlighted.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.osutil import relative_uri

FOLDER = "source"


class file_reference(nodes.Element):
    """A link to a file that is no page; its `path` begins at the repository's root."""


def text_of(path: Path) -> str | None:
    """Return the file's text, or None if it has none."""
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return None


class CollectFiles(SphinxTransform):
    """Takes links to text files before Sphinx copies these files for download."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(addnodes.download_reference)):
            path, absolute = self.env.relfn2path(node["reftarget"], self.env.docname)
            if text_of(Path(absolute)) is None:
                continue
            node.replace_self(file_reference("", *node.children, path=path))
            self.env.note_dependency(absolute)
            linked_files(self.env).setdefault(self.env.docname, set()).add(path)


def linked_files(env: Any) -> dict[str, set[str]]:
    """Return for each page the files to which it links."""
    if not hasattr(env, "nncore_linked_files"):
        env.nncore_linked_files = {}
    files: dict[str, set[str]] = env.nncore_linked_files
    return files


def forget(app: Any, env: Any, docname: str) -> None:
    linked_files(env).pop(docname, None)


def merge(app: Any, env: Any, docnames: Any, other: Any) -> None:
    linked_files(env).update(
        {name: files for name, files in linked_files(other).items() if name in docnames}
    )


def resolve(app: Any, doctree: Any, docname: str) -> None:
    """Turn the links into links to the pages of `pages`."""
    here = app.builder.get_target_uri(docname)
    for node in list(doctree.findall(file_reference)):
        target = relative_uri(here, app.builder.get_target_uri(f"{FOLDER}/{node['path']}"))
        node.replace_self(nodes.reference("", "", *node.children, refuri=target, internal=True))


def pages(app: Any) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a page for each file to which the Markdown links."""
    paths = {path for files in linked_files(app.env).values() for path in files}
    for path in sorted(paths):
        text = text_of(Path(app.srcdir) / path) or ""
        try:
            language = get_lexer_for_filename(path).aliases[0]
        except ClassNotFound:
            language = "text"
        code = app.builder.highlighter.highlight_block(text, language)
        title = html.escape(path)
        body = f"<h1><code>{title}</code></h1>\n{code}"
        yield f"{FOLDER}/{path}", {"title": title, "body": body}, "page.html"


def setup(app: Any) -> dict[str, bool]:
    app.add_node(file_reference)
    app.add_transform(CollectFiles)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("doctree-resolved", resolve)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
