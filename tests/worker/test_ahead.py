"""Jobs that were claimed ahead: they begin in order, never too many at once, and do not stay where they cannot."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextvars import ContextVar

import pytest

from aioq import Job, Queue, Worker
from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.outcome import Finished, Interrupted, Outcome
from aioq.values.record import JobRecord
from aioq.worker.executor import Executor
from aioq.worker.run import Cause, Run
from tests.conftest import Server
from tests.tools import eventually

gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
variable: ContextVar[str] = ContextVar("variable", default="unset")
begun: list[str] = []
runs: Counter[str] = Counter()


async def quick() -> None:
    pass


async def hold(key: str, number: int) -> int:
    runs[f"{key} {number}"] += 1
    await gates[key].wait()
    return number


async def wait_for(key: str, name: str) -> None:
    begun.append(name)
    await gates[key].wait()


class Bench:
    """An executor of two slots and what came out of it."""

    def __init__(self, server: Server) -> None:
        self.connection = Connection(server.url)
        self.store = Store(self.connection, "default")
        self.out: list[tuple[str, Outcome | None]] = []
        self.executor = Executor(2, 500_000, lambda run, outcome: self.out.append((run.id, outcome)))

    def take(self, key: str, *names: str, function: str = "wait_for") -> list[Run]:
        begun.clear()
        return [self.executor.take(self.store, Claim(self._record(key, name, function), 1)) for name in names]

    def _record(self, key: str, name: str, function: str) -> JobRecord:
        data = b'j[null,["%s","%s"],{}]' % (key.encode(), name.encode())
        return JobRecord(name, {b"status": b"started", b"func": f"{__name__}.{function}".encode(), b"data": data})


@pytest.fixture
async def bench(server: Server):
    bench = Bench(server)
    yield bench
    await bench.connection.aclose()


async def test_a_run_waits_for_a_slot_and_begins_in_its_turn(bench: Bench, key: str) -> None:
    bench.take(key, "a", "b", "c", "d")
    await eventually(lambda: begun == ["a", "b"])
    assert (bench.executor.running, len(bench.executor.held)) == (2, 4)

    gates[key].set()
    await eventually(lambda: len(bench.out) == 4)
    assert begun == ["a", "b", "c", "d"]
    assert all(isinstance(outcome, Finished) for _, outcome in bench.out)
    assert (bench.executor.running, bench.executor.held, bench.executor.ended) == (0, {}, 4)


async def note_context(_: str, name: str) -> None:
    begun.append(variable.get())
    variable.set(name)


async def test_a_run_takes_nothing_over_from_the_one_whose_slot_it_takes(bench: Bench, key: str) -> None:
    bench.take(key, *map(str, range(10)), function="note_context")
    await eventually(lambda: len(bench.out) == 10)
    assert begun == ["unset"] * 10


async def test_a_long_row_of_runs_that_end_at_once_is_no_deep_stack(bench: Bench, key: str) -> None:
    bench.take(key, *map(str, range(600)), function="note_context")
    await eventually(lambda: len(bench.out) == 600)
    assert all(isinstance(outcome, Finished) for _, outcome in bench.out)
    assert (bench.executor.running, bench.executor.held) == (0, {})


async def hold_then_note(key: str, name: str) -> None:
    await gates[key].wait()
    begun.append(name)


async def test_no_more_run_than_there_are_slots_while_others_end_at_once(bench: Bench, key: str) -> None:
    bench.take(key, "a", "b", function="hold_then_note")
    bench.take(key, *map(str, range(100)), function="note_context")
    await eventually(lambda: bench.executor.running == 2)
    assert not begun
    gates[key].set()
    await eventually(lambda: len(bench.out) == 102)
    assert sorted(begun[:1]) == ["a"]


async def test_a_waiting_run_that_was_revoked_never_begins(bench: Bench, key: str) -> None:
    _, _, third, _ = bench.take(key, "a", "b", "c", "d")
    await eventually(lambda: begun == ["a", "b"])
    bench.executor.end(third, Cause.LOST)
    gates[key].set()

    await eventually(lambda: len(bench.out) == 4)
    assert begun == ["a", "b", "d"]
    assert bench.out[0] == ("c", None)


async def test_waiting_runs_are_given_back_unbegun(bench: Bench, key: str) -> None:
    bench.take(key, "a", "b", "c", "d")
    bench.executor.give_back()

    assert bench.out == [("c", Interrupted(begun=False)), ("d", Interrupted(begun=False))]
    gates[key].set()
    await eventually(lambda: len(bench.out) == 4)
    assert begun == ["a", "b"]


async def test_runs_that_wait_for_too_long_are_given_back_by_themselves(bench: Bench, key: str) -> None:
    bench.take(key, "a", "b", "c", "d")
    await eventually(lambda: [job_id for job_id, _ in bench.out] == ["c", "d"])
    assert len(bench.executor.held) == 2

    gates[key].set()
    await eventually(lambda: not bench.executor.held)


async def test_jobs_that_turn_out_slow_are_left_to_another_worker(queue: Queue, start_worker, key: str) -> None:
    calls = [Queue.prepare_data(quick)] * 3000 + [Queue.prepare_data(hold, (key, number)) for number in range(60)]
    jobs: list[Job[int]] = (await queue.enqueue_many(calls))[3000:]
    first = await start_worker(concurrency=20)
    await eventually(lambda: runs.total() == 20)

    # Whatever the first worker had claimed beyond its slots, a second one gets.
    second = await start_worker(concurrency=40)
    await eventually(lambda: runs.total() == 60)
    assert await queue.count() == 0

    gates[key].set()
    assert [await job.result(timeout=10) for job in jobs] == list(range(60))
    assert set(runs.values()) == {1}

    for job in jobs:
        await job.refresh()
        assert (job.attempt, job.record.deliveries) == (1, 0)

    runs.clear()
    assert first.worker.name != second.worker.name


async def test_a_worker_that_stops_gives_back_what_it_has_not_begun(queue: Queue, start_worker, key: str) -> None:
    calls = [Queue.prepare_data(quick)] * 3000 + [Queue.prepare_data(hold, (key, number)) for number in range(60)]
    await queue.enqueue_many(calls)
    running = await start_worker(concurrency=20)
    await eventually(lambda: runs.total() == 20)
    running.worker.request_stop()

    while await queue.count() < 40:
        await asyncio.sleep(0.005)

    gates[key].set()
    assert await running.task == 3020
    assert await queue.count() == 40
    assert runs.total() == 20
    runs.clear()


async def test_a_limit_of_jobs_counts_those_that_ran(queue: Queue, server: Server) -> None:
    await queue.enqueue_many([Queue.prepare_data(quick)] * 500)
    assert await Worker("default", server.url, concurrency=20).run(max_jobs=300) == 300
    assert await queue.finished_job_registry.count() == 300
    assert await queue.count() == 200
