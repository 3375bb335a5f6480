"""Jobs that depend on others, as users write it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioq import InvalidInput, Job, NoSuchJobError, Queue, Worker, current_job
from aioq.errors import InvalidJobOperation
from aioq.sync import context as plain
from aioq.values.dependency import Dependency
from tests import jobs
from tests.tools import eventually
from tests.worker.notes import note, notes


async def states(*made: Job[Any]) -> list[str]:
    for job in made:
        await job.refresh()
    return [job.status for job in made]


async def test_a_job_runs_after_those_that_it_depends_on(queue: Queue, burst, key: str) -> None:
    first = await queue.enqueue(note, key, "first")
    second = await queue.enqueue(note, key, "second")
    last = await queue.enqueue(note, key, "last", depends_on=[first, second.id], at_front=True)
    assert last.status == "deferred"
    assert last.is_deferred
    assert await queue.deferred_job_registry.job_ids() == [last.id]
    assert last.dependency_ids == [first.id, second.id]
    assert await last.dependencies() == [first, second]
    assert await first.dependents() == [last]
    await burst()
    assert notes[key] == ["first", "second", "last"]
    assert await first.dependents() == []


@pytest.mark.parametrize(
    ("policy", "becomes"), [("wait", "deferred"), ("run", "finished"), ("cancel", "canceled"), ("fail", "failed")]
)
async def test_what_a_failure_means_is_said_with_the_dependency(
    queue: Queue, burst, key: str, policy: Any, becomes: str
) -> None:
    failing = await queue.enqueue(jobs.div_by_zero, 1, failure_ttl=60)
    job = await queue.enqueue(note, key, depends_on=Dependency(failing, on_failure=policy))
    await burst()
    assert await states(failing, job) == ["failed", becomes]

    if becomes == "failed":
        assert f"DependencyFailed: job {failing.id}, on which this one depends, is failed" in (job.exc_info or "")


async def test_every_form_of_enqueue_takes_it(queue: Queue, burst, key: str) -> None:
    first = await queue.enqueue(note, key, "first")
    made = [
        await queue.enqueue_call(note, (key, 1), depends_on=first),
        await queue.using(depends_on=first).enqueue(note, key, 2),
        await queue.enqueue_job(Job.create(note, (key, 3), depends_on=first)),
        *await queue.enqueue_many([Queue.prepare_data(note, (key, 4), depends_on=first)]),
        await queue.enqueue_in(0.05, note, key, 5, depends_on=first),
    ]
    assert [job.status for job in made] == ["deferred"] * 5
    await burst()
    assert notes[key][0] == "first"
    assert {1, 2, 3, 4} <= set(notes[key])


async def test_a_cancel_takes_all_that_wait_along(queue: Queue, key: str) -> None:
    first = await queue.enqueue(note, key)
    second = await queue.enqueue(note, key, depends_on=Dependency(first, on_failure="run"))
    third = await queue.enqueue(note, key, depends_on=[Dependency(second, on_failure="run"), first])

    async with Queue("other", queue.connection) as other:
        last = await other.enqueue(note, key, depends_on=Dependency(third, on_failure="fail"))
        alone = await queue.enqueue(note, key)
        await first.cancel(dependents=True)
        assert await states(first, second, third, last) == ["canceled"] * 4
        assert await states(alone) == ["queued"]


@pytest.mark.parametrize("nothing", [[], (), None, False, Dependency([])], ids=repr)
async def test_a_job_that_depends_on_nothing_is_queued(queue: Queue, key: str, nothing: Any) -> None:
    assert (await queue.enqueue(note, key, depends_on=nothing)).is_queued


async def test_one_that_has_ended_is_judged_at_once(queue: Queue, burst, key: str) -> None:
    first = await queue.enqueue(note, key)
    await burst()
    job = await queue.enqueue(note, key, depends_on=first)
    assert await states(job) == ["queued"]


async def test_what_cannot_be_depended_on_is_refused_and_nothing_is_written(
    queue: Queue, server, key: str
) -> None:
    other = Queue("default", server.url, prefix="other")
    foreign = await other.enqueue(note, key)

    for depends_on, error in [
        (foreign, "has another server, prefix or secret than queue 'default'"),
        (Job.create(note, (key,)), "was never enqueued"),
        (5, "expected a job, its id, or a list of them"),
        ([5], "expected a job, its id, or a list of them"),
        ("a b", "depends_on='a b'"),
        (["a", Dependency("a", on_failure="run")], "stands there with on_failure='wait' and with 'run'"),
    ]:
        with pytest.raises(InvalidInput, match=error):
            await queue.enqueue(note, key, depends_on=depends_on)

    with pytest.raises(InvalidInput, match="cannot depend on itself"):
        await queue.enqueue(note, key, job_id="a", depends_on="a")

    with pytest.raises(InvalidInput, match=r"on_failure='stop': expected one of 'wait', 'run'"):
        Dependency("a", on_failure="stop")  # type: ignore[arg-type]

    with pytest.raises(NoSuchJobError, match="is to depend on job nobody"):
        await queue.enqueue(note, key, depends_on="nobody")

    assert await queue.count() == 0
    assert await queue.deferred_job_registry.count() == 0
    await other.delete()
    await other.aclose()


async def test_a_requeue_brings_back_those_that_the_end_has_ended(queue: Queue, burst, key: str) -> None:
    failing = await queue.enqueue(note, key, "first")
    canceled = await queue.enqueue(note, key, "second", depends_on=Dependency(failing, on_failure="cancel"))
    last = await queue.enqueue(note, key, "third", depends_on=Dependency(canceled, on_failure="fail"))
    await failing.cancel()
    assert await states(canceled, last) == ["canceled", "failed"]
    assert await failing.requeue(dependents=True) == {canceled.id: "deferred", last.id: "deferred"}
    assert failing.is_queued
    await burst()
    assert notes[key] == ["first", "second", "third"]

    with pytest.raises(InvalidJobOperation, match="is finished; only failed"):
        await failing.requeue(dependents=True)


async def test_a_member_of_a_group_comes_back_too(queue: Queue, burst, key: str) -> None:
    first = await queue.enqueue(note, key, "first")
    depends_on = Dependency(first, on_failure="cancel")
    group = await queue.enqueue_group([Queue.prepare_data(note, (key, "second"), depends_on=depends_on)])
    await first.cancel()
    assert (await group.progress()).canceled == 1
    assert list((await first.requeue(dependents=True)).values()) == ["deferred"]
    assert (await group.progress()).ended == 0
    await burst()
    assert (await group.progress()).finished == 1


async def add_two(key: str) -> None:
    job = current_job()
    await job.add_child(note, key, "first child", description="added")
    child = await job.add_child(note, args=(key, "second child"))
    assert child.origin == job.origin
    notes[key].append("job")


def add_two_plainly(key: str) -> None:
    job = plain.current_job()
    job.add_child(note, key, "first child", description="added")
    assert job.add_child(note, args=(key, "second child")).is_queued
    notes[key].append("job")


@pytest.mark.parametrize("function", [add_two, add_two_plainly])
async def test_a_dependent_waits_for_the_children_of_a_run_too(
    queue: Queue, burst, key: str, function: Any
) -> None:
    job = await queue.enqueue(function, key)
    last = await queue.enqueue(note, key, "last", depends_on=job)
    await burst()
    assert set(notes[key][:-1]) == {"job", "first child", "second child"}
    assert notes[key][-1] == "last"
    assert await states(job, last) == ["finished", "finished"]


async def add_child_late(key: str) -> None:
    job = current_job()

    async def later() -> None:
        while not notes[f"{key} over"]:
            await asyncio.sleep(0.01)

        with pytest.raises(InvalidJobOperation, match=r"does not count any more.*was not enqueued"):
            await job.add_child(note, key)

        notes[key].append("refused")

    notes[f"{key} tasks"].append(asyncio.create_task(later()))


async def test_only_the_run_itself_adds_children(queue: Queue, start_worker, key: str) -> None:
    job = await queue.enqueue(add_child_late, key)

    with pytest.raises(AttributeError, match=r"Only the run of a job adds children to it"):
        job.add_child  # type: ignore[attr-defined]

    await start_worker("default")
    await job.result(timeout=10)
    notes[f"{key} over"].append(None)
    await eventually(lambda: notes[key] == ["refused"])
    assert await queue.count() == 0


async def add_child_in_callback(job: Any, result: Any) -> None:
    with pytest.raises(InvalidJobOperation, match="this is the callback on_success of job"):
        await current_job().add_child(note, "key")

    notes[f"callback {job.id}"].append("refused")


async def test_a_callback_adds_no_children(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(note, key, on_success=add_child_in_callback)
    await burst()
    assert notes[f"callback {job.id}"] == ["refused"]


async def test_a_job_in_a_process_adds_no_children(queue: Queue, burst) -> None:
    job = await queue.enqueue(add_two_plainly, "key", executor="process")
    await burst()
    await job.refresh()
    assert job.is_failed
    assert "runs in a process of its own" in (job.exc_info or "")


async def test_a_child_goes_through_the_middleware(queue: Queue, burst, key: str) -> None:
    seen: list[str] = []

    async def look(calls: Any, call_next: Any) -> Any:
        seen.extend(call.func_name for call in calls)
        return await call_next(calls)

    async with Queue("default", queue.connection, middleware=[look]) as other:
        job = await queue.enqueue(add_two, key)
        last = await other.enqueue(note, key, "last", depends_on=job)
        await Worker(other).run(burst=True)

    assert notes[key][-1] == "last"
    assert await states(last) == ["finished"]
    assert len(seen) >= 1
