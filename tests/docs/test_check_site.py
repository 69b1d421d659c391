"""docs/check_site.py finds what is wrong with a site: each fault here is in a site of its own."""

from __future__ import annotations

import zlib

import pytest
from site_checks import check_site

PAGE = "<!doctype html><html lang='en'><title>page</title><body>{}</body></html>"


@pytest.fixture
def site(tmp_path):
    """site({"a.html": body, "a.css": text}): a site of these files; pages get a frame."""

    def make(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PAGE.format(text) if name.endswith(".html") else text)
        return tmp_path.resolve()

    return make


def links(folder):
    return list(check_site.faults_of_links(folder, check_site.read_pages(folder)))


def fetched(folder):
    return list(check_site.faults_of_fetching(folder, check_site.read_pages(folder)))


def pages(folder, names):
    return list(check_site.faults_of_pages(folder, check_site.read_pages(folder), names))


def test_links_that_lead_somewhere(site):
    folder = site(
        {
            "index.html": '<a href="sub/b.html#place">b</a> <a href="#top">top</a> <p id="top">'
            '<a href="https://elsewhere.example/page">out</a> <a href="mailto:a@b.example">m</a>'
            '<img src="a%20picture.svg"> <img src="data:image/png;base64,AAAA">',
            "sub/b.html": '<p id="place"> <a href="../index.html">back</a>',
            "a picture.svg": "<svg/>",
        }
    )
    assert links(folder) == []


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">x</a>', "gone.html leads to no file of the site"),
        ('<a href="#gone">x</a>', "#gone leads to no place on the page"),
        ('<a href="index.html#gone">x</a>', "index.html#gone leads to no place on the page"),
        ('<a href="sub/">x</a>', "sub/ leads to no file of the site"),
        ('<img src="gone.svg">', "gone.svg leads to no file of the site"),
        ('<iframe src="gone.html"></iframe>', "gone.html leads to no file of the site"),
        ('<img srcset="gone.png 2x">', "gone.png leads to no file of the site"),
        ('<link rel="stylesheet" href="gone.css">', "gone.css leads to no file of the site"),
    ],
)
def test_links_that_lead_nowhere(site, body, fault):
    assert links(site({"index.html": body})) == [f"index.html: {fault}"]


@pytest.mark.parametrize(
    "body",
    [
        '<a href="https://elsewhere.example/">a reader may follow it</a>',
        '<link rel="canonical" href="https://elsewhere.example/">',
        "<script>fetch('numbers.json')</script>",
        "<script>// see https://elsewhere.example/page\n</script>",
        "<style>p { background: url(data:image/png;base64,AAAA) }</style>",
        '<svg xmlns="http://www.w3.org/2000/svg"><use href="#arrow"/></svg>',
    ],
)
def test_what_fetches_nothing_from_elsewhere(site, body):
    assert fetched(site({"index.html": body})) == []


@pytest.mark.parametrize(
    "body",
    [
        '<script src="https://elsewhere.example/x"></script>',
        '<script src="//elsewhere.example/x"></script>',
        '<link rel="stylesheet" href="https://elsewhere.example/x">',
        '<link rel="preconnect" href="https://elsewhere.example/x">',
        '<img src="http://elsewhere.example/x">',
        '<img srcset="local.png, https://elsewhere.example/x 2x">',
        '<iframe src="https://elsewhere.example/x"></iframe>',
        '<video poster="https://elsewhere.example/x"></video>',
        '<p style="background: url(https://elsewhere.example/x)">',
        "<style>@import 'https://elsewhere.example/x';</style>",
        "<style>@font-face { src: url('https://elsewhere.example/x') }</style>",
        "<script>fetch('https://elsewhere.example/x')</script>",
        '<script>import("https://elsewhere.example/x")</script>',
        "<script>request.open('GET', 'https://elsewhere.example/x')</script>",
        "<script>image.src = 'https://elsewhere.example/x'</script>",
        '<meta http-equiv="refresh" content="0; url=https://elsewhere.example/x">',
    ],
)
def test_what_is_fetched_from_elsewhere(site, body):
    (fault,) = fetched(site({"index.html": body}))
    assert fault.endswith("elsewhere.example/x is fetched from elsewhere")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.css", "@import url(https://elsewhere.example/x);"),
        ("a.js", "fetch(`https://elsewhere.example/x`)"),
        ("a.svg", '<svg><image href="https://elsewhere.example/x"/></svg>'),
    ],
)
def test_what_styles_scripts_and_pictures_fetch(site, name, text):
    expected = f"{name}: https://elsewhere.example/x is fetched from elsewhere"
    assert fetched(site({name: text, "index.html": ""})) == [expected]


def test_pages_that_are_missing_or_cannot_be_reached(site):
    folder = site(
        {
            "index.html": '<a href="docs/a.html#part">a</a>',
            "docs/a.html": '<a href="b.html">b</a>',
            "docs/b.html": "",
            "docs/alone.html": "",
        }
    )
    assert pages(folder, ["docs/a.md", "docs/b.md"]) == []
    assert pages(folder, ["docs/alone.md", "docs/gone.md"]) == [
        "docs/alone.md cannot be reached from index.html",
        "docs/gone.md is no page of the site",
    ]


def test_a_marker_that_became_no_network(site):
    folder = site({"index.html": "<!-- interactive: xor --> <!-- another comment -->"})
    assert pages(folder, []) == ["index.html: <!-- interactive: xor --> has become no network"]


def inventory(folder, names):
    lines = "".join(f"{name} py:function 1 page.html#$ -\n" for name in names)
    lines += "nncore.label std:label 1 page.html#$ -\n"
    head = b"# Sphinx inventory version 2\n# Project: nncore\n# Version: 1\n"
    head += b"# The remainder of this file is compressed using zlib.\n"
    (folder / "objects.inv").write_bytes(head + zlib.compress(lines.encode()))


def test_names_that_are_missing_from_the_reference(site):
    folder = site({"index.html": ""})
    inventory(folder, ["nncore.relu"])
    wanted = ["nncore", "nncore.relu", "nncore.label", "nncore.tanh"]
    assert list(check_site.faults_of_reference(folder, wanted)) == [
        "nncore.label is missing from the reference",
        "nncore.tanh is missing from the reference",
    ]


def test_an_inventory_of_another_form_is_refused(site):
    folder = site({"index.html": "", "objects.inv": "something else"})
    with pytest.raises(ValueError, match=r"objects\.inv has no inventory of version 2"):
        check_site.documented_names(folder)


def test_commands_that_are_missing_from_the_reference(site):
    folder = site({"docs/reference/command-line.html": '<h2 id="nncore-info">nncore info</h2>'})
    found = check_site.read_pages(folder)
    faults = check_site.faults_of_commands(folder, found, ["info", "bench"])
    assert list(faults) == ["nncore bench is missing from the reference"]


def test_the_names_that_are_looked_for():
    """All of nncore; other modules are imported only by who builds the site."""
    import nncore

    assert "info" in check_site.command_names()
    assert "relu" in nncore.__all__


def test_the_exit_code_says_whether_it_is_a_site(tmp_path, capsys):
    assert check_site.main([str(tmp_path)]) == 2
    assert "expected the folder of a built site" in capsys.readouterr().err
