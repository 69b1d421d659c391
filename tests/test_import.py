"""What `import nncore` costs and brings along, and what it says where nothing has been built."""

from __future__ import annotations

import ast
import inspect
import shutil
import sys
from pathlib import Path

import pytest
from helpers import PACKAGE, run_python

import nncore

HEAVY = [
    "argparse", "asyncio", "concurrent.futures.thread", "dataclasses", "email", "gzip", "http",
    "importlib.resources", "json", "logging", "multiprocessing", "nncore.augmentation", "numpy.ma",
    "numpy.random", "pickle", "platform", "pooch", "shutil", "socket", "ssl", "subprocess",
    "tempfile", "tqdm", "urllib", "urllib.request", "zipfile",
]  # fmt: skip


def test_the_import_brings_nothing_heavy():
    code = f"""
import numpy, sys
before = set(sys.modules)
import nncore
print(sorted((set(sys.modules) - before) & set({HEAVY})))
print(len(set(sys.modules) - before))
print(sorted(name for name in set(sys.modules) - before
             if name.split(".")[0] not in sys.stdlib_module_names | {{"nncore", "numpy"}}
             and "cython" not in name))  # its run time is compiled in
"""
    heavy, number, foreign = run_python(code).stdout.splitlines()
    assert heavy == "[]"
    assert foreign == "[]", "only NumPy and the standard library"
    assert int(number) < 50


def test_reading_and_running_a_network_brings_only_what_it_needs():
    unneeded = [
        "nncore.formats.pickles",
        "nncore.fit.settings",
        "nncore.fit.loop",
        "numpy.ma",
        "numpy.random",
        "pickle",
    ]
    code = f"""
import numpy, sys
before = set(sys.modules)
import nncore
nncore.load_pretrained()([0.0] * 784)
print(sorted((set(sys.modules) - before) & set({unneeded})))
"""
    assert run_python(code).stdout.strip() == "[]"


# From the bottom up: a module imports only what stands before it, not even inside a function.
STOREYS = [
    # in ext/, most of them compiled: setup.py has their order
    [
        "nncore._cpus",
        "nncore._table",
        "nncore._arrays",
        "nncore._plan",
        "nncore._engine",
        "nncore._quantized",
        "nncore._training",
        "nncore._augmentation",
    ],
    ["nncore._names", "nncore._validation", "nncore._classes", "nncore._random", "nncore._info"],
    ["nncore.activations", "nncore._named", "nncore.functions", "nncore.schedules"],
    ["nncore.initializers", "nncore.losses", "nncore.optimizers", "nncore.history"],
    ["nncore.layers._layer"],
    ["nncore.layers.dense", "nncore.layers.normalization", "nncore.layers.rescaling"],
    ["nncore.layers.quantized_dense"],
    ["nncore.layers"],
    ["nncore._pixels"],
    ["nncore._base"],
    ["nncore._inference"],
    ["nncore.formats", "nncore.fit"],
    ["nncore.page"],
    ["nncore.interop._assembler"],
    ["nncore.interop"],
    ["nncore.quantized"],
    ["nncore.network"],
    ["nncore.importers", "nncore.sklearn"],
    ["nncore.pretrained"],
    ["nncore.plot"],  # and above all, the command line, which uses the public names
]


def storey(module):
    """The number of the storey that a module, or the module of an imported name, is on."""
    while module and module != "nncore":
        for number, modules in enumerate(STOREYS):
            if module in modules:
                return number
        module = module.rpartition(".")[0]
    return None


def imports_of(source):
    """All that a file imports, also for type checkers alone and inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if storey(module) is not None:
            yield pytest.param(path, module, id=module)


@pytest.mark.parametrize(("path", "module"), list(modules()))
def test_arrows_point_down(path, module):
    here = storey(module)
    for name in imports_of(path.read_text()):
        if name.split(".")[0] == "nncore":
            there = storey(name)
            # Modules of one package may import each other, but no two storeys each other.
            beside = there == here and name.startswith(module.rpartition(".")[0] + ".")
            down = there is not None and there < here
            assert down or beside, f"{module} imports {name}"


def test_the_import_starts_no_thread():
    code = """
import threading, nncore, sys
print(threading.active_count(), "concurrent.futures.thread" in sys.modules)
nncore.Network([nncore.Dense(3, 2)], seed=0)([1, 2, 3])
print(threading.active_count())
"""
    assert run_python(code).stdout.split() == ["1", "False", "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_process_has_one_thread():
    code = "import os, nncore; print(len(os.listdir('/proc/self/task')))"
    numpy_alone = run_python(code.replace("nncore", "numpy"), OPENBLAS_NUM_THREADS="1").stdout
    assert run_python(code, OPENBLAS_NUM_THREADS="1").stdout == numpy_alone


# Python 3.14 words the error for a missing name of a package that is just being imported like this.
AS_IN_PYTHON_3_14 = """
import builtins
original = builtins.__import__
def importing(name, globals=None, locals=None, fromlist=(), level=0):
    if name == "nncore" and "_engine" in (fromlist or ()):
        raise ImportError("cannot import name '_engine' from 'nncore' (consider renaming it)")
    return original(name, globals, locals, fromlist, level)
builtins.__import__ = importing
"""


@pytest.mark.parametrize(
    ("compiled", "before"),
    [([], ""), ([], AS_IN_PYTHON_3_14), (["_engine", "_table", "_plan"], "")],
    ids=["nothing built", "the words of Python 3.14", "half built"],
)
def test_an_unbuilt_checkout_says_in_one_line_what_to_do(tmp_path, compiled, before):
    built = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "nncore", ignore=built)
    for copied in ("_arrays.py", "_cpus.py"):  # from ext/, by the build
        (tmp_path / "nncore" / copied).unlink()
    for name in compiled:
        module = sys.modules[f"nncore.{name}"].__file__
        shutil.copy(module, tmp_path / "nncore")
    code = f"{before}\nimport sys; sys.path.insert(0, {str(tmp_path)!r}); import nncore"
    process = run_python(code, check=False, cwd=tmp_path)
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert last == (
        "ImportError: nncore is not built here: run  pip install -e .  in the checkout, "
        "or leave its folder"
    )
    assert "During handling" not in process.stderr


def test_a_compiled_module_that_is_broken_is_reported_as_it_is(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "nncore", ignore=shutil.ignore_patterns("__pycache__"))
    broken = tmp_path / "nncore" / Path(sys.modules["nncore._table"].__file__).name
    broken.write_bytes(b"")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import nncore"
    process = run_python(code, check=False, cwd=tmp_path)
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert str(broken) in last
    assert "not built here" not in last


def test_all_names_are_there_and_no_others():
    for name in nncore.__all__:
        assert hasattr(nncore, name), name
    assert len(nncore.__all__) == len(set(nncore.__all__))
    names = {"Dense", "Network", "Rescaling", "affine", "load", "softmax", "relu", "info"}
    assert names <= set(nncore.__all__)


def test_type_checkers_know_the_same_activations():
    """setup.py reads the rows of registries.h; the kernels were compiled from them."""
    declared = ast.parse((PACKAGE / "_named.pyi").read_text()).body
    types = {
        line.target.id: line.annotation.id for line in declared if isinstance(line, ast.AnnAssign)
    }
    registry = nncore.activations.REGISTRY
    assert types == {name: type(f).__name__ for name, f in registry.items()}
    assert set(registry) <= set(nncore.__all__)
    for name, function in registry.items():
        assert getattr(nncore, name) is function


@pytest.mark.parametrize("name", sorted(set(nncore.__all__) - {"__version__"}))
def test_public_names_have_docstrings(name):
    thing = getattr(nncore, name)
    assert len(inspect.getdoc(thing) or "") >= 30
    if inspect.isclass(thing):
        for member, value in vars(thing).items():
            if not member.startswith("_") and callable(value):
                assert inspect.getdoc(value), f"{name}.{member}"


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (nncore.Network.logits, ["self", "x", "out"]),
        (nncore.Network.__call__, ["self", "x", "out"]),
        (nncore.set_num_threads, ["count"]),
        (nncore.get_num_threads, []),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_compiled_functions_have_signatures(function, parameters):
    """Plain built-in functions have none unless the compiler is told to embed them."""
    assert list(inspect.signature(function).parameters) == parameters


def test_functions_show_an_example():
    for name in ("affine", "load", "info", "get_num_threads", "Network", "Dense", "Rescaling"):
        assert ">>> " in inspect.getdoc(getattr(nncore, name)), name
    for name in ("from_arrays", "from_dict", "predict", "trace", "save", "logits", "__call__"):
        assert inspect.getdoc(getattr(nncore.Network, name)), name


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("nncore-dense")
    except PackageNotFoundError:
        pytest.skip("nncore runs from its checkout: no nncore-dense is installed to compare with")
    assert nncore.__version__ == installed


def test_info_says_what_it_documents():
    info = nncore.info()
    assert list(info) == [
        "version", "python", "numpy", "instruction_set", "available_instruction_sets",
        "int8_kernel", "available_int8_kernels", "num_threads", "parallel_min",
    ]  # fmt: skip
    assert info["version"] == nncore.__version__
    assert info["python"] == sys.version.split()[0]
