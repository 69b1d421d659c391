"""A headless Chromium for the tests of the page; they are skipped where there is none."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def pytest_collection_modifyitems(items):
    """Put these tests last: from the first of them on, playwright's event loop runs."""
    items.sort(key=lambda item: "browser" in getattr(item, "fixturenames", ()))


def pytest_runtest_setup(item):
    """Skip the tests that need a browser from here: so pytest prints one line for all of them."""
    if "browser" not in getattr(item, "fixturenames", ()):
        return
    if find_spec("playwright") is None:
        pytest.skip("the page is tested with playwright, which is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium (Debian: chromium)")


@pytest.fixture(scope="session")
def browser():
    from playwright import sync_api

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def axe():
    """axe(page): what is wrong for readers who cannot see the page: the rule and the element."""
    module = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    )

    def violations(page, **options):
        found = module.Axe().run(page, options=options).response["violations"]
        return [(fault["id"], fault["nodes"][0]["html"]) for fault in found]

    return violations


class Tab:
    """A tab of the browser, and what its page wrote to the console or asked the network for."""

    def __init__(self, context):
        self.page = context.new_page()
        self.errors, self.requests = [], []
        self.page.on(
            "console", lambda m: m.type in ("error", "warning") and self.errors.append(m.text)
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path):
        self.url = path.as_uri()
        self.page.goto(self.url)

    def close(self):
        """Check that the page left no error behind, and leave it: its timers end."""
        self.page.goto("about:blank")
        errors, requests = self.errors[:], self.requests[:]
        self.errors.clear()
        self.requests.clear()
        assert errors == []
        assert requests == [self.url]


@pytest.fixture(scope="session")
def tabs(browser):
    """Tabs that wait for the next test, by the options of their contexts: a new one takes time."""
    free = {}
    yield free
    for waiting in free.values():
        for tab in waiting:
            tab.page.context.close()


@pytest.fixture
def show(browser, tabs, tmp_path):
    """show(html, **context options): opens a page from a file; it must leave no error behind."""
    opened = []

    def show(html, **options):
        path = tmp_path / f"page{len(opened)}.html"
        path.write_text(html, encoding="utf-8")
        options = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
        waiting = tabs.setdefault(str(sorted(options.items())), [])
        opened.append((waiting, waiting.pop() if waiting else Tab(browser.new_context(**options))))
        opened[-1][1].open(path)
        return opened[-1][1].page

    yield show
    for waiting, tab in opened:
        tab.close()
        waiting.append(tab)
