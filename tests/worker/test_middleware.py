"""Middleware of a worker: what runs around the call of each job's function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from aioq import InvalidInput, Job, Queue, Retry, Worker, get_current_job
from aioq.middleware import RunMiddleware, RunNext
from tests import jobs
from tests.worker.notes import note, notes

CurrentJob = Job[Any]


def noting(name: str, key: str) -> RunMiddleware:
    async def middleware(job: CurrentJob, call_next: RunNext) -> Any:
        current = get_current_job()
        assert current is not None
        assert current.id == job.id
        await note(key, f"{name} begins")
        try:
            return await call_next()
        finally:
            await note(key, f"{name} ends")

    return middleware


async def run(server, *middleware: Any, **options: Any) -> None:
    await Worker("default", server.url, middleware=middleware, **options).run(burst=True)


async def answer_of(job: Job[Any]) -> Any:
    return await job.result(0)


async def test_the_first_one_is_the_outermost(queue: Queue, server, key: str) -> None:
    job = await queue.enqueue(note, key, "runs")
    await run(server, noting("a", key), noting("b", key))
    assert notes[key] == ["a begins", "b begins", "runs", "b ends", "a ends"]
    assert await answer_of(job) == "runs"


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_it_runs_around_plain_functions(queue: Queue, server, key: str, executor: str) -> None:
    job = await queue.using(executor=executor).enqueue(jobs.add_sync, 2, 3)
    await run(server, noting("a", key))
    assert await answer_of(job) == 5
    assert notes[key] == ["a begins", "a ends"]


async def test_what_it_returns_is_the_result(queue: Queue, server) -> None:
    async def double(_: CurrentJob, call_next: RunNext) -> int:
        return 2 * int(await call_next())

    job = await queue.enqueue(jobs.add, 2, 3)
    await run(server, double)
    assert await answer_of(job) == 10


async def test_it_may_answer_in_place_of_the_function(queue: Queue, server, key: str) -> None:
    async def cached(_: CurrentJob, __: RunNext) -> str:
        return "from the cache"

    job = await queue.enqueue(note, key)
    await run(server, cached)
    assert (await answer_of(job), notes[key]) == ("from the cache", [])


async def test_it_sees_the_error_and_may_replace_it(queue: Queue, server) -> None:
    async def rescue(_: CurrentJob, call_next: RunNext) -> object:
        try:
            return await call_next()
        except ZeroDivisionError as error:
            return str(error)

    job = await queue.enqueue(jobs.div_by_zero, 1)
    await run(server, rescue)
    assert await answer_of(job) == "division by zero"


async def test_its_own_error_fails_the_attempt_and_names_its_line(queue: Queue, server, key: str) -> None:
    async def broken(_: CurrentJob, __: RunNext) -> None:
        raise LookupError("no tenant")

    first = await queue.enqueue(note, key, retry=Retry(1))
    await run(server, broken)
    await first.refresh()
    assert (first.status, first.attempt, notes[key]) == ("failed", 2, [])
    assert "LookupError: no tenant" in (first.exc_info or "")
    assert __file__ in (first.exc_info or "")


async def test_a_retry_that_it_raises_is_heard(queue: Queue, server, key: str) -> None:
    async def throttled(job: CurrentJob, call_next: RunNext) -> Any:
        return await call_next() if job.attempt > 2 else Retry(max=5)

    job = await queue.enqueue(note, key, "ran")
    await run(server, throttled)
    assert (await answer_of(job), notes[key]) == ("ran", ["ran"])


async def test_the_timeout_counts_it(queue: Queue, server, key: str) -> None:
    async def slow(_: CurrentJob, __: RunNext) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await note(key, "canceled")
            raise

    job = await queue.enqueue(note, key, job_timeout=1)
    await run(server, slow)
    await job.refresh()
    assert (job.status, notes[key]) == ("failed", ["canceled"])
    assert "JobTimeout" in (job.exc_info or "")


async def test_a_function_is_called_once(queue: Queue, server, key: str) -> None:
    async def twice(_: CurrentJob, call_next: RunNext) -> Any:
        await call_next()
        return await call_next()

    job = await queue.enqueue(note, key)
    await run(server, twice)
    await job.refresh()
    assert (job.status, len(notes[key])) == ("failed", 1)
    assert "called call_next() twice" in (job.exc_info or "")


async def test_it_may_be_a_partial_a_method_or_an_object(queue: Queue, server, key: str) -> None:
    class Counting:
        async def __call__(self, _: CurrentJob, call_next: RunNext) -> Any:
            await note(key, "called")
            return await call_next()

        async def method(self, _: CurrentJob, call_next: RunNext) -> Any:
            await note(key, "method")
            return await call_next()

    async def named(name: str, _: CurrentJob, call_next: RunNext) -> Any:
        await note(key, name)
        return await call_next()

    job = await queue.enqueue(jobs.add, 1, 1)
    await run(server, Counting(), Counting().method, partial(named, "partial"))
    assert (await answer_of(job), notes[key]) == (2, ["called", "method", "partial"])


def plain(_: CurrentJob, __: Callable[[], Awaitable[Any]]) -> None: ...


async def of_one(_: CurrentJob) -> None: ...


class NoInstance:
    async def __call__(self, _: CurrentJob, __: RunNext) -> None: ...


@pytest.mark.parametrize("given", [None, 1, [plain], [of_one], [None], ["shop.timing"], [NoInstance]])
def test_what_is_no_middleware_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match=r"middleware.*async def name\(job, call_next\)"):
        Worker("default", middleware=given)
