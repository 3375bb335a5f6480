"""Whatever a job does is its own failure: it is recorded, and the worker goes on."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import pytest
import redis

from aioq import Job, JobFailed, JobStatus, Queue
from tests import jobs
from tests.conftest import Server
from tests.tools import RunningWorker, eventually
from tests.worker import misbehaviour as bad

notes: defaultdict[str, list[Any]] = defaultdict(list)


async def note(key: str, value: Any = None) -> Any:
    notes[key].append(value)
    return value


async def _has(job: Job[Any], status: str) -> bool:
    return await job.get_status() == status


async def is_failure(queue: Queue, job: Job[Any], text: str) -> None:
    with pytest.raises(JobFailed) as caught:
        await job.result(10)
    assert text in caught.value.exc_info
    assert await job.get_status() == JobStatus.FAILED
    assert text in job.exc_info
    assert len(job.exc_info) <= 40_000
    assert await queue.failed_job_registry.job_ids() == [job.id]
    # The worker goes on, with its coroutines and its threads.
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3
    assert await (await queue.enqueue(jobs.add_sync, 1, 2)).result(5) == 3


@pytest.mark.parametrize("kind", bad.EXPLOSIONS)
@pytest.mark.parametrize("function", [bad.explode_in_coroutine, bad.explode_in_thread, bad.explode_in_generator])
async def test_whatever_a_job_raises_is_its_failure(queue: Queue, start_worker, function: Any, kind: str) -> None:
    running = await start_worker(concurrency=1)
    job = await queue.enqueue(function, kind)
    await is_failure(queue, job, bad.EXPLOSIONS[kind])
    assert not running.task.done()


@pytest.mark.parametrize("kind", ["exit", "surrogates", "unprintable", "recursion", "long"])
async def test_whatever_a_job_raises_can_be_retried(queue: Queue, start_worker, kind: str) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(bad.explode_in_coroutine, kind, retry=2)
    await is_failure(queue, job, bad.EXPLOSIONS[kind])
    assert [bad.EXPLOSIONS[kind] in each.exc_info for each in await job.results()] == [True] * 3


@pytest.mark.parametrize("kind", bad.EXPLOSIONS)
async def test_whatever_an_argument_raises_when_it_is_loaded_is_the_jobs_failure(
    queue: Queue, start_worker, kind: str
) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(note, bad.RaisesOnLoad(kind))
    await is_failure(queue, job, "" if kind == "long" else "explode")
    assert job.description.startswith("tests.worker.test_failures.note(<")  # nothing is loaded for it


@pytest.mark.parametrize("kind", ["exit", "interrupt", "base", "unprintable", "surrogates", "recursion", "chain"])
async def test_whatever_a_result_raises_when_it_is_dumped_is_the_jobs_failure(
    queue: Queue, start_worker, kind: str
) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(bad.return_what_explodes, kind)
    await is_failure(queue, job, "Error" if kind not in ("exit", "interrupt", "base") else bad.EXPLOSIONS[kind])


@pytest.mark.parametrize("function", [bad.return_the_unserialisable, bad.return_the_deep])
async def test_a_result_that_cannot_be_serialised_is_the_jobs_failure(
    queue: Queue, start_worker, function: Any
) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(function)
    await is_failure(queue, job, "SerializationError: the result of tests.worker.misbehaviour.return_the_")


async def test_a_result_that_no_server_would_take_is_the_jobs_failure(
    own_server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server would refuse the whole call and end the connection: no other job could be recorded."""
    server: Server = own_server("--proto-max-bulk-len", "1mb")
    monkeypatch.setattr("aioq.worker.call.MAX_RESULT_BYTES", 1_048_576)

    async with Queue("default", server.url) as queue, RunningWorker(["default"], connection=server.url):
        job = await queue.enqueue(bad.return_many, 2_000_000)
        await is_failure(queue, job, "PayloadTooLarge: the result of tests.worker.misbehaviour.return_many has")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tests.worker.misbehaviour.nothing", "has no function 'nothing'"),
        ("tests.worker.misbehaviour.EXPLOSIONS", "has no function 'EXPLOSIONS'"),
        ("tests.worker.misbehaviour.explode.nothing", "has no function 'explode.nothing'"),
        ("tests.worker.no_such_module.function", "has no function 'no_such_module.function'"),
        ("no_such_package.function", "no module of 'no_such_package.function' can be imported"),
        ("tests.worker.broken_module.function", "ValueError: this module is broken on purpose"),
        ("tests.worker.exiting_module.function", "SystemExit: 7"),
    ],
)
async def test_a_function_that_cannot_be_found_is_the_jobs_failure(
    queue: Queue, start_worker, name: str, text: str
) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(name)
    await is_failure(queue, job, text)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"data": b"p"}, ""),
        ({"data": b"p\x80\x05damaged"}, "DeserializationError: the job's arguments cannot be read as pickle"),
        ({"data": b"j{"}, "DeserializationError: the job's arguments cannot be read as json"),
        ({"data": b"j[1]"}, "DeserializationError: the job's arguments are not"),
        ({"data": b"j\xff\xff"}, "DeserializationError"),
        ({"data": b"?[null,[],{}]"}, "DeserializationError: unknown serializer tag b'?'"),
        ({"data": b"?"}, "DeserializationError: unknown serializer tag b'?'"),
        ({"data": b"\x00"}, "DeserializationError: unknown serializer tag"),
        ({"data": b"pcos\nno_such_name\n."}, "DeserializationError"),
        ({"func": b""}, "DeserializationError"),
        ({"func": b"\xff\xfe"}, "Error"),
        ({"func": b"a" * 1_000}, "DeserializationError"),
        ({"opts": b"\xff"}, "DeserializationError"),
        ({"opts": b"{"}, "DeserializationError"),
        ({"opts": b"[1]"}, "DeserializationError"),
        ({"opts": b'{"timeout":"x"}'}, "DeserializationError"),
        ({"opts": b'{"timeout":1e999}'}, "DeserializationError"),
        ({"opts": b'{"timeout":null}'}, "DeserializationError"),
        ({"opts": b'{"timeout":[1]}'}, "DeserializationError"),
        ({"opts": b'{"result_ttl":"x"}'}, "DeserializationError"),
        ({"opts": b'{"result_ttl":1e300}'}, "DeserializationError"),
        ({"opts": b'{"retry":5}'}, "DeserializationError"),
        ({"opts": b'{"retry":{"max":"x"}}'}, "DeserializationError"),
        ({"opts": b'{"retry":{"max":1,"interval_ms":"x"}}'}, "DeserializationError"),
        ({"opts": b"[" * 100_000}, "DeserializationError"),
    ],
)
async def test_a_damaged_record_is_the_jobs_failure(
    queue: Queue, start_worker, server: Server, fields: dict[str, bytes], text: str
) -> None:
    job = await queue.enqueue(note, "damaged", "ran")
    with redis.Redis.from_url(server.url) as client:
        client.hset(f"aioq:{{default}}:job:{job.id}", mapping=fields | {"more": b"1"})
    running = await start_worker(concurrency=1)
    await is_failure(queue, job, text)
    assert not running.task.done()
    (listed,) = await queue.failed_job_registry.jobs()
    assert listed.is_failed
    assert listed.id in repr(listed)
    await queue.failed_job_registry.requeue(listed)
    await eventually(lambda: _has(job, "failed"))


async def test_a_damaged_meta_does_not_stop_the_job(queue: Queue, start_worker, server: Server) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    with redis.Redis.from_url(server.url) as client:
        client.hset(
            f"aioq:{{default}}:job:{job.id}", mapping={"meta.a": b"?", b"meta.\xff": b"p", "meta.b": b"p\xff"}
        )
    await start_worker()
    assert await job.result(5) == 3


async def test_an_unknown_field_is_kept(queue: Queue, start_worker, raw: redis.Redis) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    raw.hset(
        f"aioq:{{default}}:job:{job.id}", mapping={"of_a_newer_version": "x", "opts": '{"new":1,"timeout":5000}'}
    )
    await start_worker()
    assert await job.result(5) == 3
    assert raw.hget(f"aioq:{{default}}:job:{job.id}", "of_a_newer_version") == "x"


async def test_a_task_that_a_job_leaves_behind_goes_on(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    await (await queue.enqueue(bad.leave_a_task_behind, key)).result(5)
    await eventually(lambda: bad.notes[key][-1] == "later")


async def block_the_loop(seconds: float) -> str:
    time.sleep(seconds)
    return "blocked"


async def test_a_job_that_blocks_the_loop_holds_up_the_others_and_no_more(queue: Queue, start_worker) -> None:
    await start_worker()
    made = [await queue.enqueue(block_the_loop, 0.1) for _ in range(3)]
    assert [await job.result(5) for job in made] == ["blocked"] * 3
