"""Jobs that repeat, from their enqueue to the end of the series."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aioq import InvalidInput, Job, JobFailed, Queue, Repeat, Retry, Worker, current_job, task
from aioq.errors import JobCanceled, JobExpired, JobStopped, ResultNotKept, ResultTimeout
from aioq.testing import TestKit, run_inline
from tests.client.work import gates, hold, note, notes
from tests.conftest import Server
from tests.tools import assert_sound, eventually


@pytest.fixture
async def kit(server: Server) -> AsyncIterator[TestKit]:
    async with TestKit(server.url) as kit:
        yield kit


async def count(key: str) -> int:
    notes[key].append(await_now())
    return len(notes[key])


def await_now() -> tuple[int, int, int | None]:
    job = current_job()
    return job.repeats, job.attempt, job.repeats_left


async def fail_at(key: str, *runs: int) -> int:
    """Fails in these runs, counted from 1."""
    notes[key].append(current_job().attempt)
    if len(notes[key]) in runs:
        raise ValueError(f"run {len(notes[key])}")
    return len(notes[key])


def append(path: str) -> int:
    with Path(path).open("a") as file:
        file.write("run\n")
    return Path(path).read_text().count("run")


async def give_large(key: str, size: int) -> bytes:
    notes[key].append(size)
    return b"x" * size


async def give_what_cannot_be_kept(key: str) -> object:
    notes[key].append(1)
    return lambda: 1


# The series


async def test_it_runs_once_and_then_as_often_as_times_says(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue(count, key, repeat=Repeat(times=2, interval=60))
    runs = await kit.run_until_idle(scheduled=True)

    assert notes[key] == [(0, 1, 2), (1, 1, 1), (2, 1, 0)]
    assert [run.outcome for run in runs] == ["finished"] * 3
    assert await job.result(1) == 3
    await job.refresh()
    assert (job.is_finished, job.repeats, job.repeats_left) == (True, 2, 0)


async def test_the_interval_counts_from_the_end_of_a_run(kit: TestKit, key: str) -> None:
    queue = kit.queue()
    job = await queue.enqueue(note, key, repeat=Repeat(3, ["1m", "1h"]))
    found = []

    for _ in range(3):
        await kit.run_until_idle()
        await job.refresh()
        assert job.is_scheduled
        found.append(round((job.scheduled_at - await kit.now()).total_seconds()))
        await kit.advance(job.scheduled_at - await kit.now())

    assert found == [60, 3600, 3600]
    await kit.run_until_idle()
    assert len(notes[key]) == 4


async def test_without_an_interval_it_runs_again_at_once(queue: Queue, burst: Any, key: str) -> None:
    job = await queue.enqueue(count, key, repeat=Repeat(20))
    await burst()

    assert await job.result(1) == 21
    assert [run.value for run in await job.results()] == list(range(21, 10, -1))


async def test_until_ends_a_series(kit: TestKit, key: str) -> None:
    until = await kit.now() + timedelta(minutes=10)
    job = await kit.queue().enqueue(note, key, 1, repeat=Repeat(until=until, interval="3m"))
    await kit.run_until_idle(scheduled=True)

    assert len(notes[key]) == 4
    assert await job.result(1) == 1


async def test_a_cron_expression_tells_when(kit: TestKit, key: str) -> None:
    await kit.advance(datetime(2040, 3, 24, 12, tzinfo=UTC) - await kit.now())
    rule = Repeat(3, cron="30 2 * * sun", timezone="Europe/Berlin")
    job = await kit.queue().enqueue(note, key, repeat=rule)
    due = []

    await kit.run_until_idle()

    while (await job.get_status()) == "scheduled":
        await job.refresh()
        due.append(job.scheduled_at)
        await kit.advance(job.scheduled_at - await kit.now())
        await kit.run_until_idle()

    # On the first of these Sundays, the clocks of Berlin go from two to three.
    assert due == [
        datetime(2040, 3, 25, 1, tzinfo=UTC),
        datetime(2040, 4, 1, 0, 30, tzinfo=UTC),
        datetime(2040, 4, 8, 0, 30, tzinfo=UTC),
    ]
    assert len(notes[key]) == 4


async def test_it_may_begin_at_a_moment(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue_in("1h", note, key, repeat=Repeat(1, "1m"))
    assert await kit.run_until_idle() == []
    runs = await kit.run_until_idle(scheduled=True)

    assert len(runs) == 2
    assert (await job.refresh()) is None or job.is_finished


async def test_those_who_wait_get_the_last_result(queue: Queue, start_worker: Any, key: str) -> None:
    job = await queue.enqueue(count, key, repeat=Repeat(4, 0.02))
    waiting = asyncio.create_task(job.result(10))
    await start_worker()

    assert await waiting == 5


async def test_dependents_see_the_end_of_the_series(kit: TestKit, key: str) -> None:
    queue = kit.queue()
    job = await queue.enqueue(note, key, "series", repeat=Repeat(2, "1m"))
    await queue.enqueue(note, key, "next", depends_on=job)
    await kit.run_until_idle(scheduled=True)

    assert notes[key] == ["series"] * 3 + ["next"]


async def test_the_latest_result_is_that_of_the_last_run(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue(count, key, repeat=Repeat(2, "1m"))
    await kit.run_until_idle()
    latest = await job.latest_result()

    assert latest is not None
    assert (latest.type, latest.value) == ("finished", 1)
    assert await job.return_value() == 1

    with pytest.raises(ResultTimeout):
        await job.result(0)


@pytest.mark.parametrize("result_ttl", [500, 0])
async def test_each_run_has_its_result_with_a_secret_as_well(server: Server, key: str, result_ttl: int) -> None:
    async with Queue("default", server.url, secret="correct horse battery") as queue:
        job = await queue.enqueue(count, key, repeat=Repeat(2), result_ttl=result_ttl)
        await Worker(queue).run(burst=True)
        values = [run.value for run in await job.results()]

    assert values == [3, 2, 1] if result_ttl else all(isinstance(each, ResultNotKept) for each in values)


async def test_a_result_that_is_not_kept_is_in_no_history(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue(count, key, repeat=Repeat(1, "1m"), result_ttl=0)
    await kit.run_until_idle()
    (run,) = await job.results()
    assert isinstance(run.value, ResultNotKept)


async def test_a_task_and_a_queue_may_repeat(kit: TestKit, key: str) -> None:
    counted = task(repeat=Repeat(1))(note)
    await kit.queue().enqueue(counted, key)
    await kit.queue().using(repeat=Repeat(2)).enqueue(note, key)
    await kit.run_until_idle()

    assert len(notes[key]) == 5


async def test_a_created_job_may_repeat(kit: TestKit, key: str) -> None:
    job = Job.create(note, (key,), repeat=Repeat(1))
    assert job.repeats_left == 1
    await kit.queue().enqueue_job(job)
    await kit.run_until_idle()

    assert len(notes[key]) == 2


async def test_a_job_in_a_process_repeats(queue: Queue, burst: Any, tmp_path: Path) -> None:
    job = await queue.enqueue(append, str(tmp_path / "runs"), executor="process", repeat=Repeat(2))
    await burst()

    assert await job.result(1) == 3


async def test_meta_stays_through_a_series(kit: TestKit) -> None:
    job = await kit.queue().enqueue(keep_count, repeat=Repeat(2, 5))
    await kit.run_until_idle(scheduled=True)
    await job.refresh()

    assert job.meta == {"runs": 3}


async def keep_count() -> None:
    job = current_job()
    job.meta["runs"] = job.meta.get("runs", 0) + 1
    await job.save_meta()
    job.meta["unsaved"] = True


async def test_large_results_repeat_and_a_burst_waits_for_them(queue: Queue, burst: Any, key: str) -> None:
    job = await queue.enqueue(give_large, key, 600_000, repeat=Repeat(2))
    await burst()

    assert [len(run.value) for run in await job.results()] == [600_000] * 3


# Failures


async def test_a_run_that_fails_ends_the_series(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue(fail_at, key, 2, repeat=Repeat(5, 1))
    await kit.run_until_idle(scheduled=True, raise_errors=False)
    await job.refresh()

    assert (job.status, job.repeats, job.repeats_left) == ("failed", 1, 4)
    assert [run.type for run in await job.results()] == ["failed", "finished"]


async def test_the_retries_of_a_run_come_first(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue(fail_at, key, 2, 4, retry=1, repeat=Repeat(2, 1))
    await kit.run_until_idle(scheduled=True)
    await job.refresh()

    assert notes[key] == [1, 1, 2, 1, 2]
    assert (job.status, job.repeats) == ("finished", 2)
    assert [run.type for run in await job.results()] == ["finished", "failed", "finished", "failed", "finished"]


async def test_a_returned_retry_is_no_end_of_a_run(kit: TestKit, key: str) -> None:
    await kit.queue().enqueue(ask_once, key, repeat=Repeat(1, 1))
    runs = await kit.run_until_idle(scheduled=True)

    assert [run.outcome for run in runs] == ["retried", "finished", "finished"]


async def ask_once(key: str) -> Retry | None:
    notes[key].append(1)
    return Retry(1) if len(notes[key]) == 1 else None


async def test_a_series_can_go_on_after_a_failure(
    kit: TestKit, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = await kit.queue().enqueue(fail_at, key, 1, 3, repeat=Repeat(3, 1, on_failure="continue"))
    await kit.run_until_idle()
    await job.refresh()
    assert (job.status, job.error_message) == ("scheduled", "run 1")
    assert "and runs again in its series" in caplog.text

    await kit.run_until_idle(scheduled=True)
    await job.refresh()
    assert (job.status, job.repeats, job.exc_info) == ("finished", 3, None)
    assert [run.type for run in await job.results()] == ["finished", "failed", "finished", "failed"]


async def test_the_last_run_decides_how_such_a_series_has_ended(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue(fail_at, key, 3, repeat=Repeat(2, 1, on_failure="continue"))
    await kit.run_until_idle(scheduled=True, raise_errors=False)

    with pytest.raises(JobFailed, match="run 3"):
        await job.result(1)


async def test_a_run_that_takes_too_long_is_a_failure_like_others(kit: TestKit, key: str) -> None:
    rule = Repeat(1, on_failure="continue")
    job = await kit.queue().enqueue(hold, key, job_timeout=0.05, repeat=rule)
    await kit.run_until_idle(raise_errors=False)
    await job.refresh()

    assert (job.status, job.repeats) == ("failed", 1)
    assert notes[key] == ["begun", "canceled"] * 2


async def test_a_result_that_cannot_be_kept_is_one(kit: TestKit, key: str) -> None:
    rule = Repeat(1, on_failure="continue")
    await kit.queue().enqueue(give_what_cannot_be_kept, key, repeat=rule)
    await kit.run_until_idle(raise_errors=False)

    assert len(notes[key]) == 2


async def test_a_job_that_may_not_run_does_not_repeat(kit: TestKit, key: str) -> None:
    """It would come to the same in all further runs."""
    job = await kit.queue().enqueue(note, key, repeat=Repeat(9, on_failure="continue"))
    await kit.run_until_idle(allow=["shop.*"], raise_errors=False)
    await job.refresh()

    assert (job.status, job.repeats) == ("failed", 0)


async def test_a_requeue_goes_on_with_the_series(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue(fail_at, key, 2, repeat=Repeat(3, 1))
    await kit.run_until_idle(scheduled=True, raise_errors=False)
    await job.requeue()
    await kit.run_until_idle(scheduled=True)
    await job.refresh()

    assert (job.status, job.repeats, len(notes[key])) == ("finished", 3, 5)


# Ends from outside


async def test_a_series_can_be_canceled_between_two_runs(kit: TestKit, key: str) -> None:
    job = await kit.queue().enqueue(note, key, repeat=Repeat(9, "1h"))
    await kit.run_until_idle()
    await job.cancel()

    with pytest.raises(JobCanceled):
        await job.result(1)

    assert await kit.run_until_idle(scheduled=True) == []


async def test_a_series_can_be_deleted_between_two_runs(kit: TestKit, key: str) -> None:
    queue = kit.queue()
    job = await queue.enqueue(note, key, repeat=Repeat(9, "1h"))
    await kit.run_until_idle()
    await job.delete()

    assert await queue.fetch_job(job.id) is None
    assert await kit.run_until_idle(scheduled=True) == []


async def test_a_stop_ends_the_series(queue: Queue, start_worker: Any, key: str) -> None:
    job = await queue.enqueue(hold, key, repeat=Repeat(9))
    await start_worker()
    await eventually(lambda: notes[key] == ["begun"])
    await job.stop()

    with pytest.raises(JobStopped):
        await job.result(5)

    await assert_sound(queue)


async def test_a_series_expires_if_no_worker_comes_for_a_run(queue: Queue, burst: Any, key: str) -> None:
    job = await queue.enqueue(note, key, ttl=1, repeat=Repeat(9))
    await Worker(queue).run(burst=True, max_jobs=1)
    await asyncio.sleep(1.01)
    await burst()

    with pytest.raises(JobExpired):
        await job.result(1)

    assert len(notes[key]) == 1
    await assert_sound(queue)


async def test_a_worker_that_stops_gives_the_run_back_and_the_series_goes_on(
    queue: Queue, start_worker: Any, key: str
) -> None:
    job = await queue.enqueue(hold, key, repeat=Repeat(1, 0.01))
    worker = await start_worker(shutdown_timeout=0)
    await eventually(lambda: notes[key] == ["begun"])
    worker.worker.request_stop()
    await eventually(lambda: notes[key] == ["begun", "canceled"])
    gates[key].set()
    await start_worker()

    assert await job.result(10) == key
    await job.refresh()
    assert (job.repeats, [run.type for run in await job.results()]) == (
        1, ["finished", "finished", "interrupted"],
    )  # fmt: skip


# What is refused


@pytest.mark.parametrize("form", ["enqueue", "using", "many", "job"])
async def test_an_end_that_has_passed_is_refused_and_nothing_is_written(queue: Queue, raw: Any, form: str) -> None:
    rule = Repeat(until=datetime.now(UTC) - timedelta(seconds=1), interval=1)

    with pytest.raises(InvalidInput, match=r"Repeat\(until=…\): .* has passed"):
        match form:
            case "enqueue":
                await queue.enqueue(note, "a", repeat=rule)
            case "using":
                await queue.using(repeat=rule).enqueue(note, "a")
            case "many":
                await queue.enqueue_many([Queue.prepare_data(note, ("a",), repeat=rule)])
            case _:
                await queue.enqueue_job(Job.create(note, ("a",), repeat=rule))

    assert raw.dbsize() == 0


async def test_a_number_is_no_repeat(queue: Queue, raw: Any) -> None:
    with pytest.raises(InvalidInput, match="repeat=3: expected a Repeat"):
        await queue.enqueue(note, "a", repeat=3)

    assert raw.dbsize() == 0


# Workers that lack something


async def test_a_worker_without_cronsim_does_not_begin_a_run(
    kit: TestKit, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await kit.queue().enqueue(note, key, repeat=Repeat(2, cron="@hourly"))
    monkeypatch.setitem(sys.modules, "cronsim", None)
    await kit.run_until_idle(raise_errors=False)
    await job.refresh()

    assert job.is_failed
    assert "pip install" in (job.error_message or "")
    assert notes[key] == []


async def test_a_run_keeps_its_result_though_nobody_can_tell_when_the_next_one_is_due(
    kit: TestKit, key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError("no such disk")

    monkeypatch.setattr(Repeat, "due_ms", fail)
    job = await kit.queue().enqueue(note, key, 7, repeat=Repeat(2))

    with caplog.at_level(logging.ERROR):
        await kit.run_until_idle()

    assert await job.result(1) == 7
    assert "nobody can tell when" in caplog.text


async def test_run_inline_runs_once(key: str) -> None:
    assert await run_inline(note, key, 5, repeat=Repeat(3)) == 5
    assert notes[key] == [5]
