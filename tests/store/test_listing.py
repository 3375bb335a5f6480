"""Listing: pages join to the whole list, in both directions, whatever comes and goes between two of them."""

from __future__ import annotations

import random
from typing import Any

import pytest
import redis

from aioq.store import Connection, Store, listing
from aioq.values.outcome import Failed, Finished
from aioq.values.states import JobStatus
from tests.conftest import Server
from tests.store.tools import LATE, bring, calls, clock, defer, end, job, passed, put, take

#: Ids of which the order by bytes is another one than that of any language.
IDS = ["a", "B", "_", "-", "9", "Z", "z", "b-", "b_", "b", "ba", "bB", "A1", "a1", "0", "_a", "-a"]

STATES = [*JobStatus]
DESC = pytest.mark.parametrize("desc", [False, True], ids=["asc", "desc"])
PAGES = pytest.mark.parametrize("page", [1, 5, 17], indirect=True)


@pytest.fixture
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    size: int = getattr(request, "param", 3)
    monkeypatch.setattr(listing, "PAGE", size)

    return size


async def fill(store: Store, client: redis.Redis, state: JobStatus, ids: list[str]) -> None:
    """Jobs in one state, in all the ways in which that is stored."""
    if state == "queued":
        await put(store, *ids[:4], *ids[8:])
        await put(store, "late1", ttl_ms=1)
        await put(store, *ids[4:8], front=True, ttl_ms=60_000)
        await put(store, "late2", ttl_ms=1, front=True)
        await passed(client, clock(client) + 1)
    elif state == "scheduled":
        due = str(clock(client) + 60_000)
        await store.producing.enqueue_many([job(each, due=due) for each in ids])
    elif state == "deferred":
        await defer(store, *ids)
    elif state == "expired":
        await put(store, *ids[::2], ttl_ms=1)
        await passed(client, clock(client) + 1)
        await take(store, limit=3)
        await put(store, *ids[1::2], ttl_ms=1)
        await passed(client, clock(client) + 1)
    elif state == "canceled":
        await put(store, *ids)

        for each in ids:
            await store.changes.cancel(each)
    else:
        own = {"failure_ttl": b"60000"}
        await store.producing.enqueue_many([job(each, **own if at % 2 else {}) for at, each in enumerate(ids)])
        claims = await take(store, limit=len(ids))

        if state in ("finished", "failed"):
            ends = [Finished(b"pr", 60_000), Finished(b"pr", 500_000)] if state == "finished" else [Failed("e")]
            await end(store, *[(each, ends[at % len(ends)]) for at, each in enumerate(claims)])
        elif state == "stopped":
            for each in ids:
                await store.changes.stop(each)


async def pages(store: Store, state: JobStatus, **options: Any) -> list[list[str]]:
    return [ids async for ids in store.reads.listing(state, **options)]


@PAGES
@pytest.mark.parametrize("state", STATES)
async def test_pages_join_to_the_whole_list(
    store: Store, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, page: int, state: JobStatus
) -> None:
    await fill(store, client, state, IDS)
    found = await pages(store, state)
    back = await pages(store, state, desc=True)

    monkeypatch.setattr(listing, "PAGE", 1000)
    (whole,) = await pages(store, state)
    assert sorted(whole) == sorted(IDS)
    assert [each for ids in found for each in ids] == whole
    assert [each for ids in back for each in ids] == whole[::-1]
    assert max(map(len, [*found, *back])) <= page


@DESC
@pytest.mark.parametrize("state", STATES)
async def test_an_offset_and_a_limit_cut_the_list_anywhere(
    store: Store, client: redis.Redis, page: int, state: JobStatus, desc: bool
) -> None:
    await fill(store, client, state, IDS)
    whole, _ = await store.reads.ids(state, desc=desc)

    for offset in (0, 1, 2, 3, 4, 7, 16, 17, 18, 1000):
        for limit in (None, 0, 1, 2, 3, 4, 6, 14, 15, 1000):
            expected = whole[offset:][:limit]
            assert (await store.reads.ids(state, offset, limit, desc=desc))[0] == expected, (offset, limit)
            found = await pages(store, state, offset=offset, limit=limit, desc=desc, size=2)
            assert [each for ids in found for each in ids] == expected


@PAGES
@DESC
async def test_jobs_that_are_due_at_one_moment(store: Store, client: redis.Redis, page: int, desc: bool) -> None:
    due = clock(client) + 60_000
    await store.producing.enqueue_many([job(each, due=str(due)) for each in [*IDS, *(f"c{each}" for each in IDS)]])
    await store.producing.enqueue_many([job("before", due=str(due - 1)), job("behind", due=str(due + 1))])
    # As it is beyond the places of a ms: one score, and the ids decide.
    client.zadd(store.keys.scheduled, dict.fromkeys(client.zrange(store.keys.scheduled, 1, -2), due))
    whole = [each.decode() for each in client.zrange(store.keys.scheduled, 0, -1, desc=desc)]

    assert (await store.reads.ids(JobStatus.SCHEDULED, desc=desc))[0] == whole
    assert (await store.reads.ids(JobStatus.SCHEDULED, 5, 11, desc=desc))[0] == whole[5:16]


@PAGES
@DESC
@pytest.mark.parametrize("state", [JobStatus.FINISHED, JobStatus.FAILED])
async def test_jobs_that_ended_at_one_moment(
    store: Store, client: redis.Redis, page: int, state: JobStatus, desc: bool
) -> None:
    await fill(store, client, state, IDS)
    key = store.keys[state]
    own, usual = client.zrange(key, 0, -1), client.zrange(key + b":usual", 0, -1)
    assert len(own) > 5 < len(usual)

    for index in (key, key + b":usual"):
        client.zadd(index, {each: int(score) for each, score in client.zrange(index, 0, -1, withscores=True)})

    whole = [each.decode() for each in [*sorted(own), *sorted(usual)]]
    assert (await store.reads.ids(state, desc=desc))[0] == (whole[::-1] if desc else whole)


class Traffic:
    """Brings jobs into a state and takes them out of it, in the way of workers and users."""

    def __init__(self, store: Store, client: redis.Redis, state: JobStatus, seed: int) -> None:
        self.store, self.client, self.state = store, client, state
        self.chance = random.Random(seed)
        self.made = 0
        self.going: list[str] = []

    async def add(self) -> None:
        self.made += 1
        name = f"{self.chance.choice('aZ_-9')}x{self.made}"

        if self.state == "queued":
            await put(self.store, name, front=self.chance.random() < 0.5)
        elif self.state == "scheduled":  # before and behind all others, and among them
            await put(self.store, name, due=str(self.chance.choice([self.due - 1, self.due, self.due + 1])))
        elif self.state == "expired":
            await bring(self.store, self.client, LATE, name)
        else:
            await bring(self.store, self.client, self.state, name)

        self.going.append(name)

    async def go(self) -> None:
        """One that may go goes. Of the waiting ones, a worker gets the first, whichever it is."""
        name = self.going.pop(self.chance.randrange(len(self.going)))
        await self.store.changes.delete([name])

    async def between(self) -> None:
        for _ in range(self.chance.randrange(3)):
            await self.chance.choice([self.add, self.go] if self.going else [self.add])()

        if self.state == "expired" and self.chance.random() < 0.5:
            # Late jobs are seen, and enter the registry.
            await take(self.store, limit=1)

    async def run(self, ids: list[str], desc: bool) -> None:
        self.due = clock(self.client) + 60_000
        await fill(self.store, self.client, self.state, ids)
        for _ in range(10):
            await self.add()
        whole, _ = await self.store.reads.ids(self.state, desc=desc)
        found: list[str] = []

        async for page in self.store.reads.listing(self.state, desc=desc):
            found += page
            await self.between()

            if self.going and self.chance.random() < 0.3 and page[-1] in self.going:
                self.going.remove(page[-1])  # just the one at which the next page begins
                await self.store.changes.delete([page[-1]])

        assert [each for each in found if each in ids] == [each for each in whole if each in ids]
        assert len(set(found)) == len(found)


@DESC
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("state", [each for each in STATES if each != "started"])
async def test_a_job_that_stays_is_listed_once_whatever_comes_and_goes(
    store: Store, client: redis.Redis, page: int, state: JobStatus, seed: int, desc: bool
) -> None:
    await Traffic(store, client, state, seed).run(IDS, desc)


async def test_started_jobs_that_stay_are_listed_once_while_others_begin_and_end(
    store: Store, client: redis.Redis, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(store, *IDS, *(f"short{number}" for number in range(6)))
    claims = await take(store, limit=len(IDS) + 6)
    ask = store.reads._page

    async def asked(*args: Any) -> Any:
        reply = await ask(*args)

        if claims[len(IDS) :]:
            await end(store, (claims.pop(), Finished(b"pr", 60_000)))
            await put(store, f"new{len(claims)}", front=True)
            await take(store, limit=1)

        return reply

    monkeypatch.setattr(store.reads, "_page", asked)
    found, _ = await store.reads.ids(JobStatus.STARTED)

    assert [each for each in found if each in IDS] == IDS
    assert len(set(found)) == len(found)


@DESC
async def test_a_waiting_job_that_is_claimed_between_two_pages_hides_no_other(
    store: Store, page: int, desc: bool
) -> None:
    await put(store, *IDS)
    found: list[str] = []
    taken: list[str] = []

    async for ids in store.reads.listing(JobStatus.QUEUED, desc=desc):
        found += ids
        taken += [each.record.id for each in await take(store, limit=2)]

    stayed = [each for each in IDS if each not in taken]
    assert [each for each in found if each in stayed] == (stayed[::-1] if desc else stayed)
    assert len(set(found)) == len(found)


@DESC
async def test_late_jobs_that_a_worker_sees_between_two_pages_are_listed_once(
    store: Store, client: redis.Redis, page: int, desc: bool
) -> None:
    for at, each in enumerate(IDS):
        await put(store, each, ttl_ms=1 + at // 4)

    await passed(client, clock(client) + 5)
    found: list[str] = []

    async for ids in store.reads.listing(JobStatus.EXPIRED, desc=desc):
        found += ids
        await take(store)

    assert sorted(found) == sorted(IDS)


async def test_a_closed_listing_leaves_out_what_comes_after_its_beginning(
    store: Store, client: redis.Redis, page: int
) -> None:
    await fill(store, client, JobStatus.FAILED, IDS)
    await passed(client, clock(client))
    found: list[str] = []

    async for ids in store.reads.listing(JobStatus.FAILED, is_closed=True):
        found += ids
        await passed(client, clock(client))
        await bring(store, client, "failed", f"new{len(found)}")

    assert sorted(found) == sorted(IDS)


@DESC
async def test_what_is_past_its_retention_and_not_swept_makes_no_page_longer(
    server: Server, connection: Connection, client: redis.Redis, page: int, desc: bool
) -> None:
    store, now = Store(connection, "default"), clock(client)
    key = store.keys["finished"]
    client.zadd(key, {f"over{number}": now - 1000 + number for number in range(20)})
    client.zadd(key + b":until", {f"over{number}": now - 1 for number in range(20)})
    client.zadd(key, {"own": now - 990.5})
    client.zadd(key + b":usual", {f"old{number}": now - 600_000 for number in range(20)})
    client.zadd(key + b":usual", {"x": now - 995.5, "y": now - 985.5})

    try:
        expected = ["y", "own", "x"] if desc else ["x", "own", "y"]
        assert (await store.reads.ids(JobStatus.FINISHED, desc=desc))[0] == expected
        assert (await store.reads.ids(JobStatus.FINISHED, 1, 1, desc=desc))[0] == ["own"]
        assert (await store.reads.count())["finished"] == 3

        client.delete(key + b":usual")  # what is left is in one index, but its ranks are no places in the list
        assert (await store.reads.ids(JobStatus.FINISHED, 0, 1, desc=desc))[0] == ["own"]
        assert (await store.reads.ids(JobStatus.FINISHED, 1, 1, desc=desc))[0] == []
        client.zadd(key, {"next": now - 989})
        client.zadd(key + b":until", {"next": now + 60_000})
        expected = ["next", "own"] if desc else ["own", "next"]
        assert (await store.reads.ids(JobStatus.FINISHED, 1, 1, desc=desc))[0] == expected[1:]
    finally:
        client.flushall()


async def test_names_that_nobody_could_give_hide_no_job_behind_them(
    connection: Connection, client: redis.Redis, page: int
) -> None:
    store = Store(connection, "default")
    names = [b"", b" ", b"a b\n", b"\x00\xff", b"\xff\x00", b"1 2 3", b"z"]
    client.zadd(store.keys["failed"], dict.fromkeys(names, clock(client)))

    try:
        for desc in (False, True):
            assert (await store.reads.ids(JobStatus.FAILED, desc=desc))[0][0 if desc else -1] == r"\xff" + "\x00"
            assert len((await store.reads.ids(JobStatus.FAILED, desc=desc))[0]) == len(names)
    finally:
        client.flushall()


async def test_an_offset_in_a_registry_takes_one_call_however_deep(
    store: Store, client: redis.Redis, page: int
) -> None:
    await store.producing.enqueue_many([job(each, due="+60000") for each in IDS])
    before = calls(client, "evalsha")

    assert len((await store.reads.ids(JobStatus.SCHEDULED, len(IDS) - 2, 2))[0]) == 2
    assert len((await store.reads.ids(JobStatus.SCHEDULED, len(IDS) - 2, 2, desc=True))[0]) == 2
    assert calls(client, "evalsha") - before == 2


async def test_each_call_looks_at_one_page_at_the_most(store: Store, client: redis.Redis, page: int) -> None:
    await put(store, *IDS)
    before = calls(client, "evalsha")

    assert len((await store.reads.ids(JobStatus.QUEUED))[0]) == 17
    assert calls(client, "evalsha") - before == 6  # of three entries each
