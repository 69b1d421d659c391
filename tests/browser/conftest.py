"""A headless Chromium for the tests of the page; they are skipped where there is none."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def pytest_runtest_setup(item):
    """Skip the tests that need a browser from here: so pytest prints one line for all of them."""
    if "browser" not in item.fixturenames:
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


class Opened:
    """A page from disk, and what it wrote to the console or asked the network for."""

    def __init__(self, context, path):
        self.page = context.new_page()
        self.errors, self.requests = [], []
        self.page.on(
            "console", lambda m: m.type in ("error", "warning") and self.errors.append(m.text)
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)


@pytest.fixture
def show(browser, tmp_path):
    """show(html, **context options): opens a page from a file; it must leave no error behind."""
    opened = []

    def show(html, **options):
        path = tmp_path / f"page{len(opened)}.html"
        path.write_text(html, encoding="utf-8")
        options = {"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options}
        opened.append(Opened(browser.new_context(**options), path))
        return opened[-1].page

    yield show
    for one in opened:
        assert one.errors == []
        assert one.requests == [one.url]
        one.page.context.close()
