"""What CONTRIBUTING says about adding something is true: it is done here, in a copy of the sources.

The copy gets an activation, a loss, an optimizer and a kind of layer, by the edits below and no
others. It is built, and tests/grown.py is run in it. That takes a minute or two, so it is done only
when NNCORE_TEST_GROWTH is set.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "ext", "nncore", "tests"]

ACTIVATION_ROW = r"""
    X(squareplus, 4.0, NN_NONE, 0, "he", "(x + sqrt(x^2 + alpha)) / 2",                           \
      "(1 + x / sqrt(x^2 + alpha)) / 2", "Barron (2021).")                                        \
""".removeprefix("\n")

ACTIVATION = """
F(squareplus) { return vmul(vset1((REAL)0.5), vadd(x, vsqrt(vfma(x, x, alpha)))); }
D(squareplus)
{
    vec slope = vdiv(x, vsqrt(vfma(x, x, alpha)));
    return vmul(vset1((REAL)0.5), vadd(vset1(1), slope));
}
"""

ACTIVATION_IN_A_PAGE = """
      squareplus: (x, alpha) => round(0.5 * round(x + round(Math.sqrt(fma(x, x, alpha))))),
""".removeprefix("\n")

LOSS_CASE = """
    case NN_squared_hinge: {
        const double margin = 1 - (double)z * (double)target;
        *d = margin <= 0 ? 0 : (REAL)(-2 * margin * (double)target) * factor;
        return margin <= 0 ? 0 : margin * margin;
    }
""".removeprefix("\n")

LOSS_ROW = """
    Loss("squared_hinge", "max(0, 1 - t y)^2, the mean over all outputs"),
""".removeprefix("\n")

OPTIMIZER_ROW = r"""
    X(signum, 1, 0, NN_SETTING(beta1) NN_SETTING(weight_decay))                                   \
""".removeprefix("\n")

OPTIMIZER_CONSTANTS = """
    case NN_signum:
        keep_first = u->signum.beta1;
        add_first = 1 - keep_first;
        decay = u->signum.weight_decay;
        break;
""".removeprefix("\n")

OPTIMIZER_DIRECTION = """
    case NN_signum:
        mean = vfma(c->keep_first, vload(first_state + at), vmul(c->add_first, *d));
        vstore(first_state + at, mean);
        *d = vselect(vless(vset1(0), vabs(mean)), vcopysign(vset1(1), mean), mean);
        return 1;
""".removeprefix("\n")

OPTIMIZER_CLASS = '''
class Signum(Optimizer):
    """The sign of a running mean of the gradient (Bernstein et al., 2018)."""

    kind = "signum"
    _below_one = ("beta1",)

    def __init__(
        self,
        learning_rate: LearningRate = 1e-3,
        *,
        beta1: float = 0.9,
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_norm, clip_value)
        self.beta1 = beta1
        self.weight_decay = weight_decay
        self._check()


'''.removeprefix("\n")

LAYER = '''
"""Gain: each feature times a number of its own."""

from __future__ import annotations

import numpy as np

from nncore import _validation
from nncore.layers._layer import Layer, check_keys, check_size


class Gain(Layer):
    """x * gains for each feature, anywhere before the last Dense layer."""

    def __init__(self, gains):
        self.set_arrays({"gains": _validation.array(gains, "gains")})

    @property
    def in_features(self):
        return self._in_features

    def compile(self, program):
        program.add("gain", parameters=self.gains)

    @property
    def format_version(self):
        return 2

    def describe(self, where):
        return {"in_features": self._in_features}

    @classmethod
    def from_description(cls, described, where):
        check_keys(described, {"in_features"}, where)
        layer = cls.__new__(cls)
        layer._in_features = check_size(described, "in_features", where)
        return layer

    def array_types(self, dtype):
        return {"gains": ("float64", (self._in_features,))}

    def arrays(self, record):
        return {"gains": self.gains}

    def set_arrays(self, arrays):
        gains = arrays["gains"].astype(np.float64)
        if gains.ndim != 1 or not np.isfinite(gains).all():
            raise ValueError("gains are expected as (in_features,), finite")
        self.gains, self._in_features = gains, len(gains)

    def __repr__(self):
        return f"Gain({self._in_features} features)"
'''.removeprefix("\n")

KERNELS = """
/* The operation gain: x (m,) -> y (m,), each times its own number in layer->panels (m,). */

static NN_TARGET void gain_row(const nn_layer *layer, const void *x_, void *y_)
{
    const REAL *x = x_, *gains = layer->panels;
    REAL *y = y_;
    for (ptrdiff_t j = 0; j < layer->m; j++)
        y[j] = x[j] * gains[j];
}

static NN_TARGET void gain_tile(const nn_layer *layer, const void *x_, void *y_, int vectors)
{
    const REAL *x = x_, *gains = layer->panels;
    REAL *y = y_;
    for (ptrdiff_t j = 0; j < layer->m; j++)
        for (int v = 0; v < vectors; v++, x += LANES, y += LANES)
            vstore(y, vmul(vload(x), vset1(gains[j])));
}

static NN_TARGET void gain_backward(const nn_layer *layer, const void *x, void *d, ptrdiff_t width)
{
    (void)x; /* the derivative by an input is its gain, whatever the input is */
    gain_tile(layer, d, d, (int)(width / LANES));
}
""".removeprefix("\n")


class Edit(NamedTuple):
    """Insert `text` into a file before `anchor`, which stands there once; None: a new file."""

    path: str
    anchor: str | None
    text: str


# What the rows of the table in CONTRIBUTING say, by the first cell of a row.
EDITS = {
    "an activation": [
        Edit("ext/registries.h", "    X(softsign,", ACTIVATION_ROW),
        Edit("ext/simd/math.tpl.h", "#undef F\n", ACTIVATION),
        Edit("nncore/page/activations.js", "      softsign: (x)", ACTIVATION_IN_A_PAGE),
    ],
    "a loss": [
        Edit("ext/registries.h", "\n\n/* The optimisers: optimizers.tpl.h.", " X(squared_hinge)"),
        Edit("ext/simd/loss.tpl.h", "    case NN_LOSS_COUNT:\n        break;\n    }\n    *d = 0;",
             LOSS_CASE),
        Edit("nncore/losses.py", ")}  # fmt: skip", LOSS_ROW),
    ],
    "an optimizer": [
        Edit("ext/registries.h", "    X(adam, 2, 0,", OPTIMIZER_ROW),
        Edit("ext/simd/optimizers.tpl.h",
             "    case NN_OPTIMIZER_COUNT:\n        break;\n    }\n    /* A step by",
             OPTIMIZER_CONSTANTS),
        Edit("ext/simd/optimizers.tpl.h",
             "    case NN_OPTIMIZER_COUNT:\n        break;\n    }\n    return 0;",
             OPTIMIZER_DIRECTION),
        Edit("nncore/optimizers.py", "# Every class above that names its row.", OPTIMIZER_CLASS),
    ],
    "a kind of layer": [
        Edit("nncore/layers/gain.py", None, LAYER),
        Edit("nncore/layers/__init__.py", "from nncore.layers.normalization",
             "from nncore.layers.gain import Gain\n"),
        Edit("nncore/layers/__init__.py", '    "Dense": Dense,\n', '    "Gain": Gain,\n'),
        Edit("ext/registries.h", "\n\n#define NN_ENUM", " X(gain)"),
        Edit("ext/simd/gain.tpl.h", None, KERNELS),
        Edit("ext/simd/operations.tpl.h", "static NN_TARGET void activate_tile",
             '#include "gain.tpl.h"\n\n'),
    ],
}  # fmt: skip
NAMES = {"a kind of layer": "gain"}
# Tests of all activations in the page, skipped where there is no browser.
IN_A_BROWSER = [
    f"tests/browser/test_arithmetic.py::test_{name}"
    for name in (
        "a_page_offers_every_activation",
        "elementwise_activations_of_numbers_of_every_kind",
    )
]


def documented_files(row):
    """The files that CONTRIBUTING names for what is added, NAME replaced."""
    table = (ROOT / "CONTRIBUTING.md").read_text()
    cells = re.search(rf"^\| {row} \| (.+) \|$", table, re.MULTILINE)
    assert cells is not None, f"CONTRIBUTING has no row for {row}"
    paths = re.findall(r"`((?:ext|nncore)/[\w/.]+)`", cells[1])
    return {path.replace("NAME", NAMES.get(row, "")) for path in paths}


@pytest.mark.parametrize("row", EDITS)
def test_contributing_names_the_files_that_are_edited(row):
    if not (ROOT / "CONTRIBUTING.md").exists():
        pytest.skip("these tests are not in a checkout")
    assert {edit.path for edit in EDITS[row]} == documented_files(row)


def apply_edit(folder, edit):
    path = folder / edit.path
    if edit.anchor is None:
        assert not path.exists()
        path.write_text(edit.text)
        return
    before = path.read_text()
    assert before.count(edit.anchor) == 1, f"{edit.path} has {edit.anchor!r} not once"
    path.write_text(before.replace(edit.anchor, edit.text + edit.anchor))


def test_the_edits_fit_the_sources(tmp_path):
    """Seen here at once, and not only where a copy is built."""
    edits = [edit for row in EDITS.values() for edit in row]
    if not all((ROOT / edit.path).exists() for edit in edits if edit.anchor is not None):
        pytest.skip("these tests are not in a checkout")
    for edit in edits:
        copy = tmp_path / edit.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if edit.anchor is not None and not copy.exists():
            shutil.copy(ROOT / edit.path, copy)
        apply_edit(tmp_path, edit)


def run(*command, folder, **environment):
    """Run Python in the copy; return what it printed, or fail with it."""
    process = subprocess.run(
        [sys.executable, *command], cwd=folder, env=os.environ | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    if process.returncode:
        pytest.fail(f"exit code {process.returncode}\n{process.stdout[-10000:]}")
    return process.stdout


@pytest.mark.skipif(
    not os.environ.get("NNCORE_TEST_GROWTH"),
    reason="it builds a copy of the sources, which takes a minute: set NNCORE_TEST_GROWTH",
)
def test_what_contributing_says_works(tmp_path):
    if not (ROOT / "setup.py").exists():
        pytest.skip("these tests are not in a checkout")
    built = shutil.ignore_patterns("*.so", "_*.pxd", "_*.pyi", "__pycache__")

    def strangers(folder, names):
        copies = {"_arrays.py", "_cpus.py"} if Path(folder) == ROOT / "nncore" else set()
        return built(folder, names) | copies

    for name in SOURCES:
        if (ROOT / name).is_dir():
            # In ext/ the declarations and plain modules are sources, in nncore/ copies of them.
            ignore = strangers if name == "nncore" else shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    for edits in EDITS.values():
        for edit in edits:
            apply_edit(tmp_path, edit)
    # Without optimisation and with bounds checks; a warning is an error.
    run("setup.py", "-q", "build_ext", "--inplace", folder=tmp_path,
        NNCORE_DEBUG="1", NNCORE_WERROR="1")  # fmt: skip
    printed = run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'scratch'}",
        "tests/grown.py", *IN_A_BROWSER, folder=tmp_path, PYTHONPATH=str(tmp_path),
    )  # fmt: skip
    assert re.search(r"^\d+ passed", printed, re.MULTILINE), printed
