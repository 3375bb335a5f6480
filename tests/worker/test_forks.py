"""Forks of jobs: they have the usual signal handlers, end like any program, and the worker goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest

from aioq import Queue
from tests import jobs
from tests.tools import RunningWorker
from tests.worker import forking

EXECUTORS = [("thread", True), ("thread", False), ("process", False)]
everywhere = pytest.mark.parametrize(("executor", "signals"), EXECUTORS)


@pytest.fixture
async def call(queue: Queue, start_worker, executor: str, signals: bool):
    """Runs a function in a job; the worker must go on after it."""
    worker: RunningWorker = await start_worker(run={"signals": signals}, job_processes=1)

    async def run(function: Any, *args: Any) -> Any:
        result = await (await queue.enqueue(function, *args, executor=executor)).result(20)
        assert await (await queue.enqueue(jobs.add, 1, 2)).result(10) == 3
        assert not worker.task.done()
        return result

    return run


@everywhere
async def test_a_fork_that_comes_to_the_end_of_the_function_ends_like_a_program(call: Any) -> None:
    for how, code in forking.ENDS.items():
        assert await call(forking.leave, how) == code, how


@everywhere
async def test_a_signal_ends_a_fork_and_is_not_the_workers(call: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        assert await call(forking.end_by_signal, number) == [-number] * 5


@everywhere
async def test_a_fork_has_the_usual_handlers_and_wakes_no_loop(call: Any) -> None:
    assert await call(forking.handlers) == [True, True, -1, []]
    assert await call(forking.handlers_before_a_program) == [True, True, -1, []]


@everywhere
async def test_programs_processes_and_pools_end(call: Any) -> None:
    assert await call(forking.end_a_program) == -signal.SIGTERM
    assert await call(forking.terminate) == -signal.SIGTERM
    assert await call(forking.pool) == 190


@everywhere
async def test_a_fork_of_a_fork_keeps_files_handlers_and_mask(call: Any) -> None:
    assert await call(forking.nested) == ([], True, True)


@pytest.mark.parametrize("signals", [True, False])
async def test_a_fork_of_a_coroutine_ends_too(queue: Queue, start_worker, signals: bool) -> None:
    worker: RunningWorker = await start_worker(run={"signals": signals})

    for how, code in forking.ENDS.items():
        assert await (await queue.enqueue(forking.in_coroutine, how)).result(10) == code

    assert await (await queue.enqueue(forking.handlers_in_coroutine)).result(10) == [True, True, -1, []]
    assert not worker.task.done()


APPLICATION = """
import asyncio, os, signal, sys

registered = []
register, os.register_at_fork = os.register_at_fork, lambda **hooks: registered.append(hooks) or register(**hooks)

from aioq import Queue, Worker
from tests import jobs

def handler_in_fork():
    if (pid := os.fork()) == 0:
        os._exit(signal.getsignal(signal.SIGTERM) is own)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def own(*_):
    pass

async def main(url):
    from aioq.worker import forks
    signal.signal(signal.SIGTERM, own)
    before = len(registered)
    assert handler_in_fork() == 1
    serving = asyncio.Event()
    worker = Worker("default", url)
    running = asyncio.create_task(worker.run(ready=serving.set))
    await serving.wait()
    assert handler_in_fork() == 1, "a fork of the application beside a worker"
    worker.request_stop()
    await running
    await Worker("default", url).run(burst=True)
    assert handler_in_fork() == 1, "a fork after the worker"
    ours = [hooks for hooks in registered if any("aioq.worker" in str(each.__module__) for each in hooks.values())]
    assert len(ours) == 1, ours

asyncio.run(main(sys.argv[1]))
"""


def test_forks_of_the_application_are_left_alone(server, environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APPLICATION, server.url],
        env=environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
