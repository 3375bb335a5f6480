"""`result()` gives what the function returned, or says why there is nothing to give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

import aioq
from aioq import AioqError, Job, JobFailed, Queue
from aioq.errors import BadSignature, JobCanceled, ResultNotKept
from tests import jobs
from tests.client.work import gates, hold, note_and_fail, notes
from tests.conftest import Server
from tests.tools import eventually

SECRET = "correct horse battery"
JOB = "aioq:{default}:job:"


@pytest.fixture(params=[None, SECRET], ids=["plain", "signed"])
async def either(request: pytest.FixtureRequest, server: Server) -> AsyncIterator[Queue]:
    """A queue without a secret, and one with it."""
    async with Queue("default", server.url, secret=request.param) as queue:
        yield queue


@pytest.fixture
async def signed(server: Server) -> AsyncIterator[Queue]:
    async with Queue("default", server.url, secret=SECRET) as queue:
        yield queue


def secret_of(queue: Queue) -> str | None:
    return None if queue.connection.keyring is None else SECRET


async def channel_of(raw: redis.Redis, job: Job[Any]) -> str:
    """Where the process that waits for this job listens."""
    return (await eventually(lambda: raw.hget(JOB + job.id, "after"))).removeprefix("@")


async def still_waits(task: asyncio.Task[Any]) -> None:
    """A message has been read by now, and the wait goes on."""
    done, _ = await asyncio.wait([task], timeout=0.2)
    assert not done, task.exception() or task.result()


# A result that is not kept


def test_the_error_is_public_and_of_the_tree() -> None:
    assert aioq.errors.ResultNotKept is ResultNotKept
    assert issubclass(ResultNotKept, AioqError)
    assert not issubclass(ResultNotKept, JobFailed)


@pytest.mark.parametrize("by", ["job", "worker"])
async def test_who_asks_later_is_told_that_the_result_was_not_kept(either: Queue, burst, by: str) -> None:
    options = {"result_ttl": 0} if by == "job" else {}
    job = await either.enqueue(jobs.add, 3, 4, **options)
    await burst(secret=secret_of(either), **({} if by == "job" else {"result_ttl": 0}))
    fetched = await either.fetch_job(job.id)
    assert fetched is not None

    for handle in (job, fetched):
        for read in (handle.result, handle.return_value):
            with pytest.raises(ResultNotKept, match=f"job {job.id} has finished, and its result was not kept"):
                await read()

        latest = await handle.latest_result()
        assert latest is not None
        assert (latest.type, latest.worker_name is None) == ("finished", False)

        with pytest.raises(ResultNotKept):
            _ = latest.return_value


@pytest.mark.parametrize("value", [None, "", 0, "x" * 10_000])
async def test_who_waits_when_the_job_ends_gets_the_value(
    either: Queue, start_worker, raw: redis.Redis, key: str, value: object
) -> None:
    await start_worker(secret=secret_of(either))
    job = await either.enqueue(give, key, value, result_ttl=0)
    waits = [asyncio.create_task(job.result(10)) for _ in range(3)]
    await channel_of(raw, job)
    with pytest.raises(TimeoutError):  # the server is asked in turn, so it has answered all three
        await job.result(0)
    gates[key].set()

    assert await asyncio.gather(*waits) == [value] * 3


async def give(key: str, value: object) -> object:
    await gates[key].wait()
    return value


async def test_who_waits_ahead_gets_the_value_or_is_told(either: Queue, start_worker) -> None:
    await start_worker(secret=secret_of(either))

    for number in range(60):  # so that the process waits ahead
        assert await (await either.enqueue(jobs.add, number, 1)).result(10) == number + 1

    kept = [await either.enqueue(jobs.add, number, 1, result_ttl=0) for number in range(20)]
    told = await asyncio.gather(*(job.result(10) for job in kept), return_exceptions=True)

    assert all(each == number + 1 or isinstance(each, ResultNotKept) for number, each in enumerate(told))


async def test_none_that_was_returned_is_a_result(either: Queue, burst) -> None:
    job = await either.enqueue(jobs.noop)
    await burst(secret=secret_of(either))

    assert await job.result() is None
    assert await job.return_value() is None


async def test_a_finished_job_whose_result_is_missing_has_no_value(queue: Queue, raw: redis.Redis, burst) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    await burst()
    raw.hdel(JOB + job.id, "result")

    for read in (job.result, job.return_value):
        with pytest.raises(ResultNotKept):
            await read()


# Forged states and fields


@pytest.mark.parametrize("result", [None, "", "pN.", "s" + "0" * 16])
@pytest.mark.parametrize("state", ["queued", "started", "scheduled", "failed"])
async def test_a_state_that_was_set_to_finished_makes_no_value(
    signed: Queue, raw: redis.Redis, burst, start_worker, key: str, state: str, result: str | None
) -> None:
    if state == "scheduled":
        job = await signed.enqueue_in(60, jobs.noop)
    elif state == "queued":
        job = await signed.enqueue(jobs.noop)
    else:
        job = await signed.enqueue(hold if state == "started" else note_and_fail, key)

    if state == "failed":
        await burst(secret=SECRET)
    elif state == "started":
        await start_worker(secret=SECRET)
        await eventually(lambda: notes[key])

    raw.hset(JOB + job.id, mapping={"status": "finished"} | ({} if result is None else {"result": result}))
    fetched = await signed.fetch_job(job.id)
    assert fetched is not None

    for handle in (job, fetched):
        for read in (handle.result, handle.return_value, handle.latest_result):
            with pytest.raises(BadSignature):
                await read()

    raw.delete(*raw.keys("aioq:{default}:*"))


@pytest.mark.parametrize("ttl", [500, 0])
async def test_a_result_that_was_taken_away_is_no_value(signed: Queue, raw: redis.Redis, burst, ttl: int) -> None:
    job = await signed.enqueue(jobs.add, 1, 2, result_ttl=ttl)
    await burst(secret=SECRET)
    raw.hdel(JOB + job.id, "result")

    with pytest.raises(BadSignature, match="has no signed result"):
        await job.result()


async def test_that_a_result_was_not_kept_is_signed_for_its_job(signed: Queue, server: Server, burst) -> None:
    kept = await signed.enqueue(jobs.add, 1, 2)
    unkept = await signed.enqueue(jobs.add, 1, 2, result_ttl=0)
    await burst(secret=SECRET)

    with redis.Redis.from_url(server.url) as client:
        client.hset(JOB + kept.id, "result", client.hget(JOB + unkept.id, "result"))

    with pytest.raises(BadSignature):
        await kept.result()


# Forged messages


@pytest.mark.parametrize(
    "message",
    [
        "{} finished 3\npN.",
        "{} finished 0\n",
        "{} finished -\n",
        "{} deleted -\n",
        "{} deleted 0\n",
        "{} queued 0\n",
        "{} failed -\n",
        "{} nonsense 3\nabc",
    ],
)
async def test_a_message_that_is_not_so_ends_no_wait(
    either: Queue, start_worker, raw: redis.Redis, message: str
) -> None:
    if secret_of(either) is None and message.startswith(("{} finished 3", "{} finished 0")):
        pytest.skip("without a secret a message with a value is believed")

    job = await either.enqueue(jobs.add, 1, 2)
    wait = asyncio.create_task(job.result(20))
    channel = await channel_of(raw, job)

    for _ in range(3):
        raw.publish(channel, message.format(job.id))
        await still_waits(wait)

    await start_worker(secret=secret_of(either))
    assert await wait == 3


async def test_a_wait_that_hears_what_is_not_so_keeps_its_limit(queue: Queue, raw: redis.Redis) -> None:
    job = await queue.enqueue(jobs.noop)
    wait = asyncio.create_task(job.result(0.5))
    channel = await channel_of(raw, job)
    raw.publish(channel, f"{job.id} finished -\n")

    with pytest.raises(TimeoutError, match=r"the timeout of 0\.5 seconds"):
        await wait


async def test_a_job_that_was_requeued_before_its_end_was_looked_at_is_waited_for(
    queue: Queue, raw: redis.Redis, start_worker, key: str
) -> None:
    """A long error is not in the message. When it is loaded, the job may be queued again."""
    job = await queue.enqueue(jobs.add, 1, 2)
    wait = asyncio.create_task(job.result(10))
    raw.publish(await channel_of(raw, job), f"{job.id} failed -\n")
    await still_waits(wait)
    await start_worker()

    assert await wait == 3


async def test_other_ends_are_told_as_they_are(either: Queue, burst, key: str) -> None:
    failed = await either.enqueue(note_and_fail, key)
    await burst(secret=secret_of(either))
    canceled = await either.enqueue(jobs.noop)
    await canceled.cancel()

    with pytest.raises(JobFailed, match="failed on purpose"):
        await failed.result()

    with pytest.raises(JobCanceled):
        await canceled.result()
