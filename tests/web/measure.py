"""How long pages take with many jobs, and what they ask of the server: `python -m tests.web.measure JOBS`.

Jobs that wait are enqueued. One job of each final state is run; the others are copies of it, which a
script on the server puts into the same lists. Commands are counted as the client sends them: a script is one.
"""

from __future__ import annotations

import asyncio
import re
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import redis
from starlette.routing import compile_path

from aioq import Queue
from aioq.store.net.node import Node
from aioq.web import dashboard
from aioq.web.app import LiveKey
from aioq.web.pages import PAGES
from tests import jobs
from tests.conftest import Server
from tests.web.tools import client, fill, settings_are_known

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
LOADS = 10

#: The server notes commands that take longer than this, in µs. If it noted each command of each script, that would
#: cost more than the scripts.
NOTED_US = 100

#: So many browsers show live pages, for so many seconds.
BROWSERS, LIVE_S = 20, 20.0

#: The pages that they show, in turn.
LIVE_PATHS = ("/", "/queues/default", "/jobs?state=failed", "/jobs?state=queued")

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
    raw.config_set("slowlog-log-slower-than", NOTED_US)
    raw.config_set("slowlog-max-len", 2000)

    async with Queue("default", url) as queue:
        begun = time.monotonic()
        ids = await fill_all(queue, raw, total)
        made = sum(each for each in (await queue.store.reads.count()).jobs.values())
        (group,) = [each for each in await queue.failures() if each.count > 1]

    print(f"{made:,} jobs in {time.monotonic() - begun:.0f} s, {raw.info('memory')['used_memory_human']}")
    print("| page | first, ms | ms | CPU, ms | server's CPU, ms | round trips | commands | longest command, ms |")
    print("|---|---|---|---|---|---|---|---|")
    paths = ["/", "/?last=month", "/queues", "/queues/default", "/workers", "/failures", "/audit"]
    paths += ["/jobs/" + ids["failed"], "/jobs/" + ids["queued"]]
    paths += [f"/jobs?state={state}" for state in ("queued", "failed", "finished", "canceled", "expired")]
    paths += [f"/jobs?q={q}" for q in ("state:failed", f"fingerprint:{group.fingerprint}", "tag:vip", "after:1h",
              "after:1h+state:finished", "id:" + ids["failed"], "fn:nothing.*", "fn:nothing.*+state:failed",
              "error:nothing+state:failed", "meta.user:7+state:failed")]  # fmt: skip
    paths += ["/matching?verb=requeue&q=state:failed", "/matching?verb=delete&q=error:nothing+state:failed"]
    paths += [f"/matching?verb=delete&q=fingerprint:{group.fingerprint}"]

    async with client(url) as visitor:
        for path in paths:
            shown = path.replace(ids["failed"], "ID").replace(ids["queued"], "WAITING")
            row = await measured(visitor, raw, path)
            print(f"| `{shown.replace(group.fingerprint, 'FINGERPRINT')}` | {row} |", flush=True)

    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB in this process")
    raw.config_set("slowlog-log-slower-than", -1)
    await measure_live(url, raw)


async def measured(visitor: httpx.AsyncClient, raw: redis.Redis, path: str) -> str:
    """The row of a page.

    Of each command the least time of all loads counts, and the longest of these is shown. So a pause that another
    program has caused is not taken for a long command. 0: each has taken less than is noted.
    """
    begun = time.perf_counter()
    await visitor.get(path)  # scripts are loaded, and the past is read
    first = 1000 * (time.perf_counter() - begun)
    await settings_are_known()
    times, took = list[float](), dict[str, list[int]]()
    spent, own = 0.0, 0.0

    for _ in range(LOADS):
        raw.slowlog_reset()
        asked.clear()
        cpu, mine = cpu_seconds(raw), time.process_time()
        begun = time.perf_counter()
        answer = await visitor.get(path)
        times.append(1000 * (time.perf_counter() - begun))
        own += time.process_time() - mine
        spent += cpu_seconds(raw) - cpu
        assert answer.status_code in (200, 303), (path, answer.text)

        for each in raw.slowlog_get(2000):
            if not is_own(each):
                took.setdefault(re.sub(r"\b\d{13}\b", "(a moment)", str(each["command"])), []).append(
                    each["duration"]
                )

    longest = max((min(each) for each in took.values() if len(each) >= LOADS), default=0)
    cpu_ms = f"{1000 * own / LOADS:.1f} | {1000 * spent / LOADS:.1f}"

    return f"{first:.0f} | {min(times):.0f} | {cpu_ms} | {len(asked)} | {sum(asked)} | {longest / 1000:.2f}"


async def measure_live(url: str, raw: redis.Redis) -> None:
    """The share of the server's CPU that browsers with live pages cost; and that of a server that nobody asks.

    Each browser listens as the stream of the application does, without the network between them.
    """
    app = dashboard(url)
    live = app._live
    keys = [key_of(LIVE_PATHS[at % len(LIVE_PATHS)]) for at in range(BROWSERS)]
    pages = 0

    async def read(key: LiveKey) -> None:
        nonlocal pages

        async for news in live.listen(key):
            assert news.kind == "page", news
            pages += 1

    idle = await share_of_cpu(raw, 5.0)
    asked.clear()
    tasks = [asyncio.create_task(read(key)) for key in keys]
    share = await share_of_cpu(raw, LIVE_S)

    for task in tasks:
        task.cancel()

    await asyncio.gather(*tasks, return_exceptions=True)
    await app.aclose()
    told = f"{BROWSERS} browsers with live pages: {len(asked)} round trips, {pages} times a page was told"
    print(f"{told}; {share:.2%} of a CPU of the server, and idle {idle:.2%}")


def key_of(path: str) -> LiveKey:
    """What a browser that shows a page listens to."""
    name, _, query = path.partition("?")
    page = next(each for each in PAGES if compile_path(each.path)[0].match(name))
    found = compile_path(page.path)[0].match(name)
    assert found is not None

    return LiveKey(page, tuple(found.groupdict().items()), tuple(parse_qsl(query)), "", path, False)


async def share_of_cpu(raw: redis.Redis, seconds: float) -> float:
    """The share of a CPU that the server uses for so many seconds."""
    begun, cpu = time.monotonic(), cpu_seconds(raw)
    await asyncio.sleep(seconds)

    return (cpu_seconds(raw) - cpu) / (time.monotonic() - begun)


def cpu_seconds(raw: redis.Redis) -> float:
    """The seconds of CPU that the server has used."""
    info = raw.info("cpu")

    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def is_own(entry: dict[str, Any]) -> bool:
    """Whether a command is one of this measurement."""
    return str(entry["command"]).upper().lstrip("B'").startswith(("SLOWLOG", "INFO"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="aioq-") as folder:
        server = Server(Path(folder))
        server.start()
        count_round_trips()

        try:
            asyncio.run(measure(server.tcp_url, int(sys.argv[1])))
        finally:
            server.stop(kill=True)
