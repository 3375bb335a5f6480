"""`aioq top`: the runs in progress, the longest first."""

from __future__ import annotations

import json

import pytest
import redis

from aioq import Queue
from aioq.store.keys import Keys
from tests import jobs
from tests.cli.tools import Cli


@pytest.fixture
def running(cli: Cli, raw: redis.Redis) -> Cli:
    """Runs in two queues: `old` began an hour ago and had waited for a minute."""

    async def claim(queue: Queue) -> None:
        await queue.store.duty.join(f"w-{queue.name}", 600_000)
        await queue.connection.call(queue.store.duty.claim_command(f"w-{queue.name}", 10))

    cli.enqueue("new", queue="mail")
    cli.enqueue("old", func=jobs.add, args=(1, 2), queue="news")

    for name in ("mail", "news"):
        cli.do(claim, name)

    key, (seconds, _) = Keys.of("news").job + b"old", raw.time()
    began = int(seconds) * 1000 - 3_600_000
    raw.hset(key, mapping={"started_at": str(began), "enqueued_at": str(began - 60_000)})

    return cli


def test_the_longest_run_comes_first(running: Cli) -> None:
    lines = running.call("top").stdout.splitlines()
    assert lines[0].split() == ["for", "waited", "queue", "worker", "function", "job"]
    assert lines[1].split() == ["1", "h", "1", "min", "news", "w-news", "tests.jobs.add", "old"]
    assert lines[2].split()[-4:] == ["mail", "w-mail", "tests.jobs.noop", "new"]
    assert running.call("top", "--limit", "1").stdout.count("\n") == 2
    assert "old" not in running.call("top", "mail").stdout


def test_json_has_seconds_and_calls(running: Cli) -> None:
    found = json.loads(running.call("top", "--json").stdout)
    assert found["total"] == 2
    old, new = found["runs"]
    assert (old["id"], old["queue"], old["worker"], old["call"]) == (
        "old",
        "news",
        "w-news",
        "tests.jobs.add(1, 2)",
    )
    assert 3600 <= old["seconds"] < 3700
    assert old["waited"] == 60
    assert (new["id"], new["attempt"]) == ("new", 1)
    assert 0 <= new["seconds"] < 100


def test_on_a_terminal_it_looks_again_until_ctrl_c(running: Cli) -> None:
    status, seen = running.on_terminal("top", "--interval", "100ms", until=b"2 of 2 runs")
    assert status == 0
    assert "old" in seen
    assert max(map(len, seen.splitlines())) <= 80


def test_nothing_runs_and_what_cannot_be(cli: Cli) -> None:
    assert cli.call("top").stdout == "No job runs.\n"
    assert cli.call("top", "nowhere").exit_code == 1
    assert cli.call("top", "--json", "--interval", "1").exit_code == 2
    assert cli.call("top", "--limit", "0").exit_code == 2
