"""Callbacks: what is called when something has become of a job, and with what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from aioq import Callback, Queue, Retry, Worker
from aioq.errors import InvalidFunction, InvalidInput
from tests import jobs
from tests.tools import eventually
from tests.worker import tellers
from tests.worker.notes import hold, notes


async def test_a_success_is_told_with_the_result(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(
        jobs.add, 2, 3, meta={"key": key}, on_success=tellers.succeeded, on_failure=tellers.ended
    )
    assert job.callbacks == {
        "on_success": "tests.worker.tellers.succeeded",
        "on_failure": "tests.worker.tellers.ended",
    }
    await burst()
    assert notes[key] == [(job.id, "finished", 5)]


@pytest.mark.parametrize("serializer", ["pickle", "json", "typed"])
async def test_it_has_arguments_of_its_own(queue: Queue, burst, key: str, serializer: str) -> None:
    queue = Queue("default", queue.connection, serializer=serializer)
    callback = Callback(tellers.succeeded, args=("a", 1), kwargs={"b": None}, timeout=10)
    job = await queue.enqueue(jobs.add, 2, 3, meta={"key": key}, on_success=callback)
    await burst()
    assert notes[key] == [(job.id, "finished", 5, "a", 1, ("b", None))]


async def test_a_plain_function_is_called_on_a_thread(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(jobs.add, 2, 3, meta={"key": key}, on_success=tellers.succeeded_on_a_thread)
    await burst(executor="process")
    assert notes[key] == [(job.id, "finished", 5)]


async def test_a_bound_method_and_a_name_are_called(queue: Queue, burst, key: str) -> None:
    meta = {"key": key}
    first = await queue.enqueue(jobs.add, 2, 3, meta=meta, on_success=tellers.Teller("Ann").tell)
    await burst()
    second = await queue.enqueue(jobs.add, 3, 3, meta=meta, on_success="tests.worker.tellers.succeeded")
    await burst()
    assert notes[key] == [(first.id, "finished", 5, "Ann"), (second.id, "finished", 6)]


async def test_a_failure_is_told_with_the_error(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(
        jobs.div_by_zero, 1, meta={"key": key}, on_success=tellers.succeeded, on_failure=tellers.ended
    )
    await burst()
    assert notes[key] == [(job.id, "failed", "on_failure", "JobFailed", "ZeroDivisionError", "division by zero")]


async def test_each_retry_is_told(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(
        jobs.div_by_zero, 1, meta={"key": key}, retry=2, on_retry=tellers.ended, on_failure=tellers.ended
    )
    await burst(concurrency=1)
    kinds = [kind for _, _, kind, *_ in notes[key]]
    assert kinds == ["on_retry", "on_retry", "on_failure"]
    assert notes[key][0] == (job.id, "queued", "on_retry", "JobFailed", "ZeroDivisionError", "division by zero")


async def test_a_cancel_and_the_end_of_a_ttl_are_told(queue: Queue, burst, key: str) -> None:
    told = {"meta": {"key": key}, "on_canceled": tellers.ended, "on_expired": tellers.ended}
    canceled = await queue.enqueue(jobs.noop, **told)
    late = await queue.enqueue(jobs.noop, ttl=0.001, **told)
    await canceled.cancel()
    await asyncio.sleep(0.01)
    await burst()
    assert sorted(notes[key], key=lambda row: row[1]) == [
        (canceled.id, "canceled", "on_canceled", "JobCanceled", None, "it is canceled"),
        (late.id, "expired", "on_expired", "JobExpired", None, "it is expired"),
    ]


async def test_a_stop_is_told(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key, meta={"key": key}, on_stopped=tellers.stopped_like_rq)
    await eventually(lambda: notes[key] == ["begun"])
    await job.stop()
    await eventually(lambda: (job.id, "stopped", "stopped") in notes[key])


async def test_rqs_forms_are_understood(queue: Queue, burst, key: str) -> None:
    told: dict[str, Any] = {
        "meta": {"key": key},
        "on_success": Callback(tellers.succeeded_like_rq),
        "on_failure": Callback(tellers.failed_like_rq, timeout=None),
    }
    good = await queue.enqueue(jobs.add, 1, 1, **told)
    bad = await queue.enqueue(jobs.div_by_zero, 1, **told)
    await burst()
    assert sorted(notes[key], key=lambda row: row[1]) == [
        (bad.id, "failed", "ZeroDivisionError", None, "ZeroDivisionError: division by zero"),
        (good.id, "finished", 2),
    ]


async def test_a_result_that_is_not_kept_is_told(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(jobs.add, 2, 3, result_ttl=0, meta={"key": key}, on_success=tellers.succeeded)
    await burst()
    assert notes[key] == [(job.id, "finished", 5)]


async def test_it_is_called_although_its_job_is_deleted(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(jobs.noop, meta={"key": key}, on_canceled=tellers.ended)
    await job.cancel()
    await job.delete()
    await burst()
    assert [kind for _, _, kind, *_ in notes[key]] == ["on_canceled"]


@pytest.mark.parametrize("callback", [tellers.save, tellers.save_on_a_thread])
async def test_the_meta_of_its_job_can_be_saved(queue: Queue, burst, key: str, callback: Any) -> None:
    job = await queue.enqueue(jobs.add, 2, 3, meta={"key": key}, on_success=callback)
    await burst()
    await job.refresh()
    assert job.meta == {"key": key, "saved": (2, 3)}


async def test_the_result_of_its_job_can_be_read(queue: Queue, burst, key: str) -> None:
    """It waits for another job, and not for itself."""
    job = await queue.enqueue(jobs.add, 2, 3, meta={"key": key}, on_success=tellers.read)
    await burst()
    assert notes[key] == [(job.id, "finished", 5)]


async def test_that_of_a_large_result_runs_in_the_same_burst(queue: Queue, burst, key: str) -> None:
    """Large results are recorded apart, and ask for no jobs meanwhile."""
    await queue.enqueue(jobs.many_bytes, 2_000_000, meta={"key": key}, on_success=tellers.save)
    await burst()
    assert await queue.callback_ids() == []


async def test_one_that_fails_changes_no_outcome_and_is_found(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(jobs.add, 2, 3, meta={"key": key}, failure_ttl=60, on_success=tellers.fail)
    await burst()
    assert await job.result(0) == 5
    (failed,) = await queue.failed_job_registry.jobs()
    assert failed.id == f"{job.id}.1.on_success"
    assert (failed.error_type, failed.failure_ttl) == ("LookupError", 60)
    assert "nobody to tell" in (failed.exc_info or "")

    await queue.requeue(failed.id)
    await burst()
    assert len(notes[key]) == 2, "it is requeued like any job"
    assert await queue.failed_job_registry.job_ids() == [failed.id]


async def test_it_is_run_again_by_its_own_rule(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(jobs.add, 2, 3, meta={"key": key}, on_success=Callback(tellers.fail, retry=Retry(2)))
    again = await queue.enqueue(jobs.add, 2, 3, meta={"key": key + "2"}, on_success=tellers.fail_once)
    await burst()
    assert notes[key] == [(job.id, "finished", "fails")] * 3
    assert notes[key + "2"] == [(again.id, "finished", "fails once")] * 2


async def test_one_that_waits_or_has_finished_is_in_no_list(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(jobs.noop, meta={"key": key}, on_canceled=tellers.ended)
    await job.cancel()
    assert await queue.count() == 0
    assert await queue.job_ids() == []
    assert await queue.callback_ids() == [f"{job.id}.0.on_canceled"]
    assert job.callback_ids == {"on_canceled": f"{job.id}.0.on_canceled"}
    callback = await queue.fetch_job(job.callback_ids["on_canceled"])
    assert callback is not None
    assert callback.is_queued
    assert callback.followed_id == job.id
    await burst()
    await callback.refresh()
    assert callback.is_finished
    assert callback.ended_at is not None
    assert await queue.finished_job_registry.job_ids() == []
    assert await queue.callback_ids() == []


async def test_a_queue_is_deleted_with_its_callbacks(queue: Queue, raw: redis.Redis) -> None:
    for _ in range(3):
        await (await queue.enqueue(jobs.noop, on_canceled=tellers.ended)).cancel()
    assert len(await queue.callback_ids(1)) == 2
    assert await queue.delete() == 3
    assert not [key for key in raw.keys() if key.split(":")[2] not in ("gone", "done", "wake")]


async def test_each_end_of_a_requeued_job_has_its_callback(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(jobs.div_by_zero, 1, meta={"key": key}, on_failure=tellers.ended)
    await burst()
    await job.requeue()
    await burst()
    assert len(notes[key]) == 2


async def test_a_requeued_job_that_is_canceled_again_has_one_callback_more(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(jobs.noop, meta={"key": key}, on_canceled=tellers.ended)
    for _ in range(2):
        await job.cancel()
        await burst()
        await job.requeue()
    assert len(notes[key]) == 2


@pytest.mark.parametrize(
    ("option", "callback", "text"),
    [
        ("on_success", lambda job, result: None, r"on_success: .* is a lambda; a worker cannot import it"),
        (
            "on_failure",
            tellers.takes_nothing,
            r"on_failure: tests.worker.tellers.takes_nothing\(\).* does not take",
        ),
        ("on_retry", tellers.takes_only_a_job, r"does not take \(job, error\)$"),
        (
            "on_success",
            tellers.takes_a_connection,
            r"does not take \(job, result\), nor \(job, connection, result\)",
        ),
        (
            "on_success",
            Callback(tellers.ended, (1,)),
            r"\(job, connection, result\) as RQ has it and its own 1 by",
        ),
        ("on_expired", Callback(tellers.ended, kwargs={"x": 1}), r"does not take \(job, error\) and its own x"),
        ("on_stopped", 3, "on_stopped=3: expected a function, its dotted name, or a Callback"),
        ("on_success", "nowhere", "on_success: 'nowhere' is not a dotted name"),
    ],
)
async def test_one_that_no_worker_could_call_is_refused(
    queue: Queue, option: str, callback: Any, text: str
) -> None:
    with pytest.raises((InvalidFunction, InvalidInput), match=text):
        await queue.enqueue(jobs.noop, **{option: callback})
    assert await queue.job_ids() == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"args": 10}, r"Callback\(args=10\): expected a tuple or a list; the timeout goes by its name"),
        ({"kwargs": 1}, r"Callback\(kwargs=1\): expected a dict with texts as keys"),
        ({"timeout": 0}, r"Callback\(timeout\)=0"),
        ({"retry": 0}, r"Retry\(max=0\)"),
    ],
)
def test_a_callback_checks_what_it_is_given(options: Any, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        Callback(tellers.ended, **options)


async def test_with_a_secret_only_a_signed_callback_is_called(server, key: str) -> None:
    told: dict[str, Any] = {"meta": {"key": key}, "on_success": Callback(tellers.succeeded, ("x",))}

    async with Queue("default", server.url, secret="s" * 16) as queue:
        good = await queue.enqueue(jobs.add, 2, 3, **told)
        bad = await queue.enqueue(jobs.add, 2, 3, **told)

        with redis.Redis.from_url(server.url) as client:
            record = "aioq:{default}:job:"
            client.hset(record + bad.id, "on_success", client.hget(record + good.id, "on_success"))

        await Worker(queue).run(burst=True)
        assert notes[key] == [(good.id, "finished", 5, "x")]
        (failed,) = await queue.failed_job_registry.jobs()
        assert failed.id == f"{bad.id}.1.on_success"
        assert failed.error_type == "aioq.errors.BadSignature"
