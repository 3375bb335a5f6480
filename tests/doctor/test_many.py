"""Many queues on one server: the doctor and `aioq info` ask about all of them in few round trips."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from aioq import Queue
from aioq.doctor import examine, examine_queues, examining
from aioq.store import Connection, Directory, Store
from aioq.store.net.wire import Wire
from aioq.store.scatter import NAMES_PER_ROUND_TRIP
from aioq.values.errors import ServerUnsuitable
from tests.store.tools import put

MANY = 400


@pytest.fixture
async def names(connection: Connection) -> list[str]:
    """Queues with a waiting job each; of every tenth, two jobs, one of which is scheduled."""
    made = [f"tenant-{number:03}" for number in range(MANY)]

    for at, name in enumerate(made):
        await put(Store(connection, name), "a")

        if at % 10 == 0:
            await put(Store(connection, name), "b", due="+60000")

    return made


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The number of commands of each round trip from now on."""
    seen: list[int] = []
    send = Wire.send

    def counted(self: Wire, packed: bytes, count: int) -> Any:
        seen.append(count)
        return send(self, packed, count)

    monkeypatch.setattr(Wire, "send", counted)
    yield seen


async def test_an_overview_takes_a_round_trip_for_hundreds_of_queues(
    names: list[str], connection: Connection, trips: list[int]
) -> None:
    directory = Directory(connection)
    await directory.overview(names[:1])  # its scripts are known then
    trips.clear()
    found = await directory.overview(await directory.queues())
    assert [each.name for each in found] == names
    assert sum(each.counts.queued for each in found) == MANY
    assert sum(each.counts["scheduled"] for each in found) == MANY / 10
    assert len(trips) == 1 + MANY / NAMES_PER_ROUND_TRIP


async def test_a_suspension_takes_a_round_trip_for_hundreds_of_queues(
    names: list[str], connection: Connection, trips: list[int], raw: redis.Redis
) -> None:
    directory = Directory(connection)
    await directory.suspend()
    assert await directory.paused(names) == names
    await directory.resume()
    assert await directory.paused(names) == []
    assert len(trips) <= 4 * (2 + MANY / NAMES_PER_ROUND_TRIP)
    assert not raw.exists(*(f"aioq:{{{name}}}:suspended" for name in names))


async def test_many_queues_are_examined_in_few_round_trips(
    names: list[str], connection: Connection, trips: list[int], raw: redis.Redis
) -> None:
    jobs: list[int] = []
    finished: list[None] = []
    raw.config_resetstat()
    found = await examine_queues(connection, names, advance=jobs.append, finished=lambda: finished.append(None))
    assert [each.name for each in found] == names
    assert all(each.listed and not each.findings and each.error is None for each in found)
    assert [each.jobs for each in found] == [2 if at % 10 == 0 else 1 for at in range(MANY)]
    assert (sum(jobs), len(finished)) == (MANY * 11 / 10, MANY)
    # The types, the jobs, and the members of each queue are asked for in calls of the script: about 4 each.
    calls = raw.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert calls < 7 * MANY
    assert len(trips) < MANY / 2
    # One look through all keys, and not one for each queue.
    assert raw.info("commandstats")["cmdstat_scan"]["calls"] < 20


async def test_an_examination_of_many_writes_nothing(
    names: list[str], connection: Connection, raw: redis.Redis
) -> None:
    before = {key: raw.dump(key) for key in raw.scan_iter(count=1000)}
    await examine_queues(connection, names)
    assert {key: raw.dump(key) for key in raw.scan_iter(count=1000)} == before


@pytest.mark.parametrize("abreast", [7, *(pytest.param(each, marks=pytest.mark.chaos) for each in (1, 100))])
async def test_what_is_wrong_with_some_of_many_is_found_and_repaired(
    names: list[str],
    connection: Connection,
    raw: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    abreast: int,
) -> None:
    monkeypatch.setattr(examining, "QUEUES_AT_ONCE", abreast)
    some = names[:30]
    raw.delete(f"aioq:{{{some[3]}}}:lane:main")
    raw.zadd(f"aioq:{{{some[5]}}}:scheduled", {"ghost": 1})
    raw.delete(f"aioq:{{{some[7]}}}:lane:main")
    raw.set(f"aioq:{{{some[7]}}}:lane:main", "x")
    raw.srem("aioq:queues", some[9])

    found = {each.name: each for each in await examine_queues(connection, some)}
    kinds = {name: {each.kind for each in found[name].findings} for name in some if found[name].findings}
    assert kinds == {
        some[3]: {"job-without-index"},
        some[5]: {"index-without-job"},
        some[7]: {"wrong-type"},
        some[9]: {"queue-not-listed"},
    }

    # One by one, the same is found.
    for name in some:
        assert await examine(Queue(name, connection)) == found[name].findings

    repaired = await examine_queues(connection, some, repair=True)
    assert all(each.repaired for queue in repaired for each in queue.findings)
    assert {each.name for each in repaired if each.findings} == set(kinds)
    assert all(not each.findings for each in await examine_queues(connection, some))


async def test_a_refusal_is_an_error_of_that_queue(connection: Connection, raw: redis.Redis) -> None:
    await put(Store(connection, "a"), "x")
    await put(Store(connection, "b"), "x")
    raw.set("aioq:{b}:failed", "x", ex=60)
    found = await Directory(connection, away={}).overview(["a", "b"])
    assert [each.name for each in found] == ["a"]

    with pytest.raises(ServerUnsuitable):
        await Directory(connection).overview(["a", "b"])
