"""What a worker opens before its first claim, and closes after its last run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from aioq import InvalidInput, Job, Queue, Worker, current_job, get_resources
from aioq.errors import ServerUnreachable
from aioq.values.errors import NoCurrentJob, WorkerError
from tests import jobs
from tests.tools import eventually
from tests.worker.notes import gates, hold, notes

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


class Pool:
    """What a job might share with others."""

    def __init__(self) -> None:
        self.users: list[str] = []
        self.is_open = True


@asynccontextmanager
async def open_pool(worker: Worker) -> AsyncIterator[Pool]:
    pool = Pool()
    tenant.set(worker.name)
    yield pool
    pool.is_open = False


async def use_pool() -> tuple[bool, str]:
    pool = get_resources(Pool)
    pool.users.append(current_job().id)
    return pool.is_open and current_job().resources is pool, tenant.get()


def use_pool_on_a_thread() -> bool:
    return get_resources(Pool).is_open


async def take_text() -> str:
    return get_resources(str)


async def set_tenant() -> None:
    tenant.set("of another job")


async def error_of(job: Job[Any]) -> str:
    await job.refresh()
    return job.exc_info or ""


def with_lifespan(server, lifespan: Any, **options: Any) -> Worker:
    return Worker("default", server.url, lifespan=lifespan, **options)


async def test_jobs_have_what_the_lifespan_yields_and_its_context(queue: Queue, server) -> None:
    worker = with_lifespan(server, open_pool)
    made = await queue.enqueue_many(
        [Queue.prepare_data(each) for each in (set_tenant, use_pool, use_pool, use_pool_on_a_thread)]
    )
    assert await worker.run(burst=True) == 4
    first, second, third = [await (await queue.fetch_job(each.id)).result(1) for each in made[1:]]
    assert (first, second, third) == ((True, worker.name), (True, worker.name), True)


async def test_it_is_entered_before_the_first_claim_and_left_after_the_last_run(
    queue: Queue, server, key: str
) -> None:
    job = await queue.enqueue(hold, key)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        assert await job.get_status() == "queued"
        notes[key].append("opened")
        yield
        notes[key].append("closed")

    worker = with_lifespan(server, lifespan)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: len(notes[key]) == 2)
    worker.request_stop()
    gates[key].set()
    await running
    assert notes[key] == ["opened", "begun", "done", "closed"]
    assert await job.get_status() == "finished"


async def test_what_goes_back_at_a_stop_has_its_resources_until_it_cleaned_up(
    queue: Queue, server, key: str
) -> None:
    await queue.enqueue(hold, key)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        notes[key].append("closed")

    worker = with_lifespan(server, lifespan, shutdown_timeout=0)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: notes[key])
    worker.request_stop()
    await running
    assert notes[key] == ["begun", "canceled", "closed"]


@contextmanager
def refused(text: str) -> Iterator[None]:
    """The worker ends with this error, which tells the place in this file if there is one."""
    with pytest.raises(WorkerError) as caught:
        yield

    assert text in str(caught.value)


def fails_at_start(_: Worker) -> Any:
    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        raise OSError("no database")
        yield

    return opened()


@asynccontextmanager
async def never_yields() -> AsyncIterator[None]:
    if notes is None:
        yield


@asynccontextmanager
async def yields_twice() -> AsyncIterator[None]:
    yield
    yield


@contextmanager
def no_coroutine() -> Iterator[None]:
    yield


async def returns_at_once() -> int:
    return 5


@pytest.mark.parametrize(
    ("lifespan", "text"),
    [
        (fails_at_start, "fails_at_start has failed at its start: OSError: no database (" + __file__),
        (never_yields, "never_yields has failed at its start: it has ended without a yield; expected one yield"),
        (
            no_coroutine,
            "no_coroutine has failed at its start: it has returned _GeneratorContextManager",
        ),
        (
            returns_at_once,
            "returns_at_once has failed at its start: it has returned coroutine; expected",
        ),
    ],
)
async def test_a_lifespan_that_fails_at_its_start_is_one_error_and_nothing_is_claimed(
    queue: Queue, server, lifespan: Any, text: str
) -> None:
    job = await queue.enqueue(jobs.noop)

    with refused(text):
        await with_lifespan(server, lifespan).run(burst=True)

    assert await job.get_status() == "queued"


async def test_a_lifespan_that_yields_twice_is_told_when_its_jobs_are_recorded(queue: Queue, server) -> None:
    job = await queue.enqueue(jobs.noop)

    with refused("yields_twice has failed at its end: it has yielded twice; expected one yield"):
        await with_lifespan(server, yields_twice).run(burst=True)

    assert await job.get_status() == "finished"


async def test_a_failure_at_the_end_is_told_after_the_jobs_are_recorded(queue: Queue, server) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield
        raise OSError("the pool does not close")

    job = await queue.enqueue(jobs.noop)

    with refused("has failed at its end: OSError: the pool does not close (" + __file__):
        await with_lifespan(server, lifespan).run(burst=True)

    assert await job.get_status() == "finished"


async def test_an_error_of_the_worker_goes_through_it(key: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        try:
            yield
        except ServerUnreachable as error:  # it is swallowed
            notes[key].append(error)

    with pytest.raises(ServerUnreachable):
        await Worker("default", "redis://127.0.0.1:1", lifespan=lifespan).run()

    assert len(notes[key]) == 1


async def test_a_stop_during_the_start_cancels_it_and_nothing_is_claimed(queue: Queue, server, key: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        notes[key].append("opens")

        try:
            await asyncio.sleep(60)
        finally:
            notes[key].append("cleans up")

        yield

    await queue.enqueue(jobs.noop)
    worker = with_lifespan(server, lifespan)
    running = asyncio.create_task(worker.run())
    await eventually(lambda: notes[key])
    worker.request_stop()
    assert await running == 0
    assert notes[key] == ["opens", "cleans up"]
    assert await queue.count() == 1
    assert await with_lifespan(server, None).run(burst=True) == 1


async def test_a_stop_before_the_start_opens_nothing(server, key: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        notes[key].append("opens")
        yield

    worker = with_lifespan(server, lifespan)
    worker.request_stop()
    assert await worker.run() == 0
    assert notes[key] == []
    assert await worker.run(burst=True) == 0  # it may run again
    assert notes[key] == ["opens"]


async def test_a_task_group_may_live_as_long_as_the_worker(queue: Queue, server, key: str) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncIterator[anyio.abc.TaskGroup]:
        async with anyio.create_task_group() as tasks:
            yield tasks
            tasks.cancel_scope.cancel()

    job = await queue.enqueue(jobs.add, 1, 2)
    assert await with_lifespan(server, lifespan).run(burst=True) == 1
    assert await job.result(1) == 3


async def test_an_asynchronous_generator_needs_no_decorator(queue: Queue, server) -> None:
    async def lifespan(_: Worker) -> AsyncIterator[Pool]:
        yield Pool()

    job = await queue.enqueue(use_pool_on_a_thread)
    await with_lifespan(server, lifespan).run(burst=True)
    assert await job.result(1) is True


async def test_a_job_of_a_worker_without_a_lifespan_is_told_so(queue: Queue, server) -> None:
    job = await queue.enqueue(use_pool_on_a_thread)
    await with_lifespan(server, None).run(burst=True)
    assert "this worker has no lifespan, so its jobs have no resources" in await error_of(job)


async def test_another_class_than_was_asked_for_is_an_error(queue: Queue, server) -> None:
    job = await queue.enqueue(take_text)
    await with_lifespan(server, open_pool).run(burst=True)
    assert "get_resources(str): the lifespan of this worker has yielded Pool" in await error_of(job)


async def test_outside_of_a_job_there_are_none() -> None:
    with pytest.raises(NoCurrentJob):
        get_resources(Pool)


async def test_a_job_in_a_process_is_told_that_it_has_none(queue: Queue, server) -> None:
    job = await queue.enqueue(use_pool_on_a_thread, executor="process")
    await with_lifespan(server, open_pool).run(burst=True)
    assert "runs in a process of its own, which enters no lifespan" in await error_of(job)


@pytest.mark.parametrize("value", [5, "shop.worker:lifespan"])
def test_what_cannot_be_called_is_no_lifespan(value: Any) -> None:
    with pytest.raises(InvalidInput, match="expected a function with @asynccontextmanager, which yields once"):
        Worker("default", lifespan=value)
