"""Calls of aioq in plain functions, where nothing can be awaited: none is lost in silence."""

from __future__ import annotations

import asyncio
import pydoc
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioq import Job, JobFailed, Queue, Retry, current_job
from aioq.client.plain import DONE, Call
from tests import jobs
from tests.client.work import note, notes


def save(key: str) -> None:
    job = current_job()
    job.meta["key"] = key
    job.save_meta()


def save_by_run(key: str) -> None:
    job = current_job()
    job.meta["key"] = key
    asyncio.run(job.save_meta())


def save_what_cannot_be_saved(key: str) -> None:
    job = current_job()
    job.meta["key"] = lambda: None
    try:
        job.save_meta()
    finally:
        notes[key].append("told")
    notes[key].append("not told")


def drop_enqueue(key: str) -> str:
    notes[key].append("run")
    current_job().queue.enqueue(note, key, "enqueued")
    return "done"


def drop_enqueue_and_fail(key: str) -> None:
    drop_enqueue(key)
    raise KeyError("its own error")


def drop_apart(key: str, url: str) -> None:
    queue = Queue("default", url)
    queue.enqueue(note, key, "enqueued")


def drop_many(key: str) -> None:
    job = current_job()
    job.refresh()
    job.cancel()
    Job.fetch(job.id, job.queue)
    job.queue.using(ttl=5).enqueue(note, key)
    job.queue.task(note).enqueue(key)
    job.queue.failed_job_registry.requeue(job)
    job.queue.empty()


def compare_state() -> None:
    while current_job().get_status() != "finished":
        pass


def ask_for_truth() -> str:
    return "empty" if current_job().queue.is_empty() else "not empty"


def use_a_job() -> str:
    return current_job().queue.enqueue(jobs.noop).id


def enqueue_by_run(key: str) -> str:
    queue = current_job().queue
    asyncio.run(queue.enqueue(note, key, "bare"))
    asyncio.run(asyncio.wait_for(queue.enqueue(note, key, "in time"), 5))

    async def both() -> None:
        await queue.enqueue(note, key, "inside")

    asyncio.run(both())
    return "done"


def hand_back(key: str) -> Any:
    return current_job().queue.enqueue_call(note, (key, 5), job_id=f"handed-{key}")


async def in_coroutine(key: str) -> None:
    await current_job().queue.enqueue(note, key, "enqueued")


async def failed(job: Job[Any]) -> str:
    with pytest.raises(JobFailed) as raised:
        await job.result(20)
    return raised.value.exc_info


@pytest.mark.parametrize("function", [save, save_by_run])
async def test_meta_is_stored_with_and_without_asyncio_run(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str, function: Any
) -> None:
    job = await queue.enqueue(function, key)
    await burst()
    await job.result(5)

    assert await job.get_meta() == {"key": key}


async def test_what_cannot_be_stored_is_told_at_once(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    job = await queue.enqueue(save_what_cannot_be_saved, key)
    await burst()

    assert "SerializationError" in await failed(job)
    assert notes[key] == ["told"]


async def test_a_call_that_nobody_awaits_fails_the_job_and_is_not_made_again(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    job = await queue.enqueue(drop_enqueue, key, retry=3)
    await burst()
    text = await failed(job)

    assert text.startswith("aioq.errors.NotAwaited: called in a plain function and never awaited")
    assert f"Queue.enqueue(…) in line {drop_enqueue.__code__.co_firstlineno + 2} of {__file__}" in text
    assert "asyncio.run(…)" in text
    assert notes[key] == ["run"]


async def test_an_error_of_the_function_is_kept_and_the_call_is_a_note(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    job = await queue.enqueue(drop_enqueue_and_fail, key, retry=Retry(1))
    await burst()
    text = await failed(job)

    assert "KeyError: 'its own error'" in text
    assert text.index("KeyError") < text.index("never awaited, so nothing was done: Queue.enqueue(…)")
    assert notes[key] == ["run", "run"]


async def test_a_process_tells_of_it_too(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str, server
) -> None:
    job = await queue.enqueue(drop_apart, key, server.url, executor="process", retry=3)
    await burst()

    assert "NotAwaited: called in a plain function and never awaited" in await failed(job)
    assert job.attempt <= 1
    assert notes[key] == []


async def test_all_handles_tell_of_it(queue: Queue, burst: Callable[[], Awaitable[int]], key: str) -> None:
    job = await queue.enqueue(drop_many, key)
    await burst()
    text = await failed(job)

    for name in (
        "Job.refresh",
        "Job.cancel",
        "Job.fetch",
        "Using.enqueue",
        "BoundTask.enqueue",
        "Registry.requeue",
    ):
        assert f"{name}(…) in line" in text
    assert "Queue.empty(…) in line" in text
    assert notes[key] == []


@pytest.mark.parametrize(
    ("function", "told"),
    [(compare_state, "cannot be compared"), (ask_for_truth, "neither true nor false"), (use_a_job, "no 'id'")],
)
async def test_a_call_that_is_taken_for_its_value_is_told_at_once(
    queue: Queue, burst: Callable[[], Awaitable[int]], function: Any, told: str
) -> None:
    job = await queue.enqueue(function)
    await burst()
    text = await failed(job)

    assert "was not awaited, so" in text
    assert told in text
    assert await queue.count() == 0


async def test_what_is_awaited_works(queue: Queue, burst: Callable[[], Awaitable[int]], key: str) -> None:
    job = await queue.enqueue(enqueue_by_run, key)
    await burst()

    assert await job.result(5) == "done"
    assert notes[key] == ["bare", "in time", "inside"]


async def test_a_call_that_is_returned_is_awaited(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    job = await queue.enqueue(hand_back, key)
    await burst()

    assert "is a handle with a connection" in await failed(job)  # it is made, and cannot be a result
    assert await (await Job.fetch(f"handed-{key}", queue)).result(5) == 5


async def test_a_coroutine_uses_the_worker_s_connection(
    queue: Queue, burst: Callable[[], Awaitable[int]], key: str
) -> None:
    job = await queue.enqueue(in_coroutine, key)
    await burst()
    await job.result(5)

    assert notes[key] == ["enqueued"]


async def test_outside_of_jobs_a_coroutine_is_a_coroutine(queue: Queue) -> None:
    call = await asyncio.to_thread(queue.count)

    assert asyncio.iscoroutine(call)
    assert type(call).__name__ == "coroutine"
    assert await call == 0
    assert asyncio.iscoroutinefunction(queue.enqueue)
    assert asyncio.iscoroutinefunction(Queue.all)
    assert asyncio.iscoroutinefunction(Job.save_meta)


@pytest.mark.parametrize("method", [Queue.enqueue, Queue.all, Job.result, Job.save_meta])
def test_help_says_that_a_method_is_awaited(method: Any) -> None:
    shown = pydoc.plain(pydoc.render_doc(method))

    assert re.search(r"^(async .*|.*-> '(Awaitable|Coroutine)\[.*)$", shown, re.MULTILINE), shown


async def test_a_call_in_a_plain_function_is_a_coroutine_in_all_its_ways() -> None:
    async def work() -> int:
        try:
            await asyncio.sleep(60)
        except ValueError:
            return 7

        return 0

    told: list[str] = []
    call, other = Call(work(), "work", told), Call(work(), "work", told)
    assert call == call
    assert call != other
    assert {call: 1}[call] == 1
    call.send(None)

    with pytest.raises(StopIteration) as ended:
        call.throw(ValueError("on purpose"))

    assert ended.value.value == 7
    other.close()
    del call, other
    assert told == []  # both were used


async def test_what_is_done_already_may_be_awaited_again_and_again() -> None:
    assert [await DONE, await DONE] == [None, None]
    DONE.close()

    with pytest.raises(StopIteration):
        DONE.send(None)

    with pytest.raises(KeyError):
        DONE.throw(KeyError("x"))
