"""Failed jobs are grouped by what they have failed of."""

from __future__ import annotations

import pytest
import redis

from aioq import Queue, Repeat, Retry
from aioq.errors import InvalidInput, NoSuchFailureError
from tests import jobs
from tests.tools import assert_sound, eventually


async def refuse(number: int) -> None:
    if number % 2:
        raise ValueError(f"order {number} is closed")

    raise KeyError(f"user {number}")


async def put(queue: Queue, *numbers: int, **options: object) -> list[str]:
    some = [Queue.prepare_data(refuse, (number,), **options) for number in numbers]

    return [job.id for job in await queue.enqueue_many(some)]


async def test_failed_jobs_are_grouped(queue: Queue, burst) -> None:
    ids = await put(queue, 1, 2, 3, 5, 7, 8)
    await burst()
    odd, even = sorted(await queue.failures(), key=lambda each: -each.count)

    assert (odd.count, even.count) == (4, 2)
    assert (odd.function, odd.error_type) == ("tests.client.test_failures.refuse", "ValueError")
    assert odd.error_message.startswith("order ")
    assert odd.first_seen is not None
    assert odd.last_seen is not None
    assert odd.first_seen <= odd.last_seen
    assert odd.last_job_id in ids
    assert odd.worker
    assert not odd.is_muted

    # What is requeued, deleted or canceled is counted no longer; a group without jobs is gone.
    await queue.requeue([ids[0]])
    await (await queue.fetch_job(ids[2])).delete()
    await (await queue.fetch_job(ids[3])).cancel()
    assert {each.fingerprint: each.count for each in await queue.failures()} == {
        odd.fingerprint: 1,
        even.fingerprint: 2,
    }
    assert await queue.requeue_matching(f"fingerprint:{even.fingerprint}") == 2
    assert [each.fingerprint for each in await queue.failures()] == [odd.fingerprint]
    await assert_sound(queue)


async def test_a_job_that_does_not_fail_has_no_fingerprint(queue: Queue, burst) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    await burst()
    await job.refresh()
    assert (job.fingerprint, await queue.failures()) == (None, [])


async def test_a_group_is_muted(queue: Queue, burst) -> None:
    (job_id,) = await put(queue, 1)
    await burst()
    (group,) = await queue.failures()
    await queue.mute_failure(group, muted_by="ann@desk")
    (group,) = await queue.failures(muted=True)
    assert (group.is_muted, group.muted_until, group.muted_by) == (True, None, "ann@desk")
    assert await queue.failures(muted=False) == []

    # It is remembered while there is no such job.
    await queue.requeue([job_id])
    (group,) = await queue.failures()
    assert (group.count, group.is_muted) == (0, True)
    await burst()
    assert [(each.count, each.is_muted) for each in await queue.failures()] == [(1, True)]

    await queue.mute_failure(group.fingerprint, "1h")
    (group,) = await queue.failures()
    assert group.muted_until is not None
    await queue.unmute_failure(group)
    assert [each.is_muted for each in await queue.failures()] == [False]

    with pytest.raises(NoSuchFailureError, match="0123456789ab"):
        await queue.mute_failure("0123456789ab")

    with pytest.raises(InvalidInput, match="'nothing'"):
        await queue.mute_failure("nothing")


async def test_a_group_goes_with_the_retention_of_its_jobs(queue: Queue, burst, raw: redis.Redis) -> None:
    await put(queue, 1, failure_ttl=0.3)
    await burst()

    async def is_gone() -> bool:
        return await queue.failures() == [] or (await queue.failures())[0].count == 0

    await eventually(is_gone)
    await queue.store.duty.sweep()
    assert await queue.failures() == []
    assert [key for key in raw.keys("*") if "alike" in str(key) or "fingerprint" in str(key)] == []


async def test_what_has_no_room_is_other(queue: Queue, burst, raw: redis.Redis) -> None:
    # As if a thousand groups were there, all of them muted.
    names = [f"{each:012x}" for each in range(1000)]
    raw.zadd("aioq:{default}:fingerprints", dict.fromkeys(names, 10**13))

    for name in names:
        raw.hset(f"aioq:{{default}}:fingerprint:{name}", "muted_until", 10**13)

    await put(queue, 1, 2)
    await burst()
    raw.zrem("aioq:{default}:fingerprints", *names)
    raw.delete(*(f"aioq:{{default}}:fingerprint:{name}" for name in names))
    (group,) = await queue.failures()
    assert (group.fingerprint, group.count, group.function) == ("other", 2, "")
    assert (await queue.search("fingerprint:other")).matched == 2
    await assert_sound(queue)


@pytest.mark.parametrize("options", [{"retry": Retry(max=1)}, {"repeat": Repeat(2, on_failure="continue")}])
async def test_only_the_end_of_a_job_counts(queue: Queue, burst, options: dict[str, object]) -> None:
    await put(queue, 1, **options)
    await burst()
    assert [each.count for each in await queue.failures()] == [1]
