"""The same application in forked workers:  python forked.py --workers 2 --port 8000

The network is loaded once, and the workers share its memory. A worker that is killed is replaced.
SIGTERM or Ctrl-C ends them all: each answers what has come, and takes nothing new.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import socket
import sys
from typing import Any, NoReturn

import uvicorn

SIGNALS = {signal.SIGTERM, signal.SIGINT}


def be_a_worker(app: Any, listening: socket.socket) -> NoReturn:
    """Serve until SIGTERM."""
    code = 1
    try:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))

        def stop(*_: object) -> None:
            server.should_exit = True

        # Until the server has handlers of its own, and when it passes the signal on at its end.
        for number in SIGNALS:
            signal.signal(number, stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        server.run(sockets=[listening])
        code = 0
    finally:
        os._exit(code)


def supervise(app: Any, listening: socket.socket, count: int) -> int:
    """Keep so many workers alive until SIGTERM; return 0, or 1 if one has failed by itself."""
    workers: set[int] = set()
    stopping, failed = False, False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        # A second signal could come after Python has removed `stop`, and would kill this process.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        listening.close()  # when the workers have closed it, too, nobody can connect any more
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGTERM)

    for number in SIGNALS:
        signal.signal(number, stop)
    while True:
        # Blocked, or a signal between a fork and the note of it would pass the new worker by.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        while len(workers) < count and not stopping:
            worker = os.fork()
            if not worker:
                be_a_worker(app, listening)
            workers.add(worker)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if not workers:
            return int(failed)
        worker, status = os.wait()
        workers.discard(worker)
        if os.waitstatus_to_exitcode(status) > 0:  # another one would fail, too
            failed = True
            stop()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("application", nargs="?", default="app:create", help="MODULE:FUNCTION")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    module, _, function = options.application.partition(":")
    app = getattr(importlib.import_module(module), function)()
    listening = socket.create_server((options.host, options.port), backlog=2048)
    # The connections inherit this. Without it the second piece of an answer, its body, waits until
    # the client acknowledges the first, which takes 40 ms. asyncio sets it, but not where the
    # socket comes from outside, as here and in `uvicorn --workers`.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return supervise(app, listening, options.workers)


if __name__ == "__main__":
    sys.exit(main())
