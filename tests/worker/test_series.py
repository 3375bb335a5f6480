"""When the next run of a series is due: by the server's clock, from the end of the run before."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from aioq import Job, Queue, Repeat
from aioq.values.claim import Claim
from aioq.values.options import read_options
from aioq.values.outcome import Failed, FailedRun, Finished, FinishedRun
from aioq.values.record import JobRecord
from aioq.worker.run import Run
from aioq.worker.series import in_series
from tests.tools import eventually

HOUR_MS = 3_600_000
NOW = 1_700_000_000_000


def run_of(queue: Queue, repeat: Repeat | None, **fields: str) -> Run:
    """A run that has just begun, as far as `in_series` is concerned."""
    stored = {name.encode(): value.encode() for name, value in fields.items()}
    opts = read_options({"repeat": repeat, "description": "d"}).packed()
    run = Run(queue.store, Claim(JobRecord("a", {b"func": b"m.f", b"opts": opts, **stored}), 1))
    run.started_at = time.monotonic()

    return run


FINISHED, FAILED = Finished(b"j1", 5, b"s"), Failed("boom")


async def test_a_run_of_a_series_is_told_when_the_next_one_is_due(queue: Queue) -> None:
    outcome = in_series(run_of(queue, Repeat(2, "1h"), started_at=str(NOW)), FINISHED)

    assert isinstance(outcome, FinishedRun)
    assert (outcome.result, outcome.ttl_ms, outcome.instead) == (b"j1", 5, b"s")
    assert outcome.due_ms == pytest.approx(NOW + HOUR_MS, abs=1000)


async def test_what_has_passed_since_the_claim_counts(queue: Queue) -> None:
    run = run_of(queue, Repeat(2, "1h"), started_at=str(NOW))
    run.started_at -= 100
    outcome = in_series(run, FINISHED)
    assert isinstance(outcome, FinishedRun)
    assert outcome.due_ms == pytest.approx(NOW + 100_000 + HOUR_MS, abs=1000)

    run.taken_at = run.started_at - 50  # it waited for a slot before
    outcome = in_series(run, FINISHED)
    assert isinstance(outcome, FinishedRun)
    assert outcome.due_ms == pytest.approx(NOW + 150_000 + HOUR_MS, abs=1000)


@pytest.mark.parametrize("outcome", [FINISHED, FAILED])
@pytest.mark.parametrize(("repeat", "repeats"), [(None, 0), (Repeat(2), 2), (Repeat(2), 9)])
async def test_a_run_that_is_the_last_one_is_the_end(
    queue: Queue, repeat: Repeat | None, repeats: int, outcome: Finished | Failed
) -> None:
    assert in_series(run_of(queue, repeat, repeats=str(repeats)), outcome) is outcome


async def test_a_failure_is_the_end_unless_the_series_goes_on(queue: Queue) -> None:
    assert in_series(run_of(queue, Repeat(2)), FAILED) is FAILED

    outcome = in_series(run_of(queue, Repeat(2, on_failure="continue")), FAILED)
    assert isinstance(outcome, FailedRun)
    assert outcome.error == "boom"


def sleep(seconds: float) -> None:
    time.sleep(seconds)


async def test_the_wait_for_a_process_is_part_of_what_has_passed(
    queue: Queue, start_worker: Callable[..., Any]
) -> None:
    await start_worker(job_processes=1)
    slow = queue.using(executor="process", repeat=Repeat(1, "1h"))
    jobs = [await slow.enqueue(sleep, 0.4) for _ in range(5)]

    async def all_wait() -> bool:
        return all([await job.get_status() == "scheduled" for job in jobs])

    await eventually(all_wait, timeout=20)
    assert [await pause_of(job) for job in jobs] == [pytest.approx(3600, abs=0.8)] * 5


async def pause_of(job: Job[Any]) -> float:
    """The seconds from the end of the last run to the next one."""
    latest = await job.latest_result()
    assert latest is not None
    assert latest.ended_at is not None
    assert job.scheduled_at is not None

    return (job.scheduled_at - latest.ended_at).total_seconds()
