"""The code of examples/12-scikit-learn.md runs, all of it, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

PAGE = Path(__file__).parents[2] / "examples" / "12-scikit-learn.md"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_page(tmp_path, monkeypatch):
    if not PAGE.exists():
        pytest.skip("these tests are not in a checkout")
    monkeypatch.chdir(tmp_path)
    parts = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(parts) >= 6
    names = {}
    for part in parts:
        exec(compile(part, PAGE.name, "exec"), names)
    assert (tmp_path / "digits-8x8.npz").exists()
