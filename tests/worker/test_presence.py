"""A worker that is heard on its queues claims there; one that is not heard claims nothing, and says so."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import pytest
import redis

from aioq.store import Connection, Directory, Store
from aioq.worker.demand import Demand, Limits
from aioq.worker.health import BEATS_TO_RECOVER
from aioq.worker.heartbeat import LEASE_MS
from aioq.worker.presence import Presence
from aioq.worker.reclaimer import Reclaimer
from aioq.worker.route import Route
from tests.store.tools import clock, put, take
from tests.tools import eventually


class Clock:
    """For how long the process has run; a test moves it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Present(NamedTuple):
    presence: Presence
    route: Route
    demand: Demand
    lapses: list[None]
    clock: Clock


@pytest.fixture
async def present(connection: Connection) -> AsyncIterator[Callable[..., Present]]:
    """Makes a worker `w` that has joined a queue, and beats once it is started."""
    made: list[Present] = []

    def make(connection: Connection = connection, facts: Callable[[], dict[str, str | int]] = dict) -> Present:
        route = Route(connection, Store(connection, "default"), "w", LEASE_MS)
        demand, lapses = Demand(10, Limits()), list[None]()
        reclaimer = Reclaimer(demand.expect_jobs)
        presence = Presence(
            connection,
            Directory(connection),
            [[route]],
            "w",
            demand,
            reclaimer,
            lambda: lapses.append(None),
        )
        clock = Clock()
        presence.prepare(facts, clock, lambda _: None)
        made.append(Present(presence, route, demand, lapses, clock))
        return made[-1]

    yield make

    for each in made:
        await each.presence.sign_off(2)


async def test_a_worker_that_beats_has_a_lease_and_a_description(present, raw: redis.Redis) -> None:
    worker = present(facts=lambda: {"state": "idle", "running": 0})
    await worker.route.store.duty.join("w", LEASE_MS)
    worker.presence.start()
    leases = worker.route.store.keys.leases
    first = raw.zscore(leases, "w")
    await eventually(lambda: raw.zscore(leases, "w") > first)
    assert await eventually(lambda: raw.hget("aioq:worker:w", "state")) == "idle"
    worker.presence.judge()
    assert worker.presence.may_claim
    assert not worker.route.is_barred

    await worker.presence.sign_off(5)
    assert raw.zscore(leases, "w") is None
    assert not raw.exists("aioq:worker:w")


async def test_a_queue_is_barred_while_its_heartbeats_are_not_answered(
    present, caplog: pytest.LogCaptureFixture
) -> None:
    worker = present()
    worker.presence.judge()
    assert not worker.route.is_barred

    worker.clock.ahead = LEASE_MS / 1000 + 1
    worker.presence.judge()
    worker.presence.judge()
    assert worker.route.is_barred
    assert not worker.presence.may_claim
    assert caplog.text.count("it claims nothing of default until one is") == 1

    caplog.set_level("INFO", "aioq.worker")
    worker.demand.expects_jobs = False
    answer(worker)
    assert not worker.route.is_barred
    assert worker.demand.expects_jobs
    assert caplog.text.count("keeps its leases again, and claims jobs of default") == 1


async def test_a_worker_that_loses_its_lease_twice_must_prove_itself(
    present, caplog: pytest.LogCaptureFixture
) -> None:
    worker = present()

    for times in range(2):
        worker.clock.ahead += LEASE_MS / 1000 + 1
        worker.presence.note_lapse(worker.route)
        assert worker.route.is_barred
        assert ("has lost its lease twice" in caplog.text) == (times == 1)

        if times == 0:
            answer(worker)

    answer(worker)
    assert worker.route.is_barred  # one answer is not enough

    for _ in range(BEATS_TO_RECOVER):
        answer(worker)

    assert not worker.route.is_barred


def answer(worker: Present) -> None:
    """A beat is answered."""
    ((heartbeat, _),) = worker.presence._heartbeats
    heartbeat.health.beaten(worker.clock(), lapsed=False)
    worker.presence.judge()


async def test_the_runs_are_checked_once_a_lease_had_ended(
    present, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    worker = present()
    await put(worker.route.store, "a")
    await take(worker.route.store, "w")
    raw.zadd(worker.route.store.keys.leases, {"w": clock(raw) - 1})
    assert (await worker.route.store.duty.reclaim("w"))[1] == ["a"]
    worker.presence.start()
    await eventually(lambda: worker.lapses)
    assert "a lease of worker w had ended; its runs are checked" in caplog.text


async def test_signing_off_from_a_server_that_is_away_ends_in_time(
    caplog: pytest.LogCaptureFixture, present
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and answers nothing
        connection = Connection(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        worker = present(connection)
        begun = time.monotonic()
        await worker.presence.leave(0.2)
        await worker.presence.sign_off(0.2)
        assert time.monotonic() - begun < 3
        assert "could not sign off: no answer" in caplog.text

    await connection.aclose()
