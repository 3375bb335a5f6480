"""How long pages take with many jobs, and what they ask of the server: `python -m tests.web.measure JOBS`.

Jobs that wait are enqueued. One job of each final state is run; the others are copies of it, which a
script on the server puts into the same lists. Commands are counted as the client sends them: a script is one.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import redis

from aioq import Queue
from aioq.store.net.node import Node
from tests import jobs
from tests.conftest import Server
from tests.web.tools import client, fill

#: The states whose jobs are copied.
COPIED = ("finished", "failed", "canceled", "stopped", "expired")

#: How many copies one call makes, and how many jobs one call enqueues.
CHUNK = 5_000

#: Puts a job into every sorted set that has the first one, with a score of its own in each second.
COPY = """
local base, id, first, count = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local scores = {}
for i = 2, #KEYS do scores[i] = redis.call('ZSCORE', KEYS[i], id) end
for n = first, first + count - 1 do
  local new = string.format('copy%08d%s', n, id)
  redis.call('COPY', KEYS[1], base .. new)
  for i = 2, #KEYS do redis.call('ZADD', KEYS[i], tonumber(scores[i]) + n % 1000, new) end
end
"""


#: Each page is loaded so often. The least of the times is shown: the others are those of a machine that does more.
LOADS = 5

#: How many commands each round trip had.
asked: list[int] = []


def count_round_trips() -> None:
    """Let each round trip to the server be noted."""
    sent = Node.round_trip

    async def noted(self: Node, commands: Any, *more: Any, **options: Any) -> list[Any]:
        asked.append(len(commands))
        return await sent(self, commands, *more, **options)

    Node.round_trip = noted


def copy(raw: redis.Redis, job_id: str, count: int) -> None:
    """Make copies of a job that has ended."""
    base = "aioq:{default}:job:"
    sets = [key for key in raw.scan_iter("aioq:{default}:*", _type="zset") if raw.zscore(key, job_id) is not None]

    for first in range(0, count, CHUNK):
        keys = [f"{base}{job_id}", *sets]
        raw.eval(COPY, len(keys), *keys, base, job_id, first, min(CHUNK, count - first))


async def fill_all(queue: Queue, raw: redis.Redis, total: int) -> dict[str, str]:
    """So many jobs, in all states; an id of each."""
    ids = await fill(queue)
    tagged = await queue.using(tags=["vip"]).enqueue(jobs.noop)
    waiting = total // 20

    for _ in range(0, waiting, CHUNK):
        await queue.enqueue_many([Queue.prepare_data(jobs.add, (1, 2)) for _ in range(CHUNK)])

    for state in COPIED:
        await asyncio.to_thread(copy, raw, ids[state], (total - waiting) // len(COPIED))

    return ids | {"tagged": tagged.id}


async def measure(url: str, total: int) -> None:
    raw = redis.Redis.from_url(url, decode_responses=True)
    raw.config_set("slowlog-log-slower-than", 0)
    raw.config_set("slowlog-max-len", 2000)

    async with Queue("default", url) as queue:
        begun = time.monotonic()
        ids = await fill_all(queue, raw, total)
        made = sum(each for each in (await queue.store.reads.count()).jobs.values())
        (group,) = [each for each in await queue.failures() if each.count > 1]

    print(f"{made:,} jobs in {time.monotonic() - begun:.0f} s, {raw.info('memory')['used_memory_human']}")
    print("| page | first, ms | ms | round trips | commands | longest command, ms |\n|---|---|---|---|---|---|")
    paths = ["/", "/?last=month", "/queues", "/queues/default", "/workers", "/failures", "/jobs/" + ids["failed"]]
    paths += [f"/jobs?state={state}" for state in ("queued", "failed", "finished", "canceled")]
    paths += [f"/jobs?q={q}" for q in ("state:failed", f"fingerprint:{group.fingerprint}", "tag:vip", "after:1h",
              "id:" + ids["failed"], "fn:nothing.*")]  # fmt: skip
    paths += ["/matching?verb=requeue&q=state:failed", f"/matching?verb=delete&q=fingerprint:{group.fingerprint}"]

    async with client(url) as visitor:
        for path in paths:
            begun = time.perf_counter()
            await visitor.get(path)  # scripts are loaded, the past is read, and the server's settings known
            first = 1000 * (time.perf_counter() - begun)
            times, longest = [], []

            for _ in range(LOADS):
                raw.slowlog_reset()
                asked.clear()
                begun = time.perf_counter()
                answer = await visitor.get(path)
                times.append(1000 * (time.perf_counter() - begun))
                assert answer.status_code in (200, 303), (path, answer.text)
                longest.append(
                    max((each["duration"] for each in raw.slowlog_get(2000) if not is_own(each)), default=0)
                )

            shown = path.replace(ids["failed"], "ID").replace(group.fingerprint, "FINGERPRINT")
            row = f"{first:.0f} | {min(times):.0f} | {len(asked)} | {sum(asked)} | {min(longest) / 1000:.2f}"
            print(f"| `{shown}` | {row} |", flush=True)

    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB in this process")


def is_own(entry: dict[str, Any]) -> bool:
    """Whether a command is one of this measurement."""
    return str(entry["command"]).upper().lstrip("B'").startswith("SLOWLOG")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aioq-") as folder:
        server = Server(Path(folder))
        server.start()
        count_round_trips()

        try:
            asyncio.run(measure(server.tcp_url, int(sys.argv[1])))
        finally:
            server.stop(kill=True)
