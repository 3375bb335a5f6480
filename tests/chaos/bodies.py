"""Jobs of a trial. Each run notes its begin and its end in a file, outside of the queue's server."""

from __future__ import annotations

import asyncio
import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from aioq import AioqError, Job, ServerError, current_job, get_current_job

from .history import NO_FENCE, TAKEN, Event, Kind, append

#: Names the folder in which every process of a trial notes what happens.
FOLDER = "CHAOS_FOLDER"

#: Names the URL to which webhooks of the load are sent.
RECEIVER = "CHAOS_RECEIVER"


def note(kind: Kind, name: str = "", job: str = "", **details: object) -> None:
    """Adds an event to this process's file."""
    append(events_of(Path(os.environ[FOLDER]), os.getpid()), Event(
        time.monotonic(), kind, name, job, pid=os.getpid(), **details  # type: ignore[arg-type]
    ))  # fmt: skip


def events_of(folder: Path, pid: int) -> Path:
    """The file in which a process notes what happens."""
    return folder / f"{pid}.events"


@contextmanager
def noted() -> Iterator[int]:
    """Notes a run from its begin to its end; gives its fence."""
    job = get_current_job()
    assert job is not None
    fence = job.fence
    note("begin", job.func_name, job.id, fence=fence)

    try:
        yield fence
    except BaseException as error:
        note("end", "raised" if isinstance(error, Exception) else "cancelled", job.id, fence=fence)
        raise

    note("end", "returned", job.id, fence=fence)


# What they return tells the fence of their run, so it tells whose result it is: `fence_of` reads it.


def result_of(fence: int, size: int) -> bytes:
    """A result of at least so many bytes."""
    head = b"%d " % fence

    return head + b"." * max(0, size - len(head) - 1) + b"!"


def fence_of(value: object) -> int:
    """The fence of the run that returned this; NO_FENCE, if no body has returned it like that."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value

    if not isinstance(value, bytes):
        return NO_FENCE

    head = value.partition(b" ")[0]
    fence = int(head) if head.isdigit() else NO_FENCE

    return fence if value == result_of(fence, len(value)) else NO_FENCE


async def work(seconds: float, pad: bytes = b"") -> int:
    with noted() as fence:
        await asyncio.sleep(seconds)

        return fence


async def adopt(seconds: float) -> int:
    """Adds a child to its job, another one in each run."""
    with noted() as fence:
        job = current_job()
        child = f"{job.id}-c{fence}"
        note("invoke", "enqueue", child, queue=job.origin, child_of=job.id)
        outcome: Kind = "ok"

        try:
            await job.add_child(work, seconds, job_id=child)
        except ServerError:
            outcome = "info"  # nobody knows
        except AioqError:
            outcome = "fail"  # the run does not count any more

        note(outcome, "enqueue", child)
        await asyncio.sleep(seconds)

        return fence


async def take(seconds: float, taken_from: str, value: object) -> int:
    """Takes the result of another job."""
    with noted() as fence:
        note("commit", TAKEN, taken_from, fence=fence_of(value))
        await asyncio.sleep(seconds)

        return fence


def work_sync(seconds: float) -> int:
    with noted() as fence:
        until = time.monotonic() + seconds

        while time.monotonic() < until:  # in short steps: a thread can be ended between two of them
            time.sleep(min(0.05, max(0.0, until - time.monotonic())))

        return fence


async def block(seconds: float) -> int:
    """Blocks the event loop, as a job must not."""
    with noted() as fence:
        time.sleep(seconds)

        return fence


async def fail(seconds: float, times: int) -> int:
    """Raises in its first attempts."""
    with noted() as fence:
        job = get_current_job()
        assert job is not None
        await asyncio.sleep(seconds)

        if job.attempt <= times:
            raise RuntimeError(f"attempt {job.attempt} of {times} that fail")

        return fence


async def tell(seconds: float) -> int:
    """Writes meta while it runs."""
    with noted() as fence:
        job = get_current_job()
        assert job is not None
        job.meta["fence"] = fence
        await job.save_meta()
        await asyncio.sleep(seconds)

        return fence


async def give(seconds: float, size: int) -> bytes:
    """Returns many bytes."""
    with noted() as fence:
        await asyncio.sleep(seconds)

        return result_of(fence, size)


async def tell_end(job: Job[Any], _: object) -> None:
    """A callback: notes which one was called, for which job."""
    note("call", current_job().callback or "", job.id, fence=job.fence)


def stick(seconds: float, in_a_lock: bool) -> int:
    """Blocks its thread in C, where no exception reaches it."""
    with noted() as fence:
        if in_a_lock:
            lock = threading.Lock()
            lock.acquire()
            lock.acquire(timeout=seconds)
        else:
            time.sleep(seconds)

        return fence


async def kill(seconds: float, by_a_signal: bool) -> NoReturn:
    """Ends the process of its worker."""
    job = get_current_job()
    assert job is not None
    note("begin", job.func_name, job.id, fence=job.fence)
    await asyncio.sleep(seconds)
    note("end", "killed", job.id, fence=job.fence)

    if by_a_signal:
        ctypes.string_at(0)  # SIGSEGV

    os._exit(42)
