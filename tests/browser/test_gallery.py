"""The results below the network: each number against NumPy's counts, and what a reader can do."""

from __future__ import annotations

import base64
import re
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest

import nncore
from nncore.page import render
from nncore.page.results import MOST_MISTAKES, results_of

N = 500
IMAGES, LABELS = nncore.datasets.make_digits(N, seed=21)
IMAGES = IMAGES.reshape(N, 784)
MICROSECONDS = {None: 2.5, 1: 2.4, 7: 1.25, 10: 1.2, 100: 0.5, 500: 0.4}
NONE = "\N{EN DASH}"
FACTS = {
    "timings": [{"batch_size": s, "seconds_per_sample": t / 1e6} for s, t in MICROSECONDS.items()],
    "passes": 21,
    "same_bits": True,
    "is_mnist": False,
    "machine": nncore.info(),
    "threads": 2,
}


def learned(activation="softmax", epochs=2, scaled=True, **options):
    """A network that has seen few digits, and errs."""
    front = [nncore.Rescaling(1 / 255)] if scaled else []
    layers = [*front, nncore.Dense(784, 16, "relu"), nncore.Dense(16, 10, activation)]
    net = nncore.Network(layers, seed=3, **options)
    x, t = nncore.datasets.make_digits(300, seed=20)
    x = x.reshape(-1, 784) if scaled else x.reshape(-1, 784) / np.float32(255)
    if epochs:
        net.fit(x, t, epochs=epochs, batch_size=20, optimizer=nncore.Adam(3e-3), seed=0)
    return net


def page_of(net, images=IMAGES, labels=LABELS, divisor=1, **facts):
    found = results_of(net, images, labels, divisor=divisor, **{**FACTS, **facts})
    first = images[:1] if divisor == 1 else images[:1] / np.float32(divisor)
    return render(net, first, results=found)


def table(page, name):
    """The texts of a table: one list a row, headings included."""
    read = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    return page.locator(f".{name} tr").evaluate_all(read)


def percent(share):
    """As the page says it: a tie goes up, and little is not nothing."""
    if 0 < share < 0.00005:
        return "<0.01 %"
    return f"{Decimal(100 * float(share)).quantize(Decimal('0.01'), ROUND_HALF_UP)} %"


@pytest.fixture(scope="module")
def net():
    return learned()


@pytest.fixture(scope="module")
def outputs(net):
    return net(IMAGES)


def test_the_accuracy_and_the_facts(show, net, outputs):
    page = show(page_of(net))
    right = int((outputs.argmax(axis=1) == LABELS).sum())
    assert page.locator(".accuracy").text_content() == f"{percent(right / N)} {right} of {N} right"
    told = page.locator(".facts dd").all_text_contents()
    assert told[0] == f"Not MNIST: digits that nncore drew itself, images: {N}"
    info = nncore.info()
    assert told[1].startswith(f"{info['instruction_set']} instructions, threads: 2; nncore")
    assert told[2] == "the same, byte for byte, one by one and in every batch size"


def test_mnist_and_bits_that_differ_are_told(show, net):
    page = show(page_of(net, is_mnist=True, same_bits=False))
    told = page.locator(".facts dd").all_text_contents()
    assert told[0] == f"MNIST, test images: {N}"
    assert "DIFFERENT" in told[2]
    assert page.locator(".facts dd.alarm").count() == 1


def test_each_cell_of_the_matrix(show, net, outputs):
    page = show(page_of(net))
    above, headings, *rows = table(page, "matrix")
    assert above == ["", "predicted"]
    assert headings == ["actual", *"0123456789"]
    predicted = outputs.argmax(axis=1)
    for actual, (name, *cells) in enumerate(rows):
        assert name == str(actual)
        for column, cell in enumerate(cells):
            assert int(cell) == ((actual == LABELS) & (column == predicted)).sum()
    scopes = page.locator(".matrix th").evaluate_all("cells => cells.map(cell => cell.scope)")
    assert scopes == ["colgroup", *["col"] * 11, *["row"] * 10]


def test_the_stronger_the_shade_the_larger_the_share(show, net, outputs):
    page = show(page_of(net))
    read = "cells => cells.map(cell => Number(cell.style.getPropertyValue('--share')))"
    shades = np.reshape(page.locator(".matrix td[style]").evaluate_all(read), (10, 10))
    counts = np.zeros((10, 10))
    np.add.at(counts, (LABELS, outputs.argmax(axis=1)), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shades, shares**0.3, atol=0.0006)


def test_the_rates_of_each_class(show, net, outputs):
    page = show(page_of(net))
    headings, *rows = table(page, "rates")
    assert headings == ["class", "images", "precision", "recall"]
    predicted = outputs.argmax(axis=1)
    for i, row in enumerate(rows):
        actual, called = i == LABELS, i == predicted
        both = (actual & called).sum()
        rates = [percent(both / whole.sum()) if whole.any() else NONE for whole in (called, actual)]
        assert row == [str(i), str(actual.sum()), *rates]


def mistakes_of(outputs, labels=LABELS):
    wrong = [i for i in range(len(labels)) if outputs[i].argmax() != labels[i]]
    return sorted(wrong, key=lambda i: -outputs[i].max())[:MOST_MISTAKES]


def shown_mistakes(page):
    read = "all => all.map(one => [...one.querySelectorAll('span')].map(part => part.textContent))"
    return page.locator(".mistakes button").evaluate_all(read)


def test_the_mistakes_are_the_most_confident_ones_in_order(show, net, outputs):
    page = show(page_of(net))
    expected = mistakes_of(outputs)
    assert len(expected) == MOST_MISTAKES
    assert shown_mistakes(page) == [
        [f"actual {LABELS[i]}", f"predicted {outputs[i].argmax()}", percent(outputs[i].max())]
        for i in expected
    ]


# Of an image or a canvas, read from a copy: Chromium warns of a canvas that is read twice.
PIXELS = """async (shown) => {
    if (shown.decode) await shown.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [28, 28];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(shown, 0, 0);
    return Array.from(context.getImageData(0, 0, 28, 28).data).filter((_, i) => i % 4 === 0);
}"""


def test_the_pictures_are_the_images(show, net, outputs):
    page = show(page_of(net))
    pictures = page.locator(".mistakes img")
    for place, i in [(0, mistakes_of(outputs)[0]), (23, mistakes_of(outputs)[23])]:
        np.testing.assert_array_equal(pictures.nth(place).evaluate(PIXELS), IMAGES[i])


@pytest.mark.parametrize("scaled", [True, False])
def test_a_click_puts_the_image_into_the_network(show, scaled):
    net = learned(scaled=scaled)
    page = show(page_of(net, divisor=1 if scaled else 255), reduced_motion="reduce")
    x = IMAGES if scaled else IMAGES / np.float32(255)
    outputs = net(x)
    canvas = page.locator("#input canvas")
    for place, act in [(2, "click"), (5, "Enter")]:
        i = mistakes_of(outputs)[place]
        button = page.locator(".mistakes button").nth(place)
        button.click() if act == "click" else button.press(act)
        np.testing.assert_array_equal(canvas.evaluate(PIXELS), IMAGES[i])
        assert page.locator("#prediction strong").text_content() == str(net.predict(x[i]))
        bars = page.locator("#prediction .number").all_text_contents()
        assert bars == [percent(y) for y in net.predict_proba(x[i])]
        pressed = page.locator(".mistakes button[aria-pressed=true]")
        assert pressed.count() == 1
        assert pressed.locator("img").get_attribute("src") == button.locator("img").get_attribute(
            "src"
        )
        assert page.locator(".mistakes [role=status]").text_content() == (
            f"The network above now computes test image {i}: actual {LABELS[i]}, "
            f"predicted {outputs[i].argmax()}, {percent(outputs[i].max())}."
        )
        page.wait_for_function("document.getElementById('main').getBoundingClientRect().top > -1")


def test_the_times_as_a_table(show, net):
    page = show(page_of(net))
    headings, *rows = table(page, "times")
    assert headings == ["way", "time a sample", "samples a second", "speed-up"]
    assert rows == [
        [
            "one by one" if size is None else f"batches of {size}",
            f"{time:.2f} µs" if time >= 0.1 else f"{1000 * time:.2f} ns",
            f"{1e6 / time:,.0f}",
            f"{MICROSECONDS[None] / time:.2f}\N{MULTIPLICATION SIGN}",
        ]
        for size, time in MICROSECONDS.items()
    ]
    assert "In batches of 500 it takes 0.40 µs, which is 6.25 times as fast." in (
        page.locator(".times p").first.text_content()
    )


def test_the_chart_has_the_times_on_logarithmic_axes(show, net):
    page = show(page_of(net))
    chart = page.locator(".times svg")
    ticks = {
        float(text.split()[0]): float(y)
        for text, y in chart.locator("text").evaluate_all(
            "all => all.map(one => [one.textContent, one.getAttribute('y')])"
        )
        if re.fullmatch(r"[\d.]+ µs", text)
    }
    assert min(ticks) <= min(MICROSECONDS.values())
    assert max(ticks) >= max(MICROSECONDS.values())
    # The labels stand 4 below their lines; two of them give the height of any time.
    (low, y_low), (high, y_high) = min(ticks.items()), max(ticks.items())

    def height(time):
        return y_low - 4 + (y_high - y_low) * np.log(time / low) / np.log(high / low)

    points = chart.locator("circle").evaluate_all(
        "all => all.map(one => [Number(one.getAttribute('cx')), Number(one.getAttribute('cy'))])"
    )
    batched = {size: time for size, time in MICROSECONDS.items() if size is not None}
    np.testing.assert_allclose([y for _, y in points], [height(t) for t in batched.values()])
    (left, _), *_, (right, _) = points
    places = left + (right - left) * np.log(list(batched)) / np.log(500)
    np.testing.assert_allclose([x for x, _ in points], places)
    (line,) = re.findall(r"M\d+ ([\d.]+)H", chart.locator(".alone").get_attribute("d"))
    assert float(line) == pytest.approx(height(2.5))
    assert points[0][1] > float(line)  # 2.4 is less than 2.5
    titles = chart.locator("circle title").all_text_contents()
    assert titles[0] == "batches of 1: 2.40 µs"
    # 7 and 10 are too near to each other: the larger one has a label.
    labels = chart.locator("text").all_text_contents()
    assert {"1", "10", "100", "500"} <= set(labels)
    assert "7" not in labels


@pytest.mark.parametrize("seconds", [{None: 3e-9, 1: 2e-3}, {None: 1e-6, 1: 1e-6}])
def test_any_times_have_a_chart(show, net, seconds):
    rows = [{"batch_size": size, "seconds_per_sample": time} for size, time in seconds.items()]
    page = show(page_of(net, timings=rows))
    heights = page.locator(".times circle").evaluate_all(
        "all => all.map(one => +one.getAttribute('cy'))"
    )
    lines = page.locator(".times .grid").count()
    assert 2 <= lines <= 8
    assert all(12 <= height <= 204 for height in heights)


def test_the_language_changes_the_texts(show, net):
    page = show(page_of(net))
    before = table(page, "matrix")[2:]
    page.locator(".mistakes button").nth(1).click()
    page.get_by_role("button", name="한국어").click()
    titles = page.locator("#results :is(h2, h3)").all_text_contents()
    korean = ["결과", "혼동 행렬", "클래스별 정밀도와 재현율", "가장 확신했지만 틀린 이미지"]
    assert titles == [*korean, "배치 크기에 따른 샘플당 시간"]
    assert table(page, "matrix")[2:] == before
    assert table(page, "rates")[0] == ["클래스", "이미지 수", "정밀도", "재현율"]
    assert "위의 신경망이 지금" in page.locator(".mistakes [role=status]").text_content()
    assert page.locator(".mistakes button").nth(1).get_attribute("aria-pressed") == "true"
    left = page.locator("#results").text_content()
    assert not re.search(r"actual|predicted|batch|right|mistake", left)
    page.get_by_role("button", name="English").click()
    assert page.locator("#results h2").text_content() == "Results"


def test_a_browser_in_korean(show, net):
    page = show(page_of(net), locale="ko-KR")
    assert page.locator("#results h2").text_content() == "결과"


def test_a_network_without_results_has_no_section(show, net):
    page = show(net.to_html(IMAGES[0]))
    assert page.locator("#results").count() == 0


def test_no_mistakes(show, net):
    page = show(page_of(net, labels=net.predict(IMAGES)))
    assert page.locator(".accuracy strong").text_content() == "100.00 %"
    assert "There are none" in page.locator(".mistakes").text_content()
    assert page.locator(".mistakes :is(button, img)").count() == 0


def test_one_image(show, net):
    page = show(page_of(net, IMAGES[:1], LABELS[:1]))
    assert page.locator(".accuracy").text_content().endswith(" of 1 right")
    rates = table(page, "rates")[1:]
    assert [row[1] for row in rates] == [str(int(i == LABELS[0])) for i in range(10)]
    assert sum(row[3] == NONE for row in rates) == 9


def test_a_network_that_has_learned_nothing(show):
    net = learned(epochs=0)
    net.layers[-1].bias = [0, 0, 0, 50, 0, 0, 0, 0, 0, 0]  # every digit is a 3
    page = show(page_of(net))
    rates = table(page, "rates")[1:]
    assert [row[2] for row in rates] == [NONE] * 3 + [percent((LABELS == 3).mean())] + [NONE] * 6
    assert [row[3] for row in rates] == ["0.00 %"] * 3 + ["100.00 %"] + ["0.00 %"] * 6


def test_almost_certain_is_not_certain(show):
    net = nncore.Network.from_arrays([np.zeros((784, 2), "f4")], [[0, 12.0]], ["softmax"])
    page = show(page_of(net, IMAGES[:2], np.array([0, 1])))
    assert shown_mistakes(page) == [["actual 0", "predicted 1", ">99.99 %"]]


def test_outputs_that_are_no_probabilities(show):
    net = learned("identity", epochs=0)
    outputs = net(IMAGES)
    page = show(page_of(net))
    first = mistakes_of(outputs)[0]
    assert shown_mistakes(page)[0][2] == f"{outputs[first].max():.3f}"
    assert "are not probabilities" in page.locator(".mistakes p").first.text_content()


def test_names_of_classes_are_shown_as_text(show, net):
    names = ["<img src=x onerror=alert(1)>", "</script>", "{value}", "a very long name of a class"]
    named = nncore.Network(net.layers, classes=[*names, *"456789"])
    page = show(page_of(named), viewport={"width": 390, "height": 800})
    assert table(page, "matrix")[1][1:5] == names
    assert [row[0] for row in table(page, "rates")[1:5]] == names
    assert page.locator("img[src=x]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [320, 390, 1400])
def test_the_page_is_no_wider_than_the_screen(show, net, width):
    page = show(page_of(net), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(
    ("width", "scheme", "locale"),
    [
        (390, "light", "en-US"),
        (390, "dark", "ko-KR"),
        (1400, "dark", "en-US"),
        (1400, "light", "ko-KR"),
    ],
)
def test_axe_finds_nothing(show, axe, net, width, scheme, locale):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    page = show(page_of(net), locale=locale, **options)
    page.locator(".mistakes button").first.click()
    assert axe(page) == []


def test_the_page_is_small():
    net = nncore.load_pretrained("digits")
    page = page_of(
        net, labels=(LABELS + 1) % 10
    )  # all of them wrong: as many images as there can be
    assert len(base64.b64decode(re.search(r'"images": "(.*?)"', page)[1])) == 24 * 784
    assert len(page.encode()) < 1_500_000
