"""What a test lets a worker do otherwise: it hears of each run, and dependencies are replaced."""

from __future__ import annotations

import asyncio

from aioq import Depends, Queue, Worker
from aioq.values.outcome import Failed, Finished, Outcome
from aioq.worker.for_tests import ForTests
from aioq.worker.run import Cause, Run
from tests.tools import RunningWorker


async def get_real() -> str:
    return "real"


async def ask(value: str = Depends(get_real)) -> str:
    return value


async def fail() -> None:
    raise ValueError("boom")


async def wait() -> None:
    await asyncio.sleep(60)


class Heard:
    """Hears of runs that are over."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, type[Outcome] | None, BaseException | None]] = []
        self.runs: list[Run] = []

    def ended(self, run: Run, outcome: Outcome | None) -> None:
        self.runs.append(run)
        name = run.claim.record.func_name.rpartition(".")[2]
        self.ends.append((name, None if outcome is None else type(outcome), run.error))


async def test_each_run_is_heard_of_with_its_outcome_and_its_error(queue: Queue) -> None:
    heard, worker = Heard(), Worker(queue, concurrency=1)
    worker.for_tests = ForTests({}, heard.ended)
    await queue.enqueue(ask)
    failed = await queue.enqueue(fail)
    await worker.run(burst=True)

    assert [(name, outcome) for name, outcome, _ in heard.ends] == [("ask", Finished), ("fail", Failed)]
    error = heard.ends[1][2]
    assert isinstance(error, ValueError)
    assert error.__traceback__ is not None
    assert all(run.error is None for run in heard.runs)  # the log has it by now, and nobody keeps it
    assert await failed.get_status() == "failed"


async def test_a_run_of_which_nothing_is_recorded_is_heard_of_too(queue: Queue) -> None:
    heard = Heard()
    running = RunningWorker(["default"], connection=queue.connection)
    running.worker.for_tests = ForTests({}, heard.ended)

    async with running:
        job = await queue.enqueue(wait)
        while (await job.get_status()) != "started":
            await asyncio.sleep(0.01)
        await job.cancel()
        while not heard.ends:
            await asyncio.sleep(0.01)

    assert heard.ends == [("wait", None, None)]
    assert heard.runs[0].cause is Cause.CANCELED


async def test_dependencies_are_replaced(queue: Queue) -> None:
    worker = Worker(queue)
    worker.for_tests = ForTests({get_real: lambda: "fake"}, lambda *_: None)
    job = await queue.enqueue(ask)
    await worker.run(burst=True)
    assert await job.result() == "fake"


async def test_a_worker_without_a_test_is_as_ever(queue: Queue) -> None:
    assert Worker(queue).for_tests is None
    job = await queue.enqueue(ask)
    await Worker(queue).run(burst=True)
    assert await job.result() == "real"
