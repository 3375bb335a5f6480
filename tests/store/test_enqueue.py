from __future__ import annotations

import asyncio
import re

import pytest
import redis

from aioq.store import Store
from aioq.values.durations import LONGEST_MS
from aioq.values.errors import ServerError
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.outcome import Failed, Finished, Interrupted, Retried
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus
from aioq.values.submission import Submission
from tests.store.tools import (
    FUNC,
    LATE,
    bring,
    claim,
    clock,
    dump,
    end,
    entries,
    fields,
    job,
    listening,
    passed,
    put,
    start,
    status,
    take,
    unchanged,
)

EVERY_BYTE = bytes(range(256)) * 3


async def test_a_plain_job_is_stored_and_enters_the_main_lane(store: Store, client: redis.Redis) -> None:
    created, _, _ = await store.producing.enqueue(job("a", data=EVERY_BYTE, opts=b"{}"))
    stored = fields(client, store)
    ((entry, values),) = client.xrange(store.keys.main)

    assert 0 <= clock(client) - created < 1_000
    assert stored == FUNC | {
        b"status": b"queued",
        b"created_at": b"%d" % created,
        b"entry": entry,
        b"data": EVERY_BYTE,
        b"opts": b"{}",
        b"more": b"opts",
    }
    assert values == {b"id": b"a"}
    assert client.ttl(store.keys.job + b"a") == -1
    assert client.smembers("aioq:queues") == {b"default"}


async def test_an_id_of_the_user_s_own_has_a_nonce_and_fences_that_begin_at_the_clock(
    store: Store, client: redis.Redis
) -> None:
    created, _, _ = await store.producing.enqueue(job(nonce="n1"))
    stored = fields(client, store)

    assert stored[b"nonce"] == b"n1"
    assert stored[b"fence"] == stored[b"uncounted"] == b"%d" % created

    (claimed,) = await take(store)
    assert (claimed.fence, claimed.record.attempt) == (created + 1, 1)


@pytest.mark.parametrize("ended", ["deleted", "canceled", "stopped"])
async def test_a_run_of_a_job_that_is_no_more_does_not_write_into_the_next_job_with_its_id(
    ended: str, store: Store, client: redis.Redis
) -> None:
    old = await start(store, nonce="1")

    if ended == "deleted":
        await store.changes.delete(["a"])
    else:
        await {"canceled": store.changes.cancel, "stopped": store.changes.stop}[ended]("a")

    await passed(client, clock(client))
    new = await start(store, nonce="2")
    assert new.fence > old.fence

    with unchanged(client):
        for outcome in (Finished(b"p", 60_000), Failed("boom"), Retried("boom", 0), Interrupted(begun=True)):
            assert await end(store, (old, outcome)) == ["stale"]

        assert await store.changes.save_meta("a", old.fence, [b"meta.a", b"1"], []) == "stale"


async def test_a_job_at_the_front_enters_the_front_lane(store: Store, client: redis.Redis) -> None:
    await put(store, "a", front=True)

    assert entries(client, store.keys.front) == [b"a"]
    assert re.fullmatch(rb"front/\d+-\d+", fields(client, store)[b"entry"])


async def test_a_delay_is_counted_by_the_server_s_clock(store: Store, client: redis.Redis) -> None:
    created, _, _ = await store.producing.enqueue(job("a", due="+86400000"))
    stored = fields(client, store)

    assert (stored[b"status"], stored[b"due_at"]) == (b"scheduled", b"%d" % (created + 86_400_000))
    assert client.zscore(store.keys.scheduled, "a") == created + 86_400_000
    assert b"entry" not in stored


@pytest.mark.parametrize("due", ["0", "1700000000123", "253402300799999"])
async def test_a_moment_is_kept_to_the_millisecond(due: str, store: Store, client: redis.Redis) -> None:
    await put(store, "a", due=due)

    assert fields(client, store)[b"due_at"] == due.encode()
    assert client.zscore(store.keys.scheduled, "a") == int(due)


async def test_a_scheduled_job_remembers_its_lane_and_its_ttl(store: Store, client: redis.Redis) -> None:
    await put(store, "a", due="+60000", front=True, ttl_ms=50)
    stored = fields(client, store)

    assert (stored[b"lane"], stored[b"ttl"]) == (b"front", b"50")
    assert b"expires_at" not in stored
    assert client.ttl(store.keys.job + b"a") == -1


@pytest.mark.parametrize("ttl_ms", [5_000, 31_536_000_000, LONGEST_MS])
async def test_a_ttl_begins_at_once_and_lets_the_hash_go_by_itself(
    ttl_ms: int, store: Store, client: redis.Redis
) -> None:
    created, _, _ = await store.producing.enqueue(job("a", ttl_ms=ttl_ms))
    stored = fields(client, store)

    assert stored[b"ttl"] == b"%d" % ttl_ms
    assert stored[b"expires_at"] == b"%d" % (created + ttl_ms)
    assert client.pexpiretime(store.keys.job + b"a") == created + ttl_ms + EXPIRED_TTL_MS


@pytest.mark.parametrize("options", [{}, {"front": True}, {"due": "+1000"}, {"ttl_ms": 60_000}, {"nonce": "n1"}])
async def test_the_same_call_twice_is_one_job(
    options: dict[str, object], store: Store, client: redis.Redis
) -> None:
    assert (await store.producing.enqueue(job(**options))).verdict == "stored"

    with unchanged(client):
        assert (await store.producing.enqueue(job(**options))).verdict == "stored"


async def test_the_same_call_after_the_job_has_moved_on_changes_nothing(store: Store, client: redis.Redis) -> None:
    for state in ("started", "finished", "failed", "canceled", "stopped", "expired"):
        await bring(store, client, state, state)

        with unchanged(client):
            assert (await store.producing.enqueue(job(state))).verdict == "stored"


@pytest.mark.parametrize("state", ["queued", "scheduled", "started"])
async def test_another_call_with_the_id_of_a_live_job_is_refused(
    state: str, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)

    with unchanged(client):
        assert (await store.producing.enqueue(job(nonce="other")))[1:] == ("duplicate", "a")


async def test_the_id_of_a_job_that_is_run_again_belongs_to_a_live_job(store: Store, client: redis.Redis) -> None:
    assert await end(store, (await start(store), Retried("boom", 60_000))) == ["ok"]

    with unchanged(client):
        assert (await store.producing.enqueue(job(nonce="other")))[1:] == ("duplicate", "a")


@pytest.mark.parametrize("options", [{}, {"due": "+60000"}, {"front": True, "ttl_ms": 60_000}])
@pytest.mark.parametrize("state", ["finished", "failed", "canceled", "stopped", "expired", LATE])
async def test_the_id_of_an_ended_job_is_free_and_nothing_is_left_of_that_job(
    state: str, options: dict[str, object], store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state, old=b"1")
    client.delete(store.keys.wake)
    _, verdict, _ = await store.producing.enqueue(job(nonce="other", new=b"1", **options))
    stored = fields(client, store)

    assert verdict == "stored"
    assert b"old" not in stored
    assert not {b"result", b"error", b"worker", b"started_at", b"ended_at"} & set(stored)
    assert stored[b"new"] == b"1"

    counts = (await store.reads.count()).jobs
    assert {name: number for name, number in counts.items() if number} == {
        "scheduled" if "due" in options else "queued": 1
    }


async def test_the_history_of_the_job_that_had_the_id_goes_with_it(store: Store, client: redis.Redis) -> None:
    assert await end(store, (await start(store), Retried("boom", 0))) == ["ok"]
    (second,) = await take(store)
    assert await end(store, (second, Failed("boom"))) == ["ok"]
    assert await store.reads.attempts("a")
    await put(store, "a", nonce="other")

    assert await store.reads.attempts("a") == []


async def test_those_who_wait_for_a_late_job_hear_of_it_when_its_id_is_used_again(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a", ttl_ms=100)
    await store.producing.wait("channel", ["a"])
    await passed(client, int(fields(client, store)[b"expires_at"]))

    with listening(client, "channel") as messages:
        await put(store, "a", nonce="other")

        assert messages() == [b"a expired 0\n"]


@pytest.mark.parametrize("options", [{}, {"ttl_ms": 60_000}, {"due": "0"}])
async def test_what_a_job_left_behind_that_ran_out_unseen_does_not_touch_the_next_with_its_id(
    options: dict[str, object], store: Store, client: redis.Redis, ghosts: None
) -> None:
    await put(store, "a", ttl_ms=1)
    await passed(client, clock(client) + 1)
    client.delete(store.keys.job + b"a")  # as the server does it after expired_ttl, if no worker ever looked
    await put(store, "a", nonce="other", **options)
    counts = await store.reads.count()

    assert counts.queued + counts["scheduled"] == 1
    if "due" not in options:
        assert (await store.reads.ids(JobStatus.QUEUED))[0] == ["a"]

    assert [each.record.id for each in await take(store)] == ["a"]
    assert await status(store) == "started"
    assert client.zcard(store.keys.expiring) == 0
    assert client.xlen(store.keys.main) + client.xlen(store.keys.front) == 1


async def test_what_ran_out_unseen_is_cleared_away_by_later_calls_if_no_worker_ever_comes(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a", "b", ttl_ms=1)
    await put(store, "c", ttl_ms=60_000, front=True)

    for row in client.zrange(store.keys.expiring, 0, 1):
        client.zadd(store.keys.expiring, {row: clock(client) - EXPIRED_TTL_MS - 1})

    client.delete(store.keys.job + b"a", store.keys.job + b"b")
    await put(store, "d", ttl_ms=60_000)

    assert entries(client, store.keys.main) == [b"d"]
    assert entries(client, store.keys.front) == [b"c"]
    assert client.zcard(store.keys.expiring) == 2


async def test_a_call_tells_what_became_of_each_job_that_was_not_simply_stored(store: Store) -> None:
    await put(store, "b", "d")
    answers = await store.producing.enqueue_many([job(each, nonce="other") for each in "abcd"])

    assert [each[1:] for each in answers] == [
        ("stored", ""),
        ("duplicate", "b"),
        ("stored", ""),
        ("duplicate", "d"),
    ]
    assert len({each.clock for each in answers}) == 1
    assert (await store.reads.ids(JobStatus.QUEUED))[0] == ["b", "d", "a", "c"]


async def test_two_jobs_with_one_id_in_one_call_are_one_job_and_a_duplicate(store: Store) -> None:
    answers = await store.producing.enqueue_many([job("a", nonce="1"), job("a", nonce="2")])

    assert [each.verdict for each in answers] == ["stored", "duplicate"]
    assert (await store.reads.count()).queued == 1


@pytest.mark.parametrize(
    "words", [{"colour": "red"}, {"lane": "front", "due-": 1}, {"ttl": ""}, {"lane": "x"}, {"due": "soon"}]
)
async def test_a_word_that_cannot_be_read_is_refused_before_anything_is_written(
    words: dict[str, str | int], store: Store, client: redis.Redis
) -> None:
    await put(store, "first")
    strange = Submission(JobRecord("c", FUNC), 100, words)

    with unchanged(client), pytest.raises(ServerError, match=f"'{list(words)[-1]}="):
        await store.producing.enqueue_many([job("a"), job("b", due="+1000"), strange, job("d")])


async def test_words_may_come_in_any_order_and_beside_plain_jobs(store: Store, client: redis.Redis) -> None:
    words = {"nonce": "n", "ttl": 60_000, "due": "+1000", "lane": "front"}
    mixed = [job("a"), Submission(JobRecord("b", FUNC), 100, words), job("c")]

    assert [each.verdict for each in await store.producing.enqueue_many(mixed)] == ["stored"] * 3
    assert entries(client, store.keys.main) == [b"a", b"c"]
    assert client.zrange(store.keys.scheduled, 0, -1) == [b"b"]
    assert {b"nonce": b"n", b"ttl": b"60000", b"more": b"1"}.items() <= fields(client, store, "b").items()


async def test_many_jobs_of_one_call_keep_their_order(store: Store) -> None:
    ids = [f"j{number}" for number in range(500)]
    await put(store, *ids)

    assert (await store.reads.ids(JobStatus.QUEUED, 0, 1_000))[0] == ids


async def test_a_job_may_have_more_fields_than_lua_unpacks_at_once(store: Store, client: redis.Redis) -> None:
    many = {f"meta.{number}": b"%d" % number for number in range(9_000)}
    await put(store, "a", **many)

    assert len(fields(client, store)) == 9_000 + 5


async def test_an_enqueue_leaves_one_token_that_ends_by_itself(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    await put(store, "c")

    assert client.lrange(store.keys.wake, 0, -1) == [b"1"]
    assert 0 < client.ttl(store.keys.wake) <= 60


async def test_only_a_scheduled_job_that_is_due_sooner_than_any_leaves_a_token(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a", due="+60000")
    assert client.delete(store.keys.wake) == 1

    await put(store, "b", due="+90000")
    assert client.delete(store.keys.wake) == 0

    await put(store, "c", due="+30000")
    assert client.delete(store.keys.wake) == 1


async def test_a_refused_job_leaves_no_token(store: Store, client: redis.Redis) -> None:
    await put(store, "a")
    client.delete(store.keys.wake)
    await put(store, "a", nonce="other")

    assert not client.exists(store.keys.wake)


async def test_concurrent_enqueues_are_all_stored(store: Store) -> None:
    await asyncio.gather(*(store.producing.enqueue(job(f"j{number}")) for number in range(300)))

    assert (await store.reads.count()).queued == 300


async def test_queues_do_not_see_each_other(store: Store, client: redis.Redis) -> None:
    other = Store(store.connection, "default:x")
    await put(store, "a")
    await put(other, "a", nonce="other")
    before = dump(client)

    assert await other.changes.delete(["a"]) == 1
    gone = set(before) - set(dump(client))
    assert gone == {other.keys.job + b"a", other.keys.main} or gone == {other.keys.job + b"a"}
    assert await status(store) == "queued"


async def test_a_finished_job_s_id_can_be_used_again_and_again(store: Store) -> None:
    for nonce in ("1", "2", "3"):
        claimed = await start(store, nonce=nonce)
        assert await end(store, (claimed, Finished(b"p", -1))) == ["ok"]

    assert (await store.reads.count())["finished"] == 1
    assert (await claim(store)).jobs == []


@pytest.mark.parametrize("nonce", ["", "n1"])
async def test_the_same_call_sent_twice_changes_nothing_and_is_a_write_both_times(
    store: Store, client: redis.Redis, nonce: str
) -> None:
    """A connection that repeats a call can then wait for its own writes with WAIT and WAITAOF."""
    again = job("a", nonce=nonce)
    await store.producing.enqueue(again)
    before, writes = dump(client), client.info("persistence")["rdb_changes_since_last_save"]
    await store.producing.enqueue(again)
    assert dump(client) == before
    assert client.info("persistence")["rdb_changes_since_last_save"] > writes
