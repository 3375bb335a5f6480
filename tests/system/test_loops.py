"""One Queue in several event loops and forked children, where sentinels, a Cluster or TLS lead to the server."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

import pytest

from aioq import Queue
from tests import jobs
from tests.servers.cluster import ClusterOfSix
from tests.servers.sentinel import SentinelTrio
from tests.servers.tls import lacking
from tests.tools import RunningWorker

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(120),
    # Python 3.12 and later warn of every fork beside threads, which is what is done here.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
    # A question to a sentinel is cancelled once most have answered. If that comes in the first moment of TLS,
    # asyncio (SSLProtocol._start_shutdown in the state UNWRAPPED) closes the socket only when it is collected.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture(params=["sentinels", "cluster", "tls"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "tls" and (why := lacking()):
        pytest.skip(why)

    async with AsyncExitStack() as stack:
        if request.param == "cluster":
            yield (await stack.enter_async_context(ClusterOfSix())).url()
        else:
            yield (await stack.enter_async_context(SentinelTrio(tls=request.param == "tls"))).url()


async def test_loops_threads_and_forks(url: str) -> None:
    queue = Queue("default", url)

    async def use(number: int) -> int:
        made = await asyncio.gather(*(queue.enqueue(jobs.add, number, at) for at in range(10)))
        assert await asyncio.gather(*(job.result(timeout=30) for job in made)) == [number + at for at in range(10)]
        later = await queue.enqueue_in(600, jobs.add, 1, 1)
        assert later.id in await queue.scheduled_job_registry.job_ids()
        await later.delete()
        return number

    def view(number: int) -> int:
        return sum(asyncio.run(use(number)) for _ in range(2))

    def closed_at_once(_: int) -> None:
        """An event loop that is closed without asyncgens being shut down: its socket is closed by the next one."""
        loop = asyncio.new_event_loop()
        loop.run_until_complete(queue.count())
        loop.close()

    def fork(_: int) -> int:
        pid = os.fork()

        if pid == 0:
            try:
                asyncio.run(asyncio.wait_for(use(100), 40))
                os._exit(0)
            finally:
                os._exit(1)

        return os.waitpid(pid, 0)[1]

    async with RunningWorker(["default"], connection=url):
        with ThreadPoolExecutor(4) as pool:
            loop = asyncio.get_running_loop()
            here = asyncio.create_task(use(7))
            found = await asyncio.gather(*(loop.run_in_executor(pool, view, number) for number in range(4)))
            assert found == [0, 2, 4, 6]
            assert await here == 7

            # A transport of TLS that nobody has shut down may be collected before its socket is closed.
            for _ in range(0 if url.startswith("rediss") else 2):
                await loop.run_in_executor(pool, closed_at_once, 0)

            assert await loop.run_in_executor(pool, fork, 0) == 0
            assert await use(8) == 8

    await queue.aclose()
    gc.collect()
