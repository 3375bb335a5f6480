"""A claim that was given up, and is carried out later all the same, takes no job with it."""

from __future__ import annotations

import asyncio

from aioq.store import Connection, Store
from aioq.store.scripts import server_scripts
from aioq.values.errors import ServerUnreachable
from aioq.values.record import JobRecord
from aioq.values.submission import Submission
from tests.tools import eventually
from tests.worker.parts import courier_of


class Slow(Connection):
    """A connection that loses its first claim on the way; the test lets it arrive later."""

    lost: list[tuple] | None = None

    async def calls(self, commands, **options):
        if self.lost is None and commands[-1][1] == server_scripts()["claim"].sha:
            self.lost = list(commands)
            raise ServerUnreachable("the claim was delayed")

        return await super().calls(commands, **options)


async def test_a_claim_that_arrives_after_the_worker_has_given_it_up_takes_nothing(server) -> None:
    connection, other = Slow(server.url), Connection(server.url)
    store = Store(connection, "default")
    await store.duty.join("w", 7_000)
    courier, demand, *_ = courier_of(connection, [store])
    running = asyncio.create_task(courier.run())
    await eventually(lambda: connection.lost is not None)
    await eventually(demand.idle.is_set)

    await store.producing.enqueue(Submission(JobRecord("a", {b"func": b"tests.jobs.noop"})))
    (reply,) = await other.calls(connection.lost)
    assert store.duty.read_claims(reply, "w").verdict == "missing"

    demand.expect_jobs()
    await eventually(lambda: demand.claimed == 1)
    demand.stop()
    await running
    assert (await store.reads.load(["a"]))[0].status == "finished"
    await store.duty.leave("w")
    await connection.aclose()
    await other.aclose()
