from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from aioq import Connection, Queue
from aioq.errors import ServerUnreachable
from aioq.pool import reports
from aioq.pool.reports import Reports
from tests import jobs
from tests.store.tools import LEASE, claim


async def test_a_report_gives_the_jobs_of_all_queues_back_and_takes_the_worker_off_the_list(
    queue: Queue, raw: redis.Redis, server: Any
) -> None:
    mail = Queue("mail", queue.connection)
    made = [await each.enqueue(jobs.noop) for each in (queue, mail)]
    raw.sadd("aioq:workers", "w1", "w2")

    for each in (queue, mail):
        await each.store.duty.join("w1", LEASE)
        assert len((await claim(each.store)).jobs) == 1

    found = Reports(lambda: Connection(server.url), ["default", "mail"])
    found.put("w1")
    await found.finish(10)

    for job in made:
        await job.refresh()
        assert (job.is_queued, job.deliveries) == (True, 1)

    assert raw.smembers("aioq:workers") == {"w2"}
    assert raw.zrange("aioq:{default}:leases", 0, -1) == []
    await mail.delete()
    await queue.delete()


async def test_nothing_is_connected_while_nobody_dies() -> None:
    def connect() -> Connection:
        raise AssertionError("nobody has died")

    await Reports(connect, ["default"]).finish(1)


async def test_a_server_that_is_away_is_asked_again_and_at_last_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reports, "FIRST_PAUSE_S", 0)
    asked: list[str] = []

    async def tell(self: Reports, worker: str) -> None:
        asked.append(worker)

        if worker == "w1" or len(asked) < 10:
            raise ServerUnreachable("it is away")

    monkeypatch.setattr(Reports, "_tell", tell)
    found = Reports(lambda: Connection("redis://127.0.0.1:1"), ["default"])
    found.put("w1")
    await found.finish(10)
    found.put("w2")
    await found.finish(10)
    assert asked == ["w1"] * reports.ATTEMPTS + ["w2"] * 4
    assert caplog.text.count("could not be reported; its lease ends: it is away") == 1


async def test_the_end_is_in_time_where_one_server_answers_and_another_is_silent(
    monkeypatch: pytest.MonkeyPatch, queue: Queue, server: Any
) -> None:
    async def be_silent(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(reports, "reclaim_all", be_silent)
    found = Reports(lambda: Connection(server.url), [queue.name])
    found.put("w1")
    await asyncio.wait_for(found.finish(0.2), 10)  # a CancelledError would leave it
