"""A stop is heard, and drains the worker, whatever a job does to signal handlers. The log names what was found."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from aioq import InvalidInput, Queue, Worker
from tests.cli import signal_jobs as wild
from tests.cli.tools import Cli, Running
from tests.tools import eventually, eventually_sync

Start = Callable[..., Running]

WITHOUT_UVLOOP = (
    sys.executable,
    "-c",
    "import sys; sys.modules['uvloop'] = None; from aioq.cli.main import main; main()",
)


#: It is the same code that notices these: `make chaos` runs most of them.
ALIKE = (wild.ignore, wild.reset, wild.own, wild.take_away, wild.serve)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("function", "uvloop"),
    [
        *(pytest.param(each, True, marks=[pytest.mark.chaos] * (each in ALIKE[1:])) for each in wild.JOBS),
        *((each, False) for each in (wild.own_of_the_loop, wild.no_wakeup)),
        *(pytest.param(each, False, marks=pytest.mark.chaos) for each in ALIKE),
    ],
)
def test_a_stop_is_heard_whatever_a_job_has_done(cli: Cli, start: Start, function: Any, uvloop: bool) -> None:
    worker = start("worker", **({} if uvloop else {"command": WITHOUT_UVLOOP}))
    cli.enqueue("changes", func=function)
    cli.enqueue("runs", func=wild.nap, args=(0.8,))
    eventually_sync(lambda: cli.status("changes") == "finished", describe="the change")

    if function in wild.REPLACE:
        worker.says("The worker's is back")
        assert re.search(
            r"WARNING a job, .* has put .+ in the place of the worker's handler for SIG", worker.stderr
        )

    eventually_sync(lambda: cli.status("runs") == "started", describe="a start")
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert cli.status("runs") == "finished"  # it was drained
    assert ("The worker's is back" in worker.stderr) is (function in wild.REPLACE)


def test_the_handler_is_named(cli: Cli, start: Start) -> None:
    worker = start("worker")

    for function, name in (
        (wild.ignore, "SIG_IGN"),
        (wild.reset, "SIG_DFL"),
        (wild.own, "tests.cli.signal_jobs.own.<locals>.<lambda>"),
    ):
        cli.enqueue(function.__name__, func=function)
        worker.says(f"has put {name} in the place")

    worker.signal(signal.SIGINT)
    assert worker.ends() == 0


def no_handler(*_: object) -> None:
    pass


async def test_an_application_has_its_own_handlers_back_afterwards(queue: Queue, start_worker) -> None:
    before = {number: signal.signal(number, no_handler) for number in (signal.SIGINT, signal.SIGTERM)}

    try:
        running = await start_worker(run={"signals": True})
        assert signal.getsignal(signal.SIGTERM) is not no_handler
        signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(running.task, 10)
        assert {signal.getsignal(number) for number in before} == {no_handler}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def test_without_the_option_the_application_keeps_them(queue: Queue, start_worker) -> None:
    before = signal.signal(signal.SIGTERM, no_handler)

    try:
        await start_worker()
        await (await queue.enqueue(wild.nap, 0.4)).result(10)
        assert signal.getsignal(signal.SIGTERM) is no_handler
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_only_the_main_thread_can_hear_signals(server: Any) -> None:
    seen: list[BaseException] = []

    def serve() -> None:
        try:
            asyncio.run(Worker("default", server.url).run(signals=True, burst=True))
        except InvalidInput as error:
            seen.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    await eventually(lambda: not thread.is_alive())
    assert "signals=True: expected the main thread" in str(seen[0])
