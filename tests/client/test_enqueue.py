"""Every way to enqueue a call, and everything that is refused."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import redis

from aioq import Connection, InvalidInput, Job, JobFailed, JobStatus, NoSuchJobError, Queue, Retry, task
from aioq.errors import (
    DuplicateJobError,
    InvalidFunction,
    InvalidJobOperation,
    PayloadTooLarge,
    SerializationError,
)
from aioq.types import Task
from tests import jobs
from tests.client import kinds
from tests.client.work import hold, note, note_and_fail, notes
from tests.conftest import Server
from tests.tools import eventually

NAME = "tests.client.kinds"


# The forms


async def test_rqs_form_takes_the_options_out_of_the_keywords(queue: Queue, burst) -> None:
    job = await queue.enqueue(
        kinds.coroutine, 1, y=2, job_timeout="3m", result_ttl=60, ttl=43, failure_ttl="1h", description="mine",
        job_id="my-id", at_front=False, meta={"a": 1}, retry=Retry(2, interval=[1, 2]),
    )  # fmt: skip
    for each in (job, await queue.fetch_job("my-id")):
        assert (each.id, each.args, each.kwargs) == ("my-id", (1,), {"y": 2})
        assert (each.func_name, each.func) == (f"{NAME}.coroutine", kinds.coroutine)
        assert (each.timeout, each.result_ttl, each.ttl, each.failure_ttl) == (180, 60, 43, 3600)
        assert (each.description, each.meta, each.retries_left) == ("mine", {"a": 1}, 2)
        assert (each.status, each.is_queued, each.origin) == (JobStatus.QUEUED, True, "default")
        assert each.created_at == each.enqueued_at
        assert (each.started_at, each.ended_at, each.worker_name, each.exc_info) == (None, None, None, None)
        assert (each.attempt, each.deliveries) == (0, 0)
    await burst()
    assert await job.result(5) == 3


async def test_without_options_the_defaults_hold(queue: Queue) -> None:
    job = await queue.enqueue(kinds.coroutine, 1, y=2)
    assert (job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == (180, 500, None, 365 * 86_400)
    assert (job.meta, job.retries_left) == ({}, 0)
    assert job.description == f"{NAME}.coroutine(1, y=2)"
    assert job.created_at.tzinfo is UTC
    assert abs(job.created_at - datetime.now(UTC)) < timedelta(seconds=10)


async def test_args_and_kwargs_are_given_apart(queue: Queue, burst) -> None:
    both = await queue.enqueue(kinds.coroutine, args=[1], kwargs={"y": 2}, ttl=43)
    assert (both.args, both.kwargs, both.ttl) == ((1,), {"y": 2}, 43)
    named = {"ttl": 1, "meta": 2, "args": 3, "kwargs": 4, "func": 5}
    clash = await queue.enqueue(kinds.options_as_arguments, kwargs=named, ttl=60)
    empty = await queue.enqueue(jobs.noop, args=None, kwargs=None)
    await burst()
    assert await both.result(5) == 3
    assert await clash.result(5) == [1, 2, 3, 4, 5]
    assert await empty.result(5) is None


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1,), {"args": (2,)}), ((1,), {"kwargs": {"y": 2}}), ((), {"args": (1,), "y": 2}),
        ((), {"kwargs": {"x": 1}, "y": 2}), ((), {"args": "ab"}), ((), {"args": 5}), ((), {"kwargs": [("x", 1)]}),
        ((), {"kwargs": {1: 2}}), ((), {"kwargs": 5}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", [kinds.coroutine, f"{NAME}.coroutine"])
async def test_args_and_kwargs_that_cannot_be_used_are_refused(
    queue: Queue, raw: redis.Redis, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises((InvalidInput, TypeError), match=r"args|keyword"):
        await queue.enqueue(function, *args, **kwargs)
    assert raw.keys() == []


async def test_the_typed_form_gives_all_arguments_to_the_function(queue: Queue, burst) -> None:
    typed = queue.using(ttl=43, retry=Retry(3), job_timeout=9)
    job = await typed.enqueue(kinds.options_as_arguments, 1, meta=2, args=3, kwargs=4, func=5)
    assert (job.ttl, job.retries_left, job.timeout) == (43, 3, 9)
    later = await typed.enqueue_in(0.01, kinds.plain, 1, y=2)
    at = await typed.enqueue_at(datetime.now(UTC), kinds.plain, 3, y=4)
    assert (later.ttl, at.ttl, later.is_scheduled, at.is_scheduled) == (43, 43, True, True)
    await burst()
    assert await job.result(5) == [1, 2, 3, 4, 5]


async def test_enqueue_call_keeps_options_and_arguments_apart(queue: Queue, burst) -> None:
    job = await queue.enqueue_call(kinds.coroutine, args=(1,), kwargs={"y": 2}, timeout=9, ttl=43, job_id="mine")
    assert (job.id, job.timeout, job.ttl, job.args, job.kwargs) == ("mine", 9, 43, (1,), {"y": 2})
    other = await queue.enqueue_call(func=f"{NAME}.coroutine", args=[5], job_timeout=8)
    assert other.timeout == 8
    assert (await queue.enqueue_call(jobs.noop)).args == ()
    await burst()
    assert (await job.result(5), await other.result(5)) == (3, 5)


# Many at once


async def test_many_are_enqueued_in_their_order_with_their_own_options(queue: Queue, burst, key: str) -> None:
    made = await queue.enqueue_many(
        [
            Queue.prepare_data(note, (key, 0), ttl=43),
            Queue.prepare_data(note, (key,), {"value": 1}, job_timeout=9, meta={"a": 1}),
            Queue.prepare_data(f"{note.__module__}.note", [key, 2], job_id="mine", retry=2),
            Queue.prepare_data(kinds.bare_task, (3,)),
        ]
    )
    assert [job.ttl for job in made] == [43, None, None, None]
    assert (made[1].timeout, made[1].meta, made[2].id, made[2].retries_left) == (9, {"a": 1}, "mine", 2)
    assert await queue.job_ids() == [job.id for job in made]
    await burst(concurrency=1)
    assert notes[key] == [0, 1, 2]
    assert [await job.result(5) for job in made] == [0, 1, 2, 3]


async def test_some_of_many_may_go_to_the_front(queue: Queue) -> None:
    made = await queue.enqueue_many(
        [Queue.prepare_data(jobs.noop, at_front=number % 2 == 1) for number in range(4)]
    )
    assert await queue.job_ids() == [made[number].id for number in (1, 3, 0, 2)]


async def test_thousands_keep_their_order(queue: Queue) -> None:
    made = await queue.enqueue_many(Queue.prepare_data(jobs.add, (number, 0)) for number in range(2500))
    assert [job.args[0] for job in made] == list(range(2500))
    assert await queue.job_ids(limit=5000) == [job.id for job in made]
    assert await queue.count() == 2500


async def test_none_of_many_is_nothing(queue: Queue, raw: redis.Redis) -> None:
    assert await queue.enqueue_many([]) == []
    assert raw.keys() == []


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Queue.prepare_data(kinds.coroutine, ()),
        lambda: Queue.prepare_data(kinds.outer(), ()),
        lambda: Queue.prepare_data(jobs.add, (1, threading.Lock())),
        lambda: Queue.prepare_data(jobs.noop, ttl=0),
        lambda: Queue.prepare_data(jobs.noop, job_id="a b"),
        lambda: Queue.prepare_data(jobs.noop, surprise=1),
        lambda: Queue.prepare_data(jobs.add, (1, "x" * 1_100_000)),
        lambda: Queue.prepare_data(jobs.noop, "ab"),
        lambda: (jobs.noop, (), {}),
    ],
)
async def test_if_one_of_many_is_refused_nothing_is_written(
    queue: Queue, raw: redis.Redis, bad: Callable[[], Any]
) -> None:
    with pytest.raises((InvalidInput, TypeError)):
        await queue.enqueue_many([*(Queue.prepare_data(jobs.noop) for _ in range(600)), bad()])
    assert raw.keys() == []


async def test_twins_in_one_call_are_refused(queue: Queue, raw: redis.Redis) -> None:
    calls = [Queue.prepare_data(jobs.noop, job_id=name) for name in ("a", "b", "a")]
    with pytest.raises(InvalidInput, match="job_id a stands in this call more than once"):
        await queue.enqueue_many(calls)
    assert raw.keys() == []


async def test_of_many_only_those_with_live_ids_are_refused(queue: Queue) -> None:
    await queue.enqueue(jobs.noop, job_id="live")
    calls = [Queue.prepare_data(jobs.noop, job_id=name) for name in ("a", "live", "b")]
    with pytest.raises(DuplicateJobError, match="live"):
        await queue.enqueue_many(calls)
    assert await queue.job_ids() == ["live", "a", "b"]


# Later


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=5, minutes=30)), None])
async def test_a_moment_in_any_zone_is_kept(queue: Queue, zone: timezone | None) -> None:
    moment = (datetime.now(zone) + timedelta(hours=1)).replace(microsecond=123_000)
    job = await queue.enqueue_at(moment, kinds.coroutine, 1, y=2, ttl=43, at_front=True)
    for each in (job, await queue.fetch_job(job.id)):
        assert each.scheduled_at == moment.astimezone(UTC)
        assert (each.status, each.enqueued_at, each.expires_at, each.ttl) == ("scheduled", None, None, 43)
        assert (each.args, each.kwargs) == ((1,), {"y": 2})
    assert await queue.count() == 0
    assert await queue.scheduled_job_registry.job_ids() == [job.id]


@pytest.mark.parametrize(
    "moment",
    [
        datetime.now(UTC) - timedelta(days=1),
        datetime.min,  # noqa: DTZ901 - naive ones are allowed
        datetime.min.replace(tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
    ],
)
async def test_a_moment_in_the_past_is_now(queue: Queue, burst, moment: datetime) -> None:
    job = await queue.enqueue_at(moment, jobs.add, 1, 2)
    await burst()
    assert await job.result(5) == 3


async def test_a_moment_far_away_is_kept(queue: Queue) -> None:
    moment = datetime(9999, 12, 31, tzinfo=UTC)
    job = await queue.enqueue_at(moment, jobs.noop)
    await job.refresh()
    assert job.scheduled_at == moment
    await queue.enqueue_at(datetime.max, jobs.noop)  # noqa: DTZ901 - naive ones are allowed
    assert await queue.scheduled_job_registry.count() == 2
    assert [each.scheduled_at.year for each in await queue.scheduled_job_registry.jobs()] == [9999, 9999]


@pytest.mark.parametrize("delay", [60, 60.0, "1m", timedelta(minutes=1)])
async def test_a_delay_counts_from_now(queue: Queue, delay: Any) -> None:
    job = await queue.enqueue_in(delay, jobs.add, 1, y=2)
    assert job.is_scheduled
    assert job.scheduled_at - job.created_at == timedelta(minutes=1)
    assert (await queue.fetch_job(job.id)).scheduled_at == job.scheduled_at


async def test_a_delay_of_nothing_is_now(queue: Queue, burst) -> None:
    job = await queue.enqueue_in(0, jobs.add, 1, 2)
    await burst()
    assert await job.result(5) == 3


@pytest.mark.parametrize("delay", [-1, True, None, "soon", timedelta(seconds=-1), 1e30, timedelta.max])
async def test_a_delay_that_cannot_be_used_is_refused(queue: Queue, raw: redis.Redis, delay: Any) -> None:
    with pytest.raises((InvalidInput, TypeError), match="delay"):
        await queue.enqueue_in(delay, jobs.noop)
    assert raw.keys() == []


@pytest.mark.parametrize("moment", [None, 5, "2030-01-01", timedelta(1), datetime.now(UTC).date()])
async def test_a_moment_that_is_no_datetime_is_refused(queue: Queue, raw: redis.Redis, moment: Any) -> None:
    with pytest.raises(TypeError, match="moment"):
        await queue.enqueue_at(moment, jobs.noop)
    assert raw.keys() == []


async def test_scheduled_jobs_run_in_the_order_in_which_they_are_due(queue: Queue, burst, key: str) -> None:
    now = datetime.now(UTC)
    for number in (2, 0, 1):
        await queue.enqueue_at(now + timedelta(milliseconds=number - 10), note, key, number)
    await asyncio.sleep(0.01)
    await burst(concurrency=1)
    assert notes[key] == [0, 1, 2]


# Jobs that are made first


async def test_a_job_is_made_and_enqueued_later(queue: Queue, raw: redis.Redis, burst) -> None:
    job = Job.create(kinds.coroutine, (1,), {"y": 2}, ttl=43, meta={"a": 1}, job_id="mine", job_timeout=9, retry=2)
    assert raw.keys() == []
    assert (job.id, job.args, job.kwargs, job.meta, job.timeout) == ("mine", (1,), {"y": 2}, {"a": 1}, 9)
    assert (job.status, job.origin, job.created_at, job.ttl, job.retries_left) == (None, None, None, 43, 2)
    assert not any((job.is_queued, job.is_scheduled, job.is_started, job.is_finished, job.is_failed))
    with pytest.raises(InvalidJobOperation, match="never enqueued"):
        await job.result(1)

    enqueued = await queue.enqueue_job(job)
    assert enqueued is job
    assert (job.is_queued, job.origin) == (True, "default")
    assert await queue.job_ids() == ["mine"]
    await burst()
    assert await job.result(5) == 3


async def test_meta_may_change_before_the_job_is_enqueued(queue: Queue) -> None:
    job = Job.create(jobs.noop, meta={"a": 1})
    job.meta["b"] = 2
    await queue.enqueue_job(job)
    assert await job.get_meta() == {"a": 1, "b": 2}


async def test_a_made_job_goes_to_the_front(queue: Queue) -> None:
    first = await queue.enqueue(jobs.noop)
    second = await queue.enqueue_job(Job.create(jobs.noop), at_front=True)
    third = await queue.enqueue_job(Job.create(jobs.noop, at_front=True))
    assert await queue.job_ids() == [second.id, third.id, first.id]


async def test_a_made_job_is_enqueued_once(queue: Queue) -> None:
    job = await queue.enqueue_job(Job.create(jobs.noop))
    with pytest.raises(InvalidJobOperation, match="enqueued already"):
        await queue.enqueue_job(job)
    fetched = await queue.fetch_job(job.id)
    with pytest.raises(InvalidJobOperation, match="enqueued already"):
        await queue.enqueue_job(fetched)
    assert await queue.count() == 1


async def test_a_made_job_gets_the_defaults_and_the_limit_of_its_queue(server: Server) -> None:
    large = Job.create(jobs.add, (1, "x" * 2_000_000))
    async with Queue("default", server.url, default_ttl=43, default_timeout=9, default_retry=2) as queue:
        job = await queue.enqueue_job(Job.create(jobs.noop))
        assert (job.ttl, job.timeout, job.retries_left) == (43, 9, 2)
        own = await queue.enqueue_job(Job.create(jobs.noop, ttl=5))
        assert (own.ttl, own.timeout) == (5, 9)
        with pytest.raises(PayloadTooLarge):
            await queue.enqueue_job(large)
    async with Queue("default", server.url, max_payload=5_000_000) as queue:
        await queue.enqueue_job(large)
        assert large.is_queued


@pytest.mark.parametrize(
    ("function", "args", "options"),
    [
        (kinds.nameless, (), {}), (5, (), {}), (kinds.coroutine, (), {}), (kinds.coroutine, (1,), {"ttl": 0}),
        (kinds.coroutine, (threading.Lock(),), {}), (jobs.noop, (), {"job_id": "a b"}), (jobs.noop, "ab", {}),
        (jobs.noop, (), {"surprise": 1}), (jobs.noop, (), {"meta": {"a": threading.Lock()}}),
    ],
)  # fmt: skip
async def test_what_cannot_be_run_is_refused_when_it_is_made(
    function: Any, args: Any, options: dict[str, Any]
) -> None:
    with pytest.raises((InvalidInput, TypeError)):
        Job.create(function, args, **options)


async def test_a_job_is_fetched_by_its_id(queue: Queue) -> None:
    job = await queue.enqueue(kinds.coroutine, 1, y=2)
    assert await Job.fetch(job.id, queue) == job
    assert await Job.fetch_many([job.id, "nope", job.id], queue) == [job, None, job]
    assert await queue.fetch_many(["nope", job.id]) == [None, job]
    assert await queue.fetch_many([]) == []
    assert await queue.fetch_job("nope") is None
    with pytest.raises(NoSuchJobError, match="'nope'"):
        await Job.fetch("nope", queue)
    assert len({job, await Job.fetch(job.id, queue)}) == 1
    assert job != "x"


# Order, ids


async def test_the_front_goes_before_the_rest(queue: Queue, burst, key: str) -> None:
    for number in range(3):
        await queue.enqueue(note, key, number)
    for number in range(3, 6):
        await queue.enqueue(note, key, number, at_front=True)
    await burst(concurrency=1)
    assert notes[key] == [3, 4, 5, 0, 1, 2]


async def test_scheduled_at_the_front_goes_to_the_front_when_it_is_due(queue: Queue, burst, key: str) -> None:
    await queue.enqueue(note, key, "first")
    await queue.enqueue_in(0, note, key, "scheduled", at_front=True)
    await burst(concurrency=1)
    assert notes[key] == ["scheduled", "first"]


async def test_ids_are_made_and_differ(queue: Queue) -> None:
    ids = [(await queue.enqueue(jobs.noop)).id for _ in range(100)]
    assert len(set(ids)) == 100
    assert sorted(ids, key=lambda each: each[:10]) == ids


@pytest.mark.parametrize("job_id", ["a", "A-z_0-9", "x" * 200])
async def test_an_own_id_is_kept(queue: Queue, job_id: str) -> None:
    assert (await queue.enqueue(jobs.noop, job_id=job_id)).id == job_id


@pytest.mark.parametrize("job_id", ["", "a:b", "a b", "ä", "a{b}", "a\n", "x" * 201, "a/b", "a.b"])
async def test_a_bad_id_is_refused(queue: Queue, raw: redis.Redis, job_id: str) -> None:
    with pytest.raises(InvalidInput, match="job_id"):
        await queue.enqueue(jobs.noop, job_id=job_id)
    assert raw.keys() == []


@pytest.mark.parametrize("job_id", [5, b"a", True, ["a"]])
async def test_an_id_that_is_no_text_is_refused(queue: Queue, raw: redis.Redis, job_id: Any) -> None:
    with pytest.raises(TypeError, match="job_id"):
        await queue.enqueue(jobs.noop, job_id=job_id)
    assert raw.keys() == []


async def test_the_id_of_a_live_job_is_refused(queue: Queue, start_worker, key: str) -> None:
    queued = await queue.enqueue(kinds.coroutine, 1, job_id="queued")
    await queue.enqueue_in(60, jobs.noop, job_id="scheduled")
    for name in ("queued", "scheduled"):
        with pytest.raises(DuplicateJobError, match=f"job {name} that has not ended"):
            await queue.enqueue(kinds.coroutine, 2, job_id=name)
    assert (await queue.fetch_job("queued")).args == (1,)
    assert await queue.job_ids() == ["queued"]
    await queued.cancel()

    await start_worker()
    await queue.enqueue(hold, key, job_id="started")
    await eventually(lambda: notes[key])
    with pytest.raises(DuplicateJobError, match="started"):
        await queue.enqueue(jobs.noop, job_id="started")
    assert notes[key] == ["begun"]


async def test_of_many_enqueues_of_one_id_at_once_one_wins(queue: Queue) -> None:
    outcomes = await asyncio.gather(
        *(queue.enqueue(kinds.coroutine, number, job_id="mine") for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(each, Job) for each in outcomes) == 1
    assert sum(isinstance(each, DuplicateJobError) for each in outcomes) == 19
    assert await queue.job_ids() == ["mine"]


@pytest.mark.parametrize("state", ["finished", "failed", "canceled"])
async def test_the_id_of_an_ended_job_is_free(queue: Queue, burst, raw: redis.Redis, key: str, state: str) -> None:
    function = note_and_fail if state == "failed" else note
    old = await queue.enqueue(
        function, key, "old", job_id="mine", meta={"old": 1}, retry=1, ttl=60, failure_ttl=-1
    )
    if state == "canceled":
        await old.cancel()
    await burst()
    assert await old.get_status() == state

    new = await queue.enqueue(note, key, "new", job_id="mine")
    assert await new.results() == []
    assert (new.status, new.args, new.meta, new.ttl, new.attempt) == ("queued", (key, "new"), {}, None, 0)
    for registry in (queue.finished_job_registry, queue.failed_job_registry, queue.canceled_job_registry):
        assert await registry.count() == 0
    assert raw.keys("*:attempts:*") == []
    assert raw.pttl("aioq:{default}:job:mine") == -1
    await burst()
    assert await new.result(5) == "new"


# Tasks and defaults


async def test_a_task_is_still_its_function() -> None:
    assert await kinds.bare_task(1) == 1
    assert isinstance(kinds.bare_task, Task)
    assert (kinds.bare_task.__name__, kinds.bare_task.name) == ("bare_task", f"{NAME}.bare_task")


async def test_a_task_gives_its_jobs_its_options(queue: Queue, burst) -> None:
    first = await queue.enqueue(jobs.noop)
    job = await queue.enqueue(kinds.full_task, 1)
    assert (job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == (300, 60, 7, 0)
    assert (job.description, job.meta, job.retries_left) == ("from the task", {"a": 1}, 3)
    assert job.func_name == f"{NAME}.full_task"
    assert await queue.job_ids() == [job.id, first.id]
    await burst()
    assert await job.result(5) == {"x": 1, "timeout": 300, "retries_left": 3}


async def test_what_is_given_goes_before_what_the_task_says(queue: Queue) -> None:
    first = await queue.enqueue(jobs.noop)
    job = await queue.enqueue(
        kinds.full_task, 1, job_timeout=-1, result_ttl=0, ttl=8, failure_ttl=-1, description="", meta={}, retry=1,
        at_front=False,
    )  # fmt: skip
    assert (job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == (-1, 0, 8, -1)
    assert (job.meta, job.retries_left) == ({}, 1)
    assert await queue.job_ids() == [first.id, job.id]


async def test_what_the_task_says_goes_before_what_the_queue_says(server: Server) -> None:
    defaults = {"default_timeout": 9, "default_result_ttl": 8, "default_ttl": 6, "default_failure_ttl": 5}
    async with Queue("default", server.url, **defaults, default_retry=Retry(4)) as queue:
        job = await queue.enqueue(kinds.full_task, 1)
        assert (job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == (300, 60, 7, 0)
        assert job.retries_left == 3
        job = await queue.enqueue(kinds.bare_task, 1)
        assert (job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == (9, 8, 6, 5)
        assert job.retries_left == 4
        job = await queue.enqueue(kinds.coroutine, 1, result_ttl=0, failure_ttl=0, job_timeout=-1)
        assert (job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == (-1, 0, 6, 0)


async def test_a_task_may_belong_to_a_queue(queue: Queue, burst, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = queue.task(kinds.coroutine)
    optioned = queue.task(ttl=43, retry=2)(kinds.plain)
    monkeypatch.setattr(kinds, "coroutine", bare)  # as if they had been decorated there
    monkeypatch.setattr(kinds, "plain", optioned)
    first = await bare.enqueue(1, y=2)
    second = await optioned.enqueue(3, y=4)
    third = await optioned.using(ttl=5).enqueue(5)
    assert (first.ttl, second.ttl, third.ttl, third.retries_left) == (None, 43, 5, 2)
    assert optioned(1) == 1
    await burst()
    assert [await job.result(5) for job in (first, second, third)] == [3, 7, 5]


@pytest.mark.parametrize("options", [{"ttl": 0}, {"job_timeout": "x"}, {"surprise": 1}, {"retry": 0}])
async def test_a_tasks_options_are_checked_when_it_is_made(queue: Queue, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        task(**options)
    with pytest.raises(InvalidInput):
        queue.task(**options)
    with pytest.raises(InvalidInput):
        queue.using(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""}, {"name": "a{b"}, {"name": "a b"}, {"name": 5}, {"name": "x" * 201}, {"serializer": "yaml"},
        {"connection": "localhost:6379"}, {"connection": "http://localhost"}, {"connection": 5},
        {"default_ttl": 0}, {"default_timeout": "x"}, {"default_result_ttl": -5}, {"default_retry": 0},
        {"max_payload": "1MB"}, {"max_payload": -1},
    ],
)  # fmt: skip
async def test_a_queue_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises((InvalidInput, TypeError)):
        Queue(**options)


async def test_an_unknown_option_of_a_queue_is_refused() -> None:
    with pytest.raises(TypeError, match="failure_ttl"):
        Queue("default", failure_ttl=5)  # type: ignore[call-arg]


# Serializers and limits


async def test_a_queue_may_use_json(server: Server, burst, raw: redis.Redis) -> None:
    async with Queue("default", server.url, serializer="json") as queue:
        job = await queue.enqueue(kinds.coroutine, 1, y=2, meta={"a": [1]})
        assert raw.hget(f"aioq:{{default}}:job:{job.id}", "data") == 'j[null,[1],{"y":2}]'
        assert raw.hget(f"aioq:{{default}}:job:{job.id}", "meta.a") == "j[1]"
        none = await queue.enqueue(jobs.noop)
        wrong = await queue.enqueue(kinds.positional_only, 1)
        await burst()
        assert (await job.result(5), await none.result(5)) == (3, None)
        assert raw.hget(f"aioq:{{default}}:job:{job.id}", "result") == "j3"
        assert raw.hget(f"aioq:{{default}}:job:{none.id}", "result") == "jnull"
        assert await wrong.result(5) == [1, [], False, {}]
    async with Queue("default", server.url) as other:  # readers need not know which one it was
        fetched = await other.fetch_job(job.id)
        assert (fetched.args, fetched.kwargs, fetched.meta) == ((1,), {"y": 2}, {"a": [1]})


@pytest.mark.parametrize(
    "value", [{1, 2}, b"x", Decimal(1), float("nan"), "\ud800", object(), (1, 2), {3: 4}, {"a": [(5,)]}]
)
async def test_json_refuses_what_would_not_come_back_as_it_was(
    server: Server, raw: redis.Redis, value: Any
) -> None:
    async with Queue("default", server.url, serializer="json") as queue:
        with pytest.raises(
            SerializationError, match=r"an argument of tests\.client\.kinds\.coroutine .* args\[0\]"
        ):
            await queue.enqueue(kinds.coroutine, value)
        with pytest.raises(SerializationError, match=r"an argument of tests\.client\.kinds\.coroutine .* y\.b"):
            await queue.enqueue(kinds.coroutine, 1, y={"b": value})
        with pytest.raises(SerializationError, match=r"meta value 'm' .* \[0\]"):
            await queue.enqueue(kinds.coroutine, 1, meta={"m": [value]})
    assert raw.keys() == []


async def test_a_result_is_kept_as_json_has_it(server: Server, burst) -> None:
    """The job has done its work, so a tuple is no reason to let it fail."""
    async with Queue("default", server.url, serializer="json") as queue:
        job = await queue.enqueue(kinds.returns_a_tuple)
        await burst()
        assert await job.result(5) == [1, [2]]


@pytest.mark.parametrize(
    "options", [{"args": ("x" * 2000,)}, {"args": (1,), "meta": {"a": "x" * 2000}},
                {"args": (1,), "description": "x" * 2000}]
)  # fmt: skip
async def test_a_payload_over_the_limit_is_refused(server: Server, raw: redis.Redis, options: Any) -> None:
    async with Queue("default", server.url, max_payload=1000) as queue:
        with pytest.raises(PayloadTooLarge, match="the limit is 1000"):
            await queue.enqueue(kinds.coroutine, **options)
        assert raw.keys() == []
        await queue.enqueue(kinds.coroutine, "x" * 500)


async def test_a_megabyte_is_the_limit(queue: Queue, burst, raw: redis.Redis) -> None:
    with pytest.raises(PayloadTooLarge, match="1048576"):
        await queue.enqueue(kinds.coroutine, "x" * 1_048_576)
    assert raw.keys() == []
    job = await queue.enqueue(len, "x" * 1_000_000)
    await burst()
    assert await job.result(5) == 1_000_000


# What can be enqueued

KINDS: dict[str, tuple[Any, tuple[Any, ...], Any]] = {
    "coroutine": (kinds.coroutine, (1, 2), 3),
    "plain": (kinds.plain, (1, 2), 3),
    "generator": (kinds.generator, (3,), [0, 1, 2]),
    "empty generator": (kinds.generator, (0,), []),
    "any arguments": (kinds.positional_only, (1, 2, 3), [1, (2, 3), False, {}]),
    "bound coroutine": (kinds.Account(10).deposit, (5,), 15),
    "bound plain": (kinds.Account(10).withdraw, (5,), 5),
    "bound generator": (kinds.Account(10).items, (2,), [10, 11]),
    "inherited": (kinds.Savings(10).withdraw, (5,), 5),
    "callable instance": (kinds.Account(10), (5,), 50),
    "callable instance that awaits": (kinds.AsyncCallable(), (5,), 5),
    "classmethod": (kinds.Account.named, ("x",), "Account:x"),
    "inherited classmethod": (kinds.Savings.named, ("x",), "Savings:x"),
    "classmethod of an instance": (kinds.Savings(1).named, ("x",), "Savings:x"),
    "staticmethod": (kinds.Account.fixed, (5,), 5),
    "staticmethod of an instance": (kinds.Account(1).fixed, (5,), 5),
    "inner class": (kinds.Account.Inner.deep, (5,), 5),
    "dotted": ("tests.client.kinds.coroutine", (1, 2), 3),
    "dotted plain": ("tests.client.kinds.plain", (1, 2), 3),
    "dotted staticmethod": ("tests.client.kinds.Account.fixed", (5,), 5),
    "dotted classmethod": ("tests.client.kinds.Savings.named", ("x",), "Savings:x"),
    "dotted method of an object": ("tests.client.kinds.account.withdraw", (5,), 95),
    "dotted object": ("tests.client.kinds.account", (5,), 500),
    "dotted object that awaits": ("tests.client.kinds.async_callable", (5,), 5),
    "dotted task": ("tests.client.kinds.bare_task", (5,), 5),
    "dotted partial": ("tests.client.kinds.partial", (5,), 6),
    "dotted class": ("decimal.Decimal", ("1.5",), Decimal("1.5")),
    "task": (kinds.bare_task, (5,), 5),
    "partial": (functools.partial(kinds.plain, 1), (5,), 6),
    "partial of a coroutine function": (functools.partial(kinds.coroutine, 1), (5,), 6),
    "builtin": (len, ("abc",), 3),
    "method of a builtin": ("abc".upper, (), "ABC"),
    "classmethod of a builtin": (dict.fromkeys, ("ab",), {"a": None, "b": None}),
    "from the library": (Decimal.from_float, (0.5,), Decimal("0.5")),
}


@pytest.mark.parametrize("name", KINDS)
async def test_a_callable_of_every_kind_runs(queue: Queue, burst, name: str) -> None:
    func, args, expected = KINDS[name]
    job = await queue.enqueue(func, *args)
    await burst()
    assert await job.result(5) == expected


async def test_a_generator_that_raises_fails(queue: Queue, burst) -> None:
    job = await queue.enqueue(kinds.failing_generator)
    await burst()
    with pytest.raises(JobFailed, match="after the first item"):
        await job.result(5)


async def test_an_instance_is_a_copy_of_its_moment(queue: Queue, burst) -> None:
    account = kinds.Account(10)
    job = await queue.enqueue(account.deposit, 5)
    account.balance = 1000
    await burst()
    assert await job.result(5) == 15


REFUSED: dict[str, Any] = {
    "lambda": kinds.nameless,
    "local": kinds.outer(),
    "method of a local class": type("Local", (), {"run": lambda self: None})().run,
    "class": kinds.Account,
    "exception class": ValueError,
    "none": None,
    "number": 5,
    "module": kinds,
    "list": [kinds.coroutine],
    "coroutine": ...,
    "empty": "",
    "no dots": "coroutine",
    "dots only": "..",
    "empty part": "tests..kinds",
    "ends in a dot": "tests.kinds.",
    "not a name": "tests.client.kinds.coroutine()",
    "a number": "1.2",
    "spaces": "tests.client. kinds",
    "surrogate": "tests.\ud800",
    "bytes": b"tests.client.kinds.coroutine",
    "partial of a lambda": functools.partial(lambda: None),
    "instance that cannot be pickled": kinds.NotSerialisable().method,
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_no_worker_could_run_is_refused(queue: Queue, raw: redis.Redis, name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await queue.enqueue(REFUSED[name])
    assert str(caught.value)
    with pytest.raises(InvalidInput):
        await queue.using(ttl=5).enqueue(REFUSED[name])
    with pytest.raises(InvalidInput):
        await queue.enqueue_in(5, REFUSED[name])
    with pytest.raises(InvalidInput):
        await queue.enqueue_many([Queue.prepare_data(REFUSED[name])])
    assert raw.keys() == []


async def test_a_coroutine_instead_of_its_function_is_refused(queue: Queue, raw: redis.Redis) -> None:
    coroutine = kinds.coroutine(1)
    with pytest.raises(InvalidFunction, match="coroutine"):
        await queue.enqueue(coroutine)  # type: ignore[arg-type]
    coroutine.close()
    assert raw.keys() == []


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, 2, 3), {}),
        ((1,), {"z": 1}),
        ((1,), {"x": 1}),
        ((1,), {"timeot": 5}),
        ((1,), {"job_timout": 5}),
    ],
)
async def test_a_call_that_the_function_does_not_take_is_refused(
    queue: Queue, raw: redis.Redis, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    for func in (kinds.coroutine, kinds.plain, kinds.Account(1).fixed, kinds.bare_task):
        with pytest.raises(InvalidFunction, match="does not take this call"):
            await queue.enqueue(
                func, *args, 9, 9, 9, **kwargs
            ) if func is kinds.bare_task else await queue.enqueue(
                func, *args, **({"q": 1} if func not in (kinds.coroutine, kinds.plain) else {}), **kwargs
            )
    assert raw.keys() == []


async def test_a_missing_keyword_is_refused(queue: Queue, raw: redis.Redis) -> None:
    with pytest.raises(InvalidFunction):
        await queue.enqueue(kinds.keyword_only, 1)
    with pytest.raises(InvalidFunction):
        await queue.enqueue(kinds.keyword_only)
    with pytest.raises(InvalidFunction):
        await queue.enqueue(kinds.Account(1).deposit)
    with pytest.raises(InvalidFunction):
        await queue.enqueue(kinds.Account(1))
    assert raw.keys() == []


class RaisesWhenPickled:
    def __init__(self, error: type[BaseException]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error("no")


def deep() -> list[Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    "make",
    [threading.Lock, lambda: lambda: 1, lambda: (each for each in ""), lambda: RaisesWhenPickled(ValueError),
     lambda: RaisesWhenPickled(KeyError), deep],
)  # fmt: skip
async def test_an_argument_that_cannot_be_serialised_is_refused(
    queue: Queue, raw: redis.Redis, make: Callable[[], Any]
) -> None:
    with pytest.raises(SerializationError, match=r"an argument of tests\.client\.kinds\.coroutine"):
        await queue.enqueue(kinds.coroutine, make())
    with pytest.raises(SerializationError):
        await queue.enqueue(kinds.coroutine, 1, y=make())
    assert raw.keys() == []


@pytest.mark.parametrize(
    "options",
    [
        {"job_timeout": 0}, {"job_timeout": -2}, {"job_timeout": "x"}, {"job_timeout": True},
        {"job_timeout": 1e30}, {"job_timeout": float("nan")}, {"retry": 0}, {"retry": -1}, {"retry": True},
        {"retry": 1.5}, {"retry": "3"}, {"retry": [1]}, {"description": 5}, {"description": b"x"},
    ],
)  # fmt: skip
async def test_an_option_that_cannot_be_used_is_refused(
    queue: Queue, raw: redis.Redis, options: dict[str, Any]
) -> None:
    with pytest.raises((InvalidInput, TypeError), match=r"job_timeout|[Rr]etry|description"):
        await queue.enqueue(jobs.noop, **options)
    with pytest.raises((InvalidInput, TypeError)):
        await queue.enqueue_call(jobs.noop, **options)
    assert raw.keys() == []


@pytest.mark.parametrize(
    "options",
    [{"max": 1, "interval": []}, {"max": 1, "interval": [1, -1]}, {"max": 1, "backoff": 0.5},
     {"max": 1, "jitter": 2}, {"max": 1, "on": [5]}, {"max": 1, "interval": "x"}, {"max": 0}],
)  # fmt: skip
async def test_a_retry_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises((InvalidInput, TypeError)):
        Retry(**options)


async def test_an_unknown_option_of_the_other_forms_is_refused(queue: Queue, raw: redis.Redis) -> None:
    with pytest.raises((InvalidInput, TypeError), match="surprise"):
        await queue.enqueue_call(jobs.noop, surprise=1)
    with pytest.raises((InvalidInput, TypeError), match="surprise"):
        queue.using(surprise=1)
    with pytest.raises((InvalidInput, TypeError), match="surprise"):
        await queue.enqueue(jobs.noop, surprise=1)
    assert raw.keys() == []


async def test_any_text_may_be_the_description(queue: Queue) -> None:
    for text in ("", "ä\n\0", "\ud800", "x" * 10_000):
        job = await queue.enqueue(jobs.noop, description=text)
        assert (await queue.fetch_job(job.id)).record.description == text


# Many at the same time


async def test_concurrent_enqueues_keep_their_order_and_are_all_there(queue: Queue) -> None:
    made = await asyncio.gather(*(queue.enqueue(jobs.add, number, 0) for number in range(1000)))
    assert await queue.job_ids() == [job.id for job in made]


async def test_an_enqueue_that_was_given_up_is_either_there_or_not(queue: Queue) -> None:
    tasks = [asyncio.create_task(queue.enqueue(jobs.add, number, 0)) for number in range(50)]
    await asyncio.sleep(0)
    for task_ in tasks[::2]:
        task_.cancel()
    made = await asyncio.gather(*tasks, return_exceptions=True)
    kept = [job.id for job in made if isinstance(job, Job)]
    assert len(kept) >= 25
    assert set(kept) <= set(await queue.job_ids())
    another = await queue.enqueue(jobs.noop)
    assert another.id in await queue.job_ids()


async def test_queues_may_share_a_connection(connection: Connection, burst) -> None:
    first, second = Queue("default", connection), Queue("other", connection)
    one, two = await first.enqueue(jobs.add, 1, 1), await second.enqueue(jobs.add, 2, 2)
    await first.aclose()
    await burst("default", "other")
    assert await two.result(5) == 4
    assert await one.result(5) == 2


async def test_a_bad_call_among_many_is_named_by_its_place(queue: Queue) -> None:
    good = Queue.prepare_data(jobs.noop)
    calls = [good] * 200
    calls[101] = Queue.prepare_data(jobs.noop, (1, 2, 3))
    with pytest.raises(InvalidFunction, match=r"^calls\[101\]: tests\.jobs\.noop\(\).* does not take this call: "):
        await queue.enqueue_many(calls)
    with pytest.raises(InvalidFunction, match=r"^calls\[101\]: "):
        await queue.using(ttl=5).enqueue_many(calls)
    calls[101] = "call"
    with pytest.raises(TypeError, match=r"^calls\[101\]: expected what prepare_data returns, not str$"):
        await queue.enqueue_many(calls)
    with pytest.raises(TypeError, match=r"^calls: expected a list of what prepare_data returns, not int$"):
        await queue.enqueue_many(5)
    assert await queue.count() == 0
