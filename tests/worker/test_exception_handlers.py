"""Functions that hear of each attempt that has failed."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import TracebackType
from typing import Any

import pytest

from aioq import InvalidInput, Job, Queue, Retry, Worker, get_current_job
from aioq.worker import exception_handlers
from tests import jobs
from tests.tools import eventually
from tests.worker import apart
from tests.worker.notes import gates, hold, note, notes


def heard(key: str, answer: bool | None = None) -> Any:
    async def handler(
        job: Job[Any], exc_type: type[BaseException], exc_value: BaseException, traceback: TracebackType | None
    ) -> bool | None:
        current = get_current_job()
        assert traceback is not None
        assert exc_type is type(exc_value)
        assert current is not None
        notes[key].append((job.id, current.id, exc_type.__name__, str(exc_value), job.attempt))
        return answer

    return handler


async def run(server, *handlers: Any, **options: Any) -> None:
    await Worker("default", server.url, exception_handlers=handlers, **options).run(burst=True)


async def test_they_hear_of_each_attempt(queue: Queue, server, key: str) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 1, retry=Retry(1))
    await queue.enqueue(jobs.add, 1, 2)
    await run(server, heard(key))
    assert notes[key] == [(job.id, job.id, "ZeroDivisionError", "division by zero", at) for at in (1, 2)]


async def test_they_hear_of_timeouts_of_functions_that_are_not_found_and_of_processes(
    queue: Queue, server, key: str
) -> None:
    await queue.enqueue(hold, key + "gate", job_timeout=1)
    await queue.enqueue("tests.jobs.nothing_of_that_name")
    await queue.using(executor="process").enqueue(jobs.div_by_zero, 1)
    await queue.using(executor="process").enqueue(apart.pid)
    seen: list[str] = []

    def handler(
        _: Job[Any], exc_type: type[BaseException], value: BaseException, __: TracebackType | None
    ) -> None:
        seen.append(f"{exc_type.__name__}: {value}")

    await run(server, handler)
    assert len(seen) == 3
    assert {each.partition(":")[0] for each in seen} == {"JobTimeout", "DeserializationError", "RemoteError"}


async def test_one_that_answers_false_is_the_last(queue: Queue, server, key: str) -> None:
    await queue.enqueue(jobs.div_by_zero, 1)
    await run(server, heard(key, True), heard(key, None), heard(key, False), heard(key))
    assert len(notes[key]) == 3


async def test_plain_ones_run_on_threads_and_know_the_job(queue: Queue, server) -> None:
    seen: list[Any] = []

    def handler(*given: Any) -> None:
        job = get_current_job()
        seen.append((threading.current_thread() is threading.main_thread(), job and job.id, len(given)))

    job = await queue.enqueue(jobs.div_by_zero, 1)
    await run(server, handler)
    assert seen == [(False, job.id, 4)]


async def fails(*_: Any) -> None:
    raise SystemExit("out of service")


async def cancels(*_: Any) -> None:
    raise asyncio.CancelledError


def fails_on_a_thread(*_: Any) -> None:
    raise KeyboardInterrupt


async def test_one_that_fails_is_logged_and_the_next_is_called(
    queue: Queue, server, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 1)
    await queue.enqueue(note, key, "ran")
    await run(server, fails, cancels, fails_on_a_thread, heard(key))
    assert (len(notes[key]), "ran" in notes[key]) == (2, True)
    told = [each.message for each in caplog.records if "exception handler" in each.message]
    assert told == [
        f"the exception handler {name} has failed for tests.jobs.div_by_zero (job {job.id})"
        for name in ("fails", "cancels", "fails_on_a_thread")
    ]


async def test_a_slow_one_holds_no_slot_and_is_waited_for(queue: Queue, server, key: str) -> None:
    async def slow(*_: Any) -> None:
        await gates[key].wait()
        notes[key].append("handled")

    for _ in range(5):
        await queue.enqueue(jobs.div_by_zero, 1)

    await queue.enqueue(note, key, "ran")
    running = asyncio.create_task(run(server, slow, concurrency=1))
    await eventually(lambda: notes[key] == ["ran"])
    gates[key].set()
    await running
    assert notes[key] == ["ran"] + ["handled"] * 5


async def test_one_that_does_not_end_ends_with_the_worker(
    queue: Queue, server, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def hangs(*_: Any) -> None:
        try:
            await gates[key].wait()
        except asyncio.CancelledError:
            notes[key].append("canceled")
            raise

    await queue.enqueue(jobs.div_by_zero, 1)
    await run(server, hangs, cancel_grace="200ms")
    assert notes[key] == ["canceled"]
    assert "exception handlers have not ended for 1 failure, and are cancelled" in caplog.text


async def test_one_that_takes_too_long_is_cancelled(
    queue: Queue, server, key: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exception_handlers, "HANDLERS_TIMEOUT_S", 0.1)

    async def hangs(*_: Any) -> None:
        await gates[key].wait()

    await queue.enqueue(jobs.div_by_zero, 1)
    await run(server, hangs, heard(key))
    assert "have not ended within 0.1 s" in caplog.text
    assert notes[key] == []


async def test_a_storm_of_failures_is_bounded(
    queue: Queue, server, key: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exception_handlers, "AT_ONCE", 2)
    monkeypatch.setattr(exception_handlers, "WAITING", 3)
    running = 0
    most = 0

    async def slow(*_: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gates[key].wait()
        running -= 1
        notes[key].append("handled")

    await queue.enqueue_many([Queue.prepare_data(jobs.div_by_zero, (1,)) for _ in range(20)])
    caplog.set_level(logging.WARNING)
    task = asyncio.create_task(run(server, slow))
    await eventually(lambda: "exception handlers were not called for" in caplog.text)
    await eventually(lambda: most == 2)
    gates[key].set()
    await task
    assert (most, notes[key]) == (2, ["handled"] * 5)
    numbers = [each.args[0] for each in caplog.records if "were not called" in each.message and each.args]
    assert sum(int(str(number).split()[0]) for number in numbers) == 15


def of_three(_: Any, __: Any, ___: Any) -> None: ...


@pytest.mark.parametrize("given", [None, 5, "shop.report", [of_three], [None]])
def test_what_is_no_handler_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput, match=r"exception_handlers\[0\]=.*job, exc_type, exc_value, traceback"):
        Worker("default", exception_handlers=given)
