"""Results of jobs as arguments of others that depend on them."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import redis

from aioq import Depends, InvalidInput, Job, JobFailed, JobStatus, Queue, ResultOf, Worker
from aioq.errors import JobCanceled, SerializationError
from aioq.store.relay import relay
from aioq.testing import run_inline
from aioq.types import result_of
from aioq.values.dependency import Dependency
from aioq.values.errors import InvalidType
from tests import jobs
from tests.conftest import Server
from tests.store.tools import audit
from tests.tools import assert_sound

Burst = Callable[..., Awaitable[int]]


async def give(value: Any) -> Any:
    return value


async def gather(*args: Any, **kwargs: Any) -> list[Any]:
    return [*args, kwargs]


def gather_sync(*args: Any, **kwargs: Any) -> list[Any]:
    return [*args, kwargs]


async def told(value: Any) -> tuple[str, str | None, str, bool]:
    return type(value).__name__, value.error_type, value.error_message, "ZeroDivisionError" in value.exc_info


def two() -> int:
    return 2


async def times(value: int, factor: int = Depends(two)) -> int:
    return value * factor


async def count(order: list[int], *, by: dict[str, int]) -> int:
    return sum(order) * by["factor"]


async def order(length: int) -> list[int]:
    return [1] * length


async def factor() -> dict[str, int]:
    return {"factor": 3}


@pytest.fixture
async def other(queue: Queue) -> AsyncIterator[Queue]:
    async with Queue("other", queue.connection) as opened:
        yield opened


@pytest.fixture
def once(server: Server) -> Burst:
    async def run() -> int:
        return await Worker(["default"], server.url, concurrency=1).run(burst=True, max_jobs=1)

    return run


def left(raw: redis.Redis, job: Job[Any]) -> int:
    """In how many ms the record goes; -1: not by itself, -2: it is gone."""
    return int(raw.pttl(f"aioq:{{{job.origin}}}:job:{job.id}"))


@pytest.mark.parametrize("function", [gather, gather_sync])
@pytest.mark.parametrize("options", [{}, {"executor": "process"}], ids=["here", "process"])
async def test_a_function_gets_results_in_place_of_arguments(
    queue: Queue, burst: Burst, function: Any, options: Any
) -> None:
    if function is gather and options:
        pytest.skip("it is awaited")

    first = await queue.enqueue(give, [1, 2])
    second = await queue.enqueue(give, "two", result_ttl=0)
    job = await queue.enqueue(
        function,
        ResultOf(first),
        3,
        ResultOf(second.id),
        four=ResultOf(first),
        five=5,
        depends_on=[first, second],
        **options,
    )
    assert job.args == (ResultOf(first), 3, ResultOf(second))
    assert job.kwargs == {"four": ResultOf(first), "five": 5}
    assert f"<result of {first.id}>, 3" in job.description
    await burst()
    assert await job.result() == [[1, 2], 3, "two", {"four": [1, 2], "five": 5}]


@pytest.mark.parametrize("serializer", ["json", "typed"])
@pytest.mark.parametrize("secret", [None, "correct horse battery"])
async def test_it_works_with_every_serializer(
    server: Server, burst: Burst, serializer: str, secret: str | None
) -> None:
    options: Any = {} if secret is None else {"secret": secret}

    async with Queue("default", server.url, serializer=serializer, **options) as queue:
        some = await queue.enqueue(order, 4)
        other = await queue.enqueue(factor)
        job = await queue.enqueue(count, ResultOf(some), by=ResultOf(other), depends_on=[some, other])
        named = await queue.enqueue(
            "tests.client.test_result_of.count", ResultOf(some), by=ResultOf(other), depends_on=[some, other]
        )
        assert job.args == named.args == (ResultOf(some),)
        await burst(**options)
        assert await job.result() == await named.result() == 12


async def test_every_form_of_enqueue_takes_it(queue: Queue, burst: Burst) -> None:
    first = await queue.enqueue(give, 7)
    task = queue.task(gather, depends_on=first)
    made = [
        await queue.enqueue_call(gather, (ResultOf(first),), depends_on=first),
        await queue.using(depends_on=first).enqueue(gather, result_of(first)),
        await queue.enqueue_job(Job.create(gather, (ResultOf(first),), depends_on=first)),
        *await queue.enqueue_many([Queue.prepare_data(gather, (ResultOf(first),), depends_on=first)]),
        await queue.enqueue_in(0.05, gather, ResultOf(first), depends_on=first),
        await task.enqueue(ResultOf(first)),
        await queue.enqueue(gather_sync, ResultOf(first), depends_on=first),
    ]
    doubled = await queue.enqueue(times, ResultOf(first), depends_on=first)
    await asyncio.sleep(0.06)
    await burst()
    assert [await job.result() for job in made] == [[7, {}]] * 7
    assert await doubled.result() == 14


async def test_in_a_graph(queue: Queue, burst: Burst) -> None:
    first, second = Job.create(give, (1,)), Job.create(give, (2,), result_ttl=0)
    last = Job.create(gather, (ResultOf(first), ResultOf(second)), depends_on=[first, second])
    await queue.enqueue_graph([last, second, first])
    await burst()
    assert await last.result() == [1, 2, {}]


async def test_what_is_no_parent_is_refused_and_nothing_is_written(queue: Queue, raw: redis.Redis) -> None:
    first, second = await queue.enqueue(give, 1), await queue.enqueue(give, 2)
    before = sorted(raw.keys())

    for options in ({}, {"depends_on": second}):
        with pytest.raises(
            InvalidInput, match=rf"argument 2 is ResultOf\('{first.id}'\), and the job does not depend"
        ):
            await queue.enqueue(gather, 0, ResultOf(first), **options)

        with pytest.raises(InvalidInput, match=r"argument 'x' is ResultOf"):
            await queue.enqueue_many([Queue.prepare_data(gather, (), {"x": ResultOf(first)}, **options)])

    with pytest.raises(SerializationError, match=r"stands for an argument as a whole"):
        await queue.enqueue(gather, [ResultOf(first)], depends_on=first)

    with pytest.raises(InvalidType, match=r"ResultOf\(3\): expected a job or its id"):
        ResultOf(3)  # type: ignore[arg-type]

    with pytest.raises(InvalidInput):
        pickle.dumps(ResultOf(first))

    assert sorted(raw.keys()) == before


@pytest.mark.parametrize("serializer", ["json", "typed"])
async def test_a_serializer_that_knows_no_such_value_refuses_what_is_no_parent(
    server: Server, serializer: Any
) -> None:
    async with Queue("default", server.url, serializer=serializer) as queue:
        first = await queue.enqueue(order, 4)

        with pytest.raises(InvalidInput, match="the job does not depend on that one"):
            await queue.enqueue(count, ResultOf(first), by={})

        with pytest.raises(SerializationError):
            await queue.enqueue(count, [ResultOf(first)], by={}, depends_on=first)


async def test_a_failure_is_an_error_as_a_value_if_the_job_runs_anyway(queue: Queue, burst: Burst) -> None:
    failing = await queue.enqueue(jobs.div_by_zero, 1, failure_ttl=0)
    canceled, deleted = await queue.enqueue(give, 1, at_front=True), await queue.enqueue(give, 1)
    made = [
        await queue.enqueue(told, ResultOf(job), depends_on=Dependency(job, on_failure="run"))
        for job in (failing, canceled, deleted)
    ]
    apart = await queue.enqueue(
        gather_sync, ResultOf(failing), executor="process", depends_on=Dependency(failing, on_failure="run")
    )
    await canceled.cancel()
    await deleted.delete()
    await burst()
    assert [await job.result() for job in made] == [
        ("JobFailed", "ZeroDivisionError", "division by zero", True),
        ("JobCanceled", None, "it is canceled", False),
        ("JobFailed", None, "it is gone", False),
    ]
    (error, _) = await apart.result()
    assert isinstance(error, JobFailed)
    assert error.error_type == "ZeroDivisionError"


async def test_a_result_that_cannot_be_read_fails_the_job(queue: Queue, burst: Burst, raw: redis.Redis) -> None:
    first, gone, late = [await queue.enqueue(give, number, result_ttl=60) for number in range(3)]
    forgotten = await queue.enqueue(give, 3, result_ttl=0)
    waits = await queue.enqueue(give, 4)
    await burst()
    made = [await queue.enqueue(gather, ResultOf(job), depends_on=job) for job in (first, gone, late, forgotten)]
    raw.hset(f"aioq:{{default}}:job:{first.id}", "result", b"p\x80nonsense")
    await gone.delete()
    raw.hset(f"aioq:{{default}}:job:{late.id}", "result", b"pcno.such.module\nname\n.")
    waiting = await queue.enqueue(gather_sync, ResultOf(first), depends_on=first, executor="process")
    await burst()
    texts = [
        f"argument 1 is the result of job {first.id}: the job's result cannot be read",
        f"argument 1 is the result of job {gone.id}, which is gone and has none",
        f"argument 1 is the result of job {late.id}: the job's result cannot be read",
        f"argument 1 is the result of job {forgotten.id}, which had ended before this one was enqueued",
        f"argument 1 is the result of job {first.id}: the job's result cannot be read",
    ]

    for job, text in zip([*made, waiting], texts, strict=True):
        await job.refresh()
        assert job.is_failed
        assert text in (job.exc_info or "")

    assert await waits.result() == 4


async def test_a_result_that_is_not_signed_is_not_read(server: Server, burst: Burst, raw: redis.Redis) -> None:
    async with Queue("default", server.url, secret="correct horse battery") as queue:
        first = await queue.enqueue(give, 1)
        await burst(secret="correct horse battery")
        made = [
            await queue.enqueue(gather_sync, ResultOf(first), depends_on=first, executor=place)
            for place in ("thread", "process")
        ]
        raw.hset(f"aioq:{{default}}:job:{first.id}", "result", pickle.dumps(2))
        await burst(secret="correct horse battery")

        for job in made:
            await job.refresh()
            assert f"BadSignature: argument 1 is the result of job {first.id}" in (job.exc_info or "")


@pytest.mark.parametrize("ttl", [0, 1, 60])
async def test_a_result_is_kept_until_the_last_job_that_takes_it_has_ended(
    queue: Queue, once: Burst, burst: Burst, raw: redis.Redis, ttl: int
) -> None:
    first = await queue.enqueue(give, 1, result_ttl=ttl)
    soon = await queue.enqueue(gather, ResultOf(first), depends_on=first, at_front=True)
    later = await queue.enqueue_in(3600, gather, ResultOf(first), depends_on=first)
    await once()
    assert left(raw, first) == -1
    await burst()
    assert await soon.result() == [1, {}]
    assert left(raw, first) == -1
    assert await first.dependents() == []
    await assert_sound(queue)
    await later.cancel()
    assert -2 <= left(raw, first) <= 1000 * (ttl or 5)
    await assert_sound(queue)


@pytest.mark.parametrize("how", ["finish", "fail", "cancel", "stop", "delete", "expire"])
async def test_every_end_lets_go_of_the_result(
    queue: Queue, once: Burst, burst: Burst, raw: redis.Redis, how: str, start_worker: Any
) -> None:
    first = await queue.enqueue(give, 0 if how != "stop" else 30, result_ttl=60)
    func = {"fail": jobs.div_by_zero, "stop": jobs.sleep}.get(how, give)
    job = await queue.enqueue(func, ResultOf(first), depends_on=first, ttl=0.05 if how == "expire" else None)

    if how == "stop":
        await start_worker()

        while await job.get_status() != "started":
            await asyncio.sleep(0.01)

        assert left(raw, first) == -1
        await job.stop()
    elif how in ("finish", "fail"):
        await burst()
    else:
        await once()
        assert left(raw, first) == -1

        if how == "cancel":
            await job.cancel()
        elif how == "delete":
            await job.delete()
        else:
            await asyncio.sleep(0.06)
            await burst()

    assert 0 < left(raw, first) <= 60_000
    assert not raw.exists(f"aioq:{{default}}:dependents:{first.id}")
    assert raw.hget(f"aioq:{{default}}:job:{first.id}", "after") is None
    await assert_sound(queue)


async def test_a_sweep_leaves_a_record_that_is_taken(
    server: Server, queue: Queue, burst: Burst, raw: redis.Redis
) -> None:
    first = await queue.enqueue(give, 1, result_ttl=0.05)
    job = await queue.enqueue_in(3600, gather, ResultOf(first), depends_on=first)
    await burst()
    await asyncio.sleep(0.06)
    await queue.store.duty.sweep()
    assert await queue.finished_job_registry.job_ids() == [first.id]
    assert left(raw, first) == -1
    await assert_sound(queue)
    raw.delete(f"aioq:{{default}}:job:{job.id}")  # as if it were evicted: nobody lets go
    raw.zrem("aioq:{default}:scheduled", job.id)
    raw.zadd("aioq:{default}:finished:until", {first.id: 1})
    await queue.store.duty.sweep()
    assert left(raw, first) == -2
    with redis.Redis.from_url(server.url) as client:
        assert audit(client, queue.store) == []


async def test_a_requeued_job_takes_the_result_again(queue: Queue, burst: Burst, raw: redis.Redis) -> None:
    first = await queue.enqueue(give, 0, result_ttl=60)
    job = await queue.enqueue(jobs.div_by_zero, ResultOf(first), depends_on=first, failure_ttl=60)
    await burst()
    assert left(raw, first) > 0
    await job.requeue()
    assert left(raw, first) == -1
    await assert_sound(queue)
    await burst()
    await job.refresh()
    assert "ZeroDivisionError" in (job.exc_info or "")
    assert left(raw, first) > 0
    await first.delete()
    await job.requeue()
    await burst()
    await job.refresh()
    assert "which is gone and has none" in (job.exc_info or "")
    await assert_sound(queue)


async def test_an_id_that_is_used_again_keeps_its_own_claim_on_the_result(
    queue: Queue, once: Burst, burst: Burst, raw: redis.Redis
) -> None:
    first = await queue.enqueue(give, 1, result_ttl=60)
    await queue.enqueue(gather, ResultOf(first), depends_on=first, job_id="again", ttl=0.05)
    await once()
    await asyncio.sleep(0.06)  # it has expired, and nobody has looked
    job = await queue.enqueue(gather, ResultOf(first), depends_on=first, job_id="again")
    assert left(raw, first) == -1
    await assert_sound(queue)
    await burst()
    assert await job.result() == [1, {}]
    assert left(raw, first) > 0


async def test_results_come_from_other_queues(queue: Queue, other: Queue, burst: Burst, raw: redis.Redis) -> None:
    first = await other.enqueue(give, 1, result_ttl=0)
    second = await queue.enqueue(give, 2)
    job = await queue.enqueue(gather, ResultOf(first), ResultOf(second), depends_on=[first, second])
    failing = await other.enqueue(jobs.div_by_zero, 1)
    anyway = await queue.enqueue(told, ResultOf(failing), depends_on=Dependency(failing, on_failure="run"))
    await burst("other")
    assert left(raw, first) == -1
    await burst("default", "other")
    assert await job.result() == [1, 2, {}]
    assert (await anyway.result())[:2] == ("JobFailed", "ZeroDivisionError")

    for each in (queue, other):
        await relay(each.store)
        await assert_sound(each)

    assert left(raw, first) != -1
    assert raw.keys("*:dependents:*") == raw.keys("*:outbox") == []


async def test_a_queue_hears_late_of_a_job_that_has_ended(
    server: Server, queue: Queue, other: Queue, burst: Burst, raw: redis.Redis
) -> None:
    """Calls between queues may come twice, and late: nothing stays held for a job that has ended."""
    first = await other.enqueue(give, 1, result_ttl=60)
    job = await queue.enqueue(gather, ResultOf(first), depends_on=first)
    await burst("other")
    await burst("other", "default")
    await relay(queue.store)
    assert left(raw, first) > 0
    raw.zadd("aioq:{default}:outbox", {f"depend {first.id}@other 0.5 {job.id}": 1})
    await relay(queue.store)
    assert left(raw, first) > 0
    raw.zadd(f"aioq:{{other}}:dependents:{first.id}", {f"{job.id}@default": 9})
    raw.hset(f"aioq:{{other}}:job:{first.id}", "after", "deps")
    raw.persist(f"aioq:{{other}}:job:{first.id}")
    raw.zadd("aioq:{other}:finished:until", {first.id: 1})  # its retention is over: the other queue is asked
    await other.store.duty.sweep()
    assert left(raw, first) == -1
    await relay(other.store)
    assert 0 < left(raw, first) <= 30_000
    assert await other.finished_job_registry.job_ids() == [first.id]
    with redis.Redis.from_url(server.url) as client:
        assert audit(client, other.store) == []


async def test_a_requeued_job_takes_the_result_of_another_queue_again(
    queue: Queue, other: Queue, burst: Burst, raw: redis.Redis
) -> None:
    first = await other.enqueue(give, 0, result_ttl=60)
    job = await queue.enqueue(jobs.div_by_zero, ResultOf(first), depends_on=first, failure_ttl=60)
    await burst("other")
    await burst("other", "default")
    await relay(queue.store)
    assert left(raw, first) > 0
    await job.requeue()
    await relay(queue.store)
    assert left(raw, first) == -1
    await job.cancel()
    await relay(queue.store)
    assert left(raw, first) > 0
    assert await job.get_status() == JobStatus.CANCELED


async def test_a_job_that_is_run_inline_reads_results_where_they_are(
    queue: Queue, burst: Burst, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    monkeypatch.setenv("AIOQ_REDIS_URL", server.url)

    async with Queue("other", queue.connection) as other:
        first, second = await queue.enqueue(give, 1), await other.enqueue(give, 2)
        await burst("default", "other")
        assert await run_inline(gather, ResultOf(first), ResultOf(second), depends_on=[first, second]) == [
            1,
            2,
            {},
        ]


async def test_it_is_told_why_the_job_of_a_canceled_one_has_no_argument(queue: Queue, burst: Burst) -> None:
    first = await queue.enqueue(give, 1)
    job = await queue.enqueue(gather, ResultOf(first), depends_on=Dependency(first, on_failure="cancel"))
    await first.cancel()

    with pytest.raises(JobCanceled):
        await job.result()

    await job.requeue()
    await burst()
    await job.refresh()
    assert f"argument 1 is the result of job {first.id}, which is canceled and has none" in (job.exc_info or "")
