"""The floor: the least that a pure-Python queue on redis-py does for the same promise.

A job is a record (a hash) and an entry of a stream. One EVALSHA enqueues 100 jobs. One EVALSHA ends 100 jobs
(status and result, retention, XACK, XDEL, registry) and reads the next 100; two such calls are in flight, so the
server works while Python does. A job is a task with a context variable and a timeout. There is no fence, no lease,
no ttl, no retry and no recovery: what a product adds to this is what its promises cost.

A client that awaits results keeps a future for each job and has one subscription. It has one EVALSHA in flight,
and the jobs that are enqueued meanwhile share the next one. The ends of all jobs of one drain are one message. An
idle worker waits in a blocking read. The entry of an awaited job has its call in it, so its body begins without
another round trip.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import ResponseError

from benchmarks import jobs
from benchmarks.systems import Seen

BATCH = 100
FLIGHTS = 2
TIMEOUT = 180.0
RESULT_TTL = 500
RESULT_TIMEOUT = 30.0

#: How long a blocking read waits, in ms. It is how long a worker takes to hear that it must stop.
BLOCK_MS = 200

STREAM, GROUP, REGISTRY, RECORD, ENDED = "floor:stream", "workers", "floor:finished", "floor:job:", "floor:ended"
CONSUMER = "floor"

# The filler makes a lone call as long on the wire as that of the system it is compared with.
ENQUEUE = """
local record, filler, func = ARGV[1], ARGV[2], ARGV[3]
for at = 4, #ARGV, 2 do
  redis.call('HSET', record .. ARGV[at], 'status', 'queued', 'func', func, 'data', ARGV[at + 1])
  redis.call('XADD', KEYS[1], '*', 'id', ARGV[at])
end
return (#ARGV - 3) / 2
"""

# The same with the call in the entry, for jobs that are awaited.
ENQUEUE_AWAITED = ENQUEUE.replace("'id', ARGV[at])", "'id', ARGV[at], 'func', func, 'data', ARGV[at + 1])")

DRAIN = """
local record, consumer, count, now, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if #ARGV > 5 and redis.call('PUBSUB', 'NUMSUB', KEYS[3])[2] > 0 then
  local lines = {}
  for at = 6, #ARGV, 3 do
    lines[#lines + 1] = ARGV[at]
    lines[#lines + 1] = ARGV[at + 2]
  end
  redis.call('PUBLISH', KEYS[3], table.concat(lines, '\\n'))
end
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


@dataclass
class Batch:
    """Calls that share an EVALSHA: their ids and arguments, and a future that ends when they are enqueued."""

    sent: asyncio.Future[None]
    flat: list[str] = field(default_factory=list)


class Client:
    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, protocol=2)
        self._shas: dict[str, str] = {}
        self._batches: dict[str, Batch] = {}
        self._sending = asyncio.Lock()
        self._results: dict[bytes, asyncio.Future[bytes]] = {}
        self._subscribed: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def enqueue(self, job: Callable[..., Any], *args: Any) -> str:
        """One job, whose result is awaited."""
        loop = asyncio.get_running_loop()
        self._subscribed = self._subscribed or loop.create_task(self._subscribe())

        if not self._subscribed.done():
            await self._subscribed

        batch = self._batches.get(job.__name__)

        if batch is None:
            batch = self._batches[job.__name__] = Batch(loop.create_future())
            self._spawn(self._enqueue_batch(job))

        job_id = new_id()
        self._results[job_id.encode()] = loop.create_future()
        batch.flat += _packed((job_id, args))
        await batch.sent

        return job_id

    async def result(self, handle: str) -> Any:
        key = handle.encode()

        async with asyncio.timeout(RESULT_TIMEOUT):
            result = await self._results[key]

        del self._results[key]

        return json.loads(result)

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
        for task in self._tasks:
            task.cancel()

        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    async def _send(
        self, filler: str, job: Callable[..., Any], flat: Sequence[str], script: str = ENQUEUE
    ) -> None:
        if script not in self._shas:
            self._shas[script] = await self._redis.script_load(script)

        await self._redis.evalsha(self._shas[script], 1, STREAM, RECORD, filler, job.__name__, *flat)

    async def _enqueue_batch(self, job: Callable[..., Any]) -> None:
        async with self._sending:
            batch = self._batches.pop(job.__name__)

            try:
                await self._send("", job, batch.flat, ENQUEUE_AWAITED)
            except Exception as error:
                batch.sent.set_exception(error)
            else:
                batch.sent.set_result(None)

    async def _subscribe(self) -> None:
        subscription = self._redis.pubsub(ignore_subscribe_messages=True)
        await subscription.subscribe(ENDED)
        await subscription.parse_response()  # only now does the server know of it
        self._spawn(self._hear(subscription))

    async def _hear(self, subscription: PubSub) -> None:
        """Each message has the ids of jobs that have ended, each with its result."""
        async for message in subscription.listen():
            lines = message["data"].split(b"\n")

            for job_id, result in zip(lines[::2], lines[1::2], strict=True):
                if future := self._results.get(job_id):
                    future.set_result(result)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


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
        found = await redis.evalsha(
            sha, 3, STREAM, REGISTRY, ENDED, RECORD, CONSUMER, BATCH, now, RESULT_TTL, *ended
        )
        ended = []

        for task in [asyncio.create_task(_run(each)) for each in found or await _wait(redis)]:
            ended += await task


async def _wait(redis: Redis) -> list[list[bytes]]:
    """Wait until there are jobs; what the drain would have brought of them."""
    reply = await redis.xreadgroup(GROUP, CONSUMER, {STREAM: ">"}, count=BATCH, block=BLOCK_MS)
    found = []

    for entry, fields in reply[0][1] if reply else []:
        job_id = fields[b"id"]
        # A job that was enqueued in bulk has its call in its record only.
        call = [fields[b"func"], fields[b"data"]] if b"func" in fields else await _read(redis, job_id)
        found.append([job_id, entry, *call])

    return found


async def _read(redis: Redis, job_id: bytes) -> list[bytes]:
    return await redis.hmget(RECORD.encode() + job_id, "func", "data")


async def _run(found: list[bytes]) -> tuple[bytes, bytes, str]:
    job_id, entry, func, data = found
    current.set(job_id)
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(TIMEOUT, task.cancel)
    result = await getattr(jobs, func.decode())(*json.loads(data))
    timer.cancel()

    return job_id, entry, json.dumps(result)
