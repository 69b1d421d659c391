"""Checks a built site: `python docs/check_site.py build/site`, from the repository's root.

Sphinx refuses dead links between pages while it builds. This looks at what came out of it:

- every link and picture leads to a file of the site, and every #place to a place on its page,
  those in raw HTML too
- no page, style or script makes a browser fetch something from elsewhere: only links that a reader
  may follow go out
- every Markdown page of the repository is there, and can be reached from the first page
- every public name is in the reference, and every command

What stands in interactive/ are pages that nncore writes: they are checked like the others.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[1]
FIRST_PAGE = "index.html"
PAGES = [
    "README.md",
    "README.ko.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "examples/**/*.md",
]
PAGES += ["benchmarks/**/*.md", "nncore/pretrained/*.md"]
MODULES = ["nncore", "nncore.datasets", "nncore.plot", "nncore.sklearn"]

# The attributes with an address that a browser fetches by itself.
FETCHED = {
    "audio": ["src"],
    "embed": ["src"],
    "iframe": ["src"],
    "image": ["href", "xlink:href"],
    "img": ["src", "srcset"],
    "input": ["src"],
    "link": ["href"],
    "object": ["data"],
    "script": ["src"],
    "source": ["src", "srcset"],
    "track": ["src"],
    "use": ["href", "xlink:href"],
    "video": ["src", "poster"],
}
# <link rel=...> that only says something: nothing is fetched.
SAYS_ONLY = {"canonical", "next", "prev", "index", "search", "author", "license", "alternate"}
IN_STYLES = re.compile(r"""url\(\s*["']?(.*?)["']?\s*\)|@import\s+["'](.*?)["']""")
# What a script would have to say to fetch something from elsewhere.
IN_SCRIPTS = re.compile(
    r"""(?:fetch|importScripts|import|open|WebSocket|EventSource|sendBeacon)\s*\(\s*"""
    r"""(?:["'][A-Z]+["']\s*,\s*)?["'`]((?:https?:|wss?:)?//[^"'`]*)"""
    r"""|\bsrc\s*=\s*["'`]((?:https?:)?//[^"'`]*)"""
)


class Address(NamedTuple):
    """An address on a page, and whether a browser fetches it without being asked."""

    text: str
    fetched: bool


class Page(HTMLParser):
    """What a page links to, what it fetches, and the places on it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[Address] = []
        self.places: set[str] = set()
        self.comments: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self._inside = tag if tag in ("style", "script") else ""
        self.places.update(given[key] for key in ("id", "name") if key in given)
        self._styles(given.get("style", ""))
        fetched = FETCHED.get(tag, [])
        if tag == "link" and set(given.get("rel", "").split()) <= SAYS_ONLY:
            fetched = []
        for key in ("href", "src", "srcset", "data", "poster", "xlink:href"):
            if key not in given or (key == "data" and tag != "object"):
                continue
            texts = [given[key]]
            if key == "srcset":
                texts = [part.split()[0] for part in given[key].split(",") if part.split()]
            self.addresses += [Address(text, key in fetched) for text in texts]
        if tag == "meta" and given.get("http-equiv", "").lower() == "refresh":
            self.addresses.append(Address(given["content"].partition("url=")[2], fetched=True))

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self._styles(data)
        elif self._inside == "script":
            self.addresses += [Address(text, fetched=True) for text in in_script(data)]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_comment(self, data: str) -> None:
        self.comments.append(data.strip())

    def _styles(self, text: str) -> None:
        self.addresses += [Address(address, fetched=True) for address in in_style(text)]


def in_style(text: str) -> list[str]:
    return [first or second for first, second in IN_STYLES.findall(text)]


def in_script(text: str) -> list[str]:
    return [first or second for first, second in IN_SCRIPTS.findall(text)]


def is_elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data", "blob", "about", "javascript")


def read_pages(site: Path) -> dict[Path, Page]:
    return {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
    }


def faults_of_links(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Yield the links that lead nowhere."""
    for path, page in pages.items():
        for address in dict.fromkeys(address.text for address in page.addresses):
            if is_elsewhere(address) or urlsplit(address).scheme:
                continue
            parts = urlsplit(address)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            where = f"{path.relative_to(site)}: {address}"
            if not target.is_file():
                yield f"{where} leads to no file of the site"
            elif parts.fragment and not has_place(pages.get(target), unquote(parts.fragment)):
                yield f"{where} leads to no place on the page"


def has_place(page: Page | None, name: str) -> bool:
    return page is None or name in page.places


def faults_of_fetching(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Yield what a browser would fetch from elsewhere."""
    found: list[tuple[Path, str]] = []
    for path, page in pages.items():
        found += [(path, address.text) for address in page.addresses if address.fetched]
    for kind, addresses_of in (("*.css", in_style), ("*.js", in_script), ("*.svg", in_picture)):
        for path in sorted(site.rglob(kind)):
            text = path.read_text(encoding="utf-8")
            found += [(path.resolve(), address) for address in addresses_of(text)]
    for path, address in found:
        if is_elsewhere(address):
            yield f"{path.relative_to(site)}: {address} is fetched from elsewhere"


def in_picture(text: str) -> list[str]:
    """Return what an SVG file fetches."""
    return [address.text for address in Page(text).addresses if address.fetched]


def faults_of_pages(site: Path, pages: dict[Path, Page], names: Iterable[str]) -> Iterator[str]:
    """Yield the pages of the repository that the site lacks, or to which nothing leads."""
    reached, waiting = set(), [site / FIRST_PAGE]
    while waiting:
        path = waiting.pop()
        if path not in pages or path in reached:
            continue
        reached.add(path)
        waiting += [
            (path.parent / unquote(urlsplit(address.text).path)).resolve()
            for address in pages[path].addresses
            if not is_elsewhere(address.text)
        ]
    for name in names:
        path = site / Path(name).with_suffix(".html")
        if path not in pages:
            yield f"{name} is no page of the site"
        elif path not in reached:
            yield f"{name} cannot be reached from {FIRST_PAGE}"
    for path, page in pages.items():
        for comment in page.comments:
            if comment.startswith("interactive:"):
                yield f"{path.relative_to(site)}: <!-- {comment} --> has become no network"


def markdown_pages(root: Path) -> list[str]:
    return sorted({str(p.relative_to(root)) for pattern in PAGES for p in root.glob(pattern)})


def documented_names(site: Path) -> set[str]:
    """Return the names in the reference, from Sphinx's own list of them, objects.inv."""
    head, _, packed = (site / "objects.inv").read_bytes().partition(b"using zlib.\n")
    if not head.startswith(b"# Sphinx inventory version 2"):
        raise ValueError(f"{site / 'objects.inv'} has no inventory of version 2")
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def public_names() -> list[str]:
    """Return all names that users may import, with their modules."""
    found = []
    for module in MODULES:
        names = import_module(module).__all__
        found += [module, *(f"{module}.{name}" for name in names)]
    return found


def faults_of_reference(site: Path, names: Iterable[str]) -> Iterator[str]:
    documented = documented_names(site)
    for name in names:
        if name not in documented and name != "nncore":
            yield f"{name} is missing from the reference"


def faults_of_commands(
    site: Path, pages: dict[Path, Page], commands: Iterable[str]
) -> Iterator[str]:
    page = pages.get(site / "docs" / "reference" / "command-line.html")
    for command in commands:
        if page is None or f"nncore-{command}" not in page.places:
            yield f"nncore {command} is missing from the reference"


def command_names() -> list[str]:
    from nncore.cli import COMMANDS

    return [command.__name__.rpartition(".")[2] for command in COMMANDS]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or not (Path(arguments[0]) / FIRST_PAGE).is_file():
        print(f"expected the folder of a built site, found {arguments}", file=sys.stderr)
        return 2
    site = Path(arguments[0]).resolve()
    pages = read_pages(site)
    faults = [
        *faults_of_links(site, pages),
        *faults_of_fetching(site, pages),
        *faults_of_pages(site, pages, markdown_pages(ROOT)),
        *faults_of_reference(site, public_names()),
        *faults_of_commands(site, pages, command_names()),
    ]
    links = sum(len(page.addresses) for page in pages.values())
    print("\n".join(faults) or f"{len(pages)} pages, {links} links: all is as it should be")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
