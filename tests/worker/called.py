"""Functions of every kind that a worker calls, for tests of the call itself."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from aioq import Queue, Retry, get_current_job
from aioq.errors import InvalidJobOperation

seen: list[Any] = []


async def double(value: int) -> int:
    return 2 * value


async def items(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def thread_name(_: object = None) -> str:
    return threading.current_thread().name


def process_id(_: object = None) -> int:
    return os.getpid()


def asleep_in_process(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def modules(_: object = None) -> list[str]:
    return sorted(sys.modules)


def fail_in_process(_: object = None) -> None:
    raise ValueError("on purpose")


def asks_again_in_process(_: object = None) -> Retry:
    return Retry(3, interval=1)


def unserialisable_in_process(_: object = None) -> Any:
    return threading.Lock()


def raises_a_retry_in_process(text: str) -> None:
    raise Retry(2) from (ValueError(text) if text else None)


def drops_a_call_in_process(text: str = "") -> None:
    get_current_job().save_meta()
    Queue("default", "redis://127.0.0.1:1").enqueue(double, 1)

    if text:
        raise ValueError(text)


def reads_of_its_job(name: str) -> Any:
    return getattr(get_current_job(), name)


_told: list[str] = []
_may_save = threading.Event()
_threads: list[threading.Thread] = []


def leaves_a_thread_that_saves(_: object = None) -> None:
    job = get_current_job()

    def save() -> None:
        _may_save.wait(10)

        try:
            job.meta["late"] = "too late"
            job.save_meta_sync()
        except InvalidJobOperation as error:
            _told.append(str(error))

    _threads.append(threading.Thread(target=save, daemon=True))
    _threads[0].start()


def what_the_thread_was_told(_: object = None) -> list[str]:
    _may_save.set()
    _threads[0].join(10)

    return _told


def coroutine_of(value: int) -> Any:
    """A plain function that returns something to await."""
    return double(value)


class Callable:
    """An object that is called as a coroutine function, and cannot be hashed."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return self is other

    async def __call__(self, value: int) -> int:
        return 2 * value


doubles = Callable()
doubled = partial(double, 21)
counted = partial(items, 3)


def saves_its_meta(key: str, value: str) -> str:
    job = get_current_job()
    job.meta[key] = value
    job.save_meta_sync()

    return "saved"


async def job_id(_: object = None) -> str:
    await asyncio.sleep(0)
    job = get_current_job()

    return job.id if job else ""


async def note(value: Any) -> None:
    seen.append(value)


async def fail(_: object = None) -> None:
    raise ValueError("on purpose")


async def leave(_: object = None) -> None:
    raise SystemExit(7)


async def asks_again(_: object = None) -> Retry:
    return Retry(3, interval=1)


async def unserialisable(_: object = None) -> Any:
    return threading.Lock()


async def many_bytes(count: int) -> str:
    return count * "x"


async def swallows_the_cancel(_: object = None) -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return "went on"

    return "was never cancelled"
