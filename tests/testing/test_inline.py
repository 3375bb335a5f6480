"""run_inline: one job as a worker runs it, without a worker and without a server."""

from __future__ import annotations

import asyncio
import threading
import traceback
from typing import Any

import pytest

from aioq import InvalidInput, Job, JobTimeout, Retry, get_current_job
from aioq.errors import InvalidFunction, InvalidJobOperation, SerializationError
from aioq.middleware import RunNext
from aioq.testing import TestKit, run_inline
from aioq.values.retrying import RetryRequested
from tests.testing import work


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens there."""
    work.seen.clear()
    monkeypatch.setenv("AIOQ_REDIS_URL", "redis://127.0.0.1:1")


@pytest.mark.parametrize("function", [work.add, work.add_plainly, "tests.testing.work.add"])
async def test_a_job_runs_and_its_result_comes_back(function) -> None:
    assert await run_inline(function, 1, right=2) == 3


async def test_every_kind_of_function_runs_as_in_a_worker() -> None:
    assert await run_inline(work.numbers, 3) == [0, 1, 2]
    assert await run_inline(work.Greeter().greet, "ann") == "hello ann"
    assert await run_inline(work.with_options, 0) == 1
    await run_inline(work.add_plainly, 1)
    assert work.seen[0] != threading.get_ident()


async def test_arguments_and_results_go_through_the_serializer() -> None:
    order = work.Order(7)
    again = await run_inline(work.same, order)
    assert again == order
    assert again is not order

    assert await run_inline(work.same, {"a": [1]}, serializer="json") == {"a": [1]}
    with pytest.raises(SerializationError, match=r"an argument of .*\.same"):
        await run_inline(work.same, order, serializer="json")
    with pytest.raises(SerializationError, match=r"the result of .*\.unserialisable"):
        await run_inline(work.unserialisable)


async def test_what_enqueue_refuses_is_refused() -> None:
    with pytest.raises(InvalidFunction, match="does not take this call"):
        await run_inline(work.add)
    with pytest.raises(InvalidInput, match=r"Retry\(max=-1\)"):
        await run_inline(work.add, 1, retry=-1)
    with pytest.raises(InvalidFunction, match="inner"):
        await run_inline(work.not_importable())


async def test_the_current_job_is_there_and_its_meta_is_kept() -> None:
    assert await run_inline(work.told, meta={"seen": 1}) == {
        "meta": {"seen": 2},
        "func": "tests.testing.work.told",
        "attempt": 1,
        "queue": "default",
        "args": (),
    }
    assert get_current_job() is None


async def test_resources_are_those_that_are_given() -> None:
    assert await run_inline(work.use_resources, resources="pool") == "pool"
    with pytest.raises(InvalidJobOperation, match="this worker has no lifespan"):
        await run_inline(work.use_resources)


async def test_context_variables_of_the_test_are_seen() -> None:
    token = work.colour.set("red")
    assert await run_inline(work.show_colour) == "red"
    work.colour.reset(token)


async def test_dependencies_are_given_and_overridden() -> None:
    assert await run_inline(work.use_nested) == "nested real"
    assert await run_inline(work.use_nested, overrides={work.get_session: work.fake_session}) == "nested fake"
    assert await run_inline(work.use_fastapi, overrides={work.get_session: work.fake_session}) == "fake"
    assert await run_inline(work.use_session, "own") == "own"


async def test_middleware_runs_around_each_run() -> None:
    seen: list[object] = []

    async def note(job: Job[Any], call_next: RunNext) -> object:
        seen.append(job.attempt)
        seen.append(await call_next())
        return "other"

    assert await run_inline(work.flaky, 2, retry=3, retries=True, middleware=[note]) == "other"
    assert seen == [1, 2, 3, 3]
    with pytest.raises(InvalidInput, match=r"middleware\[0\]=5: expected a function"):
        await run_inline(work.add, 1, middleware=[5])  # type: ignore[list-item]


# Errors


@pytest.mark.parametrize(
    ("function", "kind", "line"),
    [
        (work.boom, ValueError, "the line of the error"),
        (work.boom_plainly, LookupError, "the line of the plain error"),
    ],
)
async def test_an_error_is_raised_with_the_frames_of_the_job(function, kind: type[Exception], line: str) -> None:
    with pytest.raises(kind, match="boom") as raised:
        await run_inline(function)

    frames = traceback.extract_tb(raised.value.__traceback__)
    assert line in frames[-1].line
    assert not [frame for frame in frames if "/aioq/worker/" in frame.filename]
    assert raised.value.__notes__[-1].startswith(f"raised by tests.testing.work.{function.__name__} (job ")


async def test_a_job_that_exits_does_not_end_the_test() -> None:
    with pytest.raises(AssertionError, match=r"work.leave \(job \w+\) has ended by SystemExit: 3") as raised:
        await run_inline(work.leave)
    assert isinstance(raised.value.__cause__, SystemExit)


async def test_a_timeout_holds() -> None:
    with pytest.raises(JobTimeout, match=r"took longer than its timeout of 0\.05 seconds"):
        await run_inline(work.sleep, 10, job_timeout=0.05)


async def test_a_test_that_is_cancelled_ends_the_run() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await run_inline(work.sleep, 60)

    assert not [task for task in asyncio.all_tasks() if "sleep" in repr(task.get_coro())]


# Retries


async def test_an_error_is_raised_at_once_unless_retries_are_asked_for() -> None:
    with pytest.raises(ConnectionError, match="attempt 1"):
        await run_inline(work.flaky, 2, retry=3)


async def test_retries_run_without_a_pause() -> None:
    assert await run_inline(work.flaky, 2, retry=Retry(3, interval="1h"), retries=True) == 3
    assert await run_inline(work.with_options, 2, retries=True) == 3
    with pytest.raises(ConnectionError, match="attempt 3"):
        await run_inline(work.flaky, 5, retry=2, retries=True)


async def test_pauses_that_are_left_out_count_for_a_deadline() -> None:
    with pytest.raises(ConnectionError, match="attempt 3"):
        await run_inline(work.flaky, 9, retry=Retry(interval="25m", within="1h"), retries=True)


async def test_meta_stays_from_attempt_to_attempt() -> None:
    assert await run_inline(work.save_and_fail, retry=2, retries=True) == 3


async def test_a_returned_retry_counts() -> None:
    assert await run_inline(work.ask_again, 2, retries=True) == 3
    with pytest.raises(RetryRequested):
        await run_inline(work.ask_again, 2)


# With a kit


async def test_what_a_job_enqueues_is_in_the_queue_of_the_kit(kit: TestKit) -> None:
    job_id = await kit.run_inline(work.follow_up, 5)
    assert (await kit.assert_enqueued(work.add, 5)).id == job_id


async def test_a_kit_gives_its_overrides(kit: TestKit) -> None:
    with kit.override(work.get_session, work.fake_session):
        assert await kit.run_inline(work.use_session) == "fake"
    assert await kit.run_inline(work.use_session) == "real"
    assert await kit.run_inline(work.use_resources, resources="pool") == "pool"
    assert await kit.run_inline(work.flaky, 1, retry=1, retries=True) == 2
    assert await kit.run_inline(work.same, [1], serializer="json") == [1]


def test_it_runs_in_any_event_loop_and_asks_no_server() -> None:
    assert asyncio.run(run_inline(work.add, 1, 2)) == 3
