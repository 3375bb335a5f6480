"""Waiting for results: before and after the end, by many, over lost connections; nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import pickle
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import AsyncMock

import pytest
import redis

from aioq import AioqError, Job, JobFailed, JobStatus, Queue, Retry, Worker
from aioq.errors import DeserializationError, JobCanceled, JobExpired, JobStopped, ServerUnreachable
from aioq.store.producing import Producing
from tests import jobs
from tests.client.work import fail_until, gates, hold, note, note_and_fail, notes
from tests.conftest import Server
from tests.tools import eventually


async def waiting(*calls: Any) -> list[asyncio.Task[Any]]:
    """Tasks that wait by now."""
    tasks = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0.05)
    return tasks


async def nothing_is_left(queue: Queue) -> None:
    """No wait is kept once all have their answer or have given up."""
    assert queue.store.producing.mailbox._waits == {}


async def test_a_wait_before_the_end_brings_the_value(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    (task,) = await waiting(job.result())
    assert not task.done()
    gates[key].set()
    assert await task == key
    assert (job.is_finished, job.is_queued) == (True, False), "the snapshot tells the end"
    await nothing_is_left(queue)


async def test_a_wait_after_the_end_brings_the_value_at_once(queue: Queue, burst) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    await burst()
    for _ in range(3):
        assert await job.result() == 3
        assert await job.result(timeout=0) == 3
    assert job.is_finished, "and the snapshot tells the end"
    assert await job.return_value() == 3
    await nothing_is_left(queue)


async def test_a_wait_before_there_is_a_worker(queue: Queue, start_worker) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    (task,) = await waiting(job.result(5))
    await start_worker()
    assert await task == 3


async def test_a_scheduled_job_is_waited_for(queue: Queue, start_worker) -> None:
    await start_worker()
    assert await (await queue.enqueue_in(0.1, jobs.add, 1, 2)).result(5) == 3


async def test_others_may_wait_for_the_job(queue: Queue, server: Server, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    async with Queue("default", server.url) as other:
        tasks = await waiting(job.result(5), (await other.fetch_job(job.id)).result(5))
        gates[key].set()
        assert await asyncio.gather(*tasks) == [key, key]
        await nothing_is_left(other)


async def test_many_wait_for_one_job(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    tasks = await waiting(*(job.result(5) for _ in range(100)))
    for task in tasks[:50]:
        task.cancel()
    gates[key].set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[50:] == [key] * 50
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[:50])
    await nothing_is_left(queue)


async def test_a_thousand_waits_share_one_subscription(
    queue: Queue, start_worker, raw: redis.Redis, key: str
) -> None:
    await start_worker()
    before = len(raw.client_list(_type="pubsub"))
    made = await queue.enqueue_many(
        Queue.prepare_data(note_after_the_gate, (key, number)) for number in range(1000)
    )
    tasks = await waiting(*(job.result(20) for job in made))
    await eventually(lambda: len(notes[key]) == 100)  # as many as the worker runs at once
    await eventually(lambda: len(queue.store.producing.mailbox._waits) == 1000)
    await eventually(lambda: len(raw.client_list(_type="pubsub")) > before)
    clients = raw.client_list()
    assert len(raw.client_list(_type="pubsub")) == before + 1
    assert len(clients) < 40, "no connection for each waiter"
    gates[key].set()
    assert await asyncio.gather(*tasks) == list(range(1000))
    await nothing_is_left(queue)


async def note_after_the_gate(key: str, number: int) -> int:
    notes[key].append(number)
    await gates[key].wait()
    return number


async def test_a_job_that_nobody_waits_for_publishes_nothing(
    queue: Queue, burst, raw: redis.Redis, start_worker
) -> None:
    raw.config_resetstat()
    await queue.enqueue(jobs.noop)
    await burst()
    assert "cmdstat_publish" not in raw.info("commandstats")
    job = await queue.enqueue(jobs.noop)
    (task,) = await waiting(job.result(5))
    await burst()
    await task
    assert raw.info("commandstats")["cmdstat_publish"]["calls"] == 1


async def test_who_waits_for_all_jobs_gets_each_result_with_few_calls(
    queue: Queue, start_worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    wait = Producing.wait

    async def counted(store: Producing, channel: str, ids: list[str]) -> Any:
        asked.extend(ids)
        return await wait(store, channel, ids)

    async def user(first: int) -> None:
        for number in range(first, first + 20):
            assert await (await queue.enqueue(jobs.add, number, 1)).result(10) == number + 1

    monkeypatch.setattr(Producing, "wait", counted)
    await start_worker()
    await asyncio.gather(*(user(100 * number) for number in range(50)))
    assert len(asked) < 500
    made = await queue.enqueue_many(Queue.prepare_data(jobs.add, (number, 1)) for number in range(500))
    assert [await job.result(10) for job in made] == list(range(1, 501))
    assert len(asked) < 600
    await nothing_is_left(queue)
    assert queue.store.producing.mailbox._ahead == {}


async def test_who_waits_for_all_jobs_loses_no_result_with_a_subscription(
    queue: Queue, start_worker, raw: redis.Redis
) -> None:
    await start_worker()

    async def user(first: int) -> None:
        for number in range(first, first + 40):
            assert await (await queue.enqueue(jobs.add, number, 1)).result(10) == number + 1

    users = asyncio.gather(*(user(100 * number) for number in range(50)))
    while not users.done():
        raw.client_kill_filter(_type="pubsub")
        await asyncio.sleep(0.1)
    await users
    await nothing_is_left(queue)


# Values


@pytest.mark.parametrize("size", [0, 1, 4000, 4096, 4097, 5_000_000])
async def test_a_result_of_any_size_comes_back(queue: Queue, start_worker, key: str, size: int) -> None:
    await start_worker()
    job = await queue.enqueue(blob, key, size)
    (task,) = await waiting(job.result(10))
    gates[key].set()
    assert await task == bytes(size)
    assert await job.result(5) == bytes(size)
    assert await job.return_value() == bytes(size)


async def blob(key: str, size: int) -> bytes:
    await gates[key].wait()
    return bytes(size)


@pytest.mark.parametrize(
    "value",
    [None, False, 0, "", b"", [], {}, "ä\n\0", "\ud800", b"\r\n$5\r\n", 1.5, float("inf"), 10**100, {1, 2}, (1,),
     ValueError("a value"), "id finished 3\nabc"],
)  # fmt: skip
async def test_any_value_comes_back(queue: Queue, start_worker, key: str, value: Any) -> None:
    await start_worker()
    job = await queue.enqueue(echo, key, value)
    (task,) = await waiting(job.result(5))
    gates[key].set()
    for result in (
        await task,
        await job.result(5),
        await job.return_value(),
        (await job.latest_result()).return_value,
    ):
        assert result == value or isinstance(result, ValueError)
        assert type(result) is type(value)


async def echo(key: str, value: Any) -> Any:
    await gates[key].wait()
    return value


async def test_a_result_that_cannot_be_read_here_is_an_error_of_the_reader(
    queue: Queue, burst, raw: redis.Redis
) -> None:
    job = await queue.enqueue(jobs.noop)
    await burst()
    raw.hset(f"aioq:{{default}}:job:{job.id}", "result", b"pcno.such.module\nThing\n.")
    with pytest.raises(DeserializationError, match="the job's result"):
        await job.result(5)
    assert await job.get_status() == JobStatus.FINISHED
    raw.hset(f"aioq:{{default}}:job:{job.id}", "result", b"?")
    with pytest.raises(DeserializationError, match="unknown serializer"):
        await job.result(5)
    await nothing_is_left(queue)


# Other ends


async def test_a_failure_brings_the_remote_traceback(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(fail_after_the_gate, key, "ä \ud800 text")
    (task,) = await waiting(job.result(5))
    gates[key].set()
    for result in (task, job.result(5)):
        with pytest.raises(JobFailed) as caught:
            await result
        error = caught.value
        assert type(error) is JobFailed
        assert isinstance(error, AioqError)
        assert error.job_id == job.id
        for text in (str(error), error.exc_info):
            assert "Traceback (most recent call last)" in text
            assert "raise ValueError(text)" in text
            assert "ValueError: ä" in text
        assert (error.error_type, error.error_message) == ("ValueError", "ä \\ud800 text")
        assert str(error).startswith(f"job {job.id} failed: ValueError: ä \\ud800 text\n")
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), vars(again)) == (str(error), vars(error))


async def fail_after_the_gate(key: str, text: str) -> None:
    await gates[key].wait()
    raise ValueError(text)


async def test_a_long_traceback_comes_back(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(fail_after_the_gate, key, "x" * 20_000 + "the end")
    (task,) = await waiting(job.result(5))
    gates[key].set()
    with pytest.raises(JobFailed, match=r"x{20000}the end"):
        await task


@pytest.mark.parametrize("later", [False, True])
async def test_a_canceled_job_is_told_apart(queue: Queue, key: str, later: bool) -> None:
    job = await queue.enqueue(jobs.noop)
    tasks = [] if later else await waiting(job.result(5))
    await job.cancel()
    with pytest.raises(JobCanceled, match="canceled") as caught:
        await (job.result(5) if later else tasks[0])
    assert isinstance(caught.value, JobFailed)
    await nothing_is_left(queue)


@pytest.mark.parametrize("later", [False, True])
async def test_a_stopped_job_is_told_apart(queue: Queue, start_worker, key: str, later: bool) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    tasks = [] if later else await waiting(job.result(5))
    await job.stop()
    with pytest.raises(JobStopped, match="stopped"):
        await (job.result(5) if later else tasks[0])


async def test_a_job_expires_while_it_is_waited_for_without_any_worker(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop, ttl=0.1)
    begun = time.monotonic()
    with pytest.raises(JobExpired, match="expired"):
        await job.result(5)
    assert 0.05 < time.monotonic() - begun < 2
    with pytest.raises(JobExpired):
        await job.result(5)
    await nothing_is_left(queue)


async def test_a_job_that_a_worker_finds_expired_is_told(queue: Queue, start_worker, key: str) -> None:
    job = await queue.enqueue(note, key, ttl=0.1)
    (task,) = await waiting(job.result(5))
    await queue.pause()
    await start_worker()
    await asyncio.sleep(0.1)
    await queue.resume()
    with pytest.raises(JobExpired):
        await task
    assert notes[key] == []


async def test_a_wait_goes_on_over_a_retry(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    for retry in (Retry(2), Retry(2, interval=0.05)):
        job = await queue.enqueue(fail_until, key, 3, retry=retry)
        assert await job.result(5) == 3
        notes[key].clear()


async def test_a_wait_goes_on_over_a_worker_that_stops(queue: Queue, start_worker, key: str) -> None:
    running = await start_worker()
    job = await queue.enqueue(hold, key)
    (task,) = await waiting(job.result(10))
    await eventually(lambda: notes[key])
    running.worker.request_stop()
    running.worker.request_stop()
    await running.task
    assert not task.done()
    gates[key].set()
    await start_worker()
    assert await task == key


async def test_a_wait_for_a_requeued_job_is_for_its_next_end(queue: Queue, start_worker, burst, key: str) -> None:
    job = await queue.enqueue(fail_until, key, 2)
    await burst()
    with pytest.raises(JobFailed):
        await job.result(5)
    await job.requeue()
    (task,) = await waiting(job.result(5))
    await burst()
    assert await task == 2


# Giving up


async def test_a_timeout_says_that_no_worker_serves_the_queue(queue: Queue, start_worker, key: str) -> None:
    job = await queue.enqueue(hold, key)
    told = f"the timeout of 0.05 seconds; no worker serves 'default' at {queue.connection.url}"
    with pytest.raises(TimeoutError, match=rf"{re.escape(told)}$"):
        await job.result(0.05)
    with pytest.raises(TimeoutError, match=r"the timeout of 0 seconds$"):
        await job.result(0)
    await start_worker()
    with pytest.raises(TimeoutError, match=r"the timeout of 0\.05 seconds$"):
        await job.result(0.05)
    gates[key].set()
    await job.result(5)


async def test_a_timeout_is_one_whatever_becomes_of_the_question(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await queue.enqueue(jobs.noop)
    for count in (AsyncMock(side_effect=RuntimeError), lambda: asyncio.sleep(60)):
        monkeypatch.setattr(queue.store.reads, "count", count)
        with pytest.raises(TimeoutError, match=r"the timeout of 0\.01 seconds$"):
            await asyncio.wait_for(job.result(0.01), 10)


async def test_a_wait_that_gives_up_leaves_nothing(queue: Queue, start_worker, key: str) -> None:
    job = await queue.enqueue(hold, key)
    for timeout, told in ((0, "0 seconds"), (0.05, "0.05 seconds"), ("50ms", "0.05 seconds")):
        with pytest.raises(TimeoutError, match=f"job {job.id} has not ended within the timeout of {told}"):
            await job.result(timeout)
    tasks = await waiting(*(job.result() for _ in range(10)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await nothing_is_left(queue)
    await start_worker()
    gates[key].set()
    assert await job.result(5) == key, "and a later wait works"


@pytest.mark.parametrize("moment", [0.0, 0.0005, 0.001, 0.002, 0.005])
async def test_a_first_wait_that_gives_up_at_once_does_not_spoil_the_next(
    queue: Queue, start_worker, key: str, moment: float
) -> None:
    job = await queue.enqueue(hold, key)
    first = asyncio.create_task(job.result())
    await asyncio.sleep(moment)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    second = asyncio.create_task(job.result(5))
    await asyncio.sleep(0.05)
    await start_worker()
    gates[key].set()
    assert await second == key
    await nothing_is_left(queue)


async def test_waits_that_end_all_the_time_do_not_pile_up(queue: Queue, start_worker, raw: redis.Redis) -> None:
    await start_worker()
    clients = 0
    for round_ in range(30):
        made = [await queue.enqueue(jobs.noop) for _ in range(10)]
        await asyncio.gather(*(job.result(5) for job in made))
        if round_ == 5:
            clients = len(raw.client_list())
    assert len(raw.client_list()) <= clients
    await nothing_is_left(queue)


# The server's side of it


async def test_a_lost_subscription_loses_no_result(queue: Queue, start_worker, raw: redis.Redis, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    (task,) = await waiting(job.result(10))
    raw.client_kill_filter(_type="pubsub")
    gates[key].set()  # it ends while nobody listens
    assert await task == key
    await nothing_is_left(queue)


async def test_subscriptions_that_are_lost_all_the_time_lose_no_result(
    queue: Queue, start_worker, raw: redis.Redis
) -> None:
    await start_worker()
    made = [await queue.enqueue(jobs.sleep, number / 100) for number in range(60)]
    tasks = [asyncio.create_task(job.result(20)) for job in made]
    while not all(task.done() for task in tasks):
        raw.client_kill_filter(_type="pubsub")
        await asyncio.sleep(0.1)
    assert [await task for task in tasks] == [number / 100 for number in range(60)]
    await nothing_is_left(queue)


async def test_all_connections_lost_lose_no_result(queue: Queue, start_worker, raw: redis.Redis, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    (task,) = await waiting(job.result(10))
    await eventually(lambda: notes[key])
    raw.client_kill_filter(skipme=True)
    gates[key].set()
    assert await task == key
    assert notes[key] == ["begun", "done"]


async def test_a_wait_survives_a_restart_of_the_server(own_server: Callable[..., Server], key: str) -> None:
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.add, 1, 2)
        task = asyncio.create_task(job.result(20))
        await asyncio.sleep(0.1)
        server.stop(kill=True)
        await asyncio.sleep(1)  # it tries again, and meets nobody
        server.start()
        async with Queue("default", server.url) as other:
            await Worker(other).run(burst=True)
        assert await task == 3
        await nothing_is_left(queue)


async def test_a_wait_without_a_server_is_an_error_and_works_when_it_is_back(
    own_server: Callable[..., Server],
) -> None:
    server = own_server("--appendonly", "yes", "--appendfsync", "always")
    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.add, 1, 2)
        server.stop()
        with pytest.raises(ServerUnreachable):
            await job.result(10)
        server.start()
        with pytest.raises(TimeoutError):
            await job.result(0.3)
        await Worker(queue).run(burst=True)
        assert await job.result(5) == 3
        await nothing_is_left(queue)


async def test_a_queue_may_be_closed_while_someone_waits(server: Server) -> None:
    queue = Queue("default", server.url)
    job = await queue.enqueue(jobs.noop)
    (task,) = await waiting(job.result(0.5))
    await queue.aclose()
    with pytest.raises((TimeoutError, ServerUnreachable, asyncio.CancelledError)):
        await task
    gc.collect()
    await queue.aclose()


async def test_the_results_of_all_runs(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(fail_until, key, 3, retry=2)
    assert (await job.results(), await job.latest_result(), await job.return_value()) == ([], None, None)
    await burst()
    results = await job.results()
    assert [each.type for each in results] == ["finished", "failed", "failed"]
    assert [each.return_value for each in results] == [3, None, None]
    assert [each.exc_info is None for each in results] == [True, False, False]
    assert "run 2 failed" in results[1].exc_info
    assert [each.fence for each in results] == [3, 2, 1]
    assert len({each.worker_name for each in results}) == 1
    assert all(each.started_at <= each.ended_at for each in results)
    assert await job.latest_result() == results[0]


async def test_a_job_that_was_never_enqueued_cannot_be_waited_for() -> None:
    with pytest.raises(Exception, match="never enqueued"):
        await Job.create(jobs.noop).result(1)


async def test_the_last_error_is_what_a_wait_brings(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(note_and_fail, key, "last", retry=2)
    await burst()
    with pytest.raises(JobFailed, match="failed on purpose: last"):
        await job.result(5)


def in_three_loops(server: Server, *, closes: bool) -> list[int]:
    queue = Queue("default", server.url)

    async def once(number: int) -> int:
        job = await queue.enqueue(jobs.add, number, 1)
        task = asyncio.create_task(job.result(timeout=10))

        with server.client() as client:
            await eventually(lambda: client.hexists(queue.store.keys.job + job.id.encode(), "after"))

        async with asyncio.timeout(5):
            await Worker("default", server.url).run(burst=True)
            value = await task

        if closes:
            await queue.aclose()

        return value

    return [asyncio.run(once(number)) for number in range(3)]


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of what is not closed
def test_a_queue_waits_in_one_event_loop_after_another(server: Server, closes: bool) -> None:
    """As a script does that calls asyncio.run twice, or tests that each have a loop of their own."""
    assert in_three_loops(server, closes=closes) == [1, 2, 3]
    gc.collect()


async def test_a_queue_that_was_closed_opens_again_when_it_is_used(queue: Queue, start_worker) -> None:
    await start_worker()

    for number in range(3):
        job = await queue.enqueue(jobs.add, number, 1)
        assert await job.result(5) == number + 1
        await queue.aclose()
