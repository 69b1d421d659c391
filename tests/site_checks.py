"""What the tests of the site share: docs/check_site.py, and Sphinx run on a few pages."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from helpers import PACKAGE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def _check_site():
    spec = spec_from_file_location("check_site", DOCS / "check_site.py")
    module = module_from_spec(spec)
    sys.modules["check_site"] = module  # a NamedTuple asks for its module
    spec.loader.exec_module(module)
    return module


check_site = _check_site()


def need_sphinx():
    for package in ("sphinx", "myst_parser", "furo", "numpydoc"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install '.[docs]'")


def sphinx_build(source, target, *options):
    """Run Sphinx with the settings of the site; return its exit code and what it printed."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(DOCS)]
    process = subprocess.run(
        [*command, *options, str(source), str(target)],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent), "NO_COLOR": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return process.returncode, process.stdout + process.stderr
