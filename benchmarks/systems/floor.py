"""The floor: the least that a pure-Python queue on redis-py does for the same promise.

A job is a record (a hash) and an entry of a stream. One EVALSHA enqueues 100 jobs. One EVALSHA ends 100 jobs
(status and result, retention, XACK, XDEL, registry) and reads the next 100; two such calls are in flight, so the
server works while Python does. A job is a task with a context variable and a timeout. There is no fence, no lease,
no ttl, no retry and no recovery: what a product adds to this is what its promises cost.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from benchmarks import jobs
from benchmarks.systems import Seen

BATCH = 100
FLIGHTS = 2
TIMEOUT = 180.0
RESULT_TTL = 500

STREAM, GROUP, REGISTRY, RECORD = "floor:stream", "workers", "floor:finished", "floor:job:"

# The filler makes a lone call as long on the wire as that of the system it is compared with.
ENQUEUE = """
local record, filler, func = ARGV[1], ARGV[2], ARGV[3]
for at = 4, #ARGV, 2 do
  redis.call('HSET', record .. ARGV[at], 'status', 'queued', 'func', func, 'data', ARGV[at + 1])
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[at])
end
return (#ARGV - 3) / 2
"""

DRAIN = """
local record, consumer, count, now, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
for at = 6, #ARGV, 3 do
  local key = record .. ARGV[at]
  redis.call('HSET', key, 'status', 'finished', 'result', ARGV[at + 2])
  redis.call('EXPIRE', key, ttl)
  redis.call('XACK', KEYS[1], 'workers', ARGV[at + 1])
  redis.call('XDEL', KEYS[1], ARGV[at + 1])
  redis.call('ZADD', KEYS[2], now, ARGV[at])
end
local reply = redis.call('XREADGROUP', 'GROUP', 'workers', consumer, 'COUNT', count, 'STREAMS', KEYS[1], '>')
local found = {}
for _, entry in ipairs(reply and reply[1][2] or {}) do
  local id = entry[2][2]
  local fields = redis.call('HMGET', record .. id, 'func', 'data')
  found[#found + 1] = {id, entry[1], fields[1], fields[2]}
end
return found
"""

current: ContextVar[bytes | None] = ContextVar("current", default=None)


class Client:
    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, protocol=2)
        self._sha = ""

    async def enqueue_many(self, job: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> list[str]:
        handles = []

        for start in range(0, len(calls), BATCH):
            ids = [new_id() for _ in calls[start : start + BATCH]]
            flat = [part for each in zip(ids, calls[start : start + BATCH], strict=True) for part in _packed(each)]
            await self._send("", job, flat)
            handles += ids

        return handles

    async def enqueue_padded(self, filler: str, job: Callable[..., Any], *args: Any) -> str:
        """A bare EVALSHA for one job."""
        job_id = new_id()
        await self._send(filler, job, _packed((job_id, args)))

        return job_id

    async def look(self, handles: Sequence[str]) -> list[Seen]:
        seen = []

        for handle in handles:
            status, data, result = await self._redis.hmget(RECORD + handle, "status", "data", "result")
            ended = status == b"finished"
            seen.append(Seen(ended, json.loads(result) if ended else json.loads(data)[0]))

        return seen

    async def waiting(self) -> int:
        return int(await self._redis.xlen(STREAM))

    async def aclose(self) -> None:
        await self._redis.aclose()

    async def _send(self, filler: str, job: Callable[..., Any], flat: Sequence[str]) -> None:
        if not self._sha:
            self._sha = await self._redis.script_load(ENQUEUE)

        await self._redis.evalsha(self._sha, 1, STREAM, RECORD, filler, job.__name__, *flat)


def new_id() -> str:
    return os.urandom(13).hex()


def _packed(call: tuple[str, tuple[Any, ...]]) -> tuple[str, str]:
    return call[0], json.dumps(call[1])


async def work(
    url: str, concurrency: int, limit: int | None, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    """Serve until stopped. The floor has no limit; its concurrency is BATCH for each call in flight."""
    redis = Redis.from_url(url, protocol=2)

    with suppress(ResponseError):  # it is there
        await redis.xgroup_create(STREAM, GROUP, "0", mkstream=True)

    sha = await redis.script_load(DRAIN)
    ready()
    await asyncio.gather(*(_fly(redis, sha, stop) for _ in range(FLIGHTS)))
    await redis.aclose()


async def _fly(redis: Redis, sha: str, stop: asyncio.Event) -> None:
    ended: list[bytes | str] = []

    while ended or not stop.is_set():
        now = time.time_ns() // 1_000_000
        found = await redis.evalsha(sha, 2, STREAM, REGISTRY, RECORD, "floor", BATCH, now, RESULT_TTL, *ended)
        ended = []

        for task in [asyncio.create_task(_run(each)) for each in found]:
            ended += await task

        if not found:
            await asyncio.sleep(0.005)


async def _run(found: list[bytes]) -> tuple[bytes, bytes, str]:
    job_id, entry, func, data = found
    current.set(job_id)
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(TIMEOUT, task.cancel)
    result = await getattr(jobs, func.decode())(*json.loads(data))
    timer.cancel()

    return job_id, entry, json.dumps(result)
