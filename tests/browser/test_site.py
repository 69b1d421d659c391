"""The built site in a browser: nothing comes from elsewhere, and it fits a phone and a wide screen.

Sphinx builds the whole site for this, which takes half a minute.
"""

from __future__ import annotations

import functools
import http.server
import threading

import pytest
from site_checks import ROOT, check_site, need_sphinx, sphinx_build

pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="there is no checkout here"
)
# A page of each kind, the shorter ones: a long page takes a minute.
KINDS = ["docs/index", "examples/3-activations", "examples/ko/4-softmax", "benchmarks/TRAINING"]
KINDS += ["docs/reference/machine", "source/ext/contract.h"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    need_sphinx()
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    code, printed = sphinx_build(ROOT, folder)
    assert (code, printed) == (0, "")
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/favicon.ico":  # a browser asks for it unasked
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address(site):
    """Where a server of this machine has the site: from disk, the search shows no excerpts."""
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def visit(browser, address):
    """visit(name, width, ...): opens a page of the site; it must leave no error behind."""
    contexts, errors, requests = [], [], []

    def open_page(name, width=1400, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and errors.append(f"{name}: {m.text}"))
        page.on("pageerror", lambda error: errors.append(f"{name}: {error}"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(f"{address}/{name}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith((address, "data:"))] == []


def test_the_whole_site_is_as_it_should_be(site, capsys):
    assert check_site.main([str(site)]) == 0, capsys.readouterr().out


def test_every_page_fits_a_phone(visit, address):
    page = visit("index.html", 390)
    page.wait_for_url("**/docs/index.html")  # to which index.html leads
    for name in check_site.markdown_pages(ROOT):
        page.goto(f"{address}/{name.removesuffix('.md')}.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_network_computes_on_the_page(visit, language):
    """In its frame, in the page's language, as high as it needs, without a header of its own."""
    page = visit("docs/index.html" if language == "en" else "docs/ko/index.html")
    box = page.locator(".interactive iframe")
    box.scroll_into_view_if_needed()
    frame = page.frame_locator(".interactive iframe")
    frame.locator("#main").wait_for()
    assert frame.locator("html").get_attribute("lang") == language
    assert frame.locator("header").is_hidden()
    page.wait_for_function(
        "document.querySelector('.interactive iframe').style.height.endsWith('px')"
    )
    height = frame.locator("body").evaluate("body => body.getBoundingClientRect().height")
    assert abs(box.bounding_box()["height"] - height) < 10
    assert "0.69627909" in frame.locator("body").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_frame_takes_the_theme_of_the_site(visit, scheme):
    other = {"light": "dark", "dark": "light"}[scheme]
    page = visit("docs/index.html", color_scheme=other)
    page.evaluate(f"document.body.dataset.theme = '{scheme}'")
    page.locator(".interactive iframe").scroll_into_view_if_needed()
    frame = page.frame_locator(".interactive iframe")
    frame.locator("#main").wait_for(state="attached")
    frame.locator(f"html[data-theme='{scheme}']").wait_for(state="attached")


@pytest.mark.parametrize(
    ("query", "expected"),
    [("affine", "docs/reference/activations.html"), ("퍼셉트론", "examples/ko/1-perceptron.html")],
)
def test_the_search_finds(visit, query, expected):
    page = visit(f"search.html?q={query}")
    page.locator("ul.search li a").first.wait_for()
    found = page.locator("ul.search li a").evaluate_all("all => all.map(a => a.href)")
    assert any(expected in address for address in found)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_accessible(visit, axe, name):
    for width, scheme in ((390, "dark"), (1400, "light")):
        page = visit(f"{name}.html", width, color_scheme=scheme)
        assert axe(page, iframes=False) == []
