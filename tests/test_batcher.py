"""examples/serve/batcher.py: the answers of net(x), whoever else is asking at the same time."""

from __future__ import annotations

import asyncio
import sys
import threading

import numpy as np
import pytest
from pages import EXAMPLES

import nncore

sys.path.append(str(EXAMPLES / "serve"))

from batcher import Batcher


@pytest.fixture(scope="module")
def net():
    return nncore.Network([nncore.Dense(20, 30, "tanh"), nncore.Dense(30, 4, "softmax")], seed=0)


@pytest.fixture(params=[True, False], ids=["in the event loop", "in a thread"])
def inline(request):
    return request.param


def ask(net, requests, **options):
    """The answers, errors included, and how many batches there were."""

    async def all_at_once():
        batcher = Batcher(net, **options)
        answers = await asyncio.gather(*map(batcher, requests), return_exceptions=True)
        await batcher.close()
        return answers, batcher.batches

    return asyncio.run(asyncio.wait_for(all_at_once(), 60))


def test_answers_are_those_of_the_network_alone_bit_for_bit(net, inline):
    rng = np.random.default_rng(1)
    dtypes = [np.float64, np.float32, np.float16, np.uint8, np.int32, np.bool_, np.int64]
    shapes = [(20,), (1, 20), (3, 20), (0, 20), (100, 20)]
    requests = [
        (rng.standard_normal(shape) * 100).astype(dtype) for shape in shapes for dtype in dtypes * 5
    ]
    order = rng.permutation(len(requests))
    requests = [requests[i] for i in order]
    answers, batches = ask(net, requests, inline=inline)
    assert 0 < batches < len(requests) / 2
    for x, y in zip(requests, answers, strict=True):
        wanted = net(x)
        assert (y.shape, y.dtype) == (wanted.shape, wanted.dtype)
        assert y.tobytes() == wanted.tobytes()


def test_a_request_that_is_wrong_harms_no_other(net, inline):
    x = np.arange(20.0)
    answers, batches = ask(net, [x, x[:19], x, [[1], [1, 2]], "no", x.astype(str)], inline=inline)
    assert batches == 1
    assert answers[0].tobytes() == answers[2].tobytes() == net(x).tobytes()
    assert str(answers[1]) == "x has 19 features, this network takes 20"
    assert [type(answer) for answer in answers[3:]] == [ValueError, TypeError, TypeError]


def test_an_error_of_the_network_reaches_all_who_are_waiting(net, inline):
    class Broken:
        in_features = 20

        def __call__(self, x):
            raise RuntimeError("out of order")

    answers, batches = ask(Broken(), [np.zeros(20)] * 3, inline=inline)
    assert batches == 1
    assert [str(answer) for answer in answers] == ["out of order"] * 3


def test_full_batches_go_at_once_and_others_after_a_while(net, inline):
    x = np.zeros(20)
    answers, batches = ask(net, [x] * 10, rows=4, wait=0.05, inline=inline)
    assert batches == 3
    assert len(answers) == 10


def test_what_comes_while_a_batch_runs_is_the_next_batch(net):
    entered, leave = threading.Event(), threading.Event()

    class Slow:
        in_features = 20

        def __call__(self, x):
            entered.set()
            assert leave.wait(30)
            return net(x)

    async def ask_in_turn():
        batcher = Batcher(Slow(), inline=False)
        first = asyncio.ensure_future(batcher(np.ones(20)))
        await asyncio.get_running_loop().run_in_executor(None, entered.wait)
        others = [asyncio.ensure_future(batcher(np.full(20, float(i)))) for i in range(100)]
        await asyncio.sleep(0.05)
        assert not first.done()
        leave.set()
        answers = await asyncio.gather(first, *others)
        await batcher.close()
        return answers, batcher.batches

    (_, *others), batches = asyncio.run(asyncio.wait_for(ask_in_turn(), 60))
    assert batches == 1 + 2  # 64 rows, and 36
    assert all(y.tobytes() == net(np.full(20, float(i))).tobytes() for i, y in enumerate(others))


def test_those_who_hang_up_are_left_out(net, inline):
    async def hang_up():
        batcher = Batcher(net, wait=0.02, inline=inline)
        x = np.arange(20.0)
        first, second = (asyncio.ensure_future(batcher(x * i)) for i in (1, 2))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).tobytes() == net(x * 2).tobytes()
        third = asyncio.ensure_future(batcher(x))
        await asyncio.sleep(0)
        third.cancel()
        await asyncio.sleep(0.05)
        await batcher.close()
        return batcher.batches

    assert asyncio.run(hang_up()) == 1


def test_close_answers_those_who_wait(net, inline):
    async def close():
        batcher = Batcher(net, wait=1000.0, inline=inline)
        answer = asyncio.ensure_future(batcher(np.ones(20)))
        await asyncio.sleep(0)
        await batcher.close()
        return await asyncio.wait_for(answer, 5)

    assert asyncio.run(close()).tobytes() == net(np.ones(20)).tobytes()


def test_small_networks_run_in_the_event_loop(net):
    large = nncore.Network([nncore.Dense(2000, 4000), nncore.Dense(4000, 1000)], seed=0)
    assert Batcher(net).inline
    assert not Batcher(large).inline
