"""A Cluster: queues on several shards, whose slots move and whose primaries die."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path

import anyio
import pytest

from aioq import Job, Queue, Repeat, Worker
from aioq.worker import relaying
from tests import jobs as simple
from tests.cli.tools import Cli
from tests.servers.cluster import ClusterOfSix, slot_of
from tests.servers.tls import lacking
from tests.system import jobs
from tests.system.day import PATIENCE, counts, day, insist, put, value
from tests.system.jobs import notes
from tests.tools import RunningWorker, assert_all_sound, eventually

pytestmark = pytest.mark.timeout(180)

DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture
async def scene() -> AsyncIterator[ClusterOfSix]:
    """At the end of the test all is whole, and what is stored is sound."""
    async with ClusterOfSix(DURABLE) as scene:
        yield scene
        await scene.healthy()
        await assert_all_sound(scene.url())


async def queues_of(scene: ClusterOfSix, stack: AsyncExitStack, names: list[str]) -> list[Queue]:
    return [await stack.enter_async_context(Queue(name, scene.url())) for name in names]


async def move(scene: ClusterOfSix, names: list[str], *, atomic: bool, until: Callable[[], bool]) -> int:
    """Move the slots of queues from shard to shard, until it is enough; each is half moved for a while."""
    moved = 0

    for name in cycle(names):
        if until():
            return moved

        slot, home = slot_of(name), await asyncio.to_thread(scene.node_of, name)
        target = next(node for node in await asyncio.to_thread(scene.primaries) if node is not home)

        if atomic:
            await scene.migrate_atomically(slot, target)
        else:
            await scene.migrate_slot(slot, target, lambda: asyncio.sleep(0.2))

        moved += 1

    return moved


async def test_a_day_on_three_shards(scene: ClusterOfSix, tmp_path: Path) -> None:
    names = scene.queues()

    async with AsyncExitStack() as stack:
        queues = await queues_of(scene, stack, names)
        await stack.enter_async_context(RunningWorker(names, connection=scene.url()))
        expected = await asyncio.gather(*(day(queue, tmp_path) for queue in queues))
        assert [await counts(queue) for queue in queues] == expected
        assert {queue.name for queue in await Queue.all(queues[0].connection)} == set(names)


@pytest.mark.chaos
@pytest.mark.parametrize("atomic", [False, True], ids=["key-by-key", "as-a-whole"])
async def test_a_day_while_slots_move(scene: ClusterOfSix, tmp_path: Path, atomic: bool) -> None:
    names = scene.queues()

    async with AsyncExitStack() as stack:
        queues = await queues_of(scene, stack, names)
        await stack.enter_async_context(RunningWorker(names, connection=scene.url()))
        days = asyncio.gather(*(day(queue, tmp_path) for queue in queues))
        moved = await move(scene, names, atomic=atomic, until=days.done)
        expected = await days
        assert [await counts(queue) for queue in queues] == expected
        assert moved > 0


async def test_what_is_asked_while_a_slot_is_half_moved(scene: ClusterOfSix, tmp_path: Path) -> None:
    """The server that it moves to has never seen a script, and jobs wait and run on both."""
    one, two, _ = scene.queues()
    home, target = scene.node_of(one), scene.node_of(two)
    path = tmp_path / "notes"

    async with AsyncExitStack() as stack:
        (queue,) = await queues_of(scene, stack, [one])
        running = await queue.enqueue(jobs.work, str(path), 2.0)
        await stack.enter_async_context(RunningWorker([one], connection=scene.url()))
        await eventually(lambda: notes(path, "start"))
        waiting = [await queue.enqueue_in(0.5, simple.add, number, 1) for number in range(20)]
        asked: list[asyncio.Task[object]] = []

        async def halfway() -> None:
            assert home.call("CLUSTER", "COUNTKEYSINSLOT", slot_of(one)) > 0
            target.call("SCRIPT", "FLUSH")
            asked.extend(asyncio.create_task(put(queue, Job.create(simple.add, (n, 2)))) for n in range(20))
            asked.append(asyncio.create_task(insist(queue.count)))
            await asyncio.sleep(1)

        await scene.migrate_slot(slot_of(one), target, halfway)
        assert scene.node_of(one) is target
        made = (await asyncio.gather(*asked))[:-1]
        assert [await value(job) for job in made] == [number + 2 for number in range(20)]  # type: ignore[arg-type]
        assert [await value(job) for job in waiting] == [number + 1 for number in range(20)]
        assert await value(running) == "attempt 1"
        assert len(notes(path, "start")) == 1


@pytest.mark.chaos
async def test_a_primary_dies_while_jobs_run_and_the_other_shards_go_on(
    scene: ClusterOfSix, spawn, tmp_path: Path
) -> None:
    names = scene.queues()
    hurt = names[0]
    paths = {name: tmp_path / name for name in names}
    await spawn(url=scene.url(), queues=",".join(names), concurrency=20)

    async with AsyncExitStack() as stack:
        queues = await queues_of(scene, stack, names)
        running = [await queue.enqueue(jobs.work, str(paths[queue.name]), 3.0) for queue in queues]
        await eventually(lambda: all(notes(path, "start") for path in paths.values()))
        waiting = [await queue.enqueue_in(1, simple.add, number, 1) for queue in queues for number in range(10)]
        series = [await queue.enqueue(simple.add, 1, 1, repeat=Repeat(3, 1)) for queue in queues]

        with scene.node_of(hurt).client() as admin:
            assert admin.wait(1, 2000) == 1

        dead = scene.kill_primary(hurt)

        for queue in queues[1:]:
            assert await value(await insist(lambda queue=queue: queue.enqueue(simple.add, 1, 2))) == 3

        await scene.taken_over(dead)
        assert {await value(job) for job in running} == {"attempt 1"}
        assert [await value(job) for job in waiting] == [number + 1 for number in range(10)] * 3
        assert [(await value(job), await insist(job.refresh), job.repeats) for job in series] == [(2, None, 3)] * 3
        assert {len(notes(path, "start")) for path in paths.values()} == {1}
        after = await insist(lambda: queues[0].enqueue(simple.add, 1, 2))
        assert await value(after) == 3
        await scene.restart(dead)


@pytest.mark.chaos
async def test_a_shard_that_forgets_who_waits_for_its_jobs_is_told_again(
    scene: ClusterOfSix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replica has not heard that a job of another shard waits, and takes over."""
    home, hurt, _ = scene.queues()
    monkeypatch.setattr(relaying, "PAUSE_S", 1.0)

    async with AsyncExitStack() as stack:
        waiting, other = await queues_of(scene, stack, [home, hurt])
        first = await other.enqueue_in(3600, simple.add, 1, 1)

        with scene.node_of(hurt).client() as admin:
            assert admin.wait(1, 2000) == 1

        replica = scene.replica_of(scene.node_of(hurt))
        replica.freeze()

        with scene.node_of(hurt).client() as admin:
            assert admin.execute_command("CLIENT", "KILL", "TYPE", "replica")  # or its kernel would still hear

        last = await waiting.enqueue(simple.add, 2, 3, depends_on=first)
        assert await first.dependents() == [last]
        dead = scene.kill_primary(hurt)
        replica.thaw()
        await scene.taken_over(dead)
        assert await insist(first.dependents) == []

        async with RunningWorker([home], connection=scene.url()):

            async def is_known() -> bool:
                return await insist(first.dependents) == [last]

            await eventually(is_known, timeout=PATIENCE)

        await insist(first.cancel)
        await insist(first.requeue)

        async with RunningWorker([home, hurt], connection=scene.url()):
            assert await value(last) == 5

        await scene.restart(dead)


@pytest.mark.chaos
async def test_a_day_while_primaries_are_replaced(scene: ClusterOfSix, tmp_path: Path) -> None:
    """By failovers that somebody asks for, which lose nothing."""
    names = scene.queues()

    async with AsyncExitStack() as stack:
        queues = await queues_of(scene, stack, names)
        await stack.enter_async_context(RunningWorker(names, connection=scene.url()))
        days = asyncio.gather(*(day(queue, tmp_path) for queue in queues))

        for name in names:
            await scene.failover(await asyncio.to_thread(scene.node_of, name))
            await scene.healthy()

        expected = await days
        assert [await counts(queue) for queue in queues] == expected


@pytest.mark.chaos
async def test_a_day_while_a_primary_is_frozen(scene: ClusterOfSix, tmp_path: Path) -> None:
    names = scene.queues()

    async with AsyncExitStack() as stack:
        queues = await queues_of(scene, stack, names)
        await stack.enter_async_context(RunningWorker(names, connection=scene.url()))
        frozen = scene.freeze_primary(names[0])
        days = asyncio.gather(*(day(queue, tmp_path) for queue in queues))
        await scene.taken_over(frozen)
        expected = await days
        assert [await counts(queue) for queue in queues] == expected
        await scene.restart(frozen)


async def test_a_scope_of_anyio_ends_a_call_while_one_primary_is_silent(scene: ClusterOfSix) -> None:
    names = scene.queues()

    async with AsyncExitStack() as stack:
        queues = await queues_of(scene, stack, names)
        connection = queues[0].connection
        sizes = [("ZCARD", queue.store.keys.leases) for queue in queues]
        assert await connection.calls(sizes) == [0, 0, 0]
        frozen = await asyncio.to_thread(scene.freeze_primary, names[0])

        try:
            with anyio.move_on_after(0.3) as scope:
                await connection.calls(sizes)

            assert scope.cancelled_caught
        finally:
            await scene.restart(frozen)
            await scene.healthy()


async def test_the_command_line(scene: ClusterOfSix, environment: dict[str, str], tmp_path: Path) -> None:
    names = scene.queues()
    cli = Cli(scene.url(), environment)

    async with AsyncExitStack() as stack:
        queues = await queues_of(scene, stack, names)
        failing = [await queue.enqueue(jobs.raise_once, str(tmp_path / queue.name)) for queue in queues]

        done = await asyncio.to_thread(cli.process, "worker", "--burst", *names)
        assert done.returncode == 0, done.stderr
        assert [await job.get_status() for job in failing] == ["failed"] * 3

        for words in (("info",), ("requeue", "--all", "--queue", names[0]), ("doctor",)):
            result = await asyncio.to_thread(cli.call, *words)
            assert result.exit_code == 0, (words, result.output)

        await Worker(names, scene.url()).run(burst=True)
        assert await failing[0].result(5) == "a later run"
        assert [await job.get_status() for job in failing] == ["finished", "failed", "failed"]
        said = json.loads((await asyncio.to_thread(cli.call, "info", "--json")).stdout)
        assert {each["name"] for each in said["queues"]} == set(names)


@pytest.mark.chaos
async def test_tls_and_users(spawn, tmp_path: Path) -> None:
    if why := lacking():
        pytest.skip(why)

    async with ClusterOfSix(tls=True, secured=True) as scene, AsyncExitStack() as stack:
        names = scene.queues(2)
        worker = await spawn(url=scene.url("worker"), queues=",".join(names))
        queues = [await stack.enter_async_context(Queue(name, scene.url("producer"))) for name in names]
        made = [await queue.enqueue(simple.add, number, 1) for queue in queues for number in range(10)]
        assert [await job.result(20) for job in made] == list(range(1, 11)) * 2
        await scene.migrate_slot(slot_of(names[0]), scene.node_of(names[1]))
        await scene.failover(scene.node_of(names[1]))
        assert await value(await insist(lambda: queues[0].enqueue(simple.add, 1, 2))) == 3
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
        await scene.healthy()
        await assert_all_sound(scene.url())
