"""Workers behind slow lines: what a line needs time for is recorded, and small jobs flow beside it.

Each worker gives a call two seconds or less without a moving byte, where the bytes need more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from aioq import JobFailed, Queue
from tests import jobs
from tests.conftest import Server
from tests.system.proxy import Proxy
from tests.tools import RunningWorker, eventually

pytestmark = pytest.mark.timeout(90)


@asynccontextmanager
async def worker_behind(proxy: Proxy, *queues: str, patience: float = 2, **options: object):
    url = f"{proxy.url}?socket_timeout={patience}"

    async with RunningWorker(list(queues) or ["default"], connection=url, **options) as worker:
        yield worker


async def latencies(queue: Queue, until: asyncio.Future[object]) -> list[float]:
    """Small jobs, one after the other, until something is done: how long each took."""
    found = []

    while not until.done():
        begun = time.monotonic()
        assert await (await queue.enqueue(jobs.add, 1, 2)).result(timeout=30) == 3
        found.append(time.monotonic() - begun)

    return found


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("count", "size", "rate"),
    [
        pytest.param(60, 300_000, 4_000_000, id="many"),
        pytest.param(15, 1_200_000, 4_000_000, id="many-large"),
        pytest.param(1, 16_000_000, 4_000_000, id="one"),
    ],
)
async def test_results_are_recorded_at_the_speed_of_the_line_and_others_flow(
    server: Server, caplog: pytest.LogCaptureFixture, count: int, size: int, rate: int
) -> None:
    async with (
        Queue("default", server.url) as queue,
        Queue("other", server.url) as other,
        Proxy(server.socket, rate=rate) as proxy,
        worker_behind(proxy, "default", "other"),
    ):
        begun = time.monotonic()
        large = [await queue.enqueue(jobs.many_bytes, size) for _ in range(count)]
        done = asyncio.gather(*(each.result(timeout=60) for each in large))
        small = [max(each) for each in await asyncio.gather(latencies(queue, done), latencies(other, done))]
        assert [len(each) for each in await done] == [size] * count
        took = time.monotonic() - begun

    needed = count * size / rate
    assert needed < took < 2 * needed + 6
    assert max(small) < needed / 2
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_long_errors_are_recorded_in_trips_that_a_line_can_carry(server: Server) -> None:
    async with (
        Queue("default", server.url) as queue,
        Proxy(server.socket, rate=700_000) as proxy,
        worker_behind(proxy, patience=1.5),
    ):
        failing = [await queue.enqueue(jobs.fail_with_many_characters, 40_000) for _ in range(60)]
        found = await asyncio.gather(*(each.result(timeout=60) for each in failing), return_exceptions=True)
        assert all(isinstance(each, JobFailed) for each in found)


async def test_large_payloads_are_claimed_over_a_slow_line(server: Server) -> None:
    """One claim brings all of them: its reply takes three seconds."""
    async with Queue("default", server.url) as queue:
        size = 600_000
        large = [await queue.enqueue(jobs.length, b"x" * size) for _ in range(10)]

        async with Proxy(server.socket, rate=2_000_000) as proxy, worker_behind(proxy, patience=1.5):
            assert await asyncio.gather(*(each.result(timeout=60) for each in large)) == [size] * 10


@pytest.mark.chaos
async def test_a_large_result_whose_connection_dies_half_way_is_sent_again(server: Server) -> None:
    async with Queue("default", server.url) as queue, Proxy(server.socket, rate=2_000_000) as proxy:
        async with worker_behind(proxy):
            large = await queue.enqueue(jobs.many_bytes, 3_000_000)
            result = asyncio.create_task(large.result(timeout=60))

            for _ in range(2):
                await asyncio.sleep(1)
                proxy.reset()

            assert len(await result) == 3_000_000
            assert await (await queue.enqueue(jobs.add, 1, 2)).result(timeout=10) == 3

        await large.refresh()
        assert large.deliveries == 0
        assert large.is_finished


@pytest.mark.chaos
async def test_a_claim_whose_reply_always_dies_on_the_way_is_made_smaller(server: Server) -> None:
    """Each connection ends after a second. In that time a claim of a few jobs comes through, but not of all."""
    async with Queue("default", server.url) as queue:
        large = [await queue.enqueue(jobs.length, b"x" * 600_000) for _ in range(10)]

        async with Proxy(server.socket, rate=2_000_000) as proxy, worker_behind(proxy):

            async def cut_each_second() -> None:
                while True:
                    await asyncio.sleep(1)
                    proxy.reset()

            cutting = asyncio.create_task(cut_each_second())
            assert await asyncio.gather(*(each.result(timeout=60) for each in large)) == [600_000] * 10
            cutting.cancel()


@pytest.mark.parametrize("setting", ["proto-max-bulk-len", "client-query-buffer-limit"])
async def test_a_result_that_the_server_does_not_take_fails_its_job_and_no_other(
    own_server: Callable[..., Server], setting: str
) -> None:
    server = own_server(f"--{setting}", "1mb")

    async with Queue("default", server.tcp_url) as queue:
        async with RunningWorker(["default"], connection=server.tcp_url):
            large = await queue.enqueue(jobs.many_bytes, 5_000_000)
            failure = asyncio.create_task(large.result(timeout=60))

            while not failure.done():
                assert await (await queue.enqueue(jobs.add, 1, 2)).result(timeout=10) == 3

            with pytest.raises(
                JobFailed, match=r"PayloadTooLarge: the result of .* has 5000\d+ bytes, and the server"
            ):
                await failure

        assert await queue.failed_job_registry.count() == 1


@pytest.mark.chaos
async def test_a_job_whose_arguments_the_server_cannot_send_fails_and_no_other(
    own_server: Callable[..., Server],
) -> None:
    """The server ends a connection for which more than 600 kB wait: the reply of the claim never comes."""
    server = own_server("--client-output-buffer-limit", "normal 600kb 600kb 0")

    async with Queue("default", server.tcp_url) as queue:
        large = await queue.enqueue(jobs.length, b"x" * 900_000)
        small = [await queue.enqueue(jobs.add, number, 1) for number in range(5)]

        async with RunningWorker(["default"], connection=server.tcp_url):
            with pytest.raises(JobFailed, match=r"PayloadTooLarge: the arguments have 9\d+ bytes"):
                await large.result(timeout=60)

            assert await asyncio.gather(*(each.result(timeout=30) for each in small)) == [1, 2, 3, 4, 5]


async def test_a_stop_delivers_what_the_line_carries_within_the_shutdown_timeout(server: Server) -> None:
    async with Queue("default", server.url) as queue, Proxy(server.socket, rate=3_000_000) as proxy:
        async with worker_behind(proxy, shutdown_timeout=30) as running:
            large = [await queue.enqueue(jobs.many_bytes, 1_500_000) for _ in range(6)]
            slots = running.worker._service.slots
            await eventually(lambda: slots.ended + len(slots.held) >= 6)  # what has not begun would go back
            await eventually(lambda: len(running.worker._service.courier._outcomes.large.waiting) > 1)
            running.worker.request_stop()
            await running.task

        for each in large:
            await each.refresh()
            assert each.is_finished
