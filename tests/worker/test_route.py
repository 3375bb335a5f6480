"""One queue as a worker serves it: set aside and healed, its session, lost claims, claims that are not valid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from aioq import ServerError
from aioq.errors import ServerUnreachable
from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.outcome import Finished
from aioq.values.record import JobRecord
from aioq.values.submission import Submission
from aioq.worker import route as module
from aioq.worker.large_outcomes import LARGE_BYTES
from aioq.worker.lost_claim import LOSSES_UNTIL_FAILED
from aioq.worker.route import REFUSALS_UNTIL_GIVEN_UP, Route, jobs_may_come
from aioq.worker.run import Cause, Run

LEASE_MS = 7_000

DONE = Finished(b"1", 1000, b"")


def unserved(name: str = "default") -> Route:
    """A route to a server that is not there."""
    connection = Connection("redis://127.0.0.1:1")

    return Route(connection, Store(connection, name), "w", LEASE_MS)


@pytest.fixture
async def route(connection: Connection) -> AsyncIterator[Route]:
    """A queue on which the worker has a lease."""
    store = Store(connection, "default")
    await store.duty.join("w", LEASE_MS)

    yield Route(connection, store, "w", LEASE_MS)

    await store.duty.leave("w")


async def enqueue(route: Route, *ids: str, data: bytes = b"") -> None:
    for job_id in ids:
        fields = {b"func": b"tests.jobs.noop", b"data": data}
        await route.store.producing.enqueue(Submission(JobRecord(job_id, fields)))


async def claim(route: Route, limit: int = 100) -> list[Claim]:
    command = route.store.duty.claim_command("w", limit, route.session)
    reply = await route.store.connection.call(command)

    return list(route.store.duty.read_claims(reply, "w").jobs)


async def status(route: Route, job_id: str) -> Any:
    (record,) = await route.store.reads.load([job_id])

    return record and record.status


async def delete(route: Route, *ids: str) -> None:
    for job_id in ids:
        await route.store.changes.delete(job_id)


# Without a server


def test_what_waits_while_a_queue_is_set_aside_comes_back_in_its_order() -> None:
    route = unserved()
    runs = [Run(route.store, Claim(JobRecord(name, {}), 1)) for name in "abc"]
    assert not route.is_aside
    route.set_aside()
    assert route.is_aside
    route.set_aside([(runs[0], DONE)])
    route.set_aside([(run, DONE) for run in runs[1:]])
    assert [run for run, _ in route.serve_again()] == runs
    assert not route.is_aside


def test_a_burst_gives_a_queue_up_after_some_refusals() -> None:
    route = unserved()

    for _ in range(REFUSALS_UNTIL_GIVEN_UP):
        assert not route.is_given_up(burst=True)
        route.note_refusal(ServerError("no"))

    assert route.is_given_up(burst=True)
    assert not route.is_given_up(burst=False)


def test_a_server_that_is_away_refuses_nothing() -> None:
    route = unserved()
    route.note_refusal(ServerUnreachable("away"))
    assert route.refusals == 0


def test_jobs_may_come_where_nothing_may_be_claimed_just_now_and_where_a_worker_may_be_dead() -> None:
    barred, doubtful, quiet = unserved("a"), unserved("b"), unserved("c")
    assert not jobs_may_come([quiet])
    barred.is_barred = True
    assert jobs_may_come([quiet, barred])
    doubtful.holders.note({b"other": 1000})
    assert jobs_may_come([quiet, doubtful])
    doubtful.set_aside()
    assert not jobs_may_come([quiet, doubtful]), "nobody can tell what becomes of jobs there"


async def test_a_queue_is_tried_until_its_calls_succeed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SHORTEST_PAUSE_S", 0.001)
    route, failed = unserved(), []
    errors: list[Exception | None] = [ServerError("no"), RuntimeError("nobody foresaw this"), None]

    async def attempt(tried: Route) -> None:
        assert tried is route

        if (error := errors.pop(0)) is not None:
            raise error

    await route.heal(attempt, lambda: failed.append(route.refusals))
    assert errors == []
    assert failed == [1]
    assert "nobody foresaw" in caplog.text


# On a server


async def test_jobs_that_were_claimed_without_the_workers_knowing_go_back(route: Route) -> None:
    await enqueue(route, "a", "b")
    known, _ = await claim(route)
    await route.take_back([known])
    assert (await status(route, "a"), await status(route, "b")) == ("started", "queued")
    assert route.lost_claim is not None
    assert (route.lost_claim.id, route.lost_claim.losses) == ("b", 1)
    await delete(route, "a", "b")


async def test_a_claim_of_an_older_session_brings_nothing(route: Route) -> None:
    await enqueue(route, "a")
    late = route.store.duty.claim_command("w", 1, route.session)
    await route.take_back([])
    reply = await route.store.connection.call(late)
    assert route.store.duty.read_claims(reply, "w").jobs == []
    assert [each.record.id for each in await claim(route)] == ["a"]
    await delete(route, "a")


async def test_losses_are_counted_for_one_job_in_a_row(route: Route) -> None:
    await enqueue(route, "a")

    for losses in (1, 2):
        assert len(await claim(route)) == 1
        await route.take_back([])
        assert route.lost_claim is not None
        assert route.lost_claim.losses == losses

    await delete(route, "a")
    await enqueue(route, "b")
    await claim(route)
    await route.take_back([])
    assert (route.lost_claim.id, route.lost_claim.losses) == ("b", 1)
    await delete(route, "b")


@pytest.mark.parametrize(("size", "end"), [(LARGE_BYTES + 1, "failed"), (10, "started")])
async def test_a_job_whose_claims_are_lost_again_and_again_fails_if_it_is_large(
    route: Route, size: int, end: str
) -> None:
    await enqueue(route, "a", data=b"x" * size)

    for _ in range(LOSSES_UNTIL_FAILED):
        await claim(route)
        await route.fail_lost_claim()
        await route.take_back([])

    await claim(route)
    await route.fail_lost_claim()
    assert await status(route, "a") == end
    await delete(route, "a")


async def test_claims_that_are_not_valid_any_more_are_found_with_the_reason(route: Route) -> None:
    await enqueue(route, "a", "b", "c", "d")
    runs = [Run(route.store, each) for each in await claim(route)]
    other = Run(unserved("other").store, runs[0].claim)
    await route.store.changes.stop("b")
    await route.store.changes.delete("c")
    await route.take_back([run.claim for run in runs if run.id != "d"])
    assert await route.invalid([*runs, other]) == [
        (runs[1], Cause.STOPPED),
        (runs[2], Cause.GONE),
        (runs[3], Cause.LOST),
    ]
    await delete(route, "a", "b", "d")


async def test_holders_of_jobs_are_noted(route: Route, raw: redis.Redis) -> None:
    await route.ask_for_holders()
    assert not route.holders.are_in_doubt
    await enqueue(route, "a")
    await route.store.duty.join("other", 60_000)
    await route.store.connection.call(route.store.duty.claim_command("other", 1))
    await route.ask_for_holders()
    assert route.holders.are_in_doubt
    await delete(route, "a")
    await route.store.duty.leave("other")


async def test_a_worker_that_joins_again_has_a_lease(route: Route, raw: redis.Redis) -> None:
    raw.delete(route.store.keys.leases)
    await route.join()
    assert raw.zscore(route.store.keys.leases, "w") is not None
