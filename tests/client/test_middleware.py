"""Middleware of a queue: what each enqueue goes through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from aioq import InvalidInput, Job, Queue, task
from aioq.errors import DuplicateJobError, InvalidJobOperation
from aioq.middleware import EnqueuedCall, EnqueueMiddleware, EnqueueNext
from tests import jobs

Jobs = list[Job[Any]]


async def add_request_id(calls: Sequence[EnqueuedCall], call_next: EnqueueNext) -> Jobs:
    return await call_next([call.add_meta(request_id="9f2c") for call in calls])


class Noting:
    """Notes what it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def __call__(self, calls: Sequence[EnqueuedCall], call_next: EnqueueNext) -> Jobs:
        self.seen.append([(call.func_name, call.args, call.kwargs, call.meta) for call in calls])
        jobs = await call_next(calls)
        self.seen.append([job.id for job in jobs])
        return jobs


@pytest.fixture
def noting() -> Noting:
    return Noting()


@pytest.fixture
async def through(server, noting: Noting) -> AsyncIterator[Queue]:
    async with Queue("default", server.url, middleware=[add_request_id, noting]) as queue:
        yield queue


@task(meta={"tenant": "a"})
def add_as_task(x: int, y: int) -> int:
    return x + y


async def forms(queue: Queue) -> Jobs:
    """A job by each way to enqueue."""
    add = jobs.add
    bound = queue.task(add)

    return [
        await queue.enqueue(add, 1, y=2),
        await queue.enqueue_call(add, (1,), {"y": 2}),
        await queue.enqueue_in(60, add, 1, y=2),
        await queue.using(at_front=True).enqueue(add, 1, y=2),
        await queue.using().enqueue_in(60, add, 1, y=2),
        await bound.enqueue(1, y=2),
        await queue.enqueue_job(Job.create(add, (1,), {"y": 2})),
        *await queue.enqueue_many([Queue.prepare_data(add, (1,), {"y": 2})]),
    ]


async def test_every_form_goes_through_it(through: Queue, noting: Noting) -> None:
    made = await forms(through)
    stored = await through.fetch_many([job.id for job in made])
    assert [job and job.meta for job in stored] == [{"request_id": "9f2c"}] * 8
    assert noting.seen[::2] == [[("tests.jobs.add", (1,), {"y": 2}, {"request_id": "9f2c"})]] * 8
    assert noting.seen[1::2] == [[job.id] for job in made]
    assert [job.status for job in made] == [*["queued"] * 2, "scheduled", "queued", "scheduled", *["queued"] * 3]


async def test_one_enqueue_of_many_goes_through_it_once(through: Queue, noting: Noting) -> None:
    made = await through.enqueue_many([Queue.prepare_data(jobs.add, (1, at)) for at in range(300)])
    assert [len(each) for each in noting.seen] == [300, 300]
    assert [job.args for job in await through.jobs()] == [(1, at) for at in range(300)]
    assert noting.seen[1] == [job.id for job in made]


async def test_it_may_set_options(server, noting: Noting) -> None:
    async def limit(calls: Sequence[EnqueuedCall], call_next: EnqueueNext) -> Jobs:
        return await call_next([call.using(job_timeout="5s", ttl=60) for call in calls])

    async with Queue("default", server.url, middleware=[limit], default_timeout=90) as queue:
        job = await queue.enqueue(jobs.add, 1, 2, job_timeout=10)
        assert (job.timeout, job.ttl) == (5, 60)


async def test_meta_of_the_caller_and_of_the_task_is_kept(through: Queue, noting: Noting) -> None:
    job = await through.enqueue(add_as_task, 1, 2)
    other = await through.enqueue(jobs.add, 1, 2, meta={"request_id": "own"})
    assert (job.meta, other.meta) == ({"tenant": "a", "request_id": "9f2c"}, {"request_id": "own"})


async def test_an_error_stops_the_enqueue_and_nothing_is_written(server, queue: Queue) -> None:
    async def refuse(calls: Sequence[EnqueuedCall], _: EnqueueNext) -> Jobs:
        raise PermissionError(calls[0].func_name)

    async with Queue("default", server.url, middleware=[refuse]) as refusing:
        with pytest.raises(PermissionError, match=r"tests\.jobs\.add"):
            await refusing.enqueue(jobs.add, 1, 2)

    assert await queue.count() == 0


async def test_it_sees_only_what_was_checked(through: Queue, noting: Noting) -> None:
    with pytest.raises(InvalidInput):
        await through.enqueue(jobs.add, 1)

    with pytest.raises(InvalidInput, match=r"calls\[1\]"):
        await through.enqueue_many([Queue.prepare_data(jobs.add, (1, 2)), Queue.prepare_data(jobs.add, (1,))])

    assert noting.seen == []


async def test_errors_of_the_server_pass_through_it(through: Queue) -> None:
    await through.enqueue(jobs.add, 1, 2, job_id="a")

    with pytest.raises(DuplicateJobError):
        await through.enqueue(jobs.add, 1, 2, job_id="a")


async def swallow(_: Sequence[EnqueuedCall], __: EnqueueNext) -> Jobs:
    return []


async def give_none(calls: Sequence[EnqueuedCall], call_next: EnqueueNext) -> Any:
    await call_next(calls)


@pytest.mark.parametrize("middleware", [swallow, give_none])
async def test_it_must_bring_a_job_for_each_call(server, middleware: EnqueueMiddleware) -> None:
    async with Queue("default", server.url, middleware=[middleware]) as queue:
        with pytest.raises(InvalidJobOperation, match=r"for 1 call; expected .* one job for each call"):
            await queue.enqueue(jobs.add, 1, 2)

        await queue.empty()


@pytest.mark.parametrize("given", [None, "shop.mw", [1], [jobs.add_sync]])
def test_what_is_no_middleware_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match=r"middleware.*async def name\(calls, call_next\)"):
        Queue("default", middleware=given)
