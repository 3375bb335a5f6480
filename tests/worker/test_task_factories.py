"""Task factories of the application, or of a job: jobs run or fail, and none is held for ever."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from aioq import JobFailed, Queue
from tests import jobs
from tests.tools import RunningWorker, eventually


def without_context(loop: Any, coroutine: Any) -> Any:
    return asyncio.Task(coroutine, loop=loop)


def traced(loop: Any, coroutine: Any, **options: Any) -> Any:
    return asyncio.Task(coroutine, loop=loop, **options)


class Wrapped:
    """No task: an object that has one, as some tracers make."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)


def wrapping(loop: Any, coroutine: Any, **options: Any) -> Any:
    return Wrapped(asyncio.Task(coroutine, loop=loop, **options))


def raising(loop: Any, coroutine: Any, **options: Any) -> Any:
    coroutine.close()
    raise RuntimeError("no task")


def exiting(loop: Any, coroutine: Any, **options: Any) -> Any:
    coroutine.close()
    raise SystemExit(3)


FACTORIES: dict[str, Callable[..., Any]] = {
    factory.__name__: factory for factory in (without_context, traced, wrapping, raising, exiting)
}

if sys.version_info >= (3, 12):
    FACTORIES["eager"] = asyncio.eager_task_factory


@pytest.fixture(autouse=True)
async def _factory_of_the_test():
    loop = asyncio.get_running_loop()
    before = loop.get_task_factory()
    yield
    loop.set_task_factory(before)


async def set_factory(name: str) -> str:
    asyncio.get_running_loop().set_task_factory(FACTORIES[name])
    return name


async def start_a_task() -> int:
    return await asyncio.create_task(jobs.add(1, 2))


@pytest.mark.parametrize("name", [each for each in FACTORIES if each not in ("raising", "exiting", "wrapping")])
async def test_jobs_run_beside_a_factory_of_the_application(queue: Queue, start_worker, name: str) -> None:
    asyncio.get_running_loop().set_task_factory(FACTORIES[name])
    running: RunningWorker = await start_worker(concurrency=2)
    several = [await queue.enqueue(jobs.add, number, 1) for number in range(20)]
    several += [await queue.enqueue(jobs.add_sync, number, 1) for number in range(5)]
    assert [await job.result(10) for job in several] == [*range(1, 21), *range(1, 6)]
    assert await (await queue.enqueue(start_a_task)).result(10) == 3
    assert not running.task.done()


@pytest.mark.parametrize("name", FACTORIES)
async def test_a_factory_that_a_job_has_set_holds_no_job(
    server: Any, start_worker, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "aioq.worker")
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    running: RunningWorker = await start_worker(concurrency=2)

    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(set_factory, name)
        several = [await queue.enqueue(jobs.add, number, 1) for number in range(50)]
        tasks = [await queue.enqueue(start_a_task) for _ in range(3)]
        asked.set()

        for each in (job, *several):
            await eventually(lambda each=each: has_ended(each), timeout=20)

        makes_tasks = name not in ("raising", "exiting", "wrapping")
        await eventually(lambda: (loop.get_task_factory() is FACTORIES[name]) is makes_tasks)
        assert [await each.get_status() for each in several] == ["finished"] * 50

        for each in tasks:  # their own tasks are theirs
            await eventually(lambda each=each: has_ended(each), timeout=20)

        assert await (await queue.enqueue(start_a_task)).result(10) == 3

    assert not running.task.done()
    assert ("which makes no tasks" in caplog.text) is not makes_tasks


async def has_ended(job: Any) -> bool:
    try:
        return await job.get_status() in ("finished", "failed")
    except (RuntimeError, SystemExit, JobFailed):  # the factory is not off yet
        return False


async def test_a_run_that_gets_no_task_is_not_held(queue: Queue, start_worker, monkeypatch: Any) -> None:
    running: RunningWorker = await start_worker(concurrency=1)
    made, task = [], asyncio.Task

    def no_memory(coroutine: Any, **options: Any) -> Any:
        if coroutine.__qualname__ == "Slots._run" and len(made) < 3:
            made.append(coroutine)
            raise MemoryError
        return task(coroutine, **options)

    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "Task", no_memory)
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        several = [await queue.enqueue(jobs.add, number, 1) for number in range(4)]
        assert [await job.result(20) for job in several] == [1, 2, 3, 4]

    assert len(made) == 3
    assert not running.task.done()
