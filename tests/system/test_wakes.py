"""An idle worker hears of a job at whatever moment it is enqueued."""

from __future__ import annotations

import asyncio

from aioq import Queue
from aioq.store import Connection, Store
from aioq.store.scripts import server_scripts
from aioq.values.record import JobRecord
from aioq.values.submission import Submission
from aioq.worker.demand import Limits
from tests import jobs
from tests.worker.parts import courier_of


class Busy(Connection):
    """A connection on which something happens while the reply of a claim is on its way back."""

    meanwhile = None

    async def calls(self, commands, **options):
        replies = await super().calls(commands, **options)
        if self.meanwhile is not None and commands[-1][1] == server_scripts()["claim"].sha:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return replies


async def test_a_token_that_comes_during_a_claim_is_not_forgotten(server) -> None:
    connection = Busy(server.url)
    store = Store(connection, "default")
    await store.duty.join("w", 7_000)
    courier, demand, *_ = courier_of(connection, [store], Limits(jobs_left=1))

    async def token() -> None:
        await store.producing.enqueue(Submission(JobRecord("late", {b"func": b"tests.jobs.noop"})))
        demand.expect_jobs()

    connection.meanwhile = token
    async with asyncio.timeout(5):
        await courier.run()
    assert (await store.reads.load(["late"]))[0].status == "finished"
    await store.duty.leave("w")
    await connection.aclose()


async def test_a_thousand_jobs_one_by_one_never_wait_for_a_poll(queue: Queue, start_worker) -> None:
    await start_worker()
    for number in range(1000):
        job = await queue.enqueue(jobs.add_sync if number % 2 else jobs.add, number, 1)
        assert await job.result(timeout=5) == number + 1
