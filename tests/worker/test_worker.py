"""The worker: how many jobs run at once, in which order, what ends them, and how it stops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, defaultdict
from datetime import timedelta
from statistics import median_low as median
from typing import Any

import pytest
import redis

from aioq import InvalidInput, JobStatus, Queue, ServerUnreachable, Worker, get_current_job
from aioq.store import Connection, Directory
from tests import jobs
from tests.conftest import Server, free_port
from tests.tools import RunningWorker, eventually

notes: defaultdict[str, list[Any]] = defaultdict(list)
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


async def note(key: str, value: Any = None) -> Any:
    notes[key].append(value)
    return value


async def hold(key: str) -> str:
    notes[key].append("begun")
    try:
        await gates[key].wait()
    except asyncio.CancelledError:
        notes[key].append("canceled")
        raise
    notes[key].append("done")
    return key


def hold_sync(key: str) -> str:
    notes[key].append("begun")
    pause = threading.Event()
    try:
        while not gates[key].is_set():
            pause.wait(0.005)
    except BaseException as error:
        notes[key].append(type(error).__name__)
        raise
    notes[key].append("done")
    return key


# How many at once


class Gauge:
    """How many jobs are running now, and the most that there were."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.now -= 1


gauges: defaultdict[str, Gauge] = defaultdict(Gauge)


async def gauged(key: str) -> None:
    with gauges[key]:
        await asyncio.sleep(0.01)


def gauged_sync(key: str) -> None:
    with gauges[key]:
        time.sleep(0.01)


@pytest.mark.parametrize("function", [gauged, gauged_sync])
@pytest.mark.parametrize("concurrency", [1, 4, 20])
async def test_the_concurrency_is_reached_and_not_exceeded(
    queue: Queue, burst, key: str, function: Any, concurrency: int
) -> None:
    await queue.enqueue_many(Queue.prepare_data(function, (key,)) for _ in range(5 * concurrency))
    assert await burst(concurrency=concurrency) == 5 * concurrency
    assert gauges[key].most == concurrency
    assert gauges[key].now == 0
    assert await queue.finished_job_registry.count() == 5 * concurrency


@pytest.mark.parametrize(("function", "seconds"), [(jobs.sleep, 0.3), (jobs.sleep_sync, 0.3)])
async def test_fifty_run_at_the_same_time(queue: Queue, start_worker, function: Any, seconds: float) -> None:
    await start_worker(concurrency=50)
    begun = time.monotonic()
    made = await asyncio.gather(*(queue.enqueue(function, seconds) for _ in range(50)))
    await asyncio.gather(*(job.result(10) for job in made))
    assert time.monotonic() - begun < 1.5


async def test_a_place_is_taken_as_soon_as_it_is_free(queue: Queue, start_worker, key: str) -> None:
    await start_worker(concurrency=2)
    await queue.enqueue(hold, key)
    begun = time.monotonic()
    made = [await queue.enqueue(jobs.sleep, 0.01) for _ in range(20)]
    await asyncio.gather(*(job.result(5) for job in made))
    assert time.monotonic() - begun < 1.5
    gates[key].set()


async def test_thousands_of_jobs_all_run_once(queue: Queue, burst, key: str) -> None:
    made = await queue.enqueue_many(Queue.prepare_data(note, (key, number)) for number in range(3000))
    assert await burst() == 3000
    assert sorted(notes[key]) == list(range(3000))
    assert [await made[number].return_value() for number in (0, 1234, 2999)] == [0, 1234, 2999]


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "3", None])
async def test_a_concurrency_that_cannot_be_is_refused(concurrency: Any) -> None:
    with pytest.raises(InvalidInput, match="concurrency"):
        Worker("default", "redis://localhost", concurrency=concurrency)


@pytest.mark.parametrize(
    "options",
    [{"queues": []}, {"queues": "a b"}, {"queues": ["ok", ""]}, {"name": "a b"}, {"name": ""}, {"result_ttl": -5},
     {"shutdown_timeout": "x"}, {"shutdown_timeout": -1}, {"cancel_grace": "x"}, {"cancel_grace": -0.5},
     {"connection": "localhost"}, {"queues": None}, {"queues": 5}, {"queues": b"default"},
     {"prefix": ""}, {"prefix": "a b"}],
)  # fmt: skip
async def test_a_worker_that_cannot_be_is_refused(options: dict[str, Any], server: Server) -> None:
    with pytest.raises(InvalidInput):
        await Worker(**options).run(burst=True)


@pytest.mark.parametrize("options", [{"max_jobs": 0}, {"max_jobs": -1}, {"max_jobs": 1.5}, {"max_idle_time": 0}])
async def test_a_run_that_cannot_be_is_refused(server: Server, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await Worker("default", server.url).run(**options)


# Stopping


async def test_a_stop_lets_running_jobs_end_and_claims_no_more(queue: Queue, start_worker, key: str) -> None:
    running: RunningWorker = await start_worker(concurrency=1)
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    running.worker.request_stop()
    waiting = await queue.enqueue(note, key, "not claimed")
    await asyncio.sleep(0.05)
    assert not running.task.done()
    gates[key].set()
    assert await running.task == 1
    assert await job.get_status() == JobStatus.FINISHED
    assert await waiting.get_status() == JobStatus.QUEUED
    assert notes[key] == ["begun", "done"]


@pytest.mark.parametrize("function", [hold, hold_sync])
async def test_when_the_grace_is_over_jobs_go_back_to_the_front(
    queue: Queue, start_worker, key: str, function: Any
) -> None:
    running: RunningWorker = await start_worker(concurrency=1, shutdown_timeout=0.1)
    job = await queue.enqueue(function, key, retry=1)
    waiting = await queue.enqueue(note, key)
    await eventually(lambda: notes[key])
    begun = time.monotonic()
    running.worker.request_stop()
    await running.task
    assert 0.09 < time.monotonic() - begun < 1.5
    assert await queue.job_ids() == [job.id, waiting.id]
    await job.refresh()
    assert (job.attempt, job.deliveries, job.retries_left) == (0, 1, 1)
    assert [each.type for each in await job.results()] == ["interrupted"]
    await eventually(lambda: notes[key][-1] in ("canceled", "RunEnded"))

    gates[key].set()
    await start_worker()
    assert await job.result(5) == key
    await job.refresh()
    assert (job.attempt, job.deliveries, job.fence) == (1, 1, 2)


async def test_a_second_request_hands_jobs_back_at_once(queue: Queue, start_worker, key: str) -> None:
    running: RunningWorker = await start_worker(shutdown_timeout=60)
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    begun = time.monotonic()
    running.worker.request_stop()
    await asyncio.sleep(0.05)
    running.worker.request_stop()
    await running.task
    assert time.monotonic() - begun < 1
    assert await job.get_status() == JobStatus.QUEUED
    assert notes[key] == ["begun", "canceled"]


async def test_a_job_that_ends_well_when_it_is_interrupted_is_finished(
    queue: Queue, start_worker, key: str
) -> None:
    running: RunningWorker = await start_worker()
    job = await queue.enqueue(save_and_return, key)
    await eventually(lambda: notes[key])
    running.worker.request_stop()
    running.worker.request_stop()
    await running.task
    assert await job.return_value() == "saved"


async def save_and_return(key: str) -> str:
    notes[key].append("begun")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "saved"
    return "not interrupted"


async def test_many_jobs_are_handed_back_in_their_order(queue: Queue, start_worker, key: str) -> None:
    made = [await queue.enqueue(hold, key) for _ in range(20)]
    running: RunningWorker = await start_worker(concurrency=10)
    await eventually(lambda: len(notes[key]) == 10)
    running.worker.request_stop()
    running.worker.request_stop()
    await running.task
    assert await queue.job_ids() == [job.id for job in made]


async def test_a_worker_whose_task_is_cancelled_hands_its_jobs_back(
    queue: Queue, server: Server, raw: redis.Redis, key: str
) -> None:
    worker, ready = Worker("default", server.url), asyncio.Event()
    task = asyncio.create_task(worker.run(ready=ready.set))
    await ready.wait()
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert notes[key] == ["begun", "canceled"]
    assert await queue.job_ids() == [job.id]
    assert (await job.get_status(), job.attempt) == (JobStatus.QUEUED, 0)
    assert not raw.exists("aioq:{default}:leases"), "it has signed off"
    assert not raw.smembers("aioq:workers")


async def test_a_stopped_worker_leaves_no_trace(queue: Queue, start_worker, raw: redis.Redis) -> None:
    before = len(raw.client_list())
    threads = threading.active_count()
    running: RunningWorker = await start_worker()
    await (await queue.enqueue(jobs.noop, result_ttl=1)).result(5)
    await eventually(lambda: raw.keys("aioq:worker:*"))
    assert running.worker.name in raw.smembers("aioq:workers")
    running.worker.request_stop()
    await running.task
    await eventually(lambda: not raw.keys("*:job:*"))
    assert raw.keys("aioq:worker*") == []
    assert not raw.exists("aioq:{default}:leases", "aioq:{default}:lane:main", "aioq:{default}:lane:front")
    await eventually(lambda: len(raw.client_list()) <= before + 2)  # those of the queue, and its subscription
    assert threading.active_count() <= threads + 1  # anyio keeps threads for the next plain function


async def test_a_stop_before_the_run_and_after_it_does_no_harm(server: Server, queue: Queue) -> None:
    worker = Worker("default", server.url)
    assert await worker.run(burst=True) == 0
    worker.request_stop()
    await queue.enqueue(jobs.noop)
    assert await Worker("default", server.url).run(burst=True) == 1


async def test_a_worker_runs_once_at_a_time_and_again_later(server: Server, queue: Queue, start_worker) -> None:
    running: RunningWorker = await start_worker()
    with pytest.raises(RuntimeError, match="runs already"):
        await running.worker.run()
    running.worker.request_stop()
    await running.task
    await queue.enqueue(jobs.noop)
    assert await running.worker.run(burst=True) == 1


# When to be done


async def test_burst_runs_what_is_there_and_ends(queue: Queue, server: Server, key: str) -> None:
    worker = Worker("default", server.url)
    assert await worker.run(burst=True) == 0
    await queue.enqueue(enqueue_another, key, 3, server.url)
    await queue.enqueue_in(60, note, key, "later")
    assert await worker.run(burst=True) == 4
    assert notes[key] == [3, 2, 1, 0]


async def enqueue_another(key: str, number: int, url: str) -> None:
    notes[key].append(number)
    if number:
        async with Queue("default", url) as queue:
            await queue.enqueue(enqueue_another, key, number - 1, url)


async def test_burst_waits_for_running_jobs_and_for_retries_at_once(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(fail_slowly, key, retry=2)
    assert await burst() == 3
    assert await job.get_status() == JobStatus.FAILED


async def fail_slowly(key: str) -> None:
    await asyncio.sleep(0.05)
    raise ValueError("on purpose")


@pytest.mark.parametrize(("max_jobs", "concurrency"), [(1, 10), (3, 1), (7, 2), (100, 10)])
async def test_max_jobs_is_the_most_that_are_claimed(
    queue: Queue, server: Server, key: str, max_jobs: int, concurrency: int
) -> None:
    await queue.enqueue_many(Queue.prepare_data(note, (key, number)) for number in range(10))
    worker = Worker("default", server.url, concurrency=concurrency)
    if max_jobs > 10:
        assert await worker.run(max_jobs=max_jobs, burst=True) == 10
    else:
        assert await worker.run(max_jobs=max_jobs) == max_jobs
    assert sorted(notes[key]) == list(range(min(10, max_jobs)))
    assert await queue.count() == 10 - min(10, max_jobs)
    assert await queue.finished_job_registry.count() == min(10, max_jobs)


async def test_max_idle_time_ends_an_idle_worker(queue: Queue, server: Server, key: str) -> None:
    job = await queue.enqueue(jobs.sleep, 0.4)
    begun = time.monotonic()
    assert await Worker("default", server.url).run(max_idle_time=0.2) == 1
    assert 0.55 <= time.monotonic() - begun < 1.5
    assert await job.get_status() == JobStatus.FINISHED


async def test_a_server_that_is_not_there_is_an_error_at_the_start() -> None:
    port = free_port()
    with pytest.raises(ServerUnreachable, match=str(port)):
        await Worker("default", f"redis://127.0.0.1:{port}").run(burst=True)


# Several queues, several workers


async def test_a_job_of_the_first_queue_goes_before_all_of_the_second(
    queue: Queue, server: Server, key: str, connection: Connection
) -> None:
    high, low = Queue("high", connection), Queue("low", connection)
    for number in range(5):
        await low.enqueue(note, key, f"low {number}")
    for number in range(5):
        await high.enqueue(note, key, f"high {number}")
    await low.enqueue(note, key, "low front", at_front=True)
    assert await Worker(["high", "low"], server.url, concurrency=1).run(burst=True) == 11
    assert notes[key] == [
        *(f"high {number}" for number in range(5)),
        "low front",
        *(f"low {number}" for number in range(5)),
    ]


async def test_an_idle_worker_hears_of_each_of_its_queues(
    queue: Queue, start_worker, connection: Connection
) -> None:
    await start_worker("a", "b", "default")
    for name in ("b", "a", "default", "b"):
        job = await Queue(name, connection).enqueue(jobs.add, 1, 2)
        begun = time.monotonic()
        assert await job.result(5) == 3
        assert time.monotonic() - begun < 1


async def test_queues_may_be_given_in_every_way(server: Server, key: str) -> None:
    async with Queue("a", server.url) as first, Queue("b", server.url) as second:
        await first.enqueue(note, key, "a")
        await second.enqueue(note, key, "b")
        assert await Worker(first).run(burst=True) == 1
        assert await Worker([first, "b", "a", second], server.url).run(burst=True) == 1
        assert notes[key] == ["a", "b"]
        assert Worker([first, "b", "a", second]).queue_names == ["a", "b"]
        await first.enqueue(note, key, "again")
        assert await Worker("a", first.connection).run(burst=True) == 1
        assert await first.count() == 0, "the queue's own connection is still open"


async def test_two_workers_share_a_queue_and_no_job_runs_twice(queue: Queue, start_worker, key: str) -> None:
    workers = [await start_worker(concurrency=5) for _ in range(2)]
    made = await asyncio.gather(*(queue.enqueue(note_worker, key) for _ in range(600)))
    await asyncio.gather(*(job.result(20) for job in made))
    assert len(notes[key]) == 600
    runs = Counter(job_id for job_id, _ in notes[key])
    assert set(runs.values()) == {1}
    names = Counter(name for _, name in notes[key])
    assert set(names) == {running.worker.name for running in workers}
    assert min(names.values()) > 30, "both have work to do"


async def note_worker(key: str) -> None:
    job = get_current_job()
    notes[key].append((job.id, job.worker_name))
    await asyncio.sleep(0.002)


async def test_names_are_kept_apart(server: Server) -> None:
    first, second = Worker("default", server.url, name="mine"), Worker("default", server.url, name="mine")
    assert first.name != second.name
    assert first.name.startswith("mine.")


# Pausing and suspending


async def test_a_paused_queue_is_left_and_the_others_are_served(
    queue: Queue, start_worker, connection: Connection, key: str
) -> None:
    other = Queue("other", connection)
    await start_worker("default", "other")
    await queue.pause()
    paused = await queue.enqueue(note, key, "paused")
    assert await (await other.enqueue(jobs.add, 1, 2)).result(5) == 3
    assert await paused.get_status() == JobStatus.QUEUED
    await queue.resume()
    await paused.result(5)


async def test_suspended_workers_claim_nothing_until_they_are_resumed(
    queue: Queue, start_worker, connection: Connection, key: str
) -> None:
    await start_worker("default", "other", "new")
    directory = Directory(connection)
    running = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    await directory.suspend()
    assert await directory.is_suspended()
    made = [await Queue(name, connection).enqueue(note, key, name) for name in ("default", "other", "new")]
    gates[key].set()
    assert await running.result(5) == key, "what runs goes on"
    await asyncio.sleep(0.1)
    assert [await job.get_status() for job in made] == ["queued"] * 3
    begun = time.monotonic()
    await directory.resume()
    for job in made:
        await job.result(5)
    assert time.monotonic() - begun < 0.9, "not only when they look again"
    assert not await directory.is_suspended()


async def test_a_suspension_may_end_by_itself(
    queue: Queue, start_worker, connection: Connection, raw: redis.Redis
) -> None:
    await start_worker()
    await Directory(connection).suspend(200)
    job = await queue.enqueue(jobs.add, 1, 2)
    with pytest.raises(TimeoutError):
        await job.result(0.1)
    assert await job.result(5) == 3


async def test_burst_leaves_a_paused_queue(queue: Queue, burst, key: str) -> None:
    await queue.enqueue(note, key)
    await queue.pause()
    assert await burst() == 0
    assert await queue.count() == 1


# How soon


async def test_scheduled_jobs_start_when_they_are_due(queue: Queue, start_worker) -> None:
    await start_worker()
    made = [await queue.enqueue_in(0.1 + number / 50, jobs.noop) for number in range(10)]
    made.append(await queue.enqueue_in(0.02, jobs.noop))  # sooner than all that it knows of
    delays = []
    for job in made:
        await job.result(5)
        await job.refresh()
        delays.append(job.started_at - job.scheduled_at)
    assert min(delays) >= timedelta(0)
    assert median(delays) < timedelta(milliseconds=50)
    assert max(delays) < timedelta(milliseconds=500)


async def test_a_scheduled_job_is_started_by_a_worker_that_comes_late(queue: Queue, start_worker) -> None:
    job = await queue.enqueue_in(0.05, jobs.add, 1, 2)
    later = await queue.enqueue_in(0.3, jobs.add, 3, 4)
    await asyncio.sleep(0.1)
    await start_worker()
    assert await job.result(5) == 3
    assert await later.result(5) == 7
    await later.refresh()
    assert later.started_at - later.scheduled_at < timedelta(milliseconds=500)


async def test_a_scheduled_job_is_not_started_before_its_time(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue_in(0.3, note, key)
    for _ in range(10):
        await (await queue.enqueue(jobs.noop)).result(5)
    assert await job.get_status() == JobStatus.SCHEDULED
    assert notes[key] == []
    await job.result(5)
    await job.refresh()
    assert job.started_at >= job.scheduled_at


async def test_a_worker_that_was_idle_for_long_reacts_at_once(
    queue: Queue, start_worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioq.worker.waker.BLOCK_S", 1)  # so the wait spans several of its blocking reads
    await start_worker()
    await asyncio.sleep(2.3)
    delays = []
    for _ in range(5):
        job = await queue.enqueue(jobs.noop)
        await job.result(5)
        await job.refresh()
        delays.append(job.started_at - job.created_at)
    assert median(delays) < timedelta(milliseconds=50)
    assert max(delays) < timedelta(milliseconds=500)


async def test_an_idle_worker_asks_the_server_next_to_nothing(
    queue: Queue, start_worker, raw: redis.Redis
) -> None:
    await start_worker("default", "other")
    await asyncio.sleep(0.3)
    raw.config_resetstat()
    await asyncio.sleep(1)
    stats = raw.info("commandstats")
    assert sum(stats[name]["calls"] for name in stats if "config" not in name) < 20


async def test_another_worker_takes_over_when_one_is_full(queue: Queue, start_worker, key: str) -> None:
    for _ in range(3):
        await start_worker(concurrency=1)
    made = [await queue.enqueue(hold, key) for _ in range(3)]
    await eventually(lambda: notes[key] == ["begun"] * 3, timeout=2)
    gates[key].set()
    for job in made:
        await job.result(5)


async def test_a_worker_tells_of_itself(queue: Queue, start_worker, connection: Connection, key: str) -> None:
    running = await start_worker("default", "other", concurrency=7, name="mine")
    await eventually(lambda: _workers(connection))
    (info,) = await Directory(connection).workers()
    assert info.name == running.worker.name
    assert (info.queues, info.concurrency, info.state, info.running) == (["default", "other"], 7, "idle", 0)


async def _workers(connection: Connection) -> list[Any]:
    return await Directory(connection).workers()
