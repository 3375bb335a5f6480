"""`aioq audit`, and the rows that the commands leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests import jobs
from tests.cli.tools import Cli
from tests.pages import ROOT
from tests.tools import RunningWorker, eventually


@pytest.fixture
def acted(cli: Cli) -> Callable[..., Awaitable[None]]:
    async def run(*words: str) -> None:
        environment = {"AIOQ_REDIS_URL": cli.url, "AIOQ_ACTOR": "ann@desk"}
        result = await asyncio.to_thread(cli.call, *words, environment=environment)
        assert result.exit_code == 0, result.output

    return run


async def rows(cli: Cli, *words: str) -> list[dict[str, Any]]:
    return json.loads((await asyncio.to_thread(cli.call, "audit", "--json", *words)).output)


async def test_each_command_that_changes_something_leaves_one_row(queue, cli: Cli, acted, burst) -> None:
    await queue.enqueue(jobs.div_by_zero, 1, job_id="broken")
    await burst("default")
    (failure,) = await queue.failures()

    for each in ("one", "two", "three", "four"):
        await queue.enqueue(jobs.noop, job_id=each)

    commands = [
        (("failures", "mute", failure.fingerprint, "--for", "1h"), "mute", [failure.fingerprint]),
        (("failures", "unmute", failure.fingerprint), "unmute", [failure.fingerprint]),
        (("suspend", "--queue", "default", "--reason", "a test"), "pause", []),
        (("resume", "--queue", "default"), "resume", []),
        (("suspend", "--duration", "60"), "suspend", []),
        (("resume",), "resume", []),
        (("retry-budget", "default", "--limit", "5"), "retry_budget", []),
        (("job", "cancel", "one"), "cancel", ["one"]),
        (("job", "requeue", "one"), "requeue", ["one"]),
        (("job", "cancel", "--queue", "default", "--filter", "state:queued id:two"), "cancel", ["two"]),
        (("requeue", "--queue", "default", "--from", "canceled", "--all"), "requeue", ["two"]),
        (("requeue", "broken"), "requeue", ["broken"]),
        (("job", "delete", "three"), "delete", ["three"]),
        (("empty", "default"), "empty", None),
    ]

    for number, (words, action, subjects) in enumerate(commands, 1):
        await acted(*words)
        found = await rows(cli)
        assert len(found) == number, words
        assert [found[0][name] for name in ("by", "source", "queue", "action")] == [
            "ann@desk",
            "cli",
            "default",
            action,
        ]
        assert subjects is None or found[0]["subjects"] == subjects

    assert found[0]["count"] == 4
    assert (await asyncio.to_thread(cli.call, "job", "cancel", "gone")).exit_code == 1
    assert (await asyncio.to_thread(cli.call, "ls", "default")).exit_code == 0
    assert len(await rows(cli)) == len(commands)


async def test_stop_and_repair_are_told(queue, cli: Cli, acted, raw) -> None:
    async with RunningWorker(["default"], connection=cli.url):
        job = await queue.enqueue(jobs.sleep, 60)

        async def runs() -> bool:
            return (await queue.fetch_job(job.id)).is_started

        await eventually(runs)
        await acted("job", "stop", job.id)

    raw.zadd(queue.store.keys.scheduled, {"nobody": 1})
    await acted("doctor", "--repair")
    await acted("doctor", "--repair")
    assert [(each["action"], each["subjects"]) for each in await rows(cli)] == [
        ("repair", ["nobody"]),
        ("stop", [job.id]),
    ]


async def test_the_table(queue, cli: Cli, acted) -> None:
    assert (await asyncio.to_thread(cli.call, "audit", "nowhere")).exit_code == 1
    await queue.enqueue(jobs.noop, job_id="one")
    await acted("job", "cancel", "one")
    await acted("suspend", "--queue", "default", "--reason", "a test")
    result = await asyncio.to_thread(cli.call, "audit", "default", "--limit", "1")
    heading, row = result.stdout.splitlines()
    assert heading.split() == ["when", "who", "from", "queue", "action", "what"]
    assert row.split("  ")[-1].strip() == "a test"
    assert len(await rows(cli, "--limit", "1")) == 1
    assert [each["action"] for each in await rows(cli, "--job", "one")] == ["cancel"]
    assert await rows(cli, "--job", "two") == []


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "x" * 300])
async def test_a_name_that_cannot_be_shown_changes_nothing(queue, cli: Cli, name: str) -> None:
    job = await queue.enqueue(jobs.noop)
    environment = {"AIOQ_REDIS_URL": cli.url, "AIOQ_ACTOR": name}
    result = await asyncio.to_thread(cli.call, "job", "cancel", job.id, environment=environment)
    assert (result.exit_code, "AIOQ_ACTOR" in result.output) == (2, True)
    assert (await queue.fetch_job(job.id)).is_queued


async def test_what_a_job_does_is_not_done_by_whoever_has_started_its_worker(queue, cli: Cli) -> None:
    await queue.enqueue_in(60, jobs.noop, job_id="other")
    await queue.enqueue("tests.cli.jobs.cancel_another", "other", at_front=True)
    await asyncio.to_thread(cli.process, "worker", "default", "--burst", "--path", str(ROOT))
    assert (await queue.fetch_job("other")).is_canceled
    assert await rows(cli) == []
