"""Which queues a Worker serves: those of one server, prefix and secret. A mixture is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from aioq import Connection, InvalidInput, Queue, Worker
from tests import jobs
from tests.conftest import Server

SECRET = "a secret of this very test"

#: What a worker is given: (queues, connection, options), made of a server's URL.
REFUSED: dict[str, Callable[[str, str], tuple[Any, Any, dict[str, Any]]]] = {
    "two prefixes": lambda url, _: ([Queue("a", url, prefix="one"), Queue("b", url, prefix="two")], None, {}),
    "two databases": lambda url, other: ([Queue("a", url), Queue("b", other)], None, {}),
    "a secret and none": lambda url, _: ([Queue("a", url), Queue("b", url, secret=SECRET)], None, {}),
    "two secrets": lambda url, _: (
        [Queue("a", url, secret=SECRET), Queue("b", url, secret=f"{SECRET}!")],
        None,
        {},
    ),
    "a prefix beside a Queue": lambda url, _: (Queue("a", url), url, {"prefix": "three"}),
    "a prefix beside a Queue's connection": lambda url, _: (Queue("a", url), None, {"prefix": "three"}),
    "a prefix beside a connection": lambda url, _: ("a", Connection(url, prefix="one"), {"prefix": "two"}),
    "a secret beside a Queue": lambda url, _: (Queue("a", url), url, {"secret": SECRET}),
    "a secret beside a Queue's connection": lambda url, _: (Queue("a", url), None, {"secret": SECRET}),
    "another URL beside a Queue": lambda url, other: (Queue("a", url), other, {}),
    "another connection": lambda url, other: (Queue("a", url), Connection(other), {}),
    "another client": lambda url, other: (Queue("a", url), redis.asyncio.Redis.from_url(other), {}),
}

SERVED: dict[str, Callable[[str, str], tuple[Any, Any, dict[str, Any]]]] = {
    "a prefix": lambda url, _: ([Queue("a", url, prefix="one"), Queue("b", url, prefix="one")], None, {}),
    "a prefix, said twice": lambda url, _: (Queue("a", url, prefix="one"), url, {"prefix": "one"}),
    "a prefix of the first, and a name": lambda url, _: ([Queue("a", url, prefix="one"), "b"], None, {}),
    "a secret": lambda url, _: ([Queue("a", url, secret=SECRET), Queue("b", url, secret=[SECRET])], None, {}),
    "the same server in other words": lambda url, _: (Queue("a", f"{url}&socket_timeout=9"), url, {}),
    "a client": lambda url, _: (Queue("a", url), redis.asyncio.Redis.from_url(url), {}),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_mixture_is_refused(server: Server, case: str) -> None:
    queues, connection, options = REFUSED[case](server.url, server.url.replace("db=0", "db=1"))

    with pytest.raises(InvalidInput, match=r"prefix|secret|server"):
        await Worker(queues, connection, **options).run(burst=True)


@pytest.mark.parametrize("case", SERVED)
async def test_what_goes_together_is_served(server: Server, case: str) -> None:
    queues, connection, options = SERVED[case](server.url, "")
    given = [each for each in (queues if isinstance(queues, list) else [queues]) if isinstance(each, Queue)]
    enqueued = [await queue.enqueue(jobs.add, 1, 2) for queue in given]
    await Worker(queues, connection, **options).run(burst=True)
    assert [await job.result(5) for job in enqueued] == [3] * len(given)

    for queue in given:
        await queue.aclose()

    with server.client() as client:  # other prefixes are no one's to clean up
        client.flushall()

    if isinstance(connection, redis.asyncio.Redis):
        await connection.aclose()


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (
            redis.Redis(),
            "Redis or RedisCluster, or a Connection, not redis.client.Redis",
        ),
        ("http://localhost", "is not a server's URL"),
        ("redis://localhost:99999", "is not a URL that can be used"),
    ],
)
def test_what_names_no_server_is_refused_before_the_worker_runs(server: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Worker("default", connection=server)


def test_a_worker_starts_no_embedded_server_before_it_runs(tmp_path: Path) -> None:
    worker = Worker(["high", "low"], f"embedded://{tmp_path}/data", name="shop")
    assert not (tmp_path / "data").exists()
    assert re.fullmatch(r"<Worker shop\.\w{6} of high, low>", repr(worker))
