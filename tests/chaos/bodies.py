"""Jobs of a trial. Each run notes its begin and its end in a file, outside of the queue's server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aioq import get_current_job

from .history import Event, Kind, append

#: Names the folder in which every process of a trial notes what happens.
FOLDER = "CHAOS_FOLDER"


def note(kind: Kind, name: str = "", job: str = "", **details: object) -> None:
    """Adds an event to this process's file."""
    file = Path(os.environ[FOLDER]) / f"{os.getpid()}.events"
    append(file, Event(time.monotonic(), kind, name, job, **details))  # type: ignore[arg-type]


@contextmanager
def noted() -> Iterator[int]:
    """Notes a run from its begin to its end; gives its fence."""
    job = get_current_job()
    assert job is not None
    fence, pid = job.fence, os.getpid()
    note("begin", job.func_name, job.id, fence=fence, pid=pid)

    try:
        yield fence
    except BaseException as error:
        note("end", "raised" if isinstance(error, Exception) else "cancelled", job.id, fence=fence, pid=pid)
        raise

    note("end", "returned", job.id, fence=fence, pid=pid)


# What they return is the fence of their run, so the result tells whose it is.


async def work(seconds: float, pad: bytes = b"") -> int:
    with noted() as fence:
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


async def crash(seconds: float) -> None:
    """Takes its worker down."""
    with noted():
        await asyncio.sleep(seconds)
        os._exit(1)
