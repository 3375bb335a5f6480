"""What a queue does on an ordinary day, each thing once: for servers that change beneath it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from aioq import Callback, Job, JobFailed, JobStatus, Queue, ServerError
from aioq.errors import DuplicateJobError, JobCanceled, JobStopped
from tests import jobs as simple
from tests.system import jobs
from tests.system.jobs import notes
from tests.tools import eventually

T = TypeVar("T")

#: Seconds that anything may take while a primary is replaced.
PATIENCE = 40.0


async def insist(call: Callable[[], Awaitable[T]], *, timeout: float = PATIENCE) -> T:
    """What an application does while a primary is replaced: it asks again. Calls of aioq may be repeated."""
    async with asyncio.timeout(timeout):
        while True:
            try:
                return await call()
            except ServerError:
                await asyncio.sleep(0.1)


async def put(queue: Queue, job: Job[T]) -> Job[T]:
    """Enqueue a job once, even if nobody knows whether an earlier call arrived."""

    async def once() -> Job[T]:
        try:
            return await queue.enqueue_job(job)
        except DuplicateJobError:
            return await queue.fetch_job(job.id) or job

    return await insist(once)


async def value(job: Job[T]) -> T:
    return await insist(lambda: job.result(timeout=PATIENCE))


async def is_in(job: Job[object], status: JobStatus) -> None:
    """Wait until a job is in a state."""

    async def there() -> bool:
        return await insist(job.get_status) == status

    await eventually(there, timeout=PATIENCE, describe=f"{job.id} is {status}")


async def counts(queue: Queue) -> dict[str, int]:
    """How many jobs each registry has."""
    registries = {
        "started": queue.started_job_registry,
        "scheduled": queue.scheduled_job_registry,
        "finished": queue.finished_job_registry,
        "failed": queue.failed_job_registry,
        "canceled": queue.canceled_job_registry,
        "stopped": queue.stopped_job_registry,
    }
    found = {"queued": await insist(queue.count)}
    found |= {name: await insist(registry.count) for name, registry in registries.items()}

    return {name: number for name, number in found.items() if number}


async def day(queue: Queue, folder: Path) -> dict[str, int]:
    """Each thing once; gives what must stand in the registries then. A worker must serve the queue."""
    done = [await put(queue, Job.create(simple.add, (number, 1))) for number in range(10)]
    assert [await value(job) for job in done] == [number + 1 for number in range(10)]

    path = folder / f"{queue.name}-again"
    called = folder / f"{queue.name}-called"
    callback = Callback(jobs.note_call, args=(str(called),))
    again = Job.create(jobs.raise_once, (str(path),), retry=1, on_retry=callback, on_success=callback)
    assert await value(await put(queue, again)) == "a later run"
    await eventually(lambda: notes(called, "on_success") and notes(called, "on_retry"), timeout=PATIENCE)

    later = await insist(lambda: queue.enqueue_in(0.3, simple.add, 1, 2))
    assert await value(later) == 3

    failing = await put(queue, Job.create(jobs.raise_once, (str(folder / f"{queue.name}-failing"),)))

    try:
        await value(failing)
    except JobFailed:
        assert await insist(lambda: queue.failed_job_registry.contains(failing))
        await _asked(failing.requeue, failing, "queued", "started", "finished")
        assert await value(failing) == "a later run"
    else:
        raise AssertionError("its first run raised, and it has a result")

    canceled = await _ended_while_it_runs(queue, folder, "canceled")
    stopped = await _ended_while_it_runs(queue, folder, "stopped")

    for job, kind in ((canceled, JobCanceled), (stopped, JobStopped)):
        try:
            await value(job)
        except kind:
            pass
        else:
            raise AssertionError(f"{job.id} has a result")

    return {"finished": 13, "canceled": 1, "stopped": 1}


async def _ended_while_it_runs(queue: Queue, folder: Path, status: str) -> Job[str]:
    path = folder / f"{queue.name}-{status}"
    job = await put(queue, Job.create(jobs.work, (str(path), 600.0)))
    await eventually(lambda: notes(path, "start"), timeout=PATIENCE, describe=f"{job.id} runs")
    await _asked(job.cancel if status == "canceled" else job.stop, job, status)
    await is_in(job, JobStatus(status))
    await eventually(lambda: notes(path, "cancelled"), timeout=PATIENCE, describe=f"the body of {job.id} is ended")

    return job


async def _asked(call: Callable[[], Awaitable[None]], job: Job[str], *states: str) -> None:
    """Change a job's state; that it is in one of these says that an earlier call arrived."""

    async def once() -> None:
        try:
            await call()
        except ServerError:
            raise
        except Exception:
            if await job.get_status() not in states:
                raise

    await insist(once)
