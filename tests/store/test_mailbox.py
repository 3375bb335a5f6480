from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from aioq.store import Connection, Store, mailbox
from aioq.store.mailbox import (
    HABIT_TO_WAIT_AHEAD,
    LONGEST_KEPT_BYTES,
    MOST_JOBS_AHEAD,
    STRONGEST_HABIT,
    Ending,
    Mailbox,
)
from aioq.values.errors import ServerRefused, ServerUnreachable
from aioq.values.outcome import Failed, Finished, Retried
from tests.conftest import Server
from tests.store.tools import LEASE, bring, calls, claim, clock, end, fields, passed, put, start, take
from tests.tools import eventually


@pytest.fixture
async def elsewhere(server: Server) -> AsyncIterator[Store]:
    """The same queue, seen from another process."""
    connection = Connection(server.url)
    yield Store(connection, "default")
    await connection.aclose()


async def waiting(store: Store, client: redis.Redis, job_id: str = "a") -> asyncio.Task[Ending]:
    """A task that waits, as soon as the server knows of it."""
    before = fields(client, store, job_id).get(b"after", b"")
    task = asyncio.create_task(store.producing.mailbox.wait(job_id))
    await eventually(lambda: task.done() or fields(client, store, job_id).get(b"after", b"") != before)

    return task


async def ending(task: asyncio.Task[Ending]) -> Ending:
    return await asyncio.wait_for(task, 5)


@pytest.mark.parametrize("result", [b"", b"p", bytes(range(256)), b"\n1 2\n" * 100, b"x" * 4_096])
async def test_a_result_comes_with_the_message(result: bytes, store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    task = await waiting(store, client)
    await end(store, (claimed, Finished(result, 60_000)))

    assert await ending(task) == Ending("finished", result, None)


async def test_an_end_of_which_no_message_comes_is_asked_for(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a message is lost between two servers of a Cluster, while the subscription stands."""
    monkeypatch.setattr(mailbox, "ASK_AGAIN_S", 0.05)
    claimed = await start(store)
    task = await waiting(store, client)
    client.hdel(store.keys.job + b"a", "after")  # so nothing is published
    await end(store, (claimed, Finished(b"p", 60_000)))

    found = await ending(task)
    assert found.fields is not None
    assert found.fields[b"result"] == b"p"


@pytest.mark.parametrize("how", ["del", "unlink", "flushall"])
async def test_a_wait_ends_when_the_record_is_deleted_by_hand(
    how: str, store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, ghosts: None
) -> None:
    monkeypatch.setattr(mailbox, "ASK_AGAIN_S", 0.1)
    await put(store, "a")
    task = await waiting(store, client)
    client.flushall() if how == "flushall" else client.execute_command(how, store.keys.job + b"a")

    assert (await ending(task)).status == "deleted"
    assert store.producing.mailbox._waits == {}


async def test_old_waits_ask_again_together_and_new_ones_not_yet(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most that a wait without an end costs: one place in a batch, every one to two periods."""
    assert mailbox.ASK_AGAIN_S <= 15  # so that each is asked for within half a minute
    monkeypatch.setattr(mailbox, "ASK_AGAIN_S", 0.5)
    batches: list[list[str]] = []
    wait = store.producing.wait

    async def ask(channel: str, ids: list[str]) -> list[dict[bytes, bytes] | int]:
        batches.append(list(ids))

        return await wait(channel, ids)

    monkeypatch.setattr(store.producing, "wait", ask)
    ids = [f"j{number}" for number in range(400)]
    await put(store, *ids, "new")
    tasks = [asyncio.create_task(store.producing.mailbox.wait(each)) for each in ids]
    await eventually(lambda: sum(map(len, batches)) == 400)
    batches.clear()
    await eventually(lambda: store.producing.mailbox._old)  # half of the time has passed
    tasks.append(asyncio.create_task(store.producing.mailbox.wait("new")))
    await eventually(lambda: sum(map(len, batches)) >= 401)

    assert sorted(each for batch in batches for each in batch) == sorted([*ids, "new"])
    assert len(batches) <= 6

    for task in tasks:
        task.cancel()

    await asyncio.wait(tasks)


async def test_nothing_is_asked_when_nobody_waits(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "ASK_AGAIN_S", 0.02)
    await put(store, "a")
    task = await waiting(store, client)
    await store.changes.cancel("a")
    await ending(task)
    await eventually(lambda: store.producing.mailbox._timer is None)
    before = calls(client, "evalsha")
    await asyncio.sleep(0.1)

    assert calls(client, "evalsha") == before


async def test_a_wait_that_has_begun_outlives_a_server_that_is_away(
    own_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "ASK_AGAIN_S", 0.1)
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    connection = Connection(server.url)
    store = Store(connection, "default")
    await put(store, "a")
    task = asyncio.create_task(store.producing.mailbox.wait("a"))
    await eventually(lambda: store.producing.mailbox._old)
    server.stop(kill=True)
    await asyncio.sleep(2)  # longer than its questions are repeated
    assert not task.done()
    server.start()
    await store.changes.cancel("a")

    assert (await ending(task)).status == "canceled"
    await connection.aclose()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff\xfe\x00",
        b"a",
        b"a finished\n",
        b"a finished 1 1\n",
        b"a finished -5\n",
        b"a finished 99\nshort",
        b"a finished " + b"9" * 5_000 + b"\n",
        b"a finished 1e3\n",
        b"nobody finished 1\nx",
        b"nobody finished 1\nxa finished 99\nshort",
        b"\n" * 100,
        b"x" * 100_000,
    ],
    ids=range(13),
)
async def test_a_message_that_is_wrong_spoils_no_wait(message: bytes, store: Store, client: redis.Redis) -> None:
    """Whoever may publish can say anything; who waits asks the server then, and hears what comes later."""
    claimed = await start(store)
    task = await waiting(store, client)

    for _ in range(3):
        assert client.publish(store.producing.mailbox.channel, message) == 1

    await asyncio.sleep(0.05)
    assert not task.done()
    await end(store, (claimed, Finished(b"p", 60_000)))
    found = await ending(task)
    assert found.status == "finished"
    assert (found.value or (found.fields or {})[b"result"]) == b"p"


async def test_an_error_that_nobody_foresaw_does_not_end_the_asking(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, ghosts: None
) -> None:
    """The timer on which all waits rest is set before anything can go wrong."""
    monkeypatch.setattr(mailbox, "ASK_AGAIN_S", 0.05)
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["exception"]))
    await put(store, "a")
    task = await waiting(store, client)
    settle = store.producing.mailbox._end_wait

    def wrong(job_id: str, ending: Ending | None) -> None:
        if len(seen) < 2:
            raise ZeroDivisionError

        settle(job_id, ending)

    monkeypatch.setattr(store.producing.mailbox, "_end_wait", wrong)
    client.delete(store.keys.job + b"a")
    assert (await ending(task)).status == "deleted"
    assert len(seen) == 2
    asyncio.get_running_loop().set_exception_handler(None)


async def test_a_long_result_is_left_to_be_loaded(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    task = await waiting(store, client)
    await end(store, (claimed, Finished(b"x" * 5_000, 60_000)))

    assert await ending(task) == Ending("finished", None, None)


async def test_a_long_result_that_is_not_kept_comes_all_the_same(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    task = await waiting(store, client)
    await end(store, (claimed, Finished(b"x" * 5_000, 0)))

    assert await ending(task) == Ending("finished", b"x" * 5_000, None)


async def test_a_wait_whose_question_is_under_way_when_the_job_ends_gets_what_is_not_kept(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, waits = store.producing.wait, list[asyncio.Task[Ending]]()

    async def answer_late(channel: str, batch: list[str]) -> list[dict[bytes, bytes] | int]:
        if waits:
            await end(store, (claimed, Finished(b"once", 0)))
            await ending(waits[0])

        return await wait(channel, batch)

    monkeypatch.setattr(store.producing, "wait", answer_late)
    claimed = await start(store)
    waits.append(await waiting(store, client))
    assert await store.producing.mailbox.wait("a", 5) == Ending("finished", b"once", None)


async def test_a_failure_comes_with_its_text(store: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    task = await waiting(store, client)
    await end(store, (claimed, Retried("first", 0)))
    (claimed,) = await take(store)
    await end(store, (claimed, Failed("second")))

    assert await ending(task) == Ending("failed", b"second", None)


@pytest.mark.parametrize("verb", ["cancel", "stop", "delete"])
async def test_what_users_do_to_a_job_is_heard(verb: str, store: Store, client: redis.Redis) -> None:
    await start(store)
    task = await waiting(store, client)

    if verb == "delete":
        await store.changes.delete(["a"])
    else:
        await getattr(store.changes, verb)("a")

    assert (await ending(task)).status == {"cancel": "canceled", "stop": "stopped", "delete": "deleted"}[verb]


@pytest.mark.parametrize("state", ["finished", "failed", "canceled", "stopped", "expired", "late"])
async def test_a_job_that_has_ended_is_answered_at_once_with_its_fields(
    state: str, store: Store, client: redis.Redis
) -> None:
    await bring(store, client, state)
    found = await asyncio.wait_for(store.producing.mailbox.wait("a"), 5)

    assert found.status == ("expired" if state == "late" else state)
    assert found.fields is not None
    assert found.fields[b"func"] == b"m.f"


async def test_a_job_that_is_gone_is_answered_at_once(store: Store) -> None:
    assert await asyncio.wait_for(store.producing.mailbox.wait("a"), 5) == Ending("deleted", None, None)


async def test_two_processes_wait_for_one_job(store: Store, elsewhere: Store, client: redis.Redis) -> None:
    claimed = await start(store)
    here, there = await waiting(store, client), await waiting(elsewhere, client)
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert await ending(here) == await ending(there) == Ending("finished", b"p", None)


async def test_many_waits_of_one_process_share_a_channel_and_travel_together(
    store: Store, client: redis.Redis
) -> None:
    ids = [f"j{number}" for number in range(300)]
    await put(store, *ids)
    tasks = [asyncio.create_task(store.producing.mailbox.wait(each)) for each in ids for _ in range(2)]
    await eventually(lambda: all(b"after" in fields(client, store, each) for each in (ids[0], ids[-1])))
    claims = await take(store, limit=300)
    before = calls(client, "publish")
    await end(store, *((each, Finished(each.record.id.encode(), 60_000)) for each in claims))

    assert [found.value for found in await asyncio.gather(*tasks)] == [
        each.encode() for each in ids for _ in range(2)
    ]
    assert calls(client, "publish") - before == 1
    assert len({fields(client, store, each).get(b"after") for each in ids}) == 1


async def test_waits_that_begin_together_take_few_round_trips(store: Store) -> None:
    trips: list[int] = []

    async def ask(channel: str, ids: list[str]) -> list[dict[bytes, bytes] | int]:
        trips.append(len(ids))

        return await store.producing.wait(channel, ids)

    mailbox = Mailbox(store.connection.listener, store.connection.shared.waiter, ask)
    await asyncio.gather(*(mailbox.wait(f"gone{number}") for number in range(400)))

    assert sum(trips) == 400
    assert len(trips) <= 5


async def test_a_wait_that_is_given_up_does_not_hurt_another_for_the_same_job(
    store: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    first = await waiting(store, client)
    second = asyncio.create_task(store.producing.mailbox.wait("a"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert await ending(second) == Ending("finished", b"p", None)


async def test_waits_that_are_given_up_do_not_pile_up(store: Store, client: redis.Redis) -> None:
    await put(store, "a", "b")
    tasks = [await waiting(store, client, each) for each in "ab"]

    for task in tasks:
        task.cancel()

    await asyncio.wait(tasks)
    assert store.producing.mailbox._waits == {}


async def test_a_job_that_expires_while_no_worker_looks_is_heard_of(store: Store) -> None:
    await put(store, "a", ttl_ms=50)
    found = await asyncio.wait_for(store.producing.mailbox.wait("a"), 5)

    assert found.status == "expired"


async def test_a_job_that_expires_after_its_promotion_while_no_worker_looks_is_heard_of(
    store: Store, client: redis.Redis
) -> None:
    await put(store, "a", ttl_ms=1, due="0")
    await put(store, "b", front=True)
    task = await waiting(store, client)
    await store.duty.join("w1", LEASE)
    assert [each.record.id for each in (await claim(store, limit=1)).jobs] == ["b"]
    await passed(client, clock(client) + 1)

    assert (await ending(task)).status == "expired"


async def test_an_end_during_a_lost_connection_is_not_missed(store: Store, client: redis.Redis) -> None:
    for job_id in ("a", "b", "c"):
        claimed = await start(store, job_id)
        task = await waiting(store, client, job_id)
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await end(store, (claimed, Finished(b"p", 60_000)))

        assert (await ending(task)).status == "finished"


async def test_a_wait_goes_on_after_a_restart_of_the_server(own_server: Callable[..., Server]) -> None:
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    connection = Connection(server.url)
    store = Store(connection, "default")
    claimed = await start(store)

    with redis.Redis.from_url(server.url) as client:
        task = await waiting(store, client)

    server.stop(kill=True)
    server.start()
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert (await ending(task)).status == "finished"
    await connection.aclose()


async def test_a_job_that_was_lost_with_the_server_s_data_is_answered(own_server: Callable[..., Server]) -> None:
    server = own_server()
    connection = Connection(server.url)
    store = Store(connection, "default")
    await put(store, "a")

    with redis.Redis.from_url(server.url) as client:
        task = await waiting(store, client)

    server.stop(kill=True)
    server.start()

    assert (await ending(task)).status == "deleted"
    await connection.aclose()


async def test_a_wait_without_a_server_is_a_typed_error(own_server: Callable[..., Server]) -> None:
    server = own_server()
    connection = Connection(server.url)
    server.stop(kill=True)

    for _ in range(2):
        with pytest.raises(ServerUnreachable):
            await asyncio.wait_for(Store(connection, "default").producing.mailbox.wait("a"), 10)

    await connection.aclose()


async def test_a_user_who_may_not_listen_is_told(server: Server, client: redis.Redis) -> None:
    client.acl_setuser(
        "deaf", enabled=True, passwords=["+secret"], commands=["+@all"], keys=["*"], reset_channels=True
    )
    connection = Connection(f"unix://deaf:secret@{server.socket}")

    with pytest.raises(ServerRefused):
        await asyncio.wait_for(Store(connection, "default").producing.mailbox.wait("a"), 10)

    await connection.aclose()
    client.acl_deluser("deaf")


async def test_queues_of_one_connection_wait_side_by_side(connection: Connection, client: redis.Redis) -> None:
    stores = [Store(connection, name) for name in ("one", "two", "three")]

    for store in stores:
        await put(store, "a")

    tasks = [asyncio.create_task(store.producing.mailbox.wait("a")) for store in stores]
    await eventually(lambda: all(b"after" in fields(client, store) for store in stores))
    assert len(client.client_list("pubsub")) == 1

    for store in stores:
        await store.changes.cancel("a")

    assert [(await ending(task)).status for task in tasks] == ["canceled"] * 3


# Ahead: the records of new jobs bring the channel along


@pytest.fixture
async def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that the server is asked for, by a process that is used to waiting for its jobs."""
    ids: list[str] = []
    wait = store.producing.wait

    async def ask(channel: str, batch: list[str]) -> list[dict[bytes, bytes] | int]:
        ids.extend(batch)

        return await wait(channel, batch)

    monkeypatch.setattr(store.producing, "wait", ask)
    await store.producing.mailbox.wait("gone")  # it listens from now on
    store.producing.mailbox._habit = STRONGEST_HABIT
    ids.clear()

    return ids


async def hearing(store: Store, job_id: str = "a") -> asyncio.Task[Ending]:
    """A task that waits for a message, and does not ask."""
    task = asyncio.create_task(store.producing.mailbox.wait(job_id))
    await eventually(lambda: job_id in store.producing.mailbox._waits)

    return task


async def test_who_waits_for_most_jobs_need_not_ask_for_them(store: Store, asked: list[str]) -> None:
    store.producing.mailbox._habit = 0

    for number in range(HABIT_TO_WAIT_AHEAD + 50):
        claimed = await start(store, f"j{number}")
        task = await hearing(store, f"j{number}")
        await end(store, (claimed, Finished(b"p", 60_000)))
        assert (await ending(task)).status == "finished"

    assert HABIT_TO_WAIT_AHEAD // 2 <= len(asked) <= HABIT_TO_WAIT_AHEAD
    assert (store.producing.mailbox._waits, store.producing.mailbox._ahead) == ({}, {})


async def test_who_waits_for_few_jobs_is_told_of_those_alone(
    store: Store, asked: list[str], client: redis.Redis
) -> None:
    store.producing.mailbox._habit = 0

    for number in range(HABIT_TO_WAIT_AHEAD):
        await put(store, f"a{number}", f"b{number}", f"c{number}")
        await store.changes.cancel(f"a{number}")
        await store.producing.mailbox.wait(f"a{number}")
        assert b"after" not in fields(client, store, f"b{number}")


async def test_who_no_longer_waits_is_no_longer_told(store: Store, asked: list[str], client: redis.Redis) -> None:
    await put(store, "a")
    assert fields(client, store)[b"after"] == b"@" + store.producing.mailbox.channel.encode()
    await put(store, *(f"j{number}" for number in range(STRONGEST_HABIT - HABIT_TO_WAIT_AHEAD)))
    await put(store, "b")
    assert b"after" not in fields(client, store, "b")


async def test_nobody_waits_ahead_before_the_subscription_stands(store: Store, client: redis.Redis) -> None:
    client.acl_setuser("deaf", enabled=True, nopass=True, commands=["+@all"], keys=["*"], reset_channels=True)
    connection = Connection(store.connection.url.replace("://", "://deaf:x@"))
    deaf = Store(connection, "default")

    for _ in range(HABIT_TO_WAIT_AHEAD):
        with pytest.raises(ServerRefused):
            await asyncio.wait_for(deaf.producing.mailbox.wait("a"), 5)

    await put(deaf, "a")
    assert b"after" not in fields(client, store)
    await connection.aclose()
    client.acl_deluser("deaf")


async def test_an_end_that_comes_before_the_wait_is_kept_for_it(store: Store, asked: list[str]) -> None:
    claimed = await start(store)
    await end(store, (claimed, Finished(b"p", 60_000)))
    await eventually(lambda: store.producing.mailbox._ahead["a"])

    assert await store.producing.mailbox.wait("a") == Ending("finished", b"p", None)
    assert (asked, store.producing.mailbox._ahead) == ([], {})
    assert (await store.producing.mailbox.wait("a")).fields is not None
    assert asked == ["a"], "it is kept for one wait"


@pytest.mark.parametrize("outcome", [Finished(b"x" * (LONGEST_KEPT_BYTES + 1), 60_000), Failed("boom")])
async def test_long_results_and_failures_are_not_kept(
    outcome: Finished | Failed, store: Store, asked: list[str]
) -> None:
    claimed = await start(store)
    await end(store, (claimed, outcome))
    await eventually(lambda: not store.producing.mailbox._ahead)

    assert (await ending(asyncio.create_task(store.producing.mailbox.wait("a")))).fields is not None
    assert asked == ["a"]


async def test_two_wait_for_a_job_that_is_waited_for_ahead(store: Store, asked: list[str]) -> None:
    claimed = await start(store)
    tasks = [await hearing(store), asyncio.create_task(store.producing.mailbox.wait("a"))]
    await eventually(lambda: len(store.producing.mailbox._waits["a"]) == 2)
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert [await ending(task) for task in tasks] == [Ending("finished", b"p", None)] * 2
    assert (asked, store.producing.mailbox._waits) == ([], {})


async def test_two_processes_wait_for_a_job_that_one_waits_for_ahead(
    store: Store, asked: list[str], elsewhere: Store, client: redis.Redis
) -> None:
    claimed = await start(store)
    here, there = await hearing(store), await waiting(elsewhere, client)
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert await ending(here) == await ending(there) == Ending("finished", b"p", None)


async def test_a_wait_ahead_that_is_given_up_leaves_the_job_to_the_next(store: Store, asked: list[str]) -> None:
    claimed = await start(store)
    task = await hearing(store)
    task.cancel()
    await asyncio.wait([task])
    assert store.producing.mailbox._waits == {}
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert (await ending(asyncio.create_task(store.producing.mailbox.wait("a")))).status == "finished"


@pytest.mark.parametrize("limit", [0.01, 0.2])
async def test_a_wait_ahead_keeps_its_limit(
    limit: float, store: Store, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "ASK_AHEAD_AFTER_S", 0.1)
    await put(store, "a")
    begun = asyncio.get_running_loop().time()

    with pytest.raises(TimeoutError):
        await store.producing.mailbox.wait("a", limit)

    assert limit <= asyncio.get_running_loop().time() - begun < limit + 1
    assert store.producing.mailbox._waits == {}


async def test_an_end_ahead_during_a_lost_connection_is_not_missed(
    store: Store, asked: list[str], client: redis.Redis
) -> None:
    for job_id in ("a", "b"):
        store.producing.mailbox._habit = STRONGEST_HABIT
        claimed = await start(store, job_id)
        task = await hearing(store, job_id) if job_id == "a" else None
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await end(store, (claimed, Finished(b"p", 60_000)))
        task = task or asyncio.create_task(store.producing.mailbox.wait(job_id))

        assert (await ending(task)).status == "finished"


async def test_a_job_that_vanishes_is_asked_for_after_a_while(
    store: Store, asked: list[str], client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "ASK_AHEAD_AFTER_S", 0.1)
    await put(store, "a")
    task = await hearing(store)
    client.flushall()

    assert (await ending(task)).status == "deleted"


async def test_a_requeued_job_that_was_waited_for_ahead_is_waited_for_anew(
    store: Store, asked: list[str], client: redis.Redis
) -> None:
    claimed = await start(store)
    task = await hearing(store)
    await end(store, (claimed, Failed("boom")))
    assert (await ending(task)).status == "failed"

    await store.changes.requeue(["a"], at_front=False, reset=True)
    task = await waiting(store, client)
    (claimed,) = await take(store)
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert await ending(task) == Ending("finished", b"p", None)


async def test_a_wait_ahead_goes_on_over_a_retry(store: Store, asked: list[str]) -> None:
    claimed = await start(store)
    task = await hearing(store)
    await end(store, (claimed, Retried("boom", 0)))
    (claimed,) = await take(store)
    await end(store, (claimed, Finished(b"p", 60_000)))

    assert await ending(task) == Ending("finished", b"p", None)
    assert asked == []


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_job_that_is_deleted_is_gone_also_if_it_was_waited_for_ahead(
    has_ended: bool, store: Store, asked: list[str]
) -> None:
    claimed = await start(store)

    if has_ended:
        await end(store, (claimed, Finished(b"p", 60_000)))
        await eventually(lambda: store.producing.mailbox._ahead["a"])

    await store.changes.delete(["a"])

    assert (await ending(asyncio.create_task(store.producing.mailbox.wait("a")))).status == "deleted"


async def test_jobs_with_a_ttl_or_a_chosen_id_are_asked_for(
    store: Store, asked: list[str], client: redis.Redis
) -> None:
    await put(store, "a", ttl_ms=50)
    await put(store, "b", nonce="x")
    await put(store, "c", due="+60000")
    assert [b"after" in fields(client, store, each) for each in "abc"] == [False, False, True]

    assert (await ending(asyncio.create_task(store.producing.mailbox.wait("a")))).status == "expired"
    assert asked[0] == "a"


async def test_jobs_that_are_never_waited_for_take_bounded_memory(store: Store, asked: list[str]) -> None:
    for start_at in range(0, MOST_JOBS_AHEAD + 500, 500):
        store.producing.mailbox._habit = STRONGEST_HABIT
        await put(store, *(f"j{number}" for number in range(start_at, start_at + 500)))

    assert len(store.producing.mailbox._ahead) == MOST_JOBS_AHEAD
    await store.changes.cancel("j0")
    assert (await ending(asyncio.create_task(store.producing.mailbox.wait("j0")))).status == "canceled"
    assert asked == ["j0"]


async def test_a_claim_reads_no_more_of_a_job_that_is_waited_for_ahead(store: Store, asked: list[str]) -> None:
    claimed = await start(store)

    assert b"after" not in claimed.record.fields
    assert b"more" not in claimed.record.fields
