"""What a reader sees and does on the page: steps, nodes, and other activations."""

from __future__ import annotations

import re

import numpy as np
import pytest
from shown import classic, click, digits, node, node_texts, predicted, shown, status

import nncore
import nncore.page
from nncore import Dense, Network

# ---- stepping


def test_stepping_through_the_classic_network_shows_its_numbers(show):
    page = show(classic().to_html([1.0, 0.5]))
    assert all(text.endswith("not computed yet") for text in node_texts(page))
    seen = []
    for _ in range(7):
        click(page, "Step")
        seen += re.search(r"sum is (\S+); \w+ gives (\S+)\.$", status(page)).groups()
    assert seen[:6] == ["0.3", "0.57444252", "0.7", "0.66818777", "1.1", "0.75026011"]
    assert seen[6:10] == ["0.51615984", "0.62624937", "1.21402696", "0.7710107"]
    assert seen[10:] == ["0.31682708", "0.31682708", "0.69627909", "0.69627909"]
    assert page.get_by_role("button", name="Step", exact=True).is_disabled()


def test_float32_numbers_have_the_digits_that_numpy_prints(show):
    net = classic("float32")
    page = show(net.to_html([0.3, 0.7]))
    click(page, "Whole network")
    text = page.locator("#prediction").text_content()
    for value in net([0.3, 0.7]):
        assert str(value) in text
    node(page, "Hidden layer 1, node 1").click()
    terms = page.locator("#detail").text_content()
    assert "0.3" in terms
    assert "0.30000001" not in terms


def test_nodes_are_computed_in_order_and_back(show):
    page = show(classic().to_html([1.0, 0.5]))
    boxes = page.locator("svg .node[role=button] .value")
    for computed in range(1, 4):
        click(page, "Step")
        assert boxes.all_text_contents().count("?") == 7 - computed
        assert "?" not in boxes.all_text_contents()[:computed]
    click(page, "Step back")
    assert boxes.all_text_contents() == ["0.57444252", "0.66818777", *"?????"]
    assert status(page).startswith("Step 2 of 7: Hidden layer 1, node 2.")
    click(page, "Next layer")
    assert boxes.all_text_contents().count("?") == 4
    click(page, "Start again")
    assert boxes.all_text_contents() == list("???????")
    click(page, "Whole network")
    assert boxes.all_text_contents()[-2:] == ["0.31682708", "0.69627909"]


def test_nothing_moves_while_stepping(show):
    page = show(digits()[0].to_html(digits()[1]))
    rectangles = """() =>
      [...document.querySelectorAll("svg .node, #status, .buttons > *")].map((one) => {
        const { left, top } = (one.querySelector("rect") || one).getBoundingClientRect();
        return [Math.round(left / 4), Math.round(top / 4)]; // a selected node has a wider frame
    })"""
    before = page.evaluate(rectangles)
    for _ in range(3):
        click(page, "Next layer")
        assert page.evaluate(rectangles) == before


def test_nodes_do_not_flash_while_the_window_changes_its_width(show):
    page = show(classic().to_html([1.0, 0.5]))
    click(page, "Whole network")
    page.locator("svg .node[role=button]").first.click()  # which has the focus from now on
    page.wait_for_timeout(300)  # the change of the colours is over
    colours = page.evaluate("""async () => {
      const colour = (rect) => getComputedStyle(rect).fill;
      const all = () => [...document.querySelectorAll("svg .node rect")].map(colour);
      const before = all();
      const rebuilt = new Promise((done) => {
        const observer = new MutationObserver(done);
        observer.observe(document.querySelector("svg[role=group]"), { childList: true });
      });
      document.querySelector(".graph").style.width = "600px";
      await rebuilt;
      return [before, all(), document.activeElement.getAttribute("aria-pressed")];
    }""")
    assert colours[0] == colours[1]
    assert colours[2] == "true"


def test_play_runs_to_the_end_and_can_be_paused(show):
    page = show(classic().to_html([1.0, 0.5]))
    click(page, "Play")
    page.get_by_text("Step 2 of 7").wait_for()
    assert page.locator("#status").get_attribute("aria-live") == "off"
    click(page, "Pause")
    assert page.locator("#status").get_attribute("aria-live") == "polite"
    position = status(page)
    page.wait_for_timeout(1000)  # longer than a step takes
    assert status(page) == position
    page.get_by_label("Speed").select_option("fast")
    click(page, "Play")
    page.get_by_role("button", name="Play again").wait_for()
    assert status(page).startswith("Step 7 of 7")
    click(page, "Play again")
    assert status(page).startswith("Step 1 of 7")


def test_a_step_ends_playing(show):
    page = show(classic().to_html([1.0, 0.5]))
    click(page, "Play")
    click(page, "Next layer")
    assert page.get_by_role("button", name="Play", exact=True).is_visible()
    position = status(page)
    page.wait_for_timeout(1000)  # longer than a step takes
    assert status(page) == position


def test_a_digit_does_not_take_a_hundred_clicks(show):
    net, x = digits()
    page = show(net.to_html(x))
    steps = int(page.locator("progress").get_attribute("max"))
    assert 20 < steps < 40
    for _ in range(3):
        click(page, "Next layer")
    assert status(page).startswith(f"Step {steps} of {steps}")
    assert page.locator("#prediction strong").text_content() == str(net.predict(x))


# ---- one node


def rows(page, part):
    read = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    return page.locator(f"#detail {part} table tr").evaluate_all(read)


def test_a_node_is_shown_term_by_term(show):
    page = show(classic().to_html([1.0, 0.5]))
    click(page, "Whole network")
    node(page, "Hidden layer 2, node 1").click()
    assert rows(page, ".terms") == [
        ["Input", "Value", "Weight", "Product", "Sum so far"],
        ["Bias", "", "", "", "0.1"],
        ["Node 1", "0.57444252", "0.1", "0.057444252", "0.15744425"],
        ["Node 2", "0.66818777", "0.2", "0.13363755", "0.29108181"],
        ["Node 3", "0.75026011", "0.3", "0.22507803", "0.51615984"],
        ["Sum", "", "", "", "0.51615984"],
    ]
    assert page.locator("#detail .result").text_content() == "sigmoid(0.51615984) = 0.62624937"
    assert page.locator("#detail .formula").last.text_content() == "sigmoid(x) = 1 / (1 + exp(-x))"


def test_the_point_lies_on_the_curve(show):
    page = show(classic().to_html([1.0, 0.5]))
    for _ in range(5):
        click(page, "Step")
        distance = page.evaluate("""() => {
            const curve = document.querySelector(".curve");
            const point = document.querySelector(".point");
            const [x, y] = [point.cx.baseVal.value, point.cy.baseVal.value];
            let nearest = Infinity;
            for (let at = 0; at < curve.getTotalLength(); at += 0.5) {
                const { x: a, y: b } = curve.getPointAtLength(at);
                nearest = Math.min(nearest, Math.hypot(a - x, b - y));
            }
            return nearest;
        }""")
        assert distance < 1  # a pixel


def test_a_node_that_is_not_computed_yet_says_so(show):
    page = show(classic().to_html([1.0, 0.5]))
    node(page, "Hidden layer 2, node 2").click()
    assert (
        page.locator("#detail table").count() == 0 or not page.locator("#detail table").is_visible()
    )
    click(page, "Compute up to this node")
    assert page.evaluate("document.activeElement.tagName") == "H2"
    assert "weighted sum 1.21402696" in node(page, "Hidden layer 2, node 2").get_attribute(
        "aria-label"
    )
    assert node(page, "Output layer, node 1").get_attribute("aria-label").endswith("yet")
    assert page.locator("#detail .result").text_content() == "sigmoid(1.21402696) = 0.7710107"


def test_softmax_shows_the_shares_of_all_outputs(show):
    net = Network([Dense(2, 3, "softmax")], seed=1, dtype="float64", classes=["a", "b", "c"])
    x = np.array([1.5, -2.0])
    page = show(net.to_html(x))
    for _ in range(3):
        click(page, "Step")
    assert "waits for the other sums" in status(page)
    assert rows(page, ".outcome")[1][-1] == "…"
    click(page, "Step")
    z = net.trace(x)[-1].weighted_sum
    e = np.exp(z - z.max())
    found = rows(page, ".outcome")
    assert found[0] == ["Output", "z", "z \u2212 max", "exp(z \u2212 max)", "softmax"]
    for name, row, *numbers in zip("abc", found[1:], z, z - z.max(), e, net(x), strict=False):
        assert row[0] == name
        np.testing.assert_allclose([float(cell) for cell in row[1:]], numbers, rtol=1e-7)
    assert found[4] == ["Total", "", "", shown(e.sum()), ""]
    assert page.locator("#prediction strong").text_content() == predicted(net, x)


def test_long_sums_show_the_largest_terms_first(show):
    net, x = digits()
    page = show(net.to_html(x))
    click(page, "Step")
    chosen = int(page.get_by_label("Node number").input_value()) - 1
    weights = net.layers[1].weights[:, chosen]
    pixels = (x.reshape(-1) / np.float32(255)).astype("f4")
    largest = np.argsort(-np.abs(weights * pixels), kind="stable")[0]
    found = rows(page, ".terms")
    assert len(found) == 1 + 1 + 12 + 1 + 1  # heads, bias, terms, others, sum
    assert found[2][0] == f"{largest // 28 + 1}, {largest % 28 + 1}"
    click(page, "Show all 784 terms in order")
    found = rows(page, ".terms")
    assert len(found) == 1 + 1 + 784 + 1
    assert found[-2][-1] == found[-1][-1] == shown(net.trace(x)[0].weighted_sum[chosen])


def test_a_wide_layer_opens_to_the_nodes_that_matter(show):
    net, x = digits()
    page = show(net.to_html(x))
    click(page, "Whole network")
    trace = net.trace(x)
    indices = lambda layer: sorted(  # noqa: E731
        int(re.search(r"node (\d+)", text)[1]) - 1 for text in node_texts(page) if layer in text
    )
    largest = np.argsort(-np.abs(trace[0].activation), kind="stable")[:8]
    assert indices("Hidden layer 1") == sorted(largest)
    node(page, "Hidden layer 2, node").first.click()
    chosen = int(page.get_by_label("Node number").input_value()) - 1
    products = trace[0].activation * net.layers[2].weights[:, chosen]
    assert indices("Hidden layer 1") == sorted(np.argsort(-np.abs(products), kind="stable")[:8])
    page.get_by_label("Node number").fill("77")
    page.get_by_label("Node number").press("Enter")
    assert 76 in indices("Hidden layer 2")
    assert page.locator("#detail h2").text_content() == "Hidden layer 2, node 77 of 100"


def test_a_click_on_a_heat_strip_opens_that_node(show):
    page = show(Network([Dense(2, 50, "tanh"), Dense(50, 1)], seed=0).to_html([1.0, 2.0]))
    click(page, "Whole network")
    strip = page.locator(".graph .frame")
    box = strip.bounding_box()
    strip.click(position={"x": box["width"] * 0.95, "y": box["height"] * 0.5})  # 10 x 5 cells
    assert page.locator("#detail h2").text_content() == "Hidden layer 1, node 30 of 50"


# ---- other activations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "leaky_relu"])
def test_another_activation_gives_the_numbers_of_nncore(show, name, dtype):
    net = classic(dtype)
    page = show(net.to_html([1.0, -0.5]))
    click(page, "Whole network")
    page.get_by_label("Hidden layer 1", exact=True).select_option(name)
    other = Network([Dense(2, 3, name), Dense(3, 2, "sigmoid"), Dense(2, 2)], dtype=dtype, seed=0)
    for mine, theirs in zip(other.layers, net.layers, strict=True):
        mine.weights, mine.bias = theirs.weights, theirs.bias
    expected = [shown(value) for layer in other.trace([1.0, -0.5]) for value in layer.activation]
    assert page.locator("svg .node[role=button] .value").all_text_contents() == expected
    note = page.locator(".changes")
    assert f"Hidden layer 1 has {name}" in note.text_content()
    click(page, "Restore the original")
    assert not note.is_visible()
    assert page.locator("svg .node[role=button] .value").all_text_contents()[-1] == shown(
        net([1.0, -0.5])[-1]
    )


def test_parameters_of_activations_are_fields(show):
    net = Network([Dense(1, 1, "leaky_relu", alpha=0.2)], seed=0, dtype="float64")
    net.layers[0].weights = [[1.0]]
    page = show(net.to_html([-1.0]))
    click(page, "Whole network")
    value = page.locator("svg .node[role=button] .value")
    assert value.text_content() == "-0.2"
    page.get_by_label("alpha").fill("0.5")
    assert value.text_content() == "-0.5"
    page.get_by_label("Output layer", exact=True).select_option("clip")
    assert page.get_by_label("beta").input_value() == "1"
    page.get_by_label("alpha").fill("-0.25")
    assert value.text_content() == "-0.25"
    click(page, "Restore the original")
    assert value.text_content() == "-0.2"
    assert not page.get_by_label("beta").is_visible()


def test_softmax_is_for_the_last_layer_only(show):
    page = show(classic().to_html([1.0, 0.5]))
    options = lambda name: page.get_by_label(name, exact=True).locator("option").all_text_contents()  # noqa: E731
    assert "softmax" not in options("Hidden layer 2")
    assert set(options("Output layer")) == set(nncore.activations.REGISTRY)
    page.get_by_label("Output layer", exact=True).select_option("softmax")
    click(page, "Whole network")
    probabilities = nncore.softmax(classic()([1.0, 0.5]))
    assert page.locator("#prediction strong").text_content() == "1"
    assert f"{100 * probabilities[1]:.2f} %" in page.locator("#prediction").text_content()


# ---- the scripts


def test_no_two_scripts_define_the_same_name():
    """They share one scope, where the second function of a name would replace the first."""
    page = nncore.page._template()
    defined = re.findall(r"^(?:function|const|let) (\w+)", page, re.MULTILINE)
    assert sorted(defined) == sorted(set(defined))
