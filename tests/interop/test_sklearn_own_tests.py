"""scikit-learn's own tests of its perceptrons, run against ours by replacing the import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from helpers import PACKAGE, TIMEOUT

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed")

# Tests that cannot pass, each with its reason. There are none.
EXPECTED_FAILURES: dict[str, str] = {}

OLD = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
NEW = "from nncore.sklearn import MLPClassifier, MLPRegressor"

# Our estimators are subclasses of theirs. Whatever computes there is made unusable, so that no test
# passes because their arithmetic ran. The fixture is one of their conftest.py.
CONFTEST = """
import pytest
import sklearn.neural_network._multilayer_perceptron as theirs

def refuse(*arguments, **named):
    raise AssertionError("scikit-learn's arithmetic ran")

for name in ("_forward_pass", "_forward_pass_fast", "_backprop", "_compute_loss_grad",
             "_loss_grad_lbfgs", "_fit", "_fit_stochastic", "_fit_lbfgs"):
    assert hasattr(theirs.BaseMultilayerPerceptron, name)
    setattr(theirs.BaseMultilayerPerceptron, name, refuse)
theirs.SGDOptimizer = theirs.AdamOptimizer = refuse

@pytest.fixture
def global_random_seed():
    return 42
"""


def outcomes(report):
    """From the name of each test case to None, or to what went wrong."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        problems = [case.find(kind) for kind in ("failure", "error", "skipped")]
        texts = [f"{p.tag}: {p.get('message')}" for p in problems if p is not None]
        found[case.get("name")] = texts[0] if texts else None
    return found


def test_scikit_learns_own_tests(tmp_path):
    source = Path(sklearn.__file__).parent / "neural_network" / "tests" / "test_mlp.py"
    if not source.exists():
        pytest.skip("this scikit-learn was installed without its tests")
    text = source.read_text()
    assert text.count(OLD) == 1
    (tmp_path / "test_mlp_of_ours.py").write_text(text.replace(OLD, NEW))
    (tmp_path / "conftest.py").write_text(CONFTEST)
    report = tmp_path / "report.xml"
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={tmp_path}",
         "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'scratch'}", f"--junitxml={report}",
         str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, cwd=tmp_path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=4 * TIMEOUT,
    )  # fmt: skip
    assert report.exists(), process.stdout
    found = outcomes(report)
    assert len(found) >= 58, process.stdout
    failed = {name: text for name, text in found.items() if text is not None}
    assert sorted(failed) == sorted(EXPECTED_FAILURES), process.stdout


def test_their_arithmetic_is_found_out(tmp_path):
    """The way above to see that nothing of theirs computes can fail."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_theirs.py").write_text(
        f"{OLD}\ndef test_it():\n    MLPRegressor().fit([[1.0], [2.0]], [1.0, 2.0])\n"
    )
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, f"--rootdir={tmp_path}",
         "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=TIMEOUT,
    )  # fmt: skip
    assert process.returncode == 1
    assert "scikit-learn's arithmetic ran" in process.stdout
