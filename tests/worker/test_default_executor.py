"""Where plain functions run if neither job nor task says it: by default of the queue, else of the worker."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from aioq import InvalidInput, Job, JobFailed, Queue, Worker, task
from tests import jobs
from tests.conftest import Server
from tests.worker import apart

pytestmark = pytest.mark.timeout(60)


@task(executor="thread")
def pid_on_a_thread() -> int:
    return os.getpid()


@task(executor="process")
def pid_in_a_process() -> int:
    return os.getpid()


async def coroutine_pid() -> int:
    return os.getpid()


async def places(server: Server, queue: Queue, executor: Any) -> dict[str, str]:
    """Where some calls run on a worker."""
    made = {
        "plain": await queue.enqueue(apart.pid),
        "by name": await queue.enqueue("tests.worker.apart.pid"),
        "coroutine": await queue.enqueue(coroutine_pid),
        "coroutine by name": await queue.enqueue(f"{__name__}.coroutine_pid"),
        "thread by its job": await queue.enqueue(pid_in_a_process, executor="thread"),
        "process by its job": await queue.enqueue(pid_on_a_thread, executor="process"),
        "thread by its task": await queue.enqueue(pid_on_a_thread),
        "process by its task": await queue.enqueue(pid_in_a_process),
        "many": (await queue.enqueue_many([Queue.prepare_data(apart.pid)]))[0],
        "created": await queue.enqueue_job(Job.create(apart.pid)),
    }
    await Worker("default", server.url, executor=executor, job_processes=1).run(burst=True)
    return {name: "here" if await job.result(0) == os.getpid() else "elsewhere" for name, job in made.items()}


@pytest.mark.parametrize(
    ("of_queue", "of_worker", "expected"),
    [
        pytest.param(None, None, "here", marks=pytest.mark.chaos),
        pytest.param(None, "process", "elsewhere", marks=pytest.mark.chaos),
        pytest.param("process", None, "elsewhere", marks=pytest.mark.chaos),
        ("process", "thread", "elsewhere"),
        ("thread", "process", "here"),
    ],
)
async def test_job_task_queue_worker(server: Server, of_queue: Any, of_worker: Any, expected: str) -> None:
    async with Queue("default", server.url, default_executor=of_queue) as queue:
        assert await places(server, queue, of_worker) == {
            "plain": expected,
            "by name": expected,
            "coroutine": "here",
            "coroutine by name": "here",
            "thread by its job": "here",
            "process by its job": "elsewhere",
            "thread by its task": "here",
            "process by its task": "elsewhere",
            "many": expected,
            "created": expected,
        }


async def test_a_plain_job_s_time_begins_with_its_process(server: Server) -> None:
    """One process for two jobs: the second one waits longer than it may take."""
    async with Queue("default", server.url) as queue:
        first = await queue.enqueue(jobs.sleep_sync, 0.6)
        second = await queue.enqueue(apart.pid, job_timeout=0.5)
        await Worker("default", server.url, executor="process", job_processes=1).run(burst=True)
        await asyncio.gather(first.result(0), second.result(0))


async def test_its_timeout_ends_it(server: Server) -> None:
    async with Queue("default", server.url, default_executor="process") as queue:
        job = await queue.enqueue(jobs.sleep_sync, 30, job_timeout=0.2)
        await Worker("default", server.url).run(burst=True)

        with pytest.raises(JobFailed, match=r"timeout of 0\.2 seconds"):
            await job.result(0)


async def test_what_is_stored(server: Server, raw: Any) -> None:
    async with Queue("default", server.url, default_executor="process", default_result_ttl=60) as queue:
        job = await queue.enqueue(apart.pid)
        key = f"aioq:{{default}}:job:{job.id}"
        assert raw.hget(key, "opts") == '{"result_ttl":60000,"default_executor":"process"}'
        assert (job.record.executor, job.record.default_executor) == (None, "process")
        job = await queue.enqueue(apart.pid, executor="thread")
        assert "default_executor" not in raw.hget(f"aioq:{{default}}:job:{job.id}", "opts")
        await queue.delete()


async def test_a_queue_with_a_secret(server: Server) -> None:
    secret = "0123456789abcdef"

    async with Queue("default", server.url, default_executor="process", secret=secret) as queue:
        job = await queue.enqueue(apart.pid)
        await Worker([queue], secret=None).run(burst=True)
        assert await job.result(0) != os.getpid()


@pytest.mark.parametrize("value", ["fork", "", 1])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"default_executor=.*: expected one of 'thread', 'process'"):
        Queue(default_executor=value)

    with pytest.raises(InvalidInput, match=r"executor=.*: expected one of 'thread', 'process'"):
        Worker(executor=value)
