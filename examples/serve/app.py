"""A network behind an ASGI endpoint:  uvicorn app:create --factory --workers 2

NNCORE_MODEL names the network's file. Without it, nncore's own digits network answers.

POST /predict  {"x": [...]}, one sample or several, gives {"outputs": ...}, the bits of net(x);
               the bytes of an .npy file (application/x-npy) give those of another one
GET /health    what is being served
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from batcher import Batcher
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import nncore

NPY = "application/x-npy"
LONGEST_BODY = 16 * 2**20


class Refused(Exception):
    """A request that gets no answer, the HTTP status, and why."""

    def __init__(self, status: int, why: object) -> None:
        super().__init__(str(why))
        self.status = status


async def body_of(request: Request) -> bytes:
    """Read the body, but no more than is allowed."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_BODY:
                raise Refused(413, f"the body has more than {LONGEST_BODY:,} bytes")
    except ClientDisconnect as error:
        raise Refused(400, "the body ended early") from error
    return bytes(body)


def from_npy(body: bytes) -> np.ndarray:
    try:
        return np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    except Exception as error:  # what NumPy raises for a header that is none differs by version
        why = "the body is not the content of an .npy file of numbers"
        raise Refused(400, f"{why}: {error}" if type(error) is ValueError else why) from error


def from_json(body: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise Refused(400, f"x has {constant}, expected numbers")

    try:
        content = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(content, dict) or "x" not in content:
        raise Refused(400, 'the body is JSON without "x", expected {"x": [...]}')
    try:
        x = np.asarray(content["x"])
    except ValueError:
        return content["x"]  # a ragged list, of which nncore says what is wrong with it
    # The numbers of JSON are doubles. Whatever else this is, nncore says so.
    return x.astype(np.float64) if x.dtype.kind in "iuf" else x


def to_npy(y: np.ndarray) -> Response:
    buffer = io.BytesIO()
    np.save(buffer, y)
    return Response(buffer.getvalue(), media_type=NPY)


def make_app(net: Any, **options: Any) -> Starlette:
    """Make the application for a network; the options are those of the batcher."""
    batcher = Batcher(net, **options)

    async def predict(request: Request) -> Response:
        binary = request.headers.get("content-type") == NPY
        try:
            body = await body_of(request)
            try:
                y = await batcher(from_npy(body) if binary else from_json(body))
            except (TypeError, ValueError) as error:  # nncore names what came and what it expected
                raise Refused(400, error) from error
            if not binary and not np.isfinite(y).all():
                raise Refused(400, "outputs are infinite or NaN, which JSON cannot say")
        except Refused as error:
            return JSONResponse({"error": str(error)}, status_code=error.status)
        return to_npy(y) if binary else JSONResponse({"outputs": y.tolist()})

    async def health(request: Request) -> Response:
        status = {
            "status": "ok", "process": os.getpid(), "threads": nncore.get_num_threads(),
            "in_features": net.in_features, "inline": batcher.inline, "batches": batcher.batches,
        }  # fmt: skip
        return JSONResponse(status)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await batcher.close()  # the server has stopped listening: answer what has come

    routes = [
        Route("/predict", predict, methods=["POST"]),
        Route("/health", health, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def create() -> Starlette:
    """Make the application that the environment describes."""
    if "NNCORE_NUM_THREADS" not in os.environ:
        nncore.set_num_threads(1)  # the server has a worker for each CPU
    path = os.environ.get("NNCORE_MODEL")
    return make_app(nncore.load(path) if path else nncore.load_pretrained("digits"))
