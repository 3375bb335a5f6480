"""A Cluster with one shard away, and nobody who takes over: what is on the other shards goes on."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from aioq import Queue, ServerError, Worker
from aioq.errors import ServerUnreachable
from aioq.store.net import cluster, slots
from aioq.store.net.cluster import Cluster
from aioq.store.net.slots import SlotMap
from tests import jobs
from tests.cli.tools import Cli
from tests.servers.cluster import ClusterOfSix, ClusterOfThree
from tests.servers.node import Node, free_ports
from tests.system.day import insist, value
from tests.tools import RunningWorker, assert_all_sound, eventually

pytestmark = pytest.mark.timeout(180)

#: Nobody waits longer than this for a server that its queue is not on, in seconds, on a machine that is busy.
SOON = 4.0


@pytest.fixture
async def scene() -> AsyncIterator[ClusterOfThree]:
    # A node is killed right after a call: what it has answered must be on its disk.
    async with ClusterOfThree({"appendonly": "yes", "appendfsync": "always"}) as scene:
        yield scene


def take_away(node: Node, how: str) -> None:
    node.kill() if how == "killed" else node.freeze()


def owner(scene: ClusterOfThree, which: str) -> Node:
    """The node that is taken away: one with a shared key, or one that has none of them."""
    shared = {key: scene.node_of_key(f"aioq:{key}") for key in ("queues", "workers", "suspended")}

    return shared[which] if which in shared else next(n for n in scene.nodes if n not in shared.values())


async def listed(scene: ClusterOfThree) -> set[str]:
    return set(scene.node_of_key("aioq:queues").call("SMEMBERS", "aioq:queues"))


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("how", "which"),
    [
        ("killed", "queues"),
        pytest.param("frozen", "queues", marks=pytest.mark.chaos),
        pytest.param("killed", "workers", marks=pytest.mark.chaos),
        pytest.param("killed", "suspended", marks=pytest.mark.chaos),
        pytest.param("frozen", "workers", marks=pytest.mark.chaos),
    ],
)
async def test_all_that_is_on_other_shards_goes_on(
    scene: ClusterOfThree, spawn: Callable[..., object], how: str, which: str
) -> None:
    away = owner(scene, which)
    lost, *living = [scene.queue_on(node) for node in (away, *(node for node in scene.nodes if node is not away))]

    async with Queue(lost, scene.url()) as queue:
        kept = await queue.enqueue(jobs.add, 20, 2)

    take_away(away, how)

    # A fresh queue enqueues, whatever has the list of queues; a fresh worker starts, and serves what lives.
    for name in living:
        async with Queue(name, scene.url()) as queue:
            begun = time.monotonic()
            await queue.enqueue(jobs.add, 1, 2)
            assert time.monotonic() - begun < SOON

    begun = time.monotonic()
    worker = await spawn(url=scene.url(), queues=",".join([lost, *living]))  # type: ignore[misc]
    assert time.monotonic() - begun < 3 * SOON

    # Waits begin: whichever server a subscription meets first.
    for name in living * 3:
        async with Queue(name, scene.url()) as queue:
            begun = time.monotonic()
            assert await (await queue.enqueue(jobs.add, 1, 2)).result(20) == 3
            assert time.monotonic() - begun < 2 * SOON

    # When the shard is back, its queue is taken up, and registrations are made up for.
    await scene.restart(away)
    await scene.healthy()

    async with Queue(lost, scene.url()) as queue:
        back = await insist(lambda: queue.fetch_job(kept.id))
        assert await value(back) == 22  # type: ignore[arg-type]

    async def all_are_listed() -> bool:
        return await listed(scene) >= {lost, *living}

    await eventually(all_are_listed, timeout=40)

    # With a shard away again, the worker signs off on the others.
    take_away(away, how)
    worker.signal(signal.SIGTERM)
    assert await worker.ended(40) == 0

    for name in living:
        assert scene.node_of(name).call("ZCARD", f"aioq:{{{name}}}:leases") == 0

    await scene.restart(away)
    await scene.healthy()


@pytest.mark.chaos
async def test_a_registration_is_made_up_for_by_the_queue_itself(
    scene: ClusterOfThree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioq.store.registration.AGAIN_S", 0.2)
    away = owner(scene, "queues")
    name = scene.queue_on(next(node for node in scene.nodes if node is not away))
    away.kill()

    async with Queue(name, scene.url()) as queue:
        await queue.enqueue(jobs.noop)
        await scene.restart(away)
        await scene.healthy()

        async def is_listed() -> bool:
            await queue.enqueue(jobs.noop)
            return name in await listed(scene)

        await eventually(is_listed)


async def test_a_worker_none_of_whose_shards_lives_does_not_start(scene: ClusterOfThree) -> None:
    name = scene.queue_on(scene.nodes[2])
    scene.nodes[2].kill()

    with pytest.raises(ServerUnreachable):
        await Worker([name], scene.url()).run()


@pytest.mark.chaos
async def test_commands_do_what_lives_and_name_what_does_not(
    scene: ClusterOfThree, environment: dict[str, str]
) -> None:
    away = owner(scene, "queues")
    lost, *living = [scene.queue_on(node) for node in (away, *(node for node in scene.nodes if node is not away))]
    cli = Cli(scene.url(), environment)

    async with AsyncExitStack() as stack:
        queues = [await stack.enter_async_context(Queue(name, scene.url())) for name in (lost, *living)]
        made = [await queue.enqueue(jobs.div_by_zero, 1) for queue in queues]

        async with RunningWorker([lost, *living], connection=scene.url()):
            await eventually(lambda: all_failed(made))

    away.kill()

    async def call(*words: str) -> tuple[int, str, str]:
        result = await asyncio.to_thread(cli.call, *words)

        return result.exit_code, result.stdout, result.stderr

    status, out, _ = await call("info", "--json")
    document = json.loads(out)
    assert (status, [each["name"] for each in document["queues"]]) == (1, sorted(living))
    assert [each["failed"] for each in document["queues"]] == [1, 1]
    assert f"127.0.0.1:{away.port}" in document["away"]["the list of queues"]

    status, out, err = await call("info", lost, *living)
    assert status == 1
    assert [line.split()[0] for line in out.splitlines()[1:3]] == living
    assert "left out: " in err and f"queue {lost}" in err

    status, out, _ = await call("doctor", "--json")
    document = json.loads(out)
    assert (status, document["sound"]) == (1, False)
    assert [each["name"] for each in document["queues"]] == sorted(living)
    assert all(each["jobs"] == 1 and each["findings"] == [] for each in document["queues"])
    assert {each["server"] for each in document["server"] if each["name"] == "connection"} == {away.address}
    assert "the list of queues" in document["away"]

    status, out, _ = await call("doctor", lost, living[0])
    assert status == 1
    assert f"Queue {lost}: not examined" in out
    assert f"Queue {living[0]}: 1 job examined, nothing found" in out

    status, out, err = await call("suspend")
    assert (status, out) == (1, "All workers that were reached are suspended.\n")
    assert "the list of queues" in err

    async with Queue(living[1], scene.url()) as queue:
        assert await queue.is_paused()

    status, out, err = await call("resume")
    assert (status, out) == (1, "All workers that were reached are resumed.\n")

    async with Queue(living[1], scene.url()) as queue:
        assert not await queue.is_paused()

    assert (await call("suspend", "--queue", living[0], "--queue", lost))[:2] == (
        1,
        f"Queue {living[0]} is paused.\n",
    )
    status, out, _ = await call("resume", "--queue", living[0], "--queue", lost)
    assert (status, out.splitlines()[0]) == (1, f"Queue {living[0]} is resumed.")

    status, out, _ = await call("ls", "--queue", living[0])
    assert (status, made[1].id in out or made[2].id in out) == (0, True)
    status, _, err = await call("ls", "--queue", lost)
    assert (status, away.address in err) == (1, True)
    status, out, _ = await call("requeue", "--all", "--queue", living[0])
    assert (status, "1 job requeued" in out) == (0, True)
    assert (await call("requeue", "--all", "--queue", lost))[0] == 1

    status, out, _ = await call("empty", "--all", "--json")
    assert (status, json.loads(out)["removed"]) == (1, {living[0]: 1, living[1]: 0})


async def all_failed(made: list[object]) -> bool:
    return [await job.get_status() for job in made] == ["failed"] * len(made)  # type: ignore[attr-defined]


@pytest.mark.chaos
async def test_a_server_without_slots_is_not_believed(scene: ClusterOfThree, spawn: Callable[..., object]) -> None:
    """One that was never in the Cluster, or has left it, stands first in the URL."""
    name = scene.queue_on(scene.nodes[0])
    (port, bus) = free_ports(2)
    settings = {"cluster-enabled": "yes", "cluster-port": str(bus), "save": '""'}.items()
    blank = Node(scene.folder, "blank", port, scene.access, settings)

    try:
        await blank.start()
        url = f"redis+cluster://{blank.address},{scene.nodes[0].address}"

        async with RunningWorker([name], connection=url):
            for _ in range(8):
                async with Queue(name, url) as queue:
                    begun = time.monotonic()
                    assert await (await queue.enqueue(jobs.add, 1, 2)).result(10) == 3
                    assert time.monotonic() - begun < SOON

        with pytest.raises(ServerUnreachable, match=f"{blank.address} has no slots and knows nobody who has"):
            async with Queue(name, f"redis+cluster://{blank.address}") as queue:
                await queue.enqueue(jobs.noop)
    finally:
        blank.close()


async def test_who_listens_at_a_server_that_leaves_the_cluster_hears_again(
    scene: ClusterOfThree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection stands, and nothing is published there any more."""
    monkeypatch.setattr(slots, "MAP_AGE_S", 0.1)
    monkeypatch.setattr("aioq.store.net.node.SHORT_QUESTION_INTERVAL_S", 0.2)
    leaves = owner(scene, "none")  # one that has keys may not leave
    stays = next(node for node in scene.nodes if node is not leaves)
    name = scene.queue_on(stays)
    places: list[int] = []
    first = Cluster._first

    async def noted(self, places_, attempt, discard=None):  # type: ignore[no-untyped-def]
        if discard is None:
            return await first(self, places_, attempt)

        if not places:  # the first subscription goes to the one that will leave
            places_ = [place for place in places_ if place[1] == leaves.port]

        places.append(places_[0][1])
        return await first(self, places_, attempt, discard)

    monkeypatch.setattr(Cluster, "_first", noted)

    async with Queue(name, scene.url()) as queue:
        job = await queue.enqueue(jobs.add, 1, 2)
        task = asyncio.create_task(job.result(40))
        await eventually(lambda: places == [leaves.port])
        await asyncio.to_thread(leave, scene, leaves, stays)
        await eventually(lambda: len(places) > 1, timeout=20, describe="a second subscription")
        assert places[1] != leaves.port

        async with RunningWorker([name], connection=scene.url()):
            begun = time.monotonic()
            assert await task == 3
            assert time.monotonic() - begun < SOON


def leave(scene: ClusterOfThree, node: Node, heir: Node) -> None:
    """The node gives its slots to another one, forgets the Cluster and is forgotten. It has no keys."""
    (slots_,) = next(each for each in scene.members() if each.port == node.port).slots
    name = next(each for each in scene.members() if each.port == node.port).id

    for each in scene.nodes:
        each.call("CLUSTER", "DELSLOTSRANGE", slots_.start, slots_.stop - 1)

    heir.call("CLUSTER", "ADDSLOTSRANGE", slots_.start, slots_.stop - 1)
    node.call("CLUSTER", "RESET", "SOFT")

    for each in scene.nodes:
        if each is not node:
            each.call("CLUSTER", "FORGET", name)


@pytest.mark.chaos
async def test_waits_begin_and_go_on_over_a_failover() -> None:
    async with ClusterOfSix({"appendonly": "yes"}) as scene:
        (name,) = scene.queues(1)

        async with Queue(name, scene.url()) as queue:
            early = await queue.enqueue(jobs.add, 1, 1)
            begun = asyncio.create_task(early.result(60))
            await eventually(lambda: early_is_waited_for(queue, early.id))
            scene.node_of(name).call("WAIT", 1, 2000)
            dead = scene.kill_primary(name)
            later = asyncio.create_task(early.result(60))  # it begins while nobody is there to be asked
            await asyncio.sleep(1)
            assert not begun.done()
            assert not later.done()
            await scene.taken_over(dead)

            async with RunningWorker([name], connection=scene.url()):
                assert [await begun, await later] == [2, 2]

        await scene.restart(dead)
        await scene.healthy()
        await assert_all_sound(scene.url())


async def early_is_waited_for(queue: Queue, job_id: str) -> bool:
    job = await queue.fetch_job(job_id)

    return job is not None and b"after" in job.record.fields


async def test_a_silent_server_holds_up_no_question_that_any_other_can_answer(scene: ClusterOfThree) -> None:
    """The slots, the version of the server and the subscription: whoever answers first will do."""
    name = scene.queue_on(scene.nodes[0])
    scene.nodes[1].freeze()
    scene.nodes[2].freeze()

    for _ in range(3):
        async with Queue(name, "redis+cluster://" + ",".join(node.address for node in scene.nodes)) as queue:
            begun = time.monotonic()
            await queue.connection.check_server()
            await queue.connection.listener.listen("aioq:waiter:test", print, print)
            assert time.monotonic() - begun < 5 * cluster.NEXT_SERVER_AFTER_S + SOON


async def test_an_answer_that_cannot_be_read_ends_nothing(
    scene: ClusterOfThree, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another server is asked for the slots; also where there is none that was known before."""
    name = scene.queue_on(scene.nodes[0])
    read, thrown = SlotMap.read, []

    def broken(self: SlotMap, reply: object, asked: object) -> None:
        if len(thrown) < 3:
            thrown.append(None)
            raise KeyError("what nobody foresaw")

        read(self, reply, asked)  # type: ignore[arg-type]

    async with RunningWorker([name], connection=scene.url()) as running, Queue(name, scene.url()) as queue:
        monkeypatch.setattr(SlotMap, "read", broken)
        assert running.worker._service is not None
        running.worker._service._connection._slots.is_stale = True  # type: ignore[union-attr]
        assert await value(await insist(lambda: queue.enqueue(jobs.add, 1, 2))) == 3
        await eventually(lambda: len(thrown) == 3)
        assert any("nobody foresaw" in each.message for each in caplog.records)

        thrown.clear()
        address = running.worker._service._connection._address
        places = [("127.0.0.1", node.port) for node in scene.nodes]
        way = Cluster(address, SlotMap("redis+cluster://x", places[:1]), 2)

        with pytest.raises(ServerError, match="KeyError"):
            await way.round_trip((("PING",),))

        await way.aclose()
        thrown.clear()
        way = Cluster(address, SlotMap("redis+cluster://x", [*places, ("localhost", places[0][1])]), 2)
        assert await way.round_trip((("PING",),)) == [b"PONG"]
        await way.aclose()
        assert await value(await queue.enqueue(jobs.add, 1, 2)) == 3


@pytest.mark.chaos
async def test_commands_beside_a_frozen_shard_end_in_time(
    scene: ClusterOfThree, environment: dict[str, str]
) -> None:
    """The shard is given up after 5 seconds, each time that only it could answer."""
    away = owner(scene, "queues")
    lost, *living = [scene.queue_on(node) for node in (away, *(node for node in scene.nodes if node is not away))]

    for name in (lost, *living):
        async with Queue(name, scene.url()) as queue:
            await queue.enqueue(jobs.noop)

    away.freeze()
    cli = Cli(scene.url(), environment)

    for words, longest in (
        (("ls", "--queue", living[0]), 12),
        (("info",), 30),
        (("doctor",), 45),
        (("suspend",), 35),
    ):
        begun = time.monotonic()
        done = await asyncio.to_thread(cli.process, *words)
        assert done.returncode == (0 if words[0] == "ls" else 1), done.stderr
        print(words, time.monotonic() - begun)
        assert time.monotonic() - begun < longest, words

    away.thaw()
