"""aioq needs asyncio. Every other place says so: trio, anyio on trio, and code that no event loop runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import pytest
import trio

from aioq import Connection, Job, Queue, Worker
from aioq.doctor import examine, examine_server
from aioq.values.record import JobRecord
from tests import jobs

URL = "redis://127.0.0.1:1/0"  # nobody is ever connected to


def calls() -> dict[str, Callable[[], Awaitable[object]]]:
    queue = Queue("default", URL)
    registry = queue.failed_job_registry
    job: Job[Any] = Job(JobRecord("a", {b"func": b"m.f"}), queue.store)
    job.meta["a"] = 1

    return {
        "enqueue": lambda: queue.enqueue(jobs.add, 1, 1),
        "enqueue durably": lambda: queue.enqueue(jobs.add, 1, 1, durability="fsync"),
        "enqueue_many": lambda: queue.enqueue_many([Queue.prepare_data(jobs.add, (1, 1))]),
        "enqueue_in": lambda: queue.enqueue_in(5, jobs.add, 1, 1),
        "using": lambda: queue.using(ttl=5).enqueue(jobs.add, 1, 1),
        "count": queue.count,
        "empty": queue.empty,
        "delete": queue.delete,
        "pause": queue.pause,
        "resume": queue.resume,
        "job_ids": queue.job_ids,
        "fetch_job": lambda: queue.fetch_job("a"),
        "requeue": lambda: queue.requeue(["a"]),
        "aclose": queue.aclose,
        "all": lambda: Queue.all(URL),
        "registry.count": registry.count,
        "registry.job_ids": registry.job_ids,
        "registry.requeue_all": registry.requeue_all,
        "job.result": job.result,
        "job.result with a timeout": lambda: job.result(timeout=1),
        "job.refresh": job.refresh,
        "job.cancel": job.cancel,
        "job.delete": job.delete,
        "job.save_meta": job.save_meta,
        "Connection.aclose": Connection(URL).aclose,
        "Worker.run": Worker(queue).run,
        "Worker.run by name": lambda: Worker("default", URL).run(burst=True),
        "examine": lambda: examine(queue),
        "examine_server": lambda: examine_server(Connection(URL)),
    }


async def use_all() -> dict[str, BaseException | None]:
    """What every call raises."""
    seen: dict[str, BaseException | None] = {}

    for name, call in calls().items():
        try:
            await call()
            seen[name] = None
        except Exception as error:
            seen[name] = error

    return seen


def by_hand(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """As a coroutine runs that nobody but its caller drives."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value

    raise AssertionError("it waits for something")


@pytest.mark.parametrize(
    "runs",
    [
        lambda: trio.run(use_all),
        lambda: anyio.run(use_all, backend="trio"),
        lambda: by_hand(use_all()),
    ],
    ids=["trio", "anyio on trio", "no loop"],
)
def test_every_call_says_that_it_needs_asyncio(runs: Callable[[], dict[str, BaseException | None]]) -> None:
    for name, error in runs().items():
        assert isinstance(error, RuntimeError), name
        assert "aioq needs asyncio" in str(error), name


def test_a_block_says_so_too() -> None:
    async def main() -> None:
        async with Queue("default", URL) as queue:
            await queue.enqueue(jobs.add, 1, 1)

    with pytest.raises(RuntimeError, match="aioq needs asyncio"):
        trio.run(main)
