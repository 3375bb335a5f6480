"""`Job.explain`: one call that reads, whatever has become of the job."""

from __future__ import annotations

import pytest

from aioq import Job, Queue, ResultOf, Worker
from aioq.errors import InvalidInput, InvalidJobOperation
from aioq.types import Explanation, Reason, ReasonKind
from tests import jobs
from tests.tools import RunningWorker, eventually

K = ReasonKind


async def reasons(job: Job[object]) -> dict[ReasonKind, Reason]:
    return {each.kind: each for each in (await job.explain()).reasons}


async def test_a_job_tells_why_it_waits_and_its_snapshot_stays(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop, job_id="a")
    await queue.pause("1h", reason="the mail server moves", by="ann")
    snapshot = job.record
    found = await job.explain()
    assert isinstance(found, Explanation)
    assert (found.job_id, found.queue, found.status) == ("a", queue.name, "queued")
    assert [each.kind for each in found.reasons] == [K.PAUSED, K.NO_WORKER, K.AHEAD]
    assert found.reasons[0].data["by"] == "ann"
    assert job.record is snapshot


async def test_a_handle_with_a_snapshot_knows_that_its_job_went_just_now(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop, job_id="chosen")
    await job.refresh()
    await job.delete()
    assert (await reasons(job))[K.GONE].data == {"is_recent": True}


async def test_a_job_that_was_never_enqueued_is_refused(queue: Queue) -> None:
    with pytest.raises(InvalidJobOperation, match="was never enqueued"):
        await Job.create(jobs.noop).explain()


async def test_workers_that_may_not_run_it_and_such_that_are_full_are_told(queue: Queue) -> None:
    held = await queue.enqueue(jobs.sleep, 60)

    async with RunningWorker([queue], concurrency=1, allow="tests.jobs.sleep") as running:
        await eventually(lambda: is_told(queue, running.worker.name, held))
        job = await queue.enqueue(jobs.noop)
        found = await reasons(job)
        told = found[K.NOT_ALLOWED]
        assert told.data["patterns"] == ["tests.jobs.sleep"]
        assert told.text.startswith(f"No live worker of queue {queue.name} may run tests.jobs.noop")
        assert f"aioq worker {queue.name} --allow tests.jobs.noop" in told.remedy
        assert K.NO_WORKER not in found
        assert (await reasons(held))[K.RUNS].data["worker"] == running.worker.name
        await held.cancel()
        await eventually(lambda: is_failed(job))

    assert K.NOT_ALLOWED in await reasons(job)


async def is_told(queue: Queue, worker: str, held: Job[object]) -> bool:
    """Whether the job runs, and the worker has described itself."""
    return bool(await queue.connection.call(("EXISTS", f"aioq:worker:{worker}"))) and (
        await held.get_status() == "started"
    )


async def is_failed(job: Job[object]) -> bool:
    return await job.get_status() == "failed"


async def test_a_job_that_depends_on_one_of_another_queue_names_it(queue: Queue) -> None:
    async with Queue("other", queue.connection) as other:
        parent = await other.enqueue(jobs.add, 1, 2)
        job = await queue.enqueue(jobs.add, ResultOf(parent), 3, depends_on=parent)
        told = (await reasons(job))[K.PARENT]
        assert (told.data["job"], told.data["queue"], told.data["status"]) == (parent.id, "other", None)
        await Worker([queue, other]).run(burst=True)
        assert [*await reasons(job)] == [K.FINISHED]


async def test_a_reason_that_cannot_be_shown_is_refused_and_nothing_is_paused(queue: Queue) -> None:
    with pytest.raises(InvalidInput, match="reason="):
        await queue.pause(reason="two\nlines")

    assert not await queue.is_paused()
