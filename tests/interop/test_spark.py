"""Spark: the page's program where Spark and Java are; its pandas function wherever pandas is."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys

import numpy as np
import pytest
from many_rows import PAGE, environment
from pages import program

import nncore

pd = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")
ROWS = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spark")
    layers = [nncore.Dense(16, 32, "relu"), nncore.Dense(32, 5, "softmax")]
    nncore.Network(layers, seed=3).save(folder / "model.npz")
    return folder


@pytest.fixture(scope="module")
def rows():
    x = np.random.default_rng(6).standard_normal((ROWS, 16), dtype=np.float32)
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(16)])


@pytest.fixture(scope="module")
def wanted(folder, rows):
    return nncore.load(folder / "model.npz").predict(rows.to_numpy())


def test_the_function_of_the_page_labels_pieces_of_a_data_frame(folder, rows, wanted):
    tree = ast.parse(program(PAGE, "with_spark.py"))
    (function,) = [part for part in tree.body if isinstance(part, ast.FunctionDef)]
    page = {"net": nncore.load(folder / "model.npz"), "pd": pd}
    exec(ast.unparse(function), page)
    pieces = [page["label"](rows[start : start + 3000]) for start in range(0, ROWS, 3000)]
    assert all(isinstance(piece, pd.Series) for piece in pieces)
    found = np.concatenate([piece.to_numpy() for piece in pieces])
    assert found.tobytes() == wanted.tobytes()


def test_the_program_of_the_page(folder, rows, wanted):
    pytest.importorskip("pyspark", reason="Spark is not installed: pip install pyspark")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install pyarrow")
    if not shutil.which("java"):
        pytest.skip("Spark needs Java, and there is no java here")
    rows.assign(id=np.arange(ROWS)).to_parquet(folder / "rows.parquet")
    (folder / "with_spark.py").write_text(program(PAGE, "with_spark.py"))
    subprocess.run(
        [sys.executable, "with_spark.py"], cwd=folder, check=True, timeout=240,
        env=environment(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1"),
    )  # fmt: skip
    found = pd.read_parquet(folder / "labels.parquet").sort_values("id")
    assert found["id"].tolist() == list(range(ROWS))
    assert found["label"].to_numpy().tobytes() == wanted.tobytes()
