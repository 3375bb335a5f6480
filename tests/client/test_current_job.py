"""S1: access to the current job (research/rq.md 2.1)."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from aioq import Job, JobFailed, JobStatus, Queue, current_job, get_current_job
from aioq.errors import InvalidJobOperation
from aioq.values.errors import NoCurrentJob
from tests import jobs
from tests.tools import eventually


async def test_a_coroutine_knows_its_job(queue: Queue, start_worker) -> None:  # A02
    await start_worker()
    job = await queue.enqueue(jobs.current_id)
    assert await job.result(5) == job.id


async def test_a_plain_function_knows_its_job(queue: Queue, start_worker) -> None:  # A01
    await start_worker()
    job = await queue.enqueue(jobs.current_id_sync)
    assert await job.result(5) == job.id


async def test_outside_of_a_job_there_is_none(queue: Queue, start_worker) -> None:  # A03
    assert get_current_job() is None
    await start_worker()
    await (await queue.enqueue(jobs.current_id)).result(5)
    assert get_current_job() is None


async def own_ids(pauses: list[float]) -> list[str]:
    seen = []

    async def child(pause: float) -> None:
        await asyncio.sleep(pause)
        seen.append(get_current_job().id)

    await asyncio.create_task(child(pauses[0]))
    await asyncio.gather(*(child(pause) for pause in pauses))

    async with asyncio.TaskGroup() as group:
        for pause in pauses:
            group.create_task(child(pause))

    seen.append(get_current_job().id)
    return seen


async def test_each_of_fifty_jobs_and_their_child_tasks_see_their_own(queue: Queue, start_worker) -> None:  # A04
    await start_worker(concurrency=50)
    enqueued = [await queue.enqueue(own_ids, [random.uniform(0, 0.02) for _ in range(3)]) for _ in range(50)]
    for job, seen in zip(enqueued, await asyncio.gather(*(job.result(10) for job in enqueued)), strict=True):
        assert set(seen) == {job.id}


async def id_in_thread() -> str:
    return (await asyncio.to_thread(get_current_job)).id


async def test_it_is_seen_through_to_thread(queue: Queue, start_worker) -> None:  # A05
    await start_worker()
    job = await queue.enqueue(id_in_thread)
    assert await job.result(5) == job.id


def job_in_bare_thread() -> object:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(get_current_job()))
    thread.start()
    thread.join()
    return seen[0]


async def test_a_bare_thread_sees_none(queue: Queue, start_worker) -> None:  # A06
    await start_worker()
    assert await (await queue.enqueue(job_in_bare_thread)).result(5) is None


async def try_to_change() -> list[str]:
    job = get_current_job()
    refused = []
    for name in ("id", "status", "description", "args", "timeout", "origin", "something"):
        try:
            setattr(job, name, "changed")
        except AttributeError:
            refused.append(name)
    return refused


async def test_the_job_cannot_be_changed_but_for_its_meta(queue: Queue, start_worker) -> None:  # A10
    await start_worker()
    job = await queue.enqueue(try_to_change, description="mine")
    assert await job.result(5) == ["id", "status", "description", "args", "timeout", "origin", "something"]
    await job.refresh()
    assert job.description == "mine"


async def test_it_takes_no_connection() -> None:  # A11
    with pytest.raises(TypeError):
        get_current_job(connection="redis://localhost")  # type: ignore[call-arg]


async def facts(x: int, *, y: int) -> dict[str, object]:
    job = get_current_job()
    return {
        "status": job.status,
        "attempt": job.attempt,
        "args": job.args,
        "kwargs": job.kwargs,
        "origin": job.origin,
        "worker": job.worker_name,
        "started": job.started_at is not None and job.ended_at is None,
        "expires_at": job.expires_at,
        "timeout": job.timeout,
        "description": job.description,
    }


async def test_its_facts_are_those_of_the_run(queue: Queue, start_worker) -> None:
    running = await start_worker()
    job = await queue.enqueue(facts, 1, y=2, ttl=60, job_timeout=30)
    assert await job.result(5) == {
        "status": JobStatus.STARTED,
        "attempt": 1,
        "args": (1,),
        "kwargs": {"y": 2},
        "origin": "default",
        "worker": running.worker.name,
        "started": True,
        "expires_at": None,
        "timeout": 30,
        "description": "tests.client.test_current_job.facts(1, y=2)",
    }


async def cancel_self() -> None:
    await get_current_job().cancel()
    await asyncio.sleep(10)


async def test_a_job_may_cancel_itself(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(cancel_self)
    with pytest.raises(Exception, match="canceled"):
        await job.result(5)
    assert await job.get_status() == JobStatus.CANCELED


async def requeue_self() -> str:
    try:
        await get_current_job().requeue()
    except InvalidJobOperation as error:
        return str(error)
    return "requeued"


async def test_a_running_job_cannot_requeue_itself(queue: Queue, start_worker) -> None:
    await start_worker()
    assert "is started" in await (await queue.enqueue(requeue_self)).result(5)


def thread_ids(count: int) -> list[str]:
    return [get_current_job().id for _ in range(count)]


async def test_a_thread_that_is_used_again_sees_the_next_job(queue: Queue, start_worker) -> None:
    await start_worker(concurrency=1)
    enqueued = [await queue.enqueue(thread_ids, 3) for _ in range(5)]
    for job in enqueued:
        assert set(await job.result(5)) == {job.id}


async def id_of_current() -> str:
    return current_job().id


def id_of_current_sync() -> str:
    return current_job().id


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_current_job_is_the_job(queue: Queue, start_worker, executor: str) -> None:
    await start_worker()
    job = await queue.enqueue(id_of_current)
    plain = await queue.enqueue(id_of_current_sync, executor=executor)
    assert (await job.result(5), await plain.result(20)) == (job.id, plain.id)


async def test_current_job_says_that_no_job_runs_here() -> None:
    with pytest.raises(NoCurrentJob, match=r"no job runs here.*get_current_job\(\) gives None"):
        current_job()


async def follow(number: int) -> str:
    own = current_job().queue
    assert own is current_job().queue
    following = await own.enqueue(jobs.add, number, 1)
    return following.id


async def test_a_job_enqueues_the_next_one_by_its_queue(server, start_worker) -> None:
    await start_worker("shop", prefix="app", secret="s" * 20)
    async with Queue("shop", server.url, prefix="app", secret="s" * 20) as queue:
        made = [await (await queue.enqueue(follow, number)).result(5) for number in range(3)]
        for number, job_id in enumerate(made):
            assert await (await Job.fetch(job_id, queue)).result(5) == number + 1
        await queue.delete()


async def test_the_queue_of_a_handle_is_the_one_that_it_came_from(queue: Queue) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    assert job.queue is queue
    assert (await Job.fetch(job.id, queue)).queue is queue
    assert (await queue.jobs())[0].queue is queue
    assert Job.create(jobs.add, (1, 2)).queue is None


def queue_apart() -> None:
    assert current_job().queue


async def test_a_process_of_its_own_has_no_queue_and_says_what_to_do(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(queue_apart, executor="process")
    with pytest.raises(JobFailed, match=r"no connection to the server: .* open a Queue in the function"):
        await job.result(20)


left: list[object] = []


async def leave_a_task_behind() -> None:
    job = current_job()

    async def outlive() -> None:
        while (await job.get_status()) == JobStatus.STARTED:
            await asyncio.sleep(0.01)
        assert current_job() is job
        job.meta["late"] = True
        try:
            await job.save_meta()
        except InvalidJobOperation as error:
            left.append(str(error))

    left.append(asyncio.create_task(outlive()))


async def test_a_task_that_a_job_leaves_behind_goes_on_and_its_run_is_over(queue: Queue, start_worker) -> None:
    left.clear()
    await start_worker()
    job = await queue.enqueue(leave_a_task_behind)
    await job.result(5)
    await eventually(lambda: len(left) == 2)
    assert "this run has lost its claim" in str(left[1])
    assert await job.get_meta() == {}
