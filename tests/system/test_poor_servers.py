"""Servers that are far away, full, or refuse what is asked of them: nothing is lost, and work goes on later."""

from __future__ import annotations

import asyncio
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import BlockingConnectionPool, Redis

from aioq import Queue, ServerError, Worker
from aioq.doctor import examine, examine_server
from aioq.errors import ServerFull, ServerUnreachable
from aioq.store.scripts import server_scripts
from tests import jobs as simple
from tests.conftest import Server
from tests.system import jobs
from tests.system.jobs import notes
from tests.system.proxy import Proxy
from tests.tools import assert_sound, eventually, server_binary

pytestmark = pytest.mark.timeout(90)


@pytest.mark.chaos
async def test_half_a_second_of_round_trip(server: Server, spawn, tmp_path: Path) -> None:
    """Sixty jobs take a few round trips, not sixty; no lease ends, and nobody runs a job twice."""
    path = tmp_path / "notes"

    async with Proxy(server.socket) as far:
        far.delay = 0.25
        await asyncio.gather(*(spawn(url=far.url, concurrency=10) for _ in range(2)))

        async with Queue("default", far.url) as queue:
            began = time.monotonic()
            enqueued = await asyncio.gather(*(queue.enqueue(jobs.work, str(path), 0.01) for _ in range(60)))
            results = await asyncio.gather(*(each.result(timeout=60) for each in enqueued))
            took = time.monotonic() - began

            assert results == ["attempt 1"] * 60
            assert len(notes(path, "start")) == 60
            await enqueued[0].refresh()
            assert enqueued[0].deliveries == 0

    assert took < 20  # one job after the other would take 60 times three round trips: 90 seconds


async def test_a_full_memory_refuses_new_jobs_and_lets_the_others_end(own_server, spawn, tmp_path: Path) -> None:
    server = own_server("--maxmemory-policy", "noeviction")
    worker = await spawn(url=server.url, concurrency=2)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue:
        stored = [await queue.enqueue(jobs.work, str(path), 0.5) for _ in range(6)]
        waits = asyncio.gather(*(each.result(timeout=30) for each in stored))
        await eventually(lambda: len(notes(path, "start")) >= 2)

        with server.client() as client:
            client.config_set("maxmemory", "1")

            with pytest.raises(ServerFull, match="memory limit"):
                await queue.enqueue(simple.add, 1, 2)

            assert await waits == ["attempt 1"] * 6
            (before,) = (score for _, score in client.zrange("aioq:{default}:leases", 0, -1, withscores=True))
            await eventually(
                lambda: client.zrange("aioq:{default}:leases", 0, -1, withscores=True)[0][1] > before,
                describe="a beat while the memory is full",
            )
            client.config_set("maxmemory", "0")

        later = await queue.enqueue(simple.add, 1, 2)
        assert await later.result(timeout=10) == 3
        assert len(notes(path, "start")) == 6
        assert worker.process.poll() is None


@pytest.mark.chaos
async def test_workers_come_and_are_lost_while_the_memory_is_full(own_server, spawn, tmp_path: Path) -> None:
    """What drains the queue makes room, so workers can start then, and the jobs of killed ones come back."""
    server = own_server("--maxmemory-policy", "noeviction")
    path = tmp_path / "notes"
    victim = await spawn(url=server.url, concurrency=1)

    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.hang_once, str(path))
        await eventually(lambda: notes(path, "start"))

        with server.client() as client:
            client.config_set("maxmemory", "1")
            await spawn(url=server.url, concurrency=1)
            victim.signal(signal.SIGKILL)
            assert await job.result(timeout=20) == "attempt 1"
            client.config_set("maxmemory", "0")


async def test_a_full_disk_stops_the_queue_and_loses_nothing(own_server, spawn, tmp_path: Path) -> None:
    """The server cannot save, so it refuses all writes; an outcome is kept until it takes them again."""
    server: Server = own_server("--enable-protected-configs", "yes")  # the folder is one
    worker = await spawn(url=server.url, concurrency=4)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue:
        stored = [await queue.enqueue(jobs.work, str(path), 1) for _ in range(6)]
        waits = asyncio.gather(*(each.result(timeout=60) for each in stored))
        await eventually(lambda: len(notes(path, "start")) == 4)

        with server.client() as client:
            records = [f"aioq:{{default}}:job:{each.id}" for each in stored]
            await eventually(lambda: all(client.hexists(each, "after") for each in records))

            with _unsaved(client, server.folder):
                with pytest.raises(ServerFull, match="cannot write to its disk"):
                    await queue.enqueue(simple.add, 1, 2)

                await eventually(lambda: len(notes(path, "end")) == 4, describe="jobs end meanwhile")
                await eventually(lambda: "cannot write to its disk" in worker.text())
                assert worker.text().count("cannot write to its disk") < 50  # it waits between its attempts
                assert "is served again" not in worker.text()

        assert await waits == ["attempt 1"] * 6
        assert len(notes(path, "start")) == 6
        assert "queue default is served again after" in worker.text()


async def test_a_server_that_deletes_jobs_when_it_is_full_is_told_of_at_the_start(own_server, spawn) -> None:
    calm = await spawn(url=own_server("--maxmemory-policy", "allkeys-lru").url)
    server = own_server("--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb")
    worker = await spawn(url=server.url)
    text = f"{server.url} deletes jobs when its memory is full: set maxmemory-policy allkeys-lru to noeviction"
    await eventually(lambda: worker.text().count(text) == 1)
    assert "deletes jobs" not in calm.text()


ROOM = 1_000_000


def _resize_disk(server: Server, size: int) -> None:
    """From here on, no file of the server may be larger than this: it meets that as a disk that is full."""
    assert server.process is not None
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture
def small_disk(own_server: Callable[..., Server]) -> Callable[..., Server]:
    """Servers whose append-only file has room for a megabyte."""

    def make(*options: str) -> Server:
        server = own_server()
        server.stop()
        # Without this a write past the limit ends the process by a signal, and is no error.
        wrapper = server.folder / "server.sh"
        wrapper.write_text(f"#!/bin/sh\ntrap '' XFSZ\nexec {server_binary()} \"$@\"\n")
        wrapper.chmod(0o700)
        server.binary, server.options = str(wrapper), ("--appendonly", "yes", *options)
        server.start()
        _resize_disk(server, ROOM)
        return server

    return make


async def test_a_disk_without_room_for_the_append_only_file_stops_the_queue_until_there_is_some(
    small_disk: Callable[..., Server], spawn, tmp_path: Path
) -> None:
    """As above, but what is full is the disk, and it is met while jobs run."""
    server = small_disk("--appendfsync", "everysec")
    worker = await spawn(url=server.url, concurrency=4)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue, Queue("later", server.url) as later:
        running = [await queue.enqueue(jobs.work, str(path), 1.5) for _ in range(4)]
        await eventually(lambda: len(notes(path, "start")) == 4)
        confirmed = []

        with pytest.raises(ServerFull, match="cannot write to its disk"):
            while True:
                confirmed.append(await later.enqueue(simple.noop, description="x" * 50_000))

        await eventually(lambda: len(notes(path, "end")) == 4)
        await eventually(lambda: "cannot write to its disk" in worker.text())
        assert [(await queue.fetch_job(each.id)).is_started for each in running] == [True] * 4

        _resize_disk(server, resource.RLIM_INFINITY)
        assert [await each.result(timeout=20) for each in running] == ["attempt 1"] * 4
        assert len(notes(path, "start")) == 4
        assert await (await queue.enqueue(simple.add, 1, 2)).result(timeout=10) == 3
        assert await later.job_ids() == [each.id for each in confirmed]

        server.stop(kill=True)
        server.start()
        assert await later.job_ids() == [each.id for each in confirmed]
        assert await (await queue.enqueue(simple.add, 1, 2)).result(timeout=20) == 3


async def test_a_disk_without_room_ends_a_server_that_must_write_always_and_nothing_is_lost(
    small_disk: Callable[..., Server], spawn, tmp_path: Path
) -> None:
    server = small_disk("--appendfsync", "always")
    worker = await spawn(url=server.url, concurrency=4)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue, Queue("later", server.url) as later:
        running = [await queue.enqueue(jobs.work, str(path), 1.5) for _ in range(4)]
        await eventually(lambda: len(notes(path, "start")) == 4)
        confirmed = []

        with pytest.raises(ServerError):
            while True:
                confirmed.append(await later.enqueue(simple.noop, description="x" * 50_000))

        assert server.process is not None
        assert await asyncio.to_thread(server.process.wait, 10) == 1
        server.start()
        # The enqueue that raised may have happened or not.
        assert (await later.job_ids())[: len(confirmed)] == [each.id for each in confirmed]
        assert await later.count() <= len(confirmed) + 1
        assert [await each.result(timeout=20) for each in running] == ["attempt 1"] * 4
        assert len(notes(path, "start")) == 4
        assert worker.process.poll() is None


@contextmanager
def _unsaved(client: redis.Redis, folder: Path) -> Iterator[None]:
    """The server's last snapshot has failed, and it is set to take no writes then (as it is by default)."""
    gone = folder / "gone"
    gone.mkdir()
    client.config_set("dir", str(gone))
    gone.rmdir()
    client.config_set("save", "3600 1")
    client.bgsave()
    _await(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")

    yield

    client.config_set("dir", str(folder))
    client.bgsave()
    _await(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok")
    client.config_set("save", "")


def _await(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10

    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_scripts_that_the_server_forgets_are_loaded_again(server: Server, spawn, tmp_path: Path) -> None:
    await spawn(concurrency=5)

    async with Queue("default", server.url) as queue:
        with server.client() as client:
            for number in range(10):
                enqueued = [await queue.enqueue(simple.add, number, each) for each in range(5)]
                client.script_flush()
                assert [await each.result(timeout=20) for each in enqueued] == [number + each for each in range(5)]

            await eventually(lambda: client.script_exists(server_scripts()["beat"].sha) == [True], timeout=20)


async def test_a_server_that_loads_its_data_is_waited_for(own_server, spawn) -> None:
    server: Server = own_server()
    await spawn(url=server.url)

    async with Queue("default", server.url) as queue, Queue("later", server.url) as later:
        await later.enqueue_many([Queue.prepare_data(simple.add, (1, each)) for each in range(600)])
        await (await queue.enqueue(simple.add, 1, 1)).result(timeout=10)

        with server.client() as client:
            client.save()

        server.stop(kill=True)
        server.options = ("--key-load-delay", "1000")  # µs for each key
        starting = asyncio.create_task(asyncio.to_thread(server.start))
        job = None

        while job is None:  # a call waits for about a second by itself; a loaded machine may take longer
            with suppress(ServerUnreachable):
                job = await queue.enqueue(simple.add, 1, 2)

        assert await job.result(timeout=20) == 3
        assert await later.count() == 600
        await starting


async def test_a_primary_that_becomes_a_replica_is_not_written_to(own_server, spawn, tmp_path: Path) -> None:
    server: Server = own_server()
    worker = await spawn(url=server.url)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.work, str(path), 0.5)
        await eventually(lambda: notes(path, "start"))

        with server.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")

            with pytest.raises(ServerUnreachable, match="READONLY"):
                await queue.enqueue(simple.add, 1, 2)

            await eventually(lambda: "READONLY" in worker.text())
            client.execute_command("REPLICAOF", "NO", "ONE")

        assert await job.result(timeout=20) == "attempt 1"
        assert await (await queue.enqueue(simple.add, 1, 2)).result(timeout=20) == 3
        assert len(notes(path, "start")) == 1


@pytest.mark.chaos
async def test_a_replica_whose_primary_is_away_is_waited_for(own_server, spawn, tmp_path: Path) -> None:
    """The roles are exchanged while a job runs, then the new primary is gone: READONLY first, then MASTERDOWN."""
    server: Server = own_server("--replica-serve-stale-data", "no")
    other: Server = own_server("--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", str(server.port))
    worker = await spawn(url=server.url)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.work, str(path), 1)
        await eventually(lambda: notes(path, "start"))

        with server.client() as client, other.client() as successor:
            # WAIT is about the writes of its own connection.
            await eventually(lambda: client.set("mark", 1, px=60_000) and client.wait(1, 100) == 1)
            successor.execute_command("REPLICAOF", "NO", "ONE")
            client.execute_command("REPLICAOF", "127.0.0.1", str(other.port))
            await eventually(lambda: client.info("replication")["master_link_status"] == "up")
            other.stop(kill=True)
            await eventually(lambda: client.info("replication")["master_link_status"] == "down")

            with pytest.raises(ServerUnreachable, match="MASTERDOWN"):
                await queue.enqueue(simple.add, 1, 2)

            with pytest.raises(ServerUnreachable, match="MASTERDOWN"):
                await queue.fetch_job(job.id)

            await eventually(lambda: "MASTERDOWN" in worker.text())
            client.execute_command("REPLICAOF", "NO", "ONE")

        assert await job.result(timeout=20) == "attempt 1"
        assert await (await queue.enqueue(simple.add, 1, 2)).result(timeout=20) == 3
        assert len(notes(path, "start")) == 1
        assert worker.process.poll() is None


async def test_a_server_that_evicts_takes_jobs_and_what_is_left_can_be_repaired(own_server, spawn) -> None:
    """Any key may go: records, lanes, leases. The worker lives, and the doctor says why it has happened."""
    server: Server = own_server("--maxmemory-policy", "allkeys-lru")
    worker = await spawn(url=server.url, concurrency=4)

    async with Queue("default", server.url) as queue:
        with server.client() as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] + 2_000_000)
            payload = "x" * 10_000

            for _ in range(10):  # 20 MB in all
                await queue.enqueue_many([Queue.prepare_data(simple.noop, description=payload)] * 100)
                await queue.enqueue_many([Queue.prepare_data(jobs.slow_echo, (payload,))] * 100)

            assert client.info("stats")["evicted_keys"] > 100
            found = {each.name: each for each in await examine_server(queue.connection)}
            assert found["maxmemory-policy"].level == "problem"
            assert "Set maxmemory-policy to noeviction" in found["maxmemory-policy"].words
            client.config_set("maxmemory", "0")

        assert await examine(queue, repair=True)
        await assert_sound(queue)
        assert await (await queue.enqueue(simple.add, 1, 2, at_front=True)).result(timeout=20) == 3
        await eventually(queue.is_empty, timeout=30)
        assert worker.process.poll() is None


async def test_no_more_clients_are_taken(own_server, spawn, tmp_path: Path) -> None:
    server: Server = own_server()
    worker = await spawn(url=server.url)
    path = tmp_path / "notes"

    async with Queue("default", server.url) as queue:
        job = await queue.enqueue(jobs.work, str(path), 0.5)
        await eventually(lambda: notes(path, "start"))

        with server.client() as client:
            most = client.config_get("maxclients")["maxclients"]
            client.config_set("maxclients", 1)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

            with pytest.raises(ServerUnreachable, match="maxclients"):
                await queue.enqueue(simple.add, 1, 2)

            await eventually(lambda: "maxclients" in worker.text())
            client.config_set("maxclients", most)

        assert await job.result(timeout=20) == "attempt 1"
        assert await (await queue.enqueue(simple.add, 1, 2)).result(timeout=20) == 3
        assert len(notes(path, "start")) == 1


@pytest.mark.parametrize("pool_class", [redis.asyncio.ConnectionPool, BlockingConnectionPool])
async def test_a_pool_of_two_connections_serves_five_hundred_jobs(server: Server, pool_class: Any) -> None:
    pool = pool_class.from_url(server.url, max_connections=2)

    async with Redis(connection_pool=pool) as own, Queue("default", own) as queue:
        worker = asyncio.create_task(Worker("default", own, concurrency=500).run())
        enqueued = await asyncio.gather(*(queue.enqueue(simple.add, 1, each) for each in range(500)))
        results = await asyncio.gather(*(each.result(timeout=30) for each in enqueued))
        assert results == [1 + each for each in range(500)]

        with server.client() as client:
            # The queue's calls and its subscription; the worker's calls, token, subscription and heartbeat.
            mine = [each for each in client.client_list() if each["id"] != str(client.client_id())]
            assert len(mine) <= 8

        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        await queue.aclose()
        assert await own.ping()  # the user's client is still the user's

    await pool.aclose()
