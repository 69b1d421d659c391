"""The name of the distribution, nncore-dense, and what is said beside another `nncore`."""

from __future__ import annotations

import re
import shutil
import tomllib

import pytest
from helpers import PACKAGE, TESTS, run_python

import nncore

ROOT = TESTS.parent
PAGES = ["*.md", "*.toml", "setup.py", ".ci/*"]
PAGES += [f"{folder}/**/*" for folder in ("examples", "docs", "benchmarks", "tools")]
# Of "pip install -U nncore && ..." all up to a name that is nncore alone, or has extras.
INSTALLS_NNCORE = re.compile(r"pip3? install\b[^\n&|;`#]*[\"'\s]nncore(?![\w./-])")
EXTRA_OF_NNCORE = re.compile(r"(?<![\w.-])nncore\[[a-z, ]+\]")


def advice(text):
    """The places of a text that tell people to install the distribution `nncore`."""
    return [match[0] for p in (INSTALLS_NNCORE, EXTRA_OF_NNCORE) for match in p.finditer(text)]


def pages():
    found = [path for kind in ("*.py", "*.md") for path in PACKAGE.rglob(kind)]
    for pattern in PAGES:  # those of a checkout; an installed package has none
        found += [path for path in ROOT.glob(pattern) if path.suffix not in {".pyc", ".svg"}]
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("pip install nncore", True),
        ("pip install -U 'nncore[demo]'", True),
        ('needs pooch: pip install "nncore[demo]"', True),
        ("pip install  torch nncore\n", True),
        ('"nncore[demo,plot]"', True),
        ("pip install nncore-dense", False),
        ("pip uninstall nncore nncore-dense", False),
        ("pip install pooch && nncore mnist", False),
        ('pip install -e ".[demo]" && nncore mnist', False),
        ('"nncore-dense[demo,plot]"', False),
        ("pip install ./nncore_dense-0.1.0.whl", False),
    ],
)
def test_what_counts_as_such_advice(text, wrong):
    assert bool(advice(text)) == wrong


def test_nothing_tells_anyone_to_install_nncore_by_name():
    """On the package index that name belongs to another project."""
    assert len(pages()) > 50
    found = {path: advice(path.read_text(errors="replace")) for path in pages()}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_distribution_is_called_nncore_dense():
    if not (ROOT / "setup.py").exists():
        pytest.skip("there is no checkout here")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == "nncore-dense"
    assert project["scripts"] == {"nncore": "nncore.cli:main"}


def test_after_the_first_command_of_the_readme_nncore_can_be_imported_beside_it():
    """A plain install leaves the folder's own nncore/ unbuilt, and that one is imported there."""
    readme = (ROOT / "README.md").read_text()
    installs = re.findall(r"^pip install .*$", readme, re.MULTILINE)
    assert len(installs) == 3
    assert all(line.startswith('pip install -e ".[') for line in installs)


def install_namesake(folder, package=True):
    """Put into a folder what pip leaves there of the other project's package."""
    if package:
        (folder / "nncore").mkdir(parents=True)
        (folder / "nncore" / "__init__.py").write_text("raise ImportError('the other nncore')")
    metadata = folder / "nncore-0.4.7.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: nncore\nVersion: 0.4.7\n")


def warning_of(path, copied):
    """What `import nncore` warns of with `path` on sys.path, before or after that of ours."""
    code = f"""
import sys, warnings
sys.path.insert({0 if copied else len("more")}, {str(path)!r})
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import nncore
print(nncore.__file__)
for warning in caught:
    print(warning.filename, warning.message)
"""
    first, *warned = run_python(code).stdout.splitlines()
    assert first.startswith(str(path)) == copied
    return warned


def test_the_other_package_in_the_same_folder_is_named(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "nncore", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "nncore_dense-0.1.0.dist-info").mkdir()
    assert warning_of(tmp_path, copied=True) == []
    install_namesake(tmp_path, package=False)
    (warned,) = warning_of(tmp_path, copied=True)
    assert warned == (
        f"<string> nncore 0.4.7 is installed in {tmp_path}, another project's package with the "
        f"same import name. This is nncore-dense {nncore.__version__}; each of the two "
        "overwrites or hides the other's files. Run  pip uninstall nncore nncore-dense  and "
        "install nncore-dense again"
    )


def test_the_other_package_in_another_folder_is_named(tmp_path):
    install_namesake(tmp_path)
    (warned,) = warning_of(tmp_path, copied=False)
    assert f"nncore 0.4.7 is installed in {tmp_path}, " in warned


def test_folders_that_only_look_alike_warn_of_nothing(tmp_path):
    (tmp_path / "nncore-0.4.7.dist-info").mkdir()  # left behind: there is no package any more
    assert warning_of(tmp_path, copied=False) == []
    (tmp_path / "nncore").mkdir()
    (tmp_path / "nncore" / "__init__.py").write_text("")
    (tmp_path / "nncore-0.4.7.dist-info").rename(tmp_path / "nncore_extras-1.0.dist-info")
    assert warning_of(tmp_path, copied=False) == []
