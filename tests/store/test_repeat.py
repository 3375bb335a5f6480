"""A run is over, and its job runs again: the script `repeat`."""

from __future__ import annotations

import pytest
import redis

from aioq.store import Store
from aioq.values.outcome import Failed, FailedRun, Finished, FinishedRun, Outcome, Retried
from aioq.values.record import JobRecord
from aioq.values.result import Result, earlier_result
from tests.store.tools import clock, end, fields, put, start, status, take, unchanged

KEPT = 60_000
RESULT = b'j{"a":"\\u00e4\\n"}'


def finished(due_ms: int = 0, result: bytes = RESULT) -> FinishedRun:
    return FinishedRun(result, KEPT, b"", due_ms)


async def history(store: Store) -> list[Result]:
    (record,) = await store.reads.load(["a"])
    assert record is not None

    return [earlier_result(record, each) for each in await store.reads.attempts("a")]


async def test_it_waits_in_the_schedule_for_its_next_run(store: Store, client: redis.Redis) -> None:
    due = clock(client) + 60_000
    assert await end(store, (await start(store), finished(due))) == ["ok"]
    stored = fields(client, store)

    assert (stored[b"status"], stored[b"due_at"], stored[b"repeats"]) == (b"scheduled", b"%d" % due, b"1")
    assert not {b"result", b"ended_at", b"started_at", b"worker"} & set(stored)
    assert client.zscore(store.keys.scheduled, "a") == due
    assert client.xlen(store.keys.front) == 0
    assert client.ttl(store.keys.job + b"a") == client.ttl(store.keys.attempts + b"a") == -1


async def test_a_moment_that_has_come_puts_it_behind_the_others(store: Store, client: redis.Redis) -> None:
    first = await start(store)
    await put(store, "b")
    assert await end(store, (first, finished(clock(client)))) == ["ok"]

    assert [each.record.id for each in await take(store)] == ["b", "a"]


async def test_what_a_run_has_come_to_goes_to_the_history(store: Store, client: redis.Redis) -> None:
    first = await start(store)
    await end(store, (first, finished()))
    (second,) = await take(store)
    await end(store, (second, FailedRun("boom\nat the second", 0)))
    (third,) = await take(store)
    await end(store, (third, finished(0, b"j3")))
    one, two, three = await history(store)

    assert (one.type, one.value, one.exc_info, one.fence) == ("finished", {"a": "ä\n"}, None, 1)
    assert (two.type, two.value, two.exc_info, two.fence) == ("failed", None, "boom\nat the second", 2)
    assert (three.type, three.value, three.exc_info, three.fence) == ("finished", 3, None, 3)
    assert one.started_at == first.record.started_at
    assert one.ended_at is not None
    assert one.worker_name == "w1"


@pytest.mark.parametrize("outcome", [finished(), FailedRun("boom", 0)])
async def test_each_run_has_all_its_attempts(outcome: Outcome, store: Store) -> None:
    first = await start(store)
    await end(store, (first, Retried("boom", 0)))
    (second,) = await take(store)
    assert second.record.attempt == 2
    await end(store, (second, outcome))
    (third,) = await take(store)

    assert (third.record.attempt, third.fence, third.record.repeats) == (1, 3, 1)


async def test_a_run_that_has_ended_by_itself_clears_its_job(store: Store, client: redis.Redis) -> None:
    """It was on workers that died, and is not what ended them."""
    first = await start(store, deliveries=b"2", deaths=b"1 w\n1 w\n")
    await end(store, (first, finished()))

    assert not {b"deliveries", b"deaths", b"is_alone"} & set(fields(client, store))
    assert client.xlen(store.keys.main) == 1


async def test_the_error_is_that_of_the_last_run(store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), FailedRun("boom", 0)))
    assert fields(client, store)[b"error"] == b"boom"

    await end(store, ((await take(store))[0], finished()))
    assert b"error" not in fields(client, store)


async def test_a_result_that_is_not_kept_is_in_no_history(store: Store) -> None:
    await end(store, (await start(store), FinishedRun(RESULT, 0, b"", 0)))
    (packed,) = await store.reads.attempts("a")

    assert RESULT not in packed


async def test_no_more_than_ten_runs_are_kept(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)

    for number in range(12):
        await end(store, (claimed, finished(0, b"j%d" % number)))
        (claimed,) = await take(store)

    assert [run.value for run in await history(store)] == list(range(2, 12))
    assert fields(client, store)[b"repeats"] == b"12"
    await end(store, (claimed, Finished(b"j12", KEPT)))
    assert client.pttl(store.keys.attempts + b"a") == pytest.approx(KEPT, abs=1000)


@pytest.mark.parametrize("pause", [0, 60_000])
async def test_the_same_call_twice_is_harmless(pause: int, store: Store, client: redis.Redis) -> None:
    claimed, outcome = await start(store), finished(clock(client) + pause)
    await end(store, (claimed, outcome))

    with unchanged(client):
        assert await end(store, (claimed, outcome)) == ["stale"]


async def test_a_run_that_has_lost_its_claim_repeats_nothing(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    assert await store.changes.stop("a") == ("ok", "")

    with unchanged(client):
        assert await end(store, (claimed, finished())) == ["stale"]

    await store.changes.delete(["a"])
    assert await end(store, (claimed, finished())) == ["gone"]


async def test_those_who_wait_wait_for_the_end_of_the_series(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    await put(store, "b", parents="wa")
    await store.producing.wait("one", ["a"])
    await end(store, (claimed, finished()))

    assert sorted(fields(client, store)[b"after"].split()) == [b"@one", b"deps"]
    assert await status(store, "b") == "deferred"

    await end(store, ((await take(store))[0], Finished(b"j1", KEPT)))
    assert await status(store, "b") == "queued"


async def test_a_ttl_begins_anew_with_each_wait(store: Store, client: redis.Redis) -> None:
    claimed = await start(store, ttl_ms=60_000)
    before = clock(client)
    await end(store, (claimed, finished()))

    assert before + 60_000 <= int(fields(client, store)[b"expires_at"]) <= clock(client) + 60_000


@pytest.mark.parametrize("verb", ["cancel", "delete"])
async def test_between_two_runs_a_job_can_be_ended(verb: str, store: Store, client: redis.Redis) -> None:
    await end(store, (await start(store), finished(clock(client) + 60_000)))

    if verb == "cancel":
        assert await store.changes.cancel("a") == ("ok", "")
        assert await status(store) == "canceled"
    else:
        assert await store.changes.delete(["a"]) == 1
        assert await status(store) is None

    assert client.zcard(store.keys.scheduled) == 0


async def test_a_requeue_goes_on_with_the_series(store: Store) -> None:
    claimed = await start(store)
    await end(store, (claimed, finished()))
    (second,) = await take(store)
    await end(store, (second, Failed("boom")))
    assert await store.changes.requeue(["a"], at_front=False, reset=True) == ["ok"]
    (third,) = await take(store)

    assert (third.record.repeats, third.record.attempt) == (1, 1)


async def test_it_leaves_a_token(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    client.delete(store.keys.wake)
    await end(store, (claimed, finished(clock(client) + 60_000)))

    assert client.llen(store.keys.wake) == 1


async def test_a_run_of_the_history_is_read_with_its_result_or_without() -> None:
    record = JobRecord("a", {b"func": b"m.f"})
    row = b'{"fence":"1","worker":"w","started_at":"1","ended_at":"2","outcome":"finished","error":""}'

    assert earlier_result(record, row + b"\nj5").return_value == 5
    assert earlier_result(record, row + b"\nj5", lambda run: run.fields[b"result"]).value == b"j5"
