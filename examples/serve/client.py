"""One HTTP connection that is kept open: as small as a client can be, for hundreds of them at once.

It understands what the server of this folder sends, not all of HTTP.
"""

from __future__ import annotations

import asyncio

JSON = "application/json"
NPY = "application/x-npy"


class Connection:
    """A connection to the server.

    >>> async def ask(port):
    ...     async with Connection("127.0.0.1", port) as connection:
    ...         return await connection.post(b'{"x": [1, 2]}')
    """

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def post(self, body: bytes, kind: str = JSON) -> tuple[int, bytes]:
        """Send a body to /predict and wait; return the status and the body of the answer."""
        head = (
            f"POST /predict HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        status, *headers = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        values = dict(line.lower().split(": ", 1) for line in headers if line)
        answer = await self._reader.readexactly(int(values["content-length"]))
        return int(status.split()[1]), answer
