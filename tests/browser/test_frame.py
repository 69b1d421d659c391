"""The page as a file: nothing fetched, no error, and nobody's text becomes markup."""

from __future__ import annotations

import re

import numpy as np
import pytest

import nncore

HOSTILE = "</script><script>document.title = 'broken'</script><img src=x onerror=alert(1)> @data@"


def small(**options):
    layers = [nncore.Dense(2, 3, "tanh"), nncore.Dense(3, 2, "softmax")]
    return nncore.Network(layers, seed=0, **options)


def test_a_title_is_shown_as_text(show):
    page = show(small().to_html([1.0, 0.0], title=HOSTILE))
    assert page.title() == HOSTILE
    assert page.locator("h1").text_content() == HOSTILE
    assert page.locator("img").count() == 0


def test_names_of_classes_are_data(show):
    page = show(small(classes=[HOSTILE, "other"]).to_html())
    named = page.evaluate("JSON.parse(document.getElementById('data').textContent).network.classes")
    assert named == [HOSTILE, "other"]
    assert page.locator("img").count() == 0


@pytest.mark.parametrize(
    ("x", "text"),
    [
        ([1.0], "x has shape (1,), expected one sample of 2 features"),
        (np.zeros((3, 2)), "x has shape (3, 2), expected one sample of 2 features"),
        ([np.nan, 0.0], "x has NaN or infinity, expected finite numbers for a page"),
    ],
)
def test_other_samples_are_refused(x, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        small().to_html(x)


def test_the_title_is_the_sizes_of_the_dense_layers():
    first = nncore.Normalization(mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0])
    net = nncore.Network([first, nncore.Dense(3, 4), nncore.Dense(4, 1)], seed=0)
    assert "<title>3-4-1</title>" in net.to_html()


def test_a_title_that_is_no_text_is_written(tmp_path):
    small().to_html(path=tmp_path / "page.html", title="\udcff.npz")
    assert "<title>\\udcff.npz</title>" in (tmp_path / "page.html").read_text("utf-8")
