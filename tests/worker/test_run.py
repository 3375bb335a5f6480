"""Run: why a claim is lost, how the log and the control channel name a run, and the tasks of the worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.record import JobRecord
from aioq.worker.run import Cause, Run, attributes, cause_of_loss, own_task


async def run_of(**fields: str) -> Run:
    record = JobRecord("a\nb", {name.encode(): value.encode() for name, value in fields.items()})
    return Run(Store(Connection("redis://127.0.0.1:1"), "mail"), Claim(record, 7))  # no call is made


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        (None, Cause.GONE),
        ({b"status": b"canceled"}, Cause.CANCELED),
        ({b"status": b"stopped"}, Cause.STOPPED),
        ({b"status": b"queued"}, Cause.LOST),
        ({b"status": b"started"}, Cause.LOST),
    ],
)
def test_the_record_tells_why_a_claim_is_lost(fields: dict[bytes, bytes] | None, cause: Cause) -> None:
    assert cause_of_loss(None if fields is None else JobRecord("a", fields)) is cause


def test_nothing_is_recorded_of_a_run_unless_the_job_or_the_shutdown_ended_it() -> None:
    assert {cause for cause in Cause if not cause.is_drop} == {Cause.TIMEOUT, Cause.INTERRUPTED}


async def test_a_run_has_a_name_of_its_own_and_one_for_people() -> None:
    run = await run_of(func="shop.tasks.send")
    assert run.name == b"aioq:{mail}:job:a\nb 7"
    assert run.named == "shop.tasks.send (job a\\nb)"  # one line of the log


async def test_the_attributes_of_its_lines_in_the_log() -> None:
    run = await run_of(func="shop.tasks.send", attempts="2", worker="w")
    assert attributes(run) == {
        "job_id": "a\nb",
        "queue": "mail",
        "func": "shop.tasks.send",
        "attempt": run.claim.record.attempt,
        "worker": run.claim.record.worker,
    }


async def test_a_task_of_the_worker_is_made_without_the_factory_that_a_job_has_set() -> None:
    def factory(*_: Any, **__: Any) -> Any:
        raise AssertionError("it must not be asked")

    loop = asyncio.get_running_loop()
    loop.set_task_factory(factory)

    try:
        assert await own_task(asyncio.sleep(0, "done")) == "done"
    finally:
        loop.set_task_factory(None)
