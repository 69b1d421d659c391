"""Draw the pictures of the pages in examples/ again: `python tools/pictures.py`.

How a picture is made stands in its page, in the block of code before it: a line `nncore plot ...`,
or Python that leaves the picture's axes as `ax`. Both are run here, as the reader would run them,
but without MNIST's files, which not everybody has: digits are those that nncore draws.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_BLOCK_AND_PICTURE = re.compile(
    r"^```(?P<language>sh|python)\n(?P<code>[^`]*)^```\n\n!\[(?P<text>[^]]*)\]\(pictures/(?P<name>[^)]+)\)$",
    re.MULTILINE,
)


class Picture(NamedTuple):
    """A picture of a page, and the block of code that makes it."""

    page: str
    name: str  # of the file in pictures/
    text: str  # for those who do not see it
    language: str  # "sh" or "python"
    code: str


def pictures() -> list[Picture]:
    """Return the pictures of all pages that have their block of code before them."""
    return [
        Picture(page.name, found["name"], found["text"], found["language"], found["code"])
        for page in sorted(EXAMPLES.glob("*.md"))
        for found in _BLOCK_AND_PICTURE.finditer(page.read_text())
    ]


def draw(picture: Picture, folder: Path) -> Path:
    """Write a picture into a folder, and return its path."""
    target = folder / picture.name
    with _without_mnist():
        if picture.language == "sh":
            _run_command(picture, target)
        else:
            _run_python(picture, target)
    return target


def _run_command(picture: Picture, target: Path) -> None:
    from nncore.cli import main

    (line,) = (line for line in picture.code.splitlines() if line.startswith("nncore plot "))
    arguments = shlex.split(line, comments=True)[1:]
    place = arguments.index("-o") + 1
    if arguments[place] != picture.name:
        raise SystemExit(f"{picture.page}: {line} makes no {picture.name}")
    arguments[place] = str(target)
    if main([*arguments, "--overwrite"]):
        raise SystemExit(f"{picture.page}: {line} failed")


def _run_python(picture: Picture, target: Path) -> None:
    import matplotlib

    from nncore.plot import _files

    matplotlib.use("agg")
    from matplotlib import pyplot

    with _files.fixed_style():
        names: dict[str, object] = {}
        exec(compile(picture.code, picture.page, "exec"), names)
        figure = names["ax"].figure  # type: ignore[attr-defined]
        _files.write(figure, target)
        pyplot.close(figure)


@contextmanager
def _without_mnist() -> Iterator[None]:
    """Stand in examples/, as the commands of the pages do, and hide MNIST's files."""
    folder, home = Path.cwd(), os.environ.get("NNCORE_DATA_HOME")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["NNCORE_DATA_HOME"] = empty
        os.chdir(EXAMPLES)
        try:
            yield
        finally:
            os.chdir(folder)
            os.environ.pop("NNCORE_DATA_HOME")
            if home is not None:
                os.environ["NNCORE_DATA_HOME"] = home


def main() -> None:
    """Parse the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a picture (default: all)")
    wanted = parser.parse_args().names
    sys.path.insert(0, str(EXAMPLES.parent))
    for picture in pictures():
        if not wanted or picture.name in wanted:
            path = draw(picture, EXAMPLES / "pictures")
            print(f"{picture.page}: {picture.name}, {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
