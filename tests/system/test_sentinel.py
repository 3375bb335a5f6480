"""A primary that sentinels name: what happens to jobs when it is another one."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aioq import Queue, Worker
from tests import jobs as simple
from tests.cli.tools import Cli
from tests.servers.sentinel import SentinelTrio
from tests.servers.tls import lacking
from tests.system import jobs
from tests.system.day import counts, day, insist, value
from tests.system.jobs import notes
from tests.tools import RunningWorker, assert_all_sound, eventually

pytestmark = pytest.mark.timeout(180)

DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture
async def scene() -> AsyncIterator[SentinelTrio]:
    """At the end of the test what is stored is sound."""
    async with SentinelTrio(DURABLE) as scene:
        yield scene
        await eventually(lambda: is_sound(scene.url()), timeout=20)


async def is_sound(url: str) -> bool:
    await insist(lambda: assert_all_sound(url))

    return True


async def in_sync(scene: SentinelTrio) -> None:
    with scene.admin() as admin:
        assert admin.wait(2, 2000) == 2


async def test_a_day_with_a_planned_failover(scene: SentinelTrio, tmp_path: Path) -> None:
    async with (
        Queue("default", scene.url()) as queue,
        RunningWorker(["default"], connection=scene.url()),
    ):
        doing = asyncio.create_task(day(queue, tmp_path))
        await eventually(lambda: notes(tmp_path / "default-canceled", "start") or doing.done(), timeout=40)
        await scene.failover()
        expected = await doing
        assert await counts(queue) == expected


async def test_a_primary_dies_while_jobs_run_and_wait(scene: SentinelTrio, spawn, tmp_path: Path) -> None:
    """Its replicas have all of them: nothing is lost, nothing runs twice, and every result arrives."""
    path = tmp_path / "notes"
    await spawn(url=scene.url(), concurrency=10)

    async with Queue("default", scene.url()) as queue:
        running = [await queue.enqueue(jobs.work, str(path), 3.0) for _ in range(5)]
        await eventually(lambda: len(notes(path, "start")) == 5)
        waiting = [await queue.enqueue_in(1, jobs.work, str(path), 0.01) for _ in range(100)]
        pending = asyncio.gather(*(value(job) for job in [*running, *waiting]))
        await in_sync(scene)
        dead = scene.kill_primary()
        await scene.another_than(dead)
        assert set(await pending) == {"attempt 1"}
        assert len(notes(path, "start")) == 105
        assert await value(await insist(lambda: queue.enqueue(simple.add, 1, 2))) == 3


@pytest.mark.chaos
async def test_a_primary_is_frozen_and_comes_back_as_a_replica(scene: SentinelTrio, spawn, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    await spawn(url=scene.url(), concurrency=10)

    async with Queue("default", scene.url()) as queue:
        running = [await queue.enqueue(jobs.work, str(path), 3.0) for _ in range(5)]
        await eventually(lambda: len(notes(path, "start")) == 5)
        pending = asyncio.gather(*(value(job) for job in running))
        await in_sync(scene)
        frozen = scene.freeze_primary()
        await scene.another_than(frozen)
        assert set(await pending) == {"attempt 1"}
        await scene.restart(frozen)
        await scene.healthy()
        made = [await insist(lambda: queue.enqueue(simple.add, 1, 2)) for _ in range(20)]
        assert {await value(job) for job in made} == {3}


@pytest.mark.chaos
async def test_a_primary_that_is_cut_off_refuses_what_it_would_lose(spawn, tmp_path: Path) -> None:
    """Clients still reach it. It needs a replica to take writes, so they must go to the new one."""
    async with SentinelTrio(DURABLE, min_replicas=1, secured=True) as scene:
        await spawn(url=scene.url())

        async with Queue("default", scene.url()) as queue:
            assert await value(await queue.enqueue(simple.add, 1, 2)) == 3
            alone = scene.primary()
            scene.cut_off(alone)
            await scene.another_than(alone)

            with alone.client() as admin:
                await eventually(lambda: refuses(admin), describe="the old primary refuses writes")

            made = [await insist(lambda: queue.enqueue(simple.add, 1, 2)) for _ in range(20)]
            scene.rejoin(alone)
            await scene.healthy()
            assert {await value(job) for job in made} == {3}
            await assert_all_sound(scene.url())


def refuses(admin: object) -> bool:
    try:
        admin.set("written", "1")  # type: ignore[attr-defined]
    except Exception as error:
        return "NOREPLICAS" in str(error)

    return False


async def test_the_command_line(scene: SentinelTrio, environment: dict[str, str], tmp_path: Path) -> None:
    cli = Cli(scene.url(), environment)

    async with Queue("default", scene.url()) as queue:
        failing = await queue.enqueue(jobs.raise_once, str(tmp_path / "notes"))

        done = await asyncio.to_thread(cli.process, "worker", "--burst")
        assert done.returncode == 0, done.stderr
        assert await failing.get_status() == "failed"

        for words in (("info",), ("requeue", "--all", "--queue", "default"), ("doctor",)):
            result = await asyncio.to_thread(cli.call, *words)
            assert result.exit_code == 0, (words, result.output)

        await Worker("default", scene.url()).run(burst=True)
        assert await failing.result(5) == "a later run"
        said = json.loads((await asyncio.to_thread(cli.call, "info", "--json")).stdout)
        assert [each["name"] for each in said["queues"]] == ["default"]


async def test_tls_and_users(spawn, tmp_path: Path) -> None:
    if why := lacking():
        pytest.skip(why)

    async with SentinelTrio(tls=True, secured=True) as scene:
        worker = await spawn(url=scene.url("worker"))

        async with Queue("default", scene.url("producer")) as queue:
            assert await (await queue.enqueue(simple.add, 1, 2)).result(20) == 3
            await in_sync(scene)
            await scene.another_than(scene.kill_primary())
            assert await value(await insist(lambda: queue.enqueue(simple.add, 1, 2))) == 3

        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
        await is_sound(scene.url())
