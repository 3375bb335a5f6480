"""The audit as programs see it: who acts, and which calls are one action."""

from __future__ import annotations

import asyncio

import pytest

from aioq import Group, Queue, acting_as
from aioq import sync as plain
from tests import jobs
from tests.conftest import Server


async def actions(queue: Queue) -> list[tuple[str, str, int, str]]:
    return [(each.by, each.action, each.count, each.detail) for each in await queue.audit()]


async def test_each_call_is_one_action_however_many_jobs_it_concerns(queue: Queue) -> None:
    many = [jobs.noop.__module__ + ".noop"] * 1_100
    await asyncio.gather(*(queue.enqueue(each, job_id=f"job{number:04}") for number, each in enumerate(many)))

    with acting_as("ann"):
        assert await queue.cancel_matching("state:queued fn:tests.*") == 1_100
        assert await queue.canceled_job_registry.requeue_all() == 1_100
        assert await queue.cancel_matching("state:queued id:job0001") == 1
        await queue.requeue([f"job{number:04}" for number in range(1_100)])
        assert await queue.delete_matching("state:queued id:job0007") == 1
        assert await queue.empty() == 1_099

    assert await actions(queue) == [
        ("ann", "empty", 1_099, ""),
        ("ann", "delete", 1, "id:job0007 state:queued"),
        ("ann", "requeue", 1, ""),
        ("ann", "cancel", 1, "id:job0001 state:queued"),
        ("ann", "requeue", 1_100, "all that were canceled"),
        ("ann", "cancel", 1_100, "state:queued fn:tests.*"),
    ]


async def test_who_acts_is_known_to_the_task_and_its_tasks_alone(queue: Queue) -> None:
    first, second, third = [await queue.enqueue(jobs.noop) for _ in range(3)]

    async def cancel_later() -> None:
        await asyncio.sleep(0)
        await second.cancel()

    with acting_as("ann"):
        inside = asyncio.create_task(cancel_later())

        with acting_as("bob"):
            await first.cancel()

    await third.cancel()
    await inside
    assert await actions(queue) == [("ann", "cancel", 1, ""), ("bob", "cancel", 1, "")]


async def test_pauses_mutes_and_budgets_tell_more_of_it(queue: Queue, burst) -> None:
    await queue.enqueue(jobs.div_by_zero, 1)
    await burst("default")
    (failure,) = await queue.failures()

    with acting_as("ann"):
        await queue.pause("30m", reason="the disk is full")
        await queue.resume()
        await queue.set_retry_budget(10, per="1m")
        await queue.set_retry_budget(None)
        await queue.mute_failure(failure, "1h")
        await queue.unmute_failure(failure)

    assert [each[1::2] for each in await actions(queue)] == [
        ("unmute", ""),
        ("mute", "for 1h"),
        ("retry_budget", "none"),
        ("retry_budget", "10 per 1m"),
        ("resume", ""),
        ("pause", "for 30m"),
    ]
    assert (await queue.audit())[-1].reason == "the disk is full"
    assert (await queue.audit())[0].subjects == (failure.fingerprint,)


async def test_a_pause_and_a_muted_failure_are_by_whoever_acts(queue: Queue, burst, raw) -> None:
    await queue.enqueue(jobs.div_by_zero, 1)
    await burst("default")
    (failure,) = await queue.failures()

    with acting_as("ann" * 50):
        await queue.pause()
        await queue.mute_failure(failure)

    assert ("ann" * 50)[:100] in str(raw.get(queue.store.keys.paused))
    assert (await queue.failures())[0].muted_by == "ann" * 50
    await queue.unmute_failure(failure)
    await queue.delete()


async def test_a_group_is_one_action(queue: Queue) -> None:
    group = await queue.enqueue_group([queue.prepare_data(jobs.noop) for _ in range(3)])

    with acting_as("ann"):
        assert await group.cancel() == 3

    assert isinstance(group, Group)
    assert await actions(queue) == [("ann", "cancel", 3, f"group {group.name}")]


async def test_a_deleted_queue_leaves_no_audit(queue: Queue, raw) -> None:
    with acting_as("ann"):
        await queue.enqueue(jobs.noop)
        await queue.pause()
        await queue.delete()

    assert await queue.audit() == []


def test_code_without_an_event_loop(server: Server) -> None:
    with plain.Queue("default", server.url) as queue:
        job = queue.enqueue(jobs.noop)

        with acting_as("ann", reason="ticket 12"):
            job.cancel()
            queue.requeue([job.id])

        job.cancel()
        assert [(each.by, each.action, each.reason) for each in queue.audit()] == [
            ("ann", "requeue", "ticket 12"),
            ("ann", "cancel", "ticket 12"),
        ]
        assert len(queue.audit(limit=1)) == 1
        assert len(queue.audit(job=job)) == len(queue.audit(job=job.id)) == 2
        assert queue.audit(job=queue.enqueue(jobs.noop)) == []


async def test_the_rows_that_name_a_job(queue: Queue) -> None:
    first, second = [await queue.enqueue(jobs.noop) for _ in range(2)]

    with acting_as("ann"):
        await first.cancel()
        await queue.requeue([first, second])
        await second.cancel()

    assert [each.action for each in await queue.audit(job=first)] == ["requeue", "cancel"]
    assert [each.action for each in await queue.audit(1, job=second.id)] == ["cancel"]

    with pytest.raises(TypeError, match="job_id=7"):
        await queue.audit(job=7)  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [-1, 1.5, "x"])
async def test_a_limit_that_is_none_is_refused(queue: Queue, limit: object) -> None:
    with pytest.raises(ValueError, match="limit"):
        await queue.audit(limit)
