"""Plain calls inside of plain jobs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis

import aioq.errors
from aioq import JobFailed
from aioq.client import context
from aioq.client.waits import waits
from aioq.errors import NoCurrentJob, WrongContext
from aioq.sync import Job, Queue, current_job, get_current_job
from tests import jobs
from tests.conftest import Server
from tests.tools import eventually_sync


def follow(x: int) -> str:
    return current_job().queue.enqueue(jobs.add, x, 1).id


def follow_by_a_queue(x: int, url: str) -> int:
    with Queue("default", url) as queue:
        return queue.enqueue(jobs.add, x, 1).result(timeout=10)


def save() -> str:
    current_job().meta["first"] = 1
    aioq.current_job().meta["second"] = 2
    current_job().save_meta()
    current_job().meta["third"] = 3
    get_current_job().save_meta_sync()  # type: ignore[union-attr]
    return current_job().id


def save_apart() -> str:
    save()
    try:
        current_job().queue
    except aioq.errors.InvalidJobOperation as error:
        return str(error)
    return "it has a queue"


def wait_for(job_id: str) -> Any:
    return Job.fetch(job_id, current_job().queue).result()


def wait_for_itself() -> None:
    Job.fetch(current_job().id, current_job().queue).result()


def fork() -> int:
    if (pid := os.fork()) == 0:
        job = current_job()
        job.meta["fork"] = os.getpid()
        job.save_meta()
        job.queue.enqueue(jobs.add, 1, 1)
        aioq.current_job().meta["again"] = 1
        aioq.current_job().save_meta()
        os._exit(0)

    return os.waitpid(pid, 0)[1]


def see_resources() -> Any:
    return current_job().resources


async def call_in_a_coroutine() -> None:
    current_job().queue.count()


def call_on_bare_threads(url: str) -> list[Any]:
    found: list[Any] = []

    def use() -> None:
        found.append(get_current_job())
        with Queue("default", url) as queue:
            found.append(queue.enqueue(jobs.add, 1, 1).result(timeout=10))

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    return found


@pytest.fixture(autouse=True)
def _worker(start_worker: Callable[..., Any]) -> None:
    start_worker()


def test_a_job_enqueues_on_the_connection_of_its_worker(queue: Queue, raw: redis.Redis) -> None:
    queue.enqueue(jobs.noop).result(timeout=10)
    before = len(raw.client_list())
    following = Job.fetch(queue.enqueue(follow, 5).result(timeout=10), queue)
    assert following.result(timeout=10) == 6
    assert len(raw.client_list()) == before


def test_a_job_waits_for_another_by_a_queue_of_its_own(queue: Queue, server: Server) -> None:
    assert queue.enqueue(follow_by_a_queue, 5, server.url).result(timeout=10) == 6


def test_all_handles_on_the_current_job_have_one_meta(queue: Queue) -> None:
    job = queue.enqueue(save)
    assert job.result(timeout=10) == job.id
    assert job.get_meta() == {"first": 1, "second": 2, "third": 3}


def test_a_process_for_jobs_saves_meta_and_has_no_queue(queue: Queue) -> None:
    job = queue.enqueue(save_apart, executor="process")
    assert "which has no connection to the server" in job.result(timeout=20)
    assert job.get_meta() == {"first": 1, "second": 2, "third": 3}


def test_a_process_for_jobs_opens_a_queue_of_its_own(queue: Queue, server: Server) -> None:
    assert queue.enqueue(follow_by_a_queue, 7, server.url, executor="process").result(timeout=20) == 8


def test_a_fork_of_a_job_makes_calls_of_its_own(queue: Queue) -> None:
    job = queue.enqueue(fork)
    assert job.result(timeout=20) == 0
    assert job.get_meta().keys() == {"fork", "again"}
    eventually_sync(lambda: queue.finished_job_registry.count() == 2)


def test_a_bare_thread_of_a_job_makes_calls(queue: Queue, server: Server) -> None:
    assert queue.enqueue(call_on_bare_threads, server.url).result(timeout=20) == [None, 2]


def test_a_wait_of_a_job_ends_with_its_run(queue: Queue) -> None:
    never = queue.enqueue_in(600, jobs.noop)
    job = queue.enqueue(wait_for, never.id, job_timeout=0.5)
    begun = time.monotonic()
    eventually_sync(lambda: [wait.awaited.id for wait in list(waits.values())] == [never.id])
    with pytest.raises(JobFailed) as raised:
        job.result(timeout=20)
    assert raised.value.error_type == "aioq.errors.JobTimeout"
    assert time.monotonic() - begun < 3, "it was not given up after its time for clean-up"


def test_a_job_that_waits_for_itself_is_told(queue: Queue) -> None:
    with pytest.raises(JobFailed, match="waits for its own result"):
        queue.enqueue(wait_for_itself).result(timeout=10)


def test_a_coroutine_is_refused(queue: Queue) -> None:
    with pytest.raises(JobFailed, match=r"count: a call of aioq.sync would block the event loop") as raised:
        queue.enqueue(call_in_a_coroutine).result(timeout=10)
    assert raised.value.error_type == "aioq.errors.WrongContext"


def test_resources_are_those_of_the_worker(server: Server, start_worker: Callable[..., Any]) -> None:
    @asynccontextmanager
    async def lifespan(_: aioq.Worker):
        yield "the pool"

    start_worker("own", lifespan=lifespan)
    with Queue("own", server.url) as queue:
        assert queue.enqueue(see_resources).result(timeout=10) == "the pool"


def test_outside_of_a_job_there_is_none() -> None:
    assert get_current_job() is None
    with pytest.raises(NoCurrentJob):
        current_job()
    assert context.get_current_job() is None
    assert issubclass(NoCurrentJob, WrongContext)
