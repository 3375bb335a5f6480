import pytest

from aioq import JobFailed, Queue, Retry
from tests import jobs


async def test_a_job_runs_and_its_result_comes_back(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(jobs.add, 1, 2)
    assert await job.result(timeout=5) == 3


async def test_a_failed_job_waits_in_its_registry_and_can_be_requeued(queue: Queue, burst) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 1, retry=Retry(1))
    await burst()
    with pytest.raises(JobFailed, match="ZeroDivisionError"):
        await job.result(timeout=5)
    assert await queue.failed_job_registry.count() == 1
    await queue.failed_job_registry.requeue(job)
    assert await queue.failed_job_registry.count() == 0
    assert await queue.count() == 1
