"""run_until_idle and worker: jobs are run by a real worker in the process of the test."""

from __future__ import annotations

import asyncio
import traceback
from contextlib import asynccontextmanager

import pytest

from aioq import InvalidInput, Queue, Retry
from aioq.errors import WorkerError
from aioq.testing import TestKit
from tests.testing import work

# What runs


async def test_nothing_runs_where_nothing_waits(kit: TestKit) -> None:
    assert await kit.run_until_idle() == []


async def test_jobs_run_until_none_waits_and_are_told(kit: TestKit) -> None:
    await kit.queue().enqueue(work.add, 1, 2)
    await kit.queue().enqueue(work.follow_up, 4)
    runs = await kit.run_until_idle()

    assert [(run.job.func_name.rpartition(".")[2], run.outcome, run.attempt) for run in runs] == [
        ("add", "finished", 1),
        ("follow_up", "finished", 1),
        ("add", "finished", 1),
    ]
    assert [run.result for run in runs] == [3, runs[2].job.id, 4]
    assert all(run.job.is_finished and run.error is None for run in runs)
    assert await runs[0].job.result() == 3
    assert repr(runs[0]) == "<JobRun tests.testing.work.add(1, 2) finished 3>"
    assert await kit.run_until_idle() == []


async def test_all_queues_are_served_also_those_that_jobs_make(kit: TestKit) -> None:
    await kit.queue("a").enqueue(work.into, "b")
    await kit.queue("c").enqueue(work.into, "d")
    runs = await kit.run_until_idle()
    assert sorted(run.job.origin for run in runs) == ["a", "b", "c", "d"]


async def test_a_job_that_is_gone_is_told_all_the_same(kit: TestKit) -> None:
    await kit.queue().enqueue(work.add, 1, result_ttl=0)
    (run,) = await kit.run_until_idle()
    assert (run.result, run.job.func_name) == (1, "tests.testing.work.add")


async def test_callbacks_run_as_well(kit: TestKit) -> None:
    job = await kit.queue().enqueue(work.add, 1, on_canceled=work.hear_of_end)
    await job.cancel()
    (run,) = await kit.run_until_idle()
    assert (run.job.followed_id, run.outcome) == (job.id, "finished")


async def test_options_of_a_worker_hold(kit: TestKit) -> None:
    @asynccontextmanager
    async def lifespan():
        yield "pool"

    await kit.queue().enqueue(work.use_resources)
    (run,) = await kit.run_until_idle(lifespan=lifespan, concurrency=1)
    assert run.result == "pool"


async def test_slow_jobs_that_wait_for_a_slot_are_told_once(kit: TestKit) -> None:
    await kit.queue().enqueue_many([kit.queue().prepare_data(work.sleep, (0.15,)) for _ in range(30)])
    runs = await kit.run_until_idle(concurrency=10)
    assert [run.outcome for run in runs] == ["finished"] * 30


async def test_a_paused_queue_stays_as_it_is(kit: TestKit) -> None:
    await kit.queue().enqueue(work.add, 1)
    await kit.queue().pause("1h")
    await kit.queue("other").enqueue(work.add, 2)
    assert [run.result for run in await kit.run_until_idle()] == [2]
    assert await kit.run_until_idle() == []
    await kit.advance(hours=1)
    assert [run.result for run in await kit.run_until_idle()] == [1]


async def test_jobs_that_make_one_another_are_endless(kit: TestKit) -> None:
    await kit.queue().enqueue(work.for_ever)
    with pytest.raises(
        AssertionError, match=r"jobs still wait after 20 runs; the last one was .*work.for_ever \(job"
    ):
        await kit.run_until_idle(max_runs=20)
    with pytest.raises(InvalidInput, match="max_runs=0"):
        await kit.run_until_idle(max_runs=0)


# Scheduled jobs


async def test_scheduled_jobs_wait_unless_they_are_asked_for(kit: TestKit) -> None:
    before = await kit.now()
    await kit.queue().enqueue_in("2h", work.add, 2)
    await kit.queue("other").enqueue_in("1h", work.add, 1)
    assert await kit.run_until_idle() == []

    assert [run.result for run in await kit.run_until_idle(scheduled=True)] == [1, 2]
    assert 7200 <= (await kit.now() - before).total_seconds() < 7260


async def test_scheduled_retries_run_one_after_the_other(kit: TestKit) -> None:
    before = await kit.now()
    job = await kit.queue().enqueue(work.flaky, 3, retry=Retry(3, interval=["1h", "2h", "1d"]))
    (first,) = await kit.run_until_idle()
    assert (first.outcome, str(first.error), first.job.status) == ("retried", "attempt 1", "scheduled")

    runs = await kit.run_until_idle(scheduled=True)
    assert [(run.attempt, run.outcome, run.result) for run in runs] == [
        (2, "retried", None),
        (3, "retried", None),
        (4, "finished", 4),
    ]
    assert (await kit.now() - before).total_seconds() // 3600 == 27
    assert [result.fence for result in await job.results()] == [4, 3, 2, 1]


# Errors


async def test_the_error_of_a_job_is_raised_with_its_own_frames(kit: TestKit) -> None:
    await kit.queue().enqueue(work.boom, "first")
    await kit.queue().enqueue(work.boom_plainly, "second")

    with pytest.raises((ValueError, LookupError)) as raised:
        await kit.run_until_idle()

    frames = traceback.extract_tb(raised.value.__traceback__)
    assert "error" in frames[-1].line
    assert frames[-1].filename == work.__file__
    assert not [frame for frame in frames if "/aioq/worker/" in frame.filename]
    assert raised.value.__notes__[0].startswith("raised by tests.testing.work.boom")
    assert raised.value.__notes__[1].startswith("1 more failed: tests.testing.work.boom")


async def test_errors_are_told_if_they_are_not_to_be_raised(kit: TestKit) -> None:
    await kit.queue().enqueue(work.boom, "first")
    await kit.queue().enqueue(work.leave)
    runs = await kit.run_until_idle(raise_errors=False)
    assert sorted((run.outcome, repr(run.error)) for run in runs) == [
        ("failed", "SystemExit(3)"),
        ("failed", "ValueError('first')"),
    ]
    assert "failed ValueError: first" in repr(runs)


async def test_an_error_of_an_attempt_that_is_retried_is_not_raised(kit: TestKit) -> None:
    await kit.queue().enqueue(work.flaky, 1, retry=1)
    assert [run.outcome for run in await kit.run_until_idle()] == ["retried", "finished"]


async def test_the_last_error_of_retries_is_raised(kit: TestKit) -> None:
    await kit.queue().enqueue(work.flaky, 5, retry=Retry(2, interval="1d"))
    with pytest.raises(ConnectionError, match="attempt 3"):
        await kit.run_until_idle(scheduled=True)


async def test_a_job_that_exits_does_not_end_the_test(kit: TestKit) -> None:
    await kit.queue().enqueue(work.leave)
    with pytest.raises(AssertionError, match="has ended by SystemExit: 3"):
        await kit.run_until_idle()


async def test_a_result_that_cannot_be_kept_is_an_error(kit: TestKit) -> None:
    await kit.queue().enqueue(work.unserialisable)
    with pytest.raises(Exception, match=r"the result of .*\.unserialisable"):
        await kit.run_until_idle()


# Overrides


async def test_dependencies_are_overridden_for_a_while_or_for_the_whole_test(kit: TestKit) -> None:
    async def results() -> list[str]:
        for function in (work.use_session, work.use_nested, work.use_fastapi):
            await kit.queue().enqueue(function)

        return sorted([run.result for run in await kit.run_until_idle()])

    with kit.override(work.get_session, work.fake_session):
        assert await results() == ["fake", "fake", "nested fake"]
    assert await results() == ["nested real", "real", "real"]

    kit.override(work.get_session, work.fake_session)
    with kit.override(work.get_session, work.fake_of_fake), kit.override(work.get_plain, lambda: "all"):
        assert await results() == ["fake of all", "fake of all", "nested fake of all"]
    assert await results() == ["fake", "fake", "nested fake"]


async def test_what_only_a_request_could_provide_can_be_overridden(kit: TestKit) -> None:
    await kit.queue().enqueue(work.use_request)
    with pytest.raises(Exception, match="belongs to a web request"):
        await kit.run_until_idle()

    kit.override(work.of_request, lambda: "/fake")
    await kit.queue().enqueue(work.use_request)
    (run,) = await kit.run_until_idle(imports=["tests.testing.work"])
    assert run.result == "/fake"


@pytest.mark.parametrize(("given", "named"), [((1, print), "dependency=1"), ((print, "x"), "replacement='x'")])
async def test_what_cannot_be_called_overrides_nothing(kit: TestKit, given, named: str) -> None:
    with pytest.raises(InvalidInput, match=f"{named}: expected a function"):
        kit.override(*given)


# A worker beside the test


async def test_a_worker_runs_jobs_while_the_test_goes_on(kit: TestKit) -> None:
    kit.override(work.get_session, work.fake_session)

    async with kit.worker(concurrency=2) as worker:
        assert worker.concurrency == 2
        assert await (await kit.queue().enqueue(work.use_session)).result(timeout=10) == "fake"


async def test_advance_wakes_a_worker(kit: TestKit) -> None:
    async with kit.worker("default", "other"):
        jobs = [await kit.queue(name).enqueue_in("1h", work.add, 1) for name in ("default", "other")]
        await kit.advance(hours=1)
        assert [await job.result(timeout=10) for job in jobs] == [1, 1]


@pytest.mark.parametrize("leases", [False, True])
async def test_a_worker_goes_on_whatever_time_has_passed(kit: TestKit, leases: bool) -> None:
    async with kit.worker():
        running = await kit.queue().enqueue(work.sleep, 0.5)
        while await running.get_status() != "started":
            await asyncio.sleep(0.01)
        await kit.advance(days=40, leases=leases)
        job = await kit.queue().enqueue(work.add, 1)
        assert await job.result(timeout=20) == 1
        assert await running.result(timeout=20) == "slept"


async def test_a_job_that_still_runs_goes_back(kit: TestKit) -> None:
    async with kit.worker():
        job = await kit.queue().enqueue(work.sleep, 60)
        while await job.get_status() != "started":
            await asyncio.sleep(0.01)
    assert await job.get_status() == "queued"


async def test_a_worker_that_cannot_begin_is_told(kit: TestKit) -> None:
    with pytest.raises(WorkerError, match=r"tests\.testing\.missing"):
        async with kit.worker(imports=["tests.testing.missing"]):
            pytest.fail("it has not begun")


async def test_an_error_of_the_test_is_raised_as_it_is(kit: TestKit) -> None:
    with pytest.raises(KeyError, match="of the test"):
        async with kit.worker():
            raise KeyError("of the test")


async def test_jobs_of_a_worker_that_is_gone_come_back(kit: TestKit) -> None:
    queue: Queue = kit.queue()
    job = await queue.enqueue(work.add, 1)
    await queue.store.duty.join("lost", 5000)
    claims = await kit.connection.call(queue.store.duty.claim_command("lost", 1))
    assert len(queue.store.duty.read_claims(claims, "lost").jobs) == 1

    await kit.advance(minutes=1)
    assert await job.get_status() == "started"
    await kit.advance(minutes=1, leases=True)
    assert await job.get_status() == "queued"
    (run,) = await kit.run_until_idle()
    assert run.job.deliveries == 1
