"""A call whose reply was lost is sent again: it answers as the first one did, and nothing happens twice.

Between the two sendings anything may happen to the jobs, so they are run, ended and removed there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis

from aioq import Connection, Job, Queue
from aioq.errors import DuplicateJobError
from aioq.store.producing import REPEATED_MS
from tests import jobs
from tests.client.work import hold, note, note_and_fail, notes
from tests.conftest import Server
from tests.store.tools import audit
from tests.tools import assert_sound, eventually

#: What happens between the two sendings of a call.
Between = Callable[[], Awaitable[object]]


class Repeater:
    """Sends a call of a script twice, as a connection does that has lost the first reply.

    Args:
        connection: a client's.

    """

    def __init__(self, connection: Connection) -> None:
        self._round_trip = connection._round_trip
        self._between: Between | None = None
        self.repeated = 0
        connection._round_trip = self._send  # type: ignore[method-assign]

    def lose_next(self, between: Between) -> None:
        """Lose the reply of the next script that has this call's beginning."""
        self._between = between

    async def _send(self, commands: Any, pauses: Any = None) -> list[Any]:
        between, is_script = self._between, commands[0][0] == "EVALSHA"

        if between is None or not is_script:
            return await self._round_trip(commands, pauses)

        self._between = None
        await self._round_trip(commands, pauses)
        await between()
        self.repeated += 1

        return await self._round_trip(commands, pauses)


@pytest.fixture
async def mine(server: Server) -> AsyncIterator[Queue]:
    """The queue of the caller that loses replies."""
    async with Queue("default", server.url) as queue:
        await queue.enqueue(jobs.noop)
        await queue.empty()
        yield queue

    with redis.Redis.from_url(server.url) as client:
        assert audit(client, queue.store) == []


@pytest.fixture
def lost(mine: Queue) -> Repeater:
    return Repeater(mine.connection)


async def only_id(queue: Queue) -> str:
    (job_id,) = await queue.job_ids()

    return job_id


OPTIONS: dict[str, dict[str, Any]] = {"random id": {}, "own id": {"job_id": "mine"}}
FORMS = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


@FORMS
async def test_a_job_that_failed_and_is_not_kept_is_not_run_again(
    mine: Queue, lost: Repeater, burst, key: str, options: dict[str, Any]
) -> None:
    lost.lose_next(burst)
    job = await mine.enqueue(note_and_fail, key, failure_ttl=0, **options)
    await burst()

    assert (lost.repeated, notes[key]) == (1, [None])
    assert await mine.fetch_job(job.id) is None


@FORMS
@pytest.mark.parametrize("ttl", [0, 0.001])
async def test_a_job_that_finished_and_is_gone_is_not_run_again(
    mine: Queue, lost: Repeater, burst, raw: redis.Redis, key: str, options: dict[str, Any], ttl: float
) -> None:
    async def run_and_forget() -> None:
        await burst()
        raw.delete(*raw.keys("*:job:*"), "none")  # as it is some seconds later

    lost.lose_next(run_and_forget)
    await mine.enqueue(note, key, result_ttl=ttl, **options)
    await burst()

    assert (lost.repeated, notes[key]) == (1, [None])


@FORMS
@pytest.mark.parametrize("way", ["delete", "empty", "delete the queue", "stop"])
async def test_a_job_that_was_removed_is_not_enqueued_again(
    mine: Queue, queue: Queue, lost: Repeater, start_worker, key: str, options: dict[str, Any], way: str
) -> None:
    async def remove() -> None:
        job = await queue.fetch_job(await only_id(queue))
        assert job is not None

        if way == "delete":
            await job.delete()
        elif way == "empty":
            assert await queue.empty() == 1
        elif way == "delete the queue":
            assert await queue.delete() == 1
        else:
            await start_worker()
            await eventually(lambda: notes[key])
            await job.stop()

    lost.lose_next(remove)
    job = await mine.enqueue(hold, key, failure_ttl=0, **options)

    assert lost.repeated == 1
    assert await queue.fetch_job(job.id) is None
    assert await queue.count() == 0


async def test_an_id_that_others_have_taken_since_is_left_to_them(
    mine: Queue, queue: Queue, lost: Repeater, burst, key: str
) -> None:
    async def run_and_take_over() -> None:
        await burst()
        await queue.enqueue(note, key, "theirs", job_id="one")

    lost.lose_next(run_and_take_over)
    job = await mine.enqueue(note, key, "mine", job_id="one")
    await burst()

    assert (job.id, notes[key], lost.repeated) == ("one", ["mine", "theirs"], 1)


async def test_many_that_are_gone_by_then_are_not_run_again(mine: Queue, lost: Repeater, burst, key: str) -> None:
    calls = [Queue.prepare_data(note_and_fail, (key, number), failure_ttl=0) for number in range(20)]
    calls += [Queue.prepare_data(note_and_fail, (key, 20), failure_ttl=0, job_id="own")]
    lost.lose_next(burst)
    made = await mine.enqueue_many(calls)
    await burst()

    assert (len(made), lost.repeated) == (21, 1)
    assert sorted(notes[key]) == list(range(21))


async def test_another_call_may_take_an_id_that_has_a_tombstone(mine: Queue, burst, key: str) -> None:
    for number in range(3):
        await mine.enqueue(note_and_fail, key, number, job_id="one", failure_ttl=0)
        await burst()

    assert notes[key] == [0, 1, 2]
    await mine.enqueue(note, key, job_id="one")

    with pytest.raises(DuplicateJobError):
        await mine.enqueue(note, key, job_id="one")


@pytest.mark.parametrize("then", ["nothing", "requeue", "delete"])
async def test_a_cancel_that_has_been_carried_out_is_no_error(
    mine: Queue, queue: Queue, lost: Repeater, then: str
) -> None:
    job = await mine.enqueue(jobs.noop)
    other = await queue.fetch_job(job.id)
    assert other is not None
    changes: dict[str, Between] = {"nothing": other.get_status, "requeue": other.requeue, "delete": other.delete}
    lost.lose_next(changes[then])
    await job.cancel()

    assert lost.repeated == 1
    assert await statuses(queue, job) == {"nothing": "canceled", "requeue": "queued", "delete": None}[then]


@pytest.mark.parametrize("kept", [0, 60])
async def test_a_stop_that_has_been_carried_out_is_no_error(
    mine: Queue, queue: Queue, lost: Repeater, start_worker, key: str, kept: int
) -> None:
    await start_worker()
    job = await mine.enqueue(hold, key, failure_ttl=kept)
    await eventually(lambda: notes[key])
    lost.lose_next(queue.count)
    await job.stop()

    assert lost.repeated == 1
    assert (job.status, await statuses(queue, job)) == ("stopped", "stopped" if kept else None)


async def test_a_delete_that_has_been_carried_out_is_no_error(mine: Queue, queue: Queue, lost: Repeater) -> None:
    job = await mine.enqueue(jobs.noop, job_id="one")

    async def take_the_id() -> None:
        await queue.enqueue(jobs.noop, job_id="one")

    lost.lose_next(take_the_id)
    await job.delete()

    assert lost.repeated == 1
    assert await queue.job_ids() == ["one"], "the second sending is not about the second job"


async def test_a_requeue_brings_a_job_back_once(
    mine: Queue, lost: Repeater, burst, key: str, queue: Queue
) -> None:
    job = await mine.enqueue(note_and_fail, key, failure_ttl=0.001)
    kept = await mine.enqueue(note_and_fail, key)
    raw_id = kept.id
    await burst()
    lost.lose_next(burst)

    assert await mine.requeue([raw_id, "none", job.id]) == {raw_id: "ok", "none": "gone", job.id: "gone"}
    assert lost.repeated == 1
    assert len(notes[key]) == 3
    assert await queue.count() == 0


async def test_meta_that_was_changed_since_is_not_written_over(mine: Queue, queue: Queue, lost: Repeater) -> None:
    job = await mine.enqueue(jobs.noop)

    async def change() -> None:
        other = await queue.fetch_job(job.id)
        assert other is not None
        other.meta["n"] = 2
        await other.save_meta()

    job.meta["n"] = 1
    lost.lose_next(change)
    await job.save_meta()

    assert lost.repeated == 1
    assert await job.get_meta() == {"n": 2}


async def test_meta_of_a_job_that_is_gone_since_was_saved(mine: Queue, queue: Queue, lost: Repeater) -> None:
    job = await mine.enqueue(jobs.noop)
    job.meta["n"] = 1
    lost.lose_next(queue.empty)
    await job.save_meta()

    assert lost.repeated == 1


async def test_what_answers_repeated_calls_is_small_and_goes_by_itself(
    mine: Queue, server: Server, start_worker
) -> None:
    job = await mine.enqueue(jobs.noop, job_id="x" * 20)
    await job.delete()
    other = await mine.enqueue(jobs.noop)
    await other.cancel()

    with redis.Redis.from_url(server.url) as client:
        brief = [*client.keys("*:gone:*"), *client.keys("*:done:*")]
        assert len(brief) == 5  # two are of the fixture's own call

        for key in brief:
            assert 0 < client.pttl(key) <= REPEATED_MS
            assert client.memory_usage(key) - len(key) <= 100

    await assert_sound(mine)


async def test_a_plain_job_leaves_nothing(mine: Queue, raw: redis.Redis, burst) -> None:
    raw.delete(*raw.keys("*:gone:*"), *raw.keys("*:done:*"))
    await mine.enqueue(jobs.noop)
    await mine.enqueue(jobs.div_by_zero, 1)
    await burst()

    assert raw.keys("*:gone:*") + raw.keys("*:done:*") == []


async def statuses(queue: Queue, job: Job[Any]) -> str | None:
    found = await queue.fetch_job(job.id)

    return None if found is None or found.status is None else found.status.value
