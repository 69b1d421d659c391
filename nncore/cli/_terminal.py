"""What is shown on a terminal fits its width: text, tables, and the line of progress."""

from __future__ import annotations

import os
import sys
import time
from typing import IO, TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDEST = 80  # of text and tables: longer lines are hard to read
_NARROWEST = 20


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
                max(len(head), *map(len, column.cells), column.width if wide else 0)
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
            f"{cell:<{size}}" if column.left else f"{cell:>{size}}"
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
