"""Ctrl-C at the wrong moment: blocks that it must not leave half done."""

from __future__ import annotations

import signal
import threading


class InterruptsDeferred:
    """A block in which Ctrl-C waits for the end: KeyboardInterrupt is raised there, or nowhere.

    Only where it can be: in the main thread, and if nobody else has taken the signal over.
    """

    def __enter__(self) -> None:
        self._came = False
        self._deferring = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._deferring:
            signal.signal(signal.SIGINT, self._remember)

    def _remember(self, *_: object) -> None:
        self._came = True

    def __exit__(self, *_: object) -> None:
        if self._deferring:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if self._came:
                raise KeyboardInterrupt
