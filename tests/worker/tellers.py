"""Callbacks that note what they are called with, under the word in the job's meta."""

from __future__ import annotations

import threading
from typing import Any

from aioq import Connection, Retry, current_job, sync
from tests.worker.notes import notes


def told(job: Any, what: Any, *more: Any) -> None:
    notes[job.meta["key"]].append((job.id, job.status, what, *more))


async def succeeded(job: Any, result: Any, *args: Any, **kwargs: Any) -> None:
    current = current_job()
    assert (current, current.callback) == (job, "on_success")
    told(job, result, *args, *kwargs.items())


def succeeded_on_a_thread(job: Any, result: Any) -> None:
    assert threading.current_thread() is not threading.main_thread()
    assert current_job() == job
    told(job, result)


async def ended(job: Any, error: Any) -> None:
    told(job, current_job().callback, type(error).__name__, error.error_type, error.error_message)


async def succeeded_like_rq(job: Any, connection: Any, result: Any) -> None:
    assert isinstance(connection, Connection)
    told(job, result)


def failed_like_rq(job: Any, connection: Any, type: Any, value: Any, traceback: Any) -> None:  # noqa: A002
    assert isinstance(connection, Connection)
    assert isinstance(value, type)
    told(job, value.error_type, traceback, value.exc_info.splitlines()[-1])


def stopped_like_rq(job: Any, connection: Any) -> None:
    assert isinstance(connection, Connection)
    told(job, "stopped")


async def save(job: Any, _: Any) -> None:
    job.meta["saved"] = job.args
    await job.save_meta()


def save_on_a_thread(job: Any, _: Any) -> None:
    current = sync.current_job()
    assert (current.id, current.callback) == (job.id, "on_success")
    current.meta["saved"] = job.args
    current.save_meta()


async def read(job: Any, _: Any) -> None:
    told(job, await job.result(timeout=5))


async def fail(job: Any, _: Any) -> None:
    told(job, "fails")
    raise LookupError("nobody to tell")


async def fail_once(job: Any, _: Any) -> object:
    told(job, "fails once")
    return object() if len(notes[job.meta["key"]]) > 1 else Retry(1)


async def nothing(job: Any, result: Any) -> None: ...


class Teller:
    def __init__(self, name: str) -> None:
        self.name = name

    async def tell(self, job: Any, result: Any) -> None:
        told(job, result, self.name)


async def takes_nothing() -> None: ...


async def takes_only_a_job(job: Any) -> None: ...


async def takes_a_connection(job: Any, connection: Any) -> None: ...
