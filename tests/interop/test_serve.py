"""examples/serve/ under load: several workers, real sockets, hundreds of clients at once."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from many_rows import environment
from pages import EXAMPLES

import nncore

for package in ("starlette", "uvicorn", "httpx"):
    pytest.importorskip(package, reason=f"{package} is not installed: pip install {package}")

sys.path.append(str(EXAMPLES / "serve"))

import httpx  # noqa: E402
from client import NPY, Connection  # noqa: E402

COMMANDS = {
    "uvicorn": ["-m", "uvicorn", "app:create", "--factory", "--log-level", "warning"],
    "forked": ["forked.py"],
}


class Server:
    """Two workers on a port of their own."""

    def __init__(self, command, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log.txt"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *COMMANDS[command], "--workers", "2", "--port", str(self.port)],
                cwd=EXAMPLES / "serve", env=environment(PYTHONDONTWRITEBYTECODE="1"),
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def workers(self, number=2, but=()):
        """What each worker says of itself, by its process; waits until there are so many."""
        found = {}
        until = time.monotonic() + 60
        while len(found) < number:
            assert time.monotonic() < until, f"{found}\n{self.log.read_text()}"
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.TransportError):
                health = httpx.get(f"{self.url}/health", timeout=5).json()
                if health["process"] not in but:
                    found[health["process"]] = health
        return found

    def stop(self, workers):
        """End it as an operator does, and wait until all of it is gone."""
        self.process.send_signal(signal.SIGTERM)
        return self.ends(workers)

    def ends(self, workers):
        """Wait until all of it is gone; return what it has complained about."""
        assert self.process.wait(30) == 0, self.log.read_text()
        for worker in workers:
            with pytest.raises(ProcessLookupError):
                os.kill(worker, 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port), timeout=5)
        return self.log.read_text()


@pytest.fixture(params=COMMANDS)
def server(request, tmp_path):
    server = Server(request.param, tmp_path)
    try:
        server.workers()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()  # which ends the workers, too
            server.process.wait(30)


def as_json(x):
    return json.dumps({"x": x.tolist()}).encode()


def npy(x):
    buffer = io.BytesIO()
    np.save(buffer, x)
    return buffer.getvalue()


async def a_client(port, number, net):
    """Send requests one after the other, of each kind; return how many were answered rightly."""
    rng = np.random.default_rng(number)
    async with Connection("127.0.0.1", port) as connection:
        for kind in ("one", "several", "npy", "wrong"):
            pixels = rng.integers(0, 256, (rng.integers(1, 6), 784), dtype=np.uint8)
            if kind == "wrong":  # which must harm nobody else
                status, answer = await connection.post(as_json(pixels[:, :780]))
                assert status == 400
                message = "x has 780 features, this network takes 784"
                assert json.loads(answer) == {"error": message}
                continue
            if kind == "npy":
                x = pixels if number % 2 else pixels.astype(np.float32) / 3
                status, answer = await connection.post(npy(x), NPY)
                y = np.load(io.BytesIO(answer))
            else:
                x = pixels[0] if kind == "one" else pixels * 0.7
                status, answer = await connection.post(as_json(x))
                y = np.array(json.loads(answer)["outputs"])
            assert status == 200
            wanted = net(x)
            assert (y == wanted).all(), "as doubles, if it came as JSON"
            assert y.shape == wanted.shape
            assert y.astype(np.float32).tobytes() == wanted.tobytes()
    return 4


async def load(port, clients):
    """Let so many clients ask at once; return the number of right answers."""
    net = nncore.load_pretrained("digits")
    asking = asyncio.gather(*(a_client(port, number, net) for number in range(clients)))
    return sum(await asyncio.wait_for(asking, 120))


def test_under_load_all_answers_are_those_of_the_network_bit_for_bit(server):
    for rounds in range(1, 6):  # noqa: B007
        assert asyncio.run(load(server.port, clients=300)) == 300 * 4
        workers = server.workers()
        batches = [worker["batches"] for worker in workers.values()]
        if min(batches) > 0:  # both have worked; the system decides who gets a connection
            break
    assert min(batches) > 0
    assert sum(batches) < rounds * 300 * 3, "some requests went together"
    assert all(worker["threads"] == 1 for worker in workers.values())
    assert server.stop(workers) == "", "nothing to complain about"


def test_a_client_that_hangs_up_is_no_event(server):
    workers = server.workers()
    for body in (b"half", b"x" * 100):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
            connection.sendall(body)
    server.workers()
    assert server.stop(workers) == "", "no traceback in the log"


def test_a_request_that_is_being_sent_when_the_server_stops_is_answered(server):
    workers = server.workers()
    x = np.arange(784.0)
    body = json.dumps({"x": x.tolist()}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head + body[:100])
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        connection.sendall(body[100:])
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    outputs = json.loads(answer.partition(b"\r\n\r\n")[2])["outputs"]
    wanted = nncore.load_pretrained("digits")(x)
    assert np.array(outputs, np.float32).tobytes() == wanted.tobytes()
    server.ends(workers)


@pytest.mark.parametrize("server", ["forked"], indirect=True)
def test_an_operator_who_insists_changes_nothing(server):
    workers = server.workers()
    until = time.monotonic() + 30
    while server.process.poll() is None and time.monotonic() < until:
        server.process.send_signal(signal.SIGTERM)  # until its last moment
    assert server.ends(workers) == ""


def test_a_worker_that_is_killed_is_replaced(server):
    killed, other = server.workers()
    os.kill(killed, signal.SIGKILL)
    workers = server.workers(but=[killed])
    assert other in workers
    assert asyncio.run(load(server.port, clients=20)) == 20 * 4
    server.stop(workers)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b'{"x": [1, 2]}', 400, "x has 2 features, this network takes 784"),
        (b'{"x": [[1], [1, 2]]}', 400, "x is no rectangular array of numbers"),
        (b'{"x": "seven"}', 400, "x has dtype <U5, expected real numbers"),
        (b'{"x": [1, NaN]}', 400, "x has NaN, expected numbers"),
        (b'{"x": [' + b"1e300," * 783 + b"-1e300]}", 400, "outputs are infinite or NaN"),
        (b'{"y": [1]}', 400, 'the body is JSON without "x"'),
        (b"[" * 100_000, 400, "the body is not JSON"),
        (b"x=1", 400, "the body is not JSON"),
        (b"", 400, "the body is not JSON"),
        (b" " * (2**24 + 1), 413, "the body has more than 16,777,216 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_wrong_with_a_request_is_said(body, status, error):
    sent = asyncio.run(in_process(body))
    assert sent.status_code == status
    assert sent.json()["error"].startswith(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no array",
        npy(np.zeros(784))[:-1],
        npy(np.zeros(784)).replace(b"(784,)", b"(1<<9)"),
        npy(np.zeros(784)).replace(b"(784,), }" + b" " * 12, b"(78400000000000000,),}"),
        npy(np.zeros(784)).replace(b"<f8", b"|O8"),
        npy(np.zeros(784)).replace(b"{'descr'", b"{((descr "),
        npy(np.zeros(784)).replace(b"(784,)", b"(784$)"),
        npy(np.zeros(783)),
    ],
    ids=[
        "empty",
        "text",
        "short",
        "no shape",
        "huge",
        "objects",
        "brackets",
        "sign",
        "783 features",
    ],
)
def test_what_is_no_npy_file_is_refused(body):
    sent = asyncio.run(in_process(body, {"content-type": NPY}))
    assert sent.status_code == 400
    assert "npy" in sent.json()["error"] or "783 features" in sent.json()["error"]


async def in_process(body, headers=()):
    """The application's answer, without a server."""
    from app import create

    transport = httpx.ASGITransport(app=create())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post("/predict", content=body, headers=dict(headers))
