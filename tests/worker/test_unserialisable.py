"""A run whose result cannot be kept has done its work: it fails with the reason, and is not repeated."""

from __future__ import annotations

import pickle
import re
import threading
from typing import Any

import pytest

from aioq import Connection, InvalidInput, Job, Queue, Retry
from aioq.errors import SerializationError
from aioq.types import Registry
from tests import jobs
from tests.client.work import note, notes
from tests.conftest import Server


async def returns_a_job(key: str, url: str) -> Job[Any]:
    notes[key].append("run")

    async with Queue("children", url) as queue:
        return await queue.enqueue(jobs.noop)


async def returns_a_list_of_jobs(key: str, url: str) -> list[Job[Any]]:
    return [await returns_a_job(key, url)]


async def returns_a_queue(key: str, url: str) -> Queue:
    notes[key].append("run")

    async with Queue("children", url) as queue:
        await queue.enqueue(jobs.noop)
        return queue


async def returns_a_registry(key: str, url: str) -> Registry:
    return (await returns_a_queue(key, url)).failed_job_registry


def returns_a_lock(key: str, _url: str) -> object:
    notes[key].append("run")
    return threading.Lock()


class Hostile:
    def __reduce__(self) -> Any:
        raise ValueError("my own reduce")


def returns_what_raises(key: str, _url: str) -> Hostile:
    notes[key].append("run")
    return Hostile()


def returns_a_lock_from_a_process(_key: str, _url: str) -> object:
    return threading.Lock()


def raises_that_error(key: str, _url: str) -> None:
    notes[key].append("run")
    raise SerializationError("of my own")


RETURNS = {
    returns_a_job: r"TypeError: <Job \w+ tests.jobs.noop queued> is a handle .* return job.id",
    returns_a_list_of_jobs: r"TypeError: <Job \w+ tests.jobs.noop queued> is a handle",
    returns_a_queue: r"TypeError: <Queue children> is a handle",
    returns_a_registry: r"TypeError: <Registry failed of children> is a handle",
    returns_a_lock: r"cannot pickle '_thread.lock' object",
    returns_what_raises: r"ValueError: my own reduce",
}


@pytest.mark.parametrize("function", RETURNS, ids=lambda each: each.__name__)
async def test_the_error_names_the_result_and_the_work_is_done_once(
    queue: Queue, server: Server, burst, key: str, function: Any
) -> None:
    job = await queue.enqueue(function, key, server.url, retry=Retry(3, interval=0))
    await burst()
    await job.refresh()
    assert job.exc_info is not None

    assert (job.status, job.attempt, notes[key]) == ("failed", 1, ["run"])
    line = job.exc_info.strip().splitlines()[-1]
    assert line.startswith(f"aioq.errors.SerializationError: the result of {__name__}.{function.__name__}")
    assert re.search(RETURNS[function], line)


async def test_a_result_that_is_too_large_is_not_made_again(
    queue: Queue, burst, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioq.worker.call.MAX_RESULT_BYTES", 100)
    job = await queue.enqueue(note, key, "x" * 200, retry=3)
    await burst()

    assert await job.get_status() == "failed"
    assert len(notes[key]) == 1


async def test_the_same_in_a_process_of_its_own(queue: Queue, server: Server, burst, key: str) -> None:
    job = await queue.enqueue(returns_a_lock_from_a_process, key, server.url, executor="process", retry=2)
    await burst()
    await job.refresh()

    assert (job.status, job.attempt) == ("failed", 1)
    assert "cannot pickle '_thread.lock' object" in (job.exc_info or "")


async def test_a_function_that_raises_such_an_error_is_run_again(
    queue: Queue, server: Server, burst, key: str
) -> None:
    await queue.enqueue(raises_that_error, key, server.url, retry=Retry(2, interval=0))
    await burst()

    assert notes[key] == ["run"] * 3


@pytest.mark.parametrize("serializer", ["pickle", "json"])
async def test_a_handle_as_an_argument_is_refused_by_name(server: Server, serializer: str) -> None:
    async with Queue("default", server.url, serializer=serializer) as queue:
        job = await queue.enqueue(jobs.noop)

        for value, name in (
            (job, "Job"),
            ([job], "Job"),
            (queue, "Queue"),
            (queue.failed_job_registry, "Registry"),
            (queue.connection, "Connection"),
        ):
            for given in ({"args": (value,)}, {"kwargs": {"x": value}}):
                with pytest.raises(InvalidInput, match=rf"an argument of .*\b{name}\b"):
                    await queue.enqueue("any.function", **given)

        with pytest.raises(InvalidInput, match=r"meta value 'm' .*\bJob\b"):
            await queue.enqueue(jobs.noop, meta={"m": job})

        assert await queue.count() == 1


def test_a_connection_is_no_value() -> None:
    with pytest.raises(TypeError, match="a Connection is not pickled"):
        pickle.dumps(Connection("redis://localhost"))
