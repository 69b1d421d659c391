"""The input of the page: numbers that are typed, and images that are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from shown import classic, click, digits, node, predicted, shown

from nncore import Dense, Network, Normalization


def outputs(page):
    return page.locator("#prediction .number").all_text_contents()


def pixels(page):
    """The image that the network of the page is given."""
    return np.array(page.evaluate("Array.from(window.nncore.state.input)"))


def draw(page, *points, steps=12):
    """Draw a line with the mouse; points are shares of the canvas."""
    box = page.locator("canvas").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*at[0])
    page.mouse.down()
    for point in at[1:]:
        page.mouse.move(*point, steps=steps)
    page.mouse.up()


def empty_page(show, **options):
    net, _ = digits()
    return net, show(net.to_html(), **options)


# ---- numbers


def test_typed_numbers_are_computed_at_once(show):
    net = classic()
    page = show(net.to_html([1.0, 0.5]))
    page.get_by_label("x2").fill("-2.5")
    assert outputs(page) == [shown(value) for value in net([1.0, -2.5])]
    assert "the input" in page.locator(".changes").text_content()
    click(page, "Back to the first input")
    assert page.get_by_label("x2").input_value() == "0.5"
    assert outputs(page) == ["0.31682708", "0.69627909"]


def test_what_is_no_number_changes_nothing(show):
    page = show(classic().to_html([1.0, 0.5]))
    field = page.get_by_label("x1")
    field.fill("")
    assert field.get_attribute("aria-invalid") == "true"
    assert outputs(page) == ["0.31682708", "0.69627909"]
    field.fill("1e-3")
    assert field.get_attribute("aria-invalid") == "false"
    assert outputs(page) == [shown(value) for value in classic()([1e-3, 0.5])]


def test_a_field_without_a_number_says_which_number_is_used(show):
    page = show(classic().to_html([1.0, 0.5]))
    field, refusal = page.get_by_label("x1"), page.locator("#refusal")
    assert refusal.text_content() == ""
    field.fill("3")
    field.fill("")
    assert refusal.text_content() == "x1 has no number. The last one, 3, is still in use."
    click(page, "Back to the first input")
    assert (field.input_value(), field.get_attribute("aria-invalid")) == ("1", "false")
    assert refusal.text_content() == ""


def test_a_list_that_is_put_right_is_no_longer_refused(show):
    page = show(Network([Dense(20, 2)], seed=0).to_html(np.zeros(20)))
    field = page.get_by_label("20 numbers")
    field.fill(" ".join(["1"] * 20))
    field.fill("1, 2, 3")
    click(page, "Back to the first input")
    assert field.get_attribute("aria-invalid") == "false"
    assert page.locator("#refusal").text_content() == ""


def test_steps_that_were_done_show_the_new_numbers(show):
    net = classic()
    page = show(net.to_html([1.0, 0.5]))
    click(page, "Step")
    page.get_by_label("x1").fill("3")
    nodes = page.locator("svg .node[role=button] .value").all_text_contents()
    assert nodes == [shown(net.trace([3.0, 0.5])[0].activation[0]), *"??????"]


def test_a_long_input_is_one_list_of_numbers(show):
    net = Network([Dense(20, 2, "tanh")], seed=0, dtype="float64")
    page = show(net.to_html(np.zeros(20)))
    values = np.linspace(-1, 1, 20)
    field = page.get_by_label("20 numbers")
    field.fill("  ".join(map(str, values[:10])) + "," + ", ".join(map(str, values[10:])))
    assert outputs(page) == [shown(value) for value in net(values)]
    field.fill("1, 2, 3")
    assert page.locator("#refusal").text_content() == "There are 3 numbers, expected 20."
    field.fill("1, <b>two</b>, 3")
    assert page.locator("#refusal").text_content() == "“<b>two</b>” is no number."
    assert outputs(page) == [shown(value) for value in net(values)]


def test_what_the_first_layer_does_is_said(show):
    net = Network([Normalization([1.0, 2.0], [2.0, 4.0]), Dense(2, 1)], seed=0, dtype="float64")
    page = show(net.to_html([5.0, 4.0]))
    assert "divides it by a standard deviation" in page.locator("#input").text_content()
    names = page.locator("svg .node[role=img]")
    assert [one.get_attribute("aria-label") for one in names.all()] == [
        "Input 1: 2",
        "Input 2: 0.5",
    ]


# ---- drawings


def test_a_drawn_digit_is_read_as_nncore_reads_the_same_pixels(show):
    net, page = empty_page(show)
    draw(page, (0.55, 0.15), (0.45, 0.85))
    image = pixels(page)
    assert page.locator("#prediction strong").text_content() == predicted(net, image) == "1"
    assert set(image) <= set(range(256))
    assert image.max() == 255
    grey = (image > 0) & (image < 255)
    assert grey.sum() > 10  # soft edges, as in MNIST
    ours = page.evaluate("Array.from(window.nncore.state.computed.layers.at(-1).outputs)")
    np.testing.assert_array_equal(np.array(ours, "f4"), net(image))


@pytest.mark.parametrize(
    ("digit", "lines"),
    [
        (7, [[(0.25, 0.2), (0.7, 0.2), (0.45, 0.85)]]),
        (4, [[(0.35, 0.15), (0.25, 0.5), (0.7, 0.5)], [(0.62, 0.2), (0.6, 0.85)]]),
        (0, [[(0.5 + 0.2 * np.sin(t), 0.5 - 0.3 * np.cos(t)) for t in np.linspace(0, 6.28, 20)]]),
    ],
)
def test_digits_of_other_strokes(show, digit, lines):
    net, page = empty_page(show)
    for line in lines:
        draw(page, *line, steps=3)
    assert (
        page.locator("#prediction strong").text_content()
        == predicted(net, pixels(page))
        == str(digit)
    )


def test_drawing_changes_the_prediction_of_a_given_digit(show):
    net, x = digits()
    page = show(net.to_html(x))
    before = outputs(page)
    draw(page, (0.1, 0.1), (0.9, 0.9))
    changed = pixels(page)
    assert np.count_nonzero(changed != x.reshape(-1)) > 20
    assert (changed >= x.reshape(-1)).all()  # the digit stays where it is
    assert outputs(page) != before
    click(page, "Back to the first input")
    assert outputs(page) == before
    np.testing.assert_array_equal(pixels(page), x.reshape(-1))


def test_a_drawing_is_centred_as_mnist_does(show):
    _, page = empty_page(show)
    draw(page, (0.05, 0.05), (0.3, 0.1), (0.1, 0.4))
    image = pixels(page).reshape(28, 28)
    rows, columns = np.nonzero(image > 0)
    assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 21
    for axis in (0, 1):
        mass = (image.sum(1 - axis) * (np.arange(28) + 0.5)).sum() / image.sum()
        assert abs(mass - 14) < 0.25
    page.get_by_label("Centre the drawing").uncheck()
    raw = pixels(page).reshape(28, 28)
    assert np.nonzero(raw)[0].max() < 14
    np.testing.assert_array_equal(raw[15:], 0)


def test_erasing_and_clearing(show):
    _, page = empty_page(show)
    page.get_by_label("Centre the drawing").uncheck()
    draw(page, (0.5, 0.1), (0.5, 0.9))
    full = pixels(page).sum()
    click(page, "Eraser")
    assert page.get_by_role("button", name="Eraser").get_attribute("aria-pressed") == "true"
    draw(page, (0.3, 0.5), (0.7, 0.5))
    image = pixels(page).reshape(28, 28)
    assert 0 < image.sum() < 0.9 * full
    assert image[14, 14] == 0
    click(page, "Clear")
    assert pixels(page).sum() == 0
    click(page, "Pen")
    draw(page, (0.5, 0.5), (0.6, 0.5))
    assert pixels(page).sum() > 0


def test_drawing_with_the_keyboard(show):
    net, page = empty_page(show)
    canvas = page.locator("canvas")
    canvas.focus()
    for _ in range(8):
        page.keyboard.press("ArrowUp")
    assert pixels(page).sum() == 0  # moving alone draws nothing
    page.keyboard.press("Space")
    dot = np.count_nonzero(pixels(page))
    assert dot > 0
    for _ in range(16):
        page.keyboard.press("Shift+ArrowDown")
    assert page.locator("#prediction strong").text_content() == predicted(net, pixels(page)) == "1"


def test_drawing_with_a_finger(show):
    _, page = empty_page(show, has_touch=True, viewport={"width": 390, "height": 844})
    assert page.evaluate("getComputedStyle(document.querySelector('canvas')).touchAction") == "none"
    box = page.locator("canvas").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert pixels(page).sum() > 0


def test_the_contributing_pixels_are_marked(show):
    net, x = digits()
    page = show(net.to_html(x))
    click(page, "Next layer")
    node(page, "Hidden layer 1").first.click()
    marks = page.locator("svg .pixel")
    assert marks.count() == 12
    assert all(mark.is_visible() for mark in marks.all())


def test_images_of_other_sizes(show):
    net = Network([Dense(64, 3, "softmax")], seed=0, dtype="float64")
    page = show(net.to_html(np.zeros((8, 8)), image=(8, 8)))
    draw(page, (0.5, 0.1), (0.5, 0.9))
    image = pixels(page)
    assert 0 < image.max() <= 1
    expected = [f"{100 * share:.2f} %" for share in net(image)]
    assert outputs(page) == expected
