"""What a failed run leaves behind: its error at a glance, and as the exception that it was."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from aioq import Job, JobFailed, JobStatus, Queue, Retry
from aioq.errors import JobCanceled, JobExpired, JobStopped
from tests import jobs
from tests.client.work import fail_until, note
from tests.conftest import Server
from tests.tools import eventually
from tests.worker.misbehaviour import return_the_unserialisable

SECRET = "correct horse battery"
KEY = "aioq:{default}:job:"


class PaymentError(Exception):
    pass


class CardError(PaymentError):
    def __init__(self, code: int, reasons: list[str]) -> None:
        super().__init__(code, reasons)
        self.code = code

    def __str__(self) -> str:
        return f"{self.code} declined\nFor more information: https://errors.example/{self.code}"


def fail(kind: str) -> None:
    if kind == "card":
        raise CardError(402, ["too poor"])
    if kind == "group":
        raise ExceptionGroup("both failed", [ValueError("a"), KeyError("b")])
    if kind == "bytes":
        raise PaymentError(b"not plain")
    raise PaymentError(kind)


async def fail_awaited(kind: str) -> None:
    await asyncio.sleep(0)
    fail(kind)


async def take_too_long() -> None:
    await asyncio.sleep(60)


def exit_hard() -> None:
    os._exit(7)


NAME = f"{__name__}.CardError"
RUNS: dict[str, tuple[Callable[..., Any], str | None]] = {
    "coroutine": (fail_awaited, None),
    "thread": (fail, None),
    "process": (fail, "process"),
}


async def failed(job: Job[Any]) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        await job.result(20)
    return caught.value


async def end(queue: Queue, burst, func: Any, *args: Any, **options: Any) -> JobFailed:
    job = await queue.using(**options).enqueue(func, *args)
    await burst(**({} if queue.store.signer is None else {"secret": SECRET}))
    return await failed(job)


@pytest.fixture(params=RUNS)
def run(request) -> tuple[Callable[..., Any], dict[str, Any]]:
    func, executor = RUNS[request.param]
    return func, {"executor": executor} if executor else {}


# At a glance


async def test_type_and_first_line_are_told_everywhere(queue: Queue, burst, run) -> None:
    func, options = run
    error = await end(queue, burst, func, "card", retry=1, **options)
    told = (NAME, "402 declined")
    assert (error.error_type, error.error_message) == told
    assert str(error).splitlines()[0] == f"job {error.job_id} failed: {NAME}: 402 declined"
    assert "For more information" in error.exc_info
    assert error.exc_info.startswith("Traceback")
    assert error.__cause__ is None
    job = await queue.fetch_job(error.job_id)
    assert (job.error_type, job.error_message, job.exc_info) == (*told, error.exc_info)
    assert [(each.error_type, each.error_message) for each in await job.results()] == [told, told]

    await job.requeue()
    assert (job.error_type, job.error_message, job.exc_info) == (None, None, None)
    assert [(each.error_type, each.error_message) for each in await job.results()] == [told, told]


async def test_a_group_is_told_by_its_own_class_and_message(queue: Queue, burst, run) -> None:
    func, options = run
    error = await end(queue, burst, func, "group", **options)
    assert (error.error_type, error.error_message) == ("ExceptionGroup", "both failed (2 sub-exceptions)")


async def awaited(queue: Queue, start_worker, raw, run) -> JobFailed:
    """The error of a job of which only those hear who wait for it when it ends."""
    func, options = run
    job = await queue.using(failure_ttl=0, **options).enqueue(func, "card")
    waiting = asyncio.create_task(failed(job))
    await eventually(lambda: raw.hget(KEY + job.id, "after"))
    await start_worker(**({} if queue.store.signer is None else {"secret": SECRET}))
    return await waiting


async def test_whoever_waits_while_the_job_ends_is_told_the_same(queue: Queue, start_worker, raw, run) -> None:
    error = await awaited(queue, start_worker, raw, run)
    assert (error.error_type, error.error_message) == (NAME, "402 declined")


@pytest.mark.parametrize(
    ("function", "options", "error_type", "message"),
    [
        (
            take_too_long,
            {"job_timeout": 0.05},
            "aioq.errors.JobTimeout",
            "the run took longer than its timeout of 0.05",
        ),
        (exit_hard, {"executor": "process"}, "aioq.errors.JobProcessError", "the process of the job has ended"),
        ("tests.jobs.no_such", {}, "aioq.errors.DeserializationError", ""),
        (return_the_unserialisable, {}, "aioq.errors.SerializationError", "the result of tests.worker."),
    ],
)
async def test_what_ends_a_run_otherwise_has_a_type_and_a_message_too(
    queue: Queue, burst, function: Any, options: dict[str, Any], error_type: str, message: str
) -> None:
    error = await end(queue, burst, function, **options)
    assert error.error_type == error_type
    assert error.error_message.startswith(message)
    assert error.error_message


async def test_damaged_arguments_have_a_type_and_a_message(queue: Queue, burst, raw) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    raw.hset(KEY + job.id, "data", b"pdamaged")
    await burst()
    error = await failed(job)
    assert error.error_type == "aioq.errors.DeserializationError"
    assert error.error_message.startswith("the job's arguments cannot be read as pickle")


async def test_lost_workers_have_a_type_and_a_message(queue: Queue, key: str) -> None:
    job = await queue.enqueue(note, key)
    store = queue.store

    for number in range(3):
        await store.duty.join(f"lost-{number}", 10)
        await store.connection.call(store.duty.claim_command(f"lost-{number}", 1))

        async def taken(name: str = f"lost-{number}") -> bool:
            _, back, ended = await store.duty.reclaim(name)
            return bool(back or ended)

        await eventually(taken)

    error = await failed(job)
    assert error.error_type == "aioq.errors.AbandonedJobError"
    assert error.error_message.startswith("the workers that ran this job were lost 3 times, and")
    assert error.exc_info == f"AbandonedJobError: {error.error_message}"
    last, *earlier = await job.results()
    assert (last.error_type, last.error_message) == (error.error_type, error.error_message)
    assert {(each.type, each.error_type) for each in earlier} == {("abandoned", "aioq.errors.AbandonedJobError")}
    assert len(earlier) == 2
    assert earlier[0].error_message == "the worker lost-1 was lost while it ran this job"


async def test_a_job_that_did_not_raise_has_no_type(queue: Queue, burst) -> None:
    job = await queue.enqueue(jobs.add, 1, 2)
    assert (job.error_type, job.error_message) == (None, None)
    await burst()
    await job.result(5)
    (result,) = await job.results()
    assert (job.error_type, job.error_message, result.error_type, result.error_message) == (None,) * 4
    other = await queue.enqueue(jobs.noop)
    await other.cancel()
    with pytest.raises(JobCanceled) as caught:
        await other.result(5)
    assert (caught.value.error_type, caught.value.error_message) == (None, "it is canceled")


async def test_an_attempt_that_succeeds_forgets_the_errors_before_it(queue: Queue, burst, key: str) -> None:
    job = await queue.enqueue(fail_until, key, 2, retry=1)
    await burst()
    await job.refresh()
    assert (job.status, job.error_type, job.error_message) == (JobStatus.FINISHED, None, None)
    last, first = await job.results()
    assert (last.error_type, first.error_type, first.error_message) == (
        None,
        "ValueError",
        "run 1 failed on purpose",
    )


async def test_the_error_of_a_job_that_waits_for_its_next_attempt_is_seen(queue: Queue, burst) -> None:
    job = await queue.enqueue(fail_awaited, "card", retry=Retry(1, interval=60))
    await burst()
    await job.refresh()
    assert (job.status, job.error_type, job.error_message) == (JobStatus.SCHEDULED, NAME, "402 declined")


async def test_a_text_without_type_and_message_is_still_read(queue: Queue, burst, raw) -> None:
    error = await end(queue, burst, fail, "card")
    raw.hset(KEY + error.job_id, "error", error.exc_info)
    again = await failed(await queue.fetch_job(error.job_id))
    assert (again.error_type, again.error_message) == (None, f"{NAME}: 402 declined")
    assert again.exc_info == error.exc_info


# As the exception that it was


@pytest.fixture(params=[None, SECRET], ids=["no secret", "secret"])
async def listing(server: Server, request):
    async with Queue("default", server.url, secret=request.param, exceptions=[CardError, ValueError]) as queue:
        yield queue


async def test_the_cause_is_built_of_a_class_that_is_listed(listing: Queue, burst, run) -> None:
    func, options = run
    error = await end(listing, burst, func, "card", **options)
    cause = error.__cause__
    assert type(cause) is CardError
    assert (cause.code, cause.args) == (402, (402, ["too poor"]))
    again = await failed(await listing.fetch_job(error.job_id))
    assert type(again.__cause__) is CardError


async def test_no_cause_is_built_of_anything_else(listing: Queue, start_worker, run) -> None:
    func, options = run
    await start_worker(**({} if listing.store.signer is None else {"secret": SECRET}))

    for kind in ("other", "bytes", "group"):
        error = await failed(await listing.using(**options).enqueue(func, kind))
        assert error.error_type is not None, kind
        assert error.__cause__ is None, kind


class WordyError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"the code is {code}")


def fail_wordily() -> None:
    raise WordyError(7)


def fail_with_an_object() -> None:
    raise ValueError(object())


async def test_a_note_says_why_no_cause_was_built(queue: Queue, burst) -> None:
    wordy, plain = WordyError.__module__ + ".WordyError", "ValueError"

    async with Queue("default", queue.connection, exceptions=[WordyError, ValueError]) as listing:
        (note,) = (await end(listing, burst, fail_wordily)).__notes__
        assert note == (
            f"No __cause__ was made of {wordy}: its __init__ does not keep the arguments that it is given."
            " Use error_type"
        )
        (note,) = (await end(listing, burst, fail_with_an_object)).__notes__
        assert note == (
            f"No __cause__ was made of {plain}: its arguments are no plain values, or have more than 2 KiB."
            " Use error_type"
        )
        assert not hasattr(await end(listing, burst, fail, "other"), "__notes__"), "it is not listed"

    assert not hasattr(await end(queue, burst, fail_wordily), "__notes__")


# How it ended


async def test_the_first_line_says_how_it_ended(queue: Queue, burst) -> None:
    canceled = await queue.enqueue(fail, "card")
    await canceled.cancel()
    assert str(await failed(canceled)) == f"job {canceled.id} was canceled"

    expired = await queue.enqueue_call(fail, ("card",), ttl=0.01)
    assert str(await failed(expired)) == f"job {expired.id} expired: it waited longer than its ttl"

    paused = await queue.using(retry=Retry(3, interval=60)).enqueue(fail, "card")
    await burst()
    await paused.cancel()
    error = await failed(paused)
    assert type(error) is JobCanceled
    first, second, *_ = str(error).splitlines()
    assert first == f"job {paused.id} was canceled; its last run raised {NAME}: 402 declined"
    assert second == "Traceback (most recent call last):"
    assert (error.error_type, error.error_message) == (NAME, "402 declined")


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (JobFailed, "failed"),
        (JobCanceled, "was canceled"),
        (JobStopped, "was stopped while it ran"),
        (JobExpired, "expired: it waited longer than its ttl"),
    ],
)
def test_the_text_of_an_end(kind: type[JobFailed], how: str) -> None:
    assert str(kind("x", "it is so", None, "it is so")) == f"job x {how}"
    assert str(kind("x", "Traceback …")) == f"job x {how}\nTraceback …"
    first, second = str(kind("x", "Traceback …", "ValueError", "no")).splitlines()
    assert first.startswith(f"job x {how}")
    assert first.endswith(" raised ValueError: no" if kind is not JobFailed else "failed: ValueError: no")
    assert second == "Traceback …"


async def test_the_cause_comes_to_those_who_wait_too(listing: Queue, start_worker, raw, run) -> None:
    error = await awaited(listing, start_worker, raw, run)
    assert type(error.__cause__) is CardError


async def test_nothing_is_built_that_is_not_signed_for_this_job(listing: Queue, queue: Queue, burst, raw) -> None:
    signs = listing.store.signer is not None
    error = await end(listing, burst, fail, "card")
    mine = json.loads(raw.hget(KEY + error.job_id, "error").partition("\n")[0])
    other = await end(listing, burst, fail, "other")
    key = KEY + other.job_id

    async def cause_with(origin: str) -> object:
        raw.hset(key, "error", json.dumps(mine | {"origin": origin}) + "\ntext")
        return (await failed(await listing.fetch_job(other.job_id))).__cause__

    # What is valid for another job; then what says nothing of a signature, and one that is made up.
    assert (await cause_with(mine["origin"]) is None) == signs
    assert (await cause_with("WyJWYWx1ZUVycm9yIixbXV0=") is None) == signs
    assert await cause_with("czAxMjM0NTY3ODlhYmNkZWZbIlZhbHVlRXJyb3IiLFtdXQ==") is None
    assert (await failed(await queue.fetch_job(error.job_id))).__cause__ is None, "it lists nothing"


async def test_without_the_secret_a_signed_cause_is_not_built(server: Server, burst) -> None:
    async with (
        Queue("default", server.url, secret=SECRET) as signs,
        Queue("default", server.url, exceptions=[CardError]) as knows_none,
    ):
        error = await end(signs, burst, fail, "card")
        again = await failed(await knows_none.fetch_job(error.job_id))
        assert (again.error_type, again.__cause__) == (NAME, None)
