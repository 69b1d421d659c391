"""The outputs of `nncore inspect` that the README and the lessons show are what it prints."""

from __future__ import annotations

import doctest
import re
import shlex

import numpy as np
import pytest
from pages import EXAMPLES

import nncore

from .inspected import CLASSIC

_BLOCK = re.compile(r"```text\n\$ nncore (inspect .*)\n((?:.*\n)*?)```")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the networks that the pages speak of, and without MNIST."""
    monkeypatch.chdir(tmp_path)
    CLASSIC.save("net.npz")
    nncore.Network.from_arrays(
        weights=[np.array([[0.5, -0.5], [0.5, -0.5]]), np.array([[0.5], [0.5]])],
        biases=[np.array([-0.2, 0.7]), np.array([-0.7])],
        activations=["step", "step"],
    ).save("xor.npz")
    return tmp_path


@pytest.mark.parametrize("page", ["README.md", "examples/1-perceptron.md", "examples/9-digits.md"])
def test_the_output_on_the_page(capsys, monkeypatch, folder, page):
    from nncore.cli import main

    monkeypatch.setenv("NNCORE_DATA_HOME", str(folder))
    ((command, expected),) = _BLOCK.findall((EXAMPLES.parent / page).read_text(encoding="utf-8"))
    assert main(shlex.split(command)) == 0
    printed = capsys.readouterr().out
    assert len(expected.splitlines()) > 10
    if not doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS):
        assert printed == expected  # which shows the difference
