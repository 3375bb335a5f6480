"""Plain functions on threads: a call can be ended, and the thread is free for the next one."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

from aioq import JobFailed, Queue, get_current_job
from aioq.worker.threads import RunEnded, RunTimedOut, ThreadCall
from tests import jobs
from tests.tools import eventually
from tests.worker import misbehaviour as bad
from tests.worker.notes import gates, hold_sync, notes

variable: ContextVar[str] = ContextVar("variable", default="unset")


def note_sync(key: str, value: Any = None) -> Any:
    notes[key].append(value)
    return value


def thread_facts() -> tuple[bool, str]:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    return threading.current_thread() is threading.main_thread(), get_current_job().id


async def test_plain_functions_run_on_threads(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(thread_facts)
    assert await job.result(5) == (False, job.id)


async def test_a_plain_function_does_not_hold_up_the_others(queue: Queue, start_worker, key: str) -> None:
    await start_worker(concurrency=2)
    slow = await queue.enqueue(hold_sync, key)
    await eventually(lambda: notes[key])
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3
    assert await (await queue.enqueue(jobs.add_sync, 1, 2)).result(5) == 3
    assert notes[key] == ["begun"]
    gates[key].set()
    assert await slow.result(5) == key


async def set_and_read(value: str) -> list[str]:
    seen = [variable.get()]
    variable.set(value)
    await asyncio.sleep(0.01)
    seen += [variable.get(), await asyncio.to_thread(variable.get)]
    return seen


def set_and_read_sync(value: str) -> list[str]:
    seen = [variable.get()]
    variable.set(value)
    return [*seen, variable.get(), variable.get()]


@pytest.mark.parametrize("concurrency", [3, pytest.param(20, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("function", [set_and_read, set_and_read_sync])
async def test_each_job_has_a_context_of_its_own(
    queue: Queue, start_worker, function: Any, concurrency: int
) -> None:
    """Also one that was claimed ahead, and takes the place of another that has just ended."""
    made = await queue.enqueue_many([Queue.prepare_data(function, (str(number),)) for number in range(200)])
    await start_worker(concurrency=concurrency)
    for number, job in enumerate(made):
        assert await job.result(5) == ["unset", str(number), str(number)]
    assert variable.get() == "unset"


async def test_a_thread_that_is_ended_leaves_the_next_job_on_it_alone(
    queue: Queue, start_worker, key: str
) -> None:
    await start_worker(concurrency=1, cancel_grace=0.05)
    for _ in range(5):
        job = await queue.enqueue(bad.swallow_exceptions_in_thread, key, job_timeout=0.02)
        with pytest.raises(JobFailed, match="JobTimeout"):
            await job.result(5)
        for number in range(5):
            assert await (await queue.enqueue(note_sync, key, number)).result(5) == number


# The call itself


def begin(call: ThreadCall) -> tuple[threading.Thread, list[Any]]:
    """Run a call on a thread of its own; what came of it."""
    came: list[Any] = []

    def body() -> None:
        try:
            came.append(call())
        except BaseException as error:
            came.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    return thread, came


def spin(began: threading.Event) -> None:
    began.set()
    while True:
        pass


@pytest.mark.parametrize("kind", [RunEnded, RunTimedOut])
def test_a_call_is_ended_at_the_next_instruction(kind: type[RunEnded]) -> None:
    began = threading.Event()
    call = ThreadCall(spin, (began,), {})
    thread, came = begin(call)
    assert began.wait(5)
    assert call.thread == thread.ident
    assert call.end(kind)
    thread.join(5)
    assert isinstance(came[0], kind)
    assert (call.thread, call.seconds is not None) == (None, True)


def test_a_call_that_was_ended_before_it_began_does_nothing() -> None:
    made: list[int] = []
    call = ThreadCall(made.append, (1,), {})
    assert not call.end()
    with pytest.raises(RunEnded):
        call()
    assert (made, call.seconds) == ([], None)


def test_the_end_of_a_call_that_is_over_meets_nobody() -> None:
    context = copy_context()  # a call marks its own, which must not be the one in which other tests run
    call = ThreadCall(pow, (2, 5), {})
    assert context.run(call) == 32
    assert not call.end()
    assert context.run(ThreadCall(pow, (2,), {"exp": 5})) == 32  # the next one on this thread


def test_except_exception_catches_a_timeout_and_no_other_end() -> None:
    assert issubclass(RunTimedOut, Exception)
    assert not issubclass(RunEnded, Exception)
