"""A micro-batcher: requests that come at the same time run through the network together.

>>> import asyncio
>>> import numpy as np, nncore
>>> net = nncore.Network([nncore.Dense(4, 8, "relu"), nncore.Dense(8, 3, "softmax")], seed=0)
>>> x = np.random.default_rng(0).standard_normal((100, 4))
>>> async def ask():
...     batcher = Batcher(net)
...     return await asyncio.gather(*(batcher(row) for row in x)), batcher.batches
>>> answers, batches = asyncio.run(ask())
>>> batches  # 64 rows, and the others
2
>>> all(y.tobytes() == net(row).tobytes() for row, y in zip(x, answers))
True
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

# A full batch that takes less than this many seconds runs in the event loop itself. Another thread
# would cost 50 microseconds, and under load up to the 5 milliseconds after which CPython makes a
# busy thread give up the GIL.
INLINE = 1e-3

Request = tuple[np.ndarray, "asyncio.Future[np.ndarray]"]  # its rows, and where the answer goes


class Batcher:
    """Runs the rows of several requests as one batch.

    Parameters
    ----------
    net : nncore.Network
        Or another callable with `in_features` that takes (n, in_features) and gives (n, outputs).
    rows : int
        Of a full batch. A request with as many goes alone.
    wait : float
        Seconds that the first request of a batch waits until there are so many rows. 0: no longer
        than the event loop takes to read what has come in.
    inline : bool, optional
        Whether the network runs in the event loop, or in a thread: then the requests that come
        while a batch runs are the next one. None: it is timed.
    """

    def __init__(
        self, net: Any, rows: int = 64, wait: float = 0.0, inline: bool | None = None
    ) -> None:
        self.net = net
        self.rows = rows
        self.wait = wait
        self.inline = self._seconds() < INLINE if inline is None else inline
        self.batches = 0  # how many have gone
        self._thread = None if self.inline else ThreadPoolExecutor(1)
        self._waiting: deque[Request] = deque()
        self._rows_waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Future[np.ndarray] | None = None  # the batch in the thread

    async def __call__(self, x: Any) -> np.ndarray:
        """Return net(x), the same bits, for one sample or several. Raises what net(x) raises."""
        batch = self._as_rows(x)
        if batch is None or len(batch) >= self.rows:
            return await self._run(x)  # what is wrong with it harms no other request
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[np.ndarray] = loop.create_future()
        self._waiting.append((batch, answer))
        self._rows_waiting += len(batch)
        if self._rows_waiting >= self.rows:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(self.wait, self._flush)
        y = await answer
        return y[0] if np.ndim(x) == 1 else y

    async def close(self) -> None:
        """Answer all that waits, and end the thread."""
        self._flush()
        while self._running is not None:
            await asyncio.wait([self._running])
        if self._thread is not None:
            self._thread.shutdown()

    def _as_rows(self, x: Any) -> np.ndarray | None:
        """Return x as (n, in_features), or None if only the network knows what to make of it."""
        if not isinstance(x, np.ndarray) or x.ndim not in (1, 2):
            return None
        # NumPy joins these dtypes without rounding, so the network gets the numbers that were sent.
        exact = x.dtype.kind in "fiub" and x.dtype.itemsize <= (8 if x.dtype.kind == "f" else 4)
        return np.atleast_2d(x) if exact and x.shape[-1] == self.net.in_features else None

    def _flush(self) -> None:
        """Send off what waits, unless a batch is in the thread: then that does so when it ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._running is None and (batch := self._next_batch()):
            self.batches += 1
            x = np.concatenate([some for some, _ in batch])
            if self._thread is None:
                hand_out(batch, lambda x=x: self.net(x))
            else:
                loop = asyncio.get_running_loop()
                self._running = loop.run_in_executor(self._thread, self.net, x)
                self._running.add_done_callback(lambda done, batch=batch: self._end(batch, done))

    def _next_batch(self) -> list[Request]:
        """Take requests until there are enough rows."""
        batch: list[Request] = []
        count = 0
        while self._waiting and count < self.rows:
            some, answer = self._waiting.popleft()
            self._rows_waiting -= len(some)
            if not answer.done():  # who has hung up is no longer waited for
                batch.append((some, answer))
                count += len(some)
        return batch

    def _end(self, batch: list[Request], done: asyncio.Future[np.ndarray]) -> None:
        self._running = None
        hand_out(batch, done.result)
        self._flush()

    async def _run(self, x: Any) -> np.ndarray:
        if self._thread is None:
            return self.net(x)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.net, x)

    def _seconds(self) -> float:
        """Measure what a full batch takes, with warm caches."""
        x = np.full((self.rows, self.net.in_features), 2, np.float32)  # zeros would be skipped
        times = []
        for _ in range(5):
            began = time.perf_counter()
            self.net(x)
            times.append(time.perf_counter() - began)
        return min(times)


def hand_out(batch: list[Request], outcome: Callable[[], np.ndarray]) -> None:
    """Give each request its rows of the outcome; an error goes to all of them."""
    try:
        y = outcome()
    except Exception as error:
        for _, answer in batch:
            if not answer.done():
                answer.set_exception(error)
        return
    start = 0
    for some, answer in batch:
        if not answer.done():
            answer.set_result(y[start : start + len(some)])
        start += len(some)
