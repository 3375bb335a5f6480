"""The worker: how many jobs run at once, in which order, what ends them, and how it stops."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise
from statistics import median_low as median
from typing import Any

import pytest
import redis

from aioq import InvalidInput, Job, JobFailed, JobStatus, Queue, Retry, ServerUnreachable, Worker, get_current_job
from aioq.store import Connection, Directory
from tests import jobs
from tests.conftest import Server, free_port
from tests.tools import RunningWorker, eventually
from tests.worker import misbehaviour as bad

notes: defaultdict[str, list[Any]] = defaultdict(list)
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def note(key: str, value: Any = None) -> Any:
    notes[key].append(value)
    return value


def note_sync(key: str, value: Any = None) -> Any:
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


async def fail(key: str, kind: str = "ValueError") -> None:
    notes[key].append((get_current_job().attempt, time.monotonic()))
    raise {"ValueError": ValueError, "KeyError": KeyError, "UnicodeError": UnicodeError}[kind]("on purpose")


async def _has(job: Job[Any], status: str) -> bool:
    return await job.get_status() == status


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


# Threads and context


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


@pytest.mark.parametrize("concurrency", [3, 20])
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


# Timeouts


async def times_out(queue: Queue, job: Job[Any]) -> None:
    with pytest.raises(JobFailed, match=r"JobTimeout: the run took longer than its timeout of 0\.1 seconds"):
        await job.result(10)
    assert await job.get_status() == JobStatus.FAILED
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3


@pytest.mark.parametrize(
    "function", [bad.swallow_exceptions, bad.swallow_exceptions_in_thread, bad.swallow_everything_in_thread]
)
async def test_except_exception_does_not_stop_a_timeout(
    queue: Queue, start_worker, key: str, function: Any
) -> None:
    await start_worker(concurrency=1, cancel_grace=0.2)
    job = await queue.enqueue(function, key, job_timeout=0.1)
    await times_out(queue, job)
    if function is bad.swallow_exceptions:
        assert bad.notes[key] == []
    else:  # a thread gets a JobTimeout, and after the grace what no `except Exception` catches
        await eventually(lambda: bad.notes[key] == ["RunTimedOut"])


@pytest.mark.parametrize("times", [1, 2])
async def test_a_coroutine_that_swallows_its_cancellation_has_failed(
    queue: Queue, start_worker, key: str, times: int
) -> None:
    await start_worker(concurrency=1, cancel_grace=0.2)
    job = await queue.enqueue(bad.swallow_cancellation, key, times, job_timeout=0.1)
    await times_out(queue, job)
    assert bad.notes[key] == list(range(1, times + 1))


async def test_a_coroutine_that_ignores_every_cancellation_is_given_up(
    queue: Queue, start_worker, key: str
) -> None:
    await start_worker(concurrency=1, cancel_grace=0.2)
    job = await queue.enqueue(ignore_until_the_gate, key, job_timeout=0.1)
    try:
        await times_out(queue, job)
        assert notes[key].count("canceled") >= 2
    finally:
        gates[key].set()
    await eventually(lambda: notes[key][-1] == "done")
    assert await job.get_status() == JobStatus.FAILED


async def ignore_until_the_gate(key: str) -> None:
    while not gates[key].is_set():
        try:
            await gates[key].wait()
        except asyncio.CancelledError:
            notes[key].append("canceled")
    notes[key].append("done")


async def test_a_coroutine_may_clean_up_when_its_time_is_over(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(bad.clean_up, key, 0.05, job_timeout=0.1)
    await times_out(queue, job)
    assert bad.notes[key] == ["cleaned up"]


async def test_a_timeout_of_the_jobs_own_is_the_jobs_own(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(bad.own_timeout, job_timeout=5)
    assert await job.result(5) == "its own"


async def test_a_timeout_is_retried_like_any_failure(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(slow_at_first, key, job_timeout=0.1, retry=1)
    assert await job.result(5) == 2
    assert [each.type for each in await job.results()] == ["finished", "failed"]
    assert "JobTimeout" in (await job.results())[1].exc_info


async def slow_at_first(key: str) -> int:
    notes[key].append("run")
    if len(notes[key]) == 1:
        await asyncio.sleep(60)
    return len(notes[key])


async def test_without_a_timeout_a_job_may_take_its_time(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(jobs.sleep, 0.2, job_timeout=-1)
    assert await job.result(5) == 0.2
    assert job.timeout == -1


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


# Retries


def gaps(key: str) -> list[float]:
    moments = [moment for _, moment in notes[key]]
    return [later - earlier for earlier, later in pairwise(moments)]


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (Retry(2), [0, 0]),
        (Retry(3, interval=0.1), [0.1, 0.1, 0.1]),
        (Retry(4, interval=[0.05, 0.15]), [0.05, 0.15, 0.15, 0.15]),
        (Retry(1, interval=[0.05, 5, 5]), [0.05]),
        (Retry(3, interval=0.05, backoff=2), [0.05, 0.1, 0.2]),
        (Retry(3, interval=0.05, backoff=10, max_interval=0.1), [0.05, 0.1, 0.1]),
        (2, [0, 0]),
    ],
)
async def test_the_pauses_between_attempts(
    queue: Queue, start_worker, key: str, retry: Any, expected: list[float]
) -> None:
    await start_worker()
    job = await queue.enqueue(fail, key, retry=retry)
    with pytest.raises(JobFailed, match="on purpose"):
        await job.result(10)
    await job.refresh()
    assert [attempt for attempt, _ in notes[key]] == list(range(1, len(expected) + 2))
    for gap, least in zip(gaps(key), expected, strict=True):
        assert least - 0.005 <= gap < least + 1.5
    assert (job.attempt, job.retries_left) == (len(expected) + 1, 0)
    assert [each.type for each in await job.results()] == ["failed"] * (len(expected) + 1)


@pytest.mark.parametrize(
    ("retry", "kind", "runs"),
    [
        (Retry(2, on=ValueError), "ValueError", 3), (Retry(2, on=ValueError), "KeyError", 1),
        (Retry(2, on=[KeyError, OSError]), "KeyError", 3), (Retry(2, on=LookupError), "KeyError", 3),
        (Retry(2, on=ValueError), "UnicodeError", 3), (Retry(2, not_on=KeyError), "KeyError", 1),
        (Retry(2, not_on=KeyError), "ValueError", 3), (Retry(2, not_on=LookupError), "KeyError", 1),
        (Retry(2, on=ValueError, not_on=UnicodeError), "UnicodeError", 1),
    ],
)  # fmt: skip
async def test_only_some_exceptions_are_retried(
    queue: Queue, burst, key: str, retry: Retry, kind: str, runs: int
) -> None:
    job = await queue.enqueue(fail, key, kind, retry=retry)
    await burst()
    assert len(notes[key]) == runs
    assert await job.get_status() == JobStatus.FAILED
    assert len(await job.results()) == runs


@pytest.mark.parametrize("at_front", [False, True])
@pytest.mark.parametrize("interval", [0, 0.02])
async def test_a_retry_goes_to_the_back_or_to_the_front(
    queue: Queue, start_worker, key: str, at_front: bool, interval: float
) -> None:
    await queue.enqueue(fail_once, key, retry=Retry(1, interval=interval, at_front=at_front))
    made = [await queue.enqueue(note_after, key, number) for number in range(5)]
    await start_worker(concurrency=1)
    for job in made:
        await job.result(5)
    await eventually(lambda: len(notes[key]) == 7)
    position = notes[key].index("second")
    if at_front:
        assert position == 1 if interval == 0 else position < 4
    else:
        assert position == 6


async def fail_once(key: str) -> None:
    if get_current_job().attempt == 1:
        notes[key].append("first")
        raise ValueError("on purpose")
    notes[key].append("second")


async def note_after(key: str, value: Any) -> None:
    await asyncio.sleep(0.015)
    notes[key].append(value)


async def test_a_waiting_retry_holds_no_place(queue: Queue, start_worker, key: str) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(fail, key, retry=Retry(1, interval=60))
    await eventually(lambda: _has(job, "scheduled"))
    assert job.exc_info is not None
    (attempt,) = await job.results()
    assert timedelta(seconds=59) < job.scheduled_at - attempt.ended_at < timedelta(seconds=61)
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3
    assert await queue.scheduled_job_registry.job_ids() == [job.id]


# Whatever a job does is its own failure


async def is_failure(queue: Queue, job: Job[Any], text: str) -> None:
    with pytest.raises(JobFailed) as caught:
        await job.result(10)
    assert text in caught.value.exc_info
    assert await job.get_status() == JobStatus.FAILED
    assert text in job.exc_info
    assert len(job.exc_info) <= 40_000
    assert await queue.failed_job_registry.job_ids() == [job.id]
    # The worker goes on, with its coroutines and its threads.
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3
    assert await (await queue.enqueue(jobs.add_sync, 1, 2)).result(5) == 3


@pytest.mark.parametrize("kind", bad.EXPLOSIONS)
@pytest.mark.parametrize("function", [bad.explode_in_coroutine, bad.explode_in_thread, bad.explode_in_generator])
async def test_whatever_a_job_raises_is_its_failure(queue: Queue, start_worker, function: Any, kind: str) -> None:
    running = await start_worker(concurrency=1)
    job = await queue.enqueue(function, kind)
    await is_failure(queue, job, bad.EXPLOSIONS[kind])
    assert not running.task.done()


@pytest.mark.parametrize("kind", ["exit", "surrogates", "unprintable", "recursion", "long"])
async def test_whatever_a_job_raises_can_be_retried(queue: Queue, start_worker, kind: str) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(bad.explode_in_coroutine, kind, retry=2)
    await is_failure(queue, job, bad.EXPLOSIONS[kind])
    assert [bad.EXPLOSIONS[kind] in each.exc_info for each in await job.results()] == [True] * 3


@pytest.mark.parametrize("kind", bad.EXPLOSIONS)
async def test_whatever_an_argument_raises_when_it_is_loaded_is_the_jobs_failure(
    queue: Queue, start_worker, kind: str
) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(note, bad.RaisesOnLoad(kind))
    await is_failure(queue, job, "" if kind == "long" else "explode")
    assert job.description.startswith("tests.worker.test_worker.note(<")  # nothing is loaded for it


@pytest.mark.parametrize("kind", ["exit", "interrupt", "base", "unprintable", "surrogates", "recursion", "chain"])
async def test_whatever_a_result_raises_when_it_is_dumped_is_the_jobs_failure(
    queue: Queue, start_worker, kind: str
) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(bad.return_what_explodes, kind)
    await is_failure(queue, job, "Error" if kind not in ("exit", "interrupt", "base") else bad.EXPLOSIONS[kind])


@pytest.mark.parametrize("function", [bad.return_the_unserialisable, bad.return_the_deep])
async def test_a_result_that_cannot_be_serialised_is_the_jobs_failure(
    queue: Queue, start_worker, function: Any
) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(function)
    await is_failure(queue, job, "SerializationError: the result of tests.worker.misbehaviour.return_the_")


async def test_a_result_that_no_server_would_take_is_the_jobs_failure(
    own_server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server would refuse the whole call and end the connection: no other job could be recorded."""
    server: Server = own_server("--proto-max-bulk-len", "1mb")
    monkeypatch.setattr("aioq.worker.executor.MAX_RESULT", 1_048_576)

    async with Queue("default", server.url) as queue, RunningWorker(["default"], connection=server.url):
        job = await queue.enqueue(bad.return_many, 2_000_000)
        await is_failure(queue, job, "PayloadTooLarge: the result of tests.worker.misbehaviour.return_many has")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tests.worker.misbehaviour.nothing", "has no function 'nothing'"),
        ("tests.worker.misbehaviour.EXPLOSIONS", "has no function 'EXPLOSIONS'"),
        ("tests.worker.misbehaviour.explode.nothing", "has no function 'explode.nothing'"),
        ("tests.worker.no_such_module.function", "has no function 'no_such_module.function'"),
        ("no_such_package.function", "no module of 'no_such_package.function' can be imported"),
        ("tests.worker.broken_module.function", "ValueError: this module is broken on purpose"),
        ("tests.worker.exiting_module.function", "SystemExit: 7"),
    ],
)
async def test_a_function_that_cannot_be_found_is_the_jobs_failure(
    queue: Queue, start_worker, name: str, text: str
) -> None:
    await start_worker(concurrency=1)
    job = await queue.enqueue(name)
    await is_failure(queue, job, text)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"data": b"p"}, ""),
        ({"data": b"p\x80\x05damaged"}, "DeserializationError: the job's arguments cannot be read as pickle"),
        ({"data": b"j{"}, "DeserializationError: the job's arguments cannot be read as json"),
        ({"data": b"j[1]"}, "DeserializationError: the job's arguments are not"),
        ({"data": b"j\xff\xff"}, "DeserializationError"),
        ({"data": b"?[null,[],{}]"}, "DeserializationError: unknown serializer tag b'?'"),
        ({"data": b"?"}, "DeserializationError: unknown serializer tag b'?'"),
        ({"data": b"\x00"}, "DeserializationError: unknown serializer tag"),
        ({"data": b"pcos\nno_such_name\n."}, "DeserializationError"),
        ({"func": b""}, "DeserializationError"),
        ({"func": b"\xff\xfe"}, "Error"),
        ({"func": b"a" * 1_000}, "DeserializationError"),
        ({"opts": b"\xff"}, "DeserializationError"),
        ({"opts": b"{"}, "DeserializationError"),
        ({"opts": b"[1]"}, "DeserializationError"),
        ({"opts": b'{"timeout":"x"}'}, "DeserializationError"),
        ({"opts": b'{"timeout":1e999}'}, "DeserializationError"),
        ({"opts": b'{"timeout":null}'}, "DeserializationError"),
        ({"opts": b'{"timeout":[1]}'}, "DeserializationError"),
        ({"opts": b'{"result_ttl":"x"}'}, "DeserializationError"),
        ({"opts": b'{"result_ttl":1e300}'}, "DeserializationError"),
        ({"opts": b'{"retry":5}'}, "DeserializationError"),
        ({"opts": b'{"retry":{"max":"x"}}'}, "DeserializationError"),
        ({"opts": b'{"retry":{"max":1,"interval_ms":"x"}}'}, "DeserializationError"),
        ({"opts": b"[" * 100_000}, "DeserializationError"),
    ],
)
async def test_a_damaged_record_is_the_jobs_failure(
    queue: Queue, start_worker, server: Server, fields: dict[str, bytes], text: str
) -> None:
    job = await queue.enqueue(note, "damaged", "ran")
    with redis.Redis.from_url(server.url) as client:
        client.hset(f"aioq:{{default}}:job:{job.id}", mapping=fields | {"more": b"1"})
    running = await start_worker(concurrency=1)
    await is_failure(queue, job, text)
    assert not running.task.done()
    (listed,) = await queue.failed_job_registry.jobs()
    assert listed.is_failed
    assert listed.id in repr(listed)
    await queue.failed_job_registry.requeue(listed)
    await eventually(lambda: _has(job, "failed"))


async def test_a_damaged_meta_does_not_stop_the_job(queue: Queue, start_worker, server: Server) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    with redis.Redis.from_url(server.url) as client:
        client.hset(
            f"aioq:{{default}}:job:{job.id}", mapping={"meta.a": b"?", b"meta.\xff": b"p", "meta.b": b"p\xff"}
        )
    await start_worker()
    assert await job.result(5) == 3


async def test_an_unknown_field_is_kept(queue: Queue, start_worker, raw: redis.Redis) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    raw.hset(
        f"aioq:{{default}}:job:{job.id}", mapping={"of_a_newer_version": "x", "opts": '{"new":1,"timeout":5000}'}
    )
    await start_worker()
    assert await job.result(5) == 3
    assert raw.hget(f"aioq:{{default}}:job:{job.id}", "of_a_newer_version") == "x"


async def test_a_task_that_a_job_leaves_behind_goes_on(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    await (await queue.enqueue(bad.leave_a_task_behind, key)).result(5)
    await eventually(lambda: bad.notes[key][-1] == "later")


async def block_the_loop(seconds: float) -> str:
    time.sleep(seconds)
    return "blocked"


async def test_a_job_that_blocks_the_loop_holds_up_the_others_and_no_more(queue: Queue, start_worker) -> None:
    await start_worker()
    made = [await queue.enqueue(block_the_loop, 0.1) for _ in range(3)]
    assert [await job.result(5) for job in made] == ["blocked"] * 3


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
