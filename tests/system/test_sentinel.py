"""A primary that sentinels name: what happens to jobs when it is another one."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aioq import Callback, Queue, Repeat, Worker
from aioq.errors import ServerRefused, ServerUnreachable
from aioq.store.net.sentinels import SENTINEL_TIMEOUT_S
from tests import jobs as simple
from tests.cli.tools import Cli
from tests.servers.node import Access, Node, free_ports
from tests.servers.sentinel import SERVICE, SentinelTrio
from tests.servers.tls import lacking
from tests.system import jobs
from tests.system.day import PATIENCE, counts, day, insist, value
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
        series = await queue.enqueue(simple.add, 1, 2, repeat=Repeat(3, 1))
        pending = asyncio.gather(*(value(job) for job in [*running, *waiting]))
        await in_sync(scene)
        dead = scene.kill_primary()
        await scene.another_than(dead)
        assert set(await pending) == {"attempt 1"}
        assert len(notes(path, "start")) == 105
        assert await value(series) == 3
        await series.refresh()
        assert series.repeats == 3
        assert await value(await insist(lambda: queue.enqueue(simple.add, 1, 2))) == 3


@pytest.mark.chaos
async def test_a_primary_dies_while_members_of_a_group_run(scene: SentinelTrio, spawn, tmp_path: Path) -> None:
    """The group ends with its members, its job is made once, and each end is told once."""
    path, called, over = tmp_path / "notes", tmp_path / "called", tmp_path / "over"
    await spawn(url=scene.url(), concurrency=10)

    async with Queue("default", scene.url()) as queue:
        callback = Callback(jobs.note_call, args=(str(called),))
        calls = [Queue.prepare_data(jobs.work, (str(path), 3.0), on_success=callback) for _ in range(5)]
        last = Queue.prepare_data(jobs.work, (str(over), 0.01))
        group = await queue.enqueue_group(calls, on_complete=last)
        await eventually(lambda: len(notes(path, "start")) == 5)
        waiting = asyncio.create_task(insist(lambda: group.wait(timeout=PATIENCE)))
        await in_sync(scene)
        dead = scene.kill_primary()
        await scene.another_than(dead)
        await waiting
        progress = await insist(group.progress)
        assert (progress.finished, progress.has_ended) == (5, True)
        assert await insist(group.results) == ["attempt 1"] * 5
        await eventually(lambda: len(notes(called, "on_success")) == 5 and notes(over, "start"), timeout=PATIENCE)
        assert len(notes(over, "start")) == 1


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


# A question to a sentinel is cancelled in the first moment of TLS: asyncio closes its socket when it is collected.
@pytest.mark.chaos
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
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


def sentinel(folder: Path, name: str, primary: Node, *lines: str, quorum: int = 1) -> Node:
    """A sentinel of its own, which no other one finds."""
    settings = [
        ("sentinel", f"monitor {SERVICE} 127.0.0.1 {primary.port} {quorum}"),
        ("sentinel", f"down-after-milliseconds {SERVICE} 1000"),
        *(tuple(line.split(" ", 1)) for line in lines),
    ]

    return Node(folder, name, free_ports(1)[0], Access(), settings, ("--sentinel",))  # type: ignore[arg-type]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[list[Node]]:
    """Two servers that know nothing of each other, and a user who may look at them and publish nothing there."""
    nodes = [Node(tmp_path, f"data-{n}", free_ports(1)[0], Access(), [("save", '""')]) for n in range(2)]
    watcher = "on >pw ~* resetchannels -@all +ping +info +client +role"

    try:
        for node in nodes:
            await node.start()
            node.call("ACL", "SETUSER", "watcher", *watcher.split())

        yield nodes
    finally:
        for node in nodes:
            node.close()


async def test_a_sentinel_that_is_alone_is_not_believed_for_ever(two: list[Node], tmp_path: Path) -> None:
    """It names the dead primary, finds it down, and has nobody to agree on another one with."""
    old, new = two
    user = (f"sentinel auth-user {SERVICE} watcher", f"sentinel auth-pass {SERVICE} pw")
    alone = sentinel(tmp_path, "alone", old, *user, quorum=2)
    knows = sentinel(tmp_path, "knows", new)

    try:
        await alone.start()
        await knows.start()
        url = f"redis+sentinel://{alone.address},{knows.address}/{SERVICE}/0"

        async with Queue("default", url) as queue:
            await queue.enqueue(simple.add, 1, 2)
            old.kill()
            await eventually(lambda: "s_down" in str(alone.call("SENTINEL", "MASTER", SERVICE)))

            async with RunningWorker(["default"], connection=url):
                assert await (await queue.enqueue(simple.add, 1, 2)).result(10) == 3
    finally:
        alone.close()
        knows.close()


async def test_a_password_that_sentinels_refuse_is_named(two: list[Node], tmp_path: Path) -> None:
    secured = sentinel(tmp_path, "secured", two[0], "requirepass right")
    open_ = sentinel(tmp_path, "open", two[0])

    try:
        secured.launch()
        await open_.start()
        url = f"redis+sentinel://{secured.address}/{SERVICE}/0"

        async def works(url: str) -> bool:
            try:
                async with Queue("default", url) as queue:
                    return await (await queue.enqueue(simple.add, 1, 2)).get_status() == "queued"
            except ServerUnreachable:
                return False

        await eventually(lambda: works(f"{url}?sentinel_password=right"))

        for query in ("", "?sentinel_password=wrong", "?sentinel_username=nobody&sentinel_password=right"):
            async with Queue("default", url + query) as queue:
                with pytest.raises(ServerRefused, match="sentinel_username and sentinel_password") as caught:
                    await queue.enqueue(simple.add, 1, 2)

                assert "right" not in str(caught.value)
                assert secured.address in str(caught.value)

            with pytest.raises(ServerRefused, match="sentinel_password"):
                await Worker("default", url + query).run(burst=True)

        # The word of another one counts.
        assert await works(f"redis+sentinel://{secured.address},{open_.address}/{SERVICE}/0")

        async with Queue("default", f"redis+sentinel://{open_.address}/other/0") as queue:
            with pytest.raises(ServerUnreachable, match=r"'other'.*it knows no such name"):
                await queue.enqueue(simple.add, 1, 2)
    finally:
        secured.close()
        open_.close()


@pytest.mark.parametrize("at", [0, *(pytest.param(at, marks=pytest.mark.chaos) for at in (1, 2))])
async def test_one_of_three_sentinels_is_frozen(scene: SentinelTrio, at: int) -> None:
    scene.sentinels[at].freeze()
    took: list[float] = []

    for _ in range(3):
        async with Queue("default", scene.url()) as queue:
            begun = time.monotonic()
            await queue.enqueue(simple.add, 1, 2)
            took.append(time.monotonic() - begun)

    assert min(took) < SENTINEL_TIMEOUT_S  # a busy machine is slow now and then, and a wait would come each time

    async with Queue("default", scene.url()) as queue, RunningWorker(["default"], connection=scene.url()):
        assert await (await queue.enqueue(simple.add, 1, 2)).result(20) == 3

    scene.sentinels[at].thaw()
