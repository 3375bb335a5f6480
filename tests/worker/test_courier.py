"""The courier's loop: outcomes and claims share a round trip, two are under way at the most, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aioq import ServerError, get_current_job
from aioq.errors import ServerUnreachable
from aioq.store import Connection, Store
from aioq.store.scripts import server_scripts
from aioq.values.record import JobRecord
from aioq.values.submission import Submission
from aioq.worker.courier import ROUND_TRIPS_AT_ONCE
from aioq.worker.demand import Limits
from tests.conftest import Server
from tests.tools import eventually
from tests.worker.parts import LEASE_MS, Parts, courier_of


class Line(Connection):
    """A connection that notes its round trips, and on which a test can hold or break one.

    The hooks `before` and `after` are called with the names of the scripts, and with the queue.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent: list[list[str]] = []
        self.under_way = self.most_under_way = 0
        self.before: Callable[[list[str], str], Any] | None = None
        self.after: Callable[[list[str], str], Any] | None = None

    async def calls(self, commands: Any, **options: Any) -> Any:
        names = [_NAMES.get(command[1] if len(command) > 1 else "", command[0]) for command in commands]
        queue = "".join(map(str, commands[0])).partition("{")[2].partition("}")[0]
        self.sent.append(names)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)

        try:
            if self.before is not None:
                await self.before(names, queue)

            replies = await super().calls(commands, **options)

            if self.after is not None:
                await self.after(names, queue)

            return replies
        finally:
            self.under_way -= 1


_NAMES: dict[Any, str] = {server_scripts()[name].sha: name for name in ("claim", "finish", "reclaim", "holders")}


@pytest.fixture
async def line(server: Server) -> AsyncIterator[Line]:
    line = Line(server.url)

    yield line

    await line.aclose()


@pytest.fixture
async def stores(line: Line) -> AsyncIterator[list[Store]]:
    """Two queues on which the worker has a lease."""
    stores = [Store(line, name) for name in ("first", "second")]

    for store in stores:
        await store.duty.join("w", LEASE_MS)

    yield stores

    for store in stores:
        await store.duty.leave("w")


async def forever() -> None:
    await asyncio.Event().wait()


async def uneven() -> None:
    """Of four jobs that begin together, two end soon and two later."""
    await asyncio.sleep(0.001 if int(get_current_job().id) % 2 else 0.01)


async def enqueue(store: Store, *ids: str, func: bytes = b"tests.jobs.noop") -> None:
    for job_id in ids:
        await store.producing.enqueue(Submission(JobRecord(job_id, {b"func": func})))


async def status(store: Store, *ids: str) -> list[Any]:
    return [record and record.status for record in await store.reads.load(list(ids))]


async def finished(parts: Parts, count: int) -> None:
    """Run until so many jobs have finished, then stop in order."""
    running = asyncio.create_task(parts.courier.run())
    await eventually(lambda: parts.slots.successful == count)
    parts.demand.stop()
    await asyncio.wait_for(running, 10)


async def test_outcomes_and_claims_go_in_one_round_trip(line: Line, stores: list[Store]) -> None:
    await enqueue(stores[0], "a", "b", "c")
    parts = courier_of(line, stores[:1], concurrency=1)
    await finished(parts, 3)
    assert [names for names in line.sent if "claim" in names][:4] == [
        ["claim"],
        ["finish", "claim"],
        ["finish", "claim"],
        ["finish", "claim"],
    ]


async def test_all_that_has_ended_meanwhile_goes_with_the_next_round_trip(line: Line, stores: list[Store]) -> None:
    ids = [str(number) for number in range(8)]
    await enqueue(stores[0], *ids)
    parts = courier_of(line, stores[:1], Limits(jobs_left=8))
    await asyncio.wait_for(parts.courier.run(), 10)
    assert sum(names.count("finish") for names in line.sent) < 4
    assert await status(stores[0], *ids) == ["finished"] * 8


async def test_two_round_trips_are_under_way_at_the_most(line: Line, stores: list[Store]) -> None:
    ids = [str(number) for number in range(60)]
    await enqueue(stores[0], *ids, func=b"tests.worker.test_courier.uneven")
    parts = courier_of(line, stores[:1], concurrency=4)

    async def slow(*_: object) -> None:
        await asyncio.sleep(0.02)

    line.before = line.after = slow
    await finished(parts, 60)
    assert line.most_under_way == ROUND_TRIPS_AT_ONCE == 2


async def test_an_idle_worker_sends_nothing_until_it_is_told(line: Line, stores: list[Store]) -> None:
    parts = courier_of(line, stores)
    running = asyncio.create_task(parts.courier.run())
    await asyncio.wait_for(parts.demand.idle.wait(), 5)
    await enqueue(stores[1], "a")
    await asyncio.sleep(0.05)
    assert line.sent.count(["claim"]) == 2, "it has asked each of its queues once"
    parts.demand.expect_jobs()
    await eventually(lambda: parts.slots.successful == 1)
    parts.demand.stop()
    await running
    assert await status(stores[1], "a") == ["finished"]


async def test_the_second_queue_is_asked_for_what_the_first_one_has_not(line: Line, stores: list[Store]) -> None:
    await enqueue(stores[0], "a", "b", "c")
    await enqueue(stores[1], "d", "e", "f")
    came: list[str] = []
    parts = courier_of(
        line, stores, Limits(jobs_left=4), received=lambda runs: came.extend(run.id for run in runs)
    )
    await asyncio.wait_for(parts.courier.run(), 10)
    assert came == ["a", "b", "c", "d"]
    assert await status(stores[1], "d", "e", "f") == ["finished", "queued", "queued"]
    await stores[1].changes.delete("e")
    await stores[1].changes.delete("f")


async def test_after_a_lost_reply_outcomes_are_recorded_and_unknown_claims_go_back(
    line: Line, stores: list[Store]
) -> None:
    await enqueue(stores[0], "a", "b")
    parts = courier_of(line, stores[:1], concurrency=1)
    lost: list[list[str]] = []

    async def lose(names: list[str], _: str) -> None:
        if names == ["finish", "claim"] and not lost:
            lost.append(names)
            raise ServerUnreachable("the reply was lost")

    line.after = lose
    await finished(parts, 2)
    assert lost
    records = await stores[0].reads.load(["a", "b"])
    assert [record and record.status for record in records] == ["finished"] * 2
    assert [record and record.fence for record in records] == [1, 2], (
        "b was claimed twice, once without its knowing"
    )


async def test_jobs_of_a_claim_that_a_stop_overtakes_go_back(line: Line, stores: list[Store]) -> None:
    parts = courier_of(line, stores[:1])
    await enqueue(stores[0], "a", "b")

    async def stop(names: list[str], queue: str) -> None:
        if "claim" in names:
            parts.demand.stop()  # the jobs are claimed, and the reply is on its way

    line.after = stop
    await asyncio.wait_for(parts.courier.run(), 10)
    assert await status(stores[0], "a", "b") == ["queued", "queued"]
    assert parts.slots.successful == 0


async def test_a_queue_that_refuses_holds_up_no_other(line: Line, stores: list[Store]) -> None:
    first, second = stores
    await enqueue(first, "a")
    await enqueue(second, "b")
    parts = courier_of(line, stores)
    refuses = True

    async def refuse(names: list[str], queue: str) -> None:
        if refuses and queue == "first":
            raise ServerError("no")

    line.before = refuse
    running = asyncio.create_task(parts.courier.run())
    await eventually(lambda: parts.slots.successful == 1)
    assert await status(second, "b") == ["finished"]
    await eventually(lambda: parts.routes[0].refusals > 1)
    refuses = False
    await eventually(lambda: parts.slots.successful == 2)
    parts.demand.stop()
    await running
    assert (parts.routes[0].refusals, parts.routes[0].is_aside) == (0, False)


async def test_a_worker_without_a_lease_joins_again_and_ends_runs_that_have_lost_their_claim(
    line: Line, stores: list[Store]
) -> None:
    await enqueue(stores[0], "a", func=b"tests.worker.test_courier.forever")
    lapsed: list[object] = []
    parts = courier_of(line, stores[:1], lapsed=lapsed.append)
    running = asyncio.create_task(parts.courier.run())
    await eventually(lambda: parts.slots.running == 1)
    await stores[0].changes.stop("a")
    await stores[0].duty.leave("w")
    parts.demand.expect_jobs()
    await eventually(lambda: not parts.slots.held)
    assert lapsed == parts.routes
    await enqueue(stores[0], "b")
    parts.demand.expect_jobs()
    await eventually(lambda: parts.slots.successful == 1)
    parts.demand.stop()
    await running


async def test_a_burst_is_done_when_its_queues_are_empty(line: Line, stores: list[Store]) -> None:
    await enqueue(stores[1], "a", "b")
    parts = courier_of(line, stores, Limits(burst=True))
    await asyncio.wait_for(parts.courier.run(), 10)
    assert parts.demand.claimed == 2
    assert any(names == ["claim", "holders"] for names in line.sent)
    assert await status(stores[1], "a", "b") == ["finished"] * 2


async def test_a_queue_that_is_barred_is_not_asked(line: Line, stores: list[Store]) -> None:
    await enqueue(stores[0], "a")
    await enqueue(stores[1], "b")
    parts = courier_of(line, stores)
    parts.routes[0].is_barred = True
    running = asyncio.create_task(parts.courier.run())
    await eventually(lambda: parts.slots.successful == 1)
    await asyncio.wait_for(parts.demand.idle.wait(), 5)
    assert await status(stores[0], "a") == ["queued"]
    parts.routes[0].is_barred = False
    parts.demand.expect_jobs()
    await eventually(lambda: parts.slots.successful == 2)
    parts.demand.stop()
    await running
