"""What is shown on a terminal fits its width: text, tables, bars, and the line of progress.

Text that comes from elsewhere (names of files and of classes) goes through `plain` first: it must
not move the cursor, change colours or hide what follows it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import IO, TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDEST = 80  # of text and tables: longer lines are hard to read
_NARROWEST = 20
_GAP = 3  # columns between blocks that stand beside each other
BOLD, DIM, RED, GREEN, CYAN, MAGENTA = "1", "2", "31", "32", "36", "35"


def columns_of(stream: IO[str] | None) -> int | None:
    """Return the width of the terminal that a stream writes to now; None if it is no terminal."""
    try:
        if stream is None or not stream.isatty():
            return None
        return max(os.get_terminal_size(stream.fileno()).columns or WIDEST, _NARROWEST)
    except (OSError, ValueError, AttributeError):
        return WIDEST  # a terminal that does not tell


def text_width() -> int:
    """Return how wide text and tables on standard output may be."""
    return min(columns_of(sys.stdout) or WIDEST, WIDEST)


def can_show(text: str) -> bool:
    """Return whether the encoding of standard output has these characters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def plain(text: object) -> str:
    r"""Return text from elsewhere as characters that only show themselves.

    Control characters, marks that turn the direction of writing, and what standard output cannot
    encode become escapes.

    Examples
    --------
    >>> print(plain("net\x1b[2J.npz"), plain("two\nlines"))
    net\x1b[2J.npz two\nlines
    """
    return "".join(
        c if c.isprintable() and (c.isascii() or can_show(c))
        else c.encode("unicode_escape").decode()
        for c in str(text)
    )  # fmt: skip


def width_of(text: str) -> int:
    """Return how many columns a terminal gives to a text, whose colours take none.

    Examples
    --------
    >>> width_of("cat"), width_of("고양이"), width_of("\x1b[1mcat\x1b[0m")
    (3, 6, 3)
    """
    bare = re.sub("\x1b\\[[0-9]*m", "", text)
    if bare.isascii():
        return len(bare)
    import unicodedata

    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in bare
    )


def pad(text: str, width: int, *, left: bool = True) -> str:
    """Return a text filled with spaces to a width, at the left side or at the right."""
    spaces = " " * (width - width_of(text))
    return text + spaces if left else spaces + text


def cut(text: object, width: int) -> str:
    """Return a text as `plain` shows it, only its beginning if it is too long; dots say so.

    Examples
    --------
    >>> cut("a long name", 8), cut("a name", 8)
    ('a lon...', 'a name')
    """
    whole = str(text)
    shown = plain(whole[: 4 * width])  # a name may have millions of characters
    if len(whole) <= 4 * width and width_of(shown) <= width:
        return shown
    while width_of(shown) > width - 3:
        shown = shown[:-1]
    return shown + "..."


def wrap(text: str, width: int, indent: str = "  ") -> list[str]:
    """Return a text as lines, broken at spaces only: what people copy, such as a path, stays whole.

    Examples
    --------
    >>> wrap("one two  three", 9)
    ['one two', '  three']
    """
    lines = [""]
    for word in re.findall(r"\s*\S+", text):
        if lines[-1].strip() and width_of(lines[-1] + word) > width:
            lines.append(indent + word.lstrip())
        else:
            lines[-1] += word
    return lines if lines[-1] else []


def field(name: str, lines: Sequence[str], indent: int = 10) -> list[str]:
    """Return lines beside the name of what they tell, wrapped to the terminal's width.

    A long path stays whole, so that it can be copied.
    """
    room = max(text_width() - indent, 20)
    wrapped = [part for line in lines for part in wrap(plain(line), room)]
    heads = [name] + [""] * len(wrapped)
    return [pad(head, indent) + line for head, line in zip(heads, wrapped, strict=False)]


class Colours:
    """Marks text, or leaves it as it is: colour never says what nothing else says.

    `when` is as the option --color has it.
    """

    def __init__(self, when: str) -> None:
        self.on = when == "always" or (
            when == "auto"
            and columns_of(sys.stdout) is not None
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM") != "dumb"
        )

    def __call__(self, text: str, code: str) -> str:
        """Return a text with one of the marks above."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text

    def bar(self, share: float, width: int) -> str:
        """Return a bar as long as its share, -1 to 1, of a width; NaN has none."""
        size = min(abs(share), 1.0)
        if not size > 0:
            return ""
        if not can_show("█▏"):
            return self(("#" if share > 0 else "-") * round(size * width), CYAN)
        if share < 0:
            return self("▒" * round(size * width), MAGENTA)
        full, rest = divmod(round(size * width * 8), 8)
        return self("█" * full + " ▏▎▍▌▋▊▉"[rest].strip(), CYAN)


class Block(NamedTuple):
    """Lines that may stand beside others: `lines` of a width, the least and the greatest of use."""

    least: int
    most: int
    lines: Callable[[int], list[str]]


def beside(blocks: Sequence[Block], width: int) -> list[str]:
    """Return blocks as lines, as many beside each other as have room, an empty line below each.

    Examples
    --------
    >>> two = [Block(3, 3, lambda width: ["one", "two"]), Block(4, 9, lambda width: ["-" * width])]
    >>> beside(two, 10)
    ['one   ----', 'two', '']
    >>> beside(two, 9)
    ['one', 'two', '', '---------', '']
    """
    rows: list[list[Block]] = [[]]
    for block in blocks:
        if rows[-1] and sum(each.least + _GAP for each in rows[-1]) + block.least > width:
            rows.append([])
        rows[-1].append(block)
    lines = []
    for row in rows:
        spare = width - sum(each.least for each in row) - _GAP * (len(row) - 1)
        parts: list[list[str]] = []
        for number, block in enumerate(row):
            more = max(0, min(block.most - block.least, spare // (len(row) - number)))
            spare -= more
            size = min(block.least + more, width)
            parts.append([pad(line, size) for line in block.lines(size)])
        height = max(map(len, parts), default=0)
        for part in parts:
            part += [" " * width_of(part[0])] * (height - len(part))
        lines += [(" " * _GAP).join(line).rstrip() for line in zip(*parts, strict=True)]
        lines.append("")
    return lines


class Column(NamedTuple):
    """A column of a table: its heading, a shorter one, its cells, its width where there is room.

    Where a terminal is too narrow for all columns, those with the highest `spare` are left out
    first; 0 always stays.
    """

    name: str
    short: str
    cells: list[str]
    width: int = 0
    spare: int = 0
    left: bool = False


def table(columns: Sequence[Column], width: int) -> list[str]:
    """Return a table's lines, the headings first.

    Examples
    --------
    >>> rows = [Column("", "", ["a", "bc"], left=True), Column("seconds", "s", ["1", "10"], 9)]
    >>> table(rows, 40)
    ['      seconds', 'a           1', 'bc         10']
    >>> table(rows, 6)
    ['     s', 'a    1', 'bc  10']
    """
    columns = list(columns)
    while True:
        for gap, short, wide in ((2, False, True), (2, False, False), (2, True, False),
                                 (1, True, False)):  # fmt: skip
            heads = [column.short if short else column.name for column in columns]
            widths = [
                max(width_of(head), *map(width_of, column.cells), column.width if wide else 0)
                for head, column in zip(heads, columns, strict=True)
            ]
            if sum(widths) + gap * (len(columns) - 1) <= width:
                break
        else:
            most = max(column.spare for column in columns)
            if most:
                columns = [column for column in columns if column.spare != most]
                continue
        break
    rows = [heads, *zip(*(column.cells for column in columns), strict=True)]
    return [
        (" " * gap).join(
            pad(cell, size, left=column.left)
            for cell, size, column in zip(row, widths, columns, strict=True)
        ).rstrip()
        for row in rows
    ]  # fmt: skip


class ProgressLine:
    """One line on standard error that is written over and over, and never wider than the terminal.

    The cursor rests at the beginning of the line, and what stands behind it is erased before the
    next one: so nothing stays behind where a terminal has become narrower and broken the line in
    two. Nothing is shown for the first second, or where standard error is no terminal.
    """

    DELAY, INTERVAL = 1.0, 0.1  # seconds

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit, self._done, self._first = total, unit, 0, 0
        self._note = ""
        self._shown = False
        self._began = time.monotonic()
        self._next = self._began + self.DELAY
        self._stream = sys.stderr
        if columns_of(self._stream) is None or os.environ.get("TERM") == "dumb":
            self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def start_at(self, done: int) -> None:
        """Say how much was done before this began."""
        self._done = self._first = done

    def update(self, n: int, note: str = "") -> None:
        """Add `n` to what is done, and show it if it is time to."""
        self._done += n
        self._note = note
        now = time.monotonic()
        if self._stream is not None and now >= self._next:
            self._next = now + self.INTERVAL
            self._shown = True
            width = (columns_of(self._stream) or WIDEST) - 1
            self._write(f"\x1b[J{self._line(width, now)}\r")

    def clear(self) -> None:
        """Erase the line, for something else to be printed in its place."""
        if self._shown:
            self._write("\x1b[J")
            self._shown = False

    def _write(self, text: str) -> None:
        try:
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
        except (OSError, ValueError):  # a terminal that is gone must not cost the work
            self._stream = None

    def _line(self, width: int, now: float) -> str:
        share = min(self._done / max(self._total, 1), 1.0)
        left = (now - self._began) * (self._total - self._done) / max(self._done - self._first, 1)
        head = f"{share:4.0%} "
        tail = f" {self._done:,} of {self._total:,}{self._unit}, {_clock(left)} left"
        if self._note and len(head) + len(tail) + len(self._note) + 2 <= width:
            tail += f", {self._note}"
        room = min(width - len(head) - len(tail), 40)
        bar = ""
        if room >= 8:
            full = int(share * (room - 2))
            bar = f"[{'#' * full}{'.' * (room - 2 - full)}]"
        return f"{head}{bar}{tail}"[:width]


def _clock(seconds: float) -> str:
    """Return a time as a clock shows it.

    Examples
    --------
    >>> _clock(75), _clock(7275)
    ('1:15', '2:01:15')
    """
    minutes, rest = divmod(int(min(seconds, 1e9)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
