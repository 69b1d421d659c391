"""The page for all: kinds of networks, screens, languages, colours, keyboard, screen readers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from shown import KINDS, classic, click, digits, node, predicted, shown, status

import nncore
import nncore.page
from nncore import Dense, Network

HOSTILE = "</script><img src=x onerror=alert(1)><b>bold</b>"


# ---- all kinds of networks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [390, 1400])
def test_all_kinds_of_networks_are_shown(show, kind, width):
    net = KINDS[kind]()
    x = np.random.default_rng(0).normal(size=net.in_features)
    page = show(net.to_html(x), viewport={"width": width, "height": 800})
    click(page, "Whole network")
    outputs = net(x)
    nodes = page.locator("svg .node[role=button] .value").all_text_contents()
    assert "?" not in nodes
    if net.out_features <= 12:
        assert nodes[-net.out_features :] == [shown(value) for value in outputs]
    node(page, "Output layer").first.click()
    assert page.locator("#detail .terms").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("#agreement").text_content().endswith("the same bits as nncore.")
    if kind in ("two classes", "logits", "deep", "wide", "normalized", "no bias"):
        assert page.locator("#prediction strong").text_content() == predicted(net, x)


def test_the_page_says_how_far_it_is_from_nncore(show):
    net = Network([Dense(1, 2)], seed=0, dtype="float64")
    outputs = net([0.3])
    others = np.nextafter(np.nextafter(outputs, np.inf), np.inf)
    html = net.to_html([0.3]).replace(nncore.page.encoded(outputs), nncore.page.encoded(others))
    assert "within 2 ulp" in show(html).locator("#agreement").text_content()


def test_sums_that_are_not_numbers(show):
    net = Network([Dense(2, 3, "relu"), Dense(3, 2, "softmax")], seed=0, classes=["a", "b"])
    net.layers[1].weights = np.full((3, 2), np.nan)
    page = show(net.to_html([1.0, 2.0]))
    click(page, "Whole network")
    assert page.locator("#detail h2").text_content() == "Output layer, node 1 of 2: a"
    assert page.locator("#detail .terms tr").last.text_content() == "SumNaN"
    assert page.locator("#prediction strong").text_content() == "none"


# ---- names, languages, colours


def test_hostile_names_are_shown_as_text(show):
    net = Network([Dense(2, 2, "softmax")], seed=0, classes=[HOSTILE, "x" * 300])
    page = show(net.to_html([1.0, 0.0], title=HOSTILE * 20), viewport={"width": 390, "height": 800})
    click(page, "Whole network")
    node(page, "Output layer, node 1").click()
    assert page.locator("img").count() == 0
    assert page.locator("b").count() == 0
    assert HOSTILE in page.locator("#detail").text_content()
    assert HOSTILE in page.locator("#prediction").text_content()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["고양이는 아주 귀여운 동물", "W" * 300, "a"])
def test_there_is_room_for_the_names_of_classes(show, name):
    page = show(Network([Dense(2, 2, "softmax")], seed=0, classes=[name, "b"]).to_html())
    ends = page.evaluate("""() => ["svg", "svg .class"].map(
        (one) => document.querySelector(`.graph ${one}`).getBoundingClientRect().right)""")
    assert ends[0] - 20 < ends[1] <= ends[0]
    assert page.locator("svg .class title").first.text_content() == name


@pytest.mark.parametrize(
    ("languages", "chosen"),
    [
        (["de", "ko", "en"], "ko"),
        (["de", "en", "ko"], "en"),
        (["KO-kr"], "ko"),
        (["kok", "de"], "en"),
        ([], "en"),
    ],
)
def test_the_language_is_the_one_that_is_preferred(show, languages, chosen):
    script = f"Object.defineProperty(navigator, 'languages', {{ value: {languages} }});"
    html = classic().to_html().replace("<body>", f"<body><script>{script}</script>")
    assert show(html).locator("html").get_attribute("lang") == chosen


def test_the_language_follows_the_browser_and_the_switch(show):
    html = classic().to_html([1.0, 0.5])
    korean = show(html, locale="ko-KR")
    assert korean.locator("html").get_attribute("lang") == "ko"
    click(korean, "다음 단계")
    assert "가중합은 0.3이고" in status(korean)
    assert korean.locator("#network h2").text_content() == "신경망"
    click(korean, "English")
    assert korean.locator("html").get_attribute("lang") == "en"
    assert status(korean).startswith("Step 1 of 7: Hidden layer 1, node 1.")
    assert node(korean, "Hidden layer 1, node 1").count() == 1
    assert not re.search("[가-힣]", korean.locator("main").inner_text())
    english = show(html, locale="en-US")
    assert english.locator("html").get_attribute("lang") == "en"
    click(english, "한국어")
    for part in ("main", "footer", "#agreement"):
        words = set(re.findall("[A-Za-z]{3,}", english.locator(part).inner_text()))
        names = {
            "sigmoid",
            "identity",
            "exp",
            "nncore",
            "float",
            "max",
            *nncore.activations.REGISTRY,
        }
        assert {word.lower() for word in words} <= {
            part for name in names for part in name.split("_")
        }


def test_both_languages_have_every_text(show):
    page = show(classic().to_html())
    texts = page.evaluate("window.nncore.TEXTS")
    assert texts["en"].keys() == texts["ko"].keys()
    for key, english in texts["en"].items():
        places = set(re.findall(r"\{\w+\}", english))
        assert set(re.findall(r"\{\w+\}", texts["ko"][key])) == places, key


def test_colours_follow_the_system_and_the_switch(show):
    html = classic().to_html([1.0, 0.5])
    background = "getComputedStyle(document.body).backgroundColor"
    light, dark = show(html, color_scheme="light"), show(html, color_scheme="dark")
    colours = light.evaluate(background), dark.evaluate(background)
    assert colours[0] != colours[1]
    dark.get_by_label("Colours").select_option("light")
    light.get_by_label("Colours").select_option("dark")
    assert (dark.evaluate(background), light.evaluate(background)) == colours


# ---- the keyboard, and readers who cannot see the page


def test_bars_are_seen_where_the_system_forces_its_colours(show):
    page = show(classic().to_html([1.0, 0.5]), forced_colors="active")
    colours = page.evaluate("""[".track", ".bar"].map((one) =>
      getComputedStyle(document.querySelector(one)).backgroundColor)""")
    assert len({*colours, page.evaluate("getComputedStyle(document.body).backgroundColor")}) == 3


def test_the_keyboard_alone(show):
    page = show(classic().to_html([1.0, 0.5]))
    focused = (
        "document.activeElement.textContent || document.activeElement.getAttribute('aria-label')"
    )

    def tab_to(name):
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate(focused) == name:
                return
        raise AssertionError(f"the tabulator never comes to {name}")

    tab_to("Whole network")
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "Play again"  # the button that had the focus is disabled
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('node')"):
            break
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.startswith("Hidden layer 1, node 1")
    outline = page.evaluate(
        "getComputedStyle(document.activeElement.querySelector('rect')).strokeWidth"
    )
    assert outline == "4px"
    page.keyboard.press("Enter")
    assert page.locator("#detail h2").text_content() == "Hidden layer 1, node 1 of 3"
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


@pytest.mark.parametrize(("locale", "scheme"), [("en-US", "light"), ("ko-KR", "dark")])
@pytest.mark.parametrize("kind", ["classic", "digits", "wide"])
def test_no_accessibility_violations(show, axe, kind, locale, scheme):
    net, x = digits() if kind == "digits" else (classic(), [1.0, 0.5])
    if kind == "wide":
        net, x = KINDS["wide"](), [1.0, 2.0, 3.0]
    width = 390 if kind == "wide" else 1400
    page = show(
        net.to_html(x), locale=locale, color_scheme=scheme, viewport={"width": width, "height": 800}
    )
    buttons = page.locator("#network .buttons button")
    assert axe(page) == []
    buttons.nth(3).click()  # a step
    assert axe(page) == []
    buttons.nth(5).click()  # the whole network
    page.locator(".layer select").first.select_option("leaky_relu")
    page.locator("svg .node[role=button]").last.click()
    assert axe(page) == []


# ---- size


def test_the_page_of_a_digits_network_is_small(show):
    net, x = digits()
    html = net.to_html(x)
    assert len(html.encode()) < 1_500_000
    page = show(html)
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
    assert ready < 10_000  # milliseconds; generous, because machines are busy
