"""The latency of a network behind HTTP, under load: nncore and onnxruntime in the same application.

    python -m benchmarks.serve

Each network is served by examples/serve/forked.py in some workers, with and without its batches.
Clients on kept connections send one sample, wait for the answer, and send the next. The servers
take turns of a few seconds, so that a noisy phase of the machine hits all of them alike.

Every answer is compared: nncore's with the bytes of net(x), onnxruntime's within a tolerance. The
last column counts the different answers, byte for byte, that one and the same sample has got.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import nets, peers
from .serve_app import EXAMPLE

NETS = {
    "784-50-100-10": nets.Net((784, 50, 100, 10), "relu", "softmax"),
    "784-512-512-10": nets.Net((784, 512, 512, 10), "relu", "softmax"),
}
# The file, and options of the batcher beside its own choice.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "nncore": ("model.npz", {}),
    "nncore, no batches": ("model.npz", {"rows": 1}),
    "nncore, waits 1 ms": ("model.npz", {"inline": True, "wait": 1e-3}),
    "nncore, in a thread": ("model.npz", {"inline": False}),
    "nncore, in the loop": ("model.npz", {"inline": True}),
    "onnxruntime": ("net.onnx", {}),
    "onnxruntime, no batches": ("net.onnx", {"rows": 1}),
}
USUAL = ["nncore", "nncore, no batches", "onnxruntime", "onnxruntime, no batches"]
SAMPLES = 64


class Server:
    """The application in some workers, processes of their own."""

    def __init__(self, folder: Path, variant: str, workers: int) -> None:
        file, options = VARIANTS[variant]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        root = str(Path(__file__).parents[1])
        settings = json.dumps([str(folder / file), options])
        self.process = subprocess.Popen(
            [
                sys.executable, str(EXAMPLE / "forked.py"), "benchmarks.serve_app:create",
                "--workers", str(workers), "--port", str(self.port),
            ],
            cwd=root, env=os.environ | {"PYTHONPATH": root, "NNCORE_BENCH_SERVE": settings},
        )  # fmt: skip
        self.times: dict[int, list[float]] = {}  # of each number of clients
        self.seconds: dict[int, float] = {}
        self.answers: list[set[bytes]] = [set() for _ in range(SAMPLES)]

    def wait_until_ready(self) -> None:
        for _ in range(600):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1) as connection,
            ):
                connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                if connection.recv(100).startswith(b"HTTP/1.1 200"):
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"the server on port {self.port} does not answer")


@contextlib.contextmanager
def serving(folder: Path, variants: list[str], workers: int) -> Iterator[dict[str, Server]]:
    """Start all servers; those whose turn it is not do nothing."""
    servers = {variant: Server(folder, variant, workers) for variant in variants}
    try:
        for server in servers.values():
            server.wait_until_ready()
        yield servers
    finally:
        for server in servers.values():
            server.process.terminate()
        for server in servers.values():
            server.process.wait(30)


async def load(server: Server, bodies: list[bytes], clients: int, seconds: float) -> None:
    """Let clients ask for some seconds, and note how long each answer took."""
    from client import NPY, Connection

    times = server.times.setdefault(clients, [])
    ready = asyncio.Barrier(clients)
    end = float("inf")

    async def ask(number: int) -> None:
        nonlocal end
        async with Connection("127.0.0.1", server.port) as connection:
            await connection.post(bodies[0], NPY)
            await ready.wait()
            end = min(end, time.perf_counter() + seconds)
            i = number
            while (began := time.perf_counter()) < end:
                i = (i + 1) % SAMPLES
                status, answer = await connection.post(bodies[i], NPY)
                times.append(time.perf_counter() - began)
                if status != 200:
                    raise RuntimeError(f"{status}: {answer.decode(errors='replace')}")
                server.answers[i].add(answer)

    await asyncio.gather(*map(ask, range(clients)))
    server.seconds[clients] = server.seconds.get(clients, 0) + seconds


def npy(x: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, x)
    return buffer.getvalue()


def check(variant: str, server: Server, wanted: np.ndarray) -> int:
    """Compare all answers with `wanted`; return how many different ones a sample had at most."""
    for answers, y in zip(server.answers, wanted, strict=True):
        for answer in answers:
            if variant.startswith("nncore") and answer != npy(y):
                raise SystemExit(f"{variant}: an answer differs from net(x) in its bits")
            if not np.allclose(np.load(io.BytesIO(answer)), y, rtol=1e-4, atol=1e-6):
                raise SystemExit(f"{variant}: an answer is wrong")
    return max(map(len, server.answers))


def race(name: str, options: argparse.Namespace) -> None:
    """Print the table of one network."""
    import nncore

    net, x = NETS[name], nets.uniform((SAMPLES, NETS[name].sizes[0]), seed=7)
    weights, biases = nets.draw_weights(net)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for peer, batch in (("nncore", 1), ("onnxruntime", "n")):
            peers.get(peer).save(folder, weights, biases, net.activations, batch)
        wanted = nncore.load(folder / "model.npz")(x)
        bodies = [npy(row) for row in x]
        with serving(folder, options.variants, options.workers) as servers:
            for _ in range(options.rounds):
                for clients in options.clients:
                    for server in servers.values():
                        asyncio.run(load(server, bodies, clients, options.seconds))
            different = {v: check(v, server, wanted) for v, server in servers.items()}
    print(f"\n{name}, {options.workers} workers\n")
    print("| clients | served by | answers a second | p50 ms | p99 ms | answers a sample |")
    print("|---:|---|---:|---:|---:|---:|")
    for clients in options.clients:
        for variant, server in servers.items():
            times = server.times[clients]
            p50, p99 = np.percentile(times, [50, 99]) * 1e3
            rate = len(times) / server.seconds[clients]
            print(f"| {clients} | {variant} | {rate:,.0f} | {p50:.2f} | {p99:.2f} "
                  f"| {different[variant]} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=USUAL)
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 16, 256])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long a turn is")
    options = parser.parse_args()
    sys.path.append(str(EXAMPLE))
    for name in options.nets:
        race(name, options)


if __name__ == "__main__":
    main()
