"""What a worker does after a lost reply, and with a queue whose calls are refused. No server is needed.

What the server makes of it is in test_courier.py and test_route.py.
"""

from __future__ import annotations

import asyncio

import pytest

from aioq import ServerError
from aioq.errors import ServerUnreachable
from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.outcome import Finished
from aioq.values.record import JobRecord
from aioq.worker.recovery import Recovery
from aioq.worker.run import Run
from tests.worker.parts import Parts, courier_of


@pytest.fixture
async def parts() -> Parts:
    connection = Connection("redis://127.0.0.1:1")  # nothing listens here

    return courier_of(connection, [Store(connection, name) for name in ("a", "b")])


def recovery_of(parts: Parts) -> Recovery:
    return parts.courier._recovery


async def end_healers(recovery: Recovery) -> None:
    healers = list(recovery.healers)

    for healer in healers:
        healer.cancel()

    await asyncio.gather(*healers, return_exceptions=True)


async def test_after_a_lost_reply_the_worker_is_in_doubt_and_asks_again(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    recovery = recovery_of(parts)
    parts.demand.expects_jobs = False
    recovery.note_lost_reply(ServerUnreachable("the line is cut"))
    assert (recovery.in_doubt, parts.demand.expects_jobs) == (True, True)
    assert "the line is cut; trying again" in caplog.text


async def test_where_all_queues_are_on_one_server_a_silent_one_sets_no_queue_aside(parts: Parts) -> None:
    with pytest.raises(ServerUnreachable):
        recovery_of(parts).set_aside(parts.routes[0], [], ServerUnreachable("away"))

    assert not parts.routes[0].is_aside
    assert not recovery_of(parts).healers


async def test_a_queue_that_is_refused_waits_with_its_outcomes_and_is_tried_by_one_task(parts: Parts) -> None:
    recovery, first, second = recovery_of(parts), *parts.routes
    runs = [Run(route.store, Claim(JobRecord("x", {}), 1)) for route in (first, second, first)]
    done = Finished(b"", 1000)

    for run in runs[:2]:
        parts.outcomes.put(run, done)

    recovery.set_aside(first, [(runs[2], done)], ServerError("no"))
    recovery.set_aside(first, [], ServerError("no"))
    assert first.waiting == [(runs[2], done), (runs[0], done)]
    assert parts.outcomes.small == [(runs[1], done)]
    assert (first.refusals, second.is_aside, len(recovery.healers)) == (2, False, 1)
    await end_healers(recovery)


async def test_queues_that_are_away_from_the_beginning_are_tried(parts: Parts) -> None:
    recovery = recovery_of(parts)
    parts.routes[1].set_aside()
    recovery.begin()
    assert len(recovery.healers) == 1
    await end_healers(recovery)
