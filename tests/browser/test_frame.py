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
