"""The queue as a whole: what waits in it, emptying and deleting it, pausing it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from aioq import Connection, InvalidInput, JobStatus, Queue, ServerError
from aioq.errors import ServerUnreachable
from tests import jobs
from tests.client.work import gates, hold, note, note_and_fail, notes
from tests.conftest import Server, port_of_nobody
from tests.tools import eventually


async def test_a_new_queue_is_empty_and_leaves_no_trace(queue: Queue, raw: redis.Redis) -> None:
    assert await queue.count() == 0
    assert await queue.is_empty()
    assert await queue.job_ids() == []
    assert await queue.jobs() == []
    assert await queue.fetch_job("nope") is None
    assert not await queue.is_paused()
    assert await queue.empty() == 0
    assert await Queue.all(queue.connection) == []
    assert raw.keys() == []


async def test_only_what_waits_to_be_claimed_counts(queue: Queue, start_worker, burst, key: str) -> None:
    await queue.enqueue(jobs.div_by_zero, 1)
    await queue.enqueue(jobs.noop)
    await burst()
    await start_worker(concurrency=1)
    await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    await queue.enqueue_in(60, jobs.noop)
    expired = await queue.enqueue(jobs.noop, ttl=0.02)
    canceled = await queue.enqueue(jobs.noop)
    await canceled.cancel()
    waiting = [await queue.enqueue(jobs.noop, at_front=front) for front in (False, True)]
    await eventually(lambda: _is(expired, "expired"))
    assert await queue.count() == 2
    assert not await queue.is_empty()
    assert await queue.job_ids() == [waiting[1].id, waiting[0].id]
    assert await queue.jobs() == waiting[::-1]
    assert [job.status for job in await queue.jobs()] == ["queued", "queued"]


async def _is(job: Any, state: str) -> bool:
    return await job.get_status() == state


async def test_ids_are_listed_in_the_order_of_the_claims_and_in_parts(queue: Queue) -> None:
    back = [await queue.enqueue(jobs.noop) for _ in range(4)]
    front = [await queue.enqueue(jobs.noop, at_front=True) for _ in range(3)]
    ids = [job.id for job in front + back]
    assert await queue.job_ids() == ids
    assert await queue.job_ids(2, 3) == ids[2:5]
    assert await queue.job_ids(6) == ids[6:]
    assert await queue.job_ids(7) == []
    assert await queue.job_ids(0, 0) == []
    assert await queue.job_ids(desc=True) == ids[::-1]
    assert await queue.job_ids(1, 3, desc=True) == ids[::-1][1:4]
    assert [job.id for job in await queue.jobs(2, limit=-1, desc=True)] == ids[::-1][2:]
    assert [job.id for job in await queue.jobs(1, 2)] == ids[1:3]
    for position, job in enumerate(front + back):
        assert await job.get_position() == position


async def test_the_position_moves_as_jobs_leave(queue: Queue, start_worker, key: str) -> None:
    await queue.pause()
    running, first, second = [await queue.enqueue(hold, key) for _ in range(3)]
    assert await second.get_position() == 2
    await start_worker(concurrency=1)
    await queue.resume()
    await eventually(lambda: notes[key])
    assert [await job.get_position() for job in (running, first, second)] == [None, 0, 1]
    await first.cancel()
    assert [await job.get_position() for job in (first, second)] == [None, 0]
    await second.delete()
    assert await second.get_position() is None


async def test_the_position_in_a_long_queue(queue: Queue) -> None:
    made = await queue.enqueue_many(Queue.prepare_data(jobs.noop) for _ in range(2500))
    assert [await made[number].get_position() for number in (0, 999, 1000, 2499)] == [0, 999, 1000, 2499]
    other = await queue.enqueue_in(60, jobs.noop)
    assert await other.get_position() is None


async def test_a_queue_is_emptied_of_what_waits(queue: Queue, start_worker, raw: redis.Redis, key: str) -> None:
    await start_worker(concurrency=1)
    failed = await queue.enqueue(note_and_fail, key)
    await eventually(lambda: _is(failed, "failed"))
    running = await queue.enqueue(hold, f"{key}-2")
    await eventually(lambda: notes[f"{key}-2"])
    scheduled = await queue.enqueue_in(60, jobs.noop)
    waiting = await queue.enqueue_many(
        [Queue.prepare_data(jobs.noop, at_front=number % 2 == 0, ttl=60) for number in range(1200)]
    )
    assert await queue.empty() == 1200
    assert await queue.count() == 0
    assert await queue.empty() == 0
    assert await queue.fetch_many([waiting[0].id, waiting[-1].id]) == [None, None]
    assert len(raw.keys("*:job:*")) == 3
    assert raw.zcard("aioq:{default}:expiring") == 0
    assert [await job.get_status() for job in (failed, running, scheduled)] == ["failed", "started", "scheduled"]
    gates[f"{key}-2"].set()
    assert await running.result(5) == f"{key}-2"


def is_brief(key: str) -> bool:
    """A token, or what answers a call that is sent again: it goes by itself within minutes."""
    return key.endswith(":wake") or any(f":{name}:" in key for name in ("gone", "done", "tallied"))


async def test_a_queue_is_deleted_with_all_its_jobs(
    queue: Queue, start_worker, raw: redis.Redis, key: str
) -> None:
    running = await start_worker()
    await queue.enqueue(note_and_fail, key, retry=1, failure_ttl=-1)
    await queue.enqueue(note, key, result_ttl=-1)
    await eventually(lambda: len(notes[key]) == 3)
    held = await queue.enqueue(hold, f"{key}-2")
    await eventually(lambda: notes[f"{key}-2"])
    await queue.pause()
    await queue.enqueue_in(60, jobs.noop)
    await queue.enqueue(jobs.noop, at_front=True)
    await (await queue.enqueue(jobs.noop)).cancel()
    expired = await queue.enqueue(jobs.noop, ttl=0.02)
    await eventually(lambda: _is(expired, "expired"))

    assert await queue.delete() == 7
    await eventually(lambda: notes[f"{key}-2"][-1] == "canceled")
    assert await queue.fetch_job(held.id) is None
    assert await Queue.all(queue.connection) == []
    assert raw.keys("*:job:*") + raw.keys("*:attempts:*") == []
    running.worker.request_stop()
    await running.task
    assert await queue.delete() == 0
    assert [name for name in raw.keys("*{default}*") if not is_brief(name)] == []


async def test_a_queue_without_a_worker_is_deleted_without_a_trace(queue: Queue, raw: redis.Redis) -> None:
    await queue.enqueue(jobs.noop)
    await queue.enqueue(jobs.noop, at_front=True, ttl=60)
    await queue.enqueue_in(60, jobs.noop)
    expired = await queue.enqueue(jobs.noop, ttl=0.02)
    await eventually(lambda: _is(expired, "expired"))
    await queue.pause()
    assert await queue.delete() == 4
    assert [name for name in raw.keys("*") if not is_brief(name)] == []


async def test_a_deleted_queue_can_be_used_again(queue: Queue, start_worker) -> None:
    await start_worker()
    await (await queue.enqueue(jobs.noop)).result(5)
    await queue.pause()
    await queue.delete()
    assert not await queue.is_paused()
    job = await queue.enqueue(jobs.add, 1, 2)
    assert await job.result(5) == 3
    assert [each.name for each in await Queue.all(queue.connection)] == ["default"]


async def test_a_paused_queue_is_not_served_until_it_is_resumed(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    await queue.pause()
    assert await queue.is_paused()
    job = await queue.enqueue(note, key)
    scheduled = await queue.enqueue_in(0.01, note, key)
    with pytest.raises(TimeoutError):
        await job.result(0.2)
    assert notes[key] == []
    assert await queue.count() == 1
    begun = time.monotonic()
    await queue.resume()
    await job.result(5)
    await scheduled.result(5)
    assert time.monotonic() - begun < 0.9, "not only when the worker looks again"
    assert not await queue.is_paused()
    await queue.resume()  # again: nothing happens


async def test_what_runs_when_a_queue_is_paused_goes_on(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    await queue.pause()
    gates[key].set()
    assert await job.result(5) == key


async def test_a_pause_may_end_by_itself(queue: Queue, start_worker, key: str, raw: redis.Redis) -> None:
    await start_worker()
    await queue.pause(0.2)
    assert 0 < raw.pttl("aioq:{default}:paused") <= 200
    job = await queue.enqueue(note, key)
    assert await job.result(5) is None
    assert not await queue.is_paused()


@pytest.mark.parametrize("duration", [0, -1, "x", True])
async def test_a_pause_that_cannot_be_is_refused(queue: Queue, raw: redis.Redis, duration: Any) -> None:
    with pytest.raises((InvalidInput, TypeError), match="duration"):
        await queue.pause(duration)
    assert raw.keys() == []


async def test_another_queue_is_not_paused(queue: Queue, server: Server, start_worker) -> None:
    async with Queue("other", server.url) as other:
        await start_worker("default", "other")
        await queue.pause()
        paused = await queue.enqueue(jobs.noop)
        assert await (await other.enqueue(jobs.add, 1, 2)).result(5) == 3
        assert await paused.get_status() == JobStatus.QUEUED


async def test_all_queues_are_found_by_name(queue: Queue, connection: Connection, server: Server) -> None:
    for name in ("b", "a", "c:d/e@f.g+h-i_j"):
        await Queue(name, connection).enqueue(jobs.noop)
    found = await Queue.all(connection)
    assert [each.name for each in found] == ["a", "b", "c:d/e@f.g+h-i_j"]
    assert [await each.count() for each in found] == [1, 1, 1]
    await found[0].empty()
    assert len(await Queue.all(connection)) == 3, "an empty queue is still one"

    by_url = await Queue.all(server.url)
    assert by_url == found
    assert await by_url[1].count() == 1
    await by_url[0].aclose()
    assert await by_url[1].count() == 1, "closing one of them does not close the others"
    for each in by_url:
        await each.aclose()


async def test_finding_no_queue_leaves_no_connection_open(server: Server, raw: redis.Redis) -> None:
    before = len(raw.client_list())
    assert await Queue.all(server.url) == []
    await eventually(lambda: len(raw.client_list()) <= before)


async def test_queues_are_equal_by_name_and_prefix(server: Server, connection: Connection) -> None:
    async with (
        Queue("a", server.url) as first,
        Queue("a", connection) as second,
        Queue("b", server.url) as third,
        Queue("a", server.url, prefix="other") as fourth,
    ):
        assert first == second
        assert hash(first) == hash(second)
        assert len({first, second, third, fourth}) == 3
        assert first != third
        assert first != fourth
        assert first != "a"
        assert (first == 5) is False
        assert repr(first) == "<Queue a>"


async def test_queues_with_other_prefixes_do_not_meet(server: Server, queue: Queue, raw: redis.Redis) -> None:
    async with Queue("default", server.url, prefix="mine") as other:
        job = await other.enqueue(jobs.noop)
        assert await queue.count() == 0
        assert await queue.fetch_job(job.id) is None
        assert all(name.startswith("mine:") for name in raw.keys())
        await other.delete()
        raw.delete(*raw.keys())


async def test_a_callers_client_is_used_and_stays_open(server: Server) -> None:
    for decode in (False, True):
        client = Redis.from_url(server.url, decode_responses=decode)
        async with Queue(f"default-{decode}", client) as queue:
            job = await queue.enqueue(jobs.add, 1, 2, meta={"a": b"\xff"})
            assert (await queue.fetch_job(job.id)).args == (1, 2)
            assert (await queue.fetch_job(job.id)).meta == {"a": b"\xff"}
            assert await queue.job_ids() == [job.id]
            assert await queue.count() == 1
        assert await client.ping()
        await client.aclose()


async def test_a_url_of_the_environment_is_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("AIOQ_REDIS_URL", server.url)
    async with Queue() as queue:
        await queue.enqueue(jobs.noop)
        assert await queue.count() == 1
        assert queue.name == "default"


async def test_a_server_that_is_not_there_is_one_error_with_its_address() -> None:
    port = port_of_nobody()
    async with Queue("default", f"redis://user:secret@127.0.0.1:{port}/0") as queue:
        for call in (queue.count, lambda: queue.enqueue(jobs.noop), queue.job_ids, queue.pause):
            with pytest.raises(ServerUnreachable, match=f"127.0.0.1:{port}") as caught:
                await call()
            assert "secret" not in str(caught.value)
            assert isinstance(caught.value, ConnectionError | ServerError)


async def test_a_closed_queue_opens_again_when_it_is_used(server: Server) -> None:
    queue = Queue("default", server.url)
    await queue.enqueue(jobs.noop)
    await queue.aclose()
    assert await queue.count() == 1
    await queue.aclose()
    await queue.aclose()


async def test_reads_while_others_write_do_not_fail(queue: Queue, start_worker) -> None:
    await start_worker()
    writing = asyncio.gather(*(queue.enqueue(jobs.noop, ttl=5) for _ in range(300)))
    while not writing.done():
        await queue.count()
        assert {job.status for job in await queue.jobs()} <= {"queued"}
        assert {job.status for job in await queue.started_job_registry.jobs()} <= {"started"}
        assert {job.status for job in await queue.finished_job_registry.jobs()} <= {"finished"}
        assert await queue.expired_job_registry.jobs() == []
    for job in await writing:
        await job.result(5)
