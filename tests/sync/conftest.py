"""A queue without an event loop, and workers on threads: a test that makes plain calls runs no loop itself."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from aioq import Worker
from aioq.sync import Queue
from tests.conftest import Server


@pytest.fixture
def queue(server: Server) -> Iterator[Queue]:
    with Queue("default", server.url) as queue:
        yield queue


@contextmanager
def _running(worker: Worker) -> Iterator[Worker]:
    ready, loops = threading.Event(), []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await worker.run(ready=ready.set)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)

    try:
        yield worker
    finally:
        loops[0].call_soon_threadsafe(lambda: (worker.request_stop(), worker.request_stop()))
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def start_worker(server: Server) -> Iterator[Callable[..., Worker]]:
    """Starts workers on threads; they are stopped at the end of the test."""
    with ExitStack() as stack:

        def start(*queues: str, **options: Any) -> Worker:
            options.setdefault("connection", server.url)
            return stack.enter_context(_running(Worker(list(queues) or ["default"], **options)))

        yield start


# Programs tell little about the loop: with uvloop, a few are enough for every day.
@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=pytest.mark.chaos)])
def runner(request: pytest.FixtureRequest) -> str:
    """The kind of event loop behind the plain calls of a program."""
    return str(request.param)


@pytest.fixture
def program(server: Server, environment: dict[str, str], runner: str) -> Callable[..., Any]:
    """Runs one of tests/sync/programs.py: what it prints. What it says on stderr is an error."""

    def run(name: str) -> Any:
        command = [sys.executable, "-m", "tests.sync.programs", name, server.tcp_url, runner]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=40, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return run
