"""Jobs that depend on jobs of other queues of the same server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from aioq import Job, NoSuchJobError, Queue
from aioq.doctor.queue import examine_queues
from aioq.store.outbox import End
from aioq.store.relay import relay
from aioq.values.dependency import Dependency
from aioq.worker import relaying
from tests import jobs
from tests.store.tools import audit, clock
from tests.tools import eventually
from tests.worker.notes import note, notes


@pytest.fixture
async def other(queue: Queue) -> AsyncIterator[Queue]:
    async with Queue("other", queue.connection) as opened:
        yield opened


def fail_until(key: str, count: int) -> None:
    notes[key].append(None)

    if len(notes[key]) < count:
        raise ConnectionError


async def state(job: Job[Any]) -> str:
    return str(await job.get_status())


def rows(raw: redis.Redis, queue: str) -> list[str]:
    return raw.zrange(f"aioq:{{{queue}}}:outbox", 0, -1)


async def test_a_job_runs_after_one_of_another_queue(
    queue: Queue, other: Queue, start_worker: Any, key: str, raw: redis.Redis
) -> None:
    first = await other.enqueue(note, key, "first")
    last = await queue.enqueue(note, key, "last", depends_on=first)
    assert last.is_deferred
    assert last.dependency_ids == [first.id]
    assert await last.dependencies() == [first]
    assert await first.dependents() == [last]
    assert rows(raw, "default") == rows(raw, "other") == []
    await start_worker("default", "other")
    assert await last.result(timeout=10) == "last"
    assert notes[key] == ["first", "last"]
    assert rows(raw, "other") == []


async def test_the_ttl_of_a_job_counts_from_the_end_of_one_of_another_queue(
    queue: Queue, other: Queue, burst: Any, raw: redis.Redis
) -> None:
    first = await other.enqueue(jobs.noop)
    last = await queue.enqueue(jobs.noop, depends_on=first, ttl=60)
    await burst("other")
    await relay(other.store)
    assert await state(last) == "queued"
    assert raw.zcard("aioq:{default}:deferred") == raw.scard(f"aioq:{{default}}:open:{last.id}") == 0
    assert rows(raw, "other") == []
    ((_, deadline_ms),) = raw.zrange("aioq:{default}:expiring", 0, -1, withscores=True)
    assert 50_000 < deadline_ms - clock(raw) <= 60_000


async def test_a_burst_waits_for_what_is_carried_to_its_queues(
    queue: Queue, other: Queue, burst: Any, key: str
) -> None:
    first = await other.enqueue(note, key, 1)
    second = await queue.enqueue(note, key, 2, depends_on=first)
    await other.enqueue(note, key, 3, depends_on=second)
    await burst("default", "other")
    assert notes[key] == [1, 2, 3]


@pytest.mark.parametrize(
    ("policy", "becomes"), [("wait", "deferred"), ("run", "queued"), ("cancel", "canceled"), ("fail", "failed")]
)
async def test_what_a_failure_means_is_said_with_the_dependency(
    queue: Queue, other: Queue, burst: Any, key: str, policy: Any, becomes: str
) -> None:
    failing = await other.enqueue(jobs.div_by_zero, 1, failure_ttl=60)
    job = await queue.enqueue(note, key, depends_on=Dependency(failing, on_failure=policy))
    ended = await queue.enqueue(note, key)
    await burst("other")
    await eventually(lambda: relayed(job, other, becomes))
    late = await queue.enqueue(note, key, depends_on=Dependency(failing, on_failure=policy))
    assert await state(late) == becomes, "one that has ended is judged at once"
    assert await state(ended) == "queued"


async def relayed(job: Job[Any], other: Queue, becomes: str) -> bool:
    await relay(other.store)

    return await state(job) == becomes


async def test_a_finish_that_a_requeue_brings_lets_it_run(
    queue: Queue, other: Queue, burst: Any, key: str
) -> None:
    first = await other.enqueue(fail_until, key, 2)
    job = await queue.enqueue(note, key, depends_on=first)
    await burst("other")
    assert (await state(first), await state(job)) == ("failed", "deferred")
    await first.requeue()
    await burst("default", "other")
    assert (await state(first), await state(job)) == ("finished", "finished")


async def test_one_that_is_not_there_is_refused_and_nothing_is_left(
    queue: Queue, other: Queue, server: Any, key: str, raw: redis.Redis
) -> None:
    gone = await other.enqueue(note, key)
    there = await other.enqueue(note, key)
    await gone.delete()

    for depends_on in (gone, [there, gone], [gone, there]):
        with pytest.raises(NoSuchJobError, match=rf"depend on job {gone.id}, which is not in queue 'other'"):
            await queue.enqueue(note, key, depends_on=depends_on)

    assert await queue.deferred_job_registry.count() == 0
    assert rows(raw, "default") == rows(raw, "other") == []

    with redis.Redis.from_url(server.url) as client:
        assert audit(client, queue.store) == []


async def test_whoever_enqueued_it_may_die_in_between(
    queue: Queue, other: Queue, burst: Any, key: str, monkeypatch: pytest.MonkeyPatch, raw: redis.Redis
) -> None:
    first = await other.enqueue(note, key, "first")

    with monkeypatch.context() as patch:
        patch.setattr("aioq.client.producer.tell_others", dies)
        with pytest.raises(ZeroDivisionError):
            await queue.enqueue(note, key, "last", job_id="last", depends_on=first)

    assert len(rows(raw, "default")) == 1
    await relay(queue.store)
    assert rows(raw, "default") == []
    await burst("default", "other")
    assert notes[key] == ["first", "last"]


async def dies(*_: object) -> None:
    raise ZeroDivisionError


async def test_a_worker_of_the_waiting_queue_carries_the_rows_of_the_other_one(
    queue: Queue, other: Queue, start_worker: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody serves that queue when its last job ends by a cancel."""
    monkeypatch.setattr("aioq.worker.relaying.PAUSE_S", 0.05)
    first = await other.enqueue(note, key)
    job = await queue.enqueue(note, key, depends_on=Dependency(first, on_failure="run"))
    await start_worker("default")
    await first.cancel()
    assert await job.result(timeout=10) is None


async def test_many_jobs_depend_on_one_of_another_queue(
    queue: Queue, other: Queue, burst: Any, key: str, raw: redis.Redis
) -> None:
    first = await other.enqueue(note, key, 0)
    made = await queue.enqueue_many([Queue.prepare_data(note, (key, 1), depends_on=first) for _ in range(600)])
    assert {job.status for job in made} == {"deferred"}
    await burst("default", "other")
    assert notes[key] == [0, *[1] * 600]
    assert rows(raw, "other") == []


async def test_a_requeue_brings_back_those_that_the_end_has_ended(
    queue: Queue, other: Queue, burst: Any, key: str
) -> None:
    first = await other.enqueue(note, key, 1)
    second = await queue.enqueue(note, key, 2, depends_on=Dependency(first, on_failure="cancel"))
    third = await other.enqueue(note, key, 3, depends_on=Dependency(second, on_failure="fail"))

    for _ in range(2):  # the second time they are of another edition
        await first.cancel()
        await eventually(lambda: relayed(second, other, "canceled"))
        await eventually(lambda: relayed(third, queue, "failed"))
        assert await first.requeue(dependents=True) == {f"{second.id}@default": "deferred"}
        assert await first.dependents() == [second]
        await eventually(lambda: relayed(third, queue, "deferred"))

    await burst("default", "other")
    assert notes[key] == [1, 2, 3]


async def test_what_is_told_late_of_an_end_that_was_taken_back_means_nothing(
    queue: Queue, other: Queue, burst: Any, key: str
) -> None:
    first = await other.enqueue(note, key, 1)
    second = await queue.enqueue(note, key, 2, depends_on=Dependency(first, on_failure="cancel"))
    await first.cancel()
    late = [End(second.id, f"{first.id}@other", 2, "canceled")]
    await eventually(lambda: relayed(second, other, "canceled"))
    again = [End(second.id, f"{first.id}@other", 2, "again")]
    assert await first.requeue(dependents=True) == {f"{second.id}@default": "deferred"}
    await queue.store.outbox.decide(late)
    assert await state(second) == "deferred"
    await second.cancel()
    await queue.store.outbox.decide(again)
    assert await state(second) == "canceled"


async def test_a_ttl_counts_from_the_release(queue: Queue, other: Queue, burst: Any, key: str) -> None:
    first = await other.enqueue(note, key, 1)
    second = await queue.enqueue(note, key, 2, depends_on=first, ttl=60)
    await burst("other")
    await eventually(lambda: relayed(second, other, "queued"))
    await second.refresh()
    assert second.expires_at is not None
    assert await queue.deferred_job_registry.count() == 0
    await burst("default")
    assert notes[key] == [1, 2]


async def test_what_the_other_server_has_lost_is_told_again(
    queue: Queue, other: Queue, start_worker: Any, burst: Any, key: str, raw: redis.Redis, monkeypatch: Any
) -> None:
    first, second = await other.enqueue_in(60, note, key), await other.enqueue(note, key, "second")
    waiting = await queue.enqueue(note, key, depends_on=first)
    last = await queue.enqueue(note, key, "last", depends_on=second)
    raw.delete(*(f"aioq:{{other}}:dependents:{each.id}" for each in (first, second)))
    await burst("other")  # nobody hears of this end
    monkeypatch.setattr(relaying, "PAUSE_S", 0.1)
    await start_worker()
    assert await last.result(timeout=10) == "last"

    async def is_known() -> bool:
        return await first.dependents() == [waiting]

    await eventually(is_known)
    assert rows(raw, "default") == rows(raw, "other") == []


async def test_the_doctor_sees_what_the_other_server_has_lost(
    queue: Queue, other: Queue, raw: redis.Redis
) -> None:
    first = await other.enqueue_in(60, jobs.noop)
    waiting = await queue.enqueue(jobs.noop, depends_on=first)
    names = ["default", "other"]
    assert [each.findings for each in await examine_queues(queue.connection, names)] == [[], []]
    raw.delete(f"aioq:{{other}}:dependents:{first.id}")
    assert (await examine_queues(queue.connection, ["default"]))[0].findings == []  # it looks at no other queue

    for is_repaired in (False, True):
        (finding,), nothing = [
            each.findings for each in await examine_queues(queue.connection, names, repair=is_repaired)
        ]
        assert (finding.kind, finding.name, nothing) == ("dependency-untold", waiting.id, [])
        assert finding.repaired == is_repaired

    assert [each.findings for each in await examine_queues(queue.connection, names)] == [[], []]
    assert await first.dependents() == [waiting]
